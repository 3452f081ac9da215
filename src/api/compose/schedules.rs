//! What is scheduled: campaigns by their own schedules, and sends that callers scheduled.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::json;

use crate::api::Api;
use crate::api::problem::Problem;
use crate::api::request::json;

/// All of them, the next first.
pub(super) async fn list(api: web::Data<Api>) -> Result<HttpResponse, Problem> {
    let data = api.composer.schedules().await?;
    Ok(json(StatusCode::OK, &json!({"data": data, "next": null})))
}

/// One.
pub(super) async fn show(
    api: web::Data<Api>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    Ok(json(StatusCode::OK, &api.composer.scheduled(&id).await?))
}

/// Takes a scheduled send back.
pub(super) async fn cancel(
    api: web::Data<Api>,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    api.composer.cancel_schedule(&id).await?;
    Ok(json(StatusCode::OK, &json!({"id": &*id, "cancelled": true})))
}
