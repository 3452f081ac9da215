//! Idempotency keys, inside the transaction of the deliveries that they stand for.

use rusqlite::{OptionalExtension, params};

use super::change::Change;
use crate::model::Timestamp;
use crate::store::{Accepted, Idempotency};

impl Change<'_> {
    /// What an idempotency key stands for already.
    pub(super) fn used_key(
        &self,
        idempotency: &Idempotency,
        now: Timestamp,
    ) -> rusqlite::Result<Option<Accepted>> {
        self.connection
            .prepare_cached(
                "SELECT fingerprint, answer FROM idempotency \
                 WHERE workspace = ?1 AND key = ?2 AND expires > ?3",
            )?
            .query_row(params![idempotency.workspace, idempotency.key, now.as_millis()], |row| {
                if row.get_ref(0)?.as_blob()? != idempotency.fingerprint {
                    return Ok(Accepted::KeyReused);
                }
                Ok(Accepted::Replayed(row.get::<_, Vec<u8>>(1)?.into()))
            })
            .optional()
    }

    /// Keeps an idempotency key with its answer.
    pub(super) fn keep_key(&self, idempotency: &Idempotency) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("INSERT OR REPLACE INTO idempotency VALUES (?1, ?2, ?3, ?4, ?5)")?
            .execute(params![
                idempotency.workspace,
                idempotency.key,
                idempotency.fingerprint.as_slice(),
                idempotency.answer.as_ref(),
                idempotency.expires.as_millis(),
            ])
            .map(drop)
    }
}
