//! Several workspaces at one host: whose failures hold back whom.

use super::*;
use crate::policy::saved::Saved;

const A: u32 = 0;
const B: u32 = 5;

fn no_answer() -> Outcome {
    Outcome::NoAnswer { reason: "refused".into(), timed_out: false }
}

fn add(state: &mut HostState, lane: u32, first: u64, count: u64) {
    for seq in first..first + count {
        state.queue_mut().offer(Pending { lane, ..entry(seq) });
    }
}

/// Sends for `time` and answers what `answers` says; how many of A and of B went.
fn run(
    state: &mut HostState,
    millis: std::ops::Range<u64>,
    answers: impl Fn(u32) -> Outcome,
) -> (usize, usize) {
    let (mut of_a, mut of_b) = (0, 0);
    for millis in millis {
        while let Step::Send(entry) = state.next(at(millis)) {
            *(if entry.lane == A { &mut of_a } else { &mut of_b }) += 1;
            state.settle(entry.id, &answers(entry.lane), at(millis), 0.5).expect("in flight");
        }
    }
    (of_a, of_b)
}

fn shared(of_a: u64, of_b: u64) -> HostState {
    let mut state = host(0);
    add(&mut state, A, 0, of_a);
    add(&mut state, B, 1_000_000, of_b);
    state
}

fn is_cooling(gate: Option<&Gate>) -> bool {
    matches!(gate, Some(Gate::Cooling { .. }))
}

#[test]
fn a_lane_that_fails_is_left_alone_and_the_others_go_on() {
    for outcome in [answer(503, &[]), answer(502, &[])] {
        let mut state = shared(1_000, 400);
        let answers = |lane| if lane == A { outcome.clone() } else { answer(200, &[]) };
        let (of_a, of_b) = run(&mut state, 0..5_000, answers);
        assert!(of_a <= 25, "{of_a} went to what fails");
        assert_eq!(of_b, 400);
        assert!(is_cooling(state.lane_gate(A)));
        assert_eq!(state.standing(at(5_000)).condition, HostCondition::Healthy);
        let standing = state.lane_standing(A, at(5_000).moment);
        assert_eq!(standing.condition, HostCondition::CoolingDown);
        assert!(standing.until.is_some() && standing.reason.contains("failed"), "{standing:?}");
        // Its probes are its own.
        add(&mut state, B, 2_000_000, 50);
        let (of_a, of_b) = run(&mut state, 60_000..70_000, answers);
        assert!((2..=3).contains(&of_a), "{of_a} probes");
        assert_eq!(of_b, 50);
        let (of_a, _) = run(&mut state, 130_000..140_000, |_| answer(200, &[]));
        assert!(of_a > 100, "{of_a} once it is well");
    }
}

#[test]
fn a_host_that_fails_everybody_is_left_alone_by_everybody() {
    for outcome in [answer(502, &[]), no_answer()] {
        let mut state = shared(500, 500);
        run(&mut state, 0..5_000, |_| outcome.clone());
        assert_eq!(state.standing(at(5_000)).condition, HostCondition::CoolingDown, "{outcome:?}");
        assert_eq!(run(&mut state, 5_000..50_000, |_| outcome.clone()), (0, 0));
        // All must fail for it to be left alone again, one that is well opens it for those that are.
        let (of_a, of_b) = run(&mut state, 64_000..66_000, |_| outcome.clone());
        assert_eq!(of_a + of_b, 3);
        assert!(of_a > 0 && of_b > 0, "probes are spread");
        let answers = |lane| if lane == A { outcome.clone() } else { answer(200, &[]) };
        let (of_a, of_b) = run(&mut state, 124_000..130_000, answers);
        assert!(of_a <= 25 && of_b > 100, "{of_a} and {of_b}");
    }
}

#[test]
fn what_times_out_while_another_is_answered_is_no_trouble_of_the_host() {
    let mut state = shared(200, 200);
    let timed_out = Outcome::NoAnswer { reason: "timed out".into(), timed_out: true };
    for round in 0..60_u64 {
        let now = at(round * 1_000);
        let ids: Vec<(DeliveryId, u32)> = std::iter::from_fn(|| match state.next(now) {
            Step::Send(entry) => Some((entry.id, entry.lane)),
            _ => None,
        })
        .collect();
        for (id, lane) in ids {
            let outcome = if lane == A { timed_out.clone() } else { answer(200, &[]) };
            let later = at(round * 1_000 + if lane == A { 900 } else { 5 });
            state.settle(id, &outcome, later, 0.5).expect("in flight");
        }
    }
    assert_eq!(state.standing(at(60_000)).condition, HostCondition::Healthy);
    assert!(is_cooling(state.lane_gate(A)));
}

#[test]
fn a_newcomer_goes_while_the_only_other_lane_cools_down_for_its_answers() {
    let mut state = host(100);
    run(&mut state, 0..5_000, |_| answer(502, &[]));
    assert_eq!(state.standing(at(5_000)).condition, HostCondition::CoolingDown);
    add(&mut state, B, 1_000_000, 10);
    let (of_a, of_b) = run(&mut state, 5_000..6_000, |_| answer(200, &[]));
    assert_eq!((of_a, of_b), (0, 10));
    assert!(is_cooling(state.lane_gate(A)), "the cooldown was handed down");
}

#[test]
fn a_newcomer_waits_at_a_host_that_could_not_be_reached() {
    let mut state = host(100);
    run(&mut state, 0..5_000, |_| no_answer());
    add(&mut state, B, 1_000_000, 10);
    assert_eq!(run(&mut state, 5_000..20_000, |_| answer(200, &[])), (0, 0));
    assert_eq!(state.standing(at(20_000)).condition, HostCondition::CoolingDown);
}

#[test]
fn a_lane_cools_down_over_a_restart_and_the_others_do_not() {
    let mut state = shared(1_000, 100);
    run(&mut state, 0..2_000, |lane| answer(if lane == A { 502 } else { 200 }, &[]));
    assert!(is_cooling(state.lane_gate(A)));
    let saved = Saved::parse(&state.save(at(2_000)).to_json()).expect("reads what it wrote");
    for page_first in [true, false] {
        let mut restored = host(0);
        if page_first {
            add(&mut restored, A, 0, 50);
            add(&mut restored, B, 1_000_000, 50);
            restored.restore(&saved, at(3_000));
        } else {
            restored.restore(&saved, at(3_000));
            add(&mut restored, B, 1_000_000, 50);
            add(&mut restored, A, 0, 50);
        }
        assert_eq!(run(&mut restored, 3_000..50_000, |_| answer(200, &[])), (0, 50));
    }
}

#[test]
fn a_cooldown_of_the_only_lane_is_saved_as_it_always_was() {
    let mut state = host(100);
    run(&mut state, 0..2_000, |_| answer(502, &[]));
    let json = state.save(at(2_000)).to_json();
    assert!(!json.contains("lane") && !json.contains("whole"), "{json}");
    let old = r#"{"at":1800000000300,"cooling":{"remaining_ms":60000,"reason":"old"}}"#;
    let mut restored = host(10);
    restored.restore(&Saved::parse(old).expect("it is read"), at(0));
    assert!(sent(&mut restored, at(59_000)).is_empty());
}

#[test]
fn lanes_without_work_or_memory_are_forgotten_and_the_last_is_the_host_again() {
    let mut state = shared(10, 10);
    run(&mut state, 0..100, |_| answer(200, &[]));
    assert!(state.is_shared());
    add(&mut state, B, 2_000_000, 40);
    run(&mut state, 120_000..120_001, |_| answer(502, &[]));
    assert!(!state.is_shared());
    assert_eq!(state.only, Some(B));
    run(&mut state, 120_001..125_000, |_| answer(502, &[]));
    assert_eq!(state.standing(at(125_000)).condition, HostCondition::CoolingDown);
}

#[test]
fn a_failing_lane_slows_nobody_down() {
    let mut state = shared(2_000, 2_000);
    run(&mut state, 0..300, |lane| answer(if lane == A { 503 } else { 200 }, &[]));
    assert_eq!(state.in_flight_limit(), 2, "halved once, before the other was known to be well");
    assert_eq!(state.learned_rate(), None, "the others' rate is not lowered");
}
