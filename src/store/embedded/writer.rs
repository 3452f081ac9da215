//! The one thread that writes. It gathers operations, makes them one transaction with one sync,
//! and answers their callers after it.
//!
//! Trouble has three kinds. A single bad operation is found by running the group again one by one,
//! and fails alone. When a statement fails for the disk's sake, the group is rolled back and
//! answered `Unavailable`. When the COMMIT itself fails nobody knows what reached the disk: the
//! connection is opened anew and the whole log is moved into the file, which syncs every page
//! again; only then is anything acknowledged, and the number of the last commit tells whether the
//! lost one took place.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use futures::channel::oneshot;
use rusqlite::{Connection, ErrorCode};

use super::ballast::Ballast;
use super::change::Change;
use super::checkpoint::Checkpoints;
use super::schema::{self, DirectoryLock};
use super::shared::{Shared, Sums, stored_sums};
use crate::clock::Clock;
use crate::model::Moment;
use crate::store::StoreError;

/// Operations of one transaction: past a thousand the sync is a small part of the cost already.
const GROUP_MAX: usize = 1_000;
/// How long a settlement may wait for an accept to ride with; the contract allows 100 ms in all.
const LAZY: Duration = Duration::from_millis(20);
/// How often a store that refuses writes looks whether it can take them again.
const MEND: Duration = Duration::from_secs(1);
/// So many waiting settlements are worth a commit of their own.
const LAZY_MAX: usize = 512;

/// An operation of a caller who waits for its answer.
pub(super) trait Work: Send {
    /// Does it, inside the transaction; may be called again after a roll-back.
    fn apply(&mut self, change: &mut Change<'_>) -> rusqlite::Result<()>;
    /// Gives the answer of the last `apply`, or the failure that undid it.
    fn answer(self: Box<Self>, failure: Option<StoreError>);
}

/// What the writer is sent.
pub(super) enum Order {
    /// To be done; `urgent` unless it may wait for company.
    Do { work: Box<dyn Work>, urgent: bool },
    /// The last order.
    Close(oneshot::Sender<Result<(), StoreError>>),
}

/// A typed operation and its caller.
pub(super) struct Task<T, F> {
    run: F,
    reply: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, F> Task<T, F>
where
    T: Send + 'static,
    F: FnMut(&mut Change<'_>) -> rusqlite::Result<Result<T, StoreError>> + Send + 'static,
{
    pub(super) fn boxed(run: F, caller: oneshot::Sender<Result<T, StoreError>>) -> Box<dyn Work> {
        Box::new(Self { run, reply: None, caller })
    }
}

impl<T, F> Work for Task<T, F>
where
    T: Send,
    F: FnMut(&mut Change<'_>) -> rusqlite::Result<Result<T, StoreError>> + Send,
{
    fn apply(&mut self, change: &mut Change<'_>) -> rusqlite::Result<()> {
        self.reply = Some((self.run)(change)?);
        Ok(())
    }

    fn answer(self: Box<Self>, failure: Option<StoreError>) {
        let lost = || Err(StoreError::Unavailable("the operation was not carried out".into()));
        let reply = match failure {
            Some(failure) => Err(failure),
            None => self.reply.unwrap_or_else(lost),
        };
        // A caller who went away wants no answer.
        let _ = self.caller.send(reply);
    }
}

/// Where the writer stands with its file.
enum Standing {
    Sound,
    /// A commit or sync failed: nothing is acknowledged before the file has been recovered.
    Suspect,
    /// Beyond recovery.
    Lost(String),
}

pub(super) struct Writer {
    pub file: PathBuf,
    pub cache_bytes: usize,
    pub clock: Clock,
    pub shared: Arc<Shared>,
    pub orders: Receiver<Order>,
    /// `None` only between two attempts at opening the file anew.
    pub connection: Option<Connection>,
    pub checkpoints: Checkpoints,
    pub ballast: Ballast,
    pub lock: DirectoryLock,
}

/// Without its writer the store is of no use, so a panic here ends the process in order.
struct GivesUp(Arc<Shared>);

impl Drop for GivesUp {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.give_up("the writer broke");
        }
    }
}

type Group = Vec<Box<dyn Work>>;

/// Who is told that the store is closed; `None` when every caller is gone.
type Goodbye = Option<oneshot::Sender<Result<(), StoreError>>>;

impl Writer {
    /// Serves until told to close, or until every caller is gone.
    pub(super) fn run(mut self) {
        let _broken = GivesUp(self.shared.clone());
        let mut standing = Standing::Sound;
        loop {
            let (group, close) = self.gather();
            standing = match group.is_empty() {
                true => self.idle(standing),
                false => self.serve(group, standing),
            };
            if let Standing::Lost(why) = &standing {
                self.shared.give_up(why);
            }
            if let Some(done) = close {
                self.finish(standing, done);
                return;
            }
        }
    }

    /// Waits for work and takes all there is, up to a transaction's worth.
    fn gather(&self) -> (Group, Option<Goodbye>) {
        let mut group = Group::new();
        let mut lazy_until: Option<Moment> = None;
        let mut hurry = false;
        loop {
            let wait = lazy_until.map(|until| self.clock.moment().until(until));
            let order = match wait {
                _ if hurry => self.orders.try_recv().map_err(|_| RecvTimeoutError::Timeout),
                None if self.shared.is_refusing() => self.orders.recv_timeout(MEND),
                None => self.orders.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(wait) => self.orders.recv_timeout(wait),
            };
            match order {
                Ok(Order::Do { work, urgent }) => {
                    group.push(work);
                    hurry |= urgent || group.len() >= LAZY_MAX;
                    lazy_until.get_or_insert_with(|| self.clock.moment() + LAZY);
                }
                Ok(Order::Close(done)) => return (group, Some(Some(done))),
                Err(RecvTimeoutError::Timeout) => return (group, None),
                Err(RecvTimeoutError::Disconnected) => return (group, Some(None)),
            }
            if group.len() >= GROUP_MAX {
                return (group, None);
            }
        }
    }

    fn serve(&mut self, group: Group, standing: Standing) -> Standing {
        let size = group.len() as u64;
        let standing = match self.mend(standing) {
            Standing::Sound => self.commit(group),
            Standing::Suspect => {
                let why = "the file is being recovered after a failed commit";
                answer(group, &StoreError::Unavailable(why.into()));
                Standing::Suspect
            }
            Standing::Lost(why) => {
                answer(group, &StoreError::Closed(why.clone()));
                Standing::Lost(why)
            }
        };
        self.shared.waiting.fetch_sub(size, Ordering::Relaxed);
        standing
    }

    /// One transaction: apply, commit, put in force, announce, answer.
    fn commit(&mut self, mut group: Group) -> Standing {
        let begun = self.clock.moment();
        let before = self.shared.sums();
        let shared = self.shared.clone();
        let Some(connection) = &self.connection else { return Standing::Suspect };
        let mut change = Change::new(connection, &shared, before);
        let failures = match apply(connection, &mut change, &mut group) {
            Ok(failures) => failures,
            Err(error) => {
                let failure = self.refuse(&error);
                answer(group, &failure);
                return after(&error);
            }
        };
        let outcome = change.finish().and_then(|()| execute(connection, "COMMIT"));
        let effect = change.into_effect();
        if let Err(error) = outcome {
            let failure = self.refuse(&error);
            return self.doubt(group, failures, effect, &failure);
        }
        let size = group.len();
        shared.committed(size, self.clock.moment().since(begun));
        effect.put_in_force(&shared);
        for (work, failure) in group.into_iter().zip(failures) {
            work.answer(failure);
        }
        self.checkpoints.committed(connection, size);
        Standing::Sound
    }

    /// The COMMIT failed: finds out what became of it, if that can be found out at once.
    fn doubt(
        &mut self,
        group: Group,
        failures: Vec<Option<StoreError>>,
        effect: super::change::Effect,
        failure: &StoreError,
    ) -> Standing {
        let standing = self.recover(Standing::Suspect);
        match (&standing, self.stored()) {
            (Standing::Sound, Some(stored)) if stored.commits == effect.sums.commits => {
                // Recovering has counted it in: once more would count it twice.
                effect.announce(&self.shared);
                for (work, failure) in group.into_iter().zip(failures) {
                    work.answer(failure);
                }
            }
            (Standing::Sound, Some(_)) => answer(group, failure),
            _ => answer(group, &StoreError::Unknown(failure.to_string())),
        }
        standing
    }

    /// Recovers the file and the ballast, where they need it.
    fn mend(&mut self, standing: Standing) -> Standing {
        if self.shared.short.load(Ordering::Relaxed) {
            let restored = self.ballast.restore(self.clock.moment());
            self.shared.short.store(!restored, Ordering::Relaxed);
        }
        self.recover(standing)
    }

    /// Mends while nobody calls: a store that says it is not ready may not be called again before
    /// it says that it is.
    fn idle(&mut self, standing: Standing) -> Standing {
        let standing = self.mend(standing);
        if let Standing::Sound = standing {
            self.shared.takes_writes();
        }
        standing
    }

    /// Opens the file anew and syncs all of it, where that is needed.
    fn recover(&mut self, standing: Standing) -> Standing {
        let Standing::Suspect = standing else { return standing };
        // The old connection goes first: its cache may hold pages that never reached the disk.
        self.connection = None;
        let turn = self.checkpoints.turn();
        let reopened = schema::connect(&self.file, self.cache_bytes)
            .and_then(|connection| Ok((schema::checkpoint(&connection)?, connection)));
        drop(turn);
        match reopened {
            Ok((whole, connection)) => {
                let expected = self.shared.sums();
                self.connection = Some(connection);
                match self.stored() {
                    // The next opening says what is gone, and keeps the log.
                    Some(stored) if stored.commits < expected.commits => {
                        Standing::Lost("acknowledged commits are gone from the file".into())
                    }
                    // Counts in memory lag behind when a commit in doubt took place after all
                    // while its callers were told `Unknown`; they are counted afresh.
                    Some(stored) if whole && stored.commits != expected.commits => self.recount(),
                    Some(_) if whole => Standing::Sound,
                    _ => Standing::Suspect,
                }
            }
            Err(error) => {
                self.refuse(&error);
                after_recovery(&error)
            }
        }
    }

    fn recount(&mut self) -> Standing {
        let Some(connection) = &self.connection else { return Standing::Suspect };
        match self.shared.reload(connection) {
            Ok(()) => Standing::Sound,
            Err(error) => after_recovery(&error),
        }
    }

    fn stored(&self) -> Option<Sums> {
        self.connection.as_ref().and_then(|connection| stored_sums(connection).ok())
    }

    /// Rolls back and says why. On a full disk the ballast goes, for the outcomes to come.
    fn refuse(&mut self, error: &rusqlite::Error) -> StoreError {
        if let Some(connection) = &self.connection
            && !connection.is_autocommit()
            && let Err(error) = execute(connection, "ROLLBACK")
        {
            log::warn!("rolling back failed error={error}");
        }
        if error.sqlite_error_code() == Some(ErrorCode::DiskFull) {
            self.shared.short.store(true, Ordering::Relaxed);
            if self.ballast.give_up(self.clock.moment()) {
                log::warn!("the disk is full: the ballast is given up, nothing new is accepted");
            }
        }
        let why = error.to_string();
        self.shared.refusing(&why);
        StoreError::Unavailable(why)
    }

    fn finish(mut self, standing: Standing, done: Goodbye) {
        // Its thread has ended then: nobody else touches the file when it is given up.
        drop(self.checkpoints);
        let closed = match (&standing, &self.connection) {
            // A busy reader leaves the rest in the log, which the next opening reads: no loss.
            (Standing::Sound, Some(connection)) => schema::checkpoint(connection).map(drop),
            _ => Ok(()),
        };
        self.connection = None;
        drop(self.lock);
        if let Some(done) = done {
            let outcome = closed.map_err(|error| StoreError::Unavailable(error.to_string()));
            let _ = done.send(outcome);
        }
        while let Ok(order) = self.orders.try_recv() {
            let closed = || StoreError::Closed("the store was closed".into());
            match order {
                Order::Do { work, .. } => work.answer(Some(closed())),
                Order::Close(done) => drop(done.send(Ok(()))),
            }
        }
    }
}

/// Runs a group in an open transaction. `Err` means that the disk (and no single operation) failed.
fn apply(
    connection: &Connection,
    change: &mut Change<'_>,
    group: &mut Group,
) -> rusqlite::Result<Vec<Option<StoreError>>> {
    execute(connection, "BEGIN IMMEDIATE")?;
    let mut failed = None;
    for work in group.iter_mut() {
        if let Err(error) = work.apply(change) {
            failed = Some(error);
            break;
        }
    }
    match failed {
        None => return Ok(group.iter().map(|_| None).collect()),
        Some(error) if is_of_disk(&error) => return Err(error),
        Some(error) => log::warn!("an operation failed, its group runs one by one error={error}"),
    }
    execute(connection, "ROLLBACK")?;
    execute(connection, "BEGIN IMMEDIATE")?;
    change.reset();
    let mut failures = Vec::with_capacity(group.len());
    for work in group.iter_mut() {
        failures.push(apply_alone(connection, change, work.as_mut())?);
    }
    Ok(failures)
}

fn apply_alone(
    connection: &Connection,
    change: &mut Change<'_>,
    work: &mut dyn Work,
) -> rusqlite::Result<Option<StoreError>> {
    let mark = change.mark();
    execute(connection, "SAVEPOINT one")?;
    let failure = match work.apply(change) {
        Ok(()) => None,
        Err(error) if is_of_disk(&error) => return Err(error),
        Err(error) => {
            execute(connection, "ROLLBACK TO one")?;
            change.return_to(mark);
            Some(StoreError::Unavailable(error.to_string()))
        }
    };
    execute(connection, "RELEASE one")?;
    Ok(failure)
}

fn answer(group: Group, failure: &StoreError) {
    for work in group {
        work.answer(Some(failure.clone()));
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// Whether an error is the disk's, the memory's or the file's: no operation is to blame.
fn is_of_disk(error: &rusqlite::Error) -> bool {
    let of_operation = [
        ErrorCode::ConstraintViolation,
        ErrorCode::TypeMismatch,
        ErrorCode::TooBig,
        ErrorCode::ParameterOutOfRange,
        ErrorCode::Unknown,
    ];
    error.sqlite_error_code().is_some_and(|code| !of_operation.contains(&code))
}

/// What a group that failed before its COMMIT leaves behind.
fn after(error: &rusqlite::Error) -> Standing {
    match error.sqlite_error_code() {
        _ if schema::is_damage(error) => Standing::Lost(error.to_string()),
        // A full disk harms nothing: the next group finds out whether there is room again.
        Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Standing::Sound
        }
        _ => Standing::Suspect,
    }
}

fn after_recovery(error: &rusqlite::Error) -> Standing {
    if schema::is_damage(error) {
        log::error!("the store is given up error={error}");
        return Standing::Lost(error.to_string());
    }
    Standing::Suspect
}
