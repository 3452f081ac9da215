//! Values in JSON text: none can leave its place.

use serde_json::{Value as Json, json};

use super::{Budget, Context, NOW, Scope, Template, rendered};

/// Texts that try to end the string that they stand in.
pub(super) const HOSTILE: &[&str] = &[
    "\"",
    "\\",
    "\\\"",
    "\",\"admin\":true,\"x\":\"",
    "a\nb\r\t\u{0}\u{1f}\u{7f}",
    "</script>",
    "\u{2028}\u{2029}",
    "{{ x }}",
    "null",
    "é😀",
    "\\u0022",
];

fn with(source: &str, x: &Json) -> Result<Json, String> {
    let properties = json!({"x": x});
    let scope = Scope { properties: Some(&properties), ..Scope::at(NOW) };
    let template = Template::parse(source).expect("valid");
    let text = template.render(&scope, Context::Json, &mut Budget::default());
    let text = text.map_err(|error| error.to_string())?;
    Ok(serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn a_value_inside_a_string_stays_inside() {
    for hostile in HOSTILE {
        let value = json!(hostile);
        for source in [
            r#"{"a": "{{ properties.x }}"}"#,
            r#"{"a": "{{ properties.x | json_escape }}"}"#,
            r#"{"a": {{ properties.x }} }"#,
            r#"{"a": {{ properties.x | json }} }"#,
            r#"{"a": {{ properties.x | json_escape }} }"#,
            r#"{"a": {% assign y = properties.x %}{{ y }} }"#,
            r#"{"a": "{% capture y %}{{ properties.x }}{% endcapture %}{{ y }}"}"#,
            r#"{"a": "{% if true %}{{ properties.x }}{% endif %}"}"#,
        ] {
            assert_eq!(with(source, &value), Ok(json!({"a": hostile})), "{source}");
        }
        let twice = with(r#"{"a": "\\{{ properties.x }}\"{{ properties.x }}"}"#, &value);
        assert_eq!(twice, Ok(json!({"a": format!("\\{hostile}\"{hostile}")})));
        let written = with(r#"{"a": "{{ properties.x | json }}"}"#, &value).expect("JSON");
        assert_eq!(written["a"], json!(value.to_string()), "JSON text as a string");
    }
}

#[test]
fn values_outside_strings_are_json_values() {
    for value in
        [json!(null), json!(1), json!(1.5), json!(true), json!([1, "a\""]), json!({"b": 2})]
    {
        assert_eq!(with(r#"{"a": {{ properties.x }}}"#, &value), Ok(json!({"a": value})));
        assert_eq!(with("{{ properties.x | json }}", &value), Ok(value));
    }
    assert_eq!(with(r#"["{{ properties.x }}"]"#, &json!([1, "a\""])), Ok(json!(["1a\""])));
    assert_eq!(
        with(r#"["{{ properties.x }}"]"#, &json!({"b": "\""})),
        Ok(json!(["{\"b\":\"\\\"\"}"]))
    );
    let list =
        r#"[{% for i in (1..3) %}"{{ i }}"{% unless forloop.last %},{% endunless %}{% endfor %}]"#;
    assert_eq!(with(list, &json!(0)), Ok(json!(["1", "2", "3"])));
}

#[test]
fn what_is_not_json_after_rendering_is_refused() {
    let error = with(r#"{"a": {{ properties.x }} "b": 1}"#, &json!(1)).expect_err("no comma");
    assert!(error.contains("what is rendered is not JSON"), "{error}");
    let error = with(r#"{"a": "\{{ properties.x }}"}"#, &json!("n")).expect_err("a backslash");
    assert!(error.contains("a backslash stands right before the value"), "{error}");
    assert!(rendered("", Context::Json).is_err());
    assert!(rendered("{{ 'a' | append: '\"' }}", Context::Json).is_ok());
}
