//! The speed limit of a campaign: its messages are spread evenly over time, so many a minute.
//!
//! Message `i` of a run is due at `start + i × 60,000 ms ÷ limit`, rounded down to the millisecond.
//! Only whole numbers are kept, so that the spacing is exact however the messages come: one by one
//! or by the thousand, the millionth is due where it should be. An idle time saves nothing up. A
//! limit that is changed holds from the last message that was given its time; what was given before
//! keeps its time.

use serde::{Deserialize, Serialize};

use crate::model::Timestamp;

/// Milliseconds of a minute.
const MINUTE: u64 = 60_000;
/// The highest limit; above it the delivery engine's own pace is what counts.
pub const PER_MINUTE_MAX: u32 = 1_000_000;

/// Where the spread stands: stored with the campaign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Kept")]
pub struct Spread {
    /// When the present run of messages began.
    start: Timestamp,
    /// Messages of it that have been given their time; at most one minute's, then `start` moves.
    given: u32,
    /// The limit that it was given at.
    per_minute: u32,
}

/// A spread as it was stored, perhaps damaged since.
#[derive(Deserialize)]
struct Kept {
    start: Timestamp,
    given: u32,
    per_minute: u32,
}

impl TryFrom<Kept> for Spread {
    type Error = &'static str;

    /// Refuses what nobody stored: no limit at all, or more given than its minute holds, which
    /// would be counted down one by one.
    fn try_from(kept: Kept) -> Result<Self, Self::Error> {
        let Kept { start, given, per_minute } = kept;
        match (1..=PER_MINUTE_MAX).contains(&per_minute) && given <= per_minute {
            true => Ok(Self { start, given, per_minute }),
            false => Err("a spread gives at most a minute's messages, at 1 to 1000000 a minute"),
        }
    }
}

impl Spread {
    /// A spread that begins at `now`, `per_minute` being 1 to 1,000,000.
    pub fn new(per_minute: u32, now: Timestamp) -> Self {
        Self { start: now, given: 0, per_minute: per_minute.clamp(1, PER_MINUTE_MAX) }
    }

    /// When the next message would be due, not before `now`.
    pub fn next_slot(&self, now: Timestamp) -> Timestamp {
        self.slot(self.given).max(now)
    }

    /// Gives `count` messages their due times, none before `now`, in order.
    pub fn take(&mut self, count: usize, now: Timestamp) -> Vec<Timestamp> {
        (0..count).map(|_| self.take_one(now)).collect()
    }

    /// Goes on with another limit.
    pub fn set(&mut self, per_minute: u32) {
        let per_minute = per_minute.clamp(1, PER_MINUTE_MAX);
        if per_minute == self.per_minute {
            return;
        }
        if self.given > 0 {
            self.start = self.slot(self.given - 1);
            self.given = 1;
        }
        self.per_minute = per_minute;
        self.carry();
    }

    fn take_one(&mut self, now: Timestamp) -> Timestamp {
        let mut due = self.slot(self.given);
        if due < now {
            (self.start, self.given, due) = (now, 0, now);
        }
        self.given += 1;
        self.carry();
        due
    }

    /// Moves `start` on by whole minutes, of which each is exact.
    fn carry(&mut self) {
        while self.given > self.per_minute {
            self.start = self.start.plus(std::time::Duration::from_millis(MINUTE));
            self.given -= self.per_minute;
        }
    }

    fn slot(&self, index: u32) -> Timestamp {
        let offset = u64::from(index) * MINUTE / u64::from(self.per_minute);
        self.start.plus(std::time::Duration::from_millis(offset))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: Timestamp = Timestamp::from_millis(1_795_503_600_000);

    fn offsets(times: &[Timestamp]) -> Vec<i64> {
        times.iter().map(|time| time.as_millis() - T0.as_millis()).collect()
    }

    #[test]
    fn a_damaged_spread_is_refused() {
        let read = |given: u32, per_minute: u32| {
            let json = serde_json::json!({"start": T0, "given": given, "per_minute": per_minute});
            serde_json::from_value::<Spread>(json).is_ok()
        };
        assert!(read(0, 1) && read(60, 60) && read(0, 1_000_000));
        assert!(!read(0, 0) && !read(61, 60) && !read(u32::MAX, 1) && !read(0, 1_000_001));
    }

    #[test]
    fn sixty_thousand_messages_at_seven_a_minute_do_not_drift() {
        let mut spread = Spread::new(7, T0);
        let times = offsets(&spread.take(60_000, T0));
        for (index, offset) in (0_i64..).zip(&times) {
            assert_eq!(*offset, index * 60_000 / 7, "message {index}");
        }
        assert_eq!(times[59_999], 514_277_142);
        assert_eq!(spread.next_slot(T0).as_millis() - T0.as_millis(), 60_000 * 60_000 / 7);
    }

    #[test]
    fn an_idle_hour_saves_nothing_up() {
        let mut spread = Spread::new(60, T0);
        spread.take(2, T0);
        let later = Timestamp::from_millis(T0.as_millis() + 3_600_000);
        assert_eq!(offsets(&spread.take(3, later)), [3_600_000, 3_601_000, 3_602_000]);
    }

    #[test]
    fn a_limit_that_changes_holds_from_the_last_message() {
        let mut spread = Spread::new(1, T0);
        assert_eq!(offsets(&spread.take(2, T0)), [0, 60_000]);
        spread.set(600);
        assert_eq!(offsets(&spread.take(3, T0)), [60_100, 60_200, 60_300]);
        spread.set(2);
        assert_eq!(offsets(&spread.take(2, T0)), [90_300, 120_300]);
        // Nobody waits out the old spacing when the limit is raised.
        let mut slow = Spread::new(1, T0);
        slow.take(1, T0);
        slow.set(1_000_000);
        assert_eq!(offsets(&slow.take(18, T0))[16], 1);
    }

    #[test]
    fn a_spread_is_read_back_as_it_was_stored() {
        let mut spread = Spread::new(7, T0);
        spread.take(11, T0);
        let json = serde_json::to_string(&spread).expect("serialises");
        assert_eq!(serde_json::from_str::<Spread>(&json).expect("reads"), spread);
    }

    proptest! {
        #[test]
        fn parts_are_due_as_the_whole(
            per_minute in 1_u32..=PER_MINUTE_MAX,
            parts in proptest::collection::vec(0_usize..300, 1..20)
        ) {
            let mut whole = Spread::new(per_minute, T0);
            let mut split = whole;
            let together: Vec<Timestamp> =
                parts.iter().flat_map(|count| split.take(*count, T0)).collect();
            prop_assert_eq!(whole.take(parts.iter().sum(), T0), together);
        }

        #[test]
        fn no_minute_has_more_than_the_limit(
            per_minute in 1_u32..500,
            takes in proptest::collection::vec((0_u64..90_000, 0_usize..200), 1..20)
        ) {
            let mut now = T0;
            let mut spread = Spread::new(per_minute, T0);
            let mut times = Vec::new();
            for (pause, count) in takes {
                now = now.plus(std::time::Duration::from_millis(pause));
                let given = spread.take(count, now);
                prop_assert!(given.iter().all(|due| *due >= now));
                times.extend(given);
            }
            prop_assert!(times.is_sorted());
            // One more than the limit takes a whole minute, to the millisecond of rounding.
            for pair in times.windows(per_minute as usize + 1) {
                let millis = pair[pair.len() - 1].as_millis() - pair[0].as_millis();
                prop_assert!(millis >= 59_999, "{} in {millis} ms", pair.len());
            }
        }
    }
}
