//! What a template can see: the roots, by reference, under our names and under Braze's.

use serde_json::Value as Json;

use super::value::Value;
use crate::model::Timestamp;

/// What a missing variable does where it is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// An error in a URL, where `/users//orders` would mean something else; nothing elsewhere.
    #[default]
    Usual,
    /// Prints nothing, anywhere.
    Empty,
    /// Is an error that names it, anywhere.
    Error,
}

/// The values of one rendering. What is `None` is nil in the template.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// `properties`, also `api_trigger_properties`: what the trigger brought.
    pub properties: Option<&'a Json>,
    /// `event_properties`: what the event brought.
    pub event_properties: Option<&'a Json>,
    /// `recipient.external_id`, also `${user_id}`.
    pub external_id: Option<&'a str>,
    /// `recipient.attributes`, also `recipient.x`, `custom_attribute.${x}` and `${x}`: an object.
    pub attributes: Option<&'a Json>,
    /// `entry_properties`, also `canvas_entry_properties` and `context`: with what a canvas was
    /// entered.
    pub entry_properties: Option<&'a Json>,
    /// `campaign`: an object with `name`, `api_id`, `dispatch_id`.
    pub campaign: Option<&'a Json>,
    /// `canvas`: an object with `name`, `api_id`.
    pub canvas: Option<&'a Json>,
    /// `response`: the answer to the webhook of an earlier step.
    pub response: Option<&'a Json>,
    /// `now`, also `'now' | date: …`.
    pub now: Timestamp,
    /// What a missing variable does.
    pub missing: Missing,
}

impl Scope<'_> {
    /// A scope with nothing in it but the time.
    pub fn at(now: Timestamp) -> Self {
        Self {
            properties: None,
            event_properties: None,
            external_id: None,
            attributes: None,
            entry_properties: None,
            campaign: None,
            canvas: None,
            response: None,
            now,
            missing: Missing::default(),
        }
    }
}

/// A root by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    Properties,
    EventProperties,
    Recipient,
    Attributes,
    EntryProperties,
    Campaign,
    Canvas,
    Response,
    Now,
}

impl Root {
    /// The root that `name` stands for, in our words or Braze's.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "properties" | "api_trigger_properties" => Root::Properties,
            "event_properties" => Root::EventProperties,
            "recipient" => Root::Recipient,
            "custom_attribute" => Root::Attributes,
            "entry_properties" | "canvas_entry_properties" | "context" => Root::EntryProperties,
            "campaign" => Root::Campaign,
            "canvas" => Root::Canvas,
            "response" => Root::Response,
            "now" => Root::Now,
            _ => return None,
        })
    }
}

impl<'a> Scope<'a> {
    /// The value of a root; `recipient` as a whole is put together.
    pub(super) fn root(&self, root: Root) -> Value<'a> {
        let json = match root {
            Root::Properties => self.properties,
            Root::EventProperties => self.event_properties,
            Root::Attributes => self.attributes,
            Root::EntryProperties => self.entry_properties,
            Root::Campaign => self.campaign,
            Root::Canvas => self.canvas,
            Root::Response => self.response,
            Root::Recipient => return self.recipient(),
            Root::Now => return Value::built(self.now.to_string()),
        };
        json.map_or(Value::Nil, Value::of_json)
    }

    fn recipient(&self) -> Value<'a> {
        if self.external_id.is_none() && self.attributes.is_none() {
            return Value::Nil;
        }
        let external_id = self.external_id.map_or(Value::Nil, Value::borrowed);
        let attributes = self.attributes.map_or(Value::Nil, Value::of_json);
        let fields = vec![("external_id".into(), external_id), ("attributes".into(), attributes)];
        Value::Map(std::rc::Rc::new(fields))
    }

    /// `recipient.key`.
    pub(super) fn of_recipient(&self, key: &str) -> Value<'a> {
        match key {
            "external_id" => self.external_id.map_or(Value::Nil, Value::borrowed),
            "attributes" => self.root(Root::Attributes),
            other => self.attribute(other),
        }
    }

    /// `${name}`.
    pub(super) fn profile(&self, name: &str) -> Value<'a> {
        match name {
            "user_id" | "external_id" => self.external_id.map_or(Value::Nil, Value::borrowed),
            other => self.attribute(other),
        }
    }

    fn attribute(&self, name: &str) -> Value<'a> {
        match self.attributes {
            Some(Json::Object(attributes)) => {
                attributes.get(name).map_or(Value::Nil, Value::of_json)
            }
            _ => Value::Nil,
        }
    }
}
