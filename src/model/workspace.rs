//! Workspaces: teams that share one server and see nothing of each other.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Number of the workspace that everything belongs to where nobody made others.
pub const DEFAULT_WORKSPACE: u32 = 0;

/// What holds for all that one workspace sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct WorkspacePolicy {
    /// Its share of a host's sends next to those of other workspaces: twice the weight, twice the
    /// turns while both wait. 1 to 1,000.
    pub weight: u32,
    /// Deliveries that may be owed at once; `None` means no limit of its own.
    pub max_pending: Option<u64>,
    /// Triggers a second; `None` means no limit of its own.
    pub triggers_per_second: Option<u32>,
    /// Hosts that it may send to, names or `*.suffix`; empty means all.
    pub allow_hosts: Vec<String>,
    /// Hosts that it may not send to, names or `*.suffix`; wins over `allow_hosts`.
    pub deny_hosts: Vec<String>,
}

impl Default for WorkspacePolicy {
    fn default() -> Self {
        Self {
            weight: 1,
            max_pending: None,
            triggers_per_second: None,
            allow_hosts: Vec::new(),
            deny_hosts: Vec::new(),
        }
    }
}
