//! Why a trigger may not come in. The words of HTTP are the front end's affair.

use std::fmt;
use std::time::Duration;

use crate::model::HostName;

/// A field at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) of the field, from the top of the trigger.
    pub pointer: String,
    /// What is wrong with it and what would be right.
    pub detail: String,
}

impl FieldError {
    /// A fault of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

impl From<crate::vault::Fault> for FieldError {
    fn from(fault: crate::vault::Fault) -> Self {
        Self { pointer: fault.pointer, detail: fault.detail }
    }
}

/// Why a trigger was refused. Nothing of it was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are not JSON.
    Malformed {
        /// What is wrong.
        detail: String,
        /// Line of the fault, from 1.
        line: usize,
        /// Column of the fault, from 1.
        column: usize,
    },
    /// A field is unknown, missing or wrong.
    Invalid(FieldError),
    /// Several fields are.
    Faults(Vec<FieldError>),
    /// What the request names is not there.
    NotFound {
        /// `template`, `campaign`, `canvas`, `recipient`, `schedule`.
        what: &'static str,
        /// How it was named.
        name: String,
    },
    /// The present state of what is named does not allow this.
    Conflict {
        /// A stable word for the kind of conflict.
        slug: &'static str,
        /// In words, and what would be right.
        detail: String,
    },
    /// A body is over the limit.
    TooLarge(FieldError),
    /// The idempotency key was used by another request.
    KeyReused,
    /// The first request of this idempotency key is still under way.
    KeyUnderWay,
    /// An operator drains the host: what is queued goes out, nothing comes in.
    Draining(HostName),
    /// As many deliveries wait for the host as may.
    HostFull {
        /// The host.
        host: HostName,
        /// The limit.
        limit: u64,
    },
    /// As many deliveries of the workspace wait as may.
    WorkspaceFull {
        /// The limit.
        limit: u64,
    },
    /// The workspace brought as many triggers in as it may.
    WorkspaceRate {
        /// Triggers a second.
        limit: u32,
        /// When the next may come.
        wait: Duration,
    },
    /// As many deliveries wait as may.
    StoreFull {
        /// The limit.
        limit: u64,
        /// Seconds after which there is room again, at the rate at which deliveries end now.
        after_s: u32,
    },
    /// A record that composition writes with the deliveries was changed meanwhile: this is its
    /// place among the writes. Whoever composed them has to look again.
    Stale(usize),
    /// Too many of our own webhooks led to this one.
    Loop {
        /// How many.
        hops: u8,
        /// How many may.
        max: u8,
    },
    /// More triggers come than can be taken now.
    Busy {
        /// What there is too little of.
        want: Want,
        /// Seconds after which to come again: different ones for callers refused together.
        after_s: u32,
    },
    /// The process is stopping.
    Stopping,
    /// The store cannot write now. The cause is for the log, not for the caller.
    Unavailable,
}

/// What there is too little of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// As many wait for the store as ever may (`server.max_waiting`).
    Room,
    /// More would wait for the store longer than they should (`server.target_wait`).
    Time,
    /// The process has as much memory as it may (`server.max_memory`).
    Memory,
}

impl Refusal {
    /// A fault of the field at `pointer`.
    pub fn invalid(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Refusal::Invalid(FieldError::new(pointer, detail))
    }

    /// The same fault, seen from above: `prefix` is put before its pointer.
    pub fn under(mut self, prefix: &str) -> Self {
        if let Refusal::Invalid(error) | Refusal::TooLarge(error) = &mut self {
            error.pointer.insert_str(0, prefix);
        }
        self
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Malformed { detail, line, column } => {
                write!(formatter, "not JSON: {detail} at line {line} column {column}")
            }
            Refusal::Invalid(error) | Refusal::TooLarge(error) => {
                write!(formatter, "{}: {}", error.pointer, error.detail)
            }
            Refusal::Faults(errors) => {
                let words =
                    errors.iter().map(|error| format!("{}: {}", error.pointer, error.detail));
                formatter.write_str(&words.collect::<Vec<_>>().join("; "))
            }
            Refusal::NotFound { what, name } => write!(formatter, "there is no {what} {name:?}"),
            Refusal::Conflict { detail, .. } => formatter.write_str(detail),
            Refusal::KeyReused => formatter.write_str("idempotency key used by another request"),
            Refusal::KeyUnderWay => formatter.write_str("idempotency key is under way"),
            Refusal::Draining(host) => write!(formatter, "{host} is being drained"),
            Refusal::HostFull { host, limit } => write!(formatter, "{host} has {limit} waiting"),
            Refusal::WorkspaceFull { limit } => {
                write!(formatter, "the workspace has {limit} waiting")
            }
            Refusal::WorkspaceRate { limit, .. } => {
                write!(formatter, "the workspace brings more than {limit} triggers a second")
            }
            Refusal::StoreFull { limit, .. } => write!(formatter, "{limit} deliveries wait"),
            Refusal::Stale(place) => write!(formatter, "record {place} was changed meanwhile"),
            Refusal::Loop { hops, max } => write!(formatter, "{hops} hops; at most {max}"),
            Refusal::Busy { want, after_s } => {
                write!(formatter, "too many triggers at once ({want:?}); again in {after_s} s")
            }
            Refusal::Stopping => formatter.write_str("stopping"),
            Refusal::Unavailable => formatter.write_str("store unavailable"),
        }
    }
}

impl std::error::Error for Refusal {}
