//! Vetting of a webhook's body. JSON stays the caller's own bytes; text and base64 are taken out of
//! their JSON string.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::value::RawValue;

use super::input::{BodyType, WebhookInput};
use super::refusal::{FieldError, Refusal};
use crate::model::Method;

/// Objects and arrays inside one another. Receivers' parsers commonly stop at 128 (serde_json,
/// for one), so deeper ones would only fail later.
const NESTING_MAX: usize = 128;
/// A smaller body is copied out of its request: a slice would keep the whole read buffer alive
/// for as long as the delivery waits, and copying this much costs about a microsecond.
const SLICE_MIN: usize = 16 << 10;

/// The body of a webhook and the content type that it suggests.
pub(super) struct Body {
    /// The bytes to send.
    pub bytes: Bytes,
    /// Used where the headers name none.
    pub content_type: Option<&'static str>,
}

/// Where a body is taken from.
pub(super) struct Source<'a> {
    /// The bytes that the trigger was parsed from.
    pub request: &'a Bytes,
    /// Whether those bytes hold nothing but this trigger, so that slices of them may be kept.
    pub alone: bool,
    /// Bytes of a body at most.
    pub max: usize,
}

/// Takes the body out of `input`.
pub(super) fn vet(
    input: &WebhookInput<'_>,
    method: Method,
    source: &Source<'_>,
) -> Result<Body, Refusal> {
    let body = match (input.body, &input.body_base64) {
        (Some(_), Some(_)) => {
            let detail = "give either `body` or `body_base64`, not both";
            return Err(Refusal::invalid("/body_base64", detail));
        }
        (None, None) => return without(input.body_type),
        // Clients that write every field send an absent body as null.
        (Some(raw), None) if method == Method::Get && raw.get() == "null" => return without(None),
        (_, Some(text)) => binary(&text.0, input.body_type)?,
        (Some(raw), None) => written(raw, input.body_type, source)?,
    };
    let pointer = if input.body.is_some() { "/body" } else { "/body_base64" };
    vet_method(input, method, pointer)?;
    if body.bytes.len() > source.max {
        let detail = format!("is {} bytes; at most {} are taken", body.bytes.len(), source.max);
        return Err(Refusal::TooLarge(FieldError::new(pointer, detail)));
    }
    Ok(body)
}

fn vet_method(input: &WebhookInput<'_>, method: Method, pointer: &str) -> Result<(), Refusal> {
    match method {
        Method::Get => {
            Err(Refusal::invalid(pointer, "a GET carries no body; leave it out or send a POST"))
        }
        Method::Delete if !input.delete_with_body => {
            let detail = "a DELETE carries no body, unless \"delete_with_body\": true says that \
                          the receiver wants one";
            Err(Refusal::invalid(pointer, detail))
        }
        Method::Delete | Method::Post | Method::Put => Ok(()),
    }
}

fn without(body_type: Option<BodyType>) -> Result<Body, Refusal> {
    match body_type {
        Some(_) => Err(Refusal::invalid("/body_type", "is given, but there is no `body`")),
        None => Ok(Body { bytes: Bytes::new(), content_type: None }),
    }
}

fn binary(text: &str, body_type: Option<BodyType>) -> Result<Body, Refusal> {
    if body_type.is_some() {
        return Err(Refusal::invalid("/body_type", "has no meaning beside `body_base64`"));
    }
    let decoded = STANDARD.decode(text).map_err(|why| {
        Refusal::invalid("/body_base64", format!("is not base64 (RFC 4648, padded): {why}"))
    })?;
    Ok(Body { bytes: decoded.into(), content_type: Some("application/octet-stream") })
}

fn written(
    raw: &RawValue,
    body_type: Option<BodyType>,
    source: &Source<'_>,
) -> Result<Body, Refusal> {
    let json = raw.get();
    let is_string = json.starts_with('"');
    if is_string && body_type != Some(BodyType::Json) {
        return text(json, source);
    }
    if !is_string && body_type == Some(BodyType::Text) {
        return Err(Refusal::invalid("/body", "must be a string, since body_type is \"text\""));
    }
    if nests_deeper(json, NESTING_MAX) {
        let detail = format!("has more than {NESTING_MAX} objects and arrays inside one another");
        return Err(Refusal::invalid("/body", detail));
    }
    Ok(Body { bytes: keep(json, source), content_type: Some("application/json") })
}

fn text(json: &str, source: &Source<'_>) -> Result<Body, Refusal> {
    let text: Borrowed<'_> = serde_json::from_str(json)
        .map_err(|why| Refusal::invalid("/body", format!("is not valid text: {why}")))?;
    let bytes = match text.0 {
        Cow::Borrowed(text) => keep(text, source),
        Cow::Owned(text) => Bytes::from(text),
    };
    Ok(Body { bytes, content_type: Some("text/plain; charset=utf-8") })
}

#[derive(serde::Deserialize)]
struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

/// A part of the request as bytes of its own, or as a slice where that wastes little.
fn keep(part: &str, source: &Source<'_>) -> Bytes {
    let sliceable = source.alone && part.len() >= SLICE_MIN;
    match sliceable && part.len() * 2 >= source.request.len() {
        true => source.request.slice_ref(part.as_bytes()),
        false => Bytes::copy_from_slice(part.as_bytes()),
    }
}

/// Whether valid JSON has more than `limit` objects and arrays inside one another.
fn nests_deeper(json: &str, limit: usize) -> bool {
    // Each level takes two bytes, so that a short text needs no look.
    if json.len() <= 2 * limit {
        return false;
    }
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut escaped = false;
    for byte in json.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > limit {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::input;
    use super::*;

    fn of(webhook: &str, method: Method) -> Result<(String, Option<&'static str>), Refusal> {
        let request = Bytes::from(format!(r#"{{"webhook":{webhook}}}"#));
        let input = input::parse(&request).expect("parses");
        let source = Source { request: &request, alone: true, max: 40_000 };
        let body = vet(&input.webhook.expect("given"), method, &source)?;
        Ok((String::from_utf8(body.bytes.to_vec()).expect("text"), body.content_type))
    }

    #[test]
    fn json_stays_as_written_and_strings_are_text() {
        let post = |webhook| of(webhook, Method::Post).expect("valid");
        let json = Some("application/json");
        let cases = [
            (r#"{"url":"u","body": {"b" : 1,  "a":1e400} }"#, r#"{"b" : 1,  "a":1e400}"#, json),
            (r#"{"url":"u","body":null}"#, "null", json),
            (r#"{"url":"u","body":"a\nb"}"#, "a\nb", Some("text/plain; charset=utf-8")),
            (r#"{"url":"u","body":"ab"}"#, "ab", Some("text/plain; charset=utf-8")),
            (r#"{"url":"u","body":"a\nb","body_type":"json"}"#, r#""a\nb""#, json),
            (r#"{"url":"u","body_base64":"YWI="}"#, "ab", Some("application/octet-stream")),
            (r#"{"url":"u"}"#, "", None),
        ];
        for (webhook, bytes, content_type) in cases {
            assert_eq!(post(webhook), (bytes.to_owned(), content_type), "{webhook}");
        }
    }

    #[test]
    fn a_large_body_shares_the_bytes_of_its_request() {
        let text = "x".repeat(SLICE_MIN);
        let request = Bytes::from(format!(r#"{{"webhook":{{"url":"u","body":"{text}"}}}}"#));
        let input = input::parse(&request).expect("parses").webhook.expect("given");
        let kept = |alone| {
            let source = Source { request: &request, alone, max: 1 << 20 };
            let body = vet(&input, Method::Post, &source).expect("valid");
            request.as_ptr_range().contains(&body.bytes.as_ptr())
        };
        assert!(kept(true));
        assert!(!kept(false));
    }

    #[test]
    fn bodies_go_only_with_methods_that_carry_them() {
        let body = r#"{"url":"u","body":{}}"#;
        for (webhook, method, pointer) in [
            (body, Method::Get, "/body"),
            (body, Method::Delete, "/body"),
            (r#"{"url":"u","body_base64":"YQ=="}"#, Method::Get, "/body_base64"),
            (r#"{"url":"u","body_base64":"?"}"#, Method::Post, "/body_base64"),
            (r#"{"url":"u","body":1,"body_base64":"YQ=="}"#, Method::Post, "/body_base64"),
            (r#"{"url":"u","body":1,"body_type":"text"}"#, Method::Post, "/body"),
            (r#"{"url":"u","body_type":"json"}"#, Method::Post, "/body_type"),
            (r#"{"url":"u","body":"\ud800"}"#, Method::Post, "/body"),
        ] {
            match of(webhook, method) {
                Err(Refusal::Invalid(error)) => assert_eq!(error.pointer, pointer, "{webhook}"),
                other => panic!("{webhook}: {other:?}"),
            }
        }
        assert!(of(r#"{"url":"u","body":{},"delete_with_body":true}"#, Method::Delete).is_ok());
        assert!(of(r#"{"url":"u","body":null}"#, Method::Get).is_ok());
        assert!(of(body, Method::Put).is_ok());
    }

    #[test]
    fn size_and_nesting_are_bounded() {
        let nested = |depth: usize| {
            let (open, close) = ("[".repeat(depth), "]".repeat(depth));
            format!(r#"{{"url":"u","body":{open}"[\"[",1{close}}}"#)
        };
        assert!(of(&nested(128), Method::Post).is_ok());
        assert!(matches!(of(&nested(129), Method::Post), Err(Refusal::Invalid(_))));
        assert!(matches!(of(&nested(10_000), Method::Post), Err(Refusal::Invalid(_))));
        let large = format!(r#"{{"url":"u","body":"{}"}}"#, "x".repeat(40_001));
        assert!(matches!(of(&large, Method::Post), Err(Refusal::TooLarge(_))));
    }
}
