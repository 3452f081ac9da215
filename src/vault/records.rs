//! The vault's records in the store: the only file of it that knows how they are kept. They lie in
//! the default workspace, under `{workspace}/{name}`, and each change takes its entry of the audit
//! log along in the same commit.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::By;
use super::content::Kind;
use crate::model::{DEFAULT_WORKSPACE, Timestamp};
use crate::store::{
    Acceptance, Accepted, AuditEntry, Expect, Record, RecordKind, RecordWrite, Store, StoreError,
    Writes,
};

/// Records that are read at once.
const PAGE: usize = 500;

/// What stands in a record: nothing but the envelope, and what it is bound to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Sealed {
    pub(super) workspace: u32,
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) sealed: String,
}

/// What an envelope is bound to.
pub(super) fn bound(workspace: u32, name: &str, kind: Kind) -> String {
    format!("{workspace}/{name}/{}", kind.as_str())
}

/// A sealed secret as it was read.
pub(super) struct Found {
    /// The key that it lies under.
    pub(super) key: String,
    /// What stands there; `None` when it cannot be read.
    pub(super) sealed: Option<Sealed>,
    /// The record's version.
    pub(super) version: u64,
}

/// A change of one secret.
pub(super) struct Change<'a> {
    pub(super) name: &'a str,
    pub(super) expect: Expect,
    /// `None` deletes.
    pub(super) sealed: Option<&'a Sealed>,
    /// A word of the audit log: `secret.created`.
    pub(super) action: &'a str,
    /// What was changed, in words; repeats no secret.
    pub(super) detail: &'a str,
}

/// What came of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is durable.
    Done,
    /// Somebody else changed the record meanwhile; nothing was written.
    Stale,
}

/// The records, in a store.
pub(super) struct Records(pub(super) Arc<dyn Store>);

impl Records {
    /// All of them.
    pub(super) async fn all(&self) -> Result<Vec<Found>, StoreError> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let page = self
                .0
                .scan(DEFAULT_WORKSPACE, RecordKind::Secret, (String::new(), after), PAGE)
                .await?;
            let Some(last) = page.last() else { return Ok(found) };
            after = Some(last.key.clone());
            found.extend(page.into_iter().map(read));
        }
    }

    /// Version of a secret's record; `None` when there is none.
    pub(super) async fn version(
        &self,
        workspace: u32,
        name: &str,
    ) -> Result<Option<u64>, StoreError> {
        Ok(self.record(key(workspace, name)).await?.map(|record| record.version))
    }

    async fn record(&self, key: String) -> Result<Option<Record>, StoreError> {
        Ok(self.0.records(DEFAULT_WORKSPACE, RecordKind::Secret, vec![key]).await?.pop().flatten())
    }

    /// Makes a change durable, with its entry of the audit log.
    pub(super) async fn write(
        &self,
        change: Change<'_>,
        by: &By<'_>,
        at: Timestamp,
    ) -> Result<Written, StoreError> {
        let value = change.sealed.map(json);
        let audit = AuditEntry {
            at,
            workspace: by.workspace,
            who: by.who.to_owned(),
            action: change.action.to_owned(),
            subject: change.name.to_owned(),
            detail: change.detail.to_owned(),
            address: by.address.map(str::to_owned),
        };
        let key = key(by.workspace, change.name);
        let secret = RecordWrite {
            kind: RecordKind::Secret,
            key: key.clone(),
            expect: change.expect,
            due: None,
            value: value.clone(),
        };
        let mut records = vec![secret];
        records.extend(audit.writes());
        let written = self.commit(records.clone(), at).await;
        let Err(StoreError::Unknown(_)) = written else { return written };
        // The answer got lost: the record says whether the commit did.
        let now = self.record(key).await?.map(|record| record.value);
        match now == value {
            true => Ok(Written::Done),
            false => self.commit(records, at).await,
        }
    }

    /// Writes an envelope anew, unless the secret was changed meanwhile.
    pub(super) async fn reseal(
        &self,
        sealed: &Sealed,
        version: u64,
        at: Timestamp,
    ) -> Result<Written, StoreError> {
        let write = RecordWrite {
            kind: RecordKind::Secret,
            key: key(sealed.workspace, &sealed.name),
            expect: Expect::Version(version),
            due: None,
            value: Some(json(sealed)),
        };
        self.commit(vec![write], at).await
    }

    async fn commit(
        &self,
        records: Vec<RecordWrite>,
        at: Timestamp,
    ) -> Result<Written, StoreError> {
        let writes = Writes { records, ..Writes::default() };
        let acceptance = Acceptance { at, writes, ..Acceptance::default() };
        match self.0.accept(acceptance).await? {
            Accepted::Stale(_) => Ok(Written::Stale),
            Accepted::New | Accepted::Replayed(_) | Accepted::KeyReused => Ok(Written::Done),
        }
    }
}

fn read(record: Record) -> Found {
    let sealed = serde_json::from_slice::<Sealed>(&record.value).ok();
    // What was put under another secret's key is not that secret.
    let sealed = sealed.filter(|sealed| key(sealed.workspace, &sealed.name) == record.key);
    Found { key: record.key, sealed, version: record.version }
}

fn key(workspace: u32, name: &str) -> String {
    format!("{workspace}/{name}")
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("plain data").into()
}
