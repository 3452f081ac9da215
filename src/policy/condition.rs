//! The words for what a host is in, and for what holds a delivery back.

use std::borrow::Cow;

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::Moment;

/// The state of a host, in the words of the actor stats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostCondition {
    /// Nothing holds it back.
    Healthy,
    /// Its rate-limit budget or static limit sets the pace.
    Limited,
    /// It refused without saying for how long.
    BackingOff,
    /// It failed too often; every delivery is deferred.
    CoolingDown,
    /// A few deliveries are out to see whether it is back.
    Probing,
    /// An operator paused it.
    Paused,
}

impl HostCondition {
    /// All of them, in the order of their numbers.
    pub const ALL: [HostCondition; 6] = [
        HostCondition::Healthy,
        HostCondition::Limited,
        HostCondition::BackingOff,
        HostCondition::CoolingDown,
        HostCondition::Probing,
        HostCondition::Paused,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            HostCondition::Healthy => "healthy",
            HostCondition::Limited => "limited",
            HostCondition::BackingOff => "backing_off",
            HostCondition::CoolingDown => "cooling_down",
            HostCondition::Probing => "probing",
            HostCondition::Paused => "paused",
        }
    }
}

/// What holds an owed delivery back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum WaitReason {
    /// The host's rate-limit budget, learned rate or static limit.
    Budget,
    /// Its own retry schedule, or its host's backoff.
    Backoff,
    /// The host is unhealthy and cools down, or is being probed.
    Cooldown,
    /// All of the host's requests in flight are taken, or others are before it.
    InFlightLimit,
    /// Another delivery of its ordering key comes first.
    Order,
    /// An operator paused the host.
    Pause,
}

/// Which rule holds a host, finer than the word for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// An operator paused it.
    Operator,
    /// It is unhealthy and is left alone for a while.
    Cooling,
    /// Probes are out, and the rest waits for their answers.
    Probing,
    /// It said `Retry-After`.
    RetryAfter,
    /// Its rate-limit budget is used up.
    Spent,
    /// It refused without saying for how long.
    Backoff,
    /// Its last requests failed one after the other.
    Slump,
    /// As many requests are in flight as may be.
    InFlight,
    /// It is back from a cooldown and begins at its usual rate.
    Reopening,
    /// A static limit of requests a second.
    Static,
    /// Its budget, spread over the time that it is for.
    Spread,
    /// The rate that was learned of it.
    Learned,
}

/// Why no send to a host may start now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What holds it.
    pub wait: WaitReason,
    /// Which rule.
    pub cause: Cause,
    /// Until when; `None` where an answer or a person ends it.
    pub until: Option<Moment>,
    /// Why, in words, without the time.
    pub reason: Cow<'static, str>,
}
