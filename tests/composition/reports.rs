//! What became of it: counts by hour, variant, step and template version; filters by what composed.

use serde_json::{Value, json};

use super::world::{BOTH, World, hook, hours, recipients, secs};

fn part<'a>(report: &'a Value, name: &str) -> &'a Value {
    let parts = report["parts"].as_array().expect("parts");
    parts.iter().find(|part| part["part"] == name).unwrap_or(&Value::Null)
}

#[actix_web::test]
async fn a_report_counts_by_variant_template_version_and_hour() {
    for kept in BOTH {
        let world = World::of(kept).await;
        let template = |text: &str| json!({"name": "t", "webhook": hook(text)});
        let template_id = world.create("templates", template("one")).await;
        let document = |weight: [u32; 2]| {
            json!({"name": "c", "trigger": {"type": "api"}, "variants": [
                {"name": "A", "weight": weight[0], "webhooks": [{"template": "t"}]},
                {"name": "B", "weight": weight[1], "webhooks": [hook("plain")]}]})
        };
        let id = world.live("campaigns", document([1, 0])).await;
        let send = async |name: &str, count| {
            let to = recipients(name, count);
            world.trigger(json!({"campaign": "c", "recipients": to})).await;
        };
        send("a", 4).await;
        assert_eq!(world.put("/v1/templates/t", template("two")).await.status, 200);
        assert_eq!(world.put("/v1/campaigns/c", document([1, 0])).await.status, 200);
        send("b", 3).await;
        assert_eq!(world.put("/v1/campaigns/c", document([0, 1])).await.status, 200);
        world.pass(hours(1)).await;
        send("c", 2).await;
        for record in world.records("campaign=c").await {
            let recipient = record.provenance.as_ref().and_then(|from| from.recipient.clone());
            match recipient.expect("one").as_str() {
                "a0" => world.answer(record.id, 410, "gone").await,
                "a1" => {}
                _ => world.answer(record.id, 200, "ok").await,
            }
        }
        let report = world.see(&format!("/v1/campaigns/{id}/report")).await;
        let total = &report["total"];
        assert_eq!(total["counts"], json!({"sent": 9, "delivered": 7, "failed": 1}), "{report}");
        assert_eq!(total["by_status"], json!({"410": 1}));
        let version = |number| format!("A {template_id}@{number}");
        let first = part(&report, &version(1));
        assert_eq!(first["counts"], json!({"sent": 4, "delivered": 2, "failed": 1}));
        assert_eq!(part(&report, &version(2))["counts"], json!({"sent": 3, "delivered": 3}));
        assert_eq!(part(&report, "B")["counts"], json!({"sent": 2, "delivered": 2}));
        let by_hour = report["points"].as_array().expect("hours");
        let words: Vec<_> = by_hour.iter().map(|hour| hour["counts"].clone()).collect();
        let second = json!({"sent": 2, "delivered": 7, "failed": 1});
        assert_eq!(words, [json!({"sent": 7}), second]);
        let from = by_hour[1]["at"].as_str().expect("a time");
        let later = world.see(&format!("/v1/campaigns/{id}/report?from={from}")).await;
        assert_eq!(later["total"]["counts"]["sent"], 2);
        let earlier = world.see(&format!("/v1/campaigns/{id}/report?until={from}")).await;
        assert_eq!(earlier["total"]["counts"], json!({"sent": 7}));
        let log = world.see(&format!("/v1/activity?subject={id}")).await;
        let entry = &log["data"][0];
        assert_eq!((&entry["kind"], &entry["status"]), (&json!("failed"), &json!(410)), "{log}");
        assert_eq!((&entry["recipient"], &entry["part"]), (&json!("a0"), &json!(version(1))));
    }
}

#[actix_web::test]
async fn a_canvas_is_reported_by_step() {
    let world = World::new().await;
    let step = |id: &str| json!({"id": id, "type": "webhook", "webhooks": [hook("x")]});
    let document = json!({"name": "j", "trigger": {"type": "api"},
        "steps": [step("a"), step("b")]});
    let id = world.live("canvases", document).await;
    world.trigger(json!({"canvas": "j", "recipients": recipients("u", 3)})).await;
    world.settle_down().await;
    let report = world.see(&format!("/v1/canvases/{id}/report")).await;
    assert_eq!(part(&report, "a")["counts"], json!({"sent": 3}));
    assert_eq!(part(&report, "b")["counts"], json!({"sent": 3, "exited": 3}));
    assert_eq!(part(&report, "")["counts"], json!({"entered": 3}));
    assert_eq!(world.deliveries("canvas=j").await.len(), 6);
    assert_eq!(world.deliveries(&format!("canvas={id}&recipient=u1")).await.len(), 2);
}

#[actix_web::test]
async fn deliveries_and_redrives_are_filtered_by_what_composed_them() {
    let world = World::new().await;
    let document =
        |name: &str| json!({"name": name, "trigger": {"type": "api"}, "webhooks": [hook(name)]});
    for name in ["one", "two"] {
        world.live("campaigns", document(name)).await;
        world.trigger(json!({"campaign": name, "recipients": recipients("u", 2)})).await;
    }
    for record in world.records("").await {
        world.answer(record.id, 404, "no").await;
    }
    assert_eq!(world.deliveries("campaign=one&state=failed").await.len(), 2);
    let filter = json!({"campaign": "one", "recipient": "u1"});
    let body = json!({"action": "redrive", "dry_run": true, "filter": filter});
    let dry = world.done("/v1/redrives", body).await;
    assert_eq!(dry["matched"], 1, "{dry}");
    let body = json!({"action": "redrive", "filter": {"campaign": "one"}});
    let running = world.done("/v1/redrives", body).await;
    let id = running["id"].as_str().expect("an id");
    let mut redrive = running.clone();
    for _ in 0..100 {
        redrive = world.see(&format!("/v1/redrives/{id}")).await;
        if redrive["state"] != "running" {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!((&redrive["matched"], &redrive["done"]), (&json!(2), &json!(2)), "{redrive}");
    assert_eq!(world.deliveries("campaign=one&state=waiting").await.len(), 2);
    assert_eq!(world.deliveries("campaign=two&state=failed").await.len(), 2);
}

#[actix_web::test]
async fn a_dry_run_counts_and_changes_nothing() {
    let world = World::new().await;
    let document = json!({"name": "c", "trigger": {"type": "api"}, "reeligible": "never",
        "stop_after": 100, "webhooks": [hook("x"), {"url": "https://b.example/", "body": "y"}],
        "audience": {"property": "recipient.plan", "op": "exists"}});
    let id = world.live("campaigns", document).await;
    for name in ["a", "b", "c"] {
        world.attributes(name, json!({"plan": 1})).await;
    }
    world.attributes("d", json!({"x": 1})).await;
    let run = world.done("/v1/campaigns/c/dry_run", json!({})).await;
    assert_eq!((&run["recipients"], &run["deliveries"]), (&json!(4), &json!(6)), "{run}");
    assert_eq!(run["skipped"], json!({"not_in_audience": 1}));
    assert_eq!(run["hosts"].as_array().map(Vec::len), Some(2));
    world.pass(secs(1)).await;
    assert!(world.deliveries("").await.is_empty());
    assert_eq!(world.counts("campaigns", &id).await, json!({}));
    let sent = world.trigger(json!({"campaign": "c", "recipients": [{"external_id": "a"}]})).await;
    assert_eq!(sent["deliveries"].as_array().map(Vec::len), Some(2));
}
