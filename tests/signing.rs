//! What the real binary signs is verified by the reference packages of Standard Webhooks: the
//! crate, and those of npm and PyPI (`tests/signing/install` fetches them). None of them knows `v1a`, nor
//! bodies that are no text; node's own crypto stands in there, which shares no code with ours.
//!
//! What is not installed is skipped and said; in CI (`CI=true`) that is a failure.

mod process;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use process::{Arrival, Receiver, Server};
use serde_json::{Value, json};

/// A body with all that may go wrong between bytes and text.
const TEXT: &str = "{\"name\": \"Zoë \\u00e9 🐙\",  \"n\": 1.0}";
/// No text at all.
const BINARY: &[u8] = &[0xff, 0x00, b'.', 0xfe, b'\r', b'\n'];

/// A webhook to be verified, and whether it should be taken.
struct Case {
    item: Value,
    right: bool,
}

struct World {
    server: Server,
    receiver: Receiver,
    _data: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let server = Server::start(data.path(), &[]);
        let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
        Self { server, receiver, _data: data }
    }

    fn change(&self, path: &str, document: Value) -> Value {
        let answer = self.server.post(path, &document.to_string());
        assert!(matches!(answer.status, 200 | 201), "{}", answer.text());
        answer.json()
    }

    /// Delivers a body; what arrived.
    fn deliver(&self, body: &[u8]) -> Arrival {
        let before = self.receiver.count();
        let trigger = json!({"webhook": {"url": self.receiver.url("/hook"),
                                         "body_base64": STANDARD.encode(body)}});
        let answer = self.server.post("/v1/triggers", &trigger.to_string());
        assert_eq!(answer.status, 202, "{}", answer.text());
        self.receiver.wait_for(before + 1);
        self.receiver.arrivals().pop().expect("it arrived")
    }
}

fn case(arrival: &Arrival, body: &[u8], key: &str, right: bool) -> Case {
    let header = |name: &str| arrival.headers[name].clone();
    let binary = std::str::from_utf8(body).is_err();
    let item = json!({
        "id": header("webhook-id"),
        "timestamp": header("webhook-timestamp"),
        "signature": header("webhook-signature"),
        "body_base64": STANDARD.encode(body),
        "key": key,
        "binary": binary,
    });
    Case { item, right }
}

/// Deliveries with one secret, while it is rotated and after, each with what was sent and with what
/// somebody changed on the way.
fn cases() -> Vec<Case> {
    let world = World::new();
    let place = world.receiver.host();
    let kept = |name: &str, algorithm: &str| {
        let document = json!({"name": name, "kind": "signing", "algorithm": algorithm,
                              "applies_to": [place]});
        world.change("/v1/secrets", document)
    };
    let text = |secret: &Value, field: &str| secret[field].as_str().expect(field).to_owned();
    let old = text(&kept("hmac", "v1"), "value");
    let old_public = text(&kept("pair", "v1a"), "public_key");
    let mut cases = Vec::new();
    let mut add = |arrival: &Arrival, body: &[u8], keys: &[(&str, bool)]| {
        assert_eq!(arrival.body, body);
        let mut tampered = body.to_vec();
        tampered[1] ^= 1;
        for (key, right) in keys {
            cases.push(case(arrival, body, key, *right));
            cases.push(case(arrival, &tampered, key, false));
        }
    };
    for body in [TEXT.as_bytes(), BINARY] {
        add(&world.deliver(body), body, &[(&old, true), (&old_public, true)]);
    }

    let new = text(&world.change("/v1/secrets/hmac/rotate", json!({})), "value");
    let rotated = world.change("/v1/secrets/pair/rotate", json!({"overlap": "1h"}));
    let new_public = text(&rotated, "public_key");
    assert_eq!(rotated["old_public_key"], old_public);
    for body in [TEXT.as_bytes(), BINARY] {
        let arrival = world.deliver(body);
        let both = [(&*old, true), (&new, true), (&old_public, true), (&new_public, true)];
        add(&arrival, body, &both);
    }

    for name in ["hmac", "pair"] {
        world.change(&format!("/v1/secrets/{name}/revoke-old"), json!({}));
    }
    let arrival = world.deliver(TEXT.as_bytes());
    let after = [(&*old, false), (&new, true), (&old_public, false), (&new_public, true)];
    add(&arrival, TEXT.as_bytes(), &after);
    cases
}

fn is_public(case: &Case) -> bool {
    case.item["key"].as_str().is_some_and(|key| key.starts_with("whpk_"))
}

/// What a script says of the cases.
fn verdicts(mut command: Command, cases: &[Case]) -> Vec<bool> {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the interpreter starts");
    let lines: String = cases.iter().map(|case| format!("{}\n", case.item)).collect();
    child.stdin.take().expect("piped").write_all(lines.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    let printed = String::from_utf8(output.stdout).expect("text");
    printed.lines().map(|line| line == "ok").collect()
}

fn check(verdicts: Vec<bool>, cases: &[Case]) {
    assert_eq!(verdicts.len(), cases.len());
    for (verdict, case) in verdicts.iter().zip(cases) {
        assert_eq!(*verdict, case.right, "{}", case.item);
    }
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/signing")
}

/// Where `tests/signing/install` has put the packages.
fn installed(pins: &str) -> Option<PathBuf> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("signing");
    if directory.join(pins).exists() {
        return Some(directory);
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "{pins} is missing, and in CI nothing may be skipped");
    println!("skipped: {pins} is missing; tests/signing/install fetches the packages");
    None
}

#[test]
fn the_reference_crate_verifies_what_is_signed() {
    let cases = cases();
    let text = cases.iter().filter(|case| !is_public(case) && case.item["binary"] == false);
    let mut checked = 0;
    for case in text {
        let field = |name: &str| case.item[name].as_str().expect("a text").to_owned();
        let mut headers = http1::HeaderMap::new();
        for (header, name) in [
            ("webhook-id", "id"),
            ("webhook-timestamp", "timestamp"),
            ("webhook-signature", "signature"),
        ] {
            headers.insert(header, field(name).parse().expect("a header"));
        }
        let verifier = standardwebhooks::Webhook::new(&field("key")).expect("a secret");
        let body = STANDARD.decode(field("body_base64")).expect("base64");
        assert_eq!(verifier.verify(&body, &headers).is_ok(), case.right, "{}", case.item);
        checked += 1;
    }
    assert_eq!(checked, 10);
}

#[test]
fn the_reference_package_of_npm_and_nodes_crypto_verify_what_is_signed() {
    let Some(directory) = installed("node.pins") else { return };
    let cases = cases();
    let mut command = Command::new("node");
    command.arg(sources().join("verify.js"));
    command.env("NODE_PATH", directory.join("node/node_modules"));
    check(verdicts(command, &cases), &cases);
}

#[test]
fn the_reference_package_of_pypi_verifies_what_is_signed() {
    let Some(directory) = installed("python.pins") else { return };
    let mut cases = cases();
    cases.retain(|case| !is_public(case) && case.item["binary"] == false);
    let mut command = Command::new(directory.join("python/bin/python"));
    command.arg(sources().join("verify.py"));
    check(verdicts(command, &cases), &cases);
}
