//! The moving window that decides whether a host is unhealthy.
//!
//! Every attempt that the host itself ended, or let end, is counted: successes, failures, and the
//! answers that are neither, such as a 404 or a 500. A request to wait (429, 503 with
//! `Retry-After`, a limiter's bare 503) steers the budget alone and is not counted here.

use std::collections::VecDeque;
use std::time::Duration;

use crate::config::Health;
use crate::model::Moment;

/// Slices of the window. Sixty, so that the default window moves in steps of a second.
const SLICES: u32 = 60;

/// Fewer timeouts in a row are an endpoint's trouble and not the host's, however small the in-flight
/// limit has become meanwhile. As many as are in flight at first contact.
const TIMEOUTS_MIN: u32 = 4;

/// Why a host was found unhealthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TripReason {
    /// Too many failures, and more than the allowed share of all attempts.
    Failures {
        /// Failures in the window.
        failures: u32,
        /// Attempts in the window.
        attempts: u32,
    },
    /// As many timeouts in a row as requests may be in flight, and no success: a black hole never
    /// reaches the count of failures within the window.
    Timeouts {
        /// In a row.
        in_a_row: u32,
    },
}

/// The attempts of the recent past.
#[derive(Clone, Debug)]
pub struct HealthWindow {
    rules: Health,
    slices: VecDeque<Slice>,
    attempts: u32,
    failures: u32,
    timeouts_in_a_row: u32,
}

#[derive(Clone, Copy, Debug)]
struct Slice {
    number: u64,
    attempts: u32,
    failures: u32,
}

impl HealthWindow {
    /// An empty window.
    pub fn new(rules: Health) -> Self {
        Self { rules, slices: VecDeque::new(), attempts: 0, failures: 0, timeouts_in_a_row: 0 }
    }

    /// Counts an attempt that was answered and is no failure.
    pub fn answered(&mut self, now: Moment) {
        self.timeouts_in_a_row = 0;
        self.slice(now).attempts += 1;
        self.attempts += 1;
    }

    /// The host asked to wait: it is alive, and that is all.
    pub fn asked_to_wait(&mut self) {
        self.timeouts_in_a_row = 0;
    }

    /// Counts a failure.
    pub fn failed(&mut self, timed_out: bool, now: Moment) {
        self.timeouts_in_a_row = if timed_out { self.timeouts_in_a_row + 1 } else { 0 };
        let slice = self.slice(now);
        slice.attempts += 1;
        slice.failures += 1;
        self.attempts += 1;
        self.failures += 1;
    }

    /// Whether failures make up more of the window than the rules allow, however few they are.
    pub fn failures_prevail(&mut self, now: Moment) -> bool {
        self.expire(now);
        let share = f64::from(self.failures) / f64::from(self.attempts.max(1));
        share > self.rules.failure_ratio
    }

    /// Whether the host is unhealthy, and why. `in_flight_limit` is how many might be out when the
    /// last of them was sent.
    pub fn tripped(&mut self, in_flight_limit: u32, now: Moment) -> Option<TripReason> {
        let prevail = self.failures_prevail(now);
        let (failures, attempts) = (self.failures, self.attempts);
        if failures >= self.rules.min_failures && prevail {
            return Some(TripReason::Failures { failures, attempts });
        }
        let in_a_row = self.timeouts_in_a_row;
        (in_a_row >= in_flight_limit.max(TIMEOUTS_MIN)).then_some(TripReason::Timeouts { in_a_row })
    }

    /// Attempts and failures in the window.
    pub fn counts(&mut self, now: Moment) -> (u32, u32) {
        self.expire(now);
        (self.attempts, self.failures)
    }

    /// Forgets everything, as when a host is found healthy again.
    pub fn clear(&mut self) {
        *self = Self::new(self.rules.clone());
    }

    fn slice_length(&self) -> Duration {
        (self.rules.window / SLICES).max(Duration::from_millis(1))
    }

    fn number(&self, now: Moment) -> u64 {
        now.as_nanos() / self.slice_length().as_nanos() as u64
    }

    fn slice(&mut self, now: Moment) -> &mut Slice {
        self.expire(now);
        let number = self.number(now);
        if self.slices.back().is_none_or(|slice| slice.number < number) {
            self.slices.push_back(Slice { number, attempts: 0, failures: 0 });
        }
        self.slices.back_mut().expect("a slice was just pushed where there was none")
    }

    fn expire(&mut self, now: Moment) {
        let oldest = self.number(now).saturating_sub(u64::from(SLICES) - 1);
        while self.slices.front().is_some_and(|slice| slice.number < oldest) {
            let slice = self.slices.pop_front().expect("the front was just seen");
            self.attempts -= slice.attempts;
            self.failures -= slice.failures;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::HostRules;

    fn window() -> HealthWindow {
        HealthWindow::new(HostRules::default().health)
    }

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }

    #[test]
    fn twenty_failures_trip_and_nineteen_do_not() {
        let mut health = window();
        (0..19).for_each(|_| health.failed(false, at(1)));
        assert_eq!(health.tripped(64, at(1)), None);
        health.failed(false, at(1));
        let reason = TripReason::Failures { failures: 20, attempts: 20 };
        assert_eq!(health.tripped(64, at(1)), Some(reason));
    }

    #[test]
    fn half_is_not_more_than_half() {
        let mut health = window();
        (0..30).for_each(|_| health.failed(false, at(1)));
        (0..30).for_each(|_| health.answered(at(2)));
        assert_eq!(health.tripped(64, at(2)), None);
        health.failed(false, at(2));
        assert!(health.tripped(64, at(2)).is_some());
    }

    #[test]
    fn a_request_to_wait_is_no_attempt_and_ends_a_row_of_timeouts() {
        let mut health = window();
        (0..3).for_each(|_| health.failed(true, at(1)));
        (0..100).for_each(|_| health.asked_to_wait());
        health.failed(true, at(1));
        assert_eq!(health.tripped(4, at(1)), None);
        (0..16).for_each(|_| health.failed(false, at(1)));
        let reason = TripReason::Failures { failures: 20, attempts: 20 };
        assert_eq!(health.tripped(4, at(1)), Some(reason));
    }

    #[test]
    fn failures_leave_the_window_after_a_minute() {
        let mut health = window();
        (0..25).for_each(|_| health.failed(false, at(1)));
        assert!(health.tripped(64, at(60)).is_some());
        assert_eq!(health.tripped(64, at(61)), None);
        assert_eq!(health.counts(at(61)), (0, 0));
    }

    #[test]
    fn a_full_in_flight_limit_of_timeouts_trips() {
        let mut health = window();
        (0..3).for_each(|_| health.failed(true, at(1)));
        assert_eq!(health.tripped(4, at(1)), None);
        health.failed(true, at(1));
        assert_eq!(health.tripped(4, at(1)), Some(TripReason::Timeouts { in_a_row: 4 }));
        health.asked_to_wait();
        assert_eq!(health.tripped(4, at(1)), None);
    }

    proptest! {
        #[test]
        fn it_trips_exactly_when_the_contract_says_so(
            steps in proptest::collection::vec((0_u64..3_000, any::<bool>()), 1..200)
        ) {
            let mut health = window();
            let mut seen: Vec<(u64, bool)> = Vec::new();
            let mut millis = 0;
            for (gap, fails) in steps {
                millis += gap;
                let now = Moment::ORIGIN + Duration::from_millis(millis);
                if fails { health.failed(false, now) } else { health.answered(now) }
                seen.push((millis / 1_000, fails));
                let window = seen.iter().filter(|one| one.0 + 60 > millis / 1_000);
                let attempts = window.clone().count();
                let failures = window.filter(|one| one.1).count();
                let unhealthy = failures >= 20 && failures * 2 > attempts;
                prop_assert_eq!(health.tripped(64, now).is_some(), unhealthy);
            }
        }
    }
}
