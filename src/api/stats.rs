//! `/v1/stats`, `/healthz`, `/readyz`: how the whole is doing.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::Api;
use super::caller::Asking;
use super::problem::Problem;
use super::request::{Params, json};
use crate::delivery::ArbiterStats;
use crate::model::Moment;
use crate::store::{StoreCounts, StoreHealth};

#[derive(Serialize, ToSchema)]
pub(super) struct Stats {
    version: &'static str,
    uptime_s: u64,
    stopping: bool,
    deliveries: Deliveries,
    ingest: Ingest,
    store: StoreHealth,
    hosts: Hosts,
    arbiters: Vec<ArbiterStats>,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StatsDeliveries)]
struct Deliveries {
    #[serde(flatten)]
    counts: StoreCounts,
    in_flight: u64,
}

/// Deliveries accepted a second.
#[derive(Serialize, ToSchema)]
#[schema(as = StatsIngest)]
struct Ingest {
    per_second_10s: f64,
    per_second_1m: f64,
}

#[derive(Serialize, ToSchema)]
#[schema(as = StatsHosts)]
struct Hosts {
    alive: u64,
    started: u64,
    stopped: u64,
    restarted: u64,
    asleep: u64,
}

/// Totals and actor stats.
pub(super) async fn stats(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    Params::of(&request).finish("no parameters")?;
    api.vet_operator()?;
    let arbiters = api.engine.arbiters();
    let sum = |field: fn(&ArbiterStats) -> u64| arbiters.iter().map(field).sum::<u64>();
    let now = api.clock.moment();
    let stats = Stats {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: uptime_s(&api, now),
        stopping: api.engine.is_stopping(),
        deliveries: Deliveries {
            counts: api.store.counts(),
            in_flight: sum(|arbiter| arbiter.in_flight),
        },
        ingest: Ingest {
            per_second_10s: api.admission.meter().rate(now, 10),
            per_second_1m: api.admission.meter().rate(now, 60),
        },
        store: api.store.health(),
        hosts: Hosts {
            alive: sum(|arbiter| arbiter.hosts_alive),
            started: sum(|arbiter| arbiter.hosts_started),
            stopped: sum(|arbiter| arbiter.hosts_stopped),
            restarted: sum(|arbiter| arbiter.hosts_restarted),
            asleep: sum(|arbiter| arbiter.hosts_asleep),
        },
        arbiters,
    };
    Ok(json(StatusCode::OK, &stats))
}

fn uptime_s(api: &Api, now: Moment) -> u64 {
    now.since(api.started).as_secs()
}

/// Whether the process lives; depends on nothing else.
pub(super) async fn healthz() -> HttpResponse {
    json(StatusCode::OK, &serde_json::json!({ "status": "ok" }))
}

/// Whether triggers are taken.
pub(super) async fn readyz(api: web::Data<Api>) -> HttpResponse {
    let stopping = api.engine.is_stopping();
    let refusing = api.store.health().refusing.is_some();
    let (status, word) = match stopping || refusing {
        true => (StatusCode::SERVICE_UNAVAILABLE, "not ready"),
        false => (StatusCode::OK, "ready"),
    };
    let answer = serde_json::json!({
        "status": word,
        "checks": {
            "engine": if stopping { "stopping" } else { "ok" },
            "store": if refusing { "refuses writes" } else { "ok" },
        },
    });
    json(status, &answer)
}
