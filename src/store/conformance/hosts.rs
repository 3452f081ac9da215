//! Claims about hosts: numbers, saved states, controls, intervals.

use std::sync::Arc;

use futures::executor::block_on;
use futures::future::join_all;

use super::world::{World, at, get};
use crate::model::{End, HostControls, HostName, HostNumber};
use crate::store::{ConditionChange, HostInterval, HostUpdate, Store};

type Make<'a> = &'a dyn Fn() -> Arc<dyn Store>;

pub(super) fn exercise(make: Make<'_>) {
    a_host_keeps_its_number_and_its_shard(make);
    a_host_is_shown_with_what_is_kept_of_it(make);
    hosts_are_listed_by_name(make);
    controls_are_kept_until_they_are_the_default_again(make);
    a_saved_state_replaces_the_last(make);
    intervals_begin_end_and_are_continued_over_a_short_gap(make);
    an_update_made_again_adds_no_interval(make);
    intervals_are_found_by_overlap_and_swept(make);
}

fn name(text: &str) -> HostName {
    HostName::from_normalised(text)
}

fn a_host_keeps_its_number_and_its_shard(make: Make<'_>) {
    let world = World::new(make);
    assert_eq!(world.store.known_number(&name("a.example")), None);
    let names: Vec<_> = (0..50).map(|n| name(&format!("h{n}.example"))).collect();
    let asked = names.iter().chain(&names).map(|name| world.store.number(name.clone()));
    let numbers: Vec<HostNumber> =
        block_on(join_all(asked)).into_iter().collect::<Result<_, _>>().expect("numbers");
    assert_eq!(numbers[..50], numbers[50..], "the same for the same name");
    let mut distinct = numbers[..50].to_vec();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), 50);
    for (name, number) in names.iter().zip(&numbers) {
        assert_eq!(number.shard(), name.shard());
        assert_eq!(world.store.known_number(name), Some(*number));
    }
}

fn a_host_is_shown_with_what_is_kept_of_it(make: Make<'_>) {
    let world = World::new(make);
    assert!(get(world.store.host(name("a.example"))).is_none());
    let ids = world.accept_plain("a.example", 3);
    world.end(ids[0], End::Delivered);
    let host = get(world.store.host(name("a.example"))).expect("it was seen");
    assert_eq!((host.number, host.name), (ids[0].host(), name("a.example")));
    assert_eq!((host.pending, host.saved), (2, None));
    assert_eq!(host.controls, HostControls::default());
}

fn hosts_are_listed_by_name(make: Make<'_>) {
    let world = World::new(make);
    for host in ["c.example", "a.example", "b.example"] {
        world.host(host);
    }
    let listed = |after: Option<&str>, limit| {
        let hosts = get(world.store.hosts(None, after.map(name), limit));
        hosts.into_iter().map(|host| host.name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(listed(None, 10), ["a.example", "b.example", "c.example"]);
    assert_eq!(listed(None, 2), ["a.example", "b.example"]);
    assert_eq!(listed(Some("b.example"), 2), ["c.example"]);
}

fn controls_are_kept_until_they_are_the_default_again(make: Make<'_>) {
    let world = World::new(make);
    let number = world.host("a.example");
    world.host("b.example");
    let mut controls = HostControls {
        paused: true,
        reason: Some("migration".into()),
        paused_at: Some(at(0)),
        ..HostControls::default()
    };
    controls.policy.limits.requests_per_second = Some(2.5);
    get(world.store.control(number, controls.clone()));
    assert_eq!(get(world.store.controlled()), [(name("a.example"), controls.clone())]);
    let host = get(world.store.host(name("a.example"))).expect("it was seen");
    assert_eq!(host.controls, controls);
    get(world.store.control(number, HostControls::default()));
    assert!(get(world.store.controlled()).is_empty());
}

fn update(host: HostNumber, changes: &[(u64, Option<&'static str>)]) -> HostUpdate {
    let change = |(secs, condition): &(u64, Option<&'static str>)| ConditionChange {
        at: at(*secs),
        condition: *condition,
        reason: format!("since {secs}"),
    };
    HostUpdate { host, saved: "{}".into(), changes: changes.iter().map(change).collect() }
}

fn settle(world: &World, update: HostUpdate) {
    assert!(get(world.store.settle(crate::store::Tenure::SOLE, vec![], vec![update])).is_empty());
}

fn spans(world: &World, host: HostNumber) -> Vec<(String, u64, Option<u64>)> {
    let secs = |time| at(0).until(time).as_secs();
    let intervals = get(world.store.intervals(host, at(0), at(10_000), 100));
    let span =
        |interval: HostInterval| (interval.condition, secs(interval.from), interval.to.map(secs));
    intervals.into_iter().map(span).collect()
}

fn a_saved_state_replaces_the_last(make: Make<'_>) {
    let world = World::new(make);
    let number = world.host("a.example");
    for saved in ["{\"n\":1}", "{\"n\":2}"] {
        settle(&world, HostUpdate { saved: saved.into(), ..update(number, &[]) });
    }
    let host = get(world.store.host(name("a.example"))).expect("it was seen");
    assert_eq!(host.saved.as_deref(), Some("{\"n\":2}"));
}

fn intervals_begin_end_and_are_continued_over_a_short_gap(make: Make<'_>) {
    let world = World::new(make);
    let host = world.host("a.example");
    let limited = Some("limited");
    settle(&world, update(host, &[(1, limited)]));
    assert_eq!(spans(&world, host), [("limited".into(), 1, None)]);
    settle(&world, update(host, &[(2, None), (11, limited), (12, None)]));
    assert_eq!(spans(&world, host), [("limited".into(), 1, Some(12))], "continued over 9 s");
    settle(&world, update(host, &[(22, limited), (25, Some("cooling_down"))]));
    let expected = [
        ("cooling_down".to_owned(), 25, None),
        ("limited".to_owned(), 22, Some(25)),
        ("limited".to_owned(), 1, Some(12)),
    ];
    assert_eq!(spans(&world, host), expected, "10 s apart, and one follows the other");
    let newest = get(world.store.intervals(host, at(0), at(99), 1));
    assert_eq!(newest[0].reason, "since 25");
}

fn an_update_made_again_adds_no_interval(make: Make<'_>) {
    let world = World::new(make);
    let host = world.host("a.example");
    let changes = [(1, Some("limited")), (5, Some("paused")), (8, None)];
    for _ in 0..2 {
        settle(&world, update(host, &changes));
    }
    let expected = [("paused".to_owned(), 5, Some(8)), ("limited".to_owned(), 1, Some(5))];
    assert_eq!(spans(&world, host), expected);
}

fn intervals_are_found_by_overlap_and_swept(make: Make<'_>) {
    let world = World::new(make);
    let host = world.host("a.example");
    settle(&world, update(host, &[(10, Some("limited")), (20, None), (100, Some("paused"))]));
    let found = |from, to| get(world.store.intervals(host, at(from), at(to), 9)).len();
    assert_eq!((found(0, 9), found(0, 10), found(15, 16), found(20, 30)), (0, 1, 1, 1));
    assert_eq!((found(21, 99), found(21, 100), found(500, 600)), (0, 1, 1), "it still lasts");
    assert_eq!(get(world.store.intervals(world.host("b.example"), at(0), at(99), 9)), []);
    let _ = get(world.store.sweep(at(50), at(500), 100));
    assert_eq!(spans(&world, host), [("paused".into(), 100, None)]);
}
