//! Out of the house: router, host actors, sender.

pub mod engine;
pub mod feeder;
pub mod host;
pub mod live;
pub mod recorder;
pub mod router;
pub mod sender;
pub mod shard;
pub mod snapshot;
mod view;

pub use engine::{Cancelled, Engine, Explanation, WaitReason};
pub use snapshot::{ArbiterStats, BudgetSnapshot, HostCondition, HostSnapshot, Tally};
