//! One host in simulated time: outcomes are scripted, or come from a model of a limiter.

use std::collections::BinaryHeap;
use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::model::{Answer, Header, HostNumber, Method, Priority, Target, Webhook};

fn at(millis: u64) -> Now {
    let passed = Duration::from_millis(millis);
    Now { moment: Moment::ORIGIN + passed, wall: Timestamp::from_millis(1_000_000).plus(passed) }
}

fn entry(seq: u64) -> Pending {
    let target = Target::from_vetted("http://shop.example/").expect("vetted");
    let webhook = Webhook {
        method: Method::Post,
        target,
        headers: Vec::new(),
        body: Bytes::new(),
        secret_ref: None,
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
    state.gate = Gate::cool("test".into(), Duration::from_secs(60), Moment::ORIGIN);
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
    state.gate = Gate::cool("test".into(), Duration::from_secs(60), Moment::ORIGIN);
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

/// A model of a limiter, 1 ms away.
trait Limiter {
    fn answer(&mut self, millis: u64) -> Outcome;
}

struct Run {
    delivered: u64,
    refused: u64,
    refused_after_first_second: u64,
    millis: u64,
    most_in_flight: u32,
}

/// Sends `count` deliveries to the limiter, each answered after `latency` ms.
fn run(limiter: &mut dyn Limiter, count: u64, latency: u64, millis_max: u64) -> Run {
    let mut state = host(count);
    let mut answers: BinaryHeap<std::cmp::Reverse<(u64, u64)>> = BinaryHeap::new();
    let mut outcomes = HashMap::new();
    let mut run = Run {
        delivered: 0,
        refused: 0,
        refused_after_first_second: 0,
        millis: 0,
        most_in_flight: 0,
    };
    let mut serial = 0;
    while run.delivered < count && run.millis < millis_max {
        let now = at(run.millis);
        while let Some(std::cmp::Reverse((when, number))) = answers.peek().copied() {
            if when > run.millis {
                break;
            }
            answers.pop();
            let (id, outcome) = outcomes.remove(&number).expect("sent");
            match settle(&mut state, id, &outcome, now) {
                Verdict::End(End::Delivered) => run.delivered += 1,
                Verdict::Again { retries: 0, .. } => {
                    run.refused += 1;
                    run.refused_after_first_second += u64::from(run.millis > 1_500);
                }
                verdict => panic!("{verdict:?} at {}", run.millis),
            }
        }
        while let Step::Send(entry) = state.next(now) {
            serial += 1;
            outcomes.insert(serial, (entry.id, limiter.answer(run.millis)));
            answers.push(std::cmp::Reverse((run.millis + latency, serial)));
        }
        run.most_in_flight = run.most_in_flight.max(state.in_flight());
        run.millis += 1;
    }
    run
}

/// A token bucket of `rate` a second that says what `says` says.
struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: u64,
    says: Says,
}

#[derive(Clone, Copy, PartialEq)]
enum Says {
    RetryAfter,
    Headers,
    Nothing,
}

impl Bucket {
    fn new(rate: f64, says: Says) -> Self {
        Self { rate, burst: rate, tokens: rate, at: 0, says }
    }
}

impl Limiter for Bucket {
    fn answer(&mut self, millis: u64) -> Outcome {
        let gained = (millis - self.at) as f64 / 1000.0 * self.rate;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.at = millis;
        let status = if self.tokens >= 1.0 { 200 } else { 429 };
        if status == 200 {
            self.tokens -= 1.0;
        }
        let remaining = format!("{}", self.tokens.floor());
        let reset = format!("{}", ((self.burst - self.tokens) / self.rate).ceil());
        let limit = format!("{}", self.burst);
        let triple = [
            ("x-ratelimit-limit", limit.as_str()),
            ("x-ratelimit-remaining", remaining.as_str()),
            ("x-ratelimit-reset", reset.as_str()),
        ];
        match (self.says, status) {
            (Says::Headers, _) => answer(status, &triple),
            (Says::RetryAfter, 429) => answer(429, &[("retry-after", "1")]),
            _ => answer(status, &[]),
        }
    }
}

/// A fixed window of a second that names its remaining and, in whole seconds, its reset.
struct FixedWindow {
    limit: u64,
    window: u64,
    used: u64,
    number: u64,
}

impl Limiter for FixedWindow {
    fn answer(&mut self, millis: u64) -> Outcome {
        let number = millis / self.window;
        if number != self.number {
            (self.number, self.used) = (number, 0);
        }
        self.used += 1;
        let status = if self.used <= self.limit { 200 } else { 429 };
        let remaining = self.limit.saturating_sub(self.used).to_string();
        let reset = ((number + 1) * self.window - millis).div_ceil(1000).to_string();
        let limit = self.limit.to_string();
        answer(
            status,
            &[
                ("ratelimit-limit", limit.as_str()),
                ("ratelimit-remaining", remaining.as_str()),
                ("ratelimit-reset", reset.as_str()),
            ],
        )
    }
}

#[test]
fn two_thousand_at_a_hundred_a_second_with_retry_after() {
    let run = run(&mut Bucket::new(100.0, Says::RetryAfter), 2_000, 1, 60_000);
    assert_eq!(run.delivered, 2_000);
    assert!(run.millis <= 22_000, "{} ms", run.millis);
    assert!(run.refused <= 20, "{} refused", run.refused);
}

#[test]
fn two_thousand_at_a_hundred_a_second_with_headers() {
    let run = run(&mut Bucket::new(100.0, Says::Headers), 2_000, 1, 60_000);
    assert_eq!(run.delivered, 2_000);
    assert!(run.millis <= 22_000, "{} ms", run.millis);
    assert!(run.refused <= 2, "{} refused", run.refused);
}

#[test]
fn a_host_that_gives_no_hint_is_held_near_its_limit() {
    let run = run(&mut Bucket::new(100.0, Says::Nothing), 6_000, 5, 120_000);
    assert_eq!(run.delivered, 6_000);
    assert!(run.millis <= 66_000, "{} ms", run.millis);
    assert!(run.refused_after_first_second <= 60, "{}", run.refused_after_first_second);
}

#[test]
fn a_fixed_window_is_used_and_not_overrun() {
    for (limit, window) in [(100, 1_000), (600, 60_000), (50, 10_000)] {
        let mut limiter = FixedWindow { limit, window, used: 0, number: 0 };
        let count = limit * 180_000 / window;
        let run = run(&mut limiter, count, 20, 400_000);
        let ideal = 180_000;
        assert_eq!(run.delivered, count);
        assert!(run.millis <= ideal * 105 / 100, "{limit}/{window}: {} ms", run.millis);
        assert!(run.refused * 100 <= count, "{limit}/{window}: {} refused", run.refused);
    }
}

#[test]
fn slow_hosts_are_not_run_over_either() {
    let run = run(&mut Bucket::new(100.0, Says::RetryAfter), 6_000, 200, 200_000);
    assert_eq!(run.delivered, 6_000);
    // Twenty-five round trips of 200 ms until the in-flight limit has ramped up, then the rate.
    assert!(run.millis <= 70_000, "{} ms", run.millis);
    assert!(run.refused_after_first_second <= 120, "{}", run.refused_after_first_second);
    assert!(run.most_in_flight <= 64);
}
