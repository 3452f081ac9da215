//! Makes inputs of others: bits turned, bytes taken out and put in, halves of two joined, and words
//! that mean something to one of the targets.

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
];

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

    pub fn make(&mut self) -> Vec<u8> {
        let mut input = self.any();
        for _ in 0..self.dice.usize(1..=6) {
            self.mutate(&mut input);
            input.truncate(SIZE_MAX);
        }
        input
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
