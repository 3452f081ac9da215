//! Hostline delivers webhooks, and every destination host has its own actor: the one place that
//! holds that host's queue, its rate-limit budget, its backoff, its health and its cooldown.
//!
//! In reading order: the nouns ([`model`]), the rules ([`policy`]), the durable truth ([`store`]),
//! the way out of the house ([`delivery`]), the way in ([`admission`], [`compose`], [`api`]), what is
//! seen of it ([`dashboard`]), the wiring ([`app`]). `ARCHITECTURE.md` has the map.

pub mod model;
pub mod policy;

pub mod clock;
pub mod config;

pub mod report;
pub mod store;
pub mod vault;

pub mod delivery;

pub mod admission;
pub mod alerts;
pub mod compose;

pub mod access;
pub mod api;
pub mod dashboard;

pub mod app;
pub mod cli;
