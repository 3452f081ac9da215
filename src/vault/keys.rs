//! Where the keys come from: the settings, else a file beside the embedded store, which is made at
//! the first secret. A key beside the data protects what leaves the machine without it, such as a
//! copy of the database file; that it is there at all keeps secrets out of every such copy without
//! anybody having to set something up first.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use super::error::{OpenError, VaultError};
use super::seal::{KeyRing, key_id, new_key};
use crate::config::{Settings, StoreKind, VaultKey};

/// Name of the key file in the store's directory.
const FILE_NAME: &str = "vault.key";
/// Who may read and write the key file: its owner.
const FILE_MODE: u32 = 0o600;
/// Bytes that a key file may have: a key and some white space.
const FILE_BYTES_MAX: u64 = 256;

/// The keys of one process.
pub(super) struct Keys {
    given: Option<VaultKey>,
    given_file: Option<PathBuf>,
    old: Vec<VaultKey>,
    beside: Beside,
    ring: ArcSwap<KeyRing>,
}

/// Where a key is kept that nobody gave.
enum Beside {
    /// In this file.
    File(PathBuf),
    /// Nowhere: the store forgets everything as well.
    Memory,
}

impl Keys {
    pub(super) fn new(settings: &Settings) -> Self {
        let vault = &settings.vault;
        let beside = match settings.store.kind {
            StoreKind::Embedded => Beside::File(settings.store.path.join(FILE_NAME)),
            StoreKind::Memory => Beside::Memory,
        };
        // What is given as text is there from the beginning, files are read at the opening.
        let ring = KeyRing::new(vault.key.iter().chain(&vault.old_keys).cloned());
        Self {
            given: vault.key.clone(),
            given_file: vault.key_file.clone(),
            old: vault.old_keys.clone(),
            beside,
            ring: ArcSwap::from_pointee(ring),
        }
    }

    /// Reads all keys that there are.
    pub(super) fn read(&self) -> Result<Arc<KeyRing>, OpenError> {
        let mut keys: Vec<VaultKey> = self.given.iter().cloned().collect();
        if let Some(path) = &self.given_file {
            let missing = || OpenError::KeyFile { path: path.clone(), why: "is not there".into() };
            keys.push(read_file(path)?.ok_or_else(missing)?);
        }
        // Whoever changes from the file to a key of his own still has what it sealed.
        let mut beside = None;
        if let Beside::File(path) = &self.beside {
            beside = read_file(path)?;
        }
        let has_key = !keys.is_empty();
        match has_key {
            true => keys.extend(self.old.iter().cloned().chain(beside)),
            // Without a key that seals, the one of the file does, and none of the old ones.
            false => keys.extend(beside.into_iter().chain(self.old.iter().cloned())),
        }
        let ring = Arc::new(KeyRing::new(keys));
        self.ring.store(ring.clone());
        Ok(ring)
    }

    /// The keys, to open with.
    pub(super) fn ring(&self) -> Arc<KeyRing> {
        self.ring.load_full()
    }

    /// The keys, to seal with: the first one is made where there is none. Called by one at a time.
    pub(super) fn sealing_ring(&self) -> Result<Arc<KeyRing>, VaultError> {
        let ring = self.ring();
        let mine = self.given.is_some() || self.given_file.is_some();
        let is_old = |id: &str| self.old.iter().any(|old| key_id(old) == id);
        if ring.sealing_id().is_some_and(|id| mine || !is_old(id)) {
            return Ok(ring);
        }
        let key = new_key()?;
        if let Beside::File(path) = &self.beside {
            write_file(path, &key).map_err(|error| {
                VaultError::NoKey(format!(
                    "there is no key to seal secrets with, and the key file {} cannot be made: \
                     {error}; print a key with `hostline secrets new-key` and set vault.key",
                    path.display()
                ))
            })?;
            log::warn!(
                file:% = path.display(), key = key_id(&key);
                "a key for stored secrets was made; keep a copy of it apart from copies of the data"
            );
        }
        let mut keys = KeyRing::new([key]);
        for old in &self.old {
            keys.add(old.clone());
        }
        let keys = Arc::new(keys);
        self.ring.store(keys.clone());
        Ok(keys)
    }
}

/// Reads a key file; `None` when there is none.
fn read_file(path: &Path) -> Result<Option<VaultKey>, OpenError> {
    let fault = |why: String| OpenError::KeyFile { path: path.to_owned(), why };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(error.to_string())),
    };
    if metadata.len() > FILE_BYTES_MAX {
        return Err(fault("is too long for a key".into()));
    }
    if metadata.permissions().mode() & 0o077 != 0 {
        log::warn!(file:% = path.display(); "the key file can be read by others than its owner");
    }
    let text = Zeroizing::new(fs::read_to_string(path).map_err(|error| fault(error.to_string()))?);
    VaultKey::parse(&text).map(Some).map_err(|why| {
        fault(format!("its content {why}; `hostline secrets new-key` prints a new one"))
    })
}

/// Writes a key file that is durable before anything is sealed with it.
fn write_file(path: &Path, key: &VaultKey) -> std::io::Result<()> {
    let text = Zeroizing::new(format!("{}\n", *key.reveal()));
    let mut file = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match path.parent() {
        Some(directory) => File::open(directory)?.sync_all(),
        None => Ok(()),
    }
}
