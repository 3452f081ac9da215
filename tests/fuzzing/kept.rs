//! What comes back from the store, perhaps off a damaged disk: it is read or refused, and what is
//! read can be written again.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use hostline::compose::Head;
use hostline::compose::eligibility::{Contact, Eligibility, FrequencyCap, Reeligible};
use hostline::compose::journey::Journey;
use hostline::compose::pace::Spread;
use hostline::model::{
    Delivery, HostControls, HostNumber, Metadata, OnFailure, Provenance, Webhook, WorkspacePolicy,
};
use hostline::policy::saved::Saved;
use hostline::store::embedded::fuzzing::{keep_attempt, read_attempt, read_head, write_head};
use hostline::store::{Activity, DeliveryRecord};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::targets::documents::alike;
use crate::targets::rules::{T0, after, host_state, next_send};
use crate::targets::{halves, note};

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
    let Some(saved) = Saved::parse(text) else { return note("unreadable") };
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
    let attempt = match read_attempt(1, T0.as_millis(), status, detail, body) {
        Ok(attempt) => attempt,
        Err(error) => return note(&error),
    };
    assert_eq!(keep_attempt(&attempt), Ok(attempt));
}

/// The head of a delivery.
pub fn head_record(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (webhook, metadata) = match read_head(text, Bytes::from_static(b"{}")) {
        Ok(read) => read,
        Err(error) => return note(&error),
    };
    note("read");
    reads_back(Arc::new(webhook), metadata);
}

/// A record of composition or of a host's controls; its kind stands in the first line.
pub fn kept_record(data: &[u8]) {
    let (kind, text) = halves(data, b'\n');
    match kind {
        b"controls" => drop(reads::<HostControls>(text)),
        b"contact" => contact(text),
        b"journey" => drop(reads::<Journey>(text)),
        b"spread" => spread(text),
        b"provenance" => drop(reads::<Provenance>(text)),
        b"activity" => drop(reads::<Activity>(text)),
        b"policy" => drop(reads::<WorkspacePolicy>(text)),
        b"head" => drop(reads::<Head>(text)),
        _ => {}
    }
}

/// Reads a record, which is written as it was read.
fn reads<T: Serialize + DeserializeOwned + PartialEq + Debug>(text: &[u8]) -> Option<T> {
    let read: T = match serde_json::from_slice(text) {
        Ok(read) => read,
        Err(error) => {
            note(&error.to_string());
            return None;
        }
    };
    note(std::any::type_name::<T>());
    let written = serde_json::to_vec(&read).expect("plain data");
    let again: T = serde_json::from_slice(&written).expect("what was written can be read");
    if again != read {
        alike(&again, &written);
    }
    Some(read)
}

/// Whatever is kept of a recipient's sends, the cap holds, and does not grow without end.
fn contact(text: &[u8]) {
    let Some(mut contact) = reads::<Contact>(text) else { return };
    let cap = r#"{"messages": 3, "per": "1h"}"#;
    let cap: FrequencyCap = serde_json::from_str(cap).expect("a cap");
    let mut sent = 0;
    for _ in 0..5 {
        if contact.judge(&Reeligible::Always, Some(&cap), T0) == Eligibility::Eligible {
            contact.record(Some(&cap), T0);
            sent += 1;
        }
    }
    assert!(sent <= 3, "{sent} at once");
}

/// Whatever is kept of a speed limit, messages keep their order and none goes early.
fn spread(text: &[u8]) {
    let Some(mut spread) = reads::<Spread>(text) else { return };
    let slots = spread.take(50, T0);
    assert!(slots.iter().all(|slot| *slot >= T0), "{slots:?}");
    assert!(slots.is_sorted(), "{slots:?}");
    spread.set(7);
    assert!(spread.next_slot(T0) >= T0);
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
