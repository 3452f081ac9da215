//! Who may come in, for which workspace, and what was changed about that.
//!
//! Keys and workspaces are records; a copy in memory answers every request without waiting for
//! anything. Changes are made one after the other: written first, then put into that copy, each with
//! its entry in the audit log in the same commit.
//!
//! A server's keys are changed through the server: the data directory is open in one process at a
//! time. The command line opens it itself only while no server does.

mod audit;
mod caller;
mod error;
mod guesses;
mod key;
mod keys;
mod live;
mod records;
mod scope;
mod workspaces;

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

pub use audit::AuditPage;
pub use caller::Caller;
pub use error::AccessError;
pub use key::{KeyId, KeyText, KeyTextError, check_text};
pub use keys::{KeyState, KeyView, NewKey, Shown};
pub use live::{LiveKey, Spent};
pub use scope::{Scope, Scopes};
pub use workspaces::{WorkspaceChange, WorkspaceView};

use crate::clock::Clock;
use crate::config::Auth;
use crate::delivery::Engine;
use crate::model::{DEFAULT_WORKSPACE, Now};
use crate::store::{Store, StoreError};
use guesses::{Guesses, Origin};
use key::{Presented, SecretHash};
use records::{Records, WorkspaceRecord};

/// How often last uses are written down: one commit for all keys.
pub const USES_EVERY: Duration = Duration::from_secs(60);

/// Keys, workspaces and the audit log. One for all front-end threads.
pub struct Access {
    records: Records,
    clock: Clock,
    settings: Auth,
    /// Told of every workspace's policy; `None` where nothing is delivered.
    engine: Option<Arc<dyn Engine>>,
    known: ArcSwap<Known>,
    guesses: Mutex<Guesses>,
    /// Held while something is read, changed and written.
    editing: tokio::sync::Mutex<()>,
}

/// What is in memory. Replaced as a whole, so that a request sees one state of it.
#[derive(Clone, Default)]
struct Known {
    keys: HashMap<KeyId, Arc<LiveKey>>,
    workspaces: BTreeMap<u32, Arc<KnownWorkspace>>,
}

struct KnownWorkspace {
    record: WorkspaceRecord,
    /// Of its record; `None` while there is none, as for the default workspace at first.
    version: Option<u64>,
}

/// Why somebody was not let in. Nothing tells which part of a key was wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turned {
    /// No live key has this text.
    Away,
    /// There were too many failures from this address: it is listened to again after this.
    Slowed(Duration),
}

impl Access {
    /// Access over a store. Nobody is known before [`open`](Self::open).
    pub fn new(
        store: Arc<dyn Store>,
        engine: Option<Arc<dyn Engine>>,
        clock: Clock,
        settings: Auth,
    ) -> Self {
        let guesses = Mutex::new(Guesses::new(settings.max_failures));
        let (records, editing) = (Records::new(store), tokio::sync::Mutex::default());
        let known = ArcSwap::from_pointee(Known::with_default());
        Self { records, clock, settings, engine, known, guesses, editing }
    }

    /// Reads all keys and workspaces, and tells the engine what holds for each workspace.
    pub async fn open(&self) -> Result<(), StoreError> {
        let _turn = self.editing.lock().await;
        self.read().await
    }

    async fn read(&self) -> Result<(), StoreError> {
        let mut known = Known::with_default();
        for (record, version) in self.records.workspaces().await? {
            let (number, version) = (record.number, Some(version));
            known.workspaces.insert(number, Arc::new(KnownWorkspace { record, version }));
        }
        let before = self.known.load_full();
        for (record, version) in self.records.keys().await? {
            let key = LiveKey::new(record, version, &self.settings);
            let key = match before.keys.get(&key.id()) {
                Some(old) => key.going_on_from(old),
                None => key,
            };
            known.keys.insert(key.id(), Arc::new(key));
        }
        for (id, at) in self.records.uses().await? {
            if let Some(key) = known.keys.get(&id) {
                key.was_used(at);
            }
        }
        if let Some(engine) = &self.engine {
            for workspace in known.workspaces.values() {
                let record = &workspace.record;
                engine.workspaces().set(record.number, record.policy.clone());
            }
        }
        self.known.store(Arc::new(known));
        Ok(())
    }

    /// Whether any key was ever made, however it ended.
    pub fn has_keys(&self) -> bool {
        !self.known.load().keys.is_empty()
    }

    /// Whether a key is live that may do everything.
    pub fn has_live_admin(&self) -> bool {
        let now = self.clock.wall();
        self.known.load().keys.values().any(|key| key.is_live_admin(now))
    }

    /// Finds the key that somebody came with. In memory, in about a microsecond.
    ///
    /// An address that failed too often is not listened to, whatever it brings, but for keys that
    /// came from there before: whoever shares an address with a guesser is not shut out by him. All
    /// failures look the same and take the same way: an unknown id is compared with a hash of nobody.
    pub fn authenticate(
        &self,
        text: &str,
        address: Option<IpAddr>,
        now: Now,
    ) -> Result<Arc<LiveKey>, Turned> {
        let origin = address.map(Origin::of);
        let Some(key) = self.find(text, now) else {
            return Err(self.failed(origin, now));
        };
        if let Some(origin) = origin.filter(|origin| !key.came_from(*origin)) {
            let wait = self.guesses().wait(origin, now.moment);
            if !wait.is_zero() {
                return Err(Turned::Slowed(wait));
            }
            key.comes_from(origin);
        }
        key.was_used(now.wall);
        Ok(key)
    }

    /// Whether somebody who was let in would be let in now, to do as much: asked again and again
    /// while something lasts that he began.
    pub fn still_admits(&self, caller: &Caller) -> bool {
        let Some(name) = &caller.key else { return true };
        let known = self.known.load();
        let key = KeyId::parse(name).and_then(|id| known.keys.get(&id));
        let now = self.clock.wall();
        key.is_some_and(|key| key.record.is_live(now) && key.scopes() == caller.scopes)
    }

    fn find(&self, text: &str, now: Now) -> Option<Arc<LiveKey>> {
        let presented = Presented::parse(text).ok()?;
        let known = self.known.load();
        let Some(key) = known.keys.get(&presented.id) else {
            let _nobody = SecretHash::NOBODY.matches(&presented.hash);
            return None;
        };
        key.admits(&presented.hash, now.wall).then(|| key.clone())
    }

    /// Counts a failed attempt to come in.
    fn failed(&self, origin: Option<Origin>, now: Now) -> Turned {
        let Some(origin) = origin else { return Turned::Away };
        match self.guesses().failed(origin, now.moment) {
            Ok(()) => Turned::Away,
            Err(wait) => Turned::Slowed(wait),
        }
    }

    /// Counts a failure that shows before there is a key to look for: a header that is none.
    pub fn refused(&self, address: Option<IpAddr>, now: Now) -> Turned {
        self.failed(address.map(Origin::of), now)
    }

    fn guesses(&self) -> std::sync::MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down when keys were last used, those that were since the last time. A failure is
    /// told in the log and made up for the next time.
    pub async fn keep_uses(&self) {
        let known = self.known.load_full();
        let used: Vec<_> = known.keys.values().filter_map(|key| key.unwritten_use()).collect();
        if used.is_empty() {
            return;
        }
        let writes = used.iter().map(|(id, at)| records::use_write(*id, *at)).collect();
        if let Err(error) = self.records.commit(self.clock.wall(), writes).await {
            log::warn!("last uses of keys were not written down: {error}");
            return;
        }
        for (id, at) in used {
            if let Some(key) = known.keys.get(&id) {
                key.use_is_written(at);
            }
        }
    }

    /// After a commit whose outcome was lost, what is in memory may be behind: reads it anew.
    async fn settle<T>(&self, result: Result<T, AccessError>) -> Result<T, AccessError> {
        if let Err(AccessError::Store(StoreError::Unknown(_))) = &result
            && let Err(error) = self.read().await
        {
            log::error!("keys could not be read after a commit whose outcome is unknown: {error}");
        }
        result
    }

    /// Replaces what is in memory by a changed copy.
    fn change(&self, change: impl FnOnce(&mut Known)) {
        let mut known = Known::clone(&self.known.load_full());
        change(&mut known);
        self.known.store(Arc::new(known));
    }
}

impl Known {
    fn with_default() -> Self {
        let record = WorkspaceRecord::default_one();
        let default = Arc::new(KnownWorkspace { record, version: None });
        Self { keys: HashMap::new(), workspaces: BTreeMap::from([(DEFAULT_WORKSPACE, default)]) }
    }
}
