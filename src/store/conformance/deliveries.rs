//! Claims about accepting, paging, settling, expiry, redriving and retention.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::join_all;

use super::MAX_PENDING;
use super::world::{T0, TTL, World, at, get, of_one, tried};
use crate::model::{Attempt, Delivery, End, Outcome, Settlement, StoredState, Timings, Verdict};
use crate::store::{Acceptance, Accepted, Idempotency, Store, StoreError};

type Make<'a> = &'a dyn Fn() -> Arc<dyn Store>;

pub(super) fn exercise(make: Make<'_>) {
    what_is_accepted_is_pending_and_read_back_whole(make);
    a_page_is_in_order_of_due_time_then_acceptance(make);
    a_page_never_skips_what_concurrent_callers_were_told_is_accepted(make);
    a_trigger_is_accepted_whole_or_not_at_all(make);
    an_acceptance_made_again_adds_nothing(make);
    an_idempotency_key_replays_refuses_and_is_forgotten(make);
    a_settled_delivery_goes_again_or_is_over(make);
    a_settlement_made_again_changes_nothing(make);
    an_attempt_of_an_ended_delivery_is_recorded_and_changes_no_state(make);
    attempts_are_kept_as_given(make);
    wakeups_name_each_host_with_work_once(make);
    overdue_names_own_expiries_oldest_first(make);
    a_redriven_delivery_is_pending_afresh(make);
    a_sweep_takes_only_what_ended_before(make);
    a_closed_store_answers_so(make);
}

fn what_is_accepted_is_pending_and_read_back_whole(make: Make<'_>) {
    let world = World::new(make);
    let mut delivery = world.delivery("a.example");
    delivery.metadata = vec![("order".into(), "7".into())];
    delivery.workspace = 3;
    let id = world.accept(delivery.clone());
    assert_eq!(world.heard(), [id]);
    let entries = world.pending(id.host(), 10);
    assert_eq!(entries.len(), 1);
    let entry = &entries[0];
    assert_eq!((entry.id, entry.lane, entry.due), (id, 3, T0));
    assert_eq!((entry.expires, entry.attempts, entry.retries), (T0.plus(TTL), 0, 0));
    assert!(!entry.ordered);
    assert_eq!(entry.size as usize, delivery.webhook.size());
    let fetched = get(world.store.fetch(vec![world.delivery("a.example").id, id]));
    assert_eq!(fetched, [(id, delivery.webhook.clone())], "unknown ids are left out");
    let record = world.find(id);
    assert_eq!(record.webhook, delivery.webhook);
    assert_eq!(record.metadata, delivery.metadata);
    assert_eq!((record.trigger, record.host), (delivery.trigger, delivery.host));
    assert_eq!((record.state, record.ended), (StoredState::Pending, None));
    assert_eq!(record.accepted, T0);
    assert_eq!(world.store.pending_of(id.host()), 1);
    let counts = world.store.counts();
    assert_eq!((counts.pending, counts.parked, counts.accepted), (1, 0, 1));
    assert!(get(world.store.find(world.delivery("a.example").id)).is_none());
}

fn a_page_is_in_order_of_due_time_then_acceptance(make: Make<'_>) {
    let world = World::new(make);
    let due = |secs| Delivery { due: at(secs), ..world.delivery("a.example") };
    let late = world.accept(due(60));
    let first = world.accept(due(5));
    let second = world.accept(due(5));
    world.accept_plain("b.example", 3);
    assert_eq!(world.page("a.example"), [first, second, late], "due or not");
    let head = world.pending(late.host(), 1);
    assert_eq!(head[0].id, first);
    world.attempt(first, 1, Verdict::Again { due: at(90), retries: 1 });
    assert_eq!(world.page("a.example"), [second, late, first]);
}

fn a_page_never_skips_what_concurrent_callers_were_told_is_accepted(make: Make<'_>) {
    let world = World::new(make);
    let deliveries: Vec<_> = (0..100).map(|_| world.delivery("a.example")).collect();
    let accepts = deliveries.iter().map(|delivery| {
        let accepting = world.store.accept(of_one(delivery.clone()));
        let store = world.store.clone();
        async move {
            accepting.await.expect("accepted");
            let pages = store.page(delivery.id.host(), None, 1_000).await.expect("paged");
            let mut page = pages.iter().flat_map(|page| &page.rows);
            assert!(page.any(|entry| entry.id == delivery.id), "accepted, but not paged");
        }
    });
    block_on(join_all(accepts));
    let page = world.pending(deliveries[0].id.host(), 1_000);
    assert_eq!(page.len(), 100);
    assert!(page.is_sorted_by_key(|entry| entry.key()), "in order of (due, seq)");
    assert_eq!(world.heard().len(), 100);
}

fn a_trigger_is_accepted_whole_or_not_at_all(make: Make<'_>) {
    let world = World::new(make);
    let trigger = |count: u64| {
        let deliveries = (0..count).map(|_| Arc::new(world.delivery("a.example"))).collect();
        Acceptance::of(deliveries)
    };
    assert_eq!(get(world.store.accept(trigger(MAX_PENDING - 1))), Accepted::New);
    let refused = block_on(world.store.accept(trigger(2)));
    assert_eq!(refused, Err(StoreError::Full { max_pending: MAX_PENDING }));
    assert_eq!(world.store.counts().pending, MAX_PENDING - 1);
    assert_eq!(get(world.store.accept(trigger(1))), Accepted::New);
    let last = world.page("a.example")[0];
    assert!(block_on(world.store.accept(trigger(1))).is_err());
    world.end(last, End::Delivered);
    assert_eq!(get(world.store.accept(trigger(1))), Accepted::New, "room was made");
}

fn an_acceptance_made_again_adds_nothing(make: Make<'_>) {
    let world = World::new(make);
    let delivery = world.delivery("a.example");
    world.accept(delivery.clone());
    world.accept(delivery.clone());
    assert_eq!(world.page("a.example"), [delivery.id]);
    assert_eq!(world.store.counts().accepted, 1);
}

fn an_idempotency_key_replays_refuses_and_is_forgotten(make: Make<'_>) {
    let world = World::new(make);
    let asked = |workspace, fingerprint: u8, secs| {
        let idempotency = Idempotency {
            workspace,
            key: "k".into(),
            fingerprint: [fingerprint; 32],
            answer: Bytes::from(vec![fingerprint]),
            expires: at(100),
        };
        let delivery = world.delivery_at("a.example", at(secs));
        let deliveries = vec![Arc::new(delivery)];
        get(world
            .store
            .accept(Acceptance { idempotency: Some(idempotency), ..Acceptance::of(deliveries) }))
    };
    assert_eq!(asked(0, 1, 0), Accepted::New);
    assert_eq!(asked(0, 1, 1), Accepted::Replayed(Bytes::from_static(&[1])));
    assert_eq!(asked(0, 2, 1), Accepted::KeyReused);
    assert_eq!(asked(9, 2, 1), Accepted::New, "another workspace's key is another key");
    assert_eq!(world.store.counts().accepted, 2, "a replay writes nothing");
    let _ = get(world.store.sweep(T0, at(99), 100));
    assert_eq!(asked(0, 2, 2), Accepted::KeyReused, "kept until it expires");
    let _ = get(world.store.sweep(T0, at(100), 100));
    assert_eq!(asked(0, 2, 101), Accepted::New);
}

fn a_settled_delivery_goes_again_or_is_over(make: Make<'_>) {
    let world = World::new(make);
    let [id, other]: [_; 2] = world.accept_plain("a.example", 2).try_into().expect("two");
    assert!(world.attempt(id, 1, Verdict::Again { due: at(60), retries: 1 }).is_empty());
    let record = world.find(id);
    assert_eq!((record.state, record.due, record.retries), (StoredState::Pending, at(60), 1));
    assert_eq!((record.attempts, record.last_status), (1, Some(503)));
    let page = world.pending(id.host(), 10);
    assert_eq!((page[1].id, page[1].attempts, page[1].retries), (id, 1, 1));
    world.attempt(id, 2, Verdict::End(End::Exhausted));
    let record = world.find(id);
    assert_eq!(record.state, StoredState::Ended(End::Exhausted));
    assert_eq!((record.ended, record.attempts), (Some(at(1)), 2));
    assert_eq!(world.page("a.example"), [other]);
    for end in [End::Delivered, End::Failed, End::Expired, End::Cancelled] {
        let id = world.accept(world.delivery("a.example"));
        world.end(id, end);
        assert_eq!(world.state(id), StoredState::Ended(end));
    }
    let counts = world.store.counts();
    assert_eq!((counts.pending, counts.accepted), (1, 6));
    let ended = [counts.delivered, counts.failed, counts.exhausted, counts.expired];
    assert_eq!((ended, counts.cancelled), ([1; 4], 1));
}

fn a_settlement_made_again_changes_nothing(make: Make<'_>) {
    let world = World::new(make);
    let id = world.accept_plain("a.example", 1)[0];
    world.attempt(id, 1, Verdict::End(End::Failed));
    world.attempt(id, 1, Verdict::End(End::Failed));
    assert_eq!(get(world.store.attempts(id)).len(), 1);
    assert_eq!(world.store.counts().failed, 1);
    get(world.store.redrive(vec![id], at(2)));
    world.attempt(id, 1, Verdict::End(End::Failed));
    assert_eq!(world.state(id), StoredState::Pending, "a repeat does not end the redriven one");
    let unknown = world.delivery("a.example").id;
    assert!(world.end(unknown, End::Delivered).is_empty());
    assert_eq!(world.store.counts().delivered, 0);
}

fn an_attempt_of_an_ended_delivery_is_recorded_and_changes_no_state(make: Make<'_>) {
    let world = World::new(make);
    let id = world.accept_plain("a.example", 1)[0];
    world.end(id, End::Cancelled);
    world.attempt(id, 1, Verdict::End(End::Delivered));
    assert_eq!(world.state(id), StoredState::Ended(End::Cancelled));
    assert_eq!(get(world.store.attempts(id)).len(), 1);
    assert_eq!(world.find(id).attempts, 1);
    world.end(id, End::Expired);
    assert_eq!(world.state(id), StoredState::Ended(End::Cancelled));
}

fn attempts_are_kept_as_given(make: Make<'_>) {
    let world = World::new(make);
    let id = world.accept_plain("a.example", 1)[0];
    let again = Verdict::Again { due: at(1), retries: 0 };
    let timings = Timings { total_us: 12, ..Timings::default() };
    let no_answer = Outcome::NoAnswer { reason: "timed out after 90s".into(), timed_out: true };
    let blocked = Outcome::Blocked { reason: "10.0.0.1 is not allowed".into() };
    let unprepared = Outcome::Unprepared { reason: "there is no secret `a` any more".into() };
    let first = tried(id, 1, again);
    let mut expected = vec![first.attempt.clone().expect("it has one")];
    get(world.store.settle(crate::store::Tenure::SOLE, vec![first], vec![]));
    for (number, outcome) in [(2, no_answer), (3, unprepared), (4, blocked)] {
        let attempt = Attempt { number, started: at(3), outcome, timings };
        expected.push(attempt.clone());
        let settlement = Settlement { id, verdict: again, at: at(4), attempt: Some(attempt) };
        get(world.store.settle(crate::store::Tenure::SOLE, vec![settlement], vec![]));
    }
    assert_eq!(get(world.store.attempts(id)), expected);
    assert_eq!(world.find(id).last_status, None, "a blocked attempt has no status");
    assert!(get(world.store.attempts(world.delivery("a.example").id)).is_empty());
}

fn wakeups_name_each_host_with_work_once(make: Make<'_>) {
    let world = World::new(make);
    for (host, secs) in [("a.example", 50), ("a.example", 20), ("b.example", 30), ("c.example", 9)]
    {
        world.accept(Delivery { due: at(secs), ..world.delivery(host) });
    }
    let over = world.accept_plain("d.example", 1)[0];
    world.end(over, End::Delivered);
    let all = get(world.store.wakeups(crate::model::ShardSet::ALL, None, 100));
    assert!(all.is_sorted_by_key(|wakeup| wakeup.number));
    let mut due: Vec<_> =
        all.iter().map(|wakeup| (wakeup.name.as_str().to_owned(), wakeup.due)).collect();
    due.sort();
    let expected = [("a.example", 20), ("b.example", 30), ("c.example", 9)];
    assert_eq!(due, expected.map(|(name, secs)| (name.to_owned(), at(secs))));
    let first = get(world.store.wakeups(crate::model::ShardSet::ALL, None, 1));
    let rest = get(world.store.wakeups(crate::model::ShardSet::ALL, Some(first[0].number), 100));
    assert_eq!([first, rest].concat(), all);
    for wakeup in &all {
        let shards = [wakeup.number.shard()].into_iter().collect();
        assert_eq!(get(world.store.wakeups(shards, None, 100)), std::slice::from_ref(wakeup));
    }
}

fn overdue_names_own_expiries_oldest_first(make: Make<'_>) {
    let world = World::new(make);
    let expiring = |secs, ttl_custom| {
        let expires = at(secs);
        Delivery { expires, ttl_custom, ..world.delivery("a.example") }
    };
    let second = world.accept(expiring(20, true));
    let first = world.accept(expiring(10, true));
    world.accept(expiring(15, false));
    world.accept(expiring(99, true));
    let keyed = |delivery| Delivery { ordering_key: Some("k".into()), ..delivery };
    world.accept(keyed(expiring(99, false)));
    let parked = world.accept(keyed(expiring(12, false)));
    let over = world.accept(expiring(5, true));
    world.end(over, End::Expired);
    let overdue = |limit| {
        let rows = get(world.store.overdue(crate::model::ShardSet::ALL, at(30), limit));
        assert!(rows.iter().all(|(host, _)| host.as_str() == "a.example"));
        rows.into_iter().map(|(_, id)| id).collect::<Vec<_>>()
    };
    assert_eq!(overdue(10), [first, parked, second]);
    assert_eq!(overdue(1), [first]);
    assert!(get(world.store.overdue(crate::model::ShardSet::ALL, at(9), 10)).is_empty());
    let ours = [first.host().shard()].into_iter().collect();
    assert_eq!(get(world.store.overdue(ours, at(30), 10)).len(), 3);
    let others = crate::model::ShardSet::ALL.without(&ours);
    assert!(get(world.store.overdue(others, at(30), 10)).is_empty());
}

fn a_redriven_delivery_is_pending_afresh(make: Make<'_>) {
    let world = World::new(make);
    let ids = world.accept_plain("a.example", 5);
    world.attempt(ids[0], 1, Verdict::Again { due: at(9), retries: 1 });
    world.attempt(ids[0], 2, Verdict::End(End::Exhausted));
    for (id, end) in [(ids[1], End::Cancelled), (ids[2], End::Delivered), (ids[3], End::Expired)] {
        world.end(id, end);
    }
    world.heard();
    let done = get(world.store.redrive(ids.clone(), at(500)));
    assert_eq!(done, [ids[0], ids[1], ids[3]], "not what was delivered or is owed anyway");
    assert_eq!(world.heard(), done);
    let record = world.find(ids[0]);
    assert_eq!((record.state, record.due, record.retries), (StoredState::Pending, at(500), 0));
    assert_eq!(record.expires, at(500).plus(TTL));
    assert_eq!((record.attempts, record.ended), (2, None), "attempt numbers go on");
    let counts = world.store.counts();
    assert_eq!((counts.pending, counts.exhausted, counts.cancelled), (4, 0, 0));
    assert_eq!((counts.expired, counts.delivered), (0, 1));
    assert_eq!(world.page("a.example"), [ids[4], ids[0], ids[1], ids[3]]);
    world.attempt(ids[0], 3, Verdict::End(End::Delivered));
    assert_eq!(get(world.store.attempts(ids[0])).len(), 3);
}

fn a_sweep_takes_only_what_ended_before(make: Make<'_>) {
    let world = World::new(make);
    let mut tagged = world.delivery("a.example");
    tagged.metadata = vec![("order".into(), "7".into())];
    let tagged = world.accept(tagged);
    let ids = world.accept_plain("a.example", 6);
    world.attempt(tagged, 1, Verdict::End(End::Failed));
    for id in &ids[..4] {
        world.end(*id, End::Delivered);
    }
    assert_eq!(get(world.store.sweep(at(1), at(1), 100)), (0, false), "ended at, not before");
    let (first, more) = get(world.store.sweep(at(2), at(2), 3));
    assert_eq!((first, more), (3, true), "paced");
    let mut gone = first;
    while let (went @ 1.., _) = get(world.store.sweep(at(2), at(2), 3)) {
        gone += went;
    }
    assert_eq!(gone, 5);
    assert!(get(world.store.find(tagged)).is_none());
    assert!(get(world.store.attempts(tagged)).is_empty());
    assert!(get(world.store.fetch(vec![tagged])).is_empty());
    assert_eq!(world.page("a.example"), ids[4..]);
    let counts = world.store.counts();
    assert_eq!((counts.delivered, counts.failed, counts.pending), (4, 1, 2), "ever ended");
    let next = world.accept(world.delivery_at("a.example", at(3)));
    assert_eq!(world.find(next).seq, 8, "no place in the order is given twice");
    let long = Duration::from_secs(86_400);
    world.end(next, End::Delivered);
    assert_eq!(get(world.store.sweep(at(1).minus(long), at(2), 100)), (0, false));
}

fn a_closed_store_answers_so(make: Make<'_>) {
    let world = World::new(make);
    let delivery = world.delivery("a.example");
    let host = delivery.id.host();
    let late = world.delivery("a.example");
    let last = world.store.accept(of_one(delivery));
    get(world.store.close());
    assert_eq!(block_on(last), Ok(Accepted::New), "what is under way is committed");
    let refused = block_on(world.store.accept(of_one(late)));
    assert!(matches!(refused, Err(StoreError::Closed(_))), "{refused:?}");
    let refused = block_on(world.store.page(host, None, 1));
    assert!(matches!(refused, Err(StoreError::Closed(_))), "{refused:?}");
    get(world.store.close());
}
