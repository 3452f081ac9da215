//! Durations and times that remember how they were written, so that a document is shown as its
//! author wrote it.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::admission::{AHEAD_MAX, parse_duration};
use crate::model::Timestamp;

/// A value and its spelling. Two are equal when their values are.
#[derive(Clone, Debug)]
pub struct Written<T> {
    text: String,
    value: T,
}

/// A duration such as `"90s"`, `"1h30m"`, `"7d"`: more than zero, at most ten years.
pub type Span = Written<Duration>;
/// A time such as `"2026-12-01T09:00:00Z"`: RFC 3339 with an offset.
pub type Time = Written<Timestamp>;

impl<T: Copy> Written<T> {
    /// The value.
    pub fn get(&self) -> T {
        self.value
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Span {
    /// Reads a duration. The error says what would be right.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let value = parse_duration(text).ok_or(
            "not a duration; write a number and a unit (ms, s, m, h, d), such as \"90s\" or \"7d\"",
        )?;
        if value.is_zero() {
            return Err("must be more than zero");
        }
        if value > AHEAD_MAX {
            return Err("is more than ten years");
        }
        Ok(Self { text: text.to_owned(), value })
    }
}

impl Time {
    /// Reads a time. The error says what would be right.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let value = Timestamp::parse(text)
            .ok_or("not a time; write RFC 3339 with an offset, such as \"2026-11-24T07:00:00Z\"")?;
        Ok(Self { text: text.to_owned(), value })
    }
}

impl<T: PartialEq> PartialEq for Written<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Written<T> {}

impl<T> Serialize for Written<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Span::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Time::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spelling_is_kept() {
        let span: Span = serde_json::from_str("\"90m\"").expect("a duration");
        assert_eq!(span.get(), Duration::from_secs(5400));
        assert_eq!(serde_json::to_string(&span).expect("serialises"), "\"90m\"");
        assert_eq!(span, Span::parse("1h30m").expect("the same"));
        let time: Time = serde_json::from_str("\"2026-12-01T09:00:00+01:00\"").expect("a time");
        assert_eq!(time.get().to_string(), "2026-12-01T08:00:00.000Z");
        assert_eq!(time.as_str(), "2026-12-01T09:00:00+01:00");
    }

    #[test]
    fn what_no_one_means_is_refused() {
        for (text, words) in [("0s", "zero"), ("5000d", "ten years"), ("2 h", "such as")] {
            assert!(Span::parse(text).expect_err(text).contains(words), "{text}");
        }
        assert!(Time::parse("2026-12-01").expect_err("no offset").contains("RFC 3339"));
    }
}
