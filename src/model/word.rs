//! One word of a closed list, as input gives it.
//!
//! What serde derives for an enum takes `{"api": null}` for `"api"` too: two spellings of one thing,
//! of which the second is in no document of ours. Fields of input are read with these instead.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::CowStrDeserializer;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// Reads a word. The error names the words that there are.
pub fn word<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_str(Word(PhantomData))
}

/// Reads a word that may be absent or null.
pub fn optional_word<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Wrapped<T>(T);

    impl<'de, T: Deserialize<'de>> Deserialize<'de> for Wrapped<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            word(deserializer).map(Wrapped)
        }
    }

    Ok(Option::<Wrapped<T>>::deserialize(deserializer)?.map(|wrapped| wrapped.0))
}

struct Word<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Word<T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a word in quotes")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        T::deserialize(CowStrDeserializer::new(Cow::Borrowed(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Method, OnFailure};

    #[derive(Deserialize)]
    struct Input {
        #[serde(deserialize_with = "word")]
        method: Method,
        #[serde(default, deserialize_with = "optional_word")]
        on_failure: Option<OnFailure>,
    }

    fn read(text: &str) -> Result<(Method, Option<OnFailure>), String> {
        serde_json::from_str::<Input>(text)
            .map(|input| (input.method, input.on_failure))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_word_is_a_string_and_nothing_else() {
        let block = r#"{"method":"P\u0055T","on_failure":"block"}"#;
        assert_eq!(read(block), Ok((Method::Put, Some(OnFailure::Block))));
        assert_eq!(read(r#"{"method":"PUT"}"#), Ok((Method::Put, None)));
        assert_eq!(read(r#"{"method":"PUT","on_failure":null}"#), Ok((Method::Put, None)));
        for other in [
            r#"{"method":{"PUT":null}}"#,
            r#"{"method":"PUT","on_failure":{"block":null}}"#,
            r#"{"method":["PUT"]}"#,
            r#"{"method":1}"#,
        ] {
            let error = read(other).expect_err(other);
            assert!(error.contains("expected a word"), "{error}");
        }
        let error = read(r#"{"method":"PATCH"}"#).expect_err("no such word");
        assert!(error.contains("expected one of `POST`"), "{error}");
    }
}
