//! Texts.

use super::super::compare;
use super::super::decimal::Number;
use super::super::tokens::SPACE;
use super::super::value::{Mark, Text, Value};
use super::super::write::{self, Push as _};
use super::{Arguments, Kit, Made};

/// The rest of a filter over the input's characters.
fn text<'a>(input: &Value<'a>, kit: &mut Kit<'_>) -> Result<Text<'a>, String> {
    write::text(input, kit.budget)
}

/// A part of a text, without copying it where it is borrowed.
pub(super) fn part<'a>(
    text: &Text<'a>,
    range: std::ops::Range<usize>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    match text {
        Text::Borrowed(text) => Ok(Value::borrowed(text.get(range).unwrap_or_default())),
        Text::Shared(text) => {
            let part = text.get(range).unwrap_or_default();
            kit.budget.build(part.len())?;
            Ok(Value::Text(Text::Shared(part.into()), Mark::Plain))
        }
    }
}

pub(super) fn append<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let (left, right) = (text(&input, kit)?, text(&with.one(), kit)?);
    let mut out = kit.budget.builder();
    out.push(&left)?;
    out.push(&right)?;
    out.value(kit.budget)
}

pub(super) fn prepend<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let (left, right) = (text(&with.one(), kit)?, text(&input, kit)?);
    let mut out = kit.budget.builder();
    out.push(&left)?;
    out.push(&right)?;
    out.value(kit.budget)
}

/// nil, false and what is empty give way.
pub(super) fn default<'a>(input: Value<'a>, with: &Arguments<'a>, _: &mut Kit<'_>) -> Made<'a> {
    let gives_way = match &input {
        Value::Nil => true,
        Value::Bool(false) => !with.allow_false,
        other => compare::is_empty(other),
    };
    match gives_way {
        true => Ok(with.first().cloned().unwrap_or(Value::borrowed(""))),
        false => Ok(input),
    }
}

pub(super) fn upcase<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    letters(&input, kit, |_, letter, out| letter.to_uppercase().try_for_each(|l| out.push_char(l)))
}

pub(super) fn downcase<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    letters(&input, kit, |_, letter, out| letter.to_lowercase().try_for_each(|l| out.push_char(l)))
}

pub(super) fn capitalize<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    letters(&input, kit, |index, letter, out| match index {
        0 => letter.to_uppercase().try_for_each(|l| out.push_char(l)),
        _ => letter.to_lowercase().try_for_each(|l| out.push_char(l)),
    })
}

fn letters<'a>(
    input: &Value<'a>,
    kit: &mut Kit<'_>,
    write: fn(usize, char, &mut write::Builder) -> Result<(), String>,
) -> Made<'a> {
    let text = text(input, kit)?;
    let mut out = kit.budget.builder();
    for (index, letter) in text.chars().enumerate() {
        write(index, letter, &mut out)?;
    }
    out.value(kit.budget)
}

pub(super) fn strip<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let text = text(&input, kit)?;
    let start = text.len() - text.trim_start_matches(SPACE).len();
    let end = text.trim_end_matches(SPACE).len();
    part(&text, start..end.max(start), kit)
}

pub(super) fn lstrip<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let text = text(&input, kit)?;
    part(&text, text.len() - text.trim_start_matches(SPACE).len()..text.len(), kit)
}

pub(super) fn rstrip<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let text = text(&input, kit)?;
    part(&text, 0..text.trim_end_matches(SPACE).len(), kit)
}

pub(super) fn strip_newlines<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let text = text(&input, kit)?;
    let mut out = kit.budget.builder();
    for line in text.split_inclusive('\n') {
        let ended = line.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
        out.push(ended.unwrap_or(line))?;
    }
    out.value(kit.budget)
}

pub(super) fn replace<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    swap(&input, with.first(), with.second(), Which::All, kit)
}

pub(super) fn replace_first<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    swap(&input, with.first(), with.second(), Which::First, kit)
}

pub(super) fn replace_last<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    swap(&input, with.first(), with.second(), Which::Last, kit)
}

pub(super) fn remove<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    swap(&input, with.first(), None, Which::All, kit)
}

pub(super) fn remove_first<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    swap(&input, with.first(), None, Which::First, kit)
}

pub(super) fn remove_last<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    swap(&input, with.first(), None, Which::Last, kit)
}

/// Which occurrences are replaced.
#[derive(Clone, Copy)]
enum Which {
    All,
    First,
    Last,
}

fn swap<'a>(
    input: &Value<'a>,
    from: Option<&Value<'a>>,
    to: Option<&Value<'a>>,
    which: Which,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let text = text(input, kit)?;
    let from = write::text(from.unwrap_or(&Value::Nil), kit.budget)?;
    let to = write::text(to.unwrap_or(&Value::Nil), kit.budget)?;
    let mut out = kit.budget.builder();
    let mut written = 0;
    let mut put = |at: usize| -> Result<(), String> {
        out.push(&text[written..at])?;
        out.push(&to)?;
        written = at + from.len();
        Ok(())
    };
    match which {
        Which::All => text.match_indices(&*from).try_for_each(|(at, _)| put(at))?,
        Which::First => text.find(&*from).map_or(Ok(()), &mut put)?,
        Which::Last => text.rfind(&*from).map_or(Ok(()), &mut put)?,
    }
    out.push(&text[written..])?;
    out.value(kit.budget)
}

/// Empty parts at the end go, and a single space splits at any white space: as Ruby does.
pub(super) fn split<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let (text, by) = (text(&input, kit)?, text(&with.one(), kit)?);
    let start = |part: &str| part.as_ptr() as usize - text.as_ptr() as usize;
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    let mut add = |part: &str, kit: &mut Kit<'_>| {
        kit.budget.items(1)?;
        let at = start(part);
        ranges.push(at..at + part.len());
        Ok::<(), String>(())
    };
    match &*by {
        " " => words(&text).try_for_each(|part| add(part, kit))?,
        "" => text
            .char_indices()
            .try_for_each(|(at, letter)| add(&text[at..at + letter.len_utf8()], kit))?,
        by => text.split(by).try_for_each(|part| add(part, kit))?,
    }
    while ranges.last().is_some_and(|range| range.is_empty()) {
        ranges.pop();
    }
    let parts = ranges.into_iter().map(|range| part(&text, range, kit));
    Ok(Value::list(parts.collect::<Result<_, _>>()?))
}

/// What stands between white space.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(SPACE).filter(|word| !word.is_empty())
}

/// How many, as an argument says it.
fn count(argument: Option<&Value<'_>>, otherwise: usize) -> Result<usize, String> {
    match argument.map(Number::of).transpose()? {
        None => Ok(otherwise),
        Some(Number::Int(count)) => Ok(usize::try_from(count.max(0)).unwrap_or(usize::MAX)),
        Some(Number::Float(_)) => Err("needs a whole number".into()),
    }
}

fn ellipsis<'a>(argument: Option<&Value<'a>>, kit: &mut Kit<'_>) -> Result<Text<'a>, String> {
    argument.map_or(Ok(Text::Borrowed("...")), |argument| text(argument, kit))
}

/// The length counts the ellipsis.
pub(super) fn truncate<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let text = text(&input, kit)?;
    let length = count(with.first(), 50)?;
    let ellipsis = ellipsis(with.second(), kit)?;
    if text.chars().count() <= length {
        return Ok(input);
    }
    let keep = length.saturating_sub(ellipsis.chars().count());
    let mut out = kit.budget.builder();
    let end = text.char_indices().nth(keep).map_or(text.len(), |(at, _)| at);
    out.push(&text[..end])?;
    out.push(&ellipsis)?;
    out.value(kit.budget)
}

pub(super) fn truncatewords<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let text = text(&input, kit)?;
    let length = count(with.first(), 15)?.max(1);
    let ellipsis = ellipsis(with.second(), kit)?;
    if words(&text).nth(length).is_none() {
        return Ok(input);
    }
    let mut out = kit.budget.builder();
    for (index, word) in words(&text).take(length).enumerate() {
        out.push(if index > 0 { " " } else { "" })?;
        out.push(word)?;
    }
    out.push(&ellipsis)?;
    out.value(kit.budget)
}
