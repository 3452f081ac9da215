//! Writing a time by a pattern, with Ruby's directives and flags, which Liquid's `date` has:
//! `%-d`, `%^b`, `%10Y`, `%3N`, `%:z`. An unknown directive is printed as it stands.
//!
//! jiff has a strftime of its own; it knows fewer directives and refuses the rest, and a template's
//! width must not make a text of any length.

use jiff::ZonedDateTime;
use jiff::civil::Weekday;

use super::budget::too_long;

/// Widest field; Ruby has 1024 too.
const WIDTH_MAX: usize = 1024;
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Writes `time` by `pattern`, at most `limit` bytes.
pub(super) fn format(pattern: &str, time: &ZonedDateTime, limit: usize) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let length = match Directive::read(rest) {
            Some((directive, length)) => match directive.text(time) {
                Some(text) => {
                    directive.pad(&text, &mut out);
                    length
                }
                None => {
                    out.push_str(&rest[..length]);
                    length
                }
            },
            None => {
                out.push('%');
                1
            }
        };
        rest = &rest[length..];
        if out.len() > limit {
            return Err(too_long(limit));
        }
    }
    out.push_str(rest);
    match out.len() > limit {
        true => Err(too_long(limit)),
        false => Ok(out),
    }
}

/// One `%…`.
struct Directive {
    /// `-`: no padding.
    bare: bool,
    /// `0` or `_`.
    padding: Option<char>,
    /// `^`
    upper: bool,
    /// `#`
    swapped: bool,
    /// Colons before `z`.
    colons: usize,
    width: Option<usize>,
    letter: char,
}

/// What a directive prints, and how it is padded unless a flag says otherwise.
struct Field {
    text: String,
    width: usize,
    padding: char,
}

impl Directive {
    /// Reads the directive that `text` begins with, and its length.
    fn read(text: &str) -> Option<(Self, usize)> {
        let mut directive = Self {
            bare: false,
            padding: None,
            upper: false,
            swapped: false,
            colons: 0,
            width: None,
            letter: '%',
        };
        for (at, letter) in text.char_indices().skip(1) {
            match letter {
                '-' => directive.bare = true,
                '_' => directive.padding = Some(' '),
                '0' if directive.width.is_none() => directive.padding = Some('0'),
                '^' => directive.upper = true,
                '#' => directive.swapped = true,
                ':' => directive.colons += 1,
                '0'..='9' => {
                    let digit = usize::try_from(letter.to_digit(10)?).ok()?;
                    let width = directive.width.unwrap_or(0) * 10 + digit;
                    if width > WIDTH_MAX {
                        return None;
                    }
                    directive.width = Some(width);
                }
                letter => {
                    directive.letter = letter;
                    return Some((directive, at + letter.len_utf8()));
                }
            }
        }
        None
    }

    fn text(&self, time: &ZonedDateTime) -> Option<Field> {
        let number = |number: i64, width: usize| padded(number, width, '0');
        let spaced = |number: i64, width: usize| padded(number, width, ' ');
        let words = |text: &str| Field { text: text.into(), width: 0, padding: ' ' };
        let hour12 = i64::from((time.hour() + 11) % 12 + 1);
        let weekday = time.weekday();
        let day_of_year = i64::from(time.day_of_year());
        let nested =
            |pattern: &str| format(pattern, time, usize::MAX).ok().map(|text| words(&text));
        Some(match self.letter {
            'Y' => number(time.year().into(), if time.year() < 0 { 5 } else { 4 }),
            'C' => number(i64::from(time.year()).div_euclid(100), 2),
            'y' => number(i64::from(time.year()).rem_euclid(100), 2),
            'm' => number(time.month().into(), 2),
            'B' => words(MONTHS[month_index(time)]),
            'b' | 'h' => words(&MONTHS[month_index(time)][..3]),
            'd' => number(time.day().into(), 2),
            'e' => spaced(time.day().into(), 2),
            'j' => number(day_of_year, 3),
            'H' => number(time.hour().into(), 2),
            'k' => spaced(time.hour().into(), 2),
            'I' => number(hour12, 2),
            'l' => spaced(hour12, 2),
            'P' => words(if time.hour() < 12 { "am" } else { "pm" }),
            'p' => words(match (time.hour() < 12, self.swapped) {
                (true, false) => "AM",
                (false, false) => "PM",
                (true, true) => "am",
                (false, true) => "pm",
            }),
            'M' => number(time.minute().into(), 2),
            'S' => number(time.second().into(), 2),
            'L' => words(&fraction(time, self.width.unwrap_or(3))),
            'N' => words(&fraction(time, self.width.unwrap_or(9))),
            'z' => words(&offset(time, self.colons)?),
            'Z' => words(&zone(time)),
            'A' => words(DAYS[from_sunday(weekday)]),
            'a' => words(&DAYS[from_sunday(weekday)][..3]),
            'u' => number(weekday.to_monday_one_offset().into(), 1),
            'w' => number(weekday.to_sunday_zero_offset().into(), 1),
            'G' => number(time.date().iso_week_date().year().into(), 4),
            'g' => number(i64::from(time.date().iso_week_date().year()).rem_euclid(100), 2),
            'V' => number(time.date().iso_week_date().week().into(), 2),
            'U' => number(week(day_of_year, weekday.to_sunday_zero_offset()), 2),
            'W' => number(week(day_of_year, weekday.to_monday_zero_offset()), 2),
            's' => number(time.timestamp().as_second(), 1),
            'n' => words("\n"),
            't' => words("\t"),
            '%' => words("%"),
            'F' => nested("%Y-%m-%d")?,
            'T' | 'X' => nested("%H:%M:%S")?,
            'D' | 'x' => nested("%m/%d/%y")?,
            'R' => nested("%H:%M")?,
            'r' => nested("%I:%M:%S %p")?,
            'c' => nested("%a %b %e %H:%M:%S %Y")?,
            'v' => nested("%e-%^b-%Y")?,
            '+' => nested("%a %b %e %H:%M:%S %Z %Y")?,
            _ => return None,
        })
    }

    fn pad(&self, field: &Field, out: &mut String) {
        let text = match self.upper || self.swapped && self.letter != 'p' {
            true => field.text.to_uppercase(),
            false => field.text.clone(),
        };
        let is_fraction = matches!(self.letter, 'L' | 'N');
        let width = match self.bare {
            true => 0,
            false if is_fraction => 0,
            false => self.width.unwrap_or(field.width),
        };
        let padding = self.padding.unwrap_or(field.padding);
        let missing = width.saturating_sub(text.chars().count());
        match text.strip_prefix('-').filter(|_| padding == '0') {
            Some(digits) => {
                out.push('-');
                out.extend(std::iter::repeat_n('0', missing));
                out.push_str(digits);
            }
            None => {
                out.extend(std::iter::repeat_n(padding, missing));
                out.push_str(&text);
            }
        }
    }
}

fn padded(number: i64, width: usize, padding: char) -> Field {
    Field { text: number.to_string(), width, padding }
}

fn month_index(time: &ZonedDateTime) -> usize {
    usize::try_from(time.month() - 1).unwrap_or(0).min(11)
}

fn from_sunday(weekday: Weekday) -> usize {
    usize::try_from(weekday.to_sunday_zero_offset()).unwrap_or(0).min(6)
}

/// Week of the year: days before the first Sunday (or Monday) are in week 0.
fn week(day_of_year: i64, weekday: i8) -> i64 {
    (day_of_year + 6 - i64::from(weekday)) / 7
}

fn fraction(time: &ZonedDateTime, digits: usize) -> String {
    let nanos = format!("{:09}", time.subsec_nanosecond());
    nanos.chars().chain(std::iter::repeat('0')).take(digits).collect()
}

/// `+hhmm`, with colons `+hh:mm` and `+hh:mm:ss`.
fn offset(time: &ZonedDateTime, colons: usize) -> Option<String> {
    let seconds = time.offset().seconds();
    let sign = if seconds < 0 { '-' } else { '+' };
    let seconds = seconds.unsigned_abs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    match colons {
        0 => Some(format!("{sign}{hours:02}{minutes:02}")),
        1 => Some(format!("{sign}{hours:02}:{minutes:02}")),
        2 => Some(format!("{sign}{hours:02}:{minutes:02}:{:02}", seconds % 60)),
        _ => None,
    }
}

/// The zone's letters, such as CET; an offset without letters is printed as one.
fn zone(time: &ZonedDateTime) -> String {
    let info = time.time_zone().to_offset_info(time.timestamp());
    let letters = info.abbreviation();
    match letters.starts_with(|letter: char| letter.is_ascii_alphabetic()) {
        true => letters.to_owned(),
        false => offset(time, 0).unwrap_or_default(),
    }
}
