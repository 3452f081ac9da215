//! `hostline check`: validates the settings and shows those in force, each with its origin.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::serve::ServeArgs;
use super::{REFUSED, refuse_settings, say};
use crate::config::{ConfigErrors, Effective, Loaded, Origin, Problem};

const EXAMPLES: &str = "\
Takes the flags of `serve`, and shows what it would run with. Secrets are shown as \"***\".

Examples:
  hostline check --config prod.toml
  hostline check --json | jq '.settings[] | select(.origin != \"default\")'

Exit codes: 0 the settings are right, 2 they are not (every problem is listed).";

/// Flags of `check`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CheckArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// The flags that `serve` would get.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// Shows what came of loading the settings.
pub fn run(args: &CheckArgs, result: Result<Loaded, ConfigErrors>) -> ExitCode {
    match (result, args.json) {
        (Ok(loaded), false) => say(&as_text(&loaded)),
        (Ok(loaded), true) => say(&as_json(&loaded)),
        (Err(errors), false) => return refuse_settings(&errors),
        (Err(errors), true) => {
            say(&problems_as_json(&errors));
            return ExitCode::from(REFUSED);
        }
    }
    ExitCode::SUCCESS
}

/// TOML with the origin of each value beside it, so that the output can be a settings file.
fn as_text(loaded: &Loaded) -> String {
    let file = match &loaded.file {
        Some(file) => file.display().to_string(),
        None => "none (no config.toml in the working directory)".into(),
    };
    let lines: Vec<(String, Effective)> = loaded
        .effective()
        .into_iter()
        .map(|item| (format!("{} = {}", item.key, item.value), item))
        .collect();
    // One long list of networks shall not push every origin out of sight.
    let lengths = lines.iter().map(|(line, _)| line.len()).filter(|length| *length <= 48);
    let width = lengths.max().unwrap_or(0);
    let mut text = format!("# settings file: {file}\n");
    for (line, item) in &lines {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line:width$}  # {} ({})", item.about, item.origin);
    }
    text
}

fn as_json(loaded: &Loaded) -> String {
    let settings: Vec<_> = loaded
        .effective()
        .into_iter()
        .map(|item| {
            let origin = item.origin.to_string();
            json!({ "key": item.key, "value": item.value, "origin": origin, "about": item.about })
        })
        .collect();
    let file = loaded.file.as_ref().map(|file| file.display().to_string());
    format!("{:#}\n", json!({ "file": file, "settings": settings }))
}

fn problems_as_json(errors: &ConfigErrors) -> String {
    let describe = |problem: &Problem| {
        let (file, line) = match &problem.origin {
            Origin::File { path, line } => (Some(path.display().to_string()), Some(*line)),
            _ => (None, None),
        };
        json!({
            "key": problem.key,
            "origin": problem.origin.to_string(),
            "file": file,
            "line": line,
            "wrong": problem.wrong,
            "right": problem.right,
        })
    };
    let problems: Vec<_> = errors.problems().iter().map(describe).collect();
    format!("{:#}\n", json!({ "errors": problems }))
}
