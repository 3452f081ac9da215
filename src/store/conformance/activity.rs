//! Claims about the activity log: what is noted, for whom, and how many rows it takes.

use std::sync::Arc;
use std::time::Duration;

use futures::executor::block_on;

use super::records::composed;
use super::reports::ALL_KEPT;
use super::world::{T0, World, at, get, tried};
use crate::model::{Delivery, End, HostName, OnFailure, Settlement, Verdict};
use crate::store::{
    Acceptance, Activity, ActivityFilter, AuditEntry, ConditionChange, HostUpdate, Kept, Logged,
    QueryError, RecordKind, Store, Writes,
};

type Make<'a> = &'a dyn Fn() -> Arc<dyn Store>;

pub(super) fn exercise(make: Make<'_>) {
    an_end_without_success_is_in_the_activity_log(make);
    the_activity_log_is_paged_newest_first_and_swept(make);
    many_ends_at_one_host_are_one_entry_a_minute(make);
    composed_ends_name_their_recipients_as_far_as_the_ration_goes(make);
    a_blocked_key_is_noted(make);
    a_host_that_falls_ill_and_recovers_is_noted_where_it_concerns(make);
    entries_are_found_by_host_status_and_time(make);
    audit_entries_are_kept_as_long_as_is_asked(make);
}

pub(super) fn activity(world: &World, filter: ActivityFilter) -> Vec<Logged> {
    let page = block_on(world.store.activity(filter, None, 1_000));
    page.expect("the store does what it is asked").rows
}

fn plain(rows: &[Logged]) -> Vec<Activity> {
    rows.iter().map(|row| row.entry.clone()).collect()
}

fn an_end_without_success_is_in_the_activity_log(make: Make<'_>) {
    let world = World::new(make);
    let [first, second] = ["u1", "u2"].map(|recipient| world.accept(composed(&world, recipient)));
    world.end(first, End::Delivered);
    world.attempt(second, 1, Verdict::End(End::Failed));
    let entries = activity(&world, ActivityFilter::default());
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0].count, 1);
    let entry = &entries[0].entry;
    assert_eq!(
        (entry.kind.as_str(), entry.delivery, entry.status),
        ("failed", Some(second), Some(503))
    );
    assert_eq!((entry.recipient.as_deref(), entry.subject.as_deref()), (Some("u2"), Some("c1")));
}

pub(super) fn entry(secs: u64, kind: &str, subject: &str) -> Activity {
    Activity {
        at: at(secs),
        kind: kind.into(),
        subject: Some(subject.into()),
        recipient: Some("u".into()),
        detail: format!("at {secs}"),
        ..Activity::default()
    }
}

fn the_activity_log_is_paged_newest_first_and_swept(make: Make<'_>) {
    let world = World::new(make);
    let entries = vec![entry(1, "aborted", "x"), entry(2, "capped", "y"), entry(3, "aborted", "x")];
    let writes = Writes { activity: entries.clone(), ..Writes::default() };
    get(world.store.accept(Acceptance { at: T0, writes, ..Acceptance::default() }));
    let all: Vec<Activity> = entries.iter().rev().cloned().collect();
    assert_eq!(plain(&activity(&world, ActivityFilter::default())), all);
    let of = |subject: Option<&str>, kind: Option<&str>, recipient: Option<&str>| {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let (subject, kind, recipient) = (own(subject), own(kind), own(recipient));
        let filter = ActivityFilter { subject, kind, recipient, ..ActivityFilter::default() };
        activity(&world, filter).len()
    };
    assert_eq!(of(Some("x"), None, None), 2);
    assert_eq!(of(None, Some("capped"), None), 1);
    assert_eq!(of(Some("x"), Some("capped"), None), 0);
    assert_eq!((of(None, None, Some("u")), of(None, None, Some("v"))), (3, 0));
    let list = |after| block_on(world.store.activity(ActivityFilter::default(), after, 2));
    let first = list(None).expect("a page");
    assert_eq!(plain(&first.rows), all[..2]);
    let second = list(first.next).expect("a page");
    assert_eq!((plain(&second.rows), second.next), (all[2..].to_vec(), None));
    assert!(matches!(list(Some("?".into())), Err(QueryError::BadCursor)));
    let kept = Kept { activity: Duration::from_secs(1), ..ALL_KEPT };
    while get(world.store.forget(kept, at(4), 1)) {}
    assert_eq!(plain(&activity(&world, ActivityFilter::default())), all[..1]);
}

/// Kinds and counts, the newest first.
fn kinds(world: &World, workspace: u32) -> Vec<(String, u64)> {
    let rows = activity(world, ActivityFilter { workspace, ..ActivityFilter::default() });
    rows.into_iter().map(|row| (row.entry.kind, row.count)).collect()
}

fn failed(world: &World, delivery: Delivery, secs: u64) -> Settlement {
    let id = world.accept(delivery);
    Settlement { at: at(secs), ..tried(id, 1, Verdict::End(End::Failed)) }
}

fn many_ends_at_one_host_are_one_entry_a_minute(make: Make<'_>) {
    let world = World::new(make);
    for round in 0..3 {
        let ends: Vec<Settlement> = (0..50)
            .map(|number| failed(&world, world.delivery("a.example"), round * 10 + number % 10))
            .collect();
        for _ in 0..2 {
            get(world.store.settle(crate::store::Tenure::SOLE, ends.clone(), vec![]));
        }
    }
    let theirs = failed(&world, Delivery { workspace: 7, ..world.delivery("a.example") }, 1);
    let other = failed(&world, world.delivery("b.example"), 1);
    let later = failed(&world, world.delivery("a.example"), 61);
    let last = later.id;
    get(world.store.settle(crate::store::Tenure::SOLE, vec![theirs, other, later], vec![]));
    world.end(world.accept(world.delivery("a.example")), End::Cancelled);
    let rows = activity(&world, ActivityFilter::default());
    let counts: Vec<u64> = rows.iter().map(|row| row.count).collect();
    let mut sorted = counts.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1, 1, 150], "{rows:?}");
    let many = rows.iter().find(|row| row.count == 150).expect("one row for all of the minute");
    assert_eq!((many.first_at, many.entry.at, many.entry.status), (at(0), at(29), Some(503)));
    assert_eq!(many.entry.host, HostName::parse("a.example"));
    assert!(many.entry.delivery.is_some() && many.entry.recipient.is_none());
    assert!(rows.iter().any(|row| row.entry.delivery == Some(last)));
    assert_eq!(kinds(&world, 7), [("failed".to_owned(), 1)]);
}

fn composed_ends_name_their_recipients_as_far_as_the_ration_goes(make: Make<'_>) {
    let world = World::new(make);
    for _ in 0..4 {
        let end = |number| failed(&world, composed(&world, &format!("u{number}")), 1);
        let ends: Vec<Settlement> = (0..200).map(end).collect();
        get(world.store.settle(crate::store::Tenure::SOLE, ends, vec![]));
    }
    let rows = activity(&world, ActivityFilter::default());
    let named = rows.iter().filter(|row| row.entry.recipient.is_some());
    assert_eq!(named.clone().count(), 600);
    assert!(named.clone().all(|row| row.count == 1));
    let rest: Vec<_> = rows.iter().filter(|row| row.entry.recipient.is_none()).collect();
    assert_eq!((rest.len(), rest[0].count), (1, 200));
    assert_eq!(rest[0].entry.subject.as_deref(), Some("c1"));
}

fn a_blocked_key_is_noted(make: Make<'_>) {
    let world = World::new(make);
    let id = world.accept(world.keyed("a.example", "k", OnFailure::Block));
    world.attempt(id, 1, Verdict::End(End::Failed));
    let filter = ActivityFilter { kind: Some("key_blocked".into()), ..ActivityFilter::default() };
    let rows = activity(&world, filter);
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0].entry.delivery, Some(id));
    assert!(rows[0].entry.detail.contains("\"k\""), "{}", rows[0].entry.detail);
}

fn a_host_that_falls_ill_and_recovers_is_noted_where_it_concerns(make: Make<'_>) {
    let world = World::new(make);
    let host = world.host("a.example");
    world.accept(Delivery { workspace: 7, ..world.delivery("a.example") });
    world.accept(Delivery { workspace: 8, ..world.delivery("b.example") });
    let change = |secs, condition| {
        let reason = "20 of 30 failed".to_owned();
        let change = ConditionChange { at: at(secs), condition, reason };
        let update = HostUpdate { host, saved: "{}".into(), changes: vec![change] };
        for _ in 0..2 {
            get(world.store.settle(crate::store::Tenure::SOLE, vec![], vec![update.clone()]));
        }
    };
    change(0, Some("limited"));
    change(1, Some("cooling_down"));
    change(61, Some("probing"));
    change(62, Some("cooling_down"));
    change(122, Some("probing"));
    change(123, None);
    change(200, Some("paused"));
    change(300, None);
    let told = |kinds: &[&str]| -> Vec<(String, u64)> {
        kinds.iter().map(|kind| ((*kind).to_owned(), 1)).collect()
    };
    assert_eq!(kinds(&world, 0), told(&["host_recovered", "host_unhealthy"]));
    let all = ["host_resumed", "host_paused", "host_recovered", "host_unhealthy"];
    assert_eq!(kinds(&world, 7), told(&all));
    assert!(kinds(&world, 8).is_empty());
    let details = |workspace| {
        let rows = activity(&world, ActivityFilter { workspace, ..ActivityFilter::default() });
        rows.iter().any(|row| row.entry.detail.contains("20 of 30"))
    };
    assert!(details(0) && !details(7), "a guest is not told what others sent");
}

fn entries_are_found_by_host_status_and_time(make: Make<'_>) {
    let world = World::new(make);
    for (name, secs) in [("a.example", 1), ("b.example", 100), ("a.example", 7_300)] {
        let end = failed(&world, world.delivery(name), secs);
        get(world.store.settle(crate::store::Tenure::SOLE, vec![end], vec![]));
    }
    world.end(world.accept(world.delivery("b.example")), End::Expired);
    let found = |filter: ActivityFilter| {
        let rows = activity(&world, filter.clone());
        let (mut same, all) = get(world.store.logged(filter, 100));
        same.sort_by_key(|row| rows.iter().position(|other| other == row));
        assert_eq!((&same, all), (&rows, true));
        rows.len()
    };
    let any = ActivityFilter::default;
    let host = HostName::parse("a.example");
    assert_eq!(found(any()), 4);
    assert_eq!(found(ActivityFilter { host, ..any() }), 2);
    let nobody = HostName::parse("nobody.example");
    assert_eq!(found(ActivityFilter { host: nobody, ..any() }), 0);
    assert_eq!(found(ActivityFilter { status: Some(503), ..any() }), 3);
    assert_eq!(found(ActivityFilter { status: Some(404), ..any() }), 0);
    let (from, until) = (Some(at(100)), Some(at(7_300)));
    assert_eq!(found(ActivityFilter { from, ..any() }), 2);
    assert_eq!(found(ActivityFilter { until, ..any() }), 3);
    assert_eq!(found(ActivityFilter { from, until, ..any() }), 1);
    let (newest, all) = get(world.store.logged(any(), 2));
    assert_eq!((newest.len(), newest[0].entry.at, all), (2, at(7_300), false));
}

fn audit_entries_are_kept_as_long_as_is_asked(make: Make<'_>) {
    let world = World::new(make);
    for (secs, workspace) in [(0, 0), (50, 7), (100, 7)] {
        let entry = AuditEntry {
            at: at(secs),
            who: "local".into(),
            action: "key.created".into(),
            subject: "k".into(),
            detail: String::new(),
            address: None,
            workspace,
        };
        let writes = Writes { records: entry.writes().into(), ..Writes::default() };
        get(world.store.accept(Acceptance { at: T0, writes, ..Acceptance::default() }));
    }
    let count = |prefix: &str| {
        get(world.store.scan(0, RecordKind::Audit, (prefix.into(), None), 100)).len()
    };
    assert_eq!((count("all/"), count("0/"), count("7/")), (3, 1, 2));
    let kept = Kept { audit: Duration::from_secs(10), ..ALL_KEPT };
    while get(world.store.forget(kept, at(60), 1)) {}
    assert_eq!((count("all/"), count("0/"), count("7/")), (2, 0, 2));
    while get(world.store.forget(kept, at(61), 1)) {}
    assert_eq!((count("all/"), count("0/"), count("7/")), (1, 0, 1));
}
