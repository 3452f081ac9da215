//! Hostline delivers webhooks: every destination host has its own actor.

pub mod cli;
pub mod clock;
pub mod config;
pub mod delivery;
pub mod model;
pub mod policy;
pub mod store;
