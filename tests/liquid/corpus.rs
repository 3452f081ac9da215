//! The templates of `tests/liquid/cases`, and what is expected of them.

use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

/// What a template comes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// It renders as this.
    Output(String),
    /// It is refused, when it is read or when it is rendered.
    Refused,
    /// It says that nothing is to be sent, and why if it says that.
    Aborted(Option<String>),
}

/// What one oracle said, as it stands in the files.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Unique within its subject.
    pub name: String,
    pub template: String,
    /// Its own variables, in place of those of its subject.
    data: Option<Value>,
    expected: Option<String>,
    refused: Option<bool>,
    /// The reason, or `true` where none is given.
    aborted: Option<Value>,
    /// Who says so.
    pub oracle: String,
    /// What others say who do not agree; null where they refuse.
    #[serde(default)]
    pub others: serde_json::Map<String, Value>,
    /// Why this one is believed.
    #[serde(default)]
    pub note: String,
}

impl Case {
    pub fn answer(&self) -> Answer {
        match (&self.expected, self.refused, &self.aborted) {
            (Some(output), None, None) => Answer::Output(output.clone()),
            (None, Some(true), None) => Answer::Refused,
            (None, None, Some(reason)) => Answer::Aborted(reason.as_str().map(str::to_owned)),
            _ => panic!("{} expects one thing, not {self:?}", self.name),
        }
    }

    /// What an oracle says about it, as far as the files tell.
    pub fn answer_of(&self, oracle: &str) -> Answer {
        match self.others.get(oracle) {
            None => self.answer(),
            Some(Value::String(output)) => Answer::Output(output.clone()),
            Some(_) => Answer::Refused,
        }
    }

    /// Oracles that know the dialect that it is written in.
    pub fn oracles(&self) -> &'static [&'static str] {
        match self.oracle.as_str() {
            "braze-docs" => &[],
            "brazejs" => &["brazejs"],
            _ => &["shopify-liquid", "python-liquid", "liquidjs"],
        }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// Variables of the cases that have none of their own.
    data: Value,
    cases: Vec<Case>,
}

/// Cases about one thing.
pub struct Subject {
    pub name: String,
    data: Value,
    pub cases: Vec<Case>,
}

impl Subject {
    pub fn data<'a>(&'a self, case: &'a Case) -> &'a Value {
        case.data.as_ref().unwrap_or(&self.data)
    }
}

/// All subjects, by name.
pub fn subjects() -> Vec<Subject> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/liquid/cases");
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).expect("readable");
        let file: File =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"));
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        Subject { name, data: file.data, cases: file.cases }
    };
    paths.iter().map(read).collect()
}
