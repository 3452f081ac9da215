//! Signing keys as they are written everywhere (Standard Webhooks): `whsec_` and the key in base64
//! for HMAC, `whsk_` for a private ed25519 key, `whpk_` for the public one that belongs to it.

use std::fmt;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ed25519_dalek::{SigningKey, VerifyingKey};
use zeroize::Zeroizing;

/// What a symmetric secret's text begins with.
const SECRET_PREFIX: &str = "whsec_";
/// What a private key's text begins with.
const PRIVATE_PREFIX: &str = "whsk_";
/// What a public key's text begins with.
const PUBLIC_PREFIX: &str = "whpk_";
/// Bytes of a key that Standard Webhooks asks for.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// Bytes of an ed25519 seed, and of its public key.
const ED25519_BYTES: usize = 32;
/// People lose the padding when they copy a secret.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A signing secret: the raw key of `whsec_…` or `whsk_…`. Never shown, wiped when it goes.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Inner);

#[derive(Clone, PartialEq, Eq)]
enum Inner {
    Symmetric(Zeroizing<Vec<u8>>),
    Asymmetric(Box<SigningKey>),
}

/// What a secret signs with.
pub enum SigningMeans<'a> {
    /// `v1`: HMAC-SHA256 with these bytes.
    Hmac(&'a [u8]),
    /// `v1a`: ed25519.
    Ed25519(&'a SigningKey),
}

impl Secret {
    /// Wraps the raw bytes of a symmetric key.
    pub fn new(key: Vec<u8>) -> Self {
        Self(Inner::Symmetric(Zeroizing::new(key)))
    }

    /// An ed25519 key from its seed.
    pub fn from_seed(seed: &[u8; ED25519_BYTES]) -> Self {
        Self(Inner::Asymmetric(Box::new(SigningKey::from_bytes(seed))))
    }

    /// The key, for signing.
    pub fn means(&self) -> SigningMeans<'_> {
        match &self.0 {
            Inner::Symmetric(key) => SigningMeans::Hmac(key),
            Inner::Asymmetric(key) => SigningMeans::Ed25519(key),
        }
    }

    /// What receivers check `v1a` signatures with, as `whpk_…`; `None` for a symmetric secret.
    pub fn public_key(&self) -> Option<String> {
        match &self.0 {
            Inner::Symmetric(_) => None,
            Inner::Asymmetric(key) => {
                Some(format!("{PUBLIC_PREFIX}{}", STANDARD.encode(key.verifying_key())))
            }
        }
    }

    /// The secret as it is written: `whsec_…`, or `whsk_…` with seed and public key.
    pub fn reveal(&self) -> Zeroizing<String> {
        Zeroizing::new(match &self.0 {
            Inner::Symmetric(key) => format!("{SECRET_PREFIX}{}", STANDARD.encode(&**key)),
            Inner::Asymmetric(key) => {
                let pair = Zeroizing::new(key.to_keypair_bytes());
                format!("{PRIVATE_PREFIX}{}", STANDARD.encode(*pair))
            }
        })
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// What a receiver checks signatures with.
#[derive(Clone, PartialEq, Eq)]
pub enum VerifyKey {
    /// The signer's own secret.
    Secret(Secret),
    /// The public half of an ed25519 key.
    Public(VerifyingKey),
}

impl fmt::Debug for VerifyKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl From<Secret> for VerifyKey {
    fn from(secret: Secret) -> Self {
        VerifyKey::Secret(secret)
    }
}

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// It begins with none of the prefixes.
    Prefix,
    /// What follows is not base64.
    Base64,
    /// The key has so many bytes.
    Length(usize),
    /// It is no ed25519 key.
    Key,
}

/// Goes on after what names the secret: `secrets.main does not start with …`.
impl fmt::Display for SecretError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Prefix => {
                write!(
                    formatter,
                    "does not start with \"{SECRET_PREFIX}\" (or \"{PRIVATE_PREFIX}\")"
                )
            }
            SecretError::Base64 => write!(formatter, "is not base64 after \"{SECRET_PREFIX}\""),
            SecretError::Length(length) => {
                let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
                write!(formatter, "holds a key of {length} bytes, not {least} to {most}")
            }
            SecretError::Key => formatter.write_str("holds no ed25519 key (of 32 or 64 bytes)"),
        }
    }
}

impl std::error::Error for SecretError {}

/// Reads a secret as it is written everywhere: `whsec_` or `whsk_`, and base64.
pub fn parse_secret(text: &str) -> Result<Secret, SecretError> {
    let text = text.trim();
    if let Some(encoded) = text.strip_prefix(PRIVATE_PREFIX) {
        return private_key(encoded);
    }
    let encoded = text.strip_prefix(SECRET_PREFIX).ok_or(SecretError::Prefix)?;
    let key = LENIENT.decode(encoded).map_err(|_| SecretError::Base64)?;
    if !KEY_BYTES.contains(&key.len()) {
        return Err(SecretError::Length(key.len()));
    }
    Ok(Secret::new(key))
}

/// Reads what signatures are checked with: `whsec_`, `whsk_` or `whpk_`, and base64.
pub fn parse_verify_key(text: &str) -> Result<VerifyKey, SecretError> {
    let Some(encoded) = text.trim().strip_prefix(PUBLIC_PREFIX) else {
        return parse_secret(text).map(VerifyKey::Secret);
    };
    let bytes = LENIENT.decode(encoded).map_err(|_| SecretError::Base64)?;
    let bytes = bytes.try_into().map_err(|_| SecretError::Key)?;
    VerifyingKey::from_bytes(&bytes).map(VerifyKey::Public).map_err(|_| SecretError::Key)
}

/// The seed alone, or the seed with the public key behind it: both are in use.
fn private_key(encoded: &str) -> Result<Secret, SecretError> {
    let bytes = Zeroizing::new(LENIENT.decode(encoded).map_err(|_| SecretError::Base64)?);
    if let Ok(seed) = <[u8; ED25519_BYTES]>::try_from(&bytes[..]) {
        return Ok(Secret::from_seed(&Zeroizing::new(seed)));
    }
    let pair = <[u8; 2 * ED25519_BYTES]>::try_from(&bytes[..]).map_err(|_| SecretError::Key)?;
    let key = SigningKey::from_keypair_bytes(&Zeroizing::new(pair));
    key.map(|key| Secret(Inner::Asymmetric(Box::new(key)))).map_err(|_| SecretError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_read_and_never_shown() {
        assert_eq!(parse_secret("C2FVsBQIhrscChlQIMV+"), Err(SecretError::Prefix));
        assert_eq!(parse_secret("whsec_!"), Err(SecretError::Base64));
        assert_eq!(parse_secret("whsec_AAAA"), Err(SecretError::Length(3)));
        let padded = parse_secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").expect("padded");
        let bare = parse_secret("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA").expect("not padded");
        assert_eq!(padded, bare);
        assert_eq!(format!("{bare:?}"), "***");
    }

    #[test]
    fn private_keys_come_as_seed_or_as_pair() {
        let key = Secret::from_seed(&[7; 32]);
        let pair = key.reveal();
        assert_eq!(parse_secret(&pair), Ok(key.clone()));
        let seed = format!("whsk_{}", STANDARD.encode([7; 32]));
        assert_eq!(parse_secret(&seed), Ok(key.clone()));
        let forged = format!("whsk_{}", STANDARD.encode([7; 64]));
        assert_eq!(parse_secret(&forged), Err(SecretError::Key));
        assert_eq!(parse_secret("whsk_AAAA"), Err(SecretError::Key));

        let public = key.public_key().expect("an asymmetric key");
        assert!(public.starts_with("whpk_"), "{public}");
        assert!(matches!(parse_verify_key(&public), Ok(VerifyKey::Public(_))));
        assert_eq!(parse_verify_key("whpk_AAAA"), Err(SecretError::Key));
        assert_eq!(parse_secret(&public), Err(SecretError::Prefix));
        assert_eq!(format!("{:?}", parse_verify_key(&pair)), "Ok(***)");
    }
}
