//! What must not be known: signing secrets and credentials, sealed where they are stored.
//!
//! The vault holds them opened in memory, where every thread reads them without waiting, and as
//! sealed records in the store. It decides which of them apply to a webhook; what a sender does
//! with them is the sender's affair. Secrets are read when something is sent, never when it is accepted,
//! so that a rotated one is used by retries too.

mod applies;
mod choose;
mod content;
mod document;
mod entry;
mod error;
mod keys;
mod records;
mod seal;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

pub use self::applies::Place;
pub use self::choose::Chosen;
pub use self::content::{Algorithm, Content, Hidden, Kind, Oauth2, Signing, TokenAuth};
pub use self::document::SecretInput;
pub use self::entry::{Entry, SecretView};
pub use self::error::{Fault, OpenError, VaultError};
pub use self::seal::{KeyRing, SealError, key_id, new_key};

use self::content::OldSecret;
use self::document::{Document, given_secret, make_secret, vet_name};
use self::entry::Shelf;
use self::keys::Keys;
use self::records::{Change, Found, Records, Sealed, Written, bound};
use crate::clock::Clock;
use crate::config::{Secret, Settings};
use crate::model::Timestamp;
use crate::store::{Expect, Store};

/// Stored secrets of one workspace. All of them are held in memory.
const SECRETS_MAX: usize = 10_000;
/// How long the secret before a rotation signs too, unless the request says otherwise.
pub const OVERLAP: Duration = Duration::from_secs(24 * 3600);
/// No overlap is longer.
pub const OVERLAP_MAX: Duration = Duration::from_secs(30 * 86_400);

/// Who changes something: for the audit log.
#[derive(Clone, Copy, Debug)]
pub struct By<'a> {
    /// In which workspace.
    pub workspace: u32,
    /// Id of the API key, or `local`.
    pub who: &'a str,
    /// Where the request came from.
    pub address: Option<&'a str>,
}

/// What a rotation asks for.
#[derive(Debug, Default)]
pub struct Rotation {
    /// The new secret; `None` makes one.
    pub value: Option<Hidden>,
    /// How long the old one signs too; [`OVERLAP`] unless given.
    pub overlap: Option<Duration>,
    /// Rotate although the secret before the last rotation still signs; it stops at once then.
    pub force: bool,
}

/// A change that was made.
#[derive(Debug)]
pub struct Changed {
    /// The secret as it is now.
    pub entry: Arc<Entry>,
    /// A symmetric secret that was made here: to be shown now and never again.
    pub shown_once: Option<Zeroizing<String>>,
}

/// The stored secrets. One for the whole process.
pub struct Vault {
    records: Records,
    clock: Clock,
    /// `[secrets]` of the settings: known in every workspace.
    configured: BTreeMap<String, Vec<Secret>>,
    keys: Keys,
    shelves: ArcSwap<HashMap<u32, Arc<Shelf>>>,
    /// Held while a secret is changed.
    editing: tokio::sync::Mutex<()>,
}

impl Vault {
    /// A vault over `store`, closed: it knows the secrets of the settings alone.
    pub fn new(store: Arc<dyn Store>, settings: &Settings, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            records: Records(store),
            clock,
            configured: settings.secrets.clone(),
            keys: Keys::new(settings),
            shelves: ArcSwap::default(),
            editing: tokio::sync::Mutex::default(),
        })
    }

    /// Reads the keys and opens what is stored. An error names the key that is needed: nothing is
    /// sent without the secrets that are stored for it.
    pub async fn open(&self) -> Result<(), OpenError> {
        let ring = self.keys.read()?;
        let mut opened: HashMap<u32, Vec<Arc<Entry>>> = HashMap::new();
        let mut missing: BTreeMap<String, usize> = BTreeMap::new();
        for Found { key, sealed, version } in self.records.all().await? {
            let entry = match sealed {
                Some(sealed) => Entry::open(&sealed, version, &ring),
                None => Err(SealError::Malformed),
            };
            match entry {
                Ok(entry) => opened.entry(entry.workspace).or_default().push(Arc::new(entry)),
                Err(SealError::UnknownKey(id)) => *missing.entry(id).or_default() += 1,
                // As with any row that is damaged: it is named, and holds up no other.
                Err(why) => log::error!(secret = key; "a stored secret cannot be opened: {why}"),
            }
        }
        if let Some((id, secrets)) = missing.pop_first() {
            return Err(OpenError::KeyMissing { id, secrets });
        }
        let shelves = opened.into_iter().map(|(number, all)| (number, Arc::new(Shelf::new(all))));
        self.shelves.store(Arc::new(shelves.collect()));
        Ok(())
    }

    /// Seals anew what an old key sealed. Answers how many there were.
    pub async fn reseal(&self) -> Result<usize, VaultError> {
        let ring = self.keys.ring();
        let mut resealed = 0;
        for found in self.records.all().await? {
            let Some(sealed) = found.sealed.filter(|sealed| ring.is_outdated(&sealed.sealed))
            else {
                continue;
            };
            let bound = bound(sealed.workspace, &sealed.name, sealed.kind);
            let envelope = match ring.open(&sealed.sealed, &bound) {
                Ok(plain) => ring.seal(&plain, &bound)?,
                Err(why) => {
                    log::error!(secret = found.key; "a stored secret cannot be opened: {why}");
                    continue;
                }
            };
            let renewed = Sealed { sealed: envelope, ..sealed };
            let _guard = self.editing.lock().await;
            if self.records.reseal(&renewed, found.version, self.clock.wall()).await?
                == Written::Done
            {
                self.renumber(&renewed, found.version + 1);
                resealed += 1;
            }
        }
        if resealed > 0 {
            log::info!(secrets = resealed; "secrets were sealed anew with the present key");
        }
        Ok(resealed)
    }

    /// Whether the settings or the workspace know a secret of this name.
    pub fn knows(&self, workspace: u32, name: &str) -> bool {
        self.entry(workspace, name).is_some() || self.configured.contains_key(name)
    }

    /// A stored secret.
    pub fn entry(&self, workspace: u32, name: &str) -> Option<Arc<Entry>> {
        self.shelves.load().get(&workspace)?.get(name)
    }

    /// Whether an entry is still what its name stands for.
    pub fn is_current(&self, entry: &Entry) -> bool {
        self.entry(entry.workspace, &entry.name).is_some_and(|now| now.revision == entry.revision)
    }

    /// The stored secrets of a workspace in order of name, after `after`, at most `limit`.
    pub fn list(&self, workspace: u32, after: Option<&str>, limit: usize) -> Vec<Arc<Entry>> {
        let shelves = self.shelves.load();
        shelves.get(&workspace).map_or_else(Vec::new, |shelf| shelf.list(after, limit))
    }

    /// Time, as the overlap of rotations is measured.
    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Stores a new secret.
    pub async fn create(&self, input: SecretInput, by: &By<'_>) -> Result<Changed, VaultError> {
        let missing = || Fault::new("/name", "missing; say what the secret is called");
        let name = input.name.clone().ok_or_else(missing)?;
        vet_name(&name)?;
        let document = input.vet()?;
        let _guard = self.editing.lock().await;
        if self.knows(by.workspace, &name) {
            return Err(VaultError::Exists(name));
        }
        let shelves = self.shelves.load();
        if shelves.get(&by.workspace).is_some_and(|shelf| shelf.len() >= SECRETS_MAX) {
            return Err(VaultError::TooMany(SECRETS_MAX));
        }
        let Document { places, content, made } = document;
        self.vet_places(by.workspace, &name, &places, &content)?;
        let now = self.clock.wall();
        let entry = Entry::new((by.workspace, &name), places, content, (now, by.who));
        let changed = Changed::of(entry, made);
        self.put(changed, Expect::Absent, ("secret.created", "stored"), by).await
    }

    /// Replaces a secret by another of the same kind.
    pub async fn replace(
        &self,
        name: &str,
        input: SecretInput,
        by: &By<'_>,
    ) -> Result<Changed, VaultError> {
        if input.name.as_deref().is_some_and(|given| given != name) {
            let detail = "is not the name of the path; a secret is not renamed";
            return Err(Fault::new("/name", detail).into());
        }
        let kind = input.kind;
        let Document { places, content, made } = input.vet()?;
        let _guard = self.editing.lock().await;
        let before = self.known(by.workspace, name)?;
        if before.content.kind() != kind {
            let detail = format!("`{name}` is of the kind `{}`", before.content.kind().as_str());
            return Err(VaultError::Conflict { slug: "secret-kind", detail });
        }
        self.vet_places(by.workspace, name, &places, &content)?;
        let entry = before.replaced(places, content, self.clock.wall());
        let expect = Expect::Version(before.version);
        let changed = Changed::of(entry, made);
        self.put(changed, expect, ("secret.replaced", "replaced"), by).await
    }

    /// Gives a signing secret a successor; the old one signs beside it for a while.
    pub async fn rotate(
        &self,
        name: &str,
        rotation: Rotation,
        by: &By<'_>,
    ) -> Result<Changed, VaultError> {
        let _guard = self.editing.lock().await;
        let (before, signing) = self.known_signing(by.workspace, name)?;
        let now = self.clock.wall();
        if let Some(old) = signing.old.as_ref().filter(|old| old.until > now && !rotation.force) {
            let detail = format!(
                "the secret before the last rotation signs until {}; revoke it first \
                 (revoke-old), or say \"force\": true, which ends it at once",
                old.until
            );
            return Err(VaultError::Conflict { slug: "rotation-under-way", detail });
        }
        let made = rotation.value.is_none();
        let secret = match &rotation.value {
            Some(value) => given_secret(value, signing.algorithm)?,
            None => make_secret(signing.algorithm)?,
        };
        let overlap = rotation.overlap.unwrap_or(OVERLAP).min(OVERLAP_MAX);
        let old = (!overlap.is_zero())
            .then(|| OldSecret { secret: signing.secret.clone(), until: now.plus(overlap) });
        let content = Content::Signing(Signing { secret, old, algorithm: signing.algorithm });
        let entry = before.replaced(before.places.clone(), content, now);
        let expect = Expect::Version(before.version);
        let changed = Changed::of(entry, made);
        self.put(changed, expect, ("secret.rotated", "rotated"), by).await
    }

    /// Ends the overlap of a rotation.
    pub async fn revoke_old(&self, name: &str, by: &By<'_>) -> Result<Changed, VaultError> {
        let _guard = self.editing.lock().await;
        let (before, signing) = self.known_signing(by.workspace, name)?;
        if signing.old.as_ref().is_none_or(|old| old.until <= self.clock.wall()) {
            let detail = format!("no secret before the present one of `{name}` signs any more");
            return Err(VaultError::Conflict { slug: "nothing-to-revoke", detail });
        }
        let content = Content::Signing(Signing { old: None, ..signing.clone() });
        let entry = before.with_content(content);
        let expect = Expect::Version(before.version);
        let changed = Changed::of(entry, false);
        self.put(changed, expect, ("secret.old_revoked", "the old secret was revoked"), by).await
    }

    /// Deletes a secret. What still names it fails, saying so, until there is one again.
    pub async fn delete(&self, name: &str, by: &By<'_>) -> Result<(), VaultError> {
        let _guard = self.editing.lock().await;
        // Also one that cannot be opened.
        if self.records.version(by.workspace, name).await?.is_none() {
            return Err(VaultError::NotFound(name.to_owned()));
        }
        let change = Change {
            name,
            expect: Expect::Any,
            sealed: None,
            action: "secret.deleted",
            detail: "deleted",
        };
        self.records.write(change, by, self.clock.wall()).await?;
        self.shelve(by.workspace, |shelf| shelf.without(name));
        Ok(())
    }

    fn known(&self, workspace: u32, name: &str) -> Result<Arc<Entry>, VaultError> {
        self.entry(workspace, name).ok_or_else(|| match self.configured.contains_key(name) {
            true => VaultError::Configured(name.to_owned()),
            false => VaultError::NotFound(name.to_owned()),
        })
    }

    fn known_signing(
        &self,
        workspace: u32,
        name: &str,
    ) -> Result<(Arc<Entry>, Signing), VaultError> {
        let entry = self.known(workspace, name)?;
        match &entry.content {
            Content::Signing(signing) => {
                let signing = signing.clone();
                Ok((entry, signing))
            }
            other => {
                let kind = other.kind().as_str();
                let detail = format!(
                    "`{name}` is of the kind `{kind}`, which has no overlap; replace it with PUT"
                );
                Err(VaultError::Conflict { slug: "secret-kind", detail })
            }
        }
    }

    /// Two credentials at one place would leave it to chance which is sent.
    fn vet_places(
        &self,
        workspace: u32,
        name: &str,
        places: &[Place],
        content: &Content,
    ) -> Result<(), VaultError> {
        let class = content.kind().class();
        if !matches!(class, content::Class::Credential | content::Class::Certificate) {
            return Ok(());
        }
        let shelves = self.shelves.load();
        let Some(shelf) = shelves.get(&workspace) else { return Ok(()) };
        for other in shelf.placed() {
            if &*other.name == name || other.content.kind().class() != class {
                continue;
            }
            if let Some(at) = places.iter().position(|place| other.places.contains(place)) {
                let detail =
                    format!("is a place where `{}` applies already; name it there", other.name);
                return Err(Fault::new(format!("/applies_to/{at}"), detail).into());
            }
        }
        Ok(())
    }

    /// Seals and stores an entry, and puts it on its shelf once it is durable.
    async fn put(
        &self,
        changed: Changed,
        expect: Expect,
        (action, what): (&str, &str),
        by: &By<'_>,
    ) -> Result<Changed, VaultError> {
        let Changed { entry, shown_once } = changed;
        let ring = self.keys.sealing_ring()?;
        let sealed = entry.seal(&ring)?;
        let detail = format!("{} {what}", entry.content.kind().as_str());
        let change =
            Change { name: &entry.name, expect, sealed: Some(&sealed), action, detail: &detail };
        match self.records.write(change, by, self.clock.wall()).await? {
            Written::Done => {}
            Written::Stale => return Err(VaultError::Stale),
        }
        let version = match expect {
            Expect::Version(before) => before + 1,
            Expect::Absent | Expect::Any => 1,
        };
        let entry = Arc::new(Entry { version, ..Arc::unwrap_or_clone(entry) });
        self.shelve(by.workspace, |shelf| shelf.with(entry.clone()));
        Ok(Changed { entry, shown_once })
    }

    /// An envelope was renewed, and its record has another version.
    fn renumber(&self, sealed: &Sealed, version: u64) {
        if let Some(entry) = self.entry(sealed.workspace, &sealed.name) {
            let entry = Arc::new(Entry { version, ..Entry::clone(&entry) });
            self.shelve(sealed.workspace, |shelf| shelf.with(entry));
        }
    }

    /// Puts a changed shelf in the place of the old one. Called under `editing`.
    fn shelve(&self, workspace: u32, change: impl FnOnce(&Shelf) -> Shelf) {
        let mut shelves = HashMap::clone(&self.shelves.load());
        let shelf = shelves.entry(workspace).or_default();
        *shelf = Arc::new(change(shelf));
        self.shelves.store(Arc::new(shelves));
    }
}

impl Changed {
    fn of(entry: Entry, made: bool) -> Self {
        let shown_once = match &entry.content {
            // The private half of a key pair is of no use to anybody else.
            Content::Signing(signing) if made && signing.secret.public_key().is_none() => {
                Some(signing.secret.reveal())
            }
            _ => None,
        };
        Self { entry: Arc::new(entry), shown_once }
    }
}

#[cfg(test)]
mod tests;
