//! `hostline tail` against a server that is played here, since a real one neither breaks nor is too
//! fast when a test wants it; and against a real one.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;

use super::{House, command, errors, out};

const DELIVERED: &str = r#"{"id":"d1","host":"a","state":"delivered","status":200,"attempts":1,"url":"http://a/x","method":"POST","at":"2026-01-01T00:00:00.000Z","latency_ms":3.5}"#;
const FAILED: &str = r#"{"id":"d2","host":"a","state":"failed","status":410,"attempts":2,"reason":"answered 410","url":"http://a/y","method":"PUT","at":"2026-01-01T00:00:01.000Z","latency_ms":4.0}"#;

/// A server whose streams hold these pieces, a connection each; ends with the request lines.
fn player(streams: Vec<Vec<String>>) -> (String, thread::JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let playing = thread::spawn(move || {
        let play = |pieces: &Vec<String>| play_one(&listener.accept().expect("a client").0, pieces);
        streams.iter().map(play).collect()
    });
    (url, playing)
}

fn play_one(stream: &TcpStream, pieces: &[String]) -> String {
    let mut reader = BufReader::new(stream);
    let mut request = String::new();
    reader.read_line(&mut request).expect("a request line");
    let mut line = String::new();
    while reader.read_line(&mut line).is_ok_and(|length| length > 2) {
        line.clear();
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let mut stream = stream;
    // Whoever has seen enough goes away.
    let _gone = stream.write_all(head.as_bytes());
    for piece in pieces {
        let _gone = write!(stream, "{:x}\r\n{piece}\r\n", piece.len());
    }
    let _gone = stream.write_all(b"0\r\n\r\n");
    request
}

fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

#[test]
fn tail_tells_what_it_missed_and_comes_back() {
    let first = vec![
        "retry: 10\n: hello\n\n".to_owned(),
        event("stats", "{}"),
        event("delivery", DELIVERED),
        event("dropped", r#"{"count":3}"#),
    ];
    let second = vec![event("delivery", FAILED)];
    let (url, playing) = player(vec![first, second]);
    let args = ["tail", "--host", "a", "--state", "failed,delivered", "-n", "2", "--server", &url];
    let output = command(&args).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!(
        out(&output),
        "2026-01-01T00:00:00.000Z delivered 200  3.5 ms d1 POST http://a/x\n\
         2026-01-01T00:00:01.000Z failed    410  4.0 ms d2 PUT http://a/y attempt 2 (answered 410)\n"
    );
    let told = errors(&output);
    for part in ["3 are not shown", "trying again", "what ended meanwhile is not shown"] {
        assert!(told.contains(part), "{part:?} is missing: {told}");
    }
    let requests = playing.join().expect("played");
    let line = "GET /v1/live?deliveries=true&host=a&state=failed%2Cdelivered HTTP/1.1\r\n";
    assert_eq!(requests, [line, line]);
}

#[test]
fn tail_prints_each_as_the_json_that_came() {
    let pieces = vec![event("delivery", DELIVERED), event("dropped", r#"{"count":3}"#)];
    let (url, _) = player(vec![pieces, vec![event("delivery", FAILED)]]);
    let args = ["tail", "--json", "--count", "2", "--server", &url];
    let output = command(&args).output().expect("the program starts");
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
    assert_eq!(out(&output), format!("{DELIVERED}\n{{\"dropped\":3}}\n{FAILED}\n"));
}

#[test]
fn tail_ends_when_nobody_reads() {
    let many = vec![event("delivery", DELIVERED); 2000];
    let (url, _) = player(vec![many]);
    let mut command = command(&["tail", "--server", &url]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn tail_shows_what_a_real_server_delivers() {
    let house = House::new();
    if house.server.get("/v1/series").status == 404 {
        eprintln!("this server has no live events");
        return;
    }
    let mut command = command(&["tail", "--json", "--count", "2", "--server", &house.url]);
    let child = command.stdout(Stdio::piped()).spawn().expect("the program starts");
    // Whether it listens already cannot be seen: webhooks are sent until it has seen enough.
    let watching = thread::spawn(move || child.wait_with_output().expect("it ends"));
    while !watching.is_finished() {
        let id = house.server.trigger(&house.good.url("/x"), "1");
        house.server.wait_for(&id, &["delivered"]);
    }
    let output = watching.join().expect("watched");
    assert_eq!(output.status.code(), Some(0));
    for line in out(&output).lines() {
        let shown: serde_json::Value = serde_json::from_str(line).expect("JSON");
        assert_eq!((&shown["state"], &shown["status"]), (&"delivered".into(), &200.into()));
        assert_eq!(shown["host"], *house.good.host());
    }
}
