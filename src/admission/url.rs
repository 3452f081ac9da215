//! Vetting of a webhook's URL: http or https, absolute, no userinfo and no fragment left in it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::refusal::FieldError;
use crate::config::{Sender, percent_decode};
use crate::model::{Target, WorkspacePolicy};
use crate::policy::destination;

/// Bytes of a URL at most: the contract's 8 KiB, before and after it is normalised.
const URL_MAX: usize = 8 << 10;
/// Bytes of a host name at most, as DNS has it.
const HOST_MAX: usize = 253;
/// Bytes between two dots of it at most (RFC 1035).
const LABEL_MAX: usize = 63;

/// A vetted URL.
#[derive(Debug)]
pub(super) struct Vetted {
    /// Where it goes.
    pub target: Target,
    /// Value of the `authorization` header that the URL's userinfo stands for.
    pub authorization: Option<String>,
}

/// Vets `text`: whether it can be read as a URL, and whether the settings and the workspace let its
/// host and port be sent to (not asked without `rules`). Its addresses are judged when they are
/// connected to.
pub(super) fn vet(
    text: &str,
    rules: Option<(&Sender, &WorkspacePolicy)>,
) -> Result<Vetted, FieldError> {
    let refuse = |detail: String| Err(FieldError::new("/url", detail));
    if text.len() > URL_MAX {
        return refuse(format!("is {} bytes long; at most {URL_MAX} are taken", text.len()));
    }
    if let Some(byte) = text.bytes().find(|byte| *byte <= b' ' || *byte == 0x7f) {
        return refuse(format!("has the character U+{byte:04X}; percent-encode it"));
    }
    let Some(rest) = after_scheme(text) else {
        return refuse("is not absolute; write http://… or https://…".into());
    };
    // The url crate would skip these and take what follows for the host.
    if rest.is_empty() || rest.starts_with(['/', '\\', '?', '#']) {
        return refuse("has no host".into());
    }
    // Only with one of these can there be something to take away; the others are parsed once.
    let plain = !rest.contains(['@', '#']);
    let (target, authorization) = match plain {
        true => (Target::from_vetted(text), None),
        false => strip(text)?,
    };
    let Some(target) = target else {
        let why = url::Url::parse(text).err().map_or("not a URL".into(), |why| why.to_string());
        return refuse(format!("cannot be read: {why}"));
    };
    if target.as_str().len() > URL_MAX {
        return refuse(format!("is longer than {URL_MAX} bytes once it is percent-encoded"));
    }
    if !target.host().is_well_formed() {
        return refuse("has a host name with nothing between two dots, or before the first".into());
    }
    if let Some(wrong) = wrong_name(target.host().without_port()) {
        return refuse(wrong);
    }
    if let Some((sender, workspace)) = rules {
        destination::vet(&target, sender, workspace)
            .map_err(|why| FieldError::new("/url", why.to_string()))?;
    }
    Ok(Vetted { target, authorization })
}

fn after_scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once("://")?;
    (scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")).then_some(rest)
}

/// What is wrong with a host's name, so that it could never be looked up. An underscore is not in the
/// rules and in many names.
fn wrong_name(host: &str) -> Option<String> {
    if host.starts_with('[') {
        return None;
    }
    if host.len() > HOST_MAX {
        return Some(format!("has a host name of more than {HOST_MAX} characters"));
    }
    if host.split('.').any(|label| label.len() > LABEL_MAX) {
        return Some(format!("has more than {LABEL_MAX} characters between two dots of its host"));
    }
    let is_known =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_');
    let other = host.chars().find(|letter| !is_known(*letter));
    other.map(|letter| format!("has the character `{letter}` in its host name; no name has it"))
}

/// Takes fragment and userinfo out of a URL.
fn strip(text: &str) -> Result<(Option<Target>, Option<String>), FieldError> {
    let Ok(mut url) = url::Url::parse(text) else { return Ok((None, None)) };
    url.set_fragment(None);
    let authorization = match (url.username(), url.password()) {
        ("", None) => None,
        (name, password) => Some(basic(name, password.unwrap_or_default())?),
    };
    if authorization.is_some() {
        let cleared = url.set_username("").and_then(|()| url.set_password(None));
        cleared.map_err(|()| FieldError::new("/url", "cannot carry a user name"))?;
    }
    Ok((Target::from_vetted(url.as_str()), authorization))
}

/// The Basic credentials of percent-encoded userinfo (RFC 7617).
fn basic(name: &str, password: &str) -> Result<String, FieldError> {
    let mut pair = percent_decode(name);
    if pair.contains(&b':') {
        let detail = "has a colon in its user name, which Basic credentials cannot carry";
        return Err(FieldError::new("/url", detail));
    }
    pair.push(b':');
    pair.extend(percent_decode(password));
    Ok(format!("Basic {}", STANDARD.encode(pair)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vet_for(text: &str, ports: &[u16]) -> Result<Vetted, FieldError> {
        let mut sender = crate::config::Settings::default().sender;
        sender.ports = ports.to_vec();
        vet(text, Some((&sender, &WorkspacePolicy::default())))
    }

    fn detail(text: &str) -> String {
        vet_for(text, &[80, 443]).expect_err(text).detail
    }

    #[test]
    fn urls_are_normalised() {
        let cases = [
            ("https://Shop.Example/a?b=c", "https://shop.example/a?b=c"),
            ("HTTPS://shop.example", "https://shop.example/"),
            ("https://shop.example/a#part", "https://shop.example/a"),
            ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
            ("http://shop.example/?to=a@b.example", "http://shop.example/?to=a@b.example"),
            ("http://127.1/", "http://127.0.0.1/"),
        ];
        for (text, url) in cases {
            let vetted = vet_for(text, &[80, 443]).expect(text);
            assert_eq!(vetted.target.as_str(), url);
            assert_eq!(vetted.authorization, None);
        }
    }

    #[test]
    fn userinfo_becomes_basic_credentials() {
        let vetted = vet_for("https://us%65r:p%40ss%2@shop.example/#x", &[]).expect("valid");
        assert_eq!(vetted.target.as_str(), "https://shop.example/");
        let expected = format!("Basic {}", STANDARD.encode("user:p@ss%2"));
        assert_eq!(vetted.authorization, Some(expected));
        assert!(detail("https://a%3Ab:c@shop.example/").contains("colon"));
    }

    #[test]
    fn what_is_no_destination_is_refused() {
        for (text, words) in [
            ("", "absolute"),
            ("/hook", "absolute"),
            ("ftp://shop.example/", "absolute"),
            ("https:shop.example", "absolute"),
            ("https://", "no host"),
            ("https:///shop.example", "no host"),
            ("https://?a", "no host"),
            ("https://shop.example/a b", "U+0020"),
            ("https://shop.example/\r\nhost: x", "U+000D"),
            ("https://shop.example:8443/", "sender.ports"),
            ("https://shop.example:99999/", "port"),
            ("https://a@/", "cannot be read"),
            ("https://[::1/", "cannot be read"),
            ("https://shop.example../", "between two dots"),
            ("https://a..example/", "between two dots"),
            ("https://./", "between two dots"),
        ] {
            assert!(detail(text).contains(words), "{text}: {}", detail(text));
        }
        let long = format!("https://shop.example/{}", "a".repeat(URL_MAX));
        assert!(detail(&long).contains("bytes"));
        let host = format!("https://{}example/", "a.".repeat(130));
        assert!(detail(&host).contains("host name"));
        assert!(vet_for("https://shop.example:0/", &[]).is_err());
        assert!(vet_for("https://shop.example:8443/", &[]).is_ok());
    }
}
