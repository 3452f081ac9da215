//! The recipes that come with Hostline: the files of `examples/recipes`, built in, so that a binary
//! alone can show and play them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

/// Each file by its name, in the order in which they are listed.
const FILES: [(&str, &str); 9] = [
    ("unsubscribe-crm", include_str!("../../../examples/recipes/unsubscribe-crm.json")),
    ("messenger", include_str!("../../../examples/recipes/messenger.json")),
    ("line", include_str!("../../../examples/recipes/line.json")),
    ("lob-postcard", include_str!("../../../examples/recipes/lob-postcard.json")),
    ("game-reward", include_str!("../../../examples/recipes/game-reward.json")),
    ("airline-discount", include_str!("../../../examples/recipes/airline-discount.json")),
    ("salesforce-sign-in", include_str!("../../../examples/recipes/salesforce-sign-in.json")),
    ("twilio-sms", include_str!("../../../examples/recipes/twilio-sms.json")),
    ("own-api", include_str!("../../../examples/recipes/own-api.json")),
];

/// A use case: what is composed, what happens, and what a receiver gets of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Also the name of its file.
    pub name: String,
    /// What it is an example of.
    pub use_case: String,
    /// A sentence on what it does.
    pub about: String,
    /// What to put in place of the made-up parts, such as tokens, to use it in earnest.
    pub replace: BTreeMap<String, String>,
    /// A host that stands for the server itself.
    pub own_host: Option<String>,
    /// What is created, and launched, in this order.
    pub documents: Vec<Document>,
    /// Attributes to write first, as `/users/track` takes them.
    pub profiles: Vec<Value>,
    /// What the receiver answers to everything; 200 and `{}` when absent.
    pub answer: Option<Answer>,
    /// What happens then, one call after the other.
    pub play: Vec<Call>,
    /// What comes of it, and nothing else.
    pub expect: Expect,
}

/// A document as it is created.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Document {
    /// A template.
    Template(Value),
    /// A campaign.
    Campaign(Value),
    /// A canvas.
    Canvas(Value),
}

/// An answer of the receiver.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// 200 to 599.
    pub status: u16,
    /// As JSON.
    pub body: Value,
}

/// A call of the server's API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// The path.
    pub post: String,
    /// As JSON.
    pub body: Value,
    /// How often, one after the other.
    #[serde(default = "once")]
    pub times: usize,
}

/// What comes of a recipe.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// What the receiver gets, in any order; nothing else may come.
    pub requests: Vec<Wanted>,
    /// What the activity log has, in any order; nothing else may stand there.
    #[serde(default)]
    pub activity: Vec<WantedActivity>,
    /// By the name of a campaign or canvas: some of the counts of its report.
    #[serde(default)]
    pub counts: BTreeMap<String, BTreeMap<String, i64>>,
    /// By external id: some of the attributes that the recipient has in the end.
    #[serde(default)]
    pub profiles: BTreeMap<String, Map<String, Value>>,
}

/// A request that the receiver gets.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// In upper case.
    pub method: String,
    /// Of the real service.
    pub url: String,
    /// Those that matter; names in lower case.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body, where it is JSON.
    pub json: Option<Value>,
    /// The body, where it is text.
    pub text: Option<String>,
    /// How often.
    #[serde(default = "once")]
    pub times: usize,
}

/// An entry of the activity log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedActivity {
    /// Such as `aborted`.
    pub kind: String,
    /// Whom it is about.
    pub recipient: String,
    /// What its words contain.
    pub detail: String,
    /// How often.
    #[serde(default = "once")]
    pub times: usize,
}

fn once() -> usize {
    1
}

/// The names of all recipes.
pub fn names() -> impl Iterator<Item = &'static str> {
    FILES.iter().map(|(name, _)| *name)
}

/// The text of a recipe's file.
pub fn source(name: &str) -> Option<&'static str> {
    FILES.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}

impl Recipe {
    /// The recipe with this name.
    pub fn named(name: &str) -> Result<Self, String> {
        let text = source(name).ok_or_else(|| {
            let known: Vec<&str> = names().collect();
            format!("there is no recipe {name:?}; there are {}", known.join(", "))
        })?;
        Self::parse(text).map_err(|why| format!("recipe {name}: {why}"))
    }

    /// Reads a recipe.
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

impl Document {
    /// What it is, in a word.
    pub fn kind(&self) -> &'static str {
        match self {
            Document::Template(_) => "template",
            Document::Campaign(_) => "campaign",
            Document::Canvas(_) => "canvas",
        }
    }

    /// Where the API has its kind.
    pub fn path(&self) -> &'static str {
        match self {
            Document::Template(_) => "/v1/templates",
            Document::Campaign(_) => "/v1/campaigns",
            Document::Canvas(_) => "/v1/canvases",
        }
    }

    /// The document itself.
    pub fn value(&self) -> &Value {
        match self {
            Document::Template(value) | Document::Campaign(value) | Document::Canvas(value) => {
                value
            }
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.value()["name"].as_str().unwrap_or_default()
    }

    /// The webhooks that are written out in it.
    pub fn webhooks(&self) -> Vec<&Value> {
        let mut found = Vec::new();
        gather(self.value(), &mut found);
        found
    }

    /// The document with each webhook's URL put through `map`.
    pub fn with_urls(&self, map: &dyn Fn(&str) -> String) -> Value {
        let mut value = self.value().clone();
        replace(&mut value, map);
        value
    }
}

/// The fields under which webhooks stand. Bodies are not looked into: what is called `url` there is
/// somebody else's.
const CARRIERS: [&str; 4] = ["webhook", "webhooks", "variants", "steps"];

fn gather<'a>(value: &'a Value, found: &mut Vec<&'a Value>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| gather(item, found)),
        Value::Object(fields) if fields.contains_key("url") => found.push(value),
        Value::Object(fields) => {
            for name in CARRIERS {
                fields.get(name).into_iter().for_each(|field| gather(field, found));
            }
        }
        _ => {}
    }
}

fn replace(value: &mut Value, map: &dyn Fn(&str) -> String) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| replace(item, map)),
        Value::Object(fields) => match fields.get_mut("url") {
            Some(Value::String(url)) => *url = map(url),
            _ => {
                for name in CARRIERS {
                    fields.get_mut(name).into_iter().for_each(|field| replace(field, map));
                }
            }
        },
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_recipe_can_be_read_and_bears_the_name_of_its_file() {
        for name in names() {
            assert_eq!(Recipe::named(name).expect("a recipe").name, name);
        }
        let wrong = Recipe::named("pigeon").expect_err("no such recipe");
        assert!(wrong.contains("twilio-sms"), "{wrong}");
    }

    #[test]
    fn urls_of_webhooks_are_replaced_and_those_in_bodies_are_not() {
        let webhook = |url: &str| json!({"url": url, "body": {"url": "https://b", "steps": []}});
        let document = Document::Canvas(json!({
            "name": "c",
            "steps": [
                {"id": "a", "type": "webhook", "webhooks": [webhook("https://a"), {"template": "t"}]},
                {"id": "b", "type": "exit"}
            ]
        }));
        assert_eq!(document.webhooks(), [&webhook("https://a")]);
        let mapped = document.with_urls(&|url| format!("{url}/mapped"));
        assert_eq!(mapped["steps"][0]["webhooks"][0], webhook("https://a/mapped"));
        assert_eq!(mapped["steps"][0]["webhooks"][1], json!({"template": "t"}));
    }
}
