//! The server itself: stats, metrics, health, the dashboard's files, this document.

use super::operation::{Route, get};
use super::shape::{Shape, anything, flag, list, object, of, pattern, text, whole, within, words};
use crate::api::stats::Stats;
use crate::report::series::Point;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let metrics = [("application/openmetrics-text", text())];
    vec![
        get("/v1/stats", "getStats", "Totals, and the stats of the actors")
            .says("Of all workspaces: for keys of the default one.")
            .answers(200, "The stats.", of::<Stats>()),
        get("/v1/series", "getSeries", "Totals over time")
            .says("Of all workspaces: for keys of the default one. From memory.")
            .query("step", words(&["1", "60"]).otherwise("1"), "Seconds of a point.")
            .answers(200, "300 points of a second, or 1,440 of a minute.", series()),
        live(),
        get("/metrics", "getMetrics", "Metrics in OpenMetrics' text form")
            .says("On the administration's address, where there is one.")
            .answers_as(200, "The metrics.", &metrics),
        get("/healthz", "isAlive", "Whether the process lives").answers(
            200,
            "It does.",
            object([("status", words(&["ok"]))]),
        ),
        get("/readyz", "isReady", "Whether triggers are taken")
            .answers(200, "They are.", readiness())
            .answers(503, "They are not.", readiness()),
        get("/openapi.json", "getDocument", "This document").answers_tagged(
            "The document.",
            "application/json",
            anything(),
        ),
        get("/docs", "getDocumentPage", "A page to read and try this document").answers_tagged(
            "The page.",
            "text/html",
            text(),
        ),
        get("/", "getDashboard", "The dashboard").answers_tagged("The page.", "text/html", text()),
        get("/ui/{path:.*}", "getDashboardFile", "A file of the dashboard")
            .segment("path", pattern("^[a-z0-9/._-]+$").such_as("app.js"), "The file.")
            .answers_tagged("The file.", "*/*", anything())
            .refuses(&[404]),
    ]
}

fn series() -> Shape {
    object([("step_s", whole(1)), ("points", list(of::<Point>()))]).called("TotalsSeries")
}

fn live() -> Route {
    let states = pattern("^[a-z_, ]+$").such_as("failed,exhausted,retried");
    get("/v1/live", "getLive", "What happens, as server-sent events")
        .says(
            "Each second `stats` (totals, for operators with `stats:read`) and, with `host`, `host` \
             (as `GET /v1/hosts/{host}`); with `deliveries=true` a `delivery` as each ends or is to \
             be retried, and `dropped` with a count when the reader is too slow. A comment comes \
             every 15 s.",
        )
        .query("host", super::words::host(), "Tells of this host.")
        .query("top", within(1, 50), "Adds so many slowest and most backlogged hosts to `stats`.")
        .query("deliveries", flag(), "Tells of deliveries.")
        .query("state", states, "Only deliveries in these states, or `retried`.")
        .query("campaign", text(), "Only deliveries of this campaign.")
        .query("recipient", text(), "Only deliveries for this recipient.")
        .answers_as(200, "The stream.", &[("text/event-stream", text())])
        .refuses(&[404])
}

fn readiness() -> Shape {
    let checks = object([
        ("engine", words(&["ok", "stopping"])),
        ("store", words(&["ok", "refuses writes"])),
    ]);
    object([("status", words(&["ready", "not ready"])), ("checks", checks)]).called("Readiness")
}
