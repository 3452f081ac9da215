//! A client's connection as the protocols see it: bytes in and out, plain or by TLS, with clocks
//! that the HTTP server above does not have.
//!
//! actix-http times the head of a connection's first request only. A client that sends one whole
//! request and then a byte of the next would be waited for without end; so would one that does not
//! take its answer, or that leaves a chunked body unfinished which nobody reads any more. All are
//! noticed here, by one timer.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::connections::Permit;
use super::strict::Strict;
use super::tls::H2;

/// What carries the bytes.
pub(super) enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Socket {
    fn is_http2(&self) -> bool {
        match self {
            Socket::Plain(_) => false,
            Socket::Tls(socket) => socket.get_ref().1.alpn_protocol() == Some(H2),
        }
    }
}

/// How far the requests of a connection are; shared with those who answer them.
#[derive(Default)]
pub(super) struct Progress {
    /// Requests whose heads have been read.
    begun: Cell<u64>,
    /// Those of them that are not answered yet.
    under_way: Cell<usize>,
}

/// Stands for a request under way.
pub(in crate::api) struct UnderWay(Rc<Progress>);

impl Progress {
    /// A request's head has been read.
    pub(super) fn begin(self: &Rc<Self>) -> UnderWay {
        self.begun.set(self.begun.get() + 1);
        self.under_way.set(self.under_way.get() + 1);
        UnderWay(self.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.under_way.set(self.0.under_way.get() - 1);
    }
}

/// How long what is owed is waited for.
#[derive(Clone, Copy)]
pub(super) struct Patience {
    /// For the next request. The server above closes at `keep_alive` by itself, in good order.
    pub(super) idle: Duration,
    /// For the rest of a head. In HTTP/2 frames come at any time, and heads are not told apart.
    pub(super) head: Duration,
    /// For the client to take some of an answer.
    pub(super) answer: Duration,
}

/// A client's connection.
pub(super) struct Link {
    socket: Socket,
    patience: Patience,
    progress: Rc<Progress>,
    /// The framing of HTTP/1.1; `None` of HTTP/2.
    strict: Option<Strict>,
    /// Since when nothing is under way.
    idle: Option<Instant>,
    /// Since when a part of a head is there, and after how many requests.
    head: Option<(Instant, u64)>,
    /// Since when bytes are not taken.
    blocked: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    _permit: Permit,
}

impl Link {
    pub(super) fn new(socket: Socket, patience: Patience, permit: Permit) -> Self {
        let strict = if socket.is_http2() { None } else { Some(Strict::new()) };
        Self {
            socket,
            patience,
            progress: Rc::default(),
            strict,
            idle: None,
            head: None,
            blocked: None,
            timer: None,
            _permit: permit,
        }
    }

    /// How far its requests are.
    pub(super) fn progress(&self) -> &Rc<Progress> {
        &self.progress
    }

    /// Whether the client chose HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        self.strict.is_none()
    }

    fn came(&mut self) {
        self.idle = None;
        let begun = self.progress.begun.get();
        let waited_for = self.head.is_some_and(|(_, before)| before == begun);
        if !self.is_http2() && self.progress.under_way.get() == 0 && !waited_for {
            self.head = Some((Instant::now(), begun));
        }
    }

    /// When it is too late for what the client owes, if it owes anything.
    fn deadline(&mut self) -> Option<Instant> {
        let is_free = self.progress.under_way.get() == 0;
        let begun = self.progress.begun.get();
        self.head = self.head.filter(|(_, before)| is_free && *before == begun);
        self.idle = match is_free && !self.is_http2() {
            true => Some(self.idle.unwrap_or_else(Instant::now)),
            false => None,
        };
        let idle = self.idle.map(|since| since + self.patience.idle);
        let head = self.head.map(|(since, _)| since + self.patience.head);
        let answer = self.blocked.map(|since| since + self.patience.answer);
        [idle, head, answer].into_iter().flatten().min()
    }

    /// Makes sure that somebody wakes up when what is owed is late, and says so when it is. The
    /// timer is only ever set earlier, and else left to run out: to set it anew for every request
    /// would cost more than to parse it.
    fn look_at_the_clock(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        loop {
            let deadline = self.deadline();
            if let Some(timer) = &mut self.timer {
                let in_time = deadline.is_none_or(|deadline| timer.deadline() <= deadline);
                if in_time && timer.as_mut().poll(context).is_pending() {
                    return Ok(());
                }
            }
            let Some(deadline) = deadline else {
                self.timer = None;
                return Ok(());
            };
            if deadline <= Instant::now() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(deadline),
                None => self.timer = Some(Box::pin(sleep_until(deadline))),
            }
        }
    }

    fn wrote(
        &mut self,
        written: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(_)) => (self.blocked, self.idle) = (None, None),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => {
                self.blocked.get_or_insert_with(Instant::now);
                self.look_at_the_clock(context)?;
            }
        }
        written
    }
}

impl AsyncRead for Link {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_read(context, buffer),
            Socket::Tls(socket) => Pin::new(socket).poll_read(context, buffer),
        };
        match read {
            Poll::Ready(Ok(())) if buffer.filled().len() > before => {
                self.came();
                if let Some(strict) = &mut self.strict {
                    strict.vet(&mut buffer.filled_mut()[before..]);
                }
            }
            Poll::Ready(_) => {}
            Poll::Pending => self.look_at_the_clock(context)?,
        }
        read
    }
}

impl AsyncWrite for Link {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write(context, bytes),
            Socket::Tls(socket) => Pin::new(socket).poll_write(context, bytes),
        };
        self.wrote(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_write_vectored(context, pieces),
            Socket::Tls(socket) => Pin::new(socket).poll_write_vectored(context, pieces),
        };
        self.wrote(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.socket {
            Socket::Plain(socket) => socket.is_write_vectored(),
            Socket::Tls(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_flush(context),
            Socket::Tls(socket) => Pin::new(socket).poll_flush(context),
        };
        let written = flushed.map_ok(|()| 0);
        let written = ready!(self.wrote(written, context));
        Poll::Ready(written.map(|_| ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(socket) => Pin::new(socket).poll_shutdown(context),
            Socket::Tls(socket) => Pin::new(socket).poll_shutdown(context),
        }
    }
}
