//! Out of the house: router, host actors, sender.

pub mod connect;
pub mod engine;
pub mod guard;
pub mod head;
pub mod request;
mod resolve;
pub mod sender;
pub mod snapshot;
pub mod stream;
mod tls;
pub mod trace;

pub use engine::{Cancelled, Engine, Explanation, WaitReason};
pub use guard::{AddressGuard, BlockedAddress};
pub use sender::{AttemptRequest, HttpSender, Report, Sender, SenderShared};
pub use snapshot::{ArbiterStats, BudgetSnapshot, HostCondition, HostSnapshot, Tally};
