//! What a host actor is told: by its router, the recorder, the engine, and its own tasks.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use actix::Message;
use futures::channel::oneshot;

use crate::delivery::engine::{Cancelled, Explanation};
use crate::delivery::sender::Report;
use crate::delivery::shard::ArbiterCounters;
use crate::delivery::snapshot::HostSnapshot;
use crate::model::{DeliveryId, HostControls, Pending, Timestamp, Webhook};
use crate::report::host_series::HostPoint;
use crate::store::{DeliveryRecord, HostRecord, LanePage, StoreError};

/// New pending deliveries of the host.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Enqueue(pub Vec<Pending>);

/// The store may hold something that the actor was not told of.
#[derive(Message)]
#[rtype(result = "()")]
pub struct LookAgain;

/// Decisions are durable (the ledger has them); these followers of ordering keys are pending now.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Committed {
    /// Newly pending.
    pub released: Vec<Pending>,
    /// The commit took more than one try, so the store may hold more that is newly pending.
    pub look_again: bool,
}

/// What the engine asks of one host actor.
#[derive(Message)]
#[rtype(result = "()")]
pub enum HostCommand {
    /// Cancel these; answers, in order, what came of each, once it is durable.
    Cancel(Vec<DeliveryId>, oneshot::Sender<Vec<Cancelled>>),
    /// End those of these that have expired.
    Expire(Vec<DeliveryId>),
    /// Why and when; with its place in the store, where that is known.
    Explain(Box<(DeliveryRecord, Option<u64>)>, oneshot::Sender<Explanation>),
    /// Apply what operators ask.
    Control(HostControls),
    /// A fresh snapshot.
    Inspect(oneshot::Sender<HostSnapshot>),
    /// The last minutes in steps.
    Series(oneshot::Sender<Vec<HostPoint>>),
    /// Ids in flight.
    InFlight(oneshot::Sender<Vec<DeliveryId>>),
    /// Look whether you are idle: there are too many actors.
    Nudge,
    /// Start no more sends; what is in flight finishes.
    Quiesce,
}

/// The router agrees that the actor stops.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Stop;

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct AttemptFinished {
    pub(super) id: DeliveryId,
    pub(super) started: Timestamp,
    pub(super) report: Report,
    pub(super) under_way: UnderWay,
}

/// A request that counts as in flight until its outcome is handled, or lost with its actor.
pub(super) struct UnderWay(Arc<ArbiterCounters>);

impl UnderWay {
    pub(super) fn new(counters: Arc<ArbiterCounters>) -> Self {
        counters.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(counters)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Remembered(pub(super) Result<Option<HostRecord>, StoreError>);

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Paged {
    /// Of this lane, or of all.
    pub(super) lane: Option<u32>,
    pub(super) pages: Result<Vec<LanePage>, StoreError>,
}

#[derive(Message)]
#[rtype(result = "()")]
pub(super) struct Fetched(
    pub(super) Vec<DeliveryId>,
    pub(super) Result<Vec<(DeliveryId, Arc<Webhook>)>, StoreError>,
);
