//! The metrics of the arbiters: their actors one by one, what was measured of attempts in sum.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::{Histograms, gauge, set};
use crate::api::Api;
use crate::delivery::ArbiterStats;
use crate::report::meters::{Class, Decision, Readings};

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Arbiter {
    arbiter: usize,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Verdict {
    verdict: &'static str,
}

/// A number of an arbiter: name, help, and where it is.
type Field = (&'static str, &'static str, fn(&ArbiterStats) -> u64);

pub(super) fn register(api: &Api, registry: &mut Registry) {
    let arbiters = api.engine.arbiters();
    actors(&arbiters, registry);
    measured(&arbiters, registry);
    let held: u64 = arbiters.iter().map(|arbiter| arbiter.window_bytes).sum();
    gauge(registry, "window_bytes", "Bytes of webhooks that windows hold", held);
    let most = api.settings.actors.memory as u64;
    gauge(registry, "window_bytes_max", "Bytes that they may hold", most);
}

fn actors(arbiters: &[ArbiterStats], registry: &mut Registry) {
    let gauges: [Field; 5] = [
        ("arbiter_hosts_alive", "Live host actors", |a| a.hosts_alive),
        ("arbiter_hosts_asleep", "Hosts that sleep until work is due", |a| a.hosts_asleep),
        ("arbiter_router_mailbox", "Messages that wait for the router", |a| a.router_mailbox),
        ("arbiter_in_flight", "Requests under way", |a| a.in_flight),
        ("arbiter_uncommitted", "Outcomes not yet committed", |a| a.uncommitted),
    ];
    for (name, help, value) in gauges {
        let family = Family::<Arbiter, Gauge>::default();
        for stats in arbiters {
            set(&family.get_or_create(&Arbiter { arbiter: stats.arbiter }), value(stats));
        }
        registry.register(name, help, family);
    }
    let counters: [Field; 7] = [
        ("arbiter_hosts_started", "Host actors started", |a| a.hosts_started),
        ("arbiter_hosts_stopped", "Host actors stopped when idle", |a| a.hosts_stopped),
        ("arbiter_hosts_restarted", "Host actors started anew after a panic", |a| {
            a.hosts_restarted
        }),
        ("attempts", "Attempts that came to an end", |a| a.attempts),
        ("attempts_delivered", "Attempts answered 2xx", |a| a.delivered),
        ("attempts_refused", "Attempts that a host asked to put off", |a| a.refused),
        ("attempts_unanswered", "Attempts without an answer", |a| a.unanswered),
    ];
    for (name, help, value) in counters {
        let family = Family::<Arbiter, Counter>::default();
        for stats in arbiters {
            family.get_or_create(&Arbiter { arbiter: stats.arbiter }).inc_by(value(stats));
        }
        registry.register(name, help, family);
    }
}

fn measured(arbiters: &[ArbiterStats], registry: &mut Registry) {
    let mut sum = Readings::default();
    for stats in arbiters {
        sum.add(&stats.readings);
    }
    let verdicts = Family::<Verdict, Counter>::default();
    for (decision, count) in Decision::ALL.iter().zip(sum.decisions) {
        let verdict = decision.as_str();
        verdicts.get_or_create(&Verdict { verdict }).inc_by(count);
    }
    registry.register("verdicts", "What was decided about deliveries", verdicts);
    let names = ("attempt_seconds", "Duration of attempts, by outcome");
    let rows = Class::ALL.iter().map(|class| class.as_str()).zip(sum.latency);
    registry.register_collector(Box::new(Histograms::by(names, "outcome", rows)));
    for (name, help, read) in [
        (
            "accept_to_arrival_seconds",
            "From acceptance, or due time if later, to a delivery's first request",
            sum.arrival,
        ),
        ("queue_age_seconds", "How long a delivery had been due when it was sent", sum.queue_age),
    ] {
        registry.register_collector(Box::new(Histograms::of(name, help, read)));
    }
}
