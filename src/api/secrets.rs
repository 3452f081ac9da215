//! Stored secrets: written, rotated, listed; a value is shown once at most, when it was made here.

use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};

use super::Api;
use super::caller::Asking;
use super::problem::Problem;
use super::request::{Params, json, located, read_json, read_json_or_nothing};
use super::resource;
use crate::config::units::parse_duration;
use crate::model::Timestamp;
use crate::vault::{
    By, Changed, Hidden, OVERLAP_MAX, Rotation, SecretInput, SecretView, Vault, VaultError,
};

/// Adds the routes.
pub(super) fn configure(config: &mut web::ServiceConfig) {
    config
        .service(
            resource("/v1/secrets", "GET, POST")
                .route(web::get().to(list))
                .route(web::post().to(create)),
        )
        .service(
            resource("/v1/secrets/{name}", "GET, PUT, DELETE")
                .route(web::get().to(show))
                .route(web::put().to(replace))
                .route(web::delete().to(delete)),
        )
        .service(resource("/v1/secrets/{name}/rotate", "POST").route(web::post().to(rotate)))
        .service(
            resource("/v1/secrets/{name}/revoke-old", "POST").route(web::post().to(revoke_old)),
        );
}

/// A page of secrets.
#[derive(Serialize)]
struct Page<'a> {
    data: Vec<SecretView<'a>>,
    next: Option<&'a str>,
}

/// A secret that was changed; with its value where that was made here.
#[derive(Serialize)]
struct ChangedView<'a> {
    #[serde(flatten)]
    secret: SecretView<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
}

#[derive(Serialize)]
struct Deleted<'a> {
    name: &'a str,
    deleted: bool,
}

#[derive(Default, Deserialize)]
#[serde(
    deny_unknown_fields,
    default,
    expecting = "an object with `overlap`, `force` or `value`, or nothing"
)]
struct RotationInput {
    overlap: Option<String>,
    force: bool,
    value: Option<Hidden>,
}

async fn list(
    request: HttpRequest,
    api: web::Data<Api>,
    asking: Asking,
) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let (limit, after) = (params.take_limit()?, params.take("after")?);
    params.finish("limit, after")?;
    let vault = vault(&api);
    let mut entries = vault.list(asking.caller.workspace, after.as_deref(), limit + 1);
    let more = entries.len() > limit;
    entries.truncate(limit);
    let now = vault.now();
    let next = entries.last().filter(|_| more).map(|entry| &*entry.name);
    let data = entries.iter().map(|entry| entry.view(now)).collect();
    Ok(json(StatusCode::OK, &Page { data, next }))
}

async fn create(
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
    asking: Asking,
) -> Result<HttpResponse, Problem> {
    let input: SecretInput = read_json(&request, payload).await?;
    let who = Who::of(&request, &asking);
    let changed = vault(&api).create(input, &who.by()).await?;
    let location = format!("/v1/secrets/{}", changed.entry.name);
    Ok(located(shown(StatusCode::CREATED, &changed, vault(&api).now()), &location))
}

async fn show(
    api: web::Data<Api>,
    name: web::Path<String>,
    asking: Asking,
) -> Result<HttpResponse, Problem> {
    let vault = vault(&api);
    let entry = vault.entry(asking.caller.workspace, &name);
    let entry = entry.ok_or_else(|| VaultError::NotFound(name.into_inner()))?;
    Ok(json(StatusCode::OK, &entry.view(vault.now())))
}

async fn replace(
    request: HttpRequest,
    payload: web::Payload,
    (api, name): (web::Data<Api>, web::Path<String>),
    asking: Asking,
) -> Result<HttpResponse, Problem> {
    let input: SecretInput = read_json(&request, payload).await?;
    let who = Who::of(&request, &asking);
    let changed = vault(&api).replace(&name, input, &who.by()).await?;
    Ok(shown(StatusCode::OK, &changed, vault(&api).now()))
}

async fn rotate(
    request: HttpRequest,
    payload: web::Payload,
    (api, name): (web::Data<Api>, web::Path<String>),
    asking: Asking,
) -> Result<HttpResponse, Problem> {
    let input: RotationInput = read_json_or_nothing(&request, payload).await?;
    let overlap = input.overlap.as_deref().map(overlap).transpose()?;
    let rotation = Rotation { value: input.value, overlap, force: input.force };
    let who = Who::of(&request, &asking);
    let changed = vault(&api).rotate(&name, rotation, &who.by()).await?;
    Ok(shown(StatusCode::OK, &changed, vault(&api).now()))
}

async fn revoke_old(
    request: HttpRequest,
    api: web::Data<Api>,
    name: web::Path<String>,
    asking: Asking,
) -> Result<HttpResponse, Problem> {
    let who = Who::of(&request, &asking);
    let changed = vault(&api).revoke_old(&name, &who.by()).await?;
    Ok(shown(StatusCode::OK, &changed, vault(&api).now()))
}

async fn delete(
    request: HttpRequest,
    api: web::Data<Api>,
    name: web::Path<String>,
    asking: Asking,
) -> Result<HttpResponse, Problem> {
    let who = Who::of(&request, &asking);
    vault(&api).delete(&name, &who.by()).await?;
    Ok(json(StatusCode::OK, &Deleted { name: &name, deleted: true }))
}

fn vault(api: &Api) -> &Vault {
    api.engine.vault()
}

fn overlap(text: &str) -> Result<Duration, Problem> {
    let parsed = parse_duration(text).ok().filter(|overlap| *overlap <= OVERLAP_MAX);
    parsed.ok_or_else(|| {
        let detail = "is no duration from \"0s\" to \"30d\", such as \"24h\"";
        Problem::field("/overlap", detail)
    })
}

/// A changed secret. What is shown once must not stay in anybody's cache.
fn shown(status: StatusCode, changed: &Changed, now: Timestamp) -> HttpResponse {
    let value = changed.shown_once.as_ref().map(|value| value.as_str());
    let mut answer = json(status, &ChangedView { secret: changed.entry.view(now), value });
    let no_store = header::HeaderValue::from_static("no-store");
    answer.headers_mut().insert(header::CACHE_CONTROL, no_store);
    answer
}

/// Who asks, for the audit log.
struct Who {
    workspace: u32,
    who: String,
    address: Option<String>,
}

impl Who {
    fn of(request: &HttpRequest, asking: &Asking) -> Self {
        Self {
            workspace: asking.caller.workspace,
            who: asking.caller.name().to_owned(),
            address: request.peer_addr().map(|address| address.ip().to_string()),
        }
    }

    fn by(&self) -> By<'_> {
        By { workspace: self.workspace, who: &self.who, address: self.address.as_deref() }
    }
}

impl From<VaultError> for Problem {
    fn from(error: VaultError) -> Self {
        let detail = error.to_string();
        match error {
            VaultError::Invalid(fault) => Self::field(fault.pointer, fault.detail),
            VaultError::NotFound(_) => Self::not_found("unknown-secret", detail),
            VaultError::Configured(_) => Self::conflict("secret-configured", detail),
            VaultError::Exists(_) => Self::conflict("secret-exists", detail),
            VaultError::Conflict { slug, detail } => Self::conflict(slug, detail),
            VaultError::TooMany(_) => Self::conflict("too-many-secrets", detail),
            VaultError::NoKey(_) => Self::conflict("no-vault-key", detail),
            VaultError::Stale => {
                let detail = "the secret was changed by another request meanwhile; nothing was \
                              kept, and it may be sent again";
                Self::conflict("changed-meanwhile", detail)
            }
            VaultError::NoRandomness => Self::unavailable(),
            VaultError::Store(error) => error.into(),
        }
    }
}
