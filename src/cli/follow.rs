//! A running server, as `send` talks to it: hands over a trigger and follows its deliveries.

use std::fmt::Write as _;
use std::time::Duration;

use awc::Client;
use awc::http::{Method, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::say;

/// Time for one answer of the server; it is on this machine or near.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer holds at most a delivery with its attempts, each with 4 KiB of a body.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// The first look comes soon, as most deliveries are done at once; later ones spare the server.
const LOOK_FIRST: Duration = Duration::from_millis(50);
const LOOK_MAX: Duration = Duration::from_secs(1);
/// Looks that may fail in a row, about as many seconds: a server that restarts comes back sooner.
const FAILED_LOOKS_MAX: u32 = 30;

/// The answer to a trigger.
#[derive(Debug)]
pub(super) struct Accepted {
    /// As it came.
    pub(super) raw: String,
    document: AcceptedDocument,
}

#[derive(Debug, Deserialize)]
struct AcceptedDocument {
    trigger: String,
    deliveries: Vec<AcceptedDelivery>,
}

#[derive(Debug, Deserialize)]
struct AcceptedDelivery {
    id: String,
    #[serde(default)]
    host: String,
    #[serde(default)]
    state: String,
}

/// What is shown of a delivery; the server may tell more.
#[derive(Debug, Deserialize)]
struct DeliveryView {
    state: String,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    waits_for: Option<String>,
    #[serde(default)]
    next_attempt_at: Option<String>,
    #[serde(default)]
    attempts: Vec<AttemptView>,
}

#[derive(Debug, Deserialize)]
struct AttemptView {
    number: u32,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    started_at: Option<String>,
    #[serde(default)]
    timings: Option<TimingsView>,
}

#[derive(Debug, Deserialize)]
struct TimingsView {
    total_us: u64,
}

/// RFC 9457, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProblemView {
    title: String,
    detail: String,
    errors: Vec<ProblemItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProblemItem {
    pointer: String,
    detail: String,
}

/// Why a server did not answer what was asked.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// It wants a key, or another one.
    NeedsKey,
    /// In words.
    Other(String),
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unanswered::NeedsKey => formatter.write_str(
                "the server wants a valid API key: give one that is live with --key or HOSTLINE_KEY",
            ),
            Unanswered::Other(wrong) => formatter.write_str(wrong),
        }
    }
}

/// A client of one server.
pub(super) struct Server {
    base: String,
    client: Client,
}

impl Server {
    /// Takes the server's URL and the key to ask with; the error says what is wrong with the URL.
    pub(super) fn new(url: &str, key: Option<&str>) -> Result<Self, String> {
        let parsed = url::Url::parse(url).map_err(|error| format!("--server {url}: {error}"))?;
        match parsed.scheme() {
            "http" => {}
            "https" => {
                return Err("--server speaks plain http only; reach a remote server through a \
                            tunnel, such as ssh -L 8080:127.0.0.1:8080 HOST"
                    .into());
            }
            _ => return Err(format!("--server {url} is not an http URL")),
        }
        let mut client = Client::builder().timeout(ANSWER_TIMEOUT);
        if let Some(key) = key {
            client = client.bearer_auth(key.trim());
        }
        Ok(Self { base: url.trim_end_matches('/').into(), client: client.finish() })
    }

    /// Asks for anything that answers with JSON.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Unanswered> {
        let other = |wrong: String| Unanswered::Other(wrong);
        let method =
            Method::from_bytes(method.as_bytes()).map_err(|error| other(error.to_string()))?;
        let request = self.client.request(method, format!("{}{path}", self.base));
        let answer = match &body {
            Some(body) => request.send_json(body).await,
            None => request.send().await,
        };
        let mut answer = answer.map_err(|error| {
            let base = &self.base;
            other(format!("the server at {base} cannot be reached: {error} (is it running?)"))
        })?;
        let status = answer.status();
        let body = answer.body().limit(ANSWER_BYTES_MAX).await;
        let body =
            body.map_err(|error| other(format!("the server's answer broke off: {error}")))?;
        if status == StatusCode::UNAUTHORIZED {
            return Err(Unanswered::NeedsKey);
        }
        if !status.is_success() {
            return Err(other(describe_refusal(status, &String::from_utf8_lossy(&body))));
        }
        serde_json::from_slice(&body)
            .map_err(|error| other(format!("{} does not answer like Hostline: {error}", self.base)))
    }

    /// Hands a trigger over; an error is fit to be shown.
    pub(super) async fn post_trigger(&self, trigger: String) -> Result<Accepted, String> {
        let request = self.client.post(format!("{}/v1/triggers", self.base));
        let request = request.insert_header(("content-type", "application/json"));
        let mut answer = request.send_body(trigger).await.map_err(|error| {
            format!("the server at {} cannot be reached: {error} (is it running?)", self.base)
        })?;
        let status = answer.status();
        let body = answer.body().limit(ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| format!("the server's answer broke off: {error}"))?;
        let raw = String::from_utf8_lossy(&body).into_owned();
        if !status.is_success() {
            return Err(describe_refusal(status, &raw));
        }
        let document = serde_json::from_str(&raw)
            .map_err(|error| format!("{} does not answer like Hostline: {error}", self.base))?;
        Ok(Accepted { raw, document })
    }

    /// Asks for anything else; gives the answer as it came.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> Result<String, String> {
        let method = awc::http::Method::from_bytes(method.as_bytes());
        let method = method.map_err(|_| "the method is not one".to_owned())?;
        let request = self.client.request(method, format!("{}{path}", self.base));
        let sent = match body {
            Some(body) => {
                request.insert_header(("content-type", "application/json")).send_body(body).await
            }
            None => request.send().await,
        };
        let mut answer = sent.map_err(|error| {
            format!("the server at {} cannot be reached: {error} (is it running?)", self.base)
        })?;
        let body = answer.body().limit(ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| format!("the server's answer broke off: {error}"))?;
        let raw = String::from_utf8_lossy(&body).into_owned();
        match answer.status().is_success() {
            true => Ok(raw),
            false => Err(describe_refusal(answer.status(), &raw)),
        }
    }

    async fn delivery(&self, id: &str) -> Result<(String, DeliveryView), String> {
        let request = self.client.get(format!("{}/v1/deliveries/{id}", self.base));
        let mut answer = request.send().await.map_err(|error| error.to_string())?;
        let body = answer.body().limit(ANSWER_BYTES_MAX).await;
        let body = body.map_err(|error| error.to_string())?;
        let raw = String::from_utf8_lossy(&body).into_owned();
        if answer.status() != StatusCode::OK {
            return Err(describe_refusal(answer.status(), &raw));
        }
        let view = serde_json::from_str(&raw).map_err(|error| error.to_string())?;
        Ok((raw, view))
    }
}

impl Accepted {
    /// The answer in words, a delivery a line.
    pub(super) fn describe(&self) -> String {
        let mut text = format!("trigger {} accepted\n", self.document.trigger);
        for AcceptedDelivery { id, host, state } in &self.document.deliveries {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "delivery {id} to {host}: {state}");
        }
        text
    }
}

/// Watches the deliveries of a trigger until all have ended; whether all were delivered. Silent
/// but for one document at the end when JSON is wanted.
pub(super) async fn follow(
    server: &Server,
    accepted: &Accepted,
    json: bool,
) -> Result<bool, String> {
    if !json {
        say(&accepted.describe());
    }
    let mut all_delivered = true;
    let mut documents = Vec::new();
    for delivery in &accepted.document.deliveries {
        let mut progress = Progress::default();
        let (raw, view) = follow_one(server, &delivery.id, |view| {
            if !json {
                say(&progress.tell(view));
            }
        })
        .await?;
        all_delivered &= view.state == "delivered";
        documents.push(raw);
    }
    if json {
        let raw = |text: String| RawValue::from_string(text).map_err(|error| error.to_string());
        let deliveries: Vec<_> = documents.into_iter().map(raw).collect::<Result<_, _>>()?;
        let deliveries = serde_json::to_string(&deliveries).expect("raw JSON serialises");
        let trigger = serde_json::Value::from(accepted.document.trigger.as_str());
        say(&format!("{{\"trigger\":{trigger},\"deliveries\":{deliveries}}}\n"));
    }
    Ok(all_delivered)
}

async fn follow_one(
    server: &Server,
    id: &str,
    mut tell: impl FnMut(&DeliveryView),
) -> Result<(String, DeliveryView), String> {
    let mut pause = LOOK_FIRST;
    let mut failed_looks = 0;
    loop {
        match server.delivery(id).await {
            Ok((raw, view)) => {
                failed_looks = 0;
                tell(&view);
                if view.has_ended() {
                    return Ok((raw, view));
                }
            }
            Err(wrong) if failed_looks >= FAILED_LOOKS_MAX => {
                return Err(format!(
                    "lost sight of delivery {id}, which the server has accepted: {wrong}; ask \
                     {}/v1/deliveries/{id} later",
                    server.base
                ));
            }
            Err(_) => failed_looks += 1,
        }
        actix_rt::time::sleep(pause).await;
        pause = (pause * 2).min(LOOK_MAX);
    }
}

impl DeliveryView {
    fn has_ended(&self) -> bool {
        !matches!(self.state.as_str(), "scheduled" | "waiting" | "in_flight")
    }
}

/// What a person has been told, so that only news are.
#[derive(Default)]
struct Progress {
    attempt: u32,
    state: Option<(String, Option<String>)>,
}

impl Progress {
    fn tell(&mut self, view: &DeliveryView) -> String {
        let mut text = String::new();
        let last = self.attempt;
        for attempt in view.attempts.iter().filter(|attempt| attempt.number > last) {
            self.attempt = self.attempt.max(attempt.number);
            text.push_str(&attempt.describe());
        }
        // Neither the words nor the time: both may change with every look.
        let state = Some((view.state.clone(), view.waits_for.clone()));
        if self.state == state && text.is_empty() {
            return text;
        }
        self.state = state;
        // Writing to a string cannot fail.
        let _ = match (&view.reason, &view.next_attempt_at) {
            _ if view.has_ended() => {
                let reason = view.reason.as_deref().filter(|reason| !reason.is_empty());
                let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
                writeln!(text, "{} after {} attempt(s){reason}", view.state, view.attempts.len())
            }
            (Some(reason), Some(at)) => writeln!(text, "  {}: {reason} (next: {at})", view.state),
            (Some(reason), None) => writeln!(text, "  {}: {reason}", view.state),
            (None, Some(at)) => writeln!(text, "  {} (next: {at})", view.state),
            (None, None) => writeln!(text, "  {}", view.state),
        };
        text
    }
}

impl AttemptView {
    fn describe(&self) -> String {
        let status = self.status.map_or("not sent".into(), |status| status.to_string());
        let mut text = format!("  attempt {}: {status}", self.number);
        if let Some(timings) = &self.timings {
            let total_ms = timings.total_us as f64 / 1000.0;
            let _ = write!(text, " in {total_ms:.1} ms");
        }
        if let Some(at) = &self.started_at {
            let _ = write!(text, ", started {at}");
        }
        if let Some(reason) = self.reason.as_deref().filter(|reason| !reason.is_empty()) {
            let _ = write!(text, " ({reason})");
        }
        text.push('\n');
        text
    }
}

/// A problem document in words, else the status alone.
fn describe_refusal(status: StatusCode, raw: &str) -> String {
    let problem: ProblemView = serde_json::from_str(raw).unwrap_or_default();
    let mut text = format!("the server answered {status}");
    for part in [&problem.title, &problem.detail] {
        if !part.is_empty() {
            let _ = write!(text, ": {part}");
        }
    }
    for item in &problem.errors {
        let _ = write!(text, "\n  {}: {}", item.pointer, item.detail);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_news_are_told() {
        let view = |text: &str| serde_json::from_str::<DeliveryView>(text).expect("a view");
        let mut progress = Progress::default();
        let waiting = view(
            r#"{"state":"waiting","waits_for":"backoff","reason":"goes again in 60 s",
                "next_attempt_at":"2026-01-01T00:01:00Z","attempts":[
                {"number":1,"status":503,"timings":{"total_us":12500}}]}"#,
        );
        assert_eq!(
            progress.tell(&waiting),
            "  attempt 1: 503 in 12.5 ms\n  \
             waiting: goes again in 60 s (next: 2026-01-01T00:01:00Z)\n"
        );
        assert_eq!(progress.tell(&waiting), "");
        let ended = view(
            r#"{"state":"delivered","reason":"","attempts":[
                {"number":1,"status":503},{"number":2,"status":200}]}"#,
        );
        assert_eq!(progress.tell(&ended), "  attempt 2: 200\ndelivered after 2 attempt(s)\n");
        assert!(ended.has_ended() && !waiting.has_ended());
    }

    #[test]
    fn a_problem_document_is_told_in_words() {
        let raw = r#"{"title":"Not valid","detail":"1 error","status":422,
                      "errors":[{"pointer":"/webhook/url","detail":"is no URL"}]}"#;
        assert_eq!(
            describe_refusal(StatusCode::UNPROCESSABLE_ENTITY, raw),
            "the server answered 422 Unprocessable Entity: Not valid: 1 error\n  \
             /webhook/url: is no URL"
        );
        let bare = describe_refusal(StatusCode::BAD_GATEWAY, "<html>");
        assert_eq!(bare, "the server answered 502 Bad Gateway");
    }
}
