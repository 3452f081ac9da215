//! Where a webhook of a document comes from: written out, or a template. A webhook that is written
//! out stays raw JSON here; its Liquid is compiled elsewhere.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::vetting::Vetting;
use super::{Fault, shape};
use crate::admission::{WEBHOOKS_MAX, explain};

/// One webhook of a campaign's or canvas's list.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum WebhookSource {
    /// `{"template": "welcome", "version": 3}`.
    Template {
        /// Id or name.
        #[serde(rename = "template")]
        reference: String,
        /// Which version, from 1; the latest when it is not given, and pinned when it is stored.
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<u32>,
    },
    /// An object with `url`, byte for byte as written.
    Inline(Box<RawValue>),
}

/// A template as it is written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a template: an object with `name` and `webhook`")]
pub struct TemplateDocument {
    /// Unique among the templates that are not archived.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For finding it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// What it makes, byte for byte as written.
    pub webhook: Box<RawValue>,
}

impl TemplateDocument {
    /// Reads and vets a template.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Fault>> {
        let document: Self = shape(bytes)?;
        let mut vetting = Vetting::new();
        vetting.heading(&document.name, document.description.as_deref(), document.tags.as_deref());
        vetting.under("webhook", |vetting| {
            if let Some(WebhookSource::Template { .. }) = source(&document.webhook, vetting) {
                let detail = "a template cannot be made of a template; write the webhook out";
                vetting.fault_at("template", detail);
            }
        });
        vetting.finish(Some(document))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reference {
    template: String,
    version: Option<u32>,
}

/// Vets the list `webhooks` of the present place.
pub(super) fn sources(
    list: Option<Vec<Box<RawValue>>>,
    vetting: &mut Vetting,
) -> Option<Vec<WebhookSource>> {
    let wanted = "list what to send: [{\"url\": \"https://…\"}]";
    let list = vetting.present("webhooks", list, wanted)?;
    vetting.under("webhooks", |vetting| {
        if !vetting.count(list.len(), 1, WEBHOOKS_MAX) {
            return None;
        }
        let vetted: Vec<_> = list
            .iter()
            .enumerate()
            .map(|(index, raw)| vetting.under(index, |vetting| source(raw, vetting)))
            .collect();
        vetted.into_iter().collect()
    })
}

fn source(raw: &RawValue, vetting: &mut Vetting) -> Option<WebhookSource> {
    let Ok(Value::Object(fields)) = serde_json::from_str(raw.get()) else {
        vetting.fault("is not an object; write {\"url\": \"https://…\"} or {\"template\": \"…\"}");
        return None;
    };
    if fields.contains_key("template") {
        return reference(raw, vetting);
    }
    match fields.get("url") {
        Some(Value::String(url)) if !url.trim().is_empty() => {
            Some(WebhookSource::Inline(raw.to_owned()))
        }
        Some(Value::String(_)) => {
            vetting.fault_at("url", "is empty; write where to send it");
            None
        }
        Some(_) => {
            vetting.fault_at("url", "is not a string; write where to send it");
            None
        }
        None => {
            vetting.fault("missing field `url` (or `template`)");
            None
        }
    }
}

fn reference(raw: &RawValue, vetting: &mut Vetting) -> Option<WebhookSource> {
    let bytes = raw.get().as_bytes();
    match serde_json::from_slice::<Reference>(bytes) {
        Ok(Reference { template, version }) => {
            vetting.name("template", &template);
            if version == Some(0) {
                vetting.fault_at("version", "is 0; versions count from 1");
            }
            Some(WebhookSource::Template { reference: template, version })
        }
        Err(error) => {
            let told = explain::<Reference>(bytes, &error).to_string();
            let detail = told.trim_start_matches(": ").to_owned();
            vetting.fault(format!("{detail}; with `template` only `version` can be given"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<Fault> {
        TemplateDocument::parse(text.as_bytes()).expect_err(text)
    }

    #[test]
    fn a_template_comes_back_as_it_was_written() {
        let webhook = r#"{"url":"https://x/{{ properties.id }}","body":{"b":1, "a":2.0}}"#;
        let text = format!(r#"{{"name":"welcome","tags":["a"],"webhook":{webhook}}}"#);
        let document = TemplateDocument::parse(text.as_bytes()).expect("valid");
        assert_eq!(serde_json::to_string(&document).expect("serialises"), text);
    }

    #[test]
    fn a_faulty_template_is_pointed_at() {
        for (text, pointer, words) in [
            (r#"{"name":"","webhook":{"url":"u"}}"#, "/name", "empty"),
            (r#"{"name":"a\nb","webhook":{"url":"u"}}"#, "/name", "control"),
            (r#"{"name":"a","webhook":{}}"#, "/webhook", "url"),
            (r#"{"name":"a","webhook":{"url":5}}"#, "/webhook/url", "string"),
            (r#"{"name":"a","webhook":[]}"#, "/webhook", "object"),
            (r#"{"name":"a","webhook":{"template":"b"}}"#, "/webhook/template", "write the"),
            (r#"{"name":"a","webhook":{"url":"u"},"tags":["x","x"]}"#, "/tags/1", "repeats"),
            (r#"{"name":"a"}"#, "", "webhook"),
            (r#"{"name":"a","webhook":{"url":"u"},"colour":1}"#, "/colour", "unknown"),
            (r#"{"name":"#, "", "not JSON"),
        ] {
            let found = faults(text);
            assert_eq!(found[0].pointer, pointer, "{text}: {found:?}");
            assert!(found[0].detail.contains(words), "{text}: {found:?}");
        }
        let huge = format!(r#"{{"name":"{}","webhook":{{"url":"u"}}}}"#, "x".repeat(2_000_000));
        assert!(faults(&huge)[0].detail.contains("bytes"));
    }

    #[test]
    fn several_faults_are_told_at_once() {
        let found = faults(r#"{"name":" ","tags":[""],"webhook":{"url":" "}}"#);
        let pointers: Vec<&str> = found.iter().map(|fault| fault.pointer.as_str()).collect();
        assert_eq!(pointers, ["/name", "/tags/0", "/webhook/url"]);
    }
}
