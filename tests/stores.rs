//! Every engine obeys the law; the embedded one also keeps what it took, and says what is wrong
//! when it cannot be opened.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::executor::block_on;
use hostline::clock::Clock;
use hostline::model::*;
use hostline::store::embedded::{DATABASE_FILE, EmbeddedStore, OpenError};
use hostline::store::memory::MemoryStore;
use hostline::store::{
    Acceptance, Accepted, ActivityFilter, CountKey, DeliveryStore, HostStore, Idempotency,
    QueryStore, RecordStore, ReportQuery, ReportStore, Step, Store, StoreLimits, Subject, Word,
    conformance,
};
use rusqlite::Connection;

const LIMITS: StoreLimits = StoreLimits { max_pending: conformance::MAX_PENDING };

fn open(path: &Path) -> Result<Arc<EmbeddedStore>, OpenError> {
    EmbeddedStore::open(path, LIMITS, 4 << 20, Clock::system())
}

fn delivery(store: &dyn Store, random: u64) -> Delivery {
    let host = HostName::from_normalised("shop.example");
    let number = block_on(store.number(host.clone())).expect("a number");
    let accepted = Timestamp::from_millis(1_795_503_600_000);
    let id = DeliveryId::new(accepted, number, random);
    let webhook = Webhook {
        method: Method::Post,
        target: Target::from_vetted("https://shop.example/hook").expect("a url"),
        headers: Vec::new(),
        body: Bytes::from_static(b"{}"),
        secret_refs: Vec::new(),
    };
    Delivery {
        id,
        trigger: id.trigger(),
        host,
        workspace: 0,
        hop: 0,
        provenance: None,
        accepted,
        due: accepted,
        expires: accepted.plus(Duration::from_secs(60)),
        ttl: Duration::from_secs(60),
        ttl_custom: false,
        priority: Priority::High,
        ordering_key: None,
        on_failure: OnFailure::Continue,
        metadata: Vec::new(),
        webhook: Arc::new(webhook),
    }
}

fn accept(store: &dyn Store, delivery: Delivery) -> Accepted {
    let deliveries = vec![Arc::new(delivery)];
    block_on(store.accept(Acceptance::of(deliveries))).expect("accepted")
}

#[test]
fn the_memory_store_obeys_the_law() {
    conformance::exercise(|| MemoryStore::new(LIMITS));
}

#[test]
fn the_embedded_store_obeys_the_law() {
    let directory = tempfile::tempdir().expect("a directory");
    let count = std::cell::Cell::new(0);
    conformance::exercise(|| {
        count.set(count.get() + 1);
        open(&directory.path().join(count.get().to_string())).expect("opened")
    });
}

#[test]
fn a_reopened_store_keeps_everything() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).expect("opened");
    let keyed =
        |random| Delivery { ordering_key: Some("k".into()), ..delivery(store.as_ref(), random) };
    let (first, second) = (keyed(1), keyed(2));
    let idempotency = || Idempotency {
        workspace: 0,
        key: "k".into(),
        fingerprint: [7; 32],
        answer: Bytes::from_static(b"answer"),
        expires: Timestamp::MAX,
    };
    let deliveries = || vec![Arc::new(first.clone()), Arc::new(second.clone())];
    let acceptance =
        || Acceptance { idempotency: Some(idempotency()), ..Acceptance::of(deliveries()) };
    assert_eq!(block_on(store.accept(acceptance())), Ok(Accepted::New));
    let ended = delivery(store.as_ref(), 3);
    accept(store.as_ref(), ended.clone());
    let verdict = Verdict::End(End::Failed);
    let settlement = Settlement { id: ended.id, verdict, at: ended.accepted, attempt: None };
    block_on(store.settle(hostline::store::Tenure::SOLE, vec![settlement], vec![]))
        .expect("settled");
    let controls = HostControls { paused: true, ..HostControls::default() };
    block_on(store.control(first.id.host(), controls.clone())).expect("kept");
    let counts = store.counts();
    block_on(store.close()).expect("closed");
    drop(store);

    let store = open(directory.path()).expect("opened again");
    assert_eq!(store.counts(), counts);
    assert_eq!((counts.pending, counts.parked, counts.failed, counts.accepted), (1, 1, 1, 3));
    assert_eq!(store.pending_of(first.id.host()), 1);
    let replayed = block_on(store.accept(acceptance()));
    assert_eq!(replayed, Ok(Accepted::Replayed(Bytes::from_static(b"answer"))));
    assert_eq!(block_on(store.number(first.host.clone())), Ok(first.id.host()));
    let controlled = block_on(store.controlled()).expect("read");
    assert_eq!(controlled, [(first.host.clone(), controls)]);
    let found = block_on(store.find(first.id)).expect("read").expect("kept");
    assert_eq!((found.webhook, found.priority), (first.webhook, Priority::High));
    let next = delivery(store.as_ref(), 4);
    accept(store.as_ref(), next.clone());
    let found = block_on(store.find(next.id)).expect("read").expect("kept");
    assert_eq!(found.seq, 4, "the order of acceptance goes on");
}

#[test]
fn a_store_that_was_dropped_without_close_keeps_what_it_acknowledged() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).expect("opened");
    accept(store.as_ref(), delivery(store.as_ref(), 1));
    drop(store);
    // The writer gives the lock back a moment after its last caller is gone.
    let give_up = Instant::now() + Duration::from_secs(10);
    let store = loop {
        match open(directory.path()) {
            Ok(store) => break store,
            Err(OpenError::Locked { .. }) if Instant::now() < give_up => std::thread::yield_now(),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(store.counts().pending, 1);
}

#[test]
fn a_second_process_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let _store = open(directory.path()).expect("opened");
    let error = open(directory.path()).err().expect("refused");
    assert!(matches!(error, OpenError::Locked { .. }));
    let message = error.to_string();
    assert!(message.contains("in use: another process has locked it"), "{message}");
    assert!(message.contains(&directory.path().display().to_string()), "{message}");
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).expect("opened");
    block_on(store.close()).expect("closed");
    let file = Connection::open(directory.path().join(DATABASE_FILE)).expect("opened");
    file.pragma_update(None, "user_version", 99).expect("set");
    drop(file);
    let error = open(directory.path()).err().expect("refused");
    assert!(matches!(error, OpenError::Newer { found: 99, .. }));
    assert!(error.to_string().contains("run a newer release"), "{error}");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join(DATABASE_FILE);
    let garbage = vec![b'x'; 8_192];
    std::fs::write(&file, &garbage).expect("written");
    let error = open(directory.path()).err().expect("refused");
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains("not a database"), "{error}");
    assert_eq!(std::fs::read(&file).expect("read"), garbage);
}

#[test]
fn a_path_that_is_no_directory_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("file");
    std::fs::write(&file, "").expect("written");
    let error = open(&file).err().expect("refused");
    assert!(matches!(error, OpenError::Directory { .. }), "{error}");
    assert!(error.to_string().contains("store.path"), "{error}");
}

#[test]
fn a_long_read_stalls_no_commit() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).expect("opened");
    for random in 1..=10 {
        accept(store.as_ref(), delivery(store.as_ref(), random));
    }
    let reader = Connection::open(directory.path().join(DATABASE_FILE)).expect("opened");
    let mut statement = reader.prepare("SELECT seq FROM delivery").expect("prepared");
    let mut rows = statement.query([]).expect("asked");
    assert!(rows.next().expect("read").is_some(), "the read is in progress");
    for random in 11..=20 {
        accept(store.as_ref(), delivery(store.as_ref(), random));
    }
    assert_eq!(store.counts().pending, 20);
    let mut seen = 1;
    while rows.next().expect("read").is_some() {
        seen += 1;
    }
    assert_eq!(seen, 10, "the reader sees what was there when it began");
}

/// What the file was before there were reports.
const BEFORE_REPORTS: &str = "
    DROP TABLE report;
    DROP TABLE report_delta;
    DROP TABLE reach;
    DROP INDEX tally_hour;
    DROP INDEX activity_same;
    DROP INDEX activity_host;
    DROP INDEX activity_lane_at;
    ALTER TABLE activity DROP COLUMN host;
    ALTER TABLE activity DROP COLUMN first_at;
    ALTER TABLE activity DROP COLUMN count;
    ALTER TABLE activity DROP COLUMN same;
    PRAGMA user_version = 6;
";

/// What the file was before hosts' queues were kept by workspace.
const BEFORE_LANES: &str = "
    DROP INDEX delivery_pending;
    CREATE INDEX delivery_pending ON delivery (host, due) WHERE state = 0;
    DROP INDEX delivery_parked;
    CREATE INDEX delivery_parked ON delivery (expires, host) WHERE state = 1;
    PRAGMA user_version = 5;
";

#[test]
fn a_file_from_before_workspaces_were_lanes_is_opened_and_keeps_what_is_owed() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).expect("opened");
    let keyed = |random| Delivery { ordering_key: Some("k".into()), ..delivery(&*store, random) };
    accept(&*store, keyed(1));
    accept(&*store, keyed(2));
    accept(&*store, Delivery { workspace: 5, ..delivery(&*store, 3) });
    block_on(store.close()).expect("closed");
    drop(store);
    let file = Connection::open(directory.path().join(DATABASE_FILE)).expect("a file");
    file.execute_batch(BEFORE_REPORTS).expect("as it was");
    file.execute_batch(BEFORE_LANES).expect("as it was");
    drop(file);
    let store = open(directory.path()).expect("opened");
    let host = HostName::from_normalised("shop.example");
    let number = block_on(store.number(host)).expect("a number");
    let pages = block_on(store.page(number, None, 10)).expect("paged");
    let shape: Vec<_> = pages.iter().map(|page| (page.lane, page.rows.len())).collect();
    assert_eq!(shape, [(0, 1), (5, 1)]);
    assert_eq!((store.pending_of_lane(0), store.pending_of_lane(5)), (2, 1));
}

#[test]
fn a_file_from_before_reports_is_opened_and_counts_what_comes() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).expect("opened");
    let provenance = Provenance { campaign: Some("c".into()), ..Provenance::default() };
    let provenance = Some(Arc::new(provenance));
    let [old, failed] = [1, 2]
        .map(|random| Delivery { provenance: provenance.clone(), ..delivery(&*store, random) });
    let key = CountKey { subject: "c".into(), part: String::new(), what: "sent".into() };
    for delivery in [&old, &failed] {
        let mut acceptance = Acceptance::of(vec![Arc::new(delivery.clone())]);
        acceptance.writes.counts = vec![(key.clone(), 1)];
        block_on(store.accept(acceptance)).expect("accepted");
    }
    let settle = |store: &EmbeddedStore, id, end| {
        let verdict = Verdict::End(end);
        let settlement = Settlement { id, verdict, at: old.accepted, attempt: None };
        block_on(store.settle(hostline::store::Tenure::SOLE, vec![settlement], Vec::new()))
            .expect("settled");
    };
    settle(&store, failed.id, End::Failed);
    block_on(store.close()).expect("closed");
    drop(store);
    let file = Connection::open(directory.path().join(DATABASE_FILE)).expect("a file");
    file.execute_batch(BEFORE_REPORTS).expect("as it was");
    // Neither kind nor template stood there.
    file.execute("UPDATE delivery SET counted = 'c' || char(31) || ''", []).expect("as it was");
    drop(file);
    let store = open(directory.path()).expect("opened");
    settle(&store, old.id, End::Delivered);
    let hour = Duration::from_secs(3600);
    let (from, until) = (old.accepted.minus(hour), old.accepted.plus(hour));
    let counts = block_on(store.tally("c".into(), from, until)).expect("read");
    let words: Vec<_> = counts.iter().map(|count| (&*count.key.what, count.number)).collect();
    assert_eq!(words, [("delivered", 1), ("failed", 1), ("sent", 2)]);
    let query = |subject| {
        let report = ReportQuery { workspace: 0, subject, step: Step::Hour, from, until };
        let found = block_on(store.report(report)).expect("read");
        found.points.iter().map(|(_, figures)| figures.of(Word::Delivered)).sum::<u64>()
    };
    assert_eq!((query(Subject::Workspace), query(Subject::Host(old.id.host()))), (1, 1));
    let log = block_on(store.activity(ActivityFilter::default(), None, 10)).expect("read");
    assert_eq!((log.rows.len(), log.rows[0].count), (1, 1));
}

#[test]
fn what_a_workspace_is_owed_is_counted_exactly_over_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = open(directory.path()).expect("opened");
    for random in 0..30 {
        let ordering_key = (random % 3 == 0).then(|| "k".to_owned());
        let workspace = random as u32 % 2;
        accept(&*store, Delivery { ordering_key, workspace, ..delivery(&*store, random) });
    }
    let ended = delivery(&*store, 1).id;
    let verdict = Verdict::End(End::Delivered);
    let at = Timestamp::from_millis(1_795_503_601_000);
    let settlement = Settlement { id: ended, verdict, at, attempt: None };
    block_on(store.settle(hostline::store::Tenure::SOLE, vec![settlement], Vec::new()))
        .expect("settled");
    let owed = |store: &EmbeddedStore| [0, 1, 2].map(|lane| store.pending_of_lane(lane));
    assert_eq!(owed(&store), [15, 14, 0]);
    block_on(store.close()).expect("closed");
    drop(store);
    assert_eq!(owed(&open(directory.path()).expect("opened")), [15, 14, 0]);
}
