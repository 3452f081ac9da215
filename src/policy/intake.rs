//! How many triggers may wait for the store at once, and when those that are refused shall come
//! again.
//!
//! Whatever is let in past what the store takes only waits, and makes everyone wait. By Little's
//! law those inside are the throughput times the wait; so where the mean wait passes its target, as
//! many are let in as the present throughput carries through in the target's time, at once and
//! without steps. Where there is room the limit grows again until somebody has to wait too long.
//!
//! On a slow disk the wait is the commit's own, and to let in fewer would only make commits smaller
//! and take less. So the target is no less than a few times the wait of a calm store, with few
//! inside. Where that is not known any more the limit falls until few are inside; then it is known.

use std::time::Duration;

/// How long what is seen is gathered before it is judged: some commits at least on any disk, and
/// short enough that a crowd is noticed within the blink of an eye.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);
/// So many are let in however slow the store is: fewer would not fill its commits.
const LEAST: f64 = 16.0;
/// A wait of so many times that of a calm store is in order: fuller commits take longer.
const CALM_TIMES: u32 = 3;
/// With so many inside on average it is calm.
const CALM: f64 = 1.5 * LEAST;
/// For so long it is known how a calm store fares: disks change.
const CALM_KNOWN: Duration = Duration::from_secs(10);
/// Growth of the limit in a look, while it is used up and the wait near its target…
const GROWTH_NEAR: f64 = 1.1;
/// …and else.
const GROWTH: f64 = 1.25;
/// The throughput is the best of so many looks: a hiccup of the disk is no reason to let in less.
const BEST_OF: usize = 10;
/// A store that answered nobody for so long stands still.
const STILL: Duration = Duration::from_secs(1);
/// How often it is judged when the refused come again: what was told needs time to show.
const SPREAD_EVERY: Duration = Duration::from_secs(1);
/// Nobody is asked to stay away longer, seconds.
const SPREAD_MAX: f64 = 30.0;
/// The refused are spread over at most so many times the time in which they could be taken: some
/// never obey, and those who do must not pay for them.
const SPREAD_SHARE: f64 = 4.0;

/// What was seen since the last look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// Commits of triggers that came to an end.
    pub left: u64,
    /// The sum of their waits.
    pub waited: Duration,
    /// Who was let in.
    pub entered: u64,
    /// Who was refused for want of room.
    pub refused: u64,
    /// Who is inside now.
    pub inside: usize,
}

/// What is to be done with those who come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ruling {
    /// So many may be inside.
    pub limit: usize,
    /// The waits keep it below the ceiling.
    pub is_slow: bool,
    /// The refused come again within so many seconds, evenly.
    pub spread_s: f64,
}

/// The rule and what it remembers.
#[derive(Clone, Debug)]
pub struct Intake {
    most: f64,
    target: Duration,
    limit: f64,
    is_slow: bool,
    looked: Duration,
    /// The mean wait when it was calm last, and how long ago that is.
    calm: Option<(Duration, Duration)>,
    /// For how long nobody left though somebody was inside.
    stalled: Duration,
    /// Commits a second of the last looks.
    carried: [f64; BEST_OF],
    looks: usize,
    spread_s: f64,
    entered: u64,
    refused: u64,
    judged: Duration,
}

impl Intake {
    /// Lets in at most `most`, and aims at a mean wait of `target`.
    pub fn new(most: usize, target: Duration) -> Self {
        Self {
            most: most as f64,
            target,
            limit: most as f64,
            is_slow: false,
            looked: Duration::ZERO,
            calm: None,
            stalled: Duration::ZERO,
            carried: [0.0; BEST_OF],
            looks: 0,
            spread_s: 1.0,
            entered: 0,
            refused: 0,
            judged: Duration::ZERO,
        }
    }

    /// Judges what was seen in the last `elapsed`.
    pub fn look(&mut self, seen: &Seen, elapsed: Duration) -> Ruling {
        self.looked = elapsed.max(Duration::from_millis(1));
        self.remember(seen);
        self.stalled = match seen.left == 0 && seen.inside > 0 {
            true => self.stalled + elapsed,
            false => Duration::ZERO,
        };
        self.limit(seen);
        self.spread(seen);
        self.ruling()
    }

    fn ruling(&self) -> Ruling {
        Ruling { limit: self.limit as usize, is_slow: self.is_slow, spread_s: self.spread_s }
    }

    /// The wait that is aimed at.
    pub fn target(&self) -> Duration {
        self.target.max(self.calm.map_or(Duration::ZERO, |(calm, _)| calm * CALM_TIMES))
    }

    fn remember(&mut self, seen: &Seen) {
        self.calm = match self.calm {
            Some((wait, age)) if age < CALM_KNOWN => Some((wait, age + self.looked)),
            _ => None,
        };
        // Little's law again: the sum of the waits in a time is how many waited at once.
        let inside = seen.waited.as_secs_f64() / self.looked.as_secs_f64();
        if seen.left > 0 && inside <= CALM {
            self.calm = Some((seen.waited.div_f64(seen.left as f64), Duration::ZERO));
        }
    }

    fn limit(&mut self, seen: &Seen) {
        let target = self.target();
        let least = LEAST.min(self.most);
        self.carried[self.looks % BEST_OF] = seen.left as f64 / self.looked.as_secs_f64();
        self.looks += 1;
        if self.stalled >= STILL.max(target) {
            // A store that stands still: those inside are enough to fill its next commit.
            self.limit = least;
            self.is_slow = true;
            return;
        }
        if seen.left == 0 {
            return;
        }
        let mean = seen.waited.div_f64(seen.left as f64);
        if mean > target {
            // A hiccup takes less than usual for a moment; that is no measure of what goes through.
            let best = self.carried.iter().fold(0.0, |best: f64, one| best.max(*one));
            self.limit = self.limit.min(best * target.as_secs_f64()).max(least);
            self.is_slow = self.limit < self.most;
            return;
        }
        let is_near = seen.refused > 0 && mean * 2 > target;
        let growth = if is_near { GROWTH_NEAR } else { GROWTH };
        self.limit = (self.limit * growth + 1.0).min(self.most);
        self.is_slow = self.limit < self.most;
    }

    /// Twice as many refused as taken: they come back too soon. Hardly any: they need not wait.
    fn spread(&mut self, seen: &Seen) {
        self.entered += seen.entered;
        self.refused += seen.refused;
        self.judged += self.looked;
        if self.judged < SPREAD_EVERY {
            return;
        }
        let taken = self.entered.max(1) as f64;
        let pressure = self.refused as f64 / taken;
        let wanted = match pressure {
            pressure if pressure > 0.5 => self.spread_s * 1.5,
            pressure if pressure < 0.1 => self.spread_s * 0.7,
            _ => self.spread_s,
        };
        let most = (pressure * SPREAD_SHARE).clamp(self.spread_s * 0.7, SPREAD_MAX);
        self.spread_s = wanted.min(most).max(1.0);
        (self.entered, self.refused, self.judged) = (0, 0, Duration::ZERO);
    }
}

/// Seconds for `Retry-After`: from 1 to the spread, so that those who were refused together do not
/// come back together. `roll` is from 0 to 1.
pub fn retry_after_s(spread_s: f64, roll: f64) -> u32 {
    (1.0 + (spread_s - 1.0).max(0.0) * roll).round() as u32
}

/// Seconds until `ahead` deliveries have gone, at `per_s` a second; from 1 to 300, with a half more
/// or less by `roll`.
pub fn drained_after_s(ahead: u64, per_s: f64, roll: f64) -> u32 {
    let seconds = if per_s > 0.0 { ahead as f64 / per_s } else { SPREAD_MAX };
    (seconds.clamp(1.0, 200.0) * (0.5 + roll)).round().max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn seen(left: u64, mean: Duration, refused: u64) -> Seen {
        let waited = mean * left as u32;
        Seen { left, waited, entered: left, refused, inside: 20 }
    }

    /// A store whose commits take `commit` and `per_trigger` for each of those inside, and a crowd
    /// that always wants in. The mean wait, and how many a second went through, at the end.
    fn crowd(intake: &mut Intake, commit: f64, per_trigger: f64, looks: usize) -> (f64, f64) {
        let mut last = (0.0, 0.0);
        for _ in 0..looks {
            let wait_s = 1.5 * (commit + per_trigger * intake.limit);
            let per_s = intake.limit / wait_s;
            let left = (per_s * LOOK_EVERY.as_secs_f64()).max(1.0) as u64;
            intake.look(&seen(left, Duration::from_secs_f64(wait_s), 9_000), LOOK_EVERY);
            last = (wait_s, per_s);
        }
        last
    }

    #[test]
    fn a_crowd_waits_no_longer_than_aimed_at_and_the_store_is_kept_busy() {
        for per_trigger in [20e-6, 40e-6, 80e-6] {
            let mut intake = Intake::new(1000, 5 * MS);
            crowd(&mut intake, 0.0004, per_trigger, 20);
            for _ in 0..600 {
                let (wait_s, per_s) = crowd(&mut intake, 0.0004, per_trigger, 1);
                assert!(wait_s < 0.0075, "{per_trigger}: {wait_s}");
                assert!(per_s * 1.5 * per_trigger > 0.6, "{per_trigger}: {per_s}/s");
            }
        }
    }

    #[test]
    fn a_slow_disk_is_not_asked_for_what_it_never_does() {
        for commit in [0.004, 0.015, 0.1] {
            let mut intake = Intake::new(1000, 5 * MS);
            let mut through = 0.0;
            for _ in 0..600 {
                through += crowd(&mut intake, commit, 20e-6, 1).1 / 600.0;
            }
            let least = LEAST / (1.5 * commit);
            assert!(through > 3.0 * least, "{commit}: {through}/s, {least}/s with few inside");
            assert!(intake.target() >= Duration::from_secs_f64(commit), "{:?}", intake.target());
        }
    }

    #[test]
    fn the_limit_is_between_its_bounds_whatever_is_seen() {
        let mut state = 7_u64;
        let mut below = |end: u64| {
            // Knuth's MMIX generator; its high bits are random enough.
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % end
        };
        for _ in 0..200 {
            let most = 1 + below(2_000) as usize;
            let mut intake = Intake::new(most, MS * (1 + below(50) as u32));
            for _ in 0..200 {
                let mut seen = seen(below(5_000), MS * below(3_000) as u32, below(9));
                seen.inside = below(2_000) as usize;
                let ruling = intake.look(&seen, MS * below(10_000) as u32);
                assert!(ruling.limit <= most && ruling.limit >= most.min(LEAST as usize));
                assert!((1.0..=SPREAD_MAX).contains(&ruling.spread_s), "{ruling:?}");
            }
        }
    }

    #[test]
    fn after_a_crowd_the_door_opens_again_within_two_seconds() {
        let mut intake = Intake::new(1000, 5 * MS);
        crowd(&mut intake, 0.0004, 40e-6, 50);
        assert!(intake.ruling().is_slow && intake.ruling().limit < 200);
        for _ in 0..20 {
            intake.look(&seen(100, MS, 0), LOOK_EVERY);
        }
        assert_eq!((intake.ruling().limit, intake.ruling().is_slow), (1000, false));
    }

    #[test]
    fn a_store_that_stands_still_takes_only_what_fills_a_commit() {
        let mut intake = Intake::new(1000, 5 * MS);
        let stands = Seen { inside: 3, ..Seen::default() };
        let hiccup = intake.look(&stands, LOOK_EVERY);
        assert_eq!((hiccup.limit, hiccup.is_slow), (1000, false));
        let ruling = intake.look(&stands, STILL);
        assert_eq!((ruling.limit, ruling.is_slow), (16, true));
        let idle = intake.look(&Seen::default(), LOOK_EVERY);
        assert_eq!(idle.limit, 16, "nothing is learned while nothing happens");
    }

    #[test]
    fn a_hiccup_shuts_out_no_more_than_what_usually_goes_through() {
        let mut intake = Intake::new(1000, 5 * MS);
        for _ in 0..10 {
            intake.look(&seen(2_000, 2 * MS, 0), LOOK_EVERY);
        }
        let ruling = intake.look(&seen(100, 60 * MS, 0), LOOK_EVERY);
        assert_eq!(ruling.limit, 100);
        let long = (0..10).map(|_| intake.look(&seen(100, 60 * MS, 0), LOOK_EVERY).limit);
        assert_eq!(long.last(), Some(16), "what lasts is no hiccup");
    }

    #[test]
    fn the_refused_are_spread_wider_while_most_are_refused_and_less_once_few_are() {
        let mut intake = Intake::new(1000, 5 * MS);
        let mut last = 1.0;
        for _ in 0..20 {
            let ruling = intake.look(&seen(1_000, 4 * MS, 3_000), SPREAD_EVERY);
            assert!(ruling.spread_s >= last);
            last = ruling.spread_s;
        }
        assert_eq!(last, 12.0, "four times the time in which they could be taken");
        for _ in 0..10 {
            last = intake.look(&seen(1_000, MS, 0), SPREAD_EVERY).spread_s;
        }
        assert_eq!(last, 1.0);
        assert_eq!([0.0, 0.5, 1.0].map(|roll| retry_after_s(12.0, roll)), [1, 7, 12]);
        assert_eq!([0.0, 1.0].map(|roll| retry_after_s(1.0, roll)), [1, 1]);
    }

    #[test]
    fn a_backlog_is_waited_for_as_long_as_it_takes_to_go() {
        assert_eq!([0.0, 0.5, 1.0].map(|roll| drained_after_s(1_000, 100.0, roll)), [5, 10, 15]);
        assert_eq!(drained_after_s(1, 1e6, 0.0), 1);
        assert_eq!(drained_after_s(1_000, 0.0, 0.5), 30);
        assert_eq!(drained_after_s(u64::MAX, 1.0, 1.0), 300);
    }
}
