//! The command line as its users run it: the built program, its output and its exit codes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::thread;

fn hostline(directory: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostline"));
    command.args(args).current_dir(directory).env_remove("RUST_LOG");
    command.output().expect("the program starts")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A server that gives each request the next of these answers; ends with the requests it got.
fn server(answers: Vec<(u16, &'static str)>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let serving = thread::spawn(move || {
        let answer = |(status, body)| answer_one(&listener, status, body);
        answers.into_iter().map(answer).collect()
    });
    (url, serving)
}

fn answer_one(listener: &TcpListener, status: u16, body: &str) -> String {
    let (stream, _) = listener.accept().expect("a client");
    let request = read_request(&stream);
    let head = format!("HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length:");
    write!(&stream, "{head} {}\r\n\r\n{body}", body.len()).expect("answered");
    request
}

/// The request line and the body.
fn read_request(stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request).expect("a request line");
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("a header");
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').expect("a header");
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().expect("a length");
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    request + &text(&body)
}

const ACCEPTED: &str =
    r#"{"trigger":"t1","deliveries":[{"id":"d1","host":"a","state":"waiting"}]}"#;

#[test]
fn check_shows_each_value_with_its_origin() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = "[secrets]\nmain = \"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD\"\n";
    std::fs::write(directory.path().join("config.toml"), file).expect("written");
    let output = hostline(directory.path(), &["check", "--shards", "2"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    let line = |key: &str| shown.lines().find(|line| line.starts_with(key)).unwrap_or_default();
    assert!(line("actors.shards = 2 ").ends_with("(flag --shards)"), "{shown}");
    assert!(line("retry.base = \"1m\" ").ends_with("(default)"), "{shown}");
    assert!(line("secrets.main = \"***\" ").ends_with("(config.toml:2)"), "{shown}");
    assert!(shown.parse::<toml::Table>().is_ok(), "{shown}");

    let output = hostline(directory.path(), &["check", "--json"]);
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["file"], "config.toml");
    assert_eq!(shown["settings"][0]["key"], "server.listen");
    assert!(!text(&output.stdout).contains("C2FVsBQI"));
}

#[test]
fn check_lists_every_problem_and_exits_with_2() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let args = ["check", "--set", "retry.base=5", "--set", "log.levle=info"];
    let output = hostline(directory.path(), &args);
    assert_eq!(output.status.code(), Some(2));
    let shown = text(&output.stderr);
    assert!(shown.contains("retry.base = 5 has no unit"), "{shown}");
    assert!(shown.contains("did you mean log.level?"), "{shown}");

    let output = hostline(directory.path(), &[&args[..], &["--json"]].concat());
    assert_eq!(output.status.code(), Some(2));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["errors"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_set_without_a_value_is_not_repeated() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let output = hostline(directory.path(), &["check", "--set", "whsec_c2VjcmV0"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(!text(&output.stderr).contains("c2VjcmV0"));
}

#[test]
fn send_follows_a_delivery_to_its_end() {
    let waiting = r#"{"id":"d1","state":"waiting","waits_for":"backoff","reason":"its retry",
        "attempts":[{"number":1,"status":503,"timings":{"total_us":1500}}]}"#;
    let delivered = r#"{"id":"d1","state":"delivered","reason":"",
        "attempts":[{"number":1,"status":503},{"number":2,"status":200}]}"#;
    let (url, serving) = server(vec![(202, ACCEPTED), (200, waiting), (503, ""), (200, delivered)]);
    let output = hostline(
        Path::new("."),
        &["send", "http://a/", "--json", "{\"n\": 1.10}", "--ttl", "1h", "--server", &url],
    );
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for part in ["delivery d1 to a: waiting", "attempt 1: 503 in 1.5 ms", "waiting: its retry"] {
        assert!(shown.contains(part), "{shown}");
    }
    assert!(shown.ends_with("delivered after 2 attempt(s)\n"), "{shown}");
    let requests = serving.join().expect("served");
    let body = r#"{"webhook":{"url":"http://a/","body":{"n": 1.10}},"ttl":"1h"}"#;
    assert_eq!(requests[0], format!("POST /v1/triggers HTTP/1.1\r\n{body}"));
    assert_eq!(requests[1], "GET /v1/deliveries/d1 HTTP/1.1\r\n");
}

#[test]
fn send_tells_a_bad_end_by_its_exit_code() {
    let (url, _) = server(vec![(202, ACCEPTED), (200, r#"{"id":"d1","state":"failed"}"#)]);
    let args = ["send", "http://a/", "--json-output", "--server", &url];
    let output = hostline(Path::new("."), &args);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let shown: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(shown["deliveries"][0]["state"], "failed");
}

#[test]
fn send_that_need_not_wait_does_not() {
    let (url, _) = server(vec![(202, ACCEPTED)]);
    let output = hostline(Path::new("."), &["send", "http://a/", "--no-wait", "--server", &url]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(text(&output.stdout).starts_with("trigger t1 accepted\n"));
}

#[test]
fn send_tells_a_refusal_and_an_absent_server() {
    let problem = r#"{"title":"Not valid","detail":"","errors":[{"pointer":"/webhook/url","detail":"is no URL"}]}"#;
    let (url, _) = server(vec![(422, problem)]);
    let output = hostline(Path::new("."), &["send", "nonsense", "--server", &url]);
    assert_eq!(output.status.code(), Some(2));
    let shown = text(&output.stderr);
    assert!(shown.contains("422") && shown.contains("/webhook/url: is no URL"), "{shown}");

    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    drop(listener);
    let output = hostline(Path::new("."), &["send", "http://a/", "--server", &url]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot be reached"), "{}", text(&output.stderr));
}
