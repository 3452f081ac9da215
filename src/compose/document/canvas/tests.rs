use serde_json::{Value, json};

use super::*;

fn canvas(steps: &Value) -> Value {
    json!({"name": "onboarding", "trigger": {"type": "api"}, "steps": steps})
}

fn parse(json: &Value) -> Result<Canvas, Vec<Fault>> {
    Canvas::parse(json.to_string().as_bytes())
}

fn send(id: &str) -> Value {
    json!({"id": id, "type": "webhook", "webhooks": [{"url": "https://a.example/"}]})
}

fn with(mut step: Value, key: &str, value: Value) -> Value {
    step[key] = value;
    step
}

fn gold(next: &str) -> Value {
    json!([{"when": {"property": "recipient.plan", "op": "equals", "value": "gold"}, "next": next}])
}

#[test]
fn canvases_come_back_as_they_were_written() {
    let json = json!({
        "name": "onboarding", "description": "d", "tags": ["t"], "reeligible": "never",
        "trigger": {"type": "event", "event": "signed_up"},
        "audience": {"property": "entry_properties.source", "op": "exists"},
        "steps": [
            send("hello"),
            {"id": "pause", "type": "delay", "for": "48h"},
            {"id": "date", "type": "delay", "until": "2026-12-24T18:00:00+01:00", "next": "which"},
            {"id": "which", "type": "branch", "branches": [{"when":
                {"property": "response.status", "op": "equals", "value": 200}, "next": "wait"}],
                "else": "out"},
            {"id": "wait", "type": "wait_for_event", "event": "booked", "timeout": "3d",
                "filter": {"property": "event_properties.total", "op": "greater", "value": 5},
                "on_event": "hello", "on_timeout": "out"},
            {"id": "out", "type": "exit"}
        ]
    });
    let parsed = parse(&json).expect("valid");
    assert_eq!(serde_json::to_value(&parsed).expect("serialises"), json);
    assert_eq!(parsed.after(0), Some("pause"));
    assert_eq!(parsed.after(5), None);
}

#[test]
fn what_a_person_gets_wrong_is_pointed_at() {
    let delay = json!({"id": "d", "type": "delay", "for": "1h"});
    let branch = |next: &str| json!({"id": "b", "type": "branch", "branches": gold(next)});
    let wait = json!({"id": "w", "type": "wait_for_event", "event": "e", "timeout": "1d"});
    let passed = json!({"id": "u", "type": "delay", "until": "2020-01-01T00:00:00Z", "next": "a"});
    let many: Vec<Value> = (0..201).map(|number| send(&number.to_string())).collect();
    for (steps, pointer, words) in [
        (json!([]), "/steps", "1 to 200"),
        (json!(many), "/steps", "1 to 200"),
        (json!([send("")]), "/steps/0/id", "empty"),
        (json!([send("a"), send("a")]), "/steps/1/id", "repeats"),
        (json!([{"id": "a", "type": "sms"}]), "/steps/0/type", "unknown variant"),
        (json!([{"id": "a", "type": "webhook"}]), "/steps/0/webhooks", "missing"),
        (json!([with(send("a"), "next", json!("b"))]), "/steps/0/next", "no step \"b\""),
        (json!([with(send("a"), "for", json!("1h"))]), "/steps/0/for", "no meaning"),
        (json!([branch("x")]), "/steps/0/branches/0/next", "no step"),
        (json!([with(branch("b"), "else", json!("x"))]), "/steps/0/else", "no step"),
        (json!([with(branch("b"), "next", json!("b"))]), "/steps/0/next", "`else`"),
        (json!([with(wait.clone(), "on_event", json!("x"))]), "/steps/0/on_event", "no step"),
        (json!([with(wait.clone(), "on_timeout", json!("x"))]), "/steps/0/on_timeout", "no step"),
        (json!([with(wait, "timeout", json!("10ms"))]), "/steps/0/timeout", "second"),
        (
            json!([{"id": "w", "type": "wait_for_event", "event": "e"}]),
            "/steps/0/timeout",
            "missing",
        ),
        (
            json!([{"id": "w", "type": "wait_for_event", "timeout": "1d"}]),
            "/steps/0/event",
            "missing",
        ),
        (json!([{"id": "d", "type": "delay"}]), "/steps/0/for", "missing"),
        (json!([with(delay.clone(), "for", json!("5ms"))]), "/steps/0/for", "second"),
        (
            json!([with(delay, "until", json!("2027-01-01T00:00:00Z"))]),
            "/steps/0/until",
            "not both",
        ),
        (json!([{"id": "x", "type": "exit", "next": "x"}]), "/steps/0/next", "no meaning"),
        (json!([{"id": "x", "type": "exit"}, send("a")]), "/steps/1", "never be reached"),
        (json!([with(send("a"), "next", json!("a"))]), "/steps/0", "circle"),
        (json!([branch("b"), send("a")]), "/steps/0", "circle"),
        (json!([send("a"), passed]), "/steps/0", "circle"),
        (json!([{"id": "b", "type": "branch", "branches": []}]), "/steps/0/branches", "1 to 50"),
        (
            json!([{"id": "b", "type": "branch", "branches": [{"next": "b"}]}]),
            "/steps/0/branches/0",
            "when",
        ),
    ] {
        let faults = parse(&canvas(&steps)).expect_err(&steps.to_string());
        assert_eq!(faults[0].pointer, pointer, "{steps}: {faults:?}");
        assert!(faults[0].detail.contains(words), "{steps}: {faults:?}");
    }
    let scheduled = json!({"name": "a", "steps": [send("a")],
        "trigger": {"type": "schedule", "cron": "@daily"}});
    assert_eq!(parse(&scheduled).expect_err("refused")[0].pointer, "/trigger/type");
}

#[test]
fn a_circle_that_waits_is_taken() {
    let steps = json!([
        send("a"), {"id": "d", "type": "delay", "for": "1h"},
        {"id": "b", "type": "branch", "branches": gold("a"), "else": "x"},
        {"id": "x", "type": "exit"}
    ]);
    parse(&canvas(&steps)).expect("valid");
    let many: Vec<Value> = (0..200).map(|number| send(&number.to_string())).collect();
    parse(&canvas(&json!(many))).expect("200 steps");
}
