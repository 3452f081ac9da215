//! `/messages/send`, `/campaigns/trigger/send`, `/canvas/trigger/send`, `/sends/id/create`.

use hostline::compose::{Action, Kind};
use hostline::store::{DeliveryFilter, QueryStore};
use serde_json::{Value, json};

use super::house::House;
use super::world::{URL, webhook};
use super::world::{act, bodies, campaign, draft, live, made, message, pass, people, refused};

const CAMPAIGN: &str = "/campaigns/trigger/send";

#[actix_web::test]
async fn campaign_goes_to_each_with_its_own_properties() {
    let house = House::new();
    let id = campaign(&house, "order").await;
    people(&house, &[("u1", "Ada"), ("u2", "Ben")]).await;
    let answer = made(
        &house,
        CAMPAIGN,
        json!({"campaign_id": id, "trigger_properties": {"item": "all"}, "recipients": [
            {"external_user_id": "u1", "trigger_properties": {"item": "one"}},
            {"external_user_id": "u2"}]}),
    )
    .await;
    assert_eq!(answer.get("errors"), None, "{answer}");
    let expected = [
        json!({"id": "u1", "name": "Ada", "item": "one"}),
        json!({"id": "u2", "name": "Ben", "item": "all"}),
    ];
    assert_eq!(bodies(&house).await, expected);
    let page = house.store.list(DeliveryFilter::default(), None, 10).await.unwrap();
    let dispatch_id = answer["dispatch_id"].as_str().unwrap();
    assert!(page.rows.iter().all(|row| row.trigger.to_string() == dispatch_id), "{answer}");
}

#[actix_web::test]
async fn campaign_may_be_named_by_its_name() {
    let house = House::new();
    campaign(&house, "order").await;
    people(&house, &[("u1", "Ada")]).await;
    let to = json!([{"external_user_id": "u1"}]);
    made(&house, CAMPAIGN, json!({"campaign_id": "order", "recipients": to})).await;
    assert_eq!(bodies(&house).await.len(), 1);
}

#[actix_web::test]
async fn who_has_no_profile_gets_nothing_and_is_named() {
    let house = House::new();
    let id = campaign(&house, "order").await;
    people(&house, &[("u1", "Ada")]).await;
    let recipients = json!([
        {"external_user_id": "stranger"},
        {"external_user_id": "u1", "attributes": {"first_name": "Ida"}},
        {"external_user_id": "new", "send_to_existing_only": false,
         "attributes": {"first_name": "Nel"}},
        {"external_user_id": "other", "attributes": {"first_name": "Oz"}},
    ]);
    let body = json!({"campaign_id": id, "recipients": recipients});
    let answer = made(&house, CAMPAIGN, body).await;
    let errors = answer["errors"].as_array().unwrap();
    let fields: Vec<&Value> = errors.iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["/recipients/0", "/recipients/3"], "{answer}");
    assert!(errors[0]["type"].as_str().unwrap().contains("no recipient \"stranger\""));
    let names: Vec<Value> = bodies(&house).await.iter().map(|body| body["name"].clone()).collect();
    assert_eq!(names, ["Nel", "Ida"]);
    assert!(house.composer().recipient("other").await.is_err());
}

#[actix_web::test]
async fn nobody_left_sends_nothing_at_all() {
    let house = House::new();
    let id = campaign(&house, "order").await;
    let body = json!({"campaign_id": id, "recipients": [{"external_user_id": "stranger"}]});
    let answer = made(&house, CAMPAIGN, body).await;
    assert_eq!(answer["errors"].as_array().unwrap().len(), 1);
    assert!(bodies(&house).await.is_empty());
}

#[actix_web::test]
async fn attribute_that_cannot_be_written_holds_up_its_recipient_alone() {
    let house = House::new();
    let id = campaign(&house, "order").await;
    people(&house, &[("u1", "Ada"), ("u2", "Ben")]).await;
    let recipients = json!([
        {"external_user_id": "u1", "attributes": {"first_name": {"inc": 1}}},
        {"external_user_id": "u2"},
    ]);
    let body = json!({"campaign_id": id, "recipients": recipients});
    let answer = made(&house, CAMPAIGN, body).await;
    let error = &answer["errors"][0];
    assert_eq!(error["field"], "/recipients/0");
    let said = error["type"].as_str().unwrap();
    assert!(said.starts_with("/recipients/0/attributes/first_name"), "{said}");
    assert_eq!(bodies(&house).await.len(), 1);
}

#[actix_web::test]
async fn broadcast_goes_to_all_in_the_audience() {
    let house = House::new();
    let id = campaign(&house, "order").await;
    people(&house, &[("u1", "Ada"), ("u2", "Ben"), ("u3", "Ada")]).await;
    let audience = json!({"custom_attribute":
        {"custom_attribute_name": "first_name", "comparison": "equals", "value": "Ada"}});
    let body = json!({"campaign_id": id, "broadcast": true, "audience": audience});
    made(&house, CAMPAIGN, body).await;
    pass(&house, 0).await;
    let ids: Vec<Value> = bodies(&house).await.iter().map(|body| body["id"].clone()).collect();
    assert_eq!(ids, ["u1", "u3"]);
}

#[actix_web::test]
async fn what_does_not_send_now_is_answered_with_a_notice() {
    let house = House::new();
    let id = campaign(&house, "order").await;
    people(&house, &[("u1", "Ada")]).await;
    let body = json!({"campaign_id": id, "recipients": [{"external_user_id": "u1"}]});
    act(&house, Kind::Campaign, &id, Action::Pause).await;
    let answer = made(&house, CAMPAIGN, body.clone()).await;
    let expected = "The campaign is paused. Resume the campaign to ensure trigger requests will \
                    take effect.";
    assert_eq!(answer["notice"], expected);
    act(&house, Kind::Campaign, &id, Action::Archive).await;
    let answer = made(&house, CAMPAIGN, body).await;
    assert!(answer["notice"].as_str().unwrap().starts_with("The campaign is archived."));
    assert!(bodies(&house).await.is_empty());
}

#[actix_web::test]
async fn only_what_the_api_triggers_can_be_sent() {
    let house = House::new();
    let document = json!({"name": "booked", "webhooks": [webhook(json!({}))],
        "trigger": {"type": "event", "event": "booked"}});
    let id = live(&house, Kind::Campaign, document).await;
    let to = json!([{"external_user_id": "u1"}]);
    let said = refused(&house, CAMPAIGN, json!({"campaign_id": id, "recipients": to})).await;
    assert!(said.starts_with("Invalid Campaign ID: /campaign_id names one that is not"), "{said}");
    let said = refused(&house, CAMPAIGN, json!({"campaign_id": "x", "recipients": to})).await;
    assert_eq!(
        said,
        "Invalid Campaign ID: /campaign_id names no campaign, by id or by name: \"x\""
    );
    let canvas = json!({"canvas_id": "x", "recipients": to});
    let said = refused(&house, "/canvas/trigger/send", canvas).await;
    assert!(said.starts_with("Invalid Canvas ID: /canvas_id names no canvas"), "{said}");
}

#[actix_web::test]
async fn canvas_is_entered_with_its_properties() {
    let house = House::new();
    let body = json!({"id": "{{${user_id}}}", "item": "{{canvas_entry_properties.${item}}}"});
    let document = json!({"name": "welcome", "trigger": {"type": "api"},
        "steps": [{"id": "greet", "type": "webhook", "webhooks": [webhook(body)]}]});
    let id = live(&house, Kind::Canvas, document).await;
    people(&house, &[("u1", "Ada"), ("u2", "Ben")]).await;
    let body = json!({"canvas_id": id, "context": {"item": "all"}, "recipients": [
        {"external_user_id": "u1", "context": {"item": "one"}}, {"external_user_id": "u2"}]});
    made(&house, "/canvas/trigger/send", body).await;
    pass(&house, 0).await;
    let expected = [json!({"id": "u1", "item": "one"}), json!({"id": "u2", "item": "all"})];
    assert_eq!(bodies(&house).await, expected);
}

#[actix_web::test]
async fn message_in_the_request_is_rendered_for_each() {
    let house = House::new();
    people(&house, &[("u1", "Ada"), ("u2", "Ben")]).await;
    let body = json!({"external_user_ids": ["u1", "u2", "u3"], "send_id": "s1",
        "messages": message(r#"{"name": "{{${first_name}}}"}"#)});
    let answer = made(&house, "/messages/send", body).await;
    assert_eq!(answer["errors"][0]["field"], "/external_user_ids/2");
    assert_eq!(bodies(&house).await, [json!({"name": "Ada"}), json!({"name": "Ben"})]);
    let page = house.store.list(DeliveryFilter::default(), None, 10).await.unwrap();
    for row in page.rows {
        assert_eq!(row.provenance.unwrap().send_id.as_deref(), Some("s1"));
    }
}

#[actix_web::test]
async fn message_with_bad_liquid_or_url_is_refused_by_the_field_of_that_api() {
    let house = House::new();
    people(&house, &[("u1", "Ada")]).await;
    let send =
        |webhook: Value| json!({"external_user_ids": ["u1"], "messages": {"webhook": webhook}});
    let bad = json!({"url": URL, "request_method": "POST", "body": "{% if %}"});
    let said = refused(&house, "/messages/send", send(bad)).await;
    assert!(said.starts_with("Bad Request: /messages/webhook/body "), "{said}");
    let bad = json!({"url": URL, "request_method": "POST", "request_headers": {"x": "{{"}});
    let said = refused(&house, "/messages/send", send(bad)).await;
    assert!(said.starts_with("Bad Request: /messages/webhook/request_headers/x "), "{said}");
    assert!(bodies(&house).await.is_empty());
}

#[actix_web::test]
async fn message_counts_for_one_of_the_campaigns_messages() {
    let house = House::new();
    let id = campaign(&house, "order").await;
    people(&house, &[("u1", "Ada")]).await;
    let details = house.get(&format!("/campaigns/details?campaign_id={id}")).await.json();
    let variation = details["messages"].as_object().unwrap().keys().next().unwrap().clone();
    let send = |variation: Option<&str>| {
        let mut message = message("{}");
        message["webhook"]["message_variation_id"] = json!(variation);
        json!({"external_user_ids": ["u1"], "campaign_id": id, "messages": message})
    };
    let said = refused(&house, "/messages/send", send(None)).await;
    assert!(said.starts_with("Message Variant Unspecified: /messages/webhook/"), "{said}");
    let said = refused(&house, "/messages/send", send(Some("x"))).await;
    assert!(said.starts_with("Invalid Message Variant: /messages/webhook/"), "{said}");
    made(&house, "/messages/send", send(Some(&variation))).await;
    let page = house.store.list(DeliveryFilter::default(), None, 10).await.unwrap();
    let provenance = page.rows[0].provenance.clone().unwrap();
    assert_eq!(provenance.campaign.as_deref(), Some(id.as_str()));
}

#[actix_web::test]
async fn rendering_that_fails_is_named_and_the_others_go_out() {
    let house = House::new();
    people(&house, &[("u1", "Ada"), ("u2", "Ben")]).await;
    let write = json!({"attributes": [{"external_id": "u1", "path": "a"}]});
    made(&house, "/users/track", write).await;
    // A variable that is missing in a URL is an error.
    let url = format!("{URL}/{{{{custom_attribute.${{path}}}}}}");
    let webhook = json!({"url": url, "request_method": "POST", "body": "{}"});
    let body = json!({"external_user_ids": ["u1", "u2"], "messages": {"webhook": webhook}});
    let answer = made(&house, "/messages/send", body).await;
    assert_eq!(answer["errors"].as_array().unwrap().len(), 1, "{answer}");
    assert_eq!(answer["errors"][0]["external_user_id"], "u2");
    assert_eq!(bodies(&house).await.len(), 1);
}

#[actix_web::test]
async fn send_id_is_given_back_or_made() {
    let house = House::new();
    let id = draft(
        &house,
        Kind::Campaign,
        json!({"name": "order", "webhooks": [webhook(json!({}))], "trigger": {"type": "api"}}),
    )
    .await;
    let body = json!({"campaign_id": id, "send_id": "mine"});
    assert_eq!(made(&house, "/sends/id/create", body).await["send_id"], "mine");
    let made_up = made(&house, "/sends/id/create", json!({ "campaign_id": id })).await;
    assert_eq!(made_up["send_id"].as_str().unwrap().len(), 36);
    let said = refused(&house, "/sends/id/create", json!({"campaign_id": "x"})).await;
    assert!(said.starts_with("Invalid Campaign ID"), "{said}");
}
