//! Signing secrets as they are written everywhere: `whsec_` and the key in base64 (Standard Webhooks).

use std::fmt;

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};

/// What a secret's text begins with.
const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a key that Standard Webhooks asks for.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;
/// People lose the padding when they copy a secret.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A signing secret: the raw key of Standard Webhooks' `whsec_…`. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// Wraps raw key bytes.
    pub fn new(key: Vec<u8>) -> Self {
        Self(key)
    }

    /// The raw key, for signing.
    pub fn key(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Why a text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretError {
    /// It does not begin with `whsec_`.
    Prefix,
    /// What follows is not base64.
    Base64,
    /// The key has so many bytes.
    Length(usize),
}

/// Goes on after what names the secret: `secrets.main does not start with …`.
impl fmt::Display for SecretError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretError::Prefix => write!(formatter, "does not start with \"{SECRET_PREFIX}\""),
            SecretError::Base64 => write!(formatter, "is not base64 after \"{SECRET_PREFIX}\""),
            SecretError::Length(length) => {
                let (least, most) = (KEY_BYTES.start(), KEY_BYTES.end());
                write!(formatter, "holds a key of {length} bytes, not {least} to {most}")
            }
        }
    }
}

impl std::error::Error for SecretError {}

/// Reads a secret as it is written everywhere: `whsec_` and base64.
pub fn parse_secret(text: &str) -> Result<Secret, SecretError> {
    let encoded = text.trim().strip_prefix(SECRET_PREFIX).ok_or(SecretError::Prefix)?;
    let key = LENIENT.decode(encoded).map_err(|_| SecretError::Base64)?;
    if !KEY_BYTES.contains(&key.len()) {
        return Err(SecretError::Length(key.len()));
    }
    Ok(Secret::new(key))
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
}
