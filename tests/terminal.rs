//! The terminal, as an operator has it: the real binary asks a real server, with receivers that
//! behave and misbehave, and is judged by its text, its JSON and its exit codes.

#[path = "terminal/pages.rs"]
mod pages;
mod process;
#[path = "terminal/tail.rs"]
mod tail;
#[path = "terminal/top.rs"]
mod top;
#[path = "terminal/trust.rs"]
mod trust;

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use process::{Receiver, Server};
use serde_json::Value;

/// The program, with an environment that says nothing.
fn command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostline"));
    command.args(args).stdin(Stdio::null());
    let ours = ["HOSTLINE_KEY", "HOSTLINE_KEY_FILE", "HOSTLINE_CA", "HOSTLINE_SERVER"];
    for name in ours.iter().chain(&["RUST_LOG", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"]) {
        command.env_remove(name);
    }
    command
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Waits until something holds.
fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < process::PATIENCE, "it never came about that {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A server, and one receiver for each way to answer.
struct House {
    _directory: tempfile::TempDir,
    server: Server,
    url: String,
    good: Receiver,
    gone: Receiver,
}

impl House {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let server = Server::start(directory.path(), &[]);
        let url = format!("http://{}", server.address);
        let answers = |status| Receiver::start(move |_| (status, "", Duration::ZERO));
        Self { _directory: directory, server, url, good: answers(200), gone: answers(410) }
    }

    /// Runs a command against this server.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = command(args);
        command.env("HOSTLINE_SERVER", &self.url).output().expect("the program starts")
    }

    /// What a command that does what it should says.
    fn says(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", errors(&output));
        out(&output)
    }

    fn json(&self, args: &[&str]) -> Value {
        let text = self.says(&[args, &["--json"]].concat());
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{args:?}: {error}: {text}"))
    }

    /// A delivery that waits, since its host is paused.
    fn held(&self) -> String {
        self.says(&["hosts", "pause", &self.good.host(), "--reason", "lunch"]);
        let id = self.server.trigger(&self.good.url("/held"), "1");
        // What is told of hosts may be a moment old.
        eventually("the host is told to be paused", || {
            let list = self.server.get("/v1/hosts?sort=-queued&state=paused").json();
            list["data"][0]["queued"] == 1
        });
        id
    }

    fn failed(&self) -> String {
        let id = self.server.trigger(&self.gone.url("/x"), "1");
        self.server.wait_for(&id, &["failed"]);
        id
    }
}

#[test]
fn hosts_shows_each_host_with_its_state_and_why() {
    let house = House::new();
    house.held();
    let host = house.good.host();
    let table = house.says(&["hosts"]);
    let line = table.lines().find(|line| line.starts_with(&host)).expect("its line");
    assert!(line.contains("paused") && line.contains("lunch"), "{table}");
    assert!(table.starts_with("host ") && !table.contains('\u{1b}'), "no colours: {table}");
    let colored = house.says(&["hosts", "--color", "always"]);
    assert!(colored.contains("\u{1b}["), "{colored}");

    let list = house.json(&["hosts", "--state", "paused", "--sort", "name"]);
    assert_eq!(list["data"][0]["host"], *host);
    let none = house.says(&["hosts", "--state", "probing"]);
    assert!(none.starts_with("no such host actor lives"), "{none}");
    let wrong = house.run(&["hosts", "--sort", "beauty"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(errors(&wrong).contains("sort: is unknown"), "{}", errors(&wrong));
}

#[test]
fn one_host_is_shown_in_full() {
    let house = House::new();
    house.held();
    let host = house.good.host();
    let text = house.says(&["hosts", &host]);
    for part in ["paused\n", "why          ", "lunch", "waiting      1 owed", "in flight    0 of "]
    {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    let document = house.json(&["hosts", &host]);
    assert_eq!(document["controls"]["reason"], "lunch");
    assert!(document["history"].is_array());
    let unknown = house.run(&["hosts", "nowhere.example"]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(errors(&unknown).contains("404"), "{}", errors(&unknown));
}

#[test]
fn a_host_is_paused_let_go_on_and_purged_only_when_that_is_meant() {
    let house = House::new();
    let id = house.held();
    let host = house.good.host();
    let unasked = house.run(&["hosts", "purge", &host]);
    assert_eq!(unasked.status.code(), Some(2));
    let told = errors(&unasked);
    assert!(told.contains("Cancel all 1 deliveries") && told.contains("--yes"), "{told}");
    assert_eq!(house.json(&["hosts", "purge", &host, "--yes"])["purged"], 1);
    house.server.wait_for(&id, &["cancelled"]);

    assert!(house.says(&["hosts", "drain", &host]).contains("nothing new is taken"));
    assert_eq!(house.json(&["hosts", "resume", &host])["controls"]["draining"], false);
    let id = house.server.trigger(&house.good.url("/on"), "2");
    house.server.wait_for(&id, &["delivered"]);
}

#[test]
fn why_says_what_is_in_the_way_and_what_to_do() {
    let house = House::new();
    let id = house.held();
    let host = house.good.host();
    let text = house.says(&["why", &id]);
    for part in ["waiting", "lunch", &format!("hostline hosts resume {host}"), &id] {
        assert!(text.contains(part), "{part:?} is missing:\n{text}");
    }
    assert_eq!(house.json(&["why", &id])["state"], "waiting");
    house.says(&["hosts", "resume", &host]);
    house.server.wait_for(&id, &["delivered"]);
    assert!(house.says(&["why", &id]).contains("next: nothing; the receiver took it"));
}

#[test]
fn why_tells_a_bad_end_by_its_exit_code() {
    let house = House::new();
    let id = house.failed();
    let output = house.run(&["why", &id]);
    assert_eq!(output.status.code(), Some(1), "{}", errors(&output));
    let text = out(&output);
    assert!(text.contains(" 410 ") && text.contains(&format!("hostline redrive {id}")), "{text}");
    let output = house.run(&["why", &id, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    for unknown in ["nonsense", "01987d2f-5b6a-7c00-8000-0123456789ab"] {
        let output = house.run(&["why", unknown]);
        assert_eq!(output.status.code(), Some(2), "{unknown}: {}", out(&output));
    }
}

#[test]
fn dead_letters_are_redriven_by_id_and_by_filter() {
    let house = House::new();
    let id = house.failed();
    let host = house.gone.host();
    assert_eq!(house.says(&["redrive", &id]), format!("{id} redriven\n"));
    house.gone.wait_for(2);
    house.server.wait_for(&id, &["failed"]);

    let counted = house.says(&["redrive", "--host", &host, "--dry-run"]);
    assert_eq!(counted, "1 would be redriven\n");
    let counted = house.json(&["redrive", "--host", &host, "--until", "1h", "--dry-run"]);
    assert_eq!(counted["matched"], 0);
    let unasked = house.run(&["redrive", "--host", &host]);
    assert_eq!(unasked.status.code(), Some(2));
    assert!(errors(&unasked).contains("Redrive 1 deliveries?"), "{}", errors(&unasked));
    assert_eq!(house.gone.count(), 2, "nothing was sent");
    let ended = house.json(&["redrive", "--host", &host, "--state", "failed", "--yes"]);
    assert_eq!((&ended["state"], &ended["done"]), (&"done".into(), &1.into()), "{ended}");
    house.gone.wait_for(3);
}

#[test]
fn what_cannot_be_redriven_is_told_and_the_others_are() {
    let house = House::new();
    let delivered = house.server.trigger(&house.good.url("/x"), "1");
    house.server.wait_for(&delivered, &["delivered"]);
    let failed = house.failed();
    let output = house.run(&["redrive", &delivered, &failed]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(out(&output), format!("{failed} redriven\n"));
    assert!(errors(&output).contains("only dead letters are redriven"), "{}", errors(&output));
    for (args, part) in [
        (&["redrive"][..], "which ones?"),
        (&["redrive", "--host", "a", "--state", "waiting", "--dry-run"], "/filter/states"),
        (&["redrive", "--from", "yesterday"], "RFC 3339"),
    ] {
        let output = house.run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(errors(&output).contains(part), "{args:?}: {}", errors(&output));
    }
}

#[test]
fn what_is_owed_is_cancelled_by_id_and_by_filter() {
    let house = House::new();
    let first = house.held();
    let second = house.server.trigger(&house.good.url("/two"), "2");
    assert_eq!(house.says(&["cancel", &first]), format!("{first} cancelled\n"));
    let told = house.says(&["cancel", "--host", &house.good.host(), "--yes"]);
    assert!(told.starts_with("done: 1 looked at, 1 cancelled"), "{told}");
    house.server.wait_for(&second, &["cancelled"]);
    assert_eq!(house.run(&["cancel", &first]).status.code(), Some(1), "it has ended");
}

#[test]
fn every_list_comes_as_json_too() {
    let house = House::new();
    house.says(&["secrets", "create", "main", "--kind", "signing"]);
    let secrets = house.json(&["secrets", "list"]);
    assert_eq!(secrets["data"][0]["name"], "main");
    assert!(house.json(&["recipe", "list"])["data"].as_array().is_some_and(|all| all.len() > 3));
    for list in ["keys", "workspaces"] {
        let list = house.json(&[list, "list", "--url", &house.url]);
        assert!(list["data"].is_array(), "{list}");
    }
    let checked = house.run(&["keys", "check", "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    assert!(out(&checked).starts_with(r#"{"well_formed":false,"#), "{}", out(&checked));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let house = House::new();
    house.held();
    for args in [&["hosts"][..], &["hosts", "--json"], &["top", "--json"], &["man"]] {
        let mut command = command(args);
        let child = command.env("HOSTLINE_SERVER", &house.url).stdout(Stdio::piped()).spawn();
        let mut child = child.expect("the program starts");
        drop(child.stdout.take());
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{args:?}");
    }
}

#[test]
fn an_absent_server_is_told_by_every_command() {
    let nobody = format!("http://127.0.0.1:{}", process::free_port());
    for args in [
        &["hosts"][..],
        &["hosts", "a"],
        &["hosts", "resume", "a"],
        &["top", "--once"],
        &["tail"],
        &["why", "x"],
        &["redrive", "x"],
        &["cancel", "--all", "--yes"],
        &["secrets", "list"],
    ] {
        let output = command(&[args, &["--server", &nobody]].concat()).output().expect("it starts");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(errors(&output).contains("cannot be reached"), "{args:?}: {}", errors(&output));
    }
}
