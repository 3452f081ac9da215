//! A stored secret as it is held in memory, and the shelf that a workspace's secrets stand on.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::applies::Place;
use super::content::{Algorithm, Content, to_wiped_json};
use super::records::{Sealed, bound};
use super::seal::{KeyRing, SealError};
use crate::model::Timestamp;

/// Tells every state of every secret of this process from every other.
static REVISIONS: AtomicU64 = AtomicU64::new(1);

/// A stored secret, opened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Whose.
    pub workspace: u32,
    /// What it is called there.
    pub name: Arc<str>,
    /// Where it applies by itself.
    pub places: Vec<Place>,
    /// What it holds.
    pub content: Content,
    /// When it was stored.
    pub created: Timestamp,
    /// By whom.
    pub created_by: String,
    /// When its value was last replaced or rotated.
    pub rotated: Option<Timestamp>,
    /// Another number for each state that the secret had in this process.
    pub revision: u64,
    /// Version of its record.
    pub(super) version: u64,
}

/// What is sealed: all of a secret but what it is bound to, so that nobody who can write to the
/// database has a credential sent elsewhere.
#[derive(Serialize, Deserialize)]
struct Plain<C> {
    applies_to: Vec<String>,
    created_at: Timestamp,
    created_by: String,
    rotated_at: Option<Timestamp>,
    content: C,
}

impl Entry {
    pub(super) fn new(
        (workspace, name): (u32, &str),
        places: Vec<Place>,
        content: Content,
        (created, created_by): (Timestamp, &str),
    ) -> Self {
        Self {
            workspace,
            name: name.into(),
            places,
            content,
            created,
            created_by: created_by.to_owned(),
            rotated: None,
            revision: next_revision(),
            version: 0,
        }
    }

    /// The same secret with other places and another value.
    pub(super) fn replaced(&self, places: Vec<Place>, content: Content, now: Timestamp) -> Self {
        let rotated = Some(now);
        Self { places, content, rotated, revision: next_revision(), ..self.clone() }
    }

    /// The same secret with less in it.
    pub(super) fn with_content(&self, content: Content) -> Self {
        Self { content, revision: next_revision(), ..self.clone() }
    }

    /// Opens what was read.
    pub(super) fn open(sealed: &Sealed, version: u64, ring: &KeyRing) -> Result<Self, SealError> {
        let bound = bound(sealed.workspace, &sealed.name, sealed.kind);
        let text = ring.open(&sealed.sealed, &bound)?;
        let plain: Plain<Content> =
            serde_json::from_slice(&text).map_err(|_| SealError::Malformed)?;
        let places = plain.applies_to.iter().map(|text| Place::parse(text));
        Ok(Self {
            workspace: sealed.workspace,
            name: sealed.name.as_str().into(),
            places: places.collect::<Result<_, _>>().map_err(|_| SealError::Malformed)?,
            content: plain.content,
            created: plain.created_at,
            created_by: plain.created_by,
            rotated: plain.rotated_at,
            revision: next_revision(),
            version,
        })
    }

    pub(super) fn seal(&self, ring: &KeyRing) -> Result<Sealed, SealError> {
        let kind = self.content.kind();
        let text = to_wiped_json(&Plain {
            applies_to: self.places.iter().map(ToString::to_string).collect(),
            created_at: self.created,
            created_by: self.created_by.clone(),
            rotated_at: self.rotated,
            content: &self.content,
        });
        let sealed = ring.seal(&text, &bound(self.workspace, &self.name, kind))?;
        Ok(Sealed { workspace: self.workspace, name: self.name.to_string(), kind, sealed })
    }

    /// What may be shown of it.
    pub fn view(&self, now: Timestamp) -> SecretView<'_> {
        let mut view = SecretView {
            name: &self.name,
            kind: self.content.kind().as_str(),
            applies_to: self.places.iter().map(ToString::to_string).collect(),
            created_at: self.created,
            created_by: &self.created_by,
            rotated_at: self.rotated,
            algorithm: None,
            public_key: None,
            old_public_key: None,
            old_signs_until: None,
            header: None,
            token_url: None,
            fingerprint: None,
        };
        match &self.content {
            Content::Signing(signing) => {
                view.algorithm = Some(signing.algorithm);
                view.public_key = signing.secret.public_key();
                if let Some(old) = signing.old.as_ref().filter(|old| old.until > now) {
                    view.old_public_key = old.secret.public_key();
                    view.old_signs_until = Some(old.until);
                }
            }
            Content::Header { name, .. } => view.header = Some(name),
            Content::Oauth2(oauth2) => view.token_url = Some(&oauth2.token_url),
            Content::ClientCertificate { certificate, .. } => {
                view.fingerprint = fingerprint(certificate);
            }
            Content::Ca { certificates } => view.fingerprint = fingerprint(certificates),
            Content::Bearer { .. } | Content::Basic { .. } => {}
        }
        view
    }
}

/// A secret as it is shown: never its value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Secret)]
pub struct SecretView<'a> {
    name: &'a str,
    kind: &'static str,
    applies_to: Vec<String>,
    created_at: Timestamp,
    created_by: &'a str,
    rotated_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    algorithm: Option<Algorithm>,
    /// `whpk_…`, for receivers.
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_public_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    old_signs_until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    header: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_url: Option<&'a str>,
    /// SHA-256 of the first certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

fn fingerprint(pem: &str) -> Option<String> {
    let der = CertificateDer::pem_slice_iter(pem.as_bytes()).next()?.ok()?;
    let digest = Sha256::digest(&der);
    Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn next_revision() -> u64 {
    REVISIONS.fetch_add(1, Ordering::Relaxed)
}

/// The secrets of one workspace. Never changed: a change makes another shelf.
#[derive(Clone, Debug, Default)]
pub(super) struct Shelf {
    by_name: BTreeMap<Arc<str>, Arc<Entry>>,
    /// Those that apply somewhere by themselves.
    placed: Vec<Arc<Entry>>,
}

impl Shelf {
    pub(super) fn new(entries: Vec<Arc<Entry>>) -> Self {
        let by_name = entries.into_iter().map(|entry| (entry.name.clone(), entry));
        Self::of(by_name.collect())
    }

    fn of(by_name: BTreeMap<Arc<str>, Arc<Entry>>) -> Self {
        let placed = by_name.values().filter(|entry| !entry.places.is_empty()).cloned().collect();
        Self { by_name, placed }
    }

    pub(super) fn with(&self, entry: Arc<Entry>) -> Self {
        let mut by_name = self.by_name.clone();
        by_name.insert(entry.name.clone(), entry);
        Self::of(by_name)
    }

    pub(super) fn without(&self, name: &str) -> Self {
        let mut by_name = self.by_name.clone();
        by_name.remove(name);
        Self::of(by_name)
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Entry>> {
        self.by_name.get(name).cloned()
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn placed(&self) -> &[Arc<Entry>] {
        &self.placed
    }

    pub(super) fn list(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Entry>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.by_name.range::<str, _>((from, Bound::Unbounded));
        range.take(limit).map(|(_, entry)| entry.clone()).collect()
    }
}
