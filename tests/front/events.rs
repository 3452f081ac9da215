//! Streams of events as a client reads them, and what is told there.

use std::future::poll_fn;
use std::pin::Pin;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::test::TestRequest;
use actix_web::{App, test};
use hostline::api;
use hostline::delivery::Notice;
use hostline::delivery::feed::Origin;
use hostline::model::{Answer, Attempt, HostName, Outcome, Settlement, Timings, Verdict};
use hostline::store::DeliveryStore;
use serde_json::Value;

use super::house::{House, NOW};

/// A stream of events as a client reads it.
pub struct Events(Pin<Box<BoxBody>>);

impl Events {
    /// Opens a stream.
    pub async fn open(house: &House, request: TestRequest) -> Result<Self, (u16, String)> {
        let app = App::new().configure(api::configure(house.api.clone()));
        let app = test::init_service(app).await;
        let response = test::call_service(&app, request.to_request()).await;
        let status = response.status().as_u16();
        if status != 200 {
            let body = test::read_body(response).await;
            return Err((status, String::from_utf8_lossy(&body).into_owned()));
        }
        assert_eq!(response.headers().get("content-type").unwrap(), "text/event-stream");
        Ok(Self(Box::pin(response.map_into_boxed_body().into_body())))
    }

    pub async fn of(house: &House, query: &str) -> Self {
        let request = TestRequest::get().uri(&format!("/v1/live{query}"));
        Self::open(house, request).await.unwrap_or_else(|refused| panic!("{query}: {refused:?}"))
    }

    /// What comes next; `None` at the end.
    pub async fn text(&mut self) -> Option<String> {
        let chunk = poll_fn(|context| self.0.as_mut().poll_next(context)).await?;
        Some(String::from_utf8(chunk.expect("no error").to_vec()).unwrap())
    }

    /// The events of the next piece, each with its name.
    pub async fn next(&mut self) -> Vec<(String, Value)> {
        let text = self.text().await.expect("it goes on");
        let events = text.split("\n\n").filter_map(|event| {
            let (name, data) = event.strip_prefix("event: ")?.split_once("\ndata: ")?;
            Some((name.to_owned(), serde_json::from_str(data).expect("JSON")))
        });
        events.collect()
    }
}

/// What a host actor decides after an answer.
pub fn answered(id: &str, status: u16, verdict: Verdict) -> Settlement {
    let answer =
        Answer { status, headers: Vec::new(), body: Default::default(), body_truncated: false };
    let timings = Timings { total_us: 2_500, ..Timings::default() };
    let outcome = Outcome::Answered(answer);
    let attempt = Attempt { number: 1, started: NOW, outcome, timings };
    Settlement { id: id.parse().unwrap(), verdict, at: NOW, attempt: Some(attempt) }
}

/// Settles as a host actor does whose recorder has committed.
pub async fn settle(house: &House, settlement: Settlement, workspace: Option<u32>) {
    house
        .store
        .settle(hostline::store::Tenure::SOLE, vec![settlement.clone()], Vec::new())
        .await
        .unwrap();
    let host = HostName::from_normalised("shop.example");
    let origin = Origin { workspace, campaign: None };
    house.engine.feed.tell(vec![Notice::of(&settlement, &host, origin)]);
}
