//! Custom events of recipients, and webhooks that lead back to this server.

use serde_json::{Value, json};

use super::house::post;
use super::world::{BOTH, World, hook, said};

fn by_event(name: &str, event: &str, filter: Option<Value>) -> Value {
    let mut trigger = json!({"type": "event", "event": event});
    if let Some(filter) = filter {
        trigger["filter"] = filter;
    }
    json!({"name": name, "trigger": trigger,
        "webhooks": [hook("{{ event_properties.item }} for {{ recipient.external_id }}")]})
}

fn wait_for(event: &str) -> Value {
    json!({"name": "waits", "trigger": {"type": "api"}, "steps": [
        {"id": "wait", "type": "wait_for_event", "event": event, "timeout": "1d"},
        {"id": "thank", "type": "webhook", "webhooks": [hook("thanks")]}]})
}

#[actix_web::test]
async fn an_event_fires_each_live_campaign_whose_filter_lets_it_through() {
    let world = World::new().await;
    let large = json!({"all": [
        {"property": "event_properties.total", "op": "at_least", "value": 100},
        {"property": "recipient.plan", "op": "not_equals", "value": "tin"}]});
    let all = world.live("campaigns", by_event("all", "booked", None)).await;
    let some = world.live("campaigns", by_event("large", "booked", Some(large))).await;
    world.live("campaigns", by_event("other", "left", None)).await;
    world.create("campaigns", by_event("draft", "booked", None)).await;
    world.attributes("tin", json!({"plan": "tin"})).await;
    let small = world.event("anna", "booked", json!({"item": "bed", "total": 10})).await;
    assert_eq!(small["campaigns"], json!([all]));
    assert_eq!(small["deliveries"], 1);
    let large = world.event("anna", "booked", json!({"item": "suite", "total": 200})).await;
    assert_eq!((&large["campaigns"], &large["deliveries"]), (&json!([all, some]), &json!(2)));
    let tin = world.event("tin", "booked", json!({"item": "suite", "total": 200})).await;
    assert_eq!(tin["campaigns"], json!([all]));
    let one = format!("trigger={}", large["trigger"].as_str().expect("an id"));
    assert_eq!(said(&world.bodies(&one).await), ["suite for anna"; 2], "one commit");
    world.act("campaigns", "all", "pause").await;
    let paused = world.event("anna", "booked", json!({})).await;
    assert_eq!((&paused["campaigns"], &paused["deliveries"]), (&json!([]), &json!(0)));
    let unheard = world.event("anna", "unheard", json!({})).await;
    assert_eq!(unheard["campaigns"], json!([]));
}

#[actix_web::test]
async fn one_event_fires_campaigns_lets_into_canvases_and_wakes_journeys() {
    for kept in BOTH {
        let world = World::of(kept).await;
        let campaign = world.live("campaigns", by_event("c", "booked", None)).await;
        let canvas = json!({"name": "j", "trigger": {"type": "event", "event": "booked"},
            "steps": [{"id": "hi", "type": "webhook", "webhooks": [hook("hi")]}]});
        let canvas = world.live("canvases", canvas).await;
        world.live("canvases", wait_for("booked")).await;
        let into = json!({"canvas": "waits", "recipients": [{"external_id": "anna"}]});
        world.trigger(into).await;
        world.settle_down().await;
        let bert = world.event("bert", "booked", json!({"item": "bed"})).await;
        assert_eq!(bert["journeys"], 0, "it is anna who waits");
        let started = world.event("anna", "booked", json!({"item": "bed"})).await;
        assert_eq!(started["campaigns"], json!([campaign]));
        assert_eq!(started["canvases"], json!([canvas]));
        assert_eq!((&started["journeys"], &started["deliveries"]), (&json!(1), &json!(1)));
        world.settle_down().await;
        let mut bodies = world.bodies("recipient=anna").await;
        bodies.sort_by_key(Value::to_string);
        assert_eq!(said(&bodies), ["bed for anna", "hi", "thanks"]);
    }
}

#[actix_web::test]
async fn an_event_with_a_key_counts_once_and_is_answered_alike() {
    let world = World::new().await;
    let mut document = by_event("c", "booked", None);
    document["reeligible"] = json!("never");
    world.live("campaigns", document).await;
    let body = json!({"external_id": "anna", "name": "booked"}).to_string();
    let send = |key: &'static str| {
        world.send(post("/v1/events", body.clone()).insert_header(("idempotency-key", key)))
    };
    let (first, again) = (send("k").await, send("k").await);
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.text, again.text);
    assert_eq!(world.deliveries("").await.len(), 1);
    let other = send("l").await.json();
    assert_eq!(other["skipped"][0]["reason"], "not_eligible");
    assert_eq!(world.deliveries("").await.len(), 1);
}

#[actix_web::test]
async fn a_bad_event_is_refused_with_its_field() {
    let world = World::new().await;
    for (body, place) in [
        (json!({"name": "x"}), ""),
        (json!({"external_id": "", "name": "x"}), "/external_id"),
        (json!({"external_id": "a", "name": "x\ny"}), "/name"),
        (json!({"external_id": "a", "name": "x", "properties": []}), "/properties"),
        (json!({"external_id": "a", "name": "x", "time": "noon"}), "/time"),
        (json!({"external_id": "a", "name": "x", "extra": 1}), "/extra"),
    ] {
        let answer = world.post("/v1/events", body.clone()).await;
        assert_eq!((answer.status, answer.place().as_str()), (400, place), "{body}");
    }
}

#[actix_web::test]
async fn a_chain_of_own_webhooks_is_counted_and_cut_off() {
    let own = |settings: &mut hostline::config::Settings| {
        settings.compose.own_hosts = vec!["me.example".into()];
    };
    let world = World::with(own).await;
    let to_me = json!({"url": "https://me.example/v1/events", "headers": {"Hostline-Hop": "0"},
        "body": {"external_id": "anna", "name": "booked"}});
    let document = json!({"name": "c", "trigger": {"type": "event", "event": "booked"},
        "webhooks": [to_me.clone(), hook("away")]});
    world.live("campaigns", document).await;
    let body = json!({"external_id": "anna", "name": "booked"}).to_string();
    let send = |uri: &'static str, body: &str, hop: &'static str| {
        world.send(post(uri, body.to_owned()).insert_header(("hostline-hop", hop)))
    };
    for hop in ["0", "3", "8"] {
        let answer = send("/v1/events", &body, hop).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
    }
    let hops = |records: Vec<hostline::store::DeliveryRecord>| -> Vec<Option<String>> {
        let of = |record: &hostline::store::DeliveryRecord| {
            let headers = &record.webhook.headers;
            let hop = headers.iter().filter(|header| header.name == "hostline-hop");
            let values: Vec<String> = hop.map(|header| header.value.clone()).collect();
            assert!(values.len() < 2, "{values:?}");
            values.first().cloned()
        };
        records.iter().map(of).collect()
    };
    let counted = ["1", "4", "9"].map(|hop| Some(hop.to_owned()));
    assert_eq!(hops(world.records("host=me.example").await), counted);
    assert_eq!(hops(world.records("host=shop.example").await), [None, None, None]);
    for (uri, body) in
        [("/v1/events", &body), ("/v1/triggers", &json!({"webhook": to_me}).to_string())]
    {
        let cut = send(uri, body, "9").await;
        assert_eq!((cut.status, cut.slug().as_str()), (508, "loop-detected"), "{uri}");
    }
    let log = world.see("/v1/activity?kind=loop_cut").await;
    assert_eq!(log["data"].as_array().map(Vec::len), Some(2), "{log}");
    let odd = send("/v1/events", &body, "many").await;
    assert_eq!((odd.status, odd.place().as_str()), (400, "hostline-hop"));
}

#[actix_web::test]
async fn a_webhook_that_would_be_one_hop_too_far_is_left_out_and_recorded() {
    let own = |settings: &mut hostline::config::Settings| {
        settings.compose.own_hosts = vec!["me.example".into()];
    };
    let mut world = World::with(own).await;
    let document = json!({"name": "j", "trigger": {"type": "api"}, "steps": [
        {"id": "pause", "type": "delay", "for": "1h"},
        {"id": "send", "type": "webhook", "webhooks": [hook("x")]}]});
    let id = world.live("canvases", document).await;
    let body = json!({"canvas": "j", "recipients": [{"external_id": "anna"}]}).to_string();
    let request = post("/v1/triggers", body).insert_header(("hostline-hop", "6"));
    assert_eq!(world.send(request).await.status, 202);
    world.settle_down().await;
    // The limit is lowered while the journey is under way.
    world.restart_with(|settings| settings.compose.max_hops = 5).await;
    world.pass(super::world::hours(1)).await;
    assert!(world.deliveries("").await.is_empty());
    assert_eq!(world.activity(&id).await, ["loop_cut"]);
    assert_eq!(world.counts("canvases", &id).await["loop_cut"], 1);
}
