//! The envelope that stored secrets lie in, and the keys that close it.
//!
//! `v1|key id|nonce|ciphertext`: XChaCha20-Poly1305, whose 24-byte nonce is long enough to be
//! drawn at random for every sealing, with nonce and ciphertext in base64. What the secret is bound
//! to (workspace, name, kind) is authenticated along with it, so that nobody who can write to the
//! database makes one secret stand in another's place. The id of a key is derived from it and tells
//! nothing of it; it says which of several keys opens the envelope.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::config::VaultKey;

/// Version of the envelope.
const VERSION: &str = "v1";
/// Bytes of a nonce.
const NONCE_BYTES: usize = 24;
/// Digits of a key's id: enough to tell the few keys of one house apart.
const ID_DIGITS: usize = 16;
/// What ids are derived under, so that they collide with no other use of the key.
const ID_CONTEXT: &str = "hostline 2026 vault key id";

/// The keys: the first seals, all of them open.
#[derive(Clone, Debug, Default)]
pub struct KeyRing(Vec<Named>);

#[derive(Clone, Debug)]
struct Named {
    id: String,
    key: VaultKey,
}

/// Why an envelope could not be closed or opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SealError {
    /// There is no key to seal with.
    NoKey,
    /// It was sealed with a key that is not on the ring; this is its id.
    UnknownKey(String),
    /// It is no envelope of this version.
    Malformed,
    /// It was changed, or belongs to another secret.
    Forged,
    /// The system gives no random bytes.
    NoRandomness,
}

impl fmt::Display for SealError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealError::NoKey => formatter.write_str("there is no key to seal with"),
            SealError::UnknownKey(id) => write!(formatter, "it is sealed with the key {id}"),
            SealError::Malformed => formatter.write_str("it is no envelope of this version"),
            SealError::Forged => {
                formatter.write_str("it was changed, or was put in another secret's place")
            }
            SealError::NoRandomness => formatter.write_str("the system gives no random bytes"),
        }
    }
}

impl std::error::Error for SealError {}

impl KeyRing {
    /// A ring whose first key seals.
    pub fn new(keys: impl IntoIterator<Item = VaultKey>) -> Self {
        let mut ring = Self::default();
        for key in keys {
            ring.add(key);
        }
        ring
    }

    /// Adds a key behind the others, unless it is there.
    pub fn add(&mut self, key: VaultKey) {
        let id = key_id(&key);
        if !self.0.iter().any(|known| known.id == id) {
            self.0.push(Named { id, key });
        }
    }

    /// Whether there is a key to seal with.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Id of the key that seals.
    pub fn sealing_id(&self) -> Option<&str> {
        self.0.first().map(|named| named.id.as_str())
    }

    /// Seals `plain`, bound to `bound`.
    pub fn seal(&self, plain: &[u8], bound: &str) -> Result<String, SealError> {
        let named = self.0.first().ok_or(SealError::NoKey)?;
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealError::NoRandomness)?;
        let payload = Payload { msg: plain, aad: bound.as_bytes() };
        let sealed = cipher(&named.key)
            .encrypt(&XNonce::from(nonce), payload)
            .expect("a secret is far below the cipher's limit of 256 GiB");
        let (nonce, sealed) = (STANDARD.encode(nonce), STANDARD.encode(sealed));
        Ok(format!("{VERSION}|{}|{nonce}|{sealed}", named.id))
    }

    /// Opens an envelope that is bound to `bound`.
    pub fn open(&self, envelope: &str, bound: &str) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let mut parts = envelope.split('|');
        let (Some(VERSION), Some(id), Some(nonce), Some(sealed), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(SealError::Malformed);
        };
        let named = self.0.iter().find(|named| named.id == id);
        let named = named.ok_or_else(|| SealError::UnknownKey(shown(id)))?;
        let nonce = STANDARD.decode(nonce).map_err(|_| SealError::Malformed)?;
        let nonce = <[u8; NONCE_BYTES]>::try_from(nonce).map_err(|_| SealError::Malformed)?;
        let sealed = STANDARD.decode(sealed).map_err(|_| SealError::Malformed)?;
        let payload = Payload { msg: &sealed, aad: bound.as_bytes() };
        let plain = cipher(&named.key).decrypt(&XNonce::from(nonce), payload);
        plain.map(Zeroizing::new).map_err(|_| SealError::Forged)
    }

    /// Whether an envelope was sealed with another key than the one that seals now.
    pub fn is_outdated(&self, envelope: &str) -> bool {
        envelope.split('|').nth(1) != self.sealing_id()
    }
}

/// The id of a key, in hexadecimal digits.
pub fn key_id(key: &VaultKey) -> String {
    let digest = blake3::derive_key(ID_CONTEXT, key.bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>()[..ID_DIGITS].to_owned()
}

/// A fresh random key.
pub fn new_key() -> Result<VaultKey, SealError> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut bytes[..]).map_err(|_| SealError::NoRandomness)?;
    Ok(VaultKey::new(bytes))
}

fn cipher(key: &VaultKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(key.bytes().into())
}

/// What stands in a damaged row may be anything; only what can be an id is repeated.
fn shown(id: &str) -> String {
    let is_id = id.len() == ID_DIGITS && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { id.to_owned() } else { "?".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> VaultKey {
        let mut bytes = [byte; 32];
        bytes[0] = !byte;
        VaultKey::new(Zeroizing::new(bytes))
    }

    #[test]
    fn what_is_sealed_opens_in_its_place_alone() {
        let ring = KeyRing::new([key(1)]);
        let envelope = ring.seal(b"s3cret", "0/main/bearer").expect("sealed");
        let id = ring.sealing_id().expect("a key");
        assert!(envelope.starts_with(&format!("v1|{id}|")) && !envelope.contains("s3cret"));
        assert_eq!(ring.open(&envelope, "0/main/bearer").as_deref(), Ok(&b"s3cret".to_vec()));
        for elsewhere in ["1/main/bearer", "0/other/bearer", "0/main/ca", ""] {
            assert_eq!(ring.open(&envelope, elsewhere), Err(SealError::Forged), "{elsewhere}");
        }
        assert_ne!(ring.seal(b"s3cret", "0/main/bearer").expect("sealed"), envelope);
    }

    #[test]
    fn no_bit_of_an_envelope_may_change() {
        let ring = KeyRing::new([key(1)]);
        let envelope = ring.seal(b"s3cret", "bound").expect("sealed");
        for at in 0..envelope.len() {
            let mut bytes = envelope.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(ring.open(&changed, "bound").is_err(), "{changed}");
        }
        for damaged in ["", "v1", "v1|a|b|c|d", "v2|a|b|c", &envelope[..envelope.len() - 8]] {
            assert!(ring.open(damaged, "bound").is_err(), "{damaged}");
        }
    }

    #[test]
    fn an_old_key_opens_and_the_new_one_seals() {
        let old = KeyRing::new([key(1)]).seal(b"s3cret", "bound").expect("sealed");
        let ring = KeyRing::new([key(2), key(1), key(2)]);
        assert_eq!(ring.open(&old, "bound").as_deref(), Ok(&b"s3cret".to_vec()));
        assert!(ring.is_outdated(&old));
        let new = ring.seal(b"s3cret", "bound").expect("sealed");
        assert!(!ring.is_outdated(&new));
        let missing = KeyRing::new([key(3)]).open(&old, "bound");
        assert_eq!(missing, Err(SealError::UnknownKey(key_id(&key(1)))));
        assert_eq!(KeyRing::default().seal(b"", ""), Err(SealError::NoKey));
        assert!(!format!("{ring:?}").contains(&*key(2).reveal()));
    }
}
