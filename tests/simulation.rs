//! Random histories in simulated time: hosts of every temper, operators, faults of the store, deaths
//! and restarts. After each step what was accepted is waiting, in flight, delivered, a dead letter
//! or cancelled, and every request keeps the promises of the delivery contract.
//!
//! A history is made of a seed. `HOSTLINE_SEEDS=N` lives through N of them, `HOSTLINE_MINUTES=N`
//! through as many as fit, `HOSTLINE_SEED=S` through one, and prints it. `HOSTLINE_HOSTS=N` and
//! `HOSTLINE_STEPS=N` cut a history short, to find the least that fails.

mod common;
#[path = "simulation/faulty.rs"]
mod faulty;
#[path = "simulation/plan.rs"]
mod plan;
#[path = "simulation/run.rs"]
mod run;
#[path = "simulation/stories.rs"]
mod stories;
#[path = "simulation/world.rs"]
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use plan::{Bounds, Plan};
use run::{Lived, live};

/// Histories of a plain `cargo test`.
const SEEDS: u64 = 1_000;
/// Lines of a failing history that are printed: the fault is near its end.
const SHOWN: usize = 150;

fn from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}

fn bounds() -> Bounds {
    let bound = |name| from_env(name).map_or(usize::MAX, |bound| bound as usize);
    Bounds { hosts: bound("HOSTLINE_HOSTS").max(1), steps: bound("HOSTLINE_STEPS") }
}

/// Actors and senders are told to break; only other panics are worth a line.
fn hide_simulated_panics() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let simulated = info.payload_as_str().is_some_and(|text| text.starts_with("simulated: "));
        if !simulated {
            print(info);
        }
    }));
}

/// What a failing seed shows of itself.
fn report(plan: &Plan, lived: &Lived, all: bool) -> String {
    let lines: Vec<&str> = lived.history.lines().collect();
    let first = if all { 0 } else { lines.len().saturating_sub(SHOWN) };
    format!(
        "{plan}{}\n\nseed {} fails:\n{}\nagain with HOSTLINE_SEED={} cargo test --test simulation",
        lines[first..].join("\n"),
        plan.seed,
        lived.violations.join("\n"),
        plan.seed,
    )
}

/// Seeds that failed once, each with what it found.
fn kept_seeds() -> Vec<u64> {
    let lines = include_str!("simulation/seeds.txt").lines();
    let seeds = lines.filter_map(|line| line.split('#').next()?.trim().parse().ok());
    seeds.collect()
}

#[test]
fn kept_seeds_keep_every_promise() {
    hide_simulated_panics();
    for seed in kept_seeds() {
        let plan = Plan::of(seed, Bounds { hosts: usize::MAX, steps: usize::MAX });
        let lived = live(&plan);
        assert!(lived.violations.is_empty(), "{}", report(&plan, &lived, false));
    }
}

#[test]
fn random_histories_keep_every_promise() {
    hide_simulated_panics();
    if let Some(seed) = from_env("HOSTLINE_SEED") {
        let plan = Plan::of(seed, bounds());
        let lived = live(&plan);
        println!("{}", report(&plan, &lived, true));
        assert!(lived.violations.is_empty(), "seed {seed} fails");
        return;
    }
    let minutes = from_env("HOSTLINE_MINUTES");
    let until = minutes.map(|minutes| Instant::now() + Duration::from_secs(60 * minutes));
    // Without a wish the seeds are the same each time, so that a change is what makes one fail.
    let first = if until.is_some() { fastrand::u64(..1 << 40) } else { 0 };
    let count =
        from_env("HOSTLINE_SEEDS").unwrap_or(if until.is_some() { u64::MAX } else { SEEDS });
    let work = Work { first, count, until, ..Work::default() };
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from).min(4) {
            scope.spawn(|| work.take());
        }
    });
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let elapsed = started.elapsed().as_secs_f64();
    println!(
        "{} histories from seed {first} on in {elapsed:.1} s ({:.0} a minute): {} deliveries, {} \
         requests, {:.0} simulated hours",
        load(&work.lived),
        load(&work.lived) as f64 * 60.0 / elapsed,
        load(&work.deliveries),
        load(&work.requests),
        load(&work.seconds) as f64 / 3600.0,
    );
    let failed = work.failed.into_inner().expect("not poisoned");
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Seeds to live through, on several threads.
#[derive(Default)]
struct Work {
    first: u64,
    count: u64,
    until: Option<Instant>,
    taken: AtomicU64,
    lived: AtomicU64,
    deliveries: AtomicU64,
    requests: AtomicU64,
    seconds: AtomicU64,
    failed: Mutex<Vec<String>>,
}

impl Work {
    fn take(&self) {
        loop {
            let taken = self.taken.fetch_add(1, Ordering::Relaxed);
            let over = self.until.is_some_and(|until| Instant::now() >= until);
            if taken >= self.count || over || !self.failed.lock().expect("not poisoned").is_empty()
            {
                return;
            }
            let plan = Plan::of(self.first + taken, bounds());
            let lived = live(&plan);
            self.lived.fetch_add(1, Ordering::Relaxed);
            self.deliveries.fetch_add(lived.deliveries as u64, Ordering::Relaxed);
            self.requests.fetch_add(lived.requests as u64, Ordering::Relaxed);
            self.seconds.fetch_add(lived.time.as_secs(), Ordering::Relaxed);
            if !lived.violations.is_empty() {
                let failed = report(&plan, &lived, false);
                self.failed.lock().expect("not poisoned").push(failed);
            }
        }
    }
}
