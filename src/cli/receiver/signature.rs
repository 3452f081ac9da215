//! Checks the signatures of Standard Webhooks as a careful receiver does.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::http::Request;
use crate::config::Secret;
use crate::model::Timestamp;

/// How far a timestamp may be off: what the reference libraries of Standard Webhooks allow.
const TOLERANCE: Duration = Duration::from_secs(300);

/// What checking a request's signature came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    /// One of the signatures is right.
    Right,
    /// One of the three headers is absent.
    Missing,
    /// None of the signatures is right.
    Wrong,
    /// Right, but the timestamp is more than five minutes off.
    Stale,
}

impl Signature {
    /// In a word, as it is printed.
    pub fn as_str(self) -> &'static str {
        match self {
            Signature::Right => "right",
            Signature::Missing => "missing",
            Signature::Wrong => "wrong",
            Signature::Stale => "stale",
        }
    }

    /// Checks `request`, which came at `received`.
    pub fn of(request: &Request, secret: &Secret, received: Timestamp) -> Self {
        let (Some(id), Some(timestamp), Some(signatures)) = (
            request.header("webhook-id"),
            request.header("webhook-timestamp"),
            request.header("webhook-signature"),
        ) else {
            return Signature::Missing;
        };
        if !verify_signature(secret, id, timestamp, &request.body, signatures) {
            return Signature::Wrong;
        }
        let Ok(sent) = timestamp.parse::<i64>() else { return Signature::Wrong };
        let off_by = sent.abs_diff(received.as_secs());
        if off_by > TOLERANCE.as_secs() { Signature::Stale } else { Signature::Right }
    }
}

/// Whether one of the space-separated `signatures` is that of the secret over id, timestamp and
/// body. Several are sent while a secret is being replaced; versions other than `v1` are skipped.
fn verify_signature(
    secret: &Secret,
    id: &str,
    timestamp: &str,
    body: &[u8],
    signatures: &str,
) -> bool {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.key()).expect("HMAC takes keys of any length");
    for part in [id.as_bytes(), b".", timestamp.as_bytes(), b".", body] {
        mac.update(part);
    }
    let expected = STANDARD.encode(mac.finalize().into_bytes());
    let given = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
    // All are compared, in constant time, so that time tells nothing of where they differ.
    let mut right = false;
    for signature in given {
        right |= bool::from(signature.as_bytes().ct_eq(expected.as_bytes()));
    }
    right
}

/// Reads `whsec_` and a key in base64.
pub fn parse_secret(text: &str) -> Result<Secret, &'static str> {
    let coded = text.trim().strip_prefix("whsec_").ok_or("does not start with whsec_")?;
    let key = STANDARD.decode(coded).map_err(|_| "is not base64 after whsec_")?;
    if key.is_empty() { Err("is empty after whsec_") } else { Ok(Secret::new(key)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of Standard Webhooks.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const SENT_S: i64 = 1_649_367_553;
    const BODY: &str = r#"{"email":"test@example.com","username":"test_user"}"#;
    const SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn check(signatures: Option<&str>, body: &str, received_s: i64) -> Signature {
        let mut head =
            format!("POST / HTTP/1.1\r\nwebhook-id: {ID}\r\nwebhook-timestamp: {SENT_S}\r\n");
        if let Some(signatures) = signatures {
            head += &format!("webhook-signature: {signatures}\r\n");
        }
        let mut request = Request::parse_head(head.as_bytes()).expect("a well-formed head").0;
        request.body = bytes::Bytes::copy_from_slice(body.as_bytes());
        let secret = parse_secret(SECRET).expect("the vector's secret");
        Signature::of(&request, &secret, Timestamp::from_millis(received_s * 1000))
    }

    #[test]
    fn the_official_vector_is_right() {
        assert_eq!(check(Some(SIGNATURE), BODY, SENT_S), Signature::Right);
    }

    #[test]
    fn one_right_signature_among_several_is_enough() {
        let rotated = format!("v1,AAAA v1a,BBBB {SIGNATURE}");
        assert_eq!(check(Some(&rotated), BODY, SENT_S), Signature::Right);
    }

    #[test]
    fn anything_else_is_refused() {
        assert_eq!(check(Some(SIGNATURE), "{}", SENT_S), Signature::Wrong);
        assert_eq!(check(Some(""), BODY, SENT_S), Signature::Wrong);
        assert_eq!(check(Some(&SIGNATURE[3..]), BODY, SENT_S), Signature::Wrong);
        assert_eq!(check(None, BODY, SENT_S), Signature::Missing);
        assert_eq!(check(Some(SIGNATURE), BODY, SENT_S + 301), Signature::Stale);
        assert_eq!(check(Some(SIGNATURE), BODY, SENT_S - 301), Signature::Stale);
    }

    #[test]
    fn a_secret_is_base64_behind_its_prefix() {
        assert!(parse_secret("whsec_").is_err());
        assert!(parse_secret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").is_err());
        assert!(parse_secret("whsec_%%%").is_err());
    }
}
