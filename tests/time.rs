//! The system's clock jumps and the process is stopped for a while: nothing goes early, nothing
//! waits for ever, nobody but us is blamed for it.
//!
//! Jumps need libfaketime (Debian: `faketime`). It fakes the wall clock of the real binary alone:
//! monotonic clocks stay as they are, as with a real jump.

mod chaos;
mod process;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use process::{Arrival, Receiver, Server};

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
    let asked_at = std::time::Instant::now();
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
