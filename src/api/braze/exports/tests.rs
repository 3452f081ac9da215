use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

fn shown(document: &Value) -> Shown<'_> {
    let (created, updated) = (at("2026-11-20T09:00:00Z"), at("2026-11-21T09:00:00Z"));
    Shown { id: "c1", name: "order", status: "live", tags: &[], created, updated, document }
}

#[test]
fn campaign_is_shown_with_its_messages_and_those_of_its_templates() {
    let document = json!({
        "description": "an order", "control_group": 10, "trigger": {"type": "api"},
        "variants": [
            {"name": "A", "weight": 1, "webhooks": [
                {"url": "https://a.example", "method": "PUT", "body": {"a": 1}, "headers": {"x": "y"}}]},
            {"name": "B", "weight": 1, "webhooks": [{"template": "t", "version": 3}]},
        ],
    });
    let templates = HashMap::from([(
        ("t".to_owned(), 3),
        json!({"url": "https://b.example", "body": "text", "body_type": "text"}),
    )]);
    assert_eq!(named_templates(&document), [("t".to_owned(), 3)]);
    let sent = Some((at("2026-11-22T09:00:00Z"), at("2026-11-23T09:00:00Z")));
    let details = campaign_details(&shown(&document), &templates, sent);
    assert_eq!(details["message"], "success");
    assert_eq!(details["created_at"], "2026-11-20T09:00:00.000Z");
    assert_eq!((&details["enabled"], &details["draft"]), (&json!(true), &json!(false)));
    assert_eq!(details["schedule_type"], "api_triggered");
    assert_eq!(details["last_sent"], "2026-11-23T09:00:00.000Z");
    let ids = variations("c1", &document);
    assert_eq!(ids.len(), 2);
    let expected = json!({"channel": "webhook", "name": "A", "url": "https://a.example",
        "body": "{\"a\":1}", "type": "json", "headers": {"x": "y"}, "method": "PUT"});
    assert_eq!(details["messages"][&ids[0].0], expected);
    let expected = json!({"channel": "webhook", "name": "B", "url": "https://b.example",
        "body": "text", "type": "raw_text", "headers": {}, "method": "POST"});
    assert_eq!(details["messages"][&ids[1].0], expected);
    let messages = details["messages"].as_object().expect("an object");
    assert_eq!(messages.values().filter(|message| message["type"] == "control").count(), 1);
}

#[test]
fn message_ids_stay_and_differ() {
    let id = message_id("c1", "A", 0);
    assert_eq!(id, message_id("c1", "A", 0));
    for other in [message_id("c2", "A", 0), message_id("c1", "B", 0), message_id("c1", "A", 1)] {
        assert_ne!(id, other);
    }
    assert!(uuid::Uuid::parse_str(&id).is_ok(), "{id}");
}

#[test]
fn canvas_is_shown_with_its_ways() {
    let document = json!({"trigger": {"type": "event", "event": "booked"}, "steps": [
        {"id": "greet", "type": "webhook", "webhooks": [{"url": "https://a.example"}]},
        {"id": "wait", "type": "wait_for_event", "event": "paid", "timeout": "3d",
         "on_event": "thank"},
        {"id": "which", "type": "branch", "branches": [{"when": {}, "next": "greet"}]},
        {"id": "thank", "type": "exit"},
    ]});
    let details = canvas_details(&shown(&document), &Templates::new(), None);
    assert_eq!(details["schedule_type"], "action_based");
    assert_eq!(details["variants"][0]["first_step_ids"], json!(["greet"]));
    assert_eq!(details["first_entry"], Value::Null);
    let next = |step: usize| details["steps"][step]["next_step_ids"].clone();
    assert_eq!(next(0), json!(["wait"]));
    assert_eq!(next(1), json!(["thank", "which"]));
    assert_eq!(next(2), json!(["greet", "thank"]));
    assert_eq!(next(3), json!([]));
    let paths = &details["steps"][1]["next_paths"];
    assert_eq!(paths[1], json!({"name": "Everyone Else", "next_step_id": "which"}));
    assert_eq!(details["steps"][0]["channels"], json!(["webhook"]));
    assert_eq!(details["steps"][1]["messages"], json!({}));
}
