//! The routes of the public REST API of Braze, as far as they concern webhooks, so that a client of
//! that API can point here. A request is read (`sends`, `track`, `queries`), handed to the composer
//! (`sending`, `scheduling`, `tracking`) or looked up (`exporting`), and answered in that API's
//! shape, errors included. What is out of scope is refused by name.
//!
//! Where the API's manual is silent, the status of an answer is that of recorded ones: 201 for
//! whatever a POST made, 200 for what a GET shows.

mod audience;
mod error;
mod exporting;
mod exports;
mod fields;
mod message;
mod queries;
mod scheduling;
mod sending;
mod sends;
mod series;
mod targets;
mod track;
mod tracking;
mod vetting;
mod when;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, Resource, ResponseError, web};
use bytes::Bytes;
use serde_json::Value;

use super::request::{json, read_body, vet_json_type};
use super::triggers::hop;
use crate::admission::{Envelope, FieldError, Place, Refusal};
use crate::api::caller::Asking;
use crate::compose::Entry;
use crate::model::Timestamp;
use error::{BAD_REQUEST, BrazeError, INVALID_CAMPAIGN, INVALID_CANVAS};
use sends::Kind;

/// Paths of that API below which nothing is served, and why.
const OUT_OF_SCOPE: [(&str, &str); 16] = [
    ("/catalogs", "is out of scope: there are no catalogs here"),
    ("/content_blocks", "is out of scope: there are no content blocks here; use a template"),
    ("/email", "is out of scope: email is not sent here"),
    ("/events", "is out of scope: send events to /users/track; they are not listed"),
    ("/feed", "is out of scope: there is no news feed here"),
    ("/kpi", "is out of scope: nothing is known here of an app's use"),
    ("/preference_center", "is out of scope: no subscriptions are kept here"),
    ("/purchases", "is out of scope: purchases are not kept here"),
    ("/segments", "is out of scope: there are no segments here"),
    ("/sessions", "is out of scope: nothing is known here of an app's use"),
    ("/sms", "is out of scope: text messages are not sent here"),
    ("/subscription", "is out of scope: no subscriptions are kept here"),
    (
        "/templates",
        "is out of scope: email is not sent here; webhook templates are at /v1/templates",
    ),
    ("/transactional", "is out of scope: email is not sent here"),
    ("/custom_attributes", "is out of scope; recipients are at /v1/recipients"),
    ("/v2/subscription", "is out of scope: no subscriptions are kept here"),
];
/// First segments of the paths that are served.
const SERVED: [&str; 5] = ["/messages", "/campaigns", "/canvas", "/users", "/sends"];

/// Whether a path is one of that API, so that it is answered in its shape.
pub(super) fn speaks(path: &str) -> bool {
    !path.starts_with("/v1/") && all_paths().any(|known| is_below(path, known))
}

/// Whether a pattern is one of those that only say that nothing is served there.
pub(super) fn is_out_of_scope(pattern: &str) -> bool {
    all_paths().any(|path| {
        pattern.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest == "/{tail:.*}")
    })
}

/// The answer to a request that is not let in.
pub(super) fn refusal(problem: super::problem::Problem) -> HttpResponse {
    BrazeError::from(problem).error_response()
}

fn all_paths() -> impl Iterator<Item = &'static str> {
    SERVED.into_iter().chain(OUT_OF_SCOPE.iter().map(|(path, _)| *path))
}

fn is_below(path: &str, known: &str) -> bool {
    path.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Adds the routes, and answers in that API's shape to whatever else comes below their paths.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let post = |path: &'static str| resource(path, "POST");
    let get = |path: &'static str| resource(path, "GET");
    config
        .service(post("/messages/send").route(web::post().to(sending::message)))
        .service(post("/campaigns/trigger/send").route(web::post().to(sending::campaign)))
        .service(post("/canvas/trigger/send").route(web::post().to(sending::canvas)))
        .service(post("/sends/id/create").route(web::post().to(sending::create_id)))
        .service(post("/users/track").route(web::post().to(tracking::track)));
    scheduling::configure(config);
    config
        .service(get("/messages/scheduled_broadcasts").route(web::get().to(exporting::broadcasts)))
        .service(get("/campaigns/list").route(web::get().to(exporting::campaigns)))
        .service(get("/campaigns/details").route(web::get().to(exporting::campaign)))
        .service(get("/campaigns/data_series").route(web::get().to(exporting::series)))
        .service(get("/canvas/list").route(web::get().to(exporting::canvases)))
        .service(get("/canvas/details").route(web::get().to(exporting::canvas)));
    let served = SERVED.iter().map(|path| (*path, "is no route of this server"));
    for (path, why) in served.chain(OUT_OF_SCOPE) {
        config.service(web::resource([path.to_owned(), format!("{path}/{{tail:.*}}")]).to(
            move |request: HttpRequest| async move {
                BrazeError::no_route(request.path(), why).error_response()
            },
        ));
    }
}

/// A resource that answers a method it does not take with the one that it does.
fn resource(path: &str, allow: &'static str) -> Resource {
    let in_table = super::scopes::covers(path, allow);
    debug_assert!(in_table, "{allow} {path} is not in the table of scopes");
    web::resource(path).default_service(web::to(move |request: HttpRequest| async move {
        BrazeError::method(request.path(), request.method().as_str(), allow).error_response()
    }))
}

/// A request that brings something to be made durable.
struct Asked<'a> {
    body: Bytes,
    now: Timestamp,
    /// How many of our own webhooks led to it.
    hop: u8,
    /// Kept until it is answered.
    _place: Place<'a>,
}

impl<'a> Asked<'a> {
    async fn read(
        request: &HttpRequest,
        payload: web::Payload,
        api: &'a Asking,
    ) -> Result<Self, BrazeError> {
        vet_json_type(request)?;
        let hop = hop(request.headers())?;
        api.composer.vet_hop(hop).await.map_err(refused)?;
        // A slow client takes no place while its request comes in.
        let body = read_body(request, payload, api.settings.server.max_request).await?;
        let place = api.admission.enter().map_err(refused)?;
        Ok(Self { body, now: api.clock.wall(), hop, _place: place })
    }

    fn envelope(&self, api: &Asking) -> Envelope {
        Envelope::plain(self.now, self.hop, &api.settings)
    }
}

/// What that API calls the fields of a webhook document.
fn renamed(pointer: &str) -> String {
    let Some(rest) = pointer.strip_prefix("/webhook") else { return pointer.to_owned() };
    let rest = rest.replacen("/headers", "/request_headers", 1);
    format!("/messages/webhook{}", rest.replacen("/method", "/request_method", 1))
}

/// Why the composer or admission refused, in that API's shape.
fn refused(refusal: Refusal) -> BrazeError {
    match refusal {
        Refusal::NotFound { what: "campaign", name } => no_such(Kind::Campaign, &name),
        Refusal::NotFound { what: "canvas", name } => no_such(Kind::Canvas, &name),
        Refusal::NotFound { what: "schedule", name } => {
            let detail = format!("names no schedule that is still to come: {name:?}");
            BrazeError::field(BAD_REQUEST, "/schedule_id", detail)
        }
        Refusal::Conflict { detail, .. } => BrazeError::request(BAD_REQUEST, detail),
        Refusal::Invalid(FieldError { pointer, detail }) => {
            BrazeError::field(BAD_REQUEST, &renamed(&pointer), detail)
        }
        // Of all documents only a filter comes from these routes.
        Refusal::Faults(faults) => {
            let details: Vec<String> = faults.into_iter().map(|fault| fault.detail).collect();
            BrazeError::field(BAD_REQUEST, "/audience", details.join("; "))
        }
        other => BrazeError::from(super::problem::Problem::from(other)),
    }
}

/// No campaign or canvas is called so.
fn no_such(kind: Kind, name: &str) -> BrazeError {
    let (title, word) = match kind {
        Kind::Campaign => (INVALID_CAMPAIGN, "campaign"),
        Kind::Canvas => (INVALID_CANVAS, "canvas"),
    };
    let detail = format!("names no {word}, by id or by name: {name:?}");
    BrazeError::field(title, &format!("/{}", kind.id_field()), detail)
}

/// A campaign or canvas by id or name.
fn find(api: &Asking, kind: Kind, reference: &str) -> Result<Arc<Entry>, BrazeError> {
    api.composer.entry(kind.composed(), reference).map_err(refused)
}

/// An entry's document as a value.
fn document(entry: &Entry) -> Value {
    serde_json::from_str(entry.document.get()).unwrap_or_default()
}

/// Something was made.
fn created(answer: &Value) -> HttpResponse {
    json(StatusCode::CREATED, answer)
}
