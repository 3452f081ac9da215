//! `GET /openapi.json` and `GET /docs`. Neither is secret, so no key is asked for.

use std::sync::LazyLock;

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};

use super::bytes;
use crate::api::page;
use crate::api::problem::Problem;
use crate::api::request::Params;

/// File of the page that shows the document, below the dashboard's.
const PAGE: &str = "docs/index.html";

/// The document. It changes with the program alone, so that its hash is its tag.
pub(in crate::api) async fn show(request: HttpRequest) -> Result<HttpResponse, Problem> {
    static TAG: LazyLock<String> =
        LazyLock::new(|| format!("\"{}\"", blake3::hash(bytes().as_bytes()).to_hex()));
    Params::of(&request).finish("no parameters")?;
    let is_known = page::is_known(&request, &TAG);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((header::ETAG, TAG.as_str()))
        .insert_header((header::CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    Ok(match is_known {
        true => response.finish(),
        false => response.content_type("application/json").body(bytes()),
    })
}

/// The page that shows it.
pub(in crate::api) async fn docs(request: HttpRequest) -> Result<HttpResponse, Problem> {
    page::answer(&request, PAGE)
}
