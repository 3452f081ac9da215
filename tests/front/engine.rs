//! An engine without actors: it does what the store can do alone, and shows what a test sets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::delivery::{
    ArbiterStats, BudgetSnapshot, Cancelled, Engine, Explanation, Feed, HealthSnapshot,
    HostCondition, HostSnapshot, Obstacle, Tally, WaitReason, What,
};
use hostline::model::{
    DeliveryId, End, HostControls, HostName, Settlement, StoredState, Timestamp, Verdict,
};
use hostline::report::host_series::{HostPoint, HostSeries};
use hostline::report::tally::Kind;
use hostline::store::{DeliveryFilter, Store, StoreError};
use hostline::vault::Vault;

pub struct FakeEngine {
    pub store: Arc<dyn Store>,
    pub now: Timestamp,
    pub stopping: AtomicBool,
    pub in_flight: Mutex<Vec<DeliveryId>>,
    pub live: Mutex<Vec<Arc<HostSnapshot>>>,
    pub controls: Mutex<HashMap<HostName, HostControls>>,
    pub feed: Arc<Feed>,
    pub arbiter: Mutex<ArbiterStats>,
    pub workspaces: hostline::delivery::Workspaces,
    pub vault: Arc<Vault>,
}

impl FakeEngine {
    /// An engine whose vault knows the secrets of the settings.
    pub fn new(store: Arc<dyn Store>, now: Timestamp, settings: &Settings) -> Arc<Self> {
        Arc::new(Self {
            vault: Vault::new(store.clone(), settings, Clock::of_runtime(now)),
            store,
            now,
            stopping: AtomicBool::new(false),
            in_flight: Mutex::default(),
            live: Mutex::default(),
            controls: Mutex::default(),
            feed: Arc::default(),
            arbiter: Mutex::new(ArbiterStats { hosts_alive: 2, attempts: 7, ..Default::default() }),
            workspaces: Default::default(),
        })
    }

    /// These host actors live now.
    pub fn set_live(&self, snapshots: impl IntoIterator<Item = HostSnapshot>) {
        *self.live.lock().unwrap() = snapshots.into_iter().map(Arc::new).collect();
    }
}

pub fn snapshot(host: &str, queued: u64, state: HostCondition) -> HostSnapshot {
    let host = HostName::from_normalised(host);
    HostSnapshot {
        success_ratio: None,
        health: HealthSnapshot::default(),
        shard: host.shard(),
        host,
        arbiter: 0,
        state,
        until: None,
        reason: String::new(),
        budget: BudgetSnapshot::default(),
        in_flight: 0,
        in_flight_limit: 64,
        queued,
        first_due: None,
        taken: Timestamp::from_millis(0),
        waiting: queued,
        uncommitted: 0,
        mailbox: 0,
        age_s: 1,
        last_minute: Tally::default(),
        last_hour: Tally::default(),
        since_start: Tally::default(),
        controls: HostControls::default(),
        lanes: None,
        ledger: None,
    }
}

async fn cancel(
    store: Arc<dyn Store>,
    id: DeliveryId,
    at: Timestamp,
) -> Result<Cancelled, StoreError> {
    match store.find(id).await?.map(|record| record.state) {
        None => Ok(Cancelled::Unknown),
        Some(StoredState::Ended(_)) => Ok(Cancelled::Ended),
        Some(_) => {
            let verdict = Verdict::End(End::Cancelled);
            store
                .settle(
                    hostline::store::Tenure::SOLE,
                    vec![Settlement { id, verdict, at, attempt: None }],
                    Vec::new(),
                )
                .await?;
            Ok(Cancelled::Done)
        }
    }
}

impl Engine for FakeEngine {
    fn explain(
        &self,
        id: DeliveryId,
    ) -> BoxFuture<'static, Result<Option<Explanation>, StoreError>> {
        let (found, now) = (self.store.find(id), self.now);
        async move {
            let owed = found.await?.filter(|r| !matches!(r.state, StoredState::Ended(_)));
            Ok(owed.map(|record| Explanation {
                state: if record.due > now { "scheduled" } else { "waiting" },
                waits_for: (record.due <= now).then_some(WaitReason::Budget),
                reason: "the budget is used up".into(),
                blocked_by: vec![Obstacle::plain(What::Budget, "the budget is used up", None)],
                expectation: "it goes when it is due".into(),
                next_attempt_at: Some(record.due),
                ahead: None,
            }))
        }
        .boxed()
    }

    fn cancel(&self, id: DeliveryId) -> BoxFuture<'static, Result<Cancelled, StoreError>> {
        if self.in_flight.lock().unwrap().contains(&id) {
            return ready(Ok(Cancelled::InFlight)).boxed();
        }
        cancel(self.store.clone(), id, self.now).boxed()
    }

    fn redrive(
        &self,
        ids: Vec<DeliveryId>,
    ) -> BoxFuture<'static, Result<Vec<DeliveryId>, StoreError>> {
        self.store.redrive(ids, self.now)
    }

    fn skip(&self, id: DeliveryId) -> BoxFuture<'static, Result<bool, StoreError>> {
        self.store.skip(id, self.now)
    }

    fn control(
        &self,
        host: HostName,
        controls: HostControls,
    ) -> BoxFuture<'static, Result<(), StoreError>> {
        self.controls.lock().unwrap().insert(host, controls);
        ready(Ok(())).boxed()
    }

    fn purge(
        &self,
        host: HostName,
        workspace: Option<u32>,
    ) -> BoxFuture<'static, Result<u64, StoreError>> {
        let (store, now) = (self.store.clone(), self.now);
        async move {
            let filter =
                DeliveryFilter { workspace, host: Some(host), ..DeliveryFilter::default() };
            let page = store.list(filter, None, 1000).await.expect("lists");
            let mut purged = 0;
            for record in page.rows {
                purged +=
                    u64::from(cancel(store.clone(), record.id, now).await? == Cancelled::Done);
            }
            Ok(purged)
        }
        .boxed()
    }

    fn controls(&self, host: &HostName) -> HostControls {
        self.controls.lock().unwrap().get(host).cloned().unwrap_or_default()
    }

    fn host(&self, host: HostName) -> BoxFuture<'static, Option<HostSnapshot>> {
        let live = self.live.lock().unwrap();
        let found = live.iter().find(|snapshot| snapshot.host == host);
        ready(found.map(|snapshot| HostSnapshot::clone(snapshot))).boxed()
    }

    fn hosts(&self) -> Vec<Arc<HostSnapshot>> {
        self.live.lock().unwrap().clone()
    }

    fn series(&self, host: HostName) -> BoxFuture<'static, Option<Vec<HostPoint>>> {
        let mut series = HostSeries::default();
        series.count(Kind::Delivered, Some(200), 2_000, self.now);
        let lives = self.live.lock().unwrap().iter().any(|snapshot| snapshot.host == host);
        ready(lives.then(|| series.points(self.now))).boxed()
    }

    fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    fn in_flight(&self, limit: usize) -> BoxFuture<'static, Vec<DeliveryId>> {
        ready(self.in_flight.lock().unwrap().iter().copied().take(limit).collect()).boxed()
    }

    fn arbiters(&self) -> Vec<ArbiterStats> {
        vec![self.arbiter.lock().unwrap().clone()]
    }

    fn workspaces(&self) -> &hostline::delivery::Workspaces {
        &self.workspaces
    }

    fn vault(&self) -> &Arc<Vault> {
        &self.vault
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}
