//! The metrics of hosts: sums over all live host actors, and series of the busiest.
//!
//! Hosts come and go by the thousand, so that a series for each would be a bill without end. The
//! busiest (`metrics.hosts` of them: those that did and owe most) have series of their own, all
//! others are one row, `host="other"`. Which hosts those are changes from scrape to scrape, and so
//! they are gauges over the last minute and not counters: a host that falls behind takes its number
//! along, none ever counts down, nothing has to be remembered of hosts that were shown once, and
//! the rows of one scrape always add up to all. The price is that what happens between two scrapes
//! more than a minute apart is not seen by host; the counters of the whole have it.
//!
//! A snapshot is of the last time when something happened to its host. What it says of the minute
//! before holds until that minute is over; then nothing has happened in it.

use std::cmp::Reverse;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Rate, State, gauge, set};
use crate::api::Api;
use crate::delivery::{HostCondition, HostSnapshot, Tally};
use crate::model::Timestamp;

/// The row of all hosts that are not among the busiest. A host of this very name has none of its
/// own, since the two could not be told apart.
const OTHER: &str = "other";
/// What `last_minute` is of.
const MINUTE: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Host {
    host: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HostOutcome {
    host: String,
    outcome: &'static str,
}

pub(super) fn register(api: &Api, registry: &mut Registry) {
    let snapshots = api.engine.hosts();
    let all: Vec<&HostSnapshot> =
        snapshots.iter().map(|snapshot| -> &HostSnapshot { snapshot }).collect();
    let now = api.clock.wall();
    by_state(&all, now, registry);
    sums(&all, registry);
    match api.settings.metrics.hosts {
        0 => {}
        most => busiest(all, most, now, registry),
    }
}

fn by_state(all: &[&HostSnapshot], now: Timestamp, registry: &mut Registry) {
    let alive = Family::<State, Gauge>::default();
    let waiting = Family::<State, Gauge>::default();
    let oldest = Family::<State, Rate>::default();
    for condition in HostCondition::ALL {
        let state = State { state: condition.as_str() };
        let of_state = || all.iter().filter(|snapshot| snapshot.state == condition);
        set(&alive.get_or_create(&state), of_state().count() as u64);
        set(&waiting.get_or_create(&state), of_state().map(|snapshot| snapshot.waiting).sum());
        let due = of_state().filter_map(|snapshot| snapshot.first_due).min();
        let age = due.map_or(Duration::ZERO, |due| due.until(now));
        oldest.get_or_create(&state).set(age.as_secs_f64());
    }
    registry.register("hosts", "Live host actors, by state", alive);
    let help = "Pending deliveries of live host actors, by the host's state";
    registry.register("hosts_waiting", help, waiting);
    let help = "How long the oldest delivery that waits has been due, by the host's state";
    registry.register("hosts_oldest_due_seconds", help, oldest);
}

fn sums(all: &[&HostSnapshot], registry: &mut Registry) {
    let sum = |field: fn(&HostSnapshot) -> u64| all.iter().map(|one| field(one)).sum();
    let limit = sum(|one| u64::from(one.in_flight_limit));
    gauge(registry, "in_flight_limit", "Requests that may be under way to live hosts", limit);
    let held = sum(|one| one.queued);
    gauge(registry, "window_deliveries", "Deliveries that windows hold", held);
    let deferred = sum(|one| match one.state {
        HostCondition::Healthy => 0,
        _ => one.waiting.saturating_sub(u64::from(one.in_flight)),
    });
    let help = "Deliveries that wait for a host that may not be called now";
    gauge(registry, "deliveries_deferred", help, deferred);
}

/// The last minute of a host, as far as it is not over.
fn minute(snapshot: &HostSnapshot, now: Timestamp) -> Option<&Tally> {
    (snapshot.taken.until(now) < MINUTE).then_some(&snapshot.last_minute)
}

fn is_unhealthy(snapshot: &HostSnapshot) -> bool {
    matches!(snapshot.state, HostCondition::CoolingDown | HostCondition::Probing)
}

/// What the hosts of one row have in sum.
#[derive(Default)]
struct Row {
    delivered: u64,
    refused: u64,
    failed: u64,
    queued: u64,
    waiting: u64,
    in_flight: u64,
    unhealthy: u64,
}

impl Row {
    fn add(&mut self, snapshot: &HostSnapshot, now: Timestamp) {
        if let Some(minute) = minute(snapshot, now) {
            self.delivered += minute.delivered;
            self.refused += minute.refused;
            self.failed += minute.retried + minute.dead;
        }
        self.queued += snapshot.queued;
        self.waiting += snapshot.waiting;
        self.in_flight += u64::from(snapshot.in_flight);
        self.unhealthy += u64::from(is_unhealthy(snapshot));
    }
}

/// The series by host.
#[derive(Default)]
struct Series {
    attempts: Family<HostOutcome, Gauge>,
    queued: Family<Host, Gauge>,
    waiting: Family<Host, Gauge>,
    in_flight: Family<Host, Gauge>,
    unhealthy: Family<Host, Gauge>,
    learned_rate: Family<Host, Rate>,
    budget_limit: Family<Host, Gauge>,
    budget_remaining: Family<Host, Gauge>,
    p99: Family<Host, Rate>,
}

impl Series {
    fn put(&self, host: &str, row: &Row) {
        for (outcome, count) in
            [("delivered", row.delivered), ("refused", row.refused), ("failed", row.failed)]
        {
            let label = HostOutcome { host: host.to_owned(), outcome };
            set(&self.attempts.get_or_create(&label), count);
        }
        let host = Host { host: host.to_owned() };
        set(&self.queued.get_or_create(&host), row.queued);
        set(&self.waiting.get_or_create(&host), row.waiting);
        set(&self.in_flight.get_or_create(&host), row.in_flight);
        set(&self.unhealthy.get_or_create(&host), row.unhealthy);
    }

    /// What one host has, and several cannot have in sum.
    fn put_own(&self, snapshot: &HostSnapshot, now: Timestamp) {
        let host = Host { host: snapshot.host.to_string() };
        let budget = &snapshot.budget;
        if let Some(rate) = budget.learned_rate {
            self.learned_rate.get_or_create(&host).set(rate);
        }
        if let Some(limit) = budget.limit {
            set(&self.budget_limit.get_or_create(&host), limit);
        }
        if let Some(remaining) = budget.remaining {
            set(&self.budget_remaining.get_or_create(&host), remaining);
        }
        if let Some(p99_ms) = minute(snapshot, now).and_then(|minute| minute.p99_ms) {
            self.p99.get_or_create(&host).set(p99_ms / 1e3);
        }
    }

    fn register(self, registry: &mut Registry) {
        let mut add = |name, help, family| registry.register(name, help, family);
        add("host_queued", "Deliveries that the host's window holds", self.queued);
        add("host_waiting", "Pending deliveries of the host", self.waiting);
        add("host_in_flight", "Requests to the host under way", self.in_flight);
        add("host_unhealthy", "Whether it cools down or is probed", self.unhealthy);
        add("host_budget_limit", "Requests a window, as the host says", self.budget_limit);
        add("host_budget_remaining", "Requests left in the window", self.budget_remaining);
        let help = "Attempts of the last minute, by outcome";
        registry.register("host_attempts_last_minute", help, self.attempts);
        let help = "Requests a second that the host was found to take";
        registry.register("host_learned_rate_per_second", help, self.learned_rate);
        let help = "Duration that 99 % of the last minute's attempts stayed below";
        registry.register("host_p99_seconds", help, self.p99);
    }
}

fn busiest(mut all: Vec<&HostSnapshot>, most: usize, now: Timestamp, registry: &mut Registry) {
    let work = |one: &HostSnapshot| {
        one.waiting.saturating_add(minute(one, now).map_or(0, |minute| minute.attempts))
    };
    let order = |one: &&HostSnapshot| (Reverse(work(one)), one.host.clone());
    if all.len() > most {
        all.select_nth_unstable_by_key(most, order);
    }
    let series = Series::default();
    let mut other = Row::default();
    for (place, snapshot) in all.into_iter().enumerate() {
        // One that has nothing to show has no series.
        if place >= most || work(snapshot) == 0 || snapshot.host.as_str() == OTHER {
            other.add(snapshot, now);
            continue;
        }
        let mut row = Row::default();
        row.add(snapshot, now);
        series.put(snapshot.host.as_str(), &row);
        series.put_own(snapshot, now);
    }
    series.put(OTHER, &other);
    series.register(registry);
}
