//! A trigger as it is written: borrowed from the request's bytes, one parse, no tree of values.
//!
//! A parse that fails is done once more with the path tracked, so that only faulty requests pay
//! for naming the field.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::value::RawValue;

use super::refusal::Refusal;
use crate::model::{Method, OnFailure, Priority, Timestamp, optional_word};

/// The fields of a trigger.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a trigger: an object with `webhook`, `webhooks`, `template`, `campaign` or `canvas`"
)]
pub(super) struct TriggerInput<'a> {
    #[serde(borrow)]
    pub webhook: Option<WebhookInput<'a>>,
    #[serde(borrow)]
    pub webhooks: Option<Vec<WebhookInput<'a>>>,
    #[serde(borrow)]
    pub template: Option<Text<'a>>,
    pub version: Option<u32>,
    #[serde(borrow)]
    pub campaign: Option<Text<'a>>,
    #[serde(borrow)]
    pub canvas: Option<Text<'a>>,
    #[serde(borrow)]
    pub properties: Option<&'a RawValue>,
    #[serde(borrow)]
    pub recipients: Option<Vec<RecipientInput<'a>>>,
    #[serde(borrow)]
    pub send_id: Option<Text<'a>>,
    pub deliver_at: Option<Timestamp>,
    #[serde(borrow)]
    pub delay: Option<Text<'a>>,
    pub expires_at: Option<Timestamp>,
    #[serde(borrow)]
    pub ttl: Option<Text<'a>>,
    #[serde(borrow)]
    pub ordering_key: Option<Text<'a>>,
    #[serde(default, deserialize_with = "optional_word")]
    pub on_failure: Option<OnFailure>,
    #[serde(borrow)]
    pub metadata: Option<Pairs<'a>>,
    #[serde(default, deserialize_with = "optional_word")]
    pub priority: Option<Priority>,
    pub secret_ref: Option<SecretRefs>,
    #[serde(borrow)]
    pub idempotency_key: Option<Text<'a>>,
}

/// The fields of a webhook.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a webhook: an object with `url`")]
pub(super) struct WebhookInput<'a> {
    #[serde(borrow)]
    pub url: Text<'a>,
    #[serde(default, deserialize_with = "optional_word")]
    pub method: Option<Method>,
    #[serde(borrow)]
    pub headers: Option<Pairs<'a>>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub body: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "optional_word")]
    pub body_type: Option<BodyType>,
    #[serde(borrow)]
    pub body_base64: Option<Text<'a>>,
    #[serde(default)]
    pub delete_with_body: bool,
    pub secret_ref: Option<SecretRefs>,
}

/// One of a trigger's recipients.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a recipient: an object with `external_id`")]
pub(super) struct RecipientInput<'a> {
    #[serde(borrow)]
    pub external_id: Text<'a>,
    #[serde(borrow)]
    pub properties: Option<&'a RawValue>,
}

/// The webhooks of a trigger as they are written, for those whose Liquid is rendered.
#[derive(Deserialize)]
pub(super) struct RawWebhooks<'a> {
    #[serde(borrow)]
    pub webhook: Option<&'a RawValue>,
    #[serde(borrow)]
    pub webhooks: Option<Vec<&'a RawValue>>,
}

/// How `body` is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BodyType {
    /// As JSON, a string included.
    Json,
    /// As text; it must be a string.
    Text,
}

/// Takes `null` for a value: a body may be `null`, an absent body is another thing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// A string, borrowed where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// Names of secrets: one, or an array of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SecretRefs(pub(crate) Vec<String>);

impl<'de> Deserialize<'de> for SecretRefs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NamesVisitor;

        impl<'de> Visitor<'de> for NamesVisitor {
            type Value = SecretRefs;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("the name of a secret, or an array of names")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<SecretRefs, E> {
                Ok(SecretRefs(vec![name.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<SecretRefs, A::Error> {
                let mut names: Vec<String> = Vec::new();
                while let Some(name) = items.next_element()? {
                    if names.len() == SECRET_REFS_MAX {
                        let most = format_args!("more than {SECRET_REFS_MAX} names of secrets");
                        return Err(A::Error::custom(most));
                    }
                    if names.contains(&name) {
                        return Err(A::Error::custom("the same name twice"));
                    }
                    names.push(name);
                }
                Ok(SecretRefs(names))
            }
        }

        deserializer.deserialize_any(NamesVisitor)
    }
}

/// Secrets of one webhook: one of each kind, and one more.
const SECRET_REFS_MAX: usize = 8;

/// An object of strings, in the order written.
pub(super) struct Pairs<'a>(pub Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PairsVisitor;

        impl<'de> Visitor<'de> for PairsVisitor {
            type Value = Pairs<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object whose values are strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    if pairs.len() == PAIRS_MAX {
                        return Err(A::Error::custom(format_args!("more than {PAIRS_MAX} fields")));
                    }
                    pairs.push(pair);
                }
                Ok(Pairs(pairs))
            }
        }

        deserializer.deserialize_map(PairsVisitor)
    }
}

/// Fields of one object of strings; far over any sensible number of headers, and keeps a hostile
/// request from filling memory with tiny strings.
const PAIRS_MAX: usize = 10_000;

/// Parses a trigger.
pub(super) fn parse(bytes: &[u8]) -> Result<TriggerInput<'_>, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| explain::<TriggerInput<'_>>(bytes, &error))
}

/// Names the place at fault of bytes that failed to parse with `error`.
pub(crate) fn explain<'de, T: Deserialize<'de>>(
    bytes: &'de [u8],
    error: &serde_json::Error,
) -> Refusal {
    // A number where a word is wanted is reported as bad syntax, which it is not.
    let is_json = error.is_data() || serde_json::from_slice::<serde_json::Value>(bytes).is_ok();
    if !is_json {
        return Refusal::Malformed {
            detail: without_place(error),
            line: error.line(),
            column: error.column(),
        };
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    match serde_path_to_error::deserialize::<_, T>(&mut deserializer) {
        Err(tracked) => {
            let inner = tracked.inner();
            let detail = match inner.is_data() {
                true => without_place(inner),
                false => "is of a wrong type; a word in quotes is taken here".into(),
            };
            Refusal::invalid(pointer_of(tracked.path()), detail)
        }
        // What follows the value was at fault, which only the untracked parse looks at.
        Ok(_) => Refusal::invalid("", without_place(error)),
    }
}

/// The error's words without serde_json's own ` at line 1 column 2`.
fn without_place(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(at) = text.rfind(" at line ") {
        text.truncate(at);
    }
    text
}

fn pointer_of(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;

    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => push_token(&mut pointer, key),
            Segment::Enum { variant } => push_token(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    pointer
}

/// Adds `/token`, escaped as RFC 6901 wants it.
pub(crate) fn push_token(pointer: &mut String, token: &str) {
    pointer.push('/');
    pointer.push_str(&token.replace('~', "~0").replace('/', "~1"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> Refusal {
        parse(text.as_bytes()).err().expect("refused")
    }

    #[test]
    fn the_field_at_fault_is_named() {
        let cases = [
            (r#"{"webhook":{"url":"a","bogus":1}}"#, "/webhook/bogus", "unknown field `bogus`"),
            (r#"{"webhooks":[{"url":"a"},{"url":5}]}"#, "/webhooks/1/url", "expected a string"),
            (r#"{"webhook":{"url":"a","headers":{"a/b":1}}}"#, "/webhook/headers/a~1b", "string"),
            (r#"{"webhook":{}}"#, "/webhook", "missing field `url`"),
            (r#"{"priority":"urgent"}"#, "/priority", "unknown variant"),
            (r#"{"webhook":{"url":"a","body":[1],"method":"PATCH"}}"#, "/webhook/method", "POST"),
            (r#"{"deliver_at":"tomorrow"}"#, "/deliver_at", "RFC 3339"),
            (r#"{"webhook":{"url":"a","method":1}}"#, "/webhook/method", "a word in quotes"),
            (r#"{"priority":[]}"#, "/priority", "a word in quotes"),
            (r#"[]"#, "", "a trigger"),
        ];
        for (text, pointer, words) in cases {
            match refusal(text) {
                Refusal::Invalid(error) => {
                    assert_eq!(error.pointer, pointer, "{text}");
                    assert!(error.detail.contains(words), "{text}: {}", error.detail);
                    assert!(!error.detail.contains("line"), "{}", error.detail);
                }
                other => panic!("{text}: {other:?}"),
            }
        }
    }

    #[test]
    fn broken_json_is_told_with_its_place() {
        let broken = refusal("{\n  \"webhook\": tru }");
        assert!(matches!(broken, Refusal::Malformed { line: 2, .. }), "{broken:?}");
        assert!(matches!(refusal(""), Refusal::Malformed { .. }));
    }

    #[test]
    fn a_null_body_is_a_body_and_texts_are_borrowed() {
        let input = parse(br#"{"webhook":{"url":"u","body":null}}"#).expect("valid");
        let webhook = input.webhook.expect("given");
        assert_eq!(webhook.body.map(RawValue::get), Some("null"));
        assert!(matches!(webhook.url.0, Cow::Borrowed("u")));
        let absent = parse(br#"{"webhook":{"url":"u"}}"#).expect("valid");
        assert!(absent.webhook.expect("given").body.is_none());
    }
}
