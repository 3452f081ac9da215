//! The lanes of a host and how each of them fares.
//!
//! While one lane is known its health is the host's. When a second one turns up each has its own,
//! so that one workspace's failing URL holds back nobody else; the host itself is left alone only
//! when it fails everybody, or is out of reach.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{HostState, Standing};
use crate::model::{Moment, Now};
use crate::policy::condition::Hold;
use crate::policy::gate::{Gate, Probed};
use crate::policy::vitals::{Illness, Vitals};

/// Whose gate a probe was sent through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProbeOf {
    /// The host's.
    Host,
    /// Its lane's.
    Lane,
}

/// Where answers are quick, somebody else's last one came shortly before.
const RECENTLY: Duration = Duration::from_secs(1);
/// Why everybody's deliveries are held.
const EVERYBODY: &str = "the requests of all workspaces fail";
/// After probes that failed.
const PROBES_FAILED: &str = "probes after the cooldown failed";

impl HostState {
    /// Whether more than one lane is known.
    pub(super) fn is_shared(&self) -> bool {
        !self.wards.is_empty()
    }

    /// Takes notice of lanes that turned up in the queue.
    pub(super) fn greet(&mut self) {
        for lane in self.queue.take_newcomers() {
            self.meet(lane);
            self.strangers.push(lane);
        }
    }

    /// Lanes whose weight has not been asked for yet.
    pub fn take_strangers(&mut self) -> Vec<u32> {
        self.greet();
        std::mem::take(&mut self.strangers)
    }

    /// A lane is known from now on.
    pub(super) fn meet(&mut self, lane: u32) {
        if self.only == Some(lane) || self.wards.contains_key(&lane) {
            return;
        }
        match self.only.take() {
            None if self.wards.is_empty() => {
                self.only = Some(lane);
                return;
            }
            Some(first) => self.part_from(first),
            None => {}
        }
        let ward = Vitals::new(&self.rules.health, self.vitals.healthy_since);
        self.wards.insert(lane, ward);
    }

    /// The only lane is not the only one any more: it takes along what is held against it, but for
    /// a cooldown of a host that does not answer.
    fn part_from(&mut self, lane: u32) {
        let mut host = Vitals::new(&self.rules.health, self.vitals.healthy_since);
        host.reopening = self.vitals.reopening.usual();
        let mut ward = std::mem::replace(&mut self.vitals, host);
        if self.whole {
            self.vitals.gate = std::mem::replace(&mut ward.gate, Gate::Open);
        } else {
            self.turn_probes(lane, ProbeOf::Lane);
        }
        self.wards.insert(lane, ward);
    }

    /// One lane is left: its health is the host's again.
    fn rejoin(&mut self) {
        let Some((lane, ward)) = self.wards.pop_first() else { return };
        let mut host = std::mem::replace(&mut self.vitals, ward);
        std::mem::swap(&mut self.vitals.reopening, &mut host.reopening);
        if host.gate == Gate::Open {
            self.whole = false;
            self.turn_probes(lane, ProbeOf::Host);
        } else {
            self.vitals.gate = host.gate;
            let probes = self.flights.values_mut();
            let of_lane = probes.filter(|flight| flight.probe == Some(ProbeOf::Lane));
            of_lane.for_each(|flight| flight.probe = None);
        }
        self.only = Some(lane);
    }

    /// Forgets lanes that have no work and of which there is nothing to remember.
    pub(super) fn forget_idle_lanes(&mut self, now: Moment) {
        let wards = self.wards.iter_mut();
        let blank: Vec<u32> =
            wards.filter_map(|(lane, ward)| ward.is_blank(now).then_some(*lane)).collect();
        for lane in blank {
            if self.wards.len() > 1 && self.queue.forget(lane) {
                self.wards.remove(&lane);
            }
        }
        if self.wards.len() == 1 {
            self.rejoin();
        }
    }

    /// What is held against a lane: its own, or the host's where that is the same.
    pub(super) fn vitals_of(&mut self, lane: u32) -> &mut Vitals {
        self.wards.get_mut(&lane).unwrap_or(&mut self.vitals)
    }

    /// Why a lane may not send now, though the host might take it.
    pub fn lane_hold(&mut self, lane: u32, now: Moment) -> Option<Hold> {
        self.wards.get_mut(&lane)?.hold(self.rules.health.probes, now)
    }

    /// The condition of a lane that is another than the host's.
    pub fn lane_standing(&mut self, lane: u32, now: Moment) -> Standing {
        let hold = self.lane_hold(lane, now);
        let probing = matches!(self.lane_gate(lane), Some(Gate::Probing { .. }));
        super::holds::standing_of(hold, probing)
    }

    /// The gate of a lane, where it has one of its own.
    pub fn lane_gate(&self, lane: u32) -> Option<&Gate> {
        self.wards.get(&lane).map(|ward| &ward.gate)
    }

    /// The lanes that are known, in order of number.
    pub fn lane_numbers(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> =
            self.queue.numbers().chain(self.wards.keys().copied()).collect();
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// The lane that sends next; where all that wait are held back, until when.
    pub(super) fn lane_in_turn(&mut self, now: Now) -> Result<u32, Option<Moment>> {
        let limit = self.concurrency.limit();
        let probes = self.rules.health.probes;
        let (queue, wards) = (&mut self.queue, &mut self.wards);
        let mut may = |lane| hold_of(wards, lane, probes, now.moment).is_none();
        if let Some(lane) = queue.turn(limit, &mut may) {
            return Ok(lane);
        }
        let waiting: Vec<u32> = queue.waiting().collect();
        let holds = waiting.into_iter().map(|lane| hold_of(wards, lane, probes, now.moment));
        Err(holds.flatten().filter_map(|hold| hold.until).min())
    }

    /// When there is something to do next: due, and not in a cooldown of its lane.
    pub fn next_work(&self, now: Now) -> Option<Moment> {
        let works = self.queue.numbers().filter_map(|lane| {
            let due = now.moment_of(self.queue.lane(lane)?.earliest_due()?);
            match self.lane_gate(lane) {
                Some(Gate::Cooling { until, .. }) => Some(due.max(*until)),
                _ => Some(due),
            }
        });
        works.min()
    }

    /// Whether another lane than this one was answered since.
    pub(super) fn others_answered(&self, lane: u32, since: Moment) -> bool {
        let mut others = self.wards.iter().filter(|(other, _)| **other != lane);
        others.any(|(_, ward)| ward.answered.is_some_and(|at| at >= since))
    }

    /// Whether another lane than this one was found well since, or shortly before.
    pub(super) fn others_well(&self, lane: u32, since: Moment) -> bool {
        let mut others = self.wards.iter().filter(|(other, _)| **other != lane);
        others.any(|(_, ward)| ward.well.is_some_and(|at| at + RECENTLY >= since))
    }

    /// A failure of one of several lanes: leaves the host alone where it fails everybody.
    pub(super) fn judge_host(&mut self, limit: u32, now: Moment) {
        if self.vitals.gate != Gate::Open {
            return;
        }
        let out_of_reach = self.reach.tripped(limit, now);
        let reason = match out_of_reach {
            Some(reason) => super::settling::words_of(reason, self.rules.health.window),
            None if self.fails_everybody(now) => EVERYBODY.to_owned(),
            None => return,
        };
        self.wards.values_mut().for_each(Vitals::absolve);
        self.drop_probes();
        self.whole = true;
        self.cool(reason, now);
    }

    /// No lane of which anything is known is well, two or more are surely ill, and their failures
    /// are as many as the rules ask of one.
    fn fails_everybody(&mut self, now: Moment) -> bool {
        let least = self.rules.health.min_failures;
        let (mut sure, mut failures) = (0, 0_u32);
        for ward in self.wards.values_mut() {
            match ward.illness(now) {
                Illness::Well => return false,
                Illness::Unknown => continue,
                Illness::Likely => {}
                Illness::Sure => sure += 1,
            }
            let counted = if ward.gate == Gate::Open { ward.health.counts(now).1 } else { least };
            failures = failures.saturating_add(counted);
        }
        sure >= 2 && failures >= least
    }

    /// A probe of the host came back, from one of several lanes.
    pub(super) fn judge_shared_probe(&mut self, lane: u32, well: bool, now: Moment) {
        self.vitals_of(lane).probe_failed |= !well;
        match self.vitals.gate.probed_by_any(well, self.queue.len()) {
            Probed::Undecided => {}
            Probed::Healthy => {
                self.reopen(now);
                let cooldown = self.rules.health.cooldown;
                for ward in self.wards.values_mut() {
                    let is_ill = ward.probe_failed;
                    ward.absolve();
                    ward.healthy_since = now;
                    if is_ill {
                        ward.gate = Gate::cool(PROBES_FAILED.into(), cooldown, now);
                    }
                }
                self.drop_probes();
            }
            Probed::Unhealthy => {
                self.wards.values_mut().for_each(|ward| ward.probe_failed = false);
                self.cool(PROBES_FAILED.into(), now);
            }
        }
    }

    /// A probe of a lane came back.
    pub(super) fn judge_lane_probe(&mut self, lane: u32, well: bool, now: Moment) {
        let waiting = self.queue.lane(lane).map_or(0, |queue| queue.len());
        let cooldown = self.rules.health.cooldown;
        let Some(ward) = self.wards.get_mut(&lane) else { return };
        match ward.gate.probed(well, waiting) {
            Probed::Undecided => {}
            Probed::Healthy => {
                ward.absolve();
                ward.healthy_since = now;
                ward.reopening.begin(now);
            }
            Probed::Unhealthy => ward.gate = Gate::cool(PROBES_FAILED.into(), cooldown, now),
        }
    }

    /// The probes of a lane that are out are whose gate it is now.
    fn turn_probes(&mut self, lane: u32, to: ProbeOf) {
        let probes = self.flights.values_mut().filter(|flight| flight.entry.lane == lane);
        probes.filter(|flight| flight.probe.is_some()).for_each(|flight| flight.probe = Some(to));
    }

    /// What is out is nobody's probe any more.
    fn drop_probes(&mut self) {
        self.flights.values_mut().for_each(|flight| flight.probe = None);
    }

    /// Puts a gate where it belongs: to a lane, or to the host that has no other.
    pub(in crate::policy) fn shut(&mut self, lane: u32, gate: Gate) {
        self.greet();
        self.meet(lane);
        self.vitals_of(lane).gate = gate;
    }
}

fn hold_of(wards: &mut BTreeMap<u32, Vitals>, lane: u32, probes: u32, now: Moment) -> Option<Hold> {
    wards.get_mut(&lane)?.hold(probes, now)
}
