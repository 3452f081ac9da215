//! Who may come in: keys, scopes, rates, guesses, workspaces, and the log of all that.

#[path = "front/engine.rs"]
#[allow(dead_code, reason = "the front end's tests use the rest")]
mod engine;
#[path = "front/events.rs"]
#[allow(dead_code, reason = "the front end's tests use the rest")]
mod events;
#[path = "front/faults.rs"]
#[allow(dead_code, reason = "the front end's tests use the rest")]
mod faults;
#[path = "front/house.rs"]
#[allow(dead_code, reason = "the front end's tests use the rest")]
mod house;
#[path = "access/keys.rs"]
mod keys;
#[path = "access/live.rs"]
mod live;
#[path = "access/process.rs"]
mod on_the_binary;
mod process;
#[path = "access/scopes.rs"]
mod scopes;
#[path = "access/separation.rs"]
mod separation;
#[path = "access/session.rs"]
mod session;
#[path = "access/workspaces.rs"]
mod workspaces;

use actix_web::test::TestRequest;
use hostline::access::{Caller, KeyId, NewKey, Scope};
use hostline::config::Settings;
use house::{Answer, House};
use serde_json::{Value, json};

/// A house whose time is moved by the test.
fn house(change: impl FnOnce(&mut Settings)) -> House {
    tokio::time::pause();
    House::with(change)
}

/// A house that nobody enters without a key.
fn closed_house() -> House {
    house(|settings| settings.auth.keys_required = true)
}

/// Makes a key with these scopes; answers its id and its text.
async fn make(house: &House, scopes: &[&str], more: Value) -> (KeyId, String) {
    let mut new = json!({ "name": "test", "scopes": scopes });
    new.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let new: NewKey = serde_json::from_value(new).expect("a new key");
    let shown = house.api.access().create_key(&Caller::local(), new).await.expect("a key");
    (shown.view.id, shown.text.reveal().to_owned())
}

fn names(scopes: impl IntoIterator<Item = Scope>) -> Vec<&'static str> {
    scopes.into_iter().map(Scope::as_str).collect()
}

fn request(method: &str, uri: &str, key: &str) -> TestRequest {
    let method = method.parse().expect("a method");
    let request = TestRequest::default().method(method).uri(uri);
    request.insert_header(("authorization", format!("Bearer {key}")))
}

/// One request with a key; what is not a GET carries an empty object.
async fn ask(house: &House, method: &str, uri: &str, key: &str) -> Answer {
    ask_with(house, method, uri, key, json!({})).await
}

async fn ask_with(house: &House, method: &str, uri: &str, key: &str, body: Value) -> Answer {
    let request = request(method, uri, key);
    house.send(if method == "GET" { request } else { request.set_json(body) }).await
}
