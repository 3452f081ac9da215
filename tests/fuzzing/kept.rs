//! What comes back from the store, perhaps off a damaged disk: it is read or refused, and what is
//! read can be written again.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hostline::model::{Delivery, HostNumber, Metadata, OnFailure, Webhook};
use hostline::policy::saved::Saved;
use hostline::store::DeliveryRecord;
use hostline::store::embedded::fuzzing::{keep_attempt, read_attempt, read_head, write_head};

use serde_json::Value;

use crate::targets::rules::{T0, after, host_state, next_send};

/// Whether two saved states say the same. The last digit of a rate may be lost on the way.
pub fn same(one: &Saved, other: &Saved) -> bool {
    let parts = |saved: &Saved| {
        let mut json: Value = serde_json::from_str(&saved.to_json()).expect("JSON");
        let rate = json.as_object_mut().expect("an object").remove("learned_rate");
        (json, rate.and_then(|rate| rate.as_f64()))
    };
    let ((one, rate), (other, other_rate)) = (parts(one), parts(other));
    let close = match (rate, other_rate) {
        (Some(rate), Some(other)) => (rate - other).abs() <= rate.abs() * 1e-12,
        (None, None) => true,
        _ => false,
    };
    one == other && close
}

/// The saved state of a host.
pub fn saved_state(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(saved) = Saved::parse(text) else { return };
    let again = Saved::parse(&saved.to_json()).expect("what was written can be read");
    assert!(same(&again, &saved), "{again:?} {saved:?}");
    let now = after(Duration::from_secs(5));
    let mut state = host_state(now);
    state.restore(&saved, now);
    let _standing = state.standing(now);
    let _sent = next_send(&mut state, Duration::from_secs(5));
    let saved = state.save(after(Duration::from_secs(9)));
    let again = Saved::parse(&saved.to_json()).expect("what was written can be read");
    assert!(same(&again, &saved), "{again:?} {saved:?}");
}

/// An attempt: its status as two bytes, its detail, a NUL, the answer's body.
pub fn attempt_record(data: &[u8]) {
    let (status, rest) = data.split_at(data.len().min(2));
    let status = match status {
        [high, low] => Some(i64::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    };
    let (detail, body) = match rest.iter().position(|byte| *byte == 0) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let Ok(detail) = std::str::from_utf8(detail) else { return };
    let Ok(attempt) = read_attempt(1, T0.as_millis(), status, detail, body) else { return };
    assert_eq!(keep_attempt(&attempt), Ok(attempt));
}

/// The head of a delivery.
pub fn head_record(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok((webhook, metadata)) = read_head(text, Bytes::from_static(b"{}")) else { return };
    reads_back(Arc::new(webhook), metadata);
}

/// What was let in reads back as it was.
pub fn keeps(record: &DeliveryRecord) {
    reads_back(record.webhook.clone(), record.metadata.clone());
}

fn reads_back(webhook: Arc<Webhook>, metadata: Metadata) {
    let id = hostline::model::DeliveryId::new(T0, HostNumber(7), 7);
    let ttl = Duration::from_secs(60);
    let delivery = Delivery {
        id,
        trigger: id.trigger(),
        host: webhook.target.host().clone(),
        workspace: 0,
        hop: 0,
        provenance: None,
        accepted: T0,
        due: T0,
        expires: T0.plus(ttl),
        ttl,
        ttl_custom: false,
        priority: Default::default(),
        ordering_key: None,
        on_failure: OnFailure::Continue,
        metadata: metadata.clone(),
        webhook: webhook.clone(),
    };
    let text = write_head(&delivery).expect("it can be written");
    let (again, metadata_again) = read_head(&text, webhook.body.clone()).expect("and read");
    assert_eq!((&again, &metadata_again), (&*webhook, &metadata));
}
