//! Scripted receivers, and a sender that may reach them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use hostline::clock::Clock;
use hostline::config::{Settings, StoreKind};
use hostline::delivery::{AttemptRequest, HttpSender, Report, Sender, SenderShared};
use hostline::model::{
    Answer, DeliveryId, Header, HostNumber, Method, Outcome, Target, Timestamp, Webhook,
    WorkspacePolicy,
};
use hostline::store::StoreLimits;
use hostline::store::memory::MemoryStore;
use hostline::vault::{By, Vault};
use serde_json::Value;

/// A whole request as it came over the wire.
#[derive(Clone, Debug)]
pub struct Request {
    /// Request line and header lines, as they came.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// Values of a header, by its lower-case name as it must stand on the wire.
    pub fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(&prefix))
    }
}

/// A receiver that runs until the test ends.
pub struct Receiver {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    /// Runs `script` for each connection: with its number from 0 on, and what it takes to record
    /// the requests that it reads.
    pub fn start(script: impl Fn(usize, &mut Peer) + Send + Sync + 'static) -> Self {
        Self::start_at("127.0.0.1:0", script)
    }

    fn start_at(at: &str, script: impl Fn(usize, &mut Peer) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(at).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let receiver =
            Self { address, connections: connections.clone(), requests: requests.clone() };
        let script = Arc::new(script);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let number = connections.fetch_add(1, Ordering::SeqCst);
                let mut peer =
                    Peer { stream: stream.expect("accepted"), requests: requests.clone() };
                let script = Arc::clone(&script);
                std::thread::spawn(move || script(number, &mut peer));
            }
        });
        receiver
    }

    /// A receiver that gives every request of every connection this answer.
    pub fn answering(answer: impl Into<Vec<u8>>) -> Self {
        Self::answering_at("127.0.0.1:0", answer)
    }

    /// The same at another address.
    pub fn answering_at(at: &str, answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start_at(at, move |_, peer| while peer.read().is_some() && peer.write(&answer) {})
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no script panics").clone()
    }

    pub fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }
}

/// One connection, as its receiver sees it.
pub struct Peer {
    pub stream: TcpStream,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Peer {
    /// Reads one request; `None` when the sender closed.
    pub fn read(&mut self) -> Option<Request> {
        let request = read_request(&mut self.stream)?;
        self.requests.lock().expect("no script panics").push(request.clone());
        Some(request)
    }

    /// Writes; false when the sender closed.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Reads a request and answers it.
    pub fn answer(&mut self, answer: &[u8]) {
        self.read();
        self.write(answer);
    }

    /// Makes the end of the script close the connection with RST rather than FIN.
    pub fn reset(&self) {
        let stream = self.stream.try_clone().expect("a descriptor");
        #[allow(deprecated)] // it may block when closing, which zero never does
        tokio::net::TcpSocket::from_std_stream(stream)
            .set_linger(Some(Duration::ZERO))
            .expect("a socket");
    }
}

/// Reads a request of known length from any stream.
pub fn read_request(stream: &mut impl Read) -> Option<Request> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        bytes.push(byte[0]);
    };
    let head = String::from_utf8(bytes[..end].to_vec()).expect("text");
    let request = Request { head, body: Vec::new() };
    let length = request.header("content-length").map_or(0, |text| text.parse().expect("a length"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Request { body, ..request })
}

/// Settings under which loopback may be reached, with a timeout that no test should meet.
pub fn settings() -> Settings {
    let mut settings = Settings::default();
    settings.sender.allow_nets = vec!["127.0.0.0/8".parse().expect("a network")];
    settings.sender.ports = Vec::new();
    settings.sender.timeout = Duration::from_secs(5);
    settings
}

/// Settings for what should time out.
pub fn impatient() -> Settings {
    let mut settings = settings();
    settings.sender.timeout = Duration::from_millis(200);
    settings
}

pub fn sender(settings: &Settings, url: &str) -> HttpSender {
    sender_with(settings, url, vault(settings))
}

/// A sender that sends with what is stored there.
pub fn sender_with(settings: &Settings, url: &str, vault: Arc<Vault>) -> HttpSender {
    let shared = SenderShared::new(settings, Clock::system(), vault).expect("valid settings");
    HttpSender::new(shared, target(url).host().clone())
}

/// A vault over an empty store.
pub fn vault(settings: &Settings) -> Arc<Vault> {
    let mut settings = settings.clone();
    settings.store.kind = StoreKind::Memory;
    let store = MemoryStore::new(StoreLimits { max_pending: 1 });
    Vault::new(store, &settings, Clock::system())
}

/// Stores a secret in workspace 0.
pub async fn keep(vault: &Vault, document: Value) {
    let input = serde_json::from_value(document).expect("known fields");
    let by = By { workspace: 0, who: "test", address: None };
    vault.create(input, &by).await.expect("stored");
}

pub fn target(url: &str) -> Target {
    Target::from_vetted(url).expect("a vetted URL")
}

pub fn webhook(method: Method, url: &str, body: impl Into<Bytes>) -> Webhook {
    Webhook {
        method,
        target: target(url),
        headers: vec![header("content-type", "application/json")],
        body: body.into(),
        secret_refs: Vec::new(),
    }
}

pub fn header(name: &str, value: &str) -> Header {
    Header { name: name.into(), value: value.into() }
}

pub fn id() -> DeliveryId {
    DeliveryId::new(Timestamp::from_millis(1_700_000_000_000), HostNumber(7), 42)
}

pub async fn send(sender: &HttpSender, webhook: Webhook) -> Report {
    send_under(sender, webhook, WorkspacePolicy::default()).await
}

/// Sends what belongs to a workspace with this policy.
pub async fn send_under(sender: &HttpSender, webhook: Webhook, policy: WorkspacePolicy) -> Report {
    let (webhook, policy) = (Arc::new(webhook), Arc::new(policy));
    sender.attempt(AttemptRequest { id: id(), workspace: 0, webhook, number: 1, policy }).await
}

/// Sends one POST with a fresh sender.
pub async fn post(settings: &Settings, url: &str) -> Report {
    send(&sender(settings, url), webhook(Method::Post, url, "{}")).await
}

pub fn answered(report: &Report) -> &Answer {
    match &report.outcome {
        Outcome::Answered(answer) => answer,
        other => panic!("not answered: {other:?}"),
    }
}

pub fn unanswered(report: &Report) -> (&str, bool) {
    match &report.outcome {
        Outcome::NoAnswer { reason, timed_out } => (reason, *timed_out),
        other => panic!("not unanswered: {other:?}"),
    }
}

pub fn unprepared(report: &Report) -> &str {
    match &report.outcome {
        Outcome::Unprepared { reason } => reason,
        other => panic!("not unprepared: {other:?}"),
    }
}

pub fn blocked(report: &Report) -> &str {
    match &report.outcome {
        Outcome::Blocked { reason } => reason,
        other => panic!("not blocked: {other:?}"),
    }
}
