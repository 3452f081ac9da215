//! `GET /v1/activity`: what went wrong or was left out, newest first, with what it means and what
//! may be done about it.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::json;

use crate::api::caller::Asking;
use crate::api::meaning;
use crate::api::problem::Problem;
use crate::api::request::{Params, json};
use crate::compose::Kind;
use crate::store::{Activity, ActivityFilter};

#[derive(Serialize)]
struct View<'a> {
    #[serde(flatten)]
    entry: &'a Activity,
    /// Name of the campaign, canvas or template.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject_name: Option<String>,
    meaning: &'static str,
    steps: &'static str,
}

/// A page of the log.
pub(super) async fn list(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let (limit, after) = (params.take_limit()?, params.take("after")?);
    let filter = ActivityFilter {
        workspace: api.caller.workspace,
        subject: params.take("subject")?,
        kind: params.take("kind")?,
        recipient: params.take("recipient")?,
    };
    params.finish("subject, kind, recipient, limit, after")?;
    let page = api.store.activity(filter, after, limit).await?;
    let data: Vec<View<'_>> = page.rows.iter().map(|entry| view(&api, entry)).collect();
    Ok(json(StatusCode::OK, &json!({"data": data, "next": page.next})))
}

fn view<'a>(api: &Asking, entry: &'a Activity) -> View<'a> {
    let name = |kind| api.composer.entry(kind, entry.subject.as_ref()?).ok();
    let found =
        name(Kind::Campaign).or_else(|| name(Kind::Canvas)).or_else(|| name(Kind::Template));
    let subject_name = found.map(|found| found.head.name.clone());
    let (meaning, steps) = meaning::of_activity(&entry.kind, entry.status);
    View { entry, subject_name, meaning, steps }
}
