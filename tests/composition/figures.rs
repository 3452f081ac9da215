//! Reports by host, template and of all, as JSON and CSV; the activity log by groups.

use serde_json::{Value, json};

use super::world::{BOTH, World, hook, hours, recipients, secs};

/// Two plain webhooks to `a.example`, of which one fails, and one to `b.example`.
async fn send_plain(world: &World) {
    for (host, status) in [("a.example", 200), ("a.example", 410), ("b.example", 200)] {
        let url = format!("https://{host}/x");
        world.trigger(json!({"webhook": {"url": url, "body": {"n": 1}}})).await;
        let rows = world.deliveries(&format!("host={host}&state=waiting")).await;
        let id = rows[0]["id"].as_str().expect("an id").parse().expect("an id");
        world.answer(id, status, "").await;
    }
}

fn words(figures: &Value) -> [u64; 3] {
    ["sent", "delivered", "failed"].map(|word| figures[word].as_u64().expect("a number"))
}

#[actix_web::test]
async fn plain_deliveries_are_reported_by_host_and_in_all() {
    for kept in BOTH {
        let world = World::of(kept).await;
        send_plain(&world).await;
        for by in ["minute", "hour", "day"] {
            let all = world.see(&format!("/v1/reports?by={by}")).await;
            assert_eq!((&all["kind"], &all["step"]), (&json!("workspace"), &json!(by)));
            assert_eq!(words(&all["total"]), [3, 2, 1], "{all}");
            assert_eq!(all["total"]["by_status"], json!({"410": 1}));
            let points = all["points"].as_array().expect("points");
            assert_eq!((points.len(), words(&points[0])), (1, [3, 2, 1]));
            assert!(all["total"]["latency"]["p99_ms"].is_number());
            let host = world.see(&format!("/v1/reports?by={by}&host=a.example")).await;
            assert_eq!((words(&host["total"]), &host["name"]), ([2, 1, 1], &json!("a.example")));
        }
        let later = "from=2030-01-01T00:00:00Z&until=2030-01-02T00:00:00Z";
        let none = world.see(&format!("/v1/reports?{later}")).await;
        assert_eq!((words(&none["total"]), &none["points"]), ([0, 0, 0], &json!([])));
        assert_eq!(
            none["total"]["latency"],
            json!({"p50_ms": null, "p90_ms": null, "p99_ms": null})
        );
    }
}

#[actix_web::test]
async fn a_template_and_a_campaign_are_reported_with_their_recipients() {
    let world = World::embedded().await;
    world.create("templates", json!({"name": "t", "webhook": hook("one")})).await;
    let document = json!({"name": "c", "trigger": {"type": "api"},
        "webhooks": [{"template": "t"}, hook("plain")]});
    let id = world.live("campaigns", document).await;
    world.trigger(json!({"campaign": "c", "recipients": recipients("u", 3)})).await;
    world.pass(hours(1)).await;
    world.trigger(json!({"campaign": "c", "recipients": recipients("u", 2)})).await;
    let template = world.see("/v1/reports?template=t").await;
    assert_eq!((&template["total"]["sent"], template["name"].as_str()), (&json!(5), Some("t")));
    assert_eq!(template["total"]["unique_recipients"], 3);
    let campaign = world.see(&format!("/v1/campaigns/{id}/report")).await;
    assert_eq!(campaign["total"]["sent"], 10);
    assert_eq!(campaign["total"]["unique_recipients"], 3);
    let points = campaign["points"].as_array().expect("points");
    let by_hour: Vec<_> = points.iter().map(|point| &point["unique_recipients"]).collect();
    assert_eq!(by_hour, [&json!(3), &json!(2)]);
    let same = world.see("/v1/reports?campaign=c").await;
    assert_eq!((&same["total"], &same["parts"]), (&campaign["total"], &campaign["parts"]));
    let minutes = world.see(&format!("/v1/campaigns/{id}/report?by=minute")).await;
    assert_eq!(minutes["total"]["sent"], 10);
    assert_eq!(minutes["total"]["counts"], Value::Null, "parts are counted by the hour");
    let day = world.see(&format!("/v1/campaigns/{id}/report?by=day")).await;
    assert_eq!(day["total"]["counts"], json!({"sent": 10}));
}

/// The rows of a CSV text that has no quoted cell.
fn rows(text: &str) -> Vec<Vec<&str>> {
    assert!(text.ends_with("\r\n") && !text.contains('"'), "{text:?}");
    text.trim_end().split("\r\n").map(|row| row.split(',').collect()).collect()
}

#[actix_web::test]
async fn a_report_as_csv_says_what_the_report_says() {
    let world = World::new().await;
    let document = json!({"name": "=cmd()", "trigger": {"type": "api"}, "webhooks": [hook("x")]});
    let id = world.live("campaigns", document).await;
    world.trigger(json!({"campaign": id, "recipients": recipients("u", 3)})).await;
    world.answer(world.records("").await[0].id, 410, "gone").await;
    world.pass(hours(1)).await;
    world.answer(world.records("").await[1].id, 200, "").await;
    let uri = format!("/v1/campaigns/{id}/report");
    let report = world.see(&uri).await;
    let answer = world.get(&format!("{uri}?format=csv")).await;
    let kind = answer.headers.get("content-type").and_then(|kind| kind.to_str().ok());
    assert_eq!(kind, Some("text/csv; charset=utf-8; header=present"));
    let table = rows(&answer.text);
    let head = &table[0];
    assert!(table.iter().all(|row| row.len() == head.len()), "{}", answer.text);
    let points = report["points"].as_array().expect("points");
    assert_eq!(table.len() - 1, points.len());
    for (row, point) in table[1..].iter().zip(points) {
        let cell = |name: &str| row[head.iter().position(|column| *column == name).expect(name)];
        assert_eq!((cell("kind"), cell("name")), ("campaign", "'=cmd()"), "no formula");
        assert_eq!(cell("at"), point["at"].as_str().expect("a time"));
        for word in ["sent", "delivered", "failed", "deferred", "unique_recipients"] {
            assert_eq!(cell(word), point[word].to_string(), "{word}");
        }
        let gone = point["by_status"]["410"].as_u64().unwrap_or(0);
        assert_eq!(cell("status_410"), gone.to_string());
    }
    let request = actix_web::test::TestRequest::get().uri(&uri);
    let accepted = world.send(request.insert_header(("accept", "text/csv"))).await;
    assert_eq!(accepted.text, answer.text);
}

#[actix_web::test]
async fn a_report_that_cannot_be_is_refused_by_name() {
    let world = World::new().await;
    send_plain(&world).await;
    let long = "from=2026-01-01T00:00:00Z&until=2026-11-01T00:00:00Z";
    for (query, place, words) in [
        (format!("by=minute&{long}"), "from", "at most 24h"),
        (format!("by=hour&{long}"), "from", "at most 62d"),
        ("by=week".into(), "by", "minute, hour, day"),
        ("format=xml".into(), "format", "json, csv"),
        ("from=2026-02-01T00:00:00Z&until=2026-01-01T00:00:00Z".into(), "until", "before"),
        ("host=a.example&campaign=c".into(), "campaign", "one host"),
        ("host=a b".replace(' ', "%20"), "host", "not the name"),
        ("hosts=a.example".into(), "hosts", "unknown"),
    ] {
        let answer = world.get(&format!("/v1/reports?{query}")).await;
        assert_eq!(answer.status, 400, "{query}: {}", answer.text);
        let fault = &answer.json()["errors"][0];
        assert_eq!(fault["parameter"], place, "{}", answer.text);
        assert!(fault["detail"].as_str().is_some_and(|detail| detail.contains(words)), "{fault}");
    }
    assert_eq!(world.get("/v1/reports?host=nobody.example").await.status, 404);
    assert_eq!(world.get("/v1/reports?template=none").await.status, 404);
    assert_eq!(world.get(&format!("/v1/reports?by=day&{long}")).await.status, 200);
}

#[actix_web::test]
async fn the_activity_log_is_grouped_by_host_status_and_kind() {
    for kept in BOTH {
        let world = World::of(kept).await;
        send_plain(&world).await;
        world.pass(secs(61)).await;
        send_plain(&world).await;
        world.done("/v1/hosts/b.example/pause", json!({"reason": "they move"})).await;
        let log = world.see("/v1/activity?host=a.example&status=410").await;
        let entries = log["data"].as_array().expect("entries");
        assert_eq!(entries.len(), 2, "{log}");
        assert_eq!((&entries[0]["count"], &entries[0]["kind"]), (&json!(1), &json!("failed")));
        let paused = world.see("/v1/activity?kind=host_paused").await;
        assert_eq!(paused["data"][0]["detail"], "by local: they move");
        assert_eq!(paused["data"][0]["host"], "b.example");
        let groups = world.see("/v1/activity/groups").await;
        assert_eq!(groups["complete"], true);
        let first = &groups["data"][0];
        let shape = (&first["host"], &first["status"], &first["kind"], &first["count"]);
        assert_eq!(shape, (&json!("a.example"), &json!(410), &json!("failed"), &json!(2)));
        assert!(first["first_at"].as_str() < first["last_at"].as_str(), "{first}");
        assert_eq!(first["last_delivery"], entries[0]["delivery"]);
        assert!(first["meaning"].is_string() && first["steps"].is_string());
        assert_eq!(groups["data"][1]["kind"], "host_paused");
        let later = world.see("/v1/activity/groups?from=2030-01-01T00:00:00Z").await;
        assert_eq!(later["data"], json!([]));
        for query in ["status=99", "host=a%20b", "from=x", "limit=3"] {
            assert_eq!(world.get(&format!("/v1/activity/groups?{query}")).await.status, 400);
        }
    }
}
