//! What a fact is worth, and what is kept of it: which hosts are ill, how many errors were counted,
//! up to when dead letters were seen.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::alert::Alert;
use super::errors::Errors;
use super::{Alerts, Watch};
use crate::admission::Refusal;
use crate::delivery::HostCondition;
use crate::delivery::facts::Fact;
use crate::model::{DEFAULT_WORKSPACE, DeliveryId, HostName, Timestamp};
use crate::policy::saved::Saved;
use crate::store::{Activity, Expect, HostRecord, Record, RecordKind, RecordWrite, Writes};

/// Keys of hosts that are ill begin so.
const ILL: &str = "ill/";
/// Keys of counted errors begin so.
const ERRORS: &str = "errors/";
/// Key of the time up to which dead letters were seen.
const SEEN: &str = "seen";
/// Records, hosts or dead letters that are read in one go.
const PAGE: usize = 1_000;
/// Dead letters that are looked through after a start; the rest raises no alert.
const DEAD_LETTERS_MAX: usize = 20_000;
/// Outcomes are durable in other order than decided; a store that refused may hold some back for
/// as long as this before they are in it.
const SLACK: Duration = Duration::from_secs(3600);
/// Intervals of a host in which its last cooldown is looked for.
const INTERVALS: usize = 10;
/// What a host's actor decided is in its saved state after much less.
const SAVED_WITHIN: Duration = Duration::from_secs(10);
/// How often what is counted and seen is saved.
const KEEP_EVERY: Duration = Duration::from_secs(10);
/// How often what need not be remembered any more is deleted.
const CLEAN_EVERY: Duration = Duration::from_secs(600);

/// A record that says a time.
#[derive(Serialize, Deserialize)]
struct At {
    at: Timestamp,
}

/// Up to when dead letters were seen, and from when on: what was over at the first start is no news.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Seen {
    at: Timestamp,
    from: Timestamp,
}

impl From<Timestamp> for Seen {
    /// What ends from a time on is news.
    fn from(at: Timestamp) -> Self {
        Self { at, from: at }
    }
}

impl Alerts {
    /// Reads what was kept.
    pub(super) async fn recall(&self, watch: &mut Watch) -> Result<(), Refusal> {
        for record in self.all(ILL).await? {
            let host = record.key.strip_prefix(ILL).and_then(HostName::parse);
            let since = serde_json::from_slice::<At>(&record.value).ok();
            watch.ill.extend(host.zip(since.map(|since| since.at)));
        }
        for record in self.all(ERRORS).await? {
            let host = record.key.strip_prefix(ERRORS).and_then(HostName::parse);
            if let (Some(host), Ok(errors)) = (host, serde_json::from_slice(&record.value)) {
                watch.errors.restore(host, errors);
            }
        }
        let seen = self.store.records(DEFAULT_WORKSPACE, RecordKind::Alert, vec![SEEN.into()]);
        let seen = seen.await?.pop().flatten();
        match seen.and_then(|record| serde_json::from_slice::<Seen>(&record.value).ok()) {
            Some(seen) => watch.seen = seen,
            // The first start.
            None => self.keep_seen(watch, watch.seen.at).await?,
        }
        Ok(())
    }

    async fn all(&self, prefix: &str) -> Result<Vec<Record>, Refusal> {
        let mut all: Vec<Record> = Vec::new();
        loop {
            let after = all.last().map(|record| record.key.clone());
            let range = (prefix.to_owned(), after);
            let page = self.store.scan(DEFAULT_WORKSPACE, RecordKind::Alert, range, PAGE).await?;
            let more = page.len() == PAGE;
            all.extend(page);
            if !more {
                return Ok(all);
            }
        }
    }

    /// Deals with one fact. After an error the same fact may be dealt with again.
    pub(super) async fn judge(&self, watch: &mut Watch, fact: Fact) -> Result<(), Refusal> {
        match fact {
            Fact::FellIll { host, reason, at, until } => {
                self.fell_ill(watch, Alert::unhealthy(host, at, &reason, until)).await
            }
            Fact::Recovered { host, at } => self.is_well(watch, host, at).await,
            Fact::DeadLetters(ids) => {
                for id in ids {
                    self.judge_dead_letter(watch, id).await?;
                }
                Ok(())
            }
            Fact::Errors { host, count } => self.count_errors(watch, host, count).await,
        }
    }

    async fn fell_ill(&self, watch: &mut Watch, alert: Alert) -> Result<(), Refusal> {
        if watch.ill.contains_key(&alert.host) {
            return Ok(());
        }
        let since = put(format!("{ILL}{}", alert.host), &At { at: alert.at });
        self.raise(watch, &alert, vec![since]).await?;
        watch.ill.insert(alert.host, alert.at);
        Ok(())
    }

    async fn is_well(
        &self,
        watch: &mut Watch,
        host: HostName,
        at: Timestamp,
    ) -> Result<(), Refusal> {
        let Some(since) = watch.ill.get(&host).copied() else { return Ok(()) };
        let gone = delete(format!("{ILL}{host}"));
        self.raise(watch, &Alert::recovered(host.clone(), since, at), vec![gone]).await?;
        watch.ill.remove(&host);
        Ok(())
    }

    async fn judge_dead_letter(&self, watch: &mut Watch, id: DeliveryId) -> Result<(), Refusal> {
        let Some(record) = self.store.find(id).await? else { return Ok(()) };
        for alert in Alert::of_dead_letter(&record) {
            self.raise(watch, &alert, Vec::new()).await?;
        }
        Ok(())
    }

    async fn count_errors(
        &self,
        watch: &mut Watch,
        host: HostName,
        count: u32,
    ) -> Result<(), Refusal> {
        let (now, threshold) = (self.clock.wall(), self.settings.alerts.errors_threshold);
        let sum = watch.errors.add(&host, count, now);
        if sum <= threshold {
            return Ok(());
        }
        let alert = Alert::errors(host, sum, threshold, now);
        // Counted is counted: it is not dealt with again. The next error tells it.
        match self.raise(watch, &alert, Vec::new()).await {
            Err(refusal) => {
                log::debug!("errors of {} are told later: {refusal}", alert.host);
                Ok(())
            }
            raised => raised,
        }
    }

    /// Compares what is known with what the store says.
    pub(super) async fn catch_up(&self, watch: &mut Watch) -> Result<(), Refusal> {
        self.catch_up_with_hosts(watch).await?;
        let from = watch.seen.at.minus(SLACK).max(watch.seen.from);
        let letters = self.store.dead_letters(from, DEAD_LETTERS_MAX).await?;
        for id in letters {
            self.judge_dead_letter(watch, id).await?;
        }
        Ok(())
    }

    async fn catch_up_with_hosts(&self, watch: &mut Watch) -> Result<(), Refusal> {
        let mut after = None;
        loop {
            let page = self.store.hosts(None, after, PAGE).await?;
            after = page.last().map(|record| record.name.clone());
            let more = page.len() == PAGE;
            for record in page {
                self.compare(watch, record).await?;
            }
            if !more {
                return Ok(());
            }
        }
    }

    async fn compare(&self, watch: &mut Watch, record: HostRecord) -> Result<(), Refusal> {
        let now = self.clock.wall();
        let saved = record.saved.as_deref().and_then(Saved::parse);
        if !saved.is_some_and(|saved| saved.is_ill()) {
            let since = watch.ill.get(&record.name);
            if since.is_some_and(|since| since.until(now) < SAVED_WITHIN) {
                return Ok(());
            }
            return self.is_well(watch, record.name, now).await;
        }
        if watch.ill.contains_key(&record.name) {
            return Ok(());
        }
        let day = now.minus(Duration::from_secs(86_400));
        let intervals = self.store.intervals(record.number, day, now, INTERVALS).await?;
        let cooling = HostCondition::CoolingDown.as_str();
        let last = intervals.into_iter().find(|interval| interval.condition == cooling);
        let (since, reason) = match last {
            Some(interval) => (interval.from, interval.reason),
            None => (now, "it failed too often".to_owned()),
        };
        self.fell_ill(watch, Alert::unhealthy(record.name, since, &reason, None)).await
    }

    /// Saves what was counted and seen, tells what was left out, forgets what is over.
    pub(super) async fn keep(&self, watch: &mut Watch, began: Timestamp) -> Result<(), Refusal> {
        let now = self.clock.wall();
        for ((workspace, kind), count) in watch.quota.take_untold(now) {
            let detail =
                format!("{count} alerts of kind {} were left out within a minute", kind.as_str());
            log::warn!(workspace; "{detail}");
            let kind = "alerts_left_out".to_owned();
            let activity = vec![Activity { at: now, kind, detail, ..Activity::default() }];
            self.write(workspace, Writes { activity, ..Writes::default() }, now).await?;
        }
        if watch.unsaved && watch.kept.until(now) >= KEEP_EVERY {
            watch.kept = now;
            watch.unsaved = false;
            self.keep_seen(watch, began).await?;
            self.keep_errors(watch, now).await?;
        }
        if watch.cleaned.until(now) >= CLEAN_EVERY {
            watch.cleaned = now;
            self.clean(now).await?;
        }
        Ok(())
    }

    /// All that was told before has been dealt with.
    async fn keep_seen(&self, watch: &mut Watch, at: Timestamp) -> Result<(), Refusal> {
        let seen = Seen { at, ..watch.seen };
        let records = vec![put(SEEN.to_owned(), &seen)];
        self.write(DEFAULT_WORKSPACE, Writes { records, ..Writes::default() }, at).await?;
        watch.seen = seen;
        Ok(())
    }

    async fn keep_errors(&self, watch: &mut Watch, now: Timestamp) -> Result<(), Refusal> {
        let changed = watch.errors.take_dirty(now);
        for page in changed.chunks(PAGE) {
            let write = |(host, errors): &(HostName, Option<Errors>)| {
                let key = format!("{ERRORS}{host}");
                errors
                    .as_ref()
                    .map_or_else(|| delete(key.clone()), |errors| put(key.clone(), errors))
            };
            let records = page.iter().map(write).collect();
            self.write(DEFAULT_WORKSPACE, Writes { records, ..Writes::default() }, now).await?;
        }
        Ok(())
    }

    /// Deletes what need not be remembered any more.
    async fn clean(&self, now: Timestamp) -> Result<(), Refusal> {
        for workspace in self.composers.numbers() {
            loop {
                let due = self.store.due(workspace, RecordKind::Alert, PAGE).await?;
                let over: Vec<RecordWrite> = due
                    .into_iter()
                    .filter(|record| record.due.is_some_and(|due| due <= now))
                    .map(|record| delete(record.key))
                    .collect();
                let more = over.len() == PAGE;
                let writes = Writes { records: over, ..Writes::default() };
                self.write(workspace, writes, now).await?;
                if !more {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn put(key: String, value: &impl Serialize) -> RecordWrite {
    let value = serde_json::to_vec(value).expect("plain data has a JSON form");
    let value = Some(Bytes::from(value));
    RecordWrite { kind: RecordKind::Alert, key, expect: Expect::Any, due: None, value }
}

fn delete(key: String) -> RecordWrite {
    RecordWrite { kind: RecordKind::Alert, key, expect: Expect::Any, due: None, value: None }
}
