//! `/v1/workspaces`: teams that share the server, and what holds for each.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde_json::json;

use super::caller::Asking;
use super::problem::Problem;
use super::request::{Params, json, located, read_json};
use crate::access::WorkspaceChange;

/// Makes a workspace.
pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let wanted: WorkspaceChange = read_json(&request, payload).await?;
    let view = api.access.create_workspace(&api.caller, wanted).await?;
    api.composers.open(view.number).await?;
    Ok(located(json(StatusCode::CREATED, &view), &format!("/v1/workspaces/{}", view.name)))
}

/// All workspaces, in order of number.
pub(super) async fn list(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let (limit, after) = (params.take_limit()?, params.take("after")?);
    params.finish("limit, after")?;
    let after = after.map(|after| after.parse()).transpose().map_err(|_| {
        Problem::parameter("after", "is no cursor of this list; take `next` of the page before")
    })?;
    let (data, more) = api.access.list_workspaces(after, limit);
    let next = data.last().filter(|_| more).map(|last| last.number.to_string());
    Ok(json(StatusCode::OK, &json!({ "data": data, "next": next })))
}

/// One workspace, by name or number.
pub(super) async fn show(
    workspace: web::Path<String>,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    Ok(json(StatusCode::OK, &api.access.show_workspace(&workspace)?))
}

/// Changes what holds for a workspace, or its name.
pub(super) async fn patch(
    request: HttpRequest,
    payload: web::Payload,
    workspace: web::Path<String>,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let wanted: WorkspaceChange = read_json(&request, payload).await?;
    let view = api.access.change_workspace(&api.caller, &workspace, wanted).await?;
    Ok(json(StatusCode::OK, &view))
}
