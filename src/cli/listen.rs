//! `hostline listen`: a receiver that shows what arrives, and misbehaves as it is told.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde_json::json;

use super::output::printable;
use super::receiver::{Behaviour, Counts, Fate, Flap, Limit, LimitHeaders, Received, Receiver};
use super::{refuse, say};
use crate::config::units::parse_duration;

const EXAMPLES: &str = "\
Examples:
  hostline listen
      Answer 200 on 127.0.0.1:9000 and print a line for each request
  hostline listen --limit 50
      Answer 429 beyond 50 requests a second, and tell of it in X-RateLimit-* and Retry-After
  hostline listen --limit 600/m --limit-headers none
      A limiter that says nothing but 429
  hostline listen --fail-for 15s
      Answer 503 for 15 seconds, then recover
  hostline listen --flap 10s,10s,refuse
      Up for 10 seconds, then refuse connections for 10, and so on
  hostline listen --status 500 --delay 200ms --body 'out of order'
  hostline listen --verify whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD --verbose
      Answer 401 to what is not signed with this secret; show headers and bodies
  hostline listen --listen 0.0.0.0:9000 --json | jq .path

Then, in another terminal: hostline send http://127.0.0.1:9000/hook --json '{\"order\": 7}'

Of several ways to misbehave: reset comes before hang, then 503, 429, 401 and --status.
Exit codes: 0 stopped by Ctrl-C, 2 the arguments are wrong or the address is taken.";

/// Flags of `listen`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct ListenArgs {
    /// Address to listen on; a port alone means 127.0.0.1
    #[arg(long, value_name = "[ADDRESS:]PORT", default_value = "127.0.0.1:9000")]
    #[arg(value_parser = parse_address)]
    pub listen: SocketAddr,
    /// Answer with this status
    #[arg(long, value_name = "N", default_value_t = 200, help_heading = "Behaviour")]
    #[arg(value_parser = clap::value_parser!(u16).range(200..=599))]
    pub status: u16,
    /// Answer with this body
    #[arg(long, value_name = "TEXT", default_value = "", help_heading = "Behaviour")]
    pub body: String,
    /// Take this long over each answer, such as 200ms
    #[arg(long, value_name = "DURATION", default_value = "0s", help_heading = "Behaviour")]
    #[arg(value_parser = parse_duration)]
    pub delay: Duration,
    /// Answer 429 beyond this rate: 50 (a second), 600/m, 1000/h
    #[arg(long, value_name = "RATE", value_parser = parse_rate, help_heading = "Behaviour")]
    pub limit: Option<Limit>,
    /// Requests that --limit lets through at once [default: a second's worth]
    #[arg(long, value_name = "N", requires = "limit", help_heading = "Behaviour")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub burst: Option<u32>,
    /// Headers that tell of --limit
    #[arg(long, value_name = "WHICH", default_value = "x-ratelimit", help_heading = "Behaviour")]
    #[arg(value_enum)]
    pub limit_headers: LimitHeaders,
    /// Answer 503 for this long, then recover
    #[arg(long, value_name = "DURATION", default_value = "0s", help_heading = "Behaviour")]
    #[arg(value_parser = parse_duration, visible_alias = "fail-first")]
    pub fail_for: Duration,
    /// Be up and down in turns; down answers 503, or refuses connections with `,refuse`
    #[arg(long, value_name = "UP,DOWN[,refuse]", help_heading = "Behaviour")]
    #[arg(value_parser = parse_flap)]
    pub flap: Option<Flap>,
    /// Reset the connection (RST) instead of answering
    #[arg(long, help_heading = "Behaviour")]
    pub reset: bool,
    /// Never answer
    #[arg(long, help_heading = "Behaviour")]
    pub hang: bool,
    /// Answer 401 to what is not signed with this secret, or by this public key (Standard Webhooks)
    #[arg(long, value_name = "whsec_…|whpk_…", help_heading = "Behaviour")]
    pub verify: Option<SecretText>,
    /// Show headers and bodies too
    #[arg(short, long, help_heading = "Output")]
    pub verbose: bool,
    /// Print each request as a line of JSON
    #[arg(long, help_heading = "Output")]
    pub json: bool,
    /// Print no requests, only the sum at the end
    #[arg(short, long, conflicts_with_all = ["verbose", "json"], help_heading = "Output")]
    pub quiet: bool,
}

/// A secret as it was typed; neither `Debug` nor the parser's errors show it.
#[derive(Clone)]
pub struct SecretText(String);

impl From<&str> for SecretText {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Debug for SecretText {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("***")
    }
}

impl ListenArgs {
    /// What they ask the receiver to do.
    pub fn behaviour(&self) -> Result<Behaviour, String> {
        let secret =
            self.verify.as_ref().map(|text| crate::config::parse_verify_key(&text.0)).transpose();
        let limit =
            self.limit.map(|limit| Limit { burst: self.burst.unwrap_or(limit.burst), ..limit });
        Ok(Behaviour {
            status: self.status,
            body: self.body.clone().into(),
            delay: self.delay,
            limit,
            limit_headers: self.limit_headers,
            flap: self.flap,
            fail_for: self.fail_for,
            reset: self.reset,
            hang: self.hang,
            secret: secret.map_err(|wrong| format!("the secret of --verify {wrong}"))?,
        })
    }
}

/// Receives until Ctrl-C.
pub fn run(args: ListenArgs) -> ExitCode {
    let behaviour = match args.behaviour() {
        Ok(behaviour) => behaviour,
        Err(wrong) => return refuse(&wrong),
    };
    let address = args.listen;
    let started = match (args.quiet, args.json, args.verbose) {
        (true, _, _) => Receiver::start(address, behaviour),
        (_, true, verbose) => {
            let show = move |received: &Received| say(&as_json(received, verbose));
            Receiver::start_observed(address, behaviour, Box::new(show))
        }
        (_, _, verbose) => {
            let show = move |received: &Received| say(&as_text(received, verbose));
            Receiver::start_observed(address, behaviour, Box::new(show))
        }
    };
    let receiver = match started {
        Ok(receiver) => receiver,
        Err(error) => return refuse(&format!("cannot listen on {address}: {error}")),
    };
    // Not on standard output, which belongs to the requests.
    eprintln!("listening on http://{} (Ctrl-C ends)", receiver.address());
    match wait_for_ctrl_c() {
        Ok(()) => {
            eprintln!("\n{}", summary(&receiver.counts()));
            ExitCode::SUCCESS
        }
        Err(error) => refuse(&format!("cannot wait for Ctrl-C: {error}")),
    }
}

fn wait_for_ctrl_c() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tokio::signal::ctrl_c())
}

fn as_text(received: &Received, verbose: bool) -> String {
    let request = &received.request;
    let fate = match received.fate {
        Fate::Answered(status) => status.to_string(),
        Fate::Reset => "reset".into(),
        Fate::Hung => "hang".into(),
    };
    let id = request.header("webhook-id").unwrap_or("-");
    let size = request.body.len();
    let mut text = format!(
        "{} {:<6} {} {fate} {size}B {id}",
        received.at,
        printable(&request.method),
        printable(&request.path),
        id = printable(id)
    );
    if let Some(signature) = received.signature {
        // Writing to a string does not fail.
        let _ = write!(text, " signature={}", signature.as_str());
    }
    text.push('\n');
    if verbose {
        for header in &request.headers {
            let _ = writeln!(text, "    {}: {}", printable(&header.name), printable(&header.value));
        }
        if !request.body.is_empty() {
            let body = String::from_utf8_lossy(&request.body);
            let lines = body.lines().map(printable).collect::<Vec<_>>().join("\n    ");
            let _ = writeln!(text, "\n    {lines}\n");
        }
    }
    text
}

fn as_json(received: &Received, verbose: bool) -> String {
    let request = &received.request;
    let (status, fate) = match received.fate {
        Fate::Answered(status) => (Some(status), "answered"),
        Fate::Reset => (None, "reset"),
        Fate::Hung => (None, "hung"),
    };
    let mut line = json!({
        "time": received.at,
        "method": request.method,
        "path": request.path,
        "fate": fate,
        "status": status,
        "size": request.body.len(),
        "webhook_id": request.header("webhook-id"),
    });
    if let Some(signature) = received.signature {
        line["signature"] = signature.as_str().into();
    }
    if verbose {
        let pair = |header: &crate::model::Header| json!([header.name, header.value]);
        line["headers"] = request.headers.iter().map(pair).collect();
        match std::str::from_utf8(&request.body) {
            Ok(text) => line["body"] = text.into(),
            Err(_) => line["body_base64"] = STANDARD.encode(&request.body).into(),
        }
    }
    format!("{line}\n")
}

fn summary(counts: &Counts) -> String {
    let mut text = format!("{} requests", counts.requests);
    for (status, answers) in &counts.by_status {
        let _ = write!(text, ", {answers} × {status}");
    }
    if counts.unanswered > 0 {
        let _ = write!(text, ", {} unanswered", counts.unanswered);
    }
    let _ = write!(
        text,
        "; {} different webhook-ids, {} of them accepted",
        counts.distinct_ids, counts.accepted_ids
    );
    text
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(port) = text.trim_start_matches(':').parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    text.parse().map_err(|_| "write an address and a port, such as 0.0.0.0:9000".to_string())
}

pub(super) fn parse_rate(text: &str) -> Result<Limit, String> {
    let (number, unit) = text.split_once('/').unwrap_or((text, "s"));
    let seconds = match unit.trim() {
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write the rate a second, minute or hour: 50, 600/m, 1000/h".into()),
    };
    let number: f64 = number.trim().parse().map_err(|_| "is not a number of requests")?;
    if !(number > 0.0 && number <= 1e6) {
        return Err("must be above 0 and at most 1000000 requests".into());
    }
    Ok(Limit::per_second(number / seconds))
}

fn parse_flap(text: &str) -> Result<Flap, String> {
    let mut parts = text.split(',').map(str::trim);
    let (Some(up), Some(down), how, None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err("write how long it is up and down, such as 10s,10s".into());
    };
    let refuse = match how {
        None => false,
        Some("refuse") => true,
        Some(_) => return Err("the third part can only be `refuse`".into()),
    };
    let (up, down) = (parse_duration(up)?, parse_duration(down)?);
    if up.is_zero() || down.is_zero() {
        return Err("both times must be above 0".into());
    }
    Ok(Flap { up, down, refuse })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_per_second_unless_it_says_otherwise() {
        assert_eq!(parse_rate("50"), Ok(Limit { per_second: 50.0, burst: 50 }));
        assert_eq!(parse_rate("600/m"), Ok(Limit { per_second: 10.0, burst: 10 }));
        assert_eq!(parse_rate("0.5/s"), Ok(Limit { per_second: 0.5, burst: 1 }));
        for wrong in ["", "0", "-1", "nan", "inf", "5/d", "many", "1e7"] {
            assert!(parse_rate(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_flap_is_two_times_and_a_manner() {
        let ten = Duration::from_secs(10);
        assert_eq!(parse_flap("10s,10s"), Ok(Flap { up: ten, down: ten, refuse: false }));
        assert_eq!(parse_flap("10s, 10s, refuse"), Ok(Flap { up: ten, down: ten, refuse: true }));
        for wrong in ["10s", "10s,0s", "10,10", "10s,10s,sulk", "10s,10s,refuse,x"] {
            assert!(parse_flap(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_port_alone_is_loopback() {
        assert_eq!(parse_address("9000"), Ok(SocketAddr::from(([127, 0, 0, 1], 9000))));
        assert_eq!(parse_address(":9000"), Ok(SocketAddr::from(([127, 0, 0, 1], 9000))));
        assert_eq!(parse_address("0.0.0.0:1"), Ok(SocketAddr::from(([0, 0, 0, 0], 1))));
        assert!(parse_address("localhost").is_err());
    }
}
