//! Access: API keys, workspaces, the audit log, sessions of browsers.

use serde_json::json;

use super::operation::{Route, delete, get, patch, post};
use super::shape::{Shape, all_of, closed, line, list_of, object, of, page, text, within};
use super::words::{duration, moment};
use crate::access::{KeyId, KeyView, NewKey, WorkspaceView};
use crate::api::session::Session;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = session();
    routes.extend(keys());
    routes.extend(workspaces());
    routes
}

fn session() -> Vec<Route> {
    let path = "/v1/session";
    let input = closed([("key", text().says("An API key."))]).called("SignIn");
    vec![
        get(path, "getSession", "Who I am, and what I may do").answers(
            200,
            "The session.",
            of::<Session<'_>>(),
        ),
        post(path, "signIn", "Sign in with a key")
            .says("The key is put into an HttpOnly cookie, which only this site sends.")
            .takes(input, json!({"key": "hl_0v3k8c6m2q9wzt4d_…"}))
            .answers(200, "Signed in.", of::<Session<'_>>())
            .refuses(&[401, 403, 421]),
        delete(path, "signOut", "Sign out").answers_empty(204, "The cookie is taken away."),
    ]
}

fn key_with_text() -> Shape {
    let text = object([("key", text().says("The key itself, shown this once."))]);
    all_of([of::<KeyView>(), text]).called("KeyWithText")
}

fn keys() -> Vec<Route> {
    let rotation = closed([("overlap?", duration().says("How long the old secret still opens."))]);
    let key = |route: Route| route.segment("id", of::<KeyId>(), "The key.");
    let example = json!({"name": "shop", "scopes": ["triggers:write"], "expires_in": "90d"});
    vec![
        get("/v1/keys", "listKeys", "List keys")
            .says("Of one's own workspace; all for an admin.")
            .paged()
            .answers(200, "A page of keys, without their secrets.", page(of::<KeyView>())),
        post("/v1/keys", "createKey", "Make a key")
            .says("It may do no more than the one that makes it.")
            .takes(of::<NewKey>(), example)
            .answers_located(
                201,
                "Made; the key is in the answer and never again.",
                key_with_text(),
            )
            .refuses(&[404, 409]),
        key(get("/v1/keys/{id}", "getKey", "One key"))
            .answers(200, "The key, without its secret.", of::<KeyView>())
            .refuses(&[404]),
        key(delete("/v1/keys/{id}", "revokeKey", "End a key at once"))
            .answers(200, "It opens nothing any more.", of::<KeyView>())
            .refuses(&[404, 409]),
        key(post("/v1/keys/{id}/rotate", "rotateKey", "Give a key a new secret"))
            .may_take(rotation, json!({"overlap": "24h"}))
            .answers(200, "The new key is in the answer and never again.", key_with_text())
            .refuses(&[404, 409]),
        get("/v1/audit", "listAudit", "Who changed what")
            .says("Newest first: of one's own workspace; all of it for an admin.")
            .paged()
            .answers(200, "A page of the log.", page(audit())),
    ]
}

fn audit() -> Shape {
    object([
        ("at", moment()),
        ("who", text().says("Id of a key, `local` or `cli`.")),
        ("action", text().says("Such as `key.created` or `host.paused`.")),
        ("subject", text()),
        ("detail", text()),
        ("address", text().or_null()),
        ("workspace", text()),
    ])
    .called("AuditEntry")
}

fn workspaces() -> Vec<Route> {
    let one = "/v1/workspaces/{workspace}";
    let example = json!({"name": "berlin", "weight": 2, "max_pending": 100_000});
    let segment =
        |route: Route| route.segment("workspace", text().such_as("berlin"), "Its name or number.");
    vec![
        get("/v1/workspaces", "listWorkspaces", "List workspaces").paged().answers(
            200,
            "A page of workspaces.",
            page(of::<WorkspaceView>()),
        ),
        post("/v1/workspaces", "createWorkspace", "Make a workspace")
            .takes(workspace_input(true), example)
            .answers_located(201, "Made.", of::<WorkspaceView>())
            .refuses(&[409]),
        segment(get(one, "getWorkspace", "One workspace"))
            .answers(200, "The workspace.", of::<WorkspaceView>())
            .refuses(&[404]),
        segment(patch(one, "changeWorkspace", "Change what holds for a workspace"))
            .says("What is absent stays; `null` lifts a limit.")
            .takes(workspace_input(false), json!({"weight": 3}))
            .answers(200, "The workspace.", of::<WorkspaceView>())
            .refuses(&[404, 409]),
    ]
}

fn workspace_input(is_new: bool) -> Shape {
    let hosts = || list_of(text(), 0, 1_000).says("Names, or `*.suffix`.");
    let shape = closed([
        (if is_new { "name" } else { "name?" }, line(1, 64)),
        ("weight?", within(1, 1_000)),
        ("max_pending?", super::shape::whole(0)),
        ("triggers_per_second?", within(1, 1_000_000)),
        ("allow_hosts?", hosts()),
        ("deny_hosts?", hosts()),
    ]);
    shape.called(if is_new { "NewWorkspace" } else { "WorkspaceChange" })
}
