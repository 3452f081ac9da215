//! `/metrics`: the OpenMetrics text. Apart from the requests, which are counted here, every number
//! is read from its owner at the scrape, so that there is one truth of each. Every name is in the
//! table of docs/operations.md, and a test compares the two.

mod arbiters;
mod histograms;
mod hosts;
mod process;
mod requests;

use std::sync::atomic::AtomicU64;

use actix_web::HttpResponse;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::Api;
use super::caller::Asking;
use super::problem::Problem;
use histograms::{Histograms, Unit};
pub(super) use requests::{Requests, count};

/// A gauge that has parts.
type Rate = Gauge<f64, AtomicU64>;

/// A label of one of our own words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

/// Writes all metrics.
pub(super) async fn metrics(api: Asking) -> Result<HttpResponse, Problem> {
    api.vet_operator()?;
    let mut registry = Registry::with_prefix("hostline");
    let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
    registry.register("build", "What runs", version);
    api.requests.register(&mut registry);
    deliveries(&api, &mut registry);
    store(&api, &mut registry);
    hosts::register(&api, &mut registry);
    arbiters::register(&api, &mut registry);
    let (exported, dropped) = api.tracer.counts();
    total(&mut registry, "spans_exported", "Spans that a collector took", exported);
    total(&mut registry, "spans_dropped", "Spans that none took or that had no room", dropped);
    // Its names are those that every exporter uses.
    let mut bare = Registry::default();
    process::register(&mut bare);
    let mut text = String::new();
    let written = encode_registry(&mut text, &registry)
        .and_then(|()| encode_registry(&mut text, &bare))
        .and_then(|()| encode_eof(&mut text));
    Ok(match written {
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
    let most = api.settings.store.max_pending;
    gauge(registry, "deliveries_owed_max", "Owed deliveries past which triggers get 503", most);
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
    gauge(registry, "store_waiting", "Operations that wait for the writer", health.waiting);
    let refusing = u64::from(health.refusing.is_some());
    gauge(registry, "store_refusing", "Whether writes are refused now", refusing);
    let damaged = health.damaged_rows;
    gauge(registry, "store_damaged_rows", "Rows found damaged since start", damaged);
    let commits = api.store.commits();
    let took = Histograms::of("store_commit_seconds", "Duration of commits", commits.took);
    registry.register_collector(Box::new(took));
    let size = Histograms::of("store_commit_operations", "Operations of commits", commits.size);
    registry.register_collector(Box::new(size.in_unit(Unit::Whole)));
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
