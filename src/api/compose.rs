//! The routes of composition: templates, campaigns, canvases; recipients and their events; what is
//! scheduled; what became of it all.

mod activity;
mod catalog;
mod csv;
mod dry_run;
mod events;
mod preview;
mod recipients;
mod reports;
mod schedules;

pub(super) use activity::{Group, View as Shown};
use actix_web::web;
pub(super) use reports::View as ReportView;

use super::resource;
use crate::compose::Kind;

/// Adds the routes.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    for (name, kind) in
        [("templates", Kind::Template), ("campaigns", Kind::Campaign), ("canvases", Kind::Canvas)]
    {
        catalog::configure(config, name, kind);
    }
    config
        .service(resource("/v1/events", "POST").route(web::post().to(events::create)))
        .service(resource("/v1/webhooks/test", "POST").route(web::post().to(preview::test)))
        .service(resource("/v1/recipients", "GET").route(web::get().to(recipients::list)))
        .service(
            resource("/v1/recipients/{external_id}", "GET, PUT, PATCH, DELETE")
                .route(web::get().to(recipients::show))
                .route(web::put().to(recipients::put))
                .route(web::patch().to(recipients::patch))
                .route(web::delete().to(recipients::forget)),
        )
        .service(
            resource("/v1/recipients/{external_id}/export", "GET")
                .route(web::get().to(recipients::export)),
        )
        .service(resource("/v1/schedules", "GET").route(web::get().to(schedules::list)))
        .service(
            resource("/v1/schedules/{id}", "GET, DELETE")
                .route(web::get().to(schedules::show))
                .route(web::delete().to(schedules::cancel)),
        )
        .service(resource("/v1/activity", "GET").route(web::get().to(activity::list)))
        .service(resource("/v1/activity/groups", "GET").route(web::get().to(activity::groups)))
        .service(resource("/v1/reports", "GET").route(web::get().to(reports::reports)));
}
