//! The cases of docs/performance.md, each with what it is to reach.

use std::io;
use std::process::ExitCode;

use serde::Serialize;

use super::campaign;
use super::overload;
use super::run::{Load, Outcome, measure};
use super::show::ratio;
use crate::cli::receiver::LimitHeaders;
use crate::cli::{refuse, say};

const MIB: u64 = 1 << 20;

/// One thing that a case is to reach.
#[derive(Debug, Serialize)]
struct Claim {
    what: &'static str,
    wanted: String,
    found: String,
    reached: bool,
}

impl Claim {
    fn at_least(what: &'static str, found: f64, least: f64) -> Self {
        Self::new(what, format!("≥ {least}"), found, found >= least)
    }

    fn at_most(what: &'static str, found: f64, most: f64) -> Self {
        Self::new(what, format!("≤ {most}"), found, found <= most)
    }

    fn new(what: &'static str, wanted: String, found: f64, reached: bool) -> Self {
        let found = if found >= 100.0 { format!("{found:.0}") } else { format!("{found:.2}") };
        Self { what, wanted, found, reached }
    }
}

#[derive(Serialize)]
struct Case {
    name: &'static str,
    claims: Vec<Claim>,
    runs: Vec<Outcome>,
}

type Play = fn(&Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)>;

const CASES: &[(&str, Play)] = &[
    ("one host, closed loop", one_host),
    ("100 hosts against one", many_hosts),
    ("10 % to a host that never answers", hang),
    ("a host that allows 100/s and says X-RateLimit", limited_by_headers),
    ("a host that allows 100/s and says Retry-After", limited_by_refusals),
    ("paced at 1,000/s", paced),
    ("1,000,000 pending for a dead host", backlog),
    ("100,000 hosts, one trigger each", very_many_hosts),
    ("three times the capacity", overload),
    ("a campaign for 50 recipients a call", composed),
];

/// Runs the cases; exit code 1 where a figure is not reached.
pub(super) fn run(load: &Load, only: Option<&str>, json: bool) -> ExitCode {
    let mut cases = Vec::new();
    for (name, play) in CASES {
        if only.is_some_and(|word| !name.contains(word)) {
            continue;
        }
        let (runs, claims) = match play(load) {
            Ok(played) => played,
            Err(error) => return refuse(&format!("{name}: {error}")),
        };
        if !json {
            say(&row(name, &claims));
        }
        cases.push(Case { name, claims, runs });
    }
    if json {
        say(&format!("{}\n", serde_json::json!({ "cases": cases })));
    }
    match cases.iter().flat_map(|case| &case.claims).all(|claim| claim.reached) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

fn row(name: &str, claims: &[Claim]) -> String {
    let mut text = format!("{name}\n");
    for claim in claims {
        let verdict = if claim.reached { "ok" } else { "NOT REACHED" };
        let Claim { what, wanted, found, .. } = claim;
        text += &format!("  {what:<44} {found:>9}  wanted {wanted:<10} {verdict}\n");
    }
    text
}

fn named(load: &Load, name: &str) -> Load {
    Load { name: name.into(), ..load.clone() }
}

/// The same load in turns, so that what else the machine does meets both alike.
fn by_turns(first: &Load, second: &Load, rounds: usize) -> io::Result<Vec<Outcome>> {
    let mut runs = Vec::new();
    for _ in 0..rounds {
        runs.push(measure(first)?);
        runs.push(measure(second)?);
    }
    Ok(runs)
}

/// The median of the ratios of each second run to the first before it.
fn median_ratio(runs: &[Outcome], of: fn(&Outcome) -> f64) -> f64 {
    let mut ratios: Vec<f64> =
        runs.chunks(2).map(|pair| ratio(of(&pair[1]), of(&pair[0]))).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

fn missing(runs: &[Outcome]) -> Claim {
    let missing: u64 = runs.iter().map(|run| run.missing).sum();
    Claim::at_most("accepted and not arrived", missing as f64, 0.0)
}

fn one_host(load: &Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    let run = measure(&named(load, "one host"))?;
    let claims = vec![
        Claim::at_least("delivered a second", run.delivered_per_s, 15_000.0),
        Claim::at_most("server CPU a delivery, µs", run.cpu_us_per_delivery, 75.0),
        missing(std::slice::from_ref(&run)),
    ];
    Ok((vec![run], claims))
}

fn many_hosts(load: &Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    let hundred = Load { hosts: 100, ..named(load, "100 hosts") };
    let runs = by_turns(&named(load, "one host"), &hundred, 3)?;
    let share = median_ratio(&runs, |run| run.delivered_per_s);
    let claims = vec![Claim::at_least("throughput against one host", share, 0.9), missing(&runs)];
    Ok((runs, claims))
}

fn hang(load: &Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    let hosts = Load { hosts: 10, ..load.clone() };
    let hung = |load: &Load| Load { hang_every: 10, ..named(load, "every tenth hangs") };
    let full = by_turns(&named(&hosts, "none hangs"), &hung(&hosts), 5)?;
    // Latency is compared where there is room: at saturation it is the length of the queue.
    let rate = Some(3_000.0);
    let calm = Load { rate, triggers: 30_000, ..hosts };
    let quiet = by_turns(&named(&calm, "none hangs, 3,000/s"), &hung(&calm), 3)?;
    // The good hosts' share of what was delivered while every host answered.
    let share = median_ratio(&full, |run| run.delivered_per_s);
    let claims = vec![
        Claim::at_least("good hosts, against that host answering", share / 0.9, 0.95),
        Claim::at_least("good hosts, against no such triggers", share, 0.95),
        Claim::at_most(
            "arrival p99 of the good hosts, ratio",
            median_ratio(&quiet, |run| run.arrival_us.p99 as f64),
            1.2,
        ),
        missing(&full),
        missing(&quiet),
    ];
    Ok((full.into_iter().chain(quiet).collect(), claims))
}

fn limited(
    load: &Load,
    limit_headers: LimitHeaders,
    refused_max: f64,
) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    let run = measure(&Load {
        triggers: 2_000,
        limit: Some("100".into()),
        limit_headers,
        ..named(load, "100/s")
    })?;
    let claims = vec![
        Claim::at_most("seconds until all have arrived", run.seconds, 22.0),
        Claim::at_most("answers 429", run.receiver_refused as f64, refused_max),
        missing(std::slice::from_ref(&run)),
    ];
    Ok((vec![run], claims))
}

fn limited_by_headers(load: &Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    limited(load, LimitHeaders::XRateLimit, 2.0)
}

fn limited_by_refusals(load: &Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    limited(load, LimitHeaders::RetryAfter, 20.0)
}

fn paced(load: &Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    let run = measure(&Load { rate: Some(1000.0), triggers: 20_000, ..named(load, "1,000/s") })?;
    let claims = vec![
        Claim::at_most("POST → arrival p50, ms", run.arrival_us.p50 as f64 / 1000.0, 1.5),
        Claim::at_most("POST → arrival p99, ms", run.arrival_us.p99 as f64 / 1000.0, 8.0),
        missing(std::slice::from_ref(&run)),
    ];
    Ok((vec![run], claims))
}

fn backlog(load: &Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    let beside = Load { backlog: 1_000_000, crash: true, ..named(load, "beside a million") };
    let runs = by_turns(&named(load, "alone"), &beside, 3)?;
    let most = |of: fn(&Outcome) -> f64| runs.iter().map(of).fold(0.0, f64::max);
    let share = median_ratio(&runs, |run| run.delivered_per_s);
    let claims = vec![
        Claim::at_most("server, MiB", most(|run| (run.rss_peak_bytes / MIB) as f64), 300.0),
        Claim::at_least("throughput of other hosts, ratio", share, 0.95),
        Claim::at_most("ready after kill -9, s", most(|run| run.restart_s.unwrap_or(0.0)), 3.0),
        missing(&runs),
    ];
    Ok((runs, claims))
}

fn very_many_hosts(load: &Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    let run = measure(&Load {
        hosts: 100_000,
        triggers: 100_000,
        until_idle: true,
        ..named(load, "100,000 hosts")
    })?;
    let idle = run.idle.unwrap_or_default();
    let claims = vec![
        Claim::at_most("server at most, MiB", (run.rss_peak_bytes / MIB) as f64, 1024.0),
        Claim::at_most("until no actor lives, s", idle.seconds.unwrap_or(f64::MAX), 120.0),
        Claim::at_most("descriptors then", idle.descriptors as f64, 200.0),
        missing(std::slice::from_ref(&run)),
    ];
    Ok((vec![run], claims))
}

fn overload(load: &Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    let load = Load { duration: None, ..named(load, "overload") };
    let runs = overload::run(&load, overload::CONNECTIONS, true)?;
    let (over, crowd) = (&runs[overload::OVER], &runs[overload::OVER + 1]);
    let refused = |run: &Outcome| -> u64 {
        run.server_refused.iter().filter(|(status, _)| **status > 0).map(|one| one.1).sum()
    };
    let [_, settled, end] = over.rss_course;
    let p99 = |run: &Outcome| run.accept_sent_us.p99 as f64;
    let claims = vec![
        Claim::at_least("refused with Retry-After", refused(over) as f64, 1.0),
        Claim::at_most(
            "Retry-After, s",
            over.retry_after_max_s.map_or(f64::MAX, |most| most as f64),
            30.0,
        ),
        Claim::at_most(
            "growth of memory after 10 s, MiB",
            (end.saturating_sub(settled) / MIB) as f64,
            50.0,
        ),
        Claim::at_least(
            "delivered a second meanwhile, ratio",
            ratio(over.delivered_meanwhile_per_s, runs[overload::TAKES].delivered_per_s),
            0.5,
        ),
        Claim::at_most(
            "202 p99 against half load, ratio",
            ratio(p99(over), p99(&runs[overload::HALF])),
            2.0,
        ),
        Claim::at_most(
            "202 p99 against 1,000/s, ratio",
            ratio(p99(over), p99(&runs[overload::QUIET])),
            2.0,
        ),
        Claim::at_least(
            "of a crowd that obeys, accepted",
            crowd.accepted as f64 / (runs[overload::TAKES].accepted_per_s * 15.0).floor(),
            1.0,
        ),
        missing(&runs),
    ];
    Ok((runs, claims))
}

/// Both with bodies of one size, so that nothing but the way to them differs.
fn composed(load: &Load) -> io::Result<(Vec<Outcome>, Vec<Claim>)> {
    let plain = Load { size: campaign::SIZE as usize, ..named(load, "plain triggers") };
    let runs = by_turns(&plain, &campaign::instead_of(&plain), 3)?;
    let share = median_ratio(&runs, |run| run.delivered_per_s);
    let claims =
        vec![Claim::at_least("throughput against plain triggers", share, 0.7), missing(&runs)];
    Ok((runs, claims))
}
