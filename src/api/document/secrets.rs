//! Stored secrets: signing secrets and credentials of receivers.

use serde_json::json;

use super::operation::{Route, delete, get, post, put};
use super::shape::{Shape, all_of, closed, flag, list, object, of, page, pattern, text, words};
use super::words::duration;
use crate::vault::SecretView;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let one = "/v1/secrets/{name}";
    let rotation = closed([
        ("overlap?", duration().says("How long both sign; at most 30 days.")),
        ("force~", flag().says("Even while an earlier rotation is under way.")),
        ("value?", text().says("The new secret; made here unless given.")),
    ])
    .called("SecretRotation");
    let example = json!({"name": "orders", "kind": "signing", "applies_to": ["*.example"]});
    vec![
        get("/v1/secrets", "listSecrets", "List secrets").paged().answers(
            200,
            "A page of secrets, without their values.",
            page(of::<SecretView<'_>>()),
        ),
        post("/v1/secrets", "createSecret", "Store a secret")
            .takes(input(true), example)
            .answers_located(201, "Stored; a value that was made here is shown once.", changed())
            .refuses(&[409]),
        named(get(one, "getSecret", "One secret"))
            .answers(200, "The secret, without its value.", of::<SecretView<'_>>())
            .refuses(&[404]),
        named(put(one, "replaceSecret", "Write a secret anew"))
            .takes(input(false), json!({"kind": "signing", "applies_to": ["*.example"]}))
            .answers(200, "Written.", changed())
            .refuses(&[404, 409]),
        named(post("/v1/secrets/{name}/rotate", "rotateSecret", "Replace a signing secret"))
            .says("The old one signs as well until the overlap is over.")
            .may_take(rotation, json!({"overlap": "24h"}))
            .answers(200, "Rotated; a value that was made here is shown once.", changed())
            .refuses(&[404, 409]),
        named(post("/v1/secrets/{name}/revoke-old", "revokeOldSecret", "End the overlap now"))
            .answers(200, "Only the new one signs.", changed())
            .refuses(&[404, 409]),
        named(delete(one, "deleteSecret", "Delete a secret"))
            .answers(200, "Deleted.", object([("name", text()), ("deleted", flag())]))
            .refuses(&[404, 409]),
    ]
}

fn name() -> Shape {
    pattern("^[A-Za-z0-9_-]{1,64}$").such_as("orders")
}

fn named(route: Route) -> Route {
    route.segment("name", name(), "Its name.")
}

fn changed() -> Shape {
    let value = text().says("`whsec_…` or `whsk_…`: shown this once.");
    all_of([of::<SecretView<'_>>(), object([("value?", value)])]).called("ChangedSecret")
}

/// A secret as it is written; each kind takes its own fields.
fn input(is_new: bool) -> Shape {
    let kinds = ["signing", "bearer", "basic", "header", "oauth2", "client_certificate", "ca"];
    let places = list(text()).says("Hosts, names or `*.suffix`, campaigns, or `*` for all.");
    let shape = closed([
        (if is_new { "name" } else { "name?" }, name()),
        ("kind", words(&kinds)),
        ("applies_to~", places),
        ("algorithm?", words(&["v1", "v1a"]).says("Of `signing`: HMAC-SHA256, or ed25519.")),
        ("value?", text().says("Of `signing` and `header`; a signing secret is made if absent.")),
        ("token?", text().says("Of `bearer`.")),
        ("username?", text().says("Of `basic`.")),
        ("password?", text().says("Of `basic`.")),
        ("header?", text().says("Of `header`: its name.")),
        ("token_url?", text().says("Of `oauth2`.")),
        ("client_id?", text().says("Of `oauth2`.")),
        ("client_secret?", text().says("Of `oauth2`.")),
        ("scope?", text().says("Of `oauth2`.")),
        ("audience?", text().says("Of `oauth2`.")),
        ("auth?", words(&["basic", "body"]).says("Of `oauth2`: how the client shows itself.")),
        ("certificate?", text().says("Of `client_certificate`: PEM.")),
        ("key?", text().says("Of `client_certificate`: PEM.")),
        ("certificates?", text().says("Of `ca`: PEM.")),
    ]);
    shape.called(if is_new { "NewSecret" } else { "SecretReplacement" })
}
