//! What is known without asking the file: counts, hosts' names and numbers, how commits fare.
//! The writer thread alone changes the counts, after a commit; everyone reads.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use rusqlite::Connection;

use super::schema::{self, OpenError};
use super::soundness::{self, Mark};
use crate::clock::Clock;
use crate::model::{HostName, HostNumber, StoredState, Timestamp};
use crate::report::meters::CommitMeters;
use crate::store::reports::Ration;
use crate::store::{PendingSink, StoreCounts, StoreHealth, StoreLimits};

/// Names kept in memory, past which the cache is begun anew: about 150 MB.
const NAMES_MAX: usize = 1_000_000;
/// Damaged rows that are told one by one; past so many nobody reads them.
const DAMAGED_MAX: usize = 10_000;
/// No count gets there: a trigger a microsecond for 285 years.
const COUNT_MAX: i64 = 1 << 53;
/// Weight of the newest commit in the averages: they follow about the last twenty.
const AVERAGE_WEIGHT: f64 = 0.05;

/// Owed deliveries of one host, or of one lane of it.
#[derive(Clone, Copy, Default)]
pub(super) struct Owed {
    pub pending: i64,
    pub parked: i64,
}

/// Owed deliveries by host, and by lane over all hosts.
#[derive(Default)]
struct AllOwed {
    hosts: HashMap<HostNumber, Owed>,
    lanes: HashMap<u32, Owed>,
}

impl AllOwed {
    fn add(&mut self, host: HostNumber, lane: u32, change: Owed) {
        add_to(&mut self.hosts, host, change);
        add_to(&mut self.lanes, lane, change);
    }
}

fn add_to<K: Eq + Hash>(all: &mut HashMap<K, Owed>, key: K, change: Owed) {
    let mut entry = match all.entry(key) {
        Entry::Occupied(entry) => entry,
        Entry::Vacant(entry) => entry.insert_entry(Owed::default()),
    };
    let owed = entry.get_mut();
    owed.pending += change.pending;
    owed.parked += change.parked;
    debug_assert!(owed.pending >= 0 && owed.parked >= 0, "counts never go below zero");
    if owed.pending == 0 && owed.parked == 0 {
        entry.remove();
    }
}

/// The sums over all hosts, in the order of the stored states, and how many were ever accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sums {
    pub by_state: [i64; 7],
    pub accepted: i64,
    pub commits: i64,
}

impl Sums {
    pub(super) fn owed(&self) -> i64 {
        self.by_state[0] + self.by_state[1]
    }

    fn counts(&self) -> StoreCounts {
        let of = |state: usize| u64::try_from(self.by_state[state]).unwrap_or(0);
        StoreCounts {
            pending: of(0),
            parked: of(1),
            accepted: u64::try_from(self.accepted).unwrap_or(0),
            delivered: of(2),
            failed: of(3),
            exhausted: of(4),
            expired: of(5),
            cancelled: of(6),
        }
    }
}

#[derive(Default)]
struct Names {
    numbers: HashMap<HostName, HostNumber>,
    names: HashMap<HostNumber, HostName>,
}

/// Shared by the writer, the readers and the callers.
pub(super) struct Shared {
    file: PathBuf,
    mark: Mark,
    clock: Clock,
    /// Why the store was given up.
    lost: OnceLock<String>,
    /// Rows that could not be read, so that each is reported once.
    damaged: Mutex<HashSet<String>>,
    pub limits: StoreLimits,
    pub sink: OnceLock<Arc<dyn PendingSink>>,
    /// The disk is full and its ballast given up: outcomes are written, nothing is accepted.
    pub short: AtomicBool,
    /// Operations sent to the writer and not answered.
    pub waiting: AtomicU64,
    sums: RwLock<Sums>,
    owed: RwLock<AllOwed>,
    names: RwLock<Names>,
    health: RwLock<StoreHealth>,
    pub commits: CommitMeters,
    ration: Mutex<Ration>,
}

impl Shared {
    /// Counts what a file holds, by its narrow indexes alone.
    pub(super) fn load(
        connection: &Connection,
        limits: StoreLimits,
        file: &Path,
        (mark, clock): (Mark, Clock),
    ) -> Result<Self, OpenError> {
        let (sums, owed) = recount(connection).map_err(|error| schema::explain(file, &error))?;
        let sums = plausible(connection, sums).map_err(|error| schema::explain(file, &error))?;
        soundness::report_lost_commits(file, &mark, sums.commits);
        let behind_s = clock.not_before(mark.wall).as_secs();
        if behind_s > 0 {
            log::warn!(
                behind_s, last_commit:% = mark.wall, due_from:% = clock.wall();
                "the system clock is behind the last commit: what was due by then waits until it \
                 is due again"
            );
        }
        mark.note(sums.commits, clock.wall());
        Ok(Self {
            file: file.into(),
            mark,
            clock,
            lost: OnceLock::new(),
            damaged: Mutex::default(),
            limits,
            sink: OnceLock::new(),
            short: AtomicBool::new(false),
            waiting: AtomicU64::new(0),
            sums: RwLock::new(sums),
            owed: RwLock::new(owed),
            names: RwLock::default(),
            health: RwLock::default(),
            commits: CommitMeters::default(),
            ration: Mutex::default(),
        })
    }

    /// Counts afresh, after a commit whose outcome was in doubt.
    pub(super) fn reload(&self, connection: &Connection) -> rusqlite::Result<()> {
        let (sums, owed) = recount(connection)?;
        *self.sums.write().unwrap_or_else(PoisonError::into_inner) = sums;
        *self.owed.write().unwrap_or_else(PoisonError::into_inner) = owed;
        Ok(())
    }

    pub(super) fn sums(&self) -> Sums {
        *self.sums.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> StoreCounts {
        self.sums().counts()
    }

    pub(super) fn owed(&self, host: HostNumber) -> Owed {
        let owed = self.owed.read().unwrap_or_else(PoisonError::into_inner);
        owed.hosts.get(&host).copied().unwrap_or_default()
    }

    pub(super) fn owed_of_lane(&self, lane: u32) -> Owed {
        let owed = self.owed.read().unwrap_or_else(PoisonError::into_inner);
        owed.lanes.get(&lane).copied().unwrap_or_default()
    }

    /// Puts the effect of a commit in force.
    pub(super) fn apply(&self, sums: Sums, owed: &HashMap<(HostNumber, u32), Owed>) {
        if self.sums().commits != sums.commits {
            self.mark.note(sums.commits, self.clock.wall());
        }
        *self.sums.write().unwrap_or_else(PoisonError::into_inner) = sums;
        let mut all = self.owed.write().unwrap_or_else(PoisonError::into_inner);
        for ((host, lane), change) in owed {
            all.add(*host, *lane, *change);
        }
    }

    pub(super) fn number(&self, name: &HostName) -> Option<HostNumber> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).numbers.get(name).copied()
    }

    pub(super) fn name(&self, number: HostNumber) -> Option<HostName> {
        self.names.read().unwrap_or_else(PoisonError::into_inner).names.get(&number).cloned()
    }

    /// Remembers a committed host.
    pub(super) fn remember(&self, name: HostName, number: HostNumber) {
        let mut names = self.names.write().unwrap_or_else(PoisonError::into_inner);
        if names.names.len() >= NAMES_MAX {
            *names = Names::default();
        }
        names.numbers.insert(name.clone(), number);
        names.names.insert(number, name);
    }

    pub(super) fn health(&self) -> StoreHealth {
        let health = self.health.read().unwrap_or_else(PoisonError::into_inner).clone();
        StoreHealth {
            waiting: self.waiting.load(Ordering::Relaxed),
            damaged_rows: self.damaged().len() as u64,
            lost: self.lost.get().cloned(),
            ..health
        }
    }

    /// Says that nothing can be done with the file any more: the process has to end.
    pub(super) fn give_up(&self, why: &str) {
        if self.lost.set(why.into()).is_ok() {
            soundness::leave_word(&self.file, why);
            log::error!(why; "the store is damaged and given up; the next start looks through it");
        }
    }

    /// Passes a row on, but leaves out one that is damaged, by name in the log.
    pub(super) fn readable<T>(
        &self,
        name: impl FnOnce() -> String,
        row: rusqlite::Result<T>,
    ) -> rusqlite::Result<Option<T>> {
        let error = match row {
            Ok(row) => return Ok(Some(row)),
            Err(error) if soundness::is_of_row(&error) => error,
            Err(error) => return Err(error),
        };
        let (name, mut damaged) = (name(), self.damaged());
        if damaged.len() < DAMAGED_MAX && damaged.insert(name.clone()) {
            log::error!(row = name.as_str(), error:% = error; "a stored row is damaged and left out");
        }
        Ok(None)
    }

    /// Whether an entry of the activity log may be a row of its own.
    pub(super) fn may_stand_alone(&self, workspace: u32, at: Timestamp) -> bool {
        self.ration.lock().unwrap_or_else(PoisonError::into_inner).take(workspace, at)
    }

    fn damaged(&self) -> MutexGuard<'_, HashSet<String>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn committed(&self, operations: usize, took: Duration) {
        self.commits.committed(operations, took);
        let mut health = self.health.write().unwrap_or_else(PoisonError::into_inner);
        let micros = took.as_secs_f64() * 1e6;
        let size = operations as f64;
        let weight = if health.commits == 0 { 1.0 } else { AVERAGE_WEIGHT };
        health.commits += 1;
        health.last_commit_size = operations as u64;
        health.commit_size += (size - health.commit_size) * weight;
        health.commit_us += (micros - health.commit_us) * weight;
        self.clear_refusal(&mut health);
    }

    /// Whether writes were refused and have not been taken again.
    pub(super) fn is_refusing(&self) -> bool {
        self.health.read().unwrap_or_else(PoisonError::into_inner).refusing.is_some()
    }

    /// Notes that nothing is refused any more, unless the disk is full.
    pub(super) fn takes_writes(&self) {
        self.clear_refusal(&mut self.health.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn clear_refusal(&self, health: &mut StoreHealth) {
        if !self.short.load(Ordering::Relaxed) && health.refusing.take().is_some() {
            log::warn!("the store takes writes again");
        }
    }

    /// Notes why writes are refused. Logged once for each reason: a full disk refuses thousands.
    pub(super) fn refusing(&self, why: &str) {
        let mut health = self.health.write().unwrap_or_else(PoisonError::into_inner);
        if health.refusing.as_deref() != Some(why) {
            log::error!(why; "the store refuses writes");
            health.refusing = Some(why.into());
        }
    }
}

/// Reads the row of counts; what is owed is not in it.
pub(super) fn stored_sums(connection: &Connection) -> rusqlite::Result<Sums> {
    connection.query_row(
        "SELECT commits, accepted, delivered, failed, exhausted, expired, cancelled FROM counts",
        [],
        |row| {
            let by_state = [0, 0, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?];
            Ok(Sums { by_state, commits: row.get(0)?, accepted: row.get(1)? })
        },
    )
}

/// Counts that cannot be: a damaged one must neither stop accepting (its number would be given a
/// second time) nor run over.
fn plausible(connection: &Connection, mut sums: Sums) -> rusqlite::Result<Sums> {
    let found = sums;
    let last: Option<i64> =
        connection.query_row("SELECT max(seq) FROM delivery", [], |row| row.get(0))?;
    let counts = sums.by_state.iter_mut().chain([&mut sums.accepted, &mut sums.commits]);
    for count in counts.filter(|count| !(0..COUNT_MAX).contains(*count)) {
        *count = 0;
    }
    sums.accepted = sums.accepted.max(last.unwrap_or(0));
    if sums != found {
        log::error!(found:? = found, taken:? = sums; "stored counts were damaged and are mended");
    }
    Ok(sums)
}

/// Counts what is owed, by host and lane, by the narrow indexes alone.
fn recount(connection: &Connection) -> rusqlite::Result<(Sums, AllOwed)> {
    let mut owed = AllOwed::default();
    let mut sums = stored_sums(connection)?;
    for (sql, state) in [
        (
            "SELECT host, lane, count(*) FROM delivery INDEXED BY delivery_pending \
             WHERE state = 0 GROUP BY host, lane",
            StoredState::Pending,
        ),
        (
            "SELECT host, lane, count(*) FROM delivery INDEXED BY delivery_parked \
             WHERE state = 1 GROUP BY host, lane",
            StoredState::Parked,
        ),
    ] {
        let mut statement = connection.prepare(sql)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let count: i64 = row.get(2)?;
            let change = match state {
                StoredState::Pending => Owed { pending: count, parked: 0 },
                _ => Owed { pending: 0, parked: count },
            };
            // A lane that is none is damage, which whoever reads the row reports.
            let lane = u32::try_from(row.get::<_, i64>(1)?).unwrap_or(u32::MAX);
            owed.add(HostNumber(row.get(0)?), lane, change);
            sums.by_state[0] += change.pending;
            sums.by_state[1] += change.parked;
        }
    }
    Ok((sums, owed))
}
