//! `GET /v1/reports`, and the reports of a campaign or canvas: what became of what the caller's
//! workspace sent, by minute, hour or day, as JSON or CSV.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::csv;
use crate::api::caller::Asking;
use crate::api::problem::Problem;
use crate::api::request::{Params, json};
use crate::compose::{About, Entry, Kind, Report, Span};
use crate::model::{HostName, Timestamp};
use crate::store::Step;

const HOUR: Duration = Duration::from_secs(3_600);

/// What a report is about, as it is shown.
#[derive(Serialize, ToSchema)]
#[schema(as = ReportView)]
pub(in crate::api) struct View {
    kind: &'static str,
    /// Id of the campaign, canvas or template.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Its name, or the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(flatten)]
    report: Report,
}

/// What the query says about time and form.
struct Asked {
    by: Option<Step>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    csv: bool,
}

/// What became of all, or of what went to one host, or came of one campaign, canvas or template.
pub(super) async fn reports(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let asked = asked(&mut params, &request)?;
    let host = params.take("host")?;
    let mut composed = None;
    for kind in [Kind::Campaign, Kind::Canvas, Kind::Template] {
        let Some(reference) = params.take(kind.as_str())? else { continue };
        if host.is_some() || composed.is_some() {
            let detail = "stands beside another one; a report is about one host, campaign, \
                          canvas or template, or about all";
            return Err(Problem::parameter(kind.as_str(), detail));
        }
        composed = Some((kind, reference));
    }
    params.finish("by, host, campaign, canvas, template, from, until, format")?;
    if let Some((kind, reference)) = composed {
        let entry = api.composer.entry(kind, &reference)?;
        return of_entry(&api, kind, &entry, &asked).await;
    }
    let (kind, about) = match &host {
        None => ("workspace", About::Workspace),
        Some(name) => ("host", of_host(&api, name).await?),
    };
    let span = span(&asked, None, api.clock.wall())?;
    let report = api.composer.report(about, span).await?;
    Ok(answer(View { kind, id: None, name: host, report }, asked.csv))
}

/// What became of a campaign or canvas.
pub(super) async fn of_composed(
    request: HttpRequest,
    api: Asking,
    (kind, id): (web::Data<Kind>, web::Path<String>),
) -> Result<HttpResponse, Problem> {
    let mut params = Params::of(&request);
    let asked = asked(&mut params, &request)?;
    params.finish("by, from, until, format")?;
    let entry = api.composer.entry(**kind, &id)?;
    of_entry(&api, **kind, &entry, &asked).await
}

async fn of_entry(
    api: &Asking,
    kind: Kind,
    entry: &Arc<Entry>,
    asked: &Asked,
) -> Result<HttpResponse, Problem> {
    let span = span(asked, Some(entry.head.created_at), api.clock.wall())?;
    let id = entry.head.id.clone();
    let report = api.composer.report(About::Composed(kind, id.clone()), span).await?;
    let name = Some(entry.head.name.clone());
    Ok(answer(View { kind: kind.as_str(), id: Some(id), name, report }, asked.csv))
}

/// A host by its name. A guest is not told which hosts others send to: nothing is of its own there.
async fn of_host(api: &Asking, text: &str) -> Result<About, Problem> {
    let name = HostName::parse(text)
        .ok_or_else(|| Problem::parameter("host", "is not the name of a host"))?;
    let record = api.store.host(name.clone()).await?;
    if record.is_none() && api.guest().is_none() {
        let detail = format!("no delivery ever went to {name}");
        return Err(Problem::not_found("unknown-host", detail));
    }
    Ok(About::Host(record.map(|record| record.number)))
}

fn asked(params: &mut Params, request: &HttpRequest) -> Result<Asked, Problem> {
    let by = match params.take("by")?.as_deref() {
        None => None,
        Some("minute") => Some(Step::Minute),
        Some("hour") => Some(Step::Hour),
        Some("day") => Some(Step::Day),
        Some(_) => return Err(Problem::parameter("by", "is one of minute, hour, day")),
    };
    let csv = match params.take("format")?.as_deref() {
        None => wants_csv(request),
        Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Problem::parameter("format", "is one of json, csv")),
    };
    let (from, until) = (params.take_time("from")?, params.take_time("until")?);
    Ok(Asked { by, from, until, csv })
}

/// Whether the caller takes CSV and does not name JSON.
fn wants_csv(request: &HttpRequest) -> bool {
    let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/csv") && !accept.contains("json"))
}

/// The time that a report covers. Without a beginning it is that of what it is about (`since`), or
/// a usual one; without a step it is by the hour while that is not too long.
fn span(asked: &Asked, since: Option<Timestamp>, now: Timestamp) -> Result<Span, Problem> {
    let until = asked.until.unwrap_or_else(|| now.plus(Duration::from_millis(1)));
    let fits = |step, from: Timestamp| from.until(until) <= Span::longest(step);
    let step = match (asked.by, asked.from.or(since)) {
        (Some(step), _) => step,
        (None, Some(from)) if !fits(Step::Hour, from) => Step::Day,
        (None, _) => Step::Hour,
    };
    let usual = match step {
        Step::Minute => HOUR,
        Step::Hour => 24 * HOUR,
        Step::Day => 30 * 24 * HOUR,
    };
    let earliest = until.minus(Span::longest(step));
    let from = match (asked.from, since) {
        (Some(from), _) => from,
        (None, Some(since)) => since.max(earliest),
        (None, None) => until.minus(usual),
    };
    if asked.from.is_some() && from > until {
        return Err(Problem::parameter("until", "is before `from`"));
    }
    if !fits(step, from) {
        let hours = Span::longest(step).as_secs() / HOUR.as_secs();
        let longest = if hours > 48 { format!("{}d", hours / 24) } else { format!("{hours}h") };
        let detail = format!(
            "is too long before `until`: by the {} at most {longest} are shown; ask for a shorter \
             time, or for longer steps",
            step.as_str()
        );
        return Err(Problem::parameter("from", detail));
    }
    Ok(Span { step, from, until })
}

fn answer(view: View, as_csv: bool) -> HttpResponse {
    if !as_csv {
        return json(StatusCode::OK, &view);
    }
    let name = view.name.as_deref().unwrap_or("");
    let table = csv::of_report(view.kind, name, &view.report);
    HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8; header=present")
        .insert_header((header::CONTENT_DISPOSITION, "attachment; filename=\"report.csv\""))
        .body(table)
}
