//! What an expression yields. JSON of the scope is borrowed and never copied; what filters build is
//! shared, so that a value is cheap to pass on.

use std::cell::Cell;
use std::rc::Rc;

use jiff::ZonedDateTime;
use serde_json::Value as Json;

use super::budget::Budget;

/// A value while a template runs. `'a` is the life of template and scope.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    /// Nothing: a missing variable, JSON's `null`, `nil`.
    Nil,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number of the scope's JSON that is over `i64::MAX`: printed as it is.
    Large(u64),
    /// A number with a fraction; always finite.
    Float(f64),
    /// Text.
    Text(Text<'a>, Mark),
    /// An array or object of the scope.
    Json(&'a Json),
    /// An array that a filter built.
    List(Rc<Vec<Value<'a>>>),
    /// An object that a filter built, in its order.
    Map(Rc<Vec<(Rc<str>, Value<'a>)>>),
    /// `(first..last)`, never written out unless a filter asks for its items.
    Range(i64, i64),
    /// A time in its zone, as `time_zone` gives it.
    Time(Rc<ZonedDateTime>),
    /// `forloop`.
    Loop(Rc<LoopState>),
    /// The word `empty`.
    Empty,
    /// The word `blank`.
    Blank,
}

/// What is known about a text, for a JSON body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// Any text.
    Plain,
    /// JSON of one value (the `json` filter made it): may stand in JSON as it is.
    Json,
    /// The inside of a JSON string (`json_escape` made it): not to be escaped again there.
    Escaped,
}

/// Characters, borrowed or shared.
#[derive(Clone, Debug)]
pub(super) enum Text<'a> {
    /// Of the template or the scope.
    Borrowed(&'a str),
    /// Built while rendering.
    Shared(Rc<str>),
}

impl std::ops::Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            Text::Borrowed(text) => text,
            Text::Shared(text) => text,
        }
    }
}

/// Where a `for` stands.
#[derive(Debug)]
pub(super) struct LoopState {
    /// Items that are gone through.
    pub length: usize,
    /// The present item, from 0.
    pub index: Cell<usize>,
    /// `variable-collection`.
    pub name: Rc<str>,
    /// The loop around this one.
    pub parent: Option<Rc<LoopState>>,
}

impl<'a> Value<'a> {
    /// Plain text of the template or the scope.
    pub fn borrowed(text: &'a str) -> Self {
        Value::Text(Text::Borrowed(text), Mark::Plain)
    }

    /// Plain text that was built.
    pub fn built(text: String) -> Self {
        Value::Text(Text::Shared(text.into()), Mark::Plain)
    }

    /// A list that was built.
    pub fn list(items: Vec<Value<'a>>) -> Self {
        Value::List(Rc::new(items))
    }

    /// A value of the scope.
    pub fn of_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Value::Nil,
            Json::Bool(truth) => Value::Bool(*truth),
            Json::String(text) => Value::borrowed(text),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(whole), _) => Value::Int(whole),
                (None, Some(large)) => Value::Large(large),
                (None, None) => number.as_f64().map_or(Value::Nil, Value::Float),
            },
            Json::Array(_) | Json::Object(_) => Value::Json(json),
        }
    }

    /// Liquid's truth: all but nil and false, so 0 and "" are true.
    pub fn is_true(&self) -> bool {
        !matches!(self, Value::Nil | Value::Bool(false))
    }

    /// Whether it is nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Value::Nil)
    }

    /// How many items an array or range has; `None` for anything else.
    pub fn length(&self) -> Option<usize> {
        match self {
            Value::Json(Json::Array(items)) => Some(items.len()),
            Value::List(items) => Some(items.len()),
            Value::Range(first, last) => {
                let length = (i128::from(*last) - i128::from(*first) + 1).max(0);
                Some(usize::try_from(length).unwrap_or(usize::MAX))
            }
            _ => None,
        }
    }

    /// Item `index` of an array or range; nil when there is none.
    pub fn item(&self, index: usize) -> Value<'a> {
        match self {
            Value::Json(Json::Array(items)) => items.get(index).map_or(Value::Nil, Value::of_json),
            Value::List(items) => items.get(index).cloned().unwrap_or(Value::Nil),
            Value::Range(first, _) if self.length().is_some_and(|length| index < length) => {
                let index = i64::try_from(index).unwrap_or(i64::MAX);
                Value::Int(first.saturating_add(index))
            }
            _ => Value::Nil,
        }
    }

    /// How many fields an object has; `None` for anything else.
    pub fn fields(&self) -> Option<usize> {
        match self {
            Value::Json(Json::Object(fields)) => Some(fields.len()),
            Value::Map(fields) => Some(fields.len()),
            _ => None,
        }
    }

    /// The field `key` of an object; nil when there is none.
    pub fn field(&self, key: &str) -> Value<'a> {
        match self {
            Value::Json(Json::Object(fields)) => fields.get(key).map_or(Value::Nil, Value::of_json),
            Value::Map(fields) => {
                let found = fields.iter().find(|(name, _)| &**name == key);
                found.map_or(Value::Nil, |(_, value)| value.clone())
            }
            _ => Value::Nil,
        }
    }

    /// Steps that looking for a field or a word such as `size` may take.
    pub fn search(&self) -> u64 {
        match self {
            Value::Map(fields) => fields.len() as u64 / 8 + 1,
            Value::Text(text, _) => text.len() as u64 / 64 + 1,
            _ => 1,
        }
    }

    /// Bytes of a text; nothing else has any to look through.
    pub fn text_length(&self) -> usize {
        match self {
            Value::Text(text, _) => text.len(),
            _ => 0,
        }
    }

    /// Whether an object has the field `key`, null or not.
    pub fn has_field(&self, key: &str) -> bool {
        match self {
            Value::Json(Json::Object(fields)) => fields.contains_key(key),
            Value::Map(fields) => fields.iter().any(|(name, _)| &**name == key),
            _ => false,
        }
    }

    /// `value.key`: a field, or one of the words `size`, `first` and `last`.
    pub fn dot(&self, key: &str) -> Value<'a> {
        if self.fields().is_some() {
            return match key {
                "size" if !self.has_field(key) => whole(self.fields().unwrap_or(0)),
                _ => self.field(key),
            };
        }
        match (self, key) {
            (Value::Loop(state), _) => state.field(key),
            (Value::Text(text, _), "size") => whole(text.chars().count()),
            (_, "size") => self.length().map_or(Value::Nil, whole),
            (_, "first") => self.item(0),
            (_, "last") => self.length().map_or(Value::Nil, |n| self.item(n.wrapping_sub(1))),
            _ => Value::Nil,
        }
    }

    /// `value[key]`.
    pub fn index(&self, key: &Value<'a>) -> Value<'a> {
        match (key, self.length()) {
            (Value::Int(index), Some(length)) => match usize::try_from(*index) {
                Ok(index) => self.item(index),
                Err(_) => {
                    let back = usize::try_from(index.unsigned_abs()).unwrap_or(usize::MAX);
                    length.checked_sub(back).map_or(Value::Nil, |index| self.item(index))
                }
            },
            (Value::Text(text, _), _) => self.dot(text),
            (Value::Int(number), None) => self.field(&number.to_string()),
            _ => Value::Nil,
        }
    }

    /// The items of an array or range; of an object `[key, value]` pairs; nothing of nil; else the
    /// value as the only item. Charged for.
    pub fn items(&self, budget: &mut Budget) -> Result<Vec<Value<'a>>, String> {
        if let Some(length) = self.length() {
            budget.items(length)?;
            return Ok((0..length).map(|index| self.item(index)).collect());
        }
        match self {
            Value::Nil => Ok(Vec::new()),
            other => {
                budget.items(1)?;
                Ok(vec![other.clone()])
            }
        }
    }

    /// The `[key, value]` pairs of an object. Charged for.
    pub fn pairs(&self, budget: &mut Budget) -> Result<Vec<Value<'a>>, String> {
        budget.items(self.fields().unwrap_or(0).saturating_mul(4))?;
        let pair = |key: Value<'a>, value| Value::list(vec![key, value]);
        Ok(match self {
            Value::Json(Json::Object(fields)) => fields
                .iter()
                .map(|(key, value)| pair(Value::borrowed(key), Value::of_json(value)))
                .collect(),
            Value::Map(fields) => fields
                .iter()
                .map(|(key, value)| {
                    let key = Value::Text(Text::Shared(key.clone()), Mark::Plain);
                    pair(key, value.clone())
                })
                .collect(),
            _ => Vec::new(),
        })
    }

    /// What kind of value it is, for an error.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Nil | Value::Empty | Value::Blank => "nothing",
            Value::Bool(_) => "true or false",
            Value::Int(_) | Value::Large(_) | Value::Float(_) => "a number",
            Value::Text(..) => "a text",
            Value::Json(Json::Array(_)) | Value::List(_) => "an array",
            Value::Json(_) | Value::Map(_) | Value::Loop(_) => "an object",
            Value::Range(..) => "a range",
            Value::Time(_) => "a time",
        }
    }
}

/// A count as a value.
pub(super) fn whole<'a>(count: usize) -> Value<'a> {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

impl LoopState {
    fn field<'a>(self: &Rc<Self>, key: &str) -> Value<'a> {
        let index = self.index.get();
        let left = self.length.saturating_sub(index + 1);
        match key {
            "index" => whole(index + 1),
            "index0" => whole(index),
            "rindex" => whole(left + 1),
            "rindex0" => whole(left),
            "length" => whole(self.length),
            "first" => Value::Bool(index == 0),
            "last" => Value::Bool(left == 0),
            "name" => Value::Text(Text::Shared(self.name.clone()), Mark::Plain),
            "parentloop" => self.parent.clone().map_or(Value::Nil, Value::Loop),
            _ => Value::Nil,
        }
    }
}
