//! One measured run: a server, a sink and a driver of its own, watched until everything that was
//! accepted has arrived.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::campaign;
use super::driver::{Plan, Sent, What};
use super::process::{self, Server, Talker, Usage, get};
use super::quantiles::Quantiles;
use super::sink::{Arrived, Ports};
use super::wire;
use crate::cli::receiver::LimitHeaders;

/// How often the processes are asked.
const SAMPLE_EVERY: Duration = Duration::from_millis(200);
/// A run is given up when nothing has arrived for this long: more than the longest pause of a host
/// that is being paced.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long idle actors may take to stop: twice what they should.
const IDLE_WITHIN: Duration = Duration::from_secs(240);
/// After so many seconds the buffers of all connections are filled.
const SETTLED_S: f64 = 10.0;
/// Triggers in one request of those that fill a backlog.
const BACKLOG_BATCH: u32 = 1000;
/// Requests under way while a backlog is filled.
const BACKLOG_CONNECTIONS: usize = 4;

/// What one run puts on the server.
#[derive(Clone, Debug)]
pub(super) struct Load {
    pub(super) name: String,
    pub(super) triggers: u32,
    pub(super) duration: Option<Duration>,
    pub(super) hosts: u32,
    pub(super) connections: usize,
    pub(super) size: usize,
    pub(super) rate: Option<f64>,
    /// Leave out what cannot go out at its time.
    pub(super) lossy: bool,
    /// Send what is refused again, after its `Retry-After`.
    pub(super) obey: bool,
    pub(super) batch: u32,
    pub(super) metadata: bool,
    /// Trigger a campaign, for `batch` recipients a call.
    pub(super) campaign: bool,
    /// Every so many triggers one goes to a host that never answers; 0 for none.
    pub(super) hang_every: u32,
    pub(super) limit: Option<String>,
    pub(super) limit_headers: LimitHeaders,
    /// Deliveries that wait for a dead host before the run begins.
    pub(super) backlog: u32,
    /// Kill the server when all is done, and see how soon it is ready again.
    pub(super) crash: bool,
    /// Wait until every host actor has stopped.
    pub(super) until_idle: bool,
    /// An API key is required, and given.
    pub(super) keyed: bool,
    /// Settings of the server.
    pub(super) settings: Vec<String>,
    /// Where the server keeps its data, in a directory of its own that is removed.
    pub(super) directory: PathBuf,
    /// A server that runs already.
    pub(super) server: Option<SocketAddr>,
    /// A URL to send to instead of the sink.
    pub(super) url: Option<String>,
}

/// What a run came to. Rates are a second; latencies in microseconds.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Outcome {
    pub(super) name: String,
    /// Answered 202, and how fast.
    pub(super) accepted: u64,
    pub(super) accepted_per_s: f64,
    /// Of those, for hosts that answer.
    pub(super) owed: u64,
    pub(super) delivered: u64,
    pub(super) delivered_per_s: f64,
    /// From the first POST to the last arrival.
    pub(super) seconds: f64,
    /// Accepted and not arrived.
    pub(super) missing: u64,
    pub(super) duplicates: u64,
    /// The receiver's answers 429.
    pub(super) receiver_refused: u64,
    /// The server's answers other than 202, by status; 0 for a broken connection.
    pub(super) server_refused: BTreeMap<u16, u64>,
    pub(super) retry_after_max_s: Option<u64>,
    pub(super) cpu_us_per_delivery: f64,
    pub(super) rss_bytes: u64,
    pub(super) rss_peak_bytes: u64,
    pub(super) descriptors: u64,
    /// POST to 202, from when it was to go…
    pub(super) accept_us: Quantiles,
    /// …and from when it went.
    pub(super) accept_sent_us: Quantiles,
    /// Triggers a second that went out, refused ones too.
    pub(super) sent_per_s: f64,
    /// Arrivals a second while triggers were sent.
    pub(super) delivered_meanwhile_per_s: f64,
    /// Accepted and not yet arrived when the last trigger had been answered.
    pub(super) behind: u64,
    /// The server's memory before, after ten seconds, and at the last answer.
    pub(super) rss_course: [u64; 3],
    /// POST to arrival.
    pub(super) arrival_us: Quantiles,
    /// A synced write of 4 KiB on the disk of the data.
    pub(super) sync_us: u64,
    pub(super) backlog: Option<Backlog>,
    pub(super) restart_s: Option<f64>,
    pub(super) idle: Option<Idle>,
    #[serde(skip)]
    pub(super) samples: Vec<Sample>,
}

/// How a backlog was taken.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Backlog {
    pub(super) deliveries: u64,
    pub(super) accepted_per_s: f64,
    pub(super) rss_bytes: u64,
}

/// How idle actors were given back.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(super) struct Idle {
    /// Until the last one had stopped; `None` when some never did.
    pub(super) seconds: Option<f64>,
    pub(super) descriptors: u64,
    pub(super) rss_bytes: u64,
}

/// One look at the run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) seconds: f64,
    pub(super) accepted: u64,
    pub(super) refused: u64,
    pub(super) delivered: u64,
    pub(super) latency: Quantiles,
    pub(super) rss_bytes: u64,
}

impl Outcome {
    /// Which share of the requests was refused in the first half of the time and in the second.
    pub(super) fn refused_shares(&self) -> [f64; 2] {
        let at = |sample: Option<&Sample>| sample.map_or((0, 0), |one| (one.accepted, one.refused));
        let (half, end) = (at(self.samples.get(self.samples.len() / 2)), at(self.samples.last()));
        let share = |from: (u64, u64), to: (u64, u64)| {
            let (accepted, refused) = (to.0 - from.0, to.1 - from.1);
            refused as f64 / (accepted + refused).max(1) as f64
        };
        [share((0, 0), half), share(half, end)]
    }

    /// Notes how it stands while triggers are sent.
    fn note(&mut self, sent: &Sent, arrived: &Arrived) {
        let Some(sample) = self.samples.last() else { return };
        let seconds = sample.seconds.max(1e-3);
        if seconds <= SETTLED_S {
            self.rss_course[1] = sample.rss_bytes;
        }
        self.rss_course[2] = sample.rss_bytes;
        self.delivered_meanwhile_per_s = arrived.distinct as f64 / seconds;
        self.behind = sent.owed.saturating_sub(arrived.distinct);
    }
}

struct Scene<'a> {
    load: &'a Load,
    data: PathBuf,
    sink: Talker,
    ports: Ports,
    server: Option<Server>,
    address: SocketAddr,
    what: What,
}

/// Runs one load.
pub(super) fn measure(load: &Load) -> io::Result<Outcome> {
    let data = load.directory.join(format!("hostline-bench-{}", std::process::id()));
    std::fs::create_dir_all(&data)?;
    let outcome = Scene::open(load, data.clone()).and_then(Scene::play);
    // Left behind it would only cost disk.
    let _left = std::fs::remove_dir_all(&data);
    outcome
}

impl<'a> Scene<'a> {
    fn open(load: &'a Load, data: PathBuf) -> io::Result<Self> {
        let mut arguments = vec!["bench-sink".to_owned()];
        if let Some(limit) = &load.limit {
            let headers = clap::ValueEnum::to_possible_value(&load.limit_headers);
            let headers = headers.map(|value| value.get_name().to_owned()).unwrap_or_default();
            arguments.extend(["--limit".into(), limit.clone(), "--limit-headers".into(), headers]);
        }
        let mut sink = Talker::start(&arguments)?;
        let ports = sink.hear()?;
        let (server, address) = match load.server {
            Some(address) => (None, address),
            None => {
                let server = Server::start(&data, &load.settings, load.keyed)?;
                let address = server.address;
                (Some(server), address)
            }
        };
        Ok(Self { load, data, sink, ports, server, address, what: What::Triggers })
    }

    fn play(mut self) -> io::Result<Outcome> {
        let mut outcome = Outcome { name: self.load.name.clone(), ..Outcome::default() };
        outcome.sync_us = process::sync_time(&self.data)?.as_micros() as u64;
        if self.load.backlog > 0 {
            outcome.backlog = Some(self.fill()?);
        }
        if self.load.campaign {
            self.what = self.launch()?;
        }
        if self.load.triggers > 0 {
            self.watch(&mut outcome)?;
        }
        if self.load.until_idle {
            outcome.idle = Some(self.idle()?);
        }
        if self.load.crash
            && let Some(server) = self.server.take()
        {
            let (server, took) = server.crash(&self.data, &self.load.settings)?;
            outcome.restart_s = Some(took.as_secs_f64());
            self.server = Some(server);
        }
        Ok(outcome)
    }

    fn key(&self) -> Option<&str> {
        self.server.as_ref()?.key.as_deref()
    }

    fn usage(&self) -> Usage {
        self.server.as_ref().map(Server::usage).unwrap_or_default()
    }

    fn plan(&self) -> Plan {
        let load = self.load;
        Plan {
            what: self.what.clone(),
            key: self.key().map(str::to_owned),
            server: self.address,
            connections: load.connections,
            triggers: load.triggers,
            duration: load.duration,
            rate: load.rate,
            lossy: load.lossy,
            obey: load.obey,
            first: 0,
            hosts: load.hosts,
            port: self.ports.open,
            url: load.url.clone(),
            hang_every: load.hang_every,
            hang_port: self.ports.hang,
            size: load.size,
            metadata: load.metadata,
            batch: load.batch,
        }
    }

    fn driver(plan: &Plan) -> io::Result<Talker> {
        let plan = serde_json::to_string(plan)?;
        Talker::start(&["bench-driver".into(), "--plan".into(), plan])
    }

    /// Fills the queue of a host that refuses connections.
    fn fill(&mut self) -> io::Result<Backlog> {
        let plan = Plan {
            connections: BACKLOG_CONNECTIONS,
            triggers: self.load.backlog,
            duration: None,
            rate: None,
            obey: false,
            first: self.load.triggers,
            hosts: 1,
            port: self.ports.shut,
            hang_every: 0,
            batch: BACKLOG_BATCH,
            ..self.plan()
        };
        let sent = Self::send("backlog", &plan)?;
        let seconds = (sent.last_nanos - sent.first_nanos) as f64 / 1e9;
        Ok(Backlog {
            deliveries: sent.accepted,
            accepted_per_s: sent.accepted as f64 / seconds,
            rss_bytes: self.usage().rss,
        })
    }

    /// Makes what is sent when a campaign is triggered: the recipients' profiles, the campaign.
    fn launch(&self) -> io::Result<What> {
        let plan = Plan {
            what: What::Profiles,
            triggers: campaign::RECIPIENTS,
            duration: None,
            rate: None,
            obey: false,
            batch: 1,
            ..self.plan()
        };
        let sent = Self::send("profiles", &plan)?;
        if sent.accepted < u64::from(plan.triggers) {
            return Err(io::Error::other(format!("profiles are refused: {:?}", sent.refused)));
        }
        let own = format!("http://{}/hook", wire::host(0, self.ports.open));
        let url = self.load.url.as_deref().unwrap_or(&own);
        campaign::launch(self.address, url, self.load.size).map(What::Campaign)
    }

    /// Sends all of a plan.
    fn send(what: &str, plan: &Plan) -> io::Result<Sent> {
        let mut driver = Self::driver(plan)?;
        loop {
            std::thread::park_timeout(SAMPLE_EVERY);
            let sent: Sent = driver.ask()?;
            progress(what, sent.accepted, u64::from(plan.triggers));
            if sent.done {
                return Ok(sent);
            }
        }
    }

    /// Sends the load and waits until it has arrived.
    fn watch(&mut self, outcome: &mut Outcome) -> io::Result<()> {
        let before = self.usage();
        let began = Instant::now();
        outcome.rss_course = [before.rss; 3];
        let mut driver = Self::driver(&self.plan())?;
        let mut last = (Instant::now(), 0);
        let (sent, arrived) = loop {
            std::thread::park_timeout(SAMPLE_EVERY);
            let sent: Sent = driver.ask()?;
            let arrived = self.arrived()?;
            outcome.samples.push(Sample {
                seconds: began.elapsed().as_secs_f64(),
                accepted: sent.accepted,
                refused: sent.refused.values().sum(),
                delivered: arrived.distinct,
                latency: arrived.latency_lately,
                rss_bytes: self.usage().rss,
            });
            if !sent.done {
                outcome.note(&sent, &arrived);
            }
            progress(&self.load.name, arrived.distinct, u64::from(self.load.triggers));
            if arrived.distinct > last.1 || !sent.done {
                last = (Instant::now(), arrived.distinct);
            }
            if sent.done && (arrived.distinct >= sent.owed || last.0.elapsed() > PATIENCE) {
                break (sent, arrived);
            }
        };
        let after = self.usage();
        let span = |to: u64| to.saturating_sub(sent.first_nanos) as f64 / 1e9;
        outcome.seconds = span(arrived.last_nanos);
        outcome.accepted = sent.accepted;
        outcome.accepted_per_s = sent.accepted as f64 / span(sent.last_nanos);
        outcome.owed = sent.owed;
        outcome.delivered = arrived.distinct;
        outcome.delivered_per_s = arrived.distinct as f64 / outcome.seconds;
        // A trigger whose 202 was lost may arrive too.
        outcome.missing = sent.owed.saturating_sub(arrived.distinct);
        outcome.duplicates = arrived.taken - arrived.distinct;
        outcome.receiver_refused = arrived.refused;
        outcome.server_refused = sent.refused;
        outcome.retry_after_max_s = sent.retry_after_max;
        let cpu = after.cpu.saturating_sub(before.cpu);
        outcome.cpu_us_per_delivery = cpu.as_secs_f64() * 1e6 / arrived.distinct.max(1) as f64;
        outcome.rss_bytes = after.rss;
        outcome.rss_peak_bytes = after.rss_peak;
        outcome.descriptors = after.descriptors;
        outcome.accept_us = sent.latency;
        outcome.accept_sent_us = sent.latency_sent;
        outcome.sent_per_s = sent.triggers as f64 / span(sent.last_nanos);
        outcome.arrival_us = arrived.latency;
        Ok(())
    }

    /// What arrived: at our sink, or as a server that sends elsewhere tells it.
    fn arrived(&mut self) -> io::Result<Arrived> {
        if self.load.url.is_none() {
            return self.sink.ask();
        }
        let delivered = self.stats()?["deliveries"]["delivered"].as_u64().unwrap_or(0);
        let last_nanos = crate::clock::boot_nanos();
        Ok(Arrived { taken: delivered, distinct: delivered, last_nanos, ..Arrived::default() })
    }

    fn stats(&self) -> io::Result<Value> {
        Ok(serde_json::from_str(&get(self.address, "/v1/stats", self.key())?)?)
    }

    fn idle(&self) -> io::Result<Idle> {
        let began = Instant::now();
        let seconds = loop {
            let alive = self.stats()?["hosts"]["alive"].as_u64().unwrap_or(0);
            progress("host actors alive", alive, alive);
            if alive == 0 {
                break Some(began.elapsed().as_secs_f64());
            }
            if began.elapsed() > IDLE_WITHIN {
                break None;
            }
            std::thread::park_timeout(SAMPLE_EVERY);
        };
        let usage = self.usage();
        Ok(Idle { seconds, descriptors: usage.descriptors, rss_bytes: usage.rss })
    }
}

/// A line that is drawn over, on a terminal.
fn progress(what: &str, done: u64, of: u64) {
    if !io::stderr().is_terminal() {
        return;
    }
    const WIDTH: u64 = 40;
    let filled = done.min(of) * WIDTH / of.max(1);
    let bar: String = (0..WIDTH).map(|at| if at < filled { '█' } else { '·' }).collect();
    // Only the look of a terminal is lost where this fails.
    let _ = write!(io::stderr(), "\r\x1b[K{bar} {done}/{of}  {what}");
    if done >= of {
        let _ = write!(io::stderr(), "\r\x1b[K");
    }
}

/// The directory that runs keep their data in by default: on the disk of the working directory,
/// since a temporary directory may be in memory, where a sync costs nothing.
pub(super) fn default_directory() -> PathBuf {
    Path::new(".").canonicalize().unwrap_or_else(|_| std::env::temp_dir())
}
