//! The front end by its behaviour: what it takes, what it refuses, and what it says then.

#[path = "front/engine.rs"]
mod engine;
#[path = "front/events.rs"]
mod events;
#[path = "front/faults.rs"]
mod faults;
#[path = "front/house.rs"]
mod house;
#[path = "front/http2.rs"]
mod http2;
#[path = "front/limits.rs"]
mod limits;
#[path = "front/live.rs"]
mod live;
#[path = "front/open.rs"]
mod open;
#[path = "front/operating.rs"]
mod operating;
#[path = "front/seeing.rs"]
mod seeing;
#[path = "front/sending.rs"]
mod sending;
#[path = "front/serving.rs"]
mod serving;
#[path = "front/smuggling.rs"]
mod smuggling;
#[path = "front/tls.rs"]
mod tls;
