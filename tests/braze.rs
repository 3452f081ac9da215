//! The Braze-compatible API by its behaviour: what each route does, and in which shape it answers
//! and refuses. What real clients make of it is in `clients.rs`.

#![allow(dead_code)] // the front end's house has more rooms than these tests use

#[path = "front/engine.rs"]
mod engine;
#[path = "braze/exporting.rs"]
mod exporting;
#[path = "front/faults.rs"]
mod faults;
#[path = "front/house.rs"]
mod house;
#[path = "braze/refusing.rs"]
mod refusing;
#[path = "braze/scheduling.rs"]
mod scheduling;
#[path = "braze/sending.rs"]
mod sending;
#[path = "braze/tracking.rs"]
mod tracking;
#[path = "braze/world.rs"]
mod world;
