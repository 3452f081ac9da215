//! Claims about what composition keeps: records and counts.

use std::sync::Arc;

use bytes::Bytes;
use futures::executor::block_on;

use super::activity::{activity, entry};
use super::world::{T0, World, at, get, tried};
use crate::model::{Delivery, DeliveryId, End, HostName, Provenance, Verdict};
use crate::store::{
    Acceptance, Accepted, ActivityFilter, CountKey, DeliveryFilter, Expect, Record, RecordKind,
    RecordWrite, Store, Writes, hour_of,
};

type Make<'a> = &'a dyn Fn() -> Arc<dyn Store>;

const KIND: RecordKind = RecordKind::Recipient;

pub(super) fn exercise(make: Make<'_>) {
    a_record_is_written_read_and_deleted(make);
    nothing_is_written_when_a_record_is_not_as_expected(make);
    a_scan_goes_in_order_of_key_within_its_prefix(make);
    due_records_come_earliest_first(make);
    records_deliveries_and_counts_are_one_commit(make);
    a_repeat_after_a_lost_answer_writes_nothing_twice(make);
    counts_alone_are_kept(make);
    the_ends_of_composed_deliveries_are_counted(make);
    a_composed_delivery_is_found_by_what_composed_it(make);
    workspaces_see_nothing_of_each_other(make);
}

fn put(key: &str, expect: Expect, value: &str) -> RecordWrite {
    let value = Some(Bytes::from(value.to_owned()));
    RecordWrite { kind: KIND, key: key.into(), expect, due: None, value }
}

fn write(world: &World, records: Vec<RecordWrite>) -> Accepted {
    let writes = Writes { records, ..Writes::default() };
    get(world.store.accept(Acceptance { at: T0, writes, ..Acceptance::default() }))
}

fn read(world: &World, key: &str) -> Option<Record> {
    get(world.store.records(0, KIND, vec![key.into()])).remove(0)
}

fn a_record_is_written_read_and_deleted(make: Make<'_>) {
    let world = World::new(make);
    assert_eq!(read(&world, "a"), None);
    assert_eq!(write(&world, vec![put("a", Expect::Absent, "{\"n\":1}")]), Accepted::New);
    let first = read(&world, "a").expect("written");
    assert_eq!((first.version, &first.value[..], first.due), (1, &b"{\"n\":1}"[..], None));
    write(&world, vec![put("a", Expect::Any, "2")]);
    write(&world, vec![put("a", Expect::Version(2), "3")]);
    assert_eq!(read(&world, "a").map(|record| record.version), Some(3));
    let elsewhere = get(world.store.records(0, RecordKind::Contact, vec!["a".into()]));
    assert_eq!(elsewhere, [None], "a kind has keys of its own");
    let order = get(world.store.records(0, KIND, vec!["b".into(), "a".into()]));
    assert!(order[0].is_none() && order[1].is_some());
    write(&world, vec![RecordWrite { value: None, ..put("a", Expect::Version(3), "") }]);
    assert_eq!(read(&world, "a"), None);
    assert_eq!(write(&world, vec![put("a", Expect::Absent, "4")]), Accepted::New);
    assert_eq!(read(&world, "a").map(|record| record.version), Some(1), "it begins anew");
}

fn nothing_is_written_when_a_record_is_not_as_expected(make: Make<'_>) {
    let world = World::new(make);
    write(&world, vec![put("a", Expect::Any, "1")]);
    let delivery = world.delivery("a.example");
    let id = delivery.id;
    let mut acceptance = Acceptance::of(vec![Arc::new(delivery)]);
    acceptance.writes.records =
        vec![put("b", Expect::Absent, "1"), put("a", Expect::Version(7), "2")];
    acceptance.writes.counts = vec![(key("c", "sent"), 1)];
    assert_eq!(get(world.store.accept(acceptance)), Accepted::Stale(1));
    assert!(get(world.store.find(id)).is_none());
    assert!(read(&world, "b").is_none());
    assert_eq!(read(&world, "a").map(|record| record.version), Some(1));
    assert!(get(world.store.tally("c".into(), T0, at(3600))).is_empty());
    assert_eq!(write(&world, vec![put("a", Expect::Absent, "2")]), Accepted::Stale(0));
    assert_eq!(write(&world, vec![put("z", Expect::Version(1), "2")]), Accepted::Stale(0));
}

fn a_scan_goes_in_order_of_key_within_its_prefix(make: Make<'_>) {
    let world = World::new(make);
    let keys = ["a/1", "a/2", "a/3", "b/1", "a"];
    write(&world, keys.map(|key| put(key, Expect::Any, "1")).into());
    let scan = |prefix: &str, after: Option<&str>, limit| -> Vec<String> {
        let found = world.store.scan(0, KIND, (prefix.into(), after.map(str::to_owned)), limit);
        get(found).into_iter().map(|record| record.key).collect()
    };
    assert_eq!(scan("", None, 10), ["a", "a/1", "a/2", "a/3", "b/1"]);
    assert_eq!(scan("a/", None, 2), ["a/1", "a/2"]);
    assert_eq!(scan("a/", Some("a/2"), 2), ["a/3"]);
    assert_eq!(scan("c", None, 2), [""; 0]);
}

fn due_records_come_earliest_first(make: Make<'_>) {
    let world = World::new(make);
    let due = |key: &str, secs| RecordWrite { due: Some(at(secs)), ..put(key, Expect::Any, "1") };
    write(&world, vec![due("late", 60), put("never", Expect::Any, "1"), due("soon", 5)]);
    let keys = |limit| -> Vec<String> {
        get(world.store.due(0, KIND, limit)).into_iter().map(|record| record.key).collect()
    };
    assert_eq!(keys(10), ["soon", "late"]);
    assert_eq!(keys(1), ["soon"]);
    write(&world, vec![put("soon", Expect::Any, "2"), due("late", 70)]);
    assert_eq!(keys(10), ["late"], "a write without a due time takes it out");
    assert_eq!(get(world.store.due(0, KIND, 1))[0].due, Some(at(70)));
}

fn key(subject: &str, what: &str) -> CountKey {
    CountKey { subject: subject.into(), part: "A".into(), what: what.into() }
}

pub(super) fn composed(world: &World, recipient: &str) -> Delivery {
    let provenance = Provenance {
        campaign: Some("c1".into()),
        variant: Some("A".into()),
        recipient: Some(recipient.into()),
        ..Provenance::default()
    };
    Delivery { provenance: Some(Arc::new(provenance)), hop: 3, ..world.delivery("a.example") }
}

fn counts(world: &World) -> Vec<(String, i64)> {
    let found = get(world.store.tally("c1".into(), T0, at(7200)));
    found.into_iter().map(|count| (count.key.what, count.number)).collect()
}

fn records_deliveries_and_counts_are_one_commit(make: Make<'_>) {
    let world = World::new(make);
    let delivery = composed(&world, "u1");
    let id = delivery.id;
    let mut acceptance = Acceptance::of(vec![Arc::new(delivery)]);
    acceptance.writes.records = vec![put("u1", Expect::Absent, "1")];
    acceptance.writes.counts = vec![(key("c1", "sent"), 1), (key("c1", "capped"), 2)];
    let again = acceptance.clone();
    assert_eq!(get(world.store.accept(acceptance)), Accepted::New);
    assert_eq!(world.heard(), [id]);
    let record = world.find(id);
    let provenance = record.provenance.expect("kept");
    assert_eq!(provenance.recipient.as_deref(), Some("u1"));
    assert_eq!(record.hop, 3);
    assert_eq!(counts(&world), [("capped".into(), 2), ("sent".into(), 1)]);
    let mut stale = again;
    stale.deliveries = vec![Arc::new(composed(&world, "u1"))];
    assert_eq!(get(world.store.accept(stale)), Accepted::Stale(0), "the record is there");
    assert_eq!(counts(&world), [("capped".into(), 2), ("sent".into(), 1)]);
}

fn a_repeat_after_a_lost_answer_writes_nothing_twice(make: Make<'_>) {
    let world = World::new(make);
    let mut acceptance = Acceptance::of(vec![Arc::new(composed(&world, "u1"))]);
    acceptance.writes.records = vec![put("u1", Expect::Absent, "1"), put("any", Expect::Any, "1")];
    acceptance.writes.counts = vec![(key("c1", "sent"), 1)];
    acceptance.writes.activity = vec![entry(1, "aborted", "u1")];
    for _ in 0..2 {
        assert_eq!(get(world.store.accept(acceptance.clone())), Accepted::New);
        assert_eq!(counts(&world), [("sent".into(), 1)]);
        assert_eq!(read(&world, "any").map(|record| record.version), Some(1));
        assert_eq!(activity(&world, ActivityFilter::default()).len(), 1);
    }
}

fn counts_alone_are_kept(make: Make<'_>) {
    let world = World::new(make);
    let writes = Writes { counts: vec![(key("c1", "stopped"), 5)], ..Writes::default() };
    for _ in 0..2 {
        let writes = writes.clone();
        get(world.store.accept(Acceptance { at: T0, writes, ..Acceptance::default() }));
    }
    assert_eq!(counts(&world), [("stopped".into(), 10)]);
}

fn accept(world: &World, recipient: &str) -> DeliveryId {
    world.accept(composed(world, recipient))
}

fn the_ends_of_composed_deliveries_are_counted(make: Make<'_>) {
    let world = World::new(make);
    let [first, second, third] = ["u1", "u2", "u3"].map(|recipient| accept(&world, recipient));
    world.end(first, End::Delivered);
    world.end(first, End::Delivered);
    world.attempt(second, 1, Verdict::Again { due: at(60), retries: 1 });
    let ends = vec![
        tried(second, 2, Verdict::End(End::Exhausted)),
        tried(third, 1, Verdict::End(End::Exhausted)),
    ];
    get(world.store.settle(crate::store::Tenure::SOLE, ends.clone(), vec![]));
    get(world.store.settle(crate::store::Tenure::SOLE, ends, vec![]));
    world.end(world.accept_plain("a.example", 1)[0], End::Delivered);
    let wanted = [("delivered".to_owned(), 1), ("exhausted 503".into(), 2), ("retried".into(), 1)];
    assert_eq!(counts(&world), wanted);
    let rows = get(world.store.tally("c1".into(), T0, at(7200)));
    assert_eq!(rows[0].key.part, "A");
    assert!(rows.iter().all(|row| row.hour == hour_of(T0)));
    assert!(get(world.store.tally("c1".into(), at(7200), at(9000))).is_empty());
}

fn a_composed_delivery_is_found_by_what_composed_it(make: Make<'_>) {
    let world = World::new(make);
    let [first, second] = ["u1", "u2"].map(|recipient| accept(&world, recipient));
    world.accept_plain("a.example", 1);
    let list = |field: &str, value: &str| -> Vec<DeliveryId> {
        let metadata = vec![(Provenance::tag(field), value.to_owned())];
        let filter = DeliveryFilter { metadata, ..DeliveryFilter::default() };
        let page = block_on(world.store.list(filter, None, 10)).expect("a page");
        page.rows.iter().map(|row| row.id).collect()
    };
    assert_eq!(list("campaign", "c1"), [second, first]);
    assert_eq!(list("recipient", "u1"), [first]);
    assert_eq!(list("canvas", "c1"), []);
    world.end(first, End::Delivered);
    get(world.store.sweep(at(100), at(100), 100));
    assert_eq!(list("campaign", "c1"), [second], "its search terms go with it");
}

fn workspaces_see_nothing_of_each_other(make: Make<'_>) {
    let world = World::new(make);
    let write_in = |workspace, records, activity| {
        let writes = Writes { records, activity, ..Writes::default() };
        get(world.store.accept(Acceptance { workspace, at: T0, writes, ..Acceptance::default() }))
    };
    let due =
        |key: &str, secs| RecordWrite { due: Some(at(secs)), ..put(key, Expect::Absent, "1") };
    write_in(0, vec![due("a", 5), due("b", 6)], vec![entry(1, "aborted", "x")]);
    write_in(7, vec![due("a", 9)], vec![entry(2, "aborted", "x"), entry(3, "capped", "y")]);
    assert_eq!(write_in(7, vec![put("a", Expect::Absent, "2")], vec![]), Accepted::Stale(0));

    let keys = |records: Vec<Record>| -> Vec<String> {
        records.into_iter().map(|record| record.key).collect()
    };
    let scan = |workspace| keys(get(world.store.scan(workspace, KIND, Default::default(), 10)));
    assert_eq!((scan(0), scan(7)), (vec!["a".into(), "b".into()], vec!["a".into()]));
    assert_eq!(keys(get(world.store.due(7, KIND, 10))), ["a"]);
    assert_eq!(keys(get(world.store.due(0, KIND, 10))), ["a", "b"]);
    assert_eq!(get(world.store.records(7, KIND, vec!["b".into()])), [None]);
    let of = |workspace| activity(&world, ActivityFilter { workspace, ..Default::default() }).len();
    assert_eq!((of(0), of(7), of(8)), (1, 2, 0));

    let theirs = Delivery { workspace: 7, ..composed(&world, "u7") };
    let id = theirs.id;
    world.accept(theirs);
    let ours = accept(&world, "u0");
    world.attempt(id, 1, Verdict::End(End::Failed));
    assert_eq!((of(0), of(7)), (1, 3), "an end is in the log of its own workspace");
    assert_eq!(world.find(id).workspace, 7);
    world.accept_plain("b.example", 1);
    let hosts = |workspace| -> Vec<String> {
        let found = get(world.store.hosts(workspace, None, 10));
        found.into_iter().map(|host| host.name.to_string()).collect()
    };
    assert_eq!((hosts(Some(0)), hosts(Some(7))), (hosts(None), vec!["a.example".to_owned()]));
    assert!(hosts(Some(8)).is_empty());
    for (workspace, found) in [(Some(0), vec![ours]), (Some(7), vec![id]), (None, vec![ours, id])] {
        let host = HostName::parse("a.example");
        let metadata = vec![(Provenance::tag("campaign"), "c1".to_owned())];
        let filter = DeliveryFilter { workspace, metadata, ..DeliveryFilter::default() };
        let by_host = DeliveryFilter { host, metadata: Vec::new(), ..filter.clone() };
        for filter in [by_host, filter] {
            assert_eq!(get(world.store.count(filter.clone(), 10)), found.len() as u64);
            let page = block_on(world.store.list(filter, None, 10)).expect("a page");
            assert_eq!(page.rows.iter().map(|row| row.id).collect::<Vec<_>>(), found);
        }
    }
}
