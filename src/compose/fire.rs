//! A campaign is fired at recipients: who gets it, which variant, when, and what it says.

use std::collections::HashMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Composer;
use super::batch::Batch;
use super::campaign::{LiveCampaign, shown};
use super::eligibility::{Contact, Eligibility, Stop, stopped};
use super::entry::{Head, to_bytes};
use super::envelope;
use super::filter::{Facts, Filter};
use super::liquid::Scope;
use super::pace::Spread;
use super::recipients::{Person, SEPARATOR};
use super::send::NOT_IN_AUDIENCE;
use super::variant::{self, Choice};
use crate::admission::{Envelope, Refusal};
use crate::model::{Provenance, Timestamp};
use crate::store::{Expect, Record, RecordKind, RecordWrite};

/// Somebody a campaign is fired at, and what holds for it.
pub(super) struct Target {
    pub external_id: Option<String>,
    pub properties: Value,
}

/// A campaign that is being fired.
pub(super) struct Shot<'a> {
    head: &'a Head,
    campaign: &'a LiveCampaign,
    envelope: Envelope,
    /// Of the event, where one fires it.
    pub event_properties: Option<&'a Value>,
    pub send_id: Option<String>,
    pub uncapped: bool,
    now: Timestamp,
}

/// How far a campaign has come.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Recipients sent to.
    pub sends: u64,
    /// When the next message is due, where there is a speed limit.
    pub spread: Option<Spread>,
}

/// What one campaign or canvas has sent to one recipient, as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct KeptContact {
    /// Id of the campaign or canvas.
    pub subject: String,
    #[serde(flatten)]
    pub contact: Contact,
}

/// A contact and the state of its record.
pub(super) type Contacts = HashMap<String, (Contact, Expect)>;

impl<'a> Shot<'a> {
    /// A campaign that is fired under the circumstances of `envelope`.
    pub(super) fn new(
        head: &'a Head,
        campaign: &'a LiveCampaign,
        envelope: Envelope,
        now: Timestamp,
    ) -> Self {
        let (event_properties, send_id, uncapped) = (None, None, false);
        Self { head, campaign, envelope, event_properties, send_id, uncapped, now }
    }

    /// What has to be held while the campaign is fired at these recipients.
    pub(super) fn stripes(&self, targets: &[Target]) -> Vec<String> {
        let id = &self.head.id;
        let recipients = targets.iter().filter_map(|target| target.external_id.as_deref());
        let mut stripes = match self.keeps_contacts() {
            true => recipients.map(|recipient| contact_key(recipient, id)).collect(),
            false => Vec::new(),
        };
        if self.keeps_progress() {
            stripes.push(format!("p{id}"));
        }
        stripes
    }

    fn keeps_contacts(&self) -> bool {
        let document = &self.campaign.document;
        document.frequency_cap.is_some()
            || document.reeligible.as_ref().is_some_and(|rule| *rule != Default::default())
    }

    fn keeps_progress(&self) -> bool {
        let document = &self.campaign.document;
        document.messages_per_minute.is_some() || document.stop_after.is_some()
    }
}

impl Composer {
    /// Fires a campaign into a batch. Its stripes have to be held until the batch is committed.
    pub(super) async fn fire(
        &self,
        batch: &mut Batch,
        shot: &Shot<'_>,
        targets: &[Target],
        audience: Option<&Filter>,
    ) -> Result<(), Refusal> {
        let ids: Vec<&str> = targets.iter().filter_map(|to| to.external_id.as_deref()).collect();
        let id = &shot.head.id;
        let kept_ids: &[&str] = if shot.keeps_contacts() { &ids } else { &[] };
        let people = self.people(&ids).await?;
        let mut contacts = self.contacts(kept_ids, id).await?;
        let mut progress = match shot.keeps_progress() {
            true => Some(self.progress(id).await?),
            false => None,
        };
        let first = batch.place();
        let shown = shown(shot.head, &batch.trigger.to_string());
        let mut spans = Vec::new();
        for target in targets {
            let begin = batch.place();
            let person = target.external_id.as_ref().and_then(|id| people.get(id));
            let contact = target.external_id.as_ref().and_then(|id| contacts.get_mut(id));
            let mut standing =
                Standing { contact, progress: progress.as_mut().map(|(progress, _)| progress) };
            fire_at(batch, (shot, &shown), (target, person), audience, &mut standing);
            if batch.place() > begin {
                spans.push(begin - first..batch.place() - first);
            }
        }
        if let Some((mut progress, expect)) = progress {
            let key = id.clone();
            batch.follow(first, move |ids| {
                // Whom every host refused was not sent to.
                let refused = |span: &Range<usize>| ids[span.clone()].iter().all(Option::is_none);
                let none = spans.into_iter().filter(refused).count() as u64;
                progress.sends = progress.sends.saturating_sub(none);
                let value = Some(to_bytes(&progress));
                let write =
                    RecordWrite { kind: RecordKind::Progress, key, expect, due: None, value };
                ids.iter().any(Option::is_some).then_some(write)
            });
        }
        Ok(())
    }

    /// What was sent to these recipients before.
    pub(super) async fn contacts(
        &self,
        recipients: &[&str],
        subject: &str,
    ) -> Result<Contacts, Refusal> {
        if recipients.is_empty() {
            return Ok(Contacts::new());
        }
        let keys = recipients.iter().map(|id| contact_key(id, subject)).collect();
        let records = self.store.records(self.workspace, RecordKind::Contact, keys).await?;
        let mut contacts = Contacts::with_capacity(recipients.len());
        for (id, record) in recipients.iter().zip(records) {
            let expect = expected(record.as_ref());
            let kept = record.map(|record| kept::<KeptContact>(&record)).transpose()?;
            let contact = kept.map(|kept| kept.contact).unwrap_or_default();
            contacts.insert((*id).to_owned(), (contact, expect));
        }
        Ok(contacts)
    }

    async fn progress(&self, campaign: &str) -> Result<(Progress, Expect), Refusal> {
        let keys = vec![campaign.to_owned()];
        let record =
            self.store.records(self.workspace, RecordKind::Progress, keys).await?.remove(0);
        let expect = expected(record.as_ref());
        let progress = record.map(|record| kept(&record)).transpose()?.unwrap_or_default();
        Ok((progress, expect))
    }
}

/// What a campaign knows of one recipient and of itself, where it keeps that.
struct Standing<'a> {
    contact: Option<&'a mut (Contact, Expect)>,
    progress: Option<&'a mut Progress>,
}

/// Fires a campaign at one recipient, or at nobody in particular.
fn fire_at(
    batch: &mut Batch,
    (shot, shown): (&Shot<'_>, &Value),
    (target, person): (&Target, Option<&Person>),
    audience: Option<&Filter>,
    standing: &mut Standing<'_>,
) {
    let Shot { head, campaign, now, .. } = shot;
    let document = &campaign.document;
    let mut provenance = Provenance {
        campaign: Some(head.id.clone()),
        recipient: target.external_id.clone(),
        send_id: shot.send_id.clone(),
        ..Provenance::default()
    };
    if let Some(left_out) = leave_out(shot, (target, person), audience, standing) {
        batch.skip(&provenance, left_out.reason, &left_out.detail, *now, false);
        return;
    }
    let (weights, control) = document.weights();
    let dice = match &target.external_id {
        Some(recipient) => variant::place(&head.id, recipient),
        None => fastrand::u64(..),
    };
    let content = match variant::choose(&weights, control, dice) {
        Some(Choice::Variant(index)) => &campaign.contents[index],
        Some(Choice::Control) | None => {
            let detail = "the recipient is in the control group, which gets nothing";
            batch.skip(&provenance, "control_group", detail, *now, false);
            return;
        }
    };
    provenance.variant.clone_from(&content.variant);
    let scope = Scope {
        properties: Some(&target.properties),
        event_properties: shot.event_properties,
        campaign: Some(shown),
        ..Scope::at(*now)
    };
    let scope = Person::show(person, scope);
    let envelope = match envelope::of(campaign, &shot.envelope, &scope) {
        Ok(envelope) => envelope,
        Err(fault) => return batch.not_rendered(&fault, &provenance, *now),
    };
    let first = batch.place();
    for webhook in &content.webhooks {
        let mut envelope = envelope.clone();
        // What its caller delays is not spread: a slot far ahead would hold up all that goes now.
        let per_minute = document.messages_per_minute.filter(|_| envelope.timing.due <= *now);
        let (due, before) = (envelope.timing.due, batch.place());
        let mut spread = None;
        if let (Some(per_minute), Some(progress)) = (per_minute, &mut standing.progress) {
            let kept = progress.spread.get_or_insert_with(|| Spread::new(per_minute, due));
            kept.set(per_minute);
            envelope.timing = envelope.timing.not_before(kept.next_slot(due));
            spread = Some(kept);
        }
        envelope::quiet(campaign, person, &mut envelope);
        batch.render(webhook, &scope, envelope, &provenance);
        // A slot is used up by a message, not by one that was aborted.
        if let Some(spread) = spread.filter(|_| batch.place() > before) {
            spread.take(1, due);
        }
    }
    if batch.place() > first {
        sent(batch, shot, target, first, standing);
    }
}

/// Somebody who gets nothing.
struct LeftOut {
    reason: &'static str,
    detail: String,
}

fn leave_out(
    shot: &Shot<'_>,
    (target, person): (&Target, Option<&Person>),
    audience: Option<&Filter>,
    standing: &Standing<'_>,
) -> Option<LeftOut> {
    let out = |reason, detail| Some(LeftOut { reason, detail });
    let document = &shot.campaign.document;
    let facts = facts(person, Some(&target.properties), shot.event_properties);
    let passes = |filter: Option<&Filter>| filter.is_none_or(|filter| filter.passes(&facts));
    if !passes(document.audience.as_ref()) || !passes(audience) {
        return out("not_in_audience", NOT_IN_AUDIENCE.to_owned());
    }
    let sends = standing.progress.as_ref().map_or(0, |progress| progress.sends);
    match stopped(document.stop_after, document.stop_at.as_ref(), sends, shot.now) {
        Stop::Goes { .. } => {}
        Stop::SentEnough { limit } => {
            return out("stopped", format!("the campaign has sent to {limit}, as many as it may"));
        }
        Stop::Over { since } => {
            return out("stopped", format!("the campaign ended at {since}"));
        }
    }
    let (contact, _) = standing.contact.as_deref()?;
    if shot.uncapped {
        return None;
    }
    let rule = document.reeligible.clone().unwrap_or_default();
    match contact.judge(&rule, document.frequency_cap.as_ref(), shot.now) {
        Eligibility::Eligible => None,
        Eligibility::NotEligible { last, again_at } => {
            let again = match again_at {
                Some(at) => format!("is eligible again at {at}"),
                None => "is not eligible again".to_owned(),
            };
            out("not_eligible", format!("the recipient got it at {last} and {again}"))
        }
        Eligibility::Capped { messages, again_at, .. } => out(
            "capped",
            format!(
                "the recipient got {messages} messages, as many as the cap allows until {again_at}"
            ),
        ),
    }
}

/// Notes in the records that a recipient was sent to.
fn sent(
    batch: &mut Batch,
    shot: &Shot<'_>,
    target: &Target,
    first: usize,
    standing: &mut Standing<'_>,
) {
    if let Some(progress) = &mut standing.progress {
        progress.sends += 1;
    }
    let (Some((contact, expect)), Some(recipient)) =
        (standing.contact.as_deref_mut(), &target.external_id)
    else {
        return;
    };
    contact.record(shot.campaign.document.frequency_cap.as_ref(), shot.now);
    let write = contact_write(recipient, &shot.head.id, (contact, expect));
    batch.follow(first, move |ids| ids.iter().any(Option::is_some).then_some(write));
}

/// The record of what was sent to a recipient. Another one of the same batch goes on top of it.
pub(super) fn contact_write(
    recipient: &str,
    subject: &str,
    (contact, expect): (&Contact, &mut Expect),
) -> RecordWrite {
    let kept = KeptContact { subject: subject.to_owned(), contact: contact.clone() };
    RecordWrite {
        kind: RecordKind::Contact,
        key: contact_key(recipient, subject),
        expect: std::mem::replace(expect, Expect::Any),
        due: None,
        value: Some(to_bytes(&kept)),
    }
}

/// What a filter looks at.
pub(super) fn facts<'a>(
    person: Option<&'a Person>,
    properties: Option<&'a Value>,
    event_properties: Option<&'a Value>,
) -> Facts<'a> {
    let recipient = person.map(Person::facts);
    Facts { properties, event_properties, recipient, ..Facts::default() }
}

/// What a record has to be like for the next write.
pub(super) fn expected(record: Option<&Record>) -> Expect {
    record.map_or(Expect::Absent, |record| Expect::Version(record.version))
}

/// Reads a record.
pub(super) fn kept<T: serde::de::DeserializeOwned>(record: &Record) -> Result<T, Refusal> {
    serde_json::from_slice(&record.value).map_err(|error| {
        log::error!("record {:?} cannot be read: {error}", record.key);
        Refusal::Unavailable
    })
}

/// Key of what a campaign or canvas has sent to a recipient; also its lock.
pub(super) fn contact_key(recipient: &str, subject: &str) -> String {
    format!("{recipient}{SEPARATOR}{subject}")
}
