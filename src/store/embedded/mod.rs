//! The embedded engine: SQLite in one file, with a thread that writes and three that read.
//!
//! Every write is an operation for the writer's thread (`writer`), which makes whatever waits one
//! transaction with one sync. Settlements wait up to 20 ms for an accept to ride with, unless
//! someone is parked behind their host's keys. Reading for sending has a thread of its own, so that
//! no list of the API stands before it; in WAL mode readers and the writer never wait for each
//! other.

mod activity;
mod ballast;
mod change;
mod checkpoint;
mod codec;
mod counting;
#[doc(hidden)] // reached by tests/fuzzing alone
pub mod fuzzing;
mod keys;
mod numbers;
mod query;
mod reader;
mod records;
mod reports;
mod schema;
mod settle;
mod shared;
mod soundness;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Sender, channel};
use std::thread;

use futures::channel::oneshot;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt, future};
use rusqlite::{Connection, InterruptHandle};

use self::ballast::Ballast;
use self::change::Change;
use self::checkpoint::Checkpoints;
use self::query::ListError;
use self::reader::Readers;
pub use self::schema::{DATABASE_FILE, OpenError};
use self::shared::Shared;
use self::soundness::{LookOn, Mark};
use self::writer::{Order, Task, Writer};
use crate::clock::Clock;
use crate::model::{
    Attempt, DeliveryId, HostControls, HostName, HostNumber, Settlement, ShardSet, Timestamp,
    Webhook,
};
use crate::report::meters::CommitReadings;
use crate::store::{
    Acceptance, Accepted, Count, DeliveryFilter, DeliveryRecord, DeliveryStore, HostInterval,
    HostRecord, HostStore, HostUpdate, LanePage, Page, PendingSink, Place, QueryError, QueryStore,
    Record, RecordKind, RecordStore, Released, StoreCounts, StoreError, StoreFuture, StoreHealth,
    StoreLimits, Tenure, Wakeup,
};

/// Operations that may wait for the writer, past which they are refused: some seconds of work.
const WAITING_MAX: u64 = 100_000;
/// Threads that answer the API: a long list holds up one other at most.
const QUERY_THREADS: usize = 2;

/// The embedded engine. Shared by all of the process; closed by `close`, or when dropped.
pub struct EmbeddedStore {
    orders: Sender<Order>,
    shared: Arc<Shared>,
    data: Readers,
    queries: Readers,
    /// Ends the look through a large file, which would hold up the last checkpoint.
    check: Option<InterruptHandle>,
}

impl EmbeddedStore {
    /// Opens the store in a directory, which is made where it is missing, and locks it against
    /// other processes.
    pub fn open(
        path: &Path,
        limits: StoreLimits,
        cache_bytes: usize,
        clock: Clock,
    ) -> Result<Arc<Self>, OpenError> {
        let lock = schema::lock(path)?;
        let file = path.join(DATABASE_FILE);
        let failed = |why: String| OpenError::Failed { path: file.clone(), why };
        let mark = Mark::open(path)?;
        soundness::before_opening(&file, &mark)?;
        let connection = schema::open_writer(&file, cache_bytes)?;
        // By a connection of its own, since it would fill the writer's cache with the whole file.
        let looking = schema::open_reader(&file).map_err(|error| failed(error.to_string()))?;
        let look_on = soundness::at_opening(&file, &looking)?;
        drop(looking);
        let shared = Shared::load(&connection, limits, &file, (mark, clock.clone()))?;
        let shared = Arc::new(shared);
        let ballast = Ballast::open(path, clock.moment());
        if !ballast.is_held() {
            shared.short.store(true, Ordering::Relaxed);
            shared.refusing("the disk has no room for the ballast");
        }
        let readers = |name: &str, count: usize| {
            let connections: Result<Vec<_>, _> =
                (0..count).map(|_| schema::open_reader(&file)).collect();
            let connections = connections.map_err(|error| failed(error.to_string()))?;
            Readers::start(name, connections, &shared).map_err(|error| failed(error.to_string()))
        };
        let data = readers("store-data", 1)?;
        let queries = readers("store-query", QUERY_THREADS)?;
        let check = match look_on {
            LookOn::No => None,
            LookOn::WhileServing => {
                let connection =
                    schema::open_reader(&file).map_err(|error| failed(error.to_string()))?;
                let check = connection.get_interrupt_handle();
                let reader = Readers::start("store-check", vec![connection], &shared);
                reader.map_err(|error| failed(error.to_string()))?.look_through();
                Some(check)
            }
        };
        let checkpoints = Checkpoints::start(&file).map_err(|error| failed(error.to_string()))?;
        let (orders, queue) = channel();
        let writer = Writer {
            file: file.clone(),
            cache_bytes,
            clock,
            shared: shared.clone(),
            orders: queue,
            connection: Some(connection),
            checkpoints,
            ballast,
            lock,
        };
        thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || writer.run())
            .map_err(|error| failed(error.to_string()))?;
        Ok(Arc::new(Self { orders, shared, data, queries, check }))
    }

    /// Hands an operation to the writer.
    fn write<T, F>(&self, urgent: bool, run: F) -> StoreFuture<T>
    where
        T: Send + 'static,
        F: FnMut(&mut Change<'_>) -> rusqlite::Result<Result<T, StoreError>> + Send + 'static,
    {
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING_MAX {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            let why = format!("{WAITING_MAX} operations wait for the disk");
            return future::ready(Err(StoreError::Unavailable(why))).boxed();
        }
        let (caller, answer) = oneshot::channel();
        let work = Task::boxed(run, caller);
        let sent = self.orders.send(Order::Do { work, urgent }).is_ok();
        let closed = || StoreError::Closed("the store was closed".into());
        async move {
            if !sent {
                return Err(closed());
            }
            answer.await.unwrap_or_else(|_| Err(closed()))
        }
        .boxed()
    }

    /// Makes a list, which may fail as a query: that travels inside the reader's answer.
    fn list_by<T, F>(&self, question: F) -> BoxFuture<'static, Result<Page<T>, QueryError>>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<Page<T>, ListError> + Send + 'static,
    {
        self.queries
            .ask(move |connection| match question(connection) {
                Ok(page) => Ok(Ok(page)),
                Err(ListError::BadCursor) => Ok(Err(QueryError::BadCursor)),
                Err(ListError::Engine(error)) => Err(error),
            })
            .map(|answer| answer.unwrap_or_else(|error| Err(error.into())))
            .boxed()
    }
}

impl DeliveryStore for EmbeddedStore {
    fn accept(&self, acceptance: Acceptance) -> StoreFuture<Accepted> {
        self.write(true, move |change| change.accept(&acceptance))
    }

    fn settle(
        &self,
        _tenure: Tenure,
        settlements: Vec<Settlement>,
        hosts: Vec<HostUpdate>,
    ) -> StoreFuture<Released> {
        let releases = |settlement: &Settlement| self.shared.owed(settlement.id.host()).parked > 0;
        let urgent = settlements.iter().any(releases);
        self.write(urgent, move |change| change.settle(&settlements, &hosts).map(Ok))
    }

    fn page(
        &self,
        host: HostNumber,
        lane: Option<u32>,
        limit: usize,
    ) -> StoreFuture<Vec<LanePage>> {
        let shared = self.shared.clone();
        self.data.ask(move |connection| reader::page(connection, &shared, (host, lane), limit))
    }

    fn fetch(&self, ids: Vec<DeliveryId>) -> StoreFuture<Vec<(DeliveryId, Arc<Webhook>)>> {
        let shared = self.shared.clone();
        self.data.ask(move |connection| reader::fetch(connection, &shared, &ids))
    }

    fn wakeups(
        &self,
        shards: ShardSet,
        after: Option<HostNumber>,
        limit: usize,
    ) -> StoreFuture<Vec<Wakeup>> {
        let shared = self.shared.clone();
        self.data
            .ask(move |connection| reader::wakeups(connection, &shared, &shards, (after, limit)))
    }

    /// The owner of the directory has all shards and asks for all of them; of a page of others'
    /// nothing is left.
    fn overdue(
        &self,
        shards: ShardSet,
        now: Timestamp,
        limit: usize,
    ) -> StoreFuture<Vec<(HostName, DeliveryId)>> {
        let shared = self.shared.clone();
        self.data.ask(move |connection| {
            let mut found = reader::overdue(connection, &shared, now, limit)?;
            found.retain(|(_, id)| shards.contains(id.host().shard()));
            Ok(found)
        })
    }

    fn redrive(&self, ids: Vec<DeliveryId>, now: Timestamp) -> StoreFuture<Vec<DeliveryId>> {
        self.write(true, move |change| change.redrive(&ids, now).map(Ok))
    }

    fn skip(&self, id: DeliveryId, _now: Timestamp) -> StoreFuture<bool> {
        self.write(true, move |change| change.skip(id).map(Ok))
    }

    fn sweep(&self, before: Timestamp, now: Timestamp, limit: usize) -> StoreFuture<(usize, bool)> {
        self.write(false, move |change| change.sweep(before, now, limit).map(Ok))
    }

    fn subscribe(&self, sink: Arc<dyn PendingSink>) {
        let first = self.shared.sink.set(sink).is_ok();
        debug_assert!(first, "the sink is set once");
    }

    fn counts(&self) -> StoreCounts {
        self.shared.counts()
    }

    fn pending_of(&self, host: HostNumber) -> u64 {
        u64::try_from(self.shared.owed(host).pending).unwrap_or(0)
    }

    fn pending_of_lane(&self, workspace: u32) -> u64 {
        let owed = self.shared.owed_of_lane(workspace);
        u64::try_from(owed.pending + owed.parked).unwrap_or(0)
    }

    fn health(&self) -> StoreHealth {
        self.shared.health()
    }

    fn commits(&self) -> CommitReadings {
        self.shared.commits.read()
    }

    fn close(&self) -> StoreFuture<()> {
        self.data.close();
        self.queries.close();
        if let Some(check) = &self.check {
            check.interrupt();
        }
        let (done, answer) = oneshot::channel();
        let sent = self.orders.send(Order::Close(done)).is_ok();
        async move {
            match sent {
                // A second close finds the writer gone: that is what was asked for.
                true => answer.await.unwrap_or(Ok(())),
                false => Ok(()),
            }
        }
        .boxed()
    }
}

impl HostStore for EmbeddedStore {
    fn known_number(&self, name: &HostName) -> Option<HostNumber> {
        self.shared.number(name)
    }

    fn number(&self, name: HostName) -> StoreFuture<HostNumber> {
        match self.shared.number(&name) {
            Some(number) => future::ready(Ok(number)).boxed(),
            None => self.write(true, move |change| change.number(&name)),
        }
    }

    fn host(&self, name: HostName) -> StoreFuture<Option<HostRecord>> {
        // One row by its key: it goes with the reading for sending, which an actor waits for.
        let shared = self.shared.clone();
        self.data
            .ask(move |connection| reader::host(connection, &name))
            .map_ok(move |host| host.map(|host| with_pending(host, &shared)))
            .boxed()
    }

    fn hosts(
        &self,
        workspace: Option<u32>,
        after: Option<HostName>,
        limit: usize,
    ) -> StoreFuture<Vec<HostRecord>> {
        let shared = self.shared.clone();
        self.queries
            .ask(move |connection| reader::hosts(connection, workspace, after.as_ref(), limit))
            .map_ok(move |hosts| {
                hosts.into_iter().map(|host| with_pending(host, &shared)).collect()
            })
            .boxed()
    }

    fn controlled(&self) -> StoreFuture<Vec<(HostName, HostControls)>> {
        self.queries.ask(reader::controlled)
    }

    fn control(&self, host: HostNumber, controls: HostControls) -> StoreFuture<()> {
        self.write(true, move |change| change.control(host, &controls).map(Ok))
    }

    fn intervals(
        &self,
        host: HostNumber,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> StoreFuture<Vec<HostInterval>> {
        self.queries.ask(move |connection| reader::intervals(connection, host, (from, to), limit))
    }
}

impl RecordStore for EmbeddedStore {
    fn records(
        &self,
        workspace: u32,
        kind: RecordKind,
        keys: Vec<String>,
    ) -> StoreFuture<Vec<Option<Record>>> {
        self.data.ask(move |connection| records::records(connection, (workspace, kind), &keys))
    }

    fn scan(
        &self,
        workspace: u32,
        kind: RecordKind,
        (prefix, after): (String, Option<String>),
        limit: usize,
    ) -> StoreFuture<Vec<Record>> {
        self.data.ask(move |connection| {
            records::scan(connection, (workspace, kind), (&prefix, after.as_deref()), limit)
        })
    }

    fn due(&self, workspace: u32, kind: RecordKind, limit: usize) -> StoreFuture<Vec<Record>> {
        self.data.ask(move |connection| records::due(connection, (workspace, kind), limit))
    }

    fn tally(&self, subject: String, from: Timestamp, until: Timestamp) -> StoreFuture<Vec<Count>> {
        self.queries.ask(move |connection| records::tally(connection, &subject, (from, until)))
    }
}

fn with_pending(host: HostRecord, shared: &Shared) -> HostRecord {
    let pending = u64::try_from(shared.owed(host.number).pending).unwrap_or(0);
    HostRecord { pending, ..host }
}

impl QueryStore for EmbeddedStore {
    fn find(&self, id: DeliveryId) -> StoreFuture<Option<DeliveryRecord>> {
        self.queries.ask(move |connection| query::find(connection, id))
    }

    fn attempts(&self, id: DeliveryId) -> StoreFuture<Vec<Attempt>> {
        self.queries.ask(move |connection| reader::attempts(connection, id))
    }

    fn list(
        &self,
        filter: DeliveryFilter,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Page<DeliveryRecord>, QueryError>> {
        let shared = self.shared.clone();
        self.list_by(move |connection| {
            query::list(connection, &shared, &filter, after.as_deref(), limit)
        })
    }

    fn count(&self, filter: DeliveryFilter, max: u64) -> StoreFuture<u64> {
        self.queries.ask(move |connection| query::count(connection, &filter, max))
    }

    fn place(&self, id: DeliveryId, max: u64) -> StoreFuture<Option<Place>> {
        self.queries.ask(move |connection| query::place(connection, id, max))
    }

    fn dead_letters(&self, from: Timestamp, limit: usize) -> StoreFuture<Vec<DeliveryId>> {
        self.queries.ask(move |connection| reader::dead_letters(connection, from, limit))
    }
}
