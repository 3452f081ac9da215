//! Quiet hours: a part of the day, on somebody's clock, in which nothing is sent to a recipient.
//! What would go then goes when they are over.
//!
//! Quiet is a question of the wall clock alone: from `from` (included) to `to` (not included), over
//! midnight where `to` is the earlier. When clocks change, quiet hours are as long or short as the
//! wall clock makes them, and an hour that is repeated is quiet twice.

use std::fmt;

use jiff::ZonedDateTime;
use jiff::civil;
use jiff::tz::{AmbiguousOffset, TimeZone};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::document::Vetting;
use super::schedule::{ZoneName, zoned};
use crate::model::Timestamp;

/// The attribute that says on whose clock a recipient lives.
const ZONE_ATTRIBUTE: &str = "time_zone";
/// Ends of quiet hours and changes of the clock that are looked at. There is one end a day, and no
/// zone changes its clock twice within days; so few leaps lead out.
const LEAPS_MAX: usize = 8;

/// When a recipient is left alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "quiet hours: an object with `from`, `to` and `time_zone`"
)]
pub struct QuietHours {
    /// The first quiet minute.
    pub from: WallTime,
    /// The first minute that is not.
    pub to: WallTime,
    /// Whose clock, where the recipient's own is not known.
    pub time_zone: ZoneName,
}

/// A minute of the day, `"22:00"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime {
    hour: i8,
    minute: i8,
}

impl QuietHours {
    /// Vets what serde cannot tell.
    pub fn vet(&self, vetting: &mut Vetting) {
        if self.from == self.to {
            let detail =
                "is the same as `from`; quiet hours that never end would stop the campaign";
            vetting.fault_at("to", detail);
        }
    }

    /// The clock of a recipient with these attributes: `time_zone` where it names a zone, else the
    /// campaign's.
    pub fn zone_of(&self, attributes: Option<&Map<String, Value>>) -> TimeZone {
        let own = attributes
            .and_then(|attributes| attributes.get(ZONE_ATTRIBUTE)?.as_str())
            .and_then(|name| ZoneName::parse(name).ok());
        own.as_ref().unwrap_or(&self.time_zone).zone().clone()
    }

    /// The first moment from `now` on that is not quiet on the clock of `zone`: `now` itself where
    /// it is not.
    pub fn may_go(&self, now: Timestamp, zone: &TimeZone) -> Timestamp {
        let mut at = now;
        for _ in 0..LEAPS_MAX {
            let Some(local) = zoned(at, zone) else { return at };
            if !self.is_quiet(local.time()) {
                return at;
            }
            // Clocks that are set back may leave the quiet hours before these end; clocks that are
            // set forward may leap over what is between two of them.
            let change = zone.following(local.timestamp()).next().map(|change| change.timestamp());
            let leap = [self.end_after(&local), change].into_iter().flatten().min();
            let Some(leap) = leap else { return at };
            at = Timestamp::from_millis(leap.as_millisecond());
        }
        at
    }

    fn is_quiet(&self, time: civil::Time) -> bool {
        let (from, to) = (self.from.civil(), self.to.civil());
        match from < to {
            true => from <= time && time < to,
            false => from <= time || time < to,
        }
    }

    /// When the wall clock that shows the quiet time `local` next shows `to`, or jumps over it.
    fn end_after(&self, local: &ZonedDateTime) -> Option<jiff::Timestamp> {
        let to = self.to.civil();
        let date = match local.time() < to {
            true => local.date(),
            false => local.date().tomorrow().ok()?,
        };
        let ambiguous = local.time_zone().to_ambiguous_timestamp(date.to_datetime(to));
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => ambiguous.unambiguous().ok(),
            AmbiguousOffset::Fold { .. } => {
                let earlier = ambiguous.earlier().ok()?;
                match earlier > local.timestamp() {
                    true => Some(earlier),
                    false => ambiguous.later().ok(),
                }
            }
            // `earlier` lies before the gap; the gap's end is the next change after it.
            AmbiguousOffset::Gap { .. } => {
                let before = ambiguous.earlier().ok()?;
                local.time_zone().following(before).next().map(|change| change.timestamp())
            }
        }
    }
}

impl WallTime {
    /// Reads `HH:MM`, 00:00 to 23:59.
    pub fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let two = |part: &str| {
            let digits = part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<i8>().ok()).flatten()
        };
        let (hour, minute) = (two(hour)?, two(minute)?);
        (hour < 24 && minute < 60).then_some(Self { hour, minute })
    }

    fn civil(self) -> civil::Time {
        civil::time(self.hour, self.minute, 0, 0)
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:02}:{:02}", self.hour, self.minute)
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for WallTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        WallTime::parse(&text).ok_or_else(|| {
            D::Error::custom(
                "not a time of day; write HH:MM from 00:00 to 23:59, such as \"22:00\"",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn quiet(from: &str, to: &str) -> QuietHours {
        let json = json!({"from": from, "to": to, "time_zone": "Europe/Berlin"});
        serde_json::from_value(json).expect("valid")
    }

    fn goes(quiet: &QuietHours, now: &str) -> String {
        let now = Timestamp::parse(now).expect("a time");
        quiet.may_go(now, quiet.time_zone.zone()).to_string()
    }

    #[test]
    fn a_night_crosses_midnight() {
        let night = quiet("22:00", "08:00");
        for (now, wanted) in [
            ("2026-11-24T20:59:59.999Z", "2026-11-24T20:59:59.999Z"),
            ("2026-11-24T21:00:00Z", "2026-11-25T07:00:00.000Z"),
            ("2026-11-25T03:00:00.123Z", "2026-11-25T07:00:00.000Z"),
            ("2026-11-25T07:00:00Z", "2026-11-25T07:00:00.000Z"),
        ] {
            assert_eq!(goes(&night, now), wanted, "{now}");
        }
        let noon = quiet("12:00", "13:30");
        assert_eq!(goes(&noon, "2026-11-24T11:00:00Z"), "2026-11-24T12:30:00.000Z");
        assert_eq!(goes(&noon, "2026-11-24T12:30:00Z"), "2026-11-24T12:30:00.000Z");
    }

    #[test]
    fn clocks_that_change_in_the_night_move_its_end() {
        let night = quiet("22:00", "08:00");
        assert_eq!(goes(&night, "2026-03-28T22:00:00Z"), "2026-03-29T06:00:00.000Z");
        assert_eq!(goes(&night, "2026-10-24T22:00:00Z"), "2026-10-25T07:00:00.000Z");
        // 02:30 does not happen in spring: quiet ends with the gap.
        let short = quiet("22:00", "02:30");
        assert_eq!(goes(&short, "2026-03-29T00:00:00Z"), "2026-03-29T01:00:00.000Z");
        // In autumn it happens twice, and what lies before it is quiet twice.
        assert_eq!(goes(&short, "2026-10-25T00:10:00Z"), "2026-10-25T00:30:00.000Z");
        assert_eq!(goes(&short, "2026-10-25T01:10:00Z"), "2026-10-25T01:30:00.000Z");
        // At 03:00 the clock goes back to 02:00, out of the quiet hours.
        let cut = quiet("02:50", "03:30");
        assert_eq!(goes(&cut, "2026-10-25T00:55:00Z"), "2026-10-25T01:00:00.000Z");
        // In spring there is nothing between these two nights: the next day has it.
        let leapt = quiet("03:00", "02:15");
        assert_eq!(goes(&leapt, "2026-03-28T12:00:00Z"), "2026-03-30T00:15:00.000Z");
    }

    #[test]
    fn the_recipients_own_clock_wins_where_it_names_a_zone() {
        let night = quiet("22:00", "08:00");
        let named = |zone: Value| {
            let attributes = json!({"time_zone": zone});
            night.zone_of(attributes.as_object()).iana_name().map(str::to_owned)
        };
        assert_eq!(named(json!("Asia/Tokyo")).as_deref(), Some("Asia/Tokyo"));
        assert_eq!(named(json!("Nowhere")).as_deref(), Some("Europe/Berlin"));
        assert_eq!(named(json!(9)).as_deref(), Some("Europe/Berlin"));
        assert_eq!(night.zone_of(None).iana_name(), Some("Europe/Berlin"));
    }

    #[test]
    fn a_time_of_day_has_two_digits_twice() {
        assert_eq!(WallTime::parse("08:05").expect("valid").to_string(), "08:05");
        for bad in ["8:00", "24:00", "12:60", "12", "12:00:00", "-1:00", "+1:00", ""] {
            assert_eq!(WallTime::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn it_goes_at_the_first_minute_that_is_not_quiet(
            start in prop_oneof![
                1_774_735_200_i64..1_774_756_800, // around 01:00 UTC on 29 March 2026
                1_792_879_200_i64..1_792_900_800, // around 01:00 UTC on 25 October 2026
                1_774_656_000_i64..1_774_828_800,
            ],
            from in 0_i8..5, from_half in any::<bool>(), to in 0_i8..5, to_half in any::<bool>(),
            zone in prop_oneof![
                Just("Europe/Berlin"), Just("Europe/London"), Just("Asia/Tokyo")
            ]
        ) {
            let hours = QuietHours {
                from: WallTime { hour: from, minute: if from_half { 30 } else { 0 } },
                to: WallTime { hour: to, minute: if to_half { 45 } else { 15 } },
                time_zone: ZoneName::parse(zone).expect("a zone"),
            };
            let zone = hours.time_zone.zone();
            let is_quiet = |at: i64| {
                let local = zoned(Timestamp::from_millis(at), zone).expect("in range");
                hours.is_quiet(local.time())
            };
            let mut first = start / 60 * 60_000;
            let now = Timestamp::from_millis(first);
            while is_quiet(first) {
                first += 60_000;
            }
            prop_assert_eq!(hours.may_go(now, zone), Timestamp::from_millis(first));
        }
    }
}
