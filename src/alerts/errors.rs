//! How many attempts of each host ended in an error within 24 hours: counted by the hour. Pure: time
//! is an argument.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::model::{HostName, Timestamp};

const HOURS: usize = 24;
const HOUR_MS: i64 = 3_600_000;
/// Hosts that are counted; past so many no further one is. A hundred bytes each.
const HOSTS_MAX: usize = 200_000;

/// The errors of one host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Errors {
    /// Number of the newest hour.
    hour: i64,
    /// By hour of the day, in a ring.
    counts: [u32; HOURS],
}

impl Errors {
    fn add(&mut self, count: u32, hour: i64) {
        self.turn(hour);
        let slot = &mut self.counts[slot(hour)];
        *slot = slot.saturating_add(count);
    }

    /// Forgets the hours that are over.
    fn turn(&mut self, hour: i64) {
        let passed = hour.saturating_sub(self.hour).clamp(0, HOURS as i64);
        (0..passed).for_each(|back| self.counts[slot(hour - back)] = 0);
        self.hour = self.hour.max(hour);
    }

    fn sum(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }
}

/// The errors of all hosts.
#[derive(Debug, Default)]
pub struct ErrorCounts {
    hosts: HashMap<HostName, Errors>,
    /// Changed since they were last saved.
    dirty: HashMap<HostName, ()>,
}

impl ErrorCounts {
    /// Counts errors of a host; answers how many there were within 24 hours.
    pub fn add(&mut self, host: &HostName, count: u32, now: Timestamp) -> u64 {
        let hour = hour_of(now);
        if !self.hosts.contains_key(host) && self.hosts.len() >= HOSTS_MAX {
            return 0;
        }
        let errors = self.hosts.entry(host.clone()).or_default();
        errors.add(count, hour);
        self.dirty.insert(host.clone(), ());
        errors.sum()
    }

    /// Takes up what was saved.
    pub fn restore(&mut self, host: HostName, errors: Errors) {
        self.hosts.insert(host, errors);
    }

    /// What changed since the last call and is to be saved; `None` for a host of which nothing is
    /// left.
    pub fn take_dirty(&mut self, now: Timestamp) -> Vec<(HostName, Option<Errors>)> {
        let hour = hour_of(now);
        let mut gone = Vec::new();
        self.hosts.retain(|host, errors| {
            errors.turn(hour);
            let keep = errors.sum() > 0;
            if !keep {
                gone.push((host.clone(), None));
            }
            keep
        });
        let dirty = std::mem::take(&mut self.dirty).into_keys();
        let changed = dirty.filter_map(|host| {
            let errors = self.hosts.get(&host)?.clone();
            Some((host, Some(errors)))
        });
        changed.chain(gone).collect()
    }
}

fn hour_of(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(HOUR_MS)
}

fn slot(hour: i64) -> usize {
    usize::try_from(hour.rem_euclid(HOURS as i64)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(500_000 * HOUR_MS + hours * HOUR_MS + 1)
    }

    #[test]
    fn an_error_counts_for_24_hours() {
        let host = HostName::from_normalised("shop.example");
        let mut counts = ErrorCounts::default();
        assert_eq!(counts.add(&host, 3, at(0)), 3);
        assert_eq!(counts.add(&host, 2, at(5)), 5);
        assert_eq!(counts.add(&host, 1, at(23)), 6);
        assert_eq!(counts.add(&host, 1, at(24)), 4, "the first three are too old");
        assert_eq!(counts.add(&host, 1, at(100)), 1);
    }

    #[test]
    fn what_changed_is_saved_once_and_taken_up_again() {
        let host = HostName::from_normalised("shop.example");
        let mut counts = ErrorCounts::default();
        counts.add(&host, 3, at(0));
        let saved = counts.take_dirty(at(0));
        let [(_, Some(errors))] = &saved[..] else { panic!("{saved:?}") };
        assert!(counts.take_dirty(at(1)).is_empty());
        let json = serde_json::to_string(errors).expect("plain data");
        let mut again = ErrorCounts::default();
        again.restore(host.clone(), serde_json::from_str(&json).expect("it reads back"));
        assert_eq!(again.add(&host, 1, at(2)), 4);
        again.take_dirty(at(2));
        assert_eq!(again.take_dirty(at(60)), [(host, None)], "nothing is left of it");
    }
}
