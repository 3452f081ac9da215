//! The audit log: who changed what, when, and from where. An entry is written in the commit of the
//! change that it tells of, where that is a record too. The newest comes first in the order of keys,
//! so that a page is a scan; an entry stands in the log of all and in that of its workspace.

use std::sync::atomic::{AtomicU32, Ordering};

use super::records::{AuditEntry, audit_write};
use super::{Access, AccessError, Caller};
use crate::model::Timestamp;
use crate::store::RecordWrite;

/// Milliseconds fit into 48 bits until the year 10889; keys count down from there.
const TIME_BITS: u32 = 48;
/// Bytes of a detail; what is longer is cut off.
const DETAIL_MAX: usize = 2000;

/// Entries of one millisecond, in their order.
static SERIAL: AtomicU32 = AtomicU32::new(0);

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
        let entry = AuditEntry {
            at: self.clock.wall(),
            who: caller.name().to_owned(),
            action: action.to_owned(),
            subject: subject.to_owned(),
            detail: cut(detail).to_owned(),
            address: caller.address.map(|address| address.to_canonical().to_string()),
            workspace: caller.workspace,
        };
        let place = place(entry.at);
        let own = format!("{}{place}", own_prefix(caller.workspace));
        vec![audit_write(format!("{ALL_PREFIX}{place}"), &entry), audit_write(own, &entry)]
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

    /// A page of the log: all of it for an admin, else that of the caller's workspace. `after` is
    /// `next` of the page before; one that is none begins where it would stand.
    pub async fn audit_log(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<AuditPage, AccessError> {
        let prefix =
            if caller.is_admin() { ALL_PREFIX.into() } else { own_prefix(caller.workspace) };
        let after = after.map(|place| format!("{prefix}{place}"));
        let mut rows = self.records.audit(&prefix, after, limit + 1).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let last = rows.last().and_then(|(key, _)| key.strip_prefix(&prefix));
        let next = last.filter(|_| more).map(str::to_owned);
        Ok(AuditPage { entries: rows.into_iter().map(|(_, entry)| entry).collect(), next })
    }
}

/// Keys of the log of all.
const ALL_PREFIX: &str = "all/";

/// Keys of a workspace's own log.
fn own_prefix(workspace: u32) -> String {
    format!("{workspace}/")
}

/// Where an entry stands: the later, the further in front. The dice keep two processes apart.
fn place(at: Timestamp) -> String {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    let left = ((1 << TIME_BITS) - 1u64).saturating_sub(millis);
    let serial = !SERIAL.fetch_add(1, Ordering::Relaxed);
    format!("{left:012x}{serial:08x}{:04x}", fastrand::u16(..))
}

fn cut(detail: &str) -> &str {
    &detail[..detail.floor_char_boundary(DETAIL_MAX)]
}
