//! What a trigger becomes once its words are vetted, before it has ids. No I/O: everything here
//! follows from the request's bytes, the settings and the time.
//!
//! A trigger that gives its webhooks and nothing to fill in is sent byte for byte. One that names a
//! template, a campaign or a canvas, or has properties or recipients, is composed: its webhooks
//! come from the layer above, which hands them back to be vetted.

use bytes::Bytes;

use super::Terms;
use super::body;
use super::composed::{ComposedTrigger, What};
use super::headers;
use super::idempotency;
use super::input::{self, Pairs, SecretRefs, Text, TriggerInput, WebhookInput, push_token};
use super::refusal::Refusal;
use super::timing::{Timing, timing};
use super::url;
use crate::config::Settings;
use crate::model::{
    Header, Metadata, Method, OnFailure, Priority, Timestamp, TraceParent, Webhook,
};

/// Webhooks of one trigger.
pub(crate) const WEBHOOKS_MAX: usize = 50;
/// Characters of an ordering key.
pub(crate) const ORDERING_KEY_MAX: usize = 256;
/// Pairs of metadata. Each is an index row of its delivery.
pub(crate) const METADATA_MAX: usize = 32;
/// Characters of a metadata key.
pub(crate) const METADATA_KEY_MAX: usize = 64;
/// Characters of a metadata value.
pub(crate) const METADATA_VALUE_MAX: usize = 256;

/// Where a trigger comes from.
#[derive(Clone, Debug, Default)]
pub struct Origin<'a> {
    /// `traceparent` of the request, passed on to receivers.
    pub traceparent: Option<&'a str>,
    /// Idempotency key of the request's header.
    pub idempotency_key: Option<String>,
    /// Whether the bytes hold nothing but this trigger, so that slices of them may be kept.
    pub alone: bool,
    /// How many of our own webhooks led to this request.
    pub hop: u8,
}

/// A vetted trigger.
#[derive(Debug)]
pub enum Draft<'a> {
    /// Sends its own webhooks, byte for byte.
    Plain(Vec<Webhook>, Envelope),
    /// Its webhooks are to be composed.
    Composed(Box<ComposedTrigger<'a>>, Envelope),
}

/// What a trigger says beside what is to be sent.
#[derive(Clone, Debug)]
pub struct Envelope {
    /// When.
    pub timing: Timing,
    /// Turns among its host's deliveries.
    pub priority: Priority,
    /// One after the other within this key.
    pub ordering_key: Option<String>,
    /// What a failure does to the key.
    pub on_failure: OnFailure,
    /// Search terms.
    pub metadata: Metadata,
    /// Makes it safe to repeat.
    pub idempotency_key: Option<String>,
    /// How many of our own webhooks led to it.
    pub hop: u8,
}

impl Envelope {
    /// That of something that goes now, with the settings' expiry and no more.
    pub fn plain(now: Timestamp, hop: u8, settings: &Settings) -> Self {
        Self {
            timing: Timing::at(now, settings.delivery.ttl),
            priority: Priority::default(),
            ordering_key: None,
            on_failure: OnFailure::default(),
            metadata: Metadata::new(),
            idempotency_key: None,
            hop,
        }
    }
}

/// Reads and vets a trigger that is accepted at `now`.
pub(super) fn read<'a>(
    request: &'a Bytes,
    origin: &Origin<'_>,
    terms: &Terms<'_>,
    now: Timestamp,
) -> Result<Draft<'a>, Refusal> {
    let input = input::parse(request)?;
    let vetting = Vetting { request, origin, terms, input: &input };
    let what = vetting.composed(request)?;
    let webhooks = match what {
        Some(_) => Vec::new(),
        None => vetting.webhooks()?,
    };
    let envelope = Envelope {
        timing: timing(&input, now, terms.settings.delivery.ttl)?,
        priority: input.priority.unwrap_or_default(),
        ordering_key: vetting.ordering_key()?,
        on_failure: vetting.on_failure()?,
        metadata: vetting.metadata()?,
        idempotency_key: vetting.idempotency_key()?,
        hop: origin.hop,
    };
    match what {
        None => Ok(Draft::Plain(webhooks, envelope)),
        Some(what) => {
            let trigger = ComposedTrigger::read(what, input)?;
            Ok(Draft::Composed(Box::new(trigger), envelope))
        }
    }
}

struct Vetting<'a> {
    request: &'a Bytes,
    origin: &'a Origin<'a>,
    terms: &'a Terms<'a>,
    input: &'a TriggerInput<'a>,
}

impl Vetting<'_> {
    /// What is to be composed; `None` when the webhooks are sent as they are.
    fn composed<'r>(&self, request: &'r [u8]) -> Result<Option<What<'r>>, Refusal> {
        let input = self.input;
        let named = [("template", &input.template), ("campaign", &input.campaign)];
        let named = named.into_iter().chain([("canvas", &input.canvas)]);
        let mut named = named.filter_map(|(field, name)| Some((field, name.as_ref()?)));
        let has_webhooks = input.webhook.is_some() || input.webhooks.is_some();
        match (named.next(), named.next()) {
            (Some((field, _)), Some((other, _))) => {
                let detail = format!("give either `{other}` or `{field}`, not both");
                Err(Refusal::invalid(format!("/{other}"), detail))
            }
            (Some((field, _)), None) if has_webhooks => {
                let detail = format!("give either `{field}` or webhooks, not both");
                Err(Refusal::invalid(format!("/{field}"), detail))
            }
            (None, _) if input.version.is_some() => {
                Err(Refusal::invalid("/version", "has a meaning only with `template`"))
            }
            (None, _) if input.properties.is_none() && input.recipients.is_none() => Ok(None),
            (None, _) if !has_webhooks => Ok(None),
            (None, _) => {
                let raw: input::RawWebhooks<'r> = serde_json::from_slice(request)
                    .map_err(|error| input::explain::<input::RawWebhooks<'_>>(request, &error))?;
                let both = raw.webhook.is_some() && raw.webhooks.is_some();
                let webhooks: Vec<_> =
                    raw.webhook.into_iter().chain(raw.webhooks.into_iter().flatten()).collect();
                // What is wrong about their number is said where plain ones are vetted.
                match both || !(1..=WEBHOOKS_MAX).contains(&webhooks.len()) {
                    true => self.webhooks().map(|_| None),
                    false => Ok(Some(What::Webhooks(webhooks))),
                }
            }
            (Some((field, Text(name))), None) => {
                if input.version.is_some() && field != "template" {
                    return Err(Refusal::invalid("/version", "has a meaning only with `template`"));
                }
                let name = name.clone().into_owned();
                Ok(Some(match field {
                    "template" => What::Template { name, version: input.version },
                    "campaign" => What::Campaign(name),
                    _ => What::Canvas(name),
                }))
            }
        }
    }

    fn webhooks(&self) -> Result<Vec<Webhook>, Refusal> {
        for name in self.input.secret_ref.iter().flat_map(|SecretRefs(names)| names) {
            if !self.terms.vault.knows(self.terms.workspace, name) {
                let detail = "names no secret of the configuration ([secrets]) and no stored one";
                return Err(Refusal::invalid("/secret_ref", detail));
            }
        }
        match (&self.input.webhook, &self.input.webhooks) {
            (Some(webhook), None) => {
                let webhook = self.webhook(webhook).map_err(|why| why.under("/webhook"))?;
                Ok(vec![webhook])
            }
            (None, Some(webhooks)) if !(1..=WEBHOOKS_MAX).contains(&webhooks.len()) => {
                let detail = format!("has {} items; 1 to {WEBHOOKS_MAX} are taken", webhooks.len());
                Err(Refusal::invalid("/webhooks", detail))
            }
            (None, Some(webhooks)) => {
                let vetted = webhooks.iter().enumerate().map(|(index, webhook)| {
                    self.webhook(webhook).map_err(|why| why.under(&format!("/webhooks/{index}")))
                });
                vetted.collect()
            }
            (Some(_), Some(_)) => {
                Err(Refusal::invalid("/webhooks", "give either `webhook` or `webhooks`, not both"))
            }
            (None, None) => Err(Refusal::invalid(
                "/webhook",
                "missing; say what to send, {\"url\": \"https://…\"}, or name a `template`, a \
                 `campaign` or a `canvas`",
            )),
        }
    }

    fn webhook(&self, input: &WebhookInput<'_>) -> Result<Webhook, Refusal> {
        let method = input.method.unwrap_or(Method::Post);
        if input.delete_with_body && method != Method::Delete {
            let detail = "has a meaning only with \"method\": \"DELETE\"";
            return Err(Refusal::invalid("/delete_with_body", detail));
        }
        let url = url::vet(&input.url.0, self.terms.destinations()).map_err(Refusal::Invalid)?;
        let source = body::Source {
            request: self.request,
            alone: self.origin.alone,
            max: self.terms.settings.server.max_body,
        };
        let body = body::vet(input, method, &source)?;
        let headers = self.headers(input, url.authorization, body.content_type)?;
        // A webhook's own secrets win over those of the trigger.
        let secret_refs = input.secret_ref.as_ref().or(self.input.secret_ref.as_ref());
        let SecretRefs(secret_refs) = secret_refs.cloned().unwrap_or_default();
        let sent = (&url.target, headers.as_slice());
        let vetted = self.terms.vault.vet(self.terms.workspace, &secret_refs, sent);
        vetted.map_err(|fault| Refusal::Invalid(fault.into()))?;
        Ok(Webhook { method, target: url.target, headers, body: body.bytes, secret_refs })
    }

    fn headers(
        &self,
        input: &WebhookInput<'_>,
        authorization: Option<String>,
        content_type: Option<&'static str>,
    ) -> Result<Vec<Header>, Refusal> {
        let given = input.headers.as_ref().map(headers::vet).transpose();
        let mut headers = given.map_err(Refusal::Invalid)?.unwrap_or_default();
        if authorization.is_some() && has(&headers, "authorization") {
            let detail = "the URL has a user name, which stands for an authorization header; \
                          give one of the two";
            return Err(Refusal::invalid("/headers/authorization", detail));
        }
        let ours = [
            ("authorization", authorization),
            ("content-type", content_type.map(str::to_owned)),
            ("traceparent", self.origin.traceparent.map(str::to_owned)),
        ];
        for (name, value) in ours {
            if let Some(value) = value
                && !has(&headers, name)
            {
                headers.push(Header { name: name.to_owned(), value });
            }
        }
        Ok(headers)
    }

    fn ordering_key(&self) -> Result<Option<String>, Refusal> {
        let Some(Text(key)) = &self.input.ordering_key else { return Ok(None) };
        let length = key.chars().count();
        if !(1..=ORDERING_KEY_MAX).contains(&length) {
            let detail = format!("has {length} characters; 1 to {ORDERING_KEY_MAX} are taken");
            return Err(Refusal::invalid("/ordering_key", detail));
        }
        Ok(Some(key.clone().into_owned()))
    }

    fn on_failure(&self) -> Result<OnFailure, Refusal> {
        match (self.input.on_failure, &self.input.ordering_key) {
            (Some(_), None) => {
                Err(Refusal::invalid("/on_failure", "has a meaning only with an `ordering_key`"))
            }
            (given, _) => Ok(given.unwrap_or_default()),
        }
    }

    fn metadata(&self) -> Result<Metadata, Refusal> {
        let Some(Pairs(pairs)) = &self.input.metadata else { return Ok(Vec::new()) };
        if pairs.len() > METADATA_MAX {
            let detail = format!("has {} pairs; at most {METADATA_MAX} are taken", pairs.len());
            return Err(Refusal::invalid("/metadata", detail));
        }
        let mut metadata = Metadata::with_capacity(pairs.len());
        for (Text(key), Text(value)) in pairs {
            let at = |detail: String| {
                let mut pointer = String::from("/metadata");
                push_token(&mut pointer, key);
                Err(Refusal::invalid(pointer, detail))
            };
            // Terms of our own begin with a control character (`Provenance::tag`).
            if key.chars().any(char::is_control) {
                return at("has a control character; none is allowed in a key".into());
            }
            if !(1..=METADATA_KEY_MAX).contains(&key.chars().count()) {
                return at(format!("a key has 1 to {METADATA_KEY_MAX} characters"));
            }
            if value.chars().count() > METADATA_VALUE_MAX {
                return at(format!("a value has at most {METADATA_VALUE_MAX} characters"));
            }
            if metadata.iter().any(|(seen, _)| seen == key) {
                return at("is given twice".into());
            }
            metadata.push((key.clone().into_owned(), value.clone().into_owned()));
        }
        Ok(metadata)
    }

    fn idempotency_key(&self) -> Result<Option<String>, Refusal> {
        match (&self.origin.idempotency_key, &self.input.idempotency_key) {
            (Some(_), Some(_)) => {
                let detail = "the Idempotency-Key header gives a key already";
                Err(Refusal::invalid("/idempotency_key", detail))
            }
            (header, None) => Ok(header.clone()),
            (None, Some(Text(key))) => match idempotency::vet(key) {
                Ok(key) => Ok(Some(key)),
                Err(detail) => Err(Refusal::invalid("/idempotency_key", detail)),
            },
        }
    }
}

fn has(headers: &[Header], name: &str) -> bool {
    headers.iter().any(|header| header.name == name)
}

/// Whether a `traceparent` header is one (W3C Trace Context), so that garbage is not passed on.
pub fn is_traceparent(value: &str) -> bool {
    TraceParent::parse(value).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;
    use crate::store::StoreLimits;
    use crate::store::memory::MemoryStore;
    use crate::vault::Vault;

    const NOW: Timestamp = Timestamp::from_millis(1_795_503_600_000);

    fn of(text: &str, origin: &Origin<'_>) -> Result<(Vec<Webhook>, Envelope), Refusal> {
        let mut settings = Settings::default();
        settings.secrets.insert("main".into(), Vec::new());
        let store = MemoryStore::new(StoreLimits { max_pending: 1 });
        let vault = Vault::new(store, &settings, Clock::system());
        let terms = Terms {
            settings: &settings,
            vault: &vault,
            workspace: 0,
            policy: Some(Default::default()),
        };
        match read(&Bytes::copy_from_slice(text.as_bytes()), origin, &terms, NOW)? {
            Draft::Plain(webhooks, envelope) => Ok((webhooks, envelope)),
            Draft::Composed(..) => panic!("{text} is composed"),
        }
    }

    fn pointer(text: &str) -> String {
        match of(text, &Origin::default()) {
            Err(Refusal::Invalid(error)) => error.pointer,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn a_plain_trigger_gets_its_headers() {
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let origin = Origin { traceparent: Some(traceparent), ..Origin::default() };
        let text = r#"{"webhook":{"url":"https://u:p@shop.example/","body":{"a":1},
            "headers":{"X-A":"1"}},"secret_ref":"main","ordering_key":"k","on_failure":"block",
            "metadata":{"order":"7"},"priority":"high"}"#;
        let (webhooks, draft) = of(text, &origin).expect("valid");
        let webhook = &webhooks[0];
        let names: Vec<&str> = webhook.headers.iter().map(|header| header.name.as_str()).collect();
        assert_eq!(names, ["x-a", "authorization", "content-type", "traceparent"]);
        assert_eq!(webhook.body, r#"{"a":1}"#);
        assert_eq!(webhook.secret_refs, ["main"]);
        assert_eq!(draft.on_failure, OnFailure::Block);
        assert_eq!(draft.priority, Priority::High);
        assert_eq!(draft.metadata, [("order".to_owned(), "7".to_owned())]);
    }

    #[test]
    fn given_headers_win_over_inferred_ones() {
        let text = r#"{"webhook":{"url":"https://shop.example/","body":"<a/>",
            "headers":{"Content-Type":"text/xml","TraceParent":"mine"}}}"#;
        let origin = Origin { traceparent: Some("theirs"), ..Origin::default() };
        let (webhooks, _) = of(text, &origin).expect("valid");
        let values: Vec<&str> =
            webhooks[0].headers.iter().map(|header| header.value.as_str()).collect();
        assert_eq!(values, ["text/xml", "mine"]);
    }

    #[test]
    fn faults_are_pointed_at_from_the_top() {
        let url = r#""url":"https://shop.example/""#;
        let hook = format!(r#""webhook":{{{url}}}"#);
        for (text, at) in [
            ("{}".to_owned(), "/webhook"),
            (format!(r#"{{{hook},"webhooks":[]}}"#), "/webhooks"),
            (r#"{"webhooks":[]}"#.to_owned(), "/webhooks"),
            (format!(r#"{{{hook},"secret_ref":"no"}}"#), "/secret_ref"),
            (format!(r#"{{{hook},"secret_ref":["main","no"]}}"#), "/secret_ref"),
            (format!(r#"{{{hook},"secret_ref":["main","main"]}}"#), "/secret_ref"),
            (format!(r#"{{{hook},"secret_ref":7}}"#), "/secret_ref"),
            (format!(r#"{{"webhooks":[{{{url}}},{{"url":"x"}}]}}"#), "/webhooks/1/url"),
            (format!(r#"{{"webhook":{{{url},"secret_ref":"no"}}}}"#), "/webhook/secret_ref"),
            (
                format!(r#"{{"webhook":{{{url},"delete_with_body":true}}}}"#),
                "/webhook/delete_with_body",
            ),
            (
                r#"{"webhook":{"url":"https://u@a.example/","headers":{"Authorization":"x"}}}"#
                    .to_owned(),
                "/webhook/headers/authorization",
            ),
            (format!(r#"{{{hook},"ordering_key":""}}"#), "/ordering_key"),
            (format!(r#"{{{hook},"on_failure":"block"}}"#), "/on_failure"),
            (format!(r#"{{{hook},"metadata":{{"":"a"}}}}"#), "/metadata/"),
            (format!(r#"{{{hook},"metadata":{{"a":"1","a":"2"}}}}"#), "/metadata/a"),
            (format!(r#"{{{hook},"metadata":{{"a":"{}"}}}}"#, "x".repeat(257)), "/metadata/a"),
            (format!(r#"{{{hook},"idempotency_key":"a b"}}"#), "/idempotency_key"),
        ] {
            assert_eq!(pointer(&text), at, "{text}");
        }
        let many = vec![format!("{{{url}}}"); 51].join(",");
        assert_eq!(pointer(&format!(r#"{{"webhooks":[{many}]}}"#)), "/webhooks");
    }
}
