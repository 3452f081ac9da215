//! `POST /messages/send`, `/campaigns/trigger/send`, `/canvas/trigger/send`, `/sends/id/create`.
//!
//! A recipient gets nothing without a profile unless `send_to_existing_only` is false, as that API
//! has it; here the answer's `errors` name each of them.

use std::collections::HashSet;

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Value, json};

use super::error::BrazeError;
use super::sends::{self, Kind, MessageSend, TriggerSend};
use super::targets::{Recipient, Target};
use super::vetting::{notice, vet_message, vet_trigger};
use super::{Asked, created, find, refused};
use crate::admission::Admitted;
use crate::api::caller::Asking;
use crate::compose::{AttributeWrite, Entry, Send, SendRecipient, SendTo, SendWhat};
use crate::store::RecordKind;

/// Reasons for which somebody got nothing that the caller has to mend; the others are as composed.
const FAULTS: [&str; 2] = ["render_failed", "refused"];

/// `POST /campaigns/trigger/send`.
pub(super) async fn campaign(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    trigger(&request, payload, &api, Kind::Campaign).await
}

/// `POST /canvas/trigger/send`.
pub(super) async fn canvas(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    trigger(&request, payload, &api, Kind::Canvas).await
}

async fn trigger(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Asking,
    kind: Kind,
) -> Result<HttpResponse, BrazeError> {
    let asked = Asked::read(request, payload, api).await?;
    let mut wanted = sends::trigger_send(&asked.body, kind, asked.now)?;
    let entry = find(api, kind, &wanted.id)?;
    vet_trigger(&entry, kind)?;
    if let Some(notice) = notice(&entry, kind) {
        let dispatch_id = api.admission.new_trigger(asked.now);
        let answer = json!({"message": "success", "dispatch_id": dispatch_id, "notice": notice});
        return Ok(created(&answer));
    }
    let errors = existing(api, &mut wanted.target, "/recipients").await?;
    let send = of_trigger(wanted, kind, &entry, asked.hop);
    dispatch(api, &asked, &send, errors).await
}

/// `POST /messages/send`.
pub(super) async fn message(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    let asked = Asked::read(&request, payload, &api).await?;
    let mut wanted = sends::message_send(&asked.body, asked.now)?;
    vet_message(&api, &wanted)?;
    let errors = existing(&api, &mut wanted.target, "/external_user_ids").await?;
    dispatch(&api, &asked, &of_message(wanted, asked.hop), errors).await
}

/// `POST /sends/id/create`. The id needs no record: it is a word that deliveries are found by.
pub(super) async fn create_id(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    let asked = Asked::read(&request, payload, &api).await?;
    let (campaign, send_id) = sends::send_id(&asked.body)?;
    find(&api, Kind::Campaign, &campaign)?;
    let send_id = send_id.unwrap_or_else(|| api.admission.new_trigger(asked.now).to_string());
    Ok(created(&json!({"message": "success", "send_id": send_id})))
}

/// Sends, and answers with the id of the trigger that it became.
async fn dispatch(
    api: &Asking,
    asked: &Asked<'_>,
    send: &Send,
    mut errors: Vec<Value>,
) -> Result<HttpResponse, BrazeError> {
    // Without a recipient it would be sent to nobody in particular.
    let is_empty = matches!(&send.to, SendTo::Recipients(recipients) if recipients.is_empty());
    let dispatch_id = if is_empty {
        api.admission.new_trigger(asked.now)
    } else {
        let sent = api.composer.send(send, &asked.body, asked.envelope(api), asked.now).await;
        let admitted = sent.map_err(refused)?;
        errors.extend(faults(&admitted));
        admitted.trigger
    };
    let mut answer = json!({"dispatch_id": dispatch_id, "message": "success"});
    if !errors.is_empty() {
        answer["errors"] = Value::Array(errors);
    }
    Ok(created(&answer))
}

/// Those who got nothing by a fault, as minor errors.
fn faults(admitted: &Admitted) -> Vec<Value> {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(default)]
        skipped: Vec<Left>,
    }
    #[derive(Deserialize)]
    struct Left {
        recipient: Option<String>,
        reason: String,
        detail: String,
    }
    let answer: Option<Answer> = serde_json::from_slice(&admitted.answer).ok();
    let skipped = answer.into_iter().flat_map(|answer| answer.skipped);
    let skipped = skipped.filter(|left| FAULTS.contains(&left.reason.as_str()));
    skipped.map(|left| json!({"type": left.detail, "external_user_id": left.recipient})).collect()
}

/// Writes the attributes that came along, and takes out those who get nothing for want of a
/// profile; each of them is named in the answer.
pub(super) async fn existing(
    api: &Asking,
    target: &mut Target,
    pointer: &str,
) -> Result<Vec<Value>, BrazeError> {
    let Target::Recipients(recipients) = target else { return Ok(Vec::new()) };
    let mut errors = write_attributes(api, recipients, pointer).await?;
    let ids: Vec<String> = recipients.iter().map(|one| one.external_id.clone()).collect();
    let known = known(api, ids).await?;
    let mut index = 0;
    recipients.retain(|recipient| {
        let at = format!("{pointer}/{index}");
        index += 1;
        if errors.iter().any(|error| error["field"] == at.as_str()) {
            return false;
        }
        let stays = !recipient.existing_only || known.contains(&recipient.external_id);
        if !stays {
            let id = &recipient.external_id;
            let detail = format!("there is no recipient {id:?}; write one with /users/track");
            errors.push(json!({"type": detail, "field": at, "external_user_id": id}));
        }
        stays
    });
    Ok(errors)
}

/// Writes the attributes that came along; answers what could not be written.
pub(super) async fn write_attributes(
    api: &Asking,
    recipients: &[Recipient],
    pointer: &str,
) -> Result<Vec<Value>, BrazeError> {
    let with_some = recipients.iter().enumerate();
    let with_some: Vec<_> =
        with_some.filter(|(_, one)| !one.attributes.is_empty() || !one.existing_only).collect();
    if with_some.is_empty() {
        return Ok(Vec::new());
    }
    let writes: Vec<AttributeWrite> = with_some.iter().map(|(_, one)| write_of(one)).collect();
    let answers = api.composer.write_attributes(&writes).await.map_err(refused)?;
    let mut errors = Vec::new();
    for ((index, one), answer) in with_some.iter().zip(answers) {
        let (at, id) = (format!("{pointer}/{index}"), &one.external_id);
        for fault in answer.err().into_iter().flatten() {
            let detail = format!("{at}/attributes{} {}", fault.pointer, fault.detail);
            errors.push(json!({"type": detail, "field": at, "external_user_id": id}));
        }
    }
    Ok(errors)
}

fn write_of(recipient: &Recipient) -> AttributeWrite {
    AttributeWrite {
        external_id: recipient.external_id.clone(),
        attributes: recipient.attributes.clone(),
        existing_only: recipient.existing_only,
    }
}

/// Those of these who have a profile.
pub(super) async fn known(api: &Asking, ids: Vec<String>) -> Result<HashSet<String>, BrazeError> {
    let records = api.store.records(api.caller.workspace, RecordKind::Recipient, ids).await;
    let records = records.map_err(|error| refused(error.into()))?;
    Ok(records.into_iter().flatten().map(|record| record.key).collect())
}

/// A send of a campaign or canvas for the composer.
pub(super) fn of_trigger(wanted: TriggerSend, kind: Kind, entry: &Entry, hop: u8) -> Send {
    let id = entry.head.id.clone();
    Send {
        what: match kind {
            Kind::Campaign => SendWhat::Campaign(id),
            Kind::Canvas => SendWhat::Canvas(id),
        },
        to: send_to(wanted.target),
        properties: wanted.properties,
        audience: wanted.audience,
        send_id: wanted.send_id,
        uncapped: false,
        hop,
    }
}

/// A send of a message for the composer.
pub(super) fn of_message(wanted: MessageSend, hop: u8) -> Send {
    Send {
        what: SendWhat::Webhooks {
            webhooks: vec![raw(&wanted.message.webhook)],
            campaign: wanted.campaign,
        },
        to: send_to(wanted.target),
        properties: serde_json::Map::new(),
        audience: wanted.audience,
        send_id: wanted.send_id,
        uncapped: wanted.is_uncapped,
        hop,
    }
}

/// A webhook document as the composer takes it.
pub(super) fn raw(webhook: &Value) -> Box<RawValue> {
    to_raw_value(webhook).expect("a value is JSON")
}

fn send_to(target: Target) -> SendTo {
    match target {
        Target::Everyone => SendTo::Everyone,
        Target::Recipients(recipients) => {
            let recipients =
                recipients.into_iter().map(|Recipient { external_id, properties, .. }| {
                    SendRecipient { external_id, properties }
                });
            SendTo::Recipients(recipients.collect())
        }
    }
}
