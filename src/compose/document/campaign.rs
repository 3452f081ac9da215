//! A campaign: what is sent, when, to whom, how fast and how often.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::content::{Content, VariantInput, content};
use super::trigger::{Trigger, TriggerInput};
use super::vetting::Vetting;
use super::webhook::WebhookSource;
use super::written::{Span, Time};
use super::{Fault, shape};
use crate::admission::{EXTERNAL_ID_MAX, METADATA_KEY_MAX, METADATA_MAX};
use crate::compose::eligibility::{FrequencyCap, Reeligible};
use crate::compose::filter::{Filter, FilterInput, Root};
use crate::compose::pace::PER_MINUTE_MAX;
use crate::compose::quiet::QuietHours;
use crate::compose::variant::PLAIN_TOTAL;
use crate::model::{Priority, optional_word};

/// Recipients listed in one scheduled campaign; an audience reaches more.
const RECIPIENTS_MAX: usize = 10_000;
/// Characters of Liquid in an ordering key or a metadata value.
const LIQUID_MAX: usize = 10_000;

/// A vetted campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Campaign {
    /// Unique among the campaigns that are not archived.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For finding it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// What is sent.
    #[serde(flatten)]
    pub content: Content,
    /// Weight of those who get nothing, to be compared with: among the variants' weights, or a
    /// percentage (1 to 99) beside plain webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control_group: Option<u32>,
    /// What starts it.
    pub trigger: Trigger,
    /// Who may get it; everyone when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<Filter>,
    /// Who gets it, when it is scheduled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recipients: Option<Vec<String>>,
    /// Speed limit, 1 to 1,000,000, spread evenly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub messages_per_minute: Option<u32>,
    /// Whether a recipient can get it again; always when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reeligible: Option<Reeligible>,
    /// At most so many to a recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_cap: Option<FrequencyCap>,
    /// When a recipient is left alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
    /// Sends after which it stops, at least 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_after: Option<u64>,
    /// When it stops.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_at: Option<Time>,
    /// Turns of its deliveries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Liquid: one after the other within this key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ordering_key: Option<String>,
    /// Search terms of its deliveries; values are Liquid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub metadata: Option<BTreeMap<String, String>>,
    /// How long a delivery is worth trying.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Span>,
}

impl Campaign {
    /// Reads and vets a campaign.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Fault>> {
        let input: CampaignInput = shape(bytes)?;
        let mut vetting = Vetting::new();
        let campaign = input.vet(&mut vetting);
        vetting.finish(campaign)
    }

    /// Weights for [`crate::compose::variant::choose`]: those of the variants (plain webhooks are
    /// the only one), and the control group's.
    pub fn weights(&self) -> (Vec<u32>, u32) {
        let control = self.control_group.unwrap_or(0);
        match &self.content {
            Content::Webhooks { .. } => (vec![PLAIN_TOTAL.saturating_sub(control)], control),
            Content::Variants { variants } => {
                (variants.iter().map(|variant| variant.weight).collect(), control)
            }
        }
    }

    /// The webhooks of the variant with this index of [`Self::weights`].
    pub fn webhooks(&self, variant: usize) -> &[WebhookSource] {
        match &self.content {
            Content::Webhooks { webhooks } => webhooks,
            Content::Variants { variants } => {
                variants.get(variant).map_or(&[], |variant| variant.webhooks.as_slice())
            }
        }
    }
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a campaign: an object with `name`, `trigger` and `webhooks`"
)]
struct CampaignInput {
    name: String,
    description: Option<String>,
    tags: Option<Vec<String>>,
    webhooks: Option<Vec<Box<RawValue>>>,
    variants: Option<Vec<VariantInput>>,
    control_group: Option<u32>,
    trigger: TriggerInput,
    audience: Option<FilterInput>,
    recipients: Option<Vec<String>>,
    messages_per_minute: Option<u32>,
    reeligible: Option<Reeligible>,
    frequency_cap: Option<FrequencyCap>,
    quiet_hours: Option<QuietHours>,
    stop_after: Option<u64>,
    stop_at: Option<Time>,
    #[serde(default, deserialize_with = "optional_word")]
    priority: Option<Priority>,
    ordering_key: Option<String>,
    metadata: Option<BTreeMap<String, String>>,
    ttl: Option<Span>,
}

impl CampaignInput {
    fn vet(self, vetting: &mut Vetting) -> Option<Campaign> {
        vetting.heading(&self.name, self.description.as_deref(), self.tags.as_deref());
        self.vet_limits(vetting);
        self.vet_words(vetting);
        let content = content(self.webhooks, self.variants, self.control_group, vetting);
        let trigger = vetting.under("trigger", |vetting| self.trigger.vet(vetting));
        let scheduled = matches!(trigger, Some(Trigger::Schedule(_)));
        recipients(self.recipients.as_deref(), scheduled, vetting);
        let roots = [Root::Recipient, Root::Properties, Root::EventProperties];
        let audience = Filter::vet_optional("audience", self.audience, &roots, vetting);
        Some(Campaign {
            name: self.name,
            description: self.description,
            tags: self.tags,
            content: content?,
            control_group: self.control_group,
            trigger: trigger?,
            audience: audience?,
            recipients: self.recipients,
            messages_per_minute: self.messages_per_minute,
            reeligible: self.reeligible,
            frequency_cap: self.frequency_cap,
            quiet_hours: self.quiet_hours,
            stop_after: self.stop_after,
            stop_at: self.stop_at,
            priority: self.priority,
            ordering_key: self.ordering_key,
            metadata: self.metadata,
            ttl: self.ttl,
        })
    }

    fn vet_limits(&self, vetting: &mut Vetting) {
        if self.messages_per_minute.is_some_and(|rate| !(1..=PER_MINUTE_MAX).contains(&rate)) {
            let detail = format!("1 to {PER_MINUTE_MAX} are taken; leave it out for no limit");
            vetting.fault_at("messages_per_minute", detail);
        }
        if self.stop_after == Some(0) {
            vetting.fault_at("stop_after", "is 0; a campaign that sends nothing is a draft");
        }
        if let Some(cap) = &self.frequency_cap {
            vetting.under("frequency_cap", |vetting| cap.vet(vetting));
        }
        if let Some(quiet) = &self.quiet_hours {
            vetting.under("quiet_hours", |vetting| quiet.vet(vetting));
        }
    }

    fn vet_words(&self, vetting: &mut Vetting) {
        if let Some(key) = &self.ordering_key {
            vetting.text("ordering_key", key, LIQUID_MAX);
        }
        let Some(metadata) = &self.metadata else { return };
        vetting.under("metadata", |vetting| {
            vetting.count(metadata.len(), 0, METADATA_MAX);
            for (key, value) in metadata {
                // Terms of our own begin with a control character (`Provenance::tag`).
                if key.chars().any(char::is_control) {
                    vetting.fault_at(key, "has a control character; none is allowed in a key");
                } else if key.is_empty() || key.chars().count() > METADATA_KEY_MAX {
                    let detail = format!("a key has 1 to {METADATA_KEY_MAX} characters");
                    vetting.fault_at(key, detail);
                } else if value.chars().count() > LIQUID_MAX {
                    vetting.fault_at(key, format!("is longer than {LIQUID_MAX} characters"));
                }
            }
        });
    }
}

fn recipients(list: Option<&[String]>, scheduled: bool, vetting: &mut Vetting) {
    let Some(list) = list else { return };
    vetting.under("recipients", |vetting| {
        if !scheduled {
            vetting.fault(
                "belong to a scheduled campaign; a call or an event brings its own recipient",
            );
            return;
        }
        if !vetting.count(list.len(), 1, RECIPIENTS_MAX) {
            return;
        }
        let mut seen = std::collections::HashSet::new();
        for (index, id) in list.iter().enumerate() {
            vetting.text(index, id, EXTERNAL_ID_MAX);
            if !seen.insert(id) {
                vetting.fault_at(index, format!("repeats {id:?}"));
            }
        }
    });
}

#[cfg(test)]
mod tests;
