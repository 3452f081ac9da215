//! `hostline demo`: its flags.

use std::time::Duration;

use clap::Args;

use crate::config::units::parse_duration;

/// Flags of `demo`.
#[derive(Args, Clone, Debug)]
pub struct DemoArgs {
    /// How long to run, such as 30s or 2m
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse_duration)]
    pub duration: Duration,
    /// Receivers to deliver to, each a host of its own
    #[arg(long, value_name = "N", default_value_t = 5)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=100))]
    pub hosts: u16,
}
