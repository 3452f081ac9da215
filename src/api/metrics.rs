//! `/metrics`: the OpenMetrics text. Apart from the requests, which are counted here, every number
//! is read from its owner at the scrape, so that there is one truth of each.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse, web};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::sync::atomic::AtomicU64;

use super::Api;
use super::caller::Asking;
use super::problem::Problem;
use crate::delivery::{ArbiterStats, HostCondition};

type Rate = Gauge<f64, AtomicU64>;

/// A label of one of our own words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Arbiter {
    arbiter: usize,
}

/// What requests are counted by. Routes are patterns, so that their number is bounded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: String,
    method: Method,
    status: u16,
}

/// A method; those that no route takes are one, so that callers cannot make labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Method(&'static str);

impl EncodeLabelValue for Method {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }
}

impl Method {
    fn of(method: &actix_web::http::Method) -> Self {
        let known = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"];
        Self(known.into_iter().find(|name| *name == method.as_str()).unwrap_or("other"))
    }
}

/// Requests answered so far. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Requests(Family<Request, Counter>);

/// Counts a request by what it was answered with.
pub(super) async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let requests = request.app_data::<web::Data<Api>>().map(|api| api.requests.clone());
    let method = Method::of(request.method());
    let response = next.call(request).await?;
    if let Some(Requests(family)) = requests {
        let route = response.request().match_pattern().unwrap_or_else(|| "unknown".into());
        let status = response.status().as_u16();
        family.get_or_create(&Request { route, method, status }).inc();
    }
    Ok(response)
}

/// Writes all metrics.
pub(super) async fn metrics(api: Asking) -> Result<HttpResponse, Problem> {
    api.vet_operator()?;
    let mut registry = Registry::with_prefix("hostline");
    let Requests(requests) = api.requests.clone();
    registry.register("http_requests", "Requests to this API, by answer", requests);
    deliveries(&api, &mut registry);
    store(&api, &mut registry);
    hosts(&api, &mut registry);
    arbiters(&api.engine.arbiters(), &mut registry);
    let mut text = String::new();
    Ok(match encode(&mut text, &registry) {
        Ok(()) => HttpResponse::Ok()
            .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
            .body(text),
        Err(error) => {
            log::error!("metrics could not be written: {error}");
            HttpResponse::InternalServerError().finish()
        }
    })
}

fn deliveries(api: &Api, registry: &mut Registry) {
    let counts = api.store.counts();
    total(registry, "deliveries_accepted", "Deliveries ever accepted", counts.accepted);
    let owed = Family::<State, Gauge>::default();
    for (state, count) in [("pending", counts.pending), ("parked", counts.parked)] {
        set(&owed.get_or_create(&State { state }), count);
    }
    registry.register("deliveries_owed", "Deliveries not yet ended, by state", owed);
    // Gauges: a redrive takes a delivery out of its end again.
    let ended = Family::<State, Gauge>::default();
    for (state, count) in [
        ("delivered", counts.delivered),
        ("failed", counts.failed),
        ("exhausted", counts.exhausted),
        ("expired", counts.expired),
        ("cancelled", counts.cancelled),
    ] {
        set(&ended.get_or_create(&State { state }), count);
    }
    registry.register("deliveries_ended", "Deliveries ever ended, by how", ended);
    let per_second = api.admission.meter().rate(api.clock.moment(), 10);
    rate(registry, "ingest_per_second", "Deliveries accepted a second, over 10 s", per_second);
}

fn store(api: &Api, registry: &mut Registry) {
    let health = api.store.health();
    total(registry, "store_commits", "Commits since start", health.commits);
    rate(registry, "store_commit_operations", "Operations a commit, recently", health.commit_size);
    let seconds = health.commit_us / 1e6;
    rate(registry, "store_commit_seconds", "Duration of a commit, recently", seconds);
    gauge(registry, "store_waiting", "Operations that wait for the writer", health.waiting);
    let refusing = u64::from(health.refusing.is_some());
    gauge(registry, "store_refusing", "Whether writes are refused now", refusing);
}

fn hosts(api: &Api, registry: &mut Registry) {
    let states = [
        HostCondition::Healthy,
        HostCondition::Limited,
        HostCondition::BackingOff,
        HostCondition::CoolingDown,
        HostCondition::Probing,
        HostCondition::Paused,
    ];
    let family = Family::<State, Gauge>::default();
    for state in states {
        drop(family.get_or_create(&State { state: state.as_str() }));
    }
    for snapshot in api.engine.hosts() {
        family.get_or_create(&State { state: snapshot.state.as_str() }).inc();
    }
    registry.register("hosts", "Live host actors, by state", family);
}

/// A number of an arbiter: name, help, and where it is.
type Field = (&'static str, &'static str, fn(&ArbiterStats) -> u64);

fn arbiters(arbiters: &[ArbiterStats], registry: &mut Registry) {
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

fn total(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let counter = Counter::<u64>::default();
    counter.inc_by(value);
    registry.register(name, help, counter);
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: u64) {
    let gauge = Gauge::<i64>::default();
    set(&gauge, value);
    registry.register(name, help, gauge);
}

fn rate(registry: &mut Registry, name: &str, help: &str, value: f64) {
    let gauge = Rate::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn set(gauge: &Gauge, value: u64) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}
