//! A trigger that `send` hands over, and its deliveries, which it follows to their end.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::output::say;
use super::server::{Server, Unanswered, part};

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

/// Hands a trigger over; an error is fit to be shown.
pub(super) async fn hand_over(server: &Server, trigger: String) -> Result<Accepted, String> {
    let raw = server.ask("POST", "/v1/triggers", Some(trigger)).await?;
    let document = server.read(&raw)?;
    Ok(Accepted { raw, document })
}

async fn look(server: &Server, id: &str) -> Result<(String, DeliveryView), Unanswered> {
    let raw = server.ask("GET", &format!("/v1/deliveries/{}", part(id)), None).await?;
    let view = server.read(&raw)?;
    Ok((raw, view))
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
        match look(server, id).await {
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
                    server.url()
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
}
