//! The key that stored secrets are sealed with, as it is written: 32 bytes in base64.

use std::fmt;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// Bytes of a key of XChaCha20-Poly1305.
pub const VAULT_KEY_BYTES: usize = 32;

/// A key that seals. Never shown, wiped when the last copy goes.
#[derive(Clone, PartialEq, Eq)]
pub struct VaultKey(Arc<Zeroizing<[u8; VAULT_KEY_BYTES]>>);

impl VaultKey {
    /// Wraps the raw bytes.
    pub fn new(bytes: Zeroizing<[u8; VAULT_KEY_BYTES]>) -> Self {
        Self(Arc::new(bytes))
    }

    /// Reads a key as it is written; the error repeats no part of it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let wrong = "is not 32 bytes in base64";
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| wrong)?);
        let bytes = <[u8; VAULT_KEY_BYTES]>::try_from(&bytes[..]).map_err(|_| wrong)?;
        match bytes.iter().all(|byte| *byte == bytes[0]) {
            true => Err("is one byte over and over, which anybody guesses"),
            false => Ok(Self::new(Zeroizing::new(bytes))),
        }
    }

    /// The raw bytes, for sealing.
    pub fn bytes(&self) -> &[u8; VAULT_KEY_BYTES] {
        &self.0
    }

    /// The key as it is written.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(STANDARD.encode(self.bytes()))
    }
}

impl fmt::Debug for VaultKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_is_written_and_never_shown() {
        let mut bytes = [0; VAULT_KEY_BYTES];
        bytes[5] = 9;
        let key = VaultKey::new(Zeroizing::new(bytes));
        assert_eq!(VaultKey::parse(&key.reveal()).as_ref(), Ok(&key));
        assert_eq!(format!("{key:?}"), "***");
        for wrong in ["", "abc", "AAAA", &STANDARD.encode([7; 32]), &STANDARD.encode([7; 31])] {
            let why = VaultKey::parse(wrong).expect_err("no key");
            assert!(wrong.is_empty() || !why.contains(wrong), "{why}");
        }
    }
}
