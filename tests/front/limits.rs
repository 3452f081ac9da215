//! What one client may take: sizes, depth, time, connections; and what browsers are told.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::open::{Open, PATIENCE, Reply, Wire, ask};

const GET: &str = "GET /v1/deliveries HTTP/1.1\r\nhost: shop.example\r\n";

fn post(body: &str) -> String {
    format!(
        "POST /v1/triggers HTTP/1.1\r\nhost: shop.example\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The last part of the problem's type.
fn slug(reply: &Reply) -> String {
    assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{reply:?}");
    let problem: serde_json::Value = serde_json::from_str(&reply.body).expect("JSON");
    assert_eq!(problem["status"], reply.status);
    problem["type"].as_str().expect("a type").trim_start_matches("/problems/").to_owned()
}

#[test]
fn heads_are_limited_in_lines_and_bytes() {
    let open = Open::new(|settings| {
        settings.server.max_headers = 10;
        settings.server.max_head = 2000;
    });
    let with = |lines: usize, value: usize| {
        let line = |number| format!("x-{number}: {}\r\n", "v".repeat(value));
        let lines: String = (0..lines).map(line).collect();
        ask(open.address, &format!("{GET}{lines}\r\n"))
    };
    assert_eq!(with(9, 1).status, 200);
    for refused in [with(10, 1), with(1, 2000), with(90, 1)] {
        assert_eq!((refused.status, slug(&refused).as_str()), (431, "head-too-large"));
        assert_eq!(refused.header("connection"), Some("close"));
    }
    let target = format!("GET /v1/{} HTTP/1.1\r\nhost: shop.example\r\n\r\n", "x".repeat(2000));
    assert_eq!(ask(open.address, &target).status, 431);
    // Past what the parser beneath has room for there is no problem, but an answer.
    assert!([400, 431].contains(&with(97, 1).status));
    assert_eq!(with(2, 70_000).status, 431);
}

#[test]
fn deep_json_is_refused_wherever_it_stands() {
    let open = Open::new(|settings| settings.server.max_json_depth = 10);
    let nest = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let trigger = |depth: usize| {
        format!(r#"{{"webhook":{{"url":"https://shop.example/","body":{}}}}}"#, nest(depth))
    };
    assert_eq!(ask(open.address, &post(&trigger(8))).status, 202);
    let refused = ask(open.address, &post(&trigger(9)));
    assert_eq!((refused.status, slug(&refused).as_str()), (400, "json-too-deep"));
    assert!(refused.body.contains("deeper than 10 at byte 5"), "{}", refused.body);
    let bomb = ask(open.address, &post(&"[".repeat(300_000)));
    assert_eq!(slug(&bomb), "json-too-deep");

    let batch = |kind: &str, body: &str| {
        let head = "POST /v1/triggers/batch HTTP/1.1\r\nhost: shop.example\r\ncontent-type: ";
        let length = body.len();
        ask(open.address, &format!("{head}{kind}\r\ncontent-length: {length}\r\n\r\n{body}"))
    };
    let lines = format!("{}\n{}\n{}\n", trigger(1), trigger(9), trigger(1));
    let answer = batch("application/x-ndjson", &lines);
    assert_eq!(answer.status, 207);
    assert!(answer.body.contains(r#""accepted":2,"refused":1"#), "{}", answer.body);
    assert_eq!(slug(&batch("application/json", &format!("[{}]", trigger(8)))), "json-too-deep");
    let campaign = format!(
        "PUT /v1/campaigns/deep HTTP/1.1\r\nhost: shop.example\r\ncontent-type: application/json\
         \r\ncontent-length: 22\r\n\r\n{}",
        nest(11)
    );
    assert_eq!(slug(&ask(open.address, &campaign)), "json-too-deep");
}

#[test]
fn a_body_that_trickles_is_cut_off() {
    let open = Open::new(|settings| {
        settings.server.request_timeout = Duration::from_millis(300);
    });
    for framing in ["content-length: 1000", "transfer-encoding: chunked"] {
        let mut wire = open.connect();
        let head = "POST /v1/triggers HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n";
        wire.send(format!("{head}{framing}\r\n\r\n").as_bytes());
        let refused = wire.reply().expect("an answer");
        assert_eq!((refused.status, slug(&refused).as_str()), (408, "request-timeout"));
        assert_eq!(refused.header("connection"), Some("close"), "{framing}");
        wire.finish();
        assert!(wire.is_closed(), "{framing}");
    }
    let mut wire = open.connect();
    let head = "POST /v1/triggers/batch HTTP/1.1\r\nhost: a\r\n\
                content-type: application/x-ndjson\r\ncontent-length: 1000\r\n\r\n";
    let line = "{\"webhook\":{\"url\":\"https://shop.example/\"}}\n{";
    wire.send(format!("{head}{line}").as_bytes());
    let answer = wire.reply().expect("an answer");
    assert_eq!(answer.status, 207);
    assert!(answer.body.contains(r#""accepted":1,"refused":1"#), "{}", answer.body);
    assert!(answer.body.contains("/problems/request-timeout"), "{}", answer.body);
}

#[test]
fn a_head_that_trickles_is_cut_off_also_after_a_whole_request() {
    let open = Open::new(|settings| {
        // Also a busy machine sends a whole head in this time.
        settings.server.client_timeout = Duration::from_secs(2);
    });
    let mut wire = open.connect();
    wire.send(GET.as_bytes());
    assert_eq!(wire.reply().expect("an answer").status, 408);
    assert!(wire.is_closed());

    let mut wire = open.connect();
    for _ in 0..3 {
        wire.send(format!("{GET}\r\n").as_bytes());
        assert_eq!(wire.reply().expect("an answer").status, 200);
    }
    let began = Instant::now();
    wire.send(b"G");
    assert!(wire.is_closed());
    // keep_alive, which would end it too, is 75 s.
    assert!(began.elapsed() < PATIENCE);
}

#[test]
fn a_connection_without_a_request_is_closed_in_time() {
    let open = Open::new(|settings| settings.server.keep_alive = Duration::from_secs(1));
    let mut wire = open.connect();
    wire.send(format!("{GET}\r\n").as_bytes());
    assert_eq!(wire.reply().expect("an answer").status, 200);
    assert!(wire.is_closed());
}

#[test]
fn an_answer_that_is_not_taken_is_cut_off() {
    let open = Open::new(|settings| {
        settings.server.request_timeout = Duration::from_millis(300);
        settings.server.max_connections = 1;
    });
    let greedy = open.connect();
    let requests = format!("{GET}\r\n").repeat(100);
    let mut greedy = Wire::new(greedy.stream);
    greedy.stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    // Answers are not read, until the server cannot write any more and so reads nothing either.
    use std::io::Write;
    let stuffed = (0..20_000).any(|_| greedy.stream.write_all(requests.as_bytes()).is_err());
    assert!(stuffed, "the server takes requests without end");
    wait_until_free(&open);
}

/// Waits until another connection is served.
fn wait_until_free(open: &Open) {
    let began = Instant::now();
    while ask(open.address, &format!("{GET}connection: close\r\n\r\n")).status != 200 {
        assert!(began.elapsed() < PATIENCE, "the place is not given back");
    }
}

#[test]
fn connections_past_the_limit_are_told_and_closed() {
    let open = Open::new(|settings| settings.server.max_connections = 2);
    let mut held: Vec<Wire<TcpStream>> = (0..2).map(|_| open.connect()).collect();
    for wire in &mut held {
        wire.send(format!("{GET}\r\n").as_bytes());
        assert_eq!(wire.reply().expect("an answer").status, 200);
    }
    let mut third = open.connect();
    third.send(format!("{GET}\r\n").as_bytes());
    let refused = third.reply().expect("an answer");
    assert_eq!((refused.status, slug(&refused).as_str()), (503, "too-many-connections"));
    assert_eq!(refused.header("retry-after"), Some("5"));
    third.finish();
    assert!(third.is_closed());
    held.pop();
    wait_until_free(&open);
}

#[test]
fn early_refusals_leave_no_sockets_behind() {
    let open = Open::new(|_| {});
    for _ in 0..50 {
        let mut wire = open.connect();
        let head = "POST /v1/triggers HTTP/1.1\r\nhost: a\r\ncontent-length: 900000000\r\n\
                    content-type: application/json\r\n\r\n";
        wire.send(head.as_bytes());
        wire.send(&vec![b'x'; 200_000]);
        let reply = wire.reply().expect("the answer comes before the reset");
        assert_eq!(reply.status, 413);
    }
    let began = Instant::now();
    while sockets(open.address.port()) > 0 {
        assert!(began.elapsed() < PATIENCE, "{} sockets are left", sockets(open.address.port()));
        std::thread::yield_now();
    }
}

/// Sockets of a local port that are not over: in CLOSE_WAIT (08), ESTABLISHED (01), LAST_ACK (09).
fn sockets(port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
    let local = format!(":{port:04X}");
    let is_ours = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.len() > 3 && words[1].ends_with(&local) && ["01", "08", "09"].contains(&words[3])
    };
    table.lines().filter(is_ours).count()
}

#[test]
fn every_answer_is_closed_to_browsers_and_caches() {
    let open = Open::new(|settings| settings.server.max_headers = 10);
    let many = "x: y\r\n".repeat(20);
    for request in [
        format!("{GET}\r\n"),
        "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "GET /nowhere HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        "DELETE /v1/stats HTTP/1.1\r\nhost: a\r\n\r\n".into(),
        format!("{GET}{many}\r\n"),
        post("{}"),
    ] {
        let reply = ask(open.address, &request);
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("cache-control", "no-store"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(reply.header(name), Some(value), "{request}: {}", reply.head);
        }
        // Not without TLS (RFC 6797, 7.2).
        assert_eq!(reply.header("strict-transport-security"), None);
    }
}

fn preflight(origin: &str) -> String {
    format!(
        "OPTIONS /v1/triggers HTTP/1.1\r\nhost: shop.example\r\norigin: {origin}\r\n\
         access-control-request-method: POST\r\n\
         access-control-request-headers: authorization, content-type\r\n\r\n"
    )
}

fn allowed(reply: &Reply) -> Option<&str> {
    reply.header("access-control-allow-origin")
}

#[test]
fn pages_of_other_origins_get_nothing_unless_they_are_named() {
    let closed = Open::new(|_| {});
    let refused = ask(closed.address, &preflight("https://tools.example"));
    assert_eq!((refused.status, allowed(&refused)), (405, None));
    let read = ask(closed.address, &format!("{GET}origin: https://tools.example\r\n\r\n"));
    assert_eq!((read.status, allowed(&read)), (200, None));

    let open = Open::new(|settings| {
        settings.server.cors_origins = vec!["https://tools.example".into()];
    });
    let granted = ask(open.address, &preflight("https://tools.example"));
    assert_eq!((granted.status, allowed(&granted)), (200, Some("https://tools.example")));
    assert!(granted.header("access-control-allow-headers").unwrap().contains("authorization"));
    assert_eq!(granted.header("access-control-allow-credentials"), None);
    let read = ask(open.address, &format!("{GET}origin: https://tools.example\r\n\r\n"));
    assert_eq!(allowed(&read), Some("https://tools.example"));
    let other = ask(open.address, &preflight("https://evil.example"));
    assert_eq!((other.status, allowed(&other)), (400, None));
}

#[test]
fn pages_of_other_origins_cannot_change_anything() {
    let open = Open::new(|settings| {
        settings.server.cors_origins = vec!["https://tools.example".into()];
    });
    // What a page can send without asking first: no body, no content type.
    let pause = |origin: &str| {
        let head = "POST /v1/hosts/shop.example/pause HTTP/1.1\r\nhost: ops.example:8080\r\n";
        ask(open.address, &format!("{head}{origin}content-length: 0\r\n\r\n"))
    };
    for origin in ["https://evil.example", "null", "http://ops.example"] {
        let refused = pause(&format!("origin: {origin}\r\n"));
        assert_eq!((refused.status, slug(&refused).as_str()), (403, "origin-not-allowed"));
    }
    for origin in ["", "origin: https://tools.example\r\n", "origin: http://ops.example:8080\r\n"] {
        assert_eq!(pause(origin).status, 200, "{origin}");
    }
}

#[test]
fn the_administration_has_an_address_of_its_own() {
    let open = Open::new(|settings| {
        settings.server.admin_listen = Some("127.0.0.1:0".parse().unwrap());
    });
    let admin = open.admin.expect("an address");
    let get = |address, path: &str| {
        ask(address, &format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).status
    };
    assert_eq!(get(open.address, "/v1/stats"), 200);
    assert_eq!(get(open.address, "/healthz"), 200);
    assert_eq!(get(open.address, "/metrics"), 404);
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(get(admin, path), 200, "{path}");
    }
    assert_eq!(get(admin, "/v1/stats"), 404);
    assert_eq!(get(Open::new(|_| {}).address, "/metrics"), 200);
}
