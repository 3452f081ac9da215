//! Running a template: nodes in their order, into a sink. Each node costs fuel.

use std::rc::Rc;

use super::budget::Budget;
use super::compare;
use super::expression::{Expression, Head, Pipeline};
use super::fault::{Fault, Stop};
use super::nodes::{Branch, Case, Cycle, Node};
use super::parse::Program;
use super::scope::{Missing, Scope};
use super::sink::{Mode, Sink};
use super::value::{LoopState, Value};
use super::write;

/// Characters of the reason of `abort_message`; it is stored for each recipient.
const REASON_MAX: usize = 500;

/// What comes after a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    Next,
    Break,
    Continue,
}

/// A variable of the template.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot<'a> {
    /// As a loop has it, which hides the rest while the loop runs.
    pub looped: Option<Value<'a>>,
    /// As `assign` or `capture` left it.
    pub assigned: Option<Value<'a>>,
    /// As `increment` and `decrement` count it.
    pub counter: Option<i64>,
    /// For the name of a loop: where the last one ended. For `offset: continue`.
    pub ended: usize,
}

/// A rendering under way.
pub(super) struct Renderer<'a, 'b> {
    pub program: &'a Program,
    pub scope: &'b Scope<'a>,
    pub budget: &'b mut Budget,
    pub slots: Vec<Slot<'a>>,
    /// The innermost loop.
    pub around: Option<Rc<LoopState>>,
    /// Turns of each `cycle` group.
    cycles: Vec<(Rc<str>, usize)>,
    /// Whether a missing variable that is printed is an error.
    strict: bool,
}

/// Runs `program` into `out`.
pub(super) fn run<'a>(
    program: &'a Program,
    scope: &Scope<'a>,
    in_url: bool,
    mode: Mode,
    budget: &mut Budget,
    out: &mut String,
) -> Result<(), Stop> {
    let strict = match scope.missing {
        Missing::Usual => in_url,
        Missing::Empty => false,
        Missing::Error => true,
    };
    budget.burn(program.names.len() as u64).map_err(fail(0))?;
    let room = budget.output;
    let mut renderer = Renderer {
        program,
        scope,
        budget,
        slots: vec![Slot::default(); program.names.len()],
        around: None,
        cycles: Vec::new(),
        strict,
    };
    let mut sink = Sink::new(out, mode, room);
    let result = renderer.nodes(&program.nodes, &mut sink);
    let room = sink.room();
    renderer.budget.output = room;
    result.map(|_| ())
}

impl<'a> Renderer<'a, '_> {
    /// Runs nodes until one breaks or continues.
    pub fn nodes(&mut self, nodes: &'a [Node], sink: &mut Sink<'_>) -> Result<Flow, Stop> {
        for node in nodes {
            let flow = self.node(node, sink)?;
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn node(&mut self, node: &'a Node, sink: &mut Sink<'_>) -> Result<Flow, Stop> {
        match node {
            Node::Text(range) => {
                let text = &self.program.source[range.clone()];
                self.budget.step().and_then(|()| sink.author(text)).map_err(fail(range.start))?;
            }
            Node::Output(pipeline) => self.output(pipeline, sink)?,
            Node::If(branches) => return self.branches(branches, sink),
            Node::Case(case) => return self.case(case, sink),
            Node::For(each) => return self.each(each, sink),
            Node::Break => return Ok(Flow::Break),
            Node::Continue => return Ok(Flow::Continue),
            Node::Assign(number, pipeline) => {
                self.budget.step().map_err(fail(pipeline.at))?;
                let value = self.pipeline(pipeline)?;
                self.slots[*number].assigned = Some(value);
            }
            Node::Capture(number, body, at) => return self.capture(*number, body, *at),
            Node::Cycle(cycle) => self.cycle(cycle, sink)?,
            Node::Count(number, by) => self.count(*number, *by, sink)?,
            Node::Abort(reason) => return Err(self.abort(reason.as_ref())),
        }
        Ok(Flow::Next)
    }

    fn output(&mut self, pipeline: &'a Pipeline, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let at = pipeline.at;
        self.budget.step().map_err(fail(at))?;
        let value = match self.strict {
            true => self.present(pipeline)?,
            false => self.pipeline(pipeline)?,
        };
        sink.value(&value, self.budget).map_err(fail(at))
    }

    /// The value of an output in which nothing may be missing.
    fn present(&mut self, pipeline: &'a Pipeline) -> Result<Value<'a>, Stop> {
        let provided = pipeline.has_default();
        if !provided {
            let arguments = pipeline.filters.iter().flat_map(|call| &call.arguments);
            for expression in std::iter::once(&pipeline.head).chain(arguments) {
                self.demand(expression)?;
            }
        }
        let value = self.pipeline(pipeline)?;
        match value.is_nil() && provided {
            true => Err(self.missing(&pipeline.head, pipeline.at)),
            false => Ok(value),
        }
    }

    fn demand(&mut self, expression: &'a Expression) -> Result<(), Stop> {
        match expression {
            Expression::Path(path) if self.path(path)?.is_nil() => {
                Err(self.missing(expression, path.at))
            }
            Expression::Nested(inner) => self.present(inner).map(|_| ()),
            _ => Ok(()),
        }
    }

    fn missing(&self, expression: &Expression, at: usize) -> Stop {
        let name = match expression {
            Expression::Path(path) => self.written(path.at, &path.head),
            _ => "the value".into(),
        };
        let message = format!("{name} is missing; give it, or add | default: …");
        Fault::new(at, message).into()
    }

    /// A path as its author wrote it.
    fn written(&self, at: usize, head: &Head) -> String {
        let rest = &self.program.source[at..];
        let skip = match head {
            Head::Profile(_) => rest.find('}').map_or(0, |end| end + 1),
            _ => 0,
        };
        let mut end = skip;
        let mut inside = false;
        for letter in rest[skip..].chars() {
            let goes_on = inside || letter.is_alphanumeric() || "_-.?[]${".contains(letter);
            inside = match letter {
                '[' | '{' => true,
                ']' | '}' => false,
                _ => inside,
            };
            if !goes_on {
                break;
            }
            end += letter.len_utf8();
        }
        format!("`{}`", super::fault::shown(rest[..end].trim_end_matches(['-', '.'])))
    }

    fn branches(&mut self, branches: &'a [Branch], sink: &mut Sink<'_>) -> Result<Flow, Stop> {
        for branch in branches {
            let holds = match &branch.condition {
                Some(condition) => self.condition(condition)? == branch.wanted,
                None => true,
            };
            if holds {
                return self.nodes(&branch.body, sink);
            }
        }
        Ok(Flow::Next)
    }

    /// Every `when` that matches is run, and `else` where none did before it: as the original.
    fn case(&mut self, case: &'a Case, sink: &mut Sink<'_>) -> Result<Flow, Stop> {
        self.budget.step().map_err(fail(case.at))?;
        let subject = self.expression(&case.subject)?;
        let mut matched = false;
        for branch in &case.branches {
            let Some(values) = &branch.values else {
                if !matched {
                    let flow = self.nodes(&branch.body, sink)?;
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                }
                continue;
            };
            for value in values {
                self.budget.step().map_err(fail(case.at))?;
                let value = self.expression(value)?;
                if compare::equal(&subject, &value, self.budget).map_err(fail(case.at))? {
                    matched = true;
                    let flow = self.nodes(&branch.body, sink)?;
                    if flow != Flow::Next {
                        return Ok(flow);
                    }
                }
            }
        }
        Ok(Flow::Next)
    }

    /// What a capture holds is plain text: it is escaped where it is printed.
    fn capture(&mut self, number: usize, body: &'a [Node], at: usize) -> Result<Flow, Stop> {
        self.budget.step().map_err(fail(at))?;
        let mut text = String::new();
        let room = self.budget.string.min(self.budget.built);
        let flow = self.nodes(body, &mut Sink::new(&mut text, Mode::Plain, room))?;
        self.budget.build(text.len()).map_err(fail(at))?;
        self.slots[number].assigned = Some(Value::built(text));
        Ok(flow)
    }

    fn cycle(&mut self, cycle: &'a Cycle, sink: &mut Sink<'_>) -> Result<(), Stop> {
        let at = cycle.at;
        self.budget.step().map_err(fail(at))?;
        let group = self.expression(&cycle.group)?;
        let group = write::text(&group, self.budget).map_err(fail(at))?;
        self.budget.burn(self.cycles.len() as u64).map_err(fail(at))?;
        self.budget.read(group.len()).map_err(fail(at))?;
        let known = self.cycles.iter().position(|(name, _)| **name == *group);
        let place = match known {
            Some(place) => place,
            None => {
                self.budget.items(1).map_err(fail(at))?;
                self.budget.build(group.len()).map_err(fail(at))?;
                self.cycles.push(((*group).into(), 0));
                self.cycles.len() - 1
            }
        };
        let turn = &mut self.cycles[place].1;
        let value = cycle.values.get(*turn).or_else(|| cycle.values.first());
        *turn = if *turn + 1 >= cycle.values.len() { 0 } else { *turn + 1 };
        let Some(value) = value else { return Ok(()) };
        let value = self.expression(value)?;
        sink.value(&value, self.budget).map_err(fail(at))
    }

    /// `increment` prints and then counts, `decrement` counts and then prints.
    fn count(&mut self, number: usize, by: i64, sink: &mut Sink<'_>) -> Result<(), Stop> {
        self.budget.step().map_err(fail(0))?;
        let slot = &mut self.slots[number];
        let before = slot.counter.unwrap_or(0);
        let after = before.saturating_add(by);
        slot.counter = Some(after);
        let shown = if by > 0 { before } else { after };
        sink.value(&Value::Int(shown), self.budget).map_err(fail(0))
    }

    fn abort(&mut self, reason: Option<&'a Pipeline>) -> Stop {
        let Some(reason) = reason else { return Stop::Abort(String::new()) };
        let text = self
            .pipeline(reason)
            .and_then(|value| write::text(&value, self.budget).map_err(fail(reason.at)));
        match text {
            Ok(text) => Stop::Abort(text.chars().take(REASON_MAX).collect()),
            Err(stop) => stop,
        }
    }
}

/// Puts an error at byte `at`.
pub(super) fn fail(at: usize) -> impl Fn(String) -> Stop {
    move |message| Stop::Fault(Fault { at, message })
}
