//! Numbers of hosts, inside a transaction.

use rusqlite::{OptionalExtension, params};

use super::change::Change;
use crate::model::{HostName, HostNumber};
use crate::store::StoreError;

impl Change<'_> {
    /// See [`crate::store::HostStore::number`].
    pub(super) fn number(
        &mut self,
        name: &HostName,
    ) -> rusqlite::Result<Result<HostNumber, StoreError>> {
        let known: Option<u32> = self
            .connection
            .prepare_cached("SELECT number FROM host WHERE name = ?1")?
            .query_row([name.as_str()], |row| row.get(0))
            .optional()?;
        let number = match known {
            Some(number) => HostNumber(number),
            None => match self.next_number(name.shard())? {
                Some(number) => number,
                None => {
                    let why = format!("shard {} has no host number left", name.shard());
                    return Ok(Err(StoreError::Unavailable(why)));
                }
            },
        };
        if known.is_none() {
            self.connection
                .prepare_cached("INSERT INTO host (number, name) VALUES (?1, ?2)")?
                .execute(params![number.0, name.as_str()])?;
        }
        self.effect.named.push((name.clone(), number));
        Ok(Ok(number))
    }

    fn next_number(&self, shard: u32) -> rusqlite::Result<Option<HostNumber>> {
        let Some(first) = HostNumber::new(shard, 0) else { return Ok(None) };
        let end = i64::from(first.0) + (1 << crate::model::id::SERIAL_BITS);
        let last: Option<u32> = self
            .connection
            .prepare_cached("SELECT max(number) FROM host WHERE number >= ?1 AND number < ?2")?
            .query_row([i64::from(first.0), end], |row| row.get(0))?;
        let serial = last.map_or(0, |last| last - first.0 + 1);
        Ok(HostNumber::new(shard, serial))
    }
}
