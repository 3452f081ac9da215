//! Inside a transaction: accepting, and the moves of a delivery from state to state. Keeps beside
//! the rows what has to change in memory once the commit is through.
//!
//! Ordering keys. Of the deliveries with one key on one host and lane, at most one is pending (the
//! head); the others are parked or block the key. Whenever none is pending, the one accepted first
//! decides: parked, it is released; blocking, the key waits.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use rusqlite::{Connection, OptionalExtension, params};

use super::activity::Notes;
use super::codec::{self, PARKED};
use super::counting::Deltas;
use super::records;
use super::shared::{Owed, Shared, Sums};
use crate::model::{
    Delivery, DeliveryId, End, HostName, HostNumber, Pending, StoredState, Timestamp,
};
use crate::store::{Acceptance, Accepted, CountKey, StoreError, hour_of};

/// What a commit changes in memory.
#[derive(Clone)]
pub(super) struct Effect {
    pub sums: Sums,
    owed: HashMap<(HostNumber, u32), Owed>,
    fresh: Vec<(HostName, Pending)>,
    pub(super) named: Vec<(HostName, HostNumber)>,
    /// What composed deliveries counted, by the hour.
    tallies: Tallies,
    /// What reports count.
    pub(super) deltas: Deltas,
    /// Entries of the activity log that may have company.
    pub(super) notes: Notes,
}

/// How often something happened in an hour.
pub(super) type Tallies = HashMap<(CountKey, Timestamp), i64>;

impl Effect {
    /// Counts first, then the news, so that whoever hears it finds the counts right.
    pub(super) fn put_in_force(self, shared: &Shared) {
        shared.apply(self.sums, &self.owed);
        self.announce(shared);
    }

    /// Tells what is new, where the counts were read from the file already.
    pub(super) fn announce(self, shared: &Shared) {
        for (name, number) in self.named {
            shared.remember(name, number);
        }
        if let Some(sink) = shared.sink.get()
            && !self.fresh.is_empty()
        {
            sink.pending(self.fresh);
        }
    }
}

/// An open transaction.
pub(super) struct Change<'a> {
    pub connection: &'a Connection,
    pub(super) shared: &'a Shared,
    before: Sums,
    rows_before: u64,
    pub(super) effect: Effect,
}

/// One ordering key.
pub(super) struct Key<'a> {
    pub host: HostNumber,
    pub lane: u32,
    pub name: &'a str,
}

impl<'a> Change<'a> {
    pub(super) fn new(connection: &'a Connection, shared: &'a Shared, before: Sums) -> Self {
        let effect = Effect {
            sums: before,
            owed: HashMap::new(),
            fresh: Vec::new(),
            named: Vec::new(),
            tallies: Tallies::new(),
            deltas: Deltas::default(),
            notes: Notes::new(),
        };
        let rows_before = connection.total_changes();
        Self { connection, shared, before, rows_before, effect }
    }

    pub(super) fn mark(&self) -> Effect {
        self.effect.clone()
    }

    pub(super) fn return_to(&mut self, mark: Effect) {
        self.effect = mark;
    }

    /// Forgets everything, after the transaction was rolled back.
    pub(super) fn reset(&mut self) {
        *self = Self::new(self.connection, self.shared, self.before);
    }

    /// Writes the counts, last in the transaction; nothing when it only read.
    pub(super) fn finish(&mut self) -> rusqlite::Result<()> {
        // What is only counted, such as somebody left out, has changed no row so far.
        self.write_tallies()?;
        self.write_deltas()?;
        self.write_notes()?;
        if self.connection.total_changes() == self.rows_before {
            return Ok(());
        }
        self.effect.sums.commits += 1;
        let Sums { by_state, accepted, commits } = self.effect.sums;
        let [_, _, delivered, failed, exhausted, expired, cancelled] = by_state;
        self.connection
            .prepare_cached(
                "UPDATE counts SET commits = ?1, accepted = ?2, delivered = ?3, failed = ?4, \
                 exhausted = ?5, expired = ?6, cancelled = ?7",
            )?
            .execute([commits, accepted, delivered, failed, exhausted, expired, cancelled])?;
        Ok(())
    }

    pub(super) fn into_effect(self) -> Effect {
        self.effect
    }

    /// Counts a delivery of a host and lane out of one state (unless it is new) and into another.
    pub(super) fn count(
        &mut self,
        queue: (HostNumber, u32),
        from: Option<StoredState>,
        to: StoredState,
    ) {
        let owed = self.effect.owed.entry(queue).or_default();
        let sides = from.map(|from| (from, -1)).into_iter().chain([(to, 1)]);
        for (state, by) in sides {
            self.effect.sums.by_state[codec::state_code(state) as usize] += by;
            match state {
                StoredState::Pending => owed.pending += by,
                StoredState::Parked => owed.parked += by,
                StoredState::Ended(_) => {}
            }
        }
    }

    /// Counts something that happened at `at`; written once, when the transaction ends.
    pub(super) fn tally(&mut self, key: CountKey, at: Timestamp, number: i64) {
        *self.effect.tallies.entry((key, hour_of(at))).or_default() += number;
    }

    pub(super) fn tallies(&self) -> &Tallies {
        &self.effect.tallies
    }

    /// Tells the sink, after the commit.
    pub(super) fn announce(&mut self, host: HostName, entry: Pending) {
        self.effect.fresh.push((host, entry));
    }

    /// See [`crate::store::DeliveryStore::accept`].
    pub(super) fn accept(
        &mut self,
        acceptance: &Acceptance,
    ) -> rusqlite::Result<Result<Accepted, StoreError>> {
        if let Some(idempotency) = &acceptance.idempotency
            && let Some(used) = self.used_key(idempotency, acceptance.at)?
        {
            return Ok(Ok(used));
        }
        if self.is_repeat(acceptance)? {
            return Ok(Ok(Accepted::New));
        }
        if let Some(place) = self.stale(acceptance.workspace, &acceptance.writes.records)? {
            return Ok(Ok(Accepted::Stale(place)));
        }
        if self.shared.short.load(Ordering::Relaxed) {
            return Ok(Err(StoreError::Unavailable("the disk is full".into())));
        }
        let max_pending = self.shared.limits.max_pending;
        let owed = u64::try_from(self.effect.sums.owed()).unwrap_or(0);
        if owed + acceptance.deliveries.len() as u64 > max_pending {
            return Ok(Err(StoreError::Full { max_pending }));
        }
        for delivery in &acceptance.deliveries {
            self.insert(delivery)?;
        }
        self.write((acceptance.workspace, acceptance.at), &acceptance.writes)?;
        if let Some(idempotency) = &acceptance.idempotency {
            self.keep_key(idempotency)?;
        }
        Ok(Ok(Accepted::New))
    }

    fn insert(&mut self, delivery: &Delivery) -> rusqlite::Result<()> {
        let host = delivery.id.host();
        let key = delivery.ordering_key.as_deref();
        let parked = match key {
            Some(name) => self.in_line(&Key { host, lane: delivery.workspace, name })?,
            None => false,
        };
        let state = if parked { StoredState::Parked } else { StoredState::Pending };
        let seq = self.effect.sums.accepted + 1;
        let entry = Pending::of(delivery, seq as u64);
        let head = codec::head_text(delivery)?;
        let checksum = codec::checksum(&head, &delivery.webhook.body);
        // An id that is there already comes from a repeat after a lost answer.
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT INTO delivery (seq, host, id, state, due, expires, accepted, attempts, \
                 retries, lane, priority, size, okey, on_failure, blocks, ttl, ttl_custom, \
                 trigger_id, hop, head, checksum, counted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, 0, \
                 ?8, ?9, ?10, ?11, ?12, 0, ?13, ?14, ?15, ?16, ?17, ?18, ?19) ON CONFLICT (host, id) DO NOTHING",
            )?
            .execute(params![
                seq,
                host.0,
                delivery.id.as_bytes().as_slice(),
                codec::state_code(state),
                delivery.due.as_millis(),
                delivery.expires.as_millis(),
                delivery.accepted.as_millis(),
                delivery.workspace,
                codec::priority_code(delivery.priority),
                entry.size,
                key,
                codec::blocks_on_failure(delivery.on_failure),
                codec::millis(delivery.ttl),
                delivery.ttl_custom,
                codec::trigger_column(delivery),
                delivery.hop,
                head,
                checksum,
                records::counted_column(delivery.provenance.as_deref()),
            ])?;
        if inserted == 0 {
            return Ok(());
        }
        self.effect.sums.accepted = seq;
        self.insert_parts(delivery, seq)?;
        self.count((host, delivery.workspace), None, state);
        self.count_sent(delivery)?;
        if !parked {
            self.announce(delivery.host.clone(), entry);
        }
        Ok(())
    }

    fn insert_parts(&self, delivery: &Delivery, seq: i64) -> rusqlite::Result<()> {
        let body = &delivery.webhook.body;
        if !body.is_empty() {
            self.connection
                .prepare_cached("INSERT INTO body VALUES (?1, ?2)")?
                .execute(params![seq, body.as_ref()])?;
        }
        for (key, value) in &delivery.metadata {
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO tag VALUES (?1, ?2, ?3)")?
                .execute(params![key, value, seq])?;
        }
        let Some(provenance) = &delivery.provenance else { return Ok(()) };
        for (key, value) in provenance.tags() {
            self.connection
                .prepare_cached("INSERT OR IGNORE INTO tag VALUES (?1, ?2, ?3)")?
                .execute(params![key, value, seq])?;
        }
        Ok(())
    }

    /// Whether anyone is in line for a key, or blocks it.
    fn in_line(&self, key: &Key<'_>) -> rusqlite::Result<bool> {
        self.connection
            .prepare_cached(
                "SELECT 1 FROM delivery INDEXED BY delivery_key WHERE host = ?1 AND lane = ?2 \
                 AND okey = ?3 AND okey IS NOT NULL AND (state < 2 OR blocks = 1) LIMIT 1",
            )?
            .exists(params![key.host.0, key.lane, key.name])
    }

    /// Lets the next of a key go, if it may.
    pub(super) fn release(&mut self, key: &Key<'_>) -> rusqlite::Result<Option<Pending>> {
        let head_goes = self
            .connection
            .prepare_cached(
                "SELECT 1 FROM delivery INDEXED BY delivery_key_head WHERE host = ?1 AND \
                 lane = ?2 AND okey = ?3 AND okey IS NOT NULL AND state = 0 LIMIT 1",
            )?
            .exists(params![key.host.0, key.lane, key.name])?;
        if head_goes {
            return Ok(None);
        }
        let first: Option<(i64, i64)> = self
            .connection
            .prepare_cached(
                "SELECT seq, state FROM delivery INDEXED BY delivery_key WHERE host = ?1 AND \
                 lane = ?2 AND okey = ?3 AND okey IS NOT NULL AND (state < 2 OR blocks = 1) \
                 ORDER BY seq LIMIT 1",
            )?
            .query_row(params![key.host.0, key.lane, key.name], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((seq, PARKED)) = first else { return Ok(None) };
        self.connection
            .prepare_cached("UPDATE delivery SET state = 0 WHERE seq = ?1")?
            .execute([seq])?;
        self.count((key.host, key.lane), Some(StoredState::Parked), StoredState::Pending);
        self.entry(seq).map(Some)
    }

    /// The queue entry of a delivery.
    pub(super) fn entry(&self, seq: i64) -> rusqlite::Result<Pending> {
        let sql = format!("SELECT {} FROM delivery WHERE seq = ?1", codec::PENDING_COLUMNS);
        self.connection.prepare_cached(&sql)?.query_row([seq], codec::pending)
    }

    /// See [`crate::store::DeliveryStore::redrive`].
    pub(super) fn redrive(
        &mut self,
        ids: &[DeliveryId],
        now: Timestamp,
    ) -> rusqlite::Result<Vec<DeliveryId>> {
        let mut done = Vec::new();
        let mut keys: Vec<(HostNumber, u32, String)> = Vec::new();
        for id in ids {
            let Some(row) = self.row(*id)? else { continue };
            let StoredState::Ended(end) = row.state else { continue };
            if end == End::Delivered {
                continue;
            }
            let to = if row.key.is_some() { StoredState::Parked } else { StoredState::Pending };
            let expires = now.plus(std::time::Duration::from_millis(row.ttl.max(0) as u64));
            self.connection
                .prepare_cached(
                    "UPDATE delivery SET state = ?2, due = ?3, expires = ?4, ended = NULL, \
                     retries = 0, blocks = 0 WHERE seq = ?1",
                )?
                .execute([row.seq, codec::state_code(to), now.as_millis(), expires.as_millis()])?;
            self.count((id.host(), row.lane), Some(row.state), to);
            done.push(*id);
            match row.key {
                Some(name) => keys.push((id.host(), row.lane, name)),
                None => self.announce_row(id.host(), row.seq)?,
            }
        }
        // All are in line before anyone is let go, so that they go in order of acceptance.
        for (host, lane, name) in &keys {
            if let Some(entry) = self.release(&Key { host: *host, lane: *lane, name })? {
                let name = self.host_name(*host)?;
                self.announce(name, entry);
            }
        }
        Ok(done)
    }

    fn announce_row(&mut self, host: HostNumber, seq: i64) -> rusqlite::Result<()> {
        let entry = self.entry(seq)?;
        let name = self.host_name(host)?;
        self.announce(name, entry);
        Ok(())
    }

    /// See [`crate::store::DeliveryStore::skip`].
    pub(super) fn skip(&mut self, id: DeliveryId) -> rusqlite::Result<bool> {
        let Some(row) = self.row(id)? else { return Ok(false) };
        let (true, Some(name)) = (row.blocks, &row.key) else { return Ok(false) };
        self.connection
            .prepare_cached("UPDATE delivery SET blocks = 0 WHERE seq = ?1")?
            .execute([row.seq])?;
        if let Some(entry) = self.release(&Key { host: id.host(), lane: row.lane, name })? {
            let host = self.host_name(id.host())?;
            self.announce(host, entry);
        }
        Ok(true)
    }

    /// What the moves of a delivery depend on.
    pub(super) fn row(&self, id: DeliveryId) -> rusqlite::Result<Option<Row>> {
        self.connection
            .prepare_cached(
                "SELECT seq, state, attempts, lane, okey, on_failure, blocks, ttl, counted, \
                 due, last_status \
                 FROM delivery WHERE host = ?1 AND id = ?2",
            )?
            .query_row(params![id.host().0, id.as_bytes().as_slice()], |row| {
                Ok(Row {
                    seq: row.get(0)?,
                    state: codec::state(row, 1)?,
                    attempts: row.get(2)?,
                    lane: row.get(3)?,
                    key: row.get(4)?,
                    on_failure_block: row.get(5)?,
                    blocks: row.get(6)?,
                    ttl: row.get(7)?,
                    counted: row.get(8)?,
                    due: codec::time(row, 9)?,
                    last_status: row.get(10)?,
                })
            })
            .optional()
    }

    /// The name of a host that has deliveries.
    pub(super) fn host_name(&self, number: HostNumber) -> rusqlite::Result<HostName> {
        if let Some(name) = self.shared.name(number) {
            return Ok(name);
        }
        self.connection
            .prepare_cached("SELECT name FROM host WHERE number = ?1")?
            .query_row([number.0], |row| Ok(HostName::from_normalised(row.get_ref(0)?.as_str()?)))
    }
}

/// What the moves of a delivery depend on.
pub(super) struct Row {
    pub seq: i64,
    pub state: StoredState,
    pub attempts: u32,
    pub lane: u32,
    pub key: Option<String>,
    pub on_failure_block: bool,
    pub blocks: bool,
    pub ttl: i64,
    pub counted: Option<String>,
    pub due: Timestamp,
    pub last_status: Option<u16>,
}
