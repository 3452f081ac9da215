use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn samples() -> [Value; 3] {
    let hook = json!({"url": "https://a.example/{{ properties.id }}", "body": [1, "x"]});
    let filter = json!({"all": [{"property": "recipient.a", "op": "in", "value": [1]},
        {"not": {"property": "recipient.b", "op": "before", "value": "2026-01-01T00:00:00Z"}}]});
    [
        json!({"name": "t", "tags": ["a"], "webhook": hook}),
        json!({"name": "c", "variants": [{"name": "a", "weight": 1, "webhooks": [hook]}],
            "control_group": 1, "trigger": {"type": "schedule", "cron": "0 9 * * 1"},
            "audience": filter, "recipients": ["u"], "messages_per_minute": 7,
            "reeligible": "1d", "frequency_cap": {"messages": 1, "per": "1d"},
            "quiet_hours": {"from": "22:00", "to": "08:00", "time_zone": "UTC"},
            "stop_after": 9, "metadata": {"a": "b"}}),
        json!({"name": "j", "trigger": {"type": "event", "event": "e"}, "steps": [
            {"id": "a", "type": "webhook", "webhooks": [hook, {"template": "t", "version": 1}]},
            {"id": "b", "type": "delay", "for": "1h"},
            {"id": "c", "type": "branch", "branches": [{"when": filter, "next": "a"}], "else": "d"},
            {"id": "d", "type": "wait_for_event", "event": "e", "timeout": "1d", "on_event": "e"},
            {"id": "e", "type": "exit"}]}),
    ]
}

/// Each document that a sample can be taken for, written again, or what is wrong with it.
fn parse(kind: usize, bytes: &[u8]) -> Result<Value, Vec<Fault>> {
    let written = match kind {
        0 => serde_json::to_value(TemplateDocument::parse(bytes)?),
        1 => serde_json::to_value(Campaign::parse(bytes)?),
        _ => serde_json::to_value(Canvas::parse(bytes)?),
    };
    Ok(written.expect("serialises"))
}

/// Puts `with` over the part that the `at`-th step of a walk through the document comes to.
fn spoil(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| spoil(item, at, with)),
        Value::Object(fields) => fields.values_mut().for_each(|item| spoil(item, at, with)),
        _ => {}
    }
}

#[test]
fn the_samples_are_sound() {
    for (kind, sample) in samples().iter().enumerate() {
        assert_eq!(parse(kind, sample.to_string().as_bytes()).as_ref(), Ok(sample));
    }
}

#[test]
fn a_field_is_given_once() {
    let text = r#"{"name":"a","name":"b","webhook":{"url":"u"}}"#;
    let faults = TemplateDocument::parse(text.as_bytes()).expect_err("refused");
    assert!(faults[0].detail.contains("duplicate field"), "{faults:?}");
}

proptest! {
    #[test]
    fn a_spoiled_document_is_taken_as_it_is_or_refused_with_a_place_in_it(
        kind in 0_usize..3, at in 0_usize..80,
        with in prop_oneof![
            Just(Value::Null), Just(json!({})), Just(json!([])), Just(json!("")), Just(json!("a")),
            Just(json!(0)), Just(json!(-1.5)), Just(json!(true)), Just(json!([[]])),
            Just(json!({"a/b~": {}})), "\\PC{0,20}".prop_map(Value::from),
            any::<u64>().prop_map(Value::from)
        ]
    ) {
        let mut document = samples()[kind].clone();
        spoil(&mut document, &mut at.clone(), &with);
        match parse(kind, document.to_string().as_bytes()) {
            // `null` is the same as not given.
            Ok(written) => prop_assert!(written == document || with.is_null()),
            Err(faults) => {
                for fault in faults {
                    // A field that is missing or unknown has its object for a place.
                    let parent = fault.pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
                    let there = document.pointer(&fault.pointer).or(document.pointer(parent));
                    prop_assert!(there.is_some() && !fault.detail.is_empty(), "{fault:?}");
                }
            }
        }
    }

    #[test]
    fn no_bytes_panic_a_parser(
        bytes in proptest::collection::vec(any::<u8>(), 0..200), cut in 0_usize..2000
    ) {
        for (kind, sample) in samples().iter().enumerate() {
            prop_assert!(parse(kind, &bytes).is_err());
            let text = sample.to_string();
            let cut = cut.min(text.len() - 1);
            prop_assert!(parse(kind, &text.as_bytes()[..cut]).is_err());
        }
    }
}
