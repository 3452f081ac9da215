//! One webhook owed to one URL, from acceptance to its end.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::attempt::Attempt;
use super::host::HostName;
use super::id::{DeliveryId, HostNumber, TriggerId};
use super::time::Timestamp;
use super::webhook::Webhook;

/// Search terms of a trigger: `key=value` pairs, indexed.
pub type Metadata = Vec<(String, String)>;

/// Turns that a delivery gets among those of its host: 4, 2 and 1 of every 7 while all wait.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    ToSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// Before the others.
    High,
    /// The default.
    #[default]
    Normal,
    /// After the others, but never starved.
    Low,
}

/// What a delivery with an ordering key does to its followers when it ends without success.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// The key goes on with the next.
    #[default]
    Continue,
    /// The key waits until someone redrives, cancels or skips the failed one.
    Block,
}

/// What composed a delivery: a template, campaign or canvas, and for whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Provenance {
    /// Id of the campaign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub campaign: Option<String>,
    /// Which of its variants.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
    /// Id of the canvas.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canvas: Option<String>,
    /// Which of its steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
    /// Id of the template.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Which of its versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template_version: Option<u32>,
    /// External id of the recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// Identifier under which several sends are reported together.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub send_id: Option<String>,
}

impl Provenance {
    /// A search term's key for one of the fields. It begins with a control character, which the
    /// keys of a trigger's own metadata cannot have.
    pub fn tag(field: &str) -> String {
        format!("\u{1}{field}")
    }

    /// The search terms by which it is found.
    pub fn tags(&self) -> impl Iterator<Item = (String, &str)> {
        let fields = [
            ("campaign", &self.campaign),
            ("canvas", &self.canvas),
            ("template", &self.template),
            ("recipient", &self.recipient),
            ("send_id", &self.send_id),
        ];
        fields.into_iter().filter_map(|(field, value)| Some((Self::tag(field), value.as_deref()?)))
    }

    /// The id that its sends and their ends are counted under, and the part of it: variant or
    /// step, then the template's version. `None` when nothing is counted.
    pub fn counted(&self) -> Option<(&str, String)> {
        Some((self.subject()?, self.part()))
    }

    /// The id of the campaign or canvas.
    pub fn subject(&self) -> Option<&str> {
        self.campaign.as_deref().or(self.canvas.as_deref())
    }

    /// Variant or step, then the template's version: `A`, `welcome`, `A welcome@3`, or nothing.
    pub fn part(&self) -> String {
        let mut part = self.variant.as_deref().or(self.step.as_deref()).unwrap_or("").to_owned();
        if let (Some(template), Some(version)) = (&self.template, self.template_version) {
            let gap = if part.is_empty() { "" } else { " " };
            part.push_str(&format!("{gap}{template}@{version}"));
        }
        part
    }
}

/// A delivery as it is accepted.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// Time-ordered id that carries the host number.
    pub id: DeliveryId,
    /// The trigger that asked for it.
    pub trigger: TriggerId,
    /// The destination host (its number is in `id`).
    pub host: HostName,
    /// The workspace that it belongs to; 0 until workspaces are used.
    pub workspace: u32,
    /// How many of our own webhooks led to this trigger; 0 for a caller from outside.
    pub hop: u8,
    /// When it was accepted.
    pub accepted: Timestamp,
    /// Not before.
    pub due: Timestamp,
    /// Not after.
    pub expires: Timestamp,
    /// Time from the later of acceptance and due time to the expiry; a redrive gets it afresh.
    pub ttl: Duration,
    /// Whether the trigger set its own expiry, other than the default.
    pub ttl_custom: bool,
    /// Turns among its host's deliveries.
    pub priority: Priority,
    /// One after the other within this key.
    pub ordering_key: Option<String>,
    /// What a failure does to the key.
    pub on_failure: OnFailure,
    /// Search terms.
    pub metadata: Metadata,
    /// What composed it; `None` for a plain trigger's.
    pub provenance: Option<Arc<Provenance>>,
    /// What is to be sent.
    pub webhook: Arc<Webhook>,
}

/// What a host actor holds of a pending delivery: enough to order it, and the webhook where memory
/// allows. The store pages these out in `(due, seq)` order.
#[derive(Clone, Debug)]
pub struct Pending {
    /// Which delivery.
    pub id: DeliveryId,
    /// Acceptance order, given by the store at commit.
    pub seq: u64,
    /// The workspace's lane.
    pub lane: u32,
    /// Not before.
    pub due: Timestamp,
    /// Not after.
    pub expires: Timestamp,
    /// Turns among its host's deliveries.
    pub priority: Priority,
    /// Attempts made so far; the next one has this number plus one.
    pub attempts: u32,
    /// Retries used up so far.
    pub retries: u32,
    /// Whether it has an ordering key (of which it is the head).
    pub ordered: bool,
    /// About how many bytes its webhook takes.
    pub size: u32,
    /// Id of the campaign or canvas that it is counted under.
    pub campaign: Option<Arc<str>>,
    /// The webhook, unless it was left in the store.
    pub webhook: Option<Arc<Webhook>>,
}

impl Pending {
    /// The place in the host's queue.
    pub fn key(&self) -> (Timestamp, u64) {
        (self.due, self.seq)
    }

    /// The entry of a delivery that the store has just accepted as number `seq`.
    pub fn of(delivery: &Delivery, seq: u64) -> Self {
        Self {
            id: delivery.id,
            seq,
            lane: delivery.workspace,
            due: delivery.due,
            expires: delivery.expires,
            priority: delivery.priority,
            attempts: 0,
            retries: 0,
            ordered: delivery.ordering_key.is_some(),
            size: u32::try_from(delivery.webhook.size()).unwrap_or(u32::MAX),
            campaign: delivery.provenance.as_deref().and_then(Provenance::subject).map(Arc::from),
            webhook: Some(delivery.webhook.clone()),
        }
    }

    /// The host that owns it.
    pub fn host(&self) -> HostNumber {
        self.id.host()
    }
}

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Answered 2xx.
    Delivered,
    /// A permanent answer, or an address that is not allowed.
    Failed,
    /// Retries used up.
    Exhausted,
    /// Older than its expiry.
    Expired,
    /// Asked for.
    Cancelled,
}

impl End {
    /// The word of the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            End::Delivered => "delivered",
            End::Failed => "failed",
            End::Exhausted => "exhausted",
            End::Expired => "expired",
            End::Cancelled => "cancelled",
        }
    }

    /// Whether it can be redriven.
    pub fn is_dead_letter(self) -> bool {
        matches!(self, End::Failed | End::Exhausted | End::Expired)
    }
}

/// What the store knows of a delivery's state. The finer words (`scheduled`, `waiting` and why,
/// `in_flight`) come from the due time and the live host actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoredState {
    /// Owed and in its host's queue.
    Pending,
    /// Owed, behind another delivery of its ordering key.
    Parked,
    /// Over.
    Ended(End),
}

/// What is decided about a delivery after an attempt, or without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes again, not before `due`, with this many retries used up.
    Again {
        /// Not before.
        due: Timestamp,
        /// Retries used up, this one included.
        retries: u32,
    },
    /// Over.
    End(End),
}

/// A verdict and the attempt that led to it, to be made durable.
#[derive(Clone, Debug)]
pub struct Settlement {
    /// Which delivery.
    pub id: DeliveryId,
    /// What was decided.
    pub verdict: Verdict,
    /// When it was decided.
    pub at: Timestamp,
    /// The attempt, when there was one (not for expired or cancelled deliveries).
    pub attempt: Option<Attempt>,
}

impl Settlement {
    /// What its attempt met, in words; empty where the status says it.
    pub fn why(&self) -> String {
        let reason = self.attempt.as_ref().and_then(|attempt| attempt.outcome.reason());
        reason.unwrap_or_default().to_owned()
    }
}
