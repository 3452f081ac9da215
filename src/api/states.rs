//! The words of a delivery's state, between callers and the store. The store knows owed (pending,
//! parked) and ended; the finer words follow from the due time and the live host actors.

use std::collections::HashSet;

use super::problem::Problem;
use crate::model::{DeliveryId, End, StoredState, Timestamp};
use crate::store::DeliveryRecord;

/// All words, in the order of life.
const WORDS: &str =
    "scheduled, waiting, in_flight, delivered, failed, exhausted, expired, cancelled";
/// Every end with its word.
const ENDS: [End; 5] = [End::Delivered, End::Failed, End::Exhausted, End::Expired, End::Cancelled];

/// Which states a list shows.
#[derive(Clone, Debug, Default)]
pub(super) struct Wanted {
    pub scheduled: bool,
    pub waiting: bool,
    pub in_flight: bool,
    pub ends: Vec<End>,
}

impl Wanted {
    /// Reads words; `Err` is the one that is none.
    pub(super) fn parse<'a>(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut wanted = Self::default();
        for word in words {
            match word {
                "scheduled" => wanted.scheduled = true,
                "waiting" => wanted.waiting = true,
                "in_flight" => wanted.in_flight = true,
                other => match ENDS.into_iter().find(|end| end.as_str() == other) {
                    Some(end) => wanted.ends.push(end),
                    None => return Err(format!("{other:?} is no state; the states are {WORDS}")),
                },
            }
        }
        Ok(wanted)
    }

    /// Reads a comma list of the query.
    pub(super) fn of_parameter(text: Option<&str>) -> Result<Self, Problem> {
        let Some(text) = text else { return Ok(Self::default()) };
        Self::parse(text.split(',').map(str::trim))
            .map_err(|detail| Problem::parameter("state", detail))
    }

    /// Whether some owed state is wanted.
    pub(super) fn owed(&self) -> bool {
        self.scheduled || self.waiting || self.in_flight
    }

    /// Whether nothing but what is in flight is wanted.
    pub(super) fn only_in_flight(&self) -> bool {
        self.in_flight && !self.scheduled && !self.waiting && self.ends.is_empty()
    }

    /// What the store is asked for; empty means all.
    pub(super) fn stored(&self) -> Vec<StoredState> {
        let owed = self.owed().then_some([StoredState::Pending, StoredState::Parked]);
        let ended = self.ends.iter().map(|end| StoredState::Ended(*end));
        owed.into_iter().flatten().chain(ended).collect()
    }

    /// Whether a delivery whose state is called `word` is to be shown.
    pub(super) fn shows(&self, word: &str) -> bool {
        match word {
            "scheduled" => self.scheduled || !self.any(),
            "waiting" => self.waiting || !self.any(),
            "in_flight" => self.in_flight || !self.any(),
            // The store has chosen among the ends.
            _ => true,
        }
    }

    fn any(&self) -> bool {
        self.owed() || !self.ends.is_empty()
    }
}

/// The word for a delivery's state.
pub(super) fn word(
    record: &DeliveryRecord,
    in_flight: &HashSet<DeliveryId>,
    now: Timestamp,
) -> &'static str {
    match record.state {
        StoredState::Ended(end) => end.as_str(),
        _ if in_flight.contains(&record.id) => "in_flight",
        // Only before the first due time: a retry to come is waiting for its backoff.
        _ if record.attempts == 0 && record.due > now => "scheduled",
        StoredState::Pending | StoredState::Parked => "waiting",
    }
}
