//! Sets of shards: what a node of a cluster owns.

use std::fmt;

use super::id::SHARDS;

/// Words of a set.
const WORDS: usize = (SHARDS / 64) as usize;

/// Some of the 1,024 shards.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ShardSet([u64; WORDS]);

impl ShardSet {
    /// All of them.
    pub const ALL: Self = Self([u64::MAX; WORDS]);
    /// None.
    pub const NONE: Self = Self([0; WORDS]);

    /// Whether a shard is in it. Numbers past the last shard never are.
    pub fn contains(&self, shard: u32) -> bool {
        self.0.get(shard as usize / 64).is_some_and(|word| word >> (shard % 64) & 1 == 1)
    }

    /// Puts a shard in; answers whether it was not there.
    pub fn insert(&mut self, shard: u32) -> bool {
        let is_new = shard < SHARDS && !self.contains(shard);
        if is_new {
            self.0[shard as usize / 64] |= 1 << (shard % 64);
        }
        is_new
    }

    /// Takes a shard out; answers whether it was there.
    pub fn remove(&mut self, shard: u32) -> bool {
        let was_there = self.contains(shard);
        if was_there {
            self.0[shard as usize / 64] &= !(1 << (shard % 64));
        }
        was_there
    }

    /// What is in either.
    pub fn union(&self, other: &Self) -> Self {
        self.combined(other, |ours, theirs| ours | theirs)
    }

    /// What is in both.
    pub fn intersection(&self, other: &Self) -> Self {
        self.combined(other, |ours, theirs| ours & theirs)
    }

    /// What is in this one and not in the other.
    pub fn without(&self, other: &Self) -> Self {
        self.combined(other, |ours, theirs| ours & !theirs)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }

    /// Their numbers, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..SHARDS).filter(|shard| self.contains(*shard))
    }

    /// 64 shards a word, the lowest first.
    pub fn words(&self) -> [u64; WORDS] {
        self.0
    }

    /// See [`ShardSet::words`].
    pub fn of_words(words: [u64; WORDS]) -> Self {
        Self(words)
    }

    fn combined(&self, other: &Self, with: impl Fn(u64, u64) -> u64) -> Self {
        let mut words = self.0;
        for (ours, theirs) in words.iter_mut().zip(other.0) {
            *ours = with(*ours, theirs);
        }
        Self(words)
    }
}

impl FromIterator<u32> for ShardSet {
    fn from_iter<I: IntoIterator<Item = u32>>(shards: I) -> Self {
        let mut set = Self::NONE;
        for shard in shards {
            set.insert(shard);
        }
        set
    }
}

impl fmt::Debug for ShardSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let mut set: ShardSet = [0, 63, 64, 1023].into_iter().collect();
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 1023]);
        assert!(!set.insert(64) && set.insert(65) && set.remove(0) && !set.remove(0));
        assert_eq!(set.len(), 4);
        assert!(!set.insert(SHARDS) && !set.contains(SHARDS) && !set.contains(1));
    }

    #[test]
    fn sets_are_combined() {
        let ours: ShardSet = [1, 2].into_iter().collect();
        let theirs: ShardSet = [2, 3].into_iter().collect();
        assert_eq!(ours.union(&theirs).iter().collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(ours.intersection(&theirs).iter().collect::<Vec<_>>(), [2]);
        assert_eq!(ours.without(&theirs).iter().collect::<Vec<_>>(), [1]);
        assert_eq!(ShardSet::ALL.len(), SHARDS as usize);
        assert!(ShardSet::NONE.is_empty() && ShardSet::ALL.without(&ShardSet::ALL).is_empty());
    }
}
