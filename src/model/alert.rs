//! What is worth an alert.

use serde::Serialize;

/// The kinds of alerts, a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A host failed so often that it is left alone for a while.
    HostUnhealthy,
    /// It is well again.
    HostRecovered,
    /// A host answered with more errors in 24 hours than the threshold.
    EndpointErrors,
    /// The retries of a delivery are used up.
    DeliveryExhausted,
    /// A delivery ended without success and blocks its ordering key.
    OrderingKeyBlocked,
}

impl AlertKind {
    /// All of them.
    pub const ALL: [AlertKind; 5] = [
        AlertKind::HostUnhealthy,
        AlertKind::HostRecovered,
        AlertKind::EndpointErrors,
        AlertKind::DeliveryExhausted,
        AlertKind::OrderingKeyBlocked,
    ];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertKind::HostUnhealthy => "host_unhealthy",
            AlertKind::HostRecovered => "host_recovered",
            AlertKind::EndpointErrors => "endpoint_errors",
            AlertKind::DeliveryExhausted => "delivery_exhausted",
            AlertKind::OrderingKeyBlocked => "ordering_key_blocked",
        }
    }

    /// The kind that a word stands for.
    pub fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The name of the event that it is raised as.
    pub fn event(self) -> String {
        format!("hostline.{}", self.as_str())
    }
}
