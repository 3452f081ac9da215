//! Whole requests to the front end, as text: a line with method and target, headers, an empty line,
//! the body. Whatever is asked is answered in the shape of its API, and never by a 5xx.

use actix_web::http::{Method, Uri, header};
use actix_web::{App, test};
use hostline::api::{self, Api};
use hostline::clock::Clock;
use hostline::compose::Kind;
use serde_json::{Value, json};

use crate::targets::documents::at_a_place;
use crate::targets::doors::Door;
use crate::targets::rules::T0;
use crate::targets::{mark, note};

/// Words that stand for the ids of what is there.
const STAND_INS: [&str; 5] = ["DELIVERY", "TRIGGER", "CAMPAIGN", "CANVAS", "TEMPLATE"];
/// Of nothing that is said may a caller learn what the server is made of.
const INNER: [&str; 6] = ["panicked", "src/", ".rs:", "SELECT", "sqlite", "called `"];

/// A request as it was written.
struct Asked {
    method: Method,
    uri: Uri,
    headers: Vec<(header::HeaderName, header::HeaderValue)>,
    body: Vec<u8>,
}

impl Asked {
    /// What HTTP itself would not let through is no request.
    fn read(data: &[u8], ids: &[String]) -> Option<Self> {
        let end = data.windows(2).position(|two| two == b"\n\n").unwrap_or(data.len());
        let head = std::str::from_utf8(&data[..end]).ok()?;
        let head = named(head, ids);
        let mut lines = head.lines();
        let (method, target) = lines.next()?.split_once(' ')?;
        let uri: Uri = target.parse().ok().filter(|uri: &Uri| uri.path().starts_with('/'))?;
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.parse().ok()?, value.trim().parse().ok()?))
        });
        let body = data.get(end + 2..).unwrap_or_default();
        let body = match std::str::from_utf8(body) {
            Ok(text) => named(text, ids).into_bytes(),
            Err(_) => body.to_vec(),
        };
        Some(Self { method: method.parse().ok()?, uri, headers: headers.collect(), body })
    }

    fn request(&self) -> test::TestRequest {
        let mut request = test::TestRequest::with_uri(&self.uri.to_string());
        for header in &self.headers {
            request = request.append_header(header.clone());
        }
        request.method(self.method.clone()).set_payload(self.body.clone())
    }
}

/// Puts ids in the place of the words for them.
fn named(text: &str, ids: &[String]) -> String {
    let each = STAND_INS.iter().zip(ids);
    each.fold(text.to_owned(), |text, (word, id)| text.replace(word, id))
}

/// An answer, and how many deliveries there are after it.
struct Answered {
    status: u16,
    content_type: String,
    body: Vec<u8>,
    deliveries: usize,
}

/// Fills a front end and asks it twice.
fn ask(data: &[u8]) -> Option<(Asked, Answered, Answered)> {
    actix_rt::System::new().block_on(async {
        // What waits for a receiver's answer waits in vain here: time moves on by itself.
        tokio::time::pause();
        let door = Door::at(Clock::of_runtime(T0));
        let (store, engine) = (door.store.clone(), door.engine.clone());
        let api = Api::new(store, engine, door.settings.clone(), door.clock.clone());
        let ids = fill(&api).await;
        let asked = Asked::read(data, &ids)?;
        let app = test::init_service(App::new().configure(api::configure(api))).await;
        let mut answers = Vec::new();
        for _ in 0..2 {
            let response = test::call_service(&app, asked.request().to_request()).await;
            let status = response.status().as_u16();
            let content_type = response.headers().get("content-type");
            let content_type = content_type.and_then(|value| value.to_str().ok());
            let content_type = content_type.unwrap_or_default().to_owned();
            let body = test::read_body(response).await.to_vec();
            let deliveries = door.records().len();
            answers.push(Answered { status, content_type, body, deliveries });
        }
        let second = answers.pop()?;
        Some((asked, answers.pop()?, second))
    })
}

/// One of each; answers the ids that the stand-ins are for.
async fn fill(api: &actix_web::web::Data<Api>) -> Vec<String> {
    let webhook = json!({"url": "https://a.example/{{${user_id}}}", "body": {"n": 1}});
    let composer = api.composers().open(0).await.expect("the catalog opens");
    let trigger = json!({"webhook": {"url": "https://a.example/"}, "delay": "1h"}).to_string();
    let admitted = composer.trigger(&trigger.into(), &Default::default()).await.expect("plain");
    let answer: Value = serde_json::from_slice(&admitted.answer).expect("JSON");
    let text = |value: &Value| value.as_str().expect("an id").to_owned();
    let mut ids = vec![text(&answer["deliveries"][0]["id"]), admitted.trigger.to_string()];
    let campaign = json!({"name": "c", "webhooks": [webhook], "trigger": {"type": "api"}});
    let steps = json!([{"id": "s", "type": "webhook", "webhooks": [webhook]}]);
    let canvas = json!({"name": "v", "trigger": {"type": "api"}, "steps": steps});
    let template = json!({"name": "t", "webhook": webhook});
    for (kind, document) in
        [(Kind::Campaign, campaign), (Kind::Canvas, canvas), (Kind::Template, template)]
    {
        let made = composer.create(kind, document.to_string().as_bytes()).await;
        let id = made.expect("a sound document").head.id.clone();
        if kind != Kind::Template {
            let launched = composer.set_status(kind, &id, hostline::compose::Action::Launch).await;
            launched.expect("a draft can be launched");
        }
        ids.push(id);
    }
    let attributes = json!({"first_name": "Ann", "visits": 1});
    let attributes = attributes.as_object().expect("an object").clone();
    composer.put_recipient("ann", attributes).await.expect("a sound profile");
    ids
}

/// Any route but Braze's.
pub fn request(data: &[u8]) {
    let Some((asked, first, second)) = ask(data) else { return };
    if first.status >= 400 {
        refused(&asked, &first);
    } else {
        taken(&asked, &first);
    }
    if asked.method == Method::GET {
        assert_eq!(first.deliveries, second.deliveries, "to look changes nothing");
        assert_eq!(first.status, second.status, "to look changes nothing");
    }
    let has_key = asked.headers.iter().any(|(name, _)| name == "idempotency-key");
    if first.status == 202 && asked.uri.path() == "/v1/triggers" && has_key {
        assert_eq!((second.status, second.body), (202, first.body), "the answer of the first");
        assert_eq!(first.deliveries, second.deliveries, "a repeat sends nothing");
    }
}

fn taken(asked: &Asked, answer: &Answered) {
    assert!((200..300).contains(&answer.status), "{} {}", answer.status, asked.uri);
    mark(&way(asked, answer));
    if answer.content_type == "application/json" && !answer.body.is_empty() {
        serde_json::from_slice::<serde::de::IgnoredAny>(&answer.body).expect("JSON");
    }
}

fn refused(asked: &Asked, answer: &Answered) {
    let text = quiet(asked, answer);
    if asked.method == Method::HEAD {
        return;
    }
    blameless(asked, answer, &text);
    // Paths beside ours may be Braze's, whose errors have another shape.
    if !asked.uri.path().starts_with("/v1/") {
        return;
    }
    assert_eq!(answer.content_type, "application/problem+json", "{} {text}", asked.uri);
    let problem: Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(problem["status"], answer.status);
    for member in ["type", "title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
    note(problem["detail"].as_str().unwrap_or_default());
    let faults = problem["errors"].as_array();
    for fault in faults.into_iter().flatten() {
        if let Some(pointer) = fault["pointer"].as_str() {
            at_a_place(&asked.body, pointer);
        }
    }
}

/// Braze's routes, whose errors have a shape of their own.
pub fn braze(data: &[u8]) {
    let Some((asked, first, second)) = ask(data) else { return };
    let text = quiet(&asked, &first);
    blameless(&asked, &first, &text);
    if asked.method == Method::GET {
        assert_eq!((first.status, first.deliveries), (second.status, second.deliveries));
    }
    if asked.method == Method::HEAD || first.content_type == "application/problem+json" {
        return;
    }
    if first.status < 400 {
        return taken(&asked, &first);
    }
    assert_eq!(first.content_type, "application/json", "{} {text}", asked.uri);
    let error: Value = serde_json::from_slice(&first.body).expect("JSON");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(!message.is_empty(), "{error}");
    note(message);
    let faults = error["errors"].as_array();
    for fault in faults.into_iter().flatten() {
        let field = fault["field"].as_str().unwrap_or_default();
        if field.starts_with('/') {
            at_a_place(&asked.body, field);
        }
    }
}

/// Nothing that a caller says is the server's fault. A loop is cut off with 508.
fn blameless(asked: &Asked, answer: &Answered, text: &str) {
    let status = answer.status;
    assert!(status < 500 || status == 508, "{} {status}: {text}", asked.uri);
}

/// The answer as text, in which nothing of ours is told but what the caller wrote himself.
fn quiet(asked: &Asked, answer: &Answered) -> String {
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    let said = format!("{} {}", asked.uri, String::from_utf8_lossy(&asked.body));
    for word in INNER {
        assert!(!text.contains(word) || said.contains(word), "{word} is told: {text}");
    }
    text
}

/// Which kind of route was asked in which way, and with what success.
fn way(asked: &Asked, answer: &Answered) -> String {
    let path: Vec<&str> = asked.uri.path().split('/').take(3).collect();
    format!("{} {} {}", asked.method, answer.status, path.join("/"))
}
