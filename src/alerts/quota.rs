//! How many alerts go out: a kind has so many a minute in each workspace, and what is more is left
//! out and counted, so that ten thousand hosts that fall ill at once are no storm. Pure: time is an
//! argument.

use std::collections::BTreeMap;

use crate::model::{AlertKind, Timestamp};

const MINUTE_MS: i64 = 60_000;

/// Whose alerts are counted.
pub type Whose = (u32, AlertKind);

/// Counts alerts by the minute.
#[derive(Debug)]
pub struct Quota {
    most: u32,
    minute: i64,
    raised: BTreeMap<Whose, u32>,
    /// Left out since the last one of the kind that went out.
    left_out: BTreeMap<Whose, u64>,
    /// Left out in this minute.
    untold: BTreeMap<Whose, u64>,
}

impl Quota {
    /// `most` of a kind and workspace a minute.
    pub fn new(most: u32) -> Self {
        Self {
            most,
            minute: i64::MIN,
            raised: BTreeMap::new(),
            left_out: BTreeMap::new(),
            untold: BTreeMap::new(),
        }
    }

    /// Whether another may go out; with how many were left out since the last one that did.
    pub fn admit(&mut self, whose: Whose, now: Timestamp) -> Option<u64> {
        self.turn(now);
        let raised = self.raised.entry(whose).or_default();
        if *raised >= self.most {
            *self.left_out.entry(whose).or_default() += 1;
            *self.untold.entry(whose).or_default() += 1;
            return None;
        }
        *raised += 1;
        Some(self.left_out.remove(&whose).unwrap_or(0))
    }

    /// What was left out in minutes that are over and was not told yet.
    pub fn take_untold(&mut self, now: Timestamp) -> Vec<(Whose, u64)> {
        if minute_of(now) == self.minute {
            return Vec::new();
        }
        std::mem::take(&mut self.untold).into_iter().collect()
    }

    fn turn(&mut self, now: Timestamp) {
        let minute = minute_of(now);
        if minute != self.minute {
            self.minute = minute;
            self.raised.clear();
        }
    }
}

fn minute_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(MINUTE_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_left_out_counted_and_told_once() {
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1_000);
        let (mine, other) = ((0, AlertKind::HostUnhealthy), (1, AlertKind::HostUnhealthy));
        let mut quota = Quota::new(2);
        let admitted: Vec<_> = (0..5).map(|_| quota.admit(mine, at(1))).collect();
        assert_eq!(admitted, [Some(0), Some(0), None, None, None]);
        assert_eq!(quota.admit(other, at(1)), Some(0), "another workspace has its own");
        assert_eq!(quota.take_untold(at(59)), []);
        assert_eq!(quota.take_untold(at(60)), [(mine, 3)]);
        assert_eq!(quota.admit(mine, at(61)), Some(3));
        assert_eq!((quota.admit(mine, at(62)), quota.take_untold(at(180))), (Some(0), vec![]));
    }
}
