//! How a host actor takes its messages.

use std::collections::HashSet;

use actix::{ActorContext, AsyncContext, Context, Handler};
use futures::channel::oneshot;

use super::messages::{AttemptFinished, Fetched, Paged, Remembered};
use super::{BREATHER, Committed, Enqueue, HostActor, HostCommand, KEEP_WEBHOOK, LookAgain, Stop};
use crate::delivery::engine::Cancelled;
use crate::delivery::feed::Origin;
use crate::delivery::sender::Report;
use crate::delivery::{explain, view};
use crate::model::{Attempt, DeliveryId, End, Now, Settlement, Verdict};
use crate::policy::saved::Saved;

impl Handler<Remembered> for HostActor {
    type Result = ();

    fn handle(&mut self, Remembered(record): Remembered, context: &mut Context<Self>) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                log::warn!(host:% = self.name, error:% = error; "state of a host could not be read");
                context.run_later(BREATHER * 10, |actor, context| actor.ask_for_state(context));
                return;
            }
        };
        let saved = record.and_then(|record| record.saved);
        if let Some(saved) = saved.as_deref().and_then(Saved::parse) {
            let now = self.now();
            self.state.restore(&saved, now);
            // The interval was opened before; it is not opened again.
            self.noted = self.state.standing(now).condition;
            self.ill = self.state.is_ill();
        }
        self.remembered = true;
        self.pump(context);
    }
}

impl Handler<Enqueue> for HostActor {
    type Result = ();

    fn handle(&mut self, Enqueue(entries): Enqueue, context: &mut Context<Self>) {
        self.received += 1;
        self.touched = true;
        self.active = self.now().moment;
        for entry in entries {
            self.offer(entry);
        }
        self.pump(context);
    }
}

impl Handler<LookAgain> for HostActor {
    type Result = ();

    fn handle(&mut self, _: LookAgain, context: &mut Context<Self>) {
        self.received += 1;
        self.touched = true;
        self.active = self.now().moment;
        self.look_again(context);
        self.pump(context);
    }
}

impl Handler<AttemptFinished> for HostActor {
    type Result = ();

    fn handle(&mut self, finished: AttemptFinished, context: &mut Context<Self>) {
        let now = self.now();
        self.active = now.moment;
        self.touched = true;
        // Goes at the end: a stop that sees nothing under way must find the outcome recorded.
        let AttemptFinished { id, started, report, under_way: _under_way } = finished;
        let roll = self.shard.roll();
        let Some(ruling) = self.state.settle(id, &report.outcome, now, roll) else { return };
        self.count(&ruling, &report.outcome, &report.timings, now);
        self.note_shed();
        log::debug!(
            host:% = self.name, delivery:% = id, attempt = ruling.attempts,
            status = report.outcome.status().unwrap_or(0), verdict:? = ruling.verdict;
            "attempt finished"
        );
        if let Verdict::Again { due, .. } = ruling.verdict
            && now.wall.until(due) > KEEP_WEBHOOK
        {
            self.state.queue_mut().strip(id);
        }
        let Report { outcome, timings } = report;
        let attempt = Attempt { number: ruling.attempts, started, outcome, timings };
        let verdict = ruling.verdict;
        if let Some(key) = ruling.left {
            self.ledger.leave(id, (ruling.lane, key));
        }
        self.unsaved = true;
        if let Verdict::End(end) = verdict
            && (end == End::Exhausted || (ruling.ordered && end.is_dead_letter()))
        {
            self.shard.recorder.tell_of(id);
        }
        let settlement = Settlement { id, verdict, at: now.wall, attempt: Some(attempt) };
        let origin = Origin { workspace: Some(ruling.lane), campaign: ruling.campaign };
        self.settle(settlement, origin, context);
        self.pump(context);
    }
}

impl Handler<Committed> for HostActor {
    type Result = ();

    fn handle(&mut self, committed: Committed, context: &mut Context<Self>) {
        self.touched = true;
        for entry in committed.released {
            self.offer(entry);
        }
        if committed.look_again {
            self.look_again(context);
        }
        self.pump(context);
    }
}

impl Handler<Paged> for HostActor {
    type Result = ();

    fn handle(&mut self, Paged { lane, pages }: Paged, context: &mut Context<Self>) {
        self.paging = false;
        match pages {
            Ok(pages) => {
                self.take_pages(lane, pages);
                self.paged = true;
                self.pump(context);
            }
            Err(error) => {
                log::warn!(host:% = self.name, error:% = error; "queue of a host could not be read");
                context.run_later(BREATHER * 10, move |actor, context| {
                    actor.ask_for_page(lane, context);
                });
            }
        }
    }
}

impl Handler<Fetched> for HostActor {
    type Result = ();

    fn handle(&mut self, Fetched(asked, webhooks): Fetched, context: &mut Context<Self>) {
        self.fetching = false;
        match webhooks {
            Ok(webhooks) => {
                let found: HashSet<DeliveryId> = webhooks.iter().map(|(id, _)| *id).collect();
                for (id, webhook) in webhooks {
                    self.state.queue_mut().supply(id, webhook);
                }
                for id in asked.into_iter().filter(|id| !found.contains(id)) {
                    // Gone from the store: it was ended by a purge or a sweep.
                    self.state.queue_mut().remove(id);
                }
                self.pump(context);
            }
            Err(error) => {
                log::warn!(host:% = self.name, error:% = error; "webhooks could not be read");
                context.run_later(BREATHER * 10, Self::pump);
            }
        }
    }
}

impl Handler<HostCommand> for HostActor {
    type Result = ();

    fn handle(&mut self, command: HostCommand, context: &mut Context<Self>) {
        self.received += 1;
        self.touched = true;
        let now = self.now();
        match command {
            HostCommand::Cancel(ids, reply) => self.cancel(ids, reply, now, context),
            HostCommand::Expire(ids) => {
                for id in ids {
                    if !self.state.is_in_flight(id) && !self.ledger.holds(id) {
                        // One that is parked is not in the window, and has a key.
                        if self.state.queue().get(id).is_none_or(|entry| entry.ordered) {
                            self.shard.recorder.tell_of(id);
                        }
                        self.end(id, End::Expired, now, context);
                    }
                }
            }
            HostCommand::Explain(asked, reply) => {
                let (record, place) = *asked;
                let _left = reply.send(explain::explain(self, &record, place, now));
            }
            HostCommand::Control(controls) => self.state.control(controls, now.moment),
            HostCommand::Inspect(reply) => {
                let _left = reply.send(view::inspect(self, now));
            }
            HostCommand::Series(reply) => {
                let _left = reply.send(self.series.points(now.wall));
            }
            HostCommand::InFlight(reply) => {
                let _left = reply.send(self.state.in_flight_ids().collect());
            }
            HostCommand::Nudge => {}
            HostCommand::Quiesce => {
                self.quiet = true;
                let standing = self.state.standing(now);
                let changes = self.note_condition(&standing, now);
                self.save(changes, now);
            }
        }
        self.pump(context);
    }
}

impl HostActor {
    fn cancel(
        &mut self,
        ids: Vec<DeliveryId>,
        reply: oneshot::Sender<Vec<Cancelled>>,
        now: Now,
        context: &mut Context<Self>,
    ) {
        let mut outcomes = Vec::with_capacity(ids.len());
        let mut commits = Vec::new();
        for id in ids {
            if self.state.is_in_flight(id) {
                outcomes.push(Cancelled::InFlight);
                continue;
            }
            let (sender, committed) = oneshot::channel();
            self.ledger.wait(id, sender);
            self.end(id, End::Cancelled, now, context);
            commits.push(committed);
            outcomes.push(Cancelled::Done);
        }
        actix_rt::spawn(async move {
            let durable = futures::future::join_all(commits).await.iter().all(Result::is_ok);
            if durable {
                let _left = reply.send(outcomes);
            }
        });
    }
}

impl Handler<Stop> for HostActor {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Context<Self>) {
        self.stopped = true;
        context.stop();
    }
}
