//! `hostline bench`: bounded load from a driver process to a server process to a sink process, all
//! on loopback, and what it came to. Absolute figures are those of the machine; two runs of one
//! command are to be compared as a ratio.

mod campaign;
mod driver;
mod figures;
mod overload;
mod plot;
mod process;
mod quantiles;
mod run;
mod show;
mod sink;
mod wire;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

pub use driver::DriverArgs;
pub use sink::SinkArgs;

use super::receiver::LimitHeaders;
use super::{refuse, say};
use crate::config::units::{parse_duration, parse_size};
use run::{Load, Outcome, measure};

/// Runs without keys, and as many with.
const KEY_TURNS: usize = 3;
const EXAMPLES: &str = "\
Examples:
  hostline bench
      100,000 triggers to one host as fast as 64 connections carry them
  hostline bench --hosts 100
      The same over 100 hosts
  hostline bench --rate 1000 --duration 20s
      1,000 triggers a second: the latencies that a quiet server has
  hostline bench --hang 10%
      Every tenth trigger to a host that never answers; beside the same without
  hostline bench --limit 100 --triggers 2000 --limit-headers retry-after
      A receiver with a token bucket, which answers 429 beyond it
  hostline bench --backlog 1000000
      A million deliveries wait for a dead host first; beside the same without
  hostline bench --hosts 100000 --triggers 100000 --until-idle
  hostline bench --campaign
      A campaign triggered by the API for 50 recipients a call; beside plain triggers
  hostline bench --overload
      Three times what the server takes, for a minute; beside the same server unloaded
  hostline bench --overload --obey
      And then a crowd that comes again when Retry-After says so
  hostline bench --figures
      Every case of docs/performance.md, with what it is to reach

It starts a server of its own (settings: --set) and removes its data afterwards. Exit codes: 0 done,
1 something that was accepted did not arrive, or a figure was not reached; 2 it could not be run.";

/// Connections where none are asked for.
const CONNECTIONS: usize = 64;
/// Bytes of a body where none are asked for.
const SIZE: u64 = 1 << 10;

/// Flags of `bench`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct BenchArgs {
    /// Triggers to send
    #[arg(long, value_name = "N", help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=100_000_000))]
    triggers: Option<u32>,
    /// Send until this has passed
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, help_heading = "Load")]
    duration: Option<Duration>,
    /// Different destination hosts
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    hosts: u32,
    /// Connections, each with one request under way [default: 64, 512 for an overload]
    #[arg(long, value_name = "N", help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=16_384))]
    connections: Option<u32>,
    /// Bytes of each JSON body [default: 1KiB, 400B with --campaign]
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Load")]
    size: Option<u64>,
    /// Triggers a second, evenly [default: as fast as answers come]
    #[arg(long, value_name = "N", help_heading = "Load")]
    #[arg(value_parser = parse_positive)]
    rate: Option<f64>,
    /// Triggers of one request; more than one go as NDJSON
    #[arg(long, value_name = "N", default_value_t = 1, help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Give each trigger two pairs of metadata
    #[arg(long, help_heading = "Load")]
    metadata: bool,
    /// Share of the triggers that go to a host that never answers, such as 10%
    #[arg(long, value_name = "SHARE", value_parser = parse_share, help_heading = "Load")]
    hang: Option<f64>,
    /// Requests a second that the receiver allows
    #[arg(long, value_name = "RATE", value_parser = parse_limit, help_heading = "Load")]
    limit: Option<String>,
    /// Headers that tell of --limit
    #[arg(long, value_name = "WHICH", default_value = "x-ratelimit", help_heading = "Load")]
    #[arg(value_enum)]
    limit_headers: LimitHeaders,
    /// Deliveries that wait for a dead host before anything is measured
    #[arg(long, value_name = "N", help_heading = "Load")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=50_000_000))]
    backlog: Option<u32>,
    /// Trigger a campaign for 50 recipients a call, each with a profile
    #[arg(long, help_heading = "Load")]
    #[arg(conflicts_with_all = ["hosts", "batch", "metadata", "hang", "backlog", "overload"])]
    campaign: bool,
    /// Three times what the server takes, for --duration (60s)
    #[arg(long, conflicts_with_all = ["rate", "triggers", "hang", "limit", "backlog"])]
    #[arg(help_heading = "Load")]
    overload: bool,
    /// After --overload, a crowd that obeys Retry-After until all of it is accepted
    #[arg(long, requires = "overload", help_heading = "Load")]
    obey: bool,
    /// The same load by turns without API keys and with one that is required and has a rate
    #[arg(long, conflicts_with_all = ["campaign", "overload", "server", "backlog", "hang"])]
    #[arg(help_heading = "Load")]
    keys: bool,
    /// Wait until every host actor has stopped
    #[arg(long, help_heading = "Load")]
    until_idle: bool,
    /// Kill the server at the end, and see how soon it is ready again
    #[arg(long, help_heading = "Load")]
    crash: bool,
    /// Use this running server (its CPU and memory are not shown)
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Where")]
    server: Option<SocketAddr>,
    /// Send to this URL (arrivals are then taken from the server's own count)
    #[arg(long, value_name = "URL", help_heading = "Where")]
    url: Option<String>,
    /// Keep the server's data in a directory below this one [default: the working directory]
    #[arg(long, value_name = "DIR", help_heading = "Where")]
    data: Option<PathBuf>,
    /// Run every case of docs/performance.md and compare it with its figure
    #[arg(long, help_heading = "Output")]
    figures: bool,
    /// Only the cases whose name contains this
    #[arg(long, value_name = "WORD", requires = "figures", help_heading = "Output")]
    only: Option<String>,
    /// Print one JSON document
    #[arg(long, help_heading = "Output")]
    json: bool,
    /// Draw rates, latencies and memory over the run (SVG)
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    plot: Option<PathBuf>,
}

fn parse_positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "is not a number")?;
    if number > 0.0 && number.is_finite() { Ok(number) } else { Err("is not above 0".into()) }
}

/// A share between 0 and 1, or a percentage.
fn parse_share(text: &str) -> Result<f64, String> {
    let share = match text.strip_suffix('%') {
        Some(percent) => parse_positive(percent)? / 100.0,
        None => parse_positive(text)?,
    };
    if share <= 0.5 { Ok(share) } else { Err("is more than a half".into()) }
}

/// Checked here so that a slip is told before anything is started.
fn parse_limit(text: &str) -> Result<String, String> {
    super::listen::parse_rate(text).map(|_| text.to_owned())
}

impl BenchArgs {
    fn size(&self) -> u64 {
        let default = if self.campaign { campaign::SIZE } else { SIZE };
        self.size.unwrap_or(default)
    }

    fn load(&self, settings: &[String]) -> Load {
        let triggers = match (self.triggers, self.duration) {
            (Some(triggers), _) => triggers,
            (None, Some(_)) => u32::MAX / 2,
            (None, None) => 100_000,
        };
        let mut own = vec![
            "sender.allow=[\"127.0.0.0/8\"]".to_owned(),
            "sender.ports=[]".to_owned(),
            "log.level=warn".to_owned(),
        ];
        own.extend_from_slice(settings);
        Load {
            name: self.describe(),
            triggers,
            duration: self.duration,
            hosts: self.hosts,
            connections: self.connections.map_or(CONNECTIONS, |count| count as usize),
            size: self.size() as usize,
            rate: self.rate,
            lossy: false,
            obey: false,
            batch: self.batch,
            metadata: self.metadata,
            campaign: false,
            hang_every: self.hang.map_or(0, |share| (1.0 / share).round() as u32),
            limit: self.limit.clone(),
            limit_headers: self.limit_headers,
            backlog: self.backlog.unwrap_or(0),
            crash: self.crash || self.backlog.is_some(),
            until_idle: self.until_idle,
            settings: own,
            directory: self.data.clone().unwrap_or_else(run::default_directory),
            keyed: false,
            server: self.server,
            url: self.url.clone(),
        }
    }

    fn describe(&self) -> String {
        let hosts =
            if self.hosts == 1 { "one host".into() } else { format!("{} hosts", self.hosts) };
        let pace = match self.rate {
            Some(rate) => format!("{rate}/s"),
            None => format!("{} connections", self.connections.unwrap_or(CONNECTIONS as u32)),
        };
        let mut text = format!("{hosts}, {pace}, {} B bodies", self.size());
        if self.batch > 1 {
            text += &format!(", {} a request", self.batch);
        }
        if self.metadata {
            text += ", 2 pairs of metadata";
        }
        if let Some(limit) = &self.limit {
            text += &format!(", receiver allows {limit}");
        }
        text
    }
}

/// Runs the driver's process.
pub fn drive(args: &DriverArgs) -> ExitCode {
    driver::run(args)
}

/// Runs the sink's process.
pub fn sink(args: &SinkArgs) -> ExitCode {
    sink::run(args)
}

/// Runs the bench. `settings` are those of the command line, for the server.
pub fn run(args: &BenchArgs, settings: &[String]) -> ExitCode {
    crate::app::raise_descriptor_limit();
    let load = args.load(settings);
    let done = match () {
        () if args.figures => return figures::run(&load, args.only.as_deref(), args.json),
        () if args.overload => {
            let most = args.connections.map_or(overload::CONNECTIONS, |count| count as usize);
            let load = Load { connections: CONNECTIONS, ..load.clone() };
            overload::run(&load, most, args.obey)
        }
        () if args.campaign => composed(&load),
        () if args.keys => by_turns(&load),
        () => beside(&load),
    };
    let outcomes = match done {
        Ok(outcomes) => outcomes,
        Err(error) => return refuse(&format!("the bench could not be run: {error}")),
    };
    // Of an overload the overload itself, not the crowd after it.
    let drawn = if args.overload { outcomes.get(overload::OVER) } else { outcomes.last() };
    if let (Some(path), Some(last)) = (&args.plot, drawn)
        && let Err(error) = std::fs::write(path, plot::svg(last))
    {
        return refuse(&format!("{} could not be written: {error}", path.display()));
    }
    match args.json {
        true => say(&format!("{}\n", serde_json::json!({ "runs": outcomes }))),
        false if args.overload => say(&show::overload(&outcomes)),
        false => say(&show::text(&outcomes)),
    }
    match outcomes.iter().all(|outcome| outcome.missing == 0) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// The load; where it has a host that is in trouble, after the same without that host.
fn beside(load: &Load) -> std::io::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    if load.hang_every > 0 || load.backlog > 0 {
        let alone = Load { hang_every: 0, backlog: 0, crash: false, ..load.clone() };
        outcomes.push(measure(&alone)?);
    }
    let mut name = load.name.clone();
    if load.hang_every > 0 {
        name += &format!(", every {}th to a host that never answers", load.hang_every);
    }
    if load.backlog > 0 {
        name += &format!(", beside {} for a dead host", load.backlog);
    }
    outcomes.push(measure(&Load { name, ..load.clone() })?);
    Ok(outcomes)
}

/// Without keys and with one, by turns, since the machine's speed drifts from run to run.
fn by_turns(load: &Load) -> std::io::Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for turn in 0..2 * KEY_TURNS {
        let keyed = turn % 2 == 1;
        let name = load.name.clone() + if keyed { ", with a key" } else { ", without keys" };
        outcomes.push(measure(&Load { name, keyed, ..load.clone() })?);
    }
    Ok(outcomes)
}

/// Plain triggers, and the same deliveries by a campaign.
fn composed(load: &Load) -> std::io::Result<Vec<Outcome>> {
    Ok(vec![measure(load)?, measure(&campaign::instead_of(load))?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_numbers_or_percentages() {
        assert_eq!(parse_share("10%"), Ok(0.1));
        assert_eq!(parse_share("0.25"), Ok(0.25));
        assert!(parse_share("60%").is_err() && parse_share("0").is_err());
    }
}
