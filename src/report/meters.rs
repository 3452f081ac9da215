//! What is measured where it happens and read at a scrape: attempts and verdicts of an arbiter, and
//! the commits of a store. Each thread has meters of its own and they are added up when they are
//! read, so that counting is a few relaxed additions on memory that nobody else writes.
//!
//! Two times say how late deliveries are. `arrival` is that of fresh ones alone, from acceptance (or
//! due time, if later) to the first request: what a caller feels. `queue_age` is how long what is
//! sent had been due, retries and all: it grows before the first does when retries pile up. Neither
//! says anything of a queue that stands still, since nothing is sent from it; for that there is the
//! age of the oldest due delivery, a gauge, which is what to alert on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Histogram, HistogramSnapshot};

/// Upper ends of buckets for waits in a queue, in microseconds: from what a healthy host takes to a
/// day, which lies beyond any cooldown.
const WAIT_BOUNDS_US: [u64; 20] = [
    1_000,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    14_400_000_000,
    43_200_000_000,
    86_400_000_000,
];
/// For what this machine does by itself, in microseconds: a commit, the answer to a request.
pub const WORK_BOUNDS_US: [u64; 16] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000,
];
/// For operations of a commit, of which there are at most a thousand.
const SIZE_BOUNDS: [u64; 10] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000];

/// What came of an attempt, as coarse as a graph wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Answered 2xx.
    Success,
    /// Answered 3xx.
    Redirect,
    /// Answered 4xx, and not to ask for a pause.
    ClientError,
    /// Answered 5xx, likewise.
    ServerError,
    /// The host asked to be called later.
    Refused,
    /// No usable answer came.
    NoAnswer,
    /// Nothing went out: the address is not allowed, or a secret is gone.
    NotSent,
}

impl Class {
    /// All, in order.
    pub const ALL: [Class; 7] = [
        Class::Success,
        Class::Redirect,
        Class::ClientError,
        Class::ServerError,
        Class::Refused,
        Class::NoAnswer,
        Class::NotSent,
    ];

    /// The class of a status that is no wish for a pause.
    pub fn of_status(status: u16) -> Self {
        match status {
            200..300 => Class::Success,
            300..400 => Class::Redirect,
            400..500 => Class::ClientError,
            _ => Class::ServerError,
        }
    }

    /// As labels have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::Success => "2xx",
            Class::Redirect => "3xx",
            Class::ClientError => "4xx",
            Class::ServerError => "5xx",
            Class::Refused => "refused",
            Class::NoAnswer => "no_answer",
            Class::NotSent => "not_sent",
        }
    }
}

/// What was decided about a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Delivered.
    Delivered,
    /// To be sent again.
    Retried,
    /// Ended with a permanent answer.
    Failed,
    /// Ended with its retries used up.
    Exhausted,
    /// Ended by its age.
    Expired,
    /// Ended by wish.
    Cancelled,
}

impl Decision {
    /// All, in order.
    pub const ALL: [Decision; 6] = [
        Decision::Delivered,
        Decision::Retried,
        Decision::Failed,
        Decision::Exhausted,
        Decision::Expired,
        Decision::Cancelled,
    ];

    /// As labels have it.
    pub fn as_str(self) -> &'static str {
        match self {
            Decision::Delivered => "delivered",
            Decision::Retried => "retried",
            Decision::Failed => "failed",
            Decision::Exhausted => "exhausted",
            Decision::Expired => "expired",
            Decision::Cancelled => "cancelled",
        }
    }
}

/// The meters of one arbiter.
#[derive(Debug)]
pub struct Meters {
    latency: [Histogram; Class::ALL.len()],
    arrival: Histogram,
    queue_age: Histogram,
    decisions: [AtomicU64; Decision::ALL.len()],
}

impl Default for Meters {
    fn default() -> Self {
        Self {
            latency: std::array::from_fn(|_| Histogram::default()),
            arrival: Histogram::new(&WAIT_BOUNDS_US),
            queue_age: Histogram::new(&WAIT_BOUNDS_US),
            decisions: Default::default(),
        }
    }
}

impl Meters {
    /// An attempt begins: its delivery was due for so long. `is_first` unless it was sent before.
    pub fn begun(&self, due_for: Duration, is_first: bool) {
        self.queue_age.record_duration(due_for);
        if is_first {
            self.arrival.record_duration(due_for);
        }
    }

    /// An attempt ended.
    pub fn ended(&self, class: Class, latency_us: u64) {
        self.latency[class as usize].record(latency_us);
    }

    /// Something was decided.
    pub fn decided(&self, decision: Decision) {
        self.decisions[decision as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// What was counted so far.
    pub fn read(&self) -> Readings {
        Readings {
            latency: std::array::from_fn(|class| self.latency[class].snapshot()),
            arrival: self.arrival.snapshot(),
            queue_age: self.queue_age.snapshot(),
            decisions: std::array::from_fn(|one| self.decisions[one].load(Ordering::Relaxed)),
        }
    }
}

/// What the meters of one arbiter, or of several, had counted.
#[derive(Clone, Debug)]
pub struct Readings {
    /// How long attempts took, microseconds, in the order of [`Class::ALL`].
    pub latency: [HistogramSnapshot; Class::ALL.len()],
    /// From acceptance (or due time) to the first request, microseconds.
    pub arrival: HistogramSnapshot,
    /// How long deliveries had been due when they were sent, microseconds.
    pub queue_age: HistogramSnapshot,
    /// In the order of [`Decision::ALL`].
    pub decisions: [u64; Decision::ALL.len()],
}

impl Default for Readings {
    fn default() -> Self {
        Meters::default().read()
    }
}

impl Readings {
    /// Adds those of another arbiter.
    pub fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.latency.iter_mut().zip(&other.latency) {
            mine.add(theirs);
        }
        self.arrival.add(&other.arrival);
        self.queue_age.add(&other.queue_age);
        for (mine, theirs) in self.decisions.iter_mut().zip(other.decisions) {
            *mine += theirs;
        }
    }
}

/// The meters of a store's commits.
#[derive(Debug)]
pub struct CommitMeters {
    took: Histogram,
    size: Histogram,
}

impl Default for CommitMeters {
    fn default() -> Self {
        Self { took: Histogram::new(&WORK_BOUNDS_US), size: Histogram::new(&SIZE_BOUNDS) }
    }
}

impl CommitMeters {
    /// So many operations were committed.
    pub fn committed(&self, operations: usize, took: Duration) {
        self.took.record_duration(took);
        self.size.record(operations as u64);
    }

    /// What was counted so far.
    pub fn read(&self) -> CommitReadings {
        CommitReadings { took: self.took.snapshot(), size: self.size.snapshot() }
    }
}

/// What the meters of a store's commits had counted.
#[derive(Clone, Debug)]
pub struct CommitReadings {
    /// Duration of commits, microseconds.
    pub took: HistogramSnapshot,
    /// Operations of commits.
    pub size: HistogramSnapshot,
}

impl Default for CommitReadings {
    fn default() -> Self {
        CommitMeters::default().read()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readings_of_several_arbiters_add_up() {
        let (one, two) = (Meters::default(), Meters::default());
        one.begun(Duration::from_millis(3), true);
        two.begun(Duration::from_secs(7_200), false);
        one.ended(Class::Success, 900);
        two.ended(Class::Success, 1_100);
        two.ended(Class::Refused, 5);
        one.decided(Decision::Delivered);
        two.decided(Decision::Exhausted);
        let mut sum = one.read();
        sum.add(&two.read());
        assert_eq!((sum.arrival.count(), sum.queue_age.count()), (1, 2));
        let success = &sum.latency[Class::Success as usize];
        assert_eq!((success.count(), success.sum()), (2, 2_000));
        assert_eq!(sum.latency[Class::Refused as usize].count(), 1);
        assert_eq!(sum.decisions, [1, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn lists_are_in_the_order_of_their_numbers() {
        for (number, class) in Class::ALL.into_iter().enumerate() {
            assert_eq!(class as usize, number, "{}", class.as_str());
        }
        for (number, decision) in Decision::ALL.into_iter().enumerate() {
            assert_eq!(decision as usize, number, "{}", decision.as_str());
        }
    }
}
