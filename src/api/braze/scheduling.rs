//! The schedule forms of the sending routes: create, update, delete. A scheduled send goes to all
//! whom it names: who has a profile by then is not known when it is made.

use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::error::{BAD_REQUEST, BrazeError};
use super::sends::{self, Kind, ScheduleChange};
use super::targets::Target;
use super::{Asked, created, find, refused, resource, sending, vetting};
use crate::api::caller::Asking;
use crate::compose::{ScheduledWhat, Send, SendWhat};
use crate::model::Timestamp;

/// Adds the routes.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    let post = |path: &'static str| resource(path, "POST");
    config
        .service(post("/messages/schedule/create").route(web::post().to(create_message)))
        .service(post("/messages/schedule/update").route(web::post().to(update_message)))
        .service(post("/messages/schedule/delete").route(web::post().to(delete_message)));
    for (kind, path) in [(Kind::Campaign, "/campaigns"), (Kind::Canvas, "/canvas")] {
        let path = |verb: &str| format!("{path}/trigger/schedule/{verb}");
        let create = move |request: HttpRequest, payload: web::Payload, api: Asking| async move {
            create_trigger(&request, payload, &api, kind).await
        };
        let update = move |request: HttpRequest, payload: web::Payload, api: Asking| async move {
            update_trigger(&request, payload, &api, kind).await
        };
        let delete = move |request: HttpRequest, payload: web::Payload, api: Asking| async move {
            delete(&request, payload, &api, Some(kind)).await
        };
        config
            .service(resource(&path("create"), "POST").route(web::post().to(create)))
            .service(resource(&path("update"), "POST").route(web::post().to(update)))
            .service(resource(&path("delete"), "POST").route(web::post().to(delete)));
    }
}

async fn create_message(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    let asked = Asked::read(&request, payload, &api).await?;
    let wanted = sends::message_schedule(&asked.body, asked.now)?;
    vetting::vet_message(&api, &wanted)?;
    let at = wanted.at.unwrap_or(asked.now);
    create(&api, &sending::of_message(wanted, asked.hop), at, Vec::new()).await
}

async fn create_trigger(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Asking,
    kind: Kind,
) -> Result<HttpResponse, BrazeError> {
    let asked = Asked::read(request, payload, api).await?;
    let wanted = sends::trigger_schedule(&asked.body, kind, asked.now)?;
    let entry = find(api, kind, &wanted.id)?;
    vetting::vet_trigger(&entry, kind)?;
    let errors = match &wanted.target {
        Target::Everyone => Vec::new(),
        Target::Recipients(recipients) => {
            sending::write_attributes(api, recipients, "/recipients").await?
        }
    };
    let at = wanted.at.unwrap_or(asked.now);
    create(api, &sending::of_trigger(wanted, kind, &entry, asked.hop), at, errors).await
}

/// Schedules a send. What it will be dispatched as is not known yet: its id stands for both.
async fn create(
    api: &Asking,
    send: &Send,
    at: Timestamp,
    errors: Vec<Value>,
) -> Result<HttpResponse, BrazeError> {
    let id = api.composer.schedule(send, at).await.map_err(refused)?;
    let mut answer = json!({"dispatch_id": id, "schedule_id": id, "message": "success"});
    if !errors.is_empty() {
        answer["errors"] = Value::Array(errors);
    }
    Ok(created(&answer))
}

async fn update_message(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    let asked = Asked::read(&request, payload, &api).await?;
    let change = sends::message_update(&asked.body, asked.now)?;
    let send = vet_kind(&api, &change, None).await?;
    let SendWhat::Webhooks { campaign, .. } = &send.what else {
        return Err(not_of_this(&change, None));
    };
    if let Some(message) = &change.message {
        vetting::vet_variation(&api, campaign.as_deref(), message.variation.as_deref())?;
    }
    let changed = api.composer.change_schedule(&change.schedule_id, change.at, |send| {
        if let (Some(message), SendWhat::Webhooks { webhooks, .. }) =
            (&change.message, &mut send.what)
        {
            *webhooks = vec![sending::raw(&message.webhook)];
        }
    });
    changed.await.map_err(refused)?;
    Ok(done())
}

async fn update_trigger(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Asking,
    kind: Kind,
) -> Result<HttpResponse, BrazeError> {
    let asked = Asked::read(request, payload, api).await?;
    let change = sends::trigger_update(&asked.body, kind, asked.now)?;
    vet_kind(api, &change, Some(kind)).await?;
    let changed = api.composer.change_schedule(&change.schedule_id, change.at, |_| {});
    changed.await.map_err(refused)?;
    Ok(done())
}

async fn delete_message(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    delete(&request, payload, &api, None).await
}

async fn delete(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Asking,
    kind: Option<Kind>,
) -> Result<HttpResponse, BrazeError> {
    let asked = Asked::read(request, payload, api).await?;
    let change = sends::deletion(&asked.body, kind)?;
    vet_kind(api, &change, kind).await?;
    api.composer.cancel_schedule(&change.schedule_id).await.map_err(refused)?;
    Ok(done())
}

fn done() -> HttpResponse {
    created(&json!({"message": "success"}))
}

/// The send that a change is about. It has to be one that this route makes, and of the campaign or
/// canvas that the request names.
async fn vet_kind(
    api: &Asking,
    change: &ScheduleChange,
    kind: Option<Kind>,
) -> Result<Send, BrazeError> {
    let named = match (kind, &change.id) {
        (Some(kind), Some(reference)) => Some(find(api, kind, reference)?.head.id.clone()),
        _ => None,
    };
    let scheduled = api.composer.scheduled(&change.schedule_id).await.map_err(refused)?;
    let ScheduledWhat::Send(send) = scheduled.what else { return Err(not_of_this(change, kind)) };
    let fits = match (&send.what, kind) {
        (SendWhat::Webhooks { .. }, None) => true,
        (SendWhat::Campaign(id), Some(Kind::Campaign)) => Some(id) == named.as_ref(),
        (SendWhat::Canvas(id), Some(Kind::Canvas)) => Some(id) == named.as_ref(),
        _ => false,
    };
    if fits { Ok(*send) } else { Err(not_of_this(change, kind)) }
}

fn not_of_this(change: &ScheduleChange, kind: Option<Kind>) -> BrazeError {
    let id = &change.schedule_id;
    let detail = match kind {
        None => format!("is not the schedule of a message: {id:?}"),
        Some(Kind::Campaign) => format!("is not a schedule of this campaign: {id:?}"),
        Some(Kind::Canvas) => format!("is not a schedule of this canvas: {id:?}"),
    };
    BrazeError::field(BAD_REQUEST, "/schedule_id", detail)
}
