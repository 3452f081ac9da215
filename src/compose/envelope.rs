//! The circumstances of a campaign's webhooks: when, in which order, under which search terms.

use super::campaign::LiveCampaign;
use super::liquid::{Budget, Context, Scope};
use super::recipients::Person;
use super::webhook::{Fault, RenderFault};
use crate::admission::{Envelope, METADATA_MAX, METADATA_VALUE_MAX, ORDERING_KEY_MAX};

/// The circumstances for one recipient. What the trigger says in `given` wins over the document.
pub(super) fn of(
    campaign: &LiveCampaign,
    given: &Envelope,
    scope: &Scope<'_>,
) -> Result<Envelope, RenderFault> {
    let document = &campaign.document;
    let mut envelope = given.clone();
    if let Some(priority) = document.priority.filter(|_| envelope.priority == Default::default()) {
        envelope.priority = priority;
    }
    if let (Some(ttl), false) = (&document.ttl, envelope.timing.ttl_custom) {
        envelope.timing.ttl = ttl.get();
        envelope.timing.ttl_custom = true;
        envelope.timing = envelope.timing.not_before(envelope.timing.due);
    }
    let mut budget = Budget::default();
    ordering_key(campaign, scope, &mut envelope, &mut budget)?;
    metadata(campaign, scope, &mut envelope, &mut budget)?;
    Ok(envelope)
}

fn ordering_key(
    campaign: &LiveCampaign,
    scope: &Scope<'_>,
    envelope: &mut Envelope,
    budget: &mut Budget,
) -> Result<(), RenderFault> {
    const POINTER: &str = "/ordering_key";
    let (Some(key), None) = (&campaign.ordering_key, &envelope.ordering_key) else { return Ok(()) };
    let key = key.render(scope, Context::Text, budget);
    let key = key.map_err(|error| RenderFault::new(POINTER, error))?;
    let length = key.chars().count();
    if length > ORDERING_KEY_MAX {
        let detail = format!("has {length} characters; at most {ORDERING_KEY_MAX} are taken");
        return Err(RenderFault::Failed(Fault::new(POINTER, detail)));
    }
    envelope.ordering_key = Some(key).filter(|key| !key.is_empty());
    Ok(())
}

fn metadata(
    campaign: &LiveCampaign,
    scope: &Scope<'_>,
    envelope: &mut Envelope,
    budget: &mut Budget,
) -> Result<(), RenderFault> {
    for (name, value) in &campaign.metadata {
        if envelope.metadata.iter().any(|(given, _)| given == name) {
            continue;
        }
        let value = value.render(scope, Context::Text, budget);
        let value = value.map_err(|error| RenderFault::new("/metadata", error))?;
        envelope.metadata.push((name.clone(), value.chars().take(METADATA_VALUE_MAX).collect()));
    }
    let count = envelope.metadata.len();
    if count > METADATA_MAX {
        let detail = format!(
            "the trigger's pairs and the campaign's are {count}; at most {METADATA_MAX} are taken"
        );
        return Err(RenderFault::Failed(Fault::new("/metadata", detail)));
    }
    Ok(())
}

/// Moves a webhook out of quiet hours.
pub(super) fn quiet(campaign: &LiveCampaign, person: Option<&Person>, envelope: &mut Envelope) {
    let Some(quiet) = &campaign.document.quiet_hours else { return };
    let attributes = person.map(Person::attributes);
    let may_go = quiet.may_go(envelope.timing.due, &quiet.zone_of(attributes));
    envelope.timing = envelope.timing.not_before(may_go);
}
