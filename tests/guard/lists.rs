//! A workspace's own lists of hosts: at the door, and for what is stored when they change. The server
//! runs in this process, so that the lists can be changed as whoever keeps workspaces does.

use std::net::SocketAddr;
use std::time::Instant;

use hostline::app::{Front, Running, http_senders, open_store};
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::delivery::Engine;
use hostline::model::{DEFAULT_WORKSPACE, WorkspacePolicy};
use serde_json::{Value, json};

use crate::process::{Answer, PATIENCE, request};
use crate::trap::Trap;

async fn start(data: &std::path::Path) -> (Running, Front) {
    let mut settings = Settings::default();
    settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.server.workers = 1;
    settings.actors.shards = 1;
    settings.store.path = data.to_owned();
    settings.sender.allow_nets = vec!["127.0.0.0/8".parse().expect("a network")];
    settings.sender.ports = Vec::new();
    let clock = Clock::system();
    let store = open_store(&settings, &clock).expect("a store");
    let senders = http_senders(&settings, &clock, &store).expect("senders");
    let running = Running::start(settings, clock, store, senders).await.expect("it starts");
    let front = Front::start(&running).await.expect("it listens");
    (running, front)
}

/// Asks from a thread of its own: this one runs the server.
async fn ask(front: &Front, method: &'static str, path: &str, body: Value) -> Answer {
    let (address, path) = (front.address(), path.to_owned());
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let asked = move || {
        let headers = [("content-type", "application/json")];
        request(address, method, &path, &headers, body.as_bytes())
    };
    tokio::task::spawn_blocking(asked).await.expect("no panic")
}

async fn attempts(front: &Front, id: &str, count: usize) -> Vec<Value> {
    let started = Instant::now();
    loop {
        let shown = ask(front, "GET", &format!("/v1/deliveries/{id}"), Value::Null).await.json();
        let made = shown["attempts"].as_array().cloned().unwrap_or_default();
        if made.len() >= count {
            return made;
        }
        assert!(started.elapsed() < PATIENCE, "{shown}");
        tokio::task::yield_now().await;
    }
}

fn lists(allow: &[&str], deny: &[&str]) -> WorkspacePolicy {
    let owned = |list: &[&str]| list.iter().map(|entry| (*entry).to_owned()).collect();
    WorkspacePolicy {
        allow_hosts: owned(allow),
        deny_hosts: owned(deny),
        ..WorkspacePolicy::default()
    }
}

#[test]
fn a_workspaces_lists_hold_at_the_door_and_for_what_is_stored() {
    let data = tempfile::tempdir().expect("a directory");
    let trap = Trap::start();
    let host = format!("127.0.0.1:{}", trap.port);
    let url = format!("http://{host}/");
    actix_rt::System::new().block_on(async {
        let (running, front) = start(data.path()).await;
        let set = |policy| running.engine.workspaces().set(DEFAULT_WORKSPACE, policy);
        let trigger = json!({"webhook": {"url": url, "body": 1}});

        // Stored while it was open, and held.
        ask(&front, "POST", &format!("/v1/hosts/{host}/pause"), Value::Null).await;
        let accepted = ask(&front, "POST", "/v1/triggers", trigger.clone()).await;
        assert_eq!(accepted.status, 202, "{}", accepted.text());
        let id = accepted.json()["deliveries"][0]["id"].as_str().expect("an id").to_owned();

        for (policy, words) in [
            (lists(&[], &["127.0.0.1"]), "deny_hosts has \\\"127.0.0.1\\\""),
            (lists(&["*.example", "shop.example"], &[]), "none of the workspace's allow_hosts"),
        ] {
            set(policy);
            let composed = json!({"webhook": {"url": "{{ properties.to }}"},
                "properties": {"to": url}});
            // What is rendered is refused recipient by recipient.
            for (body, status, pointer) in [
                (trigger.clone(), 400, "/webhook/url"),
                (json!({"webhooks": [{"url": url}]}), 400, "/webhooks/0/url"),
                (composed, 202, r#""deliveries":[],"skipped":[{"reason":"refused","detail":"/url"#),
            ] {
                let refused = ask(&front, "POST", "/v1/triggers", body).await;
                assert_eq!(refused.status, status, "{}", refused.text());
                assert!(refused.text().contains(words), "{}", refused.text());
                assert!(refused.text().contains(pointer), "{}", refused.text());
            }
            // A template whose URL is rendered may go anywhere until it is.
            let name = format!("t{}", words.len());
            let open = json!({"name": name, "webhook": {"url": "{{ properties.to }}"}});
            assert_eq!(ask(&front, "POST", "/v1/templates", open).await.status, 201);
        }

        set(lists(&[], &["127.0.0.1"]));
        ask(&front, "POST", &format!("/v1/hosts/{host}/resume"), Value::Null).await;
        let first = attempts(&front, &id, 1).await;
        assert_eq!(first[0]["outcome"], "blocked", "{first:?}");
        assert!(first[0].to_string().contains("deny_hosts"), "{first:?}");
        let redrive = format!("/v1/deliveries/{id}/redrive");
        ask(&front, "POST", &redrive, Value::Null).await;
        let second = attempts(&front, &id, 2).await;
        assert_eq!(second[1]["outcome"], "blocked", "{second:?}");
        assert_eq!(trap.connections(), 0);

        set(lists(&["127.0.0.1"], &[]));
        ask(&front, "POST", &redrive, Value::Null).await;
        let third = attempts(&front, &id, 3).await;
        assert_eq!(third[2]["status"], 200, "{third:?}");
        assert_eq!(trap.connections(), 1);
        running.stop(std::time::Duration::ZERO).await;
        front.stop().await;
    });
}
