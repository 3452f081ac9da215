//! Histories told by hand: what a seed found once is kept here without the rest of its history.

use std::time::Duration;

use hostline::config::{HostRules, Settings};

use crate::faulty::Fault;
use crate::plan::{Event, Plan, Temper, Wish, host_name};
use crate::run::live;

/// A host that takes one request in ten seconds and says so.
const STRICT: Temper = Temper::Limited { rate: 0.1, burst: 1.0, headers: false, retry_after: true };

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn submit(count: usize) -> Event {
    Event::Submit { host: 0, count, wish: Wish::default() }
}

fn plan(temper: Temper, steps: impl IntoIterator<Item = (Event, Duration)>) -> Plan {
    let mut settings = Settings::default();
    settings.actors.shards = 1;
    settings.actors.idle_timeout = ms(100);
    settings.hosts.insert(host_name(0), HostRules::default());
    let steps = steps.into_iter().collect();
    Plan { seed: 1, settings, lanes: 1, tempers: vec![temper], latency: Duration::ZERO, steps }
}

#[track_caller]
fn keeps_every_promise(plan: &Plan) {
    let lived = live(plan);
    assert!(lived.violations.is_empty(), "{}", lived.history);
}

#[test]
fn a_cancel_that_comes_too_late_says_so() {
    for seed in 0..100 {
        let steps = [(submit(1), ms(seed)), (Event::Cancel(0), ms(1_000))];
        keeps_every_promise(&Plan { seed, latency: ms(30), ..plan(Temper::Good, steps) });
    }
}

#[test]
fn an_actor_does_not_write_over_what_it_has_not_yet_remembered() {
    keeps_every_promise(&plan(
        STRICT,
        [
            (submit(2), ms(2_000)),
            (Event::Pause(0), ms(500)),
            (Event::Look(1), ms(500)),
            (Event::Resume(0), ms(1_000)),
        ],
    ));
}

#[test]
fn a_host_is_not_forgotten_because_the_store_was_busy() {
    let fault = Event::Store { fault: Fault::Unreadable, share: 1.0, time: ms(300) };
    keeps_every_promise(&plan(
        STRICT,
        [
            (submit(2), ms(2_000)),
            (Event::Pause(0), ms(500)),
            (fault, ms(10)),
            (Event::Resume(0), ms(1_000)),
        ],
    ));
}

#[test]
fn what_is_learned_during_a_stop_is_known_after_it() {
    let stop = Event::Restart { patience: ms(5_000) };
    // One after the other, a millisecond each: the second is on its way when the stop comes.
    let one = Event::Limit { host: 0, in_flight: Some(1), rate: None };
    keeps_every_promise(&plan(STRICT, [(one, ms(0)), (submit(2), ms(1)), (stop, ms(0))]));
}

#[test]
fn a_stop_reaches_an_actor_whose_mailbox_is_full() {
    let stop = Event::Restart { patience: ms(3_000) };
    keeps_every_promise(&plan(Temper::Slow, [(submit(200), ms(0)), (stop, ms(20_000))]));
}
