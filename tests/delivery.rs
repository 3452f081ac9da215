//! The real binary against real receivers: bytes, signatures, pace, isolation, refused addresses,
//! what survives a kill.

mod process;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use hostline::cli::receiver::{
    Behaviour, Fate, Limit, LimitHeaders, Received, Receiver as Misbehaving,
};
use hostline::model::Timestamp;
use process::{PATIENCE, Receiver, Server};
use serde_json::{Value, json};

const OK: process::Reply = (200, "", Duration::ZERO);

fn start(set: &[&str]) -> (tempfile::TempDir, Server) {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), set);
    (data, server)
}

/// Sends `count` triggers in one batch; answers their ids.
fn batch(server: &Server, url: &str, count: usize) -> Vec<String> {
    let lines: String = (0..count)
        .map(|number| format!("{{\"webhook\":{{\"url\":\"{url}\",\"body\":{number}}}}}\n"))
        .collect();
    let headers = [("content-type", "application/x-ndjson")];
    let answer = server.send("POST", "/v1/triggers/batch", &headers, lines.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());
    let rows = answer.json()["data"].as_array().expect("results").clone();
    let id = |row: &Value| row["deliveries"][0]["id"].as_str().expect("an id").to_owned();
    rows.iter().map(id).collect()
}

#[test]
fn what_arrives_is_what_was_asked_byte_for_byte() {
    let (data, server) = start(&["log.level=trace"]);
    let receiver = Receiver::start(|_| OK);
    let odd = r#"{ "a" : 1.50, "a":12345678901234567890123, "é":"\u00e9\/" ,"n":[ ]}"#;
    let cases = [
        ("POST", format!(r#""body":{odd}"#), odd.as_bytes().to_vec(), "application/json"),
        (
            "PUT",
            r#""body":"plain ☃ text""#.into(),
            "plain ☃ text".into(),
            "text/plain; charset=utf-8",
        ),
        ("POST", r#""body_base64":"AAH/\/g==""#.into(), vec![0, 1, 255, 254], ""),
        ("POST", r#""body":"x","body_type":"json""#.into(), b"\"x\"".to_vec(), "application/json"),
        ("GET", String::new(), Vec::new(), ""),
        ("DELETE", String::new(), Vec::new(), ""),
        (
            "DELETE",
            r#""body":{"a":1},"delete_with_body":true"#.into(),
            b"{\"a\":1}".to_vec(),
            "application/json",
        ),
    ];
    for (number, (method, body, bytes, kind)) in cases.into_iter().enumerate() {
        let comma = if body.is_empty() { "" } else { "," };
        let url =
            receiver.url(&format!("/{number}?q=a%20b")).replace("http://", "http://me:s%40cret@");
        let trigger = format!(
            r#"{{"webhook":{{"method":"{method}","url":"{url}","headers":{{"X-Own":"yes"}}{comma}{body}}}}}"#
        );
        let headers = [
            ("content-type", "application/json"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ];
        let answer = server.send("POST", "/v1/triggers", &headers, trigger.as_bytes());
        assert_eq!(answer.status, 202, "{}", answer.text());
        receiver.wait_for(number + 1);
        let arrival = receiver.arrivals()[number].clone();
        assert_eq!((arrival.method.as_str(), &arrival.body), (method, &bytes), "{trigger}");
        assert_eq!(arrival.path, format!("/{number}?q=a%20b"));
        let header = |name: &str| arrival.headers.get(name).map(String::as_str).unwrap_or_default();
        assert_eq!(header("authorization"), "Basic bWU6c0BjcmV0", "me:s@cret");
        assert_eq!(header("x-own"), "yes");
        assert!(header("traceparent").starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert!(header("user-agent").starts_with("Hostline/"));
        assert!(header("webhook-timestamp").parse::<u64>().is_ok());
        if !kind.is_empty() {
            assert_eq!(header("content-type"), kind, "{trigger}");
        }
        let shown = server.wait_for(&arrival.id, &["delivered"]).to_string();
        assert!(!shown.contains("s@cret") && !shown.contains("bWU6"), "{shown}");
    }
    let log = std::fs::read_to_string(data.path().join("log")).expect("a log");
    for secret in ["s@cret", "s%40cret", "bWU6c0BjcmV0", "plain ☃ text"] {
        assert!(!log.contains(secret), "the log shows {secret}");
    }
}

#[test]
fn a_configured_secret_signs_and_two_sign_during_a_rotation() {
    let new = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    let old = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let secrets = format!("secrets.main=[\"{new}\",\"{old}\"]");
    let (_data, server) = start(&[&secrets, "signing.secret=main"]);
    for secret in [new, old] {
        let secret = hostline::config::parse_secret(secret).expect("a secret");
        let behaviour = Behaviour { secret: Some(secret.into()), ..Behaviour::default() };
        let receiver =
            Misbehaving::start(([127, 0, 0, 1], 0).into(), behaviour).expect("it starts");
        let id = server.trigger(&format!("http://{}/", receiver.address()), r#"{"a":1}"#);
        let shown = server.wait_for(&id, &["delivered", "failed"]);
        assert_eq!(shown["state"], "delivered", "{shown}");
    }
}

#[test]
fn the_webhook_id_is_the_same_on_every_attempt() {
    let (_data, server) = start(&["retry.base=100ms"]);
    let receiver =
        Receiver::start(|number| if number < 2 { (500, "", Duration::ZERO) } else { OK });
    let id = server.trigger(&receiver.url("/"), "1");
    let shown = server.wait_for(&id, &["delivered"]);
    assert!(receiver.arrivals().iter().all(|arrival| arrival.id == id));
    let statuses: Vec<&Value> =
        shown["attempts"].as_array().expect("attempts").iter().map(|one| &one["status"]).collect();
    assert_eq!(statuses, [500, 500, 200]);
}

/// What came of sending to a limited receiver.
struct Paced {
    refused: u64,
    seconds: f64,
    /// Share of what the host allowed that was used, from the end of the first second on.
    used: f64,
}

/// Sends `count` at once to a receiver that allows `rate` a second.
fn paced(says: LimitHeaders, rate: f64, count: usize) -> Paced {
    let (_data, server) = start(&[]);
    let limit = Limit::per_second(rate);
    let behaviour = Behaviour { limit: Some(limit), limit_headers: says, ..Behaviour::default() };
    let (seen, arrivals) = std::sync::mpsc::channel();
    let observer = Box::new(move |received: &Received| {
        let _gone = seen.send((received.at, received.fate));
    });
    let address = ([127, 0, 0, 1], 0).into();
    let receiver = Misbehaving::start_observed(address, behaviour, observer).expect("it starts");
    let begun = Instant::now();
    batch(&server, &format!("http://{}/", receiver.address()), count);
    while receiver.counts().accepted_ids < count as u64 {
        assert!(begun.elapsed() < PATIENCE, "{:?}", receiver.counts());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    let refused = receiver.counts().by_status.get(&429).copied().unwrap_or(0);
    let accepted: Vec<f64> = {
        let all: Vec<(Timestamp, Fate)> = arrivals.try_iter().collect();
        let first = all.first().expect("an arrival").0;
        let accepted = all.iter().filter(|(_, fate)| *fate == Fate::Answered(200));
        accepted.map(|(at, _)| first.until(*at).as_secs_f64()).collect()
    };
    let used = share_used(&accepted, limit);
    Paced { refused, seconds: begun.elapsed().as_secs_f64(), used }
}

/// Share of a token bucket's refill that was used after the first second. What the bucket gave away
/// at first, its burst, is no part of it, whenever it is drawn.
fn share_used(accepted: &[f64], limit: Limit) -> f64 {
    let burst = f64::from(limit.burst);
    let (mut tokens, mut at, mut overflown) = (burst, 0.0_f64, 0.0);
    for time in accepted {
        let full = tokens + (time - at) * limit.per_second;
        if *time > 1.0 {
            overflown += (full - burst).max(0.0);
        }
        (tokens, at) = (full.min(burst) - 1.0, *time);
    }
    1.0 - overflown / ((at - 1.0) * limit.per_second)
}

#[test]
fn a_host_that_names_its_limit_is_used_up_to_it_and_hardly_overrun() {
    for says in [LimitHeaders::XRateLimit, LimitHeaders::Draft] {
        let paced = paced(says, 100.0, 1_000);
        let Paced { refused, seconds, used } = paced;
        println!("{says:?}: {seconds:.1} s, {used:.3} used, {refused} refused");
        assert!(refused <= 2, "{says:?}: {refused} refused");
        assert!(used >= 0.95, "{says:?}: {used:.3} used");
        assert!(seconds <= 11.0, "{says:?}: {seconds:.1} s");
    }
}

#[test]
fn a_host_that_only_says_retry_after_is_held_near_its_limit() {
    let Paced { refused, seconds, used } = paced(LimitHeaders::RetryAfter, 100.0, 2_000);
    println!("{seconds:.1} s, {used:.3} used, {refused} refused");
    assert!(refused <= 20, "{refused} refused");
    assert!(used >= 0.95, "{used:.3} used");
    assert!(seconds <= 22.0, "{seconds:.1} s");
}

#[test]
fn a_static_limit_holds_and_an_operator_may_change_it() {
    let (_data, server) = start(&["limits.requests_per_second=20", "limits.burst=1"]);
    let receiver = Receiver::start(|_| OK);
    let begun = Instant::now();
    batch(&server, &receiver.url("/"), 20);
    receiver.wait_for(20);
    assert!(begun.elapsed() >= Duration::from_millis(930), "{:?}", begun.elapsed());
    let path = format!("/v1/hosts/{}", receiver.host());
    let patch = json!({"limits": {"requests_per_second": 1000.0, "burst": 100}});
    let json_type = [("content-type", "application/json")];
    let answer = server.send("PATCH", &path, &json_type, patch.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.text());
    let begun = Instant::now();
    batch(&server, &receiver.url("/"), 100);
    receiver.wait_for(120);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[test]
fn fifty_thousand_for_a_dead_host_cost_a_healthy_one_nothing() {
    let (_data, server) = start(&["sender.timeout=5s"]);
    // Bound and never accepted from: connections succeed and nothing is ever answered.
    let dead = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", dead.local_addr().expect("bound"));
    let ids = batch(&server, &url, 50_000);
    let receiver = Receiver::start(|_| OK);
    let begun = Instant::now();
    batch(&server, &receiver.url("/"), 200);
    receiver.wait_for(200);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
    let status = status.expect("a process");
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a figure");
    let kib: u64 = rss.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(kib < 400 << 10, "{kib} KiB");
    let shown = server.get(&format!("/v1/deliveries/{}", ids[49_999])).json();
    assert_eq!(shown["state"], "waiting", "{shown}");
    assert!(shown["ahead"].as_u64().is_some_and(|ahead| ahead > 40_000), "{shown}");
    assert!(!shown["reason"].as_str().unwrap_or_default().is_empty());
}

#[test]
fn addresses_that_are_not_allowed_are_never_connected_to() {
    let (_data, server) = start(&["sender.allow=[]"]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let port = listener.local_addr().expect("bound").port();
    let hosts = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "10.0.0.1",
        "192.168.1.1",
        "[fd00::1]",
        "0.0.0.0",
    ];
    for host in hosts {
        let id = server.trigger(&format!("http://{host}:{port}/"), "1");
        let shown = server.wait_for(&id, &["failed", "delivered", "exhausted"]);
        assert_eq!(shown["state"], "failed", "{host}: {shown}");
        assert_eq!(shown["attempts"][0]["outcome"], "blocked", "{host}: {shown}");
        let reason = shown["attempts"][0]["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("sender.allow"), "{host}: {reason}");
    }
    let connected = listener.accept();
    assert!(connected.is_err(), "connected to by {connected:?}");
}

#[test]
fn ports_other_than_the_allowed_ones_are_refused_at_the_door() {
    let (_data, server) = start(&["sender.ports=[80, 443]"]);
    let answer = server.post("/v1/triggers", r#"{"webhook":{"url":"http://a.example:22/"}}"#);
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("sender.ports"), "{}", answer.text());
}

/// A receiver that writes these pieces, with a pause between them, whatever is sent to it.
fn raw(pieces: &'static [&'static [u8]], pause: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            std::thread::spawn(move || {
                let mut request = [0; 4096];
                let _read = stream.read(&mut request);
                for piece in pieces {
                    if stream.write_all(piece).is_err() {
                        return;
                    }
                    std::thread::park_timeout(pause);
                }
            });
        }
    });
    format!("http://{address}/")
}

#[test]
fn receivers_that_misbehave_cost_their_own_deliveries_only() {
    let (_data, server) = start(&[
        "sender.timeout=500ms",
        "retry.retries=0",
        "limits.in_flight=4",
        "health.cooldown=1s",
    ]);
    let slow = Duration::from_millis(200);
    let cases: Vec<(&str, String, Value)> = vec![
        ("never answers", raw(&[b""], Duration::from_secs(20)), json!(599)),
        ("drips its head", raw(&[b"H", b"T", b"T", b"P", b"/", b"1", b"."], slow), json!(599)),
        ("closes at once", raw(&[], Duration::ZERO), json!(599)),
        ("malformed", raw(&[b"HELLO\r\n\r\n"], Duration::ZERO), json!(599)),
        (
            "wrong length",
            raw(&[b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc"], Duration::ZERO),
            json!(599),
        ),
        (
            "early hints",
            raw(
                &[b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"],
                Duration::ZERO,
            ),
            json!(200),
        ),
    ];
    let good = Receiver::start(|_| OK);
    for (name, url, status) in cases {
        let ids: Vec<String> = (0..6).map(|_| server.trigger(&url, "1")).collect();
        let begun = Instant::now();
        let neighbour = server.trigger(&good.url("/"), "1");
        server.wait_for(&neighbour, &["delivered"]);
        assert!(begun.elapsed() < Duration::from_secs(2), "{name}: {:?}", begun.elapsed());
        // More than fit in flight, so the slots of the first must have been freed.
        for id in ids {
            let shown = server.wait_for(&id, &["delivered", "exhausted"]);
            assert_eq!(shown["attempts"][0]["status"], status, "{name}: {shown}");
            let reason = shown["attempts"][0]["reason"].as_str().unwrap_or_default();
            assert!(!reason.is_empty(), "{name}");
        }
    }
}

#[test]
fn an_endless_answer_is_cut_and_counts() {
    let (_data, server) = start(&[]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("bound"));
    std::thread::spawn(move || {
        let Ok((mut stream, _)) = listener.accept() else { return };
        let _read = stream.read(&mut [0; 4096]);
        let _head = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
        // Bounded, should the sender never hang up.
        for _ in 0..100_000 {
            if stream.write_all(&[b'x'; 4096]).is_err() {
                return;
            }
        }
    });
    let id = server.trigger(&url, "1");
    let shown = server.wait_for(&id, &["delivered"]);
    assert_eq!(shown["attempts"][0]["response"]["body_truncated"], true, "{shown}");
}

#[test]
fn what_was_promised_survives_a_kill() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    let receiver = Receiver::start(|_| OK);
    let other = Receiver::start(|number| if number == 0 { (404, "", Duration::ZERO) } else { OK });
    let later = json!({"webhook": {"url": receiver.url("/later")}, "delay": "3s"});
    let keyed = json!({"webhook": {"url": receiver.url("/keyed")}}).to_string();
    let idempotent = [("content-type", "application/json"), ("idempotency-key", "\"a\"")];
    let first = server.send("POST", "/v1/triggers", &idempotent, keyed.as_bytes()).json();
    assert_eq!(server.post("/v1/triggers", &later.to_string()).status, 202);
    let ordered = |number: u32| {
        json!({"webhook": {"url": other.url("/"), "body": number}, "ordering_key": "k",
            "on_failure": "block"})
    };
    let blocked: Vec<String> = (0..3)
        .map(|number| {
            let answer = server.post("/v1/triggers", &ordered(number).to_string()).json();
            answer["deliveries"][0]["id"].as_str().expect("an id").to_owned()
        })
        .collect();
    server.wait_for(&blocked[0], &["failed"]);
    server.post(&format!("/v1/hosts/{}/pause", receiver.host()), r#"{"reason":"a test"}"#);
    server.kill();

    let server = Server::start(data.path(), &[]);
    let again = server.send("POST", "/v1/triggers", &idempotent, keyed.as_bytes()).json();
    assert_eq!(first, again, "the key is remembered");
    let host = server.get(&format!("/v1/hosts/{}", receiver.host())).json();
    assert_eq!(host["controls"]["paused"], true, "{host}");
    let shown = server.wait_for(&blocked[1], &["waiting"]);
    assert_eq!(shown["waits_for"], "order", "{shown}");
    assert_eq!(server.post(&format!("/v1/deliveries/{}/skip", blocked[0]), "").status, 200);
    for id in &blocked[1..] {
        server.wait_for(id, &["delivered"]);
    }
    let bodies: Vec<String> = other
        .arrivals()
        .iter()
        .map(|arrival| String::from_utf8_lossy(&arrival.body).into_owned())
        .collect();
    assert_eq!(bodies, ["0", "1", "2"], "in order of acceptance");
    server.post(&format!("/v1/hosts/{}/resume", receiver.host()), "");
    let started = Instant::now();
    while !receiver.arrivals().iter().any(|arrival| arrival.path == "/later") {
        assert!(started.elapsed() < PATIENCE);
        std::thread::park_timeout(Duration::from_millis(10));
    }
}
