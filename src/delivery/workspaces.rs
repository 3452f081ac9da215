//! What holds for each workspace, where every thread can read it. Filled by who keeps workspaces;
//! one that is not known here has the default policy.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::model::WorkspacePolicy;

/// The policies of all workspaces.
#[derive(Debug, Default)]
pub struct Workspaces(RwLock<HashMap<u32, Arc<WorkspacePolicy>>>);

impl Workspaces {
    /// The policy of a workspace.
    pub fn policy(&self, workspace: u32) -> Arc<WorkspacePolicy> {
        let all = self.0.read().unwrap_or_else(PoisonError::into_inner);
        all.get(&workspace).cloned().unwrap_or_default()
    }

    /// Sets the policy of a workspace. Host actors see it with their next delivery.
    pub fn set(&self, workspace: u32, policy: WorkspacePolicy) {
        let mut all = self.0.write().unwrap_or_else(PoisonError::into_inner);
        all.insert(workspace, Arc::new(policy));
    }
}
