//! When a scheduled campaign fires: once at a time, or again and again by a cron pattern in a time
//! zone.
//!
//! A pattern has five fields (minute, hour, day of month, month, day of week; names, ranges, steps,
//! `L`, `W` and `#` as the `croner` crate has them), or is one of `@hourly`, `@daily`, `@weekly`,
//! `@monthly`, `@yearly`. When clocks go forward, a fixed time that does not happen fires at the
//! first moment after the gap; when they go back, a fixed time that happens twice fires the first
//! time only. Patterns with a wildcard or a step in minute or hour follow the wall clock: they
//! leave the gap out, and fire in both passes of a repeated hour.

use croner::errors::CronError;
use croner::parser::{CronParser, Seconds, Year};
use croner::{CivilDate, CivilDateTime, CivilTime, Cron, CronDateTime, Resolution, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, ZonedDateTime};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::compose::document::Time;
use crate::model::Timestamp;

/// Characters of a pattern.
const PATTERN_MAX: usize = 200;
/// Characters of a time zone's name; the longest of the database has 32.
const ZONE_MAX: usize = 64;

/// When a campaign fires.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Schedule {
    /// Once.
    At {
        /// When.
        at: Time,
    },
    /// Again and again.
    Cron {
        /// The pattern.
        cron: CronPattern,
        /// On whose clock; UTC when it is not given.
        #[serde(skip_serializing_if = "Option::is_none")]
        time_zone: Option<ZoneName>,
    },
}

/// What a stop of the process, or of the campaign, left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firing {
    /// Nothing is due before this time.
    Later(Timestamp),
    /// Fire now, once however many firings were missed; then go on with `next`.
    Now {
        /// The firing that was due first.
        due: Timestamp,
        /// The next one, if there is one.
        next: Option<Timestamp>,
    },
    /// It will not fire again.
    Over,
}

impl Schedule {
    /// The first firing after `moment`; `None` when there is none.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        match self {
            Schedule::At { at } => (at.get() > moment).then_some(at.get()),
            Schedule::Cron { cron, time_zone } => {
                let zone = time_zone.as_ref().map_or(TimeZone::UTC, |name| name.zone.clone());
                cron.next_after(moment, &zone)
            }
        }
    }

    /// What is to be done at `now`, when the firing that was planned before is `due`. Missed
    /// firings are made up for by one: a report that was due nine times during a stop is wanted
    /// once.
    pub fn catch_up(&self, due: Option<Timestamp>, now: Timestamp) -> Firing {
        match due {
            None => Firing::Over,
            Some(due) if due > now => Firing::Later(due),
            Some(due) => Firing::Now { due, next: self.next_after(now) },
        }
    }
}

/// A cron pattern that fires at some time.
#[derive(Clone, Debug)]
pub struct CronPattern {
    text: String,
    cron: Box<Cron>,
}

impl CronPattern {
    /// Reads a pattern. The error says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > PATTERN_MAX {
            return Err(format!("is longer than {PATTERN_MAX} characters"));
        }
        // croner takes an empty item for none, and looks for a time of nothing for minutes.
        if text.split_whitespace().any(|field| field.split(',').any(str::is_empty)) {
            return Err(
                "has a comma with nothing before or after it; list values as in \"1,15\"".into()
            );
        }
        let parser =
            CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
        let cron = parser.parse(text).map_err(|error| {
            format!(
                "not a cron pattern: {error}; write minute, hour, day of month, month, day of \
                 week, such as \"0 9 * * 1\" for Mondays at nine"
            )
        })?;
        let pattern = Self { text: text.to_owned(), cron: Box::new(cron) };
        // Forty years hold every date that comes round, the 29th of February on a Monday included.
        let start = Timestamp::from_millis(0);
        match pattern.next_after(start, &TimeZone::UTC) {
            Some(_) => Ok(pattern),
            None => Err("never fires: there is no such day in any year".into()),
        }
    }

    fn next_after(&self, moment: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let start = Local(zoned(moment, zone)?);
        let found = self.cron.find_next_occurrence(&start, false).ok()?;
        Some(Timestamp::from_millis(found.0.timestamp().as_millisecond()))
    }
}

impl PartialEq for CronPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for CronPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for CronPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        CronPattern::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A time zone of the IANA database.
#[derive(Clone, Debug, PartialEq)]
pub struct ZoneName {
    text: String,
    zone: TimeZone,
}

impl ZoneName {
    /// Reads a zone's name, such as `Europe/Berlin`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let known = match text.len() <= ZONE_MAX {
            true => TimeZone::get(text).ok(),
            false => None,
        };
        match known {
            Some(zone) => Ok(Self { text: text.to_owned(), zone }),
            None => {
                Err("not a time zone; write a name such as \"Europe/Berlin\" or \"UTC\"".into())
            }
        }
    }

    /// The zone.
    pub fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

impl Serialize for ZoneName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for ZoneName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ZoneName::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The wall clock of `zone` at `moment`.
pub(super) fn zoned(moment: Timestamp, zone: &TimeZone) -> Option<ZonedDateTime> {
    let instant = jiff::Timestamp::from_millisecond(moment.as_millis()).ok()?;
    Some(instant.to_zoned_datetime(zone.clone()))
}

/// A wall clock for croner, whose own support is for an older jiff than ours.
#[derive(Clone)]
struct Local(ZonedDateTime);

impl CronDateTime for Local {
    fn to_civil(&self) -> CivilDateTime {
        let (date, time) = (self.0.date(), self.0.time());
        // jiff keeps every part in its range, none of them below zero here.
        CivilDateTime::new(
            CivilDate::from_parts_unchecked(
                i32::from(date.year()),
                date.month().unsigned_abs().into(),
                date.day().unsigned_abs().into(),
            ),
            CivilTime::from_parts_unchecked(
                time.hour().unsigned_abs().into(),
                time.minute().unsigned_abs().into(),
                time.second().unsigned_abs().into(),
            ),
        )
    }

    fn civil_weekday(&self) -> Weekday {
        let days = self.0.weekday().to_sunday_zero_offset().unsigned_abs();
        Weekday::from_days_from_sunday(days.into())
    }

    fn resolve_civil(&self, civil: CivilDateTime) -> Result<Resolution<Self>, CronError> {
        let part = |value: u32| i8::try_from(value).map_err(|_| CronError::InvalidTime);
        let datetime = jiff::civil::DateTime::new(
            i16::try_from(civil.year()).map_err(|_| CronError::InvalidDate)?,
            part(civil.month())?,
            part(civil.day())?,
            part(civil.hour())?,
            part(civil.minute())?,
            part(civil.second())?,
            0,
        )
        .map_err(|_| CronError::InvalidDate)?;
        let ambiguous = self.0.time_zone().to_ambiguous_zoned_datetime(datetime);
        let local = |zoned: Result<ZonedDateTime, jiff::Error>| {
            zoned.map(Local).map_err(|_| CronError::InvalidTime)
        };
        Ok(match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => {
                Resolution::Single(local(ambiguous.unambiguous())?)
            }
            AmbiguousOffset::Fold { .. } => Resolution::Ambiguous(
                local(ambiguous.clone().earlier())?,
                local(ambiguous.later())?,
            ),
            AmbiguousOffset::Gap { .. } => Resolution::Gap,
        })
    }

    fn checked_add_seconds(&self, seconds: i64) -> Option<Self> {
        self.0.checked_add(SignedDuration::from_secs(seconds)).ok().map(Local)
    }

    fn cmp_instant(&self, other: &Self) -> std::cmp::Ordering {
        self.0.timestamp().cmp(&other.0.timestamp())
    }
}

#[cfg(test)]
mod tests;
