//! The API document: the committed copy is what the code generates, it is valid OpenAPI 3.1, its
//! examples are true, and a running server does what it says (schemathesis).
//!
//! What is not installed is skipped and said; in CI (`CI=true`) that is a failure.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::Server;
use serde_json::Value;

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi")
}

/// A program of those that `tests/openapi/install` has installed, or `None` after a word about it.
fn installed(name: &str) -> Option<Command> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("openapi");
    // The pins are copied last: before that, packages may be missing.
    if target.join("python.pins").exists() {
        return Some(Command::new(target.join("python/bin").join(name)));
    }
    let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    assert!(!in_ci, "{name} is not installed, and in CI nothing may be skipped");
    println!("skipped: {name} is not installed; tests/openapi/install does it");
    None
}

/// Runs a command, which has to succeed.
fn succeed(mut command: Command, what: &str) -> String {
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{what}: {}\n{out}\n{complaints}", output.status);
    out
}

/// A server that nobody enters without a key, and a key that may do everything.
fn closed_server(data: &Path) -> (Server, String) {
    let mut make = Command::new(env!("CARGO_BIN_EXE_hostline"));
    make.args(["keys", "create", "--name", "tester", "--scope", "admin", "--data"]);
    make.arg(data).current_dir(data);
    let key = succeed(make, "a key").trim().to_owned();
    (
        Server::start(
            data,
            &[
                "auth.keys_required=true",
                // What is not let in comes from one address, again and again.
                "auth.max_failures=1000000",
                // Hosts that are made up answer nobody.
                "sender.timeout=2s",
            ],
        ),
        key,
    )
}

#[test]
fn the_committed_document_is_the_one_that_the_code_generates() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let generated = hostline::api::document::text();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &generated).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == generated,
        "docs/openapi.json is not what the code generates; refresh it with \
         `UPDATE=1 cargo test --test outside committed`"
    );
}

#[test]
fn the_document_is_served_to_everybody_and_has_a_tag() {
    let data = tempfile::tempdir().expect("a directory");
    let (server, _) = closed_server(data.path());
    let answer = server.get("/openapi.json");
    let wanted: Value = serde_json::from_str(&hostline::api::document::text()).expect("JSON");
    assert_eq!((answer.status, answer.json()), (200, wanted));
    let tag = answer.headers["etag"].clone();
    let again = server.send("GET", "/openapi.json", &[("if-none-match", &tag)], b"");
    assert_eq!((again.status, again.body.len()), (304, 0));
    let page = server.get("/docs");
    assert_eq!(page.status, 200);
    assert!(page.headers["content-security-policy"].contains("default-src 'self'"));
    for file in ["docs/docs.js", "docs/docs.css", "docs/schema.js", "docs/try.js"] {
        assert_eq!(server.get(&format!("/ui/{file}")).status, 200, "{file}");
    }
}

#[test]
fn the_document_is_valid_openapi() {
    let Some(mut command) = installed("openapi-spec-validator") else { return };
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openapi.json");
    std::fs::write(&path, hostline::api::document::text()).expect("written");
    command.arg("--schema").arg("3.1").arg(&path);
    succeed(command, "openapi-spec-validator");
}

#[test]
fn every_example_is_true() {
    let Some(mut command) = installed("python") else { return };
    let data = tempfile::tempdir().expect("a directory");
    let (server, key) = closed_server(data.path());
    command.arg(sources().join("examples.py")).arg(format!("http://{}", server.address));
    command.env("HOSTLINE_KEY", key);
    print!("{}", succeed(command, "examples"));
}

#[test]
fn the_server_does_what_the_document_says() {
    let Some(mut command) = installed("st") else { return };
    let data = tempfile::tempdir().expect("a directory");
    let (server, key) = closed_server(data.path());
    let url = format!("http://{}", server.address);
    command.current_dir(data.path()).env("SCHEMATHESIS_HOOKS", sources().join("hooks.py"));
    command.arg("--config-file").arg(sources().join("schemathesis.toml")).arg("run");
    command.arg(format!("{url}/openapi.json"));
    // The whole, whatever the machine; what is left of it goes to random requests.
    command.args(["--max-time", "60"]);
    command.args(["--url", &url, "--header", &format!("Authorization: Bearer {key}")]);
    print!("{}", succeed(command, "schemathesis"));
}
