use serde_json::{Value, json};

use super::*;

fn hook() -> Value {
    json!({"url": "https://shop.example/{{ properties.id }}", "body": {"a": 1.0}})
}

/// A plain campaign with these fields put over it; `null` takes one away.
fn campaign(fields: Value) -> Value {
    let mut json = json!({"name": "welcome", "webhooks": [hook()], "trigger": {"type": "api"}});
    for (key, value) in fields.as_object().expect("an object") {
        match value {
            Value::Null => json.as_object_mut().expect("an object").remove(key),
            value => json.as_object_mut().expect("an object").insert(key.clone(), value.clone()),
        };
    }
    json
}

fn parse(json: &Value) -> Result<Campaign, Vec<Fault>> {
    Campaign::parse(json.to_string().as_bytes())
}

fn schedule() -> Value {
    json!({"type": "schedule", "cron": "0 9 * * 1", "time_zone": "Europe/Berlin"})
}

#[test]
fn campaigns_come_back_as_they_were_written() {
    let full = json!({
        "name": "Wiederkehr", "description": "for those who left\nand came back",
        "tags": ["crm", "winter"],
        "variants": [
            {"name": "a", "weight": 50, "webhooks": [hook(), {"template": "t", "version": 3}]},
            {"name": "b", "weight": 0, "webhooks": [{"template": "t"}]}
        ],
        "control_group": 10, "trigger": schedule(),
        "audience": {"all": [{"property": "recipient.plan", "op": "in", "value": ["gold", 1]},
            {"not": {"property": "recipient.left", "op": "exists"}}]},
        "recipients": ["u1", "u2"], "messages_per_minute": 600, "reeligible": "90m",
        "frequency_cap": {"messages": 3, "per": "7d"},
        "quiet_hours": {"from": "22:00", "to": "08:00", "time_zone": "Europe/Berlin"},
        "stop_after": 1000, "stop_at": "2027-01-01T00:00:00+01:00", "priority": "high",
        "ordering_key": "{{ recipient.external_id }}", "metadata": {"order": "{{ properties.id }}"},
        "ttl": "1h30m"
    });
    let event = campaign(json!({"trigger": {"type": "event", "event": "booked",
        "filter": {"property": "event_properties.total", "op": "at_least", "value": 10}}}));
    let once = campaign(json!({"trigger": {"type": "schedule", "at": "2026-12-01T09:00:00Z"}}));
    for json in [full, event, once, campaign(json!({"tags": [], "reeligible": "always"}))] {
        let parsed = parse(&json).unwrap_or_else(|faults| panic!("{json}: {faults:?}"));
        let written = serde_json::to_vec(&parsed).expect("serialises");
        assert_eq!(serde_json::from_slice::<Value>(&written).expect("JSON"), json);
        let again = Campaign::parse(&written).expect("reads what it wrote");
        assert_eq!(serde_json::to_vec(&again).expect("serialises"), written);
    }
}

#[test]
fn a_webhook_is_kept_byte_for_byte() {
    let hook = r#"{ "url" : "u", "body":{"z":1.50,"a":12345678901234567890123} }"#;
    let text = format!(r#"{{"name":"a","webhooks":[{hook}],"trigger":{{"type":"api"}}}}"#);
    let parsed = Campaign::parse(text.as_bytes()).expect("valid");
    assert_eq!(serde_json::to_string(&parsed).expect("serialises"), text);
}

#[test]
fn plain_webhooks_weigh_what_the_control_group_leaves() {
    let plain = parse(&campaign(json!({"control_group": 20}))).expect("valid");
    assert_eq!(plain.weights(), (vec![80], 20));
    assert_eq!(plain.webhooks(0).len(), 1);
    let without = parse(&campaign(json!({}))).expect("valid");
    assert_eq!(without.weights(), (vec![100], 0));
}

#[test]
fn what_a_person_gets_wrong_is_pointed_at() {
    let variant = |weight: u32| json!({"name": "a", "weight": weight, "webhooks": [hook()]});
    let of = |list: Value| campaign(json!({"webhooks": null, "variants": list}));
    let on = |trigger: Value| campaign(json!({"trigger": trigger}));
    let quiet = |from: &str, to: &str, zone: &str| {
        campaign(json!({"quiet_hours": {"from": from, "to": to, "time_zone": zone}}))
    };
    let cap = |messages: i64, per: &str| {
        campaign(json!({"frequency_cap": {"messages": messages, "per": per}}))
    };
    for (json, pointer, words) in [
        (campaign(json!({"name": null})), "", "missing field `name`"),
        (campaign(json!({"name": " "})), "/name", "empty"),
        (campaign(json!({"name": "x".repeat(256)})), "/name", "255"),
        (campaign(json!({"tags": vec!["x"; 51]})), "/tags", "0 to 50"),
        (campaign(json!({"webhooks": null})), "/webhooks", "missing"),
        (campaign(json!({"webhooks": []})), "/webhooks", "1 to 50"),
        (campaign(json!({"webhooks": vec![hook(); 51]})), "/webhooks", "1 to 50"),
        (campaign(json!({"webhooks": [5]})), "/webhooks/0", "not an object"),
        (campaign(json!({"webhooks": [{}]})), "/webhooks/0", "url"),
        (campaign(json!({"webhooks": [{"template": "t", "url": "u"}]})), "/webhooks/0", "only"),
        (
            campaign(json!({"webhooks": [{"template": "t", "version": 0}]})),
            "/webhooks/0/version",
            "1",
        ),
        (campaign(json!({"variants": [variant(1)]})), "/variants", "not both"),
        (of(json!([])), "/variants", "1 to 20"),
        (of(json!([variant(0)])), "/variants", "no weight"),
        (of(json!([variant(1), variant(1)])), "/variants/1/name", "repeats"),
        (of(json!([variant(1_000_001)])), "/variants/0/weight", "1000000"),
        (of(json!([{"name": "a", "weight": -1, "webhooks": []}])), "/variants/0/weight", "-1"),
        (of(json!([{"name": "a", "weight": 1}])), "/variants/0/webhooks", "missing"),
        (campaign(json!({"control_group": 100})), "/control_group", "percentage"),
        (campaign(json!({"trigger": null})), "", "missing field `trigger`"),
        (on(json!({"type": "sms"})), "/trigger/type", "unknown variant"),
        (on(json!({"type": "event"})), "/trigger/event", "missing"),
        (on(json!({"type": "event", "event": ""})), "/trigger/event", "empty"),
        (on(json!({"type": "api", "event": "a"})), "/trigger/event", "no meaning"),
        (
            on(json!({"type": "event", "event": "a", "at": "2026-12-01T09:00:00Z"})),
            "/trigger/at",
            "no",
        ),
        (on(json!({"type": "schedule"})), "/trigger/at", "missing"),
        (on(json!({"type": "schedule", "at": "noon"})), "/trigger/at", "RFC 3339"),
        (on(json!({"type": "schedule", "cron": "0 0 30 2 *"})), "/trigger/cron", "never fires"),
        (on(json!({"type": "schedule", "cron": "9 o'clock"})), "/trigger/cron", "not a cron"),
        (
            on(json!({"type": "schedule", "cron": "@daily", "time_zone": "Mars/X"})),
            "/trigger/time_zone",
            "zone",
        ),
        (
            on(json!({"type": "event", "event": "a",
                    "filter": {"property": "response.status", "op": "exists"}})),
            "/trigger/filter/property",
            "not known here",
        ),
        (
            campaign(json!({"audience": {"property": "recipient.a", "op": "like"}})),
            "/audience/op",
            "equals",
        ),
        (campaign(json!({"recipients": ["u"]})), "/recipients", "scheduled"),
        (
            campaign(json!({"trigger": schedule(), "recipients": ["u", "u"]})),
            "/recipients/1",
            "repeats",
        ),
        (campaign(json!({"messages_per_minute": 0})), "/messages_per_minute", "1 to 1000000"),
        (campaign(json!({"messages_per_minute": 1_000_001})), "/messages_per_minute", "1 to"),
        (campaign(json!({"reeligible": "sometimes"})), "/reeligible", "never"),
        (cap(0, "1d"), "/frequency_cap/messages", "1 to 100"),
        (cap(1, "0s"), "/frequency_cap/per", "zero"),
        (cap(1, "367d"), "/frequency_cap/per", "366"),
        (quiet("22:00", "22:00", "UTC"), "/quiet_hours/to", "same"),
        (quiet("22", "8", "UTC"), "/quiet_hours/from", "HH:MM"),
        (quiet("22:00", "08:00", "Berlin"), "/quiet_hours/time_zone", "time zone"),
        (campaign(json!({"stop_after": 0})), "/stop_after", "0"),
        (campaign(json!({"stop_at": "2027"})), "/stop_at", "RFC 3339"),
        (campaign(json!({"ordering_key": ""})), "/ordering_key", "empty"),
        (campaign(json!({"metadata": {"": "x"}})), "/metadata/", "1 to 64"),
        (campaign(json!({"metadata": {"a": 5}})), "/metadata/a", "string"),
        (campaign(json!({"ttl": "0s"})), "/ttl", "zero"),
        (campaign(json!({"priority": "urgent"})), "/priority", "unknown"),
        (campaign(json!({"status": "live"})), "/status", "unknown field"),
        (json!([]), "", "a campaign"),
    ] {
        let faults = parse(&json).expect_err(&json.to_string());
        assert_eq!(faults[0].pointer, pointer, "{json}: {faults:?}");
        assert!(faults[0].detail.contains(words), "{json}: {faults:?}");
    }
}
