//! `for`. A range is counted through, never written out.

use std::cell::Cell;
use std::rc::Rc;

use super::decimal::Number;
use super::expression::Expression;
use super::fault::Stop;
use super::nodes::{For, Offset};
use super::render::{Flow, Renderer, fail};
use super::sink::Sink;
use super::value::{LoopState, Value};

impl<'a> Renderer<'a, '_> {
    pub(super) fn each(&mut self, each: &'a For, sink: &mut Sink<'_>) -> Result<Flow, Stop> {
        self.budget.step().map_err(fail(each.at))?;
        let items = self.collection(each)?;
        let total = items.length().unwrap_or(0);
        let from = match &each.offset {
            None => 0,
            Some(Offset::Continue) => self.slots[each.number].ended,
            Some(Offset::At(offset)) => self.amount(offset, each.at)?,
        };
        let from = from.min(total);
        let length = match &each.limit {
            Some(limit) => self.amount(limit, each.at)?.min(total - from),
            None => total - from,
        };
        self.slots[each.number].ended = from + length;
        if length == 0 {
            return self.nodes(&each.otherwise, sink);
        }
        let state = Rc::new(LoopState {
            length,
            index: Cell::new(0),
            name: (*each.name).into(),
            parent: self.around.clone(),
        });
        let (variable, forloop) = (each.variable, self.program.forloop);
        let hidden = self.slots[variable].looped.take();
        let outer = self.slots[forloop].looped.replace(Value::Loop(state.clone()));
        let around = self.around.replace(state.clone());
        let result = self.turns(each, &items, from, &state, sink);
        self.around = around;
        self.slots[forloop].looped = outer;
        self.slots[variable].looped = hidden;
        result
    }

    fn turns(
        &mut self,
        each: &'a For,
        items: &Value<'a>,
        from: usize,
        state: &LoopState,
        sink: &mut Sink<'_>,
    ) -> Result<Flow, Stop> {
        for turn in 0..state.length {
            self.budget.step().map_err(fail(each.at))?;
            let index = match each.reversed {
                true => from + (state.length - 1 - turn),
                false => from + turn,
            };
            state.index.set(turn);
            self.slots[each.variable].looped = Some(items.item(index));
            if self.nodes(&each.body, sink)? == Flow::Break {
                break;
            }
        }
        Ok(Flow::Next)
    }

    /// What is gone through: an array, a range, the pairs of an object; a text is one item.
    fn collection(&mut self, each: &'a For) -> Result<Value<'a>, Stop> {
        let value = self.expression(&each.collection)?;
        if value.length().is_some() {
            return Ok(value);
        }
        if value.fields().is_some() {
            return value.pairs(self.budget).map(Value::list).map_err(fail(each.at));
        }
        Ok(match &value {
            Value::Text(text, _) if !text.is_empty() => Value::list(vec![value]),
            _ => Value::list(Vec::new()),
        })
    }

    /// `limit` or `offset`: a whole number, or a text of one; below 0 is 0.
    fn amount(&mut self, expression: &'a Expression, at: usize) -> Result<usize, Stop> {
        let value = self.expression(expression)?;
        self.budget.read(value.text_length()).map_err(fail(at))?;
        match Number::of(&value) {
            Ok(Number::Int(number)) => Ok(usize::try_from(number.max(0)).unwrap_or(usize::MAX)),
            Ok(Number::Float(_)) | Err(_) => {
                let message = format!("needs a whole number, not {}", value.kind());
                Err(fail(at)(message))
            }
        }
    }
}
