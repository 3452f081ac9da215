//! The audit log: who changed what, when, and from where. An entry is written in the commit of the
//! change that it tells of, where that is a record too. The newest comes first in the order of keys,
//! so that a page is a scan; an entry stands in the log of all and in that of its workspace.

use std::time::Duration;

use super::{Access, AccessError, Caller};
use crate::model::Timestamp;
use crate::store::{AUDIT_OF_ALL, AuditEntry, RecordWrite, audit_of, audit_up_to};

/// An entry follows its change by less.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(10);
/// Entries that are looked through for one of them.
const LOOK_MAX: usize = 1_000;

/// A page of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// Newest first.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<String>,
}

impl Access {
    /// The records of an entry, to be written in the same acceptance as the change. `action` is
    /// a thing and what was done to it (`key.created`); nothing of it may be a secret.
    pub fn audit_writes(
        &self,
        caller: &Caller,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> Vec<RecordWrite> {
        AuditEntry {
            at: self.clock.wall(),
            who: caller.name().to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: detail.to_owned(),
            address: caller.address.map(|address| address.to_canonical().to_string()),
            workspace: caller.workspace,
        }
        .writes()
        .into()
    }

    /// Writes an entry in a commit of its own, for changes that are no records.
    pub async fn audit(
        &self,
        caller: &Caller,
        action: &str,
        subject: &str,
        detail: &str,
    ) -> Result<(), AccessError> {
        let writes = self.audit_writes(caller, action, subject, detail);
        self.records.commit(self.clock.wall(), writes).await
    }

    /// Who did `action` to `subject` at a time; `None` where the log does not tell any more.
    pub async fn who_did(
        &self,
        action: &str,
        subject: &str,
        at: Timestamp,
    ) -> Result<Option<String>, AccessError> {
        let latest = format!("{AUDIT_OF_ALL}{}", audit_up_to(at.plus(FOLLOWS_WITHIN)));
        let rows = self.records.audit(AUDIT_OF_ALL, Some(latest), LOOK_MAX).await?;
        let since = rows.into_iter().map(|(_, entry)| entry).take_while(|entry| entry.at >= at);
        let of_it = since.filter(|entry| entry.action == action && entry.subject == subject);
        Ok(of_it.last().map(|entry| entry.who))
    }

    /// A page of the log: all of it for an admin, else that of the caller's workspace. `after` is
    /// `next` of the page before; one that is none begins where it would stand.
    pub async fn audit_log(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<AuditPage, AccessError> {
        let prefix =
            if caller.is_admin() { AUDIT_OF_ALL.into() } else { audit_of(caller.workspace) };
        let after = after.map(|place| format!("{prefix}{place}"));
        let mut rows = self.records.audit(&prefix, after, limit + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().and_then(|(key, _)| key.strip_prefix(&prefix));
        let next = last.filter(|_| more).map(str::to_owned);
        Ok(AuditPage { entries: rows.into_iter().map(|(_, entry)| entry).collect(), next })
    }
}
