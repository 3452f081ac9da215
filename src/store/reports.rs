//! Reports and the activity log: what became of what was sent, by host, campaign, canvas, template
//! and of a whole workspace, by minute, hour and day; and what a person may want to look into.
//!
//! Everything is counted in the commit of what it counts, so that it is exact after a crash and
//! after a lost answer, and nothing is found by going through deliveries. A count happens once and
//! is not taken back: a delivery that failed and was delivered after a redrive counts as both.

use std::borrow::Cow;
use std::time::Duration;

use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::figures::Figures;
use super::{Page, QueryError, StoreFuture};
use crate::model::{DeliveryId, HostName, HostNumber, Provenance, Timestamp};

/// What a report is about, within a workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// All that the workspace sends.
    Workspace,
    /// What it sends to a host.
    Host(HostNumber),
    /// What a campaign sends, by its id.
    Campaign(String),
    /// What a canvas sends.
    Canvas(String),
    /// What is rendered of a template.
    Template(String),
}

impl Subject {
    /// The number that its kind is stored as.
    pub(super) fn kind(&self) -> u8 {
        match self {
            Subject::Workspace => 0,
            Subject::Host(_) => 1,
            Subject::Campaign(_) => 2,
            Subject::Canvas(_) => 3,
            Subject::Template(_) => 4,
        }
    }

    /// What tells it from others of its kind.
    pub(super) fn name(&self) -> Cow<'_, str> {
        match self {
            Subject::Workspace => Cow::Borrowed(""),
            Subject::Host(number) => Cow::Owned(number.0.to_string()),
            Subject::Campaign(id) | Subject::Canvas(id) | Subject::Template(id) => id.into(),
        }
    }

    /// What composed a delivery.
    pub(super) fn composed(provenance: &Provenance) -> Vec<Self> {
        let sender = match (&provenance.campaign, &provenance.canvas) {
            (Some(id), _) => Some(Subject::Campaign(id.clone())),
            (None, canvas) => canvas.clone().map(Subject::Canvas),
        };
        sender.into_iter().chain(provenance.template.clone().map(Subject::Template)).collect()
    }
}

/// The length of time that a point of a report stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[schema(as = ReportStep)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// 60 s.
    Minute = 0,
    /// 60 minutes.
    Hour = 1,
    /// 24 hours of UTC.
    Day = 2,
}

impl Step {
    /// All of them, the shortest first.
    pub const ALL: [Step; 3] = [Step::Minute, Step::Hour, Step::Day];

    /// How many milliseconds it lasts.
    pub fn millis(self) -> i64 {
        match self {
            Step::Minute => 60_000,
            Step::Hour => 3_600_000,
            Step::Day => 86_400_000,
        }
    }

    /// The number of the step that a time lies in, since the epoch.
    pub fn number(self, at: Timestamp) -> i64 {
        at.as_millis().div_euclid(self.millis())
    }

    /// When the step with this number begins.
    pub fn start(self, number: i64) -> Timestamp {
        Timestamp::from_millis(number.saturating_mul(self.millis()))
    }

    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Step::Minute => "minute",
            Step::Hour => "hour",
            Step::Day => "day",
        }
    }
}

/// Which report.
#[derive(Clone, Debug)]
pub struct ReportQuery {
    /// Whose: nothing of another workspace is counted.
    pub workspace: u32,
    /// About what.
    pub subject: Subject,
    /// How long a point is.
    pub step: Step,
    /// The first step is the one that this lies in.
    pub from: Timestamp,
    /// The last step is the one that begins before this. At most [`POINTS_MAX`] steps are read.
    pub until: Timestamp,
}

/// Points that one report may have: more than are kept of any step by default.
pub const POINTS_MAX: i64 = 1_500;

impl ReportQuery {
    /// The numbers of the steps that it asks for.
    pub(super) fn steps(&self) -> std::ops::Range<i64> {
        let first = self.step.number(self.from);
        let end = -(-self.until.as_millis()).div_euclid(self.step.millis());
        first..end.clamp(first, first + POINTS_MAX)
    }
}

/// What a report found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportPoints {
    /// Those steps in which something was counted, in their order.
    pub points: Vec<(Timestamp, Figures)>,
    /// Recipients who were sent something within the asked steps, each counted once; `None` where
    /// that is not known: of minutes, of what is over, and of more rows than are worth reading.
    pub recipients: Option<u64>,
}

/// How long reports and logs are kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Points of a minute.
    pub minutes: Duration,
    /// Points of an hour, and who was reached.
    pub hours: Duration,
    /// Points of a day, and the counts of campaigns and canvases by part.
    pub days: Duration,
    /// Entries of the activity log.
    pub activity: Duration,
    /// Entries of the audit log.
    pub audit: Duration,
}

/// An entry of the activity log, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Activity {
    /// When; of several that are one entry, the last.
    pub at: Timestamp,
    /// `aborted`, `render_failed`, `capped`, `loop_cut`, `failed` and so on: a closed list that
    /// the API documents.
    pub kind: String,
    /// The host that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Id of the template, campaign or canvas.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A variant or step, and a template's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// External id of the recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The delivery that it is about, the last one of several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<DeliveryId>,
    /// Status of the last attempt of that delivery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// In words.
    pub detail: String,
}

impl Activity {
    /// Says what composed the delivery that it is about.
    pub(super) fn of(&mut self, provenance: &Provenance) {
        let subject = provenance.subject().or(provenance.template.as_deref());
        self.subject = subject.map(str::to_owned);
        self.part = Some(provenance.part()).filter(|_| provenance.subject().is_some());
        self.recipient = provenance.recipient.clone();
    }
}

/// A change of a host that a person may want to know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HostNews {
    Unhealthy,
    Recovered,
    Paused,
    Resumed,
}

impl HostNews {
    /// What a change of condition means: what the host was in until then, and what it is in now.
    pub(super) fn of(was: Option<&str>, is: Option<&str>) -> Option<Self> {
        let ill = |condition: Option<&str>| matches!(condition, Some("cooling_down" | "probing"));
        let paused = |condition: Option<&str>| condition == Some("paused");
        match () {
            () if paused(is) && !paused(was) => Some(Self::Paused),
            () if ill(is) && !ill(was) => Some(Self::Unhealthy),
            () if ill(was) && !ill(is) => Some(Self::Recovered),
            () if paused(was) && !paused(is) => Some(Self::Resumed),
            () => None,
        }
    }

    /// Whether somebody asked for it, whom the API names to the operators.
    pub(super) fn is_asked(self) -> bool {
        matches!(self, Self::Paused | Self::Resumed)
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Unhealthy => "host_unhealthy",
            Self::Recovered => "host_recovered",
            Self::Paused => "host_paused",
            Self::Resumed => "host_resumed",
        }
    }

    /// In words. The reason counts what all workspaces sent, or is the operators' own: others are
    /// not told.
    pub(super) fn detail(self, whole: bool, reason: &str) -> String {
        let detail = match self {
            Self::Unhealthy if whole => return reason.to_owned(),
            Self::Unhealthy => "most attempts fail: nothing is sent to the host for a while",
            Self::Recovered => "the host answers again",
            Self::Paused => "an operator has stopped sending to the host",
            Self::Resumed => "the pause of the host is over",
        };
        detail.to_owned()
    }
}

/// An entry of the activity log, as it is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LoggedActivity)]
pub struct Logged {
    /// What happened, the last time.
    #[serde(flatten)]
    pub entry: Activity,
    /// When it happened for the first time.
    pub first_at: Timestamp,
    /// How often it did.
    pub count: u64,
}

/// Which entries of the activity log a list shows; every field narrows.
#[derive(Clone, Debug, Default)]
pub struct ActivityFilter {
    /// Only of this workspace.
    pub workspace: u32,
    /// Only of this template, campaign or canvas.
    pub subject: Option<String>,
    /// Only of this kind.
    pub kind: Option<String>,
    /// Only of this recipient.
    pub recipient: Option<String>,
    /// Only of this host.
    pub host: Option<HostName>,
    /// Only with this status of the last attempt.
    pub status: Option<u16>,
    /// Only at or after.
    pub from: Option<Timestamp>,
    /// Only before.
    pub until: Option<Timestamp>,
}

impl ActivityFilter {
    /// Whether it shows an entry of its workspace.
    pub(super) fn shows(&self, entry: &Activity) -> bool {
        fn is<T: PartialEq>(wanted: &Option<T>, given: &Option<T>) -> bool {
            wanted.is_none() || wanted == given
        }
        is(&self.subject, &entry.subject)
            && is(&self.recipient, &entry.recipient)
            && is(&self.host, &entry.host)
            && is(&self.status, &entry.status)
            && self.kind.as_ref().is_none_or(|kind| *kind == entry.kind)
            && self.from.is_none_or(|from| entry.at >= from)
            && self.until.is_none_or(|until| entry.at < until)
    }
}

/// Entries of one minute about the same become one row: what they have in common.
pub(super) fn common(workspace: u32, host: HostNumber, entry: &Activity) -> String {
    let (minute, kind) = (Step::Minute.number(entry.at), &entry.kind);
    let status = entry.status.map_or(0, u32::from);
    let subject = entry.subject.as_deref().unwrap_or("");
    format!("{minute} {workspace} {} {kind} {status} {subject}", host.0)
}

/// Entries about single recipients that a workspace may have in a minute; what comes beyond is one
/// row for each host, status and campaign.
const SINGLE_A_MINUTE: u32 = 600;

/// How many entries of their own are left in a minute. Begun anew at a start: it bounds rows, and
/// counts nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct Ration {
    minute: i64,
    used: std::collections::HashMap<u32, u32>,
}

impl Ration {
    /// Takes one for a workspace, if there is one left.
    pub(super) fn take(&mut self, workspace: u32, at: Timestamp) -> bool {
        let minute = Step::Minute.number(at);
        if self.minute != minute {
            *self = Self { minute, ..Self::default() };
        }
        let used = self.used.entry(workspace).or_default();
        *used += 1;
        *used <= SINGLE_A_MINUTE
    }
}

/// Reading what was counted and noted. What one workspace sent is not seen from another.
pub trait ReportStore: Send + Sync + 'static {
    /// A report, with all that is committed.
    fn report(&self, query: ReportQuery) -> StoreFuture<ReportPoints>;

    /// Adds what was counted lately to the tables; changes no report. Answers whether there is
    /// more.
    fn fold(&self) -> StoreFuture<bool>;

    /// Deletes what is kept no longer, at most about `limit` rows of a kind in one go. Answers
    /// whether there may be more.
    fn forget(&self, kept: Kept, now: Timestamp, limit: usize) -> StoreFuture<bool>;

    /// A page of the activity log, newest first. `limit` is 1 to 1,000. A page may be short, even
    /// empty, and have a next one: a bounded number of rows is looked at.
    fn activity(
        &self,
        filter: ActivityFilter,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Page<Logged>, QueryError>>;

    /// All entries that a filter shows, newest first, looking at no more than `limit` rows, with
    /// whether those were all.
    fn logged(&self, filter: ActivityFilter, limit: usize) -> StoreFuture<(Vec<Logged>, bool)>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_has_the_steps_that_it_touches() {
        let at = |text: &str| Timestamp::parse(text).expect("a time");
        let steps = |from: &str, until: &str, step| {
            let (workspace, subject) = (0, Subject::Workspace);
            let (from, until) = (at(from), at(until));
            let steps = ReportQuery { workspace, subject, step, from, until }.steps();
            (step.start(steps.start).to_string(), steps.end - steps.start)
        };
        let hours = steps("2026-11-24T07:30:00Z", "2026-11-24T09:00:00Z", Step::Hour);
        assert_eq!(hours, ("2026-11-24T07:00:00.000Z".into(), 2));
        let days = steps("2026-11-24T07:30:00Z", "2026-11-25T00:00:00.001Z", Step::Day);
        assert_eq!(days, ("2026-11-24T00:00:00.000Z".into(), 2));
        assert_eq!(steps("2026-11-24T07:30:00Z", "2026-11-24T07:30:00Z", Step::Minute).1, 0);
        assert_eq!(steps("2026-11-24T07:30:00Z", "2020-11-24T07:30:00Z", Step::Minute).1, 0);
        let all = steps("2020-11-24T07:30:00Z", "2026-11-24T07:30:00Z", Step::Minute).1;
        assert_eq!(all, POINTS_MAX);
    }
}
