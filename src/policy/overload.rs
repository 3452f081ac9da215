//! What a 503 without a hint means: a limiter that cannot say so, or a host that is ill.
//!
//! Among successes it comes from a limiter, and teaches the learned rate. A delivery that is
//! refused time and again among successes is at fault itself. And a host that answers nothing else
//! for a while is down, however much it took before: a limiter lets its rate pass.

use std::time::Duration;

use crate::model::Moment;

/// Bare 503s that one delivery may get without using up a retry: more are no limiter's, and must
/// not slow the host down for the others.
const ROUNDS: u32 = 5;
/// Time over which they are weighed against successes.
const WINDOW: Duration = Duration::from_secs(10);
/// With nothing else for so long…
const DOWN_AFTER: Duration = Duration::from_secs(2);
/// …and so often, the host is down.
const DOWN_COUNT: u32 = 4;

/// What a bare 503 is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weighed {
    /// A limiter's refusal: it uses up no retry.
    Limiter,
    /// Refusals prevail: it counts as a failure, but the host does answer others.
    Mostly,
    /// A failure, which says nothing of a limit.
    Failure {
        /// It ends a row that was taken for a limiter's at first: what that taught was wrong.
        misjudged: bool,
    },
}

/// Bare 503s and successes of the last ten seconds, roughly: both counts are halved each time the
/// window has passed, which forgets as fast without keeping times.
#[derive(Clone, Debug, Default)]
pub struct Overload {
    successes: u32,
    overloads: u32,
    began: Option<Moment>,
    /// Bare 503s since the last success, and when the first of them came.
    row: Option<(u32, Moment)>,
    down: bool,
}

impl Overload {
    /// The host answered something else.
    pub fn succeeded(&mut self, now: Moment) {
        self.age(now);
        self.successes += 1;
        self.row = None;
        self.down = false;
    }

    /// Whether the last answer began a row.
    pub fn is_first(&self) -> bool {
        matches!(self.row, Some((1, _)))
    }

    /// Weighs a bare 503 of a delivery that got `rounds` answers of that kind.
    pub fn overloaded(&mut self, rounds: u32, now: Moment) -> Weighed {
        self.age(now);
        self.overloads += 1;
        let (count, since) = self.row.map_or((1, now), |(count, since)| (count + 1, since));
        self.row = Some((count, since));
        if self.down || self.successes == 0 || rounds > ROUNDS {
            return Weighed::Failure { misjudged: false };
        }
        if count >= DOWN_COUNT && now.since(since) >= DOWN_AFTER {
            self.down = true;
            return Weighed::Failure { misjudged: true };
        }
        if self.successes >= self.overloads { Weighed::Limiter } else { Weighed::Mostly }
    }

    fn age(&mut self, now: Moment) {
        let began = *self.began.get_or_insert(now);
        let windows = now.since(began).as_nanos() / WINDOW.as_nanos();
        if windows > 0 {
            let halvings = u32::try_from(windows).unwrap_or(u32::MAX).min(31);
            self.successes >>= halvings;
            self.overloads >>= halvings;
            self.began = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    #[test]
    fn among_successes_it_is_a_limiters_and_alone_a_failure() {
        let mut overload = Overload::default();
        assert_eq!(overload.overloaded(1, at(0)), Weighed::Failure { misjudged: false });
        (0..3).for_each(|_| overload.succeeded(at(1)));
        assert_eq!(overload.overloaded(1, at(2)), Weighed::Limiter);
        assert_eq!(overload.overloaded(1, at(3)), Weighed::Limiter);
        assert_eq!(overload.overloaded(1, at(4)), Weighed::Mostly);
        assert_eq!(overload.overloaded(ROUNDS + 1, at(4)), Weighed::Failure { misjudged: false });
    }

    #[test]
    fn nothing_else_for_two_seconds_is_a_host_that_is_down() {
        let mut overload = Overload::default();
        (0..10_000).for_each(|_| overload.succeeded(at(0)));
        for millis in [1, 2, 1_500] {
            assert_eq!(overload.overloaded(1, at(millis)), Weighed::Limiter);
        }
        assert_eq!(overload.overloaded(1, at(2_001)), Weighed::Failure { misjudged: true });
        assert_eq!(overload.overloaded(1, at(2_002)), Weighed::Failure { misjudged: false });
        overload.succeeded(at(2_003));
        assert_eq!(overload.overloaded(1, at(2_004)), Weighed::Limiter);
    }
}
