//! The window of a host's queue over its workspaces: one [`Queue`] for each lane, served by deficit
//! round robin.
//!
//! A send costs one. When a lane's turn comes it gets credit by its weight, in units of the
//! smallest weight that waits, so that each lane that waits gets at least one send a round and no
//! lane more than its share of it. A lane with nothing ready has no credit: it saves up nothing.
//!
//! The window's capacity is shared as it is needed: a lane alone has all of it, and where it is
//! full a lane with less than its share pushes out the last of the one that holds most. Each lane
//! is sure of one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use crate::model::{DeliveryId, Pending, Timestamp, Webhook};
use crate::policy::queue::{Key, Offer, Queue};

mod turns;

/// A place in the queue of a host: lane and key.
pub type Place = (u32, Key);

/// One lane of a host.
#[derive(Debug)]
struct Lane {
    queue: Queue,
    weight: u32,
    in_flight: u32,
    /// Sends that it may have before the next lane's turn.
    credit: f64,
    /// Whether it stands in the ring.
    rings: bool,
    /// When it was last told to change by itself.
    change: Option<Timestamp>,
}

/// All lanes of one host.
#[derive(Debug)]
pub struct Lanes {
    capacity: usize,
    lanes: BTreeMap<u32, Lane>,
    /// Lanes with something ready, that whose turn it is first.
    ring: VecDeque<u32>,
    /// Whether the first of the ring got its credit for this turn.
    granted: bool,
    /// When each lane changes by itself.
    changes: BTreeSet<(Timestamp, u32)>,
    wall: Timestamp,
    held: usize,
    /// Pushed out of the window since the last look.
    shed: Vec<(DeliveryId, Place)>,
    /// Lanes that are new since the last look.
    newcomers: Vec<u32>,
}

impl Lanes {
    /// An empty window over an empty queue. `capacity` (all lanes together) is at least 1.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            lanes: BTreeMap::new(),
            ring: VecDeque::new(),
            granted: false,
            changes: BTreeSet::new(),
            wall: Timestamp::from_millis(0),
            held: 0,
            shed: Vec::new(),
            newcomers: Vec::new(),
        }
    }

    /// Deliveries held.
    pub fn len(&self) -> usize {
        self.held
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// When the first of those that are held became or becomes due.
    pub fn first_due(&self) -> Option<Timestamp> {
        self.lanes.values().filter_map(|lane| lane.queue.first_due()).min()
    }

    /// Bytes of webhooks held.
    pub fn bytes(&self) -> usize {
        self.lanes.values().map(|lane| lane.queue.bytes()).sum()
    }

    /// Whether the store has more than is held.
    pub fn has_more(&self) -> bool {
        self.lanes.values().any(|lane| lane.queue.has_more())
    }

    /// The lanes that are known, in order of number.
    pub fn numbers(&self) -> impl Iterator<Item = u32> + '_ {
        self.lanes.keys().copied()
    }

    /// The queue of a lane that is known.
    pub fn lane(&self, lane: u32) -> Option<&Queue> {
        self.lanes.get(&lane).map(|lane| &lane.queue)
    }

    /// Lanes that have turned up since the last call.
    pub fn take_newcomers(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.newcomers)
    }

    /// What was pushed out of the window since the last call: the store has it there, once the last
    /// decision about it is durable.
    pub fn take_shed(&mut self) -> Vec<(DeliveryId, Place)> {
        std::mem::take(&mut self.shed)
    }

    /// Sets the weight of a lane: 1 or more.
    pub fn weigh(&mut self, lane: u32, weight: u32) {
        self.lane_mut(lane).weight = weight.max(1);
    }

    /// The weight of a lane.
    pub fn weight(&self, lane: u32) -> u32 {
        self.lanes.get(&lane).map_or(1, |lane| lane.weight)
    }

    /// Requests of a lane under way.
    pub fn in_flight(&self, lane: u32) -> u32 {
        self.lanes.get(&lane).map_or(0, |lane| lane.in_flight)
    }

    /// Lanes that have work, under way or not.
    pub fn active(&self) -> usize {
        self.lanes.values().filter(|lane| lane.is_active()).count()
    }

    /// The part (0 to 1) of the host's sends that a lane gets while all that have work wait.
    pub fn part(&self, lane: u32) -> f64 {
        let mine = f64::from(self.weight(lane));
        let others =
            self.lanes.iter().filter(|(number, other)| **number != lane && other.is_active());
        mine / (mine + others.map(|(_, other)| f64::from(other.weight)).sum::<f64>())
    }

    /// How many of a lane the window takes for certain.
    pub fn share(&self, lane: u32) -> usize {
        let idle = self.lanes.get(&lane).is_none_or(|lane| !lane.is_active());
        (self.capacity / (self.active() + usize::from(idle)).max(1)).max(1)
    }

    /// Rows of a page that bring a lane up to its share, or each of them, none known of being left
    /// out.
    pub fn page_limit(&self, lane: Option<u32>) -> usize {
        let of = |lane: u32| self.share(lane).max(self.lane(lane).map_or(0, Queue::len));
        match lane {
            Some(lane) => of(lane),
            None => self.numbers().map(of).max().unwrap_or(self.capacity),
        }
    }

    /// The lane that should be filled from the store first: more of it is there and half of its
    /// share is used up.
    pub fn wants_refill(&self) -> Option<u32> {
        let behind = self.lanes.iter().filter(|(_, lane)| lane.queue.has_more());
        let emptiest = behind.min_by_key(|(_, lane)| lane.queue.len());
        emptiest
            .filter(|(number, lane)| lane.queue.len() <= self.share(**number) / 2)
            .map(|it| *it.0)
    }

    /// Whether the delivery is held.
    pub fn holds(&self, id: DeliveryId) -> bool {
        self.home_of(id).is_some()
    }

    /// The delivery, if it is held.
    pub fn get(&self, id: DeliveryId) -> Option<&Pending> {
        self.lanes.values().find_map(|lane| lane.queue.get(id))
    }

    /// The store has something of a lane at or after `key` that is not held.
    pub fn left_behind(&mut self, (lane, key): Place) {
        self.lane_mut(lane).queue.left_behind(key);
    }

    /// The store may have something of any lane.
    pub fn look_again(&mut self) {
        let first = (Timestamp::from_millis(0), 0);
        self.lanes.values_mut().for_each(|lane| lane.queue.left_behind(first));
    }

    /// A page of the store is asked for, of one lane or of all.
    pub fn page_asked(&mut self, lane: Option<u32>) {
        let asked =
            self.lanes.iter_mut().filter(|(number, _)| lane.is_none_or(|it| it == **number));
        asked.for_each(|(_, lane)| lane.queue.page_asked());
    }

    /// The page of a lane has come.
    pub fn page_came(
        &mut self,
        lane: u32,
        rows: Vec<Pending>,
        full: bool,
        fresh: impl Fn(&Pending) -> bool,
    ) {
        let behind = rows.last().filter(|_| full).map(|last| (last.due, last.seq + 1));
        let left = self.lane_mut(lane).queue.page_begins();
        for row in rows {
            if fresh(&row) {
                self.offer(row);
            }
        }
        let queue = &mut self.lane_mut(lane).queue;
        behind.into_iter().chain(left).for_each(|key| queue.left_behind(key));
        // A page that was cut short of what is held: the order of the store goes first.
        while let Some(behind) = behind
            && let Some(entry) = self.lane_mut(lane).queue.shed_from(behind)
        {
            self.note_shed(&entry);
        }
        self.settle_lane(lane);
    }

    /// Takes a delivery in if its place is inside the window.
    pub fn offer(&mut self, entry: Pending) -> Offer {
        let number = entry.lane;
        let held = self.lane_mut(number).queue.len();
        let is_full = self.held >= self.capacity;
        let gives = if is_full && held < self.share(number) { self.largest() } else { None };
        let queue = &mut self.lane_mut(number).queue;
        // Where the window is full a lane at its share goes on with as many as it has.
        let room = !is_full || gives.is_some() || held == 0;
        queue.set_capacity(if room { held + 1 } else { held });
        let offer = queue.offer(entry);
        let pushed_out = queue.take_pushed_out();
        if let Some((id, key)) = pushed_out {
            self.shed.push((id, (number, key)));
        } else if offer == Offer::Held {
            self.held += 1;
            if let Some(giver) = gives.filter(|giver| *giver != number) {
                let shed = self.lane_mut(giver).queue.shed();
                if let Some(entry) = shed {
                    self.note_shed(&entry);
                }
                self.settle_lane(giver);
            }
        }
        self.settle_lane(number);
        offer
    }

    /// Takes a delivery out.
    pub fn remove(&mut self, id: DeliveryId) -> Option<Pending> {
        let lane = self.home_of(id)?;
        let entry = self.lane_mut(lane).queue.remove(id)?;
        self.held -= 1;
        self.settle_lane(lane);
        Some(entry)
    }

    /// Moves what has become due to the ready classes.
    pub fn advance(&mut self, wall: Timestamp) {
        self.wall = self.wall.max(wall);
        let due: Vec<u32> =
            self.changes.range(..=(wall, u32::MAX)).map(|(_, lane)| *lane).collect();
        for lane in due {
            self.lane_mut(lane).queue.advance(wall);
            self.settle_lane(lane);
        }
    }

    /// A delivery that is past its expiry, if there is one; it is taken out.
    pub fn pop_expired(&mut self, wall: Timestamp) -> Option<Pending> {
        let due: Vec<u32> =
            self.changes.range(..=(wall, u32::MAX)).map(|(_, lane)| *lane).collect();
        for lane in due {
            let expired = self.lane_mut(lane).queue.pop_expired(wall);
            self.held -= usize::from(expired.is_some());
            self.settle_lane(lane);
            if expired.is_some() {
                return expired;
            }
        }
        None
    }

    /// Ready deliveries without their webhooks, about `count` of them, those of `first` first.
    pub fn lean_heads(&self, first: u32, count: usize) -> Vec<DeliveryId> {
        let each = (count / self.ring.len().max(1)).max(1);
        let order = [first].into_iter().chain(self.waiting().filter(|lane| *lane != first));
        let heads = order.filter_map(|lane| Some(self.lane(lane)?.lean_heads(each)));
        heads.flatten().take(count).collect()
    }

    /// Gives a held delivery its webhook.
    pub fn supply(&mut self, id: DeliveryId, webhook: Arc<Webhook>) {
        if let Some(lane) = self.home_of(id) {
            self.lane_mut(lane).queue.supply(id, webhook);
        }
    }

    /// Gives one webhook back to the store.
    pub fn strip(&mut self, id: DeliveryId) {
        let Some(lane) = self.home_of(id) else { return };
        self.lane_mut(lane).queue.strip(id);
        self.settle_lane(lane);
    }

    /// When something changes by itself: the next due time or expiry.
    pub fn next_change(&self) -> Option<Timestamp> {
        self.changes.first().map(|(change, _)| *change)
    }

    /// Forgets a lane that has nothing to send and nothing under way.
    pub fn forget(&mut self, lane: u32) -> bool {
        let is_idle = self.lanes.get(&lane).is_none_or(|lane| !lane.is_active());
        if is_idle && let Some(gone) = self.lanes.remove(&lane) {
            debug_assert!(!gone.rings && gone.change.is_none(), "nothing is in it");
        }
        is_idle
    }

    /// Deliveries held of its lane that go before this one, about: those with smaller keys.
    pub fn ahead_of(&self, (lane, key): Place) -> u64 {
        self.lane(lane).map_or(0, |queue| queue.ahead_of(key))
    }

    fn home_of(&self, id: DeliveryId) -> Option<u32> {
        let mut lanes = self.lanes.iter();
        lanes.find(|(_, lane)| lane.queue.holds(id)).map(|(number, _)| *number)
    }

    fn lane_mut(&mut self, lane: u32) -> &mut Lane {
        let newcomers = &mut self.newcomers;
        self.lanes.entry(lane).or_insert_with(|| {
            newcomers.push(lane);
            Lane {
                queue: Queue::new(1),
                weight: 1,
                in_flight: 0,
                credit: 0.0,
                rings: false,
                change: None,
            }
        })
    }

    /// The lane that holds most; `None` where none holds more than one.
    fn largest(&self) -> Option<u32> {
        let largest = self.lanes.iter().max_by_key(|(_, lane)| lane.queue.len());
        largest.filter(|(_, lane)| lane.queue.len() > 1).map(|(number, _)| *number)
    }

    fn note_shed(&mut self, entry: &Pending) {
        self.held -= 1;
        self.shed.push((entry.id, (entry.lane, entry.key())));
    }

    /// Keeps ring and changes in step with a lane's queue.
    fn settle_lane(&mut self, number: u32) {
        let Some(lane) = self.lanes.get_mut(&number) else { return };
        let change = lane.queue.next_change();
        if change != lane.change {
            if let Some(old) = lane.change {
                self.changes.remove(&(old, number));
            }
            lane.change = change;
            self.changes.extend(change.map(|change| (change, number)));
        }
        match (lane.queue.head().is_some(), lane.rings) {
            (true, false) => {
                lane.rings = true;
                self.ring.push_back(number);
            }
            (false, true) => {
                (lane.rings, lane.credit) = (false, 0.0);
                if self.ring.front() == Some(&number) {
                    self.granted = false;
                }
                self.ring.retain(|other| *other != number);
            }
            _ => {}
        }
    }
}

impl Lane {
    fn is_active(&self) -> bool {
        self.in_flight > 0 || !self.queue.is_empty() || self.queue.has_more()
    }
}

#[cfg(test)]
mod tests;
