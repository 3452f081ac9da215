//! Redrives by filter, hosts, stats, probes, metrics.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::test::TestRequest;
use hostline::delivery::HostCondition;
use hostline::model::{DeliveryId, End, Settlement, Verdict};
use hostline::store::DeliveryStore;
use serde_json::{Value, json};

use super::engine::snapshot;
use super::house::{Answer, House, NOW};

async fn end_all(house: &House, ids: &[String]) {
    let verdict = Verdict::End(End::Exhausted);
    let ended = ids.iter().map(|id| {
        let id: DeliveryId = id.parse().unwrap();
        Settlement { id, verdict, at: NOW, attempt: None }
    });
    house.store.settle(hostline::store::Tenure::SOLE, ended.collect(), Vec::new()).await.unwrap();
}

async fn finished(house: &House, begun: &Answer) -> Value {
    assert_eq!(begun.status, 202, "{}", begun.text);
    for _ in 0..100 {
        let progress = house.get(begun.header("location")).await.json();
        if progress["state"] != "running" {
            return progress;
        }
        tokio::task::yield_now().await;
    }
    panic!("still running");
}

#[actix_web::test]
async fn redrives_run_in_the_background() {
    let house = House::new();
    let mut ids = Vec::new();
    for _ in 0..7 {
        ids.push(house.trigger("https://shop.example/", json!({})).await);
    }
    house.trigger("https://b.example/", json!({})).await;
    end_all(&house, &ids[..5]).await;
    let filter = json!({ "host": "shop.example" });
    let dry = json!({ "action": "redrive", "filter": filter, "dry_run": true });
    let counted = house.post("/v1/redrives", dry.to_string()).await;
    assert_eq!((counted.status, &counted.json()["matched"]), (200, &json!(5)));
    let real = json!({ "action": "redrive", "filter": filter }).to_string();
    let done = finished(&house, &house.post("/v1/redrives", real).await).await;
    assert_eq!((&done["state"], &done["done"]), (&json!("done"), &json!(5)));
    let cancel = json!({ "action": "cancel", "filter": filter }).to_string();
    let done = finished(&house, &house.post("/v1/redrives", cancel).await).await;
    assert_eq!((&done["matched"], &done["done"]), (&json!(7), &json!(7)));
    let owed = house.get("/v1/deliveries?state=waiting").await.json();
    assert_eq!(owed["data"].as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn bad_redrives_name_the_field() {
    let house = House::new();
    for (body, place) in [
        (json!({ "filter": {} }), ""),
        (json!({ "action": "explode", "filter": {} }), "/action"),
        (json!({ "action": "redrive", "filter": { "hosts": "a" } }), "/filter/hosts"),
        (json!({ "action": "redrive", "filter": { "host": "a/b" } }), "/filter/host"),
        (json!({ "action": "redrive", "filter": { "states": ["waiting"] } }), "/filter/states"),
        (json!({ "action": "cancel", "filter": { "states": ["failed"] } }), "/filter/states"),
        (json!({ "action": "cancel", "filter": { "from": "now" } }), "/filter/from"),
        (json!({ "action": "cancel", "filter": { "metadata": { "a": 1 } } }), "/filter/metadata/a"),
    ] {
        let answer = house.post("/v1/redrives", body.to_string()).await;
        assert_eq!((answer.status, answer.place().as_str()), (400, place), "{body}");
    }
    let untyped = TestRequest::post().uri("/v1/redrives").set_payload("{}");
    assert_eq!(house.send(untyped).await.status, 415);
}

#[actix_web::test]
async fn hosts_are_listed_sorted_and_filtered() {
    let house = House::new();
    for host in ["c", "a", "b", "d"] {
        house.trigger(&format!("https://{host}.example/"), json!({})).await;
    }
    house.engine.set_live([
        snapshot("a.example", 5, HostCondition::Healthy),
        snapshot("b.example", 9, HostCondition::CoolingDown),
        snapshot("d.example", 5, HostCondition::Healthy),
    ]);
    let names = |list: &Value| -> String {
        let rows = list["data"].as_array().unwrap_or_else(|| panic!("{list}"));
        rows.iter().map(|row| &row["host"].as_str().unwrap()[..1]).collect()
    };
    for (query, expected) in [
        ("", "abcd"),
        ("?sort=-queued", "bad"),
        ("?sort=queued", "adb"),
        ("?sort=-name", "dba"),
        ("?state=cooling_down", "b"),
        ("?state=idle", "c"),
        ("?state=healthy&sort=-queued", "ad"),
        ("?after=b.example", "cd"),
        ("?alive=true", "abd"),
        ("?alive=true&sort=name&limit=2&offset=1", "bd"),
        ("?alive=false&q=C.exam", "c"),
        ("?q=.example&limit=3", "abc"),
        ("?q=.example&limit=3&after=c.example", "d"),
        ("?q=b&sort=-queued", "b"),
        ("?q=%20", "abcd"),
        ("?sort=-queued&offset=2", "d"),
        ("?sort=-queued&offset=9", ""),
        ("?sort=-state", "bad"),
    ] {
        let list = house.get(&format!("/v1/hosts{query}")).await.json();
        assert_eq!(names(&list), expected, "{query}");
    }
    let total = |query: &'static str| {
        let house = &house;
        async move { house.get(&format!("/v1/hosts{query}")).await.json()["total"].clone() }
    };
    assert_eq!(total("?sort=-queued&limit=1").await, 3);
    assert_eq!(total("?alive=true&state=healthy&offset=1").await, 2);
    assert_eq!(total("?limit=1").await, Value::Null, "of what the store has nobody counts");
    for sort in ["name", "-queued", "-name&alive=true", "name&q=."] {
        let (mut seen, mut after) = (String::new(), String::new());
        loop {
            let uri = format!("/v1/hosts?sort={sort}&limit=1{after}");
            let list = house.get(&uri).await.json();
            seen += &names(&list);
            let Some(next) = list["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        let expected = match sort {
            "-queued" => "bad",
            "-name&alive=true" => "dba",
            _ => "abcd",
        };
        assert_eq!(seen, expected, "{sort}");
    }
    let live = house.get("/v1/hosts/b.example").await.json();
    assert_eq!((&live["alive"], &live["state"]), (&json!(true), &json!("cooling_down")));
    let kept = house.get("/v1/hosts/C.Example").await.json();
    assert_eq!((&kept["alive"], &kept["waiting"]), (&json!(false), &json!(1)));
    assert!(kept["history"].is_array());
}

#[actix_web::test]
async fn hosts_without_a_value_come_last_in_either_direction() {
    let house = House::new();
    let with = |host: &str, p50_ms: Option<f64>| {
        let mut row = snapshot(host, 0, HostCondition::Healthy);
        row.last_minute.p50_ms = p50_ms;
        row.until = p50_ms.map(|ms| NOW.plus(Duration::from_secs(ms as u64)));
        row.success_ratio = p50_ms.map(|ms| ms / 100.0);
        row
    };
    house.engine.set_live([
        with("a.example", None),
        with("b.example", Some(20.0)),
        with("c.example", Some(5.0)),
        with("d.example", None),
    ]);
    for key in ["p50", "until", "success"] {
        for (sort, expected) in [(key.to_owned(), "cbad"), (format!("-{key}"), "bcad")] {
            let (mut seen, mut after) = (String::new(), String::new());
            loop {
                let uri = format!("/v1/hosts?sort={sort}&limit=1{after}");
                let list = house.get(&uri).await.json();
                seen += &list["data"][0]["host"].as_str().unwrap()[..1];
                let Some(next) = list["next"].as_str() else { break };
                after = format!("&after={next}");
            }
            assert_eq!(seen, expected, "{sort}");
        }
    }
}

#[actix_web::test]
async fn a_page_out_of_ten_thousand_hosts_has_the_right_ones() {
    let house = House::new();
    // Mixed up, and each queue twice.
    let queued = |number: u64| number * 7_919 % 5_000;
    house.engine.set_live((0..10_000).map(|number| {
        snapshot(&format!("h{number:04}.example"), queued(number), HostCondition::Healthy)
    }));
    let mut wanted: Vec<(u64, String)> =
        (0..10_000).map(|number| (queued(number), format!("h{number:04}.example"))).collect();
    wanted.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    for offset in [0, 50, 4_975, 9_990] {
        let uri = format!("/v1/hosts?sort=-queued&limit=50&offset={offset}");
        let list = house.get(&uri).await.json();
        let rows = list["data"].as_array().unwrap().iter();
        let names: Vec<&str> = rows.map(|row| row["host"].as_str().unwrap()).collect();
        let expected: Vec<&str> =
            wanted.iter().skip(offset).take(50).map(|(_, name)| name.as_str()).collect();
        assert_eq!((names, &list["total"]), (expected, &json!(10_000)), "{offset}");
    }
}

#[actix_web::test]
async fn operators_control_a_host() {
    let house = House::new();
    house.trigger("https://shop.example/", json!({})).await;
    let ask = |verb: &str, body: &'static str| {
        let uri = format!("/v1/hosts/shop.example/{verb}");
        let house = &house;
        async move { house.post(&uri, body).await }
    };
    let paused = ask("pause", r#"{"reason":"they asked"}"#).await.json();
    assert_eq!(paused["controls"]["reason"], "they asked");
    assert_eq!(paused["controls"]["paused_at"], "2026-11-24T07:00:00.000Z");
    assert_eq!(ask("drain", "").await.json()["controls"]["draining"], true);
    let resumed = ask("resume", "{}").await.json();
    assert_eq!(
        resumed["controls"],
        json!({
        "paused": false, "draining": false, "policy": { "limits": {} } })
    );
    assert_eq!(ask("purge", "").await.json()["purged"], 1);
    assert_eq!(ask("pause", r#"{"why":"x"}"#).await.place(), "/why");
    assert_eq!(house.post("/v1/hosts/nowhere.example/purge", "").await.status, 404);
}

#[actix_web::test]
async fn limits_are_patched_field_by_field() {
    let house = House::new();
    house.trigger("https://shop.example:443/", json!({})).await;
    let patch = |body: Value| {
        let request = TestRequest::patch().uri("/v1/hosts/shop.example");
        let request = request.insert_header(("content-type", "application/json"));
        house.send(request.set_payload(body.to_string()))
    };
    let limits = |answer: &Answer| answer.json()["controls"]["policy"]["limits"].clone();
    let set = patch(json!({ "limits": { "requests_per_second": 2.5, "in_flight": 4 } })).await;
    assert_eq!(limits(&set), json!({ "requests_per_second": 2.5, "in_flight": 4 }));
    let reset = patch(json!({ "limits": { "in_flight": null, "burst": 3 } })).await;
    assert_eq!(limits(&reset), json!({ "requests_per_second": 2.5, "burst": 3 }));
    for (body, place) in [
        (json!({}), ""),
        (json!({ "limits": { "rate": 1 } }), "/limits/rate"),
        (json!({ "limits": { "requests_per_second": 0 } }), "/limits/requests_per_second"),
        (json!({ "limits": { "burst": 0 } }), "/limits/burst"),
        (json!({ "limits": { "in_flight": 10_001 } }), "/limits/in_flight"),
        (json!({ "limits": { "in_flight": "many" } }), "/limits/in_flight"),
    ] {
        let answer = patch(body.clone()).await;
        assert_eq!((answer.status, answer.place().as_str()), (400, place), "{body}");
    }
}

#[actix_web::test]
async fn the_whole_is_seen() {
    let house = House::new();
    house.trigger("https://shop.example/", json!({})).await;
    let stats = house.get("/v1/stats").await.json();
    assert_eq!((&stats["deliveries"]["pending"], &stats["hosts"]["alive"]), (&json!(1), &json!(2)));
    assert_eq!(stats["arbiters"][0]["attempts"], 7);
    assert_eq!(house.get("/healthz").await.status, 200);
    assert_eq!(house.get("/readyz").await.json()["status"], "ready");
    let metrics = house.get("/metrics").await.text;
    for line in [
        "hostline_deliveries_accepted_total 1",
        "hostline_deliveries_owed{state=\"pending\"} 1",
        "hostline_attempts_total{arbiter=\"0\"} 7",
        "hostline_hosts{state=\"healthy\"} 0",
        "# EOF",
    ] {
        assert!(metrics.contains(line), "{line} is missing in {metrics}");
    }
    *house.store.refusing.lock().unwrap() = Some("disk /var/lib/x is full".into());
    let refusing = house.get("/readyz").await;
    assert_eq!((refusing.status, refusing.text.contains("/var/lib")), (503, false));
    *house.store.refusing.lock().unwrap() = None;
    house.engine.stopping.store(true, Ordering::Relaxed);
    assert_eq!(house.get("/readyz").await.json()["checks"]["engine"], "stopping");
    assert_eq!(house.get("/healthz").await.status, 200);
}
