//! Workspaces: named, changed, listed. They are never deleted, since their number stands in every
//! delivery and record that they ever had, and would be given again to somebody else; without keys
//! and with `max_pending = 0` nothing is done in one any more.

use std::collections::HashSet;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use super::records::{WorkspaceRecord, workspace_write};
use super::{Access, AccessError, Caller, KnownWorkspace};
use crate::admission::FieldError;
use crate::model::{DEFAULT_WORKSPACE, HostName, Timestamp, WorkspacePolicy};
use crate::store::Expect;

/// Workspaces of one server; each may be a lane of each host.
const WORKSPACES_MAX: usize = 10_000;
/// Characters of a name.
const NAME_MAX: usize = 64;
/// Of two workspaces one has a thousand turns to the other's one at most.
const WEIGHTS: std::ops::RangeInclusive<u32> = 1..=1000;
/// Entries of a list of hosts; each is looked at with each delivery.
const HOSTS_MAX: usize = 1000;
/// Triggers a second that can be meant.
const TRIGGERS_MAX: u32 = 1_000_000;

/// What a workspace shall be, or be otherwise; what is left out stays as it is, or at its default.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorkspaceChange {
    /// Its name, unique; a new one has to have one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// See [`WorkspacePolicy::weight`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
    /// See [`WorkspacePolicy::max_pending`]; `null` lifts the limit.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub max_pending: Option<Option<u64>>,
    /// See [`WorkspacePolicy::triggers_per_second`]; `null` lifts the limit.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub triggers_per_second: Option<Option<u32>>,
    /// See [`WorkspacePolicy::allow_hosts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_hosts: Option<Vec<String>>,
    /// See [`WorkspacePolicy::deny_hosts`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_hosts: Option<Vec<String>>,
}

/// A workspace as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = Workspace)]
pub struct WorkspaceView {
    /// Its number, given once.
    pub number: u32,
    /// Its name, unique.
    pub name: String,
    /// When it was made; `None` for the default one before its first change.
    pub created_at: Option<Timestamp>,
    /// What holds in it.
    #[serde(flatten)]
    pub policy: WorkspacePolicy,
}

/// Tells a field that is `null` from one that is left out.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

impl WorkspaceRecord {
    /// The workspace that is there without anybody having made it.
    pub(super) fn default_one() -> Self {
        Self {
            number: DEFAULT_WORKSPACE,
            name: "default".into(),
            created: Timestamp::default(),
            policy: WorkspacePolicy::default(),
        }
    }
}

impl KnownWorkspace {
    fn view(&self) -> WorkspaceView {
        let WorkspaceRecord { number, name, created, policy } = self.record.clone();
        let created_at = Some(created).filter(|created| *created != Timestamp::default());
        WorkspaceView { number, name, created_at, policy }
    }
}

impl Access {
    /// All workspaces in order of number, from the one after `after`; whether there are more.
    pub fn list_workspaces(&self, after: Option<u32>, limit: usize) -> (Vec<WorkspaceView>, bool) {
        let known = self.known.load();
        let begin = after.map_or(0, |after| after.saturating_add(1));
        let mut views: Vec<_> = known
            .workspaces
            .range(begin..)
            .take(limit.saturating_add(1))
            .map(|(_, kept)| kept.view())
            .collect();
        let more = views.len() > limit;
        views.truncate(limit);
        (views, more)
    }

    /// One workspace, by name or number.
    pub fn show_workspace(&self, name: &str) -> Result<WorkspaceView, AccessError> {
        self.workspace(name).map(|kept| kept.view())
    }

    /// The number of a workspace, by name or number; `None` when there is none.
    pub fn workspace_number(&self, name: &str) -> Option<u32> {
        self.workspace(name).ok().map(|kept| kept.record.number)
    }

    /// The name of a workspace; its number as text where it is unknown.
    pub fn workspace_name(&self, number: u32) -> String {
        let known = self.known.load();
        let kept = known.workspaces.get(&number);
        kept.map_or_else(|| number.to_string(), |kept| kept.record.name.clone())
    }

    /// Makes a workspace.
    pub async fn create_workspace(
        &self,
        caller: &Caller,
        wanted: WorkspaceChange,
    ) -> Result<WorkspaceView, AccessError> {
        let _turn = self.editing.lock().await;
        let Some(name) = &wanted.name else {
            return Err(AccessError::field("/name", "is missing"));
        };
        let known = self.known.load_full();
        if known.workspaces.len() >= WORKSPACES_MAX {
            let detail = format!("there are {WORKSPACES_MAX} workspaces, and no more are kept");
            return Err(AccessError::conflict("too-many-workspaces", detail));
        }
        let last = known.workspaces.keys().next_back().copied().unwrap_or(DEFAULT_WORKSPACE);
        let record = WorkspaceRecord {
            number: last + 1,
            name: name.clone(),
            created: self.clock.wall(),
            policy: WorkspacePolicy::default(),
        };
        let record = self.changed(record, wanted)?;
        self.keep(caller, record, None, "workspace.created").await
    }

    /// Changes a workspace, by name or number.
    pub async fn change_workspace(
        &self,
        caller: &Caller,
        name: &str,
        wanted: WorkspaceChange,
    ) -> Result<WorkspaceView, AccessError> {
        let _turn = self.editing.lock().await;
        let kept = self.workspace(name)?;
        let mut record = self.changed(kept.record.clone(), wanted)?;
        if kept.version.is_none() {
            record.created = self.clock.wall();
        }
        self.keep(caller, record, kept.version, "workspace.changed").await
    }

    fn workspace(&self, name: &str) -> Result<Arc<KnownWorkspace>, AccessError> {
        let known = self.known.load();
        let kept = match name.parse() {
            Ok(number) => known.workspaces.get(&number),
            Err(_) => known.workspaces.values().find(|kept| kept.record.name == name),
        };
        let none = || AccessError::NotFound { what: "workspace", name: name.to_owned() };
        kept.cloned().ok_or_else(none)
    }

    /// Writes a workspace's record with its entry in the audit log, and lets it hold.
    async fn keep(
        &self,
        caller: &Caller,
        record: WorkspaceRecord,
        version: Option<u64>,
        action: &str,
    ) -> Result<WorkspaceView, AccessError> {
        let policy = serde_json::to_string(&record.policy).unwrap_or_default();
        let detail = format!("number {}: {policy}", record.number);
        let mut writes = self.audit_writes(caller, action, &record.name, &detail);
        let expect = version.map_or(Expect::Absent, Expect::Version);
        writes.push(workspace_write(&record, expect));
        self.settle(self.records.commit(self.clock.wall(), writes).await).await?;
        if let Some(engine) = &self.engine {
            engine.workspaces().set(record.number, record.policy.clone());
        }
        let version = Some(version.unwrap_or(0) + 1);
        let kept = Arc::new(KnownWorkspace { record, version });
        let view = kept.view();
        self.change(|known| {
            known.workspaces.insert(kept.record.number, kept);
        });
        Ok(view)
    }

    /// The record as it is wanted, all its fields checked.
    fn changed(
        &self,
        mut record: WorkspaceRecord,
        wanted: WorkspaceChange,
    ) -> Result<WorkspaceRecord, AccessError> {
        let mut errors = Vec::new();
        if let Some(name) = wanted.name {
            errors.extend(self.name_fault(&name, record.number));
            record.name = name;
        }
        let policy = &mut record.policy;
        if let Some(weight) = wanted.weight {
            if !WEIGHTS.contains(&weight) {
                let (least, most) = (WEIGHTS.start(), WEIGHTS.end());
                let detail = format!("is not a number from {least} to {most}");
                errors.push(FieldError::new("/weight", detail));
            }
            policy.weight = weight;
        }
        policy.max_pending = wanted.max_pending.unwrap_or(policy.max_pending);
        if let Some(rate) = wanted.triggers_per_second {
            if rate.is_some_and(|rate| !(1..=TRIGGERS_MAX).contains(&rate)) {
                let detail = format!("is not a number from 1 to {TRIGGERS_MAX}, or null");
                errors.push(FieldError::new("/triggers_per_second", detail));
            }
            policy.triggers_per_second = rate;
        }
        for (pointer, hosts, place) in [
            ("/allow_hosts", wanted.allow_hosts, &mut policy.allow_hosts),
            ("/deny_hosts", wanted.deny_hosts, &mut policy.deny_hosts),
        ] {
            if let Some(hosts) = hosts {
                *place = vet_hosts(pointer, &hosts, &mut errors);
            }
        }
        if errors.is_empty() { Ok(record) } else { Err(AccessError::Invalid(errors)) }
    }

    fn name_fault(&self, name: &str, number: u32) -> Option<FieldError> {
        let is_word = |letter: char| {
            letter.is_ascii_lowercase() || letter.is_ascii_digit() || "-_.".contains(letter)
        };
        // The first letter tells a name from a number.
        let well_formed = name.starts_with(|first: char| first.is_ascii_lowercase())
            && name.len() <= NAME_MAX
            && name.chars().all(is_word);
        if !well_formed {
            let detail = format!(
                "is not 1 to {NAME_MAX} lower-case letters, digits, `-`, `_` and `.`, a letter first"
            );
            return Some(FieldError::new("/name", detail));
        }
        let other = self.workspace_number(name).filter(|other| *other != number);
        other.map(|_| FieldError::new("/name", "is the name of another workspace"))
    }
}

/// Reads a list of hosts, each once, in the form in which URLs have them.
fn vet_hosts(pointer: &str, hosts: &[String], errors: &mut Vec<FieldError>) -> Vec<String> {
    if hosts.len() > HOSTS_MAX {
        let detail = format!("has {} entries; at most {HOSTS_MAX} are taken", hosts.len());
        errors.push(FieldError::new(pointer, detail));
        return Vec::new();
    }
    let (mut seen, mut list) = (HashSet::new(), Vec::new());
    for (place, text) in hosts.iter().enumerate() {
        let (prefix, name) = match text.strip_prefix("*.") {
            Some(suffix) => ("*.", suffix),
            None => ("", text.as_str()),
        };
        let name = HostName::parse(name).filter(|name| name.without_port() == name.as_str());
        let Some(name) = name.filter(|name| !name.as_str().contains('*')) else {
            let detail = "is no host; write shop.example or *.shop.example, without a port";
            errors.push(FieldError::new(format!("{pointer}/{place}"), detail));
            continue;
        };
        let host = format!("{prefix}{name}");
        if seen.insert(host.clone()) {
            list.push(host);
        }
    }
    list
}
