//! Requests to this API: how many were answered with what, and how long the answer took to begin.
//! What is streamed ends when its reader wants, so that the end says nothing of us.

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::middleware::Next;
use actix_web::{Error, web};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use super::Histograms;
use crate::api::Api;
use crate::report::histogram::Histogram;
use crate::report::meters::WORK_BOUNDS_US;

/// What requests are counted by. Routes are patterns, so that their number is bounded.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Request {
    route: String,
    method: Method,
    status: u16,
}

/// A method; those that no route takes are one, so that callers cannot make labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Method(&'static str);

impl EncodeLabelValue for Method {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0.encode(encoder)
    }
}

impl Method {
    fn of(method: &actix_web::http::Method) -> Self {
        let known = ["GET", "POST", "PATCH", "DELETE", "PUT", "HEAD", "OPTIONS"];
        Self(known.into_iter().find(|name| *name == method.as_str()).unwrap_or("other"))
    }
}

/// Kinds of routes that take about as long as one another, each with what its patterns begin with;
/// the first that fits counts. A histogram for each route would be thousands of lines.
const KINDS: [(&str, &[&str]); 6] = [
    ("batch", &["/v1/triggers/batch"]),
    ("trigger", &["/v1/triggers", "/v1/events", "/v1/recipients"]),
    ("deliveries", &["/v1/deliveries", "/v1/redrives", "/v1/activity", "/v1/reports"]),
    ("hosts", &["/v1/hosts", "/v1/stats", "/v1/live", "/v1/series"]),
    ("page", &["/ui/"]),
    ("other", &[""]),
];

fn kind_of(route: &str) -> usize {
    let begins = |(_, starts): &(_, &[&str])| starts.iter().any(|start| route.starts_with(start));
    KINDS.iter().position(begins).unwrap_or(KINDS.len() - 1)
}

/// Requests answered so far. Clones share the counts.
#[derive(Clone, Debug)]
pub(in crate::api) struct Requests {
    answered: Family<Request, Counter>,
    took: Arc<[Histogram; KINDS.len()]>,
}

impl Default for Requests {
    fn default() -> Self {
        let took = std::array::from_fn(|_| Histogram::new(&WORK_BOUNDS_US));
        Self { answered: Family::default(), took: Arc::new(took) }
    }
}

impl Requests {
    pub(super) fn register(&self, registry: &mut Registry) {
        let help = "Requests to this API, by answer";
        registry.register("http_requests", help, self.answered.clone());
        let names = ("http_request_seconds", "Time until an answer began, by kind of route");
        let rows = KINDS.iter().zip(&*self.took);
        let rows = rows.map(|((kind, _), took)| (*kind, took.snapshot()));
        registry.register_collector(Box::new(Histograms::by(names, "kind", rows)));
    }
}

/// Counts a request by what it was answered with.
pub(in crate::api) async fn count(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let api = request.app_data::<web::Data<Api>>().cloned();
    let method = Method::of(request.method());
    let begun = api.as_ref().map(|api| api.clock.moment());
    let response = next.call(request).await?;
    if let (Some(api), Some(begun)) = (api, begun) {
        let route = response.request().match_pattern().unwrap_or_else(|| "unknown".into());
        let took = api.clock.moment().since(begun);
        api.requests.took[kind_of(&route)].record_duration(took);
        let status = response.status().as_u16();
        api.requests.answered.get_or_create(&Request { route, method, status }).inc();
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_kind() {
        let kind = |route| KINDS[kind_of(route)].0;
        assert_eq!(kind("/v1/triggers/batch"), "batch");
        assert_eq!(kind("/v1/triggers"), "trigger");
        assert_eq!(kind("/v1/deliveries/{id}"), "deliveries");
        assert_eq!(kind("/v1/hosts/{host}"), "hosts");
        assert_eq!(kind("/v1/templates"), "other");
        assert_eq!(kind("/ui/{path}"), "page");
        assert_eq!(kind("unknown"), "other");
    }
}
