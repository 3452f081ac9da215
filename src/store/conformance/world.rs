//! What the claims are told in: a store with a listener, hosts, and deliveries made of few words.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;

use crate::model::{
    Answer, Attempt, Delivery, DeliveryId, End, Header, HostName, HostNumber, Method, OnFailure,
    Outcome, Pending, Priority, Settlement, StoredState, Target, Timestamp, Timings, Verdict,
    Webhook,
};
use crate::store::{
    Acceptance, Accepted, DeliveryRecord, PendingSink, Released, Store, StoreFuture,
};

/// Where every claim's time begins.
pub(super) const T0: Timestamp = Timestamp::from_millis(1_795_503_600_000);
/// The default time to live of the claims' deliveries.
pub(super) const TTL: Duration = Duration::from_secs(3_600);

/// `secs` after the beginning.
pub(super) fn at(secs: u64) -> Timestamp {
    T0.plus(Duration::from_secs(secs))
}

#[derive(Default)]
struct Heard(Mutex<Vec<DeliveryId>>);

impl PendingSink for Heard {
    fn pending(&self, entries: Vec<(HostName, Pending)>) {
        let ids = entries.into_iter().map(|(host, entry)| {
            assert!(!host.as_str().is_empty(), "an announced delivery names its host");
            entry.id
        });
        self.0.lock().expect("no claim panics in here").extend(ids);
    }
}

/// A store under exercise.
pub(super) struct World {
    pub store: Arc<dyn Store>,
    heard: Arc<Heard>,
    dice: AtomicU64,
}

impl World {
    pub(super) fn new(make: &dyn Fn() -> Arc<dyn Store>) -> Self {
        let store = make();
        let heard = Arc::new(Heard::default());
        store.subscribe(heard.clone());
        Self { store, heard, dice: AtomicU64::new(1) }
    }

    /// What the sink heard since it was last asked.
    pub(super) fn heard(&self) -> Vec<DeliveryId> {
        std::mem::take(&mut *self.heard.0.lock().expect("no claim panics in here"))
    }

    pub(super) fn host(&self, name: &str) -> HostNumber {
        get(self.store.number(HostName::from_normalised(name)))
    }

    /// A delivery to a host, accepted at the beginning and due at once.
    pub(super) fn delivery(&self, host: &str) -> Delivery {
        self.delivery_at(host, T0)
    }

    pub(super) fn delivery_at(&self, host: &str, accepted: Timestamp) -> Delivery {
        let random = self.dice.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let id = DeliveryId::new(accepted, self.host(host), random);
        let header = Header { name: "x-note".into(), value: "kept as given".into() };
        let webhook = Webhook {
            method: Method::Post,
            target: Target::from_vetted(&format!("https://{host}/hook?a=b")).expect("a url"),
            headers: vec![header],
            body: Bytes::from(format!("{{\"to\":\"{host}\"}}")),
            secret_refs: vec!["main".into(), "crm".into()],
        };
        Delivery {
            id,
            trigger: id.trigger(),
            host: HostName::from_normalised(host),
            workspace: 0,
            hop: 0,
            provenance: None,
            accepted,
            due: accepted,
            expires: accepted.plus(TTL),
            ttl: TTL,
            ttl_custom: false,
            priority: Priority::Normal,
            ordering_key: None,
            on_failure: OnFailure::Continue,
            metadata: Vec::new(),
            webhook: Arc::new(webhook),
        }
    }

    /// A delivery with an ordering key.
    pub(super) fn keyed(&self, host: &str, key: &str, on_failure: OnFailure) -> Delivery {
        let ordering_key = Some(key.into());
        Delivery { ordering_key, on_failure, ..self.delivery(host) }
    }

    /// Accepts one delivery, which must be new.
    pub(super) fn accept(&self, delivery: Delivery) -> DeliveryId {
        let id = delivery.id;
        let accepted = get(self.store.accept(of_one(delivery)));
        assert_eq!(accepted, Accepted::New);
        id
    }

    /// Accepts plain deliveries to a host.
    pub(super) fn accept_plain(&self, host: &str, count: usize) -> Vec<DeliveryId> {
        (0..count).map(|_| self.accept(self.delivery(host))).collect()
    }

    /// Ends a delivery without an attempt.
    pub(super) fn end(&self, id: DeliveryId, end: End) -> Released {
        let verdict = Verdict::End(end);
        get(self.store.settle(
            crate::store::Tenure::SOLE,
            vec![Settlement { id, verdict, at: at(1), attempt: None }],
            vec![],
        ))
    }

    /// Carries out the verdict of an attempt.
    pub(super) fn attempt(&self, id: DeliveryId, number: u32, verdict: Verdict) -> Released {
        get(self.store.settle(crate::store::Tenure::SOLE, vec![tried(id, number, verdict)], vec![]))
    }

    pub(super) fn find(&self, id: DeliveryId) -> DeliveryRecord {
        get(self.store.find(id)).expect("the delivery is kept")
    }

    pub(super) fn state(&self, id: DeliveryId) -> StoredState {
        self.find(id).state
    }

    pub(super) fn page(&self, host: &str) -> Vec<DeliveryId> {
        let entries = self.pending(self.host(host), 1_000);
        entries.iter().map(|entry| entry.id).collect()
    }

    /// The first pending deliveries of each lane of a host, lane after lane.
    pub(super) fn pending(&self, host: HostNumber, limit: usize) -> Vec<Pending> {
        let pages = get(self.store.page(host, None, limit));
        pages.into_iter().flat_map(|page| page.rows).collect()
    }
}

/// A trigger of one delivery.
pub(super) fn of_one(delivery: Delivery) -> Acceptance {
    Acceptance::of(vec![Arc::new(delivery)])
}

/// An attempt that was answered 503, and what was decided.
pub(super) fn tried(id: DeliveryId, number: u32, verdict: Verdict) -> Settlement {
    let answer = Answer {
        status: 503,
        headers: vec![Header { name: "retry-after".into(), value: "7".into() }],
        body: Bytes::from_static(b"busy\xff"),
        body_truncated: true,
    };
    let timings = Timings { dns_us: Some(5), total_us: 900, ..Timings::default() };
    let outcome = Outcome::Answered(answer);
    let attempt = Attempt { number, started: T0, outcome, timings };
    Settlement { id, verdict, at: at(1), attempt: Some(attempt) }
}

/// The ids that were released.
pub(super) fn ids(released: &Released) -> Vec<DeliveryId> {
    released.iter().map(|(_, entry)| entry.id).collect()
}

/// Waits for an operation that must succeed.
pub(super) fn get<T>(operation: StoreFuture<T>) -> T {
    block_on(operation).expect("the store does what it is asked")
}
