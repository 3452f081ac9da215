//! Spans of traces: one for each trigger that came in, and under it one for each attempt. A trace
//! that the trigger's caller began is carried on where its flag says that it is recorded; of those
//! that begin here a part is.
//!
//! A span that ended goes into a bounded queue, which whoever exports it empties. A full queue costs
//! the span and never a wait: what is sent does not depend on who looks on. Where nobody exports,
//! there is no tracer, and a `traceparent` is passed on as it came.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::future::LocalBoxFuture;
use tokio::sync::mpsc;

use super::sender::{AttemptRequest, Report, Sender};
use crate::clock::Clock;
use crate::config::Otel;
use crate::model::{HostName, Outcome, Timestamp, TraceParent};

/// Spans that wait to be exported: about a megabyte, and a second of 4,000 attempts.
const QUEUE: usize = 4096;
/// The header that names a trace.
const TRACEPARENT: &str = "traceparent";

/// From which side a span sees its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// It was asked for.
    Server,
    /// It was made.
    Client,
}

/// A value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A text.
    Text(String),
    /// A number.
    Whole(u64),
}

/// Attributes by name.
pub type Attributes = Vec<(&'static str, Value)>;

/// A span that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its trace and its own id.
    pub context: TraceParent,
    /// The span that it is part of; `None` where it began the trace.
    pub parent: Option<u64>,
    /// What was done.
    pub name: String,
    /// From which side.
    pub kind: SpanKind,
    /// When it began.
    pub began: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// What is known of it. Never a path, a query or a body: they may hold secrets.
    pub attributes: Attributes,
    /// Why it failed; `None` where it did not.
    pub error: Option<String>,
}

/// A span that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    tracer: Tracer,
    context: TraceParent,
    parent: Option<u64>,
    began: Timestamp,
}

/// Begins spans. Clones share the queue; the default one begins none.
#[derive(Clone, Debug, Default)]
pub struct Tracer(Option<Arc<Parts>>);

#[derive(Debug)]
struct Parts {
    ratio: f64,
    queue: mpsc::Sender<Span>,
    counts: Arc<SpanCounts>,
}

/// What became of spans.
#[derive(Debug, Default)]
pub struct SpanCounts {
    /// A collector has them.
    pub exported: AtomicU64,
    /// The queue was full, or no collector took them.
    pub dropped: AtomicU64,
}

/// The other end of a tracer's queue.
#[derive(Debug)]
pub struct Ended {
    /// Spans in the order of their ends.
    pub spans: mpsc::Receiver<Span>,
    /// To be counted on.
    pub counts: Arc<SpanCounts>,
}

impl Tracer {
    /// A tracer as the settings want it, and what it was told.
    pub fn open(otel: &Otel) -> (Self, Option<Ended>) {
        if otel.endpoint.is_none() || cfg!(not(feature = "otel")) {
            return (Self::default(), None);
        }
        let (queue, spans) = mpsc::channel(QUEUE);
        let counts = Arc::<SpanCounts>::default();
        let parts = Parts { ratio: otel.sample_ratio, queue, counts: counts.clone() };
        (Self(Some(Arc::new(parts))), Some(Ended { spans, counts }))
    }

    /// Whether spans are made at all.
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Spans that were exported, and that were dropped.
    pub fn counts(&self) -> (u64, u64) {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = self.0.as_ref().map(|parts| &parts.counts);
        counts.map_or((0, 0), |counts| (read(&counts.exported), read(&counts.dropped)))
    }

    /// Carries on the trace that a caller names, or begins one. `None` where it is not recorded.
    pub fn accept(&self, caller: Option<TraceParent>, now: Timestamp) -> Option<Begun> {
        let parts = self.0.as_ref()?;
        let recorded = caller.map_or_else(|| fastrand::f64() < parts.ratio, |it| it.sampled);
        recorded.then_some(())?;
        let trace = caller.map_or_else(|| fastrand::u128(1..), |caller| caller.trace);
        let context = TraceParent { trace, span: fastrand::u64(1..), sampled: true };
        let parent = caller.map(|caller| caller.span);
        Some(Begun { tracer: self.clone(), context, parent, began: now })
    }

    /// Begins the span of an attempt whose webhook is of a recorded trace, and puts it into the
    /// webhook that is sent.
    fn attempt(&self, request: &mut AttemptRequest, now: Timestamp) -> Option<Begun> {
        let is_trace = |name: &str| name == TRACEPARENT;
        let headers = &request.webhook.headers;
        let place = headers.iter().position(|header| is_trace(&header.name))?;
        let parent = TraceParent::parse(&headers[place].value).filter(|parent| parent.sampled)?;
        let context = parent.under(fastrand::u64(1..));
        Arc::make_mut(&mut request.webhook).headers[place].value = context.to_string();
        Some(Begun { tracer: self.clone(), context, parent: Some(parent.span), began: now })
    }
}

impl Begun {
    /// What is to be passed on, so that what follows is under this span.
    pub fn context(&self) -> TraceParent {
        self.context
    }

    /// Ends it.
    pub fn end(
        self,
        (name, kind): (String, SpanKind),
        took: Duration,
        attributes: Attributes,
        error: Option<String>,
    ) {
        let Some(parts) = &self.tracer.0 else { return };
        let Self { context, parent, began, .. } = self;
        let span = Span { context, parent, name, kind, began, took, attributes, error };
        if parts.queue.try_send(span).is_err() {
            parts.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A sender whose attempts are spans.
pub struct TracedSender<S> {
    inner: S,
    tracer: Tracer,
    clock: Clock,
    host: HostName,
}

impl<S: Sender> TracedSender<S> {
    /// The same sender, with spans.
    pub fn new(inner: S, tracer: Tracer, clock: Clock, host: HostName) -> Self {
        Self { inner, tracer, clock, host }
    }
}

impl<S: Sender> Sender for TracedSender<S> {
    fn attempt(&self, mut request: AttemptRequest) -> LocalBoxFuture<'static, Report> {
        let Some(begun) = self.tracer.attempt(&mut request, self.clock.wall()) else {
            return self.inner.attempt(request);
        };
        let mut attributes = about(&request, &self.host);
        let method = request.webhook.method.as_str().to_owned();
        let (id, number) = (request.id, request.number);
        let attempt = self.inner.attempt(request);
        Box::pin(async move {
            let report = attempt.await;
            let error = judge(&report.outcome, &mut attributes);
            let TraceParent { trace, span, .. } = begun.context();
            log::debug!(
                delivery:% = id, attempt = number, trace:% = format_args!("{trace:032x}"),
                span:% = format_args!("{span:016x}"); "attempt ended"
            );
            let took = Duration::from_micros(report.timings.total_us);
            begun.end((method, SpanKind::Client), took, attributes, error);
            report
        })
    }
}

/// What is known before the answer, by the names of OpenTelemetry's conventions where it has one.
fn about(request: &AttemptRequest, host: &HostName) -> Attributes {
    let target = &request.webhook.target;
    let mut attributes = vec![
        ("http.request.method", Value::Text(request.webhook.method.as_str().into())),
        ("server.address", Value::Text(host.without_port().into())),
        ("server.port", Value::Whole(u64::from(target.port()))),
        ("hostline.delivery.id", Value::Text(request.id.to_string())),
        ("hostline.workspace", Value::Whole(u64::from(request.workspace))),
    ];
    if request.number > 1 {
        let count = u64::from(request.number - 1);
        attributes.push(("http.request.resend_count", Value::Whole(count)));
    }
    attributes
}

/// Adds what came of it; answers why it failed, if it did.
fn judge(outcome: &Outcome, attributes: &mut Attributes) -> Option<String> {
    let (word, kind, error) = match outcome {
        Outcome::Answered(answer) => {
            let status = u64::from(answer.status);
            attributes.push(("http.response.status_code", Value::Whole(status)));
            let failed = !(200..300).contains(&answer.status);
            ("answered", failed.then(|| status.to_string()), failed.then(String::new))
        }
        Outcome::NoAnswer { reason, timed_out } => {
            let kind = if *timed_out { "timeout" } else { "no_answer" };
            ("no_answer", Some(kind.into()), Some(reason.clone()))
        }
        Outcome::Unprepared { reason } => {
            ("unprepared", Some("unprepared".into()), Some(reason.clone()))
        }
        Outcome::Blocked { reason } => ("blocked", Some("blocked".into()), Some(reason.clone())),
    };
    attributes.push(("hostline.outcome", Value::Text(word.into())));
    attributes.extend(kind.map(|kind| ("error.type", Value::Text(kind))));
    error
}
