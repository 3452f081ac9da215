//! Requests that two servers could read in two ways. Each file of `smuggling/` is what a client
//! sends, and what RFC 9112 lets us answer; a harmless request follows on the same connection.
//!
//! Line 1 of a file: why it is dangerous. Line 2: the statuses of all answers, and whether the
//! connection is `closed` then or `open`, in which case the last answer is that of the harmless
//! request. The rest: the bytes, with `\r`, `\n`, `\t`, `\0`, `\xNN` written out; line ends of the
//! file itself are not sent.

use std::path::{Path, PathBuf};

use super::open::{Open, Reply};

/// What follows each attack.
const CANARY: &[u8] = b"GET /canary HTTP/1.1\r\nHost: shop.example\r\n\r\n";

struct Attack {
    name: String,
    statuses: Vec<u16>,
    stays_open: bool,
    bytes: Vec<u8>,
}

fn attacks() -> Vec<Attack> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/front/smuggling");
    let entries = std::fs::read_dir(folder).expect("the corpus");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths.sort();
    paths.iter().map(|path| attack(path)).collect()
}

fn attack(path: &Path) -> Attack {
    let text = std::fs::read_to_string(path).expect("readable");
    let name = path.file_name().expect("a file").to_string_lossy().into_owned();
    let mut lines = text.lines();
    assert!(lines.next().is_some_and(|why| why.starts_with("# ")), "{name} says why");
    let expected = lines.next().and_then(|line| line.strip_prefix("answers: "));
    let mut words: Vec<&str> = expected.expect("answers").split(' ').collect();
    let end = words.pop().expect("how it ends");
    assert!(["open", "closed"].contains(&end), "{name}: {end}");
    let statuses = words.iter().map(|word| word.parse().expect("a status")).collect();
    let bytes = lines.flat_map(|line| unescape(line, &name)).collect();
    Attack { name, statuses, stays_open: end == "open", bytes }
}

fn unescape(line: &str, name: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'\\' => match rest.next() {
                Some(b'r') => b'\r',
                Some(b'n') => b'\n',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(b'x') => {
                    let digits: String = rest.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&digits, 16).expect("two digits")
                }
                other => panic!("{name}: unknown escape {other:?}"),
            },
            byte => byte,
        });
    }
    bytes
}

/// All that comes back, until the connection closes or the canary is answered.
fn answers(open: &Open, attack: &Attack) -> (Vec<Reply>, bool) {
    let mut wire = open.connect();
    wire.send(&[&attack.bytes[..], CANARY].concat());
    let mut replies = Vec::new();
    while let Some(reply) = wire.reply() {
        let is_canary = reply.body.contains("/canary");
        replies.push(reply);
        if is_canary {
            return (replies, true);
        }
    }
    (replies, false)
}

#[test]
fn every_request_has_one_reading() {
    let open = Open::new(|_| {});
    let attacks = attacks();
    assert!(attacks.len() >= 60, "{}", attacks.len());
    let mut wrong = Vec::new();
    for attack in &attacks {
        let (replies, is_open) = answers(&open, attack);
        let statuses: Vec<u16> = replies.iter().map(|reply| reply.status).collect();
        if (&statuses, is_open) != (&attack.statuses, attack.stays_open) {
            let end = if is_open { "open" } else { "closed" };
            wrong.push(format!(
                "{}: {statuses:?} {end}, not {:?} {}",
                attack.name, attack.statuses, attack.stays_open
            ));
        }
        let smuggled = replies.iter().any(|reply| reply.body.contains("/smuggled"));
        if smuggled {
            wrong.push(format!("{}: a body was read as a request", attack.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
