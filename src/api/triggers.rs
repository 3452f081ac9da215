//! `POST /v1/triggers`: one trigger.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{HttpRequest, HttpResponse, web};

use super::caller::Asking;
use super::problem::Problem;
use super::request::{read_body, vet_json_type};
use crate::admission::{HOP_HEADER, Origin, is_traceparent, parse_idempotency_key};

/// Name of the header that makes a trigger safe to repeat.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Accepts one trigger.
pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    vet_json_type(&request)?;
    let idempotency_key = idempotency_key(request.headers())?;
    let body = read_body(&request, payload, api.settings.server.max_request).await?;
    let traceparent = traceparent(request.headers());
    let hop = hop(request.headers())?;
    let origin = Origin { traceparent, idempotency_key, alone: true, hop };
    let admitted = api.composer.trigger(&body, &origin).await?;
    let mut response = HttpResponse::build(StatusCode::ACCEPTED);
    response.content_type("application/json");
    response
        .insert_header((header::LOCATION, format!("/v1/deliveries?trigger={}", admitted.trigger)));
    if admitted.replayed {
        response.insert_header(("idempotent-replayed", "true"));
    }
    Ok(response.body(admitted.answer))
}

/// The idempotency key of the request.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY);
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::header(IDEMPOTENCY_KEY, "is given twice"));
    }
    let key = parse_idempotency_key(value.as_bytes());
    key.map(Some).map_err(|detail| Problem::header(IDEMPOTENCY_KEY, detail))
}

/// Refuses a key for a whole batch, of which only the items can be repeated.
pub(super) fn refuse_idempotency_key(headers: &HeaderMap) -> Result<(), Problem> {
    if headers.contains_key(IDEMPOTENCY_KEY) {
        let detail = "does not hold for a batch; give each item its own idempotency_key";
        return Err(Problem::header(IDEMPOTENCY_KEY, detail));
    }
    Ok(())
}

/// How many of our own webhooks led to the request.
pub(super) fn hop(headers: &HeaderMap) -> Result<u8, Problem> {
    let Some(value) = headers.get(HOP_HEADER) else { return Ok(0) };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| Problem::header(HOP_HEADER, "is not a number from 0 to 255"))
}

/// `traceparent` of the request, if it is one.
pub(super) fn traceparent(headers: &HeaderMap) -> Option<&str> {
    headers.get("traceparent")?.to_str().ok().filter(|value| is_traceparent(value))
}
