//! Records and counts: writing them inside a transaction, and reading them.

use std::time::Duration;

use bytes::Bytes;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::change::Change;
use super::codec;
use crate::model::{Provenance, Timestamp};
use crate::store::audit_up_to;
use crate::store::{
    Acceptance, Count, CountKey, Expect, Record, RecordKind, RecordWrite, Subject, Writes, hour_of,
};

/// Between the subject and the part of `delivery.counted`; neither has a control character.
pub(super) const UNIT: char = '\u{1f}';

/// The `counted` column of a delivery: campaign or canvas (or nothing), the part of it, which of
/// both it is, and the template.
pub(super) fn counted_column(provenance: Option<&Provenance>) -> Option<String> {
    let provenance = provenance?;
    let template = provenance.template.as_deref().unwrap_or("");
    let Some((subject, part)) = provenance.counted() else {
        return (!template.is_empty()).then(|| format!("{UNIT}{UNIT}{UNIT}{template}"));
    };
    let kind = if provenance.campaign.is_some() { CAMPAIGN } else { CANVAS };
    Some(format!("{subject}{UNIT}{part}{UNIT}{kind}{UNIT}{template}"))
}

/// In `delivery.counted`: the subject is a campaign.
const CAMPAIGN: &str = "campaign";
/// …or a canvas.
const CANVAS: &str = "canvas";

/// What a `counted` column says.
pub(super) struct Counted<'a> {
    /// A campaign or canvas.
    subject: Option<&'a str>,
    part: &'a str,
    /// Which of both; empty in rows from before reports told them apart.
    kind: &'a str,
    template: &'a str,
}

impl<'a> Counted<'a> {
    pub(super) fn parse(column: &'a str) -> Self {
        let mut fields = column.split(UNIT);
        let mut next = || fields.next().unwrap_or("");
        let subject = Some(next()).filter(|subject| !subject.is_empty());
        Self { subject, part: next(), kind: next(), template: next() }
    }

    /// The campaign or canvas.
    pub(super) fn subject(&self) -> Option<&'a str> {
        self.subject
    }

    /// What is counted of its part.
    pub(super) fn key(&self, what: String) -> Option<CountKey> {
        let (subject, part) = (self.subject?.to_owned(), self.part.to_owned());
        Some(CountKey { subject, part, what })
    }

    /// What has a report of its own.
    pub(super) fn subjects(&self) -> impl Iterator<Item = Subject> + use<> {
        let sender = match (self.subject, self.kind) {
            (Some(id), CAMPAIGN) => Some(Subject::Campaign(id.to_owned())),
            (Some(id), CANVAS) => Some(Subject::Canvas(id.to_owned())),
            _ => None,
        };
        let template = Some(self.template).filter(|template| !template.is_empty());
        let template = template.map(|template| Subject::Template(template.to_owned()));
        sender.into_iter().chain(template)
    }
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
            self.write_entry(workspace, entry)?;
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

    /// Deletes entries of the audit log from before a time, of each workspace's log and of that of
    /// all; answers how many.
    pub(super) fn forget_audit(&self, before: Timestamp, limit: i64) -> rusqlite::Result<usize> {
        // What happened before stands behind the places of that time, up to the end of its log.
        let place = audit_up_to(before.minus(Duration::from_millis(1)));
        let mut next = self.connection.prepare_cached(
            "SELECT key FROM record WHERE lane = 0 AND kind = ?1 AND key >= ?2 ORDER BY key \
             LIMIT 1",
        )?;
        let mut old = self.connection.prepare_cached(
            "DELETE FROM record WHERE lane = 0 AND kind = ?1 AND key IN (SELECT key FROM record \
             WHERE lane = 0 AND kind = ?1 AND key >= ?2 AND key < ?3 LIMIT ?4)",
        )?;
        let kind = RecordKind::Audit as i64;
        let (mut from, mut gone) = (String::new(), 0);
        while let Some(key) =
            next.query_row(params![kind, from], |row| row.get::<_, String>(0)).optional()?
        {
            let log = key.split('/').next().unwrap_or(&key);
            // The character after the slash ends the log.
            let end = format!("{log}0");
            gone += old.execute(params![kind, format!("{log}/{place}"), end, limit])?;
            from = end;
        }
        Ok(gone)
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
