//! What a host actor shows: its snapshot, and why a delivery of its is where it is.

use std::time::Duration;

use crate::delivery::engine::{Explanation, WaitReason};
use crate::delivery::host::HostActor;
use crate::delivery::snapshot::{
    BudgetSnapshot, CampaignSnapshot, HostSnapshot, LaneSnapshot, LedgerSnapshot, Tally,
    UsageSnapshot,
};
use crate::model::{HostName, Moment, Now, Timestamp};
use crate::policy::condition::Hold;
use crate::policy::host_state::Standing;
use crate::report::tally::{Counts, Kind};
use crate::report::usage::Usage;
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
        first_due: state.queue().first_due(),
        taken: now.wall,
        waiting: actor.waiting(),
        uncommitted: actor.ledger.len() as u64,
        mailbox: actor.mailbox(),
        age_s: now.moment.since(actor.started).as_secs(),
        last_minute: tally(&actor.tally.last_minute(now.moment)),
        last_hour: tally(&actor.tally.last_hour(now.moment)),
        since_start: tally(&actor.tally.since_start()),
        controls: state.controls().clone(),
        host: actor.name.clone(),
        lanes: None,
        ledger: None,
    }
}

/// The snapshot with what only those want who look at one host.
pub(super) fn inspect(actor: &mut HostActor, now: Now) -> HostSnapshot {
    let mut lanes = actor.state.lane_numbers();
    lanes.extend(actor.usage.lanes());
    lanes.sort_unstable();
    lanes.dedup();
    let lanes = lanes.into_iter().map(|number| lane(actor, number, now)).collect();
    let campaigns = actor.usage.campaigns(now.moment).into_iter();
    let campaigns = campaigns.map(|((workspace, campaign), usage)| CampaignSnapshot {
        workspace: *workspace,
        campaign: campaign.to_string(),
        used: used(usage, now),
    });
    let ledger = LedgerSnapshot {
        campaigns: campaigns.collect(),
        other: Some(used(actor.usage.other_campaigns(), now)),
    };
    HostSnapshot { lanes: Some(lanes), ledger: Some(ledger), ..snapshot(actor, now) }
}

fn lane(actor: &mut HostActor, number: u32, now: Now) -> LaneSnapshot {
    let Standing { condition, until, reason } = actor.state.lane_standing(number, now.moment);
    let queue = actor.state.queue();
    let held = queue.lane(number);
    LaneSnapshot {
        workspace: number,
        weight: queue.weight(number),
        share: queue.part(number),
        queued: held.map_or(0, |held| held.len() as u64),
        has_more: held.is_some_and(|held| held.has_more()),
        in_flight: queue.in_flight(number),
        state: condition,
        until: until.map(|until| now.wall_of(until)),
        reason: reason.into_owned(),
        used: used(&actor.usage.of_lane(number), now),
    }
}

fn used(usage: &Usage, now: Now) -> UsageSnapshot {
    UsageSnapshot {
        last_minute: usage.last_minute(now.moment),
        last_hour: usage.last_hour(now.moment),
        since_start: usage.since_start(),
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
    let lane = record.workspace;
    let ahead = entry.map(|entry| actor.state.queue().ahead_of((entry.lane, entry.key())));
    let mut hold = actor.state.hold(now.moment);
    let of_host = hold.is_some();
    if !of_host {
        hold = actor.state.lane_hold(lane, now.moment);
    }
    let until = hold.as_ref().and_then(|hold| hold.until).map(|until| now.wall_of(until));
    if due > now.wall {
        return not_due(due, attempts, until, ahead, now);
    }
    let (waits_for, mut reason) = match &hold {
        Some(hold) if of_host => (hold.wait, words(hold, &host, now)),
        Some(hold) => (hold.wait, lane_words(hold, &host, now)),
        None => (WaitReason::InFlightLimit, format!("it is about to go to {host}")),
    };
    let others = actor.state.queue().waiting().filter(|other| *other != lane).count();
    let whose = if others > 0 { "workspace" } else { "host" };
    let before = match ahead {
        Some(0) => String::new(),
        Some(1) => format!("; 1 other delivery of the {whose} goes first"),
        Some(count) => format!("; {count} others of the {whose} go first"),
        None => "; those that the host actor holds in memory go first".to_owned(),
    };
    reason.push_str(&before);
    match others {
        0 => {}
        1 => reason.push_str("; it takes turns with 1 other workspace"),
        _ => reason.push_str(&format!("; it takes turns with {others} other workspaces")),
    }
    let rate = actor.state.learned_rate().or(actor.state.static_rate());
    let part = actor.state.queue().part(lane);
    let rate = rate.map(|rate| (rate * part).max(0.001));
    let queueing = rate.zip(ahead).map_or(0.0, |(rate, ahead)| ahead as f64 / rate);
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

fn words(hold: &Hold, host: &HostName, now: Now) -> String {
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

fn lane_words(hold: &Hold, host: &HostName, now: Now) -> String {
    match hold.until {
        Some(until) if hold.wait == WaitReason::Cooldown => {
            let left = now.moment.until(until).as_secs_f64();
            let reason = &hold.reason;
            format!("its workspace's requests to {host} fail ({reason}); probed in {left:.1} s")
        }
        _ => words(hold, host, now),
    }
}

impl HostActor {
    fn waiting(&self) -> u64 {
        self.shard.around.store.pending_of(self.number)
    }
}
