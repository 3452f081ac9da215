//! Recipients: their profiles, and all that is kept of one.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::admission::{Refusal, vet_external_id};
use crate::api::Api;
use crate::api::caller::Asking;
use crate::api::problem::Problem;
use crate::api::request::{Params, json, parse_json, read_body, vet_json_type};
use crate::api::view::Row;
use crate::compose::AttributeWrite;
use crate::model::StoredState;
use crate::store::DeliveryRecord;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `attributes`")]
struct Input {
    attributes: Map<String, Value>,
}

/// Recipients in order of their ids.
pub(super) async fn list(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let (limit, after) = (params.take_limit()?, params.take("after")?);
    params.finish("limit, after")?;
    let (data, next) = api.composer.recipients(after, limit).await?;
    Ok(json(StatusCode::OK, &json!({"data": data, "next": next})))
}

/// One recipient's profile.
pub(super) async fn show(api: Asking, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    Ok(json(StatusCode::OK, &api.composer.recipient(&id).await?))
}

/// Replaces a recipient's attributes.
pub(super) async fn put(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let input = input(&request, payload, &api, &id).await?;
    Ok(json(StatusCode::OK, &api.composer.put_recipient(&id, input.attributes).await?))
}

/// Changes some of a recipient's attributes.
pub(super) async fn patch(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let input = input(&request, payload, &api, &id).await?;
    let external_id = id.into_inner();
    let write = AttributeWrite {
        external_id: external_id.clone(),
        attributes: input.attributes,
        existing_only: false,
    };
    let answer = api.composer.write_attributes(&[write]).await?.remove(0);
    answer.map_err(|faults| under_attributes(Refusal::Faults(faults)))?;
    Ok(json(StatusCode::OK, &api.composer.recipient(&external_id).await?))
}

async fn input(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
    id: &str,
) -> Result<Input, Problem> {
    vet_json_type(request)?;
    vet_external_id(id).map_err(|detail| Problem::parameter("external_id", detail))?;
    parse_json(&read_body(request, payload, api.settings.server.max_request).await?)
}

fn under_attributes(refusal: Refusal) -> Problem {
    match refusal {
        Refusal::Faults(mut faults) => {
            for fault in &mut faults {
                fault.pointer.insert_str(0, "/attributes");
            }
            Refusal::Faults(faults).into()
        }
        other => other.into(),
    }
}

/// Forgets a recipient.
pub(super) async fn forget(api: Asking, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    vet_external_id(&id).map_err(|detail| Problem::parameter("external_id", detail))?;
    let cancelled = api.composer.forget_recipient(&id).await?;
    let answer = json!({"external_id": &*id, "forgotten": true, "deliveries_cancelled": cancelled});
    Ok(json(StatusCode::OK, &answer))
}

/// All that is kept of a recipient.
pub(super) async fn export(api: Asking, id: web::Path<String>) -> Result<HttpResponse, Problem> {
    let export = api.composer.export_recipient(&id).await?;
    let deliveries: Vec<Value> = export.deliveries.iter().map(summary).collect();
    let answer = json!({
        "profile": export.profile,
        "contacts": export.contacts,
        "journeys": export.journeys,
        "deliveries": deliveries,
        "activity": export.activity,
    });
    Ok(json(StatusCode::OK, &answer))
}

fn summary(record: &DeliveryRecord) -> Value {
    let state = match record.state {
        StoredState::Ended(end) => end.as_str(),
        StoredState::Pending | StoredState::Parked => "waiting",
    };
    serde_json::to_value(Row::of(record, state)).unwrap_or_default()
}
