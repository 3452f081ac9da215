//! The steps of a canvas.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::time::Duration;

use super::trigger::{EventTrigger, event_of};
use super::vetting::Vetting;
use super::webhook::{WebhookSource, sources};
use super::written::{Span, Time};
use crate::compose::filter::{Filter, FilterInput, Root};
use crate::model::word;

/// Characters of a step's id.
const ID_MAX: usize = 64;
/// Branches of one step.
const BRANCHES_MAX: usize = 50;
/// Shorter delays and waits are below what a journey's place on disk can follow.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    /// Unique within the canvas.
    pub id: String,
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
    /// The step after it; the following one when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// What a step does.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Action {
    /// Sends.
    Webhook {
        /// 1 to 50, all at once.
        webhooks: Vec<WebhookSource>,
    },
    /// Waits.
    Delay(Delay),
    /// Chooses.
    Branch {
        /// The first that passes is taken.
        branches: Vec<Branch>,
        /// Where to go when none does; the following step when absent.
        #[serde(rename = "else", skip_serializing_if = "Option::is_none")]
        otherwise: Option<String>,
    },
    /// Waits for an event of the recipient.
    WaitForEvent(Wait),
    /// Ends the journey.
    Exit,
}

/// How long a delay takes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Delay {
    /// So long.
    For {
        /// At least a second.
        #[serde(rename = "for")]
        span: Span,
    },
    /// Until then; no time at all when it has passed.
    Until {
        /// When.
        until: Time,
    },
}

/// One way out of a branch.
#[derive(Clone, Debug, Serialize)]
pub struct Branch {
    /// When it is taken.
    pub when: Filter,
    /// Where it leads.
    pub next: String,
}

/// What is waited for.
#[derive(Clone, Debug, Serialize)]
pub struct Wait {
    /// Which event.
    #[serde(flatten)]
    pub event: EventTrigger,
    /// How long, at least a second.
    pub timeout: Span,
    /// Where to go when it comes; `next` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_event: Option<String>,
    /// Where to go when it does not; `next` when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_timeout: Option<String>,
}

/// A step as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a step: an object with `id` and `type`")]
pub(super) struct StepInput {
    pub id: String,
    #[serde(rename = "type", deserialize_with = "word")]
    kind: Kind,
    next: Option<String>,
    webhooks: Option<Vec<Box<RawValue>>>,
    #[serde(rename = "for")]
    span: Option<Span>,
    until: Option<Time>,
    branches: Option<Vec<BranchInput>>,
    #[serde(rename = "else")]
    otherwise: Option<String>,
    event: Option<String>,
    filter: Option<FilterInput>,
    timeout: Option<Span>,
    on_event: Option<String>,
    on_timeout: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Webhook,
    Delay,
    Branch,
    WaitForEvent,
    Exit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a branch: an object with `when` and `next`")]
struct BranchInput {
    when: FilterInput,
    next: String,
}

impl StepInput {
    /// Vets the step at the present place; where it leads is vetted with the whole canvas.
    pub(super) fn vet(mut self, vetting: &mut Vetting) -> Option<Step> {
        vetting.text("id", &self.id, ID_MAX);
        self.vet_strangers(vetting);
        let action = match self.kind {
            Kind::Webhook => {
                sources(self.webhooks.take(), vetting).map(|webhooks| Action::Webhook { webhooks })
            }
            Kind::Delay => self.delay(vetting).map(Action::Delay),
            Kind::Branch => self.branch(vetting),
            Kind::WaitForEvent => self.wait(vetting).map(Action::WaitForEvent),
            Kind::Exit => Some(Action::Exit),
        };
        Some(Step { id: self.id, action: action?, next: self.next })
    }

    /// Fields that belong to another type of step.
    fn vet_strangers(&self, vetting: &mut Vetting) {
        let (kind, name) = match self.kind {
            Kind::Webhook => (Kind::Webhook, "a webhook step"),
            Kind::Delay => (Kind::Delay, "a delay step"),
            Kind::Branch => (Kind::Branch, "a branch step"),
            Kind::WaitForEvent => (Kind::WaitForEvent, "a wait_for_event step"),
            Kind::Exit => (Kind::Exit, "an exit step"),
        };
        if kind != Kind::Webhook {
            vetting.absent("webhooks", &self.webhooks, name);
        }
        if kind != Kind::Delay {
            vetting.absent("for", &self.span, name);
            vetting.absent("until", &self.until, name);
        }
        if kind != Kind::Branch {
            vetting.absent("branches", &self.branches, name);
            vetting.absent("else", &self.otherwise, name);
        }
        if kind != Kind::WaitForEvent {
            vetting.absent("event", &self.event, name);
            vetting.absent("filter", &self.filter, name);
            vetting.absent("timeout", &self.timeout, name);
            vetting.absent("on_event", &self.on_event, name);
            vetting.absent("on_timeout", &self.on_timeout, name);
        }
        match kind {
            Kind::Exit => vetting.absent("next", &self.next, name),
            Kind::Branch if self.next.is_some() => {
                vetting.fault_at("next", "a branch step goes by `branches` and `else`");
            }
            _ => {}
        }
    }

    fn delay(&mut self, vetting: &mut Vetting) -> Option<Delay> {
        match (self.span.take(), self.until.take()) {
            (Some(span), None) => {
                long_enough("for", &span, vetting);
                Some(Delay::For { span })
            }
            (None, Some(until)) => Some(Delay::Until { until }),
            (Some(_), Some(_)) => {
                vetting.fault_at("until", "give either `for` or `until`, not both");
                None
            }
            (None, None) => {
                vetting.fault_at("for", "missing; give a duration such as \"2h\", or `until`");
                None
            }
        }
    }

    fn branch(&mut self, vetting: &mut Vetting) -> Option<Action> {
        let wanted = "list [{\"when\": a filter, \"next\": a step's id}]";
        let list = vetting.present("branches", self.branches.take(), wanted)?;
        let roots = [Root::Recipient, Root::EntryProperties, Root::Response];
        let vetted: Vec<Option<Branch>> = vetting.under("branches", |vetting| {
            vetting.count(list.len(), 1, BRANCHES_MAX);
            let branches = list.into_iter().enumerate().take(BRANCHES_MAX);
            let vet = |(index, BranchInput { when, next })| {
                vetting.under(index, |vetting| {
                    let when = vetting.under("when", |vetting| Filter::vet(when, &roots, vetting));
                    Some(Branch { when: when?, next })
                })
            };
            branches.map(vet).collect()
        });
        let branches = vetted.into_iter().collect::<Option<Vec<Branch>>>()?;
        Some(Action::Branch { branches, otherwise: self.otherwise.take() })
    }

    fn wait(&mut self, vetting: &mut Vetting) -> Option<Wait> {
        let roots = [Root::EventProperties, Root::Recipient, Root::EntryProperties];
        let event = event_of(self.event.take(), self.filter.take(), &roots, vetting);
        let wanted = "say how long to wait, such as \"3d\"";
        let timeout = vetting.present("timeout", self.timeout.take(), wanted)?;
        long_enough("timeout", &timeout, vetting);
        let (on_event, on_timeout) = (self.on_event.take(), self.on_timeout.take());
        Some(Wait { event: event?, timeout, on_event, on_timeout })
    }
}

fn long_enough(token: &str, span: &Span, vetting: &mut Vetting) {
    if span.get() < SPAN_MIN {
        vetting.fault_at(token, "is less than a second");
    }
}
