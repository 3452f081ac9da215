//! What a filter looks at: borrowed JSON under a few roots.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// Names of one path. Deeper than any sensible JSON.
const NAMES_MAX: usize = 16;
/// Characters of a path.
const PATH_MAX: usize = 512;

/// Where a path begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Root {
    /// Properties of the trigger.
    Properties,
    /// Properties of the event.
    EventProperties,
    /// The recipient: `external_id`, and attributes at `attributes.x` or directly at `x`.
    Recipient,
    /// What a recipient brought into the canvas.
    EntryProperties,
    /// The last webhook step's answer: `status`, `body.x`, `delivered`.
    Response,
}

impl Root {
    const ALL: [Root; 5] = [
        Root::Properties,
        Root::EventProperties,
        Root::Recipient,
        Root::EntryProperties,
        Root::Response,
    ];

    /// The word of the documents.
    pub fn as_str(self) -> &'static str {
        match self {
            Root::Properties => "properties",
            Root::EventProperties => "event_properties",
            Root::Recipient => "recipient",
            Root::EntryProperties => "entry_properties",
            Root::Response => "response",
        }
    }
}

/// A vetted path such as `event_properties.items.0.price`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    root: Root,
    names: Vec<String>,
}

impl Path {
    /// Reads a path. The error says what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().count() > PATH_MAX {
            return Err(format!("is longer than {PATH_MAX} characters"));
        }
        let mut parts = text.split('.');
        let first = parts.next().unwrap_or_default();
        let Some(root) = Root::ALL.into_iter().find(|root| root.as_str() == first) else {
            let roots = Root::ALL.map(Root::as_str).join(", ");
            return Err(format!("begins with {first:?}; a path begins with one of {roots}"));
        };
        let names: Vec<String> = parts.map(str::to_owned).collect();
        if names.is_empty() || names.iter().any(String::is_empty) {
            return Err(format!("names no property; write {first}.NAME"));
        }
        if names.len() > NAMES_MAX {
            return Err(format!("has more than {NAMES_MAX} names"));
        }
        if root == Root::Response {
            match (names[0].as_str(), names.len()) {
                ("status" | "delivered", 1) | ("body", _) => {}
                _ => {
                    return Err("an answer has response.status, response.delivered and \
                                response.body.NAME"
                        .into());
                }
            }
        }
        Ok(Self { text: text.to_owned(), root, names })
    }

    /// Where it begins.
    pub fn root(&self) -> Root {
        self.root
    }
}

impl fmt::Display for Path {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Serialize for Path {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// What a webhook step's deliveries came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// Whether they were delivered (answered 2xx), all of them.
    pub delivered: bool,
    /// Status of the last answer; `None` when there was none (no connection, expired, cancelled).
    pub status: Option<u16>,
    /// Its body where it is JSON, a string where it is other text, else `null`.
    pub body: Value,
}

/// A recipient as filters see it.
#[derive(Clone, Copy, Debug)]
pub struct RecipientFacts<'a> {
    /// Who.
    pub external_id: &'a str,
    /// What is known.
    pub attributes: &'a Map<String, Value>,
}

/// All that a filter may look at. What is `None` has only absent properties.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Properties of the trigger.
    pub properties: Option<&'a Value>,
    /// Properties of the event.
    pub event_properties: Option<&'a Value>,
    /// The recipient.
    pub recipient: Option<RecipientFacts<'a>>,
    /// What the recipient brought into the canvas.
    pub entry_properties: Option<&'a Value>,
    /// The last webhook step's answer.
    pub response: Option<&'a Answer>,
}

impl<'a> Facts<'a> {
    /// The value at `path`; `None` when it is absent (`null` included).
    pub fn find(&self, path: &Path) -> Option<Cow<'a, Value>> {
        let names = path.names.as_slice();
        let found = match path.root {
            Root::Properties => descend(self.properties?, names).map(Cow::Borrowed),
            Root::EventProperties => descend(self.event_properties?, names).map(Cow::Borrowed),
            Root::EntryProperties => descend(self.entry_properties?, names).map(Cow::Borrowed),
            Root::Recipient => of_recipient(self.recipient?, names),
            Root::Response => of_answer(self.response?, names),
        };
        found.filter(|value| !value.is_null())
    }
}

fn of_recipient<'a>(recipient: RecipientFacts<'a>, names: &[String]) -> Option<Cow<'a, Value>> {
    let (first, rest) = names.split_first()?;
    let (name, deeper) = match first.as_str() {
        "external_id" if rest.is_empty() => {
            return Some(Cow::Owned(Value::from(recipient.external_id)));
        }
        "attributes" if !rest.is_empty() => rest.split_first()?,
        _ => (first, rest),
    };
    descend(recipient.attributes.get(name)?, deeper).map(Cow::Borrowed)
}

fn of_answer<'a>(answer: &'a Answer, names: &[String]) -> Option<Cow<'a, Value>> {
    let (first, rest) = names.split_first()?;
    match first.as_str() {
        "delivered" => Some(Cow::Owned(Value::from(answer.delivered))),
        "status" => Some(Cow::Owned(Value::from(answer.status?))),
        _ => descend(&answer.body, rest).map(Cow::Borrowed),
    }
}

fn descend<'a>(value: &'a Value, names: &[String]) -> Option<&'a Value> {
    names.iter().try_fold(value, |value, name| match value {
        Value::Object(fields) => fields.get(name),
        Value::Array(items) => items.get(name.parse::<usize>().ok()?),
        _ => None,
    })
}
