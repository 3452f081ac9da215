//! The race that no client wins: a receiver closes an idle connection just as the next request goes
//! into it. Every delivery is delivered all the same, once, and without a retry.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hostline::config::Roots;
use hostline::model::Outcome;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::behaviours::{Authority, OK};
use crate::process::Server;
use crate::receiver::{Peer, Receiver, pause};
use crate::sending::{alone, post, sender, settings, shared, turn};

/// How long a connection stays open after its answer: around the time that the next request takes
/// to come, which is some hundred microseconds.
const DELAYS_US: [u64; 10] = [0, 20, 50, 100, 150, 250, 400, 600, 1000, 2000];
/// Deliveries for each delay, in turn.
const TURNS: u32 = 100;

/// What some say to a connection that has been idle for too long.
const GOODBYE: &str =
    "HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// What the receivers of one test saw.
#[derive(Default)]
struct Seen {
    /// Answers given for each `webhook-id`.
    answers: Mutex<HashMap<String, u32>>,
    /// Connections that were closed with a request in them.
    races: AtomicUsize,
}

impl Seen {
    fn answered(&self, head: &str) {
        let id = head.lines().find_map(|line| line.strip_prefix("webhook-id: "));
        let id = id.expect("every request has an id").to_owned();
        *self.answers.lock().expect("not poisoned").entry(id).or_default() += 1;
    }

    /// Panics unless each of `count` deliveries was answered exactly once.
    fn assert_each_once(&self, count: usize) {
        let answers = self.answers.lock().expect("not poisoned");
        let often: Vec<_> = answers.iter().filter(|(_, times)| **times != 1).collect();
        assert!(often.is_empty(), "answered more than once: {often:?}");
        assert_eq!(answers.len(), count);
    }

    fn assert_some_races(&self, what: &str) {
        let races = self.races.load(Ordering::SeqCst);
        println!("{what}: {races} requests met a connection that was being closed");
        assert!(races > 0, "no race came about, so nothing was shown");
    }
}

/// Answers one request, and a moment later says `goodbye` and closes.
fn one_answer(peer: &mut Peer, delay: Duration, goodbye: &str, seen: &Seen) {
    let Some(head) = peer.read_head() else { return };
    peer.skip(2);
    seen.answered(&head);
    peer.write(OK);
    pause(delay);
    note_race(peer, seen);
    if !goodbye.is_empty() {
        peer.write(goodbye);
        // A close with a request unread would be a reset, which may overtake what was said.
        let _gone = peer.stream.shutdown(Shutdown::Write);
        peer.stream.set_nonblocking(false).expect("settable");
        peer.linger();
    }
}

fn note_race(peer: &Peer, seen: &Seen) {
    peer.stream.set_nonblocking(true).expect("settable");
    if matches!(peer.stream.peek(&mut [0]), Ok(1)) {
        seen.races.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn a_thousand_races_for_an_idle_connection_cost_nothing() {
    alone(race(""));
}

#[test]
fn a_thousand_races_with_a_408_cost_nothing() {
    alone(race(GOODBYE));
}

async fn race(goodbye: &'static str) {
    let seen: Arc<Seen> = Arc::default();
    let shared = shared(&settings(Duration::from_secs(10)));
    let lines = DELAYS_US.iter().zip(0..).map(|(delay, line)| {
        let (seen, shared, delay) = (seen.clone(), shared.clone(), Duration::from_micros(*delay));
        async move {
            let receiver = start(move |peer| one_answer(peer, delay, goodbye, &seen)).await;
            let url = format!("http://{}/hook", receiver.address);
            let sender = sender(&shared, &url);
            for turn in 0..TURNS {
                let body = Bytes::from_static(b"{}");
                let report = post(&sender, &url, body, line * TURNS + turn).await;
                assert_delivered(&report.outcome, delay);
            }
        }
    });
    futures::future::join_all(lines).await;
    seen.assert_each_once(DELAYS_US.len() * TURNS as usize);
    let said = if goodbye.is_empty() { "nothing" } else { "408" };
    seen.assert_some_races(&format!("1,000 deliveries, {said} said"));
}

#[test]
fn the_race_costs_nothing_over_tls_either() {
    alone(race_over_tls());
}

async fn race_over_tls() {
    let directory = tempfile::tempdir().expect("a directory");
    let roots = directory.path().join("roots.pem");
    let authority = Authority::new();
    authority.write(&roots);
    let config = authority.proper();
    let mut settings = settings(Duration::from_secs(10));
    settings.sender.roots = Roots::File(roots);
    let (seen, shared): (Arc<Seen>, _) = (Arc::default(), shared(&settings));
    let turns = TURNS / 5;
    let lines = DELAYS_US.iter().zip(0..).map(|(delay, line)| {
        let (seen, shared, delay) = (seen.clone(), shared.clone(), Duration::from_micros(*delay));
        let config = config.clone();
        async move {
            let script = move |peer: &mut Peer| one_secret_answer(peer, &config, delay, &seen);
            let receiver = start(script).await;
            let url = format!("https://{}/hook", receiver.address);
            let sender = sender(&shared, &url);
            for turn in 0..turns {
                let body = Bytes::from_static(b"{}");
                let report = post(&sender, &url, body, line * turns + turn).await;
                assert_delivered(&report.outcome, delay);
            }
        }
    });
    futures::future::join_all(lines).await;
    seen.assert_each_once(DELAYS_US.len() * turns as usize);
    seen.assert_some_races("200 deliveries over TLS");
}

/// As `one_answer`, over TLS; every other time with its goodbye.
fn one_secret_answer(peer: &mut Peer, config: &Arc<ServerConfig>, delay: Duration, seen: &Seen) {
    let connection = ServerConnection::new(config.clone()).expect("a configuration");
    let tcp = peer.stream.try_clone().expect("a descriptor");
    let mut stream = StreamOwned::new(connection, tcp);
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    while !bytes.ends_with(b"{}") {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
    }
    seen.answered(&String::from_utf8(bytes).expect("text"));
    let _gone = stream.write_all(OK.as_bytes()).and_then(|()| stream.flush());
    pause(delay);
    if delay.as_micros().is_multiple_of(100) {
        stream.conn.send_close_notify();
        let _gone = stream.flush();
    }
    note_race(peer, seen);
}

async fn start(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Receiver {
    let started = actix_rt::task::spawn_blocking(move || Receiver::open(script));
    started.await.expect("no panic")
}

fn assert_delivered(outcome: &Outcome, delay: Duration) {
    match outcome {
        Outcome::Answered(answer) => assert_eq!(answer.status, 200),
        other => panic!("closed after {delay:?}: {other:?}"),
    }
}

#[test]
fn the_race_uses_no_retry_of_a_delivery() {
    let _turn = turn();
    let data = tempfile::tempdir().expect("a directory");
    // One at a time, so that each request wants the connection of the one before.
    let server = Server::start(data.path(), &["limits.in_flight=1", "sender.timeout=\"10s\""]);
    let seen: Arc<Seen> = Arc::default();
    let receivers: Vec<Receiver> = DELAYS_US
        .iter()
        .map(|delay| {
            let (seen, delay) = (seen.clone(), Duration::from_micros(*delay));
            Receiver::open(move |peer| one_answer(peer, delay, "", &seen))
        })
        .collect();
    let triggers: Vec<String> = (0..TURNS)
        .flat_map(|_| &receivers)
        .map(|one| format!(r#"{{"webhook":{{"url":"http://{}/hook","body":{{}}}}}}"#, one.address))
        .collect();
    let answer = server.post("/v1/triggers/batch", &format!("[{}]", triggers.join(",")));
    assert_eq!(answer.json()["accepted"], triggers.len(), "{}", answer.text());
    for receiver in &receivers {
        let path = format!("/v1/deliveries?host={}&limit={TURNS}", receiver.address);
        let deliveries = crate::server::settled(&server, &path, TURNS as usize);
        for delivery in deliveries {
            assert_eq!(delivery["state"], "delivered", "{delivery}");
            assert_eq!(delivery["attempt_count"], 1, "{delivery}");
            assert_eq!(delivery["retries"], 0, "{delivery}");
        }
    }
    seen.assert_each_once(triggers.len());
    seen.assert_some_races("1,000 deliveries of a server");
}
