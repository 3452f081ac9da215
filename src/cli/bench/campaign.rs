//! The campaign of a bench: what it says, to whom, and how it is triggered. It is made over HTTP
//! before anything is measured, as is the profile of each of its recipients.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::ops::Range;

use serde_json::Value;

use super::process::post;
use super::run::Load;
use super::wire;
use crate::clock::boot_nanos;

/// Recipients that there are, each with a profile: they take turns.
pub(super) const RECIPIENTS: u32 = 10_000;
/// Recipients of one call: the most that the API takes.
const A_CALL: u32 = crate::admission::RECIPIENTS_MAX as u32;
/// Bytes of a body where none are asked for: a few hundred, as what people compose has.
pub(super) const SIZE: u64 = 400;
/// All of one length, so that every body has the same.
const FIRST_NAMES: [&str; 4] = ["Anna", "Emil", "Jana", "Otto"];
/// The body up to its padding. It begins as `wire` reads it; three variables come from the
/// trigger's properties, one is the recipient's name and one stands in the profile.
const BODY_START: &str = concat!(
    r#"{"n":"{{properties.n}}","t":"{{properties.t}}","to":"{{${user_id}}}","#,
    r#""name":"{{${first_name}}}","item":"{{api_trigger_properties.${item}}}","p":""#
);
/// The rest of it.
const BODY_END: &str = r#""}"#;
/// Bytes of a rendered body without padding.
const BODY_MIN: usize = concat!(
    r#"{"n":"0000000000","t":"000000000000000000","to":"u00000","#,
    r#""name":"Anna","item":"item-000","p":""}"#
)
.len();

/// The same deliveries as those of `load`, by a campaign.
pub(super) fn instead_of(load: &Load) -> Load {
    let name = format!("{}, by a campaign for {A_CALL} recipients a call", load.name);
    Load { name, campaign: true, batch: A_CALL, ..load.clone() }
}

/// What recipient number `number` is called.
pub(super) fn external_id(number: u32) -> String {
    format!("u{:05}", number % RECIPIENTS)
}

/// Appends the profile of a recipient.
pub(super) fn put_profile(out: &mut Vec<u8>, number: u32) {
    let first_name = FIRST_NAMES[number as usize % FIRST_NAMES.len()];
    let rest = r#""plan":"pro","language":"de","time_zone":"Europe/Berlin""#;
    write!(out, r#"{{"attributes":{{"first_name":"{first_name}","orders":{number},{rest}}}}}"#)
        .expect("memory takes every write");
}

/// Appends a trigger of the campaign for the recipients of these numbers, sent at `nanos` since
/// boot.
pub(super) fn put_call(out: &mut Vec<u8>, campaign: &str, numbers: Range<u32>, nanos: u64) {
    write!(out, r#"{{"campaign":"{campaign}","recipients":["#).expect("memory");
    let first = numbers.start;
    for number in numbers {
        if number > first {
            out.push(b',');
        }
        let id = external_id(number);
        write!(out, r#"{{"external_id":"{id}","properties":{{"#).expect("memory");
        wire::put_mark(out, number, nanos);
        write!(out, r#","item":"item-{:03}"}}}}"#, number % 1000).expect("memory");
    }
    out.extend_from_slice(b"]}");
}

/// Makes the campaign and launches it; answers its id.
pub(super) fn launch(server: SocketAddr, url: &str, size: usize) -> io::Result<String> {
    let answer = post(server, "/v1/campaigns", &document(url, size))?;
    let made: Value = serde_json::from_str(&answer)?;
    let id = made["id"].as_str().ok_or_else(|| io::Error::other("a campaign without an id"))?;
    post(server, &format!("/v1/campaigns/{id}/launch"), "")?;
    Ok(id.to_owned())
}

fn document(url: &str, size: usize) -> String {
    let webhook = webhook(url, size);
    // Of its own, since a server that runs already may have those of earlier runs.
    let name = format!("bench {}", boot_nanos());
    format!(r#"{{"name":"{name}","trigger":{{"type":"api"}},"webhooks":[{webhook}]}}"#)
}

fn webhook(url: &str, size: usize) -> String {
    let padding = "x".repeat(size.saturating_sub(BODY_MIN));
    format!(r#"{{"url":"{url}","body":{BODY_START}{padding}{BODY_END}}}"#)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::compose::liquid::Scope;
    use crate::compose::webhook::WebhookTemplate;
    use crate::model::Timestamp;

    #[test]
    fn rendered_bodies_read_back_and_have_their_size() {
        let mut call = Vec::new();
        put_call(&mut call, "c", 12_344..12_346, 123_456_789_012);
        let call: Value = serde_json::from_slice(&call).expect("JSON");
        assert_eq!(call["recipients"].as_array().map(Vec::len), Some(2));
        let recipient = &call["recipients"][1];
        assert_eq!(recipient["external_id"], json!("u02345"));
        let mut profile = Vec::new();
        put_profile(&mut profile, 2_345);
        let profile: Value = serde_json::from_slice(&profile).expect("JSON");
        let scope = Scope {
            properties: Some(&recipient["properties"]),
            external_id: Some("u02345"),
            attributes: Some(&profile["attributes"]),
            ..Scope::at(Timestamp::from_millis(0))
        };
        for size in [0, BODY_MIN, SIZE as usize] {
            let webhook = WebhookTemplate::compile(&webhook("http://127.1.0.1/hook", size));
            let body = webhook.expect("compiles").render(&scope).expect("renders").body;
            let body = body.expect("there is a body");
            assert_eq!(body.len(), size.max(BODY_MIN));
            assert_eq!(wire::read_body(&body), Some((12_345, 123_456_789_012)));
        }
    }
}
