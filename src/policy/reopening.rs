//! A host that comes back from a cooldown gets its usual rate in the first second, and twice as
//! much in each one after it: ten thousand may wait for it, and an in-flight limit alone lets them
//! all go within a moment where answers are quick.

use std::time::Duration;

use crate::model::Moment;
use crate::policy::pace::{Pace, burst_of};

/// Deliveries a second that any host takes, as far as nothing else is known of it.
const RATE_MIN: f64 = 200.0;
/// The usual rate is the best of the last seconds; each one with less to do weighs a tenth of it
/// away.
const FORGETS: f64 = 0.9;
/// After this long the pace is a thousand times the usual rate, and binds nothing.
const LASTS: Duration = Duration::from_secs(10);

/// The usual rate of one host, and the pace after a cooldown.
#[derive(Clone, Debug, Default)]
pub struct Reopening {
    usual: f64,
    second: u64,
    delivered: u32,
    ramp: Option<Ramp>,
}

#[derive(Clone, Debug)]
struct Ramp {
    /// Of the first second.
    rate: f64,
    pace: Pace,
    began: Moment,
}

impl Reopening {
    /// The host took a delivery.
    pub fn delivered(&mut self, now: Moment) {
        let second = now.as_nanos() / 1_000_000_000;
        if second != self.second {
            self.usual = f64::from(self.delivered).max(self.usual * FORGETS);
            (self.second, self.delivered) = (second, 0);
        }
        self.delivered += 1;
    }

    /// The usual rate alone, without a pace.
    pub fn usual(&self) -> Self {
        Self { ramp: None, ..self.clone() }
    }

    /// The host is back.
    pub fn begin(&mut self, now: Moment) {
        let rate = self.usual.max(RATE_MIN);
        let pace = Pace::starting_slow(rate, burst_of(rate), now);
        self.ramp = Some(Ramp { rate, pace, began: now });
    }

    /// When the pace lets the next one go: `None` for now.
    pub fn ready_at(&mut self, now: Moment) -> Option<Moment> {
        let ramp = self.ramp.as_mut()?;
        let age = now.since(ramp.began);
        if age >= LASTS {
            self.ramp = None;
            return None;
        }
        let rate = ramp.rate * f64::from(1_u32 << age.as_secs());
        if rate > ramp.pace.rate() {
            ramp.pace.set(rate, burst_of(rate), now);
        }
        ramp.pace.ready_at(now)
    }

    /// A request goes out.
    pub fn sent(&mut self, now: Moment) {
        if let Some(ramp) = &mut self.ramp {
            ramp.pace.take(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    proptest! {
        #[test]
        fn the_first_second_is_the_usual_one_and_each_further_one_twice_the_last(
            per_second in 1_u64..2_000
        ) {
            let mut reopening = Reopening::default();
            for number in 0..per_second * 3 {
                reopening.delivered(at(number * 1_000 / per_second));
            }
            reopening.begin(at(60_000));
            let usual = (per_second as f64).max(RATE_MIN);
            let mut most = usual;
            for second in 60..66 {
                let mut sends = 0.0;
                for millis in 0..1_000 {
                    let now = at(second * 1_000 + millis);
                    while reopening.ready_at(now).is_none() {
                        reopening.sent(now);
                        sends += 1.0;
                    }
                }
                prop_assert!(sends <= most * 1.02 + 2.0, "{sends} in second {second}");
                prop_assert!(sends >= most * 0.95 - 2.0, "{sends} in second {second}");
                most *= 2.0;
            }
            prop_assert_eq!(reopening.ready_at(at(70_001)), None);
        }
    }
}
