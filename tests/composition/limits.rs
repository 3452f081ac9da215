//! How often, how fast, how many and when a campaign sends.

use futures::future::join_all;
use hostline::model::Timestamp;
use serde_json::{Value, json};

use super::house::NOW;
use super::world::{BOTH, World, hook, hours, mins, recipients, secs};

fn campaign(fields: Value) -> Value {
    let mut document = json!({"name": "c", "trigger": {"type": "api"}, "webhooks": [hook("x")]});
    let document_fields = document.as_object_mut().expect("an object");
    document_fields.extend(fields.as_object().expect("an object").clone());
    document
}

fn to(name: &str, count: usize) -> Value {
    json!({"campaign": "c", "recipients": recipients(name, count)})
}

async fn reasons(world: &World, trigger: Value) -> Vec<String> {
    let answer = world.trigger(trigger).await;
    let skipped = answer["skipped"].as_array().cloned().unwrap_or_default();
    skipped.iter().map(|one| one["reason"].as_str().expect("a reason").to_owned()).collect()
}

/// When the deliveries are due, in milliseconds from the start, in order.
async fn dues(world: &World) -> Vec<i64> {
    let records = world.records("").await;
    let mut dues: Vec<i64> =
        records.iter().map(|record| record.due.as_millis() - NOW.as_millis()).collect();
    dues.sort_unstable();
    dues
}

#[actix_web::test]
async fn whoever_had_it_gets_it_again_when_the_time_has_passed() {
    let mut world = World::new().await;
    world.live("campaigns", campaign(json!({"reeligible": "24h"}))).await;
    assert_eq!(reasons(&world, to("u", 1)).await, [""; 0]);
    assert_eq!(reasons(&world, to("u", 2)).await, ["not_eligible"]);
    world.restart().await;
    world.pass(hours(23)).await;
    assert_eq!(reasons(&world, to("u", 1)).await, ["not_eligible"]);
    world.pass(hours(1)).await;
    assert_eq!(reasons(&world, to("u", 1)).await, [""; 0]);
    assert_eq!(world.deliveries("recipient=u0").await.len(), 2);
}

#[actix_web::test]
async fn one_named_twice_in_one_trigger_gets_it_once_where_once_is_the_rule() {
    let world = World::new().await;
    world.live("campaigns", campaign(json!({"reeligible": "never"}))).await;
    let twice =
        json!({"campaign": "c", "recipients": [{"external_id": "a"}, {"external_id": "a"}]});
    assert_eq!(reasons(&world, twice).await, ["not_eligible"]);
    assert_eq!(world.deliveries("").await.len(), 1);
}

#[actix_web::test]
async fn a_frequency_cap_holds_over_a_sliding_window() {
    let world = World::new().await;
    let cap = json!({"frequency_cap": {"messages": 2, "per": "1h"}});
    let id = world.live("campaigns", campaign(cap)).await;
    for minutes in [0, 20] {
        assert_eq!(reasons(&world, to("u", 1)).await, [""; 0], "{minutes}");
        world.pass(mins(20)).await;
    }
    assert_eq!(reasons(&world, to("u", 1)).await, ["capped"]);
    world.pass(mins(20)).await;
    assert_eq!(reasons(&world, to("u", 1)).await, [""; 0], "the first is an hour old");
    assert_eq!(reasons(&world, to("u", 1)).await, ["capped"]);
    assert_eq!(world.counts("campaigns", &id).await, json!({"sent": 3, "capped": 2}));
}

#[actix_web::test]
async fn a_cap_holds_when_many_ask_at_once() {
    for kept in BOTH {
        let world = World::of(kept).await;
        let cap = json!({"frequency_cap": {"messages": 3, "per": "1h"}});
        world.live("campaigns", campaign(cap)).await;
        let asked = (0..20).map(|_| world.post("/v1/triggers", to("u", 1)));
        let answers = join_all(asked).await;
        assert!(answers.iter().all(|answer| answer.status == 202));
        assert_eq!(world.deliveries("recipient=u0").await.len(), 3);
    }
}

#[actix_web::test]
async fn stop_after_is_exact_under_twenty_requests_at_once() {
    for kept in BOTH {
        let world = World::of(kept).await;
        let id = world.live("campaigns", campaign(json!({"stop_after": 33}))).await;
        let names: Vec<String> = (0..20).map(|number| format!("r{number}-")).collect();
        let asked = names.iter().map(|name| world.post("/v1/triggers", to(name, 5)));
        let answers = join_all(asked).await;
        assert!(answers.iter().all(|answer| answer.status == 202), "{}", answers[0].text);
        assert_eq!(world.deliveries("").await.len(), 33);
        let counts = world.counts("campaigns", &id).await;
        assert_eq!(counts, json!({"sent": 33, "stopped": 67}));
    }
}

#[actix_web::test]
async fn what_was_refused_does_not_use_up_stop_after() {
    let world = World::new().await;
    let url = "https://{{ recipient.external_id }}.example/";
    let webhooks = json!([{"url": url, "body": "x"}]);
    let fields = json!({"stop_after": 3, "webhooks": webhooks});
    world.live("campaigns", campaign(fields)).await;
    let controls = hostline::model::HostControls {
        draining: true,
        ..hostline::model::HostControls::default()
    };
    for host in ["u0.example", "u1.example"] {
        let name = hostline::model::HostName::from_normalised(host);
        world.engine.controls.lock().expect("not poisoned").insert(name, controls.clone());
    }
    assert_eq!(reasons(&world, to("u", 4)).await, ["stopped", "refused", "refused"]);
    assert_eq!(reasons(&world, to("v", 3)).await, ["stopped"], "two of three were given back");
    assert_eq!(world.deliveries("").await.len(), 3);
}

#[actix_web::test]
async fn stop_at_ends_a_campaign() {
    let world = World::new().await;
    let end = NOW.plus(hours(1)).to_string();
    world.live("campaigns", campaign(json!({ "stop_at": end }))).await;
    assert_eq!(reasons(&world, to("u", 1)).await, [""; 0]);
    world.pass(hours(1)).await;
    assert_eq!(reasons(&world, to("u", 1)).await, ["stopped"]);
}

#[actix_web::test]
async fn quiet_hours_move_a_message_to_their_end_on_the_recipients_clock() {
    // The test begins on 2026-11-24 at 07:00 in UTC, 08:00 in Berlin, 02:00 in New York.
    let world = World::new().await;
    assert_eq!(Timestamp::parse("2026-11-24T07:00:00Z"), Some(NOW));
    let quiet = json!({"from": "22:00", "to": "09:00", "time_zone": "Europe/Berlin"});
    world.live("campaigns", campaign(json!({ "quiet_hours": quiet }))).await;
    world.attributes("ny", json!({"time_zone": "America/New_York"})).await;
    world.attributes("odd", json!({"time_zone": "Nowhere"})).await;
    world.attributes("utc", json!({"time_zone": "Asia/Tokyo"})).await;
    let everyone = json!([{"external_id": "ny"}, {"external_id": "odd"}, {"external_id": "utc"}]);
    world.trigger(json!({"campaign": "c", "recipients": everyone})).await;
    let due = async |name: &str| {
        let record = &world.records(&format!("recipient={name}")).await[0];
        NOW.until(record.due)
    };
    assert_eq!(due("ny").await, hours(7));
    assert_eq!(due("odd").await, hours(1), "an unknown zone counts for none");
    assert_eq!(due("utc").await, secs(0), "in Tokyo it is four in the afternoon");
    let record = &world.records("recipient=ny").await[0];
    assert_eq!(record.due.until(record.expires), world.settings.delivery.ttl);
}

#[actix_web::test]
async fn messages_per_minute_are_spread_evenly_over_several_calls() {
    for kept in BOTH {
        let mut world = World::of(kept).await;
        world.live("campaigns", campaign(json!({"messages_per_minute": 6}))).await;
        world.trigger(to("a", 3)).await;
        world.trigger(to("b", 2)).await;
        world.restart().await;
        world.trigger(to("c", 1)).await;
        assert_eq!(dues(&world).await, [0, 10_000, 20_000, 30_000, 40_000, 50_000]);
        let rest = ["d", "e", "f", "g"].map(|name| world.post("/v1/triggers", to(name, 1)));
        assert!(join_all(rest).await.iter().all(|answer| answer.status == 202));
        assert_eq!(dues(&world).await[6..], [60_000, 70_000, 80_000, 90_000]);
        world.pass(mins(5)).await;
        world.trigger(to("h", 2)).await;
        assert_eq!(dues(&world).await[10..], [300_000, 310_000], "idle time saves nothing up");
    }
}

#[actix_web::test]
async fn an_aborted_message_takes_no_slot_of_the_speed_limit() {
    let world = World::new().await;
    let text = "{% if recipient.external_id == 'u1' %}{% abort_message('no') %}{% endif %}x";
    let fields = json!({"messages_per_minute": 60, "webhooks": [hook(text)]});
    world.live("campaigns", campaign(fields)).await;
    assert_eq!(reasons(&world, to("u", 4)).await, ["aborted"]);
    assert_eq!(dues(&world).await, [0, 1_000, 2_000]);
}

#[actix_web::test]
async fn a_delayed_trigger_does_not_hold_up_what_goes_now() {
    let world = World::new().await;
    world.live("campaigns", campaign(json!({"messages_per_minute": 6}))).await;
    let mut later = to("later", 1);
    later["delay"] = json!("30d");
    world.trigger(later).await;
    world.trigger(to("now", 2)).await;
    let month = 30 * 86_400_000;
    assert_eq!(dues(&world).await, [0, 10_000, month]);
}

#[actix_web::test]
async fn one_call_has_one_budget_for_all_that_it_renders() {
    let world = World::new().await;
    let heavy = "{% for i in (1..100000) %}0123456789{% endfor %}";
    let webhooks: Vec<Value> = (0..20).map(|_| hook(heavy)).collect();
    let trigger = json!({"webhooks": webhooks, "recipients": recipients("u", 50)});
    let answer = world.trigger(trigger).await;
    let came = answer["deliveries"].as_array().expect("a list").len();
    assert!(came > 0 && came < 100, "{came} of a megabyte each");
    let skipped = answer["skipped"].as_array().expect("a list");
    assert_eq!(came + skipped.len(), 1_000);
    assert!(skipped.iter().all(|one| one["reason"] == "render_failed"), "{}", skipped[0]);
}
