//! What comes back of a request, as awc tells it, and what went wrong in words.

use awc::error::SendRequestError;
use bytes::Bytes;
use futures::StreamExt;

use super::trace::{Fault, Trace};
use crate::model::{Answer, Header};

/// Bytes of an answer's body that are kept: enough for an error message.
const EXCERPT: usize = 4 << 10;

/// Whether an answer is how some receivers say that an idle connection has become too old for them.
/// It speaks of the request that did not come, and not of the one that was on its way.
pub(super) fn is_goodbye(answer: &Answer) -> bool {
    let closes =
        |header: &Header| header.name == "connection" && header.value.eq_ignore_ascii_case("close");
    answer.status == 408 && answer.headers.iter().any(closes)
}

/// Reads an answer's body up to `most` bytes, of which the first are kept. What goes on after them
/// is not waited for: dropping the response closes the connection.
pub(super) async fn read_body(
    response: awc::ClientResponse,
    most: usize,
    trace: &Trace,
) -> Result<(Bytes, bool), Fault> {
    read(response, most, EXCERPT, trace).await
}

/// Reads an answer's body that is wanted whole; `None` when it goes on after `most` bytes.
pub(super) async fn read_whole(
    response: awc::ClientResponse,
    most: usize,
    trace: &Trace,
) -> Result<Option<Bytes>, Fault> {
    let (bytes, truncated) = read(response, most, most, trace).await?;
    Ok((!truncated).then_some(bytes))
}

async fn read(
    mut response: awc::ClientResponse,
    most: usize,
    keep: usize,
    trace: &Trace,
) -> Result<(Bytes, bool), Fault> {
    let mut kept = Vec::new();
    let mut length = 0;
    while let Some(chunk) = response.next().await {
        let chunk = chunk.map_err(|_| {
            trace.fault().unwrap_or(Fault::Malformed("its body is not well formed"))
        })?;
        trace.body_came();
        length += chunk.len();
        let room = keep - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if length > most {
            return Ok((kept.into(), true));
        }
    }
    trace.complete.set(true);
    let truncated = length > kept.len();
    Ok((kept.into(), truncated))
}

/// Why a request got no answer.
pub(super) fn send_fault(error: &SendRequestError, trace: &Trace) -> Fault {
    trace.fault().unwrap_or_else(|| match error {
        SendRequestError::Response(_) => Fault::Malformed("its headers are not well formed"),
        SendRequestError::Url(_) => unsendable("URL"),
        SendRequestError::Http(_) => unsendable("header"),
        _ => Fault::Unreachable("the request failed".into()),
    })
}

/// A stored webhook that no request can be made of.
pub(super) fn unsendable(what: &str) -> Fault {
    Fault::Unreachable(format!("the request cannot be written: a {what} in it is not valid"))
}
