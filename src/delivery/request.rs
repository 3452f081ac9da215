//! The headers that we add to a webhook, above all its signature, and the check of one. Pure.
//!
//! Signatures follow Standard Webhooks: over `id.timestamp.body`, in base64, `v1,` and HMAC-SHA256
//! or `v1a,` and ed25519, one for each secret while secrets are being rotated. The id is the same
//! on every attempt, the timestamp and so the signature are the attempt's own.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, Verifier, VerifyingKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::config::{Secret, SigningMeans, VerifyKey};
use crate::model::{DeliveryId, Method, Timestamp, Webhook};

/// Names the delivery; the same on every attempt.
pub const ID: &str = "webhook-id";
/// When the attempt was made, in seconds since the epoch.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// One `v1,…` or `v1a,…` for each secret, separated by spaces.
pub const SIGNATURE: &str = "webhook-signature";
/// Names the sender.
pub const USER_AGENT: &str = "user-agent";

/// What a symmetric signature begins with.
const HMAC_PREFIX: &str = "v1,";
/// What an asymmetric one begins with.
const ED25519_PREFIX: &str = "v1a,";
/// Asymmetric signatures of one request that are looked at.
const SIGNATURES_MAX: usize = 16;

/// The headers of Standard Webhooks for one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// `webhook-id`
    pub id: String,
    /// `webhook-timestamp`
    pub timestamp: String,
    /// `webhook-signature`; absent when no secret is set.
    pub signature: Option<String>,
}

impl Stamp {
    /// Stamps an attempt made at `at` (the raw wall clock: receivers compare it with their own).
    pub fn new(id: DeliveryId, at: Timestamp, secrets: &[Secret], body: &[u8]) -> Self {
        let id = id.to_string();
        let timestamp = at.as_secs().to_string();
        let signature = (!secrets.is_empty()).then(|| sign(secrets, &id, &timestamp, body));
        Self { id, timestamp, signature }
    }
}

/// The body as it is sent: a GET never has one.
pub fn body_of(webhook: &Webhook) -> &bytes::Bytes {
    static EMPTY: bytes::Bytes = bytes::Bytes::new();
    match webhook.method {
        Method::Get => &EMPTY,
        Method::Post | Method::Put | Method::Delete => &webhook.body,
    }
}

/// All headers of a request but `host` and `content-length`. The caller's own win, except where
/// the receiver must be able to rely on ours.
pub fn headers<'a>(
    webhook: &'a Webhook,
    stamp: &'a Stamp,
    user_agent: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    let own_agent = webhook.headers.iter().any(|header| header.name == USER_AGENT);
    let added = [
        (!own_agent).then_some((USER_AGENT, user_agent)),
        Some((ID, stamp.id.as_str())),
        Some((TIMESTAMP, stamp.timestamp.as_str())),
        stamp.signature.as_deref().map(|signature| (SIGNATURE, signature)),
    ];
    let given = webhook.headers.iter().filter(|header| !is_ours(&header.name));
    let given = given.map(|header| (header.name.as_str(), header.value.as_str()));
    added.into_iter().flatten().chain(given)
}

/// Headers that only we may set: those of Standard Webhooks, and those that rule the connection
/// (admission refuses them; what is stored must not get past it either).
fn is_ours(name: &str) -> bool {
    const OURS: [&str; 10] = [
        ID,
        TIMESTAMP,
        SIGNATURE,
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "expect",
        "upgrade",
    ];
    OURS.contains(&name)
}

fn sign(secrets: &[Secret], id: &str, timestamp: &str, body: &[u8]) -> String {
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let mut signatures = String::with_capacity(secrets.len() * 48);
    for secret in secrets {
        if !signatures.is_empty() {
            signatures.push(' ');
        }
        match secret.means() {
            SigningMeans::Hmac(key) => {
                signatures.push_str(HMAC_PREFIX);
                STANDARD.encode_string(code(key, &parts), &mut signatures);
            }
            SigningMeans::Ed25519(key) => {
                signatures.push_str(ED25519_PREFIX);
                // ed25519 reads what it signs twice, so that it has to lie in one piece.
                let signature = key.sign(&parts.concat());
                STANDARD.encode_string(signature.to_bytes(), &mut signatures);
            }
        }
    }
    signatures
}

fn code(key: &[u8], parts: &[&[u8]]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is one");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Why a webhook that came in is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// This header is missing.
    Missing(&'static str),
    /// The timestamp is no number.
    Timestamp,
    /// It was signed too long ago: a repetition, or a clock that is wrong.
    TooOld,
    /// It was signed in the future: a clock is wrong.
    TooNew,
    /// No signature is by a known secret over what came.
    Mismatch,
}

impl fmt::Display for VerifyError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VerifyError::Missing(name) => write!(formatter, "there is no `{name}` header"),
            VerifyError::Timestamp => write!(formatter, "`{TIMESTAMP}` is no number of seconds"),
            VerifyError::TooOld => formatter.write_str("it was signed too long ago"),
            VerifyError::TooNew => formatter.write_str("it was signed in the future"),
            VerifyError::Mismatch => formatter.write_str("no signature fits a known secret"),
        }
    }
}

impl std::error::Error for VerifyError {}

/// Checks a webhook that came in, as its receiver should. `header` gives a header's value by its
/// lower-case name; `now` may be off from the signer's clock by `tolerance`.
pub fn verify<'h>(
    header: impl Fn(&str) -> Option<&'h str>,
    body: &[u8],
    keys: &[VerifyKey],
    (now, tolerance): (Timestamp, Duration),
) -> Result<(), VerifyError> {
    let field = |name: &'static str| header(name).ok_or(VerifyError::Missing(name));
    let (id, timestamp, signatures) = (field(ID)?, field(TIMESTAMP)?, field(SIGNATURE)?);

    let signed: i64 = timestamp.parse().map_err(|_| VerifyError::Timestamp)?;
    let age = i128::from(now.as_secs()) - i128::from(signed);
    let tolerance = i128::from(tolerance.as_secs());
    if age > tolerance {
        return Err(VerifyError::TooOld);
    }
    if age < -tolerance {
        return Err(VerifyError::TooNew);
    }

    // Every pair is compared, so that the time taken tells nothing of which one fits.
    let parts = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let mut fits = Choice::from(0);
    for key in keys {
        fits |= match key {
            VerifyKey::Secret(secret) => match secret.means() {
                SigningMeans::Hmac(key) => fits_code(&code(key, &parts), signatures),
                SigningMeans::Ed25519(key) => fits_key(&key.verifying_key(), signatures, &parts),
            },
            VerifyKey::Public(key) => fits_key(key, signatures, &parts),
        };
    }
    if bool::from(fits) { Ok(()) } else { Err(VerifyError::Mismatch) }
}

fn fits_code(expected: &[u8; 32], signatures: &str) -> Choice {
    let mut fits = Choice::from(0);
    for signature in signatures.split(' ') {
        let encoded = signature.strip_prefix(HMAC_PREFIX).unwrap_or("");
        let given = STANDARD.decode(encoded).unwrap_or_default();
        fits |= given.ct_eq(&expected[..]);
    }
    fits
}

/// Whether one of the first signatures is by this key. Each costs tens of microseconds, so that
/// a header full of them is not read to its end.
fn fits_key(key: &VerifyingKey, signatures: &str, parts: &[&[u8]]) -> Choice {
    let content = parts.concat();
    let given = signatures.split(' ').filter_map(|text| text.strip_prefix(ED25519_PREFIX));
    let fits = given.take(SIGNATURES_MAX).any(|encoded| {
        let bytes = STANDARD.decode(encoded).unwrap_or_default();
        Signature::from_slice(&bytes).is_ok_and(|given| key.verify(&content, &given).is_ok())
    });
    Choice::from(u8::from(fits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{parse_secret, parse_verify_key};
    use crate::model::{Header, HostNumber, Target};

    /// The vector that the official libraries of Standard Webhooks are tested with.
    const VECTOR_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const VECTOR_ID: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const VECTOR_TIMESTAMP: &str = "1649367553";
    const VECTOR_BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const VECTOR_SIGNATURE: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn vector_headers(signature: &'static str) -> impl Fn(&str) -> Option<&'static str> {
        move |name| match name {
            ID => Some(VECTOR_ID),
            TIMESTAMP => Some(VECTOR_TIMESTAMP),
            SIGNATURE => Some(signature),
            _ => None,
        }
    }

    fn at(seconds: i64) -> (Timestamp, Duration) {
        (Timestamp::from_millis(seconds * 1000), Duration::from_secs(300))
    }

    fn other_secret() -> Secret {
        Secret::new(vec![7; 32])
    }

    fn webhook(method: Method, headers: &[(&str, &str)]) -> Webhook {
        let header = |(name, value): &(&str, &str)| Header {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
        };
        Webhook {
            method,
            target: Target::from_vetted("http://a.example/").expect("vetted"),
            headers: headers.iter().map(header).collect(),
            body: bytes::Bytes::from_static(b"body"),
            secret_refs: Vec::new(),
        }
    }

    #[test]
    fn the_official_vector_is_met() {
        let secret = parse_secret(VECTOR_SECRET).expect("a secret");
        let signature =
            sign(std::slice::from_ref(&secret), VECTOR_ID, VECTOR_TIMESTAMP, VECTOR_BODY);
        assert_eq!(signature, VECTOR_SIGNATURE);
        let verdict = |now| {
            let secrets = [other_secret().into(), secret.clone().into()];
            verify(vector_headers(VECTOR_SIGNATURE), VECTOR_BODY, &secrets, at(now))
        };
        assert_eq!(verdict(1_649_367_553), Ok(()));
        assert_eq!(verdict(1_649_367_553 + 300), Ok(()));
        assert_eq!(verdict(1_649_367_553 + 301), Err(VerifyError::TooOld));
        assert_eq!(verdict(1_649_367_553 - 301), Err(VerifyError::TooNew));
    }

    #[test]
    fn rotated_secrets_sign_side_by_side() {
        let secrets = [other_secret(), parse_secret(VECTOR_SECRET).expect("a secret")];
        let signatures = sign(&secrets, VECTOR_ID, VECTOR_TIMESTAMP, VECTOR_BODY);
        let (new, old) = signatures.split_once(' ').expect("two signatures");
        assert!(new.starts_with("v1,") && new != old);
        assert_eq!(old, VECTOR_SIGNATURE);
    }

    #[test]
    fn asymmetric_signatures_verify_by_the_public_key_alone() {
        let key = Secret::from_seed(&[7; 32]);
        let secrets = [key.clone(), parse_secret(VECTOR_SECRET).expect("a secret")];
        let signatures = sign(&secrets, VECTOR_ID, VECTOR_TIMESTAMP, VECTOR_BODY);
        assert!(signatures.starts_with("v1a,") && signatures.ends_with(VECTOR_SIGNATURE));
        let headers = |name: &str| match name {
            ID => Some(VECTOR_ID),
            TIMESTAMP => Some(VECTOR_TIMESTAMP),
            SIGNATURE => Some(signatures.as_str()),
            _ => None,
        };
        let public = |key: &Secret| {
            parse_verify_key(&key.public_key().expect("asymmetric")).expect("a public key")
        };
        let now = at(1_649_367_553);
        assert_eq!(verify(headers, VECTOR_BODY, &[public(&key)], now), Ok(()));
        assert_eq!(verify(headers, VECTOR_BODY, &[key.clone().into()], now), Ok(()));
        assert_eq!(verify(headers, b"{}", &[public(&key)], now), Err(VerifyError::Mismatch));
        let stranger = public(&Secret::from_seed(&[8; 32]));
        assert_eq!(verify(headers, VECTOR_BODY, &[stranger], now), Err(VerifyError::Mismatch));
    }

    #[test]
    fn what_was_changed_is_not_trusted() {
        let secrets = [parse_secret(VECTOR_SECRET).expect("a secret").into()];
        let verdict = |signature, body: &[u8], secrets: &[VerifyKey]| {
            verify(vector_headers(signature), body, secrets, at(1_649_367_553))
        };
        assert_eq!(verdict(VECTOR_SIGNATURE, b"{}", &secrets), Err(VerifyError::Mismatch));
        let others = [other_secret().into()];
        assert_eq!(verdict(VECTOR_SIGNATURE, VECTOR_BODY, &others), Err(VerifyError::Mismatch));
        for signature in ["", "v1,", "v1a,abcd", "v1,####", &VECTOR_SIGNATURE[3..]] {
            let refused = verdict(signature, VECTOR_BODY, &secrets);
            assert_eq!(refused, Err(VerifyError::Mismatch), "{signature}");
        }
        let headless = |_: &str| None;
        let refused = verify(headless, b"", &secrets, at(0));
        assert_eq!(refused, Err(VerifyError::Missing(ID)));
    }

    #[test]
    fn the_callers_headers_win_but_for_ours() {
        let given = [
            ("user-agent", "theirs"),
            ("webhook-id", "forged"),
            ("webhook-signature", "forged"),
            ("host", "forged"),
            ("traceparent", "00-1-2-00"),
        ];
        let webhook = webhook(Method::Post, &given);
        let host = HostNumber(1);
        let id = DeliveryId::new(Timestamp::from_millis(1), host, 2);
        let stamp = Stamp::new(id, Timestamp::from_millis(1_649_367_553_999), &[], b"");
        let sent: Vec<_> = headers(&webhook, &stamp, "ours").collect();
        let expected = [
            ("webhook-id", stamp.id.as_str()),
            ("webhook-timestamp", "1649367553"),
            ("user-agent", "theirs"),
            ("traceparent", "00-1-2-00"),
        ];
        assert_eq!(sent, expected);
    }

    #[test]
    fn a_get_has_no_body_to_sign() {
        assert!(body_of(&webhook(Method::Get, &[])).is_empty());
        assert_eq!(&body_of(&webhook(Method::Delete, &[]))[..], b"body");
    }
}
