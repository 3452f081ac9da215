//! Hostile input: every kept input of `tests/corpus` is judged, and so are inputs made of them.
//!
//! `HOSTLINE_FUZZ_RUNS=N` sets how many are made for each target, `HOSTLINE_FUZZ_SECONDS=N` how
//! long each row of targets is fed instead, `HOSTLINE_FUZZ_TARGET=NAME` takes one alone,
//! `HOSTLINE_FUZZ_SEED=N` makes the same inputs again; `scripts/fuzz` sets them. Rows are fed side by side, one a core. What an input led to is noted,
//! and inputs that led to something new are gone on from: no coverage, but a guide without a
//! second build. The functions take any bytes, so that a fuzzer that coverage guides can call them.

#[path = "front/engine.rs"]
#[allow(dead_code)] // the front end's own tests use the rest
mod engine;
#[path = "fuzzing/json.rs"]
mod json;
#[path = "fuzzing/mutation.rs"]
mod mutation;
#[path = "fuzzing/targets.rs"]
mod targets;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use mutation::Mutator;
use targets::{TARGETS, Target, take_notes};

/// Inputs made for each target by a plain `cargo test`: some seconds in all.
const RUNS: u64 = 1_500;
/// Kept inputs of each target at least.
const KEPT_MIN: usize = 30;
/// No input of a few KiB takes so long, on the busiest machine.
const SLOW: Duration = Duration::from_secs(10);
/// An input that takes longer is written out: a second may be a way to stop a server.
const SHOWN_SLOW: Duration = Duration::from_millis(500);
/// Inputs that are fed to a target before the next of its row has its turn.
const TURN: u64 = 50;
/// Inputs with something new that are written out, for a person to keep.
const SHOWN_MAX: usize = 100;

/// What was asked for.
struct Wish {
    only: Option<String>,
    seconds: Option<Duration>,
    runs: u64,
    seed: u64,
}

impl Wish {
    fn from_env() -> Self {
        let only = std::env::var("HOSTLINE_FUZZ_TARGET").ok();
        let seconds = number("HOSTLINE_FUZZ_SECONDS").map(Duration::from_secs);
        // Without a wish the inputs are the same each time, so that a change is what makes one fail.
        let fresh = || if seconds.is_some() { fastrand::u64(..1 << 40) } else { 0 };
        let seed = number("HOSTLINE_FUZZ_SEED").unwrap_or_else(fresh);
        let runs = number("HOSTLINE_FUZZ_RUNS").unwrap_or(RUNS);
        Self { only, seconds, runs, seed }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only == name)
    }
}

fn number(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus").join(target);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).expect("readable"))).collect()
}

/// Writes an input out; answers where.
fn write_out(folder: &str, name: &str, input: &[u8]) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzzing").join(folder);
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(format!("{name}-{:016x}", xxhash_rust::xxh3::xxh3_64(input)));
    std::fs::write(&file, input).expect("a file");
    file
}

/// Judges an input and tells how long it took; one that fails is written to a file and named.
fn judge(name: &str, target: Target, input: &[u8], from: &str) -> Duration {
    let started = Instant::now();
    let passed = catch_unwind(AssertUnwindSafe(|| target(input))).is_ok();
    let took = started.elapsed();
    if passed && took < SLOW {
        return took;
    }
    let file = write_out("failed", name, input);
    panic!(
        "{name} fails on {from} after {took:?}: {:?}\nkeep it: cp {} tests/corpus/{name}/",
        String::from_utf8_lossy(input),
        file.display()
    );
}

/// One target while it is fed.
struct Fed {
    name: &'static str,
    target: Target,
    mutator: Mutator,
    /// All that was noted so far.
    noted: HashSet<u64>,
    kept: usize,
    noted_of_kept: usize,
    found: usize,
    runs: u64,
    took: Duration,
    slowest: Duration,
}

impl Fed {
    fn new(name: &'static str, target: Target, seed: u64) -> Self {
        let kept: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, input)| input).collect();
        take_notes();
        for input in &kept {
            judge(name, target, input, "a kept input");
        }
        let noted = take_notes();
        Self {
            name,
            target,
            kept: kept.len(),
            mutator: Mutator::new(seed, kept),
            noted_of_kept: noted.len(),
            noted,
            found: 0,
            runs: 0,
            took: Duration::ZERO,
            slowest: Duration::ZERO,
        }
    }

    fn feed(&mut self, wish: &Wish) {
        let input = self.mutator.make();
        let from = format!("run {} of seed {}", self.runs, wish.seed);
        let took = judge(self.name, self.target, &input, &from);
        self.took += took;
        if took > SHOWN_SLOW && took > self.slowest {
            let file = write_out("slow", self.name, &input);
            println!("{}: {took:?} for {}", self.name, file.display());
        }
        self.slowest = self.slowest.max(took);
        self.runs += 1;
        let before = self.noted.len();
        self.noted.extend(take_notes());
        if self.noted.len() > before {
            self.found += 1;
            if wish.seconds.is_some() && self.found <= SHOWN_MAX {
                write_out("new", self.name, &input);
            }
            self.mutator.keep(input);
        }
    }

    fn summary(&self, seed: u64) -> String {
        let rate = self.runs as f64 / self.took.as_secs_f64().max(1e-9);
        let (name, runs, kept, known) = (self.name, self.runs, self.kept, self.noted_of_kept);
        let (more, found) = (self.noted.len() - known, self.found);
        let slowest = self.slowest.as_secs_f64() * 1e3;
        format!(
            "{name}: {runs} inputs, {rate:.0} a second, slowest {slowest:.1} ms; {kept} kept lead \
             to {known} ends, {found} made ones to {more} more; seed {seed}"
        )
    }
}

/// Feeds a row, its targets in turns.
fn feed_row(row: &'static [(&'static str, Target)], wish: &Wish) {
    let wanted = row.iter().filter(|(name, _)| wish.wants(name));
    let mut fed: Vec<Fed> =
        wanted.map(|(name, target)| Fed::new(name, *target, wish.seed)).collect();
    let started = Instant::now();
    let mut turns = 0;
    while !fed.is_empty()
        && wish.seconds.map_or(turns * TURN < wish.runs, |seconds| started.elapsed() < seconds)
    {
        for target in &mut fed {
            (0..TURN).for_each(|_| target.feed(wish));
        }
        turns += 1;
    }
    fed.iter().for_each(|target| println!("{}", target.summary(wish.seed)));
}

#[test]
fn every_kept_input_is_judged() {
    for (name, target) in TARGETS.iter().copied().flatten() {
        let kept = corpus(name);
        assert!(kept.len() >= KEPT_MIN, "{name} has {} kept inputs", kept.len());
        for (path, input) in kept {
            judge(name, *target, &input, &path.display().to_string());
        }
    }
}

#[test]
fn inputs_made_of_kept_ones_are_judged() {
    let wish = Wish::from_env();
    let rows = Mutex::new(TARGETS.iter().copied());
    let next = || rows.lock().expect("nobody panics with it").next();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let failed = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores)
            .map(|_| {
                scope.spawn(|| {
                    let mut failed = 0;
                    while let Some(row) = next() {
                        let fed = catch_unwind(AssertUnwindSafe(|| feed_row(row, &wish)));
                        failed += usize::from(fed.is_err());
                    }
                    failed
                })
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().expect("it catches")).sum::<usize>()
    });
    assert_eq!(failed, 0, "rows with an input that fails; it is named above");
}
