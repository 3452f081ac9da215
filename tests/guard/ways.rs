//! By each way that a webhook may come in, or come back: what may not be called is not, whatever was
//! allowed when it was stored.

use std::time::Instant;

use serde_json::{Value, json};

use crate::names::{NameServer, Say};
use crate::process::{PATIENCE, Server};
use crate::trap::Trap;

const CLOSED: &str = "sender.allow=[]";
const OPEN: &str = "sender.allow=[\"127.0.0.0/8\", \"::1\"]";

fn start(set: &[&str]) -> (tempfile::TempDir, Server) {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[&["retry.retries=0"], set].concat());
    (data, server)
}

/// The same data under other settings.
fn again((data, server): (tempfile::TempDir, Server), set: &[&str]) -> (tempfile::TempDir, Server) {
    assert_eq!(server.terminate(), Some(0));
    let server = Server::start(data.path(), &[&["retry.retries=0"], set].concat());
    (data, server)
}

#[track_caller]
fn post(server: &Server, path: &str, body: &Value) -> Value {
    let answer = server.post(path, &body.to_string());
    assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
    answer.json()
}

/// Waits for the only delivery that is over, and answers its last attempt.
#[track_caller]
fn last_attempt(server: &Server, query: &str) -> Value {
    let started = Instant::now();
    let id = loop {
        let found = server.get(&format!("/v1/deliveries?{query}")).json();
        if let Some(id) = found["data"][0]["id"].as_str() {
            break id.to_owned();
        }
        assert!(started.elapsed() < PATIENCE, "nothing came of it: {found}");
        std::thread::park_timeout(std::time::Duration::from_millis(10));
    };
    attempt_of(server, &id)
}

#[track_caller]
fn attempt_of(server: &Server, id: &str) -> Value {
    let shown = server.wait_for(id, &["failed", "delivered", "exhausted"]);
    let attempts = shown["attempts"].as_array().unwrap_or_else(|| panic!("{shown}"));
    attempts.last().unwrap_or_else(|| panic!("{shown}")).clone()
}

#[track_caller]
fn assert_blocked(attempt: &Value, words: &str) {
    assert_eq!(attempt["outcome"], "blocked", "{attempt}");
    assert_eq!(attempt["status"], Value::Null, "{attempt}");
    let reason = attempt["reason"].as_str().unwrap_or_default();
    assert!(reason.contains(words), "{words}: {attempt}");
}

/// Asks every way in for `url`, which is given with a `{{ }}` in it where templates render it.
/// Answers what each was told or what became of it.
fn every_way(server: &Server, url: &str) -> Vec<(&'static str, Value)> {
    let rendered = url.replace("http://", "http://{{ 'no' | remove: 'no' }}");
    let hook = json!({"url": rendered, "body": {"a": 1}});
    let mut all = Vec::new();

    let plain = json!({"webhook": {"url": url, "body": 1}, "metadata": {"way": "trigger"}});
    post(server, "/v1/triggers", &plain);
    let line = json!({"webhook": {"url": url, "body": 1}, "metadata": {"way": "batch"}});
    let lines = format!("{line}\n");
    let kind = [("content-type", "application/x-ndjson")];
    let answer = server.send("POST", "/v1/triggers/batch", &kind, lines.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());
    let own = json!({"webhook": hook, "properties": {}, "metadata": {"way": "rendered"}});
    post(server, "/v1/triggers", &own);

    post(server, "/v1/templates", &json!({"name": "t", "webhook": hook}));
    post(server, "/v1/triggers", &json!({"template": "t", "metadata": {"way": "template"}}));

    let campaign = json!({"name": "c", "webhooks": [hook], "trigger": {"type": "api"}});
    post(server, "/v1/campaigns", &campaign);
    post(server, "/v1/campaigns/c/launch", &json!({}));
    let to = json!([{"external_id": "u"}]);
    post(server, "/v1/triggers", &json!({"campaign": "c", "recipients": to}));

    let on_event = json!({"name": "e", "webhooks": [hook],
        "trigger": {"type": "event", "event": "bought"}});
    post(server, "/v1/campaigns", &on_event);
    post(server, "/v1/campaigns/e/launch", &json!({}));
    post(server, "/v1/events", &json!({"external_id": "u", "name": "bought"}));

    let canvas = json!({"name": "j", "trigger": {"type": "api"},
        "steps": [{"id": "s", "type": "webhook", "webhooks": [hook]}]});
    post(server, "/v1/canvases", &canvas);
    post(server, "/v1/canvases/j/launch", &json!({}));
    post(server, "/v1/triggers", &json!({"canvas": "j", "recipients": to}));

    for (way, query) in [
        ("trigger", "metadata.way=trigger"),
        ("batch", "metadata.way=batch"),
        ("rendered", "metadata.way=rendered"),
        ("template", "metadata.way=template"),
        ("campaign", "campaign=c"),
        ("event", "campaign=e"),
        ("canvas", "canvas=j"),
    ] {
        all.push((way, last_attempt(server, query)));
    }
    let tested = post(server, "/v1/webhooks/test", &json!({"webhook": hook}));
    all.push(("test send", tested["attempt"].clone()));
    all
}

#[test]
fn no_way_in_leads_to_a_closed_address() {
    let trap = Trap::start();
    let (_data, server) = start(&[CLOSED]);
    for (way, attempt) in every_way(&server, &format!("http://127.0.0.1:{}/", trap.port)) {
        assert_eq!(attempt["outcome"], "blocked", "{way}: {attempt}");
        assert_blocked(&attempt, "sender.allow");
    }
    assert_eq!(trap.connections(), 0);
}

#[test]
fn every_way_in_leads_to_an_open_one() {
    let trap = Trap::start();
    let (_data, server) = start(&[OPEN]);
    let ways = every_way(&server, &format!("http://127.0.0.1:{}/", trap.port));
    for (way, attempt) in &ways {
        assert_eq!(attempt["status"], 200, "{way}: {attempt}");
    }
    assert_eq!(trap.connections(), ways.len());
}

#[test]
fn denied_names_and_ports_are_refused_at_every_door() {
    let (_data, server) = start(&[OPEN, "sender.ports=[80]", "sender.deny=[\"*.evil.example\"]"]);
    for (url, words) in
        [("http://127.0.0.1:81/", "sender.ports"), ("http://a.evil.example/", "sender.deny")]
    {
        let hook = json!({"url": url});
        let answer = server.post("/v1/triggers", &json!({"webhook": hook}).to_string());
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains(words) && answer.text().contains("/webhook/url"));
        let several = json!({"webhooks": [{"url": "http://shop.example/"}, hook]});
        let answer = server.post("/v1/triggers", &several.to_string());
        assert_eq!(answer.status, 400, "{}", answer.text());
        assert!(answer.text().contains("/webhooks/1/url"), "{}", answer.text());
        let line = format!("{}\n", json!({"webhook": hook}));
        let kind = [("content-type", "application/x-ndjson")];
        let answer = server.send("POST", "/v1/triggers/batch", &kind, line.as_bytes());
        assert!(answer.text().contains(words), "{}", answer.text());
        let test = server.post("/v1/webhooks/test", &json!({"webhook": hook}).to_string());
        assert!(test.text().contains(words), "{}", test.text());
        // What is only known once it is rendered.
        let rendered =
            json!({"webhook": {"url": "{{ properties.to }}"}, "properties": {"to": url}});
        let answer = server.post("/v1/triggers", &rendered.to_string());
        assert!(answer.text().contains(words), "{} {}", answer.status, answer.text());
    }
}

#[test]
fn what_is_stored_does_not_go_where_a_restart_closed_the_way() {
    for (closed, words) in [
        (&[CLOSED][..], "sender.allow"),
        (&[OPEN, "sender.ports=[80, 443]"], "sender.ports has 80, 443"),
        (&[OPEN, "sender.deny=[\"127.0.0.0/8\"]"], "sender.deny"),
        (&[OPEN, "sender.deny=[\"stored.test\"]"], "sender.deny"),
    ] {
        let trap = Trap::start();
        let names = NameServer::start(|_, _| Say::addresses(&["127.0.0.1"]));
        let servers = format!("sender.name_servers=[\"{}\"]", names.address);
        let url = format!("http://stored.test:{}/", trap.port);
        let host = format!("stored.test:{}", trap.port);
        // Owed while its host is paused, and ended before.
        let running = start(&[OPEN, &servers]);
        let ended = running.1.trigger(&url, "1");
        assert_eq!(attempt_of(&running.1, &ended)["status"], 200);
        let reached = trap.connections();
        post(&running.1, &format!("/v1/hosts/{host}/pause"), &json!({}));
        let owed = running.1.trigger(&url, "2");
        let later = json!({"webhook": {"url": url}, "delay": "2s"});
        let later = post(&running.1, "/v1/triggers", &later);
        let later = later["deliveries"][0]["id"].as_str().expect("an id").to_owned();

        let set = [closed, &[&servers]].concat();
        let running = again(running, &set);
        post(&running.1, &format!("/v1/hosts/{host}/resume"), &json!({}));
        // The limits of a host are no way around it.
        let patch = json!({"policy": {"limits": {"in_flight": 3}}}).to_string();
        let kind = [("content-type", "application/json")];
        let _patched =
            running.1.send("PATCH", &format!("/v1/hosts/{host}"), &kind, patch.as_bytes());
        for id in [&owed, &later] {
            assert_blocked(&attempt_of(&running.1, id), words);
        }
        // A redrive is judged as it is now.
        post(&running.1, &format!("/v1/deliveries/{owed}/redrive"), &json!({}));
        let started = Instant::now();
        loop {
            let shown = running.1.get(&format!("/v1/deliveries/{owed}")).json();
            if shown["state"] == "failed" && shown["attempts"].as_array().map_or(0, Vec::len) == 2 {
                assert_blocked(&shown["attempts"][1], words);
                break;
            }
            assert!(started.elapsed() < PATIENCE, "{shown}");
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
        assert_eq!(trap.connections(), reached, "{closed:?}");

        // And goes where the way is open again.
        let running = again(running, &[OPEN, &servers]);
        post(&running.1, &format!("/v1/deliveries/{owed}/redrive"), &json!({}));
        running.1.wait_for(&owed, &["delivered"]);
        assert_eq!(trap.connections(), reached + 1);
    }
}

#[test]
fn a_proxys_password_is_shown_nowhere() {
    let trap = Trap::start();
    let data = tempfile::tempdir().expect("a directory");
    let file = data.path().join("proxy");
    std::fs::write(&file, format!("http://me:s3cret@127.0.0.1:{}\n", trap.port)).expect("written");
    let check = std::process::Command::new(env!("CARGO_BIN_EXE_hostline"))
        .args(["check", "--json"])
        .current_dir(data.path())
        .env("HOSTLINE__SENDER__PROXY_FILE", &file)
        .output()
        .expect("it runs");
    let shown = String::from_utf8_lossy(&check.stdout);
    assert!(shown.contains("http://me:***@127.0.0.1:"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let mut server =
        Server::launch(data.path(), &["log.level=trace", "retry.retries=0"], |command| {
            command.env("HOSTLINE__SENDER__PROXY_FILE", &file);
        });
    server.wait_until_ready();
    // A literal, so that nobody is asked for its name; nothing leaves but to the proxy.
    let id = server.trigger("http://8.8.8.8/", "1");
    let shown = server.wait_for(&id, &["delivered", "exhausted", "failed"]).to_string();
    assert_eq!(trap.connections(), 1, "{shown}");
    let log = std::fs::read_to_string(data.path().join("log")).expect("a log");
    for secret in ["s3cret", "bWU6czNjcmV0"] {
        assert!(!shown.contains(secret) && !log.contains(secret), "{secret} is shown");
    }
}
