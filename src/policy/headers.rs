//! Reads what an answer's headers say about the host's budget, in every dialect that is known to be
//! spoken. Decides nothing: how long to wait, and which bucket governs, is the budget's to say, and
//! so is every cap. Whatever cannot be read is passed over; no answer may make this panic.

mod fields;
mod structured;
#[cfg(test)]
mod tests;
mod time;

use std::time::Duration;

use crate::model::{Header, Timestamp};

use fields::{Field, Notes};
pub use time::{Reset, reset_in};

/// What an answer's headers say about the host's budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signals {
    /// How long the host asks to be left alone; the longest, where it says several.
    pub retry_after: Option<Duration>,
    /// Every budget that it names, counted in requests.
    pub buckets: Vec<Bucket>,
}

/// One budget.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bucket {
    /// Requests that a window allows.
    pub limit: Option<u64>,
    /// Requests that the running window still allows.
    pub remaining: Option<u64>,
    /// From now until the window resets.
    pub reset: Option<Duration>,
    /// The length of a window.
    pub window: Option<Duration>,
    /// Reset was given or measured in whole seconds, so it may be a second or two off.
    pub coarse: bool,
}

/// Reads the headers of an answer that came at `received`. Costs next to nothing where none of them
/// is about a budget.
pub fn read(headers: &[Header], received: Timestamp) -> Signals {
    if !headers.iter().any(|header| Field::of(&header.name).is_some()) {
        return Signals::default();
    }
    let clocks = Clocks::of(headers, received);
    let mut retry_after = None;
    let mut notes = Notes::default();
    for header in headers {
        match Field::of(&header.name) {
            None => {}
            Some(Field::RetryAfter) => {
                retry_after = retry_after.max(wait(&header.value, clocks.dated));
            }
            Some(Field::RetryAfterMs) => {
                retry_after = retry_after.max(time::millis(&header.value));
            }
            Some(Field::Structured(field)) => notes.structured(field, &header.value),
            Some(Field::Part(part)) => notes.part(part, &header.value, clocks.running),
        }
    }
    let mut buckets = notes.into_buckets(clocks.running);
    if !clocks.agree {
        // Measured against a `Date`, and that is in whole seconds.
        buckets.iter_mut().for_each(|bucket| bucket.coarse = true);
    }
    Signals { retry_after, buckets }
}

/// The answerer's idea of now.
struct Clocks {
    /// Its `Date`, which `Retry-After` is measured against. Cut to the second, so a wait measured
    /// against it is never too short.
    dated: Timestamp,
    /// Our own clock where it agrees with that second, which is finer: a window of one second would
    /// else seem to have all of it left, always. The `Date` where it does not agree.
    running: Timestamp,
    /// Whether they agree.
    agree: bool,
}

impl Clocks {
    fn of(headers: &[Header], received: Timestamp) -> Self {
        let date = headers.iter().find(|header| header.name == "date");
        let Some(dated) = date.and_then(|header| time::http_date(&header.value)) else {
            return Self { dated: received, running: received, agree: true };
        };
        let agree = received.as_secs() == dated.as_secs();
        Self { dated, running: if agree { received } else { dated }, agree }
    }
}

/// A `Retry-After`. Proxies that add their own join the two with a comma; the longest counts.
fn wait(text: &str, now: Timestamp) -> Option<Duration> {
    if let Some(reset) = reset_in(text, now) {
        return Some(reset.wait);
    }
    let mut longest = None;
    for part in text.split(',').take(fields::ITEMS_MAX) {
        longest = longest.max(Some(reset_in(part, now)?.wait));
    }
    longest
}
