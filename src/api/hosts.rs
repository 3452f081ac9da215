//! `/v1/hosts`: the actor stats, and what operators ask of a host.

mod list;

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Deserializer, Serialize};

use super::caller::Asking;
use super::noting::note;
use super::problem::Problem;
use super::request::{host_name, json, object, read_json, read_json_or_nothing};
use crate::delivery::HostSnapshot;
use crate::model::{HostControls, HostName};
use crate::store::{DeliveryFilter, HostRecord};
pub(super) use list::{Entry, Kept, first, list};

/// How far back a host's intervals are shown, and how many.
const HISTORY: Duration = Duration::from_secs(86_400);
const HISTORY_MAX: usize = 100;
/// Requests a second that may be set; more than one connection pool could send.
const RATE_MAX: f64 = 1_000_000.0;
/// Requests in flight that may be set.
const IN_FLIGHT_MAX: u32 = 10_000;
/// Characters of an operator's reason.
const REASON_MAX: usize = 500;

/// Shows one host.
pub(super) async fn show(host: web::Path<String>, api: Asking) -> Result<HttpResponse, Problem> {
    let record = find(&api, host_name(&host)?).await?;
    let now = api.clock.wall();
    let history = api.store.intervals(record.number, now.minus(HISTORY), now, HISTORY_MAX).await?;
    let entry = entry_of(&api, record).await;
    #[derive(Serialize)]
    struct Detail {
        #[serde(flatten)]
        entry: Entry,
        history: Vec<crate::store::HostInterval>,
    }
    Ok(json(StatusCode::OK, &Detail { entry, history }))
}

/// A host as it is now.
pub(super) async fn entry(api: &Asking, name: &HostName) -> Result<Entry, Problem> {
    // Who sees all hosts needs nothing of the store to see a live one.
    if api.guest().is_none()
        && let Some(snapshot) = api.engine.host(name.clone()).await
    {
        return Ok(Entry::live(snapshot));
    }
    let record = find(api, name.clone()).await?;
    Ok(entry_of(api, record).await)
}

async fn entry_of(api: &Asking, record: HostRecord) -> Entry {
    match api.engine.host(record.name.clone()).await {
        Some(snapshot) => Entry::live(seen_by(api, snapshot)),
        None => Entry::kept(record),
    }
}

/// A host as a workspace may see it: of the lanes and the ledger its own part.
fn seen_by(api: &Asking, mut snapshot: HostSnapshot) -> HostSnapshot {
    let Some(guest) = api.guest() else { return snapshot };
    if let Some(lanes) = &mut snapshot.lanes {
        lanes.retain(|lane| lane.workspace == guest);
    }
    if let Some(ledger) = &mut snapshot.ledger {
        ledger.campaigns.retain(|row| row.workspace == guest);
        ledger.other = None;
    }
    snapshot
}

/// What is kept of a host, if the caller's workspace has anything to do with it.
pub(super) async fn find(api: &Asking, name: HostName) -> Result<HostRecord, Problem> {
    let unknown = || {
        let detail = format!("no delivery ever went to {name}");
        Problem::not_found("unknown-host", detail)
    };
    if let Some(guest) = api.guest() {
        let (workspace, host) = (Some(guest), Some(name.clone()));
        let filter = DeliveryFilter { workspace, host, ..DeliveryFilter::default() };
        if api.store.count(filter, 1).await? == 0 {
            return Err(unknown());
        }
    }
    api.store.host(name.clone()).await?.ok_or_else(unknown)
}

/// The body of `PATCH /v1/hosts/{host}`: what is absent stays, `null` goes back to the settings.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `limits`")]
pub(super) struct Patch {
    #[serde(deserialize_with = "object")]
    limits: LimitsPatch,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object of limits")]
struct LimitsPatch {
    #[serde(default, deserialize_with = "given")]
    requests_per_second: Option<Option<f64>>,
    #[serde(default, deserialize_with = "given")]
    burst: Option<Option<u32>>,
    #[serde(default, deserialize_with = "given")]
    in_flight: Option<Option<u32>>,
}

/// Tells `null` from absent.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl LimitsPatch {
    fn vet(&self) -> Result<(), Problem> {
        if let Some(Some(rate)) = self.requests_per_second
            && !(rate > 0.0 && rate <= RATE_MAX)
        {
            let detail = format!("must be more than 0 and at most {RATE_MAX}");
            return Err(Problem::field("/limits/requests_per_second", detail));
        }
        if self.burst == Some(Some(0)) {
            return Err(Problem::field("/limits/burst", "must be 1 or more"));
        }
        if let Some(Some(in_flight)) = self.in_flight
            && !(1..=IN_FLIGHT_MAX).contains(&in_flight)
        {
            let detail = format!("must be 1 to {IN_FLIGHT_MAX}");
            return Err(Problem::field("/limits/in_flight", detail));
        }
        Ok(())
    }
}

/// Changes a host's limits.
pub(super) async fn patch(
    request: HttpRequest,
    payload: web::Payload,
    host: web::Path<String>,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let name = host_name(&host)?;
    let Patch { limits: patch } = read_json(&request, payload).await?;
    patch.vet()?;
    let change = |controls: &mut HostControls| {
        let limits = &mut controls.policy.limits;
        limits.requests_per_second =
            patch.requests_per_second.unwrap_or(limits.requests_per_second);
        limits.burst = patch.burst.unwrap_or(limits.burst);
        limits.in_flight = patch.in_flight.unwrap_or(limits.in_flight);
    };
    control(&api, name, change).await
}

/// The body of `pause`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object; `reason` may say why")]
pub(super) struct PauseInput {
    reason: Option<String>,
}

/// The body of a wish that has no fields.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "an empty object")]
pub(super) struct Nothing {}

/// Stops sending to a host.
pub(super) async fn pause(
    request: HttpRequest,
    payload: web::Payload,
    host: web::Path<String>,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let name = host_name(&host)?;
    let PauseInput { reason } = read_json_or_nothing(&request, payload).await?;
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > REASON_MAX) {
        return Err(Problem::field("/reason", format!("has at most {REASON_MAX} characters")));
    }
    let now = api.clock.wall();
    let change = |controls: &mut HostControls| {
        controls.paused_at = controls.paused_at.filter(|_| controls.paused).or(Some(now));
        controls.paused = true;
        controls.reason = reason.or(controls.reason.take());
    };
    let answer = control(&api, name.clone(), change).await?;
    note(&api, name, "host_paused").await;
    Ok(answer)
}

/// Ends a pause and a drain.
pub(super) async fn resume(
    request: HttpRequest,
    payload: web::Payload,
    host: web::Path<String>,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let name = host_name(&host)?;
    let Nothing {} = read_json_or_nothing(&request, payload).await?;
    let change = |controls: &mut HostControls| {
        let policy = std::mem::take(&mut controls.policy);
        *controls = HostControls { policy, ..HostControls::default() };
    };
    let answer = control(&api, name.clone(), change).await?;
    note(&api, name, "host_resumed").await;
    Ok(answer)
}

/// Takes nothing new for a host; what is queued goes out.
pub(super) async fn drain(
    request: HttpRequest,
    payload: web::Payload,
    host: web::Path<String>,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let name = host_name(&host)?;
    let Nothing {} = read_json_or_nothing(&request, payload).await?;
    let answer = control(&api, name.clone(), |controls| controls.draining = true).await?;
    note(&api, name, "host_drained").await;
    Ok(answer)
}

/// Cancels all that is owed to a host.
pub(super) async fn purge(
    request: HttpRequest,
    payload: web::Payload,
    host: web::Path<String>,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let name = host_name(&host)?;
    let Nothing {} = read_json_or_nothing(&request, payload).await?;
    let name = find(&api, name).await?.name;
    // The default workspace is the operators': it empties the queue for all.
    let purged = api.engine.purge(name.clone(), api.guest()).await?;
    note(&api, name.clone(), "host_purged").await;
    Ok(json(StatusCode::OK, &serde_json::json!({ "host": name, "purged": purged })))
}

/// Changes what is asked of a host.
async fn control(
    api: &Asking,
    name: HostName,
    change: impl FnOnce(&mut HostControls),
) -> Result<HttpResponse, Problem> {
    api.vet_operator()?;
    // A host may be given limits, or be paused, before its first delivery.
    // Read, change, write: two operators at once must not undo one another.
    let _turn = api.controlling.lock().await;
    let mut controls = api.engine.controls(&name);
    change(&mut controls);
    api.engine.control(name.clone(), controls.clone()).await?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "host": name, "controls": controls })))
}
