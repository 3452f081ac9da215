//! Commits whose answer is lost, stores that refuse, records that make no sense: nothing is
//! doubled, nothing is forgotten, nobody holds up the others.

use bytes::Bytes;
use hostline::model::Timestamp;
use hostline::store::{Acceptance, Expect, RecordKind, RecordWrite, StoreError, Writes};
use serde_json::{Value, json};

use super::faults::Fault;
use super::house::NOW;
use super::world::{World, hook, hours, recipients, secs};

fn lose(world: &World) {
    world.faulty.as_ref().expect("it can fail").next(Fault::Lose);
}

fn refuse(world: &World, error: StoreError) {
    world.faulty.as_ref().expect("it can fail").next(Fault::Refuse(error));
}

fn campaign(fields: Value) -> Value {
    let mut document = json!({"name": "c", "trigger": {"type": "api"}, "webhooks": [hook("x")]});
    let document_fields = document.as_object_mut().expect("an object");
    document_fields.extend(fields.as_object().expect("an object").clone());
    document
}

#[actix_web::test]
async fn a_lost_answer_doubles_no_delivery_count_or_cap() {
    let world = World::new().await;
    let fields = json!({"stop_after": 10, "messages_per_minute": 60,
        "frequency_cap": {"messages": 2, "per": "1h"}});
    let id = world.live("campaigns", campaign(fields)).await;
    lose(&world);
    let answer = world.trigger(json!({"campaign": "c", "recipients": recipients("u", 3)})).await;
    assert_eq!(answer["deliveries"].as_array().map(Vec::len), Some(3), "{answer}");
    assert_eq!(answer["skipped"], Value::Null);
    assert_eq!(world.deliveries("").await.len(), 3);
    assert_eq!(world.counts("campaigns", &id).await, json!({"sent": 3}));
    let more = world.trigger(json!({"campaign": "c", "recipients": recipients("u", 1)})).await;
    assert_eq!(more["deliveries"].as_array().map(Vec::len), Some(1), "one of two so far");
}

#[actix_web::test]
async fn a_lost_answer_raises_a_counter_once() {
    let world = World::new().await;
    world.attributes("anna", json!({"n": 1})).await;
    lose(&world);
    world.attributes("anna", json!({"n": {"inc": 1}})).await;
    lose(&world);
    world.attributes("bert", json!({"n": {"inc": 1}})).await;
    for (name, n) in [("anna", 2), ("bert", 1)] {
        let shown = world.see(&format!("/v1/recipients/{name}")).await;
        assert_eq!(shown["attributes"]["n"], n, "{name}");
    }
}

#[actix_web::test]
async fn a_lost_answer_leaves_the_catalog_usable() {
    let world = World::new().await;
    lose(&world);
    world.create("campaigns", campaign(json!({}))).await;
    lose(&world);
    world.act("campaigns", "c", "launch").await;
    lose(&world);
    let edited = world.put("/v1/campaigns/c", campaign(json!({"description": "x"}))).await;
    assert_eq!((edited.status, &edited.json()["version"]), (200, &json!(2)));
    world.act("campaigns", "c", "pause").await;
    assert_eq!(world.see("/v1/campaigns/c").await["status"], "paused");
}

#[actix_web::test]
async fn a_refused_change_of_the_catalog_changes_nothing() {
    let world = World::new().await;
    world.live("campaigns", campaign(json!({}))).await;
    refuse(&world, StoreError::Unavailable("disk".into()));
    let refused = world.refused("/v1/campaigns/c/pause", json!({})).await;
    assert_eq!(refused, (503, "unavailable".into()));
    assert_eq!(world.see("/v1/campaigns/c").await["status"], "live");
    world.act("campaigns", "c", "pause").await;
}

#[actix_web::test]
async fn a_lost_answer_repeats_no_step_and_no_page() {
    let world = World::new().await;
    let step = |id: &str| json!({"id": id, "type": "webhook", "webhooks": [hook(id)]});
    let canvas = json!({"name": "j", "trigger": {"type": "api"},
        "steps": [step("a"), step("b"), step("c")]});
    let id = world.live("canvases", canvas).await;
    let at = NOW.plus(secs(5)).to_string();
    let listed: Vec<String> = (0..250).map(|number| format!("u{number}")).collect();
    let document = campaign(json!({"trigger": {"type": "schedule", "at": at},
        "recipients": listed}));
    let campaign = world.live("campaigns", document).await;
    lose(&world);
    world.trigger(json!({"canvas": "j", "recipients": recipients("anna", 1)})).await;
    for _ in 0..8 {
        lose(&world);
        let _rests = world.composer().tick().await;
    }
    tokio::time::advance(secs(5)).await;
    for _ in 0..8 {
        lose(&world);
        let _rests = world.composer().tick().await;
    }
    for _ in 0..10 {
        tokio::time::advance(secs(60)).await;
        let _rests = world.composer().tick().await;
    }
    assert_eq!(world.deliveries("canvas=j").await.len(), 3);
    let counts = world.counts("canvases", &id).await;
    assert_eq!(counts, json!({"entered": 1, "exited": 1, "sent": 3}));
    assert_eq!(world.deliveries("campaign=c").await.len(), 250);
    assert_eq!(world.counts("campaigns", &campaign).await, json!({"sent": 250}));
}

#[actix_web::test]
async fn a_lost_answer_to_an_event_counts_once() {
    let world = World::new().await;
    let document = campaign(json!({"trigger": {"type": "event", "event": "booked"},
        "reeligible": "never"}));
    let id = world.live("campaigns", document).await;
    lose(&world);
    let started = world.event("anna", "booked", json!({})).await;
    assert_eq!((&started["deliveries"], &started["skipped"]), (&json!(1), &Value::Null));
    assert_eq!(world.counts("campaigns", &id).await, json!({"sent": 1}));
}

#[actix_web::test]
async fn a_full_store_delays_journeys_and_loses_none() {
    let world = World::new().await;
    let canvas = json!({"name": "j", "trigger": {"type": "api"}, "steps": [
        {"id": "a", "type": "webhook", "webhooks": [hook("x")]}]});
    world.live("canvases", canvas).await;
    world.trigger(json!({"canvas": "j", "recipients": recipients("u", 2)})).await;
    for _ in 0..50 {
        refuse(&world, StoreError::Full { max_pending: 1 });
        refuse(&world, StoreError::Full { max_pending: 1 });
        assert!(world.composer().tick().await.is_err(), "it rests and tries again");
    }
    world.settle_down().await;
    assert_eq!(world.deliveries("").await.len(), 2);
}

#[actix_web::test]
async fn a_store_that_is_away_for_a_while_puts_no_journey_aside() {
    let world = World::new().await;
    let canvas = json!({"name": "j", "trigger": {"type": "api"}, "steps": [
        {"id": "a", "type": "webhook", "webhooks": [hook("x")]}]});
    world.live("canvases", canvas).await;
    world.trigger(json!({"canvas": "j", "recipients": recipients("u", 1)})).await;
    for _ in 0..20 {
        refuse(&world, StoreError::Unavailable("disk".into()));
        // Where it asks to put the record aside, that fails too.
        refuse(&world, StoreError::Unavailable("disk".into()));
        let _rests = world.composer().tick().await;
    }
    for _ in 0..40 {
        let _rests = world.composer().tick().await;
    }
    world.settle_down().await;
    assert_eq!(world.deliveries("").await.len(), 1);
}

async fn plant(world: &World, kind: RecordKind, key: &str, due: Timestamp) {
    let value = Some(Bytes::from_static(b"{\"not\":\"one of ours\"}"));
    let record = RecordWrite { kind, key: key.into(), expect: Expect::Any, due: Some(due), value };
    let writes = Writes { records: vec![record], ..Writes::default() };
    let acceptance = Acceptance { at: world.now(), writes, ..Acceptance::default() };
    world.store.accept(acceptance).await.expect("the store works");
}

#[actix_web::test]
async fn a_record_that_always_fails_is_put_aside_and_holds_up_nobody() {
    let mut world = World::new().await;
    let canvas = json!({"name": "j", "trigger": {"type": "api"}, "steps": [
        {"id": "rest", "type": "delay", "for": "1h"},
        {"id": "a", "type": "webhook", "webhooks": [hook("x")]}]});
    world.live("canvases", canvas).await;
    world.trigger(json!({"canvas": "j", "recipients": recipients("u", 1)})).await;
    world.settle_down().await;
    tokio::time::advance(hours(1)).await;
    for number in 0..300 {
        plant(&world, RecordKind::Journey, &format!("anna\u{1f}canvas\u{1f}{number}"), NOW).await;
    }
    plant(&world, RecordKind::Schedule, "broken", NOW).await;
    world.tick().await;
    world.tick().await;
    world.settle_down().await;
    assert_eq!(world.deliveries("").await.len(), 1, "the sound journey goes on");
    assert_eq!(world.see("/v1/activity?kind=put_aside").await["data"], json!([]));
    for _ in 0..60 {
        world.pass(secs(10)).await;
    }
    let log = world.see("/v1/activity?kind=put_aside&limit=1000").await;
    assert_eq!(log["data"].as_array().map(Vec::len), Some(301), "each is told once");
    let of_anna = world.see("/v1/activity?recipient=anna&subject=canvas&limit=1").await;
    assert_eq!(of_anna["data"][0]["kind"], "put_aside");
    for kind in [RecordKind::Schedule, RecordKind::Journey] {
        let due = world.store.due(0, kind, 1_000).await.expect("works");
        assert!(due.iter().all(|record| record.due > Some(world.now().plus(secs(1_800)))));
    }
    world.pass(hours(2)).await;
    let log = world.see("/v1/activity?kind=put_aside&limit=1000").await;
    assert_eq!(log["data"].as_array().map(Vec::len), Some(301));
    world.restart().await;
    world.settle_down().await;
}

#[actix_web::test]
async fn a_full_host_is_waited_for_by_journeys_and_schedules() {
    let limited = |settings: &mut hostline::config::Settings| {
        settings.store.max_pending_per_host = 120;
    };
    let world = World::with(limited).await;
    let canvas = json!({"name": "j", "trigger": {"type": "api"}, "steps": [
        {"id": "a", "type": "webhook", "webhooks": [hook("x")]}]});
    world.live("canvases", canvas).await;
    let listed: Vec<String> = (0..250).map(|number| format!("u{number}")).collect();
    let at = NOW.plus(secs(1)).to_string();
    let document = campaign(json!({"trigger": {"type": "schedule", "at": at},
        "recipients": listed}));
    let id = world.live("campaigns", document).await;
    world.pass(secs(1)).await;
    // Two pages: the limit is looked at before each, and a page goes whole or not at all.
    assert_eq!(world.deliveries("campaign=c").await.len(), 200);
    world.trigger(json!({"canvas": "j", "recipients": recipients("anna", 1)})).await;
    world.pass(secs(60)).await;
    assert_eq!(world.deliveries("canvas=j").await.len(), 0);
    for record in world.records("").await {
        world.answer(record.id, 200, "ok").await;
    }
    world.pass(secs(60)).await;
    assert_eq!(world.deliveries("campaign=c").await.len(), 250);
    assert_eq!(world.deliveries("canvas=j").await.len(), 1);
    assert_eq!(world.activity(&id).await, [""; 0], "nobody was left out");
}
