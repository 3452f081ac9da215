//! What `top` shows, asked of the server: totals from its live events, or from `/v1/stats` where it
//! has none, and a page of hosts or one host.

use std::time::Duration;

use awc::http::StatusCode;
use futures::FutureExt;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::cli::hosts::HostView;
use crate::cli::server::{EventStream, Server, Unanswered, part, with_query};
use crate::clock::Clock;
use crate::model::Timestamp;

/// How long the first totals are waited for; they come every second.
const FIRST_TOTALS: Duration = Duration::from_millis(2500);

/// Hosts that an older server is asked for where it cannot search: as many as it gives at once.
const SIFTED: usize = 1000;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) sort: String,
    pub(super) search: String,
    pub(super) states: String,
    pub(super) offset: usize,
    pub(super) limit: usize,
    /// One host in full instead of a page.
    pub(super) host: Option<String>,
}

/// The totals of a server; what it does not tell is absent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Totals {
    pub(super) accepted_per_s: Option<f64>,
    pub(super) delivered_per_s: Option<f64>,
    pub(super) failed_per_s: Option<f64>,
    pub(super) retried_per_s: Option<f64>,
    pub(super) refused_per_s: Option<f64>,
    pub(super) attempts_per_s: Option<f64>,
    pub(super) deferred: Option<u64>,
    pub(super) pending: u64,
    pub(super) parked: u64,
    pub(super) in_flight: u64,
    pub(super) hosts: serde_json::Map<String, Value>,
    pub(super) p50_ms: Option<f64>,
    pub(super) p99_ms: Option<f64>,
    pub(super) store: StoreView,
    pub(super) uptime_s: u64,
}

/// The store, as far as it is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StoreView {
    pub(super) commit_us: f64,
    pub(super) waiting: u64,
    /// Why writes are refused, or whether.
    pub(super) refusing: Value,
}

/// One look at the server.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// When it was taken.
    pub(super) at: Timestamp,
    /// As the server tells them; `None` for who may not see them.
    pub(super) stats: Option<Value>,
    /// The same, read.
    pub(super) totals: Option<Totals>,
    /// A page of hosts as the server gives it.
    pub(super) page: Value,
    /// The same, read.
    pub(super) hosts: Vec<HostView>,
    /// Hosts there are, where the server tells.
    pub(super) total: Option<usize>,
}

impl Look {
    /// As one line of JSON.
    pub(super) fn json(&self) -> String {
        let hosts = &self.page["data"];
        let line =
            json!({ "at": self.at, "stats": self.stats, "hosts": hosts, "total": self.total });
        format!("{line}\n")
    }
}

enum Live {
    /// Not asked yet, or to be asked again.
    Closed,
    Open(Box<EventStream>),
    /// The server has none, or not for us.
    Absent,
}

/// A server that is looked at again and again.
pub(super) struct Source {
    server: Server,
    live: Live,
    /// The totals that came last from the live events.
    last: Option<Value>,
    /// Counts of `/v1/stats`, and when: a rate needs two.
    counted: Option<(Timestamp, Value)>,
    /// Whether the server knows no more than order, state and limit.
    plain: bool,
}

impl Source {
    /// Nothing is asked yet.
    pub(super) fn new(server: Server) -> Self {
        Self { server, live: Live::Closed, last: None, counted: None, plain: false }
    }

    /// The server's URL.
    pub(super) fn url(&self) -> &str {
        self.server.url()
    }

    /// Looks once.
    pub(super) async fn look(&mut self, query: &Query) -> Result<Look, Unanswered> {
        let page = match &query.host {
            Some(host) => {
                let host =
                    self.server.call("GET", &format!("/v1/hosts/{}", part(host)), None).await?;
                json!({ "data": [host], "total": 1 })
            }
            None => self.page(query).await?,
        };
        let hosts = self.server.read(&page["data"].to_string())?;
        let total = page["total"].as_u64().and_then(|total| usize::try_from(total).ok());
        let stats = self.stats().await?;
        let totals = stats.clone().and_then(|stats| serde_json::from_value(stats).ok());
        Ok(Look { at: Clock::system().wall(), stats, totals, page, hosts, total })
    }

    async fn page(&mut self, query: &Query) -> Result<Value, Unanswered> {
        if !self.plain {
            match self.server.call("GET", &path_of(query, false), None).await {
                // An older server knows no pages of live hosts: it shows the first one.
                Err(Unanswered::Refused(StatusCode::BAD_REQUEST, _)) => {}
                answered => return answered,
            }
        }
        let mut page = self.server.call("GET", &path_of(query, true), None).await?;
        self.plain = true;
        if let Some(rows) = page["data"].as_array_mut() {
            let is_found =
                |row: &Value| row["host"].as_str().unwrap_or_default().contains(&query.search);
            rows.retain(is_found);
            rows.truncate(query.limit);
        }
        Ok(page)
    }

    async fn stats(&mut self) -> Result<Option<Value>, Unanswered> {
        if let Live::Closed = self.live {
            self.open().await?;
        }
        if let Live::Open(_) = self.live {
            self.drain().await;
            return Ok(self.last.clone());
        }
        match self.server.call("GET", "/v1/stats", None).await {
            Ok(stats) => Ok(Some(self.totals_of(&stats))),
            // Totals are the operators': who works in another workspace sees its hosts alone.
            Err(Unanswered::Refused(StatusCode::FORBIDDEN, _)) => Ok(None),
            Err(wrong) => Err(wrong),
        }
    }

    async fn open(&mut self) -> Result<(), Unanswered> {
        self.live = match self.server.events("/v1/live").await {
            Ok(stream) => Live::Open(Box::new(stream)),
            // It has none, not for us, or too many look already.
            Err(Unanswered::Refused(..)) => Live::Absent,
            Err(wrong) => return Err(wrong),
        };
        Ok(())
    }

    /// Takes what has come, of which only the last matters; waits only for the first.
    async fn drain(&mut self) {
        let Live::Open(stream) = &mut self.live else { return };
        loop {
            let next = match self.last {
                Some(_) => match stream.next().now_or_never() {
                    Some(next) => next,
                    None => return,
                },
                None => match actix_rt::time::timeout(FIRST_TOTALS, stream.next()).await {
                    Ok(next) => next,
                    // It has events, but none with totals for us.
                    Err(_) => break self.live = Live::Absent,
                },
            };
            match next {
                Ok(Some(event)) if event.name == "stats" => {
                    self.last = serde_json::from_str(&event.data).ok().or(self.last.take());
                }
                Ok(Some(_)) => {}
                Ok(None) | Err(_) => break self.live = Live::Closed,
            }
        }
    }

    /// `/v1/stats` in the words of the live events. Rates are differences to the time before.
    fn totals_of(&mut self, stats: &Value) -> Value {
        let now = Clock::system().wall();
        let before = self.counted.replace((now, stats.clone()));
        let per_second = |sum: &dyn Fn(&Value) -> u64| {
            let (then, before) = before.as_ref()?;
            let seconds = then.until(now).as_secs_f64();
            let grown = sum(stats).saturating_sub(sum(before));
            (seconds > 0.0).then(|| grown as f64 / seconds)
        };
        let ended = |stats: &Value| {
            ["failed", "exhausted", "expired"]
                .map(|end| number(&stats["deliveries"][end]))
                .iter()
                .sum()
        };
        json!({
            "at": now,
            "accepted_per_s": stats["ingest"]["per_second_10s"],
            "delivered_per_s": per_second(&|stats| arbiters(stats, "delivered")),
            "failed_per_s": per_second(&ended),
            "refused_per_s": per_second(&|stats| arbiters(stats, "refused")),
            "attempts_per_s": per_second(&|stats| arbiters(stats, "attempts")),
            "pending": stats["deliveries"]["pending"],
            "parked": stats["deliveries"]["parked"],
            "in_flight": stats["deliveries"]["in_flight"],
            "hosts": { "alive": stats["hosts"]["alive"], "asleep": stats["hosts"]["asleep"] },
            "store": stats["store"],
            "uptime_s": stats["uptime_s"],
        })
    }
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

fn arbiters(stats: &Value, field: &str) -> u64 {
    let arbiters = stats["arbiters"].as_array().into_iter().flatten();
    arbiters.map(|arbiter| number(&arbiter[field])).sum()
}

fn path_of(query: &Query, plain: bool) -> String {
    let sifted = plain && !query.search.is_empty();
    let limit = if sifted { SIFTED } else { query.limit }.to_string();
    let offset = query.offset.to_string();
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let (search, states) = (given(&query.search).filter(|_| !plain), given(&query.states));
    with_query(
        "/v1/hosts",
        &[
            ("alive", (!plain).then_some("true")),
            ("sort", Some(&query.sort)),
            ("q", search.as_deref()),
            ("state", states.as_deref()),
            ("limit", Some(&limit)),
            ("offset", (!plain).then_some(&offset)),
        ],
    )
}
