//! Times: `date` and `time_zone`.

use std::rc::Rc;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::super::strftime;
use super::super::times;
use super::super::value::Value;
use super::super::write;
use super::{Arguments, Kit, Made};

/// Fuel of reading or writing a time, which takes about a microsecond.
const FUEL: u64 = 20;

/// Writes a time by a strftime pattern. What is no time stays, as the original has it.
pub(super) fn date<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let Some(time) = time_of(&input, kit)? else { return Ok(input) };
    let pattern = write::text(&with.one(), kit.budget)?;
    if pattern.is_empty() {
        return Ok(input);
    }
    let limit = kit.budget.string.min(kit.budget.built);
    let text = strftime::format(&pattern, &time, limit)?;
    kit.budget.build(text.len())?;
    Ok(Value::built(text))
}

/// The same time in a zone, for `date` behind it.
pub(super) fn time_zone<'a>(input: Value<'a>, with: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let Some(time) = time_of(&input, kit)? else { return Ok(input) };
    let name = write::text(&with.one(), kit.budget)?;
    match zone(&name) {
        Some(zone) => Ok(Value::Time(Rc::new(time.with_time_zone(zone)))),
        None => {
            let name = super::super::fault::shown(&name);
            Err(format!("`{name}` is no time zone; write one such as Europe/Berlin"))
        }
    }
}

fn zone(name: &str) -> Option<TimeZone> {
    match name.trim() {
        "UTC" | "GMT" | "Z" => Some(TimeZone::UTC),
        name => TimeZone::get(name).ok().or_else(|| times::offset(name).map(TimeZone::fixed)),
    }
}

fn time_of(input: &Value<'_>, kit: &mut Kit<'_>) -> Result<Option<ZonedDateTime>, String> {
    kit.budget.burn(FUEL)?;
    let seconds = |seconds| Timestamp::from_second(seconds).ok();
    let time = match input {
        Value::Time(time) => return Ok(Some((**time).clone())),
        Value::Int(number) => seconds(*number),
        Value::Float(number) => Timestamp::from_millisecond((number * 1000.0) as i64).ok(),
        Value::Text(text, _) => return Ok(times::parse(text, kit.now)),
        _ => None,
    };
    Ok(time.map(|time| time.to_zoned_datetime(TimeZone::UTC)))
}
