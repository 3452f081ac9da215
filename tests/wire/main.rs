//! The sender against receivers on loopback sockets that do what they should, and what they should
//! not.

mod answers;
mod connections;
mod credentials;
mod leaving;
#[path = "../names/mod.rs"]
mod names;
mod names_lead;
mod receiver;
mod requests;
mod tls;
