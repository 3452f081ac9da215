//! Raising one alert: as an event of its workspace, which starts what is composed for it, and as a
//! webhook to the fixed URL and an entry of the activity log, in one commit with the record that says
//! that it was raised.
//!
//! The event goes first, under an idempotency key of its own: who breaks off between the two begins
//! again, and the event starts nothing twice.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::alert::{ALERT_TERM, Alert};
use super::{Alerts, Watch};
use crate::admission::{Beside, Envelope, Item, Refusal, Rendered};
use crate::compose::Event;
use crate::model::{AlertKind, DEFAULT_WORKSPACE, Method, Provenance, Target, Timestamp};
use crate::store::{Expect, RecordKind, RecordWrite, Writes};

/// How long it is remembered that an alert was raised: a repeat comes much sooner.
const REMEMBERED: Duration = Duration::from_secs(2 * 86_400);
/// 'Once a day'.
const DAY: Duration = Duration::from_secs(86_400);
/// Keys of what was raised begin so.
const RAISED: &str = "raised/";
/// Keys of what is told once a day begin so.
const TOLD: &str = "told/";

impl Alerts {
    /// Raises an alert, unless it was raised before, is not wanted, or comes too soon. `beside` is
    /// written in any case. An error is the store's: the same call may be made again.
    pub(super) async fn raise(
        &self,
        watch: &mut Watch,
        alert: &Alert,
        beside: Vec<RecordWrite>,
    ) -> Result<(), Refusal> {
        let now = self.clock.wall();
        let left_out = match self.is_wanted(alert, now).await? {
            true => watch.quota.admit((alert.workspace, alert.kind), now),
            false => None,
        };
        let Some(left_out) = left_out else {
            let writes = Writes { records: beside, ..Writes::default() };
            return self.write(DEFAULT_WORKSPACE, writes, now).await;
        };
        self.start_what_waits_for_it(alert, left_out, now).await?;
        self.send_and_note(alert, left_out, beside, now).await?;
        log::warn!(
            kind = alert.kind.as_str(), host:% = alert.host, workspace = alert.workspace;
            "alert: {}", alert.text
        );
        Ok(())
    }

    /// Whether it is of a kind that is asked for, and was not raised yet, or today.
    async fn is_wanted(&self, alert: &Alert, now: Timestamp) -> Result<bool, Refusal> {
        if !self.settings.alerts.kinds.contains(&alert.kind) {
            return Ok(false);
        }
        let keys = vec![raised_key(alert), told_key(alert)];
        let found = self.store.records(alert.workspace, RecordKind::Alert, keys).await?;
        let raised = found[0].is_some();
        let told_today = found[1].as_ref().and_then(|record| record.due).is_some_and(|it| it > now);
        let is_too_soon = told_today && self.is_once_a_day(alert.kind);
        Ok(!raised && !is_too_soon)
    }

    /// The sum of a day's errors stays above its threshold for long.
    fn is_once_a_day(&self, kind: AlertKind) -> bool {
        kind == AlertKind::EndpointErrors || self.settings.alerts.once_a_day.contains(&kind)
    }

    async fn start_what_waits_for_it(
        &self,
        alert: &Alert,
        left_out: u64,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let composer = self.composers.open(alert.workspace).await?;
        let event = Event {
            external_id: alert.external_id(),
            name: alert.kind.event(),
            properties: alert.properties(left_out),
            hop: alert.hop,
        };
        let key = alert.key();
        // Keys of callers have no control character.
        let request = (&Bytes::from(key.clone()), Some(format!("\u{1}alert/{key}")));
        match composer.event(&event, request, now).await {
            Ok(_) => Ok(()),
            Err(refusal) if is_of_the_store(&refusal) => Err(refusal),
            Err(refusal) => {
                log::warn!(event = event.name.as_str(); "an alert started nothing: {refusal}");
                Ok(())
            }
        }
    }

    async fn send_and_note(
        &self,
        alert: &Alert,
        left_out: u64,
        beside: Vec<RecordWrite>,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let admission = self.composers.admission().within(alert.workspace);
        let items = self.webhook(alert, left_out, now).into_iter().collect();
        let prepared = admission.prepare(items, admission.new_trigger(now), now).await?;
        let mut activity: Vec<_> = alert.activity().into_iter().collect();
        for refusal in prepared.deliveries.iter().filter_map(|it| it.as_ref().err()) {
            log::warn!(kind = alert.kind.as_str(); "an alert could not be sent: {refusal}");
            if let Some(entry) = activity.first_mut() {
                entry.detail.push_str(&format!("; it could not be sent: {refusal}"));
            }
        }
        let due = |after| Some(now.plus(after));
        let mut records = vec![record(raised_key(alert), Expect::Absent, due(REMEMBERED))];
        if self.is_once_a_day(alert.kind) {
            records.push(record(told_key(alert), Expect::Any, due(DAY)));
        }
        // What is beside an alert is of the operators' workspace, and so is the alert then.
        debug_assert!(beside.is_empty() || alert.workspace == DEFAULT_WORKSPACE);
        records.extend(beside);
        let writes = Writes { records, activity, ..Writes::default() };
        let beside = Beside { writes, ..Beside::default() };
        match admission.accept((&Bytes::new(), None), prepared, beside, now).await {
            // Somebody else raised it.
            Ok(_) | Err(Refusal::Stale(_)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// The webhook to the fixed URL. It tells the operators of what is theirs, and nobody of the
    /// very host that it would go to.
    fn webhook(&self, alert: &Alert, left_out: u64, now: Timestamp) -> Option<Item> {
        let url = self.settings.alerts.url.as_ref()?;
        let own = Target::from_vetted(url).is_some_and(|target| *target.host() == alert.host);
        if own || alert.workspace != DEFAULT_WORKSPACE {
            return None;
        }
        let mut envelope = Envelope::plain(now, 0, &self.settings);
        envelope.metadata = vec![(ALERT_TERM.to_owned(), alert.kind.as_str().to_owned())];
        let webhook = Rendered {
            method: Method::Post,
            url: url.clone(),
            headers: Vec::new(),
            body: Some(alert.body(left_out)),
            content_type: Some("application/json"),
            secret_refs: Vec::new(),
        };
        Some(Item { webhook, envelope, provenance: Arc::new(Provenance::default()) })
    }
}

/// Whether the same may be asked again when the store is well.
fn is_of_the_store(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::Unavailable
            | Refusal::Stopping
            | Refusal::StoreFull { .. }
            | Refusal::Busy { .. }
            | Refusal::Stale(_)
            | Refusal::KeyUnderWay
    )
}

fn raised_key(alert: &Alert) -> String {
    format!("{RAISED}{}", alert.key())
}

fn told_key(alert: &Alert) -> String {
    format!("{TOLD}{}/{}", alert.kind.as_str(), alert.host)
}

fn record(key: String, expect: Expect, due: Option<Timestamp>) -> RecordWrite {
    let value = Some(Bytes::from_static(b"{}"));
    RecordWrite { kind: RecordKind::Alert, key, expect, due, value }
}
