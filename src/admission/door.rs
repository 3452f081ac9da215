//! How many triggers may wait for the store at once. Past that they are refused before they are
//! read: a queue in memory would make everyone's wait longer and take nothing more in.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts who is inside.
pub(super) struct Door {
    inside: AtomicUsize,
    most: usize,
}

/// Someone who is inside; gone when dropped.
pub struct Place<'a>(&'a AtomicUsize);

impl Door {
    /// Lets in `most` at once.
    pub(super) fn new(most: usize) -> Self {
        Self { inside: AtomicUsize::new(0), most }
    }

    /// Goes in, unless it is full.
    pub(super) fn enter(&self) -> Option<Place<'_>> {
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.inside);
        (before < self.most).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_may_are_inside_and_places_come_free() {
        let door = Door::new(2);
        let (first, second) = (door.enter(), door.enter());
        assert!(first.is_some() && second.is_some());
        assert!(door.enter().is_none());
        assert!(door.enter().is_none(), "who was refused takes no place");
        drop(first);
        assert!(door.enter().is_some());
    }
}
