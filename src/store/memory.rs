//! The engine that keeps nothing: plain maps behind a mutex, every future ready at once. For tests
//! and simulation, and for trials where losing everything is wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::{self, BoxFuture};

use crate::model::id::SERIAL_BITS;
use crate::model::{
    Attempt, Delivery, DeliveryId, End, HostControls, HostName, HostNumber, OnFailure, Pending,
    Settlement, StoredState, Timestamp, Verdict, Webhook,
};
use crate::store::{
    Acceptance, Accepted, ConditionChange, DeliveryFilter, DeliveryRecord, DeliveryStore,
    HostInterval, HostRecord, HostStore, HostUpdate, INTERVAL_GAP, Idempotency, Page, PendingSink,
    Place, QueryError, QueryStore, Released, StoreCounts, StoreError, StoreFuture, StoreHealth,
    StoreLimits, Wakeup,
};

/// An ordering key: unique within host and lane.
type Key = (HostNumber, u32, String);

/// The engine in memory.
pub struct MemoryStore {
    limits: StoreLimits,
    sink: OnceLock<Arc<dyn PendingSink>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    closed: bool,
    commits: u64,
    counts: StoreCounts,
    rows: BTreeMap<u64, Row>,
    by_id: BTreeMap<DeliveryId, u64>,
    queues: BTreeMap<HostNumber, BTreeSet<(Timestamp, u64)>>,
    /// Those in line for a key or blocking it, by order of acceptance.
    keys: BTreeMap<Key, BTreeSet<u64>>,
    hosts: BTreeMap<HostNumber, Host>,
    numbers: BTreeMap<HostName, HostNumber>,
    idempotency: BTreeMap<(u32, String), Idempotency>,
}

struct Row {
    delivery: Arc<Delivery>,
    state: StoredState,
    due: Timestamp,
    expires: Timestamp,
    ended: Option<Timestamp>,
    retries: u32,
    attempts: Vec<Attempt>,
    blocks: bool,
}

struct Host {
    name: HostName,
    saved: Option<String>,
    controls: HostControls,
    /// Oldest first.
    intervals: Vec<HostInterval>,
}

type Fresh = Vec<(HostName, Pending)>;

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

impl Row {
    fn key(&self) -> Option<Key> {
        let name = self.delivery.ordering_key.clone()?;
        Some((self.delivery.id.host(), self.delivery.workspace, name))
    }

    fn attempts_made(&self) -> u32 {
        self.attempts.last().map_or(0, |attempt| attempt.number)
    }

    fn in_line(&self) -> bool {
        self.blocks || !matches!(self.state, StoredState::Ended(_))
    }

    fn pending(&self, seq: u64) -> Pending {
        Pending {
            due: self.due,
            expires: self.expires,
            attempts: self.attempts_made(),
            retries: self.retries,
            webhook: None,
            ..Pending::of(&self.delivery, seq)
        }
    }

    fn record(&self, seq: u64, webhook: Arc<Webhook>) -> DeliveryRecord {
        let delivery = &self.delivery;
        DeliveryRecord {
            id: delivery.id,
            trigger: delivery.trigger,
            host: delivery.host.clone(),
            seq,
            state: self.state,
            accepted: delivery.accepted,
            due: self.due,
            expires: self.expires,
            ended: self.ended,
            attempts: self.attempts_made(),
            retries: self.retries,
            last_status: self.attempts.last().and_then(Attempt::status),
            ordering_key: delivery.ordering_key.clone(),
            blocks_key: self.blocks,
            metadata: delivery.metadata.clone(),
            priority: delivery.priority,
            webhook,
        }
    }

    fn passes(&self, filter: &DeliveryFilter) -> bool {
        let delivery = &self.delivery;
        filter.host.as_ref().is_none_or(|host| *host == delivery.host)
            && (filter.states.is_empty() || filter.states.contains(&self.state))
            && filter.trigger.is_none_or(|trigger| trigger == delivery.trigger)
            && filter.metadata.iter().all(|pair| delivery.metadata.contains(pair))
            && filter.from.is_none_or(|from| delivery.accepted >= from)
            && filter.until.is_none_or(|until| delivery.accepted < until)
            && filter.ids.as_ref().is_none_or(|ids| ids.contains(&delivery.id))
    }
}

impl State {
    fn row(&self, id: DeliveryId) -> Option<(u64, &Row)> {
        let seq = *self.by_id.get(&id)?;
        self.rows.get(&seq).map(|row| (seq, row))
    }

    fn count(&mut self, state: StoredState) -> &mut u64 {
        match state {
            StoredState::Pending => &mut self.counts.pending,
            StoredState::Parked => &mut self.counts.parked,
            StoredState::Ended(End::Delivered) => &mut self.counts.delivered,
            StoredState::Ended(End::Failed) => &mut self.counts.failed,
            StoredState::Ended(End::Exhausted) => &mut self.counts.exhausted,
            StoredState::Ended(End::Expired) => &mut self.counts.expired,
            StoredState::Ended(End::Cancelled) => &mut self.counts.cancelled,
        }
    }

    /// Takes a row out of its queue and line, changes it, and puts it where it belongs now.
    fn change(&mut self, seq: u64, change: impl FnOnce(&mut Row)) {
        let Some(mut row) = self.rows.remove(&seq) else { return };
        self.unlist(seq, &row);
        change(&mut row);
        self.list(seq, &row);
        self.rows.insert(seq, row);
    }

    fn unlist(&mut self, seq: u64, row: &Row) {
        *self.count(row.state) -= 1;
        let host = row.delivery.id.host();
        if let Some(queue) = self.queues.get_mut(&host) {
            queue.remove(&(row.due, seq));
            if queue.is_empty() {
                self.queues.remove(&host);
            }
        }
        if let Some(key) = row.key()
            && let Some(line) = self.keys.get_mut(&key)
        {
            line.remove(&seq);
            if line.is_empty() {
                self.keys.remove(&key);
            }
        }
    }

    fn list(&mut self, seq: u64, row: &Row) {
        *self.count(row.state) += 1;
        if row.state == StoredState::Pending {
            self.queues.entry(row.delivery.id.host()).or_default().insert((row.due, seq));
        }
        if let Some(key) = row.key().filter(|_| row.in_line()) {
            self.keys.entry(key).or_default().insert(seq);
        }
    }

    fn insert(&mut self, delivery: Arc<Delivery>, fresh: &mut Fresh) {
        // An id that is there already comes from a repeat after a lost answer.
        if self.by_id.contains_key(&delivery.id) {
            return;
        }
        self.counts.accepted += 1;
        let seq = self.counts.accepted;
        let mut row = Row {
            state: StoredState::Pending,
            due: delivery.due,
            expires: delivery.expires,
            ended: None,
            retries: 0,
            attempts: Vec::new(),
            blocks: false,
            delivery,
        };
        if row.key().is_some_and(|key| self.keys.contains_key(&key)) {
            row.state = StoredState::Parked;
        } else {
            fresh.push((row.delivery.host.clone(), Pending::of(&row.delivery, seq)));
        }
        self.by_id.insert(row.delivery.id, seq);
        self.list(seq, &row);
        self.rows.insert(seq, row);
    }

    /// Lets the next of a key go, if it may.
    fn release(&mut self, key: &Key) -> Option<(HostName, Pending)> {
        let line = self.keys.get(key)?;
        let state = |seq: &u64| self.rows.get(seq).map(|row| row.state);
        if line.iter().any(|seq| state(seq) == Some(StoredState::Pending)) {
            return None;
        }
        let first = *line.first()?;
        if state(&first) != Some(StoredState::Parked) {
            return None;
        }
        self.change(first, |row| row.state = StoredState::Pending);
        self.rows.get(&first).map(|row| (row.delivery.host.clone(), row.pending(first)))
    }

    fn settle(&mut self, settlement: Settlement) -> Option<(HostName, Pending)> {
        let (seq, row) = self.row(settlement.id)?;
        let recorded = settlement.attempt.as_ref().is_some_and(|a| a.number <= row.attempts_made());
        if recorded {
            return None;
        }
        let (state, blocks, key) = (row.state, row.blocks, row.key());
        if let Some(attempt) = settlement.attempt {
            self.rows.get_mut(&seq)?.attempts.push(attempt);
        }
        let verdict = settlement.verdict;
        let unblocks = blocks && verdict == Verdict::End(End::Cancelled);
        if matches!(state, StoredState::Ended(_)) && !unblocks {
            return None;
        }
        match verdict {
            Verdict::Again { due, retries } => {
                self.change(seq, |row| {
                    row.due = due;
                    row.retries = retries;
                });
                None
            }
            Verdict::End(end) => {
                self.change(seq, |row| {
                    row.state = StoredState::Ended(end);
                    row.ended = Some(settlement.at);
                    row.blocks = row.delivery.ordering_key.is_some()
                        && row.delivery.on_failure == OnFailure::Block
                        && end.is_dead_letter();
                });
                self.release(&key?)
            }
        }
    }

    fn redrive(
        &mut self,
        ids: &[DeliveryId],
        now: Timestamp,
        fresh: &mut Fresh,
    ) -> Vec<DeliveryId> {
        let mut done = Vec::new();
        let mut keys = BTreeSet::new();
        for id in ids {
            let Some((seq, row)) = self.row(*id) else { continue };
            let redrivable = matches!(row.state, StoredState::Ended(end) if end != End::Delivered);
            if !redrivable {
                continue;
            }
            let key = row.key();
            self.change(seq, |row| {
                row.due = now;
                row.expires = now.plus(row.delivery.ttl);
                row.ended = None;
                row.retries = 0;
                row.blocks = false;
                row.state = if key.is_some() { StoredState::Parked } else { StoredState::Pending };
            });
            done.push(*id);
            match key {
                Some(key) => drop(keys.insert(key)),
                None => {
                    if let Some(row) = self.rows.get(&seq) {
                        fresh.push((row.delivery.host.clone(), row.pending(seq)));
                    }
                }
            }
        }
        // All are in line before anyone is let go, so that they go in order of acceptance.
        fresh.extend(keys.iter().filter_map(|key| self.release(key)));
        done
    }

    fn sweep(&mut self, before: Timestamp, now: Timestamp, limit: usize) -> (usize, bool) {
        let mut over: Vec<(Timestamp, u64)> = self
            .rows
            .iter()
            .filter(|(_, row)| !row.blocks)
            .filter_map(|(seq, row)| Some((row.ended.filter(|ended| *ended < before)?, *seq)))
            .collect();
        over.sort_unstable();
        let more = over.len() >= limit;
        over.truncate(limit);
        for (_, seq) in &over {
            if let Some(row) = self.rows.remove(seq) {
                self.by_id.remove(&row.delivery.id);
            }
        }
        self.idempotency.retain(|_, record| record.expires > now);
        for host in self.hosts.values_mut() {
            host.intervals.retain(|interval| interval.to.is_none_or(|to| to >= before));
        }
        (over.len(), more)
    }

    fn number(&mut self, name: HostName) -> Result<HostNumber, StoreError> {
        if let Some(number) = self.numbers.get(&name) {
            return Ok(*number);
        }
        let shard = name.shard();
        let serials_max = (1 << SERIAL_BITS) - 1;
        let first = HostNumber(shard << SERIAL_BITS);
        let last = self.hosts.range(first..=HostNumber(first.0 | serials_max)).next_back();
        let serial = last.map_or(0, |(last, _)| (last.0 & serials_max) + 1);
        let full = || StoreError::Unavailable(format!("shard {shard} has no host number left"));
        let number = HostNumber::new(shard, serial).ok_or_else(full)?;
        let host = Host {
            name: name.clone(),
            saved: None,
            controls: HostControls::default(),
            intervals: Vec::new(),
        };
        self.hosts.insert(number, host);
        self.numbers.insert(name, number);
        Ok(number)
    }

    fn host(&self, number: HostNumber) -> Option<HostRecord> {
        let host = self.hosts.get(&number)?;
        Some(HostRecord {
            number,
            name: host.name.clone(),
            saved: host.saved.clone(),
            controls: host.controls.clone(),
            pending: self.pending_of(number),
        })
    }

    fn pending_of(&self, host: HostNumber) -> u64 {
        self.queues.get(&host).map_or(0, |queue| queue.len() as u64)
    }

    fn name_of(&self, number: HostNumber) -> Option<HostName> {
        self.hosts.get(&number).map(|host| host.name.clone())
    }

    fn place(&self, id: DeliveryId, max: u64) -> Option<Place> {
        let (seq, row) = self.row(id)?;
        if matches!(row.state, StoredState::Ended(_)) {
            return None;
        }
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let queue = self.queues.get(&id.host());
        let ahead = queue.map_or(0, |queue| queue.range(..(row.due, seq)).take(max).count());
        let line = row.key().filter(|_| row.state == StoredState::Parked);
        let line = line.and_then(|key| self.keys.get(&key));
        let behind = line.and_then(|line| {
            let mut rows = line.iter().filter_map(|seq| self.rows.get(seq));
            let head = rows.clone().find(|row| row.state == StoredState::Pending);
            head.or_else(|| rows.next()).map(|row| row.delivery.id)
        });
        Some(Place { ahead: ahead as u64, behind })
    }
}

impl Host {
    /// Ends the open interval, and continues or begins one. A change from before the last one is a
    /// repeat and changes nothing.
    fn change_condition(&mut self, change: ConditionChange) {
        if let Some(last) = self.intervals.last_mut() {
            let same = change.condition == Some(last.condition.as_str());
            let repeat = change.at < last.from || last.to.is_some_and(|to| change.at < to);
            if repeat || (same && last.to.is_none()) {
                return;
            }
            if same && last.to.is_some_and(|to| to.until(change.at) < INTERVAL_GAP) {
                last.to = None;
                return;
            }
            last.to.get_or_insert(change.at);
        }
        if let Some(condition) = change.condition {
            let reason = change.reason;
            let interval =
                HostInterval { condition: condition.into(), reason, from: change.at, to: None };
            self.intervals.push(interval);
        }
    }
}

impl DeliveryStore for MemoryStore {
    fn accept(&self, acceptance: Acceptance) -> StoreFuture<Accepted> {
        let max_pending = self.limits.max_pending;
        self.write(|state, fresh| {
            let now = acceptance.deliveries.first().map_or(Timestamp::default(), |d| d.accepted);
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
            let owed = state.counts.pending + state.counts.parked;
            if owed + acceptance.deliveries.len() as u64 > max_pending {
                return Err(StoreError::Full { max_pending });
            }
            for delivery in acceptance.deliveries {
                state.insert(delivery, fresh);
            }
            if let Some(used) = acceptance.idempotency {
                state.idempotency.insert((used.workspace, used.key.clone()), used);
            }
            Ok(Accepted::New)
        })
    }

    fn settle(
        &self,
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
                let Some(host) = state.hosts.get_mut(&update.host) else { continue };
                host.saved = Some(update.saved);
                update.changes.into_iter().for_each(|change| host.change_condition(change));
            }
            Ok(released)
        })
    }

    fn page(&self, host: HostNumber, limit: usize) -> StoreFuture<Vec<Pending>> {
        self.read(|state| {
            let queue = state.queues.get(&host).into_iter().flatten();
            let rows = queue.filter_map(|(_, seq)| Some((*seq, state.rows.get(seq)?)));
            rows.take(limit).map(|(seq, row)| row.pending(seq)).collect()
        })
    }

    fn fetch(&self, ids: Vec<DeliveryId>) -> StoreFuture<Vec<(DeliveryId, Arc<Webhook>)>> {
        self.read(|state| {
            let row = |id| state.row(id).map(|(_, row)| (id, row.delivery.webhook.clone()));
            ids.into_iter().filter_map(row).collect()
        })
    }

    fn wakeups(&self, after: Option<HostNumber>, limit: usize) -> StoreFuture<Vec<Wakeup>> {
        self.read(|state| {
            let later = |number: &HostNumber| after.is_none_or(|after| *number > after);
            let queues = state.queues.iter().filter(|(number, _)| later(number));
            let wakeup = |(number, queue): (&HostNumber, &BTreeSet<(Timestamp, u64)>)| {
                let (due, _) = *queue.first()?;
                Some(Wakeup { number: *number, name: state.name_of(*number)?, due })
            };
            queues.filter_map(wakeup).take(limit).collect()
        })
    }

    fn overdue(&self, now: Timestamp, limit: usize) -> StoreFuture<Vec<(HostName, DeliveryId)>> {
        self.read(|state| {
            let mut found: Vec<_> = state
                .rows
                .values()
                .filter(|row| row.expires <= now)
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

    fn hosts(&self, after: Option<HostName>, limit: usize) -> StoreFuture<Vec<HostRecord>> {
        self.read(|state| {
            let later = |name: &HostName| after.as_ref().is_none_or(|after| name > after);
            let numbers = state.numbers.iter().filter(|(name, _)| later(name));
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
