//! The tree of a template.

use std::ops::Range;

use super::expression::{Condition, Expression, Pipeline};
use super::tokens::SPACE;

/// A part of a template.
#[derive(Debug)]
pub(super) enum Node {
    /// Static text: a range of bytes of the source.
    Text(Range<usize>),
    /// `{{ … }}`, `echo`
    Output(Pipeline),
    /// `if`, `unless`
    If(Vec<Branch>),
    /// `case`
    Case(Box<Case>),
    /// `for`
    For(Box<For>),
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `assign`: the number of the name, the value
    Assign(usize, Pipeline),
    /// `capture`: the number of the name, what it holds
    Capture(usize, Vec<Node>, usize),
    /// `cycle`
    Cycle(Box<Cycle>),
    /// `increment` (1) or `decrement` (−1) of a counter
    Count(usize, i64),
    /// `abort_message`
    Abort(Option<Pipeline>),
}

/// A branch of `if`; without condition it is `else`.
#[derive(Debug)]
pub(super) struct Branch {
    pub condition: Option<Condition>,
    /// What the condition must come to: false for `unless`.
    pub wanted: bool,
    pub body: Vec<Node>,
}

/// `case`, its `when`s and `else`s in their order.
#[derive(Debug)]
pub(super) struct Case {
    pub subject: Expression,
    pub branches: Vec<When>,
    pub at: usize,
}

/// A branch of `case`; without values it is `else`.
#[derive(Debug)]
pub(super) struct When {
    pub values: Option<Vec<Expression>>,
    pub body: Vec<Node>,
}

/// `for`.
#[derive(Debug)]
pub(super) struct For {
    pub variable: usize,
    /// `variable-collection`, shown as `forloop.name` and shared by `offset: continue`.
    pub name: Box<str>,
    /// The number of that name.
    pub number: usize,
    pub collection: Expression,
    pub limit: Option<Expression>,
    pub offset: Option<Offset>,
    pub reversed: bool,
    pub body: Vec<Node>,
    pub otherwise: Vec<Node>,
    pub at: usize,
}

/// Where a `for` begins.
#[derive(Debug)]
pub(super) enum Offset {
    /// Behind this many items.
    At(Expression),
    /// Where the last loop of that name ended.
    Continue,
}

/// `cycle`.
#[derive(Debug)]
pub(super) struct Cycle {
    /// Whose turn is counted: the group, or the values as they are written.
    pub group: Expression,
    pub values: Vec<Expression>,
    pub at: usize,
}

/// Whether nodes can print nothing but white space, which Liquid then leaves out.
pub(super) fn is_blank(nodes: &[Node], source: &str) -> bool {
    let is_blank = |nodes: &[Node]| is_blank(nodes, source);
    nodes.iter().all(|node| match node {
        Node::Text(range) => source[range.clone()].trim_start_matches(SPACE).is_empty(),
        Node::Assign(..) | Node::Capture(..) | Node::Break | Node::Continue | Node::Abort(_) => {
            true
        }
        Node::If(branches) => branches.iter().all(|branch| is_blank(&branch.body)),
        Node::Case(case) => case.branches.iter().all(|branch| is_blank(&branch.body)),
        Node::For(each) => is_blank(&each.body) && is_blank(&each.otherwise),
        Node::Output(_) | Node::Cycle(_) | Node::Count(..) => false,
    })
}

/// Takes the white space out of blank nodes.
pub(super) fn strip(nodes: &mut Vec<Node>) {
    nodes.retain(|node| !matches!(node, Node::Text(_)));
}
