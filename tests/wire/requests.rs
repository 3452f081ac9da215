//! What goes out: bytes, headers, signatures.

use std::time::Duration;

use hostline::clock::Clock;
use hostline::config::Secret;
use hostline::delivery::request::verify;
use hostline::model::Method;

use crate::receiver::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

#[actix_rt::test]
async fn bodies_arrive_byte_for_byte() {
    let receiver = Receiver::answering(OK);
    let sender = sender(&settings(), &receiver.url());
    let every_byte: Vec<u8> = (0..=255).collect();
    let large = every_byte.repeat(4096);
    let empty = Vec::new();
    let cases = [
        (Method::Post, &every_byte),
        (Method::Put, &large),
        (Method::Delete, &every_byte),
        (Method::Post, &empty),
    ];
    for (method, body) in cases {
        let report = send(&sender, webhook(method, &receiver.url(), body.clone())).await;
        assert_eq!(answered(&report).status, 200);
        let request = receiver.requests().pop().expect("a request");
        let line = format!("{} /hook HTTP/1.1\r\n", method.as_str());
        assert!(request.head.starts_with(&line), "{}", request.head);
        assert_eq!(request.header("content-length"), Some(body.len().to_string().as_str()));
        assert_eq!(&request.body, body);
    }
}

#[actix_rt::test]
async fn get_and_bare_delete_have_no_body_at_all() {
    let receiver = Receiver::answering(OK);
    let sender = sender(&settings(), &receiver.url());
    for (method, body) in [(Method::Get, "ignored"), (Method::Delete, "")] {
        send(&sender, webhook(method, &receiver.url(), body)).await;
        let request = receiver.requests().pop().expect("a request");
        assert_eq!(request.header("content-length"), None);
        assert_eq!(request.header("transfer-encoding"), None);
    }
}

#[actix_rt::test]
async fn headers_are_the_callers_and_ours() {
    let receiver = Receiver::answering(OK);
    let url = format!("http://{}/a%20b/?q=%22x%22&r=[1]|`^", receiver.address);
    let mut asked = webhook(Method::Post, &url, "{}");
    asked.headers.push(header("x-two", "one"));
    asked.headers.push(header("x-two", "two"));
    asked.headers.push(header("x-text", "grüße"));
    asked.headers.push(header("webhook-id", "forged"));
    let path = asked.target.path_and_query().to_owned();
    send(&sender(&settings(), &url), asked).await;

    let request = receiver.requests().pop().expect("a request");
    assert!(request.head.starts_with(&format!("POST {path} HTTP/1.1\r\n")), "{}", request.head);
    let mut lines: Vec<&str> =
        request.head.lines().skip(1).filter(|line| !line.is_empty()).collect();
    lines.retain(|line| !line.starts_with("date: ") && !line.starts_with("webhook-timestamp: "));
    lines.sort_unstable();
    let host = format!("host: {}", receiver.address);
    let id = format!("webhook-id: {}", id());
    let agent = concat!("user-agent: Hostline/", env!("CARGO_PKG_VERSION"));
    let expected = [
        "content-length: 2",
        "content-type: application/json",
        &host,
        agent,
        &id,
        "x-text: grüße",
        "x-two: one",
        "x-two: two",
    ];
    assert_eq!(lines, expected);
}

#[actix_rt::test]
async fn signatures_verify_with_each_secret_of_a_rotation() {
    let receiver = Receiver::answering(OK);
    let (new, old) = (Secret::new(vec![1; 32]), Secret::new(vec![2; 32]));
    let mut settings = settings();
    settings.secrets.insert("shop".into(), vec![new.clone(), old.clone()]);
    let mut asked = webhook(Method::Post, &receiver.url(), r#"{"a":1}"#);
    asked.secret_refs = vec!["shop".into()];
    send(&sender(&settings, &receiver.url()), asked).await;

    let request = receiver.requests().pop().expect("a request");
    let now = (Clock::system().raw_wall(), Duration::from_secs(60));
    for secret in [new, old] {
        let verdict = verify(|name| request.header(name), &request.body, &[secret.into()], now);
        assert_eq!(verdict, Ok(()));
    }
    let stranger = [Secret::new(vec![3; 32]).into()];
    assert!(verify(|name| request.header(name), &request.body, &stranger, now).is_err());
}

#[actix_rt::test]
async fn the_hosts_own_secret_signs_what_names_none() {
    let receiver = Receiver::answering(OK);
    let mut settings = settings();
    settings.secrets.insert("general".into(), vec![Secret::new(vec![1; 32])]);
    settings.rules.signing_secret = Some("general".into());
    post(&settings, &receiver.url()).await;
    let request = receiver.requests().pop().expect("a request");
    assert!(request.header("webhook-signature").is_some_and(|value| value.starts_with("v1,")));
}

#[actix_rt::test]
async fn nothing_goes_out_unsigned_when_the_secret_is_gone() {
    let receiver = Receiver::answering(OK);
    let mut asked = webhook(Method::Post, &receiver.url(), "{}");
    asked.secret_refs = vec!["gone".into()];
    let report = send(&sender(&settings(), &receiver.url()), asked).await;
    assert_eq!(unprepared(&report), "there is no secret `gone` any more");
    assert_eq!(receiver.connections(), 0);
}
