//! `hostline demo`: the main job, seen at work. A server on a temporary store, three receivers (a
//! good one, one with a rate limit that says so in its headers, one that fails for a while and
//! recovers), triggers sent over HTTP, and a live table of the host actors until all is delivered.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use futures::StreamExt;

use super::receiver::{Behaviour, Limit, Receiver};
use super::{refuse, say};
use crate::app::{Front, Running, http_senders, open_store, raise_descriptor_limit};
use crate::clock::Clock;
use crate::config::units::parse_duration;
use crate::config::{Settings, StoreKind};
use crate::delivery::{Engine, HostSnapshot};

/// Triggers that are under way to the server at once.
const CALLERS: usize = 32;
/// How often the table is drawn anew on a terminal…
const REDRAW: Duration = Duration::from_millis(200);
/// …and elsewhere, where every table stays.
const REPRINT: Duration = Duration::from_secs(2);
/// The demo gives up after this: something is wrong then.
const PATIENCE: Duration = Duration::from_secs(300);

/// Flags of `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// Triggers to send, a third to each receiver
    #[arg(long, value_name = "N", default_value_t = 3000)]
    #[arg(value_parser = clap::value_parser!(u32).range(3..=300_000))]
    pub triggers: u32,
    /// Requests a second that the limited receiver allows
    #[arg(long, value_name = "N", default_value_t = 50)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub limit: u32,
    /// How long the failing receiver fails, such as 8s
    #[arg(long, value_name = "DURATION", default_value = "8s", value_parser = parse_duration)]
    pub fail_for: Duration,
}

struct Scene {
    name: &'static str,
    receiver: Receiver,
}

/// Runs the demo. Exit code 0 when everything was delivered.
pub fn run(args: &DemoArgs) -> ExitCode {
    raise_descriptor_limit();
    let scenes = match scenes(args) {
        Ok(scenes) => scenes,
        Err(error) => return refuse(&format!("a receiver did not start: {error}")),
    };
    let directory = std::env::temp_dir().join(format!("hostline-demo-{}", std::process::id()));
    let played = actix_rt::System::new().block_on(play(args, &scenes, settings(&directory)));
    // Left behind it would only cost disk: the system clears its temporary files.
    let _left = std::fs::remove_dir_all(&directory);
    match played {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(wrong) => refuse(&wrong),
    }
}

fn scenes(args: &DemoArgs) -> std::io::Result<Vec<Scene>> {
    let address = SocketAddr::from(([127, 0, 0, 1], 0));
    let limit = Some(Limit::per_second(f64::from(args.limit)));
    let behaviours = [
        ("good", Behaviour::default()),
        ("limited", Behaviour { limit, ..Behaviour::default() }),
        ("failing", Behaviour { fail_for: args.fail_for, ..Behaviour::default() }),
    ];
    let start =
        |(name, behaviour)| Ok(Scene { name, receiver: Receiver::start(address, behaviour)? });
    behaviours.into_iter().map(start).collect()
}

/// The defaults, but for what makes minutes of recovery seconds.
fn settings(directory: &std::path::Path) -> Settings {
    let mut settings = Settings::default();
    settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.store.kind = StoreKind::Embedded;
    settings.store.path = directory.to_owned();
    settings.sender.allow_nets = vec!["127.0.0.0/8".parse().expect("a network")];
    settings.sender.ports = Vec::new();
    settings.rules.retry.base = Duration::from_secs(2);
    settings.rules.health.cooldown = Duration::from_secs(3);
    settings
}

async fn play(args: &DemoArgs, scenes: &[Scene], settings: Settings) -> Result<bool, String> {
    let clock = Clock::system();
    let store = open_store(&settings, &clock).map_err(|error| error.to_string())?;
    let outward = http_senders(&settings, &clock, &store).map_err(|error| error.to_string())?;
    let started = Running::start(settings, clock, store, outward).await;
    let running = started.map_err(|error| error.to_string())?;
    let front = Front::start(&running).await.map_err(|error| error.to_string())?;
    let address = front.address();
    say(&format!(
        "server on http://{address} (try: curl -s http://{address}/v1/hosts)\n\
         {} triggers: a third to each of\n\
         \x20 {}  good\n\
         \x20 {}  limited: allows {} requests a second and says so in its headers\n\
         \x20 {}  failing: answers 503 for {} s, then recovers\n\
         cooldown 3 s and first retry after 2 s here, so that recovery is quick to watch\n\n",
        args.triggers,
        scenes[0].receiver.address(),
        scenes[1].receiver.address(),
        args.limit,
        scenes[2].receiver.address(),
        args.fail_for.as_secs(),
    ));
    let begun = Instant::now();
    let total = args.triggers as usize;
    let targets: Arc<Vec<String>> =
        Arc::new(scenes.iter().map(|scene| scene.receiver.address().to_string()).collect());
    let sending = actix_rt::spawn(send_all(address, targets, total));
    let done = watch(&running, scenes, total as u64, begun).await;
    let accepted = sending.await.unwrap_or(0);
    summary(&running, scenes, accepted, begun);
    running.stop(Duration::from_secs(5)).await;
    front.stop().await;
    Ok(done && accepted == total)
}

/// Sends all triggers; answers how many were accepted.
async fn send_all(address: SocketAddr, targets: Arc<Vec<String>>, total: usize) -> usize {
    let client = awc::Client::default();
    let sends = futures::stream::iter(0..total).map(|number| {
        let host = &targets[number % targets.len()];
        let body = format!(
            r#"{{"webhook":{{"url":"http://{host}/orders","body":{{"order":{number}}}}}}}"#
        );
        let request = client
            .post(format!("http://{address}/v1/triggers"))
            .insert_header(("content-type", "application/json"))
            .timeout(Duration::from_secs(30))
            .send_body(body);
        async move { request.await.is_ok_and(|answer| answer.status().as_u16() == 202) }
    });
    sends
        .buffer_unordered(CALLERS)
        .filter(|accepted| futures::future::ready(*accepted))
        .count()
        .await
}

/// Draws until everything has been delivered.
async fn watch(running: &Running, scenes: &[Scene], total: u64, begun: Instant) -> bool {
    let is_terminal = std::io::stdout().is_terminal();
    let mut drawn = 0;
    loop {
        let arrived: u64 = scenes.iter().map(|scene| scene.receiver.counts().accepted_ids).sum();
        let table = table(&running.engine.hosts(), scenes, begun);
        if is_terminal && drawn > 0 {
            // Up over the last table, which is drawn anew line by line.
            say(&format!("\x1b[{drawn}A"));
        }
        let clear = if is_terminal { "\x1b[K" } else { "" };
        for line in &table {
            say(&format!("{line}{clear}\n"));
        }
        drawn = table.len();
        let delivered = running.store.counts().delivered;
        if arrived >= total && delivered >= total {
            return true;
        }
        if begun.elapsed() > PATIENCE {
            return false;
        }
        if !is_terminal {
            say("\n");
        }
        actix_rt::time::sleep(if is_terminal { REDRAW } else { REPRINT }).await;
    }
}

fn table(hosts: &[Arc<HostSnapshot>], scenes: &[Scene], begun: Instant) -> Vec<String> {
    let mut lines = vec![format!(
        "{:>5.1} s  {:<8} {:<13} {:>7} {:>9} {:>7} {:>9} {:>8} {:>8}  {}",
        begun.elapsed().as_secs_f64(),
        "host",
        "state",
        "waiting",
        "in flight",
        "budget",
        "delivered",
        "refused",
        "retried",
        "why",
    )];
    for scene in scenes {
        let name = scene.receiver.address().to_string();
        let Some(host) = hosts.iter().find(|host| host.host.as_str() == name) else { continue };
        let budget = match (host.budget.remaining, host.budget.limit) {
            (Some(remaining), Some(limit)) => format!("{remaining}/{limit}"),
            (Some(remaining), None) => remaining.to_string(),
            (None, _) => "-".to_owned(),
        };
        let counts = &host.since_start;
        let reason: String = host.reason.chars().take(60).collect();
        lines.push(format!(
            "         {:<8} {:<13} {:>7} {:>9} {:>7} {:>9} {:>8} {:>8}  {}",
            scene.name,
            host.state.as_str(),
            host.waiting,
            format!("{}/{}", host.in_flight, host.in_flight_limit),
            budget,
            counts.delivered,
            counts.refused,
            counts.retried,
            reason,
        ));
    }
    lines
}

fn summary(running: &Running, scenes: &[Scene], accepted: usize, begun: Instant) {
    let counts = running.store.counts();
    let mut text = format!(
        "\n{accepted} accepted, {} delivered in {:.1} s, {} pending\n",
        counts.delivered,
        begun.elapsed().as_secs_f64(),
        counts.pending,
    );
    for scene in scenes {
        let counts = scene.receiver.counts();
        let statuses: Vec<String> =
            counts.by_status.iter().map(|(status, count)| format!("{count} × {status}")).collect();
        text.push_str(&format!(
            "  {:<8} {} different webhooks in {} requests: {}\n",
            scene.name,
            counts.accepted_ids,
            counts.requests,
            statuses.join(", "),
        ));
    }
    say(&text);
}
