//! Out of the house: router, host actors, sender.

mod connect;
pub mod engine;
pub mod guard;
mod head;
pub mod request;
mod resolve;
pub mod sender;
pub mod snapshot;
mod stream;
mod tls;
mod trace;

pub use engine::{Cancelled, Engine, Explanation, WaitReason};
pub use guard::{AddressGuard, BlockedAddress};
pub use sender::{AttemptRequest, HttpSender, Report, Sender, SenderShared};
pub use snapshot::{ArbiterStats, BudgetSnapshot, HostCondition, HostSnapshot, Tally};
