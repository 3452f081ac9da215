//! Recipients: their profiles, and all that is kept of one.

use serde_json::json;

use super::operation::{Route, delete, get, patch, put};
use super::sending::external_id;
use super::shape::{Shape, closed, flag, list, members, object, of, page, whole};
use crate::api::view::Row;
use crate::compose::Recipient;
use crate::store::Activity;

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let path = "/v1/recipients/{external_id}";
    vec![
        get("/v1/recipients", "listRecipients", "List recipients")
            .says("In order of their ids.")
            .paged()
            .answers(200, "A page of profiles.", page(of::<Recipient>())),
        one(get(path, "getRecipient", "One recipient"))
            .answers(200, "The profile.", of::<Recipient>())
            .refuses(&[404]),
        one(put(path, "putRecipient", "Replace a recipient's attributes"))
            .takes(attributes(), json!({"attributes": {"first_name": "Ada", "visits": 1}}))
            .answers(200, "The profile.", of::<Recipient>())
            .refuses(&[409]),
        one(patch(path, "changeRecipient", "Change some of a recipient's attributes"))
            .says(
                "A value sets, `null` removes, `{\"inc\": n}` adds to a number, `{\"add\": […]}` \
                 and `{\"remove\": […]}` change an array.",
            )
            .takes(attributes(), json!({"attributes": {"visits": {"inc": 1}}}))
            .answers(200, "The profile.", of::<Recipient>())
            .refuses(&[409]),
        one(get("/v1/recipients/{external_id}/export", "exportRecipient", "All that is kept"))
            .answers(200, "All that is kept of the recipient.", export())
            .refuses(&[404]),
        one(delete(path, "forgetRecipient", "Forget a recipient"))
            .says("The profile, what was sent, journeys; deliveries that are owed are cancelled.")
            .answers(200, "Forgotten.", forgotten())
            .refuses(&[404, 409]),
    ]
}

fn one(route: Route) -> Route {
    route.segment("external_id", external_id(), "What the application calls the recipient.")
}

fn attributes() -> Shape {
    closed([("attributes", members().says("Anything that is known."))]).called("Attributes")
}

fn export() -> Shape {
    object([
        ("profile", of::<Recipient>().or_null()),
        ("contacts", list(members()).says("What each campaign and canvas has sent.")),
        ("journeys", list(members()).says("Places in canvases.")),
        ("deliveries", list(of::<Row<'_>>()).says("The newest.")),
        ("activity", list(of::<Activity>()).says("The newest.")),
    ])
    .called("RecipientExport")
}

fn forgotten() -> Shape {
    object([
        ("external_id", external_id()),
        ("forgotten", flag()),
        ("deliveries_cancelled", whole(0)),
    ])
}
