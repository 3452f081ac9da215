//! What a person writes: campaigns, canvases and templates as JSON. A document that was parsed can
//! work as far as its own words tell; whether its Liquid compiles and its templates exist is
//! decided elsewhere, since that takes more than the document.
//!
//! Reading goes in two steps. serde takes the shape (unknown fields and wrong types end it at the
//! first fault); then the parts are vetted against each other, and all faults of that step are told
//! at once. Each document serialises to the JSON that it came from: durations, times, patterns and
//! zones are kept as written, a field given as `null` counts as not given.

mod campaign;
mod canvas;
mod content;
mod graph;
mod step;
mod trigger;
mod vetting;
mod webhook;
mod written;

use serde::de::DeserializeOwned;

pub use campaign::Campaign;
pub use canvas::Canvas;
pub use content::{Content, Variant};
pub use step::{Action, Branch, Delay, Step, Wait};
pub use trigger::{Entry, EventTrigger, Trigger};
pub use vetting::Vetting;
pub use webhook::{TemplateDocument, WebhookSource};
pub use written::{Span, Time, Written};

pub use crate::admission::FieldError as Fault;
use crate::admission::{Refusal, explain};

/// Bytes of one document. Fifty webhooks of twenty kilobytes each; more is not written by hand.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// Takes the shape of a document: what serde can tell.
pub(crate) fn shape<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Vec<Fault>> {
    if bytes.len() > DOCUMENT_BYTES_MAX {
        let detail = format!("has {} bytes; at most {DOCUMENT_BYTES_MAX} are taken", bytes.len());
        return Err(vec![Fault::new("", detail)]);
    }
    serde_json::from_slice(bytes).map_err(|error| {
        let fault = match explain::<T>(bytes, &error) {
            Refusal::Invalid(fault) | Refusal::TooLarge(fault) => fault,
            other => Fault::new("", other.to_string()),
        };
        vec![fault]
    })
}

#[cfg(test)]
mod tests;
