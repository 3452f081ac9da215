//! Reads the totals once a second, keeps their series in memory, and wakes whoever shows them. A
//! reading looks at a handful of counters and at no host; hosts are ranked only where somebody
//! looks at the ranks, once a second for all who do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use crate::api::hosts::first;
use crate::clock::Clock;
use crate::delivery::{ArbiterStats, Engine, HostCondition, HostSnapshot};
use crate::model::{Moment, Now, Timestamp};
use crate::report::histogram::{Histogram, HistogramSnapshot};
use crate::report::meters::{Class, Decision};
use crate::report::series::{Counted, Point, Rates, Reading, Series, StandingTotals, Step};
use crate::store::{Store, StoreCounts, StoreHealth};

/// Hosts that may be ranked.
pub(super) const TOP_MAX: usize = 50;
/// How long the last minute of a host says something of now.
const MINUTE: Duration = Duration::from_secs(60);
/// Waits shorter than this are for the next second: a timer may ring a little before it.
const EARLY: u64 = 20;

/// Totals as of one second.
#[derive(Debug, Serialize)]
pub(super) struct Stats {
    #[serde(flatten)]
    rates: Rates,
    deferred: u64,
    pending: u64,
    parked: u64,
    in_flight: u64,
    hosts: Hosts,
    store: StoreStats,
    uptime_s: u64,
}

/// Live host actors by state, and hosts that sleep.
#[derive(Debug, Default, Serialize)]
struct Hosts {
    healthy: u64,
    limited: u64,
    backing_off: u64,
    cooling_down: u64,
    probing: u64,
    paused: u64,
    asleep: u64,
}

impl Hosts {
    fn of(arbiters: &[ArbiterStats]) -> Self {
        let live = |condition: HostCondition| {
            arbiters.iter().map(|arbiter| arbiter.conditions[condition as usize]).sum()
        };
        Self {
            healthy: live(HostCondition::Healthy),
            limited: live(HostCondition::Limited),
            backing_off: live(HostCondition::BackingOff),
            cooling_down: live(HostCondition::CoolingDown),
            probing: live(HostCondition::Probing),
            paused: live(HostCondition::Paused),
            asleep: arbiters.iter().map(|arbiter| arbiter.hosts_asleep).sum(),
        }
    }
}

/// How the store is doing.
#[derive(Debug, Serialize)]
struct StoreStats {
    commit_us: f64,
    commit_size: f64,
    waiting: u64,
    refusing: Option<String>,
}

impl StoreStats {
    fn of(health: StoreHealth) -> Self {
        let StoreHealth { commit_us, commit_size, waiting, refusing, .. } = health;
        Self { commit_us, commit_size, waiting, refusing }
    }
}

/// The hosts that one looks at first.
#[derive(Default)]
pub(super) struct Ranks {
    /// The slowest, by the 99th percentile of the last minute.
    pub(super) slowest: Vec<Arc<HostSnapshot>>,
    /// Those with most deliveries waiting.
    pub(super) backlogged: Vec<Arc<HostSnapshot>>,
}

/// Deliveries that ended without success. One that is cancelled is as somebody wants it.
fn ended_badly(arbiters: &[ArbiterStats]) -> u64 {
    let decisions = [Decision::Failed, Decision::Exhausted, Decision::Expired];
    let of = |arbiter: &ArbiterStats| {
        decisions.map(|decision| arbiter.readings.decisions[decision as usize]).iter().sum::<u64>()
    };
    arbiters.iter().map(of).sum()
}

/// How long attempts took that went out, whatever came of them.
fn latency_of(arbiters: &[ArbiterStats]) -> HistogramSnapshot {
    let mut sum = Histogram::default().snapshot();
    for arbiter in arbiters {
        let latency = &arbiter.readings.latency;
        let went_out = Class::ALL.into_iter().filter(|class| *class != Class::NotSent);
        went_out.for_each(|class| sum.add(&latency[class as usize]));
    }
    sum
}

/// Reads totals and keeps them.
pub struct Sampler {
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    clock: Clock,
    started: Moment,
    series: Mutex<Series>,
    latest: watch::Sender<Option<Arc<Stats>>>,
    /// When the hosts were last ranked, and how.
    ranked: Mutex<(Timestamp, Arc<Ranks>)>,
}

impl Sampler {
    /// A sampler that has read nothing yet.
    pub(super) fn new(store: Arc<dyn Store>, engine: Arc<dyn Engine>, clock: Clock) -> Self {
        Self {
            store,
            engine,
            started: clock.moment(),
            clock,
            series: Mutex::default(),
            latest: watch::Sender::new(None),
            ranked: Mutex::default(),
        }
    }

    /// Reads at the beginning of every second, without end.
    pub(super) async fn run(&self) {
        loop {
            self.take();
            let past = self.clock.wall().as_millis().rem_euclid(1_000) as u64;
            let left = 1_000 - past;
            let left = if left < EARLY { left + 1_000 } else { left };
            actix_rt::time::sleep(Duration::from_millis(left)).await;
        }
    }

    /// Reads once.
    pub fn take(&self) {
        let now = self.clock.now();
        let (counts, arbiters) = (self.store.counts(), self.engine.arbiters());
        let reading = self.reading(counts, &arbiters);
        let StandingTotals { deferred, pending, in_flight } = reading.standing;
        let rates = self.series.lock().unwrap_or_else(PoisonError::into_inner).take(now, reading);
        let Some(rates) = rates else { return };
        let stats = Stats {
            rates,
            deferred,
            pending,
            parked: counts.parked,
            in_flight,
            hosts: Hosts::of(&arbiters),
            store: StoreStats::of(self.store.health()),
            uptime_s: self.uptime_s(now),
        };
        self.latest.send_replace(Some(Arc::new(stats)));
    }

    fn reading(&self, counts: StoreCounts, arbiters: &[ArbiterStats]) -> Reading {
        let sum = |field: fn(&ArbiterStats) -> u64| arbiters.iter().map(field).sum::<u64>();
        Reading {
            counted: Counted {
                accepted: counts.accepted,
                delivered: sum(|arbiter| arbiter.delivered),
                failed: ended_badly(arbiters),
                retried: sum(|arbiter| arbiter.retried),
                refused: sum(|arbiter| arbiter.refused),
                attempts: sum(|arbiter| arbiter.attempts),
            },
            standing: StandingTotals {
                deferred: sum(|arbiter| arbiter.deferred),
                pending: counts.pending,
                in_flight: sum(|arbiter| arbiter.in_flight),
            },
            latency: latency_of(arbiters),
        }
    }

    fn uptime_s(&self, now: Now) -> u64 {
        now.moment.since(self.started).as_secs()
    }

    /// Hears of every reading.
    pub(super) fn latest(&self) -> watch::Receiver<Option<Arc<Stats>>> {
        self.latest.subscribe()
    }

    /// The points of a step.
    pub(in crate::api) fn points(&self, step: Step) -> Vec<Point> {
        let series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        series.points(step).iter().cloned().collect()
    }

    /// The hosts ranked as of a reading.
    pub(super) fn ranks(&self, stats: &Stats) -> Arc<Ranks> {
        let mut ranked = self.ranked.lock().unwrap_or_else(PoisonError::into_inner);
        if ranked.0 != stats.rates.at {
            let hosts = self.engine.hosts();
            // What a host that nothing happens to shows of its last minute is of an earlier one.
            let now = stats.rates.at;
            let latency = |snapshot: &HostSnapshot| {
                let is_fresh = snapshot.taken.until(now) < MINUTE;
                snapshot.last_minute.p99_ms.filter(|_| is_fresh)
            };
            let backlog = |snapshot: &HostSnapshot| {
                Some(snapshot.waiting as f64).filter(|waiting| *waiting > 0.0)
            };
            let ranks = Ranks {
                slowest: first(&hosts, latency, TOP_MAX),
                backlogged: first(&hosts, backlog, TOP_MAX),
            };
            *ranked = (now, Arc::new(ranks));
        }
        ranked.1.clone()
    }
}
