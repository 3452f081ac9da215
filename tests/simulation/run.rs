//! Lives through a history: builds the engine over the store, does what the plan says, and looks
//! after each step whether the promises are kept.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use actix::Actor;
use bytes::Bytes;
use futures::FutureExt;
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::delivery::feeder::Feeder;
use hostline::delivery::live::LiveEngine;
use hostline::delivery::router::Router;
use hostline::delivery::sender::Sender;
use hostline::delivery::shard::{ArbiterCounters, Surroundings};
use hostline::delivery::{Cancelled, Engine, HostCondition};
use hostline::model::{
    Delivery, DeliveryId, End, HostControls, HostName, LimitOverrides, Method, OnFailure, Pending,
    PolicyOverrides, StoredState, Target, Timestamp, Webhook,
};
use hostline::store::memory::MemoryStore;
use hostline::store::{
    Acceptance, Accepted, DeliveryStore, HostStore, PendingSink, StoreError, StoreLimits,
};

use crate::common::{START, simulated};
use crate::faulty::{Faulty, Mood};
use crate::plan::{Event, Plan, Wish, host_name};
use crate::world::{Limits, Owed, World, limits_of};

/// What becomes good is given this long: lost hints are made good within a minute and retries
/// within half a one, and slow hosts have whole queues to work off.
const PATIENCE: Duration = Duration::from_secs(1800);
/// Work that is due for so long, and not sent though nothing hinders, is overlooked.
const OVERLOOKED: Duration = Duration::from_secs(10);
/// Actors that nothing holds are gone after their timeout and the store's last answers.
const QUIET: Duration = Duration::from_secs(100);

/// Hands what became pending to the feeder of the life that is.
#[derive(Default)]
struct Switch(Mutex<Option<Arc<Feeder>>>, Mutex<Option<Arc<World>>>);

impl PendingSink for Switch {
    fn pending(&self, entries: Vec<(HostName, Pending)>) {
        if let Some(world) = &*self.1.lock().expect("not poisoned") {
            let left = &world.lost_hints;
            let lost =
                left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            if lost.is_ok() {
                return world.say("news of the store is lost");
            }
        }
        if let Some(feeder) = &*self.0.lock().expect("not poisoned") {
            feeder.pending(entries);
        }
    }
}

/// What came of a history.
pub struct Lived {
    pub violations: Vec<String>,
    pub history: String,
    pub requests: usize,
    pub deliveries: usize,
    pub time: Duration,
}

/// Lives through a plan.
pub fn live(plan: &Plan) -> Lived {
    let settings = Arc::new(plan.settings.clone());
    let store = MemoryStore::new(StoreLimits { max_pending: 1_000_000 });
    let hosts = plan.tempers.iter().enumerate().map(|(host, temper)| {
        let name = HostName::from_normalised(&host_name(host));
        let number = store.number(name.clone()).now_or_never().expect("ready").expect("open");
        (name, number, *temper)
    });
    let hosts: Vec<_> = hosts.collect();
    let names = hosts.iter().map(|(name, _, _)| name.clone()).collect();
    let world = World::new(settings.clone(), store.clone(), hosts, plan.seed ^ 0x5eed);
    let sink = Arc::new(Switch(Mutex::default(), Mutex::new(Some(world.clone()))));
    store.subscribe(sink.clone());
    let mut history = History {
        plan,
        settings,
        store,
        world: world.clone(),
        sink,
        names,
        controls: vec![HostControls::default(); plan.tempers.len()],
        next: 0,
        submitted: 0,
        news_lost: false,
        wall: START,
        downtime: Duration::ZERO,
    };
    while history.one_life() {}
    let time = START.until(history.wall);
    let (violations, text) = (world.violations(), world.history());
    *history.sink.1.lock().expect("not poisoned") = None;
    Lived {
        violations,
        history: text,
        requests: world.requests(),
        deliveries: history.submitted,
        time,
    }
}

struct History<'a> {
    plan: &'a Plan,
    settings: Arc<Settings>,
    store: Arc<MemoryStore>,
    world: Arc<World>,
    sink: Arc<Switch>,
    names: Vec<HostName>,
    controls: Vec<HostControls>,
    /// The step that comes next.
    next: usize,
    submitted: usize,
    /// News of the store were lost at some time.
    news_lost: bool,
    /// When the last life ended.
    wall: Timestamp,
    /// How long the process is down before the next.
    downtime: Duration,
}

/// How a life of the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// All was written down.
    Stopped,
    /// Its patience ended before.
    CutOff,
    Killed,
}

impl History<'_> {
    /// From a start of the process to its end; answers whether there is another.
    fn one_life(&mut self) -> bool {
        // A runtime of its own: when it is dropped, whatever was under way is as gone as after a
        // kill.
        let goes_on = simulated(async {
            let life = Life::start(self).await;
            let goes_on = self.live(&life).await;
            self.wall = life.clock.wall().plus(std::mem::take(&mut self.downtime));
            goes_on
        });
        *self.sink.0.lock().expect("not poisoned") = None;
        goes_on
    }

    async fn live(&mut self, life: &Life) -> bool {
        while let Some((event, pause)) = self.plan.steps.get(self.next).cloned() {
            self.next += 1;
            self.world.say(&format!("--- step {}: {event:?}, then {pause:?}", self.next));
            let ending = self.happen(life, &event).await;
            match ending {
                Some(Ending::Killed) => self.downtime = pause,
                _ => tokio::time::sleep(pause).await,
            }
            self.audit();
            if !self.world.violations().is_empty() {
                return false;
            }
            if let Some(ending) = ending {
                self.world.end(ending != Ending::Stopped);
                return true;
            }
        }
        self.finish(life).await;
        false
    }

    /// Makes an event happen; answers how the process ends with it, if it does.
    async fn happen(&mut self, life: &Life, event: &Event) -> Option<Ending> {
        match event.clone() {
            Event::Submit { host, count, wish } => {
                for _ in 0..count {
                    self.submit(life, host, &wish).await;
                }
            }
            Event::Pause(host) => self.control(life, host, |controls| controls.paused = true).await,
            Event::Resume(host) => {
                self.control(life, host, |controls| *controls = HostControls::default()).await;
            }
            Event::Drain(host) => {
                self.control(life, host, |controls| controls.draining = true).await
            }
            Event::Limit { host, in_flight, rate } => {
                let limits = LimitOverrides {
                    in_flight,
                    requests_per_second: rate.map(|rate| rate.0),
                    burst: rate.map(|rate| rate.1),
                };
                let policy = PolicyOverrides { limits };
                self.control(life, host, |controls| controls.policy = policy).await;
            }
            Event::Purge(host) => self.purge(life, host).await,
            Event::Cancel(any) => self.cancel(life, any).await,
            Event::Redrive(any) => self.redrive(life, any).await,
            Event::Skip(any) => self.skip(life, any).await,
            Event::Look(any) => self.look(life, any).await,
            Event::Store { fault, share, time } => {
                life.front.set(|mood| mood.fault = Some((fault, share)));
                let front = life.front.clone();
                actix_rt::spawn(async move {
                    tokio::time::sleep(time).await;
                    front.set(|mood| mood.fault = None);
                });
            }
            Event::LoseHints(count) => {
                self.news_lost = true;
                self.world.lost_hints.store(count, Ordering::Relaxed);
            }
            Event::BreakActors { sending, reading } => {
                self.world.break_actors(sending);
                life.front.set(|mood| mood.breaks = reading);
            }
            Event::Restart { patience } => {
                life.engine.refuse();
                let cut = life.engine.quiesce(patience).await;
                self.world.stop();
                self.world.say(&format!("stopped with {cut} requests under way"));
                let is_clean = cut == 0 && life.uncommitted() == 0;
                return Some(if is_clean { Ending::Stopped } else { Ending::CutOff });
            }
            Event::Kill => return Some(Ending::Killed),
        }
        None
    }

    async fn submit(&mut self, life: &Life, host: usize, wish: &Wish) {
        if self.controls[host].draining {
            return; // the door refuses it
        }
        let order = self.submitted;
        self.submitted += 1;
        let number = self.store.known_number(&self.names[host]).expect("known");
        let accepted = life.clock.wall();
        let id = DeliveryId::new(accepted, number, order as u64);
        let due = accepted.plus(wish.delay);
        let ttl = wish.ttl.unwrap_or(self.settings.delivery.ttl);
        let target = format!("http://{}/{order}", self.names[host]);
        let webhook = Webhook {
            method: Method::Post,
            target: Target::from_vetted(&target).expect("a target"),
            headers: Vec::new(),
            body: Bytes::from_static(b"{}"),
            secret_refs: Vec::new(),
        };
        // All of an ordering key are of one workspace: elsewhere the same key is another.
        let workspace = wish.key.map_or(order as u32, u32::from) % self.plan.lanes;
        let delivery = Delivery {
            id,
            trigger: id.trigger(),
            host: self.names[host].clone(),
            workspace,
            hop: 0,
            provenance: None,
            accepted,
            due,
            expires: due.plus(ttl),
            ttl,
            ttl_custom: wish.ttl.is_some(),
            priority: wish.priority,
            ordering_key: wish.key.map(String::from),
            on_failure: if wish.block { OnFailure::Block } else { OnFailure::Continue },
            metadata: Vec::new(),
            webhook: Arc::new(webhook),
        };
        self.world.add(id, Owed::new(host, wish.key.map(String::from), order));
        let acceptance = Acceptance::of(vec![Arc::new(delivery)]);
        // As admission does it: where the outcome was lost, the same goes again, once.
        let answer = match life.front.accept(acceptance.clone()).await {
            Err(StoreError::Unknown(_)) => match life.front.accept(acceptance).await {
                Err(_) => return self.world.say(&format!("nobody knows whether d{order} is in")),
                other => other,
            },
            other => other,
        };
        match answer {
            Ok(Accepted::New) => self.world.change(id, |owed| owed.certain = true),
            Ok(other) => self.world.violated(format!("d{order} is accepted as {other:?}")),
            Err(error) => {
                self.world.say(&format!("d{order} is refused: {error}"));
                if self.world.record(id).is_some() {
                    self.world.violated(format!("d{order} was refused and is in the store"));
                }
            }
        }
    }

    /// An operator changes a host's controls and does not give up.
    async fn control(&mut self, life: &Life, host: usize, change: impl FnOnce(&mut HostControls)) {
        let mut controls = self.controls[host].clone();
        change(&mut controls);
        let own = limits_of(&self.settings, &self.names[host]);
        let set = &controls.policy.limits;
        let rate = set.requests_per_second.zip(set.burst).or(own.rate);
        let limits = Limits { in_flight: set.in_flight.unwrap_or(own.in_flight), rate };
        self.world.control_asked(host, !controls.paused, limits);
        while life.engine.control(self.names[host].clone(), controls.clone()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.world.control_made(host, controls.paused, limits);
        self.controls[host] = controls;
    }

    async fn purge(&mut self, life: &Life, host: usize) {
        let all = self.world.owed().into_iter().filter(|(id, owed)| {
            owed.host == host && self.world.record(*id).is_some_and(|one| is_owed(one.state))
        });
        let before: Vec<(DeliveryId, Owed)> = all.collect();
        for (id, _) in &before {
            self.world.change(*id, |owed| owed.cancel_asked = true);
        }
        let out: HashSet<DeliveryId> =
            self.world.receivers(|receivers| receivers[host].open.values().copied().collect());
        let purged = life.engine.purge(self.names[host].clone(), None).await;
        self.world.say(&format!("purged: {purged:?}"));
        if purged.is_err() {
            return;
        }
        let after: HashMap<DeliveryId, Owed> = self.world.owed().into_iter().collect();
        for (id, owed) in before {
            // What is in flight finishes, and may be owed again then.
            let was_out = out.contains(&id) || after[&id].sent > owed.sent;
            let state = self.world.record(id).map(|record| record.state);
            if state == Some(StoredState::Pending) && !was_out {
                self.world.violated(format!("d{} is pending after a purge", owed.order));
            }
        }
    }

    async fn cancel(&mut self, life: &Life, any: usize) {
        let Some(id) = self.any(any, |_, _| true) else { return };
        self.world.change(id, |owed| owed.cancel_asked = true);
        let answer = life.engine.cancel(id).await;
        let record = self.world.record(id);
        self.world
            .say(&format!("cancelling {id} ({:?}): {answer:?}", record.as_ref().map(|r| r.state)));
        match (answer, record.map(|record| record.state)) {
            (Ok(Cancelled::Done), Some(StoredState::Ended(End::Cancelled))) => {
                self.world.change(id, |owed| owed.cancelled = true);
            }
            (Ok(Cancelled::Done), state) => {
                self.world.violated(format!("{id} was cancelled and is {state:?}"));
            }
            (Ok(Cancelled::Ended), Some(state)) if is_owed(state) => {
                self.world.violated(format!("{id} has ended, it is said, and is {state:?}"));
            }
            (Ok(Cancelled::Unknown), Some(_)) => {
                self.world.violated(format!("{id} is unknown, it is said, and is in the store"));
            }
            _ => {}
        }
    }

    async fn redrive(&mut self, life: &Life, any: usize) {
        let dead =
            |_: &Owed, state| matches!(state, StoredState::Ended(end) if end != End::Delivered);
        let all: Vec<DeliveryId> = self.ids(dead).collect();
        let Some(first) = all.get(any % all.len().max(1)) else { return };
        let ids = if any.is_multiple_of(3) { all.clone() } else { vec![*first] };
        for id in &ids {
            self.world.change(*id, Owed::start_afresh);
        }
        let redriven = life.engine.redrive(ids.clone()).await;
        let (asked, done) = (ids.len(), redriven.as_ref().map(Vec::len));
        self.world.say(&format!("redriven {done:?} of {asked}"));
        if redriven.is_ok_and(|done| done.iter().any(|id| !ids.contains(id))) {
            self.world.violated("what was not asked for is redriven".into());
        }
    }

    async fn skip(&mut self, life: &Life, any: usize) {
        let blocking = self.blocking();
        let Some(id) = blocking.get(any % blocking.len().max(1)).copied() else { return };
        let skipped = life.engine.skip(id).await;
        self.world.say(&format!("skipping {id}: {skipped:?}"));
    }

    async fn look(&self, life: &Life, any: usize) {
        let Some(id) = self.any(any, |_, _| true) else { return };
        let before = self.world.record(id).map(|record| record.state);
        let explained = life.engine.explain(id).await;
        self.world.say(&format!("{id} is {before:?}: {explained:?}"));
        let after = self.world.record(id).map(|record| record.state);
        if let (Ok(None), (Some(before), Some(after))) = (&explained, (before, after))
            && is_owed(before)
            && is_owed(after)
        {
            self.world.violated(format!("{id} is owed and cannot be explained"));
        }
    }

    /// The world becomes good and is given time; then nothing is owed and no actor lives.
    async fn finish(&mut self, life: &Life) {
        self.world.say("--- the world becomes good");
        self.world.make_good();
        self.world.lost_hints.store(0, Ordering::Relaxed);
        life.front.set(|mood| {
            mood.fault = None;
            mood.breaks = 0;
        });
        for host in 0..self.names.len() {
            self.control(life, host, |controls| *controls = HostControls::default()).await;
        }
        let deadline = life.clock.wall().plus(PATIENCE);
        loop {
            let blocking = self.blocking();
            for id in blocking {
                self.world.change(id, |owed| owed.cancel_asked = true);
                let _later = life.engine.cancel(id).await;
            }
            self.audit();
            let counts = self.store.counts();
            if counts.pending + counts.parked == 0 || !self.world.violations().is_empty() {
                break;
            }
            if life.clock.wall() >= deadline {
                let left: Vec<_> = self.ids(|_, state| is_owed(state)).collect();
                self.world.violated(format!("still owed in a good world: {left:?}"));
                break;
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
            self.audit_promptness(life).await;
        }
        if !self.world.violations().is_empty() {
            return;
        }
        let deadline = life.clock.wall().plus(self.settings.actors.idle_timeout + QUIET);
        while life.leftovers().is_some() && life.clock.wall() < deadline {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        if let Some(left) = life.leftovers() {
            self.world.violated(format!("left over when all is done: {left}"));
        }
    }

    /// In a good world no actor that may send leaves due work lying. Where news were lost it finds
    /// that work within a minute.
    async fn audit_promptness(&self, life: &Life) {
        if self.news_lost {
            return;
        }
        let long_ago = life.clock.wall().minus(OVERLOOKED);
        for (host, name) in self.names.iter().enumerate() {
            let due = |id: DeliveryId| {
                let record = self.world.record(id)?;
                (record.state == StoredState::Pending && record.due < long_ago).then_some(id)
            };
            let mine = self.ids(|owed, _| owed.host == host).filter_map(due).next();
            let (last, died) = self.world.receivers(|all| (all[host].last, all[host].died));
            let quiet = last + OVERLOOKED < self.world.now();
            let (Some(id), false, true) = (mine, died, quiet) else { continue };
            let Some(snapshot) = life.engine.host(name.clone()).await else { continue };
            // A learned rate grows while it is waited for, so that it may hold no more and the
            // alarm is still to come.
            let workspace = self.world.record(id).map(|record| record.workspace);
            let mut lanes = snapshot.lanes.iter().flatten();
            let lane = lanes.find(|lane| Some(lane.workspace) == workspace);
            let free = snapshot.state == HostCondition::Healthy
                && lane.is_none_or(|lane| lane.state == HostCondition::Healthy)
                && snapshot.in_flight == 0
                // What hung for as long and has just ended is pending until that is written.
                && snapshot.uncommitted == 0
                && snapshot.budget.learned_rate.is_none();
            if free && snapshot.age_s > OVERLOOKED.as_secs() {
                self.world.violated(format!("{id} is overlooked by {snapshot:?}"));
            }
        }
    }

    fn any(&self, any: usize, wanted: impl Fn(&Owed, StoredState) -> bool) -> Option<DeliveryId> {
        let all: Vec<DeliveryId> = self.ids(wanted).collect();
        all.get(any % all.len().max(1)).copied()
    }

    fn ids(&self, wanted: impl Fn(&Owed, StoredState) -> bool) -> impl Iterator<Item = DeliveryId> {
        let all = self.world.owed().into_iter();
        let found = all.filter(|(id, owed)| {
            self.world.record(*id).is_some_and(|record| wanted(owed, record.state))
        });
        found.map(|(id, _)| id).collect::<Vec<_>>().into_iter()
    }

    fn blocking(&self) -> Vec<DeliveryId> {
        let all = self.world.owed().into_iter().map(|(id, _)| id);
        all.filter(|id| self.world.record(*id).is_some_and(|record| record.blocks_key)).collect()
    }

    /// Looks whether what the store has is what must be.
    fn audit(&self) {
        let counts = self.store.counts();
        let dead = counts.failed + counts.exhausted + counts.expired;
        let owed = counts.pending + counts.parked;
        if counts.accepted != owed + counts.delivered + dead + counts.cancelled {
            self.world.violated(format!("the sum is wrong: {counts:?}"));
        }
        let mut seen: HashMap<StoredState, u64> = HashMap::new();
        let wall = self.world.wall();
        for (id, owed) in self.world.owed() {
            let Some(record) = self.world.record(id) else {
                if owed.certain {
                    self.world.violated(format!("d{} is lost", owed.order));
                }
                continue;
            };
            *seen.entry(record.state).or_default() += 1;
            self.audit_one(id, &owed, record.state, record.expires <= wall);
        }
        let count = |state| seen.get(&state).copied().unwrap_or(0);
        let ended = |end| count(StoredState::Ended(end));
        let found = [
            (count(StoredState::Pending), counts.pending),
            (count(StoredState::Parked), counts.parked),
            (ended(End::Delivered), counts.delivered),
            (ended(End::Failed), counts.failed),
            (ended(End::Exhausted), counts.exhausted),
            (ended(End::Expired), counts.expired),
            (ended(End::Cancelled), counts.cancelled),
            (seen.values().sum(), counts.accepted),
        ];
        if found.iter().any(|(found, counted)| found != counted) {
            self.world.violated(format!("the model has {seen:?}, the store {counts:?}"));
        }
        let open = self.world.receivers(|receivers| {
            let lively = receivers.iter().filter(|receiver| !receiver.died);
            lively.flat_map(|receiver| receiver.open.values().copied()).collect::<Vec<_>>()
        });
        for id in open {
            let state = self.world.record(id).map(|record| record.state);
            if state != Some(StoredState::Pending) {
                self.world.violated(format!("{id} is in flight and {state:?}"));
            }
        }
    }

    fn audit_one(&self, id: DeliveryId, owed: &Owed, state: StoredState, expired: bool) {
        let StoredState::Ended(end) = state else {
            if owed.seen.is_some() && !owed.redriven {
                self.world.violated(format!("d{} had ended and is {state:?}", owed.order));
            }
            return;
        };
        if owed.seen.is_some_and(|seen| seen != end) && !owed.redriven && end != End::Cancelled {
            self.world
                .violated(format!("d{} had ended {:?} and is {end:?}", owed.order, owed.seen));
        }
        self.world.change(id, |owed| owed.seen = Some(end));
        let host = &self.names[owed.host];
        let may = match end {
            End::Delivered => owed.successes > 0,
            End::Failed => owed.permanent > 0,
            End::Exhausted => owed.failures > self.settings.rules_of(host).retry.retries,
            End::Expired => expired,
            End::Cancelled => owed.cancel_asked,
        };
        if !may {
            self.world.violated(format!("d{} must not be {end:?}: {owed:?}", owed.order));
        }
    }
}

fn is_owed(state: StoredState) -> bool {
    !matches!(state, StoredState::Ended(_))
}

/// One life of the process.
struct Life {
    clock: Clock,
    engine: LiveEngine,
    front: Arc<Faulty>,
    around: Surroundings,
    counters: Arc<ArbiterCounters>,
}

impl Life {
    async fn start(history: &History<'_>) -> Self {
        let clock = Clock::of_runtime(history.wall);
        let world = history.world.clone();
        world.begin(clock.clone());
        let mood = Mood {
            dice: fastrand::Rng::with_seed(history.plan.seed ^ history.next as u64),
            latency: history.plan.latency,
            fault: None,
            breaks: 0,
        };
        let front = Faulty::new(history.store.clone(), world.clone(), mood);
        let controls = front.controlled().await.expect("nothing is wrong yet");
        let around = Surroundings {
            store: front.clone(),
            clock: clock.clone(),
            settings: history.settings.clone(),
            senders: Arc::new(move |host| Rc::new(world.sender(host)) as Rc<dyn Sender>),
            registry: Arc::default(),
            controls: Arc::new(controls.into_iter().collect()),
            feed: Arc::default(),
            holding: Arc::new(hostline::delivery::holding::Holding::sole()),
            workspaces: Arc::default(),
            vault: hostline::vault::Vault::new(front.clone(), &history.settings, clock.clone()),
            seed: history.plan.seed,
        };
        let counters = Arc::new(ArbiterCounters::default());
        let router = Router::new(around.clone(), 0, counters.clone()).start();
        let feeder = Feeder::new(vec![(router, counters.clone())]);
        *history.sink.0.lock().expect("not poisoned") = Some(feeder.clone());
        let engine = LiveEngine::new(around.clone(), feeder.clone());
        feeder.wake_all(&around).await.expect("nothing is wrong yet");
        actix_rt::spawn(feeder.run(around.clone()));
        Self { clock, engine, front, around, counters }
    }

    fn uncommitted(&self) -> u64 {
        self.counters.uncommitted.load(Ordering::Relaxed)
    }

    /// What should be gone when nothing is owed.
    fn leftovers(&self) -> Option<String> {
        let stats = self.counters.stats(0);
        let registered = self.around.registry.all().len();
        let left = stats.hosts_alive
            + stats.in_flight
            + stats.uncommitted
            + stats.router_mailbox
            + stats.hosts_asleep
            + registered as u64;
        (left > 0).then(|| format!("{registered} registered, {stats:?}"))
    }
}
