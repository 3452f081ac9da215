//! Connections that are not made, not served, or broken off at each stage.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use super::Ends::{NoAnswer, Status, TimedOut};
use super::{Behaviour, OK, at, does, says, says_and_closes, says_and_resets};
use crate::receiver::{Door, length_of, pause};

const WAITING: &str = "waiting for the answer's first byte";
const TOO_LARGE: &str = "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig";
const CLOSING: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
const MIB: usize = 1 << 20;
/// More than the buffers of both kernels take.
const HUGE: usize = 16 << 20;

pub fn all() -> Vec<Behaviour> {
    [silent(), broken(), early(), idle()].concat()
}

fn silent() -> Vec<Behaviour> {
    vec![
        at("refuses connections", Door::Shut, NoAnswer("connection refused")),
        at("backlog full", Door::Walled, TimedOut("connecting")),
        at("never accepts", Door::Unattended, TimedOut(WAITING)),
        does("hangs after accept", TimedOut(WAITING), |peer| peer.ignore()),
        does("hangs after the request", TimedOut(WAITING), |peer| peer.linger()),
        does("first byte after 300 ms", Status(200), |peer| {
            while peer.read() {
                pause(Duration::from_millis(300));
                peer.write(OK);
            }
        }),
        does("never reads the body", TimedOut("sending the request"), |peer| peer.ignore())
            .sent(HUGE),
        at(
            "tiny window, never reads",
            Door::Narrow(1, Arc::new(|peer| peer.ignore())),
            TimedOut("sending the request"),
        )
        .sent(HUGE),
        at(
            "tiny window, reads slowly",
            Door::Narrow(
                4096,
                Arc::new(|peer| {
                    pause(Duration::from_millis(100));
                    while peer.answer(OK) {}
                }),
            ),
            Status(200),
        )
        .sent(MIB),
    ]
}

fn broken() -> Vec<Behaviour> {
    let cut_head = "HTTP/1.1 200 OK\r\ncontent-le";
    let cut_body = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc";
    vec![
        does("resets on accept", NoAnswer("connection reset"), |peer| peer.reset()),
        does("closes on accept", NoAnswer("connection "), |_| {}),
        does("resets in the midst of the request", NoAnswer("connection reset while "), |peer| {
            peer.read_head();
            peer.reset();
        })
        .sent(HUGE),
        does("closes in the midst of the request", NoAnswer("connection reset while "), |peer| {
            peer.read_head();
        })
        .sent(HUGE),
        does(
            "resets after the request",
            NoAnswer("connection reset while waiting for the answer's first byte"),
            |peer| {
                peer.read();
                peer.reset();
            },
        ),
        says_and_closes(
            "closes after the request",
            "",
            NoAnswer("connection closed while waiting for the answer's first byte"),
        ),
        says_and_resets(
            "resets in the head",
            cut_head,
            NoAnswer("connection reset while reading the answer's headers"),
        ),
        says_and_closes(
            "closes in the head",
            cut_head,
            NoAnswer("connection closed while reading the answer's headers"),
        ),
        says("hangs in the head", cut_head, TimedOut("reading the answer's headers")),
        says_and_resets(
            "resets in the body",
            cut_body,
            NoAnswer("connection reset while reading the answer's body"),
        ),
        says_and_closes(
            "closes in the body",
            cut_body,
            NoAnswer("connection closed while reading the answer's body"),
        ),
        says("hangs in the body", cut_body, TimedOut("reading the answer's body")),
        does(
            "half-closes on accept",
            NoAnswer("connection closed while waiting for the answer's first byte"),
            |peer| {
                let _gone = peer.stream.shutdown(Shutdown::Write);
                peer.linger();
            },
        ),
        does(
            "half-closes after the request",
            NoAnswer("connection closed while waiting for the answer's first byte"),
            |peer| {
                peer.read();
                let _gone = peer.stream.shutdown(Shutdown::Write);
                peer.linger();
            },
        ),
    ]
}

/// Answers that come before the request is whole.
fn early() -> Vec<Behaviour> {
    vec![
        does("413 and close before the body is read", Status(413), |peer| {
            peer.read_head();
            peer.write(TOO_LARGE);
            pause(Duration::from_millis(20));
        })
        .sent(HUGE),
        does("413 at once, and reads no further", Status(413), |peer| {
            peer.read_head();
            peer.write(TOO_LARGE);
            peer.ignore();
        })
        .sent(HUGE),
        does("413 at once, and then reads it all", Status(413), |peer| {
            while let Some(head) = peer.read_head() {
                peer.write(TOO_LARGE);
                peer.skip(length_of(&head));
            }
        })
        .sent(MIB),
        does("200 at once, and then reads it all", Status(200), |peer| {
            while let Some(head) = peer.read_head() {
                peer.write(OK);
                pause(Duration::from_millis(20));
                peer.skip(length_of(&head));
            }
        })
        .sent(HUGE),
        does("answers without reading", Status(200), |peer| {
            peer.write(CLOSING);
            peer.ignore();
        }),
    ]
}

/// What happens to a connection once the answer is there.
fn idle() -> Vec<Behaviour> {
    vec![
        says_and_closes("closes after the answer", OK, Status(200)),
        does("resets after the answer", Status(200), |peer| {
            peer.answer(OK);
            peer.reset();
        }),
        does("half-closes after the answer", Status(200), |peer| {
            peer.answer(OK);
            let _gone = peer.stream.shutdown(Shutdown::Write);
            peer.linger();
        }),
        says("says close and stays open", CLOSING, Status(200)),
        says(
            "HTTP/1.0 and keep-alive",
            "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nok",
            Status(200),
        ),
        says(
            "both close and keep-alive",
            "HTTP/1.1 200 OK\r\nconnection: keep-alive, close\r\ncontent-length: 2\r\n\r\nok",
            Status(200),
        ),
    ]
}
