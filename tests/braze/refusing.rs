//! What is no good request is answered in that API's shape, whatever is wrong with it.

use std::sync::atomic::Ordering;

use actix_web::test::TestRequest;
use serde_json::json;

use super::house::{House, post};
use super::world::said;

const POSTS: [&str; 14] = [
    "/messages/send",
    "/messages/schedule/create",
    "/messages/schedule/update",
    "/messages/schedule/delete",
    "/campaigns/trigger/send",
    "/campaigns/trigger/schedule/create",
    "/campaigns/trigger/schedule/update",
    "/campaigns/trigger/schedule/delete",
    "/canvas/trigger/send",
    "/canvas/trigger/schedule/create",
    "/canvas/trigger/schedule/update",
    "/canvas/trigger/schedule/delete",
    "/users/track",
    "/sends/id/create",
];
const GETS: [&str; 6] = [
    "/messages/scheduled_broadcasts",
    "/campaigns/list",
    "/campaigns/details",
    "/campaigns/data_series",
    "/canvas/list",
    "/canvas/details",
];

#[actix_web::test]
async fn every_post_route_says_what_is_wrong_with_its_body() {
    let house = House::new();
    for uri in POSTS {
        let said_of = |body: &'static str| {
            let house = &house;
            async move { said(&house.post(uri, body).await, 400) }
        };
        let malformed = said_of("{\"a\": ").await;
        assert!(
            malformed.starts_with("Bad Request: ") && malformed.contains("line 1"),
            "{malformed}"
        );
        assert_eq!(said_of("[]").await, "Bad Request: the body is an array, not an object");
        assert_eq!(said_of("").await.split(':').next(), Some("Bad Request"));
        let key = said_of(r#"{"api_key": "k"}"#).await;
        assert!(key.contains("/api_key is not taken from the body"), "{uri}: {key}");
        let huge = vec![b' '; house.settings.server.max_request + 1];
        let huge = said(&house.post(uri, huge).await, 413);
        assert!(huge.starts_with("Payload Too Large: at most 400000 bytes"), "{huge}");
    }
}

#[actix_web::test]
async fn wrong_method_is_answered_with_the_right_one() {
    let house = House::new();
    for (uris, allow) in [(&POSTS[..], "POST"), (&GETS[..], "GET")] {
        for uri in uris {
            let answer = house.delete(uri).await;
            assert_eq!(answer.header("allow"), allow, "{uri}");
            assert!(said(&answer, 405).starts_with("Method Not Allowed: "), "{uri}");
        }
    }
}

#[actix_web::test]
async fn path_that_is_none_is_answered_in_the_same_shape() {
    let house = House::new();
    for uri in
        ["/messages", "/messages/fax", "/campaigns/trigger/send/x", "/users/merge", "/sends/"]
    {
        let said = said(&house.post(uri, "{}").await, 404);
        assert_eq!(said, format!("Not Found: {uri} is no route of this server"));
    }
    let said_of_email = said(&house.get("/email/hard_bounces").await, 404);
    assert_eq!(
        said_of_email,
        "Not Found: /email/hard_bounces is out of scope: email is not sent here"
    );
    assert!(said(&house.get("/segments/list").await, 404).contains("there are no segments here"));
    let ours = house.get("/v1/nothing").await;
    assert_eq!(ours.header("content-type"), "application/problem+json");
}

#[actix_web::test]
async fn other_content_type_is_refused() {
    let house = House::new();
    let request = TestRequest::post().uri("/users/track").set_payload("a=b");
    let request = request.insert_header(("content-type", "application/x-www-form-urlencoded"));
    let said = said(&house.send(request).await, 415);
    assert!(said.contains("send application/json"), "{said}");
}

#[actix_web::test]
async fn chain_of_our_own_webhooks_is_cut_off() {
    let house = House::new();
    let body = json!({"attributes": [{"external_id": "u1", "a": 1}]}).to_string();
    let hop = |hops: &'static str| {
        post("/users/track", body.clone()).insert_header(("hostline-hop", hops))
    };
    assert_eq!(house.send(hop("8")).await.status, 201);
    let said = said(&house.send(hop("9")).await, 508);
    assert!(said.contains("more than 8"), "{said}");
}

#[actix_web::test]
async fn stopping_server_says_when_to_come_back() {
    let house = House::new();
    house.engine.stopping.store(true, Ordering::SeqCst);
    let answer = house.post("/users/track", json!({}).to_string()).await;
    assert!(said(&answer, 503).starts_with("Service Unavailable: "));
    assert!(!answer.header("retry-after").is_empty());
}
