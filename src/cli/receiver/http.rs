//! Just enough HTTP/1.1, by hand: a receiver that is to misbehave must own its bytes.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::model::Header;

/// No honest head is longer.
const HEAD_LEN_MAX: usize = 64 << 10;
/// Above the largest body that the engine can be set to send in practice.
const BODY_LEN_MAX: usize = 64 << 20;
/// The longest line that gives a chunk's size, extensions included.
const CHUNK_LINE_MAX: usize = 1 << 10;

/// A request, whole.
#[derive(Clone)]
pub struct Request {
    /// As sent.
    pub method: String,
    /// Path and query, as sent.
    pub path: String,
    /// In order; names in lower case.
    pub headers: Vec<Header>,
    /// Byte for byte, without the framing of chunks.
    pub body: Bytes,
    /// Whether the connection may carry another request.
    pub keep_alive: bool,
}

enum Framing {
    Length(usize),
    Chunked,
}

/// What follows a head.
pub struct Rest {
    framing: Framing,
    expects_continue: bool,
}

impl Request {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|header| header.name == name);
        found.map(|header| header.value.as_str())
    }

    /// Reads a head, without its empty line.
    pub fn parse_head(head: &[u8]) -> io::Result<(Self, Rest)> {
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(path), Some(version), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err(malformed("request line"));
        };
        let mut headers = Vec::new();
        for line in lines.filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(':').ok_or_else(|| malformed("header"))?;
            let (name, value) = (name.to_ascii_lowercase(), value.trim().to_owned());
            headers.push(Header { name, value });
        }
        let mut request = Self {
            method: method.to_owned(),
            path: path.to_owned(),
            headers,
            body: Bytes::new(),
            keep_alive: true,
        };
        let says = |name: &str, word: &str| {
            request.header(name).is_some_and(|value| value.eq_ignore_ascii_case(word))
        };
        let keep_alive = match version {
            "HTTP/1.1" => !says("connection", "close"),
            "HTTP/1.0" => says("connection", "keep-alive"),
            _ => return Err(malformed("version")),
        };
        let expects_continue = says("expect", "100-continue");
        let framing = if says("transfer-encoding", "chunked") {
            Framing::Chunked
        } else {
            let length = request.header("content-length").unwrap_or("0");
            Framing::Length(length.parse().map_err(|_| malformed("content-length"))?)
        };
        request.keep_alive = keep_alive;
        Ok((request, Rest { framing, expects_continue }))
    }
}

/// One connection, and what of the next request has come already.
pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Connection {
    /// Takes over an accepted stream.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: BytesMut::with_capacity(8 << 10) }
    }

    /// The next request; `None` when the client has closed between requests.
    pub async fn next(&mut self) -> io::Result<Option<Request>> {
        let Some(head) = self.read_until(b"\r\n\r\n", HEAD_LEN_MAX).await? else {
            return Ok(None);
        };
        let (mut request, rest) = Request::parse_head(&head)?;
        if rest.expects_continue {
            self.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        request.body = match rest.framing {
            Framing::Length(length) => self.read_exactly(length).await?,
            Framing::Chunked => self.read_chunks().await?,
        };
        Ok(Some(request))
    }

    /// Writes an answer.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits until the client has had enough.
    pub async fn outlast(&mut self) {
        loop {
            self.buffer.clear();
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    }

    /// Closes with RST, which also tells the client's kernel to forget what it has not read.
    pub fn reset(self) {
        // The socket closes either way; where this fails the client sees a FIN.
        let _ = self.stream.set_zero_linger();
    }

    /// Everything before `mark`, which is passed over; `None` when the client has closed before it
    /// sent anything.
    async fn read_until(&mut self, mark: &[u8], len_max: usize) -> io::Result<Option<Bytes>> {
        let mut searched = 0;
        loop {
            let found = find(&self.buffer[searched..], mark).map(|at| at + searched);
            if let Some(at) = found {
                let text = self.buffer.split_to(at).freeze();
                self.buffer.advance(mark.len());
                return Ok(Some(text));
            }
            if self.buffer.len() > len_max {
                return Err(malformed("length of the head"));
            }
            searched = self.buffer.len().saturating_sub(mark.len() - 1);
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                let clean = self.buffer.is_empty();
                return if clean { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    async fn read_exactly(&mut self, length: usize) -> io::Result<Bytes> {
        if length > BODY_LEN_MAX {
            return Err(malformed("length of the body"));
        }
        self.buffer.reserve(length.saturating_sub(self.buffer.len()));
        while self.buffer.len() < length {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.split_to(length).freeze())
    }

    async fn read_chunks(&mut self) -> io::Result<Bytes> {
        let mut body = BytesMut::new();
        loop {
            let line = self.read_line().await?;
            let digits = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(digits, 16).map_err(|_| malformed("chunk"))?;
            if size == 0 {
                break;
            }
            if size > BODY_LEN_MAX - body.len() {
                return Err(malformed("length of the body"));
            }
            body.extend_from_slice(&self.read_exactly(size).await?);
            self.read_line().await?;
        }
        // Trailers, up to the empty line; nothing here has a use for them.
        while !self.read_line().await?.is_empty() {}
        Ok(body.freeze())
    }

    async fn read_line(&mut self) -> io::Result<String> {
        let line = self.read_until(b"\r\n", CHUNK_LINE_MAX).await?;
        let line = line.ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(String::from_utf8_lossy(&line).into_owned())
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("malformed {what}"))
}

/// The words that go with a status.
pub fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        410 => "Gone",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}
