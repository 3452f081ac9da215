//! Whose turn it is.

use std::collections::BTreeSet;

use super::{Lane, Lanes};
use crate::model::Pending;

impl Lanes {
    /// Whether anything is ready.
    pub fn is_ready(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Lanes with something ready.
    pub fn waiting(&self) -> impl Iterator<Item = u32> + '_ {
        self.ring.iter().copied()
    }

    /// The lane whose turn it is among those with something ready that `may` send, with at most
    /// `limit` requests of all lanes in flight: while another waits, a lane has no more of them than
    /// its part by weight, and at least one.
    pub fn turn(&mut self, limit: u32, mut may: impl FnMut(u32) -> bool) -> Option<u32> {
        if self.ring.len() == 1 {
            return self.ring.front().copied().filter(|lane| may(*lane));
        }
        let free: BTreeSet<u32> = self.ring.iter().copied().filter(|lane| may(*lane)).collect();
        let claims = self.lanes.iter();
        let claims = claims.filter(|(number, lane)| free.contains(number) || lane.in_flight > 0);
        let all: f64 = claims.map(|(_, lane)| f64::from(lane.weight)).sum();
        let within = |lane: &Lane| {
            let share = (f64::from(limit) * f64::from(lane.weight) / all).floor().max(1.0);
            f64::from(lane.in_flight) < share
        };
        let within: BTreeSet<u32> =
            free.iter().copied().filter(|lane| self.lanes.get(lane).is_some_and(within)).collect();
        // Places that all who wait have no claim to are no use to anybody else.
        let chosen = if within.is_empty() { &free } else { &within };
        let least = chosen.iter().map(|lane| self.weight(*lane)).min()?;
        for _ in 0..=self.ring.len() {
            let front = *self.ring.front()?;
            let lane = self.lanes.get_mut(&front)?;
            if chosen.contains(&front) {
                if !std::mem::replace(&mut self.granted, true) {
                    lane.credit += f64::from(lane.weight) / f64::from(least);
                }
                if lane.credit >= 1.0 {
                    return Some(front);
                }
            } else if !free.contains(&front) {
                lane.credit = 0.0;
            }
            self.pass_on();
        }
        None
    }

    /// The next delivery of a lane.
    pub fn head(&mut self, lane: u32) -> Option<&Pending> {
        let wall = self.wall;
        let lane = self.lanes.get_mut(&lane)?;
        lane.queue.advance(wall);
        lane.queue.head()
    }

    /// Takes the head of the lane whose turn it is; it is in flight from now on.
    pub fn pop(&mut self, number: u32) -> Option<Pending> {
        let lane = self.lane_mut(number);
        let entry = lane.queue.pop()?;
        lane.credit = (lane.credit - 1.0).max(0.0);
        lane.in_flight += 1;
        let is_over = lane.credit < 1.0;
        self.held -= 1;
        self.settle_lane(number);
        if is_over && self.ring.front() == Some(&number) {
            self.pass_on();
        }
        Some(entry)
    }

    /// Ends the turn of a lane, however much credit it has.
    pub fn end_turn(&mut self, lane: u32) {
        if self.ring.front() == Some(&lane) {
            self.lane_mut(lane).credit = 0.0;
            self.pass_on();
        }
    }

    /// A request of a lane came to an end.
    pub fn landed(&mut self, lane: u32) {
        let lane = self.lane_mut(lane);
        lane.in_flight = lane.in_flight.saturating_sub(1);
    }

    fn pass_on(&mut self) {
        self.granted = false;
        if !self.ring.is_empty() {
            self.ring.rotate_left(1);
        }
    }
}
