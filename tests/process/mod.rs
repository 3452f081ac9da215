//! The real binary as a process, a receiver beside it, and a small HTTP client: for what only a
//! process can show (crashes, signals, a data directory).

#![allow(dead_code)] // each test file uses its part

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

/// How long anything is waited for before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A running `hostline serve`; killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").port()
}

impl Server {
    /// Starts over a data directory and waits until it is ready.
    pub fn start(data: &Path, set: &[&str]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut server = Self { child: Self::spawn(address, data, set), address };
        server.wait_until_ready();
        server
    }

    /// As `start`, with a change to the command; does not wait until it is ready.
    pub fn launch(data: &Path, set: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let mut command = Self::command(address, data, set);
        change(&mut command);
        Self { child: command.spawn().expect("the binary starts"), address }
    }

    fn spawn(address: SocketAddr, data: &Path, set: &[&str]) -> Child {
        Self::command(address, data, set).spawn().expect("the binary starts")
    }

    fn command(address: SocketAddr, data: &Path, set: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hostline"));
        command.arg("serve").arg("--listen").arg(address.to_string()).arg("--data").arg(data);
        // Later ones win, so a test may close what is opened here.
        let common = ["sender.allow=[\"127.0.0.0/8\"]", "sender.ports=[]", "log.level=warn"];
        for setting in common.iter().chain(set) {
            command.arg("--set").arg(setting);
        }
        command.current_dir(data).stdin(Stdio::null()).stdout(Stdio::null());
        let log = std::fs::OpenOptions::new().create(true).append(true).open(data.join("log"));
        command.stderr(log.expect("a log file"));
        command.env_remove("RUST_LOG");
        command
    }

    pub fn wait_until_ready(&mut self) {
        let started = Instant::now();
        loop {
            if self.is_ready() {
                return;
            }
            if let Some(status) = self.ended() {
                panic!("the server ended with {status} before it was ready");
            }
            assert!(started.elapsed() < PATIENCE, "the server is not ready");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    pub fn is_ready(&self) -> bool {
        let answer = try_request(self.address, "GET", "/readyz", &[], b"");
        answer.is_ok_and(|answer| answer.status == 200)
    }

    /// How the process ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child of ours")
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).expect("it runs");
    }

    /// The id of the process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        request(self.address, method, path, headers, body)
    }

    /// kill -9.
    pub fn kill(mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    /// SIGTERM; answers the exit code.
    pub fn terminate(mut self) -> Option<i32> {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().expect("it ends").code()
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        let headers = [("content-type", "application/json")];
        request(self.address, "POST", path, &headers, body.as_bytes())
    }

    pub fn get(&self, path: &str) -> Answer {
        request(self.address, "GET", path, &[], b"")
    }

    /// Sends one trigger for a POST of `body` to `url`; answers the delivery's id.
    pub fn trigger(&self, url: &str, body: &str) -> String {
        let trigger = format!(r#"{{"webhook":{{"url":"{url}","body":{body}}}}}"#);
        let answer = self.post("/v1/triggers", &trigger);
        assert_eq!(answer.status, 202, "{}", answer.text());
        let id = answer.json()["deliveries"][0]["id"].clone();
        id.as_str().expect("an id").to_owned()
    }

    /// Waits until a delivery is in one of these states; answers what the API says of it.
    pub fn wait_for(&self, id: &str, states: &[&str]) -> Value {
        let started = Instant::now();
        loop {
            let delivery = self.get(&format!("/v1/deliveries/{id}")).json();
            if states.iter().any(|state| delivery["state"] == *state) {
                return delivery;
            }
            assert!(started.elapsed() < PATIENCE, "still {delivery}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails where it has ended already.
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

pub fn request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    try_request(address, method, path, headers, body).expect("the server answers")
}

/// One request on a connection of its own.
pub fn try_request(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    stream.write_all(head.as_bytes())?;
    // A server may refuse before it has read everything.
    let _refused = stream.write_all(body);
    let mut reader = BufReader::new(stream);
    read_message(&mut reader).and_then(|(start, headers, body)| {
        let status = start.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("not HTTP: {start}")))?;
        Ok(Answer { status, headers, body })
    })
}

type Message = (String, HashMap<String, String>, Vec<u8>);

fn read_message(reader: &mut impl BufRead) -> std::io::Result<Message> {
    let mut start = String::new();
    if reader.read_line(&mut start)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let mut body = Vec::new();
    if let Some(length) = headers.get("content-length").and_then(|length| length.parse().ok()) {
        body = vec![0; length];
        reader.read_exact(&mut body)?;
    } else if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        read_chunks(reader, &mut body)?;
    }
    Ok((start, headers, body))
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> std::io::Result<()> {
    loop {
        let mut size = String::new();
        reader.read_line(&mut size)?;
        let size = usize::from_str_radix(size.trim(), 16).map_err(std::io::Error::other)?;
        let mut chunk = vec![0; size + 2];
        reader.read_exact(&mut chunk)?;
        if size == 0 {
            return Ok(());
        }
        body.extend_from_slice(&chunk[..size]);
    }
}

/// A request that a receiver got.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub id: String,
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
    pub at: Instant,
}

/// What a receiver answers: status, extra header lines, and how long it takes.
pub type Reply = (u16, &'static str, Duration);

/// A receiver on loopback, with a thread a connection.
pub struct Receiver {
    pub address: SocketAddr,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    stop: Arc<AtomicBool>,
}

impl Receiver {
    /// Answers each request, numbered from 0, as `reply` says.
    pub fn start(reply: impl Fn(usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let arrivals: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (taking, stopping, reply) = (arrivals.clone(), stop.clone(), Arc::new(reply));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopping.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (taking, reply) = (taking.clone(), reply.clone());
                std::thread::spawn(move || {
                    // The sender went away: nothing to do about it here.
                    let _gone = receive(stream, &taking, &*reply);
                });
            }
        });
        Self { address, arrivals, stop }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().expect("not poisoned").clone()
    }

    /// Looks at the arrivals where they are.
    pub fn with_arrivals<T>(&self, look: impl FnOnce(&[Arrival]) -> T) -> T {
        look(&self.arrivals.lock().expect("not poisoned"))
    }

    /// Takes what has come since the last time, so that a long run holds little.
    pub fn take(&self) -> Vec<Arrival> {
        std::mem::take(&mut self.arrivals.lock().expect("not poisoned"))
    }

    pub fn count(&self) -> usize {
        self.arrivals.lock().expect("not poisoned").len()
    }

    /// Waits until this many requests have come.
    pub fn wait_for(&self, count: usize) {
        let started = Instant::now();
        while self.count() < count {
            assert!(started.elapsed() < PATIENCE, "{} of {count} arrived", self.count());
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _woken = TcpStream::connect(self.address);
    }
}

fn receive(
    stream: TcpStream,
    arrivals: &Mutex<Vec<Arrival>>,
    reply: &dyn Fn(usize) -> Reply,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (start, headers, body) = read_message(&mut reader)?;
        let mut words = start.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let id = headers.get("webhook-id").cloned().unwrap_or_default();
        let number = {
            let mut arrivals = arrivals.lock().expect("not poisoned");
            arrivals.push(Arrival { id, method, path, headers, body, at: Instant::now() });
            arrivals.len() - 1
        };
        let (status, extra, delay) = reply(number);
        if !delay.is_zero() {
            std::thread::park_timeout(delay);
        }
        write!(writer, "HTTP/1.1 {status} Status\r\n{extra}content-length: 2\r\n\r\nok")?;
    }
}
