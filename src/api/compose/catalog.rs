//! Templates, campaigns and canvases: the same routes for each.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use serde_json::json;
use serde_json::value::RawValue;

use super::{preview, reports};
use crate::api::caller::Asking;
use crate::api::problem::Problem;
use crate::api::request::{Params, json, located, read_body, read_json_or_nothing, vet_json_type};
use crate::api::{Api, resource};
use crate::compose::{Action, Entry, Head, Kind, Status};

/// Adds the routes of one kind below `/v1/{name}`.
pub(super) fn configure(config: &mut web::ServiceConfig, name: &'static str, kind: Kind) {
    let at = |rest: &str| format!("/v1/{name}{rest}");
    config.service(
        resource(&at(""), "GET, POST")
            .app_data(web::Data::new(kind))
            .route(web::get().to(list))
            .route(web::post().to(create)),
    );
    config.service(
        resource(&at("/{id}"), "GET, PUT")
            .app_data(web::Data::new(kind))
            .route(web::get().to(show))
            .route(web::put().to(edit)),
    );
    config.service(
        resource(&at("/{id}/duplicate"), "POST")
            .app_data(web::Data::new(kind))
            .route(web::post().to(duplicate)),
    );
    if kind != Kind::Campaign {
        config.service(
            resource(&at("/{id}/versions/{version}"), "GET")
                .app_data(web::Data::new(kind))
                .route(web::get().to(version)),
        );
    }
    let mut actions = vec![("archive", Action::Archive)];
    if kind != Kind::Template {
        actions.extend([
            ("launch", Action::Launch),
            ("pause", Action::Pause),
            ("resume", Action::Resume),
        ]);
        config.service(
            resource(&at("/{id}/report"), "GET")
                .app_data(web::Data::new(kind))
                .route(web::get().to(reports::of_composed)),
        );
    }
    for (word, action) in actions {
        config.service(
            resource(&at(&format!("/{{id}}/{word}")), "POST")
                .app_data(web::Data::new(kind))
                .app_data(web::Data::new(action))
                .route(web::post().to(act)),
        );
    }
    if kind != Kind::Canvas {
        config.service(
            resource(&at("/{id}/preview"), "POST")
                .app_data(web::Data::new(kind))
                .route(web::post().to(preview::preview)),
        );
    }
    if kind == Kind::Campaign {
        config.service(
            resource(&at("/{id}/dry_run"), "POST").route(web::post().to(super::dry_run::dry_run)),
        );
    }
}

/// An entry on the wire.
#[derive(Serialize)]
struct View<'a> {
    #[serde(flatten)]
    head: &'a Head,
    document: &'a RawValue,
}

fn view(status: StatusCode, entry: &Arc<Entry>) -> HttpResponse {
    json(status, &View { head: &entry.head, document: &entry.document })
}

async fn create(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
    kind: web::Data<Kind>,
) -> Result<HttpResponse, Problem> {
    let document = document(&request, payload, &api).await?;
    let entry = api.composer.create(**kind, &document).await?;
    let place = format!("{}/{}", request.path(), entry.head.id);
    Ok(located(view(StatusCode::CREATED, &entry), &place))
}

async fn document(
    request: &HttpRequest,
    payload: web::Payload,
    api: &Api,
) -> Result<bytes::Bytes, Problem> {
    vet_json_type(request)?;
    read_body(request, payload, api.settings.server.max_request).await
}

async fn edit(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
    (kind, id): (web::Data<Kind>, web::Path<String>),
) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let version = params.take("version")?.map(|text| number(&text)).transpose()?;
    params.finish("version")?;
    let document = document(&request, payload, &api).await?;
    let entry = api.composer.edit(**kind, &id, &document, version).await?;
    Ok(view(StatusCode::OK, &entry))
}

async fn show(
    api: Asking,
    (kind, id): (web::Data<Kind>, web::Path<String>),
) -> Result<HttpResponse, Problem> {
    Ok(view(StatusCode::OK, &api.composer.entry(**kind, &id)?))
}

async fn list(
    request: HttpRequest,
    api: Asking,
    kind: web::Data<Kind>,
) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let (limit, after) = (params.take_limit()?, params.take("after")?);
    let status = params.take("status")?.map(|text| status_of(&text)).transpose()?;
    let tag = params.take("tag")?;
    params.finish("status, tag, limit, after")?;
    // What is archived is shown only to those who ask for it.
    let wanted = |head: &Head| match status {
        Some(status) => head.status == status,
        None => head.status != Status::Archived,
    };
    let entries = api.composer.entries(**kind);
    // Newest first: ids are in order of time.
    let heads = entries.iter().map(|entry| &entry.head).filter(|head| {
        after.as_ref().is_none_or(|after| head.id < *after)
            && wanted(head)
            && tag.as_ref().is_none_or(|tag| head.tags.contains(tag))
    });
    let mut page: Vec<&Head> = heads.take(limit + 1).collect();
    let more = page.len() > limit;
    page.truncate(limit);
    let next = page.last().filter(|_| more).map(|head| head.id.clone());
    Ok(json(StatusCode::OK, &json!({"data": page, "next": next})))
}

fn status_of(text: &str) -> Result<Status, Problem> {
    serde_json::from_value(json!(text)).map_err(|_| {
        Problem::parameter("status", "is not one of active, draft, live, paused, archived")
    })
}

fn number(text: &str) -> Result<u32, Problem> {
    text.parse()
        .ok()
        .filter(|number| *number > 0)
        .ok_or_else(|| Problem::parameter("version", "is not the number of a version, from 1"))
}

async fn version(
    api: Asking,
    (kind, path): (web::Data<Kind>, web::Path<(String, String)>),
) -> Result<HttpResponse, Problem> {
    let (id, version) = path.into_inner();
    let version = number(&version)?;
    let document = api.composer.version(**kind, &id, version).await?;
    Ok(json(StatusCode::OK, &json!({"version": version, "document": &*document})))
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Duplicate {
    name: Option<String>,
}

async fn duplicate(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
    (kind, id): (web::Data<Kind>, web::Path<String>),
) -> Result<HttpResponse, Problem> {
    let Duplicate { name } = read_json_or_nothing(&request, payload).await?;
    let entry = api.composer.duplicate(**kind, &id, name).await?;
    Ok(view(StatusCode::CREATED, &entry))
}

async fn act(
    api: Asking,
    (kind, action, id): (web::Data<Kind>, web::Data<Action>, web::Path<String>),
) -> Result<HttpResponse, Problem> {
    let entry = api.composer.set_status(**kind, &id, **action).await?;
    Ok(view(StatusCode::OK, &entry))
}
