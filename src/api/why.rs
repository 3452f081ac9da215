//! Why an owed delivery is where it is, as its workspace may know it: what the engine says, and what
//! only the front end knows beside it (who paused a host, a store that refuses, a stop).

use std::collections::HashSet;

use super::caller::Asking;
use super::problem::Problem;
use super::states::word;
use crate::delivery::{Explanation, Obstacle, What};
use crate::model::{DeliveryId, StoredState};
use crate::policy::why;
use crate::store::DeliveryRecord;

/// How far deliveries ahead are counted.
const AHEAD_MAX: u64 = 100_000;

/// An explanation, and the delivery that holds the ordering key.
pub(super) struct Explained {
    pub(super) explanation: Explanation,
    pub(super) behind: Option<DeliveryId>,
}

/// Explains a delivery. One that has ended is not held by anything.
pub(super) async fn explain(api: &Asking, record: &DeliveryRecord) -> Result<Explained, Problem> {
    let owed = !matches!(record.state, StoredState::Ended(_));
    let told = match owed {
        // An actor that cannot answer now costs the words, not the answer.
        true => api.engine.explain(record.id).await.ok().flatten(),
        false => None,
    };
    let mut explanation = told.unwrap_or_else(|| unexplained(api, record, owed));
    let mut behind = None;
    if owed && explanation.ahead.is_none() {
        let place = api.store.place(record.id, AHEAD_MAX).await?;
        explanation.ahead = place.map(|place| place.ahead);
        behind = place.and_then(|place| place.behind);
    }
    if owed && explanation.state != "in_flight" {
        name_who_paused(api, record, &mut explanation.blocked_by).await;
        add_the_process(api, &mut explanation);
    }
    Ok(Explained { explanation, behind })
}

fn unexplained(api: &Asking, record: &DeliveryRecord, owed: bool) -> Explanation {
    let words = "not known: the actor of its host did not answer";
    Explanation {
        state: word(record, &HashSet::new(), api.clock.wall()),
        waits_for: None,
        reason: String::new(),
        blocked_by: Vec::new(),
        next_attempt_at: owed.then_some(record.due),
        expectation: if owed { words.to_owned() } else { String::new() },
        ahead: None,
    }
}

/// Says by whom its host was paused. That is for operators: keys are of one workspace.
async fn name_who_paused(api: &Asking, record: &DeliveryRecord, list: &mut [Obstacle]) {
    let Some(pause) = list.iter_mut().find(|obstacle| obstacle.what == What::Pause) else { return };
    let controls = api.engine.controls(&record.host);
    let Some(since) = controls.paused_at.filter(|_| api.guest().is_none()) else { return };
    // Who cannot be found is not named.
    let found = api.access.who_did("host.paused", record.host.as_str(), since).await;
    if let Ok(Some(who)) = found {
        *pause = why::paused(&record.host, &controls, Some(&who));
    }
}

/// What holds every delivery alike.
fn add_the_process(api: &Asking, explanation: &mut Explanation) {
    let list = &mut explanation.blocked_by;
    if let Some(refusing) = api.store.health().refusing {
        // What the disk says is the operators' concern.
        let text = match api.guest() {
            None => format!("the store refuses to commit ({refusing}); outcomes wait for it"),
            Some(_) => "the store refuses to commit; outcomes wait for it".to_owned(),
        };
        list.retain(|obstacle| obstacle.what != What::Store);
        list.push(Obstacle::plain(What::Store, text, None));
    }
    if api.engine.is_stopping() {
        let text = "the process is stopping; it goes after the next start";
        list.push(Obstacle::plain(What::Stopping, text, None));
        explanation.next_attempt_at = None;
        explanation.expectation = "not known: the process is stopping".to_owned();
    }
}
