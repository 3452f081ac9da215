//! What happened: counts and latencies, kept small enough to have one per host.

pub mod histogram;
pub mod host_series;
pub mod meters;
pub mod series;
pub mod tally;
pub mod usage;
