//! The ways in which a header names a time.

use std::time::{Duration, SystemTime};

use crate::model::Timestamp;

/// A bare number from here on is milliseconds since the epoch…
const EPOCH_MILLIS: f64 = 1e12;
/// …and from here on seconds since the epoch: as a wait it would be 31 years.
const EPOCH_SECONDS: f64 = 1e9;
/// A reset further in the past than this is no reset of a live window.
const PAST_MAX: Duration = Duration::from_secs(86_400);
/// Nor is one further ahead: the longest windows are months.
const FUTURE_MAX: Duration = Duration::from_secs(32 * 86_400);

/// A number of seconds, fractions allowed.
pub fn seconds(text: &str) -> Option<Duration> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value: f64 = if plain { text.parse().ok()? } else { return None };
    Duration::try_from_secs_f64(value).ok()
}

/// A date: the three forms of RFC 9110, RFC 3339, or what JavaScript's `Date` prints.
pub fn date(text: &str) -> Option<Timestamp> {
    if !text.is_ascii() {
        return None;
    }
    if let Ok(time) = httpdate::parse_http_date(text) {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        return Some(Timestamp::from_millis(i64::try_from(since.as_millis()).ok()?));
    }
    Timestamp::parse(text).or_else(|| javascript_date(text))
}

/// `Tue Feb 16 2021 09:02:42 GMT+0100 (Central European Standard Time)`.
fn javascript_date(text: &str) -> Option<Timestamp> {
    let words: Vec<&str> = text.split_ascii_whitespace().take(6).collect();
    let [_, month, day, year, clock, zone] = words[..] else { return None };
    let months =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? + 1;
    let zone = zone.strip_prefix("GMT")?;
    let (hours, minutes) = match zone.len() {
        0 => ("+00", "00"),
        5 => zone.split_at(3),
        _ => return None,
    };
    Timestamp::parse(&format!("{year}-{month:02}-{day:0>2}T{clock}{hours}:{minutes}"))
}

/// The time until a reset that is given as delta seconds, epoch seconds, epoch milliseconds, a
/// duration with units, or a date; and whether it was given in whole seconds. A reset that has
/// passed is zero; a number that fits none of these is `None`.
pub fn reset_in(text: &str, now: Timestamp) -> Option<(Duration, bool)> {
    let text = text.trim().trim_matches('"');
    let coarse = !text.contains('.');
    if let Ok(value) = text.parse::<f64>() {
        return match value {
            _ if !(0.0..1e16).contains(&value) => None,
            _ if value >= EPOCH_MILLIS => {
                let then = Timestamp::from_millis(value as i64);
                live(then, now).map(|left| (left, false))
            }
            _ if value >= EPOCH_SECONDS => {
                let then = Timestamp::from_millis((value * 1000.0) as i64);
                live(then, now).map(|left| (left, coarse))
            }
            _ => Duration::try_from_secs_f64(value).ok().map(|left| (left, coarse)),
        };
    }
    if let Some(left) = duration(text) {
        return Some((left, false));
    }
    let left = live(date(text)?, now)?;
    Some((left, coarse))
}

fn live(then: Timestamp, now: Timestamp) -> Option<Duration> {
    let left = now.until(then);
    (left <= FUTURE_MAX && then.until(now) <= PAST_MAX).then_some(left)
}

/// A duration with units as Go prints it: `6m0s`, `1.5s`, `20ms`, `1h30m`.
fn duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let value: f64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let end = tail.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(tail.len());
        total += value
            * match &tail[..end] {
                "ms" => 0.001,
                "s" => 1.0,
                "m" => 60.0,
                "h" => 3600.0,
                "d" => 86_400.0,
                _ => return None,
            };
        rest = &tail[end..];
    }
    (!text.is_empty()).then_some(())?;
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_reset_is_told_apart() {
        let now = Timestamp::parse("2026-11-24T07:00:00Z").expect("a time");
        let seconds = now.as_secs();
        let cases = [
            ("30".to_owned(), Some((30.0, true))),
            ("0".to_owned(), Some((0.0, true))),
            ("1.5".to_owned(), Some((1.5, false))),
            ((seconds + 60).to_string(), Some((60.0, true))),
            (format!("{}.25", seconds + 60), Some((60.25, false))),
            ((seconds - 60).to_string(), Some((0.0, true))),
            (((seconds + 60) * 1000).to_string(), Some((60.0, false))),
            ("6m0s".to_owned(), Some((360.0, false))),
            ("20ms".to_owned(), Some((0.02, false))),
            ("1h30m".to_owned(), Some((5400.0, false))),
            ("2026-11-24T07:01:00Z".to_owned(), Some((60.0, true))),
            ("Tue, 24 Nov 2026 07:01:00 GMT".to_owned(), Some((60.0, true))),
            ("Tue Nov 24 2026 08:01:00 GMT+0100 (CET)".to_owned(), Some((60.0, true))),
            ("1000000000".to_owned(), None),
            ("9999999999".to_owned(), None),
            ("-1".to_owned(), None),
            ("NaN".to_owned(), None),
            ("soon".to_owned(), None),
            (String::new(), None),
        ];
        for (text, expected) in cases {
            let read = reset_in(&text, now).map(|(left, coarse)| (left.as_secs_f64(), coarse));
            assert_eq!(read, expected, "{text}");
        }
    }
}
