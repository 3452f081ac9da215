//! What starts a campaign or lets a recipient into a canvas.

use serde::{Deserialize, Serialize};

use super::vetting::Vetting;
use super::written::Time;
use crate::compose::filter::{Filter, FilterInput, Root};
use crate::compose::schedule::{CronPattern, Schedule, ZoneName};
use crate::model::word;

/// What starts a campaign.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Trigger {
    /// A call of the API.
    Api,
    /// A recipient's event.
    Event(EventTrigger),
    /// The clock.
    Schedule(Schedule),
}

/// What lets a recipient into a canvas.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Entry {
    /// A call of the API.
    Api,
    /// A recipient's event.
    Event(EventTrigger),
}

/// Which events count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EventTrigger {
    /// The event's name, matched exactly.
    pub event: String,
    /// What its properties (or the recipient) must be like; anything when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
}

/// A trigger as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a trigger: an object with `type`")]
pub(super) struct TriggerInput {
    #[serde(rename = "type", deserialize_with = "word")]
    kind: Kind,
    event: Option<String>,
    filter: Option<FilterInput>,
    at: Option<Time>,
    cron: Option<CronPattern>,
    time_zone: Option<ZoneName>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Api,
    Event,
    Schedule,
}

impl TriggerInput {
    /// Vets the trigger at the present place.
    pub(super) fn vet(self, vetting: &mut Vetting) -> Option<Trigger> {
        match self.kind {
            Kind::Api => {
                self.without_event("a trigger by API", vetting);
                self.without_schedule("a trigger by API", vetting);
                Some(Trigger::Api)
            }
            Kind::Event => {
                self.without_schedule("a trigger by event", vetting);
                let roots = [Root::EventProperties, Root::Recipient];
                event_of(self.event, self.filter, &roots, vetting).map(Trigger::Event)
            }
            Kind::Schedule => {
                self.without_event("a schedule", vetting);
                self.schedule(vetting).map(Trigger::Schedule)
            }
        }
    }

    /// Vets the trigger of a canvas.
    pub(super) fn vet_entry(self, vetting: &mut Vetting) -> Option<Entry> {
        match self.vet(vetting)? {
            Trigger::Api => Some(Entry::Api),
            Trigger::Event(event) => Some(Entry::Event(event)),
            Trigger::Schedule(_) => {
                let detail = "a canvas is entered by \"api\" or \"event\"; a scheduled campaign \
                              can trigger it";
                vetting.fault_at("type", detail);
                None
            }
        }
    }

    fn without_event(&self, kind: &str, vetting: &mut Vetting) {
        vetting.absent("event", &self.event, kind);
        vetting.absent("filter", &self.filter, kind);
    }

    fn without_schedule(&self, kind: &str, vetting: &mut Vetting) {
        vetting.absent("at", &self.at, kind);
        vetting.absent("cron", &self.cron, kind);
        vetting.absent("time_zone", &self.time_zone, kind);
    }

    fn schedule(self, vetting: &mut Vetting) -> Option<Schedule> {
        match (self.at, self.cron) {
            (Some(at), None) => {
                vetting.absent("time_zone", &self.time_zone, "a schedule with `at`");
                Some(Schedule::At { at })
            }
            (None, Some(cron)) => Some(Schedule::Cron { cron, time_zone: self.time_zone }),
            (Some(_), Some(_)) => {
                vetting.fault_at("cron", "give either `at` or `cron`, not both");
                None
            }
            (None, None) => {
                let detail = "missing; give a time such as \"2026-12-01T09:00:00Z\", or `cron` \
                              such as \"0 9 * * 1\"";
                vetting.fault_at("at", detail);
                None
            }
        }
    }
}

/// Vets `event` and `filter` of the present place; `roots` are what the filter may look at.
pub(super) fn event_of(
    event: Option<String>,
    filter: Option<FilterInput>,
    roots: &[Root],
    vetting: &mut Vetting,
) -> Option<EventTrigger> {
    let event = vetting.present("event", event, "name the event, such as \"booked\"");
    if let Some(name) = &event {
        vetting.name("event", name);
    }
    let filter = Filter::vet_optional("filter", filter, roots, vetting)?;
    Some(EventTrigger { event: event?, filter })
}
