//! The sending process of a bench: a fixed number of connections, each with one request under way,
//! as fast as the answers come or at a rate. Reports on standard output, a line of JSON for each
//! line on standard input.
//!
//! At a rate each trigger has its time. One that goes out late because every connection still
//! waits for an answer is measured from when it should have gone, so that a stall of the server is
//! felt by all that it held up; one that is late because our own timer is coarse is not.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::ops::Range;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use clap::Args;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::campaign;
use super::process;
use super::quantiles::{self, Quantiles};
use super::wire;
use crate::clock::boot_nanos;

/// Room for an answer.
const BUFFER: usize = 4 << 10;
/// A broken connection is made anew after this.
const AGAIN: Duration = Duration::from_millis(10);
/// Broken connections in a row that end the run: the server is gone.
const BROKEN_MAX: u32 = 200;

/// Flags of the driver's process.
#[derive(Args, Clone, Debug)]
pub struct DriverArgs {
    /// What to send, as JSON
    #[arg(long)]
    plan: String,
}

/// What one request is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) enum What {
    /// A trigger with a webhook of its own, or several such triggers as NDJSON.
    Triggers,
    /// A trigger of the campaign with this id, for as many recipients as a batch has.
    Campaign(String),
    /// The profile of a recipient.
    Profiles,
}

/// What to send.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Plan {
    /// What.
    pub(super) what: What,
    /// The server.
    pub(super) server: SocketAddr,
    /// The API key to ask it with.
    pub(super) key: Option<String>,
    /// Requests under way at once.
    pub(super) connections: usize,
    /// Triggers in all…
    pub(super) triggers: u32,
    /// …or until this has passed.
    pub(super) duration: Option<Duration>,
    /// Triggers a second; `None` for as fast as answers come.
    pub(super) rate: Option<f64>,
    /// What cannot go out at its time is left out: all connections still wait for answers.
    pub(super) lossy: bool,
    /// What is refused is sent again after its `Retry-After`, until it is taken.
    pub(super) obey: bool,
    /// Numbers begin here.
    pub(super) first: u32,
    /// Different hosts, by turns.
    pub(super) hosts: u32,
    /// Port of all hosts.
    pub(super) port: u16,
    /// A URL to send to instead.
    pub(super) url: Option<String>,
    /// Every so many triggers one goes to `hang_port` instead; 0 for none.
    pub(super) hang_every: u32,
    /// Where nothing is ever answered.
    pub(super) hang_port: u16,
    /// Bytes of a body.
    pub(super) size: usize,
    /// Whether each trigger has two pairs of metadata.
    pub(super) metadata: bool,
    /// Triggers of one request, or recipients of one.
    pub(super) batch: u32,
}

impl Plan {
    /// Whether trigger number `number` goes to the host that never answers.
    pub(super) fn hangs(&self, number: u32) -> bool {
        self.hang_every > 0 && number % self.hang_every == self.hang_every - 1
    }

    fn put_trigger(&self, out: &mut Vec<u8>, number: u32, nanos: u64) {
        let port = if self.hangs(number) { self.hang_port } else { self.port };
        out.extend_from_slice(b"{\"webhook\":{\"url\":\"");
        match &self.url {
            Some(url) => out.extend_from_slice(url.as_bytes()),
            None => {
                let host = if self.hangs(number) { 0 } else { number % self.hosts };
                write!(out, "http://{}/hook", wire::host(host, port)).expect("memory");
            }
        }
        out.extend_from_slice(b"\",\"body\":");
        wire::put_body(out, number, nanos, self.size);
        out.extend_from_slice(b"}");
        if self.metadata {
            let (shop, order) = (number % 1000, number);
            write!(out, ",\"metadata\":{{\"shop\":\"{shop}\",\"order\":\"{order}\"}}")
                .expect("memory takes every write");
        }
        out.extend_from_slice(b"}");
    }

    fn put_body(&self, out: &mut Vec<u8>, numbers: Range<u32>, nanos: u64) {
        match &self.what {
            What::Campaign(id) => campaign::put_call(out, id, numbers, nanos),
            What::Profiles => campaign::put_profile(out, numbers.start),
            What::Triggers if self.batch == 1 => self.put_trigger(out, numbers.start, nanos),
            What::Triggers => {
                for number in numbers {
                    self.put_trigger(out, number, nanos);
                    out.push(b'\n');
                }
            }
        }
    }

    fn put_request(&self, out: &mut Vec<u8>, first: u32, body: &[u8]) {
        let (line, kind) = match self.what {
            What::Profiles => {
                (format!("PUT /v1/recipients/{}", campaign::external_id(first)), "json")
            }
            What::Triggers if self.batch > 1 => ("POST /v1/triggers/batch".into(), "x-ndjson"),
            What::Triggers | What::Campaign(_) => ("POST /v1/triggers".into(), "json"),
        };
        write!(
            out,
            "{line} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/{kind}\r\n\
             content-length: {}\r\n",
            self.server,
            body.len()
        )
        .expect("memory takes every write");
        if let Some(key) = &self.key {
            write!(out, "authorization: Bearer {key}\r\n").expect("memory takes every write");
        }
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(body);
    }

    /// The status of an answer to what was taken.
    fn taken(&self) -> u16 {
        match self.what {
            What::Profiles => 200,
            What::Triggers | What::Campaign(_) => 202,
        }
    }
}

/// What was sent so far.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Sent {
    /// Triggers that went out.
    pub(super) triggers: u64,
    /// Triggers answered 202 (profiles: 200).
    pub(super) accepted: u64,
    /// Those of them that go to hosts which answer.
    pub(super) owed: u64,
    /// Requests answered otherwise, by status; 0 for a connection that broke.
    pub(super) refused: BTreeMap<u16, u64>,
    /// The largest `Retry-After` of those, seconds.
    pub(super) retry_after_max: Option<u64>,
    /// When the first went out, nanoseconds since boot.
    pub(super) first_nanos: u64,
    /// When the last answer came.
    pub(super) last_nanos: u64,
    /// From when the POST was to go to its 202, microseconds.
    pub(super) latency: Quantiles,
    /// From when it went.
    pub(super) latency_sent: Quantiles,
    /// Whether all is sent.
    pub(super) done: bool,
}

struct Book {
    sent: Sent,
    latency: Histogram<u64>,
    latency_sent: Histogram<u64>,
}

type Shared = Arc<Mutex<Book>>;

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Book> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sends, and reports until standard input ends.
pub(super) fn run(args: &DriverArgs) -> ExitCode {
    crate::app::raise_descriptor_limit();
    let plan = match serde_json::from_str(&args.plan) {
        Ok(plan) => plan,
        Err(error) => return super::super::refuse(&format!("--plan: {error}")),
    };
    match drive(plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::super::refuse(&format!("the driver failed: {error}")),
    }
}

fn drive(plan: Plan) -> io::Result<()> {
    let (latency, latency_sent) = (quantiles::histogram(), quantiles::histogram());
    let book = Book { sent: Sent::default(), latency, latency_sent };
    let shared: Shared = Arc::new(Mutex::new(book));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let sending = shared.clone();
    std::thread::Builder::new().name("driver".into()).spawn(move || {
        let local = tokio::task::LocalSet::new();
        local.block_on(&runtime, send_all(plan, sending.clone()));
        lock(&sending).sent.done = true;
    })?;
    process::report_on_demand(|| {
        let book = lock(&shared);
        let latency_sent = Quantiles::of(&book.latency_sent);
        Sent { latency: Quantiles::of(&book.latency), latency_sent, ..book.sent.clone() }
    })
}

async fn send_all(plan: Plan, shared: Shared) {
    let began = boot_nanos();
    lock(&shared).sent.first_nanos = began;
    let turns = Rc::new(Turns {
        next: Cell::new(0),
        began,
        plan,
        batch: RefCell::default(),
        again: RefCell::default(),
        under_way: Cell::new(0),
    });
    let connections = (0..turns.plan.connections).map(|_| {
        let (turns, shared) = (turns.clone(), shared.clone());
        tokio::task::spawn_local(async move { converse(&turns, &shared).await })
    });
    futures::future::join_all(connections.collect::<Vec<_>>()).await;
}

/// Whose turn it is: which numbers are still to be sent, and when.
struct Turns {
    plan: Plan,
    began: u64,
    next: Cell<u32>,
    /// Room for the body of a request.
    batch: RefCell<Vec<u8>>,
    /// When what was refused is sent again, soonest first.
    again: RefCell<BinaryHeap<Reverse<(u64, u32)>>>,
    /// Requests without an answer yet, where what is refused comes again.
    under_way: Cell<usize>,
}

impl Turns {
    /// The next numbers, and when they go out; waits until then.
    async fn take(&self) -> Option<(Range<u32>, u64)> {
        if !self.plan.obey {
            return self.take_fresh().await;
        }
        loop {
            let due = self.again.borrow().peek().map(|Reverse((due, _))| *due);
            if due.is_some_and(|due| due <= boot_nanos()) {
                let Reverse((due, number)) = self.again.borrow_mut().pop()?;
                return Some((number..number + 1, due));
            }
            // Fresh ones have their times, too; nobody sleeps past one that comes again.
            let rate = self.plan.rate.unwrap_or(f64::MAX);
            let fresh_at = self.began + (f64::from(self.next.get()) / rate * 1e9) as u64;
            let is_left = self.next.get() < self.plan.triggers;
            if is_left && fresh_at <= boot_nanos() {
                return self.take_fresh().await;
            }
            if !is_left && due.is_none() && self.under_way.get() == 0 {
                return None;
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn take_fresh(&self) -> Option<(Range<u32>, u64)> {
        let from = self.next_due();
        let to = from.saturating_add(self.plan.batch).min(self.plan.triggers);
        if from >= to {
            return None;
        }
        self.next.set(to);
        let until = self.plan.duration.map(|duration| self.began + duration.as_nanos() as u64);
        let mut at = boot_nanos();
        if let Some(rate) = self.plan.rate {
            let due = self.began + (f64::from(from) / rate * 1e9) as u64;
            if due > at {
                tokio::time::sleep(Duration::from_nanos(due - at)).await;
                at = boot_nanos();
            } else {
                at = due;
            }
        }
        if until.is_some_and(|until| at >= until) {
            self.next.set(self.plan.triggers);
            return None;
        }
        Some((self.plan.first + from..self.plan.first + to, at))
    }

    /// The next number, past those whose time is over where they are left out.
    fn next_due(&self) -> u32 {
        match self.plan.rate {
            Some(rate) if self.plan.lossy => {
                let seconds = boot_nanos().saturating_sub(self.began) as f64 / 1e9;
                self.next.get().max((seconds * rate) as u32)
            }
            _ => self.next.get(),
        }
    }

    fn put(&self, out: &mut Vec<u8>, numbers: Range<u32>, at: u64) {
        let (mut body, first) = (self.batch.borrow_mut(), numbers.start);
        body.clear();
        self.plan.put_body(&mut body, numbers, at);
        out.clear();
        self.plan.put_request(out, first, &body);
    }
}

/// One connection, made anew when it breaks. A trigger whose answer was lost is not sent again:
/// whether it was accepted is not known.
async fn converse(turns: &Turns, shared: &Shared) {
    let (mut out, mut buffer) = (Vec::new(), BytesMut::with_capacity(BUFFER));
    let mut connection: Option<TcpStream> = None;
    let mut broken = 0;
    while let Some((numbers, at)) = turns.take().await {
        let mut stream = match connection.take() {
            Some(stream) => stream,
            None => match connect(turns.plan.server).await {
                Some(stream) => stream,
                None => return,
            },
        };
        turns.put(&mut out, numbers.clone(), at);
        buffer.clear();
        turns.under_way.set(turns.under_way.get() + 1);
        let sent_at = boot_nanos();
        let exchanged = exchange(&mut stream, &out, &mut buffer).await;
        turns.under_way.set(turns.under_way.get() - 1);
        if turns.plan.obey
            && let Some(after_s) = exchanged.as_ref().and_then(|answer| answer.retry_after)
        {
            let due = boot_nanos() + after_s * 1_000_000_000;
            turns.again.borrow_mut().push(Reverse((due, numbers.start)));
        }
        count(&turns.plan, shared, numbers, (at, sent_at), exchanged.as_ref());
        match exchanged {
            Some(_) => {
                connection = Some(stream);
                broken = 0;
            }
            None if broken >= BROKEN_MAX => return,
            None => {
                broken += 1;
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn connect(server: SocketAddr) -> Option<TcpStream> {
    for _ in 0..BROKEN_MAX {
        if let Ok(stream) = TcpStream::connect(server).await {
            let _ = stream.set_nodelay(true);
            return Some(stream);
        }
        tokio::time::sleep(AGAIN).await;
    }
    None
}

async fn exchange(
    stream: &mut TcpStream,
    out: &[u8],
    buffer: &mut BytesMut,
) -> Option<wire::Answered> {
    stream.write_all(out).await.ok()?;
    loop {
        buffer.reserve(BUFFER);
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
        if let Some(answer) = wire::answer(buffer).ok()? {
            return Some(answer);
        }
    }
}

fn count(
    plan: &Plan,
    shared: &Shared,
    numbers: Range<u32>,
    (at, sent_at): (u64, u64),
    answer: Option<&wire::Answered>,
) {
    let now = boot_nanos();
    let triggers = u64::from(numbers.end - numbers.start);
    let mut book = lock(shared);
    book.sent.triggers += triggers;
    book.sent.last_nanos = now;
    match answer {
        Some(answer) if answer.status == plan.taken() => {
            book.sent.accepted += triggers;
            book.sent.owed += numbers.filter(|number| !plan.hangs(*number)).count() as u64;
            book.latency.saturating_record((now - at) / 1000);
            book.latency_sent.saturating_record((now - sent_at) / 1000);
        }
        other => {
            let status = other.map_or(0, |answer| answer.status);
            *book.sent.refused.entry(status).or_default() += 1;
            let retry_after = other.and_then(|answer| answer.retry_after);
            book.sent.retry_after_max = book.sent.retry_after_max.max(retry_after);
        }
    }
}
