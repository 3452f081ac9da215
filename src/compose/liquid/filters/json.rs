//! JSON in and out.

use std::fmt;
use std::rc::Rc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::super::value::{Mark, Value};
use super::super::write;
use super::{Arguments, Kit, Made};

/// The value as JSON text, which may stand in JSON as it is.
pub(super) fn json<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let mut out = kit.budget.builder();
    write::json(&input, &mut out)?;
    write::marked(out, Mark::Json, kit.budget)
}

/// The text as the inside of a JSON string.
pub(super) fn json_escape<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let text = write::text(&input, kit.budget)?;
    let mut out = kit.budget.builder();
    write::escaped(&text, &mut out)?;
    write::marked(out, Mark::Escaped, kit.budget)
}

/// The value that a JSON text stands for. What is no text stays.
pub(super) fn json_parse<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let Value::Text(text, _) = &input else { return Ok(input) };
    // An item needs two bytes of text at least, and is charged before it is built.
    let items = text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    kit.budget.items(items + 1)?;
    kit.budget.build(text.len())?;
    match serde_json::from_str::<Parsed>(text) {
        Ok(parsed) => Ok(parsed.0),
        Err(why) => Err(format!("the text is not JSON: {why}")),
    }
}

/// A value read from JSON, its fields in their order.
struct Parsed(Value<'static>);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ParsedVisitor)
    }
}

struct ParsedVisitor;

impl<'de> Visitor<'de> for ParsedVisitor {
    type Value = Parsed;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Parsed, E> {
        Ok(Parsed(Value::Nil))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Parsed, E> {
        Ok(Parsed(Value::Bool(truth)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Parsed, E> {
        Ok(Parsed(Value::Int(number)))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Parsed, E> {
        Ok(Parsed(i64::try_from(number).map_or(Value::Large(number), Value::Int)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Parsed, E> {
        Ok(Parsed(Value::Float(number)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Parsed, E> {
        Ok(Parsed(Value::built(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Parsed, A::Error> {
        let mut items = Vec::new();
        while let Some(Parsed(item)) = seq.next_element()? {
            items.push(item);
        }
        Ok(Parsed(Value::list(items)))
    }

    /// A field that comes twice keeps the place of the first and the value of the last.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parsed, A::Error> {
        let mut fields: Vec<(Rc<str>, Value<'static>)> = Vec::new();
        let mut places = std::collections::HashMap::new();
        while let Some((key, Parsed(value))) = map.next_entry::<String, Parsed>()? {
            let key: Rc<str> = key.into();
            match places.get(&key) {
                Some(place) => {
                    let field: &mut (Rc<str>, Value<'static>) = &mut fields[*place];
                    field.1 = value;
                }
                None => {
                    places.insert(key.clone(), fields.len());
                    fields.push((key, value));
                }
            }
        }
        Ok(Parsed(Value::Map(Rc::new(fields))))
    }
}
