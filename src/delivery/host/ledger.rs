//! What a host actor has decided and the store has not confirmed yet. The recorder of the arbiter
//! shares it and ticks commits off here, so that the actor is woken only where a commit lets
//! something go.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use futures::channel::oneshot;

use crate::model::DeliveryId;
use crate::policy::lanes::Place;

/// The open decisions of one life of a host actor.
#[derive(Default)]
pub struct Ledger(RefCell<Entries>);

#[derive(Default)]
struct Entries {
    open: HashMap<DeliveryId, Open>,
    /// Confirmed while a page of the store was on its way.
    since_page: HashSet<DeliveryId>,
    paging: bool,
    /// Go again, but later than the window reaches: once durable the store has them there.
    left: HashMap<DeliveryId, Place>,
    /// Those that are durable now.
    returned: Vec<Place>,
    waiters: HashMap<DeliveryId, Vec<oneshot::Sender<()>>>,
    /// The actor has no reason to wake soon, and has to hear when nothing is open any more.
    listens: bool,
}

#[derive(Clone, Copy)]
struct Open {
    /// A delivery may be sent again before its first outcome is committed.
    decisions: u32,
    /// Attempts that the last one counts; all there may ever be where it ended without one.
    attempts: u32,
}

impl Ledger {
    /// Enters a decision about a delivery that has had so many attempts; `None` for one that ends
    /// without an attempt.
    pub(super) fn enter(&self, id: DeliveryId, attempts: Option<u32>) {
        let mut entries = self.0.borrow_mut();
        let open = entries.open.entry(id).or_insert(Open { decisions: 0, attempts: 0 });
        open.decisions += 1;
        open.attempts = attempts.unwrap_or(u32::MAX);
    }

    /// What becomes of the delivery's place in the queue once the decision is durable.
    pub(super) fn leave(&self, id: DeliveryId, place: Place) {
        self.0.borrow_mut().left.insert(id, place);
    }

    /// Tells `waiter` once the decision is durable.
    pub(super) fn wait(&self, id: DeliveryId, waiter: oneshot::Sender<()>) {
        self.0.borrow_mut().waiters.entry(id).or_default().push(waiter);
    }

    /// Whether a decision about the delivery is open.
    pub(super) fn holds(&self, id: DeliveryId) -> bool {
        self.0.borrow().open.contains_key(&id)
    }

    /// Whether news of a delivery with so many attempts is older than an open decision. What was
    /// redriven counts as many as that decision, and so is not.
    pub(super) fn outdates(&self, id: DeliveryId, attempts: u32) -> bool {
        self.0.borrow().open.get(&id).is_some_and(|open| attempts < open.attempts)
    }

    /// Deliveries with an open decision.
    pub(in crate::delivery) fn len(&self) -> usize {
        self.0.borrow().open.len()
    }

    /// Whether nothing is open and nobody waits.
    pub(super) fn is_empty(&self) -> bool {
        let entries = self.0.borrow();
        entries.open.is_empty() && entries.waiters.is_empty()
    }

    /// A page of the store is asked for.
    pub(super) fn page_asked(&self) {
        let mut entries = self.0.borrow_mut();
        entries.paging = true;
        entries.since_page.clear();
    }

    /// The page is here: it may be older than these decisions.
    pub(super) fn page_came(&self) -> HashSet<DeliveryId> {
        let mut entries = self.0.borrow_mut();
        entries.paging = false;
        let mut newer = std::mem::take(&mut entries.since_page);
        newer.extend(entries.open.keys());
        newer
    }

    /// Places in the queue that the store has now.
    pub(super) fn take_returned(&self) -> Vec<Place> {
        std::mem::take(&mut self.0.borrow_mut().returned)
    }

    /// Whether the actor has to hear when nothing is open any more.
    pub(super) fn listen(&self, listens: bool) {
        self.0.borrow_mut().listens = listens;
    }

    /// A decision is durable. Answers whether the actor has to hear of it.
    pub(in crate::delivery) fn confirm(&self, id: DeliveryId) -> bool {
        let mut entries = self.0.borrow_mut();
        let Some(open) = entries.open.get_mut(&id) else { return false };
        open.decisions -= 1;
        if open.decisions > 0 {
            return false;
        }
        entries.open.remove(&id);
        if entries.paging {
            entries.since_page.insert(id);
        }
        for waiter in entries.waiters.remove(&id).unwrap_or_default() {
            // Who asked may have gone away.
            let _gone = waiter.send(());
        }
        let returned = entries.left.remove(&id);
        entries.returned.extend(returned);
        returned.is_some() || (entries.listens && entries.open.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HostNumber, Timestamp};

    fn id(random: u64) -> DeliveryId {
        DeliveryId::new(Timestamp::from_millis(1), HostNumber(7), random)
    }

    #[test]
    fn a_decision_is_open_until_each_of_its_commits() {
        let ledger = Ledger::default();
        ledger.enter(id(1), Some(1));
        ledger.enter(id(1), Some(2));
        assert!(!ledger.confirm(id(1)));
        assert!(ledger.holds(id(1)));
        assert!(!ledger.confirm(id(1)));
        assert!(ledger.is_empty());
        assert!(!ledger.confirm(id(1)), "nothing is open of it");
    }

    #[test]
    fn the_actor_hears_of_what_lets_something_go() {
        let ledger = Ledger::default();
        ledger.enter(id(1), Some(1));
        ledger.leave(id(1), (4, (Timestamp::from_millis(9), 3)));
        ledger.enter(id(2), Some(1));
        assert!(ledger.confirm(id(1)));
        assert_eq!(ledger.take_returned(), [(4, (Timestamp::from_millis(9), 3))]);
        ledger.listen(true);
        assert!(ledger.confirm(id(2)), "the last one, for an actor that sleeps");
    }

    #[test]
    fn a_page_is_older_than_what_was_decided_since() {
        let ledger = Ledger::default();
        ledger.enter(id(1), Some(1));
        ledger.page_asked();
        ledger.enter(id(2), Some(1));
        ledger.confirm(id(1));
        assert_eq!(ledger.page_came(), HashSet::from([id(1), id(2)]));
        ledger.confirm(id(2));
        assert_eq!(ledger.page_came(), HashSet::new());
    }

    #[test]
    fn news_of_a_redrive_is_no_old_news() {
        let ledger = Ledger::default();
        ledger.enter(id(1), Some(6));
        assert!(ledger.outdates(id(1), 0), "its acceptance, heard late");
        assert!(!ledger.outdates(id(1), 6), "redriven");
        ledger.enter(id(1), None);
        assert!(ledger.outdates(id(1), 6), "cancelled");
    }
}
