//! What a host's answers say that it will take: waits that hold the whole host, and the pace that
//! its rate-limit headers ask for (`window` reads those).
//!
//! No answer holds a host for longer than an hour: then one request asks again, and as long as the
//! host says nothing else it is asked once an hour.

use std::time::Duration;

use crate::model::Moment;
use crate::policy::headers::{Bucket, Signals};
use crate::policy::pace::{Pace, burst_of};
use crate::policy::window::Window;

/// A host is never held longer by one answer: after that one request asks again.
pub const WAIT_MAX: Duration = Duration::from_secs(3600);
/// However little is spread over however long: one request an hour asks whether it still holds.
const RATE_MIN: f64 = 1.0 / 3600.0;
/// First wait after a refusal that does not say for how long; each further one in a row doubles it.
const BACKOFF_BASE: Duration = Duration::from_secs(1);
/// The longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Why the whole host waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitCause {
    /// It said `Retry-After`.
    RetryAfter,
    /// Its headers said that nothing remains until the reset.
    Spent,
    /// It refused without saying for how long.
    Backoff,
}

/// A wait that holds the whole host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Until then.
    pub until: Moment,
    /// Why.
    pub cause: WaitCause,
    /// The host asked for longer than [`WAIT_MAX`]: one request goes first when this is over.
    pub capped: bool,
}

/// An answer as the budget sees it.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// What its headers say.
    pub signals: &'a Signals,
    /// 429, or 503 with `Retry-After`.
    pub refused: bool,
    /// When its request was sent.
    pub sent: Moment,
    /// Requests that are still out, this one not counted.
    pub in_flight: u32,
}

/// The budget of one host.
#[derive(Clone, Debug, Default)]
pub struct Budget {
    wait: Option<Wait>,
    window: Option<Window>,
    pace: Option<Pace>,
    refusals: u32,
    /// One request at a time until an answer comes that is no refusal.
    scouting: bool,
}

impl Budget {
    /// The wait that holds the host now.
    pub fn wait(&self, now: Moment) -> Option<Wait> {
        self.wait.filter(|wait| wait.until > now)
    }

    /// Holds the host, as it was held before a restart.
    pub fn restore_wait(&mut self, wait: Wait) {
        self.wait = Some(wait);
    }

    /// Takes up a window that was known before a restart.
    pub fn restore_window(
        &mut self,
        limit: Option<u64>,
        remaining: u64,
        reset: Duration,
        now: Moment,
    ) {
        let reset = Some(reset.min(WAIT_MAX));
        let bucket = Bucket { limit, remaining: Some(remaining), reset, ..Bucket::default() };
        self.window = Window::of(&bucket, now);
    }

    /// Whether a wait ran out since the last call; it is forgotten then.
    pub fn wait_ended(&mut self, now: Moment) -> bool {
        let Some(wait) = self.wait.filter(|wait| wait.until <= now) else { return false };
        self.scouting |= wait.capped;
        self.wait = None;
        true
    }

    /// Limit, remaining and reset of the window, for showing and saving.
    pub fn window(&self, now: Moment) -> Option<(Option<u64>, u64, Moment)> {
        let window = self.window.as_ref().filter(|window| window.resets() > now)?;
        Some((window.limit(), window.remaining(), window.resets()))
    }

    /// What the window lets go: how many until it resets, when that is, and how many a second after
    /// that, where the host named a limit.
    pub fn allowance(&self, in_flight: u32, now: Moment) -> Option<(u64, Moment, Option<f64>)> {
        let window = self.window.as_ref().filter(|window| window.resets() > now)?;
        Some((window.free(in_flight) as u64, window.resets(), window.next_rate()))
    }

    /// The rate that its headers ask for, requests a second, where they do.
    pub fn rate(&self) -> Option<f64> {
        self.pace.as_ref().map(Pace::rate)
    }

    /// Whether the budget lets a send start while `in_flight` are out, and if not, until when.
    /// `Err(None)` means until an answer comes.
    pub fn admits(&mut self, in_flight: u32, now: Moment) -> Result<(), Option<Moment>> {
        if let Some(wait) = self.wait(now) {
            return Err(Some(wait.until));
        }
        if self.scouting {
            return if in_flight == 0 { Ok(()) } else { Err(None) };
        }
        if self.window.as_ref().is_some_and(|window| now >= window.stale_at()) {
            self.window = None;
            self.pace = None;
        }
        let Some(window) = &self.window else { return Ok(()) };
        let rate = if now >= window.resets() {
            // A new window that nothing is known of yet: what is out stays under the limit that the
            // host named. A limit of none says nothing, and nothing out would be waited for for ever.
            let limit = window.limit().unwrap_or(u64::MAX).max(1);
            if u64::from(in_flight) >= limit {
                return Err(None);
            }
            window.next_rate()
        } else {
            let free = window.free(in_flight);
            if free < 1.0 {
                let spent = window.remaining() == 0 || in_flight == 0;
                return Err(spent.then(|| self.wait_for_reset(now)));
            }
            Some(window.rate(free, now))
        };
        match (&mut self.pace, rate.map(|rate| rate.max(RATE_MIN))) {
            (Some(pace), Some(rate)) => pace.set(rate, burst_of(rate), now),
            (None, Some(rate)) => {
                self.pace = Some(Pace::starting_slow(rate, burst_of(rate), now));
            }
            (_, None) => {}
        }
        match self.pace.as_mut().and_then(|pace| pace.ready_at(now)) {
            Some(ready) => Err(Some(ready)),
            None => Ok(()),
        }
    }

    /// Nothing remains though the host did not say zero. Answers when to ask again.
    fn wait_for_reset(&mut self, now: Moment) -> Moment {
        let resets = self.window.as_ref().map_or(now, Window::resets);
        let capped = now.until(resets) > WAIT_MAX;
        if capped {
            let until = now + WAIT_MAX;
            self.wait = Some(Wait { until, cause: WaitCause::Spent, capped });
            return until;
        }
        resets
    }

    /// Gives away what the pace saved up while the host was left alone.
    pub fn calm(&mut self, now: Moment) {
        if let Some(pace) = &mut self.pace {
            pace.drain_to(1.0, now);
        }
    }

    /// A request goes out.
    pub fn sent(&mut self, now: Moment) {
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
    }

    /// A request ended without an answer that could be read.
    pub fn unanswered(&mut self, now: Moment) {
        if let Some(window) = &mut self.window {
            window.unanswered();
        }
        if self.scouting {
            // It was told to wait for longer, and nothing else has been heard since.
            self.wait = Some(Wait { until: now + WAIT_MAX, cause: WaitCause::Spent, capped: true });
        }
    }

    /// An answer came. `roll` (0 to 1) spreads backoffs. Answers how long the host waits for it,
    /// when it does.
    pub fn read(&mut self, reading: Reading<'_>, roll: f64, now: Moment) -> Option<Duration> {
        let spent = self.read_buckets(&reading, now);
        if !reading.refused {
            self.refusals = 0;
            self.scouting = false;
        }
        let (wait, cause) = match (reading.refused, reading.signals.retry_after) {
            (true, Some(wait)) => (wait, WaitCause::RetryAfter),
            // On an answer that is no refusal Retry-After counts only with nothing remaining: real
            // limiters put it on every 200.
            (false, Some(wait)) if spent == Some(None) => (wait, WaitCause::RetryAfter),
            (_, _) if let Some(Some(reset)) = spent => (reset, WaitCause::Spent),
            (true, None) => {
                self.refusals = self.refusals.saturating_add(1);
                (self.backoff(roll), WaitCause::Backoff)
            }
            (false, _) => return None,
        };
        let capped = wait > WAIT_MAX;
        let until = now + wait.min(WAIT_MAX);
        // Refusals of one round, all without a hint, must not each push the wait further out.
        let longer =
            self.wait(now).is_none_or(|wait| wait.until < until && cause != WaitCause::Backoff);
        if longer {
            self.wait = Some(Wait { until, cause, capped });
        }
        Some(wait.min(WAIT_MAX))
    }

    fn backoff(&self, roll: f64) -> Duration {
        let doublings = self.refusals.saturating_sub(1).min(10);
        let full = (BACKOFF_BASE * 2_u32.pow(doublings)).min(BACKOFF_MAX);
        full.mul_f64(0.5 + roll.clamp(0.0, 1.0))
    }

    /// Takes up the tightest bucket. `Some` when nothing remains, with the time to the reset where
    /// it was named.
    fn read_buckets(&mut self, reading: &Reading<'_>, now: Moment) -> Option<Option<Duration>> {
        let buckets = &reading.signals.buckets;
        let mut spent = buckets.iter().filter(|bucket| bucket.remaining == Some(0));
        let longest = spent.clone().filter_map(|bucket| bucket.reset).max();
        let tightest = buckets
            .iter()
            .filter(|bucket| bucket.remaining.is_some() && bucket.reset.is_some())
            // Of several that are spent, the one that stays so for longest.
            .min_by(|one, other| {
                looseness(one).total_cmp(&looseness(other)).then(other.reset.cmp(&one.reset))
            });
        let known_at = self.window.as_ref().map_or(Moment::ORIGIN, Window::observed);
        match (tightest, &mut self.window) {
            (Some(bucket), Some(window)) => {
                window.observe(bucket, reading.sent, reading.in_flight, now);
            }
            (Some(bucket), None) => self.window = Window::of(bucket, now),
            (None, Some(window)) => window.unanswered(),
            (None, None) => {}
        }
        spent.next()?;
        let window = self.window.as_ref();
        // An old answer's zero belongs to a window that may be over.
        if reading.sent < known_at && window.is_some_and(|window| window.remaining() > 0) {
            return None;
        }
        // Readings in whole seconds, put together, tell the reset better than the last of them.
        let refined = window.filter(|window| window.remaining() == 0 && tightest.is_some());
        let reset = refined.map(|window| now.until(window.resets()));
        Some(match (longest, reset) {
            (Some(longest), Some(reset)) => Some(longest.min(reset)),
            (longest, _) => longest,
        })
    }
}

/// Requests a second that a bucket leaves: the smaller, the tighter.
fn looseness(bucket: &Bucket) -> f64 {
    let left = bucket.reset.unwrap_or_default().as_secs_f64().max(0.001);
    bucket.remaining.unwrap_or(u64::MAX) as f64 / left
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    fn bucket(limit: u64, remaining: u64, reset_ms: u64) -> Signals {
        let reset = Some(Duration::from_millis(reset_ms));
        let (limit, remaining) = (Some(limit), Some(remaining));
        let bucket = Bucket { limit, remaining, reset, window: None, coarse: false };
        Signals { retry_after: None, buckets: vec![bucket] }
    }

    fn read(budget: &mut Budget, signals: &Signals, refused: bool, sent: u64, now: u64) {
        budget.read(Reading { signals, refused, sent: at(sent), in_flight: 0 }, 0.5, at(now));
    }

    #[test]
    fn nothing_remaining_waits_until_the_reset() {
        let mut budget = Budget::default();
        read(&mut budget, &bucket(10, 0, 5000), false, 0, 100);
        assert_eq!(budget.admits(0, at(100)), Err(Some(at(5100))));
        assert!(budget.wait_ended(at(5100)));
        assert_eq!(budget.admits(0, at(5100)), Ok(()));
    }

    #[test]
    fn what_remains_is_spread_over_the_time_to_the_reset() {
        let mut budget = Budget::default();
        read(&mut budget, &bucket(10, 10, 10_000), false, 0, 0);
        assert_eq!(budget.admits(0, at(0)), Ok(()));
        let mut sends = 0;
        for millis in (0..10_000).step_by(10) {
            while budget.admits(sends, at(millis)).is_ok() {
                budget.sent(at(millis));
                sends += 1;
            }
            assert!(u64::from(sends) <= 1 + 2 * millis / 1000 + 1, "{sends} at {millis}");
        }
        assert!((7..=10).contains(&sends), "{sends}");
    }

    #[test]
    fn in_flight_requests_are_subtracted() {
        let mut budget = Budget::default();
        read(&mut budget, &bucket(10, 3, 10_000), false, 0, 0);
        assert_eq!(budget.admits(3, at(9_000)), Err(None));
    }

    #[test]
    fn an_old_answer_never_raises_what_a_newer_one_lowered() {
        let mut budget = Budget::default();
        read(&mut budget, &bucket(100, 5, 10_000), false, 50, 60);
        read(&mut budget, &bucket(100, 90, 10_000), false, 10, 70);
        assert_eq!(budget.window(at(70)).map(|window| window.1), Some(5));
    }

    #[test]
    fn a_straggler_of_the_last_window_does_not_empty_the_new_one() {
        let mut budget = Budget::default();
        read(&mut budget, &bucket(100, 99, 60_000), false, 0, 1_000);
        read(&mut budget, &bucket(100, 0, 100), false, 500, 1_001);
        assert_eq!(budget.window(at(1_001)).map(|window| window.1), Some(99));
        assert_eq!(budget.wait(at(1_001)), None);
    }

    #[test]
    fn no_number_that_a_host_names_overflows() {
        let mut budget = Budget::default();
        let reset = Some(Duration::MAX);
        let bucket = Bucket { remaining: Some(5), reset, window: reset, ..Bucket::default() };
        let signals = Signals { retry_after: Some(Duration::MAX), buckets: vec![bucket] };
        read(&mut budget, &signals, true, 0, 0);
        assert!(budget.admits(0, at(0)).is_err());
        assert!(budget.wait_ended(at(3_600_000)));
        let _held = budget.admits(0, at(3_600_000));
    }

    #[test]
    fn a_host_whose_window_is_days_long_is_asked_once_an_hour() {
        let mut budget = Budget::default();
        let hour = 3_600_000;
        read(&mut budget, &bucket(10, 0, 100 * hour), false, 0, 0);
        for asked in 1..4 {
            assert!(budget.admits(0, at(asked * hour - 1)).is_err());
            assert!(budget.wait_ended(at(asked * hour)));
            assert_eq!(budget.admits(0, at(asked * hour)), Ok(()));
            assert_eq!(budget.admits(1, at(asked * hour)), Err(None), "one at a time");
            read(&mut budget, &bucket(10, 0, 50 * hour), false, asked * hour, asked * hour);
        }
    }

    #[test]
    fn a_limit_of_none_holds_until_the_reset_and_no_longer() {
        let mut budget = Budget::default();
        read(&mut budget, &bucket(0, 0, 5_000), false, 0, 0);
        assert_eq!(budget.admits(0, at(0)), Err(Some(at(5_000))));
        assert!(budget.wait_ended(at(5_000)));
        assert_eq!(budget.admits(0, at(5_000)), Ok(()));
    }

    #[test]
    fn a_new_window_raises_it_again() {
        let mut budget = Budget::default();
        read(&mut budget, &bucket(100, 5, 1_000), false, 0, 10);
        read(&mut budget, &bucket(100, 99, 1_000), false, 1_010, 1_020);
        assert_eq!(budget.window(at(1_020)).map(|window| window.1), Some(99));
    }

    #[test]
    fn retry_after_on_a_success_counts_only_with_nothing_remaining() {
        let mut budget = Budget::default();
        let signals = Signals { retry_after: Some(Duration::from_secs(9)), buckets: vec![] };
        read(&mut budget, &signals, false, 0, 0);
        assert_eq!(budget.wait(at(0)), None);
        read(&mut budget, &signals, true, 0, 0);
        assert_eq!(budget.wait(at(0)).map(|wait| wait.until), Some(at(9_000)));
    }

    #[test]
    fn a_refusal_without_a_hint_backs_off_twice_as_long_each_time() {
        let mut budget = Budget::default();
        let none = Signals::default();
        read(&mut budget, &none, true, 0, 0);
        assert_eq!(budget.wait(at(0)).map(|wait| wait.until), Some(at(1_000)));
        read(&mut budget, &none, true, 1_000, 1_000);
        assert_eq!(budget.wait(at(1_000)).map(|wait| wait.until), Some(at(3_000)));
        read(&mut budget, &none, false, 3_000, 3_000);
        read(&mut budget, &none, true, 4_000, 4_000);
        assert_eq!(budget.wait(at(4_000)).map(|wait| wait.until), Some(at(5_000)));
    }

    #[test]
    fn after_a_capped_wait_one_request_goes_first() {
        let mut budget = Budget::default();
        let signals = Signals { retry_after: Some(Duration::from_secs(7_200)), buckets: vec![] };
        read(&mut budget, &signals, true, 0, 0);
        let hour = 3_600_000;
        assert_eq!(budget.admits(0, at(0)), Err(Some(at(hour))));
        assert!(budget.wait_ended(at(hour)));
        assert_eq!(budget.admits(0, at(hour)), Ok(()));
        assert_eq!(budget.admits(1, at(hour)), Err(None));
    }

    #[test]
    fn a_window_of_a_day_is_asked_about_once_an_hour() {
        let (hour, day) = (3_600_000, 86_400_000);
        let mut budget = Budget::default();
        read(&mut budget, &bucket(10, 0, day), false, 0, 0);
        assert_eq!(budget.admits(0, at(0)), Err(Some(at(hour))));
        assert!(budget.wait_ended(at(hour)));
        assert_eq!(budget.admits(0, at(hour)), Ok(()));
        assert_eq!(budget.admits(1, at(hour)), Err(None), "one at a time");
        read(&mut budget, &bucket(10, 0, day - hour), false, hour, hour + 5);
        assert_eq!(budget.admits(0, at(hour + 5)), Err(Some(at(2 * hour + 5))));
        assert!(budget.wait_ended(at(2 * hour + 5)));
        // One that is not answered at all is followed by another hour, too.
        budget.unanswered(at(2 * hour + 90_000));
        assert_eq!(budget.admits(0, at(2 * hour + 90_000)), Err(Some(at(3 * hour + 90_000))));
        assert!(budget.wait_ended(at(3 * hour + 90_000)));
        read(&mut budget, &bucket(10, 9, day), false, 3 * hour + 90_000, 3 * hour + 90_005);
        assert_eq!(budget.admits(0, at(3 * hour + 90_005)), Ok(()));
    }

    #[test]
    fn what_was_used_up_without_an_answer_is_asked_about_once_an_hour_too() {
        let (hour, day) = (3_600_000, 86_400_000);
        let mut budget = Budget::default();
        read(&mut budget, &bucket(10, 2, day), false, 0, 0);
        (0..2).for_each(|_| budget.unanswered(at(1)));
        assert_eq!(budget.admits(0, at(1)), Err(Some(at(hour + 1))));
        assert!(budget.wait_ended(at(hour + 1)));
        assert_eq!(budget.admits(0, at(hour + 1)), Ok(()));
    }

    #[test]
    fn a_reset_in_whole_seconds_is_known_better_from_several_answers() {
        let coarse = |remaining, reset_s: u64| {
            let mut signals = bucket(100, remaining, reset_s * 1000);
            signals.buckets[0].coarse = true;
            signals
        };
        let mut budget = Budget::default();
        read(&mut budget, &coarse(1, 5), false, 0, 0);
        read(&mut budget, &coarse(0, 1), false, 4_950, 4_990);
        assert_eq!(budget.admits(0, at(4_990)), Err(Some(at(5_000))), "not at 5,990");
    }

    proptest! {
        #[test]
        fn no_host_is_held_for_long_without_a_request(
            answers in proptest::collection::vec(
                (0_u64..100_000, 0_u64..3, 0_u64..400_000_000, any::<bool>(), any::<bool>()), 1..50)
        ) {
            let mut budget = Budget::default();
            let mut now = 0;
            for (gap, remaining, reset_ms, refused, answered) in answers {
                now += gap;
                if answered {
                    let reset = if refused { Some(Duration::from_millis(reset_ms)) } else { None };
                    let signals = Signals { retry_after: reset, ..bucket(10, remaining, reset_ms) };
                    read(&mut budget, &signals, refused, now, now);
                } else {
                    budget.unanswered(at(now));
                }
                // Nothing is in flight now, so a time must be named, and it must come: a wait of an
                // hour and then a pace of one an hour at the most.
                let asked = now;
                while let Err(until) = budget.admits(0, at(now)) {
                    let until = until.expect("nothing is out that could be waited for");
                    now = until.as_nanos() / 1_000_000 + 1;
                    budget.wait_ended(at(now));
                    prop_assert!(now <= asked + 2 * 3_600_000 + 10, "{now} at {asked}");
                }
                budget.sent(at(now));
            }
        }
    }
}
