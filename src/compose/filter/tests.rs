use proptest::prelude::*;
use serde_json::json;

use super::*;

const ROOTS: [Root; 5] = [
    Root::Properties,
    Root::EventProperties,
    Root::Recipient,
    Root::EntryProperties,
    Root::Response,
];

fn filter(json: Value) -> Filter {
    Filter::parse(json.to_string().as_bytes(), &ROOTS).expect("valid")
}

fn passes(property: &str, op: &str, value: Value, event: &Value) -> bool {
    let mut test = json!({"property": format!("event_properties.{property}"), "op": op});
    if !value.is_null() {
        test["value"] = value;
    }
    filter(test).passes(&Facts { event_properties: Some(event), ..Facts::default() })
}

fn fault(json: &Value) -> (String, String) {
    let faults = Filter::parse(json.to_string().as_bytes(), &ROOTS).expect_err("refused");
    (faults[0].pointer.clone(), faults[0].detail.clone())
}

#[test]
fn each_operator_has_its_meaning() {
    let event = json!({"total": 10.0, "plan": "gold", "tags": ["a", 2], "on": true,
        "at": "2026-11-24T08:00:00+01:00", "big": 9_007_199_254_740_993_i64});
    for (property, op, value, wanted) in [
        ("total", "equals", json!(10), true),
        ("total", "equals", json!("10"), false),
        ("total", "not_equals", json!("10"), true),
        ("plan", "equals", json!("Gold"), false),
        ("on", "equals", json!(true), true),
        ("tags", "equals", json!(["a", 2.0]), true),
        ("plan", "contains", json!("ol"), true),
        ("tags", "contains", json!(2), true),
        ("tags", "contains", json!("2"), false),
        ("total", "contains", json!(1), false),
        ("tags", "not_contains", json!("z"), true),
        ("total", "greater", json!(10), false),
        ("total", "at_least", json!(10), true),
        ("total", "less", json!(10.5), true),
        ("total", "at_most", json!(9), false),
        ("plan", "greater", json!(1), false),
        ("big", "greater", json!(9_007_199_254_740_992_i64), true),
        ("plan", "exists", Value::Null, true),
        ("plan", "not_exists", Value::Null, false),
        ("plan", "in", json!(["silver", "gold"]), true),
        ("total", "in", json!(["10"]), false),
        ("total", "not_in", json!([10]), false),
        ("at", "before", json!("2026-11-24T07:00:01Z"), true),
        ("at", "after", json!("2026-11-24T07:00:00Z"), false),
        ("plan", "before", json!("2026-11-24T07:00:00Z"), false),
        ("tags.1", "equals", json!(2), true),
        ("tags.9", "not_exists", Value::Null, true),
        ("plan.deeper", "exists", Value::Null, false),
    ] {
        let told = format!("{property} {op} {value}");
        assert_eq!(passes(property, op, value, &event), wanted, "{told}");
    }
}

#[test]
fn of_an_absent_property_only_the_negations_are_true() {
    for event in [json!({}), json!({"x": null}), json!(5)] {
        for (op, value, wanted) in [
            ("equals", json!(1), false),
            ("not_equals", json!(1), true),
            ("contains", json!("a"), false),
            ("not_contains", json!("a"), true),
            ("greater", json!(-1), false),
            ("at_most", json!(1), false),
            ("exists", Value::Null, false),
            ("not_exists", Value::Null, true),
            ("in", json!([1]), false),
            ("not_in", json!([1]), true),
            ("before", json!("2026-11-24T07:00:00Z"), false),
        ] {
            assert_eq!(passes("x", op, value, &event), wanted, "{op} of {event}");
        }
    }
}

#[test]
fn recipients_and_answers_have_their_paths() {
    let attributes = json!({"plan": "gold", "home": {"city": "Berlin"}});
    let recipient = RecipientFacts {
        external_id: "u1",
        attributes: attributes.as_object().expect("an object"),
    };
    let answer = Answer { delivered: false, status: Some(422), body: json!({"code": "gone"}) };
    let facts = Facts { recipient: Some(recipient), response: Some(&answer), ..Facts::default() };
    for (property, value) in [
        ("recipient.external_id", json!("u1")),
        ("recipient.plan", json!("gold")),
        ("recipient.attributes.plan", json!("gold")),
        ("recipient.home.city", json!("Berlin")),
        ("response.status", json!(422)),
        ("response.delivered", json!(false)),
        ("response.body.code", json!("gone")),
    ] {
        let test = filter(json!({"property": property, "op": "equals", "value": value}));
        assert!(test.passes(&facts), "{property}");
    }
    let silent = Answer::default();
    let test = filter(json!({"property": "response.status", "op": "not_exists"}));
    assert!(test.passes(&Facts { response: Some(&silent), ..Facts::default() }));
}

fn test(property: &str, op: &str, value: Value) -> Value {
    json!({"property": property, "op": op, "value": value})
}

#[test]
fn a_faulty_filter_is_pointed_at() {
    for (json, pointer, words) in [
        (test("event_properties.x", "is", json!(1)), "/op", "not_contains"),
        (test("event.x", "equals", json!(1)), "/property", "event_properties"),
        (test("recipient", "equals", json!(1)), "/property", "recipient.NAME"),
        (test("response.stats", "equals", json!(1)), "/property", "response.status"),
        (test("recipient.a..b", "equals", json!(1)), "/property", "names no property"),
        (test("recipient.x", "greater", json!("5")), "/value", "without quotes"),
        (test("recipient.x", "before", json!("noon")), "/value", "RFC 3339"),
        (test("recipient.x", "in", json!(5)), "/value", "a list"),
        (test("recipient.x", "in", json!([])), "/value", "empty"),
        (test("recipient.x", "exists", json!(1)), "/value", "leave it out"),
        (test("recipient.x", "equals", Value::Null), "/value", "exists"),
        (json!({"property": "recipient.x"}), "/op", "missing"),
        (json!({"op": "exists"}), "/property", "missing"),
        (json!({"all": []}), "/all", "empty"),
        (json!({"any": [{"all": [{"not": {"op": "exists"}}]}]}), "/any/0/all/0/not/property", ""),
        (json!({}), "", "give one of"),
        (json!({"all": [{"any": []}], "any": []}), "", "give one of"),
        (json!({"all": [{"colour": 1}]}), "/all/0/colour", "unknown field"),
    ] {
        let (found, detail) = fault(&json);
        assert_eq!(found, pointer, "{json}: {detail}");
        assert!(detail.contains(words), "{json}: {detail}");
    }
}

#[test]
fn depth_and_size_are_bounded() {
    let leaf = json!({"property": "recipient.x", "op": "exists"});
    let nested = |levels| (0..levels).fold(leaf.clone(), |inner, _| json!({"not": inner}));
    filter(nested(15));
    assert!(fault(&nested(16)).1.contains("deeper"));
    filter(json!({"all": vec![leaf.clone(); 199]}));
    assert!(fault(&json!({"all": vec![leaf.clone(); 200]})).1.contains("200 parts"));
    let hostile = format!("{}{}", "{\"not\":".repeat(20_000), "}".repeat(20_000));
    assert!(Filter::parse(hostile.as_bytes(), &ROOTS).is_err());
}

#[test]
fn a_root_that_is_not_known_here_is_refused() {
    let text = r#"{"property":"response.status","op":"exists"}"#;
    let faults = Filter::parse(text.as_bytes(), &[Root::Recipient]).expect_err("refused");
    assert_eq!(faults[0].detail, "response is not known here; recipient are");
}

fn wanted() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-3_i64..3).prop_map(Value::from),
        (-3_i64..3).prop_map(|n| json!(n as f64)),
        "[ab1]{0,2}".prop_map(Value::from),
    ]
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![1 => Just(Value::Null), 4 => wanted()]
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        scalar(),
        proptest::collection::vec(scalar(), 0..3).prop_map(Value::from),
        scalar().prop_map(|inner| json!({"a": inner})),
    ]
}

proptest! {
    #[test]
    fn a_negation_is_the_exact_opposite(found in value(), wanted in wanted()) {
        let event = json!({"x": found});
        let list = json!([wanted]);
        for (op, value) in [("equals", &wanted), ("contains", &wanted), ("in", &list)] {
            let plain = passes("x", op, value.clone(), &event);
            let negated = passes("x", &format!("not_{op}"), value.clone(), &event);
            prop_assert_ne!(plain, negated);
        }
        let exists = passes("x", "exists", Value::Null, &event);
        prop_assert_ne!(exists, passes("x", "not_exists", Value::Null, &event));
    }

    #[test]
    fn in_is_equals_with_one_of_them(found in value(), one in wanted(), two in wanted()) {
        let event = json!({"x": found});
        let either = passes("x", "equals", one.clone(), &event)
            || passes("x", "equals", two.clone(), &event);
        prop_assert_eq!(passes("x", "in", json!([one, two]), &event), either);
    }

    #[test]
    fn a_filter_comes_back_as_it_was_written(found in value(), deep in 0_usize..4) {
        prop_assume!(!found.is_null());
        let leaf = json!({"property": "recipient.x", "op": "equals", "value": found});
        let tree = (0..deep).fold(leaf, |inner, level| match level % 3 {
            0 => json!({"not": inner}),
            1 => json!({"all": [inner]}),
            _ => json!({"any": [inner.clone(), inner]}),
        });
        prop_assert_eq!(serde_json::to_value(filter(tree.clone())).expect("serialises"), tree);
    }
}
