//! What a crash may and may not do to journeys: whenever the process is killed, no step of a canvas
//! is left out and none is taken twice. A delivery may come twice, with the same id.

mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use process::{PATIENCE, Receiver, Server};
use serde_json::{Value, json};

const RECIPIENTS: usize = 40;
const KILLS: usize = 5;
/// Steps that send, each to a path of its own; between them the journey waits a second.
const STEPS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

fn canvas(receiver: &Receiver) -> Value {
    let mut steps = Vec::new();
    for (number, id) in STEPS.iter().enumerate() {
        let url = receiver.url(&format!("/{id}/{{{{ recipient.external_id }}}}"));
        let webhook = json!({"url": url, "body": {"step": id}});
        steps.push(json!({"id": id, "type": "webhook", "webhooks": [webhook]}));
        // Some follow each other at once, some after a rest.
        if number % 2 == 1 {
            steps.push(json!({"id": format!("rest-{id}"), "type": "delay", "for": "1s"}));
        }
    }
    json!({"name": "journey", "trigger": {"type": "api"}, "steps": steps})
}

fn post(server: &Server, path: &str, body: &Value) {
    let answer = server.post(path, &body.to_string());
    assert!((200..300).contains(&answer.status), "{path}: {}", answer.text());
}

/// Ids of the deliveries that came, by path.
fn came(receiver: &Receiver) -> BTreeMap<String, BTreeSet<String>> {
    let mut came: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    receiver.with_arrivals(|arrivals| {
        for arrival in arrivals {
            came.entry(arrival.path.clone()).or_default().insert(arrival.id.clone());
        }
    });
    came
}

fn exited(server: &Server) -> i64 {
    let report = server.get("/v1/canvases/journey/report").json();
    report["total"]["counts"]["exited"].as_i64().unwrap_or(0)
}

fn pause(time: Duration) {
    let until = Instant::now() + time;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

#[test]
fn kills_at_any_moment_leave_out_no_step_and_repeat_none() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| (200, "", Duration::from_millis(20)));
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut dice = fastrand::Rng::with_seed(seed);
    let mut server = Server::start(data.path(), &[]);
    post(&server, "/v1/canvases", &canvas(&receiver));
    post(&server, "/v1/canvases/journey/launch", &json!({}));
    let recipients: Value =
        (0..RECIPIENTS).map(|number| json!({"external_id": format!("u{number}")})).collect();
    post(&server, "/v1/triggers", &json!({"canvas": "journey", "recipients": recipients}));
    for kill in 0..KILLS {
        // Some hit anything, some a step that is being taken: deliveries come while it is.
        let before = receiver.count();
        let longest = Instant::now() + Duration::from_millis(1_500);
        while kill % 2 == 0 && receiver.count() == before && Instant::now() < longest {
            pause(Duration::from_millis(1));
        }
        let most = if kill % 2 == 0 { 40 } else { 700 };
        pause(Duration::from_millis(dice.u64(0..most)));
        server.kill();
        server = Server::start(data.path(), &[]);
    }
    let started = Instant::now();
    while exited(&server) < RECIPIENTS as i64 || came(&receiver).len() < RECIPIENTS * STEPS.len() {
        let shown = (exited(&server), came(&receiver).len());
        assert!(started.elapsed() < PATIENCE, "{shown:?} exited and came; seed {seed}");
        pause(Duration::from_millis(50));
    }
    // What was taken twice would be on its way still.
    for state in ["waiting", "scheduled", "in_flight"] {
        let owed = || server.get(&format!("/v1/deliveries?state={state}")).json();
        while owed()["data"] != json!([]) {
            assert!(started.elapsed() < PATIENCE, "still {state}: {}; seed {seed}", owed());
            pause(Duration::from_millis(50));
        }
    }
    let all = came(&receiver);
    for step in STEPS {
        for number in 0..RECIPIENTS {
            let path = format!("/{step}/u{number}");
            let ids = all.get(&path).cloned().unwrap_or_default();
            assert_eq!(ids.len(), 1, "{path} came under {ids:?}; seed {seed}");
        }
    }
    assert_eq!(exited(&server), RECIPIENTS as i64, "each journey ended once; seed {seed}");
    let repeated = receiver.count() - RECIPIENTS * STEPS.len();
    println!(
        "{KILLS} kills: {RECIPIENTS} journeys of {} steps, none left out, none taken twice, \
         {repeated} deliveries repeated under the same id",
        STEPS.len()
    );
}
