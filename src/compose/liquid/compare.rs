//! Equality, order and `contains`, as the original has them.

use std::cmp::Ordering;

use serde_json::Value as Json;

use super::budget::Budget;
use super::value::Value;
use super::write;

/// Whether two values are equal. 1 equals 1.0; "1" equals no number.
pub(super) fn equal(
    left: &Value<'_>,
    right: &Value<'_>,
    budget: &mut Budget,
) -> Result<bool, String> {
    if let (Some(a), Some(b)) = (left.length(), right.length()) {
        if a != b {
            return Ok(false);
        }
        if let (Value::Range(first, _), Value::Range(other, _)) = (left, right) {
            return Ok(a == 0 || first == other);
        }
        for index in 0..a {
            budget.step()?;
            if !equal(&left.item(index), &right.item(index), budget)? {
                return Ok(false);
            }
        }
        return Ok(true);
    }
    if let (Some(a), Some(b)) = (left.fields(), right.fields()) {
        return if a == b { equal_fields(left, right, budget) } else { Ok(false) };
    }
    match (left, right) {
        (Value::Empty, other) | (other, Value::Empty) => Ok(is_empty(other)),
        (Value::Blank, other) | (other, Value::Blank) => {
            budget.burn(other.search())?;
            Ok(is_blank(other))
        }
        (Value::Nil, Value::Nil) => Ok(true),
        (Value::Bool(a), Value::Bool(b)) => Ok(a == b),
        (Value::Text(a, _), Value::Text(b, _)) => {
            budget.read(a.len().min(b.len()))?;
            Ok(**a == **b)
        }
        (Value::Time(a), Value::Time(b)) => Ok(a.timestamp() == b.timestamp()),
        _ => Ok(order_of_numbers(left, right) == Some(Ordering::Equal)),
    }
}

fn equal_fields(left: &Value<'_>, right: &Value<'_>, budget: &mut Budget) -> Result<bool, String> {
    let mut check = |key: &str, value: &Value<'_>| {
        budget.burn(right.search())?;
        Ok::<bool, String>(right.has_field(key) && equal(value, &right.field(key), budget)?)
    };
    match left {
        Value::Json(Json::Object(fields)) => {
            for (key, value) in fields {
                if !check(key, &Value::of_json(value))? {
                    return Ok(false);
                }
            }
        }
        Value::Map(fields) => {
            for (key, value) in fields.iter() {
                if !check(key, value)? {
                    return Ok(false);
                }
            }
        }
        _ => {}
    }
    Ok(true)
}

fn order_of_numbers(left: &Value<'_>, right: &Value<'_>) -> Option<Ordering> {
    let exact = |value: &Value<'_>| match value {
        Value::Int(number) => Some(i128::from(*number)),
        Value::Large(number) => Some(i128::from(*number)),
        _ => None,
    };
    let float = |value: &Value<'_>| match value {
        Value::Float(number) => Some(*number),
        other => exact(other).map(|number| number as f64),
    };
    match (exact(left), exact(right)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => float(left)?.partial_cmp(&float(right)?),
    }
}

/// The order of two values; `None` where one of them has none (nil, true, an array), which makes
/// each comparison false. A number against a text is an error, as it is a mistake.
pub(super) fn order(
    left: &Value<'_>,
    right: &Value<'_>,
    budget: &mut Budget,
) -> Result<Option<Ordering>, String> {
    if let Some(order) = order_of_numbers(left, right) {
        return Ok(Some(order));
    }
    match (left, right) {
        (Value::Text(a, _), Value::Text(b, _)) => {
            budget.read(a.len().min(b.len()))?;
            Ok(Some(a.cmp(b)))
        }
        (Value::Time(a), Value::Time(b)) => Ok(Some(a.timestamp().cmp(&b.timestamp()))),
        (Value::Text(text, _), Value::Int(_) | Value::Large(_) | Value::Float(_))
        | (Value::Int(_) | Value::Large(_) | Value::Float(_), Value::Text(text, _)) => {
            let shown: String = text.chars().take(40).collect();
            Err(format!(
                "compares the text \"{shown}\" with a number; make it one first: \
                 {{% assign n = … | plus: 0 %}}"
            ))
        }
        _ => Ok(None),
    }
}

/// `left contains right`: a part of a text, an item of an array, a key of an object.
pub(super) fn contains(
    left: &Value<'_>,
    right: &Value<'_>,
    budget: &mut Budget,
) -> Result<bool, String> {
    if right.is_nil() {
        return Ok(false);
    }
    if let Value::Text(text, _) = left {
        let part = write::text(right, budget)?;
        budget.read(text.len().saturating_add(part.len()))?;
        return Ok(text.contains(&*part));
    }
    if left.fields().is_some() {
        budget.burn(left.search())?;
        return Ok(left.has_field(&write::text(right, budget)?));
    }
    for index in 0..left.length().unwrap_or(0) {
        budget.step()?;
        if equal(&left.item(index), right, budget)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `== empty`: a text, array or object with nothing in it.
pub(super) fn is_empty(value: &Value<'_>) -> bool {
    match value {
        Value::Text(text, _) => text.is_empty(),
        Value::Empty | Value::Blank => true,
        other => other.length() == Some(0) || other.fields() == Some(0),
    }
}

/// `== blank`: also nil, false and white space.
pub(super) fn is_blank(value: &Value<'_>) -> bool {
    match value {
        Value::Nil | Value::Bool(false) => true,
        Value::Text(text, _) => text.trim().is_empty(),
        other => is_empty(other),
    }
}
