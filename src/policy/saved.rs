//! What is remembered of a host over a restart or while its actor sleeps: a host in cooldown must
//! not get a burst because we restarted.
//!
//! A wait is saved as the remaining time and the wall clock, and restored as no more than the
//! remaining time: a wall clock that jumped back must not make it longer.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::{Now, Timestamp};
use crate::policy::budget::{Wait, WaitCause};
use crate::policy::gate::Gate;
use crate::policy::host_state::HostState;
use crate::policy::learned::LearnedRate;

/// Nothing is restored for longer: the longest cooldown that can be set. More is a damaged record.
const LEFT_MAX: Duration = Duration::from_secs(86_400);

/// The saved state of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    at: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cooling: Option<Cooling>,
    /// The gate of the host was shut for all lanes.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    whole: bool,
    /// Whose gate it was, where it was not.
    #[serde(default, skip_serializing_if = "is_default_lane")]
    lane: u32,
    /// Gates of lanes, where there were several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    lanes: Vec<SavedLane>,
    /// A probe was under way: the host is probed again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    probing: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait: Option<SavedWait>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    learned_rate: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    window: Option<SavedWindow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Cooling {
    remaining_ms: u64,
    reason: String,
}

/// The gate of a lane that was shut, or ajar.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedLane {
    lane: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cooling: Option<Cooling>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    probing: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedWait {
    remaining_ms: u64,
    cause: String,
    capped: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct SavedWindow {
    limit: Option<u64>,
    remaining: u64,
    reset_ms: u64,
}

impl Saved {
    /// Reads saved JSON; an unreadable state is as good as none.
    pub fn parse(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// The JSON to save.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data has a JSON form")
    }

    /// Whether there is anything worth remembering.
    pub fn is_empty(&self) -> bool {
        *self == Self { at: self.at, lane: self.lane, ..Self::default() }
    }

    /// Whether the host was left alone or probed after failures.
    pub fn is_ill(&self) -> bool {
        self.cooling.is_some() || self.probing
    }

    fn left(&self, remaining_ms: u64, now: Now) -> Duration {
        let passed = Timestamp::from_millis(self.at).until(now.wall);
        Duration::from_millis(remaining_ms).saturating_sub(passed).min(LEFT_MAX)
    }
}

impl HostState {
    /// What is to be remembered.
    pub fn save(&self, now: Now) -> Saved {
        let remaining_ms = |until| now.moment.until(until).as_millis() as u64;
        let cooling = |gate: &Gate| match gate {
            Gate::Cooling { until, reason } => {
                Some(Cooling { remaining_ms: remaining_ms(*until), reason: reason.clone() })
            }
            _ => None,
        };
        let probing = |gate: &Gate| matches!(gate, Gate::Probing { .. });
        let shut = self.wards.iter().filter(|(_, ward)| ward.gate != Gate::Open);
        let lanes = shut.map(|(lane, ward)| SavedLane {
            lane: *lane,
            cooling: cooling(&ward.gate),
            probing: probing(&ward.gate),
        });
        let wait = self.wait(now.moment).map(|wait| SavedWait {
            remaining_ms: remaining_ms(wait.until),
            cause: cause_word(wait.cause).to_owned(),
            capped: wait.capped,
        });
        let window = self.header_window(now.moment).map(|(limit, remaining, resets)| SavedWindow {
            limit,
            remaining,
            reset_ms: remaining_ms(resets),
        });
        Saved {
            at: now.wall.as_millis(),
            cooling: cooling(&self.vitals.gate),
            whole: self.whole,
            lane: self.only.unwrap_or_default(),
            lanes: lanes.collect(),
            probing: probing(&self.vitals.gate),
            wait,
            learned_rate: self.learned_rate(),
            window,
        }
    }

    /// Takes up what was remembered.
    pub fn restore(&mut self, saved: &Saved, now: Now) {
        let gate = |cooling: &Option<Cooling>, probing: bool| match cooling {
            Some(cooling) => {
                let left = saved.left(cooling.remaining_ms, now);
                Some(Gate::cool(cooling.reason.clone(), left, now.moment))
            }
            None => probing
                .then(|| Gate::cool("it was being probed".into(), Duration::ZERO, now.moment)),
        };
        match gate(&saved.cooling, saved.probing) {
            Some(gate) if saved.whole => (self.vitals.gate, self.whole) = (gate, true),
            Some(gate) => self.shut(saved.lane, gate),
            None => {}
        }
        for lane in &saved.lanes {
            if let Some(gate) = gate(&lane.cooling, lane.probing) {
                self.shut(lane.lane, gate);
            }
        }
        if let Some(wait) = &saved.wait {
            let until = now.moment + saved.left(wait.remaining_ms, now);
            let cause = cause_of(&wait.cause);
            self.budget.restore_wait(Wait { until, cause, capped: wait.capped });
        }
        if let Some(rate) = saved.learned_rate {
            self.learned = LearnedRate::restored(rate, now.moment);
        }
        if let Some(window) = &saved.window {
            let left = saved.left(window.reset_ms, now);
            self.budget.restore_window(window.limit, window.remaining, left, now.moment);
        }
    }
}

fn is_default_lane(lane: &u32) -> bool {
    *lane == 0
}

fn cause_word(cause: WaitCause) -> &'static str {
    match cause {
        WaitCause::RetryAfter => "retry_after",
        WaitCause::Spent => "spent",
        WaitCause::Backoff => "backoff",
    }
}

fn cause_of(word: &str) -> WaitCause {
    match word {
        "spent" => WaitCause::Spent,
        "backoff" => WaitCause::Backoff,
        _ => WaitCause::RetryAfter,
    }
}
