//! The sources of settings, taken apart into single keys: the file, then the environment, then the
//! command line. Later ones win. Nothing is judged here but the form.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Value;
use toml::de::{DeTable, ValueDeserializer};

use super::keys::nearest;
use super::load::{Flag, Sources};
use super::problem::{Origin, Problem};
use crate::model::HostName;

/// Before the names of environment variables; two underscores part section and key.
const ENV_PREFIX: &str = "HOSTLINE__";
/// Variables that every program with OpenTelemetry reads, and our keys for them.
const OTEL_ENV: [(&str, &str); 2] =
    [("OTEL_EXPORTER_OTLP_ENDPOINT", "otel.endpoint"), ("OTEL_SERVICE_NAME", "otel.service_name")];

/// The segments of a dotted key.
pub(super) type KeyPath = Vec<String>;

/// One value as it was found. It may be a secret, so it has no `Debug`.
pub(super) struct Entry {
    pub(super) value: Value,
    /// What stood there before it was read as TOML; environment and flags only.
    pub(super) text: Option<String>,
    pub(super) origin: Origin,
}

/// What all sources together set.
#[derive(Default)]
pub(super) struct Layers {
    pub(super) entries: BTreeMap<KeyPath, Entry>,
    pub(super) problems: Vec<Problem>,
    /// The settings file, where there was one.
    pub(super) file: Option<PathBuf>,
}

impl Layers {
    pub(super) fn read(sources: &Sources) -> Self {
        let mut layers = Self::default();
        layers.read_file(sources);
        layers.read_otel_env(&sources.env);
        layers.read_env(&sources.env);
        layers.read_flags(&sources.flags);
        layers
    }

    fn read_file(&mut self, sources: &Sources) {
        let path = match &sources.file {
            Some(path) => path.clone(),
            None => sources.directory.join("config.toml"),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                let absent = error.kind() == std::io::ErrorKind::NotFound;
                if sources.file.is_some() || !absent {
                    let origin = Origin::Flag(format!("--config {}", path.display()));
                    let wrong = format!("the settings file cannot be read: {error}");
                    self.refuse(origin, String::new(), wrong, "name a readable file");
                }
                return;
            }
        };
        self.file = Some(path.clone());
        let (table, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let at = error.span().map_or(0, |span| span.start);
            let origin = Origin::File { path: path.clone(), line: line_of(&text, at) };
            // The message alone: the whole error quotes the line, which may hold a secret.
            let wrong = format!("this is not TOML: {}", error.message());
            self.refuse(origin, String::new(), wrong, "see https://toml.io for the syntax");
        }
        // What was made out of a broken file would only bring errors that are none.
        if errors.is_empty() {
            let source = FileText { path: &path, text: &text };
            self.read_table(&source, table.get_ref(), &mut Vec::new());
        }
    }

    fn read_table(&mut self, source: &FileText<'_>, table: &DeTable<'_>, above: &mut KeyPath) {
        for (name, value) in table {
            let origin = source.origin(name.span().start);
            above.push(name.get_ref().to_string());
            match value.get_ref().as_table() {
                Some(inner) if !inner.is_empty() => self.read_table(source, inner, above),
                _ => match Value::deserialize(ValueDeserializer::from(value.clone())) {
                    Ok(value) => self.add(above.clone(), Entry { value, text: None, origin }),
                    Err(error) => {
                        let wrong = format!("cannot be read: {}", error.message());
                        self.refuse(origin, show_path(above), wrong, "write a value of TOML");
                    }
                },
            }
            above.pop();
        }
    }

    /// What OpenTelemetry's own variables say. Where this build makes no traces they are meant for
    /// other programs.
    fn read_otel_env(&mut self, env: &[(String, String)]) {
        let known = OTEL_ENV.iter().filter(|_| cfg!(feature = "otel"));
        for (name, key) in known {
            let set = env.iter().find(|(other, text)| other == name && !text.is_empty());
            let Some((_, text)) = set else { continue };
            let path = key.split('.').map(String::from).collect();
            let origin = Origin::Env((*name).into());
            let value = Value::String(text.clone());
            self.add(path, Entry { value, text: Some(text.clone()), origin });
        }
    }

    fn read_env(&mut self, env: &[(String, String)]) {
        let ours = env.iter().filter_map(|(name, text)| {
            name.strip_prefix(ENV_PREFIX).map(|path| (name, path.to_lowercase(), text))
        });
        for (name, path, text) in ours {
            let origin = Origin::Env(name.clone());
            let mut path: KeyPath = path.split("__").map(String::from).collect();
            let leaf = path.last().and_then(|leaf| leaf.strip_suffix("_file"));
            let Some(leaf) = leaf.map(String::from) else {
                self.add(
                    path,
                    Entry { value: toml_or_text(text), text: Some(text.into()), origin },
                );
                continue;
            };
            path.pop();
            path.push(leaf);
            let twin = name[..name.len() - "_FILE".len()].to_string();
            if env.iter().any(|(other, _)| *other == twin) {
                let wrong = format!("is set by {twin} as well");
                self.refuse(origin, show_path(&path), wrong, "keep one of the two");
                continue;
            }
            match std::fs::read_to_string(text) {
                Ok(content) => {
                    let content = content.trim_end_matches(['\r', '\n']).to_string();
                    let value = toml_or_text(&content);
                    self.add(path, Entry { value, text: Some(content), origin });
                }
                Err(error) => {
                    let wrong = format!("cannot be read from the file {text:?}: {error}");
                    self.refuse(origin, show_path(&path), wrong, "name a readable file");
                }
            }
        }
    }

    fn read_flags(&mut self, flags: &[Flag]) {
        for flag in flags {
            let (origin, key, text) = match flag {
                Flag::Named { flag, key, value } => {
                    (Origin::Flag((*flag).into()), (*key).to_string(), value)
                }
                Flag::Set { key, value } => (Origin::Flag("--set".into()), key.clone(), value),
            };
            match parse_path(&key) {
                Some(path) => {
                    let value = toml_or_text(text);
                    self.add(path, Entry { value, text: Some(text.clone()), origin });
                }
                None => {
                    let right = "write section.key=value, names with dots in quotes";
                    self.refuse(origin, key, "is not a key".into(), right);
                }
            }
        }
    }

    /// Lays one value over what earlier sources said; tables are taken apart.
    fn add(&mut self, mut path: KeyPath, entry: Entry) {
        let empty = matches!(&entry.value, Value::Table(table) if table.is_empty());
        match entry.value {
            Value::Table(table) if !empty => {
                for (name, value) in table {
                    let mut inner = path.clone();
                    inner.push(name);
                    self.add(inner, Entry { value, text: None, origin: entry.origin.clone() });
                }
                return;
            }
            _ => {}
        }
        if let Some(name) = path.get(1).filter(|_| path[0] == "hosts") {
            match normalise_host(name) {
                Ok(name) => path[1] = name,
                Err(wrong) => {
                    let right = "name a host as in a URL, or \"*.suffix\" for all below it";
                    return self.refuse(entry.origin, show_path(&path), wrong, right);
                }
            }
        }
        let earlier = self.entries.get(&path).map(|earlier| &earlier.origin);
        if let (Some(Origin::File { line, .. }), Origin::File { .. }) = (earlier, &entry.origin) {
            let wrong =
                format!("is set in line {line} as well, where the name is written otherwise");
            return self.refuse(entry.origin, show_path(&path), wrong, "keep one of the two");
        }
        self.entries.insert(path, entry);
    }

    fn refuse(&mut self, origin: Origin, key: String, wrong: String, right: &str) {
        self.problems.push(Problem { origin, key, wrong, right: right.into() });
    }
}

/// A file's name and content, to tell the line of what was found.
struct FileText<'a> {
    path: &'a Path,
    text: &'a str,
}

impl FileText<'_> {
    fn origin(&self, at: usize) -> Origin {
        Origin::File { path: self.path.into(), line: line_of(self.text, at) }
    }
}

fn line_of(text: &str, at: usize) -> usize {
    let before = &text.as_bytes()[..at.min(text.len())];
    before.iter().filter(|byte| **byte == b'\n').count() + 1
}

/// Reads a value as TOML, else as a plain string.
fn toml_or_text(text: &str) -> Value {
    let parsed = ValueDeserializer::parse(text.trim()).and_then(Value::deserialize);
    parsed.unwrap_or_else(|_| Value::String(text.into()))
}

/// Takes a dotted key apart by TOML's rules: `hosts."shop.example".limits.burst`.
fn parse_path(key: &str) -> Option<KeyPath> {
    // A line break would let a second assignment in.
    if key.contains(['\n', '\r', '=', '#']) {
        return None;
    }
    let line = format!("{key} = 0");
    let document = DeTable::parse(&line).ok()?;
    let mut path = Vec::new();
    let mut table = document.get_ref();
    loop {
        let (name, value) = table.iter().next()?;
        path.push(name.get_ref().to_string());
        match value.get_ref().as_table() {
            Some(inner) => table = inner,
            None => return Some(path),
        }
    }
}

/// The form of a host name that the engine uses; `*.suffix` stays a pattern.
fn normalise_host(name: &str) -> Result<String, String> {
    let (star, bare) = match name.strip_prefix("*.") {
        Some(suffix) => ("*.", suffix),
        None => ("", name),
    };
    let parsed = HostName::parse(bare).filter(|_| !bare.contains(['*', ' ', '\\', '@']));
    let parsed = parsed.ok_or("does not name a host")?;
    if !star.is_empty() && parsed.without_port() != parsed.as_str() {
        return Err("has a port after a suffix, which stands for all ports".into());
    }
    Ok(format!("{star}{parsed}"))
}

/// A key as it is written in TOML. What looks like a secret in a name's place is left out.
pub(super) fn show_path(path: &[String]) -> String {
    let segments = path.iter().map(|segment| {
        let bare = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        match segment {
            _ if segment.contains("whsec_") || segment.contains("whsk_") => "\"***\"".to_string(),
            _ if !segment.is_empty() && segment.bytes().all(bare) => segment.clone(),
            _ => Value::String(segment.clone()).to_string(),
        }
    });
    segments.collect::<Vec<_>>().join(".")
}

/// What to write instead of an unknown key, in the form that its source wants.
pub(super) fn suggestion(origin: &Origin, path: &str) -> String {
    match (nearest(path), origin) {
        (Some(known), Origin::Env(_)) => {
            let name = known.to_uppercase().replace('.', "__");
            format!("did you mean {ENV_PREFIX}{name}? (`hostline check` lists all keys)")
        }
        (Some(known), _) => format!("did you mean {known}? (`hostline check` lists all keys)"),
        (None, _) => "`hostline check` without this setting lists all keys".into(),
    }
}
