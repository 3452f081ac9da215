//! Server-sent events (the `text/event-stream` of the HTML standard), as far as `/v1/live` needs.

use std::collections::VecDeque;
use std::time::Duration;

use futures::StreamExt;

use super::dial::Answer;

/// The server says something, if only a comment, every 15 s: after thrice that it is gone.
const SILENCE_MAX: Duration = Duration::from_secs(45);
/// Bytes of one event; the largest is a page of fifty hosts.
const EVENT_BYTES_MAX: usize = 4 << 20;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Event {
    /// What it is; `message` where the stream does not say.
    pub(in crate::cli) name: String,
    /// Its data; lines are joined.
    pub(in crate::cli) data: String,
}

/// An open stream.
pub(in crate::cli) struct EventStream {
    answer: Answer,
    parser: Parser,
    ready: VecDeque<Event>,
}

impl EventStream {
    pub(super) fn new(answer: Answer) -> Self {
        Self { answer, parser: Parser::default(), ready: VecDeque::new() }
    }

    /// The next event; `None` once the server has ended the stream. The error says why it broke.
    pub(in crate::cli) async fn next(&mut self) -> Result<Option<Event>, String> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            let piece = actix_rt::time::timeout(SILENCE_MAX, self.answer.next()).await;
            match piece {
                Err(_) => return Err(format!("nothing came for {} s", SILENCE_MAX.as_secs())),
                Ok(None) => return Ok(None),
                Ok(Some(Err(error))) => return Err(error.to_string()),
                Ok(Some(Ok(bytes))) => self.ready.extend(self.parser.take(&bytes)?),
            }
        }
    }

    /// How long the server wants to be left alone before the stream is opened anew.
    pub(in crate::cli) fn retry(&self) -> Option<Duration> {
        self.parser.retry
    }
}

/// Makes events of bytes, wherever these were cut.
#[derive(Default)]
struct Parser {
    line: Vec<u8>,
    name: String,
    data: String,
    retry: Option<Duration>,
    after_return: bool,
}

impl Parser {
    fn take(&mut self, bytes: &[u8]) -> Result<Vec<Event>, String> {
        let mut events = Vec::new();
        for byte in bytes {
            let second_half = std::mem::replace(&mut self.after_return, *byte == b'\r');
            match byte {
                b'\n' if second_half => {}
                b'\n' | b'\r' => events.extend(self.end_line()),
                _ => self.line.push(*byte),
            }
            if self.line.len() + self.data.len() > EVENT_BYTES_MAX {
                return Err(format!("an event has more than {EVENT_BYTES_MAX} bytes"));
            }
        }
        Ok(events)
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            let name = if name.is_empty() { "message".into() } else { name };
            return (!data.is_empty()).then(|| Event { name, data: data.trim_end().into() });
        }
        let (field, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => self.name = value.into(),
            "data" => {
                self.data.push_str(value);
                self.data.push('\n');
            }
            "retry" => self.retry = value.parse().ok().map(Duration::from_millis).or(self.retry),
            // A comment, an id, or what we do not know.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "retry: 2000\n: hello\n\nevent: stats\ndata: {\"a\":1}\n\n\
                          data: one\r\ndata:two\r\n\r\nevent: nothing\n\nevent: x\rdata: y\r\r";

    fn expected() -> Vec<Event> {
        let event = |name: &str, data: &str| Event { name: name.into(), data: data.into() };
        vec![event("stats", "{\"a\":1}"), event("message", "one\ntwo"), event("x", "y")]
    }

    #[test]
    fn events_are_the_same_wherever_the_bytes_are_cut() {
        for size in [1, 2, 3, 7, STREAM.len()] {
            let mut parser = Parser::default();
            let pieces = STREAM.as_bytes().chunks(size);
            let events: Result<Vec<_>, _> = pieces.map(|piece| parser.take(piece)).collect();
            assert_eq!(events.expect("events").concat(), expected(), "pieces of {size}");
            assert_eq!(parser.retry, Some(Duration::from_secs(2)));
        }
    }

    #[test]
    fn an_event_has_a_bound() {
        let mut parser = Parser::default();
        let long = vec![b'x'; EVENT_BYTES_MAX + 1];
        assert!(parser.take(&long).is_err());
    }
}
