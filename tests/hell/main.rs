//! Receivers from hell: more than a hundred ways to misbehave, and what the sender, and then the
//! whole server, make of each. `behaviours` is the table.

mod attempts;
mod behaviours;
#[path = "../process/mod.rs"]
mod process;
mod races;
mod receiver;
mod sending;
mod server;
