//! Connected Audience objects: filters over custom attributes, joined by `AND` and `OR`, become our
//! own filter document. What asks about push, email or an app's use is refused: nothing here knows
//! it. Comparisons that count days become comparisons with a time.

use std::time::Duration;

use serde_json::{Value, json};

use super::error::{BAD_REQUEST, BrazeError};
use super::fields::{Fields, wrong_kind};
use super::when;
use crate::model::Timestamp;

/// `AND` inside `OR` inside `AND` …: as deep as anyone writes, and no deeper than a stack holds.
const DEPTH_MAX: usize = 16;
/// Days that a relative comparison may count: more than a century is a slip.
const DAYS_MAX: u64 = 36_525;
const DAY: Duration = Duration::from_secs(86_400);

const OUT_OF_SCOPE: [(&str, &str); 5] = [
    ("push_subscription_status", "is out of scope: no push subscriptions are kept here"),
    ("email_subscription_status", "is out of scope: no email subscriptions are kept here"),
    ("last_used_app", "is out of scope: nothing is known here of an app's use"),
    ("segment", "is out of scope: there are no segments here; filter by custom_attribute"),
    ("nested_custom_attribute", "is out of scope; filter by custom_attribute"),
];
const COMPARISONS: &str = "equals, not_equal, does_not_equal, exists, does_not_exist, \
                           includes_value, does_not_include_value, greater_than, \
                           greater_than_or_equal_to, less_than, less_than_or_equal_to, before, \
                           after, less_than_x_days_ago, greater_than_x_days_ago, \
                           less_than_x_days_in_the_future, greater_than_x_days_in_the_future";

/// The filter of the audience `value` at `pointer`. Days are counted from `now`: the time at which
/// the message is to be sent.
pub(super) fn filter(value: Value, pointer: String, now: Timestamp) -> Result<Value, BrazeError> {
    level(value, pointer, now, DEPTH_MAX)
}

fn level(value: Value, at: String, now: Timestamp, depth: usize) -> Result<Value, BrazeError> {
    let Some(depth) = depth.checked_sub(1) else {
        let detail = format!("is nested deeper than {DEPTH_MAX} levels");
        return Err(BrazeError::field(BAD_REQUEST, &at, detail));
    };
    let mut fields = Fields::of(value, at)?;
    fields.refuse(&OUT_OF_SCOPE)?;
    let pointer = fields.pointer().to_owned();
    let mut found = Vec::new();
    for (name, ours) in [("AND", "all"), ("OR", "any")] {
        let at = fields.at(name);
        let Some(items) = fields.list(name)? else { continue };
        if items.is_empty() {
            return Err(BrazeError::field(BAD_REQUEST, &at, "is empty"));
        }
        let items = items.into_iter().enumerate();
        let filters: Result<Vec<Value>, BrazeError> =
            items.map(|(index, item)| level(item, format!("{at}/{index}"), now, depth)).collect();
        found.push(json!({ ours: filters? }));
    }
    if let Some(attribute) = fields.fields("custom_attribute")? {
        found.push(custom_attribute(attribute, now)?);
    }
    fields.finish("AND, OR, custom_attribute")?;
    match (found.pop(), found.is_empty()) {
        (Some(filter), true) => Ok(filter),
        _ => {
            let detail = "must have exactly one of AND, OR, custom_attribute";
            Err(BrazeError::field(BAD_REQUEST, &pointer, detail))
        }
    }
}

fn custom_attribute(mut fields: Fields, now: Timestamp) -> Result<Value, BrazeError> {
    let name_at = fields.at("custom_attribute_name");
    let name = fields.required("custom_attribute_name")?;
    if name.contains('.') {
        let detail = "has a dot, which would lead into a nested attribute; name one at the top";
        return Err(BrazeError::field(BAD_REQUEST, &name_at, detail));
    }
    let property = format!("recipient.attributes.{name}");
    let (comparison_at, value_at) = (fields.at("comparison"), fields.at("value"));
    let comparison = fields.required("comparison")?;
    let value = fields.take("value");
    fields.finish("custom_attribute_name, comparison, value")?;
    if let Some(op) = presence(&comparison) {
        return Ok(json!({ "property": property, "op": op }));
    }
    if comparison.ends_with("matches_regex") || comparison.ends_with("not_match_regex") {
        let detail = "is out of scope: attributes are not matched by regular expressions here";
        return Err(BrazeError::field(BAD_REQUEST, &comparison_at, detail));
    }
    let missing = || BrazeError::field(BAD_REQUEST, &value_at, "is missing");
    if let Some(op) = plain(&comparison) {
        let value = value.ok_or_else(missing)?;
        return Ok(json!({ "property": property, "op": op, "value": value }));
    }
    if let Some(op) = time(&comparison) {
        let text = value.ok_or_else(missing)?;
        let read = text.as_str().and_then(when::parse);
        let read = read.ok_or_else(|| BrazeError::field(BAD_REQUEST, &value_at, when::EXPECTED))?;
        return Ok(json!({ "property": property, "op": op, "value": read.to_string() }));
    }
    if let Some((is_past, is_near)) = relative(&comparison) {
        let days = days(&value.ok_or_else(missing)?, &value_at)?;
        return Ok(distance(&property, days, now, is_past, is_near));
    }
    let detail = format!("is {comparison:?}, not one of {COMPARISONS}");
    Err(BrazeError::field(BAD_REQUEST, &comparison_at, detail))
}

fn presence(comparison: &str) -> Option<&'static str> {
    match comparison {
        "exists" => Some("exists"),
        "does_not_exist" => Some("not_exists"),
        _ => None,
    }
}

fn plain(comparison: &str) -> Option<&'static str> {
    match comparison {
        "equals" => Some("equals"),
        // Documented for strings and numbers the one, for booleans the other.
        "not_equal" | "does_not_equal" => Some("not_equals"),
        "includes_value" => Some("contains"),
        "does_not_include_value" => Some("not_contains"),
        "greater_than" => Some("greater"),
        "greater_than_or_equal_to" => Some("at_least"),
        "less_than" => Some("less"),
        "less_than_or_equal_to" => Some("at_most"),
        _ => None,
    }
}

fn time(comparison: &str) -> Option<&'static str> {
    match comparison {
        "before" => Some("before"),
        "after" => Some("after"),
        _ => None,
    }
}

/// Whether it looks into the past, and whether at what is nearer than the days named.
fn relative(comparison: &str) -> Option<(bool, bool)> {
    match comparison {
        "less_than_x_days_ago" => Some((true, true)),
        "greater_than_x_days_ago" => Some((true, false)),
        "less_than_x_days_in_the_future" => Some((false, true)),
        "greater_than_x_days_in_the_future" => Some((false, false)),
        _ => None,
    }
}

fn days(value: &Value, at: &str) -> Result<u32, BrazeError> {
    let Value::Number(number) = value else {
        return Err(wrong_kind(at, value, "a number of days"));
    };
    let days = number.as_u64().filter(|days| *days <= DAYS_MAX);
    let days = days.and_then(|days| u32::try_from(days).ok());
    days.ok_or_else(|| {
        let detail = format!("is {number}, not a whole number of days from 0 to {DAYS_MAX}");
        BrazeError::field(BAD_REQUEST, at, detail)
    })
}

fn distance(property: &str, days: u32, now: Timestamp, is_past: bool, is_near: bool) -> Value {
    let bound = if is_past { now.minus(DAY * days) } else { now.plus(DAY * days) };
    let compare = |op: &str, time: Timestamp| json!({"property": property, "op": op, "value": time.to_string()});
    match (is_past, is_near) {
        (true, true) => json!({ "all": [compare("after", bound), compare("before", now)] }),
        (true, false) => compare("before", bound),
        (false, true) => json!({ "all": [compare("after", now), compare("before", bound)] }),
        (false, false) => compare("after", bound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Result<Value, BrazeError> {
        let now = when::parse("2026-11-24T09:00:00Z").expect("a time");
        filter(value, "/audience".into(), now)
    }

    fn attribute(name: &str, comparison: &str, value: Value) -> Value {
        json!({"custom_attribute":
            {"custom_attribute_name": name, "comparison": comparison, "value": value}})
    }

    #[test]
    fn nested_audience_becomes_filter() {
        let audience = json!({"AND": [
            attribute("eye_color", "equals", json!("blue")),
            {"OR": [attribute("foods", "includes_value", json!("pizza")),
                    {"custom_attribute": {"custom_attribute_name": "vip", "comparison": "exists"}}]},
        ]});
        let expected = json!({"all": [
            {"property": "recipient.attributes.eye_color", "op": "equals", "value": "blue"},
            {"any": [{"property": "recipient.attributes.foods", "op": "contains", "value": "pizza"},
                     {"property": "recipient.attributes.vip", "op": "exists"}]},
        ]});
        assert_eq!(read(audience), Ok(expected));
    }

    #[test]
    fn days_become_times() {
        let past = read(attribute("bought", "less_than_x_days_ago", json!(2)));
        let expected = json!({"all": [
            {"property": "recipient.attributes.bought", "op": "after",
             "value": "2026-11-22T09:00:00.000Z"},
            {"property": "recipient.attributes.bought", "op": "before",
             "value": "2026-11-24T09:00:00.000Z"},
        ]});
        assert_eq!(past, Ok(expected));
        let future = read(attribute("flight", "greater_than_x_days_in_the_future", json!(1)));
        let expected = json!({"property": "recipient.attributes.flight", "op": "after",
                              "value": "2026-11-25T09:00:00.000Z"});
        assert_eq!(future, Ok(expected));
    }

    #[test]
    fn what_is_not_known_here_is_refused_by_name() {
        let push = json!({"AND": [{"push_subscription_status": {"comparison": "is"}}]});
        let error = read(push).expect_err("refused");
        let expected = "Bad Request: /audience/AND/0/push_subscription_status is out of scope: no \
                        push subscriptions are kept here";
        assert_eq!(error.message(), expected);
        for comparison in ["matches_regex", "does_not_match_regex"] {
            let error = read(attribute("a", comparison, json!("x.*"))).expect_err("refused");
            assert!(error.message().contains("regular expressions"), "{error}");
        }
    }

    #[test]
    fn bad_values_are_named() {
        for (value, expected) in [
            (
                attribute("a", "after", json!("soon")),
                "/audience/custom_attribute/value is not a time",
            ),
            (attribute("a", "less_than_x_days_ago", json!(-1)), "not a whole number of days"),
            (attribute("a", "equals", Value::Null), "/audience/custom_attribute/value is missing"),
            (attribute("a", "like", json!(1)), "/audience/custom_attribute/comparison is \"like\""),
            (json!({}), "/audience must have exactly one of"),
            (json!({"AND": []}), "/audience/AND is empty"),
            (json!({"AND": [1]}), "/audience/AND/0 is a number, not an object"),
        ] {
            let error = read(value).expect_err("refused");
            assert!(error.message().contains(expected), "{error}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let mut audience = attribute("a", "equals", json!(1));
        for _ in 0..DEPTH_MAX {
            audience = json!({ "AND": [audience] });
        }
        let error = read(audience).expect_err("too deep");
        assert!(error.message().contains("deeper than 16"), "{error}");
    }
}
