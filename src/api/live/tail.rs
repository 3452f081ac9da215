//! Deliveries as they end, or are to be tried again, for one who listens. What the feed tells is
//! narrowed first and then looked up in the store, many at a time, so that a busy server's feed
//! costs a listener of one host next to nothing.

use std::collections::HashMap;

use serde::Serialize;

use crate::api::Api;
use crate::api::meaning;
use crate::api::problem::Problem;
use crate::delivery::{Listener, Notice, RETRIED};
use crate::model::{DeliveryId, End, HostName, Timestamp, TriggerId};
use crate::store::{DeliveryFilter, DeliveryRecord};

/// Deliveries that are looked up in one go. As many may be shown each time that one looks: past
/// that a reader is told how many it missed, since nobody reads thousands a second.
pub(super) const LOOK_MAX: usize = 500;

/// What may be asked of the state.
const STATES: [&str; 6] = [
    End::Delivered.as_str(),
    End::Failed.as_str(),
    End::Exhausted.as_str(),
    End::Expired.as_str(),
    End::Cancelled.as_str(),
    RETRIED,
];

/// Which deliveries are shown; every field narrows.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) workspace: u32,
    pub(super) host: Option<HostName>,
    pub(super) states: Vec<String>,
    /// Id of a campaign.
    pub(super) campaign: Option<String>,
    /// External id of a recipient.
    pub(super) recipient: Option<String>,
}

impl Wanted {
    /// Reads states, with commas between them.
    pub(super) fn read_states(text: &str) -> Result<Vec<String>, Problem> {
        let states = text.split(',').map(str::trim).filter(|state| !state.is_empty());
        let states: Vec<String> = states.map(str::to_owned).collect();
        match states.iter().find(|state| !STATES.contains(&state.as_str())) {
            None => Ok(states),
            Some(bad) => {
                let known = STATES.join(", ");
                let detail = format!("{bad:?} is nothing that is told here; give some of {known}");
                Err(Problem::parameter("state", detail))
            }
        }
    }

    /// Whether a notice may be of something wanted: all that can be said before it is looked up.
    fn may_be(&self, notice: &Notice) -> bool {
        notice.workspace.is_none_or(|workspace| workspace == self.workspace)
            && self.host.as_ref().is_none_or(|host| *host == notice.host)
            && (self.states.is_empty() || self.states.iter().any(|state| state == notice.state))
            && (self.campaign.is_none()
                || notice.workspace.is_none()
                || notice.campaign.as_deref() == self.campaign.as_deref())
    }

    fn is(&self, record: &DeliveryRecord) -> bool {
        let of = |wanted: &Option<String>, field: Option<&String>| {
            wanted.is_none() || wanted.as_ref() == field
        };
        let provenance = record.provenance.as_deref();
        record.workspace == self.workspace
            && of(&self.campaign, provenance.and_then(|from| from.campaign.as_ref()))
            && of(&self.recipient, provenance.and_then(|from| from.recipient.as_ref()))
    }
}

/// One delivery as it is told.
#[derive(Serialize)]
struct Told<'a> {
    id: DeliveryId,
    trigger: TriggerId,
    host: &'a HostName,
    state: &'static str,
    status: Option<u16>,
    reason: Option<String>,
    attempts: u32,
    url: &'a str,
    method: &'static str,
    campaign: Option<&'a str>,
    recipient: Option<&'a str>,
    at: Timestamp,
    latency_ms: Option<f64>,
}

#[derive(Serialize)]
struct Dropped {
    count: u64,
}

/// Somebody who listens to the feed.
pub(super) struct Tail {
    listener: Listener,
    wanted: Wanted,
}

impl Tail {
    pub(super) fn new(listener: Listener, wanted: Wanted) -> Self {
        Self { listener, wanted }
    }

    /// Writes what was told since the last look, and how much was missed.
    pub(super) async fn look(&mut self, api: &Api, to: &mut String) {
        let wanted = &self.wanted;
        let (notices, missed) = self.listener.take(LOOK_MAX, |notice| wanted.may_be(notice));
        if missed > 0 {
            super::stream::write(to, "dropped", &Dropped { count: missed });
        }
        if notices.is_empty() {
            return;
        }
        let filter = DeliveryFilter {
            workspace: Some(wanted.workspace),
            ids: Some(notices.iter().map(|notice| notice.id).collect()),
            ..DeliveryFilter::default()
        };
        let page = match api.store.list(filter, None, LOOK_MAX).await {
            Ok(page) => page,
            Err(error) => {
                log::warn!("what was delivered could not be looked up: {error:?}");
                let count = notices.len() as u64;
                return super::stream::write(to, "dropped", &Dropped { count });
            }
        };
        let records: HashMap<DeliveryId, &DeliveryRecord> =
            page.rows.iter().map(|record| (record.id, record)).collect();
        for notice in notices {
            // One that is gone was swept meanwhile.
            let Some(record) = records.get(&notice.id).filter(|record| wanted.is(record)) else {
                continue;
            };
            super::stream::write(to, "delivery", &told(&notice, record));
        }
    }
}

fn told<'a>(notice: &'a Notice, record: &'a DeliveryRecord) -> Told<'a> {
    let provenance = record.provenance.as_deref();
    let answered = notice.status.map(meaning::answered);
    Told {
        id: notice.id,
        trigger: record.trigger,
        host: &notice.host,
        state: notice.state,
        status: notice.status,
        reason: notice.reason.clone().or(answered),
        attempts: notice.attempt.unwrap_or(record.attempts),
        url: record.webhook.target.as_str(),
        method: record.webhook.method.as_str(),
        campaign: provenance.and_then(|from| from.campaign.as_deref()),
        recipient: provenance.and_then(|from| from.recipient.as_deref()),
        at: notice.at,
        latency_ms: notice.latency_us.map(|us| us as f64 / 1000.0),
    }
}
