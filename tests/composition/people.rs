//! Recipients: their attributes, and what is kept and forgotten of them.

use futures::future::join_all;
use serde_json::{Value, json};

use super::world::{BOTH, World, hook, hours, recipients};

async fn attributes(world: &World, id: &str) -> Value {
    world.see(&format!("/v1/recipients/{id}")).await["attributes"].clone()
}

#[actix_web::test]
async fn attributes_are_set_raised_added_removed_and_deleted() {
    let world = World::new().await;
    let first = json!({"name": "Anna", "n": 1, "tags": ["a", "b"], "deep": {"x": [1]}});
    world.attributes("anna", first).await;
    let change = json!({"n": {"inc": 2.5}, "m": {"inc": -3}, "tags": {"add": ["c", "a"]},
        "name": null, "new": {"add": ["x"]}});
    world.attributes("anna", change).await;
    let now = attributes(&world, "anna").await;
    assert_eq!(now["n"], json!(3.5));
    assert_eq!(now["m"], json!(-3));
    assert_eq!(now.get("name"), None);
    assert_eq!((&now["new"], &now["deep"]), (&json!(["x"]), &json!({"x": [1]})));
    let tags = now["tags"].as_array().expect("an array");
    assert!(tags.contains(&json!("c")) && tags.len() == 3, "{tags:?}");
    world.attributes("anna", json!({"tags": {"remove": ["a", "none"]}})).await;
    assert_eq!(attributes(&world, "anna").await["tags"], json!(["b", "c"]));
    let put = world.put("/v1/recipients/anna", json!({"attributes": {"only": 1}})).await;
    assert_eq!(put.status, 200);
    assert_eq!(attributes(&world, "anna").await, json!({"only": 1}));
    let bad =
        world.patch("/v1/recipients/anna", json!({"attributes": {"only": {"add": ["x"]}}})).await;
    assert_eq!((bad.status, bad.place().as_str()), (400, "/attributes/only"));
    assert_eq!(attributes(&world, "anna").await, json!({"only": 1}), "nothing of it was kept");
    assert_eq!(world.get("/v1/recipients/none").await.status, 404);
}

#[actix_web::test]
async fn a_hundred_increments_at_once_are_exact() {
    for kept in BOTH {
        let world = World::of(kept).await;
        let raise = json!({"attributes": {"points": {"inc": 3}, "list": {"add": ["x"]}}});
        let asked = (0..100).map(|_| world.patch("/v1/recipients/anna", raise.clone()));
        for answer in join_all(asked).await {
            assert_eq!(answer.status, 200, "{}", answer.text);
        }
        assert_eq!(attributes(&world, "anna").await["points"], 300);
    }
}

#[actix_web::test]
async fn recipients_are_listed_page_by_page() {
    let world = World::new().await;
    for name in ["c", "a", "b"] {
        world.attributes(name, json!({"x": 1})).await;
    }
    let first = world.see("/v1/recipients?limit=2").await;
    let id = |list: &Value, place: usize| list["data"][place]["external_id"].clone();
    assert_eq!((id(&first, 0), id(&first, 1)), (json!("a"), json!("b")));
    let second = world.see("/v1/recipients?limit=2&after=b").await;
    assert_eq!((id(&second, 0), &second["next"]), (json!("c"), &Value::Null));
}

/// A recipient with a profile, a contact, a journey, an awaited event, deliveries and activity.
async fn known(world: &World, name: &str) {
    world.attributes(name, json!({"plan": "gold"})).await;
    let to = json!([{"external_id": name}]);
    world.trigger(json!({"campaign": "c", "recipients": to})).await;
    world.trigger(json!({"campaign": "aborts", "recipients": to})).await;
    world.trigger(json!({"canvas": "waits", "recipients": to})).await;
    world.trigger(json!({"canvas": "later", "recipients": to})).await;
    world.settle_down().await;
}

async fn catalog(world: &World) {
    let campaign = json!({"name": "c", "trigger": {"type": "api"}, "reeligible": "never",
        "webhooks": [hook("x")]});
    world.live("campaigns", campaign).await;
    let aborts = json!({"name": "aborts", "trigger": {"type": "api"},
        "webhooks": [hook("{% abort_message('no') %}")]});
    world.live("campaigns", aborts).await;
    let waits = json!({"name": "waits", "trigger": {"type": "api"}, "steps": [
        {"id": "wait", "type": "wait_for_event", "event": "booked", "timeout": "7d"},
        {"id": "thank", "type": "webhook", "webhooks": [hook("thanks")]}]});
    world.live("canvases", waits).await;
    let later = json!({"name": "later", "trigger": {"type": "api"}, "steps": [
        {"id": "rest", "type": "delay", "for": "1h"},
        {"id": "send", "type": "webhook", "webhooks": [hook("later")]}]});
    world.live("canvases", later).await;
}

#[actix_web::test]
async fn an_export_shows_all_that_is_kept() {
    let world = World::new().await;
    catalog(&world).await;
    known(&world, "anna").await;
    known(&world, "ann").await;
    let export = world.see("/v1/recipients/anna/export").await;
    assert_eq!(export["profile"]["attributes"], json!({"plan": "gold"}));
    let count = |field: &str| export[field].as_array().map(Vec::len);
    assert_eq!((count("contacts"), count("journeys")), (Some(1), Some(2)), "{export}");
    assert_eq!((count("deliveries"), count("activity")), (Some(1), Some(1)));
    assert_eq!(world.get("/v1/recipients/nobody/export").await.status, 404);
}

#[actix_web::test]
async fn to_forget_cancels_what_is_owed_and_ends_journeys() {
    for kept in BOTH {
        let world = World::of(kept).await;
        catalog(&world).await;
        known(&world, "anna").await;
        known(&world, "ann").await;
        let answer = world.delete("/v1/recipients/anna").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert_eq!(answer.json()["deliveries_cancelled"], 1);
        assert_eq!(world.get("/v1/recipients/anna").await.status, 404);
        let export = world.see("/v1/recipients/anna/export").await;
        assert_eq!((&export["contacts"], &export["journeys"]), (&json!([]), &json!([])));
        assert_eq!(export["deliveries"][0]["state"], "cancelled");
        let event = world.event("anna", "booked", json!({})).await;
        assert_eq!(event["journeys"], 0);
        world.pass(hours(2)).await;
        assert_eq!(world.deliveries("recipient=anna").await.len(), 1);
        let ann = world.deliveries("recipient=ann").await;
        assert_eq!(ann.len(), 2, "whose name begins another's is left alone");
        assert_eq!(world.event("ann", "booked", json!({})).await["journeys"], 1);
        let again = json!({"campaign": "c", "recipients": [{"external_id": "anna"}]});
        assert_eq!(world.trigger(again).await["skipped"], Value::Null, "a new acquaintance");
    }
}

#[actix_web::test]
async fn to_forget_cancels_more_than_a_page_of_deliveries() {
    let world = World::new().await;
    let document = json!({"name": "c", "trigger": {"type": "api"},
        "webhooks": vec![hook("x"); 50]});
    world.live("campaigns", document).await;
    for _ in 0..21 {
        world.trigger(json!({"campaign": "c", "recipients": recipients("u", 1)})).await;
    }
    let newest = world.deliveries("recipient=u0").await;
    assert_eq!(newest.len(), 1_050);
    let answer = world.delete("/v1/recipients/u0").await.json();
    assert_eq!(answer["deliveries_cancelled"], 1_050);
}

#[actix_web::test]
async fn to_forget_while_steps_are_taken_leaves_nothing_behind() {
    let world = World::embedded().await;
    let steps: Vec<Value> = (0..20)
        .map(|number| json!({"id": format!("s{number}"), "type": "webhook", "webhooks": [hook("x")]}))
        .collect();
    let document = json!({"name": "j", "trigger": {"type": "api"}, "steps": steps});
    world.live("canvases", document).await;
    let to = json!({"canvas": "j", "recipients": recipients("u", 20)});
    world.trigger(to).await;
    world.tick().await;
    let names: Vec<String> = (0..20).map(|number| format!("/v1/recipients/u{number}")).collect();
    let forget = join_all(names.iter().map(|uri| world.delete(uri)));
    let steps = async {
        for _ in 0..10 {
            world.tick().await;
        }
    };
    let (answers, ()) = futures::join!(forget, steps);
    assert!(answers.iter().all(|answer| answer.status == 200));
    let left = world.deliveries("state=waiting").await;
    assert_eq!(left.len(), 0, "{left:?}");
    let before = world.deliveries("").await.len();
    world.settle_down().await;
    assert_eq!(world.deliveries("").await.len(), before, "no journey goes on");
}
