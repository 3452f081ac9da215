//! The window of one lane of a host's queue (`lanes` has all of them): the first pending deliveries
//! in `(due, seq)` order. What is behind them waits in the store.
//!
//! Invariant: every pending delivery of the lane that is not held here (nor in flight, nor being
//! settled) has a key at or after `frontier`. So a delivery with a smaller key can be trusted to
//! come next, and one with a greater key is dropped: the store has it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::model::{DeliveryId, Pending, Priority, Timestamp, Webhook};

/// The place of a delivery in its host's queue.
pub type Key = (Timestamp, u64);

/// Turns of the three priorities among seven (decision: by weight, never starving one).
const TURNS: [u32; 3] = [4, 2, 1];
/// Retries may make up this share of sends while fresh deliveries wait…
const RETRY_SHARE: f64 = 0.2;
/// …plus this many a second.
const RETRY_RATE: f64 = 10.0;
/// Saved-up turns for retries: two seconds' worth.
const RETRY_SAVED: f64 = 2.0 * RETRY_RATE;

/// Classes of ready deliveries: the three priorities of fresh ones, then retries.
const CLASSES: usize = 4;
const RETRIES: usize = 3;

/// The window of one lane.
#[derive(Debug)]
pub struct Queue {
    capacity: usize,
    scheduled: BTreeMap<Key, Pending>,
    ready: [BTreeMap<Key, Pending>; CLASSES],
    places: HashMap<DeliveryId, Key>,
    expiries: BTreeSet<(Timestamp, DeliveryId)>,
    frontier: Option<Key>,
    /// Smallest key that was left to the store since a page was asked for: the page may have been
    /// read before it was committed.
    left_since_page: Option<Key>,
    pushed_out: Option<(DeliveryId, Key)>,
    turns: [u32; 3],
    retry_turns: f64,
    retry_at: Timestamp,
    /// Bytes of webhooks held.
    bytes: usize,
}

/// What became of a delivery that was offered to the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offer {
    /// Held.
    Held,
    /// Already held.
    Known,
    /// Left to the store: it comes after what is held.
    Left,
}

impl Queue {
    /// An empty window over an empty queue. `capacity` is at least 1.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            scheduled: BTreeMap::new(),
            ready: Default::default(),
            places: HashMap::new(),
            expiries: BTreeSet::new(),
            frontier: None,
            left_since_page: None,
            pushed_out: None,
            turns: TURNS,
            retry_turns: RETRY_SAVED,
            retry_at: Timestamp::from_millis(0),
            bytes: 0,
        }
    }

    /// Deliveries held.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// When the first of those that are held became or becomes due.
    pub fn first_due(&self) -> Option<Timestamp> {
        let all = std::iter::once(&self.scheduled).chain(&self.ready);
        all.filter_map(BTreeMap::first_key_value).map(|((due, _), _)| *due).min()
    }

    /// Bytes of webhooks held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether the store has more than is held.
    pub fn has_more(&self) -> bool {
        self.frontier.is_some()
    }

    /// From where on the store has more.
    pub fn frontier(&self) -> Option<Key> {
        self.frontier
    }

    /// Changes how many the window takes; what it holds beyond that stays.
    pub fn set_capacity(&mut self, capacity: usize) {
        self.capacity = capacity.max(1);
    }

    /// Whether the delivery is held.
    pub fn holds(&self, id: DeliveryId) -> bool {
        self.places.contains_key(&id)
    }

    /// The delivery, if it is held.
    pub fn get(&self, id: DeliveryId) -> Option<&Pending> {
        let key = self.places.get(&id)?;
        self.scheduled.get(key).or_else(|| self.ready.iter().find_map(|class| class.get(key)))
    }

    /// The store has something at or after `key` that is not held.
    pub fn left_behind(&mut self, key: Key) {
        self.frontier = Some(self.frontier.map_or(key, |frontier| frontier.min(key)));
        self.left_since_page = Some(self.left_since_page.map_or(key, |left| left.min(key)));
    }

    /// A page of the store is asked for.
    pub fn page_asked(&mut self) {
        self.left_since_page = None;
    }

    /// A page has come and is offered from here on; whoever does so says at the end from where on
    /// the store has more. Answers from where on it has, as far as the page may be older.
    pub fn page_begins(&mut self) -> Option<Key> {
        self.frontier = None;
        self.left_since_page.take()
    }

    /// Takes a delivery in if its place is inside the window; whatever falls out at the end is
    /// left to the store.
    pub fn offer(&mut self, entry: Pending) -> Offer {
        if self.holds(entry.id) {
            return Offer::Known;
        }
        let key = entry.key();
        if self.frontier.is_some_and(|frontier| key >= frontier) {
            self.left_behind(key);
            return Offer::Left;
        }
        if self.len() >= self.capacity {
            let last = self.last_key().expect("a full window has a last entry");
            if key >= last {
                self.left_behind(key);
                return Offer::Left;
            }
            self.pushed_out = self.shed().map(|entry| (entry.id, entry.key()));
        }
        self.insert(entry);
        Offer::Held
    }

    /// What the last offer pushed out of the window.
    pub fn take_pushed_out(&mut self) -> Option<(DeliveryId, Key)> {
        self.pushed_out.take()
    }

    /// Leaves the last delivery to the store.
    pub fn shed(&mut self) -> Option<Pending> {
        let entry = self.remove_at(self.last_key()?)?;
        self.left_behind(entry.key());
        Some(entry)
    }

    /// Leaves the last delivery to the store if it is at or after `key`.
    pub fn shed_from(&mut self, key: Key) -> Option<Pending> {
        if self.last_key()? >= key { self.shed() } else { None }
    }

    /// Takes a delivery out.
    pub fn remove(&mut self, id: DeliveryId) -> Option<Pending> {
        let key = self.places.get(&id).copied()?;
        self.remove_at(key)
    }

    /// Moves what has become due to the ready classes, and counts time towards retries' turns.
    pub fn advance(&mut self, wall: Timestamp) {
        let elapsed = self.retry_at.until(wall).as_secs_f64();
        self.retry_turns = (self.retry_turns + elapsed * RETRY_RATE).min(RETRY_SAVED);
        self.retry_at = self.retry_at.max(wall);
        while let Some(first) = self.scheduled.first_entry() {
            if first.get().due > wall {
                break;
            }
            let (key, entry) = first.remove_entry();
            self.ready[class_of(&entry)].insert(key, entry);
        }
    }

    /// A delivery that is past its expiry, if there is one; it is taken out.
    pub fn pop_expired(&mut self, wall: Timestamp) -> Option<Pending> {
        let (expires, id) = self.expiries.first().copied()?;
        if expires > wall {
            return None;
        }
        self.remove(id)
    }

    /// The delivery whose turn it is among the ready ones.
    pub fn head(&self) -> Option<&Pending> {
        self.ready[self.class_in_turn()?].first_key_value().map(|(_, entry)| entry)
    }

    /// Takes the head out and counts its turn.
    pub fn pop(&mut self) -> Option<Pending> {
        let class = self.class_in_turn()?;
        if class == RETRIES {
            self.retry_turns = (self.retry_turns - 1.0).max(0.0);
        } else {
            self.retry_turns = (self.retry_turns + RETRY_SHARE).min(RETRY_SAVED);
            if self.turns[class] == 0 {
                self.turns = TURNS;
            }
            self.turns[class] -= 1;
        }
        let key = *self.ready[class].first_key_value()?.0;
        self.remove_at(key)
    }

    /// Ready deliveries without their webhooks, among the first `count` of each class.
    pub fn lean_heads(&self, count: usize) -> Vec<DeliveryId> {
        let heads = self.ready.iter().flat_map(|class| class.values().take(count));
        heads.filter(|entry| entry.webhook.is_none()).map(|entry| entry.id).take(count).collect()
    }

    /// Gives a held delivery its webhook.
    pub fn supply(&mut self, id: DeliveryId, webhook: Arc<Webhook>) {
        let Some(key) = self.places.get(&id).copied() else { return };
        let size = webhook.size();
        let entry = match self.scheduled.get_mut(&key) {
            Some(entry) => Some(entry),
            None => self.ready.iter_mut().find_map(|class| class.get_mut(&key)),
        };
        if let Some(entry) = entry
            && entry.webhook.replace(webhook).is_none()
        {
            self.bytes += size;
        }
    }

    /// Gives one webhook back to the store.
    pub fn strip(&mut self, id: DeliveryId) {
        let Some(mut entry) = self.remove(id) else { return };
        entry.webhook = None;
        self.insert(entry);
    }

    /// When something changes by itself: the next due time or expiry.
    pub fn next_change(&self) -> Option<Timestamp> {
        let due = self.scheduled.first_key_value().map(|(key, _)| key.0);
        let expiry = self.expiries.first().map(|(expires, _)| *expires);
        due.into_iter().chain(expiry).min()
    }

    /// The earliest due time of all that is pending, held or not.
    pub fn earliest_due(&self) -> Option<Timestamp> {
        let held = self.ready.iter().chain([&self.scheduled]);
        let first = held.filter_map(|class| class.first_key_value().map(|(key, _)| key.0)).min();
        first.into_iter().chain(self.frontier.map(|key| key.0)).min()
    }

    /// Deliveries held that go before this one, about: those with smaller keys.
    pub fn ahead_of(&self, key: Key) -> u64 {
        let classes = self.ready.iter().chain([&self.scheduled]);
        classes.map(|class| class.range(..key).count() as u64).sum()
    }

    fn class_in_turn(&self) -> Option<usize> {
        let fresh = self.fresh_in_turn();
        let retry = self.ready[RETRIES].first_key_value();
        match (fresh, retry) {
            (Some(class), Some((retry_key, _))) => {
                let older =
                    self.ready[class].first_key_value().is_some_and(|(key, _)| retry_key < key);
                Some(if older && self.retry_turns >= 1.0 { RETRIES } else { class })
            }
            (Some(class), None) => Some(class),
            (None, Some(_)) => Some(RETRIES),
            (None, None) => None,
        }
    }

    fn fresh_in_turn(&self) -> Option<usize> {
        let waiting = |class: &usize| !self.ready[*class].is_empty();
        (0..3).filter(waiting).find(|class| self.turns[*class] > 0).or((0..3).find(waiting))
    }

    fn last_key(&self) -> Option<Key> {
        let classes = self.ready.iter().chain([&self.scheduled]);
        classes.filter_map(|class| class.last_key_value().map(|(key, _)| *key)).max()
    }

    fn insert(&mut self, entry: Pending) {
        let key = entry.key();
        self.bytes += entry.webhook.as_ref().map_or(0, |webhook| webhook.size());
        self.places.insert(entry.id, key);
        self.expiries.insert((entry.expires, entry.id));
        self.scheduled.insert(key, entry);
    }

    fn remove_at(&mut self, key: Key) -> Option<Pending> {
        let entry = match self.scheduled.remove(&key) {
            Some(entry) => Some(entry),
            None => self.ready.iter_mut().find_map(|class| class.remove(&key)),
        }?;
        self.places.remove(&entry.id);
        self.expiries.remove(&(entry.expires, entry.id));
        self.bytes -= entry.webhook.as_ref().map_or(0, |webhook| webhook.size());
        Some(entry)
    }
}

fn class_of(entry: &Pending) -> usize {
    if entry.retries > 0 {
        return RETRIES;
    }
    match entry.priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::HostNumber;

    fn entry(due: i64, seq: u64) -> Pending {
        Pending {
            id: DeliveryId::new(Timestamp::from_millis(1), HostNumber(7), seq),
            seq,
            lane: 0,
            due: Timestamp::from_millis(due),
            expires: Timestamp::from_millis(1_000_000),
            priority: Priority::Normal,
            attempts: 0,
            retries: 0,
            ordered: false,
            size: 10,
            campaign: None,
            webhook: None,
        }
    }

    fn drain(queue: &mut Queue, wall: i64) -> Vec<u64> {
        queue.advance(Timestamp::from_millis(wall));
        std::iter::from_fn(|| queue.pop().map(|entry| entry.seq)).collect()
    }

    #[test]
    fn oldest_goes_first_and_what_is_not_due_stays() {
        let mut queue = Queue::new(10);
        for (due, seq) in [(30, 1), (10, 2), (20, 3), (99, 4)] {
            assert_eq!(queue.offer(entry(due, seq)), Offer::Held);
        }
        assert_eq!(drain(&mut queue, 50), [2, 3, 1]);
        assert_eq!(queue.next_change(), Some(Timestamp::from_millis(99)));
    }

    #[test]
    fn an_earlier_one_pushes_the_last_back_to_the_store() {
        let mut queue = Queue::new(2);
        queue.offer(entry(10, 1));
        queue.offer(entry(30, 2));
        assert_eq!(queue.offer(entry(20, 3)), Offer::Held);
        assert_eq!(queue.frontier(), Some((Timestamp::from_millis(30), 2)));
        assert_eq!(queue.offer(entry(40, 4)), Offer::Left);
        assert_eq!(drain(&mut queue, 50), [1, 3]);
    }

    #[test]
    fn priorities_take_turns_by_weight() {
        let mut queue = Queue::new(100);
        for seq in 0..30 {
            let priority = [Priority::High, Priority::Normal, Priority::Low][seq as usize % 3];
            queue.offer(Pending { priority, ..entry(1, seq) });
        }
        let order = drain(&mut queue, 1);
        let first: Vec<u64> = order[..7].iter().map(|seq| seq % 3).collect();
        assert_eq!(first, [0, 0, 0, 0, 1, 1, 2]);
    }

    #[test]
    fn retries_take_a_fifth_and_the_saved_turns_while_fresh_ones_wait() {
        let mut queue = Queue::new(1000);
        for seq in 0..200 {
            queue.offer(Pending { retries: 1, ..entry(1, seq) });
        }
        for seq in 200..400 {
            queue.offer(entry(2, seq));
        }
        let order = drain(&mut queue, 10);
        let retries = order[..120].iter().filter(|seq| **seq < 200).count();
        assert!((30..=45).contains(&retries), "{retries}");
        assert_eq!(order.len(), 400);
    }

    #[test]
    fn an_expired_one_is_taken_out_wherever_it_stands() {
        let mut queue = Queue::new(10);
        queue.offer(Pending { expires: Timestamp::from_millis(5), ..entry(90, 1) });
        assert_eq!(queue.pop_expired(Timestamp::from_millis(4)).map(|entry| entry.seq), None);
        assert_eq!(queue.pop_expired(Timestamp::from_millis(5)).map(|entry| entry.seq), Some(1));
        assert!(queue.is_empty());
    }

    proptest! {
        #[test]
        fn the_window_holds_the_smallest_keys(
            dues in proptest::collection::vec(0_i64..50, 1..200), capacity in 1_usize..40
        ) {
            let mut queue = Queue::new(capacity);
            let mut all: Vec<Key> = Vec::new();
            for (seq, due) in dues.into_iter().enumerate() {
                let offered = entry(due, seq as u64);
                all.push(offered.key());
                queue.offer(offered);
            }
            all.sort();
            let held: Vec<u64> = drain(&mut queue, 100);
            let expected: Vec<u64> = all.iter().take(held.len()).map(|key| key.1).collect();
            prop_assert_eq!(&held, &expected);
            if let Some(frontier) = queue.frontier() {
                prop_assert!(all[held.len()..].iter().all(|key| *key >= frontier));
            } else {
                prop_assert_eq!(held.len(), all.len());
            }
            prop_assert_eq!(queue.bytes(), 0);
        }
    }
}
