//! Everything that is decided about one host. The actor around it asks `next` and acts on the
//! answer; it hands each outcome to `settle` and makes the verdict durable.
//!
//! Order of the holds: what a person said, then the host's health, then what the host asked for,
//! then what fits in flight, then the paces (static, headers, learned). The first that holds rules.

use std::collections::HashMap;

use crate::config::HostRules;
use crate::model::{DeliveryId, HostControls, Moment, Now, Pending, Timestamp};
use crate::policy::budget::{Budget, Wait};
use crate::policy::concurrency::Concurrency;
use crate::policy::gate::Gate;
use crate::policy::health::HealthWindow;
use crate::policy::learned::LearnedRate;
use crate::policy::overload::Overload;
use crate::policy::pace::Pace;
use crate::policy::queue::Queue;
use crate::policy::reopening::Reopening;
use crate::policy::slump::Slump;

mod holds;
mod settling;

pub use holds::Standing;
pub use settling::Ruling;

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
    probe: bool,
    /// How many might be in flight when it was sent.
    limit: u32,
}

/// Queue, budget, concurrency, health and gate of one host.
#[derive(Debug)]
pub struct HostState {
    pub(super) rules: HostRules,
    pub(super) controls: HostControls,
    queue: Queue,
    pub(super) budget: Budget,
    pub(super) learned: LearnedRate,
    fixed: Option<Pace>,
    concurrency: Concurrency,
    health: HealthWindow,
    pub(super) gate: Gate,
    flights: HashMap<DeliveryId, Flight>,
    /// Bytes of webhooks in flight.
    flight_bytes: usize,
    /// Answers to requests sent before this say nothing of the host as it is now.
    healthy_since: Moment,
    /// Requests sent before this were out when the in-flight limit was last halved.
    halved: Moment,
    limited_until: Moment,
    overload: Overload,
    /// What was learned before the present row of bare 503s.
    learned_before: LearnedRate,
    slump: Slump,
    reopening: Reopening,
}

impl HostState {
    /// A host that nothing is known of. `window` is how many deliveries are held at most.
    pub fn new(rules: HostRules, controls: HostControls, window: usize, now: Moment) -> Self {
        let mut state = Self {
            queue: Queue::new(window),
            budget: Budget::default(),
            learned: LearnedRate::default(),
            fixed: None,
            concurrency: Concurrency::new(rules.limits.in_flight),
            health: HealthWindow::new(rules.health.clone()),
            gate: Gate::Open,
            flights: HashMap::new(),
            flight_bytes: 0,
            healthy_since: now,
            halved: now,
            limited_until: Moment::ORIGIN,
            overload: Overload::default(),
            learned_before: LearnedRate::default(),
            slump: Slump::default(),
            reopening: Reopening::default(),
            controls: HostControls::default(),
            rules,
        };
        state.control(controls, now);
        state
    }

    /// The window of the queue.
    pub fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The window of the queue, to offer to and to take from.
    pub fn queue_mut(&mut self) -> &mut Queue {
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

    /// Limit, remaining and reset of the host's own headers.
    pub fn header_window(&self, now: Moment) -> Option<(Option<u64>, u64, Moment)> {
        self.budget.window(now)
    }

    /// What to do now.
    pub fn next(&mut self, now: Now) -> Step {
        self.queue.advance(now.wall);
        if let Some(expired) = self.queue.pop_expired(now.wall) {
            return Step::Expire(expired);
        }
        let change = self.queue.next_change().map(|time| now.moment_of(time));
        let Some(head) = self.queue.head() else {
            return change.map_or(Step::Idle, Step::WaitUntil);
        };
        let lean = head.webhook.is_none();
        if let Some(hold) = self.hold(now.moment) {
            return hold.until.into_iter().chain(change).min().map_or(Step::Idle, Step::WaitUntil);
        }
        if lean {
            let ahead = 2 * self.concurrency.limit() as usize;
            return Step::Fetch(self.queue.lean_heads(ahead));
        }
        let mut entry = self.queue.pop().expect("the head was just seen");
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
        self.slump.sent(now);
        self.reopening.sent(now);
        let (probe, limit) = (self.gate.passed(), self.concurrency.limit());
        self.flight_bytes += entry.webhook.as_ref().map_or(0, |webhook| webhook.size());
        self.flights.insert(entry.id, Flight { entry: entry.clone(), sent: now, probe, limit });
    }

    /// The wait that the host asked for, for saving.
    pub fn wait(&self, now: Moment) -> Option<Wait> {
        self.budget.wait(now)
    }

    /// When the earliest of all pending deliveries of the host is due.
    pub fn earliest_due(&self) -> Option<Timestamp> {
        self.queue.earliest_due()
    }
}

#[cfg(test)]
mod tests;
