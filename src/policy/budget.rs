//! What a host's answers say that it will take: waits that hold the whole host, and the window of
//! its rate-limit headers, spread so that it is neither overrun nor left unused.
//!
//! Answers come out of order. One whose request was sent after the newest reading had arrived is
//! newer for certain; any other one may only lower what is known.

use std::time::Duration;

use crate::model::Moment;
use crate::policy::headers::{Bucket, Signals};
use crate::policy::pace::{Pace, burst_of};

/// A host is never held longer by one answer: after that one request asks again.
pub const WAIT_MAX: Duration = Duration::from_secs(3600);
/// No window is longer: a host may name any number, and no sum with it may overflow.
const WINDOW_MAX: Duration = Duration::from_secs(32 * 86_400);
/// First wait after a refusal that does not say for how long; each further one in a row doubles it.
const BACKOFF_BASE: Duration = Duration::from_secs(1);
/// The longest such wait.
const BACKOFF_MAX: Duration = Duration::from_secs(60);
/// Two readings of one window differ by rounding only: whole seconds by one…
const TOLERANCE_COARSE: Duration = Duration::from_millis(1100);
/// …finer ones by the answers' way through the network.
const TOLERANCE_FINE: Duration = Duration::from_millis(60);

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

/// The window that the headers describe.
#[derive(Clone, Debug)]
struct Window {
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
        let resets = now + reset.min(WAIT_MAX);
        let window = Window { limit, remaining, unseen: 0, resets, observed: now, length: reset };
        self.window = Some(window);
    }

    /// Whether a wait ran out since the last call; it is forgotten then.
    pub fn wait_ended(&mut self, now: Moment) -> bool {
        let Some(wait) = self.wait.filter(|wait| wait.until <= now) else { return false };
        if wait.capped {
            // The window that asked for it would go on holding the one request that is to ask.
            self.scouting = true;
            self.window = None;
            self.pace = None;
        }
        self.wait = None;
        true
    }

    /// Limit, remaining and reset of the window, for showing and saving.
    pub fn window(&self, now: Moment) -> Option<(Option<u64>, u64, Moment)> {
        let window = self.window.as_ref().filter(|window| window.resets > now)?;
        Some((window.limit, window.remaining.saturating_sub(window.unseen), window.resets))
    }

    /// Whether the budget lets a send start while `in_flight` are out, and if not, until when.
    /// `Err(None)` means until an answer comes.
    pub fn admits(&mut self, in_flight: u32, now: Moment) -> Result<(), Option<Moment>> {
        if let Some(wait) = self.wait(now) {
            return Err(Some(wait.until));
        }
        if self.scouting && in_flight > 0 {
            return Err(None);
        }
        if let Some(window) = &self.window {
            let stale = window.resets + window.length.max(Duration::from_secs(1)) * 2;
            if now >= stale {
                self.window = None;
                self.pace = None;
            } else if now >= window.resets {
                // A new window that nothing is known of yet: the last pace goes on, and what is out
                // stays under the limit that the host named.
                // A limit of none says nothing, and nothing out would be waited for for ever.
                let limit = window.limit.unwrap_or(u64::MAX).max(1);
                if u64::from(in_flight) >= limit {
                    return Err(None);
                }
            } else {
                let free = window.available(in_flight);
                if free < 1.0 {
                    let spent = window.remaining <= window.unseen || in_flight == 0;
                    return Err(spent.then_some(window.resets));
                }
                let left = now.until(window.resets).as_secs_f64().max(0.001);
                let rate = free / left;
                match &mut self.pace {
                    Some(pace) => pace.set(rate, burst_of(rate), now),
                    None => self.pace = Some(Pace::starting_slow(rate, burst_of(rate), now)),
                }
            }
        }
        match self.pace.as_mut().and_then(|pace| pace.ready_at(now)) {
            Some(ready) => Err(Some(ready)),
            None => Ok(()),
        }
    }

    /// A request goes out.
    pub fn sent(&mut self, now: Moment) {
        if let Some(pace) = &mut self.pace {
            pace.take(now);
        }
    }

    /// A request ended without an answer that could be read.
    pub fn unanswered(&mut self) {
        if let Some(window) = &mut self.window {
            window.unseen += 1;
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
        let spent = buckets.iter().filter(|bucket| bucket.remaining == Some(0));
        let longest = spent.clone().filter_map(|bucket| bucket.reset).max();
        let tightest = buckets
            .iter()
            .filter(|bucket| bucket.remaining.is_some() && bucket.reset.is_some())
            .min_by(|one, other| looseness(one).total_cmp(&looseness(other)));
        match tightest {
            Some(bucket) => self.observe(bucket, reading, now),
            None => self.unanswered(),
        }
        let stale =
            reading.sent < self.window.as_ref().map_or(Moment::ORIGIN, |window| window.observed);
        let nothing = spent.clone().next().is_some();
        // An old answer's zero belongs to a window that may be over.
        let over = stale && self.window.as_ref().is_some_and(|window| window.remaining > 0);
        (nothing && !over).then_some(longest)
    }

    fn observe(&mut self, bucket: &Bucket, reading: &Reading<'_>, now: Moment) {
        let (Some(remaining), Some(reset)) = (bucket.remaining, bucket.reset) else { return };
        let reset = reset.min(WINDOW_MAX);
        let resets = now + reset;
        let length = bucket.window.unwrap_or(reset).min(WINDOW_MAX);
        let fresh =
            Window { limit: bucket.limit, remaining, unseen: 0, resets, observed: now, length };
        let Some(window) = self.window.as_mut().filter(|window| window.resets > now) else {
            let length = self.window.as_ref().map_or(length, |window| window.length.max(length));
            self.window = Some(Window { length, ..fresh });
            return;
        };
        let newer = reading.sent >= window.observed;
        let tolerance = if bucket.coarse { TOLERANCE_COARSE } else { TOLERANCE_FINE };
        let apart = resets.since(window.resets).max(window.resets.since(resets));
        if !newer && apart > tolerance && resets < window.resets {
            return; // a straggler of a window that is over
        }
        window.length = window.length.max(length);
        // A newer answer that names more remaining is of a new window, wherever a reset in whole
        // seconds seems to put it.
        if newer && remaining > window.remaining {
            *window = Window { length: window.length, ..fresh };
        } else if apart <= tolerance || !newer {
            // The same window: what remains only falls, and the earliest reset is the nearest to
            // the truth, since hosts round up.
            window.remaining = window.remaining.min(remaining);
            if apart <= tolerance {
                window.resets = window.resets.min(resets);
            }
            if newer {
                window.unseen = 0;
                window.observed = now;
            }
        } else {
            *window = Window { length: window.length, ..fresh };
        }
    }
}

impl Window {
    fn available(&self, in_flight: u32) -> f64 {
        self.remaining.saturating_sub(self.unseen).saturating_sub(u64::from(in_flight)) as f64
    }
}

/// Requests a second that a bucket leaves: the smaller, the tighter.
fn looseness(bucket: &Bucket) -> f64 {
    let left = bucket.reset.unwrap_or_default().as_secs_f64().max(0.001);
    bucket.remaining.unwrap_or(u64::MAX) as f64 / left
}

#[cfg(test)]
mod tests {
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
}
