//! The command line: what can be asked, and which settings the flags stand for.
//!
//! Exit codes: 0 done, 1 done with a bad outcome, 2 refused (settings, arguments, server).

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::config::{ConfigErrors, Flag, Loaded, Sources, load};

pub mod check;
pub mod demo;
mod follow;
pub mod logging;
pub mod send;
pub mod serve;

/// What was refused: settings, arguments, or a server that is not there.
pub const REFUSED: u8 = 2;

const EXAMPLES: &str = "\
Examples:
  hostline
      Run the server on 127.0.0.1:8080, keeping deliveries in ./data
  hostline send https://shop.example/hook --json '{\"order\": 7}'
      Hand one webhook to it, and watch until it is delivered
  hostline check
      Show every setting in force and where it came from
  hostline --config prod.toml --set retry.base=30s serve --shards 4
      Run with other settings; HOSTLINE__RETRY__BASE=30s does the same

Settings: config.toml in the working directory, then the environment, then flags.
The config.toml that comes with Hostline explains every key.";

/// Webhook delivery with one actor per destination host: paced, durable, explainable.
///
/// Without a command, `serve` runs.
#[derive(Debug, Parser)]
#[command(name = "hostline", version, after_help = EXAMPLES, subcommand_negates_reqs = true)]
pub struct Cli {
    #[command(flatten)]
    settings: SettingsArgs,
    #[command(flatten)]
    serve: serve::ServeArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Flags about settings that every command takes.
#[derive(Args, Debug)]
struct SettingsArgs {
    /// Read settings from FILE instead of ./config.toml
    #[arg(long, global = true, value_name = "FILE", help_heading = "Settings")]
    config: Option<PathBuf>,
    /// Override one setting, such as retry.base=30s (repeatable)
    #[arg(long, global = true, value_name = "KEY=VALUE", help_heading = "Settings")]
    #[arg(value_parser = parse_set)]
    set: Vec<SetFlag>,
    /// What to log: error, warn, info, debug, trace (log.level; RUST_LOG wins)
    #[arg(long, global = true, value_name = "LEVEL", help_heading = "Settings")]
    log_level: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server (also what a bare `hostline` does)
    Serve(serve::ServeArgs),
    /// Hand one webhook to a running server and watch its delivery
    Send(send::SendArgs),
    /// Run a receiver that shows the webhooks that reach it
    Listen,
    /// Show the engine at work against receivers of its own
    Demo(demo::DemoArgs),
    /// Validate the settings, and show those in force with their origins
    Check(check::CheckArgs),
}

/// One `--set`. It may hold a secret, so `Debug` shows the key alone.
#[derive(Clone)]
struct SetFlag {
    key: String,
    value: String,
}

impl std::fmt::Debug for SetFlag {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}=***", self.key)
    }
}

/// Parts key and value at the first `=` outside quotes (host names may be quoted).
fn parse_set(text: &str) -> Result<SetFlag, String> {
    let mut quoted = false;
    let equals = text.char_indices().find(|(_, sign)| {
        quoted ^= *sign == '"';
        *sign == '=' && !quoted
    });
    let (at, _) = equals.ok_or("there is no `=`; write section.key=value")?;
    Ok(SetFlag { key: text[..at].trim().into(), value: text[at + 1..].into() })
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let Cli { settings, serve: bare, command } = cli;
    match command.unwrap_or_else(|| Command::Serve(serve::ServeArgs::default())) {
        Command::Serve(args) => {
            let args = args.or(bare);
            with_settings(&settings, args.flags(), |loaded| serve::run(args, loaded))
        }
        Command::Check(args) => {
            let flags = args.serve.clone().or(bare).flags();
            check::run(&args, load(sources(&settings, flags)))
        }
        Command::Send(args) => {
            with_settings(&settings, bare.flags(), |_| send::run(args))
        }
        Command::Demo(args) => {
            with_settings(&settings, bare.flags(), |loaded| demo::run(args, loaded))
        }
        Command::Listen => absent("listen"),
    }
}
