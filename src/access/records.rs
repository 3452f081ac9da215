//! What is kept of keys, workspaces and the audit log, and the only place that reads and writes it.
//! Everything lies in the default workspace's records, with the number of its workspace inside, since
//! a key is looked up before anybody knows whose it is.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::AccessError;
use super::key::{KeyId, SecretHash};
use super::scope::Scopes;
use crate::model::{DEFAULT_WORKSPACE, Timestamp, WorkspacePolicy};
use crate::store::{
    Acceptance, Accepted, AuditEntry, Expect, Record, RecordKind, RecordWrite, Store, StoreError,
    Writes,
};

/// Records read at once.
const PAGE: usize = 1000;
/// Keys of key records begin so; those of their last uses do not, so that a use never meets a change.
const KEY_PREFIX: &str = "k/";
const USE_PREFIX: &str = "u/";

/// A key as it is kept: everything but the key itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeyRecord {
    pub(super) id: KeyId,
    pub(super) name: String,
    pub(super) workspace: u32,
    pub(super) scopes: Scopes,
    pub(super) hash: SecretHash,
    /// Secrets from before the last rotations, while they hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) former: Vec<Former>,
    pub(super) created: Timestamp,
    /// What the audit log calls who made it.
    pub(super) created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) rotated: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) revoked: Option<Timestamp>,
    /// Requests a second; `None` takes what the settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) requests_per_second: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) burst: Option<u32>,
}

/// A secret that was replaced and holds for a while.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Former {
    pub(super) hash: SecretHash,
    pub(super) until: Timestamp,
}

impl KeyRecord {
    /// Whether it may be used at `now`.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }
}

/// When a key was last used.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct UseRecord {
    at: Timestamp,
}

/// A workspace as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct WorkspaceRecord {
    pub(super) number: u32,
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) policy: WorkspacePolicy,
}

/// The record of a key.
pub(super) fn key_write(record: &KeyRecord, expect: Expect) -> RecordWrite {
    let key = format!("{KEY_PREFIX}{}", record.id);
    write(RecordKind::ApiKey, key, expect, record)
}

/// The record of a key's last use.
pub(super) fn use_write(id: KeyId, at: Timestamp) -> RecordWrite {
    write(RecordKind::ApiKey, format!("{USE_PREFIX}{id}"), Expect::Any, &UseRecord { at })
}

/// The record of a workspace.
pub(super) fn workspace_write(record: &WorkspaceRecord, expect: Expect) -> RecordWrite {
    write(RecordKind::Workspace, format!("{:010}", record.number), expect, record)
}

fn write(kind: RecordKind, key: String, expect: Expect, value: &impl Serialize) -> RecordWrite {
    let value = serde_json::to_vec(value).expect("a record is plain data");
    RecordWrite { kind, key, expect, due: None, value: Some(Bytes::from(value)) }
}

/// Reads and writes the records.
pub(super) struct Records(Arc<dyn Store>);

impl Records {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// All keys, each with its record's version.
    pub(super) async fn keys(&self) -> Result<Vec<(KeyRecord, u64)>, StoreError> {
        self.all(RecordKind::ApiKey, KEY_PREFIX).await
    }

    /// When keys were last used.
    pub(super) async fn uses(&self) -> Result<Vec<(KeyId, Timestamp)>, StoreError> {
        let mut uses = Vec::new();
        for record in self.scan(RecordKind::ApiKey, USE_PREFIX).await? {
            let id = record.key.strip_prefix(USE_PREFIX).and_then(KeyId::parse);
            let kept = read::<UseRecord>(RecordKind::ApiKey, &record);
            uses.extend(id.zip(kept.map(|kept| kept.at)));
        }
        Ok(uses)
    }

    /// All workspaces, each with its record's version.
    pub(super) async fn workspaces(&self) -> Result<Vec<(WorkspaceRecord, u64)>, StoreError> {
        self.all(RecordKind::Workspace, "").await
    }

    /// Entries of the audit log whose keys begin with `prefix`, in their order, with their keys.
    pub(super) async fn audit(
        &self,
        prefix: &str,
        after: Option<String>,
        limit: usize,
    ) -> Result<Vec<(String, AuditEntry)>, StoreError> {
        let records = self
            .0
            .scan(DEFAULT_WORKSPACE, RecordKind::Audit, (prefix.to_owned(), after), limit)
            .await?;
        let entries = records.into_iter();
        Ok(entries
            .filter_map(|record| Some((record.key.clone(), read(RecordKind::Audit, &record)?)))
            .collect())
    }

    /// Writes all of it, or nothing.
    pub(super) async fn commit(
        &self,
        at: Timestamp,
        records: Vec<RecordWrite>,
    ) -> Result<(), AccessError> {
        let writes = Writes { records, ..Writes::default() };
        match self.0.accept(Acceptance { at, writes, ..Acceptance::default() }).await? {
            Accepted::Stale(_) | Accepted::KeyReused => {
                let detail = "it was changed by somebody else meanwhile; nothing was kept, and the \
                              same may be asked again";
                Err(AccessError::conflict("changed-meanwhile", detail))
            }
            Accepted::New | Accepted::Replayed(_) => Ok(()),
        }
    }

    async fn all<T: DeserializeOwned>(
        &self,
        kind: RecordKind,
        prefix: &str,
    ) -> Result<Vec<(T, u64)>, StoreError> {
        let records = self.scan(kind, prefix).await?;
        let values = records.iter().map(|record| Some((read(kind, record)?, record.version)));
        Ok(values.flatten().collect())
    }

    async fn scan(&self, kind: RecordKind, prefix: &str) -> Result<Vec<Record>, StoreError> {
        let mut all: Vec<Record> = Vec::new();
        loop {
            let after = all.last().map(|record| record.key.clone());
            let page =
                self.0.scan(DEFAULT_WORKSPACE, kind, (prefix.to_owned(), after), PAGE).await?;
            let is_last = page.len() < PAGE;
            all.extend(page);
            if is_last {
                return Ok(all);
            }
        }
    }
}

/// A record's value. One that cannot be read is named in the log and holds up no other; a key that
/// cannot be read lets nobody in.
fn read<T: DeserializeOwned>(kind: RecordKind, record: &Record) -> Option<T> {
    match serde_json::from_slice(&record.value) {
        Ok(value) => Some(value),
        Err(error) => {
            log::error!(kind:? = kind, key:% = record.key; "a record cannot be read: {error}");
            None
        }
    }
}
