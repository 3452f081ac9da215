//! What a campaign would come to.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::admission::vet_external_id;
use crate::api::caller::Asking;
use crate::api::problem::Problem;
use crate::api::request::{json, parse_json, read_body};
use crate::compose::SendRecipient;

/// Recipients that one dry run may name.
const RECIPIENTS_MAX: usize = 10_000;

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
