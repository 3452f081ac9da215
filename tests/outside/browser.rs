//! The dashboard in a real browser: a headless chromium, driven by playwright-core, looks at the
//! real binary while receivers behave and misbehave. The cases are scripts in `tests/browser/`, which
//! installs the packages, too; pictures stay in `target/browser/screenshots`.
//!
//! What is not installed is skipped and said; in CI (`CI=true`) that is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::names::{NameServer, Say};
use crate::process::{Receiver, Server};
use serde_json::{Value, json};

/// Hosts that have an actor, so that the table is long.
const CROWD: usize = 1_500;
/// Webhooks to a host that fails: past the trip line of its health window.
const FAILING: usize = 40;
/// Requests that a host with a budget takes.
const LIMIT: usize = 60;
/// Of a host that answers, so that its plots show something.
const ANSWERED: usize = 120;

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser")
}

/// Where `tests/browser/install` has put the packages.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("browser")
}

/// The browser, where all that is needed is there.
fn chromium() -> Option<PathBuf> {
    let found = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let path = found.unwrap_or_else(|| "/usr/bin/chromium".into());
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).status();
    let all = path.exists() && installed().join("pins").exists() && node.is_ok();
    if !all {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(
            !in_ci,
            "node, chromium or playwright-core is missing, and in CI nothing is skipped"
        );
        println!("skipped: node, chromium or playwright-core is missing; tests/browser/install");
    }
    all.then_some(path)
}

/// Receivers that behave in one way each, all under names of their own.
struct Receivers {
    good: Receiver,
    slow: Receiver,
    limited: Receiver,
    asking: Receiver,
    broken: Receiver,
}

impl Receivers {
    fn start() -> Self {
        // A budget that is used up, and does not come back while the cases run.
        let budget = |number: usize| {
            let left = LIMIT.saturating_sub(number + 1);
            format!(
                "x-ratelimit-limit: {LIMIT}\r\nx-ratelimit-remaining: {left}\r\n\
                 x-ratelimit-reset: 300\r\n"
            )
        };
        let budgets: Vec<&'static str> =
            (0..=LIMIT).map(|number| &*String::leak(budget(number))).collect();
        Self {
            good: Receiver::start(|number| (200, "", Duration::from_millis(number as u64 % 7))),
            slow: Receiver::start(|number| {
                (200, "", Duration::from_millis(200 + number as u64 % 90))
            }),
            limited: Receiver::start(move |number| {
                (200, budgets[number.min(LIMIT)], Duration::from_millis(10))
            }),
            asking: Receiver::start(|_| (429, "retry-after: 300\r\n", Duration::from_millis(5))),
            broken: Receiver::start(|number| {
                let status = [503, 500, 503, 502][number % 4];
                (status, "", Duration::from_millis(5))
            }),
        }
    }
}

/// A server with a life of its own, and one beside it that wants a key.
struct World {
    server: Server,
    keyed: Server,
    key: String,
    receivers: Receivers,
    _names: NameServer,
    _data: [tempfile::TempDir; 2],
}

impl World {
    fn new() -> Self {
        // Names below `nowhere` lead nowhere, all others to the receivers.
        let names = NameServer::start(|name, _| match name.ends_with(".nowhere.example") {
            true => Say::Unknown,
            false => Say::addresses(&["127.0.0.1"]),
        });
        let servers = format!("sender.name_servers=[\"{}\"]", names.address);
        let data = [tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("one")];
        let open = Server::start(data[1].path(), &[]);
        let made = open.post("/v1/keys", r#"{"name":"operator","scopes":["admin"]}"#).json();
        let key = made["key"].as_str().expect("a key").to_owned();
        open.terminate();
        let many = "auth.max_failures=1000";
        let keyed = Server::start(data[1].path(), &["auth.keys_required=true", many]);
        // A learned rate falls before twenty attempts have failed, and actors stop: neither is waited
        // for here, nor may it come in between.
        let kept = ["health.min_failures=8", "actors.idle_timeout=1h"];
        let server = Server::start(data[0].path(), &[&servers, kept[0], kept[1]]);
        let receivers = Receivers::start();
        Self { server, keyed, key, receivers, _names: names, _data: data }
    }

    fn host(name: &str, receiver: &Receiver) -> String {
        format!("{name}.example:{}", receiver.address.port())
    }

    /// What the scripts know of it.
    fn told(&self) -> Value {
        let Receivers { good, slow, limited, asking, broken } = &self.receivers;
        json!({
            "keyed": format!("http://{}", self.keyed.address),
            "key": self.key,
            "crowd": CROWD,
            "hosts": {
                "good": Self::host("orders.shop", good),
                "steady": Self::host("crm", good),
                "slow": Self::host("invoices.billing", slow),
                "limited": Self::host("api.partner", limited),
                "asking": Self::host("events.analytics", asking),
                "paused": Self::host("warehouse", good),
                "broken": Self::host("hooks.legacy", broken),
            },
        })
    }

    /// Sends what makes the hosts what they are.
    fn seed(&self) {
        let told = self.told();
        let host = |name: &str| told["hosts"][name].as_str().expect("a host").to_owned();
        self.send(ANSWERED, |number| format!("http://{}/hook/{number}", host("good")));
        self.send(ANSWERED, |_| format!("http://{}/hook", host("steady")));
        self.send(ANSWERED, |_| format!("http://{}/invoice", host("slow")));
        self.send(ANSWERED, |_| format!("http://{}/v2/events", host("limited")));
        self.send(FAILING, |_| format!("http://{}/in", host("broken")));
        self.send(FAILING, |_| format!("http://{}/collect", host("asking")));
        let pause = format!("/v1/hosts/{}/pause", host("paused"));
        assert_eq!(self.server.post(&pause, r#"{"reason":"stock-taking until six"}"#).status, 200);
        self.send(FAILING / 2, |_| format!("http://{}/stock", host("paused")));
        self.send(CROWD, |number| format!("http://shop-{number:04}.nowhere.example/hook"));
        self.receivers.good.wait_for(ANSWERED);
    }

    fn send(&self, count: usize, url: impl Fn(usize) -> String) {
        let one = |number| json!({"webhook": {"url": url(number), "body": {"number": number}}});
        let batch: Vec<Value> = (0..count).map(one).collect();
        let answer = self.server.post("/v1/triggers/batch", &json!(batch).to_string());
        assert!(answer.status < 300, "{}", answer.text());
    }

    /// Runs the cases of these files, or all; panics where one fails.
    fn run(&self, chromium: &Path, files: &[&str]) {
        let mut command = Command::new("node");
        command.arg(sources().join("run.mjs")).args(files).stdin(Stdio::null());
        command.env("BASE_URL", format!("http://{}", self.server.address));
        command.env("WORLD", self.told().to_string()).env("CHROMIUM", chromium);
        command.env("MODULES", installed().join("node_modules"));
        command.env("SHOTS", installed().join("screenshots"));
        let output = command.output().expect("node starts");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        println!("{printed}");
        assert!(output.status.success(), "{printed}\n{complained}");
    }
}

#[test]
fn dashboard_works_in_a_real_browser() {
    let Some(chromium) = chromium() else { return };
    let world = World::new();
    // Before anything was sent.
    world.run(&chromium, &["first"]);
    world.seed();
    world.run(&chromium, &[]);
}
