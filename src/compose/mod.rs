//! The layer above the engine: Liquid templates, campaigns, canvases and recipients become webhooks
//! that go through admission. Nothing here sends.
//!
//! What is composed is gathered in a batch and made durable in one commit, together with what it
//! changes: a cap, a counter, a recipient's place in a canvas.

pub mod attributes;
mod batch;
mod campaign;
mod canvas;
mod catalog;
mod composers;
mod conductor;
pub mod document;
pub mod eligibility;
mod entry;
mod envelope;
mod events;
pub mod filter;
mod fire;
pub mod journey;
mod journeys;
mod library;
pub mod liquid;
pub mod pace;
mod preview;
pub mod quiet;
mod recipients;
mod reports;
mod runs;
pub mod schedule;
mod schedules;
mod send;
mod stripes;
pub mod variant;
mod vet;
pub mod webhook;

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Mutex, Notify};

pub use self::catalog::Action;
pub use self::composers::Composers;
use self::conductor::Failing;
pub use self::entry::{Entry, Head, Kind, Status};
pub use self::events::{Event, Started};
pub use self::journeys::KeptJourney;
use self::library::Library;
pub use self::preview::{
    DryRun, DryRunHost, NotRendered, Previewed, Sample, SampleRecipient, Tested,
};
pub use self::recipients::{AttributeWrite, Export, Recipient};
pub use self::reports::{About, Report, ReportFigures, Span};
pub use self::schedules::{Run, Scheduled, ScheduledWhat};
pub use self::send::{Send, SendRecipient, SendTo, SendWhat};
use self::stripes::Stripes;
use crate::admission::{Admission, Admitted, Draft, Opened, Origin, Refusal};
use crate::clock::Clock;
use crate::config::Settings;
use crate::delivery::Engine;
use crate::model::Timestamp;
use crate::store::{Activity, Store, Writes};

/// Composes the webhooks of one workspace.
pub struct Composer {
    workspace: u32,
    admission: Arc<Admission>,
    store: Arc<dyn Store>,
    engine: Arc<dyn Engine>,
    settings: Arc<Settings>,
    clock: Clock,
    library: Library,
    stripes: Stripes,
    /// Who sends the pages of a schedule, or changes it. Taken before any of `stripes`, and apart
    /// from them: two keys may share a lock, and nobody may wait for himself.
    running: Stripes,
    failing: Failing,
    /// Held while an entry of the catalog is made or changed.
    editing: Mutex<()>,
    /// Told when something with a due time was written.
    nudge: Notify,
}

impl Composer {
    /// A composer of admission's workspace, with an empty catalog: it has to be read before
    /// anything is asked.
    fn new(
        admission: Arc<Admission>,
        store: Arc<dyn Store>,
        engine: Arc<dyn Engine>,
        settings: Arc<Settings>,
        clock: Clock,
    ) -> Self {
        Self {
            workspace: admission.workspace(),
            admission,
            store,
            engine,
            settings,
            clock,
            library: Library::default(),
            stripes: Stripes::default(),
            running: Stripes::default(),
            failing: Failing::default(),
            editing: Mutex::default(),
            nudge: Notify::new(),
        }
    }

    /// Lets a trigger in, whatever it names: webhooks of its own, a template, a campaign, a canvas.
    pub async fn trigger(&self, request: &Bytes, origin: &Origin<'_>) -> Result<Admitted, Refusal> {
        self.vet_hop(origin.hop).await?;
        // The place at the door is kept until the end.
        let opened = self.admission.open(request, origin)?;
        let Opened { now, draft, place: _place } = opened;
        match draft {
            Draft::Plain(webhooks, envelope) => {
                self.admission.admit(request, (webhooks, envelope), now).await
            }
            Draft::Composed(trigger, envelope) => {
                self.compose(request, *trigger, envelope, now).await
            }
        }
    }

    /// Refuses what too many of our own webhooks led to, and notes it in the activity log.
    pub async fn vet_hop(&self, hop: u8) -> Result<(), Refusal> {
        let Err(refusal) = self.admission.vet_hop(hop) else { return Ok(()) };
        let now = self.clock.wall();
        let entry = Activity {
            at: now,
            kind: "loop_cut".into(),
            detail: format!("a request was refused that {hop} of our own webhooks led to"),
            ..Activity::default()
        };
        self.write(Writes { activity: vec![entry], ..Writes::default() }, now).await?;
        Err(refusal)
    }

    /// A new id: UUID version 7, in order of time.
    fn new_id(&self, now: Timestamp) -> String {
        let millis = u64::try_from(now.as_millis()).unwrap_or(0);
        let random: [u8; 10] = std::array::from_fn(|_| fastrand::u8(..));
        uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid().to_string()
    }
}
