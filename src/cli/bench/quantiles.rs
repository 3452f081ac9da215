//! Latencies, counted in a histogram and told as a few quantiles.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// An hour in microseconds: more than any run lasts.
const MICROS_MAX: u64 = 3_600_000_000;
/// Significant digits: a thousandth is finer than any two runs agree.
const DIGITS: u8 = 3;

/// A histogram of microseconds.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(MICROS_MAX, DIGITS).expect("bounds that hdrhistogram takes")
}

/// Quantiles in microseconds; all zero where nothing was counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
pub(super) struct Quantiles {
    /// How many were counted.
    pub(super) count: u64,
    /// Half are at most this.
    pub(super) p50: u64,
    /// 99 of 100 are.
    pub(super) p99: u64,
    /// 999 of 1,000 are.
    pub(super) p999: u64,
    /// The largest.
    pub(super) max: u64,
}

impl Quantiles {
    /// Those of a histogram.
    pub(super) fn of(histogram: &Histogram<u64>) -> Self {
        let at = |share: f64| histogram.value_at_quantile(share);
        Self {
            count: histogram.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: histogram.max(),
        }
    }
}
