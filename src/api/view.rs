//! How a delivery, its webhook and its attempts are shown. Secrets never are.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use super::document::words;
use super::meaning;
use crate::model::{
    Attempt, DeliveryId, Header, HostName, Outcome, Priority, Provenance, Timestamp, Timings,
    TriggerId, Webhook,
};
use crate::store::DeliveryRecord;

/// Bytes of a body that are shown.
const BODY_SHOWN: usize = 64 << 10;

/// A delivery as a row of a list.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery)]
pub(super) struct Row<'a> {
    pub id: DeliveryId,
    pub trigger: TriggerId,
    pub host: &'a HostName,
    #[schema(schema_with = words::delivery_state)]
    pub state: &'static str,
    pub method: &'static str,
    pub url: &'a str,
    pub accepted_at: Timestamp,
    pub due_at: Option<Timestamp>,
    pub expires_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub attempt_count: u32,
    pub retries: u32,
    pub last_status: Option<u16>,
    pub priority: Priority,
    pub ordering_key: Option<&'a str>,
    pub blocks_key: bool,
    #[serde(serialize_with = "as_object")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub metadata: &'a [(String, String)],
    /// What composed it, and for whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub composed: Option<&'a Provenance>,
    /// How many of our own webhooks led to it.
    #[serde(skip_serializing_if = "is_zero")]
    pub hop: u8,
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

impl<'a> Row<'a> {
    /// The row of a record whose state is called `state`.
    pub(super) fn of(record: &'a DeliveryRecord, state: &'static str) -> Self {
        Self {
            id: record.id,
            trigger: record.trigger,
            host: &record.host,
            state,
            method: record.webhook.method.as_str(),
            url: record.webhook.target.as_str(),
            accepted_at: record.accepted,
            due_at: record.ended.is_none().then_some(record.due),
            expires_at: record.expires,
            ended_at: record.ended,
            attempt_count: record.attempts,
            retries: record.retries,
            last_status: record.last_status,
            priority: record.priority,
            ordering_key: record.ordering_key.as_deref(),
            blocks_key: record.blocks_key,
            metadata: &record.metadata,
            composed: record.provenance.as_deref(),
            hop: record.hop,
        }
    }
}

fn as_object<S: Serializer>(pairs: &[(String, String)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(key, value)| (key, value)))
}

/// As they may be written: nothing, a name, or an array of names.
fn as_names<S: Serializer>(names: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match names {
        [] => serializer.serialize_none(),
        [name] => serializer.serialize_str(name),
        names => serializer.collect_seq(names),
    }
}

/// Headers as an array of pairs, since an answer may repeat one; secrets masked.
struct Headers<'a>(&'a [Header]);

impl Serialize for Headers<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|header| {
            let shown = if is_secret(&header.name) { "***" } else { header.value.as_str() };
            (header.name.as_str(), shown)
        }))
    }
}

/// Masks the values of a document's headers that are likely credentials.
pub(super) fn mask_headers(headers: &mut Value) {
    for (name, value) in headers.as_object_mut().into_iter().flatten() {
        if is_secret(&name.to_ascii_lowercase()) {
            *value = Value::from("***");
        }
    }
}

/// Whether a header's value is likely a credential.
fn is_secret(name: &str) -> bool {
    let parts = ["authorization", "cookie", "token", "secret", "password", "signature"];
    name.ends_with("key") || parts.iter().any(|part| name.contains(part))
}

/// A body: text where it is text, else base64; cut off at a bound.
#[derive(Default, Serialize, ToSchema)]
#[schema(as = ShownBody)]
pub(super) struct Body<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
    body_size: usize,
    body_truncated: bool,
}

impl<'a> Body<'a> {
    pub(super) fn of(bytes: &'a [u8], truncated_before: bool) -> Self {
        let shown = &bytes[..bytes.len().min(BODY_SHOWN)];
        let cut = shown.len() < bytes.len() || truncated_before;
        let (body, body_base64) = match std::str::from_utf8(shown) {
            Ok(text) => (Some(text), None),
            // A character that the cut has halved does not make a text binary.
            Err(error) if cut && error.error_len().is_none() => {
                (std::str::from_utf8(&shown[..error.valid_up_to()]).ok(), None)
            }
            Err(_) => (None, Some(STANDARD.encode(shown))),
        };
        Self { body, body_base64, body_size: bytes.len(), body_truncated: cut }
    }
}

/// A webhook as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Webhook)]
pub(super) struct WebhookView<'a> {
    method: &'static str,
    url: &'a str,
    #[schema(schema_with = words::header_pairs)]
    headers: Headers<'a>,
    #[serde(flatten)]
    body: Body<'a>,
    #[serde(serialize_with = "as_names")]
    #[schema(schema_with = words::secret_names)]
    secret_ref: &'a [String],
}

impl<'a> WebhookView<'a> {
    pub(super) fn of(webhook: &'a Webhook) -> Self {
        Self {
            method: webhook.method.as_str(),
            url: webhook.target.as_str(),
            headers: Headers(&webhook.headers),
            body: Body::of(&webhook.body, false),
            secret_ref: &webhook.secret_refs,
        }
    }
}

/// An attempt as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = Attempt)]
pub(super) struct AttemptView<'a> {
    number: u32,
    started_at: Timestamp,
    #[schema(schema_with = words::attempt_outcome)]
    outcome: &'static str,
    status: Option<u16>,
    reason: String,
    meaning: &'static str,
    response: Option<Response<'a>>,
    timings: &'a Timings,
}

#[derive(Serialize, ToSchema)]
#[schema(as = ReceiverAnswer)]
struct Response<'a> {
    status: u16,
    #[schema(schema_with = words::header_pairs)]
    headers: Headers<'a>,
    #[serde(flatten)]
    body: Body<'a>,
}

impl<'a> AttemptView<'a> {
    pub(super) fn of(attempt: &'a Attempt) -> Self {
        let (outcome, response) = match &attempt.outcome {
            Outcome::Answered(answer) => {
                let response = Response {
                    status: answer.status,
                    headers: Headers(&answer.headers),
                    body: Body::of(&answer.body, answer.body_truncated),
                };
                ("answered", Some(response))
            }
            Outcome::NoAnswer { .. } => ("no_answer", None),
            Outcome::Blocked { .. } => ("blocked", None),
            Outcome::Unprepared { .. } => ("unprepared", None),
        };
        Self {
            number: attempt.number,
            started_at: attempt.started,
            outcome,
            status: attempt.status(),
            reason: meaning::reason(&attempt.outcome),
            meaning: meaning::of_outcome(&attempt.outcome),
            response,
            timings: &attempt.timings,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_masked() {
        for name in [
            "authorization",
            "proxy-authorization",
            "cookie",
            "set-cookie",
            "x-api-key",
            "apikey",
            "x-auth-token",
            "x-secret-sauce",
            "x-hub-signature-256",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in ["content-type", "x-request-id", "keyboard"] {
            assert!(!is_secret(name), "{name}");
        }
    }

    #[test]
    fn a_body_is_text_or_base64_and_bounded() {
        let text = "é".repeat(BODY_SHOWN);
        let body = Body::of(text.as_bytes(), false);
        assert!(body.body.is_some_and(|shown| shown.len() == BODY_SHOWN) && body.body_truncated);
        let halved = Body::of(&"aé".as_bytes()[..2], true);
        assert_eq!(halved.body, Some("a"));
        let binary = Body::of(&[0xff, 0xfe], false);
        assert_eq!(binary.body_base64.as_deref(), Some("//4="));
    }
}
