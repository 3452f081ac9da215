//! When a delivery may go and when it is too late: `deliver_at` or `delay`, `expires_at` or `ttl`.

use std::time::Duration;

use super::input::TriggerInput;
use super::refusal::Refusal;
use crate::model::Timestamp;

/// How far ahead a time may lie. Nobody means more than ten years; a slip of the pen does.
pub(crate) const AHEAD_MAX: Duration = Duration::from_secs(3650 * 86_400);

/// The times of a trigger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Not before.
    pub due: Timestamp,
    /// Not after.
    pub expires: Timestamp,
    /// From the later of acceptance and due time to the expiry.
    pub ttl: Duration,
    /// Whether the trigger set its own expiry.
    pub ttl_custom: bool,
}

impl Timing {
    /// That of something that goes at `due` and expires as the settings say.
    pub fn at(due: Timestamp, ttl: Duration) -> Self {
        Self { due, expires: due.plus(ttl), ttl, ttl_custom: false }
    }

    /// The same, not before `due`: the expiry moves with it.
    pub fn not_before(self, due: Timestamp) -> Self {
        let due = self.due.max(due);
        Self { due, expires: due.plus(self.ttl), ..self }
    }
}

/// Works out the times of a trigger that is accepted at `now`.
pub(super) fn timing(
    input: &TriggerInput<'_>,
    now: Timestamp,
    ttl_default: Duration,
) -> Result<Timing, Refusal> {
    let due = due(input, now)?;
    let start = due.max(now);
    let (ttl, ttl_custom) = match (input.expires_at, &input.ttl) {
        (Some(_), Some(_)) => return Err(either("/ttl", "expires_at", "ttl")),
        (Some(expires), None) if expires <= start => {
            let detail =
                format!("must lie after {start}, when the delivery may go at the earliest");
            return Err(Refusal::invalid("/expires_at", detail));
        }
        (Some(expires), None) => (start.until(ahead("/expires_at", expires, now)?), true),
        (None, Some(text)) => match duration("/ttl", &text.0)? {
            Duration::ZERO => return Err(Refusal::invalid("/ttl", "must be more than zero")),
            ttl => (ttl, true),
        },
        (None, None) => (ttl_default, false),
    };
    Ok(Timing { due, expires: start.plus(ttl), ttl, ttl_custom })
}

fn due(input: &TriggerInput<'_>, now: Timestamp) -> Result<Timestamp, Refusal> {
    match (input.deliver_at, &input.delay) {
        (Some(_), Some(_)) => Err(either("/delay", "deliver_at", "delay")),
        // A time that has passed means at once; the queue is ordered by due time, so an old one
        // must not jump it.
        (Some(at), None) => Ok(ahead("/deliver_at", at, now)?.max(now)),
        (None, Some(text)) => Ok(now.plus(duration("/delay", &text.0)?)),
        (None, None) => Ok(now),
    }
}

fn either(pointer: &str, first: &str, second: &str) -> Refusal {
    Refusal::invalid(pointer, format!("give either `{first}` or `{second}`, not both"))
}

fn ahead(pointer: &str, at: Timestamp, now: Timestamp) -> Result<Timestamp, Refusal> {
    if now.until(at) > AHEAD_MAX {
        return Err(Refusal::invalid(pointer, "lies more than ten years ahead"));
    }
    Ok(at)
}

fn duration(pointer: &str, text: &str) -> Result<Duration, Refusal> {
    let Some(duration) = parse_duration(text) else {
        let detail = "not a duration; write a number and a unit (ms, s, m, h, d), such as \
                      \"90s\", \"5m\" or \"1h30m\"";
        return Err(Refusal::invalid(pointer, detail));
    };
    if duration > AHEAD_MAX {
        return Err(Refusal::invalid(pointer, "is more than ten years"));
    }
    Ok(duration)
}

/// Reads `90s`, `1.5h`, `1h30m`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut total_ms = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..unit_at].parse().ok()?;
        let unit_end = rest[unit_at..]
            .find(|c: char| !c.is_ascii_lowercase())
            .map_or(rest.len(), |length| unit_at + length);
        total_ms += number * unit_ms(&rest[unit_at..unit_end])?;
        rest = &rest[unit_end..];
    }
    let sane = !text.is_empty() && total_ms.is_finite() && total_ms < 1e15;
    sane.then(|| Duration::from_millis(total_ms.round() as u64))
}

fn unit_ms(unit: &str) -> Option<f64> {
    match unit {
        "ms" => Some(1.0),
        "s" => Some(1_000.0),
        "m" => Some(60_000.0),
        "h" => Some(3_600_000.0),
        "d" => Some(86_400_000.0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::input::parse;
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_503_600_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn of(text: &str) -> Result<Timing, Refusal> {
        timing(&parse(text.as_bytes()).expect("parses"), NOW, DAY)
    }

    #[test]
    fn durations_have_units() {
        let parse = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(parse("5m"), Some(300_000));
        assert_eq!(parse("1h30m"), Some(5_400_000));
        assert_eq!(parse("1.5s"), Some(1_500));
        assert_eq!(parse("250ms"), Some(250));
        for bad in ["", "5", "m", "5 m", "-5m", "5min", "1e9s", "5m3", ".", "1..2s", "5M"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn expiry_counts_from_the_later_of_now_and_due() {
        let plain = of("{}").expect("valid");
        assert_eq!((plain.due, plain.expires, plain.ttl_custom), (NOW, NOW.plus(DAY), false));
        let later = of(r#"{"delay":"1h","ttl":"10m"}"#).expect("valid");
        let hour = Duration::from_secs(3600);
        assert_eq!(later.due, NOW.plus(hour));
        assert_eq!(later.expires, NOW.plus(Duration::from_secs(4200)));
        assert!(later.ttl_custom);
        let past = of(r#"{"deliver_at":"2020-01-01T00:00:00Z"}"#).expect("valid");
        assert_eq!(past.due, NOW);
    }

    #[test]
    fn times_that_make_no_sense_are_refused() {
        for (text, pointer) in [
            (r#"{"delay":"1h","deliver_at":"2027-01-01T00:00:00Z"}"#, "/delay"),
            (r#"{"ttl":"1h","expires_at":"2027-01-01T00:00:00Z"}"#, "/ttl"),
            (r#"{"expires_at":"2020-01-01T00:00:00Z"}"#, "/expires_at"),
            (r#"{"ttl":"0s"}"#, "/ttl"),
            (r#"{"delay":"99999d"}"#, "/delay"),
            (r#"{"deliver_at":"9999-01-01T00:00:00Z"}"#, "/deliver_at"),
        ] {
            match of(text) {
                Err(Refusal::Invalid(error)) => assert_eq!(error.pointer, pointer, "{text}"),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
