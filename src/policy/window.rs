//! What a host's rate-limit headers say of the window or bucket that it counts in, and the pace
//! that spends it: neither overrun nor left unused.
//!
//! Two things hide behind the same headers. A fixed window takes until its reset what remains, and
//! is full again at once. A bucket that refills (token bucket, moving window) gives back all the
//! time; its reset says when it would be full. They are told apart by what remains after a request:
//! in a fixed window it always falls.
//!
//! Resets come late: whole seconds are rounded up, and some limiters add one for good measure. So
//! the last stretch before a reset is gone through with a few requests kept for it: the first that
//! finds a new window tells how late the reset was said to be, and the next window is planned so.
//!
//! Answers come out of order. One whose request was sent after the newest reading had arrived is
//! newer for certain; any other one may only lower what is known.

use std::time::Duration;

use crate::model::Moment;
use crate::policy::headers::Bucket;

/// No window is longer: a host may name any number, and no sum with it may overflow.
const LENGTH_MAX: Duration = Duration::from_secs(32 * 86_400);
/// Two readings of one window differ by rounding only: whole seconds by one, and by another where
/// they are measured against a `Date` that its server writes once a second (uvicorn)…
const TOLERANCE_COARSE: Duration = Duration::from_millis(2100);
/// …finer ones by the answers' way through the network.
const TOLERANCE_FINE: Duration = Duration::from_millis(60);
/// Whole seconds are rounded up by as much.
const ROUNDING: Duration = Duration::from_secs(1);
/// A part of the window, at most, in which the new one is looked for on suspicion…
const SUSPECTED_PART: u32 = 8;
/// …and on experience: a window of one second with a reset two seconds ahead.
const EXPECTED_PART: u32 = 2;
/// Share of the limit that is kept for looking…
const KEPT_SHARE: f64 = 0.03;
/// …the fewest requests, so that one may come too early…
const KEPT_MIN: f64 = 2.0;
/// …and the most: with six of them the new window is found within a sixth of a second.
const KEPT_MAX: f64 = 6.0;
/// After this many newer readings that did not fall, a bucket refills.
const HELD: u32 = 3;
/// A bucket that refills is paced so that this share of the limit stays in hand: a moving window
/// counts it as unused…
const IN_HAND_SHARE: f64 = 0.02;
/// …and at least as many, since the last one gone means a wait.
const IN_HAND_MIN: f64 = 2.0;
/// What is saved up beyond that goes out on top of what comes back, but no faster than this many
/// times as fast: a host is not met with a burst because it was left alone for a while.
const DRAIN_MAX: f64 = 1.25;
/// The refill is measured over stretches of at least so long…
const STRETCH_MIN: Duration = Duration::from_millis(100);
/// …with at least so many answers, since requests are counted in whole numbers.
const STRETCH_ANSWERS: u32 = 5;
/// How much a stretch weighs against those before it, while there is plenty in hand…
const STRETCH_WEIGHT: f64 = 1.0 / 4.0;
/// …and where little is left. A moving window gives back what was sent one length ago, pauses and
/// all: a pace that followed each of them would hand them on for ever.
const STRETCH_WEIGHT_TIGHT: f64 = 1.0 / 16.0;
/// Plenty is more than this share of the limit. Then there is no need to go slower than the limit and
/// the length that the host named, either: what came back so far was only what was sent so far.
const PLENTY_SHARE: f64 = 0.25;
/// The shortest time that what is free is spread over.
const SPREAD_MIN: f64 = 0.001;

/// The window that the headers describe.
#[derive(Clone, Debug)]
pub struct Window {
    limit: Option<u64>,
    /// Lowest remaining that the host has named in this window.
    remaining: u64,
    /// Requests since that reading that ended without a reading of their own.
    unseen: u64,
    resets: Moment,
    /// When the reading arrived.
    observed: Moment,
    /// Longest time to a reset that was seen: about the window's length.
    length: Duration,
    /// Whether the reset is in whole seconds.
    coarse: bool,
    learned: Learned,
}

/// What outlasts a window.
#[derive(Clone, Debug, Default)]
struct Learned {
    /// How much earlier than said the last windows ended, at most and at least.
    late: Duration,
    late_min: Duration,
    /// Newer readings that did not fall, less those that did.
    held: u32,
    refills: bool,
    /// Requests a second that come back where it refills.
    refill: Option<f64>,
    stretch: Option<Stretch>,
}

/// A stretch over which a refill is measured.
#[derive(Clone, Copy, Debug)]
struct Stretch {
    began: Moment,
    remaining: u64,
    answers: u32,
}

impl Window {
    /// A window of which nothing was known before. `None` where the bucket says too little.
    pub fn of(bucket: &Bucket, now: Moment) -> Option<Self> {
        let (remaining, reset) = (bucket.remaining?, bucket.reset?.min(LENGTH_MAX));
        Some(Self {
            limit: bucket.limit,
            remaining,
            unseen: 0,
            resets: now + reset,
            observed: now,
            length: bucket.window.unwrap_or(reset).min(LENGTH_MAX),
            coarse: bucket.coarse,
            learned: Learned::default(),
        })
    }

    /// Limit that the host named.
    pub fn limit(&self) -> Option<u64> {
        self.limit
    }

    /// What remains as far as is known, what is in flight not counted.
    pub fn remaining(&self) -> u64 {
        self.remaining.saturating_sub(self.unseen)
    }

    /// When it ends.
    pub fn resets(&self) -> Moment {
        self.resets
    }

    /// When the newest reading arrived.
    pub fn observed(&self) -> Moment {
        self.observed
    }

    /// When it says nothing any more of the windows after it.
    pub fn stale_at(&self) -> Moment {
        self.resets + self.length.max(Duration::from_secs(1)) * 2
    }

    /// A request ended without an answer that could be read.
    pub fn unanswered(&mut self) {
        self.unseen += 1;
    }

    /// Requests that may go, with so many in flight.
    pub fn free(&self, in_flight: u32) -> f64 {
        self.remaining().saturating_sub(u64::from(in_flight)) as f64
    }

    /// Requests a second that spend what is `free`.
    pub fn rate(&self, free: f64, now: Moment) -> f64 {
        if self.learned.refills {
            let limit = self.limit_at_least();
            let in_hand = (limit * IN_HAND_SHARE).max(IN_HAND_MIN);
            let named = limit / self.length.as_secs_f64().max(SPREAD_MIN);
            let refill = self.learned.refill.unwrap_or(named);
            let refill = if self.is_plenty(free) { refill.max(named) } else { refill };
            // By the square, so that a pause in what comes back is gone through slowly and not into
            // the wait for a reset, which is said up to two seconds too late.
            return refill * (free / in_hand).powi(2).min(DRAIN_MAX);
        }
        let left = now.until(self.resets);
        let zone = self.zone();
        let kept = if zone.is_zero() { 0.0 } else { self.kept() };
        let certain = self.learned.late_min.min(zone) * 9 / 10;
        let (spent, over) = if left > zone && free > kept {
            (free - kept, left - zone)
        } else if left > certain {
            (free, left - certain)
        } else {
            (free, left)
        };
        spent / over.as_secs_f64().max(SPREAD_MIN)
    }

    /// The limit, or what remains where none was named.
    fn limit_at_least(&self) -> f64 {
        self.limit.unwrap_or(self.remaining) as f64
    }

    /// Whether so many that are free are far from the limit.
    fn is_plenty(&self, free: f64) -> bool {
        free > self.limit_at_least() * PLENTY_SHARE
    }

    /// Requests a second in the window after this one, of which nothing is known yet.
    pub fn next_rate(&self) -> Option<f64> {
        let limit = self.limit.filter(|limit| *limit > 0)?;
        Some(limit as f64 / self.length.as_secs_f64().max(SPREAD_MIN))
    }

    /// The last stretch before the reset as it was said: the new window may begin in it.
    fn zone(&self) -> Duration {
        let suspected = if self.coarse { ROUNDING } else { Duration::ZERO };
        let suspected = suspected.min(self.length / SUSPECTED_PART);
        // A tenth more, so that it is looked for before it begins.
        let expected = (self.learned.late * 11 / 10).min(self.length / EXPECTED_PART);
        expected.max(suspected)
    }

    fn kept(&self) -> f64 {
        let limit = self.limit.unwrap_or(0) as f64;
        (limit * KEPT_SHARE).ceil().clamp(KEPT_MIN, KEPT_MAX).min(limit / 4.0)
    }

    /// Takes up what another answer says. `sent` is when its request went out.
    pub fn observe(&mut self, bucket: &Bucket, sent: Moment, in_flight: u32, now: Moment) {
        let Some(fresh) = Self::of(bucket, now) else { return };
        if self.resets <= now {
            self.learned.late = self.learned.late * 3 / 4;
            self.learned.late_min = Duration::ZERO;
            if self.is_full_again(&fresh, in_flight) {
                (self.learned.held, self.learned.refills) = (0, false);
            }
            self.renew(fresh);
            return;
        }
        let newer = sent >= self.observed;
        let tolerance = if bucket.coarse { TOLERANCE_COARSE } else { TOLERANCE_FINE };
        let apart = fresh.resets.since(self.resets).max(self.resets.since(fresh.resets));
        if !newer && apart > tolerance && fresh.resets < self.resets {
            return; // a straggler of a window that is over
        }
        if let Some(stretch) = &mut self.learned.stretch {
            stretch.answers += 1;
        }
        if newer {
            self.weigh(&fresh, sent, in_flight);
            self.measure(&fresh);
        }
        // A newer answer that names more remaining is of a new window, wherever a reset in whole
        // seconds seems to put it.
        if newer && (self.learned.refills || fresh.remaining > self.remaining || apart > tolerance)
        {
            self.renew(fresh);
            return;
        }
        // The same window: what remains only falls, and the earliest reset is the nearest to the
        // truth, since hosts round up.
        self.length = self.length.max(fresh.length);
        self.remaining = self.remaining.min(fresh.remaining);
        if apart <= tolerance {
            self.resets = self.resets.min(fresh.resets);
        }
        if newer {
            self.unseen = 0;
            self.observed = now;
        }
    }

    /// What the next reading says of the kind of window that this is.
    fn weigh(&mut self, fresh: &Self, sent: Moment, in_flight: u32) {
        let is_full_again = self.is_full_again(fresh, in_flight);
        let learned = &mut self.learned;
        if is_full_again {
            // All at once, before the reset that was said.
            let late = sent.until(self.resets);
            learned.late = late.max((learned.late * 3 + late) / 4);
            learned.late_min = late.min((learned.late_min * 3 + late) / 4);
            (learned.held, learned.refills) = (0, false);
        } else if fresh.remaining == 0 {
            learned.held = 0;
        } else if fresh.remaining >= self.remaining {
            learned.held += 1;
            learned.refills |= learned.held >= HELD;
        } else {
            learned.held = learned.held.saturating_sub(1);
        }
    }

    /// Whether everything that was used is there again, as in a new window.
    fn is_full_again(&self, fresh: &Self, in_flight: u32) -> bool {
        let limit = fresh.limit.unwrap_or(u64::MAX);
        let is_full = fresh.remaining >= limit.saturating_sub(1 + u64::from(in_flight));
        let rose = fresh.remaining.saturating_sub(self.remaining);
        is_full && rose >= (limit / 8).max(2)
    }

    /// Measures what comes back, in a bucket that refills.
    fn measure(&mut self, fresh: &Self) {
        let (now, remaining) = (fresh.observed, fresh.remaining);
        let Some(stretch) = self.learned.stretch.filter(|_| self.learned.refills) else {
            self.learned.stretch = Some(Stretch { began: now, remaining, answers: 0 });
            return;
        };
        let length = now.since(stretch.began);
        if length < STRETCH_MIN || stretch.answers < STRETCH_ANSWERS {
            return;
        }
        let came = remaining as f64 + f64::from(stretch.answers) - stretch.remaining as f64;
        let rate = came.max(0.0) / length.as_secs_f64();
        let plenty = fresh.is_plenty(remaining as f64);
        let weight = if plenty { STRETCH_WEIGHT } else { STRETCH_WEIGHT_TIGHT };
        let smooth = self.learned.refill.map_or(rate, |refill| refill + (rate - refill) * weight);
        self.learned.refill = Some(smooth.max(1.0 / length.as_secs_f64()));
        self.learned.stretch = Some(Stretch { began: now, remaining, answers: 0 });
    }

    /// Puts what `fresh` says in the place of what was known, but for what was learned.
    fn renew(&mut self, fresh: Self) {
        // Another limit is another bucket's, and one long reset (a penalty) is no window's length for
        // ever; a bucket that refills names its length when it is empty only.
        let length = match self.learned.refills {
            _ if fresh.limit != self.limit => fresh.length,
            true => self.length.max(fresh.length),
            false => fresh.length.max(self.length * 3 / 4),
        };
        let learned = std::mem::take(&mut self.learned);
        *self = Self { length, learned, ..fresh };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    fn bucket(remaining: u64, reset_ms: u64) -> Bucket {
        let reset = Some(Duration::from_millis(reset_ms));
        let (limit, remaining) = (Some(100), Some(remaining));
        Bucket { limit, remaining, reset, window: None, coarse: false }
    }

    #[test]
    fn a_few_are_kept_to_find_a_new_window_that_begins_early() {
        let mut window = Window::of(&Bucket { coarse: true, ..bucket(100, 10_000) }, at(0));
        let window = window.as_mut().expect("it says enough");
        assert!((window.rate(100.0, at(0)) - 97.0 / 9.0).abs() < 0.1);
        assert!((window.rate(3.0, at(9_000)) - 3.0).abs() < 0.1);
    }

    #[test]
    fn a_window_that_ended_early_ends_the_next_plan_early() {
        let mut window = Window::of(&bucket(20, 2_000), at(0)).expect("it says enough");
        window.observe(&bucket(99, 10_000), at(1_000), 0, at(1_001));
        // A second early, and a tenth more.
        let left = 10.0 - 1.1;
        assert!((window.rate(99.0, at(1_001)) - 96.0 / left).abs() < 0.1);
    }

    #[test]
    fn a_bucket_that_refills_is_paced_by_what_comes_back() {
        let mut window = Window::of(&bucket(99, 1_000), at(0)).expect("it says enough");
        for millis in (10..2_000).step_by(10) {
            window.observe(&bucket(50, 1_000), at(millis), 0, at(millis));
        }
        // A hundred a second come back; two in hand keep it so, and more speed it up a little.
        assert!((window.rate(2.0, at(2_000)) - 100.0).abs() < 5.0);
        assert!((window.rate(20.0, at(2_000)) - 125.0).abs() < 6.0);
        assert!((window.rate(1.0, at(2_000)) - 25.0).abs() < 3.0);
    }

    proptest! {
        #[test]
        fn in_one_window_remaining_only_falls(
            readings in proptest::collection::vec((0_u64..100, 0_u64..50), 1..100)
        ) {
            let mut window = Window::of(&bucket(100, 9_900), at(100)).expect("it says enough");
            for (number, (remaining, age)) in readings.into_iter().enumerate() {
                let now = number as u64 + 101;
                let before = window.remaining();
                // Sent before the first reading arrived, so never newer.
                window.observe(&bucket(remaining, 10_000 - now), at(99 - age), 0, at(now));
                prop_assert!(window.remaining() <= before);
            }
        }

        #[test]
        fn no_reading_makes_the_rate_anything_but_a_number(
            readings in proptest::collection::vec(
                (any::<u64>(), any::<u64>(), any::<u32>(), any::<bool>()), 1..50)
        ) {
            let mut window = Window::of(&bucket(100, 10_000), at(0)).expect("it says enough");
            let mut now = 0;
            for (limit, remaining, reset_ms, coarse) in readings {
                now += u64::from(reset_ms % 1_000);
                let named = bucket(remaining, u64::from(reset_ms));
                let named = Bucket { limit: Some(limit), coarse, ..named };
                window.observe(&named, at(now), 3, at(now));
                let rate = window.rate(window.free(3), at(now));
                prop_assert!(rate.is_finite() && rate >= 0.0, "{rate}");
            }
        }
    }
}
