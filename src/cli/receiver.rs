//! A receiver of webhooks that counts what arrives and misbehaves as it is told: `listen` shows it,
//! and `demo` and the tests deliver to it. It runs on a thread and a runtime of its own, so that a
//! busy engine beside it does not slow its answers.

mod behaviour;
pub mod http;
mod signature;

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use futures::future::{self, Either};
use tokio::net::TcpListener as AsyncListener;
use tokio::sync::{Notify, oneshot};
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::Clock;
use crate::model::{Moment, Timestamp};

pub use behaviour::{Behaviour, Flap, Limit, LimitHeaders};
pub(super) use behaviour::{Temper, Treatment};
pub use http::Request;
use http::{Connection, reason};
pub use signature::Signature;

/// How soon a failed accept or bind is tried again: long enough not to spin when descriptors have
/// run out, short enough not to be noticed.
const AGAIN_AFTER: Duration = Duration::from_millis(20);

/// What has arrived so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests, answered or not.
    pub requests: u64,
    /// Answers by status.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests that were reset or left hanging.
    pub unanswered: u64,
    /// Different `webhook-id`s.
    pub distinct_ids: u64,
    /// Different `webhook-id`s that were answered with a 2xx.
    pub accepted_ids: u64,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Answered with this status.
    Answered(u16),
    /// The connection was reset.
    Reset,
    /// Left without an answer.
    Hung,
}

/// One request, as it is shown.
pub struct Received {
    /// When it had arrived whole.
    pub at: Timestamp,
    /// The request.
    pub request: Request,
    /// How it ended.
    pub fate: Fate,
    /// What its signature came to; `None` without a secret to check it with.
    pub signature: Option<Signature>,
}

/// Is told of every request, on the receiver's thread, before the answer goes out.
pub type Observer = Box<dyn FnMut(&Received) + Send>;

/// A running receiver; stops when it is dropped.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    clock: Clock,
    state: Mutex<State>,
    behaviour_changed: Notify,
}

struct State {
    temper: Temper,
    since: Moment,
    counts: Counts,
    /// Hashes of the ids, which cost less than the ids; a collision in ten million is one in a
    /// hundred thousand.
    ids: HashSet<u64>,
    accepted_ids: HashSet<u64>,
    observer: Option<Observer>,
}

impl Receiver {
    /// Starts on `address` (port 0 takes a free one).
    pub fn start(address: SocketAddr, behaviour: Behaviour) -> io::Result<Self> {
        Self::launch(address, behaviour, None)
    }

    /// Starts on `address` and tells `observer` of every request.
    pub fn start_observed(
        address: SocketAddr,
        behaviour: Behaviour,
        observer: Observer,
    ) -> io::Result<Self> {
        Self::launch(address, behaviour, Some(observer))
    }

    fn launch(
        address: SocketAddr,
        behaviour: Behaviour,
        observer: Option<Observer>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let clock = Clock::system();
        let state = State {
            temper: Temper::new(behaviour),
            since: clock.moment(),
            counts: Counts::default(),
            ids: HashSet::new(),
            accepted_ids: HashSet::new(),
            observer,
        };
        let shared =
            Arc::new(Shared { clock, state: Mutex::new(state), behaviour_changed: Notify::new() });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("receiver".into()).spawn(move || {
            let serve = std::pin::pin!(serve(listener, address, serving));
            runtime.block_on(future::select(serve, stopped));
        })?;
        Ok(Self { address, shared, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Behaves so from now on; times such as `fail_for` begin anew.
    pub fn behave(&self, behaviour: Behaviour) {
        let mut state = self.shared.state();
        state.temper = Temper::new(behaviour);
        state.since = self.shared.clock.moment();
        drop(state);
        self.shared.behaviour_changed.notify_one();
    }

    /// What has arrived so far.
    pub fn counts(&self) -> Counts {
        let state = self.shared.state();
        Counts {
            distinct_ids: state.ids.len() as u64,
            accepted_ids: state.accepted_ids.len() as u64,
            ..state.counts.clone()
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        // Dropping the sender wakes the thread.
        self.stop.take();
        if let Some(thread) = self.thread.take() {
            // A panic there has been printed there.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// A panic of the observer leaves nothing half-written, so a poisoned lock is as good as new.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The temper and the time since it began, under one lock.
    fn ask<T>(&self, question: impl FnOnce(&Temper, Duration) -> T) -> T {
        let now = self.clock.moment();
        let state = self.state();
        question(&state.temper, now.since(state.since))
    }
}

impl State {
    /// Decides about a request, counts it and shows it.
    fn take(&mut self, request: Request, now: Moment, at: Timestamp) -> (Treatment, Request) {
        let secret = self.temper.behaviour().secret.as_ref();
        let signature = secret.map(|secret| Signature::of(&request, secret, at));
        let signed = signature.is_none_or(|signature| signature == Signature::Right);
        let treatment = self.temper.treat(now.since(self.since), signed);
        let fate = match &treatment {
            Treatment::Answer { status, .. } => Fate::Answered(*status),
            Treatment::Reset => Fate::Reset,
            Treatment::Hang => Fate::Hung,
        };
        self.count(request.header("webhook-id"), fate);
        let received = Received { at, request, fate, signature };
        if let Some(observer) = &mut self.observer {
            observer(&received);
        }
        (treatment, received.request)
    }

    fn count(&mut self, id: Option<&str>, fate: Fate) {
        self.counts.requests += 1;
        let id = id.map(|id| xxh3_64(id.as_bytes()));
        self.ids.extend(id);
        match fate {
            Fate::Answered(status) => {
                *self.counts.by_status.entry(status).or_default() += 1;
                if (200..300).contains(&status) {
                    self.accepted_ids.extend(id);
                }
            }
            Fate::Reset | Fate::Hung => self.counts.unanswered += 1,
        }
    }
}

/// Accepts for ever, closing the door while the behaviour says so.
async fn serve(listener: TcpListener, address: SocketAddr, shared: Arc<Shared>) {
    let mut open = AsyncListener::from_std(listener).ok();
    loop {
        if let Some(wait) = shared.ask(Temper::refuses) {
            open = None;
            pause(wait, &shared).await;
            continue;
        }
        let Some(listener) = &open else {
            open = AsyncListener::bind(address).await.ok();
            if open.is_none() {
                tokio::time::sleep(AGAIN_AFTER).await;
            }
            continue;
        };
        let accept = std::pin::pin!(listener.accept());
        let until = shared.ask(Temper::accepts).unwrap_or(Duration::MAX);
        let change = std::pin::pin!(pause(until, &shared));
        match future::select(accept, change).await {
            Either::Left((Ok((stream, _)), _)) => {
                // Only latency is lost where this fails.
                let _ = stream.set_nodelay(true);
                tokio::spawn(converse(Connection::new(stream), Arc::clone(&shared)));
            }
            Either::Left((Err(_), _)) => tokio::time::sleep(AGAIN_AFTER).await,
            Either::Right(_) => {}
        }
    }
}

/// Waits so long, or until the behaviour changes.
async fn pause(wait: Duration, shared: &Shared) {
    // A millisecond more, since a timer that fires early would spin.
    let wait = wait.saturating_add(Duration::from_millis(1));
    let slept = std::pin::pin!(tokio::time::sleep(wait));
    future::select(slept, std::pin::pin!(shared.behaviour_changed.notified())).await;
}

/// Serves one connection to its end. What the client did wrong ends it too.
async fn converse(mut connection: Connection, shared: Arc<Shared>) {
    while let Ok(Some(request)) = connection.next().await {
        let (now, at) = (shared.clock.moment(), shared.clock.raw_wall());
        let (treatment, request, delay, body) = {
            let mut state = shared.state();
            let (treatment, request) = state.take(request, now, at);
            let behaviour = state.temper.behaviour();
            (treatment, request, behaviour.delay, behaviour.body.clone())
        };
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        let (status, limit_lines) = match treatment {
            Treatment::Answer { status, limit_lines } => (status, limit_lines),
            Treatment::Reset => return connection.reset(),
            Treatment::Hang => return connection.outlast().await,
        };
        let bytes = answer(status, &limit_lines, &body, &request);
        if connection.write(&bytes).await.is_err() || !request.keep_alive {
            return;
        }
    }
}

fn answer(status: u16, limit_lines: &str, body: &[u8], request: &Request) -> Vec<u8> {
    let connection = if request.keep_alive { "" } else { "connection: close\r\n" };
    let bodiless = matches!(status, 204 | 304);
    let length =
        if bodiless { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let reason = reason(status);
    let head = format!("HTTP/1.1 {status} {reason}\r\n{length}{connection}{limit_lines}\r\n");
    let mut bytes = head.into_bytes();
    if !bodiless && request.method != "HEAD" {
        bytes.extend_from_slice(body);
    }
    bytes
}
