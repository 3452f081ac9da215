//! Where it goes: addresses, reuse, and what is wrong with a connection.

use std::time::Duration;

use hostline::model::Method;

use crate::receiver::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[actix_rt::test]
async fn one_connection_serves_attempts_in_turn() {
    let receiver = Receiver::answering(OK);
    let sender = sender(&settings(), &receiver.url());
    for turn in 0..3 {
        let report = send(&sender, webhook(Method::Post, &receiver.url(), "{}")).await;
        assert_eq!(answered(&report).body, "ok");
        assert_eq!(report.timings.connect_us.is_some(), turn == 0);
        assert_eq!(report.timings.dns_us.is_some(), turn == 0);
        assert!(report.timings.first_byte_us.expect("an answer") <= report.timings.total_us);
    }
    assert_eq!(receiver.connections(), 1);
}

#[actix_rt::test]
async fn chunked_answers_leave_the_connection_usable() {
    let answer =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let receiver = Receiver::answering(answer);
    let sender = sender(&settings(), &receiver.url());
    for _ in 0..3 {
        let report = send(&sender, webhook(Method::Post, &receiver.url(), "{}")).await;
        assert_eq!(answered(&report).body, "abcde");
    }
    assert_eq!(receiver.connections(), 1);
}

#[actix_rt::test]
async fn the_senders_end_closes_idle_connections() {
    let (closed, is_closed) = std::sync::mpsc::channel();
    let receiver = Receiver::start(move |_, peer| {
        peer.answer(OK);
        closed.send(peer.read().is_none()).expect("the test waits");
    });
    post(&settings(), &receiver.url()).await;
    assert_eq!(is_closed.recv_timeout(Duration::from_secs(2)), Ok(true));
}

#[actix_rt::test]
async fn a_stale_connection_is_replaced_within_the_attempt() {
    // The receiver takes the second request and closes without a word: had it read the close
    // first, awc would not have used the connection at all.
    let receiver = Receiver::start(|number, peer| {
        peer.answer(OK);
        if number < 2 {
            let _ = std::io::Read::read(&mut peer.stream, &mut [0]);
            peer.reset();
        } else {
            peer.answer(OK);
        }
    });
    let sender = sender(&settings(), &receiver.url());
    let attempt = || send(&sender, webhook(Method::Post, &receiver.url(), "{}"));
    // Two idle connections, both of which will turn out to be dead.
    let both = futures::join!(attempt(), attempt());
    assert_eq!((answered(&both.0).status, answered(&both.1).status), (200, 200));
    assert_eq!(receiver.connections(), 2);
    let report = attempt().await;
    assert_eq!(answered(&report).status, 200);
    assert!(report.timings.connect_us.is_some());
    assert_eq!(receiver.connections(), 3);
}

#[actix_rt::test]
async fn a_408_for_an_idle_connection_is_not_the_answer() {
    const GOODBYE: &[u8] =
        b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
    let receiver = Receiver::start(|number, peer| {
        if number < 2 {
            peer.answer(OK);
            peer.answer(GOODBYE);
        } else {
            peer.answer(GOODBYE);
        }
    });
    let sender = sender(&settings(), &receiver.url());
    let attempt = || send(&sender, webhook(Method::Post, &receiver.url(), "{}"));
    for connections in [1, 2] {
        assert_eq!(answered(&attempt().await).status, 200);
        assert_eq!(receiver.connections(), connections);
    }
    // The fresh connection says it too, and then it is meant for this request.
    assert_eq!(answered(&attempt().await).status, 408);
    assert_eq!(receiver.connections(), 3);
}

#[actix_rt::test]
async fn a_fresh_connection_that_breaks_is_not_repeated() {
    let receiver = Receiver::start(|_, peer| {
        peer.read();
    });
    let report = post(&settings(), &receiver.url()).await;
    let reason = "connection closed while waiting for the answer's first byte";
    assert_eq!(unanswered(&report), (reason, false));
    assert_eq!(receiver.connections(), 1);
}

#[actix_rt::test]
async fn a_close_between_attempts_goes_unnoticed() {
    let receiver = Receiver::start(|_, peer| peer.answer(OK));
    let sender = sender(&settings(), &receiver.url());
    for _ in 0..3 {
        let report = send(&sender, webhook(Method::Post, &receiver.url(), "{}")).await;
        assert_eq!(answered(&report).status, 200);
    }
    assert_eq!(receiver.connections(), 3);
}

#[actix_rt::test]
async fn resets_say_when() {
    let before = Receiver::start(|_, peer| {
        peer.read();
        peer.reset();
    });
    let report = post(&settings(), &before.url()).await;
    let reason = "connection reset while waiting for the answer's first byte";
    assert_eq!(unanswered(&report), (reason, false));

    for (part, reason) in [
        ("HTTP/1.1 200 O", "connection reset while reading the answer's headers"),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
            "connection reset while reading the answer's body",
        ),
    ] {
        let receiver = Receiver::start(move |_, peer| {
            peer.answer(part.as_bytes());
            std::thread::sleep(Duration::from_millis(50));
            peer.reset();
        });
        let report = post(&settings(), &receiver.url()).await;
        assert_eq!(unanswered(&report), (reason, false));
    }

    let while_sending = Receiver::start(|_, peer| {
        let _ = std::io::Read::read(&mut peer.stream, &mut [0; 100]);
        peer.reset();
    });
    let url = while_sending.url();
    let large = webhook(Method::Post, &url, vec![0; 16 << 20]);
    let report = send(&sender(&settings(), &url), large).await;
    assert_eq!(unanswered(&report), ("connection reset while sending the request", false));
}

#[actix_rt::test]
async fn a_refused_connection_says_so() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", free.local_addr().expect("an address"));
    drop(free);
    let report = post(&settings(), &url).await;
    assert_eq!(unanswered(&report), ("connection refused", false));
    assert_eq!(report.timings.first_byte_us, None);
}

#[actix_rt::test]
async fn a_name_that_does_not_exist_says_so() {
    let report = post(&settings(), "http://nowhere.invalid/").await;
    let (reason, timed_out) = unanswered(&report);
    assert!(reason.starts_with("name lookup failed"), "{reason}");
    assert!(!timed_out);
}

#[actix_rt::test]
async fn loopback_is_blocked_in_every_spelling() {
    let receiver = Receiver::answering(OK);
    let port = receiver.address.port();
    let mut closed = settings();
    closed.sender.allow_nets.clear();
    let spellings = [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f.1",
        "127.1",
        "[::ffff:127.0.0.1]",
        "[::1]",
        "0.0.0.0",
        "[::]",
        "a.localhost",
        "[64:ff9b::7f00:1]",
    ];
    for spelling in spellings {
        let report = post(&closed, &format!("http://{spelling}:{port}/")).await;
        let reason = blocked(&report);
        assert!(reason.contains("`sender.allow`"), "{spelling}: {reason}");
        assert_eq!(report.outcome.status(), None);
    }
    assert_eq!(receiver.connections(), 0);
}

#[actix_rt::test]
async fn what_is_allowed_is_reached_in_every_spelling() {
    let receiver = Receiver::answering(OK);
    let port = receiver.address.port();
    // `localhost` is ::1 as well, which is not allowed and is passed over.
    for spelling in ["2130706433", "localhost", "[::ffff:127.0.0.1]"] {
        let report = post(&settings(), &format!("http://{spelling}:{port}/")).await;
        assert_eq!(answered(&report).status, 200, "{spelling}");
    }
    let mut by_name = settings();
    by_name.sender.allow_nets.clear();
    by_name.sender.allow_hosts = vec!["localhost".into()];
    let report = post(&by_name, &format!("http://localhost:{port}/")).await;
    assert_eq!(answered(&report).status, 200);
    blocked(&post(&by_name, &receiver.url()).await);
}

#[actix_rt::test]
async fn attempts_side_by_side_do_not_mix() {
    // Each answer repeats the request's body, after a pause that lets others overtake.
    let receiver = Receiver::start(|_, peer| {
        while let Some(request) = peer.read() {
            let body = String::from_utf8(request.body).expect("text");
            let pause = body.len() as u64 % 7;
            std::thread::sleep(Duration::from_millis(pause));
            let length = body.len();
            peer.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n").as_bytes());
            peer.write(body.as_bytes());
        }
    });
    let sender = sender(&settings(), &receiver.url());
    for _ in 0..3 {
        let attempts = (0..20).map(|number| {
            let body = format!("{number}").repeat(number + 1);
            let asked = webhook(Method::Post, &receiver.url(), body.clone());
            let attempt = send(&sender, asked);
            async move { (attempt.await, body) }
        });
        for (report, body) in futures::future::join_all(attempts).await {
            assert_eq!(answered(&report).body, body);
        }
    }
    assert_eq!(receiver.connections(), 20);
}

#[actix_rt::test]
async fn an_attempt_that_is_dropped_closes_its_connection() {
    let (closed, is_closed) = std::sync::mpsc::channel();
    let receiver = Receiver::start(move |_, peer| {
        peer.read();
        closed.send(peer.read().is_none()).expect("the test waits");
    });
    let sender = sender(&settings(), &receiver.url());
    let attempt = send(&sender, webhook(Method::Post, &receiver.url(), "{}"));
    let cut = actix_rt::time::timeout(Duration::from_millis(50), attempt).await;
    assert!(cut.is_err());
    assert_eq!(is_closed.recv_timeout(Duration::from_secs(2)), Ok(true));
}
