//! The receiving process of a bench: answers as quickly as it can, and notes when each trigger's
//! webhook arrived. Reports on standard output, a line of JSON for each line on standard input.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Args;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::process;
use super::quantiles::{self, Quantiles};
use super::wire;
use crate::cli::listen::parse_rate;
use crate::cli::receiver::{Behaviour, Limit, LimitHeaders, Temper, Treatment};
use crate::clock::{Clock, boot_nanos};
use crate::model::Moment;

/// Connections that wait to be accepted: a bench of many hosts opens them all at once.
const BACKLOG: i32 = 4096;
/// Room for one request, and for those behind it that came with the same read.
const BUFFER: usize = 16 << 10;
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// Flags of the sink's process.
#[derive(Args, Clone, Debug)]
pub struct SinkArgs {
    /// Allow this many requests a second
    #[arg(long, value_parser = parse_rate)]
    limit: Option<Limit>,
    /// How the limit is told
    #[arg(long, value_enum, default_value = "x-ratelimit")]
    limit_headers: LimitHeaders,
}

/// Where the sink listens.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Ports {
    /// Answers, within the limit if there is one.
    pub(super) open: u16,
    /// Accepts and never answers.
    pub(super) hang: u16,
    /// Refuses connections.
    pub(super) shut: u16,
}

/// What arrived so far.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Arrived {
    /// Requests that were answered 2xx.
    pub(super) taken: u64,
    /// Different triggers among them.
    pub(super) distinct: u64,
    /// Answered 429.
    pub(super) refused: u64,
    /// Requests to the port that never answers.
    pub(super) hung: u64,
    /// When the last new one arrived, nanoseconds since boot.
    pub(super) last_nanos: u64,
    /// From the POST to the arrival, microseconds.
    pub(super) latency: Quantiles,
    /// The same, of what arrived since the last report.
    pub(super) latency_lately: Quantiles,
}

struct Book {
    temper: Temper,
    began: Moment,
    arrived: Arrived,
    seen: Vec<u64>,
    latency: Histogram<u64>,
    lately: Histogram<u64>,
}

type Shared = Arc<(Clock, Mutex<Book>)>;

impl Book {
    fn take(&mut self, body: &[u8]) {
        self.arrived.taken += 1;
        let Some((number, sent)) = wire::read_body(body) else { return };
        let (word, bit) = (number as usize / 64, 1 << (number % 64));
        if word >= self.seen.len() {
            self.seen.resize(word + 1, 0);
        }
        if self.seen[word] & bit != 0 {
            return;
        }
        self.seen[word] |= bit;
        let now = boot_nanos();
        let micros = now.saturating_sub(sent) / 1000;
        self.arrived.distinct += 1;
        self.arrived.last_nanos = now;
        self.latency.saturating_record(micros);
        self.lately.saturating_record(micros);
    }

    fn report(&mut self) -> Arrived {
        let latency_lately = Quantiles::of(&self.lately);
        self.lately.reset();
        Arrived { latency: Quantiles::of(&self.latency), latency_lately, ..self.arrived.clone() }
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Book> {
    shared.1.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until standard input ends.
pub(super) fn run(args: &SinkArgs) -> ExitCode {
    crate::app::raise_descriptor_limit();
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => super::super::refuse(&format!("the sink failed: {error}")),
    }
}

fn serve(args: &SinkArgs) -> io::Result<()> {
    let behaviour =
        Behaviour { limit: args.limit, limit_headers: args.limit_headers, ..Behaviour::default() };
    let (open, hang, shut) = (listener(true)?, listener(true)?, listener(false)?);
    let ports = Ports { open: port(&open)?, hang: port(&hang)?, shut: port(&shut)? };
    let clock = Clock::system();
    let began = clock.moment();
    let book = Book {
        temper: Temper::new(behaviour),
        began,
        arrived: Arrived::default(),
        seen: Vec::new(),
        latency: quantiles::histogram(),
        lately: quantiles::histogram(),
    };
    let shared: Shared = Arc::new((clock, Mutex::new(book)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let limited = args.limit.is_some();
    let serving = shared.clone();
    std::thread::Builder::new().name("sink".into()).spawn(move || {
        runtime.block_on(async {
            let hung = serving.clone();
            tokio::join!(
                accept(open, move |stream| answer(stream, serving.clone(), limited)),
                accept(hang, move |stream| outlast(stream, hung.clone())),
            );
        });
    })?;
    process::tell(&ports)?;
    process::report_on_demand(|| lock(&shared).report())
}

/// A listener on every address of the loopback interface and on no other; one that is only bound
/// refuses connections.
fn listener(listens: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind_device(Some(b"lo"))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)).into())?;
    if listens {
        socket.listen(BACKLOG)?;
    }
    Ok(socket.into())
}

fn port(listener: &TcpListener) -> io::Result<u16> {
    listener.local_addr().map(|address| address.port())
}

async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener that is bound");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve(stream));
            }
            // Out of descriptors: a pause lets others close.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
}

/// Answers requests until the client has had enough, or sends what cannot be read.
async fn answer(mut stream: TcpStream, shared: Shared, limited: bool) {
    let mut buffer = bytes::BytesMut::with_capacity(BUFFER);
    let mut out = Vec::new();
    loop {
        match stream.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        out.clear();
        loop {
            match wire::request(&buffer) {
                Ok(Some(whole)) => {
                    let body = &buffer[whole.body..whole.end];
                    if limited {
                        within_limit(&shared, body, &mut out);
                    } else {
                        lock(&shared).take(body);
                        out.extend_from_slice(ANSWER);
                    }
                    let _ = buffer.split_to(whole.end);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
        if !out.is_empty() && stream.write_all(&out).await.is_err() {
            return;
        }
        buffer.reserve(BUFFER);
    }
}

fn within_limit(shared: &Shared, body: &[u8], out: &mut Vec<u8>) {
    let now = shared.0.moment();
    let mut book = lock(shared);
    let age = now.since(book.began);
    let Treatment::Answer { status, limit_lines } = book.temper.treat(age, true) else { return };
    match status {
        429 => book.arrived.refused += 1,
        _ => book.take(body),
    }
    write!(out, "HTTP/1.1 {status} Limited\r\ncontent-length: 0\r\n{limit_lines}\r\n")
        .expect("memory takes every write");
}

/// Takes requests in and never answers.
async fn outlast(mut stream: TcpStream, shared: Shared) {
    let mut buffer = [0; 4096];
    lock(&shared).arrived.hung += 1;
    while stream.read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}
