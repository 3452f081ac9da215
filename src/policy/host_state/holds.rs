//! What holds a host back now, and the word for it.

use std::borrow::Cow;
use std::time::Duration;

use super::HostState;
use crate::model::{Moment, Now};
use crate::policy::budget::WaitCause;
use crate::policy::condition::{Hold, HostCondition, WaitReason};
use crate::policy::gate::Gate;

/// How long a host shows as limited after its pace last held a send back, so that a steady pace is
/// not shown as a flicker.
const LIMITED_SHOWN: Duration = Duration::from_secs(2);

/// The host's condition, until when, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The word.
    pub condition: HostCondition,
    /// Until when; `None` where it does not end by itself.
    pub until: Option<Moment>,
    /// Why; empty when healthy.
    pub reason: Cow<'static, str>,
}

impl HostState {
    /// Why no send may start now; `None` when one may.
    pub fn hold(&mut self, now: Moment) -> Option<Hold> {
        let held = |wait, until, reason| Some(Hold { wait, until, reason: Cow::Borrowed(reason) });
        if self.controls.paused {
            return held(WaitReason::Pause, None, "an operator paused the host");
        }
        if self.vitals.gate.advance(self.rules.health.probes, now) {
            self.calm(now);
        }
        if !self.vitals.gate.lets_pass() {
            return match &self.vitals.gate {
                Gate::Cooling { until, reason } => {
                    let reason = Cow::Owned(reason.clone());
                    Some(Hold { wait: WaitReason::Cooldown, until: Some(*until), reason })
                }
                _ => held(WaitReason::Cooldown, None, "the host is being probed after a cooldown"),
            };
        }
        if self.budget.wait_ended(now) {
            self.learned.wait_ended(now);
        }
        if let Some(wait) = self.budget.wait(now) {
            let (reason, words) = match wait.cause {
                WaitCause::RetryAfter => (WaitReason::Budget, "the host said Retry-After"),
                WaitCause::Spent => (WaitReason::Budget, "the host's rate-limit budget is used up"),
                WaitCause::Backoff => {
                    (WaitReason::Backoff, "the host refused without saying for how long")
                }
            };
            return held(reason, Some(wait.until), words);
        }
        if let Some(until) = self.vitals.slump.until(now) {
            let words = "its last requests failed one after the other";
            return held(WaitReason::Backoff, Some(until), words);
        }
        let in_flight = self.in_flight();
        // While probing, the probes are the limit.
        let limit = match self.vitals.gate {
            Gate::Open => self.concurrency.limit(),
            _ => self.concurrency.ceiling(),
        };
        if in_flight >= limit {
            return held(WaitReason::InFlightLimit, None, "all requests in flight are taken");
        }
        if let Some(ready) = self.vitals.reopening.ready_at(now) {
            let words = "the host is back and gets its usual rate at first";
            return held(WaitReason::InFlightLimit, Some(ready), words);
        }
        let paced = self.pace_hold(in_flight, now);
        if paced.is_some() {
            self.limited_until = now + LIMITED_SHOWN;
        }
        paced
    }

    fn pace_hold(&mut self, in_flight: u32, now: Moment) -> Option<Hold> {
        let held = |until, reason| {
            let reason = Cow::Borrowed(reason);
            Some(Hold { wait: WaitReason::Budget, until, reason })
        };
        if let Some(ready) = self.fixed.as_mut().and_then(|pace| pace.ready_at(now)) {
            return held(Some(ready), "the static limit of requests a second is reached");
        }
        if let Err(until) = self.budget.admits(in_flight, now) {
            return held(until, "the host's rate-limit budget is spread over its window");
        }
        if let Some(ready) = self.learned.ready_at(now) {
            return held(Some(ready), "the learned rate of the host is reached");
        }
        None
    }

    /// The host's condition now.
    pub fn standing(&mut self, now: Now) -> Standing {
        let hold = self.hold(now.moment);
        let probing = matches!(self.vitals.gate, Gate::Probing { .. });
        let standing = standing_of(hold, probing);
        if standing.condition == HostCondition::Healthy && self.limited_until > now.moment {
            let reason = Cow::Borrowed("its rate-limit budget sets the pace");
            return Standing { condition: HostCondition::Limited, until: None, reason };
        }
        standing
    }
}

/// The word for what is held back so, of a host or a lane that is or is not being probed.
pub(super) fn standing_of(hold: Option<Hold>, probing: bool) -> Standing {
    let (condition, hold) = match hold {
        Some(hold) => (condition_of(hold.wait, probing), Some(hold)),
        None if probing => (HostCondition::Probing, None),
        None => (HostCondition::Healthy, None),
    };
    let (until, reason) = match hold {
        Some(hold) if condition != HostCondition::Healthy => (hold.until, hold.reason),
        _ => (None, Cow::Borrowed("")),
    };
    Standing { condition, until, reason }
}

fn condition_of(wait: WaitReason, probing: bool) -> HostCondition {
    match wait {
        WaitReason::Pause => HostCondition::Paused,
        WaitReason::Cooldown if probing => HostCondition::Probing,
        WaitReason::Cooldown => HostCondition::CoolingDown,
        WaitReason::Backoff => HostCondition::BackingOff,
        WaitReason::Budget => HostCondition::Limited,
        WaitReason::InFlightLimit | WaitReason::Order if probing => HostCondition::Probing,
        WaitReason::InFlightLimit | WaitReason::Order => HostCondition::Healthy,
    }
}
