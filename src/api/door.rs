//! The door: in front of every route. Finds out who asks, whether he may, and at which rate; what is
//! behind it takes the caller from the request. Nobody is told which part of a key was wrong.

use std::net::IpAddr;
use std::time::Duration;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpResponse, web};

use super::problem::Problem;
use super::scopes::{self, Needs};
use super::{Api, braze, browser, session};
use crate::access::{Caller, Scope, Spent, Turned};
use crate::model::Now;

/// Chooses the workspace of a request, by name or number, where the caller may do everything.
const WORKSPACE: &str = "hostline-workspace";
const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Lets a request in, or answers it.
pub(super) async fn stand(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some(api) = request.app_data::<web::Data<Api>>().cloned() else {
        // Nothing is served without it either.
        return Ok(next.call(request).await?.map_into_left_body());
    };
    let row = scopes::find(request.method(), request.match_info().as_str());
    if row.is_some_and(|row| row.2 == Needs::Nothing) {
        return Ok(next.call(request).await?.map_into_left_body());
    }
    let needs = match row {
        Some((_, _, Needs::Scopes(scopes))) => scopes,
        Some((_, _, Needs::AnyKey)) => &[],
        // What is known to nobody is answered 404, which everybody may see.
        _ if is_nowhere(&request) => &[],
        _ => &[Scope::Admin],
    };
    let now = api.clock.now();
    let (caller, spent) = match enter(&request, &api, needs, now) {
        Ok(entered) => entered,
        Err(refused) => return Ok(refuse(request, refused).map_into_right_body()),
    };
    let audited = row.and_then(scopes::audited).map(|action| {
        let subject = request.match_info().as_str().split('/').nth(3).unwrap_or_default();
        (action, subject.to_ascii_lowercase(), caller.clone())
    });
    let is_braze = braze::speaks(request.path());
    request.extensions_mut().insert(caller);
    let mut response = next.call(request).await?;
    if let Some((action, subject, caller)) = audited.filter(|_| response.status().is_success())
        && let Err(error) = api.access.audit(&caller, action, &subject, "").await
    {
        log::error!(action, subject:%; "what was done is not in the audit log: {error}");
    }
    if let Some(spent) = spent {
        tell(response.headers_mut(), &spent, is_braze.then_some(now));
    }
    Ok(response.map_into_left_body())
}

/// A request that is not let in. Boxed, as most are let in.
struct Refused(Box<(Problem, Option<(Spent, Now)>)>);

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self(Box::new((problem, None)))
    }
}

/// Whether no resource has the path, or one that only says that nothing is there.
fn is_nowhere(request: &ServiceRequest) -> bool {
    let path = request.match_info().as_str();
    match request.resource_map().match_pattern(path) {
        None => true,
        Some(pattern) => braze::is_out_of_scope(&pattern),
    }
}

/// Finds the caller, and what is left of the rate of his key.
fn enter(
    request: &ServiceRequest,
    api: &Api,
    needs: &[Scope],
    now: Now,
) -> Result<(Caller, Option<Spent>), Refused> {
    let address = request.peer_addr().map(|address| address.ip());
    let mut given = request.headers().get_all(header::AUTHORIZATION);
    let (mut caller, spent) = match (given.next(), given.next()) {
        (None, _) => match session::key_of(request.headers()) {
            Some(key) => by_session(request, api, key, now)?,
            None => (without_key(request, api, address)?, None),
        },
        (Some(value), None) => with_key(value, api, address, now)?,
        (Some(_), Some(_)) => return Err(turned(api.access.refused(address, now)).into()),
    };
    if let Some(missing) = needs.iter().find(|scope| !caller.may(**scope)) {
        return Err(Problem::lacks_scope(missing.as_str()).into());
    }
    if let Some(name) = request.headers().get(WORKSPACE) {
        caller.workspace = chosen(&caller, name, api)?;
    }
    match spent.and_then(|spent| spent.wait) {
        Some(wait) => {
            let problem = Problem::rate_limited(whole_seconds(wait));
            Err(Refused(Box::new((problem, spent.map(|spent| (spent, now))))))
        }
        None => Ok((caller, spent)),
    }
}

fn without_key(
    request: &ServiceRequest,
    api: &Api,
    address: Option<IpAddr>,
) -> Result<Caller, Problem> {
    if api.settings.auth.keys_required {
        return Err(Problem::unauthorized());
    }
    browser::vet(request.method(), request.uri(), request.headers(), &api.settings)?;
    Ok(Caller { address, ..Caller::local() })
}

/// Somebody who signed in: the browser sends the key along by itself, so what changes something
/// needs the word of the session. Where no key is needed, one that is good for nothing any more
/// leaves its owner no worse off than without.
fn by_session(
    request: &ServiceRequest,
    api: &Api,
    key: &str,
    now: Now,
) -> Result<(Caller, Option<Spent>), Problem> {
    let address = request.peer_addr().map(|address| address.ip());
    let entered = match with_key_text(key, api, address, now) {
        Err(_) if !api.settings.auth.keys_required => {
            return Ok((without_key(request, api, address)?, None));
        }
        entered => entered?,
    };
    if !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        session::vet_word(request.headers(), key)?;
    }
    Ok(entered)
}

fn with_key(
    value: &HeaderValue,
    api: &Api,
    address: Option<IpAddr>,
    now: Now,
) -> Result<(Caller, Option<Spent>), Problem> {
    match bearer(value) {
        Some(text) => with_key_text(text, api, address, now),
        None => Err(turned(api.access.refused(address, now))),
    }
}

/// Whoever brings the text of a key.
pub(super) fn with_key_text(
    text: &str,
    api: &Api,
    address: Option<IpAddr>,
    now: Now,
) -> Result<(Caller, Option<Spent>), Problem> {
    let key = api.access.authenticate(text, address, now).map_err(turned)?;
    let caller =
        Caller { workspace: key.workspace(), key: Some(key.name()), scopes: key.scopes(), address };
    Ok((caller, key.spend(now.moment)))
}

/// The key in `Bearer KEY`; the scheme in any case, as RFC 9110 has it.
fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

fn turned(turned: Turned) -> Problem {
    match turned {
        Turned::Away => Problem::unauthorized(),
        Turned::Slowed(wait) => Problem::slowed(whole_seconds(wait)),
    }
}

/// The workspace that somebody wants to work in who may work in all.
fn chosen(caller: &Caller, name: &HeaderValue, api: &Api) -> Result<u32, Problem> {
    if !caller.is_admin() {
        return Err(Problem::lacks_scope(Scope::Admin.as_str()));
    }
    let number = name.to_str().ok().and_then(|name| api.access.workspace_number(name.trim()));
    number.ok_or_else(|| Problem::header(WORKSPACE, "names no workspace"))
}

/// Answers in the shape of the API that was asked.
fn refuse(request: ServiceRequest, refused: Refused) -> ServiceResponse {
    let is_braze = braze::speaks(request.path());
    let (problem, spent) = *refused.0;
    let is_unknown = problem.status() == actix_web::http::StatusCode::UNAUTHORIZED;
    let mut response: HttpResponse =
        if is_braze { braze::refusal(problem) } else { problem.response() };
    let headers = response.headers_mut();
    if is_unknown {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some((spent, now)) = spent {
        tell(headers, &spent, is_braze.then_some(now));
    }
    request.into_response(response)
}

/// Tells what is left of a rate (draft-ietf-httpapi-ratelimit-headers-11), to clients of Braze's API
/// in its own headers too.
fn tell(headers: &mut HeaderMap, spent: &Spent, braze_now: Option<Now>) {
    let reset_s = whole_seconds(spent.full_in);
    let mut set = |name: HeaderName, value: String| {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    };
    let window_s = whole_seconds(spent.window).max(1);
    set(RATE_LIMIT_POLICY, format!("\"default\";q={};w={window_s}", spent.limit));
    set(RATE_LIMIT, format!("\"default\";r={};t={reset_s}", spent.remaining));
    let Some(now) = braze_now else { return };
    let reset_at = now.wall.as_secs() + i64::from(reset_s);
    set(HeaderName::from_static("x-ratelimit-limit"), spent.limit.to_string());
    set(HeaderName::from_static("x-ratelimit-remaining"), spent.remaining.to_string());
    set(HeaderName::from_static("x-ratelimit-reset"), reset_at.to_string());
}

/// Rounded up, so that whoever waits so long waits long enough.
fn whole_seconds(wait: Duration) -> u32 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}
