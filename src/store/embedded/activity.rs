//! The activity log: noting inside a transaction, and reading.
//!
//! A host that fails thousands of times a second must not write as many rows: entries about the
//! same host, kind and status within a minute are one row with a count, gathered in memory and
//! written once a commit. Entries about single recipients stay apart as far as the ration goes.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params, params_from_iter};

use super::change::{Change, Row};
use super::query::ListError;
use super::{codec, reader};
use crate::model::{DEFAULT_WORKSPACE, End, HostNumber, Settlement, Timestamp};
use crate::store::reports::{HostNews, common};
use crate::store::{Activity, ActivityFilter, ConditionChange, Logged, Page};

/// Rows that one page looks at.
const LOOKS: usize = 20_000;
/// Entries are numbered as they are written, and told at most so much later than they happened.
const DISORDER_MS: i64 = 3_600_000;
/// Workspaces that hear of one change of a host.
const HEARERS: usize = 100;

/// What a transaction noted, by what entries have in common.
pub(super) type Notes = BTreeMap<String, Note>;

/// Entries that become one row.
#[derive(Clone)]
pub(super) struct Note {
    workspace: u32,
    host: HostNumber,
    first_at: Timestamp,
    count: i64,
    /// The last of them.
    entry: Activity,
}

impl Change<'_> {
    /// Writes an entry as a row of its own.
    pub(super) fn write_entry(&self, workspace: u32, entry: &Activity) -> rusqlite::Result<()> {
        let host = entry.host.as_ref().map(|name| {
            self.connection
                .prepare_cached("SELECT number FROM host WHERE name = ?1")?
                .query_row([name.as_str()], |row| row.get::<_, i64>(0))
                .optional()
        });
        let host = host.transpose()?.flatten();
        self.connection
            .prepare_cached(
                "INSERT INTO activity (at, kind, subject, recipient, entry, lane, host) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute(params![
                entry.at.as_millis(),
                entry.kind,
                entry.subject,
                entry.recipient,
                text_of(entry)?,
                workspace,
                host
            ])
            .map(drop)
    }

    /// Notes an entry about a host, which is one row with others like it.
    fn note(&mut self, workspace: u32, host: HostNumber, entry: Activity) {
        let first_at = entry.at;
        let same = common(workspace, host, &entry);
        let fresh = || Note { workspace, host, first_at, count: 0, entry: entry.clone() };
        let note = self.effect.notes.entry(same).or_insert_with(fresh);
        note.count += 1;
        note.first_at = note.first_at.min(entry.at);
        if entry.at >= note.entry.at {
            note.entry = entry;
        }
    }

    /// Writes what was noted, last in the transaction.
    pub(super) fn write_notes(&self) -> rusqlite::Result<()> {
        for (same, note) in &self.effect.notes {
            let entry = &note.entry;
            self.connection
                .prepare_cached(
                    "INSERT INTO activity (at, kind, subject, recipient, entry, lane, host, \
                     first_at, count, same) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
                     ON CONFLICT (same) WHERE same IS NOT NULL DO UPDATE SET \
                     count = count + ?9, at = max(at, ?1), entry = ?5, \
                     first_at = min(first_at, ?8)",
                )?
                .execute(params![
                    entry.at.as_millis(),
                    entry.kind,
                    entry.subject,
                    entry.recipient,
                    text_of(entry)?,
                    note.workspace,
                    note.host.0,
                    note.first_at.as_millis(),
                    note.count,
                    same,
                ])?;
        }
        Ok(())
    }

    /// Notes a delivery that ended without success.
    pub(super) fn note_end(
        &mut self,
        settlement: &Settlement,
        row: &Row,
        end: End,
        status: Option<u16>,
    ) -> rusqlite::Result<()> {
        let host = settlement.id.host();
        let mut entry = Activity {
            at: settlement.at,
            kind: end.as_str().to_owned(),
            host: self.host_name(host).ok(),
            delivery: Some(settlement.id),
            status,
            detail: settlement.why(),
            ..Activity::default()
        };
        if row.counted.is_some() {
            let head: String = self
                .connection
                .prepare_cached("SELECT head FROM delivery WHERE seq = ?1")?
                .query_row([row.seq], |row| row.get(0))?;
            let provenance = codec::parse_head(&head)?.provenance.unwrap_or_default();
            entry.of(&provenance);
            if self.shared.may_stand_alone(row.lane, settlement.at) {
                return self.write_entry(row.lane, &entry);
            }
            entry.recipient = None;
        }
        self.note(row.lane, host, entry);
        Ok(())
    }

    /// Notes a delivery that holds its ordering key back.
    pub(super) fn note_blocked(&mut self, settlement: &Settlement, row: &Row) {
        let host = settlement.id.host();
        let key = row.key.as_deref().unwrap_or("");
        let entry = Activity {
            at: settlement.at,
            kind: "key_blocked".to_owned(),
            host: self.host_name(host).ok(),
            delivery: Some(settlement.id),
            detail: format!("ordering key {key:?} waits for it"),
            ..Activity::default()
        };
        self.note(row.lane, host, entry);
    }

    /// Notes a change of a host that a person may want to know of, for the operators and for each
    /// workspace that waits for the host.
    pub(super) fn note_condition(
        &mut self,
        host: HostNumber,
        was: Option<&str>,
        change: &ConditionChange,
    ) -> rusqlite::Result<()> {
        let Some(news) = HostNews::of(was, change.condition) else { return Ok(()) };
        let lanes = reader::lanes_of(self.connection, self.shared, host)?;
        let guests = lanes.into_iter().map(|(lane, _)| lane);
        let guests = guests.filter(|lane| *lane != DEFAULT_WORKSPACE).take(HEARERS);
        let operators = Some(DEFAULT_WORKSPACE).filter(|_| !news.is_asked());
        let hearers: Vec<u32> = operators.into_iter().chain(guests).collect();
        let name = self.host_name(host).ok();
        for lane in hearers {
            let detail = news.detail(lane == DEFAULT_WORKSPACE, &change.reason);
            let kind = news.as_str().to_owned();
            let host_name = name.clone();
            let entry =
                Activity { at: change.at, kind, host: host_name, detail, ..Activity::default() };
            self.note(lane, host, entry);
        }
        Ok(())
    }
}

fn text_of(entry: &Activity) -> rusqlite::Result<String> {
    serde_json::to_string(entry)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// See [`crate::store::ReportStore::activity`]. The narrowest index leads; the rest is checked row
/// by row, at a bounded number of them a page.
pub(super) fn activity(
    connection: &Connection,
    filter: &ActivityFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<Logged>, ListError> {
    let below = match after.map(|text| i64::from_str_radix(text, 16)) {
        None => first_below(connection, filter)?,
        Some(Ok(number)) if number > 0 => number,
        Some(_) => return Err(ListError::BadCursor),
    };
    let mut page = Page { rows: Vec::new(), next: None };
    let Some((sql, mut values)) = narrowed(connection, filter)? else { return Ok(page) };
    values.push(below.into());
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let (mut looked, mut last) = (0, below);
    while let Some(row) = rows.next()? {
        if page.rows.len() == limit || looked == LOOKS {
            page.next = Some(format!("{last:x}"));
            break;
        }
        looked += 1;
        last = row.get(0)?;
        let at: i64 = row.get(3)?;
        if filter.from.is_some_and(|from| at < from.as_millis() - DISORDER_MS) {
            break;
        }
        page.rows.extend(shown(row, filter)?);
    }
    Ok(page)
}

/// See [`crate::store::ReportStore::logged`]: along the index of time.
pub(super) fn logged(
    connection: &Connection,
    filter: &ActivityFilter,
    limit: usize,
) -> rusqlite::Result<(Vec<Logged>, bool)> {
    let mut statement = connection.prepare_cached(
        "SELECT number, kind, entry, at, first_at, count FROM activity INDEXED BY \
         activity_lane_at WHERE lane = ?1 AND at >= ?2 AND at < ?3 ORDER BY at DESC",
    )?;
    let from = filter.from.map_or(i64::MIN, Timestamp::as_millis);
    let until = filter.until.map_or(i64::MAX, Timestamp::as_millis);
    let mut rows = statement.query(params![filter.workspace, from, until])?;
    let mut found = Vec::new();
    let mut looked = 0;
    while let Some(row) = rows.next()? {
        if looked == limit {
            return Ok((found, false));
        }
        looked += 1;
        found.extend(shown(row, filter)?);
    }
    Ok((found, true))
}

/// The number below which everything before the end of the asked time stands.
fn first_below(connection: &Connection, filter: &ActivityFilter) -> rusqlite::Result<i64> {
    let Some(until) = filter.until else { return Ok(i64::MAX) };
    let later: Option<i64> = connection
        .prepare_cached(
            "SELECT number FROM activity INDEXED BY activity_lane_at WHERE lane = ?1 AND at >= ?2 \
             ORDER BY at LIMIT 1",
        )?
        .query_row(params![filter.workspace, until.as_millis() + DISORDER_MS], |row| row.get(0))
        .optional()?;
    Ok(later.unwrap_or(i64::MAX))
}

/// The statement of a list, and its values but for the last; `None` where a host is asked for that
/// nobody knows.
fn narrowed(
    connection: &Connection,
    filter: &ActivityFilter,
) -> rusqlite::Result<Option<(String, Vec<Value>)>> {
    // Said twice, so that the index of other workspaces than the default one can be used.
    let lane = if filter.workspace > 0 { "lane = ? AND lane > 0" } else { "lane = ?" };
    let mut sql =
        format!("SELECT number, kind, entry, at, first_at, count FROM activity WHERE {lane}");
    let mut values: Vec<Value> = vec![filter.workspace.into()];
    if let Some(name) = &filter.host {
        let Some(host) = reader::host(connection, name)? else { return Ok(None) };
        sql.push_str(" AND host = ?");
        values.push(host.number.0.into());
    }
    for (column, wanted) in [("recipient", &filter.recipient), ("subject", &filter.subject)] {
        if let Some(wanted) = wanted {
            write!(sql, " AND {column} = ?").expect("memory takes every write");
            values.push(wanted.clone().into());
        }
    }
    sql.push_str(" AND number < ? ORDER BY number DESC");
    Ok(Some((sql, values)))
}

/// The entry of a row, where the filter shows it.
fn shown(row: &SqlRow<'_>, filter: &ActivityFilter) -> rusqlite::Result<Option<Logged>> {
    let of_kind = row
        .get_ref(1)?
        .as_str()
        .is_ok_and(|kind| filter.kind.as_ref().is_none_or(|wanted| wanted == kind));
    if !of_kind {
        return Ok(None);
    }
    let text = row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?;
    let entry: Activity = serde_json::from_str(text)
        .map_err(|error| codec::unreadable("entry", Type::Text, error))?;
    let first_at: Option<i64> = row.get(4)?;
    let count: i64 = row.get(5)?;
    let first_at = first_at.map_or(entry.at, Timestamp::from_millis);
    let logged = Logged { first_at, count: u64::try_from(count).unwrap_or(1), entry };
    Ok(Some(logged).filter(|logged| filter.shows(&logged.entry)))
}
