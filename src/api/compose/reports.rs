//! What became of a campaign or canvas, and what a campaign would come to.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::admission::vet_external_id;
use crate::api::caller::Asking;
use crate::api::problem::Problem;
use crate::api::request::{Params, json, parse_json, read_body};
use crate::compose::{Kind, SendRecipient};

/// Recipients that one dry run may name.
const RECIPIENTS_MAX: usize = 10_000;

/// The counts of a campaign or canvas.
pub(super) async fn report(
    request: HttpRequest,
    api: Asking,
    (kind, id): (web::Data<Kind>, web::Path<String>),
) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let (from, until) = (params.take_time("from")?, params.take_time("until")?);
    params.finish("from, until")?;
    Ok(json(StatusCode::OK, &api.composer.report(**kind, &id, (from, until)).await?))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct DryRunInput {
    properties: Map<String, Value>,
    recipients: Option<Vec<RecipientInput>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a recipient: an object with `external_id`")]
struct RecipientInput {
    external_id: String,
    #[serde(default)]
    properties: Map<String, Value>,
}

/// Counts what firing a campaign would come to.
pub(super) async fn dry_run(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let body = read_body(&request, payload, api.settings.server.max_request).await?;
    let input: DryRunInput = match body.is_empty() {
        true => DryRunInput::default(),
        false => parse_json(&body)?,
    };
    let recipients = input.recipients.map(recipients).transpose()?;
    let found = api.composer.dry_run(&id, input.properties, recipients).await?;
    Ok(json(StatusCode::OK, &found))
}

fn recipients(given: Vec<RecipientInput>) -> Result<Vec<SendRecipient>, Problem> {
    if !(1..=RECIPIENTS_MAX).contains(&given.len()) {
        let detail = format!("has {} items; 1 to {RECIPIENTS_MAX} are taken", given.len());
        return Err(Problem::field("/recipients", detail));
    }
    let vetted = given.into_iter().enumerate().map(|(index, recipient)| {
        let RecipientInput { external_id, properties } = recipient;
        vet_external_id(&external_id)
            .map_err(|detail| Problem::field(format!("/recipients/{index}/external_id"), detail))?;
        Ok(SendRecipient { external_id, properties })
    });
    vetted.collect()
}
