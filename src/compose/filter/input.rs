//! A filter as it is written, and what is refused in it.

use serde::Deserialize;
use serde_json::Value;

use super::facts::{Path, Root};
use super::{Filter, Op, Test};
use crate::compose::document::{Fault, Vetting};
use crate::model::Timestamp;

/// Levels of `all`, `any` and `not`. A person loses track sooner; a stack does later.
const DEPTH_MAX: usize = 16;
/// Tests and groups of one filter, so that an event costs a bounded time.
const NODES_MAX: usize = 200;
/// Items of the value of `in`.
const ITEMS_MAX: usize = 1_000;

/// A filter that is not vetted yet.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a filter: an object with `property` and `op`, or `all`, `any` or `not`"
)]
pub struct FilterInput {
    all: Option<Vec<FilterInput>>,
    any: Option<Vec<FilterInput>>,
    not: Option<Box<FilterInput>>,
    property: Option<String>,
    op: Option<String>,
    value: Option<Value>,
}

/// What is left of the limits, and what may be looked at.
struct Bounds<'a> {
    roots: &'a [Root],
    nodes: usize,
}

impl Filter {
    /// Reads and vets a filter that stands alone; `roots` are what it may look at.
    pub fn parse(bytes: &[u8], roots: &[Root]) -> Result<Self, Vec<Fault>> {
        let input: FilterInput = crate::compose::document::shape(bytes)?;
        let mut vetting = Vetting::new();
        let filter = Self::vet(input, roots, &mut vetting);
        vetting.finish(filter)
    }

    /// Vets the filter at the present place.
    pub fn vet(input: FilterInput, roots: &[Root], vetting: &mut Vetting) -> Option<Self> {
        let mut bounds = Bounds { roots, nodes: 0 };
        let filter = node(input, 1, &mut bounds, vetting);
        if bounds.nodes > NODES_MAX {
            vetting.fault(format!("has more than {NODES_MAX} parts"));
            return None;
        }
        filter
    }

    /// Vets the filter in the field `token`, if there is one. `None` when it is at fault.
    pub fn vet_optional(
        token: &str,
        input: Option<FilterInput>,
        roots: &[Root],
        vetting: &mut Vetting,
    ) -> Option<Option<Self>> {
        match input {
            None => Some(None),
            Some(input) => {
                vetting.under(token, |vetting| Self::vet(input, roots, vetting)).map(Some)
            }
        }
    }
}

fn node(
    input: FilterInput,
    depth: usize,
    bounds: &mut Bounds<'_>,
    vetting: &mut Vetting,
) -> Option<Filter> {
    bounds.nodes += 1;
    if bounds.nodes > NODES_MAX {
        return None;
    }
    if depth > DEPTH_MAX {
        vetting.fault(format!("is nested deeper than {DEPTH_MAX} levels"));
        return None;
    }
    let groups = [input.all.is_some(), input.any.is_some(), input.not.is_some()];
    let is_test = input.property.is_some() || input.op.is_some() || input.value.is_some();
    let kinds = groups.iter().filter(|given| **given).count() + usize::from(is_test);
    if kinds != 1 {
        vetting.fault(
            "give one of `all`, `any`, `not`, or a test such as {\"property\": \
             \"event_properties.total\", \"op\": \"at_least\", \"value\": 10}",
        );
        return None;
    }
    match (input.all, input.any, input.not) {
        (Some(list), _, _) => group("all", list, depth, bounds, vetting).map(Filter::All),
        (_, Some(list), _) => group("any", list, depth, bounds, vetting).map(Filter::Any),
        (_, _, Some(inner)) => vetting
            .under("not", |vetting| node(*inner, depth + 1, bounds, vetting))
            .map(|filter| Filter::Not(Box::new(filter))),
        _ => test(input.property, input.op, input.value, bounds.roots, vetting).map(Filter::Test),
    }
}

fn group(
    token: &str,
    list: Vec<FilterInput>,
    depth: usize,
    bounds: &mut Bounds<'_>,
    vetting: &mut Vetting,
) -> Option<Vec<Filter>> {
    vetting.under(token, |vetting| {
        if list.is_empty() {
            vetting.fault("is empty; list at least one filter");
            return None;
        }
        let mut vetted = Some(Vec::with_capacity(list.len().min(NODES_MAX)));
        for (index, inner) in list.into_iter().enumerate() {
            let filter = vetting.under(index, |vetting| node(inner, depth + 1, bounds, vetting));
            match (&mut vetted, filter) {
                (Some(filters), Some(filter)) => filters.push(filter),
                _ => vetted = None,
            }
        }
        vetted
    })
}

fn test(
    property: Option<String>,
    op: Option<String>,
    value: Option<Value>,
    roots: &[Root],
    vetting: &mut Vetting,
) -> Option<Test> {
    let property = vetting
        .present("property", property, "name one, such as event_properties.total")
        .and_then(|text| path(&text, roots, vetting));
    let op = vetting.present("op", op, OPS)?;
    let Some(op) = op_of(&op) else {
        vetting.fault_at("op", format!("{op:?} is no operator; {OPS}"));
        return None;
    };
    let time = operand(op, value.as_ref(), vetting)?;
    Some(Test { property: property?, op, value, time })
}

fn path(text: &str, roots: &[Root], vetting: &mut Vetting) -> Option<Path> {
    match Path::parse(text) {
        Ok(path) if roots.contains(&path.root()) => Some(path),
        Ok(path) => {
            let names: Vec<&str> = roots.iter().map(|root| root.as_str()).collect();
            let (root, names) = (path.root().as_str(), names.join(", "));
            vetting.fault_at("property", format!("{root} is not known here; {names} are"));
            None
        }
        Err(detail) => {
            vetting.fault_at("property", detail);
            None
        }
    }
}

const OPS: &str = "write one of equals, not_equals, contains, not_contains, greater, at_least, \
                   less, at_most, exists, not_exists, in, not_in, before, after";

fn op_of(word: &str) -> Option<Op> {
    Some(match word {
        "equals" => Op::Equals,
        "not_equals" => Op::NotEquals,
        "contains" => Op::Contains,
        "not_contains" => Op::NotContains,
        "greater" => Op::Greater,
        "at_least" => Op::AtLeast,
        "less" => Op::Less,
        "at_most" => Op::AtMost,
        "exists" => Op::Exists,
        "not_exists" => Op::NotExists,
        "in" => Op::In,
        "not_in" => Op::NotIn,
        "before" => Op::Before,
        "after" => Op::After,
        _ => return None,
    })
}

/// Vets the value for `op`. `None` when it is at fault; the time where `op` compares times.
fn operand(op: Op, value: Option<&Value>, vetting: &mut Vetting) -> Option<Option<Timestamp>> {
    let wrong = match (op, value) {
        (Op::Exists | Op::NotExists, None) => return Some(None),
        (Op::Exists | Op::NotExists, Some(_)) => "is not taken by this operator; leave it out",
        (_, None) => "missing or null; give one, or use exists or not_exists",
        (Op::Equals | Op::NotEquals, Some(_)) => return Some(None),
        (Op::Contains | Op::NotContains, Some(value)) => match value {
            Value::String(_) | Value::Number(_) | Value::Bool(_) => return Some(None),
            _ => "give a string, a number or a boolean",
        },
        (Op::Greater | Op::AtLeast | Op::Less | Op::AtMost, Some(value)) => match value {
            Value::Number(_) => return Some(None),
            Value::String(_) => {
                "is a string; give a number without quotes (times take before, after)"
            }
            _ => "give a number",
        },
        (Op::In | Op::NotIn, Some(Value::Array(items))) => match items.len() {
            1..=ITEMS_MAX => match items.iter().any(Value::is_null) {
                true => "has null in it, which no property equals",
                false => return Some(None),
            },
            0 => "is empty; list at least one value",
            _ => "has more than 1000 items",
        },
        (Op::In | Op::NotIn, Some(_)) => "give a list of values",
        (Op::Before | Op::After, Some(value)) => match value.as_str().and_then(Timestamp::parse) {
            Some(time) => return Some(Some(time)),
            None => "give a time in RFC 3339 with an offset, such as \"2026-11-24T07:00:00Z\"",
        },
    };
    vetting.fault_at("value", wrong);
    None
}
