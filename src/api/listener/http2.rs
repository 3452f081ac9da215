//! HTTP/2, by the h2 crate. actix-http's own dispatcher lets a client have any number of streams
//! and 16 MiB of headers, neither of which can be set from outside; so this one takes its place.
//!
//! What bounds a client: its streams and header lists here, its CONTINUATION, PING and SETTINGS
//! frames and its resets of streams that nobody has looked at in h2, its other resets here
//! (CVE-2023-44487). A stream that is reset is given up, so that no more requests are worked on
//! than streams are open.

use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, UNIX_EPOCH};

use actix_http::body::{BodySize, MessageBody};
use actix_http::error::PayloadError;
use actix_http::{Payload, Request, Response};
use actix_server::GracefulShutdownSignal;
use actix_service::Service;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use bytes::Bytes;
use futures::future::{Either, poll_fn, select};
use futures::stream::FuturesUnordered;
use futures::{Stream, StreamExt};
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use tokio::time::{Instant, sleep_until, timeout};

use super::link::Link;
use crate::clock::Clock;

/// Requests under way on a connection: RFC 9113 advises no less than 100.
const STREAMS_MAX: u32 = 100;
/// Bytes of a body that may come before they are read, of one stream and of all.
const STREAM_WINDOW: u32 = 512 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// Streams that a client may reset before they are answered, over what it lets be answered. A
/// client that gives up requests does so for some; one that attacks, for all.
const RESETS_MAX: u32 = 100;
/// How long a connection that is to end may go on with what is under way.
const FAREWELL: Duration = Duration::from_secs(30);
/// Bytes of an answer that are offered to flow control at once: the size of a frame.
const PIECE: usize = 16 << 10;

/// What an HTTP/2 connection is served by.
#[derive(Clone)]
pub(super) struct Http2 {
    /// A header list, in bytes.
    pub(super) max_head: u32,
    /// How long a client may not take anything of an answer.
    pub(super) patience: Duration,
    /// How long the client's first frames are waited for.
    pub(super) beginning: Duration,
    /// How long a connection without a request is kept.
    pub(super) keep_alive: Duration,
    pub(super) clock: Clock,
    pub(super) stopping: GracefulShutdownSignal,
}

/// How a stream ended.
enum End {
    Answered,
    /// The client did not wait for the answer.
    Reset,
}

type Incoming = Result<(http::Request<RecvStream>, SendResponse<Bytes>), h2::Error>;

impl Http2 {
    /// Serves a connection until it ends. What goes wrong on it is the client's affair.
    pub(super) async fn serve<S, B>(&self, link: Link, peer: SocketAddr, app: &S)
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
        B: MessageBody,
    {
        let mut builder = h2::server::Builder::new();
        builder
            .max_concurrent_streams(STREAMS_MAX)
            .max_header_list_size(self.max_head)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        match timeout(self.beginning, builder.handshake(link)).await {
            Ok(Ok(connection)) => {
                let answer = |(request, respond)| self.answer(app, peer, request, respond);
                self.converse(connection, answer).await;
            }
            Ok(Err(error)) => log::debug!(error:% = error; "HTTP/2 did not begin"),
            Err(_) => log::debug!("HTTP/2 did not begin in time"),
        }
    }

    /// Takes streams in and has them answered side by side.
    async fn converse<F: Future<Output = End>>(
        &self,
        mut connection: Connection<Link, Bytes>,
        answer: impl Fn((http::Request<RecvStream>, SendResponse<Bytes>)) -> F,
    ) {
        let mut under_way = FuturesUnordered::new();
        let mut stopping = pin!(self.stopping.notified());
        let mut ending = false;
        let mut resets: u32 = 0;
        let mut late = pin!(sleep_until(Instant::now() + self.keep_alive));
        loop {
            let idle = under_way.is_empty();
            tokio::select! {
                incoming = connection.accept() => match take(incoming) {
                    Some(stream) => under_way.push(answer(stream)),
                    None => return,
                },
                Some(end) = under_way.next(), if !idle => {
                    resets = match end {
                        End::Answered => resets.saturating_sub(1),
                        End::Reset => resets + 1,
                    };
                    if resets > RESETS_MAX {
                        log::debug!("HTTP/2 streams are reset as fast as they come");
                        connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                        ending = true;
                    }
                    if under_way.is_empty() && !ending {
                        late.as_mut().reset(Instant::now() + self.keep_alive);
                    }
                }
                () = &mut stopping, if !ending => {
                    connection.graceful_shutdown();
                    ending = true;
                    late.as_mut().reset(Instant::now() + FAREWELL);
                }
                () = &mut late, if idle || ending => {
                    if ending {
                        return;
                    }
                    connection.graceful_shutdown();
                    ending = true;
                    late.as_mut().reset(Instant::now() + FAREWELL);
                }
            }
        }
    }

    async fn answer<S, B>(
        &self,
        app: &S,
        peer: SocketAddr,
        request: http::Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> End
    where
        S: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
        B: MessageBody,
    {
        let is_head = request.method() == Method::HEAD;
        let (parts, body) = request.into_parts();
        let payload = match body.is_end_stream() {
            true => Payload::None,
            false => Payload::Stream { payload: Box::pin(Body(body)) as _ },
        };
        let mut request = Request::with_payload(payload);
        let head = request.head_mut();
        (head.uri, head.method, head.version) = (parts.uri, parts.method, parts.version);
        head.headers = parts.headers.into();
        head.peer_addr = Some(peer);
        let answered = {
            let answering = pin!(app.call(request));
            match select(answering, poll_fn(|context| respond.poll_reset(context))).await {
                Either::Left((answered, _)) => answered,
                Either::Right(_) => return End::Reset,
            }
        };
        match answered {
            Ok(response) => self.send(response.into(), respond, is_head).await,
            Err(error) => {
                let response = Response::from(error.error_response());
                self.send(response, respond, is_head).await
            }
        }
    }

    async fn send<B: MessageBody>(
        &self,
        response: Response<B>,
        mut respond: SendResponse<Bytes>,
        is_head: bool,
    ) -> End {
        let (response, body) = response.into_parts();
        let size = match response.status() {
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => BodySize::None,
            _ => body.size(),
        };
        let mut head = http::Response::new(());
        *head.status_mut() = response.status();
        self.copy_headers(response.headers(), size, head.headers_mut());
        let ends = is_head || size.is_eof();
        // An error means that the stream or the connection is gone.
        let Ok(stream) = respond.send_response(head, ends) else { return End::Reset };
        if !ends && self.send_body(body, stream).await.is_none() {
            return End::Reset;
        }
        End::Answered
    }

    fn copy_headers(&self, from: &HeaderMap, size: BodySize, to: &mut http::HeaderMap) {
        for (name, value) in from {
            // They belong to HTTP/1.1 (RFC 9113, 8.2.2).
            if ![header::CONNECTION, header::TRANSFER_ENCODING, header::UPGRADE].contains(name) {
                to.append(name, value.clone());
            }
        }
        if let BodySize::Sized(length) = size {
            to.insert(header::CONTENT_LENGTH, length.into());
        }
        let now = UNIX_EPOCH + Duration::from_millis(self.clock.wall().as_millis().max(0) as u64);
        if let Ok(date) = HeaderValue::try_from(httpdate::fmt_http_date(now)) {
            to.insert(header::DATE, date);
        }
    }

    /// Sends a body as fast as the client takes it; `None` if it does not.
    async fn send_body<B: MessageBody>(
        &self,
        body: B,
        mut stream: SendStream<Bytes>,
    ) -> Option<()> {
        let mut body = pin!(body);
        while let Some(chunk) = poll_fn(|context| body.as_mut().poll_next(context)).await {
            let Ok(mut chunk) = chunk else {
                stream.send_reset(Reason::INTERNAL_ERROR);
                return Some(());
            };
            while !chunk.is_empty() {
                stream.reserve_capacity(chunk.len().min(PIECE));
                let room = poll_fn(|context| stream.poll_capacity(context));
                let Ok(room) = timeout(self.patience, room).await else {
                    stream.send_reset(Reason::CANCEL);
                    return None;
                };
                let room = room?.ok()?;
                let piece = chunk.split_to(room.min(chunk.len()));
                stream.send_data(piece, false).ok()?;
            }
        }
        stream.send_data(Bytes::new(), true).ok()
    }
}

/// The stream that came in, unless the connection has ended.
fn take(incoming: Option<Incoming>) -> Option<(http::Request<RecvStream>, SendResponse<Bytes>)> {
    match incoming? {
        Ok(stream) => Some(stream),
        Err(error) => {
            log::debug!(error:% = error; "an HTTP/2 connection broke");
            None
        }
    }
}

/// A request's body; what is read makes room for more.
struct Body(RecvStream);

impl Stream for Body {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_data(context).map(|data| {
            let chunk = data?.map_err(PayloadError::from);
            Some(chunk.and_then(|chunk| {
                self.0.flow_control().release_capacity(chunk.len())?;
                Ok(chunk)
            }))
        })
    }
}
