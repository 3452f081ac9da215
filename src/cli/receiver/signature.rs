//! Checks the signatures of Standard Webhooks as a careful receiver does.

use std::time::Duration;

use super::http::Request;
use crate::config::VerifyKey;
use crate::delivery::request::{VerifyError, verify};
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
    /// The timestamp is more than five minutes off.
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
    pub fn of(request: &Request, key: &VerifyKey, received: Timestamp) -> Self {
        let keys = std::slice::from_ref(key);
        let clock = (received, TOLERANCE);
        match verify(|name| request.header(name), &request.body, keys, clock) {
            Ok(()) => Signature::Right,
            Err(VerifyError::Missing(_)) => Signature::Missing,
            Err(VerifyError::TooOld | VerifyError::TooNew) => Signature::Stale,
            Err(VerifyError::Timestamp | VerifyError::Mismatch) => Signature::Wrong,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_secret;

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
        Signature::of(&request, &secret.into(), Timestamp::from_millis(received_s * 1000))
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
}
