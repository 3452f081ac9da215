//! `[alerts]`: what is told of, and where to.

use toml::Value;

use super::slot::is_none;
use crate::model::{AlertKind, Target};

/// `[alerts]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alerts {
    /// Where alerts of the default workspace are sent as webhooks; `None` sends none.
    pub url: Option<String>,
    /// The kinds that are raised.
    pub kinds: Vec<AlertKind>,
    /// Errors of a host within 24 hours, past which they are told.
    pub errors_threshold: u64,
    /// The kinds that are raised at most once a day for each host.
    pub once_a_day: Vec<AlertKind>,
    /// Alerts of a kind in a workspace that are raised within a minute; more are counted.
    pub per_minute: u32,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            url: None,
            kinds: AlertKind::ALL.to_vec(),
            errors_threshold: 100_000,
            once_a_day: vec![AlertKind::EndpointErrors],
            per_minute: 60,
        }
    }
}

/// What would be right for a list of kinds.
pub(super) fn wants_kinds() -> String {
    let words = AlertKind::ALL.map(|kind| format!("{:?}", kind.as_str()));
    format!("write a list of {}; [] for none", words.join(", "))
}

pub(super) fn kinds(value: &Value) -> Result<Vec<AlertKind>, String> {
    let items = value.as_array().ok_or_else(|| format!("= {value} is not a list"))?;
    let kind = |item: &Value| {
        let kind = item.as_str().and_then(AlertKind::of_word);
        kind.ok_or_else(|| format!("has {item}, which is no kind of alert"))
    };
    items.iter().map(kind).collect()
}

pub(super) fn show_kinds(kinds: &[AlertKind]) -> Value {
    Value::Array(kinds.iter().map(|kind| Value::from(kind.as_str())).collect())
}

/// A URL in the form that it is sent to. Credentials would be shown with the settings.
pub(super) fn url(value: &Value) -> Result<Option<String>, String> {
    if is_none(value) {
        return Ok(None);
    }
    let text = value.as_str().ok_or("is not a string")?;
    let parsed = url::Url::parse(text).map_err(|_| "is not an absolute URL")?;
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("has a user name or password, which does not belong in it".into());
    }
    let target = Target::from_vetted(parsed.as_str());
    target.ok_or("is not a URL of http or https without a fragment")?;
    Ok(Some(parsed.into()))
}
