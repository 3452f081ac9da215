//! Bodies: endless, slow, compressed, of a wrong length, in broken chunks, with more behind them.

use std::time::Duration;

use super::Ends::{NoAnswer, Status, TimedOut};
use super::{Behaviour, OK, does, floods, says, says_and_closes, says_and_resets};
use crate::receiver::pause;

const HEADERS: &str = "malformed answer: its headers are not well formed";
const BODY: &str = "malformed answer: its body is not well formed";
const BARREN: &str = "malformed answer: its chunks carry next to nothing";
const CUT: &str = "connection closed while reading the answer's body";
const READING: &str = "reading the answer's body";
const CODING: &str = "malformed answer: its transfer coding is not known";

pub fn all() -> Vec<Behaviour> {
    [endless(), chunks(), lengths(), leftovers()].concat()
}

fn answer(headers: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}")
}

fn chunked(body: &str) -> String {
    answer("transfer-encoding: chunked", body)
}

/// 60 KiB of gzip that would inflate to 9.8 MB of zeros: bodies are kept as they come.
pub fn bomb() -> Vec<u8> {
    let last_block_of_fixed_codes = "110";
    let zero = "00110000";
    let the_last_byte_258_times = "1100010100000";
    let end = "0000000";
    let matches = the_last_byte_258_times.repeat(38_000);
    let bits = [last_block_of_fixed_codes, zero, &matches, end].concat();
    let mut bomb = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    bomb.extend(
        bits.as_bytes()
            .chunks(8)
            .map(|bits| bits.iter().enumerate().map(|(at, bit)| (bit - b'0') << at).sum::<u8>()),
    );
    // Check sum and size, which whoever inflates reads last.
    bomb.extend([0; 8]);
    bomb
}

fn endless() -> Vec<Behaviour> {
    let bomb = bomb();
    let chunk = format!("400\r\n{}\r\n", "x".repeat(0x400));
    let large = "content-length: 9223372036854775807";
    vec![
        floods("a body for ever, by length", answer(large, ""), "x", Status(200)),
        floods("a body for ever, in chunks", chunked(""), chunk, Status(200)),
        floods("a body for ever, until close", answer("server: a", ""), "x", Status(200)),
        floods(
            "an error's body for ever",
            answer(large, "").replace("200", "500"),
            "x",
            Status(500),
        ),
        does("a gzip bomb", Status(200), move |peer| {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n",
                bomb.len()
            );
            while peer.answer(&head) && peer.write(&bomb) {}
        }),
        says(
            "gzip that is none",
            answer("content-encoding: gzip, br, deflate\r\ncontent-length: 4", "nope"),
            Status(200),
        ),
        does("a body byte by byte", Status(200), |peer| {
            while peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 30\r\n\r\n")
                && peer.drip([b'x'; 30], Duration::from_millis(5))
            {}
        }),
        does("a body byte by byte for ever", TimedOut(READING), |peer| {
            peer.answer("HTTP/1.1 200 OK\r\ncontent-length: 9999\r\n\r\n");
            while peer.drip([b'x'], Duration::from_millis(20)) {}
        }),
        does("a body until close, byte by byte for ever", TimedOut(READING), |peer| {
            peer.answer("HTTP/1.1 200 OK\r\n\r\n");
            while peer.drip([b'x'], Duration::from_millis(20)) {}
        }),
        says_and_closes("a body until close", answer("server: a", "ok"), Status(200)),
        says("a body until a close that never comes", answer("server: a", "ok"), TimedOut(READING)),
        says_and_resets(
            "a body until reset",
            answer("server: a", "ok"),
            NoAnswer("connection reset while reading the answer's body"),
        ),
    ]
}

fn chunks() -> Vec<Behaviour> {
    let bad = |name: &str, body: &str| says(name, chunked(body), NoAnswer(BODY));
    let coded =
        |name: &str, headers: &str, ends| says(name, answer(headers, "2\r\nok\r\n0\r\n\r\n"), ends);
    let long = "x".repeat(1 << 20);
    vec![
        bad("a chunk size that is no number", "zz\r\nok\r\n0\r\n\r\n"),
        bad("a negative chunk size", "-2\r\nok\r\n0\r\n\r\n"),
        bad("a chunk size with 0x", "0x2\r\nok\r\n0\r\n\r\n"),
        bad("an empty chunk size", "\r\nok\r\n0\r\n\r\n"),
        bad("a chunk size of 2^64", "10000000000000000\r\nok\r\n0\r\n\r\n"),
        bad("a chunk size of 80 digits", &"f".repeat(80)),
        bad("chunks without line ends", "2ok0"),
        bad("a chunk without its end", "2\r\nok0\r\n\r\n"),
        bad("a chunk longer than it says", "2\r\nokay\r\n0\r\n\r\n"),
        bad("chunk lines by line feed only", "2\nok\n0\n\n"),
        says_and_closes(
            "a chunk of 2^63 bytes, cut",
            chunked("8000000000000000\r\nok"),
            NoAnswer(CUT),
        ),
        says_and_closes("no last chunk, closed", chunked("2\r\nok\r\n"), NoAnswer(CUT)),
        says("no last chunk", chunked("2\r\nok\r\n"), TimedOut(READING)),
        says("a last chunk without its end", chunked("2\r\nok\r\n0\r\n"), TimedOut(READING)),
        says(
            "10,000 chunks of a byte",
            chunked(&format!("{}0\r\n\r\n", "1\r\na\r\n".repeat(10_000))),
            Status(200),
        ),
        says("a chunk extension", chunked("2;a=\"b\"\r\nok\r\n0\r\n\r\n"), Status(200)),
        says(
            "a chunk extension of 1 MiB",
            chunked(&format!("2;{long}\r\nok\r\n0\r\n\r\n")),
            NoAnswer(BARREN),
        ),
        says("a trailer", chunked("2\r\nok\r\n0\r\na: b\r\n\r\n"), Status(200)),
        floods("a chunk extension for ever", chunked("2;"), "x", NoAnswer(BARREN)),
        floods("trailers for ever", chunked("2\r\nok\r\n0\r\n"), "a: b\r\n", NoAnswer(BARREN)),
        coded(
            "chunks and a length",
            "content-length: 3\r\ntransfer-encoding: chunked",
            Status(200),
        ),
        coded(
            "chunked twice",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked",
            NoAnswer(CODING),
        ),
        coded("chunked, chunked", "transfer-encoding: chunked, chunked", NoAnswer(CODING)),
        coded("gzip and chunked", "transfer-encoding: gzip, chunked", NoAnswer(CODING)),
        coded(
            "chunked and then gzip",
            "transfer-encoding: chunked\r\ntransfer-encoding: gzip",
            NoAnswer(CODING),
        ),
        coded("a transfer coding of gzip", "transfer-encoding: gzip", NoAnswer(CODING)),
        coded(
            "a transfer coding of x",
            "transfer-encoding: \u{fe}\r\ncontent-length: 2",
            NoAnswer(CODING),
        ),
    ]
}

fn lengths() -> Vec<Behaviour> {
    let bad = |length: &str| {
        let lines = format!("content-length: {length}");
        says(&format!("a length of {length:?}"), answer(&lines, "okay"), NoAnswer(HEADERS))
    };
    let bodyless = |name: &str, status: u16| {
        let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 5\r\n\r\nwrong");
        says(name, answer, Status(status))
    };
    vec![
        bad("-1"),
        bad("+5"),
        bad("0x5"),
        bad("4 4"),
        bad("4, 4"),
        bad("4, 5"),
        bad("four"),
        bad("4.0"),
        bad(""),
        bad("18446744073709551616"),
        says(
            "two unequal lengths",
            answer("content-length: 4\r\ncontent-length: 5", "okay"),
            NoAnswer(HEADERS),
        ),
        says(
            "two equal lengths",
            answer("content-length: 4\r\ncontent-length: 4", "okay"),
            NoAnswer(HEADERS),
        ),
        says_and_closes(
            "a length of 2^63, cut",
            answer("content-length: 9223372036854775808", "ok"),
            NoAnswer(CUT),
        ),
        says("a length that is too large", answer("content-length: 9", "ok"), TimedOut(READING)),
        says("a length that is too small", answer("content-length: 2", "okay"), Status(200)),
        says("a length of zero and a body", answer("content-length: 0", "okay"), Status(200)),
        bodyless("204 with a body", 204),
        bodyless("304 with a body", 304),
        bodyless("205 with a body", 205),
        says(
            "204 in chunks",
            answer("transfer-encoding: chunked", "2\r\nok\r\n0\r\n\r\n").replace("200", "204"),
            Status(204),
        ),
    ]
}

/// Answers to nothing, of which none may be taken for that of the next request: this one would be
/// a success, and the true ones are not.
fn leftovers() -> Vec<Behaviour> {
    let failed = "HTTP/1.1 500 No\r\ncontent-length: 2\r\n\r\nno";
    let in_chunks = "HTTP/1.1 500 No\r\ntransfer-encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n";
    let later = move |name: &str, wait: u64, pieces: &'static [&'static str]| {
        does(name, Status(500), move |peer| {
            while peer.answer(failed) {
                for piece in pieces {
                    pause(Duration::from_millis(wait));
                    peer.write(piece);
                }
            }
        })
        .unhurried()
    };
    vec![
        says("a forged answer right behind", format!("{failed}{OK}"), Status(500)),
        says("a forged answer behind the last chunk", format!("{in_chunks}{OK}"), Status(500)),
        says("a hundred forged answers", format!("{failed}{}", OK.repeat(100)), Status(500)),
        says(
            "half a forged answer behind the last chunk",
            format!("{in_chunks}{}", &OK[..20]),
            Status(500),
        ),
        later("a forged answer a moment later", 1, &[OK]),
        later(
            "a forged answer in halves",
            1,
            &["HTTP/1.1 200 OK\r\ncont", "ent-length: 0\r\n\r\n"],
        ),
        later("line ends between answers", 1, &["\r\n", "\r\n"]),
        later("one byte too many, later", 1, &["x"]),
    ]
}
