//! Attempts, outcomes and latencies of one host over a minute, an hour, and since start.
//!
//! Slices exist only where something happened, so that a host that was called once costs a few
//! hundred bytes.

use std::collections::VecDeque;
use std::time::Duration;

use crate::model::Moment;

/// Latency buckets: the n-th ends at 100 µs × 1.5ⁿ, so the last one begins beyond ten minutes.
const BUCKETS: usize = 40;
/// Upper end of the first bucket, microseconds.
const FIRST_US: f64 = 100.0;
/// Ratio of neighbouring ends: a percentile is at most half of itself off.
const RATIO: f64 = 1.5;

/// What an attempt counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Answered 2xx.
    Delivered,
    /// The host asked us to wait.
    Refused,
    /// A retry is to come.
    Retried,
    /// Ended without success.
    Dead,
}

/// Counts and latencies.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Attempts that came to an end.
    pub attempts: u64,
    /// By kind, in the order of [`Kind`].
    pub kinds: [u64; 4],
    latencies: [u32; BUCKETS],
}

impl Default for Counts {
    fn default() -> Self {
        Self { attempts: 0, kinds: [0; 4], latencies: [0; BUCKETS] }
    }
}

impl Counts {
    pub(super) fn count(&mut self, kind: Kind, latency_us: u64) {
        self.attempts += 1;
        self.kinds[kind as usize] += 1;
        self.latencies[bucket_of(latency_us)] += 1;
    }

    fn add(&mut self, other: &Counts) {
        self.attempts += other.attempts;
        for (sum, count) in self.kinds.iter_mut().zip(other.kinds) {
            *sum += count;
        }
        for (sum, count) in self.latencies.iter_mut().zip(other.latencies) {
            *sum = sum.saturating_add(count);
        }
    }

    /// Latency under which this share (0 to 1) of attempts stayed, in milliseconds, to the upper
    /// end of its bucket.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        self.percentile_bucket(share).map(bucket_end_ms)
    }

    /// The bucket of that latency.
    pub(super) fn percentile_bucket(&self, share: f64) -> Option<usize> {
        let total: u64 = self.latencies.iter().map(|count| u64::from(*count)).sum();
        (total > 0).then_some(())?;
        let wanted = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        self.latencies.iter().position(|count| {
            seen += u64::from(*count);
            seen >= wanted
        })
    }
}

/// The upper end of a bucket, in milliseconds.
pub(super) fn bucket_end_ms(bucket: usize) -> f64 {
    FIRST_US * RATIO.powi(bucket as i32) / 1000.0
}

fn bucket_of(latency_us: u64) -> usize {
    let steps = (latency_us as f64 / FIRST_US).max(1.0).ln() / RATIO.ln();
    (steps.ceil() as usize).min(BUCKETS - 1)
}

/// The counts of a moving stretch of time, in slices.
#[derive(Clone, Debug)]
struct Rolling {
    slice: Duration,
    slices: u64,
    counts: VecDeque<(u64, Counts)>,
}

impl Rolling {
    fn new(slice: Duration, slices: u64) -> Self {
        Self { slice, slices, counts: VecDeque::new() }
    }

    fn number(&self, now: Moment) -> u64 {
        now.as_nanos() / self.slice.as_nanos() as u64
    }

    fn count(&mut self, kind: Kind, latency_us: u64, now: Moment) {
        let number = self.number(now);
        if self.counts.back().is_none_or(|(last, _)| *last < number) {
            self.counts.push_back((number, Counts::default()));
            let oldest = number.saturating_sub(self.slices - 1);
            while self.counts.front().is_some_and(|(first, _)| *first < oldest) {
                self.counts.pop_front();
            }
        }
        let (_, counts) = self.counts.back_mut().expect("a slice was just pushed");
        counts.count(kind, latency_us);
    }

    fn sum(&self, now: Moment) -> Counts {
        let oldest = self.number(now).saturating_sub(self.slices - 1);
        let mut sum = Counts::default();
        for (number, counts) in &self.counts {
            if *number >= oldest {
                sum.add(counts);
            }
        }
        sum
    }
}

/// The counts of one host.
#[derive(Clone, Debug)]
pub struct HostTally {
    minute: Rolling,
    hour: Rolling,
    total: Option<Box<Counts>>,
}

impl Default for HostTally {
    fn default() -> Self {
        Self {
            minute: Rolling::new(Duration::from_secs(10), 6),
            hour: Rolling::new(Duration::from_secs(600), 6),
            total: None,
        }
    }
}

impl HostTally {
    /// Counts an attempt.
    pub fn count(&mut self, kind: Kind, latency_us: u64, now: Moment) {
        self.minute.count(kind, latency_us, now);
        self.hour.count(kind, latency_us, now);
        self.total.get_or_insert_default().count(kind, latency_us);
    }

    /// The last minute.
    pub fn last_minute(&self, now: Moment) -> Counts {
        self.minute.sum(now)
    }

    /// The last hour.
    pub fn last_hour(&self, now: Moment) -> Counts {
        self.hour.sum(now)
    }

    /// Since the start.
    pub fn since_start(&self) -> Counts {
        self.total.as_deref().cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_at_most_half_of_themselves_off() {
        let mut counts = Counts::default();
        for latency in 1..=1000 {
            counts.count(Kind::Delivered, latency * 1000);
        }
        let median = counts.percentile_ms(0.5).expect("counted");
        assert!((500.0..=750.0).contains(&median), "{median}");
        assert_eq!(Counts::default().percentile_ms(0.5), None);
    }

    #[test]
    fn a_minute_forgets_and_the_total_does_not() {
        let mut tally = HostTally::default();
        tally.count(Kind::Refused, 5, Moment::ORIGIN);
        let later = Moment::ORIGIN + Duration::from_secs(61);
        assert_eq!(tally.last_minute(later).attempts, 0);
        assert_eq!(tally.last_hour(later).kinds, [0, 1, 0, 0]);
        assert_eq!(tally.since_start().attempts, 1);
    }
}
