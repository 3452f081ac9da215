//! Makes verdicts durable, in batches: one recorder a shard collects what its host actors decide
//! and tells each of them when it is committed.
//!
//! Outcomes that are not committed yet are bounded: at the bound no send starts, since what was
//! sent and not recorded is sent again after a crash.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::Addr;

use crate::delivery::facts::{Fact, Facts};
use crate::delivery::feed::{Feed, Notice};
use crate::delivery::holding::Holding;
use crate::delivery::host::{Committed, HostActor, Ledger};
use crate::delivery::shard::ArbiterCounters;
use crate::model::{DeliveryId, HostNumber, Pending, Settlement};
use crate::store::{HostUpdate, Store, StoreError};

/// Outcomes that one shard may hold uncommitted. At 20,000 outcomes a second this is half a second
/// of a stalled disk.
const UNCOMMITTED_MAX: usize = 10_000;
/// Pause before a batch that the store refused is offered again.
const AGAIN: Duration = Duration::from_millis(100);

/// Collects settlements and commits them.
pub struct Recorder {
    store: Arc<dyn Store>,
    feed: Arc<Feed>,
    counters: Arc<ArbiterCounters>,
    /// Hears of dead letters.
    facts: Arc<Facts>,
    batch: RefCell<Batch>,
    flushing: Cell<bool>,
    /// The store is closed: what would be sent could not be recorded.
    closed: Cell<bool>,
    holding: Arc<Holding>,
    /// Settlements and updates that the store has been given and not answered.
    under_way: Cell<usize>,
}

#[derive(Default)]
struct Batch {
    settlements: Vec<Settlement>,
    updates: HashMap<HostNumber, HostUpdate>,
    owners: HashMap<HostNumber, Owner>,
    /// Settled in this batch, and to be told of once they are durable.
    told: Vec<DeliveryId>,
    /// What is told once it is durable; empty while nobody listens.
    notices: Vec<Notice>,
}

/// The actor that made a decision.
pub struct Owner {
    /// Hears of commits that let something go.
    pub address: Addr<HostActor>,
    /// Where every commit is ticked off.
    pub ledger: Rc<Ledger>,
}

impl Recorder {
    /// An empty recorder.
    pub fn new(
        store: Arc<dyn Store>,
        holding: Arc<Holding>,
        counters: Arc<ArbiterCounters>,
        facts: Arc<Facts>,
        feed: Arc<Feed>,
    ) -> Rc<Self> {
        Rc::new(Self {
            store,
            feed,
            counters,
            facts,
            batch: RefCell::default(),
            flushing: Cell::new(false),
            closed: Cell::new(false),
            holding,
            under_way: Cell::new(0),
        })
    }

    /// Whether no further send may start.
    pub fn is_full(&self) -> bool {
        self.closed.get() || self.uncommitted() >= UNCOMMITTED_MAX
    }

    /// Takes a settlement of `owner`'s, and what is told of it where somebody listens.
    pub fn settle(
        self: &Rc<Self>,
        settlement: Settlement,
        notice: Option<Notice>,
        owner: impl FnOnce() -> Owner,
    ) {
        {
            let mut batch = self.batch.borrow_mut();
            match batch.owners.entry(settlement.id.host()) {
                Entry::Vacant(vacant) => drop(vacant.insert_entry(owner())),
                // An earlier life of the actor, which has nothing to tick off any more.
                Entry::Occupied(mut earlier) if !earlier.get().address.connected() => {
                    earlier.insert(owner());
                }
                Entry::Occupied(_) => {}
            }
            batch.settlements.push(settlement);
            batch.notices.extend(notice);
        }
        self.flush_soon();
    }

    /// The delivery that is settled next is told of as a dead letter, once it is durable.
    pub fn tell_of(&self, id: DeliveryId) {
        self.batch.borrow_mut().told.push(id);
    }

    /// Takes a host's state and changes of condition.
    pub fn update(self: &Rc<Self>, update: HostUpdate) {
        {
            let mut batch = self.batch.borrow_mut();
            match batch.updates.get_mut(&update.host) {
                Some(earlier) => {
                    earlier.saved = update.saved;
                    earlier.changes.extend(update.changes);
                }
                None => {
                    batch.updates.insert(update.host, update);
                }
            }
        }
        self.flush_soon();
    }

    fn uncommitted(&self) -> usize {
        let batch = self.batch.borrow();
        batch.settlements.len() + batch.updates.len() + self.under_way.get()
    }

    fn count(&self) {
        self.counters.uncommitted.store(self.uncommitted() as u64, Ordering::Relaxed);
    }

    /// One batch is under way at a time; what comes in meanwhile is the next.
    fn flush_soon(self: &Rc<Self>) {
        self.count();
        if self.flushing.replace(true) {
            return;
        }
        let recorder = self.clone();
        actix_rt::spawn(async move {
            // What is decided in the same turn of the runtime goes in the same batch.
            tokio::task::yield_now().await;
            while recorder.flush().await {}
            recorder.flushing.set(false);
        });
    }

    /// Commits what is there; answers whether there was anything.
    async fn flush(&self) -> bool {
        let batch = std::mem::take(&mut *self.batch.borrow_mut());
        if batch.settlements.is_empty() && batch.updates.is_empty() {
            return false;
        }
        let updates: Vec<HostUpdate> = batch.updates.into_values().collect();
        self.under_way.set(batch.settlements.len() + updates.len());
        let tenure = self.holding.tenure();
        let mut told = false;
        let released = loop {
            match self.store.settle(tenure, batch.settlements.clone(), updates.clone()).await {
                Ok(released) => break released,
                Err(StoreError::Closed(why)) => {
                    log::error!(
                        outcomes = batch.settlements.len(), why = why.as_str();
                        "store closed before outcomes were committed; they will be sent again"
                    );
                    self.closed.set(true);
                    self.under_way.set(0);
                    self.count();
                    return true;
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        log::warn!(error:% = error; "outcomes not committed yet, trying until they are");
                    }
                    actix_rt::time::sleep(AGAIN).await;
                }
            }
        };
        self.under_way.set(0);
        self.count();
        self.feed.tell(batch.notices);
        // A repeated settle does not name again what an earlier try released.
        tell(&batch.settlements, released, batch.owners, told);
        if !batch.told.is_empty() {
            self.facts.tell(Fact::DeadLetters(batch.told));
        }
        true
    }
}

/// Ticks off what is durable, and wakes the actors for whom it lets something go.
fn tell(
    settlements: &[Settlement],
    released: Vec<(crate::model::HostName, Pending)>,
    owners: HashMap<HostNumber, Owner>,
    look_again: bool,
) {
    let mut news: HashMap<HostNumber, Vec<Pending>> = HashMap::new();
    for settlement in settlements {
        let host = settlement.id.host();
        let Some(owner) = owners.get(&host) else { continue };
        if owner.ledger.confirm(settlement.id) || look_again {
            news.entry(host).or_default();
        }
    }
    for (_, entry) in released {
        news.entry(entry.host()).or_default().push(entry);
    }
    for (host, released) in news {
        let Some(owner) = owners.get(&host) else { continue };
        // A closed one is an actor that is gone: its next life reads the store. A full mailbox is
        // waited for, since the actor counts on hearing of it.
        if let Err(actix::dev::SendError::Full(news)) =
            owner.address.try_send(Committed { released, look_again })
        {
            let address = owner.address.clone();
            actix_rt::spawn(async move {
                let _gone = address.send(news).await;
            });
        }
    }
}
