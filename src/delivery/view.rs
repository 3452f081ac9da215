//! What a host actor shows: its snapshot.

use crate::delivery::host::HostActor;
use crate::delivery::snapshot::{
    BudgetSnapshot, CampaignSnapshot, HealthSnapshot, HostSnapshot, LaneSnapshot, LedgerSnapshot,
    Tally, UsageSnapshot,
};
use crate::model::{Moment, Now};
use crate::policy::host_state::Standing;
use crate::report::tally::{Counts, Kind};
use crate::report::usage::Usage;

pub(super) fn snapshot(actor: &mut HostActor, now: Now) -> HostSnapshot {
    let standing = actor.state.standing(now);
    let window = actor.state.header_window(now.moment);
    let number = actor.name.shard();
    let health = health(actor, now.moment);
    let last_minute = tally(&actor.tally.last_minute(now.moment));
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
        success_ratio: last_minute.success_ratio(),
        health,
        last_minute,
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

fn health(actor: &mut HostActor, now: Moment) -> HealthSnapshot {
    let (attempts, failures) = actor.state.health_counts(now);
    let rules = actor.state.health_rules();
    HealthSnapshot {
        window_s: rules.window.as_secs(),
        failures,
        attempts,
        min_failures: rules.min_failures,
        failure_ratio: rules.failure_ratio,
    }
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

impl HostActor {
    fn waiting(&self) -> u64 {
        self.shard.around.store.pending_of(self.number)
    }
}
