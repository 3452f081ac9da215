//! The routes on the real binary: every wrong request is answered with a problem that names what
//! was wrong, and the server is unharmed; what is right is accepted once.

mod process;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use process::{PATIENCE, Receiver, Server};
use serde_json::{Value, json};

fn server() -> (tempfile::TempDir, Server) {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    (data, server)
}

/// Status, stable type and pointers of a problem.
fn problem(answer: &process::Answer) -> (u16, String, Vec<String>) {
    let kind = answer.headers.get("content-type").map(String::as_str);
    assert_eq!(kind, Some("application/problem+json"), "{}", answer.text());
    let problem = answer.json();
    assert_eq!(problem["status"], answer.status);
    assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    let pointers = problem["errors"].as_array().cloned().unwrap_or_default();
    let pointers =
        pointers.iter().map(|error| error["pointer"].as_str().unwrap_or_default().into());
    (answer.status, problem["type"].as_str().unwrap_or_default().to_owned(), pointers.collect())
}

#[test]
fn a_wrong_trigger_is_refused_with_the_field() {
    let (_data, server) = server();
    let hook = |more: &str| format!(r#"{{"webhook":{{"url":"http://127.0.0.1:9/"{more}}}}}"#);
    let url = |url: &str| json!({"webhook": {"url": url}}).to_string();
    let top = |more: &str| format!(r#"{{"webhook":{{"url":"http://127.0.0.1:9/"}}{more}}}"#);
    let cases: Vec<(String, &str)> = vec![
        ("{}".into(), "/webhook"),
        (url("ftp://a/"), "/webhook/url"),
        (url("/relative"), "/webhook/url"),
        (url("http://"), "/webhook/url"),
        (url(&format!("http://a/{}", "x".repeat(9000))), "/webhook/url"),
        (hook(r#","method":"PATCH""#), "/webhook/method"),
        (hook(r#","method":"GET","body":{"a":1}"#), "/webhook/body"),
        (hook(r#","method":"DELETE","body":{"a":1}"#), "/webhook/body"),
        (hook(r#","bdoy":{}"#), "/webhook/bdoy"),
        (hook(r#","headers":{"a b":"c"}"#), "/webhook/headers"),
        (hook(r#","headers":{"a":"b\r\nc: d"}"#), "/webhook/headers"),
        (hook(r#","headers":{"host":"b"}"#), "/webhook/headers"),
        (hook(r#","headers":{"transfer-encoding":"chunked"}"#), "/webhook/headers"),
        (hook(r#","body_base64":"***""#), "/webhook/body_base64"),
        (hook(r#","secret_ref":"nobody""#), "/webhook/secret_ref"),
        (top(r#","delay":"5""#), "/delay"),
        (top(r#","delay":"5m","deliver_at":"2030-01-01T00:00:00Z""#), "/d"),
        (top(r#","deliver_at":"tomorrow""#), "/deliver_at"),
        (top(r#","ttl":"-1s""#), "/ttl"),
        (top(r#","priority":"urgent""#), "/priority"),
        (top(r#","ordering_key":"""#), "/ordering_key"),
        (top(r#","metadata":{"a":1}"#), "/metadata"),
        (top(r#","colour":"red""#), "/colour"),
    ];
    for (body, pointer) in cases {
        let answer = server.post("/v1/triggers", &body);
        let (status, _, pointers) = problem(&answer);
        assert_eq!(status, 400, "{body}: {}", answer.text());
        let named = pointers.iter().any(|named| named.starts_with(pointer));
        // A secret may be named at the trigger or at its webhook.
        let named = named || (pointer == "/webhook/secret_ref" && !pointers.is_empty());
        assert!(named, "{body}: {pointers:?} {}", answer.text());
    }
    assert_eq!(server.get("/v1/stats").json()["deliveries"]["accepted"], 0);
}

#[test]
fn requests_that_are_no_triggers_at_all() {
    let (_data, server) = server();
    let json = [("content-type", "application/json")];
    let send = |body: &[u8]| server.send("POST", "/v1/triggers", &json, body);
    assert_eq!(problem(&send(b"{\"webhook\":")).0, 400);
    assert_eq!(problem(&send(b"")).0, 400);
    assert_eq!(problem(&send(b"\xff\xfe")).0, 400);
    let deep = format!(
        r#"{{"webhook":{{"url":"http://a/","body":{}{}}}}}"#,
        "[".repeat(10_000),
        "]".repeat(10_000)
    );
    assert_eq!(problem(&send(deep.as_bytes())).0, 400);
    let large = json!({"webhook": {"url": "http://a/", "body": "x".repeat((1 << 20) + 1)}});
    let (status, _, _) = problem(&send(large.to_string().as_bytes()));
    assert!([400, 413].contains(&status), "{status}");
    let plain = server.send("POST", "/v1/triggers", &[("content-type", "text/plain")], b"{}");
    assert_eq!(problem(&plain).0, 415);
    assert_eq!(problem(&server.get("/v1/nowhere")).0, 404);
    let wrong = server.send("PUT", "/v1/triggers", &json, b"{}");
    assert_eq!(problem(&wrong).0, 405);
    assert!(wrong.headers.contains_key("allow"));
    assert_eq!(server.get("/healthz").status, 200);
}

#[test]
fn wrong_ids_and_parameters_are_told() {
    let (_data, server) = server();
    let id = "01a20dac-f141-84a4-8000-03c85d6aafa7";
    assert_eq!(problem(&server.get(&format!("/v1/deliveries/{id}"))).0, 404);
    for path in ["/v1/deliveries/x", "/v1/deliveries/a%2Fb", "/v1/deliveries/a/b/c"] {
        let (status, _, _) = problem(&server.get(path));
        assert!([400, 404].contains(&status), "{path}: {status}");
    }
    for query in ["limit=0", "limit=x", "after=garbage", "state=lost", "from=monday", "colour=1"] {
        let answer = server.get(&format!("/v1/deliveries?{query}"));
        let (status, _, _) = problem(&answer);
        assert_eq!(status, 400, "{query}: {}", answer.text());
        let name = query.split('=').next().unwrap_or_default();
        assert!(answer.text().contains(name), "{query}: {}", answer.text());
    }
    assert_eq!(problem(&server.get("/v1/hosts/nobody.example")).0, 404);
    assert_eq!(problem(&server.get("/v1/hosts?sort=colour")).0, 400);
    for action in ["redrive", "skip"] {
        let answer = server.post(&format!("/v1/deliveries/{id}/{action}"), "");
        assert_eq!(problem(&answer).0, 404, "{action}");
    }
    let answer = server.send("DELETE", &format!("/v1/deliveries/{id}"), &[], b"");
    assert_eq!(problem(&answer).0, 404);
    assert_eq!(problem(&server.post("/v1/redrives", r#"{"action":"sing"}"#)).0, 400);
    let json = [("content-type", "application/json")];
    let patch = br#"{"policy":{"limits":{"in_flight":0}}}"#;
    let answer = server.send("PATCH", "/v1/hosts/shop.example", &json, patch);
    let (status, _, _) = problem(&answer);
    assert!([400, 404].contains(&status), "{}", answer.text());
}

#[test]
fn an_idempotency_key_makes_a_repeat_safe() {
    let (_data, server) = server();
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let body = format!(r#"{{"webhook":{{"url":"{}"}}}}"#, receiver.url("/"));
    let headers = [("content-type", "application/json"), ("idempotency-key", "k-1")];
    let first = server.send("POST", "/v1/triggers", &headers, body.as_bytes());
    let again = server.send("POST", "/v1/triggers", &headers, body.as_bytes());
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.json(), again.json());
    let other =
        server.send("POST", "/v1/triggers", &headers, body.replace("/\"", "/b\"").as_bytes());
    assert_eq!(problem(&other).0, 422);
    receiver.wait_for(1);
    assert_eq!(server.get("/v1/stats").json()["deliveries"]["accepted"], 1);
}

#[test]
fn one_bad_item_of_a_batch_does_not_lose_the_rest() {
    let (_data, server) = server();
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let good = format!(r#"{{"webhook":{{"url":"{}","body":{{}}}}}}"#, receiver.url("/"));
    let bad = r#"{"webhook":{"url":"nowhere"}}"#;
    for (kind, body) in [
        ("application/json", format!("[{good},{bad},{good}]")),
        ("application/x-ndjson", format!("{good}\n{bad}\n{good}\n")),
    ] {
        let headers = [("content-type", kind)];
        let answer = server.send("POST", "/v1/triggers/batch", &headers, body.as_bytes());
        assert_eq!(answer.status, 207, "{}", answer.text());
        let results = answer.json();
        assert_eq!((&results["accepted"], &results["refused"]), (&json!(2), &json!(1)));
        let pointer = &results["data"][1]["problem"]["errors"][0]["pointer"];
        assert!(pointer.as_str().is_some_and(|at| at.ends_with("/webhook/url")), "{results}");
    }
    receiver.wait_for(4);
}

#[test]
fn lists_page_and_filter() {
    let (_data, server) = server();
    let receiver =
        Receiver::start(|number| (if number % 2 == 0 { 200 } else { 404 }, "", Duration::ZERO));
    let ids: Vec<String> = (0..10)
        .map(|number| {
            let body = json!({
                "webhook": {"url": receiver.url("/"), "body": number},
                "metadata": {"parity": if number < 5 { "low" } else { "high" }},
            });
            let answer = server.post("/v1/triggers", &body.to_string());
            assert_eq!(answer.status, 202, "{}", answer.text());
            let id = answer.json()["deliveries"][0]["id"].as_str().expect("an id").to_owned();
            server.wait_for(&id, &["delivered", "failed"]);
            id
        })
        .collect();
    let mut seen: Vec<String> = Vec::new();
    let mut path = "/v1/deliveries?limit=4".to_owned();
    loop {
        let page = server.get(&path).json();
        let rows = page["data"].as_array().expect("rows").clone();
        seen.extend(rows.iter().map(|row| row["id"].as_str().expect("an id").to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/deliveries?limit=4&after={next}");
    }
    assert_eq!(seen, ids.iter().rev().cloned().collect::<Vec<_>>(), "newest first, each once");
    let count = |query: &str| {
        let answer = server.get(&format!("/v1/deliveries?{query}"));
        answer.json()["data"].as_array().unwrap_or_else(|| panic!("{}", answer.text())).len()
    };
    assert_eq!(count("state=failed"), 5);
    assert_eq!(count("state=failed,delivered"), 10);
    assert_eq!(count("metadata.parity=low"), 5);
    assert_eq!(count(&format!("host={}", receiver.host())), 10);
    assert_eq!(count("host=nobody.example"), 0);
    let trigger = server.get(&format!("/v1/deliveries/{}", ids[3])).json()["trigger"].clone();
    assert_eq!(count(&format!("trigger={}", trigger.as_str().expect("an id"))), 1);
    let dry = json!({"action": "redrive", "dry_run": true,
        "filter": {"host": receiver.host(), "states": ["failed"]}});
    let counted = server.post("/v1/redrives", &dry.to_string());
    assert!(counted.text().contains('5'), "{}", counted.text());
    let real = json!({"action": "redrive",
        "filter": {"host": receiver.host(), "states": ["failed"]}});
    assert_eq!(server.post("/v1/redrives", &real.to_string()).status, 202);
    receiver.wait_for(15);
}

#[test]
fn a_client_that_sends_nothing_or_goes_away_harms_nobody() {
    let (_data, server) = server();
    let silent = TcpStream::connect(server.address).expect("it listens");
    let mut half = TcpStream::connect(server.address).expect("it listens");
    half.write_all(b"POST /v1/triggers HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{")
        .expect("sent");
    drop(half);
    let mut garbage = TcpStream::connect(server.address).expect("it listens");
    garbage.write_all(b"\x16\x03\x01\x02\x00garbage\r\n\r\n").expect("sent");
    garbage.set_read_timeout(Some(PATIENCE)).expect("a socket");
    let mut answer = Vec::new();
    let _closed = garbage.read_to_end(&mut answer);
    assert_eq!(server.get("/readyz").status, 200);
    drop(silent);
}

#[test]
fn a_host_may_be_given_limits_before_its_first_delivery() {
    let (_data, server) = server();
    let headers = [("content-type", "application/json")];
    let patch = br#"{"limits":{"in_flight":2,"requests_per_second":5}}"#;
    let answer = server.send("PATCH", "/v1/hosts/shop.example", &headers, patch);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let shown = server.get("/v1/hosts/shop.example").json();
    assert_eq!(shown["controls"]["policy"]["limits"]["in_flight"], 2, "{shown}");
    let wrong =
        server.send("PATCH", "/v1/hosts/shop.example", &headers, br#"{"limits":{"in_flight":0}}"#);
    let (status, _, pointers) = problem(&wrong);
    assert_eq!((status, pointers), (400, vec!["/limits/in_flight".to_owned()]));
}

#[test]
fn the_actor_stats_show_a_host_and_operators_control_it() {
    let (_data, server) = server();
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let id = server.trigger(&receiver.url("/"), "1");
    server.wait_for(&id, &["delivered"]);
    let host = receiver.host();
    let path = format!("/v1/hosts/{host}");
    let shown = server.get(&path).json();
    assert_eq!(shown["state"], "healthy", "{shown}");
    assert_eq!(shown["since_start"]["delivered"], 1);
    let listed = server.get("/v1/hosts?sort=-queued").json();
    assert!(listed["data"].as_array().is_some_and(|rows| rows.len() == 1), "{listed}");
    assert_eq!(server.post(&format!("{path}/pause"), "").status, 200);
    let held = server.trigger(&receiver.url("/"), "2");
    let waiting = server.wait_for(&held, &["waiting"]);
    assert_eq!(waiting["waits_for"], "pause", "{waiting}");
    assert!(waiting["reason"].as_str().is_some_and(|why| why.contains("paused")));
    let pause = &waiting["blocked_by"][0];
    assert_eq!((&pause["what"], &pause["host"]), (&"pause".into(), &host.as_str().into()));
    let text = pause["text"].as_str().unwrap_or_default();
    assert!(text.contains("paused by an operator (local) since 2"), "{text}");
    assert!(waiting["expectation"].as_str().is_some_and(|why| why.contains("has to resume")));
    assert_eq!(server.get(&path).json()["state"], "paused");
    assert_eq!(server.post(&format!("{path}/resume"), "").status, 200);
    server.wait_for(&held, &["delivered"]);
    assert_eq!(server.post(&format!("{path}/drain"), "").status, 200);
    let body = format!(r#"{{"webhook":{{"url":"{}"}}}}"#, receiver.url("/"));
    assert_eq!(problem(&server.post("/v1/triggers", &body)).0, 409);
    assert_eq!(server.post(&format!("{path}/resume"), "").status, 200);
    let later = json!({"webhook": {"url": receiver.url("/")}, "delay": "1h"});
    let later: Value = server.post("/v1/triggers", &later.to_string()).json();
    assert_eq!(later["deliveries"][0]["state"], "scheduled");
    let purged = server.post(&format!("{path}/purge"), "");
    assert_eq!(purged.json()["purged"], 1, "{}", purged.text());
    let id = later["deliveries"][0]["id"].as_str().expect("an id");
    server.wait_for(id, &["cancelled"]);
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("hostline_deliveries_accepted_total 3"), "{metrics}");
}
