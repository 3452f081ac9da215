//! Liquid against other engines: what they make of the templates of `tests/liquid/cases`, what they
//! make of templates from a seed, and what becomes of templates that mean harm.
//!
//! `tests/liquid/install` fetches the other engines; what is not installed is skipped and said, and
//! in CI (`CI=true`) that is a failure. `HOSTLINE_LIQUID_SEED=N` starts at another seed, and
//! `HOSTLINE_LIQUID_RUNS=N` makes another number of templates.

#[path = "liquid/corpus.rs"]
mod corpus;
#[path = "liquid/differences.rs"]
mod differences;
#[path = "liquid/generator.rs"]
mod generator;
#[path = "liquid/hostile.rs"]
mod hostile;
#[path = "liquid/oracles.rs"]
mod oracles;
#[path = "liquid/ours.rs"]
mod ours;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use corpus::{Answer, Subject, subjects};
use differences::DIFFERENCES;
use generator::{Dialect, make};

/// Templates from a seed for each engine that is compared with.
const RUNS: u64 = 500;
/// Of them, at least this many show something: else little would be compared.
const TELLING_MIN: usize = 400;
/// What a stack of a worker may be, and a fair bit less.
const STACK: usize = 512 << 10;
/// Nothing may take longer, in a build without optimization on a busy machine: each costs some tenth
/// of a second at most.
const TIME_MAX: Duration = Duration::from_secs(20);

fn from_env(name: &str) -> Option<u64> {
    let value = std::env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name} is a number, not {value:?}")))
}

/// Runs it where the stack is small.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(STACK).spawn(run).expect("a thread");
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn all_cases(subjects: &[Subject]) -> impl Iterator<Item = (&Subject, &corpus::Case)> {
    subjects.iter().flat_map(|subject| subject.cases.iter().map(move |case| (subject, case)))
}

#[test]
fn templates_mean_what_they_mean_elsewhere() {
    let subjects = subjects();
    let mut wrong = String::new();
    let mut listed = DIFFERENCES.iter().map(|one| one.case).collect::<HashSet<_>>();
    for (subject, case) in all_cases(&subjects) {
        let data = subject.data(case);
        let (got, why) = ours::render(&case.template, data);
        let key = (subject.name.as_str(), case.name.as_str());
        let difference = DIFFERENCES.iter().find(|one| one.case == key);
        listed.remove(&key);
        let expected = case.answer();
        let meant = difference.map_or(expected.clone(), |one| one.answer());
        if got == meant && (difference.is_none() || meant != expected) {
            continue;
        }
        let reason = difference.map_or("", |one| one.reason);
        writeln!(
            wrong,
            "{}: {} ({}) {}\n  template: {:?}\n  data:     {data}\n  expected: {expected:?}\n  got:      {got:?} {why}\n  listed:   {reason}",
            subject.name, case.name, case.oracle, case.note, case.template,
        )
        .expect("a string takes it");
    }
    assert!(listed.is_empty(), "differences of cases that there are not: {listed:?}");
    let count = wrong.matches("  template: ").count();
    assert!(wrong.is_empty(), "{count} differ:\n{wrong}");
}

#[test]
fn the_corpus_is_large_and_says_why_it_believes_whom() {
    let subjects = subjects();
    let mut seen = HashSet::new();
    for (subject, case) in all_cases(&subjects) {
        assert!(seen.insert((&subject.name, &case.name)), "{} {}", subject.name, case.name);
        // What is believed against a page, or against all others, says why.
        let alone = case.others.len() + 1 == case.oracles().len().max(2);
        let is_told = !case.note.is_empty() || case.oracle == "shopify-liquid";
        assert!(!alone || is_told, "{} {} has no note", subject.name, case.name);
    }
    assert!(seen.len() >= 900, "{} cases", seen.len());
}

#[test]
fn expectations_are_what_the_oracles_say() {
    let subjects = subjects();
    for oracle in ["shopify-liquid", "python-liquid", "liquidjs", "brazejs"] {
        let asked: Vec<_> =
            all_cases(&subjects).filter(|(_, case)| case.oracles().contains(&oracle)).collect();
        let templates: Vec<(&str, &Value)> = asked
            .iter()
            .map(|(subject, case)| (case.template.as_str(), subject.data(case)))
            .collect();
        let Some(answers) = oracles::ask(oracle, &templates) else { continue };
        for ((subject, case), answer) in asked.iter().zip(answers) {
            let name = format!("{oracle} on {}: {}", subject.name, case.name);
            assert_eq!(answer, case.answer_of(oracle), "{name}; tests/liquid/expect --again");
        }
    }
}

/// Shopify's writes a nought with the sign that it was reckoned with, we write it without.
fn signless(answer: &Answer) -> Answer {
    match answer {
        Answer::Output(output) => Answer::Output(output.replace("-0.0", "0.0")),
        other => other.clone(),
    }
}

/// Templates from a seed mean to us what they mean to an oracle.
fn compare_with(oracle: &str, dialect: Dialect) {
    let first = from_env("HOSTLINE_LIQUID_SEED").unwrap_or(0);
    let runs = from_env("HOSTLINE_LIQUID_RUNS").unwrap_or(RUNS);
    let made: Vec<(String, Value)> =
        (first..first + runs).map(|seed| make(seed, dialect)).collect();
    let templates: Vec<_> = made.iter().map(|(template, data)| (template.as_str(), data)).collect();
    let Some(answers) = oracles::ask(oracle, &templates) else { return };
    let (mut wrong, mut seeds) = (Vec::new(), Vec::new());
    let mut telling = 0;
    for ((seed, (template, data)), expected) in (first..).zip(&made).zip(answers) {
        let (got, why) = ours::render(template, data);
        telling += usize::from(matches!(&expected, Answer::Output(output) if !output.is_empty()));
        if signless(&got) != signless(&expected) {
            seeds.push(seed);
            wrong.push(format!(
                "seed {seed} (HOSTLINE_LIQUID_SEED={seed} HOSTLINE_LIQUID_RUNS=1)\n  template: {template:?}\n  data:     {data}\n  {oracle}: {expected:?}\n  got:      {got:?} {why}"
            ));
        }
    }
    assert!(wrong.is_empty(), "of {runs} differ {seeds:?}, first:\n{}", wrong[0]);
    assert!(telling >= TELLING_MIN.min(runs as usize), "{telling} of {runs} show something");
    println!("{runs} templates from seed {first} render as {oracle} renders them");
}

#[test]
fn templates_from_a_seed_render_as_liquidjs_renders_them() {
    compare_with("liquidjs", Dialect::Common);
}

#[test]
fn templates_from_a_seed_render_as_shopifys_own_renders_them() {
    compare_with("shopify-liquid", Dialect::Shopify);
}

/// Ends in a bounded output or a clear refusal, in bounded time.
fn survive(name: &str, template: &str, data: &Value) -> Duration {
    let begun = Instant::now();
    let (answer, why) = ours::render(template, data);
    let took = begun.elapsed();
    match answer {
        Answer::Output(output) => assert!(output.len() <= ours::output_max(), "{name}"),
        Answer::Refused => assert!(ours::is_clear(&why), "{name} is refused by {why:?}"),
        Answer::Aborted(_) => {}
    }
    assert!(took < TIME_MAX, "{name} took {took:?}");
    took
}

#[test]
fn hostile_templates_end_in_bounded_time_on_a_small_stack() {
    on_a_small_stack(|| {
        let mut slowest = (Duration::ZERO, String::new());
        for (name, template, data) in hostile::all() {
            let took = survive(&name, &template, &data);
            if took > slowest.0 {
                slowest = (took, name);
            }
        }
        println!("the slowest of the hostile took {:?}: {}", slowest.0, slowest.1);
    });
}

#[test]
fn templates_cut_off_anywhere_are_refused_or_rendered() {
    on_a_small_stack(|| {
        let data = hostile::whole_data();
        let (whole, why) = ours::render(hostile::WHOLE, &data);
        assert!(matches!(whole, Answer::Output(_)), "the whole is valid: {why}");
        for template in hostile::cut_off() {
            survive(&template, &template, &data);
        }
    });
}
