//! The API document: OpenAPI 3.1, put together from the types that are written and read, the table
//! of scopes, the list of problems and, for what is read by hand, shapes. Each room describes its own
//! routes; here they become one document, which is written once and served as bytes.

mod access;
mod braze;
mod braze_shapes;
mod compose;
mod deliveries;
mod hosts;
mod operation;
pub(super) mod problems;
mod recipients;
mod secrets;
mod sending;
mod server;
mod serving;
mod shape;
pub(super) mod words;
mod written;

use std::sync::LazyLock;

use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder,
};

pub(super) use serving::{docs, show};

use operation::Route;

const TEXT: &str = "Webhook delivery with one actor per destination host: paced, durable, \
    explainable.\n\nJSON in snake_case, times in RFC 3339 UTC. Lists are read page by page: `next` \
    of one page is `after` of the following. Unknown fields and parameters are refused, naming \
    them. Errors are RFC 9457 `application/problem+json` with a stable `type`, the JSON pointer of \
    the field at fault and a sentence that says what would be right; the routes of Braze's API \
    refuse in that API's shape. `POST` routes that start sends take an `Idempotency-Key`, which \
    makes them safe to repeat for 24 hours.";

const KEY: &str = "An API key, `hl_…`, sent as `Authorization: Bearer`. The scopes that an operation \
    needs are listed with it. Without any key configured the server binds to loopback only and \
    asks for none.";

const SESSION: &str = "The cookie of `POST /v1/session`, for browsers. A request that changes \
    something (POST, PUT, PATCH, DELETE) and is let in by it needs the header `x-csrf-token` with \
    the word that `GET /v1/session` answers as `csrf`.";

/// A room: its tag, what it is about, and its routes.
type Room = (&'static str, &'static str, fn() -> Vec<Route>);

const ROOMS: &[Room] = &[
    ("Sending", "Triggers, batches, events of recipients, test sends.", sending::routes),
    ("Deliveries", "Where a webhook is, why, and what to do about it.", deliveries::routes),
    ("Hosts", "The host actors: state, budget, figures, control.", hosts::routes),
    ("Compose", "Templates, campaigns, canvases, schedules.", compose::routes),
    ("Recipients", "Profiles of recipients.", recipients::routes),
    ("Access", "Keys, workspaces, sessions, the audit log.", access::routes),
    ("Secrets", "Signing secrets and credentials of receivers.", secrets::routes),
    ("Server", "Stats, metrics, health, the dashboard, this document.", server::routes),
    ("Braze", "The REST API of Braze, as far as it concerns webhooks.", braze::routes),
];

/// The document.
pub fn document() -> OpenApi {
    let mut paths = PathsBuilder::new().build();
    let mut needs = std::collections::BTreeMap::new();
    needs.extend(problems::problem().needs);
    needs.extend(problems::braze_error().needs);
    for (tag, _, routes) in ROOMS {
        for mut route in routes() {
            needs.append(&mut route.needs);
            let (path, method) = (route.template(), route.method.clone());
            paths.add_path_operation(path, vec![method], route.build(tag));
        }
    }
    let mut components = ComponentsBuilder::new()
        .schemas_from_iter(needs)
        .responses_from_iter(problems::responses())
        .security_scheme("key", bearer())
        .security_scheme(
            "session",
            SecurityScheme::ApiKey(ApiKey::Cookie(ApiKeyValue::with_description(
                "hostline_session",
                SESSION,
            ))),
        );
    for (name, header) in operation::headers() {
        components = components.header(name, header);
    }
    let tags = ROOMS
        .iter()
        .map(|(name, text, _)| TagBuilder::new().name(*name).description(Some(*text)).build());
    OpenApiBuilder::new()
        .info(info())
        .paths(paths)
        .components(Some(components.build()))
        .tags(Some(tags))
        .build()
}

fn bearer() -> SecurityScheme {
    let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("hl_…");
    SecurityScheme::Http(scheme.description(Some(KEY)).build())
}

fn info() -> utoipa::openapi::Info {
    let license = LicenseBuilder::new().name("MIT OR Apache-2.0");
    let license = license.identifier(Some("MIT OR Apache-2.0")).build();
    InfoBuilder::new()
        .title("Hostline")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(TEXT))
        .license(Some(license))
        .build()
}

/// The document as JSON text for people.
pub fn text() -> String {
    document().to_pretty_json().expect("a document is plain data") + "\n"
}

/// The document as JSON text for programs, written once.
fn bytes() -> &'static str {
    static DOCUMENT: LazyLock<String> =
        LazyLock::new(|| document().to_json().expect("a document is plain data"));
    &DOCUMENT
}

/// Methods and paths of all operations, for the test that holds them against the routes.
#[cfg(test)]
fn described() -> Vec<(&'static str, &'static str)> {
    let rooms = ROOMS.iter().flat_map(|(_, _, routes)| routes());
    rooms.map(|route| (operation::method_name(&route.method), route.path)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::scopes::ROUTES;

    #[test]
    fn every_route_has_an_operation_and_every_operation_a_route() {
        let described = described();
        for (method, path, _) in ROUTES {
            assert!(described.contains(&(*method, *path)), "{method} {path} is not described");
        }
        for (place, (method, path)) in described.iter().enumerate() {
            let routed = ROUTES.iter().any(|row| (row.0, row.1) == (*method, *path));
            assert!(routed, "{method} {path} is described but no route");
            let again = described[..place].contains(&(*method, *path));
            assert!(!again, "{method} {path} is described twice");
        }
    }
}
