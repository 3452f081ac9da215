//! Header lines: too many, too large, too slow, not well formed.

use std::time::Duration;

use super::Ends::{NoAnswer, Status, TimedOut};
use super::{Behaviour, OK, does, floods, says};

const TOO_LARGE: &str = "malformed answer: its headers are larger than 64 KiB";
const MALFORMED: &str = "malformed answer: its headers are not well formed";
const TOO_MANY: &str = "malformed answer: it has more than 96 header lines";
const START: &str = "HTTP/1.1 200 OK\r\n";

pub fn all() -> Vec<Behaviour> {
    [large(), malformed(), odd()].concat()
}

/// A whole answer with these header lines.
fn with(lines: &str) -> String {
    format!("{START}{lines}\r\ncontent-length: 2\r\n\r\nok")
}

fn large() -> Vec<Behaviour> {
    let many = |count: usize| with(&vec!["set-cookie: a=b"; count].join("\r\n"));
    vec![
        floods("headers for ever", START, "a: b\r\n", NoAnswer(TOO_LARGE)),
        floods("one header line for ever", format!("{START}a: "), "b", NoAnswer(TOO_LARGE)),
        says(
            "1 MiB of headers",
            with(&vec!["a: bcdef"; 105_000].join("\r\n")),
            NoAnswer(TOO_LARGE),
        ),
        says(
            "a header value of 1 MiB",
            with(&format!("a: {}", "b".repeat(1 << 20))),
            NoAnswer(TOO_LARGE),
        ),
        says("a header value of 60 KB", with(&format!("a: {}", "b".repeat(60_000))), Status(200)),
        says("a header name of 60 KB", with(&format!("{}: b", "a".repeat(60_000))), Status(200)),
        // Longer than the longest name that the http crate knows, and within a piece of the bound.
        says(
            "a header name of 65,540 bytes",
            with(&format!("{}: b", "a".repeat(65_540))),
            NoAnswer(TOO_LARGE),
        ),
        says("10,000 header lines", with(&vec!["a:b"; 10_000].join("\r\n")), NoAnswer(TOO_MANY)),
        says("90 cookies", many(90), Status(200)),
        says("200 cookies", many(200), NoAnswer(TOO_MANY)),
        does("a head byte by byte", Status(200), |peer| {
            while peer.read() && peer.drip(OK, Duration::from_millis(2)) {}
        }),
        does("a head byte by byte for ever", TimedOut("reading the answer's headers"), |peer| {
            peer.read();
            peer.write(START);
            while peer.drip("a: b\r\n", Duration::from_millis(20)) {}
        }),
    ]
}

fn malformed() -> Vec<Behaviour> {
    let bad = |name: &str, lines: &str| says(name, with(lines), NoAnswer(MALFORMED));
    vec![
        bad("a header line without a colon", "nothing here"),
        bad("a header without a name", ": value"),
        bad("a space in a header's name", "a b: c"),
        bad("a NUL in a header's name", "a\0b: c"),
        bad("a NUL in a header's value", "a: b\0c"),
        bad("a lone carriage return in a header", "a: b\rcontent-length: 0"),
        bad("a folded header line", "a: b\r\n  c"),
        bad("a second status line", "HTTP/1.1 200 OK"),
        bad("HTML in place of headers", "<html><body>ok</body></html>"),
        bad("an emoji as a header's name", "\u{1f47b}: boo"),
    ]
}

fn odd() -> Vec<Behaviour> {
    let fine = |name: &str, answer: &[u8]| says(name, answer, Status(200));
    let cut = "HTTP/1.1 200 OK\r\nupgrade: websocket\r\ncontent-length: 9\r\n\r\nabc";
    vec![
        fine("names in capitals", b"HTTP/1.1 200 OK\r\nCONTENT-LENGTH: 2\r\n\r\nok"),
        fine("no spaces", b"HTTP/1.1 200 OK\r\ncontent-length:2\r\n\r\nok"),
        fine("tabs and spaces", b"HTTP/1.1 200 OK\r\ncontent-length:\t  2 \t\r\n\r\nok"),
        fine("a space before the colon", b"HTTP/1.1 200 OK\r\ncontent-length : 2\r\n\r\nok"),
        fine("mixed line ends", b"HTTP/1.1 200 OK\ncontent-length: 2\r\n\nok"),
        fine(
            "bytes above 127",
            b"HTTP/1.1 200 OK\r\na: \xff\xfe\x80\r\ncontent-length: 2\r\n\r\nok",
        ),
        fine("an empty value", with("a:").as_bytes()),
        // awc takes the answer for one without a body then.
        super::says_and_closes(
            "an upgrade and a cut body",
            cut,
            NoAnswer("connection closed while reading the answer's body"),
        ),
    ]
}
