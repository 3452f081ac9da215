//! A recipient's custom event: it fires live campaigns, lets the recipient into live canvases, and
//! wakes journeys that wait for it; all in one commit.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Composer;
use super::batch::Batch;
use super::document::{Entry as CanvasEntry, EventTrigger, Trigger};
use super::entry::{Entry, Kind, Live};
use super::filter::Facts;
use super::fire::{Shot, Target, contact_key, kept};
use super::journeys::{AWAITING_MAX, awaiting_prefix, journey_stripe};
use super::recipients::TRIES;
use super::send::{Send, SendTo, SendWhat, Sending};
use crate::admission::{Envelope, Refusal};
use crate::model::{Timestamp, TriggerId};
use crate::store::RecordKind;

/// A custom event of a recipient.
#[derive(Clone, Debug)]
pub struct Event {
    /// Whose.
    pub external_id: String,
    /// What happened.
    pub name: String,
    /// What is known of it.
    pub properties: Map<String, Value>,
    /// How many of our own webhooks led to it.
    pub hop: u8,
}

/// What an event started.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Started {
    /// The trigger of its deliveries.
    pub trigger: TriggerId,
    /// Ids of the campaigns whose trigger it matched.
    pub campaigns: Vec<String>,
    /// Ids of the canvases whose trigger it matched.
    pub canvases: Vec<String>,
    /// Journeys that waited for it and went on.
    pub journeys: usize,
    /// Deliveries that were accepted. Those of canvases follow.
    pub deliveries: usize,
    /// Who gets nothing of a campaign or canvas, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<crate::admission::Skipped>)]
    pub skipped: Vec<Value>,
}

impl Started {
    /// As it is kept with the idempotency key, so that a repeat is told the same.
    fn of(trigger: TriggerId, answer: &[u8]) -> Self {
        let answer: Answer = serde_json::from_slice(answer).unwrap_or_default();
        let Answer { campaigns, canvases, journeys, deliveries, skipped } = answer;
        let deliveries = deliveries.len();
        Self { trigger, campaigns, canvases, journeys, deliveries, skipped }
    }
}

/// Steps that journeys take before an event; the conductor takes the others.
const STEPS_MAX: usize = 8;

/// What the kept answer of an event says.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    campaigns: Vec<String>,
    canvases: Vec<String>,
    journeys: usize,
    deliveries: Vec<IgnoredAny>,
    skipped: Vec<Value>,
}

impl Composer {
    /// Takes the steps of a recipient's journeys that are due, so that one that comes to its wait
    /// now does not miss the event.
    async fn catch_up(&self, recipient: &str) -> Result<(), Refusal> {
        if !self.library.has(Kind::Canvas) {
            return Ok(());
        }
        for _ in 0..STEPS_MAX {
            let now = self.clock.wall();
            let journeys = self.of_recipient(RecordKind::Journey, recipient).await?;
            let mut due = journeys.iter().filter(|record| record.due.is_some_and(|due| due <= now));
            let Some(first) = due.next() else { return Ok(()) };
            for record in [first].into_iter().chain(due) {
                self.advance(&record.key).await?;
            }
        }
        Ok(())
    }

    /// Takes an event. `request` and `key` make it safe to repeat.
    pub async fn event(
        &self,
        event: &Event,
        (request, key): (&Bytes, Option<String>),
        now: Timestamp,
    ) -> Result<Started, Refusal> {
        let _claim = self.admission.claim(key.as_deref())?;
        let properties = Value::Object(event.properties.clone());
        self.catch_up(&event.external_id).await?;
        let candidates = self.library.started_by(&event.name);
        let journeys = self.awaiting(event).await?;
        let id = event.external_id.as_str();
        let stripes = candidates.iter().flat_map(|entry| stripes(entry, id, now, self));
        let stripes = stripes.chain(journeys.iter().map(|key| journey_stripe(key)));
        let _held = self.stripes.hold(stripes).await;
        for _ in 0..TRIES {
            let person = self.people(&[id]).await?.remove(id).expect("it was asked for");
            let mut batch = self.new_batch(now);
            let (mut campaigns, mut canvases) = (Vec::new(), Vec::new());
            for entry in &candidates {
                let facts = Facts {
                    event_properties: Some(&properties),
                    recipient: Some(person.facts()),
                    entry_properties: Some(&properties),
                    ..Facts::default()
                };
                if !trigger_of(entry).is_some_and(|trigger| matches(trigger, &facts)) {
                    continue;
                }
                let occasion = Occasion { event, properties: &properties, now };
                self.start(&mut batch, entry, &occasion).await?;
                match entry.live {
                    Live::Campaign(_) => campaigns.push(entry.head.id.clone()),
                    _ => canvases.push(entry.head.id.clone()),
                }
            }
            let what = (event.name.as_str(), &person, &properties);
            let woken = self.wake(&mut batch, &journeys, what, now).await?;
            batch.about.insert("campaigns".into(), campaigns.into());
            batch.about.insert("canvases".into(), canvases.into());
            batch.about.insert("journeys".into(), woken.into());
            match self.commit(batch, (request, key.clone()), now).await {
                Err(Refusal::Stale(_)) => {}
                Err(refusal) => return Err(refusal),
                Ok(admitted) => return Ok(Started::of(admitted.trigger, &admitted.answer)),
            }
        }
        Err(Refusal::Stale(0))
    }

    /// Keys of the journeys that wait for an event.
    async fn awaiting(&self, event: &Event) -> Result<Vec<String>, Refusal> {
        let prefix = awaiting_prefix(&event.external_id, &event.name);
        let records = self
            .store
            .scan(self.workspace, RecordKind::Awaiting, (prefix, None), AWAITING_MAX)
            .await?;
        records.iter().map(kept).collect()
    }

    async fn start(
        &self,
        batch: &mut Batch,
        entry: &Arc<Entry>,
        occasion: &Occasion<'_>,
    ) -> Result<(), Refusal> {
        let Occasion { event, properties, now } = occasion;
        let envelope = Envelope::plain(*now, event.hop, &self.settings);
        let external_id = Some(event.external_id.clone());
        match &entry.live {
            Live::Template(_) => Ok(()),
            Live::Campaign(campaign) => {
                let mut shot = Shot::new(&entry.head, campaign, envelope, *now);
                shot.event_properties = Some(*properties);
                let properties = Value::Object(Map::new());
                self.fire(batch, &shot, &[Target { external_id, properties }], None).await
            }
            Live::Canvas(canvas) => {
                let send = plain_send(&entry.head.id, event.hop);
                let sending = Sending { send: &send, audience: None, envelope, now: *now };
                let target = Target { external_id, properties: (*properties).clone() };
                self.enter(batch, (entry, canvas), &sending, &[target]).await
            }
        }
    }
}

struct Occasion<'a> {
    event: &'a Event,
    properties: &'a Value,
    now: Timestamp,
}

fn plain_send(canvas: &str, hop: u8) -> Send {
    Send {
        what: SendWhat::Canvas(canvas.to_owned()),
        to: SendTo::Nobody,
        properties: Map::new(),
        audience: None,
        send_id: None,
        uncapped: false,
        hop,
    }
}

fn trigger_of(entry: &Entry) -> Option<&EventTrigger> {
    match &entry.live {
        Live::Template(_) => None,
        Live::Campaign(campaign) => match &campaign.document.trigger {
            Trigger::Event(trigger) => Some(trigger),
            Trigger::Api | Trigger::Schedule(_) => None,
        },
        Live::Canvas(canvas) => match &canvas.document.trigger {
            CanvasEntry::Event(trigger) => Some(trigger),
            CanvasEntry::Api => None,
        },
    }
}

fn matches(trigger: &EventTrigger, facts: &Facts<'_>) -> bool {
    trigger.filter.as_ref().is_none_or(|filter| filter.passes(facts))
}

/// What has to be held while an entry is started for one recipient.
fn stripes(entry: &Entry, recipient: &str, now: Timestamp, composer: &Composer) -> Vec<String> {
    match &entry.live {
        Live::Template(_) => Vec::new(),
        Live::Campaign(campaign) => {
            let envelope = Envelope::plain(now, 0, &composer.settings);
            let external_id = Some(recipient.to_owned());
            let target = Target { external_id, properties: Value::Null };
            Shot::new(&entry.head, campaign, envelope, now).stripes(&[target])
        }
        Live::Canvas(_) => vec![contact_key(recipient, &entry.head.id)],
    }
}
