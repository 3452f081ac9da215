//! Signing in to the dashboard: the cookie, its word, and who is kept out.

use actix_web::test::TestRequest;
use hostline::access::Caller;
use serde_json::{Value, json};

use super::house::{Answer, House};
use super::{closed_house, house, make};

async fn sign_in(house: &House, key: &str) -> Answer {
    let request = TestRequest::post().uri("/v1/session").set_json(json!({ "key": key }));
    house.send(request).await
}

/// Name and value of the cookie that an answer sets.
fn cookie(answer: &Answer) -> String {
    answer.header("set-cookie").split(';').next().expect("a first part").to_owned()
}

fn by(cookie: &str, method: &str, uri: &str) -> TestRequest {
    let method = method.parse().expect("a method");
    TestRequest::default().method(method).uri(uri).insert_header(("cookie", cookie))
}

#[actix_rt::test]
async fn a_key_signs_in_and_out() {
    let house = closed_house();
    let (id, key) = make(&house, &["stats:read", "hosts:read"], json!({})).await;
    let anonymous = house.get("/v1/session").await;
    assert_eq!(anonymous.status, 401, "{}", anonymous.text);
    let answer = sign_in(&house, &key).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let set = answer.header("set-cookie").to_owned();
    for part in ["HttpOnly", "SameSite=Strict", "Path=/"] {
        assert!(set.contains(part), "{set}");
    }
    assert!(!set.contains("Secure"), "{set}");
    let session = answer.json();
    assert_eq!(session["key"], json!({ "id": id.as_str(), "name": "test" }));
    assert_eq!(session["workspace"], "default");
    assert_eq!(session["scopes"], json!(["hosts:read", "stats:read"]));
    assert!(!answer.text.contains(&key), "the text of a key is shown once");
    let cookie = cookie(&answer);
    assert_eq!(house.send(by(&cookie, "GET", "/v1/session")).await.json(), session);
    assert_eq!(house.send(by(&cookie, "GET", "/v1/stats")).await.status, 200);
    assert_eq!(house.send(by(&cookie, "GET", "/v1/deliveries")).await.status, 403);
    let out = house.send(by(&cookie, "DELETE", "/v1/session")).await;
    assert_eq!(out.status, 204);
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    // Behind a proxy that speaks TLS the cookie stays on it.
    let forwarded = TestRequest::post().uri("/v1/session").set_json(json!({ "key": key }));
    let forwarded = forwarded.insert_header(("x-forwarded-proto", "https"));
    assert!(house.send(forwarded).await.header("set-cookie").contains("; Secure"));
}

#[actix_rt::test]
async fn a_wrong_key_signs_nobody_in() {
    let house = closed_house();
    let (id, key) = make(&house, &["admin"], json!({})).await;
    for wrong in ["", "x", &key[..70]] {
        let answer = sign_in(&house, wrong).await;
        assert_eq!(answer.status, 401, "{}", answer.text);
        assert_eq!(answer.header("set-cookie"), "");
    }
    let cookie = cookie(&sign_in(&house, &key).await);
    assert_eq!(house.send(by(&cookie, "GET", "/v1/stats")).await.status, 200);
    let (_, other) = make(&house, &["admin"], json!({})).await;
    assert_eq!(sign_in(&house, &other).await.status, 200);
    house.api.access().revoke_key(&Caller::local(), id.as_str()).await.expect("revoked");
    assert_eq!(house.send(by(&cookie, "GET", "/v1/stats")).await.status, 401);
}

#[actix_rt::test]
async fn what_changes_something_needs_the_word_of_the_session() {
    let house = closed_house();
    let (_, key) = make(&house, &["admin"], json!({})).await;
    let answer = sign_in(&house, &key).await;
    let word = answer.json()["csrf"].as_str().expect("a word").to_owned();
    let cookie = cookie(&answer);
    let create = |word: Option<&str>| {
        let request = by(&cookie, "POST", "/v1/workspaces").set_json(json!({ "name": "shop" }));
        match word {
            Some(word) => request.insert_header(("x-csrf-token", word)),
            None => request,
        }
    };
    for wrong in [None, Some(""), Some("x"), Some(&word[1..])] {
        let refused = house.send(create(wrong)).await;
        assert_eq!(refused.status, 403, "{}", refused.text);
        assert_eq!(refused.json()["type"], "/problems/csrf", "{}", refused.text);
    }
    assert_eq!(house.send(create(Some(&word))).await.status, 201);
    // A key in the header needs none: no page of another site has it.
    let headed = TestRequest::get().uri("/v1/session");
    let headed = headed.insert_header(("authorization", format!("Bearer {key}")));
    assert_eq!(house.send(headed).await.json()["csrf"], Value::Null);
}

#[actix_rt::test]
async fn without_keys_there_is_nothing_to_sign_in_to() {
    let house = house(|_| {});
    let session = house.get("/v1/session").await.json();
    assert_eq!(session["key"], Value::Null);
    assert_eq!(session["csrf"], Value::Null);
    assert_eq!(session["scopes"], json!(["admin"]));
    // A cookie that is good for nothing any more keeps nobody out of an open house.
    let stale = house.send(by("hostline_session=hl_gone", "GET", "/v1/session")).await;
    assert_eq!(stale.json(), session);
}

#[actix_rt::test]
async fn the_page_is_served_to_everybody_and_kept_by_browsers() {
    let house = closed_house();
    let page = house.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.header("content-security-policy").contains("default-src 'self'"));
    let tag = page.header("etag").to_owned();
    let again = TestRequest::get().uri("/").insert_header(("if-none-match", tag));
    assert_eq!(house.send(again).await.status, 304);
    let packed = TestRequest::get().uri("/").insert_header(("accept-encoding", "br, gzip"));
    let packed = house.send(packed).await;
    assert_eq!(packed.header("content-encoding"), "gzip");
    assert_ne!(packed.header("etag"), page.header("etag"));
    for missing in ["/ui/", "/ui/no-such.js", "/ui/../mod.rs", "/ui/%2e%2e/mod.rs"] {
        assert_eq!(house.get(missing).await.status, 404, "{missing}");
    }
}
