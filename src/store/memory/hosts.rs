//! A host: what is saved of it, what was asked of it, and its intervals.

use crate::model::{HostControls, HostName};
use crate::store::{ConditionChange, HostInterval, INTERVAL_GAP};

pub(super) struct Host {
    pub(super) name: HostName,
    pub(super) saved: Option<String>,
    pub(super) controls: HostControls,
    /// Oldest first.
    pub(super) intervals: Vec<HostInterval>,
}

impl Host {
    /// The condition that lasts.
    pub(super) fn condition(&self) -> Option<&str> {
        let open = self.intervals.last().filter(|last| last.to.is_none());
        open.map(|open| open.condition.as_str())
    }

    /// Ends the open interval, and continues or begins one. A change from before the last one is a
    /// repeat and changes nothing. Answers whether it is one that nobody has heard of.
    pub(super) fn change_condition(&mut self, change: ConditionChange) -> bool {
        if let Some(last) = self.intervals.last_mut() {
            let same = change.condition == Some(last.condition.as_str());
            let repeat = change.at < last.from || last.to.is_some_and(|to| change.at < to);
            if repeat || (same && last.to.is_none()) {
                return false;
            }
            if same && last.to.is_some_and(|to| to.until(change.at) < INTERVAL_GAP) {
                last.to = None;
                return false;
            }
            last.to.get_or_insert(change.at);
        }
        if let Some(condition) = change.condition {
            let reason = change.reason;
            let interval =
                HostInterval { condition: condition.into(), reason, from: change.at, to: None };
            self.intervals.push(interval);
        }
        true
    }
}
