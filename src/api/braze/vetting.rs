//! Whether what a request names is there and may be sent by the API.

use super::error::{BAD_REQUEST, BrazeError, INVALID_CAMPAIGN, INVALID_CANVAS};
use super::exports::variations;
use super::sends::{Kind, MessageSend};
use super::{document, find};
use crate::api::caller::Asking;
use crate::compose::{Entry, Status};

/// Refuses what something else than the API triggers.
pub(super) fn vet_trigger(entry: &Entry, kind: Kind) -> Result<(), BrazeError> {
    if document(entry)["trigger"]["type"] == "api" {
        return Ok(());
    }
    let title = match kind {
        Kind::Campaign => INVALID_CAMPAIGN,
        Kind::Canvas => INVALID_CANVAS,
    };
    let detail = "names one that is not triggered by the API; its document says what triggers it";
    Err(BrazeError::field(title, &format!("/{}", kind.id_field()), detail))
}

/// What that API says of something that does not send now; it calls this a success.
pub(super) fn notice(entry: &Entry, kind: Kind) -> Option<String> {
    let word = match kind {
        Kind::Campaign => "campaign",
        Kind::Canvas => "Canvas",
    };
    let (state, remedy) = match entry.head.status {
        Status::Live | Status::Active => return None,
        Status::Archived => ("archived", "Unarchive"),
        Status::Draft => ("a draft", "Launch"),
        Status::Paused => ("paused", "Resume"),
    };
    Some(format!(
        "The {word} is {state}. {remedy} the {word} to ensure trigger requests will take effect."
    ))
}

/// A message that counts for a campaign has to be one of its messages.
pub(super) fn vet_message(api: &Asking, wanted: &MessageSend) -> Result<(), BrazeError> {
    let variation = wanted.message.variation.as_deref();
    vet_variation(api, wanted.campaign.as_deref(), variation)
}

/// Vets a message's `message_variation_id` against the campaign that it counts for.
pub(super) fn vet_variation(
    api: &Asking,
    campaign: Option<&str>,
    variation: Option<&str>,
) -> Result<(), BrazeError> {
    let at = "/messages/webhook/message_variation_id";
    let (campaign, variation) = match (campaign, variation) {
        (None, None) => return Ok(()),
        (Some(campaign), Some(variation)) => (campaign, variation),
        (Some(_), None) => {
            let detail = "is missing: it says for which message of the campaign this one counts";
            return Err(BrazeError::field("Message Variant Unspecified", at, detail));
        }
        (None, Some(_)) => {
            return Err(BrazeError::field(BAD_REQUEST, at, "is given without `campaign_id`"));
        }
    };
    let entry = find(api, Kind::Campaign, campaign)?;
    let all = variations(&entry.head.id, &document(&entry));
    match all.iter().any(|(id, _)| id == variation) {
        true => Ok(()),
        false => {
            let detail = "is not the id of one of the campaign's messages; /campaigns/details \
                          shows them";
            Err(BrazeError::field("Invalid Message Variant", at, detail))
        }
    }
}
