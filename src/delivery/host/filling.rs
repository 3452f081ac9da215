//! How a host actor fills its window: from what it is told, and from the store, lane by lane.

use std::time::Duration;

use actix::{AsyncContext, Context};

use super::HostActor;
use super::messages::Paged;
use crate::model::{Moment, Pending};
use crate::policy::queue::Offer;
use crate::store::LanePage;

/// How often the weights of the lanes are read anew.
const WEIGH_EVERY: Duration = Duration::from_secs(1);

impl HostActor {
    /// Asks the store for the first deliveries of a lane, or of all.
    pub(super) fn ask_for_page(&mut self, lane: Option<u32>, context: &mut Context<Self>) {
        if std::mem::replace(&mut self.paging, true) {
            return;
        }
        self.looks_again &= lane.is_some();
        self.state.queue_mut().page_asked(lane);
        self.ledger.page_asked();
        let busy = self.state.in_flight() as usize + self.ledger.len();
        let limit = self.state.queue().page_limit(lane) + busy;
        let pages = self.shard.around.store.page(self.number, lane, limit);
        let address = context.address();
        actix_rt::spawn(async move {
            let _gone = address.send(Paged { lane, pages: pages.await }).await;
        });
    }

    /// Takes what the store has of a lane, or of all: a lane that it does not name is empty there.
    pub(super) fn take_pages(&mut self, lane: Option<u32>, pages: Vec<LanePage>) {
        let mut newer = self.ledger.page_came();
        newer.extend(self.state.in_flight_ids());
        let queue = self.state.queue_mut();
        let asked: Vec<u32> = lane.map_or_else(|| queue.numbers().collect(), |lane| vec![lane]);
        for lane in asked.into_iter().filter(|lane| pages.iter().all(|page| page.lane != *lane)) {
            queue.page_came(lane, Vec::new(), false, |_| true);
        }
        for LanePage { lane, rows, full } in pages {
            queue.page_came(lane, rows, full, |row| !newer.contains(&row.id));
        }
        self.note_shed();
    }

    /// Reads the queue from the store, which may hold what nobody told of.
    pub(super) fn look_again(&mut self, context: &mut Context<Self>) {
        self.state.queue_mut().look_again();
        self.looks_again = true;
        self.ask_for_page(None, context);
    }

    /// Offers a delivery to the window, without its webhook where memory is short.
    pub(super) fn offer(&mut self, mut entry: Pending) {
        let is_old = self.ledger.outdates(entry.id, entry.attempts);
        if is_old || self.state.is_in_flight(entry.id) {
            return;
        }
        let size = entry.webhook.as_ref().map_or(0, |webhook| webhook.size());
        if !self.has_room(size) && !self.state.queue().is_empty() {
            entry.webhook = None;
        }
        let _held_or_left: Offer = self.state.queue_mut().offer(entry);
        self.note_shed();
    }

    /// What was pushed out of the window before its last decision was durable is not where the
    /// store has it now.
    pub(super) fn note_shed(&mut self) {
        for (id, place) in self.state.queue_mut().take_shed() {
            if self.ledger.holds(id) {
                self.ledger.leave(id, place);
            }
        }
    }

    /// Reads the weights of lanes that are new, and of all every second.
    pub(super) fn weigh_lanes(&mut self, now: Moment) {
        let mut lanes = self.state.take_strangers();
        if now.since(self.weighed) >= WEIGH_EVERY {
            self.weighed = now;
            lanes = self.state.queue().numbers().collect();
        }
        for lane in lanes {
            let weight = self.shard.around.workspaces.policy(lane).weight;
            self.state.queue_mut().weigh(lane, weight);
        }
    }
}
