use proptest::prelude::*;
use serde_json::json;

use super::*;

fn object(json: Value) -> Map<String, Value> {
    match json {
        Value::Object(fields) => fields,
        other => panic!("not an object: {other}"),
    }
}

fn applied(before: Value, writes: Value) -> Value {
    let mut attributes = object(before);
    apply(&mut attributes, &object(writes)).expect("taken");
    Value::Object(attributes)
}

fn refused(before: Value, writes: Value) -> Fault {
    let mut attributes = object(before.clone());
    let faults = apply(&mut attributes, &object(writes)).expect_err("refused");
    assert_eq!(Value::Object(attributes), before, "a refused write leaves all as it was");
    faults[0].clone()
}

#[test]
fn each_write_has_its_meaning() {
    for (before, writes, after) in [
        (json!({}), json!({"a": "x", "b": {"c": [1]}}), json!({"a": "x", "b": {"c": [1]}})),
        (json!({"a": {"b": 1, "c": 2}}), json!({"a": {"b": 3}}), json!({"a": {"b": 3}})),
        (json!({"a": 1, "b": 2}), json!({"a": null, "z": null}), json!({"b": 2})),
        (json!({"n": 5}), json!({"n": {"inc": -7}}), json!({"n": -2})),
        (json!({}), json!({"n": {"inc": 3}}), json!({"n": 3})),
        (json!({"n": 1}), json!({"n": {"inc": 0.5}}), json!({"n": 1.5})),
        (
            json!({"l": ["a", "b"]}),
            json!({"l": {"add": ["c", "a"]}}),
            json!({"l": ["b", "c", "a"]}),
        ),
        (json!({}), json!({"l": {"$add": [1, 1]}}), json!({"l": [1]})),
        (json!({"l": ["a", 1, "a"]}), json!({"l": {"$remove": ["a", 1.0]}}), json!({"l": []})),
        (json!({}), json!({"l": {"remove": ["a"]}}), json!({})),
        (json!({"l": [1, 2]}), json!({"l": {"add": [3], "remove": [1]}}), json!({"l": [2, 3]})),
        (json!({}), json!({"a": {"inc": 1, "unit": "m"}}), json!({"a": {"inc": 1, "unit": "m"}})),
        (json!({}), json!({"a": {"add": [1], "to": 2}}), json!({"a": {"add": [1], "to": 2}})),
        (json!({}), json!({"a": {}}), json!({"a": {}})),
    ] {
        let told = writes.to_string();
        assert_eq!(applied(before, writes), after, "{told}");
    }
}

#[test]
fn what_cannot_be_written_is_pointed_at() {
    let long = "x".repeat(STRING_MAX + 1);
    let deep = (0..20).fold(json!(1), |inner, _| json!([inner]));
    let full: Vec<Value> = (0..ARRAY_MAX).map(Value::from).collect();
    let over: Vec<Value> = (0..=ARRAY_MAX).map(Value::from).collect();
    for (before, writes, pointer, words) in [
        (json!({}), json!({"": 1}), "/", "1 to 255"),
        (json!({}), json!({"a".repeat(256): 1}), &*format!("/{}", "a".repeat(256)), "1 to 255"),
        (json!({}), json!({"external_id": "u"}), "/external_id", "own name"),
        (json!({}), json!({"a": long.clone()}), "/a", "10000"),
        (json!({}), json!({"a": {"b": [long]}}), "/a/b/0", "10000"),
        (json!({}), json!({"a": over}), "/a", "at most 500"),
        (json!({"a": full}), json!({"a": {"add": [-1]}}), "/a", "at most 500"),
        (json!({"a": 1}), json!({"a/b": {"inc": "2"}}), "/a~1b/inc", "no number"),
        (json!({"a": "1"}), json!({"a": {"inc": 2}}), "/a", "is a string"),
        (json!({"a": i64::MAX}), json!({"a": {"inc": 1}}), "/a", "64 bits"),
        (json!({"a": 1.7e308}), json!({"a": {"inc": 1.7e308}}), "/a", "exceed"),
        (json!({"a": "x"}), json!({"a": {"add": [1]}}), "/a", "is a string"),
        (json!({}), json!({"a": {"add": 1}}), "/a/add", "no list"),
        (json!({}), json!({"a": {"add": [1], "$add": [2]}}), "/a/add", "twice"),
    ] {
        let fault = refused(before, writes.clone());
        assert_eq!(fault.pointer, pointer, "{writes}");
        assert!(fault.detail.contains(words), "{writes}: {fault:?}");
    }
    assert!(refused(json!({}), json!({"a": deep})).detail.contains("deeper"));
}

#[test]
fn one_bad_write_among_many_changes_nothing_and_all_are_told() {
    let mut attributes = object(json!({"n": "x", "m": "y"}));
    let writes = object(json!({"a": 1, "m": {"inc": 1}, "n": {"inc": 1}}));
    let faults = apply(&mut attributes, &writes).expect_err("refused");
    assert_eq!(faults.len(), 2);
    assert_eq!(Value::Object(attributes), json!({"n": "x", "m": "y"}));
}

#[test]
fn a_profile_has_a_size() {
    let mut attributes = Map::new();
    let value = "x".repeat(STRING_MAX);
    for number in 0..6 {
        apply(&mut attributes, &object(json!({format!("a{number}"): value}))).expect("fits");
    }
    let over = object(json!({"a6": value}));
    let faults = apply(&mut attributes, &over).expect_err("too much");
    assert!(faults[0].pointer.is_empty() && faults[0].detail.contains("65536"), "{faults:?}");
    // Making room in the same call counts.
    let swap = object(json!({"a6": value, "a0": null}));
    apply(&mut attributes, &swap).expect("fits");
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![(-2_i64..3).prop_map(Value::from), "[ab]{0,1}".prop_map(Value::from)]
}

proptest! {
    #[test]
    fn increments_add_up(numbers in proptest::collection::vec(-1_000_000_i64..1_000_000, 1..50)) {
        let mut attributes = Map::new();
        for number in &numbers {
            apply(&mut attributes, &object(json!({"n": {"inc": number}}))).expect("fits");
        }
        prop_assert_eq!(&attributes["n"], &json!(numbers.iter().sum::<i64>()));
    }

    #[test]
    fn what_was_added_is_there_once_and_what_was_removed_is_not(
        before in proptest::collection::vec(scalar(), 0..8),
        add in proptest::collection::vec(scalar(), 0..5),
        remove in proptest::collection::vec(scalar(), 0..5)
    ) {
        let writes = json!({"l": {"add": add, "remove": remove}});
        let after = applied(json!({"l": before}), writes.clone());
        let items = after["l"].as_array().expect("a list");
        for value in &add {
            prop_assert_eq!(items.iter().filter(|item| *item == value).count(), 1);
        }
        for value in &remove {
            prop_assert!(add.contains(value) || !items.contains(value));
        }
        // Doing it twice is doing it once.
        prop_assert_eq!(&applied(after.clone(), writes), &after);
    }

    #[test]
    fn null_takes_back_what_a_value_set(name in "[a-z]{1,5}", value in scalar()) {
        let set = applied(json!({}), json!({name.clone(): value}));
        prop_assert_eq!(applied(set, json!({name: null})), json!({}));
    }
}
