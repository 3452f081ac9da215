//! One HTTP request made for a delivery, and what came of it.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::time::Timestamp;
use super::webhook::Header;

/// The status that is recorded when no answer came: connect, TLS or DNS failure, reset, malformed
/// answer, timeout.
pub const NO_ANSWER: u16 = 599;

/// The fact of an attempt, before anything is decided about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver answered with a whole, well-formed answer.
    Answered(Answer),
    /// No usable answer; recorded as 599 with the reason.
    NoAnswer {
        /// In words, fit for a person: `connection refused`, `timed out after 90s …`.
        reason: String,
        /// Whether the attempt's time ran out (a black hole shows only this).
        timed_out: bool,
    },
    /// The request could not be made ready: a secret that it names is gone, or a token is not to be
    /// had. Nothing went out; recorded as 599 with the reason. Says nothing of the host.
    Unprepared {
        /// In words; repeats no secret.
        reason: String,
    },
    /// The address guard refused the destination; the reason names the setting that would allow it.
    Blocked {
        /// In words.
        reason: String,
    },
}

/// A receiver's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// 200 to 599; never 1xx.
    pub status: u16,
    /// Header names in lower case, in order; bounded.
    pub headers: Vec<Header>,
    /// The first 4 KiB of the body.
    pub body: Bytes,
    /// Whether the body went on after what is kept.
    pub body_truncated: bool,
}

/// How long the parts of an attempt took, in microseconds. On a reused connection the first three
/// are absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Timings {
    /// Name look-up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns_us: Option<u64>,
    /// TCP connect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect_us: Option<u64>,
    /// TLS handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_us: Option<u64>,
    /// From the start of the attempt to the first byte of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte_us: Option<u64>,
    /// The whole attempt.
    pub total_us: u64,
}

/// An attempt as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first; goes on after a redrive.
    pub number: u32,
    /// When it started.
    pub started: Timestamp,
    /// What came of it.
    pub outcome: Outcome,
    /// How long its parts took.
    pub timings: Timings,
}

impl Attempt {
    /// The status that is recorded: the answer's, 599 without one, `None` when the address guard
    /// refused to connect.
    pub fn status(&self) -> Option<u16> {
        self.outcome.status()
    }
}

impl Outcome {
    /// The status that is recorded: the answer's, 599 without one, `None` when blocked.
    pub fn status(&self) -> Option<u16> {
        match self {
            Outcome::Answered(answer) => Some(answer.status),
            Outcome::NoAnswer { .. } | Outcome::Unprepared { .. } => Some(NO_ANSWER),
            Outcome::Blocked { .. } => None,
        }
    }

    /// Why there was no answer, in words; `None` where there was one, whose status says it.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Outcome::Answered(_) => None,
            Outcome::NoAnswer { reason, .. }
            | Outcome::Blocked { reason }
            | Outcome::Unprepared { reason } => Some(reason),
        }
    }
}
