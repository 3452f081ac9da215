//! Firing what is due: a page of recipients at a time. A page's webhooks and the record that says
//! how far it has come are one commit, so that a crash between two pages repeats none.

use std::time::Duration;

use bytes::Bytes;
use serde_json::Map;

use super::Composer;
use super::entry::{Entry, Kind, Live, Status};
use super::fire::kept;
use super::schedules::{Run, Scheduled, ScheduledWhat, schedule_of, write};
use super::send::{Resolved, Send, SendRecipient, SendTo, SendWhat, Sending, audience};
use crate::admission::{Envelope, Refusal};
use crate::model::Timestamp;
use crate::store::{Activity, Expect, Record, RecordKind, RecordWrite};

/// Recipients of one page: enough to share a commit, few enough to render in a few milliseconds.
const PAGE: usize = 100;
/// How long a firing under way rests before it looks again whether its campaign or canvas is still
/// paused.
const PAUSED: Duration = Duration::from_secs(15);

impl Composer {
    /// Sends the next page of a schedule that is due.
    pub(super) async fn run_schedule(&self, key: &str) -> Result<(), Refusal> {
        let _running = self.running.hold([key.to_owned()].into_iter()).await;
        let now = self.clock.wall();
        let record = self
            .store
            .records(self.workspace, RecordKind::Schedule, vec![key.to_owned()])
            .await?
            .remove(0);
        let Some(record) = record.filter(|record| record.due.is_some_and(|due| due <= now)) else {
            return Ok(());
        };
        let scheduled: Scheduled = kept(&record)?;
        let mut batch = self.new_batch(now).patient();
        let (send, what) = match self.what_to_send(&scheduled).await {
            Ok(found) => found,
            // Nothing that was made is ever gone: what is not found could not be read at the start.
            Err(
                refusal @ (Refusal::Unavailable | Refusal::Stopping | Refusal::NotFound { .. }),
            ) => return Err(refusal),
            Err(_) if scheduled.run.is_some() && self.is_paused(&scheduled.what) => {
                let due = Some(now.plus(PAUSED));
                let expect = Expect::Version(record.version);
                batch.record(RecordWrite { due, ..write(&scheduled, expect) });
                return self.commit(batch, (&Bytes::new(), None), now).await.map(drop);
            }
            Err(refusal) => {
                batch.note(not_sent(&scheduled, &refusal, now));
                batch.record(self.after(&scheduled, &record, now));
                return self.commit(batch, (&Bytes::new(), None), now).await.map(drop);
            }
        };
        let audience = send.audience.as_ref().map(audience).transpose()?;
        let envelope = Envelope::plain(now, send.hop, &self.settings);
        let sending = Sending { send: &send, audience: audience.as_ref(), envelope, now };
        let page = self.page(&scheduled, &send, &what).await?;
        let targets = match (&page.recipients[..], page.is_first && page.is_last) {
            ([], true) if page.to_nobody => sending.targets(&[]),
            ([], _) => Vec::new(),
            (recipients, _) => sending.targets(recipients),
        };
        let _people = self.stripes.hold(sending.stripes(&what, &targets).into_iter()).await;
        self.gather(&mut batch, &what, &sending, &targets).await?;
        let write = match page.is_last {
            true => self.after(&scheduled, &record, now),
            false => {
                let run = scheduled.run.clone();
                let begun = run.as_ref().map_or(now, |run| run.begun);
                let reached = run.map_or(0, |run| run.reached) + page.recipients.len() as u64;
                let run = Some(Run { begun, after: page.last, reached });
                write(&Scheduled { run, ..scheduled }, Expect::Version(record.version))
            }
        };
        batch.record(write);
        match self.commit(batch, (&Bytes::new(), None), now).await {
            Ok(_) | Err(Refusal::Stale(_)) => Ok(()),
            Err(refusal) => Err(refusal),
        }
    }

    /// Whether what is to be sent is a campaign or canvas that is paused.
    fn is_paused(&self, what: &ScheduledWhat) -> bool {
        let ScheduledWhat::Send(send) = what else { return false };
        let entry = match &send.what {
            SendWhat::Campaign(name) => self.entry(Kind::Campaign, name),
            SendWhat::Canvas(name) => self.entry(Kind::Canvas, name),
            SendWhat::Webhooks { .. } | SendWhat::Template { .. } => return false,
        };
        entry.is_ok_and(|entry| entry.head.status == Status::Paused)
    }

    async fn what_to_send(&self, scheduled: &Scheduled) -> Result<(Send, Resolved), Refusal> {
        match &scheduled.what {
            ScheduledWhat::Send(send) => Ok(((**send).clone(), self.resolve(&send.what).await?)),
            ScheduledWhat::Campaign => {
                let entry = self.entry(Kind::Campaign, &scheduled.id)?;
                let Live::Campaign(campaign) = &entry.live else {
                    return Err(Refusal::NotFound { what: "campaign", name: scheduled.id.clone() });
                };
                let status = entry.head.status;
                if status != Status::Live || schedule_of(&entry).is_none() {
                    let detail = format!("the campaign is {} or not scheduled", status.as_str());
                    return Err(Refusal::Conflict { slug: "not-live", detail });
                }
                let document = &campaign.document;
                let to = match (&document.recipients, &document.audience) {
                    (None, None) => SendTo::Nobody,
                    _ => SendTo::Everyone,
                };
                let send = Send {
                    what: SendWhat::Campaign(scheduled.id.clone()),
                    to,
                    properties: Map::new(),
                    audience: None,
                    send_id: None,
                    uncapped: false,
                    hop: 0,
                };
                let campaign = campaign.clone();
                Ok((send, Resolved::Campaign(entry, campaign)))
            }
        }
    }

    /// The next recipients of a send.
    async fn page(
        &self,
        scheduled: &Scheduled,
        send: &Send,
        what: &Resolved,
    ) -> Result<Page, Refusal> {
        let after = scheduled.run.as_ref().and_then(|run| run.after.clone());
        let is_first = scheduled.run.is_none();
        let named = |external_id: &str| SendRecipient {
            external_id: external_id.to_owned(),
            properties: Map::new(),
        };
        if let (ScheduledWhat::Campaign, Resolved::Campaign(_, campaign)) = (&scheduled.what, what)
            && let Some(listed) = &campaign.document.recipients
        {
            // In the order of the document, which may have been edited since the page before.
            let reached = scheduled.run.as_ref().map_or(0, |run| run.reached);
            let behind = |after: &String| Some(listed.iter().position(|id| id == after)? + 1);
            let from = after.as_ref().and_then(behind);
            let from = from.unwrap_or_else(|| usize::try_from(reached).unwrap_or(usize::MAX));
            let recipients: Vec<_> =
                listed.iter().skip(from).take(PAGE).map(|id| named(id)).collect();
            let is_last = from.saturating_add(recipients.len()) >= listed.len();
            let last = recipients.last().map(|last| last.external_id.clone());
            return Ok(Page { recipients, last, is_first, is_last, to_nobody: false });
        }
        let whole = |recipients: Vec<SendRecipient>, to_nobody| Page {
            recipients,
            last: None,
            is_first,
            is_last: true,
            to_nobody,
        };
        match &send.to {
            SendTo::Nobody => Ok(whole(Vec::new(), true)),
            SendTo::Recipients(recipients) => Ok(whole(recipients.clone(), false)),
            SendTo::Everyone => {
                let records = self
                    .store
                    .scan(self.workspace, RecordKind::Recipient, (String::new(), after), PAGE + 1)
                    .await?;
                let is_last = records.len() <= PAGE;
                let ids = records.iter().take(PAGE).map(|record| record.key.as_str());
                let recipients: Vec<_> = ids.map(named).collect();
                let last = recipients.last().map(|last| last.external_id.clone());
                Ok(Page { recipients, last, is_first, is_last, to_nobody: false })
            }
        }
    }

    /// The record of a schedule once a firing is over: the next one's, or none.
    fn after(&self, scheduled: &Scheduled, record: &Record, now: Timestamp) -> RecordWrite {
        let expect = Expect::Version(record.version);
        let entry = self.entry(Kind::Campaign, &scheduled.id).ok();
        let live = |entry: &Entry| entry.head.status == Status::Live;
        let next = match (&scheduled.what, entry) {
            (ScheduledWhat::Campaign, Some(entry)) if live(&entry) => {
                schedule_of(&entry).and_then(|schedule| schedule.next_after(now))
            }
            _ => None,
        };
        match next {
            Some(at) => write(&Scheduled { at, run: None, ..scheduled.clone() }, expect),
            None => RecordWrite { value: None, ..write(scheduled, expect) },
        }
    }
}

struct Page {
    recipients: Vec<SendRecipient>,
    last: Option<String>,
    is_first: bool,
    is_last: bool,
    to_nobody: bool,
}

/// A schedule whose campaign, canvas or template cannot send.
fn not_sent(scheduled: &Scheduled, refusal: &Refusal, now: Timestamp) -> Activity {
    let subject = match &scheduled.what {
        ScheduledWhat::Campaign => Some(scheduled.id.clone()),
        ScheduledWhat::Send(send) => match &send.what {
            SendWhat::Campaign(name) | SendWhat::Canvas(name) => Some(name.clone()),
            SendWhat::Template { name, .. } => Some(name.clone()),
            SendWhat::Webhooks { campaign, .. } => campaign.clone(),
        },
    };
    Activity {
        at: now,
        kind: "schedule_not_sent".into(),
        subject,
        detail: refusal.to_string(),
        ..Activity::default()
    }
}
