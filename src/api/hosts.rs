//! `/v1/hosts`: the actor stats, and what operators ask of a host.
//!
//! By name the list shows every host that was ever seen, live or not, page by page from the store.
//! In any other order it shows the live host actors, which are in memory.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Deserializer, Serialize};

use super::caller::Asking;
use super::noting::note;
use super::problem::Problem;
use super::request::{Params, host_name, json, read_json, read_json_or_nothing};
use crate::delivery::{HostCondition, HostSnapshot};
use crate::model::{HostControls, HostName};
use crate::store::{DeliveryFilter, HostRecord};

/// How far back a host's intervals are shown, and how many.
const HISTORY: Duration = Duration::from_secs(86_400);
const HISTORY_MAX: usize = 100;
/// Pages of the store that one list looks through for hosts of a rare state.
const ROUNDS_MAX: usize = 20;
/// Requests a second that may be set; more than one connection pool could send.
const RATE_MAX: f64 = 1_000_000.0;
/// Requests in flight that may be set.
const IN_FLIGHT_MAX: u32 = 10_000;
/// Characters of an operator's reason.
const REASON_MAX: usize = 500;
/// Hosts of a workspace that are read in one go.
const OWN_PAGE: usize = 1_000;

/// A host in a list.
#[derive(Serialize)]
#[serde(untagged)]
enum Entry {
    Live(Box<Live>),
    Kept(Kept),
}

/// A host with an actor.
#[derive(Serialize)]
struct Live {
    alive: bool,
    #[serde(flatten)]
    snapshot: HostSnapshot,
}

/// A host without one: what the store keeps.
#[derive(Serialize)]
struct Kept {
    alive: bool,
    host: HostName,
    shard: u32,
    state: &'static str,
    waiting: u64,
    controls: HostControls,
}

impl Entry {
    fn live(snapshot: HostSnapshot) -> Self {
        Entry::Live(Box::new(Live { alive: true, snapshot }))
    }

    fn kept(record: HostRecord) -> Self {
        let state = if record.controls.paused { HostCondition::Paused.as_str() } else { IDLE };
        Entry::Kept(Kept {
            alive: false,
            shard: record.number.shard(),
            host: record.name,
            state,
            waiting: record.pending,
            controls: record.controls,
        })
    }

    fn state(&self) -> &'static str {
        match self {
            Entry::Live(live) => live.snapshot.state.as_str(),
            Entry::Kept(kept) => kept.state,
        }
    }
}

/// The state of a host that has no actor since it has nothing to do now.
const IDLE: &str = "idle";
/// All states, for the query.
const STATES: [&str; 7] =
    ["healthy", "limited", "backing_off", "cooling_down", "probing", "paused", IDLE];
/// A name and what it sorts by.
type Sort = (&'static str, fn(&HostSnapshot) -> f64);
/// What a list is sorted by: the largest first with a `-` before it.
const SORTS: [Sort; 9] = [
    ("name", |_| 0.0),
    ("queued", |snapshot| snapshot.queued as f64),
    ("waiting", |snapshot| snapshot.waiting as f64),
    ("in_flight", |snapshot| f64::from(snapshot.in_flight)),
    ("mailbox", |snapshot| snapshot.mailbox as f64),
    ("age", |snapshot| snapshot.age_s as f64),
    ("attempts", |snapshot| snapshot.last_minute.attempts as f64),
    ("dead", |snapshot| snapshot.last_minute.dead as f64),
    ("p99", |snapshot| snapshot.last_minute.p99_ms.unwrap_or(0.0)),
];

/// Which hosts, and from where on.
struct Query {
    states: Vec<String>,
    limit: usize,
    after: Option<String>,
}

impl Query {
    fn shows(&self, state: &str) -> bool {
        self.states.is_empty() || self.states.iter().any(|wanted| wanted == state)
    }
}

/// One page of hosts.
pub(super) async fn list(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let sort = params.take("sort")?.unwrap_or_else(|| "name".into());
    let states = params.take("state")?.unwrap_or_default();
    let states = states.split(',').map(str::trim).filter(|state| !state.is_empty());
    let states: Vec<String> = states.map(str::to_owned).collect();
    if let Some(bad) = states.iter().find(|state| !STATES.contains(&state.as_str())) {
        let detail = format!("{bad:?} is no state; the states are {}", STATES.join(", "));
        return Err(Problem::parameter("state", detail));
    }
    let query = Query { states, limit: params.take_limit()?, after: params.take("after")? };
    params.finish("sort, state, limit, after")?;
    let (data, next) = match sort.as_str() {
        "name" => by_name(&api, &query).await?,
        other => by_key(&api, &query, other).await?,
    };
    Ok(json(StatusCode::OK, &serde_json::json!({ "data": data, "next": next })))
}

async fn by_name(api: &Asking, query: &Query) -> Result<(Vec<Entry>, Option<String>), Problem> {
    let after = query.after.as_deref().map(|text| {
        let name = HostName::parse(text);
        name.ok_or_else(|| Problem::parameter("after", "is no cursor of this list: a host's name"))
    });
    let mut after = after.transpose()?;
    let mut live: HashMap<HostName, HostSnapshot> =
        api.engine.hosts().into_iter().map(|snapshot| (snapshot.host.clone(), snapshot)).collect();
    let mut data = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let missing = query.limit - data.len();
        let records = api.store.hosts(api.guest(), after.clone(), missing).await?;
        let last_page = records.len() < missing;
        after = records.last().map(|record| record.name.clone());
        let entries = records.into_iter().map(|record| match live.remove(&record.name) {
            Some(snapshot) => Entry::live(snapshot),
            None => Entry::kept(record),
        });
        data.extend(entries.filter(|entry| query.shows(entry.state())));
        if last_page {
            return Ok((data, None));
        }
        if data.len() >= query.limit {
            break;
        }
    }
    Ok((data, after.map(|name| name.to_string())))
}

async fn by_key(
    api: &Asking,
    query: &Query,
    sort: &str,
) -> Result<(Vec<Entry>, Option<String>), Problem> {
    let (field, down) = match sort.strip_prefix('-') {
        Some(field) => (field, true),
        None => (sort, false),
    };
    let key_of = SORTS.iter().find(|(name, _)| *name == field).map(|(_, key_of)| key_of);
    let key_of = key_of.ok_or_else(bad_sort)?;
    let own = own(api).await?;
    let live = api.engine.hosts().into_iter();
    let shown = live.filter(|snapshot| {
        query.shows(snapshot.state.as_str())
            && own.as_ref().is_none_or(|own| own.contains(&snapshot.host))
    });
    let mut rows: Vec<(f64, HostSnapshot)> = shown
        .map(|snapshot| (if down { -key_of(&snapshot) } else { key_of(&snapshot) }, snapshot))
        .collect();
    rows.sort_by(|a, b| order(field, down, (a.0, &a.1.host), (b.0, &b.1.host)));
    if let Some(cursor) = &query.after {
        let (key, name) = read_cursor(cursor)?;
        rows.retain(|(k, snapshot)| order(field, down, (*k, &snapshot.host), (key, &name)).is_gt());
    }
    let more = rows.len() > query.limit;
    rows.truncate(query.limit);
    let next = rows.last().filter(|_| more);
    let next = next.map(|(key, snapshot)| format!("{key}/{}", snapshot.host));
    Ok((rows.into_iter().map(|(_, snapshot)| Entry::live(snapshot)).collect(), next))
}

/// The hosts that the caller's workspace has deliveries for; `None` when it sees all.
async fn own(api: &Asking) -> Result<Option<HashSet<HostName>>, Problem> {
    let Some(guest) = api.guest() else { return Ok(None) };
    let mut own = HashSet::new();
    let mut after = None;
    loop {
        let page = api.store.hosts(Some(guest), after, OWN_PAGE).await?;
        after = page.last().map(|record| record.name.clone());
        let last = page.len() < OWN_PAGE;
        own.extend(page.into_iter().map(|record| record.name));
        if last {
            return Ok(Some(own));
        }
    }
}

/// By key, then by name, so that the order is one and a cursor has one place in it.
fn order(field: &str, down: bool, a: (f64, &HostName), b: (f64, &HostName)) -> std::cmp::Ordering {
    let by_name = if field == "name" && down { b.1.cmp(a.1) } else { a.1.cmp(b.1) };
    a.0.total_cmp(&b.0).then(by_name)
}

fn bad_sort() -> Problem {
    let names = SORTS.map(|(name, _)| name).join(", ");
    Problem::parameter("sort", format!("is unknown; it is one of {names}, or one with - before it"))
}

fn read_cursor(cursor: &str) -> Result<(f64, HostName), Problem> {
    let parts = cursor.split_once('/');
    let read = parts.and_then(|(key, name)| Some((key.parse().ok()?, HostName::parse(name)?)));
    let detail = "is no cursor of this list; take `next` of the page before";
    read.ok_or_else(|| Problem::parameter("after", detail))
}

/// Shows one host.
pub(super) async fn show(host: web::Path<String>, api: Asking) -> Result<HttpResponse, Problem> {
    let record = find(&api, host_name(&host)?).await?;
    let now = api.clock.wall();
    let history = api.store.intervals(record.number, now.minus(HISTORY), now, HISTORY_MAX).await?;
    let entry = match api.engine.host(record.name.clone()).await {
        Some(snapshot) => Entry::live(seen_by(&api, snapshot)),
        None => Entry::kept(record),
    };
    #[derive(Serialize)]
    struct Detail {
        #[serde(flatten)]
        entry: Entry,
        history: Vec<crate::store::HostInterval>,
    }
    Ok(json(StatusCode::OK, &Detail { entry, history }))
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

async fn find(api: &Asking, name: HostName) -> Result<HostRecord, Problem> {
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
