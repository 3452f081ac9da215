//! Webhooks as they are written in documents and requests: compiled, and vetted as far as no
//! recipient changes them.
//!
//! What is kept is compiled again without being vetted. The settings may have changed since; then
//! it is refused when it is sent, and the catalog stays whole.

use serde_json::value::RawValue;

use super::Composer;
use super::campaign::LiveWebhook;
use super::document::Fault;
use super::entry::Live;
use super::webhook::WebhookTemplate;
use crate::admission::Refusal;

/// Compiles a webhook of a document; faults are pointed at below `pointer`.
pub(super) fn compile_webhook(raw: &RawValue, pointer: &str) -> Result<WebhookTemplate, Refusal> {
    WebhookTemplate::compile(raw.get()).map_err(|fault| {
        Refusal::Invalid(Fault::new(pointer.to_owned() + &fault.pointer, fault.detail))
    })
}

impl Composer {
    /// Vets what no recipient changes of a webhook.
    pub(super) fn vet_webhook(
        &self,
        webhook: &WebhookTemplate,
        pointer: &str,
    ) -> Result<(), Refusal> {
        let written = webhook.as_written();
        let vetted = match webhook.knows_its_url() {
            true => self.admission.vet(written, 0),
            false => self.admission.vet_all_but_destination(written),
        };
        vetted.map(drop).map_err(|fault| Refusal::Invalid(fault).under(pointer))
    }

    /// Vets those of a list that are written out; templates were vetted when they were made.
    pub(super) fn vet_webhooks(
        &self,
        webhooks: &[LiveWebhook],
        pointer: &str,
    ) -> Result<(), Refusal> {
        for (index, live) in webhooks.iter().enumerate() {
            if live.template.is_none() {
                self.vet_webhook(&live.webhook, &format!("{pointer}/{index}"))?;
            }
        }
        Ok(())
    }

    /// Vets the webhooks of a document.
    pub(super) fn vet_document(&self, live: &Live) -> Result<(), Refusal> {
        match live {
            Live::Template(webhook) => self.vet_webhook(webhook, "/webhook")?,
            Live::Campaign(campaign) => {
                for (index, content) in campaign.contents.iter().enumerate() {
                    let pointer = match content.variant {
                        Some(_) => format!("/variants/{index}/webhooks"),
                        None => "/webhooks".to_owned(),
                    };
                    self.vet_webhooks(&content.webhooks, &pointer)?;
                }
            }
            Live::Canvas(canvas) => {
                for (index, step) in canvas.document.steps.iter().enumerate() {
                    let webhooks = canvas.webhooks.get(&step.id).map_or(&[][..], Vec::as_slice);
                    self.vet_webhooks(webhooks, &format!("/steps/{index}/webhooks"))?;
                }
            }
        }
        Ok(())
    }
}
