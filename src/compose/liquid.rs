//! Liquid in Braze's dialect: parsed once, rendered often, within a budget.
//!
//! Semantics are those of the original (Ruby), since Braze runs it: decimal arithmetic, integer
//! division, conditions joined from the right, blank blocks that print nothing. Added are Braze's
//! `${name}`, `{{ }}` inside tags, its filters and `abort_message`. A value is never evaluated
//! again, and in JSON no value can leave the string or the place that it stands in.
//!
//! The way of a template: `pieces` takes the source apart, `tokens` reads the words of each output
//! and tag, `parse` and `tags` make nodes of them, `render` runs the nodes into a `sink`. Every
//! step costs fuel, every text that is built costs bytes (`budget`), and nothing nests deeper than
//! a fixed limit; so any source over any values ends soon, in bounded memory, without a clock.

mod budget;
mod compare;
mod cursor;
mod decimal;
mod evaluate;
mod expression;
mod fault;
mod filters;
mod known;
mod loops;
mod names;
mod nearest;
mod nodes;
mod parse;
mod pieces;
mod render;
mod scope;
mod sink;
mod strftime;
mod tags;
#[cfg(test)]
mod tests;
mod times;
mod tokens;
mod value;
mod write;

use std::sync::Arc;

pub use budget::Budget;
pub use fault::{ParseError, RenderError};
pub use scope::{Missing, Scope};

use expression::Expression;
use fault::{Fault, Stop};
use nodes::Node;
use parse::Program;
use sink::{Mode, Place};

/// A parsed template.
#[derive(Clone, Debug)]
pub struct Template {
    program: Arc<Program>,
}

/// What the output of a template lands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Context {
    /// Text: values are printed as they are.
    Text,
    /// JSON text: values inside its strings are escaped, values outside are written as JSON, and
    /// the whole must be JSON.
    Json,
    /// A URL: a missing variable is an error unless the scope says otherwise; no control
    /// characters.
    Url,
    /// A header's value: no CR, LF, NUL.
    Header,
}

impl Template {
    /// Parses a source of at most 512 KiB.
    pub fn parse(source: &str) -> Result<Template, ParseError> {
        match parse::parse(source) {
            Ok(program) => Ok(Template { program: Arc::new(program) }),
            Err(fault) => Err(ParseError::new(source, fault)),
        }
    }

    /// Whether it has no Liquid in it and always renders to its source.
    pub fn is_plain(&self) -> bool {
        let nodes = &self.program.nodes;
        nodes
            .iter()
            .all(|node| matches!(node, Node::Text(range) if range.len() == self.source().len()))
            && nodes.is_empty() == self.source().is_empty()
    }

    /// The source.
    pub fn source(&self) -> &str {
        &self.program.source
    }

    /// Renders it.
    pub fn render(
        &self,
        scope: &Scope<'_>,
        context: Context,
        budget: &mut Budget,
    ) -> Result<String, RenderError> {
        // A guess that is seldom too small, and never wasteful.
        let mut out = String::with_capacity(self.source().len() + self.source().len() / 4);
        self.render_into(scope, context, budget, &mut out)?;
        Ok(out)
    }

    /// Renders it behind what `out` holds.
    pub fn render_into(
        &self,
        scope: &Scope<'_>,
        context: Context,
        budget: &mut Budget,
        out: &mut String,
    ) -> Result<(), RenderError> {
        let mode = match context {
            Context::Json => Mode::JsonText(Place::Outside),
            Context::Text | Context::Url | Context::Header => Mode::Plain,
        };
        let start = out.len();
        self.run(scope, context == Context::Url, mode, budget, out)?;
        check(context, &out[start..])
            .map_err(|message| RenderError::new(self.source(), Fault::new(0, message).into()))
    }

    /// Renders it as the inside of a JSON string, without the quotes.
    pub fn render_json_string(
        &self,
        scope: &Scope<'_>,
        budget: &mut Budget,
        out: &mut String,
    ) -> Result<(), RenderError> {
        self.run(scope, false, Mode::JsonString, budget, out)
    }

    /// Whether it is one output that ends in the `json` filter: it stands for a JSON value.
    pub fn is_json_value(&self) -> bool {
        let [Node::Output(pipeline)] = &self.program.nodes[..] else { return false };
        let last = match (&pipeline.head, pipeline.filters.last()) {
            (_, Some(last)) => Some(last),
            (Expression::Nested(inner), None) => inner.filters.last(),
            _ => None,
        };
        last.is_some_and(|last| ["json", "to_json", "as_json_string"].contains(&last.filter.name))
    }

    fn run(
        &self,
        scope: &Scope<'_>,
        in_url: bool,
        mode: Mode,
        budget: &mut Budget,
        out: &mut String,
    ) -> Result<(), RenderError> {
        render::run(&self.program, scope, in_url, mode, budget, out)
            .map_err(|stop: Stop| RenderError::new(self.source(), stop))
    }
}

/// What the output must be for its place.
fn check(context: Context, text: &str) -> Result<(), String> {
    match context {
        Context::Text => Ok(()),
        Context::Json => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Ok(()),
            Err(why) => Err(format!(
                "what is rendered is not JSON: {why} of the output; values are inserted as JSON \
                 already, so write {{{{ x }}}} or \"{{{{ x }}}}\" and check commas and braces"
            )),
        },
        Context::Url => match text.trim().chars().find(|letter| letter.is_control()) {
            Some(letter) => Err(format!(
                "has the control character U+{:04X} after rendering; encode the value: \
                 | url_param_escape",
                u32::from(letter)
            )),
            None => Ok(()),
        },
        Context::Header => match text.chars().find(|letter| matches!(letter, '\r' | '\n' | '\0')) {
            Some(letter) => Err(format!(
                "has {} after rendering, which a header cannot carry; take it out: \
                 | strip_newlines",
                match letter {
                    '\r' => "a carriage return (CR)",
                    '\n' => "a line break (LF)",
                    _ => "a NUL",
                }
            )),
            None => Ok(()),
        },
    }
}
