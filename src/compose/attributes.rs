//! Writes to a recipient's attributes, as `/users/track` brings them.
//!
//! A value sets the attribute, objects whole; `null` removes it; `{"inc": n}` adds a number (from 0
//! where there is none); `{"add": […]}` and `{"remove": […]}`, or `$add` and `$remove` as Braze
//! spells them, alone or together, change an array: what is removed goes first, and what is added
//! goes to the end, moved there if it was in the array already. An object with other keys beside
//! these words is a plain value.
//!
//! All writes of a call are applied or none: a fault leaves the attributes as they were.

use serde_json::{Map, Number, Value};

use super::document::{Fault, Vetting};
use super::filter::same;

/// Characters of an attribute's name (Braze's limit).
pub const NAME_MAX: usize = 255;
/// Characters of a string. Braze takes 255; addresses and notes are longer.
pub const STRING_MAX: usize = 10_000;
/// Items of an array (Braze's highest limit).
pub const ARRAY_MAX: usize = 500;
/// Levels of objects and arrays within a value.
const DEPTH_MAX: usize = 16;
/// Bytes of all attributes of a recipient as JSON. They are read for each message to it.
pub const PROFILE_BYTES_MAX: usize = 64 * 1024;
/// The name that is the recipient's own.
const RESERVED: &str = "external_id";

/// One write.
enum Write<'a> {
    Set(&'a Value),
    Remove,
    Increment(&'a Number),
    Change { add: &'a [Value], remove: &'a [Value] },
}

/// Applies `writes` to `attributes`. Faults point at the names as `/NAME`; one of the whole profile
/// points at the top.
pub fn apply(
    attributes: &mut Map<String, Value>,
    writes: &Map<String, Value>,
) -> Result<(), Vec<Fault>> {
    let mut vetting = Vetting::new();
    let mut changed = attributes.clone();
    for (name, value) in writes {
        vetting.under(name, |vetting| {
            vet_name(name, vetting);
            if let Some(write) = read(value, vetting) {
                write_one(&mut changed, name, write, vetting);
            }
        });
    }
    let bytes = serde_json::to_vec(&changed).map_or(usize::MAX, |json| json.len());
    if bytes > PROFILE_BYTES_MAX {
        let detail = format!(
            "the recipient's attributes would have {bytes} bytes as JSON; at most \
             {PROFILE_BYTES_MAX} are kept"
        );
        vetting.fault(detail);
    }
    *attributes = vetting.finish(Some(changed))?;
    Ok(())
}

fn vet_name(name: &str, vetting: &mut Vetting) {
    if name.is_empty() || name.chars().count() > NAME_MAX {
        vetting.fault(format!("a name has 1 to {NAME_MAX} characters"));
    } else if name == RESERVED {
        vetting.fault("is the recipient's own name and no attribute");
    }
}

/// Tells which kind of write a value is. `None` when it is at fault.
fn read<'a>(value: &'a Value, vetting: &mut Vetting) -> Option<Write<'a>> {
    match value {
        Value::Null => Some(Write::Remove),
        Value::Object(fields) if is_change(fields) => change(fields, vetting),
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("inc") => {
            match &fields["inc"] {
                Value::Number(number) => Some(Write::Increment(number)),
                _ => {
                    vetting.fault_at("inc", "is no number; write {\"inc\": 1}");
                    None
                }
            }
        }
        _ => vet_value(value, 1, vetting).then_some(Write::Set(value)),
    }
}

fn is_change(fields: &Map<String, Value>) -> bool {
    let is_word = |key: &String| ["add", "remove", "$add", "$remove"].contains(&key.as_str());
    !fields.is_empty() && fields.keys().all(is_word)
}

fn change<'a>(fields: &'a Map<String, Value>, vetting: &mut Vetting) -> Option<Write<'a>> {
    let (mut add, mut remove): (&[Value], &[Value]) = (&[], &[]);
    let mut sound = true;
    for (key, value) in fields {
        let Value::Array(items) = value else {
            vetting.fault_at(key, format!("is no list; write {{{key:?}: [\"a\"]}}"));
            sound = false;
            continue;
        };
        let slot = if key.ends_with("add") { &mut add } else { &mut remove };
        if !slot.is_empty() {
            vetting.fault_at(key, "is given twice, with and without `$`");
            sound = false;
        }
        *slot = items;
        sound &= vetting.under(key, |vetting| vet_value(value, 1, vetting));
    }
    sound.then_some(Write::Change { add, remove })
}

/// Vets a value by itself.
fn vet_value(value: &Value, depth: usize, vetting: &mut Vetting) -> bool {
    if depth > DEPTH_MAX {
        vetting.fault(format!("is nested deeper than {DEPTH_MAX} levels"));
        return false;
    }
    match value {
        Value::String(text) if text.chars().count() > STRING_MAX => {
            vetting.fault(format!("is longer than {STRING_MAX} characters"));
            false
        }
        Value::Array(items) if items.len() > ARRAY_MAX => {
            vetting.fault(format!("has {} items; at most {ARRAY_MAX} are kept", items.len()));
            false
        }
        Value::Array(items) => items.iter().enumerate().all(|(index, item)| {
            vetting.under(index, |vetting| vet_value(item, depth + 1, vetting))
        }),
        Value::Object(fields) => fields.iter().all(|(key, item)| {
            vetting.under(key, |vetting| {
                if key.chars().count() > NAME_MAX {
                    vetting.fault(format!("a name has 1 to {NAME_MAX} characters"));
                    return false;
                }
                vet_value(item, depth + 1, vetting)
            })
        }),
        _ => true,
    }
}

fn write_one(
    attributes: &mut Map<String, Value>,
    name: &str,
    write: Write<'_>,
    vetting: &mut Vetting,
) {
    match write {
        Write::Set(value) => {
            attributes.insert(name.to_owned(), value.clone());
        }
        Write::Remove => {
            attributes.remove(name);
        }
        Write::Increment(by) => match increment(attributes.get(name), by) {
            Ok(sum) => {
                attributes.insert(name.to_owned(), Value::Number(sum));
            }
            Err(detail) => vetting.fault(detail),
        },
        Write::Change { add, remove } => match changed(attributes.get(name), add, remove) {
            Ok(Some(items)) => {
                attributes.insert(name.to_owned(), Value::Array(items));
            }
            Ok(None) => {}
            Err(detail) => vetting.fault(detail),
        },
    }
}

/// Whole numbers stay whole; a sum that no number can hold is refused, not rounded.
fn increment(found: Option<&Value>, by: &Number) -> Result<Number, String> {
    let zero = Number::from(0);
    let found = match found {
        None => &zero,
        Some(Value::Number(number)) => number,
        Some(other) => {
            return Err(format!("is {}; only a number can be incremented", kind_of(other)));
        }
    };
    if let (Some(found), Some(by)) = (found.as_i128(), by.as_i128()) {
        let sum = found.checked_add(by).and_then(|sum| i64::try_from(sum).ok());
        return sum.map(Number::from).ok_or_else(|| "would exceed 64 bits".into());
    }
    let sum = found.as_f64().zip(by.as_f64()).map(|(found, by)| found + by);
    sum.and_then(Number::from_f64).ok_or_else(|| "would exceed what a number can hold".into())
}

/// The array after the change; `None` where there is none and nothing to add.
fn changed(
    found: Option<&Value>,
    add: &[Value],
    remove: &[Value],
) -> Result<Option<Vec<Value>>, String> {
    let mut items = match found {
        None if add.is_empty() => return Ok(None),
        None => Vec::new(),
        Some(Value::Array(items)) => items.clone(),
        Some(other) => return Err(format!("is {}; only a list has items", kind_of(other))),
    };
    items.retain(|item| !remove.iter().any(|gone| same(gone, item)));
    for value in add {
        items.retain(|item| !same(item, value));
        items.push(value.clone());
    }
    if items.len() > ARRAY_MAX {
        return Err(format!("would have {} items; at most {ARRAY_MAX} are kept", items.len()));
    }
    Ok(Some(items))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
