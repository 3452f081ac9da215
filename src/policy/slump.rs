//! Failures in a row at a host that was well until now: it is asked less and less often until it
//! answers again.
//!
//! The health window cannot see this soon. A host that took ten thousand deliveries in the last
//! minute would have to fail as many before more than half have failed; and one that goes down and
//! comes back within seconds is better asked again in a moment than left alone for a minute. Where
//! failures prevail in the window nothing is held here, so that the window decides, and soon.

use std::time::Duration;

use crate::model::Moment;

/// Fewer failures in a row are chance, or one endpoint's trouble.
const IN_A_ROW: u32 = 4;
/// The first pause; each further one doubles it…
const PAUSE_BASE: Duration = Duration::from_millis(100);
/// …up to this: a host that is back should be found within seconds.
const PAUSE_MAX: Duration = Duration::from_secs(4);

/// The row of failures of one host.
#[derive(Clone, Debug, Default)]
pub struct Slump {
    in_a_row: u32,
    pause: Duration,
    until: Option<Moment>,
    /// Failures of what was sent before this belong to the last pause.
    paused: Option<Moment>,
}

impl Slump {
    /// The host answered: it is over.
    pub fn ended(&mut self) {
        *self = Self::default();
    }

    /// A request that was sent at `sent` failed. `prevails` says whether failures make up most of
    /// what the health window has seen. `roll` (0 to 1) spreads the pauses.
    pub fn failed(&mut self, sent: Moment, prevails: bool, roll: f64, now: Moment) {
        self.in_a_row = self.in_a_row.saturating_add(1);
        if prevails {
            (self.pause, self.until) = (Duration::ZERO, None);
        } else if self.in_a_row >= IN_A_ROW && self.paused.is_none_or(|paused| sent >= paused) {
            self.pause = (self.pause * 2).clamp(PAUSE_BASE, PAUSE_MAX);
            self.paused = Some(now);
            self.until = Some(now + self.pause.mul_f64(0.5 + roll.clamp(0.0, 1.0)));
        }
    }

    /// A request goes out: the next one waits as long, whatever becomes of this one.
    pub fn sent(&mut self, now: Moment) {
        if self.until.is_some() {
            self.until = Some(now + self.pause);
        }
    }

    /// Until when nothing goes out.
    pub fn until(&self, now: Moment) -> Option<Moment> {
        self.until.filter(|until| *until > now)
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
    fn three_failures_hold_nothing_and_the_fourth_does() {
        let mut slump = Slump::default();
        (0..3).for_each(|_| slump.failed(at(0), false, 0.5, at(1)));
        assert_eq!(slump.until(at(1)), None);
        slump.failed(at(0), false, 0.5, at(1));
        assert_eq!(slump.until(at(1)), Some(at(101)));
        slump.ended();
        assert_eq!(slump.until(at(1)), None);
    }

    #[test]
    fn failures_of_one_round_pause_once() {
        let mut slump = Slump::default();
        (0..64).for_each(|_| slump.failed(at(0), false, 0.5, at(1)));
        assert_eq!(slump.until(at(1)), Some(at(101)));
        slump.failed(at(101), false, 0.5, at(102));
        assert_eq!(slump.until(at(102)), Some(at(302)));
    }

    #[test]
    fn where_failures_prevail_the_window_decides() {
        let mut slump = Slump::default();
        (0..64).for_each(|_| slump.failed(at(0), true, 0.5, at(1)));
        assert_eq!(slump.until(at(1)), None);
    }

    proptest! {
        #[test]
        fn a_host_that_is_down_is_asked_seldom_and_never_forgotten(
            latency in 1_u64..100, roll in 0.0_f64..1.0
        ) {
            let mut slump = Slump::default();
            let (mut sends, mut last, mut longest) = (0, 0, 0);
            for millis in 0..60_000 {
                if slump.until(at(millis)).is_none() && millis >= last + latency {
                    slump.sent(at(millis));
                    slump.failed(at(millis), false, roll, at(millis));
                    longest = longest.max(millis - last);
                    (sends, last) = (sends + 1, millis);
                }
            }
            prop_assert!(sends <= 40, "{} sends", sends);
            prop_assert!(longest <= 6_000, "{} ms without one", longest);
        }
    }
}
