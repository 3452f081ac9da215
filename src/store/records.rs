//! What composition keeps: records with a version each, and counts by hour.
//!
//! One small key-value part serves templates, campaigns, canvases, recipients, journeys and
//! schedules alike, so that an engine has one table for all of them. They are written only as part
//! of an [`Acceptance`](super::Acceptance): a step that sends and the record that says so are one
//! commit, and a crash leaves both or neither.

use bytes::Bytes;

use super::{Activity, StoreFuture};
use crate::model::Timestamp;

/// What a record is about. The numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// A template's head: name, status, current version.
    Template = 1,
    /// One version of a template.
    TemplateVersion = 2,
    /// A campaign with its document and status.
    Campaign = 3,
    /// A canvas's head.
    Canvas = 4,
    /// One version of a canvas, which the journeys begun with it keep to.
    CanvasVersion = 5,
    /// A recipient's profile.
    Recipient = 6,
    /// What one campaign or canvas has sent to one recipient.
    Contact = 7,
    /// A recipient's place in a canvas; due when it moves on.
    Journey = 8,
    /// A journey that waits for an event, by event and recipient.
    Awaiting = 9,
    /// A send that is due later, or again and again.
    Schedule = 10,
    /// How far a campaign has come: its sends, its next free slot.
    Progress = 11,
    /// A workspace with its policy.
    Workspace = 12,
    /// An API key; the secret's hash.
    ApiKey = 13,
    /// An entry of the audit log.
    Audit = 14,
    /// A stored secret, sealed.
    Secret = 15,
    /// What is remembered of alerts: which were raised, which hosts are ill.
    Alert = 16,
}

/// A record as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Unique within its workspace and kind.
    pub key: String,
    /// 1 when it was first written, one more with each write.
    pub version: u64,
    /// When somebody has to look at it; `None` when nobody has.
    pub due: Option<Timestamp>,
    /// JSON text.
    pub value: Bytes,
}

/// What has to be so for a record to be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing.
    Any,
    /// There is none.
    Absent,
    /// It has this version.
    Version(u64),
}

/// One record to be written or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RecordWrite {
    /// What it is about.
    pub kind: RecordKind,
    /// Unique within its workspace and kind.
    pub key: String,
    /// What has to be so, else nothing of the whole acceptance is written.
    pub expect: Expect,
    /// See [`Record::due`].
    pub due: Option<Timestamp>,
    /// The new value; `None` deletes.
    pub value: Option<Bytes>,
}

/// What is counted: `subject` is the id of a campaign or canvas, `part` says which variant or step
/// and which template version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountKey {
    /// Id of a campaign or canvas.
    pub subject: String,
    /// A variant or step, and a template's version; may be empty.
    pub part: String,
    /// A word of the reports: `sent`, `aborted`, `delivered`, `failed 410`.
    pub what: String,
}

/// Something that happened in an hour, so many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// What.
    pub key: CountKey,
    /// Start of the hour.
    pub hour: Timestamp,
    /// How often.
    pub number: i64,
}

/// What is written beside the deliveries of an acceptance, all or nothing.
#[derive(Clone, Debug, Default)]
pub struct Writes {
    /// Records; when one of them is not as expected nothing at all is written.
    pub records: Vec<RecordWrite>,
    /// Added to the counts of the hour of acceptance.
    pub counts: Vec<(CountKey, i64)>,
    /// Added to the activity log.
    pub activity: Vec<Activity>,
}

impl Writes {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty() && self.counts.is_empty() && self.activity.is_empty()
    }
}

/// Reading what composition keeps. The records of one workspace are not seen from another.
pub trait RecordStore: Send + Sync + 'static {
    /// The records of these keys, in their order; `None` where there is none.
    fn records(
        &self,
        workspace: u32,
        kind: RecordKind,
        keys: Vec<String>,
    ) -> StoreFuture<Vec<Option<Record>>>;

    /// Records whose key begins with a prefix, in order of key, from the one after another key, at
    /// most `limit`: `range` is the prefix and that key.
    fn scan(
        &self,
        workspace: u32,
        kind: RecordKind,
        range: (String, Option<String>),
        limit: usize,
    ) -> StoreFuture<Vec<Record>>;

    /// The records of a kind that have a due time, earliest first, at most `limit`.
    fn due(&self, workspace: u32, kind: RecordKind, limit: usize) -> StoreFuture<Vec<Record>>;

    /// The counts of a subject in `[from, until)`, in order of hour. Subjects are ids that no two
    /// workspaces share, so that whoever may name one may see it.
    fn tally(&self, subject: String, from: Timestamp, until: Timestamp) -> StoreFuture<Vec<Count>>;
}

/// The hour that a time lies in.
pub fn hour_of(at: Timestamp) -> Timestamp {
    const HOUR_MS: i64 = 3_600_000;
    Timestamp::from_millis(at.as_millis().div_euclid(HOUR_MS) * HOUR_MS)
}
