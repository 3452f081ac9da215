//! What the front end may ask of the engine. The engine itself is wired in `app`; tests may put
//! another in its place.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde::Serialize;

use super::feed::Feed;
use super::snapshot::{ArbiterStats, HostSnapshot};
use super::workspaces::Workspaces;
use crate::model::{DeliveryId, HostControls, HostName, Timestamp};
pub use crate::policy::condition::WaitReason;
pub use crate::policy::why::{Obstacle, What};
use crate::report::host_series::HostPoint;
use crate::store::StoreError;
use crate::vault::Vault;

/// Where an owed delivery is, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// `scheduled`, `waiting` or `in_flight`.
    pub state: &'static str,
    /// Why it waits; absent for the other two.
    pub waits_for: Option<WaitReason>,
    /// In words: 'the budget of shop.example is used up; it resets in 12 s'.
    pub reason: String,
    /// All that stands in its way, nearest first; empty when it is about to go.
    pub blocked_by: Vec<Obstacle>,
    /// When it is expected to go; absent when that depends on a person, or is not known.
    pub next_attempt_at: Option<Timestamp>,
    /// What that rests on, or why it is not known, in words; that it expires first, where it does.
    pub expectation: String,
    /// Deliveries of the host that go before it, where known.
    pub ahead: Option<u64>,
}

/// What came of a wish to cancel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It will not be sent (any more), and that is durable.
    Done,
    /// It is being sent right now and will finish.
    InFlight,
    /// It had ended already.
    Ended,
    /// There is none.
    Unknown,
}

/// The engine, as the layers above see it.
pub trait Engine: Send + Sync + 'static {
    /// Why an owed delivery is where it is, and when it goes. `None` when it is not owed.
    fn explain(
        &self,
        id: DeliveryId,
    ) -> BoxFuture<'static, Result<Option<Explanation>, StoreError>>;

    /// Cancels a delivery unless its request is being sent.
    fn cancel(&self, id: DeliveryId) -> BoxFuture<'static, Result<Cancelled, StoreError>>;

    /// Puts deliveries back (see `DeliveryStore::redrive`); answers those that it did.
    fn redrive(
        &self,
        ids: Vec<DeliveryId>,
    ) -> BoxFuture<'static, Result<Vec<DeliveryId>, StoreError>>;

    /// Lets the ordering key behind a failed, blocking delivery go on; false when it blocked none.
    fn skip(&self, id: DeliveryId) -> BoxFuture<'static, Result<bool, StoreError>>;

    /// Keeps and applies what an operator asks of a host. Works for hosts without a live actor.
    fn control(
        &self,
        host: HostName,
        controls: HostControls,
    ) -> BoxFuture<'static, Result<(), StoreError>>;

    /// Cancels all that is owed to a host, or all that one workspace owes it, but what is in
    /// flight; answers how many.
    fn purge(
        &self,
        host: HostName,
        workspace: Option<u32>,
    ) -> BoxFuture<'static, Result<u64, StoreError>>;

    /// What operators asked of a host, from memory (the default for most hosts).
    fn controls(&self, host: &HostName) -> HostControls;

    /// A fresh snapshot of one live host actor; `None` when none lives.
    fn host(&self, host: HostName) -> BoxFuture<'static, Option<HostSnapshot>>;

    /// Snapshots of all live host actors, each as of the last time that something happened to it,
    /// to 200 ms.
    fn hosts(&self) -> Vec<Arc<HostSnapshot>>;

    /// The last minutes of one live host actor, in steps; `None` when none lives.
    fn series(&self, host: HostName) -> BoxFuture<'static, Option<Vec<HostPoint>>>;

    /// Ids of the deliveries in flight now, at most `limit`.
    fn in_flight(&self, limit: usize) -> BoxFuture<'static, Vec<DeliveryId>>;

    /// Per-arbiter actor stats.
    fn arbiters(&self) -> Vec<ArbiterStats>;

    /// Where it is told what came of deliveries.
    fn feed(&self) -> &Arc<Feed>;

    /// What holds for each workspace.
    fn workspaces(&self) -> &Workspaces;

    /// The stored secrets.
    fn vault(&self) -> &Arc<Vault>;

    /// Whether the process is stopping, so that new triggers are refused.
    fn is_stopping(&self) -> bool;
}
