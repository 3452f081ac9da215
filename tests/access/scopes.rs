//! Each route needs its scopes, and they are enough.

use hostline::access::Scope;
use hostline::api::scopes::{Needs, ROUTES};
use serde_json::json;

use super::{ask, closed_house, make, names, request};

/// A path of a pattern.
fn path(pattern: &str) -> String {
    let segments = pattern.split('/').map(|part| if part.starts_with('{') { "x1" } else { part });
    segments.collect::<Vec<_>>().join("/")
}

#[actix_rt::test]
async fn every_route_but_health_needs_a_key_where_keys_are_required() {
    let house = closed_house();
    for (method, pattern, needs) in ROUTES {
        let request = request(method, &path(pattern), "").set_payload("");
        let answer = house
            .send(
                actix_web::test::TestRequest::default()
                    .method(method.parse().unwrap())
                    .uri(&path(pattern)),
            )
            .await;
        let wrong = house.send(request.peer_addr("192.0.2.9:1".parse().unwrap())).await;
        if *needs == Needs::Nothing {
            // What it is asked in vain, such as a file that is not there, is told to everybody.
            assert!(![401, 403].contains(&answer.status), "{method} {pattern}");
            continue;
        }
        assert_eq!(answer.status, 401, "{method} {pattern}: {}", answer.text);
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        assert!([401, 429].contains(&wrong.status), "{method} {pattern}: {}", wrong.text);
    }
    // Nothing is told of what is there and what is not.
    for path in ["/v1/nowhere", "/v1/keys/", "/messages/nowhere", "/v1/%74riggers"] {
        assert_eq!(house.get(path).await.status, 401, "{path}");
    }
}

#[actix_rt::test]
async fn each_scope_is_needed_and_enough() {
    let house = closed_house();
    for (method, pattern, needs) in ROUTES {
        let Needs::Scopes(needed) = needs else { continue };
        let just: Vec<_> = names(needed.iter().copied());
        let (_, key) = make(&house, &just, json!({})).await;
        let answer = ask(&house, method, &path(pattern), &key).await;
        assert!(![401, 403].contains(&answer.status), "{method} {pattern}: {}", answer.text);
        for missing in *needed {
            let others = Scope::ALL.into_iter().filter(|other| other != missing);
            let others = names(others.filter(|other| *other != Scope::Admin));
            let (_, key) = make(&house, &others, json!({})).await;
            let answer = ask(&house, method, &path(pattern), &key).await;
            assert_eq!(answer.status, 403, "{method} {pattern}: {}", answer.text);
            let told = format!("with the scope {missing}");
            assert!(answer.text.contains(&told), "{method} {pattern}: {}", answer.text);
        }
        let (_, admin) = make(&house, &["admin"], json!({})).await;
        let answer = ask(&house, method, &path(pattern), &admin).await;
        assert!(![401, 403].contains(&answer.status), "{method} {pattern}: {}", answer.text);
    }
}

#[actix_rt::test]
async fn a_path_in_disguise_is_judged_as_what_it_is() {
    let house = closed_house();
    let (_, key) = make(&house, &["triggers:write"], json!({})).await;
    for disguise in ["/v1/%6Beys", "/v1/key%73", "/%76%31/keys"] {
        let answer = ask(&house, "GET", disguise, &key).await;
        assert_eq!(answer.status, 403, "{disguise}: {}", answer.text);
    }
    let answer = ask(&house, "POST", "/v1/%74riggers", &key).await;
    assert_eq!(answer.status, 400, "{}", answer.text);
    // What is nowhere is told to whoever has any key, but a method that no route takes is not.
    assert_eq!(ask(&house, "GET", "/v1/nowhere", &key).await.status, 404);
    assert_eq!(ask(&house, "GET", "/email/send", &key).await.status, 404);
    assert_eq!(ask(&house, "PUT", "/v1/keys", &key).await.status, 403);
}

#[actix_rt::test]
async fn refusals_speak_the_language_of_their_api() {
    let house = closed_house();
    let (_, key) = make(&house, &["stats:read"], json!({})).await;
    for (key, status) in [("", 401), (key.as_str(), 403)] {
        let answer = ask(&house, "POST", "/messages/send", key).await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), "application/json");
        assert!(answer.json()["message"].is_string(), "{}", answer.text);
        let answer = ask(&house, "POST", "/v1/triggers", key).await;
        assert_eq!((answer.status, answer.place().as_str()), (status, "-"));
    }
}
