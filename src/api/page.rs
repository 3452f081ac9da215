//! `/` and `/ui/…`: the dashboard's files. Nothing in them is secret, so no key is asked for; a
//! browser keeps them and asks each time whether they are still the same.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};

use super::problem::Problem;
use crate::dashboard;

/// What the page may do: run its own files and speak with this server. No other site may frame it.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'",
);

/// The page.
pub(super) async fn index(request: HttpRequest) -> Result<HttpResponse, Problem> {
    answer(&request, dashboard::INDEX)
}

/// One of its files.
pub(super) async fn file(
    request: HttpRequest,
    path: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    answer(&request, &path)
}

/// A file of the page, or that it is still the same.
pub(super) fn answer(request: &HttpRequest, path: &str) -> Result<HttpResponse, Problem> {
    let file = dashboard::file(path).ok_or_else(|| Problem::no_route(request.path()))?;
    let packs = takes_gzip(request);
    // Two forms of one file are two things to a cache.
    let tag = if packs { file.tag.replacen('"', "\"gzip-", 1) } else { file.tag.clone() };
    let is_known = is_known(request, &tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, tag))
        .insert_header((header::VARY, "accept-encoding"))
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY));
    if is_known {
        return Ok(response.finish());
    }
    response.content_type(file.media_type);
    let packed = if packs { file.packed().ok() } else { None };
    Ok(match packed {
        Some(packed) => response.insert_header((header::CONTENT_ENCODING, "gzip")).body(packed),
        None => response.body(file.bytes.into_owned()),
    })
}

/// Whether an answer may be packed. All browsers say so plainly; who forbids it by weight does not.
fn takes_gzip(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(header::ACCEPT_ENCODING);
    let accepted = accepted.and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| coding.trim() == "gzip")
}

/// Whether who asks has the text with this tag already.
pub(super) fn is_known(request: &HttpRequest, wanted: &str) -> bool {
    let known = request.headers().get(header::IF_NONE_MATCH);
    let known = known.and_then(|tags| tags.to_str().ok()).unwrap_or_default();
    known.split(',').any(|tag| tag.trim().trim_start_matches("W/") == wanted)
}
