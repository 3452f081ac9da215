//! The engine in simulated time: one arbiter, the memory store, scripted receivers. No sockets, no
//! threads, no sleeping: where everything waits, time jumps to the next alarm.

#![allow(dead_code)] // each test file uses its part

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::Actor;
use bytes::Bytes;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::delivery::feeder::Feeder;
use hostline::delivery::live::LiveEngine;
use hostline::delivery::router::Router;
use hostline::delivery::sender::{AttemptRequest, Report, Sender};
use hostline::delivery::shard::{ArbiterCounters, Surroundings};
use hostline::model::{
    Answer, Delivery, DeliveryId, Header, HostName, Method, OnFailure, Outcome, Pending, Priority,
    Provenance, StoredState, Target, Timestamp, Timings, Webhook,
};
use hostline::store::memory::MemoryStore;
use hostline::store::{
    Acceptance, Accepted, DeliveryRecord, DeliveryStore, PendingSink, Store, StoreLimits,
};

/// When simulated time begins.
pub const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// Runs a test on a system whose time moves only when everything waits.
pub fn simulated<T>(test: impl Future<Output = T>) -> T {
    let system = actix_rt::System::with_tokio_rt(|| {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    });
    system.block_on(test)
}

/// What a scripted receiver does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Answers so, with these headers.
    Status(u16, Vec<(&'static str, String)>),
    /// Never answers; the attempt times out after 90 s.
    Hang,
    /// Refuses the connection.
    Refuse,
    /// Breaks the task that sends it.
    Panic,
}

impl Reply {
    pub fn status(status: u16) -> Self {
        Reply::Status(status, Vec::new())
    }
}

/// One request that a receiver got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrival {
    pub at: Duration,
    pub host: String,
    pub id: DeliveryId,
    pub number: u32,
}

type Rule = Arc<dyn Fn(&Arrival) -> Reply + Send + Sync>;

#[derive(Default)]
struct World {
    scripts: HashMap<String, VecDeque<Reply>>,
    rules: HashMap<String, Rule>,
    arrivals: Vec<Arrival>,
    actors_to_break: u32,
}

/// A running engine over a store, in simulated time.
pub struct Sim {
    pub clock: Clock,
    pub store: Arc<dyn Store>,
    pub engine: LiveEngine,
    pub settings: Settings,
    world: Arc<Mutex<World>>,
    sink: Arc<Switch>,
    counter: RefCell<u64>,
}

/// A store hears of its sink once; a restart puts another feeder behind it.
#[derive(Default)]
struct Switch(Mutex<Option<Arc<Feeder>>>);

impl PendingSink for Switch {
    fn pending(&self, entries: Vec<(HostName, Pending)>) {
        if let Some(feeder) = &*self.0.lock().expect("not poisoned") {
            feeder.pending(entries);
        }
    }
}

struct Scripted {
    host: HostName,
    clock: Clock,
    world: Arc<Mutex<World>>,
}

impl Sender for Scripted {
    fn attempt(&self, request: AttemptRequest) -> LocalBoxFuture<'static, Report> {
        let at = START.until(self.clock.wall());
        let host = self.host.to_string();
        let arrival = Arrival { at, host: host.clone(), id: request.id, number: request.number };
        let reply = {
            let mut world = self.world.lock().expect("not poisoned");
            world.arrivals.push(arrival.clone());
            let scripted = world.scripts.get_mut(&host).and_then(VecDeque::pop_front);
            let rule = world.rules.get(&host).cloned();
            scripted.or_else(|| rule.map(|rule| rule(&arrival))).unwrap_or(Reply::status(200))
        };
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            let outcome = match reply {
                Reply::Status(status, headers) => answer(status, headers),
                Reply::Refuse => {
                    Outcome::NoAnswer { reason: "connection refused".into(), timed_out: false }
                }
                Reply::Hang => {
                    tokio::time::sleep(Duration::from_secs(90)).await;
                    Outcome::NoAnswer { reason: "timed out after 90s".into(), timed_out: true }
                }
                Reply::Panic => panic!("the receiver broke the sender"),
            };
            Report { outcome, timings: Timings { total_us: 1000, ..Timings::default() } }
        }
        .boxed_local()
    }
}

fn answer(status: u16, headers: Vec<(&'static str, String)>) -> Outcome {
    let headers =
        headers.into_iter().map(|(name, value)| Header { name: name.to_owned(), value }).collect();
    Outcome::Answered(Answer { status, headers, body: Bytes::new(), body_truncated: false })
}

/// What a test wants of a delivery, other than the default.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub delay: Duration,
    pub ttl: Option<Duration>,
    pub key: Option<&'static str>,
    pub block: bool,
    pub priority: Priority,
    pub workspace: u32,
    pub campaign: Option<&'static str>,
}

impl Sim {
    /// An engine over an empty store with the default settings.
    pub async fn new() -> Self {
        Self::with(Settings::default()).await
    }

    pub async fn with(mut settings: Settings) -> Self {
        settings.actors.shards = 1;
        let store = MemoryStore::new(StoreLimits { max_pending: 10_000_000 });
        let sink: Arc<Switch> = Arc::default();
        store.subscribe(sink.clone());
        Self::over(store, settings, Clock::of_runtime(START), Arc::default(), sink).await
    }

    /// Another engine over the same store and receivers, as after a restart.
    pub async fn restarted(self) -> Self {
        self.engine.quiesce(Duration::ZERO).await;
        let Self { clock, store, settings, world, sink, .. } = self;
        Self::over(store, settings, clock, world, sink).await
    }

    async fn over(
        store: Arc<dyn Store>,
        settings: Settings,
        clock: Clock,
        world: Arc<Mutex<World>>,
        sink: Arc<Switch>,
    ) -> Self {
        let (sending, time) = (world.clone(), clock.clone());
        let around = Surroundings {
            store: store.clone(),
            clock: clock.clone(),
            settings: Arc::new(settings.clone()),
            senders: Arc::new(move |host| {
                let (clock, world) = (time.clone(), sending.clone());
                let breaks = {
                    let mut world = sending.lock().expect("not poisoned");
                    let left = &mut world.actors_to_break;
                    let breaks = *left > 0;
                    *left = left.saturating_sub(1);
                    breaks
                };
                assert!(!breaks, "the actor was told to break");
                Rc::new(Scripted { host: host.clone(), clock, world }) as Rc<dyn Sender>
            }),
            registry: Arc::default(),
            controls: Arc::default(),
            feed: Arc::default(),
            holding: Arc::new(hostline::delivery::holding::Holding::sole()),
            workspaces: Arc::default(),
            vault: hostline::vault::Vault::new(store.clone(), &settings, clock.clone()),
            seed: 1,
        };
        let counters = Arc::new(ArbiterCounters::default());
        let router = Router::new(around.clone(), 0, counters.clone()).start();
        let feeder = Feeder::new(vec![(router, counters)]);
        *sink.0.lock().expect("not poisoned") = Some(feeder.clone());
        let engine = LiveEngine::new(around.clone(), feeder.clone());
        feeder.wake_all(&around).await.expect("the store works");
        actix_rt::spawn(feeder.run(around));
        Self { clock, store, engine, settings, world, sink, counter: RefCell::new(0) }
    }

    /// The next answers of a host, before its rule or 200.
    pub fn script(&self, host: &str, replies: impl IntoIterator<Item = Reply>) {
        let mut world = self.world.lock().expect("not poisoned");
        world.scripts.entry(host.to_owned()).or_default().extend(replies);
    }

    /// What a host answers to everything.
    pub fn rule(&self, host: &str, rule: impl Fn(&Arrival) -> Reply + Send + Sync + 'static) {
        let mut world = self.world.lock().expect("not poisoned");
        world.rules.insert(host.to_owned(), Arc::new(rule));
    }

    /// The next host actors that want to send break instead.
    pub fn break_actors(&self, count: u32) {
        self.world.lock().expect("not poisoned").actors_to_break = count;
    }

    /// Accepts one delivery.
    pub async fn submit(&self, host: &str, wanted: Wanted) -> DeliveryId {
        let name = HostName::from_normalised(host);
        let number = self.store.number(name.clone()).await.expect("a number");
        let random = {
            let mut counter = self.counter.borrow_mut();
            *counter += 1;
            *counter
        };
        let accepted = self.clock.wall();
        let id = DeliveryId::new(accepted, number, random);
        let due = accepted.plus(wanted.delay);
        let ttl = wanted.ttl.unwrap_or(self.settings.delivery.ttl);
        let target = Target::from_vetted(&format!("http://{host}/hook")).expect("a target");
        let webhook = Webhook {
            method: Method::Post,
            target,
            headers: Vec::new(),
            body: Bytes::from_static(b"{}"),
            secret_refs: Vec::new(),
        };
        let delivery = Delivery {
            id,
            trigger: id.trigger(),
            host: name,
            workspace: wanted.workspace,
            hop: 0,
            provenance: wanted.campaign.map(|campaign| {
                let campaign = Some(campaign.to_owned());
                Arc::new(Provenance { campaign, ..Provenance::default() })
            }),
            accepted,
            due,
            expires: due.plus(ttl),
            ttl,
            ttl_custom: wanted.ttl.is_some(),
            priority: wanted.priority,
            ordering_key: wanted.key.map(str::to_owned),
            on_failure: if wanted.block { OnFailure::Block } else { OnFailure::Continue },
            metadata: Vec::new(),
            webhook: Arc::new(webhook),
        };
        let acceptance = Acceptance::of(vec![Arc::new(delivery)]);
        let accepted = self.store.accept(acceptance).await.expect("the store works");
        assert_eq!(accepted, Accepted::New);
        id
    }

    /// Accepts `count` deliveries.
    pub async fn submit_many(&self, host: &str, count: usize) -> Vec<DeliveryId> {
        let mut ids = Vec::with_capacity(count);
        for _ in 0..count {
            ids.push(self.submit(host, Wanted::default()).await);
        }
        ids
    }

    /// Lets time pass.
    pub async fn run_for(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// What the receivers of a host got so far.
    pub fn arrivals(&self, host: &str) -> Vec<Arrival> {
        let world = self.world.lock().expect("not poisoned");
        world.arrivals.iter().filter(|arrival| arrival.host == host).cloned().collect()
    }

    pub async fn record(&self, id: DeliveryId) -> DeliveryRecord {
        self.store.find(id).await.expect("the store works").expect("known")
    }

    pub async fn state(&self, id: DeliveryId) -> StoredState {
        self.record(id).await.state
    }
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn mins(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}
