//! The maps, and the moves of a delivery between them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::hosts::Host;
use super::records::Records;
use super::reports::{Before, Reports};
use crate::model::id::SERIAL_BITS;
use crate::model::{
    Attempt, Delivery, DeliveryId, End, HostControls, HostName, HostNumber, OnFailure, Pending,
    Settlement, StoredState, Timestamp, Verdict, Webhook,
};
use crate::store::{
    DeliveryFilter, DeliveryRecord, HostRecord, HostUpdate, Idempotency, Place, StoreCounts,
    StoreError,
};

/// What is pending of a host and lane, in order.
pub(super) type Queue = BTreeSet<(Timestamp, u64)>;
/// An ordering key: unique within host and lane.
pub(super) type Key = (HostNumber, u32, String);

#[derive(Default)]
pub(super) struct State {
    pub(super) closed: bool,
    pub(super) commits: u64,
    pub(super) counts: StoreCounts,
    pub(super) rows: BTreeMap<u64, Row>,
    pub(super) by_id: BTreeMap<DeliveryId, u64>,
    pub(super) queues: BTreeMap<(HostNumber, u32), Queue>,
    /// Owed by workspace.
    pub(super) owed: BTreeMap<u32, u64>,
    /// Those in line for a key or blocking it, by order of acceptance.
    pub(super) keys: BTreeMap<Key, BTreeSet<u64>>,
    pub(super) hosts: BTreeMap<HostNumber, Host>,
    pub(super) numbers: BTreeMap<HostName, HostNumber>,
    pub(super) idempotency: BTreeMap<(u32, String), Idempotency>,
    pub(super) records: Records,
    pub(super) reports: Reports,
}

pub(super) struct Row {
    pub(super) delivery: Arc<Delivery>,
    pub(super) state: StoredState,
    pub(super) due: Timestamp,
    pub(super) expires: Timestamp,
    pub(super) ended: Option<Timestamp>,
    pub(super) retries: u32,
    pub(super) attempts: Vec<Attempt>,
    pub(super) blocks: bool,
}

pub(super) type Fresh = Vec<(HostName, Pending)>;

impl Row {
    pub(super) fn key(&self) -> Option<Key> {
        let name = self.delivery.ordering_key.clone()?;
        Some((self.delivery.id.host(), self.delivery.workspace, name))
    }

    /// Host and workspace.
    fn lane(&self) -> (HostNumber, u32) {
        (self.delivery.id.host(), self.delivery.workspace)
    }

    /// Whether it holds its ordering key back once it has ended so.
    fn blocks_after(&self, end: End) -> bool {
        self.delivery.ordering_key.is_some()
            && self.delivery.on_failure == OnFailure::Block
            && end.is_dead_letter()
    }

    fn is_owed(&self) -> bool {
        !matches!(self.state, StoredState::Ended(_))
    }

    pub(super) fn attempts_made(&self) -> u32 {
        self.attempts.last().map_or(0, |attempt| attempt.number)
    }

    fn is_tagged(&self, (key, value): &(String, String)) -> bool {
        let mut ours = self.delivery.provenance.iter().flat_map(|provenance| provenance.tags());
        self.delivery.metadata.iter().any(|pair| (&pair.0, &pair.1) == (key, value))
            || ours.any(|(tag, given)| tag == *key && given == value)
    }

    pub(super) fn in_line(&self) -> bool {
        self.blocks || !matches!(self.state, StoredState::Ended(_))
    }

    pub(super) fn pending(&self, seq: u64) -> Pending {
        Pending {
            due: self.due,
            expires: self.expires,
            attempts: self.attempts_made(),
            retries: self.retries,
            webhook: None,
            ..Pending::of(&self.delivery, seq)
        }
    }

    pub(super) fn record(&self, seq: u64, webhook: Arc<Webhook>) -> DeliveryRecord {
        let delivery = &self.delivery;
        DeliveryRecord {
            id: delivery.id,
            workspace: delivery.workspace,
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
            provenance: delivery.provenance.clone(),
            hop: delivery.hop,
            priority: delivery.priority,
            webhook,
        }
    }

    pub(super) fn passes(&self, filter: &DeliveryFilter) -> bool {
        let delivery = &self.delivery;
        filter.workspace.is_none_or(|workspace| workspace == delivery.workspace)
            && filter.host.as_ref().is_none_or(|host| *host == delivery.host)
            && (filter.states.is_empty() || filter.states.contains(&self.state))
            && filter.trigger.is_none_or(|trigger| trigger == delivery.trigger)
            && filter.metadata.iter().all(|pair| self.is_tagged(pair))
            && filter.from.is_none_or(|from| delivery.accepted >= from)
            && filter.until.is_none_or(|until| delivery.accepted < until)
            && filter.ids.as_ref().is_none_or(|ids| ids.contains(&delivery.id))
    }
}

impl State {
    pub(super) fn row(&self, id: DeliveryId) -> Option<(u64, &Row)> {
        let seq = *self.by_id.get(&id)?;
        self.rows.get(&seq).map(|row| (seq, row))
    }

    pub(super) fn count(&mut self, state: StoredState) -> &mut u64 {
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
    pub(super) fn change(&mut self, seq: u64, change: impl FnOnce(&mut Row)) {
        let Some(mut row) = self.rows.remove(&seq) else { return };
        self.unlist(seq, &row);
        change(&mut row);
        self.list(seq, &row);
        self.rows.insert(seq, row);
    }

    pub(super) fn unlist(&mut self, seq: u64, row: &Row) {
        *self.count(row.state) -= 1;
        let lane = row.lane();
        if let Some(queue) = self.queues.get_mut(&lane) {
            queue.remove(&(row.due, seq));
            if queue.is_empty() {
                self.queues.remove(&lane);
            }
        }
        if row.is_owed() {
            *self.owed.entry(lane.1).or_default() -= 1;
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

    pub(super) fn list(&mut self, seq: u64, row: &Row) {
        *self.count(row.state) += 1;
        if row.state == StoredState::Pending {
            self.queues.entry(row.lane()).or_default().insert((row.due, seq));
        }
        if row.is_owed() {
            *self.owed.entry(row.delivery.workspace).or_default() += 1;
        }
        if let Some(key) = row.key().filter(|_| row.in_line()) {
            self.keys.entry(key).or_default().insert(seq);
        }
    }

    pub(super) fn insert(&mut self, delivery: Arc<Delivery>, fresh: &mut Fresh) {
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
        self.reports.sent(&row.delivery);
        self.list(seq, &row);
        self.rows.insert(seq, row);
    }

    /// Lets the next of a key go, if it may.
    pub(super) fn release(&mut self, key: &Key) -> Option<(HostName, Pending)> {
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

    /// Whether a workspace has deliveries for a host.
    pub(super) fn has_sent(&self, workspace: u32, host: &HostName) -> bool {
        let mut deliveries = self.rows.values().map(|row| &row.delivery);
        deliveries.any(|delivery| delivery.workspace == workspace && delivery.host == *host)
    }

    pub(super) fn settle(&mut self, settlement: Settlement) -> Option<(HostName, Pending)> {
        let (seq, row) = self.row(settlement.id)?;
        let recorded = settlement.attempt.as_ref().is_some_and(|a| a.number <= row.attempts_made());
        if recorded {
            return None;
        }
        let (state, blocks, key) = (row.state, row.blocks, row.key());
        let owed = Some((row.attempts_made(), row.due)).filter(|_| row.is_owed());
        let settled = settlement.clone();
        if let Some(attempt) = settlement.attempt {
            self.rows.get_mut(&seq)?.attempts.push(attempt);
        }
        let verdict = settlement.verdict;
        let unblocks = blocks && verdict == Verdict::End(End::Cancelled);
        if matches!(state, StoredState::Ended(_)) && !unblocks {
            return None;
        }
        let row = self.rows.get(&seq)?;
        let blocks = matches!(verdict, Verdict::End(end) if row.blocks_after(end));
        let status = row.attempts.last().and_then(Attempt::status);
        let before = Before { delivery: &row.delivery.clone(), owed, status, blocks };
        self.records.settled(&settled, before.delivery.provenance.as_deref(), status);
        self.reports.settled(&settled, &before);
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
                    row.blocks = blocks;
                });
                self.release(&key?)
            }
        }
    }

    pub(super) fn redrive(
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

    pub(super) fn sweep(
        &mut self,
        before: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> (usize, bool) {
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

    pub(super) fn number(&mut self, name: HostName) -> Result<HostNumber, StoreError> {
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

    /// Keeps what an actor wants kept.
    pub(super) fn update(&mut self, update: HostUpdate) {
        let lanes: Vec<u32> = self.lanes_of(update.host).map(|(lane, _)| lane).collect();
        let Some(host) = self.hosts.get_mut(&update.host) else { return };
        host.saved = Some(update.saved);
        for change in update.changes {
            let was = host.condition().map(str::to_owned);
            if host.change_condition(change.clone()) {
                let named = (update.host, &host.name);
                self.reports.note_condition(named, was.as_deref(), &change, &lanes);
            }
        }
    }

    pub(super) fn host(&self, number: HostNumber) -> Option<HostRecord> {
        let host = self.hosts.get(&number)?;
        Some(HostRecord {
            number,
            name: host.name.clone(),
            saved: host.saved.clone(),
            controls: host.controls.clone(),
            pending: self.pending_of(number),
        })
    }

    pub(super) fn pending_of(&self, host: HostNumber) -> u64 {
        self.lanes_of(host).map(|(_, queue)| queue.len() as u64).sum()
    }

    /// The lanes of a host that have something pending.
    pub(super) fn lanes_of(&self, host: HostNumber) -> impl Iterator<Item = (u32, &Queue)> {
        let lanes = self.queues.range((host, 0)..=(host, u32::MAX));
        lanes.map(|((_, lane), queue)| (*lane, queue))
    }

    pub(super) fn name_of(&self, number: HostNumber) -> Option<HostName> {
        self.hosts.get(&number).map(|host| host.name.clone())
    }

    pub(super) fn dead_letters(&self, from: Timestamp, limit: usize) -> Vec<DeliveryId> {
        let told = |row: &&Row| row.state == StoredState::Ended(End::Exhausted) || row.blocks;
        let rows = self.rows.values().filter(told);
        let mut ended: Vec<(Timestamp, DeliveryId)> =
            rows.filter_map(|row| Some((row.ended?, row.delivery.id))).collect();
        ended.retain(|(at, _)| *at >= from);
        ended.sort_unstable();
        ended.into_iter().map(|(_, id)| id).take(limit).collect()
    }

    pub(super) fn place(&self, id: DeliveryId, max: u64) -> Option<Place> {
        let (seq, row) = self.row(id)?;
        if matches!(row.state, StoredState::Ended(_)) {
            return None;
        }
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let queue = self.queues.get(&row.lane());
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
