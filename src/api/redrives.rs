//! `/v1/redrives`: redriving or cancelling by filter, in the background, with progress. The progress
//! is kept in memory only: what was done is in the deliveries themselves, and asking again is safe.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::caller::Asking;
use super::deliveries::{COMPOSED, composed_term};
use super::problem::Problem;
use super::request::{json, located, object, read_json};
use super::states::Wanted;
use crate::delivery::{Cancelled, Engine};
use crate::model::{DeliveryId, End, HostName, StoredState, Timestamp, word};
use crate::store::{DeliveryFilter, QueryError, StoreError};

/// Deliveries of one step: one transaction of the store.
const CHUNK: usize = 500;
/// Cancellations under way at once.
const SIDE_BY_SIDE: usize = 64;
/// Redrives of one workspace that run at once.
const RUNNING_MAX: usize = 4;
/// Redrives whose progress is remembered.
const KEPT: usize = 100;
/// How far a dry run counts.
const COUNT_MAX: u64 = 10_000_000;

/// What to do with the deliveries of a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = RedriveAction)]
#[serde(rename_all = "snake_case")]
pub(super) enum Action {
    Redrive,
    Cancel,
}

/// The body of `POST /v1/redrives`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object with `action` and `filter`")]
pub(super) struct Input {
    #[serde(deserialize_with = "word")]
    action: Action,
    #[serde(deserialize_with = "object")]
    filter: FilterInput,
    #[serde(default)]
    dry_run: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "an object; an empty one means all")]
struct FilterInput {
    host: Option<String>,
    states: Option<Vec<String>>,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    campaign: Option<String>,
    canvas: Option<String>,
    template: Option<String>,
    recipient: Option<String>,
    send_id: Option<String>,
}

impl FilterInput {
    /// The search terms that it names.
    fn terms(&mut self, api: &Asking) -> Vec<(String, String)> {
        let mut terms: Vec<_> = std::mem::take(&mut self.metadata).into_iter().collect();
        let given = [
            self.campaign.take(),
            self.canvas.take(),
            self.template.take(),
            self.recipient.take(),
            self.send_id.take(),
        ];
        for (field, value) in COMPOSED.into_iter().zip(given) {
            terms.extend(value.map(|value| composed_term(api, field, value)));
        }
        terms
    }
}

/// How far a redrive is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Redrive)]
pub(super) struct Progress {
    id: String,
    #[serde(skip)]
    workspace: u32,
    action: Action,
    state: &'static str,
    /// Deliveries looked at.
    matched: u64,
    /// Of these, redriven or cancelled.
    done: u64,
    /// Of these, changed meanwhile, so that nothing was to be done.
    skipped: u64,
    started_at: Timestamp,
    ended_at: Option<Timestamp>,
}

/// The redrives of this process, oldest first.
#[derive(Clone, Default)]
pub(super) struct Redrives(Arc<Mutex<VecDeque<Progress>>>);

impl Redrives {
    /// Notes a new one; `None` when too many run.
    fn begin(&self, workspace: u32, action: Action, now: Timestamp) -> Option<Progress> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let runs = |one: &&Progress| one.workspace == workspace && one.ended_at.is_none();
        if all.iter().filter(runs).count() >= RUNNING_MAX {
            return None;
        }
        if all.len() >= KEPT
            && let Some(oldest) = all.iter().position(|progress| progress.ended_at.is_some())
        {
            all.remove(oldest);
        }
        let progress = Progress {
            id: format!("{:016x}", fastrand::u64(..)),
            workspace,
            action,
            state: "running",
            matched: 0,
            done: 0,
            skipped: 0,
            started_at: now,
            ended_at: None,
        };
        all.push_back(progress.clone());
        Some(progress)
    }

    fn note(&self, progress: &Progress) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = all.iter_mut().find(|kept| kept.id == progress.id) {
            kept.clone_from(progress);
        }
    }

    fn find(&self, workspace: u32, id: &str) -> Option<Progress> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter().find(|one| one.workspace == workspace && one.id == id).cloned()
    }
}

/// Begins a redrive, or counts what it would be about.
pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    let input: Input = read_json(&request, payload).await?;
    let now = api.clock.wall();
    let filter = filter(&api, input.action, input.filter, now)?;
    if input.dry_run {
        let matched = api.store.count(filter, COUNT_MAX).await?;
        let answer = serde_json::json!({
            "dry_run": true, "action": input.action, "matched": matched,
            "counted_to_the_end": matched < COUNT_MAX,
        });
        return Ok(json(StatusCode::OK, &answer));
    }
    if api.engine.is_stopping() {
        return Err(Problem::stopping());
    }
    let Some(progress) = api.redrives.begin(api.caller.workspace, input.action, now) else {
        let detail = format!("{RUNNING_MAX} redrives run already; wait until one has ended");
        return Err(Problem::conflict("redrives-busy", detail));
    };
    let location = format!("/v1/redrives/{}", progress.id);
    let response = located(json(StatusCode::ACCEPTED, &progress), &location);
    actix_web::rt::spawn(run(api, filter, progress));
    Ok(response)
}

/// Shows how far a redrive is.
pub(super) async fn show(id: web::Path<String>, api: Asking) -> Result<HttpResponse, Problem> {
    match api.redrives.find(api.caller.workspace, &id) {
        Some(progress) => Ok(json(StatusCode::OK, &progress)),
        None => {
            let detail = "there is no such redrive (progress is forgotten at a restart)";
            Err(Problem::not_found("unknown-redrive", detail))
        }
    }
}

fn filter(
    api: &Asking,
    action: Action,
    mut input: FilterInput,
    now: Timestamp,
) -> Result<DeliveryFilter, Problem> {
    let metadata = input.terms(api);
    let host = input.host.as_deref().map(|text| {
        HostName::parse(text).ok_or_else(|| Problem::field("/filter/host", "is not a host name"))
    });
    Ok(DeliveryFilter {
        workspace: Some(api.caller.workspace),
        host: host.transpose()?,
        states: states(action, input.states.as_deref())?,
        trigger: None,
        metadata,
        from: input.from,
        // What comes in while it runs is not meant.
        until: Some(input.until.map_or(now.plus(ONE_MS), |until| until.min(now.plus(ONE_MS)))),
        ids: None,
    })
}

/// `until` is exclusive, and what was accepted in this very millisecond is meant.
const ONE_MS: std::time::Duration = std::time::Duration::from_millis(1);

fn states(action: Action, words: Option<&[String]>) -> Result<Vec<StoredState>, Problem> {
    let refuse = |detail: &str| Err(Problem::field("/filter/states", detail));
    let words = words.unwrap_or_default();
    let wanted = Wanted::parse(words.iter().map(String::as_str))
        .map_err(|detail| Problem::field("/filter/states", detail))?;
    match action {
        Action::Redrive if words.is_empty() => {
            Ok([End::Failed, End::Exhausted, End::Expired].map(StoredState::Ended).to_vec())
        }
        Action::Redrive if wanted.owed() || wanted.ends.contains(&End::Delivered) => {
            refuse("takes failed, exhausted, expired and cancelled: what can be redriven")
        }
        Action::Redrive => Ok(wanted.stored()),
        Action::Cancel if words.is_empty() => Ok(vec![StoredState::Pending, StoredState::Parked]),
        Action::Cancel if wanted.scheduled && wanted.waiting && wanted.ends.is_empty() => {
            Ok(wanted.stored())
        }
        Action::Cancel => {
            refuse("takes both scheduled and waiting, or leave it out: all that is owed")
        }
    }
}

async fn run(api: Asking, filter: DeliveryFilter, mut progress: Progress) {
    progress.state = match steps(&api, filter, &mut progress).await {
        Ok(state) => state,
        Err(error) => {
            log::warn!("redrive broke off: id={} error={error:?}", progress.id);
            "failed"
        }
    };
    progress.ended_at = Some(api.clock.wall());
    api.redrives.note(&progress);
}

async fn steps(
    api: &Asking,
    filter: DeliveryFilter,
    progress: &mut Progress,
) -> Result<&'static str, QueryError> {
    let mut after = None;
    loop {
        if api.engine.is_stopping() {
            return Ok("stopped");
        }
        let page = api.store.list(filter.clone(), after, CHUNK).await?;
        let ids: Vec<DeliveryId> = page.rows.iter().map(|record| record.id).collect();
        let matched = ids.len() as u64;
        let done = match progress.action {
            Action::Redrive => api.engine.redrive(ids).await?.len() as u64,
            Action::Cancel => cancel(&*api.engine, ids).await?,
        };
        progress.matched += matched;
        progress.done += done;
        progress.skipped += matched.saturating_sub(done);
        api.redrives.note(progress);
        after = page.next;
        if after.is_none() {
            return Ok("done");
        }
    }
}

async fn cancel(engine: &dyn Engine, ids: Vec<DeliveryId>) -> Result<u64, StoreError> {
    let answers = stream::iter(ids).map(|id| engine.cancel(id)).buffer_unordered(SIDE_BY_SIDE);
    let answers: Vec<_> = answers.collect().await;
    let mut done = 0;
    for answer in answers {
        done += u64::from(answer? == Cancelled::Done);
    }
    Ok(done)
}
