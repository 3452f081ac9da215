//! A key in memory: what its record says, and what happens with each use of it.

use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::guesses::Origin;
use super::key::{KeyId, SecretHash};
use super::records::KeyRecord;
use super::scope::{Scope, Scopes};
use crate::config::Auth;
use crate::model::{Moment, Timestamp};
use crate::policy::rate::Gcra;

/// Addresses that a key is remembered to have come from: those of a few machines of one team.
const ORIGINS: usize = 8;
/// No time of use yet.
const NEVER: i64 = i64::MIN;

/// A key as requests meet it.
pub struct LiveKey {
    pub(super) record: KeyRecord,
    /// Of its record.
    pub(super) version: u64,
    /// The id, as callers carry it: shared, since every request has one.
    name: Arc<str>,
    /// What goes on when the record changes.
    life: Arc<Life>,
}

struct Life {
    used_ms: AtomicI64,
    written_ms: AtomicI64,
    /// 0 stands for none: no address has this number.
    origins: [AtomicU64; ORIGINS],
    origins_next: AtomicUsize,
    rate: Option<Mutex<Gcra>>,
}

/// What is left of a key's rate after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Requests that may come at once after a pause.
    pub limit: u32,
    /// How long they take to come back.
    pub window: Duration,
    /// Requests that may come now.
    pub remaining: u32,
    /// Until all of them are back.
    pub full_in: Duration,
    /// How long this request has to wait; `None` when it may pass.
    pub wait: Option<Duration>,
}

impl LiveKey {
    pub(super) fn new(record: KeyRecord, version: u64, settings: &Auth) -> Self {
        let per_second = record.requests_per_second.or(settings.requests_per_second);
        let rate = per_second.map(|per_second| {
            // A second's worth, as everywhere else in the settings.
            let burst = record.burst.unwrap_or(per_second.ceil().clamp(1.0, 1e6) as u32);
            Mutex::new(Gcra::new(per_second, burst))
        });
        let life = Life {
            used_ms: AtomicI64::new(NEVER),
            written_ms: AtomicI64::new(NEVER),
            origins: Default::default(),
            origins_next: AtomicUsize::new(0),
            rate,
        };
        let name = record.id.as_str().into();
        Self { record, version, name, life: Arc::new(life) }
    }

    /// The same key with another record, as `old` was used.
    pub(super) fn going_on_from(self, old: &LiveKey) -> Self {
        Self { life: old.life.clone(), ..self }
    }

    /// Its id.
    pub fn id(&self) -> KeyId {
        self.record.id
    }

    /// Its id as text.
    pub fn name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// Number of its workspace.
    pub fn workspace(&self) -> u32 {
        self.record.workspace
    }

    /// What it may do.
    pub fn scopes(&self) -> Scopes {
        self.record.scopes
    }

    pub(super) fn is_live_admin(&self, now: Timestamp) -> bool {
        self.record.is_live(now) && self.record.scopes.allow(Scope::Admin)
    }

    /// Whether a secret opens it now. All secrets are compared, whichever fits.
    pub(super) fn admits(&self, hash: &SecretHash, now: Timestamp) -> bool {
        let mut fits = self.record.hash.matches(hash);
        for former in &self.record.former {
            fits |= former.hash.matches(hash) & (now < former.until);
        }
        fits & self.record.is_live(now)
    }

    pub(super) fn came_from(&self, origin: Origin) -> bool {
        self.life.origins.iter().any(|known| known.load(Ordering::Relaxed) == origin.0)
    }

    pub(super) fn comes_from(&self, origin: Origin) {
        let place = self.life.origins_next.fetch_add(1, Ordering::Relaxed) % ORIGINS;
        self.life.origins[place].store(origin.0, Ordering::Relaxed);
    }

    pub(super) fn was_used(&self, at: Timestamp) {
        // Most uses come in the millisecond of another: a read spares the line its owner.
        if self.life.used_ms.load(Ordering::Relaxed) < at.as_millis() {
            self.life.used_ms.fetch_max(at.as_millis(), Ordering::Relaxed);
        }
    }

    pub(super) fn last_used(&self) -> Option<Timestamp> {
        let used_ms = self.life.used_ms.load(Ordering::Relaxed);
        (used_ms != NEVER).then(|| Timestamp::from_millis(used_ms))
    }

    /// The last use, where it is not written down yet.
    pub(super) fn unwritten_use(&self) -> Option<(KeyId, Timestamp)> {
        let used = self.last_used()?;
        let is_written = self.life.written_ms.load(Ordering::Relaxed) >= used.as_millis();
        (!is_written).then_some((self.id(), used))
    }

    pub(super) fn use_is_written(&self, at: Timestamp) {
        self.life.written_ms.fetch_max(at.as_millis(), Ordering::Relaxed);
    }

    /// Counts a request against the key's rate; `None` where it has none.
    pub fn spend(&self, now: Moment) -> Option<Spent> {
        let mut rate = self.life.rate.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner);
        let wait = rate.take(1, now).err();
        Some(Spent {
            limit: rate.burst(),
            window: rate.window(),
            remaining: rate.remaining(now),
            full_in: rate.full_in(now),
            wait,
        })
    }
}
