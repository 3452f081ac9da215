//! The routes that show campaigns and canvases.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::error::BrazeError;
use super::exports::{self, Shown, Templates};
use super::queries::{self, ListQuery, PAGE};
use super::sends::Kind;
use super::{document, find, refused, series};
use crate::api::caller::Asking;
use crate::api::request::{Params, json};
use crate::compose::{self, Entry, ScheduledWhat, Status};
use crate::model::Timestamp;
use crate::store::Count;

const HOUR_MS: i64 = 3_600_000;

/// `GET /campaigns/list`.
pub(super) async fn campaigns(
    request: HttpRequest,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    let query = queries::list(Params::of(&request))?;
    let rows = rows(&api, Kind::Campaign, &query, exports::campaign_row);
    Ok(json(StatusCode::OK, &json!({"message": "success", "campaigns": rows})))
}

/// `GET /canvas/list`.
pub(super) async fn canvases(
    request: HttpRequest,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    let query = queries::list(Params::of(&request))?;
    let rows = rows(&api, Kind::Canvas, &query, exports::canvas_row);
    Ok(json(StatusCode::OK, &json!({"canvases": rows, "message": "success"})))
}

/// `GET /campaigns/details`.
pub(super) async fn campaign(
    request: HttpRequest,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    let id = queries::details(Params::of(&request), "campaign_id")?;
    let entry = find(&api, Kind::Campaign, &id)?;
    let document = document(&entry);
    let templates = templates(&api, &document).await?;
    let counts = counts_so_far(&api, &entry).await?;
    let sent = series::first_and_last(&counts, "sent");
    let details = exports::campaign_details(&shown(&entry, &document), &templates, sent);
    Ok(json(StatusCode::OK, &details))
}

/// `GET /canvas/details`.
pub(super) async fn canvas(request: HttpRequest, api: Asking) -> Result<HttpResponse, BrazeError> {
    let id = queries::details(Params::of(&request), "canvas_id")?;
    let entry = find(&api, Kind::Canvas, &id)?;
    let document = document(&entry);
    let templates = templates(&api, &document).await?;
    let counts = counts_so_far(&api, &entry).await?;
    let entered = series::first_and_last(&counts, "entered");
    let details = exports::canvas_details(&shown(&entry, &document), &templates, entered);
    Ok(json(StatusCode::OK, &details))
}

/// `GET /campaigns/data_series`.
pub(super) async fn series(request: HttpRequest, api: Asking) -> Result<HttpResponse, BrazeError> {
    let query = queries::series(Params::of(&request), api.clock.wall())?;
    let entry = find(&api, Kind::Campaign, &query.campaign)?;
    let span = series::span(query.ending_at, query.days);
    let counts = counts(&api, &entry, span).await?;
    let answer = series::series(&entry.head.id, &document(&entry), &counts, (span.0, query.days));
    Ok(json(StatusCode::OK, &answer))
}

/// `GET /messages/scheduled_broadcasts`: the campaigns whose documents say when.
pub(super) async fn broadcasts(
    request: HttpRequest,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    let end = queries::broadcasts(Params::of(&request))?;
    let scheduled = api.composer.schedules().await.map_err(refused)?;
    let campaigns = scheduled
        .into_iter()
        .filter(|one| matches!(one.what, ScheduledWhat::Campaign) && one.at <= end)
        .filter_map(|one| {
            let entry = api.composer.entry(compose::Kind::Campaign, &one.id).ok()?;
            Some(broadcast(&entry, one.at))
        });
    let campaigns: Vec<Value> = campaigns.collect();
    let answer = json!({"message": "success", "scheduled_broadcasts": campaigns});
    Ok(json(StatusCode::OK, &answer))
}

fn broadcast(entry: &Entry, at: Timestamp) -> Value {
    let zone = document(entry)["trigger"]["time_zone"].as_str().unwrap_or("UTC").to_owned();
    json!({
        "name": entry.head.name,
        "id": entry.head.id,
        "type": "Campaign",
        "tags": entry.head.tags,
        "next_send_time": at,
        "schedule_type": zone,
    })
}

/// A page of a list, in order of creation.
fn rows(
    api: &Asking,
    kind: Kind,
    query: &ListQuery,
    row: impl Fn(&Shown<'_>) -> Value,
) -> Vec<Value> {
    let mut entries = api.composer.entries(kind.composed());
    entries.retain(|entry| query.include_archived || entry.head.status != Status::Archived);
    if let Some(after) = query.edited_after {
        entries.retain(|entry| entry.head.updated_at > after);
    }
    // They come newest first.
    if !query.newest_first {
        entries.reverse();
    }
    let page = entries.iter().skip(query.page.saturating_mul(PAGE)).take(PAGE);
    page.map(|entry| row(&shown(entry, &document(entry)))).collect()
}

fn shown<'a>(entry: &'a Entry, document: &'a Value) -> Shown<'a> {
    let head = &entry.head;
    Shown {
        id: &head.id,
        name: &head.name,
        status: head.status.as_str(),
        tags: &head.tags,
        created: head.created_at,
        updated: head.updated_at,
        document,
    }
}

/// The webhooks of the templates that a document names.
async fn templates(api: &Asking, document: &Value) -> Result<Templates, BrazeError> {
    let mut templates = Templates::new();
    for (id, version) in exports::named_templates(document) {
        let number = u32::try_from(version).unwrap_or(u32::MAX);
        let found = api.composer.version(compose::Kind::Template, &id, number).await;
        let template: Value =
            serde_json::from_str(found.map_err(refused)?.get()).unwrap_or_default();
        templates.insert((id, version), template["webhook"].clone());
    }
    Ok(templates)
}

async fn counts_so_far(api: &Asking, entry: &Entry) -> Result<Vec<Count>, BrazeError> {
    let until = Timestamp::from_millis(api.clock.wall().as_millis() + HOUR_MS);
    let from = Timestamp::from_millis(entry.head.created_at.as_millis() - HOUR_MS);
    counts(api, entry, (from, until)).await
}

async fn counts(
    api: &Asking,
    entry: &Entry,
    (from, until): (Timestamp, Timestamp),
) -> Result<Vec<Count>, BrazeError> {
    let counts = api.store.tally(entry.head.id.clone(), from, until).await;
    counts.map_err(|error| refused(error.into()))
}
