//! Sends that are due later: scheduled campaigns, sends that a caller schedules, and sends to
//! everyone, which begin now and go in the background. Each is a record.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Composer;
use super::campaign::LiveCampaign;
use super::document::Trigger;
use super::entry::{Entry, Head, Live, Status, to_bytes};
use super::fire::{expected, kept};
use super::schedule::Schedule;
use super::send::{Resolved, Send, SendTo, SendWhat, audience};
use crate::admission::{Admitted, Refusal};
use crate::model::Timestamp;
use crate::store::{Expect, RecordKind, RecordWrite, Writes};

/// Schedules that a list shows.
const LIST_MAX: usize = 1_000;

/// A send that is due later.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scheduled {
    /// UUID text; of a scheduled campaign, the campaign's.
    pub id: String,
    /// What is sent.
    pub what: ScheduledWhat,
    /// When it goes next.
    pub at: Timestamp,
    /// How far it has come, while it is going.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<Run>,
}

/// What a schedule sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduledWhat {
    /// A campaign whose document says when.
    Campaign,
    /// What a caller asked for, once.
    Send(Box<Send>),
}

/// A firing that is under way.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Run {
    /// When it began.
    pub begun: Timestamp,
    /// The last recipient that was reached.
    pub after: Option<String>,
    /// Recipients reached.
    pub reached: u64,
}

impl Composer {
    /// Sends to everyone, beginning now.
    pub(super) async fn broadcast(
        &self,
        send: &Send,
        request: (&Bytes, Option<String>),
        now: Timestamp,
    ) -> Result<Admitted, Refusal> {
        let send = self.vetted(send).await?;
        let mut batch = self.new_batch(now);
        batch.record(write(&self.new_schedule(&send, now), Expect::Absent));
        self.commit(batch, request, now).await
    }

    /// Schedules a send; answers its id.
    pub async fn schedule(&self, send: &Send, at: Timestamp) -> Result<String, Refusal> {
        let scheduled = self.new_schedule(&self.vetted(send).await?, at);
        let records = vec![write(&scheduled, Expect::Absent)];
        self.write(Writes { records, ..Writes::default() }, self.clock.wall()).await?;
        self.nudge.notify_one();
        Ok(scheduled.id)
    }

    /// A scheduled send.
    pub async fn scheduled(&self, id: &str) -> Result<Scheduled, Refusal> {
        self.find_schedule(id).await.map(|(scheduled, _)| scheduled)
    }

    /// Scheduled sends, the next first.
    pub async fn schedules(&self) -> Result<Vec<Scheduled>, Refusal> {
        let records = self.store.due(self.workspace, RecordKind::Schedule, LIST_MAX).await?;
        records.iter().map(kept).collect()
    }

    /// Changes what a schedule sends, or when. One that is going already is not changed.
    pub async fn change_schedule(
        &self,
        id: &str,
        at: Option<Timestamp>,
        change: impl Fn(&mut Send),
    ) -> Result<Scheduled, Refusal> {
        let _running = self.running.hold([id.to_owned()].into_iter()).await;
        let (mut scheduled, expect) = self.find_schedule(id).await?;
        let ScheduledWhat::Send(send) = &mut scheduled.what else {
            let detail = "it is a campaign's own schedule; change the campaign's document";
            return Err(Refusal::Conflict { slug: "campaign-schedule", detail: detail.into() });
        };
        if scheduled.run.is_some() {
            let detail = "it is going already and can no longer be changed";
            return Err(Refusal::Conflict { slug: "schedule-under-way", detail: detail.into() });
        }
        change(send);
        **send = self.vetted(send).await?;
        scheduled.at = at.unwrap_or(scheduled.at);
        let records = vec![write(&scheduled, expect)];
        self.write(Writes { records, ..Writes::default() }, self.clock.wall()).await?;
        self.nudge.notify_one();
        Ok(scheduled)
    }

    /// Takes a scheduled send back. Of one that is going, the recipients not yet reached get
    /// nothing.
    pub async fn cancel_schedule(&self, id: &str) -> Result<(), Refusal> {
        let _running = self.running.hold([id.to_owned()].into_iter()).await;
        let (scheduled, expect) = self.find_schedule(id).await?;
        if let ScheduledWhat::Campaign = scheduled.what {
            let detail = "it is a campaign's own schedule; pause the campaign";
            return Err(Refusal::Conflict { slug: "campaign-schedule", detail: detail.into() });
        }
        let records = vec![RecordWrite { value: None, ..write(&scheduled, expect) }];
        self.write(Writes { records, ..Writes::default() }, self.clock.wall()).await
    }

    async fn find_schedule(&self, id: &str) -> Result<(Scheduled, Expect), Refusal> {
        let record = self
            .store
            .records(self.workspace, RecordKind::Schedule, vec![id.to_owned()])
            .await?
            .remove(0);
        let missing =
            || Refusal::NotFound { what: "schedule", name: id.chars().take(100).collect() };
        let record = record.ok_or_else(missing)?;
        Ok((kept(&record)?, Expect::Version(record.version)))
    }

    /// A send that can be made. What it names is named by id from here on: the name may be given
    /// to another one before the time comes.
    async fn vetted(&self, send: &Send) -> Result<Send, Refusal> {
        let resolved = self.resolve(&send.what).await?;
        send.audience.as_ref().map(audience).transpose()?;
        let mut send = send.clone();
        match (&mut send.what, &resolved) {
            (SendWhat::Canvas(_), _) if matches!(send.to, SendTo::Nobody) => {
                let detail = "missing; a canvas is entered by recipients";
                return Err(Refusal::invalid("/recipients", detail));
            }
            (SendWhat::Campaign(name), Resolved::Campaign(entry, _))
            | (SendWhat::Canvas(name), Resolved::Canvas(entry, _)) => {
                name.clone_from(&entry.head.id);
            }
            (SendWhat::Template { name, .. }, Resolved::Webhooks { webhooks, .. }) => {
                let template = webhooks.first().and_then(|webhook| webhook.template.as_ref());
                name.clone_from(template.map_or(&name.clone(), |(id, _)| id));
            }
            (SendWhat::Webhooks { campaign, .. }, Resolved::Webhooks { campaign: entry, .. }) => {
                *campaign = entry.as_ref().map(|entry| entry.head.id.clone());
            }
            _ => {}
        }
        Ok(send)
    }

    /// Refuses to make a scheduled campaign live that would never send.
    pub(super) async fn vet_schedule(&self, entry: &Entry, now: Timestamp) -> Result<(), Refusal> {
        let Some(schedule) = schedule_of(entry) else { return Ok(()) };
        if schedule.next_after(now).is_some() || self.run_of(&entry.head.id).await?.is_some() {
            return Ok(());
        }
        let detail = "its time has passed; give the document a later one";
        Err(Refusal::Conflict { slug: "schedule-over", detail: detail.into() })
    }

    async fn run_of(&self, id: &str) -> Result<Option<Run>, Refusal> {
        match self.find_schedule(id).await {
            Ok((scheduled, _)) => Ok(scheduled.run),
            Err(Refusal::NotFound { .. }) => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// The record of a campaign's own schedule, as its status and document want it from now on;
    /// its key has to be held in `running`. A firing that is under way goes on where it is, and
    /// rests while the campaign is paused. One that is due is not lost.
    pub(super) async fn own_schedule(
        &self,
        head: &Head,
        campaign: &LiveCampaign,
        now: Timestamp,
    ) -> Result<Option<RecordWrite>, Refusal> {
        let keys = vec![head.id.clone()];
        let record =
            self.store.records(self.workspace, RecordKind::Schedule, keys).await?.remove(0);
        let expect = expected(record.as_ref());
        let before: Option<Scheduled> = record.as_ref().map(kept).transpose()?;
        let Trigger::Schedule(schedule) = &campaign.document.trigger else {
            return Ok(before.map(|before| RecordWrite { value: None, ..write(&before, expect) }));
        };
        let run = before.as_ref().and_then(|before| before.run.clone());
        let due = match (head.status, &before) {
            (Status::Live, Some(_)) if run.is_some() => Some(now),
            (Status::Live, Some(before)) => due_next(schedule, before.at, now),
            (Status::Live, None) => schedule.next_after(now),
            _ => None,
        };
        let goes_on = run.is_some() && head.status == Status::Paused;
        if due.is_none() && !goes_on {
            return Ok(before.map(|before| RecordWrite { value: None, ..write(&before, expect) }));
        }
        let at = match (&before, run.is_some()) {
            (Some(before), true) => before.at,
            _ => due.unwrap_or(now),
        };
        let what = ScheduledWhat::Campaign;
        let scheduled = Scheduled { id: head.id.clone(), what, at, run };
        Ok(Some(RecordWrite { due, ..write(&scheduled, expect) }))
    }

    fn new_schedule(&self, send: &Send, at: Timestamp) -> Scheduled {
        let what = ScheduledWhat::Send(Box::new(send.clone()));
        Scheduled { id: self.new_id(self.clock.wall()), what, at, run: None }
    }
}

/// When a schedule that was to go at `planned` goes next. What is due by now, and would not go at a
/// later time anyhow, goes at once.
fn due_next(schedule: &Schedule, planned: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let next = schedule.next_after(now);
    match (schedule, planned <= now) {
        (Schedule::At { at }, true) if at.get() <= now => Some(planned),
        (Schedule::Cron { .. }, true) => Some(planned),
        _ => next,
    }
}

/// The schedule of a campaign that has one.
pub(super) fn schedule_of(entry: &Entry) -> Option<&Schedule> {
    match &entry.live {
        Live::Campaign(campaign) => match &campaign.document.trigger {
            Trigger::Schedule(schedule) => Some(schedule),
            Trigger::Api | Trigger::Event(_) => None,
        },
        Live::Template(_) | Live::Canvas(_) => None,
    }
}

/// The record of a schedule, due at its time.
pub(super) fn write(scheduled: &Scheduled, expect: Expect) -> RecordWrite {
    RecordWrite {
        kind: RecordKind::Schedule,
        key: scheduled.id.clone(),
        expect,
        due: Some(scheduled.at),
        value: Some(to_bytes(scheduled)),
    }
}
