//! Rows and nouns: how states, webhooks and attempts are written, and read back.
//!
//! A webhook's head is JSON, so that anyone can read it with `sqlite3`; the body is bytes in a
//! table of its own. A row that cannot be read back is an error of the store, never a panic.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rusqlite::Row;
use rusqlite::types::Type;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use super::records::Counted;
use crate::model::{
    Answer, Attempt, Delivery, DeliveryId, End, Header, HostName, Metadata, Method, OnFailure,
    Outcome, Pending, Priority, Provenance, StoredState, Target, Timestamp, Timings, TriggerId,
    Webhook,
};
use crate::store::DeliveryRecord;

/// `delivery.state` of a pending delivery; the partial indexes of the schema say the same.
pub(super) const PENDING: i64 = 0;
/// `delivery.state` of a parked one.
pub(super) const PARKED: i64 = 1;
const _: () = assert!(PENDING == 0 && PARKED == 1, "the partial indexes spell these numbers out");

/// The number that a state is stored as.
pub(super) fn state_code(state: StoredState) -> i64 {
    match state {
        StoredState::Pending => PENDING,
        StoredState::Parked => PARKED,
        StoredState::Ended(End::Delivered) => 2,
        StoredState::Ended(End::Failed) => 3,
        StoredState::Ended(End::Exhausted) => 4,
        StoredState::Ended(End::Expired) => 5,
        StoredState::Ended(End::Cancelled) => 6,
    }
}

/// The state that a number stands for.
pub(super) fn state_of(code: i64) -> Option<StoredState> {
    Some(match code {
        PENDING => StoredState::Pending,
        PARKED => StoredState::Parked,
        2 => StoredState::Ended(End::Delivered),
        3 => StoredState::Ended(End::Failed),
        4 => StoredState::Ended(End::Exhausted),
        5 => StoredState::Ended(End::Expired),
        6 => StoredState::Ended(End::Cancelled),
        _ => return None,
    })
}

pub(super) fn priority_code(priority: Priority) -> i64 {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

fn priority_of(code: i64) -> Priority {
    match code {
        0 => Priority::High,
        2 => Priority::Low,
        _ => Priority::Normal,
    }
}

pub(super) fn blocks_on_failure(on_failure: OnFailure) -> bool {
    matches!(on_failure, OnFailure::Block)
}

/// Milliseconds of a duration, as stored.
pub(super) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// The stored trigger: absent where the delivery's own id says it.
pub(super) fn trigger_column(delivery: &Delivery) -> Option<&[u8]> {
    (delivery.trigger != delivery.id.trigger()).then(|| delivery.trigger.as_bytes().as_slice())
}

#[derive(Serialize)]
struct HeadOut<'a> {
    method: Method,
    url: &'a str,
    #[serde(skip_serializing_if = "<[Header]>::is_empty")]
    headers: &'a [Header],
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    more_secrets: &'a [String],
    #[serde(skip_serializing_if = "<[(String, String)]>::is_empty")]
    metadata: &'a [(String, String)],
    #[serde(skip_serializing_if = "Option::is_none")]
    provenance: Option<&'a Provenance>,
    #[serde(skip_serializing_if = "is_zero")]
    hop: u8,
}

fn is_zero(number: &u8) -> bool {
    *number == 0
}

/// The head of a stored webhook and the search terms of its trigger.
#[derive(Deserialize)]
pub(super) struct Head {
    method: Method,
    url: String,
    #[serde(default)]
    headers: Vec<Header>,
    #[serde(default)]
    secret: Option<String>,
    #[serde(default)]
    more_secrets: Vec<String>,
    #[serde(default)]
    pub(super) metadata: Metadata,
    #[serde(default)]
    pub(super) provenance: Option<Provenance>,
    #[serde(default)]
    hop: u8,
}

impl Head {
    /// All search terms of the delivery.
    pub(super) fn tags(self) -> Metadata {
        let mut tags = self.metadata;
        let ours = self.provenance.iter().flat_map(Provenance::tags);
        tags.extend(ours.map(|(key, value)| (key, value.to_owned())));
        tags
    }
}

/// The head column of a delivery.
pub(super) fn head_text(delivery: &Delivery) -> rusqlite::Result<String> {
    let webhook = &delivery.webhook;
    let head = HeadOut {
        method: webhook.method,
        url: webhook.target.as_str(),
        headers: &webhook.headers,
        // The first stands alone, as rows had it before there could be several.
        secret: webhook.secret_refs.first().map(String::as_str),
        more_secrets: webhook.secret_refs.get(1..).unwrap_or_default(),
        metadata: &delivery.metadata,
        provenance: delivery.provenance.as_deref(),
        hop: delivery.hop,
    };
    serde_json::to_string(&head)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

/// The checksum of a head and a body, kept beside them.
pub(super) fn checksum(head: &str, body: &[u8]) -> i64 {
    let mut hash = Xxh3::new();
    hash.update(head.as_bytes());
    // No head holds a zero, so that none runs into its body.
    hash.update(&[0]);
    hash.update(body);
    hash.digest().cast_signed()
}

/// Reads a head column.
pub(super) fn parse_head(text: &str) -> rusqlite::Result<Head> {
    serde_json::from_str(text).map_err(|error| unreadable("head", Type::Text, error))
}

/// The webhook of a head and a body.
pub(super) fn webhook(head: Head, body: Bytes) -> rusqlite::Result<Webhook> {
    let target = Target::from_vetted(&head.url)
        .ok_or_else(|| unreadable("head", Type::Text, "the stored url is not one"))?;
    Ok(Webhook {
        method: head.method,
        target,
        headers: head.headers,
        body,
        secret_refs: head.secret.into_iter().chain(head.more_secrets).collect(),
    })
}

/// A stored value that does not read back, as an error of the statement that found it.
pub(super) fn unreadable(
    what: &str,
    kind: Type,
    why: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> rusqlite::Error {
    let why = format!("stored {what} is damaged: {}", why.into());
    rusqlite::Error::FromSqlConversionFailure(0, kind, why.into())
}

/// Reads an id column.
pub(super) fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<DeliveryId> {
    let bytes = row.get_ref(column)?.as_blob()?;
    DeliveryId::from_slice(bytes).ok_or_else(|| unreadable("id", Type::Blob, "not an id"))
}

/// Reads a state column.
pub(super) fn state(row: &Row<'_>, column: usize) -> rusqlite::Result<StoredState> {
    let code = row.get(column)?;
    state_of(code).ok_or_else(|| unreadable("state", Type::Integer, "not a state"))
}

fn seq(row: &Row<'_>) -> rusqlite::Result<u64> {
    let seq: i64 = row.get(0)?;
    u64::try_from(seq).map_err(|error| unreadable("seq", Type::Integer, error))
}

/// Reads a time column.
pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// The columns that [`pending`] reads, in its order.
pub(super) const PENDING_COLUMNS: &str =
    "seq, id, lane, due, expires, priority, attempts, retries, okey IS NOT NULL, size, counted";

/// Reads a queue entry, without its webhook.
pub(super) fn pending(row: &Row<'_>) -> rusqlite::Result<Pending> {
    pending_beside(row, None)
}

/// Reads a queue entry that shares the name of its campaign with the one before it, where that is
/// the same: a page holds it once.
pub(super) fn pending_beside(
    row: &Row<'_>,
    shares: Option<&Arc<str>>,
) -> rusqlite::Result<Pending> {
    let counted = row.get_ref(10)?.as_str_or_null()?;
    let campaign = counted.and_then(|counted| Counted::parse(counted).subject());
    let campaign = campaign.map(|campaign| match shares {
        Some(shared) if **shared == *campaign => shared.clone(),
        _ => Arc::from(campaign),
    });
    Ok(Pending {
        seq: seq(row)?,
        id: id(row, 1)?,
        lane: row.get(2)?,
        due: time(row, 3)?,
        expires: time(row, 4)?,
        priority: priority_of(row.get(5)?),
        attempts: row.get(6)?,
        retries: row.get(7)?,
        ordered: row.get(8)?,
        size: row.get(9)?,
        campaign,
        webhook: None,
    })
}

/// The columns that [`record`] reads, in its order.
pub(super) const RECORD_COLUMNS: &str = "d.seq, d.id, d.trigger_id, h.name, d.state, d.accepted, \
     d.due, d.expires, d.ended, d.attempts, d.retries, d.last_status, d.okey, d.blocks, \
     d.priority, d.head, d.lane";

/// Reads a delivery; the body is given, since lists leave it out.
pub(super) fn record(row: &Row<'_>, body: Bytes) -> rusqlite::Result<DeliveryRecord> {
    let id = id(row, 1)?;
    let trigger = match row.get_ref(2)?.as_blob_or_null()? {
        None => id.trigger(),
        Some(bytes) => TriggerId::from_slice(bytes)
            .ok_or_else(|| unreadable("trigger", Type::Blob, "not an id"))?,
    };
    let mut head = parse_head(row.get_ref(15)?.as_str()?)?;
    let metadata = std::mem::take(&mut head.metadata);
    let (provenance, hop) = (head.provenance.take().map(Arc::new), head.hop);
    let webhook = webhook(head, body)?;
    Ok(DeliveryRecord {
        id,
        workspace: row.get(16)?,
        trigger,
        host: HostName::from_normalised(row.get_ref(3)?.as_str()?),
        seq: seq(row)?,
        state: state(row, 4)?,
        accepted: time(row, 5)?,
        due: time(row, 6)?,
        expires: time(row, 7)?,
        ended: row.get::<_, Option<i64>>(8)?.map(Timestamp::from_millis),
        attempts: row.get(9)?,
        retries: row.get(10)?,
        last_status: row.get(11)?,
        ordering_key: row.get(12)?,
        blocks_key: row.get(13)?,
        metadata,
        provenance,
        hop,
        priority: priority_of(row.get(14)?),
        webhook: Arc::new(webhook),
    })
}

/// What is kept of an attempt beside its number, start, status and the answer's body.
#[derive(Serialize, Deserialize)]
struct Detail {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<Header>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    timed_out: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    blocked: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    unprepared: bool,
    timings: Timings,
}

/// The detail and body columns of an attempt.
pub(super) fn attempt_columns(attempt: &Attempt) -> rusqlite::Result<(String, Option<&[u8]>)> {
    let mut detail = Detail {
        headers: Vec::new(),
        truncated: false,
        reason: None,
        timed_out: false,
        blocked: false,
        unprepared: false,
        timings: attempt.timings,
    };
    let mut body = None;
    match &attempt.outcome {
        Outcome::Answered(answer) => {
            detail.headers.clone_from(&answer.headers);
            detail.truncated = answer.body_truncated;
            body = (!answer.body.is_empty()).then_some(&answer.body[..]);
        }
        Outcome::NoAnswer { reason, timed_out } => {
            detail.reason = Some(reason.clone());
            detail.timed_out = *timed_out;
        }
        Outcome::Blocked { reason } => {
            detail.reason = Some(reason.clone());
            detail.blocked = true;
        }
        Outcome::Unprepared { reason } => {
            detail.reason = Some(reason.clone());
            detail.unprepared = true;
        }
    }
    let text = serde_json::to_string(&detail)
        .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    Ok((text, body))
}

/// Reads `number, started, status, detail, body`.
pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    let detail: Detail = serde_json::from_str(row.get_ref(3)?.as_str()?)
        .map_err(|error| unreadable("attempt", Type::Text, error))?;
    let outcome = match (detail.reason, detail.blocked) {
        (Some(reason), true) => Outcome::Blocked { reason },
        (Some(reason), false) if detail.unprepared => Outcome::Unprepared { reason },
        (Some(reason), false) => Outcome::NoAnswer { reason, timed_out: detail.timed_out },
        (None, _) => Outcome::Answered(Answer {
            status: row.get(2)?,
            headers: detail.headers,
            body: row.get::<_, Option<Vec<u8>>>(4)?.unwrap_or_default().into(),
            body_truncated: detail.truncated,
        }),
    };
    Ok(Attempt { number: row.get(0)?, started: time(row, 1)?, outcome, timings: detail.timings })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_read_from_rows_of_all_times() {
        for (rest, expected) in [
            ("", &[][..]),
            (r#","secret":"main""#, &["main"]),
            (r#","secret":"main","more_secrets":["crm","bank"]"#, &["main", "crm", "bank"]),
        ] {
            let text = format!(r#"{{"method":"POST","url":"https://a.example/"{rest}}}"#);
            let head = parse_head(&text).expect("a head");
            assert_eq!(webhook(head, Bytes::new()).expect("a webhook").secret_refs, expected);
        }
    }
}
