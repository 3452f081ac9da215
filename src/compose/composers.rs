//! The composers of all workspaces. Each has a catalog, recipients and schedules of its own and
//! sees nothing of the others.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use futures::StreamExt;
use futures::channel::mpsc::{UnboundedReceiver, UnboundedSender, unbounded};
use futures::stream::FuturesUnordered;
use tokio::sync::Mutex;

use super::Composer;
use crate::admission::Admission;
use crate::clock::Clock;
use crate::config::Settings;
use crate::delivery::Engine;
use crate::store::{Store, StoreError};

/// One composer for each workspace.
pub struct Composers {
    admission: Arc<Admission>,
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    settings: Arc<Settings>,
    clock: Clock,
    open: RwLock<HashMap<u32, Arc<Composer>>>,
    /// Those that nobody conducts yet.
    idle: UnboundedSender<Arc<Composer>>,
    /// Taken by the one who conducts them all; held while one is opened.
    conducting: Mutex<UnboundedReceiver<Arc<Composer>>>,
    opening: Mutex<()>,
}

impl Composers {
    /// Composers over `admission`, none of them open; see [`Self::open`].
    pub fn new(
        admission: Arc<Admission>,
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        settings: Arc<Settings>,
        clock: Clock,
    ) -> Self {
        let (idle, conducting) = unbounded();
        Self {
            admission,
            store,
            engine,
            settings,
            clock,
            open: RwLock::default(),
            idle,
            conducting: Mutex::new(conducting),
            opening: Mutex::default(),
        }
    }

    /// What lets their triggers in, for the default workspace.
    pub fn admission(&self) -> &Arc<Admission> {
        &self.admission
    }

    /// Numbers of the workspaces whose composers are open.
    pub fn numbers(&self) -> Vec<u32> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// The composer of a workspace; `None` when it is not open.
    pub fn of(&self, workspace: u32) -> Option<Arc<Composer>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(&workspace).cloned()
    }

    /// Opens the composer of a workspace, unless it is open: reads its catalog.
    pub async fn open(&self, workspace: u32) -> Result<Arc<Composer>, StoreError> {
        let _one_at_a_time = self.opening.lock().await;
        if let Some(composer) = self.of(workspace) {
            return Ok(composer);
        }
        let composer = Arc::new(Composer::new(
            Arc::new(self.admission.within(workspace)),
            self.store.clone(),
            self.engine.clone(),
            self.settings.clone(),
            self.clock.clone(),
        ));
        composer.read_catalog().await?;
        let mut open = self.open.write().unwrap_or_else(PoisonError::into_inner);
        open.insert(workspace, composer.clone());
        // The receiver lives as long as this does.
        let _taken = self.idle.unbounded_send(composer.clone());
        Ok(composer)
    }

    /// Moves on whatever is due in any workspace, for ever. Ends when the process stops.
    pub async fn conduct(self: Arc<Self>) {
        let mut fresh = self.conducting.lock().await;
        let mut conducted = FuturesUnordered::new();
        loop {
            tokio::select! {
                Some(composer) = fresh.next() => conducted.push(composer.conduct()),
                // One ends only when the process stops.
                Some(()) = conducted.next() => break,
            }
        }
    }
}
