//! Campaigns that the API triggers: who gets what, and what is left out.

use hostline::model::{HostControls, HostName};
use serde_json::{Value, json};

use super::house::post;
use super::world::{World, hook, id_of, recipients, said};

fn campaign(fields: Value) -> Value {
    let mut document = json!({"name": "c", "trigger": {"type": "api"}, "webhooks": [hook(
        "{{ recipient.external_id }} {{ properties.a }} {{ properties.b }}")]});
    let document_fields = document.as_object_mut().expect("an object");
    document_fields.extend(fields.as_object().expect("an object").clone());
    document
}

#[actix_web::test]
async fn fifty_recipients_get_one_each_and_fifty_one_are_refused() {
    let world = World::new().await;
    let id = world.live("campaigns", campaign(json!({}))).await;
    let answer = world.trigger(json!({"campaign": "c", "recipients": recipients("u", 50)})).await;
    let deliveries = answer["deliveries"].as_array().expect("deliveries");
    assert_eq!(deliveries.len(), 50);
    assert_eq!(deliveries[7]["recipient"], "u7");
    let found = world.deliveries(&format!("campaign={id}")).await;
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|row| row["trigger"] == answer["trigger"]), "one trigger");
    assert_eq!(world.deliveries("campaign=c&recipient=u7").await.len(), 1);
    let many = json!({"campaign": "c", "recipients": recipients("u", 51)});
    let refused = world.post("/v1/triggers", many).await;
    assert_eq!((refused.status, refused.place().as_str()), (400, "/recipients"));
    let bad = json!({"campaign": "c", "recipients": [{"external_id": "a\u{1f}b"}]});
    let refused = world.post("/v1/triggers", bad).await;
    assert_eq!((refused.status, refused.place().as_str()), (400, "/recipients/0/external_id"));
    assert_eq!(world.deliveries("").await.len(), 50);
}

#[actix_web::test]
async fn properties_of_a_recipient_lie_over_those_of_the_trigger() {
    let world = World::new().await;
    world.live("campaigns", campaign(json!({}))).await;
    world
        .trigger(json!({"campaign": "c", "properties": {"a": 1, "b": 2}, "recipients": [
            {"external_id": "x", "properties": {"b": 3}}, {"external_id": "y"}]}))
        .await;
    world.trigger(json!({"campaign": "c", "properties": {"a": "nobody"}})).await;
    let bodies = world.bodies("").await;
    assert_eq!(said(&bodies), ["x 1 3", "y 1 2", " nobody "]);
}

#[actix_web::test]
async fn only_a_live_campaign_sends() {
    let world = World::new().await;
    let id = world.create("campaigns", campaign(json!({}))).await;
    let trigger = json!({"campaign": id, "recipients": recipients("u", 1)});
    let refused = (409, "not-live".to_owned());
    assert_eq!(world.refused("/v1/triggers", trigger.clone()).await, refused, "draft");
    world.act("campaigns", &id, "launch").await;
    world.trigger(trigger.clone()).await;
    world.act("campaigns", &id, "pause").await;
    assert_eq!(world.refused("/v1/triggers", trigger.clone()).await, refused, "paused");
    world.act("campaigns", &id, "resume").await;
    world.trigger(trigger.clone()).await;
    world.act("campaigns", &id, "archive").await;
    assert_eq!(world.refused("/v1/triggers", trigger).await, refused, "archived");
    for action in ["launch", "pause", "resume"] {
        let uri = format!("/v1/campaigns/{id}/{action}");
        assert_eq!(world.refused(&uri, json!({})).await, (409, "wrong-status".into()));
    }
    assert_eq!(world.deliveries("").await.len(), 2);
    let unknown = world.refused("/v1/triggers", json!({"campaign": "none"})).await;
    assert_eq!(unknown, (404, "not-found".into()));
    let by_event = json!({"name": "e", "trigger": {"type": "event", "event": "x"},
        "webhooks": [hook("x")]});
    world.live("campaigns", by_event).await;
    let wrong = world.refused("/v1/triggers", json!({"campaign": "e"})).await;
    assert_eq!(wrong, (409, "wrong-trigger".into()));
}

#[actix_web::test]
async fn whoever_is_not_in_the_audience_is_named() {
    let world = World::new().await;
    let gold = json!({"property": "recipient.plan", "op": "equals", "value": "gold"});
    let id = world.live("campaigns", campaign(json!({ "audience": gold }))).await;
    world.attributes("anna", json!({"plan": "gold"})).await;
    world.attributes("bert", json!({"plan": "tin"})).await;
    let to = json!([{"external_id": "anna"}, {"external_id": "bert"}, {"external_id": "new"}]);
    let answer = world.trigger(json!({"campaign": "c", "recipients": to})).await;
    assert_eq!(answer["deliveries"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["deliveries"][0]["recipient"], "anna");
    let skipped = answer["skipped"].as_array().expect("skipped");
    assert_eq!(skipped.len(), 2);
    assert_eq!(
        (&skipped[0]["recipient"], &skipped[0]["reason"]),
        (&json!("bert"), &json!("not_in_audience"))
    );
    assert_eq!(world.counts("campaigns", &id).await, json!({"sent": 1, "not_in_audience": 2}));
}

#[actix_web::test]
async fn all_webhooks_of_a_message_go_at_once() {
    let world = World::new().await;
    let other = json!({"url": "https://b.example/{{ recipient.external_id }}", "method": "PUT",
        "headers": {"x-who": "{{ recipient.external_id }}"}, "body": "text"});
    let id = world.live("campaigns", campaign(json!({"webhooks": [hook("one"), other]}))).await;
    let answer = world.trigger(json!({"campaign": "c", "recipients": recipients("u", 3)})).await;
    assert_eq!(answer["deliveries"].as_array().map(Vec::len), Some(6));
    let put = &world.records("host=b.example&recipient=u2").await[0];
    assert_eq!(put.webhook.target.as_str(), "https://b.example/u2");
    let who = put.webhook.headers.iter().find(|header| header.name == "x-who");
    assert_eq!(who.map(|header| header.value.as_str()), Some("u2"));
    assert_eq!(world.counts("campaigns", &id).await, json!({"sent": 6}));
}

#[actix_web::test]
async fn a_recipient_keeps_its_variant_and_the_control_group_gets_nothing() {
    let world = World::new().await;
    let variants = json!([{"name": "A", "weight": 40, "webhooks": [hook("A")]},
        {"name": "B", "weight": 40, "webhooks": [hook("B")]}]);
    let document = json!({"name": "c", "trigger": {"type": "api"}, "variants": variants,
        "control_group": 20});
    let id = world.live("campaigns", document).await;
    for _ in 0..2 {
        for name in ["a", "b", "c", "d"] {
            let to = recipients(name, 50);
            world.trigger(json!({"campaign": "c", "recipients": to})).await;
        }
    }
    let report = world.see(&format!("/v1/campaigns/{id}/report")).await;
    let counts = &report["total"]["counts"];
    let number = |value: &Value| value.as_i64().expect("a number");
    let (sent, control) = (number(&counts["sent"]), number(&counts["control_group"]));
    assert_eq!(sent + control, 400);
    assert!((40..120).contains(&control), "{control} of 400 at 20 %");
    let part = |name: &str| {
        let parts = report["parts"].as_array().expect("parts");
        let part = parts.iter().find(|part| part["part"] == name).expect("a part");
        number(&part["counts"]["sent"])
    };
    assert_eq!(part("A") + part("B"), sent);
    assert!(part("A") > 100 && part("B") > 100, "{report}");
    for name in ["a0", "b7", "c49", "d13"] {
        let bodies = world.bodies(&format!("recipient={name}")).await;
        assert!(bodies.len() != 1 && bodies.windows(2).all(|pair| pair[0] == pair[1]));
    }
}

#[actix_web::test]
async fn who_cannot_be_rendered_is_recorded_and_the_others_go() {
    let world = World::new().await;
    let url = "https://shop.example/{{ recipient.shop }}";
    let text = "{% if recipient.off %}{% abort_message('unsubscribed') %}{% endif %}hello";
    let webhook = json!({"url": url, "body": {"say": text}});
    let id = world.live("campaigns", campaign(json!({"webhooks": [webhook]}))).await;
    world.attributes("fine", json!({"shop": "1"})).await;
    world.attributes("off", json!({"shop": "2", "off": true})).await;
    let to = json!([{"external_id": "off"}, {"external_id": "fine"}, {"external_id": "bare"}]);
    let answer = world.trigger(json!({"campaign": "c", "recipients": to})).await;
    assert_eq!(answer["deliveries"].as_array().map(Vec::len), Some(1));
    assert_eq!(answer["deliveries"][0]["recipient"], "fine");
    let skipped = answer["skipped"].as_array().expect("skipped");
    let reasons: Vec<_> = skipped.iter().map(|one| one["reason"].as_str()).collect();
    assert_eq!(reasons, [Some("aborted"), Some("render_failed")]);
    assert_eq!(skipped[0]["detail"], "unsubscribed");
    let detail = skipped[1]["detail"].as_str().expect("words");
    assert!(detail.contains("/url") && detail.contains("shop"), "{detail}");
    assert_eq!(world.activity(&id).await, ["aborted", "render_failed"]);
    let counts = json!({"sent": 1, "aborted": 1, "render_failed": 1});
    assert_eq!(world.counts("campaigns", &id).await, counts);
    let log = world.see("/v1/activity?recipient=off").await;
    assert_eq!(log["data"][0]["subject_name"], "c");
    assert!(log["data"][0]["meaning"].as_str().is_some_and(|text| !text.is_empty()));
}

#[actix_web::test]
async fn a_drained_host_skips_only_its_own() {
    let world = World::new().await;
    let other = json!({"url": "https://b.example/", "body": "x"});
    let webhooks = json!([hook("one"), other]);
    let fields = json!({"webhooks": webhooks, "reeligible": "never"});
    let id = world.live("campaigns", campaign(fields)).await;
    let drain = |host: &str, draining| {
        let controls = HostControls { draining, ..HostControls::default() };
        let name = HostName::from_normalised(host);
        world.engine.controls.lock().expect("not poisoned").insert(name, controls);
    };
    drain("b.example", true);
    let answer = world.trigger(json!({"campaign": "c", "recipients": recipients("u", 2)})).await;
    assert_eq!(answer["deliveries"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer["skipped"][0]["reason"], "refused");
    assert!(answer["skipped"][0]["detail"].as_str().is_some_and(|text| text.contains("b.example")));
    assert_eq!(world.activity(&id).await, ["refused"; 2]);
    drain("shop.example", true);
    let answer = world.trigger(json!({"campaign": "c", "recipients": recipients("v", 1)})).await;
    assert_eq!(answer["deliveries"], json!([]));
    drain("shop.example", false);
    let answer = world.trigger(json!({"campaign": "c", "recipients": recipients("v", 1)})).await;
    assert_eq!(answer["deliveries"].as_array().map(Vec::len), Some(1), "v0 has had nothing yet");
    let answer = world.trigger(json!({"campaign": "c", "recipients": recipients("u", 1)})).await;
    assert_eq!(answer["skipped"][0]["reason"], "not_eligible");
}

#[actix_web::test]
async fn ordering_key_metadata_priority_and_ttl_come_from_the_document() {
    let world = World::new().await;
    let fields = json!({"ordering_key": "{{ recipient.team }}", "priority": "high", "ttl": "1h",
        "metadata": {"order": "{{ properties.order }}", "kind": "receipt"}});
    world.live("campaigns", campaign(fields)).await;
    world.attributes("u0", json!({"team": "red"})).await;
    world.attributes("u1", json!({"team": "t".repeat(300)})).await;
    let to = json!({"campaign": "c", "properties": {"order": 7}, "recipients": recipients("u", 3)});
    let answer = world.trigger(to).await;
    let row = &world.deliveries("recipient=u0").await[0];
    assert_eq!((&row["ordering_key"], &row["priority"]), (&json!("red"), &json!("high")));
    assert_eq!(row["metadata"], json!({"order": "7", "kind": "receipt"}));
    let record = world.store.find(id_of(row)).await.expect("works").expect("kept");
    assert_eq!(record.accepted.until(record.expires).as_secs(), 3600);
    assert_eq!(world.deliveries("recipient=u2").await[0]["ordering_key"], Value::Null);
    assert_eq!(world.deliveries("metadata.order=7").await.len(), 2);
    assert_eq!(answer["skipped"][0]["recipient"], "u1", "no key is that long: {answer}");
    assert_eq!(answer["skipped"][0]["reason"], "render_failed");
    let own = json!({"campaign": "c", "ordering_key": "mine", "metadata": {"kind": "own"},
        "ttl": "2h", "recipients": recipients("v", 1)});
    world.trigger(own).await;
    let row = &world.deliveries("recipient=v0").await[0];
    assert_eq!(row["ordering_key"], "mine", "the trigger's words win");
    assert_eq!(row["metadata"], json!({"kind": "own", "order": ""}));
    let record = world.store.find(id_of(row)).await.expect("works").expect("kept");
    assert_eq!(record.accepted.until(record.expires).as_secs(), 7200);
}

#[actix_web::test]
async fn an_idempotency_key_replays_the_same_answer_and_sends_once() {
    let world = World::new().await;
    let id = world.live("campaigns", campaign(json!({"stop_after": 3}))).await;
    let body = json!({"campaign": "c", "recipients": recipients("u", 4)}).to_string();
    let send = || post("/v1/triggers", body.clone()).insert_header(("idempotency-key", "k"));
    let first = world.send(send()).await;
    let again = world.send(send()).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.text, again.text);
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(world.deliveries("").await.len(), 3);
    assert_eq!(world.counts("campaigns", &id).await, json!({"sent": 3, "stopped": 1}));
    world.act("campaigns", &id, "pause").await;
    let paused = world.send(send()).await;
    assert_eq!((paused.status, paused.text), (202, first.text), "what was answered stands");
    let other = post("/v1/triggers", json!({"campaign": "c"}).to_string());
    let other = world.send(other.insert_header(("idempotency-key", "k"))).await;
    assert_eq!((other.status, other.slug().as_str()), (422, "idempotency-key-reused"));
}

#[actix_web::test]
async fn a_webhook_of_the_triggers_own_is_rendered_for_each_recipient() {
    let world = World::new().await;
    world.attributes("anna", json!({"first_name": "Anna", "plan": "gold"})).await;
    let text = "{{${first_name}}} {{custom_attribute.${plan}}} {{api_trigger_properties.${n}}}";
    let trigger = json!({"webhook": hook(text), "properties": {"n": 1}, "send_id": "spring",
        "recipients": [{"external_id": "anna"}]});
    world.trigger(trigger).await;
    assert_eq!(said(&world.bodies("recipient=anna").await), ["Anna gold 1"]);
    assert_eq!(world.deliveries("send_id=spring").await.len(), 1);
    let bad = json!({"webhook": hook("{{ x"), "properties": {}});
    let refused = world.post("/v1/triggers", bad).await;
    assert_eq!((refused.status, refused.place().as_str()), (400, "/webhook/body/say"));
    let bad = json!({"webhooks": [hook("x"), hook("{{ x")], "properties": {}});
    let refused = world.post("/v1/triggers", bad).await;
    assert_eq!((refused.status, refused.place().as_str()), (400, "/webhooks/1/body/say"));
}
