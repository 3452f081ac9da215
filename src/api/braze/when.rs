//! Times as that public API takes them: ISO 8601 with an offset or without one (then UTC), with a
//! space for the `T`, and `yyyy-MM-dd'T'HH:mm:ss:SSSZ`, whose milliseconds follow a colon.

use jiff::civil::DateTime;
use jiff::tz::Offset;

use crate::model::Timestamp;

/// Characters of `2026-11-24T09:00:00`.
const SECONDS_END: usize = 19;

/// What a time that cannot be read is answered with.
pub(super) const EXPECTED: &str = "is not a time; write ISO 8601, such as 2026-11-24T09:00:00Z";

/// Reads a time.
pub(super) fn parse(text: &str) -> Option<Timestamp> {
    let text = with_two_digits(with_decimal_point(text.trim()));
    if let Some(time) = Timestamp::parse(&text) {
        return Some(time);
    }
    // Ruby writes a space before the offset.
    if let Some(time) = text.rsplit_once(' ').and_then(|(time, offset)| {
        let is_offset = offset.starts_with(['+', '-']) || offset == "UTC";
        let offset = if offset == "UTC" { "Z" } else { offset };
        is_offset.then(|| Timestamp::parse(&format!("{time}{offset}"))).flatten()
    }) {
        return Some(time);
    }
    let civil: DateTime = text.parse().ok()?;
    let time = Offset::UTC.to_timestamp(civil).ok()?;
    Some(Timestamp::from_millis(time.as_millisecond()))
}

/// `2026-11-24T04:00:00-5:00` stands in examples of that API's own manual.
fn with_two_digits(mut text: String) -> String {
    let sign = text.rfind(['+', '-']).filter(|at| *at >= SECONDS_END);
    let Some(sign) = sign else { return text };
    let offset = &text.as_bytes()[sign + 1..];
    if matches!(offset, [digit, b':', _, _] if digit.is_ascii_digit()) {
        text.insert(sign + 1, '0');
    }
    text
}

fn with_decimal_point(text: &str) -> String {
    let mut text = text.to_owned();
    if text.is_char_boundary(SECONDS_END) && text[SECONDS_END.min(text.len())..].starts_with(':') {
        text.replace_range(SECONDS_END..=SECONDS_END, ".");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Option<String> {
        parse(text).map(|time| time.to_string())
    }

    #[test]
    fn every_documented_form_is_read() {
        let expected = Some("2026-11-24T09:00:00.000Z".to_owned());
        for text in [
            "2026-11-24T09:00:00Z",
            "2026-11-24T10:00:00+01:00",
            "2026-11-24T10:00:00+0100",
            "2026-11-24T09:00:00",
            "2026-11-24 09:00:00",
            "2026-11-24 04:00:00 -0500",
            "2026-11-24 09:00:00 UTC",
            "2026-11-24T09:00:00:000Z",
            "2026-11-24T04:00:00:000-0500",
            "2026-11-24T04:00:00-5:00",
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn date_alone_is_midnight_utc() {
        assert_eq!(shown("2026-11-24"), Some("2026-11-24T00:00:00.000Z".to_owned()));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in ["", "tomorrow", "2026-13-01", "ÄÄÄÄÄÄÄÄÄÄÄ", "1764000000"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
