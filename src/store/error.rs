//! Why the store did not do, or could not show, what it was asked.

use std::fmt;

/// Why the store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// Nothing was written; the same call may work later (disk full, engine being reopened).
    Unavailable(String),
    /// The outcome of the commit was lost: make the same call again.
    Unknown(String),
    /// The pending deliveries have reached `store.max_pending`; nothing was written.
    Full {
        /// The limit.
        max_pending: u64,
    },
    /// The tenure that the call was made in is over (see [`Tenure`](super::Tenure)): nothing was
    /// written, and making it again is no use.
    Fenced,
    /// The store is closed or was given up after an error that must not be retried: the process
    /// has to end and start again.
    Closed(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Unavailable(why) => write!(formatter, "store unavailable: {why}"),
            StoreError::Unknown(why) => write!(formatter, "commit outcome unknown: {why}"),
            StoreError::Full { max_pending } => {
                write!(formatter, "store full: {max_pending} deliveries pending")
            }
            StoreError::Fenced => formatter.write_str("another node owns the host by now"),
            StoreError::Closed(why) => write!(formatter, "store closed: {why}"),
        }
    }
}

impl std::error::Error for StoreError {}

/// A list could not be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QueryError {
    /// The cursor was not one that this list gave out.
    BadCursor,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        QueryError::Store(error)
    }
}
