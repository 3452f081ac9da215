//! The figures of a report: how often each word was said of a subject in a stretch of time, as
//! pairs of a code and a number, so that one small value is added to, written and read alike.
//!
//! Codes below 100 are words, those up to 999 the status of the last attempt of what ended without
//! success, those from 1,000 on latencies of attempts. Latencies lie in buckets of an eighth of an
//! octave, so that a percentile is at most an eighth too high, however many are merged.

use std::collections::BTreeMap;

use crate::model::{Attempt, End, Outcome, Settlement, Timestamp, Verdict};

/// What is counted. The numbers are stored and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Word {
    /// Accepted.
    Sent = 0,
    /// Answered 2xx.
    Delivered = 1,
    /// Ended by a permanent answer.
    Failed = 2,
    /// Ended with all retries used up.
    Exhausted = 3,
    /// Ended by their expiry.
    Expired = 4,
    /// Ended because somebody asked for it.
    Cancelled = 5,
    /// Attempts after which it goes again.
    Retried = 6,
    /// Had to wait: see [`DEFERRED_AFTER_MS`].
    Deferred = 7,
    /// Recipients who were sent something for the first time in the hour.
    RecipientsOfHour = 8,
    /// …for the first time in the day (UTC).
    RecipientsOfDay = 9,
}

/// A delivery counts as deferred when its first attempt begins, or it ends without one, so many
/// milliseconds after it was due or later: it had to wait for its host (or behind its ordering
/// key). Counted once, when that is recorded.
pub const DEFERRED_AFTER_MS: i64 = 1_000;

/// Statuses stand for themselves.
const STATUS: u32 = 100;
/// Latencies begin here.
const LATENCY: u32 = 1_000;
/// Buckets of an octave, as a power of two.
const EIGHTHS: u32 = 3;
/// The last bucket begins beyond a week.
const LATENCY_MAX_US: u64 = 1 << 40;

impl Word {
    /// What an end is counted as.
    pub fn of_end(end: End) -> Self {
        match end {
            End::Delivered => Word::Delivered,
            End::Failed => Word::Failed,
            End::Exhausted => Word::Exhausted,
            End::Expired => Word::Expired,
            End::Cancelled => Word::Cancelled,
        }
    }
}

/// Figures, in order of their codes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures(Vec<(u32, u64)>);

impl Figures {
    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn add_to(&mut self, code: u32, number: u64) {
        match self.0.binary_search_by_key(&code, |(code, _)| *code) {
            Ok(place) => self.0[place].1 = self.0[place].1.saturating_add(number),
            Err(place) => self.0.insert(place, (code, number)),
        }
    }

    /// Counts a word.
    pub fn count(&mut self, word: Word) {
        self.add_to(word as u32, 1);
    }

    /// Counts an end, with the status of the last attempt where that was no success.
    pub fn count_end(&mut self, end: End, status: Option<u16>) {
        self.count(Word::of_end(end));
        let status = status.map(u32::from).filter(|_| end != End::Delivered);
        if let Some(status) = status.filter(|status| (STATUS..LATENCY).contains(status)) {
            self.add_to(status, 1);
        }
    }

    /// Counts how long an attempt took, where a request went out.
    pub fn count_attempt(&mut self, attempt: &Attempt) {
        if matches!(attempt.outcome, Outcome::Answered(_) | Outcome::NoAnswer { .. }) {
            self.add_to(LATENCY + bucket_of(attempt.timings.total_us), 1);
        }
    }

    /// Counts what was decided about a delivery. `before` says how many attempts it had had and
    /// when it was due, where it was owed; `status` is that of its last attempt, this one included.
    pub(super) fn count_settled(
        &mut self,
        settlement: &Settlement,
        before: Option<(u32, Timestamp)>,
        status: Option<u16>,
    ) {
        let attempt = settlement.attempt.as_ref();
        attempt.into_iter().for_each(|attempt| self.count_attempt(attempt));
        match settlement.verdict {
            Verdict::End(end) => self.count_end(end, status),
            Verdict::Again { .. } if attempt.is_some() => self.count(Word::Retried),
            Verdict::Again { .. } => return,
        }
        let begun = attempt.map_or(settlement.at, |attempt| attempt.started);
        if let Some((0, due)) = before
            && begun.as_millis() - due.as_millis() >= DEFERRED_AFTER_MS
        {
            self.count(Word::Deferred);
        }
    }

    /// Adds others.
    pub fn add(&mut self, other: &Figures) {
        other.0.iter().for_each(|(code, number)| self.add_to(*code, *number));
    }

    /// Adds those of others that add up: not who was reached, since a recipient of two of them is
    /// one.
    pub(super) fn add_summable(&mut self, other: &Figures) {
        let reached = [Word::RecipientsOfHour as u32, Word::RecipientsOfDay as u32];
        let summable = other.0.iter().filter(|(code, _)| !reached.contains(code));
        summable.for_each(|(code, number)| self.add_to(*code, *number));
    }

    /// Leaves out what a word counted.
    pub(super) fn forget(&mut self, word: Word) {
        self.0.retain(|(code, _)| *code != word as u32);
    }

    /// How often a word was counted.
    pub fn of(&self, word: Word) -> u64 {
        let place = self.0.binary_search_by_key(&(word as u32), |(code, _)| *code);
        place.map_or(0, |place| self.0[place].1)
    }

    /// What ended without success, by the status of the last attempt.
    pub fn by_status(&self) -> BTreeMap<u32, u64> {
        self.0.iter().filter(|(code, _)| (STATUS..LATENCY).contains(code)).copied().collect()
    }

    /// Latency under which this share (0 to 1) of attempts stayed, in milliseconds, to the upper
    /// end of its bucket; `None` without attempts.
    pub fn percentile_ms(&self, share: f64) -> Option<f64> {
        let latencies = || self.0.iter().filter(|(code, _)| *code >= LATENCY);
        let total: u64 = latencies().map(|(_, number)| number).sum();
        (total > 0).then_some(())?;
        let wanted = (total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        let (code, _) = latencies().find(|(_, number)| {
            seen += number;
            seen >= wanted
        })?;
        Some(upper_end_us(code - LATENCY) as f64 / 1000.0)
    }

    /// Writes them behind what is there.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        for (code, number) in &self.0 {
            put_number(out, u64::from(*code));
            put_number(out, *number);
        }
    }

    /// Adds what is written; `None` where it was not written by [`Figures::encode`].
    pub(super) fn add_encoded(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let code = u32::try_from(take_number(&mut bytes)?).ok()?;
            self.add_to(code, take_number(&mut bytes)?);
        }
        Some(())
    }
}

/// Writes a number, seven bits a byte, the lowest first.
pub(super) fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// Reads a number off the front.
pub(super) fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..u64::BITS).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn bucket_of(latency_us: u64) -> u32 {
    let latency = latency_us.min(LATENCY_MAX_US);
    let octave = latency.checked_ilog2().unwrap_or(0).saturating_sub(EIGHTHS);
    (octave << EIGHTHS) + (latency >> octave) as u32
}

fn upper_end_us(bucket: u32) -> u64 {
    let octave = (bucket >> EIGHTHS).saturating_sub(1);
    ((u64::from(bucket - (octave << EIGHTHS)) + 1) << octave) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_lies_in_a_bucket_that_ends_at_most_an_eighth_above_it() {
        let mut last = 0;
        for latency in (0..5_000).chain([90_000_000, 1 << 39, LATENCY_MAX_US]) {
            let bucket = bucket_of(latency);
            assert!(bucket >= last && bucket - last <= LATENCY, "buckets are in order");
            last = bucket;
            let end = upper_end_us(bucket);
            assert!(end >= latency && end <= latency + latency / 8, "{latency} ends at {end}");
        }
        assert_eq!(bucket_of(u64::MAX), bucket_of(LATENCY_MAX_US));
    }

    #[test]
    fn figures_survive_encode_and_decode_and_nothing_else_does() {
        let mut figures = Figures::default();
        figures.count_end(End::Failed, Some(410));
        figures.count_end(End::Delivered, Some(200));
        figures.add_to(LATENCY + 77, u64::from(u32::MAX) * 9);
        let mut written = Vec::new();
        figures.encode(&mut written);
        let mut read = Figures::default();
        assert_eq!(read.add_encoded(&written), Some(()));
        assert_eq!(read, figures);
        assert_eq!(read.by_status(), BTreeMap::from([(410, 1)]));
        for end in 0..written.len() {
            let _no_panic = Figures::default().add_encoded(&written[..end]);
        }
        assert_eq!(Figures::default().add_encoded(&[0xff; 12]), None);
    }

    #[test]
    fn percentiles_of_merged_figures_are_those_of_all() {
        let (mut fast, mut slow) = (Figures::default(), Figures::default());
        (0..90).for_each(|_| fast.add_to(LATENCY + bucket_of(1_000), 1));
        (0..10).for_each(|_| slow.add_to(LATENCY + bucket_of(800_000), 1));
        fast.add(&slow);
        let (p50, p99) = (fast.percentile_ms(0.5), fast.percentile_ms(0.99));
        assert!((1.0..1.13).contains(&p50.expect("attempts")), "{p50:?}");
        assert!((800.0..900.1).contains(&p99.expect("attempts")), "{p99:?}");
        assert_eq!(Figures::default().percentile_ms(0.5), None);
    }
}
