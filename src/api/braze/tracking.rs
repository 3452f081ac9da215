//! `POST /users/track`: the attributes are written first, then the events are taken, those of one
//! recipient in their order. What one item is refused for is named; the others are taken.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures::{StreamExt, stream};
use serde_json::{Map, Value, json};

use super::error::BrazeError;
use super::sending::known;
use super::track::{self, Attributes, Event, item_error};
use super::{Asked, created, refused};
use crate::admission::Refusal;
use crate::api::caller::Asking;
use crate::compose::{self, AttributeWrite};

/// Recipients whose events are taken side by side: enough to share commits.
const SIDE_BY_SIDE: usize = 16;

/// What became of the items: how many were taken, what was wrong with the others, and the first
/// refusal that had nothing to do with an item itself.
#[derive(Default)]
struct Outcome {
    taken: usize,
    errors: Vec<Value>,
    refusal: Option<Refusal>,
}

/// Takes attributes and events.
pub(super) async fn track(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, BrazeError> {
    let asked = Asked::read(&request, payload, &api).await?;
    let track = track::read(&asked.body)?;
    let (has_attributes, has_events) = (track.attributes.is_given(), track.events.is_given());
    let mut errors = track.attributes.errors;
    let written = write(&api, track.attributes.usable).await?;
    errors.extend(written.errors);
    errors.extend(track.events.errors);
    let taken = take(&api, &asked, track.events.usable).await?;
    errors.extend(taken.errors);
    if let Some(refusal) = taken.refusal.filter(|_| written.taken + taken.taken == 0) {
        return Err(refused(refusal));
    }
    if written.taken + taken.taken == 0 {
        return Err(track::nothing_valid(errors));
    }
    let mut answer = json!({"message": "success"});
    if has_attributes {
        answer["attributes_processed"] = written.taken.into();
    }
    if has_events {
        answer["events_processed"] = taken.taken.into();
    }
    if !errors.is_empty() {
        answer["errors"] = Value::Array(errors);
    }
    Ok(created(&answer))
}

async fn write(api: &Asking, items: Vec<(usize, Attributes)>) -> Result<Outcome, BrazeError> {
    let mut outcome = Outcome::default();
    if items.is_empty() {
        return Ok(outcome);
    }
    let (places, writes): (Vec<usize>, Vec<AttributeWrite>) = items
        .into_iter()
        .map(|(index, Attributes { external_id, existing_only, writes })| {
            (index, AttributeWrite { external_id, attributes: writes, existing_only })
        })
        .unzip();
    let answers = api.composer.write_attributes(&writes).await.map_err(refused)?;
    for (index, answer) in places.into_iter().zip(answers) {
        match answer {
            Ok(()) => outcome.taken += 1,
            Err(faults) => outcome.errors.extend(faults.into_iter().map(|fault| {
                let detail = format!("/attributes/{index}{} {}", fault.pointer, fault.detail);
                item_error("attributes", index, &detail)
            })),
        }
    }
    Ok(outcome)
}

async fn take(
    api: &Asking,
    asked: &Asked<'_>,
    items: Vec<(usize, Event)>,
) -> Result<Outcome, BrazeError> {
    let mut outcome = Outcome::default();
    if items.is_empty() {
        return Ok(outcome);
    }
    let ids = items.iter().map(|(_, event)| event.external_id.clone()).collect();
    let known = known(api, ids).await?;
    let is_new = |event: &Event| !known.contains(&event.external_id);
    make_profiles(api, items.iter().map(|(_, event)| event).filter(|event| is_new(event))).await?;
    let mut by_recipient: BTreeMap<String, Vec<(usize, Event)>> = BTreeMap::new();
    for (index, event) in items {
        // Whoever is to be there already and is not has no events.
        if event.existing_only && is_new(&event) {
            outcome.taken += 1;
            continue;
        }
        by_recipient.entry(event.external_id.clone()).or_default().push((index, event));
    }
    let recipients = by_recipient.into_values().map(|events| one_by_one(api, asked, events));
    let results: Vec<Vec<_>> =
        stream::iter(recipients).buffer_unordered(SIDE_BY_SIDE).collect().await;
    for (index, result) in results.into_iter().flatten() {
        match result {
            Ok(()) => outcome.taken += 1,
            Err(refusal) => {
                let detail = format!("/events/{index} was not taken: {refusal}");
                outcome.errors.push(item_error("events", index, &detail));
                outcome.refusal.get_or_insert(refusal);
            }
        }
    }
    outcome.errors.sort_by_key(|error| error["index"].as_u64());
    Ok(outcome)
}

/// Somebody who does something is known from then on.
async fn make_profiles(
    api: &Asking,
    events: impl Iterator<Item = &Event>,
) -> Result<(), BrazeError> {
    let writes: Vec<AttributeWrite> = events
        .filter(|event| !event.existing_only)
        .map(|event| AttributeWrite {
            external_id: event.external_id.clone(),
            attributes: Map::new(),
            existing_only: false,
        })
        .collect();
    if !writes.is_empty() {
        api.composer.write_attributes(&writes).await.map_err(refused)?;
    }
    Ok(())
}

/// Takes the events of one recipient in their order.
async fn one_by_one(
    api: &Asking,
    asked: &Asked<'_>,
    events: Vec<(usize, Event)>,
) -> Vec<(usize, Result<(), Refusal>)> {
    let mut results = Vec::with_capacity(events.len());
    for (index, event) in events {
        let mut properties = event.properties;
        properties.entry("time").or_insert_with(|| event.time.to_string().into());
        let event = compose::Event {
            external_id: event.external_id,
            name: event.name,
            properties,
            hop: asked.hop,
        };
        let taken = api.composer.event(&event, (&Bytes::new(), None), asked.now).await;
        results.push((index, taken.map(drop)));
    }
    results
}
