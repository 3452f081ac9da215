//! What the actors of one arbiter share, and the registry of live host actors that all threads
//! read.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use actix::Addr;
use dashmap::DashMap;

use crate::clock::Clock;
use crate::config::Settings;
use crate::delivery::facts::Facts;
use crate::delivery::feed::Feed;
use crate::delivery::holding::Holding;
use crate::delivery::recorder::Recorder;
use crate::delivery::router::Router;
use crate::delivery::sender::Sender;
use crate::delivery::snapshot::{ArbiterStats, HostCondition, HostSnapshot};
use crate::delivery::workspaces::Workspaces;
use crate::model::{HostControls, HostName};
use crate::report::meters::Meters;
use crate::store::Store;
use crate::vault::Vault;

/// Makes the sender of a host, on the arbiter that will use it.
pub type SenderFactory = Arc<dyn Fn(&HostName) -> Rc<dyn Sender> + Send + Sync>;

/// Live host actors by name: the latest snapshot of each. Shared, so that who looks at all of them
/// copies none.
#[derive(Default)]
pub struct Registry {
    hosts: DashMap<HostName, Arc<HostSnapshot>>,
    facts: Arc<Facts>,
}

impl Registry {
    /// Takes a host actor's newest snapshot.
    pub fn publish(&self, snapshot: HostSnapshot) {
        self.hosts.insert(snapshot.host.clone(), Arc::new(snapshot));
    }

    /// A host actor is no more.
    pub fn withdraw(&self, host: &HostName) {
        self.hosts.remove(host);
    }

    /// Where host actors and recorders tell what happened.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }

    /// All snapshots.
    pub fn all(&self) -> Vec<Arc<HostSnapshot>> {
        self.hosts.iter().map(|entry| entry.value().clone()).collect()
    }
}

/// What operators asked, of every host where it is not the default.
pub type Controls = Arc<DashMap<HostName, HostControls>>;

/// Counters of one arbiter.
#[derive(Default)]
pub struct ArbiterCounters {
    /// Host actors alive.
    pub alive: AtomicU64,
    /// Started.
    pub started: AtomicU64,
    /// Stopped because idle.
    pub stopped: AtomicU64,
    /// Died and were started again.
    pub restarted: AtomicU64,
    /// Messages on their way to the router.
    pub router_mailbox: AtomicU64,
    /// Hosts that sleep.
    pub asleep: AtomicU64,
    /// Requests under way.
    pub in_flight: AtomicU64,
    /// Outcomes not committed.
    pub uncommitted: AtomicU64,
    /// Attempts that ended.
    pub attempts: AtomicU64,
    /// Answered 2xx.
    pub delivered: AtomicU64,
    /// Refused by a limit.
    pub refused: AtomicU64,
    /// Without an answer.
    pub unanswered: AtomicU64,
    /// Bytes of webhooks that windows hold.
    pub window_bytes: AtomicU64,
    /// What is measured of attempts and verdicts.
    pub meters: Meters,
    /// Failed with a retry to come.
    pub retried: AtomicU64,
    /// Live host actors by what they were last shown in, in the order of [`HostCondition::ALL`].
    pub conditions: [AtomicU64; HostCondition::ALL.len()],
    /// What is owed to those that may not be called now.
    pub deferred: AtomicU64,
}

/// What a host actor adds to the totals of its arbiter while it shows this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its condition.
    pub condition: HostCondition,
    /// What is owed to it.
    pub waiting: u64,
}

impl Shown {
    fn deferred(self) -> u64 {
        if self.condition == HostCondition::Healthy { 0 } else { self.waiting }
    }
}

impl ArbiterCounters {
    /// A host actor shows something else than before: nothing at first and in the end. So the totals
    /// are known without looking at every host.
    pub fn show(&self, before: Option<Shown>, now: Option<Shown>) {
        // Added first, so that no reader sees less than nothing.
        if let Some(shown) = now {
            self.conditions[shown.condition as usize].fetch_add(1, Ordering::Relaxed);
            self.deferred.fetch_add(shown.deferred(), Ordering::Relaxed);
        }
        if let Some(shown) = before {
            self.conditions[shown.condition as usize].fetch_sub(1, Ordering::Relaxed);
            self.deferred.fetch_sub(shown.deferred(), Ordering::Relaxed);
        }
    }

    /// The counters as one value.
    pub fn stats(&self, arbiter: usize) -> ArbiterStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ArbiterStats {
            arbiter,
            hosts_alive: read(&self.alive),
            hosts_started: read(&self.started),
            hosts_stopped: read(&self.stopped),
            hosts_restarted: read(&self.restarted),
            router_mailbox: read(&self.router_mailbox),
            hosts_asleep: read(&self.asleep),
            in_flight: read(&self.in_flight),
            uncommitted: read(&self.uncommitted),
            attempts: read(&self.attempts),
            delivered: read(&self.delivered),
            refused: read(&self.refused),
            unanswered: read(&self.unanswered),
            window_bytes: read(&self.window_bytes),
            readings: self.meters.read(),
            retried: read(&self.retried),
            deferred: read(&self.deferred),
            conditions: self.conditions.each_ref().map(read),
        }
    }
}

/// What comes in from outside an arbiter: the same for every arbiter, and for tests.
#[derive(Clone)]
pub struct Surroundings {
    /// Durable truth.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Clock,
    /// Settings.
    pub settings: Arc<Settings>,
    /// Makes senders.
    pub senders: SenderFactory,
    /// Live host actors.
    pub registry: Arc<Registry>,
    /// What operators asked.
    pub controls: Controls,
    /// Where it is told what came of deliveries.
    pub feed: Arc<Feed>,
    /// What of the store is this process's own.
    pub holding: Arc<Holding>,
    /// What holds for each workspace.
    pub workspaces: Arc<Workspaces>,
    /// The stored secrets.
    pub vault: Arc<Vault>,
    /// Seed of the dice that spread retries.
    pub seed: u64,
}

/// What the actors of one arbiter share.
pub struct Shard {
    /// From outside.
    pub around: Surroundings,
    /// Which arbiter.
    pub arbiter: usize,
    /// Its router.
    pub router: Addr<Router>,
    /// Makes verdicts durable.
    pub recorder: Rc<Recorder>,
    /// Counters that other threads read.
    pub counters: Arc<ArbiterCounters>,
    /// Bytes of webhooks that all windows of the arbiter hold.
    pub bytes: Cell<usize>,
    /// More host actors live than are wanted: idle ones stop at once.
    pub crowded: Cell<bool>,
    /// Dice.
    pub dice: Cell<fastrand::Rng>,
}

impl Shard {
    /// A number from 0 to 1.
    pub fn roll(&self) -> f64 {
        let mut dice = self.dice.replace(fastrand::Rng::with_seed(0));
        let roll = dice.f64();
        self.dice.set(dice);
        roll
    }

    /// So many bytes of webhooks are held by all windows now.
    pub fn hold(&self, bytes: usize) {
        self.bytes.set(bytes);
        self.counters.window_bytes.store(bytes as u64, Ordering::Relaxed);
    }

    /// Host actors that may live on the arbiter.
    pub fn live_max(&self) -> usize {
        (self.around.settings.actors.max_live / self.around.settings.actors.shards.max(1)).max(1)
    }

    /// The arbiter's share of the memory for windows, in bytes.
    pub fn memory(&self) -> usize {
        self.around.settings.actors.memory / self.around.settings.actors.shards.max(1)
    }
}
