//! Errors in the shape of that public API: `{"message": …, "errors": […]}`. The message is a whole
//! sentence, since most clients show nothing else; it begins with the words that the API documents
//! for the case. `errors` names the field by its JSON pointer.

use std::fmt;

use actix_web::http::{StatusCode, header};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;
use serde_json::{Value, json};

use super::super::problem::Problem;

/// Documented for a request that cannot be read or has a wrong field.
pub(super) const BAD_REQUEST: &str = "Bad Request";
/// Documented for a send that reaches nobody.
pub(super) const NO_RECIPIENTS: &str = "No Recipients";
/// Documented for a send without a message.
pub(super) const NO_MESSAGE: &str = "No message to send";
/// Documented for a campaign that is not there.
pub(super) const INVALID_CAMPAIGN: &str = "Invalid Campaign ID";
/// In the manner of the one before: of canvases nothing is documented.
pub(super) const INVALID_CANVAS: &str = "Invalid Canvas ID";
/// Documented for more than 50 recipients.
pub(super) const TOO_MANY_RECIPIENTS: &str =
    "The max number of external_ids and aliases per request was exceeded";
/// Documented for more than 75 attributes or events.
pub(super) const TOO_MUCH_INPUT: &str = "Max Input Length Exceeded";
/// Documented for a path that is none.
pub(super) const NOT_FOUND: &str = "Not Found";
/// Documented for a limit that is reached.
pub(super) const RATE_LIMITED: &str = "Rate Limited";

/// A request of these routes that is refused, and how it is answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BrazeError {
    status: StatusCode,
    message: String,
    errors: Vec<Value>,
    retry_after_s: Option<u32>,
    allow: Option<&'static str>,
}

#[derive(Serialize)]
struct Members<'a> {
    message: &'a str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [Value],
}

impl BrazeError {
    fn new(status: StatusCode, message: String) -> Self {
        let (errors, retry_after_s, allow) = (Vec::new(), None, None);
        Self { status, message, errors, retry_after_s, allow }
    }

    /// The field at `pointer` is at fault; `title` are the documented words for it.
    pub(super) fn field(title: &str, pointer: &str, detail: impl fmt::Display) -> Self {
        let detail = detail.to_string();
        let message = format!("{title}: {pointer} {detail}");
        let mut error = Self::new(StatusCode::BAD_REQUEST, message);
        error.errors.push(json!({ "type": detail, "field": pointer }));
        error
    }

    /// The request as a whole is at fault.
    pub(super) fn request(title: &str, detail: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, format!("{title}: {detail}"))
    }

    /// None of the items could be used; `errors` says of each what is wrong with it.
    pub(super) fn items(message: &str, errors: Vec<Value>) -> Self {
        Self { errors, ..Self::new(StatusCode::BAD_REQUEST, message.to_owned()) }
    }

    /// There is no such route.
    pub(super) fn no_route(path: &str, detail: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("{NOT_FOUND}: {path} {detail}"))
    }

    /// The route is there, but not with this method.
    pub(super) fn method(path: &str, method: &str, allow: &'static str) -> Self {
        let message =
            format!("Method Not Allowed: {path} does not take {method}; it takes {allow}");
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, message);
        Self { allow: Some(allow), ..error }
    }

    /// What is wrong, without the words in front that the API documents.
    pub(super) fn detail(&self) -> &str {
        self.message.split_once(": ").map_or(self.message.as_str(), |(_, detail)| detail)
    }

    /// What is said to the caller.
    #[cfg(test)]
    pub(super) fn message(&self) -> &str {
        &self.message
    }

    fn response(&self) -> HttpResponse {
        let members = Members { message: &self.message, errors: &self.errors };
        let mut builder = HttpResponse::build(self.status);
        builder.content_type("application/json");
        if let Some(seconds) = self.retry_after_s {
            builder.insert_header((header::RETRY_AFTER, seconds));
        }
        if let Some(allow) = self.allow {
            builder.insert_header((header::ALLOW, allow));
        }
        builder.body(serde_json::to_vec(&members).expect("an error is plain data"))
    }
}

impl From<Problem> for BrazeError {
    fn from(problem: Problem) -> Self {
        let status = problem.status();
        let title = match status {
            StatusCode::TOO_MANY_REQUESTS => RATE_LIMITED,
            StatusCode::BAD_REQUEST => BAD_REQUEST,
            _ => status.canonical_reason().unwrap_or(BAD_REQUEST),
        };
        let mut error = Self::new(status, format!("{title}: {}", problem.detail()));
        error.retry_after_s = problem.retry_after_s();
        for place in problem.places().filter(|place| !place.is_empty()) {
            error.message = format!("{title}: {place} {}", problem.detail());
            error.errors.push(json!({ "type": problem.detail(), "field": place }));
        }
        error
    }
}

impl fmt::Display for BrazeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for BrazeError {}

impl ResponseError for BrazeError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}
