//! The system's clock jumps and the process is stopped for a while: nothing goes early, nothing
//! waits for ever, nobody but us is blamed for it.
//!
//! Jumps need libfaketime (Debian: `faketime`). It fakes the wall clock of the real binary alone:
//! monotonic clocks stay as they are, as with a real jump.

mod chaos;
mod process;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use chaos::{Book, Callers};
use hostline::cli::receiver::{Behaviour, Fate, Limit, LimitHeaders, Received, Receiver as Bucket};
use process::{Arrival, Receiver, Server};
use rustix::process::Signal;
use serde_json::Value;

/// What a timer may be late under load, and what a test waits for in vain at most.
const LATE_MAX: Duration = Duration::from_secs(5);
/// Clocks of two processes are read at different times, and timers tick in milliseconds.
const EARLY_MAX: Duration = Duration::from_millis(5);
/// What `webhook-timestamp` may be off, in seconds.
const STAMP_OFF_MAX: i64 = 3;
/// Deliveries that wait for a paused host while the clock jumps.
const HELD: usize = 20;

const HOUR_S: i64 = 3600;
const YEAR_S: i64 = 365 * 86_400;

fn library() -> Option<PathBuf> {
    let directories = [
        "/usr/lib/x86_64-linux-gnu/faketime",
        "/usr/lib/aarch64-linux-gnu/faketime",
        "/usr/lib/faketime",
    ];
    let names = ["libfaketimeMT.so.1", "libfaketime.so.1"];
    let paths = directories
        .iter()
        .flat_map(|directory| names.iter().map(move |name| Path::new(directory).join(name)));
    let found = paths.into_iter().find(|path| path.exists());
    if found.is_none() {
        chaos::skip("libfaketime.so.1 is missing; on Debian: apt-get install faketime");
    }
    found
}

fn real_s() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the test's clock is set");
    since.as_secs().cast_signed()
}

/// A server whose wall clock the test sets.
struct Machine {
    data: tempfile::TempDir,
    clock: PathBuf,
    library: PathBuf,
}

impl Machine {
    fn new() -> Option<Self> {
        let library = library()?;
        let data = tempfile::tempdir().expect("a directory");
        let clock = data.path().join("clock");
        let machine = Self { data, clock, library };
        machine.jump(0);
        Some(machine)
    }

    /// Sets the clock so many seconds ahead of the real one.
    fn jump(&self, seconds: i64) {
        // Exchanged as a whole: the library may read at any time.
        let next = self.data.path().join("clock-next");
        std::fs::write(&next, format!("{seconds:+}\n")).expect("written");
        std::fs::rename(next, &self.clock).expect("exchanged");
    }

    fn start(&self) -> Server {
        let set =
            ["retry.base=3s", "retry.jitter=0", "health.min_failures=2", "health.cooldown=4s"];
        let mut server = Server::launch(self.data.path(), &set, |command| {
            command
                .env("LD_PRELOAD", &self.library)
                .env("FAKETIME_TIMESTAMP_FILE", &self.clock)
                .env("FAKETIME_NO_CACHE", "1")
                .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
                .env("DONT_FAKE_MONOTONIC", "1");
        });
        server.wait_until_ready();
        server
    }
}

/// Answers `first` until so many have come, and 200 from then on.
fn after(count: usize, status: u16, header: &'static str) -> Receiver {
    Receiver::start(move |number| {
        if number < count { (status, header, Duration::ZERO) } else { (200, "", Duration::ZERO) }
    })
}

fn send(server: &Server, receiver: &Receiver, more: &str) -> String {
    let url = receiver.url("/");
    let trigger = format!(r#"{{"webhook":{{"url":"{url}","body":1}}{more}}}"#);
    let answer = server.post("/v1/triggers", &trigger);
    assert_eq!(answer.status, 202, "{}", answer.text());
    chaos::id_of(&answer)
}

fn control(server: &Server, receiver: &Receiver, verb: &str) {
    let answer = server.post(&format!("/v1/hosts/{}/{verb}", receiver.host()), "");
    assert_eq!(answer.status / 100, 2, "{}", answer.text());
}

fn assert_waited(what: &str, waited: Duration, asked: Duration) {
    assert!(waited + EARLY_MAX >= asked, "{what}: {waited:?} is early, {asked:?} was asked");
    assert!(waited <= asked + LATE_MAX, "{what}: {waited:?} is late, {asked:?} was asked");
}

/// The time between the attempt before the jump and the first one after it.
fn gap(arrivals: &[Arrival], before: usize) -> Duration {
    arrivals[before].at - arrivals[before - 1].at
}

fn stamp_of(arrival: &Arrival) -> i64 {
    arrival.headers["webhook-timestamp"].parse().expect("seconds")
}

/// One jump while something of every kind waits.
fn jump(seconds: i64) {
    let Some(machine) = Machine::new() else { return };
    let server = machine.start();
    let ok = after(0, 0, "");
    let failing = after(1, 500, "");
    let asking = after(1, 429, "retry-after: 4\r\n");
    let down = after(2, 502, "");
    let held = after(0, 0, "");
    control(&server, &held, "pause");
    let waiting: Vec<String> = (0..HELD)
        .map(|number| {
            let ttl = if number.is_multiple_of(2) { "" } else { r#","ttl":"1h""# };
            send(&server, &held, ttl)
        })
        .collect();
    for receiver in [&failing, &asking, &down, &down] {
        send(&server, receiver, "");
    }
    failing.wait_for(1);
    asking.wait_for(1);
    down.wait_for(2);
    let asked_at = Instant::now();
    send(&server, &ok, r#","delay":"3s""#);
    machine.jump(seconds);

    ok.wait_for(1);
    failing.wait_for(2);
    asking.wait_for(2);
    down.wait_for(4);
    let delayed = ok.arrivals()[0].clone();
    assert_waited("a delay", delayed.at - asked_at, Duration::from_secs(3));
    assert_waited("a retry", gap(&failing.arrivals(), 1), Duration::from_secs(3));
    assert_waited("Retry-After", gap(&asking.arrivals(), 1), Duration::from_secs(4));
    assert_waited("a cooldown", gap(&down.arrivals(), 2), Duration::from_secs(4));
    let off = stamp_of(&delayed) - (real_s() + seconds);
    assert!(off.abs() <= STAMP_OFF_MAX, "webhook-timestamp is {off} s off the wall clock");

    control(&server, &held, "resume");
    for id in &waiting {
        server.wait_for(id, &["delivered", "expired"]);
    }
    assert_eq!(held.count(), HELD, "nothing expired by the jump");
    // What comes in after it is on time, too.
    let after_jump = send(&server, &ok, "");
    server.wait_for(&after_jump, &["delivered"]);
    println!("jump of {seconds:+} s: delays, waits, cooldown and expiries kept");
}

#[test]
fn an_hour_ahead_changes_no_wait() {
    jump(HOUR_S);
}

#[test]
fn an_hour_back_changes_no_wait() {
    jump(-HOUR_S);
}

#[test]
fn ten_years_ahead_change_no_wait() {
    jump(10 * YEAR_S);
}

#[test]
fn back_to_1970_changes_no_wait() {
    jump(-real_s() + 60);
}

/// Leaves work behind for a start after the jump: a paused host's, and a host's that said wait.
fn restart(seconds: i64) -> Option<(Machine, Server, Receiver, Receiver)> {
    let machine = Machine::new()?;
    let server = machine.start();
    let held = after(0, 0, "");
    let asking = after(1, 429, "retry-after: 8\r\n");
    control(&server, &held, "pause");
    for _ in 0..HELD {
        send(&server, &held, "");
    }
    let id = send(&server, &asking, "");
    asking.wait_for(1);
    chaos::wait_until("the wait is kept", || {
        let delivery = server.get(&format!("/v1/deliveries/{id}")).json();
        delivery["attempts"].as_array().is_some_and(|attempts| !attempts.is_empty())
    });
    // The state of a host is saved within a second.
    chaos::pause(Duration::from_millis(1_500));
    server.kill();
    machine.jump(seconds);
    let server = machine.start();
    control(&server, &held, "resume");
    Some((machine, server, held, asking))
}

#[test]
fn a_start_an_hour_later_sends_what_is_due() {
    let Some((_machine, _server, held, asking)) = restart(HOUR_S) else { return };
    held.wait_for(HELD);
    asking.wait_for(2);
}

#[test]
fn a_start_in_1970_goes_on_from_the_last_time_that_was_known() {
    let Some((machine, _server, held, asking)) = restart(-real_s() + 60) else { return };
    held.wait_for(HELD);
    asking.wait_for(2);
    let waited = gap(&asking.arrivals(), 1);
    assert!(
        waited <= Duration::from_secs(8) + 2 * LATE_MAX,
        "not longer than was left: {waited:?}"
    );
    let log = chaos::log_of(machine.data.path());
    assert!(log.contains("the system clock is behind the last commit"), "{log}");
}

#[test]
fn a_start_an_hour_earlier_says_so_and_waits_no_longer_than_that() {
    let Some((machine, server, held, asking)) = restart(-HOUR_S) else { return };
    let log = chaos::log_of(machine.data.path());
    assert!(log.contains("the system clock is behind the last commit"), "{log}");
    assert_eq!((held.count(), asking.count()), (0, 1), "nothing goes before it is due");
    server.kill();
    machine.jump(0);
    let _server = machine.start();
    held.wait_for(HELD);
    asking.wait_for(2);
}

/// What the limited receivers allow a second, and at once after a pause.
const LIMIT: u32 = 100;
/// Triggers for each limited receiver: more than it allows until the test ends.
const BACKLOG: usize = 1_500;

fn stop_length() -> Duration {
    Duration::from_secs(if chaos::long() { 120 } else { 5 })
}

/// A receiver with a token bucket that notes when it was asked and what it answered.
struct Limited {
    receiver: Bucket,
    seen: Arc<Mutex<Vec<(Instant, bool)>>>,
}

impl Limited {
    fn start(limit_headers: LimitHeaders) -> Self {
        let limit = Some(Limit::per_second(f64::from(LIMIT)));
        let behaviour = Behaviour { limit, limit_headers, ..Behaviour::default() };
        let seen: Arc<Mutex<Vec<(Instant, bool)>>> = Arc::default();
        let noting = seen.clone();
        let observer = Box::new(move |received: &Received| {
            let refused = received.fate == Fate::Answered(429);
            noting.lock().expect("not poisoned").push((Instant::now(), refused));
        });
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let receiver = Bucket::start_observed(address, behaviour, observer).expect("a receiver");
        Self { receiver, seen }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.receiver.address())
    }

    /// Requests and refusals from `from` for so long.
    fn within(&self, from: Instant, length: Duration) -> (u32, u32) {
        let seen = self.seen.lock().expect("not poisoned");
        let of_time = seen.iter().filter(|(at, _)| (from..from + length).contains(at));
        of_time.fold((0, 0), |(all, refused), (_, is_refused)| {
            (all + 1, refused + u32::from(*is_refused))
        })
    }
}

fn batch(server: &Server, url: &str, count: usize) -> Vec<String> {
    let line = format!("{{\"webhook\":{{\"url\":\"{url}\",\"body\":1}}}}\n");
    let headers = [("content-type", "application/x-ndjson")];
    let body = line.repeat(count);
    let answer = server.send("POST", "/v1/triggers/batch", &headers, body.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());
    let rows = answer.json()["data"].as_array().expect("results").clone();
    let id = |row: &Value| row["deliveries"][0]["id"].as_str().expect("an id").to_owned();
    rows.iter().map(id).collect()
}

#[test]
fn a_stopped_process_wakes_without_a_burst_and_blames_no_host() {
    let data = tempfile::tempdir().expect("a directory");
    // Far below the stop, so that all that is in flight runs out of time in it.
    let server = Server::start(data.path(), &["sender.timeout=2s"]);
    let limited = [LimitHeaders::XRateLimit, LimitHeaders::RetryAfter].map(Limited::start);
    for receiver in &limited {
        batch(&server, &receiver.url(), BACKLOG);
    }
    let slow = Receiver::start(|_| (200, "", Duration::from_millis(700)));
    let quick = Receiver::start(|_| (200, "", Duration::ZERO));
    let slow_ids = batch(&server, &slow.url("/"), 100);
    slow.wait_for(20);
    let book: Arc<Book> = Arc::default();
    let callers = Callers::start(4, server.address, &quick.url("/"), "1", &book);
    chaos::pause(Duration::from_millis(1_500));

    server.signal(Signal::STOP);
    chaos::pause(stop_length());
    let woken = Instant::now();
    server.signal(Signal::CONT);
    chaos::pause(Duration::from_secs(3));

    for (receiver, name) in limited.iter().zip(["X-RateLimit", "Retry-After"]) {
        let (first, refused) = receiver.within(woken, Duration::from_secs(1));
        let (later, refused_later) = receiver.within(woken, Duration::from_secs(3));
        println!(
            "{name}: {first} in the first second, {refused} of them 429; {later} in 3 s, {refused_later} 429"
        );
        assert!(first <= 2 * LIMIT, "{name}: a burst of {first} in the first second");
        assert!(refused_later <= later / 20, "{name}: {refused_later} of {later} refused");
        assert!(later >= LIMIT, "{name}: hardly anything was sent: {later}");
    }
    callers.stop();
    for id in &slow_ids {
        let delivery = server.wait_for(id, &["delivered"]);
        let attempts = delivery["attempts"].as_array().expect("a list");
        assert_eq!(attempts.len(), 1, "nothing ran out of time by our own pause: {delivery}");
    }
    book.assert_delivered(&quick);
    book.assert_orderly();
    for receiver in [&slow, &quick] {
        let host = server.get(&format!("/v1/hosts/{}", receiver.host())).json();
        assert_eq!(host["state"], "healthy", "{host}");
    }
    let log = chaos::log_of(data.path());
    assert!(!log.contains("cooling_down"), "a host was found unhealthy: {log}");
}
