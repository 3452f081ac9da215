//! Reads an object of a request field by field, so that whatever is wrong is named: a field of the
//! wrong kind, one that is out of scope, one that nobody took. A `null` is a field left out: clients
//! write what they do not set so.

use serde_json::{Map, Value};

use super::error::{BAD_REQUEST, BrazeError};
use crate::admission::explain;
use crate::api::problem::Problem;

/// The fields of an object that were not taken yet.
#[derive(Debug)]
pub(super) struct Fields {
    /// JSON pointer of the object.
    pointer: String,
    map: Map<String, Value>,
}

impl Fields {
    /// The fields of a request's body.
    pub(super) fn of_body(body: &[u8]) -> Result<Self, BrazeError> {
        let value: Value = serde_json::from_slice(body)
            .map_err(|error| BrazeError::from(Problem::from(explain::<Value>(body, &error))))?;
        match value {
            Value::Object(map) => Ok(Self { pointer: String::new(), map }),
            other => {
                let detail = format!("the body is {}, not an object", kind(&other));
                Err(BrazeError::request(BAD_REQUEST, detail))
            }
        }
    }

    /// The fields of the object `value` at `pointer`.
    pub(super) fn of(value: Value, pointer: String) -> Result<Self, BrazeError> {
        match value {
            Value::Object(map) => Ok(Self { pointer, map }),
            other => Err(wrong_kind(&pointer, &other, "an object")),
        }
    }

    /// JSON pointer of the object; empty for the body.
    pub(super) fn pointer(&self) -> &str {
        &self.pointer
    }

    /// JSON pointer of the field `name`.
    pub(super) fn at(&self, name: &str) -> String {
        format!("{}/{}", self.pointer, name.replace('~', "~0").replace('/', "~1"))
    }

    /// Takes a field of any kind.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.map.remove(name).filter(|value| !value.is_null())
    }

    /// Takes a string that is not empty.
    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, BrazeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.is_empty() => {
                Err(BrazeError::field(BAD_REQUEST, &self.at(name), "is empty"))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong_kind(&self.at(name), &other, "a string")),
        }
    }

    /// Takes a string that must be there.
    pub(super) fn required(&mut self, name: &str) -> Result<String, BrazeError> {
        let found = self.text(name)?;
        found.ok_or_else(|| BrazeError::field(BAD_REQUEST, &self.at(name), "is missing"))
    }

    /// Takes `true` or `false`.
    pub(super) fn flag(&mut self, name: &str) -> Result<Option<bool>, BrazeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(wrong_kind(&self.at(name), &other, "true or false")),
        }
    }

    /// Takes an object whole.
    pub(super) fn object(&mut self, name: &str) -> Result<Option<Map<String, Value>>, BrazeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(other) => Err(wrong_kind(&self.at(name), &other, "an object")),
        }
    }

    /// Takes an object to read its fields.
    pub(super) fn fields(&mut self, name: &str) -> Result<Option<Fields>, BrazeError> {
        let pointer = self.at(name);
        self.take(name).map(|value| Fields::of(value, pointer)).transpose()
    }

    /// Takes a list.
    pub(super) fn list(&mut self, name: &str) -> Result<Option<Vec<Value>>, BrazeError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(wrong_kind(&self.at(name), &other, "an array")),
        }
    }

    /// Refuses the fields that the public API has and this server has not, each with its reason.
    /// An empty one asks for nothing.
    pub(super) fn refuse(&mut self, out_of_scope: &[(&str, &str)]) -> Result<(), BrazeError> {
        for (name, reason) in out_of_scope {
            if self.take(name).is_some_and(|value| !is_empty(&value)) {
                return Err(BrazeError::field(BAD_REQUEST, &self.at(name), reason));
            }
        }
        Ok(())
    }

    /// Everything that was not taken.
    pub(super) fn rest(self) -> Map<String, Value> {
        self.map
    }

    /// Refuses what nobody took; `known` lists what could have been there.
    pub(super) fn finish(self, known: &str) -> Result<(), BrazeError> {
        let left = self.map.iter().find(|(_, value)| !value.is_null());
        match left {
            Some((name, _)) => {
                let detail = format!("is unknown; this takes {known}");
                Err(BrazeError::field(BAD_REQUEST, &self.at(name), detail))
            }
            None => Ok(()),
        }
    }
}

/// A field is of another kind than it should be.
pub(super) fn wrong_kind(pointer: &str, value: &Value, wanted: &str) -> BrazeError {
    BrazeError::field(BAD_REQUEST, pointer, format!("is {}, not {wanted}", kind(value)))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        _ => false,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(text: &str) -> Fields {
        Fields::of_body(text.as_bytes()).expect("an object")
    }

    #[test]
    fn malformed_json_says_where() {
        let error = Fields::of_body(b"{\"a\": }").expect_err("no JSON");
        assert!(error.message().starts_with("Bad Request: "), "{error}");
        assert!(error.message().contains("line 1 column 7"), "{error}");
    }

    #[test]
    fn body_that_is_no_object_is_refused() {
        let error = Fields::of_body(b"[1]").expect_err("no object");
        assert_eq!(error.message(), "Bad Request: the body is an array, not an object");
    }

    #[test]
    fn null_is_a_field_left_out() {
        let mut fields = fields(r#"{"a":null,"b":null}"#);
        assert_eq!(fields.text("a"), Ok(None));
        assert_eq!(fields.finish("a"), Ok(()));
    }

    #[test]
    fn wrong_kind_and_unknown_field_are_named() {
        let mut first = fields(r#"{"a":1}"#);
        let error = first.text("a").expect_err("a number");
        assert_eq!(error.message(), "Bad Request: /a is a number, not a string");
        let error = fields(r#"{"a/b":1}"#).finish("x, y").expect_err("unknown");
        assert_eq!(error.message(), "Bad Request: /a~1b is unknown; this takes x, y");
    }

    #[test]
    fn field_out_of_scope_is_refused_with_its_reason() {
        let mut fields = fields(r#"{"segment_id":"s"}"#);
        let error = fields.refuse(&[("segment_id", "is not known here")]).expect_err("refused");
        assert_eq!(error.message(), "Bad Request: /segment_id is not known here");
    }
}
