//! The engine itself: the store, the routers and what operators asked, behind one handle.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;

use crate::delivery::engine::{Cancelled, Engine, Explanation, WaitReason};
use crate::delivery::explain::PLACE_MAX;
use crate::delivery::facts::Facts;
use crate::delivery::feed::Feed;
use crate::delivery::feeder::Feeder;
use crate::delivery::host::HostCommand;
use crate::delivery::router::{Broadcast, Command};
use crate::delivery::shard::Surroundings;
use crate::delivery::snapshot::{ArbiterStats, HostSnapshot};
use crate::delivery::workspaces::Workspaces;
use crate::model::{DeliveryId, End, HostControls, HostName, HostNumber, StoredState};
use crate::policy::why::{self, Holder};
use crate::report::host_series::HostPoint;
use crate::store::{DeliveryRecord, StoreError};
use crate::vault::Vault;

/// How long an answer of a host actor is waited for: it answers in microseconds, unless its arbiter
/// is stuck.
const ANSWER: Duration = Duration::from_secs(5);
/// Deliveries that are cancelled in one go.
const PURGE: usize = 1000;

/// The running engine.
#[derive(Clone)]
pub struct LiveEngine(Arc<Parts>);

struct Parts {
    around: Surroundings,
    feeder: Arc<Feeder>,
    stopping: AtomicBool,
}

impl LiveEngine {
    /// An engine over running routers.
    pub fn new(around: Surroundings, feeder: Arc<Feeder>) -> Self {
        Self(Arc::new(Parts { around, feeder, stopping: AtomicBool::new(false) }))
    }

    /// Where it tells what happens to hosts and deliveries.
    pub fn facts(&self) -> &Arc<Facts> {
        self.0.around.registry.facts()
    }

    /// From now on triggers are refused.
    pub fn refuse(&self) {
        self.0.stopping.store(true, Ordering::Relaxed);
    }

    /// Starts no more sends, and waits up to `patience` for what is in flight to finish and be
    /// committed. Answers how many requests were still out.
    pub async fn quiesce(&self, patience: Duration) -> u64 {
        for router in self.0.feeder.routers() {
            let _closed = router.send(Broadcast(|| HostCommand::Quiesce)).await;
        }
        let started = actix_rt::time::Instant::now();
        // Twice in a row: an actor may have begun to send before it heard.
        let mut quiet = false;
        loop {
            let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
            let out: u64 = self.0.feeder.counters().map(|arbiter| load(&arbiter.in_flight)).sum();
            let open: u64 =
                self.0.feeder.counters().map(|arbiter| load(&arbiter.uncommitted)).sum();
            let was_quiet = std::mem::replace(&mut quiet, out == 0 && open == 0);
            if (quiet && was_quiet) || started.elapsed() >= patience {
                return out;
            }
            actix_rt::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Parts {
    fn ask<T: Send + 'static>(
        &self,
        id: DeliveryId,
        host: HostName,
        start: bool,
        command: impl FnOnce(oneshot::Sender<T>) -> HostCommand,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        self.ask_host(id.host(), host, start, command)
    }

    fn ask_host<T: Send + 'static>(
        &self,
        number: HostNumber,
        host: HostName,
        start: bool,
        command: impl FnOnce(oneshot::Sender<T>) -> HostCommand,
    ) -> BoxFuture<'static, Result<T, StoreError>> {
        let (sender, reply) = oneshot::channel();
        let command = Command { host: host.clone(), number, command: command(sender), start };
        let sent = self.feeder.router(&host).try_send(command).is_ok();
        async move {
            let busy = || StoreError::Unavailable("the host's actor is busy or starting".into());
            if !sent {
                return Err(busy());
            }
            match actix_rt::time::timeout(ANSWER, reply).await {
                Ok(Ok(answer)) => Ok(answer),
                _ => Err(busy()),
            }
        }
        .boxed()
    }

    async fn explain(self: Arc<Self>, id: DeliveryId) -> Result<Option<Explanation>, StoreError> {
        let Some(record) = self.around.store.find(id).await? else { return Ok(None) };
        match record.state {
            StoredState::Ended(_) => Ok(None),
            StoredState::Parked => self.explain_parked(&record).await.map(Some),
            StoredState::Pending => self.explain_pending(record).await.map(Some),
        }
    }

    /// What holds its key, and one step further: what that one waits for.
    async fn explain_parked(&self, record: &DeliveryRecord) -> Result<Explanation, StoreError> {
        let place = self.around.store.place(record.id, PLACE_MAX).await?;
        let head = match place.and_then(|place| place.behind) {
            Some(head) => self.around.store.find(head).await?,
            None => None,
        };
        let key = record.ordering_key.as_deref().unwrap_or_default();
        let id = head.as_ref().map(|head| head.id);
        let (end, of_head) = match head {
            Some(head) => match head.state {
                StoredState::Ended(end) => (Some(end), None),
                _ => (None, self.explain_pending(head).await.ok()),
            },
            None => (None, None),
        };
        let holder = match (end, &of_head) {
            (Some(end), _) => Holder::Blocks(end.as_str()),
            (_, Some(of_head)) if of_head.state == "in_flight" => Holder::InFlight,
            (_, Some(of_head)) if of_head.blocked_by.is_empty() => Holder::Waits(""),
            (_, Some(of_head)) => Holder::Waits(&of_head.reason),
            (None, None) => Holder::Unknown,
        };
        let order = why::behind(key, id, holder);
        let expectation = match (end, of_head.as_ref().and_then(|head| head.next_attempt_at)) {
            (Some(_), _) => "nobody knows when: somebody has to decide about that one".to_owned(),
            (None, Some(at)) => format!("not known: after that one, which is expected at {at}"),
            (None, None) => "not known: after that one".to_owned(),
        };
        let mut blocked_by = vec![order];
        blocked_by.extend(of_head.into_iter().flat_map(|head| head.blocked_by));
        Ok(Explanation {
            state: "waiting",
            waits_for: Some(WaitReason::Order),
            reason: blocked_by[0].text.clone(),
            blocked_by,
            next_attempt_at: None,
            expectation: format!("{expectation}; it expires at {}", record.expires),
            ahead: None,
        })
    }

    async fn explain_pending(&self, record: DeliveryRecord) -> Result<Explanation, StoreError> {
        let explanation = self.ask_why(&record, None).await?;
        if explanation.ahead.is_some() || explanation.state == "in_flight" {
            return Ok(explanation);
        }
        // Too deep for the window: the store knows the place.
        let place = self.around.store.place(record.id, PLACE_MAX).await?;
        match place {
            Some(place) => self.ask_why(&record, Some(place.ahead)).await,
            None => Ok(explanation),
        }
    }

    async fn ask_why(
        &self,
        record: &DeliveryRecord,
        place: Option<u64>,
    ) -> Result<Explanation, StoreError> {
        let asked = Box::new((record.clone(), place));
        let host = record.host.clone();
        self.ask(record.id, host, true, |reply| HostCommand::Explain(asked, reply)).await
    }

    async fn cancel(self: Arc<Self>, id: DeliveryId) -> Result<Cancelled, StoreError> {
        let Some(record) = self.around.store.find(id).await? else {
            return Ok(Cancelled::Unknown);
        };
        if matches!(record.state, StoredState::Ended(_)) && !record.blocks_key {
            return Ok(Cancelled::Ended);
        }
        let asked =
            self.ask(id, record.host, true, |reply| HostCommand::Cancel(vec![id], reply)).await?;
        let outcome = asked.first().copied().unwrap_or(Cancelled::Unknown);
        if outcome != Cancelled::Done {
            return Ok(outcome);
        }
        // It may have ended otherwise between the look and the wish.
        let state = self.around.store.find(id).await?.map(|record| record.state);
        match state {
            Some(StoredState::Ended(end)) if end != End::Cancelled => Ok(Cancelled::Ended),
            _ => Ok(Cancelled::Done),
        }
    }

    async fn control(
        self: Arc<Self>,
        host: HostName,
        controls: HostControls,
    ) -> Result<(), StoreError> {
        let number = self.around.store.number(host.clone()).await?;
        self.around.store.control(number, controls.clone()).await?;
        if controls == HostControls::default() {
            self.around.controls.remove(&host);
        } else {
            self.around.controls.insert(host.clone(), controls.clone());
        }
        let command = HostCommand::Control(controls);
        let command = Command { host: host.clone(), number, command, start: true };
        let _closed = self.feeder.router(&host).send(command).await;
        Ok(())
    }

    async fn purge(
        self: Arc<Self>,
        host: HostName,
        workspace: Option<u32>,
    ) -> Result<u64, StoreError> {
        let Some(number) = self.number(&host).await? else { return Ok(0) };
        let mut purged = 0;
        loop {
            let out = self.in_flight_of(number, &host).await;
            let pages = self.around.store.page(number, workspace, PURGE + out.len()).await?;
            let rows = pages.iter().flat_map(|page| &page.rows);
            let ids: Vec<DeliveryId> =
                rows.map(|entry| entry.id).filter(|id| !out.contains(id)).take(PURGE).collect();
            if ids.is_empty() {
                return Ok(purged);
            }
            let asked =
                self.ask_host(number, host.clone(), true, |reply| HostCommand::Cancel(ids, reply));
            let outcomes = asked.await?;
            purged += outcomes.iter().filter(|one| **one == Cancelled::Done).count() as u64;
        }
    }

    /// The number of a host that was ever seen.
    async fn number(&self, host: &HostName) -> Result<Option<HostNumber>, StoreError> {
        match self.around.store.known_number(host) {
            Some(number) => Ok(Some(number)),
            None => Ok(self.around.store.host(host.clone()).await?.map(|record| record.number)),
        }
    }

    async fn in_flight_of(&self, number: HostNumber, host: &HostName) -> Vec<DeliveryId> {
        let asked = self.ask_host(number, host.clone(), true, HostCommand::InFlight);
        asked.await.unwrap_or_default()
    }
}

impl Engine for LiveEngine {
    fn explain(
        &self,
        id: DeliveryId,
    ) -> BoxFuture<'static, Result<Option<Explanation>, StoreError>> {
        self.0.clone().explain(id).boxed()
    }

    fn cancel(&self, id: DeliveryId) -> BoxFuture<'static, Result<Cancelled, StoreError>> {
        self.0.clone().cancel(id).boxed()
    }

    fn redrive(
        &self,
        ids: Vec<DeliveryId>,
    ) -> BoxFuture<'static, Result<Vec<DeliveryId>, StoreError>> {
        self.0.around.store.redrive(ids, self.0.around.clock.wall())
    }

    fn skip(&self, id: DeliveryId) -> BoxFuture<'static, Result<bool, StoreError>> {
        self.0.around.store.skip(id, self.0.around.clock.wall())
    }

    fn control(
        &self,
        host: HostName,
        controls: HostControls,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        self.0.clone().control(host, controls).boxed()
    }

    fn purge(
        &self,
        host: HostName,
        workspace: Option<u32>,
    ) -> BoxFuture<'static, Result<u64, StoreError>> {
        let parts = self.0.clone();
        async move {
            // In a task of its own: a caller who gives up must not leave a queue half purged.
            let purged = actix_rt::spawn(parts.purge(host, workspace)).await;
            purged.unwrap_or_else(|_| Err(StoreError::Unavailable("the purge broke off".into())))
        }
        .boxed()
    }

    fn controls(&self, host: &HostName) -> HostControls {
        self.0.around.controls.get(host).map(|entry| entry.clone()).unwrap_or_default()
    }

    fn host(&self, host: HostName) -> BoxFuture<'static, Option<HostSnapshot>> {
        let parts = self.0.clone();
        async move {
            let number = parts.number(&host).await.ok()??;
            parts.ask_host(number, host, false, HostCommand::Inspect).await.ok()
        }
        .boxed()
    }

    fn series(&self, host: HostName) -> BoxFuture<'static, Option<Vec<HostPoint>>> {
        let parts = self.0.clone();
        async move {
            let number = parts.number(&host).await.ok()??;
            parts.ask_host(number, host, false, HostCommand::Series).await.ok()
        }
        .boxed()
    }

    fn hosts(&self) -> Vec<Arc<HostSnapshot>> {
        self.0.around.registry.all()
    }

    fn in_flight(&self, limit: usize) -> BoxFuture<'static, Vec<DeliveryId>> {
        let parts = self.0.clone();
        async move {
            let mut ids = Vec::new();
            for snapshot in parts.around.registry.all() {
                if ids.len() >= limit {
                    break;
                }
                if snapshot.in_flight == 0 {
                    continue;
                }
                if let Ok(Some(number)) = parts.number(&snapshot.host).await {
                    ids.extend(parts.in_flight_of(number, &snapshot.host).await);
                }
            }
            ids.truncate(limit);
            ids
        }
        .boxed()
    }

    fn arbiters(&self) -> Vec<ArbiterStats> {
        let counters = self.0.feeder.counters().enumerate();
        counters.map(|(arbiter, counters)| counters.stats(arbiter)).collect()
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.0.around.feed
    }

    fn vault(&self) -> &Arc<Vault> {
        &self.0.around.vault
    }

    fn workspaces(&self) -> &Workspaces {
        &self.0.around.workspaces
    }

    fn is_stopping(&self) -> bool {
        self.0.stopping.load(Ordering::Relaxed)
    }
}
