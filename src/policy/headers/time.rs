//! One text, one time: tells apart the ways in which servers say when a window resets.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::fmt::{rfc2822, temporal};
use jiff::tz::Offset;

use crate::model::Timestamp;

/// From here on a bare number can only be milliseconds since the epoch: as seconds it would be the
/// year 33658.
const EPOCH_MS_MIN: f64 = 1e12;
/// From here on a bare number can only be seconds since the epoch (2001 and later): as a wait it
/// would be 31 years.
const EPOCH_S_MIN: f64 = 1e9;
/// No window is longer than a month; an epoch further ahead is some other number.
const AHEAD_MAX_MS: f64 = 32.0 * 86_400_000.0;
/// A clock that is a time zone off is still believed to mean the past.
const BEHIND_MAX_MS: f64 = 86_400_000.0;
/// No date is written with more characters; the parsers are spared what is longer.
const TEXT_LEN_MAX: usize = 100;

/// When a window resets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// From now; zero when it has passed.
    pub wait: Duration,
    /// Given in whole seconds, so it may be up to 1 s off.
    pub coarse: bool,
}

/// Reads the time until a reset from any of: delta seconds, seconds or milliseconds since the
/// epoch (fractions too), a Go duration (`6m0s`), an HTTP, ISO 8601, RFC 2822 or JavaScript date.
/// What has passed is zero; what is none of these is `None`.
pub fn reset_in(text: &str, now: Timestamp) -> Option<Reset> {
    let text = text.trim();
    if text.is_empty() || text.len() > TEXT_LEN_MAX {
        return None;
    }
    if let Some(number) = number(text) {
        return reset_of_number(number, !text.contains('.'), now);
    }
    if let Some(wait) = go_duration(text) {
        let coarse = !text.contains('.') && wait.subsec_nanos() == 0;
        return Some(Reset { wait, coarse });
    }
    let (date, coarse) = date(text)?;
    Some(Reset { wait: now.until(date), coarse })
}

/// The rule for a bare number; `whole` says that it was written without a fraction.
pub fn reset_of_number(number: f64, whole: bool, now: Timestamp) -> Option<Reset> {
    if number < EPOCH_S_MIN {
        return Some(Reset { wait: seconds(number)?, coarse: whole });
    }
    let (epoch_ms, coarse) =
        if number >= EPOCH_MS_MIN { (number, false) } else { (number * 1000.0, whole) };
    let ahead_ms = epoch_ms - now.as_millis() as f64;
    if !(-BEHIND_MAX_MS..=AHEAD_MAX_MS).contains(&ahead_ms) {
        return None;
    }
    Some(Reset { wait: Duration::from_micros((ahead_ms.max(0.0) * 1000.0) as u64), coarse })
}

/// `text` as milliseconds from now, for headers whose name says so.
pub fn millis(text: &str) -> Option<Duration> {
    seconds(number(text.trim())? / 1000.0)
}

/// A number without sign: digits with at most one point. Rust's own parser would also take `inf`,
/// `nan` and `1e9`, which nobody means.
pub fn number(text: &str) -> Option<f64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    if plain { text.parse().ok() } else { None }
}

/// `value` seconds; `None` for what is negative or no number.
pub fn seconds(value: f64) -> Option<Duration> {
    if value.is_nan() || value < 0.0 {
        return None;
    }
    Some(Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX))
}

/// A duration as Go writes it (`1h2m3.5s`, `12ms`), and days.
pub fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let value = number(&rest[..digits])?;
        rest = &rest[digits..];
        let unit_end = rest.find(|letter: char| letter.is_ascii_digit()).unwrap_or(rest.len());
        total += value * unit_seconds(&rest[..unit_end])?;
        rest = &rest[unit_end..];
    }
    // Nanoseconds are as fine as Go goes; rounding to them hides the error of the sum.
    seconds((total * 1e9).round() / 1e9)
}

fn unit_seconds(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1e-9,
        "us" | "µs" | "μs" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    })
}

/// A date in words, and whether it is in whole seconds.
fn date(text: &str) -> Option<(Timestamp, bool)> {
    if let Some(date) = http_date(text) {
        return Some((date, true));
    }
    if text.starts_with(|letter: char| letter.is_ascii_digit()) && text.contains('-') {
        return Some((iso_date(text)?, !text.contains('.')));
    }
    let parsed = rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
    let date = match parsed {
        Some(date) => Timestamp::from_millis(date.as_millisecond()),
        None => js_date(text)?,
    };
    Some((date, true))
}

/// One of the three forms of RFC 9110.
pub fn http_date(text: &str) -> Option<Timestamp> {
    let time: SystemTime = httpdate::parse_http_date(text.trim()).ok()?;
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    Some(Timestamp::from_millis(i64::try_from(since.as_millis()).ok()?))
}

/// With an offset, or without one, which is taken for UTC.
fn iso_date(text: &str) -> Option<Timestamp> {
    if let Some(date) = Timestamp::parse(text) {
        return Some(date);
    }
    // Ruby and Go put a space before the zone.
    let mut parts = text.splitn(3, ' ');
    let (first, second, third) = (parts.next()?, parts.next(), parts.next());
    let (civil, zone) = match (second, third) {
        (None, _) => (first.to_owned(), None),
        (Some(second), None) if second.contains(':') && !second.starts_with(['+', '-']) => {
            (format!("{first}T{second}"), None)
        }
        (Some(zone), None) => (first.to_owned(), Some(zone)),
        (Some(second), Some(zone)) => (format!("{first}T{second}"), Some(zone)),
    };
    let civil = temporal::DateTimeParser::new().parse_datetime(civil).ok()?;
    let offset = match zone {
        None | Some("UTC" | "GMT" | "Z" | "+0000 UTC") => Offset::UTC,
        Some(zone) => offset(zone)?,
    };
    Some(Timestamp::from_millis(offset.to_timestamp(civil).ok()?.as_millisecond()))
}

/// `Tue Feb 16 2021 09:02:42 GMT+0100 (Central European Standard Time)`.
fn js_date(text: &str) -> Option<Timestamp> {
    let mut words = text.split_ascii_whitespace();
    let (_weekday, month, day) = (words.next()?, words.next()?, words.next()?);
    let (year, time) = (words.next()?, words.next()?);
    let offset = match words.next()?.strip_prefix("GMT")? {
        "" => Offset::UTC,
        zone => offset(zone)?,
    };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let (day, year): (u8, u16) = (day.parse().ok()?, year.parse().ok()?);
    let written = format!("{year:04}-{month:02}-{day:02}T{time}");
    let civil = temporal::DateTimeParser::new().parse_datetime(written).ok()?;
    Some(Timestamp::from_millis(offset.to_timestamp(civil).ok()?.as_millisecond()))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `+0100` or `+01:00`.
fn offset(text: &str) -> Option<Offset> {
    let sign = match text.bytes().next()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|letter| *letter != ':').collect();
    if digits.len() != 4 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i32 = digits.parse().ok()?;
    Offset::from_seconds(sign * (number / 100 * 3600 + number % 100 * 60)).ok()
}
