//! The small words of the API: ids, times, durations, names of hosts, states. A type that writes
//! itself as a string says here what the string looks like.

use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use super::shape::{Shape, line, list, list_of, one_of, pair, pattern, text, words};
use crate::access::{KeyId, Scope, Scopes};
use crate::model::{DeliveryId, HostName, Timestamp, TriggerId};

/// Text of an id.
const UUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";
/// A number and a unit, again and again.
const DURATION: &str = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+$";

impl PartialSchema for DeliveryId {
    fn schema() -> RefOr<Schema> {
        id("of a delivery", "019aca52-4b40-7c05-8e3f-60d1f0b2c9a4").schema
    }
}

impl PartialSchema for TriggerId {
    fn schema() -> RefOr<Schema> {
        id("of a trigger", "019aca52-4b40-7000-8000-0000000001a4").schema
    }
}

impl PartialSchema for KeyId {
    fn schema() -> RefOr<Schema> {
        key_id().schema
    }
}

impl PartialSchema for Timestamp {
    fn schema() -> RefOr<Schema> {
        moment().schema
    }
}

impl PartialSchema for HostName {
    fn schema() -> RefOr<Schema> {
        host().schema
    }
}

impl PartialSchema for Scopes {
    fn schema() -> RefOr<Schema> {
        list(scope()).says("What a key may do.").schema
    }
}

impl ToSchema for DeliveryId {}
impl ToSchema for TriggerId {}
impl ToSchema for KeyId {}
impl ToSchema for Timestamp {}
impl ToSchema for HostName {}
impl ToSchema for Scopes {}

/// Where a delivery is.
pub(in crate::api) fn delivery_state() -> RefOr<Schema> {
    words(&STATES).says("Where a delivery is.").schema
}

/// Headers as they are shown.
pub(in crate::api) fn header_pairs() -> RefOr<Schema> {
    let said = "Names and values in order; the values of likely credentials are `***`.";
    list(pair()).says(said).schema
}

/// Names of secrets as they may be written.
pub(in crate::api) fn secret_names() -> RefOr<Schema> {
    secret_refs().or_null().schema
}

/// One name of a secret, or several.
pub(super) fn secret_refs() -> Shape {
    let several = list_of(line(1, 64), 0, 8);
    one_of([text(), several]).says("Name of a stored or configured secret, or several names.")
}

/// What came of an attempt.
pub(in crate::api) fn attempt_outcome() -> RefOr<Schema> {
    let said = "`answered` with any status; `no_answer` is recorded as 599; `blocked` by the \
                address guard; `unprepared` where a secret or token is missing.";
    words(&["answered", "no_answer", "blocked", "unprepared"]).says(said).schema
}

/// The state of a host without an actor.
pub(in crate::api) fn host_state() -> RefOr<Schema> {
    words(&HOST_STATES).says("The state of a host.").schema
}

/// The states of a delivery, in the order of life.
pub(super) const STATES: [&str; 8] = [
    "scheduled",
    "waiting",
    "in_flight",
    "delivered",
    "failed",
    "exhausted",
    "expired",
    "cancelled",
];
/// The states of a host.
pub(super) const HOST_STATES: [&str; 7] =
    ["healthy", "limited", "backing_off", "cooling_down", "probing", "paused", "idle"];

fn id(what: &str, example: &str) -> Shape {
    pattern(UUID).format("uuid").says(&format!("Id {what}.")).such_as(example)
}

/// The id of a template, campaign, canvas or schedule.
pub(super) fn entry_id() -> Shape {
    pattern(UUID).format("uuid").such_as("019aca52-4b40-7000-8000-0000000002b1")
}

fn key_id() -> Shape {
    let shape = pattern("^[0-9a-hjkmnp-tv-z]{16}$").such_as("0v3k8c6m2q9wzt4d");
    shape.says("Id of an API key: what is shown of it.")
}

/// A moment, RFC 3339 in UTC or with an offset.
pub(super) fn moment() -> Shape {
    let said = "RFC 3339; UTC in answers, any offset in requests.";
    text().format("date-time").says(said).such_as("2026-12-01T09:00:00Z")
}

/// A duration with its unit.
pub(super) fn duration() -> Shape {
    let said = "A duration: numbers with units `ms`, `s`, `m`, `h`, `d`.";
    pattern(DURATION).says(said).such_as("1h30m")
}

/// The name of a host.
pub(super) fn host() -> Shape {
    let said = "Name of a destination host, with `:port` where the port is not the \
                scheme's default.";
    pattern(r"^[^\s/?#@]+$").says(said).such_as("shop.example")
}

fn scope() -> Shape {
    words(&Scope::ALL.map(Scope::as_str)).says("One thing that a key may do.")
}
