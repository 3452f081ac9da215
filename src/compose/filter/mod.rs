//! Which events, recipients and answers count: a tree of tests on properties.
//!
//! A filter never fails at run time. What it looks at may be missing or of another type than the
//! author expected, so each case has a rule:
//!
//! - **Absent.** A property that is missing, `null`, or behind something that is no object counts
//!   as
//!   absent. Of an absent property only `not_exists`, `not_equals`, `not_contains` and `not_in` are
//!   true.
//! - **Equality** (`equals`, `in`, elements of `contains`) asks for the same type: the string "5"
//!   is
//!   not the number 5. Numbers are equal as numbers (1 is 1.0), strings exactly, case included.
//! - **Order** (`greater`, `at_least`, `less`, `at_most`) is for numbers; of anything else it is
//!   false.
//! - **`contains`**: a string contains a string, an array contains an equal element; of anything
//!   else it is false.
//! - **Times** (`before`, `after`) compare strings that are RFC 3339 with an offset; of anything
//!   else they are false.
//! - Each `not_…` is the exact opposite of its counterpart.
//!
//! A path is a root and names joined by dots; a number picks an element of an array. A property
//! whose own name has a dot cannot be reached.

mod facts;
mod input;

use std::cmp::Ordering;

use serde::Serialize;
use serde_json::{Number, Value};

pub use facts::{Answer, Facts, Path, RecipientFacts, Root};
pub use input::FilterInput;

use crate::model::Timestamp;

/// A vetted filter.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// True when each of them is.
    All(Vec<Filter>),
    /// True when one of them is.
    Any(Vec<Filter>),
    /// True when it is not.
    Not(Box<Filter>),
    /// One property.
    #[serde(untagged)]
    Test(Test),
}

/// A test of one property.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Test {
    property: Path,
    op: Op,
    /// Of the type that `op` takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    /// `value` as a time, for `before` and `after`.
    #[serde(skip)]
    time: Option<Timestamp>,
}

/// How a property is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Op {
    /// The same value.
    Equals,
    /// Not the same value, or absent.
    NotEquals,
    /// A string with this text in it, or an array with this element.
    Contains,
    /// The opposite.
    NotContains,
    /// A greater number.
    Greater,
    /// A greater number, or the same.
    AtLeast,
    /// A smaller number.
    Less,
    /// A smaller number, or the same.
    AtMost,
    /// There, and not `null`.
    Exists,
    /// Missing or `null`.
    NotExists,
    /// One of these values.
    In,
    /// None of these values, or absent.
    NotIn,
    /// An earlier time.
    Before,
    /// A later time.
    After,
}

impl Filter {
    /// Whether the facts pass.
    pub fn passes(&self, facts: &Facts<'_>) -> bool {
        match self {
            Filter::All(filters) => filters.iter().all(|filter| filter.passes(facts)),
            Filter::Any(filters) => filters.iter().any(|filter| filter.passes(facts)),
            Filter::Not(filter) => !filter.passes(facts),
            Filter::Test(test) => test.passes(facts),
        }
    }

    /// Whether it looks at something under `root`.
    pub fn reads(&self, root: Root) -> bool {
        match self {
            Filter::All(filters) | Filter::Any(filters) => {
                filters.iter().any(|filter| filter.reads(root))
            }
            Filter::Not(filter) => filter.reads(root),
            Filter::Test(test) => test.property.root() == root,
        }
    }
}

impl Test {
    fn passes(&self, facts: &Facts<'_>) -> bool {
        let found = facts.find(&self.property);
        let found = found.as_deref();
        let is = |wanted: Ordering, or_equal: bool| {
            self.order(found)
                .is_some_and(|order| order == wanted || (or_equal && order == Ordering::Equal))
        };
        match self.op {
            Op::Equals => self.equals(found),
            Op::NotEquals => !self.equals(found),
            Op::Contains => self.contains(found),
            Op::NotContains => !self.contains(found),
            Op::In => self.listed(found),
            Op::NotIn => !self.listed(found),
            Op::Exists => found.is_some(),
            Op::NotExists => found.is_none(),
            Op::Greater => is(Ordering::Greater, false),
            Op::AtLeast => is(Ordering::Greater, true),
            Op::Less => is(Ordering::Less, false),
            Op::AtMost => is(Ordering::Less, true),
            Op::Before => self.time_order(found) == Some(Ordering::Less),
            Op::After => self.time_order(found) == Some(Ordering::Greater),
        }
    }

    fn equals(&self, found: Option<&Value>) -> bool {
        matches!((found, &self.value), (Some(found), Some(value)) if same(found, value))
    }

    fn contains(&self, found: Option<&Value>) -> bool {
        match (found, &self.value) {
            (Some(Value::String(text)), Some(Value::String(part))) => text.contains(part.as_str()),
            (Some(Value::Array(items)), Some(value)) => items.iter().any(|item| same(item, value)),
            _ => false,
        }
    }

    fn listed(&self, found: Option<&Value>) -> bool {
        match (found, &self.value) {
            (Some(found), Some(Value::Array(items))) => items.iter().any(|item| same(item, found)),
            _ => false,
        }
    }

    /// How the property stands to the value, both being numbers.
    fn order(&self, found: Option<&Value>) -> Option<Ordering> {
        match (found, &self.value) {
            (Some(Value::Number(found)), Some(Value::Number(value))) => compare(found, value),
            _ => None,
        }
    }

    /// How the property stands to the value, both being times.
    fn time_order(&self, found: Option<&Value>) -> Option<Ordering> {
        let found = Timestamp::parse(found?.as_str()?)?;
        Some(found.cmp(&self.time?))
    }
}

/// Whether two values are the same, numbers being compared as numbers.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => {
            compare(left, right) == Some(Ordering::Equal)
        }
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(a, b)| same(a, b))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, a)| right.get(key).is_some_and(|b| same(a, b)))
        }
        _ => left == right,
    }
}

/// Integers exactly, for ids beyond 2^53; others as floating-point numbers.
fn compare(left: &Number, right: &Number) -> Option<Ordering> {
    match (left.as_i128(), right.as_i128()) {
        (Some(left), Some(right)) => Some(left.cmp(&right)),
        _ => left.as_f64()?.partial_cmp(&right.as_f64()?),
    }
}

#[cfg(test)]
mod tests;
