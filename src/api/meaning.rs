//! What an outcome means, in words for the person who looks into a delivery.

use crate::model::{Outcome, StoredState};

/// What came of an attempt.
pub(super) fn reason(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Answered(answer) => format!("answered {}", answer.status),
        Outcome::NoAnswer { reason, .. } | Outcome::Blocked { reason } => reason.clone(),
    }
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
        Outcome::Blocked { .. } => {
            "the address may not be called; allow it in the settings and redrive"
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
