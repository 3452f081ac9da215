//! The rate of a host that does not say its limit, found the way congestion control finds a link's:
//! a refusal cuts it, quiet time raises it.
//!
//! A refusal says more than 'too fast': the successes since the last wait, divided by the length of
//! that cycle with the coming wait in it, are what the host really takes. So the first cut lands
//! near the limit at once instead of halving towards it. A long cycle in which the rate climbed says
//! less than its end does: there a cut is a few percent.

use std::time::Duration;

use crate::model::Moment;
use crate::policy::pace::{Pace, burst_of};

/// A cut takes at least this share away…
const CUT_MIN: f64 = 0.98;
/// …and at most this: one odd cycle must not starve a host.
const CUT_MAX: f64 = 0.5;
/// Never slower than one request in a minute: what is slower cannot be told from a wait.
const RATE_MIN: f64 = 1.0 / 60.0;
/// …but on the way down from a first guess, which may be far off, it may be this deep.
const CUT_FINDING: f64 = 0.25;
/// A cut without a wait that follows a climb takes no more than this: the climb was let pass, so the
/// limit is near.
const CUT_AFTER_CLIMB: f64 = 0.95;
/// A host that refused after no more than this many is taken to let no two pass at once.
const STRICT: u32 = 1;
/// A cut that leaves more is near the limit for certain.
const SHALLOW: f64 = 0.94;
/// So many successes since the last cut are a climb, and not the way down to the limit.
const CLIMB: u32 = 10;
/// Growth a second while the limit has not been found: the first cuts may have been too deep.
const GROWTH_FINDING: f64 = 0.1;
/// Growth a second after it was found once: the wait that followed may have hidden some of it.
const GROWTH_SETTLING: f64 = 0.02;
/// Growth a second right after a cut: with the doubling it makes up for one in eleven seconds, so
/// that at 20/s one request in two hundred is refused…
const GROWTH: f64 = 0.0015;
/// …and below this many a second it is slower in proportion, since a refusal weighs more there.
const GROWTH_WHOLE_FROM: f64 = 20.0;
/// Growth doubles each time this long has passed without a refusal, so that a raised limit is found…
const GROWTH_DOUBLES: Duration = Duration::from_secs(20);
/// …but never gets faster than this a second.
const GROWTH_MAX: f64 = 0.05;
/// A cycle longer than this, or than ten waits, is mostly climbing.
const CYCLE_LONG: Duration = Duration::from_secs(10);
/// The end of the first cycle that is measured: what is before it was the ramp.
const RECENT: Duration = Duration::from_secs(1);
/// A pause between sends that ends a cycle: what was sent before it says nothing about the limit.
const LULL: Duration = Duration::from_secs(1);
/// After this long without a refusal the rate is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(30 * 60);

/// The learned rate of one host.
#[derive(Clone, Debug, Default)]
pub struct LearnedRate {
    known: Option<Known>,
    cycle: Option<Cycle>,
}

#[derive(Clone, Debug)]
struct Known {
    pace: Pace,
    cut: Moment,
    grown: Moment,
    /// Whether the rate held a send back since it last grew: a rate that binds nothing must not
    /// climb on it.
    bound: bool,
    phase: Phase,
    /// Whether the host takes no two at once: then a late send is not made up for by an early one.
    strict: bool,
}

/// How well the limit is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// It has not been met from below.
    Finding,
    /// It was met once…
    Settling,
    /// …and again.
    Settled,
}

impl Phase {
    /// After a cut that followed a climb and left this share of the rate. A deep one may have gone
    /// too deep: a wait longer than the host needs counts as time in which it took nothing.
    fn after_climb(self, left: f64) -> Self {
        match self {
            Phase::Finding => Phase::Settling,
            Phase::Settling if left < SHALLOW => Phase::Settling,
            Phase::Settling | Phase::Settled => Phase::Settled,
        }
    }
}

impl Known {
    fn burst(&self, rate: f64) -> f64 {
        if self.strict { 1.0 } else { burst_of(rate) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Cycle {
    began: Moment,
    last_send: Moment,
    successes: u32,
    /// Starts of the last two stretches of [`RECENT`], with the successes until then.
    marks: [(Moment, u32); 2],
}

impl Cycle {
    fn new(began: Moment) -> Self {
        Self { began, last_send: began, successes: 0, marks: [(began, 0); 2] }
    }

    fn sent(&mut self, now: Moment) {
        self.last_send = now;
        if now.since(self.marks[1].0) >= RECENT {
            self.marks = [self.marks[1], (now, self.successes)];
        }
    }

    /// Requests a second that the host took since `from`, with the coming wait in it.
    fn rate_since(&self, (from, before): (Moment, u32), ended: Moment) -> f64 {
        f64::from(self.successes - before) / ended.since(from).as_secs_f64().max(0.001)
    }
}

impl LearnedRate {
    /// A rate that was learned before a restart, requests a second.
    pub fn restored(rate: f64, now: Moment) -> Self {
        let mut learned = Self::default();
        learned.set(rate, 1.0, (Phase::Settled, false), now);
        learned
    }

    /// Requests a second; `None` while none was needed.
    pub fn rate(&self) -> Option<f64> {
        self.known.as_ref().map(|known| known.pace.rate())
    }

    /// When the rate lets the next one go: `None` for now.
    pub fn ready_at(&mut self, now: Moment) -> Option<Moment> {
        self.grow(now);
        let known = self.known.as_mut()?;
        let ready = known.pace.ready_at(now);
        known.bound |= ready.is_some();
        ready
    }

    /// A request goes out.
    pub fn sent(&mut self, now: Moment) {
        let lull = match self.rate() {
            Some(rate) => LULL.max(Duration::from_secs_f64((3.0 / rate).min(600.0))),
            None => LULL,
        };
        match &mut self.cycle {
            Some(cycle) if now.since(cycle.last_send) < lull => cycle.sent(now),
            _ => self.cycle = Some(Cycle::new(now)),
        }
        if let Some(known) = &mut self.known {
            known.pace.take(now);
        }
    }

    /// The host took a request.
    pub fn succeeded(&mut self) {
        if let Some(cycle) = &mut self.cycle {
            cycle.successes += 1;
        }
    }

    /// The host refused a request that was sent at `sent`, and will be left alone for `wait`.
    /// Refusals of requests that were out when the rate was last cut belong to that cut.
    pub fn refused(&mut self, sent: Moment, wait: Duration, now: Moment) {
        let ended = now + wait;
        if self.known.as_ref().is_some_and(|known| sent <= known.cut) {
            if let Some(cycle) = &mut self.cycle {
                cycle.began = cycle.began.max(ended);
                cycle.last_send = cycle.last_send.max(ended);
            }
            return;
        }
        let cycle = self.cycle.unwrap_or(Cycle::new(now));
        let is_long = now.since(cycle.began) > CYCLE_LONG.max(wait * 10);
        let climbed = cycle.successes >= CLIMB;
        // One request in the time until the wait is over is let pass for certain.
        let least = if wait.is_zero() && self.known.is_some() { 0.0 } else { 1.0 };
        let least = least / ended.since(cycle.began).as_secs_f64().max(0.001);
        let rate = match self.rate() {
            None => cycle.rate_since(cycle.marks[0], ended).max(least),
            Some(rate) if is_long => rate * CUT_MIN,
            Some(rate) => {
                let measured = cycle.rate_since((cycle.began, 0), ended).max(least);
                let deepest = match (wait.is_zero(), climbed) {
                    (true, true) => CUT_AFTER_CLIMB,
                    (true, false) if self.is_finding() => CUT_FINDING,
                    _ => CUT_MAX,
                };
                measured.min(rate * CUT_MIN).max(rate * deepest)
            }
        };
        // Without a wait the next one goes when the new rate says so: at once it would be refused
        // like this one.
        let tokens = if wait.is_zero() { 0.0 } else { 1.0 };
        let kind = match &self.known {
            Some(known) if climbed => {
                (known.phase.after_climb(rate / known.pace.rate()), known.strict)
            }
            Some(known) => (known.phase, known.strict),
            None => (Phase::Finding, wait.is_zero() && cycle.successes <= STRICT),
        };
        self.set(rate, tokens, kind, now);
        self.cycle = Some(Cycle::new(ended));
    }

    fn is_finding(&self) -> bool {
        self.known.as_ref().is_some_and(|known| known.phase == Phase::Finding)
    }

    /// A wait is over: what was saved up during it is not to be sent as a burst.
    pub fn wait_ended(&mut self, now: Moment) {
        if let Some(known) = &mut self.known {
            known.pace.drain_to(1.0, now);
        }
    }

    fn set(&mut self, rate: f64, tokens: f64, kind: (Phase, bool), now: Moment) {
        let rate = rate.max(RATE_MIN);
        let (phase, strict) = kind;
        let pace = Pace::new(rate, 1.0, now);
        let mut known = Known { pace, cut: now, grown: now, bound: false, phase, strict };
        known.pace.set(rate, known.burst(rate), now);
        known.pace.drain_to(tokens, now);
        self.known = Some(known);
    }

    fn grow(&mut self, now: Moment) {
        let Some(known) = &mut self.known else { return };
        let since_cut = now.since(known.cut);
        if since_cut > FORGOTTEN {
            self.known = None;
            return;
        }
        let elapsed = now.since(known.grown);
        if elapsed < Duration::from_millis(100) {
            return;
        }
        known.grown = now;
        if !std::mem::take(&mut known.bound) {
            return;
        }
        let growth = match known.phase {
            Phase::Finding => GROWTH_FINDING,
            Phase::Settling => GROWTH_SETTLING,
            Phase::Settled => {
                let doublings = since_cut.as_secs_f64() / GROWTH_DOUBLES.as_secs_f64();
                let first = GROWTH * (known.pace.rate() / GROWTH_WHOLE_FROM).min(1.0);
                (first * doublings.exp2()).min(GROWTH_MAX)
            }
        };
        // A second at most: time in which nothing was sent proves nothing.
        let share = growth * elapsed.as_secs_f64().min(1.0);
        let rate = known.pace.rate() * (1.0 + share);
        known.pace.set(rate, known.burst(rate), now);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn the_first_refusal_lands_near_the_limit() {
        let mut learned = LearnedRate::default();
        for step in 0..100 {
            learned.sent(at(step / 4));
            learned.succeeded();
        }
        learned.sent(at(25));
        learned.refused(at(25), Duration::from_secs(1), at(26));
        let rate = learned.rate().expect("learned");
        assert!((90.0..100.0).contains(&rate), "{rate}");
    }

    #[test]
    fn refusals_of_one_round_cut_once() {
        let mut learned = LearnedRate::restored(100.0, at(0));
        for millis in [10, 11, 12] {
            learned.sent(at(millis));
        }
        for _ in 0..100 {
            learned.succeeded();
        }
        learned.refused(at(10), Duration::ZERO, at(20));
        let once = learned.rate();
        learned.refused(at(11), Duration::ZERO, at(21));
        learned.refused(at(12), Duration::ZERO, at(22));
        assert_eq!(learned.rate(), once);
        assert!((once.expect("learned") - 98.0).abs() < 1e-9);
    }

    #[test]
    fn a_rate_that_binds_climbs_and_one_that_does_not_stays() {
        let mut learned = LearnedRate::restored(10.0, at(0));
        for second in 1..20 {
            learned.ready_at(at(second * 1000));
        }
        assert_eq!(learned.rate(), Some(10.0));
        for step in 200..400 {
            learned.sent(at(step * 100));
            learned.ready_at(at(step * 100));
        }
        assert!(learned.rate().expect("known") > 10.0);
    }

    #[test]
    fn it_is_forgotten_after_half_an_hour_without_refusal() {
        let mut learned = LearnedRate::restored(10.0, at(0));
        learned.ready_at(at(31 * 60_000));
        assert_eq!(learned.rate(), None);
    }

    #[test]
    fn after_a_refusal_the_next_one_waits_its_turn() {
        let mut learned = LearnedRate::restored(100.0, at(0));
        learned.sent(at(10));
        learned.refused(at(10), Duration::ZERO, at(11));
        assert!(learned.ready_at(at(20)).is_some());
        assert_eq!(learned.ready_at(at(200)), None);
    }

    #[test]
    fn a_host_that_lets_one_pass_and_no_second_is_found_within_a_few_refusals() {
        let mut learned = LearnedRate::default();
        let (mut passed, mut refusals) = (0, 0);
        for millis in 0..10_000 {
            if learned.ready_at(at(millis)).is_some() {
                continue;
            }
            learned.sent(at(millis));
            if millis == 0 || millis >= passed + 100 {
                passed = millis;
                learned.succeeded();
            } else {
                refusals += 1;
                learned.refused(at(millis), Duration::ZERO, at(millis));
            }
        }
        assert!(refusals <= 8, "{refusals}");
        let rate = learned.rate().expect("learned");
        assert!((9.0..10.5).contains(&rate), "{rate}");
    }

    proptest! {
        #[test]
        fn a_cut_never_raises_the_rate_and_never_starves_the_host(
            rate in 0.1_f64..5000.0, successes in 0_u32..50, millis in 1_u64..20_000,
            wait_ms in 0_u64..5_000
        ) {
            let mut learned = LearnedRate::restored(rate, at(0));
            learned.sent(at(1));
            (0..successes).for_each(|_| learned.succeeded());
            learned.refused(at(1), Duration::from_millis(wait_ms), at(millis));
            let cut = learned.rate().expect("known");
            prop_assert!(cut <= (rate * CUT_MIN).max(RATE_MIN) * 1.000_001);
            prop_assert!(cut >= rate * CUT_MAX * 0.999_999);
        }
    }
}
