//! Rate limiters that the world runs (`tests/limiters/` has them, and installs them): each is
//! delivered to for a minute by the real binary, all side by side, and has to be used up to its
//! limit and hardly overrun.
//!
//! What is not installed is skipped and said; in CI (`CI=true`) that is a failure.

mod process;

use std::fmt::Write as _;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use process::{PATIENCE, Server, free_port};

/// What each of them allows a second in the long run (200 in 10 s, or 20 a second)…
const RATE: f64 = 20.0;
/// …but for the one that takes no two at once.
const STRICT: (&str, f64) = ("nginx strict", 10.0);
/// The longest of their windows. What happens in the first is not judged.
const WINDOW: Duration = Duration::from_secs(10);
/// How long they are watched after it.
const WATCHED: Duration = Duration::from_secs(60);
/// Of what a limiter allows, at least this share is used…
const USED_MIN: f64 = 0.95;
/// …or this one where no two are taken at once: what a busy machine lets arrive a few milliseconds
/// early is refused there, and nobody who sends can know that.
const USED_MIN_STRICT: f64 = 0.88;
/// …or this one of the limiter that answers 429 and says nothing more: where the first cut of the
/// learned rate lands depends on the moment, and one that went too deep is made up for slowly.
const SILENT: &str = "nginx 429";
const USED_MIN_SILENT: f64 = 0.85;
/// And of the requests sent, less than this share is answered over the limit.
const OVER_MAX: f64 = 0.01;
/// How often one that falls short is looked at: a machine may be busy with something else for a while.
const LOOKS: u32 = 2;
/// Deliveries for each: more than can be sent while it is watched.
const DELIVERIES: usize = 3_000;

/// A process with one or more limiters in it; killed when dropped.
struct Limiters {
    child: Child,
    named: Vec<(&'static str, u16)>,
}

impl Limiters {
    fn start(mut command: Command, named: Vec<(&'static str, u16)>) -> Self {
        command.stdin(Stdio::null());
        let child = command.spawn().expect("it starts");
        let mut limiters = Self { child, named };
        let begun = Instant::now();
        for (name, port) in &limiters.named {
            while TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], *port))).is_err() {
                let ended = limiters.child.try_wait().expect("a process");
                assert!(ended.is_none(), "{name} ended: {ended:?}");
                assert!(begun.elapsed() < PATIENCE, "{name} does not listen");
                std::thread::park_timeout(Duration::from_millis(20));
            }
        }
        limiters
    }
}

impl Drop for Limiters {
    fn drop(&mut self) {
        // By SIGTERM, so that nginx takes its worker along.
        if let Some(id) = rustix::process::Pid::from_raw(self.child.id() as i32) {
            let _ended = rustix::process::kill_process(id, rustix::process::Signal::TERM);
        }
        let _reaped = self.child.wait();
    }
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/limiters")
}

/// Where `tests/limiters/install` has put what is not of the system.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("limiters")
}

fn named(names: &[&'static str]) -> Vec<(&'static str, u16)> {
    names.iter().map(|name| (*name, free_port())).collect()
}

fn express() -> Option<Limiters> {
    let modules = installed().join("node/node_modules");
    modules.join("express-rate-limit").exists().then_some(())?;
    let named = named(&["express legacy", "express draft-6", "express draft-7", "express draft-8"]);
    let mut command = Command::new("node");
    command.arg(sources().join("express.js")).env("NODE_PATH", modules);
    for (name, port) in &named {
        let dialect = name.strip_prefix("express ").expect("named so");
        command.arg(format!("{dialect}:{port}"));
    }
    Some(Limiters::start(command, named))
}

fn flask() -> Option<Limiters> {
    let python = installed().join("python/bin/python");
    python.exists().then_some(())?;
    let named = named(&["flask fixed-window", "flask moving-window"]);
    let mut command = Command::new(python);
    command.arg(sources().join("flask_app.py"));
    for (name, port) in &named {
        let strategy = name.strip_prefix("flask ").expect("named so");
        command.arg(format!("{strategy}:{port}"));
    }
    Some(Limiters::start(command, named))
}

fn slowapi() -> Option<Limiters> {
    let python = installed().join("python/bin/python");
    python.exists().then_some(())?;
    let named = named(&["slowapi"]);
    let mut command = Command::new(python);
    command.arg(sources().join("slowapi_app.py")).arg(named[0].1.to_string());
    Some(Limiters::start(command, named))
}

fn nginx(directory: &Path) -> Option<Limiters> {
    let places = ["/usr/sbin/nginx", "/usr/local/sbin/nginx", "/usr/bin/nginx"];
    let nginx = places.iter().find(|place| Path::new(place).exists())?;
    let named = named(&[STRICT.0, "nginx burst", "nginx 429"]);
    let template = std::fs::read_to_string(sources().join("nginx.conf")).expect("a template");
    let filled = template
        .replace("DIRECTORY", directory.to_str().expect("a plain path"))
        .replace("STRICT_PORT", &named[0].1.to_string())
        .replace("BURST_PORT", &named[1].1.to_string())
        .replace("STATUS_PORT", &named[2].1.to_string());
    let config = directory.join("nginx.conf");
    std::fs::write(&config, filled).expect("a configuration");
    let mut command = Command::new(nginx);
    command.arg("-p").arg(directory).arg("-c").arg(config);
    Some(Limiters::start(command, named))
}

/// Attempts and successes of a host so far.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    attempts: u64,
    delivered: u64,
}

fn seen(server: &Server, port: u16) -> Seen {
    let shown = server.get(&format!("/v1/hosts/127.0.0.1:{port}")).json();
    let count = |name: &str| shown["since_start"][name].as_u64().unwrap_or(0);
    Seen { attempts: count("attempts"), delivered: count("delivered") }
}

fn enqueue(server: &Server, port: u16) {
    let line = format!("{{\"webhook\":{{\"url\":\"http://127.0.0.1:{port}/\",\"body\":1}}}}\n");
    let headers = [("content-type", "application/x-ndjson")];
    let lines = line.repeat(DELIVERIES);
    let answer = server.send("POST", "/v1/triggers/batch", &headers, lines.as_bytes());
    assert_eq!(answer.status, 202, "{}", answer.text());
}

/// Waits until `when`.
fn wait_until(when: Instant) {
    while let Some(left) = when.checked_duration_since(Instant::now()).filter(|l| !l.is_zero()) {
        std::thread::park_timeout(left);
    }
}

/// Whether a limiter was used as it should be since `before`; writes down where it was not.
fn judge(server: &Server, (name, port): (&str, u16), before: &Seen, wrong: &mut String) -> bool {
    let after = seen(server, port);
    let attempts = after.attempts - before.attempts;
    let delivered = after.delivered - before.delivered;
    let (rate, used_min) = match name {
        name if name == STRICT.0 => (STRICT.1, USED_MIN_STRICT),
        SILENT => (RATE, USED_MIN_SILENT),
        _ => (RATE, USED_MIN),
    };
    let used = delivered as f64 / (rate * WATCHED.as_secs_f64());
    let over = (attempts - delivered) as f64 / (attempts as f64).max(1.0);
    let first = before.attempts - before.delivered;
    let line = format!(
        "{name}: {:.1} % used, {:.2} % over the limit ({} of {attempts}; {first} before)",
        used * 100.0,
        over * 100.0,
        attempts - delivered,
    );
    println!("{line}");
    let is_right = used >= used_min && over < OVER_MAX;
    if !is_right {
        writeln!(wrong, "{line}").expect("a string takes it");
    }
    is_right
}

#[test]
fn real_limiters_are_used_up_to_their_limit_and_hardly_overrun() {
    let directory = tempfile::tempdir().expect("a directory");
    let found = [
        ("express-rate-limit", express()),
        ("flask-limiter", flask()),
        ("slowapi", slowapi()),
        ("nginx", nginx(directory.path())),
    ];
    for (name, limiters) in &found {
        if limiters.is_none() {
            println!("{name} is not installed: skipped; tests/limiters/install installs it");
            let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!in_ci, "{name} is not installed, and in CI nothing may be skipped");
        }
    }
    let hosts: Vec<(&str, u16)> = found
        .iter()
        .filter_map(|(_, some)| some.as_ref())
        .flat_map(|one| one.named.clone())
        .collect();
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(data.path(), &[]);
    for (_, port) in &hosts {
        enqueue(&server, *port);
    }
    let begun = Instant::now();
    wait_until(begun + WINDOW);
    let mut short = hosts;
    let mut wrong = String::new();
    for look in 0..LOOKS {
        let before: Vec<Seen> = short.iter().map(|(_, port)| seen(&server, *port)).collect();
        wait_until(begun + WINDOW + WATCHED * (look + 1));
        wrong.clear();
        let judged = short.into_iter().zip(before);
        short = judged
            .filter(|(host, before)| !judge(&server, *host, before, &mut wrong))
            .map(|(host, _)| host)
            .collect();
        if short.is_empty() {
            break;
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
