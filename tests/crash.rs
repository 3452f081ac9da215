//! What a crash may and may not do: nothing that was answered 202 is lost, whenever the process is
//! killed; what was in flight may come twice, with the same id.

mod process;

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use process::{PATIENCE, Receiver, Server, try_request};

/// Kills under load.
const ROUNDS: usize = 20;
/// Callers that trigger all the time.
const CALLERS: usize = 8;

#[test]
fn twenty_kills_under_load_lose_nothing() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let accepted: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut dice = fastrand::Rng::with_seed(7);
    for _ in 0..ROUNDS {
        let server = Server::start(data.path(), &[]);
        let stop = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (stop, accepted) = (stop.clone(), accepted.clone());
                let (address, url) = (server.address, receiver.url("/hook"));
                std::thread::spawn(move || {
                    let body = format!(r#"{{"webhook":{{"url":"{url}","body":{{"n":1}}}}}}"#);
                    let headers = [("content-type", "application/json")];
                    while !stop.load(Ordering::Relaxed) {
                        let answer =
                            try_request(address, "POST", "/v1/triggers", &headers, body.as_bytes());
                        let Ok(answer) = answer else { return };
                        if answer.status == 202 {
                            let id = answer.json()["deliveries"][0]["id"].clone();
                            let id = id.as_str().expect("an id").to_owned();
                            accepted.lock().expect("not poisoned").insert(id);
                        }
                    }
                })
            })
            .collect();
        std::thread::park_timeout(Duration::from_millis(dice.u64(20..400)));
        server.kill();
        stop.store(true, Ordering::Relaxed);
        for caller in callers {
            caller.join().expect("callers do not panic");
        }
    }
    let accepted = accepted.lock().expect("not poisoned").clone();
    assert!(accepted.len() > ROUNDS, "hardly anything was accepted: {}", accepted.len());
    let _server = Server::start(data.path(), &[]);
    let started = Instant::now();
    let mut missing: HashSet<String> = accepted.clone();
    while !missing.is_empty() {
        for arrival in receiver.arrivals() {
            missing.remove(&arrival.id);
        }
        assert!(started.elapsed() < PATIENCE, "{} of {} lost", missing.len(), accepted.len());
        std::thread::park_timeout(Duration::from_millis(50));
    }
    let mut times: HashMap<String, usize> = HashMap::new();
    for arrival in receiver.arrivals() {
        *times.entry(arrival.id).or_default() += 1;
    }
    let repeated = times.values().filter(|count| **count > 1).count();
    println!("{} accepted, {repeated} of them delivered more than once", accepted.len());
}

#[test]
fn a_stop_finishes_what_is_in_flight_and_a_start_delivers_the_rest() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| (200, "", Duration::from_millis(400)));
    let server = Server::start(data.path(), &["limits.in_flight=2"]);
    let ids: Vec<String> =
        (0..10).map(|number| server.trigger(&receiver.url("/"), &number.to_string())).collect();
    receiver.wait_for(2);
    assert_eq!(server.terminate(), Some(0));
    let sent: HashSet<String> = receiver.arrivals().into_iter().map(|one| one.id).collect();
    assert!(sent.len() < ids.len(), "a stop does not wait for the whole queue");
    let server = Server::start(data.path(), &[]);
    for id in &ids {
        server.wait_for(id, &["delivered"]);
    }
    assert_eq!(receiver.count(), ids.len(), "what had finished was recorded and not repeated");
}

#[test]
fn a_stopping_server_refuses_triggers_and_says_so() {
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|_| (200, "", Duration::from_secs(2)));
    let server = Server::start(data.path(), &[]);
    server.trigger(&receiver.url("/"), "1");
    receiver.wait_for(1);
    let address = server.address;
    let stopping = std::thread::spawn(move || server.terminate());
    let started = Instant::now();
    let mut refused = None;
    while refused.is_none() && started.elapsed() < Duration::from_secs(2) {
        let body = format!(r#"{{"webhook":{{"url":"{}"}}}}"#, receiver.url("/"));
        let headers = [("content-type", "application/json")];
        let answer = try_request(address, "POST", "/v1/triggers", &headers, body.as_bytes());
        refused = answer.ok().filter(|answer| answer.status == 503);
    }
    let refused = refused.expect("refused while it stops");
    assert!(refused.headers.contains_key("retry-after"));
    assert_eq!(stopping.join().expect("no panic"), Some(0));
}
