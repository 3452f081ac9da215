//! The codec of rows, opened for `tests/fuzzing`: what comes off a damaged disk must be read or
//! refused, and what is written must read back as it was.

use bytes::Bytes;
use rusqlite::{Connection, params};

use super::codec;
use crate::model::{Attempt, Delivery, Metadata, Webhook};

/// Reads the columns of an attempt as a row of the store would hold them.
pub fn read_attempt(
    number: i64,
    started: i64,
    status: Option<i64>,
    detail: &str,
    body: Option<&[u8]>,
) -> Result<Attempt, String> {
    let connection = Connection::open_in_memory().map_err(|error| error.to_string())?;
    let columns = params![number, started, status, detail, body];
    let row = connection.query_row("SELECT ?1, ?2, ?3, ?4, ?5", columns, codec::attempt);
    row.map_err(|error| error.to_string())
}

/// Writes an attempt as the store would and reads it back.
pub fn keep_attempt(attempt: &Attempt) -> Result<Attempt, String> {
    let (detail, body) = codec::attempt_columns(attempt).map_err(|error| error.to_string())?;
    let status = attempt.status().map(i64::from);
    let started = attempt.started.as_millis();
    read_attempt(attempt.number.into(), started, status, &detail, body)
}

/// Reads the head column of a delivery.
pub fn read_head(text: &str, body: Bytes) -> Result<(Webhook, Metadata), String> {
    let head = codec::parse_head(text).map_err(|error| error.to_string())?;
    let metadata = head.metadata.clone();
    let webhook = codec::webhook(head, body).map_err(|error| error.to_string())?;
    Ok((webhook, metadata))
}

/// Writes the head column of a delivery.
pub fn write_head(delivery: &Delivery) -> Result<String, String> {
    codec::head_text(delivery).map_err(|error| error.to_string())
}
