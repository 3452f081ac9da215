//! What is scheduled: campaigns by their own schedules, and sends that callers scheduled.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use crate::api::caller::Asking;
use crate::api::problem::Problem;
use crate::api::request::json;
use crate::api::view::mask_headers;
use crate::compose::Scheduled;

/// All of them, the next first.
pub(super) async fn list(api: Asking) -> Result<HttpResponse, Problem> {
    let schedules = api.composer.schedules().await?;
    let data: Vec<Value> = schedules.iter().map(shown).collect();
    Ok(json(StatusCode::OK, &json!({"data": data, "next": null})))
}

/// One.
pub(super) async fn show(api: Asking, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    Ok(json(StatusCode::OK, &shown(&api.composer.scheduled(&id).await?)))
}

/// Takes a scheduled send back.
pub(super) async fn cancel(api: Asking, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    api.composer.cancel_schedule(&id).await?;
    Ok(json(StatusCode::OK, &json!({"id": &*id, "cancelled": true})))
}

/// A schedule without the values of headers that are likely credentials.
fn shown(scheduled: &Scheduled) -> Value {
    let mut value = serde_json::to_value(scheduled).unwrap_or_default();
    if let Some(webhooks) = value.pointer_mut("/what/send/what/webhooks/webhooks") {
        for webhook in webhooks.as_array_mut().into_iter().flatten() {
            if let Some(headers) = webhook.get_mut("headers") {
                mask_headers(headers);
            }
        }
    }
    value
}
