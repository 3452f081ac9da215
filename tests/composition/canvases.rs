//! Recipients on their way through canvases.

use hostline::model::Timestamp;
use serde_json::{Value, json};

use super::house::NOW;
use super::world::{BOTH, World, hook, hours, mins, recipients, said, secs};

fn canvas(steps: Value) -> Value {
    json!({"name": "j", "trigger": {"type": "api"}, "steps": steps})
}

fn step(id: &str, text: &str) -> Value {
    json!({"id": id, "type": "webhook", "webhooks": [hook(text)]})
}

async fn enter(world: &World, name: &str, properties: Value) -> Value {
    let to = json!([{"external_id": name}]);
    let trigger = json!({"canvas": "j", "properties": properties, "recipients": to});
    let answer = world.trigger(trigger).await;
    world.settle_down().await;
    answer
}

async fn says(world: &World, name: &str) -> Vec<String> {
    let bodies = world.bodies(&format!("recipient={name}")).await;
    said(&bodies).into_iter().map(str::to_owned).collect()
}

#[actix_web::test]
async fn steps_are_taken_in_order_with_the_entry_properties_in_all_of_them() {
    for kept in BOTH {
        let mut world = World::of(kept).await;
        let text = "{{ canvas_entry_properties.${item} }} {{ context.${item} }} {{ recipient.n }}";
        let id = world
            .live(
                "canvases",
                canvas(json!([
                step("a", text),
                {"id": "rest", "type": "delay", "for": "2h"},
                step("b", text),
                {"id": "morning", "type": "delay", "until": "2026-11-25T08:00:00Z"},
                step("c", text),
                {"id": "end", "type": "exit"}])),
            )
            .await;
        world.attributes("anna", json!({"n": 1})).await;
        let answer = enter(&world, "anna", json!({"item": "bed"})).await;
        assert_eq!(answer["deliveries"], json!([]), "its steps are taken after it is answered");
        assert_eq!(says(&world, "anna").await, ["bed bed 1"]);
        world.attributes("anna", json!({"n": 2})).await;
        world.pass(mins(119)).await;
        assert_eq!(says(&world, "anna").await.len(), 1);
        world.restart().await;
        world.pass(mins(1)).await;
        assert_eq!(says(&world, "anna").await, ["bed bed 1", "bed bed 2"], "as it is by then");
        let morning = Timestamp::parse("2026-11-25T08:00:00Z").expect("a time");
        world.pass(world.now().until(morning) - secs(1)).await;
        assert_eq!(says(&world, "anna").await.len(), 2);
        world.pass(secs(1)).await;
        assert_eq!(says(&world, "anna").await.len(), 3);
        let counts = world.counts("canvases", &id).await;
        assert_eq!(counts, json!({"entered": 1, "exited": 1, "sent": 3}));
        world.pass(hours(100)).await;
        assert_eq!(says(&world, "anna").await.len(), 3);
    }
}

#[actix_web::test]
async fn a_branch_goes_by_attributes_and_entry_properties() {
    let world = World::new().await;
    let branches = json!([
        {"when": {"property": "recipient.plan", "op": "equals", "value": "gold"}, "next": "gold"},
        {"when": {"property": "entry_properties.total", "op": "greater", "value": 10},
            "next": "large"}]);
    world
        .live(
            "canvases",
            canvas(json!([
            {"id": "fork", "type": "branch", "branches": branches, "else": "end"},
            {"id": "gold", "type": "webhook", "webhooks": [hook("gold")], "next": "end"},
            {"id": "large", "type": "webhook", "webhooks": [hook("large")]},
            {"id": "end", "type": "exit"}])),
        )
        .await;
    world.attributes("anna", json!({"plan": "gold"})).await;
    enter(&world, "anna", json!({"total": 99})).await;
    enter(&world, "bert", json!({"total": 99})).await;
    enter(&world, "carl", json!({"total": 9})).await;
    assert_eq!(says(&world, "anna").await, ["gold"]);
    assert_eq!(says(&world, "bert").await, ["large"]);
    assert_eq!(says(&world, "carl").await, [""; 0]);
}

#[actix_web::test]
async fn a_branch_waits_for_the_answer_of_the_last_webhook() {
    for kept in BOTH {
        let mut world = World::of(kept).await;
        let when = json!([
            {"when": {"property": "response.body.credit", "op": "at_least", "value": 100},
                "next": "rich"},
            {"when": {"property": "response.delivered", "op": "equals", "value": true},
                "next": "poor"},
            {"when": {"property": "response.status", "op": "equals", "value": 404},
                "next": "unknown"}]);
        world
            .live(
                "canvases",
                canvas(json!([
                step("ask", "credit?"),
                {"id": "fork", "type": "branch", "branches": when, "else": "end"},
                {"id": "rich", "type": "webhook", "next": "end",
                    "webhooks": [hook("rich: {{ response.body.credit }}")]},
                {"id": "poor", "type": "webhook", "webhooks": [hook("poor")], "next": "end"},
                {"id": "unknown", "type": "webhook", "webhooks": [hook("unknown")]},
                {"id": "end", "type": "exit"}])),
            )
            .await;
        for name in ["anna", "bert", "carl"] {
            enter(&world, name, json!({})).await;
        }
        world.pass(mins(10)).await;
        world.restart().await;
        for (name, status, body) in
            [("anna", 200, r#"{"credit": 500}"#), ("bert", 200, "yes"), ("carl", 404, "{}")]
        {
            assert_eq!(says(&world, name).await.len(), 1, "it waits");
            let asked = world.records(&format!("recipient={name}")).await[0].id;
            world.answer(asked, status, body).await;
        }
        world.pass(mins(2)).await;
        assert_eq!(says(&world, "anna").await, ["credit?", "rich: 500"]);
        assert_eq!(says(&world, "bert").await, ["credit?", "poor"]);
        assert_eq!(says(&world, "carl").await, ["credit?", "unknown"]);
    }
}

fn waiting() -> Value {
    canvas(json!([
        {"id": "wait", "type": "wait_for_event", "event": "booked", "timeout": "3d",
            "filter": {"property": "event_properties.item", "op": "equals", "value": "bed"},
            "on_event": "thank", "on_timeout": "remind"},
        {"id": "thank", "type": "webhook", "webhooks": [hook("thanks")], "next": "end"},
        step("remind", "still there?"),
        {"id": "end", "type": "exit"}]))
}

#[actix_web::test]
async fn an_awaited_event_leads_one_way_and_its_timeout_the_other() {
    for kept in BOTH {
        let mut world = World::of(kept).await;
        let id = world.live("canvases", waiting()).await;
        for name in ["anna", "bert", "carl"] {
            enter(&world, name, json!({})).await;
        }
        world.restart().await;
        assert_eq!(world.event("anna", "booked", json!({"item": "sofa"})).await["journeys"], 0);
        assert_eq!(world.event("anna", "left", json!({"item": "bed"})).await["journeys"], 0);
        world.pass(hours(71)).await;
        assert_eq!(world.event("anna", "booked", json!({"item": "bed"})).await["journeys"], 1);
        assert_eq!(world.event("anna", "booked", json!({"item": "bed"})).await["journeys"], 0);
        world.pass(hours(1)).await;
        assert_eq!(world.event("carl", "booked", json!({"item": "bed"})).await["journeys"], 0);
        assert_eq!(says(&world, "anna").await, ["thanks"]);
        assert_eq!(says(&world, "bert").await, ["still there?"]);
        assert_eq!(says(&world, "carl").await, ["still there?"], "the event came too late");
        let counts = world.counts("canvases", &id).await;
        assert_eq!(counts, json!({"entered": 3, "exited": 3, "sent": 3}));
    }
}

#[actix_web::test]
async fn journeys_keep_to_the_version_that_they_began_with() {
    let mut world = World::new().await;
    let document = |text: &str| {
        canvas(json!([{"id": "rest", "type": "delay", "for": "1h"}, step("send", text)]))
    };
    world.live("canvases", document("one")).await;
    enter(&world, "anna", json!({})).await;
    assert_eq!(world.put("/v1/canvases/j", document("two")).await.json()["version"], 2);
    enter(&world, "bert", json!({})).await;
    let other = canvas(json!([step("other", "three")]));
    assert_eq!(world.put("/v1/canvases/j", other).await.status, 200);
    world.restart().await;
    enter(&world, "carl", json!({})).await;
    world.pass(hours(1)).await;
    assert_eq!(says(&world, "anna").await, ["one"]);
    assert_eq!(says(&world, "bert").await, ["two"]);
    assert_eq!(says(&world, "carl").await, ["three"]);
}

#[actix_web::test]
async fn a_paused_canvas_holds_its_journeys_and_takes_nobody_in() {
    let world = World::new().await;
    let id = world
        .live(
            "canvases",
            canvas(json!([{"id": "rest", "type": "delay", "for": "1h"},
            step("send", "x")])),
        )
        .await;
    enter(&world, "anna", json!({})).await;
    world.act("canvases", &id, "pause").await;
    let into = json!({"canvas": "j", "recipients": recipients("u", 1)});
    assert_eq!(world.refused("/v1/triggers", into).await, (409, "not-live".into()));
    world.pass(hours(5)).await;
    assert_eq!(says(&world, "anna").await, [""; 0]);
    world.act("canvases", &id, "resume").await;
    world.pass(mins(1)).await;
    assert_eq!(says(&world, "anna").await, ["x"]);
}

#[actix_web::test]
async fn an_event_still_counts_after_a_pause() {
    let world = World::embedded().await;
    let id = world.live("canvases", waiting()).await;
    enter(&world, "anna", json!({})).await;
    world.act("canvases", &id, "pause").await;
    world.pass(hours(1)).await;
    world.pass(hours(80)).await;
    world.act("canvases", &id, "resume").await;
    world.pass(mins(1)).await;
    assert_eq!(says(&world, "anna").await, ["still there?"], "the wait was over long ago");
    enter(&world, "bert", json!({})).await;
    world.act("canvases", &id, "pause").await;
    world.pass(mins(1)).await;
    world.act("canvases", &id, "resume").await;
    world.pass(mins(1)).await;
    assert_eq!(world.event("bert", "booked", json!({"item": "bed"})).await["journeys"], 1);
    world.settle_down().await;
    assert_eq!(says(&world, "bert").await, ["thanks"]);
}

#[actix_web::test]
async fn an_archived_canvas_ends_its_journeys() {
    let world = World::new().await;
    let id = world.live("canvases", waiting()).await;
    enter(&world, "anna", json!({})).await;
    world.act("canvases", &id, "archive").await;
    assert_eq!(world.event("anna", "booked", json!({"item": "bed"})).await["journeys"], 0);
    world.pass(hours(80)).await;
    assert_eq!(says(&world, "anna").await, [""; 0]);
    let kept = world.store.scan(0, hostline::store::RecordKind::Awaiting, Default::default(), 10);
    assert_eq!(kept.await.expect("works"), [], "nothing is left behind");
    assert_eq!(world.counts("canvases", &id).await, json!({"entered": 1, "exited": 1}));
}

#[actix_web::test]
async fn who_may_enter_and_how_often_is_the_documents_affair() {
    let world = World::new().await;
    let mut document = canvas(json!([step("a", "x")]));
    document["reeligible"] = json!("24h");
    document["audience"] = json!({"property": "recipient.plan", "op": "exists"});
    let id = world.live("canvases", document).await;
    world.attributes("anna", json!({"plan": 1})).await;
    let reason = |answer: &Value| answer["skipped"][0]["reason"].clone();
    assert_eq!(reason(&enter(&world, "bert", json!({})).await), "not_in_audience");
    assert_eq!(reason(&enter(&world, "anna", json!({})).await), Value::Null);
    assert_eq!(reason(&enter(&world, "anna", json!({})).await), "not_eligible");
    world.pass(hours(24)).await;
    assert_eq!(reason(&enter(&world, "anna", json!({})).await), Value::Null);
    assert_eq!(says(&world, "anna").await, ["x", "x"]);
    let counts = world.counts("canvases", &id).await;
    assert_eq!(counts["entered"], 2, "{counts}");
    let nobody = world.post("/v1/triggers", json!({"canvas": "j"})).await;
    assert_eq!((nobody.status, nobody.place().as_str()), (400, "/recipients"));
}

#[actix_web::test]
async fn a_recipient_may_be_in_one_canvas_more_than_once() {
    let world = World::new().await;
    world.live("canvases", waiting()).await;
    enter(&world, "anna", json!({})).await;
    enter(&world, "anna", json!({})).await;
    assert_eq!(world.event("anna", "booked", json!({"item": "bed"})).await["journeys"], 2);
    world.settle_down().await;
    assert_eq!(says(&world, "anna").await, ["thanks"; 2]);
}

#[actix_web::test]
async fn a_step_that_cannot_be_rendered_is_recorded_and_the_journey_goes_on() {
    let world = World::new().await;
    let bad = json!({"url": "https://shop.example/{{ recipient.none }}", "body": "x"});
    let id = world
        .live(
            "canvases",
            canvas(json!([
            {"id": "a", "type": "webhook", "webhooks": [bad]},
            step("b", "{% abort_message('not now') %}"),
            step("c", "done")])),
        )
        .await;
    enter(&world, "anna", json!({})).await;
    assert_eq!(says(&world, "anna").await, ["done"]);
    assert_eq!(world.activity(&id).await, ["render_failed", "aborted"]);
    let log = world.see(&format!("/v1/activity?subject={id}&kind=aborted")).await;
    assert_eq!(
        (&log["data"][0]["part"], &log["data"][0]["recipient"]),
        (&json!("b"), &json!("anna"))
    );
}

#[actix_web::test]
async fn a_circle_goes_round_until_its_way_out() {
    let world = World::new().await;
    let out = json!([{"when": {"property": "recipient.n", "op": "at_least", "value": 3},
        "next": "end"}]);
    world
        .live(
            "canvases",
            canvas(json!([
            {"id": "fork", "type": "branch", "branches": out, "else": "send"},
            step("send", "{{ recipient.n }}"),
            {"id": "rest", "type": "delay", "for": "1h", "next": "fork"},
            {"id": "end", "type": "exit"}])),
        )
        .await;
    world.attributes("anna", json!({"n": 1})).await;
    enter(&world, "anna", json!({})).await;
    for _ in 0..5 {
        world.attributes("anna", json!({"n": {"inc": 1}})).await;
        world.pass(hours(1)).await;
    }
    assert_eq!(says(&world, "anna").await, ["1", "2"]);
    assert!(NOW.until(world.now()) >= hours(5));
}

#[actix_web::test]
async fn two_thousand_journeys_that_are_due_together_all_go_on() {
    let world = World::new().await;
    let id = world
        .live(
            "canvases",
            canvas(json!([{"id": "rest", "type": "delay", "for": "1h"},
            step("send", "x")])),
        )
        .await;
    for name in 0..40 {
        let to = recipients(&format!("r{name}-"), 50);
        world.trigger(json!({"canvas": "j", "recipients": to})).await;
    }
    world.settle_down().await;
    world.pass(hours(1)).await;
    let counts = world.counts("canvases", &id).await;
    assert_eq!(counts, json!({"entered": 2000, "exited": 2000, "sent": 2000}));
}

#[actix_web::test]
async fn an_event_that_follows_the_entry_at_once_is_not_missed() {
    for kept in BOTH {
        let world = World::of(kept).await;
        let steps = json!([
            {"id": "wait", "type": "wait_for_event", "event": "bought", "timeout": "1d",
             "on_event": "thanks", "on_timeout": "remind"},
            {"id": "thanks", "type": "webhook", "webhooks": [hook("thanks")], "next": "end"},
            step("remind", "remind"),
            {"id": "end", "type": "exit"}]);
        let trigger = json!({"type": "event", "event": "signed_up"});
        world.live("canvases", json!({"name": "j", "trigger": trigger, "steps": steps})).await;
        world.event("anna", "signed_up", json!({})).await;
        // Nobody has moved the journey on yet.
        let answer = world.event("anna", "bought", json!({})).await;
        assert_eq!(answer["journeys"], 1, "{answer}");
        world.settle_down().await;
        assert_eq!(says(&world, "anna").await, ["thanks"]);
    }
}
