//! A canvas: a journey of a recipient through steps.

use serde::{Deserialize, Serialize};

use super::graph;
use super::step::{Step, StepInput};
use super::trigger::{Entry, TriggerInput};
use super::vetting::Vetting;
use super::{Fault, shape};
use crate::compose::eligibility::Reeligible;
use crate::compose::filter::{Filter, FilterInput, Root};

/// Steps of one canvas.
const STEPS_MAX: usize = 200;

/// A vetted canvas: every step can be reached, every way leads to a step or out, and no way goes in
/// a circle without waiting.
#[derive(Clone, Debug, Serialize)]
pub struct Canvas {
    /// Unique among the canvases that are not archived.
    pub name: String,
    /// For people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// For finding it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tags: Option<Vec<String>>,
    /// What lets a recipient in.
    pub trigger: Entry,
    /// Who may enter; everyone when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audience: Option<Filter>,
    /// Whether a recipient can enter again; always when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reeligible: Option<Reeligible>,
    /// 1 to 200; a journey begins at the first.
    pub steps: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a canvas: an object with `name`, `trigger` and `steps`")]
struct CanvasInput {
    name: String,
    description: Option<String>,
    tags: Option<Vec<String>>,
    trigger: TriggerInput,
    audience: Option<FilterInput>,
    reeligible: Option<Reeligible>,
    steps: Vec<StepInput>,
}

impl Canvas {
    /// Reads and vets a canvas.
    pub fn parse(bytes: &[u8]) -> Result<Self, Vec<Fault>> {
        let input: CanvasInput = shape(bytes)?;
        let mut vetting = Vetting::new();
        let canvas = input.vet(&mut vetting);
        vetting.finish(canvas)
    }

    /// The step with this id, and its place.
    pub fn step(&self, id: &str) -> Option<(usize, &Step)> {
        self.steps.iter().enumerate().find(|(_, step)| step.id == id)
    }

    /// Where the step at `place` leads by default: its `next`, else the following step, else out.
    pub fn after(&self, place: usize) -> Option<&str> {
        let own = self.steps.get(place).and_then(|step| step.next.as_deref());
        own.or_else(|| self.steps.get(place + 1).map(|step| step.id.as_str()))
    }
}

impl CanvasInput {
    fn vet(self, vetting: &mut Vetting) -> Option<Canvas> {
        vetting.heading(&self.name, self.description.as_deref(), self.tags.as_deref());
        let trigger = vetting.under("trigger", |vetting| self.trigger.vet_entry(vetting));
        let roots = [Root::Recipient, Root::EntryProperties];
        let audience = Filter::vet_optional("audience", self.audience, &roots, vetting);
        let steps = vetting.under("steps", |vetting| vet_steps(self.steps, vetting));
        let canvas = Canvas {
            name: self.name,
            description: self.description,
            tags: self.tags,
            trigger: trigger?,
            audience: audience?,
            reeligible: self.reeligible,
            steps: steps?,
        };
        vetting.under("steps", |vetting| graph::vet(&canvas, vetting));
        Some(canvas)
    }
}

fn vet_steps(list: Vec<StepInput>, vetting: &mut Vetting) -> Option<Vec<Step>> {
    if !vetting.count(list.len(), 1, STEPS_MAX) {
        return None;
    }
    let ids: Vec<String> = list.iter().map(|step| step.id.clone()).collect();
    let vetted: Vec<Option<Step>> = list
        .into_iter()
        .enumerate()
        .map(|(index, step)| {
            vetting.under(index, |vetting| {
                if ids[..index].contains(&step.id) {
                    vetting.fault_at("id", format!("repeats {:?}", step.id));
                }
                step.vet(vetting)
            })
        })
        .collect();
    vetted.into_iter().collect()
}

#[cfg(test)]
mod tests;
