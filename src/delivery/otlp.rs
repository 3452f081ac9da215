//! Sends spans to a collector: OTLP over HTTP, as JSON. A batch goes when it is full, or a second
//! after its first span.
//!
//! Written by hand, and not with `opentelemetry-otlp`: that brings a client of its own, some sixty
//! crates and a change of interface with every release, for one request whose format is a standard.
//! What a collector does not take is offered once more and then counted and forgotten.

use std::sync::atomic::Ordering;
use std::time::Duration;

use awc::http::StatusCode;
use awc::http::header::CONTENT_TYPE;
use futures::channel::oneshot;
use futures::future::{Either, select};
use serde_json::{Value as Json, json};

use super::spans::{Ended, Span, SpanKind, Value};
use crate::config::Otel;

/// Spans of one request: about 300 KiB of JSON.
const BATCH: usize = 512;
/// How long a span waits for company.
const LINGER: Duration = Duration::from_secs(1);
/// How long a collector may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a collector's answer that are read: it says next to nothing.
const ANSWER_MAX: usize = 64 << 10;
/// Pause before a batch is offered again.
const AGAIN: Duration = Duration::from_secs(1);
/// How long a stop waits for what is left to be sent.
const LAST: Duration = Duration::from_secs(2);

/// The export while it runs.
pub struct Export {
    stop: oneshot::Sender<()>,
    task: actix_rt::task::JoinHandle<()>,
}

impl Export {
    /// Begins to send what ends up in the queue, on this thread.
    pub fn start(otel: &Otel, ended: Ended) -> Option<Self> {
        let (stop, stopping) = oneshot::channel();
        let exporter = Exporter {
            url: format!("{}/v1/traces", otel.endpoint.as_deref()?),
            service_name: otel.service_name.clone(),
            client: awc::Client::builder().timeout(TIMEOUT).disable_redirects().finish(),
            ended,
            complained: false,
        };
        Some(Self { stop, task: actix_rt::spawn(exporter.run(stopping)) })
    }

    /// Sends what is left, if the collector takes it soon.
    pub async fn finish(self) {
        let _ended = self.stop.send(());
        let _late = actix_rt::time::timeout(LAST, self.task).await;
    }
}

struct Exporter {
    url: String,
    service_name: String,
    client: awc::Client,
    ended: Ended,
    /// Whether the log says already that the collector takes nothing.
    complained: bool,
}

impl Exporter {
    async fn run(mut self, mut stopping: oneshot::Receiver<()>) {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            let stops = match select(&mut stopping, Box::pin(self.gather(&mut batch))).await {
                Either::Left(_) => true,
                Either::Right((open, _)) => !open,
            };
            if stops {
                break;
            }
            self.send(&mut batch).await;
        }
        self.ended.spans.close();
        while let Ok(span) = self.ended.spans.try_recv() {
            batch.push(span);
            if batch.len() >= BATCH {
                self.send(&mut batch).await;
            }
        }
        self.send(&mut batch).await;
    }

    /// Takes a batch; answers whether more may come.
    async fn gather(&mut self, batch: &mut Vec<Span>) -> bool {
        let spans = &mut self.ended.spans;
        let Some(first) = spans.recv().await else { return false };
        batch.push(first);
        let mut full = std::pin::pin!(async {
            while batch.len() < BATCH {
                let Some(span) = spans.recv().await else { return };
                batch.push(span);
            }
        });
        let _lingered = actix_rt::time::timeout(LINGER, full.as_mut()).await;
        true
    }

    /// Sends a batch, which is empty afterwards.
    async fn send(&mut self, batch: &mut Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        let body = document(&self.service_name, batch).to_string();
        let mut outcome = self.offer(body.clone()).await;
        if outcome.as_ref().is_err_and(|refused| refused.again) {
            actix_rt::time::sleep(AGAIN).await;
            outcome = self.offer(body).await;
        }
        let count = batch.len() as u64;
        batch.clear();
        match outcome {
            Ok(()) => {
                self.complained = false;
                self.ended.counts.exported.fetch_add(count, Ordering::Relaxed);
            }
            Err(Refused { why, .. }) => {
                self.ended.counts.dropped.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.complained, true) {
                    log::warn!(
                        why = why.as_str();
                        "the collector of traces takes no spans; they are dropped"
                    );
                }
            }
        }
    }

    async fn offer(&self, body: String) -> Result<(), Refused> {
        let request = self.client.post(&self.url).insert_header((CONTENT_TYPE, "application/json"));
        let answered = request.send_body(body).await;
        let mut answer = match answered {
            Ok(answer) => answer,
            Err(error) => return Err(Refused { why: error.to_string(), again: true }),
        };
        // Read, so that the connection serves the next batch too.
        let rest = answer.body().limit(ANSWER_MAX);
        let _read = actix_rt::time::timeout(TIMEOUT, rest).await;
        match answer.status() {
            status if status.is_success() => Ok(()),
            status => {
                let again = [
                    StatusCode::TOO_MANY_REQUESTS,
                    StatusCode::BAD_GATEWAY,
                    StatusCode::SERVICE_UNAVAILABLE,
                    StatusCode::GATEWAY_TIMEOUT,
                ];
                Err(Refused { why: status.to_string(), again: again.contains(&status) })
            }
        }
    }
}

/// Why a batch was not taken, and whether to offer it again (as the protocol says).
struct Refused {
    why: String,
    again: bool,
}

/// An `ExportTraceServiceRequest`.
fn document(service_name: &str, spans: &[Span]) -> Json {
    let version = env!("CARGO_PKG_VERSION");
    let resource = [
        ("service.name", Value::Text(service_name.into())),
        ("service.version", Value::Text(version.into())),
    ];
    json!({ "resourceSpans": [{
        "resource": { "attributes": attributes(&resource) },
        "scopeSpans": [{
            "scope": { "name": "hostline", "version": version },
            "spans": spans.iter().map(span).collect::<Vec<_>>(),
        }],
    }] })
}

fn span(span: &Span) -> Json {
    // Numbers of 64 bits are strings in JSON.
    let began_ns = i128::from(span.began.as_millis()) * 1_000_000;
    let ended_ns = began_ns + span.took.as_nanos() as i128;
    let mut document = json!({
        "traceId": format!("{:032x}", span.context.trace),
        "spanId": format!("{:016x}", span.context.span),
        "name": span.name,
        "kind": match span.kind { SpanKind::Server => 2, SpanKind::Client => 3 },
        "startTimeUnixNano": began_ns.to_string(),
        "endTimeUnixNano": ended_ns.to_string(),
        "attributes": attributes(&span.attributes),
    });
    if let Some(parent) = span.parent {
        document["parentSpanId"] = format!("{parent:016x}").into();
    }
    if let Some(error) = &span.error {
        document["status"] = json!({ "code": 2, "message": error });
    }
    document
}

fn attributes(attributes: &[(&'static str, Value)]) -> Json {
    let one = |(key, value): &(&str, Value)| {
        let value = match value {
            Value::Text(text) => json!({ "stringValue": text }),
            Value::Whole(number) => json!({ "intValue": number.to_string() }),
        };
        json!({ "key": key, "value": value })
    };
    attributes.iter().map(one).collect()
}
