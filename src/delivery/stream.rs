//! The byte stream that awc reads and writes: TCP, or TLS over it.
//!
//! It stands between awc and the receiver to do what awc does not: it takes out interim answers
//! (1xx), reports a cut body as an error, lets a body that ends with the connection be one, never
//! hands out a byte past the end of an answer whose length is known, and notes in the attempt's
//! `Trace` what happened. It decides nothing about attempts.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use actix_rt::net::{ActixStream, Ready};
use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::head::{self, Framing, HEAD_BYTES_MAX, MINOR_VERSION_AT, Scan};
use super::tls;
use super::trace::{Fault, Stage, Trace};
use super::transport::Transport;

/// Interim answers before the answer. One or two are normal (100, 103); a flood is an attack.
const INTERIM_MAX: u32 = 16;
/// Bytes of chunk lines, extensions and trailers between two pieces of a body. Like a head's; a
/// receiver could else send them for as long as the attempt may take.
const BARREN_MAX: u64 = HEAD_BYTES_MAX as u64;

/// A connection to a receiver.
pub struct WatchedStream {
    transport: Transport,
    trace: Rc<Trace>,
    reading: Reading,
    /// Bytes read ahead: part of a head, or what came behind an interim answer.
    held: BytesMut,
    /// Bytes of `held` that are known not to end a head.
    searched: usize,
    interims: u32,
    /// More came than the answer announced, or writing failed: it serves no other request.
    tainted: bool,
    /// Writing failed. What the receiver said before it closed is still read: often it is the
    /// answer, a 413 above all.
    write_failed: bool,
    /// Given back when the connection closes.
    socket: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Head,
    Body(Framing),
}

/// What to do with the bytes of a head.
enum Next {
    More,
    Skip(usize),
    Pass(Pass),
}

/// Where the answer's head is, and what has to be changed in it for awc.
struct Pass {
    start: usize,
    end: usize,
    status: u16,
    rewrite_version: bool,
    hide_upgrades: bool,
    framing: Framing,
}

impl Pass {
    fn adapt(&self, head: &mut [u8]) {
        if self.rewrite_version {
            head[MINOR_VERSION_AT] = b'0';
        }
        if self.hide_upgrades {
            head::hide_upgrades(head);
        }
    }
}

impl WatchedStream {
    /// Wraps a fresh connection, made for the request that `trace` records.
    pub fn new(transport: Transport, trace: Rc<Trace>, socket: OwnedSemaphorePermit) -> Self {
        Self {
            transport,
            trace,
            reading: Reading::Head,
            held: BytesMut::new(),
            searched: 0,
            interims: 0,
            tainted: false,
            write_failed: false,
            socket,
        }
    }

    /// Begins to serve another request, once its first byte is written.
    fn rebind(&mut self) {
        let Some(trace) = Trace::current() else { return };
        trace.reused.set(true);
        self.trace = trace;
        self.reading = Reading::Head;
        self.interims = 0;
    }

    /// Whether the last answer was read to its end, so that no byte of it may still come.
    fn is_reusable(&self) -> bool {
        let ended = match self.reading {
            Reading::Head => false,
            Reading::Body(Framing::Length(left)) => left == 0,
            Reading::Body(Framing::Chunked) => self.trace.complete.get(),
            Reading::Body(Framing::UntilClose) => false,
        };
        ended && !self.tainted && self.held.is_empty()
    }

    /// awc reads from an idle connection to see whether it is alive: no data and no end means yes.
    /// An end at once makes it take another.
    fn poll_idle(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let fresh_only = Trace::current().is_some_and(|trace| trace.fresh_only);
        // Others wait for a socket: idle ones are given back.
        let scarce = self.socket.semaphore().available_permits() == 0;
        if fresh_only || scarce || !self.is_reusable() {
            return Poll::Ready(Ok(()));
        }
        self.transport.poll_read(context, buf)
    }

    fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.trace.stage.get() == Stage::Send {
            self.trace.stage.set(if self.held.is_empty() { Stage::Wait } else { Stage::Head });
        }
        if self.held.is_empty() {
            // The common case: the whole head in one read, straight into awc's buffer.
            let before = buf.filled().len();
            ready!(self.poll_transport(context, buf))?;
            let came = &buf.filled()[before..];
            match self.judge(came)? {
                Next::Pass(pass @ Pass { start: 0, end, .. }) => {
                    *self.trace.head.borrow_mut() = Bytes::copy_from_slice(&came[..end]);
                    let body = came.len() - end;
                    pass.adapt(&mut buf.filled_mut()[before..before + end]);
                    let kept = self.enter_body(pass.framing, body);
                    buf.set_filled(before + end + kept);
                    return Poll::Ready(Ok(()));
                }
                _ => {
                    self.held.extend_from_slice(came);
                    buf.set_filled(before);
                }
            }
        }
        let pass = ready!(self.poll_held_head(context))?;
        let (start, end) = (pass.start, pass.end);
        *self.trace.head.borrow_mut() = Bytes::copy_from_slice(&self.held[start..end]);
        pass.adapt(&mut self.held[start..end]);
        self.held.advance(start);
        let head = end - start;
        let kept = self.enter_body(pass.framing, self.held.len() - head);
        self.held.truncate(head + kept);
        self.give_held(buf);
        Poll::Ready(Ok(()))
    }

    /// Collects a head that comes in pieces, and takes out interim answers before it.
    fn poll_held_head(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Pass>> {
        loop {
            if self.interims > INTERIM_MAX {
                return Poll::Ready(Err(self.malformed("too many interim answers (1xx)")));
            }
            match self.judge_held()? {
                Next::Pass(pass) => return Poll::Ready(Ok(pass)),
                Next::Skip(length) => {
                    self.held.advance(length);
                    self.searched = 0;
                    self.trace.interim_passed(!self.held.is_empty());
                    self.interims += 1;
                }
                Next::More => {
                    let mut piece = [0; 4096];
                    let mut piece = ReadBuf::new(&mut piece);
                    ready!(self.poll_transport(context, &mut piece))?;
                    self.held.extend_from_slice(piece.filled());
                }
            }
        }
    }

    /// Judges `held`, but for bytes that were found not to end it before: a head that comes byte by
    /// byte must not be read from its start for each.
    fn judge_held(&mut self) -> io::Result<Next> {
        let from = self.searched.saturating_sub(head::END_BYTES_MAX);
        let short = self.held.len() <= head::STATUS_END;
        if short || head::may_end(&self.held[from..]) || self.held.len() > HEAD_BYTES_MAX {
            return self.judge(&self.held);
        }
        self.searched = self.held.len();
        Ok(Next::More)
    }

    fn judge(&self, bytes: &[u8]) -> io::Result<Next> {
        let scan = head::scan(bytes);
        let length = match scan {
            Scan::Malformed(what) => return Err(self.malformed(what)),
            Scan::Partial => bytes.len(),
            Scan::Interim(end) | Scan::Final { end, .. } => end,
        };
        // awc must not see a larger one: it panics at a name of 64 KiB.
        if length > HEAD_BYTES_MAX {
            return Err(self.malformed("its headers are larger than 64 KiB"));
        }
        match scan {
            Scan::Malformed(_) | Scan::Partial => Ok(Next::More),
            Scan::Interim(length) => Ok(Next::Skip(length)),
            Scan::Final { start, end, status, persistent, upgrades, framing } => {
                Ok(Next::Pass(Pass {
                    start,
                    end,
                    status,
                    // As HTTP/1.0 awc reads the body to the connection's end, as it should.
                    rewrite_version: persistent && framing == Framing::UntilClose,
                    hide_upgrades: upgrades,
                    framing,
                }))
            }
        }
    }

    /// Notes that the answer's head is here, with `came` bytes behind it; answers how many of those
    /// belong to its body.
    fn enter_body(&mut self, framing: Framing, came: usize) -> usize {
        self.trace.stage.set(Stage::Body);
        self.trace.body_came();
        self.searched = 0;
        let (left, kept) = match framing {
            Framing::Length(length) => {
                let kept = usize::try_from(length).map_or(came, |length| came.min(length));
                self.tainted |= kept < came;
                (Framing::Length(length - kept as u64), kept)
            }
            other => (other, came),
        };
        self.reading = Reading::Body(left);
        kept
    }

    fn poll_body(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
        framing: Framing,
    ) -> Poll<io::Result<()>> {
        if !self.held.is_empty() {
            self.give_held(buf);
            return Poll::Ready(Ok(()));
        }
        match framing {
            Framing::Length(left) => {
                let before = buf.filled().len();
                ready!(self.poll_transport(context, buf))?;
                let came = buf.filled().len() - before;
                let kept = usize::try_from(left).map_or(came, |left| came.min(left));
                self.tainted |= kept < came;
                buf.set_filled(before + kept);
                self.reading = Reading::Body(Framing::Length(left - kept as u64));
                Poll::Ready(Ok(()))
            }
            Framing::Chunked => {
                ready!(self.poll_transport(context, buf))?;
                if self.trace.barren() > BARREN_MAX {
                    return Poll::Ready(Err(self.malformed("its chunks carry next to nothing")));
                }
                Poll::Ready(Ok(()))
            }
            Framing::UntilClose => match ready!(self.transport.poll_read(context, buf)) {
                // Receivers that close without the TLS goodbye are common, and the status is known.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(())),
                Err(error) => Poll::Ready(Err(self.broken(error))),
                Ok(()) => Poll::Ready(Ok(())),
            },
        }
    }

    /// Reads; an end of the stream is an error, since the answer is not whole yet.
    fn poll_transport(
        &mut self,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if let Err(error) = ready!(self.transport.poll_read(context, buf)) {
            return Poll::Ready(Err(self.broken(error)));
        }
        let came = buf.filled().len() - before;
        if came == 0 {
            self.trace.fail(Fault::Closed(self.trace.stage.get()));
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        self.trace.bytes_in.set(self.trace.bytes_in.get() + came as u64);
        if matches!(self.trace.stage.get(), Stage::Send | Stage::Wait) {
            self.trace.answer_began();
        }
        Poll::Ready(Ok(()))
    }

    fn give_held(&mut self, buf: &mut ReadBuf<'_>) {
        let fits = self.held.len().min(buf.remaining());
        buf.put_slice(&self.held[..fits]);
        self.held.advance(fits);
    }

    /// While the receiver takes no more of the request: whether it has refused it already, so that
    /// it never will. A success that comes early changes nothing: its receiver may still be reading.
    fn is_refused(&mut self, context: &mut Context<'_>) -> bool {
        if self.reading != Reading::Head {
            return false;
        }
        let over = match self.poll_held_head(context) {
            Poll::Pending => false,
            Poll::Ready(Ok(pass)) => pass.status >= 400,
            // It is noted, and is met again by who reads.
            Poll::Ready(Err(_)) => true,
        };
        self.trace.stage.set(Stage::Send);
        self.write_failed |= over;
        self.tainted |= over;
        over
    }

    /// Pretends from here on that everything is written, so that awc goes on to read. When nothing
    /// can be read either, this failure is the one that is reported, being the first.
    fn give_up_writing(&mut self, error: io::Error) {
        self.broken(error);
        self.write_failed = true;
        self.tainted = true;
    }

    fn broken(&self, error: io::Error) -> io::Error {
        let stage = self.trace.stage.get();
        self.trace.fail(match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Closed(stage),
            // TCP has no such error.
            io::ErrorKind::InvalidData => Fault::Insecure(tls::failure(&error)),
            kind => Fault::Broken(kind, stage),
        });
        error
    }

    fn malformed(&self, what: &'static str) -> io::Error {
        self.trace.fail(Fault::Malformed(what));
        io::ErrorKind::InvalidData.into()
    }
}

impl AsyncRead for WatchedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.trace.is_current() {
            return this.poll_idle(context, buf);
        }
        match this.reading {
            Reading::Head => this.poll_head(context, buf),
            Reading::Body(framing) => this.poll_body(context, buf, framing),
        }
    }
}

impl AsyncWrite for WatchedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if !this.trace.is_current() {
            this.rebind();
        }
        this.trace.stage.set(Stage::Send);
        if this.write_failed {
            return Poll::Ready(Ok(bytes.len()));
        }
        match this.transport.poll_write(context, bytes) {
            Poll::Ready(Ok(written)) => return Poll::Ready(Ok(written)),
            Poll::Ready(Err(error)) => this.give_up_writing(error),
            Poll::Pending if this.is_refused(context) => {}
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.write_failed {
            return Poll::Ready(Ok(()));
        }
        match this.transport.poll_flush(context) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => this.give_up_writing(error),
            Poll::Pending if this.is_refused(context) => {}
            Poll::Pending => return Poll::Pending,
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().transport.poll_shutdown(context)
    }
}

impl ActixStream for WatchedStream {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.transport.tcp(), context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.transport.tcp(), context)
    }
}

impl fmt::Debug for WatchedStream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WatchedStream").finish_non_exhaustive()
    }
}
