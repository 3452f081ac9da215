//! Sending: triggers, batches, events, test sends.

use serde_json::json;

use super::operation::{Route, post};
use super::shape::{
    Shape, any_of, anything, closed, flag, line, list, list_of, map, members, object, of, one_of,
    reference, text, whole, within, words,
};
use super::words::{duration, host, moment, secret_refs};
use crate::admission::{EXTERNAL_ID_MAX, Skipped};
use crate::api::view::{AttemptView, WebhookView};
use crate::compose::Started;
use crate::model::{DeliveryId, OnFailure, Priority, TriggerId};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    vec![trigger(), batch(), event(), test()]
}

fn trigger() -> Route {
    let example = json!({
        "webhook": {
            "url": "http://127.0.0.1:9/orders",
            "headers": {"x-shop": "berlin"},
            "body": {"order": 1042, "state": "paid"},
        },
        "metadata": {"order": "1042"},
        "ttl": "1h",
    });
    idempotent(post("/v1/triggers", "createTrigger", "Send webhooks"))
        .says(
            "One trigger, which names exactly one of `webhook` (or `webhooks`), `template`, \
             `campaign` and `canvas`. 202 means that its deliveries are on disk.",
        )
        .header("traceparent", traceparent(), "W3C trace context, passed on to the receivers.")
        .takes(trigger_input(), example)
        .answers_located(202, "Accepted; `Location` lists its deliveries.", accepted())
        .refuses(&[404, 409, 422, 508])
}

fn traceparent() -> Shape {
    let example = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    text().such_as(example)
}

/// Takes an idempotency key in a header.
fn idempotent(route: Route) -> Route {
    let said = "Makes the request safe to repeat for 24 hours: the same key and request are \
                answered the same and start nothing twice.";
    let key = super::shape::pattern("^[!-~]{1,255}$").such_as("order-1042");
    route.header("Idempotency-Key", key, said)
}

/// A trigger as it is written.
fn trigger_input() -> Shape {
    let webhooks = list_of(webhook_input(), 1, 50).says("1 to 50, accepted whole or not at all.");
    let recipients = list_of(recipient(), 1, 50).says("Each gets its own deliveries.");
    closed([
        ("webhook?", webhook_input()),
        ("webhooks?", webhooks),
        ("template?", line(1, 255).says("Id or name of a template.")),
        ("version?", whole(0).says("Version of the template; its newest unless given.")),
        ("campaign?", line(1, 255).says("Id or name of a live campaign.")),
        ("canvas?", line(1, 255).says("Id or name of a live canvas.")),
        ("properties?", members().says("For Liquid and filters.")),
        ("recipients?", recipients),
        ("send_id?", text().says("Under what several sends are reported together.")),
        ("deliver_at?", moment().says("Not before. A time that has passed means at once.")),
        ("delay?", duration().says("Not before so long; instead of `deliver_at`.")),
        ("expires_at?", moment().says("Not after.")),
        ("ttl?", duration().says("How long it is worth trying; instead of `expires_at`.")),
        ("ordering_key?", line(1, 256).says("Strictly one after the other within this key.")),
        ("on_failure?", of::<OnFailure>()),
        ("metadata?", metadata()),
        ("priority?", of::<Priority>()),
        ("secret_ref?", secret_refs()),
        ("idempotency_key?", line(1, 255).says("Of an item of a batch; see `Idempotency-Key`.")),
    ])
    .called("Trigger")
}

/// Search terms.
fn metadata() -> Shape {
    let said = "Search terms of its deliveries: found by `metadata.KEY=value`.";
    map(line(0, 256)).named_like(line(1, 64)).sized(0, 32).says(said)
}

/// A webhook as it is written in a trigger.
pub(super) fn webhook_input() -> Shape {
    let body = anything().says(
        "Any JSON value, sent byte for byte as written; a string is sent as text unless \
         `body_type` says `json`.",
    );
    closed([
        (
            "url",
            line(1, 8_192).says("Absolute, http or https.").such_as("https://shop.example/hook"),
        ),
        ("method?", words(&["POST", "PUT", "GET", "DELETE"]).otherwise("POST")),
        ("headers?", map(text()).says("Names and values; those of a connection are refused.")),
        ("body?", body),
        ("body_type?", words(&["json", "text"])),
        ("body_base64?", text().says("A binary body, instead of `body`.")),
        ("delete_with_body~", flag().says("A `DELETE` carries a body only with this.")),
        ("secret_ref?", secret_refs()),
    ])
    .called("WebhookInput")
}

/// One of a trigger's recipients.
pub(super) fn recipient() -> Shape {
    closed([
        ("external_id", external_id()),
        ("properties?", members().says("Laid over the properties of the whole.")),
    ])
    .called("RecipientInput")
}

/// What the application calls a recipient.
pub(super) fn external_id() -> Shape {
    let said = "What the application calls the recipient.";
    line(1, EXTERNAL_ID_MAX).says(said).such_as("customer-7")
}

/// The answer to a trigger.
fn accepted() -> Shape {
    let delivery = object([
        ("id", of::<DeliveryId>()),
        ("host", host()),
        ("state", words(&["waiting", "scheduled"])),
        ("recipient?", text()),
    ]);
    object([
        ("trigger", of::<TriggerId>()),
        ("deliveries", list(delivery)),
        ("skipped?", list(of::<Skipped>()).says("Who gets nothing, and why.")),
    ])
    .called("TriggerAccepted")
}

fn batch() -> Route {
    let example = json!([
        {"webhook": {"url": "http://127.0.0.1:9/a"}},
        {"webhook": {"url": "http://127.0.0.1:9/b", "body": {"n": 2}}},
    ]);
    let item =
        any_of([accepted_item(), object([("index", whole(0)), ("problem", reference("Problem"))])]);
    let answer = object([
        ("accepted", whole(0)),
        ("refused", whole(0)),
        ("data", list(item).says("One for each item, in order.")),
    ])
    .called("BatchAnswer");
    post("/v1/triggers/batch", "createTriggers", "Send many triggers in one request")
        .says(
            "A JSON array of triggers, or NDJSON, which is read line by line without being held \
             whole. Each item is answered for itself, so that one bad item never loses the rest. \
             `Idempotency-Key` does not hold for a batch: give each item an `idempotency_key`.",
        )
        .takes_lines(list_of(anything(), 1, 100_000), trigger_input(), example)
        .answers(202, "All were accepted.", answer.clone())
        .answers(207, "Some were refused; their items say why.", answer)
}

fn accepted_item() -> Shape {
    object([("index", whole(0)), ("trigger", of::<TriggerId>()), ("deliveries", list(members()))])
}

fn event() -> Route {
    let input = closed([
        ("external_id", external_id()),
        ("name", line(1, 255).says("What happened.").such_as("booked")),
        ("properties~", members()),
        ("time?", moment().says("When; a property of it like any other.")),
    ])
    .called("EventInput");
    let example =
        json!({"external_id": "customer-7", "name": "booked", "properties": {"total": 12}});
    idempotent(post("/v1/events", "createEvent", "Report an event of a recipient"))
        .says("Starts every live campaign and canvas whose trigger it matches; answers which.")
        .takes(input, example)
        .answers(202, "Taken; what it started.", of::<Started>())
        .refuses(&[404, 409, 422, 508])
}

fn test() -> Route {
    let input = closed([
        ("webhook?", super::written::template_webhook()),
        ("template?", line(1, 255).says("Id or name; instead of `webhook`.")),
        ("version?", whole(0)),
        ("properties~", members()),
        ("event_properties~", members()),
        ("entry_properties~", members()),
        ("recipient?", sample_recipient()),
        ("dry_run~", flag().says("Renders only.")),
    ])
    .called("TestSend");
    let example = json!({
        "webhook": {"url": "http://127.0.0.1:9/test", "body": {"hello": "{{ properties.name }}"}},
        "properties": {"name": "Ada"},
        "dry_run": true,
    });
    let dry = object([("dry_run", flag()), ("request", rendered())]);
    let sent = object([
        ("delivery", of::<DeliveryId>()),
        ("state", super::shape::words(&super::words::STATES).or_null()),
        ("request", rendered()),
        ("attempt", of::<AttemptView<'_>>().or_null()),
    ]);
    post("/v1/webhooks/test", "testWebhook", "Render one webhook and send it now")
        .says("Answers with the receiver's whole answer and timings. Not retried.")
        .takes(input, example)
        .answers(200, "What was rendered, and what came of it.", any_of([sent, dry]))
        .refuses(&[404, 409, 508])
}

/// A webhook as it came out of its template, or why it did not.
pub(super) fn rendered() -> Shape {
    let webhook = object([("variant?", text()), ("webhook", of::<WebhookView<'_>>())]);
    let aborted = object([
        ("variant?", text()),
        ("aborted", text().says("The template decided that nothing is sent, and why.")),
    ]);
    let error = object([
        ("variant?", text()),
        ("error", text().says("It cannot be rendered, or may not be sent.")),
    ]);
    one_of([webhook, aborted, error]).called("Rendered")
}

/// How many rows there may be.
pub(super) fn version() -> Shape {
    within(1, u32::MAX as usize)
}

/// Somebody a preview is for.
fn sample_recipient() -> Shape {
    let attributes = members().says("Laid over those of the profile, if there is one.");
    closed([("external_id", text()), ("attributes~", attributes)]).called("SampleRecipient")
}

/// Sample data of a preview or a test send.
pub(super) fn sample() -> Shape {
    closed([
        ("properties~", members().says("Of a trigger.")),
        ("event_properties~", members().says("Of an event.")),
        ("entry_properties~", members().says("Of a canvas.")),
        ("recipient?", sample_recipient().says("Somebody; need not be known.")),
    ])
    .called("Sample")
}
