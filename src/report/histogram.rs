//! A histogram that one thread or several record into and others read, without a lock: fixed
//! buckets, each a counter. Whoever wants a stretch of time subtracts an earlier reading from a
//! later one; whoever wants several histograms as one adds their readings.
//!
//! A reading is not one moment: what is recorded meanwhile may be in the buckets and not yet in the
//! sum. Both only ever grow, so that a difference is never negative.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper ends of buckets for latencies, in microseconds: from what loopback takes to the time that
/// an attempt may take at most. Neighbours are at most twice one another, so that a percentile read
/// between them is not far off; the numbers are round, since people read them in `le` labels.
pub const LATENCY_BOUNDS_US: [u64; 33] = [
    100, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000, 10_000, 15_000, 20_000,
    30_000, 50_000, 70_000, 100_000, 150_000, 200_000, 300_000, 500_000, 700_000, 1_000_000,
    1_500_000, 2_000_000, 3_000_000, 5_000_000, 7_000_000, 10_000_000, 20_000_000, 40_000_000,
    90_000_000,
];

/// Counts by fixed buckets. Values are whole numbers of whatever unit the bounds are in;
/// microseconds throughout this house where they are times.
#[derive(Debug)]
pub struct Histogram {
    bounds: Arc<[u64]>,
    /// One more than bounds: the last is what is above them all.
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

impl Default for Histogram {
    /// One for latencies.
    fn default() -> Self {
        Self::new(&LATENCY_BOUNDS_US)
    }
}

impl Histogram {
    /// An empty one. The n-th bucket takes what is at most the n-th bound and more than the one
    /// before; bounds have to rise.
    pub fn new(bounds: &[u64]) -> Self {
        debug_assert!(bounds.is_sorted_by(|a, b| a < b), "bounds rise");
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { bounds: bounds.into(), counts, sum: AtomicU64::new(0) }
    }

    /// Counts a value.
    pub fn record(&self, value: u64) {
        self.record_many(value, 1);
    }

    /// Counts a value as often as `times`.
    pub fn record_many(&self, value: u64, times: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        self.counts[bucket].fetch_add(times, Ordering::Relaxed);
        self.sum.fetch_add(value.saturating_mul(times), Ordering::Relaxed);
    }

    /// Counts a duration, in microseconds.
    pub fn record_duration(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// What was counted so far.
    pub fn snapshot(&self) -> HistogramSnapshot {
        let sum = self.sum.load(Ordering::Relaxed);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect();
        HistogramSnapshot { bounds: self.bounds.clone(), counts, sum }
    }
}

/// What a histogram had counted at one time, or between two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistogramSnapshot {
    bounds: Arc<[u64]>,
    counts: Vec<u64>,
    sum: u64,
}

impl HistogramSnapshot {
    /// Values that were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// Each bucket's upper end, `None` for what is above the last bound, and its own count.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> + '_ {
        let ends = self.bounds.iter().copied().map(Some).chain([None]);
        ends.zip(self.counts.iter().copied())
    }

    /// Adds what another histogram of the same bounds counted.
    pub fn add(&mut self, other: &Self) {
        debug_assert_eq!(self.bounds, other.bounds, "of the same bounds");
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// What was counted since an earlier reading of the same histogram.
    pub fn since(&self, earlier: &Self) -> Self {
        debug_assert_eq!(self.bounds, earlier.bounds, "of the same bounds");
        let counts = self.counts.iter().zip(&earlier.counts);
        Self {
            bounds: self.bounds.clone(),
            counts: counts.map(|(now, then)| now.saturating_sub(*then)).collect(),
            sum: self.sum.saturating_sub(earlier.sum),
        }
    }

    /// The value that this share (0 to 1) of all is at most, as if values were spread evenly
    /// within a bucket; the last bound for what is above it. `None` when nothing was counted.
    pub fn percentile(&self, share: f64) -> Option<f64> {
        let total = self.count();
        (total > 0).then_some(())?;
        let wanted = (total as f64 * share.clamp(0.0, 1.0)).max(1.0);
        let mut below = 0.0;
        for (bucket, count) in self.counts.iter().enumerate() {
            let count = *count as f64;
            if below + count >= wanted {
                let low = bucket.checked_sub(1).map_or(0, |before| self.bounds[before]) as f64;
                let high = self.bounds.get(bucket).map_or(low, |bound| *bound as f64);
                return Some(low + (high - low) * (wanted - below) / count);
            }
            below += count;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_belongs_below_it() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, 1_000] {
            histogram.record(value);
        }
        let counted: Vec<_> = histogram.snapshot().buckets().collect();
        assert_eq!(counted, [(Some(10), 2), (Some(20), 2), (None, 2)]);
        assert_eq!(histogram.snapshot().sum(), 1_062);
        assert_eq!(histogram.snapshot().count(), 6);
    }

    #[test]
    fn a_stretch_of_time_is_the_difference_of_two_readings() {
        let histogram = Histogram::new(&[10, 20]);
        histogram.record(5);
        let earlier = histogram.snapshot();
        histogram.record_many(15, 3);
        let since = histogram.snapshot().since(&earlier);
        assert_eq!((since.count(), since.sum()), (3, 45));
        let mut both = earlier.clone();
        both.add(&since);
        assert_eq!(both, histogram.snapshot());
    }

    #[test]
    fn a_percentile_lies_within_its_bucket() {
        let histogram = Histogram::default();
        assert_eq!(histogram.snapshot().percentile(0.5), None);
        for latency_ms in 1..=1_000 {
            histogram.record_duration(Duration::from_millis(latency_ms));
        }
        let snapshot = histogram.snapshot();
        for (share, exact) in [(0.5, 500_000.0), (0.9, 900_000.0), (0.99, 990_000.0)] {
            let read = snapshot.percentile(share).expect("counted");
            assert!((read - exact).abs() <= 0.02 * exact, "{share}: {read} is not {exact}");
        }
    }

    #[test]
    fn what_is_above_all_bounds_counts_as_the_last() {
        let histogram = Histogram::new(&[10, 20]);
        histogram.record(u64::MAX);
        assert_eq!(histogram.snapshot().percentile(0.99), Some(20.0));
    }
}
