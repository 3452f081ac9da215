//! What comes in from callers: what is let in is valid, and is kept as it was meant.

use std::sync::Arc;

use actix_web::{App, dev, test};
use bytes::Bytes;
use futures::executor::block_on;
use futures::stream::{self, LocalBoxStream};
use hostline::admission::{Admission, Admitted, Draft, Origin, Refusal, parse_idempotency_key};
use hostline::api::{self, Api};
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::model::{HostName, Target, Timestamp, Webhook};
use hostline::store::memory::MemoryStore;
use hostline::store::{DeliveryFilter, DeliveryRecord, QueryStore, StoreLimits};
use serde_json::{Value, json};

use crate::engine::FakeEngine;
use crate::targets::documents::at_a_place;
use crate::targets::{kept, note};

/// Of headers that the sender writes: none may come from a caller.
const OURS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

pub struct Door {
    pub store: Arc<MemoryStore>,
    pub engine: Arc<FakeEngine>,
    pub settings: Arc<Settings>,
    pub clock: Clock,
}

impl Door {
    pub fn new() -> Self {
        Self::at(Clock::system())
    }

    /// A door whose time is `clock`'s.
    pub fn at(clock: Clock) -> Self {
        let mut settings = Settings::default();
        settings.sender.ports = Vec::new();
        settings.secrets.insert("main".into(), Vec::new());
        let store = MemoryStore::new(StoreLimits { max_pending: 1_000_000 });
        let engine = FakeEngine::new(store.clone(), clock.wall(), &settings);
        Self { store, engine, settings: Arc::new(settings), clock }
    }

    fn admission(&self) -> Admission {
        let (store, engine) = (self.store.clone(), self.engine.clone());
        Admission::new(store, engine, self.settings.clone(), self.clock.clone())
    }

    /// All that was let in, newest first.
    pub fn records(&self) -> Vec<DeliveryRecord> {
        let page = block_on(self.store.list(DeliveryFilter::default(), None, 1000));
        let rows = page.expect("memory lists").rows;
        let whole = |row: &DeliveryRecord| {
            block_on(self.store.find(row.id)).expect("memory finds").expect("it was listed")
        };
        rows.iter().map(whole).collect()
    }
}

fn admit(data: &[u8]) -> (Door, Result<Admitted, Refusal>) {
    let door = Door::new();
    let result = admit_at(&door, data);
    (door, result)
}

/// What is to be composed is another room's affair, and refused here.
fn admit_at(door: &Door, data: &[u8]) -> Result<Admitted, Refusal> {
    let (admission, request) = (door.admission(), Bytes::copy_from_slice(data));
    let opened = admission.open(&request, &Origin::default())?;
    match opened.draft {
        Draft::Plain(webhooks, envelope) => {
            block_on(admission.admit(&request, (webhooks, envelope), opened.now))
        }
        Draft::Composed(..) => Err(Refusal::invalid("", "is to be composed")),
    }
}

/// One trigger.
pub fn trigger(data: &[u8]) {
    let door = Door::new();
    let before = door.clock.wall();
    let result = admit_at(&door, data);
    match result {
        Ok(admitted) => {
            let answer: Value = serde_json::from_slice(&admitted.answer).expect("JSON");
            let listed = answer["deliveries"].as_array().expect("a list").len();
            let records = door.records();
            assert_eq!((listed, admitted.deliveries), (records.len(), records.len()));
            assert!(!records.is_empty() && !admitted.replayed);
            records.iter().for_each(|record| accepted(record, before));
            let again = admit_at(&door, data);
            assert!(again.is_ok(), "the same again: {again:?}");
            note("accepted");
        }
        Err(Refusal::Malformed { detail, .. }) => {
            assert!(!detail.is_empty());
            assert!(serde_json::from_slice::<Value>(data).is_err(), "it is JSON: {detail}");
        }
        Err(Refusal::Invalid(error) | Refusal::TooLarge(error)) => {
            at_a_place(data, &error.pointer);
            assert!(!error.detail.is_empty());
            note(&error.detail);
        }
        Err(other) => panic!("refused as {other:?}"),
    }
    if door.records().is_empty() {
        return;
    }
    assert!(std::str::from_utf8(data).is_ok(), "what was let in is text");
}

/// What was let in is fit to be sent, and is kept so.
fn accepted(record: &DeliveryRecord, before: Timestamp) {
    let webhook = &record.webhook;
    target(&webhook.target);
    assert_eq!(&record.host, webhook.target.host());
    for header in &webhook.headers {
        let name = header.name.as_str();
        let is_token =
            |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        assert!(!name.is_empty() && name.bytes().all(is_token), "{name:?}");
        assert_eq!(name, name.to_ascii_lowercase());
        assert!(!OURS.contains(&name), "{name} is ours");
        let is_plain = |byte: u8| byte == b'\t' || byte >= b' ' && byte != 0x7f;
        assert!(header.value.bytes().all(is_plain), "{:?}", header.value);
    }
    assert!(webhook.body.len() <= Settings::default().server.max_body);
    assert!(record.accepted >= before && record.due >= record.accepted);
    assert!(record.expires > record.due, "{:?} expires {:?}", record.due, record.expires);
    let key = record.ordering_key.as_ref().map_or(1, |key| key.chars().count());
    assert!((1..=256).contains(&key));
    assert!(record.metadata.len() <= 32);
    kept::keeps(record);
}

fn target(target: &Target) {
    let url = target.as_str();
    assert_eq!(Target::from_vetted(url).as_ref(), Some(target), "{url} is normal already");
    assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url:?} fits a request line");
    assert!(target.path_and_query().starts_with('/'));
    assert!(!target.authority().contains(['@', '/', '#', '?', '\\']), "{url}");
    assert!(!url.contains('#') && target.port() != 0);
    host(target.host());
}

/// A normal name is its own normal form.
fn host(name: &HostName) {
    let text = name.as_str();
    // Operators who name a scheme's port mean the host without it, so that the other scheme's
    // hosts on that port cannot be named.
    if text.ends_with(":80") || text.ends_with(":443") {
        return;
    }
    assert_eq!(HostName::parse(text).as_ref(), Some(name), "{text} is normal already");
    assert_eq!(text, text.to_ascii_lowercase());
    assert!(!text.is_empty() && !text.contains(['/', '@', '?', '#', ' ']), "{text:?}");
    assert!(text.starts_with(name.without_port()) && !name.without_port().ends_with('.'), "{text}");
    assert!(name.shard() < 1024);
}

/// Many triggers, a line each.
pub fn ndjson(data: &[u8]) {
    let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).collect();
    let lines: Vec<&[u8]> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    let whole = batch(data, data.len().max(1));
    // However the network cuts it, the lines are the same.
    let cut = 1 + data.len() % 7;
    let pieces = batch(data, cut);
    assert_eq!(whole.0, pieces.0, "in pieces of {cut}");
    let (status, answer, accepted) = whole;
    if lines.is_empty() {
        assert!((400..500).contains(&status), "{status}: {answer}");
        return;
    }
    assert!([202, 207].contains(&status), "{status}: {answer}");
    let items = answer["data"].as_array().expect("a list");
    assert_eq!(items.len(), lines.len(), "each line is answered for");
    for (index, item) in items.iter().enumerate() {
        assert_eq!(item["index"], index);
        let is_problem = item["problem"].is_object();
        note(item["problem"]["detail"].as_str().unwrap_or("accepted"));
        assert_ne!(is_problem, item["trigger"].is_string(), "{item}");
    }
    let refused = items.iter().filter(|item| item["problem"].is_object()).count();
    assert_eq!(answer["refused"], refused);
    assert_eq!(answer["accepted"], items.len() - refused);
    let listed = items.iter().filter_map(|item| item["deliveries"].as_array());
    // Keys that come twice are replayed or refused; without them each line stands for itself.
    if data.windows(4).any(|window| window == b"_key") {
        return;
    }
    assert_eq!(listed.map(Vec::len).sum::<usize>(), accepted);
    for (line, item) in lines.iter().zip(items) {
        assert_eq!(admit(line).1.is_err(), item["problem"].is_object(), "{item}");
    }
}

/// Status, answer, and how many deliveries came in.
fn batch(data: &[u8], piece: usize) -> (u16, Value, usize) {
    let pieces: Vec<_> =
        data.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    actix_rt::System::new().block_on(async move {
        let door = Door::new();
        let api = Api::new(
            door.store.clone(),
            door.engine.clone(),
            door.settings.clone(),
            door.clock.clone(),
        );
        futures::executor::block_on(api.composers().open(0)).expect("the catalog opens");
        let app = test::init_service(App::new().configure(api::configure(api))).await;
        let request = test::TestRequest::post().uri("/v1/triggers/batch");
        let request = request.insert_header(("content-type", "application/x-ndjson")).to_request();
        let pieces: LocalBoxStream<'static, _> = Box::pin(stream::iter(pieces));
        let payload = dev::Payload::Stream { payload: pieces };
        let (request, _) = request.replace_payload(payload);
        let response = test::call_service(&app, request).await;
        let status = response.status().as_u16();
        let body = test::read_body(response).await;
        let answer = serde_json::from_slice(&body).expect("JSON");
        (status, answer, door.records().len())
    })
}

/// A URL, and a host as operators name it.
pub fn url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Some(name) = HostName::parse(&text) {
        host(&name);
    }
    let ask = |url: &str| admit(json!({ "webhook": { "url": url } }).to_string().as_bytes());
    let (door, result) = ask(&text);
    if let Err(refusal) = result {
        return note(&refusal.to_string());
    }
    note("accepted");
    let webhook: Arc<Webhook> = door.records()[0].webhook.clone();
    target(&webhook.target);
    let (door, again) = ask(webhook.target.as_str());
    assert!(again.is_ok(), "what it was made into is refused: {again:?}");
    assert_eq!(door.records()[0].webhook.target, webhook.target);
}

/// The header `Idempotency-Key`.
pub fn idempotency_key(data: &[u8]) {
    let key = match parse_idempotency_key(data) {
        Ok(key) => key,
        Err(detail) => return note(detail),
    };
    note("a key");
    assert!((1..=255).contains(&key.len()), "{key:?}");
    assert!(key.bytes().all(|byte| byte.is_ascii_graphic()), "{key:?}");
    let quoted = format!("\"{}\"", key.replace('\\', "\\\\").replace('"', "\\\""));
    assert_eq!(parse_idempotency_key(quoted.as_bytes()).as_ref(), Ok(&key));
    if !key.starts_with('"') {
        assert_eq!(parse_idempotency_key(key.as_bytes()).as_ref(), Ok(&key));
    }
}
