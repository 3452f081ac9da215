//! The commit of what was let in, and the answer that is kept with it.
//!
//! The answer of a commit can get lost. It is then asked for again with the same ids, and what the
//! store says decides: deliveries and idempotency keys are known to it, and of a record it can be
//! seen whether it holds what was written.

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Map, Value};

use super::composed::Skipped;
use super::{Admission, Admitted, FULL_ROOM, Prepared, Refusal, idempotency, refusal};
use crate::model::{Delivery, DeliveryId, HostName, Timestamp, TriggerId};
use crate::policy::intake::drained_after_s;
use crate::store::{
    Acceptance, Accepted, Expect, Idempotency, RecordKind, RecordWrite, StoreError, Writes,
};

/// The answer of a trigger begins so; a replayed one is read back by it.
const ANSWER_HEAD: &str = "{\"trigger\":\"";
/// Characters of an id.
const ID_LENGTH: usize = 36;

/// What composition commits beside its deliveries.
#[derive(Debug, Default)]
pub struct Beside {
    /// Records, counts, activity.
    pub writes: Writes,
    /// Who gets nothing; told in the answer.
    pub skipped: Vec<Skipped>,
    /// Further members of the answer.
    pub about: Map<String, Value>,
}

/// The answer to a trigger. `trigger` stays first: see `ANSWER_HEAD`.
#[derive(Serialize)]
struct Answer<'a> {
    trigger: TriggerId,
    deliveries: Vec<AnswerDelivery<'a>>,
    #[serde(skip_serializing_if = "<[Skipped]>::is_empty")]
    skipped: &'a [Skipped],
    #[serde(flatten)]
    about: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct AnswerDelivery<'a> {
    id: DeliveryId,
    host: &'a HostName,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
}

/// Whether a record is a new journey or schedule, which somebody else may have moved on before a
/// lost answer is asked for again.
fn begins_something(write: &RecordWrite) -> bool {
    let kind = matches!(write.kind, RecordKind::Journey | RecordKind::Schedule);
    kind && write.expect == Expect::Absent
}

impl Admission {
    /// Makes prepared deliveries durable, and what is written beside them. `Refusal::Stale` when a
    /// record was changed meanwhile: nothing was written then.
    pub async fn accept(
        &self,
        (request, key): (&Bytes, Option<String>),
        prepared: Prepared,
        beside: Beside,
        now: Timestamp,
    ) -> Result<Admitted, Refusal> {
        let deliveries: Vec<_> = prepared.deliveries.into_iter().filter_map(Result::ok).collect();
        let answer = answer(prepared.trigger, &deliveries, &beside);
        // Without a delivery a repeat after a lost answer is known by nothing but a key of our own;
        // those of callers have no control character.
        let own = deliveries.is_empty() && beside.writes.records.iter().any(begins_something);
        let key = key.or_else(|| own.then(|| format!("\u{1}{}", prepared.trigger)));
        let idempotency = key.map(|key| self.idempotency(key, request, &answer, now));
        let writes = beside.writes;
        let workspace = self.workspace;
        self.commit(Acceptance { workspace, at: now, deliveries, idempotency, writes }, answer)
            .await
    }

    /// The answer that an earlier request with this key got, if there was one: what was answered
    /// stands, whatever has changed meanwhile. Nothing is written.
    pub async fn answered(
        &self,
        request: &Bytes,
        key: String,
        now: Timestamp,
    ) -> Result<Option<Admitted>, Refusal> {
        // The store looks at the key first. No record has the version 0, so that it goes no further.
        let never = RecordWrite {
            kind: RecordKind::Progress,
            key: String::new(),
            expect: Expect::Version(0),
            due: None,
            value: None,
        };
        let idempotency = Some(self.idempotency(key, request, &Bytes::new(), now));
        let writes = Writes { records: vec![never], ..Writes::default() };
        let (workspace, deliveries) = (self.workspace, Vec::new());
        let acceptance = Acceptance { workspace, at: now, deliveries, idempotency, writes };
        match self.store.accept(acceptance).await.map_err(refusal)? {
            Accepted::Replayed(answer) => Ok(replayed(answer)),
            Accepted::KeyReused => Err(Refusal::KeyReused),
            Accepted::New | Accepted::Stale(_) => Ok(None),
        }
    }

    pub(super) fn idempotency(
        &self,
        key: String,
        request: &[u8],
        answer: &Bytes,
        now: Timestamp,
    ) -> Idempotency {
        Idempotency {
            workspace: self.workspace,
            key,
            fingerprint: idempotency::fingerprint(request),
            answer: answer.clone(),
            expires: now.plus(idempotency::KEPT),
        }
    }

    pub(super) async fn commit(
        &self,
        acceptance: Acceptance,
        answer: Bytes,
    ) -> Result<Admitted, Refusal> {
        let trigger = trigger_of(&answer).expect("an answer begins with its trigger");
        let count = acceptance.deliveries.len();
        let again = acceptance.clone();
        let began = self.clock.moment();
        let accepted = match self.store.accept(acceptance).await {
            Err(StoreError::Unknown(why)) => self.commit_again(again, &answer, why).await,
            other => other,
        };
        match accepted.map_err(|error| self.told(error))? {
            Accepted::New => {
                let now = self.clock.moment();
                // The wait of many at once says nothing of what one has to wait.
                if count <= 1 {
                    self.door.waited(now.since(began));
                }
                self.meter.add(now, count as u64);
                Ok(Admitted { trigger, answer, deliveries: count, replayed: false })
            }
            Accepted::Replayed(answer) => replayed(answer).ok_or(Refusal::Unavailable),
            Accepted::KeyReused => Err(Refusal::KeyReused),
            Accepted::Stale(place) => Err(Refusal::Stale(place)),
        }
    }

    /// A refusal of the store's; of a full one it is known how fast it gets emptier.
    fn told(&self, error: StoreError) -> Refusal {
        let refused = refusal(error);
        match (&refused, self.door.ends_per_s()) {
            (Refusal::StoreFull { limit, .. }, per_s) if per_s > 0.0 => {
                let after_s = drained_after_s(limit / FULL_ROOM, per_s, fastrand::f64());
                Refusal::StoreFull { limit: *limit, after_s }
            }
            _ => refused,
        }
    }

    /// The outcome of the commit was lost. The same ids go again, so nothing is doubled.
    async fn commit_again(
        &self,
        acceptance: Acceptance,
        answer: &Bytes,
        why: String,
    ) -> Result<Accepted, StoreError> {
        let records = acceptance.writes.records.clone();
        let conditional = |write: &RecordWrite| write.expect != Expect::Any;
        let known_again = !acceptance.deliveries.is_empty()
            || acceptance.idempotency.is_some()
            || records.iter().any(conditional);
        if !known_again && !acceptance.writes.counts.is_empty() {
            // Counts alone cannot be told from those of the first time; the caller may ask again.
            return Err(StoreError::Unknown(why));
        }
        match self.store.accept(acceptance).await? {
            // The answer carries the ids: our own answer means that the first call went through.
            Accepted::Replayed(earlier) if earlier == *answer => Ok(Accepted::New),
            Accepted::Stale(_) if self.is_in_force(&records).await? => Ok(Accepted::New),
            other => Ok(other),
        }
    }

    /// Whether every record with a condition is as these writes leave it. Whoever changes records
    /// of one key holds it meanwhile, so that nobody else has written the same.
    async fn is_in_force(&self, writes: &[RecordWrite]) -> Result<bool, StoreError> {
        for write in writes {
            let version = match write.expect {
                Expect::Any => continue,
                Expect::Absent => 1,
                Expect::Version(version) => version + 1,
            };
            let found = self.store.records(self.workspace, write.kind, vec![write.key.clone()]);
            let found = found.await?.remove(0);
            let as_written = match (&write.value, &found) {
                (None, None) => true,
                (Some(value), Some(found)) => found.version == version && found.value == *value,
                _ => false,
            };
            if !as_written {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn replayed(answer: Bytes) -> Option<Admitted> {
    let trigger = trigger_of(&answer)?;
    Some(Admitted { trigger, answer, deliveries: 0, replayed: true })
}

pub(super) fn answer(trigger: TriggerId, deliveries: &[Arc<Delivery>], beside: &Beside) -> Bytes {
    let Beside { skipped, about, .. } = beside;
    let deliveries = deliveries.iter().map(|delivery| AnswerDelivery {
        id: delivery.id,
        host: &delivery.host,
        state: if delivery.due > delivery.accepted { "scheduled" } else { "waiting" },
        recipient: recipient_of(delivery),
    });
    let answer = Answer { trigger, deliveries: deliveries.collect(), skipped, about };
    serde_json::to_vec(&answer).expect("an answer is plain data").into()
}

fn recipient_of(delivery: &Delivery) -> Option<&str> {
    delivery.provenance.as_ref()?.recipient.as_deref()
}

/// The trigger that a recorded answer names.
fn trigger_of(answer: &[u8]) -> Option<TriggerId> {
    let id = answer.strip_prefix(ANSWER_HEAD.as_bytes())?.get(..ID_LENGTH)?;
    std::str::from_utf8(id).ok()?.parse().ok()
}
