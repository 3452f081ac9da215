//! Arrays. Nested ones are taken for one, a single value for an array of one, as the original does.

use std::cmp::Ordering;
use std::collections::HashSet;

use super::super::compare;
use super::super::decimal::{Number, Operation};
use super::super::value::{Value, whole};
use super::super::write::{self, Push as _};
use super::texts::part;
use super::{Arguments, Kit, Made};

/// The items of the input, nested arrays laid flat.
fn flat<'a>(input: &Value<'a>, kit: &mut Kit<'_>) -> Result<Vec<Value<'a>>, String> {
    fn add<'a>(
        value: &Value<'a>,
        flat: &mut Vec<Value<'a>>,
        kit: &mut Kit<'_>,
    ) -> Result<(), String> {
        for item in value.items(kit.budget)? {
            match item.length() {
                Some(_) => add(&item, flat, kit)?,
                None => flat.push(item),
            }
        }
        Ok(())
    }
    let mut items = Vec::new();
    add(input, &mut items, kit)?;
    // Most filters look for a property of each.
    for item in &items {
        kit.budget.burn(item.search())?;
    }
    Ok(items)
}

/// What an item is judged by: itself, or a property of it.
fn judged<'a>(item: &Value<'a>, property: Option<&str>) -> Value<'a> {
    property.map_or_else(|| item.clone(), |property| item.field(property))
}

fn property<'a>(
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Result<Option<super::super::value::Text<'a>>, String> {
    with.first().map(|name| write::text(name, kit.budget)).transpose()
}

pub(super) fn first<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    match &input {
        Value::Text(text, _) => {
            let end = text.chars().next().map_or(0, char::len_utf8);
            part(text, 0..end, kit)
        }
        other => Ok(other.item(0)),
    }
}

pub(super) fn last<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    match &input {
        Value::Text(text, _) => {
            let start = text.char_indices().next_back().map_or(0, |(at, _)| at);
            part(text, start..text.len(), kit)
        }
        other => Ok(other.dot("last")),
    }
}

pub(super) fn size<'a>(input: Value<'a>, _: &Arguments<'a>, _: &mut Kit<'_>) -> Made<'a> {
    Ok(match &input {
        Value::Text(text, _) => whole(text.chars().count()),
        other => whole(other.length().or(other.fields()).unwrap_or(0)),
    })
}

pub(super) fn join<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let glue = match with.first() {
        Some(glue) => write::text(glue, kit.budget)?,
        None => super::super::value::Text::Borrowed(" "),
    };
    let mut out = kit.budget.builder();
    for (index, item) in flat(&input, kit)?.iter().enumerate() {
        out.push(if index > 0 { &glue } else { "" })?;
        write::plain(item, &mut out)?;
    }
    out.value(kit.budget)
}

pub(super) fn reverse<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let mut items = flat(&input, kit)?;
    items.reverse();
    Ok(Value::list(items))
}

pub(super) fn map<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let name = write::text(&with.one(), kit.budget)?;
    let items = flat(&input, kit)?;
    Ok(Value::list(items.iter().map(|item| item.field(&name)).collect()))
}

pub(super) fn concat<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let other = with.one();
    if other.length().is_none() {
        return Err(format!("needs an array, not {}", other.kind()));
    }
    let mut items = flat(&input, kit)?;
    items.extend(flat(&other, kit)?);
    Ok(Value::list(items))
}

pub(super) fn compact<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let name = property(with, kit)?;
    let mut items = flat(&input, kit)?;
    items.retain(|item| !judged(item, name.as_deref()).is_nil());
    Ok(Value::list(items))
}

/// Whether an item's property is the value asked for, or true where none is.
fn matches<'a>(item: &Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Result<bool, String> {
    let name = property(with, kit)?;
    let value = judged(item, name.as_deref());
    match with.second() {
        None => Ok(value.is_true()),
        Some(wanted) => {
            kit.budget.step()?;
            compare::equal(&value, wanted, kit.budget)
        }
    }
}

fn keep<'a>(input: &Value<'a>, with: &Arguments<'a>, wanted: bool, kit: &mut Kit<'_>) -> Made<'a> {
    let mut kept = Vec::new();
    for item in flat(input, kit)? {
        if matches(&item, with, kit)? == wanted {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

pub(super) fn select<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    keep(&input, with, true, kit)
}

pub(super) fn reject<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    keep(&input, with, false, kit)
}

fn position<'a>(
    input: &Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Result<Option<(usize, Value<'a>)>, String> {
    for (index, item) in flat(input, kit)?.into_iter().enumerate() {
        if matches(&item, with, kit)? {
            return Ok(Some((index, item)));
        }
    }
    Ok(None)
}

pub(super) fn find<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    Ok(position(&input, with, kit)?.map_or(Value::Nil, |(_, item)| item))
}

pub(super) fn find_index<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    Ok(position(&input, with, kit)?.map_or(Value::Nil, |(index, _)| whole(index)))
}

pub(super) fn has<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    Ok(Value::Bool(position(&input, with, kit)?.is_some()))
}

pub(super) fn property_accessor<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    kit.budget.burn(input.search())?;
    Ok(input.index(&with.one()))
}

pub(super) fn slice<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let number = |value: Option<&Value<'a>>| match value.map(Number::of).transpose()? {
        None => Ok(1),
        Some(Number::Int(number)) => Ok(i128::from(number)),
        Some(Number::Float(_)) => Err("needs whole numbers".to_owned()),
    };
    let (offset, count) = (number(with.first())?, number(with.second())?);
    let range = |length: usize| -> (usize, usize) {
        let total = i128::try_from(length).unwrap_or(i128::MAX);
        let start = if offset < 0 { offset + total } else { offset };
        let end = start.saturating_add(count.max(0)).min(total);
        match start < 0 || start >= end {
            true => (0, 0),
            false => (usize::try_from(start).unwrap_or(0), usize::try_from(end).unwrap_or(0)),
        }
    };
    if input.length().is_some() {
        let items = input.items(kit.budget)?;
        let (start, end) = range(items.len());
        return Ok(Value::list(items[start..end].to_vec()));
    }
    let text = write::text(&input, kit.budget)?;
    let (start, end) = range(text.chars().count());
    let byte = |index: usize| text.char_indices().nth(index).map_or(text.len(), |(at, _)| at);
    part(&text, byte(start)..byte(end), kit)
}

pub(super) fn sum<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let name = property(with, kit)?;
    let mut total = Number::Int(0);
    for item in flat(&input, kit)? {
        let value = judged(&item, name.as_deref());
        if let Value::Text(text, _) = &value {
            kit.budget.read(text.len())?;
        }
        // Decimal reckoning costs more than a step.
        kit.budget.burn(4)?;
        total = total.apply(Operation::Plus, Number::of(&value)?)?;
    }
    Ok(total.value())
}

pub(super) fn uniq<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let name = property(with, kit)?;
    let mut seen = HashSet::new();
    let mut kept = Vec::new();
    for item in flat(&input, kit)? {
        let mut key = kit.budget.builder();
        write::json(&judged(&item, name.as_deref()), &mut key)?;
        if seen.insert(key.finish(kit.budget)?) {
            kept.push(item);
        }
    }
    Ok(Value::list(kept))
}

pub(super) fn sort<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let name = property(with, kit)?;
    let (mut keyed, mut last) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for item in flat(&input, kit)? {
        match judged(&item, name.as_deref()) {
            Value::Nil => last.push(item),
            key => {
                bytes += if let Value::Text(text, _) = &key { text.len() } else { 0 };
                keyed.push((key, item));
            }
        }
    }
    if let Some((first, _)) = keyed.first() {
        let kind = first.kind();
        let sortable = ["a number", "a text", "a time"].contains(&kind);
        if let Some((other, _)) = keyed.iter().find(|(key, _)| key.kind() != kind || !sortable) {
            return Err(format!("has no order between {kind} and {}", other.kind()));
        }
    }
    pay_for_order(keyed.len(), bytes, kit)?;
    // All are of one kind, so the errors and the lack of an order cannot come up.
    let mut free = super::super::budget::Budget { fuel: u64::MAX, ..kit.budget.clone() };
    keyed.sort_by(|(left, _), (right, _)| {
        compare::order(left, right, &mut free).ok().flatten().unwrap_or(Ordering::Equal)
    });
    Ok(Value::list(keyed.into_iter().map(|(_, item)| item).chain(last).collect()))
}

/// Without regard to upper and lower case.
pub(super) fn sort_natural<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let name = property(with, kit)?;
    let (mut keyed, mut last) = (Vec::new(), Vec::new());
    let mut bytes = 0;
    for item in flat(&input, kit)? {
        match judged(&item, name.as_deref()) {
            Value::Nil => last.push(item),
            key => {
                let key = write::text(&key, kit.budget)?.to_lowercase();
                kit.budget.build(key.len())?;
                bytes += key.len();
                keyed.push((key, item));
            }
        }
    }
    pay_for_order(keyed.len(), bytes, kit)?;
    keyed.sort_by(|(left, _), (right, _)| left.cmp(right));
    Ok(Value::list(keyed.into_iter().map(|(_, item)| item).chain(last).collect()))
}

fn pay_for_order(count: usize, bytes: usize, kit: &mut Kit<'_>) -> Result<(), String> {
    let rounds = usize::try_from(count.max(2).ilog2()).unwrap_or(64);
    kit.budget.burn(count.saturating_mul(rounds) as u64)?;
    kit.budget.read(bytes.saturating_mul(rounds))
}
