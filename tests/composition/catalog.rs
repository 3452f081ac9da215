//! Templates, campaigns and canvases as things that are made, changed, found and put away.

use serde_json::{Value, json};

use super::world::{World, hook, said};

fn template(name: &str, text: &str) -> Value {
    json!({"name": name, "tags": ["spring"], "webhook": hook(text)})
}

fn campaign(name: &str, text: &str) -> Value {
    json!({"name": name, "trigger": {"type": "api"}, "webhooks": [hook(text)]})
}

fn names(list: &Value) -> Vec<&str> {
    let heads = list["data"].as_array().expect("heads").iter();
    heads.map(|head| head["name"].as_str().expect("a name")).collect()
}

#[actix_web::test]
async fn a_template_is_made_edited_and_every_version_kept() {
    let world = World::new().await;
    let made = world.post("/v1/templates", template("welcome", "one")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let head = made.json();
    let id = head["id"].as_str().expect("an id");
    assert_eq!(made.header("location"), format!("/v1/templates/{id}"));
    assert_eq!((&head["version"], &head["status"]), (&json!(1), &json!("active")));
    let edited = world.put("/v1/templates/welcome", template("hello", "two")).await;
    assert_eq!(edited.status, 200, "{}", edited.text);
    assert_eq!(edited.json()["version"], 2);
    let again = world.put(&format!("/v1/templates/{id}?version=1"), template("x", "y")).await;
    assert_eq!((again.status, again.slug().as_str()), (409, "changed-meanwhile"));
    for (version, text) in [(1, "one"), (2, "two")] {
        let kept = world.see(&format!("/v1/templates/hello/versions/{version}")).await;
        assert_eq!(kept["document"]["webhook"]["body"]["say"], text);
    }
    assert_eq!(world.get("/v1/templates/hello/versions/3").await.status, 404);
    assert_eq!(world.get("/v1/templates/welcome").await.status, 404, "it has another name now");
}

#[actix_web::test]
async fn an_edit_does_not_change_a_campaign_made_from_an_earlier_version() {
    let mut world = World::new().await;
    world.create("templates", template("welcome", "one")).await;
    let document = json!({"name": "c", "trigger": {"type": "api"},
        "webhooks": [{"template": "welcome"}]});
    let id = world.live("campaigns", document).await;
    let kept = world.see(&format!("/v1/campaigns/{id}")).await;
    assert_eq!(kept["document"]["webhooks"][0]["version"], 1, "{kept}");
    assert_eq!(world.put("/v1/templates/welcome", template("welcome", "two")).await.status, 200);
    world.trigger(json!({"campaign": "c"})).await;
    world.trigger(json!({"template": "welcome"})).await;
    world.trigger(json!({"template": "welcome", "version": 1})).await;
    world.restart().await;
    world.trigger(json!({"campaign": "c"})).await;
    world.trigger(json!({"template": "welcome", "version": 1})).await;
    world.act("templates", "welcome", "archive").await;
    world.trigger(json!({"campaign": "c"})).await;
    let bodies = world.bodies("").await;
    assert_eq!(said(&bodies), ["one", "two", "one", "one", "one", "one"]);
    let refused = world.refused("/v1/triggers", json!({"template": "welcome"})).await;
    assert_eq!(refused, (404, "not-found".into()), "its name is free again");
}

#[actix_web::test]
async fn a_duplicate_is_a_new_draft_under_a_new_name() {
    let world = World::new().await;
    for kind in ["templates", "campaigns"] {
        let document = match kind {
            "templates" => template("a", "one"),
            _ => campaign("a", "one"),
        };
        let id = world.create(kind, document).await;
        let uri = format!("/v1/{kind}/{id}/duplicate");
        let copy = world.done(&uri, json!({})).await;
        assert_eq!(copy["name"], "Copy of a");
        assert_eq!(copy["document"]["name"], "Copy of a");
        assert_ne!(copy["id"], id.as_str());
        assert_eq!(world.refused(&uri, json!({})).await, (409, "name-taken".into()));
        assert_eq!(world.done(&uri, json!({"name": "b"})).await["version"], 1);
        let bad = world.post(&uri, json!({"nam": "b"})).await;
        assert_eq!((bad.status, bad.place().as_str()), (400, "/nam"));
    }
}

#[actix_web::test]
async fn a_name_is_taken_until_its_owner_is_archived() {
    let mut world = World::new().await;
    let id = world.live("campaigns", campaign("sale", "one")).await;
    let taken = world.refused("/v1/campaigns", campaign("sale", "two")).await;
    assert_eq!(taken, (409, "name-taken".into()));
    world.create("templates", template("sale", "a template is another kind")).await;
    let other = world.create("campaigns", campaign("other", "two")).await;
    let renamed = world.put(&format!("/v1/campaigns/{other}"), campaign("sale", "x")).await;
    assert_eq!((renamed.status, renamed.slug().as_str()), (409, "name-taken"));
    world.act("campaigns", &id, "archive").await;
    let heir = world.create("campaigns", campaign("sale", "two")).await;
    world.restart().await;
    assert_eq!(world.see("/v1/campaigns/sale").await["id"], heir.as_str());
    assert_eq!(world.see(&format!("/v1/campaigns/{id}")).await["status"], "archived");
    let edited = world.put(&format!("/v1/campaigns/{id}"), campaign("old", "x")).await;
    assert_eq!((edited.status, edited.slug().as_str()), (409, "wrong-status"));
}

#[actix_web::test]
async fn a_list_is_filtered_paged_and_newest_first() {
    let world = World::new().await;
    for name in ["a", "b", "c", "d"] {
        let tags = if name == "b" { json!(["red", "blue"]) } else { json!(["red"]) };
        let mut document = campaign(name, "x");
        document["tags"] = tags;
        world.create("campaigns", document).await;
        world.pass(super::world::secs(1)).await;
    }
    world.act("campaigns", "c", "launch").await;
    world.act("campaigns", "d", "archive").await;
    assert_eq!(names(&world.see("/v1/campaigns").await), ["c", "b", "a"]);
    assert_eq!(names(&world.see("/v1/campaigns?status=live").await), ["c"]);
    assert_eq!(names(&world.see("/v1/campaigns?status=archived").await), ["d"]);
    assert_eq!(names(&world.see("/v1/campaigns?tag=blue").await), ["b"]);
    let first = world.see("/v1/campaigns?tag=red&limit=2").await;
    assert_eq!(names(&first), ["c", "b"]);
    let next = first["next"].as_str().expect("there is more");
    let second = world.see(&format!("/v1/campaigns?tag=red&limit=2&after={next}")).await;
    assert_eq!((names(&second), &second["next"]), (vec!["a"], &Value::Null));
    let bad = world.get("/v1/campaigns?status=dead").await;
    assert_eq!((bad.status, bad.place().as_str()), (400, "status"));
}

#[actix_web::test]
async fn a_refusal_points_at_the_place_in_the_document_and_in_the_liquid() {
    let world = World::new().await;
    let bad = "first line\n  {{ recipient.name | nosuchfilter }}";
    for (kind, document, place) in [
        ("templates", template("t", bad), "/webhook/body/say"),
        ("campaigns", campaign("c", bad), "/webhooks/0/body/say"),
        (
            "campaigns",
            json!({"name": "v", "trigger": {"type": "api"}, "variants":
                [{"name": "A", "weight": 1, "webhooks": [hook("x"), hook(bad)]}]}),
            "/variants/0/webhooks/1/body/say",
        ),
        (
            "canvases",
            json!({"name": "c", "trigger": {"type": "api"}, "steps": [
                {"id": "a", "type": "delay", "for": "1h"},
                {"id": "b", "type": "webhook", "webhooks": [hook(bad)]}]}),
            "/steps/1/webhooks/0/body/say",
        ),
    ] {
        let answer = world.post(&format!("/v1/{kind}"), document).await;
        assert_eq!((answer.status, answer.place().as_str()), (400, place), "{}", answer.text);
        assert!(answer.text.contains("line 2 column "), "{}", answer.text);
        assert!(answer.text.contains("nosuchfilter"), "{}", answer.text);
        assert!(world.see(&format!("/v1/{kind}")).await["data"] == json!([]), "nothing is kept");
    }
    let missing = json!({"name": "c", "trigger": {"type": "api"},
        "webhooks": [{"template": "none"}]});
    let answer = world.post("/v1/campaigns", missing).await;
    assert_eq!((answer.status, answer.place().as_str()), (400, "/webhooks/0/template"));
    let control = json!({"name": "c", "trigger": {"type": "api"}, "webhooks": [hook("x")],
        "metadata": {"\u{1}recipient": "somebody else"}});
    let answer = world.post("/v1/campaigns", control).await;
    assert_eq!((answer.status, answer.place().as_str()), (400, "/metadata/\u{1}recipient"));
}

#[actix_web::test]
async fn a_preview_renders_with_sample_data_and_sends_nothing() {
    let world = World::new().await;
    let text = "{{ recipient.name }} {{ properties.n }} {{ event_properties.e }}";
    let url = "https://{{ recipient.shop }}.example/{{ properties.n }}";
    let document = json!({"name": "t", "webhook": {"url": url, "body": {"say": text}}});
    world.create("templates", document).await;
    world.attributes("anna", json!({"name": "Anna", "shop": "kept"})).await;
    let sample = json!({"properties": {"n": 7}, "event_properties": {"e": "x"},
        "recipient": {"external_id": "anna", "attributes": {"shop": "given"}}});
    let preview = world.done("/v1/templates/t/preview", sample).await;
    let shown = &preview["webhooks"][0]["webhook"];
    assert_eq!(shown["url"], "https://given.example/7", "{preview}");
    assert_eq!(shown["body"], r#"{"say":"Anna 7 x"}"#);
    let empty = world.done("/v1/templates/t/preview", json!({})).await;
    assert!(empty["webhooks"][0]["error"].as_str().is_some_and(|why| why.contains("/url")));
    let gate = "{% if properties.n == 1 %}{% abort_message('one') %}{% endif %}";
    let document = json!({"name": "c", "trigger": {"type": "api"}, "variants": [
        {"name": "A", "weight": 1, "webhooks": [hook(gate)]},
        {"name": "B", "weight": 1, "webhooks": [hook("b")]}]});
    world.create("campaigns", document).await;
    let both = world.done("/v1/campaigns/c/preview", json!({"properties": {"n": 1}})).await;
    assert_eq!(both["webhooks"][0], json!({"variant": "A", "aborted": "one"}), "{both}");
    assert_eq!(both["webhooks"][1]["webhook"]["body"], r#"{"say":"b"}"#);
    let typo = world.post("/v1/campaigns/c/preview", json!({"property": {}})).await;
    assert_eq!((typo.status, typo.place().as_str()), (400, "/property"));
    assert!(world.deliveries("").await.is_empty());
}

#[actix_web::test]
async fn what_the_settings_no_longer_allow_is_kept_and_refused_when_it_is_sent() {
    let secret = |settings: &mut hostline::config::Settings| {
        settings.secrets.insert("main".into(), Vec::new());
    };
    let mut world = World::with(secret).await;
    let webhook = json!({"url": "https://shop.example/", "body": "x", "secret_ref": "main"});
    let document = json!({"name": "c", "trigger": {"type": "api"}, "webhooks": [webhook]});
    let id = world.live("campaigns", document.clone()).await;
    world.restart_with(|settings| settings.secrets.clear()).await;
    assert_eq!(world.see("/v1/campaigns/c").await["status"], "live");
    let answer = world.trigger(json!({"campaign": "c"})).await;
    assert_eq!(answer["skipped"][0]["reason"], "refused", "{answer}");
    assert_eq!(world.activity(&id).await, ["refused"]);
    let edited = world.put("/v1/campaigns/c", document).await;
    assert_eq!((edited.status, edited.place().as_str()), (400, "/webhooks/0/secret_ref"));
}
