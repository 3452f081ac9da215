//! Every problem that a request may be answered with: the closed list of types, and the statuses
//! that they come with. [`Problem`](crate::api::Problem) is held against the list in debug builds.

use utoipa::openapi::{ContentBuilder, Ref, Response, ResponseBuilder};

use super::shape::{Shape, any_of, anything, list, object, text, within, words};

/// In which API's shape a route refuses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// RFC 9457.
    Problem,
    /// That of Braze's API.
    Braze,
}

/// A status, what it says in one sentence, and the types that come with it.
type Kind = (u16, &'static str, &'static [&'static str]);

/// All of them.
const KINDS: &[Kind] = &[
    (
        400,
        "A field, parameter or header is not valid; `errors` names each and says what would be \
         right.",
        &[
            "invalid-field",
            "invalid-parameter",
            "invalid-header",
            "malformed-json",
            "json-too-deep",
            "unreadable-request",
        ],
    ),
    (401, "A valid API key is needed.", &["unauthorized"]),
    (
        403,
        "The key lacks a scope, or the request comes from a page that may not ask.",
        &["forbidden", "origin-not-allowed", "cross-site", "csrf"],
    ),
    (404, "There is no such thing.", NOT_FOUND),
    (
        405,
        "The route does not take this method; `Allow` lists those it takes.",
        &["method-not-allowed"],
    ),
    (408, "The request did not arrive in time.", &["request-timeout"]),
    (409, "The present state does not allow it.", CONFLICTS),
    (413, "The request is over a limit.", &["too-large"]),
    (415, "The body is of another type than the route takes.", &["unsupported-media-type"]),
    (421, "The server does not go by this name.", &["unknown-host"]),
    (422, "The idempotency key was used by another request.", &["idempotency-key-reused"]),
    (
        429,
        "Too many requests; `Retry-After` says how long to wait.",
        &[
            "rate-limited",
            "too-many-failures",
            "too-many-connections",
            "host-full",
            "workspace-full",
            "workspace-rate",
        ],
    ),
    (431, "The head of the request is too large.", &["head-too-large"]),
    (
        503,
        "Not now: the server stops, is full, or its store cannot answer. Nothing was kept, and the \
         same request may be sent again.",
        &[
            "unavailable",
            "stopping",
            "busy",
            "store-slow",
            "store-full",
            "memory-full",
            "too-many-connections",
            "too-many-streams",
        ],
    ),
    (508, "A chain of webhooks to this server is too long.", &["loop-detected"]),
];

const NOT_FOUND: &[&str] = &[
    "not-found",
    "unknown-route",
    "unknown-delivery",
    "unknown-host",
    "unknown-redrive",
    "unknown-secret",
];

const CONFLICTS: &[&str] = &[
    "already-ended",
    "campaign-schedule",
    "changed-meanwhile",
    "host-draining",
    "host-paused",
    "idempotency-key-under-way",
    "in-flight",
    "key-not-live",
    "last-admin-key",
    "name-taken",
    "no-vault-key",
    "not-blocking",
    "not-live",
    "not-redrivable",
    "nothing-to-revoke",
    "redrives-busy",
    "rotation-under-way",
    "schedule-over",
    "schedule-under-way",
    "secret-configured",
    "secret-exists",
    "secret-kind",
    "too-many",
    "too-many-keys",
    "too-many-secrets",
    "too-many-workspaces",
    "wrong-status",
    "wrong-trigger",
];

/// Whether a problem of this type may come with this status.
pub(in crate::api) fn is_listed(slug: &str, status: u16) -> bool {
    KINDS.iter().any(|kind| kind.0 == status && kind.2.contains(&slug))
}

/// The statuses of refusals that every route has: those of the connection and of the head; with a
/// key those of the door; with a body those of reading it.
pub(super) fn of_every_route(has_door: bool, takes_body: bool) -> Vec<u16> {
    let mut statuses = vec![400, 408, 429, 431, 503];
    if has_door {
        statuses.extend([401, 403, 421]);
    }
    if takes_body {
        statuses.extend([413, 415]);
    }
    statuses
}

/// The name of the response that tells of a status.
pub(super) fn response_name(form: Form, status: u16) -> String {
    match form {
        Form::Problem => format!("Problem{status}"),
        Form::Braze => format!("BrazeError{status}"),
    }
}

/// The responses of all statuses in both shapes.
pub(super) fn responses() -> Vec<(String, Response)> {
    let mut responses = Vec::new();
    for kind in KINDS {
        for form in [Form::Problem, Form::Braze] {
            responses.push((response_name(form, kind.0), response(form, kind)));
        }
    }
    responses
}

fn response(form: Form, kind: &Kind) -> Response {
    let types: Vec<String> = kind.2.iter().map(|slug| format!("`{slug}`")).collect();
    let mut text = kind.1.to_owned();
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    let mut response = ResponseBuilder::new();
    if form == Form::Problem {
        text.push_str(&format!(" Types: {}.", types.join(", ")));
    } else {
        let error = ContentBuilder::new().schema(Some(Ref::from_schema_name("BrazeError")));
        response = response.content("application/json", error.build());
    }
    // What the connection or the head is refused for is said before it is known who is spoken to.
    response = response.content("application/problem+json", problem);
    if matches!(kind.0, 429 | 503) {
        response = response.header_ref("Retry-After", Ref::new("#/components/headers/Retry-After"));
    }
    response.description(text).build()
}

/// The schema of a problem.
pub(super) fn problem() -> Shape {
    let mut types: Vec<String> = Vec::new();
    for slug in KINDS.iter().flat_map(|kind| kind.2) {
        let name = format!("/problems/{slug}");
        if !types.contains(&name) {
            types.push(name);
        }
    }
    let types: Vec<&str> = types.iter().map(String::as_str).collect();
    let errors = list(fault()).says("What is at fault, where something of the request is.");
    let shape = object([
        ("type", words(&types).says("Stable; to be told apart by.")),
        ("title", text().says("What kind of problem it is.")),
        ("status", within(400, 599).says("The status of the answer.")),
        ("detail", text().says("What is wrong with this request, and what would be right.")),
        ("errors?", errors),
    ]);
    shape.says("RFC 9457.").called("Problem")
}

fn fault() -> Shape {
    let detail = || text().says("What is wrong, and what would be right.");
    let pointer = text().says("JSON pointer into the body.").such_as("/webhook/url");
    any_of([
        object([("pointer", pointer), ("detail", detail())]),
        object([("parameter", text().says("Name in query or path.")), ("detail", detail())]),
        object([("header", text().says("Name of a header.")), ("detail", detail())]),
    ])
    .called("Fault")
}

/// The schema of an error in Braze's shape.
pub(super) fn braze_error() -> Shape {
    let message = text().says("A whole sentence; begins with the words that Braze documents.");
    object([("message", message), ("errors?", list(anything()))]).called("BrazeError")
}
