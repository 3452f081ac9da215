//! The list of hosts. By name it shows every host that was ever seen, live or not, page by page
//! from the store. In any other order, or where live ones alone are asked for, it shows the live
//! host actors, which are in memory: only keys are sorted, and only the rows of the page are copied
//! or written, so that ten thousand of them take a few milliseconds.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::caller::Asking;
use crate::api::document::words;
use crate::api::problem::Problem;
use crate::api::request::{Params, json};
use crate::delivery::{HostCondition, HostSnapshot};
use crate::model::{HostControls, HostName};
use crate::store::HostRecord;

/// Pages of the store that one list looks through for hosts of a rare state or name.
const ROUNDS_MAX: usize = 20;
/// Hosts that are read in one go where not each of them is shown.
const SIFTED_PAGE: usize = 500;
/// Hosts of a workspace that are read in one go.
const OWN_PAGE: usize = 1_000;
/// Characters of a part of a name: longer than any name is.
const PART_MAX: usize = 300;

/// A host in a list.
#[derive(Serialize)]
#[serde(untagged)]
pub(in crate::api) enum Entry {
    Live(Live),
    Kept(Box<Kept>),
}

/// A host with an actor.
#[derive(Serialize)]
pub(in crate::api) struct Live {
    alive: bool,
    #[serde(flatten)]
    snapshot: Shared,
}

/// A snapshot that others look at too.
struct Shared(Arc<HostSnapshot>);

impl Serialize for Shared {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// A host without one: what the store keeps.
#[derive(Serialize, ToSchema)]
#[schema(as = KeptHost)]
pub(in crate::api) struct Kept {
    alive: bool,
    host: HostName,
    shard: u32,
    #[schema(schema_with = words::host_state)]
    state: &'static str,
    waiting: u64,
    controls: HostControls,
}

impl Entry {
    pub(in crate::api) fn live(snapshot: impl Into<Arc<HostSnapshot>>) -> Self {
        Entry::Live(Live { alive: true, snapshot: Shared(snapshot.into()) })
    }

    pub(in crate::api) fn kept(record: HostRecord) -> Self {
        let state = if record.controls.paused { HostCondition::Paused.as_str() } else { IDLE };
        Entry::Kept(Box::new(Kept {
            alive: false,
            shard: record.number.shard(),
            host: record.name,
            state,
            waiting: record.pending,
            controls: record.controls,
        }))
    }

    fn state(&self) -> &'static str {
        match self {
            Entry::Live(live) => live.snapshot.0.state.as_str(),
            Entry::Kept(kept) => kept.state,
        }
    }
}

/// The state of a host that has no actor since it has nothing to do now.
const IDLE: &str = "idle";
/// All states, for the query.
const STATES: [&str; 7] =
    ["healthy", "limited", "backing_off", "cooling_down", "probing", "paused", IDLE];
/// A name and what it sorts by; `None` comes last in either direction.
type Sort = (&'static str, fn(&HostSnapshot) -> Option<f64>);
/// What a list is sorted by: the largest first with a `-` before it.
const SORTS: [Sort; 13] = [
    ("name", |_| Some(0.0)),
    ("queued", |snapshot| Some(snapshot.queued as f64)),
    ("waiting", |snapshot| Some(snapshot.waiting as f64)),
    ("in_flight", |snapshot| Some(f64::from(snapshot.in_flight))),
    ("mailbox", |snapshot| Some(snapshot.mailbox as f64)),
    ("age", |snapshot| Some(snapshot.age_s as f64)),
    ("attempts", |snapshot| Some(snapshot.last_minute.attempts as f64)),
    ("dead", |snapshot| Some(snapshot.last_minute.dead as f64)),
    ("success", |snapshot| snapshot.success_ratio),
    ("p50", |snapshot| snapshot.last_minute.p50_ms),
    ("p99", |snapshot| snapshot.last_minute.p99_ms),
    ("state", |snapshot| Some(severity(snapshot.state))),
    ("until", |snapshot| snapshot.until.map(|until| until.as_millis() as f64)),
];

/// How much a state hurts.
fn severity(state: HostCondition) -> f64 {
    match state {
        HostCondition::Healthy => 0.0,
        HostCondition::Limited => 1.0,
        HostCondition::BackingOff => 2.0,
        HostCondition::Probing => 3.0,
        HostCondition::CoolingDown => 4.0,
        HostCondition::Paused => 5.0,
    }
}

/// An order of live hosts: by a key, then by name, so that a cursor has one place in it.
struct Order {
    field: &'static str,
    key_of: fn(&HostSnapshot) -> Option<f64>,
    down: bool,
}

impl Order {
    fn parse(sort: &str) -> Result<Self, Problem> {
        let (field, down) = match sort.strip_prefix('-') {
            Some(field) => (field, true),
            None => (sort, false),
        };
        let found = SORTS.iter().find(|(name, _)| *name == field);
        let (field, key_of) = *found.ok_or_else(|| {
            let names = SORTS.map(|(name, _)| name).join(", ");
            let detail = format!("is unknown; it is one of {names}, or one with - before it");
            Problem::parameter("sort", detail)
        })?;
        Ok(Self { field, key_of, down })
    }

    /// What is compared; not a number where there is none, which is after all numbers.
    fn key(&self, snapshot: &HostSnapshot) -> f64 {
        match (self.key_of)(snapshot) {
            Some(key) if self.down => -key,
            Some(key) => key,
            None => f64::NAN,
        }
    }

    fn compare(&self, a: (f64, &HostName), b: (f64, &HostName)) -> Ordering {
        let by_name = if self.field == "name" && self.down { b.1.cmp(a.1) } else { a.1.cmp(b.1) };
        a.0.total_cmp(&b.0).then(by_name)
    }
}

/// Which hosts, and from where on.
struct Query {
    states: Vec<String>,
    /// Part of the name, in lower case.
    part: Option<String>,
    alive: bool,
    limit: usize,
    after: Option<String>,
    offset: Option<usize>,
}

impl Query {
    fn read(params: &mut Params) -> Result<Self, Problem> {
        let states = params.take("state")?.unwrap_or_default();
        let states = states.split(',').map(str::trim).filter(|state| !state.is_empty());
        let states: Vec<String> = states.map(str::to_owned).collect();
        if let Some(bad) = states.iter().find(|state| !STATES.contains(&state.as_str())) {
            let detail = format!("{bad:?} is no state; the states are {}", STATES.join(", "));
            return Err(Problem::parameter("state", detail));
        }
        let part = params.take("q")?.map(|part| part.trim().to_ascii_lowercase());
        if part.as_ref().is_some_and(|part| part.len() > PART_MAX) {
            let detail = format!("is longer than any name; at most {PART_MAX} characters");
            return Err(Problem::parameter("q", detail));
        }
        let query = Self {
            states,
            part: part.filter(|part| !part.is_empty()),
            alive: params.take_switch("alive")?,
            limit: params.take_limit()?,
            after: params.take("after")?,
            offset: params.take_number("offset", 0..=usize::MAX)?,
        };
        if query.after.is_some() && query.offset.is_some() {
            return Err(Problem::parameter("offset", "is given with after; give one of them"));
        }
        Ok(query)
    }

    fn shows(&self, name: &HostName, state: &str) -> bool {
        let of_state = self.states.is_empty() || self.states.iter().any(|wanted| wanted == state);
        of_state && self.part.as_ref().is_none_or(|part| name.as_str().contains(part.as_str()))
    }

    /// Whether each host is shown.
    fn shows_all(&self) -> bool {
        self.states.is_empty() && self.part.is_none()
    }
}

/// A page of a list.
#[derive(Serialize)]
struct Listed {
    data: Vec<Entry>,
    next: Option<String>,
    /// How many there are on all pages; known of what is in memory.
    total: Option<usize>,
}

/// One page of hosts.
pub(in crate::api) async fn list(
    request: HttpRequest,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let sort = params.take("sort")?.unwrap_or_else(|| "name".into());
    let query = Query::read(&mut params)?;
    params.finish("sort, state, q, alive, limit, after, offset")?;
    let listed = match sort == "name" && !query.alive {
        true => by_name(&api, &query).await?,
        false => by_key(&api, &query, &Order::parse(&sort)?).await?,
    };
    Ok(json(StatusCode::OK, &listed))
}

async fn by_name(api: &Asking, query: &Query) -> Result<Listed, Problem> {
    if query.offset.is_some() {
        let detail = "counts live hosts: give alive=true or another sort with it, or go on with \
                      after";
        return Err(Problem::parameter("offset", detail));
    }
    let after = query.after.as_deref().map(|text| {
        let name = HostName::parse(text);
        name.ok_or_else(|| Problem::parameter("after", "is no cursor of this list: a host's name"))
    });
    let mut after = after.transpose()?;
    let mut live: HashMap<HostName, Arc<HostSnapshot>> =
        api.engine.hosts().into_iter().map(|snapshot| (snapshot.host.clone(), snapshot)).collect();
    let mut data = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let missing = query.limit - data.len();
        let rows = if query.shows_all() { missing } else { missing.max(SIFTED_PAGE) };
        let records = api.store.hosts(api.guest(), after.clone(), rows).await?;
        let last_page = records.len() < rows;
        for record in records {
            if data.len() == query.limit {
                // The cursor stands right behind the last row that is given out.
                return Ok(Listed { data, next: after.map(|name| name.to_string()), total: None });
            }
            let name = record.name.clone();
            let entry = match live.remove(&name) {
                Some(snapshot) => Entry::live(snapshot),
                None => Entry::kept(record),
            };
            if query.shows(&name, entry.state()) {
                data.push(entry);
            }
            after = Some(name);
        }
        if last_page {
            return Ok(Listed { data, next: None, total: None });
        }
        if data.len() == query.limit {
            break;
        }
    }
    Ok(Listed { data, next: after.map(|name| name.to_string()), total: None })
}

async fn by_key(api: &Asking, query: &Query, order: &Order) -> Result<Listed, Problem> {
    let cursor = query.after.as_deref().map(read_cursor).transpose()?;
    let own = own(api).await?;
    let shown = api.engine.hosts().into_iter().filter(|snapshot| {
        query.shows(&snapshot.host, snapshot.state.as_str())
            && own.as_ref().is_none_or(|own| own.contains(&snapshot.host))
    });
    let rows = shown.map(|snapshot| (order.key(&snapshot), snapshot)).collect();
    let Page { rows, total, more } = page_of(rows, order, query, cursor.as_ref());
    let last = rows.last().filter(|_| more);
    let next = last.map(|(key, snapshot)| format!("{key}/{}", snapshot.host));
    let data = rows.into_iter().map(|(_, snapshot)| Entry::live(snapshot)).collect();
    Ok(Listed { data, next, total: Some(total) })
}

/// A live host with the key that it is sorted by.
type Keyed = (f64, Arc<HostSnapshot>);

struct Page {
    rows: Vec<Keyed>,
    total: usize,
    more: bool,
}

/// Picks a page out of all rows; only what is on it is sorted.
fn page_of(
    mut rows: Vec<Keyed>,
    order: &Order,
    query: &Query,
    cursor: Option<&(f64, HostName)>,
) -> Page {
    let total = rows.len();
    let compare = |a: &Keyed, b: &Keyed| order.compare((a.0, &a.1.host), (b.0, &b.1.host));
    if let Some((key, name)) = cursor {
        rows.retain(|row| order.compare((row.0, &row.1.host), (*key, name)).is_gt());
    }
    let skipped = query.offset.unwrap_or(0).min(rows.len());
    let end = skipped.saturating_add(query.limit);
    let more = rows.len() > end;
    if more {
        rows.select_nth_unstable_by(end, compare);
        rows.truncate(end);
    }
    rows.sort_unstable_by(compare);
    rows.drain(..skipped);
    Page { rows, total, more }
}

fn read_cursor(cursor: &str) -> Result<(f64, HostName), Problem> {
    let parts = cursor.split_once('/');
    let read = parts.and_then(|(key, name)| Some((key.parse().ok()?, HostName::parse(name)?)));
    let detail = "is no cursor of this list; take `next` of the page before";
    read.ok_or_else(|| Problem::parameter("after", detail))
}

/// The first `count` live hosts in an order, for who looks at few of them.
pub(in crate::api) fn first(
    hosts: &[Arc<HostSnapshot>],
    key_of: impl Fn(&HostSnapshot) -> Option<f64>,
    count: usize,
) -> Vec<Arc<HostSnapshot>> {
    let keyed = hosts.iter().filter_map(|snapshot| Some((key_of(snapshot)?, snapshot)));
    let mut keyed: Vec<(f64, &Arc<HostSnapshot>)> = keyed.collect();
    let largest = |a: &(f64, &Arc<HostSnapshot>), b: &(f64, &Arc<HostSnapshot>)| {
        b.0.total_cmp(&a.0).then_with(|| a.1.host.cmp(&b.1.host))
    };
    if keyed.len() > count {
        keyed.select_nth_unstable_by(count, largest);
        keyed.truncate(count);
    }
    keyed.sort_unstable_by(largest);
    keyed.into_iter().map(|(_, snapshot)| snapshot.clone()).collect()
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
