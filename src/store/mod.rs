//! Durable truth. The traits here are one law for several engines; `conformance` exercises it on
//! each of them.
//!
//! `Ok` means: survives kill -9 and power loss. `Err` means: nothing of the call is visible, except
//! `Unknown` (the commit's outcome was lost), after which the same call may be made again, since
//! every one is idempotent. Concurrent calls share commits, so callers never batch artificially.

mod audit;
pub mod conformance;
pub mod embedded;
mod error;
mod figures;
mod lanes;
pub mod memory;
mod ownership;
mod records;
mod reports;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use serde::Serialize;
use utoipa::ToSchema;

pub use self::audit::{AUDIT_OF_ALL, AuditEntry, audit_of, audit_up_to};
pub use self::error::{QueryError, StoreError};
pub use self::figures::{DEFERRED_AFTER_MS, Figures, Word};
pub(crate) use self::lanes::rows_of_each;
pub use self::lanes::{LanePage, PAGE_ROWS};
pub use self::ownership::Tenure;
pub use self::records::{
    Count, CountKey, Expect, Record, RecordKind, RecordStore, RecordWrite, Writes, hour_of,
};
pub use self::reports::{
    Activity, ActivityFilter, Kept, Logged, POINTS_MAX, ReportPoints, ReportQuery, ReportStore,
    Step, Subject,
};
use crate::model::{
    Attempt, Delivery, DeliveryId, HostControls, HostName, HostNumber, Pending, Provenance,
    Settlement, ShardSet, StoredState, Timestamp, TriggerId, Webhook,
};
use crate::report::meters::CommitReadings;

/// What every operation answers with, later.
pub type StoreFuture<T> = BoxFuture<'static, Result<T, StoreError>>;

/// The deliveries of one trigger and what is written beside them, accepted whole or not at all.
#[derive(Clone, Debug, Default)]
pub struct Acceptance {
    /// Whose records and activity are written. Deliveries carry theirs themselves.
    pub workspace: u32,
    /// When.
    pub at: Timestamp,
    /// Their host numbers come from [`HostStore::number`]. May be none where something is written.
    pub deliveries: Vec<Arc<Delivery>>,
    /// Makes the trigger safe to repeat.
    pub idempotency: Option<Idempotency>,
    /// What composition writes in the same commit.
    pub writes: Writes,
}

impl Acceptance {
    /// Deliveries alone, accepted when the first of them says.
    pub fn of(deliveries: Vec<Arc<Delivery>>) -> Self {
        let at = deliveries.first().map_or(Timestamp::default(), |delivery| delivery.accepted);
        let workspace = deliveries.first().map_or(0, |delivery| delivery.workspace);
        Self { workspace, at, deliveries, ..Self::default() }
    }
}

/// The record of an `Idempotency-Key`, written in the transaction of its deliveries.
#[derive(Clone, Debug)]
pub struct Idempotency {
    /// The workspace that the key is unique in.
    pub workspace: u32,
    /// The caller's key.
    pub key: String,
    /// Digest of the request that the key stands for.
    pub fingerprint: [u8; 32],
    /// The answer to give again.
    pub answer: Bytes,
    /// When the record may be forgotten.
    pub expires: Timestamp,
}

/// What became of an [`Acceptance`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Durable and pending (or parked behind their ordering keys).
    New,
    /// The key was used by the same request: this was the answer then. Nothing was written.
    Replayed(Bytes),
    /// The key was used by another request. Nothing was written.
    KeyReused,
    /// A record was not as expected: this is its place among the writes. Nothing was written.
    Stale(usize),
}

/// Hears of every delivery that became pending, after its commit and before the caller of `accept`,
/// `redrive` or `skip` does (but not of those that `settle` releases and returns). A hint: whoever misses it finds the delivery by `page`.
pub trait PendingSink: Send + Sync + 'static {
    /// All newly pending deliveries of one commit. Called from the store's own thread, so it must
    /// not block.
    fn pending(&self, entries: Vec<(HostName, Pending)>);
}

/// A change of a host's condition, to be kept as an interval. `condition` is one of the words of
/// the actor stats: `limited`, `backing_off`, `cooling_down`, `probing`, `paused`; `None` ends the
/// open interval and begins none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionChange {
    /// When.
    pub at: Timestamp,
    /// What the host is in from then on.
    pub condition: Option<&'static str>,
    /// Why, in words.
    pub reason: String,
}

/// What a host actor wants kept beside its settlements.
#[derive(Clone, Debug)]
pub struct HostUpdate {
    /// Which host.
    pub host: HostNumber,
    /// The state to restore after a restart, as JSON text that only `policy` reads.
    pub saved: String,
    /// Changes of condition since the last update, in order.
    pub changes: Vec<ConditionChange>,
}

/// Deliveries that became pending by a settle: the next of an ordering key whose head is over.
/// They are returned to the caller of `settle` alone and never sent to the [`PendingSink`]. When
/// the answer is lost (`Unknown`), making the call again does not return them a second time: the
/// host's `page` has them.
pub type Released = Vec<(HostName, Pending)>;

/// A delivery as the store knows it.
#[derive(Clone, Debug)]
pub struct DeliveryRecord {
    /// Which.
    pub id: DeliveryId,
    /// The workspace that it belongs to.
    pub workspace: u32,
    /// Its trigger.
    pub trigger: TriggerId,
    /// Its host.
    pub host: HostName,
    /// Acceptance order.
    pub seq: u64,
    /// Pending, parked or ended.
    pub state: StoredState,
    /// When accepted.
    pub accepted: Timestamp,
    /// Next attempt not before (while owed).
    pub due: Timestamp,
    /// Not after.
    pub expires: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Attempts made.
    pub attempts: u32,
    /// Retries used up.
    pub retries: u32,
    /// Status of the last attempt; `None` before the first, or when it was blocked.
    pub last_status: Option<u16>,
    /// Ordering key.
    pub ordering_key: Option<String>,
    /// Ended without success and holding its ordering key back until redriven, cancelled, skipped.
    pub blocks_key: bool,
    /// Search terms.
    pub metadata: Vec<(String, String)>,
    /// What composed it; `None` for a plain trigger's.
    pub provenance: Option<Arc<Provenance>>,
    /// How many of our own webhooks led to it.
    pub hop: u8,
    /// Turns among its host's deliveries.
    pub priority: crate::model::Priority,
    /// What is sent. In lists the body is left out (empty).
    pub webhook: Arc<Webhook>,
}

/// Which deliveries a list shows; every field narrows.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only of this workspace; `None` means all.
    pub workspace: Option<u32>,
    /// Only this host.
    pub host: Option<HostName>,
    /// Only these states; empty means all.
    pub states: Vec<StoredState>,
    /// Only this trigger's.
    pub trigger: Option<TriggerId>,
    /// Only with all of these pairs (those of [`Provenance::tags`] count too).
    pub metadata: Vec<(String, String)>,
    /// Accepted at or after.
    pub from: Option<Timestamp>,
    /// Accepted before.
    pub until: Option<Timestamp>,
    /// Only these (used for `in_flight`, whose ids the host actors know).
    pub ids: Option<Vec<DeliveryId>>,
}

/// One page of a list, newest accepted first.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// The rows.
    pub rows: Vec<T>,
    /// Opaque cursor of the next page; `None` at the end.
    pub next: Option<String>,
}

/// A host as the store knows it.
#[derive(Clone, Debug)]
pub struct HostRecord {
    /// Its number.
    pub number: HostNumber,
    /// Its name.
    pub name: HostName,
    /// State saved by its actor, as JSON text; `None` when never saved.
    pub saved: Option<String>,
    /// What operators asked.
    pub controls: HostControls,
    /// Pending deliveries, parked ones not counted.
    pub pending: u64,
}

/// A stretch of time in which a host was not simply healthy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HostInterval {
    /// `limited`, `backing_off`, `cooling_down`, `probing` or `paused`.
    pub condition: String,
    /// Why, in words.
    pub reason: String,
    /// From.
    pub from: Timestamp,
    /// To; `None` while it lasts.
    pub to: Option<Timestamp>,
}

/// A host that has pending work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wakeup {
    /// Its number.
    pub number: HostNumber,
    /// Its name.
    pub name: HostName,
    /// Its earliest due time.
    pub due: Timestamp,
}

/// Counts that the store keeps exactly, also over restarts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StoreCounts {
    /// Owed and in a queue.
    pub pending: u64,
    /// Owed and behind an ordering key.
    pub parked: u64,
    /// Ever accepted.
    pub accepted: u64,
    /// Ever ended so; a redrive takes its delivery out again.
    pub delivered: u64,
    /// Likewise.
    pub failed: u64,
    /// Likewise.
    pub exhausted: u64,
    /// Likewise.
    pub expired: u64,
    /// Likewise.
    pub cancelled: u64,
}

/// How the store is doing.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct StoreHealth {
    /// Commits made since start.
    pub commits: u64,
    /// Operations in the last commit.
    pub last_commit_size: u64,
    /// Operations a commit, averaged over the recent ones.
    pub commit_size: f64,
    /// Microseconds a commit, averaged over the recent ones.
    pub commit_us: f64,
    /// Operations that wait for the writer now.
    pub waiting: u64,
    /// Why writes are refused now; `None` when they are not.
    pub refusing: Option<String>,
    /// Rows found damaged since start; each is named in the log.
    pub damaged_rows: u64,
    /// Why the store was given up: the process has to end. `None` while it was not.
    pub lost: Option<String>,
}

/// Deliveries: what the engine lives on.
pub trait DeliveryStore: Send + Sync + 'static {
    /// Makes a trigger's deliveries durable and pending. A follower of an ordering key is parked.
    fn accept(&self, acceptance: Acceptance) -> StoreFuture<Accepted>;

    /// Records attempts and verdicts, and the states of hosts, all or nothing. Durable within
    /// 100 ms. A settlement of a delivery that has ended already changes nothing but, where it
    /// carries a new attempt, records that. Ending the head of an ordering key releases its next
    /// (unless the end is a failure with `OnFailure::Block`; cancelling the blocking one releases).
    /// `Fenced` when the tenure is over: nothing was written, and nothing of it ever will be.
    fn settle(
        &self,
        tenure: Tenure,
        settlements: Vec<Settlement>,
        hosts: Vec<HostUpdate>,
    ) -> StoreFuture<Released>;

    /// The first `limit` pending deliveries of each lane of a host, or of the one asked for, in
    /// `(due, seq)` order, due or not, without their webhooks; lanes in order of number, those
    /// without any left out. Never skips a committed one. Of very many lanes at once each shows
    /// fewer, at least one, so that all together stay within about [`PAGE_ROWS`].
    fn page(&self, host: HostNumber, lane: Option<u32>, limit: usize)
    -> StoreFuture<Vec<LanePage>>;

    /// Webhooks of these deliveries; ids that are unknown are left out.
    fn fetch(&self, ids: Vec<DeliveryId>) -> StoreFuture<Vec<(DeliveryId, Arc<Webhook>)>>;

    /// Each host of these shards that has pending work with its earliest due time, in order of
    /// number, from the one after `after`, at most `limit`.
    fn wakeups(
        &self,
        shards: ShardSet,
        after: Option<HostNumber>,
        limit: usize,
    ) -> StoreFuture<Vec<Wakeup>>;

    /// Pending or parked deliveries of these shards whose own (not default) expiry has passed,
    /// oldest expiry first, and parked ones with a default expiry that has passed.
    fn overdue(
        &self,
        shards: ShardSet,
        now: Timestamp,
        limit: usize,
    ) -> StoreFuture<Vec<(HostName, DeliveryId)>>;

    /// Puts dead letters (and cancelled ones) back to pending, due now, with a fresh expiry and no
    /// retries used; attempt numbers go on. Answers those that it did. With an ordering key whose
    /// head is under way, the redriven one is parked at its place of acceptance.
    fn redrive(&self, ids: Vec<DeliveryId>, now: Timestamp) -> StoreFuture<Vec<DeliveryId>>;

    /// Lets the key of a failed, blocking delivery go on; the delivery stays failed. Answers
    /// whether it was blocking.
    fn skip(&self, id: DeliveryId, now: Timestamp) -> StoreFuture<bool>;

    /// Deletes deliveries that ended before `before` with all that belongs to them, and
    /// idempotency records and host intervals that are over, at most about `limit` rows in one
    /// go. Answers how many deliveries went, and whether there may be more.
    fn sweep(&self, before: Timestamp, now: Timestamp, limit: usize) -> StoreFuture<(usize, bool)>;

    /// Who hears of newly pending deliveries. Set once, before the first accept.
    fn subscribe(&self, sink: Arc<dyn PendingSink>);

    /// Exact counts, from memory.
    fn counts(&self) -> StoreCounts;

    /// Pending deliveries of one host, from memory.
    fn pending_of(&self, host: HostNumber) -> u64;

    /// Pending and parked deliveries of one workspace over all hosts, from memory; exact.
    fn pending_of_lane(&self, workspace: u32) -> u64;

    /// How the store is doing.
    fn health(&self) -> StoreHealth;

    /// How its commits fared; nothing where there are none.
    fn commits(&self) -> CommitReadings {
        CommitReadings::default()
    }

    /// Commits what is under way and closes. Later calls answer `Closed`.
    fn close(&self) -> StoreFuture<()>;
}

/// Hosts: numbers, saved states, controls.
pub trait HostStore: Send + Sync + 'static {
    /// The number of a host that is known already, without waiting.
    fn known_number(&self, name: &HostName) -> Option<HostNumber>;

    /// The number of a host, given for ever when it is new. `Unavailable` when its shard is full.
    fn number(&self, name: HostName) -> StoreFuture<HostNumber>;

    /// What is kept of a host; `None` when it was never seen.
    fn host(&self, name: HostName) -> StoreFuture<Option<HostRecord>>;

    /// Hosts by name, after `after`, at most `limit`: all, or those that a workspace has
    /// deliveries for.
    fn hosts(
        &self,
        workspace: Option<u32>,
        after: Option<HostName>,
        limit: usize,
    ) -> StoreFuture<Vec<HostRecord>>;

    /// Every host whose controls are not the default (for admission, at start).
    fn controlled(&self) -> StoreFuture<Vec<(HostName, HostControls)>>;

    /// Keeps what operators asked.
    fn control(&self, host: HostNumber, controls: HostControls) -> StoreFuture<()>;

    /// Intervals of a host that overlap `[from, to]`, newest first, at most `limit`.
    fn intervals(
        &self,
        host: HostNumber,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> StoreFuture<Vec<HostInterval>>;
}

/// Reading for the API, on connections of its own so that a list never stalls a commit.
pub trait QueryStore: Send + Sync + 'static {
    /// One delivery with its whole webhook.
    fn find(&self, id: DeliveryId) -> StoreFuture<Option<DeliveryRecord>>;

    /// A delivery's attempts, oldest first.
    fn attempts(&self, id: DeliveryId) -> StoreFuture<Vec<Attempt>>;

    /// A page of deliveries, newest accepted first. `limit` is 1 to 1,000.
    fn list(
        &self,
        filter: DeliveryFilter,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Page<DeliveryRecord>, QueryError>>;

    /// How many deliveries a filter matches, counting at most to `max`.
    fn count(&self, filter: DeliveryFilter, max: u64) -> StoreFuture<u64>;

    /// Pending deliveries of its host and lane that come before this one in `(due, seq)` order,
    /// counting at most to `max`; and, when it is parked, the id of the ordering key's head.
    fn place(&self, id: DeliveryId, max: u64) -> StoreFuture<Option<Place>>;

    /// Deliveries that ended at or after `from` with their retries used up, or that block their
    /// ordering key, in the order in which they ended, at most `limit`.
    fn dead_letters(&self, from: Timestamp, limit: usize) -> StoreFuture<Vec<DeliveryId>>;
}

/// Where a pending or parked delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Pending ones of the host and lane before it.
    pub ahead: u64,
    /// The delivery that holds its ordering key, when it is parked.
    pub behind: Option<DeliveryId>,
}

/// All of it: what one engine implements.
pub trait Store: DeliveryStore + HostStore + QueryStore + RecordStore + ReportStore {}

impl<T: DeliveryStore + HostStore + QueryStore + RecordStore + ReportStore> Store for T {}

/// Limits that every engine keeps.
#[derive(Clone, Copy, Debug)]
pub struct StoreLimits {
    /// Past this many pending and parked deliveries `accept` answers `Full`.
    pub max_pending: u64,
}

/// Gap below which an interval of the same condition is continued rather than begun anew, so that
/// a host that waits every second is one row and not 86,400 a day.
pub const INTERVAL_GAP: Duration = Duration::from_secs(10);
