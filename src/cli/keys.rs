//! `hostline keys` and `hostline workspaces`: API keys, workspaces and the audit log.
//!
//! While a server runs it is asked; while none does the store is opened here. So the first key is
//! made before the first start, and nobody needs a key to make one who may write the data directory.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::access::{Ask, Reach, answer};
use super::{SettingsArgs, refuse, say};
use crate::access::{NewKey, WorkspaceChange, check_text};

const EXAMPLES: &str = "\
Examples:
  hostline keys create --name admin --scope admin
      The first key, before the first start: opens the store in ./data by itself
  HOSTLINE_KEY=hl_… hostline keys create --name ci --scope triggers:write --expires 90d
      Asks the server that runs (at server.listen, or --url)
  KEY=$(hostline keys create --name ci --scope triggers:write)
      The key alone goes to standard output, what is said about it to standard error
  hostline keys rotate 0123456789abcdef --overlap 1h
      A new secret; the old one holds for another hour
  hostline keys check < key.txt
      Whether a key was copied without a slip, without asking anybody

Scopes: triggers:write, events:write, deliveries:read, deliveries:write, hosts:read, hosts:write,
compose:read, compose:write, recipients:read, recipients:write, reports:read, stats:read,
secrets:read, secrets:write, keys:write, admin (everything, in every workspace).

Exit codes: 0 done, 1 `check` found a slip, 2 refused.";

/// Flags of `keys`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct KeysArgs {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Debug, Subcommand)]
enum KeysCommand {
    /// Make a key, and show it this once
    Create(CreateArgs),
    /// List keys, without their secrets
    List(Reach),
    /// End a key at once, for ever
    Revoke {
        /// The key's id: the part between the underscores
        id: String,
        #[command(flatten)]
        reach: Reach,
    },
    /// Give a key a new secret, and show it this once
    Rotate {
        /// The key's id: the part between the underscores
        id: String,
        /// How long the old secret holds: 24h unless told otherwise, 0s for not at all
        #[arg(long, value_name = "DURATION")]
        overlap: Option<String>,
        #[command(flatten)]
        reach: Reach,
    },
    /// Read a key from standard input, and tell whether a letter of it is wrong
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show who changed keys, workspaces, hosts and secrets, newest first
    Audit {
        /// Entries to show
        #[arg(long, value_name = "N", default_value_t = 50)]
        #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
        #[command(flatten)]
        reach: Reach,
    },
}

#[derive(Args, Debug)]
struct CreateArgs {
    /// What to call it
    #[arg(long)]
    name: String,
    /// What it may do (repeatable)
    #[arg(long = "scope", value_name = "SCOPE", required = true, value_delimiter = ',')]
    scopes: Vec<String>,
    /// Its workspace, by name or number [default: default]
    #[arg(long, value_name = "NAME")]
    workspace: Option<String>,
    /// When it ends: a duration such as 90d, or an RFC 3339 time [default: never]
    #[arg(long, value_name = "WHEN")]
    expires: Option<String>,
    /// Requests a second [default: auth.requests_per_second]
    #[arg(long, value_name = "N")]
    requests_per_second: Option<f64>,
    /// Requests that may come at once after a pause [default: a second's worth]
    #[arg(long, value_name = "N", requires = "requests_per_second")]
    burst: Option<u32>,
    #[command(flatten)]
    reach: Reach,
}

/// Flags of `workspaces`.
#[derive(Args, Debug)]
pub struct WorkspacesArgs {
    #[command(subcommand)]
    command: WorkspacesCommand,
}

#[derive(Debug, Subcommand)]
enum WorkspacesCommand {
    /// Make a workspace
    Create(WorkspaceArgs),
    /// Change what holds for a workspace
    Change(WorkspaceArgs),
    /// List workspaces
    List(Reach),
}

#[derive(Args, Debug)]
struct WorkspaceArgs {
    /// Its name (to change it: or its number)
    name: String,
    /// A new name
    #[arg(long, value_name = "NAME")]
    rename: Option<String>,
    /// Its share of a host's sends next to those of other workspaces, 1 to 1000
    #[arg(long, value_name = "N")]
    weight: Option<u32>,
    /// Deliveries that may be owed at once, or none
    #[arg(long, value_name = "N")]
    max_pending: Option<String>,
    /// Triggers a second, or none
    #[arg(long, value_name = "N")]
    triggers_per_second: Option<String>,
    /// A host that it may send to, or *.suffix (repeatable; replaces the list)
    #[arg(long, value_name = "HOST")]
    allow_host: Option<Vec<String>>,
    /// A host that it may not send to, or *.suffix (repeatable; replaces the list)
    #[arg(long, value_name = "HOST")]
    deny_host: Option<Vec<String>>,
    #[command(flatten)]
    reach: Reach,
}

/// Runs `keys`.
pub(super) fn run(args: KeysArgs, settings: &SettingsArgs) -> ExitCode {
    let (ask, reach) = match args.command {
        KeysCommand::Check { json } => return check(json),
        KeysCommand::Create(args) => (Ask::CreateKey(new_key(&args)), args.reach),
        KeysCommand::List(reach) => (Ask::ListKeys, reach),
        KeysCommand::Revoke { id, reach } => (Ask::RevokeKey(id), reach),
        KeysCommand::Rotate { id, overlap, reach } => (Ask::RotateKey { id, overlap }, reach),
        KeysCommand::Audit { limit, reach } => (Ask::Audit(usize::from(limit)), reach),
    };
    finish(ask, &reach, settings)
}

/// Runs `workspaces`.
pub(super) fn run_workspaces(args: WorkspacesArgs, settings: &SettingsArgs) -> ExitCode {
    let result = match args.command {
        WorkspacesCommand::List(reach) => Ok((Ask::ListWorkspaces, reach)),
        WorkspacesCommand::Create(args) => change_of(&args).map(|change| {
            let name = Some(args.rename.unwrap_or(args.name));
            (Ask::CreateWorkspace(WorkspaceChange { name, ..change }), args.reach)
        }),
        WorkspacesCommand::Change(args) => change_of(&args).map(|change| {
            let change = WorkspaceChange { name: args.rename, ..change };
            (Ask::ChangeWorkspace { name: args.name, change }, args.reach)
        }),
    };
    match result {
        Ok((ask, reach)) => finish(ask, &reach, settings),
        Err(wrong) => refuse(&wrong),
    }
}

fn finish(ask: Ask, reach: &Reach, settings: &SettingsArgs) -> ExitCode {
    let result = answer(&ask, reach, settings);
    match (result, reach.json) {
        (Err(wrong), _) => return refuse(&wrong),
        (Ok(value), true) => say(&format!("{value:#}\n")),
        (Ok(value), false) => show(&ask, &value),
    }
    ExitCode::SUCCESS
}

fn new_key(args: &CreateArgs) -> NewKey {
    // Only a time has a `-` in it; what is neither is told by whoever reads it.
    let (expires_at, expires_in) =
        args.expires.clone().map_or((None, None), |text| match text.contains('-') {
            true => (Some(text), None),
            false => (None, Some(text)),
        });
    NewKey {
        name: args.name.clone(),
        scopes: args.scopes.clone(),
        workspace: args.workspace.clone(),
        expires_in,
        expires_at,
        requests_per_second: args.requests_per_second,
        burst: args.burst,
    }
}

fn change_of(args: &WorkspaceArgs) -> Result<WorkspaceChange, String> {
    Ok(WorkspaceChange {
        name: None,
        weight: args.weight,
        max_pending: number_or_none("--max-pending", args.max_pending.as_deref())?,
        triggers_per_second: number_or_none(
            "--triggers-per-second",
            args.triggers_per_second.as_deref(),
        )?,
        allow_hosts: args.allow_host.clone(),
        deny_hosts: args.deny_host.clone(),
    })
}

fn number_or_none<T: std::str::FromStr>(
    flag: &str,
    text: Option<&str>,
) -> Result<Option<Option<T>>, String> {
    match text {
        None => Ok(None),
        Some("none") => Ok(Some(None)),
        Some(text) => {
            let number = text.parse().map_err(|_| format!("{flag} is not a number or none"))?;
            Ok(Some(Some(number)))
        }
    }
}

fn check(as_json: bool) -> ExitCode {
    let mut text = zeroize::Zeroizing::new(String::new());
    if let Err(error) = std::io::stdin().read_line(&mut text) {
        return refuse(&format!("standard input cannot be read: {error}"));
    }
    let checked = check_text(text.trim());
    say(&match &checked {
        Ok(id) if as_json => format!("{}\n", json!({ "well_formed": true, "id": id })),
        Ok(id) => {
            format!("a well-formed key with the id {id}; whether it is live, a server knows\n")
        }
        Err(wrong) if as_json => {
            format!("{}\n", json!({ "well_formed": false, "wrong": wrong.to_string() }))
        }
        Err(wrong) => format!("the key {wrong}\n"),
    });
    if checked.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("-")
}

fn words(value: &Value) -> String {
    let words = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    words.collect::<Vec<_>>().join(",")
}

/// Shows an answer to people: a list a line each; of a new key the key alone on standard output.
fn show(ask: &Ask, value: &Value) {
    match ask {
        Ask::CreateKey(_) | Ask::RotateKey { .. } => {
            eprintln!("{}", key_line(value));
            if let Some(until) = value["old_secret_until"].as_str() {
                eprintln!("the old secret holds until {until}");
            }
            eprintln!("This is shown once, as Authorization: Bearer … it opens:");
            say(&format!("{}\n", text(value, "key")));
        }
        Ask::RevokeKey(_) => say(&format!("{}\n", key_line(value))),
        Ask::ListKeys => lines(value, key_line),
        Ask::Audit(_) => lines(value, |entry| {
            let from = entry["address"].as_str().map(|at| format!(" from {at}"));
            format!(
                "{} {}{} {} {} {}",
                text(entry, "at"),
                text(entry, "who"),
                from.unwrap_or_default(),
                text(entry, "action"),
                text(entry, "subject"),
                text(entry, "detail"),
            )
        }),
        Ask::ListWorkspaces => lines(value, workspace_line),
        Ask::CreateWorkspace(_) | Ask::ChangeWorkspace { .. } => {
            say(&format!("{}\n", workspace_line(value)));
        }
    }
}

fn lines(value: &Value, line: impl Fn(&Value) -> String) {
    let rows = value["data"].as_array().into_iter().flatten();
    let rows: Vec<String> = rows.map(|row| line(row).trim_end().to_owned() + "\n").collect();
    say(&if rows.is_empty() { "none\n".to_owned() } else { rows.concat() });
}

fn key_line(key: &Value) -> String {
    let expires = key["expires_at"].as_str().map(|at| format!(", expires {at}"));
    let used = key["last_used_at"].as_str().map(|at| format!(", last used {at}"));
    format!(
        "{} {} {:?} in {}: {}{}{}",
        text(key, "id"),
        text(key, "state"),
        text(key, "name"),
        text(key, "workspace"),
        words(&key["scopes"]),
        expires.unwrap_or_default(),
        used.unwrap_or_default(),
    )
}

fn workspace_line(workspace: &Value) -> String {
    let limit = |name: &str| match &workspace[name] {
        Value::Null => "none".to_owned(),
        number => number.to_string(),
    };
    format!(
        "{} {}: weight {}, max pending {}, triggers/s {}, allow [{}], deny [{}]",
        workspace["number"],
        text(workspace, "name"),
        workspace["weight"],
        limit("max_pending"),
        limit("triggers_per_second"),
        words(&workspace["allow_hosts"]),
        words(&workspace["deny_hosts"]),
    )
}
