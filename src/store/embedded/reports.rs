//! Reports: reading them, folding what commits counted into the tables, forgetting.
//!
//! A commit appends one row with all that it counted (`counting`). The fold takes some hundreds of
//! those, adds them up in memory and touches each subject's minute, hour and day once, in order of
//! their key; it rides in a commit of others, so that it costs no sync. A report reads the tables
//! and what is not folded yet in one state of the file: a count is in the one or in the other.

use std::collections::{BTreeMap, HashMap};

use futures::future::BoxFuture;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};

use super::change::Change;
use super::shared::Shared;
use super::{EmbeddedStore, activity, codec, counting};
use crate::model::Timestamp;
use crate::store::figures::take_number;
use crate::store::{
    ActivityFilter, Figures, Kept, Logged, Page, QueryError, ReportPoints, ReportQuery,
    ReportStore, Step, StoreFuture, Word,
};

/// Entries that one fold adds up: some tens of milliseconds at most.
const FOLD_ENTRIES: usize = 50_000;
/// Rows that one fold takes.
const FOLD_ROWS: usize = 2_000;
/// Rows of who was reached that one report goes through: about half a second.
const REACH_MAX: i64 = 500_000;

/// A row of deltas: its number, and its entries.
type DeltaRow = (i64, Vec<u8>);

/// An entry of a row of deltas.
struct Entry<'a> {
    key: &'a [u8],
    minute: i64,
    figures: &'a [u8],
}

/// Takes the next entry off the front.
fn take_entry<'a>(bytes: &mut &'a [u8]) -> Option<Entry<'a>> {
    let key = take_bytes(bytes)?;
    let minute = take_number(bytes)?.cast_signed();
    Some(Entry { key, minute, figures: take_bytes(bytes)? })
}

fn take_bytes<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(take_number(bytes)?).ok()?;
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

/// A key as columns: workspace, kind, subject.
fn columns(mut key: &[u8]) -> Option<(i64, u8, String)> {
    let lane = i64::try_from(take_number(&mut key)?).ok()?;
    let (kind, name) = key.split_first()?;
    Some((lane, *kind, String::from_utf8(name.to_vec()).ok()?))
}

/// Damage that is not the reader's concern any more: the row is left out and named.
fn unreadable() -> rusqlite::Error {
    codec::unreadable("figures", Type::Blob, "they do not read back")
}

/// See [`ReportStore::report`].
fn report(
    connection: &Connection,
    shared: &Shared,
    query: &ReportQuery,
) -> rusqlite::Result<ReportPoints> {
    let readable = |added: Option<()>| {
        let name = || format!("a row of the report of {:?}", query.subject);
        shared.readable(name, added.ok_or_else(unreadable)).map(drop)
    };
    // One state of the file, so that nothing is folded between the two looks.
    let snapshot = connection.unchecked_transaction()?;
    let steps = query.steps();
    let mut found: BTreeMap<i64, Figures> = BTreeMap::new();
    {
        let mut one = snapshot.prepare_cached(
            "SELECT figures FROM report WHERE step = ?1 AND at = ?2 AND lane = ?3 AND kind = ?4 \
             AND subject = ?5",
        )?;
        let (subject, lane) = (&query.subject, query.workspace);
        for at in steps.clone() {
            let figures: Option<Vec<u8>> = one
                .query_row(
                    params![query.step as i64, at, lane, subject.kind(), subject.name()],
                    |row| row.get(0),
                )
                .optional()?;
            if let Some(figures) = figures {
                let point = found.entry(at).or_default();
                readable(point.add_encoded(&figures))?;
            }
        }
    }
    let wanted = counting::key(query.workspace, &query.subject);
    let mut unfolded = snapshot.prepare_cached("SELECT figures FROM report_delta")?;
    let mut rows = unfolded.query([])?;
    while let Some(row) = rows.next()? {
        let mut bytes = row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?;
        while let Some(entry) = take_entry(&mut bytes).filter(|_| !steps.is_empty()) {
            let at = at_of(query.step, entry.minute);
            if entry.key == wanted && steps.contains(&at) {
                let point = found.entry(at).or_default();
                readable(point.add_encoded(entry.figures))?;
                drop_other_steps(point, query.step);
            }
        }
    }
    let recipients = reached(&snapshot, query)?;
    let points = found.into_iter().map(|(at, figures)| (query.step.start(at), figures));
    Ok(ReportPoints { points: points.collect(), recipients })
}

/// The step of some length that a minute lies in.
fn at_of(step: Step, minute: i64) -> i64 {
    step.number(Step::Minute.start(minute))
}

/// Recipients of an hour are not kept by the day, nor those of a day by the hour.
fn drop_other_steps(figures: &mut Figures, step: Step) {
    if step != Step::Hour {
        figures.forget(Word::RecipientsOfHour);
    }
    if step != Step::Day {
        figures.forget(Word::RecipientsOfDay);
    }
}

/// Counts who was reached within the steps of a report.
fn reached(connection: &Connection, query: &ReportQuery) -> rusqlite::Result<Option<u64>> {
    let steps = query.steps();
    if query.step == Step::Minute || steps.is_empty() {
        return Ok(None);
    }
    let hours = query.step.millis() / Step::Hour.millis();
    let (first, end) = (steps.start * hours, steps.end * hours);
    let mut statement = connection.prepare_cached(
        "SELECT who, hours FROM reach WHERE day = ?1 AND lane = ?2 AND kind = ?3 AND subject = ?4",
    )?;
    let mut who: std::collections::HashSet<Vec<u8>> = std::collections::HashSet::new();
    let mut looked = 0;
    for day in first.div_euclid(24)..=(end - 1).div_euclid(24) {
        let mask = (0..24)
            .filter(|hour| (first..end).contains(&(day * 24 + hour)))
            .fold(0_i64, |mask, hour| mask | 1 << hour);
        let (kind, name) = (query.subject.kind(), query.subject.name());
        let mut rows = statement.query(params![day, query.workspace, kind, name])?;
        while let Some(row) = rows.next()? {
            looked += 1;
            if looked > REACH_MAX {
                return Ok(None);
            }
            if row.get::<_, i64>(1)? & mask != 0 {
                who.insert(row.get(0)?);
            }
        }
    }
    Ok(Some(who.len() as u64))
}

impl Change<'_> {
    /// See [`ReportStore::fold`].
    fn fold(&mut self) -> rusqlite::Result<bool> {
        let (rows, more) = self.oldest_deltas()?;
        let Some((last, _)) = rows.last() else { return Ok(false) };
        let mut minutes: HashMap<(&[u8], i64), Figures> = HashMap::new();
        for (number, figures) in &rows {
            let mut bytes = figures.as_slice();
            while let Some(entry) = take_entry(&mut bytes) {
                let sum = minutes.entry((entry.key, entry.minute)).or_default();
                let added = sum.add_encoded(entry.figures).ok_or_else(unreadable);
                self.shared.readable(|| format!("counts {number} of reports"), added)?;
            }
        }
        let mut sums: BTreeMap<(i64, i64, i64, u8, String), Figures> = BTreeMap::new();
        for ((key, minute), figures) in &minutes {
            let Some((lane, kind, name)) = columns(key) else { continue };
            for step in Step::ALL {
                let key = (step as i64, at_of(step, *minute), lane, kind, name.clone());
                let sum = sums.entry(key).or_default();
                sum.add(figures);
                drop_other_steps(sum, step);
            }
        }
        for (key, figures) in sums {
            self.add_to_report(key, figures)?;
        }
        self.connection
            .prepare_cached("DELETE FROM report_delta WHERE number <= ?1")?
            .execute([last])?;
        Ok(more)
    }

    /// Rows that nobody has folded, the oldest first, as many as one fold takes; whether there are
    /// more.
    fn oldest_deltas(&self) -> rusqlite::Result<(Vec<DeltaRow>, bool)> {
        /// About the length of an entry.
        const ENTRY: usize = 24;
        let mut statement = self
            .connection
            .prepare_cached("SELECT number, figures FROM report_delta ORDER BY number")?;
        let mut rows = statement.query([])?;
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            if taken.len() == FOLD_ROWS || bytes >= FOLD_ENTRIES * ENTRY {
                return Ok((taken, true));
            }
            let figures: Vec<u8> = row.get(1)?;
            bytes += figures.len();
            taken.push((row.get(0)?, figures));
        }
        Ok((taken, false))
    }

    fn add_to_report(
        &self,
        (step, at, lane, kind, subject): (i64, i64, i64, u8, String),
        mut figures: Figures,
    ) -> rusqlite::Result<()> {
        let before: Option<Vec<u8>> = self
            .connection
            .prepare_cached(
                "SELECT figures FROM report WHERE step = ?1 AND at = ?2 AND lane = ?3 AND \
                 kind = ?4 AND subject = ?5",
            )?
            .query_row(params![step, at, lane, kind, subject], |row| row.get(0))
            .optional()?;
        if let Some(before) = before {
            let added = figures.add_encoded(&before).ok_or_else(unreadable);
            self.shared.readable(|| format!("report of {kind} {subject} at {at}"), added)?;
        }
        let mut written = Vec::new();
        figures.encode(&mut written);
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO report VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![step, at, lane, kind, subject, written])
            .map(drop)
    }

    /// See [`ReportStore::forget`].
    fn forget(&self, kept: Kept, now: Timestamp, limit: usize) -> rusqlite::Result<bool> {
        let rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut gone = Vec::new();
        for (step, kept) in Step::ALL.into_iter().zip([kept.minutes, kept.hours, kept.days]) {
            let deleted = self
                .connection
                .prepare_cached(
                    "DELETE FROM report WHERE (step, at, lane, kind, subject) IN (SELECT step, \
                     at, lane, kind, subject FROM report WHERE step = ?1 AND at < ?2 \
                     ORDER BY at LIMIT ?3)",
                )?
                .execute([step as i64, step.number(now.minus(kept)), rows])?;
            gone.push(deleted);
        }
        for (sql, before) in [
            (
                "DELETE FROM reach WHERE (day, lane, kind, subject, who) IN (SELECT day, lane, \
                 kind, subject, who FROM reach WHERE day < ?1 ORDER BY day LIMIT ?2)",
                Step::Day.number(now.minus(kept.hours)),
            ),
            (
                "DELETE FROM tally WHERE (subject, hour, part, what) IN (SELECT subject, hour, \
                 part, what FROM tally INDEXED BY tally_hour WHERE hour < ?1 LIMIT ?2)",
                now.minus(kept.days).as_millis(),
            ),
            (
                "DELETE FROM activity WHERE number IN (SELECT number FROM activity WHERE \
                 at < ?1 ORDER BY at LIMIT ?2)",
                now.minus(kept.activity).as_millis(),
            ),
        ] {
            gone.push(self.connection.prepare_cached(sql)?.execute([before, rows])?);
        }
        gone.push(self.forget_audit(now.minus(kept.audit), rows)?);
        Ok(gone.into_iter().any(|gone| gone >= limit))
    }
}

impl ReportStore for EmbeddedStore {
    fn report(&self, query: ReportQuery) -> StoreFuture<ReportPoints> {
        let shared = self.shared.clone();
        self.queries.ask(move |connection| report(connection, &shared, &query))
    }

    fn fold(&self) -> StoreFuture<bool> {
        self.write(false, move |change| change.fold().map(Ok))
    }

    fn forget(&self, kept: Kept, now: Timestamp, limit: usize) -> StoreFuture<bool> {
        self.write(false, move |change| change.forget(kept, now, limit).map(Ok))
    }

    fn activity(
        &self,
        filter: ActivityFilter,
        after: Option<String>,
        limit: usize,
    ) -> BoxFuture<'static, Result<Page<Logged>, QueryError>> {
        self.list_by(move |connection| {
            activity::activity(connection, &filter, after.as_deref(), limit)
        })
    }

    fn logged(&self, filter: ActivityFilter, limit: usize) -> StoreFuture<(Vec<Logged>, bool)> {
        self.queries.ask(move |connection| activity::logged(connection, &filter, limit))
    }
}
