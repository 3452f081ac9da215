//! Hosts: the stats of their actors, and what operators ask of them.

use serde_json::json;

use super::operation::{Route, get, host_name, patch, post};
use super::shape::{
    Shape, all_of, any_of, closed, flag, line, list, number, object, of, page, pattern, whole,
    within,
};
use super::words::{HOST_STATES, host};
use crate::api::hosts::Kept;
use crate::delivery::HostSnapshot;
use crate::model::HostControls;
use crate::report::host_series::HostPoint;
use crate::store::HostInterval;

/// What the live ones are sorted by, the name aside.
const SORTS: [&str; 12] = [
    "queued",
    "waiting",
    "in_flight",
    "mailbox",
    "age",
    "attempts",
    "dead",
    "success",
    "p50",
    "p99",
    "state",
    "until",
];

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let pause = closed([("reason?", line(0, 500).says("Why, for those who come after."))]);
    vec![
        all(),
        one(),
        series(),
        change(),
        control("/v1/hosts/{host}/pause", "pauseHost", "Send nothing to a host")
            .says("What is owed waits until it is resumed; kept over restarts.")
            .may_take(pause, json!({"reason": "moves to another data centre"})),
        control("/v1/hosts/{host}/resume", "resumeHost", "End a pause and a drain")
            .may_take(closed([]), json!({})),
        control("/v1/hosts/{host}/drain", "drainHost", "Take nothing new for a host")
            .says("What is queued goes out; new triggers are refused.")
            .may_take(closed([]), json!({})),
        purge(),
    ]
}

fn row() -> Shape {
    let live = all_of([object([("alive", flag())]), of::<HostSnapshot>()]).called("LiveHost");
    any_of([live, of::<Kept>()])
}

fn all() -> Route {
    let states = HOST_STATES.join("|");
    let states = pattern(&format!("^ *({states})? *(, *({states})? *)*$"));
    let keys = SORTS.join("|");
    let sorts = pattern(&format!("^(name|-?({keys}))$")).otherwise("name");
    let total = whole(0).says("Of all pages; only where the order is from memory.");
    let rows = page(row()).also("total", total.or_null(), false);
    get("/v1/hosts", "listHosts", "List hosts")
        .says(
            "By name: every host that was ever seen, live or not. In any other order: the live \
             host actors.",
        )
        .query("sort", sorts, "The largest first with a `-` before it.")
        .query("state", states.such_as("cooling_down,paused"), "Only in one of these states.")
        .query("q", line(0, 300), "Only those with this in their names.")
        .query("alive", flag().otherwise(false), "Only live ones, in any order.")
        .query("offset", whole(0), "Rows to leave out, where the order is from memory.")
        .paged()
        .answers(200, "A page of hosts.", rows)
}

fn one() -> Route {
    let history = object([("history", list(of::<HostInterval>()).says("Of the last day."))]);
    get("/v1/hosts/{host}", "getHost", "One host")
        .segment("host", host_name(), "The host.")
        .answers(200, "The host.", all_of([row(), history]))
        .refuses(&[404])
}

fn series() -> Route {
    let points = list(of::<HostPoint>()).says("Of the last 15 minutes.");
    get("/v1/hosts/{host}/series", "getHostSeries", "One host over time")
        .segment("host", host_name(), "The host.")
        .answers(
            200,
            "A point each ten seconds.",
            object([("step_s", whole(1)), ("points", points)]),
        )
        .refuses(&[404])
}

fn controlled() -> Shape {
    object([("host", host()), ("controls", of::<HostControls>())]).called("ControlledHost")
}

fn control(path: &'static str, id: &str, summary: &str) -> Route {
    post(path, id, summary)
        .segment("host", host_name(), "The host; it need not have been seen yet.")
        .answers(200, "What is asked of the host now.", controlled())
}

fn change() -> Route {
    let limits = closed([
        ("requests_per_second?", number().above(0.0, 1_000_000.0)),
        ("burst?", within(1, u32::MAX as usize)),
        ("in_flight?", within(1, 10_000)),
    ]);
    let input = closed([("limits", limits)]).called("HostPatch");
    patch("/v1/hosts/{host}", "changeHost", "Set the limits of a host")
        .says("What is absent stays, `null` goes back to the settings.")
        .segment("host", host_name(), "The host; it need not have been seen yet.")
        .takes(input, json!({"limits": {"requests_per_second": 20, "burst": 5}}))
        .answers(200, "What is asked of the host now.", controlled())
}

fn purge() -> Route {
    let answer = object([("host", host()), ("purged", whole(0))]);
    post("/v1/hosts/{host}/purge", "purgeHost", "Cancel all that is owed to a host")
        .segment("host", host_name(), "The host.")
        .may_take(closed([]), json!({}))
        .answers(200, "How many deliveries were cancelled.", answer)
        .refuses(&[404])
}
