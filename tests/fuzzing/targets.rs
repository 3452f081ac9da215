//! What is fed with hostile input, and what must hold then. Each function takes any bytes and
//! panics where a promise is broken.

use std::cell::RefCell;
use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

mod documents;
mod doors;
pub mod kept;
mod requests;
pub mod rules;
mod texts;
mod words;

/// A function that judges an input.
pub type Target = fn(&[u8]);

/// All targets; each has a folder of kept inputs in `tests/corpus`. Those of a row take turns in one
/// time of a timed run: parsers that are small, or of one kind, and fast.
pub const TARGETS: &[&[(&str, Target)]] = &[
    &[("trigger", doors::trigger)],
    &[("ndjson", doors::ndjson)],
    &[("url", doors::url)],
    &[("request", requests::request)],
    &[("braze", requests::braze)],
    &[("limit_headers", rules::limit_headers)],
    &[("answer_head", rules::answer_head)],
    &[("config", rules::config)],
    &[("liquid", texts::liquid)],
    &[("webhook_template", texts::webhook_template)],
    &[("document", documents::document)],
    &[("filter", documents::filter), ("attributes", documents::attribute_writes)],
    &[("word", words::word), ("idempotency_key", doors::idempotency_key)],
    &[("saved_state", kept::saved_state), ("attempt_record", kept::attempt_record)],
    &[("head_record", kept::head_record), ("kept_record", kept::kept_record)],
    &[("request_head", words::request_head)],
];

/// Words that tell one kind of error from another.
const WORDS_NOTED: usize = 5;

thread_local! {
    static NOTED: RefCell<HashSet<u64>> = RefCell::default();
}

/// Notes what an input led to: a kind of error, a way that was taken. Only the first words outside
/// quotes count, since what stands in quotes is the input's own. An input that leads to something
/// new is worth going on from.
pub fn note(what: &str) {
    let quotes = ['"', '`', '\''];
    let ahead = what.split(quotes).next().unwrap_or_default();
    let part = if ahead.trim().is_empty() { what.rsplit(quotes).next() } else { Some(ahead) };
    let words = part.unwrap_or_default().split_whitespace();
    let plain = words.filter(|word| word.bytes().all(|byte| byte.is_ascii_alphabetic()));
    let hash = xxh3_64(plain.take(WORDS_NOTED).collect::<String>().as_bytes());
    NOTED.with_borrow_mut(|noted| noted.insert(hash));
}

/// Notes a way that was taken, word for word: nothing in it is the input's own.
pub fn mark(way: &str) {
    NOTED.with_borrow_mut(|noted| noted.insert(xxh3_64(way.as_bytes())));
}

/// What was noted since this was last asked.
pub fn take_notes() -> HashSet<u64> {
    NOTED.take()
}

/// What stands before the first `mark`, and what behind it.
pub fn halves(data: &[u8], mark: u8) -> (&[u8], &[u8]) {
    match data.iter().position(|byte| *byte == mark) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &[]),
    }
}
