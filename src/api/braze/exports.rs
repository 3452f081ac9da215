//! How campaigns and canvases look in the exporting routes. They are read from their documents, so
//! that this shows what is stored and nothing else; what this server does not keep (opens, clicks,
//! conversions, teams) is left out or empty.

use std::collections::HashMap;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use crate::api::view::mask_headers;
use crate::model::Timestamp;

/// A campaign or canvas.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shown<'a> {
    pub(super) id: &'a str,
    pub(super) name: &'a str,
    /// `draft`, `live`, `paused` or `archived`.
    pub(super) status: &'a str,
    pub(super) tags: &'a [String],
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) document: &'a Value,
}

/// The webhooks of templates that a document names, by id and version.
pub(super) type Templates = HashMap<(String, u64), Value>;

/// A row of `/campaigns/list`.
pub(super) fn campaign_row(shown: &Shown<'_>) -> Value {
    json!({
        "id": shown.id,
        "last_edited": shown.updated,
        "name": shown.name,
        "is_api_campaign": shown.document["trigger"]["type"] == "api",
        "tags": shown.tags,
    })
}

/// A row of `/canvas/list`.
pub(super) fn canvas_row(shown: &Shown<'_>) -> Value {
    json!({
        "id": shown.id,
        "last_edited": shown.updated,
        "name": shown.name,
        "tags": shown.tags,
    })
}

/// The answer of `/campaigns/details`; `sent` are the hours of the first and the last send.
pub(super) fn campaign_details(
    shown: &Shown<'_>,
    templates: &Templates,
    sent: Option<(Timestamp, Timestamp)>,
) -> Value {
    let mut messages = Map::new();
    for (variant, webhooks) in contents(shown.document) {
        for (index, webhook) in webhooks.iter().enumerate() {
            let id = message_id(shown.id, variant, index);
            let mut message = message(webhook, templates);
            message["name"] = name_of(variant).into();
            messages.insert(id, message);
        }
    }
    if shown.document.get("control_group").is_some_and(|weight| !weight.is_null()) {
        let control = json!({"channel": "webhook", "type": "control", "name": "Control"});
        messages.insert(message_id(shown.id, "\u{1}control", 0), control);
    }
    let mut details = head(shown);
    details.insert("channels".into(), json!(["webhook"]));
    details.insert("first_sent".into(), json!(sent.map(|(first, _)| first)));
    details.insert("last_sent".into(), json!(sent.map(|(_, last)| last)));
    details.insert("messages".into(), Value::Object(messages));
    details.insert("conversion_behaviors".into(), json!([]));
    Value::Object(details)
}

/// The answer of `/canvas/details`; `entered` are the hours of the first and the last entry.
pub(super) fn canvas_details(
    shown: &Shown<'_>,
    templates: &Templates,
    entered: Option<(Timestamp, Timestamp)>,
) -> Value {
    let steps = list(&shown.document["steps"]);
    let shown_steps: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(place, step)| canvas_step(shown.id, steps, place, step, templates))
        .collect();
    let first: Vec<&Value> = steps.first().map(|step| &step["id"]).into_iter().collect();
    let mut details = head(shown);
    let sends = steps.iter().any(|step| step["type"] == "webhook");
    details.insert("channels".into(), if sends { json!(["webhook"]) } else { json!([]) });
    details.insert("first_entry".into(), json!(entered.map(|(first, _)| first)));
    details.insert("last_entry".into(), json!(entered.map(|(_, last)| last)));
    let id = message_id(shown.id, "", 0);
    let variant = json!({"name": name_of(""), "id": id, "first_step_ids": first});
    details.insert("variants".into(), json!([variant]));
    details.insert("steps".into(), Value::Array(shown_steps));
    Value::Object(details)
}

/// What both of them begin with.
fn head(shown: &Shown<'_>) -> Map<String, Value> {
    let schedule_type = match shown.document["trigger"]["type"].as_str() {
        Some("event") => "action_based",
        Some("schedule") => "time_based",
        _ => "api_triggered",
    };
    let fields = json!({
        "message": "success",
        "created_at": shown.created,
        "updated_at": shown.updated,
        "name": shown.name,
        "description": shown.document["description"].as_str().unwrap_or(""),
        "archived": shown.status == "archived",
        "draft": shown.status == "draft",
        "enabled": shown.status == "live",
        "has_post_launch_draft": false,
        "schedule_type": schedule_type,
        "tags": shown.tags,
        "teams": [],
    });
    match fields {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn canvas_step(
    canvas: &str,
    steps: &[Value],
    place: usize,
    step: &Value,
    templates: &Templates,
) -> Value {
    let id = step["id"].as_str().unwrap_or("");
    let webhooks = list(&step["webhooks"]).iter().enumerate();
    let messages: Map<String, Value> = webhooks
        .map(|(index, webhook)| (message_id(canvas, id, index), message(webhook, templates)))
        .collect();
    let paths = paths(steps, place, step);
    let next: Vec<&Value> = paths.iter().map(|path| &path["next_step_id"]).collect();
    json!({
        "name": id,
        "type": step["type"],
        "id": id,
        "next_step_ids": next,
        "next_paths": paths,
        "channels": if messages.is_empty() { json!([]) } else { json!(["webhook"]) },
        "messages": messages,
    })
}

/// The ways out of a step that lead to another one.
fn paths(steps: &[Value], place: usize, step: &Value) -> Vec<Value> {
    let following = || steps.get(place + 1).map_or(Value::Null, |step| step["id"].clone());
    let next =
        || step.get("next").filter(|next| !next.is_null()).cloned().unwrap_or_else(following);
    let or_next =
        |field: &str| step.get(field).filter(|next| !next.is_null()).cloned().unwrap_or_else(next);
    let mut ways: Vec<(Value, Value)> = Vec::new();
    match step["type"].as_str() {
        Some("exit") => {}
        Some("branch") => {
            for (index, branch) in list(&step["branches"]).iter().enumerate() {
                ways.push((json!(format!("Group {}", index + 1)), branch["next"].clone()));
            }
            ways.push((json!("Everyone Else"), or_next("else")));
        }
        Some("wait_for_event") => {
            ways.push((json!("Group 1"), or_next("on_event")));
            ways.push((json!("Everyone Else"), or_next("on_timeout")));
        }
        _ => ways.push((Value::Null, next())),
    }
    let led = ways.into_iter().filter(|(_, next)| !next.is_null());
    led.map(|(name, next)| json!({"name": name, "next_step_id": next})).collect()
}

/// A message as it is shown: a webhook, or that of the template that it is.
fn message(webhook: &Value, templates: &Templates) -> Value {
    let template = webhook["template"].as_str();
    let key = template.map(|id| (id.to_owned(), webhook["version"].as_u64().unwrap_or(0)));
    let webhook = key.and_then(|key| templates.get(&key)).unwrap_or(webhook);
    let body = match &webhook["body"] {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is_text = webhook["body_type"] == "text" || webhook["body"].is_string();
    let headers = webhook.get("headers").filter(|headers| headers.is_object());
    let mut headers = headers.cloned().unwrap_or_else(|| json!({}));
    mask_headers(&mut headers);
    json!({
        "channel": "webhook",
        "url": webhook["url"],
        "body": body,
        "type": if is_text { "raw_text" } else { "json" },
        "headers": headers,
        "method": webhook["method"].as_str().unwrap_or("POST"),
    })
}

/// The variants of a campaign by name, with the webhooks of each; one without a name when it has
/// none.
pub(super) fn contents(document: &Value) -> Vec<(&str, &[Value])> {
    match document.get("variants").and_then(Value::as_array) {
        Some(variants) => variants
            .iter()
            .map(|variant| (variant["name"].as_str().unwrap_or(""), list(&variant["webhooks"])))
            .collect(),
        None => vec![("", list(&document["webhooks"]))],
    }
}

/// The ids of all messages of a campaign, with the variant of each.
pub(super) fn variations(campaign: &str, document: &Value) -> Vec<(String, String)> {
    let contents = contents(document).into_iter();
    let ids = contents.flat_map(|(variant, webhooks)| {
        let ids = (0..webhooks.len()).map(move |index| message_id(campaign, variant, index));
        ids.map(move |id| (id, variant.to_owned()))
    });
    ids.collect()
}

/// The templates that a document names.
pub(super) fn named_templates(document: &Value) -> Vec<(String, u64)> {
    let contents = contents(document).into_iter().map(|(_, webhooks)| webhooks);
    let steps = list(&document["steps"]).iter().map(|step| list(&step["webhooks"]));
    let webhooks = contents.chain(steps).flatten();
    let named = webhooks.filter_map(|webhook| {
        Some((webhook["template"].as_str()?.to_owned(), webhook["version"].as_u64()?))
    });
    named.collect()
}

/// The id of a message: the same for the same place in the same campaign or canvas, since the
/// document gives its messages none.
pub(super) fn message_id(subject: &str, part: &str, index: usize) -> String {
    let digest = Sha256::digest(format!("{subject}\n{part}\n{index}"));
    let bytes: [u8; 16] = std::array::from_fn(|place| digest[place]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid().to_string()
}

/// The name of a variant as it is shown.
pub(super) fn name_of(variant: &str) -> &str {
    if variant.is_empty() { "Variant 1" } else { variant }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
