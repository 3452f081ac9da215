//! The receivers, and what the test knows of them: every request is checked when it arrives.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::delivery::sender::{AttemptRequest, Report, Sender};
use hostline::model::{
    Answer, DeliveryId, End, Header, HostName, HostNumber, Outcome, StoredState, Timestamp, Timings,
};
use hostline::store::memory::MemoryStore;
use hostline::store::{DeliveryRecord, QueryStore};

use crate::common::START;
use crate::plan::Temper;

/// What operators or the test changed is in force everywhere after this: messages take no
/// simulated time, but several turns of the runtime.
const IN_FORCE: Duration = Duration::from_millis(5);
/// Times are compared in whole milliseconds at both ends.
const ROUNDING: Duration = Duration::from_millis(2);
/// The time that the sender gives an attempt; shorter than in life, so that histories are.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What the test knows of a delivery.
#[derive(Clone, Debug)]
pub struct Owed {
    pub host: usize,
    pub key: Option<String>,
    /// Place in the order of acceptance.
    pub order: usize,
    /// Whether the store said that it has it; else it may or may not.
    pub certain: bool,
    pub cancel_asked: bool,
    /// It was asked to be redriven at some time.
    pub redriven: bool,
    /// Requests, over all lives.
    pub sent: u32,
    /// Answers, likewise.
    pub successes: u32,
    pub permanent: u32,
    pub failures: u32,
    /// In this life of the process an answer came that ends it.
    over: bool,
    /// In this life of the process a person was told that it will not be sent.
    pub cancelled: bool,
    /// Not sent again before this: its last answer's doing, in this life of the process.
    not_before: Duration,
    /// How it had ended when the test last looked.
    pub seen: Option<End>,
}

impl Owed {
    pub fn new(host: usize, key: Option<String>, order: usize) -> Self {
        Self {
            host,
            key,
            order,
            certain: false,
            cancel_asked: false,
            redriven: false,
            sent: 0,
            successes: 0,
            permanent: 0,
            failures: 0,
            over: false,
            cancelled: false,
            not_before: Duration::ZERO,
            seen: None,
        }
    }

    /// It was put back: what held before holds no more.
    pub fn start_afresh(&mut self) {
        self.redriven = true;
        self.over = false;
        self.cancelled = false;
        self.not_before = Duration::ZERO;
    }
}

/// A bucket that tells whether a static limit is kept.
#[derive(Clone, Debug)]
struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: Duration,
}

impl Bucket {
    fn new(rate: f64, burst: f64, at: Duration) -> Self {
        Self { rate, burst, tokens: burst, at }
    }

    fn take(&mut self, now: Duration) -> bool {
        self.tokens = (self.tokens + (now - self.at).as_secs_f64() * self.rate).min(self.burst);
        self.at = now;
        self.tokens -= 1.0;
        // Arrivals are dated in milliseconds, a send may be a fraction of one earlier or later.
        self.tokens >= -0.01 - 0.002 * self.rate
    }
}

/// What limits a host's sends: of the settings, or of an operator.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    pub in_flight: u32,
    pub rate: Option<(f64, u32)>,
}

pub struct Receiver {
    pub name: HostName,
    pub number: HostNumber,
    temper: Temper,
    /// The receiver's own token bucket.
    allowance: Bucket,
    limits: Limits,
    /// While an operator's wish is on its way either limits may be in force.
    unsure: bool,
    unsure_until: Duration,
    in_flight_unsure: u32,
    pace: Option<Bucket>,
    paused_since: Option<Duration>,
    /// Requests under way, by life of the actor.
    pub open: BTreeMap<(u32, usize), DeliveryId>,
    /// Counts deaths; requests of a dead actor go on and concern nobody.
    actor: u32,
    /// It died in this life of the process.
    pub died: bool,
    /// When the last request came.
    pub last: Duration,
    /// Asked with 429 or 503 to be left alone from the first until the second.
    wait: Option<(Duration, Duration)>,
}

struct Inner {
    dice: fastrand::Rng,
    receivers: Vec<Receiver>,
    owed: HashMap<DeliveryId, Owed>,
    /// The world has become good: everybody answers 200.
    good: bool,
    /// A stop is over: nothing may be sent.
    stopped: bool,
    /// The next actors that want to send break.
    breaks: u32,
    requests: usize,
    violations: Vec<String>,
    history: String,
}

/// The receivers and the model, shared by all lives of the process.
pub struct World {
    settings: Arc<Settings>,
    store: Arc<MemoryStore>,
    inner: Mutex<Inner>,
    clock: Mutex<Option<Clock>>,
    /// The next batches of news from the store are lost.
    pub lost_hints: std::sync::atomic::AtomicU32,
}

impl World {
    pub fn new(
        settings: Arc<Settings>,
        store: Arc<MemoryStore>,
        hosts: Vec<(HostName, HostNumber, Temper)>,
        seed: u64,
    ) -> Arc<Self> {
        let receivers = hosts.into_iter().map(|(name, number, temper)| {
            let limits = limits_of(&settings, &name);
            let (rate, burst) = match temper {
                Temper::Limited { rate, burst, .. } => (rate, burst),
                _ => (1.0, 1.0),
            };
            let pace =
                limits.rate.map(|(rate, burst)| Bucket::new(rate, burst.into(), Duration::ZERO));
            Receiver {
                name,
                number,
                temper,
                allowance: Bucket::new(rate, burst, Duration::ZERO),
                limits,
                unsure: false,
                unsure_until: Duration::ZERO,
                in_flight_unsure: 0,
                pace,
                paused_since: None,
                open: BTreeMap::new(),
                actor: 0,
                died: false,
                last: Duration::ZERO,
                wait: None,
            }
        });
        let inner = Inner {
            dice: fastrand::Rng::with_seed(seed),
            receivers: receivers.collect(),
            owed: HashMap::new(),
            good: false,
            stopped: false,
            breaks: 0,
            requests: 0,
            violations: Vec::new(),
            history: String::new(),
        };
        Arc::new(Self {
            settings,
            store,
            inner: Mutex::new(inner),
            clock: Mutex::default(),
            lost_hints: Default::default(),
        })
    }

    fn with<T>(&self, run: impl FnOnce(&mut Inner) -> T) -> T {
        run(&mut self.inner.lock().expect("not poisoned"))
    }

    /// Simulated time since the first life of the process.
    pub fn now(&self) -> Duration {
        START.until(self.wall())
    }

    pub fn wall(&self) -> Timestamp {
        let clock = self.clock.lock().expect("not poisoned");
        clock.as_ref().map_or(START, Clock::wall)
    }

    /// Notes a line of the history.
    pub fn say(&self, line: &str) {
        let now = self.now();
        self.with(|inner| inner.say(now, line));
    }

    /// Something that must not happen happened.
    pub fn violated(&self, what: String) {
        let now = self.now();
        self.with(|inner| inner.violated(now, what));
    }

    pub fn violations(&self) -> Vec<String> {
        self.with(|inner| inner.violations.clone())
    }

    pub fn history(&self) -> String {
        self.with(|inner| inner.history.clone())
    }

    pub fn requests(&self) -> usize {
        self.with(|inner| inner.requests)
    }

    /// A life of the process begins.
    pub fn begin(&self, clock: Clock) {
        *self.clock.lock().expect("not poisoned") = Some(clock);
        let now = self.now();
        self.with(|inner| {
            inner.stopped = false;
            for receiver in &mut inner.receivers {
                receiver.actor += 1;
                receiver.open.clear();
                receiver.died = false;
                receiver.renew_pace(now);
            }
        });
    }

    /// A life of the process ends: what it had not written down is forgotten. `sudden` is whether
    /// it was killed; then also what was not yet saved of its hosts.
    pub fn end(&self, sudden: bool) {
        self.with(|inner| {
            for owed in inner.owed.values_mut() {
                owed.over = false;
                owed.not_before = Duration::ZERO;
            }
            if sudden {
                inner.receivers.iter_mut().for_each(|receiver| receiver.wait = None);
            }
        });
    }

    pub fn stop(&self) {
        self.with(|inner| inner.stopped = true);
    }

    pub fn break_actors(&self, count: u32) {
        self.with(|inner| inner.breaks = count);
    }

    /// Everybody is good from now on.
    pub fn make_good(&self) {
        self.with(|inner| {
            inner.good = true;
            inner.breaks = 0;
        });
    }

    pub fn add(&self, id: DeliveryId, owed: Owed) {
        self.with(|inner| drop(inner.owed.insert(id, owed)));
    }

    pub fn change(&self, id: DeliveryId, change: impl FnOnce(&mut Owed)) {
        self.with(|inner| {
            if let Some(owed) = inner.owed.get_mut(&id) {
                change(owed);
            }
        });
    }

    pub fn owed(&self) -> Vec<(DeliveryId, Owed)> {
        let mut all: Vec<_> =
            self.with(|inner| inner.owed.iter().map(|(id, owed)| (*id, owed.clone())).collect());
        all.sort_by_key(|(_, owed)| owed.order);
        all
    }

    pub fn receivers<T>(&self, look: impl FnOnce(&[Receiver]) -> T) -> T {
        self.with(|inner| look(&inner.receivers))
    }

    /// A host actor was told to break.
    pub fn actor_died(&self, number: HostNumber) {
        let now = self.now();
        self.with(|inner| {
            let Some(index) = inner.receivers.iter().position(|one| one.number == number) else {
                return;
            };
            inner.say(now, &format!("the actor of h{index} dies"));
            let receiver = &mut inner.receivers[index];
            receiver.actor += 1;
            receiver.died = true;
            receiver.wait = None;
            receiver.renew_pace(now);
        });
    }

    /// A host actor makes its sender.
    pub fn sender(self: &Arc<Self>, name: &HostName) -> Receiving {
        let now = self.now();
        let (index, number, breaks) = self.with(|inner| {
            let index = inner.index_of(name);
            let receiver = &mut inner.receivers[index];
            // The static pace is not remembered over an actor's lives.
            receiver.renew_pace(now);
            let number = receiver.number;
            let breaks = inner.breaks > 0;
            inner.breaks = inner.breaks.saturating_sub(1);
            (index, number, breaks)
        });
        if breaks {
            self.actor_died(number);
            panic!("simulated: the actor breaks");
        }
        let actor = self.with(|inner| inner.receivers[index].actor);
        Receiving { world: self.clone(), host: index, actor }
    }

    /// An operator's wish is on its way.
    pub fn control_asked(&self, host: usize, resumes: bool, limits: Limits) {
        self.with(|inner| {
            let receiver = &mut inner.receivers[host];
            receiver.unsure = true;
            let most = limits.in_flight.max(receiver.limits.in_flight);
            receiver.in_flight_unsure = receiver.in_flight_unsure.max(most);
            if resumes {
                receiver.paused_since = None;
            }
        });
    }

    /// It is in force.
    pub fn control_made(&self, host: usize, paused: bool, limits: Limits) {
        let now = self.now();
        self.with(|inner| {
            let receiver = &mut inner.receivers[host];
            receiver.unsure = false;
            receiver.unsure_until = now + IN_FORCE;
            if paused {
                receiver.paused_since.get_or_insert(now + IN_FORCE);
            }
            if receiver.limits.rate != limits.rate {
                let at = now + IN_FORCE;
                receiver.pace =
                    limits.rate.map(|(rate, burst)| Bucket::new(rate, burst.into(), at));
            }
            receiver.limits = limits;
        });
    }

    pub fn record(&self, id: DeliveryId) -> Option<DeliveryRecord> {
        self.store.find(id).now_or_never().expect("memory does not wait").expect("it is open")
    }

    fn arrive(
        &self,
        host: usize,
        actor: u32,
        request: &AttemptRequest,
    ) -> (Reply, Duration, usize) {
        let (now, wall) = (self.now(), self.wall());
        let record = self.record(request.id);
        let key =
            self.with(|inner| inner.owed.get(&request.id)?.key.clone().map(|key| (host, key)));
        let others = key.map_or_else(Vec::new, |key| self.others_of(&key, request.id));
        self.with(|inner| {
            inner.requests += 1;
            let token = inner.requests;
            // What a dead actor had just sent comes in nevertheless.
            if inner.receivers[host].actor == actor {
                inner.check(now, wall, host, request, record.as_ref(), &others);
            }
            let (reply, latency) = inner.reply(now, host);
            let name = inner.name(request.id);
            let number = request.number;
            inner.say(now, &format!("h{host} gets {name} #{number}: {reply} in {latency:?}"));
            inner.receivers[host].open.insert((actor, token), request.id);
            inner.receivers[host].last = now;
            if let Some(owed) = inner.owed.get_mut(&request.id) {
                owed.sent += 1;
            }
            (reply, latency, token)
        })
    }

    /// The other deliveries of an ordering key, and how the store has them.
    fn others_of(&self, key: &(usize, String), id: DeliveryId) -> Vec<(Owed, DeliveryRecord)> {
        let others = self.owed().into_iter().filter(|(other, owed)| {
            *other != id && owed.host == key.0 && owed.key.as_ref() == Some(&key.1)
        });
        others.filter_map(|(other, owed)| Some((owed, self.record(other)?))).collect()
    }

    fn answered(
        &self,
        host: usize,
        actor: u32,
        token: usize,
        request: &AttemptRequest,
        reply: &Reply,
    ) {
        let now = self.now();
        let rules = {
            let name = self.with(|inner| inner.receivers[host].name.clone());
            self.settings.rules_of(&name).clone()
        };
        self.with(|inner| {
            let receiver = &mut inner.receivers[host];
            receiver.open.remove(&(actor, token));
            let is_current = receiver.actor == actor;
            if let (true, Some(wait)) = (is_current && reply.is_refusal(), reply.retry_after()) {
                let until = now + wait;
                let longest = receiver.wait.is_none_or(|(_, other)| other < until);
                if longest {
                    receiver.wait = Some((now, until));
                }
            }
            let Some(owed) = inner.owed.get_mut(&request.id) else { return };
            let retried = owed.failures;
            let ends = matches!(reply.status(), 200..=407 | 409..=428 | 430..=499);
            match reply.status() {
                200..=299 => owed.successes += 1,
                300..=407 | 409..=428 | 430..=499 => owed.permanent += 1,
                429 => {}
                503 if reply.retry_after().is_some() => {}
                _ => owed.failures += 1,
            }
            if !is_current {
                return;
            }
            owed.over |= ends;
            // A bare 503 among successes may go again at once: a limiter's doing.
            if owed.failures > retried && reply.status() != 503 {
                let base = rules.retry.base.mul_f64(1.0 - rules.retry.jitter).min(rules.retry.max);
                owed.not_before = now + base.max(reply.retry_after().unwrap_or_default());
            }
        });
    }
}

impl Inner {
    fn say(&mut self, now: Duration, line: &str) {
        writeln!(self.history, "+{:>10.3}s  {line}", now.as_secs_f64()).expect("memory");
    }

    fn violated(&mut self, now: Duration, what: String) {
        self.say(now, &format!("!!! {what}"));
        self.violations.push(format!("+{:.3}s {what}", now.as_secs_f64()));
    }

    fn index_of(&self, name: &HostName) -> usize {
        self.receivers.iter().position(|one| one.name == *name).expect("a host of the history")
    }

    fn name(&self, id: DeliveryId) -> String {
        self.owed.get(&id).map_or_else(|| id.to_string(), |owed| format!("d{}", owed.order))
    }

    /// The promises about a request that arrives.
    fn check(
        &mut self,
        now: Duration,
        wall: Timestamp,
        host: usize,
        request: &AttemptRequest,
        record: Option<&DeliveryRecord>,
        others: &[(Owed, DeliveryRecord)],
    ) {
        let name = self.name(request.id);
        let mut wrong = Vec::new();
        let (Some(record), Some(owed)) = (record, self.owed.get(&request.id)) else {
            return self.violated(now, format!("{name} is sent and unknown"));
        };
        let receiver = &self.receivers[host];
        if self.stopped {
            wrong.push("is sent after the stop".to_owned());
        }
        if record.expires <= wall {
            wrong.push(format!("is sent at {wall:?}, past its expiry {:?}", record.expires));
        }
        // An actor that died may have left an outcome that is not yet durable: what it was about
        // may go again.
        if !receiver.died {
            if record.state != StoredState::Pending {
                wrong.push(format!("is sent and in the store {:?}", record.state));
            }
            if owed.over || owed.cancelled {
                wrong.push("is sent again though it is over".to_owned());
            }
            if record.due > wall {
                wrong.push(format!("is sent at {wall:?}, due {:?}", record.due));
            }
            if now + ROUNDING < owed.not_before {
                wrong.push(format!("is sent again before {:?}", owed.not_before));
            }
            if request.number <= record.attempts {
                let (number, made) = (request.number, record.attempts);
                wrong.push(format!("is attempt {number} after {made} were recorded"));
            }
            if let Some((first, second)) = receiver.twice(request.id) {
                wrong.push(format!("is sent while it is in flight ({first}, {second})"));
            }
            for (other, other_record) in others {
                let order = other.order;
                if other_record.state == StoredState::Pending {
                    wrong.push(format!("is sent while d{order} of its key is pending"));
                }
                let earlier = order < owed.order && other.certain && !other.redriven;
                let ended = matches!(other_record.state, StoredState::Ended(_));
                if earlier && (!ended || other_record.blocks_key) {
                    wrong.push(format!("is sent before d{order} of its key ended"));
                }
                let out = |(actor, _): &(u32, usize)| *actor == receiver.actor;
                if receiver.open.iter().any(|(key, id)| out(key) && *id == other_record.id) {
                    wrong.push(format!("is sent while d{order} of its key is in flight"));
                }
            }
        }
        if receiver.paused_since.is_some_and(|since| since <= now) {
            wrong.push("is sent to a paused host".to_owned());
        }
        if let Some((since, until)) = receiver.wait
            && since + ROUNDING < now
            && now + ROUNDING < until
        {
            wrong.push(format!("is sent before the host's Retry-After at {until:?}"));
        }
        let unsure = receiver.unsure || now < receiver.unsure_until;
        let most = match unsure {
            true => receiver.in_flight_unsure,
            false => receiver.limits.in_flight,
        };
        let out = receiver.open.keys().filter(|(actor, _)| *actor == receiver.actor).count();
        if out as u32 >= most {
            wrong.push(format!("is the {}th in flight of {most}", out + 1));
        }
        let receiver = &mut self.receivers[host];
        if !unsure {
            receiver.in_flight_unsure = 0;
        }
        if let Some(pace) = receiver.pace.as_mut().filter(|pace| !unsure && pace.at <= now)
            && !pace.take(now)
        {
            wrong.push(format!("is sent faster than {} a second", pace.rate));
        }
        for what in wrong {
            self.violated(now, format!("{name} of h{host} {what}"));
        }
    }

    fn reply(&mut self, now: Duration, host: usize) -> (Reply, Duration) {
        let quick = Duration::from_millis(1);
        let receiver = &mut self.receivers[host];
        if self.good {
            return (Reply::ok(), quick);
        }
        let dice = &mut self.dice;
        match &receiver.temper {
            Temper::Good => (Reply::ok(), Duration::from_millis(dice.u64(1..50))),
            Temper::Slow => (Reply::ok(), Duration::from_millis(dice.u64(200..5_000))),
            Temper::Limited { headers, retry_after, .. } => {
                let (headers, retry_after) = (*headers, *retry_after);
                let bucket = &mut receiver.allowance;
                let before = bucket.tokens;
                let allowed = bucket.take(now) && bucket.tokens >= 0.0;
                if !allowed {
                    bucket.tokens = before.max(0.0).min(bucket.tokens + 1.0);
                }
                (Reply::limited(allowed, bucket, headers, retry_after), quick)
            }
            Temper::Flapping { period } => {
                let up = (now.as_millis() / period.as_millis().max(1)).is_multiple_of(2);
                (if up { Reply::ok() } else { Reply::Refuse }, quick)
            }
            Temper::Hanging => match dice.u32(0..4) {
                0 => (Reply::ok(), quick),
                _ => (Reply::Hang, TIMEOUT),
            },
            Temper::Refusing => (Reply::Refuse, quick),
            Temper::Whimsical => {
                let statuses = [200, 200, 200, 204, 301, 404, 408, 410, 429, 500, 502, 503, 529];
                let status = statuses[dice.usize(..statuses.len())];
                let mut headers = Vec::new();
                if dice.u32(0..3) == 0 {
                    headers.push(("retry-after".to_owned(), dice.u32(0..20).to_string()));
                }
                let latency = Duration::from_millis(dice.u64(1..1_000));
                (Reply::Status(status, headers), latency)
            }
            Temper::Panicking => match dice.u32(0..3) {
                0 => (Reply::Panic, quick),
                _ => (Reply::ok(), quick),
            },
            Temper::Overloaded => match dice.u32(0..3) {
                0 => (Reply::Status(503, Vec::new()), quick),
                _ => (Reply::ok(), quick),
            },
        }
    }
}

impl Receiver {
    fn renew_pace(&mut self, now: Duration) {
        let rate = self.limits.rate;
        self.pace = rate.map(|(rate, burst)| Bucket::new(rate, burst.into(), now));
    }

    /// Tokens of a request that is under way for the same delivery.
    fn twice(&self, id: DeliveryId) -> Option<(u32, usize)> {
        self.open
            .iter()
            .find(|((actor, _), open)| *actor == self.actor && **open == id)
            .map(|e| *e.0)
    }
}

/// The limits that the settings give a host.
pub fn limits_of(settings: &Settings, name: &HostName) -> Limits {
    let limits = &settings.rules_of(name).limits;
    let rate = limits.requests_per_second.map(|rate| {
        let burst = limits.burst.unwrap_or(rate.max(1.0) as u32);
        (rate, burst)
    });
    Limits { in_flight: limits.in_flight, rate }
}

/// What a receiver does with a request.
#[derive(Clone, Debug)]
pub enum Reply {
    Status(u16, Vec<(String, String)>),
    Refuse,
    Hang,
    Panic,
}

impl Reply {
    fn ok() -> Self {
        Reply::Status(200, Vec::new())
    }

    fn limited(allowed: bool, bucket: &Bucket, headers: bool, retry_after: bool) -> Self {
        let mut fields = Vec::new();
        let seconds = ((1.0 - bucket.tokens) / bucket.rate).max(0.0);
        if headers {
            let refill = ((bucket.burst - bucket.tokens) / bucket.rate).ceil();
            fields.push(("x-ratelimit-limit".to_owned(), bucket.burst.to_string()));
            let remaining = bucket.tokens.max(0.0).floor();
            fields.push(("x-ratelimit-remaining".to_owned(), remaining.to_string()));
            fields.push(("x-ratelimit-reset".to_owned(), refill.to_string()));
        }
        if retry_after && !allowed {
            fields.push(("retry-after".to_owned(), seconds.ceil().to_string()));
        }
        Reply::Status(if allowed { 200 } else { 429 }, fields)
    }

    fn status(&self) -> u16 {
        match self {
            Reply::Status(status, _) => *status,
            Reply::Refuse | Reply::Hang | Reply::Panic => 599,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        let Reply::Status(_, headers) = self else { return None };
        let (_, value) = headers.iter().find(|(name, _)| name == "retry-after")?;
        Some(Duration::from_secs(value.parse().expect("whole seconds")))
    }

    fn is_refusal(&self) -> bool {
        matches!(self.status(), 429 | 503)
    }

    fn outcome(&self) -> Outcome {
        let timed_out = matches!(self, Reply::Hang);
        match self {
            Reply::Status(status, headers) => {
                let header = |(name, value): &(String, String)| Header {
                    name: name.clone(),
                    value: value.clone(),
                };
                let headers = headers.iter().map(header).collect();
                let body = Bytes::new();
                Outcome::Answered(Answer { status: *status, headers, body, body_truncated: false })
            }
            Reply::Refuse | Reply::Hang => {
                Outcome::NoAnswer { reason: "simulated".into(), timed_out }
            }
            Reply::Panic => panic!("simulated: the sender breaks"),
        }
    }
}

impl std::fmt::Display for Reply {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reply::Status(status, headers) => {
                write!(formatter, "{status}")?;
                headers.iter().try_for_each(|(name, value)| write!(formatter, " {name}={value}"))
            }
            Reply::Refuse => formatter.write_str("refuses"),
            Reply::Hang => formatter.write_str("hangs"),
            Reply::Panic => formatter.write_str("breaks the sender"),
        }
    }
}

/// The sender of one host.
pub struct Receiving {
    world: Arc<World>,
    host: usize,
    /// Which of the actor's lives it belongs to.
    actor: u32,
}

impl Sender for Receiving {
    fn attempt(&self, request: AttemptRequest) -> LocalBoxFuture<'static, Report> {
        let (world, host, actor) = (self.world.clone(), self.host, self.actor);
        let (reply, latency, token) = world.arrive(host, actor, &request);
        async move {
            tokio::time::sleep(latency).await;
            world.answered(host, actor, token, &request, &reply);
            let outcome = reply.outcome();
            Report { outcome, timings: Timings { total_us: 1000, ..Timings::default() } }
        }
        .boxed_local()
    }
}
