//! The one who looks at the clock for composition: journeys and schedules whose time has come are
//! moved on. Any number may be due; some are moved side by side, so that they share commits.
//!
//! A record that fails holds up nobody: it is moved out of the way, a little at first, an hour once
//! it has failed again and again. None is given up, since what it needs may come back.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{FutureExt, StreamExt, stream};

use super::Composer;
use crate::admission::Refusal;
use crate::model::Timestamp;
use crate::store::{Activity, Expect, Record, RecordKind, RecordWrite, Writes};

/// Records looked at in one go.
const PAGE: usize = 256;
/// Records moved on side by side.
const SIDE_BY_SIDE: usize = 64;
/// The longest nap: a nudge that was missed costs no more.
const NAP_MAX: Duration = Duration::from_secs(5);
/// How long it waits after the store failed.
const FAILED: Duration = Duration::from_secs(1);
/// How long a record rests whose host has as many deliveries waiting as it may.
const HOST_FULL: Duration = Duration::from_secs(15);
/// How long a record rests after each failure in a row; then, always, `REST_MAX`.
const RESTS: [Duration; 4] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(30),
    Duration::from_secs(300),
];
const REST_MAX: Duration = Duration::from_secs(3600);
/// Failing records that are remembered; past so many all begin anew.
const FAILING_MAX: usize = 10_000;

/// How often each record has failed in a row.
#[derive(Default)]
pub(super) struct Failing(Mutex<HashMap<(RecordKind, String), usize>>);

impl Failing {
    fn forget(&self, kind: RecordKind, key: &str) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.is_empty() {
            all.remove(&(kind, key.to_owned()));
        }
    }

    /// Counts a failure; answers how many there were before.
    fn count(&self, kind: RecordKind, key: &str) -> usize {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= FAILING_MAX {
            all.clear();
        }
        let count = all.entry((kind, key.to_owned())).or_default();
        *count += 1;
        *count - 1
    }
}

impl Composer {
    /// Moves on whatever is due, for ever. Ends when the process stops.
    pub async fn conduct(self: Arc<Self>) {
        while !self.admission.is_stopping() {
            let nap = match self.tick().await {
                Ok(next) => self.nap_until(next),
                Err(refusal) => {
                    log::warn!("composition rests for a second: {refusal}");
                    FAILED
                }
            };
            let nudged = self.nudge.notified();
            if !nap.is_zero() && tokio::time::timeout(nap, nudged).await.is_ok() {
                // The commit that nudges is durable already.
                continue;
            }
        }
    }

    fn nap_until(&self, next: Option<Timestamp>) -> Duration {
        next.map_or(NAP_MAX, |next| self.clock.wall().until(next).min(NAP_MAX))
    }

    /// Moves on what is due; answers when the next is. Public for tests that move the clock.
    pub async fn tick(&self) -> Result<Option<Timestamp>, Refusal> {
        let mut next: Option<Timestamp> = None;
        let mut trouble = None;
        for kind in [RecordKind::Schedule, RecordKind::Journey] {
            let records = self.store.due(self.workspace, kind, PAGE).await?;
            let now = self.clock.wall();
            let whole = records.len() == PAGE;
            let (due, later): (Vec<_>, Vec<_>) =
                records.into_iter().partition(|record| record.due.is_some_and(|due| due <= now));
            let any = !due.is_empty();
            let moves = due.into_iter().map(|record| self.move_on(kind, record));
            let outcomes: Vec<Result<(), Refusal>> =
                stream::iter(moves).buffer_unordered(SIDE_BY_SIDE).collect().await;
            trouble = trouble.or(outcomes.into_iter().find_map(Result::err));
            let at = match any || (whole && later.is_empty()) {
                true => Some(now),
                false => later.first().and_then(|record| record.due),
            };
            next = match (next, at) {
                (Some(a), Some(b)) => Some(a.min(b)),
                (a, b) => a.or(b),
            };
        }
        trouble.map_or(Ok(next), Err)
    }

    /// Moves one record on, or out of the way. An error is the store's, and ends when that is well
    /// again.
    async fn move_on(&self, kind: RecordKind, record: Record) -> Result<(), Refusal> {
        let moved = async {
            match kind {
                RecordKind::Journey => self.advance(&record.key).await,
                _ => self.run_schedule(&record.key).await,
            }
        };
        let why = match AssertUnwindSafe(moved).catch_unwind().await {
            Ok(Ok(())) => {
                self.failing.forget(kind, &record.key);
                return Ok(());
            }
            Ok(Err(Refusal::HostFull { .. })) => {
                return self.postpone(kind, record, HOST_FULL, Vec::new()).await;
            }
            Ok(Err(refusal)) if self.is_of_the_store(&refusal) => return Err(refusal),
            Ok(Err(refusal)) => refusal.to_string(),
            Err(_) => "it broke the one who moved it on".to_owned(),
        };
        let before = self.failing.count(kind, &record.key);
        let rest = RESTS.get(before).copied().unwrap_or(REST_MAX);
        log::warn!("record {:?} of composition rests for {rest:?}: {why}", record.key);
        let mut notes = Vec::new();
        if before == RESTS.len() {
            log::error!("record {:?} of composition fails again and again: {why}", record.key);
            notes.push(put_aside(&record.key, &why, self.clock.wall()));
        }
        self.postpone(kind, record, rest, notes).await
    }

    fn is_of_the_store(&self, refusal: &Refusal) -> bool {
        let of_all =
            matches!(refusal, Refusal::Busy { .. } | Refusal::Stopping | Refusal::StoreFull { .. });
        of_all || self.store.health().refusing.is_some()
    }

    async fn postpone(
        &self,
        kind: RecordKind,
        record: Record,
        rest: Duration,
        activity: Vec<Activity>,
    ) -> Result<(), Refusal> {
        let now = self.clock.wall();
        let later = RecordWrite {
            kind,
            key: record.key,
            expect: Expect::Version(record.version),
            due: Some(now.plus(rest)),
            value: Some(record.value),
        };
        let writes = Writes { records: vec![later], activity, ..Writes::default() };
        match self.write(writes, now).await {
            Ok(()) | Err(Refusal::Stale(_)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }
}

/// A record that fails again and again. A journey's key begins with the recipient, then comes the
/// canvas; a schedule's is its id.
fn put_aside(key: &str, why: &str, now: Timestamp) -> Activity {
    let mut parts = key.split(super::recipients::SEPARATOR).map(str::to_owned);
    let (first, second) = (parts.next(), parts.next());
    let (recipient, subject) = match second {
        Some(canvas) => (first, Some(canvas)),
        None => (None, first),
    };
    Activity {
        at: now,
        kind: "put_aside".into(),
        subject,
        recipient,
        detail: why.to_owned(),
        ..Activity::default()
    }
}
