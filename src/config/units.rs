//! Durations and sizes as people write them: `90s`, `1h30m`, `64KiB`. A bare number is refused, so
//! that a unit is never guessed.

use std::time::Duration;

/// Greatest first: the units of one duration must fall in this order.
const DURATION_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];

/// Powers of 1,024 only: `MB` means either of two numbers, depending on whom one asks.
const SIZE_UNITS: [(&str, u64); 5] =
    [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// Reads a duration; the error says what is wrong with the text, without repeating it.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let mut total_ms: u64 = 0;
    let mut smallest_ms = u64::MAX;
    let mut rest = text;
    while !rest.is_empty() {
        let (number, unit, tail) = split_number(rest, "d, h, m, s or ms")?;
        let Some((_, unit_ms)) = DURATION_UNITS.into_iter().find(|(name, _)| *name == unit) else {
            return Err(format!("has the unknown unit `{unit}` (known: d, h, m, s, ms)"));
        };
        // Also catches a unit that comes twice.
        if unit_ms >= smallest_ms {
            return Err("has its units out of order (greatest first, each once)".into());
        }
        smallest_ms = unit_ms;
        let part = number.checked_mul(unit_ms);
        total_ms = part
            .and_then(|part| total_ms.checked_add(part))
            .ok_or("is longer than can be counted")?;
        rest = tail;
    }
    if smallest_ms == u64::MAX {
        return Err("is empty".into());
    }
    Ok(Duration::from_millis(total_ms))
}

/// Reads a size in bytes; the error says what is wrong with the text, without repeating it.
pub fn parse_size(text: &str) -> Result<u64, String> {
    if text.is_empty() {
        return Err("is empty".into());
    }
    let (number, unit, tail) = split_number(text, "B, KiB, MiB, GiB or TiB")?;
    if !tail.is_empty() {
        return Err("has more than one number and unit".into());
    }
    let Some((_, unit_bytes)) = SIZE_UNITS.into_iter().find(|(name, _)| *name == unit) else {
        return Err(format!("has the unknown unit `{unit}` (known: B, KiB, MiB, GiB, TiB)"));
    };
    number.checked_mul(unit_bytes).ok_or_else(|| "is larger than can be counted".into())
}

/// Writes a duration in the greatest unit that divides it: `90s`, `3d`, `250ms`.
pub fn show_duration(duration: Duration) -> String {
    let total_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    if total_ms == 0 {
        return "0s".into();
    }
    show(total_ms, &DURATION_UNITS)
}

/// Writes a size in the greatest unit that divides it: `64KiB`, `1MiB`, `1000B`.
pub fn show_size(bytes: u64) -> String {
    if bytes == 0 {
        return "0B".into();
    }
    show(bytes, &SIZE_UNITS)
}

/// Both lists end with a unit of 1, which divides everything.
fn show(amount: u64, units: &[(&str, u64)]) -> String {
    let unit = units.iter().find(|(_, factor)| amount.is_multiple_of(*factor));
    let (name, factor) = unit.expect("the last unit is 1");
    format!("{}{name}", amount / factor)
}

/// Takes one number and the letters after it off the front.
fn split_number<'a>(text: &'a str, units: &str) -> Result<(u64, &'a str, &'a str), String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, after) = text.split_at(digits);
    if number.is_empty() {
        return Err("is not a whole number and a unit".into());
    }
    let letters = after.find(|c: char| !c.is_alphabetic()).unwrap_or(after.len());
    let (unit, tail) = after.split_at(letters);
    if unit.is_empty() && tail.is_empty() {
        return Err(format!("has no unit ({units})"));
    }
    if unit.is_empty() {
        return Err("is not a whole number and a unit".into());
    }
    let number = number.parse().map_err(|_| "has a number that is too large")?;
    Ok((number, unit, tail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        let known = [
            ("250ms", 250),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("7d", 604_800_000),
            ("1m500ms", 60_500),
            ("0s", 0),
        ];
        for (text, ms) in known {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
    }

    #[test]
    fn a_duration_that_could_be_misread_is_refused() {
        let wrong = [
            "",
            "90",
            "s",
            "1.5h",
            "1h30",
            "30m1h",
            "1m1m",
            "1y",
            "-1s",
            "1 s",
            "1h 30m",
            "1H",
            "99999999999999999999s",
            "9999999999999999d",
        ];
        for text in wrong {
            assert!(parse_duration(text).is_err(), "{text}");
        }
        assert_eq!(parse_duration("90"), Err("has no unit (d, h, m, s or ms)".into()));
    }

    #[test]
    fn sizes_are_read() {
        let known = [("0B", 0), ("64KiB", 65_536), ("1MiB", 1 << 20), ("3GiB", 3 << 30)];
        for (text, bytes) in known {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
        for text in ["", "1", "1MB", "1M", "MiB", "1.5MiB", "1MiB1B", "99999999TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for ms in [1, 250, 1000, 60_000, 90_000, 5_400_000, 604_800_000, 61_001] {
            let duration = Duration::from_millis(ms);
            assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
        for bytes in [0, 1, 1000, 1024, 1 << 20, 3 << 29] {
            assert_eq!(parse_size(&show_size(bytes)), Ok(bytes));
        }
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
    }
}
