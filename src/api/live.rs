//! `/v1/live`: what happens, as server-sent events; and the totals over time behind it. Here it is
//! decided who may see what; `sampler` reads the totals, `tail` listens to deliveries, `stream`
//! writes events.

mod sampler;
mod stream;
mod tail;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use tokio::sync::watch;

use super::caller::Asking;
use super::deliveries::composed_term;
use super::hosts;
use super::listener::under_way;
use super::problem::Problem;
use super::request::{Params, host_name, json};
use crate::access::Scope;
use crate::clock::Clock;
use crate::delivery::Engine;
use crate::model::HostName;
use crate::report::host_series::{HostPoint, STEP_S};
use crate::report::series::{Point, Step};
use crate::store::Store;
pub use sampler::Sampler;
use stream::{Permit, Watching};
use tail::{Tail, Wanted};

/// What proxies of the kind of nginx look for before they collect an answer.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// The totals over time, and the streams that show what happens.
pub struct Live {
    sampler: Sampler,
    open: Arc<AtomicUsize>,
    ended: watch::Sender<bool>,
}

impl Live {
    pub(super) fn new(store: Arc<dyn Store>, engine: Arc<dyn Engine>, clock: Clock) -> Self {
        let sampler = Sampler::new(store, engine, clock);
        Self { sampler, open: Arc::default(), ended: watch::Sender::new(false) }
    }

    /// Reads the totals every second until [`end`](Self::end).
    pub async fn run(&self) {
        let mut ended = self.ended.subscribe();
        tokio::select! {
            () = self.sampler.run() => {}
            _ = ended.wait_for(|ended| *ended) => {}
        }
    }

    /// Ends all streams, and lets no new one begin.
    pub fn end(&self) {
        self.ended.send_replace(true);
    }

    /// What reads the totals.
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }
}

/// What is asked of a stream.
struct Asked {
    host: Option<HostName>,
    top: Option<usize>,
    /// Which deliveries; `None` where none are to be told.
    wanted: Option<Wanted>,
}

impl Asked {
    fn read(request: &HttpRequest, api: &Asking) -> Result<Self, Problem> {
        let mut params = Params::of(request);
        let host = params.take("host")?.map(|text| host_name(&text)).transpose()?;
        let top = params.take_number("top", 1..=sampler::TOP_MAX)?;
        let deliveries = params.take_switch("deliveries")?;
        let states = params.take("state")?;
        let campaign = params.take("campaign")?;
        let recipient = params.take("recipient")?;
        params.finish("host, top, deliveries, state, campaign, recipient")?;
        let narrowing = [("state", &states), ("campaign", &campaign), ("recipient", &recipient)];
        if let Some((name, _)) = narrowing.iter().find(|(_, value)| value.is_some() && !deliveries)
        {
            let detail = "narrows the deliveries that are told; give deliveries=true with it";
            return Err(Problem::parameter(*name, detail));
        }
        let states = states.map(|text| Wanted::read_states(&text)).transpose()?;
        let wanted = deliveries.then(|| Wanted {
            workspace: api.caller.workspace,
            host: host.clone(),
            states: states.unwrap_or_default(),
            campaign: campaign.map(|name| composed_term(api, "campaign", name).1),
            recipient,
        });
        Ok(Self { host, top, wanted })
    }
}

/// Opens a stream.
pub(super) async fn live(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let Asked { host, top, wanted } = Asked::read(&request, &api)?;
    let vet = |asked: bool, scope: Scope| match asked && !api.caller.may(scope) {
        true => Err(Problem::lacks_scope(scope.as_str())),
        false => Ok(()),
    };
    vet(wanted.is_some(), Scope::DeliveriesRead)?;
    // Who listens to the deliveries of a host need not be somebody who sees the host.
    let shows_host = host.is_some() && (wanted.is_none() || api.caller.may(Scope::HostsRead));
    vet(shows_host, Scope::HostsRead)?;
    let sees_stats = api.guest().is_none() && api.caller.may(Scope::StatsRead);
    if top.is_some() || (host.is_none() && wanted.is_none()) {
        vet(true, Scope::StatsRead)?;
        vet(top.is_some(), Scope::HostsRead)?;
        api.vet_operator()?;
    }
    let host = host.filter(|_| shows_host);
    if let Some(host) = host.as_ref().filter(|_| wanted.is_none()) {
        hosts::entry(&api, host).await?;
    }
    let ended = api.live.ended.subscribe();
    if *ended.borrow() {
        return Err(Problem::stopping());
    }
    let max = api.settings.server.max_live;
    let permit = Permit::take(&api.live.open, max).ok_or_else(|| Problem::too_many_streams(max))?;
    let watching = Watching {
        latest: api.live.sampler.latest(),
        stats: sees_stats.then_some(top.unwrap_or(0)),
        host,
        tail: wanted.map(|wanted| Tail::new(api.engine.feed().listen(), wanted)),
        _held: (permit, under_way(&request)),
        api,
    };
    Ok(HttpResponse::build(StatusCode::OK)
        .content_type("text/event-stream")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(UNBUFFERED)
        .streaming(watching.events(ended)))
}

#[derive(Serialize)]
struct Totals {
    step_s: u64,
    points: Vec<Point>,
}

/// The totals over time.
pub(super) async fn series(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let step = match params.take("step")?.as_deref() {
        None | Some("1") => Step::Second,
        Some("60") => Step::Minute,
        Some(_) => return Err(Problem::parameter("step", "is in seconds: 1 or 60")),
    };
    params.finish("step")?;
    api.vet_operator()?;
    let points = api.live.sampler.points(step);
    Ok(json(StatusCode::OK, &Totals { step_s: step.seconds(), points }))
}

#[derive(Serialize)]
struct OfHost {
    step_s: u64,
    points: Vec<HostPoint>,
}

/// One host over time. A host without an actor has no points: nothing happens there.
pub(super) async fn host_series(
    request: HttpRequest,
    host: web::Path<String>,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    Params::of(&request).finish("no parameters")?;
    let name = hosts::find(&api, host_name(&host)?).await?.name;
    let points = api.engine.series(name).await.unwrap_or_default();
    Ok(json(StatusCode::OK, &OfHost { step_s: STEP_S, points }))
}
