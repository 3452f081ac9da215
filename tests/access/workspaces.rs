//! Workspaces, and who comes without a key.

use actix_web::test::TestRequest;
use hostline::delivery::Engine;
use serde_json::json;

use super::{ask, ask_with, closed_house, house, make, request};

#[actix_rt::test]
async fn a_workspace_is_made_changed_and_renamed_and_holds_for_the_engine() {
    let house = house(|_| {});
    let new = json!({ "name": "shop", "weight": 5, "max_pending": 10, "triggers_per_second": 3,
        "allow_hosts": ["Shop.Example", "*.shop.example", "shop.example."],
        "deny_hosts": ["bad.shop.example"] });
    let made = house.post("/v1/workspaces", new.to_string()).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.json()["number"], 1);
    assert_eq!(made.json()["allow_hosts"], json!(["shop.example", "*.shop.example"]));
    let policy = house.engine.workspaces().policy(1);
    assert_eq!(
        (policy.weight, policy.max_pending, policy.triggers_per_second),
        (5, Some(10), Some(3))
    );
    let patch = async |name: &str, body: serde_json::Value| {
        let request = TestRequest::patch().uri(&format!("/v1/workspaces/{name}"));
        house.send(request.set_json(body)).await
    };
    let changed = patch("shop", json!({ "name": "store", "max_pending": null })).await;
    assert_eq!(changed.status, 200, "{}", changed.text);
    assert_eq!(house.engine.workspaces().policy(1).max_pending, None);
    assert_eq!(house.engine.workspaces().policy(1).weight, 5, "what is left out stays");
    assert_eq!(house.get("/v1/workspaces/shop").await.status, 404);
    assert_eq!(house.get("/v1/workspaces/1").await.json()["name"], "store");
    assert_eq!(patch("default", json!({ "weight": 2 })).await.status, 200);
    assert_eq!(patch("0", json!({ "weight": 3 })).await.status, 200);
    assert_eq!(house.engine.workspaces().policy(0).weight, 3);
    let second = house.post("/v1/workspaces", json!({ "name": "b" }).to_string()).await;
    assert_eq!(second.json()["number"], 2);
    let page = house.get("/v1/workspaces?limit=2").await.json();
    assert_eq!((page["data"].as_array().unwrap().len(), &page["next"]), (2, &json!("1")));
    let rest = house.get("/v1/workspaces?after=1").await.json();
    assert_eq!((&rest["data"][0]["name"], &rest["next"]), (&json!("b"), &json!(null)));
    for (body, place) in [
        (json!({}), "/name"),
        (json!({ "name": "b" }), "/name"),
        (json!({ "name": "1" }), "/name"),
        (json!({ "name": "a b" }), "/name"),
        (json!({ "name": "c", "weight": 0 }), "/weight"),
        (json!({ "name": "c", "weight": 1001 }), "/weight"),
        (json!({ "name": "c", "triggers_per_second": 0 }), "/triggers_per_second"),
        (json!({ "name": "c", "allow_hosts": ["a", "a:81"] }), "/allow_hosts/1"),
        (json!({ "name": "c", "deny_hosts": ["*"] }), "/deny_hosts/0"),
        (json!({ "name": "c", "colour": 1 }), "/colour"),
    ] {
        let answer = house.post("/v1/workspaces", body.to_string()).await;
        assert_eq!((answer.status, answer.place().as_str()), (400, place), "{body}");
    }
}

#[actix_rt::test]
async fn an_admin_chooses_the_workspace_and_nobody_else_does() {
    let house = closed_house();
    let (_, admin) = make(&house, &["admin"], json!({})).await;
    assert_eq!(
        ask_with(&house, "POST", "/v1/workspaces", &admin, json!({ "name": "shop" })).await.status,
        201
    );
    let chosen = async |key: &str, name: &'static str| {
        let new = json!({ "name": "a", "scopes": ["keys:write"] });
        let request = request("POST", "/v1/keys", key);
        house.send(request.insert_header(("hostline-workspace", name)).set_json(new)).await
    };
    let made = chosen(&admin, "shop").await;
    assert_eq!((made.status, &made.json()["workspace"]), (201, &json!("shop")));
    let key = made.json()["key"].as_str().unwrap().to_owned();
    assert_eq!(chosen(&key, "shop").await.status, 403);
    assert_eq!(chosen(&key, "default").await.status, 403);
    assert_eq!(chosen(&admin, "nowhere").await.place(), "hostline-workspace");
    assert_eq!(ask(&house, "GET", "/v1/workspaces", &key).await.status, 403);
}

#[actix_rt::test]
async fn without_a_key_no_other_site_and_no_rebound_name_gets_in() {
    let house = house(|_| {});
    let send = async |headers: &[(&'static str, &str)]| {
        let mut request = super::house::post("/v1/triggers", "{}");
        for header in headers {
            request = request.insert_header(*header);
        }
        house.send(request).await
    };
    let local = ("host", "127.0.0.1:8080");
    assert_eq!(send(&[local]).await.status, 400);
    assert_eq!(send(&[local, ("origin", "http://127.0.0.1:8080")]).await.status, 400);
    let answer = send(&[local, ("origin", "https://evil.example")]).await;
    assert_eq!((answer.status, answer.slug().as_str()), (403, "cross-site"));
    assert_eq!(send(&[local, ("sec-fetch-site", "same-site")]).await.status, 403);
    let answer = send(&[("host", "evil.example")]).await;
    assert_eq!((answer.status, answer.slug().as_str()), (421, "unknown-host"));
    // A key is proof enough: no page has it.
    let (_, key) = make(&house, &["triggers:write"], json!({})).await;
    let bearer = format!("Bearer {key}");
    let headers =
        [("host", "a.example"), ("origin", "https://b.example"), ("authorization", &bearer)];
    assert_eq!(send(&headers).await.status, 400);
}

#[actix_rt::test]
async fn a_key_is_checked_also_where_none_is_needed() {
    let house = house(|_| {});
    let (_, key) = make(&house, &["stats:read"], json!({})).await;
    assert_eq!(house.get("/v1/keys").await.status, 200);
    assert_eq!(ask(&house, "GET", "/v1/stats", &key).await.status, 200);
    assert_eq!(ask(&house, "GET", "/v1/keys", &key).await.status, 403);
    assert_eq!(ask(&house, "GET", "/v1/stats", "hl_wrong").await.status, 401);
}
