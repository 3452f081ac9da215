//! What can go wrong with stored secrets. None of its texts repeats one.

use std::fmt;
use std::path::PathBuf;

use super::seal::SealError;
use crate::store::StoreError;

/// A field at fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) of the field.
    pub pointer: String,
    /// What is wrong with it and what would be right.
    pub detail: String,
}

impl Fault {
    /// A fault of the field at `pointer`.
    pub fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }
}

/// Why a secret was not changed. Nothing was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultError {
    /// A field is missing or wrong.
    Invalid(Fault),
    /// There is no secret of this name.
    NotFound(String),
    /// It stands in `[secrets]` of the settings, where alone it can be changed.
    Configured(String),
    /// There is a secret of this name already, stored or in the settings.
    Exists(String),
    /// The present state does not allow it.
    Conflict {
        /// A stable word for the kind of conflict.
        slug: &'static str,
        /// In words, and what would be right.
        detail: String,
    },
    /// The workspace has as many as may be.
    TooMany(usize),
    /// There is no key to seal with, and none can be made; what to do about it.
    NoKey(String),
    /// Somebody else changed the secret meanwhile; ask again.
    Stale,
    /// The system gives no random bytes.
    NoRandomness,
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for VaultError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VaultError::Invalid(fault) => write!(formatter, "{}: {}", fault.pointer, fault.detail),
            VaultError::NotFound(name) => write!(formatter, "there is no secret `{name}`"),
            VaultError::Configured(name) => {
                write!(formatter, "`{name}` stands in [secrets] of the settings; change it there")
            }
            VaultError::Exists(name) => write!(formatter, "there is a secret `{name}` already"),
            VaultError::Conflict { detail, .. } | VaultError::NoKey(detail) => {
                formatter.write_str(detail)
            }
            VaultError::TooMany(most) => {
                write!(formatter, "the workspace has {most} secrets, and that is the most")
            }
            VaultError::Stale => formatter.write_str("the secret was changed meanwhile"),
            VaultError::NoRandomness => formatter.write_str("the system gives no random bytes"),
            VaultError::Store(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for VaultError {}

impl From<Fault> for VaultError {
    fn from(fault: Fault) -> Self {
        VaultError::Invalid(fault)
    }
}

impl From<StoreError> for VaultError {
    fn from(error: StoreError) -> Self {
        VaultError::Store(error)
    }
}

impl From<SealError> for VaultError {
    fn from(error: SealError) -> Self {
        match error {
            SealError::NoRandomness => VaultError::NoRandomness,
            other => VaultError::NoKey(other.to_string()),
        }
    }
}

/// Why the vault could not be opened: the process must not start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// Secrets are stored under a key that is not here.
    KeyMissing {
        /// Its id.
        id: String,
        /// How many secrets it sealed.
        secrets: usize,
    },
    /// A file that should hold a key cannot be used.
    KeyFile {
        /// Which.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The store failed.
    Store(StoreError),
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::KeyMissing { id, secrets } => write!(
                formatter,
                "{secrets} stored secrets are sealed with the key {id}, which is not here; give \
                 that key as vault.key (HOSTLINE__VAULT__KEY, HOSTLINE__VAULT__KEY_FILE), or add \
                 it to vault.old_keys where another seals now"
            ),
            OpenError::KeyFile { path, why } => {
                write!(formatter, "the key file {}: {why}", path.display())
            }
            OpenError::Store(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for OpenError {}

impl From<StoreError> for OpenError {
    fn from(error: StoreError) -> Self {
        OpenError::Store(error)
    }
}
