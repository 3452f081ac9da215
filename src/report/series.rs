//! Totals over time, in memory: a point for each of the last 300 seconds and for each of the last
//! 1,440 minutes. Pure: whoever reads the counters hands the readings in, once a second.
//!
//! Points are differences of exact counters, so that what is counted is counted in exactly one of
//! them, whenever the readings come. A point says how many in its step, not how many a second: a
//! step that was read late has what came in the meantime too.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::histogram::HistogramSnapshot;
use crate::model::{Now, Timestamp};

/// Points of a second that are kept.
pub const SECONDS: usize = 300;
/// Points of a minute that are kept.
pub const MINUTES: usize = 1_440;

/// What was counted since the start, and what stands, at one time.
#[derive(Clone, Debug)]
pub struct Reading {
    /// What only grows.
    pub counted: Counted,
    /// What stands now.
    pub standing: StandingTotals,
    /// Latencies of attempts, in microseconds.
    pub latency: HistogramSnapshot,
}

/// What only grows, or how much of it fell into a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = CountedTotals)]
pub struct Counted {
    /// Deliveries accepted.
    pub accepted: u64,
    /// Attempts answered 2xx.
    pub delivered: u64,
    /// Deliveries that ended without success: failed, exhausted, expired.
    pub failed: u64,
    /// Attempts that failed with a retry to come.
    pub retried: u64,
    /// Attempts that a host answered with the wish to wait.
    pub refused: u64,
    /// Attempts that came to an end.
    pub attempts: u64,
}

impl Counted {
    fn since(self, earlier: Self) -> Self {
        let less = u64::saturating_sub;
        Self {
            accepted: less(self.accepted, earlier.accepted),
            delivered: less(self.delivered, earlier.delivered),
            failed: less(self.failed, earlier.failed),
            retried: less(self.retried, earlier.retried),
            refused: less(self.refused, earlier.refused),
            attempts: less(self.attempts, earlier.attempts),
        }
    }

    fn plus(self, other: Self) -> Self {
        Self {
            accepted: self.accepted + other.accepted,
            delivered: self.delivered + other.delivered,
            failed: self.failed + other.failed,
            retried: self.retried + other.retried,
            refused: self.refused + other.refused,
            attempts: self.attempts + other.attempts,
        }
    }
}

/// What stands at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct StandingTotals {
    /// Deliveries that wait for a host that may not be called now.
    pub deferred: u64,
    /// Deliveries in a queue.
    pub pending: u64,
    /// Requests under way.
    pub in_flight: u64,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = TotalsPoint)]
pub struct Point {
    /// When it begins.
    pub at: Timestamp,
    /// What fell into it.
    #[serde(flatten)]
    pub counted: Counted,
    /// What stood at its end.
    #[serde(flatten)]
    pub standing: StandingTotals,
    /// Median latency of its attempts, milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
}

impl Point {
    fn between(at: Timestamp, earlier: &Reading, later: &Reading) -> Self {
        let latency = later.latency.since(&earlier.latency);
        Self {
            at,
            counted: later.counted.since(earlier.counted),
            standing: later.standing,
            p50_ms: percentile_ms(&latency, 0.5),
            p99_ms: percentile_ms(&latency, 0.99),
        }
    }
}

/// A percentile of latencies in microseconds, in milliseconds to three places.
fn percentile_ms(latency: &HistogramSnapshot, share: f64) -> Option<f64> {
    latency.percentile(share).map(|us| us.round() / 1000.0)
}

/// How much came a second, over the time between the last two readings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rates {
    /// When it was read.
    pub at: Timestamp,
    /// Deliveries accepted.
    pub accepted_per_s: f64,
    /// Attempts answered 2xx.
    pub delivered_per_s: f64,
    /// Deliveries that ended without success.
    pub failed_per_s: f64,
    /// Attempts that failed with a retry to come.
    pub retried_per_s: f64,
    /// Attempts that a host answered with the wish to wait.
    pub refused_per_s: f64,
    /// Attempts that came to an end.
    pub attempts_per_s: f64,
    /// Median latency of these attempts, milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
}

impl Rates {
    fn of(point: &Point, at: Timestamp, elapsed: Duration) -> Self {
        // Two readings at one moment are a second apart for want of anything better.
        let seconds = if elapsed.is_zero() { 1.0 } else { elapsed.as_secs_f64() };
        let rate = |count: u64| (count as f64 / seconds * 10.0).round() / 10.0;
        let counted = &point.counted;
        Self {
            at,
            accepted_per_s: rate(counted.accepted),
            delivered_per_s: rate(counted.delivered),
            failed_per_s: rate(counted.failed),
            retried_per_s: rate(counted.retried),
            refused_per_s: rate(counted.refused),
            attempts_per_s: rate(counted.attempts),
            p50_ms: point.p50_ms,
            p99_ms: point.p99_ms,
        }
    }
}

/// How long a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A second.
    Second,
    /// A minute.
    Minute,
}

impl Step {
    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Step::Second => 1,
            Step::Minute => 60,
        }
    }

    /// The beginning of the step that a time falls into.
    fn begin(self, at: Timestamp) -> Timestamp {
        let millis = self.seconds() as i64 * 1_000;
        Timestamp::from_millis(at.as_millis().div_euclid(millis) * millis)
    }
}

/// The points of both steps.
#[derive(Debug, Default)]
pub struct Series {
    seconds: VecDeque<Point>,
    minutes: VecDeque<Point>,
    last: Option<(Now, Reading)>,
    /// The minute that is not over, and what had been counted when it began.
    open: Option<(Timestamp, Reading)>,
}

impl Series {
    /// Takes a reading; answers the rates since the one before, if there was one.
    pub fn take(&mut self, now: Now, reading: Reading) -> Option<Rates> {
        let minute = Step::Minute.begin(now.wall);
        match &mut self.open {
            Some((begun, earlier)) if *begun < minute => {
                keep(&mut self.minutes, Point::between(*begun, earlier, &reading), MINUTES);
                self.open = Some((minute, reading.clone()));
            }
            Some(_) => {}
            None => self.open = Some((minute, reading.clone())),
        }
        let (then, earlier) = self.last.replace((now, reading))?;
        let (_, reading) = self.last.as_ref().expect("it was just put there");
        let point = Point::between(Step::Second.begin(then.wall), &earlier, reading);
        let rates = Rates::of(&point, now.wall, now.moment.since(then.moment));
        keep(&mut self.seconds, point, SECONDS);
        Some(rates)
    }

    /// The points of a step, oldest first.
    pub fn points(&self, step: Step) -> &VecDeque<Point> {
        match step {
            Step::Second => &self.seconds,
            Step::Minute => &self.minutes,
        }
    }
}

/// Appends a point. Two readings in one step, or a wall clock that was set back, add to the last.
fn keep(points: &mut VecDeque<Point>, point: Point, max: usize) {
    if let Some(last) = points.back_mut().filter(|last| last.at >= point.at) {
        let counted = last.counted.plus(point.counted);
        *last = Point { at: last.at, counted, ..point };
        return;
    }
    if points.len() == max {
        points.pop_front();
    }
    points.push_back(point);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Moment;
    use crate::report::histogram::Histogram;

    const T0: i64 = 1_795_503_600_000;

    fn at(millis: i64) -> Now {
        Now {
            wall: Timestamp::from_millis(T0 + millis),
            moment: Moment::ORIGIN + Duration::from_millis(millis as u64),
        }
    }

    fn reading(accepted: u64, latency: &Histogram) -> Reading {
        Reading {
            counted: Counted { accepted, attempts: accepted / 2, ..Counted::default() },
            standing: StandingTotals { pending: accepted / 2, ..StandingTotals::default() },
            latency: latency.snapshot(),
        }
    }

    #[test]
    fn a_point_has_what_came_in_its_second_and_no_more() {
        let (mut series, latency) = (Series::default(), Histogram::default());
        assert_eq!(series.take(at(10), reading(100, &latency)), None, "since when?");
        latency.record_many(2_000, 10);
        let rates = series.take(at(1_010), reading(150, &latency)).expect("two readings");
        assert_eq!((rates.accepted_per_s, rates.attempts_per_s), (50.0, 25.0));
        let rates = series.take(at(2_020), reading(150, &latency)).expect("two readings");
        assert_eq!((rates.accepted_per_s, rates.p50_ms), (0.0, None));
        let seconds = series.points(Step::Second);
        assert_eq!(seconds.len(), 2);
        assert_eq!((seconds[0].at, seconds[0].counted.accepted), (at(0).wall, 50));
        assert!(seconds[0].p50_ms.is_some_and(|ms| (1.5..=2.0).contains(&ms)));
        assert_eq!((seconds[1].at, seconds[1].counted.accepted), (at(1_000).wall, 0));
        assert_eq!(seconds[1].standing.pending, 75);
    }

    #[test]
    fn a_late_reading_is_a_rate_over_the_time_that_it_took() {
        let (mut series, latency) = (Series::default(), Histogram::default());
        series.take(at(0), reading(0, &latency));
        let rates = series.take(at(4_000), reading(400, &latency)).expect("two readings");
        assert_eq!(rates.accepted_per_s, 100.0);
        series.take(at(4_400), reading(410, &latency));
        series.take(at(4_900), reading(415, &latency));
        let counted: Vec<_> = series.points(Step::Second).iter().map(of_second).collect();
        assert_eq!(counted, [(0, 400), (4, 15)], "two readings in one second are one point");
    }

    fn of_second(point: &Point) -> (i64, u64) {
        (point.at.as_secs() - T0 / 1_000, point.counted.accepted)
    }

    #[test]
    fn both_rings_are_bounded_and_no_delivery_is_counted_twice() {
        let (mut series, latency) = (Series::default(), Histogram::default());
        let minutes = 1_500;
        for second in 0..=minutes * 60 {
            series.take(at(second * 1_000 + 5), reading(second as u64 * 3, &latency));
        }
        let (seconds, ends) = (series.points(Step::Second), series.points(Step::Minute));
        assert_eq!((seconds.len(), ends.len()), (SECONDS, MINUTES));
        assert!(seconds.iter().all(|point| point.counted.accepted == 3));
        assert!(ends.iter().all(|point| point.counted.accepted == 180));
        assert_eq!(ends[0].at.as_secs() - T0 / 1_000, (minutes - MINUTES as i64) * 60);
    }

    #[test]
    fn a_wall_clock_that_is_set_back_makes_no_point_out_of_order() {
        let (mut series, latency) = (Series::default(), Histogram::default());
        series.take(at(5_000), reading(0, &latency));
        series.take(at(6_000), reading(10, &latency));
        let back = Now { wall: at(2_000).wall, moment: at(7_000).moment };
        series.take(back, reading(20, &latency));
        let rates = series.take(at(8_000), reading(30, &latency)).expect("two readings");
        assert_eq!(rates.accepted_per_s, 10.0);
        let counted: Vec<_> = series.points(Step::Second).iter().map(of_second).collect();
        assert_eq!(counted, [(5, 10), (6, 20)]);
    }
}
