//! Everything that is decided about one host. The actor around it asks `next` and acts on the
//! answer; it hands each outcome to `settle` and makes the verdict durable.
//!
//! Order of the holds: what a person said, then the host's health, then what the host asked for,
//! then what fits in flight, then the paces (static, headers, learned). The first that holds rules.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use crate::config::{Health, HostRules};
use crate::model::{DeliveryId, HostControls, Moment, Now, Pending};
use crate::policy::budget::{Budget, Wait};
use crate::policy::concurrency::Concurrency;
use crate::policy::gate::Gate;
use crate::policy::health::HealthWindow;
use crate::policy::lanes::Lanes;
use crate::policy::learned::LearnedRate;
use crate::policy::pace::Pace;
use crate::policy::vitals::Vitals;

mod holds;
mod settling;
mod wards;

pub use holds::Standing;
pub use settling::Ruling;
use wards::ProbeOf;

/// How often idle lanes are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// What the actor is to do.
#[derive(Clone, Debug)]
pub enum Step {
    /// Send this; its `attempts` counts the attempt that now begins.
    Send(Pending),
    /// Fetch these webhooks from the store, then ask again.
    Fetch(Vec<DeliveryId>),
    /// This one is past its expiry: make its end durable.
    Expire(Pending),
    /// Nothing to do before then (unless something arrives).
    WaitUntil(Moment),
    /// Nothing to do until something arrives.
    Idle,
}

#[derive(Debug)]
struct Flight {
    entry: Pending,
    sent: Moment,
    probe: Option<ProbeOf>,
    /// How many might be in flight when it was sent.
    limit: u32,
}

/// Queue, budget, concurrency, health and gate of one host.
#[derive(Debug)]
pub struct HostState {
    pub(super) rules: HostRules,
    pub(super) controls: HostControls,
    queue: Lanes,
    pub(super) budget: Budget,
    pub(super) learned: LearnedRate,
    fixed: Option<Pace>,
    concurrency: Concurrency,
    /// Of the host, and of its lane while only one is known.
    pub(super) vitals: Vitals,
    /// Of each lane, where more are known.
    pub(super) wards: BTreeMap<u32, Vitals>,
    /// The lane that is known, where it is one.
    pub(super) only: Option<u32>,
    /// Attempts without an answer, of all lanes together.
    reach: HealthWindow,
    /// Whether the host's gate, while it is shut, is so for all lanes: it does not answer, or fails
    /// everybody.
    pub(super) whole: bool,
    strangers: Vec<u32>,
    /// When idle lanes were last looked for.
    forgot: Moment,
    flights: HashMap<DeliveryId, Flight>,
    /// Bytes of webhooks in flight.
    flight_bytes: usize,
    /// Requests sent before this were out when the in-flight limit was last halved.
    halved: Moment,
    limited_until: Moment,
}

impl HostState {
    /// A host that nothing is known of. `window` is how many deliveries are held at most.
    pub fn new(rules: HostRules, controls: HostControls, window: usize, now: Moment) -> Self {
        let mut state = Self {
            queue: Lanes::new(window),
            budget: Budget::default(),
            learned: LearnedRate::default(),
            fixed: None,
            concurrency: Concurrency::new(rules.limits.in_flight),
            vitals: Vitals::new(&rules.health, now),
            wards: BTreeMap::new(),
            only: None,
            reach: HealthWindow::new(rules.health.clone()),
            whole: false,
            strangers: Vec::new(),
            forgot: now,
            flights: HashMap::new(),
            flight_bytes: 0,
            halved: now,
            limited_until: Moment::ORIGIN,
            controls: HostControls::default(),
            rules,
        };
        state.control(controls, now);
        state
    }

    /// The window of the queue.
    pub fn queue(&self) -> &Lanes {
        &self.queue
    }

    /// The window of the queue, to offer to and to take from.
    pub fn queue_mut(&mut self) -> &mut Lanes {
        &mut self.queue
    }

    /// What operators asked.
    pub fn controls(&self) -> &HostControls {
        &self.controls
    }

    /// Applies what operators ask.
    pub fn control(&mut self, controls: HostControls, now: Moment) {
        let set = &controls.policy.limits;
        let rate = set.requests_per_second.or(self.rules.limits.requests_per_second);
        let burst = set.burst.or(self.rules.limits.burst).map(f64::from);
        self.fixed = rate.map(|rate| {
            let burst = burst.unwrap_or(rate.max(1.0));
            match self.fixed.take() {
                // What was saved up stays, so that a change is no second burst.
                Some(mut pace) => {
                    pace.set(rate, burst, now);
                    pace
                }
                None => Pace::new(rate, burst, now),
            }
        });
        self.concurrency.set_ceiling(set.in_flight.unwrap_or(self.rules.limits.in_flight));
        self.controls = controls;
    }

    /// Bytes of webhooks held: those of the window and those in flight.
    pub fn bytes(&self) -> usize {
        self.queue.bytes() + self.flight_bytes
    }

    /// Requests in flight.
    pub fn in_flight(&self) -> u32 {
        u32::try_from(self.flights.len()).unwrap_or(u32::MAX)
    }

    /// Whether this delivery's request is being sent.
    pub fn is_in_flight(&self, id: DeliveryId) -> bool {
        self.flights.contains_key(&id)
    }

    /// The deliveries in flight.
    pub fn in_flight_ids(&self) -> impl Iterator<Item = DeliveryId> + '_ {
        self.flights.keys().copied()
    }

    /// How many may be in flight now.
    pub fn in_flight_limit(&self) -> u32 {
        self.concurrency.limit()
    }

    /// Whether there is nothing to send, nothing out and nothing left in the store.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.queue.is_empty() && !self.queue.has_more()
    }

    /// Static rate of the settings or an operator.
    pub fn static_rate(&self) -> Option<f64> {
        self.fixed.as_ref().map(Pace::rate)
    }

    /// Learned rate.
    pub fn learned_rate(&self) -> Option<f64> {
        self.learned.rate()
    }

    /// The rules of its health.
    pub fn health_rules(&self) -> &Health {
        &self.rules.health
    }

    /// Attempts and failures in its health window: of all lanes, where each has its own.
    pub fn health_counts(&mut self, now: Moment) -> (u32, u32) {
        let vitals = self.wards.values_mut().chain([&mut self.vitals]);
        let counts = vitals.map(|vitals| vitals.health.counts(now));
        counts.fold((0, 0), |sum, (attempts, failures)| {
            (sum.0.saturating_add(attempts), sum.1.saturating_add(failures))
        })
    }

    /// Requests a second that the tightest of its paces allows: the static one, the one that its
    /// headers ask for, the learned one. `None` where nothing limits it.
    pub fn rate_limit(&self) -> Option<f64> {
        let paces = [self.static_rate(), self.budget.rate(), self.learned_rate()];
        paces.into_iter().flatten().reduce(f64::min)
    }

    /// Limit, remaining and reset of the host's own headers.
    pub fn header_window(&self, now: Moment) -> Option<(Option<u64>, u64, Moment)> {
        self.budget.window(now)
    }

    /// What the host's own headers let go: see [`Budget::allowance`].
    pub fn allowance(&self, now: Moment) -> Option<(u64, Moment, Option<f64>)> {
        self.budget.allowance(self.in_flight(), now)
    }

    /// What to do now.
    pub fn next(&mut self, now: Now) -> Step {
        self.greet();
        if self.is_shared() && now.moment.since(self.forgot) >= FORGET_EVERY {
            self.forgot = now.moment;
            self.forget_idle_lanes(now.moment);
        }
        self.queue.advance(now.wall);
        if let Some(expired) = self.queue.pop_expired(now.wall) {
            return Step::Expire(expired);
        }
        let change = self.queue.next_change().map(|time| now.moment_of(time));
        if !self.queue.is_ready() {
            return change.map_or(Step::Idle, Step::WaitUntil);
        }
        if let Some(hold) = self.hold(now.moment) {
            return hold.until.into_iter().chain(change).min().map_or(Step::Idle, Step::WaitUntil);
        }
        let lane = match self.lane_in_turn(now) {
            Ok(lane) => lane,
            Err(until) => {
                return until.into_iter().chain(change).min().map_or(Step::Idle, Step::WaitUntil);
            }
        };
        if self.queue.head(lane).is_some_and(|head| head.webhook.is_none()) {
            let ahead = 2 * self.concurrency.limit() as usize;
            return Step::Fetch(self.queue.lean_heads(lane, ahead));
        }
        let mut entry = self.queue.pop(lane).expect("its turn was just found");
        if self.vitals.gate != Gate::Open {
            // Probes are spread over the lanes.
            self.queue.end_turn(lane);
        }
        entry.attempts += 1;
        self.depart(&entry, now.moment);
        Step::Send(entry)
    }

    fn depart(&mut self, entry: &Pending, now: Moment) {
        if let Some(pace) = &mut self.fixed {
            pace.take(now);
        }
        self.budget.sent(now);
        self.learned.sent(now);
        let limit = self.concurrency.limit();
        self.vitals.slump.sent(now);
        self.vitals.reopening.sent(now);
        let mut probe = self.vitals.gate.passed().then_some(ProbeOf::Host);
        if let Some(ward) = self.wards.get_mut(&entry.lane) {
            ward.slump.sent(now);
            ward.reopening.sent(now);
            probe = probe.or(ward.gate.passed().then_some(ProbeOf::Lane));
        }
        self.flight_bytes += entry.webhook.as_ref().map_or(0, |webhook| webhook.size());
        self.flights.insert(entry.id, Flight { entry: entry.clone(), sent: now, probe, limit });
    }

    /// The wait that the host asked for, for saving.
    pub fn wait(&self, now: Moment) -> Option<Wait> {
        self.budget.wait(now)
    }
}

#[cfg(test)]
mod tests;
