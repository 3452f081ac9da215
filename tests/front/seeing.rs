//! Lists, one delivery, redriving, skipping, cancelling.

use bytes::Bytes;
use hostline::model::{
    Answer, Attempt, DeliveryId, End, Header, Outcome, Settlement, Timings, Verdict,
};
use hostline::store::DeliveryStore;
use serde_json::{Value, json};

use super::house::{House, NOW};

const URL: &str = "https://shop.example/hook";

async fn fail(house: &House, id: &str) {
    let id: DeliveryId = id.parse().unwrap();
    let header = |name: &str, value: &str| Header { name: name.into(), value: value.into() };
    let answer = Answer {
        status: 404,
        headers: vec![header("x-one", "1"), header("set-cookie", "sid=s3cret")],
        body: Bytes::from_static(b"no such page"),
        body_truncated: false,
    };
    let outcome = Outcome::Answered(answer);
    let attempt = Attempt { number: 1, started: NOW, outcome, timings: Timings::default() };
    let verdict = Verdict::End(End::Failed);
    let settlement = Settlement { id, verdict, at: NOW, attempt: Some(attempt) };
    house.store.settle(hostline::store::Tenure::SOLE, vec![settlement], Vec::new()).await.unwrap();
}

fn ids(list: &Value) -> Vec<String> {
    let rows = list["data"].as_array().unwrap_or_else(|| panic!("{list}"));
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

#[actix_web::test]
async fn lists_are_narrowed_by_state_and_the_rest() {
    let house = House::new();
    let failed = house.trigger(URL, json!({ "metadata": { "order": "7" } })).await;
    fail(&house, &failed).await;
    let waiting = house.trigger(URL, json!({})).await;
    let later = house.trigger("https://b.example/", json!({ "delay": "1h" })).await;
    let flying = house.trigger("https://b.example/", json!({})).await;
    house.engine.in_flight.lock().unwrap().push(flying.parse().unwrap());
    for (query, expected) in [
        ("state=failed", vec![&failed]),
        ("state=waiting", vec![&waiting]),
        ("state=scheduled", vec![&later]),
        ("state=in_flight", vec![&flying]),
        ("state=scheduled,failed", vec![&later, &failed]),
        ("host=Shop.Example", vec![&waiting, &failed]),
        ("metadata.order=7", vec![&failed]),
        ("metadata.order=8", vec![]),
        ("until=2020-01-01T00:00:00Z", vec![]),
        ("from=2020-01-01T00:00:00Z", vec![&flying, &later, &waiting, &failed]),
    ] {
        let list = house.get(&format!("/v1/deliveries?{query}")).await.json();
        assert_eq!(ids(&list).iter().collect::<Vec<_>>(), expected, "{query}");
    }
    let list = house.get("/v1/deliveries?limit=3").await.json();
    assert!(list["data"][0].get("webhook").is_none() && list["data"][0].get("body").is_none());
    assert_eq!(list["data"][0]["accepted_at"], "2026-11-24T07:00:00.000Z");
    let next = list["next"].as_str().expect("more");
    let rest = house.get(&format!("/v1/deliveries?limit=3&after={next}")).await.json();
    assert_eq!((ids(&rest), &rest["next"]), (vec![failed], &Value::Null));
}

#[actix_web::test]
async fn bad_queries_and_ids_are_named() {
    let house = House::new();
    for (uri, status, place) in [
        ("/v1/deliveries?limit=0", 400, "limit"),
        ("/v1/deliveries?limit=1001", 400, "limit"),
        ("/v1/deliveries?limit=1&limit=2", 400, "limit"),
        ("/v1/deliveries?after=garbage", 400, "after"),
        ("/v1/deliveries?state=lost", 400, "state"),
        ("/v1/deliveries?from=yesterday", 400, "from"),
        ("/v1/deliveries?host=a%2Fb", 400, "host"),
        ("/v1/deliveries?trigger=a", 400, "trigger"),
        ("/v1/deliveries?bogus=1", 400, "bogus"),
        ("/v1/deliveries?metadata.=1", 400, "metadata."),
        ("/v1/deliveries/garbage", 400, "id"),
        ("/v1/deliveries/a%2Fb", 400, "id"),
        ("/v1/deliveries/%ff", 400, "id"),
        ("/v1/deliveries/a/b", 404, "-"),
        ("/v1/deliveries/0191f4a2-0000-8000-8000-000000000000", 404, "-"),
        ("/v1/hosts?sort=size", 400, "sort"),
        ("/v1/hosts?sort=-queued&after=x", 400, "after"),
        ("/v1/hosts?after=a%2Fb", 400, "after"),
        ("/v1/hosts?state=sad", 400, "state"),
        ("/v1/hosts?alive=yes", 400, "alive"),
        ("/v1/hosts?offset=1", 400, "offset"),
        ("/v1/hosts?sort=-queued&offset=-1", 400, "offset"),
        ("/v1/hosts?sort=-queued&offset=1&after=1/a", 400, "offset"),
        ("/v1/hosts/a%2Fb", 400, "host"),
        ("/v1/hosts/nowhere.example", 404, "-"),
        ("/v1/redrives/none", 404, "-"),
        ("/v1/stats?x=1", 400, "x"),
        ("/v2", 404, "-"),
    ] {
        let answer = house.get(uri).await;
        assert_eq!((answer.status, answer.place().as_str()), (status, place), "{uri}");
    }
    for (uri, allow) in [("/v1/triggers", "POST"), ("/v1/hosts/a/pause", "POST")] {
        let answer = house.get(uri).await;
        assert_eq!((answer.status, answer.header("allow")), (405, allow), "{uri}");
        answer.place();
    }
    let post = house.post("/v1/deliveries/x", "{}").await;
    assert_eq!((post.status, post.header("allow")), (405, "GET, DELETE"));
}

#[actix_web::test]
async fn one_delivery_is_shown_with_its_secrets_masked() {
    let house = House::new();
    let trigger = json!({ "webhook": {
        "url": "https://user:s3cret@shop.example/hook", "body": { "a": 1 },
        "headers": { "X-Api-Key": "s3cret", "x-auth-token": "s3cret", "x-plain": "shown" },
    }});
    let json = house.post("/v1/triggers", trigger.to_string()).await.json();
    let id = json["deliveries"][0]["id"].as_str().unwrap().to_owned();
    let shown = house.get(&format!("/v1/deliveries/{id}")).await;
    assert!(!shown.text.contains("s3cret") && !shown.text.contains("dXNlcjp"), "{}", shown.text);
    let owed = shown.json();
    assert_eq!((&owed["state"], &owed["waits_for"]), (&json!("waiting"), &json!("budget")));
    assert_eq!((&owed["reason"], &owed["ahead"]), (&json!("the budget is used up"), &json!(0)));
    let budget = &owed["blocked_by"][0];
    assert_eq!((&budget["what"], &budget["until"]), (&json!("budget"), &Value::Null));
    assert_eq!(owed["expectation"], "it goes when it is due");
    assert_eq!(owed["retries_left"], 5);
    assert_eq!(owed["webhook"]["body"], "{\"a\":1}");
    assert!(owed["webhook"]["headers"].as_array().unwrap().contains(&json!(["x-plain", "shown"])));
    fail(&house, &id).await;
    let ended = house.get(&format!("/v1/deliveries/{id}")).await;
    assert!(!ended.text.contains("s3cret"), "{}", ended.text);
    let ended = ended.json();
    assert_eq!((&ended["state"], &ended["attempt_count"]), (&json!("failed"), &json!(1)));
    assert_eq!(ended["reason"], "the answer is final: answered 404");
    let attempt = &ended["attempts"][0];
    assert_eq!((&attempt["status"], &attempt["reason"]), (&json!(404), &json!("answered 404")));
    assert_eq!(attempt["response"]["body"], "no such page");
    assert!(attempt["meaning"].as_str().unwrap().contains("does not know this URL"));
}

#[actix_web::test]
async fn a_delivery_is_redriven_skipped_or_cancelled_where_that_makes_sense() {
    let house = House::new();
    let id = house.trigger(URL, json!({})).await;
    let uri = format!("/v1/deliveries/{id}");
    let again = uri2(&uri, "redrive");
    let redrive = || house.post(&again, "");
    let owed = redrive().await;
    assert_eq!((owed.status, owed.slug()), (409, "not-redrivable".into()));
    fail(&house, &id).await;
    assert_eq!(redrive().await.json()["state"], "waiting");
    let skip = house.post(&uri2(&uri, "skip"), "").await;
    assert_eq!((skip.status, skip.slug()), (409, "not-blocking".into()));
    house.engine.in_flight.lock().unwrap().push(id.parse().unwrap());
    assert_eq!(house.delete(&uri).await.slug(), "in-flight");
    house.engine.in_flight.lock().unwrap().clear();
    let cancelled = house.delete(&uri).await;
    assert_eq!((cancelled.status, &cancelled.json()["state"]), (200, &json!("cancelled")));
    assert_eq!(house.delete(&uri).await.slug(), "already-ended");
    let unknown = "/v1/deliveries/0191f4a2-0000-8000-8000-000000000000";
    assert_eq!(house.delete(unknown).await.status, 404);
    assert_eq!(house.post(&uri2(unknown, "redrive"), "").await.status, 404);
    assert_eq!(house.post(&uri2(unknown, "skip"), "").await.status, 404);
}

#[actix_web::test]
async fn a_stop_is_told_as_what_holds_a_delivery() {
    let house = House::new();
    let id = house.trigger(URL, json!({})).await;
    house.engine.stopping.store(true, std::sync::atomic::Ordering::Relaxed);
    let owed = house.get(&format!("/v1/deliveries/{id}")).await.json();
    let last = owed["blocked_by"].as_array().and_then(|list| list.last()).expect("one at least");
    assert_eq!(last["what"], "stopping", "{owed}");
    assert_eq!((&owed["next_attempt_at"], &owed["ahead"]), (&Value::Null, &json!(0)));
}

fn uri2(uri: &str, verb: &str) -> String {
    format!("{uri}/{verb}")
}

#[actix_web::test]
async fn a_blocking_failure_is_skipped() {
    let house = House::new();
    let keyed = || house.trigger(URL, json!({ "ordering_key": "k", "on_failure": "block" }));
    let (head, follower) = (keyed().await, keyed().await);
    let behind = house.get(&format!("/v1/deliveries/{follower}")).await.json();
    assert_eq!(behind["behind"], json!(head));
    fail(&house, &head).await;
    assert_eq!(house.get(&format!("/v1/deliveries/{head}")).await.json()["blocks_key"], true);
    let skipped = house.post(&format!("/v1/deliveries/{head}/skip"), "").await;
    assert_eq!(skipped.json()["skipped"], true, "{}", skipped.text);
}
