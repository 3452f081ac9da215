//! Our own engine, asked as the oracles are.

use hostline::compose::liquid::{Budget, Context, RenderError, Scope, Template};
use hostline::model::Timestamp;
use serde_json::Value;

use crate::corpus::Answer;

/// Variables that a scope has a place for; all others stand in its `properties`.
const ROOTS: &[&str] = &["properties", "event_properties", "recipient", "campaign", "canvas"];
/// What `now` is: 2026-11-24T07:00:00Z.
const NOW: Timestamp = Timestamp::from_millis(1_795_503_600_000);

/// Bytes that a template may render to.
pub fn output_max() -> usize {
    Budget::default().output
}

/// What a template comes to, and why it is refused if it is.
pub fn render(template: &str, data: &Value) -> (Answer, String) {
    let source = format!("{}{template}", assigns(data));
    let parsed = match Template::parse(&source) {
        Ok(parsed) => parsed,
        Err(error) => return (Answer::Refused, error.to_string()),
    };
    let mut scope = Scope::at(NOW);
    let recipient = &data["recipient"];
    let properties = properties(data);
    scope.properties = Some(&properties);
    scope.event_properties = data.get("event_properties");
    scope.external_id = recipient["external_id"].as_str();
    scope.attributes = recipient.get("attributes");
    scope.campaign = data.get("campaign");
    scope.canvas = data.get("canvas");
    match parsed.render(&scope, Context::Text, &mut Budget::default()) {
        Ok(output) => (Answer::Output(output), String::new()),
        Err(RenderError::Aborted(reason)) => {
            (Answer::Aborted((!reason.is_empty()).then_some(reason)), String::new())
        }
        Err(error) => (Answer::Refused, error.to_string()),
    }
}

/// A scope has fixed roots, other engines take any variable: what a case has beyond the roots is
/// assigned first.
fn assigns(data: &Value) -> String {
    let name = |(name, _)| format!("{{% assign {name} = properties.{name} %}}");
    others(data).map(name).collect()
}

/// The properties of a trigger with what is beyond the roots.
fn properties(data: &Value) -> Value {
    let mut properties = data["properties"].as_object().cloned().unwrap_or_default();
    properties.extend(others(data).map(|(name, value)| (name.clone(), value.clone())));
    Value::Object(properties)
}

fn others(data: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let all = data.as_object().into_iter().flatten();
    all.filter(|(name, _)| !ROOTS.contains(&name.as_str()))
}

/// Whether a refusal says where and what.
pub fn is_clear(why: &str) -> bool {
    let place = why.strip_prefix("line ").and_then(|rest| rest.split_once(" column "));
    let Some((line, rest)) = place else { return false };
    let Some((column, message)) = rest.split_once(": ") else { return false };
    let is_place = |text: &str| text.parse::<usize>().is_ok_and(|number| number > 0);
    is_place(line) && is_place(column) && (8..2_000).contains(&message.len())
}
