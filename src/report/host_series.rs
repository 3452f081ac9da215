//! One host over the last fifteen minutes, in steps of ten seconds: attempts by what came of them,
//! latencies, and what its limits were. There may be ten thousand of these, so a step that is over
//! is a few dozen bytes, and one in which nothing happened is none at all.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use utoipa::ToSchema;

use super::tally::{Counts, Kind, bucket_end_ms};
use crate::model::Timestamp;

/// Length of a step, in seconds.
pub const STEP_S: u64 = 10;
/// Steps that are kept: fifteen minutes.
pub const STEPS: u64 = 90;
/// Different statuses that are told apart in one step; others are counted together.
const STATUSES_MAX: usize = 16;
/// Stands for the statuses past that, which no answer has.
const OTHER: u16 = 1;
/// Stands for an attempt that was not allowed to go out.
const BLOCKED: u16 = 0;
/// A rate in thousandths of requests a second that is written: no host is sent as much.
const RATE_MAX: u64 = 1 << 40;
/// No latency was measured.
const NONE: u8 = u8::MAX;

/// What holds of a host besides what is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Requests under way.
    pub in_flight: u32,
    /// How many may be.
    pub in_flight_limit: u32,
    /// Deliveries held in memory.
    pub queued: u32,
    /// Requests a second that it may be sent, where that is limited.
    pub rate_limit: Option<f64>,
}

/// One step as it is shown.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct HostPoint {
    /// When it begins.
    pub at: Timestamp,
    /// Attempts that came to an end.
    pub attempts: u64,
    /// Attempts by status; 599 without an answer, `blocked` where nothing was allowed to go out.
    pub by_status: BTreeMap<String, u32>,
    /// Answered 2xx.
    pub delivered: u64,
    /// The host asked us to wait.
    pub refused: u64,
    /// Failed, whether a retry is to come or not.
    pub failed: u64,
    /// Median latency of the attempts, milliseconds, to the upper end of its bucket.
    pub p50_ms: Option<f64>,
    /// 90th percentile.
    pub p90_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
    /// Most requests under way.
    pub in_flight: u32,
    /// How many might be, last.
    pub in_flight_limit: u32,
    /// Requests a second that it might be sent, last; absent where nothing limited it.
    pub rate_limit: Option<f64>,
    /// Deliveries held in memory, last.
    pub queued: u32,
}

/// The steps of one host.
#[derive(Clone, Debug, Default)]
pub struct HostSeries {
    /// Steps that are over, each after a byte with its length. A step names its number as the
    /// distance from the one before.
    closed: VecDeque<u8>,
    /// Number of the step before the first.
    before_first: u64,
    /// Number of the last.
    last: u64,
    open: Option<Box<Open>>,
}

/// The step that is not over.
#[derive(Clone, Debug)]
struct Open {
    number: u64,
    counts: Counts,
    statuses: Vec<(u16, u32)>,
    gauges: Gauges,
}

impl HostSeries {
    /// Counts an attempt.
    pub fn count(&mut self, kind: Kind, status: Option<u16>, latency_us: u64, now: Timestamp) {
        let open = self.step(now);
        open.counts.count(kind, latency_us);
        let status = status.unwrap_or(BLOCKED);
        let known = open.statuses.iter().any(|(known, _)| *known == status);
        let status = if known || open.statuses.len() < STATUSES_MAX { status } else { OTHER };
        match open.statuses.iter_mut().find(|(known, _)| *known == status) {
            Some((_, count)) => *count += 1,
            None => open.statuses.push((status, 1)),
        }
    }

    /// Notes how the host stands. Where it has nothing to do, that is no step of its own.
    pub fn note(&mut self, gauges: Gauges, now: Timestamp) {
        let number = number_of(now);
        let is_open = self.open.as_ref().is_some_and(|open| open.number >= number);
        if !is_open && gauges.in_flight == 0 && gauges.queued == 0 {
            return;
        }
        let open = self.step(now);
        let most = open.gauges.in_flight.max(gauges.in_flight);
        open.gauges = Gauges { in_flight: most, ..gauges };
    }

    /// The steps of the last fifteen minutes, oldest first, from the first in which something
    /// happened. One in which nothing did is shown as it was left. The last may not be over.
    pub fn points(&self, now: Timestamp) -> Vec<HostPoint> {
        let oldest = number_of(now).saturating_sub(STEPS - 1);
        let bytes: Vec<u8> = self.closed.iter().copied().collect();
        let (mut rest, mut number) = (bytes.as_slice(), self.before_first);
        let mut points = Vec::new();
        while let Some((length, tail)) = rest.split_first() {
            let (mut step, tail) = tail.split_at((*length as usize).min(tail.len()));
            rest = tail;
            number += take(&mut step);
            points.extend((number >= oldest).then(|| read(number, step)));
        }
        let open = self.open.as_ref().filter(|open| open.number >= oldest);
        points.extend(open.map(|open| open.point()));
        without_gaps(points, number_of(now))
    }

    /// The step of a time; where the clock was set back, the last.
    fn step(&mut self, now: Timestamp) -> &mut Open {
        let number = number_of(now);
        if let Some(open) = self.open.take_if(|open| open.number < number) {
            self.close(&open, number);
        }
        self.open.get_or_insert_with(|| {
            Box::new(Open {
                number,
                counts: Counts::default(),
                statuses: Vec::new(),
                gauges: Gauges::default(),
            })
        })
    }

    fn close(&mut self, open: &Open, now: u64) {
        if self.closed.is_empty() {
            self.before_first = open.number;
            self.last = open.number;
        }
        let mut step = Vec::with_capacity(48);
        put(&mut step, open.number - self.last);
        self.last = open.number;
        open.write(&mut step);
        let length = u8::try_from(step.len()).expect("a step has at most 200 bytes");
        self.closed.push_back(length);
        self.closed.extend(step);
        self.forget(now.saturating_sub(STEPS - 1));
    }

    fn forget(&mut self, oldest: u64) {
        while let Some(length) = self.closed.front().map(|length| usize::from(*length)) {
            let first: Vec<u8> = self.closed.iter().skip(1).take(length).copied().collect();
            let number = self.before_first + take(&mut first.as_slice());
            if number >= oldest {
                return;
            }
            self.before_first = number;
            self.closed.drain(..=length);
        }
    }
}

impl Open {
    /// In this order: four counts by kind, three percentiles, three gauges, the rate, statuses.
    fn write(&self, to: &mut Vec<u8>) {
        for count in self.counts.kinds {
            put(to, count.min(u64::from(u32::MAX)));
        }
        for share in [0.5, 0.9, 0.99] {
            to.push(self.counts.percentile_bucket(share).map_or(NONE, |bucket| bucket as u8));
        }
        let gauges = self.gauges;
        for gauge in [gauges.in_flight, gauges.in_flight_limit, gauges.queued] {
            put(to, u64::from(gauge));
        }
        put(to, gauges.rate_limit.map_or(0, |rate| ((rate * 1000.0) as u64).min(RATE_MAX) + 1));
        for (status, count) in &self.statuses {
            put(to, u64::from(*status));
            put(to, u64::from(*count));
        }
    }

    fn point(&self) -> HostPoint {
        let mut step = Vec::new();
        self.write(&mut step);
        read(self.number, &step)
    }
}

/// Reads what [`Open::write`] wrote.
fn read(number: u64, mut step: &[u8]) -> HostPoint {
    let step = &mut step;
    let kinds: [u64; 4] = std::array::from_fn(|_| take(step));
    let percentiles: [Option<f64>; 3] = std::array::from_fn(|_| {
        let bucket = take_byte(step);
        (bucket != NONE).then(|| bucket_end_ms(usize::from(bucket)))
    });
    let [in_flight, in_flight_limit, queued]: [u32; 3] =
        std::array::from_fn(|_| u32::try_from(take(step)).unwrap_or(u32::MAX));
    let rate = take(step);
    let mut by_status = BTreeMap::new();
    while !step.is_empty() {
        let (status, count) = (take(step), take(step));
        let name = match u16::try_from(status).unwrap_or(OTHER) {
            BLOCKED => "blocked".to_owned(),
            OTHER => "other".to_owned(),
            status => status.to_string(),
        };
        by_status.insert(name, u32::try_from(count).unwrap_or(u32::MAX));
    }
    let of = |kind: Kind| kinds[kind as usize];
    HostPoint {
        at: begin_of(number),
        attempts: kinds.iter().sum(),
        by_status,
        delivered: of(Kind::Delivered),
        refused: of(Kind::Refused),
        failed: of(Kind::Retried) + of(Kind::Dead),
        p50_ms: percentiles[0],
        p90_ms: percentiles[1],
        p99_ms: percentiles[2],
        in_flight,
        in_flight_limit,
        rate_limit: rate.checked_sub(1).map(|rate| rate as f64 / 1000.0),
        queued,
    }
}

/// Puts steps of no attempts where none were kept, up to the present one.
fn without_gaps(points: Vec<HostPoint>, present: u64) -> Vec<HostPoint> {
    let mut whole: Vec<HostPoint> = Vec::new();
    for point in points {
        fill(&mut whole, number_of(point.at));
        whole.push(point);
    }
    fill(&mut whole, present);
    whole
}

/// Goes on with what the last step left, until one of this number would come.
fn fill(points: &mut Vec<HostPoint>, until: u64) {
    let Some(last) = points.last().cloned() else { return };
    points.extend((number_of(last.at) + 1..until).map(|number| HostPoint {
        at: begin_of(number),
        in_flight_limit: last.in_flight_limit,
        rate_limit: last.rate_limit,
        queued: last.queued,
        ..HostPoint::default()
    }));
}

fn begin_of(number: u64) -> Timestamp {
    Timestamp::from_millis((number * STEP_S * 1_000) as i64)
}

fn number_of(at: Timestamp) -> u64 {
    u64::try_from(at.as_secs()).unwrap_or(0) / STEP_S
}

/// Appends a number, seven bits a byte, the lowest first.
fn put(to: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Takes off what [`put`] appended; 0 where nothing is left.
fn take(from: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take_byte(from);
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

fn take_byte(from: &mut &[u8]) -> u8 {
    let Some((first, rest)) = from.split_first() else { return 0 };
    *from = rest;
    *first
}

#[cfg(test)]
mod tests {
    use super::*;

    const T0: i64 = 1_795_503_600;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis((T0 + seconds) * 1_000)
    }

    #[test]
    fn a_step_is_shown_as_it_was_counted_while_it_lasts_and_after() {
        let mut series = HostSeries::default();
        for (kind, status) in [
            (Kind::Delivered, Some(200)),
            (Kind::Delivered, Some(204)),
            (Kind::Refused, Some(429)),
            (Kind::Retried, Some(599)),
            (Kind::Dead, None),
        ] {
            series.count(kind, status, 40_000, at(3));
        }
        let gauges = Gauges {
            in_flight: 300,
            in_flight_limit: 400,
            queued: 70_000,
            rate_limit: Some(12.345),
        };
        series.note(gauges, at(4));
        series.note(Gauges { in_flight: 2, ..gauges }, at(9));
        let open = series.points(at(9));
        series.count(Kind::Delivered, Some(200), 100, at(31));
        let closed = series.points(at(31));
        assert_eq!(open[0], closed[0]);
        assert_eq!(closed.len(), 4);
        for (point, begins) in closed[1..3].iter().zip([10, 20]) {
            assert_eq!((point.at, point.attempts, point.in_flight), (at(begins), 0, 0));
            assert_eq!((point.queued, point.p50_ms), (70_000, None), "nothing went from the queue");
        }
        let point = &closed[0];
        assert_eq!((point.at, point.attempts), (at(0), 5));
        assert_eq!((point.delivered, point.refused, point.failed), (2, 1, 2));
        let statuses: Vec<_> =
            point.by_status.iter().map(|(name, n)| (name.as_str(), *n)).collect();
        assert_eq!(statuses, [("200", 1), ("204", 1), ("429", 1), ("599", 1), ("blocked", 1)]);
        assert_eq!((point.in_flight, point.in_flight_limit, point.queued), (300, 400, 70_000));
        assert_eq!(point.rate_limit, Some(12.345));
        assert!(point.p99_ms.is_some_and(|ms| (40.0..60.0).contains(&ms)), "{:?}", point.p99_ms);
        assert_eq!((closed[3].at, closed[3].attempts), (at(30), 1));
        assert_eq!(series.points(at(62)).len(), 6, "the present one is none yet");
    }

    #[test]
    fn fifteen_minutes_are_kept_in_a_few_dozen_bytes_a_step() {
        let mut series = HostSeries::default();
        for second in 0..3_600 {
            series.count(Kind::Delivered, Some(200), 1_000 + second, at(second as i64));
            series.note(Gauges { in_flight_limit: 64, ..Gauges::default() }, at(second as i64));
        }
        let points = series.points(at(3_599));
        assert_eq!(points.len(), STEPS as usize);
        assert_eq!((points[0].at, points[89].at), (at(2_700), at(3_590)));
        assert!(points.iter().all(|point| point.attempts == 10), "{points:?}");
        assert!(series.closed.len() < STEPS as usize * 32, "{}", series.closed.len());
        assert!(series.points(at(7_200)).is_empty(), "what is older is not shown");
    }

    #[test]
    fn any_number_of_statuses_fits_into_a_step() {
        let mut series = HostSeries::default();
        for status in 200..600 {
            for _ in 0..3 {
                series.count(Kind::Dead, Some(status), u64::MAX, at(0));
            }
        }
        series.note(Gauges { rate_limit: Some(f64::MAX), ..Gauges::default() }, at(0));
        series.count(Kind::Dead, Some(200), 1, at(10));
        let point = &series.points(at(10))[0];
        assert_eq!((point.by_status.len(), point.by_status["other"]), (17, 384 * 3));
        assert_eq!(point.attempts, 1_200);
    }

    #[test]
    fn an_idle_host_has_no_steps_and_a_waiting_one_has() {
        let mut series = HostSeries::default();
        series.note(Gauges { in_flight_limit: 64, ..Gauges::default() }, at(0));
        assert!(series.points(at(0)).is_empty());
        series.note(Gauges { queued: 5, ..Gauges::default() }, at(10));
        assert_eq!(series.points(at(10)).len(), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_counts_into_the_last_step() {
        let mut series = HostSeries::default();
        series.count(Kind::Delivered, Some(200), 1, at(100));
        series.count(Kind::Delivered, Some(200), 1, at(50));
        assert_eq!(series.points(at(100))[0].attempts, 2);
    }

    #[test]
    fn numbers_of_any_size_are_taken_as_they_were_put() {
        for number in [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(take(&mut bytes.as_slice()), number);
        }
        assert_eq!(take(&mut [0xff; 20].as_slice()) & 1, 1, "garbage ends");
    }
}
