//! What this process owns: which shards, in which tenure, and until when it may send. The feeder and
//! the recorder ask it. A process that shares its store with nobody owns everything for ever.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::model::id::SHARDS;
use crate::model::{Moment, ShardSet};
use crate::store::Tenure;

/// Shared by all threads; a read is one load.
pub struct Holding {
    shards: [AtomicU64; (SHARDS / 64) as usize],
    tenure: AtomicU64,
    /// Nanoseconds since the origin of moments.
    deadline: AtomicU64,
}

impl Holding {
    /// Everything, for ever.
    pub fn sole() -> Self {
        let holding = Self::none();
        holding.take(&ShardSet::ALL);
        holding.deadline.store(u64::MAX, Ordering::Relaxed);
        holding
    }

    /// Nothing yet.
    pub fn none() -> Self {
        Self {
            shards: Default::default(),
            tenure: AtomicU64::new(Tenure::SOLE.0),
            deadline: AtomicU64::new(0),
        }
    }

    /// Begins a tenure: nothing is owned in it yet, and nothing may be sent.
    pub fn begin(&self, tenure: Tenure) {
        self.drop(&ShardSet::ALL);
        self.deadline.store(0, Ordering::SeqCst);
        self.tenure.store(tenure.0, Ordering::SeqCst);
    }

    /// Owns these as well.
    pub fn take(&self, shards: &ShardSet) {
        for (word, shards) in self.shards.iter().zip(shards.words()) {
            word.fetch_or(shards, Ordering::SeqCst);
        }
    }

    /// Owns these no longer: no send to them starts from now on.
    pub fn drop(&self, shards: &ShardSet) {
        for (word, shards) in self.shards.iter().zip(shards.words()) {
            word.fetch_and(!shards, Ordering::SeqCst);
        }
    }

    /// May send until then.
    pub fn extend(&self, deadline: Moment) {
        let nanos = deadline.since(Moment::ORIGIN).as_nanos();
        self.deadline.store(u64::try_from(nanos).unwrap_or(u64::MAX), Ordering::SeqCst);
    }

    /// Whether a shard is owned.
    pub fn owns(&self, shard: u32) -> bool {
        let word = self.shards.get(shard as usize / 64);
        word.is_some_and(|word| word.load(Ordering::SeqCst) >> (shard % 64) & 1 == 1)
    }

    /// What is owned.
    pub fn shards(&self) -> ShardSet {
        ShardSet::of_words(self.shards.each_ref().map(|word| word.load(Ordering::SeqCst)))
    }

    /// The tenure to settle in.
    pub fn tenure(&self) -> Tenure {
        Tenure(self.tenure.load(Ordering::SeqCst))
    }

    /// The fence of a send: whether the bytes of a request to this shard may still be written. Asked
    /// immediately before they are.
    pub fn may_send(&self, shard: u32, now: Moment) -> bool {
        self.owns(shard) && self.left(now) > Duration::ZERO
    }

    /// How long it may still send.
    pub fn left(&self, now: Moment) -> Duration {
        let deadline = Duration::from_nanos(self.deadline.load(Ordering::SeqCst));
        (Moment::ORIGIN + deadline).since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sole_owner_sends_for_ever() {
        let holding = Holding::sole();
        let late = Moment::ORIGIN + Duration::from_secs(1 << 32);
        assert!(holding.may_send(0, Moment::ORIGIN) && holding.may_send(1023, late));
        assert_eq!((holding.shards(), holding.tenure()), (ShardSet::ALL, Tenure::SOLE));
    }

    #[test]
    fn a_send_needs_the_shard_and_the_lease() {
        let holding = Holding::none();
        let at = |secs| Moment::ORIGIN + Duration::from_secs(secs);
        holding.begin(Tenure(7));
        holding.take(&[3].into_iter().collect());
        assert!(!holding.may_send(3, at(0)), "no lease yet");
        holding.extend(at(10));
        assert!(holding.may_send(3, at(9)) && !holding.may_send(3, at(10)));
        assert!(!holding.may_send(4, at(9)), "not ours");
        holding.drop(&[3].into_iter().collect());
        assert!(!holding.may_send(3, at(9)));
        holding.take(&[3].into_iter().collect());
        holding.begin(Tenure(8));
        assert!(!holding.may_send(3, at(1)) && holding.tenure() == Tenure(8));
    }
}
