use std::collections::HashSet;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

const T0: Timestamp = Timestamp::from_millis(1_795_503_600_000);
const HOUR: Duration = Duration::from_secs(3600);

fn canvas(steps: &Value) -> Canvas {
    let json = json!({"name": "c", "trigger": {"type": "api"}, "steps": steps});
    let text = json.to_string();
    Canvas::parse(text.as_bytes()).unwrap_or_else(|faults| panic!("{steps}: {faults:?}"))
}

fn enter(canvas: &Canvas, entry_properties: Value) -> Journey {
    let entrance = Entrance {
        canvas: "c1".into(),
        version: 1,
        recipient: "u1".into(),
        entry_properties,
        hop: 0,
    };
    Journey::enter(entrance, canvas, T0).expect("a vetted canvas has a step")
}

fn send(id: &str) -> Value {
    json!({"id": id, "type": "webhook", "webhooks": [{"url": "https://a.example/"}]})
}

fn go(to: &str) -> Move {
    Move::Go { to: to.into() }
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

const FINISHED: Move = Move::Exit { reason: ExitReason::Finished };

#[test]
fn a_webhook_is_sent_once_and_the_next_step_follows() {
    let canvas = canvas(&json!([send("a"), send("b")]));
    let mut journey = enter(&canvas, json!({}));
    assert_eq!(journey.next(&canvas, None, T0), Move::SendWebhooks { step: "a".into() });
    assert_eq!(journey.send_key(), "1/a");
    journey.on_sent(ids(&["d1"]));
    assert_eq!(journey.next(&canvas, None, T0), go("b"));
    journey.go("b", T0);
    assert_eq!(journey.send_key(), "2/b");
    assert_eq!(journey.next(&canvas, None, T0), Move::SendWebhooks { step: "b".into() });
    journey.on_sent(ids(&["d2"]));
    assert_eq!(journey.next(&canvas, None, T0), FINISHED);
}

#[test]
fn a_delay_counts_from_when_it_was_entered() {
    let canvas = canvas(&json!([
        {"id": "d", "type": "delay", "for": "2h"},
        {"id": "u", "type": "delay", "until": "2026-11-24T07:00:00Z"}
    ]));
    let mut journey = enter(&canvas, json!({}));
    let end = T0.plus(HOUR * 2);
    assert_eq!(journey.next(&canvas, None, T0.plus(HOUR)), Move::SleepUntil(end));
    assert_eq!(journey.next(&canvas, None, end), go("u"));
    journey.go("u", end);
    // That time has passed: no time at all.
    assert_eq!(journey.next(&canvas, None, end), FINISHED);
}

#[test]
fn a_branch_awaits_the_answer_that_it_looks_at() {
    let canvas = canvas(&json!([
        send("a"),
        {"id": "b", "type": "branch", "branches": [
            {"when": {"property": "entry_properties.vip", "op": "exists"}, "next": "v"},
            {"when": {"property": "response.body.ok", "op": "equals", "value": 1}, "next": "y"}
        ], "else": "n"},
        {"id": "v", "type": "exit"}, {"id": "y", "type": "exit"}, {"id": "n", "type": "exit"}
    ]));
    let mut vip = enter(&canvas, json!({"vip": true}));
    vip.on_sent(ids(&["d1"]));
    vip.go("b", T0);
    assert_eq!(vip.next(&canvas, None, T0), go("v"), "an earlier branch needs no answer");

    let mut journey = enter(&canvas, json!({}));
    journey.on_sent(ids(&["d1", "d2"]));
    journey.go("b", T0);
    assert_eq!(journey.next(&canvas, None, T0), Move::AwaitAnswer);
    let answer = |ok: i64, delivered| Answer {
        delivered,
        status: Some(if delivered { 200 } else { 500 }),
        body: json!({"ok": ok}),
    };
    assert!(!journey.on_answer("stranger", answer(1, true)));
    assert!(journey.on_answer("d2", answer(1, true)));
    assert!(!journey.on_answer("d2", answer(0, true)), "an answer comes once");
    assert_eq!(journey.next(&canvas, None, T0), Move::AwaitAnswer);
    assert!(journey.on_answer("d1", answer(0, false)));
    assert_eq!(journey.next(&canvas, None, T0), go("y"));
    let whole = journey.answer().expect("all are over");
    assert_eq!((whole.delivered, whole.status), (false, Some(200)));
}

#[test]
fn an_answer_that_is_too_long_or_never_asked_for_is_absent() {
    let canvas = canvas(&json!([send("a"), {"id": "b", "type": "branch", "branches": [
        {"when": {"property": "response.status", "op": "not_exists"}, "next": "none"}
    ]}, send("some"), {"id": "none", "type": "exit"}]));
    let mut silent = enter(&canvas, json!({}));
    silent.on_sent(Vec::new());
    silent.go("b", T0);
    assert_eq!(silent.next(&canvas, None, T0), go("none"), "nothing was sent");

    let mut journey = enter(&canvas, json!({}));
    journey.on_sent(ids(&["d1"]));
    let body = json!("x".repeat(ANSWER_BYTES_MAX));
    journey.on_answer("d1", Answer { delivered: true, status: Some(200), body });
    assert_eq!(journey.answer().expect("over").body, Value::Null);
    journey.go("b", T0);
    assert_eq!(journey.next(&canvas, None, T0), go("some"), "the following step is the default");
}

#[test]
fn an_event_in_time_with_the_right_properties_goes_on() {
    let canvas = canvas(&json!([
        {"id": "w", "type": "wait_for_event", "event": "booked", "timeout": "1h",
            "filter": {"property": "event_properties.seats", "op": "at_least", "value": 2},
            "on_event": "yes", "on_timeout": "no"},
        {"id": "yes", "type": "exit"}, {"id": "no", "type": "exit"}
    ]));
    let journey = enter(&canvas, json!({}));
    let until = T0.plus(HOUR);
    let wait = Move::WaitForEvent { event: "booked".into(), until };
    assert_eq!(journey.next(&canvas, None, T0), wait);
    assert_eq!(journey.next(&canvas, None, until), go("no"));
    for (name, seats, at, wanted) in [
        ("booked", 2, T0, EventEffect::WentOn),
        ("booked", 1, T0, EventEffect::Ignored),
        ("left", 2, T0, EventEffect::Ignored),
        ("booked", 2, until, EventEffect::Ignored),
    ] {
        let properties = json!({"seats": seats});
        let facts = Facts { event_properties: Some(&properties), ..Facts::default() };
        let mut moved = journey.clone();
        assert_eq!(moved.on_event(&canvas, name, &facts, at), wanted, "{name} {seats}");
        assert_eq!(moved.step() == "yes", wanted == EventEffect::WentOn);
    }
}

#[test]
fn an_event_at_the_last_step_ends_the_journey() {
    let wait = json!([{"id": "w", "type": "wait_for_event", "event": "e", "timeout": "1h"}]);
    let canvas = canvas(&wait);
    let mut journey = enter(&canvas, json!({}));
    let effect = journey.on_event(&canvas, "e", &Facts::default(), T0);
    assert_eq!(effect, EventEffect::Over(ExitReason::Finished));
}

#[test]
fn a_step_that_is_gone_ends_the_journey() {
    let journey = enter(&canvas(&json!([send("a")])), json!({}));
    let other = canvas(&json!([send("b")]));
    let gone = Move::Exit { reason: ExitReason::StepGone };
    assert_eq!(journey.next(&other, None, T0), gone);
}

/// A canvas of up to eight steps: each leads to the following one by default, branches lead ahead,
/// and only steps that wait lead back.
fn steps(dice: &mut fastrand::Rng) -> Value {
    let count = dice.usize(1..=8);
    let ahead = |dice: &mut fastrand::Rng, place: usize| format!("s{}", dice.usize(place..count));
    let test = |dice: &mut fastrand::Rng| match dice.u8(0..4) {
        0 => json!({"property": "response.delivered", "op": "equals", "value": true}),
        1 => json!({"property": "response.body.n", "op": "greater", "value": 2}),
        2 => json!({"property": "recipient.plan", "op": "exists"}),
        _ => json!({"not": {"property": "entry_properties.n", "op": "less", "value": 5}}),
    };
    let of = |place: usize, dice: &mut fastrand::Rng| {
        let id = format!("s{place}");
        let last = place + 1 == count;
        match dice.u8(0..5) {
            0 => send(&id),
            1 if last => json!({"id": id, "type": "exit"}),
            1 => json!({"id": id, "type": "branch", "branches": [
                {"when": test(dice), "next": ahead(dice, place + 1)},
                {"when": test(dice), "next": ahead(dice, place + 1)}
            ]}),
            2 => json!({"id": id, "type": "delay", "until": "2026-11-25T00:00:00Z"}),
            3 if last => json!({"id": id, "type": "delay", "for": "1h", "next": ahead(dice, 0)}),
            3 => json!({"id": id, "type": "delay", "for": "90s"}),
            _ => json!({"id": id, "type": "wait_for_event", "event": "e", "timeout": "3h",
                "filter": {"property": "event_properties.n", "op": "at_most", "value": 7},
                "on_event": ahead(dice, 0)}),
        }
    };
    Value::Array((0..count).map(|place| of(place, dice)).collect())
}

/// Walks a journey to its end; panics where it is stuck, spins, or goes another way once it has
/// been stored and read back. Tells how it ended.
fn walk(canvas: &Canvas, dice: &mut fastrand::Rng) -> ExitReason {
    let mut attributes = Map::new();
    if dice.bool() {
        attributes.insert("plan".into(), json!("gold"));
    }
    let recipient = RecipientFacts { external_id: "u1", attributes: &attributes };
    let mut journey = enter(canvas, json!({"n": dice.u8(0..10)}));
    let (mut now, mut sends, mut serial, mut at_once) = (T0, HashSet::new(), 0, 0);
    let mut open: Vec<String> = Vec::new();
    for _ in 0..VISITS_MAX * 60 {
        let json = serde_json::to_string(&journey).expect("serialises");
        let read: Journey = serde_json::from_str(&json).expect("reads");
        let todo = journey.next(canvas, Some(recipient), now);
        assert_eq!(read.next(canvas, Some(recipient), now), todo);
        assert_eq!(read, journey);
        journey = read;
        at_once += 1;
        assert!(at_once <= 3 * canvas.steps.len() + 150, "spins at {json}");
        let before = now;
        match todo {
            Move::Exit { reason } => return reason,
            Move::Go { to } => {
                let (_, step) = canvas.step(journey.step()).expect("the step that it stands at");
                let must_send = matches!(step.action, Action::Webhook { .. });
                assert!(!must_send || sends.contains(&journey.send_key()), "left out at {json}");
                journey.go(&to, now);
            }
            Move::SendWebhooks { step } => {
                assert_eq!(step, journey.step());
                assert!(sends.insert(journey.send_key()), "sends twice at {json}");
                open = (0..dice.usize(0..3)).map(|part| format!("d{serial}.{part}")).collect();
                serial += 1;
                journey.on_sent(open.clone());
            }
            Move::SleepUntil(until) => {
                assert!(until > now);
                // Woken too early, it sleeps on.
                let early = now.plus(Duration::from_millis(dice.u64(1..4_000_000)));
                now = early.min(until);
            }
            Move::WaitForEvent { event, until } => {
                assert!(until > now);
                now = now.plus(Duration::from_millis(dice.u64(1..4_000_000))).min(until);
                let properties = json!({"n": dice.u8(0..10)});
                let facts = Facts { event_properties: Some(&properties), ..Facts::default() };
                match journey.on_event(canvas, &event, &facts, now) {
                    EventEffect::Over(reason) => return reason,
                    EventEffect::WentOn => assert!(now < until),
                    EventEffect::Ignored => {}
                }
            }
            Move::AwaitAnswer => {
                let id = open.pop().expect("an answer is awaited while a delivery is open");
                let body = json!({"n": dice.u8(0..5)});
                let answer = Answer { delivered: dice.bool(), status: Some(200), body };
                assert!(journey.on_answer(&id, answer));
                now = now.plus(Duration::from_millis(5));
            }
        }
        if now > before {
            at_once = 0;
        }
    }
    panic!("goes on after {} visits", journey.visit());
}

proptest! {
    #[test]
    fn journeys_neither_get_stuck_nor_spin_and_survive_a_stop_between_any_moves(
        seed in any::<u64>()
    ) {
        let mut dice = fastrand::Rng::with_seed(seed);
        let canvas = canvas(&steps(&mut dice));
        let reason = walk(&canvas, &mut dice);
        prop_assert_ne!(reason, ExitReason::StepGone);
    }
}

#[test]
fn a_circle_ends_after_a_thousand_steps() {
    let canvas =
        canvas(&json!([send("a"), {"id": "d", "type": "delay", "for": "1h", "next": "a"}]));
    let mut dice = fastrand::Rng::with_seed(7);
    assert_eq!(walk(&canvas, &mut dice), ExitReason::TooManySteps);
}
