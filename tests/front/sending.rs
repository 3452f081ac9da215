//! Triggers, one and many.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::{join, join_all};
use hostline::model::{DeliveryId, HostControls, HostName};
use hostline::store::{QueryStore, StoreError};
use serde_json::{Value, json};

use super::faults::Fault;
use super::house::{House, post};

const URL: &str = "https://shop.example/hook";

fn hook(fields: Value) -> String {
    let mut webhook = json!({ "url": URL });
    webhook.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    json!({ "webhook": webhook }).to_string()
}

#[actix_web::test]
async fn a_trigger_is_kept_before_it_is_answered() {
    let house = House::new();
    let body = r#"{"webhook":{"url":"https://Shop.Example/hook","body":{"b": 1,"a":[ ]}}}"#;
    let answer = house.post("/v1/triggers", body).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let json = answer.json();
    let trigger = json["trigger"].as_str().unwrap();
    assert_eq!(answer.header("location"), format!("/v1/deliveries?trigger={trigger}"));
    assert_eq!(json["deliveries"][0]["host"], "shop.example");
    assert_eq!(json["deliveries"][0]["state"], "waiting");
    let id: DeliveryId = json["deliveries"][0]["id"].as_str().unwrap().parse().unwrap();
    let kept = house.store.find(id).await.unwrap().expect("kept");
    assert_eq!(kept.webhook.body, r#"{"b": 1,"a":[ ]}"#);
    let listed = house.get(answer.header("location")).await.json();
    assert_eq!(listed["data"][0]["id"], json["deliveries"][0]["id"]);
}

#[actix_web::test]
async fn several_webhooks_are_one_trigger() {
    let house = House::new();
    let two = json!({ "webhooks": [{ "url": URL }, { "url": "https://b.example/" }],
        "delay": "5m" });
    let json = house.post("/v1/triggers", two.to_string()).await.json();
    assert_eq!(json["deliveries"][1]["host"], "b.example");
    assert_eq!(json["deliveries"][1]["state"], "scheduled");
    let bad = json!({ "webhooks": [{ "url": URL }, { "url": "no" }] });
    assert_eq!(house.post("/v1/triggers", bad.to_string()).await.place(), "/webhooks/1/url");
    let listed = house.get("/v1/deliveries").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 2, "the bad trigger left nothing");
}

#[actix_web::test]
async fn bad_triggers_name_the_field() {
    let house = House::new();
    let at = |extra: Value| {
        let mut trigger = json!({ "webhook": { "url": URL } });
        trigger.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        trigger.to_string()
    };
    for (body, status, place) in [
        ("{".to_owned(), 400, "-"),
        ("".to_owned(), 400, "-"),
        ("[]".to_owned(), 400, ""),
        (at(json!({ "bogus": 1 })), 400, "/bogus"),
        (at(json!({ "deliver_at": "2027-01-01T00:00:00Z", "delay": "5m" })), 400, "/delay"),
        (at(json!({ "delay": "soon" })), 400, "/delay"),
        (at(json!({ "secret_ref": "none" })), 400, "/secret_ref"),
        (hook(json!({ "method": "GET", "body": {} })), 400, "/webhook/body"),
        (hook(json!({ "method": "DELETE", "body": {} })), 400, "/webhook/body"),
        (hook(json!({ "url": "ftp://a/" })), 400, "/webhook/url"),
        (hook(json!({ "headers": { "x": "a\r\nb: c" } })), 400, "/webhook/headers/x"),
        (hook(json!({ "headers": { "Host": "a" } })), 400, "/webhook/headers/Host"),
        (hook(json!({ "body": "x".repeat(2_001) })), 413, "/webhook/body"),
        (format!("{{\"webhook\":{{\"url\":\"{URL}\",\"body\":{}", "[".repeat(10_000)), 400, "-"),
        (
            format!(
                "{{\"webhook\":{{\"url\":\"{URL}\",\"body\":{}{}}}}}",
                "[".repeat(10_000),
                "]".repeat(10_000)
            ),
            400,
            "-",
        ),
    ] {
        let shown: String = body.chars().take(150).collect();
        let answer = house.post("/v1/triggers", body).await;
        assert_eq!((answer.status, answer.place().as_str()), (status, place), "{shown}");
    }
    let broken = house.post("/v1/triggers", "{\n \"webhook\": tru }").await;
    assert!(broken.json()["detail"].as_str().unwrap().contains("line 2"), "{}", broken.text);
    let get = house.post("/v1/triggers", hook(json!({ "method": "GET", "body": 1 }))).await;
    assert!(get.json()["detail"].as_str().unwrap().contains("GET carries no body"));
}

#[actix_web::test]
async fn other_content_types_and_sizes_are_refused() {
    let house = House::new();
    let typed = |value: &'static str| {
        post("/v1/triggers", hook(json!({}))).insert_header(("content-type", value))
    };
    for value in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx"] {
        let answer = house.send(typed(value)).await;
        assert_eq!((answer.status, answer.place().as_str()), (415, "content-type"), "{value}");
    }
    for value in ["application/json; charset=utf-8", "application/cloudevents+json"] {
        assert_eq!(house.send(typed(value)).await.status, 202, "{value}");
    }
    let gzip = typed("application/json").insert_header(("content-encoding", "gzip"));
    assert_eq!(house.send(gzip).await.status, 415);
    let large = house.post("/v1/triggers", "x".repeat(400_001)).await;
    assert_eq!((large.status, large.place().as_str()), (413, "-"));
}

#[actix_web::test]
async fn an_idempotency_key_makes_a_trigger_safe_to_repeat() {
    let house = House::new();
    let with = |key: &'static str, body: String| {
        house.send(post("/v1/triggers", body).insert_header(("idempotency-key", key)))
    };
    let first = with("order-7", hook(json!({}))).await;
    let again = with("\"order-7\"", hook(json!({}))).await;
    assert_eq!((first.status, again.status), (202, 202));
    assert_eq!(first.text, again.text);
    assert_eq!(first.header("location"), again.header("location"));
    assert_eq!(
        (first.header("idempotent-replayed"), again.header("idempotent-replayed")),
        ("", "true")
    );
    let other = with("order-7", hook(json!({ "method": "PUT" }))).await;
    assert_eq!((other.status, other.slug()), (422, "idempotency-key-reused".into()));
    other.place();
    let bad = with("a b", hook(json!({}))).await;
    assert_eq!((bad.status, bad.place().as_str()), (400, "idempotency-key"));
    house.store.next(Fault::Slow(Duration::from_millis(50)));
    let (slow, quick) =
        futures::join!(with("order-8", hook(json!({}))), with("order-8", hook(json!({}))));
    assert_eq!((slow.status, quick.status), (202, 409));
    assert_eq!(quick.slug(), "idempotency-key-under-way");
    assert_eq!(house.get("/v1/stats").await.json()["deliveries"]["accepted"], 2);
}

#[actix_web::test]
async fn a_failing_store_is_told_without_its_secrets() {
    let house = House::new();
    let send = || house.post("/v1/triggers", hook(json!({})));
    let disk = || StoreError::Unavailable("/var/lib/secret: disk full".into());
    house.store.next(Fault::Refuse(disk()));
    let refused = send().await;
    assert_eq!((refused.status, refused.slug()), (503, "unavailable".into()));
    assert!(!refused.text.contains("secret") && !refused.header("retry-after").is_empty());
    house.store.next(Fault::Lose);
    assert_eq!(send().await.status, 202, "the lost commit is asked for again");
    assert_eq!(house.get("/v1/stats").await.json()["deliveries"]["accepted"], 1);
    house.store.next(Fault::Lose);
    house.store.next(Fault::Refuse(StoreError::Unknown("again".into())));
    assert_eq!(send().await.status, 503);
    house.store.next(Fault::Refuse(StoreError::Full { max_pending: 9 }));
    let full = send().await;
    assert_eq!((full.status, full.slug()), (503, "store-full".into()));
    house.engine.stopping.store(true, Ordering::Relaxed);
    let stopping = send().await;
    assert_eq!((stopping.status, stopping.slug()), (503, "stopping".into()));
    assert!(!stopping.header("retry-after").is_empty());
    assert_eq!(house.post("/v1/triggers/batch", "[]").await.status, 503);
}

#[actix_web::test]
async fn a_store_that_stands_still_shuts_the_door_until_it_goes_on() {
    let house = House::new();
    let send = || house.post("/v1/triggers", hook(json!({})));
    (0..40).for_each(|_| house.store.next(Fault::Slow(Duration::from_secs(3))));
    let early = join_all((0..40).map(|_| send()));
    let late = async {
        tokio::time::advance(Duration::from_millis(1_100)).await;
        let refused = send().await;
        assert_eq!((refused.status, refused.slug()), (503, "store-slow".into()));
        let after_s: u64 = refused.header("retry-after").parse().expect("whole seconds");
        assert!((1..=30).contains(&after_s), "{after_s}");
        let batch = house.post("/v1/triggers/batch", format!("[{}]", hook(json!({})))).await;
        assert_eq!((batch.status, batch.slug()), (503, "store-slow".into()));
    };
    let (early, ()) = join(early, late).await;
    assert!(early.iter().all(|answer| answer.status == 202), "who was let in is kept");
    assert_eq!(house.get("/v1/stats").await.json()["deliveries"]["accepted"], 40);
    for _ in 0..20 {
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(send().await.status, 202);
    }
    (0..60).for_each(|_| house.store.next(Fault::Slow(Duration::from_millis(1))));
    let after = join_all((0..60).map(|_| send())).await;
    assert!(after.iter().all(|answer| answer.status == 202), "all come in again");
}

#[actix_web::test]
async fn without_memory_to_spare_nothing_is_taken() {
    let house = House::with(|settings| settings.server.max_memory = 1);
    let refused = house.post("/v1/triggers", hook(json!({}))).await;
    assert_eq!((refused.status, refused.slug()), (503, "memory-full".into()));
    assert!(!refused.header("retry-after").is_empty());
    assert_eq!(house.get("/v1/stats").await.status, 200);
}

#[actix_web::test]
async fn a_lost_commit_with_a_key_is_not_called_a_replay() {
    let house = House::new();
    house.store.next(Fault::Lose);
    let request = post("/v1/triggers", hook(json!({}))).insert_header(("idempotency-key", "k"));
    let answer = house.send(request).await;
    assert_eq!((answer.status, answer.header("idempotent-replayed")), (202, ""));
}

#[actix_web::test]
async fn a_full_or_draining_host_shuts_its_own_door_only() {
    let house = House::with(|settings| settings.store.max_pending_per_host = 2);
    house.trigger(URL, json!({})).await;
    house.trigger(URL, json!({})).await;
    let full = house.post("/v1/triggers", hook(json!({}))).await;
    assert_eq!((full.status, full.slug()), (429, "host-full".into()));
    assert!(!full.header("retry-after").is_empty());
    house.trigger("https://b.example/", json!({})).await;
    let draining = HostControls { draining: true, ..HostControls::default() };
    let name = HostName::from_normalised("b.example");
    house.engine.controls.lock().unwrap().insert(name, draining);
    let refused = house.post("/v1/triggers", hook(json!({ "url": "https://b.example/" }))).await;
    assert_eq!((refused.status, refused.slug()), (409, "host-draining".into()));
}

#[actix_web::test]
async fn traceparent_is_passed_on() {
    let house = House::new();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for (given, expected) in [(traceparent, Some(traceparent)), ("garbage", None)] {
        let request = post("/v1/triggers", hook(json!({}))).insert_header(("traceparent", given));
        let json = house.send(request).await.json();
        let id: DeliveryId = json["deliveries"][0]["id"].as_str().unwrap().parse().unwrap();
        let webhook = house.store.find(id).await.unwrap().unwrap().webhook;
        let header = webhook.headers.iter().find(|header| header.name == "traceparent");
        assert_eq!(header.map(|header| header.value.as_str()), expected);
    }
}

#[actix_web::test]
async fn one_bad_item_of_a_batch_never_loses_the_rest() {
    let house = House::new();
    let good = hook(json!({}));
    let array = format!("[{good}, {{\"bogus\":1}}, 5, {good}]");
    let answer = house.post("/v1/triggers/batch", array).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let json = answer.json();
    assert_eq!((&json["accepted"], &json["refused"]), (&json!(2), &json!(2)));
    assert_eq!(json["data"][1]["index"], 1);
    assert_eq!(json["data"][1]["problem"]["errors"][0]["pointer"], "/bogus");
    assert_eq!(json["data"][3]["deliveries"][0]["host"], "shop.example");
    let whole = house.post("/v1/triggers/batch", format!("[{good}]")).await;
    assert_eq!((whole.status, &whole.json()["accepted"]), (202, &json!(1)));
    for (bad, status) in [
        ("[]".to_owned(), 400),
        ("{}".to_owned(), 400),
        ("[".repeat(10_000), 400),
        (format!("[{}]", vec!["1"; 501].join(",")), 413),
    ] {
        let answer = house.post("/v1/triggers/batch", bad).await;
        assert_eq!(answer.status, status, "{}", answer.text);
        answer.place();
    }
}

#[actix_web::test]
async fn items_carry_their_own_keys() {
    let house = House::new();
    let item = json!({ "webhook": { "url": URL }, "idempotency_key": "k" }).to_string();
    let first = house.post("/v1/triggers/batch", format!("[{item}]")).await.json();
    let again = house.post("/v1/triggers/batch", format!("[{item}]")).await.json();
    assert_eq!(first, again);
    let request = post("/v1/triggers/batch", "[]").insert_header(("idempotency-key", "k"));
    assert_eq!(house.send(request).await.place(), "idempotency-key");
}

#[actix_web::test]
async fn ndjson_is_taken_line_by_line() {
    let house = House::new();
    let good = hook(json!({}));
    let long = hook(json!({ "body": "x".repeat(6_000) }));
    let body = format!("{good}\n\n{long}\r\nnot json\n{good}");
    let send = |body: String| {
        let request = post("/v1/triggers/batch", body);
        house.send(request.insert_header(("content-type", "application/x-ndjson")))
    };
    let answer = send(body).await;
    assert_eq!(answer.status, 207, "{}", answer.text);
    let json = answer.json();
    let item = |index: usize| json["data"][index]["problem"]["status"].clone();
    assert_eq!((item(1), item(2)), (json!(413), json!(400)));
    assert_eq!((&json["accepted"], &json["data"][3]["index"]), (&json!(2), &json!(3)));
    let many = send(vec![good; 502].join("\n")).await.json();
    assert_eq!((&many["accepted"], &many["refused"]), (&json!(500), &json!(1)));
    assert_eq!(send("\n\n".into()).await.status, 400);
}
