//! The engine in simulated time: retries, cooldown, order, time, windows, actors' lives.

mod common;

use std::collections::HashSet;
use std::time::Duration;

use common::{Reply, Sim, Wanted, mins, secs, simulated};
use hostline::config::Settings;
use hostline::delivery::{Cancelled, Engine, HostCondition, WaitReason, What};
use hostline::model::{DeliveryId, End, HostControls, HostName, StoredState};

const ENDED: fn(End) -> StoredState = StoredState::Ended;

fn host(name: &str) -> HostName {
    HostName::from_normalised(name)
}

#[test]
fn a_delivery_goes_out_at_once_and_is_recorded() {
    simulated(async {
        let sim = Sim::new().await;
        let id = sim.submit("shop.example", Wanted::default()).await;
        sim.run_for(secs(1)).await;
        assert_eq!(sim.state(id).await, ENDED(End::Delivered));
        assert_eq!(sim.arrivals("shop.example").len(), 1);
        let attempts = sim.store.attempts(id).await.expect("the store works");
        assert_eq!(attempts.len(), 1);
        assert_eq!(attempts[0].status(), Some(200));
    });
}

#[test]
fn retries_follow_the_schedule_with_jitter_until_exhausted() {
    simulated(async {
        let sim = Sim::new().await;
        sim.rule("shop.example", |_| Reply::status(500));
        let id = sim.submit("shop.example", Wanted::default()).await;
        sim.run_for(mins(60)).await;
        let arrivals = sim.arrivals("shop.example");
        assert_eq!(arrivals.len(), 6);
        for (retry, pair) in arrivals.windows(2).enumerate() {
            let gap = (pair[1].at - pair[0].at).as_secs_f64() / 60.0;
            let scheduled = f64::from(1 << retry);
            assert!((scheduled * 0.49..=scheduled * 1.51).contains(&gap), "{retry}: {gap} min");
        }
        assert_eq!(sim.state(id).await, ENDED(End::Exhausted));
        let numbers: Vec<u32> = arrivals.iter().map(|arrival| arrival.number).collect();
        assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    });
}

#[test]
fn a_redrive_starts_afresh_and_attempt_numbers_go_on() {
    simulated(async {
        let sim = Sim::new().await;
        sim.script("shop.example", [Reply::status(404)]);
        let id = sim.submit("shop.example", Wanted::default()).await;
        sim.run_for(secs(1)).await;
        assert_eq!(sim.state(id).await, ENDED(End::Failed));
        assert_eq!(sim.engine.redrive(vec![id]).await, Ok(vec![id]));
        sim.run_for(secs(1)).await;
        assert_eq!(sim.state(id).await, ENDED(End::Delivered));
        assert_eq!(sim.arrivals("shop.example")[1].number, 2);
    });
}

#[test]
fn a_dead_host_with_a_deep_queue_does_not_hold_up_another() {
    simulated(async {
        let sim = Sim::new().await;
        sim.rule("dead.example", |_| Reply::Hang);
        sim.submit_many("dead.example", 50_000).await;
        sim.run_for(secs(200)).await;
        let snapshot = sim.engine.host(host("dead.example")).await.expect("live");
        assert!(snapshot.queued <= 1000, "{} in memory", snapshot.queued);
        assert!(snapshot.waiting >= 49_900, "{} in the store", snapshot.waiting);
        let before = sim.clock.wall();
        let ids = sim.submit_many("good.example", 100).await;
        while sim.arrivals("good.example").len() < 100 {
            sim.run_for(Duration::from_millis(1)).await;
        }
        assert!(before.until(sim.clock.wall()) < Duration::from_millis(200));
        sim.run_for(secs(1)).await;
        for id in ids {
            assert_eq!(sim.state(id).await, ENDED(End::Delivered));
        }
    });
}

#[test]
fn a_black_hole_is_left_alone_and_probed() {
    simulated(async {
        let sim = Sim::new().await;
        sim.rule("hole.example", |_| Reply::Hang);
        sim.submit_many("hole.example", 500).await;
        sim.run_for(secs(92)).await;
        let snapshot = sim.engine.host(host("hole.example")).await.expect("live");
        assert_eq!(snapshot.state, HostCondition::CoolingDown);
        let before = sim.arrivals("hole.example").len();
        sim.run_for(secs(57)).await;
        assert_eq!(sim.arrivals("hole.example").len(), before);
        sim.run_for(secs(10)).await;
        assert_eq!(sim.arrivals("hole.example").len(), before + 3, "probes");
    });
}

#[test]
fn a_host_recovers_after_its_cooldown_and_everything_is_delivered_once() {
    simulated(async {
        let sim = Sim::new().await;
        sim.rule("shop.example", |arrival| {
            if arrival.at < secs(100) { Reply::Refuse } else { Reply::status(200) }
        });
        let ids = sim.submit_many("shop.example", 2_000).await;
        sim.run_for(mins(30)).await;
        for id in &ids {
            assert_eq!(sim.state(*id).await, ENDED(End::Delivered));
        }
        let down = sim.arrivals("shop.example").iter().filter(|one| one.at < secs(100)).count();
        assert!(down < 60, "{down} sends while it was down");
    });
}

#[test]
fn a_cooldown_survives_a_restart() {
    simulated(async {
        let sim = Sim::new().await;
        sim.rule("shop.example", |_| Reply::Refuse);
        sim.submit_many("shop.example", 100).await;
        sim.run_for(secs(5)).await;
        let before = sim.arrivals("shop.example").len();
        assert!((20..40).contains(&before), "{before}");
        let sim = sim.restarted().await;
        sim.run_for(secs(50)).await;
        assert_eq!(sim.arrivals("shop.example").len(), before, "no burst after the restart");
        sim.run_for(secs(8)).await;
        assert_eq!(sim.arrivals("shop.example").len(), before + 3, "probes after it");
    });
}

#[test]
fn a_429_defers_the_host_and_uses_no_retry() {
    simulated(async {
        let sim = Sim::new().await;
        let wait = vec![("retry-after", "30".to_owned())];
        sim.script("shop.example", (0..10).map(|_| Reply::Status(429, wait.clone())));
        let id = sim.submit("shop.example", Wanted::default()).await;
        sim.run_for(secs(1)).await;
        let explained = sim.engine.explain(id).await.expect("the store works").expect("owed");
        assert_eq!(explained.waits_for, Some(WaitReason::Budget));
        assert!(explained.reason.contains("Retry-After"), "{}", explained.reason);
        sim.run_for(secs(302)).await;
        let arrivals = sim.arrivals("shop.example");
        assert_eq!(arrivals.len(), 11);
        assert!(arrivals.windows(2).all(|pair| pair[1].at - pair[0].at >= secs(30)));
        let record = sim.record(id).await;
        assert_eq!((record.state, record.retries), (ENDED(End::Delivered), 0));
    });
}

#[test]
fn an_ordering_key_goes_one_after_the_other_and_holds_up_no_one_else() {
    simulated(async {
        let sim = Sim::new().await;
        sim.script("shop.example", [Reply::status(500)]);
        let keyed = |key| Wanted { key: Some(key), ..Wanted::default() };
        let mut ids = Vec::new();
        for _ in 0..5 {
            ids.push(sim.submit("shop.example", keyed("a")).await);
        }
        let other = sim.submit("shop.example", keyed("b")).await;
        let plain = sim.submit("shop.example", Wanted::default()).await;
        sim.run_for(secs(5)).await;
        assert_eq!(sim.state(other).await, ENDED(End::Delivered));
        assert_eq!(sim.state(plain).await, ENDED(End::Delivered));
        assert_eq!(sim.state(ids[1]).await, StoredState::Parked);
        let explained = sim.engine.explain(ids[3]).await.expect("the store works").expect("owed");
        assert_eq!(explained.waits_for, Some(WaitReason::Order));
        assert!(explained.reason.contains(&ids[0].to_string()), "{}", explained.reason);
        let order = &explained.blocked_by[0];
        assert_eq!((order.what, order.delivery), (What::Order, Some(ids[0])));
        assert!(order.text.contains("which in turn waits: attempt 1 failed"), "{}", order.text);
        assert!(explained.expectation.contains("after that one"), "{}", explained.expectation);
        sim.run_for(mins(2)).await;
        let order: Vec<DeliveryId> = sim
            .arrivals("shop.example")
            .iter()
            .map(|arrival| arrival.id)
            .filter(|id| ids.contains(id))
            .collect();
        assert_eq!(order, [&[ids[0]], &ids[..]].concat());
    });
}

#[test]
fn a_blocking_failure_holds_its_key_until_it_is_skipped() {
    simulated(async {
        let sim = Sim::new().await;
        sim.script("shop.example", [Reply::status(404)]);
        let keyed = || Wanted { key: Some("a"), block: true, ..Wanted::default() };
        let first = sim.submit("shop.example", keyed()).await;
        let second = sim.submit("shop.example", keyed()).await;
        sim.run_for(mins(10)).await;
        assert_eq!(sim.state(first).await, ENDED(End::Failed));
        assert_eq!(sim.state(second).await, StoredState::Parked);
        let behind = sim.engine.explain(second).await.expect("the store works").expect("owed");
        assert!(behind.reason.contains("which failed: redrive, cancel or skip"), "{behind:?}");
        assert_eq!(sim.engine.skip(first).await, Ok(true));
        sim.run_for(secs(2)).await;
        assert_eq!(sim.state(second).await, ENDED(End::Delivered));
        assert_eq!(sim.state(first).await, ENDED(End::Failed));
    });
}

#[test]
fn a_delayed_delivery_goes_when_due_though_its_actor_slept() {
    simulated(async {
        let sim = Sim::new().await;
        let wanted = Wanted { delay: mins(60), ..Wanted::default() };
        let id = sim.submit("shop.example", wanted).await;
        sim.run_for(mins(5)).await;
        assert!(sim.engine.host(host("shop.example")).await.is_none(), "asleep");
        let explained = sim.engine.explain(id).await.expect("the store works").expect("owed");
        assert_eq!(explained.state, "scheduled");
        sim.run_for(mins(56)).await;
        let arrivals = sim.arrivals("shop.example");
        assert_eq!(arrivals.len(), 1);
        assert!(arrivals[0].at >= mins(60) && arrivals[0].at < mins(60) + secs(1));
    });
}

#[test]
fn a_delivery_expires_on_time_wherever_it_waits() {
    simulated(async {
        let sim = Sim::new().await;
        sim.rule("dead.example", |_| Reply::Refuse);
        sim.submit_many("dead.example", 5_000).await;
        let wanted = Wanted { ttl: Some(secs(120)), ..Wanted::default() };
        let deep = sim.submit("dead.example", wanted).await;
        sim.run_for(secs(110)).await;
        assert_eq!(sim.state(deep).await, StoredState::Pending);
        sim.run_for(secs(13)).await;
        assert_eq!(sim.state(deep).await, ENDED(End::Expired));
    });
}

#[test]
fn a_host_actor_that_panics_is_started_again_with_nothing_lost() {
    simulated(async {
        let sim = Sim::new().await;
        sim.break_actors(3);
        let ids = sim.submit_many("shop.example", 50).await;
        sim.run_for(secs(10)).await;
        for id in ids {
            assert_eq!(sim.state(id).await, ENDED(End::Delivered));
        }
        let stats = &sim.engine.arbiters()[0];
        assert_eq!((stats.hosts_restarted, stats.hosts_alive, stats.in_flight), (3, 1, 0));
    });
}

#[test]
fn a_sender_that_panics_costs_one_attempt() {
    simulated(async {
        let sim = Sim::new().await;
        sim.script("shop.example", [Reply::Panic]);
        let ids = sim.submit_many("shop.example", 50).await;
        sim.run_for(mins(2)).await;
        for id in ids {
            assert_eq!(sim.state(id).await, ENDED(End::Delivered));
        }
        assert_eq!(sim.arrivals("shop.example").len(), 51);
    });
}

#[test]
fn idle_actors_stop_and_come_back() {
    simulated(async {
        let sim = Sim::new().await;
        sim.submit("shop.example", Wanted::default()).await;
        sim.run_for(secs(30)).await;
        assert_eq!(sim.engine.arbiters()[0].hosts_alive, 1);
        sim.run_for(secs(60)).await;
        assert_eq!(sim.engine.arbiters()[0].hosts_alive, 0);
        assert!(sim.engine.hosts().is_empty());
        let id = sim.submit("shop.example", Wanted::default()).await;
        sim.run_for(secs(1)).await;
        assert_eq!(sim.state(id).await, ENDED(End::Delivered));
    });
}

#[test]
fn more_hosts_than_may_live_take_turns() {
    simulated(async {
        let mut settings = Settings::default();
        settings.actors.max_live = 10;
        let sim = Sim::with(settings).await;
        let mut ids = Vec::new();
        for number in 0..200 {
            ids.push(sim.submit(&format!("h{number}.example"), Wanted::default()).await);
            assert!(sim.engine.arbiters()[0].hosts_alive <= 10);
        }
        sim.run_for(secs(30)).await;
        for id in ids {
            assert_eq!(sim.state(id).await, ENDED(End::Delivered));
        }
    });
}

#[test]
fn a_small_window_over_a_deep_queue_delivers_each_once() {
    simulated(async {
        let mut settings = Settings::default();
        settings.actors.window = 7;
        let sim = Sim::with(settings).await;
        let ids = sim.submit_many("shop.example", 1_000).await;
        sim.run_for(secs(60)).await;
        let arrived: Vec<DeliveryId> =
            sim.arrivals("shop.example").iter().map(|arrival| arrival.id).collect();
        assert_eq!(arrived.len(), 1_000);
        let unique: HashSet<DeliveryId> = arrived.into_iter().collect();
        assert_eq!(unique, ids.into_iter().collect());
    });
}

#[test]
fn retries_that_fall_behind_a_small_window_are_not_forgotten() {
    simulated(async {
        let mut settings = Settings::default();
        settings.actors.window = 7;
        let sim = Sim::with(settings).await;
        sim.rule("shop.example", |arrival| {
            Reply::status(if arrival.number == 1 { 500 } else { 200 })
        });
        let ids = sim.submit_many("shop.example", 300).await;
        sim.run_for(secs(95)).await;
        for id in ids {
            assert_eq!(sim.state(id).await, ENDED(End::Delivered));
        }
        assert_eq!(sim.arrivals("shop.example").len(), 600);
    });
}

#[test]
fn little_memory_for_webhooks_slows_nothing_down_but_reading() {
    simulated(async {
        let mut settings = Settings::default();
        settings.actors.memory = 1_000;
        let sim = Sim::with(settings).await;
        sim.submit_many("shop.example", 500).await;
        sim.run_for(secs(30)).await;
        assert_eq!(sim.arrivals("shop.example").len(), 500);
    });
}

#[test]
fn cancelling_works_until_the_request_is_being_sent() {
    simulated(async {
        let sim = Sim::new().await;
        sim.rule("shop.example", |_| Reply::Hang);
        let sending = sim.submit("shop.example", Wanted::default()).await;
        let wanted = Wanted { delay: mins(5), ..Wanted::default() };
        let waiting = sim.submit("shop.example", wanted).await;
        sim.run_for(secs(1)).await;
        assert_eq!(sim.engine.in_flight(10).await, [sending]);
        assert_eq!(sim.engine.cancel(sending).await, Ok(Cancelled::InFlight));
        assert_eq!(sim.engine.cancel(waiting).await, Ok(Cancelled::Done));
        assert_eq!(sim.state(waiting).await, ENDED(End::Cancelled));
        assert_eq!(sim.engine.cancel(waiting).await, Ok(Cancelled::Ended));
        sim.run_for(mins(10)).await;
        assert!(sim.arrivals("shop.example").iter().all(|arrival| arrival.id == sending));
    });
}

#[test]
fn pause_holds_resume_lets_go_and_purge_empties() {
    simulated(async {
        let sim = Sim::new().await;
        let shop = host("shop.example");
        let paused = HostControls { paused: true, ..HostControls::default() };
        sim.engine.control(shop.clone(), paused).await.expect("kept");
        let ids = sim.submit_many("shop.example", 2_500).await;
        sim.run_for(mins(5)).await;
        assert!(sim.arrivals("shop.example").is_empty());
        let explained = sim.engine.explain(ids[7]).await.expect("the store works").expect("owed");
        assert_eq!(explained.waits_for, Some(WaitReason::Pause));
        assert_eq!(explained.next_attempt_at, None);
        assert!(explained.expectation.contains("an operator has to resume"), "{explained:?}");
        let found: Vec<What> = explained.blocked_by.iter().map(|one| one.what).collect();
        assert_eq!(found, [What::Pause, What::Queue]);
        // Too deep for the window, whose place the store knows.
        let deep = sim.engine.explain(ids[2_400]).await.expect("the store works").expect("owed");
        assert_eq!((deep.ahead, deep.blocked_by[1].ahead), (Some(2_400), Some(2_400)));
        assert_eq!(sim.engine.purge(shop.clone(), None).await, Ok(2_500));
        assert_eq!(sim.state(ids[2_499]).await, ENDED(End::Cancelled));
        sim.engine.control(shop, HostControls::default()).await.expect("kept");
        let id = sim.submit("shop.example", Wanted::default()).await;
        sim.run_for(secs(1)).await;
        assert_eq!(sim.state(id).await, ENDED(End::Delivered));
    });
}

#[test]
fn a_stop_lets_what_is_in_flight_finish_and_starts_nothing() {
    simulated(async {
        let mut settings = Settings::default();
        settings.rules.limits.in_flight = 2;
        let sim = Sim::with(settings).await;
        sim.rule("shop.example", |_| Reply::Hang);
        sim.submit_many("shop.example", 10).await;
        sim.run_for(secs(10)).await;
        assert_eq!(sim.engine.quiesce(secs(200)).await, 0);
        assert_eq!(sim.arrivals("shop.example").len(), 2);
        sim.run_for(mins(20)).await;
        assert_eq!(sim.arrivals("shop.example").len(), 2);
    });
}

#[test]
fn what_comes_of_deliveries_is_told_once_it_is_durable() {
    simulated(async {
        let sim = Sim::new().await;
        let unheard = sim.submit("shop.example", Wanted::default()).await;
        sim.run_for(secs(1)).await;
        assert_eq!(sim.state(unheard).await, ENDED(End::Delivered));
        let mut listener = sim.engine.feed().listen();
        sim.script("shop.example", [Reply::status(503), Reply::status(200)]);
        let id = sim.submit("shop.example", Wanted::default()).await;
        let mut told = Vec::new();
        while told.len() < 2 {
            sim.run_for(secs(1)).await;
            for notice in listener.take(10, |_| true).0 {
                let record = sim.record(id).await;
                assert!(record.attempts >= notice.attempt.unwrap_or(0), "it is not durable yet");
                told.push(notice);
            }
        }
        let facts = |at: usize| (told[at].id, told[at].state, told[at].status, told[at].attempt);
        assert_eq!(facts(0), (id, "retried", Some(503), Some(1)));
        assert_eq!(facts(1), (id, "delivered", Some(200), Some(2)));
        assert_eq!((told[0].workspace, told[0].host.as_str()), (Some(0), "shop.example"));
        let paused = HostControls { paused: true, ..HostControls::default() };
        sim.engine.control(host("shop.example"), paused).await.expect("paused");
        let id = sim.submit("shop.example", Wanted::default()).await;
        assert_eq!(sim.engine.cancel(id).await.expect("asked"), Cancelled::Done);
        sim.run_for(secs(1)).await;
        let (told, missed) = listener.take(10, |_| true);
        assert_eq!((told[0].id, told[0].state, told[0].attempt), (id, "cancelled", None));
        assert_eq!((told.len(), missed), (1, 0));
    });
}

#[test]
fn totals_follow_the_hosts_without_looking_at_each() {
    simulated(async {
        let sim = Sim::new().await;
        let of = |condition: HostCondition| sim.engine.arbiters()[0].conditions[condition as usize];
        sim.rule("dead.example", |_| Reply::status(502));
        sim.submit_many("dead.example", 200).await;
        sim.submit_many("shop.example", 20).await;
        sim.run_for(secs(10)).await;
        let stats = &sim.engine.arbiters()[0];
        assert_eq!((of(HostCondition::Healthy), of(HostCondition::CoolingDown)), (1, 1));
        assert_eq!(stats.deferred, 200, "they wait for a host that may not be called");
        let points = sim.engine.series(host("dead.example")).await.expect("it lives");
        let attempts: u64 = points.iter().map(|point| point.attempts).sum();
        assert_eq!(attempts, sim.arrivals("dead.example").len() as u64);
        assert!(points.iter().all(|point| point.failed == point.attempts), "{points:?}");
        let shown = sim.engine.host(host("dead.example")).await.expect("it lives");
        assert_eq!(shown.success_ratio, Some(0.0));
        assert!(shown.health.failures >= shown.health.min_failures, "{:?}", shown.health);
        let purged = sim.engine.purge(host("dead.example"), None).await;
        assert!(purged.is_ok_and(|purged| purged > 0));
        sim.run_for(mins(5)).await;
        let stats = &sim.engine.arbiters()[0];
        assert_eq!((stats.conditions, stats.deferred, stats.hosts_alive), ([0; 6], 0, 0));
        assert!(sim.engine.series(host("dead.example")).await.is_none());
    });
}
