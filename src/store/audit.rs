//! The audit log's records: what an entry says, and where it stands. It is written in the commit of
//! the change that it tells of, where that is a record too.
//!
//! The newest comes first in the order of keys, so that a page is a scan; an entry stands in the log
//! of all and in that of its workspace. All lie among the records of the default workspace.

use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{Expect, RecordKind, RecordWrite};
use crate::model::Timestamp;

/// Keys of the log of all begin so.
pub const AUDIT_OF_ALL: &str = "all/";
/// Milliseconds fit into 48 bits until the year 10889; keys count down from there.
const TIME_BITS: u32 = 48;
/// Bytes of a detail; what is longer is cut off.
const DETAIL_MAX: usize = 2000;

/// Entries of one millisecond, in their order.
static SERIAL: AtomicU32 = AtomicU32::new(0);

/// An entry of the audit log. There is never a secret in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// When.
    pub at: Timestamp,
    /// Id of the key that did it, `local` for somebody without, `cli` for the command line.
    pub who: String,
    /// What was done: a thing and what was done to it, such as `key.created`.
    pub action: String,
    /// To what: id of a key, name of a workspace, a host or a secret.
    pub subject: String,
    /// More about it, in words; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// Where the request came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// Number of the workspace that it was done in.
    pub workspace: u32,
}

impl AuditEntry {
    /// The records of the entry, for the acceptance of the change. An overlong detail is cut.
    pub fn writes(mut self) -> [RecordWrite; 2] {
        self.detail.truncate(self.detail.floor_char_boundary(DETAIL_MAX));
        let place = place(self.at);
        let value = Bytes::from(serde_json::to_vec(&self).expect("an entry is plain data"));
        let own = audit_of(self.workspace);
        [AUDIT_OF_ALL, &own].map(|prefix| RecordWrite {
            kind: RecordKind::Audit,
            key: format!("{prefix}{place}"),
            expect: Expect::Any,
            due: None,
            value: Some(value.clone()),
        })
    }
}

/// Keys of a workspace's own log begin so.
pub fn audit_of(workspace: u32) -> String {
    format!("{workspace}/")
}

/// Where the entries up to a time begin: whatever is later stands before it.
pub fn audit_up_to(at: Timestamp) -> String {
    let millis = u64::try_from(at.as_millis()).unwrap_or(0);
    let left = ((1 << TIME_BITS) - 1u64).saturating_sub(millis);
    format!("{left:012x}")
}

/// Where an entry stands: the later, the further in front. The dice keep two processes apart.
fn place(at: Timestamp) -> String {
    let serial = !SERIAL.fetch_add(1, Ordering::Relaxed);
    format!("{}{serial:08x}{:04x}", audit_up_to(at), fastrand::u16(..))
}
