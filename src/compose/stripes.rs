//! Who changes a record, one after the other. Records carry versions, so that a change never lands
//! on another one; but where hundreds of requests at once raise one recipient's counter, trying
//! again would go on for long. So whoever reads in order to write holds the key meanwhile.

use std::hash::BuildHasher;

use tokio::sync::{Mutex, MutexGuard};
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

/// So many keys can be held at once without meeting; more cost nothing but memory.
const STRIPES: usize = 1024;

/// Locks, each for many keys.
pub(super) struct Stripes(Vec<Mutex<()>>);

impl Default for Stripes {
    fn default() -> Self {
        Self((0..STRIPES).map(|_| Mutex::default()).collect())
    }
}

impl Stripes {
    /// Holds all of `keys` until the answer is dropped. They are taken in one order by everybody,
    /// so that nobody waits for one who waits for him.
    pub(super) async fn hold(&self, keys: impl Iterator<Item = String>) -> Vec<MutexGuard<'_, ()>> {
        let hasher = Xxh3DefaultBuilder::new();
        let stripe = |key: String| hasher.hash_one(key.as_str()) as usize % STRIPES;
        let mut stripes: Vec<usize> = keys.map(stripe).collect();
        stripes.sort_unstable();
        stripes.dedup();
        let mut held = Vec::with_capacity(stripes.len());
        for stripe in stripes {
            held.push(self.0[stripe].lock().await);
        }
        held
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    fn keys(names: &[&str]) -> impl Iterator<Item = String> {
        names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>().into_iter()
    }

    #[test]
    fn a_key_is_held_by_one_at_a_time_and_may_be_named_twice() {
        let stripes = Stripes::default();
        let first = stripes.hold(keys(&["a", "b", "a"])).now_or_never();
        assert!(first.is_some());
        assert!(stripes.hold(keys(&["b"])).now_or_never().is_none());
        drop(first);
        assert!(stripes.hold(keys(&["b"])).now_or_never().is_some());
    }
}
