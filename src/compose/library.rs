//! The catalog in memory: every template, campaign and canvas that is kept, compiled, by id and by
//! name, and which of them an event starts. Read for each trigger; changed when somebody edits.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::campaign::LiveCampaign;
use super::canvas::LiveCanvas;
use super::document::{Entry as CanvasEntry, Trigger};
use super::entry::{Entry, Kind, Live, Status};
use super::webhook::WebhookTemplate;

/// Versions that are kept compiled beside the present ones; past so many they are begun anew.
const VERSIONS_MAX: usize = 10_000;

#[derive(Default)]
struct Shelves {
    entries: HashMap<String, Arc<Entry>>,
    /// Ids of those that are not archived.
    names: HashMap<(Kind, String), String>,
    /// Ids of the live campaigns and canvases that an event starts.
    by_event: HashMap<String, Vec<String>>,
    templates: HashMap<(String, u32), Arc<WebhookTemplate>>,
    canvases: HashMap<(String, u32), Arc<LiveCanvas>>,
}

/// The catalog. All threads read it.
#[derive(Default)]
pub(super) struct Library(RwLock<Shelves>);

impl Library {
    /// Finds an entry by id, or by name among those that are not archived.
    pub(super) fn find(&self, kind: Kind, reference: &str) -> Option<Arc<Entry>> {
        let shelves = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let of_kind = |entry: &&Arc<Entry>| entry.kind == kind;
        if let Some(entry) = shelves.entries.get(reference).filter(of_kind) {
            return Some(entry.clone());
        }
        let id = shelves.names.get(&(kind, reference.to_owned()))?;
        shelves.entries.get(id).cloned()
    }

    /// All of a kind, newest first.
    pub(super) fn all(&self, kind: Kind) -> Vec<Arc<Entry>> {
        let shelves = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let mut all: Vec<_> =
            shelves.entries.values().filter(|entry| entry.kind == kind).cloned().collect();
        all.sort_unstable_by(|a, b| b.head.id.cmp(&a.head.id));
        all
    }

    /// Whether there is any of a kind.
    pub(super) fn has(&self, kind: Kind) -> bool {
        let shelves = self.0.read().unwrap_or_else(PoisonError::into_inner);
        shelves.names.keys().any(|(of, _)| *of == kind)
    }

    /// The live campaigns and canvases that an event starts, unless their filters say otherwise.
    pub(super) fn started_by(&self, event: &str) -> Vec<Arc<Entry>> {
        let shelves = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let ids = shelves.by_event.get(event).map_or(&[][..], Vec::as_slice);
        ids.iter().filter_map(|id| shelves.entries.get(id).cloned()).collect()
    }

    /// Puts an entry in, in place of what it was before.
    pub(super) fn put(&self, entry: Entry) -> Arc<Entry> {
        let entry = Arc::new(entry);
        let mut shelves = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let id = entry.head.id.clone();
        if let Some(before) = shelves.entries.insert(id.clone(), entry.clone()) {
            let name = (before.kind, before.head.name.clone());
            if shelves.names.get(&name) == Some(&id) {
                shelves.names.remove(&name);
            }
            if let Some(ids) = event_of(&before).and_then(|event| shelves.by_event.get_mut(event)) {
                ids.retain(|other| *other != id);
            }
        }
        if entry.head.status != Status::Archived {
            shelves.names.insert((entry.kind, entry.head.name.clone()), id.clone());
        }
        if let Some(event) = event_of(&entry).filter(|_| entry.head.status == Status::Live) {
            shelves.by_event.entry(event.to_owned()).or_default().push(id);
        }
        entry
    }

    /// One version of a template, if it is held.
    pub(super) fn template(&self, id: &str, version: u32) -> Option<Arc<WebhookTemplate>> {
        let shelves = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = shelves.entries.get(id)
            && entry.head.version == version
            && let Live::Template(template) = &entry.live
        {
            return Some(template.clone());
        }
        shelves.templates.get(&(id.to_owned(), version)).cloned()
    }

    pub(super) fn keep_template(&self, id: &str, version: u32, template: Arc<WebhookTemplate>) {
        let mut shelves = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if shelves.templates.len() >= VERSIONS_MAX {
            shelves.templates.clear();
        }
        shelves.templates.insert((id.to_owned(), version), template);
    }

    /// One version of a canvas, if it is held.
    pub(super) fn canvas(&self, id: &str, version: u32) -> Option<Arc<LiveCanvas>> {
        let shelves = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = shelves.entries.get(id)
            && entry.head.version == version
            && let Live::Canvas(canvas) = &entry.live
        {
            return Some(canvas.clone());
        }
        shelves.canvases.get(&(id.to_owned(), version)).cloned()
    }

    pub(super) fn keep_canvas(&self, id: &str, version: u32, canvas: Arc<LiveCanvas>) {
        let mut shelves = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if shelves.canvases.len() >= VERSIONS_MAX {
            shelves.canvases.clear();
        }
        shelves.canvases.insert((id.to_owned(), version), canvas);
    }
}

/// The event that starts an entry.
fn event_of(entry: &Entry) -> Option<&str> {
    match &entry.live {
        Live::Template(_) => None,
        Live::Campaign(campaign) => campaign_event(campaign),
        Live::Canvas(canvas) => match &canvas.document.trigger {
            CanvasEntry::Api => None,
            CanvasEntry::Event(event) => Some(&event.event),
        },
    }
}

fn campaign_event(campaign: &LiveCampaign) -> Option<&str> {
    match &campaign.document.trigger {
        Trigger::Event(event) => Some(&event.event),
        Trigger::Api | Trigger::Schedule(_) => None,
    }
}
