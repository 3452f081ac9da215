//! Deliveries: seeing them, and redriving, skipping or cancelling them, one by one or by filter.

use serde_json::json;

use super::operation::{Route, delete, delivery_id, get, post};
use super::shape::{Shape, closed, flag, list, map, object, of, page, pattern, text, whole, words};
use super::words::{STATES, host, moment};
use crate::api::deliveries::Detail;
use crate::api::redrives::{Action, Progress};
use crate::api::view::Row;
use crate::model::{DeliveryId, TriggerId};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    vec![all(), one(), cancel(), redrive(), skip(), redrives(), progress()]
}

fn all() -> Route {
    let states = pattern(&format!("^ *({0}) *(, *({0}) *)*$", STATES.join("|")));
    get("/v1/deliveries", "listDeliveries", "List deliveries")
        .says("Newest first. Every parameter narrows. `metadata.KEY=value` finds by metadata.")
        .query("host", host(), "Only to this host.")
        .query("state", states.such_as("failed,exhausted"), "Only in one of these states.")
        .query("trigger", of::<TriggerId>(), "Only of this trigger.")
        .query("campaign", text(), "Only of this campaign, by id or name.")
        .query("canvas", text(), "Only of this canvas, by id or name.")
        .query("template", text(), "Only of this template, by id or name.")
        .query("recipient", text(), "Only for this recipient.")
        .query("send_id", text(), "Only of this send.")
        .query("from", moment(), "Accepted at or after.")
        .query("until", moment(), "Accepted before.")
        .paged()
        .answers(200, "A page of deliveries.", page(of::<Row<'_>>()))
}

fn one() -> Route {
    get("/v1/deliveries/{id}", "getDelivery", "Where is my webhook?")
        .says(
            "One delivery with its webhook (secrets masked), every attempt, every deferral, and in \
             words why it is where it is and when it goes next.",
        )
        .segment("id", delivery_id(), "The delivery.")
        .answers(200, "The delivery.", of::<Detail<'_>>())
        .refuses(&[404])
}

fn done(words_of: &[&str]) -> Shape {
    object([("id", of::<DeliveryId>()), ("state", words(words_of))])
}

fn cancel() -> Route {
    delete("/v1/deliveries/{id}", "cancelDelivery", "Cancel a delivery")
        .says("Possible until its request is being sent; what is in flight finishes.")
        .segment("id", delivery_id(), "The delivery.")
        .answers(200, "It is cancelled.", done(&["cancelled"]))
        .refuses(&[404, 409])
}

fn redrive() -> Route {
    post("/v1/deliveries/{id}/redrive", "redriveDelivery", "Send a dead letter again")
        .segment("id", delivery_id(), "The delivery.")
        .answers(200, "It is owed again.", done(&["waiting"]))
        .refuses(&[404, 409])
}

fn skip() -> Route {
    let answer = object([("id", of::<DeliveryId>()), ("skipped", flag())]);
    post("/v1/deliveries/{id}/skip", "skipDelivery", "Let the ordering key behind it go on")
        .segment("id", delivery_id(), "A failed delivery that blocks its key.")
        .answers(200, "The key goes on.", answer)
        .refuses(&[404, 409])
}

fn redrives() -> Route {
    let said = "Of a redrive: failed, exhausted, expired, cancelled. Of a cancellation: scheduled \
                and waiting together. Left out: all that can be.";
    let filter = closed([
        ("host?", host()),
        ("states?", list(words(&STATES)).says(said)),
        ("from?", moment().says("Accepted at or after.")),
        ("until?", moment().says("Accepted before.")),
        ("metadata~", map(text())),
        ("campaign?", text()),
        ("canvas?", text()),
        ("template?", text()),
        ("recipient?", text()),
        ("send_id?", text()),
    ]);
    let input = closed([
        ("action", of::<Action>()),
        ("filter", filter.says("Which; an empty object means all.")),
        ("dry_run~", flag().says("Counts only.")),
    ])
    .called("RedriveInput");
    let counted = object([
        ("dry_run", flag()),
        ("action", of::<Action>()),
        ("matched", whole(0)),
        ("counted_to_the_end", flag()),
    ]);
    let example = json!({"action": "redrive", "filter": {"host": "shop.example"}, "dry_run": true});
    post("/v1/redrives", "createRedrive", "Redrive or cancel by filter")
        .says("Runs in the background, with progress; a dry run counts.")
        .takes(input, example)
        .answers(200, "What it would be about.", counted)
        .answers_located(202, "Begun; `Location` shows how far it is.", of::<Progress>())
        .refuses(&[409])
}

fn progress() -> Route {
    get("/v1/redrives/{id}", "getRedrive", "How far a redrive is")
        .segment("id", pattern("^[0-9a-f]{16}$").such_as("00c0ffee00c0ffee"), "The redrive.")
        .answers(200, "The redrive.", of::<Progress>())
        .refuses(&[404])
}
