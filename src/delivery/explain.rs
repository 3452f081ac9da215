//! Why a delivery of a host actor's is where it is: its facts, put before the rules that word them
//! and reckon when it goes.

use crate::delivery::engine::{Explanation, WaitReason};
use crate::delivery::host::HostActor;
use crate::model::{Now, Timestamp};
use crate::policy::condition::{Cause, Hold};
use crate::policy::prospect::{self, Allowance, Expectation, OpenEnd, Prospect, Speed};
use crate::policy::why::{self, Facts, Obstacle, What};
use crate::report::tally::Kind;
use crate::store::DeliveryRecord;

/// How far the place in a deep queue is counted.
pub(super) const PLACE_MAX: u64 = 100_000;
/// The stretch that the measured speed is of, seconds.
const MEASURED_OVER: f64 = 60.0;

pub(super) fn explain(
    actor: &mut HostActor,
    record: &DeliveryRecord,
    place: Option<u64>,
    now: Now,
) -> Explanation {
    let host = actor.name.clone();
    if actor.state.is_in_flight(record.id) {
        return Explanation {
            state: "in_flight",
            waits_for: None,
            reason: format!("its request to {host} is under way"),
            blocked_by: Vec::new(),
            next_attempt_at: None,
            expectation: String::new(),
            ahead: None,
        };
    }
    let entry = actor.state.queue().get(record.id);
    let due = entry.map_or(record.due, |entry| entry.due);
    let attempts = entry.map_or(record.attempts, |entry| entry.attempts);
    let ahead = entry.map(|entry| actor.state.queue().ahead_of((entry.lane, entry.key())));
    let ahead = ahead.or(place);
    let of_host = actor.state.holds(now.moment);
    let of_lane = actor.state.lane_hold(record.workspace, now.moment);
    let obstacles =
        Obstacles { due, attempts, ahead, of_host: &of_host, of_lane: of_lane.as_ref() };
    let blocked_by = obstacles.list(actor, record, now);
    let Expectation { at, words } = prospect::expect(&obstacles.prospect(actor, record, now));
    let waits_for = match (due > now.wall, attempts) {
        (true, 0) => None,
        (true, _) => Some(WaitReason::Backoff),
        (false, _) => {
            let hold = of_host.first().or(of_lane.as_ref());
            Some(hold.map_or(WaitReason::InFlightLimit, |hold| hold.wait))
        }
    };
    let reason = match blocked_by.is_empty() {
        true => format!("it is about to go to {host}"),
        false => why::sentence(&blocked_by),
    };
    let state = if waits_for.is_none() { "scheduled" } else { "waiting" };
    let (next_attempt_at, expectation) = (at, words);
    Explanation { state, waits_for, reason, blocked_by, next_attempt_at, expectation, ahead }
}

/// What was found in a delivery's way.
struct Obstacles<'a> {
    due: Timestamp,
    attempts: u32,
    ahead: Option<u64>,
    of_host: &'a [Hold],
    of_lane: Option<&'a Hold>,
}

impl Obstacles<'_> {
    /// All of it, nearest first.
    fn list(&self, actor: &HostActor, record: &DeliveryRecord, now: Now) -> Vec<Obstacle> {
        let state = &actor.state;
        let host = &actor.name;
        let window = state.header_window(now.moment);
        let facts = Facts {
            host,
            controls: state.controls(),
            window: window.map(|(limit, left, resets)| (limit, left, now.wall_of(resets))),
            fixed: state.static_rate(),
            learned: state.learned_rate(),
            in_flight: state.in_flight(),
            now,
        };
        let others = state.queue().waiting().filter(|other| *other != record.workspace).count();
        let not_due = self.due > now.wall;
        let mut list = Vec::new();
        list.extend(not_due.then(|| why::not_due(self.due, self.attempts, now.wall)));
        list.extend(self.of_host.iter().map(|hold| why::of_host(hold, &facts)));
        list.extend(self.of_lane.map(|hold| why::of_lane(hold, host, now)));
        list.extend(why::queued(self.ahead, PLACE_MAX, others > 0));
        list.extend(why::turns(host, others, state.queue().part(record.workspace)));
        list.extend(actor.shard.recorder.is_full().then(|| {
            let text = "outcomes cannot be committed now, so that nothing is sent";
            Obstacle::plain(What::Store, text, None)
        }));
        list
    }

    /// What its time is reckoned from.
    fn prospect(&self, actor: &HostActor, record: &DeliveryRecord, now: Now) -> Prospect {
        let state = &actor.state;
        let holds: Vec<&Hold> = self.of_host.iter().chain(self.of_lane).collect();
        let held_by = |cause| holds.iter().any(|hold| hold.cause == cause);
        let open_end = match (held_by(Cause::Operator), held_by(Cause::Probing)) {
            (true, _) => Some(OpenEnd::Person),
            (false, true) => Some(OpenEnd::Probes),
            (false, false) => None,
        };
        let ends = holds.iter().filter_map(|hold| hold.until);
        Prospect {
            now: now.wall,
            due: self.due,
            expires: record.expires,
            held_until: ends.max().map(|until| now.wall_of(until)),
            open_end,
            ahead: self.ahead,
            share: state.queue().part(record.workspace),
            speed: speed(actor, now),
        }
    }
}

/// How fast the host is let go on.
fn speed(actor: &HostActor, now: Now) -> Speed {
    let state = &actor.state;
    let allowance = state.allowance(now.moment).map(|(free, resets, next_rate)| Allowance {
        free,
        resets: now.wall_of(resets),
        next_rate,
    });
    let minute = actor.tally.last_minute(now.moment);
    let taken = minute.attempts.saturating_sub(minute.kinds[Kind::Refused as usize]);
    let age = now.moment.since(actor.started).as_secs_f64();
    Speed {
        fixed: state.static_rate(),
        learned: state.learned_rate(),
        allowance,
        measured: taken as f64 / age.clamp(1.0, MEASURED_OVER),
        slots: state.in_flight_limit().saturating_sub(state.in_flight()),
    }
}
