//! What became of what was sent: to a host, by a campaign, canvas or template, and in all; summed
//! over time, by minute, hour or day. Counted as it happens, so that a report costs what it shows.
//!
//! Of campaigns and canvases there are counts by the hour as well, by variant or step and template
//! version, which also say who was left out and why. Where they reach, they rule: they are older
//! than the reports, and both are written in the same commits.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

use super::Composer;
use super::entry::Kind;
use crate::admission::Refusal;
use crate::model::{HostNumber, Timestamp};
use crate::store::{Count, Figures, POINTS_MAX, ReportQuery, Step, Subject, Word};

/// Words of the counts that stand among the figures by name.
const NAMED: [&str; 7] =
    ["sent", "delivered", "failed", "exhausted", "expired", "cancelled", "retried"];

/// Percentiles of attempts, in milliseconds; `None` without attempts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = ReportLatency)]
pub struct Latency {
    /// Half of them were as fast.
    pub p50_ms: Option<f64>,
    /// Nine of ten were.
    pub p90_ms: Option<f64>,
    /// 99 of a hundred were.
    pub p99_ms: Option<f64>,
}

/// What happened in some time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct ReportFigures {
    /// Deliveries accepted.
    pub sent: u64,
    /// Answered 2xx.
    pub delivered: u64,
    /// Ended by a permanent answer.
    pub failed: u64,
    /// Ended with all retries used up.
    pub exhausted: u64,
    /// Ended by their expiry.
    pub expired: u64,
    /// Ended because somebody asked for it.
    pub cancelled: u64,
    /// Attempts after which there is another.
    pub retried: u64,
    /// Deliveries that had to wait for a second or more after they were due.
    pub deferred: u64,
    /// Recipients who were sent something, each counted once; `None` where that is not known.
    pub unique_recipients: Option<u64>,
    /// Of those that ended without success, by the status of the last attempt.
    pub by_status: BTreeMap<String, u64>,
    /// Of attempts.
    pub latency: Latency,
    /// Of a campaign or canvas by the hour or day: all words that are counted, also `aborted`,
    /// `render_failed`, `refused`, `capped`, `not_eligible`, `not_in_audience`, `control_group`,
    /// `stopped`; of a canvas `entered` and `exited`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub counts: Option<BTreeMap<String, i64>>,
}

impl ReportFigures {
    fn of(figures: &Figures, unique_recipients: Option<u64>) -> Self {
        let statuses = figures.by_status().into_iter();
        Self {
            sent: figures.of(Word::Sent),
            delivered: figures.of(Word::Delivered),
            failed: figures.of(Word::Failed),
            exhausted: figures.of(Word::Exhausted),
            expired: figures.of(Word::Expired),
            cancelled: figures.of(Word::Cancelled),
            retried: figures.of(Word::Retried),
            deferred: figures.of(Word::Deferred),
            unique_recipients,
            by_status: statuses.map(|(status, number)| (status.to_string(), number)).collect(),
            latency: Latency {
                p50_ms: figures.percentile_ms(0.5),
                p90_ms: figures.percentile_ms(0.9),
                p99_ms: figures.percentile_ms(0.99),
            },
            counts: None,
        }
    }

    /// Lets the counts of a campaign or canvas rule.
    fn ruled_by(mut self, counts: &Counts) -> Self {
        let of = |word: &str| counts.words.get(word).map_or(0, |n| u64::try_from(*n).unwrap_or(0));
        let [sent, delivered, failed, exhausted, expired, cancelled, retried] = NAMED.map(of);
        self.counts = Some(counts.words.clone());
        self.by_status = counts.by_status.clone();
        Self { sent, delivered, failed, exhausted, expired, cancelled, retried, ..self }
    }

    /// The words of its counts that have no field of their own.
    pub fn more(&self) -> impl Iterator<Item = (&str, i64)> {
        let words = self.counts.iter().flatten();
        let words = words.map(|(word, number)| (word.as_str(), *number));
        words.filter(|(word, _)| !NAMED.contains(word))
    }
}

/// Counts of a campaign or canvas by word.
#[derive(Default)]
struct Counts {
    words: BTreeMap<String, i64>,
    by_status: BTreeMap<String, u64>,
}

impl Counts {
    fn add(&mut self, count: &Count) {
        let (word, status) = match count.key.what.split_once(' ') {
            Some((word, status)) => (word, Some(status)),
            None => (count.key.what.as_str(), None),
        };
        *self.words.entry(word.to_owned()).or_default() += count.number;
        if let Some(status) = status {
            let number = u64::try_from(count.number).unwrap_or(0);
            *self.by_status.entry(status.to_owned()).or_default() += number;
        }
    }
}

/// Those of one variant or step and template version.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportPart {
    /// A variant or step, then a template and its version; empty for what came before there was
    /// one to choose.
    pub part: String,
    /// Its figures, but for latencies, recipients and what was deferred.
    #[serde(flatten)]
    pub figures: ReportFigures,
}

/// Those of one step of time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReportPoint {
    /// When it began.
    pub at: Timestamp,
    /// Its figures.
    #[serde(flatten)]
    pub figures: ReportFigures,
}

/// What a report is about.
#[derive(Clone, Debug)]
pub enum About {
    /// All of the workspace.
    Workspace,
    /// What it sends to a host; `None` for one that nobody has sent anything to.
    Host(Option<HostNumber>),
    /// A campaign, canvas or template, by its id.
    Composed(Kind, String),
}

/// Which time, in steps of which length.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Length of a point.
    pub step: Step,
    /// Within the first of them.
    pub from: Timestamp,
    /// At the end of the last of them, or within it.
    pub until: Timestamp,
}

impl Span {
    /// The longest time that can be asked for in steps of this length: it touches one more of them
    /// than it is long.
    pub fn longest(step: Step) -> Duration {
        Duration::from_millis((step.millis() * (POINTS_MAX - 1)).cast_unsigned())
    }

    /// The time that its steps cover.
    fn whole(self) -> (Timestamp, Timestamp) {
        let end = -(-self.until.as_millis()).div_euclid(self.step.millis());
        (self.step.start(self.step.number(self.from)), self.step.start(end))
    }
}

/// A report.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Report {
    /// From this time on: the beginning of the first step.
    pub from: Timestamp,
    /// Before this: the end of the last one.
    pub until: Timestamp,
    /// Length of a point.
    pub step: Step,
    /// Of all.
    pub total: ReportFigures,
    /// Of a campaign or canvas by the hour or day: by variant or step and template version.
    pub parts: Vec<ReportPart>,
    /// Those steps in which something happened.
    pub points: Vec<ReportPoint>,
}

impl Composer {
    /// A report of what this workspace sent.
    pub async fn report(&self, about: About, span: Span) -> Result<Report, Refusal> {
        let (from, until) = span.whole();
        let subject = match &about {
            About::Workspace => Some(Subject::Workspace),
            About::Host(number) => number.map(Subject::Host),
            About::Composed(Kind::Campaign, id) => Some(Subject::Campaign(id.clone())),
            About::Composed(Kind::Canvas, id) => Some(Subject::Canvas(id.clone())),
            About::Composed(Kind::Template, id) => Some(Subject::Template(id.clone())),
        };
        let found = match subject {
            Some(subject) => {
                let (workspace, step) = (self.workspace, span.step);
                self.store.report(ReportQuery { workspace, subject, step, from, until }).await?
            }
            None => Default::default(),
        };
        let mut points: BTreeMap<Timestamp, ReportFigures> = BTreeMap::new();
        let mut sum = Figures::default();
        for (at, figures) in &found.points {
            sum.add(figures);
            let recipients = match span.step {
                Step::Minute => None,
                Step::Hour => Some(figures.of(Word::RecipientsOfHour)),
                Step::Day => Some(figures.of(Word::RecipientsOfDay)),
            };
            points.insert(*at, ReportFigures::of(figures, recipients));
        }
        let total = ReportFigures::of(&sum, found.recipients);
        let mut report =
            Report { from, until, step: span.step, total, parts: Vec::new(), points: Vec::new() };
        if let About::Composed(Kind::Campaign | Kind::Canvas, id) = about
            && span.step != Step::Minute
        {
            self.rule(&mut report, &mut points, id).await?;
        }
        let points = points.into_iter().map(|(at, figures)| ReportPoint { at, figures });
        report.points = points.collect();
        Ok(report)
    }

    /// Lets the counts of a campaign or canvas rule a report by the hour or day.
    async fn rule(
        &self,
        report: &mut Report,
        points: &mut BTreeMap<Timestamp, ReportFigures>,
        id: String,
    ) -> Result<(), Refusal> {
        let step = report.step;
        let counts = self.store.tally(id, report.from, report.until).await?;
        let mut total = Counts::default();
        let mut parts: BTreeMap<&str, Counts> = BTreeMap::new();
        let mut steps: BTreeMap<Timestamp, Counts> = BTreeMap::new();
        for count in &counts {
            total.add(count);
            parts.entry(&count.key.part).or_default().add(count);
            steps.entry(step.start(step.number(count.hour))).or_default().add(count);
        }
        for at in steps.keys() {
            points.entry(*at).or_default();
        }
        for (at, figures) in points {
            let counts = steps.remove(at).unwrap_or_default();
            *figures = std::mem::take(figures).ruled_by(&counts);
        }
        report.total = std::mem::take(&mut report.total).ruled_by(&total);
        let parts = parts.into_iter();
        let parts = parts.map(|(part, counts)| ReportPart {
            part: part.to_owned(),
            figures: ReportFigures::default().ruled_by(&counts),
        });
        report.parts = parts.collect();
        Ok(())
    }
}
