//! A long run of the real binary: a bounded load, and a kill -9 a minute over the same directory.
//! Nothing that was answered 202 is lost; memory and descriptors stay level.
//!
//! Runs where `HOSTLINE_SOAK_MINUTES` says for how long; `scripts/soak` does.

mod process;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use process::{PATIENCE, Receiver, Server, try_request};

/// Triggers a second in all: far below what a server takes, so that the run shows leaks and losses
/// and not a limit.
const RATE: u64 = 100;
/// Threads that trigger.
const CALLERS: u64 = 4;
/// Between two kills.
const LIFE: Duration = Duration::from_secs(60);
/// Of so many requests one is answered 500, so that retries are always under way.
const ODD: usize = 50;
/// Memory may differ this much between lives: pages that SQLite and the allocator keep.
const RSS_SLACK_KB: u64 = 32 << 10;
/// Descriptors likewise: idle connections of the callers and to the receiver.
const DESCRIPTORS_SLACK: usize = 40;

/// What the callers share.
struct Load {
    address: Mutex<SocketAddr>,
    accepted: Mutex<HashSet<String>>,
    refused: AtomicU64,
    stop: AtomicBool,
}

impl Load {
    fn call(&self, url: &str) {
        let pace = Duration::from_micros(1_000_000 * CALLERS / RATE);
        let body = format!(r#"{{"webhook":{{"url":"{url}","body":{{"n":1}}}}}}"#);
        let headers = [("content-type", "application/json")];
        let mut next = Instant::now();
        while !self.stop.load(Ordering::Relaxed) {
            next = (next + pace).max(Instant::now());
            let address = *self.address.lock().expect("not poisoned");
            match try_request(address, "POST", "/v1/triggers", &headers, body.as_bytes()) {
                Ok(answer) if answer.status == 202 => {
                    let id = answer.json()["deliveries"][0]["id"].clone();
                    let id = id.as_str().expect("an id").to_owned();
                    self.accepted.lock().expect("not poisoned").insert(id);
                }
                // Killed, or starting: nothing was promised.
                _ => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
            }
            while let Some(wait) = next.checked_duration_since(Instant::now()) {
                std::thread::park_timeout(wait);
            }
        }
    }
}

/// Resident memory in KiB, and open descriptors.
fn sizes(process: u32) -> (u64, usize) {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("resident memory");
    let rss = line.split_whitespace().nth(1).and_then(|kb| kb.parse().ok()).expect("a number");
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).expect("it runs").count();
    (rss, descriptors)
}

fn count(value: &serde_json::Value) -> u64 {
    value.as_u64().expect("a count")
}

#[test]
fn a_long_run_with_a_kill_a_minute_loses_nothing_and_stays_level() {
    let Ok(minutes) = std::env::var("HOSTLINE_SOAK_MINUTES") else {
        println!("skipped: HOSTLINE_SOAK_MINUTES does not say for how long (see scripts/soak)");
        return;
    };
    let minutes: u64 = minutes.parse().expect("HOSTLINE_SOAK_MINUTES is a number");
    let data = tempfile::tempdir().expect("a directory");
    let receiver = Receiver::start(|number| {
        (if number % ODD == ODD - 1 { 500 } else { 200 }, "", Duration::ZERO)
    });
    let settings = ["retry.base=1s", "store.retention=5m"];
    let start = || Server::start(data.path(), &settings);
    let mut server = start();
    let load = Arc::new(Load {
        address: Mutex::new(server.address),
        accepted: Mutex::default(),
        refused: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    });
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (load, url) = (load.clone(), receiver.url("/hook"));
            std::thread::spawn(move || load.call(&url))
        })
        .collect();
    let mut arrived: HashSet<String> = HashSet::new();
    let mut levels = Vec::new();
    println!("minute  accepted  delivered  pending  arrived  not accepted  RSS KiB  descriptors");
    for minute in 1..=minutes {
        let ends = Instant::now() + LIFE;
        while let Some(wait) = ends.checked_duration_since(Instant::now()) {
            std::thread::park_timeout(wait.min(Duration::from_secs(1)));
            arrived.extend(receiver.take().into_iter().map(|arrival| arrival.id));
        }
        let counts = server.get("/v1/stats").json()["deliveries"].clone();
        let (rss, descriptors) = sizes(server.id());
        levels.push((rss, descriptors));
        let accepted = load.accepted.lock().expect("not poisoned").len();
        println!(
            "{minute:>6} {accepted:>9} {:>10} {:>8} {:>8} {:>13} {rss:>8} {descriptors:>12}",
            count(&counts["delivered"]),
            count(&counts["pending"]),
            arrived.len(),
            load.refused.load(Ordering::Relaxed),
        );
        server.kill();
        server = start();
        *load.address.lock().expect("not poisoned") = server.address;
    }
    load.stop.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().expect("callers do not panic");
    }
    let accepted = load.accepted.lock().expect("not poisoned").clone();
    let deadline = Instant::now() + PATIENCE;
    let counts = loop {
        arrived.extend(receiver.take().into_iter().map(|arrival| arrival.id));
        let counts = server.get("/v1/stats").json()["deliveries"].clone();
        let lost = accepted.difference(&arrived).count();
        if lost == 0 && counts["pending"] == 0 {
            break counts;
        }
        assert!(Instant::now() < deadline, "{lost} of {} lost: {counts}", accepted.len());
        std::thread::park_timeout(Duration::from_millis(100));
    };
    println!("{} answered 202, 0 lost; at the end {counts}", accepted.len());
    assert_eq!(counts["accepted"], counts["delivered"], "nothing ended otherwise");
    assert!(counts["accepted"].as_u64() >= Some(accepted.len() as u64));
    // The first life fills caches.
    let (first, last) = (levels[1.min(levels.len() - 1)], levels[levels.len() - 1]);
    assert!(last.0 <= first.0 + RSS_SLACK_KB, "RSS went from {} to {} KiB", first.0, last.0);
    assert!(
        last.1 <= first.1 + DESCRIPTORS_SLACK,
        "descriptors went from {} to {}",
        first.1,
        last.1
    );
}
