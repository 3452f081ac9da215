//! A page of a host's queue, lane by lane.

use crate::model::Pending;

/// The first pending deliveries of one lane of a host.
#[derive(Clone, Debug)]
pub struct LanePage {
    /// The workspace's number.
    pub lane: u32,
    /// In `(due, seq)` order.
    pub rows: Vec<Pending>,
    /// Whether more may be behind them.
    pub full: bool,
}

/// Rows that a page of many lanes has in all, unless each has but one.
pub const PAGE_ROWS: usize = 10_000;

/// How many rows each of `lanes` shows in one page of at most `limit` rows a lane.
pub(crate) fn rows_of_each(lanes: usize, limit: usize) -> usize {
    (limit.max(PAGE_ROWS) / lanes.max(1)).clamp(1, limit.max(1))
}
