//! The router of an arbiter: turns deliveries into messages to the arbiter's host actors, starts
//! them on demand, lets idle ones stop, wakes those whose next delivery becomes due, and starts
//! those again that died.

use std::cell::Cell;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix::dev::SendError;
use actix::{Actor, Addr, AsyncContext, Context, Handler, Message, SpawnHandle};

use crate::delivery::host::{Enqueue, HostActor, HostCommand, Life, LookAgain, Stop};
use crate::delivery::recorder::Recorder;
use crate::delivery::shard::{ArbiterCounters, Shard, Surroundings};
use crate::model::{HostName, HostNumber, Moment, Pending, Timestamp};

/// Messages on their way to a router; one carries a whole commit, so this is seconds of work.
const MAILBOX: usize = 4096;
/// A host actor that died is started again after this, doubled for each further death in a row…
const RESTART_BASE: Duration = Duration::from_millis(100);
/// …up to this.
const RESTART_MAX: Duration = Duration::from_secs(60);
/// A host actor that lived this long has recovered: its next death counts as the first.
const RECOVERED: Duration = Duration::from_secs(300);
/// Work that is due for longer than this may be unknown to its live actor.
const LONG_DUE: Duration = Duration::from_secs(5);
/// Where too many host actors live, a further one is tried again after this.
const CROWDED_PAUSE: Duration = Duration::from_millis(200);
/// The longest that an alarm sleeps (see the host actor's).
const ALARM_MAX: Duration = Duration::from_secs(30);

/// Deliveries that became pending, of any hosts of this arbiter.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Route(pub Vec<(HostName, Pending)>);

/// These hosts have work that is due at these times (from the store).
#[derive(Message)]
#[rtype(result = "()")]
pub struct Wake(pub Vec<(HostName, HostNumber, Timestamp)>);

/// These hosts may have work in the store that their actors were not told of.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Missed(pub HashMap<HostName, HostNumber>);

/// A command to a host actor.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Command {
    /// To which.
    pub host: HostName,
    /// Its number.
    pub number: HostNumber,
    /// What.
    pub command: HostCommand,
    /// Whether to start the actor for it.
    pub start: bool,
}

/// The same command to every live host actor.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Broadcast(pub fn() -> HostCommand);

/// A host actor would stop; it has handled this many messages of the router.
#[derive(Message)]
#[rtype(result = "()")]
pub struct HostIdle {
    /// Which.
    pub host: HostName,
    /// Which of its lives.
    pub generation: u64,
    /// Messages of the router that it has handled.
    pub received: u64,
    /// When it has to be started again.
    pub wake: Option<Timestamp>,
}

/// A host actor died.
#[derive(Message)]
#[rtype(result = "()")]
pub struct HostGone {
    /// Which.
    pub host: HostName,
    /// Which of its lives.
    pub generation: u64,
}

struct Live {
    address: Addr<HostActor>,
    number: HostNumber,
    generation: u64,
    /// Messages sent to it; shared with the actor, which knows how many it has handled.
    sent: Rc<Cell<u64>>,
    started: Moment,
}

impl Live {
    /// Passes a command on. Where the mailbox is full, what an operator or a stop asked for waits
    /// for room; a question is dropped with its reply channel, which the asker sees.
    fn tell(&self, command: HostCommand) {
        match self.address.try_send(command) {
            Ok(()) => self.sent.update(|sent| sent + 1),
            Err(SendError::Full(command @ (HostCommand::Control(_) | HostCommand::Quiesce))) => {
                self.sent.update(|sent| sent + 1);
                let address = self.address.clone();
                actix_rt::spawn(async move {
                    // Gone: its next life reads what operators asked.
                    let _gone = address.send(command).await;
                });
            }
            Err(_) => {}
        }
    }
}

#[derive(Clone, Copy, Default)]
struct Deaths {
    in_a_row: u32,
    /// Not started again before this.
    until: Option<Moment>,
}

/// Routes deliveries to the host actors of one arbiter.
pub struct Router {
    around: Surroundings,
    arbiter: usize,
    counters: Arc<ArbiterCounters>,
    shard: Option<Rc<Shard>>,
    live: HashMap<HostName, Live>,
    asleep: HashMap<HostName, (Timestamp, HostNumber)>,
    by_wake: BTreeSet<(Timestamp, HostName)>,
    deaths: HashMap<HostName, Deaths>,
    generations: u64,
    alarm: Option<(Timestamp, SpawnHandle)>,
    /// When idle actors were last asked to make room.
    nudged: Option<Moment>,
    stopping: bool,
}

impl Router {
    /// The router of arbiter number `arbiter`; to be started on it.
    pub fn new(around: Surroundings, arbiter: usize, counters: Arc<ArbiterCounters>) -> Self {
        Self {
            around,
            arbiter,
            counters,
            shard: None,
            live: HashMap::new(),
            asleep: HashMap::new(),
            by_wake: BTreeSet::new(),
            deaths: HashMap::new(),
            generations: 0,
            alarm: None,
            nudged: None,
            stopping: false,
        }
    }

    /// The live actor of a host, started if need be; `None` while it may not be.
    fn host(&mut self, host: &HostName, number: HostNumber) -> Option<&mut Live> {
        let is_live = self.live.get(host).is_some_and(|live| live.address.connected());
        if !is_live {
            let now = self.around.clock.moment();
            let barred = self.deaths.get(host).and_then(|deaths| deaths.until);
            if self.stopping || barred.is_some_and(|until| until > now) {
                return None;
            }
            let shard = self.shard.clone().expect("the shard is made when the router starts");
            if self.live.len() >= shard.live_max() {
                self.make_room(&shard, now);
                let soon = self.around.clock.wall().plus(CROWDED_PAUSE);
                self.sleep_until(host.clone(), number, soon);
                return None;
            }
            self.forget_sleep(host);
            self.generations += 1;
            let generation = self.generations;
            let sent = Rc::new(Cell::new(0));
            let life = Life { generation, sent: sent.clone() };
            let address = HostActor::new(host.clone(), number, life, shard).start();
            self.counters.started.fetch_add(1, Ordering::Relaxed);
            let live = Live { address, number, generation, sent, started: now };
            self.live.insert(host.clone(), live);
        }
        self.live.get_mut(host)
    }

    /// Asks idle actors to stop at once, at most once a pause.
    fn make_room(&mut self, shard: &Shard, now: Moment) {
        if self.nudged.is_some_and(|nudged| now.since(nudged) < CROWDED_PAUSE) {
            return;
        }
        self.nudged = Some(now);
        shard.crowded.set(true);
        self.tell_all(|| HostCommand::Nudge);
    }

    fn tell_all(&self, command: fn() -> HostCommand) {
        for live in self.live.values() {
            live.tell(command());
        }
    }

    fn enqueue(&mut self, host: HostName, entries: Vec<Pending>) {
        let Some(number) = entries.first().map(Pending::host) else { return };
        let Some(live) = self.host(&host, number) else { return };
        // What does not fit is in the store; the actor only has to be told that it is.
        if live.address.try_send(Enqueue(entries)).is_ok() {
            live.sent.update(|sent| sent + 1);
        } else {
            self.look_again(host, number);
        }
    }

    /// Makes a host actor read its queue from the store: at once, or as soon as it takes messages.
    fn look_again(&mut self, host: HostName, number: HostNumber) {
        let Some(live) = self.host(&host, number) else { return };
        if live.address.try_send(LookAgain).is_ok() {
            live.sent.update(|sent| sent + 1);
        } else {
            let soon = self.around.clock.wall().plus(RESTART_BASE);
            self.sleep_until(host, number, soon);
        }
    }

    fn sleep_until(&mut self, host: HostName, number: HostNumber, wake: Timestamp) {
        self.forget_sleep(&host);
        self.by_wake.insert((wake, host.clone()));
        self.asleep.insert(host, (wake, number));
        self.counters.asleep.store(self.asleep.len() as u64, Ordering::Relaxed);
    }

    fn forget_sleep(&mut self, host: &HostName) {
        if let Some((wake, _)) = self.asleep.remove(host) {
            self.by_wake.remove(&(wake, host.clone()));
            self.counters.asleep.store(self.asleep.len() as u64, Ordering::Relaxed);
        }
    }

    /// Wakes the hosts whose time has come and sets the alarm for the next.
    fn ring(&mut self, context: &mut Context<Self>) {
        let now = self.around.clock.now();
        while let Some((wake, host)) = self.by_wake.first().cloned() {
            if wake > now.wall {
                break;
            }
            let number = self.asleep.get(&host).map(|(_, number)| *number);
            self.forget_sleep(&host);
            let Some(number) = number else { continue };
            if self.live.contains_key(&host) {
                self.look_again(host, number);
            } else {
                self.host(&host, number);
            }
        }
        self.set_alarm(context);
    }

    /// At most one alarm, for the host that wakes first.
    fn set_alarm(&mut self, context: &mut Context<Self>) {
        let wake = self.by_wake.first().map(|(wake, _)| *wake);
        if self.alarm.as_ref().map(|(set, _)| *set) == wake {
            return;
        }
        if let Some((_, alarm)) = self.alarm.take() {
            context.cancel_future(alarm);
        }
        let Some(wake) = wake else { return };
        let delay = self.around.clock.wall().until(wake).min(ALARM_MAX);
        let alarm = context.run_later(delay, |router, context| {
            router.alarm = None;
            router.ring(context);
        });
        self.alarm = Some((wake, alarm));
    }
}

impl Actor for Router {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Context<Self>) {
        context.set_mailbox_capacity(MAILBOX);
        let recorder = Recorder::new(
            self.around.store.clone(),
            self.around.holding.clone(),
            self.counters.clone(),
            self.around.registry.facts().clone(),
            self.around.feed.clone(),
        );
        self.shard = Some(Rc::new(Shard {
            around: self.around.clone(),
            arbiter: self.arbiter,
            router: context.address(),
            recorder,
            counters: self.counters.clone(),
            bytes: Default::default(),
            crowded: Default::default(),
            dice: fastrand::Rng::with_seed(self.around.seed ^ self.arbiter as u64).into(),
        }));
    }
}

impl Handler<Route> for Router {
    type Result = ();

    fn handle(&mut self, Route(entries): Route, context: &mut Context<Self>) {
        self.counters.router_mailbox.fetch_sub(1, Ordering::Relaxed);
        let mut by_host: HashMap<HostName, Vec<Pending>> = HashMap::new();
        for (host, entry) in entries {
            by_host.entry(host).or_default().push(entry);
        }
        for (host, entries) in by_host {
            self.enqueue(host, entries);
        }
        self.set_alarm(context);
    }
}

impl Handler<Wake> for Router {
    type Result = ();

    fn handle(&mut self, Wake(hosts): Wake, context: &mut Context<Self>) {
        // A live actor knows its queue, unless a hint was lost: then its work is long due.
        let overdue = self.around.clock.wall().minus(LONG_DUE);
        for (host, number, due) in hosts {
            let live = self.live.get(&host).is_some_and(|live| live.address.connected());
            if !live {
                self.sleep_until(host, number, due);
            } else if due < overdue {
                self.look_again(host, number);
            }
        }
        self.ring(context);
    }
}

impl Handler<Missed> for Router {
    type Result = ();

    fn handle(&mut self, Missed(hosts): Missed, context: &mut Context<Self>) {
        for (host, number) in hosts {
            self.look_again(host, number);
        }
        self.set_alarm(context);
    }
}

impl Handler<Command> for Router {
    type Result = ();

    fn handle(&mut self, command: Command, context: &mut Context<Self>) {
        let Command { host, number, command, start } = command;
        if !start && !self.live.contains_key(&host) {
            return;
        }
        let Some(live) = self.host(&host, number) else {
            return self.set_alarm(context);
        };
        live.tell(command);
    }
}

impl Handler<Broadcast> for Router {
    type Result = ();

    fn handle(&mut self, Broadcast(command): Broadcast, _: &mut Context<Self>) {
        self.stopping |= matches!(command(), HostCommand::Quiesce);
        self.tell_all(command);
    }
}

impl Handler<HostIdle> for Router {
    type Result = ();

    fn handle(&mut self, idle: HostIdle, context: &mut Context<Self>) {
        let Some(live) = self.live.get(&idle.host) else { return };
        // Something is on its way to it: it is not idle.
        if live.generation != idle.generation || live.sent.get() != idle.received {
            return;
        }
        if live.address.try_send(Stop).is_err() {
            return;
        }
        let number = live.number;
        self.live.remove(&idle.host);
        if let Some(shard) = &self.shard {
            shard.crowded.set(self.live.len() + 1 >= shard.live_max());
        }
        self.counters.stopped.fetch_add(1, Ordering::Relaxed);
        if let Some(wake) = idle.wake {
            self.sleep_until(idle.host, number, wake);
            self.ring(context);
        }
    }
}

impl Handler<HostGone> for Router {
    type Result = ();

    fn handle(&mut self, gone: HostGone, context: &mut Context<Self>) {
        let is_current =
            self.live.get(&gone.host).is_some_and(|live| live.generation == gone.generation);
        if !is_current || self.stopping {
            return;
        }
        let Some(live) = self.live.remove(&gone.host) else { return };
        let now = self.around.clock.now();
        let deaths = self.deaths.entry(gone.host.clone()).or_default();
        let recovered = now.moment.since(live.started) > RECOVERED;
        deaths.in_a_row = if recovered { 1 } else { deaths.in_a_row + 1 };
        let doublings = (deaths.in_a_row - 1).min(16);
        let pause = (RESTART_BASE * 2_u32.pow(doublings)).min(RESTART_MAX);
        deaths.until = Some(now.moment + pause);
        self.counters.restarted.fetch_add(1, Ordering::Relaxed);
        log::error!(
            host:% = gone.host, deaths = deaths.in_a_row, again_in_ms = pause.as_millis() as u64;
            "a host actor died; it is started again and reads its queue from the store"
        );
        self.sleep_until(gone.host, live.number, now.wall.plus(pause));
        self.ring(context);
        self.forget_old_deaths(now.moment);
    }
}

impl Router {
    /// Keeps the book of deaths from growing for ever.
    fn forget_old_deaths(&mut self, now: Moment) {
        let live: HashSet<&HostName> = self.live.keys().collect();
        self.deaths.retain(|host, deaths| {
            live.contains(host) || deaths.until.is_some_and(|until| now.since(until) < RECOVERED)
        });
    }
}
