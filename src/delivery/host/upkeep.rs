//! What a host actor does beside sending: it notes changes of condition, saves its state, publishes
//! its snapshot, stops when it is idle, and sets its one alarm.

use std::time::Duration;

use actix::{AsyncContext, Context};

use super::{BREATHER, HostActor};
use crate::delivery::facts::Fact;
use crate::delivery::router::HostIdle;
use crate::delivery::shard::Shown;
use crate::delivery::snapshot::HostCondition;
use crate::delivery::view;
use crate::model::{Moment, Now};
use crate::policy::host_state::Standing;
use crate::store::{ConditionChange, HostUpdate};

/// How often the snapshot in the registry is renewed while something happens.
pub(super) const PUBLISH_EVERY: Duration = Duration::from_millis(200);
/// How often the saved state is renewed while something happens and the condition stays.
const SAVE_EVERY: Duration = Duration::from_secs(1);
/// A condition that lasts shorter than this is not kept as an interval.
const NOTABLE: Duration = Duration::from_millis(500);
/// The longest that an alarm sleeps: the timer does not count suspended time, our clock does.
const ALARM_MAX: Duration = Duration::from_secs(30);

impl HostActor {
    /// Keeps the arbiter's count of bytes in step with the window.
    pub(super) fn account(&mut self) {
        let bytes = self.state.bytes();
        let total = self.shard.bytes.get() + bytes;
        self.shard.hold(total.saturating_sub(self.bytes));
        self.bytes = bytes;
    }

    /// Notes changes of condition, saves and publishes. Answers when to come back for it.
    pub(super) fn chores(&mut self, standing: &Standing, now: Now) -> Option<Moment> {
        let changes = self.note_condition(standing, now);
        self.tell_of_health(now);
        let changed = !changes.is_empty();
        self.touched |= self.shown.is_none_or(|shown| shown.condition != standing.condition);
        // A stop waits for what is in flight, and would not wait a second for its lesson.
        let save_due = self.unsaved && (self.quiet || now.moment.since(self.saved) >= SAVE_EVERY);
        if changed || save_due {
            self.save(changes, now);
        }
        let publish_at = self.published.map_or(now.moment, |published| published + PUBLISH_EVERY);
        if (self.touched && publish_at <= now.moment) || changed {
            self.published = Some(now.moment);
            self.touched = false;
            self.series.note(self.gauges(), now.wall);
            let snapshot = view::snapshot(self, now);
            let shown = Shown { condition: snapshot.state, waiting: snapshot.waiting };
            self.shard.counters.show(self.shown.replace(shown), Some(shown));
            self.shard.around.registry.publish(snapshot);
        }
        let save_at = self.unsaved.then(|| self.saved + SAVE_EVERY);
        let publish_again = self.touched.then_some(publish_at);
        let note_at = self.candidate.as_ref().map(|(_, since, _)| since.moment + NOTABLE);
        [save_at, publish_again, note_at, standing.until].into_iter().flatten().min()
    }

    /// A condition that has lasted becomes an interval.
    pub(super) fn note_condition(&mut self, standing: &Standing, now: Now) -> Vec<ConditionChange> {
        // What it does not remember yet is no news, and must not be written over.
        if standing.condition == self.noted || !self.remembered {
            self.candidate = None;
            return Vec::new();
        }
        let is_same =
            self.candidate.as_ref().is_some_and(|(kind, _, _)| *kind == standing.condition);
        if !is_same {
            self.candidate = Some((standing.condition, now, standing.reason.to_string()));
        }
        let lasted = self.candidate.as_ref().map(|(_, since, _)| now.moment.since(since.moment));
        let grave = !matches!(standing.condition, HostCondition::Healthy | HostCondition::Limited);
        if !grave && lasted.is_none_or(|lasted| lasted < NOTABLE) {
            return Vec::new();
        }
        let Some((condition, since, reason)) = self.candidate.take() else { return Vec::new() };
        log::log!(
            if grave { log::Level::Warn } else { log::Level::Info },
            host:% = self.name, state = condition.as_str(), was = self.noted.as_str(),
            reason = reason.as_str(); "host changed state"
        );
        self.noted = condition;
        let condition = (condition != HostCondition::Healthy).then(|| condition.as_str());
        vec![ConditionChange { at: since.wall, condition, reason }]
    }

    pub(super) fn save(&mut self, changes: Vec<ConditionChange>, now: Now) {
        if !self.remembered {
            return;
        }
        self.saved = now.moment;
        self.unsaved = false;
        if self.errors > 0 {
            let count = std::mem::take(&mut self.errors);
            self.tell(Fact::Errors { host: self.name.clone(), count });
        }
        let saved = self.state.save(now).to_json();
        self.shard.recorder.update(HostUpdate { host: self.number, saved, changes });
    }

    /// Tells that the host fell ill or is well again.
    fn tell_of_health(&mut self, now: Now) {
        if !self.remembered || self.state.is_ill() == self.ill {
            return;
        }
        self.ill = self.state.is_ill();
        let (host, at) = (self.name.clone(), now.wall);
        self.tell(match self.state.illness() {
            Some((reason, until)) => {
                let until = until.map(|until| now.wall_of(until));
                Fact::FellIll { host, reason, at, until }
            }
            None => Fact::Recovered { host, at },
        });
    }

    fn tell(&self, fact: Fact) {
        self.shard.around.registry.facts().tell(fact);
    }

    /// Closes the connections of a host that has had nothing to send for as long as they are kept:
    /// the client behind them never looks at idle ones by itself. Answers when that is.
    pub(super) fn close_idle(&mut self, now: Now) -> Option<Moment> {
        if self.sender.is_none() || self.state.in_flight() > 0 {
            return None;
        }
        let close_at = self.active + self.shard.around.settings.sender.keep_alive;
        if close_at > now.moment {
            return Some(close_at);
        }
        self.sender = None;
        None
    }

    /// When the actor may stop for want of work; asks the router for it once that is past.
    pub(super) fn idle_at(&mut self, standing: &Standing, now: Now) -> Option<Moment> {
        let timeout = match self.shard.crowded.get() {
            true => BREATHER,
            false => self.shard.around.settings.actors.idle_timeout,
        };
        let quiet = self.state.in_flight() == 0
            && self.ledger.is_empty()
            && !self.unsaved
            && self.remembered
            && self.paged
            && !self.paging;
        let next_work = self.state.next_work(now);
        // Work that is held for long keeps no actor either, but where only a clock ends the hold
        // the sleep must end with it.
        let next_work = next_work.map(|due| due.max(standing.until.unwrap_or(due)));
        let paused = standing.condition == HostCondition::Paused;
        if !quiet || next_work.is_some_and(|at| at <= now.moment + timeout && !paused) {
            return None;
        }
        let idle_at = self.active + timeout;
        if idle_at > now.moment {
            return Some(idle_at);
        }
        let wake = if paused { None } else { next_work.map(|at| now.wall_of(at)) };
        let idle = HostIdle {
            host: self.name.clone(),
            generation: self.life.generation,
            received: self.received,
            wake,
        };
        // A full router is asked again at the next alarm.
        let _full = self.shard.router.try_send(idle);
        Some(now.moment + timeout)
    }

    /// Whether the alarm rings by then.
    pub(super) fn rings_before(&self, then: Moment) -> bool {
        self.alarm.as_ref().is_some_and(|(set, _)| *set <= then)
    }

    /// At most one alarm is set; it is left alone when it rings early enough.
    pub(super) fn set_alarm(
        &mut self,
        wake: Option<Moment>,
        now: Moment,
        context: &mut Context<Self>,
    ) {
        let Some(wake) = wake else { return };
        if let Some((set, handle)) = self.alarm {
            if set <= wake && set > now {
                return;
            }
            context.cancel_future(handle);
        }
        let delay = now.until(wake).min(ALARM_MAX);
        let handle = context.run_later(delay, |actor, context| {
            actor.alarm = None;
            actor.pump(context);
        });
        self.alarm = Some((now + delay, handle));
    }
}
