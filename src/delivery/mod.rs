//! Out of the house: feeder, router, host actors, sender.

mod answer;
mod connect;
mod dial;
pub mod egress;
pub mod engine;
mod explain;
pub mod facts;
pub mod feed;
pub mod feeder;
pub mod guard;
#[doc(hidden)] // reached by the fuzzing of tests/fuzzing
pub mod head;
pub mod holding;
pub mod host;
pub mod live;
#[cfg_attr(not(feature = "otel"), path = "otlp_absent.rs")]
pub mod otlp;
mod patience;
mod prepare;
pub mod recorder;
pub mod request;
mod resolve;
pub mod router;
pub mod sender;
pub mod shard;
pub mod snapshot;
pub mod spans;
mod stream;
pub(crate) mod tls;
mod token;
mod trace;
pub(crate) mod transport;
mod tunnel;
mod view;
pub mod workspaces;

pub use engine::{Cancelled, Engine, Explanation, Obstacle, WaitReason, What};
pub use feed::{Feed, Listener, Notice, RETRIED};
pub use guard::{AddressGuard, BlockedAddress};
pub use sender::{AttemptRequest, HttpSender, Report, Sender, SenderShared};
pub use snapshot::{
    ArbiterStats, BudgetSnapshot, CampaignSnapshot, HealthSnapshot, HostCondition, HostSnapshot,
    LaneSnapshot, LedgerSnapshot, Tally, UsageSnapshot,
};
pub use workspaces::Workspaces;
