//! `Idempotency-Key`: reading it, and knowing which keys are under way in this process. That a key
//! is used once is the store's promise; this only tells a repeat to wait for the first.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

/// How long a repeat is answered as the first was.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 3600);
/// The longest key.
const KEY_MAX: usize = 255;
/// What a key has to look like, in words.
const SHAPE: &str = "an idempotency key has 1 to 255 visible ASCII characters";

/// Reads the header: a structured-field string in quotes, or the bare text that most clients send.
pub fn parse_header(value: &[u8]) -> Result<String, &'static str> {
    let text = std::str::from_utf8(value).map_err(|_| SHAPE)?.trim();
    let Some(quoted) = text.strip_prefix('"') else { return vet(text) };
    let quoted = quoted.strip_suffix('"').ok_or("the quotes of the key are not closed")?;
    let mut key = String::with_capacity(quoted.len());
    let mut characters = quoted.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('"' | '\\')) => key.push(escaped),
                _ => return Err("in a quoted key only \\\" and \\\\ may follow a backslash"),
            },
            '"' => return Err("a quote inside a quoted key needs a backslash"),
            plain => key.push(plain),
        }
    }
    vet(&key)
}

/// Vets a key.
pub(super) fn vet(key: &str) -> Result<String, &'static str> {
    let visible = key.bytes().all(|byte| byte.is_ascii_graphic());
    (visible && (1..=KEY_MAX).contains(&key.len())).then(|| key.to_owned()).ok_or(SHAPE)
}

/// What a key stands for: the request's bytes.
pub(super) fn fingerprint(request: &[u8]) -> [u8; 32] {
    Sha256::digest(request).into()
}

/// The keys whose first request is under way.
#[derive(Default)]
pub(super) struct UnderWay(Mutex<HashSet<(u32, String)>>);

/// Holds a key until dropped, also when the caller went away.
pub struct Claim<'a> {
    keys: &'a UnderWay,
    key: (u32, String),
}

impl UnderWay {
    /// Claims a key; `None` while another request holds it.
    pub(super) fn claim(&self, workspace: u32, key: &str) -> Option<Claim<'_>> {
        let key = (workspace, key.to_owned());
        let fresh = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        // A claim that was never held must not be made: its drop would release the first one's.
        fresh.then(|| Claim { keys: self, key })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.keys.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_bare_or_quoted() {
        assert_eq!(parse_header(b"abc-1"), Ok("abc-1".into()));
        assert_eq!(parse_header(b" \"abc-1\" "), Ok("abc-1".into()));
        assert_eq!(parse_header(br#""a\"b\\c""#), Ok(r#"a"b\c"#.into()));
        let long = "x".repeat(256);
        for bad in ["", "\"\"", "\"abc", "a b", "\"a\"b\"", "a\tb", "\"a\\n\"", "é", &long] {
            assert!(parse_header(bad.as_bytes()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_held_until_its_claim_is_dropped() {
        let keys = UnderWay::default();
        let claim = keys.claim(0, "a");
        assert!(claim.is_some());
        assert!(keys.claim(0, "a").is_none());
        assert!(keys.claim(1, "a").is_some());
        drop(claim);
        assert!(keys.claim(0, "a").is_some());
    }
}
