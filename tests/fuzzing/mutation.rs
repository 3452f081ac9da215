//! Makes inputs of others: bits turned, bytes taken out and put in, halves of two joined, words that
//! mean something to one of the targets, and nodes of JSON changed.

use serde_json::Value;

use crate::json;

/// Words that parsers watch out for.
const WORDS: &[&str] = &[
    "\r\n",
    "\n",
    "\r\n\r\n",
    "\0",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "null",
    "true",
    "1e999",
    "-0",
    "18446744073709551616",
    "9223372036854775807",
    "-1",
    "0.5",
    "\u{feff}",
    "\u{202e}",
    "é",
    "😀",
    "xn--",
    "%00",
    "%0d%0a",
    "http://",
    "https://",
    "@",
    "#",
    "?",
    "/..",
    "[::1]",
    "0x7f.1",
    "1.2.3.4",
    ".",
    "..",
    ":0",
    ":443",
    ":65536",
    "\"webhook\":",
    "\"url\":",
    "\"body\":",
    "\"headers\":",
    "\"delay\":",
    "\"ttl\":\"1s\"",
    "\"deliver_at\":",
    "\"ordering_key\":\"k\"",
    "retry-after: ",
    "x-ratelimit-remaining: 0",
    "x-ratelimit-reset: ",
    "ratelimit: ",
    "ratelimit-policy: ",
    "date: ",
    ";r=0;t=1",
    ";w=60;q=1",
    "HTTP/1.1 200 OK",
    "HTTP/1.0 503",
    "HTTP/1.1 100 Continue",
    "content-length: ",
    "transfer-encoding: chunked",
    "Tue, 24 Nov 2026 07:00:00 GMT",
    "2026-11-24T07:00:00Z",
    "[limits]\n",
    "in_flight = ",
    "[hosts.\"a.example\"]\n",
    "= \"",
    "\"\"\"",
    "'''",
    "remaining_ms",
    "\"timings\":{}",
    "{{",
    "}}",
    "{%",
    "%}",
    "{{-",
    "-%}",
    "${",
    " | append: ",
    " | replace: 'a', ",
    " | split: ''",
    " | date: '%s'",
    " and ",
    " contains ",
    "{% if true %}",
    "{% endif %}",
    "{% for i in (1..9) %}",
    "{% endfor %}",
    "{% assign a = a | append: a %}",
    "{% raw %}",
    "{% endraw %}",
    "properties.a",
    "{{ ${name} }}",
    "{{ properties.a | json }}",
    "{{ ${slash} }}",
    "name",
    "webhook",
    "webhooks",
    "variants",
    "trigger",
    "type",
    "api",
    "scheduled",
    "event",
    "audience",
    "steps",
    "next",
    "properties.a",
    "event_properties.total",
    "recipient.plan",
    "response.status",
    "at_least",
    "exists",
    "inc",
    "add",
    "$remove",
    "external_id",
    "recipients",
    "campaign_id",
    "schedule",
    "0 9 * * 1",
    "29 2 29 2 *",
    "*/5",
    "Europe/Berlin",
    "1h30m",
    "1500ms",
    "22:00",
    "?limit=1&after=",
    "state=",
    "hostline-hop: 3",
    "idempotency-key: k",
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "DELIVERY",
    "CAMPAIGN",
];

/// Inputs that lead to something new are gone on from, at most so many.
const POOL_MAX: usize = 4_096;
/// No input grows beyond this: long ones are slow, and say little more.
const SIZE_MAX: usize = 4 << 10;

pub struct Mutator {
    dice: fastrand::Rng,
    kept: Vec<Vec<u8>>,
}

impl Mutator {
    pub fn new(seed: u64, kept: Vec<Vec<u8>>) -> Self {
        Self { dice: fastrand::Rng::with_seed(seed), kept }
    }

    fn any(&mut self) -> Vec<u8> {
        let index = self.dice.usize(..self.kept.len());
        self.kept[index].clone()
    }

    /// Goes on from an input, too.
    pub fn keep(&mut self, input: Vec<u8>) {
        if self.kept.len() < POOL_MAX {
            self.kept.push(input);
        }
    }

    pub fn make(&mut self) -> Vec<u8> {
        let mut input = self.any();
        if self.dice.bool() {
            let turns = self.dice.usize(1..=4);
            let is_json = (0..turns).all(|_| self.turn_json(&mut input));
            if is_json && self.dice.u32(..8) > 0 {
                return input;
            }
        }
        for _ in 0..self.dice.usize(1..=6) {
            self.mutate(&mut input);
            input.truncate(SIZE_MAX);
        }
        input
    }

    /// Changes JSON in the input; false where there is none, or it grew too long.
    fn turn_json(&mut self, input: &mut Vec<u8>) -> bool {
        let Some(mut found) = json::find(input, self.dice.bool()) else { return false };
        let other = json::find(&self.any(), self.dice.bool()).map(|found| found.value);
        json::change(&mut found.value, &other.unwrap_or(Value::Null), WORDS, &mut self.dice);
        let text = found.value.to_string();
        let fits = input.len() + text.len() - (found.to - found.from) <= SIZE_MAX;
        if fits {
            input.splice(found.from..found.to, text.bytes());
        }
        fits
    }

    fn mutate(&mut self, input: &mut Vec<u8>) {
        let at = self.dice.usize(0..=input.len());
        let rest = input.len() - at;
        match self.dice.u32(0..9) {
            0 if rest > 0 => input[at] ^= 1 << self.dice.u32(0..8),
            1 if rest > 0 => input[at] = self.dice.u8(..),
            2 => input.insert(at, self.dice.u8(..)),
            3 => drop(input.drain(at..at + self.dice.usize(0..=rest.min(16)))),
            4 => {
                let piece = input[at..at + self.dice.usize(0..=rest.min(64))].to_vec();
                input.splice(at..at, piece);
            }
            5 => {
                let other = self.any();
                let from = self.dice.usize(0..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            6 if rest > 0 && input[at].is_ascii_digit() => {
                let number = [&b"0"[..], b"9", b"-1", b"1e400", b"99999999999999999999"];
                input.splice(at..at + 1, number[self.dice.usize(..number.len())].iter().copied());
            }
            _ => {
                let word = WORDS[self.dice.usize(..WORDS.len())].bytes();
                let over = if self.dice.bool() { rest.min(word.len()) } else { 0 };
                input.splice(at..at + over, word);
            }
        }
    }
}
