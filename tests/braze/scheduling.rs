//! The schedule forms of the sending routes, and `/messages/scheduled_broadcasts`.

use hostline::compose::{Kind, SendWhat};
use serde_json::{Value, json};

use super::house::{House, NOW};
use super::world::{bodies, campaign, live, made, message, pass, people, refused, webhook};

/// A time so many seconds after the house was built.
fn at(seconds: u64) -> Value {
    json!({"time": NOW.plus(std::time::Duration::from_secs(seconds)).to_string()})
}

fn schedule_id(answer: &Value) -> Value {
    assert_eq!(answer["dispatch_id"].as_str().map(str::len), Some(36), "{answer}");
    answer["schedule_id"].clone()
}

#[actix_web::test]
async fn message_goes_when_it_is_due_as_it_was_last_changed() {
    let house = House::new();
    people(&house, &[("u1", "Ada")]).await;
    let body = json!({"external_user_ids": ["u1"], "schedule": at(60),
        "messages": message(r#"{"is": "old"}"#)});
    let id = schedule_id(&made(&house, "/messages/schedule/create", body).await);
    let body = json!({"schedule_id": id, "schedule": at(120),
        "messages": message(r#"{"is": "new", "id": "{{${user_id}}}"}"#)});
    made(&house, "/messages/schedule/update", body).await;
    pass(&house, 90).await;
    assert!(bodies(&house).await.is_empty());
    pass(&house, 60).await;
    assert_eq!(bodies(&house).await, [json!({"is": "new", "id": "u1"})]);
    let said = refused(&house, "/messages/schedule/delete", json!({ "schedule_id": id })).await;
    assert!(said.starts_with("Bad Request: /schedule_id names no schedule"), "{said}");
}

#[actix_web::test]
async fn what_is_deleted_never_goes() {
    let house = House::new();
    let campaign = campaign(&house, "order").await;
    people(&house, &[("u1", "Ada")]).await;
    let body = json!({"campaign_id": campaign, "recipients": [{"external_user_id": "u1"}],
        "schedule": at(60)});
    let create = "/campaigns/trigger/schedule/create";
    let (first, second) =
        (made(&house, create, body.clone()).await, made(&house, create, body).await);
    let body = json!({"campaign_id": campaign, "schedule_id": schedule_id(&first)});
    made(&house, "/campaigns/trigger/schedule/delete", body).await;
    let body = json!({"campaign_id": "order", "schedule_id": schedule_id(&second),
        "schedule": at(30)});
    made(&house, "/campaigns/trigger/schedule/update", body).await;
    pass(&house, 31).await;
    assert_eq!(bodies(&house).await.len(), 1);
    pass(&house, 60).await;
    assert_eq!(bodies(&house).await.len(), 1);
}

#[actix_web::test]
async fn schedule_is_changed_by_its_own_route_alone() {
    let house = House::new();
    let (one, other) = (campaign(&house, "one").await, campaign(&house, "other").await);
    people(&house, &[("u1", "Ada")]).await;
    let body = json!({"campaign_id": one, "recipients": [{"external_user_id": "u1"}],
        "schedule": at(60)});
    let id = schedule_id(&made(&house, "/campaigns/trigger/schedule/create", body).await);
    let body = json!({"campaign_id": other, "schedule_id": id});
    let said = refused(&house, "/campaigns/trigger/schedule/delete", body).await;
    assert!(said.contains("/schedule_id is not a schedule of this campaign"), "{said}");
    let said = refused(&house, "/messages/schedule/delete", json!({ "schedule_id": id })).await;
    assert!(said.contains("/schedule_id is not the schedule of a message"), "{said}");
    let weekly = json!({"name": "weekly", "webhooks": [webhook(json!({}))],
        "trigger": {"type": "schedule", "cron": "0 9 * * 1", "time_zone": "Europe/Berlin"}});
    let weekly = live(&house, Kind::Campaign, weekly).await;
    let body = json!({"campaign_id": weekly, "schedule_id": weekly});
    let said = refused(&house, "/campaigns/trigger/schedule/delete", body).await;
    assert!(said.contains("/schedule_id is not a schedule of this campaign"), "{said}");
}

#[actix_web::test]
async fn scheduled_canvas_is_entered_when_it_is_due() {
    let house = House::new();
    let document = json!({"name": "welcome", "trigger": {"type": "api"}, "steps": [{"id": "greet",
        "type": "webhook", "webhooks": [webhook(json!({"id": "{{${user_id}}}"}))]}]});
    let id = live(&house, Kind::Canvas, document).await;
    people(&house, &[("u1", "Ada")]).await;
    let body = json!({"canvas_id": id, "recipients": [{"external_user_id": "u1"}],
        "schedule": at(60)});
    schedule_id(&made(&house, "/canvas/trigger/schedule/create", body).await);
    pass(&house, 59).await;
    assert!(bodies(&house).await.is_empty());
    pass(&house, 2).await;
    assert_eq!(bodies(&house).await, [json!({"id": "u1"})]);
}

#[actix_web::test]
async fn attributes_of_a_scheduled_recipient_are_written_at_once() {
    let house = House::new();
    let id = campaign(&house, "order").await;
    let recipient = json!({"external_user_id": "u1", "send_to_existing_only": false,
        "attributes": {"first_name": "Ada"}});
    let body = json!({"campaign_id": id, "recipients": [recipient], "schedule": at(60)});
    let made = made(&house, "/campaigns/trigger/schedule/create", body).await;
    let profile = house.composer().recipient("u1").await.expect("a profile");
    assert_eq!(profile.attributes["first_name"], "Ada");
    let scheduled = house.composer().scheduled(made["schedule_id"].as_str().unwrap()).await;
    let hostline::compose::ScheduledWhat::Send(send) = scheduled.expect("a schedule").what else {
        panic!("a send");
    };
    assert!(matches!(send.what, SendWhat::Campaign(campaign) if campaign == id));
}

#[actix_web::test]
async fn scheduled_broadcasts_are_the_campaigns_whose_documents_say_when() {
    let house = House::new();
    let trigger = json!({"type": "schedule", "cron": "0 9 * * 1", "time_zone": "Europe/Berlin"});
    let weekly = json!({"name": "weekly", "tags": ["news"], "webhooks": [webhook(json!({}))],
        "trigger": trigger});
    let weekly = live(&house, Kind::Campaign, weekly).await;
    campaign(&house, "order").await;
    let body = json!({"campaign_id": "order", "recipients": [{"external_user_id": "u1"}],
        "schedule": at(60)});
    made(&house, "/campaigns/trigger/schedule/create", body).await;
    let uri = |days: u64| {
        let end = NOW.plus(std::time::Duration::from_secs(days * 86_400));
        format!("/messages/scheduled_broadcasts?end_time={end}")
    };
    let shown = house.get(&uri(8)).await.json();
    let [broadcast] = &shown["scheduled_broadcasts"].as_array().unwrap()[..] else {
        panic!("one: {shown}");
    };
    assert_eq!((&broadcast["name"], &broadcast["id"]), (&json!("weekly"), &json!(weekly)));
    assert_eq!((&broadcast["type"], &broadcast["tags"]), (&json!("Campaign"), &json!(["news"])));
    assert_eq!(broadcast["schedule_type"], "Europe/Berlin");
    assert!(broadcast["next_send_time"].as_str().unwrap().ends_with("T08:00:00.000Z"), "{shown}");
    assert_eq!(house.get(&uri(0)).await.json()["scheduled_broadcasts"], json!([]));
}
