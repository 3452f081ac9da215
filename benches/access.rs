//! What a request pays at the door: a key looked up, and its rate.
//! `cargo bench --bench access`

use std::net::IpAddr;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use futures::executor::block_on;
use hostline::access::{Access, Caller, NewKey};
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::store::StoreLimits;
use hostline::store::memory::MemoryStore;

/// Keys that are there beside the one that asks.
const KEYS: usize = 1000;

fn key(access: &Access) -> String {
    let new = NewKey {
        name: "bench".into(),
        scopes: vec!["triggers:write".into()],
        requests_per_second: Some(1e6),
        burst: Some(1_000_000),
        ..NewKey::default()
    };
    let shown = block_on(access.create_key(&Caller::local(), new)).expect("a key");
    shown.text.reveal().to_owned()
}

fn authenticate(criterion: &mut Criterion) {
    let clock = Clock::system();
    let mut auth = Settings::default().auth;
    // So that a wrong key is looked up each time.
    auth.max_failures = 1_000_000;
    let store = MemoryStore::new(StoreLimits { max_pending: 1 });
    let access = Arc::new(Access::new(store, None, clock.clone(), auth));
    let keys: Vec<String> = (0..KEYS).map(|_| key(&access)).collect();
    let address: Option<IpAddr> = Some([192, 0, 2, 1].into());
    let mut group = criterion.benchmark_group("door");
    let mut turn = 0;
    group.bench_function("a live key of a thousand", |bencher| {
        bencher.iter(|| {
            turn = (turn + 1) % KEYS;
            access.authenticate(&keys[turn], address, clock.now()).is_ok()
        });
    });
    group.bench_function("a live key that comes again and again", |bencher| {
        bencher.iter(|| access.authenticate(&keys[0], address, clock.now()).is_ok());
    });
    let live = access.authenticate(&keys[0], address, clock.now()).expect("live");
    group.bench_function("its rate", |bencher| bencher.iter(|| live.spend(clock.moment())));
    let unknown = {
        let other = MemoryStore::new(StoreLimits { max_pending: 1 });
        key(&Access::new(other, None, clock.clone(), Settings::default().auth))
    };
    group.bench_function("an unknown key", |bencher| {
        bencher.iter(|| access.authenticate(&unknown, None, clock.now()).is_err());
    });
    group.bench_function("the clock alone", |bencher| bencher.iter(|| clock.now()));
    group.finish();
}

criterion_group!(benches, authenticate);
criterion_main!(benches);
