//! What a campaign sends: the same to everyone, or one of several variants.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::vetting::Vetting;
use super::webhook::{WebhookSource, sources};
use crate::compose::variant::{PLAIN_TOTAL, WEIGHT_MAX};

/// Variants of one campaign. More cannot be told apart by their results.
const VARIANTS_MAX: usize = 20;

/// What a campaign sends.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// The same to everyone, all at once.
    Webhooks {
        /// 1 to 50.
        webhooks: Vec<WebhookSource>,
    },
    /// One of several.
    Variants {
        /// 1 to 20, not all of weight 0.
        variants: Vec<Variant>,
    },
}

/// One of several things that a campaign may send.
#[derive(Clone, Debug, Serialize)]
pub struct Variant {
    /// Unique within the campaign.
    pub name: String,
    /// Its share of the sum of weights, 0 to 1,000,000.
    pub weight: u32,
    /// 1 to 50, all sent at once.
    pub webhooks: Vec<WebhookSource>,
}

/// A variant as it is written.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    expecting = "a variant: an object with `name`, `weight` and `webhooks`"
)]
pub(super) struct VariantInput {
    name: String,
    weight: u32,
    webhooks: Option<Vec<Box<RawValue>>>,
}

/// Vets `webhooks`, `variants` and `control_group` of the present place.
pub(super) fn content(
    webhooks: Option<Vec<Box<RawValue>>>,
    variants: Option<Vec<VariantInput>>,
    control: Option<u32>,
    vetting: &mut Vetting,
) -> Option<Content> {
    match (webhooks, variants) {
        (Some(_), Some(_)) => {
            vetting.fault_at("variants", "give either `webhooks` or `variants`, not both");
            None
        }
        (webhooks, None) => {
            if control.is_some_and(|percent| !(1..PLAIN_TOTAL).contains(&percent)) {
                let detail = "beside `webhooks` it is a percentage; 1 to 99 are taken";
                vetting.fault_at("control_group", detail);
            }
            Some(Content::Webhooks { webhooks: sources(webhooks, vetting)? })
        }
        (None, Some(variants)) => {
            if control.is_some_and(|weight| !(1..=WEIGHT_MAX).contains(&weight)) {
                let detail = format!("1 to {WEIGHT_MAX} are taken; leave it out for none");
                vetting.fault_at("control_group", detail);
            }
            vetting.under("variants", |vetting| vet_variants(variants, vetting))
        }
    }
}

fn vet_variants(list: Vec<VariantInput>, vetting: &mut Vetting) -> Option<Content> {
    if !vetting.count(list.len(), 1, VARIANTS_MAX) {
        return None;
    }
    if list.iter().all(|variant| variant.weight == 0) {
        vetting.fault("have no weight; give at least one of them a weight above 0");
    }
    let names: Vec<String> = list.iter().map(|variant| variant.name.clone()).collect();
    let vetted: Vec<Option<Variant>> = list
        .into_iter()
        .enumerate()
        .map(|(index, VariantInput { name, weight, webhooks })| {
            vetting.under(index, |vetting| {
                vetting.name("name", &name);
                if names[..index].contains(&name) {
                    vetting.fault_at("name", format!("repeats {name:?}"));
                }
                if weight > WEIGHT_MAX {
                    vetting.fault_at("weight", format!("0 to {WEIGHT_MAX} are taken"));
                }
                Some(Variant { name, weight, webhooks: sources(webhooks, vetting)? })
            })
        })
        .collect();
    let variants = vetted.into_iter().collect::<Option<Vec<Variant>>>()?;
    Some(Content::Variants { variants })
}
