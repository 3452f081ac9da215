//! The embedded store alone: accepts, and whole cycles of accept and settle, by 256 callers at once.
//! Its data is on the disk of the working directory, since a sync in memory costs nothing.
//! `cargo bench --bench store`

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use futures::executor::block_on;
use hostline::clock::Clock;
use hostline::model::{
    Answer, Attempt, Delivery, DeliveryId, End, HostName, HostNumber, Method, OnFailure, Outcome,
    Priority, Settlement, Target, Timings, Verdict, Webhook,
};
use hostline::store::embedded::EmbeddedStore;
use hostline::store::{Acceptance, DeliveryStore, HostStore, StoreLimits};

const CALLERS: usize = 256;
const BODY: &[u8] = &[b'x'; 1024];

struct Bench {
    store: Arc<EmbeddedStore>,
    clock: Clock,
    hosts: Vec<(HostName, HostNumber)>,
    serial: AtomicU64,
}

impl Bench {
    fn new(path: &std::path::Path, hosts: usize) -> Self {
        let clock = Clock::system();
        let limits = StoreLimits { max_pending: 100_000_000 };
        let store = EmbeddedStore::open(path, limits, 64 << 20, clock.clone()).expect("it opens");
        let hosts = (0..hosts).map(|number| {
            let name = HostName::from_normalised(&format!("host{number}.example"));
            let number = block_on(store.number(name.clone())).expect("a number");
            (name, number)
        });
        let hosts = hosts.collect();
        Self { store, clock, hosts, serial: AtomicU64::new(0) }
    }

    fn delivery(&self) -> Delivery {
        let serial = self.serial.fetch_add(1, Ordering::Relaxed);
        let (host, number) = self.hosts[serial as usize % self.hosts.len()].clone();
        let (accepted, ttl) = (self.clock.wall(), Duration::from_secs(3600));
        let id = DeliveryId::new(accepted, number, serial);
        let url = format!("https://{host}/hook");
        let webhook = Webhook {
            method: Method::Post,
            target: Target::from_vetted(&url).expect("a target"),
            headers: Vec::new(),
            body: Bytes::from_static(BODY),
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
            expires: accepted.plus(ttl),
            ttl,
            ttl_custom: false,
            priority: Priority::Normal,
            ordering_key: None,
            on_failure: OnFailure::Continue,
            metadata: Vec::new(),
            webhook: Arc::new(webhook),
        }
    }

    async fn accept(&self) -> DeliveryId {
        let delivery = self.delivery();
        let id = delivery.id;
        let acceptance = Acceptance::of(vec![Arc::new(delivery)]);
        self.store.accept(acceptance).await.expect("accepted");
        id
    }

    async fn cycle(&self) {
        let id = self.accept().await;
        let now = self.clock.wall();
        let answer =
            Answer { status: 200, headers: Vec::new(), body: Bytes::new(), body_truncated: false };
        let outcome = Outcome::Answered(answer);
        let attempt = Attempt { number: 1, started: now, outcome, timings: Timings::default() };
        let verdict = Verdict::End(End::Delivered);
        let settlement = Settlement { id, verdict, at: now, attempt: Some(attempt) };
        self.store
            .settle(hostline::store::Tenure::SOLE, vec![settlement], Vec::new())
            .await
            .expect("settled");
    }

    /// Runs `count` operations, so many at once.
    fn run<F: Future>(&self, count: u64, operation: impl Fn() -> F) -> Duration {
        let began = Instant::now();
        let operations = futures::stream::iter(0..count).map(|_| operation());
        block_on(operations.buffer_unordered(CALLERS).for_each(|_| async {}));
        began.elapsed()
    }
}

fn store(criterion: &mut Criterion) {
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
    let mut group = criterion.benchmark_group("store");
    group.throughput(Throughput::Elements(1)).sample_size(10);
    group.measurement_time(Duration::from_secs(10));
    for hosts in [1, 100] {
        let bench = Bench::new(&directory.path().join(format!("{hosts}")), hosts);
        group.bench_function(format!("accept, {hosts} hosts"), |bencher| {
            bencher.iter_custom(|count| bench.run(count, || bench.accept()));
        });
        group.bench_function(format!("accept and settle, {hosts} hosts"), |bencher| {
            bencher.iter_custom(|count| bench.run(count, || bench.cycle()));
        });
    }
    group.finish();
}

criterion_group!(benches, store);
criterion_main!(benches);
