//! One alert: what it says, as properties of an event, as a webhook, as an entry of the activity
//! log. Pure.

use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::model::{AlertKind, DeliveryId, HostName, StoredState, Timestamp};
use crate::store::{Activity, DeliveryRecord};

/// Search term of a delivery that carries an alert; what becomes of one raises no alert.
pub const ALERT_TERM: &str = "hostline.alert";

/// An alert.
#[derive(Clone, Debug, PartialEq)]
pub struct Alert {
    /// What kind.
    pub kind: AlertKind,
    /// The workspace that it concerns.
    pub workspace: u32,
    /// The host that it is about.
    pub host: HostName,
    /// When it happened.
    pub at: Timestamp,
    /// What tells it from others of its kind and host: the same for a repeat.
    pub episode: String,
    /// The delivery that it is about.
    pub delivery: Option<DeliveryId>,
    /// How many of our own webhooks led to it.
    pub hop: u8,
    /// In words.
    pub text: String,
    /// What else is known.
    pub facts: Map<String, Value>,
}

impl Alert {
    /// A host is unhealthy since `at`.
    pub fn unhealthy(
        host: HostName,
        at: Timestamp,
        reason: &str,
        until: Option<Timestamp>,
    ) -> Self {
        let text = format!("{host} is unhealthy: {reason}");
        let facts = members(json!({ "reason": reason, "until": until }));
        Self::of_host(AlertKind::HostUnhealthy, host, at, at, text, facts)
    }

    /// A host that was unhealthy since `since` is well again.
    pub fn recovered(host: HostName, since: Timestamp, at: Timestamp) -> Self {
        let lasted = since.until(at).as_secs();
        let text = format!("{host} is well again; it was unhealthy for {lasted} s");
        let facts = members(json!({ "unhealthy_since": since, "lasted_s": lasted }));
        Self::of_host(AlertKind::HostRecovered, host, at, since, text, facts)
    }

    /// A host answered with more errors than the threshold.
    pub fn errors(host: HostName, count: u64, threshold: u64, at: Timestamp) -> Self {
        let text = format!("{host} ended {count} attempts with an error within 24 hours");
        let facts = members(json!({ "errors": count, "threshold": threshold }));
        // By the hour, so that a repeat after a crash is known as one.
        let hour = Timestamp::from_millis(at.as_millis().div_euclid(3_600_000) * 3_600_000);
        Self::of_host(AlertKind::EndpointErrors, host, at, hour, text, facts)
    }

    fn of_host(
        kind: AlertKind,
        host: HostName,
        at: Timestamp,
        episode: Timestamp,
        text: String,
        facts: Map<String, Value>,
    ) -> Self {
        let episode = episode.as_millis().to_string();
        let workspace = crate::model::DEFAULT_WORKSPACE;
        Self { kind, workspace, host, at, episode, delivery: None, hop: 1, text, facts }
    }

    /// What the end of a delivery is worth: that its retries are used up, that it blocks its key.
    /// Nothing where it carried an alert itself.
    pub fn of_dead_letter(record: &DeliveryRecord) -> Vec<Self> {
        if record.metadata.iter().any(|(key, _)| key == ALERT_TERM) {
            return Vec::new();
        }
        let StoredState::Ended(end) = record.state else { return Vec::new() };
        let exhausted = end == crate::model::End::Exhausted;
        let kinds = [
            (exhausted, AlertKind::DeliveryExhausted),
            (record.blocks_key, AlertKind::OrderingKeyBlocked),
        ];
        let told = kinds.into_iter().filter(|(is_so, _)| *is_so);
        told.map(|(_, kind)| Self::of_delivery(kind, record, end.as_str())).collect()
    }

    fn of_delivery(kind: AlertKind, record: &DeliveryRecord, end: &str) -> Self {
        let (id, host) = (record.id, record.host.clone());
        let text = match kind {
            AlertKind::OrderingKeyBlocked => {
                let key = record.ordering_key.as_deref().unwrap_or_default();
                format!("ordering key {key:?} of {host} is blocked by {id}, which {end}")
            }
            _ => {
                let attempts = record.attempts;
                format!("delivery {id} to {host} was given up after {attempts} attempts")
            }
        };
        let provenance = record.provenance.as_deref();
        let of = |field: fn(&crate::model::Provenance) -> &Option<String>| {
            provenance.and_then(|it| field(it).clone())
        };
        let facts = members(json!({
            "trigger": record.trigger,
            "state": end,
            "status": record.last_status,
            "attempts": record.attempts,
            "ordering_key": record.ordering_key,
            "campaign": of(|it| &it.campaign),
            "canvas": of(|it| &it.canvas),
            "recipient": of(|it| &it.recipient),
        }));
        Self {
            kind,
            workspace: record.workspace,
            at: record.ended.unwrap_or(record.accepted),
            // A redriven delivery may be given up again.
            episode: format!("{id}/{}", record.attempts),
            delivery: Some(id),
            hop: record.hop.saturating_add(1),
            host,
            text,
            facts,
        }
    }

    /// Tells it from all others.
    pub fn key(&self) -> String {
        format!("{}/{}/{}", self.kind.as_str(), self.host, self.episode)
    }

    /// The recipient of its event: the host, who has no attributes.
    pub fn external_id(&self) -> String {
        format!("host:{}", self.host)
    }

    /// The properties of its event.
    pub fn properties(&self, left_out: u64) -> Map<String, Value> {
        let mut properties = members(json!({
            "kind": self.kind,
            "host": self.host,
            "at": self.at,
            "text": self.text,
            "delivery": self.delivery,
            "left_out": left_out,
        }));
        properties.extend(self.facts.clone());
        properties
    }

    /// The body of its webhook, in the form that Standard Webhooks ask for.
    pub fn body(&self, left_out: u64) -> Bytes {
        let body = json!({
            "type": self.kind.event(),
            "timestamp": self.at,
            "data": self.properties(left_out),
        });
        serde_json::to_vec(&body).expect("plain data has a JSON form").into()
    }

    /// Its entry of the activity log; `None` where the store notes the same by itself.
    pub fn activity(&self) -> Option<Activity> {
        if matches!(self.kind, AlertKind::HostUnhealthy | AlertKind::HostRecovered) {
            return None;
        }
        let recipient = self.facts.get("recipient").and_then(Value::as_str).map(str::to_owned);
        let status = self.facts.get("status").and_then(Value::as_u64);
        Some(Activity {
            at: self.at,
            kind: self.kind.as_str().to_owned(),
            host: Some(self.host.clone()),
            delivery: self.delivery,
            recipient,
            status: status.and_then(|status| u16::try_from(status).ok()),
            detail: self.text.clone(),
            ..Activity::default()
        })
    }
}

/// The members of an object that are not null.
fn members(value: Value) -> Map<String, Value> {
    let Value::Object(map) = value else { return Map::new() };
    map.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(seconds * 1_000)
    }

    #[test]
    fn alerts_of_hosts_say_what_happened() {
        let host = || HostName::from_normalised("shop.example");
        let reason = "20 of 20 attempts failed within 60s";
        let unhealthy = Alert::unhealthy(host(), at(100), reason, Some(at(160)));
        let properties = Value::Object(unhealthy.properties(2));
        assert_eq!(
            properties,
            json!({
                "kind": "host_unhealthy", "host": "shop.example",
                "at": "1970-01-01T00:01:40.000Z", "until": "1970-01-01T00:02:40.000Z",
                "text": "shop.example is unhealthy: 20 of 20 attempts failed within 60s",
                "reason": reason, "left_out": 2,
            })
        );
        let body: Value = serde_json::from_slice(&unhealthy.body(2)).expect("JSON");
        assert_eq!(
            (&body["type"], &body["data"]),
            (&"hostline.host_unhealthy".into(), &properties)
        );
        let recovered = Alert::recovered(host(), at(100), at(190));
        assert_eq!(recovered.text, "shop.example is well again; it was unhealthy for 90 s");
        assert_eq!(recovered.key(), "host_recovered/shop.example/100000");
        let errors = Alert::errors(host(), 11, 10, at(7_300));
        assert_eq!(errors.text, "shop.example ended 11 attempts with an error within 24 hours");
        assert_eq!(errors.key(), "endpoint_errors/shop.example/7200000");
        assert_eq!(errors.activity().map(|entry| entry.kind), Some("endpoint_errors".to_owned()));
        assert_eq!(recovered.activity(), None);
    }
}
