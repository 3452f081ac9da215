//! The memory store with a door before `accept`: it can be held shut, and it can fail.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use hostline::model::{
    Attempt, DeliveryId, HostControls, HostName, HostNumber, Settlement, ShardSet, Timestamp,
    Webhook,
};
use hostline::store::memory::MemoryStore;
use hostline::store::*;

/// What the next `accept` does.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing is written.
    Refuse(StoreError),
    /// It is written, but the answer is lost.
    Lose,
    /// It is written, after a while.
    Slow(Duration),
}

pub struct FaultyStore {
    inner: Arc<MemoryStore>,
    faults: Mutex<VecDeque<Fault>>,
    pub refusing: Mutex<Option<String>>,
}

impl FaultyStore {
    pub fn new(limits: StoreLimits) -> Arc<Self> {
        let (faults, refusing) = Default::default();
        Arc::new(Self { inner: MemoryStore::new(limits), faults, refusing })
    }

    pub fn next(&self, fault: Fault) {
        self.faults.lock().unwrap().push_back(fault);
    }
}

impl DeliveryStore for FaultyStore {
    fn accept(&self, acceptance: Acceptance) -> StoreFuture<Accepted> {
        match self.faults.lock().unwrap().pop_front() {
            None => self.inner.accept(acceptance),
            Some(Fault::Refuse(error)) => ready(Err(error)).boxed(),
            Some(Fault::Lose) => {
                let written = self.inner.accept(acceptance);
                written.map(|_| Err(StoreError::Unknown("lost".into()))).boxed()
            }
            Some(Fault::Slow(time)) => {
                let inner = self.inner.clone();
                async move {
                    tokio::time::sleep(time).await;
                    inner.accept(acceptance).await
                }
                .boxed()
            }
        }
    }
    fn settle(
        &self,
        tenure: Tenure,
        settlements: Vec<Settlement>,
        hosts: Vec<HostUpdate>,
    ) -> StoreFuture<Released> {
        self.inner.settle(tenure, settlements, hosts)
    }
    fn page(
        &self,
        host: HostNumber,
        lane: Option<u32>,
        limit: usize,
    ) -> StoreFuture<Vec<LanePage>> {
        self.inner.page(host, lane, limit)
    }
    fn fetch(&self, ids: Vec<DeliveryId>) -> StoreFuture<Vec<(DeliveryId, Arc<Webhook>)>> {
        self.inner.fetch(ids)
    }
    fn wakeups(
        &self,
        shards: ShardSet,
        after: Option<HostNumber>,
        limit: usize,
    ) -> StoreFuture<Vec<Wakeup>> {
        self.inner.wakeups(shards, after, limit)
    }
    fn overdue(
        &self,
        shards: ShardSet,
        now: Timestamp,
        limit: usize,
    ) -> StoreFuture<Vec<(HostName, DeliveryId)>> {
        self.inner.overdue(shards, now, limit)
    }
    fn redrive(&self, ids: Vec<DeliveryId>, now: Timestamp) -> StoreFuture<Vec<DeliveryId>> {
        self.inner.redrive(ids, now)
    }
    fn skip(&self, id: DeliveryId, now: Timestamp) -> StoreFuture<bool> {
        self.inner.skip(id, now)
    }
    fn sweep(&self, before: Timestamp, now: Timestamp, limit: usize) -> StoreFuture<(usize, bool)> {
        self.inner.sweep(before, now, limit)
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
        let refusing = self.refusing.lock().unwrap().clone();
        StoreHealth { refusing, ..self.inner.health() }
    }
    fn close(&self) -> StoreFuture<()> {
        self.inner.close()
    }
}

impl HostStore for FaultyStore {
    fn known_number(&self, name: &HostName) -> Option<HostNumber> {
        self.inner.known_number(name)
    }
    fn number(&self, name: HostName) -> StoreFuture<HostNumber> {
        self.inner.number(name)
    }
    fn host(&self, name: HostName) -> StoreFuture<Option<HostRecord>> {
        self.inner.host(name)
    }
    fn hosts(
        &self,
        workspace: Option<u32>,
        after: Option<HostName>,
        limit: usize,
    ) -> StoreFuture<Vec<HostRecord>> {
        self.inner.hosts(workspace, after, limit)
    }
    fn controlled(&self) -> StoreFuture<Vec<(HostName, HostControls)>> {
        self.inner.controlled()
    }
    fn control(&self, host: HostNumber, controls: HostControls) -> StoreFuture<()> {
        self.inner.control(host, controls)
    }
    fn intervals(
        &self,
        host: HostNumber,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> StoreFuture<Vec<HostInterval>> {
        self.inner.intervals(host, from, to, limit)
    }
}

impl QueryStore for FaultyStore {
    fn find(&self, id: DeliveryId) -> StoreFuture<Option<DeliveryRecord>> {
        self.inner.find(id)
    }
    fn attempts(&self, id: DeliveryId) -> StoreFuture<Vec<Attempt>> {
        self.inner.attempts(id)
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
        self.inner.count(filter, max)
    }
    fn dead_letters(&self, from: Timestamp, limit: usize) -> StoreFuture<Vec<DeliveryId>> {
        self.inner.dead_letters(from, limit)
    }
    fn place(&self, id: DeliveryId, max: u64) -> StoreFuture<Option<Place>> {
        self.inner.place(id, max)
    }
}

impl RecordStore for FaultyStore {
    fn records(
        &self,
        workspace: u32,
        kind: RecordKind,
        keys: Vec<String>,
    ) -> StoreFuture<Vec<Option<Record>>> {
        self.inner.records(workspace, kind, keys)
    }
    fn scan(
        &self,
        workspace: u32,
        kind: RecordKind,
        from: (String, Option<String>),
        limit: usize,
    ) -> StoreFuture<Vec<Record>> {
        self.inner.scan(workspace, kind, from, limit)
    }
    fn due(&self, workspace: u32, kind: RecordKind, limit: usize) -> StoreFuture<Vec<Record>> {
        self.inner.due(workspace, kind, limit)
    }
    fn tally(&self, subject: String, from: Timestamp, until: Timestamp) -> StoreFuture<Vec<Count>> {
        self.inner.tally(subject, from, until)
    }
}

impl ReportStore for FaultyStore {
    fn report(&self, query: ReportQuery) -> StoreFuture<ReportPoints> {
        self.inner.report(query)
    }
    fn fold(&self) -> StoreFuture<bool> {
        self.inner.fold()
    }
    fn forget(&self, kept: Kept, now: Timestamp, limit: usize) -> StoreFuture<bool> {
        self.inner.forget(kept, now, limit)
    }
    fn logged(&self, filter: ActivityFilter, limit: usize) -> StoreFuture<(Vec<Logged>, bool)> {
        self.inner.logged(filter, limit)
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
