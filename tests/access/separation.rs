//! What is of one workspace is not there for another, by whatever route it is asked for.

use hostline::access::Scope;
use hostline::api::scopes::{Needs, ROUTES};
use hostline::config::VaultKey;
use serde_json::{Value, json};

use super::{ask, ask_with, house, make};
use crate::house::House;

const HOST: &str = "shop.example";

/// One of each thing in the workspace of a key; answers their ids by the routes' first segment.
async fn furnish(house: &House, key: &str) -> Vec<(&'static str, String)> {
    let webhook = json!({"url": format!("https://{HOST}/"), "body": {"n": 1}});
    let post = async |uri: &str, body: Value| {
        let answer = ask_with(house, "POST", uri, key, body).await;
        assert!(answer.status < 300, "{uri}: {}", answer.text);
        answer.json()
    };
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let trigger = post("/v1/triggers", json!({"webhook": webhook, "delay": "1h"})).await;
    let template = post("/v1/templates", json!({"name": "t", "webhook": webhook})).await;
    let api = json!({"type": "api"});
    let campaign = json!({"name": "c", "webhooks": [webhook], "trigger": api});
    let campaign = post("/v1/campaigns", campaign).await;
    let steps = json!([{"id": "s", "type": "webhook", "webhooks": [webhook]}]);
    let canvas = post("/v1/canvases", json!({"name": "v", "trigger": api, "steps": steps})).await;
    let sent = json!({"action": "redrive", "filter": {"host": HOST}});
    let redrive = post("/v1/redrives", sent).await;
    let later = json!({"messages": {"webhook": {"url": "https://shop.example/",
        "request_method": "POST", "body": "x"}}, "external_user_ids": ["u1"],
        "schedule": {"time": "2030-01-01T00:00:00Z"}});
    let schedule = post("/messages/schedule/create", later).await;
    post("/v1/secrets", json!({"name": "crm", "kind": "bearer", "token": "not-for-others"})).await;
    let recipient = ask_with(house, "PUT", "/v1/recipients/u1", key, json!({"attributes": {}}));
    assert!(recipient.await.status < 300);
    vec![
        ("deliveries", text(&trigger["deliveries"][0]["id"])),
        ("templates", text(&template["id"])),
        ("campaigns", text(&campaign["id"])),
        ("canvases", text(&canvas["id"])),
        ("redrives", text(&redrive["id"])),
        ("schedules", text(&schedule["schedule_id"])),
        ("secrets", "crm".into()),
        ("recipients", "u1".into()),
        ("hosts", HOST.into()),
    ]
}

fn body_of(path: &str) -> Value {
    let webhook = json!({"url": "https://a.example/"});
    match path.split('/').nth(2) {
        Some("templates") if path.ends_with("{id}") => json!({"name": "x", "webhook": webhook}),
        Some("campaigns") if path.ends_with("{id}") => {
            json!({"name": "x", "webhooks": [webhook], "trigger": {"type": "api"}})
        }
        Some("canvases") if path.ends_with("{id}") => json!({"name": "x",
            "trigger": {"type": "api"}, "steps": [{"id": "s", "type": "exit"}]}),
        Some("secrets") if path.ends_with("{name}") => json!({"kind": "bearer", "token": "y"}),
        _ => json!({}),
    }
}

#[actix_rt::test]
async fn no_route_gives_away_what_is_of_another_workspace() {
    let house = house(|settings| {
        settings.vault.key = Some(VaultKey::new(zeroize::Zeroizing::new([7; 32])));
    });
    for name in ["ours", "theirs"] {
        assert_eq!(
            house.post("/v1/workspaces", json!({"name": name}).to_string()).await.status,
            201
        );
    }
    let scopes: Vec<&str> =
        Scope::ALL.iter().filter(|scope| **scope != Scope::Admin).map(|s| s.as_str()).collect();
    let (id, ours) = make(&house, &scopes, json!({"workspace": "ours"})).await;
    let (_, theirs) = make(&house, &scopes, json!({"workspace": "theirs"})).await;
    let mut things = furnish(&house, &ours).await;
    things.push(("keys", id.to_string()));

    let mut tried = 0;
    for (method, path, needs) in ROUTES {
        let segment = path.split('/').nth(2).unwrap_or_default();
        let thing = things.iter().find(|(name, _)| *name == segment && path.contains('{'));
        let Some((_, id)) = thing.filter(|_| *needs != Needs::Nothing) else { continue };
        // A name that the caller chooses is the other workspace's own.
        let makes_own = segment == "recipients" && *method != "GET";
        let controls = segment == "hosts" && *method != "GET" && !path.ends_with("purge");
        if makes_own {
            continue;
        }
        let (head, tail) = (path.find('{').unwrap(), path.find('}').unwrap());
        let uri = format!("{}{id}{}", &path[..head], &path[tail + 1..]).replace("{version}", "1");
        let body = if path.ends_with("/hosts/{host}") {
            json!({"limits": {"in_flight": 1}})
        } else {
            body_of(path)
        };
        let answer = ask_with(&house, method, &uri, &theirs, body).await;
        let expected = if controls { 403 } else { 404 };
        assert_eq!(answer.status, expected, "{method} {uri}: {}", answer.text);
        assert!(!answer.text.contains("not-for-others"), "{method} {uri}");
        tried += 1;
    }
    assert!(tried >= 40, "{tried} routes were tried");

    for list in [
        "deliveries",
        "templates",
        "campaigns",
        "canvases",
        "schedules",
        "recipients",
        "secrets",
        "activity",
        "activity/groups",
        "hosts",
        "hosts?sort=-queued",
    ] {
        let answer = ask(&house, "GET", &format!("/v1/{list}"), &theirs).await;
        assert_eq!(answer.json()["data"], json!([]), "{list}: {}", answer.text);
    }
    for query in ["", "?host=shop.example", "?host=shop.example&by=day"] {
        let report = ask(&house, "GET", &format!("/v1/reports{query}"), &theirs).await.json();
        assert_eq!(
            (&report["total"]["sent"], &report["points"]),
            (&json!(0), &json!([])),
            "{query}"
        );
    }
    let own = ask(&house, "GET", "/v1/reports?host=shop.example", &ours).await.json();
    assert_eq!(own["total"]["sent"], 1, "{own}");
    for composed in ["campaign=c", "canvas=v", "template=t"] {
        let answer = ask(&house, "GET", &format!("/v1/reports?{composed}"), &theirs).await;
        assert_eq!(answer.status, 404, "{composed}: {}", answer.text);
    }
    for whole in ["/v1/stats", "/v1/series", "/v1/live", "/v1/live?top=1", "/metrics"] {
        assert_eq!(ask(&house, "GET", whole, &theirs).await.status, 403, "{whole}");
    }
    assert_eq!(ask(&house, "DELETE", "/v1/recipients/u1", &theirs).await.status, 200);
    assert_eq!(
        ask(&house, "GET", "/v1/recipients/u1", &ours).await.status,
        200,
        "it is still there"
    );
    let delivery = &things[0].1;
    assert_eq!(ask(&house, "GET", &format!("/v1/deliveries/{delivery}"), &ours).await.status, 200);
    let named = json!({"webhook": {"url": "https://a.example/"}, "secret_ref": "crm"});
    let answer = ask_with(&house, "POST", "/v1/triggers", &theirs, named.clone()).await;
    assert_eq!(answer.status, 400, "another workspace's secret has no name here");
    assert_eq!(ask_with(&house, "POST", "/v1/triggers", &ours, named).await.status, 202);
}

#[actix_rt::test]
async fn a_workspace_is_held_to_its_quotas_and_the_others_are_not() {
    let house = house(|_| {});
    let new = json!({"name": "small", "max_pending": 2, "triggers_per_second": 3});
    assert_eq!(house.post("/v1/workspaces", new.to_string()).await.status, 201);
    let (_, key) = make(&house, &["triggers:write"], json!({"workspace": "small"})).await;
    let trigger = json!({"webhook": {"url": "https://a.example/"}});
    let mut answers = Vec::new();
    for _ in 0..4 {
        let answer = ask_with(&house, "POST", "/v1/triggers", &key, trigger.clone()).await;
        answers.push((answer.status, answer.slug_or_empty()));
    }
    let slugs: Vec<_> = answers.iter().map(|(status, slug)| (*status, slug.as_str())).collect();
    assert_eq!(slugs, [(202, ""), (202, ""), (429, "workspace-full"), (429, "workspace-rate")]);
    house.trigger("https://a.example/", json!({})).await;
}
