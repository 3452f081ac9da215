//! Feeds the routers: what the store has just accepted, what was pending when the process started,
//! and what any of them missed. Also ends what has expired out of sight of the host actors, and
//! sweeps what has been finished for long.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::Addr;
use futures::FutureExt;
use parking::Mutex;

use crate::delivery::host::HostCommand;
use crate::delivery::router::{Command, Missed, Route, Router, Wake};
use crate::delivery::shard::{ArbiterCounters, Surroundings};
use crate::model::{DeliveryId, HostName, HostNumber, Pending};
use crate::store::{Kept, PendingSink, StoreError};

mod parking {
    //! A mutex that is never poisoned: what it guards is a hint.

    pub(super) struct Mutex<T>(std::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(super) fn new(value: T) -> Self {
            Self(std::sync::Mutex::new(value))
        }

        pub(super) fn lock(&self) -> std::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
        }
    }
}

/// Hosts read from the store in one go.
const WAKEUPS: usize = 1000;
/// How often missed hints are made good.
const CATCH_UP: Duration = Duration::from_millis(100);
/// How often the store is asked for expired deliveries.
const EXPIRE_EVERY: Duration = Duration::from_secs(1);
/// Expired deliveries taken in one go.
const EXPIRE_MAX: usize = 1000;
/// How often the whole store is asked for due work that nobody was told of.
const RESCAN_EVERY: Duration = Duration::from_secs(60);
/// How often finished deliveries are swept, where the last sweep left none.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// Rows that one sweep deletes: larger ones were measured to hold up accepting.
const SWEEP_MAX: usize = 200;
/// How often what commits counted is added to the reports: seldom enough that a host that is called
/// all the time is added up before its rows are touched.
const FOLD_EVERY: Duration = Duration::from_secs(10);
/// Pause between sweeps while there are more to come.
const SWEEP_PAUSE: Duration = Duration::from_millis(50);

/// Where each arbiter's router is, and what it has missed.
pub struct Feeder {
    routers: Vec<Lane>,
}

struct Lane {
    router: Addr<Router>,
    counters: Arc<ArbiterCounters>,
    missed: Mutex<HashMap<HostName, HostNumber>>,
}

impl Feeder {
    /// Feeds these routers, one an arbiter, in order.
    pub fn new(routers: Vec<(Addr<Router>, Arc<ArbiterCounters>)>) -> Arc<Self> {
        let lane =
            |(router, counters)| Lane { router, counters, missed: Mutex::new(HashMap::new()) };
        Arc::new(Self { routers: routers.into_iter().map(lane).collect() })
    }

    fn lane(&self, host: &HostName) -> &Lane {
        &self.routers[host.shard() as usize % self.routers.len()]
    }

    /// The router that owns a host.
    pub fn router(&self, host: &HostName) -> &Addr<Router> {
        &self.lane(host).router
    }

    /// All routers.
    pub fn routers(&self) -> impl Iterator<Item = &Addr<Router>> {
        self.routers.iter().map(|lane| &lane.router)
    }

    /// Per-arbiter counters, in order.
    pub fn counters(&self) -> impl Iterator<Item = &Arc<ArbiterCounters>> {
        self.routers.iter().map(|lane| &lane.counters)
    }

    /// Tells routers of all hosts in the store that have pending work.
    pub async fn wake_all(&self, around: &Surroundings) -> Result<u64, StoreError> {
        let (mut after, mut hosts) = (None, 0);
        loop {
            let wakeups = around.store.wakeups(around.holding.shards(), after, WAKEUPS).await?;
            let full = wakeups.len() == WAKEUPS;
            after = wakeups.last().map(|wakeup| wakeup.number);
            hosts += wakeups.len() as u64;
            let mut by_lane: Vec<Vec<_>> = self.routers.iter().map(|_| Vec::new()).collect();
            for wakeup in wakeups {
                let lane = wakeup.name.shard() as usize % self.routers.len();
                by_lane[lane].push((wakeup.name, wakeup.number, wakeup.due));
            }
            for (lane, hosts) in self.routers.iter().zip(by_lane) {
                // Awaited, so that no more than one page a router is on its way.
                let _closed = lane.router.send(Wake(hosts)).await;
            }
            if !full {
                return Ok(hosts);
            }
        }
    }

    /// Runs until the store is closed.
    pub async fn run(self: Arc<Self>, around: Surroundings) {
        let chores = [
            (CATCH_UP, Chore::CatchUp),
            (EXPIRE_EVERY, Chore::Expire),
            (RESCAN_EVERY, Chore::Rescan),
            (SWEEP_EVERY, Chore::Sweep),
            (FOLD_EVERY, Chore::Fold),
        ];
        let tasks = chores.map(|(every, chore)| {
            let (feeder, around) = (self.clone(), around.clone());
            let task = async move {
                loop {
                    actix_rt::time::sleep(every).await;
                    if let Err(error) = feeder.chore(chore, &around).await {
                        if matches!(error, StoreError::Closed(_)) {
                            return;
                        }
                        log::warn!(chore:? = chore, error:% = error; "will be tried again");
                    }
                }
            };
            task.boxed_local()
        });
        futures::future::select_all(tasks).await;
    }

    async fn chore(&self, chore: Chore, around: &Surroundings) -> Result<(), StoreError> {
        match chore {
            Chore::CatchUp => self.catch_up(),
            Chore::Expire => self.expire(around).await?,
            Chore::Rescan => {
                self.wake_all(around).await?;
            }
            Chore::Sweep => {
                sweep(around).await?;
                forget(around).await?;
            }
            Chore::Fold => while around.store.fold().await? {},
        }
        Ok(())
    }

    fn catch_up(&self) {
        for lane in &self.routers {
            let missed = std::mem::take(&mut *lane.missed.lock());
            if !missed.is_empty() {
                log::debug!(hosts = missed.len(); "making good what a full router missed");
                if let Err(error) = lane.router.try_send(Missed(missed)) {
                    let (actix::dev::SendError::Full(Missed(missed))
                    | actix::dev::SendError::Closed(Missed(missed))) = error;
                    lane.missed.lock().extend(missed);
                }
            }
        }
    }

    async fn expire(&self, around: &Surroundings) -> Result<(), StoreError> {
        let overdue =
            around.store.overdue(around.holding.shards(), around.clock.wall(), EXPIRE_MAX).await?;
        let mut by_host: HashMap<HostName, Vec<DeliveryId>> = HashMap::new();
        for (host, id) in overdue {
            by_host.entry(host).or_default().push(id);
        }
        for (host, ids) in by_host {
            let number = ids[0].host();
            let command = HostCommand::Expire(ids);
            let command = Command { host: host.clone(), number, command, start: true };
            // Missed ones are still overdue the next time.
            let _full = self.router(&host).try_send(command);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Debug)]
enum Chore {
    CatchUp,
    Expire,
    Rescan,
    Sweep,
    Fold,
}

async fn sweep(around: &Surroundings) -> Result<(), StoreError> {
    loop {
        let now = around.clock.wall();
        let before = now.minus(around.settings.store.retention);
        let (swept, more) = around.store.sweep(before, now, SWEEP_MAX).await?;
        if swept > 0 {
            log::debug!(deliveries = swept; "swept finished deliveries past their retention");
        }
        if !more {
            return Ok(());
        }
        actix_rt::time::sleep(SWEEP_PAUSE).await;
    }
}

/// Deletes what reports and logs keep no longer.
async fn forget(around: &Surroundings) -> Result<(), StoreError> {
    let settings = &around.settings;
    let kept = Kept {
        minutes: settings.reports.minutes,
        hours: settings.reports.hours,
        days: settings.reports.days,
        activity: settings.activity.retention,
        audit: settings.auth.audit_retention,
    };
    while around.store.forget(kept, around.clock.wall(), SWEEP_MAX).await? {
        actix_rt::time::sleep(SWEEP_PAUSE).await;
    }
    Ok(())
}

impl PendingSink for Feeder {
    fn pending(&self, entries: Vec<(HostName, Pending)>) {
        let mut by_lane: Vec<Vec<_>> = self.routers.iter().map(|_| Vec::new()).collect();
        for (host, entry) in entries {
            by_lane[host.shard() as usize % self.routers.len()].push((host, entry));
        }
        for (lane, entries) in self.routers.iter().zip(by_lane) {
            if entries.is_empty() {
                continue;
            }
            lane.counters.router_mailbox.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = lane.router.try_send(Route(entries)) {
                let (actix::dev::SendError::Full(Route(entries))
                | actix::dev::SendError::Closed(Route(entries))) = error;
                lane.counters.router_mailbox.fetch_sub(1, Ordering::Relaxed);
                let hosts = entries.into_iter().map(|(host, entry)| (host, entry.host()));
                lane.missed.lock().extend(hosts);
            }
        }
    }
}
