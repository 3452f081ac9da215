//! What an attempt's end teaches, and what is decided about its delivery.

use std::sync::Arc;
use std::time::Duration;

use super::wards::ProbeOf;
use super::{Flight, HostState};
use crate::model::{DeliveryId, End, Moment, Now, Outcome, Pending, Verdict};
use crate::policy::backoff;
use crate::policy::budget::Reading;
use crate::policy::gate::{Gate, Probed};
use crate::policy::headers::{self, Signals};
use crate::policy::health::TripReason;
use crate::policy::overload::Weighed;
use crate::policy::queue::{Key, Offer};
use crate::policy::verdict::{Meaning, meaning};

/// A delivery is never put off longer by one answer's `Retry-After`.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// A host-wide wait is capped at this; beyond it the single delivery waits longer (see `budget`).
const HOST_WAIT_MAX: Duration = crate::policy::budget::WAIT_MAX;

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
    /// The workspace's lane.
    pub lane: u32,
    /// The campaign or canvas that it is counted under.
    pub campaign: Option<Arc<str>>,
    /// Its new place, where it goes again but comes after what the window holds.
    pub left: Option<Key>,
}

impl HostState {
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
        self.queue.landed(flight.entry.lane);
        let signals = match outcome {
            Outcome::Answered(answer) => headers::read(&answer.headers, now.wall),
            _ => Signals::default(),
        };
        let mut meaning = meaning(outcome, signals.retry_after.is_some());
        if meaning == Meaning::Overloaded {
            meaning = self.weigh_overload(&flight, now.moment);
        }
        let wait = self.learn_budget(&flight, outcome, &signals, meaning, roll, now.moment);
        self.learn_reach(&flight, outcome, now.moment);
        self.learn_health(&flight, meaning, roll, now.moment);
        let verdict = self.rule(&flight.entry, meaning, &signals, now, roll);
        let mut ruling = Ruling {
            verdict,
            meaning,
            attempts: flight.entry.attempts,
            ordered: flight.entry.ordered,
            sent: flight.sent,
            lane: flight.entry.lane,
            campaign: flight.entry.campaign.clone(),
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
        let learned = self.learned.clone();
        let vitals = self.vitals_of(flight.entry.lane);
        let weighed = vitals.overload.overloaded(rounds, now);
        if vitals.overload.is_first() {
            vitals.learned_before = learned;
        }
        match weighed {
            Weighed::Limiter | Weighed::Mostly => {
                self.learned.refused(flight.sent, Duration::ZERO, now);
            }
            Weighed::Failure { misjudged: true } => {
                let before = &mut self.vitals_of(flight.entry.lane).learned_before;
                self.learned = std::mem::take(before);
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
            Outcome::Blocked { .. } | Outcome::Unprepared { .. } => return None,
        };
        match meaning {
            Meaning::Refused => {
                // The rate steers from here; halving the in-flight limit as well would hold a
                // slow host far below it.
                self.learned.refused(flight.sent, wait.unwrap_or_default(), now);
            }
            // What one workspace's URL fails while others are well says nothing of the host.
            Meaning::Failed { counts: true, .. }
                if self.others_well(flight.entry.lane, flight.sent) => {}
            Meaning::Failed { counts: true, .. } => self.halve(flight.sent, now),
            Meaning::Delivered | Meaning::Permanent | Meaning::Failed { .. } => {
                self.vitals_of(flight.entry.lane).overload.succeeded(now);
                self.learned.succeeded();
                self.concurrency.succeeded(self.in_flight());
            }
            // What a bare 503 teaches was learned when it was weighed.
            Meaning::Overloaded | Meaning::Blocked | Meaning::Unprepared => {}
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
            Meaning::Refused | Meaning::Overloaded | Meaning::Blocked | Meaning::Unprepared => None,
        };
        let lane = flight.entry.lane;
        let is_shared = self.is_shared();
        let vitals = self.wards.get_mut(&lane).unwrap_or(&mut self.vitals);
        if flight.sent >= vitals.healthy_since {
            match (well, meaning) {
                (Some(false), Meaning::Failed { timed_out, .. }) => {
                    vitals.health.failed(timed_out, now);
                    let prevail = vitals.health.failures_prevail(now);
                    vitals.slump.failed(flight.sent, prevail, roll, now);
                }
                (Some(_), _) => {
                    vitals.health.answered(now);
                    vitals.slump.ended();
                    vitals.reopening.delivered(now);
                    vitals.well = Some(now);
                    if is_shared {
                        self.vitals.reopening.delivered(now);
                    }
                }
                (None, Meaning::Blocked | Meaning::Unprepared) => {}
                (None, _) => {
                    vitals.health.asked_to_wait();
                    vitals.slump.ended();
                }
            }
        }
        match (flight.probe, well) {
            (None, _) => self.look_for_a_trip(flight, well, now),
            (Some(ProbeOf::Host), None) => self.vitals.gate.probe_lost(),
            (Some(ProbeOf::Lane), None) => self.vitals_of(lane).gate.probe_lost(),
            (Some(ProbeOf::Host), Some(well)) if is_shared => {
                self.judge_shared_probe(lane, well, now);
            }
            (Some(ProbeOf::Host), Some(well)) => self.judge_probe(well, now),
            (Some(ProbeOf::Lane), Some(well)) => self.judge_lane_probe(lane, well, now),
        }
    }

    /// Counts whether the host could be reached. Where another workspace was answered meanwhile it
    /// was there, and the trouble is an endpoint's.
    fn learn_reach(&mut self, flight: &Flight, outcome: &Outcome, now: Moment) {
        if flight.sent < self.vitals.healthy_since {
            return;
        }
        let lane = flight.entry.lane;
        match outcome {
            Outcome::Blocked { .. } | Outcome::Unprepared { .. } => {}
            Outcome::Answered(_) => {
                self.reach.answered(now);
                self.vitals_of(lane).answered = Some(now);
            }
            Outcome::NoAnswer { .. } if self.others_answered(lane, flight.sent) => {}
            Outcome::NoAnswer { timed_out, .. } => self.reach.failed(*timed_out, now),
        }
    }

    /// Shuts the gate of a lane that fails too often, and the host's where it is the host.
    fn look_for_a_trip(&mut self, flight: &Flight, well: Option<bool>, now: Moment) {
        if self.vitals.gate != Gate::Open {
            return;
        }
        let (window, cooldown) = (self.rules.health.window, self.rules.health.cooldown);
        let lane = flight.entry.lane;
        if !self.is_shared() {
            if let Some(reason) = self.vitals.health.tripped(flight.limit, now) {
                let (_, failures) = self.vitals.health.counts(now);
                let (_, unanswered) = self.reach.counts(now);
                self.whole = unanswered * 2 > failures;
                self.cool(words_of(reason, window), now);
            }
            return;
        }
        let limit = (f64::from(flight.limit) * self.queue.part(lane)).ceil() as u32;
        if let Some(ward) = self.wards.get_mut(&lane)
            && ward.gate == Gate::Open
            && let Some(reason) = ward.health.tripped(limit, now)
        {
            ward.gate = Gate::cool(words_of(reason, window), cooldown, now);
        }
        if well == Some(false) {
            self.judge_host(flight.limit, now);
        }
    }

    fn judge_probe(&mut self, well: bool, now: Moment) {
        match self.vitals.gate.probed(well, self.queue.len()) {
            Probed::Undecided => {}
            Probed::Healthy => self.reopen(now),
            Probed::Unhealthy => self.cool("probes after the cooldown failed".into(), now),
        }
    }

    /// The host is back.
    pub(super) fn reopen(&mut self, now: Moment) {
        self.vitals.gate = Gate::Open;
        self.whole = false;
        self.vitals.health.clear();
        self.reach.clear();
        self.concurrency.restart();
        self.vitals.healthy_since = now;
        self.vitals.reopening.begin(now);
        self.calm(now);
    }

    /// What the paces saved up while the host was left alone is not to be sent as a burst.
    pub(super) fn calm(&mut self, now: Moment) {
        if let Some(pace) = &mut self.fixed {
            pace.drain_to(1.0, now);
        }
        self.budget.calm(now);
        self.learned.wait_ended(now);
        self.vitals.slump.ended();
    }

    pub(super) fn cool(&mut self, reason: String, now: Moment) {
        self.vitals.gate = Gate::cool(reason, self.rules.health.cooldown, now);
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
            Meaning::Failed { .. } | Meaning::Unprepared
                if entry.retries >= self.rules.retry.retries =>
            {
                Verdict::End(End::Exhausted)
            }
            Meaning::Failed { .. } | Meaning::Unprepared => {
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
}

/// Why a gate was shut.
pub(super) fn words_of(reason: TripReason, window: Duration) -> String {
    match reason {
        TripReason::Failures { failures, attempts } => {
            format!("{failures} of {attempts} attempts failed within {}s", window.as_secs())
        }
        TripReason::Timeouts { in_a_row } => format!("{in_a_row} attempts in a row timed out"),
    }
}
