//! From sources to settings. Every problem is found before any is reported, so that a person mends
//! the file once. The environment and the flags are passed in: nothing here reads the process.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use toml::Value;

use super::combine;
use super::keys::{Key, NAMED_SECTIONS, RULES, SETTINGS, paths};
use super::layers::{Entry, KeyPath, Layers, show_path, suggestion};
use super::problem::{ConfigErrors, Origin, Problem};
use super::slot::is_name;
use super::{Secret, Settings};

/// Where settings may come from.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--config FILE`: must exist.
    pub file: Option<PathBuf>,
    /// Otherwise `config.toml` is read from here, if it exists; empty is the working directory.
    pub directory: PathBuf,
    /// The environment.
    pub env: Vec<(String, String)>,
    /// The command line, in order; later flags win.
    pub flags: Vec<Flag>,
}

/// A setting on the command line.
#[derive(Clone)]
pub enum Flag {
    /// `--set section.key=value`.
    Set {
        /// Dotted, by TOML's rules.
        key: String,
        /// TOML, else a string.
        value: String,
    },
    /// A flag with a name of its own, such as `--listen`.
    Named {
        /// As it is written.
        flag: &'static str,
        /// The key that it sets.
        key: &'static str,
        /// TOML, else a string.
        value: String,
    },
}

/// Settings, and where each came from.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings, validated.
    pub settings: Settings,
    /// Every general key, and those of hosts and secrets that are set.
    pub origins: BTreeMap<String, Origin>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// One key and its value in force.
#[derive(Clone, Debug, PartialEq)]
pub struct Effective {
    /// The key, as it is written in TOML.
    pub key: String,
    /// The value; `"***"` for secrets.
    pub value: Value,
    /// What the key means, in a line.
    pub about: &'static str,
    /// Where the value came from.
    pub origin: Origin,
}

/// The setting whose default depends on another one.
const KEYS_REQUIRED: &str = "auth.keys_required";

/// Reads, merges and validates the settings.
pub fn load(sources: Sources) -> Result<Loaded, ConfigErrors> {
    let layers = Layers::read(&sources);
    let mut reading = Reading { problems: layers.problems, ..Reading::default() };
    // The general rules first: those of hosts are laid over them.
    let (hosts, general): (Vec<_>, Vec<_>) =
        layers.entries.iter().partition(|(path, _)| path[0] == "hosts");
    for (path, entry) in general {
        reading.read_general(path, entry);
    }
    for (path, entry) in hosts {
        reading.read_host(path, entry);
    }
    let (mut settings, origins) = (reading.settings, reading.origins);
    // Whoever lets other machines reach the server wants keys, unless he says otherwise.
    if !origins.contains_key(KEYS_REQUIRED) {
        let is_closed = combine::is_loopback(settings.server.listen) || settings.auth.open;
        settings.auth.keys_required = !is_closed;
    }
    let mut problems = reading.problems;
    problems.extend(combine::check(&settings, &origins, &reading.failed));
    if !problems.is_empty() {
        problems.sort_by_key(|problem| rank(&problem.origin));
        return Err(ConfigErrors(problems));
    }
    Ok(Loaded { settings, origins: with_defaults(origins), file: layers.file })
}

impl Loaded {
    /// Every key with its value in force, in the order of the manual; hosts and secrets last.
    pub fn effective(&self) -> Vec<Effective> {
        // The table hands out places to write to, so a copy is shown.
        let mut settings = self.settings.clone();
        let mut list = self.show_all(SETTINGS, &mut settings, "");
        list.extend(self.show_all(RULES, &mut settings.rules, ""));
        for (name, rules) in &mut settings.hosts {
            let prefix = show_path(&["hosts".into(), name.clone()]) + ".";
            let shown = self.show_all(RULES, rules, &prefix);
            list.extend(shown.into_iter().filter(|item| self.origins.contains_key(&item.key)));
        }
        for name in settings.secrets.keys() {
            let key = show_path(&["secrets".into(), name.clone()]);
            let (value, origin) = ("***".into(), self.origin(&key));
            list.push(Effective { key, value, about: "signing secret", origin });
        }
        list
    }

    fn show_all<S>(&self, keys: &[Key<S>], target: &mut S, prefix: &str) -> Vec<Effective> {
        let mut list = Vec::with_capacity(keys.len());
        for known in keys {
            let Some(value) = (known.slot)(target).show() else { continue };
            let key = format!("{prefix}{}", known.path);
            let origin = self.origin(&key);
            list.push(Effective { key, value, about: known.about, origin });
        }
        list
    }

    /// Where the value of a key came from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }
}

/// What has been read so far.
#[derive(Default)]
struct Reading {
    settings: Settings,
    origins: BTreeMap<String, Origin>,
    /// Keys with a problem of their own, which no combination is blamed on.
    failed: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Reading {
    fn read_general(&mut self, path: &KeyPath, entry: &Entry) {
        if path[0] == "secrets" && path.len() == 2 {
            return self.read_secret(path, entry);
        }
        // Dots inside a segment belong to the segment.
        let key = show_path(path);
        if let Some(known) = SETTINGS.iter().find(|known| known.path == key) {
            let result = set(known, &mut self.settings, entry);
            self.note(key, entry, result);
        } else if let Some(known) = RULES.iter().find(|known| known.path == key) {
            let result = set(known, &mut self.settings.rules, entry);
            self.note(key, entry, result);
        } else if !is_empty_section(path, entry) {
            self.unknown(key, &path.join("."), entry);
        }
    }

    fn read_secret(&mut self, path: &KeyPath, entry: &Entry) {
        let name = &path[1];
        let result = read_secrets(name, &entry.value);
        let result = result.map(|secrets| {
            self.settings.secrets.insert(name.clone(), secrets);
        });
        let right = "write \"whsec_\" and 24 to 64 bytes in base64, \"whsk_\" and an ed25519 key, \
                     or a list of these";
        self.note(show_path(path), entry, result.map_err(|wrong| (wrong, right.into())));
    }

    fn read_host(&mut self, path: &KeyPath, entry: &Entry) {
        let key = show_path(path);
        let (Some(name), rule) = (path.get(1), path.get(2..).unwrap_or_default()) else {
            if !is_empty_section(path, entry) {
                self.unknown(key, "hosts", entry);
            }
            return;
        };
        let rule_path = rule.join(".");
        let general = self.settings.rules.clone();
        let known = RULES.iter().find(|known| known.path == rule_path);
        match known {
            Some(known) => {
                let rules = self.settings.hosts.entry(name.clone()).or_insert(general);
                let result = set(known, rules, entry);
                self.note(key, entry, result);
            }
            // An empty table still says something: no longer pattern holds for this host.
            None if is_empty_section(path, entry) => {
                self.settings.hosts.entry(name.clone()).or_insert(general);
            }
            None if SETTINGS.iter().any(|known| known.path == rule_path) => {
                let wrong = "cannot be set for one host";
                let right = format!("set {rule_path} for all, outside [hosts]");
                self.note(key, entry, Err((wrong.into(), right)));
            }
            None => self.unknown(key, &rule_path, entry),
        }
    }

    fn unknown(&mut self, key: String, path: &str, entry: &Entry) {
        let mut inside = paths().filter(|known| known.starts_with(&format!("{path}.")));
        let problem = match inside.next() {
            Some(example) => ("is a section and takes no value".into(), format!("set {example}")),
            None if NAMED_SECTIONS.contains(&path) => {
                let right = format!("write [{path}.NAME], a name with dots in quotes");
                ("is a section and takes no value".into(), right)
            }
            None => ("is not a known key".into(), suggestion(&entry.origin, path)),
        };
        self.note(key, entry, Err(problem));
    }

    /// Keeps where a value came from, or what is wrong with it.
    fn note(&mut self, key: String, entry: &Entry, result: Result<(), (String, String)>) {
        let origin = entry.origin.clone();
        match result {
            Ok(()) => {
                self.origins.insert(key, origin);
            }
            Err((wrong, right)) => {
                self.failed.insert(key.clone());
                self.problems.push(Problem { origin, key, wrong, right });
            }
        }
    }
}

/// Sets one key; the error is what is wrong and what would be right.
fn set<S>(key: &Key<S>, target: &mut S, entry: &Entry) -> Result<(), (String, String)> {
    let right = (key.slot)(target).wants();
    let Err(wrong) = (key.slot)(target).set(&entry.value) else { return Ok(()) };
    // `HOSTLINE__STORE__PATH=2026` is a number to TOML, but a string was meant.
    if let Some(text) = entry.text.as_ref().filter(|_| !entry.value.is_str()) {
        let as_text = Value::String(text.clone());
        if (key.slot)(target).set(&as_text).is_ok() {
            return Ok(());
        }
    }
    Err((wrong, right))
}

/// Reads one secret or a list of them. No error repeats any part of a value.
fn read_secrets(name: &str, value: &Value) -> Result<Vec<Secret>, String> {
    if !is_name(name) || name == super::slot::NONE {
        return Err(
            "has a name of other than letters, digits, `-` and `_` (and not \"none\")".into()
        );
    }
    let items = match value {
        Value::Array(items) => items.as_slice(),
        one => std::slice::from_ref(one),
    };
    if items.is_empty() {
        return Err("is an empty list".into());
    }
    let mut secrets = Vec::with_capacity(items.len());
    for item in items {
        let text = item.as_str().ok_or("is not a string or a list of strings")?;
        secrets.push(super::parse_secret(text).map_err(|error| error.to_string())?);
    }
    Ok(secrets)
}

/// `[server]` with nothing in it sets nothing and is no fault.
fn is_empty_section(path: &KeyPath, entry: &Entry) -> bool {
    let empty = entry.value.as_table().is_some_and(toml::Table::is_empty);
    let inner = if path[0] == "hosts" { path.get(2..).unwrap_or_default() } else { &path[..] };
    let section = format!("{}.", inner.join("."));
    let known = inner.is_empty()
        || NAMED_SECTIONS.contains(&inner[0].as_str())
        || paths().any(|known| known.starts_with(&section));
    empty && known
}

/// Files by line, then the environment, then flags.
fn rank(origin: &Origin) -> (u8, usize) {
    match origin {
        Origin::File { line, .. } => (0, *line),
        Origin::Env(_) => (1, 0),
        Origin::Flag(_) => (2, 0),
        Origin::Default => (3, 0),
    }
}

fn with_defaults(mut origins: BTreeMap<String, Origin>) -> BTreeMap<String, Origin> {
    for path in paths() {
        origins.entry(path.into()).or_insert(Origin::Default);
    }
    origins
}

/// The names of all fixed keys, dotted, in the order of the manual.
pub fn known_keys() -> impl Iterator<Item = &'static str> {
    paths()
}
