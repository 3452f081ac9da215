//! Keys made, shown, rotated and revoked. Who is no admin makes and changes keys of his own
//! workspace that may do no more than he may himself: a rotation hands out a secret, so it is bound
//! like a new key.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::key::{KeyId, KeyText, new_id, new_secret};
use super::live::LiveKey;
use super::records::{Former, KeyRecord, key_write};
use super::scope::{Scope, Scopes};
use super::{Access, AccessError, Caller};
use crate::admission::FieldError;
use crate::config::units::{parse_duration, show_duration};
use crate::model::Timestamp;
use crate::store::Expect;

/// Keys that one server has; all of them are in memory.
const KEYS_MAX: usize = 10_000;
/// Characters of a key's name.
const NAME_MAX: usize = 100;
/// Secrets of one key that hold at once: rotations in quick succession end the oldest.
const FORMER_MAX: usize = 4;
/// How long a replaced secret holds unless told otherwise: long enough to roll a change out.
const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// How long it may hold.
const OVERLAP_MAX: Duration = Duration::from_secs(365 * 86_400);
/// Requests a second that a key may be given.
const RATE_MAX: f64 = 1_000_000.0;
/// A burst that a key may be given.
const BURST_MAX: u32 = 1_000_000;

/// What a new key shall be.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKey {
    /// What people call it.
    #[serde(default)]
    pub name: String,
    /// Names of scopes, one or more.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Name or number of its workspace; the caller's own by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workspace: Option<String>,
    /// A duration (`90d`) after which it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in: Option<String>,
    /// When it ends, in RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Requests a second; `auth.requests_per_second` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// Requests that may come at once after a pause; one second's worth by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
}

/// What a key is good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It opens.
    Live,
    /// Its time is over.
    Expired,
    /// It was revoked.
    Revoked,
}

/// A key as it is shown: never its secret.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Key)]
pub struct KeyView {
    /// Its id.
    pub id: KeyId,
    /// What people call it.
    pub name: String,
    /// Name of its workspace.
    pub workspace: String,
    /// What it may do.
    pub scopes: Scopes,
    /// What it is good for now.
    pub state: KeyState,
    /// When it was made.
    pub created_at: Timestamp,
    /// By whom: id of a key, `local` or `cli`.
    pub created_by: String,
    /// When it last got a new secret.
    pub rotated_at: Option<Timestamp>,
    /// Until when older secrets of it still open.
    pub old_secret_until: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// Its own rate, where it was given one.
    pub requests_per_second: Option<f64>,
    /// Its own burst, likewise.
    pub burst: Option<u32>,
}

/// A key with its whole text, which is shown this once.
#[derive(Debug)]
pub struct Shown {
    /// The text.
    pub text: KeyText,
    /// The rest.
    pub view: KeyView,
}

impl Access {
    /// Makes a key.
    pub async fn create_key(&self, caller: &Caller, new: NewKey) -> Result<Shown, AccessError> {
        let _turn = self.editing.lock().await;
        let now = self.clock.wall();
        let draft = self.vet_new(caller, new, now)?;
        if self.known.load().keys.len() >= KEYS_MAX {
            let detail = format!("there are {KEYS_MAX} keys, and no more are kept");
            return Err(AccessError::conflict("too-many-keys", detail));
        }
        let id = new_id()?;
        let (text, hash) = new_secret(id)?;
        let record = KeyRecord {
            id,
            name: draft.name,
            workspace: draft.workspace,
            scopes: draft.scopes,
            hash,
            former: Vec::new(),
            created: now,
            created_by: caller.name().to_owned(),
            rotated: None,
            expires: draft.expires,
            revoked: None,
            requests_per_second: draft.requests_per_second,
            burst: draft.burst,
        };
        let workspace = self.workspace_name(record.workspace);
        let detail = format!("{:?} in {workspace:?} may {}", record.name, record.scopes);
        let mut writes = self.audit_writes(caller, "key.created", id.as_str(), &detail);
        writes.push(key_write(&record, Expect::Absent));
        self.settle(self.records.commit(now, writes).await).await?;
        let key = Arc::new(LiveKey::new(record, 1, &self.settings));
        let view = self.view(&key, now);
        self.change(|known| {
            known.keys.insert(id, key);
        });
        Ok(Shown { text, view })
    }

    /// Keys that the caller sees, oldest first, from the one after `after`; whether there are more.
    pub fn list_keys(
        &self,
        caller: &Caller,
        after: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<KeyView>, bool), AccessError> {
        let now = self.clock.wall();
        let known = self.known.load_full();
        let mut keys: Vec<_> =
            known.keys.values().filter(|key| caller.sees(key.workspace())).collect();
        keys.sort_by_key(|key| (key.record.created, key.id()));
        let begin = match after {
            None => 0,
            Some(after) => {
                let place = keys.iter().position(|key| key.id().as_str() == after);
                place.ok_or_else(|| AccessError::no_key(after))? + 1
            }
        };
        let more = keys.len() > begin + limit;
        Ok((keys.iter().skip(begin).take(limit).map(|key| self.view(key, now)).collect(), more))
    }

    /// One key.
    pub fn show_key(&self, caller: &Caller, id: &str) -> Result<KeyView, AccessError> {
        Ok(self.view(&*self.key(caller, id)?, self.clock.wall()))
    }

    /// Ends a key at once, for ever. One that is revoked already stays as it was. The last live key
    /// of an admin is revoked by the command line alone, so that nobody locks himself out.
    pub async fn revoke_key(&self, caller: &Caller, id: &str) -> Result<KeyView, AccessError> {
        let _turn = self.editing.lock().await;
        let now = self.clock.wall();
        let key = self.key_to_change(caller, id)?;
        if key.record.revoked.is_some() {
            return Ok(self.view(&key, now));
        }
        let is_admin = |key: &LiveKey| key.is_live_admin(now);
        let others = self
            .known
            .load()
            .keys
            .values()
            .filter(|other| other.id() != key.id())
            .any(|other| is_admin(other));
        if is_admin(&key) && !others && *caller != Caller::command_line() {
            let detail = "this is the last live key with the scope admin; make another one first, \
                          or revoke it with `hostline keys revoke` while the server is stopped";
            return Err(AccessError::conflict("last-admin-key", detail));
        }
        let record = KeyRecord { revoked: Some(now), former: Vec::new(), ..key.record.clone() };
        self.replace(caller, &key, record, ("key.revoked", String::new())).await
    }

    /// Gives a key a new secret. The old one holds for `overlap` (24 h by default, 0 s for not at
    /// all), and no older one longer than that.
    pub async fn rotate_key(
        &self,
        caller: &Caller,
        id: &str,
        overlap: Option<&str>,
    ) -> Result<Shown, AccessError> {
        let overlap = match overlap {
            None => OVERLAP,
            Some(text) => duration("/overlap", text, OVERLAP_MAX)?,
        };
        let _turn = self.editing.lock().await;
        let now = self.clock.wall();
        let key = self.key_to_change(caller, id)?;
        if !key.record.is_live(now) {
            let detail = "the key is revoked or expired; make a new one";
            return Err(AccessError::conflict("key-not-live", detail));
        }
        let (text, hash) = new_secret(key.id())?;
        let mut record = key.record.clone();
        let until = now.plus(overlap);
        record.former.push(Former { hash: record.hash, until });
        for former in &mut record.former {
            former.until = former.until.min(until);
        }
        record.former.retain(|former| now < former.until);
        let excess = record.former.len().saturating_sub(FORMER_MAX);
        record.former.drain(..excess);
        (record.hash, record.rotated) = (hash, Some(now));
        let detail = match overlap.is_zero() {
            true => "the old secret ended at once".into(),
            false => format!("the old secret holds for {}", show_duration(overlap)),
        };
        let view = self.replace(caller, &key, record, ("key.rotated", detail)).await?;
        Ok(Shown { text, view })
    }

    /// Writes a key's new record with its entry in the audit log.
    async fn replace(
        &self,
        caller: &Caller,
        key: &LiveKey,
        record: KeyRecord,
        (action, detail): (&str, String),
    ) -> Result<KeyView, AccessError> {
        let now = self.clock.wall();
        let mut writes = self.audit_writes(caller, action, record.id.as_str(), &detail);
        writes.push(key_write(&record, Expect::Version(key.version)));
        self.settle(self.records.commit(now, writes).await).await?;
        let changed = LiveKey::new(record, key.version + 1, &self.settings).going_on_from(key);
        let changed = Arc::new(changed);
        let view = self.view(&changed, now);
        self.change(|known| {
            known.keys.insert(changed.id(), changed);
        });
        Ok(view)
    }

    /// A key that is there for the caller.
    fn key(&self, caller: &Caller, id: &str) -> Result<Arc<LiveKey>, AccessError> {
        let known = self.known.load();
        let key = KeyId::parse(id).and_then(|id| known.keys.get(&id));
        let key = key.filter(|key| caller.sees(key.workspace()));
        key.cloned().ok_or_else(|| AccessError::no_key(id))
    }

    /// A key that he may change: it may do no more than he.
    fn key_to_change(&self, caller: &Caller, id: &str) -> Result<Arc<LiveKey>, AccessError> {
        let key = self.key(caller, id)?;
        if caller.scopes.cover(key.scopes()) {
            return Ok(key);
        }
        let detail =
            "the key may do more than the one that asks, which therefore may not change it";
        Err(AccessError::Forbidden(detail.into()))
    }

    fn view(&self, key: &LiveKey, now: Timestamp) -> KeyView {
        let record = &key.record;
        let state = match (record.revoked, record.is_live(now)) {
            (Some(_), _) => KeyState::Revoked,
            (None, true) => KeyState::Live,
            (None, false) => KeyState::Expired,
        };
        let until = record.former.iter().map(|former| former.until).filter(|until| now < *until);
        KeyView {
            id: record.id,
            name: record.name.clone(),
            workspace: self.workspace_name(record.workspace),
            scopes: record.scopes,
            state,
            created_at: record.created,
            created_by: record.created_by.clone(),
            rotated_at: record.rotated,
            old_secret_until: until.max().filter(|_| state == KeyState::Live),
            expires_at: record.expires,
            revoked_at: record.revoked,
            last_used_at: key.last_used(),
            requests_per_second: record.requests_per_second,
            burst: record.burst,
        }
    }

    /// Checks all fields of a new key, and that the caller may make it.
    fn vet_new(&self, caller: &Caller, new: NewKey, now: Timestamp) -> Result<Draft, AccessError> {
        let mut errors = Vec::new();
        let mut fault = |pointer: &str, detail: String| {
            errors.push(FieldError::new(pointer, detail));
        };
        let name = new.name.trim().to_owned();
        if name.is_empty() || name.chars().count() > NAME_MAX || name.contains(char::is_control) {
            fault("/name", format!("has to have 1 to {NAME_MAX} characters, none of control"));
        }
        let mut scopes = Vec::new();
        for (place, scope) in new.scopes.iter().enumerate() {
            match scope.parse() {
                Ok(scope) => scopes.push(scope),
                Err(()) => {
                    let detail = format!("is no scope; the scopes are {}", Scope::names());
                    fault(&format!("/scopes/{place}"), detail);
                }
            }
        }
        if new.scopes.is_empty() {
            fault("/scopes", format!("needs one or more of {}", Scope::names()));
        }
        let expires = expiry(&new, now).unwrap_or_else(|error| {
            fault(&error.pointer, error.detail);
            None
        });
        if new.requests_per_second.is_some_and(|rate| !(rate > 0.0 && rate <= RATE_MAX)) {
            fault("/requests_per_second", format!("is not above 0 and up to {RATE_MAX}"));
        }
        let lacks_rate = new.requests_per_second.is_none();
        match new.burst {
            Some(burst) if !(1..=BURST_MAX).contains(&burst) => {
                fault("/burst", format!("is not a number from 1 to {BURST_MAX}"));
            }
            Some(_) if lacks_rate => {
                fault("/burst", "has no rate to be a burst of; set requests_per_second".into());
            }
            _ => {}
        }
        let workspace = match &new.workspace {
            None => caller.workspace,
            Some(name) => self.workspace_number(name).unwrap_or_else(|| {
                fault("/workspace", "names no workspace".into());
                caller.workspace
            }),
        };
        if !errors.is_empty() {
            return Err(AccessError::Invalid(errors));
        }
        let scopes: Scopes = scopes.into_iter().collect();
        if !caller.sees(workspace) || !caller.scopes.cover(scopes) {
            let detail = "a key may only make keys of its own workspace, with scopes that it has";
            return Err(AccessError::Forbidden(detail.into()));
        }
        let (requests_per_second, burst) = (new.requests_per_second, new.burst);
        Ok(Draft { name, scopes, workspace, expires, requests_per_second, burst })
    }
}

/// A new key, checked.
struct Draft {
    name: String,
    scopes: Scopes,
    workspace: u32,
    expires: Option<Timestamp>,
    requests_per_second: Option<f64>,
    burst: Option<u32>,
}

fn expiry(new: &NewKey, now: Timestamp) -> Result<Option<Timestamp>, FieldError> {
    let fault = |pointer: &str, detail: &str| Err(FieldError::new(pointer, detail));
    match (&new.expires_in, &new.expires_at) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => fault("/expires_in", "cannot be given beside expires_at"),
        (Some(text), None) => match parse_duration(text) {
            Ok(Duration::ZERO) => fault("/expires_in", "is over at once; write such as \"90d\""),
            Ok(duration) => Ok(Some(now.plus(duration))),
            Err(why) => fault("/expires_in", &format!("{why}; write such as \"90d\"")),
        },
        (None, Some(text)) => match Timestamp::parse(text) {
            Some(at) if at > now => Ok(Some(at)),
            Some(_) => fault("/expires_at", "is past"),
            None => fault("/expires_at", "is not a time; write such as 2026-11-24T07:00:00Z"),
        },
    }
}

fn duration(pointer: &str, text: &str, max: Duration) -> Result<Duration, AccessError> {
    let duration = parse_duration(text)
        .map_err(|why| AccessError::field(pointer, format!("{why}; write such as \"24h\"")))?;
    if duration > max {
        let detail = format!("is longer than {}", show_duration(max));
        return Err(AccessError::field(pointer, detail));
    }
    Ok(duration)
}
