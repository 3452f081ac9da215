//! `hostline hosts`: host actors as a table, one in full, and what operators ask of one.

mod detail;
mod view;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

pub(super) use self::view::{COLUMNS, HostView};
use super::confirm::confirm;
use super::output::{document, refuse, remark, say};
use super::server::{Server, ServerArgs, part, with_query};
use super::table::{Table, terminal_width};
use crate::clock::Clock;

const EXAMPLES: &str = "\
Examples:
  hostline hosts
      The host actors with the longest queues, each with its state and why
  hostline hosts --state cooling_down,backing_off,paused
  hostline hosts --sort name --limit 1000
      All hosts that were ever seen, those without an actor too
  hostline hosts shop.example
      One host in full: budget, in flight, attempts, lanes, and what it went through in a day
  hostline hosts pause shop.example --reason 'their maintenance until 15:00'
  hostline hosts purge shop.example
      Cancel all that is owed to it, after asking
  hostline hosts --json | jq -r '.data[] | select(.state != \"healthy\") | .host'

Sorted by: name, queued, waiting, in_flight, mailbox, age, attempts, dead, p99 and what else the
server names; with - before it the largest come first.

Exit codes: 0 done, 1 not confirmed, 2 refused by the server, or the server cannot be reached.";

/// Flags of `hosts`.
#[derive(Args, Debug)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct HostsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    look: LookArgs,
}

#[derive(Args, Debug)]
struct LookArgs {
    /// Show this host in full
    #[arg(conflicts_with_all = ["state", "sort", "search", "limit"])]
    name: Option<String>,
    /// Only those in one of these states (healthy, limited, backing_off, cooling_down, probing,
    /// paused, idle)
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Order, the largest first with - before it
    #[arg(long, value_name = "KEY", default_value = "-queued", allow_hyphen_values = true)]
    sort: String,
    /// Only those whose name has this in it
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Hosts to show
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Start no more sends to a host; what is owed to it waits
    Pause {
        /// Why, for whoever wonders later
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
        #[command(flatten)]
        wish: WishArgs,
    },
    /// End a pause and a drain
    Resume {
        #[command(flatten)]
        wish: WishArgs,
    },
    /// Deliver what is queued for a host, and refuse new triggers for it
    Drain {
        #[command(flatten)]
        wish: WishArgs,
    },
    /// Cancel all that is owed to a host, but what is being sent
    Purge {
        #[command(flatten)]
        wish: WishArgs,
    },
}

#[derive(Args, Debug)]
struct WishArgs {
    /// The host
    name: String,
    /// Do not ask; `purge` wants it wherever nobody can be asked
    #[arg(short, long)]
    yes: bool,
    /// Print the server's answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Action {
    fn wish(&self) -> &WishArgs {
        match self {
            Action::Pause { wish, .. }
            | Action::Resume { wish }
            | Action::Drain { wish }
            | Action::Purge { wish } => wish,
        }
    }

    fn verb(&self) -> &'static str {
        match self {
            Action::Pause { .. } => "pause",
            Action::Resume { .. } => "resume",
            Action::Drain { .. } => "drain",
            Action::Purge { .. } => "purge",
        }
    }
}

/// Runs the command.
pub fn run(args: &HostsArgs) -> ExitCode {
    let server = match &args.action {
        Some(action) => action.wish().server.open(),
        None => args.look.server.open(),
    };
    let result = server.and_then(|server| {
        actix_rt::System::new().block_on(async {
            match (&args.action, &args.look.name) {
                (Some(action), _) => wish(&server, action).await,
                (None, Some(name)) => show(&server, name, args.look.json).await,
                (None, None) => list(&server, &args.look).await,
            }
        })
    });
    match result {
        Ok(code) => code,
        Err(wrong) => refuse(&wrong),
    }
}

async fn list(server: &Server, args: &LookArgs) -> Result<ExitCode, String> {
    let (states, limit) = (args.state.join(","), args.limit.to_string());
    let path = with_query(
        "/v1/hosts",
        &[
            ("sort", Some(&args.sort)),
            ("state", (!states.is_empty()).then_some(&states)),
            ("q", args.search.as_deref()),
            ("limit", Some(&limit)),
        ],
    );
    let page = server.call("GET", &path, None).await?;
    if args.json {
        say(&document(&page));
        return Ok(ExitCode::SUCCESS);
    }
    let hosts: Vec<HostView> = server.read(&page["data"].to_string())?;
    if hosts.is_empty() {
        say(match args.sort.trim_start_matches('-') {
            "name" => "no such host\n",
            _ => "no such host actor lives; --sort name shows hosts without one too\n",
        });
        return Ok(ExitCode::SUCCESS);
    }
    let now = Clock::system().wall();
    let mut table = Table::new(COLUMNS);
    for host in &hosts {
        table.push(host.row(now));
    }
    say(&table.text(terminal_width()));
    if !page["next"].is_null() {
        remark(&format!("there are more than these {}: see --limit and --search", hosts.len()));
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(server: &Server, name: &str, as_json: bool) -> Result<ExitCode, String> {
    let raw = server.ask("GET", &format!("/v1/hosts/{}", part(name)), None).await?;
    if as_json {
        say(&document(&server.read(&raw)?));
        return Ok(ExitCode::SUCCESS);
    }
    let host: HostView = server.read(&raw)?;
    say(&host.in_full(Clock::system().wall(), terminal_width()));
    Ok(ExitCode::SUCCESS)
}

async fn wish(server: &Server, action: &Action) -> Result<ExitCode, String> {
    let WishArgs { name, yes, json: as_json, .. } = action.wish();
    let path = format!("/v1/hosts/{}", part(name));
    let question = match action {
        // What is lost is told before it is.
        Action::Purge { .. } => {
            let host = server.call("GET", &path, None).await?;
            format!("Cancel all {} deliveries owed to {name}?", host["waiting"])
        }
        Action::Pause { .. } => format!("Start no more sends to {name}?"),
        Action::Drain { .. } => format!("Refuse new triggers for {name}?"),
        Action::Resume { .. } => format!("Let sends to {name} go on?"),
    };
    // What can be taken back is asked about where somebody is there to answer, and nowhere else.
    let lasting = matches!(action, Action::Purge { .. });
    let unasked = *yes || (!lasting && !std::io::stdin().is_terminal());
    if !confirm(&question, unasked)? {
        remark("nothing was changed");
        return Ok(ExitCode::FAILURE);
    }
    let body = match action {
        Action::Pause { reason: Some(reason), .. } => Some(json!({ "reason": reason })),
        _ => None,
    };
    let answer = server.call("POST", &format!("{path}/{}", action.verb()), body).await?;
    say(&match as_json {
        true => document(&answer),
        false => done(name, action, &answer),
    });
    Ok(ExitCode::SUCCESS)
}

fn done(name: &str, action: &Action, answer: &Value) -> String {
    match action {
        Action::Pause { .. } => format!("{name} is paused\n"),
        Action::Resume { .. } => format!("{name} goes on\n"),
        Action::Drain { .. } => format!("{name} is drained: nothing new is taken\n"),
        Action::Purge { .. } => format!("{} deliveries to {name} cancelled\n", answer["purged"]),
    }
}
