//! The rate of a caller: GCRA, the generic cell rate algorithm (ITU-T I.371), which is a token bucket
//! that keeps one time instead of a count. It rules what comes in; what goes out to a host has rules
//! of its own (`budget`, `pace`).

use std::time::Duration;

use crate::model::Moment;

/// Nanoseconds of a second.
const SECOND_NS: f64 = 1e9;

/// A rate with a burst. Says of each unit whether it may pass now, else when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gcra {
    /// Time that one unit takes up, in nanoseconds: plain numbers, since every request is ruled.
    interval_ns: u64,
    /// Units that may pass at once after a pause; 1 or more.
    burst: u32,
    /// When all that has passed is paid for; with the burst left whole, this is past.
    paid_at: Moment,
}

impl Gcra {
    /// A rate in units a second (above 0; up to 1,000,000,000), of which `burst` may pass at once.
    /// A burst of 0 is taken for 1, since nothing would ever pass.
    pub fn new(per_second: f64, burst: u32) -> Self {
        let nanos = (SECOND_NS / per_second.max(f64::MIN_POSITIVE)).round();
        // A century is as good as never, and stays far from the end of the clock.
        let interval_ns = nanos.clamp(1.0, 3.2e18) as u64;
        Self { interval_ns, burst: burst.max(1), paid_at: Moment::ORIGIN }
    }

    /// Lets `n` units pass, or says after how long they may. More than a burst passes when the
    /// burst is whole and is paid for afterwards, since it could not pass otherwise.
    pub fn take(&mut self, n: u64, now: Moment) -> Result<(), Duration> {
        let wait = self.wait(n, now);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.paid_at = self.paid_at.max(now) + self.cost(n);
        Ok(())
    }

    /// How long `n` units would have to wait; zero when they may pass now.
    pub fn wait(&self, n: u64, now: Moment) -> Duration {
        let needed = self.cost(n.min(u64::from(self.burst)));
        let paid_at = self.paid_at.max(now) + needed;
        now.until(paid_at - self.cost(u64::from(self.burst)))
    }

    /// Whole units that may pass now.
    pub fn remaining(&self, now: Moment) -> u32 {
        let whole_ns = self.interval_ns.saturating_mul(u64::from(self.burst));
        let owed_ns = self.paid_at.as_nanos().saturating_sub(now.as_nanos());
        let units = whole_ns.saturating_sub(owed_ns) / self.interval_ns;
        u32::try_from(units).unwrap_or(u32::MAX).min(self.burst)
    }

    /// How long until the burst is whole again.
    pub fn full_in(&self, now: Moment) -> Duration {
        now.until(self.paid_at)
    }

    /// Units that may pass at once after a pause.
    pub fn burst(&self) -> u32 {
        self.burst
    }

    /// How long a burst takes to come back.
    pub fn window(&self) -> Duration {
        self.cost(u64::from(self.burst))
    }

    fn cost(&self, n: u64) -> Duration {
        Duration::from_nanos(self.interval_ns.saturating_mul(n))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        // Far from the origin, so that a burst is not cut short by the beginning of time.
        Moment::ORIGIN + Duration::from_secs(1_000_000) + Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        let mut rate = Gcra::new(10.0, 3);
        assert_eq!(rate.remaining(at(0)), 3);
        for _ in 0..3 {
            assert_eq!(rate.take(1, at(0)), Ok(()));
        }
        assert_eq!(rate.take(1, at(0)), Err(Duration::from_millis(100)));
        assert_eq!(rate.take(1, at(99)), Err(Duration::from_millis(1)));
        assert_eq!(rate.take(1, at(100)), Ok(()));
        assert_eq!((rate.remaining(at(100)), rate.remaining(at(200))), (0, 1));
        assert_eq!(rate.full_in(at(200)), Duration::from_millis(200));
        assert_eq!(rate.remaining(at(10_000)), 3);
    }

    #[test]
    fn more_than_a_burst_passes_once_the_burst_is_whole_and_is_paid_for() {
        let mut rate = Gcra::new(10.0, 3);
        assert_eq!(rate.take(10, at(0)), Ok(()));
        assert_eq!(rate.take(1, at(0)), Err(Duration::from_millis(800)));
        assert_eq!(rate.take(10, at(800)), Err(Duration::from_millis(200)));
        assert_eq!(rate.take(10, at(1000)), Ok(()));
    }

    #[test]
    fn a_refusal_costs_nothing() {
        let mut rate = Gcra::new(1.0, 1);
        assert_eq!(rate.take(1, at(0)), Ok(()));
        for _ in 0..100 {
            assert_eq!(rate.take(1, at(500)), Err(Duration::from_millis(500)));
        }
        assert_eq!(rate.take(1, at(1000)), Ok(()));
    }

    #[test]
    fn the_first_burst_is_whole_at_the_very_origin_of_time() {
        let mut rate = Gcra::new(0.01, 2);
        assert_eq!(rate.take(2, Moment::ORIGIN), Ok(()));
        assert!(rate.take(1, Moment::ORIGIN).is_err());
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate_times_elapsed(
            per_second in 0.1f64..1000.0,
            burst in 1u32..50,
            steps in proptest::collection::vec((0u64..500, 1u64..4), 1..200),
        ) {
            let mut rate = Gcra::new(per_second, burst);
            let (mut now, mut passed, mut last) = (0, 0, 0);
            for (step, n) in steps {
                now += step;
                if rate.take(n, at(now)).is_ok() {
                    passed += n;
                    last = n;
                }
            }
            let allowed = f64::from(burst) + per_second * now as f64 / 1000.0 * 1.000_001;
            // The one that went over the burst may be paid for later.
            let over = last.saturating_sub(u64::from(burst)) as f64;
            prop_assert!(passed as f64 <= allowed + over + 3.0, "{} of {}", passed, allowed);
        }

        #[test]
        fn whoever_waits_as_long_as_told_may_pass(
            per_second in 0.1f64..1000.0,
            burst in 1u32..50,
            n in 1u64..100,
        ) {
            let mut rate = Gcra::new(per_second, burst);
            let mut now = at(0);
            for _ in 0..20 {
                if let Err(wait) = rate.take(n, now) {
                    now = now + wait;
                    prop_assert_eq!(rate.take(n, now), Ok(()));
                }
            }
        }
    }
}
