//! Workspaces as lanes of a host, in simulated time: whoever shares a host gets a fair part of what
//! it takes, and is not held back by what fails for others.

mod common;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use common::{Arrival, Reply, Sim, Wanted, mins, secs, simulated};
use hostline::config::Settings;
use hostline::delivery::{Engine, HostCondition, HostSnapshot, LaneSnapshot, WaitReason};
use hostline::model::{DeliveryId, End, HostName, StoredState, WorkspacePolicy};

const HOST: &str = "shop.example";
const A: u32 = 0;
const B: u32 = 5;

fn of(workspace: u32) -> Wanted {
    Wanted { workspace, ..Wanted::default() }
}

async fn submit(sim: &Sim, workspace: u32, count: usize) -> Vec<DeliveryId> {
    let mut ids = Vec::with_capacity(count);
    for _ in 0..count {
        ids.push(sim.submit(HOST, of(workspace)).await);
    }
    ids
}

async fn snapshot(sim: &Sim) -> HostSnapshot {
    let host = HostName::from_normalised(HOST);
    sim.engine.host(host).await.expect("its actor lives")
}

async fn lane(sim: &Sim, workspace: u32) -> LaneSnapshot {
    let lanes = snapshot(sim).await.lanes.expect("it was asked for");
    lanes.into_iter().find(|lane| lane.workspace == workspace).expect("it is known")
}

fn weigh(sim: &Sim, workspace: u32, weight: u32) {
    let policy = WorkspacePolicy { weight, ..WorkspacePolicy::default() };
    sim.engine.workspaces().set(workspace, policy);
}

/// Answers by the workspace of the delivery, which the ids of B's tell.
fn rule(sim: &Sim, of_b: &[DeliveryId], a: Reply, b: Reply) {
    let of_b: HashSet<DeliveryId> = of_b.iter().copied().collect();
    sim.rule(HOST, move |arrival| if of_b.contains(&arrival.id) { b.clone() } else { a.clone() });
}

fn count(arrivals: &[Arrival], ids: &[DeliveryId]) -> usize {
    let ids: HashSet<DeliveryId> = ids.iter().copied().collect();
    arrivals.iter().filter(|arrival| ids.contains(&arrival.id)).count()
}

fn slow(rate: f64) -> Settings {
    let mut settings = Settings::default();
    settings.rules.limits.requests_per_second = Some(rate);
    settings.rules.limits.burst = Some(1);
    settings
}

#[test]
fn a_single_delivery_among_a_hundred_thousand_goes_within_its_share() {
    simulated(async {
        let sim = Sim::with(slow(10.0)).await;
        submit(&sim, A, 100_000).await;
        sim.run_for(secs(10)).await;
        let before = sim.arrivals(HOST).len();
        let single = sim.submit(HOST, of(B)).await;
        sim.run_for(secs(1)).await;
        let arrivals = sim.arrivals(HOST);
        let place = arrivals.iter().position(|arrival| arrival.id == single);
        let place = place.expect("it went") - before;
        assert!(place <= 2, "{place} went first");
    });
}

#[test]
fn two_with_a_backlog_get_what_the_host_takes_by_weight() {
    simulated(async {
        let sim = Sim::with(slow(100.0)).await;
        weigh(&sim, B, 3);
        submit(&sim, A, 5_000).await;
        let of_b = submit(&sim, B, 5_000).await;
        sim.run_for(secs(40)).await;
        let arrivals = sim.arrivals(HOST);
        let share = count(&arrivals, &of_b) as f64 / arrivals.len() as f64;
        assert!((0.74..=0.76).contains(&share), "{share} of {}", arrivals.len());
        let lane = lane(&sim, B).await;
        assert_eq!((lane.weight, lane.share), (3, 0.75));
        // A changed weight is in force soon, with nothing lost.
        weigh(&sim, B, 1);
        sim.run_for(secs(2)).await;
        let before = sim.arrivals(HOST);
        sim.run_for(secs(20)).await;
        let arrivals = sim.arrivals(HOST);
        let sent = arrivals.len() - before.len();
        let share = (count(&arrivals, &of_b) - count(&before, &of_b)) as f64 / sent as f64;
        assert!((0.49..=0.51).contains(&share), "{share} of {sent}");
    });
}

#[test]
fn what_always_answers_503_to_one_does_not_cool_the_host_for_the_other() {
    simulated(async {
        let sim = Sim::new().await;
        let mut of_b = submit(&sim, B, 100).await;
        rule(&sim, &of_b, Reply::status(503), Reply::status(200));
        let of_a = submit(&sim, A, 1_000).await;
        sim.run_for(secs(5)).await;
        for id in &of_b {
            assert_eq!(sim.state(*id).await, StoredState::Ended(End::Delivered));
        }
        let (a, b) = (lane(&sim, A).await, lane(&sim, B).await);
        assert_eq!((a.state, b.state), (HostCondition::CoolingDown, HostCondition::Healthy));
        assert!(a.until.is_some() && a.reason.contains("failed"), "{}", a.reason);
        assert_eq!(snapshot(&sim).await.state, HostCondition::Healthy);
        assert!(count(&sim.arrivals(HOST), &of_a) <= 30);
        let more = submit(&sim, B, 100).await;
        of_b.extend(&more);
        rule(&sim, &of_b, Reply::status(503), Reply::status(200));
        sim.run_for(secs(2)).await;
        for id in &more {
            assert_eq!(sim.state(*id).await, StoredState::Ended(End::Delivered));
        }
        let explained = sim.engine.explain(of_a[999]).await.expect("the store works");
        let explained = explained.expect("owed");
        assert_eq!(explained.waits_for, Some(WaitReason::Cooldown), "{explained:?}");
        assert!(explained.reason.contains("its workspace's requests"), "{}", explained.reason);
        assert!(explained.next_attempt_at.is_some());
    });
}

#[test]
fn a_host_that_is_dead_for_both_is_left_alone_by_both() {
    simulated(async {
        for reply in [Reply::Refuse, Reply::status(502)] {
            let sim = Sim::new().await;
            sim.rule(HOST, move |_| reply.clone());
            submit(&sim, A, 500).await;
            submit(&sim, B, 500).await;
            sim.run_for(secs(10)).await;
            let snapshot = snapshot(&sim).await;
            assert_eq!(snapshot.state, HostCondition::CoolingDown);
            let sent = sim.arrivals(HOST).len();
            assert!(sent <= 60, "{sent} were sent");
            sim.run_for(secs(40)).await;
            assert_eq!(sim.arrivals(HOST).len(), sent);
        }
    });
}

#[test]
fn a_newcomer_goes_while_the_other_cools_down_for_its_answers() {
    simulated(async {
        let sim = Sim::new().await;
        sim.rule(HOST, |_| Reply::status(502));
        submit(&sim, A, 200).await;
        sim.run_for(secs(5)).await;
        assert_eq!(snapshot(&sim).await.state, HostCondition::CoolingDown);
        sim.rule(HOST, |_| Reply::status(200));
        let id = sim.submit(HOST, of(B)).await;
        sim.run_for(secs(1)).await;
        assert_eq!(sim.state(id).await, StoredState::Ended(End::Delivered));
        assert_eq!(lane(&sim, A).await.state, HostCondition::CoolingDown);
        assert_eq!(snapshot(&sim).await.state, HostCondition::Healthy);
    });
}

#[test]
fn a_restart_does_not_end_the_cooldown_of_a_lane() {
    simulated(async {
        let sim = Sim::new().await;
        let of_b = submit(&sim, B, 50).await;
        rule(&sim, &of_b, Reply::status(502), Reply::status(200));
        let of_a = submit(&sim, A, 200).await;
        sim.run_for(secs(10)).await;
        assert_eq!(lane(&sim, A).await.state, HostCondition::CoolingDown);
        let sim = sim.restarted().await;
        sim.rule(HOST, |_| Reply::status(200));
        let before = count(&sim.arrivals(HOST), &of_a);
        let id = sim.submit(HOST, of(B)).await;
        sim.run_for(secs(40)).await;
        assert_eq!(sim.state(id).await, StoredState::Ended(End::Delivered));
        assert_eq!(count(&sim.arrivals(HOST), &of_a), before, "A is left alone");
        sim.run_for(mins(5)).await;
        for id in &of_a {
            assert_eq!(sim.state(*id).await, StoredState::Ended(End::Delivered));
        }
    });
}

#[test]
fn three_lanes_of_ten_thousand_go_through_a_small_window_once_each() {
    simulated(async {
        let mut settings = Settings::default();
        settings.actors.window = 100;
        let sim = Sim::with(settings).await;
        // Now and then one is tried again, and comes back behind what the window holds.
        sim.rule(HOST, |arrival| {
            let again = arrival.number == 1 && arrival.id.to_string().ends_with('7');
            Reply::status(if again { 500 } else { 200 })
        });
        let mut ids = Vec::new();
        for _ in 0..1_000 {
            for workspace in [A, B, 9] {
                ids.extend(submit(&sim, workspace, 10).await);
            }
        }
        sim.run_for(mins(10)).await;
        let mut delivered: HashMap<DeliveryId, u32> = HashMap::new();
        for arrival in sim.arrivals(HOST) {
            let again = arrival.number == 1 && arrival.id.to_string().ends_with('7');
            *delivered.entry(arrival.id).or_default() += u32::from(!again);
        }
        assert_eq!(ids.len(), 30_000);
        assert!(ids.iter().all(|id| delivered.get(id) == Some(&1)));
        assert_eq!(sim.store.pending_of_lane(9), 0);
    });
}

#[test]
fn a_lane_that_is_not_told_of_is_found_in_the_store() {
    simulated(async {
        let sim = Sim::with(slow(10.0)).await;
        submit(&sim, A, 3_000).await;
        for workspace in 1..40 {
            submit(&sim, workspace, 3).await;
        }
        let sim = sim.restarted().await;
        sim.run_for(secs(20)).await;
        for workspace in 1..40 {
            assert!(lane(&sim, workspace).await.since_start() >= 2, "{workspace}");
        }
    });
}

trait SinceStart {
    fn since_start(&self) -> u64;
}

impl SinceStart for LaneSnapshot {
    fn since_start(&self) -> u64 {
        self.used.since_start.delivered
    }
}

#[test]
fn one_that_hangs_does_not_keep_all_places_while_another_waits() {
    simulated(async {
        let mut settings = Settings::default();
        settings.rules.limits.in_flight = 4;
        let sim = Sim::with(settings).await;
        let of_b = submit(&sim, B, 200).await;
        rule(&sim, &of_b, Reply::Hang, Reply::status(200));
        submit(&sim, A, 200).await;
        sim.run_for(secs(60)).await;
        for id in &of_b {
            assert_eq!(sim.state(*id).await, StoredState::Ended(End::Delivered));
        }
    });
}

#[test]
fn the_ledger_says_who_used_what() {
    simulated(async {
        let sim = Sim::new().await;
        sim.rule(HOST, |arrival| {
            Reply::status(if arrival.id.to_string().ends_with('7') { 404 } else { 200 })
        });
        let mut failed = 0;
        for (workspace, campaign, count) in [(A, None, 10), (B, Some("spring"), 20)] {
            for _ in 0..count {
                let id = sim.submit(HOST, Wanted { campaign, ..of(workspace) }).await;
                failed += u64::from(campaign.is_some() && id.to_string().ends_with('7'));
            }
        }
        sim.run_for(secs(5)).await;
        let snapshot = snapshot(&sim).await;
        let ledger = snapshot.ledger.expect("it was asked for");
        assert_eq!(ledger.campaigns.len(), 1);
        let row = &ledger.campaigns[0];
        assert_eq!((row.workspace, row.campaign.as_str()), (B, "spring"));
        let used = row.used.last_minute;
        assert_eq!((used.attempts, used.failed), (20, failed));
        assert_eq!(used.delivered, 20 - failed);
        assert_eq!(lane(&sim, A).await.used.last_hour.attempts, 10);
        assert!(
            sim.engine.hosts().iter().all(|host| host.lanes.is_none() && host.ledger.is_none())
        );
    });
}

#[test]
fn a_workspace_that_waits_behind_others_is_told_so() {
    simulated(async {
        let sim = Sim::with(slow(1.0)).await;
        submit(&sim, A, 50).await;
        let of_b = submit(&sim, B, 50).await;
        sim.run_for(Duration::from_millis(1_500)).await;
        let explained = sim.engine.explain(of_b[40]).await.expect("the store works");
        let explained = explained.expect("owed");
        assert!(explained.reason.contains("turns with 1 other workspace"), "{explained:?}");
        assert!(explained.ahead.is_some_and(|ahead| ahead <= 40), "within its lane: {explained:?}");
    });
}
