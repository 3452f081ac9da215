//! What host actors and recorders tell whoever keeps watch: hosts that fall ill or recover, dead
//! letters that are durable, errors that were counted.
//!
//! A fact is a hint, the store is the truth: telling never waits, and whoever missed one is told
//! that he did and looks at the store instead.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::model::{DeliveryId, HostName, Timestamp};

/// Facts that wait to be heard: ten thousand hosts may change in the same moment.
const WAITING_MAX: usize = 20_000;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A host failed so often that it is left alone for a while.
    FellIll {
        /// Which host.
        host: HostName,
        /// Why, in words.
        reason: String,
        /// When.
        at: Timestamp,
        /// Until when it is left alone.
        until: Option<Timestamp>,
    },
    /// It is well again: its probes succeeded.
    Recovered {
        /// Which host.
        host: HostName,
        /// When.
        at: Timestamp,
    },
    /// Deliveries ended without success, durably; those alone whose retries were used up or that
    /// may block an ordering key.
    DeadLetters(Vec<DeliveryId>),
    /// A host answered so many attempts with an error, or not at all.
    Errors {
        /// Which host.
        host: HostName,
        /// How many since the last such fact.
        count: u32,
    },
}

/// Where facts are told and heard.
#[derive(Default)]
pub struct Facts {
    listener: Mutex<Option<Sender<Fact>>>,
    missed: AtomicBool,
}

impl Facts {
    /// Hears all facts from now on; who listened before hears no more.
    pub fn listen(&self) -> Receiver<Fact> {
        let (sender, receiver) = channel(WAITING_MAX);
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Tells a fact, unless nobody can hear it now.
    pub fn tell(&self, fact: Fact) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = listener.as_ref().is_some_and(|sender| sender.try_send(fact).is_ok());
        if !heard {
            self.missed.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a fact was missed since the last call.
    pub fn take_missed(&self) -> bool {
        self.missed.swap(false, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_hears_is_known_to_be_missed() {
        let facts = Facts::default();
        let fact = || Fact::Errors { host: HostName::from_normalised("a"), count: 1 };
        facts.tell(fact());
        assert!(facts.take_missed() && !facts.take_missed());
        let mut receiver = facts.listen();
        facts.tell(fact());
        assert_eq!(receiver.try_recv(), Ok(fact()));
        assert!(!facts.take_missed());
        (0..=WAITING_MAX).for_each(|_| facts.tell(fact()));
        assert!(facts.take_missed());
    }
}
