//! Making and changing templates, campaigns and canvases. A document that cannot work is refused
//! here, before it is kept: its shape, its Liquid, the templates that it names.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;
use serde_json::value::RawValue;

use super::Composer;
use super::campaign::LiveCampaign;
use super::canvas::LiveCanvas;
use super::document::{Campaign, Canvas, TemplateDocument};
use super::entry::{Entry, Head, Kind, Live, Status, Stored, version_key};
use super::schedules::schedule_of;
use super::vet::compile_webhook;
use super::webhook::WebhookTemplate;
use crate::admission::Refusal;
use crate::model::Timestamp;
use crate::store::{Expect, Record, RecordWrite, StoreError, Writes};

/// Records read at once when the catalog is opened.
const PAGE: usize = 500;
/// Entries of one kind. All of them are in memory.
const ENTRIES_MAX: usize = 100_000;

/// What is asked of an entry's status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// From draft to live.
    Launch,
    /// From live to paused.
    Pause,
    /// From paused to live.
    Resume,
    /// From anything to archived.
    Archive,
}

impl Action {
    /// The status that it leads to.
    fn of(self, kind: Kind, status: Status) -> Result<Status, Refusal> {
        match (self, kind, status) {
            (Action::Launch, Kind::Campaign | Kind::Canvas, Status::Draft)
            | (Action::Resume, Kind::Campaign | Kind::Canvas, Status::Paused) => Ok(Status::Live),
            (Action::Pause, _, Status::Live) => Ok(Status::Paused),
            (Action::Archive, ..) => Ok(Status::Archived),
            _ => {
                let wanted = match self {
                    Action::Launch => "only a draft can be launched",
                    Action::Pause => "only what is live can be paused",
                    Action::Resume => "only what is paused can be resumed",
                    Action::Archive => "it cannot be archived",
                };
                let detail = format!("the {} is {}; {wanted}", kind.as_str(), status.as_str());
                Err(Refusal::Conflict { slug: "wrong-status", detail })
            }
        }
    }
}

impl Composer {
    /// Reads the whole catalog. An entry that no longer reads is named in the log and left out.
    pub(super) async fn read_catalog(&self) -> Result<(), StoreError> {
        for kind in [Kind::Template, Kind::Campaign, Kind::Canvas] {
            let mut after = None;
            loop {
                let page = self
                    .store
                    .scan(self.workspace, kind.record(), (String::new(), after), PAGE)
                    .await?;
                let last = page.last().map(|record| record.key.clone());
                for record in &page {
                    match self.read_entry(kind, record).await {
                        Ok(entry) => drop(self.library.put(entry)),
                        Err(refusal @ (Refusal::Unavailable | Refusal::Stopping)) => {
                            return Err(StoreError::Unavailable(refusal.to_string()));
                        }
                        Err(error) => {
                            let (word, key) = (kind.as_str(), &record.key);
                            log::error!("{word} {key} cannot be read and is left out: {error}");
                        }
                    }
                }
                match last.filter(|_| page.len() == PAGE) {
                    Some(last) => after = Some(last),
                    None => break,
                }
            }
        }
        Ok(())
    }

    async fn read_entry(&self, kind: Kind, record: &Record) -> Result<Entry, Refusal> {
        let stored: Stored = serde_json::from_slice(&record.value)
            .map_err(|error| Refusal::invalid("", error.to_string()))?;
        let (document, live) = self.compile(kind, stored.document.get().as_bytes()).await?;
        let record_version = record.version;
        Ok(Entry { kind, head: stored.head, document, live, record_version })
    }

    /// Reads a document, pins the templates that it names and compiles its Liquid.
    async fn compile(&self, kind: Kind, document: &[u8]) -> Result<(Arc<RawValue>, Live), Refusal> {
        match kind {
            Kind::Template => {
                let document = TemplateDocument::parse(document).map_err(Refusal::Faults)?;
                let template = compile_webhook(&document.webhook, "/webhook")?;
                Ok((raw(&document), Live::Template(Arc::new(template))))
            }
            Kind::Campaign => {
                let document = Campaign::parse(document).map_err(Refusal::Faults)?;
                let live = LiveCampaign::compile(document, self).await?;
                Ok((raw(&live.document), Live::Campaign(Arc::new(live))))
            }
            Kind::Canvas => {
                let document = Canvas::parse(document).map_err(Refusal::Faults)?;
                let live = LiveCanvas::compile(document, self).await?;
                Ok((raw(&live.document), Live::Canvas(Arc::new(live))))
            }
        }
    }

    /// Makes a new entry. A campaign or canvas is a draft until it is launched.
    pub async fn create(&self, kind: Kind, document: &[u8]) -> Result<Arc<Entry>, Refusal> {
        let (document, live) = self.compile(kind, document).await?;
        self.vet_document(&live)?;
        let _editing = self.editing.lock().await;
        if self.library.all(kind).len() >= ENTRIES_MAX {
            let detail = format!("there are {ENTRIES_MAX} already; archive some");
            return Err(Refusal::Conflict { slug: "too-many", detail });
        }
        let (name, tags) = name_and_tags(&document);
        self.vet_name(kind, &name, None)?;
        let now = self.clock.wall();
        let head = Head {
            id: self.new_id(now),
            name,
            status: kind.first_status(),
            version: 1,
            tags,
            created_at: now,
            updated_at: now,
        };
        self.keep(Entry { kind, head, document, live, record_version: 0 }, now).await
    }

    /// Replaces an entry's document. What was made from an earlier version keeps to that.
    pub async fn edit(
        &self,
        kind: Kind,
        reference: &str,
        document: &[u8],
        if_version: Option<u32>,
    ) -> Result<Arc<Entry>, Refusal> {
        let (document, live) = self.compile(kind, document).await?;
        self.vet_document(&live)?;
        let _editing = self.editing.lock().await;
        let before = self.entry(kind, reference)?;
        let word = kind.as_str();
        if let Some(wanted) = if_version.filter(|wanted| *wanted != before.head.version) {
            let found = before.head.version;
            let detail = format!("the {word} is at version {found}, not {wanted}; read it again");
            return Err(Refusal::Conflict { slug: "changed-meanwhile", detail });
        }
        if before.head.status == Status::Archived {
            let detail = format!("the {word} is archived; duplicate it to go on with it");
            return Err(Refusal::Conflict { slug: "wrong-status", detail });
        }
        let (name, tags) = name_and_tags(&document);
        self.vet_name(kind, &name, Some(&before.head.id))?;
        let now = self.clock.wall();
        let version = before.head.version + 1;
        let head = Head { name, tags, version, updated_at: now, ..before.head.clone() };
        let record_version = before.record_version;
        let entry = Entry { kind, head, document, live, record_version };
        if entry.head.status == Status::Live && schedule_of(&entry) != schedule_of(&before) {
            self.vet_schedule(&entry, now).await?;
        }
        self.keep(entry, now).await
    }

    /// Makes a new entry out of an old one; `name` unless it is "Copy of …".
    pub async fn duplicate(
        &self,
        kind: Kind,
        reference: &str,
        name: Option<String>,
    ) -> Result<Arc<Entry>, Refusal> {
        let before = self.entry(kind, reference)?;
        let name = name.unwrap_or_else(|| format!("Copy of {}", before.head.name));
        // The name alone is put in another's place, so that the rest stays byte for byte.
        let mut fields: Vec<(String, Box<RawValue>)> = fields_of(&before.document);
        for (field, value) in &mut fields {
            if field == "name" {
                *value = serde_json::value::to_raw_value(&name).expect("a string is JSON");
            }
        }
        self.create(kind, object(&fields).as_bytes()).await
    }

    /// Changes an entry's status.
    pub async fn set_status(
        &self,
        kind: Kind,
        reference: &str,
        action: Action,
    ) -> Result<Arc<Entry>, Refusal> {
        let _editing = self.editing.lock().await;
        let before = self.entry(kind, reference)?;
        let status = action.of(kind, before.head.status)?;
        let now = self.clock.wall();
        if status == Status::Live {
            self.vet_schedule(&before, now).await?;
        }
        let head = Head { status, updated_at: now, ..before.head.clone() };
        self.keep(Entry { head, ..(*before).clone() }, now).await
    }

    /// An entry by id or name.
    pub fn entry(&self, kind: Kind, reference: &str) -> Result<Arc<Entry>, Refusal> {
        self.library.find(kind, reference).ok_or_else(|| Refusal::NotFound {
            what: kind.as_str(),
            name: reference.chars().take(100).collect(),
        })
    }

    /// All entries of a kind, newest first.
    pub fn entries(&self, kind: Kind) -> Vec<Arc<Entry>> {
        self.library.all(kind)
    }

    /// One version of an entry's document.
    pub async fn version(
        &self,
        kind: Kind,
        reference: &str,
        version: u32,
    ) -> Result<Arc<RawValue>, Refusal> {
        let entry = self.entry(kind, reference)?;
        if version == entry.head.version {
            return Ok(entry.document.clone());
        }
        let missing = || {
            let name = format!("{} version {version}", entry.head.name);
            Refusal::NotFound { what: kind.as_str(), name }
        };
        let records = kind.versions().ok_or_else(missing)?;
        let keys = vec![version_key(&entry.head.id, version)];
        let record = self
            .store
            .records(self.workspace, records, keys)
            .await
            .map_err(Refusal::from)?
            .remove(0);
        let record = record.ok_or_else(missing)?;
        let document: Box<RawValue> = serde_json::from_slice(&record.value).map_err(unreadable)?;
        Ok(document.into())
    }

    /// A template's compiled version, for those that were made from it.
    pub(super) async fn template(
        &self,
        reference: &str,
        version: Option<u32>,
    ) -> Result<(Arc<Entry>, u32, Arc<WebhookTemplate>), Refusal> {
        let entry = self.entry(Kind::Template, reference)?;
        let version = version.unwrap_or(entry.head.version);
        if let Some(template) = self.library.template(&entry.head.id, version) {
            return Ok((entry, version, template));
        }
        let document = self.version(Kind::Template, &entry.head.id, version).await?;
        let document: TemplateDocument =
            serde_json::from_str(document.get()).map_err(unreadable)?;
        let template = Arc::new(compile_webhook(&document.webhook, "/webhook")?);
        self.library.keep_template(&entry.head.id, version, template.clone());
        Ok((entry, version, template))
    }

    /// A canvas's compiled version, for the journeys that began with it.
    pub(super) async fn canvas_version(
        &self,
        id: &str,
        version: u32,
    ) -> Result<Arc<LiveCanvas>, Refusal> {
        if let Some(canvas) = self.library.canvas(id, version) {
            return Ok(canvas);
        }
        let document = self.version(Kind::Canvas, id, version).await?;
        let document = Canvas::parse(document.get().as_bytes()).map_err(Refusal::Faults)?;
        let canvas = Arc::new(LiveCanvas::compile(document, self).await?);
        self.library.keep_canvas(id, version, canvas.clone());
        Ok(canvas)
    }

    fn vet_name(&self, kind: Kind, name: &str, own_id: Option<&str>) -> Result<(), Refusal> {
        match self.library.find(kind, name) {
            Some(other) if Some(other.head.id.as_str()) != own_id => {
                let word = kind.as_str();
                let detail = format!("another {word} is called {name:?}; choose another name");
                Err(Refusal::Conflict { slug: "name-taken", detail })
            }
            _ => Ok(()),
        }
    }

    /// Writes an entry, its version and its schedule in one commit, and puts it in the library.
    async fn keep(&self, mut entry: Entry, now: Timestamp) -> Result<Arc<Entry>, Refusal> {
        let expect = match entry.record_version {
            0 => Expect::Absent,
            version => Expect::Version(version),
        };
        let Head { id, version, .. } = &entry.head;
        let mut records = vec![RecordWrite {
            kind: entry.kind.record(),
            key: id.clone(),
            expect,
            due: None,
            value: Some(entry.stored()),
        }];
        if let Some(versions) = entry.kind.versions() {
            let value = Some(Bytes::from(entry.document.get().to_owned()));
            let key = version_key(id, *version);
            records.push(RecordWrite {
                kind: versions,
                key,
                expect: Expect::Any,
                due: None,
                value,
            });
        }
        // Held until the library knows of it: no page may go by what was before.
        let mut _running = Vec::new();
        if let Live::Campaign(campaign) = &entry.live {
            _running = self.running.hold([id.clone()].into_iter()).await;
            records.extend(self.own_schedule(&entry.head, campaign, now).await?);
        }
        if let Err(refusal) = self.write(Writes { records, ..Writes::default() }, now).await {
            self.read_again(&entry).await;
            return Err(refusal);
        }
        entry.record_version += 1;
        self.nudge.notify_one();
        Ok(self.library.put(entry))
    }

    /// Puts in the library what the store has, after a write whose outcome is not known.
    async fn read_again(&self, entry: &Entry) {
        let (kind, keys) = (entry.kind, vec![entry.head.id.clone()]);
        let Ok(found) = self.store.records(self.workspace, kind.record(), keys).await else {
            return;
        };
        let Some(record) = found.into_iter().next().flatten() else { return };
        if let Ok(stored) = self.read_entry(kind, &record).await {
            self.library.put(stored);
        }
    }
}

fn unreadable(error: serde_json::Error) -> Refusal {
    log::error!("a record cannot be read: {error}");
    Refusal::Unavailable
}

fn raw(document: &impl serde::Serialize) -> Arc<RawValue> {
    serde_json::value::to_raw_value(document).expect("a document is plain data").into()
}

fn name_and_tags(document: &RawValue) -> (String, Vec<String>) {
    let value: Value = serde_json::from_str(document.get()).unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tags =
        value["tags"].as_array().map_or_else(Vec::new, |tags| tags.iter().map(text).collect());
    (text(&value["name"]), tags)
}

/// The fields of an object, in their order.
fn fields_of(document: &RawValue) -> Vec<(String, Box<RawValue>)> {
    struct Fields(Vec<(String, Box<RawValue>)>);

    impl<'de> serde::Deserialize<'de> for Fields {
        fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct FieldsVisitor;

            impl<'de> serde::de::Visitor<'de> for FieldsVisitor {
                type Value = Fields;

                fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    formatter.write_str("an object")
                }

                fn visit_map<A: serde::de::MapAccess<'de>>(
                    self,
                    mut map: A,
                ) -> Result<Fields, A::Error> {
                    let mut fields = Vec::new();
                    while let Some(field) = map.next_entry()? {
                        fields.push(field);
                    }
                    Ok(Fields(fields))
                }
            }

            deserializer.deserialize_map(FieldsVisitor)
        }
    }

    serde_json::from_str::<Fields>(document.get()).map_or_else(|_| Vec::new(), |fields| fields.0)
}

fn object(fields: &[(String, Box<RawValue>)]) -> String {
    let pairs = fields.iter().map(|(name, value)| {
        format!("{}:{}", serde_json::to_string(name).expect("a string is JSON"), value.get())
    });
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(","))
}
