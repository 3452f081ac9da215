//! Who may come in, and for which workspace.

use std::sync::Arc;

use crate::model::DEFAULT_WORKSPACE;

/// Who asks: everything that a request sees and does is of this workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Number of the workspace.
    pub workspace: u32,
    /// Id of the API key; `None` where no key is needed.
    pub key: Option<Arc<str>>,
}

impl Caller {
    /// Somebody who needs no key: may do all, in the default workspace.
    pub fn local() -> Self {
        Self { workspace: DEFAULT_WORKSPACE, key: None }
    }
}
