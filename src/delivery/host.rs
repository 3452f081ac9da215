//! The host actor: the one place that owns everything about a destination host. A thin shell
//! around `HostState`: a mailbox, one alarm, and `pump`, which asks for the next step and acts.
//!
//! Requests run in tasks of their own and report by message. The store is the truth: what the
//! actor holds is a window of it, and a message that never came costs time only.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::dev::SendError;
use actix::{Actor, AsyncContext, Context, SpawnHandle};
use futures::FutureExt;

use crate::delivery::feed::{Notice, Origin};
use crate::delivery::recorder::Owner;
use crate::delivery::router::HostGone;
use crate::delivery::sender::{AttemptRequest, Report, Sender};
use crate::delivery::shard::{Shard, Shown};
use crate::delivery::snapshot::HostCondition;
use crate::model::{
    DeliveryId, End, HostName, HostNumber, Moment, Now, Outcome, Pending, Settlement, Timings,
    Verdict,
};
use crate::policy::host_state::{HostState, Ruling, Step};
use crate::policy::verdict::Meaning;
use crate::report::host_series::{Gauges, HostSeries};
use crate::report::meters::{Class, Decision};
use crate::report::tally::{HostTally, Kind};
use crate::report::usage::UsageBook;

mod filling;
mod ledger;
mod mail;
mod messages;
mod upkeep;

use upkeep::PUBLISH_EVERY;

pub use ledger::Ledger;
use messages::{AttemptFinished, Fetched, Remembered, UnderWay};
pub use messages::{Committed, Enqueue, HostCommand, LookAgain, Stop};

/// Messages that a host actor takes before its senders are told that it is full. What it misses
/// then it reads from the store.
const MAILBOX: usize = 1024;
/// Pause before asking again where the store or the recorder could not take more.
const BREATHER: Duration = Duration::from_millis(20);
/// A delivery that is due later than this does not keep its webhook in memory.
const KEEP_WEBHOOK: Duration = Duration::from_secs(5);

/// What the router and one life of a host actor share.
pub struct Life {
    /// Which life of the host's actor it is.
    pub generation: u64,
    /// Messages that the router has sent to it.
    pub sent: Rc<Cell<u64>>,
}

/// One destination host.
pub struct HostActor {
    pub(super) name: HostName,
    pub(super) number: HostNumber,
    life: Life,
    pub(super) shard: Rc<Shard>,
    pub(super) state: HostState,
    sender: Option<Rc<dyn Sender>>,
    /// Whether the saved state and the first page have come; before that nothing is sent.
    remembered: bool,
    paged: bool,
    paging: bool,
    /// The store may have what nobody told of, in lanes that are not known either.
    looks_again: bool,
    fetching: bool,
    quiet: bool,
    /// Decided and not yet durable.
    pub(super) ledger: Rc<Ledger>,
    alarm: Option<(Moment, SpawnHandle)>,
    pub(super) tally: HostTally,
    /// Who used how much of what the host takes.
    pub(super) usage: UsageBook,
    /// The last minutes, for plots.
    pub(super) series: HostSeries,
    /// When the weights of the lanes were last read.
    weighed: Moment,
    pub(super) started: Moment,
    active: Moment,
    published: Option<Moment>,
    /// Something happened since the snapshot was published.
    touched: bool,
    /// What the published snapshot adds to the totals; `None` while there is none.
    shown: Option<Shown>,
    saved: Moment,
    unsaved: bool,
    noted: HostCondition,
    /// Whether it was last told that the host is ill.
    ill: bool,
    candidate: Option<(HostCondition, Now, String)>,
    bytes: usize,
    /// Attempts that ended in an error since it was told of last.
    errors: u32,
    /// Messages from the router that were handled, to agree on a stop.
    received: u64,
    stopped: bool,
}

impl HostActor {
    /// An actor that knows nothing yet.
    pub fn new(name: HostName, number: HostNumber, life: Life, shard: Rc<Shard>) -> Self {
        let now = shard.around.clock.now().moment;
        let settings = &shard.around.settings;
        let controls = shard.around.controls.get(&name).map(|entry| entry.clone());
        let state = HostState::new(
            settings.rules_of(&name).clone(),
            controls.unwrap_or_default(),
            settings.actors.window,
            now,
        );
        Self {
            name,
            number,
            life,
            state,
            sender: None,
            remembered: false,
            paged: false,
            paging: false,
            looks_again: false,
            fetching: false,
            quiet: false,
            ledger: Rc::default(),
            alarm: None,
            tally: HostTally::default(),
            usage: UsageBook::default(),
            series: HostSeries::default(),
            weighed: now,
            started: now,
            active: now,
            published: None,
            touched: true,
            shown: None,
            saved: now,
            unsaved: false,
            noted: HostCondition::Healthy,
            ill: false,
            candidate: None,
            bytes: 0,
            errors: 0,
            received: 0,
            stopped: false,
            shard,
        }
    }

    /// Messages of the router that wait to be handled.
    pub(super) fn mailbox(&self) -> u64 {
        self.life.sent.get().saturating_sub(self.received)
    }

    pub(super) fn now(&self) -> Now {
        self.shard.around.clock.now()
    }

    /// Asks what to do and does it, until there is nothing to do now.
    fn pump(&mut self, context: &mut Context<Self>) {
        let now = self.now();
        for place in self.ledger.take_returned() {
            self.state.queue_mut().left_behind(place);
        }
        self.weigh_lanes(now.moment);
        let wake = if self.remembered && self.paged && !self.quiet {
            self.act(now, context)
        } else {
            None
        };
        if self.looks_again {
            self.ask_for_page(None, context);
        } else if let Some(lane) = self.state.queue().wants_refill() {
            self.ask_for_page(Some(lane), context);
        }
        self.account();
        let standing = self.state.standing(now);
        let chores = self.chores(&standing, now);
        let idle_at = self.idle_at(&standing, now);
        let close_at = self.close_idle(now);
        let wake = [wake, chores, idle_at, close_at].into_iter().flatten().min();
        self.set_alarm(wake, now.moment, context);
        self.ledger.listen(!self.rings_before(now.moment + PUBLISH_EVERY));
    }

    fn act(&mut self, now: Now, context: &mut Context<Self>) -> Option<Moment> {
        loop {
            if self.shard.recorder.is_full() {
                return Some(now.moment + BREATHER);
            }
            match self.state.next(now) {
                Step::Send(entry) => self.send(entry, now, context),
                Step::Fetch(ids) => {
                    self.fetch(ids, context);
                    return None;
                }
                Step::Expire(entry) => {
                    if entry.ordered {
                        self.shard.recorder.tell_of(entry.id);
                    }
                    self.end(entry.id, End::Expired, now, context);
                }
                Step::WaitUntil(moment) => return Some(moment),
                Step::Idle => return None,
            }
        }
    }

    fn send(&mut self, entry: Pending, now: Now, context: &mut Context<Self>) {
        self.stir(now);
        let Some(webhook) = entry.webhook else { return };
        let sender =
            self.sender.get_or_insert_with(|| (self.shard.around.senders)(&self.name)).clone();
        let (workspace, number) = (entry.lane, entry.attempts);
        let policy = self.shard.around.workspaces.policy(workspace);
        let request = AttemptRequest { id: entry.id, workspace, webhook, number, policy };
        let (id, started) = (entry.id, now.wall);
        self.shard.counters.meters.begun(entry.due.until(now.wall), number == 1);
        let address = context.address();
        let under_way = UnderWay::new(self.shard.counters.clone());
        actix_rt::spawn(async move {
            // A panic in the sender must cost this attempt and not the slot.
            let attempt = async move { sender.attempt(request).await };
            let report = std::panic::AssertUnwindSafe(attempt).catch_unwind().await;
            let report = report.unwrap_or_else(|_| broken());
            let finished = AttemptFinished { id, started, report, under_way };
            let told = match address.try_send(finished) {
                Err(SendError::Full(finished)) => address.send(finished).await.is_ok(),
                told => told.is_ok(),
            };
            // Fails only when the actor is gone; the delivery is pending in the store then.
            if !told {
                log::warn!(delivery:% = id; "the outcome of an attempt came too late for its actor");
            }
        });
    }

    fn count(&mut self, ruling: &Ruling, outcome: &Outcome, timings: &Timings, now: Now) {
        let kind = match (ruling.verdict, ruling.meaning) {
            (Verdict::End(End::Delivered), _) => Kind::Delivered,
            (_, Meaning::Refused | Meaning::Overloaded) => Kind::Refused,
            (Verdict::Again { .. }, _) => Kind::Retried,
            (Verdict::End(_), _) => Kind::Dead,
        };
        self.errors += u32::from(outcome.status().is_some_and(|status| status >= 400));
        self.tally.count(kind, timings.total_us, now.moment);
        self.usage.count(ruling.lane, ruling.campaign.as_ref(), kind, now.moment);
        self.series.count(kind, outcome.status(), timings.total_us, now.wall);
        let counters = &self.shard.counters;
        counters.attempts.fetch_add(1, Ordering::Relaxed);
        match kind {
            Kind::Delivered => counters.delivered.fetch_add(1, Ordering::Relaxed),
            Kind::Refused => counters.refused.fetch_add(1, Ordering::Relaxed),
            Kind::Retried => counters.retried.fetch_add(1, Ordering::Relaxed),
            Kind::Dead => 0,
        };
        if matches!(outcome, Outcome::NoAnswer { .. }) {
            counters.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        counters.meters.ended(class_of(outcome, kind), timings.total_us);
    }

    /// How the host stands, for the plots.
    pub(super) fn gauges(&self) -> Gauges {
        Gauges {
            in_flight: self.state.in_flight(),
            in_flight_limit: self.state.in_flight_limit(),
            queued: u32::try_from(self.state.queue().len()).unwrap_or(u32::MAX),
            rate_limit: self.state.rate_limit(),
        }
    }

    /// Ends a delivery without an attempt.
    fn end(&mut self, id: DeliveryId, end: End, now: Now, context: &mut Context<Self>) {
        self.stir(now);
        let held = self.state.queue_mut().remove(id);
        let verdict = Verdict::End(end);
        let origin = held.map_or_else(Origin::default, |entry| Origin {
            workspace: Some(entry.lane),
            campaign: entry.campaign,
        });
        self.settle(Settlement { id, verdict, at: now.wall, attempt: None }, origin, context);
    }

    /// Something begins by itself: it is shown, and the router must not stop the actor on a wish
    /// from before it.
    fn stir(&mut self, now: Now) {
        self.active = now.moment;
        self.touched = true;
        self.life.sent.update(|sent| sent + 1);
        self.received += 1;
    }

    /// Hands a decision to the recorder.
    fn settle(&mut self, settlement: Settlement, origin: Origin, context: &mut Context<Self>) {
        let heard = self.shard.around.feed.is_heard();
        let notice = heard.then(|| Notice::of(&settlement, &self.name, origin));
        let attempts = settlement.attempt.as_ref().map(|attempt| attempt.number);
        self.shard.counters.meters.decided(decision_of(settlement.verdict));
        self.ledger.enter(settlement.id, attempts);
        let owner = || Owner { address: context.address(), ledger: self.ledger.clone() };
        self.shard.recorder.settle(settlement, notice, owner);
    }

    fn fetch(&mut self, mut ids: Vec<DeliveryId>, context: &mut Context<Self>) {
        if std::mem::replace(&mut self.fetching, true) {
            return;
        }
        // Each host is sure of one.
        let mut size = 0;
        let fits = ids.iter().take_while(|id| {
            size += self.state.queue().get(**id).map_or(0, |entry| entry.size as usize);
            self.has_room(size)
        });
        let fits = fits.count().max(1);
        ids.truncate(fits);
        let store = self.shard.around.store.clone();
        let address = context.address();
        actix_rt::spawn(async move {
            let webhooks = store.fetch(ids.clone()).await;
            let _gone = address.send(Fetched(ids, webhooks)).await;
        });
    }

    /// Reads what was saved of the host. Nothing is sent before it is known: a host in a cooldown
    /// must not be called because its state could not be read.
    fn ask_for_state(&self, context: &mut Context<Self>) {
        let record = self.shard.around.store.host(self.name.clone());
        let address = context.address();
        actix_rt::spawn(async move {
            let _gone = address.send(Remembered(record.await)).await;
        });
    }

    /// Whether `size` more bytes of webhooks may be held: freely up to half of the arbiter's share,
    /// and up to all of it by hosts that have little.
    fn has_room(&self, size: usize) -> bool {
        let (share, held) = (self.shard.memory(), self.shard.bytes.get() + size);
        let own = self.state.bytes() + size;
        held <= share / 2 || (held <= share && own <= share / 8)
    }
}

/// The class that an attempt's latency is counted under.
fn class_of(outcome: &Outcome, kind: Kind) -> Class {
    match outcome {
        _ if kind == Kind::Refused => Class::Refused,
        Outcome::Answered(answer) => Class::of_status(answer.status),
        Outcome::NoAnswer { .. } => Class::NoAnswer,
        Outcome::Unprepared { .. } | Outcome::Blocked { .. } => Class::NotSent,
    }
}

fn decision_of(verdict: Verdict) -> Decision {
    match verdict {
        Verdict::Again { .. } => Decision::Retried,
        Verdict::End(End::Delivered) => Decision::Delivered,
        Verdict::End(End::Failed) => Decision::Failed,
        Verdict::End(End::Exhausted) => Decision::Exhausted,
        Verdict::End(End::Expired) => Decision::Expired,
        Verdict::End(End::Cancelled) => Decision::Cancelled,
    }
}

/// The sender itself broke; the reason says no more, since it may hold anything.
fn broken() -> Report {
    let reason = "internal error while sending".to_owned();
    Report { outcome: Outcome::NoAnswer { reason, timed_out: false }, timings: Timings::default() }
}

impl Actor for HostActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.set_mailbox_capacity(MAILBOX);
        self.shard.counters.alive.fetch_add(1, Ordering::Relaxed);
        self.ask_for_state(context);
        self.ask_for_page(None, context);
    }
}

impl Drop for HostActor {
    fn drop(&mut self) {
        self.shard.counters.alive.fetch_sub(1, Ordering::Relaxed);
        self.shard.hold(self.shard.bytes.get().saturating_sub(self.bytes));
        self.shard.around.registry.withdraw(&self.name);
        self.shard.counters.show(self.shown.take(), None);
        if !self.stopped {
            let gone = HostGone { host: self.name.clone(), generation: self.life.generation };
            // At the end of the process the router is gone too.
            let _closed = self.shard.router.try_send(gone);
        }
    }
}
