//! Everything that is decided about one host. The actor around it asks `next` and acts on the
//! answer; it hands each outcome to `settle` and makes the verdict durable.
//!
//! Order of the holds: what a person said, then the host's health, then what the host asked for,
//! then what fits in flight, then the paces (static, headers, learned). The first that holds rules.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use crate::config::HostRules;
use crate::model::{
    DeliveryId, End, HostControls, Moment, Now, Outcome, Pending, Timestamp, Verdict,
};
use crate::policy::backoff;
use crate::policy::budget::{Budget, Reading, Wait, WaitCause};
use crate::policy::concurrency::Concurrency;
use crate::policy::condition::{Hold, HostCondition, WaitReason};
use crate::policy::gate::{Gate, Probed};
use crate::policy::headers::{self, Signals};
use crate::policy::health::{HealthWindow, TripReason};
use crate::policy::learned::LearnedRate;
use crate::policy::overload::{Overload, Weighed};
use crate::policy::pace::Pace;
use crate::policy::queue::{Key, Offer, Queue};
use crate::policy::reopening::Reopening;
use crate::policy::slump::Slump;
use crate::policy::verdict::{Meaning, meaning};

/// A delivery is never put off longer by one answer's `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// A host-wide wait is capped at this; beyond it the single delivery waits longer (see `budget`).
const HOST_WAIT_MAX: Duration = crate::policy::budget::WAIT_MAX;
/// How long a host shows as limited after its pace last held a send back, so that a steady pace is
/// not shown as a flicker.
const LIMITED_SHOWN: Duration = Duration::from_secs(2);

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

/// What was decided about an attempt.
#[derive(Clone, Debug)]
pub struct Ruling {
    /// About the delivery.
    pub verdict: Verdict,
    /// What the outcome meant.
    pub meaning: Meaning,
    /// Attempts made, this one included.
    pub attempts: u32,
    /// Whether the delivery has an ordering key.
    pub ordered: bool,
    /// When the request was sent.
    pub sent: Moment,
    /// Its new place, where it goes again but comes after what the window holds.
    pub left: Option<Key>,
}

/// The host's condition, until when, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// The word.
    pub condition: HostCondition,
    /// Until when; `None` where it does not end by itself.
    pub until: Option<Moment>,
    /// Why; empty when healthy.
    pub reason: Cow<'static, str>,
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

    /// Why no send may start now; `None` when one may.
    pub fn hold(&mut self, now: Moment) -> Option<Hold> {
        let held = |wait, until, reason| Some(Hold { wait, until, reason: Cow::Borrowed(reason) });
        if self.controls.paused {
            return held(WaitReason::Pause, None, "an operator paused the host");
        }
        if self.gate.advance(self.rules.health.probes, now) {
            self.calm(now);
        }
        if !self.gate.lets_pass() {
            return match &self.gate {
                Gate::Cooling { until, reason } => {
                    let reason = Cow::Owned(reason.clone());
                    Some(Hold { wait: WaitReason::Cooldown, until: Some(*until), reason })
                }
                _ => held(WaitReason::Cooldown, None, "the host is being probed after a cooldown"),
            };
        }
        if self.budget.wait_ended(now) {
            self.learned.wait_ended(now);
        }
        if let Some(wait) = self.budget.wait(now) {
            let (reason, words) = match wait.cause {
                WaitCause::RetryAfter => (WaitReason::Budget, "the host said Retry-After"),
                WaitCause::Spent => (WaitReason::Budget, "the host's rate-limit budget is used up"),
                WaitCause::Backoff => {
                    (WaitReason::Backoff, "the host refused without saying for how long")
                }
            };
            return held(reason, Some(wait.until), words);
        }
        if let Some(until) = self.slump.until(now) {
            let words = "its last requests failed one after the other";
            return held(WaitReason::Backoff, Some(until), words);
        }
        let in_flight = self.in_flight();
        // While probing, the probes are the limit.
        let limit = match self.gate {
            Gate::Open => self.concurrency.limit(),
            _ => self.concurrency.ceiling(),
        };
        if in_flight >= limit {
            return held(WaitReason::InFlightLimit, None, "all requests in flight are taken");
        }
        if let Some(ready) = self.reopening.ready_at(now) {
            let words = "the host is back and gets its usual rate at first";
            return held(WaitReason::InFlightLimit, Some(ready), words);
        }
        let paced = self.pace_hold(in_flight, now);
        if paced.is_some() {
            self.limited_until = now + LIMITED_SHOWN;
        }
        paced
    }

    fn pace_hold(&mut self, in_flight: u32, now: Moment) -> Option<Hold> {
        let held = |until, reason| {
            let reason = Cow::Borrowed(reason);
            Some(Hold { wait: WaitReason::Budget, until, reason })
        };
        if let Some(ready) = self.fixed.as_mut().and_then(|pace| pace.ready_at(now)) {
            return held(Some(ready), "the static limit of requests a second is reached");
        }
        if let Err(until) = self.budget.admits(in_flight, now) {
            return held(until, "the host's rate-limit budget is spread over its window");
        }
        if let Some(ready) = self.learned.ready_at(now) {
            return held(Some(ready), "the learned rate of the host is reached");
        }
        None
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

    /// Decides about an attempt that came to an end. `None` when it is not in flight here. A
    /// delivery that goes again is back in the queue afterwards. `roll` is 0 to 1.
    pub fn settle(
        &mut self,
        id: DeliveryId,
        outcome: &Outcome,
        now: Now,
        roll: f64,
    ) -> Option<Ruling> {
        let flight = self.flights.remove(&id)?;
        let size = flight.entry.webhook.as_ref().map_or(0, |webhook| webhook.size());
        self.flight_bytes -= size;
        let signals = match outcome {
            Outcome::Answered(answer) => headers::read(&answer.headers, now.wall),
            _ => Signals::default(),
        };
        let mut meaning = meaning(outcome, signals.retry_after.is_some());
        if meaning == Meaning::Overloaded {
            meaning = self.weigh_overload(&flight, now.moment);
        }
        let wait = self.learn_budget(&flight, outcome, &signals, meaning, roll, now.moment);
        self.learn_health(&flight, meaning, roll, now.moment);
        let verdict = self.rule(&flight.entry, meaning, &signals, now, roll);
        let mut ruling = Ruling {
            verdict,
            meaning,
            attempts: flight.entry.attempts,
            ordered: flight.entry.ordered,
            sent: flight.sent,
            left: None,
        };
        debug_assert!(wait.is_none_or(|wait| wait <= HOST_WAIT_MAX));
        if let Verdict::Again { due, retries } = verdict {
            let key = (due, flight.entry.seq);
            if self.queue.offer(Pending { due, retries, ..flight.entry }) == Offer::Left {
                ruling.left = Some(key);
            }
        }
        Some(ruling)
    }

    /// What a 503 without a hint means; it teaches the learned rate where it may be a limiter's.
    fn weigh_overload(&mut self, flight: &Flight, now: Moment) -> Meaning {
        let rounds = flight.entry.attempts.saturating_sub(flight.entry.retries);
        let weighed = self.overload.overloaded(rounds, now);
        if self.overload.is_first() {
            self.learned_before = self.learned.clone();
        }
        match weighed {
            Weighed::Limiter | Weighed::Mostly => {
                self.learned.refused(flight.sent, Duration::ZERO, now);
            }
            Weighed::Failure { misjudged: true } => {
                self.learned = std::mem::take(&mut self.learned_before);
            }
            Weighed::Failure { misjudged: false } => {}
        }
        match weighed {
            Weighed::Limiter => Meaning::Overloaded,
            _ => Meaning::Failed { counts: true, timed_out: false },
        }
    }

    fn learn_budget(
        &mut self,
        flight: &Flight,
        outcome: &Outcome,
        signals: &Signals,
        meaning: Meaning,
        roll: f64,
        now: Moment,
    ) -> Option<Duration> {
        let refused = meaning == Meaning::Refused;
        let wait = match outcome {
            Outcome::Answered(_) => {
                let in_flight = self.in_flight();
                let reading = Reading { signals, refused, sent: flight.sent, in_flight };
                self.budget.read(reading, roll, now)
            }
            Outcome::NoAnswer { .. } => {
                self.budget.unanswered(now);
                None
            }
            Outcome::Blocked { .. } => return None,
        };
        match meaning {
            Meaning::Refused => {
                // The rate steers from here; halving the in-flight limit as well would hold a
                // slow host far below it.
                self.learned.refused(flight.sent, wait.unwrap_or_default(), now);
            }
            Meaning::Failed { counts: true, .. } => self.halve(flight.sent, now),
            Meaning::Delivered | Meaning::Permanent | Meaning::Failed { .. } => {
                self.overload.succeeded(now);
                self.learned.succeeded();
                self.concurrency.succeeded(self.in_flight());
            }
            // What a bare 503 teaches was learned when it was weighed.
            Meaning::Overloaded | Meaning::Blocked => {}
        }
        wait
    }

    fn halve(&mut self, sent: Moment, now: Moment) {
        if sent >= self.halved {
            self.concurrency.backed_off();
            self.halved = now;
        }
    }

    fn learn_health(&mut self, flight: &Flight, meaning: Meaning, roll: f64, now: Moment) {
        let well = match meaning {
            Meaning::Failed { counts: true, .. } => Some(false),
            Meaning::Delivered | Meaning::Permanent | Meaning::Failed { .. } => Some(true),
            // Alive, but neither well nor ill; or no word from the host at all.
            Meaning::Refused | Meaning::Overloaded | Meaning::Blocked => None,
        };
        if flight.sent >= self.healthy_since {
            match (well, meaning) {
                (Some(false), Meaning::Failed { timed_out, .. }) => {
                    self.health.failed(timed_out, now);
                    let prevail = self.health.failures_prevail(now);
                    self.slump.failed(flight.sent, prevail, roll, now);
                }
                (Some(_), _) => {
                    self.health.answered(now);
                    self.slump.ended();
                    self.reopening.delivered(now);
                }
                (None, Meaning::Blocked) => {}
                (None, _) => {
                    self.health.asked_to_wait();
                    self.slump.ended();
                }
            }
        }
        if flight.probe {
            match well {
                Some(well) => self.judge_probe(well, now),
                None => self.gate.probe_lost(),
            }
        } else if self.gate == Gate::Open
            && let Some(reason) = self.health.tripped(flight.limit, now)
        {
            self.cool(words_of(reason, self.rules.health.window), now);
        }
    }

    fn judge_probe(&mut self, well: bool, now: Moment) {
        match self.gate.probed(well, self.queue.len()) {
            Probed::Undecided => {}
            Probed::Healthy => {
                self.gate = Gate::Open;
                self.health.clear();
                self.concurrency.restart();
                self.healthy_since = now;
                self.reopening.begin(now);
                self.calm(now);
            }
            Probed::Unhealthy => self.cool("probes after the cooldown failed".into(), now),
        }
    }

    /// What the paces saved up while the host was left alone is not to be sent as a burst.
    fn calm(&mut self, now: Moment) {
        if let Some(pace) = &mut self.fixed {
            pace.drain_to(1.0, now);
        }
        self.budget.calm(now);
        self.learned.wait_ended(now);
        self.slump.ended();
    }

    fn cool(&mut self, reason: String, now: Moment) {
        self.gate = Gate::cool(reason, self.rules.health.cooldown, now);
    }

    fn rule(
        &self,
        entry: &Pending,
        meaning: Meaning,
        signals: &Signals,
        now: Now,
        roll: f64,
    ) -> Verdict {
        let asked = signals.retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        let verdict = match meaning {
            Meaning::Delivered => Verdict::End(End::Delivered),
            Meaning::Permanent | Meaning::Blocked => Verdict::End(End::Failed),
            // The host's wait holds it; it keeps its place in the queue.
            Meaning::Refused | Meaning::Overloaded if asked <= HOST_WAIT_MAX => {
                Verdict::Again { due: entry.due, retries: entry.retries }
            }
            Meaning::Refused | Meaning::Overloaded => {
                Verdict::Again { due: now.wall.plus(asked), retries: entry.retries }
            }
            Meaning::Failed { .. } if entry.retries >= self.rules.retry.retries => {
                Verdict::End(End::Exhausted)
            }
            Meaning::Failed { .. } => {
                let retries = entry.retries + 1;
                let delay = backoff::delay(retries, &self.rules.retry, roll).max(asked);
                Verdict::Again { due: now.wall.plus(delay), retries }
            }
        };
        match verdict {
            Verdict::Again { .. } if entry.expires <= now.wall => Verdict::End(End::Expired),
            verdict => verdict,
        }
    }

    /// The host's condition now.
    pub fn standing(&mut self, now: Now) -> Standing {
        let hold = self.hold(now.moment);
        let probing = matches!(self.gate, Gate::Probing { .. });
        let (condition, hold) = match hold {
            Some(hold) => (condition_of(hold.wait, probing), Some(hold)),
            None if probing => (HostCondition::Probing, None),
            None => (HostCondition::Healthy, None),
        };
        if condition == HostCondition::Healthy && self.limited_until > now.moment {
            let reason = Cow::Borrowed("its rate-limit budget sets the pace");
            return Standing { condition: HostCondition::Limited, until: None, reason };
        }
        let (until, reason) = match hold {
            Some(hold) if condition != HostCondition::Healthy => (hold.until, hold.reason),
            _ => (None, Cow::Borrowed("")),
        };
        Standing { condition, until, reason }
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

fn condition_of(wait: WaitReason, probing: bool) -> HostCondition {
    match wait {
        WaitReason::Pause => HostCondition::Paused,
        WaitReason::Cooldown if probing => HostCondition::Probing,
        WaitReason::Cooldown => HostCondition::CoolingDown,
        WaitReason::Backoff => HostCondition::BackingOff,
        WaitReason::Budget => HostCondition::Limited,
        WaitReason::InFlightLimit | WaitReason::Order if probing => HostCondition::Probing,
        WaitReason::InFlightLimit | WaitReason::Order => HostCondition::Healthy,
    }
}

fn words_of(reason: TripReason, window: Duration) -> String {
    match reason {
        TripReason::Failures { failures, attempts } => {
            format!("{failures} of {attempts} attempts failed within {}s", window.as_secs())
        }
        TripReason::Timeouts { in_a_row } => format!("{in_a_row} attempts in a row timed out"),
    }
}

#[cfg(test)]
mod tests;
