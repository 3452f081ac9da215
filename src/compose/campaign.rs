//! A campaign ready to fire: its document, its webhooks compiled, the templates pinned.

use std::sync::Arc;

use serde_json::{Value, json};

use super::Composer;
use super::document::{Campaign, Content, Fault, WebhookSource};
use super::entry::Head;
use super::liquid::Template;
use super::vet::compile_webhook;
use super::webhook::WebhookTemplate;
use crate::admission::Refusal;

/// A compiled campaign.
#[derive(Clone, Debug)]
pub struct LiveCampaign {
    /// As it was written, but with each template's version.
    pub document: Campaign,
    /// What is sent, by variant; one without a name when there are none.
    pub(super) contents: Vec<LiveContent>,
    pub(super) ordering_key: Option<Template>,
    pub(super) metadata: Vec<(String, Template)>,
}

/// The webhooks of one variant, all sent at once.
#[derive(Clone, Debug)]
pub(super) struct LiveContent {
    pub variant: Option<String>,
    pub webhooks: Vec<LiveWebhook>,
}

/// A compiled webhook and the template that it is.
#[derive(Clone, Debug)]
pub(super) struct LiveWebhook {
    pub webhook: Arc<WebhookTemplate>,
    /// Id and version.
    pub template: Option<(String, u32)>,
}

impl LiveCampaign {
    /// Compiles a document.
    pub(super) async fn compile(
        mut document: Campaign,
        composer: &Composer,
    ) -> Result<Self, Refusal> {
        let mut contents = Vec::new();
        match &mut document.content {
            Content::Webhooks { webhooks } => {
                let webhooks = compile_all(webhooks, "/webhooks", composer).await?;
                contents.push(LiveContent { variant: None, webhooks });
            }
            Content::Variants { variants } => {
                for (index, variant) in variants.iter_mut().enumerate() {
                    let pointer = format!("/variants/{index}/webhooks");
                    let webhooks = compile_all(&mut variant.webhooks, &pointer, composer).await?;
                    contents.push(LiveContent { variant: Some(variant.name.clone()), webhooks });
                }
            }
        }
        let ordering_key = document.ordering_key.as_deref();
        let ordering_key =
            ordering_key.map(|key| compile_text(key, "/ordering_key")).transpose()?;
        let mut metadata = Vec::new();
        for (key, value) in document.metadata.iter().flatten() {
            let mut pointer = String::from("/metadata");
            crate::admission::push_token(&mut pointer, key);
            metadata.push((key.clone(), compile_text(value, &pointer)?));
        }
        Ok(Self { document, contents, ordering_key, metadata })
    }
}

/// Compiles a list of webhooks; those that name a template are pinned to its version.
pub(super) async fn compile_all(
    sources: &mut [WebhookSource],
    pointer: &str,
    composer: &Composer,
) -> Result<Vec<LiveWebhook>, Refusal> {
    let mut webhooks = Vec::with_capacity(sources.len());
    for (index, source) in sources.iter_mut().enumerate() {
        let pointer = format!("{pointer}/{index}");
        webhooks.push(match source {
            WebhookSource::Inline(raw) => {
                let webhook = Arc::new(compile_webhook(raw, &pointer)?);
                LiveWebhook { webhook, template: None }
            }
            WebhookSource::Template { reference, version } => {
                let found = composer.template(reference, *version).await;
                let (entry, number, webhook) = found.map_err(|refusal| match refusal {
                    Refusal::NotFound { name, .. } => {
                        let detail = format!("names no template: {name:?}");
                        Refusal::invalid(pointer.clone() + "/template", detail)
                    }
                    other => other,
                })?;
                // By id: the name may be given to another one later.
                reference.clone_from(&entry.head.id);
                *version = Some(number);
                LiveWebhook { webhook, template: Some((entry.head.id.clone(), number)) }
            }
        });
    }
    Ok(webhooks)
}

pub(super) fn compile_text(text: &str, pointer: &str) -> Result<Template, Refusal> {
    Template::parse(text).map_err(|error| Refusal::Invalid(Fault::new(pointer, error.to_string())))
}

/// What Liquid sees of a campaign or canvas; `dispatch_id` is the trigger's id.
pub(super) fn shown(head: &Head, dispatch_id: &str) -> Value {
    json!({
        "name": head.name,
        "id": head.id,
        "api_id": head.id,
        "dispatch_id": dispatch_id,
        "tags": head.tags,
        "version": head.version,
    })
}
