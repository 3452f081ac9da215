//! The rules alone: what a host actor thinks for each delivery, and what it reads of each answer.
//! `cargo bench --bench rules`

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hostline::config::HostRules;
use hostline::delivery::head;
use hostline::model::{
    Answer, DeliveryId, Header, HostControls, HostNumber, Method, Moment, Now, Outcome, Pending,
    Priority, Target, Timestamp, Webhook,
};
use hostline::policy::headers;
use hostline::policy::host_state::{HostState, Step};
use hostline::report::meters::{Class, Decision, Meters};

const T0: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Entries of a full window.
const WINDOW: u64 = 1000;

fn at(micros: u64) -> Now {
    let passed = Duration::from_micros(micros);
    Now { moment: Moment::ORIGIN + passed, wall: T0.plus(passed) }
}

fn webhook() -> Arc<Webhook> {
    Arc::new(Webhook {
        method: Method::Post,
        target: Target::from_vetted("https://shop.example/hook").expect("a target"),
        headers: Vec::new(),
        body: Bytes::from_static(b"{}"),
        secret_refs: Vec::new(),
    })
}

fn pending(seq: u64, webhook: &Arc<Webhook>) -> Pending {
    Pending {
        id: DeliveryId::new(T0, HostNumber(7), seq),
        seq,
        lane: 0,
        due: T0,
        expires: T0.plus(Duration::from_secs(72 * 3600)),
        priority: Priority::Normal,
        attempts: 0,
        retries: 0,
        ordered: false,
        size: 200,
        campaign: None,
        webhook: Some(webhook.clone()),
    }
}

fn answer(fields: &[(&str, &str)]) -> Outcome {
    let header = |(name, value): &(&str, &str)| Header {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    let headers = fields.iter().map(header).collect();
    Outcome::Answered(Answer { status: 200, headers, body: Bytes::new(), body_truncated: false })
}

const PLAIN: &[(&str, &str)] = &[
    ("date", "Tue, 24 Nov 2026 13:09:27 GMT"),
    ("content-type", "application/json"),
    ("content-length", "2"),
    ("server", "nginx"),
];
const LIMITED: &[(&str, &str)] = &[
    ("date", "Tue, 24 Nov 2026 13:09:27 GMT"),
    ("content-length", "2"),
    ("x-ratelimit-limit", "1000000"),
    ("x-ratelimit-remaining", "999999"),
    ("x-ratelimit-reset", "60"),
];

/// Offer, next, send, settle: one delivery through a host whose window is full.
fn cycle(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("host");
    group.throughput(Throughput::Elements(1));
    for (name, fields) in [("plain answer", PLAIN), ("answer with X-RateLimit", LIMITED)] {
        let (webhook, outcome) = (webhook(), answer(fields));
        let mut state = HostState::new(
            HostRules::default(),
            HostControls::default(),
            // Room for the one that comes in before one goes out.
            WINDOW as usize + 1,
            Moment::ORIGIN,
        );
        let mut seq = WINDOW;
        (0..WINDOW).for_each(|seq| {
            state.queue_mut().offer(pending(seq, &webhook));
        });
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                seq += 1;
                // Slow enough that no pace holds it back.
                let now = at(seq * 1000);
                state.queue_mut().offer(pending(seq, &webhook));
                let Step::Send(entry) = state.next(now) else { panic!("it may send") };
                state.settle(entry.id, &outcome, at(seq * 1000 + 500), 0.5)
            });
        });
    }
    group.finish();
}

fn reading(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer");
    for (name, fields) in [("plain", PLAIN), ("X-RateLimit", LIMITED)] {
        let Outcome::Answered(answer) = answer(fields) else { unreachable!("it is answered") };
        group.bench_function(format!("limits, {name}"), |bencher| {
            bencher.iter(|| headers::read(&answer.headers, T0));
        });
        let lines = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let text = format!("HTTP/1.1 200 OK\r\n{}\r\n", lines.collect::<String>());
        group.bench_function(format!("head, {name}"), |bencher| {
            bencher.iter(|| (head::scan(text.as_bytes()), head::fields(text.as_bytes())));
        });
    }
    group.finish();
}

/// What an attempt costs in counting: its begin, its end, its verdict.
fn meters(criterion: &mut Criterion) {
    let meters = Meters::default();
    let mut latency_us = 200;
    criterion.bench_function("meters: count an attempt", |bencher| {
        bencher.iter(|| {
            latency_us = 200 + latency_us * 7 % 400_009;
            meters.begun(Duration::from_micros(latency_us), true);
            meters.ended(Class::Success, latency_us);
            meters.decided(Decision::Delivered);
        });
    });
}

criterion_group!(benches, cycle, reading, meters);
criterion_main!(benches);
