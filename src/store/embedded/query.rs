//! Lists and counts of deliveries, and one delivery's place.
//!
//! A filter is driven by the narrowest index that it names; the rest of it is checked row by row
//! on narrow columns, and only the rows of the page are read whole. A page looks at a bounded
//! number of rows: one that runs out of them ends early, with the cursor to go on from.

use std::collections::BTreeSet;

use bytes::Bytes;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params, params_from_iter};

use super::codec;
use super::shared::Shared;
use crate::model::{DeliveryId, HostNumber, StoredState, Timestamp};
use crate::store::{DeliveryFilter, DeliveryRecord, Page, Place};

/// Rows that one page looks at: some tens of milliseconds.
const LOOKS: usize = 50_000;
/// How far apart acceptance times may be from the order of acceptance. They are read before the
/// commit that gives the order, by a slewed clock.
const DISORDER_MS: i64 = 60_000;
/// Past the largest row number.
const END_SEQ: i64 = i64::MAX;

/// Why a list could not be made.
pub(super) enum ListError {
    BadCursor,
    Engine(rusqlite::Error),
}

impl From<rusqlite::Error> for ListError {
    fn from(error: rusqlite::Error) -> Self {
        ListError::Engine(error)
    }
}

/// A row as the filter sees it.
struct Candidate {
    seq: i64,
    id: DeliveryId,
    state: StoredState,
    accepted: Timestamp,
    lane: u32,
}

fn candidate(row: &Row<'_>) -> rusqlite::Result<Candidate> {
    Ok(Candidate {
        seq: row.get(0)?,
        id: codec::id(row, 1)?,
        state: codec::state(row, 2)?,
        accepted: codec::time(row, 3)?,
        lane: row.get(4)?,
    })
}

/// Where a list goes on: below a row number, or below an id of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cursor {
    Seq(i64),
    Id(DeliveryId),
}

impl Cursor {
    fn write(self) -> String {
        match self {
            Cursor::Seq(seq) => format!("s{seq:x}"),
            Cursor::Id(id) => format!("i{id}"),
        }
    }

    fn read(text: &str) -> Option<Self> {
        // `get` refuses text whose first character is longer than a byte.
        match (text.get(..1)?, text.get(1..)?) {
            ("s", seq) => i64::from_str_radix(seq, 16).ok().filter(|seq| *seq > 0).map(Cursor::Seq),
            ("i", id) => id.parse().ok().map(Cursor::Id),
            _ => None,
        }
    }
}

/// The index that a filter is driven by.
enum Drive {
    /// Nothing can match.
    Nothing,
    Ids(BTreeSet<DeliveryId>),
    Sql {
        text: &'static str,
        first: Vec<Value>,
        by_id: bool,
    },
}

const BY_TRIGGER: &str = "SELECT seq, id, state, accepted, lane FROM delivery WHERE host = ?1 AND \
     id = ?2 AND trigger_id IS NULL AND seq < ?4 UNION ALL SELECT seq, id, state, accepted, lane FROM \
     delivery WHERE trigger_id = ?3 AND seq < ?4 ORDER BY seq DESC";
const BY_TAG: &str = "SELECT t.seq, d.id, d.state, d.accepted, d.lane FROM tag t JOIN delivery d ON \
     d.seq = t.seq WHERE t.key = ?1 AND t.value = ?2 AND t.seq < ?3 ORDER BY t.seq DESC";
const BY_HOST: &str = "SELECT seq, id, state, accepted, lane FROM delivery WHERE host = ?1 AND id < ?2 \
     ORDER BY id DESC";
const BY_LANE_HOST: &str = "SELECT seq, id, state, accepted, lane FROM delivery INDEXED BY \
     delivery_lane_host WHERE lane = ?1 AND lane > 0 AND host = ?2 AND id < ?3 ORDER BY id DESC";
const BY_HOST_DEAD: &str = "SELECT seq, id, state, accepted, lane FROM delivery INDEXED BY \
     delivery_dead_of WHERE host = ?1 AND state > 2 AND state < 6 AND id < ?2 ORDER BY id DESC";
const DEAD: &str = "SELECT seq, id, state, accepted, lane FROM delivery INDEXED BY delivery_dead WHERE \
     state > 2 AND state < 6 AND seq < ?1 ORDER BY seq DESC";
const BY_LANE: &str = "SELECT seq, id, state, accepted, lane FROM delivery INDEXED BY \
     delivery_lane WHERE lane = ?1 AND lane > 0 AND seq < ?2 ORDER BY seq DESC";
const ALL: &str =
    "SELECT seq, id, state, accepted, lane FROM delivery WHERE seq < ?1 ORDER BY seq DESC";

fn drive(connection: &Connection, filter: &DeliveryFilter) -> rusqlite::Result<Drive> {
    if let Some(ids) = &filter.ids {
        return Ok(Drive::Ids(ids.iter().copied().collect()));
    }
    let by_seq = |text, first| Drive::Sql { text, first, by_id: false };
    if let Some(trigger) = filter.trigger {
        let first = trigger.first_delivery();
        let values = vec![
            i64::from(first.host().0).into(),
            first.as_bytes().to_vec().into(),
            trigger.as_bytes().to_vec().into(),
        ];
        return Ok(by_seq(BY_TRIGGER, values));
    }
    if let Some((key, value)) = filter.metadata.first() {
        return Ok(by_seq(BY_TAG, vec![key.clone().into(), value.clone().into()]));
    }
    let is_dead =
        |state: &StoredState| matches!(state, StoredState::Ended(end) if end.is_dead_letter());
    let dead = !filter.states.is_empty() && filter.states.iter().all(is_dead);
    match host_number(connection, filter)? {
        Some(None) => Ok(Drive::Nothing),
        Some(Some(host)) => {
            let host = Value::from(i64::from(host.0));
            let (text, first) = match (dead, filter.workspace) {
                (true, _) => (BY_HOST_DEAD, vec![host]),
                (false, Some(lane @ 1..)) => (BY_LANE_HOST, vec![i64::from(lane).into(), host]),
                (false, _) => (BY_HOST, vec![host]),
            };
            Ok(Drive::Sql { text, first, by_id: true })
        }
        None => Ok(match (dead, filter.workspace) {
            (true, _) => by_seq(DEAD, Vec::new()),
            (false, Some(lane @ 1..)) => by_seq(BY_LANE, vec![i64::from(lane).into()]),
            (false, _) => by_seq(ALL, Vec::new()),
        }),
    }
}

/// The number of the filter's host: `Some(None)` when it names one that is unknown.
fn host_number(
    connection: &Connection,
    filter: &DeliveryFilter,
) -> rusqlite::Result<Option<Option<HostNumber>>> {
    let Some(name) = &filter.host else { return Ok(None) };
    let number = connection
        .prepare_cached("SELECT number FROM host WHERE name = ?1")?
        .query_row([name.as_str()], |row| row.get(0).map(HostNumber))
        .optional()?;
    Ok(Some(number))
}

/// What a filter still asks of a row that its index led to.
struct Check<'a> {
    connection: &'a Connection,
    filter: &'a DeliveryFilter,
    host: Option<HostNumber>,
}

impl Check<'_> {
    fn passes(&self, row: &Candidate) -> rusqlite::Result<bool> {
        let filter = self.filter;
        let plain = (filter.states.is_empty() || filter.states.contains(&row.state))
            && filter.from.is_none_or(|from| row.accepted >= from)
            && filter.until.is_none_or(|until| row.accepted < until)
            && self.host.is_none_or(|host| row.id.host() == host)
            && filter.workspace.is_none_or(|workspace| row.lane == workspace);
        if !plain {
            return Ok(false);
        }
        if filter.ids.is_some() && !self.is_of_trigger(row)? {
            return Ok(false);
        }
        for (key, value) in &filter.metadata {
            let tagged = self
                .connection
                .prepare_cached("SELECT 1 FROM tag WHERE key = ?1 AND value = ?2 AND seq = ?3")?
                .exists(params![key, value, row.seq])?;
            if !tagged {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Only asked where ids drive the list: elsewhere the trigger does.
    fn is_of_trigger(&self, row: &Candidate) -> rusqlite::Result<bool> {
        let Some(trigger) = self.filter.trigger else { return Ok(true) };
        let stored: Option<Vec<u8>> = self
            .connection
            .prepare_cached("SELECT trigger_id FROM delivery WHERE seq = ?1")?
            .query_row([row.seq], |row| row.get(0))?;
        Ok(match stored {
            None => row.id.trigger() == trigger,
            Some(bytes) => bytes == trigger.as_bytes(),
        })
    }
}

/// What a walk found: the rows that pass, and where to go on.
struct Walk {
    seqs: Vec<i64>,
    next: Option<Cursor>,
}

/// Walks a filter's rows from a cursor until `limit` have passed or `looks` were looked at.
fn walk(
    connection: &Connection,
    filter: &DeliveryFilter,
    after: Option<Cursor>,
    (limit, looks): (usize, usize),
) -> Result<Walk, ListError> {
    let drive = drive(connection, filter)?;
    let host = host_number(connection, filter)?;
    let nothing = Walk { seqs: Vec::new(), next: None };
    if matches!(host, Some(None)) {
        return Ok(nothing);
    }
    let check = Check { connection, filter, host: host.flatten() };
    match drive {
        Drive::Nothing => Ok(nothing),
        Drive::Ids(ids) => {
            let below = match after {
                None => END_SEQ,
                Some(Cursor::Seq(seq)) => seq,
                Some(Cursor::Id(_)) => return Err(ListError::BadCursor),
            };
            Ok(walk_ids(&check, &ids, below, limit)?)
        }
        Drive::Sql { text, mut first, by_id } => {
            let bounds = bounds(connection, filter, by_id, after)?;
            first.push(bounds.below);
            let mut walk = nothing;
            let mut statement = connection.prepare_cached(text)?;
            let mut rows = statement.query(params_from_iter(first))?;
            let mut looked = 0;
            let mut last = None;
            while let Some(row) = rows.next()? {
                let row = candidate(row)?;
                if row.accepted < bounds.stop_before {
                    return Ok(walk);
                }
                if walk.seqs.len() == limit || looked == looks {
                    walk.next = last;
                    return Ok(walk);
                }
                looked += 1;
                last = Some(if by_id { Cursor::Id(row.id) } else { Cursor::Seq(row.seq) });
                if check.passes(&row)? {
                    walk.seqs.push(row.seq);
                }
            }
            Ok(walk)
        }
    }
}

struct Bounds {
    /// The value that the walk begins below.
    below: Value,
    /// Rows accepted before this cannot be followed by one that passes.
    stop_before: Timestamp,
}

fn bounds(
    connection: &Connection,
    filter: &DeliveryFilter,
    by_id: bool,
    after: Option<Cursor>,
) -> Result<Bounds, ListError> {
    let floor = filter.from.map_or(i64::MIN, |from| from.as_millis() - DISORDER_MS);
    let stop_before = Timestamp::from_millis(floor);
    let below = match (after, by_id) {
        (None, true) => {
            // An id begins with its time.
            let mut bytes = vec![0xff; 17];
            if let Some(until) = filter.until {
                let millis = (until.as_millis() + DISORDER_MS).max(0) as u64;
                bytes[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
            }
            bytes.into()
        }
        (Some(Cursor::Id(id)), true) => id.as_bytes().to_vec().into(),
        (None, false) => match filter.until {
            Some(until) => first_accepted_from(connection, until.as_millis() + DISORDER_MS)?.into(),
            None => END_SEQ.into(),
        },
        (Some(Cursor::Seq(seq)), false) => seq.into(),
        _ => return Err(ListError::BadCursor),
    };
    Ok(Bounds { below, stop_before })
}

/// A row number below which lies everything accepted before `time`, found by halving.
fn first_accepted_from(connection: &Connection, time: i64) -> rusqlite::Result<i64> {
    let mut at = connection.prepare_cached(
        "SELECT seq, accepted FROM delivery WHERE seq >= ?1 ORDER BY seq LIMIT 1",
    )?;
    let last: Option<i64> =
        connection.query_row("SELECT max(seq) FROM delivery", [], |row| row.get(0))?;
    let (mut low, mut high) = (1, last.unwrap_or(0) + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        let found: Option<(i64, i64)> =
            at.query_row([middle], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
        match found {
            Some((seq, accepted)) if accepted < time => low = seq + 1,
            _ => high = middle,
        }
    }
    Ok(low)
}

fn walk_ids(
    check: &Check<'_>,
    ids: &BTreeSet<DeliveryId>,
    below: i64,
    limit: usize,
) -> rusqlite::Result<Walk> {
    let mut found = Vec::new();
    for id in ids {
        let row = check
            .connection
            .prepare_cached(
                "SELECT seq, id, state, accepted, lane FROM delivery WHERE host = ?1 AND id = ?2",
            )?
            .query_row(params![id.host().0, id.as_bytes().as_slice()], candidate)
            .optional()?;
        if let Some(row) = row
            && row.seq < below
            && check.passes(&row)?
        {
            found.push(row.seq);
        }
    }
    found.sort_unstable_by(|a, b| b.cmp(a));
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|seq| Cursor::Seq(*seq));
    Ok(Walk { seqs: found, next })
}

/// See [`crate::store::QueryStore::list`].
pub(super) fn list(
    connection: &Connection,
    shared: &Shared,
    filter: &DeliveryFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<DeliveryRecord>, ListError> {
    let after = match after {
        None => None,
        Some(text) => Some(Cursor::read(text).ok_or(ListError::BadCursor)?),
    };
    // One transaction, so that a row cannot be swept between the walk and its reading.
    let snapshot = connection.unchecked_transaction()?;
    let walk = walk(&snapshot, filter, after, (limit.clamp(1, 1_000), LOOKS))?;
    let sql = format!(
        "SELECT {} FROM delivery d JOIN host h ON h.number = d.host WHERE d.seq = ?1",
        codec::RECORD_COLUMNS
    );
    let mut statement = snapshot.prepare_cached(&sql)?;
    let mut rows = Vec::with_capacity(walk.seqs.len());
    for seq in &walk.seqs {
        let row = statement.query_row([seq], |row| codec::record(row, Bytes::new()));
        rows.extend(shared.readable(|| format!("delivery with seq {seq}"), row)?);
    }
    Ok(Page { rows, next: walk.next.map(Cursor::write) })
}

/// See [`crate::store::QueryStore::count`].
pub(super) fn count(
    connection: &Connection,
    filter: &DeliveryFilter,
    max: u64,
) -> rusqlite::Result<u64> {
    let limit = usize::try_from(max).unwrap_or(usize::MAX);
    match walk(connection, filter, None, (limit, usize::MAX)) {
        Ok(walk) => Ok(walk.seqs.len() as u64),
        Err(ListError::Engine(error)) => Err(error),
        Err(ListError::BadCursor) => Ok(0),
    }
}

/// See [`crate::store::QueryStore::find`].
pub(super) fn find(
    connection: &Connection,
    id: DeliveryId,
) -> rusqlite::Result<Option<DeliveryRecord>> {
    let sql = format!(
        "SELECT {}, b.bytes FROM delivery d JOIN host h ON h.number = d.host \
         LEFT JOIN body b ON b.seq = d.seq WHERE d.host = ?1 AND d.id = ?2",
        codec::RECORD_COLUMNS
    );
    connection
        .prepare_cached(&sql)?
        .query_row(params![id.host().0, id.as_bytes().as_slice()], |row| {
            let body: Option<Vec<u8>> = row.get(17)?;
            codec::record(row, body.unwrap_or_default().into())
        })
        .optional()
}

/// See [`crate::store::QueryStore::place`].
pub(super) fn place(
    connection: &Connection,
    id: DeliveryId,
    max: u64,
) -> rusqlite::Result<Option<Place>> {
    let snapshot = connection.unchecked_transaction()?;
    let found: Option<(i64, i64, StoredState, u32, Option<String>)> = snapshot
        .prepare_cached(
            "SELECT seq, due, state, lane, okey FROM delivery WHERE host = ?1 AND id = ?2",
        )?
        .query_row(params![id.host().0, id.as_bytes().as_slice()], |row| {
            Ok((row.get(0)?, row.get(1)?, codec::state(row, 2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    let Some((seq, due, state, lane, key)) = found else { return Ok(None) };
    if let StoredState::Ended(_) = state {
        return Ok(None);
    }
    let max = i64::try_from(max).unwrap_or(i64::MAX);
    let ahead: i64 = snapshot
        .prepare_cached(
            "SELECT count(*) FROM (SELECT 1 FROM delivery INDEXED BY delivery_pending WHERE \
             host = ?1 AND lane = ?2 AND state = 0 AND (due, seq) < (?3, ?4) LIMIT ?5)",
        )?
        .query_row(params![id.host().0, lane, due, seq, max], |row| row.get(0))?;
    let behind = match key.filter(|_| state == StoredState::Parked) {
        Some(key) => holder(&snapshot, &[&id.host().0, &lane, &key])?,
        None => None,
    };
    Ok(Some(Place { ahead: u64::try_from(ahead).unwrap_or(0), behind }))
}

/// Who holds an ordering key: its pending head, else the first of its line, which blocks.
fn holder(connection: &Connection, key: &[&dyn ToSql]) -> rusqlite::Result<Option<DeliveryId>> {
    for sql in [
        "SELECT id FROM delivery INDEXED BY delivery_key_head WHERE host = ?1 AND lane = ?2 AND \
         okey = ?3 AND okey IS NOT NULL AND state = 0 LIMIT 1",
        "SELECT id FROM delivery INDEXED BY delivery_key WHERE host = ?1 AND lane = ?2 AND \
         okey = ?3 AND okey IS NOT NULL AND (state < 2 OR blocks = 1) ORDER BY seq LIMIT 1",
    ] {
        let id =
            connection.prepare_cached(sql)?.query_row(key, |row| codec::id(row, 0)).optional()?;
        if id.is_some() {
            return Ok(id);
        }
    }
    Ok(None)
}
