//! What comes back, well-formed or not.

use std::time::{Duration, Instant};

use hostline::model::Method;

use crate::receiver::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn reason_for(answer: &str) -> String {
    let answer = answer.to_owned();
    let receiver = Receiver::start(move |_, peer| peer.answer(answer.as_bytes()));
    let report = post(&settings(), &receiver.url()).await;
    let (reason, timed_out) = unanswered(&report);
    assert!(!timed_out);
    reason.to_owned()
}

#[actix_rt::test]
async fn an_answer_is_recorded() {
    let body = "x".repeat(5000);
    let receiver = Receiver::answering(format!(
        "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
         Content-Length: 5000\r\n\r\n{body}"
    ));
    let report = post(&settings(), &receiver.url()).await;
    let answer = answered(&report);
    assert_eq!(answer.status, 429);
    let fields: Vec<_> =
        answer.headers.iter().map(|header| (&*header.name, &*header.value)).collect();
    let expected = [
        ("retry-after", "7"),
        ("set-cookie", "a"),
        ("set-cookie", "b"),
        ("content-length", "5000"),
    ];
    assert_eq!(fields, expected);
    assert_eq!(answer.body, body[..4096]);
    assert!(answer.body_truncated);
}

#[actix_rt::test]
async fn a_redirect_is_an_answer() {
    let other = Receiver::answering(OK);
    let receiver = Receiver::answering(format!(
        "HTTP/1.1 307 Elsewhere\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n",
        other.url()
    ));
    let report = post(&settings(), &receiver.url()).await;
    assert_eq!(answered(&report).status, 307);
    assert_eq!(other.connections(), 0);
}

#[actix_rt::test]
async fn interim_answers_are_passed_over() {
    for interim in
        ["HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n"]
    {
        let receiver = Receiver::start(move |_, peer| {
            while peer.read().is_some() {
                peer.write(interim.as_bytes());
                peer.write(interim.as_bytes());
                std::thread::sleep(Duration::from_millis(10));
                peer.write(&interim.as_bytes()[..9]);
                std::thread::sleep(Duration::from_millis(10));
                peer.write(&interim.as_bytes()[9..]);
                peer.write(OK);
            }
        });
        let sender = sender(&settings(), &receiver.url());
        for _ in 0..2 {
            let report = send(&sender, webhook(Method::Post, &receiver.url(), "{}")).await;
            let answer = answered(&report);
            assert_eq!((answer.status, &answer.body[..]), (200, &b"ok"[..]));
            assert!(answer.headers.iter().all(|header| header.name != "link"));
        }
        assert_eq!(receiver.connections(), 1);
    }
}

#[actix_rt::test]
async fn a_flood_of_interim_answers_is_an_error() {
    let receiver = Receiver::start(|_, peer| {
        peer.read();
        while peer.write(b"HTTP/1.1 102 Processing\r\n\r\n") {}
    });
    let report = post(&settings(), &receiver.url()).await;
    let reason = "malformed answer: too many interim answers (1xx)";
    assert_eq!(unanswered(&report), (reason, false));
}

#[actix_rt::test]
async fn an_interim_answer_alone_is_none() {
    let reason = reason_for("HTTP/1.1 103 Early Hints\r\n\r\n").await;
    assert_eq!(reason, "connection closed while waiting for the answer's first byte");
    let reason = reason_for("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n").await;
    assert_eq!(reason, "malformed answer: it switches protocols, which was not asked for");
}

#[actix_rt::test]
async fn malformed_answers_say_so() {
    let cases = [
        (
            "SSH-2.0-OpenSSH_9.6\r\n",
            "malformed answer: it does not begin with an HTTP/1 status line",
        ),
        (
            "HTTP/1.1 2oo OK\r\n\r\n",
            "malformed answer: it does not begin with an HTTP/1 status line",
        ),
        (
            "HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n",
            "malformed answer: its status is out of range",
        ),
        (
            "HTTP/1.1 200 OK\r\nbad header\r\n\r\n",
            "malformed answer: its headers are not well formed",
        ),
        (
            "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
            "malformed answer: its headers are not well formed",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            "malformed answer: its transfer coding is not known",
        ),
        (
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            "malformed answer: its body is not well formed",
        ),
    ];
    for (answer, reason) in cases {
        assert_eq!(reason_for(answer).await, reason, "{answer}");
    }
    let large = "malformed answer: its headers are larger than 64 KiB";
    let endless = format!("HTTP/1.1 200 OK\r\n{}", "a: b\r\n".repeat(20_000));
    assert_eq!(reason_for(&endless).await, large);
    // A name that is longer than the http crate bears made awc panic.
    let long = format!("HTTP/1.1 200 OK\r\n{}: b\r\n\r\n", "a".repeat(65_540));
    assert_eq!(reason_for(&long).await, large);
}

#[actix_rt::test]
async fn a_flood_of_trailers_or_extensions_is_an_error() {
    for (last, more) in [("2;", "x"), ("2\r\nok\r\n0\r\n", "a: b\r\n")] {
        let receiver = Receiver::start(move |_, peer| {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            peer.answer(format!("{head}{last}").as_bytes());
            while peer.write(more.repeat(100).as_bytes()) {}
        });
        let report = post(&settings(), &receiver.url()).await;
        let reason = "malformed answer: its chunks carry next to nothing";
        assert_eq!(unanswered(&report), (reason, false));
    }
}

#[actix_rt::test]
async fn a_cut_body_is_no_answer() {
    let cut = "connection closed while reading the answer's body";
    assert_eq!(reason_for("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await, cut);
    let upgrade = "HTTP/1.1 200 OK\r\nupgrade: websocket\r\ncontent-length: 9\r\n\r\nabc";
    assert_eq!(reason_for(upgrade).await, cut);
    assert_eq!(
        reason_for("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n9\r\nabc").await,
        cut
    );
    assert_eq!(
        reason_for("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await,
        cut
    );
}

#[actix_rt::test]
async fn a_body_may_end_with_the_connection() {
    for version in ["1.0", "1.1"] {
        let receiver = Receiver::start(move |_, peer| {
            peer.answer(format!("HTTP/{version} 200 OK\r\nserver: a\r\n\r\nhal").as_bytes());
            std::thread::sleep(Duration::from_millis(10));
            peer.write(b"lo");
        });
        let sender = sender(&settings(), &receiver.url());
        for _ in 0..2 {
            let report = send(&sender, webhook(Method::Post, &receiver.url(), "{}")).await;
            assert_eq!(answered(&report).body, "hallo");
        }
        assert_eq!(receiver.connections(), 2);
    }
}

#[actix_rt::test]
async fn answers_without_a_body_do_not_wait_for_one() {
    for head in
        ["204 No Content\r\ncontent-length: 5", "304 Not Modified\r\ncontent-length: 5", "204 A"]
    {
        let receiver = Receiver::answering(format!("HTTP/1.1 {head}\r\n\r\n"));
        let sender = sender(&settings(), &receiver.url());
        for _ in 0..2 {
            let report = send(&sender, webhook(Method::Post, &receiver.url(), "{}")).await;
            assert!(matches!(answered(&report).status, 204 | 304));
        }
    }
}

#[actix_rt::test]
async fn an_endless_body_is_left_after_64_kib() {
    let heads = ["content-length: 99999999999", "transfer-encoding: chunked", "server: a"];
    for head in heads {
        let receiver = Receiver::start(move |_, peer| {
            peer.answer(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n").as_bytes());
            let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
            while peer.write(chunk.as_bytes()) {}
        });
        let report = post(&settings(), &receiver.url()).await;
        let answer = answered(&report);
        assert_eq!((answer.status, answer.body.len()), (200, 4096));
        assert!(answer.body_truncated);
    }
}

#[actix_rt::test]
async fn time_runs_out_at_every_stage() {
    let stages: [(&'static [u8], &str); 3] = [
        (b"", "timed out after 200ms waiting for the answer's first byte"),
        (b"HTTP/1.1 200 OK\r\na: b", "timed out after 200ms reading the answer's headers"),
        (
            b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc",
            "timed out after 200ms reading the answer's body",
        ),
    ];
    for (answer, reason) in stages {
        let receiver = Receiver::start(move |_, peer| {
            peer.answer(answer);
            peer.read();
        });
        let began = Instant::now();
        let report = post(&impatient(), &receiver.url()).await;
        assert_eq!(unanswered(&report), (reason, true));
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}

#[actix_rt::test]
async fn an_answer_before_the_whole_request_counts() {
    let receiver = Receiver::start(|_, peer| {
        let _ = std::io::Read::read(&mut peer.stream, &mut [0; 100]);
        peer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig");
        std::thread::sleep(Duration::from_millis(20));
    });
    let sender = sender(&settings(), &receiver.url());
    for turn in 1..3 {
        let large = webhook(Method::Post, &receiver.url(), vec![0; 16 << 20]);
        let report = send(&sender, large).await;
        let answer = answered(&report);
        assert_eq!((answer.status, &answer.body[..]), (413, &b"big"[..]));
        assert_eq!(receiver.connections(), turn);
    }
}

#[actix_rt::test]
async fn a_refusal_is_heard_while_the_request_still_goes_out() {
    let receiver = Receiver::start(|_, peer| {
        let _ = std::io::Read::read(&mut peer.stream, &mut [0; 100]);
        peer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 413 Too Large\r\n");
        std::thread::park_timeout(Duration::from_millis(20));
        peer.write(b"content-length: 3\r\n\r\nbig");
        // It reads no further; this returns once the sender has given up on it.
        while peer.write(b"x") {
            std::thread::park_timeout(Duration::from_millis(20));
        }
    });
    let large = webhook(Method::Post, &receiver.url(), vec![0; 16 << 20]);
    let report = send(&sender(&settings(), &receiver.url()), large).await;
    let answer = answered(&report);
    assert_eq!((answer.status, &answer.body[..]), (413, &b"big"[..]));
    assert!(report.timings.first_byte_us < Some(report.timings.total_us));
}

#[actix_rt::test]
async fn an_early_success_does_not_cut_the_request_short() {
    let length = 16 << 20;
    let (read, was_read) = std::sync::mpsc::channel();
    let receiver = Receiver::start(move |_, peer| {
        let _ = std::io::Read::read(&mut peer.stream, &mut [0]);
        peer.write(OK);
        std::thread::park_timeout(Duration::from_millis(50));
        let whole = peer.read().is_some_and(|request| request.body.len() == length);
        read.send(whole).expect("the test waits");
    });
    let large = webhook(Method::Post, &receiver.url(), vec![0; length]);
    let report = send(&sender(&settings(), &receiver.url()), large).await;
    assert_eq!(answered(&report).status, 200);
    assert_eq!(was_read.recv_timeout(Duration::from_secs(2)), Ok(true));
}

#[actix_rt::test]
async fn a_head_may_come_byte_by_byte() {
    let receiver = Receiver::start(|_, peer| {
        peer.read();
        for byte in
            b"\r\nHTTP/1.1 102 P\r\n\r\nHTTP/1.1 200 OK\r\na: b\r\ncontent-length: 2\r\n\r\nok"
        {
            peer.write(&[*byte]);
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    let report = post(&settings(), &receiver.url()).await;
    assert_eq!(answered(&report).body, "ok");
    assert_eq!(answered(&report).headers.len(), 2);
}

#[actix_rt::test]
async fn a_drip_does_not_hold_the_attempt() {
    for head in ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n"] {
        let receiver = Receiver::start(move |_, peer| {
            peer.answer(head.as_bytes());
            while peer.write(b"a") {
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        let report = post(&impatient(), &receiver.url()).await;
        assert!(unanswered(&report).1);
        assert!(report.timings.total_us < 2_000_000);
    }
}

#[actix_rt::test]
async fn bytes_behind_an_answer_are_not_the_next_answer() {
    let forged = "HTTP/1.1 500 Forged\r\ncontent-length: 0\r\n\r\n";
    // The last one's end is awc's to find; what comes along with it is thrown away there.
    let cases = [
        ("content-length: 2\r\n\r\nok", 0, 3),
        ("content-length: 2\r\n\r\nok", 20, 3),
        ("content-length: 0\r\n\r\n", 0, 3),
        ("content-length: 0\r\n\r\n", 20, 3),
        ("transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 20, 3),
        ("transfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 0, 1),
    ];
    for (rest, pause, connections) in cases {
        let pause = Duration::from_millis(pause);
        let answer = format!("HTTP/1.1 200 OK\r\n{rest}");
        let receiver = Receiver::start(move |_, peer| {
            while peer.read().is_some() {
                if pause.is_zero() {
                    peer.write(format!("{answer}{forged}").as_bytes());
                } else {
                    peer.write(answer.as_bytes());
                    std::thread::sleep(pause);
                    peer.write(forged.as_bytes());
                }
            }
        });
        let sender = sender(&settings(), &receiver.url());
        for _ in 0..3 {
            let report = send(&sender, webhook(Method::Post, &receiver.url(), "{}")).await;
            assert_eq!(answered(&report).status, 200);
            actix_rt::time::sleep(pause * 2).await;
        }
        assert_eq!(receiver.connections(), connections, "{rest} {pause:?}");
    }
}
