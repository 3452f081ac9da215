//! `/v1/session`: signing in to the dashboard. A browser cannot put a key into the request of an
//! event stream, and a page must not keep one where its scripts can read it: so the key is held in a
//! cookie that scripts do not see and that is sent with requests of this site alone.
//!
//! There is nothing to keep on this side: the cookie is the key, and ends with it. A request that
//! changes something has to bring a word, too, that only who can read our answers knows (a second
//! lock beside `SameSite`, against pages of other ports and hosts of the same site).

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::Asking;
use super::problem::Problem;
use super::request::{Params, json, read_json};
use super::{Api, door};
use crate::access::{Caller, Scopes};

/// The cookie that holds the key.
const COOKIE: &str = "hostline_session";
/// The header that holds the word.
pub(super) const CSRF: &str = "x-csrf-token";
/// What the word is derived for (BLAKE3's context string).
const CONTEXT: &str = "hostline 2026-11-30 word against cross-site requests";
/// Hex digits of the word.
const DIGITS: usize = 32;

/// Whom the session is of.
#[derive(Serialize, ToSchema)]
pub(super) struct Session<'a> {
    /// The key; `None` where none is needed.
    key: Option<KeyName<'a>>,
    /// Name of its workspace.
    workspace: String,
    /// What it may do.
    scopes: Scopes,
    /// To be sent as `x-csrf-token` with what changes something; `None` where no cookie lets in.
    csrf: Option<String>,
    /// Of the server.
    version: &'static str,
}

#[derive(Serialize, ToSchema)]
#[schema(as = SessionKey)]
struct KeyName<'a> {
    id: &'a str,
    name: Option<String>,
}

/// The body of signing in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `key`")]
pub(super) struct Input {
    key: String,
}

/// The key that the cookie holds.
pub(super) fn key_of(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(header::COOKIE).filter_map(|cookies| cookies.to_str().ok());
    let mut pairs = cookies.flat_map(|cookies| cookies.split(';'));
    pairs.find_map(|pair| {
        let (name, value) = pair.trim().split_once('=')?;
        (name == COOKIE && !value.is_empty()).then_some(value)
    })
}

/// The word that belongs to a key.
fn word_of(key: &str) -> String {
    let mut hex =
        blake3::Hasher::new_derive_key(CONTEXT).update(key.as_bytes()).finalize().to_hex();
    hex.truncate(DIGITS);
    hex.to_string()
}

/// Wants the word of a request that a cookie lets in and that changes something.
pub(super) fn vet_word(headers: &HeaderMap, key: &str) -> Result<(), Problem> {
    let given = headers.get(CSRF).map(HeaderValue::as_bytes).unwrap_or_default();
    let fits = subtle::ConstantTimeEq::ct_eq(given, word_of(key).as_bytes());
    if bool::from(fits) { Ok(()) } else { Err(Problem::csrf(CSRF)) }
}

/// Whose session it is.
pub(super) async fn show(request: HttpRequest, api: Asking) -> Result<HttpResponse, Problem> {
    Params::of(&request).finish("no parameters")?;
    // A key in the header needs no word: no page of another site has it.
    let by_cookie = !request.headers().contains_key(header::AUTHORIZATION);
    let key = key_of(request.headers()).filter(|_| by_cookie && api.caller.key.is_some());
    Ok(json(StatusCode::OK, &session(&api, &api.caller, key)))
}

/// Signs in.
pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    api: web::Data<Api>,
) -> Result<HttpResponse, Problem> {
    let Input { key } = read_json(&request, payload).await?;
    let address = request.peer_addr().map(|address| address.ip());
    let (caller, _) = door::with_key_text(key.trim(), &api, address, api.clock.now())?;
    let mut response = json(StatusCode::OK, &session(&api, &caller, Some(key.trim())));
    set_cookie(&mut response, &request, key.trim(), "");
    Ok(response)
}

/// Signs out.
pub(super) async fn delete(request: HttpRequest) -> HttpResponse {
    let mut response = HttpResponse::NoContent().finish();
    set_cookie(&mut response, &request, "", "; Max-Age=0");
    response
}

fn set_cookie(response: &mut HttpResponse, request: &HttpRequest, key: &str, ending: &str) {
    let secure = if is_secure(request) { "; Secure" } else { "" };
    let cookie = format!("{COOKIE}={key}; Path=/; HttpOnly; SameSite=Strict{secure}{ending}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
}

/// Whether the browser speaks TLS, with us or with a proxy. Who forges the header hurts himself.
fn is_secure(request: &HttpRequest) -> bool {
    let api = request.app_data::<web::Data<Api>>();
    let own = api.is_some_and(|api| api.settings.server.tls.certificate.is_some());
    let forwarded = request.headers().get(header::X_FORWARDED_PROTO);
    own || forwarded.is_some_and(|scheme| scheme.as_bytes() == b"https")
}

fn session<'a>(api: &Api, caller: &'a Caller, cookie: Option<&str>) -> Session<'a> {
    let key = caller.key.as_deref().map(|id| {
        let view = api.access.show_key(caller, id).ok();
        KeyName { id, name: view.map(|view| view.name.to_string()) }
    });
    Session {
        key,
        workspace: api.access.workspace_name(caller.workspace),
        scopes: caller.scopes,
        csrf: cookie.map(word_of),
        version: env!("CARGO_PKG_VERSION"),
    }
}
