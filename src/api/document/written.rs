//! The documents that people write: templates, campaigns, canvases and the filters in them. They are
//! read by hand (`compose::document`), so their shapes are written by hand too.

use super::shape::{
    Shape, any_of, anything, closed, flag, line, list_of, map, one_of, pattern, reference, text,
    whole, within, words,
};
use super::words::{duration, moment, secret_refs};
use crate::model::Priority;

/// Operators of a filter's test.
const OPERATORS: [&str; 14] = [
    "equals",
    "not_equals",
    "contains",
    "not_contains",
    "greater",
    "at_least",
    "less",
    "at_most",
    "exists",
    "not_exists",
    "in",
    "not_in",
    "before",
    "after",
];
/// Where the path of a filter's test may begin.
const ROOTS: &str = "^(event_properties|recipient|properties|entry_properties|response)\\..+$";

fn name() -> Shape {
    line(1, 255)
}

fn description() -> Shape {
    line(0, 10_000).says("For people.")
}

fn tags() -> Shape {
    list_of(name(), 0, 50).says("For finding it.")
}

/// A webhook with Liquid in it.
pub(super) fn template_webhook() -> Shape {
    let body = anything().says(
        "Any JSON value; strings in it are Liquid. A string is JSON text \
                                unless `body_type` says `text`.",
    );
    closed([
        ("url", text().says("Liquid.").such_as("https://shop.example/hook")),
        ("method?", words(&["POST", "PUT", "GET", "DELETE"]).otherwise("POST")),
        ("headers?", map(text()).says("Values are Liquid.")),
        ("body?", body),
        ("body_type?", words(&["json", "text"])),
        ("body_base64?", text().says("A binary body, instead of `body`.")),
        ("delete_with_body~", flag().says("A `DELETE` carries a body only with this.")),
        ("secret_ref?", secret_refs()),
        ("missing?", words(&["error", "empty"]).says("What a missing variable does.")),
    ])
    .called("TemplateWebhook")
}

fn webhook_sources() -> Shape {
    let named = closed([
        ("template", name().says("Id or name.")),
        ("version?", whole(1).says("The newest unless given, and pinned when it is stored.")),
    ]);
    list_of(any_of([template_webhook(), named]), 1, 50).says("All sent at once.")
}

/// A template as it is written.
pub(super) fn template() -> Shape {
    closed([
        ("name", name().says("Unique among the templates that are not archived.")),
        ("description?", description()),
        ("tags?", tags()),
        ("webhook", template_webhook()),
    ])
    .called("TemplateDocument")
}

/// A filter of events, recipients, answers.
fn filter() -> Shape {
    let several = || list_of(reference("Filter"), 1, 200);
    let property = pattern(ROOTS).such_as("event_properties.total");
    let value =
        anything().says("A number, a string, a boolean, a list, or a time, as `op` has it.");
    let test = closed([
        ("property", property.says("What is looked at, by its path.")),
        ("op", words(&OPERATORS)),
        ("value?", value),
    ]);
    one_of([
        closed([("all", several())]),
        closed([("any", several())]),
        closed([("not", reference("Filter"))]),
        test,
    ])
    .says("One test, or `all`, `any` or `not` of others; at most 16 levels and 200 parts.")
    .called("Filter")
}

fn by_api() -> Shape {
    closed([("type", words(&["api"]))]).says("A call of the API.")
}

fn by_event() -> Shape {
    closed([
        ("type", words(&["event"])),
        ("event", name().says("The event's name, matched exactly.")),
        ("filter?", filter()),
    ])
    .says("A recipient's event.")
}

fn by_clock() -> Shape {
    let cron = line(1, 200).says("Five fields, or `@hourly`, `@daily`, `@weekly`, `@monthly`.");
    let at = closed([("type", words(&["schedule"])), ("at", moment())]);
    let cron = closed([
        ("type", words(&["schedule"])),
        ("cron", cron.such_as("0 9 * * 1")),
        ("time_zone?", zone().says("On whose clock; UTC unless given.")),
    ]);
    one_of([at, cron]).says("The clock.")
}

fn zone() -> Shape {
    line(1, 64).such_as("Europe/Berlin")
}

fn reeligible() -> Shape {
    let said = "Whether a recipient can have it again: `always`, `never`, or after so long.";
    one_of([words(&["always", "never"]), duration()]).says(said)
}

/// A campaign as it is written.
pub(super) fn campaign() -> Shape {
    let trigger = one_of([by_api(), by_event(), by_clock()]).says("What starts it.");
    let recipients = list_of(line(1, 256), 1, 10_000).says("Of a scheduled one.");
    let control = within(0, u32::MAX as usize).says(
        "Of those who get nothing, to be compared with: a weight beside `variants`, 1 to 99 \
         percent beside `webhooks`.",
    );
    let metadata = map(line(0, 10_000)).named_like(line(1, 64)).sized(0, 32);
    closed([
        ("name", name().says("Unique among the campaigns that are not archived.")),
        ("description?", description()),
        ("tags?", tags()),
        ("webhooks?", webhook_sources()),
        ("variants?", list_of(variant(), 1, 20).says("One of these, instead of `webhooks`.")),
        ("control_group?", control),
        ("trigger", trigger),
        ("audience?", filter()),
        ("recipients?", recipients),
        ("messages_per_minute?", within(1, 1_000_000).says("Speed limit, spread evenly.")),
        ("reeligible?", reeligible()),
        ("frequency_cap?", frequency_cap()),
        ("quiet_hours?", quiet_hours()),
        ("stop_after?", whole(1).says("Sends after which it stops.")),
        ("stop_at?", moment().says("When it stops.")),
        ("priority?", super::shape::of::<Priority>()),
        ("ordering_key?", line(1, 10_000).says("Liquid: one after the other within this key.")),
        ("metadata?", metadata.says("Search terms of its deliveries; values are Liquid.")),
        ("ttl?", duration().says("How long a delivery is worth trying.")),
    ])
    .called("CampaignDocument")
}

fn variant() -> Shape {
    closed([
        ("name", name().says("Unique within the campaign.")),
        ("weight", within(0, 1_000_000).says("Its share of the sum of weights.")),
        ("webhooks", webhook_sources()),
    ])
    .called("Variant")
}

fn frequency_cap() -> Shape {
    let messages = within(1, 100).says("At most so many to a recipient…");
    closed([("messages", messages), ("per", duration().says("…in so long; at most 366 days."))])
        .called("FrequencyCap")
}

fn quiet_hours() -> Shape {
    let time = || pattern("^([01][0-9]|2[0-3]):[0-5][0-9]$");
    closed([
        ("from", time().says("The first quiet minute.").such_as("22:00")),
        ("to", time().says("The first minute that is not.").such_as("07:00")),
        ("time_zone", zone().says("Where the recipient's own is not known.")),
    ])
    .called("QuietHours")
}

/// A canvas as it is written.
pub(super) fn canvas() -> Shape {
    let steps = list_of(step(), 1, 200).says("A journey begins at the first.");
    closed([
        ("name", name().says("Unique among the canvases that are not archived.")),
        ("description?", description()),
        ("tags?", tags()),
        ("trigger", one_of([by_api(), by_event()]).says("What lets a recipient in.")),
        ("audience?", filter()),
        ("reeligible?", reeligible()),
        ("steps", steps),
    ])
    .called("CanvasDocument")
}

fn step() -> Shape {
    one_of([
        closed([
            ("id", step_id()),
            ("type", words(&["webhook"])),
            ("webhooks", webhook_sources()),
            ("next?", next()),
        ]),
        closed([
            ("id", step_id()),
            ("type", words(&["delay"])),
            ("for", duration().says("At least a second.")),
            ("next?", next()),
        ]),
        closed([
            ("id", step_id()),
            ("type", words(&["delay"])),
            ("until", moment()),
            ("next?", next()),
        ]),
        branch_step(),
        wait_step(),
        closed([("id", step_id()), ("type", words(&["exit"]))]),
    ])
    .called("Step")
}

fn step_id() -> Shape {
    line(1, 64).says("Unique within the canvas.")
}

fn next() -> Shape {
    text().says("The step after it; the following one unless given.")
}

fn branch_step() -> Shape {
    let branch = closed([("when", filter()), ("next", text())]);
    closed([
        ("id", step_id()),
        ("type", words(&["branch"])),
        ("branches", list_of(branch, 1, 50).says("The first that passes is taken.")),
        ("else?", text().says("Where to go when none does; the following step unless given.")),
    ])
}

fn wait_step() -> Shape {
    closed([
        ("id", step_id()),
        ("type", words(&["wait_for_event"])),
        ("event", name()),
        ("filter?", filter()),
        ("timeout", duration().says("At least a second.")),
        ("on_event?", text().says("Where to go when it comes; `next` unless given.")),
        ("on_timeout?", text().says("Where to go when it does not; `next` unless given.")),
        ("next?", next()),
    ])
}
