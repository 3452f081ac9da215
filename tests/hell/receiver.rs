//! A receiver that misbehaves as it is told: a listener of its own for each behaviour, a thread for
//! each connection.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;

/// What happens on one connection.
pub type Script = Arc<dyn Fn(&mut Peer) + Send + Sync>;

/// How a behaviour takes connections in.
#[derive(Clone)]
pub enum Door {
    /// Each connection is served by the script.
    Open(Script),
    /// As before, with a receive buffer of so many bytes.
    Narrow(u32, Script),
    /// Connections wait in the backlog for ever.
    Unattended,
    /// There is no room in the backlog either: the request for a connection gets no answer.
    Walled,
    /// Nobody listens.
    Shut,
}

#[derive(Default)]
struct Counts {
    requests: AtomicUsize,
    open: AtomicUsize,
    stop: AtomicBool,
}

/// One behaviour at work, until it is dropped.
pub struct Receiver {
    pub address: SocketAddr,
    counts: Arc<Counts>,
    /// Keeps a listener that nobody accepts from, and what fills its backlog.
    _held: (Option<TcpListener>, Vec<TcpStream>),
}

impl Receiver {
    pub fn start(door: &Door) -> Self {
        let (listener, script) = match door {
            Door::Open(script) => (listen(128, None), Some(script)),
            Door::Narrow(bytes, script) => (listen(128, Some(*bytes)), Some(script)),
            Door::Unattended | Door::Shut => (listen(128, None), None),
            Door::Walled => (listen(0, None), None),
        };
        let address = listener.local_addr().expect("bound");
        let counts: Arc<Counts> = Arc::default();
        let mut held = (None, Vec::new());
        match (script, door) {
            (Some(script), _) => serve(listener, script.clone(), counts.clone()),
            (None, Door::Shut) => drop(listener),
            (None, Door::Walled) => {
                held = (Some(listener), fill(&address));
            }
            (None, _) => held.0 = Some(listener),
        }
        Self { address, counts, _held: held }
    }

    /// A receiver whose connections are served by `script`.
    pub fn open(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> Self {
        Self::start(&Door::Open(Arc::new(script)))
    }

    /// Requests that were read whole.
    pub fn requests(&self) -> usize {
        self.counts.requests.load(Ordering::SeqCst)
    }

    /// Waits until every script has ended, as they do once the sender has closed; answers how many
    /// have not.
    pub fn wait_until_left(&self, patience: Duration) -> usize {
        let began = Instant::now();
        loop {
            let open = self.counts.open.load(Ordering::SeqCst);
            if open == 0 || began.elapsed() > patience {
                return open;
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.counts.stop.store(true, Ordering::SeqCst);
        let _woken = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
    }
}

/// A listener with a backlog and a receive buffer of one's own choice, which std does not offer.
fn listen(backlog: u32, buffer: Option<u32>) -> TcpListener {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let runtime = runtime.expect("a runtime");
    let _inside = runtime.enter();
    let socket = TcpSocket::new_v4().expect("a socket");
    if let Some(bytes) = buffer {
        socket.set_recv_buffer_size(bytes).expect("settable");
    }
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a free port");
    let listener = socket.listen(backlog).and_then(tokio::net::TcpListener::into_std);
    let listener = listener.expect("listens");
    listener.set_nonblocking(false).expect("settable");
    listener
}

/// Connects until the backlog takes no more.
fn fill(address: &SocketAddr) -> Vec<TcpStream> {
    let connect = |_| TcpStream::connect_timeout(address, Duration::from_millis(100)).ok();
    (0..8).map_while(connect).collect()
}

fn serve(listener: TcpListener, script: Script, counts: Arc<Counts>) {
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if counts.stop.load(Ordering::SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            counts.open.fetch_add(1, Ordering::SeqCst);
            let (script, counts) = (script.clone(), counts.clone());
            std::thread::spawn(move || {
                // A bound for a test that fails; no behaviour takes as long.
                stream.set_read_timeout(Some(Duration::from_secs(60))).expect("settable");
                stream.set_write_timeout(Some(Duration::from_secs(60))).expect("settable");
                stream.set_nodelay(true).expect("settable");
                let mut peer = Peer { stream, held: Vec::new(), counts: counts.clone() };
                script(&mut peer);
                drop(peer);
                counts.open.fetch_sub(1, Ordering::SeqCst);
            });
        }
    });
}

/// One connection, as its receiver sees it.
pub struct Peer {
    pub stream: TcpStream,
    held: Vec<u8>,
    counts: Arc<Counts>,
}

impl Peer {
    /// Reads one request; false when the sender closed.
    pub fn read(&mut self) -> bool {
        let Some(head) = self.read_head() else { return false };
        let length = length_of(&head);
        while self.held.len() < length {
            if !self.read_some() {
                return false;
            }
        }
        self.held.drain(..length);
        self.counts.requests.fetch_add(1, Ordering::SeqCst);
        true
    }

    /// Reads a body of this length, or what came of it.
    pub fn skip(&mut self, length: usize) {
        let mut left = length;
        loop {
            // What is behind it belongs to the next request: after an early answer it comes at once.
            let taken = left.min(self.held.len());
            self.held.drain(..taken);
            left -= taken;
            if left == 0 || !self.read_some() {
                return;
            }
        }
    }

    /// Reads the head of a request, and perhaps a part of its body.
    pub fn read_head(&mut self) -> Option<String> {
        loop {
            if let Some(at) = self.held.windows(4).position(|window| window == b"\r\n\r\n") {
                let head = self.held.drain(..at + 4).collect();
                return String::from_utf8(head).ok();
            }
            if !self.read_some() {
                return None;
            }
        }
    }

    fn read_some(&mut self) -> bool {
        let mut piece = [0; 16 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) | Err(_) => false,
            Ok(length) => {
                self.held.extend_from_slice(&piece[..length]);
                true
            }
        }
    }

    /// Writes; false when the sender closed.
    pub fn write(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).is_ok()
    }

    /// Writes byte by byte; false when the sender closed.
    pub fn drip(&mut self, bytes: impl AsRef<[u8]>, every: Duration) -> bool {
        bytes.as_ref().iter().all(|byte| {
            pause(every);
            self.write([*byte])
        })
    }

    /// Reads a request and answers it; false when the sender closed.
    pub fn answer(&mut self, answer: impl AsRef<[u8]>) -> bool {
        self.read() && self.write(answer)
    }

    /// Takes whatever comes, and answers nothing, until the sender closes.
    pub fn linger(&mut self) {
        self.held.clear();
        while self.read_some() {
            self.held.clear();
        }
    }

    /// Reads nothing for longer than the sender waits.
    pub fn ignore(&mut self) {
        pause(IGNORED);
    }

    /// Makes the end of the script close the connection with RST rather than FIN.
    pub fn reset(&self) {
        let stream = self.stream.try_clone().expect("a descriptor");
        #[allow(deprecated)] // it may block when closing, which zero never does
        TcpSocket::from_std_stream(stream).set_linger(Some(Duration::ZERO)).expect("a socket");
    }
}

/// How long a receiver that reads nothing keeps its connection: longer than the sender's timeout.
const IGNORED: Duration = Duration::from_secs(4);

/// The length of a request's body.
pub fn length_of(head: &str) -> usize {
    let mut lengths = head.lines().filter_map(|line| line.strip_prefix("content-length: "));
    lengths.next().map_or(0, |text| text.parse().expect("a length"))
}

/// Lets a time pass.
pub fn pause(time: Duration) {
    let until = Instant::now() + time;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}
