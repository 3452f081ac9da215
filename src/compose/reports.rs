//! What became of a campaign or canvas: its counts, summed over time, by hour, and by variant or
//! step and template version. They are kept as they happen, so that a report costs what it shows.

use std::collections::BTreeMap;

use serde::Serialize;

use super::Composer;
use super::entry::Kind;
use crate::admission::Refusal;
use crate::model::Timestamp;
use crate::store::Count;

/// Counts by word: `sent`, `delivered`, `failed`, `exhausted`, `expired`, `cancelled`, `retried`,
/// `aborted`, `render_failed`, `refused`, `capped`, `not_eligible`, `not_in_audience`,
/// `control_group`, `stopped`; of a canvas also `entered` and `exited`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// How often.
    pub counts: BTreeMap<String, i64>,
    /// Of those that ended without success, by the status of the last attempt.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub by_status: BTreeMap<String, i64>,
}

impl Figures {
    fn add(&mut self, count: &Count) {
        let (word, status) = match count.key.what.split_once(' ') {
            Some((word, status)) => (word, Some(status)),
            None => (count.key.what.as_str(), None),
        };
        *self.counts.entry(word.to_owned()).or_default() += count.number;
        if let Some(status) = status {
            *self.by_status.entry(status.to_owned()).or_default() += count.number;
        }
    }
}

/// Those of one variant or step and template version.
#[derive(Clone, Debug, Serialize)]
pub struct PartFigures {
    /// A variant or step, then a template and its version; empty for what came before there was
    /// one to choose.
    pub part: String,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// Those of one hour.
#[derive(Clone, Debug, Serialize)]
pub struct HourFigures {
    /// When it began.
    pub hour: Timestamp,
    /// Its figures.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A report.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Id of the campaign or canvas.
    pub id: String,
    /// Its name.
    pub name: String,
    /// From this hour on.
    pub from: Timestamp,
    /// Before this.
    pub until: Timestamp,
    /// Of all.
    pub total: Figures,
    /// By variant or step and template version.
    pub parts: Vec<PartFigures>,
    /// By hour, those in which something happened.
    pub hours: Vec<HourFigures>,
}

impl Composer {
    /// What became of a campaign or canvas in `[from, until)`, to the hour.
    pub async fn report(
        &self,
        kind: Kind,
        reference: &str,
        (from, until): (Option<Timestamp>, Option<Timestamp>),
    ) -> Result<Report, Refusal> {
        let entry = self.entry(kind, reference)?;
        let from = from.unwrap_or(entry.head.created_at);
        let until =
            until.unwrap_or_else(|| self.clock.wall().plus(std::time::Duration::from_millis(1)));
        let counts = self.store.tally(entry.head.id.clone(), from, until).await?;
        let mut total = Figures::default();
        let mut parts: BTreeMap<&str, Figures> = BTreeMap::new();
        let mut hours: BTreeMap<Timestamp, Figures> = BTreeMap::new();
        for count in &counts {
            total.add(count);
            parts.entry(&count.key.part).or_default().add(count);
            hours.entry(count.hour).or_default().add(count);
        }
        let parts = parts.into_iter();
        let hours = hours.into_iter();
        Ok(Report {
            id: entry.head.id.clone(),
            name: entry.head.name.clone(),
            from,
            until,
            total,
            parts: parts
                .map(|(part, figures)| PartFigures { part: part.to_owned(), figures })
                .collect(),
            hours: hours.map(|(hour, figures)| HourFigures { hour, figures }).collect(),
        })
    }
}
