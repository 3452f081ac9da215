//! The nouns: plain data that every other room speaks of. No I/O, no clock, no rules.

pub mod alert;
pub mod attempt;
pub mod delivery;
pub mod host;
pub mod id;
pub mod pattern;
pub mod shards;
pub mod time;
pub mod traceparent;
pub mod webhook;
pub mod word;
pub mod workspace;

pub use alert::AlertKind;
pub use attempt::{Answer, Attempt, Outcome, Timings};
pub use delivery::{
    Delivery, End, Metadata, OnFailure, Pending, Priority, Provenance, Settlement, StoredState,
    Verdict,
};
pub use host::{HostControls, HostName, LimitOverrides, PolicyOverrides};
pub use id::{DeliveryId, HostNumber, TriggerId};
pub use shards::ShardSet;
pub use time::{Moment, Now, Timestamp};
pub use traceparent::TraceParent;
pub use webhook::{Header, Method, Scheme, Target, Webhook};
pub use word::{optional_word, word};
pub use workspace::{DEFAULT_WORKSPACE, WorkspacePolicy};
