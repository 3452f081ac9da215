//! Whose right it is to write what became of a delivery.

/// The right to write as an owner of hosts. One that is over never comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenure(pub u64);

impl Tenure {
    /// Of a store that has one owner as long as it is open, by a lock.
    pub const SOLE: Self = Self(0);
}
