//! Claims about ordering keys: one after the other, in order of acceptance.

use std::sync::Arc;

use super::world::{World, at, get, ids};
use crate::model::{Delivery, DeliveryId, End, OnFailure, Settlement, StoredState, Verdict};
use crate::store::Store;

type Make<'a> = &'a dyn Fn() -> Arc<dyn Store>;

const HOST: &str = "a.example";

pub(super) fn exercise(make: Make<'_>) {
    only_the_head_of_a_key_is_pending(make);
    keys_of_other_hosts_and_lanes_are_other_keys(make);
    a_failure_lets_the_key_go_on_unless_it_blocks(make);
    a_blocked_key_waits_for_skip(make);
    a_blocked_key_waits_for_cancel(make);
    a_blocked_key_waits_for_redrive(make);
    a_parked_delivery_that_ends_releases_nobody(make);
    a_parked_delivery_that_fails_blocks_when_its_turn_comes(make);
    a_redriven_delivery_is_parked_at_its_place_while_the_head_goes(make);
    several_redriven_of_a_key_go_in_order_of_acceptance(make);
    settlements_of_one_call_release_only_who_is_still_owed(make);
    a_released_delivery_is_returned_and_not_announced(make);
    a_blocking_delivery_is_not_swept(make);
    place_says_who_is_ahead_and_who_holds_the_key(make);
    given_up_and_blocking_ones_are_found_in_order_of_ending(make);
}

fn given_up_and_blocking_ones_are_found_in_order_of_ending(make: Make<'_>) {
    let world = World::new(make);
    let [blocking, ..] = three(&world, OnFailure::Block);
    let plain = world.accept_plain(HOST, 3);
    let ends = [
        (plain[0], 20, End::Exhausted),
        (blocking, 10, End::Failed),
        (plain[1], 15, End::Failed),
        (plain[2], 16, End::Delivered),
    ];
    let settlements = ends.map(|(id, second, end)| Settlement {
        id,
        verdict: Verdict::End(end),
        at: at(second),
        attempt: None,
    });
    get(world.store.settle(crate::store::Tenure::SOLE, settlements.into(), vec![]));
    let found = |from, limit| get(world.store.dead_letters(at(from), limit));
    assert_eq!(found(0, 10), [blocking, plain[0]]);
    assert_eq!(found(0, 1), [blocking]);
    assert_eq!(
        (found(11, 10), found(20, 10), found(21, 10)),
        (vec![plain[0]], vec![plain[0]], vec![],)
    );
}

fn three(world: &World, on_failure: OnFailure) -> [DeliveryId; 3] {
    std::array::from_fn(|_| world.accept(world.keyed(HOST, "k", on_failure)))
}

fn only_the_head_of_a_key_is_pending(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, third] = three(&world, OnFailure::Continue);
    let plain = world.accept_plain(HOST, 1)[0];
    assert_eq!(world.page(HOST), [first, plain]);
    assert_eq!(world.heard(), [first, plain]);
    assert_eq!(world.state(second), StoredState::Parked);
    let counts = world.store.counts();
    assert_eq!((counts.pending, counts.parked), (2, 2));
    assert_eq!(world.store.pending_of(first.host()), 2, "parked ones are not counted");
    world.attempt(first, 1, Verdict::Again { due: at(60), retries: 1 });
    assert_eq!(world.page(HOST), [plain, first], "a retry keeps its turn");
    assert_eq!(ids(&world.attempt(first, 2, Verdict::End(End::Delivered))), [second]);
    assert_eq!(world.page(HOST), [second, plain]);
    assert_eq!(ids(&world.end(second, End::Delivered)), [third]);
    assert!(world.end(third, End::Delivered).is_empty());
    let next = world.accept(world.keyed(HOST, "k", OnFailure::Continue));
    assert_eq!(world.state(next), StoredState::Pending, "a key that is over begins anew");
}

fn keys_of_other_hosts_and_lanes_are_other_keys(make: Make<'_>) {
    let world = World::new(make);
    let keyed = |host, key| world.keyed(host, key, OnFailure::Continue);
    let all = [
        world.accept(keyed(HOST, "k")),
        world.accept(keyed(HOST, "l")),
        world.accept(keyed("b.example", "k")),
        world.accept(Delivery { workspace: 2, ..keyed(HOST, "k") }),
    ];
    for id in all {
        assert_eq!(world.state(id), StoredState::Pending);
    }
}

fn a_failure_lets_the_key_go_on_unless_it_blocks(make: Make<'_>) {
    for end in [End::Failed, End::Exhausted, End::Expired, End::Cancelled, End::Delivered] {
        let world = World::new(make);
        let [first, second, _] = three(&world, OnFailure::Continue);
        assert_eq!(ids(&world.end(first, end)), [second]);
        let world = World::new(make);
        let [first, second, _] = three(&world, OnFailure::Block);
        let released = ids(&world.end(first, end));
        if end.is_dead_letter() {
            assert_eq!(released, []);
            assert!(world.find(first).blocks_key);
            assert!(world.page(HOST).is_empty());
            let late = world.accept(world.keyed(HOST, "k", OnFailure::Block));
            assert_eq!(world.state(late), StoredState::Parked, "who comes later waits too");
        } else {
            assert_eq!(released, [second]);
        }
    }
}

fn a_blocked_key_waits_for_skip(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, _] = three(&world, OnFailure::Block);
    assert!(!get(world.store.skip(first, at(2))), "it blocks nothing yet");
    world.end(first, End::Failed);
    world.heard();
    assert!(get(world.store.skip(first, at(2))));
    assert_eq!(world.heard(), [second]);
    assert_eq!(world.page(HOST), [second]);
    assert_eq!(world.state(first), StoredState::Ended(End::Failed), "it stays failed");
    assert!(!world.find(first).blocks_key);
    assert!(!get(world.store.skip(first, at(2))));
    assert!(!get(world.store.skip(world.delivery(HOST).id, at(2))));
}

fn a_blocked_key_waits_for_cancel(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, _] = three(&world, OnFailure::Block);
    world.end(first, End::Exhausted);
    assert_eq!(ids(&world.end(first, End::Cancelled)), [second]);
    assert_eq!(world.state(first), StoredState::Ended(End::Cancelled));
    assert!(world.end(first, End::Cancelled).is_empty());
    let counts = world.store.counts();
    assert_eq!((counts.exhausted, counts.cancelled), (0, 1));
}

fn a_blocked_key_waits_for_redrive(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, _] = three(&world, OnFailure::Block);
    world.attempt(first, 1, Verdict::End(End::Failed));
    world.heard();
    assert_eq!(get(world.store.redrive(vec![first], at(5))), [first]);
    assert_eq!(world.heard(), [first]);
    assert_eq!(world.page(HOST), [first]);
    assert!(!world.find(first).blocks_key);
    assert_eq!(ids(&world.attempt(first, 2, Verdict::End(End::Delivered))), [second]);
}

fn a_parked_delivery_that_ends_releases_nobody(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, third] = three(&world, OnFailure::Continue);
    assert!(world.end(second, End::Cancelled).is_empty());
    assert_eq!(world.page(HOST), [first]);
    assert_eq!(ids(&world.end(first, End::Delivered)), [third]);
}

fn a_parked_delivery_that_fails_blocks_when_its_turn_comes(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, third] = three(&world, OnFailure::Block);
    assert!(world.end(second, End::Expired).is_empty());
    assert!(world.end(first, End::Delivered).is_empty(), "the second blocks the third");
    assert!(get(world.store.skip(second, at(2))));
    assert_eq!(world.page(HOST), [third]);
}

fn a_redriven_delivery_is_parked_at_its_place_while_the_head_goes(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, third] = three(&world, OnFailure::Continue);
    world.end(first, End::Failed);
    world.heard();
    assert_eq!(get(world.store.redrive(vec![first], at(5))), [first]);
    assert_eq!(world.state(first), StoredState::Parked);
    assert!(world.heard().is_empty());
    assert_eq!(ids(&world.end(second, End::Delivered)), [first], "accepted before the third");
    assert_eq!(ids(&world.end(first, End::Delivered)), [third]);
}

fn several_redriven_of_a_key_go_in_order_of_acceptance(make: Make<'_>) {
    let world = World::new(make);
    let all @ [first, second, third] = three(&world, OnFailure::Continue);
    for id in all {
        world.end(id, End::Exhausted);
    }
    world.heard();
    assert_eq!(get(world.store.redrive(vec![third, second, first], at(5))).len(), 3);
    assert_eq!(world.heard(), [first]);
    assert_eq!(world.page(HOST), [first]);
    assert_eq!(ids(&world.end(first, End::Delivered)), [second]);
    assert_eq!(ids(&world.end(second, End::Delivered)), [third]);
}

fn settlements_of_one_call_release_only_who_is_still_owed(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, third] = three(&world, OnFailure::Continue);
    let settle = |id, end| Settlement { id, verdict: Verdict::End(end), at: at(1), attempt: None };
    let settlements = vec![settle(first, End::Delivered), settle(second, End::Cancelled)];
    let released = get(world.store.settle(crate::store::Tenure::SOLE, settlements, vec![]));
    assert_eq!(ids(&released), [third]);
    assert_eq!(released[0].0.as_str(), HOST);
    assert!(released[0].1.ordered);
}

fn a_released_delivery_is_returned_and_not_announced(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, _] = three(&world, OnFailure::Continue);
    world.heard();
    assert_eq!(ids(&world.end(first, End::Delivered)), [second]);
    assert!(world.heard().is_empty());
}

fn a_blocking_delivery_is_not_swept(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, _] = three(&world, OnFailure::Block);
    world.end(first, End::Failed);
    assert_eq!(get(world.store.sweep(at(99), at(99), 100)), (0, false));
    assert!(get(world.store.skip(first, at(99))));
    assert_eq!(get(world.store.sweep(at(99), at(99), 100)), (1, false));
    assert_eq!(world.page(HOST), [second]);
}

fn place_says_who_is_ahead_and_who_holds_the_key(make: Make<'_>) {
    let world = World::new(make);
    let plain = world.accept_plain(HOST, 2);
    let [first, second, third] = three(&world, OnFailure::Block);
    let place = |id| get(world.store.place(id, 100)).map(|place| (place.ahead, place.behind));
    assert_eq!(place(plain[0]), Some((0, None)));
    assert_eq!(place(first), Some((2, None)));
    assert_eq!(get(world.store.place(first, 1)).map(|place| place.ahead), Some(1));
    assert_eq!(place(second), Some((3, Some(first))));
    assert_eq!(place(third), Some((3, Some(first))));
    world.end(first, End::Failed);
    assert_eq!(place(third), Some((2, Some(first))), "it blocks");
    assert_eq!(place(first), None, "what is over has no place");
    assert_eq!(place(world.delivery(HOST).id), None);
}
