//! What a host actor shows: its snapshot, and why a delivery of its is where it is.

use std::time::Duration;

use crate::delivery::engine::{Explanation, WaitReason};
use crate::delivery::host::HostActor;
use crate::delivery::snapshot::{BudgetSnapshot, HostSnapshot, Tally};
use crate::model::{Moment, Now, Timestamp};
use crate::policy::condition::Hold;
use crate::report::tally::{Counts, Kind};
use crate::store::DeliveryRecord;

pub(super) fn snapshot(actor: &mut HostActor, now: Now) -> HostSnapshot {
    let standing = actor.state.standing(now);
    let window = actor.state.header_window(now.moment);
    let number = actor.name.shard();
    let state = &actor.state;
    HostSnapshot {
        shard: number,
        arbiter: actor.shard.arbiter,
        state: standing.condition,
        until: standing.until.map(|until| now.wall_of(until)),
        reason: standing.reason.into_owned(),
        budget: BudgetSnapshot {
            limit: window.and_then(|window| window.0),
            remaining: window.map(|window| window.1),
            resets_at: window.map(|window| now.wall_of(window.2)),
            learned_rate: state.learned_rate(),
            static_rate: state.static_rate(),
        },
        in_flight: state.in_flight(),
        in_flight_limit: state.in_flight_limit(),
        queued: state.queue().len() as u64,
        waiting: actor.waiting(),
        uncommitted: actor.ledger.len() as u64,
        mailbox: actor.mailbox(),
        age_s: now.moment.since(actor.started).as_secs(),
        last_minute: tally(&actor.tally.last_minute(now.moment)),
        last_hour: tally(&actor.tally.last_hour(now.moment)),
        since_start: tally(&actor.tally.since_start()),
        controls: state.controls().clone(),
        host: actor.name.clone(),
    }
}

fn tally(counts: &Counts) -> Tally {
    Tally {
        attempts: counts.attempts,
        delivered: counts.kinds[Kind::Delivered as usize],
        refused: counts.kinds[Kind::Refused as usize],
        retried: counts.kinds[Kind::Retried as usize],
        dead: counts.kinds[Kind::Dead as usize],
        p50_ms: counts.percentile_ms(0.5),
        p99_ms: counts.percentile_ms(0.99),
    }
}

pub(super) fn explain(actor: &mut HostActor, record: &DeliveryRecord, now: Now) -> Explanation {
    let host = actor.name.clone();
    if actor.state.is_in_flight(record.id) {
        return Explanation {
            state: "in_flight",
            waits_for: None,
            reason: format!("its request to {host} is under way"),
            next_attempt_at: None,
            ahead: None,
        };
    }
    let entry = actor.state.queue().get(record.id);
    let due = entry.map_or(record.due, |entry| entry.due);
    let attempts = entry.map_or(record.attempts, |entry| entry.attempts);
    let ahead = entry.map(|entry| actor.state.queue().ahead_of(entry.key()));
    let hold = actor.state.hold(now.moment);
    let until = hold.as_ref().and_then(|hold| hold.until).map(|until| now.wall_of(until));
    if due > now.wall {
        return not_due(due, attempts, until, ahead, now);
    }
    let (waits_for, mut reason) = match &hold {
        Some(hold) => (hold.wait, words(hold, &host, now)),
        None => (WaitReason::InFlightLimit, format!("it is about to go to {host}")),
    };
    let before = match ahead {
        Some(0) => String::new(),
        Some(1) => "; 1 other delivery of the host goes first".to_owned(),
        Some(count) => format!("; {count} others of the host go first"),
        None => "; those that the host actor holds in memory go first".to_owned(),
    };
    reason.push_str(&before);
    let rate = actor.state.learned_rate().or(actor.state.static_rate());
    let queueing = rate.zip(ahead).map_or(0.0, |(rate, ahead)| ahead as f64 / rate.max(0.001));
    let queueing = Duration::try_from_secs_f64(queueing).unwrap_or_default();
    let start = match &hold {
        Some(hold) if hold.until.is_none() && hold.wait == WaitReason::Pause => None,
        _ => Some(until.unwrap_or(now.wall)),
    };
    let next_attempt_at = start.map(|start| start.plus(queueing));
    Explanation { state: "waiting", waits_for: Some(waits_for), reason, next_attempt_at, ahead }
}

fn not_due(
    due: Timestamp,
    attempts: u32,
    held_until: Option<Timestamp>,
    ahead: Option<u64>,
    now: Now,
) -> Explanation {
    let seconds = now.wall.until(due).as_secs();
    let next_attempt_at = Some(held_until.map_or(due, |until| until.max(due)));
    if attempts == 0 {
        let reason = format!("it is due in {seconds} s");
        return Explanation { state: "scheduled", waits_for: None, reason, next_attempt_at, ahead };
    }
    let reason = format!("attempt {attempts} failed; the next is due in {seconds} s");
    let waits_for = Some(WaitReason::Backoff);
    Explanation { state: "waiting", waits_for, reason, next_attempt_at, ahead }
}

fn words(hold: &Hold, host: &crate::model::HostName, now: Now) -> String {
    let left = |until: Moment| {
        let seconds = now.moment.until(until).as_secs_f64();
        if seconds < 10.0 { format!("{seconds:.1} s") } else { format!("{seconds:.0} s") }
    };
    match (hold.wait, hold.until) {
        (WaitReason::Pause, _) => format!("{host} is paused by an operator"),
        (WaitReason::Cooldown, Some(until)) => {
            format!("{host} is unhealthy ({}) and is probed in {}", hold.reason, left(until))
        }
        (_, Some(until)) => format!("{host}: {}; it may go on in {}", hold.reason, left(until)),
        (_, None) => format!("{host}: {}", hold.reason),
    }
}

impl HostActor {
    fn waiting(&self) -> u64 {
        self.shard.around.store.pending_of(self.number)
    }
}
