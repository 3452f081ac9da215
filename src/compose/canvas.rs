//! A canvas ready to be walked: its document, the webhooks of its steps compiled.

use std::collections::HashMap;

use super::Composer;
use super::campaign::{LiveWebhook, compile_all};
use super::document::{Action, Canvas};
use crate::admission::Refusal;

/// A compiled canvas.
#[derive(Clone, Debug)]
pub struct LiveCanvas {
    /// As it was written, but with each template's version.
    pub document: Canvas,
    /// The webhooks of each step that sends some, by the step's id.
    pub(super) webhooks: HashMap<String, Vec<LiveWebhook>>,
}

impl LiveCanvas {
    /// Compiles a document.
    pub(super) async fn compile(
        mut document: Canvas,
        composer: &Composer,
    ) -> Result<Self, Refusal> {
        let mut compiled = HashMap::new();
        for (index, step) in document.steps.iter_mut().enumerate() {
            if let Action::Webhook { webhooks } = &mut step.action {
                let pointer = format!("/steps/{index}/webhooks");
                let webhooks = compile_all(webhooks, &pointer, composer).await?;
                compiled.insert(step.id.clone(), webhooks);
            }
        }
        Ok(Self { document, webhooks: compiled })
    }
}
