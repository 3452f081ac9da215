//! How many deliveries come in a second.

use std::sync::{Mutex, PoisonError};

use crate::model::Moment;

/// Seconds that are remembered; a little more than the longest stretch that is asked for.
const SLOTS: usize = 64;

/// Counts by the second over the last minute.
pub struct Meter {
    /// For each second modulo `SLOTS`: which second, and its count.
    slots: Mutex<[(u64, u64); SLOTS]>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { slots: Mutex::new([(0, 0); SLOTS]) }
    }
}

impl Meter {
    /// Counts `count` deliveries at `now`.
    pub(super) fn add(&self, now: Moment, count: u64) {
        let second = seconds(now);
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = &mut slots[second as usize % SLOTS];
        if slot.0 != second {
            *slot = (second, 0);
        }
        slot.1 += count;
    }

    /// Deliveries a second over the last `window` whole seconds, at most a minute.
    pub fn rate(&self, now: Moment, window: u64) -> f64 {
        let this = seconds(now);
        let window = window.clamp(1, SLOTS as u64 - 2);
        let slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let counted = slots.iter().filter(|(at, _)| *at < this && *at + window >= this);
        counted.map(|(_, count)| count).sum::<u64>() as f64 / window as f64
    }
}

/// From 1, so that 0 means a slot that was never used.
fn seconds(now: Moment) -> u64 {
    now.as_nanos() / 1_000_000_000 + 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn old_seconds_are_forgotten() {
        let meter = Meter::default();
        let at = |seconds| Moment::ORIGIN + Duration::from_secs(seconds);
        meter.add(at(5), 30);
        assert_eq!(meter.rate(at(5), 10), 0.0, "the second is not over");
        assert_eq!(meter.rate(at(6), 10), 3.0);
        assert_eq!(meter.rate(at(15), 10), 3.0);
        assert_eq!(meter.rate(at(16), 10), 0.0);
        meter.add(at(5 + 64), 10);
        assert_eq!(meter.rate(at(70), 10), 1.0);
    }
}
