//! `POST /v1/triggers/batch`: many triggers in one request, each answered for itself.
//!
//! NDJSON is read line by line, so that only the lines under way are held. Items go to the store
//! side by side, which lets them share its commits; the answers keep the order of the items.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::caller::Asking;
use super::problem::Problem;
use super::request::{is_type, read_body, vet_depth, vet_encoding, vet_json_type};
use super::triggers::{hop, refuse_idempotency_key, traceparent};
use crate::admission::{Admitted, Origin, Refusal};

/// Items under way at once: enough to fill a commit of the store, few enough that vetting them
/// does not hold up the thread's other requests for more than a few milliseconds.
const SIDE_BY_SIDE: usize = 256;

/// Accepts a batch.
pub(super) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    api: Asking,
) -> Result<HttpResponse, Problem> {
    refuse_idempotency_key(request.headers())?;
    if api.admission.is_stopping() {
        return Err(Problem::stopping());
    }
    // Its items go by themselves, but none is begun where a single trigger would be refused.
    drop(api.admission.enter()?);
    let lines = ["application/x-ndjson", "application/ndjson", "application/jsonl"];
    let tally = if lines.iter().any(|wanted| is_type(&request, wanted)) {
        vet_encoding(request.headers())?;
        let server = &api.settings.server;
        let lines = Lines::new(payload, server.max_line, server.request_timeout);
        let items = lines.items(server.max_batch).map(|item| {
            item.and_then(|line| vet_depth(&line, server.max_json_depth).map(|()| line))
        });
        admit_all(&api, &request, items).await
    } else {
        vet_json_type(&request)?;
        let body = read_body(&request, payload, api.settings.server.max_request).await?;
        let items = array_items(&body, api.settings.server.max_batch)?;
        admit_all(&api, &request, stream::iter(items.into_iter().map(Ok))).await
    };
    tally?.response()
}

/// The items of a JSON array, as slices of it.
fn array_items(body: &Bytes, max: usize) -> Result<Vec<Bytes>, Problem> {
    let items: Vec<&RawValue> = serde_json::from_slice(body).map_err(|error| {
        if error.is_data() {
            return Problem::field("", "is not an array of triggers");
        }
        Problem::malformed(&error.to_string(), error.line(), error.column())
    })?;
    if items.len() > max {
        return Err(Problem::too_large(format!(
            "has {} items; at most {max} are taken",
            items.len()
        )));
    }
    Ok(items.into_iter().map(|item| body.slice_ref(item.get().as_bytes())).collect())
}

/// An item to be admitted, or what is wrong with it before it is looked into.
type Item = Result<Bytes, Problem>;

async fn admit_all(
    api: &Asking,
    request: &HttpRequest,
    items: impl Stream<Item = Item>,
) -> Result<Tally, Problem> {
    let traceparent = traceparent(request.headers());
    let hop = hop(request.headers())?;
    let admissions = items.map(|item| async move {
        let origin = Origin { traceparent, idempotency_key: None, alone: false, hop };
        match item {
            Ok(bytes) => admit_one(api, &bytes, origin).await,
            Err(problem) => Err(problem),
        }
    });
    let mut answers = std::pin::pin!(admissions.buffered(SIDE_BY_SIDE));
    let mut tally = Tally::default();
    while let Some(answer) = answers.next().await {
        tally.add(&answer);
    }
    Ok(tally)
}

async fn admit_one(api: &Asking, bytes: &Bytes, origin: Origin<'_>) -> Result<Admitted, Problem> {
    api.composer.trigger(bytes, &origin).await.map_err(|refusal: Refusal| refusal.into())
}

/// The answers so far.
#[derive(Default)]
struct Tally {
    accepted: usize,
    refused: usize,
    /// The elements of `data`, joined by commas.
    data: Vec<u8>,
}

impl Tally {
    fn add(&mut self, answer: &Result<Admitted, Problem>) {
        let index = self.accepted + self.refused;
        let comma = if index == 0 { "" } else { "," };
        let (head, rest): (_, &[u8]) = match answer {
            // The answer is an object; its fields go on after the index.
            Ok(admitted) => ("", &admitted.answer[1..]),
            Err(_) => ("\"problem\":", b""),
        };
        write!(self.data, "{comma}{{\"index\":{index},{head}").expect("memory takes every write");
        match answer {
            Ok(_) => {
                self.accepted += 1;
                self.data.extend_from_slice(rest);
            }
            Err(problem) => {
                self.refused += 1;
                self.data.extend_from_slice(&problem.to_json());
                self.data.push(b'}');
            }
        }
    }

    fn response(self) -> Result<HttpResponse, Problem> {
        if self.accepted + self.refused == 0 {
            return Err(Problem::field("", "has no items"));
        }
        let status = match self.refused {
            0 => StatusCode::ACCEPTED,
            _ => StatusCode::MULTI_STATUS,
        };
        let head =
            format!("{{\"accepted\":{},\"refused\":{},\"data\":[", self.accepted, self.refused);
        let mut body = Vec::with_capacity(head.len() + self.data.len() + 2);
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(&self.data);
        body.extend_from_slice(b"]}");
        Ok(HttpResponse::build(status).content_type("application/json").body(body))
    }
}

/// Takes lines out of a request's body as it comes in.
struct Lines<S> {
    chunks: S,
    max: usize,
    /// How long a line may take to come in.
    patience: Duration,
    /// What came in and is not yet a whole line.
    rest: BytesMut,
    /// Where in `rest` the search for the end of the line goes on.
    searched: usize,
    /// Whole lines, not yet given out.
    ready: VecDeque<Item>,
    /// Whether the line in `rest` is over the limit and skipped to its end.
    skipping: bool,
    ended: bool,
}

impl<S, E> Lines<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin,
{
    fn new(chunks: S, max: usize, patience: Duration) -> Self {
        let (rest, ready) = (BytesMut::new(), VecDeque::new());
        Self { chunks, max, patience, rest, searched: 0, ready, skipping: false, ended: false }
    }

    /// The lines that are not blank, at most `max`; one more problem stands for all that follow.
    fn items(self, max: usize) -> impl Stream<Item = Item> {
        stream::unfold((self, 0), move |(mut lines, given)| async move {
            let item = if given > max { None } else { lines.next().await };
            let item = match item? {
                _ if given == max => {
                    let detail =
                        format!("at most {max} items are taken; this and later ones were not");
                    Err(Problem::too_large(detail))
                }
                item => item,
            };
            Some((item, (lines, given + 1)))
        })
    }

    async fn next(&mut self) -> Option<Item> {
        match timeout(self.patience, self.read()).await {
            Ok(item) => item,
            Err(_) => {
                self.ended = true;
                Some(Err(Problem::too_slow()))
            }
        }
    }

    async fn read(&mut self) -> Option<Item> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if self.ended {
                return None;
            }
            match self.chunks.next().await {
                Some(Ok(chunk)) => self.take_in(&chunk),
                Some(Err(_)) => {
                    // What came of the last line may be half of it, so it must not be accepted.
                    self.ended = true;
                    self.ready.push_back(Err(Problem::unreadable()));
                }
                None => {
                    self.ended = true;
                    let last = std::mem::take(&mut self.rest);
                    self.finish(last);
                }
            }
        }
    }

    fn take_in(&mut self, chunk: &[u8]) {
        self.rest.extend_from_slice(chunk);
        while let Some(length) = self.rest[self.searched..].iter().position(|byte| *byte == b'\n') {
            let line = self.rest.split_to(self.searched + length + 1);
            self.searched = 0;
            self.finish(line);
        }
        self.searched = self.rest.len();
        if self.rest.len() > self.max {
            self.skipping = true;
            self.rest.clear();
            self.searched = 0;
        }
    }

    fn finish(&mut self, line: BytesMut) {
        let skipped = std::mem::take(&mut self.skipping);
        let line = line.freeze();
        let trimmed = line.trim_ascii();
        if skipped || trimmed.len() > self.max {
            let detail = format!("the line is longer than {} bytes", self.max);
            self.ready.push_back(Err(Problem::too_large(detail)));
        } else if !trimmed.is_empty() {
            self.ready.push_back(Ok(line.slice_ref(trimmed)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn lines(chunks: &[&'static str], max_items: usize) -> Vec<String> {
        let chunks = chunks.iter().map(|chunk| Ok::<_, ()>(Bytes::from_static(chunk.as_bytes())));
        let chunks: Vec<_> = chunks.collect();
        let lines = Lines::new(stream::iter(chunks), 5, Duration::from_secs(1));
        let texts = lines.items(max_items).map(|item| match item {
            Ok(bytes) => String::from_utf8(bytes.to_vec()).expect("text"),
            Err(problem) => problem.status().as_str().to_owned(),
        });
        texts.collect().await
    }

    #[actix_web::test]
    async fn lines_are_found_across_chunks() {
        assert_eq!(lines(&["ab\nc", "d\r\n\n", " \ne"], 9).await, ["ab", "cd", "e"]);
        assert!(lines(&["\n", ""], 9).await.is_empty());
    }

    #[actix_web::test]
    async fn a_long_line_is_refused_alone() {
        assert_eq!(
            lines(&["abc", "defg", "hij\nok\n", "1234567\n"], 9).await,
            ["413", "ok", "413"]
        );
        assert_eq!(lines(&["abcdefgh"], 9).await, ["413"]);
    }

    #[actix_web::test]
    async fn items_past_the_limit_are_one_problem() {
        assert_eq!(lines(&["a\nb\nc\nd\n"], 2).await, ["a", "b", "413"]);
        assert_eq!(lines(&["a\nb\n"], 2).await, ["a", "b"]);
    }
}
