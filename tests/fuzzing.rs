//! Hostile input: every kept input of `tests/corpus` is judged, and so are inputs made of them.
//!
//! `HOSTLINE_FUZZ_RUNS=N` sets how many are made for each target, `HOSTLINE_FUZZ_SECONDS=N` how
//! long each target is fed instead, `HOSTLINE_FUZZ_TARGET=NAME` takes one alone; `scripts/fuzz` sets
//! them. The functions take any bytes, so that a fuzzer that coverage guides can call them too.

#[path = "front/engine.rs"]
#[allow(dead_code)] // the front end's own tests use the rest
mod engine;
#[path = "fuzzing/mutation.rs"]
mod mutation;
#[path = "fuzzing/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use mutation::Mutator;
use targets::TARGETS;

/// Inputs made for each target by a plain `cargo test`: some seconds in all.
const RUNS: u64 = 1_500;
/// Kept inputs of each target at least.
const KEPT_MIN: usize = 30;

fn from_env(name: &str) -> Option<u64> {
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

/// Judges an input; one that fails is written to a file and named.
fn judge(name: &str, target: fn(&[u8]), input: &[u8], from: &str) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_ok() {
        return;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzzing");
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join(format!("{name}-{:016x}", xxhash_rust::xxh3::xxh3_64(input)));
    std::fs::write(&file, input).expect("a file");
    panic!(
        "{name} fails on {from}: {:?}\nkeep it: cp {} tests/corpus/{name}/",
        String::from_utf8_lossy(input),
        file.display()
    );
}

#[test]
fn every_kept_input_is_judged() {
    for (name, target) in TARGETS {
        let kept = corpus(name);
        assert!(kept.len() >= KEPT_MIN, "{name} has {} kept inputs", kept.len());
        for (path, input) in kept {
            judge(name, *target, &input, &path.display().to_string());
        }
    }
}

#[test]
fn inputs_made_of_kept_ones_are_judged() {
    let only = std::env::var("HOSTLINE_FUZZ_TARGET").ok();
    let seconds = from_env("HOSTLINE_FUZZ_SECONDS").map(Duration::from_secs);
    // Without a wish the inputs are the same each time, so that a change is what makes one fail.
    let seed = if seconds.is_some() { fastrand::u64(..1 << 40) } else { 0 };
    let runs = from_env("HOSTLINE_FUZZ_RUNS").unwrap_or(RUNS);
    for (name, target) in TARGETS {
        if only.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        let kept: Vec<Vec<u8>> = corpus(name).into_iter().map(|(_, input)| input).collect();
        let mut mutator = Mutator::new(seed, kept);
        let started = Instant::now();
        let mut run = 0;
        while seconds.map_or(run < runs, |seconds| started.elapsed() < seconds) {
            judge(name, *target, &mutator.make(), &format!("run {run} of seed {seed}"));
            run += 1;
        }
        let rate = run as f64 / started.elapsed().as_secs_f64();
        println!("{name}: {run} inputs from seed {seed}, {rate:.0} a second");
    }
}
