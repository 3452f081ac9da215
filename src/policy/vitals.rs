//! How a host fares, or one lane of it: the health window, the gate, and what else is held against
//! it. While a host has one lane that is known, the lane's and the host's are the same.

use std::borrow::Cow;

use crate::config::Health;
use crate::model::Moment;
use crate::policy::condition::{Cause, Hold, WaitReason};
use crate::policy::gate::Gate;
use crate::policy::health::HealthWindow;
use crate::policy::learned::LearnedRate;
use crate::policy::overload::Overload;
use crate::policy::reopening::Reopening;
use crate::policy::slump::Slump;

/// Fewer attempts within the window say nothing sure of a lane. As many as are in flight at first
/// contact.
pub const SURE: u32 = 4;

/// The vitals of a host or a lane.
#[derive(Clone, Debug)]
pub struct Vitals {
    /// Attempts of the recent past.
    pub health: HealthWindow,
    /// Whether deliveries may go.
    pub gate: Gate,
    /// Failures in a row.
    pub slump: Slump,
    /// Bare 503s.
    pub overload: Overload,
    /// What was learned before the present row of bare 503s.
    pub learned_before: LearnedRate,
    /// The pace after a cooldown.
    pub reopening: Reopening,
    /// Answers to requests sent before this say nothing of it as it is now.
    pub healthy_since: Moment,
    /// When an answer came last, of whatever kind.
    pub answered: Option<Moment>,
    /// When it was last found well.
    pub well: Option<Moment>,
    /// A probe of the host that was its own came back ill.
    pub probe_failed: bool,
}

/// How sure it is that a lane is ill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illness {
    /// Nothing is known of late.
    Unknown,
    /// It is well.
    Well,
    /// Its few attempts failed.
    Likely,
    /// Its failures prevail, or its gate is shut.
    Sure,
}

impl Vitals {
    /// Of whom nothing is known.
    pub fn new(rules: &Health, healthy_since: Moment) -> Self {
        Self {
            health: HealthWindow::new(rules.clone()),
            gate: Gate::Open,
            slump: Slump::default(),
            overload: Overload::default(),
            learned_before: LearnedRate::default(),
            reopening: Reopening::default(),
            healthy_since,
            answered: None,
            well: None,
            probe_failed: false,
        }
    }

    /// How sure it is that it is ill.
    pub fn illness(&mut self, now: Moment) -> Illness {
        if self.gate != Gate::Open {
            return Illness::Sure;
        }
        let (attempts, _) = self.health.counts(now);
        match (attempts, self.health.failures_prevail(now)) {
            (0, _) => Illness::Unknown,
            (_, false) => Illness::Well,
            (SURE.., true) => Illness::Sure,
            (_, true) => Illness::Likely,
        }
    }

    /// Whether there is nothing to remember of it.
    pub fn is_blank(&mut self, now: Moment) -> bool {
        self.illness(now) == Illness::Unknown && self.slump.until(now).is_none()
    }

    /// Forgets what was held against it.
    pub fn absolve(&mut self) {
        self.gate = Gate::Open;
        self.health.clear();
        self.slump.ended();
        self.probe_failed = false;
    }

    /// Why a lane may not send now; `None` where it may. `probes` may go after a cooldown.
    pub fn hold(&mut self, probes: u32, now: Moment) -> Option<Hold> {
        let held = |wait, cause, until, reason| {
            Some(Hold { wait, cause, until, reason: Cow::Borrowed(reason) })
        };
        if self.gate.advance(probes, now) {
            self.slump.ended();
        }
        let cooldown = WaitReason::Cooldown;
        match &self.gate {
            Gate::Cooling { until, reason } => {
                let (until, reason) = (Some(*until), Cow::Owned(reason.clone()));
                return Some(Hold { wait: cooldown, cause: Cause::Cooling, until, reason });
            }
            gate if !gate.lets_pass() => {
                return held(cooldown, Cause::Probing, None, "the workspace is being probed");
            }
            _ => {}
        }
        if let Some(until) = self.slump.until(now) {
            let words = "the workspace's last requests failed one after the other";
            return held(WaitReason::Backoff, Cause::Slump, Some(until), words);
        }
        let ready = self.reopening.ready_at(now)?;
        let words = "the workspace is back and begins slowly";
        held(WaitReason::InFlightLimit, Cause::Reopening, Some(ready), words)
    }
}
