//! Claims about lists and counts: filters, order, cursors.

use std::sync::Arc;

use futures::executor::block_on;

use super::world::{World, at, get};
use crate::model::{Delivery, DeliveryId, End, HostName, OnFailure, StoredState};
use crate::store::{Acceptance, DeliveryFilter, DeliveryRecord, Page, QueryError, Store};

type Make<'a> = &'a dyn Fn() -> Arc<dyn Store>;

pub(super) fn exercise(make: Make<'_>) {
    a_list_is_newest_first_and_without_bodies(make);
    pages_follow_each_other_without_gap_or_repeat(make);
    every_filter_narrows(make);
    a_trigger_lists_all_of_its_deliveries(make);
    what_is_accepted_between_two_pages_moves_nothing(make);
    a_cursor_of_another_make_is_refused(make);
}

fn list(
    world: &World,
    filter: &DeliveryFilter,
    after: Option<String>,
    limit: usize,
) -> Page<DeliveryRecord> {
    block_on(world.store.list(filter.clone(), after, limit)).expect("listed")
}

fn ids(page: &Page<DeliveryRecord>) -> Vec<DeliveryId> {
    page.rows.iter().map(|row| row.id).collect()
}

/// All pages of `limit` rows, and their ids put together.
fn walk(world: &World, filter: &DeliveryFilter, limit: usize) -> Vec<DeliveryId> {
    let mut found = Vec::new();
    let mut after = None;
    loop {
        let page = list(world, filter, after, limit);
        assert!(page.rows.len() <= limit);
        found.extend(ids(&page));
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

fn sorted(mut ids: Vec<DeliveryId>) -> Vec<DeliveryId> {
    ids.sort_unstable();
    ids
}

fn all() -> DeliveryFilter {
    DeliveryFilter::default()
}

fn of_host(host: &str) -> DeliveryFilter {
    DeliveryFilter { host: Some(HostName::from_normalised(host)), ..all() }
}

fn a_list_is_newest_first_and_without_bodies(make: Make<'_>) {
    let world = World::new(make);
    let accepted: Vec<_> =
        (0..5).map(|secs| world.accept(world.delivery_at("a.example", at(secs)))).collect();
    let newest_first: Vec<_> = accepted.iter().rev().copied().collect();
    for filter in [all(), of_host("a.example")] {
        let page = list(&world, &filter, None, 10);
        assert_eq!(ids(&page), newest_first);
        assert_eq!(page.next, None);
        let whole = world.find(accepted[0]).webhook;
        let listed = &page.rows[4].webhook;
        assert!(listed.body.is_empty());
        assert_eq!((&listed.target, &listed.headers), (&whole.target, &whole.headers));
    }
    assert!(list(&world, &of_host("b.example"), None, 10).rows.is_empty());
}

fn pages_follow_each_other_without_gap_or_repeat(make: Make<'_>) {
    let world = World::new(make);
    // All within one millisecond, where ids say nothing about order.
    let all_ids = world.accept_plain("a.example", 23);
    for id in &all_ids {
        world.end(*id, End::Failed);
    }
    let dead = |filter| DeliveryFilter { states: vec![StoredState::Ended(End::Failed)], ..filter };
    let by_id = DeliveryFilter { ids: Some(all_ids.clone()), ..all() };
    let filters = [all(), of_host("a.example"), dead(all()), dead(of_host("a.example")), by_id];
    for filter in filters {
        for limit in [1, 7, 23, 1_000] {
            let found = walk(&world, &filter, limit);
            assert_eq!(found.len(), 23, "none twice");
            assert_eq!(sorted(found), sorted(all_ids.clone()));
        }
    }
}

fn every_filter_narrows(make: Make<'_>) {
    let world = World::new(make);
    let tagged = |secs, tags: &[(&str, &str)]| {
        let metadata = tags.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let delivery = world.delivery_at("a.example", at(secs));
        world.accept(Delivery { metadata: metadata.collect(), ..delivery })
    };
    let head = world.accept(world.keyed("a.example", "k", OnFailure::Continue));
    let parked = world.accept(world.keyed("a.example", "k", OnFailure::Continue));
    let one = tagged(0, &[("order", "1"), ("shop", "x")]);
    let two = tagged(200, &[("order", "2"), ("shop", "x")]);
    let other = world.accept(world.delivery_at("b.example", at(400)));
    world.end(two, End::Exhausted);
    world.end(other, End::Delivered);
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let with = |metadata| DeliveryFilter { metadata, ..all() };
    let in_state = |states| DeliveryFilter { states, ..all() };
    let ended = StoredState::Ended;
    let from_to = |from, until| DeliveryFilter { from, until, ..all() };
    let cases = [
        (with(vec![pair("shop", "x")]), vec![one, two]),
        (with(vec![pair("shop", "x"), pair("order", "2")]), vec![two]),
        (with(vec![pair("shop", "y")]), vec![]),
        (in_state(vec![StoredState::Pending]), vec![one, head]),
        (in_state(vec![StoredState::Parked]), vec![parked]),
        (in_state(vec![ended(End::Exhausted), ended(End::Failed)]), vec![two]),
        (in_state(vec![ended(End::Exhausted), ended(End::Delivered)]), vec![two, other]),
        (from_to(Some(at(200)), None), vec![two, other]),
        (from_to(None, Some(at(200))), vec![one, head, parked]),
        (from_to(Some(at(1)), Some(at(201))), vec![two]),
        (DeliveryFilter { from: Some(at(100)), ..of_host("a.example") }, vec![two]),
        (DeliveryFilter { until: Some(at(100)), ..of_host("a.example") }, vec![one, head, parked]),
        (of_host("b.example"), vec![other]),
        (DeliveryFilter { ids: Some(vec![one, other]), ..of_host("a.example") }, vec![one]),
        (DeliveryFilter { ids: Some(vec![]), ..all() }, vec![]),
        (DeliveryFilter { states: vec![ended(End::Exhausted)], ..of_host("a.example") }, vec![two]),
        (DeliveryFilter { metadata: vec![pair("shop", "x")], ..of_host("b.example") }, vec![]),
    ];
    for (filter, expected) in cases {
        assert_eq!(sorted(walk(&world, &filter, 2)), sorted(expected.clone()), "{filter:?}");
        let count = get(world.store.count(filter.clone(), 100));
        assert_eq!(count, expected.len() as u64, "{filter:?}");
    }
    assert_eq!(get(world.store.count(all(), 3)), 3, "counting at most to three");
}

fn a_trigger_lists_all_of_its_deliveries(make: Make<'_>) {
    let world = World::new(make);
    let hosts = ["a.example", "b.example", "a.example"];
    let mut deliveries: Vec<_> = hosts.map(|host| world.delivery(host)).into();
    let trigger = deliveries[0].id.trigger();
    deliveries.iter_mut().for_each(|delivery| delivery.trigger = trigger);
    let expected: Vec<_> = deliveries.iter().rev().map(|delivery| delivery.id).collect();
    let deliveries = deliveries.into_iter().map(Arc::new).collect();
    get(world.store.accept(Acceptance::of(deliveries)));
    let other = world.accept_plain("a.example", 1)[0];
    let filter = DeliveryFilter { trigger: Some(trigger), ..all() };
    for limit in [1, 10] {
        assert_eq!(walk(&world, &filter, limit), expected);
    }
    let narrowed = DeliveryFilter { trigger: Some(trigger), ..of_host("b.example") };
    assert_eq!(walk(&world, &narrowed, 10), [expected[1]]);
    let by_id = DeliveryFilter { ids: Some(vec![other, expected[0]]), ..filter };
    assert_eq!(walk(&world, &by_id, 10), [expected[0]]);
    assert_eq!(world.find(expected[0]).trigger, trigger);
}

fn what_is_accepted_between_two_pages_moves_nothing(make: Make<'_>) {
    let world = World::new(make);
    let older = world.accept_plain("a.example", 4);
    for filter in [all(), of_host("a.example")] {
        let first = list(&world, &filter, None, 2);
        let seen = ids(&first);
        world.accept(world.delivery_at("a.example", at(9)));
        let rest = ids(&list(&world, &filter, first.next, 100));
        let left = older.iter().filter(|id| !seen.contains(id)).count();
        assert!(rest.iter().all(|id| !seen.contains(id)));
        assert_eq!(rest.iter().filter(|id| older.contains(id)).count(), left);
    }
}

fn a_cursor_of_another_make_is_refused(make: Make<'_>) {
    let world = World::new(make);
    world.accept_plain("a.example", 2);
    for garbage in ["", "x", "-1", "s", "szz", "ü", "i00", "s-1", "i\u{0}"] {
        let listed = block_on(world.store.list(all(), Some(garbage.into()), 10));
        assert_eq!(listed.err(), Some(QueryError::BadCursor), "{garbage:?}");
    }
}
