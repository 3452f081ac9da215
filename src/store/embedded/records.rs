//! Records, counts and activity: writing them inside a transaction, and reading them.

use std::fmt::Write as _;

use bytes::Bytes;
use rusqlite::types::{Type, Value};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};

use super::change::Change;
use super::codec;
use super::query::ListError;
use crate::model::{Provenance, Timestamp};
use crate::store::{
    Acceptance, Activity, ActivityFilter, Count, CountKey, Expect, Page, Record, RecordKind,
    RecordWrite, Writes, hour_of,
};

/// Between the subject and the part of `delivery.counted`; neither has a control character.
pub(super) const UNIT: char = '\u{1f}';
/// Rows of the activity log that one page looks at.
const LOOKS: usize = 20_000;

/// The `counted` column of a delivery.
pub(super) fn counted_column(provenance: Option<&Provenance>) -> Option<String> {
    let (subject, part) = provenance?.counted()?;
    Some(format!("{subject}{UNIT}{part}"))
}

/// What a `counted` column says.
pub(super) fn counted(column: &str, what: String) -> CountKey {
    let (subject, part) = column.split_once(UNIT).unwrap_or((column, ""));
    CountKey { subject: subject.to_owned(), part: part.to_owned(), what }
}

impl Change<'_> {
    /// The place of the first record that is not as expected.
    pub(super) fn stale(
        &self,
        workspace: u32,
        records: &[RecordWrite],
    ) -> rusqlite::Result<Option<usize>> {
        for (place, write) in records.iter().enumerate() {
            let wanted = match write.expect {
                Expect::Any => continue,
                Expect::Absent => None,
                Expect::Version(version) => Some(version),
            };
            if self.version(workspace, write)? != wanted {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Whether an acceptance that writes something beside its deliveries is there already: a
    /// repeat after a lost answer. Its deliveries alone would not be written twice, the rest would.
    pub(super) fn is_repeat(&self, acceptance: &Acceptance) -> rusqlite::Result<bool> {
        let Some(first) = acceptance.deliveries.first().filter(|_| !acceptance.writes.is_empty())
        else {
            return Ok(false);
        };
        self.connection
            .prepare_cached("SELECT 1 FROM delivery WHERE host = ?1 AND id = ?2")?
            .exists(params![first.id.host().0, first.id.as_bytes().as_slice()])
    }

    fn version(&self, workspace: u32, write: &RecordWrite) -> rusqlite::Result<Option<u64>> {
        self.connection
            .prepare_cached(
                "SELECT version FROM record WHERE lane = ?1 AND kind = ?2 AND key = ?3",
            )?
            .query_row(params![workspace, write.kind as i64, write.key], |row| version(row, 0))
            .optional()
    }

    /// Writes what goes beside deliveries.
    pub(super) fn write(
        &mut self,
        (workspace, at): (u32, Timestamp),
        writes: &Writes,
    ) -> rusqlite::Result<()> {
        for record in &writes.records {
            self.write_record(workspace, record)?;
        }
        for (key, number) in &writes.counts {
            self.tally(key.clone(), at, *number);
        }
        for entry in &writes.activity {
            self.write_activity(workspace, entry)?;
        }
        Ok(())
    }

    fn write_record(&self, workspace: u32, write: &RecordWrite) -> rusqlite::Result<()> {
        let Some(value) = &write.value else {
            return self
                .connection
                .prepare_cached("DELETE FROM record WHERE lane = ?1 AND kind = ?2 AND key = ?3")?
                .execute(params![workspace, write.kind as i64, write.key])
                .map(drop);
        };
        let value = std::str::from_utf8(value)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let due = write.due.map(Timestamp::as_millis);
        self.connection
            .prepare_cached(
                "INSERT INTO record (lane, kind, key, version, due, value) \
                 VALUES (?1, ?2, ?3, 1, ?4, ?5) ON CONFLICT (lane, kind, key) DO UPDATE SET \
                 version = version + 1, due = ?4, value = ?5",
            )?
            .execute(params![workspace, write.kind as i64, write.key, due, value])
            .map(drop)
    }

    pub(super) fn write_activity(&self, workspace: u32, entry: &Activity) -> rusqlite::Result<()> {
        let text = serde_json::to_string(entry)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        self.connection
            .prepare_cached(
                "INSERT INTO activity (at, kind, subject, recipient, entry, lane) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                entry.at.as_millis(),
                entry.kind,
                entry.subject,
                entry.recipient,
                text,
                workspace
            ])
            .map(drop)
    }

    /// Adds what the transaction counted, last in it: one row for all that it counted of a kind.
    pub(super) fn write_tallies(&self) -> rusqlite::Result<()> {
        for ((key, hour), number) in self.tallies() {
            self.connection
                .prepare_cached(
                    "INSERT INTO tally VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET \
                     number = number + ?5",
                )?
                .execute(params![key.subject, hour.as_millis(), key.part, key.what, number])?;
        }
        Ok(())
    }

    /// Deletes entries of the activity log from before `before`; answers how many.
    pub(super) fn sweep_activity(&self, before: Timestamp, limit: i64) -> rusqlite::Result<usize> {
        self.connection
            .prepare_cached(
                "DELETE FROM activity WHERE number IN (SELECT number FROM activity WHERE at < ?1 \
                 ORDER BY at LIMIT ?2)",
            )?
            .execute([before.as_millis(), limit])
    }
}

/// See [`crate::store::RecordStore::records`].
pub(super) fn records(
    connection: &Connection,
    (workspace, kind): (u32, RecordKind),
    keys: &[String],
) -> rusqlite::Result<Vec<Option<Record>>> {
    let mut statement = connection.prepare_cached(
        "SELECT key, version, due, value FROM record WHERE lane = ?1 AND kind = ?2 AND key = ?3",
    )?;
    let one =
        |key: &String| statement.query_row(params![workspace, kind as i64, key], record).optional();
    keys.iter().map(one).collect()
}

/// See [`crate::store::RecordStore::scan`].
pub(super) fn scan(
    connection: &Connection,
    (workspace, kind): (u32, RecordKind),
    (prefix, after): (&str, Option<&str>),
    limit: usize,
) -> rusqlite::Result<Vec<Record>> {
    // From the prefix itself on: the walk ends at the first key without it.
    let mut found = Vec::new();
    let sql = match after {
        Some(_) => {
            "SELECT key, version, due, value FROM record WHERE lane = ?1 AND kind = ?2 AND \
             key > ?3 ORDER BY key"
        }
        None => {
            "SELECT key, version, due, value FROM record WHERE lane = ?1 AND kind = ?2 AND \
             key >= ?3 ORDER BY key"
        }
    };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![workspace, kind as i64, after.unwrap_or(prefix)])?;
    while let Some(row) = rows.next()? {
        let record = record(row)?;
        if found.len() == limit || !record.key.starts_with(prefix) {
            break;
        }
        found.push(record);
    }
    Ok(found)
}

/// See [`crate::store::RecordStore::due`].
pub(super) fn due(
    connection: &Connection,
    (workspace, kind): (u32, RecordKind),
    limit: usize,
) -> rusqlite::Result<Vec<Record>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "SELECT key, version, due, value FROM record INDEXED BY record_due WHERE lane = ?1 \
             AND kind = ?2 AND due IS NOT NULL ORDER BY due LIMIT ?3",
        )?
        .query_map([i64::from(workspace), kind as i64, limit], record)?
        .collect()
}

fn version(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|error| codec::unreadable("version", Type::Integer, error))
}

fn record(row: &Row<'_>) -> rusqlite::Result<Record> {
    Ok(Record {
        key: row.get(0)?,
        version: version(row, 1)?,
        due: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_millis),
        value: Bytes::from(row.get::<_, String>(3)?),
    })
}

/// See [`crate::store::RecordStore::tally`].
pub(super) fn tally(
    connection: &Connection,
    subject: &str,
    (from, until): (Timestamp, Timestamp),
) -> rusqlite::Result<Vec<Count>> {
    connection
        .prepare_cached(
            "SELECT hour, part, what, number FROM tally WHERE subject = ?1 AND hour >= ?2 AND \
             hour < ?3 ORDER BY hour, part, what",
        )?
        .query_map(params![subject, hour_of(from).as_millis(), until.as_millis()], |row| {
            let key =
                CountKey { subject: subject.to_owned(), part: row.get(1)?, what: row.get(2)? };
            Ok(Count { key, hour: codec::time(row, 0)?, number: row.get(3)? })
        })?
        .collect()
}

/// See [`crate::store::RecordStore::activity`]. The narrowest index leads; the kind is checked
/// row by row, at a bounded number of them a page.
pub(super) fn activity(
    connection: &Connection,
    filter: &ActivityFilter,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<Activity>, ListError> {
    let below = match after.map(|text| i64::from_str_radix(text, 16)) {
        None => i64::MAX,
        Some(Ok(number)) if number > 0 => number,
        Some(_) => return Err(ListError::BadCursor),
    };
    // Said twice, so that the index of other workspaces than the default one can be used.
    let lane = if filter.workspace > 0 { "lane = ? AND lane > 0" } else { "lane = ?" };
    let mut sql = format!("SELECT number, kind, entry FROM activity WHERE {lane} AND number < ?");
    let mut values: Vec<Value> = vec![filter.workspace.into(), below.into()];
    for (column, wanted) in [("recipient", &filter.recipient), ("subject", &filter.subject)] {
        if let Some(wanted) = wanted {
            write!(sql, " AND {column} = ?").expect("memory takes every write");
            values.push(wanted.clone().into());
        }
    }
    sql.push_str(" ORDER BY number DESC");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    let mut page = Page { rows: Vec::new(), next: None };
    let (mut looked, mut last) = (0, below);
    while let Some(row) = rows.next()? {
        if page.rows.len() == limit || looked == LOOKS {
            page.next = Some(format!("{last:x}"));
            break;
        }
        looked += 1;
        last = row.get(0)?;
        let of_kind = row
            .get_ref(1)?
            .as_str()
            .is_ok_and(|kind| filter.kind.as_ref().is_none_or(|wanted| wanted == kind));
        if of_kind {
            let entry = serde_json::from_str(row.get_ref(2)?.as_str().map_err(to_error)?);
            page.rows.push(entry.map_err(|error| codec::unreadable("entry", Type::Text, error))?);
        }
    }
    Ok(page)
}

fn to_error(error: rusqlite::types::FromSqlError) -> rusqlite::Error {
    codec::unreadable("entry", Type::Text, error)
}
