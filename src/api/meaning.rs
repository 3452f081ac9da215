//! What an outcome means, in words for the person who looks into a delivery.

use crate::model::{Outcome, StoredState};

/// What came of an attempt.
pub(super) fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered(answer) => answered(answer.status),
        other => other.reason().unwrap_or_default().to_owned(),
    }
}

/// That an answer came.
pub(super) fn answered(status: u16) -> String {
    format!("answered {status}")
}

/// What that means and what may be done about it.
pub(super) fn of_outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Answered(answer) => of_status(answer.status),
        Outcome::NoAnswer { timed_out: true, .. } => {
            "the receiver did not answer in time; it is tried again"
        }
        Outcome::NoAnswer { .. } => {
            "the receiver could not be reached or broke off; it is tried again"
        }
        Outcome::Unprepared { .. } => {
            "nothing went out: a secret that it needs is missing, or no token is to be had; it is \
             tried again"
        }
        Outcome::Blocked { .. } => {
            "nothing may be sent there; change the setting or list that is named, then redrive it"
        }
    }
}

fn of_status(status: u16) -> &'static str {
    match status {
        200..=299 => "the receiver took it",
        300..=399 => "a redirect, which is never followed; give the final URL",
        401 | 403 => "the receiver does not accept the credentials; correct them and redrive",
        404 | 410 => "the receiver does not know this URL; correct it",
        408 => "the receiver waited too long for the request; it is tried again",
        413 => "the body is too large for the receiver",
        429 => "the receiver asks for fewer requests; it is tried again when the budget allows",
        400..=499 => "the receiver will not take this request; it is not tried again",
        502..=504 | 529 => "the receiver is overloaded or down; it is tried again",
        _ => "the receiver failed; it is tried again",
    }
}

/// What the last status of a delivery means whose retries are used up.
fn of_last_status(status: u16) -> &'static str {
    match status {
        408 => "the receiver waited too long for the request, each time",
        502..=504 | 529 => "the receiver was overloaded or down until all retries were used up",
        599 => "no answer came until all retries were used up",
        _ => "the receiver failed until all retries were used up",
    }
}

/// What an entry of the activity log means, and steps to resolve it.
pub(super) fn of_activity(kind: &str, status: Option<u16>) -> (&'static str, &'static str) {
    match (kind, status) {
        ("aborted", _) => (
            "the template decided that this recipient gets nothing (abort_message)",
            "nothing, if that was meant; else look at the condition around abort_message and at \
             the recipient's attributes",
        ),
        ("render_failed", _) => (
            "the template cannot be rendered with this recipient's values",
            "preview it with the same values; give the missing one, or a default filter",
        ),
        ("refused", _) => (
            "the rendered webhook may not go out as it is",
            "look at the field that is named; allow its host or port in the settings, or correct \
             the template",
        ),
        ("schedule_not_sent", _) => (
            "what was scheduled could not be sent when its time came",
            "make sure that the campaign, canvas or template is live, and schedule it again",
        ),
        ("journey_ended", _) => (
            "a recipient's journey was ended before its last step",
            "look for a circle in the canvas that comes round too often",
        ),
        ("put_aside", _) => (
            "a journey or schedule failed again and again; it is tried once an hour",
            "read the detail, and the log of the server around that time",
        ),
        ("loop_cut", _) => (
            "webhooks to this server led to one another for too long",
            "find the canvas or campaign that calls itself, and give it a condition that ends",
        ),
        ("host_unhealthy", _) => (
            "most attempts at this host failed, so that nothing is sent to it for a while",
            "nothing, if it recovers; else look at the groups of the activity log for its host, \
             and tell the receiver's owner",
        ),
        ("host_recovered", _) => (
            "the host answers again; what waited is sent",
            "nothing; redrive what had ended meanwhile",
        ),
        ("host_paused", _) => (
            "an operator has stopped sending to this host; what comes in waits",
            "resume the host once the reason is gone",
        ),
        ("host_resumed", _) => ("an operator lets this host be sent to again", "nothing"),
        ("host_drained", _) => (
            "an operator takes nothing new for this host; what was queued goes out",
            "resume the host once the reason is gone",
        ),
        ("host_purged", _) => (
            "all that was owed to this host was cancelled",
            "nothing, if that was meant; else redrive what was cancelled",
        ),
        ("endpoint_errors", _) => (
            "the host ended more attempts with an error within 24 hours than the threshold",
            "look at the errors of the host by status; correct or pause what calls it",
        ),
        ("alerts_left_out", _) => (
            "more happened within a minute than alerts are raised of",
            "look at the list of hosts; raise alerts.per_minute if all should be told",
        ),
        ("key_blocked", _) => (
            "a delivery ended without success, and those behind it with the same ordering key wait",
            "redrive, cancel or skip the delivery that is named",
        ),
        ("expired", _) => (
            "it was not delivered before its expiry",
            "look at the state of its host; redrive it once the host answers",
        ),
        ("exhausted", Some(status)) => (of_last_status(status), steps_of_status(status)),
        (_, Some(status)) => (of_status(status), steps_of_status(status)),
        _ => (
            "no answer came: the receiver could not be reached, or may not be called",
            "read the detail; check the host name, its certificate and the setting or list that \
             is named, then redrive it",
        ),
    }
}

fn steps_of_status(status: u16) -> &'static str {
    match status {
        300..=399 => "put the address that the answer's location header names into the template",
        401 | 403 => "check the key or token in the webhook's headers, then redrive it",
        404 | 410 => "check the URL of the template, and the values that go into it",
        408 | 429 => "lower the campaign's messages_per_minute, or the host's limits",
        413 => "make the body smaller",
        400..=499 => "read the answer's body; correct the template, then redrive it",
        502..=504 | 529 => "wait until the receiver is well, then redrive it",
        599 => "read the detail; check the host name and its certificate, then redrive it",
        500..=598 => "tell the receiver's owner; redrive it once they have mended it",
        _ => "read the detail",
    }
}

/// Why an ended delivery is where it is.
pub(super) fn of_end(state: StoredState, retries: u32, last: Option<&Outcome>) -> Option<String> {
    let StoredState::Ended(end) = state else { return None };
    let last = last.map_or_else(|| "no attempt was made".to_owned(), reason);
    Some(match end.as_str() {
        "delivered" => format!("delivered: {last}"),
        "exhausted" => format!("all {retries} retries were used up; the last attempt: {last}"),
        "expired" => format!("it grew older than its expiry; the last attempt: {last}"),
        "cancelled" => "it was cancelled".to_owned(),
        _ => format!("the answer is final: {last}"),
    })
}
