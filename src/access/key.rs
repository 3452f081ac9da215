//! The text of an API key: `hl_<id>_<secret>`, where the secret is followed by six letters of a
//! checksum. Id and secret are written in Crockford's base 32, lower case, which has no `i`, `l`, `o`
//! and `u`: no two letters look alike, and a double click takes the whole key.
//!
//! The checksum tells a slip of the pen without asking anybody, and a scanner for leaked keys from
//! noise. It is no protection: whoever can write a key can write its checksum.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// What every key begins with, so that it can be recognised in logs and repositories.
const PREFIX: &str = "hl_";
/// Crockford's alphabet, in lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// Bytes of an id: 80 bits fill 16 letters, and do not meet by chance.
const ID_BYTES: usize = 10;
/// Letters of an id.
const ID_LETTERS: usize = 16;
/// Bytes of a secret.
const SECRET_BYTES: usize = 32;
/// Letters of a secret: 256 bits and four zeros.
const SECRET_LETTERS: usize = 52;
/// Letters of the checksum: a slip goes unnoticed once in a thousand million times.
const CHECK_LETTERS: usize = 6;

/// The id of a key: what is shown of it, and what it is found by.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; ID_LETTERS]);

impl KeyId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        // The letters are ASCII: nothing else is ever put in.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Reads an id; `None` when it is none.
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; ID_LETTERS] = text.as_bytes().try_into().ok()?;
        letters.iter().all(is_letter).then_some(Self(letters))
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom("no id of a key"))
    }
}

/// BLAKE3 of a secret. A slow hash is for what people think up; this has 256 random bits.
#[derive(Clone, Copy)]
pub(super) struct SecretHash([u8; 32]);

impl SecretHash {
    /// A hash that no secret is known to have, compared with where there is no key.
    pub(super) const NOBODY: Self = Self([0; 32]);

    fn of(secret: &str) -> Self {
        Self(*blake3::hash(secret.as_bytes()).as_bytes())
    }

    /// Whether both are the same, in a time that does not depend on where they differ.
    pub(super) fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl fmt::Debug for SecretHash {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

impl Serialize for SecretHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl<'de> Deserialize<'de> for SecretHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let hash = blake3::Hash::from_hex(text).map_err(|_| de::Error::custom("no hash"))?;
        Ok(Self(*hash.as_bytes()))
    }
}

/// A whole key, as it is shown once. Wiped from memory when it goes.
pub struct KeyText(Zeroizing<String>);

impl KeyText {
    /// The key, to be shown to whom it was made for.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for KeyText {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

/// Why a text is no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyTextError {
    /// It does not look like one.
    Form,
    /// It looks like one, but a letter is wrong.
    Checksum,
}

impl fmt::Display for KeyTextError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyTextError::Form => formatter.write_str(
                "is not of the form hl_ID_SECRET, with 16 and 58 digits and lower-case letters",
            ),
            KeyTextError::Checksum => {
                formatter.write_str("has a wrong or missing letter: its checksum does not fit")
            }
        }
    }
}

impl std::error::Error for KeyTextError {}

/// A key that somebody came with, ready to be looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Presented {
    pub(super) id: KeyId,
    pub(super) hash: SecretHash,
}

impl Presented {
    /// Reads a key's text.
    pub(super) fn parse(text: &str) -> Result<Self, KeyTextError> {
        let rest = text.strip_prefix(PREFIX).ok_or(KeyTextError::Form)?;
        let (id, secret) = rest.split_once('_').ok_or(KeyTextError::Form)?;
        let id = KeyId::parse(id).ok_or(KeyTextError::Form)?;
        let well_formed = secret.len() == SECRET_LETTERS + CHECK_LETTERS;
        if !well_formed || !secret.as_bytes().iter().all(is_letter) {
            return Err(KeyTextError::Form);
        }
        let (secret, check) = secret.split_at(SECRET_LETTERS);
        let body = &text[..text.len() - CHECK_LETTERS];
        if checksum(body) != check {
            return Err(KeyTextError::Checksum);
        }
        Ok(Self { id, hash: SecretHash::of(secret) })
    }
}

/// Whether a text could be a key: its form and its checksum. Answers the id in it.
pub fn check_text(text: &str) -> Result<KeyId, KeyTextError> {
    Presented::parse(text).map(|presented| presented.id)
}

/// A new id from the system's randomness.
pub(super) fn new_id() -> Result<KeyId, getrandom::Error> {
    let mut bytes = [0; ID_BYTES];
    getrandom::fill(&mut bytes)?;
    let mut letters = [0; ID_LETTERS];
    letters.copy_from_slice(encode(&bytes).as_bytes());
    Ok(KeyId(letters))
}

/// A new secret for a key, and what is kept of it.
pub(super) fn new_secret(id: KeyId) -> Result<(KeyText, SecretHash), getrandom::Error> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(&mut *bytes)?;
    let secret = encode(&*bytes);
    let hash = SecretHash::of(&secret);
    // Made in its full size, so that no copy is left behind by growing.
    let length = PREFIX.len() + ID_LETTERS + 1 + SECRET_LETTERS + CHECK_LETTERS;
    let mut text = Zeroizing::new(String::with_capacity(length));
    for part in [PREFIX, id.as_str(), "_", &secret] {
        text.push_str(part);
    }
    let check = checksum(&text);
    text.push_str(&check);
    Ok((KeyText(text), hash))
}

fn is_letter(letter: &u8) -> bool {
    ALPHABET.contains(letter)
}

fn checksum(body: &str) -> String {
    let hash = blake3::hash(body.as_bytes());
    let mut letters = encode(&hash.as_bytes()[..4]).to_string();
    letters.truncate(CHECK_LETTERS);
    letters
}

/// Base 32, the highest bits first; the last letter is filled up with zeros.
fn encode(bytes: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(bytes.len() * 8 / 5 + 1));
    let (mut held, mut bits) = (0u32, 0);
    for byte in bytes {
        held = held << 8 | u32::from(*byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(char::from(ALPHABET[(held >> bits & 31) as usize]));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(char::from(ALPHABET[(held << (5 - bits) & 31) as usize]));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> (KeyId, KeyText, SecretHash) {
        let id = new_id().expect("randomness");
        let (text, hash) = new_secret(id).expect("randomness");
        (id, text, hash)
    }

    #[test]
    fn a_new_key_is_read_back_and_never_shown() {
        let (id, text, hash) = key();
        assert_eq!(text.reveal().len(), 78);
        let presented = Presented::parse(text.reveal()).expect("a key");
        assert_eq!(presented.id, id);
        assert!(presented.hash.matches(&hash) && !presented.hash.matches(&SecretHash::NOBODY));
        assert_eq!(format!("{text:?} {hash:?}"), "*** ***");
        let stored = serde_json::to_string(&hash).expect("text");
        assert!(!text.reveal().contains(stored.trim_matches('"')), "the secret itself is stored");
        let kept: SecretHash = serde_json::from_str(&stored).expect("a hash");
        assert!(kept.matches(&hash));
    }

    #[test]
    fn no_two_keys_are_the_same() {
        let mut texts: Vec<String> = (0..100).map(|_| key().1.reveal().to_owned()).collect();
        texts.sort();
        texts.dedup();
        assert_eq!(texts.len(), 100);
    }

    #[test]
    fn every_slip_is_told() {
        let (_, text, _) = key();
        let text = text.reveal();
        for place in PREFIX.len()..text.len() {
            let old = text.as_bytes()[place];
            if old == b'_' {
                continue;
            }
            let new = if old == b'7' { '8' } else { '7' };
            let mut wrong = text.to_owned();
            wrong.replace_range(place..=place, &new.to_string());
            assert_eq!(check_text(&wrong), Err(KeyTextError::Checksum), "{place}");
        }
        let shorter = &text[..text.len() - 1];
        let upper = text.to_uppercase();
        for wrong in ["", "hl_", "hl__", "whsec_abc", shorter, &upper, &format!("{text}0")] {
            assert_eq!(check_text(wrong), Err(KeyTextError::Form), "{wrong}");
        }
        assert!(check_text(&text.replace('_', "ä")).is_err());
    }

    #[test]
    fn base_32_is_crockfords() {
        assert_eq!(&**encode(b""), "");
        assert_eq!(&**encode(&[0xff]), "zw");
        assert_eq!(&**encode(b"hello"), "d1jprv3f");
    }
}
