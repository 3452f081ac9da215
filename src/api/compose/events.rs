//! `POST /v1/events`: a recipient's custom event.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::admission::{Refusal, vet_external_id};
use crate::api::caller::Asking;
use crate::api::problem::Problem;
use crate::api::request::{json, parse_json, read_body, vet_json_type};
use crate::api::triggers::{hop, idempotency_key};
use crate::compose::Event;
use crate::model::Timestamp;

/// Characters of an event's name.
const NAME_MAX: usize = 255;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an event: an object with `external_id` and `name`")]
struct Input {
    external_id: String,
    name: String,
    #[serde(default)]
    properties: Map<String, Value>,
    time: Option<Timestamp>,
}

/// Takes an event.
pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    vet_json_type(&request)?;
    let key = idempotency_key(request.headers())?;
    let hop = hop(request.headers())?;
    let body = read_body(&request, payload, api.settings.server.max_request).await?;
    let input: Input = parse_json(&body)?;
    vet(&input)?;
    let _place = api.admission.enter()?;
    api.composer.vet_hop(hop).await?;
    let Input { external_id, name, mut properties, time } = input;
    if let Some(time) = time {
        // The event's own time is a property of it like any other, unless there is one already.
        properties.entry("time").or_insert_with(|| Value::String(time.to_string()));
    }
    let event = Event { external_id, name, properties, hop };
    let started = api.composer.event(&event, (&body, key), api.clock.wall()).await?;
    Ok(json(StatusCode::ACCEPTED, &started))
}

fn vet(input: &Input) -> Result<(), Refusal> {
    vet_external_id(&input.external_id)
        .map_err(|detail| Refusal::invalid("/external_id", detail))?;
    let length = input.name.chars().count();
    if !(1..=NAME_MAX).contains(&length) || input.name.chars().any(char::is_control) {
        let detail = format!("has to have 1 to {NAME_MAX} characters, none of them a control one");
        return Err(Refusal::invalid("/name", detail));
    }
    Ok(())
}
