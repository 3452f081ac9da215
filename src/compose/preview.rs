//! Looking before sending: what a webhook would say, what a receiver answers to it, and what a
//! campaign would come to.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Composer;
use super::campaign::{LiveWebhook, shown};
use super::document::Trigger;
use super::entry::{Kind, Live};
use super::fire::Target;
use super::liquid::Scope;
use super::recipients::Person;
use super::send::{Resolved, Send, SendRecipient, SendTo, SendWhat, Sending};
use super::vet::compile_webhook;
use super::webhook::RenderFault;
use crate::admission::{Beside, Envelope, Item, Refusal, Rendered, Timing};
use crate::model::{
    Attempt, DeliveryId, HostName, Priority, Provenance, StoredState, Timestamp, Webhook,
};
use crate::store::{DeliveryRecord, RecordKind};

/// Added to an attempt's own time limit before a test send is given up.
const TEST_PATIENCE: Duration = Duration::from_secs(5);
/// How often a test send looks for its answer.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Stands for a dispatch's id in previews.
const SAMPLE_DISPATCH: &str = "00000000-0000-7000-8000-000000000000";
/// Recipients that a dry run looks at.
const DRY_RUN_MAX: usize = 10_000;
/// Recipients of one page of it.
const PAGE: usize = 100;

/// Sample data of a preview or a test send.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sample {
    /// Of a trigger.
    pub properties: Map<String, Value>,
    /// Of an event.
    pub event_properties: Map<String, Value>,
    /// Of a canvas.
    pub entry_properties: Map<String, Value>,
    /// Somebody; need not be known.
    pub recipient: Option<SampleRecipient>,
}

/// Somebody a preview is for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleRecipient {
    /// Who.
    pub external_id: String,
    /// Laid over those of the profile, if there is one.
    #[serde(default)]
    pub attributes: Map<String, Value>,
}

/// What one webhook of a preview comes to.
#[derive(Clone, Debug)]
pub struct Previewed {
    /// Of a campaign's variant.
    pub variant: Option<String>,
    /// The webhook as it would go, or why it would not.
    pub outcome: Result<Webhook, NotRendered>,
}

/// Why a webhook would not go.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NotRendered {
    /// It aborted itself.
    Aborted(String),
    /// It cannot be rendered, or may not be sent.
    Error(String),
}

/// What became of a test send.
#[derive(Clone, Debug)]
pub struct Tested {
    /// The delivery.
    pub delivery: DeliveryId,
    /// As it was sent.
    pub webhook: Webhook,
    /// The attempt with the receiver's whole answer; `None` when none was made in time.
    pub attempt: Option<Attempt>,
    /// As it stands.
    pub record: Option<DeliveryRecord>,
}

/// What a dry run found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DryRun {
    /// Recipients looked at.
    pub recipients: usize,
    /// Whether that is all of them: no more than ten thousand are looked at.
    pub complete: bool,
    /// Deliveries that there would be.
    pub deliveries: usize,
    /// Who would get nothing, by reason.
    pub skipped: BTreeMap<&'static str, usize>,
    /// By host, the one with the most first.
    pub hosts: Vec<DryRunHost>,
}

/// What a dry run found of one host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DryRunHost {
    /// The host.
    pub host: HostName,
    /// Deliveries that it would get.
    pub deliveries: usize,
    /// Deliveries that wait for it already.
    pub waiting: u64,
    /// How many it takes a second at its present budget; absent while nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// When it would be done; absent while nothing is known of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub done_at: Option<Timestamp>,
    /// What that rests on, in words.
    pub basis: String,
}

impl Composer {
    /// Renders a template or campaign with sample data.
    pub async fn preview(
        &self,
        kind: Kind,
        reference: &str,
        sample: &Sample,
    ) -> Result<Vec<Previewed>, Refusal> {
        let entry = self.entry(kind, reference)?;
        let person = self.sample_person(sample).await?;
        let about = shown(&entry.head, SAMPLE_DISPATCH);
        let render = |variant: Option<&String>, webhook: &LiveWebhook| Previewed {
            variant: variant.cloned(),
            outcome: self.render_sample(webhook, sample, (person.as_ref(), &about)),
        };
        Ok(match &entry.live {
            Live::Template(template) => {
                let webhook = LiveWebhook { webhook: template.clone(), template: None };
                vec![render(None, &webhook)]
            }
            Live::Campaign(campaign) => {
                let contents = campaign.contents.iter();
                let all = contents.flat_map(|content| {
                    content.webhooks.iter().map(|webhook| render(content.variant.as_ref(), webhook))
                });
                all.collect()
            }
            Live::Canvas(_) => Vec::new(),
        })
    }

    /// Renders a webhook that is written out.
    pub async fn preview_webhook(
        &self,
        raw: &RawValue,
        sample: &Sample,
    ) -> Result<Previewed, Refusal> {
        let webhook = compile_webhook(raw, "/webhook")?;
        self.vet_webhook(&webhook, "/webhook")?;
        let webhook = LiveWebhook { webhook: webhook.into(), template: None };
        let person = self.sample_person(sample).await?;
        let outcome = self.render_sample(&webhook, sample, (person.as_ref(), &Value::Null));
        Ok(Previewed { variant: None, outcome })
    }

    async fn sample_person(&self, sample: &Sample) -> Result<Option<Person>, Refusal> {
        let Some(recipient) = &sample.recipient else { return Ok(None) };
        let id = recipient.external_id.as_str();
        crate::admission::vet_external_id(id)
            .map_err(|detail| Refusal::invalid("/recipient/external_id", detail))?;
        let mut person = self.people(&[id]).await?.remove(id).expect("it was asked for");
        if let Value::Object(attributes) = &mut person.attributes {
            attributes.extend(recipient.attributes.clone());
        }
        Ok(Some(person))
    }

    fn render_sample(
        &self,
        webhook: &LiveWebhook,
        sample: &Sample,
        (person, about): (Option<&Person>, &Value),
    ) -> Result<Webhook, NotRendered> {
        let object = |map: &Map<String, Value>| Value::Object(map.clone());
        let (properties, event) = (object(&sample.properties), object(&sample.event_properties));
        let entry = object(&sample.entry_properties);
        let scope = Scope {
            properties: Some(&properties),
            event_properties: Some(&event),
            entry_properties: Some(&entry),
            campaign: Some(about),
            canvas: Some(about),
            ..Scope::at(self.clock.wall())
        };
        let rendered = webhook.webhook.render(&Person::show(person, scope));
        let rendered = rendered.map_err(|fault| match fault {
            RenderFault::Aborted(why) => NotRendered::Aborted(why),
            RenderFault::Failed(fault) => NotRendered::Error(fault.to_string()),
        })?;
        let vetted = self.admission.vet(rendered, 0);
        vetted.map_err(|error| NotRendered::Error(format!("{}: {}", error.pointer, error.detail)))
    }

    /// Sends a webhook now and waits for the receiver's answer. It goes through the host's actor,
    /// ahead of what waits there, counts in its budget, and is tried once.
    pub async fn test_send(
        &self,
        webhook: Webhook,
        template: Option<(String, u32)>,
        hop: u8,
    ) -> Result<Tested, Refusal> {
        let host = webhook.target.host();
        if self.engine.controls(host).paused {
            let detail = format!("{host} is paused; resume it to send a test");
            return Err(Refusal::Conflict { slug: "host-paused", detail });
        }
        let now = self.clock.wall();
        let patience = self.settings.sender.timeout + TEST_PATIENCE;
        let timing = Timing { ttl_custom: true, ..Timing::at(now, patience) };
        let plain = Envelope::plain(now, hop, &self.settings);
        let envelope = Envelope { timing, priority: Priority::High, ..plain };
        let (template, template_version) = template.unzip();
        let provenance = Provenance { template, template_version, ..Provenance::default() };
        let item =
            Item { webhook: Rendered::of(&webhook), envelope, provenance: provenance.into() };
        // Only while it is accepted: a receiver that hangs must not keep others from the door.
        let place = self.admission.enter()?;
        let mut prepared =
            self.admission.prepare(vec![item], self.admission.new_trigger(now), now).await?;
        let delivery = match prepared.deliveries.remove(0) {
            Ok(delivery) => delivery,
            Err(refusal) => return Err(refusal),
        };
        let id = delivery.id;
        prepared.deliveries.push(Ok(delivery));
        let nothing = Beside::default();
        self.admission.accept((&Bytes::new(), None), prepared, nothing, now).await?;
        drop(place);
        let record = self.await_attempt(id, patience).await?;
        let attempt = self.store.attempts(id).await?.into_iter().next();
        if record.as_ref().is_some_and(|record| !matches!(record.state, StoredState::Ended(_))) {
            // A test is tried once; whether it was cancelled in time changes nothing for the caller.
            let _ = self.engine.cancel(id).await;
        }
        let record = self.store.find(id).await?;
        Ok(Tested { delivery: id, webhook, attempt, record })
    }

    async fn await_attempt(
        &self,
        id: DeliveryId,
        patience: Duration,
    ) -> Result<Option<DeliveryRecord>, Refusal> {
        let until = tokio::time::Instant::now() + patience;
        loop {
            let record = self.store.find(id).await?;
            let over = record.as_ref().is_none_or(|record| {
                record.attempts > 0 || matches!(record.state, StoredState::Ended(_))
            });
            if over || tokio::time::Instant::now() >= until {
                return Ok(record);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Counts what a campaign would come to, without sending or changing anything. Without
    /// recipients it looks at those that the campaign itself names, or lets through.
    pub async fn dry_run(
        &self,
        reference: &str,
        properties: Map<String, Value>,
        recipients: Option<Vec<SendRecipient>>,
    ) -> Result<DryRun, Refusal> {
        let entry = self.entry(Kind::Campaign, reference)?;
        let Live::Campaign(campaign) = &entry.live else {
            return Err(Refusal::NotFound { what: "campaign", name: reference.to_owned() });
        };
        let now = self.clock.wall();
        let named = |id: &String| SendRecipient { external_id: id.clone(), properties: Map::new() };
        let listed = campaign.document.recipients.as_ref();
        let to = match (recipients, listed, &campaign.document.trigger) {
            (Some(recipients), ..) => SendTo::Recipients(recipients),
            (None, Some(listed), _) => SendTo::Recipients(listed.iter().map(named).collect()),
            (None, None, Trigger::Schedule(_)) if campaign.document.audience.is_none() => {
                SendTo::Nobody
            }
            (None, None, _) => SendTo::Everyone,
        };
        let send = Send {
            what: SendWhat::Campaign(entry.head.id.clone()),
            to,
            properties,
            audience: None,
            send_id: None,
            uncapped: false,
            hop: 0,
        };
        let envelope = Envelope::plain(now, 0, &self.settings);
        let sending = Sending { send: &send, audience: None, envelope, now };
        let what = Resolved::Campaign(entry.clone(), campaign.clone());
        let mut tally = Tally::default();
        match &send.to {
            SendTo::Nobody => {
                self.count(&mut tally, &what, &sending, &sending.targets(&[])).await?
            }
            SendTo::Recipients(recipients) => {
                for page in recipients.chunks(PAGE) {
                    self.count(&mut tally, &what, &sending, &sending.targets(page)).await?;
                }
            }
            SendTo::Everyone => {
                tally.cut = self.count_everyone(&mut tally, &what, &sending).await?
            }
        }
        let per_minute = campaign.document.messages_per_minute;
        let mut hosts = Vec::with_capacity(tally.hosts.len());
        for (host, deliveries) in tally.hosts {
            hosts.push(self.estimate(host, deliveries, per_minute, now).await?);
        }
        hosts.sort_by_key(|host| std::cmp::Reverse(host.deliveries));
        Ok(DryRun {
            recipients: tally.recipients,
            complete: !tally.cut,
            deliveries: hosts.iter().map(|host| host.deliveries).sum(),
            skipped: tally.skipped,
            hosts,
        })
    }

    /// Answers whether there are more than a dry run looks at.
    async fn count_everyone(
        &self,
        tally: &mut Tally,
        what: &Resolved,
        sending: &Sending<'_>,
    ) -> Result<bool, Refusal> {
        let mut after = None;
        while tally.recipients < DRY_RUN_MAX {
            let page = self
                .store
                .scan(self.workspace, RecordKind::Recipient, (String::new(), after), PAGE)
                .await?;
            let named =
                |key: &String| SendRecipient { external_id: key.clone(), properties: Map::new() };
            let recipients: Vec<_> = page.iter().map(|record| named(&record.key)).collect();
            if !recipients.is_empty() {
                self.count(tally, what, sending, &sending.targets(&recipients)).await?;
            }
            if page.len() < PAGE {
                return Ok(false);
            }
            after = page.last().map(|record| record.key.clone());
        }
        Ok(true)
    }

    async fn count(
        &self,
        tally: &mut Tally,
        what: &Resolved,
        sending: &Sending<'_>,
        targets: &[Target],
    ) -> Result<(), Refusal> {
        let mut batch = self.new_batch(sending.now);
        self.gather(&mut batch, what, sending, targets).await?;
        tally.recipients += targets.len();
        for skipped in &batch.skipped {
            *tally.skipped.entry(skipped.reason).or_default() += 1;
        }
        for item in batch.into_items() {
            match self.admission.vet(item.webhook, item.envelope.hop) {
                Ok(webhook) => *tally.hosts.entry(webhook.target.host().clone()).or_default() += 1,
                Err(_) => *tally.skipped.entry("refused").or_default() += 1,
            }
        }
        Ok(())
    }

    async fn estimate(
        &self,
        host: HostName,
        deliveries: usize,
        per_minute: Option<u32>,
        now: Timestamp,
    ) -> Result<DryRunHost, Refusal> {
        let snapshot = self.engine.host(host.clone()).await;
        let waiting = match (&snapshot, self.store.known_number(&host)) {
            (Some(snapshot), _) => snapshot.waiting,
            (None, Some(number)) => self.store.pending_of(number),
            (None, None) => 0,
        };
        let mut start = now;
        let mut paces: Vec<(f64, &str)> = Vec::new();
        if let Some(per_minute) = per_minute {
            paces.push((f64::from(per_minute) / 60.0, "the campaign's own speed limit"));
        }
        if let Some(rate) = self.settings.rules_of(&host).limits.requests_per_second {
            paces.push((rate, "the configured rate of the host"));
        }
        if let Some(snapshot) = &snapshot {
            start = snapshot.until.map_or(now, |until| until.max(now));
            let budget = &snapshot.budget;
            if let Some(rate) = budget.learned_rate {
                paces.push((rate, "the rate that was learned from the host's answers"));
            }
            if let (Some(limit), Some(resets)) = (budget.limit, budget.resets_at) {
                let left = budget.remaining.filter(|left| *left > 0).unwrap_or(limit);
                let window_s = now.until(resets).as_secs_f64().max(1.0);
                paces.push((left as f64 / window_s, "the budget that the host's answers name"));
            }
            if let (Some(p50_ms), true) = (snapshot.last_hour.p50_ms, snapshot.in_flight_limit > 0)
            {
                let rate = f64::from(snapshot.in_flight_limit) * 1000.0 / p50_ms.max(0.1);
                paces.push((rate, "the host's latency and its limit of requests in flight"));
            }
        }
        let tightest = paces.into_iter().min_by(|a, b| a.0.total_cmp(&b.0));
        let ahead = waiting + deliveries as u64;
        let seconds = tightest.map(|(rate, _)| ahead as f64 / rate.max(1e-6));
        let done_at = seconds.map(|seconds| start.plus(Duration::from_secs_f64(seconds.min(1e9))));
        let basis = match tightest {
            Some((_, basis)) => basis.to_owned(),
            None => "nothing was sent to the host yet, and no limit is known".to_owned(),
        };
        let rate = tightest.map(|(rate, _)| rate);
        Ok(DryRunHost { host, deliveries, waiting, rate, done_at, basis })
    }
}

#[derive(Default)]
struct Tally {
    recipients: usize,
    cut: bool,
    skipped: BTreeMap<&'static str, usize>,
    hosts: BTreeMap<HostName, usize>,
}
