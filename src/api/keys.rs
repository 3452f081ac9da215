//! `/v1/keys`: API keys made, listed, rotated, revoked; `/v1/audit`: who did so.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller::Asking;
use super::problem::Problem;
use super::request::{Params, json, located, read_json, read_json_or_nothing};
use crate::access::{AccessError, KeyView, NewKey, Shown};

/// A key with its text.
#[derive(Serialize)]
struct WithText<'a> {
    key: &'a str,
    #[serde(flatten)]
    view: &'a KeyView,
}

/// How a key is rotated.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct RotateInput {
    #[serde(default)]
    overlap: Option<String>,
}

/// Makes a key; its text is in the answer, and never again.
pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let new: NewKey = read_json(&request, payload).await?;
    let shown = api.access.create_key(&api.caller, new).await?;
    let place = format!("/v1/keys/{}", shown.view.id);
    Ok(located(with_text(StatusCode::CREATED, &shown), &place))
}

/// Keys of the caller's workspace; all for an admin.
pub(super) async fn list(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let (limit, after) = (params.take_limit()?, params.take("after")?);
    params.finish("limit, after")?;
    let listed = api.access.list_keys(&api.caller, after.as_deref(), limit);
    let (data, more) = listed.map_err(|error| match error {
        AccessError::NotFound { .. } => {
            Problem::parameter("after", "is no cursor of this list; take `next` of the page before")
        }
        other => other.into(),
    })?;
    let next = data.last().filter(|_| more).map(|last| last.id);
    Ok(json(StatusCode::OK, &json!({ "data": data, "next": next })))
}

/// One key.
pub(super) async fn show(id: web::Path<String>, api: Asking) -> Result<HttpResponse, Problem> {
    Ok(json(StatusCode::OK, &api.access.show_key(&api.caller, &id)?))
}

/// Ends a key at once.
pub(super) async fn revoke(id: web::Path<String>, api: Asking) -> Result<HttpResponse, Problem> {
    Ok(json(StatusCode::OK, &api.access.revoke_key(&api.caller, &id).await?))
}

/// Gives a key a new secret, which is in the answer, and never again.
pub(super) async fn rotate(
    request: HttpRequest,
    payload: web::Payload,
    id: web::Path<String>,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let RotateInput { overlap } = read_json_or_nothing(&request, payload).await?;
    let shown = api.access.rotate_key(&api.caller, &id, overlap.as_deref()).await?;
    Ok(with_text(StatusCode::OK, &shown))
}

/// The audit log, newest first: of the caller's workspace; all of it for an admin.
pub(super) async fn audit(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let (limit, after) = (params.take_limit()?, params.take("after")?);
    params.finish("limit, after")?;
    let page = api.access.audit_log(&api.caller, after.as_deref(), limit).await?;
    let data: Vec<_> = page
        .entries
        .into_iter()
        .map(|entry| {
            json!({
                "at": entry.at,
                "who": entry.who,
                "action": entry.action,
                "subject": entry.subject,
                "detail": entry.detail,
                "address": entry.address,
                "workspace": api.access.workspace_name(entry.workspace),
            })
        })
        .collect();
    Ok(json(StatusCode::OK, &json!({ "data": data, "next": page.next })))
}

fn with_text(status: StatusCode, shown: &Shown) -> HttpResponse {
    let mut response = json(status, &WithText { key: shown.text.reveal(), view: &shown.view });
    // No cache between here and there shall keep it.
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
