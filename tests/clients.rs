//! Clients of that public REST API which nobody here wrote (`tests/clients/` has the scripts, and
//! installs the packages) call the real binary; what a receiver got is checked as well.
//!
//! What is not installed is skipped and said; in CI (`CI=true`) that is a failure.

mod process;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use process::{Arrival, Receiver, Server};
use serde_json::{Value, json};

/// Who calls, by the name that its script gives itself in paths and ids.
struct Caller {
    name: &'static str,
    command: Command,
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Where `tests/clients/install` has put the packages.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("clients")
}

fn npm() -> Option<Caller> {
    let modules = installed().join("node/node_modules");
    installed().join("node.pins").exists().then_some(())?;
    let mut command = Command::new("node");
    command.arg(sources().join("node_client.js")).env("NODE_PATH", modules);
    Some(Caller { name: "npm", command })
}

fn pypi() -> Option<Caller> {
    let python = installed().join("python/bin/python");
    // The pins are copied last: before that, packages may be missing.
    installed().join("python.pins").exists().then_some(())?;
    let mut command = Command::new(python);
    // One of the packages reports its use to its makers unless told not to.
    command.arg(sources().join("python_client.py")).env("TELEMETRY_DISABLED", "true");
    Some(Caller { name: "pypi", command })
}

/// The caller, or `None` after a word about it.
fn or_skipped(name: &str, caller: Option<Caller>) -> Option<Caller> {
    if caller.is_none() {
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "{name} is not installed, and in CI nothing may be skipped");
        println!("skipped: {name} is not installed; tests/clients/install does it");
    }
    caller
}

/// A server with what the scripts ask for, and its receiver.
struct World {
    server: Server,
    receiver: Receiver,
    campaign: String,
    canvas: String,
    _data: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let server = Server::start(data.path(), &[]);
        let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
        let webhook = |path: &str, body: Value| json!({"url": receiver.url(path), "method": "POST", "body": body});
        let order = webhook(
            "/order",
            json!({"id": "{{${user_id}}}", "name": "{{${first_name}}}",
                "source": "{{api_trigger_properties.${source}}}",
                "item": "{{api_trigger_properties.${item}}}"}),
        );
        let welcome = webhook(
            "/welcome",
            json!({"id": "{{${user_id}}}", "source": "{{canvas_entry_properties.${source}}}",
                "item": "{{canvas_entry_properties.${item}}}"}),
        );
        let booked = webhook("/booked", json!({"id": "{{${user_id}}}", "event": "{{event_name}}"}));
        let campaign = live(
            &server,
            "campaigns",
            json!({"name": "order", "tags": ["shop"],
            "webhooks": [order], "trigger": {"type": "api"}}),
        );
        for event in ["npm_booked", "pypi_booked"] {
            live(
                &server,
                "campaigns",
                json!({"name": event, "webhooks": [booked.clone()],
                "trigger": {"type": "event", "event": event}}),
            );
        }
        live(
            &server,
            "campaigns",
            json!({"name": "weekly", "webhooks": [booked],
            "trigger": {"type": "schedule", "cron": "0 9 * * 1", "time_zone": "Europe/Berlin"}}),
        );
        let canvas = live(
            &server,
            "canvases",
            json!({"name": "welcome", "trigger": {"type": "api"},
            "steps": [{"id": "greet", "type": "webhook", "webhooks": [welcome]}]}),
        );
        Self { server, receiver, campaign, canvas, _data: data }
    }

    /// A key that may do what these clients do: one that is given is checked, also on loopback.
    fn key(&self) -> String {
        let scopes =
            ["triggers:write", "recipients:write", "events:write", "compose:read", "reports:read"];
        let made =
            self.server.post("/v1/keys", &json!({"name": "client", "scopes": scopes}).to_string());
        made.json()["key"].as_str().expect("a key").to_owned()
    }

    /// Runs a script to its end; answers what it printed.
    fn run(&self, mut caller: Caller) -> String {
        let command = &mut caller.command;
        command.env("BASE_URL", format!("http://{}", self.server.address));
        command.env("API_KEY", self.key()).env("RECEIVER", self.receiver.url(""));
        command.env("CAMPAIGN", &self.campaign).env("CANVAS", &self.canvas);
        let output = command.stdin(Stdio::null()).output().expect("the script starts");
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let complained = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {printed}\n{complained}", caller.name);
        printed
    }

    /// The JSON bodies that came to `path`, in order of their `id`.
    fn bodies(&self, path: &str) -> Vec<Value> {
        let arrivals = self.receiver.arrivals();
        let bodies = arrivals.iter().filter(|arrival| arrival.path == path);
        let mut bodies: Vec<Value> = bodies.map(body).collect();
        bodies.sort_by_key(|body| body["id"].to_string());
        bodies
    }
}

fn body(arrival: &Arrival) -> Value {
    let text = String::from_utf8_lossy(&arrival.body);
    serde_json::from_slice(&arrival.body).unwrap_or_else(|_| panic!("no JSON: {text}"))
}

/// Makes a campaign or canvas and sets it live; answers its id.
fn live(server: &Server, kind: &str, document: Value) -> String {
    let made = server.post(&format!("/v1/{kind}"), &document.to_string());
    assert_eq!(made.status, 201, "{}", made.text());
    let id = made.json()["id"].as_str().expect("an id").to_owned();
    let launched = server.post(&format!("/v1/{kind}/{id}/launch"), "{}");
    assert_eq!(launched.status, 200, "{}", launched.text());
    id
}

/// Lines that a script printed for calls with this name.
fn calls(printed: &str, name: &str) -> usize {
    let lines = printed.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    lines.filter(|line| line["call"] == name).count()
}

#[test]
fn client_from_npm_is_served() {
    let Some(caller) = or_skipped("braze-api", npm()) else { return };
    let world = World::new();
    let printed = world.run(caller);
    assert_eq!(calls(&printed, "campaigns.trigger.send"), 1, "{printed}");
    // Two messages, one scheduled, two of the campaign, one of the canvas, one for the event.
    world.receiver.wait_for(7);
    let expected = [json!({"name": "Ada", "id": "npm-1"}), json!({"name": "Ben", "id": "npm-2"})];
    assert_eq!(world.bodies("/npm/message"), expected);
    assert_eq!(world.bodies("/npm/scheduled"), [json!({"id": "npm-1"})]);
    let expected = [
        json!({"id": "npm-1", "name": "Ada", "source": "npm", "item": "one"}),
        json!({"id": "npm-3", "name": "Cleo", "source": "npm", "item": "all"}),
    ];
    assert_eq!(world.bodies("/order"), expected);
    let expected = [json!({"id": "npm-2", "source": "npm", "item": "shoes"})];
    assert_eq!(world.bodies("/welcome"), expected);
    assert_eq!(world.bodies("/booked").len(), 1);
    assert_eq!(world.receiver.count(), 7, "{:?}", world.receiver.arrivals());
    let from_client = world.receiver.arrivals();
    let from_client = from_client.iter().filter(|one| one.path.starts_with("/npm/"));
    assert!(from_client.map(|one| &one.headers["x-client"]).all(|client| client == "npm"));
}

#[test]
fn clients_from_pypi_are_served() {
    let Some(caller) = or_skipped("universal-mcp-braze or braze-client", pypi()) else { return };
    let world = World::new();
    let printed = world.run(caller);
    assert_eq!(calls(&printed, "campaigns/data_series"), 1, "{printed}");
    assert_eq!(calls(&printed, "braze-client schedule/create"), 1, "{printed}");
    // Two messages, one scheduled, two of the campaign, one of the canvas, one for the event.
    world.receiver.wait_for(7);
    let expected =
        [json!({"name": "Dora", "id": "pypi-1"}), json!({"name": "Emil", "id": "pypi-2"})];
    assert_eq!(world.bodies("/pypi/message"), expected);
    assert_eq!(world.bodies("/pypi/scheduled"), [json!({"id": "pypi-1"})]);
    let expected = [
        json!({"id": "pypi-1", "name": "Dora", "source": "pypi", "item": "one"}),
        json!({"id": "pypi-2", "name": "Emil", "source": "pypi", "item": "all"}),
    ];
    assert_eq!(world.bodies("/order"), expected);
    let expected = [json!({"id": "pypi-1", "source": "pypi", "item": "shoes"})];
    assert_eq!(world.bodies("/welcome"), expected);
    assert_eq!(world.bodies("/booked").len(), 1);
    assert_eq!(world.receiver.count(), 7, "{:?}", world.receiver.arrivals());
}
