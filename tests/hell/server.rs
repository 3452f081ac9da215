//! The table against the real server, all behaviours at once: how its deliveries end, what it costs
//! in memory and descriptors, and what the hosts beside them notice.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hostline::clock::Clock;
use hostline::model::Timestamp;
use serde_json::Value;

use crate::behaviours::{Authority, Behaviour, Ends, all};
use crate::process::{self, PATIENCE, Server};
use crate::receiver::{Receiver as Hell, pause};
use crate::sending::{TIMEOUT, turn};

/// Deliveries to each receiver from hell.
const EACH: usize = 3;
/// Time between two deliveries to neighbours.
const PACE: Duration = Duration::from_millis(8);
/// Time between two deliveries to hell: what is measured is the receivers, not a burst of triggers
/// on a machine of two cores that runs them all.
const DESCENT: Duration = Duration::from_millis(4);
/// Deliveries to neighbours before hell breaks loose; later it is at least as many.
const QUIET: usize = 500;
/// Neighbours: enough to live on every arbiter.
const NEIGHBOURS: usize = 4;
/// A `Retry-After` delays a delivery by no more than a day, and backoff comes on top.
const WAIT_MAX: Duration = Duration::from_secs(25 * 3600);
/// What the memory of the process may grow by.
const GROWTH_KIB_MAX: u64 = 50 << 10;

/// One receiver at work, and what must become of its deliveries.
struct Host {
    behaviour: Behaviour,
    receiver: Hell,
}

impl Host {
    fn url(&self) -> String {
        let scheme = if self.behaviour.secure { "https" } else { "http" };
        format!("{scheme}://{}/hook", self.receiver.address)
    }

    /// State, last status and number of attempts of each of its deliveries, once it is over.
    fn end(&self) -> (&'static str, u16, u64) {
        match self.behaviour.ends {
            Ends::Status(status @ 200..300) => ("delivered", status, 1),
            // It asks to be left alone, for longer than the test takes; no retry is used up.
            Ends::Status(429) => ("waiting", 429, 1),
            Ends::Status(status @ 300..500) => ("failed", status, 1),
            Ends::Status(status) => ("exhausted", status, 2),
            Ends::NoAnswer(_) | Ends::TimedOut(_) => ("exhausted", 599, 2),
        }
    }

    /// How many are sent: of a host that asks for a long wait only the first would go out, and a
    /// retry comes later than another delivery.
    fn deliveries(&self) -> usize {
        let waits = self.behaviour.name.contains("budgets of");
        if waits || self.behaviour.unhurried { 1 } else { EACH }
    }

    fn complaints(&self, server: &Server) -> Vec<String> {
        let path = format!("/v1/deliveries?host={}", self.receiver.address);
        let rows = server.get(&path).json()["data"].as_array().expect("rows").clone();
        let (state, status, attempts) = self.end();
        let bound = Clock::system().wall().plus(WAIT_MAX);
        let mut complaints = Vec::new();
        for row in &rows {
            let is_right = row["state"] == state
                && row["last_status"] == status
                && row["attempt_count"].as_u64() >= Some(attempts)
                && due(row).is_none_or(|due| due < bound);
            if !is_right {
                complaints.push(format!("{}: {row}", self.behaviour.name));
            }
        }
        if rows.len() != self.deliveries() {
            complaints.push(format!("{}: {} deliveries", self.behaviour.name, rows.len()));
        }
        complaints.extend(rows.first().and_then(|row| self.silence(server, row)));
        complaints
    }

    /// What is wrong with the words for the last attempt.
    fn silence(&self, server: &Server, row: &Value) -> Option<String> {
        let path = format!("/v1/deliveries/{}", row["id"].as_str().expect("an id"));
        let delivery = server.get(&path).json();
        let attempt = delivery["attempts"].as_array().and_then(|all| all.last().cloned());
        let reason = attempt.as_ref().and_then(|attempt| attempt["reason"].as_str());
        let expected = match self.behaviour.ends {
            Ends::Status(status) => format!("answered {status}"),
            Ends::NoAnswer(words) => words.to_owned(),
            // Smaller bodies than in the other test: more of them goes out before it stalls.
            Ends::TimedOut(_) => "timed out after 2s ".to_owned(),
        };
        let is_said = reason.is_some_and(|reason| reason.contains(&expected));
        (!is_said).then(|| format!("{}: {reason:?} for {expected:?}", self.behaviour.name))
    }
}

/// When a delivery is due that is not over.
fn due(row: &Value) -> Option<Timestamp> {
    let due = row["due_at"].as_str()?;
    Some(serde_json::from_value(due.into()).expect("a time"))
}

/// Waits until the deliveries of a list, `count` in number, are over or wait for their host.
pub fn settled(server: &Server, path: &str, count: usize) -> Vec<Value> {
    let began = Instant::now();
    loop {
        let rows = server.get(path).json()["data"].as_array().expect("rows").clone();
        let is_settled = |row: &Value| {
            !row["ended_at"].is_null() || row["last_status"] == 429 && row["state"] == "waiting"
        };
        if rows.len() == count && rows.iter().all(is_settled) {
            return rows;
        }
        assert!(began.elapsed() < PATIENCE, "{path}: {rows:?}");
        pause(Duration::from_millis(50));
    }
}

fn open_files(server: &Server) -> usize {
    let directory = PathBuf::from(format!("/proc/{}/fd", server.id()));
    std::fs::read_dir(directory).expect("readable").count()
}

fn memory_kib(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.id()));
    let status = status.expect("readable");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Sends to the neighbours at an even pace while `goes_on`; answers when each was triggered.
fn visit(
    server: &Server,
    neighbours: &[process::Receiver],
    mut goes_on: impl FnMut(usize) -> bool,
) -> HashMap<String, Instant> {
    let began = Instant::now();
    let mut triggered = HashMap::new();
    for (number, neighbour) in neighbours.iter().cycle().enumerate() {
        if !goes_on(number) {
            break;
        }
        let now = Instant::now();
        triggered.insert(server.trigger(&neighbour.url("/hook"), "{}"), now);
        let next = began + PACE * (number as u32 + 1);
        pause(next.saturating_duration_since(Instant::now()));
    }
    triggered
}

/// From the trigger to the arrival: the median and the 99th percentile.
fn latencies(
    neighbours: &[process::Receiver],
    triggered: &HashMap<String, Instant>,
) -> (Duration, Duration) {
    let began = Instant::now();
    let mut took = Vec::new();
    while took.len() < triggered.len() {
        assert!(began.elapsed() < PATIENCE, "{} of {} arrived", took.len(), triggered.len());
        pause(Duration::from_millis(20));
        let arrivals = neighbours.iter().flat_map(process::Receiver::arrivals);
        took = arrivals
            .filter_map(|arrival| Some(arrival.at.duration_since(*triggered.get(&arrival.id)?)))
            .collect();
    }
    took.sort_unstable();
    (took[took.len() / 2], took[took.len() * 99 / 100])
}

#[test]
fn hell_costs_little_memory_no_descriptors_and_no_neighbours_time() {
    if !Path::new("/proc/self/status").exists() {
        println!("skipped: memory and open files of a process are read from /proc");
        return;
    }
    let _turn = turn();
    let data = tempfile::tempdir().expect("a directory");
    let authority = Authority::new();
    let roots = data.path().join("roots.pem");
    authority.write(&roots);
    let roots = format!("sender.roots={:?}", roots.display().to_string());
    let settings = [
        roots.as_str(),
        "sender.timeout=\"2s\"",
        "sender.keep_alive=\"1s\"",
        "retry.retries=1",
        "retry.base=\"200ms\"",
        "health.cooldown=\"500ms\"",
        "actors.idle_timeout=\"1s\"",
    ];
    let server = Server::start(data.path(), &settings);
    let neighbours: Vec<process::Receiver> =
        (0..NEIGHBOURS).map(|_| process::Receiver::start(|_| (200, "", Duration::ZERO))).collect();
    let hosts: Vec<Host> = all(&authority)
        .into_iter()
        .map(|behaviour| Host { receiver: Hell::start(&behaviour.door), behaviour })
        .collect();

    let triggered = visit(&server, &neighbours, |number| number < QUIET);
    let quiet = latencies(&neighbours, &triggered);
    let (files_before, memory_before) = (open_files(&server), memory_kib(&server));

    let is_over = AtomicBool::new(false);
    let mut memory_max = 0;
    let began = Instant::now();
    let triggered = std::thread::scope(|scope| {
        scope.spawn(|| {
            // Also when it panics: else the visits would go on for ever.
            let _over = Over(&is_over);
            unleash(&server, &hosts);
        });
        visit(&server, &neighbours, |number| {
            memory_max = memory_max.max(memory_kib(&server));
            number < QUIET || !is_over.load(Ordering::SeqCst)
        })
    });
    let took = began.elapsed();
    let hellish = latencies(&neighbours, &triggered);
    let growth = memory_max.saturating_sub(memory_before);
    println!("{} receivers from hell for {took:.1?}, memory +{growth} KiB", hosts.len());
    println!("neighbours, trigger to arrival: p50 {:.1?}, p99 {:.1?} without", quiet.0, quiet.1);
    println!("neighbours, trigger to arrival: p50 {:.1?}, p99 {:.1?} beside", hellish.0, hellish.1);

    let complaints: Vec<String> = hosts.iter().flat_map(|host| host.complaints(&server)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    assert!(growth < GROWTH_KIB_MAX, "memory grew by {growth} KiB");
    // Whoever had waited for a place that a receiver from hell held would have waited for longer.
    let bound = (quiet.1 * 2).max(quiet.1 + TIMEOUT / 2);
    assert!(hellish.1 < bound, "neighbours' p99 is {:?}, and was {:?}", hellish.1, quiet.1);
    assert_given_back(&server, files_before);
}

/// Says that something is over once it is dropped.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Sends to every receiver from hell, and waits for all that is to become of it.
fn unleash(server: &Server, hosts: &[Host]) {
    for host in hosts {
        let body = match host.behaviour.body {
            2 => "{}".to_owned(),
            length => format!("\"{}\"", "x".repeat(length.min(64 << 10))),
        };
        for _ in 0..host.deliveries() {
            server.trigger(&host.url(), &body);
            pause(DESCENT);
        }
    }
    for host in hosts {
        let path = format!("/v1/deliveries?host={}", host.receiver.address);
        settled(server, &path, host.deliveries());
    }
}

/// Waits until the process has no more open files than before.
fn assert_given_back(server: &Server, before: usize) {
    let began = Instant::now();
    while open_files(server) > before {
        let now = open_files(server);
        assert!(began.elapsed() < PATIENCE / 2, "{now} open files, {before} before");
        pause(Duration::from_millis(50));
    }
    println!("{before} open files before, {} {:.1?} after", open_files(server), began.elapsed());
}
