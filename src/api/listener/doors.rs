//! What every request passes before any route: limits of its head, what it may not be, and what
//! every answer says to browsers and caches. Outermost but for the counting of requests, so that
//! it holds for refusals too.

use std::rc::Rc;
use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{ConnectionType, Method};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};

use super::link::Progress;
use crate::api::Problem;
use crate::config::Server;

/// What the doors of an address let in.
pub(super) struct Doors {
    max_headers: usize,
    max_head: usize,
    origins: Vec<String>,
    /// Whether the address speaks TLS.
    secure: bool,
}

/// Of every answer. Answers are data for programs: nothing in them may be run, framed, guessed at
/// or kept by a cache.
const ALWAYS: [(HeaderName, HeaderValue); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    ),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];
/// A year, after which a browser may speak plain HTTP with the name again.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000");

impl Doors {
    pub(super) fn new(server: &Server, secure: bool) -> Arc<Self> {
        let (max_headers, max_head) = (server.max_headers, server.max_head);
        let origins = server.cors_origins.clone();
        Arc::new(Self { max_headers, max_head, origins, secure })
    }

    fn vet(&self, request: &ServiceRequest) -> Result<(), Problem> {
        self.vet_size(request)?;
        let headers = request.headers();
        // The parser beneath gives such a request a body without end, whatever its length says.
        let is_upgrade = headers.get(header::UPGRADE).is_some_and(|upgrade| {
            upgrade.as_bytes().trim_ascii().eq_ignore_ascii_case(b"websocket")
        });
        if is_upgrade {
            return Err(Problem::header("upgrade", "asks for a WebSocket, and there is none here"));
        }
        self.vet_origin(request)
    }

    fn vet_size(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let headers = request.headers();
        let lines = headers.len();
        if lines > self.max_headers {
            let detail =
                format!("has {lines} header lines; at most {} are taken", self.max_headers);
            return Err(Problem::head_too_large(detail));
        }
        // A colon, a blank and a line break go with each.
        let bytes = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4);
        let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
        if bytes.sum::<usize>() + target > self.max_head {
            let detail = format!("its head is larger than {} bytes", self.max_head);
            return Err(Problem::head_too_large(detail));
        }
        Ok(())
    }

    /// A browser sends some requests to any address that a page names, and only keeps the answer
    /// from the page. Without keys, a page that an operator looks at could so pause a host.
    fn vet_origin(&self, request: &ServiceRequest) -> Result<(), Problem> {
        let Some(origin) = request.headers().get(header::ORIGIN) else { return Ok(()) };
        let reads = [Method::GET, Method::HEAD, Method::OPTIONS];
        if reads.contains(request.method()) {
            return Ok(());
        }
        let origin = origin.to_str().unwrap_or_default();
        let from = origin.split_once("://").map(|(_, authority)| authority);
        let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
        let host = host.or_else(|| request.uri().authority().map(|host| host.as_str()));
        let is_ours = from.is_some() && from == host;
        if is_ours || self.origins.iter().any(|allowed| allowed == origin) {
            return Ok(());
        }
        Err(Problem::origin())
    }

    fn mark(&self, headers: &mut HeaderMap) {
        for (name, value) in ALWAYS {
            // A route may know better.
            if !headers.contains_key(&name) {
                headers.insert(name, value);
            }
        }
        if self.secure {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
    }
}

/// Lets a request through, or answers why not.
pub(super) async fn pass(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let _under_way = request.conn_data::<Rc<Progress>>().map(Progress::begin);
    let Some(doors) = request.app_data::<Arc<Doors>>().cloned() else {
        // Without them nothing is known to be allowed.
        let response = request.into_response(HttpResponse::InternalServerError().finish());
        return Ok(response.map_into_right_body());
    };
    let mut response = match doors.vet(&request) {
        Ok(()) => next.call(request).await?.map_into_left_body(),
        Err(problem) => {
            let mut refusal = problem.response();
            // What follows such a head on the connection is not worth reading.
            refusal.head_mut().set_connection_type(ConnectionType::Close);
            request.into_response(refusal).map_into_right_body()
        }
    };
    doors.mark(response.headers_mut());
    Ok(response)
}
