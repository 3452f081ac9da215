//! The span of a trigger that came in: carries on the trace that its caller names, or begins one,
//! and hands it to what the trigger becomes, by way of the request's own header.

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderName, HeaderValue, LOCATION};
use actix_web::middleware::Next;
use actix_web::{Error, web};

use super::Api;
use super::triggers::traceparent;
use crate::delivery::spans::{Attributes, Begun, SpanKind, Value};
use crate::model::TraceParent;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// The routes whose requests become deliveries under the trace of their caller.
const ROUTES: [&str; 2] = ["/v1/triggers", "/v1/triggers/batch"];

/// Follows a request that brings triggers, where spans are made.
pub(super) async fn follow(
    mut request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let Some((api, route, begun)) = begin(&request) else { return next.call(request).await };
    if let Ok(value) = HeaderValue::from_str(&begun.context().to_string()) {
        request.headers_mut().insert(TRACEPARENT, value);
    }
    let before = api.clock.moment();
    let response = next.call(request).await?;
    let took = api.clock.moment().since(before);
    let (attributes, error) = describe(&response, route);
    let trace = begun.context().trace;
    log::debug!(route, trace:% = format_args!("{trace:032x}"); "trigger answered");
    begun.end((format!("POST {route}"), SpanKind::Server), took, attributes, error);
    Ok(response)
}

fn begin(request: &ServiceRequest) -> Option<(web::Data<Api>, &'static str, Begun)> {
    let api = request.app_data::<web::Data<Api>>().filter(|api| api.tracer.is_on())?;
    let route = ROUTES.into_iter().find(|route| *route == request.path())?;
    let caller = traceparent(request.headers()).and_then(TraceParent::parse);
    let begun = api.tracer.accept(caller, api.clock.wall())?;
    Some((api.clone(), route, begun))
}

fn describe(
    response: &ServiceResponse<impl MessageBody>,
    route: &'static str,
) -> (Attributes, Option<String>) {
    let status = response.status();
    let mut attributes = vec![
        ("http.request.method", Value::Text("POST".into())),
        ("http.route", Value::Text(route.into())),
        ("http.response.status_code", Value::Whole(u64::from(status.as_u16()))),
    ];
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    if let Some((_, trigger)) = location.and_then(|location| location.split_once("trigger=")) {
        attributes.push(("hostline.trigger.id", Value::Text(trigger.into())));
    }
    // A caller's own fault is no error of the server's, by the conventions.
    let failed = status.is_server_error();
    if failed {
        attributes.push(("error.type", Value::Text(status.as_u16().to_string())));
    }
    (attributes, failed.then(String::new))
}
