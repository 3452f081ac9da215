//! Previews and test sends.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::api::caller::Asking;
use crate::api::problem::Problem;
use crate::api::request::{json, parse_json, read_body, vet_json_type};
use crate::api::triggers::hop;
use crate::api::view::{AttemptView, WebhookView};
use crate::compose::{Kind, NotRendered, Previewed, Sample, SampleRecipient};

/// A webhook of a preview.
#[derive(Serialize)]
struct PreviewView<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    variant: Option<&'a str>,
    #[serde(flatten)]
    outcome: Outcome<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome<'a> {
    Webhook { webhook: WebhookView<'a> },
    Not(&'a NotRendered),
}

fn view(previewed: &Previewed) -> PreviewView<'_> {
    let outcome = match &previewed.outcome {
        Ok(webhook) => Outcome::Webhook { webhook: WebhookView::of(webhook) },
        Err(not) => Outcome::Not(not),
    };
    PreviewView { variant: previewed.variant.as_deref(), outcome }
}

/// Renders a template or campaign with sample data.
pub(super) async fn preview(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
    (kind, id): (web::Data<Kind>, web::Path<String>),
) -> Result<HttpResponse, Problem> {
    let body = read_body(&request, payload, api.settings.server.max_request).await?;
    let sample: Sample = match body.is_empty() {
        true => Sample::default(),
        false => parse_json(&body)?,
    };
    let previewed = api.composer.preview(**kind, &id, &sample).await?;
    let webhooks: Vec<PreviewView<'_>> = previewed.iter().map(view).collect();
    Ok(json(StatusCode::OK, &json!({"webhooks": webhooks})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `webhook` or `template`")]
struct TestInput {
    webhook: Option<Box<RawValue>>,
    template: Option<String>,
    version: Option<u32>,
    #[serde(default)]
    properties: Map<String, Value>,
    #[serde(default)]
    event_properties: Map<String, Value>,
    #[serde(default)]
    entry_properties: Map<String, Value>,
    recipient: Option<SampleRecipient>,
    #[serde(default)]
    dry_run: bool,
}

/// Renders one webhook, sends it now and answers with the receiver's whole answer.
pub(super) async fn test(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    vet_json_type(&request)?;
    let hop = hop(request.headers())?;
    let body = read_body(&request, payload, api.settings.server.max_request).await?;
    let input: TestInput = parse_json(&body)?;
    let sample = Sample {
        properties: input.properties,
        event_properties: input.event_properties,
        entry_properties: input.entry_properties,
        recipient: input.recipient,
    };
    api.composer.vet_hop(hop).await?;
    let (previewed, template) = match (&input.webhook, &input.template) {
        (Some(_), Some(_)) => {
            let detail = "give either `webhook` or `template`, not both";
            return Err(Problem::field("/template", detail));
        }
        (None, None) => {
            let detail =
                "missing; say what to send: {\"url\": \"https://…\"}, or name a `template`";
            return Err(Problem::field("/webhook", detail));
        }
        (Some(_), None) if input.version.is_some() => {
            return Err(Problem::field("/version", "has a meaning only with `template`"));
        }
        (Some(webhook), None) => (api.composer.preview_webhook(webhook, &sample).await?, None),
        (None, Some(name)) => {
            let entry = api.composer.entry(Kind::Template, name)?;
            let version = input.version.unwrap_or(entry.head.version);
            let document = api.composer.version(Kind::Template, name, version).await?;
            let webhook = webhook_of(&document)?;
            let template = Some((entry.head.id.clone(), version));
            (api.composer.preview_webhook(&webhook, &sample).await?, template)
        }
    };
    let shown = view(&previewed);
    let webhook = match &previewed.outcome {
        Ok(webhook) if !input.dry_run => webhook.clone(),
        _ => return Ok(json(StatusCode::OK, &json!({"dry_run": input.dry_run, "request": shown}))),
    };
    let tested = api.composer.test_send(webhook, template, hop).await?;
    let state = tested.record.as_ref().map(|record| match record.state {
        crate::model::StoredState::Ended(end) => end.as_str(),
        _ => "waiting",
    });
    let answer = json!({
        "delivery": tested.delivery,
        "state": state,
        "request": shown,
        "attempt": tested.attempt.as_ref().map(AttemptView::of),
    });
    Ok(json(StatusCode::OK, &answer))
}

#[derive(Deserialize)]
struct TemplateWebhook {
    webhook: Box<RawValue>,
}

fn webhook_of(document: &RawValue) -> Result<Box<RawValue>, Problem> {
    serde_json::from_str::<TemplateWebhook>(document.get())
        .map(|template| template.webhook)
        .map_err(|_| Problem::unavailable())
}
