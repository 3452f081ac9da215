//! What a request is sent with beside its own words: stored credentials, tokens, TLS identities.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hostline::config::{Roots, Settings};
use hostline::delivery::{HttpSender, Report};
use hostline::model::{Method, Webhook};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::receiver::*;
use crate::tls::Authority;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const REFUSED: &[u8] = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n";

fn naming(url: &str, names: &[&str]) -> Webhook {
    let mut asked = webhook(Method::Post, url, "{}");
    asked.secret_refs = names.iter().map(|name| (*name).to_owned()).collect();
    asked
}

async fn post_with(sender: &HttpSender, url: &str, names: &[&str]) -> Report {
    send(sender, naming(url, names)).await
}

#[actix_rt::test]
async fn credentials_become_headers_when_something_is_sent() {
    let receiver = Receiver::answering(OK);
    let vault = vault(&settings());
    for document in [
        json!({"name": "b", "kind": "bearer", "token": "abc"}),
        json!({"name": "u", "kind": "basic", "username": "me", "password": "pass word"}),
        json!({"name": "k", "kind": "header", "header": "X-Api-Key", "value": "k3y"}),
        json!({"name": "s", "kind": "signing", "applies_to": [receiver.address.to_string()]}),
    ] {
        keep(&vault, document).await;
    }
    let sender = sender_with(&settings(), &receiver.url(), vault.clone());
    let cases = [
        (&["b", "k"][..], "authorization", "Bearer abc"),
        (&["b", "k"], "x-api-key", "k3y"),
        (&["u"], "authorization", "Basic bWU6cGFzcyB3b3Jk"),
    ];
    for (names, header, value) in cases {
        post_with(&sender, &receiver.url(), names).await;
        let request = receiver.requests().pop().expect("a request");
        assert_eq!(request.header(header), Some(value));
        assert!(request.header("webhook-signature").is_some(), "its place signs");
    }
    post_with(&sender, &receiver.url(), &[]).await;
    let request = receiver.requests().pop().expect("a request");
    assert_eq!((request.header("authorization"), request.header("x-api-key")), (None, None));

    // Another workspace's secrets are not there.
    let request = hostline::delivery::AttemptRequest {
        id: id(),
        workspace: 1,
        webhook: Arc::new(naming(&receiver.url(), &["b"])),
        number: 1,
        policy: Default::default(),
    };
    let report = hostline::delivery::Sender::attempt(&sender, request).await;
    assert_eq!(unprepared(&report), "there is no secret `b` any more");
    assert_eq!(report.outcome.status(), Some(599));
}

/// A token endpoint that gives `t1`, `t2`, … and remembers how often it was asked.
fn endpoint(life_s: u32) -> (Receiver, Arc<AtomicUsize>) {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = asked.clone();
    let receiver = Receiver::start(move |_, peer| {
        while peer.read().is_some() {
            let number = counter.fetch_add(1, Ordering::SeqCst) + 1;
            let body = format!(
                r#"{{"access_token":"t{number}","token_type":"Bearer","expires_in":{life_s}}}"#
            );
            let length = body.len();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            peer.write(answer.as_bytes());
        }
    });
    (receiver, asked)
}

fn oauth2(url: &str, auth: &str) -> Value {
    json!({"name": "o", "kind": "oauth2", "token_url": url, "client_id": "me@x",
           "client_secret": "s3cr+t", "scope": "a b", "audience": "hooks", "auth": auth})
}

#[actix_rt::test]
async fn a_token_is_fetched_once_for_all() {
    for (auth, shown) in [("basic", None), ("body", Some("client_secret=s3cr%2Bt"))] {
        let receiver = Receiver::answering(OK);
        let (tokens, asked) = endpoint(3600);
        let vault = vault(&settings());
        keep(&vault, oauth2(&tokens.url(), auth)).await;
        let sender = sender_with(&settings(), &receiver.url(), vault);
        let url = receiver.url();
        let all = (0..10).map(|_| post_with(&sender, &url, &["o"]));
        for report in futures::future::join_all(all).await {
            assert_eq!(answered(&report).status, 200);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        let requests = receiver.requests();
        assert!(
            requests.iter().all(|request| request.header("authorization") == Some("Bearer t1"))
        );
        let request = tokens.requests().pop().expect("a request");
        let form = String::from_utf8(request.body.clone()).expect("text");
        assert!(
            form.starts_with("grant_type=client_credentials&scope=a+b&audience=hooks"),
            "{form}"
        );
        assert_eq!(request.header("content-type"), Some("application/x-www-form-urlencoded"));
        match shown {
            Some(field) => assert!(form.contains(field), "{form}"),
            // me%40x:s3cr%2Bt, encoded as RFC 6749 wants it.
            None => {
                let value = "Basic bWUlNDB4OnMzY3IlMkJ0";
                assert_eq!(request.header("authorization"), Some(value));
            }
        }
    }
}

#[actix_rt::test]
async fn a_token_that_is_refused_is_fetched_anew_within_the_attempt() {
    let receiver = Receiver::start(|_, peer| {
        while let Some(request) = peer.read() {
            let fresh = request.header("authorization") == Some("Bearer t2");
            peer.write(if fresh { OK } else { REFUSED });
        }
    });
    let (tokens, asked) = endpoint(3600);
    let vault = vault(&settings());
    keep(&vault, oauth2(&tokens.url(), "basic")).await;
    let sender = sender_with(&settings(), &receiver.url(), vault);
    // The first one is fresh: that it is refused is the receiver's last word.
    let report = post_with(&sender, &receiver.url(), &["o"]).await;
    assert_eq!(answered(&report).status, 401);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let report = post_with(&sender, &receiver.url(), &["o"]).await;
    assert_eq!(answered(&report).status, 200);
    assert_eq!((asked.load(Ordering::SeqCst), receiver.requests().len()), (2, 3));
}

#[actix_rt::test]
async fn without_a_token_nothing_goes_out() {
    let receiver = Receiver::answering(OK);
    let told = r#"{"error":"invalid_client","error_description":"s3cr+t is wrong"}"#;
    let head = format!("HTTP/1.1 401 No\r\ncontent-length: {}\r\n\r\n", told.len());
    let refusing = Receiver::answering(format!("{head}{told}"));
    let cases = [
        (refusing.url(), "answered 401 invalid_client"),
        ("http://127.0.0.1:1/".into(), "connection refused"),
        ("http://10.255.0.1/".into(), "sender.allow"),
        ("http://169.254.169.254/latest".into(), "sender.allow"),
    ];
    for (url, words) in cases {
        let vault = vault(&settings());
        keep(&vault, oauth2(&url, "body")).await;
        let sender = sender_with(&settings(), &receiver.url(), vault);
        for _ in 0..2 {
            let report = post_with(&sender, &receiver.url(), &["o"]).await;
            let reason = unprepared(&report);
            assert!(reason.starts_with("no token for `o` from "), "{reason}");
            assert!(reason.contains(words) && !reason.contains("s3cr"), "{reason}");
        }
    }
    // It was asked once: the second webhook came too soon after the failure.
    assert_eq!(refusing.requests().len(), 1);
    assert_eq!(receiver.connections(), 0);

    let silent = Receiver::start(|_, peer| while peer.read().is_some() {});
    let vault = vault(&settings());
    keep(&vault, oauth2(&silent.url(), "basic")).await;
    let sender = sender_with(&impatient(), &receiver.url(), vault);
    let report = post_with(&sender, &receiver.url(), &["o"]).await;
    assert!(unprepared(&report).contains("timed out"), "{:?}", report.outcome);
}

/// A receiver with a certificate for `localhost` that asks for one of `clients`.
fn wary_receiver(own: &Authority, clients: &Authority) -> (SocketAddr, Arc<AtomicUsize>) {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &own.0).expect("a certificate");
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(clients.0.der().clone()).expect("an authority");
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone()).build();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(verifier.expect("a verifier"))
        .with_single_cert(vec![certificate.der().clone()], key)
        .expect("a certificate");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            counter.fetch_add(1, Ordering::SeqCst);
            let connection = ServerConnection::new(Arc::clone(&config)).expect("a config");
            let mut stream = StreamOwned::new(connection, tcp.expect("accepted"));
            std::thread::spawn(move || {
                while read_request(&mut stream).is_some() && stream.write_all(OK).is_ok() {}
            });
        }
    });
    (address, connections)
}

fn client_certificate(authority: &Authority, place: &str) -> Value {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec!["client.example".to_owned()]).expect("a name");
    let certificate = params.signed_by(&key, &authority.0).expect("a certificate");
    json!({"kind": "client_certificate", "certificate": certificate.pem(),
           "key": key.serialize_pem(), "applies_to": [place]})
}

fn named(mut document: Value, name: &str) -> Value {
    document["name"] = name.into();
    document
}

#[actix_rt::test]
async fn a_client_certificate_is_shown_and_rotated() {
    let directory = tempfile::tempdir().expect("a directory");
    let (own, clients, strangers) =
        (Authority::new("own"), Authority::new("clients"), Authority::new("strangers"));
    let settings = own.settings(directory.path());
    let (address, connections) = wary_receiver(&own, &clients);
    let place = format!("localhost:{}", address.port());
    let url = format!("https://{place}/hook");
    let vault = vault(&settings);
    let sender = sender_with(&settings, &url, vault.clone());

    let report = post_with(&sender, &url, &[]).await;
    let wants = "TLS failed: the receiver wants a client certificate, and none is stored for it";
    assert_eq!(unanswered(&report), (wants, false));

    keep(&vault, named(client_certificate(&strangers, &place), "bank")).await;
    let report = post_with(&sender, &url, &[]).await;
    let reason = unanswered(&report).0;
    assert!(reason.starts_with("TLS failed: the receiver does not take our client"), "{reason}");

    let by = hostline::vault::By { workspace: 0, who: "test", address: None };
    let before = connections.load(Ordering::SeqCst);
    for turn in 1..3 {
        let document = client_certificate(&clients, &place);
        let document = serde_json::from_value(document).expect("known fields");
        vault.replace("bank", document, &by).await.expect("replaced");
        for _ in 0..3 {
            assert_eq!(answered(&post_with(&sender, &url, &[]).await).status, 200);
        }
        // A connection for each certificate, and no more.
        assert_eq!(connections.load(Ordering::SeqCst), before + turn);
    }
}

#[actix_rt::test]
async fn more_authorities_are_trusted_by_host_or_by_setting() {
    let directory = tempfile::tempdir().expect("a directory");
    let (known, other) = (Authority::new("known"), Authority::new("other"));
    let settings = known.settings(directory.path());
    let port = other.receiver("localhost").port();
    let url = format!("https://localhost:{port}/");
    let vault = vault(&settings);
    let sender = sender_with(&settings, &url, vault.clone());
    let untrusted = "TLS failed: the certificate's issuer is not trusted";
    assert_eq!(unanswered(&post_with(&sender, &url, &[]).await), (untrusted, false));
    let place = format!("localhost:{port}");
    let document = json!({"name": "ca", "kind": "ca", "certificates": other.0.pem(),
                          "applies_to": [place]});
    keep(&vault, document).await;
    assert_eq!(answered(&post_with(&sender, &url, &[]).await).status, 200);
    // The receiver serves one connection after the other.
    drop(sender);

    let extra = directory.path().join("extra.pem");
    std::fs::write(&extra, other.0.pem()).expect("written");
    for roots in [settings.sender.roots.clone(), Roots::Platform] {
        let mut settings = Settings::clone(&settings);
        (settings.sender.roots, settings.sender.extra_roots) = (roots, Some(extra.clone()));
        assert_eq!(answered(&post(&settings, &url).await).status, 200);
    }
}
