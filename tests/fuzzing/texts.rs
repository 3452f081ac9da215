//! What authors of messages write.

use hostline::compose::liquid::{Budget, Context, Missing, RenderError, Scope, Template};
use hostline::compose::webhook::{Fault, RenderFault, WebhookTemplate};
use serde_json::{Value, json};

use crate::targets::note;
use crate::targets::rules::T0;

/// Of a reason for which a template wants nothing to be sent.
const REASON_MAX: usize = 500;

/// A template; after a NUL, the roots that it sees, as JSON.
pub fn liquid(data: &[u8]) {
    let (source, roots) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &data[..0]),
    };
    let source = String::from_utf8_lossy(source);
    let template = match Template::parse(&source) {
        Ok(template) => template,
        Err(error) => {
            in_the_source(&source, error.line, error.column, &error.message);
            note(&error.message);
            assert_eq!(Template::parse(&source).map(|_| ()), Err(error), "the same again");
            assert!(has_liquid(&source), "text alone is refused");
            return;
        }
    };
    assert_eq!(template.source(), source);
    let roots: Value = serde_json::from_slice(roots).unwrap_or_default();
    let recipient = &roots["recipient"];
    let mut scope = Scope::at(T0);
    scope.properties = roots.get("properties");
    scope.event_properties = roots.get("event_properties");
    scope.external_id = recipient["external_id"].as_str();
    scope.attributes = recipient.get("attributes");
    scope.campaign = roots.get("campaign");
    scope.canvas = roots.get("canvas");
    for context in [Context::Text, Context::Json, Context::Url, Context::Header] {
        rendered(&template, &scope, context);
    }
}

fn rendered(template: &Template, scope: &Scope<'_>, context: Context) {
    let render = |missing| {
        let mut budget = Budget::default();
        let scope = Scope { missing, ..*scope };
        let result = template.render(&scope, context, &mut budget);
        (result, budget)
    };
    let (result, left) = render(Missing::Empty);
    let full = Budget::default();
    assert!(left.fuel <= full.fuel && left.output <= full.output && left.built <= full.built);
    assert_eq!(render(Missing::Empty).0, result, "the same again");
    match &result {
        Ok(output) => {
            assert!(output.len() <= full.output - left.output, "{} bytes", output.len());
            fits(context, output);
            if template.is_plain() {
                assert_eq!(output, template.source());
            }
        }
        Err(RenderError::Aborted(reason)) => assert!(reason.chars().count() <= REASON_MAX),
        Err(RenderError::Failed { line, column, message }) => {
            in_the_source(template.source(), *line, *column, message);
            note(message);
        }
    }
    // What may not be missing is an error, or else it changes nothing.
    if let (Ok(strict), _) = render(Missing::Error) {
        assert_eq!(Ok(strict), result);
    }
}

fn fits(context: Context, output: &str) {
    match context {
        Context::Json => {
            let parsed = serde_json::from_str::<serde::de::IgnoredAny>(output);
            assert!(parsed.is_ok(), "no JSON: {output}");
        }
        Context::Header => assert!(!output.contains(['\r', '\n', '\0']), "{output:?}"),
        Context::Url => assert!(!output.trim().contains(char::is_control), "{output:?}"),
        Context::Text => {}
    }
}

/// A place in the source, right behind its end at the latest.
fn in_the_source(source: &str, line: usize, column: usize, message: &str) {
    assert!(!message.is_empty());
    let found = source.split('\n').nth(line.wrapping_sub(1));
    let Some(found) = found else { panic!("no line {line}: {message}") };
    assert!((1..=found.chars().count() + 1).contains(&column), "no column {column}: {message}");
}

/// A webhook with Liquid in it, rendered with values that want to break out of where they stand.
pub fn webhook_template(data: &[u8]) {
    let Ok(document) = std::str::from_utf8(data) else { return };
    let template = match WebhookTemplate::compile(document) {
        Ok(template) => template,
        Err(fault) => return named(&fault),
    };
    let breaking = "\",\"x\":[1],\\\"}\r\nx: y\u{0}\u{2028}{{ properties.b }}{% abort_message %}";
    let attributes = json!({
        "name": breaking, "list": [breaking, 1, null], "map": { breaking: breaking }, "plan": "pro",
        "number": -1.5, "flag": true, "nothing": null, "slash": "\\", "quote": "\"",
    });
    let properties = json!({ "a": breaking, "b": "\\", "n": 5, "items": [{ "k": breaking }] });
    let mut scope = Scope::at(T0);
    scope.external_id = Some(breaking);
    scope.attributes = Some(&attributes);
    scope.properties = Some(&properties);
    scope.event_properties = Some(&properties);
    let result = template.render(&scope);
    assert_eq!(template.render(&scope), result, "the same again");
    let rendered = match result {
        Ok(rendered) => rendered,
        Err(RenderFault::Aborted(reason)) => {
            return assert!(reason.chars().count() <= REASON_MAX);
        }
        Err(RenderFault::Failed(fault)) => return named(&fault),
    };
    note("rendered");
    fits(Context::Url, &rendered.url);
    assert_eq!(rendered.url, rendered.url.trim());
    rendered.headers.iter().for_each(|(_, value)| fits(Context::Header, value));
    let Some(body) = rendered.body else { return };
    if rendered.content_type != Some("application/json") {
        return;
    }
    fits(Context::Json, std::str::from_utf8(&body).expect("JSON is UTF-8"));
    // Numbers that no float holds stay as they are written; here they cannot be read.
    let written = serde_json::from_str::<Value>(document).unwrap_or_default();
    if let Ok(got) = serde_json::from_slice(&body)
        && written["body"].is_object() | written["body"].is_array()
    {
        same_shape(&written["body"], &got);
    }
}

fn named(fault: &Fault) {
    note(&fault.detail);
    assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'), "{fault:?}");
    assert!(!fault.detail.is_empty());
}

fn has_liquid(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// Only texts with Liquid in them may become something else, and names to other names.
fn same_shape(written: &Value, got: &Value) {
    match (written, got) {
        (Value::Object(written), Value::Object(got))
            if written.keys().any(|key| has_liquid(key)) =>
        {
            assert!(got.len() <= written.len(), "{written:?} became {got:?}");
        }
        (Value::Object(written), Value::Object(got)) => {
            assert!(written.keys().eq(got.keys()), "{written:?} became {got:?}");
            written.iter().for_each(|(key, value)| same_shape(value, &got[key]));
        }
        (Value::Array(written), Value::Array(got)) => {
            assert_eq!(written.len(), got.len());
            written.iter().zip(got).for_each(|(written, got)| same_shape(written, got));
        }
        (Value::String(text), _) if has_liquid(text) => {}
        (written, got) => assert_eq!(written, got),
    }
}
