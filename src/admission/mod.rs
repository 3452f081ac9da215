//! May it come in, and what does it become: a trigger is vetted, given ids and handed to the store.
//! Whoever gets `Ok` may answer 202, since the store has it by then.
//!
//! What is refused is refused before anything is written. The order of the checks is: stopping,
//! the trigger's own words, its idempotency key, its hosts; the store has the last word.

mod body;
mod commit;
mod composed;
mod door;
mod draft;
mod headers;
mod idempotency;
mod input;
mod meter;
mod quota;
mod refusal;
mod timing;
mod url;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use futures::future::try_join_all;

pub use commit::Beside;
pub use composed::{
    ComposedTrigger, EXTERNAL_ID_MAX, HOP_HEADER, Item, RECIPIENTS_MAX, Rendered, Skipped,
    TriggerRecipient, What, vet_external_id,
};
pub use draft::{Draft, Envelope, Origin, is_traceparent};
pub(crate) use draft::{
    METADATA_KEY_MAX, METADATA_MAX, METADATA_VALUE_MAX, ORDERING_KEY_MAX, WEBHOOKS_MAX,
};
pub use idempotency::parse_header as parse_idempotency_key;
pub(crate) use input::{SecretRefs, explain, push_token};
pub use meter::Meter;
pub use refusal::{FieldError, Refusal, Want};
pub use timing::Timing;
pub(crate) use timing::{AHEAD_MAX, parse_duration};

use crate::clock::Clock;
use crate::config::{Sender, Settings};
use crate::delivery::Engine;
use crate::model::{
    DEFAULT_WORKSPACE, Delivery, DeliveryId, HostName, HostNumber, Timestamp, TriggerId, Webhook,
    WorkspacePolicy,
};
use crate::store::{Acceptance, Store, StoreError, Writes};
use crate::vault::Vault;
use commit::answer;
use door::Door;
pub use door::Place;
pub use idempotency::Claim;
use idempotency::UnderWay;
use quota::Quotas;

/// Seconds after which a full store is asked again, where it is not known how fast it gets emptier.
const FULL_AFTER_S: u32 = 30;
/// A full store is asked again when so small a part of its limit has come free: sooner, and nearly
/// all who come back would be refused again.
const FULL_ROOM: u64 = 100;

/// Lets the triggers of one workspace in. What is not of the workspace alone is shared by all.
#[derive(Clone)]
pub struct Admission {
    workspace: u32,
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    settings: Arc<Settings>,
    clock: Clock,
    keys: Arc<UnderWay>,
    door: Arc<Door>,
    meter: Arc<Meter>,
    quotas: Arc<Quotas>,
    /// Makes ids unlike: counted up from a random start, so that no two of this process meet.
    serial: Arc<AtomicU64>,
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

/// A trigger that was let in and read.
pub struct Opened<'d, 'r> {
    /// Its place at the door; free again when dropped.
    pub place: Option<Place<'d>>,
    /// When.
    pub now: Timestamp,
    /// What it says.
    pub draft: Draft<'r>,
}

/// Deliveries that have ids and are not yet durable.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The trigger of them all.
    pub trigger: TriggerId,
    /// For each item its delivery, or why it may not come in.
    pub deliveries: Vec<Result<Arc<Delivery>, Refusal>>,
}

/// What decides whether a webhook may come in, beside its own words.
struct Terms<'a> {
    settings: &'a Settings,
    vault: &'a Vault,
    workspace: u32,
    /// Where it may go; `None` while that is not known.
    policy: Option<Arc<WorkspacePolicy>>,
}

impl Terms<'_> {
    fn destinations(&self) -> Option<(&Sender, &WorkspacePolicy)> {
        self.policy.as_deref().map(|policy| (&self.settings.sender, policy))
    }
}

impl Admission {
    /// Lets triggers of the default workspace into `store`.
    pub fn new(
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        settings: Arc<Settings>,
        clock: Clock,
    ) -> Self {
        let serial = Arc::new(AtomicU64::new(fastrand::u64(..)));
        let (keys, meter, quotas) = (Arc::default(), Arc::default(), Arc::default());
        let door = Arc::new(Door::new(&settings.server));
        let workspace = DEFAULT_WORKSPACE;
        Self { workspace, store, engine, settings, clock, keys, door, meter, quotas, serial }
    }

    /// The same for another workspace.
    pub fn within(&self, workspace: u32) -> Self {
        Self { workspace, ..self.clone() }
    }

    /// Whose triggers these are.
    pub fn workspace(&self) -> u32 {
        self.workspace
    }

    /// How many deliveries come in a second.
    pub fn meter(&self) -> &Meter {
        &self.meter
    }

    /// Whether nothing is let in any more.
    pub fn is_stopping(&self) -> bool {
        self.engine.is_stopping()
    }

    /// Lets somebody in who brings something to be made durable, unless too many are inside.
    pub fn enter(&self) -> Result<Place<'_>, Refusal> {
        if self.engine.is_stopping() {
            return Err(Refusal::Stopping);
        }
        self.vet_rate()?;
        self.door.enter(self.clock.moment(), || ended(&*self.store))
    }

    /// Counts a trigger towards what the workspace may bring in a second.
    fn vet_rate(&self) -> Result<(), Refusal> {
        let Some(limit) = self.policy().triggers_per_second else { return Ok(()) };
        let taken = self.quotas.take(self.workspace, limit, self.clock.moment());
        taken.map_err(|wait| Refusal::WorkspaceRate { limit, wait })
    }

    /// Lets a trigger in, and reads and vets what it says.
    pub fn open<'r>(
        &self,
        request: &'r Bytes,
        origin: &Origin<'_>,
    ) -> Result<Opened<'_, 'r>, Refusal> {
        if self.engine.is_stopping() {
            return Err(Refusal::Stopping);
        }
        self.vet_hop(origin.hop)?;
        // The items of a batch wait for each other already.
        let place = match origin.alone {
            true => Some(self.enter()?),
            false => {
                self.vet_rate()?;
                None
            }
        };
        let now = self.clock.wall();
        let draft = draft::read(request, origin, &self.terms(), now)?;
        Ok(Opened { place, now, draft })
    }

    /// What holds for the workspace that asks.
    fn policy(&self) -> Arc<WorkspacePolicy> {
        self.engine.workspaces().policy(self.workspace)
    }

    /// Refuses what too many of our own webhooks led to.
    pub fn vet_hop(&self, hop: u8) -> Result<(), Refusal> {
        match hop > self.settings.compose.max_hops {
            true => Err(Refusal::Loop { hops: hop, max: self.settings.compose.max_hops }),
            false => Ok(()),
        }
    }

    /// Holds an idempotency key until the answer is dropped.
    pub fn claim(&self, key: Option<&str>) -> Result<Option<Claim<'_>>, Refusal> {
        let claim = |key| self.keys.claim(self.workspace, key).ok_or(Refusal::KeyUnderWay);
        key.map(claim).transpose()
    }

    /// Makes a trigger with webhooks of its own durable.
    pub async fn admit(
        &self,
        request: &Bytes,
        (mut webhooks, envelope): (Vec<Webhook>, Envelope),
        now: Timestamp,
    ) -> Result<Admitted, Refusal> {
        let key = envelope.idempotency_key.clone();
        let _claim = self.claim(key.as_deref())?;
        if !self.settings.compose.own_hosts.is_empty() {
            for webhook in &mut webhooks {
                let host = webhook.target.host().clone();
                let headers = &mut webhook.headers;
                composed::count_hop(headers, &host, envelope.hop, &self.settings);
            }
        }
        let numbers = self.numbers(&webhooks).await?;
        let deliveries = self.deliveries(webhooks, &envelope, &numbers, now);
        let answer = answer(deliveries[0].trigger, &deliveries, &Beside::default());
        let idempotency = key.map(|key| self.idempotency(key, request, &answer, now));
        let writes = Writes::default();
        let acceptance =
            Acceptance { workspace: self.workspace, at: now, deliveries, idempotency, writes };
        self.commit(acceptance, answer).await
    }

    /// Vets a composed webhook.
    pub fn vet(&self, webhook: Rendered, hop: u8) -> Result<Webhook, FieldError> {
        webhook.vet(hop, &self.terms())
    }

    /// Vets a webhook whose URL stands for one that is rendered later, which is asked then whether
    /// it may go there.
    pub fn vet_all_but_destination(&self, webhook: Rendered) -> Result<Webhook, FieldError> {
        webhook.vet(0, &Terms { policy: None, ..self.terms() })
    }

    /// What a webhook is vetted by.
    fn terms(&self) -> Terms<'_> {
        let vault = self.engine.vault();
        let policy = Some(self.policy());
        Terms { settings: &self.settings, vault, workspace: self.workspace, policy }
    }

    /// Vets composed webhooks and gives them ids. An item that may not come in does not hold up
    /// the others.
    pub async fn prepare(
        &self,
        items: Vec<Item>,
        trigger: TriggerId,
        now: Timestamp,
    ) -> Result<Prepared, Refusal> {
        let mut deliveries = Vec::with_capacity(items.len());
        for item in items {
            let delivery = match self.prepare_one(item, trigger, now).await {
                // A store that cannot write refuses the whole.
                Err(refusal @ (Refusal::Unavailable | Refusal::Stopping)) => return Err(refusal),
                other => other,
            };
            deliveries.push(delivery);
        }
        Ok(Prepared { trigger, deliveries })
    }

    async fn prepare_one(
        &self,
        item: Item,
        trigger: TriggerId,
        now: Timestamp,
    ) -> Result<Arc<Delivery>, Refusal> {
        let Item { webhook, envelope, provenance } = item;
        // A journey goes on after the limit was lowered; an event may come from anywhere.
        self.vet_hop(envelope.hop)?;
        let webhook = webhook.vet(envelope.hop, &self.terms()).map_err(Refusal::Invalid)?;
        let number = self.numbers(std::slice::from_ref(&webhook)).await?[0];
        let id = DeliveryId::new(now, number, self.next_serial());
        let delivery = self.delivery((id, trigger), webhook, &envelope, now);
        Ok(Arc::new(Delivery { provenance: Some(provenance), ..delivery }))
    }

    /// The id of a trigger whose deliveries do not have theirs yet.
    pub fn new_trigger(&self, now: Timestamp) -> TriggerId {
        DeliveryId::new(now, HostNumber(0), self.next_serial()).trigger()
    }

    fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
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
        if let Some(limit) = self.policy().max_pending
            && self.store.pending_of_lane(self.workspace) + webhooks.len() as u64 > limit
        {
            return Err(Refusal::WorkspaceFull { limit });
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
        webhooks: Vec<Webhook>,
        envelope: &Envelope,
        numbers: &[HostNumber],
        now: Timestamp,
    ) -> Vec<Arc<Delivery>> {
        let mut trigger = None;
        let deliveries = webhooks.into_iter().zip(numbers).map(|(webhook, number)| {
            let id = DeliveryId::new(now, *number, self.next_serial());
            let trigger = *trigger.get_or_insert(id.trigger());
            Arc::new(self.delivery((id, trigger), webhook, envelope, now))
        });
        deliveries.collect()
    }

    fn delivery(
        &self,
        (id, trigger): (DeliveryId, TriggerId),
        webhook: Webhook,
        envelope: &Envelope,
        now: Timestamp,
    ) -> Delivery {
        let timing = envelope.timing;
        Delivery {
            id,
            trigger,
            host: webhook.target.host().clone(),
            workspace: self.workspace,
            hop: envelope.hop,
            provenance: None,
            accepted: now,
            due: timing.due,
            expires: timing.expires,
            ttl: timing.ttl,
            ttl_custom: timing.ttl_custom,
            priority: envelope.priority,
            ordering_key: envelope.ordering_key.clone(),
            on_failure: envelope.on_failure,
            metadata: envelope.metadata.clone(),
            webhook: Arc::new(webhook),
        }
    }
}

/// Deliveries that ever came to an end.
fn ended(store: &dyn Store) -> u64 {
    let counts = store.counts();
    let undelivered = counts.failed + counts.exhausted + counts.expired + counts.cancelled;
    counts.delivered + undelivered
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        refusal(error)
    }
}

fn refusal(error: StoreError) -> Refusal {
    log::debug!("refused: {error}");
    match error {
        StoreError::Full { max_pending } => {
            Refusal::StoreFull { limit: max_pending, after_s: FULL_AFTER_S }
        }
        StoreError::Closed(_) => Refusal::Stopping,
        StoreError::Unavailable(_) | StoreError::Unknown(_) | StoreError::Fenced => {
            Refusal::Unavailable
        }
    }
}
