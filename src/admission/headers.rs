//! Vetting of a webhook's headers: names are tokens, values cannot split a request, and none takes
//! the place of one that is ours to write.

use std::collections::HashSet;

use super::input::{Pairs, push_token};
use super::refusal::FieldError;
use crate::model::Header;

/// Bytes of all headers together. Servers commonly take 8 to 64 KiB of them.
const HEADERS_MAX: usize = 64 << 10;

/// Headers of a webhook. Apache takes 100 of a request by default, and ours come on top.
const COUNT_MAX: usize = 80;

/// Vets headers; names come out in lower case.
pub(super) fn vet(pairs: &Pairs<'_>) -> Result<Vec<Header>, FieldError> {
    let count = pairs.0.len();
    if count > COUNT_MAX {
        let detail = format!("has {count} headers; at most {COUNT_MAX} are taken");
        return Err(FieldError::new("/headers", detail));
    }
    let mut headers = Vec::with_capacity(count + 3);
    let mut total = 0;
    for (name, value) in &pairs.0 {
        let (name, value) = (name.0.as_ref(), value.0.as_ref());
        let header = vet_one(name, value).map_err(|detail| at(name, detail))?;
        total += header.name.len() + header.value.len();
        if total > HEADERS_MAX {
            return Err(at(name, format!("makes the headers larger than {HEADERS_MAX} bytes")));
        }
        headers.push(header);
    }
    let mut seen = HashSet::with_capacity(headers.len());
    match headers.iter().position(|header: &Header| !seen.insert(header.name.as_str())) {
        Some(twice) => {
            let name = pairs.0[twice].0.0.as_ref();
            Err(at(name, "is given twice (case does not matter)".into()))
        }
        None => Ok(headers),
    }
}

fn at(name: &str, detail: String) -> FieldError {
    let mut pointer = String::from("/headers");
    push_token(&mut pointer, name);
    FieldError::new(pointer, detail)
}

fn vet_one(name: &str, value: &str) -> Result<Header, String> {
    if name.is_empty() || !name.bytes().all(is_token) {
        return Err("is no header name; letters, digits and !#$%&'*+-.^_`|~ are allowed".into());
    }
    let name = name.to_ascii_lowercase();
    if let Some(why) = reserved(&name) {
        return Err(format!("may not be given: {why}"));
    }
    let value = value.trim_matches([' ', '\t']);
    if let Some(byte) = value.bytes().find(|byte| is_control(*byte)) {
        return Err(format!(
            "has the control character U+{byte:04X} in its value; none is allowed, CR and LF \
             least of all"
        ));
    }
    Ok(Header { name, value: value.to_owned() })
}

/// tchar of RFC 9110.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A tab is allowed inside a value (RFC 9110); no other control character is.
fn is_control(byte: u8) -> bool {
    byte < b' ' && byte != b'\t' || byte == 0x7f
}

/// Why a header is ours alone to write.
fn reserved(name: &str) -> Option<&'static str> {
    match name {
        "host" => Some("it follows from the URL"),
        "content-length" | "transfer-encoding" => Some("it follows from the body"),
        "webhook-id" | "webhook-timestamp" | "webhook-signature" => {
            Some("it is written for each attempt")
        }
        "connection"
        | "keep-alive"
        | "proxy-connection"
        | "proxy-authenticate"
        | "proxy-authorization"
        | "te"
        | "trailer"
        | "upgrade"
        | "expect"
        | "http2-settings" => Some("it belongs to the connection (hop-by-hop), not to the webhook"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(json: &str) -> Result<Vec<Header>, FieldError> {
        vet(&serde_json::from_str(json).expect("an object"))
    }

    #[test]
    fn names_are_lower_case_and_values_trimmed() {
        let headers = of(r#"{"X-One":" a\tb ","x-two":"é"}"#).expect("valid");
        assert_eq!((headers[0].name.as_str(), headers[0].value.as_str()), ("x-one", "a\tb"));
        assert_eq!((headers[1].name.as_str(), headers[1].value.as_str()), ("x-two", "é"));
    }

    #[test]
    fn what_could_split_or_mislead_is_refused() {
        for (json, pointer, words) in [
            (r#"{"x":"a\r\nb: c"}"#, "/headers/x", "U+000D"),
            (r#"{"x":"a\u0000"}"#, "/headers/x", "U+0000"),
            (r#"{"":"a"}"#, "/headers/", "no header name"),
            (r#"{"a b":"c"}"#, "/headers/a b", "no header name"),
            (r#"{"a/b":"c"}"#, "/headers/a~1b", "no header name"),
            (r#"{"Host":"c"}"#, "/headers/Host", "follows from the URL"),
            (r#"{"content-length":"1"}"#, "/headers/content-length", "follows from the body"),
            (r#"{"Transfer-Encoding":"chunked"}"#, "/headers/Transfer-Encoding", "body"),
            (r#"{"TE":"trailers"}"#, "/headers/TE", "hop-by-hop"),
            (r#"{"webhook-signature":"v1,x"}"#, "/headers/webhook-signature", "each attempt"),
            (r#"{"X-A":"1","x-a":"2"}"#, "/headers/x-a", "twice"),
        ] {
            let error = of(json).expect_err(json);
            assert_eq!(error.pointer, pointer, "{json}");
            assert!(error.detail.contains(words), "{json}: {}", error.detail);
        }
        let named = |number| format!(r#""x-{number}":"""#);
        let many = |count| format!("{{{}}}", (0..count).map(named).collect::<Vec<_>>().join(","));
        assert!(of(&many(COUNT_MAX)).is_ok());
        assert_eq!(of(&many(COUNT_MAX + 1)).expect_err("many").pointer, "/headers");
        let large = format!(r#"{{"x":"{}"}}"#, "v".repeat(HEADERS_MAX));
        assert!(of(&large).is_err());
    }
}
