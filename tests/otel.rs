//! Spans go to a collector: OTLP over HTTP as JSON, in the very trace that a trigger names. Built
//! with the feature alone: `cargo test --features otel --test otel`.

mod process;

use std::time::{Duration, Instant};

use hostline::model::TraceParent;
use process::{PATIENCE, Receiver, Server};
use serde_json::{Value, json};

const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// A server whose spans go to a collector.
struct World {
    server: Server,
    collector: Receiver,
    _data: tempfile::TempDir,
}

impl World {
    fn new(set: &[&str], status: u16) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let collector = Receiver::start(move |_| (status, "", Duration::ZERO));
        let endpoint = format!("otel.endpoint={}", collector.url(""));
        let mut all = vec![endpoint.as_str(), "otel.service_name=shop"];
        all.extend(set);
        let server = Server::start(data.path(), &all);
        Self { server, collector, _data: data }
    }

    fn trigger(&self, url: &str, traceparent: Option<&str>) -> Value {
        let body = json!({ "webhook": { "url": url, "body": {} } }).to_string();
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(traceparent.map(|value| ("traceparent", value)));
        let answer = self.server.send("POST", "/v1/triggers", &headers, body.as_bytes());
        assert_eq!(answer.status, 202, "{}", answer.text());
        answer.json()
    }

    /// The spans that came, once there are so many.
    fn spans(&self, count: usize) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let spans: Vec<Value> = self.collector.arrivals().iter().flat_map(spans_of).collect();
            if spans.len() >= count {
                return spans;
            }
            assert!(started.elapsed() < PATIENCE, "{spans:?}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.server.get("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("it is shown");
        line.trim().parse().expect("a number")
    }
}

/// The spans of one export, whose form is looked at.
fn spans_of(arrival: &process::Arrival) -> Vec<Value> {
    assert_eq!((arrival.method.as_str(), arrival.path.as_str()), ("POST", "/v1/traces"));
    assert_eq!(arrival.headers["content-type"], "application/json");
    let document: Value = serde_json::from_slice(&arrival.body).expect("JSON");
    let resource = &document["resourceSpans"][0];
    assert_eq!(attribute(&resource["resource"], "service.name"), "shop");
    let scope = &resource["scopeSpans"][0];
    assert_eq!(scope["scope"]["name"], "hostline");
    scope["spans"].as_array().expect("a list").clone()
}

/// The value of an attribute, whatever its kind; null where there is none.
fn attribute(of: &Value, key: &str) -> Value {
    let attributes = of["attributes"].as_array().expect("a list");
    let found = attributes.iter().find(|attribute| attribute["key"] == key);
    let value = found.and_then(|attribute| attribute["value"].as_object());
    value.and_then(|value| value.values().next()).cloned().unwrap_or_default()
}

fn of_kind(spans: &[Value], kind: u64) -> Vec<&Value> {
    spans.iter().filter(|span| span["kind"] == kind).collect()
}

#[test]
fn a_trigger_and_its_attempts_are_spans_of_the_callers_trace() {
    let world = World::new(&["retry.base=10ms", "retry.jitter=0"], 200);
    let replies =
        |number| if number == 0 { (500, "", Duration::ZERO) } else { (200, "", Duration::ZERO) };
    let receiver = Receiver::start(replies);
    let answer = world.trigger(&receiver.url("/secret/path?token=1"), Some(CALLER));
    let spans = world.spans(3);
    let (server, client) = (of_kind(&spans, 2), of_kind(&spans, 3));
    assert_eq!((server.len(), client.len()), (1, 2), "{spans:?}");

    let accepted = server[0];
    assert_eq!(accepted["traceId"], CALLER[3..35]);
    assert_eq!(accepted["parentSpanId"], CALLER[36..52]);
    assert_eq!(accepted["name"], "POST /v1/triggers");
    assert_eq!(attribute(accepted, "http.response.status_code"), "202");
    assert_eq!(attribute(accepted, "hostline.trigger.id"), answer["trigger"]);

    for (span, arrival) in client.iter().zip(receiver.arrivals()) {
        assert_eq!(
            (&span["traceId"], &span["parentSpanId"]),
            (&accepted["traceId"], &accepted["spanId"])
        );
        let sent = TraceParent::parse(&arrival.headers["traceparent"]).expect("a header");
        assert_eq!(span["spanId"], format!("{:016x}", sent.span), "the receiver is under it");
        assert_eq!(format!("{:032x}", sent.trace), CALLER[3..35]);
        assert_eq!(attribute(span, "server.address"), "127.0.0.1");
        assert_eq!(attribute(span, "hostline.delivery.id"), arrival.id);
        let number = |key: &str| span[key].as_str().expect("a text").parse::<u64>().expect("ns");
        assert!(number("startTimeUnixNano") < number("endTimeUnixNano"));
        assert!(!span.to_string().contains("secret"), "{span}");
    }
    let status = |span: &Value| attribute(span, "http.response.status_code");
    assert_eq!((status(client[0]), status(client[1])), (json!("500"), json!("200")));
    assert_eq!(attribute(client[0], "error.type"), "500");
    assert_eq!((&client[0]["status"]["code"], &client[1]["status"]), (&json!(2), &Value::Null));
    assert_eq!(attribute(client[0], "http.request.resend_count"), Value::Null);
    assert_eq!(attribute(client[1], "http.request.resend_count"), "1");
    assert_ne!(client[0]["spanId"], client[1]["spanId"]);
}

#[test]
fn what_its_caller_does_not_record_is_passed_on_untouched() {
    let world = World::new(&[], 200);
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    let unrecorded = CALLER.replace("3331-01", "3331-00");
    world.trigger(&receiver.url("/"), Some(&unrecorded));
    receiver.wait_for(1);
    assert_eq!(receiver.arrivals()[0].headers["traceparent"], unrecorded);
    // One without a trace begins one; it is the first that is recorded.
    world.trigger(&receiver.url("/"), None);
    let spans = world.spans(2);
    let accepted = of_kind(&spans, 2)[0];
    assert_eq!((spans.len(), &accepted["parentSpanId"]), (2, &Value::Null));
    assert_ne!(accepted["traceId"], CALLER[3..35]);
}

#[test]
fn a_ratio_of_nothing_begins_no_trace() {
    let world = World::new(&["otel.sample_ratio=0"], 200);
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    for _ in 0..20 {
        world.trigger(&receiver.url("/"), None);
    }
    receiver.wait_for(20);
    assert!(receiver.arrivals().iter().all(|arrival| !arrival.headers.contains_key("traceparent")));
    world.trigger(&receiver.url("/"), Some(CALLER));
    assert!(world.spans(2).iter().all(|span| span["traceId"] == CALLER[3..35]));
}

#[test]
fn a_collector_that_takes_nothing_costs_spans_and_no_delivery() {
    let world = World::new(&[], 400);
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    for _ in 0..10 {
        world.trigger(&receiver.url("/"), Some(CALLER));
    }
    receiver.wait_for(10);
    let started = Instant::now();
    while world.metric("hostline_spans_dropped_total") < 20 {
        assert!(started.elapsed() < PATIENCE, "spans are not counted");
        std::thread::park_timeout(Duration::from_millis(20));
    }
    assert_eq!(world.metric("hostline_spans_exported_total"), 0);
}

#[test]
fn a_stop_sends_what_is_left() {
    let world = World::new(&[], 200);
    let receiver = Receiver::start(|_| (200, "", Duration::ZERO));
    world.trigger(&receiver.url("/"), Some(CALLER));
    receiver.wait_for(1);
    let World { server, collector, _data } = world;
    assert_eq!(server.terminate(), Some(0));
    let spans: Vec<Value> = collector.arrivals().iter().flat_map(spans_of).collect();
    assert_eq!(spans.len(), 2, "{spans:?}");
}
