//! What authors of campaigns write, and what is written to recipients.

use hostline::compose::attributes;
use hostline::compose::document::{Campaign, Canvas, Fault, TemplateDocument};
use hostline::compose::filter::{Answer, Facts, Filter, RecipientFacts, Root};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::targets::{halves, note};

/// Faults told at once.
const FAULTS_MAX: usize = 50;
/// All that a filter may look at.
const ROOTS: &[Root] = &[
    Root::Properties,
    Root::EventProperties,
    Root::Recipient,
    Root::EntryProperties,
    Root::Response,
];

/// A document; its kind stands in the first line.
pub fn document(data: &[u8]) {
    let (kind, text) = halves(data, b'\n');
    match kind {
        b"campaign" => written(text, Campaign::parse),
        b"canvas" => written(text, Canvas::parse),
        b"template" => written(text, TemplateDocument::parse),
        _ => {}
    }
}

/// What was taken is written as it came, and is taken again.
fn written<T: Serialize>(text: &[u8], parse: fn(&[u8]) -> Result<T, Vec<Fault>>) {
    let document = match parse(text) {
        Ok(document) => document,
        Err(faults) => return located(text, &faults),
    };
    let written = serde_json::to_vec(&document).expect("plain data");
    let again = parse(&written).unwrap_or_else(|faults| {
        panic!("{} is refused: {faults:?}", String::from_utf8_lossy(&written))
    });
    alike(&again, &written);
    // Numbers that no float holds stay as they are written; here they cannot be read.
    let (Ok(came), Ok(went)) = (serde_json::from_slice(text), serde_json::from_slice(&written))
    else {
        return;
    };
    let (came, went) = (without_null(came), without_null(went));
    assert!(same(&came, &went), "{came} became {went}");
    note("taken");
}

/// Wants a document to be written as it was; answers whether it is to the last digit, which the
/// parser of numbers may lose.
pub fn alike(document: &impl Serialize, before: &[u8]) -> bool {
    let now = serde_json::to_vec(document).expect("plain data");
    let (Ok(old), Ok(new)) = (serde_json::from_slice(before), serde_json::from_slice(&now)) else {
        return now == before;
    };
    assert!(same(&old, &new), "{old} became {new}");
    now == before
}

/// Whether two values say the same, but for the last digit of a number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one != other => {
            let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(1.0));
            (one - other).abs() <= one.abs() * 1e-15
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|it| same(one, it)))
        }
        _ => one == other,
    }
}

/// A field that is `null` counts as not given.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let given = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(given.map(|(name, value)| (name, without_null(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(without_null).collect()),
        other => other,
    }
}

/// Each fault says what is wrong, at a place that there is: a field that is missing is at fault
/// within an object that is not.
pub fn located(text: &[u8], faults: &[Fault]) {
    assert!((1..=FAULTS_MAX).contains(&faults.len()), "{} faults", faults.len());
    for fault in faults {
        assert!(!fault.detail.is_empty());
        note(&fault.detail);
        at_a_place(text, &fault.pointer);
    }
}

/// Whether a pointer leads to a place in a text, which is JSON unless the text is at fault whole.
pub fn at_a_place(text: &[u8], pointer: &str) {
    assert!(pointer.is_empty() || pointer.starts_with('/'), "{pointer:?}");
    let Ok(value) = serde_json::from_slice::<Value>(text) else { return };
    // Of a field that is given twice the first may be at fault, and here the last one is left.
    let quotes = |text: &[u8]| text.iter().filter(|byte| **byte == b'"').count();
    if quotes(text) > quotes(value.to_string().as_bytes()) {
        return;
    }
    let parent = pointer.rfind('/').map_or("", |at| &pointer[..at]);
    assert!(value.pointer(parent).is_some(), "{pointer:?} leads nowhere in {value}");
}

/// A filter; after a NUL, what it looks at.
pub fn filter(data: &[u8]) {
    let (text, facts) = halves(data, 0);
    let filter = match Filter::parse(text, ROOTS) {
        Ok(filter) => filter,
        Err(faults) => return located(text, &faults),
    };
    let written = serde_json::to_vec(&filter).expect("plain data");
    let again = Filter::parse(&written, ROOTS).expect("what was written can be read");
    let is_exact = alike(&again, &written);
    let facts: Value = serde_json::from_slice(facts).unwrap_or_default();
    let none = Map::new();
    let attributes = facts["attributes"].as_object().unwrap_or(&none);
    let answer: Option<Answer> = serde_json::from_value(facts["response"].clone()).ok();
    let facts = Facts {
        properties: facts.get("properties"),
        event_properties: facts.get("event_properties"),
        recipient: Some(RecipientFacts { external_id: "r", attributes }),
        entry_properties: facts.get("entry_properties"),
        response: answer.as_ref(),
    };
    let passes = filter.passes(&facts);
    assert!(!is_exact || again.passes(&facts) == passes);
    assert_eq!(Filter::Not(Box::new(filter.clone())).passes(&facts), !passes);
    note(if passes { "passes" } else { "does not pass" });
    // What it does not read it does not mind.
    if !filter.reads(Root::Properties) {
        assert_eq!(filter.passes(&Facts { properties: None, ..facts }), passes);
    }
    if !filter.reads(Root::Recipient) {
        assert_eq!(filter.passes(&Facts { recipient: None, ..facts }), passes);
    }
}

/// What is kept of a recipient; after a NUL, what is written to it.
pub fn attribute_writes(data: &[u8]) {
    let (kept, writes) = halves(data, 0);
    let object = |text| serde_json::from_slice::<Map<String, Value>>(text);
    let (Ok(kept), Ok(map)) = (object(kept), object(writes)) else { return };
    let mut changed = kept.clone();
    if let Err(faults) = attributes::apply(&mut changed, &map) {
        assert_eq!(changed, kept, "all writes or none");
        return located(writes, &faults);
    }
    let size = serde_json::to_vec(&changed).expect("plain data").len();
    assert!(size <= attributes::PROFILE_BYTES_MAX, "{size} bytes");
    for name in changed.keys().chain(kept.keys()) {
        let untouched = !map.contains_key(name);
        assert!(!untouched || changed.get(name) == kept.get(name), "{name} was not written to");
    }
    for (name, value) in &map {
        assert!(!value.is_null() || !changed.contains_key(name), "{name} was to be removed");
    }
    note("applied");
    // Whatever does not count up says the same the second time.
    let counts = |value: &Value| value.get("inc").is_some();
    if !map.values().any(counts) {
        let mut again = changed.clone();
        assert_eq!(attributes::apply(&mut again, &map), Ok(()), "the same again");
        assert_eq!(again, changed, "the same again");
    }
}
