//! Sending: what a caller asks for becomes a batch, by the rules of the campaign that it names.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::Composer;
use super::batch::Batch;
use super::campaign::{LiveCampaign, LiveWebhook, compile_all, shown};
use super::canvas::LiveCanvas;
use super::document::{Trigger, WebhookSource};
use super::entry::{Entry, Kind, Live, Status};
use super::filter::{Filter, Root};
use super::fire::{Shot, Target, contact_key, facts};
use super::liquid::Scope;
use super::recipients::{Person, TRIES};
use super::vet::compile_webhook;
use crate::admission::{Admitted, ComposedTrigger, Envelope, Refusal, What};
use crate::model::{Provenance, Timestamp};

/// What is to be sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendWhat {
    /// Webhooks with Liquid in them, reported under a campaign where one is named.
    Webhooks {
        /// As they are written.
        webhooks: Vec<Box<RawValue>>,
        /// Id or name.
        campaign: Option<String>,
    },
    /// A template.
    Template {
        /// Id or name.
        name: String,
        /// The newest unless given.
        version: Option<u32>,
    },
    /// A campaign, by id or name.
    Campaign(String),
    /// A canvas, by id or name.
    Canvas(String),
}

/// To whom.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendTo {
    /// To nobody in particular.
    Nobody,
    /// To these, at most 50.
    Recipients(Vec<SendRecipient>),
    /// To every recipient of the profile store that the audience lets through.
    Everyone,
}

/// One of those it is sent to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SendRecipient {
    /// Who.
    pub external_id: String,
    /// Laid over the properties of the whole.
    pub properties: Map<String, Value>,
}

/// A wish to send.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Send {
    /// What.
    pub what: SendWhat,
    /// To whom.
    pub to: SendTo,
    /// For Liquid and filters: `properties`, or a canvas's `entry_properties`.
    pub properties: Map<String, Value>,
    /// Beside the one that the campaign or canvas has: a filter as documents have it.
    pub audience: Option<Value>,
    /// Under what it is reported.
    pub send_id: Option<String>,
    /// Whether caps are not asked.
    pub uncapped: bool,
    /// How many of our own webhooks led to it.
    pub hop: u8,
}

impl Composer {
    /// Sends what a composed trigger asks for.
    pub(super) async fn compose(
        &self,
        request: &Bytes,
        trigger: ComposedTrigger<'_>,
        envelope: Envelope,
        now: Timestamp,
    ) -> Result<Admitted, Refusal> {
        let what = match trigger.what {
            What::Webhooks(webhooks) => {
                let webhooks = webhooks.into_iter().map(ToOwned::to_owned).collect();
                SendWhat::Webhooks { webhooks, campaign: None }
            }
            What::Template { name, version } => SendWhat::Template { name, version },
            What::Campaign(name) => SendWhat::Campaign(name),
            What::Canvas(name) => SendWhat::Canvas(name),
        };
        let to = match trigger.recipients {
            None => SendTo::Nobody,
            Some(recipients) => SendTo::Recipients(
                recipients
                    .into_iter()
                    .map(|recipient| SendRecipient {
                        properties: object(recipient.properties),
                        external_id: recipient.external_id,
                    })
                    .collect(),
            ),
        };
        let properties = object(trigger.properties);
        let (send_id, hop) = (trigger.send_id, envelope.hop);
        let send = Send { what, to, properties, audience: None, send_id, uncapped: false, hop };
        self.send(&send, request, envelope, now).await
    }

    /// Sends now. To everyone it is sent in the background; the answer says so by naming nobody.
    pub async fn send(
        &self,
        send: &Send,
        request: &Bytes,
        envelope: Envelope,
        now: Timestamp,
    ) -> Result<Admitted, Refusal> {
        let key = envelope.idempotency_key.clone();
        let _claim = self.admission.claim(key.as_deref())?;
        let what = match (self.resolve(&send.what).await, &key) {
            (Ok(what), _) => what,
            (Err(refusal), None) => return Err(refusal),
            // What was answered stands, though the campaign may be paused by now.
            (Err(refusal), Some(key)) => {
                let answered = self.admission.answered(request, key.clone(), now).await?;
                return answered.ok_or(refusal);
            }
        };
        let audience = send.audience.as_ref().map(audience).transpose()?;
        let recipients = match &send.to {
            SendTo::Everyone => return self.broadcast(send, (request, key), now).await,
            SendTo::Nobody => &[],
            SendTo::Recipients(recipients) => recipients.as_slice(),
        };
        let sending = Sending { send, audience: audience.as_ref(), envelope, now };
        let targets = sending.targets(recipients);
        let _held = self.stripes.hold(sending.stripes(&what, &targets).into_iter()).await;
        for _ in 0..TRIES {
            let mut batch = self.new_batch(now);
            self.gather(&mut batch, &what, &sending, &targets).await?;
            match self.commit(batch, (request, key.clone()), now).await {
                Err(Refusal::Stale(_)) => {}
                Err(refusal) => return Err(refusal),
                Ok(admitted) => return Ok(admitted),
            }
        }
        Err(Refusal::Stale(0))
    }

    /// Gathers what a send comes to for these recipients. Its stripes have to be held.
    pub(super) async fn gather(
        &self,
        batch: &mut Batch,
        what: &Resolved,
        sending: &Sending<'_>,
        targets: &[Target],
    ) -> Result<(), Refusal> {
        match what {
            Resolved::Webhooks { webhooks, provenance, campaign } => {
                let ids: Vec<&str> =
                    targets.iter().filter_map(|to| to.external_id.as_deref()).collect();
                let people = self.people(&ids).await?;
                let dispatch = batch.trigger.to_string();
                let shown = campaign.as_ref().map(|entry| shown(&entry.head, &dispatch));
                let what = (&webhooks[..], provenance, shown.as_ref());
                sending.webhooks(batch, what, (targets, &people));
                Ok(())
            }
            Resolved::Campaign(entry, campaign) => {
                let shot = sending.shot(entry, campaign);
                self.fire(batch, &shot, targets, sending.audience).await
            }
            Resolved::Canvas(entry, canvas) => {
                self.enter(batch, (entry, canvas), sending, targets).await
            }
        }
    }

    /// Finds what is to be sent; whatever cannot be sent now is refused.
    pub(super) async fn resolve(&self, what: &SendWhat) -> Result<Resolved, Refusal> {
        match what {
            SendWhat::Webhooks { webhooks, campaign } => {
                let mut sources: Vec<_> =
                    webhooks.iter().map(|raw| WebhookSource::Inline(raw.clone())).collect();
                // One is written at `webhook`, several at `webhooks`.
                let compiled = match sources.len() {
                    1 => {
                        let webhook = Arc::new(compile_webhook(&webhooks[0], "/webhook")?);
                        self.vet_webhook(&webhook, "/webhook")?;
                        vec![LiveWebhook { webhook, template: None }]
                    }
                    _ => {
                        let compiled = compile_all(&mut sources, "/webhooks", self).await?;
                        self.vet_webhooks(&compiled, "/webhooks")?;
                        compiled
                    }
                };
                let mut provenance = Provenance::default();
                let campaign = campaign.as_ref();
                let campaign = campaign.map(|name| self.entry(Kind::Campaign, name)).transpose()?;
                provenance.campaign = campaign.as_ref().map(|entry| entry.head.id.clone());
                Ok(Resolved::Webhooks { webhooks: compiled, provenance, campaign })
            }
            SendWhat::Template { name, version } => {
                let (entry, version, webhook) = self.template(name, *version).await?;
                if entry.head.status == Status::Archived {
                    return Err(not_live(&entry));
                }
                let template = Some((entry.head.id.clone(), version));
                let webhooks = vec![LiveWebhook { webhook, template }];
                let provenance = Provenance::default();
                Ok(Resolved::Webhooks { webhooks, provenance, campaign: None })
            }
            SendWhat::Campaign(reference) => {
                let entry = self.entry(Kind::Campaign, reference)?;
                let Live::Campaign(campaign) = &entry.live else { return Err(not_live(&entry)) };
                let by_api = matches!(campaign.document.trigger, Trigger::Api);
                if !by_api {
                    return Err(not_by_api(&entry));
                }
                let campaign = campaign.clone();
                vet_live(&entry)?;
                Ok(Resolved::Campaign(entry, campaign))
            }
            SendWhat::Canvas(reference) => {
                let entry = self.entry(Kind::Canvas, reference)?;
                let Live::Canvas(canvas) = &entry.live else { return Err(not_live(&entry)) };
                if !matches!(canvas.document.trigger, super::document::Entry::Api) {
                    return Err(not_by_api(&entry));
                }
                let canvas = canvas.clone();
                vet_live(&entry)?;
                Ok(Resolved::Canvas(entry, canvas))
            }
        }
    }
}

/// Reads a filter that came with a request.
pub(super) fn audience(audience: &Value) -> Result<Filter, Refusal> {
    let bytes = serde_json::to_vec(audience).expect("a value is JSON");
    let roots = [Root::Recipient, Root::Properties];
    Filter::parse(&bytes, &roots).map_err(Refusal::Faults)
}

/// What a name led to.
pub(super) enum Resolved {
    Webhooks {
        webhooks: Vec<LiveWebhook>,
        provenance: Provenance,
        /// Under which they are reported.
        campaign: Option<Arc<Entry>>,
    },
    Campaign(Arc<Entry>, Arc<LiveCampaign>),
    Canvas(Arc<Entry>, Arc<LiveCanvas>),
}

/// One send that is being gathered.
pub(super) struct Sending<'a> {
    pub send: &'a Send,
    pub audience: Option<&'a Filter>,
    pub envelope: Envelope,
    pub now: Timestamp,
}

impl<'a> Sending<'a> {
    /// Each recipient with the properties that hold for it; one without a name when there is none.
    pub(super) fn targets(&self, recipients: &[SendRecipient]) -> Vec<Target> {
        let whole = &self.send.properties;
        if recipients.is_empty() {
            return vec![Target { external_id: None, properties: Value::Object(whole.clone()) }];
        }
        let target = |to: &SendRecipient| {
            let mut properties = whole.clone();
            properties.extend(to.properties.clone());
            let external_id = Some(to.external_id.clone());
            Target { external_id, properties: Value::Object(properties) }
        };
        recipients.iter().map(target).collect()
    }

    /// What has to be held while it is gathered and committed.
    pub(super) fn stripes(&self, what: &Resolved, targets: &[Target]) -> Vec<String> {
        match what {
            Resolved::Webhooks { .. } => Vec::new(),
            Resolved::Campaign(entry, campaign) => self.shot(entry, campaign).stripes(targets),
            Resolved::Canvas(entry, _) => {
                let recipients = targets.iter().filter_map(|target| target.external_id.as_deref());
                recipients.map(|recipient| contact_key(recipient, &entry.head.id)).collect()
            }
        }
    }

    fn shot<'s>(&'s self, entry: &'s Entry, campaign: &'s LiveCampaign) -> Shot<'s> {
        let mut shot = Shot::new(&entry.head, campaign, self.envelope.clone(), self.now);
        shot.send_id.clone_from(&self.send.send_id);
        shot.uncapped = self.send.uncapped;
        shot
    }

    /// Renders webhooks that belong to no campaign.
    fn webhooks(
        &self,
        batch: &mut Batch,
        (webhooks, provenance, shown): (&[LiveWebhook], &Provenance, Option<&Value>),
        (targets, people): (&[Target], &HashMap<String, Person>),
    ) {
        for target in targets {
            let person = target.external_id.as_ref().and_then(|id| people.get(id));
            let provenance = Provenance {
                recipient: target.external_id.clone(),
                send_id: self.send.send_id.clone(),
                ..provenance.clone()
            };
            if let Some(audience) = self.audience
                && !audience.passes(&facts(person, Some(&target.properties), None))
            {
                batch.skip(&provenance, "not_in_audience", NOT_IN_AUDIENCE, self.now, false);
                continue;
            }
            let scope = Scope {
                properties: Some(&target.properties),
                campaign: shown,
                ..Scope::at(self.now)
            };
            let scope = Person::show(person, scope);
            for webhook in webhooks {
                batch.render(webhook, &scope, self.envelope.clone(), &provenance);
            }
        }
    }
}

/// Why somebody was left out, in words.
pub(super) const NOT_IN_AUDIENCE: &str = "the recipient is not in the audience";

fn vet_live(entry: &Entry) -> Result<(), Refusal> {
    match entry.head.status {
        Status::Live => Ok(()),
        _ => Err(not_live(entry)),
    }
}

fn not_live(entry: &Entry) -> Refusal {
    let (word, name) = (entry.kind.as_str(), &entry.head.name);
    let status = entry.head.status.as_str();
    let detail = format!("the {word} {name:?} is {status}; only a live one sends");
    Refusal::Conflict { slug: "not-live", detail }
}

fn not_by_api(entry: &Entry) -> Refusal {
    let (word, name) = (entry.kind.as_str(), &entry.head.name);
    let detail = format!(
        "the {word} {name:?} is not triggered by the API; its document says what triggers it"
    );
    Refusal::Conflict { slug: "wrong-trigger", detail }
}

/// The fields of an object that admission has vetted to be one.
fn object(raw: Option<&RawValue>) -> Map<String, Value> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}
