//! `/campaigns/list|details|data_series`, `/canvas/list|details`.

use hostline::compose::{Action, Kind};
use serde_json::{Value, json};

use super::house::House;
use super::world::{URL, act, campaign, draft, live, made, people, said, webhook};

fn names(answer: &Value, list: &str) -> Vec<String> {
    let rows = answer[list].as_array().expect("a list").iter();
    rows.map(|row| row["name"].as_str().expect("a name").to_owned()).collect()
}

#[actix_web::test]
async fn campaigns_are_listed_by_pages_of_a_hundred_in_order_of_creation() {
    let house = House::new();
    for number in 0..101 {
        tokio::time::advance(std::time::Duration::from_millis(2)).await;
        campaign(&house, &format!("c{number}")).await;
    }
    act(&house, Kind::Campaign, "c1", Action::Archive).await;
    let list = |query: &'static str| {
        let house = &house;
        async move { house.get(&format!("/campaigns/list?{query}")).await.json() }
    };
    let first = list("").await;
    assert_eq!(first["message"], "success");
    let first = names(&first, "campaigns");
    assert_eq!((first.len(), first[0].as_str(), first[1].as_str()), (100, "c0", "c2"));
    assert!(names(&list("page=1").await, "campaigns").is_empty());
    assert_eq!(names(&list("page=1&include_archived=true").await, "campaigns"), ["c100"]);
    assert_eq!(names(&list("sort_direction=desc").await, "campaigns")[0], "c100");
    let edited = "last_edit.time%5Bgt%5D=2999-01-01T00:00:00";
    assert!(names(&list(edited).await, "campaigns").is_empty());
    let row = &list("").await["campaigns"][0];
    assert_eq!((&row["is_api_campaign"], &row["tags"]), (&json!(true), &json!([])));
}

#[actix_web::test]
async fn details_show_the_webhook_of_a_template_at_its_version() {
    let house = House::new();
    let template = json!({"name": "t", "webhook": {"url": URL, "method": "PUT", "body": {"a": 1}}});
    draft(&house, Kind::Template, template).await;
    let document = json!({"name": "order", "description": "d", "tags": ["shop"],
        "webhooks": [{"template": "t"}], "trigger": {"type": "api"}});
    let id = draft(&house, Kind::Campaign, document).await;
    let details = house.get(&format!("/campaigns/details?campaign_id={id}")).await;
    assert_eq!(details.status, 200, "{}", details.text);
    let details = details.json();
    assert_eq!((&details["draft"], &details["enabled"]), (&json!(true), &json!(false)));
    assert_eq!((&details["description"], &details["tags"]), (&json!("d"), &json!(["shop"])));
    let message = details["messages"].as_object().unwrap().values().next().unwrap();
    let expected = json!({"channel": "webhook", "name": "Variant 1", "url": URL, "method": "PUT",
        "body": "{\"a\":1}", "type": "json", "headers": {}});
    assert_eq!(message, &expected);
    assert_eq!(details["first_sent"], Value::Null);
}

#[actix_web::test]
async fn series_counts_what_was_sent_today() {
    let house = House::new();
    let id = campaign(&house, "order").await;
    people(&house, &[("u1", "Ada"), ("u2", "Ben")]).await;
    let recipients = json!([{"external_user_id": "u1"}, {"external_user_id": "u2"}]);
    let body = json!({"campaign_id": id, "recipients": recipients});
    made(&house, "/campaigns/trigger/send", body).await;
    let uri = format!("/campaigns/data_series?campaign_id={id}&length=2");
    let series = house.get(&uri).await.json();
    let days = series["data"].as_array().unwrap();
    let sent = |day: usize| &days[day]["messages"]["webhook"][0]["sent"];
    assert_eq!((sent(0), sent(1)), (&json!(0), &json!(2)), "{series}");
    let details = house.get(&format!("/campaigns/details?campaign_id={id}")).await.json();
    assert!(details["last_sent"].as_str().unwrap().ends_with(":00:00.000Z"), "{details}");
}

#[actix_web::test]
async fn canvases_are_listed_and_shown() {
    let house = House::new();
    let document = json!({"name": "welcome", "tags": ["a"], "trigger": {"type": "api"}, "steps": [
        {"id": "greet", "type": "webhook", "webhooks": [webhook(json!({}))]},
        {"id": "wait", "type": "delay", "for": "2h"}, {"id": "out", "type": "exit"}]});
    let id = live(&house, Kind::Canvas, document).await;
    assert_eq!(names(&house.get("/canvas/list").await.json(), "canvases"), ["welcome"]);
    let details = house.get(&format!("/canvas/details?canvas_id={id}")).await.json();
    assert_eq!((&details["message"], &details["enabled"]), (&json!("success"), &json!(true)));
    let steps: Vec<&Value> = details["steps"].as_array().unwrap().iter().collect();
    let next: Vec<&Value> = steps.iter().map(|step| &step["next_step_ids"]).collect();
    assert_eq!(next, [&json!(["wait"]), &json!(["out"]), &json!([])]);
}

#[actix_web::test]
async fn bad_queries_name_the_parameter() {
    let house = House::new();
    for (uri, expected) in [
        ("/campaigns/list?page=x", "Bad Request: page is \"x\", not a whole number"),
        ("/campaigns/list?sort_direction=up", "Bad Request: sort_direction is \"up\", not asc"),
        ("/campaigns/list?limit=5", "Bad Request: limit is unknown; this route takes page"),
        ("/campaigns/details", "Bad Request: campaign_id is missing"),
        ("/campaigns/details?campaign_id=x", "Invalid Campaign ID: /campaign_id names no campaign"),
        ("/campaigns/data_series?campaign_id=x&length=1", "Invalid Campaign ID: "),
        ("/canvas/details?canvas_id=x", "Invalid Canvas ID: /canvas_id names no canvas"),
        ("/messages/scheduled_broadcasts", "Bad Request: end_time is missing"),
    ] {
        let said = said(&house.get(uri).await, 400);
        assert!(said.starts_with(expected), "{uri}: {said}");
    }
}
