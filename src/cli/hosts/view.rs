//! A host as the server tells of it, and as a row of a table: for `hosts` and for `top`.

use serde::Deserialize;

use crate::cli::output::{self, count, milliseconds, percent, style_of};
use crate::cli::table::{Cell, Column};
use crate::model::Timestamp;

/// A host actor's figures; of a host without an actor most are absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct HostView {
    pub(in crate::cli) host: String,
    pub(in crate::cli) alive: bool,
    pub(in crate::cli) shard: u32,
    pub(in crate::cli) arbiter: Option<u64>,
    pub(in crate::cli) state: String,
    pub(in crate::cli) until: Option<String>,
    pub(in crate::cli) reason: String,
    pub(in crate::cli) budget: BudgetView,
    pub(in crate::cli) in_flight: u64,
    pub(in crate::cli) in_flight_limit: u64,
    pub(in crate::cli) queued: u64,
    pub(in crate::cli) waiting: u64,
    pub(in crate::cli) uncommitted: u64,
    pub(in crate::cli) mailbox: u64,
    pub(in crate::cli) age_s: u64,
    pub(in crate::cli) success_ratio: Option<f64>,
    pub(in crate::cli) last_minute: TallyView,
    pub(in crate::cli) last_hour: TallyView,
    pub(in crate::cli) since_start: TallyView,
    pub(in crate::cli) controls: ControlsView,
    pub(in crate::cli) lanes: Vec<LaneView>,
    pub(in crate::cli) history: Vec<IntervalView>,
}

/// What a host may be sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct BudgetView {
    pub(in crate::cli) limit: Option<u64>,
    pub(in crate::cli) remaining: Option<u64>,
    pub(in crate::cli) resets_at: Option<String>,
    pub(in crate::cli) learned_rate: Option<f64>,
    pub(in crate::cli) static_rate: Option<f64>,
}

/// Counts over a stretch of time.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct TallyView {
    pub(in crate::cli) attempts: u64,
    pub(in crate::cli) delivered: u64,
    pub(in crate::cli) refused: u64,
    pub(in crate::cli) retried: u64,
    pub(in crate::cli) dead: u64,
    pub(in crate::cli) p50_ms: Option<f64>,
    pub(in crate::cli) p99_ms: Option<f64>,
}

/// What operators asked.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct ControlsView {
    pub(in crate::cli) paused: bool,
    pub(in crate::cli) reason: Option<String>,
    pub(in crate::cli) paused_at: Option<String>,
    pub(in crate::cli) draining: bool,
}

/// A workspace's lane.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct LaneView {
    pub(in crate::cli) workspace: u32,
    pub(in crate::cli) weight: u32,
    pub(in crate::cli) share: f64,
    pub(in crate::cli) queued: u64,
    pub(in crate::cli) has_more: bool,
    pub(in crate::cli) in_flight: u64,
    pub(in crate::cli) state: String,
    pub(in crate::cli) until: Option<String>,
    pub(in crate::cli) reason: String,
}

/// A stretch of time in which the host was not simply healthy.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct IntervalView {
    pub(in crate::cli) condition: String,
    pub(in crate::cli) reason: String,
    pub(in crate::cli) from: String,
    pub(in crate::cli) to: Option<String>,
}

/// The columns of a table of hosts. The reason stands last, since it is long, and gives way.
pub(in crate::cli) const COLUMNS: &[Column] = &[
    Column::words("host"),
    Column::words("state"),
    Column::numbers("until"),
    Column::numbers("queued"),
    Column::numbers("waiting"),
    Column::numbers("in flight"),
    Column::numbers("success"),
    Column::numbers("p99"),
    Column::words("budget"),
    Column::numbers("rate/s"),
    Column::yielding("reason"),
];

impl HostView {
    /// The share of the last minute's attempts that delivered; `None` when there were none.
    pub(in crate::cli) fn success(&self) -> Option<f64> {
        let tally = &self.last_minute;
        let counted = (tally.attempts > 0).then(|| tally.delivered as f64 / tally.attempts as f64);
        self.success_ratio.or(counted)
    }

    /// Its row under `COLUMNS`.
    pub(in crate::cli) fn row(&self, now: Timestamp) -> Vec<Cell> {
        let or_dash = |text: Option<String>| Cell::from(text.unwrap_or_else(|| "-".into()));
        let in_flight = match self.alive {
            true => format!("{}/{}", self.in_flight, self.in_flight_limit),
            false => "-".into(),
        };
        vec![
            self.host.as_str().into(),
            Cell::styled(self.state_word(), style_of(&self.state)),
            or_dash(self.until.as_deref().and_then(|until| output::left(until, now))),
            count(self.queued).into(),
            count(self.waiting).into(),
            in_flight.into(),
            or_dash(self.success().map(percent)),
            or_dash(self.last_minute.p99_ms.map(milliseconds)),
            or_dash(self.budget.words(now)),
            or_dash(self.budget.learned_rate.or(self.budget.static_rate).map(output::rate)),
            self.why().into(),
        ]
    }

    /// Its state, and whether it is being drained, which is no state of its own.
    pub(in crate::cli) fn state_word(&self) -> String {
        match self.controls.draining {
            true => format!("{}, draining", self.state),
            false => self.state.clone(),
        }
    }

    /// Why it is in its state, and what an operator said about it.
    pub(in crate::cli) fn why(&self) -> String {
        match &self.controls.reason {
            Some(reason) if self.reason.is_empty() => reason.clone(),
            Some(reason) if self.controls.paused && !self.reason.contains(reason.as_str()) => {
                format!("{}: {reason}", self.reason)
            }
            _ => self.reason.clone(),
        }
    }
}

impl BudgetView {
    /// What is left of it, and when it is whole again.
    pub(in crate::cli) fn words(&self, now: Timestamp) -> Option<String> {
        let mut text = match (self.remaining, self.limit) {
            (Some(left), Some(limit)) => format!("{}/{}", count(left), count(limit)),
            (Some(left), None) => format!("{} left", count(left)),
            (None, Some(limit)) => format!("of {}", count(limit)),
            (None, None) => return None,
        };
        if let Some(left) = self.resets_at.as_deref().and_then(|at| output::left(at, now)) {
            text += &format!(", {left}");
        }
        Some(text)
    }
}
