//! The routes of Braze's REST API. What a request looks like is in `braze_shapes`.

use serde_json::{Value, json};

use super::braze_shapes::{self as shapes, closed};
use super::operation::{Route, get, post};
use super::shape::{flag, line, list_of, object, text, whole, within, words};

/// The routes.
pub(super) fn routes() -> Vec<Route> {
    let mut routes = messages();
    routes.extend(triggers());
    routes.extend(exports());
    routes.push(send_id());
    routes.push(track());
    routes.into_iter().map(Route::in_braze_form).collect()
}

/// A route that sends or schedules.
fn sending(path: &'static str, id: &str, summary: &str) -> Route {
    post(path, id, summary).refuses(&[508])
}

fn webhook_example() -> Value {
    let body = "{\"hello\": \"{{${first_name} | default: 'you'}}\"}";
    let webhook = json!({"url": "http://127.0.0.1:9/m", "request_method": "POST", "body": body});
    json!({"webhook": webhook})
}

fn messages() -> Vec<Route> {
    let at = json!({"time": "2035-12-01T09:00:00Z"});
    let ids = json!(["customer-7"]);
    let schedule = json!({"schedule_id": SCHEDULE, "schedule": at});
    vec![
        sending("/messages/send", "brazeSendMessage", "Send a message that stands in the request")
            .takes(
                shapes::message(false),
                json!({"external_user_ids": ids, "messages": webhook_example()}),
            )
            .answers(201, "Sent.", shapes::sent()),
        sending("/messages/schedule/create", "brazeScheduleMessage", "Send a message later")
            .takes(
                shapes::message(true),
                json!({"external_user_ids": ids, "messages": webhook_example(), "schedule": at}),
            )
            .answers(201, "Scheduled.", shapes::scheduled()),
        sending("/messages/schedule/update", "brazeRescheduleMessage", "Change what is scheduled")
            .takes(shapes::message_update(), schedule)
            .answers(201, "Changed.", shapes::done()),
        sending("/messages/schedule/delete", "brazeUnscheduleMessage", "Take a message back")
            .takes(shapes::schedule_delete(None), json!({"schedule_id": SCHEDULE}))
            .answers(201, "Taken back.", shapes::done()),
        get("/messages/scheduled_broadcasts", "brazeListBroadcasts", "Campaigns that are to come")
            .query_required("end_time", shapes::time(), "Until when to look.")
            .answers(200, "Campaigns with their next times.", shapes::broadcasts()),
    ]
}

/// Stands for the id of a schedule.
const SCHEDULE: &str = "019aca52-4b40-7000-8000-0000000002b1";

/// A campaign or canvas, and what that API calls its parts.
struct Triggered {
    title: &'static str,
    field: &'static str,
    properties: &'static [&'static str],
    paths: [&'static str; 4],
    name: &'static str,
}

const TRIGGERED: [Triggered; 2] = [
    Triggered {
        title: "Campaign",
        field: "campaign_id",
        properties: &["trigger_properties"],
        paths: [
            "/campaigns/trigger/send",
            "/campaigns/trigger/schedule/create",
            "/campaigns/trigger/schedule/update",
            "/campaigns/trigger/schedule/delete",
        ],
        name: "spring",
    },
    Triggered {
        title: "Canvas",
        field: "canvas_id",
        properties: &["context", "canvas_entry_properties"],
        paths: [
            "/canvas/trigger/send",
            "/canvas/trigger/schedule/create",
            "/canvas/trigger/schedule/update",
            "/canvas/trigger/schedule/delete",
        ],
        name: "onboarding",
    },
];

fn triggers() -> Vec<Route> {
    TRIGGERED.iter().flat_map(triggers_of).collect()
}

fn triggers_of(kind: &Triggered) -> [Route; 4] {
    let Triggered { title, field, properties, paths, name } = kind;
    let [send, create, update, delete] = paths;
    let at = json!({"time": "2035-12-01T09:00:00Z"});
    let to = json!([{"external_user_id": "customer-7"}]);
    let word = title.to_ascii_lowercase();
    let later = json!({*field: name, "recipients": to, "schedule": at});
    let change = json!({*field: name, "schedule_id": SCHEDULE, "schedule": at});
    let gone = json!({*field: name, "schedule_id": SCHEDULE});
    [
        sending(send, &format!("brazeTrigger{title}"), &format!("Send a {word}"))
            .takes(
                shapes::trigger(field, properties, false),
                json!({*field: name, "recipients": to}),
            )
            .answers(201, "Sent, or a notice of why nothing goes.", shapes::sent()),
        sending(create, &format!("brazeSchedule{title}"), &format!("Send a {word} later"))
            .takes(shapes::trigger(field, properties, true), later)
            .answers(201, "Scheduled.", shapes::scheduled()),
        sending(update, &format!("brazeReschedule{title}"), &format!("Change when a {word} goes"))
            .takes(shapes::trigger_update(field), change)
            .answers(201, "Changed.", shapes::done()),
        sending(delete, &format!("brazeUnschedule{title}"), &format!("Take a {word} back"))
            .takes(shapes::schedule_delete(Some(field)), gone)
            .answers(201, "Taken back.", shapes::done()),
    ]
}

fn listed(route: Route) -> Route {
    route
        .query("page", whole(0).otherwise(0), "Pages have 100 rows; the first is 0.")
        .query("include_archived", flag().otherwise(false), "The archived as well.")
        .query("sort_direction", words(&["asc", "desc"]).otherwise("asc"), "By time of creation.")
        .query("last_edit.time[gt]", shapes::time(), "Changed after.")
}

fn details(route: Route, field: &str, name: &str) -> Route {
    let said = "Taken and not used: what is live is changed, or duplicated.";
    route.query_required(field, line(1, 255).such_as(name), "Its id or name.").query(
        "post_launch_draft_version",
        flag(),
        said,
    )
}

fn exports() -> Vec<Route> {
    let campaign = line(1, 255).such_as("spring");
    vec![
        listed(get("/campaigns/list", "brazeListCampaigns", "List campaigns")).answers(
            200,
            "A page of campaigns.",
            shapes::campaigns(),
        ),
        details(
            get("/campaigns/details", "brazeGetCampaign", "One campaign"),
            "campaign_id",
            "spring",
        )
        .answers(200, "The campaign.", shapes::details(["first_sent", "last_sent"])),
        get("/campaigns/data_series", "brazeGetCampaignSeries", "What a campaign sent, by day")
            .query_required("campaign_id", campaign, "Its id or name.")
            .query_required("length", within(1, 100), "Days.")
            .query("ending_at", shapes::time(), "In the last day; now unless given.")
            .answers(200, "A row a day, the oldest first.", shapes::series()),
        listed(get("/canvas/list", "brazeListCanvases", "List canvases")).answers(
            200,
            "A page of canvases.",
            shapes::canvases(),
        ),
        details(get("/canvas/details", "brazeGetCanvas", "One canvas"), "canvas_id", "onboarding")
            .answers(200, "The canvas.", shapes::details(["first_entry", "last_entry"])),
    ]
}

fn send_id() -> Route {
    let input =
        closed([("campaign_id", line(1, 255).such_as("spring")), ("send_id?", shapes::send_id())]);
    let answer = object([("message", words(&["success"])), ("send_id", text())]);
    post("/sends/id/create", "brazeCreateSendId", "An id to report sends together under")
        .takes(input.called("BrazeSendId"), json!({"campaign_id": "spring"}))
        .answers(201, "Made.", answer)
        .refuses(&[508])
}

fn track() -> Route {
    let input = closed([
        ("attributes?", list_of(shapes::attributes(), 0, 75)),
        ("events?", list_of(shapes::event(), 0, 75)),
    ]);
    let answer = object([
        ("message", words(&["success"])),
        ("attributes_processed?", whole(0)),
        ("events_processed?", whole(0)),
        ("errors?", shapes::errors()),
    ]);
    let event =
        json!({"external_id": "customer-7", "name": "booked", "time": "2026-11-24T09:00:00Z"});
    let example = json!({
        "attributes": [{"external_id": "customer-7", "first_name": "Ada"}],
        "events": [event],
    });
    post("/users/track", "brazeTrackUsers", "Attributes and events of recipients")
        .says("One bad item is named in `errors`, and the others are taken.")
        .takes(input.called("BrazeTrack"), example)
        .answers(201, "Taken.", answer)
        .refuses(&[409, 508])
}
