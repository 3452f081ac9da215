//! What holds a host back now, and the word for it.

use std::borrow::Cow;
use std::time::Duration;

use super::HostState;
use crate::model::{Moment, Now};
use crate::policy::budget::{Budget, WaitCause};
use crate::policy::condition::{Cause, Hold, HostCondition, WaitReason};
use crate::policy::gate::Gate;
use crate::policy::learned::LearnedRate;

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
        if let Some(hold) = self.pause_hold() {
            return Some(hold);
        }
        if self.vitals.gate.advance(self.rules.health.probes, now) {
            self.calm(now);
        }
        if let Some(hold) = self.gate_hold() {
            return Some(hold);
        }
        if self.budget.wait_ended(now) {
            self.learned.wait_ended(now);
        }
        if let Some(hold) = self.wait_hold(now).or_else(|| self.slump_hold(now)) {
            return Some(hold);
        }
        if let Some(hold) = self.in_flight_hold().or_else(|| self.reopening_hold(now)) {
            return Some(hold);
        }
        let in_flight = self.in_flight();
        let paced = self.static_hold(now);
        let paced = paced.or_else(|| spread_hold(&mut self.budget, in_flight, now));
        let paced = paced.or_else(|| learned_hold(&mut self.learned, now));
        if paced.is_some() {
            self.limited_until = now + LIMITED_SHOWN;
        }
        paced
    }

    /// All that holds sends back now, and not only the first of it, which rules. Changes nothing
    /// but what asking for [`Self::hold`] does.
    pub fn holds(&mut self, now: Moment) -> Vec<Hold> {
        let Some(first) = self.hold(now) else { return Vec::new() };
        let in_flight = self.in_flight();
        // A budget that is asked behind other holds must not learn from it.
        let (mut budget, mut learned) = (self.budget.clone(), self.learned.clone());
        let all = [
            self.pause_hold(),
            self.gate_hold(),
            self.wait_hold(now),
            self.slump_hold(now),
            self.in_flight_hold(),
            self.reopening_hold(now),
            self.static_hold(now),
            // A wait is named already, and it is what a budget that is not spread says.
            if budget.wait(now).is_none() {
                spread_hold(&mut budget, in_flight, now)
            } else {
                None
            },
            learned_hold(&mut learned, now),
        ];
        let others = all.into_iter().flatten().filter(|hold| hold.cause != first.cause);
        let mut holds = vec![first.clone()];
        holds.extend(others);
        holds
    }

    fn pause_hold(&self) -> Option<Hold> {
        let words = "an operator paused the host";
        let hold = held(WaitReason::Pause, Cause::Operator, None, words);
        self.controls.paused.then_some(hold)
    }

    fn gate_hold(&self) -> Option<Hold> {
        match &self.vitals.gate {
            Gate::Cooling { until, reason } => {
                let (until, reason) = (Some(*until), Cow::Owned(reason.clone()));
                Some(Hold { wait: WaitReason::Cooldown, cause: Cause::Cooling, until, reason })
            }
            gate if gate.lets_pass() => None,
            _ => {
                let words = "the host is being probed after a cooldown";
                Some(held(WaitReason::Cooldown, Cause::Probing, None, words))
            }
        }
    }

    fn wait_hold(&self, now: Moment) -> Option<Hold> {
        let wait = self.budget.wait(now)?;
        let (reason, cause, words) = match wait.cause {
            WaitCause::RetryAfter => {
                (WaitReason::Budget, Cause::RetryAfter, "the host said Retry-After")
            }
            WaitCause::Spent => {
                (WaitReason::Budget, Cause::Spent, "the host's rate-limit budget is used up")
            }
            WaitCause::Backoff => {
                let words = "the host refused without saying for how long";
                (WaitReason::Backoff, Cause::Backoff, words)
            }
        };
        Some(held(reason, cause, Some(wait.until), words))
    }

    fn slump_hold(&self, now: Moment) -> Option<Hold> {
        let until = self.vitals.slump.until(now)?;
        let words = "its last requests failed one after the other";
        Some(held(WaitReason::Backoff, Cause::Slump, Some(until), words))
    }

    fn in_flight_hold(&self) -> Option<Hold> {
        // While probing, the probes are the limit.
        let limit = match self.vitals.gate {
            Gate::Open => self.concurrency.limit(),
            _ => self.concurrency.ceiling(),
        };
        let words = "all requests in flight are taken";
        let hold = held(WaitReason::InFlightLimit, Cause::InFlight, None, words);
        (self.in_flight() >= limit).then_some(hold)
    }

    fn reopening_hold(&mut self, now: Moment) -> Option<Hold> {
        let ready = self.vitals.reopening.ready_at(now)?;
        let words = "the host is back and gets its usual rate at first";
        Some(held(WaitReason::InFlightLimit, Cause::Reopening, Some(ready), words))
    }

    fn static_hold(&mut self, now: Moment) -> Option<Hold> {
        let ready = self.fixed.as_mut()?.ready_at(now)?;
        let words = "the static limit of requests a second is reached";
        Some(held(WaitReason::Budget, Cause::Static, Some(ready), words))
    }

    /// Whether the host is left alone after failures, or being probed after that.
    pub fn is_ill(&self) -> bool {
        self.vitals.gate != Gate::Open
    }

    /// Why it is ill, and until when it is left alone; `None` when it is not.
    pub fn illness(&self) -> Option<(String, Option<Moment>)> {
        match &self.vitals.gate {
            Gate::Open => None,
            Gate::Cooling { until, reason } => Some((reason.clone(), Some(*until))),
            Gate::Probing { .. } => Some(("it is being probed".to_owned(), None)),
        }
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

fn held(wait: WaitReason, cause: Cause, until: Option<Moment>, words: &'static str) -> Hold {
    Hold { wait, cause, until, reason: Cow::Borrowed(words) }
}

fn spread_hold(budget: &mut Budget, in_flight: u32, now: Moment) -> Option<Hold> {
    let until = budget.admits(in_flight, now).err()?;
    let words = "the host's rate-limit budget is spread over its window";
    Some(held(WaitReason::Budget, Cause::Spread, until, words))
}

fn learned_hold(learned: &mut LearnedRate, now: Moment) -> Option<Hold> {
    let ready = learned.ready_at(now)?;
    let words = "the learned rate of the host is reached";
    Some(held(WaitReason::Budget, Cause::Learned, Some(ready), words))
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
