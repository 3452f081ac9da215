//! Every error that leaves the house: RFC 9457, with a stable `type` and the place at fault. What
//! went wrong inside is for the log; a problem says only what the caller can use.

use std::borrow::Cow;
use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use super::document::problems::is_listed;
use crate::access::AccessError;
use crate::admission::{FieldError, Refusal, Want};
use crate::store::{QueryError, StoreError};

/// Seconds after which a refusal for lack of room may be tried again. A queue drains slowly.
const RETRY_FULL_S: u32 = 30;
/// Seconds after which a refusal for want of a store, or at a stop, may be tried again.
const RETRY_SOON_S: u32 = 5;

/// An error on the wire.
#[derive(Clone, Debug)]
pub struct Problem {
    slug: &'static str,
    title: &'static str,
    status: StatusCode,
    detail: String,
    errors: Vec<Fault>,
    retry_after_s: Option<u32>,
    allow: Option<&'static str>,
}

/// One place at fault.
#[derive(Clone, Debug, Serialize)]
struct Fault {
    #[serde(flatten)]
    place: Place,
    detail: String,
}

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Place {
    /// JSON pointer into the body.
    Pointer(String),
    /// Name in the query or the path.
    Parameter(String),
    /// Name of a header of the request.
    Header(&'static str),
}

/// The members of `application/problem+json`.
#[derive(Serialize)]
struct Members<'a> {
    r#type: String,
    title: &'static str,
    status: u16,
    detail: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Fault],
}

impl Problem {
    fn new(status: StatusCode, slug: &'static str, title: &'static str, detail: String) -> Self {
        debug_assert!(is_listed(slug, status.as_u16()), "{slug} {status} is not in the document");
        let (errors, retry_after_s, allow) = (Vec::new(), None, None);
        Self { slug, title, status, detail, errors, retry_after_s, allow }
    }

    fn at(mut self, place: Place) -> Self {
        self.errors.push(Fault { place, detail: self.detail.clone() });
        self
    }

    fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// A field of the body is unknown, missing or wrong.
    pub fn field(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        let title = "A field of the request is not valid";
        Self::new(StatusCode::BAD_REQUEST, "invalid-field", title, detail.into())
            .at(Place::Pointer(pointer.into()))
    }

    /// Several fields of the body are.
    pub fn fields(mut errors: Vec<FieldError>) -> Self {
        if errors.len() == 1 {
            let FieldError { pointer, detail } = errors.remove(0);
            return Self::field(pointer, detail);
        }
        let title = "Fields of the request are not valid";
        let detail = match errors.first() {
            Some(first) if errors.len() > 1 => {
                format!("{} (and {} more faults)", first.detail, errors.len() - 1)
            }
            Some(first) => first.detail.clone(),
            None => String::new(),
        };
        let mut problem = Self::new(StatusCode::BAD_REQUEST, "invalid-field", title, detail);
        problem.errors.extend(errors.into_iter().map(|FieldError { pointer, detail }| Fault {
            place: Place::Pointer(pointer),
            detail,
        }));
        problem
    }

    /// A parameter of the query or the path is unknown or wrong.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        let title = "A parameter of the request is not valid";
        Self::new(StatusCode::BAD_REQUEST, "invalid-parameter", title, detail.into())
            .at(Place::Parameter(name.into()))
    }

    /// A header of the request is wrong.
    pub fn header(name: &'static str, detail: impl Into<String>) -> Self {
        let title = "A header of the request is not valid";
        Self::new(StatusCode::BAD_REQUEST, "invalid-header", title, detail.into())
            .at(Place::Header(name))
    }

    /// The body is not JSON.
    pub fn malformed(detail: &str, line: usize, column: usize) -> Self {
        let detail = format!("{detail}, at line {line} column {column}");
        let title = "The request's body is not JSON";
        Self::new(StatusCode::BAD_REQUEST, "malformed-json", title, detail)
    }

    /// The request broke off or cannot be read.
    pub fn unreadable() -> Self {
        let detail = "the request's body broke off or is not framed as HTTP wants it";
        let title = "The request cannot be read";
        Self::new(StatusCode::BAD_REQUEST, "unreadable-request", title, detail.into())
    }

    /// The request is over a limit.
    pub fn too_large(detail: String) -> Self {
        let title = "The request is too large";
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", title, detail)
    }

    /// The head of the request is over a limit.
    pub fn head_too_large(detail: String) -> Self {
        let title = "The request's head is too large";
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        Self::new(status, "head-too-large", title, detail)
    }

    /// The body nests deeper than is taken, from this byte on.
    pub fn too_deep(max: usize, at: usize) -> Self {
        let detail = format!(
            "objects and arrays nest deeper than {max} at byte {at}; make the request flatter"
        );
        let title = "The request's JSON nests too deep";
        Self::new(StatusCode::BAD_REQUEST, "json-too-deep", title, detail)
    }

    /// The body takes too long to arrive.
    pub fn too_slow() -> Self {
        let detail = "the request's body did not arrive in time";
        let title = "The request took too long";
        Self::new(StatusCode::REQUEST_TIMEOUT, "request-timeout", title, detail.into())
    }

    /// There is no room for another connection.
    pub(super) fn crowded() -> Self {
        let detail = "there is no room for another connection; come back later";
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "too-many-connections", "Too many connections", detail.into())
            .retry_after(RETRY_SOON_S)
    }

    /// As many streams of events are open as may be.
    pub fn too_many_streams(max: usize) -> Self {
        let detail = format!(
            "{max} streams of events are open, as many as may be (server.max_live); close one, or \
             come back later"
        );
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "too-many-streams", "Too many streams", detail).retry_after(RETRY_SOON_S)
    }

    /// An address has as many connections as it may.
    pub(super) fn crowded_address() -> Self {
        let detail = "this address has as many connections as it may; keep them open and use \
                      them again";
        let status = StatusCode::TOO_MANY_REQUESTS;
        Self::new(status, "too-many-connections", "Too many connections", detail.into())
            .retry_after(RETRY_SOON_S)
    }

    /// A web page sent it that is not named in `server.cors_origins`.
    pub fn origin() -> Self {
        let detail = "pages of this origin may not change anything here (server.cors_origins)";
        let title = "The origin is not allowed";
        Self::new(StatusCode::FORBIDDEN, "origin-not-allowed", title, detail.into())
            .at(Place::Header("origin"))
    }

    /// The body is of another kind than the route takes.
    pub fn media_type(detail: String) -> Self {
        let title = "The content type is not supported";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", title, detail)
            .at(Place::Header("content-type"))
    }

    /// There is no such thing.
    pub fn not_found(slug: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, slug, "Not found", detail.into())
    }

    /// There is no such route.
    pub fn no_route(path: &str) -> Self {
        let detail = format!("there is no route {path:?}; a slash inside an id must be encoded");
        Self::not_found("unknown-route", detail)
    }

    /// The route is there, but not with this method.
    pub fn method(method: &str, allow: &'static str) -> Self {
        let detail = format!("the route does not take {method}; it takes {allow}");
        let title = "The method is not allowed";
        let mut problem =
            Self::new(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", title, detail);
        problem.allow = Some(allow);
        problem
    }

    /// What is asked for cannot be done in the present state.
    pub fn conflict(slug: &'static str, detail: impl Into<String>) -> Self {
        let title = "The present state does not allow this";
        Self::new(StatusCode::CONFLICT, slug, title, detail.into())
    }

    /// What concerns all workspaces is not for each of them.
    pub fn of_operators() -> Self {
        let detail = "this concerns all workspaces, so it takes a key of the default workspace";
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail.into())
    }

    /// The store cannot answer now.
    pub fn unavailable() -> Self {
        let detail = "the store cannot do this now; nothing was kept, and the same request may \
                      be sent again";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Unavailable", detail.into())
            .retry_after(RETRY_SOON_S)
    }

    /// The process is stopping.
    pub fn stopping() -> Self {
        let detail = "the server is stopping and takes nothing new";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "Stopping", detail.into())
            .retry_after(RETRY_SOON_S)
    }

    /// More comes in than can be taken now.
    fn busy(want: Want, after_s: u32) -> Self {
        let (slug, title, detail) = match want {
            Want::Room => (
                "busy",
                "Too many triggers at once",
                "as many triggers wait to be written as may; send this one again",
            ),
            Want::Time => (
                "store-slow",
                "Triggers come faster than they are written",
                "this trigger would wait too long to be written; send it again",
            ),
            Want::Memory => (
                "memory-full",
                "The server has no memory to spare",
                "the server has as much memory as it may; send this trigger again",
            ),
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, slug, title, detail.into()).retry_after(after_s)
    }

    /// Nobody is known by what the request brought, if it brought anything. The same whatever was
    /// wrong with it.
    pub fn unauthorized() -> Self {
        let detail = "this needs a valid API key: send it once, as Authorization: Bearer hl_…";
        let title = "A valid API key is needed";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", title, detail.into())
    }

    /// The caller may not do this.
    pub fn lacks_scope(scope: &str) -> Self {
        let detail = format!("this needs a key with the scope {scope}");
        Self::forbidden(detail)
    }

    /// The caller may not do this, for another reason than a scope.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not allowed", detail.into())
    }

    /// Too many keys from one address were wrong.
    pub fn slowed(seconds: u32) -> Self {
        let detail = "too many requests from this address came with a wrong key";
        let title = "Too many wrong keys";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-failures", title, detail.into())
            .retry_after(seconds.max(1))
    }

    /// The rate of the caller's key is used up.
    pub fn rate_limited(seconds: u32) -> Self {
        let detail = "the rate of this API key is used up; see the RateLimit headers";
        let title = "Too many requests";
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate-limited", title, detail.into())
            .retry_after(seconds.max(1))
    }

    /// A browser says that another site asked for this, and no key says otherwise.
    pub fn cross_site(header: &'static str) -> Self {
        let detail = "a web page of another origin asked for this, which needs an API key";
        let title = "Requests of other sites are refused";
        Self::new(StatusCode::FORBIDDEN, "cross-site", title, detail.into())
            .at(Place::Header(header))
    }

    /// A cookie let it in, and what changes something has to bring the word of the session.
    pub fn csrf(header: &'static str) -> Self {
        let detail = "a request that a cookie lets in and that changes something needs the word \
                      that GET /v1/session answers as `csrf`";
        let title = "The word of the session is missing or wrong";
        Self::new(StatusCode::FORBIDDEN, "csrf", title, detail.into()).at(Place::Header(header))
    }

    /// The server is called by a name that it does not know.
    pub fn foreign_host() -> Self {
        let detail = "without an API key the server is called by its address, by localhost, or by \
                      a name that is in auth.hosts";
        let title = "The server does not go by this name";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "unknown-host", title, detail.into())
            .at(Place::Header("host"))
    }

    /// The status that it is answered with.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The sentence that says what is wrong.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Seconds after which the request may be tried again.
    pub(super) fn retry_after_s(&self) -> Option<u32> {
        self.retry_after_s
    }

    /// What is at fault: JSON pointers of fields, names of parameters and headers.
    pub(super) fn places(&self) -> impl Iterator<Item = &str> {
        self.errors.iter().map(|fault| match &fault.place {
            Place::Pointer(name) | Place::Parameter(name) => name.as_str(),
            Place::Header(name) => name,
        })
    }

    /// The JSON text of it.
    pub fn to_json(&self) -> Vec<u8> {
        let members = Members {
            r#type: format!("/problems/{}", self.slug),
            title: self.title,
            status: self.status.as_u16(),
            detail: &self.detail,
            errors: &self.errors,
        };
        serde_json::to_vec(&members).expect("a problem is plain data")
    }

    /// The answer of it.
    pub fn response(&self) -> HttpResponse {
        let mut builder = HttpResponse::build(self.status);
        builder.insert_header((header::CONTENT_TYPE, "application/problem+json"));
        if let Some(seconds) = self.retry_after_s {
            builder.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(allow) = self.allow {
            builder.insert_header((header::ALLOW, allow));
        }
        if self.status == StatusCode::REQUEST_TIMEOUT {
            // The rest of the body would still be to come.
            builder.force_close();
        }
        builder.body(self.to_json())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.slug, self.detail)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed { detail, line, column } => Self::malformed(&detail, line, column),
            Refusal::Invalid(error) => Self::field(error.pointer, error.detail),
            Refusal::TooLarge(error) => {
                Self::too_large(error.detail).at(Place::Pointer(error.pointer))
            }
            Refusal::KeyReused => {
                let detail = "this idempotency key was used by another request; use a new one";
                let title = "The idempotency key was used by another request";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                Self::new(status, "idempotency-key-reused", title, detail.into())
            }
            Refusal::KeyUnderWay => {
                let detail = "the first request with this idempotency key is still under way";
                Self::conflict("idempotency-key-under-way", detail).retry_after(1)
            }
            Refusal::Faults(errors) => Self::fields(errors),
            Refusal::NotFound { what, name } => {
                Self::not_found("not-found", format!("there is no {what} {name:?}"))
            }
            Refusal::Conflict { slug, detail } => Self::conflict(slug, detail),
            Refusal::Stale(_) => {
                let detail = "what this request changes was changed by another one meanwhile; \
                              nothing was kept, and it may be sent again";
                Self::conflict("changed-meanwhile", detail)
            }
            Refusal::Loop { hops, max } => {
                let detail = format!(
                    "{hops} webhooks of this server led to this request, one after the other; \
                     more than {max} are taken for a loop and cut off (compose.max_hops)"
                );
                let title = "A chain of webhooks to this server is too long";
                Self::new(StatusCode::LOOP_DETECTED, "loop-detected", title, detail)
            }
            Refusal::Draining(host) => {
                let detail = format!("{host} is being drained: it takes nothing new until resumed");
                Self::conflict("host-draining", detail)
            }
            Refusal::HostFull { host, limit } => {
                let detail = format!("{limit} deliveries wait for {host} already");
                let title = "Too many deliveries wait for this host";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "host-full", title, detail)
                    .retry_after(RETRY_FULL_S)
            }
            Refusal::WorkspaceFull { limit } => {
                let detail = format!("{limit} deliveries of this workspace wait already");
                let title = "Too many deliveries of this workspace wait";
                Self::new(StatusCode::TOO_MANY_REQUESTS, "workspace-full", title, detail)
                    .retry_after(RETRY_FULL_S)
            }
            Refusal::WorkspaceRate { limit, wait } => {
                let detail = format!("this workspace may bring in {limit} triggers a second");
                let title = "Too many triggers a second";
                let seconds = u32::try_from(wait.as_secs()).unwrap_or(u32::MAX - 1) + 1;
                Self::new(StatusCode::TOO_MANY_REQUESTS, "workspace-rate", title, detail)
                    .retry_after(seconds)
            }
            Refusal::StoreFull { limit, after_s } => {
                let detail = format!("{limit} deliveries wait already");
                let title = "Too many deliveries wait";
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store-full", title, detail)
                    .retry_after(after_s)
            }
            Refusal::Busy { want, after_s } => Self::busy(want, after_s),
            Refusal::Stopping => Self::stopping(),
            Refusal::Unavailable => Self::unavailable(),
        }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        log::warn!("request not served: {error}");
        match error {
            StoreError::Closed(_) => Self::stopping(),
            full @ StoreError::Full { .. } => Refusal::from(full).into(),
            StoreError::Unavailable(_) | StoreError::Unknown(_) | StoreError::Fenced => {
                Self::unavailable()
            }
        }
    }
}

impl From<AccessError> for Problem {
    fn from(error: AccessError) -> Self {
        match error {
            AccessError::Invalid(errors) => Self::fields(errors),
            AccessError::NotFound { what, name } => {
                Self::not_found("not-found", format!("there is no {what} {name:?}"))
            }
            AccessError::Forbidden(detail) => Self::forbidden(detail),
            AccessError::Conflict { slug, detail } => Self::conflict(slug, detail),
            AccessError::NoRandomness => Self::unavailable(),
            AccessError::Store(error) => error.into(),
        }
    }
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::BadCursor => Self::parameter(
                "after",
                Cow::from("is no cursor of this list; take `next` of the page before"),
            ),
            QueryError::Store(error) => error.into(),
        }
    }
}
