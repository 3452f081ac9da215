//! What one trigger, event or step comes to: webhooks to be sent, and what is written beside them.
//! Gathered without waiting for anything, then made durable in one commit.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::Composer;
use super::campaign::LiveWebhook;
use super::liquid::{Budget, Scope};
use super::webhook::RenderFault;
use crate::admission::{Admitted, Beside, Envelope, Item, Prepared, Refusal, Rendered, Skipped};
use crate::model::{DeliveryId, Provenance, Timestamp, TriggerId};
use crate::store::{Activity, CountKey, RecordWrite, Writes};

/// Steps that all renderings of a batch may take: about two seconds of one core.
const FUEL: u64 = 20_000_000;
/// Bytes that all of them may come to.
const OUTPUT: usize = 64 << 20;
/// Characters of an explanation that are kept.
const DETAIL_MAX: usize = 1_000;

/// A record that depends on which of some items came in.
type Follow = Box<dyn FnOnce(&[Option<DeliveryId>]) -> Option<RecordWrite> + Send>;

/// Gathers what is to be committed.
pub(super) struct Batch {
    /// The trigger of all deliveries in it, which Liquid knows as the dispatch.
    pub(super) trigger: TriggerId,
    /// What rendering may still cost: steps, and bytes of output.
    fuel: u64,
    output: usize,
    items: Vec<Item>,
    follows: Vec<(Range<usize>, Follow)>,
    records: Vec<RecordWrite>,
    counts: HashMap<CountKey, i64>,
    activity: Vec<Activity>,
    pub(super) skipped: Vec<Skipped>,
    /// Further members of the answer.
    pub(super) about: Map<String, Value>,
    /// Whether nobody waits for the answer, so that a host whose queue is full may be waited for.
    patient: bool,
}

impl Batch {
    /// The same, but nobody waits for its answer: a host whose queue is full is waited for.
    pub(super) fn patient(self) -> Self {
        Self { patient: true, ..self }
    }

    /// Renders a webhook into the batch. What cannot be rendered is noted, and the others go on.
    pub(super) fn render(
        &mut self,
        live: &LiveWebhook,
        scope: &Scope<'_>,
        envelope: Envelope,
        provenance: &Provenance,
    ) {
        let mut provenance = provenance.clone();
        if let Some((template, version)) = &live.template {
            provenance.template = Some(template.clone());
            provenance.template_version = Some(*version);
        }
        match self.rendered(live, scope) {
            Ok(webhook) => {
                let provenance = Arc::new(provenance);
                self.items.push(Item { webhook, envelope, provenance });
            }
            Err(fault) => self.not_rendered(&fault, &provenance, scope.now),
        }
    }

    /// Renders within what is left of the batch, which has a budget as each webhook has: fifty
    /// webhooks for fifty recipients must not take minutes, nor gigabytes.
    fn rendered(&mut self, live: &LiveWebhook, scope: &Scope<'_>) -> Result<Rendered, RenderFault> {
        let whole = Budget::default();
        let fuel = whole.fuel.min(self.fuel);
        let output = whole.output.min(self.output);
        let mut budget = Budget { fuel, output, ..whole };
        let result = live.webhook.render_within(scope, &mut budget);
        self.fuel -= fuel - budget.fuel.min(fuel);
        self.output -= output - budget.output.min(output);
        result
    }

    /// Notes a webhook that cannot be rendered.
    pub(super) fn not_rendered(
        &mut self,
        fault: &RenderFault,
        provenance: &Provenance,
        now: Timestamp,
    ) {
        let (reason, detail) = match fault {
            RenderFault::Aborted(why) => ("aborted", why.clone()),
            RenderFault::Failed(fault) => ("render_failed", fault.to_string()),
        };
        self.skip(provenance, reason, &detail, now, true);
    }

    /// Somebody gets nothing, and why; `logged` when a person may want to look into it.
    pub(super) fn skip(
        &mut self,
        provenance: &Provenance,
        reason: &'static str,
        detail: &str,
        now: Timestamp,
        logged: bool,
    ) {
        let detail: String = detail.chars().take(DETAIL_MAX).collect();
        let recipient = provenance.recipient.clone();
        self.count(provenance, reason);
        if logged {
            let subject = provenance.counted().map(|(subject, _)| subject.to_owned());
            self.activity.push(Activity {
                at: now,
                kind: reason.to_owned(),
                subject: subject.or_else(|| provenance.template.clone()),
                part: Some(provenance.part()).filter(|part| !part.is_empty()),
                recipient: recipient.clone(),
                detail: detail.clone(),
                ..Activity::default()
            });
        }
        self.skipped.push(Skipped { recipient, reason, detail });
    }

    /// Counts something under a campaign or canvas.
    pub(super) fn count(&mut self, provenance: &Provenance, what: &str) {
        let Some((subject, part)) = provenance.counted() else { return };
        let key = CountKey { subject: subject.to_owned(), part, what: what.to_owned() };
        *self.counts.entry(key).or_default() += 1;
    }

    /// The webhooks, where nothing is to be committed.
    pub(super) fn into_items(self) -> Vec<Item> {
        self.items
    }

    /// Where the next item will stand.
    pub(super) fn place(&self) -> usize {
        self.items.len()
    }

    /// Writes a record whatever comes in.
    pub(super) fn record(&mut self, write: RecordWrite) {
        self.records.push(write);
    }

    /// Writes a record that depends on which of the items from `place` on came in; it is told of
    /// each, in their order.
    pub(super) fn follow(
        &mut self,
        place: usize,
        write: impl FnOnce(&[Option<DeliveryId>]) -> Option<RecordWrite> + Send + 'static,
    ) {
        self.follows.push((place..self.items.len(), Box::new(write)));
    }

    /// Notes something in the activity log.
    pub(super) fn note(&mut self, entry: Activity) {
        self.activity.push(entry);
    }
}

impl Composer {
    /// A batch with nothing in it.
    pub(super) fn new_batch(&self, now: Timestamp) -> Batch {
        Batch {
            trigger: self.admission.new_trigger(now),
            fuel: FUEL,
            output: OUTPUT,
            items: Vec::new(),
            follows: Vec::new(),
            records: Vec::new(),
            counts: HashMap::new(),
            activity: Vec::new(),
            skipped: Vec::new(),
            about: Map::new(),
            patient: false,
        }
    }

    /// Makes a batch durable. `Refusal::Stale` when a record was changed meanwhile, or of a patient
    /// one `Refusal::HostFull`: nothing was written, and whoever gathered it has to look again.
    pub(super) async fn commit(
        &self,
        mut batch: Batch,
        (request, key): (&Bytes, Option<String>),
        now: Timestamp,
    ) -> Result<Admitted, Refusal> {
        let items = std::mem::take(&mut batch.items);
        let provenances: Vec<_> = items.iter().map(|item| item.provenance.clone()).collect();
        let prepared = self.admission.prepare(items, batch.trigger, now).await?;
        for (result, provenance) in prepared.deliveries.iter().zip(&provenances) {
            match result {
                Ok(_) => batch.count(provenance, "sent"),
                Err(refusal @ Refusal::HostFull { .. }) if batch.patient => {
                    return Err(refusal.clone());
                }
                Err(refusal) => {
                    let cut = matches!(refusal, Refusal::Loop { .. });
                    let reason = if cut { "loop_cut" } else { "refused" };
                    batch.skip(provenance, reason, &refusal.to_string(), now, true);
                }
            }
        }
        for (range, follow) in std::mem::take(&mut batch.follows) {
            let results = prepared.deliveries[range].iter();
            let ids: Vec<Option<DeliveryId>> =
                results.map(|result| result.as_ref().ok().map(|delivery| delivery.id)).collect();
            batch.records.extend(follow(&ids));
        }
        self.accept(batch, (request, key), prepared, now).await
    }

    async fn accept(
        &self,
        batch: Batch,
        request: (&Bytes, Option<String>),
        prepared: Prepared,
        now: Timestamp,
    ) -> Result<Admitted, Refusal> {
        let Batch { records, counts, activity, skipped, about, .. } = batch;
        let wakes = records.iter().any(|record| record.due.is_some());
        let writes = Writes { records, counts: counts.into_iter().collect(), activity };
        let beside = Beside { writes, skipped, about };
        let admitted = self.admission.accept(request, prepared, beside, now).await?;
        if wakes {
            self.nudge.notify_one();
        }
        Ok(admitted)
    }

    /// Writes records alone.
    pub(super) async fn write(&self, writes: Writes, now: Timestamp) -> Result<(), Refusal> {
        let trigger = self.admission.new_trigger(now);
        let prepared = Prepared { trigger, deliveries: Vec::new() };
        let beside = Beside { writes, ..Beside::default() };
        self.admission.accept((&Bytes::new(), None), prepared, beside, now).await.map(drop)
    }
}
