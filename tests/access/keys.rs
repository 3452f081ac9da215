//! Keys that open and keys that do not; how they are made, changed and logged.

use std::time::Duration;

use actix_web::test::TestRequest;
use hostline::access::{Caller, Scope};
use hostline::store::StoreError;
use serde_json::{Value, json};

use super::faults::Fault;
use super::house::{Answer, House};
use super::{ask, ask_with, closed_house, house, make, names, request};

/// Asks for the stats from an address.
async fn from(house: &House, address: &str, key: &str) -> Answer {
    let address = format!("{address}:4711").parse().unwrap();
    house.send(request("GET", "/v1/stats", key).peer_addr(address)).await
}

#[actix_rt::test]
async fn all_failures_look_the_same() {
    let house = closed_house();
    let (id, live) = make(&house, &["stats:read"], json!({})).await;
    let (_, expired) = make(&house, &["stats:read"], json!({ "expires_in": "1s" })).await;
    let (revoked_id, revoked) = make(&house, &["stats:read"], json!({})).await;
    let access = house.api.access();
    access.revoke_key(&Caller::local(), revoked_id.as_str()).await.expect("revoked");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(ask(&house, "GET", "/v1/stats", &live).await.status, 200);
    let (_, other) = make(&house, &["stats:read"], json!({})).await;
    let spliced = format!("hl_{id}_{}", other.rsplit('_').next().unwrap());
    let mut texts = Vec::new();
    for wrong in ["", "x", "hl_", &spliced, &expired, &revoked, &live[..77], &live.to_uppercase()] {
        let answer = ask(&house, "GET", "/v1/stats", wrong).await;
        assert_eq!(answer.status, 401, "{wrong}: {}", answer.text);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        texts.push(answer.text);
    }
    for header in [format!("Basic {live}"), live.clone(), format!("Bearer{live}"), "Bearer".into()]
    {
        let request = TestRequest::get().uri("/v1/stats").insert_header(("authorization", header));
        texts.push(house.send(request).await.text);
    }
    let twice = request("GET", "/v1/stats", &live).append_header(("authorization", "Bearer x"));
    texts.push(house.send(twice).await.text);
    texts.push(house.get("/v1/stats").await.text);
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:#?}");
    let any_case = TestRequest::get().uri("/v1/stats");
    let any_case = any_case.insert_header(("authorization", format!("bEARER  {live}")));
    assert_eq!(house.send(any_case).await.status, 200);
}

#[actix_rt::test]
async fn a_rotated_secret_holds_for_its_overlap() {
    let house = closed_house();
    let (_, admin) = make(&house, &["admin"], json!({})).await;
    let (id, first) = make(&house, &["stats:read"], json!({})).await;
    let rotate = format!("/v1/keys/{id}/rotate");
    let second = ask(&house, "POST", &rotate, &admin).await.json();
    assert_eq!(second["id"], id.as_str());
    let second = second["key"].as_str().expect("a key").to_owned();
    let opens = async |key: &str| ask(&house, "GET", "/v1/stats", key).await.status == 200;
    assert!(opens(&first).await && opens(&second).await);
    tokio::time::advance(Duration::from_secs(24 * 3600 - 1)).await;
    assert!(opens(&first).await);
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(!opens(&first).await && opens(&second).await);
    let third = ask_with(&house, "POST", &rotate, &admin, json!({ "overlap": "1h" })).await;
    let third = third.json()["key"].as_str().expect("a key").to_owned();
    assert!(opens(&second).await && opens(&third).await);
    let last = ask_with(&house, "POST", &rotate, &admin, json!({ "overlap": "0s" })).await;
    assert!(!opens(&second).await && !opens(&third).await, "no older secret outlives the overlap");
    assert!(opens(last.json()["key"].as_str().expect("a key")).await);
    let wrong = ask_with(&house, "POST", &rotate, &admin, json!({ "overlap": "soon" })).await;
    assert_eq!((wrong.status, wrong.place().as_str()), (400, "/overlap"));
}

#[actix_rt::test]
async fn guesses_are_slowed_by_address_and_shut_nobody_else_out() {
    let house = closed_house();
    let (_, known) = make(&house, &["stats:read"], json!({})).await;
    let (_, new) = make(&house, &["stats:read"], json!({})).await;
    let (guesser, neighbour) = ("192.0.2.1", "192.0.2.2");
    assert_eq!(from(&house, guesser, &known).await.status, 200);
    for _ in 0..10 {
        assert_eq!(from(&house, guesser, "hl_wrong").await.status, 401);
    }
    let slowed = from(&house, guesser, "hl_wrong").await;
    assert_eq!((slowed.status, slowed.header("retry-after")), (429, "6"));
    assert_eq!(slowed.slug(), "too-many-failures");
    // Even a right key is not told from a wrong one, unless it came from here before.
    assert_eq!(from(&house, guesser, &new).await.text, slowed.text);
    assert_eq!(from(&house, guesser, &known).await.status, 200);
    assert_eq!(from(&house, neighbour, &new).await.status, 200);
    assert_eq!(from(&house, neighbour, "hl_wrong").await.status, 401);
    tokio::time::advance(Duration::from_secs(6)).await;
    assert_eq!(from(&house, guesser, &new).await.status, 200);
}

#[actix_rt::test]
async fn a_key_is_shown_once_and_never_again() {
    let house = closed_house();
    let (_, admin) = make(&house, &["admin"], json!({})).await;
    let new = json!({ "name": "ci", "scopes": ["triggers:write"], "expires_in": "90d",
        "requests_per_second": 5, "burst": 7 });
    let made = ask_with(&house, "POST", "/v1/keys", &admin, new).await;
    assert_eq!(made.status, 201, "{}", made.text);
    assert_eq!(made.header("cache-control"), "no-store");
    let shown = made.json();
    let place = made.header("location").to_owned();
    assert_eq!(place, format!("/v1/keys/{}", shown["id"].as_str().unwrap()));
    let text = shown["key"].as_str().expect("a key").to_owned();
    let secret = text.rsplit('_').next().unwrap();
    assert_eq!(shown["state"], "live");
    assert_eq!(shown["expires_at"], "2027-02-22T07:00:00.000Z", "{shown}");
    ask(&house, "POST", "/v1/triggers", &text).await;
    for path in [place.as_str(), "/v1/keys", "/v1/audit"] {
        let answer = ask(&house, "GET", path, &admin).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        assert!(answer.text.contains(shown["id"].as_str().unwrap()), "{}", answer.text);
        assert!(!answer.text.contains(secret) && !answer.text.contains(&admin[20..]), "{path}");
    }
    let one = ask(&house, "GET", &place, &admin).await.json();
    assert!(one["last_used_at"].is_string(), "{one}");
    assert_eq!((&one["burst"], &one["workspace"]), (&json!(7), &json!("default")));
    assert_eq!(
        format!("{:?}", house.api.access().show_key(&Caller::local(), "x")).find(secret),
        None
    );
}

#[actix_rt::test]
async fn every_wrong_field_of_a_new_key_is_named() {
    let house = house(|_| {});
    let cases = [
        (json!({ "name": "a" }), "/scopes"),
        (json!({ "name": "a", "scopes": [] }), "/scopes"),
        (json!({ "name": "a", "scopes": ["triggers:write", "moon"] }), "/scopes/1"),
        (json!({ "name": "", "scopes": ["admin"] }), "/name"),
        (json!({ "name": "a\nb", "scopes": ["admin"] }), "/name"),
        (json!({ "name": "a", "scopes": ["admin"], "workspace": "no" }), "/workspace"),
        (json!({ "name": "a", "scopes": ["admin"], "expires_in": "90" }), "/expires_in"),
        (json!({ "name": "a", "scopes": ["admin"], "expires_in": "0s" }), "/expires_in"),
        (json!({ "name": "a", "scopes": ["admin"], "expires_at": "now" }), "/expires_at"),
        (
            json!({ "name": "a", "scopes": ["admin"], "expires_at": "2020-01-01T00:00:00Z" }),
            "/expires_at",
        ),
        (
            json!({ "name": "a", "scopes": ["admin"], "requests_per_second": 0 }),
            "/requests_per_second",
        ),
        (json!({ "name": "a", "scopes": ["admin"], "burst": 3 }), "/burst"),
        (json!({ "name": "a", "scopes": ["admin"], "colour": 3 }), "/colour"),
    ];
    for (new, place) in cases {
        let answer = house.post("/v1/keys", new.to_string()).await;
        assert_eq!((answer.status, answer.place().as_str()), (400, place), "{new}");
    }
    assert_eq!(house.get("/v1/keys").await.json()["data"], json!([]));
}

#[actix_rt::test]
async fn a_key_makes_and_changes_no_key_above_itself() {
    let house = closed_house();
    let shop = serde_json::from_value(json!({ "name": "shop" })).unwrap();
    let local = Caller::local();
    let made = house.api.access().create_workspace(&local, shop).await;
    assert_eq!(made.expect("made").number, 1);
    let scopes = ["keys:write", "stats:read"];
    let (_, lead) = make(&house, &scopes, json!({ "workspace": "shop" })).await;
    let (above, _) = make(&house, &["admin"], json!({ "workspace": "shop" })).await;
    let (beside, _) = make(&house, &["stats:read"], json!({})).await;
    let new = |more: Value| {
        let mut new = json!({ "name": "a", "scopes": ["stats:read"] });
        new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        new
    };
    let own = ask_with(&house, "POST", "/v1/keys", &lead, new(json!({}))).await;
    assert_eq!((own.status, &own.json()["workspace"]), (201, &json!("shop")));
    for more in [
        json!({ "scopes": ["admin"] }),
        json!({ "scopes": ["hosts:read"] }),
        json!({ "workspace": "default" }),
    ] {
        let answer = ask_with(&house, "POST", "/v1/keys", &lead, new(more)).await;
        assert_eq!(answer.status, 403, "{}", answer.text);
    }
    // The secret of a key that may do more would be handed out.
    let above = format!("/v1/keys/{above}");
    assert_eq!(ask(&house, "POST", &format!("{above}/rotate"), &lead).await.status, 403);
    assert_eq!(ask(&house, "DELETE", &above, &lead).await.status, 403);
    // What is of another workspace is not there.
    let beside = format!("/v1/keys/{beside}");
    assert_eq!(ask(&house, "GET", &beside, &lead).await.status, 404);
    assert_eq!(ask(&house, "DELETE", &beside, &lead).await.status, 404);
    assert_eq!(ask(&house, "POST", &format!("{beside}/rotate"), &lead).await.status, 404);
    let listed = ask(&house, "GET", "/v1/keys", &lead).await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 3, "{listed}");
    let log = ask(&house, "GET", "/v1/audit", &lead).await.json();
    assert!(log["data"].as_array().unwrap().iter().all(|entry| entry["workspace"] == "shop"));
    assert_eq!(log["data"].as_array().unwrap().len(), 1, "{log}");
}

#[actix_rt::test]
async fn the_last_live_admin_key_stays() {
    let house = closed_house();
    let (first, key) = make(&house, &["admin"], json!({})).await;
    let path = format!("/v1/keys/{first}");
    let refused = ask(&house, "DELETE", &path, &key).await;
    assert_eq!((refused.status, refused.slug().as_str()), (409, "last-admin-key"));
    make(&house, &["admin"], json!({ "expires_in": "1h" })).await;
    tokio::time::advance(Duration::from_secs(3600)).await;
    assert_eq!(ask(&house, "DELETE", &path, &key).await.status, 409, "an expired one is no other");
    let (_, other) = make(&house, &["admin"], json!({})).await;
    assert_eq!(ask(&house, "DELETE", &path, &key).await.status, 200);
    assert_eq!(ask(&house, "GET", &path, &key).await.status, 401);
    let again = ask(&house, "DELETE", &path, &other).await;
    assert_eq!((again.status, &again.json()["state"]), (200, &json!("revoked")));
    let rotated = ask(&house, "POST", &format!("{path}/rotate"), &other).await;
    assert_eq!(rotated.slug(), "key-not-live");
}

#[actix_rt::test]
async fn every_change_is_in_the_audit_log_newest_first() {
    let house = house(|_| {});
    let key = json!({ "name": "a", "scopes": ["admin"] }).to_string();
    let made = house.post("/v1/keys", key.clone()).await.json();
    let (id, key_text) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    house.post("/v1/keys", key).await;
    house.post(&format!("/v1/keys/{id}/rotate"), "").await;
    house.post("/v1/workspaces", json!({ "name": "shop" }).to_string()).await;
    let change = request("PATCH", "/v1/workspaces/shop", key_text);
    let change = change.peer_addr("192.0.2.7:1".parse().unwrap());
    assert_eq!(house.send(change.set_json(json!({ "weight": 3 }))).await.status, 200);
    house.post("/v1/hosts/Shop.example/pause", "").await;
    house.post("/v1/hosts/a%2Fb/pause", "").await;
    house.delete(&format!("/v1/keys/{id}")).await;
    let log = house.get("/v1/audit").await.json();
    let entry = |entry: &Value| format!("{} {}", entry["who"], entry["action"]).replace('"', "");
    let told: Vec<String> = log["data"].as_array().unwrap().iter().map(entry).collect();
    let expected = [
        "local key.revoked".into(),
        "local host.paused".into(),
        format!("{id} workspace.changed"),
        "local workspace.created".into(),
        "local key.rotated".into(),
        "local key.created".into(),
        "local key.created".into(),
    ];
    assert_eq!(told, expected, "{log:#}");
    assert_eq!(log["data"][1]["subject"], "shop.example");
    assert_eq!(log["data"][2]["address"], "192.0.2.7");
    let mut paged = Vec::new();
    let mut path = "/v1/audit?limit=2".to_owned();
    loop {
        let page = house.get(&path).await.json();
        paged.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/v1/audit?limit=2&after={next}");
    }
    assert_eq!(Value::from(paged), log["data"]);
}

#[actix_rt::test]
async fn a_change_that_was_not_written_does_not_hold() {
    let house = closed_house();
    let (_, admin) = make(&house, &["admin"], json!({})).await;
    let (id, key) = make(&house, &["stats:read"], json!({})).await;
    let path = format!("/v1/keys/{id}");
    house.store.next(Fault::Refuse(StoreError::Unavailable("full".into())));
    assert_eq!(ask(&house, "DELETE", &path, &admin).await.status, 503);
    assert_eq!(ask(&house, "GET", "/v1/stats", &key).await.status, 200);
    // Written, but the answer was lost: what is written holds.
    house.store.next(Fault::Lose);
    assert_eq!(ask(&house, "DELETE", &path, &admin).await.status, 503);
    assert_eq!(ask(&house, "GET", "/v1/stats", &key).await.status, 401);
    assert_eq!(ask(&house, "DELETE", &path, &admin).await.status, 200);
}

#[actix_rt::test]
async fn what_is_known_of_a_key_outlives_the_process() {
    let house = closed_house();
    let (id, key) = make(&house, &["stats:read"], json!({})).await;
    assert_eq!(ask(&house, "GET", "/v1/stats", &key).await.status, 200);
    house.api.access().keep_uses().await;
    let before = house.api.access().show_key(&Caller::local(), id.as_str()).expect("known");
    let settings = house.settings.auth.clone();
    let clock = hostline::clock::Clock::of_runtime(super::house::NOW);
    let anew = hostline::access::Access::new(house.store.clone(), None, clock.clone(), settings);
    assert!(!anew.has_keys());
    anew.open().await.expect("open");
    let after = anew.show_key(&Caller::local(), id.as_str()).expect("known");
    assert_eq!(serde_json::to_value(&before).unwrap(), serde_json::to_value(&after).unwrap());
    assert!(after.last_used_at.is_some());
    assert!(anew.authenticate(&key, None, clock.now()).is_ok());
}

#[actix_rt::test]
async fn a_rate_is_kept_to_and_told() {
    let house = closed_house();
    let more = json!({ "requests_per_second": 0.5, "burst": 2 });
    let (_, key) = make(&house, &names([Scope::StatsRead, Scope::TriggersWrite]), more).await;
    let first = ask(&house, "GET", "/v1/stats", &key).await;
    assert_eq!(first.header("ratelimit-policy"), "\"default\";q=2;w=4");
    assert_eq!(first.header("ratelimit"), "\"default\";r=1;t=2");
    assert_eq!(ask(&house, "GET", "/v1/stats", &key).await.status, 200);
    let over = ask(&house, "GET", "/v1/stats", &key).await;
    assert_eq!((over.status, over.slug().as_str()), (429, "rate-limited"));
    assert_eq!(over.header("retry-after"), "2");
    assert_eq!(over.header("ratelimit"), "\"default\";r=0;t=4");
    let braze = ask(&house, "POST", "/messages/send", &key).await;
    assert_eq!(braze.status, 429);
    assert!(braze.json()["message"].as_str().is_some_and(|text| text.starts_with("Rate Limited")));
    assert_eq!(braze.header("x-ratelimit-limit"), "2");
    assert_eq!(braze.header("x-ratelimit-remaining"), "0");
    assert_eq!(braze.header("x-ratelimit-reset"), "1795503604");
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(ask(&house, "GET", "/v1/stats", &key).await.status, 200);
}

#[actix_rt::test]
async fn the_settings_give_a_rate_to_keys_without_one() {
    let house = house(|settings| settings.auth.requests_per_second = Some(3.0));
    let (_, key) = make(&house, &["stats:read"], json!({})).await;
    let answer = ask(&house, "GET", "/v1/stats", &key).await;
    assert_eq!(answer.header("ratelimit-policy"), "\"default\";q=3;w=1");
    assert_eq!(house.get("/v1/stats").await.header("ratelimit"), "");
}
