//! What a seed stands for: hosts, settings, and what happens to them.

use std::fmt;
use std::time::Duration;

use hostline::config::{HostRules, Settings};
use hostline::model::Priority;

use crate::faulty::Fault;

/// How a receiver is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Temper {
    Good,
    Slow,
    /// Holds a token bucket, and says so or not.
    Limited {
        rate: f64,
        burst: f64,
        headers: bool,
        retry_after: bool,
    },
    /// Up for a period, then down for one.
    Flapping {
        period: Duration,
    },
    Hanging,
    Refusing,
    /// Answers whatever comes to its mind.
    Whimsical,
    /// Breaks the sender now and then.
    Panicking,
    /// A third of its answers are bare 503s.
    Overloaded,
}

/// What happens. Numbers of deliveries are taken modulo those that there are.
#[derive(Clone, Debug)]
pub enum Event {
    Submit {
        host: usize,
        count: usize,
        wish: Wish,
    },
    Pause(usize),
    Resume(usize),
    Drain(usize),
    Purge(usize),
    Limit {
        host: usize,
        in_flight: Option<u32>,
        rate: Option<(f64, u32)>,
    },
    Cancel(usize),
    Redrive(usize),
    Skip(usize),
    Look(usize),
    Store {
        fault: Fault,
        share: f64,
        time: Duration,
    },
    LoseHints(u32),
    /// The next actors that want to send, or to read their queue, break.
    BreakActors {
        sending: u32,
        reading: u32,
    },
    Restart {
        patience: Duration,
    },
    Kill,
}

/// What is wanted of a delivery.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub delay: Duration,
    pub ttl: Option<Duration>,
    pub key: Option<char>,
    pub block: bool,
    pub priority: Priority,
}

/// A history to be.
pub struct Plan {
    pub seed: u64,
    pub settings: Settings,
    /// Workspaces that send to each host.
    pub lanes: u32,
    pub tempers: Vec<Temper>,
    pub latency: Duration,
    pub steps: Vec<(Event, Duration)>,
}

/// Bounds for shrinking a failing seed by hand.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    pub hosts: usize,
    pub steps: usize,
}

impl Plan {
    pub fn of(seed: u64, bounds: Bounds) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let hosts = dice.usize(1..=6);
        let tempers: Vec<Temper> = (0..hosts).map(|_| temper(&mut dice)).collect();
        let tempers = tempers[..hosts.min(bounds.hosts)].to_vec();
        let mut settings = settings(&mut dice);
        for host in 0..tempers.len() {
            settings.hosts.insert(host_name(host), rules(&mut dice));
        }
        let slow = dice.bool();
        let latency = Duration::from_millis(if slow { dice.u64(1..60) } else { 0 });
        // Some histories are about faults, some about operators, some about neither.
        let (faults, operators) = (dice.bool(), dice.bool());
        let count = dice.usize(5..40);
        let steps = (0..count).map(|_| {
            let event = event(&mut dice, tempers.len(), faults, operators);
            let pause = match dice.u32(0..4) {
                0 => Duration::ZERO,
                1 => Duration::from_millis(dice.u64(1..100)),
                2 => Duration::from_millis(dice.u64(100..2_000)),
                _ => Duration::from_millis(dice.u64(2_000..12_000)),
            };
            (event, pause)
        });
        let mut steps: Vec<_> = steps.collect();
        steps.truncate(bounds.steps);
        // No dice, so that a seed stays the history that it was.
        let lanes = if seed.is_multiple_of(2) { 1 } else { 3 };
        Self { seed, settings, lanes, tempers, latency, steps }
    }
}

pub fn host_name(host: usize) -> String {
    format!("h{host}.example")
}

fn temper(dice: &mut fastrand::Rng) -> Temper {
    match dice.u32(0..12) {
        0..=2 => Temper::Good,
        3 => Temper::Slow,
        4 | 5 => Temper::Limited {
            rate: dice.u32(1..20).into(),
            burst: dice.u32(1..10).into(),
            headers: dice.bool(),
            retry_after: dice.bool(),
        },
        6 => Temper::Flapping { period: Duration::from_secs(dice.u64(2..20)) },
        7 => Temper::Hanging,
        8 => Temper::Refusing,
        9 => Temper::Whimsical,
        10 => Temper::Panicking,
        _ => Temper::Overloaded,
    }
}

/// Times are shorter than the defaults, so that a history of minutes sees all of them.
fn settings(dice: &mut fastrand::Rng) -> Settings {
    let mut settings = Settings::default();
    let actors = &mut settings.actors;
    actors.shards = 1;
    actors.window = if dice.bool() { dice.usize(1..=5) } else { 1000 };
    if dice.u32(0..3) == 0 {
        actors.memory = dice.usize(1..2_000);
    }
    if dice.u32(0..4) == 0 {
        actors.max_live = dice.usize(1..=2);
    }
    actors.idle_timeout = Duration::from_millis(dice.u64(500..10_000));
    settings
}

fn rules(dice: &mut fastrand::Rng) -> HostRules {
    let mut rules = HostRules::default();
    rules.retry.retries = dice.u32(0..5);
    rules.retry.base = Duration::from_millis(dice.u64(500..5_000));
    rules.retry.max = Duration::from_secs(30);
    rules.health.window = Duration::from_secs(dice.u64(10..60));
    rules.health.min_failures = dice.u32(2..20);
    rules.health.cooldown = Duration::from_secs(dice.u64(1..15));
    rules.limits.in_flight = if dice.bool() { dice.u32(1..5) } else { 64 };
    if dice.u32(0..4) == 0 {
        rules.limits.requests_per_second = Some(dice.u32(2..50).into());
        rules.limits.burst = Some(dice.u32(1..10));
    }
    rules
}

fn event(dice: &mut fastrand::Rng, hosts: usize, faults: bool, operators: bool) -> Event {
    let host = dice.usize(..hosts);
    let any = dice.usize(..10_000);
    let kind = dice.u32(0..100);
    if operators && kind < 30 {
        return match dice.u32(0..12) {
            0 | 1 => Event::Pause(host),
            2 | 3 => Event::Resume(host),
            4 => Event::Drain(host),
            5 => Event::Purge(host),
            6 => Event::Limit {
                host,
                in_flight: dice.bool().then(|| dice.u32(1..8)),
                rate: dice.bool().then(|| (dice.u32(2..40).into(), dice.u32(1..10))),
            },
            7 | 8 => Event::Cancel(any),
            9 => Event::Redrive(any),
            10 => Event::Skip(any),
            _ => Event::Look(any),
        };
    }
    if faults && kind >= 75 {
        return match dice.u32(0..10) {
            0..=3 => {
                let kinds = [Fault::Full, Fault::Unreadable, Fault::Down, Fault::Unknown];
                let fault = kinds[dice.usize(..kinds.len())];
                let share = if dice.bool() { 1.0 } else { 0.5 };
                Event::Store { fault, share, time: Duration::from_millis(dice.u64(50..6_000)) }
            }
            4 => Event::LoseHints(dice.u32(1..4)),
            5 | 6 => Event::BreakActors { sending: dice.u32(0..3), reading: dice.u32(0..2) },
            7 => Event::Restart { patience: Duration::from_millis(dice.u64(0..15_000)) },
            _ => Event::Kill,
        };
    }
    let count = match dice.u32(0..6) {
        0 => dice.usize(5..40),
        1 => dice.usize(2..5),
        _ => 1,
    };
    Event::Submit { host, count, wish: wish(dice) }
}

fn wish(dice: &mut fastrand::Rng) -> Wish {
    let key = (dice.u32(0..3) == 0).then(|| dice.char('a'..='c'));
    Wish {
        delay: match dice.u32(0..4) {
            0 => Duration::from_millis(dice.u64(1..20_000)),
            _ => Duration::ZERO,
        },
        ttl: (dice.u32(0..4) == 0).then(|| Duration::from_millis(dice.u64(1..30_000))),
        block: key.is_some() && dice.bool(),
        key,
        priority: [Priority::High, Priority::Normal, Priority::Low][dice.usize(..3)],
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let actors = &self.settings.actors;
        writeln!(
            formatter,
            "seed {}: {} hosts, {} lanes, {} steps, window {}, memory {}, max_live {}, idle after {:?}, \
             store takes up to {:?}",
            self.seed,
            self.tempers.len(),
            self.lanes,
            self.steps.len(),
            actors.window,
            actors.memory,
            actors.max_live,
            actors.idle_timeout,
            self.latency * 2,
        )?;
        for (host, temper) in self.tempers.iter().enumerate() {
            let rules = &self.settings.hosts[&host_name(host)];
            writeln!(
                formatter,
                "h{host}: {temper:?}, {:?}, {:?}, {:?}",
                rules.limits, rules.retry, rules.health
            )?;
        }
        Ok(())
    }
}
