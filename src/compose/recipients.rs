//! Recipients: a small durable profile of each, by external id. Written by `/users/track` and
//! `/v1/recipients`, read by Liquid, filters and caps.

use std::collections::HashMap;

use bytes::Bytes;
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::Composer;
use super::attributes;
use super::document::Fault;
use super::entry::to_bytes;
use super::filter::RecipientFacts;
use super::journeys::journey_stripe;
use super::liquid::Scope;
use crate::admission::Refusal;
use crate::delivery::Cancelled;
use crate::model::{Provenance, StoredState, Timestamp};
use crate::store::{
    ActivityFilter, DeliveryFilter, DeliveryRecord, Expect, Page, QueryError, Record, RecordKind,
    RecordWrite, Writes,
};

/// Deliveries that an export lists, newest first.
const EXPORT_DELIVERIES: usize = 1_000;
/// Cancellations under way at once.
const SIDE_BY_SIDE: usize = 64;
/// How often a change is tried again that met another one.
pub(super) const TRIES: usize = 8;

/// A recipient's profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Recipient {
    /// What the application calls the recipient.
    pub external_id: String,
    /// Anything that is known.
    #[schema(value_type = Object)]
    pub attributes: Map<String, Value>,
    /// First seen.
    pub created_at: Timestamp,
    /// Last changed.
    pub updated_at: Timestamp,
}

/// A write of one recipient's attributes.
#[derive(Clone, Debug)]
pub struct AttributeWrite {
    /// Whose.
    pub external_id: String,
    /// What: a value sets, `null` removes, `{"inc": n}` adds, `{"add": […]}` and `{"remove": […]}`
    /// change an array.
    pub attributes: Map<String, Value>,
    /// Leaves a recipient that is not known alone.
    pub existing_only: bool,
}

/// Somebody a webhook is composed for.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub external_id: String,
    /// An object.
    pub attributes: Value,
}

impl Person {
    fn new(external_id: &str, attributes: Map<String, Value>) -> Self {
        Self { external_id: external_id.to_owned(), attributes: Value::Object(attributes) }
    }

    pub(super) fn attributes(&self) -> &Map<String, Value> {
        self.attributes.as_object().expect("attributes are an object")
    }

    /// Shows the person to Liquid.
    pub(super) fn show<'a>(person: Option<&'a Self>, scope: Scope<'a>) -> Scope<'a> {
        let external_id = person.map(|person| person.external_id.as_str());
        let attributes = person.map(|person| &person.attributes);
        Scope { external_id, attributes, ..scope }
    }

    pub(super) fn facts(&self) -> RecipientFacts<'_> {
        RecipientFacts { external_id: &self.external_id, attributes: self.attributes() }
    }
}

impl Composer {
    /// The profiles of these recipients; one that is not known has no attributes.
    pub(super) async fn people(&self, ids: &[&str]) -> Result<HashMap<String, Person>, Refusal> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let keys: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let records = self.store.records(self.workspace, RecordKind::Recipient, keys).await?;
        let mut people = HashMap::with_capacity(ids.len());
        for (id, record) in ids.iter().zip(records) {
            let attributes = match record {
                Some(record) => profile(&record)?.attributes,
                None => Map::new(),
            };
            people.insert((*id).to_owned(), Person::new(id, attributes));
        }
        Ok(people)
    }

    /// Applies writes in their order. Each is answered for itself; those that can be made are made
    /// in one commit.
    pub async fn write_attributes(
        &self,
        writes: &[AttributeWrite],
    ) -> Result<Vec<Result<(), Vec<Fault>>>, Refusal> {
        let ids: Vec<&str> = writes.iter().map(|write| write.external_id.as_str()).collect();
        let _held = self.stripes.hold(ids.iter().map(|id| recipient_stripe(id))).await;
        for _ in 0..TRIES {
            let now = self.clock.wall();
            let mut profiles = self.profiles(&ids).await?;
            let answers = writes.iter().map(|write| apply(write, &mut profiles, now)).collect();
            let changed = profiles.into_values().filter(|profile| profile.changed);
            let records = changed.map(Profile::write).collect::<Vec<_>>();
            if records.is_empty() {
                return Ok(answers);
            }
            match self.write(Writes { records, ..Writes::default() }, now).await {
                Err(Refusal::Stale(_)) => {}
                Err(refusal) => return Err(refusal),
                Ok(()) => return Ok(answers),
            }
        }
        Err(Refusal::Stale(0))
    }

    async fn profiles(&self, ids: &[&str]) -> Result<HashMap<String, Profile>, Refusal> {
        let keys: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
        let records = self.store.records(self.workspace, RecordKind::Recipient, keys).await?;
        let mut profiles = HashMap::with_capacity(ids.len());
        for (id, record) in ids.iter().zip(records) {
            let found = record.as_ref().map(profile).transpose()?;
            let version = record.map(|record| record.version);
            let profile = Profile { recipient: found, version, changed: false };
            profiles.insert((*id).to_owned(), profile);
        }
        Ok(profiles)
    }

    /// One recipient's profile.
    pub async fn recipient(&self, external_id: &str) -> Result<Recipient, Refusal> {
        let keys = vec![external_id.to_owned()];
        let record =
            self.store.records(self.workspace, RecordKind::Recipient, keys).await?.remove(0);
        record.as_ref().map(profile).transpose()?.ok_or_else(|| not_found(external_id))
    }

    /// Recipients in order of their ids, from the one after `after`; and where to go on.
    pub async fn recipients(
        &self,
        after: Option<String>,
        limit: usize,
    ) -> Result<(Vec<Recipient>, Option<String>), Refusal> {
        let records = self
            .store
            .scan(self.workspace, RecordKind::Recipient, (String::new(), after), limit + 1)
            .await?;
        let more = records.len() > limit;
        let page: Vec<Recipient> =
            records.iter().take(limit).map(profile).collect::<Result<_, _>>()?;
        let next = page.last().filter(|_| more).map(|last| last.external_id.clone());
        Ok((page, next))
    }

    /// Replaces a recipient's attributes.
    pub async fn put_recipient(
        &self,
        external_id: &str,
        attributes: Map<String, Value>,
    ) -> Result<Recipient, Refusal> {
        let mut vetted = Map::new();
        attributes::apply(&mut vetted, &attributes).map_err(Refusal::Faults)?;
        let _held = self.stripes.hold([recipient_stripe(external_id)].into_iter()).await;
        let now = self.clock.wall();
        let before = self.profiles(&[external_id]).await?.remove(external_id);
        let before = before.and_then(|profile| profile.recipient);
        let recipient = Recipient {
            external_id: external_id.to_owned(),
            attributes: vetted,
            created_at: before.map_or(now, |before| before.created_at),
            updated_at: now,
        };
        let write = record(external_id, Expect::Any, Some(to_bytes(&recipient)));
        self.write(Writes { records: vec![write], ..Writes::default() }, now).await?;
        Ok(recipient)
    }

    /// All that is kept of one recipient: profile, contacts, journeys, activity, and the newest
    /// thousand deliveries.
    pub async fn export_recipient(&self, external_id: &str) -> Result<Export, Refusal> {
        let contacts = self.of_recipient(RecordKind::Contact, external_id).await?;
        let journeys = self.of_recipient(RecordKind::Journey, external_id).await?;
        let deliveries = self.deliveries_of(external_id, Vec::new(), None).await?.rows;
        let filter = ActivityFilter {
            workspace: self.workspace,
            recipient: Some(external_id.to_owned()),
            ..ActivityFilter::default()
        };
        let activity = self.store.activity(filter, None, EXPORT_DELIVERIES).await;
        let activity = activity.map_err(query_refusal)?.rows;
        let profile = match self.recipient(external_id).await {
            Ok(profile) => Some(profile),
            Err(Refusal::NotFound { .. }) => None,
            Err(refusal) => return Err(refusal),
        };
        let value = |record: &Record| serde_json::from_slice(&record.value).unwrap_or_default();
        let contacts: Vec<Value> = contacts.iter().map(value).collect();
        let journeys: Vec<Value> = journeys.iter().map(value).collect();
        let nothing = profile.is_none() && contacts.is_empty() && journeys.is_empty();
        if nothing && deliveries.is_empty() && activity.is_empty() {
            return Err(not_found(external_id));
        }
        Ok(Export { profile, contacts, journeys, deliveries, activity })
    }

    /// Forgets a recipient: profile, contacts and journeys. What is owed to hosts for the recipient
    /// is cancelled; what has ended goes with the retention of deliveries. Answers how many
    /// deliveries were cancelled.
    pub async fn forget_recipient(&self, external_id: &str) -> Result<usize, Refusal> {
        let mut known = self.kept_of(external_id).await?;
        let mut forgotten = false;
        for _ in 0..TRIES {
            let keys = known.iter().map(|(kind, found)| match kind {
                RecordKind::Journey => journey_stripe(&found.key),
                _ => found.key.clone(),
            });
            let keys = keys.chain([recipient_stripe(external_id)]);
            let _held = self.stripes.hold(keys).await;
            let now_known = self.kept_of(external_id).await?;
            let held = |(kind, found): &(RecordKind, Record)| {
                known.iter().any(|(of, one)| of == kind && one.key == found.key)
            };
            if now_known.iter().all(held) {
                let mut records = vec![record(external_id, Expect::Any, None)];
                records.extend(now_known.into_iter().map(|(kind, found)| RecordWrite {
                    kind,
                    key: found.key,
                    expect: Expect::Any,
                    due: None,
                    value: None,
                }));
                self.write(Writes { records, ..Writes::default() }, self.clock.wall()).await?;
                forgotten = true;
                break;
            }
            // Somebody came to a campaign or canvas meanwhile, whose lock is not held yet.
            known = now_known;
        }
        match forgotten {
            true => self.cancel_all_of(external_id).await,
            false => Err(Refusal::Stale(0)),
        }
    }

    /// What is kept of a recipient beside the profile.
    async fn kept_of(&self, external_id: &str) -> Result<Vec<(RecordKind, Record)>, Refusal> {
        let mut all = Vec::new();
        for kind in [RecordKind::Contact, RecordKind::Journey, RecordKind::Awaiting] {
            let found = self.of_recipient(kind, external_id).await?;
            all.extend(found.into_iter().map(|record| (kind, record)));
        }
        Ok(all)
    }

    /// Cancels what is owed to hosts for a recipient; answers how many.
    async fn cancel_all_of(&self, external_id: &str) -> Result<usize, Refusal> {
        let states = vec![StoredState::Pending, StoredState::Parked];
        let (mut cancelled, mut after) = (0, None);
        loop {
            let page = self.deliveries_of(external_id, states.clone(), after).await?;
            let ids = page.rows.into_iter().map(|row| self.engine.cancel(row.id));
            let answers: Vec<_> = stream::iter(ids).buffer_unordered(SIDE_BY_SIDE).collect().await;
            for answer in answers {
                cancelled += usize::from(answer? == Cancelled::Done);
            }
            after = page.next;
            if after.is_none() {
                return Ok(cancelled);
            }
        }
    }

    /// Records of a kind whose keys begin with the recipient.
    pub(super) async fn of_recipient(
        &self,
        kind: RecordKind,
        external_id: &str,
    ) -> Result<Vec<Record>, Refusal> {
        let prefix = format!("{external_id}{SEPARATOR}");
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let page = self.store.scan(self.workspace, kind, (prefix.clone(), after), 500).await?;
            after = page.last().map(|record| record.key.clone());
            let whole = page.len() == 500;
            all.extend(page);
            if !whole {
                return Ok(all);
            }
        }
    }

    async fn deliveries_of(
        &self,
        external_id: &str,
        states: Vec<StoredState>,
        after: Option<String>,
    ) -> Result<Page<DeliveryRecord>, Refusal> {
        let metadata = vec![(Provenance::tag("recipient"), external_id.to_owned())];
        let workspace = Some(self.workspace);
        let filter = DeliveryFilter { workspace, metadata, states, ..DeliveryFilter::default() };
        self.store.list(filter, after, EXPORT_DELIVERIES).await.map_err(query_refusal)
    }
}

/// Between a recipient's id and the rest of a key; no id has a control character.
pub(super) const SEPARATOR: char = '\u{1f}';

/// All that is kept of a recipient.
#[derive(Clone, Debug)]
pub struct Export {
    /// The profile, unless there is none.
    pub profile: Option<Recipient>,
    /// What each campaign and canvas has sent, as it is kept.
    pub contacts: Vec<Value>,
    /// Places in canvases, as they are kept.
    pub journeys: Vec<Value>,
    /// The newest deliveries, without their bodies.
    pub deliveries: Vec<DeliveryRecord>,
    /// The newest entries of the activity log.
    pub activity: Vec<crate::store::Logged>,
}

/// A profile while it is being changed.
struct Profile {
    recipient: Option<Recipient>,
    version: Option<u64>,
    changed: bool,
}

impl Profile {
    fn write(self) -> RecordWrite {
        let expect = self.version.map_or(Expect::Absent, Expect::Version);
        let recipient = self.recipient.expect("a changed profile is there");
        record(&recipient.external_id, expect, Some(to_bytes(&recipient)))
    }
}

fn apply(
    write: &AttributeWrite,
    profiles: &mut HashMap<String, Profile>,
    now: Timestamp,
) -> Result<(), Vec<Fault>> {
    let profile = profiles.get_mut(&write.external_id).expect("every id was read");
    if profile.recipient.is_none() && write.existing_only {
        return Ok(());
    }
    let mut recipient = profile.recipient.clone().unwrap_or_else(|| Recipient {
        external_id: write.external_id.clone(),
        attributes: Map::new(),
        created_at: now,
        updated_at: now,
    });
    attributes::apply(&mut recipient.attributes, &write.attributes)?;
    recipient.updated_at = now;
    profile.recipient = Some(recipient);
    profile.changed = true;
    Ok(())
}

/// The lock of a recipient's profile.
pub(super) fn recipient_stripe(external_id: &str) -> String {
    format!("r{external_id}")
}

fn record(external_id: &str, expect: Expect, value: Option<Bytes>) -> RecordWrite {
    let key = external_id.to_owned();
    RecordWrite { kind: RecordKind::Recipient, key, expect, due: None, value }
}

fn profile(record: &Record) -> Result<Recipient, Refusal> {
    serde_json::from_slice(&record.value).map_err(|error| {
        log::error!("the profile of a recipient cannot be read: {error}");
        Refusal::Unavailable
    })
}

fn not_found(external_id: &str) -> Refusal {
    Refusal::NotFound { what: "recipient", name: external_id.chars().take(100).collect() }
}

fn query_refusal(error: QueryError) -> Refusal {
    match error {
        QueryError::BadCursor => Refusal::Unavailable,
        QueryError::Store(error) => error.into(),
    }
}
