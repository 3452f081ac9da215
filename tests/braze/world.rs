//! A house with campaigns, canvases and recipients in it.

use hostline::compose::{Action, Kind};
use hostline::store::{DeliveryFilter, QueryStore};
use serde_json::{Value, json};

use super::house::{Answer, House};

/// The URL of every webhook here.
pub const URL: &str = "https://shop.example/hook";

/// A webhook whose body shows what it was rendered with.
pub fn webhook(body: Value) -> Value {
    json!({"url": URL, "method": "POST", "body": body})
}

/// A webhook in the words of that API.
pub fn message(body: &str) -> Value {
    json!({"webhook": {"url": URL, "request_method": "POST", "body": body}})
}

/// Makes an entry and sets it live; answers its id.
pub async fn live(house: &House, kind: Kind, document: Value) -> String {
    let id = draft(house, kind, document).await;
    act(house, kind, &id, Action::Launch).await;
    id
}

/// Makes an entry; answers its id.
pub async fn draft(house: &House, kind: Kind, document: Value) -> String {
    let made = house.composer().create(kind, document.to_string().as_bytes()).await;
    made.expect("a document that works").head.id.clone()
}

/// Changes an entry's status.
pub async fn act(house: &House, kind: Kind, id: &str, action: Action) {
    house.composer().set_status(kind, id, action).await.expect("the status allows it");
}

/// A live campaign that the API triggers and that shows its recipient and properties.
pub async fn campaign(house: &House, name: &str) -> String {
    let body = json!({"id": "{{${user_id}}}", "name": "{{${first_name}}}",
        "item": "{{api_trigger_properties.${item}}}"});
    let document = json!({"name": name, "webhooks": [webhook(body)], "trigger": {"type": "api"}});
    live(house, Kind::Campaign, document).await
}

/// Sends a POST and wants it to succeed; answers its body.
pub async fn made(house: &House, uri: &str, body: Value) -> Value {
    let answer = house.post(uri, body.to_string()).await;
    assert_eq!(answer.status, 201, "{uri}: {}", answer.text);
    let answer = answer.json();
    assert_eq!(answer["message"], "success", "{answer}");
    answer
}

/// Sends a POST and wants it to be refused with 400; answers the message.
pub async fn refused(house: &House, uri: &str, body: Value) -> String {
    let answer = house.post(uri, body.to_string()).await;
    said(&answer, 400)
}

/// The message of a refusal, which has to be in that API's shape.
pub fn said(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/json");
    let body = answer.json();
    let members: Vec<&String> = body.as_object().expect("an object").keys().collect();
    assert!(members.iter().all(|name| ["message", "errors"].contains(&name.as_str())), "{body}");
    body["message"].as_str().expect("a message").to_owned()
}

/// Makes recipients with these names.
pub async fn people(house: &House, names: &[(&str, &str)]) {
    let attributes: Vec<Value> =
        names.iter().map(|(id, name)| json!({"external_id": id, "first_name": name})).collect();
    let answer = made(house, "/users/track", json!({ "attributes": attributes })).await;
    assert_eq!(answer["attributes_processed"], names.len());
}

/// The JSON bodies of all deliveries so far, in order of their text.
pub async fn bodies(house: &House) -> Vec<Value> {
    let page = house.store.list(DeliveryFilter::default(), None, 1_000).await.expect("lists");
    let mut bodies = Vec::new();
    for row in page.rows {
        let record = house.store.find(row.id).await.expect("finds").expect("listed");
        bodies.push(serde_json::from_slice(&record.webhook.body).expect("JSON"));
    }
    bodies.sort_by_key(Value::to_string);
    bodies
}

/// Lets `seconds` pass, and what is due be done.
pub async fn pass(house: &House, seconds: u64) {
    tokio::time::advance(std::time::Duration::from_secs(seconds)).await;
    let mut before = None;
    for _ in 0..100 {
        // When nothing is due any more it answers the same as before.
        let next = Some(house.composer().tick().await.expect("it goes on"));
        if next == before {
            return;
        }
        before = next;
    }
    panic!("there is no end to what is due");
}
