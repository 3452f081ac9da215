//! What the requests and answers of Braze's API look like, as far as they are taken here. A field
//! that is `null` is a field left out.

use super::shape::{
    Shape, any_of, anything, flag, line, list, list_of, map, members, object, pattern, reference,
    text, whole, words,
};

/// An object with these members; any other may be there if it is `null`.
pub(super) fn closed<const N: usize>(fields: [(&str, Shape); N]) -> Shape {
    super::shape::closed(fields).or_nulls()
}

/// A time as that API takes it: ISO 8601, with an offset or in UTC.
pub(super) fn time() -> Shape {
    let said = "ISO 8601, with an offset or in UTC.";
    pattern("^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T]").says(said).such_as("2035-12-01T09:00:00Z")
}

/// Under what several sends are reported together.
pub(super) fn send_id() -> Shape {
    pattern("^[\\x00-\\x7f]{1,64}$")
}

fn schedule() -> Shape {
    closed([
        ("time", time()),
        ("in_local_time?", words_of_no()),
        ("at_optimal_time?", words_of_no()),
    ])
    .called("BrazeSchedule")
}

/// A flag that may only be `false`.
fn words_of_no() -> Shape {
    flag().only(false).says("Only `false`: a message goes out at one moment.")
}

fn messages() -> Shape {
    let webhook = closed([
        ("url", line(1, 1_000_000).says("Liquid.")),
        ("request_method", words(&["POST", "PUT", "DELETE", "GET"])),
        ("request_headers?", map(text()).says("Values are Liquid.")),
        ("body?", text().says("Liquid.")),
        ("message_variation_id?", line(1, 255).says("With `campaign_id`: one of its messages.")),
    ]);
    closed([("webhook", webhook)]).says("Of all channels, the webhook.").called("BrazeMessages")
}

fn audience() -> Shape {
    let comparisons = [
        "equals",
        "not_equal",
        "does_not_equal",
        "exists",
        "does_not_exist",
        "includes_value",
        "does_not_include_value",
        "greater_than",
        "greater_than_or_equal_to",
        "less_than",
        "less_than_or_equal_to",
        "before",
        "after",
        "less_than_x_days_ago",
        "greater_than_x_days_ago",
        "less_than_x_days_in_the_future",
        "greater_than_x_days_in_the_future",
    ];
    let test = closed([
        ("custom_attribute_name", pattern(r"^[^.]+$")),
        ("comparison", words(&comparisons)),
        ("value?", anything()),
    ]);
    let several = || list_of(reference("BrazeAudience"), 1, 1_000);
    any_of([
        closed([("AND", several())]),
        closed([("OR", several())]),
        closed([("custom_attribute", test)]),
    ])
    .called("BrazeAudience")
}

/// A message that stands in the request.
pub(super) fn message(is_later: bool) -> Shape {
    let ids = list_of(super::sending::external_id(), 0, 50);
    let uncapped =
        if is_later { "override_messaging_limits?" } else { "override_frequency_capping?" };
    let shape = closed([
        ("broadcast?", flag().says("To all who match `audience`.")),
        ("external_user_ids?", ids),
        ("audience?", audience()),
        ("campaign_id?", line(1, 255).says("The campaign that it counts for, by id or name.")),
        ("send_id?", send_id()),
        (uncapped, flag()),
        ("recipient_subscription_state?", words(&["all", "subscribed"])),
        ("messages", messages()),
        (if is_later { "schedule" } else { "schedule?" }, schedule()),
    ]);
    match is_later {
        true => shape.called("BrazeScheduledMessage"),
        false => shape.without("schedule").called("BrazeMessage"),
    }
}

/// A change of a scheduled message.
pub(super) fn message_update() -> Shape {
    closed([("schedule_id", line(1, 255)), ("schedule?", schedule()), ("messages?", messages())])
        .called("BrazeMessageUpdate")
}

/// A send of a campaign or canvas.
pub(super) fn trigger(field: &str, properties: &[&str], is_later: bool) -> Shape {
    let recipients = list_of(recipient(properties), 0, 50);
    let mut shape = closed([
        (field, line(1, 255).says("Its id or name.")),
        ("broadcast?", flag().says("To all whom its audience lets through.")),
        ("audience?", audience()),
        ("recipients?", recipients),
    ]);
    for name in properties {
        shape = shape.also(name, members().or_null(), false);
    }
    if field == "campaign_id" {
        shape = shape.also("send_id", send_id().or_null(), false);
    }
    if is_later {
        shape = shape.also("schedule", schedule(), true);
    }
    let title = if field == "campaign_id" { "Campaign" } else { "Canvas" };
    shape.called(&format!("Braze{title}{}", if is_later { "Schedule" } else { "Trigger" }))
}

fn recipient(properties: &[&str]) -> Shape {
    let existing = flag().otherwise(true).says("Whether somebody without a profile gets nothing.");
    let mut shape = closed([
        ("external_user_id", super::sending::external_id()),
        ("user_alias?", members().says("Beside an external id it says nothing new.")),
        ("send_to_existing_only?", existing),
        ("attributes?", members().says("Written to the profile before the send.")),
    ]);
    for name in properties {
        shape = shape.also(name, members().or_null(), false);
    }
    shape
}

/// A change of when a campaign or canvas goes.
pub(super) fn trigger_update(field: &str) -> Shape {
    closed([(field, line(1, 255)), ("schedule_id", line(1, 255)), ("schedule", schedule())])
}

/// What takes a schedule back.
pub(super) fn schedule_delete(field: Option<&str>) -> Shape {
    let shape = closed([("schedule_id", line(1, 255))]);
    match field {
        Some(field) => shape.also(field, line(1, 255), true),
        None => shape,
    }
}

/// Minor errors: what was wrong with items, while the others were taken.
pub(super) fn errors() -> Shape {
    list(object([("type", text())])).says("What was wrong with single recipients or items.")
}

/// The answer to a send.
pub(super) fn sent() -> Shape {
    object([
        ("message", words(&["success"])),
        ("dispatch_id", text().says("Id of the trigger that it became.")),
        ("notice?", text().says("Why nothing goes, where it is not live.")),
        ("errors?", errors()),
    ])
    .called("BrazeSent")
}

/// The answer to what is scheduled.
pub(super) fn scheduled() -> Shape {
    object([
        ("message", words(&["success"])),
        ("dispatch_id", text()),
        ("schedule_id", text()),
        ("errors?", errors()),
    ])
    .called("BrazeScheduled")
}

/// It was done.
pub(super) fn done() -> Shape {
    object([("message", words(&["success"]))]).called("BrazeDone")
}

/// Campaigns with their next times.
pub(super) fn broadcasts() -> Shape {
    let row = object([
        ("name", text()),
        ("id", text()),
        ("type", words(&["Campaign"])),
        ("tags", list(text())),
        ("next_send_time", super::words::moment()),
        ("schedule_type", text()),
    ]);
    object([("message", words(&["success"])), ("scheduled_broadcasts", list(row))])
}

fn row() -> Shape {
    object([
        ("id", text()),
        ("last_edited", super::words::moment()),
        ("name", text()),
        ("tags", list(text())),
    ])
}

/// A page of campaigns.
pub(super) fn campaigns() -> Shape {
    let row = row().also("is_api_campaign", flag(), true);
    object([("message", words(&["success"])), ("campaigns", list(row))])
}

/// A page of canvases.
pub(super) fn canvases() -> Shape {
    object([("message", words(&["success"])), ("canvases", list(row()))])
}

/// A campaign or canvas; `ends` are what its first and last use are called.
pub(super) fn details(ends: [&str; 2]) -> Shape {
    let moment = super::words::moment;
    let mut shape = object([
        ("message", words(&["success"])),
        ("created_at", moment()),
        ("updated_at", moment()),
        ("name", text()),
        ("description", text()),
        ("archived", flag()),
        ("draft", flag()),
        ("enabled", flag()),
        ("schedule_type", words(&["action_based", "time_based", "api_triggered"])),
        ("tags", list(text())),
        ("channels", list(text())),
    ]);
    for name in ends {
        shape = shape.also(name, moment().or_null(), true);
    }
    match ends[0] {
        "first_sent" => shape.also("messages", map(members()), true),
        _ => shape.also("variants", list(members()), true).also("steps", list(members()), true),
    }
}

/// What a campaign sent, by day.
pub(super) fn series() -> Shape {
    let message = object([
        ("variation_api_id", text()),
        ("variation_name", text()),
        ("sent", whole(0)),
        ("errors", whole(0)),
    ]);
    let messages = object([("webhook", list(message))]);
    let day = object([("time", text().format("date")), ("messages", messages)]);
    object([("message", words(&["success"])), ("data", list(day))])
}

/// An item of a list of which bad items are named and the others taken: of any shape, then.
fn item(wanted: Shape) -> Shape {
    any_of([wanted, anything().says("Another one is named in `errors`, and left out.")])
}

/// Attributes of one recipient: any name beside these.
pub(super) fn attributes() -> Shape {
    let wanted = object([
        ("external_id", super::sending::external_id()),
        ("_update_existing_only?", flag().or_null()),
    ]);
    item(wanted.called("BrazeAttributes"))
}

/// An event of one recipient.
pub(super) fn event() -> Shape {
    let wanted = closed([
        ("external_id", super::sending::external_id()),
        ("name", line(1, 255)),
        ("time", time()),
        ("properties?", members()),
        ("app_id?", text()),
        ("_update_existing_only?", flag()),
    ]);
    item(wanted.called("BrazeEvent"))
}
