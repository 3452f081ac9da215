//! `/users/track`.

use hostline::compose::Kind;
use serde_json::{Value, json};

use super::house::House;
use super::world::{bodies, live, made, people, refused, webhook};

const TRACK: &str = "/users/track";
const TIME: &str = "2026-11-24T09:00:00Z";

async fn attributes(house: &House, id: &str) -> Value {
    let recipient = house.composer().recipient(id).await.expect("there is a profile");
    Value::Object(recipient.attributes)
}

/// A live campaign that shows each `booked` with a total of more than 10.
async fn on_booked(house: &House) {
    let body = json!({"id": "{{${user_id}}}", "total": "{{event_properties.${total}}}"});
    let filter = json!({"property": "event_properties.total", "op": "greater", "value": 10});
    let document = json!({"name": "booked", "webhooks": [webhook(body)],
        "trigger": {"type": "event", "event": "booked", "filter": filter}});
    live(house, Kind::Campaign, document).await;
}

#[actix_web::test]
async fn attributes_are_set_removed_counted_and_changed_as_lists() {
    let house = House::new();
    let one = json!({"attributes": [
        {"external_id": "u1", "plan": "gold", "old": 1, "visits": 1, "tags": ["a", "b"]}]});
    assert_eq!(
        made(&house, TRACK, one).await,
        json!({"message": "success", "attributes_processed": 1})
    );
    let two = json!({"attributes": [{"external_id": "u1", "old": null, "visits": {"inc": 2}},
        {"external_id": "u1", "tags": {"add": ["c"], "remove": ["a"]}}]});
    assert_eq!(made(&house, TRACK, two).await["attributes_processed"], 2);
    let expected = json!({"plan": "gold", "visits": 3, "tags": ["b", "c"]});
    assert_eq!(attributes(&house, "u1").await, expected);
}

#[actix_web::test]
async fn update_of_existing_ones_creates_nobody() {
    let house = House::new();
    let body = json!({
        "attributes": [{"external_id": "u1", "_update_existing_only": true, "plan": "gold"}],
        "events": [{"external_id": "u2", "_update_existing_only": true, "name": "booked", "time": TIME}],
    });
    let answer = made(&house, TRACK, body).await;
    assert_eq!(
        (&answer["attributes_processed"], &answer["events_processed"]),
        (&json!(1), &json!(1))
    );
    for id in ["u1", "u2"] {
        assert!(house.composer().recipient(id).await.is_err(), "{id}");
    }
}

#[actix_web::test]
async fn event_fires_what_it_matches_and_makes_its_recipient_known() {
    let house = House::new();
    on_booked(&house).await;
    let event = |total: u32| {
        json!({"external_id": "u1", "name": "booked", "time": TIME,
        "properties": {"total": total}})
    };
    let body = json!({"events": [event(5), event(20), event(30)]});
    let answer = made(&house, TRACK, body).await;
    assert_eq!(answer, json!({"message": "success", "events_processed": 3}));
    let totals: Vec<Value> =
        bodies(&house).await.iter().map(|body| body["total"].clone()).collect();
    assert_eq!(totals, ["20", "30"]);
    assert_eq!(attributes(&house, "u1").await, json!({}));
}

#[actix_web::test]
async fn attributes_are_written_before_the_events_are_taken() {
    let house = House::new();
    let body = json!({"name": "{{${first_name}}}"});
    let document = json!({"name": "booked", "webhooks": [webhook(body)],
        "trigger": {"type": "event", "event": "booked"}});
    live(&house, Kind::Campaign, document).await;
    let body = json!({
        "events": [{"external_id": "u1", "name": "booked", "time": TIME}],
        "attributes": [{"external_id": "u1", "first_name": "Ada"}],
    });
    made(&house, TRACK, body).await;
    assert_eq!(bodies(&house).await, [json!({"name": "Ada"})]);
}

#[actix_web::test]
async fn bad_items_are_named_and_the_others_are_taken() {
    let house = House::new();
    people(&house, &[("u1", "Ada")]).await;
    let body = json!({
        "attributes": [{"plan": "gold"}, {"external_id": "u1", "first_name": {"inc": 1}},
            {"external_id": "u1", "plan": "gold"}],
        "events": [{"external_id": "u1", "name": "booked", "time": "soon"}],
    });
    let answer = made(&house, TRACK, body).await;
    assert_eq!(
        (&answer["attributes_processed"], &answer["events_processed"]),
        (&json!(1), &json!(0))
    );
    let errors = answer["errors"].as_array().unwrap();
    let places: Vec<(&Value, &Value)> =
        errors.iter().map(|error| (&error["input_array"], &error["index"])).collect();
    let (attributes, events) = (json!("attributes"), json!("events"));
    let expected = [(&attributes, &json!(0)), (&attributes, &json!(1)), (&events, &json!(0))];
    assert_eq!(places, expected, "{answer}");
    let said = errors[1]["type"].as_str().unwrap();
    assert!(said.starts_with("/attributes/1/first_name "), "{said}");
    assert_eq!(self::attributes(&house, "u1").await["plan"], "gold");
}

#[actix_web::test]
async fn request_of_which_nothing_can_be_taken_is_refused() {
    let house = House::new();
    people(&house, &[("u1", "Ada")]).await;
    let valid = "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields.";
    for body in [
        json!({}),
        json!({"attributes": [{"plan": "gold"}]}),
        json!({"attributes": [{"external_id": "u1", "first_name": {"inc": 1}}]}),
    ] {
        assert_eq!(refused(&house, TRACK, body).await, valid);
    }
    let purchases = json!({"purchases": [{"external_id": "u1", "product_id": "p"}]});
    let said = refused(&house, TRACK, purchases).await;
    assert!(said.starts_with("Bad Request: /purchases is out of scope"), "{said}");
}
