//! The command line: what can be asked, and which settings the flags stand for.
//!
//! Exit codes: 0 done, 1 done with a bad outcome, 2 refused (settings, arguments, server).

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use self::output::{ColorArg, refuse, say};
use crate::config::{ConfigErrors, Flag, Loaded, Sources, load};

mod access;
pub mod bench;
pub mod check;
mod confirm;
pub mod demo;
mod follow;
pub mod hosts;
pub mod keys;
pub mod listen;
pub mod logging;
mod output;
pub mod pages;
pub mod receiver;
pub mod recipe;
pub mod redrive;
pub mod secrets;
pub mod send;
pub mod serve;
mod server;
mod table;
pub mod tail;
pub mod top;
pub mod why;

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
  hostline top
      Watch the hosts: which hurt, why, and until when
  hostline why 01987d2f-5b6a-7c00-8000-0123456789ab
      Where is my webhook?
  hostline --config prod.toml --set retry.base=30s serve --shards 4
      Run with other settings; HOSTLINE__RETRY__BASE=30s does the same

Commands that ask a running server take --server (HOSTLINE_SERVER), --key-file or --key
(HOSTLINE_KEY), and --ca for a private root; http and https are spoken. Commands that read take
--json. Colours are for terminals alone (NO_COLOR, CLICOLOR, --color).

Exit codes: 0 done, 1 done with a bad outcome, 2 refused (settings, arguments, server).

Settings: config.toml in the working directory, then the environment, then flags.
The config.toml that comes with Hostline explains every key.";

/// Webhook delivery with one actor per destination host: paced, durable, explainable.
///
/// Without a command, `serve` runs.
#[derive(Debug, Parser)]
#[command(name = "hostline", version, after_help = EXAMPLES)]
pub struct Cli {
    #[command(flatten)]
    settings: SettingsArgs,
    /// Colours: auto is on a terminal unless NO_COLOR or CLICOLOR=0 says otherwise
    #[arg(long, global = true, value_name = "WHEN", value_enum, default_value = "auto")]
    #[arg(help_heading = "Output")]
    color: ColorArg,
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
    /// Show host actors: state, why, until when, budget, queue; pause, resume, drain or purge one
    Hosts(hosts::HostsArgs),
    /// Watch host actors and totals live, full screen
    Top(top::TopArgs),
    /// Print deliveries as they end
    Tail(tail::TailArgs),
    /// Say where a delivery is, why, when it goes, and what to do next
    Why(why::WhyArgs),
    /// Send dead letters again, by id or by filter
    Redrive(redrive::RedriveArgs),
    /// Cancel what is owed, by id or by filter
    Cancel(redrive::CancelArgs),
    /// Run a receiver that shows the webhooks that reach it
    Listen(listen::ListenArgs),
    /// Show the engine at work against receivers of its own
    Demo(demo::DemoArgs),
    /// Store, list, rotate and delete secrets and credentials
    Secrets(secrets::SecretsArgs),
    /// List, show and play compositions for common use cases
    Recipe(recipe::RecipeArgs),
    /// Measure a server of its own under load
    Bench(Box<bench::BenchArgs>),
    /// The driver process of `bench`
    #[command(hide = true)]
    BenchDriver(bench::DriverArgs),
    /// The sink process of `bench`
    #[command(hide = true)]
    BenchSink(bench::SinkArgs),
    /// Make, list, rotate and revoke API keys, and show the audit log
    Keys(keys::KeysArgs),
    /// Make, change and list workspaces
    Workspaces(keys::WorkspacesArgs),
    /// Print the API document (OpenAPI 3.1)
    Openapi,
    /// Validate the settings, and show those in force with their origins
    Check(check::CheckArgs),
    /// Print completions for a shell
    Completions(pages::CompletionsArgs),
    /// Print the manual page, or write those of all commands
    Man(pages::ManArgs),
}

/// One `--set`. It may hold a secret, so `Debug` shows nothing of it, and so does the parser.
#[derive(Clone)]
struct SetFlag(String);

impl From<&str> for SetFlag {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Debug for SetFlag {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl SetFlag {
    /// Parts key and value at the first `=` outside quotes; `None` when there is none.
    fn parts(&self) -> Option<(&str, &str)> {
        let mut quoted = false;
        let equals = self.0.char_indices().find(|(_, sign)| {
            quoted ^= *sign == '"';
            *sign == '=' && !quoted
        });
        let (at, _) = equals?;
        Some((self.0[..at].trim(), &self.0[at + 1..]))
    }
}

impl SettingsArgs {
    /// The `--set` flags as they were given, for a server that is started with them.
    fn texts(&self) -> Vec<String> {
        self.set.iter().map(|set| set.0.clone()).collect()
    }

    /// Everything that settings come from. Flags with a name of their own win over `--set`.
    fn sources(&self, named: Vec<Flag>) -> Result<Sources, String> {
        let mut flags = Vec::new();
        for set in &self.set {
            let (key, value) = set.parts().ok_or("--set without `=`; write section.key=value")?;
            flags.push(Flag::Set { key: key.into(), value: value.into() });
        }
        flags.extend(named);
        if let Some(level) = &self.log_level {
            flags.push(named_flag("--log-level", "log.level", level));
        }
        let text = |part: OsString| part.to_string_lossy().into_owned();
        let env = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Ok(Sources { file: self.config.clone(), directory: PathBuf::new(), env, flags })
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let Cli { settings, color, serve, command } = Cli::parse();
    color.apply();
    match command {
        None => with_settings(&settings, serve, serve::run),
        Some(Command::Serve(args)) => with_settings(&settings, args.or(serve), serve::run),
        Some(Command::Check(args)) => {
            match settings.sources(args.serve.clone().or(serve).flags()) {
                Ok(sources) => check::run(&args, load(sources)),
                Err(wrong) => refuse(&wrong),
            }
        }
        Some(_) if !serve.flags().is_empty() => {
            refuse("--listen, --data and --shards belong to `serve` and `check`")
        }
        Some(Command::Send(args)) => send::run(&args),
        Some(Command::Hosts(args)) => hosts::run(&args),
        Some(Command::Top(args)) => top::run(args),
        Some(Command::Tail(args)) => tail::run(&args),
        Some(Command::Why(args)) => why::run(&args),
        Some(Command::Redrive(args)) => redrive::run(&args),
        Some(Command::Cancel(args)) => redrive::run_cancel(&args),
        Some(Command::Completions(args)) => pages::run_completions(&args),
        Some(Command::Man(args)) => pages::run_man(&args),
        Some(Command::Secrets(args)) if args.is_offline() => {
            with_settings(&settings, serve, secrets::reseal)
        }
        Some(Command::Secrets(args)) => secrets::run(&args),
        Some(Command::Demo(args)) => demo::run(&args),
        Some(Command::Recipe(args)) => recipe::run(&args),
        Some(Command::Bench(args)) => bench::run(&args, &settings.texts()),
        Some(Command::BenchDriver(args)) => bench::drive(&args),
        Some(Command::BenchSink(args)) => bench::sink(&args),
        Some(Command::Keys(args)) => keys::run(args, &settings),
        Some(Command::Workspaces(args)) => keys::run_workspaces(args, &settings),
        Some(Command::Listen(args)) => listen::run(args),
        Some(Command::Openapi) => {
            print!("{}", crate::api::document::text());
            ExitCode::SUCCESS
        }
    }
}

/// Loads the settings, starts logging and runs what needs both.
fn with_settings(
    settings: &SettingsArgs,
    serve: serve::ServeArgs,
    run: impl FnOnce(Loaded) -> ExitCode,
) -> ExitCode {
    let sources = match settings.sources(serve.flags()) {
        Ok(sources) => sources,
        Err(wrong) => return refuse(&wrong),
    };
    match load(sources) {
        Ok(loaded) => {
            logging::init(&loaded.settings.log);
            run(loaded)
        }
        Err(errors) => refuse_settings(&errors),
    }
}

fn refuse_settings(errors: &ConfigErrors) -> ExitCode {
    for problem in errors.problems() {
        eprintln!("error: {problem}");
    }
    ExitCode::from(REFUSED)
}

fn named_flag(flag: &'static str, key: &'static str, value: &str) -> Flag {
    Flag::Named { flag, key, value: value.into() }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serve_flags_hold_with_and_without_the_command() {
        for line in [
            &["hostline", "--listen", "127.0.0.1:1", "--shards", "2"][..],
            &["hostline", "serve", "--listen", "127.0.0.1:1", "--shards", "2"],
            &["hostline", "--listen", "127.0.0.1:1", "serve", "--shards", "2"],
        ] {
            let cli = Cli::try_parse_from(line).expect("a right command line");
            let args = match cli.command {
                Some(Command::Serve(args)) => args.or(cli.serve),
                _ => cli.serve,
            };
            assert_eq!(args.listen.as_deref(), Some("127.0.0.1:1"));
            assert_eq!(args.shards.as_deref(), Some("2"));
        }
    }

    #[test]
    fn global_flags_may_stand_on_either_side() {
        for line in [["hostline", "--config", "a", "check"], ["hostline", "check", "--config", "a"]]
        {
            let cli = Cli::try_parse_from(line).expect("a right command line");
            assert_eq!(cli.settings.config, Some("a".into()));
        }
    }

    #[test]
    fn set_is_parted_at_the_first_equals_sign_outside_quotes() {
        let parts = |text: &str| {
            let set = SetFlag::from(text);
            set.parts().map(|(key, value)| (key.to_string(), value.to_string()))
        };
        assert_eq!(parts("a.b=c=d"), Some(("a.b".into(), "c=d".into())));
        assert_eq!(parts("hosts.\"a=b\".c=1"), Some(("hosts.\"a=b\".c".into(), "1".into())));
        assert_eq!(parts("a.b"), None);
        assert_eq!(format!("{:?}", SetFlag::from("secrets.a=x")), "***");
    }
}
