//! Turns of JSON within an input: bytes turned at random seldom leave it well formed, and what lies
//! behind the first brace would hardly be seen.

use fastrand::Rng;
use serde_json::{Value, json};

/// Where JSON stands in an input, and what it says.
pub struct Found {
    pub from: usize,
    pub to: usize,
    pub value: Value,
}

/// A value of the input that begins with a brace or a bracket: the first, or the last where `last`.
pub fn find(input: &[u8], last: bool) -> Option<Found> {
    let opens = |byte: &u8| *byte == b'{' || *byte == b'[';
    let from = match last {
        false => input.iter().position(opens)?,
        // What follows a mark or a line is JSON of its own.
        true => {
            let two = |two: &[u8]| (two[0] == 0 || two[0] == b'\n') && opens(&two[1]);
            input.windows(2).rposition(two)? + 1
        }
    };
    let mut values = serde_json::Deserializer::from_slice(&input[from..]).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some(Found { from, to: from + values.byte_offset(), value })
}

/// Changes a node of `value`; `other` is where foreign nodes and names come from.
pub fn change(value: &mut Value, other: &Value, words: &[&str], dice: &mut Rng) {
    let foreign = pick(other, dice);
    let count = nodes(value);
    let Some(node) = nth(value, &mut dice.usize(..count)) else { return };
    match dice.u32(..6) {
        0 => *node = hostile(words, dice),
        1 => *node = foreign,
        2 => match node {
            Value::Object(fields) if !fields.is_empty() => {
                let name = fields.keys().nth(dice.usize(..fields.len())).cloned();
                name.and_then(|name| fields.remove(&name));
            }
            Value::Array(items) if !items.is_empty() => {
                let again = items[dice.usize(..items.len())].clone();
                items.insert(dice.usize(..=items.len()), again);
            }
            Value::String(text) => text.push_str(words[dice.usize(..words.len())]),
            node => *node = hostile(words, dice),
        },
        3 => match (node, other) {
            (Value::Object(fields), Value::Object(others)) if !others.is_empty() => {
                let (name, value) = others.iter().nth(dice.usize(..others.len())).expect("in it");
                fields.insert(name.clone(), value.clone());
            }
            (Value::Object(fields), _) => {
                fields.insert(words[dice.usize(..words.len())].to_owned(), foreign);
            }
            (Value::Array(items), _) => items.push(foreign),
            (node, _) => *node = json!([node.take()]),
        },
        4 => {
            let inner = node.take();
            let word = words[dice.usize(..words.len())];
            *node = if dice.bool() { json!([inner, inner]) } else { json!({ word: inner }) };
        }
        _ => *node = Value::Null,
    }
}

/// A value that few expect.
fn hostile(words: &[&str], dice: &mut Rng) -> Value {
    let numbers = [
        json!(0),
        json!(-1),
        json!(1),
        json!(0.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(4_294_967_296_u64),
        json!(1e300),
        json!(true),
        json!([]),
        json!({}),
        json!(""),
        json!(" "),
        json!("\u{0}"),
        json!("x".repeat(300)),
    ];
    match dice.bool() {
        true => numbers[dice.usize(..numbers.len())].clone(),
        false => json!(words[dice.usize(..words.len())]),
    }
}

/// A copy of some node.
fn pick(value: &Value, dice: &mut Rng) -> Value {
    let mut copy = value.clone();
    let count = nodes(&copy);
    nth(&mut copy, &mut dice.usize(..count)).map(Value::take).unwrap_or_default()
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(fields) => fields.values().map(nodes).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(items) => items.iter_mut().find_map(|item| nth(item, left)),
        Value::Object(fields) => fields.values_mut().find_map(|item| nth(item, left)),
        _ => None,
    }
}
