//! Why a change of keys or workspaces was not made, or a list of them not shown.

use std::fmt;

use crate::admission::FieldError;
use crate::store::StoreError;

/// What went wrong; every variant says what its reader can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessError {
    /// Fields of the request are not valid.
    Invalid(Vec<FieldError>),
    /// There is no such thing, or not for this caller.
    NotFound {
        /// `key` or `workspace`.
        what: &'static str,
        /// How it was called.
        name: String,
    },
    /// The caller may not do this; says why.
    Forbidden(String),
    /// The present state does not allow it.
    Conflict {
        /// Stable name of the case.
        slug: &'static str,
        /// In words.
        detail: String,
    },
    /// The system gave no random bytes.
    NoRandomness,
    /// The store did not do it.
    Store(StoreError),
}

impl AccessError {
    /// One field at fault.
    pub(super) fn field(pointer: &str, detail: impl Into<String>) -> Self {
        Self::Invalid(vec![FieldError::new(pointer, detail)])
    }

    /// The present state does not allow it.
    pub(super) fn conflict(slug: &'static str, detail: impl Into<String>) -> Self {
        Self::Conflict { slug, detail: detail.into() }
    }

    /// There is no such key, as far as this caller may know.
    pub(super) fn no_key(id: &str) -> Self {
        Self::NotFound { what: "key", name: id.to_owned() }
    }
}

impl fmt::Display for AccessError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AccessError::Invalid(errors) => {
                for (place, error) in errors.iter().enumerate() {
                    let between = if place > 0 { "; " } else { "" };
                    let name = error.pointer.trim_start_matches('/');
                    write!(formatter, "{between}{name} {}", error.detail)?;
                }
                Ok(())
            }
            AccessError::NotFound { what, name } => {
                write!(formatter, "there is no {what} {name:?}")
            }
            AccessError::Forbidden(why) => formatter.write_str(why),
            AccessError::Conflict { detail, .. } => formatter.write_str(detail),
            AccessError::NoRandomness => formatter.write_str("the system gives no random bytes"),
            AccessError::Store(error) => write!(formatter, "{error}"),
        }
    }
}

impl std::error::Error for AccessError {}

impl From<StoreError> for AccessError {
    fn from(error: StoreError) -> Self {
        AccessError::Store(error)
    }
}

impl From<getrandom::Error> for AccessError {
    fn from(error: getrandom::Error) -> Self {
        log::error!("no random bytes: {error}");
        AccessError::NoRandomness
    }
}
