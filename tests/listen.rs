//! The receiver behind `listen` and `demo`: that it answers, counts and misbehaves as it is told.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hostline::cli::receiver::{Behaviour, Fate, Flap, Limit, LimitHeaders, Receiver};

const LOOPBACK: SocketAddr =
    SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 0));

fn start(behaviour: Behaviour) -> Receiver {
    Receiver::start(LOOPBACK, behaviour).expect("a free port")
}

fn connect(receiver: &Receiver) -> TcpStream {
    let stream = TcpStream::connect(receiver.address()).expect("the receiver listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket option");
    stream
}

fn request(id: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "POST /hook HTTP/1.1\r\nHost: a\r\nWebhook-Id: {id}\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// Reads one answer: head and body.
fn read_answer(stream: &mut TcpStream) -> std::io::Result<(String, String)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("an ASCII head");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().expect("a length"))];
    stream.read_exact(&mut body)?;
    Ok((head, String::from_utf8(body).expect("a text body")))
}

fn exchange(stream: &mut TcpStream, id: &str) -> std::io::Result<(String, String)> {
    stream.write_all(request(id, "{}").as_bytes())?;
    read_answer(stream)
}

fn status(head: &str) -> u16 {
    head.split(' ').nth(1).and_then(|word| word.parse().ok()).expect("a status line")
}

#[test]
fn requests_are_answered_and_counted_over_one_connection() {
    let body = "thanks".into();
    let receiver = start(Behaviour { status: 202, body, ..Behaviour::default() });
    let mut stream = connect(&receiver);
    for id in ["a", "b", "a"] {
        let (head, body) = exchange(&mut stream, id).expect("an answer");
        assert_eq!((status(&head), body.as_str()), (202, "thanks"));
    }
    let counts = receiver.counts();
    assert_eq!((counts.requests, counts.distinct_ids, counts.accepted_ids), (3, 2, 2));
    assert_eq!(counts.by_status, [(202, 3)].into());
}

#[test]
fn pipelined_and_chunked_requests_arrive_byte_for_byte() {
    let bodies = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&bodies);
    let observer = move |received: &hostline::cli::receiver::Received| {
        seen.lock().expect("not poisoned").push(received.request.body.to_vec());
    };
    let receiver =
        Receiver::start_observed(LOOPBACK, Behaviour::default(), Box::new(observer)).expect("port");
    let mut stream = connect(&receiver);
    let chunked = b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
        3;x=y\r\n\x00\r\n\r\n2\r\n\xff!\r\n0\r\ntrailer: 1\r\n\r\n";
    let mut bytes = chunked.to_vec();
    bytes.extend_from_slice(request("b", "two").as_bytes());
    // In small pieces, so that every boundary falls somewhere awkward.
    for piece in bytes.chunks(7) {
        stream.write_all(piece).expect("written");
        stream.flush().expect("written");
    }
    for _ in 0..2 {
        read_answer(&mut stream).expect("an answer");
    }
    let bodies = bodies.lock().expect("not poisoned");
    assert_eq!(*bodies, [b"\x00\r\n\xff!".to_vec(), b"two".to_vec()]);
}

#[test]
fn a_client_that_expects_100_continue_gets_it() {
    let receiver = start(Behaviour::default());
    let mut stream = connect(&receiver);
    let head = "PUT / HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n";
    stream.write_all(head.as_bytes()).expect("written");
    assert_eq!(status(&read_answer(&mut stream).expect("an interim answer").0), 100);
    stream.write_all(b"hi").expect("written");
    assert_eq!(status(&read_answer(&mut stream).expect("an answer").0), 200);
}

#[test]
fn connection_close_is_obeyed() {
    let receiver = start(Behaviour::default());
    let mut stream = connect(&receiver);
    stream.write_all(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n").expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and then the end");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
}

#[test]
fn garbage_ends_the_connection_and_nothing_else() {
    let receiver = start(Behaviour::default());
    for garbage in ["\r\n\r\n", "HELLO\r\n\r\n", "GET / HTTP/9\r\n\r\n"] {
        let mut stream = connect(&receiver);
        stream.write_all(garbage.as_bytes()).expect("written");
        assert!(read_answer(&mut stream).is_err(), "{garbage:?}");
    }
    assert!(exchange(&mut connect(&receiver), "a").is_ok());
    assert_eq!(receiver.counts().requests, 1);
}

#[test]
fn beyond_the_limit_it_answers_429_and_says_when_to_come_back() {
    // So slow that the test's own pace does not matter.
    let limit = Some(Limit { per_second: 0.01, burst: 2 });
    let receiver = start(Behaviour { limit, ..Behaviour::default() });
    let mut stream = connect(&receiver);
    let heads: Vec<String> =
        (0..3).map(|_| exchange(&mut stream, "a").expect("an answer").0).collect();
    assert_eq!(heads.iter().map(|head| status(head)).collect::<Vec<_>>(), [200, 200, 429]);
    assert!(heads[0].contains("x-ratelimit-limit: 2\r\nx-ratelimit-remaining: 1\r\n"));
    assert!(heads[2].contains("\r\nx-ratelimit-reset: "));
    assert!(heads[2].contains("\r\nretry-after: 100\r\n"), "{}", heads[2]);
    assert!(!heads[1].contains("retry-after"));
}

#[test]
fn a_limiter_may_keep_silent() {
    let limit = Some(Limit { per_second: 0.01, burst: 1 });
    let limit_headers = LimitHeaders::None;
    let receiver = start(Behaviour { limit, limit_headers, ..Behaviour::default() });
    let mut stream = connect(&receiver);
    exchange(&mut stream, "a").expect("an answer");
    let (head, _) = exchange(&mut stream, "a").expect("an answer");
    assert_eq!(head, "HTTP/1.1 429 Too Many Requests\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn a_reset_is_a_reset() {
    let fates = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&fates);
    let observer = move |received: &hostline::cli::receiver::Received| {
        seen.lock().expect("not poisoned").push(received.fate);
    };
    let behaviour = Behaviour { reset: true, ..Behaviour::default() };
    let receiver = Receiver::start_observed(LOOPBACK, behaviour, Box::new(observer)).expect("port");
    let error = exchange(&mut connect(&receiver), "a").expect_err("no answer");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(*fates.lock().expect("not poisoned"), [Fate::Reset]);
    assert_eq!(receiver.counts().unanswered, 1);
}

#[test]
fn hanging_holds_the_connection_without_an_answer() {
    let receiver = start(Behaviour { hang: true, ..Behaviour::default() });
    let mut stream = connect(&receiver);
    stream.set_read_timeout(Some(Duration::from_millis(150))).expect("a socket option");
    let error = exchange(&mut stream, "a").expect_err("no answer");
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
}

#[test]
fn a_delay_comes_before_the_answer_and_holds_up_nobody_else() {
    let delay = Duration::from_millis(200);
    let receiver = start(Behaviour { delay, ..Behaviour::default() });
    let started = Instant::now();
    let mut streams: Vec<TcpStream> = (0..20).map(|_| connect(&receiver)).collect();
    for stream in &mut streams {
        stream.write_all(request("a", "").as_bytes()).expect("written");
    }
    for stream in &mut streams {
        read_answer(stream).expect("an answer");
    }
    let took = started.elapsed();
    assert!(took >= delay && took < delay * 10, "{took:?}");
}

#[test]
fn it_recovers_after_failing_for_a_while() {
    let fail_for = Duration::from_millis(300);
    let receiver = start(Behaviour { fail_for, ..Behaviour::default() });
    let mut stream = connect(&receiver);
    assert_eq!(status(&exchange(&mut stream, "a").expect("an answer").0), 503);
    let deadline = Instant::now() + Duration::from_secs(10);
    while status(&exchange(&mut stream, "a").expect("an answer").0) != 200 {
        assert!(Instant::now() < deadline, "it never recovers");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn while_down_it_may_refuse_connections_and_comes_back_on_the_same_port() {
    let (up, down) = (Duration::from_millis(200), Duration::from_millis(300));
    let receiver =
        start(Behaviour { flap: Some(Flap { up, down, refuse: true }), ..Behaviour::default() });
    let deadline = Instant::now() + Duration::from_secs(10);
    let mut seen = Vec::new();
    while seen != [true, false, true] {
        assert!(Instant::now() < deadline, "{seen:?}");
        let open = TcpStream::connect(receiver.address()).is_ok();
        if seen.last() != Some(&open) {
            seen.push(open);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn its_behaviour_can_be_changed_while_it_runs() {
    let receiver = start(Behaviour::default());
    let mut stream = connect(&receiver);
    assert_eq!(status(&exchange(&mut stream, "a").expect("an answer").0), 200);
    receiver.behave(Behaviour { status: 410, ..Behaviour::default() });
    assert_eq!(status(&exchange(&mut stream, "a").expect("an answer").0), 410);
    let counts = receiver.counts();
    assert_eq!((counts.distinct_ids, counts.requests), (1, 2));
}

#[test]
fn what_is_not_signed_is_refused_where_a_secret_is_set() {
    let secret = hostline::config::parse_secret("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD");
    let secret = Some(secret.expect("a secret"));
    let receiver = start(Behaviour { secret: secret.map(Into::into), ..Behaviour::default() });
    assert_eq!(status(&exchange(&mut connect(&receiver), "a").expect("an answer").0), 401);
}

#[test]
fn dropping_it_frees_the_port() {
    let receiver = start(Behaviour::default());
    let address = receiver.address();
    let _open = connect(&receiver);
    drop(receiver);
    assert!(TcpStream::connect(address).is_err());
}
