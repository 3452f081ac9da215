//! What the catalog holds: a template, a campaign or a canvas, as it is stored and as it is used.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::campaign::LiveCampaign;
use super::canvas::LiveCanvas;
use super::webhook::WebhookTemplate;
use crate::model::Timestamp;
use crate::store::RecordKind;

/// The three kinds of things that people compose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A webhook with Liquid in it, under a name and in versions.
    Template,
    /// Webhooks, who gets them and when.
    Campaign,
    /// A journey of several steps.
    Canvas,
}

impl Kind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Template => "template",
            Kind::Campaign => "campaign",
            Kind::Canvas => "canvas",
        }
    }

    /// Where it is kept.
    pub(super) fn record(self) -> RecordKind {
        match self {
            Kind::Template => RecordKind::Template,
            Kind::Campaign => RecordKind::Campaign,
            Kind::Canvas => RecordKind::Canvas,
        }
    }

    /// Where its versions are kept; a campaign has the present one only.
    pub(super) fn versions(self) -> Option<RecordKind> {
        match self {
            Kind::Template => Some(RecordKind::TemplateVersion),
            Kind::Campaign => None,
            Kind::Canvas => Some(RecordKind::CanvasVersion),
        }
    }

    /// The state in which a new one is.
    pub(super) fn first_status(self) -> Status {
        match self {
            Kind::Template => Status::Active,
            Kind::Campaign | Kind::Canvas => Status::Draft,
        }
    }
}

/// What may be done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = EntryStatus)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A template that can be used.
    Active,
    /// Being written; sends nothing.
    Draft,
    /// Sends.
    Live,
    /// Sends nothing until it is resumed.
    Paused,
    /// Put away: kept for its reports, out of the lists, its name free again.
    Archived,
}

impl Status {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Active => "active",
            Status::Draft => "draft",
            Status::Live => "live",
            Status::Paused => "paused",
            Status::Archived => "archived",
        }
    }
}

/// The head of an entry: everything but its document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = EntryHead)]
pub struct Head {
    /// UUID text.
    pub id: String,
    /// Unique among those of its kind that are not archived.
    pub name: String,
    /// What may be done with it.
    pub status: Status,
    /// 1 when it was made, one more with each edit.
    pub version: u32,
    /// For finding it.
    pub tags: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its document or status was last changed.
    pub updated_at: Timestamp,
}

/// An entry as its record holds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Stored {
    pub head: Head,
    pub document: Box<RawValue>,
}

/// The part of an entry that is used.
#[derive(Clone, Debug)]
pub(super) enum Live {
    Template(Arc<WebhookTemplate>),
    Campaign(Arc<LiveCampaign>),
    Canvas(Arc<LiveCanvas>),
}

/// An entry of the catalog.
#[derive(Clone, Debug)]
pub struct Entry {
    /// What it is.
    pub kind: Kind,
    /// Everything but its document.
    pub head: Head,
    /// The document, as it was written but for pinned template versions.
    pub document: Arc<RawValue>,
    /// Compiled.
    pub(super) live: Live,
    /// Version of its record.
    pub(super) record_version: u64,
}

impl Entry {
    /// Its record's value.
    pub(super) fn stored(&self) -> Bytes {
        to_bytes(&Stored { head: self.head.clone(), document: (*self.document).to_owned() })
    }
}

/// Key of one version of an entry: sorted by number.
pub(super) fn version_key(id: &str, version: u32) -> String {
    format!("{id}/{version:010}")
}

/// A record's value.
pub(super) fn to_bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("a record is plain data").into()
}
