//! May it come in, and what does it become: a trigger is vetted, given ids and handed to the store.
//! Whoever gets `Ok` may answer 202, since the store has it by then.
//!
//! What is refused is refused before anything is written. The order of the checks is: stopping,
//! the trigger's own words, its idempotency key, its hosts; the store has the last word.

mod body;
mod door;
mod draft;
mod headers;
mod idempotency;
mod input;
mod meter;
mod refusal;
mod timing;
mod url;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::try_join_all;
use serde::Serialize;

pub use draft::{Origin, is_traceparent};
pub use idempotency::parse_header as parse_idempotency_key;
pub(crate) use input::explain;
pub use meter::Meter;
pub use refusal::{FieldError, Refusal};

use crate::clock::Clock;
use crate::config::Settings;
use crate::delivery::Engine;
use crate::model::{Delivery, DeliveryId, HostName, HostNumber, Timestamp, TriggerId, Webhook};
use crate::store::{Acceptance, Accepted, Idempotency, Store, StoreError};
use door::Door;
use draft::Draft;
use idempotency::UnderWay;

/// The only workspace until workspaces are used.
const WORKSPACE: u32 = 0;
/// The answer of a trigger begins so; a replayed one is read back by it.
const ANSWER_HEAD: &str = "{\"trigger\":\"";
/// Characters of an id.
const ID_LENGTH: usize = 36;

/// Lets triggers in. One for all front-end threads.
pub struct Admission {
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    settings: Arc<Settings>,
    clock: Clock,
    keys: UnderWay,
    door: Door,
    meter: Meter,
    /// Makes ids unlike: counted up from a random start, so that no two of this process meet.
    serial: AtomicU64,
}

/// A trigger that is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Its id.
    pub trigger: TriggerId,
    /// The answer, as JSON text.
    pub answer: Bytes,
    /// How many deliveries it asked for; 0 for a replay.
    pub deliveries: usize,
    /// Whether this repeats the answer to an earlier request with the same idempotency key.
    pub replayed: bool,
}

/// The answer to a trigger. `trigger` stays first: see `ANSWER_HEAD`.
#[derive(Serialize)]
struct Answer<'a> {
    trigger: TriggerId,
    deliveries: Vec<AnswerDelivery<'a>>,
}

#[derive(Serialize)]
struct AnswerDelivery<'a> {
    id: DeliveryId,
    host: &'a HostName,
    state: &'static str,
}

impl Admission {
    /// Lets triggers into `store`.
    pub fn new(
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        settings: Arc<Settings>,
        clock: Clock,
    ) -> Self {
        let serial = AtomicU64::new(fastrand::u64(..));
        let (keys, meter) = (UnderWay::default(), Meter::default());
        let door = Door::new(settings.server.max_waiting);
        Self { store, engine, settings, clock, keys, door, meter, serial }
    }

    /// How many deliveries come in a second.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Whether nothing is let in any more.
    pub fn is_stopping(&self) -> bool {
        self.engine.is_stopping()
    }

    /// Vets a trigger and makes it durable.
    pub async fn admit(&self, request: &Bytes, origin: Origin<'_>) -> Result<Admitted, Refusal> {
        if self.engine.is_stopping() {
            return Err(Refusal::Stopping);
        }
        // The items of a batch wait for each other already.
        let _place = match origin.alone {
            true => Some(self.door.enter().ok_or(Refusal::Busy)?),
            false => None,
        };
        let now = self.clock.wall();
        let draft = draft::read(request, &origin, &self.settings, now)?;
        let _claim = match &draft.idempotency_key {
            Some(key) => Some(self.keys.claim(WORKSPACE, key).ok_or(Refusal::KeyUnderWay)?),
            None => None,
        };
        let numbers = self.numbers(&draft.webhooks).await?;
        let key = draft.idempotency_key.clone();
        let deliveries = self.deliveries(draft, &numbers, now);
        let answer = answer(&deliveries);
        let idempotency = key.map(|key| Idempotency {
            workspace: WORKSPACE,
            key,
            fingerprint: idempotency::fingerprint(request),
            answer: answer.clone(),
            expires: now.plus(idempotency::KEPT),
        });
        self.accept(Acceptance { deliveries, idempotency }, answer).await
    }

    /// Vets the hosts of a trigger and gives their numbers.
    async fn numbers(&self, webhooks: &[Webhook]) -> Result<Vec<HostNumber>, Refusal> {
        let limit = self.settings.store.max_pending_per_host;
        for webhook in webhooks {
            let host = webhook.target.host();
            if self.engine.controls(host).draining {
                return Err(Refusal::Draining(host.clone()));
            }
        }
        let numbered = webhooks.iter().map(|webhook| self.number(webhook.target.host()));
        let numbers = try_join_all(numbered).await?;
        for (webhook, number) in webhooks.iter().zip(&numbers) {
            if self.store.pending_of(*number) >= limit {
                return Err(Refusal::HostFull { host: webhook.target.host().clone(), limit });
            }
        }
        Ok(numbers)
    }

    async fn number(&self, host: &HostName) -> Result<HostNumber, Refusal> {
        if let Some(number) = self.store.known_number(host) {
            return Ok(number);
        }
        match self.store.number(host.clone()).await {
            // Asking twice gives the same number, so a lost answer costs nothing.
            Err(StoreError::Unknown(_)) => self.store.number(host.clone()).await.map_err(refusal),
            other => other.map_err(refusal),
        }
    }

    fn deliveries(
        &self,
        draft: Draft,
        numbers: &[HostNumber],
        now: Timestamp,
    ) -> Vec<Arc<Delivery>> {
        let Draft { webhooks, timing, priority, ordering_key, on_failure, metadata, .. } = draft;
        let mut trigger = None;
        let deliveries = webhooks.into_iter().zip(numbers).map(|(webhook, number)| {
            let id = DeliveryId::new(now, *number, self.serial.fetch_add(1, Ordering::Relaxed));
            let trigger = *trigger.get_or_insert(id.trigger());
            Arc::new(Delivery {
                id,
                trigger,
                host: webhook.target.host().clone(),
                workspace: WORKSPACE,
                hop: 0,
                accepted: now,
                due: timing.due,
                expires: timing.expires,
                ttl: timing.ttl,
                ttl_custom: timing.ttl_custom,
                priority,
                ordering_key: ordering_key.clone(),
                on_failure,
                metadata: metadata.clone(),
                webhook: Arc::new(webhook),
            })
        });
        deliveries.collect()
    }

    async fn accept(&self, acceptance: Acceptance, answer: Bytes) -> Result<Admitted, Refusal> {
        let trigger = acceptance.deliveries[0].trigger;
        let count = acceptance.deliveries.len();
        let again = acceptance.clone();
        let accepted = match self.store.accept(acceptance).await {
            // The outcome of the commit was lost. The same ids go again, so nothing is doubled.
            Err(StoreError::Unknown(_)) => match self.store.accept(again).await {
                // The answer carries the ids: our own answer means that the first call went through.
                Ok(Accepted::Replayed(earlier)) if earlier == answer => Ok(Accepted::New),
                other => other,
            },
            other => other,
        };
        match accepted.map_err(refusal)? {
            Accepted::New => {
                self.meter.add(self.clock.moment(), count as u64);
                Ok(Admitted { trigger, answer, deliveries: count, replayed: false })
            }
            Accepted::Replayed(answer) => {
                let trigger = trigger_of(&answer).unwrap_or(trigger);
                Ok(Admitted { trigger, answer, deliveries: 0, replayed: true })
            }
            Accepted::KeyReused => Err(Refusal::KeyReused),
        }
    }
}

fn answer(deliveries: &[Arc<Delivery>]) -> Bytes {
    let answer = Answer {
        trigger: deliveries[0].trigger,
        deliveries: deliveries
            .iter()
            .map(|delivery| AnswerDelivery {
                id: delivery.id,
                host: &delivery.host,
                state: if delivery.due > delivery.accepted { "scheduled" } else { "waiting" },
            })
            .collect(),
    };
    serde_json::to_vec(&answer).expect("an answer is plain data").into()
}

/// The trigger that a recorded answer names.
fn trigger_of(answer: &[u8]) -> Option<TriggerId> {
    let id = answer.strip_prefix(ANSWER_HEAD.as_bytes())?.get(..ID_LENGTH)?;
    std::str::from_utf8(id).ok()?.parse().ok()
}

fn refusal(error: StoreError) -> Refusal {
    log::debug!("trigger refused: {error}");
    match error {
        StoreError::Full { max_pending } => Refusal::StoreFull { limit: max_pending },
        StoreError::Closed(_) => Refusal::Stopping,
        StoreError::Unavailable(_) | StoreError::Unknown(_) => Refusal::Unavailable,
    }
}
