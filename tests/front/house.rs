//! A front end with the memory store and an engine without actors.

use std::sync::Arc;

use actix_web::http::header::HeaderMap;
use actix_web::{App, test};
use bytes::Bytes;
use hostline::api::{self, Api};
use hostline::clock::Clock;
use hostline::config::Settings;
use hostline::model::Timestamp;
use hostline::store::StoreLimits;
use serde_json::{Value, json};

use super::engine::FakeEngine;
use super::faults::FaultyStore;

pub const NOW: Timestamp = Timestamp::from_millis(1_795_503_600_000);

pub struct House {
    pub store: Arc<FaultyStore>,
    pub engine: Arc<FakeEngine>,
    pub settings: Settings,
    pub api: actix_web::web::Data<Api>,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The place that a problem names, and that the answer is a problem at all.
    pub fn place(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        for member in ["type", "title", "detail"] {
            assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
        }
        let fault = &problem["errors"][0];
        let names = ["pointer", "parameter", "header"];
        names.iter().find_map(|name| fault[name].as_str()).unwrap_or("-").to_owned()
    }

    /// The kind of problem; empty where there is none.
    #[allow(dead_code)] // not every test has both
    pub fn slug_or_empty(&self) -> String {
        if self.status < 400 { String::new() } else { self.slug() }
    }

    pub fn slug(&self) -> String {
        self.json()["type"].as_str().unwrap().trim_start_matches("/problems/").to_owned()
    }
}

impl House {
    /// The composer of the default workspace.
    #[allow(dead_code)] // not every test composes
    pub fn composer(&self) -> std::sync::Arc<hostline::compose::Composer> {
        self.api.composers().of(0).expect("it is open")
    }

    /// A house whose time stands still, so that what it shows can be foretold.
    pub fn new() -> Self {
        tokio::time::pause();
        Self::with(|_| {})
    }

    /// A house whose time runs, which sockets and other threads need.
    pub fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::default();
        settings.server.max_body = 2_000;
        settings.server.max_request = 400_000;
        settings.server.max_line = 5_000;
        settings.server.max_batch = 500;
        settings.server.workers = 1;
        change(&mut settings);
        let store = FaultyStore::new(StoreLimits { max_pending: settings.store.max_pending });
        let engine = FakeEngine::new(store.clone(), NOW, &settings);
        let clock = Clock::of_runtime(NOW);
        let api = Api::new(store.clone(), engine.clone(), Arc::new(settings.clone()), clock);
        futures::executor::block_on(api.composers().open(0)).expect("the catalog opens");
        Self { store, engine, settings, api }
    }

    pub async fn send(&self, request: test::TestRequest) -> Answer {
        let app = App::new().configure(api::configure(self.api.clone()));
        let app = test::init_service(app).await;
        let response = test::call_service(&app, request.to_request()).await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body: Bytes = test::read_body(response).await;
        Answer { status, headers, text: String::from_utf8_lossy(&body).into_owned() }
    }

    pub async fn get(&self, uri: &str) -> Answer {
        self.send(test::TestRequest::get().uri(uri)).await
    }

    pub async fn delete(&self, uri: &str) -> Answer {
        self.send(test::TestRequest::delete().uri(uri)).await
    }

    pub async fn post(&self, uri: &str, body: impl Into<Bytes>) -> Answer {
        self.send(post(uri, body)).await
    }

    /// Triggers a webhook to `url` with more fields, and gives the delivery's id.
    pub async fn trigger(&self, url: &str, fields: Value) -> String {
        let mut trigger = json!({ "webhook": { "url": url, "body": {} } });
        trigger.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let answer = self.post("/v1/triggers", trigger.to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.json()["deliveries"][0]["id"].as_str().unwrap().to_owned()
    }
}

pub fn post(uri: &str, body: impl Into<Bytes>) -> test::TestRequest {
    let request = test::TestRequest::post().uri(uri);
    request.insert_header(("content-type", "application/json")).set_payload(body)
}
