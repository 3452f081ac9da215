//! A token bucket that is told the time: static limits, the spread of a header budget and the
//! learned rate all pace through it.

use std::time::Duration;

use crate::model::Moment;

/// No wait is longer: a rate near zero must not overflow a `Duration`.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// Tokens come in at `rate` a second up to `burst`; a send takes one.
/// Invariant: over any stretch, at most `burst + rate × elapsed` tokens are taken.
#[derive(Clone, Debug)]
pub struct Pace {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Moment,
}

impl Pace {
    /// A full bucket. `rate` is tokens a second, above 0; `burst` is at least 1.
    pub fn new(rate: f64, burst: f64, now: Moment) -> Self {
        let burst = burst.max(1.0);
        Self { rate: rate.max(f64::MIN_POSITIVE), burst, tokens: burst, at: now }
    }

    /// A bucket with a single token in it: for rates that must not start with a burst.
    pub fn starting_slow(rate: f64, burst: f64, now: Moment) -> Self {
        Self { tokens: 1.0, ..Self::new(rate, burst, now) }
    }

    /// Tokens a second.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Changes the rate from now on; what has been saved up stays, cut to the new burst.
    pub fn set(&mut self, rate: f64, burst: f64, now: Moment) {
        self.refill(now);
        self.rate = rate.max(f64::MIN_POSITIVE);
        self.burst = burst.max(1.0);
        self.tokens = self.tokens.min(self.burst);
    }

    /// Gives away what has been saved up but for `tokens`, as after a wait, so that it is not
    /// followed by a burst.
    pub fn drain_to(&mut self, tokens: f64, now: Moment) {
        self.refill(now);
        self.tokens = self.tokens.min(tokens);
    }

    /// When a token is there: `None` for now.
    pub fn ready_at(&mut self, now: Moment) -> Option<Moment> {
        self.refill(now);
        if self.tokens >= 1.0 {
            return None;
        }
        let seconds = (1.0 - self.tokens) / self.rate;
        let wait = Duration::try_from_secs_f64(seconds).unwrap_or(WAIT_MAX).min(WAIT_MAX);
        // A nanosecond more, so that rounding never wakes a hair too early and spins.
        Some(now + wait + Duration::from_nanos(1))
    }

    /// Takes a token; below zero when none was there (a probe that may not wait).
    pub fn take(&mut self, now: Moment) {
        self.refill(now);
        self.tokens -= 1.0;
    }

    fn refill(&mut self, now: Moment) {
        let gained = now.since(self.at).as_secs_f64() * self.rate;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.at = self.at.max(now);
    }
}

/// The burst that goes with a pace: ten milliseconds' worth, since timers tick in milliseconds and
/// a pace of 5,000 a second must not fall to one send a tick; and never less than one send and two
/// milliseconds' worth, since what a late tick lets overflow is lost to the rate.
pub fn burst_of(rate: f64) -> f64 {
    (rate * 0.01).max(1.0 + rate * 0.002)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_times_elapsed(
            rate in 0.1_f64..5000.0, burst in 1.0_f64..100.0,
            gaps in proptest::collection::vec(0_u64..50_000_000, 1..400)
        ) {
            let mut now = Moment::ORIGIN;
            let mut pace = Pace::new(rate, burst, now);
            let mut taken = 0.0;
            for gap in gaps {
                now = now + Duration::from_nanos(gap);
                while pace.ready_at(now).is_none() {
                    pace.take(now);
                    taken += 1.0;
                }
                let elapsed = now.since(Moment::ORIGIN).as_secs_f64();
                prop_assert!(taken <= burst + rate * elapsed + 1e-6);
            }
        }

        #[test]
        fn what_it_says_about_readiness_holds(rate in 0.01_f64..10_000.0) {
            let mut pace = Pace::new(rate, 1.0, Moment::ORIGIN);
            pace.take(Moment::ORIGIN);
            let ready = pace.ready_at(Moment::ORIGIN).expect("the bucket is empty");
            prop_assert_eq!(pace.ready_at(ready), None);
        }
    }
}
