//! Expressions: their tree.

use super::filters::Filter;
use super::scope::Root;

/// A value to be computed.
#[derive(Debug)]
pub(super) enum Expression {
    Nil,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Box<str>),
    Empty,
    Blank,
    Path(Box<Path>),
    /// `(first..last)`
    Range(Box<(Expression, Expression)>),
    /// `{{ … }}` inside a tag or output.
    Nested(Box<Pipeline>),
}

/// A variable, and the way into it.
#[derive(Debug)]
pub(super) struct Path {
    pub head: Head,
    pub steps: Vec<Step>,
    /// Where it is.
    pub at: usize,
}

/// Where a path begins.
#[derive(Debug)]
pub(super) enum Head {
    /// A variable of the template, by its number, or else a root.
    Name(usize, Option<Root>),
    /// `${name}`
    Profile(Box<str>),
    /// `[expression]`: the root of that name.
    Computed(Expression),
}

/// A step into a value.
#[derive(Debug)]
pub(super) enum Step {
    /// `.key`, `.${key}`, `["key"]`
    Key(Box<str>),
    /// `[expression]`
    Index(Expression),
}

/// An expression and its filters.
#[derive(Debug)]
pub(super) struct Pipeline {
    pub head: Expression,
    pub filters: Vec<Call>,
    /// Where it is.
    pub at: usize,
}

impl Pipeline {
    /// Whether a missing variable in it is provided for.
    pub fn has_default(&self) -> bool {
        self.filters.iter().any(|call| call.filter.name == "default")
    }
}

/// A filter with its arguments.
#[derive(Debug)]
pub(super) struct Call {
    pub filter: &'static Filter,
    pub arguments: Vec<Expression>,
    /// `allow_false:` of `default`.
    pub allow_false: Option<Expression>,
    /// Where the name is.
    pub at: usize,
}

/// What follows `if`: comparisons, joined from right to left as Liquid does.
#[derive(Debug)]
pub(super) struct Condition {
    pub terms: Vec<Term>,
    /// Between term n and the rest.
    pub joins: Vec<Join>,
}

/// How a comparison is joined to the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Join {
    And,
    Or,
}

/// A comparison, or a value by itself.
#[derive(Debug)]
pub(super) struct Term {
    pub left: Expression,
    pub compared: Option<(Comparison, Expression)>,
    /// Where it is.
    pub at: usize,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    Less,
    AtMost,
    Greater,
    AtLeast,
    Contains,
}
