//! Test sends: one webhook, rendered and sent now, and the receiver's whole answer; with a real
//! server and a real receiver. And a webhook of ours that comes back to us.

mod process;

use std::time::{Duration, Instant};

use process::{PATIENCE, Receiver, Server};
use serde_json::{Value, json};

fn server(data: &tempfile::TempDir) -> Server {
    Server::start(data.path(), &[])
}

fn test(server: &Server, asked: &Value) -> (u16, Value) {
    let answer = server.post("/v1/webhooks/test", &asked.to_string());
    (answer.status, answer.json())
}

fn asked(url: &str) -> Value {
    json!({
        "webhook": {"url": url, "headers": {"x-token": "t0p"}, "body": {"who": "{{${user_id}}}"}},
        "recipient": {"external_id": "u \"1\""},
    })
}

#[test]
fn the_receivers_whole_answer_comes_back() {
    let data = tempfile::tempdir().expect("a directory");
    let server = server(&data);
    let receiver = Receiver::start(|_| (418, "x-kettle: on\r\n", Duration::ZERO));
    let (status, answer) = test(&server, &asked(&receiver.url("/tea")));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["attempt"]["status"], 418);
    assert_eq!(answer["state"], "failed");
    assert_eq!(answer["request"]["webhook"]["body"], r#"{"who":"u \"1\""}"#);
    assert!(!answer.to_string().contains("t0p"), "a secret is shown: {answer}");
    assert_eq!(receiver.count(), 1);
}

#[test]
fn a_test_is_tried_once_and_a_dry_run_not_at_all() {
    let data = tempfile::tempdir().expect("a directory");
    let server = server(&data);
    let receiver = Receiver::start(|_| (503, "", Duration::ZERO));
    let mut dry = asked(&receiver.url("/"));
    dry["dry_run"] = json!(true);
    let (status, answer) = test(&server, &dry);
    assert_eq!((status, receiver.count()), (200, 0), "{answer}");
    let (_, answer) = test(&server, &asked(&receiver.url("/")));
    assert_eq!(answer["attempt"]["status"], 503);
    assert_eq!(answer["state"], "cancelled", "no retry is left behind: {answer}");
    assert_eq!(receiver.count(), 1);
}

#[test]
fn a_paused_host_and_a_webhook_that_cannot_be_rendered_get_no_test() {
    let data = tempfile::tempdir().expect("a directory");
    let server = server(&data);
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let missing = json!({"webhook": {"url": receiver.url("/{{ properties.id }}")}});
    let (status, answer) = test(&server, &missing);
    assert_eq!(status, 200);
    assert!(answer["request"]["error"].as_str().is_some_and(|why| why.contains("properties.id")));
    let host = receiver.host();
    assert_eq!(server.post(&format!("/v1/hosts/{host}/pause"), "").status, 200);
    let (status, answer) = test(&server, &asked(&receiver.url("/")));
    assert_eq!((status, receiver.count()), (409, 0), "{answer}");
}

#[test]
fn a_campaign_that_calls_itself_is_cut_off_after_eight_hops() {
    let data = tempfile::tempdir().expect("a directory");
    let mut own = String::new();
    let mut server = Server::launch(data.path(), &[], |command| {
        let listen = command.get_args().skip_while(|arg| *arg != "--listen").nth(1);
        own = listen.and_then(|listen| listen.to_str()).expect("it listens somewhere").to_owned();
        command.arg("--set").arg(format!("compose.own_hosts=[\"{own}\"]"));
    });
    server.wait_until_ready();
    let campaign = json!({
        "name": "echo", "trigger": {"type": "event", "event": "shout"},
        "webhooks": [{
            "url": format!("http://{own}/v1/events"),
            "body": {"external_id": "{{${user_id}}}", "name": "shout"},
        }],
    });
    assert_eq!(server.post("/v1/campaigns", &campaign.to_string()).status, 201);
    assert_eq!(server.post("/v1/campaigns/echo/launch", "").status, 200);
    let event = json!({"external_id": "u", "name": "shout"});
    assert_eq!(server.post("/v1/events", &event.to_string()).status, 202);
    let began = Instant::now();
    let cut = loop {
        let log = server.get("/v1/activity?kind=loop_cut").json();
        if let Some(entry) = log["data"].get(0) {
            break entry.clone();
        }
        assert!(began.elapsed() < PATIENCE, "no chain was cut off");
        std::thread::park_timeout(Duration::from_millis(50));
    };
    assert!(cut["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{cut}");
    let sent = server.get("/v1/campaigns/echo/report").json()["total"]["counts"]["sent"].clone();
    assert_eq!(sent, 9, "hops 0 to 8 were sent, the ninth was refused");
}
