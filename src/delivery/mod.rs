//! Out of the house: router, host actors, sender.

pub mod engine;
pub mod snapshot;

pub use engine::{Cancelled, Engine, Explanation, WaitReason};
pub use snapshot::{ArbiterStats, BudgetSnapshot, HostCondition, HostSnapshot, Tally};
