//! The document of a webhook as it is written: the fields of a trigger's webhook, and `missing`.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Fault;
use crate::admission::{self, Refusal, SecretRefs};
use crate::compose::liquid::Missing;
use crate::model::{Method, optional_word};

/// Headers of one webhook; far over any sensible number.
const HEADERS_MAX: usize = 200;

/// The fields of a webhook.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, expecting = "a webhook: an object with `url`")]
pub(super) struct Input<'a> {
    #[serde(borrow)]
    pub url: Cow<'a, str>,
    #[serde(default, deserialize_with = "optional_word")]
    pub method: Option<Method>,
    #[serde(default, deserialize_with = "pairs")]
    pub headers: Vec<(String, String)>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub body: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "optional_word")]
    pub body_type: Option<BodyType>,
    pub body_base64: Option<String>,
    #[serde(default)]
    pub delete_with_body: bool,
    pub secret_ref: Option<SecretRefs>,
    #[serde(default, deserialize_with = "optional_word")]
    pub missing: Option<MissingInput>,
}

/// How `body` is to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BodyType {
    /// As JSON; a string is JSON text.
    Json,
    /// As text; it must be a string.
    Text,
}

/// What a missing variable does, as the document says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum MissingInput {
    Error,
    Empty,
}

impl From<MissingInput> for Missing {
    fn from(input: MissingInput) -> Self {
        match input {
            MissingInput::Error => Missing::Error,
            MissingInput::Empty => Missing::Empty,
        }
    }
}

/// Takes `null` for a value: a body may be `null`, an absent body is another thing.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// An object of strings in the order written; null is none.
fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = Vec<(String, String)>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object whose values are strings")
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut pairs = Vec::new();
            while let Some(pair) = map.next_entry()? {
                if pairs.len() == HEADERS_MAX {
                    return Err(A::Error::custom(format_args!("more than {HEADERS_MAX} headers")));
                }
                pairs.push(pair);
            }
            Ok(pairs)
        }
    }

    deserializer.deserialize_any(Pairs)
}

/// Reads the document.
pub(super) fn parse(json: &str) -> Result<Input<'_>, Fault> {
    serde_json::from_str(json).map_err(|error| {
        match admission::explain::<Input<'_>>(json.as_bytes(), &error) {
            Refusal::Invalid(field) => Fault::new(field.pointer, field.detail),
            other => Fault::new("", other.to_string()),
        }
    })
}
