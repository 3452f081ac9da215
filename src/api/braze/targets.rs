//! Whom a send is for: `recipients`, `external_user_ids`, `broadcast` and `audience`, which all of
//! the sending and scheduling routes have. People are known here by their external id alone.

use serde_json::{Map, Value};

use super::audience;
use super::error::{BAD_REQUEST, BrazeError, NO_RECIPIENTS, TOO_MANY_RECIPIENTS};
use super::fields::{Fields, wrong_kind};
use crate::admission::vet_external_id;
use crate::model::Timestamp;

/// Recipients that one request may name, as documented.
pub(super) const RECIPIENTS_MAX: usize = 50;
/// Bytes of the properties of a send as JSON, as documented.
const PROPERTIES_MAX: usize = 50 << 10;

const NO_SEGMENTS: &str = "is out of scope: there are no segments here; use external ids, or \
                           `audience` with `broadcast`";
const NO_ALIASES: &str = "is out of scope: people are known here by their external id";
const OUT_OF_SCOPE: [(&str, &str); 2] = [("segment_id", NO_SEGMENTS), ("segment_ids", NO_SEGMENTS)];

/// Whom a send is for.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Target {
    /// These, in the order written.
    Recipients(Vec<Recipient>),
    /// All who match the audience of the campaign or canvas, and that of the request.
    Everyone,
}

/// One whom a send names.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recipient {
    pub(super) external_id: String,
    /// They come on top of the request's own properties.
    pub(super) properties: Map<String, Value>,
    /// Written to the profile before the send.
    pub(super) attributes: Map<String, Value>,
    /// Whether someone without a profile gets nothing.
    pub(super) existing_only: bool,
}

/// Takes `broadcast` and `recipients`; the properties of one are in the first of `properties`.
pub(super) fn take(fields: &mut Fields, properties: &[&str]) -> Result<Target, BrazeError> {
    fields.refuse(&OUT_OF_SCOPE)?;
    let at = fields.at("recipients");
    let items = fields.list("recipients")?.unwrap_or_default();
    let everyone = broadcast(fields, &at, items.len())?;
    if everyone {
        return Ok(Target::Everyone);
    }
    let read = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| recipient(Fields::of(item, format!("{at}/{index}"))?, properties));
    read.collect::<Result<_, _>>().map(Target::Recipients)
}

/// Takes `broadcast` and `external_user_ids`.
pub(super) fn take_ids(fields: &mut Fields) -> Result<Target, BrazeError> {
    fields.refuse(&OUT_OF_SCOPE)?;
    fields.refuse(&[("user_aliases", NO_ALIASES)])?;
    let at = fields.at("external_user_ids");
    let items = fields.list("external_user_ids")?.unwrap_or_default();
    if broadcast(fields, &at, items.len())? {
        return Ok(Target::Everyone);
    }
    let read = items.into_iter().enumerate().map(|(index, item)| match item {
        Value::String(id) => {
            vet_id(&id, &format!("{at}/{index}"))?;
            Ok(existing(id))
        }
        other => Err(wrong_kind(&format!("{at}/{index}"), &other, "a string")),
    });
    read.collect::<Result<_, _>>().map(Target::Recipients)
}

/// Takes `audience` as a filter; its days are counted from `now`.
pub(super) fn take_audience(
    fields: &mut Fields,
    now: Timestamp,
) -> Result<Option<Value>, BrazeError> {
    let at = fields.at("audience");
    let audience = fields.take("audience");
    audience.map(|audience| audience::filter(audience, at, now)).transpose()
}

/// Takes the properties of a send, which may have several names.
pub(super) fn take_properties(
    fields: &mut Fields,
    names: &[&str],
) -> Result<Map<String, Value>, BrazeError> {
    let mut found = Map::new();
    for name in names {
        let at = fields.at(name);
        let Some(properties) = fields.object(name)? else { continue };
        if !found.is_empty() {
            let detail = format!("means the same as {}; give one of them", names[0]);
            return Err(BrazeError::field(BAD_REQUEST, &at, detail));
        }
        let bytes = serde_json::to_vec(&properties).map_or(0, |text| text.len());
        if bytes > PROPERTIES_MAX {
            let detail = format!("is {bytes} bytes of JSON; at most {PROPERTIES_MAX} are taken");
            return Err(BrazeError::field(BAD_REQUEST, &at, detail));
        }
        found = properties;
    }
    Ok(found)
}

/// Whether the send is for everyone; refuses none, too many, and both at once.
fn broadcast(fields: &mut Fields, named_at: &str, named: usize) -> Result<bool, BrazeError> {
    let at = fields.at("broadcast");
    let everyone = fields.flag("broadcast")?.unwrap_or(false);
    if everyone && named > 0 {
        let detail = format!("is true, so that {named_at} cannot be given too");
        return Err(BrazeError::field(BAD_REQUEST, &at, detail));
    }
    if !everyone && named == 0 {
        let detail = "names nobody; to reach everyone, set `broadcast` to true";
        return Err(BrazeError::field(NO_RECIPIENTS, named_at, detail));
    }
    if named > RECIPIENTS_MAX {
        let detail = format!("has {named}; at most {RECIPIENTS_MAX} are taken");
        return Err(BrazeError::field(TOO_MANY_RECIPIENTS, named_at, detail));
    }
    Ok(everyone)
}

fn recipient(mut fields: Fields, properties: &[&str]) -> Result<Recipient, BrazeError> {
    let external_id = fields.text("external_user_id")?;
    // Beside an external id it says nothing new.
    let alias = fields.object("user_alias")?;
    let Some(external_id) = external_id else {
        let at = fields.at("external_user_id");
        if alias.is_some() {
            return Err(BrazeError::field(BAD_REQUEST, &fields.at("user_alias"), NO_ALIASES));
        }
        fields.refuse(&[("email", NO_ALIASES)])?;
        return Err(BrazeError::field(BAD_REQUEST, &at, "is missing"));
    };
    vet_id(&external_id, &fields.at("external_user_id"))?;
    fields.refuse(&[("email", NO_ALIASES), ("prioritization", NO_ALIASES)])?;
    let existing_at = fields.at("send_to_existing_only");
    let existing_only = fields.flag("send_to_existing_only")?.unwrap_or(true);
    let attributes = fields.object("attributes")?;
    if !existing_only && attributes.is_none() {
        let detail = "is false, so that `attributes` must be given too";
        return Err(BrazeError::field(BAD_REQUEST, &existing_at, detail));
    }
    let own = take_properties(&mut fields, properties)?;
    let known =
        format!("external_user_id, {}, send_to_existing_only, attributes", properties.join(", "));
    fields.finish(&known)?;
    let attributes = attributes.unwrap_or_default();
    Ok(Recipient { external_id, properties: own, attributes, existing_only })
}

fn vet_id(id: &str, at: &str) -> Result<(), BrazeError> {
    vet_external_id(id).map_err(|detail| BrazeError::field(BAD_REQUEST, at, detail))
}

/// Someone of whom only the id is given: a message goes to those alone that there are.
fn existing(external_id: String) -> Recipient {
    let (properties, attributes) = (Map::new(), Map::new());
    Recipient { external_id, properties, attributes, existing_only: true }
}
