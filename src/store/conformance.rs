//! The law of the store as claims that every engine is held to. Each claim is a function named
//! after what it holds; `exercise` runs them all, each on a fresh store.

mod activity;
mod deliveries;
mod hosts;
mod keys;
mod lanes;
mod lists;
mod records;
mod reports;
mod world;

use std::sync::Arc;

use crate::store::Store;

/// Runs every claim on stores that `make` gives, each empty. Panics at the first that is broken.
/// The limit on pending deliveries of the stores must be [`MAX_PENDING`].
pub fn exercise(make: impl Fn() -> Arc<dyn Store>) {
    deliveries::exercise(&make);
    keys::exercise(&make);
    lanes::exercise(&make);
    hosts::exercise(&make);
    lists::exercise(&make);
    records::exercise(&make);
    reports::exercise(&make);
    activity::exercise(&make);
}

/// `max_pending` of the stores under exercise: small, so that a claim can reach it.
pub const MAX_PENDING: u64 = 300;
