//! `POST /users/track`: attributes and events of recipients. One bad item is named and the others
//! are taken, as that API does it; purchases are refused as a whole, since nothing here would ever
//! show what became of them.

use serde_json::{Map, Value, json};

use super::error::{BAD_REQUEST, BrazeError, TOO_MUCH_INPUT};
use super::fields::Fields;
use super::sends::vet_key;
use super::when;
use crate::admission::vet_external_id;
use crate::model::Timestamp;

/// Attributes, and events, that one request may have, as documented.
const ITEMS_MAX: usize = 75;
/// Characters of an event's name, as documented for names and values of this API.
const NAME_MAX: usize = 255;

const NO_PURCHASES: &str = "is out of scope: purchases are not kept here; send each as an event";
/// What that API says when not one item could be used.
const NOTHING_VALID: &str =
    "Valid data must be provided in the 'attributes', 'events', or 'purchases' fields.";
const NOT_IDENTIFIED: &str = "is out of scope: people are known here by their external_id";

/// Of an attribute object: what is about something else than the profile's attributes.
const NO_ATTRIBUTES: [(&str, &str); 5] = [
    ("push_token_import", "is out of scope: push messages are not sent here"),
    ("push_tokens", "is out of scope: push messages are not sent here"),
    ("subscription_groups", "is out of scope: no subscriptions are kept here"),
    ("_merge_objects", "is out of scope: an object attribute is written whole"),
    ("braze_id", NOT_IDENTIFIED),
];

/// What a request says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Track {
    pub(super) attributes: Items<Attributes>,
    pub(super) events: Items<Event>,
}

/// The items of a list that can be used, each with its place in the list, and what is wrong with
/// the others.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Items<T> {
    pub(super) usable: Vec<(usize, T)>,
    /// As they are answered: `type`, `input_array`, `index`.
    pub(super) errors: Vec<Value>,
}

impl<T> Items<T> {
    /// Whether the request has any.
    pub(super) fn is_given(&self) -> bool {
        !self.usable.is_empty() || !self.errors.is_empty()
    }
}

/// Writes to the profile of one recipient.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Attributes {
    pub(super) external_id: String,
    /// Whether nobody is created by it.
    pub(super) existing_only: bool,
    /// By the attribute's name: a value, `null`, or an object with `inc`, `add`, `remove`.
    pub(super) writes: Map<String, Value>,
}

/// What someone did.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Event {
    pub(super) external_id: String,
    /// Whether nobody is created by it.
    pub(super) existing_only: bool,
    pub(super) name: String,
    pub(super) time: Timestamp,
    pub(super) properties: Map<String, Value>,
}

/// Reads a request.
pub(super) fn read(body: &[u8]) -> Result<Track, BrazeError> {
    let mut fields = Fields::of_body(body)?;
    vet_key(&mut fields)?;
    fields.refuse(&[("purchases", NO_PURCHASES)])?;
    let attributes = take_list(&mut fields, "attributes", attributes)?;
    let events = take_list(&mut fields, "events", event)?;
    fields.finish("attributes, events")?;
    let track = Track { attributes, events };
    match track.attributes.usable.is_empty() && track.events.usable.is_empty() {
        true => {
            let errors = track.attributes.errors.into_iter().chain(track.events.errors);
            Err(nothing_valid(errors.collect()))
        }
        false => Ok(track),
    }
}

/// Not one item could be used; `errors` says why.
pub(super) fn nothing_valid(errors: Vec<Value>) -> BrazeError {
    BrazeError::items(NOTHING_VALID, errors)
}

/// An item at fault, as it is answered.
pub(super) fn item_error(list: &str, index: usize, detail: &str) -> Value {
    json!({ "type": detail, "input_array": list, "index": index })
}

fn take_list<T>(
    fields: &mut Fields,
    name: &str,
    read: impl Fn(Fields) -> Result<T, BrazeError>,
) -> Result<Items<T>, BrazeError> {
    let at = fields.at(name);
    let items = fields.list(name)?.unwrap_or_default();
    if items.len() > ITEMS_MAX {
        let detail = format!("has {}; at most {ITEMS_MAX} are taken", items.len());
        return Err(BrazeError::field(TOO_MUCH_INPUT, &at, detail));
    }
    let mut found = Items { usable: Vec::with_capacity(items.len()), errors: Vec::new() };
    for (index, item) in items.into_iter().enumerate() {
        match Fields::of(item, format!("{at}/{index}")).and_then(&read) {
            Ok(item) => found.usable.push((index, item)),
            Err(error) => found.errors.push(item_error(name, index, error.detail())),
        }
    }
    Ok(found)
}

fn attributes(mut fields: Fields) -> Result<Attributes, BrazeError> {
    let external_id = external_id(&mut fields)?;
    let existing_only = fields.flag("_update_existing_only")?.unwrap_or(false);
    fields.refuse(&NO_ATTRIBUTES)?;
    let writes = fields.rest();
    Ok(Attributes { external_id, existing_only, writes })
}

fn event(mut fields: Fields) -> Result<Event, BrazeError> {
    let external_id = external_id(&mut fields)?;
    let existing_only = fields.flag("_update_existing_only")?.unwrap_or(false);
    let (name_at, time_at) = (fields.at("name"), fields.at("time"));
    let name = fields.required("name")?;
    if name.chars().count() > NAME_MAX || name.chars().any(char::is_control) {
        let detail = format!("is longer than {NAME_MAX} characters, or has a control character");
        return Err(BrazeError::field(BAD_REQUEST, &name_at, detail));
    }
    let time = when::parse(&fields.required("time")?);
    let time = time.ok_or_else(|| BrazeError::field(BAD_REQUEST, &time_at, when::EXPECTED))?;
    let properties = fields.object("properties")?.unwrap_or_default();
    // Says in which of a workspace's apps it was; there are none here to tell apart.
    fields.text("app_id")?;
    fields.refuse(&[("braze_id", NOT_IDENTIFIED), ("email", NOT_IDENTIFIED)])?;
    fields.refuse(&[("phone", NOT_IDENTIFIED)])?;
    fields.finish("external_id, name, time, properties, app_id, _update_existing_only")?;
    Ok(Event { external_id, existing_only, name, time, properties })
}

/// Takes what says whose item it is. Beside an external id, an alias says nothing new.
fn external_id(fields: &mut Fields) -> Result<String, BrazeError> {
    let alias_at = fields.at("user_alias");
    let external_id = fields.text("external_id")?;
    let alias = fields.take("user_alias");
    match (external_id, alias) {
        (Some(id), _) => match vet_external_id(&id) {
            Ok(()) => Ok(id),
            Err(detail) => Err(BrazeError::field(BAD_REQUEST, &fields.at("external_id"), detail)),
        },
        (None, Some(_)) => Err(BrazeError::field(BAD_REQUEST, &alias_at, NOT_IDENTIFIED)),
        (None, None) => {
            Err(BrazeError::field(BAD_REQUEST, fields.pointer(), "'external_id' is required"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(body: Value) -> Result<Track, BrazeError> {
        read(body.to_string().as_bytes())
    }

    #[test]
    fn attributes_and_events_are_read() {
        let track = track(json!({
            "attributes": [{"external_id": "u", "plan": "gold", "visits": {"inc": 1}, "old": null,
                "email": "a@b.example", "_update_existing_only": true}],
            "events": [{"external_id": "u", "name": "booked", "time": "2026-11-24T09:00:00Z",
                "app_id": "a", "properties": {"total": 3},
                "user_alias": {"alias_name": "n", "alias_label": "l"}}],
            "purchases": [],
        }))
        .expect("a request");
        let (_, attributes) = &track.attributes.usable[0];
        assert!(attributes.existing_only);
        let expected =
            json!({"plan": "gold", "visits": {"inc": 1}, "old": null, "email": "a@b.example"});
        assert_eq!(json!(attributes.writes), expected);
        let (_, event) = &track.events.usable[0];
        assert_eq!((event.external_id.as_str(), event.name.as_str()), ("u", "booked"));
        assert_eq!(event.time.to_string(), "2026-11-24T09:00:00.000Z");
        assert_eq!(json!(event.properties), json!({"total": 3}));
    }

    #[test]
    fn bad_item_is_named_and_the_others_are_taken() {
        let track = track(json!({"events": [
            {"external_id": "u", "name": "a", "time": "soon"},
            {"external_id": "u", "name": "b", "time": "2026-11-24"},
            {"name": "c", "time": "2026-11-24"},
        ]}))
        .expect("one is good");
        assert_eq!(track.events.usable.len(), 1);
        assert_eq!(track.events.usable[0].0, 1);
        let first = &track.events.errors[0];
        assert_eq!((&first["input_array"], &first["index"]), (&json!("events"), &json!(0)));
        assert!(first["type"].as_str().expect("text").starts_with("/events/0/time is not a time"));
        let second = json!({"type": "/events/2 'external_id' is required",
            "input_array": "events", "index": 2});
        assert_eq!(track.events.errors[1], second);
    }

    #[test]
    fn request_without_a_good_item_is_refused() {
        for body in [json!({}), json!({"attributes": []}), json!({"attributes": [{"a": 1}]})] {
            assert_eq!(track(body).expect_err("refused").message(), NOTHING_VALID);
        }
    }

    #[test]
    fn seventy_five_are_taken_and_no_more() {
        let read = |count| {
            let one = json!({"external_id": "u", "a": 1});
            track(json!({"attributes": vec![one; count]}))
        };
        assert_eq!(read(75).expect("taken").attributes.usable.len(), 75);
        let expected = "Max Input Length Exceeded: /attributes has 76; at most 75 are taken";
        assert_eq!(read(76).expect_err("too many").message(), expected);
    }

    #[test]
    fn what_is_out_of_scope_is_refused_by_name() {
        let purchase = json!({"attributes": [{"external_id": "u", "a": 1}],
            "purchases": [{"external_id": "u", "product_id": "p"}]});
        let error = track(purchase).expect_err("refused");
        assert!(error.message().starts_with("Bad Request: /purchases is out of scope"), "{error}");
        for (name, value) in [
            ("push_tokens", json!([{"token": "t"}])),
            ("subscription_groups", json!([{"subscription_state": "subscribed"}])),
            ("_merge_objects", json!(true)),
            ("braze_id", json!("b")),
        ] {
            let attributes = json!([{"external_id": "u", name: value}, {"external_id": "v"}]);
            let track = track(json!({ "attributes": attributes })).expect("one is good");
            let said = track.attributes.errors[0]["type"].as_str().expect("text").to_owned();
            assert!(said.starts_with(&format!("/attributes/0/{name} is out of scope")), "{said}");
        }
        let alias =
            json!({"attributes": [{"user_alias": {"alias_name": "n"}}, {"external_id": "u"}]});
        let track = track(alias).expect("one is good");
        assert!(track.attributes.errors[0]["type"].as_str().expect("text").contains("user_alias"));
    }
}
