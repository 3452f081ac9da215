//! One host in simulated time: outcomes are scripted, or come from a model of a limiter.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::model::{
    Answer, End, Header, HostNumber, Method, Outcome, Priority, Target, Timestamp, Verdict, Webhook,
};
use crate::policy::condition::HostCondition;

mod lanes;
mod limiters;

/// Somewhere within a second of 2027, so that an epoch is one and is rounded.
const START: i64 = 1_800_000_000_300;

fn at(millis: u64) -> Now {
    let passed = Duration::from_millis(millis);
    Now { moment: Moment::ORIGIN + passed, wall: Timestamp::from_millis(START).plus(passed) }
}

fn entry(seq: u64) -> Pending {
    let target = Target::from_vetted("http://shop.example/").expect("vetted");
    let webhook = Webhook {
        method: Method::Post,
        target,
        headers: Vec::new(),
        body: Bytes::new(),
        secret_refs: Vec::new(),
    };
    Pending {
        id: DeliveryId::new(Timestamp::from_millis(1), HostNumber(7), seq),
        seq,
        lane: 0,
        due: at(0).wall,
        expires: at(72 * 3_600_000).wall,
        priority: Priority::Normal,
        attempts: 0,
        retries: 0,
        ordered: false,
        size: 100,
        campaign: None,
        webhook: Some(Arc::new(webhook)),
    }
}

fn answer(status: u16, headers: &[(&str, &str)]) -> Outcome {
    let header = |(name, value): &(&str, &str)| Header {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let headers = headers.iter().map(header).collect();
    Outcome::Answered(Answer { status, headers, body: Bytes::new(), body_truncated: false })
}

fn host(count: u64) -> HostState {
    let rules = HostRules::default();
    let mut state = HostState::new(rules, HostControls::default(), 1_000_000, Moment::ORIGIN);
    for seq in 0..count {
        state.queue_mut().offer(entry(seq));
    }
    state
}

fn sent(state: &mut HostState, now: Now) -> Vec<DeliveryId> {
    let mut ids = Vec::new();
    while let Step::Send(entry) = state.next(now) {
        ids.push(entry.id);
    }
    ids
}

fn settle(state: &mut HostState, id: DeliveryId, outcome: &Outcome, now: Now) -> Verdict {
    state.settle(id, outcome, now, 0.5).expect("in flight").verdict
}

#[test]
fn a_success_is_delivered_and_a_permanent_answer_failed() {
    for (status, end) in [(204, End::Delivered), (302, End::Failed), (404, End::Failed)] {
        let mut state = host(1);
        let id = sent(&mut state, at(0))[0];
        assert_eq!(settle(&mut state, id, &answer(status, &[]), at(1)), Verdict::End(end));
        assert!(state.is_idle());
    }
}

#[test]
fn five_retries_after_the_first_attempt_then_exhausted() {
    let mut state = host(1);
    let mut millis = 0;
    for minutes in [1, 2, 4, 8, 16] {
        let id = sent(&mut state, at(millis))[0];
        let due = at(millis).wall.plus(Duration::from_secs(minutes * 60));
        let verdict = settle(&mut state, id, &answer(500, &[]), at(millis));
        assert!(matches!(verdict, Verdict::Again { due: when, .. } if when == due), "{verdict:?}");
        assert!(sent(&mut state, at(millis + minutes * 60_000 - 1)).is_empty());
        millis += minutes * 60_000;
    }
    let id = sent(&mut state, at(millis))[0];
    let verdict = settle(&mut state, id, &answer(500, &[]), at(millis));
    assert_eq!(verdict, Verdict::End(End::Exhausted));
}

#[test]
fn a_retry_never_comes_before_the_answers_retry_after() {
    let mut state = host(1);
    let id = sent(&mut state, at(0))[0];
    let verdict = settle(&mut state, id, &answer(500, &[("retry-after", "600")]), at(0));
    let due = at(600_000).wall;
    assert_eq!(verdict, Verdict::Again { due, retries: 1 });
}

#[test]
fn a_429_holds_the_whole_host_and_uses_no_retry() {
    let mut state = host(10);
    let ids = sent(&mut state, at(0));
    let verdict = settle(&mut state, ids[0], &answer(429, &[("retry-after", "12")]), at(5));
    assert_eq!(verdict, Verdict::Again { due: at(0).wall, retries: 0 });
    for id in &ids[1..] {
        settle(&mut state, *id, &answer(200, &[]), at(6));
    }
    assert!(sent(&mut state, at(12_004)).is_empty());
    let standing = state.standing(at(100));
    assert_eq!(standing.condition, HostCondition::Limited);
    assert_eq!(standing.until, Some(at(12_005).moment));
    assert_eq!(sent(&mut state, at(12_005)).first(), Some(&ids[0]), "it kept its place");
}

#[test]
fn twenty_failures_defer_everything_for_a_cooldown_then_three_probes() {
    let mut state = host(200);
    let refused = Outcome::NoAnswer { reason: "refused".into(), timed_out: false };
    let mut failures = 0;
    let mut millis = 0;
    while failures < 20 {
        millis += 1;
        for id in sent(&mut state, at(millis)) {
            settle(&mut state, id, &refused, at(millis));
            failures += 1;
        }
    }
    assert!(sent(&mut state, at(millis + 59_990)).is_empty());
    let standing = state.standing(at(millis + 1));
    assert_eq!(standing.condition, HostCondition::CoolingDown);
    let probes = sent(&mut state, at(millis + 60_001));
    assert_eq!(probes.len(), 3);
    for id in &probes[..2] {
        settle(&mut state, *id, &answer(200, &[]), at(millis + 60_010));
    }
    let first = sent(&mut state, at(millis + 60_020)).len();
    assert!((1..=4).contains(&first), "a ramp and not a stampede: {first}");
    assert_eq!(state.standing(at(millis + 60_020)).condition, HostCondition::Healthy);
}

#[test]
fn failing_probes_cool_it_down_again() {
    let mut state = host(50);
    state.vitals.gate = Gate::cool("test".into(), Duration::from_secs(60), Moment::ORIGIN);
    let probes = sent(&mut state, at(60_000));
    assert_eq!(probes.len(), 3);
    for id in &probes {
        settle(&mut state, *id, &answer(502, &[]), at(60_010));
    }
    assert_eq!(state.standing(at(60_011)).condition, HostCondition::CoolingDown);
    assert!(sent(&mut state, at(119_000)).is_empty());
}

#[test]
fn a_429_says_nothing_against_the_hosts_health() {
    let mut state = host(200);
    for round in 0..40_u64 {
        let now = at(round * 61_000);
        let ids = sent(&mut state, now);
        assert!(!ids.is_empty(), "round {round}");
        for id in ids {
            settle(&mut state, id, &answer(429, &[("retry-after", "60")]), now);
        }
    }
    assert_ne!(state.standing(at(40 * 61_000)).condition, HostCondition::CoolingDown);
}

#[test]
fn a_paused_host_sends_nothing_until_it_is_resumed() {
    let mut state = host(3);
    let paused = HostControls { paused: true, ..HostControls::default() };
    state.control(paused, at(0).moment);
    assert!(sent(&mut state, at(0)).is_empty());
    assert_eq!(state.standing(at(0)).condition, HostCondition::Paused);
    state.control(HostControls::default(), at(1).moment);
    assert_eq!(sent(&mut state, at(1)).len(), 3);
}

#[test]
fn a_restart_does_not_end_a_cooldown_and_a_clock_set_back_does_not_stretch_it() {
    let mut state = host(50);
    state.vitals.gate = Gate::cool("test".into(), Duration::from_secs(60), Moment::ORIGIN);
    let saved = crate::policy::saved::Saved::parse(&state.save(at(10_000)).to_json());
    let saved = saved.expect("reads what it wrote");
    let mut restored = host(50);
    restored.restore(&saved, at(30_000));
    assert!(sent(&mut restored, at(59_000)).is_empty());
    assert_eq!(sent(&mut restored, at(60_001)).len(), 3);
    let mut set_back = host(50);
    set_back.restore(&saved, Now { moment: Moment::ORIGIN, wall: Timestamp::from_millis(0) });
    assert_eq!(sent(&mut set_back, at(50_001)).len(), 3);
}

#[test]
fn an_expired_delivery_is_ended_even_while_the_host_waits() {
    let mut state = host(0);
    state.queue_mut().offer(Pending { expires: at(1_000).wall, ..entry(1) });
    let paused = HostControls { paused: true, ..HostControls::default() };
    state.control(paused, at(0).moment);
    assert!(matches!(state.next(at(999)), Step::WaitUntil(when) if when == at(1_000).moment));
    assert!(matches!(state.next(at(1_000)), Step::Expire(_)));
}

#[test]
fn a_black_hole_needs_as_many_timeouts_as_might_be_in_flight_and_not_half_of_them() {
    let mut rules = HostRules::default();
    // Out of the way: only the rule for black holes is looked at here.
    rules.health.min_failures = 1_000;
    let controls = HostControls::default();
    let mut state = HostState::new(rules, controls, 1_000_000, Moment::ORIGIN);
    for seq in 0..5_000 {
        state.queue_mut().offer(entry(seq));
    }
    let mut millis = 0;
    while state.in_flight_limit() < 64 {
        millis += 1;
        for id in sent(&mut state, at(millis)) {
            settle(&mut state, id, &answer(200, &[]), at(millis + 1));
        }
    }
    let out = sent(&mut state, at(millis + 1));
    assert_eq!(out.len(), 64);
    let timed_out = Outcome::NoAnswer { reason: "timed out".into(), timed_out: true };
    for id in &out[..63] {
        settle(&mut state, *id, &timed_out, at(millis + 90_000));
    }
    assert_eq!(state.vitals.gate, Gate::Open);
    settle(&mut state, out[63], &timed_out, at(millis + 90_000));
    assert_ne!(state.vitals.gate, Gate::Open);
}

#[test]
fn answers_that_are_neither_success_nor_failure_count_as_attempts() {
    // 404 is permanent and 500 is tried again; both show a host that works.
    for status in [404, 500] {
        let mut state = host(60);
        let refused = Outcome::NoAnswer { reason: "refused".into(), timed_out: false };
        let mut count = 0;
        for millis in 1..10_000 {
            for id in sent(&mut state, at(millis)) {
                count += 1;
                let is_failure = count % 5 < 2;
                let outcome = if is_failure { refused.clone() } else { answer(status, &[]) };
                settle(&mut state, id, &outcome, at(millis));
            }
        }
        assert_eq!(count, 60);
        assert_eq!(state.vitals.gate, Gate::Open, "24 of 60 failed");
    }
}

#[test]
fn what_could_not_be_made_ready_is_tried_again_and_not_held_against_the_host() {
    let mut state = host(60);
    let unprepared = Outcome::Unprepared { reason: "there is no secret `a`".into() };
    let mut again = 0;
    for millis in 1..10_000 {
        for id in sent(&mut state, at(millis)) {
            let ruling = state.settle(id, &unprepared, at(millis), 0.5).expect("in flight");
            assert!(matches!(ruling.verdict, Verdict::Again { retries: 1, .. }));
            again += 1;
        }
    }
    assert_eq!((again, &state.vitals.gate), (60, &Gate::Open));
    assert_eq!(state.vitals.health.counts(at(10_000).moment), (0, 0));
}

#[test]
fn a_static_limit_gives_no_burst_after_a_cooldown() {
    let mut rules = HostRules::default();
    rules.limits.requests_per_second = Some(50.0);
    let controls = HostControls::default();
    let mut state = HostState::new(rules, controls, 1_000_000, Moment::ORIGIN);
    for seq in 0..500 {
        state.queue_mut().offer(entry(seq));
    }
    state.vitals.gate = Gate::cool("test".into(), Duration::from_secs(60), Moment::ORIGIN);
    let mut sends = 0;
    for millis in 60_000..61_000 {
        for id in sent(&mut state, at(millis)) {
            settle(&mut state, id, &answer(200, &[]), at(millis));
            sends += 1;
        }
    }
    assert!((45..=52).contains(&sends), "{sends} in the first second");
}
