//! Computing expressions. Look-ups borrow from the scope; filters are charged for what they read.

use std::cmp::Ordering;

use super::compare;
use super::decimal::{Number, Rounding};
use super::expression::{
    Call, Comparison, Condition, Expression, Head, Join, Path, Pipeline, Step, Term,
};
use super::fault::Stop;
use super::filters::{Arguments, Kit};
use super::render::{Renderer, fail};
use super::scope::Root;
use super::value::Value;

impl<'a> Renderer<'a, '_> {
    /// An expression through its filters.
    pub fn pipeline(&mut self, pipeline: &'a Pipeline) -> Result<Value<'a>, Stop> {
        let mut value = self.expression(&pipeline.head)?;
        for call in &pipeline.filters {
            value = self.call(call, value)?;
        }
        Ok(value)
    }

    fn call(&mut self, call: &'a Call, input: Value<'a>) -> Result<Value<'a>, Stop> {
        let mut arguments = Arguments::default();
        for argument in &call.arguments {
            arguments.push(self.expression(argument)?);
        }
        if let Some(allow_false) = &call.allow_false {
            arguments.allow_false = self.expression(allow_false)?.is_true();
        }
        let texts = std::iter::once(&input).chain(arguments.all());
        let bytes: usize = texts.map(|value| value.text_length()).sum();
        let mut kit = Kit { budget: self.budget, now: self.scope.now };
        let charged = kit.budget.burn(1).and_then(|()| kit.budget.read(bytes));
        charged
            .and_then(|()| (call.filter.run)(input, &arguments, &mut kit))
            .map_err(|message| fail(call.at)(format!("`{}`: {message}", call.filter.name)))
    }

    /// A value.
    pub fn expression(&mut self, expression: &'a Expression) -> Result<Value<'a>, Stop> {
        Ok(match expression {
            Expression::Nil => Value::Nil,
            Expression::Bool(truth) => Value::Bool(*truth),
            Expression::Int(number) => Value::Int(*number),
            Expression::Float(number) => Value::Float(*number),
            Expression::Text(text) => Value::borrowed(text),
            Expression::Empty => Value::Empty,
            Expression::Blank => Value::Blank,
            Expression::Path(path) => self.path(path)?,
            Expression::Range(range) => {
                let (first, last) = &**range;
                Value::Range(self.bound(first)?, self.bound(last)?)
            }
            Expression::Nested(pipeline) => self.pipeline(pipeline)?,
        })
    }

    /// An end of a range, as a whole number.
    fn bound(&mut self, expression: &'a Expression) -> Result<i64, Stop> {
        let value = self.expression(expression)?;
        self.budget.read(value.text_length()).map_err(fail(0))?;
        match Number::of(&value) {
            Ok(Number::Int(number)) => Ok(number),
            Ok(number) => match number.round(Rounding::Floor, 0) {
                Ok(Number::Int(number)) => Ok(number),
                _ => Ok(0),
            },
            Err(_) => Ok(0),
        }
    }

    /// A variable.
    pub fn path(&mut self, path: &'a Path) -> Result<Value<'a>, Stop> {
        let mut steps = path.steps.iter();
        let mut value = match &path.head {
            Head::Name(number, root) => self.named(*number, *root, &mut steps),
            Head::Profile(name) => self.scope.profile(name),
            Head::Computed(name) => self.computed(name)?,
        };
        for step in steps {
            self.budget.burn(value.search()).map_err(fail(path.at))?;
            value = match step {
                Step::Key(key) => value.dot(key),
                Step::Index(index) => {
                    let index = self.expression(index)?;
                    self.budget.read(index.text_length()).map_err(fail(path.at))?;
                    value.index(&index)
                }
            };
        }
        Ok(value)
    }

    fn named(
        &self,
        number: usize,
        root: Option<Root>,
        steps: &mut std::slice::Iter<'a, Step>,
    ) -> Value<'a> {
        let slot = &self.slots[number];
        if let Some(value) = slot.looped.as_ref().or(slot.assigned.as_ref()) {
            return value.clone();
        }
        if let Some(count) = slot.counter {
            return Value::Int(count);
        }
        match (root, steps.as_slice().first()) {
            // Without putting the recipient together for each look-up.
            (Some(Root::Recipient), Some(Step::Key(key))) => {
                steps.next();
                self.scope.of_recipient(key)
            }
            (Some(root), _) => self.scope.root(root),
            (None, _) => Value::Nil,
        }
    }

    fn computed(&mut self, name: &'a Expression) -> Result<Value<'a>, Stop> {
        let Value::Text(name, _) = self.expression(name)? else { return Ok(Value::Nil) };
        let root = Root::named(&name);
        Ok(match self.program.names.find(&name) {
            Some(number) => self.named(number, root, &mut [].iter()),
            None => root.map_or(Value::Nil, |root| self.scope.root(root)),
        })
    }

    /// Whether a condition holds. `a and b or c` is `a and (b or c)`: from right to left, as Liquid
    /// has it; what cannot change the answer is not computed.
    pub fn condition(&mut self, condition: &'a Condition) -> Result<bool, Stop> {
        let mut holds = false;
        for (index, term) in condition.terms.iter().enumerate() {
            holds = self.term(term)?;
            match condition.joins.get(index) {
                Some(Join::And) if !holds => return Ok(false),
                Some(Join::Or) if holds => return Ok(true),
                _ => {}
            }
        }
        Ok(holds)
    }

    fn term(&mut self, term: &'a Term) -> Result<bool, Stop> {
        self.budget.step().map_err(fail(term.at))?;
        let left = self.expression(&term.left)?;
        let Some((comparison, right)) = &term.compared else { return Ok(left.is_true()) };
        let right = self.expression(right)?;
        let budget = &mut *self.budget;
        let holds = match comparison {
            Comparison::Equal => compare::equal(&left, &right, budget),
            Comparison::Unequal => compare::equal(&left, &right, budget).map(|equal| !equal),
            Comparison::Contains => compare::contains(&left, &right, budget),
            Comparison::Less => ordered(&left, &right, budget, Ordering::is_lt),
            Comparison::AtMost => ordered(&left, &right, budget, Ordering::is_le),
            Comparison::Greater => ordered(&left, &right, budget, Ordering::is_gt),
            Comparison::AtLeast => ordered(&left, &right, budget, Ordering::is_ge),
        };
        holds.map_err(fail(term.at))
    }
}

fn ordered(
    left: &Value<'_>,
    right: &Value<'_>,
    budget: &mut super::budget::Budget,
    is: fn(Ordering) -> bool,
) -> Result<bool, String> {
    Ok(compare::order(left, right, budget)?.is_some_and(is))
}
