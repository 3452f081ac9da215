//! `/v1/deliveries`: seeing deliveries, and redriving, skipping or cancelling one.

use std::collections::HashSet;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Asking;
use super::meaning;
use super::problem::Problem;
use super::request::{Params, delivery_id, host_name, json};
use super::states::{Wanted, word};
use super::view::{AttemptView, Row, WebhookView};
use super::why::{self, Explained};
use crate::compose::Kind;
use crate::delivery::{Cancelled, Obstacle, WaitReason};
use crate::model::{DeliveryId, Provenance, StoredState, Timestamp, TriggerId};
use crate::store::{DeliveryFilter, DeliveryRecord, HostInterval, Page};

/// Deliveries in flight that a list asks about; more than all hosts' default limits make likely.
pub(super) const IN_FLIGHT_MAX: usize = 20_000;
/// Pages of the store that one list looks through for rows of a rare state. A page that comes out
/// short still has its cursor.
const ROUNDS_MAX: usize = 20;
/// Deferrals that are shown of one delivery.
const DEFERRALS_MAX: usize = 100;

/// One page of deliveries.
pub(super) async fn list(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let trigger = params.take("trigger")?;
    let trigger: Option<TriggerId> = trigger
        .map(|text| text.parse())
        .transpose()
        .map_err(|()| Problem::parameter("trigger", "is not the id of a trigger"))?;
    let wanted = Wanted::of_parameter(params.take("state")?.as_deref())?;
    let mut metadata = params.take_prefixed("metadata.");
    for field in COMPOSED {
        metadata.extend(params.take(field)?.map(|value| composed_term(&api, field, value)));
    }
    let mut filter = DeliveryFilter {
        workspace: Some(api.caller.workspace),
        host: params.take("host")?.map(|text| host_name(&text)).transpose()?,
        states: wanted.stored(),
        trigger,
        metadata,
        from: params.take_time("from")?,
        until: params.take_time("until")?,
        ids: None,
    };
    let limit = params.take_limit()?;
    let after = params.take("after")?;
    params.finish(
        "host, state, trigger, campaign, canvas, template, recipient, send_id, metadata.KEY, from, \
         until, limit, after",
    )?;
    let in_flight: HashSet<DeliveryId> =
        api.engine.in_flight(IN_FLIGHT_MAX).await.into_iter().collect();
    if wanted.only_in_flight() {
        filter.ids = Some(in_flight.iter().copied().collect());
    }
    let now = api.clock.wall();
    let shows = |record: &DeliveryRecord| wanted.shows(word(record, &in_flight, now));
    let page = collect(&api, filter, after, limit, shows).await?;
    let data: Vec<Row<'_>> =
        page.rows.iter().map(|record| Row::of(record, word(record, &in_flight, now))).collect();
    Ok(json(StatusCode::OK, &serde_json::json!({ "data": data, "next": page.next })))
}

/// What a composed delivery can be found by.
pub(super) const COMPOSED: [&str; 5] = ["campaign", "canvas", "template", "recipient", "send_id"];

/// The search term for what composed a delivery. A campaign, canvas or template may be called by
/// its name.
pub(super) fn composed_term(api: &Asking, field: &str, value: String) -> (String, String) {
    let kind = match field {
        "campaign" => Some(Kind::Campaign),
        "canvas" => Some(Kind::Canvas),
        "template" => Some(Kind::Template),
        _ => None,
    };
    let entry = kind.and_then(|kind| api.composer.entry(kind, &value).ok());
    let value = entry.map_or(value, |entry| entry.head.id.clone());
    (Provenance::tag(field), value)
}

/// A page of those rows that `shows` lets through. Only as many rows as are missing are asked for
/// in each round, so that the cursor always stands right behind the last row that is given out.
async fn collect(
    api: &Asking,
    filter: DeliveryFilter,
    mut after: Option<String>,
    limit: usize,
    shows: impl Fn(&DeliveryRecord) -> bool,
) -> Result<Page<DeliveryRecord>, Problem> {
    let mut rows = Vec::new();
    for _ in 0..ROUNDS_MAX {
        let page = api.store.list(filter.clone(), after, limit - rows.len()).await?;
        after = page.next;
        rows.extend(page.rows.into_iter().filter(&shows));
        if rows.len() >= limit || after.is_none() {
            break;
        }
    }
    Ok(Page { rows, next: after })
}

/// One delivery with all that is known of it.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliveryDetail)]
pub(super) struct Detail<'a> {
    #[serde(flatten)]
    row: Row<'a>,
    reason: Option<String>,
    waits_for: Option<WaitReason>,
    /// What stands in its way, nearest first.
    blocked_by: Vec<Obstacle>,
    next_attempt_at: Option<Timestamp>,
    /// What that time rests on, or why it is not known.
    expectation: Option<String>,
    ahead: Option<u64>,
    behind: Option<DeliveryId>,
    webhook: WebhookView<'a>,
    attempts: Vec<AttemptView<'a>>,
    deferrals: Vec<HostInterval>,
    /// Retries that it still has; absent once it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    retries_left: Option<u32>,
}

/// Shows one delivery.
pub(super) async fn show(id: web::Path<String>, api: Asking) -> Result<HttpResponse, Problem> {
    let record = api.delivery(delivery_id(&id)?).await?;
    let attempts = api.store.attempts(record.id).await?;
    let deferrals = deferrals(&api, &record).await?;
    let Explained { explanation, behind } = why::explain(&api, &record).await?;
    let last = attempts.last().map(|attempt| &attempt.outcome);
    let ended = meaning::of_end(record.state, record.retries, last);
    let told = |words: String| Some(words).filter(|words| !words.is_empty());
    let retries = api.settings.rules_of(&record.host).retry.retries;
    let detail = Detail {
        row: Row::of(&record, explanation.state),
        reason: ended.or(told(explanation.reason)),
        waits_for: explanation.waits_for,
        blocked_by: explanation.blocked_by,
        next_attempt_at: explanation.next_attempt_at,
        expectation: told(explanation.expectation),
        ahead: explanation.ahead,
        behind,
        webhook: WebhookView::of(&record.webhook),
        attempts: attempts.iter().map(AttemptView::of).collect(),
        deferrals,
        retries_left: record.ended.is_none().then(|| retries.saturating_sub(record.retries)),
    };
    Ok(json(StatusCode::OK, &detail))
}

/// The stretches of its host's waiting that fall into a delivery's life, cut to it.
async fn deferrals(api: &Asking, record: &DeliveryRecord) -> Result<Vec<HostInterval>, Problem> {
    let (from, to) = (record.accepted, record.ended.unwrap_or_else(|| api.clock.wall()));
    let host = record.id.host();
    let mut intervals = api.store.intervals(host, from, to, DEFERRALS_MAX).await?;
    for interval in &mut intervals {
        interval.from = interval.from.max(from);
        if record.ended.is_some() {
            interval.to = Some(interval.to.unwrap_or(to).min(to));
        }
    }
    Ok(intervals)
}

/// The answer to a wish about one delivery.
fn done(id: DeliveryId, state: &str) -> HttpResponse {
    json(StatusCode::OK, &serde_json::json!({ "id": id, "state": state }))
}

/// Sends a dead letter again.
pub(super) async fn redrive(id: web::Path<String>, api: Asking) -> Result<HttpResponse, Problem> {
    let id = delivery_id(&id)?;
    api.delivery(id).await?;
    if api.engine.redrive(vec![id]).await?.contains(&id) {
        return Ok(done(id, "waiting"));
    }
    let detail = match api.delivery(id).await?.state {
        StoredState::Ended(end) => {
            format!("it is {}; only dead letters are redriven", end.as_str())
        }
        StoredState::Pending | StoredState::Parked => "it is still owed".to_owned(),
    };
    Err(Problem::conflict("not-redrivable", detail))
}

/// Lets the ordering key behind a failed delivery go on.
pub(super) async fn skip(id: web::Path<String>, api: Asking) -> Result<HttpResponse, Problem> {
    let id = delivery_id(&id)?;
    api.delivery(id).await?;
    if api.engine.skip(id).await? {
        return Ok(json(StatusCode::OK, &serde_json::json!({ "id": id, "skipped": true })));
    }
    Err(Problem::conflict("not-blocking", "it does not hold back an ordering key"))
}

/// Cancels a delivery.
pub(super) async fn cancel(id: web::Path<String>, api: Asking) -> Result<HttpResponse, Problem> {
    let id = delivery_id(&id)?;
    api.delivery(id).await?;
    match api.engine.cancel(id).await? {
        Cancelled::Done => Ok(done(id, "cancelled")),
        Cancelled::InFlight => {
            let detail = "it is being sent right now and will finish";
            Err(Problem::conflict("in-flight", detail))
        }
        Cancelled::Ended => Err(Problem::conflict("already-ended", "it has ended already")),
        Cancelled::Unknown => {
            Err(Problem::not_found("unknown-delivery", format!("there is no delivery {id}")))
        }
    }
}
