//! How many triggers may wait for the store at once, and when those that are refused shall come
//! again.
//!
//! Whatever is let in past what the store takes only waits, and makes everyone wait. By Little's
//! law those inside are the throughput times the wait; so where the mean wait passes its target, as
//! many are let in as the present throughput carries through in the target's time, at once and
//! without steps. Where there is room the limit grows again until somebody has to wait too long.
//!
//! A target that the disk can never meet would only shut the door: it is no less than a few times
//! the shortest wait of late, which is that of a commit with few companions.

use std::time::Duration;

/// How long what is seen is gathered before it is judged: some commits at least on any disk, and
/// short enough that a crowd is noticed within the blink of an eye.
pub const LOOK_EVERY: Duration = Duration::from_millis(100);
/// So many are let in however slow the store is: fewer would not fill its commits.
const LEAST: f64 = 16.0;
/// A wait of so many times the shortest is in order: one commit under way, one's own, and room.
const SHORTEST_TIMES: u32 = 4;
/// The shortest wait is that of this time, or of the one before it.
const EPOCH: Duration = Duration::from_secs(30);
/// Growth of the limit while it is used up, in a look…
const GROWTH_FULL: f64 = 1.05;
/// …and while it is not: what it was is no longer needed.
const GROWTH_IDLE: f64 = 1.25;
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
    /// The shortest of them.
    pub shortest: Option<Duration>,
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
    /// The shortest wait of this epoch and of the one before, and how old this one is.
    shortest: [Option<Duration>; 2],
    epoch: Duration,
    /// For how long nobody left though somebody was inside.
    stalled: Duration,
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
            shortest: [None; 2],
            epoch: Duration::ZERO,
            stalled: Duration::ZERO,
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
        let shortest = self.shortest.iter().flatten().min().copied().unwrap_or_default();
        self.target.max(shortest * SHORTEST_TIMES)
    }

    fn remember(&mut self, seen: &Seen) {
        self.epoch += self.looked;
        if self.epoch >= EPOCH {
            self.epoch = Duration::ZERO;
            self.shortest = [None, self.shortest[0]];
        }
        let both = self.shortest[0].into_iter().chain(seen.shortest);
        self.shortest[0] = both.min();
    }

    fn limit(&mut self, seen: &Seen) {
        let target = self.target();
        let least = LEAST.min(self.most);
        if self.stalled > target {
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
            let carried = seen.left as f64 / self.looked.as_secs_f64() * target.as_secs_f64();
            self.limit = self.limit.min(carried).max(least);
            self.is_slow = self.limit < self.most;
            return;
        }
        let growth = if seen.refused > 0 { GROWTH_FULL } else { GROWTH_IDLE };
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
        let shortest = (left > 0).then_some(mean / 4);
        Seen { left, waited, shortest, entered: left, refused, inside: 20 }
    }

    /// A store that carries `per_look` in a look, and a crowd that always wants in.
    fn crowd(intake: &mut Intake, per_look: f64, looks: usize) -> Duration {
        let mut mean = Duration::ZERO;
        for _ in 0..looks {
            let inside = intake.limit;
            mean = LOOK_EVERY.mul_f64(inside / per_look);
            let seen = Seen { shortest: Some(MS / 2), ..seen(per_look as u64, mean, 9_000) };
            intake.look(&seen, LOOK_EVERY);
        }
        mean
    }

    #[test]
    fn a_crowd_waits_no_longer_than_aimed_at_from_the_second_look_on() {
        for per_look in [100.0, 1_000.0, 3_000.0] {
            let mut intake = Intake::new(1000, 5 * MS);
            for _ in 0..600 {
                let mean = crowd(&mut intake, per_look, 2);
                let least = LOOK_EVERY.mul_f64(LEAST / per_look);
                assert!(mean <= (5 * MS).max(least).mul_f64(1.3), "{per_look}: {mean:?}");
            }
        }
    }

    #[test]
    fn the_limit_is_between_its_bounds_whatever_is_seen() {
        let mut dice = fastrand::Rng::with_seed(7);
        for _ in 0..200 {
            let most = dice.usize(1..2000);
            let mut intake = Intake::new(most, MS * dice.u32(1..50));
            for _ in 0..200 {
                let mut seen = seen(dice.u64(0..5_000), MS * dice.u32(0..3_000), dice.u64(0..9));
                seen.inside = dice.usize(0..2_000);
                let ruling = intake.look(&seen, MS * dice.u32(0..10_000));
                assert!(ruling.limit <= most && ruling.limit >= most.min(LEAST as usize));
                assert!((1.0..=SPREAD_MAX).contains(&ruling.spread_s), "{ruling:?}");
            }
        }
    }

    #[test]
    fn after_a_crowd_the_door_opens_again_within_two_seconds() {
        let mut intake = Intake::new(1000, 5 * MS);
        crowd(&mut intake, 500.0, 50);
        assert!(intake.ruling().is_slow && intake.ruling().limit < 60);
        for _ in 0..20 {
            intake.look(&seen(100, MS, 0), LOOK_EVERY);
        }
        assert_eq!((intake.ruling().limit, intake.ruling().is_slow), (1000, false));
    }

    #[test]
    fn a_store_that_stands_still_takes_only_what_fills_a_commit() {
        let mut intake = Intake::new(1000, 5 * MS);
        let ruling = intake.look(&Seen { inside: 3, ..Seen::default() }, LOOK_EVERY);
        assert_eq!((ruling.limit, ruling.is_slow), (16, true));
        let idle = intake.look(&Seen::default(), LOOK_EVERY);
        assert_eq!(idle.limit, 16, "nothing is learned while nothing happens");
    }

    #[test]
    fn a_slow_disk_is_not_asked_for_what_it_never_does() {
        let mut intake = Intake::new(1000, 5 * MS);
        for _ in 0..100 {
            let slow = Seen { shortest: Some(15 * MS), ..seen(20, 25 * MS, 0) };
            intake.look(&slow, LOOK_EVERY);
        }
        assert_eq!(intake.target(), 60 * MS);
        assert_eq!(intake.ruling().limit, 1000);
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
