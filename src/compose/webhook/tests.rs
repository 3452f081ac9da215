use serde_json::{Value as Json, json};

use super::*;
use crate::model::Timestamp;

const NOW: Timestamp = Timestamp::from_millis(1_795_503_600_123);

fn world() -> Json {
    json!({
        "properties": {
            "id": 7,
            "text": "a \"quoted\"\n\\text</script>\u{2028}",
            "object": {"a": [1, "b\""]},
            "token": "se\r\ncret",
            "list": ["x", "y"]
        },
        "attributes": {"first_name": "Ada"}
    })
}

fn render(document: &Json) -> Result<Rendered, RenderFault> {
    let world = world();
    let scope = Scope {
        properties: world.get("properties"),
        attributes: world.get("attributes"),
        external_id: Some("u-1"),
        ..Scope::at(NOW)
    };
    let text = document.to_string();
    let template = WebhookTemplate::compile(&text).unwrap_or_else(|why| panic!("{text}: {why}"));
    template.render(&scope)
}

fn body(body: &Json) -> String {
    let rendered = render(&json!({"url": "https://a.example/", "body": body}));
    let bytes = rendered.expect("renders").body.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn refusal(document: &Json) -> (String, String) {
    match WebhookTemplate::compile(&document.to_string()) {
        Err(fault) => (fault.pointer, fault.detail),
        Ok(_) => panic!("{document} is taken"),
    }
}

#[test]
fn all_parts_are_rendered() {
    let rendered = render(&json!({
        "url": "\n https://a.example/{{ properties.id }}/{{${user_id}}} ",
        "method": "PUT",
        "headers": {"X-Name": "{{ recipient.first_name }}", "X-One": "1"},
        "body": {"hello": "{{ recipient.first_name }}"},
        "secret_ref": "main"
    }));
    let rendered = rendered.expect("renders");
    assert_eq!(rendered.method, Method::Put);
    assert_eq!(rendered.url, "https://a.example/7/u-1");
    let headers = [("X-Name".to_owned(), "Ada".to_owned()), ("X-One".into(), "1".into())];
    assert_eq!(rendered.headers, headers);
    assert_eq!(rendered.body.as_deref(), Some(&br#"{"hello":"Ada"}"#[..]));
    assert_eq!(rendered.content_type, Some("application/json"));
    assert_eq!(rendered.secret_refs, ["main"]);
    assert_eq!(format!("{rendered:?}"), "PUT https://a.example/7/u-1 (15 bytes)");
}

#[test]
fn a_json_body_keeps_its_authors_bytes() {
    let text = r#"{"url":"https://a.example/","body":{ "z" : 1.50e2,"a":"\u0041{{ properties.id }}\"", "big":123456789012345678901234567890 }}"#;
    let template = WebhookTemplate::compile(text).expect("compiles");
    let world = world();
    let scope = Scope { properties: world.get("properties"), ..Scope::at(NOW) };
    let body = template.render(&scope).expect("renders").body.expect("a body");
    let wanted = r#"{ "z" : 1.50e2,"a":"A7\"", "big":123456789012345678901234567890 }"#;
    assert_eq!(body, wanted);
    let fixed = r#"{"url":"https://a.example/","body": {"a" : "\u0041"} }"#;
    let fixed = WebhookTemplate::compile(fixed).expect("compiles").render(&scope).expect("renders");
    assert_eq!(fixed.body.expect("a body"), r#"{"a" : "\u0041"}"#);
}

#[test]
fn a_value_in_a_json_body_cannot_leave_its_string() {
    let text = world()["properties"]["text"].clone();
    let read = |text: &str| serde_json::from_str::<Json>(text).expect("JSON");
    for source in [
        "{{ properties.text }}",
        "{{ properties.text | json_escape }}",
        "{% if true %}{{ properties.text }}{% endif %}",
        "{% capture x %}{{ properties.text }}{% endcapture %}{{ x }}",
        "{{ properties.text | json }}",
    ] {
        assert_eq!(read(&body(&json!({"a": source}))), json!({"a": text}), "{source}");
    }
    let around = body(&json!(["\"{{ properties.text }}\\"]));
    assert_eq!(read(&around), json!([format!("\"{}\\", text.as_str().expect("a text"))]));
    let key = body(&json!({"{{ properties.text }}": {"{{ properties.id | json }}": 1}}));
    assert_eq!(read(&key), json!({text.as_str().expect("a text"): {"7": 1}}));
}

#[test]
fn a_string_that_is_one_json_output_becomes_its_value() {
    let rendered = body(&json!({
        "object": "{{ properties.object | json }}",
        "number": "{{ properties.id | to_json }}",
        "nothing": "{{ properties.none | as_json_string }}",
        "text": "{{ recipient.first_name | json }}",
        "mixed": "n {{ properties.id | json }}",
        "plain": "{{ properties.id }}"
    }));
    let wanted = json!({
        "object": {"a": [1, "b\""]}, "number": 7, "nothing": null, "text": "Ada",
        "mixed": "n 7", "plain": "7"
    });
    assert_eq!(serde_json::from_str::<Json>(&rendered).expect("JSON"), wanted);
}

#[test]
fn a_text_body_is_json_where_its_content_type_says_so() {
    let source = "{\"id\": {{ properties.id }}, \"text\": \"{{ properties.text }}\", \"list\": \
                  [{% for x in properties.list %}{{ x }}{% unless forloop.last %},{% endunless %}\
                  {% endfor %}]}";
    let mut document = json!({"url": "https://a.example/", "body": source});
    let plain = render(&document).expect("renders");
    assert_eq!(plain.content_type, Some("text/plain; charset=utf-8"));
    assert!(plain.body.expect("a body").ends_with(b"[x,y]}"));
    let text = &world()["properties"]["text"];
    let wanted = json!({"id": 7, "text": text, "list": ["x", "y"]});
    for content_type in [
        "application/json",
        "Application/JSON; charset=utf-8",
        "application/vnd.api+json",
        "application/{{ 'json' }}",
    ] {
        document["headers"] = json!({"Content-Type": content_type});
        let body = render(&document).expect("renders").body.expect("a body");
        assert_eq!(serde_json::from_slice::<Json>(&body).expect("JSON"), wanted, "{content_type}");
    }
    let document = json!({"url": "https://a.example/", "body": source, "body_type": "json"});
    let rendered = render(&document).expect("renders");
    assert_eq!(rendered.content_type, Some("application/json"));
    assert!(serde_json::from_slice::<Json>(&rendered.body.expect("a body")).is_ok());
    let broken =
        json!({"url": "https://a.example/", "body": "{{ properties.id }} 8", "body_type": "json"});
    let fault = render(&broken).expect_err("not JSON");
    assert!(fault.to_string().starts_with("/body: line 1 column 1: what is rendered is not JSON"));
}

#[test]
fn a_header_cannot_be_split() {
    let document = json!({
        "url": "https://a.example/", "headers": {"X/Token": "Bearer {{ properties.token }}"}
    });
    let fault = render(&document).expect_err("two lines");
    assert_eq!(
        fault.to_string(),
        "/headers/X~1Token: line 1 column 1: has a carriage return (CR) after rendering, which a \
         header cannot carry; take it out: | strip_newlines"
    );
}

#[test]
fn missing_variables_follow_the_document() {
    let of = |missing: Option<&str>, url: &str, body: &str| {
        let mut document = json!({"url": url, "body": {"a": body}});
        if let Some(missing) = missing {
            document["missing"] = json!(missing);
        }
        render(&document).map_err(|fault| fault.to_string())
    };
    let (url, body) = ("https://a.example/{{ properties.none }}", "{{ properties.none }}");
    let fault = of(None, url, "").expect_err("missing");
    assert!(fault.starts_with("/url: line 1 column 22: `properties.none` is missing"), "{fault}");
    assert!(of(None, "https://a.example/", body).is_ok());
    assert!(of(Some("empty"), url, body).is_ok());
    let fault = of(Some("error"), "https://a.example/", body).expect_err("missing");
    assert!(fault.starts_with("/body/a: line 1 column 4: `properties.none`"), "{fault}");
}

#[test]
fn an_abort_in_any_part_aborts_all() {
    for (part, value) in [
        ("url", json!("{% abort_message('no') %}")),
        ("headers", json!({"a": "{% abort_message('no') %}"})),
        ("body", json!(["{% abort_message('no') %}"])),
        ("body", json!("{% abort_message('no') %}")),
    ] {
        let mut document = json!({"url": "https://a.example/"});
        document[part] = value;
        assert_eq!(render(&document), Err(RenderFault::Aborted("no".into())), "{document}");
    }
}

#[test]
fn documents_that_cannot_work_are_refused() {
    let with = |field: &str, value: Json| {
        let mut document = json!({"url": "https://a.example/"});
        document[field] = value;
        document
    };
    for (document, pointer, words) in [
        (json!({}), "", "missing field `url`"),
        (with("url", json!("{{ a")), "/url", "line 1 column 1: `{{` is never closed"),
        (with("bogus", json!(1)), "/bogus", "unknown field"),
        (with("missing", json!("none")), "/missing", "unknown variant"),
        (with("method", json!("PATCH")), "/method", "unknown variant"),
        (with("headers", json!({"a~/b": "{% if %}"})), "/headers/a~0~1b", "line 1 column"),
        (with("headers", json!({"{{ a }}": "b"})), "/headers/{{ a }}", "only a header's value"),
        (with("headers", json!({"a": "1", "A": "2"})), "/headers/a", "given twice"),
        (with("headers", json!({"a": 1})), "/headers/a", "string"),
        (
            with("body", json!({"a": [1, {"b/c": "x\n{{ a | upcas }}"}]})),
            "/body/a/1/b~1c",
            "line 2 column 8",
        ),
        (with("body", json!("{% endif %}")), "/body", "no tag before it"),
        (with("body_base64", json!("%")), "/body_base64", "not base64"),
        (with("body_type", json!("json")), "/body_type", "no `body`"),
        (with("delete_with_body", json!(true)), "/delete_with_body", "DELETE"),
        (json!({"url": "u", "method": "GET", "body": {}}), "/body", "a GET carries no body"),
        (json!({"url": "u", "method": "DELETE", "body": {}}), "/body", "delete_with_body"),
        (json!({"url": "u", "body": 1, "body_type": "text"}), "/body", "must be a string"),
        (json!({"url": "u", "body": "x", "body_type": "json"}), "/body", "is not JSON"),
        (json!({"url": "u", "body": "x", "body_base64": "eA=="}), "/body_base64", "not both"),
        (json!("x"), "", "a webhook"),
    ] {
        let (at, detail) = refusal(&document);
        assert_eq!(at, pointer, "{document}: {detail}");
        assert!(detail.contains(words), "{document}: {detail}");
    }
    let deep = format!("{{\"url\":\"u\",\"body\":{}{}}}", "[".repeat(5000), "]".repeat(5000));
    assert!(WebhookTemplate::compile(&deep).expect_err("deep").detail.contains("128"));
    assert!(WebhookTemplate::compile("{\"url\": tru}").is_err());
}

#[test]
fn bodies_may_be_absent_or_binary() {
    let rendered = render(&json!({"url": "https://a.example/"})).expect("renders");
    assert_eq!((rendered.body, rendered.content_type), (None, None));
    let rendered = render(&json!({"url": "https://a.example/", "body_base64": "AAE="}));
    let rendered = rendered.expect("renders");
    assert_eq!(rendered.body.as_deref(), Some(&[0, 1][..]));
    assert_eq!(rendered.content_type, Some("application/octet-stream"));
    let null = render(&json!({"url": "https://a.example/", "body": null})).expect("renders");
    assert_eq!(null.body.as_deref(), Some(&b"null"[..]));
    let get = render(&json!({"url": "https://a.example/", "method": "GET", "body": null}));
    assert_eq!(get.expect("renders").body, None);
}

proptest::proptest! {
    #[test]
    fn any_value_keeps_its_place(x in proptest::prelude::any::<String>()) {
        let properties = json!({"x": x});
        let scope = Scope { properties: Some(&properties), ..Scope::at(NOW) };
        let document = json!({"url": "u", "body": {"a": "{{ properties.x }}!", "b": 1}});
        let template = WebhookTemplate::compile(&document.to_string()).expect("compiles");
        let body = template.render(&scope).expect("renders").body.expect("a body");
        let read: Json = serde_json::from_slice(&body).expect("JSON");
        proptest::prop_assert_eq!(read, json!({"a": format!("{x}!"), "b": 1}));
    }
}
