//! Reading a time from text, in the forms that people and systems write: RFC 3339, RFC 2822,
//! `2026-11-24 07:00:00 -0500`, `Nov 24, 2026 7:00 am`, epoch seconds, `now` and `today`. Without a
//! zone it is UTC.

use jiff::civil::{Date, DateTime};
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ZonedDateTime};

use crate::model;

/// Bytes of a text that may be a time.
const LENGTH_MAX: usize = 64;
const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

/// The time that `text` stands for.
pub(super) fn parse(text: &str, now: model::Timestamp) -> Option<ZonedDateTime> {
    let text = text.trim();
    if text.len() > LENGTH_MAX {
        return None;
    }
    if ["now", "today"].iter().any(|word| text.eq_ignore_ascii_case(word)) {
        let now = Timestamp::from_millisecond(now.as_millis()).ok()?;
        return Some(now.to_zoned_datetime(TimeZone::UTC));
    }
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(
            Timestamp::from_second(text.parse().ok()?).ok()?.to_zoned_datetime(TimeZone::UTC),
        );
    }
    let mut parts = Parts::default();
    for word in words(text) {
        parts.take(word)?;
    }
    parts.zoned()
}

/// What was read so far.
#[derive(Default)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    /// Hour, minute, second, nanosecond.
    clock: Option<(i8, i8, i8, i32)>,
    afternoon: Option<bool>,
    offset: Option<Offset>,
}

/// Splits at spaces and commas, and at the `T` between date and time.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let coarse = text.split([' ', ',', '\t']).filter(|word| !word.is_empty());
    coarse.flat_map(|word| {
        let divided = word.split_once(['T', 't']).filter(|(date, time)| {
            let digit = |text: &str| text.starts_with(|letter: char| letter.is_ascii_digit());
            digit(date) && digit(time)
        });
        let (date, time) = divided.map_or((word, None), |(date, time)| (date, Some(time)));
        std::iter::once(date).chain(time)
    })
}

impl Parts {
    fn take(&mut self, word: &str) -> Option<()> {
        let lower = word.to_ascii_lowercase();
        if word.contains(':') && word.starts_with(|letter: char| letter.is_ascii_digit()) {
            return self.take_clock(&lower);
        }
        if matches!(lower.as_str(), "am" | "a.m." | "pm" | "p.m.") {
            self.afternoon = Some(lower.starts_with('p'));
            return Some(());
        }
        if self.clock.is_some()
            && let Some(offset) = offset(word)
        {
            self.offset = Some(offset);
            return Some(());
        }
        if word.starts_with(|letter: char| letter.is_ascii_digit()) {
            return self.take_number(&lower);
        }
        let name = lower.trim_end_matches('.');
        if let Some(month) = month(name) {
            self.month = Some(month);
            return Some(());
        }
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        (name == "at" || days.iter().any(|day| name.starts_with(day))).then_some(())
    }

    /// `2026-11-24`, `2026/11/24`, `24-nov-2026`, `24`, `24th`, `2026`
    fn take_number(&mut self, word: &str) -> Option<()> {
        let parts: Vec<&str> = word.split(['-', '/']).collect();
        match parts[..] {
            [year, month, day] if year.len() == 4 => {
                self.year = Some(year.parse().ok()?);
                self.month = Some(month_or_number(month)?);
                self.day = Some(day.parse().ok()?);
            }
            [day, month, year] if year.len() == 4 && word.contains('-') => {
                self.year = Some(year.parse().ok()?);
                self.month = Some(month_or_number(month)?);
                self.day = Some(day.parse().ok()?);
            }
            [year, month] if year.len() == 4 => {
                self.year = Some(year.parse().ok()?);
                self.month = Some(month_or_number(month)?);
            }
            [number] if number.len() == 4 && is_digits(number) => {
                self.year = Some(number.parse().ok()?)
            }
            [number] if number.len() == 8 && is_digits(number) => {
                self.year = Some(number.get(..4)?.parse().ok()?);
                self.month = Some(number.get(4..6)?.parse().ok()?);
                self.day = Some(number.get(6..)?.parse().ok()?);
            }
            [number] => {
                let digits = number.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
                let ordinal = &number[digits.len()..];
                if let "am" | "pm" = ordinal {
                    return self.take_clock(&format!("{digits}:00{ordinal}"));
                }
                let known = ["", "st", "nd", "rd", "th"].contains(&ordinal);
                self.day = Some(digits.parse().ok().filter(|_| known)?);
            }
            _ => return None,
        }
        Some(())
    }

    /// `07:00`, `07:00:00.123`, with `am`, `z` or an offset right behind it.
    fn take_clock(&mut self, word: &str) -> Option<()> {
        let is_clock = |letter: char| letter.is_ascii_digit() || matches!(letter, ':' | '.');
        let end = word.find(|letter| !is_clock(letter)).unwrap_or(word.len());
        let (clock, rest) = word.split_at(end);
        match rest {
            "" => {}
            "am" | "pm" => self.afternoon = Some(rest == "pm"),
            zone => self.offset = Some(offset(zone)?),
        }
        let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let mut numbers = clock.split(':').map(|number| number.parse::<i8>().ok());
        let (hour, minute) = (numbers.next()??, numbers.next()??);
        let second = numbers.next().map_or(Some(0), |second| second)?;
        // Nanoseconds, whatever the count of digits.
        let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        self.clock = Some((hour, minute, second, digits.parse().ok()?));
        numbers.next().is_none().then_some(())
    }

    fn zoned(self) -> Option<ZonedDateTime> {
        let date = Date::new(self.year?, self.month?, self.day.unwrap_or(1)).ok()?;
        let (hour, minute, second, nanos) = self.clock.unwrap_or_default();
        let hour = match self.afternoon {
            None => hour,
            Some(_) if !(1..=12).contains(&hour) => return None,
            Some(afternoon) => hour % 12 + if afternoon { 12 } else { 0 },
        };
        // A leap second is the second before it, as everywhere in POSIX time.
        let clock = jiff::civil::Time::new(hour, minute, second.min(59), nanos).ok()?;
        let zone = self.offset.map_or(TimeZone::UTC, |offset| match offset == Offset::UTC {
            true => TimeZone::UTC,
            false => TimeZone::fixed(offset),
        });
        DateTime::from_parts(date, clock).to_zoned_datetime(zone).ok()
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn month_or_number(text: &str) -> Option<i8> {
    text.parse().ok().or_else(|| month(text))
}

fn month(name: &str) -> Option<i8> {
    const FULL: [&str; 12] = [
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ];
    let place = MONTHS.iter().zip(FULL).position(|(short, full)| {
        name == *short || name == full || name == "sept" && full == "september"
    })?;
    i8::try_from(place + 1).ok()
}

/// `Z`, `UTC`, `+02:00`, `-0500`, `+02`, and the zones of North America that RFC 2822 names.
pub(super) fn offset(text: &str) -> Option<Offset> {
    let hours = |hours: i8| Offset::from_hours(hours).ok();
    match text.to_ascii_uppercase().as_str() {
        "Z" | "UTC" | "GMT" | "UT" => return Some(Offset::UTC),
        "EDT" => return hours(-4),
        "EST" | "CDT" => return hours(-5),
        "CST" | "MDT" => return hours(-6),
        "MST" | "PDT" => return hours(-7),
        "PST" => return hours(-8),
        _ => {}
    }
    let sign = match text.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: String = text[1..].chars().filter(|letter| *letter != ':').collect();
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes): (i32, i32) = match digits.len() {
        2 => (digits.parse().ok()?, 0),
        4 => (digits[..2].parse().ok()?, digits[2..].parse().ok()?),
        _ => return None,
    };
    if minutes > 59 {
        return None;
    }
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}
