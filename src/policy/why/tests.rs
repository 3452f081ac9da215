use std::borrow::Cow;

use super::*;
use crate::model::{HostNumber, Moment};
use crate::policy::condition::WaitReason;

const WALL: Timestamp = Timestamp::from_millis(1_795_503_600_000);

fn now() -> Now {
    Now { moment: Moment::ORIGIN + Duration::from_secs(100), wall: WALL }
}

fn host() -> HostName {
    HostName::from_normalised("shop.example")
}

fn hold(cause: Cause, seconds: Option<u64>, reason: &'static str) -> Hold {
    let until = seconds.map(|seconds| now().moment + Duration::from_secs(seconds));
    // The finer word says all; the coarser one is not looked at.
    Hold { wait: WaitReason::Budget, cause, until, reason: Cow::Borrowed(reason) }
}

#[test]
fn every_hold_of_a_host_has_its_words() {
    let controls = HostControls {
        paused: true,
        reason: Some("they are moving".into()),
        paused_at: Some(WALL),
        ..HostControls::default()
    };
    let host = host();
    let facts = Facts {
        host: &host,
        controls: &controls,
        window: Some((Some(100), 0, WALL.plus(Duration::from_secs(12)))),
        fixed: Some(10.0),
        learned: Some(8.5),
        in_flight: 64,
        now: now(),
    };
    let reason = "20 of 20 attempts failed within 60s";
    for (hold, what, text) in [
        (
            hold(Cause::Operator, None, ""),
            What::Pause,
            "shop.example is paused by an operator since 2026-11-24T07:00:00.000Z: they are moving",
        ),
        (
            hold(Cause::Cooling, Some(43), reason),
            What::Cooldown,
            "shop.example is unhealthy (20 of 20 attempts failed within 60s) and is probed in 43 s",
        ),
        (
            hold(Cause::Probing, None, ""),
            What::Cooldown,
            "shop.example is being probed after a cooldown; the answers decide",
        ),
        (
            hold(Cause::RetryAfter, Some(5), ""),
            What::Budget,
            "shop.example said Retry-After; it may go on in 5.0 s",
        ),
        (
            hold(Cause::Spent, Some(12), ""),
            What::Budget,
            "the budget of shop.example is used up (0 of 100 left); it resets in 12 s",
        ),
        (
            hold(Cause::Backoff, Some(2), ""),
            What::Backoff,
            "shop.example refused without saying for how long; it is asked again in 2.0 s",
        ),
        (
            hold(Cause::Slump, Some(2), ""),
            What::Backoff,
            "the last requests to shop.example failed one after the other; the next goes in 2.0 s",
        ),
        (
            hold(Cause::InFlight, None, ""),
            What::InFlightLimit,
            "64 requests may be in flight to it at once, and all are: shop.example has to answer \
             one",
        ),
        (
            hold(Cause::Reopening, Some(1), ""),
            What::InFlightLimit,
            "shop.example is back from a cooldown and gets its usual rate at first; the next goes \
             in 1.0 s",
        ),
        (
            hold(Cause::Static, Some(1), ""),
            What::Budget,
            "the static limit of shop.example of 10 a second is reached; the next goes in 1.0 s",
        ),
        (
            hold(Cause::Learned, Some(1), ""),
            What::Budget,
            "the learned rate of shop.example of 8.5 a second is reached; the next goes in 1.0 s",
        ),
        (
            hold(Cause::Spread, Some(660), ""),
            What::Budget,
            "the budget of shop.example is spread over its time (0 of 100 left); the next goes in \
             11 min",
        ),
    ] {
        let obstacle = of_host(&hold, &facts);
        assert_eq!((obstacle.what, obstacle.text.as_str()), (what, text));
        let until = hold.until.map(|until| now().wall_of(until));
        assert_eq!((obstacle.until, &obstacle.host), (until, &Some(host.clone())), "{text}");
    }
    let by = paused(&host, &controls, Some("key k1")).text;
    assert!(by.starts_with("shop.example is paused by an operator (key k1) since "), "{by}");
}

#[test]
fn everything_else_in_the_way_has_its_words() {
    let id = DeliveryId::new(WALL, HostNumber(7), 1);
    let due = |seconds| WALL.plus(Duration::from_secs(seconds));
    let some = |obstacle: Option<Obstacle>| obstacle.expect("there is one");
    for (obstacle, what, text) in [
        (not_due(due(90), 0, WALL), What::Due, "it is due in 90 s".to_owned()),
        (not_due(due(172_800), 0, WALL), What::Due, "it is due in 48 h".to_owned()),
        (
            not_due(due(90), 2, WALL),
            What::Backoff,
            "attempt 2 failed; the next is due in 90 s".to_owned(),
        ),
        (
            of_lane(&hold(Cause::Cooling, Some(43), "they fail"), &host(), now()),
            What::Lane,
            "its workspace's requests to shop.example fail (they fail); they are probed in 43 s"
                .to_owned(),
        ),
        (
            of_lane(&hold(Cause::Slump, Some(3), "they failed"), &host(), now()),
            What::Lane,
            "its workspace waits at shop.example: they failed; the next goes in 3.0 s".to_owned(),
        ),
        (
            some(turns(&host(), 2, 1.0 / 3.0)),
            What::Lane,
            "it takes turns with 2 other workspaces; its own gets 33 % of the sends".to_owned(),
        ),
        (some(queued(Some(411), 1_000, false)), What::Queue, "it is behind 411 others".to_owned()),
        (
            some(queued(Some(1), 1_000, true)),
            What::Queue,
            "it is behind 1 other of its workspace".to_owned(),
        ),
        (
            some(queued(Some(1_000), 1_000, false)),
            What::Queue,
            "it is behind 1000 others or more".to_owned(),
        ),
        (
            behind("order 7", Some(id), Holder::InFlight),
            What::Order,
            format!("ordering key \"order 7\" is held by {id}, whose request is under way"),
        ),
        (
            behind("k", Some(id), Holder::Waits("it is due in 90 s")),
            What::Order,
            format!("ordering key \"k\" is held by {id}, which in turn waits: it is due in 90 s"),
        ),
        (
            behind("k", Some(id), Holder::Blocks("failed")),
            What::Order,
            format!(
                "ordering key \"k\" is held by {id}, which failed: redrive, cancel or skip that \
                 one and the key goes on"
            ),
        ),
    ] {
        assert_eq!((obstacle.what, obstacle.text), (what, text));
    }
    assert_eq!(turns(&host(), 0, 1.0), None);
    assert_eq!(queued(Some(0), 10, false), None);
}

#[test]
fn the_chain_is_one_sentence() {
    let chain = [not_due(WALL.plus(Duration::from_secs(9)), 0, WALL)];
    let queue = queued(Some(3), 10, false).expect("it is behind some");
    let chain: Vec<Obstacle> = chain.into_iter().chain([queue]).collect();
    assert_eq!(sentence(&chain), "it is due in 9.0 s; it is behind 3 others");
    assert_eq!(sentence(&[]), "");
}
