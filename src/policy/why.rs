//! Why an owed delivery does not go now: what stands in its way, nearest first, in words that a
//! person understands without knowing the engine.
//!
//! Nothing here says anything of another workspace's deliveries but that it takes turns.

use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{DeliveryId, HostControls, HostName, Now, Timestamp};
use crate::policy::condition::{Cause, Hold};

/// What kind of thing stands in the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ObstacleKind)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// It is due later.
    Due,
    /// Its own retry schedule, or its host's backoff.
    Backoff,
    /// An operator paused its host.
    Pause,
    /// Its host, or its workspace's lane of it, is left alone after failures, or is being probed.
    Cooldown,
    /// Its host's rate-limit budget, learned rate or static limit.
    Budget,
    /// As many requests are in flight to its host as may be.
    InFlightLimit,
    /// Workspaces take turns at its host, or its own one is held back there.
    Lane,
    /// Another delivery of its ordering key comes first.
    Order,
    /// Others of its queue go first.
    Queue,
    /// Outcomes cannot be committed, so that nothing is sent.
    Store,
    /// The process is stopping.
    Stopping,
}

/// One thing that stands in a delivery's way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Obstacle {
    /// What it is.
    pub what: What,
    /// In words.
    pub text: String,
    /// Until when; absent where no clock ends it.
    pub until: Option<Timestamp>,
    /// The host that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// The delivery that comes first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// How many come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u64>,
}

impl Obstacle {
    /// One that is about nothing but what it says.
    pub fn plain(what: What, text: impl Into<String>, until: Option<Timestamp>) -> Self {
        Self { what, text: text.into(), until, host: None, delivery: None, ahead: None }
    }
}

/// What the words need to know of a host.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Its name.
    pub host: &'a HostName,
    /// What operators asked.
    pub controls: &'a HostControls,
    /// Limit, remaining and reset of its own headers.
    pub window: Option<(Option<u64>, u64, Timestamp)>,
    /// Static limit, requests a second.
    pub fixed: Option<f64>,
    /// Learned rate, requests a second.
    pub learned: Option<f64>,
    /// Requests in flight.
    pub in_flight: u32,
    /// Now.
    pub now: Now,
}

/// It is due later: for the first time, or after `attempts` that failed.
pub fn not_due(due: Timestamp, attempts: u32, now: Timestamp) -> Obstacle {
    let left = left(now.until(due));
    let (what, text) = match attempts {
        0 => (What::Due, format!("it is due in {left}")),
        _ => (What::Backoff, format!("attempt {attempts} failed; the next is due in {left}")),
    };
    Obstacle::plain(what, text, Some(due))
}

/// The host is paused. `by` names who did it, for those who may know.
pub fn paused(host: &HostName, controls: &HostControls, by: Option<&str>) -> Obstacle {
    let mut text = format!("{host} is paused by an operator");
    if let Some(by) = by {
        text.push_str(&format!(" ({by})"));
    }
    if let Some(since) = controls.paused_at {
        text.push_str(&format!(" since {since}"));
    }
    if let Some(reason) = &controls.reason {
        text.push_str(&format!(": {reason}"));
    }
    Obstacle { host: Some(host.clone()), ..Obstacle::plain(What::Pause, text, None) }
}

/// What holds the host.
pub fn of_host(hold: &Hold, facts: &Facts<'_>) -> Obstacle {
    let Facts { host, now, .. } = facts;
    let reason = &hold.reason;
    let wait = hold.until.map(|until| now.moment.until(until));
    let in_time = wait.map_or("when an answer comes".to_owned(), |it| format!("in {}", left(it)));
    let (what, text) = match hold.cause {
        Cause::Operator => return paused(host, facts.controls, None),
        Cause::Cooling => {
            (What::Cooldown, format!("{host} is unhealthy ({reason}) and is probed {in_time}"))
        }
        Cause::Probing => {
            let words = "is being probed after a cooldown; the answers decide";
            (What::Cooldown, format!("{host} {words}"))
        }
        Cause::RetryAfter => {
            (What::Budget, format!("{host} said Retry-After; it may go on {in_time}"))
        }
        Cause::Spent => {
            let left = of_window(facts);
            (What::Budget, format!("the budget of {host} is used up{left}; it resets {in_time}"))
        }
        Cause::Backoff => {
            let words = "refused without saying for how long; it is asked again";
            (What::Backoff, format!("{host} {words} {in_time}"))
        }
        Cause::Slump => {
            let words = "failed one after the other; the next goes";
            (What::Backoff, format!("the last requests to {host} {words} {in_time}"))
        }
        Cause::InFlight => {
            let count = facts.in_flight;
            let words = "may be in flight to it at once, and all are";
            (What::InFlightLimit, format!("{count} requests {words}: {host} has to answer one"))
        }
        Cause::Reopening => {
            let words = "is back from a cooldown and gets its usual rate at first";
            (What::InFlightLimit, format!("{host} {words}; the next goes {in_time}"))
        }
        Cause::Static => (What::Budget, paced("static limit", facts.fixed, host, &in_time)),
        Cause::Learned => (What::Budget, paced("learned rate", facts.learned, host, &in_time)),
        Cause::Spread => {
            let left = of_window(facts);
            let words = "is spread over its time";
            (What::Budget, format!("the budget of {host} {words}{left}; the next goes {in_time}"))
        }
    };
    let until = hold.until.map(|until| now.wall_of(until));
    Obstacle { host: Some((*host).clone()), ..Obstacle::plain(what, text, until) }
}

/// What holds the workspace's lane of the host.
pub fn of_lane(hold: &Hold, host: &HostName, now: Now) -> Obstacle {
    let in_time = match hold.until.map(|until| now.moment.until(until)) {
        Some(wait) => format!("in {}", left(wait)),
        None => "when an answer comes".to_owned(),
    };
    let reason = &hold.reason;
    let text = match hold.cause {
        Cause::Cooling => {
            format!("its workspace's requests to {host} fail ({reason}); they are probed {in_time}")
        }
        Cause::Probing => {
            format!("its workspace's requests to {host} are being probed; the answers decide")
        }
        _ => format!("its workspace waits at {host}: {reason}; the next goes {in_time}"),
    };
    let until = hold.until.map(|until| now.wall_of(until));
    Obstacle { host: Some(host.clone()), ..Obstacle::plain(What::Lane, text, until) }
}

/// Workspaces take turns at the host: `others` of them have something ready.
pub fn turns(host: &HostName, others: usize, share: f64) -> Option<Obstacle> {
    let workspaces = match others {
        0 => return None,
        1 => "1 other workspace".to_owned(),
        _ => format!("{others} other workspaces"),
    };
    let part = (share * 100.0).round();
    let text = format!("it takes turns with {workspaces}; its own gets {part} % of the sends");
    Some(Obstacle { host: Some(host.clone()), ..Obstacle::plain(What::Lane, text, None) })
}

/// Its place: behind `ahead` others of the host, or of its workspace there. `most` is how far was
/// counted.
pub fn queued(ahead: Option<u64>, most: u64, shared: bool) -> Option<Obstacle> {
    let whose = if shared { " of its workspace" } else { "" };
    let text = match ahead {
        Some(0) => return None,
        Some(1) => format!("it is behind 1 other{whose}"),
        Some(count) if count >= most => format!("it is behind {most} others{whose} or more"),
        Some(count) => format!("it is behind {count} others{whose}"),
        None => "it is behind those that the host's actor holds in memory".to_owned(),
    };
    Some(Obstacle { ahead, ..Obstacle::plain(What::Queue, text, None) })
}

/// What is known of the delivery that holds an ordering key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder<'a> {
    /// Its request is under way.
    InFlight,
    /// It waits itself, for this.
    Waits(&'a str),
    /// It ended without success and blocks the key until somebody decides.
    Blocks(&'static str),
    /// Nothing could be read of it.
    Unknown,
}

/// Another delivery of its ordering key comes first.
pub fn behind(key: &str, head: Option<DeliveryId>, holder: Holder<'_>) -> Obstacle {
    let by = match head {
        Some(id) => format!("ordering key {key:?} is held by {id}"),
        None => format!("ordering key {key:?} is held by another delivery"),
    };
    let text = match holder {
        Holder::InFlight => format!("{by}, whose request is under way"),
        Holder::Waits("") => format!("{by}, which is about to go"),
        Holder::Waits(reason) => format!("{by}, which in turn waits: {reason}"),
        Holder::Blocks(end) => {
            format!("{by}, which {end}: redrive, cancel or skip that one and the key goes on")
        }
        Holder::Unknown => format!("{by}, which comes first"),
    };
    Obstacle { delivery: head, ..Obstacle::plain(What::Order, text, None) }
}

/// The chain in one sentence; what stands nearest comes first.
pub fn sentence(obstacles: &[Obstacle]) -> String {
    let texts: Vec<&str> = obstacles.iter().map(|obstacle| obstacle.text.as_str()).collect();
    texts.join("; ")
}

fn paced(what: &str, rate: Option<f64>, host: &HostName, in_time: &str) -> String {
    let rate = rate.map_or_else(String::new, |rate| format!(" of {} a second", short(rate)));
    format!("the {what} of {host}{rate} is reached; the next goes {in_time}")
}

fn of_window(facts: &Facts<'_>) -> String {
    match facts.window {
        Some((Some(limit), remaining, _)) => format!(" ({remaining} of {limit} left)"),
        Some((None, remaining, _)) => format!(" ({remaining} left)"),
        None => String::new(),
    }
}

/// Two digits after the point where that says anything.
fn short(rate: f64) -> String {
    let text = if rate < 10.0 { format!("{rate:.2}") } else { format!("{rate:.1}") };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn left(wait: Duration) -> String {
    let seconds = wait.as_secs_f64();
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..600.0 => format!("{seconds:.0} s"),
        ..36_000.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.0} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests;
