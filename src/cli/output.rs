//! What commands write: to standard output for whoever reads, to standard error for whoever watches.
//! Colours are for terminals, a reader that went away is no failure, and what a stranger chose (a
//! host's words, a URL) never steers the terminal. Also how times and numbers are worded.

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;

use super::REFUSED;
use crate::model::Timestamp;

/// Whether output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorArg {
    // Not documentation: the help of every command would be longer by it.
    #[default]
    Auto,
    Always,
    Never,
}

impl ColorArg {
    /// Lets it hold for all that this process writes.
    pub(super) fn apply(self) {
        let choice = match self {
            ColorArg::Auto => anstream::ColorChoice::Auto,
            ColorArg::Always => anstream::ColorChoice::AlwaysAnsi,
            ColorArg::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
    }
}

/// Nobody reads standard output any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Closed;

/// Writes to standard output. A reader that went away (`| head`) is no failure of ours.
pub(super) fn say(text: &str) {
    let _ = tell(text);
}

/// Writes to standard output, and tells whether anybody still reads: for what goes on for ever.
pub(super) fn tell(text: &str) -> Result<(), Closed> {
    let mut output = anstream::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(|_| Closed)
}

/// Writes a line to standard error, for who watches: progress and remarks, never the result.
pub(super) fn remark(text: &str) {
    anstream::eprintln!("{text}");
}

/// Says on standard error what was refused.
pub(super) fn refuse(wrong: &str) -> ExitCode {
    let style = bold(AnsiColor::Red);
    anstream::eprintln!("{style}error:{style:#} {wrong}");
    ExitCode::from(REFUSED)
}

/// Without control characters: what a stranger sends must not steer the terminal.
pub(super) fn printable(text: &str) -> String {
    text.chars().map(|sign| if sign.is_control() && sign != '\t' { '·' } else { sign }).collect()
}

/// The text in that style.
pub(super) fn paint(style: Style, text: &str) -> String {
    match style.is_plain() {
        true => text.to_owned(),
        false => format!("{style}{text}{style:#}"),
    }
}

/// For what stands above others.
pub(super) const HEADING: Style = Style::new().bold();
/// For what matters less.
pub(super) const DIM: Style = Style::new().dimmed();

const fn color(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(anstyle::Color::Ansi(color)))
}

const fn bold(with: AnsiColor) -> Style {
    color(with).bold()
}

/// How a state of a host or of a delivery looks. Its word says the same, for who sees no colours.
pub(super) fn style_of(state: &str) -> Style {
    match state {
        "healthy" | "delivered" => color(AnsiColor::Green),
        "limited" | "backing_off" | "probing" | "retried" => color(AnsiColor::Yellow),
        "cooling_down" | "failed" | "exhausted" | "expired" => bold(AnsiColor::Red),
        "paused" | "cancelled" => color(AnsiColor::Magenta),
        "in_flight" => color(AnsiColor::Cyan),
        "idle" | "asleep" => DIM,
        _ => Style::new(),
    }
}

/// How a status of an answer looks.
pub(super) fn style_of_status(status: Option<u64>) -> Style {
    match status {
        Some(200..=299) => color(AnsiColor::Green),
        Some(408 | 429 | 500..) => color(AnsiColor::Yellow),
        Some(_) => color(AnsiColor::Red),
        None => DIM,
    }
}

/// A stretch of time as people say it: its two largest units.
pub(super) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |large: u64, unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0 if duration.is_zero() => "0 s".into(),
        0 => "under 1 s".into(),
        1..60 => format!("{seconds} s"),
        60..3600 => two(minutes, "min", seconds % 60, "s"),
        3600..86_400 => two(hours, "h", minutes, "min"),
        _ => two(days, "d", hours, "h"),
    }
}

/// A time beside how far it is from now: `… (in 12 s)`, `… (3 min ago)`.
pub(super) fn moment(text: &str, now: Timestamp) -> String {
    match Timestamp::parse(text) {
        None => printable(text),
        Some(at) if at > now => format!("{text} (in {})", span(now.until(at))),
        Some(at) => format!("{text} ({} ago)", span(at.until(now))),
    }
}

/// How long until a time, rounded up, so that it never says `0 s` before it has come.
pub(super) fn left(text: &str, now: Timestamp) -> Option<String> {
    let at = Timestamp::parse(text)?;
    let up = now.until(at) + Duration::from_millis(999);
    Some(span(Duration::from_secs(up.as_secs())))
}

/// Milliseconds with as many digits as say something.
pub(super) fn milliseconds(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.1} ms"),
        ms if ms < 10_000.0 => format!("{ms:.0} ms"),
        ms => format!("{:.1} s", ms / 1000.0),
    }
}

/// A rate a second with as many digits as say something.
pub(super) fn rate(per_second: f64) -> String {
    match per_second {
        rate if rate >= 100.0 => count(rate.round() as u64),
        rate if rate >= 10.0 || rate == 0.0 => format!("{rate:.0}"),
        rate if rate >= 1.0 => format!("{rate:.1}"),
        rate => format!("{rate:.2}"),
    }
}

/// A count, its thousands parted.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A share of all.
pub(super) fn percent(ratio: f64) -> String {
    match ratio * 100.0 {
        // Never rounded up to all: one failure in ten thousand is one.
        share if (99.95..100.0).contains(&share) => "99.9%".into(),
        share if share >= 99.95 => "100%".into(),
        share => format!("{share:.1}%"),
    }
}

/// A JSON document for machines: one line, or for people who look at it, many.
pub(super) fn document(value: &serde_json::Value) -> String {
    format!("{value:#}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_time_has_its_two_largest_units() {
        for (millis, text) in [
            (0, "0 s"),
            (400, "under 1 s"),
            (12_000, "12 s"),
            (60_000, "1 min"),
            (200_000, "3 min 20 s"),
            (7_260_000, "2 h 1 min"),
            (90_000_000, "1 d 1 h"),
        ] {
            assert_eq!(span(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_moment_is_told_from_now() {
        let now = Timestamp::parse("2026-01-01T00:00:00Z").expect("a time");
        assert_eq!(moment("2026-01-01T00:00:12.000Z", now), "2026-01-01T00:00:12.000Z (in 12 s)");
        assert_eq!(moment("2025-12-31T23:59:00.000Z", now), "2025-12-31T23:59:00.000Z (1 min ago)");
        assert_eq!(left("2026-01-01T00:00:00.100Z", now).as_deref(), Some("1 s"));
        assert_eq!(left("2025-12-31T23:59:00Z", now).as_deref(), Some("0 s"));
        assert_eq!(moment("soon\u{1b}", now), "soon·");
    }

    #[test]
    fn numbers_have_the_digits_that_say_something() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.25, 1.5, 42.4, 4999.6].map(rate), ["0", "0.25", "1.5", "42", "5,000"]);
        assert_eq!([0.4, 12.3, 15_000.0].map(milliseconds), ["0.4 ms", "12 ms", "15.0 s"]);
        assert_eq!([1.0, 0.9999, 0.5, 0.0].map(percent), ["100%", "99.9%", "50.0%", "0.0%"]);
    }

    #[test]
    fn a_strangers_bytes_do_not_steer_the_terminal() {
        assert_eq!(printable("/a\u{1b}[2J\r\n\u{9b}"), "/a·[2J···");
    }
}
