//! The totals over time, and the streams that show what happens.

use std::io::{Read, Write};
use std::time::Duration;

use actix_web::test::TestRequest;
use hostline::delivery::feed::Origin;
use hostline::delivery::{HostCondition, Notice};
use hostline::model::{End, HostName, Verdict};
use hostline::report::meters::{Class, Decision, Meters};
use serde_json::{Value, json};

use super::engine::snapshot;
use super::events::{Events, answered, settle};
use super::house::{House, NOW};
use super::open::{Open, PATIENCE};
use super::tls::{Authority, secure};

async fn second_passes(house: &House) {
    tokio::time::advance(Duration::from_secs(1)).await;
    house.api.live().sampler().take();
}

/// Three attempts, one of which is the end of its delivery.
fn something_happens(house: &House) {
    let meters = Meters::default();
    meters.decided(Decision::Exhausted);
    for latency_us in [1_000, 2_000, 3_000] {
        meters.ended(Class::Success, latency_us);
    }
    let mut arbiter = house.engine.arbiter.lock().unwrap();
    arbiter.attempts += 3;
    arbiter.delivered += 2;
    arbiter.retried += 1;
    arbiter.deferred = 40;
    arbiter.conditions[HostCondition::CoolingDown as usize] = 2;
    arbiter.readings.add(&meters.read());
}

#[actix_web::test]
async fn the_series_say_how_many_fell_into_each_step() {
    let house = House::new();
    house.api.live().sampler().take();
    for _ in 0..61 {
        house.trigger("https://shop.example/", json!({})).await;
        something_happens(&house);
        second_passes(&house).await;
    }
    let seconds = house.get("/v1/series").await.json();
    assert_eq!((&seconds["step_s"], seconds["points"].as_array().unwrap().len()), (&json!(1), 61));
    let point = &seconds["points"][1];
    for (field, value) in [
        ("at", json!("2026-11-24T07:00:01.000Z")),
        ("accepted", json!(1)),
        ("delivered", json!(2)),
        ("failed", json!(1)),
        ("retried", json!(1)),
        ("refused", json!(0)),
        ("attempts", json!(3)),
        ("deferred", json!(40)),
        ("pending", json!(2)),
        ("in_flight", json!(0)),
    ] {
        assert_eq!(point[field], value, "{field}: {point}");
    }
    assert!(point["p50_ms"].as_f64().is_some_and(|ms| ms > 0.5 && ms < 3.0), "{point}");
    let minutes = house.get("/v1/series?step=60").await.json();
    assert_eq!((&minutes["step_s"], &minutes["points"][0]["accepted"]), (&json!(60), &json!(60)));
    for (uri, place) in [("/v1/series?step=5", "step"), ("/v1/series?from=1", "from")] {
        let answer = house.get(uri).await;
        assert_eq!((answer.status, answer.place().as_str()), (400, place), "{uri}");
    }
}

#[actix_web::test]
async fn a_host_is_shown_over_time() {
    let house = House::new();
    for host in ["shop", "rest"] {
        house.trigger(&format!("https://{host}.example/"), json!({})).await;
    }
    house.engine.set_live([snapshot("shop.example", 5, HostCondition::Healthy)]);
    let series = house.get("/v1/hosts/Shop.Example/series").await.json();
    assert_eq!(series["step_s"], 10);
    let point = &series["points"][0];
    assert_eq!((&point["attempts"], &point["by_status"]), (&json!(1), &json!({ "200": 1 })));
    assert_eq!(house.get("/v1/hosts/rest.example/series").await.json()["points"], json!([]));
    assert_eq!(house.get("/v1/hosts/nowhere.example/series").await.status, 404);
}

#[actix_web::test]
async fn totals_come_every_second_and_a_host_with_them() {
    let house = House::new();
    house.trigger("https://shop.example/", json!({})).await;
    let mut slow = snapshot("slow.example", 0, HostCondition::Healthy);
    slow.last_minute.p99_ms = Some(900.0);
    slow.taken = NOW;
    let mut long_ago = snapshot("idle.example", 0, HostCondition::Healthy);
    long_ago.last_minute.p99_ms = Some(5_000.0);
    let ill = snapshot("shop.example", 7, HostCondition::CoolingDown);
    house.engine.set_live([ill, slow, long_ago]);
    let mut events = Events::of(&house, "?top=1&host=shop.example").await;
    let first = events.text().await.unwrap();
    assert!(first.starts_with("retry: 3000\n\nevent: host\ndata: {"), "no totals yet: {first}");
    house.api.live().sampler().take();
    something_happens(&house);
    second_passes(&house).await;
    let came = events.next().await;
    let [(stats, totals), (host, shown)] = came.as_slice() else { panic!("{came:?}") };
    assert_eq!((stats.as_str(), host.as_str()), ("stats", "host"));
    for (path, value) in [
        ("/attempts_per_s", json!(3.0)),
        ("/delivered_per_s", json!(2.0)),
        ("/failed_per_s", json!(1.0)),
        ("/deferred", json!(40)),
        ("/pending", json!(1)),
        ("/hosts/cooling_down", json!(2)),
        ("/uptime_s", json!(1)),
        ("/slowest/0/host", json!("slow.example")),
        ("/backlogged/0/host", json!("shop.example")),
        ("/store/refusing", Value::Null),
    ] {
        assert_eq!(totals.pointer(path), Some(&value), "{path}: {totals}");
    }
    assert_eq!(totals["backlogged"].as_array().unwrap().len(), 1);
    assert_eq!((&shown["host"], &shown["queued"]), (&json!("shop.example"), &json!(7)));
    assert!(shown.get("history").is_none());
}

#[actix_web::test]
async fn a_quiet_stream_says_that_it_is_still_there() {
    let house = House::new();
    let mut events = Events::of(&house, "?deliveries=true").await;
    assert_eq!(events.text().await.as_deref(), Some("retry: 3000\n\n"));
    let begun = tokio::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(events.text().await.as_deref(), Some(": still here\n\n"));
    }
    assert!((45..47).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[actix_web::test]
async fn deliveries_are_told_as_they_end_and_narrowed() {
    let house = House::new();
    let url = "https://user:s3cret@shop.example/hook";
    let (one, two) = (house.trigger(url, json!({})).await, house.trigger(url, json!({})).await);
    let mut all = Events::of(&house, "?deliveries=true").await;
    let mut failed = Events::of(&house, "?deliveries=true&state=failed,retried").await;
    let mut elsewhere = Events::of(&house, "?deliveries=true&host=other.example").await;
    for stream in [&mut all, &mut failed, &mut elsewhere] {
        stream.text().await;
    }
    settle(&house, answered(&one, 204, Verdict::End(End::Delivered)), Some(0)).await;
    let again = Verdict::Again { due: NOW, retries: 1 };
    settle(&house, answered(&two, 503, again), Some(0)).await;
    let told = all.next().await;
    let ids: Vec<&Value> = told.iter().map(|(_, told)| &told["id"]).collect();
    assert_eq!(ids, [&json!(one), &json!(two)]);
    let (name, told) = &told[0];
    assert_eq!(name, "delivery");
    for (field, value) in [
        ("host", json!("shop.example")),
        ("state", json!("delivered")),
        ("status", json!(204)),
        ("reason", json!("answered 204")),
        ("attempts", json!(1)),
        ("url", json!("https://shop.example/hook")),
        ("method", json!("POST")),
        ("campaign", Value::Null),
        ("recipient", Value::Null),
        ("at", json!("2026-11-24T07:00:00.000Z")),
        ("latency_ms", json!(2.5)),
    ] {
        assert_eq!(told[field], value, "{field}: {told}");
    }
    assert!(told["trigger"].is_string() && !told.to_string().contains("s3cret"), "{told}");
    let told = failed.next().await;
    assert_eq!((told.len(), &told[0].1["state"]), (1, &json!("retried")));
    assert_eq!(elsewhere.text().await.as_deref(), Some(": still here\n\n"));
}

#[actix_web::test]
async fn a_slow_reader_is_told_how_many_it_missed_and_gets_the_newest() {
    let house = House::new();
    let id = house.trigger("https://shop.example/", json!({})).await;
    let mut events = Events::of(&house, "?deliveries=true&state=failed").await;
    events.text().await;
    let host = HostName::from_normalised("shop.example");
    let delivered = answered(&id, 200, Verdict::End(End::Delivered));
    let origin = || Origin { workspace: Some(0), campaign: None };
    for _ in 0..10 {
        let notices = (0..1_000).map(|_| Notice::of(&delivered, &host, origin()));
        house.engine.feed.tell(notices.collect());
    }
    let failed = answered(&id, 404, Verdict::End(End::Failed));
    settle(&house, failed, Some(0)).await;
    let came = events.next().await;
    let names: Vec<&str> = came.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["dropped", "delivery"]);
    assert_eq!(came[0].1["count"], 10_001 - 8_192);
}

#[actix_web::test]
async fn streams_are_bounded_and_give_their_place_back() {
    tokio::time::pause();
    let house = House::with(|settings| settings.server.max_live = 2);
    let first = Events::of(&house, "").await;
    let _second = Events::of(&house, "?deliveries=true").await;
    let request = || TestRequest::get().uri("/v1/live");
    let (status, problem) = Events::open(&house, request()).await.err().expect("full");
    assert_eq!(status, 503);
    assert!(problem.contains("too-many-streams") && problem.contains("max_live"), "{problem}");
    drop(first);
    assert!(Events::open(&house, request()).await.is_ok());
}

#[actix_web::test]
async fn nobody_is_listened_to_who_left() {
    let house = House::new();
    let events = Events::of(&house, "?deliveries=true").await;
    assert!(house.engine.feed.is_heard());
    drop(events);
    assert!(!house.engine.feed.is_heard());
}

#[actix_web::test]
async fn a_stop_ends_streams_at_once_and_lets_none_begin() {
    let house = House::new();
    let mut events = Events::of(&house, "").await;
    let mut waiting = Events::of(&house, "?deliveries=true").await;
    events.text().await;
    waiting.text().await;
    let begun = tokio::time::Instant::now();
    house.api.live().end();
    assert_eq!((events.text().await, waiting.text().await), (None, None));
    assert!(begun.elapsed().is_zero());
    let request = TestRequest::get().uri("/v1/live");
    assert_eq!(Events::open(&house, request).await.err().expect("stopping").0, 503);
}

#[actix_web::test]
async fn what_is_asked_wrongly_is_named() {
    let house = House::new();
    for (query, place) in [
        ("?bogus=1", "bogus"),
        ("?top=0", "top"),
        ("?top=51", "top"),
        ("?deliveries=yes", "deliveries"),
        ("?deliveries=true&state=waiting", "state"),
        ("?campaign=x", "campaign"),
        ("?state=failed", "state"),
        ("?host=a%2Fb", "host"),
    ] {
        let answer = house.get(&format!("/v1/live{query}")).await;
        assert_eq!((answer.status, answer.place().as_str()), (400, place), "{query}");
    }
    assert_eq!(house.get("/v1/live?host=nowhere.example").await.status, 404);
}

/// Reads until `wanted` came, and answers what came before the end if it did not.
fn read_until(stream: &mut impl Read, wanted: &str) -> String {
    let (mut came, mut buffer) = (String::new(), [0; 4096]);
    while !came.contains(wanted) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => came.push_str(&String::from_utf8_lossy(&buffer[..length])),
        }
    }
    came
}

const REQUEST: &[u8] = b"GET /v1/live?deliveries=true HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[test]
fn a_stop_is_not_held_up_by_open_streams_on_any_door() {
    let plain = Open::new(|_| {});
    let mut socket = super::open::connect(plain.address);
    socket.write_all(REQUEST).unwrap();
    let head = read_until(&mut socket, "retry: 3000");
    assert!(head.contains("text/event-stream") && head.contains("no-store"), "{head}");

    let authority = Authority::new();
    let sealed = authority.open(|_| {});
    let config = authority.client(None, &[b"http/1.1"]);
    let mut secured = secure(sealed.address, config);
    secured.write_all(REQUEST).unwrap();
    assert!(read_until(&mut secured, "retry: 3000").contains("retry: 3000"));

    let begun = std::time::Instant::now();
    plain.stop_well();
    sealed.stop_well();
    // Without an end they would be waited for as long as a stop waits at most, twice.
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    let rest = read_until(&mut socket, "never");
    assert!(rest.ends_with("0\r\n\r\n"), "it ends as it should: {rest}");
}
