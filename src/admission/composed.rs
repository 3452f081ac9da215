//! Triggers whose webhooks are composed: what they ask for, and how the layer above hands the
//! rendered webhooks back. Rendering is its affair; whether a webhook may go is decided here, by
//! the same rules that hold for those that callers write themselves.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::Terms;
use super::draft::Envelope;
use super::headers;
use super::input::{Pairs, RecipientInput, Text, TriggerInput};
use super::refusal::{FieldError, Refusal};
use super::url;
use crate::config::Settings;
use crate::model::{Header, Method, Provenance, Webhook};

/// Recipients of one trigger, as Braze has it.
pub const RECIPIENTS_MAX: usize = 50;
/// Characters of an external id.
pub const EXTERNAL_ID_MAX: usize = 512;
/// Name of the header by which our own webhooks to ourselves are counted.
pub const HOP_HEADER: &str = "hostline-hop";

/// What a composed trigger names.
#[derive(Debug)]
pub enum What<'a> {
    /// Webhooks of its own, with Liquid in them.
    Webhooks(Vec<&'a RawValue>),
    /// A template, by id or name.
    Template {
        /// Id or name.
        name: String,
        /// The newest unless given.
        version: Option<u32>,
    },
    /// A campaign, by id or name.
    Campaign(String),
    /// A canvas, by id or name.
    Canvas(String),
}

/// A trigger whose webhooks are to be composed.
#[derive(Debug)]
pub struct ComposedTrigger<'a> {
    /// What it names.
    pub what: What<'a>,
    /// `properties`: an object; `None` when not given.
    pub properties: Option<&'a RawValue>,
    /// For whom; `None` when not given.
    pub recipients: Option<Vec<TriggerRecipient<'a>>>,
    /// Under what it is reported.
    pub send_id: Option<String>,
}

/// One of its recipients.
#[derive(Debug)]
pub struct TriggerRecipient<'a> {
    /// Who.
    pub external_id: String,
    /// Laid over the trigger's own properties.
    pub properties: Option<&'a RawValue>,
}

impl<'a> ComposedTrigger<'a> {
    pub(super) fn read(what: What<'a>, input: TriggerInput<'a>) -> Result<Self, Refusal> {
        let recipients = input.recipients.map(recipients).transpose()?;
        if let Some(properties) = input.properties {
            vet_object("/properties", properties)?;
        }
        let send_id = input.send_id.map(|Text(id)| id.into_owned());
        Ok(Self { what, properties: input.properties, recipients, send_id })
    }
}

fn recipients(given: Vec<RecipientInput<'_>>) -> Result<Vec<TriggerRecipient<'_>>, Refusal> {
    if !(1..=RECIPIENTS_MAX).contains(&given.len()) {
        let detail = format!("has {} items; 1 to {RECIPIENTS_MAX} are taken", given.len());
        return Err(Refusal::invalid("/recipients", detail));
    }
    let vetted = given.into_iter().enumerate().map(|(index, recipient)| {
        let at = |field: &str| format!("/recipients/{index}/{field}");
        let external_id = recipient.external_id.0.into_owned();
        vet_external_id(&external_id)
            .map_err(|detail| Refusal::invalid(at("external_id"), detail))?;
        if let Some(properties) = recipient.properties {
            vet_object(&at("properties"), properties)?;
        }
        Ok(TriggerRecipient { external_id, properties: recipient.properties })
    });
    vetted.collect()
}

/// Whether a recipient may be called so; else what is wrong.
pub fn vet_external_id(id: &str) -> Result<(), String> {
    let length = id.chars().count();
    if !(1..=EXTERNAL_ID_MAX).contains(&length) {
        return Err(format!("has {length} characters; 1 to {EXTERNAL_ID_MAX} are taken"));
    }
    match id.chars().any(char::is_control) {
        true => Err("has a control character; none is allowed".into()),
        false => Ok(()),
    }
}

fn vet_object(pointer: &str, raw: &RawValue) -> Result<(), Refusal> {
    match raw.get().starts_with('{') {
        true => Ok(()),
        false => Err(Refusal::invalid(pointer, "is not an object of properties")),
    }
}

/// A webhook as it was rendered, not yet vetted.
#[derive(Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The method.
    pub method: Method,
    /// The URL.
    pub url: String,
    /// Names and values.
    pub headers: Vec<(String, String)>,
    /// The body; `None` when there is none.
    pub body: Option<Bytes>,
    /// Used where the headers name none.
    pub content_type: Option<&'static str>,
    /// Names of the secrets that it is sent with.
    pub secret_refs: Vec<String>,
}

impl fmt::Debug for Rendered {
    /// Header values may be credentials, bodies are never shown.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.body.as_ref().map_or(0, Bytes::len);
        write!(formatter, "{} {} ({bytes} bytes)", self.method.as_str(), self.url)
    }
}

impl Rendered {
    /// A webhook that was vetted once, to be handed in again.
    pub fn of(webhook: &Webhook) -> Self {
        let headers = webhook.headers.iter();
        Self {
            method: webhook.method,
            url: webhook.target.as_str().to_owned(),
            headers: headers.map(|header| (header.name.clone(), header.value.clone())).collect(),
            body: Some(webhook.body.clone()),
            content_type: None,
            secret_refs: webhook.secret_refs.clone(),
        }
    }

    /// Vets it as a caller's own webhook is vetted; `hop` of its trigger is written into a header
    /// where the webhook goes to ourselves.
    pub(super) fn vet(self, hop: u8, terms: &Terms<'_>) -> Result<Webhook, FieldError> {
        let settings = terms.settings;
        let vetted = url::vet(&self.url, terms.destinations())?;
        let body = self.body.unwrap_or_default();
        if body.len() > settings.server.max_body {
            let max = settings.server.max_body;
            let detail = format!("is {} bytes; at most {max} are taken", body.len());
            return Err(FieldError::new("/body", detail));
        }
        let text = |text: &'_ String| Text(Cow::Owned(text.clone()));
        let pairs = self.headers.iter().map(|(name, value)| (text(name), text(value)));
        let mut headers = headers::vet(&Pairs(pairs.collect()))?;
        let has = |headers: &[Header], name: &str| headers.iter().any(|h| h.name == name);
        if vetted.authorization.is_some() && has(&headers, "authorization") {
            let detail = "the URL has a user name, which stands for an authorization header; \
                          give one of the two";
            return Err(FieldError::new("/headers/authorization", detail));
        }
        let content_type = self.content_type.map(str::to_owned);
        for (name, value) in
            [("authorization", vetted.authorization), ("content-type", content_type)]
        {
            if let Some(value) = value
                && !has(&headers, name)
            {
                headers.push(Header { name: name.into(), value });
            }
        }
        terms.vault.vet(terms.workspace, &self.secret_refs, (&vetted.target, &headers))?;
        count_hop(&mut headers, vetted.target.host(), hop, settings);
        let (method, secret_refs) = (self.method, self.secret_refs);
        Ok(Webhook { method, target: vetted.target, headers, body, secret_refs })
    }
}

/// Writes the number of the hop into a webhook that goes to ourselves.
pub(super) fn count_hop(
    headers: &mut Vec<Header>,
    host: &crate::model::HostName,
    hop: u8,
    settings: &Settings,
) {
    if !settings.compose.own_hosts.iter().any(|own| own == host.as_str()) {
        return;
    }
    headers.retain(|header| header.name != HOP_HEADER);
    let value = hop.saturating_add(1).to_string();
    headers.push(Header { name: HOP_HEADER.into(), value });
}

/// A rendered webhook and the circumstances of its delivery.
#[derive(Clone, Debug)]
pub struct Item {
    /// What is to be sent.
    pub webhook: Rendered,
    /// When, in which order, under which search terms.
    pub envelope: Envelope,
    /// What composed it.
    pub provenance: Arc<Provenance>,
}

/// A recipient of a composed trigger who gets nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Skipped {
    /// Who, where there was somebody.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// A word of the reports: `aborted`, `render_failed`, `capped`, …
    pub reason: &'static str,
    /// In words.
    pub detail: String,
}
