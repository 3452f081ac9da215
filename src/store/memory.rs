//! The engine that keeps nothing: plain maps behind a mutex, every future ready at once. For tests
//! and simulation, and for trials where losing everything is wanted.

mod hosts;
mod records;
mod reports;
mod state;

use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{self, BoxFuture};

use self::state::{Fresh, Queue, State};
use crate::model::{
    Attempt, DeliveryId, HostControls, HostName, HostNumber, Pending, Settlement, ShardSet,
    StoredState, Timestamp, Webhook,
};
use crate::store::{
    Acceptance, Accepted, ActivityFilter, Count, DeliveryFilter, DeliveryRecord, DeliveryStore,
    HostInterval, HostRecord, HostStore, HostUpdate, Kept, LanePage, Logged, Page, PendingSink,
    Place, QueryError, QueryStore, Record, RecordKind, RecordStore, Released, ReportPoints,
    ReportQuery, ReportStore, StoreCounts, StoreError, StoreFuture, StoreHealth, StoreLimits,
    Tenure, Wakeup, rows_of_each,
};

/// The engine in memory.
pub struct MemoryStore {
    limits: StoreLimits,
    sink: OnceLock<Arc<dyn PendingSink>>,
    state: Mutex<State>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: StoreLimits) -> Arc<Self> {
        Arc::new(Self { limits, sink: OnceLock::new(), state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T: Send + 'static>(&self, run: impl FnOnce(&State) -> T) -> StoreFuture<T> {
        let state = self.lock();
        let result = if state.closed { Err(closed()) } else { Ok(run(&state)) };
        future::ready(result).boxed()
    }

    fn write<T: Send + 'static>(
        &self,
        run: impl FnOnce(&mut State, &mut Fresh) -> Result<T, StoreError>,
    ) -> StoreFuture<T> {
        let mut fresh = Fresh::new();
        let mut state = self.lock();
        let result = if state.closed { Err(closed()) } else { run(&mut state, &mut fresh) };
        state.commits += 1;
        drop(state);
        if let Some(sink) = self.sink.get()
            && !fresh.is_empty()
        {
            sink.pending(fresh);
        }
        future::ready(result).boxed()
    }
}

fn closed() -> StoreError {
    StoreError::Closed("the store was closed".into())
}

impl DeliveryStore for MemoryStore {
    fn accept(&self, acceptance: Acceptance) -> StoreFuture<Accepted> {
        let max_pending = self.limits.max_pending;
        self.write(|state, fresh| {
            let now = acceptance.at;
            if let Some(asked) = &acceptance.idempotency {
                let key = (asked.workspace, asked.key.clone());
                match state.idempotency.get(&key).filter(|used| used.expires > now) {
                    Some(used) if used.fingerprint == asked.fingerprint => {
                        return Ok(Accepted::Replayed(used.answer.clone()));
                    }
                    Some(_) => return Ok(Accepted::KeyReused),
                    None => {}
                }
            }
            // What is written beside a delivery came with it: a repeat after a lost answer.
            let first = acceptance.deliveries.first().filter(|_| !acceptance.writes.is_empty());
            if first.is_some_and(|first| state.row(first.id).is_some()) {
                return Ok(Accepted::New);
            }
            if let Some(place) =
                state.records.stale(acceptance.workspace, &acceptance.writes.records)
            {
                return Ok(Accepted::Stale(place));
            }
            let owed = state.counts.pending + state.counts.parked;
            if owed + acceptance.deliveries.len() as u64 > max_pending {
                return Err(StoreError::Full { max_pending });
            }
            for delivery in acceptance.deliveries {
                state.insert(delivery, fresh);
            }
            let mut writes = acceptance.writes;
            for entry in std::mem::take(&mut writes.activity) {
                state.reports.write(acceptance.workspace, None, entry);
            }
            state.records.write((acceptance.workspace, acceptance.at), writes);
            if let Some(used) = acceptance.idempotency {
                state.idempotency.insert((used.workspace, used.key.clone()), used);
            }
            Ok(Accepted::New)
        })
    }

    fn settle(
        &self,
        _tenure: Tenure,
        settlements: Vec<Settlement>,
        hosts: Vec<HostUpdate>,
    ) -> StoreFuture<Released> {
        self.write(|state, _| {
            let mut released: Released =
                settlements.into_iter().filter_map(|settlement| state.settle(settlement)).collect();
            // A follower released by one settlement may have been ended by a later one.
            released.retain(|(_, entry)| {
                state.row(entry.id).is_some_and(|(_, row)| row.state == StoredState::Pending)
            });
            for update in hosts {
                state.update(update);
            }
            Ok(released)
        })
    }

    fn page(
        &self,
        host: HostNumber,
        lane: Option<u32>,
        limit: usize,
    ) -> StoreFuture<Vec<LanePage>> {
        self.read(|state| {
            let lanes =
                state.lanes_of(host).filter(|(found, _)| lane.is_none_or(|it| it == *found));
            let lanes: Vec<(u32, &Queue)> = lanes.collect();
            let limit = rows_of_each(lanes.len(), limit);
            let page = |(lane, queue): (u32, &Queue)| {
                let rows = queue.iter().filter_map(|(_, seq)| Some((*seq, state.rows.get(seq)?)));
                let rows: Vec<Pending> =
                    rows.take(limit).map(|(seq, row)| row.pending(seq)).collect();
                LanePage { lane, full: rows.len() >= limit, rows }
            };
            lanes.into_iter().map(page).collect()
        })
    }

    fn fetch(&self, ids: Vec<DeliveryId>) -> StoreFuture<Vec<(DeliveryId, Arc<Webhook>)>> {
        self.read(|state| {
            let row = |id| state.row(id).map(|(_, row)| (id, row.delivery.webhook.clone()));
            ids.into_iter().filter_map(row).collect()
        })
    }

    fn wakeups(
        &self,
        shards: ShardSet,
        after: Option<HostNumber>,
        limit: usize,
    ) -> StoreFuture<Vec<Wakeup>> {
        self.read(|state| {
            let after = after.map_or(Bound::Unbounded, Bound::Excluded);
            let hosts = state.hosts.range((after, Bound::Unbounded)).map(|(number, _)| *number);
            let wakeup = |number: HostNumber| {
                let queues = state.lanes_of(number);
                let due = queues.filter_map(|(_, queue)| Some(queue.first()?.0)).min()?;
                Some(Wakeup { number, name: state.name_of(number)?, due })
            };
            let ours = hosts.filter(|number| shards.contains(number.shard()));
            ours.filter_map(wakeup).take(limit).collect()
        })
    }

    fn overdue(
        &self,
        shards: ShardSet,
        now: Timestamp,
        limit: usize,
    ) -> StoreFuture<Vec<(HostName, DeliveryId)>> {
        self.read(|state| {
            let mut found: Vec<_> = state
                .rows
                .values()
                .filter(|row| row.expires <= now)
                .filter(|row| shards.contains(row.delivery.id.host().shard()))
                .filter(|row| match row.state {
                    StoredState::Pending => row.delivery.ttl_custom,
                    StoredState::Parked => true,
                    StoredState::Ended(_) => false,
                })
                .map(|row| (row.expires, row.delivery.id, row.delivery.host.clone()))
                .collect();
            found.sort_unstable();
            found.into_iter().take(limit).map(|(_, id, host)| (host, id)).collect()
        })
    }

    fn redrive(&self, ids: Vec<DeliveryId>, now: Timestamp) -> StoreFuture<Vec<DeliveryId>> {
        self.write(|state, fresh| Ok(state.redrive(&ids, now, fresh)))
    }

    fn skip(&self, id: DeliveryId, _now: Timestamp) -> StoreFuture<bool> {
        self.write(|state, fresh| {
            let blocking = state.row(id).filter(|(_, row)| row.blocks);
            let Some((seq, key)) = blocking.and_then(|(seq, row)| Some((seq, row.key()?))) else {
                return Ok(false);
            };
            state.change(seq, |row| row.blocks = false);
            fresh.extend(state.release(&key));
            Ok(true)
        })
    }

    fn sweep(&self, before: Timestamp, now: Timestamp, limit: usize) -> StoreFuture<(usize, bool)> {
        self.write(|state, _| Ok(state.sweep(before, now, limit)))
    }

    fn subscribe(&self, sink: Arc<dyn PendingSink>) {
        let first = self.sink.set(sink).is_ok();
        debug_assert!(first, "the sink is set once");
    }

    fn counts(&self) -> StoreCounts {
        self.lock().counts
    }

    fn pending_of(&self, host: HostNumber) -> u64 {
        self.lock().pending_of(host)
    }

    fn pending_of_lane(&self, workspace: u32) -> u64 {
        self.lock().owed.get(&workspace).copied().unwrap_or(0)
    }

    fn health(&self) -> StoreHealth {
        StoreHealth {
            commits: self.lock().commits,
            last_commit_size: 1,
            commit_size: 1.0,
            ..StoreHealth::default()
        }
    }

    fn close(&self) -> StoreFuture<()> {
        self.lock().closed = true;
        future::ready(Ok(())).boxed()
    }
}

impl HostStore for MemoryStore {
    fn known_number(&self, name: &HostName) -> Option<HostNumber> {
        self.lock().numbers.get(name).copied()
    }

    fn number(&self, name: HostName) -> StoreFuture<HostNumber> {
        self.write(|state, _| state.number(name))
    }

    fn host(&self, name: HostName) -> StoreFuture<Option<HostRecord>> {
        self.read(|state| state.numbers.get(&name).and_then(|number| state.host(*number)))
    }

    fn hosts(
        &self,
        workspace: Option<u32>,
        after: Option<HostName>,
        limit: usize,
    ) -> StoreFuture<Vec<HostRecord>> {
        self.read(|state| {
            let later = |name: &HostName| after.as_ref().is_none_or(|after| name > after);
            let sent = |name: &HostName| workspace.is_none_or(|lane| state.has_sent(lane, name));
            let numbers = state.numbers.iter().filter(|(name, _)| later(name) && sent(name));
            numbers.filter_map(|(_, number)| state.host(*number)).take(limit).collect()
        })
    }

    fn controlled(&self) -> StoreFuture<Vec<(HostName, HostControls)>> {
        self.read(|state| {
            let default = HostControls::default();
            let hosts = state.numbers.values().filter_map(|number| state.hosts.get(number));
            hosts
                .filter(|host| host.controls != default)
                .map(|host| (host.name.clone(), host.controls.clone()))
                .collect()
        })
    }

    fn control(&self, host: HostNumber, controls: HostControls) -> StoreFuture<()> {
        self.write(|state, _| {
            if let Some(host) = state.hosts.get_mut(&host) {
                host.controls = controls;
            }
            Ok(())
        })
    }

    fn intervals(
        &self,
        host: HostNumber,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> StoreFuture<Vec<HostInterval>> {
        self.read(|state| {
            let overlaps = |interval: &&HostInterval| {
                interval.from <= to && interval.to.is_none_or(|end| end >= from)
            };
            let host = state.hosts.get(&host);
            let intervals = host.map(|host| host.intervals.iter().rev()).into_iter().flatten();
            intervals.filter(overlaps).take(limit).cloned().collect()
        })
    }
}

impl QueryStore for MemoryStore {
    fn find(&self, id: DeliveryId) -> StoreFuture<Option<DeliveryRecord>> {
        self.read(|state| {
            state.row(id).map(|(seq, row)| row.record(seq, row.delivery.webhook.clone()))
        })
    }

    fn attempts(&self, id: DeliveryId) -> StoreFuture<Vec<Attempt>> {
        self.read(|state| state.row(id).map_or_else(Vec::new, |(_, row)| row.attempts.clone()))
    }

    fn list(
        &self,
        filter: DeliveryFilter,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Page<DeliveryRecord>, QueryError>> {
        let below = match after.map(|text| text.parse::<u64>()) {
            None => u64::MAX,
            Some(Ok(seq)) => seq,
            Some(Err(_)) => return future::ready(Err(QueryError::BadCursor)).boxed(),
        };
        let page = self.read(move |state| {
            let rows = state.rows.range(..below).rev().filter(|(_, row)| row.passes(&filter));
            let mut rows: Vec<_> = rows.take(limit + 1).collect();
            let more = rows.len() > limit;
            rows.truncate(limit);
            let next = rows.last().filter(|_| more).map(|(seq, _)| seq.to_string());
            let bare =
                |webhook: &Webhook| Arc::new(Webhook { body: Bytes::new(), ..webhook.clone() });
            let rows = rows.iter().map(|(seq, row)| row.record(**seq, bare(&row.delivery.webhook)));
            Page { rows: rows.collect(), next }
        });
        page.map(|page| page.map_err(QueryError::from)).boxed()
    }

    fn dead_letters(&self, from: Timestamp, limit: usize) -> StoreFuture<Vec<DeliveryId>> {
        self.read(move |state| state.dead_letters(from, limit))
    }

    fn count(&self, filter: DeliveryFilter, max: u64) -> StoreFuture<u64> {
        self.read(|state| {
            let max = usize::try_from(max).unwrap_or(usize::MAX);
            state.rows.values().filter(|row| row.passes(&filter)).take(max).count() as u64
        })
    }

    fn place(&self, id: DeliveryId, max: u64) -> StoreFuture<Option<Place>> {
        self.read(|state| state.place(id, max))
    }
}

impl RecordStore for MemoryStore {
    fn records(
        &self,
        workspace: u32,
        kind: RecordKind,
        keys: Vec<String>,
    ) -> StoreFuture<Vec<Option<Record>>> {
        self.read(|state| keys.iter().map(|key| state.records.get(workspace, kind, key)).collect())
    }

    fn scan(
        &self,
        workspace: u32,
        kind: RecordKind,
        (prefix, after): (String, Option<String>),
        limit: usize,
    ) -> StoreFuture<Vec<Record>> {
        let after = after.as_deref();
        self.read(|state| state.records.scan((workspace, kind), (&prefix, after), limit))
    }

    fn due(&self, workspace: u32, kind: RecordKind, limit: usize) -> StoreFuture<Vec<Record>> {
        self.read(|state| state.records.due(workspace, kind, limit))
    }

    fn tally(&self, subject: String, from: Timestamp, until: Timestamp) -> StoreFuture<Vec<Count>> {
        self.read(|state| state.records.tally(&subject, from, until))
    }
}

impl ReportStore for MemoryStore {
    fn report(&self, query: ReportQuery) -> StoreFuture<ReportPoints> {
        self.read(|state| state.reports.report(&query))
    }

    fn fold(&self) -> StoreFuture<bool> {
        self.read(|_| false)
    }

    fn forget(&self, kept: Kept, now: Timestamp, _limit: usize) -> StoreFuture<bool> {
        self.write(|state, _| {
            state.records.forget(now.minus(kept.days), now.minus(kept.audit));
            state.reports.forget(kept, now);
            Ok(false)
        })
    }

    fn activity(
        &self,
        filter: ActivityFilter,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Page<Logged>, QueryError>> {
        let below = match after.map(|text| text.parse::<u64>()) {
            None => u64::MAX,
            Some(Ok(number)) => number,
            Some(Err(_)) => return future::ready(Err(QueryError::BadCursor)).boxed(),
        };
        let page = self.read(move |state| state.reports.activity(&filter, below, limit));
        page.map(|page| page.map_err(QueryError::from)).boxed()
    }

    fn logged(&self, filter: ActivityFilter, limit: usize) -> StoreFuture<(Vec<Logged>, bool)> {
        self.read(|state| state.reports.logged(&filter, limit))
    }
}
