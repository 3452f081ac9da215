//! Threads that only read, each with a connection of its own: what the engine reads for sending,
//! and what is known of hosts. Lists are in `query`.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use futures::channel::oneshot;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::settle::{parse_controls, parse_name};
use super::shared::Shared;
use super::{codec, schema, soundness};
use crate::model::id::SERIAL_BITS;
use crate::model::{
    Attempt, DeliveryId, End, HostControls, HostName, HostNumber, Pending, ShardSet, StoredState,
    Timestamp, Webhook,
};
use crate::store::{
    HostInterval, HostRecord, LanePage, StoreError, StoreFuture, Wakeup, rows_of_each,
};

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// Some threads that share one queue of questions.
pub(super) struct Readers {
    shared: Arc<Shared>,
    jobs: Mutex<Option<Sender<Job>>>,
}

impl Readers {
    /// One thread for each connection; they end when the readers are closed.
    pub(super) fn start(
        name: &str,
        connections: Vec<Connection>,
        shared: &Arc<Shared>,
    ) -> std::io::Result<Self> {
        let (jobs, queue) = channel::<Job>();
        let queue = Arc::new(Mutex::new(queue));
        for connection in connections {
            let queue = queue.clone();
            thread::Builder::new().name(name.into()).spawn(move || serve(&connection, &queue))?;
        }
        Ok(Self { shared: shared.clone(), jobs: Mutex::new(Some(jobs)) })
    }

    /// Asks one of the threads.
    pub(super) fn ask<T, F>(&self, question: F) -> StoreFuture<T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        let shared = self.shared.clone();
        let job: Job = Box::new(move |connection| {
            let result = question(connection);
            if let Err(error) = &result
                && schema::is_damage(error)
            {
                shared.give_up(&error.to_string());
            }
            // A caller who went away wants no answer.
            let _ = answer.send(result.map_err(failed));
        });
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        let closed = || StoreError::Closed("the store was closed".into());
        Box::pin(async move {
            if !sent {
                return Err(closed());
            }
            receiver.await.unwrap_or_else(|_| Err(closed()))
        })
    }

    /// Looks through the file, once, while others serve.
    pub(super) fn look_through(self) {
        let shared = self.shared.clone();
        let _unheard = self.ask(move |connection| {
            let findings = soundness::look_on(connection)?;
            findings.inspect(|findings| shared.give_up(findings));
            Ok(())
        });
    }

    /// Lets the threads finish what was asked and end.
    pub(super) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

fn failed(error: rusqlite::Error) -> StoreError {
    StoreError::Unavailable(format!("reading failed: {error}"))
}

fn serve(connection: &Connection, queue: &Mutex<Receiver<Job>>) {
    loop {
        // The lock is held while waiting: the other threads wait for it instead of for the queue.
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        match job {
            Ok(job) => job(connection),
            Err(_) => return,
        }
    }
}

fn sql_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

pub(super) fn page(
    connection: &Connection,
    shared: &Shared,
    (host, lane): (HostNumber, Option<u32>),
    limit: usize,
) -> rusqlite::Result<Vec<LanePage>> {
    // One state of the file, so that no lane is missed that was there.
    let snapshot = connection.unchecked_transaction()?;
    let lanes = match lane {
        Some(lane) => vec![lane],
        None => lanes_of(&snapshot, shared, host)?.into_iter().map(|(lane, _)| lane).collect(),
    };
    let limit = rows_of_each(lanes.len(), limit);
    let sql = format!(
        "SELECT {} FROM delivery INDEXED BY delivery_pending WHERE host = ?1 AND lane = ?2 AND \
         state = 0 ORDER BY due, seq",
        codec::PENDING_COLUMNS
    );
    let mut statement = snapshot.prepare_cached(&sql)?;
    let mut pages = Vec::with_capacity(lanes.len());
    for lane in lanes {
        let mut found: Vec<Pending> = Vec::new();
        let mut rows = statement.query([host.0, lane])?;
        // Rows that are left out do not count: a page that is not full means that no more is there.
        while found.len() < limit
            && let Some(row) = rows.next()?
        {
            let seq: i64 = row.get(0)?;
            let shares = found.last().and_then(|last| last.campaign.as_ref());
            let entry = codec::pending_beside(row, shares);
            found.extend(shared.readable(|| format!("delivery with seq {seq}"), entry)?);
        }
        if !found.is_empty() {
            let full = found.len() >= limit;
            pages.push(LanePage { lane, rows: found, full });
        }
    }
    Ok(pages)
}

/// The lanes of a host that have something pending, each with its earliest due time: one seek
/// each, however much waits in them.
pub(super) fn lanes_of(
    connection: &Connection,
    shared: &Shared,
    host: HostNumber,
) -> rusqlite::Result<Vec<(u32, Timestamp)>> {
    let mut next = connection.prepare_cached(
        "SELECT lane, due FROM delivery INDEXED BY delivery_pending WHERE host = ?1 AND \
         lane > ?2 AND state = 0 ORDER BY lane, due LIMIT 1",
    )?;
    let mut lanes = Vec::new();
    let mut last = -1_i64;
    while let Some((lane, due)) = next
        .query_row([i64::from(host.0), last], |row| Ok((row.get(0)?, codec::time(row, 1)?)))
        .optional()?
    {
        let number =
            u32::try_from(lane).map_err(|error| codec::unreadable("lane", Type::Integer, error));
        let name = || format!("deliveries of host {} in lane {lane}", host.0);
        lanes.extend(shared.readable(name, number)?.map(|number| (number, due)));
        last = lane;
    }
    Ok(lanes)
}

pub(super) fn fetch(
    connection: &Connection,
    shared: &Shared,
    ids: &[DeliveryId],
) -> rusqlite::Result<Vec<(DeliveryId, Arc<Webhook>)>> {
    let mut statement = connection.prepare_cached(
        "SELECT d.head, b.bytes, d.checksum FROM delivery d LEFT JOIN body b ON b.seq = d.seq \
         WHERE d.host = ?1 AND d.id = ?2",
    )?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let webhook =
            statement.query_row(params![id.host().0, id.as_bytes().as_slice()], webhook).optional();
        let webhook = shared.readable(|| format!("delivery {id}"), webhook)?.flatten();
        found.extend(webhook.map(|webhook| (*id, Arc::new(webhook))));
    }
    Ok(found)
}

fn webhook(row: &Row<'_>) -> rusqlite::Result<Webhook> {
    let (head, body) = (row.get_ref(0)?.as_str()?, body(row, 1)?);
    let checksum: Option<i64> = row.get(2)?;
    if checksum.is_some_and(|checksum| checksum != codec::checksum(head, &body)) {
        return Err(codec::unreadable("webhook", Type::Blob, "its checksum is another"));
    }
    codec::webhook(codec::parse_head(head)?, body)
}

fn body(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    Ok(row.get::<_, Option<Vec<u8>>>(column)?.unwrap_or_default().into())
}

/// Goes from host to host and from lane to lane along the queue's index: one seek each, however
/// long their queues are.
pub(super) fn wakeups(
    connection: &Connection,
    shared: &Shared,
    shards: &ShardSet,
    (after, limit): (Option<HostNumber>, usize),
) -> rusqlite::Result<Vec<Wakeup>> {
    let mut next = connection.prepare_cached(
        "SELECT host FROM delivery INDEXED BY delivery_pending WHERE state = 0 AND \
         host > ?1 ORDER BY host LIMIT 1",
    )?;
    let mut found = Vec::new();
    let mut last = after.map_or(-1, |number| i64::from(number.0));
    while found.len() < limit {
        let hit = next.query_row([last], |row| Ok(HostNumber(row.get(0)?))).optional()?;
        let Some(number) = hit else { break };
        last = i64::from(number.0);
        if !shards.contains(number.shard()) {
            last |= (1 << SERIAL_BITS) - 1;
            continue;
        }
        // None where the last of them went between the two looks.
        let due = lanes_of(connection, shared, number)?.into_iter().map(|(_, due)| due).min();
        let name = host_name(connection, shared, number)?;
        found.extend(name.zip(due).map(|(name, due)| Wakeup { number, name, due }));
    }
    Ok(found)
}

/// `None` where the name of a host that has deliveries cannot be read.
fn host_name(
    connection: &Connection,
    shared: &Shared,
    number: HostNumber,
) -> rusqlite::Result<Option<HostName>> {
    let name = connection
        .prepare_cached("SELECT name FROM host WHERE number = ?1")?
        .query_row([number.0], |row| parse_name(row, 0))
        .optional()
        .and_then(|name| name.ok_or_else(|| codec::unreadable("host", Type::Text, "no name")));
    shared.readable(|| format!("host with number {}", number.0), name)
}

pub(super) fn overdue(
    connection: &Connection,
    shared: &Shared,
    now: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<(HostName, DeliveryId)>> {
    let mut found: Vec<(i64, DeliveryId)> = Vec::new();
    for sql in [
        "SELECT expires, id FROM delivery INDEXED BY delivery_own_expiry WHERE state = 0 AND \
         ttl_custom = 1 AND expires <= ?1 ORDER BY expires LIMIT ?2",
        "SELECT expires, id FROM delivery INDEXED BY delivery_parked WHERE state = 1 AND \
         expires <= ?1 ORDER BY expires LIMIT ?2",
    ] {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([now.as_millis(), sql_limit(limit)])?;
        while let Some(row) = rows.next()? {
            let expires = row.get(0)?;
            let id = shared
                .readable(|| format!("delivery that expires at {expires}"), codec::id(row, 1))?;
            found.extend(id.map(|id| (expires, id)));
        }
    }
    found.sort_unstable();
    found.truncate(limit);
    let mut named = Vec::with_capacity(found.len());
    for (_, id) in found {
        let name = host_name(connection, shared, id.host())?;
        named.extend(name.map(|name| (name, id)));
    }
    Ok(named)
}

/// See [`crate::store::QueryStore::dead_letters`]. Walks over dead letters alone.
pub(super) fn dead_letters(
    connection: &Connection,
    from: Timestamp,
    limit: usize,
) -> rusqlite::Result<Vec<DeliveryId>> {
    let exhausted = codec::state_code(StoredState::Ended(End::Exhausted));
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT id FROM delivery INDEXED BY delivery_dead WHERE state > 2 AND state < 6 AND \
             ended >= ?1 AND (state = ?2 OR blocks = 1) ORDER BY ended, id LIMIT ?3",
        )?
        .query_map(params![from.as_millis(), exhausted, limit], |row| codec::id(row, 0))?
        .collect()
}

pub(super) fn attempts(connection: &Connection, id: DeliveryId) -> rusqlite::Result<Vec<Attempt>> {
    connection
        .prepare_cached(
            "SELECT number, started, status, detail, body FROM attempt WHERE seq = \
             (SELECT seq FROM delivery WHERE host = ?1 AND id = ?2) ORDER BY number",
        )?
        .query_map(params![id.host().0, id.as_bytes().as_slice()], codec::attempt)?
        .collect()
}

fn host_record(row: &Row<'_>) -> rusqlite::Result<HostRecord> {
    Ok(HostRecord {
        number: HostNumber(row.get(0)?),
        name: parse_name(row, 1)?,
        saved: row.get(2)?,
        controls: parse_controls(row.get_ref(3)?.as_str_or_null()?)?,
        // Laid in from memory by the caller.
        pending: 0,
    })
}

pub(super) fn host(
    connection: &Connection,
    name: &HostName,
) -> rusqlite::Result<Option<HostRecord>> {
    connection
        .prepare_cached("SELECT number, name, saved, controls FROM host WHERE name = ?1")?
        .query_row([name.as_str()], host_record)
        .optional()
}

pub(super) fn hosts(
    connection: &Connection,
    workspace: Option<u32>,
    after: Option<&HostName>,
    limit: usize,
) -> rusqlite::Result<Vec<HostRecord>> {
    let (after, limit) = (after.map_or("", HostName::as_str), sql_limit(limit));
    let Some(lane) = workspace else {
        return connection
            .prepare_cached(
                "SELECT number, name, saved, controls FROM host WHERE name > ?1 ORDER BY name \
                 LIMIT ?2",
            )?
            .query_map(params![after, limit], host_record)?
            .collect();
    };
    // The default workspace has no index of its own: the rows of a host are mostly its.
    let index = if lane > 0 { "INDEXED BY delivery_lane_host" } else { "" };
    let more = if lane > 0 { "AND d.lane > 0" } else { "" };
    let sql = format!(
        "SELECT number, name, saved, controls FROM host h WHERE name > ?1 AND EXISTS (SELECT 1 \
         FROM delivery d {index} WHERE d.lane = ?3 {more} AND d.host = h.number) ORDER BY name \
         LIMIT ?2"
    );
    connection.prepare_cached(&sql)?.query_map(params![after, limit, lane], host_record)?.collect()
}

pub(super) fn controlled(
    connection: &Connection,
) -> rusqlite::Result<Vec<(HostName, HostControls)>> {
    connection
        .prepare_cached(
            "SELECT name, controls FROM host INDEXED BY host_controlled \
             WHERE controls IS NOT NULL ORDER BY name",
        )?
        .query_map([], |row| {
            Ok((parse_name(row, 0)?, parse_controls(row.get_ref(1)?.as_str_or_null()?)?))
        })?
        .collect()
}

pub(super) fn intervals(
    connection: &Connection,
    host: HostNumber,
    (from, to): (Timestamp, Timestamp),
    limit: usize,
) -> rusqlite::Result<Vec<HostInterval>> {
    let limit = sql_limit(limit);
    connection
        .prepare_cached(
            "SELECT condition, reason, begun, ended FROM interval WHERE host = ?1 AND \
             begun <= ?3 AND (ended IS NULL OR ended >= ?2) ORDER BY begun DESC, number DESC \
             LIMIT ?4",
        )?
        .query_map(params![host.0, from.as_millis(), to.as_millis(), limit], |row| {
            Ok(HostInterval {
                condition: row.get(0)?,
                reason: row.get(1)?,
                from: codec::time(row, 2)?,
                to: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_millis),
            })
        })?
        .collect()
}
