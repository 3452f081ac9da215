use proptest::prelude::*;
use serde_json::json;

use super::super::targets::Recipient;
use super::*;

fn now() -> Timestamp {
    when::parse("2026-11-24T09:00:00Z").expect("a time")
}

fn campaign(body: Value) -> Result<TriggerSend, BrazeError> {
    trigger_send(body.to_string().as_bytes(), Kind::Campaign, now())
}

fn webhook() -> Value {
    json!({"webhook": {"url": "https://a.example", "request_method": "POST", "body": "x"}})
}

fn ids(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("u{number}")).collect()
}

fn said<T: std::fmt::Debug>(read: Result<T, BrazeError>) -> String {
    read.expect_err("refused").message().to_owned()
}

#[test]
fn campaign_send_is_read_whole() {
    let send = campaign(json!({
        "campaign_id": "c", "send_id": "s", "trigger_properties": {"a": 1},
        "recipients": [
            {"external_user_id": "u1", "trigger_properties": {"a": 2}},
            {"external_user_id": "u2", "send_to_existing_only": false, "attributes": {"x": "y"},
             "user_alias": {"alias_name": "n", "alias_label": "l"}},
        ],
        "audience": {"custom_attribute":
            {"custom_attribute_name": "vip", "comparison": "equals", "value": true}},
    }))
    .expect("a send");
    assert_eq!((send.id.as_str(), send.send_id.as_deref(), send.at), ("c", Some("s"), None));
    assert_eq!(json!(send.properties), json!({"a": 1}));
    let filter = json!({"property": "recipient.attributes.vip", "op": "equals", "value": true});
    assert_eq!(send.audience, Some(filter));
    let Target::Recipients(recipients) = send.target else { panic!("named") };
    let [first, second] = &recipients[..] else { panic!("two") };
    assert_eq!((first.external_id.as_str(), first.existing_only), ("u1", true));
    assert_eq!(json!(first.properties), json!({"a": 2}));
    assert_eq!((second.external_id.as_str(), second.existing_only), ("u2", false));
    assert_eq!(json!(second.attributes), json!({"x": "y"}));
}

#[test]
fn broadcast_is_for_everyone_and_names_nobody() {
    let send = campaign(json!({"campaign_id": "c", "broadcast": true})).expect("a send");
    assert_eq!(send.target, Target::Everyone);
    let both = json!({"campaign_id": "c", "broadcast": true,
        "recipients": [{"external_user_id": "u"}]});
    assert!(
        said(campaign(both)).starts_with("Bad Request: /broadcast is true, so that /recipients")
    );
    for nobody in [json!({"campaign_id": "c"}), json!({"campaign_id": "c", "recipients": []})] {
        assert!(said(campaign(nobody)).starts_with("No Recipients: /recipients names nobody"));
    }
}

#[test]
fn fifty_recipients_are_taken_and_no_more() {
    let send = |count| {
        let recipients = ids(count).into_iter().map(|id| json!({"external_user_id": id}));
        let recipients: Vec<Value> = recipients.collect();
        campaign(json!({"campaign_id": "c", "recipients": recipients}))
    };
    assert!(send(50).is_ok());
    let expected = "The max number of external_ids and aliases per request was exceeded: \
                    /recipients has 51; at most 50 are taken";
    assert_eq!(said(send(51)), expected);
    let message = |count| {
        let body = json!({"external_user_ids": ids(count), "messages": webhook()}).to_string();
        message_send(body.as_bytes(), now())
    };
    assert!(message(50).is_ok());
    assert!(said(message(51)).starts_with("The max number of external_ids"));
}

#[test]
fn canvas_takes_both_names_of_its_properties() {
    for name in ["context", "canvas_entry_properties"] {
        let body = json!({"canvas_id": "c", name: {"a": 1},
            "recipients": [{"external_user_id": "u", name: {"b": 2}}]});
        let send = trigger_send(body.to_string().as_bytes(), Kind::Canvas, now()).expect("a send");
        assert_eq!(json!(send.properties), json!({"a": 1}));
        let Target::Recipients(recipients) = send.target else { panic!("named") };
        assert_eq!(json!(recipients[0].properties), json!({"b": 2}));
    }
    let both = json!({"canvas_id": "c", "context": {"a": 1}, "canvas_entry_properties": {"a": 1},
        "broadcast": true});
    let error = said(trigger_send(both.to_string().as_bytes(), Kind::Canvas, now()));
    assert_eq!(
        error,
        "Bad Request: /canvas_entry_properties means the same as context; give one of them"
    );
}

#[test]
fn what_is_out_of_scope_is_refused_by_name() {
    let to = |extra: Value| {
        let mut body = json!({"campaign_id": "c", "recipients": [{"external_user_id": "u"}]});
        for (name, value) in extra.as_object().expect("an object") {
            body[name] = value.clone();
        }
        said(campaign(body))
    };
    assert!(to(json!({"segment_id": "s"})).contains("/segment_id is out of scope: there are no"));
    assert!(to(json!({"attachments": [{"url": "u"}]})).contains("/attachments is out of scope"));
    assert!(to(json!({"api_key": "k"})).contains("Authorization: Bearer"));
    assert!(
        to(json!({"canvas_id": "c"})).contains("/canvas_id is unknown; this takes campaign_id")
    );
    let recipient = |recipient: Value| to(json!({ "recipients": [recipient] }));
    let alias = json!({"user_alias": {"alias_name": "n", "alias_label": "l"}});
    assert!(recipient(alias).contains("/recipients/0/user_alias is out of scope"));
    let email = json!({"email": "a@b.example", "prioritization": ["identified"]});
    assert!(recipient(email).contains("/recipients/0/email is out of scope"));
    let created = json!({"external_user_id": "u", "send_to_existing_only": false});
    assert!(recipient(created).contains("/recipients/0/send_to_existing_only is false, so that"));
    assert!(recipient(json!({})).contains("/recipients/0/external_user_id is missing"));
}

#[test]
fn message_send_is_read_whole() {
    let mut message = webhook();
    message["webhook"]["message_variation_id"] = json!("v");
    let body = json!({
        "external_user_ids": ["u"], "campaign_id": "c", "send_id": "s", "messages": message,
        "override_frequency_capping": true, "recipient_subscription_state": "all",
        "broadcast": false, "user_aliases": [],
    });
    let send = message_send(body.to_string().as_bytes(), now()).expect("a send");
    assert_eq!((send.campaign.as_deref(), send.send_id.as_deref()), (Some("c"), Some("s")));
    assert_eq!(send.message.variation.as_deref(), Some("v"));
    assert!(send.is_uncapped);
    let expected = Recipient {
        external_id: "u".into(),
        properties: Map::new(),
        attributes: Map::new(),
        existing_only: true,
    };
    assert_eq!(send.target, Target::Recipients(vec![expected]));
}

#[test]
fn message_needs_recipients_and_a_message() {
    let read = |body: Value| said(message_send(body.to_string().as_bytes(), now()));
    assert!(read(json!({"external_user_ids": ["u"]})).starts_with("No message to send: /messages"));
    assert!(read(json!({"messages": webhook()})).starts_with("No Recipients: /external_user_ids"));
    let broadcast = json!({"messages": webhook(), "broadcast": true});
    assert!(read(broadcast).starts_with("No Recipients: /audience is missing"));
    let aliases = json!({"user_aliases": [{"alias_name": "n"}], "messages": webhook()});
    assert!(read(aliases).contains("/user_aliases is out of scope"));
    let state = json!({"external_user_ids": ["u"], "messages": webhook(),
        "recipient_subscription_state": "opted_in"});
    assert!(read(state).contains("/recipient_subscription_state is \"opted_in\", which is out of"));
    let number = json!({"external_user_ids": ["u", 1], "messages": webhook()});
    assert!(read(number).contains("/external_user_ids/1 is a number, not a string"));
}

#[test]
fn schedule_is_one_moment_to_come() {
    let read = |schedule: Value| {
        let body = json!({"campaign_id": "c", "broadcast": true, "schedule": schedule});
        trigger_schedule(body.to_string().as_bytes(), Kind::Campaign, now())
    };
    let send = read(json!({"time": "2026-11-25T09:00:00", "in_local_time": false}));
    assert_eq!(send.expect("a send").at, when::parse("2026-11-25T09:00:00Z"));
    for (schedule, expected) in [
        (Value::Null, "/schedule is missing"),
        (json!({}), "/schedule/time is missing"),
        (json!({"time": "soon"}), "/schedule/time is not a time"),
        (json!({"time": "2026-11-23T09:00:00Z"}), "/schedule/time has passed: it is 2026-11-24"),
        (json!({"time": "2026-11-25", "in_local_time": true}), "/schedule/in_local_time is out of"),
        (
            json!({"time": "2026-11-25", "at_optimal_time": true}),
            "/schedule/at_optimal_time is out of",
        ),
        (json!({"time": "2026-11-25", "zone": "x"}), "/schedule/zone is unknown"),
    ] {
        assert!(said(read(schedule)).contains(expected), "{expected}");
    }
}

#[test]
fn days_of_an_audience_count_from_the_scheduled_time() {
    let body = json!({"campaign_id": "c", "broadcast": true,
        "schedule": {"time": "2026-12-24T09:00:00Z"},
        "audience": {"custom_attribute": {"custom_attribute_name": "bought",
            "comparison": "greater_than_x_days_ago", "value": 1}}});
    let send = trigger_schedule(body.to_string().as_bytes(), Kind::Campaign, now());
    let expected = json!("2026-12-23T09:00:00.000Z");
    assert_eq!(send.expect("a send").audience.expect("given")["value"], expected);
}

#[test]
fn update_changes_something() {
    let read = |body: Value| message_update(body.to_string().as_bytes(), now());
    let change = read(json!({"schedule_id": "s", "messages": webhook()})).expect("a change");
    assert_eq!((change.schedule_id.as_str(), change.at), ("s", None));
    assert!(change.message.is_some());
    assert!(said(read(json!({"schedule_id": "s"}))).contains("changes nothing"));
    let body = json!({"campaign_id": "c", "schedule_id": "s", "schedule": {"time": "2027-01-01"}});
    let change = trigger_update(body.to_string().as_bytes(), Kind::Campaign, now());
    assert_eq!(change.expect("a change").id.as_deref(), Some("c"));
}

#[test]
fn deletion_names_what_it_deletes() {
    let change = deletion(br#"{"schedule_id":"s"}"#, None).expect("a deletion");
    assert_eq!((change.schedule_id.as_str(), change.id), ("s", None));
    let error = said(deletion(br#"{"schedule_id":"s"}"#, Some(Kind::Canvas)));
    assert_eq!(error, "Bad Request: /canvas_id is missing");
}

#[test]
fn send_id_is_short_and_plain() {
    assert_eq!(send_id(br#"{"campaign_id":"c"}"#), Ok(("c".to_owned(), None)));
    let long = json!({"campaign_id": "c", "send_id": "x".repeat(65)}).to_string();
    assert!(said(send_id(long.as_bytes())).contains("/send_id is not at most 64 ASCII"));
}

#[test]
fn properties_are_bounded() {
    let body = json!({"campaign_id": "c", "broadcast": true,
        "trigger_properties": {"a": "x".repeat(60_000)}});
    assert!(said(campaign(body)).contains("/trigger_properties is 60008 bytes of JSON"));
}

/// JSON of any shape, made of the words that the readers know.
fn written() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "campaign_id",
        "canvas_id",
        "recipients",
        "external_user_ids",
        "external_user_id",
        "broadcast",
        "audience",
        "AND",
        "OR",
        "custom_attribute",
        "custom_attribute_name",
        "comparison",
        "value",
        "less_than_x_days_ago",
        "schedule",
        "time",
        "schedule_id",
        "messages",
        "webhook",
        "url",
        "request_method",
        "body",
        "attributes",
        "events",
        "name",
        "external_id",
        "user_alias",
        "2026-11-24T09:00:00:000-5:00",
        "context",
        "POST",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(|number| json!(number)),
        word.clone().prop_map(Value::from),
        ".{0,24}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn no_request_breaks_a_reader(value in written()) {
        let text = value.to_string();
        let body = text.as_bytes();
        for kind in [Kind::Campaign, Kind::Canvas] {
            let _read = trigger_send(body, kind, now());
            let _read = trigger_schedule(body, kind, now());
            let _read = trigger_update(body, kind, now());
            let _read = deletion(body, Some(kind));
        }
        let _read = message_send(body, now());
        let _read = message_schedule(body, now());
        let _read = message_update(body, now());
        let _read = send_id(body);
        let _read = super::super::track::read(body);
        let _read = super::super::audience::filter(value, "/audience".into(), now());
    }

    #[test]
    fn no_text_breaks_the_reading_of_times(text in "[-+0-9TZ: .é]{0,32}|.{0,32}") {
        if let Some(time) = when::parse(&text) {
            // Whatever is read can be written and read again.
            prop_assert_eq!(when::parse(&time.to_string()), Some(time));
        }
    }
}
