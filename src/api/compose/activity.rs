//! `GET /v1/activity`: what went wrong, was left out, or happened to a host, newest first, with what
//! it means and what may be done about it. `GET /v1/activity/groups`: the same by host, status and
//! kind, the most frequent first.

use std::collections::HashMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::api::caller::Asking;
use crate::api::meaning;
use crate::api::problem::Problem;
use crate::api::request::{Params, json};
use crate::compose::Kind;
use crate::model::{DeliveryId, HostName, Timestamp};
use crate::store::{ActivityFilter, Logged};

/// What groups are made of unless asked otherwise.
const GROUPED: Duration = Duration::from_secs(86_400);
/// Rows that groups are made of at most, the newest: some tens of milliseconds.
const GROUPED_MAX: usize = 20_000;
/// Groups that are shown: a person reads the first ten.
const GROUPS_MAX: usize = 500;

#[derive(Serialize, ToSchema)]
#[schema(as = ActivityEntry)]
pub(in crate::api) struct View<'a> {
    #[serde(flatten)]
    logged: &'a Logged,
    /// Name of the campaign, canvas or template.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_name: Option<String>,
    meaning: &'static str,
    steps: &'static str,
}

/// Entries that have host, status and kind in common.
#[derive(Serialize, ToSchema)]
#[schema(as = ActivityGroup)]
pub(in crate::api) struct Group {
    host: Option<HostName>,
    status: Option<u16>,
    kind: String,
    count: u64,
    first_at: Timestamp,
    last_at: Timestamp,
    last_delivery: Option<DeliveryId>,
    sample_detail: String,
    meaning: &'static str,
    steps: &'static str,
}

impl Group {
    /// One of the newest entry of its kind.
    fn of(logged: &Logged) -> Self {
        let entry = &logged.entry;
        let (meaning, steps) = meaning::of_activity(&entry.kind, entry.status);
        Self {
            host: entry.host.clone(),
            status: entry.status,
            kind: entry.kind.clone(),
            count: 0,
            first_at: logged.first_at,
            last_at: entry.at,
            last_delivery: entry.delivery,
            sample_detail: entry.detail.clone(),
            meaning,
            steps,
        }
    }

    fn add(&mut self, logged: &Logged) {
        self.count += logged.count;
        self.first_at = self.first_at.min(logged.first_at);
        self.last_delivery = self.last_delivery.or(logged.entry.delivery);
    }
}

/// A page of the log.
pub(super) async fn list(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let (limit, after) = (params.take_limit()?, params.take("after")?);
    let filter = filter(&mut params, &api)?;
    params.finish("host, status, kind, subject, recipient, from, until, limit, after")?;
    let page = api.store.activity(filter, after, limit).await?;
    let data: Vec<View<'_>> = page.rows.iter().map(|logged| view(&api, logged)).collect();
    Ok(json(StatusCode::OK, &json!({"data": data, "next": page.next})))
}

/// The log by host, status and kind.
pub(super) async fn groups(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let mut filter = filter(&mut params, &api)?;
    params.finish("host, status, kind, subject, recipient, from, until")?;
    let now = api.clock.wall();
    let from = filter.from.unwrap_or_else(|| filter.until.unwrap_or(now).minus(GROUPED));
    filter.from = Some(from);
    let (rows, whole) = api.store.logged(filter, GROUPED_MAX).await?;
    let mut groups: HashMap<_, Group> = HashMap::new();
    for logged in &rows {
        let entry = &logged.entry;
        let same = (&entry.host, entry.status, &entry.kind);
        groups.entry(same).or_insert_with(|| Group::of(logged)).add(logged);
    }
    let mut data: Vec<Group> = groups.into_values().collect();
    data.sort_by(|a, b| (b.count, b.last_at, &a.host).cmp(&(a.count, a.last_at, &b.host)));
    let whole = whole && data.len() <= GROUPS_MAX;
    data.truncate(GROUPS_MAX);
    let since = if whole { Some(from) } else { rows.last().map(|logged| logged.entry.at) };
    Ok(json(StatusCode::OK, &json!({"data": data, "complete": whole, "from": since})))
}

fn filter(params: &mut Params, api: &Asking) -> Result<ActivityFilter, Problem> {
    let host = params.take("host")?.map(|text| {
        HostName::parse(&text)
            .ok_or_else(|| Problem::parameter("host", "is not the name of a host"))
    });
    let status = params.take("status")?.map(|text| {
        let status = text.parse::<u16>().ok().filter(|status| (100..=599).contains(status));
        status.ok_or_else(|| Problem::parameter("status", "is not a number from 100 to 599"))
    });
    Ok(ActivityFilter {
        workspace: api.caller.workspace,
        subject: params.take("subject")?,
        kind: params.take("kind")?,
        recipient: params.take("recipient")?,
        host: host.transpose()?,
        status: status.transpose()?,
        from: params.take_time("from")?,
        until: params.take_time("until")?,
    })
}

fn view<'a>(api: &Asking, logged: &'a Logged) -> View<'a> {
    let entry = &logged.entry;
    let name = |kind| api.composer.entry(kind, entry.subject.as_ref()?).ok();
    let found =
        name(Kind::Campaign).or_else(|| name(Kind::Canvas)).or_else(|| name(Kind::Template));
    let subject_name = found.map(|found| found.head.name.clone());
    let (meaning, steps) = meaning::of_activity(&entry.kind, entry.status);
    View { logged, subject_name, meaning, steps }
}
