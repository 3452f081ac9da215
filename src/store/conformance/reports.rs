//! Claims about reports: what is counted, when, of whom, and for how long.

use std::sync::Arc;
use std::time::Duration;

use super::world::{T0, World, at, get, of_one, tried};
use crate::model::{
    Attempt, Delivery, DeliveryId, End, HostName, HostNumber, OnFailure, Outcome, Provenance,
    Settlement, Timestamp, Timings, Verdict,
};
use crate::store::{
    Accepted, Figures, Kept, ReportPoints, ReportQuery, Step, Store, Subject, Word,
};

type Make<'a> = &'a dyn Fn() -> Arc<dyn Store>;

const DAY: u64 = 86_400;
/// Much longer than any claim takes.
const LONG: Duration = Duration::from_secs(3_650 * DAY);
pub(super) const ALL_KEPT: Kept =
    Kept { minutes: LONG, hours: LONG, days: LONG, activity: LONG, audit: LONG };

pub(super) fn exercise(make: Make<'_>) {
    sends_and_ends_are_counted_where_they_belong(make);
    a_repeat_counts_nothing_twice(make);
    a_delivery_that_had_to_wait_is_deferred_once(make);
    latencies_are_those_of_requests_that_went_out(make);
    recipients_are_counted_once_in_a_step_and_once_in_all(make);
    composed_deliveries_count_for_what_composed_them(make);
    points_of_every_step_add_up_to_the_same(make);
    workspaces_have_reports_of_their_own(make);
    what_is_kept_no_longer_is_forgotten_step_by_step(make);
}

fn report(world: &World, workspace: u32, subject: Subject, step: Step) -> ReportPoints {
    let (from, until) = (T0, at(3 * DAY));
    // By the minute there is room for about a day.
    let until = if step == Step::Minute { at(DAY) } else { until };
    let query = ReportQuery { workspace, subject, step, from, until };
    let before = get(world.store.report(query.clone()));
    while get(world.store.fold()) {}
    assert_eq!(get(world.store.report(query)), before, "folding changes no report");
    before
}

fn sum(points: &ReportPoints) -> Figures {
    let mut sum = Figures::default();
    points.points.iter().for_each(|(_, figures)| sum.add(figures));
    sum
}

fn total(world: &World, subject: Subject) -> Figures {
    sum(&report(world, 0, subject, Step::Hour))
}

fn host(world: &World, name: &str) -> Subject {
    Subject::Host(world.host(name))
}

fn said(figures: &Figures) -> Vec<(Word, u64)> {
    let words = [
        Word::Sent,
        Word::Delivered,
        Word::Failed,
        Word::Exhausted,
        Word::Expired,
        Word::Cancelled,
        Word::Retried,
        Word::Deferred,
    ];
    words.map(|word| (word, figures.of(word))).into_iter().filter(|said| said.1 > 0).collect()
}

fn sends_and_ends_are_counted_where_they_belong(make: Make<'_>) {
    let world = World::new(make);
    let ids = world.accept_plain("a.example", 6);
    world.accept_plain("b.example", 1);
    world.attempt(ids[0], 1, Verdict::End(End::Delivered));
    world.attempt(ids[1], 1, Verdict::End(End::Failed));
    world.attempt(ids[2], 1, Verdict::Again { due: at(60), retries: 1 });
    world.attempt(ids[2], 2, Verdict::End(End::Exhausted));
    world.end(ids[3], End::Cancelled);
    world.attempt(ids[4], 1, Verdict::Again { due: at(60), retries: 1 });
    world.end(ids[4], End::Expired);
    let verdict = Verdict::Again { due: at(9), retries: 0 };
    let moved = Settlement { id: ids[5], verdict, at: at(1), attempt: None };
    get(world.store.settle(crate::store::Tenure::SOLE, vec![moved], vec![]));
    let figures = total(&world, host(&world, "a.example"));
    let wanted = [
        (Word::Sent, 6),
        (Word::Delivered, 1),
        (Word::Failed, 1),
        (Word::Exhausted, 1),
        (Word::Expired, 1),
        (Word::Cancelled, 1),
        (Word::Retried, 2),
        (Word::Deferred, 1),
    ];
    assert_eq!(said(&figures), wanted);
    assert_eq!(figures.by_status(), [(503, 3)].into(), "the expired one was answered 503 last");
    assert_eq!(said(&total(&world, host(&world, "b.example"))), [(Word::Sent, 1)]);
    assert_eq!(total(&world, Subject::Workspace).of(Word::Sent), 7);
    assert!(total(&world, Subject::Host(HostNumber(u32::MAX))).is_empty());
}

fn a_repeat_counts_nothing_twice(make: Make<'_>) {
    let world = World::new(make);
    let delivery = world.delivery("a.example");
    let id = delivery.id;
    for _ in 0..2 {
        assert_eq!(get(world.store.accept(of_one(delivery.clone()))), Accepted::New);
    }
    let settlements = vec![
        tried(id, 1, Verdict::Again { due: at(60), retries: 1 }),
        tried(id, 2, Verdict::End(End::Delivered)),
    ];
    for _ in 0..2 {
        get(world.store.settle(crate::store::Tenure::SOLE, settlements.clone(), vec![]));
    }
    world.end(id, End::Cancelled);
    let wanted = [(Word::Sent, 1), (Word::Delivered, 1), (Word::Retried, 1)];
    assert_eq!(said(&total(&world, host(&world, "a.example"))), wanted);
}

/// An attempt that began so many milliseconds after the beginning.
fn begun(id: DeliveryId, number: u32, millis: u64, verdict: Verdict) -> Settlement {
    let mut settlement = tried(id, number, verdict);
    if let Some(attempt) = &mut settlement.attempt {
        attempt.started = T0.plus(Duration::from_millis(millis));
    }
    settlement
}

fn a_delivery_that_had_to_wait_is_deferred_once(make: Make<'_>) {
    let world = World::new(make);
    let again = Verdict::Again { due: at(5), retries: 1 };
    let done = Verdict::End(End::Delivered);
    let deferred = |settlements: Vec<Settlement>| {
        let before = total(&world, Subject::Workspace).of(Word::Deferred);
        get(world.store.settle(crate::store::Tenure::SOLE, settlements, vec![]));
        total(&world, Subject::Workspace).of(Word::Deferred) - before
    };
    let [prompt, late, unsent, blocking] = [0, 1, 2, 3].map(|number| match number {
        3 => world.accept(world.keyed("a.example", "k", OnFailure::Block)),
        _ => world.accept(world.delivery("a.example")),
    });
    assert_eq!(deferred(vec![begun(prompt, 1, 999, again), begun(prompt, 2, 90_000, done)]), 0);
    assert_eq!(deferred(vec![begun(late, 1, 1_000, again), begun(late, 2, 90_000, done)]), 1);
    let end = |id, end, secs| {
        let verdict = Verdict::End(end);
        Settlement { id, verdict, at: at(secs), attempt: None }
    };
    assert_eq!(deferred(vec![end(unsent, End::Expired, 100)]), 1, "no attempt was ever made");
    assert_eq!(deferred(vec![end(blocking, End::Expired, 100)]), 1);
    assert_eq!(deferred(vec![end(blocking, End::Cancelled, 200)]), 0, "it had ended before");
}

fn latencies_are_those_of_requests_that_went_out(make: Make<'_>) {
    let world = World::new(make);
    let ids = world.accept_plain("a.example", 3);
    let blocked = Outcome::Blocked { reason: "not allowed".into() };
    let timed_out = Outcome::NoAnswer { reason: "timed out".into(), timed_out: true };
    for (id, outcome, total_us) in [(ids[0], blocked, 7), (ids[1], timed_out, 90_000_000)] {
        let timings = Timings { total_us, ..Timings::default() };
        let attempt = Attempt { number: 1, started: T0, outcome, timings };
        let verdict = Verdict::End(End::Failed);
        let settlement = Settlement { id, verdict, at: at(1), attempt: Some(attempt) };
        get(world.store.settle(crate::store::Tenure::SOLE, vec![settlement], vec![]));
    }
    world.attempt(ids[2], 1, Verdict::End(End::Delivered));
    let figures = total(&world, host(&world, "a.example"));
    let (p50, p99) = (figures.percentile_ms(0.5), figures.percentile_ms(0.99));
    assert!(p50.is_some_and(|p50| (0.9..1.02).contains(&p50)), "{p50:?}");
    assert!(p99.is_some_and(|p99| (90_000.0..101_250.0).contains(&p99)), "{p99:?}");
    assert_eq!(figures.by_status(), [(599, 1)].into(), "what was blocked has no status");
}

fn composed(world: &World, accepted: Timestamp, recipient: &str) -> Delivery {
    let provenance = Provenance {
        campaign: Some("c1".into()),
        template: Some("t1".into()),
        template_version: Some(2),
        recipient: Some(recipient.into()),
        ..Provenance::default()
    };
    let provenance = Some(Arc::new(provenance));
    Delivery { provenance, ..world.delivery_at("a.example", accepted) }
}

fn recipients_are_counted_once_in_a_step_and_once_in_all(make: Make<'_>) {
    let world = World::new(make);
    for (secs, recipient) in
        [(0, "u1"), (1, "u1"), (2, "u2"), (3_600, "u1"), (DAY, "u1"), (DAY, "u3"), (2 * DAY, "u3")]
    {
        world.accept(composed(&world, at(secs), recipient));
    }
    world.accept_plain("a.example", 1);
    let subjects = [
        Subject::Workspace,
        host(&world, "a.example"),
        Subject::Campaign("c1".into()),
        Subject::Template("t1".into()),
    ];
    for subject in subjects {
        let points = |step, word| {
            let report = report(&world, 0, subject.clone(), step);
            let points = report.points.iter().map(|(_, figures)| figures.of(word));
            (points.collect::<Vec<_>>(), report.recipients)
        };
        assert_eq!(points(Step::Day, Word::RecipientsOfDay), (vec![2, 2, 1], Some(3)));
        assert_eq!(points(Step::Hour, Word::RecipientsOfHour), (vec![2, 1, 2, 1], Some(3)));
        assert_eq!(points(Step::Minute, Word::RecipientsOfHour), (vec![0, 0], None));
        let query = |from, until| {
            let (workspace, step, subject) = (0, Step::Hour, subject.clone());
            get(world.store.report(ReportQuery { workspace, subject, step, from, until }))
        };
        assert_eq!(query(at(3_600), at(DAY)).recipients, Some(1));
        assert_eq!(query(at(7_200), at(DAY)).recipients, Some(0));
        assert_eq!(query(at(3_600), at(3_600)), ReportPoints::default());
    }
}

fn composed_deliveries_count_for_what_composed_them(make: Make<'_>) {
    let world = World::new(make);
    let provenances = [
        Provenance { campaign: Some("c1".into()), ..Provenance::default() },
        Provenance {
            canvas: Some("v1".into()),
            template: Some("t1".into()),
            template_version: Some(1),
            ..Provenance::default()
        },
        Provenance { template: Some("t1".into()), ..Provenance::default() },
    ];
    for provenance in provenances {
        let provenance = Some(Arc::new(provenance));
        let id = world.accept(Delivery { provenance, ..world.delivery("a.example") });
        world.attempt(id, 1, Verdict::Again { due: at(9), retries: 1 });
        world.attempt(id, 2, Verdict::End(End::Failed));
    }
    for (subject, count) in [
        (Subject::Campaign("c1".into()), 1),
        (Subject::Canvas("v1".into()), 1),
        (Subject::Template("t1".into()), 2),
        (Subject::Workspace, 3),
    ] {
        let figures = total(&world, subject.clone());
        let wanted = [(Word::Sent, count), (Word::Failed, count), (Word::Retried, count)];
        assert_eq!(said(&figures), wanted, "{subject:?}");
        assert_eq!(figures.by_status(), [(503, count)].into());
    }
    assert!(total(&world, Subject::Campaign("v1".into())).is_empty());
    assert!(total(&world, Subject::Canvas("c1".into())).is_empty());
    let host = HostName::from_normalised("a.example");
    let number = get(world.store.number(host));
    let entries = get(world.store.page(number, None, 10));
    assert!(entries.is_empty());
}

fn points_of_every_step_add_up_to_the_same(make: Make<'_>) {
    let world = World::new(make);
    let mut dice = 7_u64;
    let mut roll = |sides: u64| {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (dice >> 33) % sides
    };
    let mut wanted = [0; 6];
    for _ in 0..120 {
        let name = ["a.example", "b.example", "c.example"][roll(3) as usize];
        let id = world.accept(world.delivery_at(name, at(roll(DAY / 2))));
        wanted[0] += 1;
        let ends = [End::Delivered, End::Failed, End::Exhausted, End::Expired, End::Cancelled];
        let place = roll(6) as usize;
        let Some(end) = ends.get(place) else { continue };
        wanted[place + 1] += 1;
        let mut settlement = tried(id, 1, Verdict::End(*end));
        settlement.at = at(DAY / 2 + roll(DAY / 4));
        get(world.store.settle(crate::store::Tenure::SOLE, vec![settlement], vec![]));
        if roll(10) == 0 {
            let _more = get(world.store.fold());
        }
    }
    let words = [
        Word::Sent,
        Word::Delivered,
        Word::Failed,
        Word::Exhausted,
        Word::Expired,
        Word::Cancelled,
    ];
    for step in Step::ALL {
        let whole = sum(&report(&world, 0, Subject::Workspace, step));
        assert_eq!(words.map(|word| whole.of(word)), wanted, "by the {}", step.as_str());
        let mut of_hosts = Figures::default();
        for name in ["a.example", "b.example", "c.example"] {
            let points = report(&world, 0, host(&world, name), step);
            let mut last = Timestamp::from_millis(0);
            for (at, figures) in &points.points {
                assert!(*at > last && step.start(step.number(*at)) == *at, "{at}");
                assert!(!figures.is_empty());
                last = *at;
            }
            of_hosts.add(&sum(&points));
        }
        assert_eq!(of_hosts, whole, "hosts add up to the workspace, latencies too");
    }
}

fn workspaces_have_reports_of_their_own(make: Make<'_>) {
    let world = World::new(make);
    world.accept_plain("a.example", 2);
    let id = world.accept(Delivery { workspace: 7, ..composed(&world, T0, "u1") });
    world.attempt(id, 1, Verdict::End(End::Delivered));
    let of = |workspace, subject| sum(&report(&world, workspace, subject, Step::Day));
    for subject in [Subject::Workspace, host(&world, "a.example")] {
        assert_eq!(said(&of(0, subject.clone())), [(Word::Sent, 2)]);
        let wanted = [(Word::Sent, 1), (Word::Delivered, 1)];
        assert_eq!(said(&of(7, subject.clone())), wanted);
        assert!(of(8, subject.clone()).is_empty());
        assert_eq!(report(&world, 0, subject.clone(), Step::Day).recipients, Some(0));
        assert_eq!(report(&world, 7, subject, Step::Day).recipients, Some(1));
    }
    assert!(of(0, Subject::Campaign("c1".into())).is_empty());
    assert_eq!(of(7, Subject::Campaign("c1".into())).of(Word::Sent), 1);
}

fn what_is_kept_no_longer_is_forgotten_step_by_step(make: Make<'_>) {
    let world = World::new(make);
    world.accept(composed(&world, T0, "u1"));
    world.accept(composed(&world, at(3_600), "u2"));
    while get(world.store.fold()) {}
    let sent = |step| sum(&report(&world, 0, Subject::Workspace, step)).of(Word::Sent);
    let left = || Step::ALL.map(sent);
    let forget = |kept, now| while get(world.store.forget(kept, now, 1)) {};
    forget(ALL_KEPT, at(3 * DAY));
    assert_eq!(left(), [2, 2, 2]);
    let hour = Duration::from_secs(3_600);
    forget(Kept { minutes: hour, ..ALL_KEPT }, at(3_600 + 60));
    assert_eq!(left(), [1, 2, 2], "the minute an hour ago is over");
    forget(Kept { hours: hour, ..ALL_KEPT }, at(7_200));
    assert_eq!(left(), [1, 1, 2]);
    forget(Kept { hours: hour, ..ALL_KEPT }, at(3 * DAY));
    assert_eq!(left(), [1, 0, 2]);
    let days = report(&world, 0, Subject::Workspace, Step::Day);
    assert_eq!(days.points[0].1.of(Word::RecipientsOfDay), 2, "how many is still known");
    assert_eq!(days.recipients, Some(0), "but not who");
    forget(Kept { days: hour, ..ALL_KEPT }, at(3 * DAY));
    assert_eq!(left(), [1, 0, 0]);
}
