//! Who asks, and what he may do.

use std::net::IpAddr;
use std::sync::Arc;

use super::scope::{Scope, Scopes};
use crate::model::DEFAULT_WORKSPACE;

/// What the audit log calls somebody who needed no key.
const LOCAL: &str = "local";
/// What it calls the command line that opened the store itself. No id of a key is so short.
const COMMAND_LINE: &str = "cli";

/// Who asks: everything that a request sees and does is of this workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Number of the workspace.
    pub workspace: u32,
    /// Id of the API key; `None` where no key is needed.
    pub key: Option<Arc<str>>,
    /// What it may do.
    pub scopes: Scopes,
    /// Where the request comes from; `None` where there was none.
    pub address: Option<IpAddr>,
}

impl Caller {
    /// Somebody who needs no key: may do all, in the default workspace.
    pub fn local() -> Self {
        Self { workspace: DEFAULT_WORKSPACE, key: None, scopes: Scopes::admin(), address: None }
    }

    /// The command line of somebody who may read and write the data directory.
    pub fn command_line() -> Self {
        Self { key: Some(COMMAND_LINE.into()), ..Self::local() }
    }

    /// What the audit log calls it: the id of its key, `local` or `cli`.
    pub fn name(&self) -> &str {
        self.key.as_deref().unwrap_or(LOCAL)
    }

    /// Whether it may do something.
    pub fn may(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
    }

    /// Whether it may do everything, in every workspace.
    pub fn is_admin(&self) -> bool {
        self.may(Scope::Admin)
    }

    /// Whether what belongs to a workspace is there for it.
    pub fn sees(&self, workspace: u32) -> bool {
        self.is_admin() || self.workspace == workspace
    }
}
