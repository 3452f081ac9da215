//! The table of misbehaviours: a name, what the receiver does, and how an attempt on it must end.

mod bodies;
mod budgets;
mod connections;
mod heads;
mod lines;
mod secure;

use std::sync::Arc;

pub use bodies::bomb;
pub use secure::Authority;

use crate::receiver::{Door, Peer};

/// A whole, well-formed answer.
pub const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// How an attempt must end.
#[derive(Clone, Copy, Debug)]
pub enum Ends {
    /// With an answer of this status.
    Status(u16),
    /// At once and without an answer; the reason has these words.
    NoAnswer(&'static str),
    /// Because its time ran out, while this was being done.
    TimedOut(&'static str),
}

/// One way to misbehave.
#[derive(Clone)]
pub struct Behaviour {
    pub name: String,
    pub door: Door,
    pub ends: Ends,
    /// Bytes of the body that is sent to it.
    pub body: usize,
    /// Whether it is reached by `https`.
    pub secure: bool,
    /// Whether a request must not come right after the answer to the one before: what is sent in
    /// between is to be there when it goes out. What comes later cannot be told from its answer.
    pub unhurried: bool,
}

impl Behaviour {
    fn sent(self, body: usize) -> Self {
        Self { body, ..self }
    }

    fn unhurried(self) -> Self {
        Self { unhurried: true, ..self }
    }
}

/// All of them.
pub fn all(authority: &Authority) -> Vec<Behaviour> {
    let groups = [
        connections::all(),
        lines::all(),
        heads::all(),
        bodies::all(),
        budgets::all(),
        secure::all(authority),
    ];
    groups.concat()
}

fn at(name: &str, door: Door, ends: Ends) -> Behaviour {
    Behaviour { name: name.to_owned(), door, ends, body: 2, secure: false, unhurried: false }
}

/// A behaviour of each connection.
fn does(name: &str, ends: Ends, script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Behaviour {
    at(name, Door::Open(Arc::new(script)), ends)
}

/// Answers each request with these bytes, and leaves the connection open: what is wrong has to be
/// seen at once.
fn says(name: &str, answer: impl AsRef<[u8]>, ends: Ends) -> Behaviour {
    let answer = answer.as_ref().to_vec();
    does(name, ends, move |peer| while peer.answer(&answer) {})
}

/// Answers the first request with these bytes and closes.
fn says_and_closes(name: &str, answer: impl AsRef<[u8]>, ends: Ends) -> Behaviour {
    let answer = answer.as_ref().to_vec();
    does(name, ends, move |peer| {
        peer.answer(&answer);
    })
}

/// Answers the first request with these bytes, and a little later resets the connection.
fn says_and_resets(name: &str, answer: impl AsRef<[u8]>, ends: Ends) -> Behaviour {
    let answer = answer.as_ref().to_vec();
    does(name, ends, move |peer| {
        peer.answer(&answer);
        crate::receiver::pause(std::time::Duration::from_millis(50));
        peer.reset();
    })
}

/// Answers the first request with these bytes, and then sends `more` without end.
fn floods(name: &str, answer: impl AsRef<[u8]>, more: impl AsRef<[u8]>, ends: Ends) -> Behaviour {
    let (answer, more) = (answer.as_ref().to_vec(), more.as_ref().repeat(64));
    does(name, ends, move |peer| {
        peer.answer(&answer);
        while peer.write(&more) {}
    })
}
