//! A front end whose time is moved by hand, over either store, that can be started anew.

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, test, web};
use bytes::Bytes;
use hostline::api::{self, Api};
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::model::{
    Answer as Received, Attempt, DeliveryId, End, Outcome, Settlement, Timestamp, Timings, Verdict,
};
use hostline::store::embedded::EmbeddedStore;
use hostline::store::{DeliveryRecord, Store, StoreLimits};
use serde_json::{Value, json};

use super::engine::FakeEngine;
use super::faults::FaultyStore;
use super::house::{Answer, NOW, post};

/// Deliveries that may wait at once.
const LIMITS: StoreLimits = StoreLimits { max_pending: 100_000 };
/// Ticks after which whatever is due should have been moved on.
const TICKS_MAX: usize = 100;

thread_local! {
    /// Whether the runtime's time stands still; each test has a thread and a runtime of its own.
    static PAUSED: Cell<bool> = const { Cell::new(false) };
}

fn pause() {
    if !PAUSED.replace(true) {
        tokio::time::pause();
    }
}

/// Which store a world is over.
#[derive(Clone, Copy, Debug)]
pub enum Kept {
    InMemory,
    OnDisk,
}

/// Both, for what a store might do in its own way.
pub const BOTH: [Kept; 2] = [Kept::InMemory, Kept::OnDisk];

pub struct World {
    pub store: Arc<dyn Store>,
    /// The same store, where it is one that can fail.
    pub faulty: Option<Arc<FaultyStore>>,
    pub engine: Arc<FakeEngine>,
    pub settings: Settings,
    pub api: web::Data<Api>,
    clock: Clock,
    _directory: Option<tempfile::TempDir>,
}

impl World {
    /// The composer of the default workspace.
    pub fn composer(&self) -> std::sync::Arc<hostline::compose::Composer> {
        self.api.composers().of(0).expect("it is open")
    }

    /// A world over the memory store.
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn of(kept: Kept) -> Self {
        match kept {
            Kept::InMemory => Self::new().await,
            Kept::OnDisk => Self::embedded().await,
        }
    }

    pub async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        pause();
        let store = FaultyStore::new(LIMITS);
        let faulty = Some(store.clone());
        Self::over(store, faulty, None, change).await
    }

    /// A world over the store that keeps what it takes.
    pub async fn embedded() -> Self {
        pause();
        let directory = tempfile::tempdir().expect("a directory");
        let store = EmbeddedStore::open(directory.path(), LIMITS, 4 << 20, Clock::system());
        Self::over(store.expect("opens"), None, Some(directory), |_| {}).await
    }

    async fn over(
        store: Arc<dyn Store>,
        faulty: Option<Arc<FaultyStore>>,
        directory: Option<tempfile::TempDir>,
        change: impl FnOnce(&mut Settings),
    ) -> Self {
        let mut settings = Settings::default();
        change(&mut settings);
        let engine = FakeEngine::new(store.clone(), NOW, &settings);
        let clock = Clock::of_runtime(NOW);
        let shared = Arc::new(settings.clone());
        let api = Api::new(store.clone(), engine.clone(), shared, clock.clone());
        api.composers().open(0).await.expect("the catalog opens");
        Self { store, faulty, engine, settings, api, clock, _directory: directory }
    }

    /// Another process over the same store, as after a crash: what was in memory is gone.
    pub async fn restart(&mut self) {
        self.restart_with(|_| {}).await;
    }

    pub async fn restart_with(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        let settings = Arc::new(self.settings.clone());
        self.engine = FakeEngine::new(self.store.clone(), NOW, &self.settings);
        let (store, clock) = (self.store.clone(), self.clock.clone());
        self.api = Api::new(store, self.engine.clone(), settings, clock);
        self.api.composers().open(0).await.expect("the catalog opens");
    }

    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Lets time pass, then moves on what is due.
    pub async fn pass(&self, time: Duration) {
        tokio::time::advance(time).await;
        self.settle_down().await;
    }

    /// Moves on what is due until nothing is.
    pub async fn settle_down(&self) {
        for _ in 0..TICKS_MAX {
            match self.tick().await {
                Some(next) if next <= self.now() => {}
                _ => return,
            }
        }
        panic!("something is due again and again");
    }

    /// One look at what is due.
    pub async fn tick(&self) -> Option<Timestamp> {
        self.composer().tick().await.expect("the store works")
    }

    pub async fn send(&self, request: test::TestRequest) -> Answer {
        let app = App::new().configure(api::configure(self.api.clone()));
        let app = test::init_service(app).await;
        let response = test::call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body: Bytes = test::read_body(response).await;
        Answer { status, headers, text: String::from_utf8(body.to_vec()).expect("text") }
    }

    pub async fn get(&self, uri: &str) -> Answer {
        self.send(test::TestRequest::get().uri(uri)).await
    }

    /// What a route that must be there answers.
    pub async fn see(&self, uri: &str) -> Value {
        let answer = self.get(uri).await;
        assert_eq!(answer.status, 200, "{uri}: {}", answer.text);
        answer.json()
    }

    pub async fn delete(&self, uri: &str) -> Answer {
        self.send(test::TestRequest::delete().uri(uri)).await
    }

    pub async fn post(&self, uri: &str, body: Value) -> Answer {
        self.send(post(uri, body.to_string())).await
    }

    pub async fn put(&self, uri: &str, body: Value) -> Answer {
        self.body(test::TestRequest::put().uri(uri), body).await
    }

    pub async fn patch(&self, uri: &str, body: Value) -> Answer {
        self.body(test::TestRequest::patch().uri(uri), body).await
    }

    async fn body(&self, request: test::TestRequest, body: Value) -> Answer {
        let request = request.insert_header(("content-type", "application/json"));
        self.send(request.set_payload(body.to_string())).await
    }

    /// A POST that has to be taken.
    pub async fn done(&self, uri: &str, body: Value) -> Value {
        let answer = self.post(uri, body).await;
        assert!((200..300).contains(&answer.status), "{uri}: {}", answer.text);
        answer.json()
    }

    /// A POST that has to be refused: status, slug.
    pub async fn refused(&self, uri: &str, body: Value) -> (u16, String) {
        let answer = self.post(uri, body).await;
        answer.place();
        (answer.status, answer.slug())
    }

    /// Makes an entry; answers its id.
    pub async fn create(&self, kind: &str, document: Value) -> String {
        let made = self.done(&format!("/v1/{kind}"), document).await;
        made["id"].as_str().expect("an id").to_owned()
    }

    /// Makes a campaign or canvas and launches it; answers its id.
    pub async fn live(&self, kind: &str, document: Value) -> String {
        let id = self.create(kind, document).await;
        self.act(kind, &id, "launch").await;
        id
    }

    /// Launches, pauses, resumes or archives.
    pub async fn act(&self, kind: &str, id: &str, action: &str) {
        self.done(&format!("/v1/{kind}/{id}/{action}"), json!({})).await;
    }

    /// Triggers; answers the whole answer.
    pub async fn trigger(&self, trigger: Value) -> Value {
        self.done("/v1/triggers", trigger).await
    }

    pub async fn event(&self, recipient: &str, name: &str, properties: Value) -> Value {
        let event = json!({"external_id": recipient, "name": name, "properties": properties});
        self.done("/v1/events", event).await
    }

    pub async fn attributes(&self, recipient: &str, attributes: Value) {
        let uri = format!("/v1/recipients/{recipient}");
        let answer = self.patch(&uri, json!({ "attributes": attributes })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }

    /// Rows of the deliveries that a query finds, the oldest first.
    pub async fn deliveries(&self, query: &str) -> Vec<Value> {
        let mut rows = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.see(&format!("/v1/deliveries?limit=1000&{query}{after}")).await;
            rows.extend(page["data"].as_array().expect("rows").clone());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={next}"),
                None => break,
            }
        }
        rows.reverse();
        rows
    }

    /// The deliveries that a query finds as they are kept, the oldest first.
    pub async fn records(&self, query: &str) -> Vec<DeliveryRecord> {
        let mut records = Vec::new();
        for row in self.deliveries(query).await {
            let record = self.store.find(id_of(&row)).await.expect("the store works");
            records.push(record.expect("it is listed"));
        }
        records
    }

    /// The bodies of the deliveries that a query finds, the oldest first.
    pub async fn bodies(&self, query: &str) -> Vec<Value> {
        let records = self.records(query).await;
        let body = |record: &DeliveryRecord| serde_json::from_slice(&record.webhook.body);
        records.iter().map(|record| body(record).expect("JSON")).collect()
    }

    /// Ends a delivery as the engine would after an answer.
    pub async fn answer(&self, id: DeliveryId, status: u16, body: &str) {
        let received = Received {
            status,
            headers: Vec::new(),
            body: Bytes::from(body.to_owned()),
            body_truncated: false,
        };
        let attempt = Attempt {
            number: 1,
            started: self.now(),
            outcome: Outcome::Answered(received),
            timings: Timings::default(),
        };
        let end = if status < 300 { End::Delivered } else { End::Failed };
        let (verdict, at, attempt) = (Verdict::End(end), self.now(), Some(attempt));
        let settlement = Settlement { id, verdict, at, attempt };
        self.store
            .settle(hostline::store::Tenure::SOLE, vec![settlement], Vec::new())
            .await
            .expect("the store works");
    }

    /// The counts of a campaign's or canvas's report.
    pub async fn counts(&self, kind: &str, id: &str) -> Value {
        self.see(&format!("/v1/{kind}/{id}/report")).await["total"]["counts"].clone()
    }

    /// Kinds of the entries of the activity log about a subject, the oldest first.
    pub async fn activity(&self, subject: &str) -> Vec<String> {
        let log = self.see(&format!("/v1/activity?limit=1000&subject={subject}")).await;
        let kinds = log["data"].as_array().expect("entries").iter().rev();
        kinds.map(|entry| entry["kind"].as_str().expect("a kind").to_owned()).collect()
    }
}

/// The id of a row or of an answer's delivery.
pub fn id_of(row: &Value) -> DeliveryId {
    row["id"].as_str().expect("an id").parse().expect("an id")
}

/// A webhook to `shop.example` whose body says what Liquid made of this text.
pub fn hook(text: &str) -> Value {
    json!({"url": "https://shop.example/hook", "body": {"say": text}})
}

/// What the bodies of [`hook`]s say.
pub fn said(bodies: &[Value]) -> Vec<&str> {
    bodies.iter().map(|body| body["say"].as_str().expect("it says something")).collect()
}

/// Recipients `name` followed by 0, 1, …
pub fn recipients(name: &str, count: usize) -> Value {
    (0..count).map(|number| json!({"external_id": format!("{name}{number}")})).collect()
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub fn mins(minutes: u64) -> Duration {
    secs(minutes * 60)
}

pub fn hours(hours: u64) -> Duration {
    mins(hours * 60)
}
