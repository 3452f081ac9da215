//! Moves the log into the file beside the writer.
//!
//! SQLite would do it inside a COMMIT, and everyone who waits for that commit would wait for some
//! thousand pages and a sync of the file too: 20 to 30 ms. A thread of its own moves them while
//! commits go on. It never catches up with a writer that does not pause, and the log begins anew
//! only once nothing is left in it; so it gets near, and the writer moves the few pages that are
//! left between two commits.
//!
//! What fails here harms nothing: pages stay in the log until the file is synced.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use super::schema;

/// Operations after which the log is looked at: it has some two to four thousand pages by then.
const EVERY: usize = 2_000;
/// So few pages the writer moves in less time than a commit takes.
const NEAR: i64 = 64;
/// Rounds at most: each leaves what was written during it, which is less each time.
const ROUNDS: usize = 5;

/// What the writer and the thread share.
#[derive(Default)]
struct Common {
    /// Held by whoever checkpoints: SQLite answers a second one busy instead of letting it wait.
    turn: Mutex<()>,
    /// Little is left: the writer may end it.
    is_near: AtomicBool,
}

/// The writer's side. The thread has ended once this is dropped.
pub(super) struct Checkpoints {
    common: Arc<Common>,
    asks: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    operations: usize,
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.asks.take();
        // A thread that broke has said so itself.
        let _broken = self.thread.take().map(JoinHandle::join);
    }
}

impl Checkpoints {
    /// Starts the thread, with a connection of its own.
    pub(super) fn start(file: &Path) -> std::io::Result<Self> {
        let common = Arc::new(Common::default());
        let (asks, queue) = sync_channel(1);
        let (file, shared) = (file.to_owned(), common.clone());
        let serve = move || match schema::connect_to_checkpoint(&file) {
            Ok(connection) => serve(&connection, &queue, &shared),
            // The writer's own bound on the log holds then.
            Err(error) => log::warn!(error:%; "the log is moved by the writer alone"),
        };
        let thread = thread::Builder::new().name("store-checkpoint".into()).spawn(serve)?;
        Ok(Self { common, asks: Some(asks), thread: Some(thread), operations: 0 })
    }

    /// Counts what was committed, and has the log moved when that is enough. To be called between
    /// two commits.
    pub(super) fn committed(&mut self, connection: &Connection, operations: usize) {
        if self.common.is_near.swap(false, Ordering::Acquire) {
            let _turn = lock(&self.common);
            if let Err(error) = schema::checkpoint_some(connection) {
                log::warn!(error:%; "the log could not be moved; it goes on growing meanwhile");
            }
        }
        self.operations += operations;
        // A full queue means that it is under way: it is asked again after the next commit.
        let ask = |asks: &SyncSender<()>| asks.try_send(()).is_ok();
        if self.operations >= EVERY && self.asks.as_ref().is_some_and(ask) {
            self.operations = 0;
        }
    }

    /// Waits until nobody else checkpoints, and keeps it so.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.common)
    }
}

fn lock(common: &Common) -> MutexGuard<'_, ()> {
    common.turn.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(connection: &Connection, queue: &Receiver<()>, common: &Common) {
    while queue.recv().is_ok() {
        for _ in 0..ROUNDS {
            let _turn = lock(common);
            match schema::checkpoint_some(connection) {
                Ok(left) if left > NEAR => {}
                Ok(_) => break,
                Err(error) => {
                    log::warn!(error:%; "the log could not be moved; the next time finds it all");
                    break;
                }
            }
        }
        common.is_near.store(true, Ordering::Release);
    }
}
