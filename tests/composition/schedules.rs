//! Campaigns and sends whose time comes later, page by page.

use std::collections::BTreeSet;

use futures::future::join_all;
use hostline::compose::{Send, SendTo, SendWhat};
use hostline::model::Timestamp;
use serde_json::{Map, Value, json};

use super::house::NOW;
use super::world::{BOTH, World, hook, hours, mins, said, secs};

/// Recipients of the profile store: more than two pages.
const CROWD: usize = 250;
const EVERYONE: &str = r#"{"property": "recipient.external_id", "op": "exists"}"#;

fn scheduled(trigger: Value, fields: Value) -> Value {
    let mut document = json!({"name": "c", "trigger": trigger,
        "webhooks": [hook("{{ recipient.external_id }}")]});
    let document_fields = document.as_object_mut().expect("an object");
    document_fields.extend(fields.as_object().expect("an object").clone());
    document
}

fn at(time: Timestamp) -> Value {
    json!({"type": "schedule", "at": time.to_string()})
}

fn to_everyone(trigger: Value) -> Value {
    let audience: Value = serde_json::from_str(EVERYONE).expect("a filter");
    scheduled(trigger, json!({ "audience": audience }))
}

async fn crowd(world: &World) {
    let names: Vec<String> = (0..CROWD).map(|number| format!("u{number:03}")).collect();
    for chunk in names.chunks(50) {
        join_all(chunk.iter().map(|name| world.attributes(name, json!({"n": 1})))).await;
    }
}

/// Who was sent to, one entry a delivery, in order.
async fn reached(world: &World) -> Vec<String> {
    let rows = world.deliveries("").await;
    let who = |row: &Value| row["composed"]["recipient"].as_str().unwrap_or("-").to_owned();
    let mut reached: Vec<String> = rows.iter().map(who).collect();
    reached.sort_unstable();
    reached
}

fn assert_each_once(reached: &[String]) {
    let different: BTreeSet<&String> = reached.iter().collect();
    assert_eq!((reached.len(), different.len()), (CROWD, CROWD));
}

fn plain(what: SendWhat, to: SendTo) -> Send {
    let properties = Map::new();
    Send { what, to, properties, audience: None, send_id: None, uncapped: false, hop: 0 }
}

async fn broadcast(world: &World, what: SendWhat) {
    let envelope = hostline::admission::Envelope::plain(world.now(), 0, &world.settings);
    let send = plain(what, SendTo::Everyone);
    let request = bytes::Bytes::new();
    let sent = world.composer().send(&send, &request, envelope, world.now()).await;
    assert_eq!(sent.expect("it is taken").deliveries, 0, "it goes in the background");
}

#[actix_web::test]
async fn a_campaign_fires_once_at_its_time() {
    let mut world = World::new().await;
    let id = world.live("campaigns", scheduled(at(NOW.plus(hours(2))), json!({}))).await;
    let listed = world.see("/v1/schedules").await;
    assert_eq!(listed["data"][0]["id"], id.as_str(), "{listed}");
    world.pass(hours(1)).await;
    assert!(world.deliveries("").await.is_empty());
    world.restart().await;
    world.pass(hours(1)).await;
    assert_eq!(world.deliveries("campaign=c").await.len(), 1);
    world.pass(hours(48)).await;
    assert_eq!(world.deliveries("").await.len(), 1);
    assert_eq!(world.see("/v1/schedules").await["data"], json!([]));
    assert_eq!(world.see("/v1/campaigns/c").await["status"], "live");
}

#[actix_web::test]
async fn a_time_that_has_passed_cannot_be_launched() {
    let world = World::new().await;
    world.create("campaigns", scheduled(at(NOW.plus(hours(1))), json!({}))).await;
    world.pass(hours(1)).await;
    let refused = world.refused("/v1/campaigns/c/launch", json!({})).await;
    assert_eq!(refused, (409, "schedule-over".into()));
    let later = scheduled(at(NOW.plus(hours(3))), json!({}));
    assert_eq!(world.put("/v1/campaigns/c", later).await.status, 200);
    world.act("campaigns", "c", "launch").await;
    world.act("campaigns", "c", "pause").await;
    world.pass(hours(2)).await;
    let refused = world.refused("/v1/campaigns/c/resume", json!({})).await;
    assert_eq!(refused, (409, "schedule-over".into()), "it would be live and never send");
    assert!(world.deliveries("").await.is_empty());
}

#[actix_web::test]
async fn cron_fires_on_its_zones_clock_and_missed_firings_make_up_one() {
    // Nine in Berlin is eight in UTC: an hour after the start.
    let world = World::new().await;
    let cron = json!({"type": "schedule", "cron": "0 9 * * *", "time_zone": "Europe/Berlin"});
    world.live("campaigns", scheduled(cron, json!({}))).await;
    world.pass(mins(59)).await;
    assert!(world.deliveries("").await.is_empty());
    world.pass(mins(1)).await;
    assert_eq!(world.deliveries("").await.len(), 1);
    for day in 2..4 {
        world.pass(hours(24)).await;
        assert_eq!(world.deliveries("").await.len(), day);
    }
    world.pass(hours(24 * 5 + 1)).await;
    assert_eq!(world.deliveries("").await.len(), 4, "five were missed, one is made up");
    let next = world.see("/v1/schedules").await["data"][0]["at"].clone();
    assert_eq!(next, "2026-12-02T08:00:00.000Z");
}

#[actix_web::test]
async fn everyone_is_reached_exactly_once_page_by_page() {
    for kept in BOTH {
        let mut world = World::of(kept).await;
        crowd(&world).await;
        world.live("campaigns", to_everyone(at(NOW.plus(secs(1))))).await;
        tokio::time::advance(secs(1)).await;
        let mut seen = vec![0];
        for tick in 0..5 {
            world.tick().await;
            let count = world.deliveries("").await.len();
            if seen.last() != Some(&count) {
                seen.push(count);
            }
            if tick == 1 {
                world.restart().await;
                world.attributes("aaa", json!({"late": "before the place"})).await;
            }
        }
        assert_eq!(seen, [0, 100, 200, 250]);
        assert_each_once(&reached(&world).await);
    }
}

#[actix_web::test]
async fn everyone_is_reached_once_where_caps_and_pace_are_kept() {
    // Contacts and progress are held while a page goes; the page's own lock must not be among them.
    let world = World::new().await;
    crowd(&world).await;
    let fields = json!({"reeligible": "never", "messages_per_minute": 600,
        "audience": serde_json::from_str::<Value>(EVERYONE).expect("a filter")});
    for round in 0..16 {
        let mut document = scheduled(at(world.now().plus(secs(1))), fields.clone());
        document["name"] = json!(format!("c{round}"));
        world.live("campaigns", document).await;
        world.pass(secs(1)).await;
        let found = world.deliveries(&format!("campaign=c{round}")).await;
        assert_eq!(found.len(), CROWD, "round {round}");
    }
}

#[actix_web::test]
async fn listed_recipients_are_reached_in_their_order() {
    let world = World::new().await;
    let listed: Vec<String> = (0..CROWD).map(|number| format!("r{number:03}")).collect();
    let fields = json!({ "recipients": listed });
    world.live("campaigns", scheduled(at(NOW.plus(secs(1))), fields)).await;
    world.pass(secs(1)).await;
    assert_eq!(said(&world.bodies("").await), listed);
}

#[actix_web::test]
async fn a_paused_schedule_rests_and_a_resumed_one_goes_on() {
    let world = World::new().await;
    let cron = json!({"type": "schedule", "cron": "0 * * * *"});
    world.live("campaigns", scheduled(cron, json!({}))).await;
    world.pass(hours(1)).await;
    world.act("campaigns", "c", "pause").await;
    world.pass(hours(3)).await;
    assert_eq!(world.deliveries("").await.len(), 1);
    world.act("campaigns", "c", "resume").await;
    world.settle_down().await;
    assert_eq!(world.deliveries("").await.len(), 1, "what fell into the pause is over");
    world.pass(hours(1)).await;
    assert_eq!(world.deliveries("").await.len(), 2);
}

#[actix_web::test]
async fn a_run_that_is_paused_or_edited_goes_on_where_it_was() {
    let mut world = World::new().await;
    crowd(&world).await;
    let document = to_everyone(at(NOW.plus(secs(1))));
    world.live("campaigns", document.clone()).await;
    tokio::time::advance(secs(1)).await;
    world.tick().await;
    world.act("campaigns", "c", "pause").await;
    world.pass(hours(1)).await;
    assert_eq!(world.deliveries("").await.len(), 100, "paused");
    world.restart().await;
    world.act("campaigns", "c", "resume").await;
    world.tick().await;
    assert_eq!(world.deliveries("").await.len(), 200);
    let mut edited = document;
    edited["webhooks"] = json!([hook("edited")]);
    assert_eq!(world.put("/v1/campaigns/c", edited).await.status, 200);
    world.settle_down().await;
    assert_each_once(&reached(&world).await);
    let bodies = world.bodies("").await;
    assert_eq!(said(&bodies).iter().filter(|say| **say == "edited").count(), 50);
    assert_eq!(world.see("/v1/schedules").await["data"], json!([]));
}

#[actix_web::test]
async fn an_edit_in_the_moment_of_firing_loses_no_firing() {
    let world = World::new().await;
    let once = scheduled(at(NOW.plus(hours(1))), json!({}));
    let mut cron = scheduled(json!({"type": "schedule", "cron": "0 * * * *"}), json!({}));
    cron["name"] = json!("cron");
    let mut moved = once.clone();
    moved["name"] = json!("moved");
    for document in [&once, &cron, &moved] {
        world.live("campaigns", document.clone()).await;
    }
    tokio::time::advance(hours(1)).await;
    moved["trigger"] = at(NOW.plus(hours(2)));
    for (name, document) in [("c", once), ("cron", cron), ("moved", moved)] {
        assert_eq!(world.put(&format!("/v1/campaigns/{name}"), document).await.status, 200);
    }
    world.settle_down().await;
    let count = async |name: &str| world.deliveries(&format!("campaign={name}")).await.len();
    assert_eq!((count("c").await, count("cron").await, count("moved").await), (1, 1, 0));
    world.pass(hours(1)).await;
    assert_eq!((count("c").await, count("cron").await, count("moved").await), (1, 2, 1));
}

#[actix_web::test]
async fn a_list_that_is_edited_under_way_goes_on_behind_the_last_one_reached() {
    let world = World::new().await;
    let mut listed: Vec<String> = (0..CROWD).map(|number| format!("r{number:03}")).collect();
    let document =
        |listed: &[String]| scheduled(at(NOW.plus(secs(1))), json!({ "recipients": listed }));
    world.live("campaigns", document(&listed)).await;
    tokio::time::advance(secs(1)).await;
    world.tick().await;
    // Two of those who have it go, and one is put before them.
    listed.drain(10..12);
    listed.insert(0, "late".into());
    assert_eq!(world.put("/v1/campaigns/c", document(&listed)).await.status, 200);
    world.settle_down().await;
    assert_each_once(&reached(&world).await);
}

#[actix_web::test]
async fn a_campaign_that_is_no_longer_scheduled_does_not_fire() {
    let world = World::new().await;
    world.live("campaigns", scheduled(at(NOW.plus(hours(1))), json!({}))).await;
    let by_api = scheduled(json!({"type": "api"}), json!({}));
    assert_eq!(world.put("/v1/campaigns/c", by_api).await.status, 200);
    world.pass(hours(2)).await;
    assert!(world.deliveries("").await.is_empty());
    assert_eq!(world.see("/v1/schedules").await["data"], json!([]));
}

#[actix_web::test]
async fn an_archived_campaign_is_not_gone_on_with() {
    let world = World::new().await;
    crowd(&world).await;
    world.live("campaigns", to_everyone(at(NOW.plus(secs(1))))).await;
    tokio::time::advance(secs(1)).await;
    world.tick().await;
    world.act("campaigns", "c", "archive").await;
    world.pass(hours(1)).await;
    assert_eq!(world.deliveries("").await.len(), 100);
    assert_eq!(world.see("/v1/schedules").await["data"], json!([]));
}

#[actix_web::test]
async fn a_broadcast_reaches_everyone_in_the_background() {
    for kept in BOTH {
        let world = World::of(kept).await;
        crowd(&world).await;
        let document = scheduled(json!({"type": "api"}), json!({}));
        world.live("campaigns", document).await;
        broadcast(&world, SendWhat::Campaign("c".into())).await;
        world.settle_down().await;
        assert_each_once(&reached(&world).await);
        assert_eq!(world.see("/v1/schedules").await["data"], json!([]));
    }
}

#[actix_web::test]
async fn a_broadcast_rests_while_its_campaign_is_paused() {
    let world = World::new().await;
    crowd(&world).await;
    let document = scheduled(json!({"type": "api"}), json!({}));
    world.live("campaigns", document).await;
    broadcast(&world, SendWhat::Campaign("c".into())).await;
    world.tick().await;
    world.act("campaigns", "c", "pause").await;
    world.pass(mins(10)).await;
    assert_eq!(world.deliveries("").await.len(), 100);
    world.act("campaigns", "c", "resume").await;
    world.pass(mins(1)).await;
    assert_each_once(&reached(&world).await);
}

#[actix_web::test]
async fn a_scheduled_send_to_a_paused_campaign_is_not_sent_and_recorded() {
    let world = World::new().await;
    let id = world.live("campaigns", scheduled(json!({"type": "api"}), json!({}))).await;
    let nobody = || plain(SendWhat::Campaign("c".into()), SendTo::Nobody);
    let composer = world.composer();
    let first = composer.schedule(&nobody(), NOW.plus(hours(1))).await.expect("taken");
    composer.schedule(&nobody(), NOW.plus(hours(2))).await.expect("taken");
    assert_eq!(world.see(&format!("/v1/schedules/{first}")).await["id"], first.as_str());
    let mut renamed = scheduled(json!({"type": "api"}), json!({}));
    renamed["name"] = json!("renamed");
    assert_eq!(world.put("/v1/campaigns/c", renamed).await.status, 200);
    world.act("campaigns", &id, "pause").await;
    world.pass(hours(1)).await;
    assert!(world.deliveries("").await.is_empty());
    assert_eq!(world.activity(&id).await, ["schedule_not_sent"]);
    world.act("campaigns", &id, "resume").await;
    world.pass(hours(1)).await;
    assert_eq!(world.deliveries(&format!("campaign={id}")).await.len(), 1, "by its new name");
}

#[actix_web::test]
async fn a_scheduled_send_can_be_taken_back() {
    let world = World::new().await;
    let id = world.live("campaigns", scheduled(json!({"type": "api"}), json!({}))).await;
    let send = plain(SendWhat::Campaign("c".into()), SendTo::Nobody);
    let composer = world.composer();
    let scheduled = composer.schedule(&send, NOW.plus(hours(1))).await.expect("taken");
    let gone = world.delete(&format!("/v1/schedules/{scheduled}")).await;
    assert_eq!(gone.status, 200, "{}", gone.text);
    world.pass(hours(2)).await;
    assert!(world.deliveries("").await.is_empty());
    let unknown = world.delete(&format!("/v1/schedules/{scheduled}")).await;
    assert_eq!((unknown.status, unknown.slug().as_str()), (404, "not-found"));
    let cron = json!({"type": "schedule", "cron": "0 * * * *"});
    assert_eq!(world.put(&format!("/v1/campaigns/{id}"), scheduled_as(cron)).await.status, 200);
    let own = world.delete(&format!("/v1/schedules/{id}")).await;
    assert_eq!((own.status, own.slug().as_str()), (409, "campaign-schedule"));
}

fn scheduled_as(trigger: Value) -> Value {
    scheduled(trigger, json!({}))
}

#[actix_web::test]
async fn a_live_campaign_is_not_edited_to_a_time_that_has_passed() {
    let world = World::new().await;
    let of = |at: &str| {
        let trigger = json!({"type": "schedule", "at": at});
        json!({"name": "once", "trigger": trigger, "webhooks": [hook("x")]})
    };
    let id = world.live("campaigns", of("2030-01-01T00:00:00Z")).await;
    let answer = world.put(&format!("/v1/campaigns/{id}"), of("2020-01-01T00:00:00Z")).await;
    assert_eq!(answer.status, 409, "{}", answer.text);
    let kept = world.see(&format!("/v1/campaigns/{id}")).await;
    assert_eq!(kept["version"], 1);
    assert_eq!(world.see("/v1/schedules").await["data"][0]["at"], "2030-01-01T00:00:00.000Z");
}
