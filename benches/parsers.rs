//! What comes in: a trigger read and vetted, of several sizes.
//! `cargo bench --bench parsers`

#[path = "../tests/front/engine.rs"]
#[allow(dead_code, reason = "the front end's tests use the rest")]
mod engine;

use std::sync::Arc;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use engine::FakeEngine;
use futures::executor::block_on;
use hostline::admission::{Admission, Draft, Origin};
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::store::StoreLimits;
use hostline::store::memory::MemoryStore;

/// A trigger whose very last check fails, so that all of it is vetted and nothing is kept.
fn trigger(body_bytes: usize) -> Bytes {
    let (body, long) = ("x".repeat(body_bytes), "x".repeat(300));
    let text = format!(
        r#"{{"webhook":{{"url":"https://shop.example/hook?a=1","headers":{{"X-Source":"orders"}},
        "body":{{"order":7,"text":"{body}"}}}},"metadata":{{"shop":"a","order":"{long}"}}}}"#
    );
    text.into()
}

fn vet(criterion: &mut Criterion) {
    let store = MemoryStore::new(StoreLimits { max_pending: 1 });
    let clock = Clock::system();
    let settings = Settings::default();
    let engine = FakeEngine::new(store.clone(), clock.wall(), &settings);
    let admission = Admission::new(store, engine, Arc::new(settings), clock);
    let mut group = criterion.benchmark_group("trigger");
    for size in [100, 1 << 10, 64 << 10, 1 << 19] {
        let text = trigger(size);
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function(format!("{size} B of body"), |bencher| {
            bencher.iter(|| {
                let origin = Origin { alone: true, ..Origin::default() };
                let opened = admission.open(&text, &origin).expect("valid");
                let Draft::Plain(webhooks, envelope) = opened.draft else { unreachable!() };
                let refused = block_on(admission.admit(&text, (webhooks, envelope), opened.now));
                assert!(refused.is_err());
            });
        });
    }
    group.finish();
}

criterion_group!(benches, vet);
criterion_main!(benches);
