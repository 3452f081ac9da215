//! What the connection tells of the attempt that it serves.
//!
//! awc offers no way to hand facts from its connector and its streams to the request that caused
//! them, and its errors are coarse. Connector and streams run inside the future of the request, so
//! a task-local carries the record of that attempt to them.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::io;
use std::rc::Rc;

use bytes::Bytes;

use crate::clock::Clock;
use crate::model::{Moment, Timings};

tokio::task_local! {
    /// The attempt that the current request is made for.
    static CURRENT: Rc<Trace>;
}

/// How far an attempt came; names what it waited for when its time ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// A token for the request is awaited.
    Token,
    /// The name is being looked up.
    Resolve,
    /// TCP connect.
    Connect,
    /// The proxy connects further.
    Tunnel,
    /// TLS handshake.
    Handshake,
    /// The request is being written.
    Send,
    /// The request is out, nothing came back.
    Wait,
    /// The answer's head comes in.
    Head,
    /// The answer's body comes in.
    Body,
}

impl Stage {
    /// What was being done: follows 'timed out after 90s' or 'connection reset while'.
    pub fn words(self) -> &'static str {
        match self {
            Stage::Token => "waiting for a token",
            Stage::Resolve => "looking up the host's name",
            Stage::Connect => "connecting",
            Stage::Tunnel => "waiting for the proxy to connect",
            Stage::Handshake => "in the TLS handshake",
            Stage::Send => "sending the request",
            Stage::Wait => "waiting for the answer's first byte",
            Stage::Head => "reading the answer's headers",
            Stage::Body => "reading the answer's body",
        }
    }
}

/// Why no answer came, as the connection saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The address guard or a rule about destinations refused; in words.
    Blocked(String),
    /// The request could not be made ready; in words.
    Unprepared(String),
    /// The connection could not be made; in words.
    Unreachable(String),
    /// The other side closed the connection too early.
    Closed(Stage),
    /// Reading or writing failed.
    Broken(io::ErrorKind, Stage),
    /// TLS broke down after the handshake; in words.
    Insecure(String),
    /// What came is not an HTTP answer; in words.
    Malformed(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Blocked(reason)
            | Fault::Unprepared(reason)
            | Fault::Unreachable(reason)
            | Fault::Insecure(reason) => formatter.write_str(reason),
            Fault::Closed(stage) => {
                write!(formatter, "connection closed while {}", stage.words())
            }
            Fault::Broken(io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe, stage) => {
                write!(formatter, "connection reset while {}", stage.words())
            }
            Fault::Broken(kind, stage) => {
                write!(formatter, "connection failed while {}: {kind}", stage.words())
            }
            Fault::Malformed(what) => write!(formatter, "malformed answer: {what}"),
        }
    }
}

/// The record of one request on one connection.
pub struct Trace {
    clock: Clock,
    started: Moment,
    /// Idle connections are passed over: the last one that was reused turned out to be dead.
    pub fresh_only: bool,
    /// How far it came.
    pub stage: Cell<Stage>,
    /// Whether the connection served another request before.
    pub reused: Cell<bool>,
    /// Bytes that came from the receiver, interim answers included.
    pub bytes_in: Cell<u64>,
    /// Whether the answer was read to its end, so that the connection may serve another request.
    pub complete: Cell<bool>,
    /// The answer's head as it came.
    pub head: RefCell<Bytes>,
    /// Bytes that had come when the last piece of the body was there.
    fed: Cell<u64>,
    dns_us: Cell<Option<u64>>,
    connect_us: Cell<Option<u64>>,
    tls_us: Cell<Option<u64>>,
    first_byte_us: Cell<Option<u64>>,
    fault: RefCell<Option<Fault>>,
}

impl Trace {
    /// A record of a request that is part of an attempt started at `started`.
    pub fn new(clock: Clock, started: Moment, fresh_only: bool) -> Rc<Self> {
        Rc::new(Self {
            clock,
            started,
            fresh_only,
            stage: Cell::new(Stage::Connect),
            reused: Cell::new(false),
            bytes_in: Cell::new(0),
            complete: Cell::new(false),
            head: RefCell::default(),
            fed: Cell::default(),
            dns_us: Cell::default(),
            connect_us: Cell::default(),
            tls_us: Cell::default(),
            first_byte_us: Cell::default(),
            fault: RefCell::default(),
        })
    }

    /// A record of the same attempt's repetition with another token.
    pub fn repeated(&self) -> Rc<Self> {
        Self::new(self.clock.clone(), self.started, false)
    }

    /// A record of the same attempt's second request, which wants a fresh connection.
    pub fn afresh(&self) -> Rc<Self> {
        Self::new(self.clock.clone(), self.started, true)
    }

    /// Whether the request went into a connection that had served another one, and nothing came
    /// back: the receiver closed it in the meantime, and all but surely did not take the request.
    pub fn met_stale_connection(&self) -> bool {
        self.reused.get() && self.bytes_in.get() == 0
    }

    /// Runs a request with this record in reach of its connector and stream.
    pub fn scope<F: Future>(self: &Rc<Self>, request: F) -> impl Future<Output = F::Output> {
        CURRENT.scope(Rc::clone(self), request)
    }

    /// The record of the request that runs; `None` outside of one.
    pub fn current() -> Option<Rc<Trace>> {
        CURRENT.try_with(Rc::clone).ok()
    }

    /// Whether the request that runs is the one of this record. Outside of any it is.
    pub fn is_current(self: &Rc<Self>) -> bool {
        CURRENT.try_with(|current| Rc::ptr_eq(current, self)).unwrap_or(true)
    }

    /// The moment, as `resolved`, `connected` and `secured` want it.
    pub fn now(&self) -> Moment {
        self.clock.moment()
    }

    /// The name was looked up since `since`.
    pub fn resolved(&self, since: Moment) {
        self.dns_us.set(Some(self.micros_since(since)));
    }

    /// The connection was made since `since`.
    pub fn connected(&self, since: Moment) {
        self.connect_us.set(Some(self.micros_since(since)));
    }

    /// The handshake was done since `since`.
    pub fn secured(&self, since: Moment) {
        self.tls_us.set(Some(self.micros_since(since)));
    }

    /// The first byte of an answer is here.
    pub fn answer_began(&self) {
        self.stage.set(Stage::Head);
        self.first_byte_us.set(Some(self.micros_since(self.started)));
    }

    /// That was an interim answer; the first byte of the next one is here already, or not.
    pub fn interim_passed(&self, next_began: bool) {
        self.first_byte_us.set(None);
        match next_began {
            true => self.answer_began(),
            false => self.stage.set(Stage::Wait),
        }
    }

    /// The body begins, or a piece of it was made of what came.
    pub fn body_came(&self) {
        self.fed.set(self.bytes_in.get());
    }

    /// Bytes that came since, and made no piece of the body.
    pub fn barren(&self) -> u64 {
        self.bytes_in.get() - self.fed.get()
    }

    /// Notes why it failed; the first cause stays.
    pub fn fail(&self, fault: Fault) {
        self.fault.borrow_mut().get_or_insert(fault);
    }

    /// Why it failed, if the connection saw it.
    pub fn fault(&self) -> Option<Fault> {
        self.fault.borrow().clone()
    }

    /// The times, as they are now.
    pub fn timings(&self) -> Timings {
        Timings {
            dns_us: self.dns_us.get(),
            connect_us: self.connect_us.get(),
            tls_us: self.tls_us.get(),
            first_byte_us: self.first_byte_us.get(),
            total_us: self.micros_since(self.started),
        }
    }

    fn micros_since(&self, since: Moment) -> u64 {
        u64::try_from(self.now().since(since).as_micros()).unwrap_or(u64::MAX)
    }
}
