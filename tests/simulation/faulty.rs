//! A store that answers late, refuses, loses the outcome of commits, or breaks its caller.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{self, BoxFuture};
use hostline::model::{
    Attempt, DeliveryId, HostControls, HostName, HostNumber, Settlement, ShardSet, Timestamp,
    Webhook,
};
use hostline::store::memory::MemoryStore;
use hostline::store::{
    Acceptance, Accepted, ActivityFilter, Count, DeliveryFilter, DeliveryRecord, DeliveryStore,
    HostInterval, HostRecord, HostStore, HostUpdate, Kept, LanePage, Logged, Page, PendingSink,
    Place, QueryError, QueryStore, Record, RecordKind, RecordStore, Released, ReportPoints,
    ReportQuery, ReportStore, StoreCounts, StoreError, StoreFuture, StoreHealth, Tenure, Wakeup,
};

use crate::world::World;

/// What goes wrong with the store for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Writes are refused.
    Full,
    /// Reads are refused.
    Unreadable,
    /// Everything is refused.
    Down,
    /// The outcomes of writes are lost: half of them were made.
    Unknown,
}

/// How the store is now.
pub struct Mood {
    pub dice: fastrand::Rng,
    /// The longest that a call takes; zero for at once.
    pub latency: Duration,
    /// What is wrong, and the share of calls that meet it.
    pub fault: Option<(Fault, f64)>,
    /// The next pages that are asked for break the asker.
    pub breaks: u32,
}

/// The store in front of the one in memory.
pub struct Faulty {
    inner: Arc<MemoryStore>,
    world: Arc<World>,
    mood: Mutex<Mood>,
}

enum Fate {
    Through,
    Refused,
    /// Whether the write was made.
    Lost(bool),
}

impl Faulty {
    pub fn new(inner: Arc<MemoryStore>, world: Arc<World>, mood: Mood) -> Arc<Self> {
        Arc::new(Self { inner, world, mood: Mutex::new(mood) })
    }

    pub fn set<T>(&self, change: impl FnOnce(&mut Mood) -> T) -> T {
        change(&mut self.mood.lock().expect("not poisoned"))
    }

    fn fate(&self, is_write: bool) -> (Fate, Duration, Duration) {
        self.set(|mood| {
            let most = mood.latency.as_millis() as u64;
            let (before, after) = (mood.dice.u64(0..=most), mood.dice.u64(0..=most));
            let met = mood.fault.filter(|(_, share)| mood.dice.f64() < *share);
            let fate = match met {
                Some((Fault::Down, _)) => Fate::Refused,
                Some((Fault::Full, _)) if is_write => Fate::Refused,
                Some((Fault::Unreadable, _)) if !is_write => Fate::Refused,
                Some((Fault::Unknown, _)) if is_write => Fate::Lost(mood.dice.bool()),
                _ => Fate::Through,
            };
            (fate, Duration::from_millis(before), Duration::from_millis(after))
        })
    }

    fn call<T: Send + 'static>(
        &self,
        is_write: bool,
        call: impl FnOnce(&MemoryStore) -> StoreFuture<T> + Send + 'static,
    ) -> StoreFuture<T> {
        let (fate, before, after) = self.fate(is_write);
        let inner = self.inner.clone();
        async move {
            pass(before).await;
            let result = match fate {
                Fate::Through => call(&inner).await,
                Fate::Refused => Err(StoreError::Unavailable("simulated".into())),
                Fate::Lost(made) => {
                    if made {
                        let _lost = call(&inner).await;
                    }
                    Err(StoreError::Unknown("simulated".into()))
                }
            };
            pass(after).await;
            result
        }
        .boxed()
    }
}

async fn pass(time: Duration) {
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

impl DeliveryStore for Faulty {
    fn accept(&self, acceptance: Acceptance) -> StoreFuture<Accepted> {
        self.call(true, |store| store.accept(acceptance))
    }

    fn settle(
        &self,
        tenure: Tenure,
        settlements: Vec<Settlement>,
        hosts: Vec<HostUpdate>,
    ) -> StoreFuture<Released> {
        self.call(true, move |store| store.settle(tenure, settlements, hosts))
    }

    fn page(
        &self,
        host: HostNumber,
        lane: Option<u32>,
        limit: usize,
    ) -> StoreFuture<Vec<LanePage>> {
        let breaks = self.set(|mood| {
            let breaks = mood.breaks > 0;
            mood.breaks = mood.breaks.saturating_sub(1);
            breaks
        });
        if breaks {
            self.world.actor_died(host);
            panic!("simulated: the store breaks its caller");
        }
        self.call(false, move |store| store.page(host, lane, limit))
    }

    fn fetch(&self, ids: Vec<DeliveryId>) -> StoreFuture<Vec<(DeliveryId, Arc<Webhook>)>> {
        self.call(false, |store| store.fetch(ids))
    }

    fn wakeups(
        &self,
        shards: ShardSet,
        after: Option<HostNumber>,
        limit: usize,
    ) -> StoreFuture<Vec<Wakeup>> {
        self.call(false, move |store| store.wakeups(shards, after, limit))
    }

    fn overdue(
        &self,
        shards: ShardSet,
        now: Timestamp,
        limit: usize,
    ) -> StoreFuture<Vec<(HostName, DeliveryId)>> {
        self.call(false, move |store| store.overdue(shards, now, limit))
    }

    fn redrive(&self, ids: Vec<DeliveryId>, now: Timestamp) -> StoreFuture<Vec<DeliveryId>> {
        self.call(true, move |store| store.redrive(ids, now))
    }

    fn skip(&self, id: DeliveryId, now: Timestamp) -> StoreFuture<bool> {
        self.call(true, move |store| store.skip(id, now))
    }

    fn sweep(&self, before: Timestamp, now: Timestamp, limit: usize) -> StoreFuture<(usize, bool)> {
        self.call(true, move |store| store.sweep(before, now, limit))
    }

    fn subscribe(&self, sink: Arc<dyn PendingSink>) {
        self.inner.subscribe(sink);
    }

    fn counts(&self) -> StoreCounts {
        self.inner.counts()
    }

    fn pending_of(&self, host: HostNumber) -> u64 {
        self.inner.pending_of(host)
    }

    fn pending_of_lane(&self, workspace: u32) -> u64 {
        self.inner.pending_of_lane(workspace)
    }

    fn health(&self) -> StoreHealth {
        self.inner.health()
    }

    fn close(&self) -> StoreFuture<()> {
        future::ready(Ok(())).boxed()
    }
}

impl HostStore for Faulty {
    fn known_number(&self, name: &HostName) -> Option<HostNumber> {
        self.inner.known_number(name)
    }

    fn number(&self, name: HostName) -> StoreFuture<HostNumber> {
        self.call(true, |store| store.number(name))
    }

    fn host(&self, name: HostName) -> StoreFuture<Option<HostRecord>> {
        self.call(false, |store| store.host(name))
    }

    fn hosts(
        &self,
        workspace: Option<u32>,
        after: Option<HostName>,
        limit: usize,
    ) -> StoreFuture<Vec<HostRecord>> {
        self.call(false, move |store| store.hosts(workspace, after, limit))
    }

    fn controlled(&self) -> StoreFuture<Vec<(HostName, HostControls)>> {
        self.call(false, |store| store.controlled())
    }

    fn control(&self, host: HostNumber, controls: HostControls) -> StoreFuture<()> {
        self.call(true, move |store| store.control(host, controls))
    }

    fn intervals(
        &self,
        host: HostNumber,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> StoreFuture<Vec<HostInterval>> {
        self.call(false, move |store| store.intervals(host, from, to, limit))
    }
}

impl QueryStore for Faulty {
    fn find(&self, id: DeliveryId) -> StoreFuture<Option<DeliveryRecord>> {
        self.call(false, move |store| store.find(id))
    }

    fn attempts(&self, id: DeliveryId) -> StoreFuture<Vec<Attempt>> {
        self.call(false, move |store| store.attempts(id))
    }

    fn list(
        &self,
        filter: DeliveryFilter,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Page<DeliveryRecord>, QueryError>> {
        self.inner.list(filter, after, limit)
    }

    fn count(&self, filter: DeliveryFilter, max: u64) -> StoreFuture<u64> {
        self.call(false, move |store| store.count(filter, max))
    }

    fn dead_letters(&self, from: Timestamp, limit: usize) -> StoreFuture<Vec<DeliveryId>> {
        self.call(false, move |store| store.dead_letters(from, limit))
    }

    fn place(&self, id: DeliveryId, max: u64) -> StoreFuture<Option<Place>> {
        self.call(false, move |store| store.place(id, max))
    }
}

impl RecordStore for Faulty {
    fn records(
        &self,
        workspace: u32,
        kind: RecordKind,
        keys: Vec<String>,
    ) -> StoreFuture<Vec<Option<Record>>> {
        self.call(false, move |store| store.records(workspace, kind, keys))
    }
    fn scan(
        &self,
        workspace: u32,
        kind: RecordKind,
        from: (String, Option<String>),
        limit: usize,
    ) -> StoreFuture<Vec<Record>> {
        self.call(false, move |store| store.scan(workspace, kind, from, limit))
    }
    fn due(&self, workspace: u32, kind: RecordKind, limit: usize) -> StoreFuture<Vec<Record>> {
        self.call(false, move |store| store.due(workspace, kind, limit))
    }
    fn tally(&self, subject: String, from: Timestamp, until: Timestamp) -> StoreFuture<Vec<Count>> {
        self.call(false, move |store| store.tally(subject, from, until))
    }
}

impl ReportStore for Faulty {
    fn report(&self, query: ReportQuery) -> StoreFuture<ReportPoints> {
        self.call(false, move |store| store.report(query))
    }
    fn fold(&self) -> StoreFuture<bool> {
        self.call(true, move |store| store.fold())
    }
    fn forget(&self, kept: Kept, now: Timestamp, limit: usize) -> StoreFuture<bool> {
        self.call(true, move |store| store.forget(kept, now, limit))
    }
    fn logged(&self, filter: ActivityFilter, limit: usize) -> StoreFuture<(Vec<Logged>, bool)> {
        self.call(false, move |store| store.logged(filter, limit))
    }
    fn activity(
        &self,
        filter: ActivityFilter,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Page<Logged>, QueryError>> {
        self.inner.activity(filter, after, limit)
    }
}
