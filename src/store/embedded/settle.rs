//! Inside a transaction: verdicts and attempts, the states and intervals of hosts, retention.

use rusqlite::{OptionalExtension, params};

use super::change::{Change, Key, Row};
use super::codec;
use super::records::Counted;
use crate::model::{
    Attempt, End, HostControls, HostName, HostNumber, Settlement, StoredState, Timestamp, Verdict,
};
use crate::store::{ConditionChange, HostUpdate, INTERVAL_GAP, Released};

impl Change<'_> {
    /// See [`crate::store::DeliveryStore::settle`].
    pub(super) fn settle(
        &mut self,
        settlements: &[Settlement],
        hosts: &[HostUpdate],
    ) -> rusqlite::Result<Released> {
        let mut released = Released::new();
        for settlement in settlements {
            // A row that makes no sense is named and left as it is: the others must not wait for it.
            let settled = self.settle_one(settlement, &mut released);
            self.shared.readable(|| format!("delivery {}", settlement.id), settled)?;
        }
        for update in hosts {
            self.connection
                .prepare_cached("UPDATE host SET saved = ?2 WHERE number = ?1")?
                .execute(params![update.host.0, update.saved])?;
            for change in &update.changes {
                self.change_condition(update.host, change)?;
            }
        }
        // A follower released by one settlement may have been ended by a later one of the call.
        let mut owed = Released::with_capacity(released.len());
        for (host, entry) in released {
            let row = self.row(entry.id);
            let row = self.shared.readable(|| format!("delivery {}", entry.id), row)?.flatten();
            if row.is_some_and(|row| row.state == StoredState::Pending) {
                owed.push((host, entry));
            }
        }
        Ok(owed)
    }

    fn settle_one(
        &mut self,
        settlement: &Settlement,
        released: &mut Released,
    ) -> rusqlite::Result<()> {
        let Some(row) = self.row(settlement.id)? else { return Ok(()) };
        if let Some(attempt) = &settlement.attempt {
            // An attempt that is recorded had its verdict carried out with it: this is a repeat.
            if attempt.number <= row.attempts {
                return Ok(());
            }
            self.insert_attempt(row.seq, attempt)?;
        }
        let attempts = settlement.attempt.as_ref().map_or(row.attempts, |attempt| attempt.number);
        match (row.state, settlement.verdict) {
            (StoredState::Ended(_), Verdict::End(End::Cancelled)) if row.blocks => {
                self.end(settlement, &row, attempts, End::Cancelled, released)
            }
            (StoredState::Ended(_), _) if settlement.attempt.is_some() => self
                .connection
                .prepare_cached(
                    "UPDATE delivery SET attempts = ?2, last_status = ?3 WHERE seq = ?1",
                )?
                .execute(params![row.seq, attempts, status(settlement)])
                .map(drop),
            (StoredState::Ended(_), _) => Ok(()),
            (_, Verdict::Again { due, retries }) => {
                if let (Some(counted), true) = (&row.counted, settlement.attempt.is_some())
                    && let Some(key) = Counted::parse(counted).key("retried".into())
                {
                    self.tally(key, settlement.at, 1);
                }
                self.count_settled(settlement, &row, status(settlement));
                let sql = if settlement.attempt.is_some() {
                    "UPDATE delivery SET due = ?2, retries = ?3, attempts = ?4, \
                     last_status = ?5 WHERE seq = ?1"
                } else {
                    "UPDATE delivery SET due = ?2, retries = ?3, attempts = ?4, \
                     last_status = coalesce(?5, last_status) WHERE seq = ?1"
                };
                let status = status(settlement);
                self.connection
                    .prepare_cached(sql)?
                    .execute(params![row.seq, due.as_millis(), retries, attempts, status])
                    .map(drop)
            }
            (_, Verdict::End(end)) => self.end(settlement, &row, attempts, end, released),
        }
    }

    fn end(
        &mut self,
        settlement: &Settlement,
        row: &Row,
        attempts: u32,
        end: End,
        released: &mut Released,
    ) -> rusqlite::Result<()> {
        let host = settlement.id.host();
        let to = StoredState::Ended(end);
        let blocks = row.key.is_some() && row.on_failure_block && end.is_dead_letter();
        let sql = if settlement.attempt.is_some() {
            "UPDATE delivery SET state = ?2, ended = ?3, blocks = ?4, attempts = ?5, \
             last_status = ?6 WHERE seq = ?1"
        } else {
            "UPDATE delivery SET state = ?2, ended = ?3, blocks = ?4, attempts = ?5, \
             last_status = coalesce(?6, last_status) WHERE seq = ?1"
        };
        self.connection.prepare_cached(sql)?.execute(params![
            row.seq,
            codec::state_code(to),
            settlement.at.as_millis(),
            blocks,
            attempts,
            status(settlement),
        ])?;
        self.count((host, row.lane), Some(row.state), to);
        let last = match &settlement.attempt {
            Some(attempt) => attempt.status(),
            None => row.last_status,
        };
        self.count_settled(settlement, row, last);
        self.count_end(settlement.at, row, end, last);
        if end.is_dead_letter() {
            self.note_end(settlement, row, end, last)?;
        }
        if blocks {
            self.note_blocked(settlement, row);
        }
        if let Some(name) = &row.key
            && let Some(entry) = self.release(&Key { host, lane: row.lane, name })?
        {
            let name = self.host_name(host)?;
            released.push((name, entry));
        }
        Ok(())
    }

    /// Counts an end under the part of a campaign or canvas, by status where it was no success.
    fn count_end(&mut self, at: Timestamp, row: &Row, end: End, status: Option<u16>) {
        let what = match status.filter(|_| end != End::Delivered) {
            Some(status) => format!("{} {status}", end.as_str()),
            None => end.as_str().to_owned(),
        };
        let counted = row.counted.as_deref().map(Counted::parse);
        if let Some(key) = counted.and_then(|counted| counted.key(what)) {
            self.tally(key, at, 1);
        }
    }

    fn insert_attempt(&self, seq: i64, attempt: &Attempt) -> rusqlite::Result<()> {
        let (detail, body) = codec::attempt_columns(attempt)?;
        self.connection
            .prepare_cached("INSERT OR IGNORE INTO attempt VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
            .execute(params![
                seq,
                attempt.number,
                attempt.started.as_millis(),
                attempt.status(),
                detail,
                body,
            ])
            .map(drop)
    }

    /// Ends the open interval, and continues or begins one. A change from before the last one is a
    /// repeat and changes nothing.
    fn change_condition(
        &mut self,
        host: HostNumber,
        change: &ConditionChange,
    ) -> rusqlite::Result<()> {
        let at = change.at.as_millis();
        let last: Option<(i64, String, i64, Option<i64>)> = self
            .connection
            .prepare_cached(
                "SELECT number, condition, begun, ended FROM interval WHERE host = ?1 \
                 ORDER BY begun DESC, number DESC LIMIT 1",
            )?
            .query_row([host.0], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .optional()?;
        let open = last.as_ref().filter(|last| last.3.is_none()).map(|last| last.1.clone());
        if let Some((number, condition, begun, ended)) = last {
            let same = change.condition == Some(condition.as_str());
            let gap = ended.map_or(0, |ended| at - ended);
            if at < begun || gap < 0 || (same && ended.is_none()) {
                return Ok(());
            }
            if same && gap < codec::millis(INTERVAL_GAP) {
                return self.end_interval(number, None);
            }
            if ended.is_none() {
                self.end_interval(number, Some(at))?;
            }
        }
        self.note_condition(host, open.as_deref(), change)?;
        let Some(condition) = change.condition else { return Ok(()) };
        self.connection
            .prepare_cached(
                "INSERT INTO interval (host, condition, reason, begun) VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![host.0, condition, change.reason, at])
            .map(drop)
    }

    fn end_interval(&self, number: i64, at: Option<i64>) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("UPDATE interval SET ended = ?2 WHERE number = ?1")?
            .execute(params![number, at])
            .map(drop)
    }

    /// See [`crate::store::HostStore::control`].
    pub(super) fn control(
        &self,
        host: HostNumber,
        controls: &HostControls,
    ) -> rusqlite::Result<()> {
        let text = (*controls != HostControls::default())
            .then(|| serde_json::to_string(controls))
            .transpose()
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        self.connection
            .prepare_cached("UPDATE host SET controls = ?2 WHERE number = ?1")?
            .execute(params![host.0, text])
            .map(drop)
    }

    /// See [`crate::store::DeliveryStore::sweep`]. The index of ends leads straight to what is
    /// over, so that old pending deliveries cost nothing. What blocks a key is kept until it no
    /// longer does.
    pub(super) fn sweep(
        &self,
        before: Timestamp,
        now: Timestamp,
        limit: usize,
    ) -> rusqlite::Result<(usize, bool)> {
        let limit_rows = i64::try_from(limit).unwrap_or(i64::MAX);
        let over: Vec<i64> = self
            .connection
            .prepare_cached(
                "SELECT seq FROM delivery INDEXED BY delivery_over WHERE ended IS NOT NULL AND \
                 blocks = 0 AND ended < ?1 ORDER BY ended LIMIT ?2",
            )?
            .query_map([before.as_millis(), limit_rows], |row| row.get(0))?
            .collect::<rusqlite::Result<_>>()?;
        for seq in &over {
            self.delete(*seq)?;
        }
        let keys = self
            .connection
            .prepare_cached(
                "DELETE FROM idempotency WHERE (workspace, key) IN (SELECT workspace, key FROM \
                 idempotency WHERE expires <= ?1 ORDER BY expires LIMIT ?2)",
            )?
            .execute([now.as_millis(), limit_rows])?;
        let intervals = self
            .connection
            .prepare_cached(
                "DELETE FROM interval WHERE number IN (SELECT number FROM interval WHERE \
                 ended IS NOT NULL AND ended < ?1 ORDER BY ended LIMIT ?2)",
            )?
            .execute([before.as_millis(), limit_rows])?;
        let more = [over.len(), keys, intervals].into_iter().any(|gone| gone >= limit);
        Ok((over.len(), more))
    }

    fn delete(&self, seq: i64) -> rusqlite::Result<()> {
        let head: String = self
            .connection
            .prepare_cached("DELETE FROM delivery WHERE seq = ?1 RETURNING head")?
            .query_row([seq], |row| row.get(0))?;
        // A head that does not read back must not stop retention; its tags lead nowhere then.
        let tags = codec::parse_head(&head).map(codec::Head::tags).unwrap_or_default();
        for (key, value) in tags {
            self.connection
                .prepare_cached("DELETE FROM tag WHERE key = ?1 AND value = ?2 AND seq = ?3")?
                .execute(params![key, value, seq])?;
        }
        self.connection.prepare_cached("DELETE FROM body WHERE seq = ?1")?.execute([seq])?;
        self.connection.prepare_cached("DELETE FROM attempt WHERE seq = ?1")?.execute([seq])?;
        Ok(())
    }
}

fn status(settlement: &Settlement) -> Option<u16> {
    settlement.attempt.as_ref().and_then(Attempt::status)
}

/// Reads stored controls; `None` (never asked for any) is the default.
pub(super) fn parse_controls(text: Option<&str>) -> rusqlite::Result<HostControls> {
    let Some(text) = text else { return Ok(HostControls::default()) };
    serde_json::from_str(text)
        .map_err(|error| codec::unreadable("controls", rusqlite::types::Type::Text, error))
}

/// Reads a host's name.
pub(super) fn parse_name(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<HostName> {
    Ok(HostName::from_normalised(row.get_ref(column)?.as_str()?))
}
