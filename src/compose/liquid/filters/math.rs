//! Numbers. A text counts by the digits that it begins with, as the original has it.

use super::super::decimal::{Number, Operation, Rounding};
use super::super::value::Value;
use super::super::write;
use super::{Arguments, Kit, Made};

/// Fuel of decimal arithmetic, which goes through the digits.
const FUEL: u64 = 8;

fn apply<'a>(
    input: &Value<'a>,
    operation: Operation,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let (left, right) = (Number::of(input)?, Number::of(&with.one())?);
    if !matches!((left, right), (Number::Int(_), Number::Int(_))) {
        kit.budget.burn(FUEL)?;
    }
    Ok(left.apply(operation, right)?.value())
}

pub(super) fn plus<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    apply(&input, Operation::Plus, with, kit)
}

pub(super) fn minus<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    apply(&input, Operation::Minus, with, kit)
}

pub(super) fn times<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    apply(&input, Operation::Times, with, kit)
}

pub(super) fn divided_by<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    apply(&input, Operation::Divide, with, kit)
}

pub(super) fn modulo<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    apply(&input, Operation::Modulo, with, kit)
}

pub(super) fn at_least<'a>(input: Value<'a>, with: &Arguments<'a>, _: &mut Kit<'_>) -> Made<'a> {
    Ok(Number::of(&input)?.bounded(Number::of(&with.one())?, true).value())
}

pub(super) fn at_most<'a>(input: Value<'a>, with: &Arguments<'a>, _: &mut Kit<'_>) -> Made<'a> {
    Ok(Number::of(&input)?.bounded(Number::of(&with.one())?, false).value())
}

pub(super) fn abs<'a>(input: Value<'a>, _: &Arguments<'a>, _: &mut Kit<'_>) -> Made<'a> {
    Ok(Number::of(&input)?.abs()?.value())
}

pub(super) fn ceil<'a>(input: Value<'a>, _: &Arguments<'a>, _: &mut Kit<'_>) -> Made<'a> {
    Ok(Number::of(&input)?.round(Rounding::Ceiling, 0)?.value())
}

pub(super) fn floor<'a>(input: Value<'a>, _: &Arguments<'a>, _: &mut Kit<'_>) -> Made<'a> {
    Ok(Number::of(&input)?.round(Rounding::Floor, 0)?.value())
}

pub(super) fn round<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    kit.budget.burn(FUEL)?;
    let places = match Number::of(&with.one())?.round(Rounding::Floor, 0)? {
        Number::Int(places) => places,
        Number::Float(_) => 0,
    };
    Ok(Number::of(&input)?.round(Rounding::Nearest, places)?.value())
}

/// `145` becomes `145.00`, as Braze has it: no currency, and unlike Shopify's no cents.
pub(super) fn money<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let text = match Number::of(&input)?.round(Rounding::Nearest, 2)? {
        Number::Int(whole) => format!("{whole}.00"),
        Number::Float(amount) => format!("{amount:.2}"),
    };
    kit.budget.build(text.len())?;
    Ok(Value::built(text))
}

/// `1234567.5` becomes `1,234,567.5`; what is no number stays.
pub(super) fn number_with_delimiter<'a>(
    input: Value<'a>,
    with: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let delimiter = match with.first() {
        Some(delimiter) => write::text(delimiter, kit.budget)?,
        None => super::super::value::Text::Borrowed(","),
    };
    let text = write::text(&input, kit.budget)?;
    let unsigned = text.strip_prefix('-').unwrap_or(&text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || fraction.is_some_and(|fraction| !is_number(fraction)) {
        return Ok(input);
    }
    let mut out = kit.budget.builder();
    use super::super::write::Push as _;
    out.push(&text[..text.len() - unsigned.len()])?;
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index) % 3 == 0 {
            out.push(&delimiter)?;
        }
        out.push_char(digit)?;
    }
    if let Some(fraction) = fraction {
        out.push(".")?;
        out.push(fraction)?;
    }
    out.value(kit.budget)
}
