//! Composition by its behaviour, over the routes: templates, campaigns, canvases, recipients, what
//! is scheduled, and what the reports say of it. Time is moved, nothing sleeps.

#[path = "composition/campaigns.rs"]
mod campaigns;
#[path = "composition/canvases.rs"]
mod canvases;
#[path = "composition/catalog.rs"]
mod catalog;
#[allow(dead_code)] // each test file uses its part
#[path = "front/engine.rs"]
mod engine;
#[path = "composition/events.rs"]
mod events;
#[allow(dead_code)]
#[path = "front/faults.rs"]
mod faults;
#[path = "composition/figures.rs"]
mod figures;
#[allow(dead_code)]
#[path = "front/house.rs"]
mod house;
#[path = "composition/limits.rs"]
mod limits;
#[path = "composition/losses.rs"]
mod losses;
#[path = "composition/people.rs"]
mod people;
#[path = "composition/reports.rs"]
mod reports;
#[path = "composition/schedules.rs"]
mod schedules;
#[path = "composition/world.rs"]
mod world;
