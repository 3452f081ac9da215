//! Alerts: a host gone unhealthy or recovered, too many errors of an endpoint, a delivery given up,
//! an ordering key blocked. Each is an event that can start a campaign or a canvas, a webhook to a
//! fixed URL, and an entry of the activity log.
//!
//! Facts come as messages from host actors and recorders, which wait for nobody here. What is known
//! is kept: a host that is ill is a record, and so is an alert that was raised; after a start, and
//! when a fact was missed, they are compared with what the store says of hosts and dead letters. So
//! a crash loses no alert, and repeats none that was committed.

mod alert;
mod errors;
mod quota;
mod raise;
mod watch;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc::Receiver;

pub use alert::{ALERT_TERM, Alert};
use errors::ErrorCounts;
use quota::Quota;
use watch::Seen;

use crate::admission::{Beside, Prepared, Refusal};
use crate::clock::Clock;
use crate::compose::Composers;
use crate::config::Settings;
use crate::delivery::facts::{Fact, Facts};
use crate::model::{HostName, Timestamp};
use crate::store::{Store, Writes};

/// How often it looks at the clock where nothing is told.
const TICK: Duration = Duration::from_secs(5);
/// How long it rests after the store failed.
const REST: Duration = Duration::from_secs(1);
/// The store is looked at no more often.
const CATCH_UP_EVERY: Duration = Duration::from_secs(60);
/// Facts that are taken up in one go.
const ROUND: usize = 10_000;

/// Raises alerts.
pub struct Alerts {
    composers: Arc<Composers>,
    store: Arc<dyn Store>,
    settings: Arc<Settings>,
    clock: Clock,
}

/// What the one who watches remembers.
struct Watch {
    /// Hosts that are ill, and since when.
    ill: HashMap<HostName, Timestamp>,
    errors: ErrorCounts,
    quota: Quota,
    /// Facts that were heard and not dealt with.
    waiting: VecDeque<Fact>,
    /// Whether the store has to be looked at: at the start, and after a fact was missed.
    behind: bool,
    /// When it was last looked at.
    caught_up: Option<Timestamp>,
    /// Which dead letters were seen, as it was saved last.
    seen: Seen,
    /// Whether there is anything that was not saved.
    unsaved: bool,
    kept: Timestamp,
    cleaned: Timestamp,
}

impl Alerts {
    /// Alerts that are raised through `composers`.
    pub fn new(
        composers: Arc<Composers>,
        store: Arc<dyn Store>,
        settings: Arc<Settings>,
        clock: Clock,
    ) -> Self {
        Self { composers, store, settings, clock }
    }

    /// Watches what is told to `told` until the process stops.
    pub async fn run(self, told: Arc<Facts>) {
        let mut facts = told.listen();
        let now = self.clock.wall();
        let mut watch = Watch {
            ill: HashMap::new(),
            errors: ErrorCounts::default(),
            quota: Quota::new(self.settings.alerts.per_minute),
            waiting: VecDeque::new(),
            behind: true,
            caught_up: None,
            seen: Seen::from(now),
            unsaved: false,
            kept: now,
            cleaned: now,
        };
        while let Err(refusal) = self.recall(&mut watch).await {
            if self.composers.admission().is_stopping() {
                return;
            }
            log::warn!("alerts wait for the store: {refusal}");
            tokio::time::sleep(REST).await;
        }
        while !self.composers.admission().is_stopping() {
            if let Err(refusal) = self.work(&mut watch).await {
                // What was not dealt with is still there.
                log::debug!("alerts rest for a moment: {refusal}");
                tokio::time::sleep(REST).await;
            }
            if !self.hear(&mut watch, &mut facts).await {
                return;
            }
            watch.behind |= told.take_missed();
        }
    }

    /// Takes up what was told; false when nothing can come any more.
    async fn hear(&self, watch: &mut Watch, facts: &mut Receiver<Fact>) -> bool {
        if watch.waiting.is_empty() {
            match tokio::time::timeout(TICK, facts.recv()).await {
                Ok(None) => return false,
                Ok(Some(fact)) => watch.waiting.push_back(fact),
                Err(_) => {}
            }
        }
        while watch.waiting.len() < ROUND
            && let Ok(fact) = facts.try_recv()
        {
            watch.waiting.push_back(fact);
        }
        true
    }

    async fn work(&self, watch: &mut Watch) -> Result<(), Refusal> {
        let began = self.clock.wall();
        while let Some(fact) = watch.waiting.front().cloned() {
            watch.unsaved = true;
            self.judge(watch, fact).await?;
            watch.waiting.pop_front();
        }
        let rested = watch.caught_up.is_none_or(|last| last.until(began) >= CATCH_UP_EVERY);
        if watch.behind && rested {
            watch.behind = false;
            watch.caught_up = Some(began);
            if let Err(refusal) = self.catch_up(watch).await {
                (watch.behind, watch.caught_up) = (true, None);
                return Err(refusal);
            }
            watch.unsaved = true;
        }
        self.keep(watch, began).await
    }

    /// Writes records and activity alone.
    async fn write(&self, workspace: u32, writes: Writes, now: Timestamp) -> Result<(), Refusal> {
        if writes.is_empty() {
            return Ok(());
        }
        let admission = self.composers.admission().within(workspace);
        let prepared = Prepared { trigger: admission.new_trigger(now), deliveries: Vec::new() };
        let beside = Beside { writes, ..Beside::default() };
        admission.accept((&Bytes::new(), None), prepared, beside, now).await.map(drop)
    }
}
