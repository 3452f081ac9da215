//! Three times what the server takes, beside the same server with little and with half of it.
//!
//! The load is open: each trigger has its time, whatever became of those before it. The connections
//! are bounded, as those of real callers are; a trigger that finds all of them waiting for an answer
//! is left out, and what went out is told beside what was to.

use std::io;
use std::time::Duration;

use super::run::{Load, Outcome, measure};

/// Connections of an overload: at three times what the server takes each has its answer before it
/// is needed again, unless that takes longer than some five milliseconds.
pub(super) const CONNECTIONS: usize = 512;
/// How many times what it takes.
const TIMES: f64 = 3.0;
/// Triggers a second of a server that has little to do.
const QUIET_PER_S: f64 = 1_000.0;
/// How long it is watched for comparison.
const COMPARED: Duration = Duration::from_secs(10);
/// How long the crowd that obeys comes in.
const CROWD_S: f64 = 5.0;

/// Places of the runs: what it takes, with little to do, with half, with three times as much.
pub(super) const TAKES: usize = 0;
/// With little to do.
pub(super) const QUIET: usize = 1;
/// With half of what it takes.
pub(super) const HALF: usize = 2;
/// With three times that.
pub(super) const OVER: usize = 3;

/// All of it; with `obey` a crowd at the end that comes again as it is told.
pub(super) fn run(load: &Load, connections: usize, obey: bool) -> io::Result<Vec<Outcome>> {
    let duration = load.duration.unwrap_or(Duration::from_secs(60));
    let compared = Some(duration.min(COMPARED));
    let named = |what: &str| Load { name: format!("{}, {what}", load.name), ..load.clone() };
    let least = Load { duration: compared, triggers: u32::MAX / 2, ..load.clone() };
    let takes = measure(&Load { name: named("what it takes").name, ..least.clone() })?;
    let rate = |times: f64| Some(takes.accepted_per_s * times);
    let quiet = measure(&Load {
        name: named("1,000/s").name,
        rate: Some(QUIET_PER_S.min(takes.accepted_per_s / 2.0)),
        ..least.clone()
    })?;
    let half = measure(&Load { name: named("half of it").name, rate: rate(0.5), ..least.clone() })?;
    let over = Load { rate: rate(TIMES), connections, ..named("three times it") };
    let over = Load { lossy: true, triggers: u32::MAX / 2, duration: Some(duration), ..over };
    let crowd = Load {
        name: named("a crowd that obeys Retry-After").name,
        lossy: false,
        obey: true,
        duration: None,
        triggers: (takes.accepted_per_s * TIMES * CROWD_S) as u32,
        ..over.clone()
    };
    let mut runs = vec![takes, quiet, half, measure(&over)?];
    if obey {
        runs.push(measure(&crowd)?);
    }
    Ok(runs)
}
