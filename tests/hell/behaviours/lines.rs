//! Status lines: what is none, what is one and strange, and interim answers before it.

use std::time::Duration;

use super::Ends::{NoAnswer, Status, TimedOut};
use super::{Behaviour, OK, does, floods, says, says_and_closes};
use crate::receiver::pause;

const NO_HTTP: &str = "malformed answer: it does not begin with an HTTP/1 status line";
const OUT_OF_RANGE: &str = "malformed answer: its status is out of range";
const REST: &str = "\r\ncontent-length: 2\r\n\r\nok";

pub fn all() -> Vec<Behaviour> {
    [not_http(), strange(), interim()].concat()
}

fn not_http() -> Vec<Behaviour> {
    let no_http = |name: &str, bytes: &[u8]| says(name, bytes, NoAnswer(NO_HTTP));
    let line = |line: &str| no_http(&format!("{line:?}"), format!("{line}{REST}").as_bytes());
    let out_of_range = |status: &str| {
        let answer = format!("HTTP/1.1 {status} Odd{REST}");
        says(&format!("status {status}"), answer, NoAnswer(OUT_OF_RANGE))
    };
    vec![
        line("HTTP/2 200 OK"),
        line("HTTP/2.0 200 OK"),
        line("HTTP/1.2 200 OK"),
        line("HTTP/11 200 OK"),
        line("HTTP/1.1"),
        line("HTTP/1.1 OK"),
        line("HTTP/1.1 20 OK"),
        line("HTTP/1.1 2000 OK"),
        line("HTTP/1.1 1000 OK"),
        line("HTTP/1.1 -200 OK"),
        line("HTTP/1.1 +20 OK"),
        line("HTTP/1.1 2x0 OK"),
        line("HTTP/1.1 200OK"),
        line("HTTP/1.1  200 OK"),
        line("HTTP/1.1\t200 OK"),
        line(" HTTP/1.1 200 OK"),
        line("http/1.1 200 ok"),
        line("HTTP 200 OK"),
        line("200 OK"),
        line("ICY 200 OK"),
        line("\u{feff}HTTP/1.1 200 OK"),
        line("\0HTTP/1.1 200 OK"),
        line("POST /hook HTTP/1.1"),
        out_of_range("000"),
        out_of_range("099"),
        out_of_range("600"),
        out_of_range("999"),
        no_http("an SSH banner", b"SSH-2.0-OpenSSH_9.6\r\n"),
        no_http("an SMTP greeting", b"220 mail.example ESMTP ready\r\n"),
        no_http("a Redis error", b"-ERR unknown command 'POST'\r\n"),
        no_http("HTML alone", b"<!doctype html><title>200 OK</title>"),
        no_http("JSON alone", b"{\"status\":200}\n"),
        no_http("a TLS alert", &[0x15, 3, 1, 0, 2, 2, 70]),
        no_http("HTTP/2 settings", &[0, 0, 0, 4, 0, 0, 0, 0, 0]),
        no_http("every byte", &(0..=255).collect::<Vec<u8>>()),
        does("an echo", NoAnswer(NO_HTTP), |peer| {
            while let Some(head) = peer.read_head() {
                peer.write(head);
            }
        }),
    ]
}

fn strange() -> Vec<Behaviour> {
    let line = |line: &str, ends| says(&format!("{line:?}"), format!("{line}{REST}"), ends);
    vec![
        line("HTTP/1.1 200", Status(200)),
        line("HTTP/1.1 200 ", Status(200)),
        line("HTTP/1.0 200 OK", Status(200)),
        line("HTTP/1.1 299 Fine", Status(299)),
        line("HTTP/1.1 599 Odd", Status(599)),
        line("HTTP/1.1 418 \u{1fad6}", Status(418)),
        line("\r\n\r\nHTTP/1.1 200 OK", Status(200)),
        says("line feeds only", OK.replace('\r', ""), Status(200)),
        says("a reason of 10 KiB", OK.replace("OK", &"x".repeat(10 << 10)), Status(200)),
        line("HTTP/1.1 200 O\0K", NoAnswer("malformed answer: its headers are not well formed")),
        line("HTTP/1.1 200 O\rK", NoAnswer("malformed answer: its headers are not well formed")),
        floods(
            "empty lines for ever",
            "",
            "\r\n",
            NoAnswer("malformed answer: its headers are larger than 64 KiB"),
        ),
        says("two redirects in one", redirect(301), Status(301)),
        says("redirects to itself", redirect(302), Status(302)),
        says("redirects by 307", redirect(307), Status(307)),
        says("redirects by 308", redirect(308), Status(308)),
    ]
}

/// To the very URL that was asked for; it would never end.
fn redirect(status: u16) -> String {
    format!("HTTP/1.1 {status} There\r\nlocation: /hook\r\nlocation: /hook{REST}")
}

fn interim() -> Vec<Behaviour> {
    let before = |name: &str, interim: &str, ends| says(name, format!("{interim}{OK}"), ends);
    let early = "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n";
    let large = format!("HTTP/1.1 103 Early Hints\r\nlink: {}\r\n\r\n", "x".repeat(60_000));
    vec![
        before("100 before the answer", "HTTP/1.1 100 Continue\r\n\r\n", Status(200)),
        before("102 before the answer", "HTTP/1.1 102 Processing\r\n\r\n", Status(200)),
        before("103 before the answer", early, Status(200)),
        before("199 before the answer", "HTTP/1.1 199 What\r\n\r\n", Status(200)),
        before("16 times 103 of 60 KB", &large.repeat(16), Status(200)),
        before(
            "100 with a body",
            "HTTP/1.1 100 Continue\r\ncontent-length: 4\r\n\r\nbody",
            NoAnswer(NO_HTTP),
        ),
        before(
            "101 though nobody asked",
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\r\n",
            NoAnswer("malformed answer: it switches protocols, which was not asked for"),
        ),
        floods(
            "a flood of 1xx",
            "",
            "HTTP/1.1 102 Processing\r\n\r\n",
            NoAnswer("malformed answer: too many interim answers (1xx)"),
        ),
        does("a drip of 1xx", TimedOut("waiting for the answer's first byte"), |peer| {
            peer.read();
            while peer.write("HTTP/1.1 102 Processing\r\n\r\n") {
                pause(Duration::from_millis(150));
            }
        }),
        says_and_closes(
            "1xx alone",
            early,
            NoAnswer("connection closed while waiting for the answer's first byte"),
        ),
    ]
}
