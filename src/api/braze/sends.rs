//! What a request to the sending and scheduling routes says. Nothing is sent here, and nothing is
//! looked up: a campaign's id may yet name none.

use serde_json::{Map, Value};

use super::error::{BAD_REQUEST, BrazeError, NO_MESSAGE, NO_RECIPIENTS};
use super::fields::Fields;
use super::message::{self, Message};
use super::targets::{self, Target};
use super::when;
use crate::compose;
use crate::model::Timestamp;

/// Characters of a send id, as documented.
const SEND_ID_MAX: usize = 64;

const NO_LOCAL_TIME: &str = "is out of scope: a message goes out at one moment; set quiet hours in \
                             the campaign for a recipient's own time zone";
const NO_OPTIMAL_TIME: &str = "is out of scope: nothing is known here of when someone is active";
const NO_ATTACHMENTS: &str = "is out of scope: email is not sent here";

/// What is triggered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Campaign,
    Canvas,
}

impl Kind {
    /// The field that names it.
    pub(super) fn id_field(self) -> &'static str {
        match self {
            Kind::Campaign => "campaign_id",
            Kind::Canvas => "canvas_id",
        }
    }

    /// The same in the composer's words.
    pub(super) fn composed(self) -> compose::Kind {
        match self {
            Kind::Campaign => compose::Kind::Campaign,
            Kind::Canvas => compose::Kind::Canvas,
        }
    }

    /// The fields that may hold its properties: the present name first, then what it was called.
    fn properties_fields(self) -> &'static [&'static str] {
        match self {
            Kind::Campaign => &["trigger_properties"],
            Kind::Canvas => &["context", "canvas_entry_properties"],
        }
    }
}

/// A send of a campaign or canvas.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct TriggerSend {
    pub(super) id: String,
    pub(super) send_id: Option<String>,
    /// For all recipients.
    pub(super) properties: Map<String, Value>,
    /// A filter beside the one that the campaign or canvas has.
    pub(super) audience: Option<Value>,
    pub(super) target: Target,
    /// When, where it is not at once.
    pub(super) at: Option<Timestamp>,
}

/// A send of a message that stands in the request.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct MessageSend {
    pub(super) message: Message,
    /// The campaign that it is counted for.
    pub(super) campaign: Option<String>,
    pub(super) send_id: Option<String>,
    pub(super) audience: Option<Value>,
    pub(super) target: Target,
    /// Whether the campaign's frequency cap is not asked.
    pub(super) is_uncapped: bool,
    pub(super) at: Option<Timestamp>,
}

/// A change of something scheduled.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ScheduleChange {
    pub(super) schedule_id: String,
    /// The campaign or canvas that it is a send of.
    pub(super) id: Option<String>,
    pub(super) at: Option<Timestamp>,
    pub(super) message: Option<Message>,
}

/// Reads a request to `/campaigns/trigger/send` or `/canvas/trigger/send`.
pub(super) fn trigger_send(
    body: &[u8],
    kind: Kind,
    now: Timestamp,
) -> Result<TriggerSend, BrazeError> {
    trigger(Fields::of_body(body)?, kind, None, now)
}

/// Reads a request to `/campaigns/trigger/schedule/create` or that of a canvas.
pub(super) fn trigger_schedule(
    body: &[u8],
    kind: Kind,
    now: Timestamp,
) -> Result<TriggerSend, BrazeError> {
    let mut fields = Fields::of_body(body)?;
    vet_key(&mut fields)?;
    let at = required_schedule(&mut fields, now)?;
    trigger(fields, kind, Some(at), now)
}

fn trigger(
    mut fields: Fields,
    kind: Kind,
    at: Option<Timestamp>,
    now: Timestamp,
) -> Result<TriggerSend, BrazeError> {
    vet_key(&mut fields)?;
    fields.refuse(&[("attachments", NO_ATTACHMENTS)])?;
    let id = fields.required(kind.id_field())?;
    let send_id = if kind == Kind::Campaign { take_send_id(&mut fields)? } else { None };
    let properties = targets::take_properties(&mut fields, kind.properties_fields())?;
    let target = targets::take(&mut fields, kind.properties_fields())?;
    let audience = targets::take_audience(&mut fields, at.unwrap_or(now))?;
    let known = match kind {
        Kind::Campaign => {
            "campaign_id, send_id, trigger_properties, broadcast, audience, recipients, schedule"
        }
        Kind::Canvas => {
            "canvas_id, context, canvas_entry_properties, broadcast, audience, recipients, schedule"
        }
    };
    fields.finish(known)?;
    Ok(TriggerSend { id, send_id, properties, audience, target, at })
}

/// Reads a request to `/messages/send`.
pub(super) fn message_send(body: &[u8], now: Timestamp) -> Result<MessageSend, BrazeError> {
    message(Fields::of_body(body)?, "override_frequency_capping", None, now)
}

/// Reads a request to `/messages/schedule/create`.
pub(super) fn message_schedule(body: &[u8], now: Timestamp) -> Result<MessageSend, BrazeError> {
    let mut fields = Fields::of_body(body)?;
    vet_key(&mut fields)?;
    let at = required_schedule(&mut fields, now)?;
    message(fields, "override_messaging_limits", Some(at), now)
}

fn message(
    mut fields: Fields,
    uncapped: &str,
    at: Option<Timestamp>,
    now: Timestamp,
) -> Result<MessageSend, BrazeError> {
    vet_key(&mut fields)?;
    let target = targets::take_ids(&mut fields)?;
    let audience = targets::take_audience(&mut fields, at.unwrap_or(now))?;
    let campaign = fields.text("campaign_id")?;
    let send_id = take_send_id(&mut fields)?;
    let is_uncapped = fields.flag(uncapped)?.unwrap_or(false);
    vet_subscription(&mut fields)?;
    let message = message::take(&mut fields)?;
    let known = format!(
        "broadcast, external_user_ids, audience, campaign_id, send_id, {uncapped}, \
         recipient_subscription_state, messages, schedule"
    );
    fields.finish(&known)?;
    let message =
        message.ok_or_else(|| BrazeError::field(NO_MESSAGE, "/messages", "is missing"))?;
    if target == Target::Everyone && audience.is_none() {
        let detail = "is missing: a broadcast without a campaign's audience needs its own";
        return Err(BrazeError::field(NO_RECIPIENTS, "/audience", detail));
    }
    Ok(MessageSend { message, campaign, send_id, audience, target, is_uncapped, at })
}

/// Reads a request to `/messages/schedule/update`.
pub(super) fn message_update(body: &[u8], now: Timestamp) -> Result<ScheduleChange, BrazeError> {
    let mut fields = Fields::of_body(body)?;
    vet_key(&mut fields)?;
    let schedule_id = fields.required("schedule_id")?;
    let at = take_schedule(&mut fields, now)?;
    let message = message::take(&mut fields)?;
    fields.finish("schedule_id, schedule, messages")?;
    if at.is_none() && message.is_none() {
        let detail = "the request changes nothing: give `schedule`, `messages` or both";
        return Err(BrazeError::request(BAD_REQUEST, detail));
    }
    Ok(ScheduleChange { schedule_id, id: None, at, message })
}

/// Reads a request to `/campaigns/trigger/schedule/update` or that of a canvas.
pub(super) fn trigger_update(
    body: &[u8],
    kind: Kind,
    now: Timestamp,
) -> Result<ScheduleChange, BrazeError> {
    let mut fields = Fields::of_body(body)?;
    vet_key(&mut fields)?;
    let id = Some(fields.required(kind.id_field())?);
    let schedule_id = fields.required("schedule_id")?;
    let at = Some(required_schedule(&mut fields, now)?);
    fields.finish(&format!("{}, schedule_id, schedule", kind.id_field()))?;
    Ok(ScheduleChange { schedule_id, id, at, message: None })
}

/// Reads a request to one of the routes that delete something scheduled; `kind` is `None` for that
/// of messages.
pub(super) fn deletion(body: &[u8], kind: Option<Kind>) -> Result<ScheduleChange, BrazeError> {
    let mut fields = Fields::of_body(body)?;
    vet_key(&mut fields)?;
    let id = kind.map(|kind| fields.required(kind.id_field())).transpose()?;
    let schedule_id = fields.required("schedule_id")?;
    let known = match kind {
        Some(kind) => format!("{}, schedule_id", kind.id_field()),
        None => "schedule_id".to_owned(),
    };
    fields.finish(&known)?;
    Ok(ScheduleChange { schedule_id, id, at: None, message: None })
}

/// Reads a request to `/sends/id/create`: the campaign, and the id where the caller made it.
pub(super) fn send_id(body: &[u8]) -> Result<(String, Option<String>), BrazeError> {
    let mut fields = Fields::of_body(body)?;
    vet_key(&mut fields)?;
    let campaign = fields.required("campaign_id")?;
    let send_id = take_send_id(&mut fields)?;
    fields.finish("campaign_id, send_id")?;
    Ok((campaign, send_id))
}

/// Refuses a key in the body, where it would end up in logs.
pub(super) fn vet_key(fields: &mut Fields) -> Result<(), BrazeError> {
    let detail = "is not taken from the body; send it as `Authorization: Bearer …`";
    fields.refuse(&[("api_key", detail), ("app_group_id", detail)])
}

fn take_send_id(fields: &mut Fields) -> Result<Option<String>, BrazeError> {
    let send_id = fields.text("send_id")?;
    match send_id {
        Some(id) if id.len() > SEND_ID_MAX || !id.is_ascii() => {
            let detail = format!("is not at most {SEND_ID_MAX} ASCII characters");
            Err(BrazeError::field(BAD_REQUEST, &fields.at("send_id"), detail))
        }
        other => Ok(other),
    }
}

/// Everyone here counts as subscribed; who has opted in is not known.
fn vet_subscription(fields: &mut Fields) -> Result<(), BrazeError> {
    let at = fields.at("recipient_subscription_state");
    let detail = match fields.text("recipient_subscription_state")?.as_deref() {
        None | Some("all" | "subscribed") => return Ok(()),
        Some("opted_in") => {
            "is \"opted_in\", which is out of scope: no subscriptions are kept here; filter by an \
             attribute with `audience`"
                .to_owned()
        }
        Some(other) => format!("is {other:?}, not all or subscribed"),
    };
    Err(BrazeError::field(BAD_REQUEST, &at, detail))
}

fn required_schedule(fields: &mut Fields, now: Timestamp) -> Result<Timestamp, BrazeError> {
    let at = fields.at("schedule");
    let time = take_schedule(fields, now)?;
    time.ok_or_else(|| BrazeError::field(BAD_REQUEST, &at, "is missing"))
}

/// Takes `schedule`: one moment, which has not passed.
fn take_schedule(fields: &mut Fields, now: Timestamp) -> Result<Option<Timestamp>, BrazeError> {
    let Some(mut schedule) = fields.fields("schedule")? else { return Ok(None) };
    for (name, reason) in [("in_local_time", NO_LOCAL_TIME), ("at_optimal_time", NO_OPTIMAL_TIME)] {
        if schedule.flag(name)?.unwrap_or(false) {
            return Err(BrazeError::field(BAD_REQUEST, &schedule.at(name), reason));
        }
    }
    let at = schedule.at("time");
    let text = schedule.required("time")?;
    schedule.finish("time, in_local_time, at_optimal_time")?;
    let time = when::parse(&text);
    let time = time.ok_or_else(|| BrazeError::field(BAD_REQUEST, &at, when::EXPECTED))?;
    if time < now {
        let detail = format!("has passed: it is {now}");
        return Err(BrazeError::field(BAD_REQUEST, &at, detail));
    }
    Ok(Some(time))
}

#[cfg(test)]
mod tests;
