//! Recipients on their way through canvases. Each place is a record; a step's webhooks and the
//! record that says that they were sent are one commit, so that a crash between any two steps
//! repeats none and forgets none.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Composer;
use super::batch::Batch;
use super::campaign::shown;
use super::canvas::LiveCanvas;
use super::eligibility::Eligibility;
use super::entry::{Entry, Kind, Status, to_bytes};
use super::filter::{Answer, Facts};
use super::fire::{Target, contact_write, expected, kept};
use super::journey::{Entrance, EventEffect, ExitReason, Journey, Move};
use super::liquid::Scope;
use super::recipients::{Person, SEPARATOR};
use super::send::{NOT_IN_AUDIENCE, Sending};
use crate::admission::{Envelope, Refusal};
use crate::model::{DeliveryId, End, Outcome, Provenance, StoredState, Timestamp};
use crate::store::{Activity, Expect, Record, RecordKind, RecordWrite};

/// How often an answer is looked for that a branch waits for: at first, and at most.
const LOOK_MIN: Duration = Duration::from_secs(1);
const LOOK_MAX: Duration = Duration::from_secs(60);
/// How long a journey in a paused canvas rests before it looks again.
const PAUSED: Duration = Duration::from_secs(15);
/// Journeys of one recipient that wait for one event.
pub(super) const AWAITING_MAX: usize = 1_000;

/// A journey as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeptJourney {
    /// UUID text.
    pub id: String,
    /// Where the recipient is.
    pub journey: Journey,
    /// Key of the record by which an event finds it, while it waits for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub awaiting: Option<String>,
}

impl KeptJourney {
    fn key(&self) -> String {
        let Journey { recipient, canvas, .. } = &self.journey;
        format!("{recipient}{SEPARATOR}{canvas}{SEPARATOR}{}", self.id)
    }

    fn write(&self, expect: Expect, due: Option<Timestamp>) -> RecordWrite {
        let value = Some(to_bytes(self));
        RecordWrite { kind: RecordKind::Journey, key: self.key(), expect, due, value }
    }

    fn provenance(&self) -> Provenance {
        Provenance {
            canvas: Some(self.journey.canvas.clone()),
            step: Some(self.journey.step().to_owned()),
            recipient: Some(self.journey.recipient.clone()),
            ..Provenance::default()
        }
    }
}

/// Prefix of the records by which an event finds the journeys that wait for it.
pub(super) fn awaiting_prefix(recipient: &str, event: &str) -> String {
    format!("{recipient}{SEPARATOR}{event}{SEPARATOR}")
}

/// The lock of a journey.
pub(super) fn journey_stripe(key: &str) -> String {
    format!("j{key}")
}

fn delete(kind: RecordKind, key: String, expect: Expect) -> RecordWrite {
    RecordWrite { kind, key, expect, due: None, value: None }
}

impl Composer {
    /// Lets recipients into a canvas. Their first steps are taken by the conductor, at once.
    pub(super) async fn enter(
        &self,
        batch: &mut Batch,
        (entry, canvas): (&Arc<Entry>, &LiveCanvas),
        sending: &Sending<'_>,
        targets: &[Target],
    ) -> Result<(), Refusal> {
        let now = sending.now;
        let id = &entry.head.id;
        let ids: Option<Vec<&str>> =
            targets.iter().map(|target| target.external_id.as_deref()).collect();
        let ids = ids.ok_or_else(|| {
            Refusal::invalid("/recipients", "missing; a canvas is entered by recipients")
        })?;
        let people = self.people(&ids).await?;
        let rule = canvas.document.reeligible.clone().unwrap_or_default();
        let mut contacts = match rule == Default::default() {
            true => Default::default(),
            false => self.contacts(&ids, id).await?,
        };
        for (target, recipient) in targets.iter().zip(ids) {
            let provenance = Provenance {
                canvas: Some(id.clone()),
                recipient: Some(recipient.to_owned()),
                send_id: sending.send.send_id.clone(),
                ..Provenance::default()
            };
            let facts = Facts {
                properties: Some(&target.properties),
                entry_properties: Some(&target.properties),
                recipient: people.get(recipient).map(Person::facts),
                ..Facts::default()
            };
            let filters = [canvas.document.audience.as_ref(), sending.audience];
            if !filters.into_iter().flatten().all(|filter| filter.passes(&facts)) {
                batch.skip(&provenance, "not_in_audience", NOT_IN_AUDIENCE, now, false);
                continue;
            }
            if let Some((contact, expect)) = contacts.get_mut(recipient) {
                if let Eligibility::NotEligible { last, .. } = contact.judge(&rule, None, now) {
                    let detail = format!("the recipient entered at {last} and may not again yet");
                    batch.skip(&provenance, "not_eligible", &detail, now, false);
                    continue;
                }
                contact.record(None, now);
                batch.record(contact_write(recipient, id, (contact, expect)));
            }
            let entrance = Entrance {
                canvas: id.clone(),
                version: entry.head.version,
                recipient: recipient.to_owned(),
                entry_properties: target.properties.clone(),
                hop: sending.envelope.hop,
            };
            let Some(journey) = Journey::enter(entrance, &canvas.document, now) else { continue };
            let kept = KeptJourney { id: self.new_id(now), journey, awaiting: None };
            batch.count(&provenance, "entered");
            batch.record(kept.write(Expect::Absent, Some(now)));
        }
        Ok(())
    }

    /// Takes the steps of a journey that can be taken now.
    pub(super) async fn advance(&self, key: &str) -> Result<(), Refusal> {
        let _held = self.stripes.hold([journey_stripe(key)].into_iter()).await;
        let now = self.clock.wall();
        let record = self
            .store
            .records(self.workspace, RecordKind::Journey, vec![key.to_owned()])
            .await?
            .remove(0);
        let Some(record) = record.filter(|record| record.due.is_some_and(|due| due <= now)) else {
            return Ok(());
        };
        let mut batch = self.new_batch(now).patient();
        self.walk(&mut batch, &record, now).await?;
        match self.commit(batch, (&Bytes::new(), None), now).await {
            // Somebody else took the step, or a lost answer was a success: the record says.
            Ok(_) | Err(Refusal::Stale(_)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    async fn walk(
        &self,
        batch: &mut Batch,
        record: &Record,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let expect = Expect::Version(record.version);
        let mut kept: KeptJourney = kept(record)?;
        let gone = |kept: &KeptJourney, batch: &mut Batch| {
            batch.count(&kept.provenance(), "exited");
            batch.record(delete(RecordKind::Journey, kept.key(), expect));
            if let Some(awaiting) = &kept.awaiting {
                batch.record(delete(RecordKind::Awaiting, awaiting.clone(), Expect::Any));
            }
        };
        let canvas_id = kept.journey.canvas.clone();
        // A canvas that could not be read at the start is not there; its journeys wait for it.
        let entry = self.entry(Kind::Canvas, &canvas_id)?;
        if entry.head.status == Status::Archived {
            gone(&kept, batch);
            return Ok(());
        }
        if entry.head.status != Status::Live {
            batch.record(kept.write(expect, Some(now.plus(PAUSED))));
            return Ok(());
        }
        let canvas = self.canvas_version(&canvas_id, kept.journey.version).await?;
        let recipient = kept.journey.recipient.clone();
        let people = self.people(&[recipient.as_str()]).await?;
        let person = &people[&recipient];
        if let Some(awaiting) = kept.awaiting.take() {
            batch.record(delete(RecordKind::Awaiting, awaiting, Expect::Any));
        }
        loop {
            match kept.journey.next(&canvas.document, Some(person.facts()), now) {
                Move::Go { to } => kept.journey.go(&to, now),
                Move::SleepUntil(until) => {
                    batch.record(kept.write(expect, Some(until)));
                    return Ok(());
                }
                Move::WaitForEvent { event, until } => {
                    let prefix = awaiting_prefix(&recipient, &event);
                    let awaiting = format!("{prefix}{canvas_id}{SEPARATOR}{}", kept.id);
                    batch.record(RecordWrite {
                        kind: RecordKind::Awaiting,
                        key: awaiting.clone(),
                        expect: Expect::Any,
                        due: None,
                        value: Some(to_bytes(&kept.key())),
                    });
                    kept.awaiting = Some(awaiting);
                    batch.record(kept.write(expect, Some(until)));
                    return Ok(());
                }
                Move::AwaitAnswer => {
                    if !self.look_for_answers(&mut kept.journey).await? {
                        let waited = kept.journey.entered().until(now);
                        let pause = (waited / 10).clamp(LOOK_MIN, LOOK_MAX);
                        batch.record(kept.write(expect, Some(now.plus(pause))));
                        return Ok(());
                    }
                }
                Move::SendWebhooks { step } => {
                    let place = batch.place();
                    let shown = shown(&entry.head, &batch.trigger.to_string());
                    send_step(batch, (&canvas, &step), (&kept, person), (&shown, self, now));
                    batch.follow(place, move |ids| {
                        kept.journey.on_sent(ids.iter().flatten().map(DeliveryId::to_string));
                        Some(kept.write(expect, Some(now)))
                    });
                    return Ok(());
                }
                Move::Exit { reason } => {
                    if reason != ExitReason::Finished {
                        batch.note(cut_short(&kept, reason, now));
                    }
                    gone(&kept, batch);
                    return Ok(());
                }
            }
        }
    }

    /// Gives a journey the answers of its last webhook step that have come; says whether any has.
    async fn look_for_answers(&self, journey: &mut Journey) -> Result<bool, Refusal> {
        let mut any = false;
        let open: Vec<String> = journey.open_deliveries().map(str::to_owned).collect();
        for id in open {
            let Ok(delivery) = id.parse::<DeliveryId>() else { continue };
            let answer = match self.store.find(delivery).await? {
                // Swept: nobody knows any more what came of it.
                None => Answer::default(),
                Some(found) => match found.state {
                    StoredState::Pending | StoredState::Parked => continue,
                    StoredState::Ended(end) => {
                        let attempts = self.store.attempts(delivery).await?;
                        let body =
                            attempts.last().map_or(Value::Null, |last| match &last.outcome {
                                Outcome::Answered(answer) => body_of(&answer.body),
                                _ => Value::Null,
                            });
                        let delivered = end == End::Delivered;
                        Answer { delivered, status: found.last_status, body }
                    }
                },
            };
            any |= journey.on_answer(&id, answer);
        }
        Ok(any)
    }

    /// Lets the journeys go on that wait for an event of their recipient.
    pub(super) async fn wake(
        &self,
        batch: &mut Batch,
        keys: &[String],
        (event, person, properties): (&str, &Person, &Value),
        now: Timestamp,
    ) -> Result<usize, Refusal> {
        let mut woken = 0;
        let records =
            self.store.records(self.workspace, RecordKind::Journey, keys.to_vec()).await?;
        for record in records.into_iter().flatten() {
            let mut kept: KeptJourney = kept(&record)?;
            let Journey { canvas, version, .. } = &kept.journey;
            let entry = self.entry(Kind::Canvas, canvas);
            if !entry.is_ok_and(|entry| entry.head.status == Status::Live) {
                continue;
            }
            let canvas = self.canvas_version(canvas, *version).await?;
            let facts = Facts {
                event_properties: Some(properties),
                recipient: Some(person.facts()),
                ..Facts::default()
            };
            let expect = expected(Some(&record));
            let effect = kept.journey.on_event(&canvas.document, event, &facts, now);
            if effect == EventEffect::Ignored {
                continue;
            }
            woken += 1;
            if let Some(awaiting) = kept.awaiting.take() {
                batch.record(delete(RecordKind::Awaiting, awaiting, Expect::Any));
            }
            match effect {
                EventEffect::Over(_) => {
                    batch.count(&kept.provenance(), "exited");
                    batch.record(delete(RecordKind::Journey, kept.key(), expect));
                }
                _ => batch.record(kept.write(expect, Some(now))),
            }
        }
        Ok(woken)
    }
}

/// Renders the webhooks of a step.
fn send_step(
    batch: &mut Batch,
    (canvas, step): (&LiveCanvas, &str),
    (kept, person): (&KeptJourney, &Person),
    (shown, composer, now): (&Value, &Composer, Timestamp),
) {
    let response = kept.journey.answer().map(serde_json::to_value);
    let response = response.and_then(Result::ok);
    let scope = Scope {
        properties: Some(&kept.journey.entry_properties),
        entry_properties: Some(&kept.journey.entry_properties),
        event_properties: Some(&kept.journey.entry_properties),
        canvas: Some(shown),
        response: response.as_ref(),
        ..Scope::at(now)
    };
    let scope = Person::show(Some(person), scope);
    let envelope = Envelope::plain(now, kept.journey.hop, &composer.settings);
    let webhooks = canvas.webhooks.get(step).map_or(&[][..], Vec::as_slice);
    for webhook in webhooks {
        batch.render(webhook, &scope, envelope.clone(), &kept.provenance());
    }
}

fn cut_short(kept: &KeptJourney, reason: ExitReason, now: Timestamp) -> Activity {
    let detail = match reason {
        ExitReason::TooManySteps => "the journey visited as many steps as one may, and was ended",
        _ => "the canvas no longer has the step that the journey was at",
    };
    Activity {
        at: now,
        kind: "journey_ended".into(),
        subject: Some(kept.journey.canvas.clone()),
        part: Some(kept.journey.step().to_owned()),
        recipient: Some(kept.journey.recipient.clone()),
        detail: detail.into(),
        ..Activity::default()
    }
}

/// An answer's body for branches: JSON where it is, else text.
fn body_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(bytes).into_owned()))
}
