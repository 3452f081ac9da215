//! What templates give. Doubtful semantics were settled with liquidjs 10 and python-liquid 2, and
//! where these differ, by the original's own.

mod dialect;
mod filters;
mod json;
mod limits;
mod properties;
mod tags;
mod times;

use serde_json::{Value as Json, json};

use super::{Budget, Context, Missing, RenderError, Scope, Template};
use crate::model::Timestamp;

/// 2026-11-24T07:00:00.123Z
const NOW: Timestamp = Timestamp::from_millis(1_795_503_600_123);

/// The values that most tests use.
fn world() -> Json {
    json!({
        "properties": {
            "name": "Ada \"the\" Countess",
            "count": 3,
            "price": 19.99,
            "one": 1.0,
            "yes": true,
            "null": null,
            "list": ["a", "b", "c"],
            "numbers": [3, 1, 2],
            "empty_list": [],
            "empty_object": {},
            "people": [
                {"name": "Bo", "age": 30, "vip": true},
                {"name": "ann", "age": 25},
                {"name": "Cy", "age": 35, "vip": false}
            ],
            "object": {"b": 1, "a": [true, null]},
            "big": 18_446_744_073_709_551_615_u64,
            "injection": "{{ properties.name }}{% break %}",
            "nested": {"list": [[1, 2], [3]]}
        },
        "event_properties": {"item": "hat", "total": 120, "Gift Note": "hi"},
        "attributes": {"first_name": "Ada", "plan": "gold", "Favorite Color": "mauve"},
        "entry_properties": {"x": "entered"},
        "campaign": {"name": "Spring", "api_id": "c1", "dispatch_id": "d1"},
        "canvas": {"name": "Welcome"},
        "response": {"status": 201}
    })
}

fn scope(world: &Json) -> Scope<'_> {
    Scope {
        properties: world.get("properties"),
        event_properties: world.get("event_properties"),
        external_id: Some("u-1"),
        attributes: world.get("attributes"),
        entry_properties: world.get("entry_properties"),
        campaign: world.get("campaign"),
        canvas: world.get("canvas"),
        response: world.get("response"),
        ..Scope::at(NOW)
    }
}

fn rendered(source: &str, context: Context) -> Result<String, RenderError> {
    let world = world();
    let template = Template::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    template.render(&scope(&world), context, &mut Budget::default())
}

/// What `source` prints.
fn text(source: &str) -> String {
    rendered(source, Context::Text).unwrap_or_else(|error| panic!("{source}: {error}"))
}

/// The error that `source` ends in.
fn failure(source: &str) -> String {
    match rendered(source, Context::Text) {
        Err(error) => error.to_string(),
        Ok(text) => panic!("{source}: gives {text}"),
    }
}

/// Why `source` is refused.
fn refusal(source: &str) -> String {
    match Template::parse(source) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{source}: is taken"),
    }
}

fn all_give(cases: &[(&str, &str)]) {
    for (source, wanted) in cases {
        assert_eq!(text(source), *wanted, "{source}");
    }
}

fn all_refused(cases: &[(&str, &str)]) {
    for (source, words) in cases {
        let refusal = refusal(source);
        assert!(refusal.contains(words), "{source}: {refusal}");
    }
}

#[test]
fn a_template_without_liquid_is_plain() {
    for (source, plain) in [("", true), ("a } b", true), ("{{ x }}", false), ("{% # c %}", false)] {
        let template = Template::parse(source).expect("valid");
        assert_eq!(template.is_plain(), plain, "{source}");
    }
    assert!(!Template::parse("a{% raw %}{{{% endraw %}").expect("valid").is_plain());
}

#[test]
fn a_template_goes_between_threads() {
    fn sendable<T: Send + Sync + Clone + 'static>() {}
    sendable::<Template>();
}

#[test]
fn errors_have_line_and_column_in_characters() {
    let error = Template::parse("é\n  ü {{ x | upcas }}").expect_err("no such filter");
    assert_eq!((error.line, error.column), (2, 12));
    assert_eq!(error.message, "`upcas` is no filter; did you mean `upcase`?");
    let error = rendered("a\nb {{ 'ü' }}{{ 1 | divided_by: 0 }}", Context::Text);
    let message = "`divided_by`: divided by 0".into();
    assert_eq!(error, Err(RenderError::Failed { line: 2, column: 19, message }));
}

#[test]
fn a_value_is_never_evaluated() {
    assert_eq!(text("{{ properties.injection }}"), "{{ properties.name }}{% break %}");
    assert_eq!(
        text("{% capture x %}{{ properties.injection }}{% endcapture %}{{ x | append: '{{' }}"),
        "{{ properties.name }}{% break %}{{"
    );
}

#[test]
fn a_missing_variable_is_an_error_in_a_url_alone() {
    let world = world();
    let outcome = |source: &str, context: Context, missing: Missing| {
        let template = Template::parse(source).expect("valid");
        let scope = Scope { missing, ..scope(&world) };
        template.render(&scope, context, &mut Budget::default()).map_err(|error| error.to_string())
    };
    let url = |source: &str| outcome(source, Context::Url, Missing::Usual);
    assert_eq!(
        url("https://a.example/{{ event_properties.id }}"),
        Err("line 1 column 22: `event_properties.id` is missing; give it, or add | default: …"
            .into())
    );
    for (source, name) in [
        ("{{event_properties.${my id}}}", "`event_properties.${my id}`"),
        ("{{ ${last_name} | upcase }}", "`${last_name}`"),
        ("{{ 'a' | append: properties['no such'][0] }}", "`properties['no such'][0]`"),
        ("{% assign x = properties.none %}{{ x }}", "`x`"),
        ("{% echo properties.null %}", "`properties.null`"),
        ("{{ properties.none | default: properties.nothing }}", "`properties.none`"),
        ("{{ {{ properties.none }} | upcase }}", "`properties.none`"),
    ] {
        assert!(url(source).expect_err(source).contains(&format!("{name} is missing")), "{source}");
        assert!(outcome(source, Context::Text, Missing::Usual).is_ok(), "{source}");
        assert!(outcome(source, Context::Url, Missing::Empty).is_ok(), "{source}");
        assert!(outcome(source, Context::Text, Missing::Error).is_err(), "{source}");
    }
    for source in [
        "{{ event_properties.id | default: 'x' }}",
        "{% if event_properties.id %}{{ event_properties.id }}{% endif %}",
        "{% for x in properties.none %}{{ x }}{% endfor %}",
        "{{ '' }}",
    ] {
        assert!(url(source).is_ok(), "{source}");
    }
}

#[test]
fn a_url_and_a_header_hold_no_control_characters() {
    let at = |context| rendered("a{{ \"\n\" }}b", context).map_err(|error| error.to_string());
    assert!(at(Context::Text).is_ok());
    assert!(at(Context::Url).expect_err("refused").contains("U+000A"));
    assert!(at(Context::Header).expect_err("refused").contains("(LF)"));
    // A template over several lines leaves them at its ends.
    assert!(rendered("\n{% assign x = 1 %}\nhttps://a.example\n", Context::Url).is_ok());
}

#[test]
fn an_abort_carries_its_reason() {
    let reason = |source: &str| match rendered(source, Context::Text) {
        Err(RenderError::Aborted(reason)) => reason,
        other => panic!("{source}: {other:?}"),
    };
    assert_eq!(reason("a{% abort_message(\"no plan\") %}b"), "no plan");
    assert_eq!(reason("{% if true %}{% abort_message ('x') %}{% endif %}"), "x");
    assert_eq!(reason("{% abort_message() %}"), "");
    assert_eq!(reason("{% abort_message %}"), "");
    assert_eq!(reason("{% abort_message(${first_name} | append: ' left') %}"), "Ada left");
    let long = format!("{{% abort_message('{}') %}}", "é".repeat(600));
    assert_eq!(reason(&long).chars().count(), 500);
    assert_eq!(text("{% if false %}{% abort_message('x') %}{% endif %}ok"), "ok");
}
