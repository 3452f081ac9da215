//! Where a recipe is played: a server of its own on a temporary store, and a receiver that stands for
//! every host of the world.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::book::{Document, Recipe};
use super::verdict::Seen;
use crate::access::{Caller, KeyText, NewKey};
use crate::app::{Front, Running, http_senders, open_store};
use crate::cli::receiver::{Behaviour, Received, Receiver};
use crate::clock::Clock;
use crate::config::{Settings, StoreKind};
use crate::store::StoreCounts;

/// Longer than any recipe takes: none has a delay, and a canvas looks for answers every second.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked whether all has come to rest.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// The server is next door.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);
/// More than any recipe leaves in the activity log.
const LOG_PAGE: usize = 100;

/// What recipes write where a key of this server belongs.
const KEY_PLACE: &str = "HOSTLINE_API_KEY";

/// A server and a receiver.
pub struct Stage {
    running: Running,
    front: Front,
    receiver: Receiver,
    seen: Arc<Mutex<Vec<Seen>>>,
    client: awc::Client,
    directory: PathBuf,
    own_host: Option<String>,
    /// Stands for `HOSTLINE_API_KEY` where the recipe calls the server itself.
    key: Option<KeyText>,
    /// Path of each document that was created, by its name.
    created: HashMap<String, String>,
}

impl Stage {
    /// Starts both. Needs a running actix system.
    pub async fn open(recipe: &Recipe) -> Result<Self, String> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let watch = Arc::clone(&seen);
        let observer = move |received: &Received| {
            let request = Seen::new(received.request.clone());
            watch.lock().unwrap_or_else(PoisonError::into_inner).push(request);
        };
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let receiver = Receiver::start_observed(anywhere, behaviour(recipe), Box::new(observer))
            .map_err(|error| format!("the receiver did not start: {error}"))?;
        let directory = fresh_directory();
        let settings = settings(&directory, recipe.own_host.is_some())?;
        let clock = Clock::system();
        let store = open_store(&settings, &clock).map_err(|error| error.to_string())?;
        let outward = http_senders(&settings, &clock, &store).map_err(|error| error.to_string())?;
        let started = Running::start(settings, clock, store, outward).await;
        let running = started.map_err(|error| error.to_string())?;
        let front = Front::start(&running).await.map_err(|error| error.to_string())?;
        let (client, own_host) = (awc::Client::default(), recipe.own_host.clone());
        let key = match own_host {
            Some(_) => Some(own_key(&front).await?),
            None => None,
        };
        let created = HashMap::new();
        Ok(Self { running, front, receiver, seen, client, directory, own_host, key, created })
    }

    /// Where the server listens.
    pub fn server(&self) -> SocketAddr {
        self.front.address()
    }

    /// Where a URL of the real world leads here: the receiver gets the host as the first part of
    /// the path, and the server itself gets what is meant for it.
    pub fn map(&self, url: &str) -> String {
        let Some(begin) = url.find("://").map(|at| at + 3) else { return url.to_owned() };
        let rest = &url[begin..];
        let end = rest.find(['/', '?', '#', '{']).unwrap_or(rest.len());
        match self.own_host.as_deref() == Some(&rest[..end]) {
            true => format!("http://{}{}", self.server(), &rest[end..]),
            false => format!("http://{}/{rest}", self.receiver.address()),
        }
    }

    /// Creates a document with its hosts mapped, and launches it where its kind is launched.
    pub async fn create(&mut self, document: &Document) -> Result<(), String> {
        let mut value = document.with_urls(&|url| self.map(url));
        if let Some(key) = &self.key {
            let text = value.to_string().replace(KEY_PLACE, key.reveal());
            value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        }
        let made = self.post(document.path(), &value).await?;
        let id = made["id"].as_str().ok_or_else(|| format!("no id in {made}"))?;
        let path = format!("{}/{id}", document.path());
        if !matches!(document, Document::Template(_)) {
            self.post(&format!("{path}/launch"), &Value::Null).await?;
        }
        self.created.insert(document.name().to_owned(), path);
        Ok(())
    }

    /// Writes profiles.
    pub async fn write_profiles(&self, profiles: &[Value]) -> Result<(), String> {
        if profiles.is_empty() {
            return Ok(());
        }
        let answer = self.post("/users/track", &json!({"attributes": profiles})).await?;
        match answer.get("errors") {
            Some(errors) => Err(format!("profiles: {errors}")),
            None => Ok(()),
        }
    }

    /// Calls the server's API; what it refuses is an error.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, String> {
        let request = self.client.post(format!("http://{}{path}", self.server()));
        let request = request.timeout(CALL_TIMEOUT);
        let sent = match body {
            Value::Null => request.send(),
            body => request.send_json(body),
        };
        answer(&format!("POST {path}"), sent.await).await
    }

    /// Reads from the server's API.
    pub async fn get(&self, path: &str) -> Result<Value, String> {
        let request = self.client.get(format!("http://{}{path}", self.server()));
        answer(&format!("GET {path}"), request.timeout(CALL_TIMEOUT).send().await).await
    }

    /// The report of a campaign or canvas.
    pub async fn report(&self, name: &str) -> Result<Value, String> {
        let path = self.created.get(name).ok_or_else(|| format!("{name:?} was not created"))?;
        self.get(&format!("{path}/report")).await
    }

    /// A recipient's profile.
    pub async fn profile(&self, id: &str) -> Result<Value, String> {
        // Only names without a meaning in a URL are looked up.
        self.get(&format!("/v1/recipients/{id}")).await
    }

    /// The activity log.
    pub async fn log(&self) -> Result<Vec<Value>, String> {
        let page = self.get(&format!("/v1/activity?limit={LOG_PAGE}")).await?;
        Ok(page["data"].as_array().cloned().unwrap_or_default())
    }

    /// Waits until nothing is owed and nobody is on the way; says whether that came to be. What
    /// has not come by then never comes.
    pub async fn rest(&self) -> Result<bool, String> {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            let before = self.running.store.counts();
            let at_rest = before.pending == 0 && before.parked == 0 && !self.is_underway().await?;
            // A journey that ended meanwhile may have sent something before it did.
            if at_rest && is_same(&before, &self.running.store.counts()) {
                return Ok(true);
            }
            actix_rt::time::sleep(LOOK_EVERY).await;
        }
        Ok(false)
    }

    async fn is_underway(&self) -> Result<bool, String> {
        for path in self.created.values().filter(|path| path.starts_with("/v1/canvases/")) {
            let report = self.get(&format!("{path}/report")).await?;
            let counts = &report["total"]["counts"];
            if counts["entered"] != counts["exited"] {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What the receiver got, in its order.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Stops both and removes the store.
    pub async fn close(self) {
        self.running.stop(Duration::from_secs(5)).await;
        self.front.stop().await;
        // Left behind it would only cost disk: the system clears its temporary files.
        let _left = std::fs::remove_dir_all(&self.directory);
    }
}

fn is_same(before: &StoreCounts, after: &StoreCounts) -> bool {
    (before.pending, before.parked, before.accepted)
        == (after.pending, after.parked, after.accepted)
}

fn behaviour(recipe: &Recipe) -> Behaviour {
    let (status, body) = match &recipe.answer {
        Some(answer) => (answer.status, answer.body.to_string()),
        None => (200, "{}".to_owned()),
    };
    Behaviour { status, body: body.into(), ..Behaviour::default() }
}

/// A key for the webhooks that come back to this server.
async fn own_key(front: &Front) -> Result<KeyText, String> {
    let scopes = ["triggers:write", "recipients:write", "events:write"];
    let new = NewKey {
        name: "recipe".into(),
        scopes: scopes.map(str::to_owned).into(),
        ..NewKey::default()
    };
    let made = front.access().create_key(&Caller::command_line(), new).await;
    Ok(made.map_err(|error| format!("no key: {error}"))?.text)
}

/// Several stages may stand in one process: tests play side by side.
fn fresh_directory() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("hostline-recipe-{}-{number}", std::process::id()))
}

/// The defaults, but for what lets it deliver to loopback.
fn settings(directory: &Path, is_own: bool) -> Result<Settings, String> {
    let mut settings = Settings::default();
    settings.server.listen = SocketAddr::from(([127, 0, 0, 1], 0));
    settings.server.workers = 1;
    settings.actors.shards = 1;
    settings.store.kind = StoreKind::Embedded;
    settings.store.path = directory.to_owned();
    settings.sender.allow_nets = vec!["127.0.0.0/8".parse().expect("a network")];
    settings.sender.ports = Vec::new();
    if is_own {
        // The server has to know its own address before it listens.
        let free = TcpListener::bind(settings.server.listen).and_then(|free| free.local_addr());
        settings.server.listen = free.map_err(|error| format!("no free port: {error}"))?;
        settings.compose.own_hosts = vec![settings.server.listen.to_string()];
    }
    Ok(settings)
}

type Sent = Result<awc::ClientResponse, awc::error::SendRequestError>;

async fn answer(what: &str, sent: Sent) -> Result<Value, String> {
    let mut response = sent.map_err(|error| format!("{what}: {error}"))?;
    let bytes = response.body().await.map_err(|error| format!("{what}: {error}"))?;
    let status = response.status();
    if !status.is_success() {
        let text = String::from_utf8_lossy(&bytes);
        return Err(format!("{what} was answered {status}: {text}"));
    }
    serde_json::from_slice(&bytes).map_err(|error| format!("{what}: {error}"))
}
