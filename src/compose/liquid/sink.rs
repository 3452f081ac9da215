//! Where a rendering is written, and what keeps a value in its place: inside a JSON string a value
//! is escaped, outside one it is written as JSON. So no value can end the string that it stands in.

use super::budget::Budget;
use super::value::{Mark, Value};
use super::write::{self, Push};

/// How text is to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// As it is.
    Plain,
    /// All of it is the inside of one JSON string, static text too.
    JsonString,
    /// Static text is JSON, which is followed to know whether a value stands in a string.
    JsonText(Place),
}

/// Where in a JSON text the writing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Between strings.
    Outside,
    /// In a string.
    Inside,
    /// In a string, right behind a backslash.
    Escape,
}

/// Writes one part of a webhook.
pub(super) struct Sink<'o> {
    out: &'o mut String,
    mode: Mode,
    /// Bytes that may still be written.
    room: usize,
    limit: usize,
}

impl<'o> Sink<'o> {
    /// Writes behind what `out` holds, at most `room` bytes.
    pub fn new(out: &'o mut String, mode: Mode, room: usize) -> Self {
        Self { out, mode, room, limit: room }
    }

    /// Bytes that may still be written.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Text of the template's author.
    pub fn author(&mut self, text: &str) -> Result<(), String> {
        match self.mode {
            Mode::Plain => self.push(text),
            Mode::JsonString => write::escaped(text, self),
            Mode::JsonText(place) => {
                self.mode = Mode::JsonText(follow(place, text));
                self.push(text)
            }
        }
    }

    /// A value.
    pub fn value(&mut self, value: &Value<'_>, budget: &mut Budget) -> Result<(), String> {
        match self.mode {
            Mode::Plain => self.inside(value, budget, |text, out| out.push(text)),
            Mode::JsonString | Mode::JsonText(Place::Inside) => match value {
                Value::Text(text, Mark::Escaped) => self.push(text),
                _ => self.inside(value, budget, write::escaped),
            },
            Mode::JsonText(Place::Escape) => Err("a backslash stands right before the value; \
                 it would swallow the value's first character: write `\\\\` or leave it out"
                .into()),
            Mode::JsonText(Place::Outside) => match value {
                Value::Text(text, Mark::Json) => self.push(text),
                Value::Text(text, Mark::Escaped) => {
                    self.push("\"")?;
                    self.push(text)?;
                    self.push("\"")
                }
                _ => write::json(value, self),
            },
        }
    }

    /// A value as Liquid prints it, through `write`.
    fn inside(
        &mut self,
        value: &Value<'_>,
        budget: &mut Budget,
        write: fn(&str, &mut Self) -> Result<(), String>,
    ) -> Result<(), String> {
        match value {
            Value::Nil => Ok(()),
            Value::Text(text, _) => write(text, self),
            Value::Int(_) | Value::Float(_) | Value::Bool(_) => write::plain(value, self),
            other => write(&write::text(other, budget)?, self),
        }
    }
}

impl Push for Sink<'_> {
    fn push(&mut self, part: &str) -> Result<(), String> {
        match self.room.checked_sub(part.len()) {
            Some(room) => {
                self.room = room;
                self.out.push_str(part);
                Ok(())
            }
            None => Err(format!("the output is over its limit; {} bytes were left", self.limit)),
        }
    }
}

/// Where JSON stands behind `text`.
fn follow(mut place: Place, text: &str) -> Place {
    let bytes = text.as_bytes();
    let mut at = 0;
    if place == Place::Escape && !bytes.is_empty() {
        (place, at) = (Place::Inside, 1);
    }
    while let Some(found) = bytes[at..].iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        let byte = bytes[at + found];
        at += found + 1;
        place = match (place, byte) {
            (Place::Outside, b'"') => Place::Inside,
            (Place::Outside, _) => Place::Outside,
            (Place::Inside | Place::Escape, b'"') => Place::Outside,
            (Place::Inside | Place::Escape, _) if at == bytes.len() => return Place::Escape,
            (Place::Inside | Place::Escape, _) => {
                at += 1;
                Place::Inside
            }
        };
    }
    place
}
