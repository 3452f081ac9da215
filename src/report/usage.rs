//! Who used how much of what a host takes: attempts by workspace, and by campaign or canvas, over a
//! minute, an hour, and since start. Small and bounded, unlike the tally with its latencies.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::tally::Kind;
use crate::model::Moment;

/// Campaigns that have a row of their own on one host.
pub const CAMPAIGNS_MAX: usize = 100;
/// Workspaces, likewise: as many as one could look through.
pub const LANES_MAX: usize = 1_000;
/// Slices of each stretch of time.
const SLICES: usize = 6;
/// A slice of the minute.
const OF_MINUTE: Duration = Duration::from_secs(10);
/// A slice of the hour.
const OF_HOUR: Duration = Duration::from_secs(600);

/// Attempts over a stretch of time, by what came of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = Usage)]
pub struct Used {
    /// That came to an end.
    pub attempts: u64,
    /// Answered 2xx.
    pub delivered: u64,
    /// The host asked us to wait.
    pub refused: u64,
    /// Ended without success, whether a retry is to come or not.
    pub failed: u64,
}

impl Used {
    fn count(&mut self, kind: Kind) {
        self.attempts += 1;
        match kind {
            Kind::Delivered => self.delivered += 1,
            Kind::Refused => self.refused += 1,
            Kind::Retried | Kind::Dead => self.failed += 1,
        }
    }

    fn add(&mut self, other: &Self) {
        self.attempts += other.attempts;
        self.delivered += other.delivered;
        self.refused += other.refused;
        self.failed += other.failed;
    }
}

/// The slices of a stretch of time, each with its number.
#[derive(Clone, Copy, Debug, Default)]
struct Recent([(u64, Used); SLICES]);

impl Recent {
    fn count(&mut self, kind: Kind, slice: Duration, now: Moment) {
        let number = number(slice, now);
        let slot = &mut self.0[number as usize % SLICES];
        if slot.0 != number {
            *slot = (number, Used::default());
        }
        slot.1.count(kind);
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            match mine.0.cmp(&theirs.0) {
                std::cmp::Ordering::Less => *mine = *theirs,
                std::cmp::Ordering::Equal => mine.1.add(&theirs.1),
                std::cmp::Ordering::Greater => {}
            }
        }
    }

    fn sum(&self, slice: Duration, now: Moment) -> Used {
        let oldest = number(slice, now).saturating_sub(SLICES as u64 - 1);
        let mut sum = Used::default();
        let recent = self.0.iter().filter(|(number, _)| *number >= oldest);
        recent.for_each(|(_, used)| sum.add(used));
        sum
    }
}

fn number(slice: Duration, now: Moment) -> u64 {
    now.as_nanos() / slice.as_nanos() as u64
}

/// What one of them used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    minute: Recent,
    hour: Recent,
    total: Used,
}

impl Usage {
    fn count(&mut self, kind: Kind, now: Moment) {
        self.minute.count(kind, OF_MINUTE, now);
        self.hour.count(kind, OF_HOUR, now);
        self.total.count(kind);
    }

    fn add(&mut self, other: &Self) {
        self.minute.add(&other.minute);
        self.hour.add(&other.hour);
        self.total.add(&other.total);
    }

    /// The last minute.
    pub fn last_minute(&self, now: Moment) -> Used {
        self.minute.sum(OF_MINUTE, now)
    }

    /// The last hour.
    pub fn last_hour(&self, now: Moment) -> Used {
        self.hour.sum(OF_HOUR, now)
    }

    /// Since the start.
    pub fn since_start(&self) -> Used {
        self.total
    }
}

/// Rows up to a limit. One that was idle for an hour makes room; what has none is counted together.
#[derive(Clone, Debug)]
struct Rows<K> {
    max: usize,
    rows: HashMap<K, Usage>,
    other: Usage,
}

impl<K: Clone + Eq + Hash> Rows<K> {
    fn new(max: usize) -> Self {
        Self { max, rows: HashMap::new(), other: Usage::default() }
    }

    fn count(&mut self, key: &K, kind: Kind, now: Moment) {
        if let Some(usage) = self.rows.get_mut(key) {
            return usage.count(kind, now);
        }
        if self.rows.len() >= self.max {
            let mut rows = self.rows.iter();
            let idle = rows.find(|(_, usage)| usage.last_hour(now).attempts == 0);
            let Some(idle) = idle.map(|(key, _)| key.clone()) else {
                return self.other.count(kind, now);
            };
            let gone = self.rows.remove(&idle).unwrap_or_default();
            self.other.add(&gone);
        }
        self.rows.entry(key.clone()).or_default().count(kind, now);
    }
}

/// A campaign or canvas of a workspace.
pub type Campaign = (u32, Arc<str>);

/// What a host's workspaces and campaigns used.
#[derive(Clone, Debug)]
pub struct UsageBook {
    lanes: Rows<u32>,
    campaigns: Rows<Campaign>,
}

impl Default for UsageBook {
    fn default() -> Self {
        Self { lanes: Rows::new(LANES_MAX), campaigns: Rows::new(CAMPAIGNS_MAX) }
    }
}

impl UsageBook {
    /// Counts an attempt.
    pub fn count(&mut self, lane: u32, campaign: Option<&Arc<str>>, kind: Kind, now: Moment) {
        self.lanes.count(&lane, kind, now);
        if let Some(campaign) = campaign {
            self.campaigns.count(&(lane, campaign.clone()), kind, now);
        }
    }

    /// What a workspace used.
    pub fn of_lane(&self, lane: u32) -> Usage {
        self.lanes.rows.get(&lane).copied().unwrap_or_default()
    }

    /// The workspaces that used anything.
    pub fn lanes(&self) -> impl Iterator<Item = u32> + '_ {
        self.lanes.rows.keys().copied()
    }

    /// The campaigns and canvases, those first that used most in the last hour.
    pub fn campaigns(&self, now: Moment) -> Vec<(&Campaign, &Usage)> {
        let mut rows: Vec<_> = self.campaigns.rows.iter().collect();
        rows.sort_by_key(|(campaign, usage)| {
            (std::cmp::Reverse(usage.last_hour(now).attempts), (*campaign).clone())
        });
        rows
    }

    /// What those campaigns used that have no row.
    pub fn other_campaigns(&self) -> &Usage {
        &self.campaigns.other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(seconds)
    }

    #[test]
    fn a_minute_and_an_hour_forget_and_the_total_does_not() {
        let mut book = UsageBook::default();
        book.count(3, None, Kind::Delivered, at(5));
        book.count(3, None, Kind::Refused, at(50));
        book.count(3, None, Kind::Dead, at(100));
        let usage = book.of_lane(3);
        let minute = Used { attempts: 2, delivered: 0, refused: 1, failed: 1 };
        assert_eq!(usage.last_minute(at(100)), minute);
        assert_eq!(usage.last_hour(at(100)).attempts, 3);
        assert_eq!(usage.last_hour(at(5_000)), Used::default());
        assert_eq!(usage.since_start().delivered, 1);
    }

    #[test]
    fn campaigns_past_the_hundredth_are_one_row_until_another_is_idle_for_an_hour() {
        let mut book = UsageBook::default();
        for number in 0..103 {
            let campaign: Arc<str> = format!("c{number}").into();
            book.count(1, Some(&campaign), Kind::Delivered, at(10));
        }
        assert_eq!(book.campaigns(at(10)).len(), CAMPAIGNS_MAX);
        assert_eq!(book.other_campaigns().since_start().attempts, 3);
        let late: Arc<str> = "late".into();
        book.count(1, Some(&late), Kind::Delivered, at(10_000));
        assert_eq!(book.campaigns(at(10_000))[0].0.1, late);
        assert_eq!(book.campaigns(at(10_000)).len(), CAMPAIGNS_MAX);
        assert_eq!(book.other_campaigns().since_start().attempts, 4);
    }
}
