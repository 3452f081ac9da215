//! Why a template was refused or a rendering given up.

use std::fmt;

/// Characters of a text of the template's author or of a value that an error shows.
const SHOWN: usize = 200;

/// A fault at a byte of the source, before line and column are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Bytes from the start of the source.
    pub at: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Fault {
    /// A fault at byte `at`.
    pub fn new(at: usize, message: impl Into<String>) -> Self {
        Self { at, message: message.into() }
    }
}

/// Why a rendering stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// `abort_message`.
    Abort(String),
    /// A fault.
    Fault(Fault),
}

impl From<Fault> for Stop {
    fn from(fault: Fault) -> Self {
        Stop::Fault(fault)
    }
}

/// A template that was refused, with the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1, in characters.
    pub column: usize,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ParseError {
    pub(super) fn new(source: &str, fault: Fault) -> Self {
        let (line, column) = place(source, fault.at);
        Self { line, column, message: fault.message }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "line {} column {}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for ParseError {}

/// Why nothing was rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderError {
    /// The template said so with `{% abort_message("…") %}`; the reason, at most 500 characters.
    Aborted(String),
    /// It cannot be rendered with these values.
    Failed {
        /// Line, from 1.
        line: usize,
        /// Column, from 1, in characters.
        column: usize,
        /// What is wrong and what would be right.
        message: String,
    },
}

impl RenderError {
    pub(super) fn new(source: &str, stop: Stop) -> Self {
        match stop {
            Stop::Abort(reason) => RenderError::Aborted(reason),
            Stop::Fault(fault) => {
                let (line, column) = place(source, fault.at);
                RenderError::Failed { line, column, message: fault.message }
            }
        }
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RenderError::Aborted(reason) => write!(formatter, "aborted: {reason}"),
            RenderError::Failed { line, column, message } => {
                write!(formatter, "line {line} column {column}: {message}")
            }
        }
    }
}

impl std::error::Error for RenderError {}

/// Line and column of a byte, from 1, in characters.
fn place(source: &str, at: usize) -> (usize, usize) {
    let mut end = at.min(source.len());
    while !source.is_char_boundary(end) {
        end -= 1;
    }
    let before = &source[..end];
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (line, before[start..].chars().count() + 1)
}

/// A text cut to what an error may show.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
