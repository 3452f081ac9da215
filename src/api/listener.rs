//! The addresses that are listened on: who may connect, by which protocol, and what stands before
//! the routes. Built on actix's parts rather than on its `HttpServer`, which cannot count the
//! connections of an address, swap a certificate or bound HTTP/2.

mod connections;
mod doors;
mod http2;
mod link;
mod strict;
mod tls;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_cors::Cors;
use actix_http::body::MessageBody;
use actix_http::{HttpService, Protocol, Request, Response};
use actix_server::{GracefulShutdownSignal, Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt as _, fn_factory, fn_service,
    map_config,
};
use actix_web::dev::{AppConfig, ServiceResponse};
use actix_web::http::Method;
use actix_web::middleware::{Condition, from_fn};
use actix_web::{App, HttpRequest, web};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{Api, Problem, configure, configure_admin, metrics};
use crate::clock::Clock;
use crate::config::Settings;
use connections::{Connections, Crowded, Permit};
use doors::Doors;
use http2::Http2;
pub(super) use link::UnderWay;
use link::{Link, Patience, Progress, Socket};
use tls::Tls;

/// Connections that wait to be accepted; the system may allow less.
const BACKLOG: i32 = 1024;
/// How long a connection that is closed over unread bytes is read on, so that the answer arrives
/// before the reset that unread bytes cause.
const LINGER: Duration = Duration::from_secs(1);
/// How long a browser may remember what a preflight said, in seconds.
const PREFLIGHT_S: usize = 3600;

/// Binds the front end and answers it with the addresses that it listens on: the main one, then
/// that of the administration if there is one. It runs once it is awaited or spawned; an error says
/// which address could not be bound or which file cannot be used.
pub fn server(settings: &Settings, api: web::Data<Api>) -> io::Result<(Server, Vec<SocketAddr>)> {
    let config = &settings.server;
    let tls = Tls::load(config)?;
    if let Some(tls) = tls.clone() {
        actix_rt::spawn(tls.follow());
    }
    // What is in flight is let finish by the engine; here it is only the answers that go out.
    let shutdown_s = config.shutdown_timeout.as_secs().max(1);
    let builder = Server::build()
        .workers(config.workers.max(1))
        // The limit is kept by `Connections`; at this one a worker would stop to accept at all.
        .max_concurrent_connections(config.max_connections + 1024)
        .shutdown_timeout(shutdown_s)
        .disable_signals();
    let entrance = Entrance::new(settings, &builder, api.clock.clone());
    let (stopping, live) = (builder.graceful_shutdown_signal(), api.live().clone());
    actix_rt::spawn(async move {
        // Whoever stops waits for the answers under way, and these have no end of their own.
        stopping.notified().await;
        live.end();
    });
    let (main, listener) = bind(config.listen)?;
    let doors = Doors::new(config, tls.is_some());
    let (origins, routed) = (config.cors_origins.clone(), api.clone());
    let app = move || {
        // The last wrap is the first that a request meets.
        App::new()
            .app_data(doors.clone())
            .wrap(Condition::new(!origins.is_empty(), cors(&origins)))
            .wrap(from_fn(doors::pass))
            .wrap(from_fn(metrics::count))
            .configure(configure(routed.clone()))
    };
    let builder = entrance.clone().with_tls(tls).open("main", listener, builder, app)?;
    let Some(admin_listen) = config.admin_listen else {
        return Ok((builder.run(), vec![main]));
    };
    let (admin, listener) = bind(admin_listen)?;
    let doors = Doors::new(config, false);
    let app = move || {
        App::new()
            .app_data(doors.clone())
            .wrap(from_fn(doors::pass))
            .configure(configure_admin(api.clone()))
    };
    let builder = entrance.open("admin", listener, builder, app)?;
    Ok((builder.run(), vec![main, admin]))
}

/// Stands for a request whose answer goes on after its route has given it: the connection is not
/// idle as long as it is held.
pub(super) fn under_way(request: &HttpRequest) -> Option<UnderWay> {
    request.conn_data::<Rc<Progress>>().map(Progress::begin)
}

fn bind(address: SocketAddr) -> io::Result<(SocketAddr, TcpListener)> {
    let listen = || {
        let domain = socket2::Domain::for_address(address);
        let socket = socket2::Socket::new(domain, socket2::Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        Ok((listener.local_addr()?, listener))
    };
    listen().map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
    })
}

fn cors(origins: &[String]) -> Cors {
    let sent = ["authorization", "content-type", "idempotency-key", "traceparent"];
    let read = ["location", "retry-after", "ratelimit", "ratelimit-policy", "idempotent-replayed"];
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let cors = Cors::default().allowed_methods(methods).allowed_headers(sent);
    let cors = cors.expose_headers(read).max_age(PREFLIGHT_S);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin))
}

/// How connections come in at an address.
#[derive(Clone)]
struct Entrance {
    connections: Arc<Connections>,
    tls: Option<Arc<Tls>>,
    client_timeout: Duration,
    request_timeout: Duration,
    keep_alive: Duration,
    max_head: usize,
    clock: Clock,
    stopping: GracefulShutdownSignal,
}

impl Entrance {
    fn new(settings: &Settings, builder: &ServerBuilder, clock: Clock) -> Self {
        let server = &settings.server;
        Self {
            connections: Connections::new(server),
            tls: None,
            client_timeout: server.client_timeout,
            request_timeout: server.request_timeout,
            keep_alive: server.keep_alive,
            max_head: server.max_head,
            clock,
            stopping: builder.graceful_shutdown_signal(),
        }
    }

    fn with_tls(self, tls: Option<Arc<Tls>>) -> Self {
        Self { tls, ..self }
    }

    /// Serves `app` on a listener.
    fn open<F, I, S, B>(
        self,
        name: &str,
        listener: TcpListener,
        builder: ServerBuilder,
        app: F,
    ) -> io::Result<ServerBuilder>
    where
        F: Fn() -> I + Clone + Send + 'static,
        I: IntoServiceFactory<S, Request>,
        S: ServiceFactory<
                Request,
                Config = AppConfig,
                Response = ServiceResponse<B>,
                Error = actix_web::Error,
                InitError = (),
            > + 'static,
        B: MessageBody + 'static,
    {
        builder.listen(name, listener, move || {
            let (entrance, app) = (self.clone(), app.clone());
            fn_factory(move || {
                let (entrance, app) = (Rc::new(entrance.clone()), app.clone());
                async move {
                    let http1 = entrance.http1(app().into_factory());
                    let http1 = Rc::new(http1.new_service(()).await.map_err(drop)?);
                    let http2 = app().into_factory().new_service(AppConfig::default());
                    let http2 = Rc::new(http2.await?);
                    Ok::<_, ()>(fn_service(move |socket: TcpStream| {
                        let (entrance, http1, http2) =
                            (entrance.clone(), http1.clone(), http2.clone());
                        async move {
                            entrance.admit(socket, &*http1, &*http2).await;
                            Ok::<_, ()>(())
                        }
                    }))
                }
            })
        })
    }

    /// HTTP/1.1 by actix-http.
    fn http1<S, B>(
        &self,
        app: S,
    ) -> impl ServiceFactory<
        (Link, Protocol, Option<SocketAddr>),
        Config = (),
        Response = (),
        Error = actix_http::error::DispatchError,
        InitError = (),
    > + use<S, B>
    where
        S: ServiceFactory<
                Request,
                Config = AppConfig,
                Response = ServiceResponse<B>,
                Error = actix_web::Error,
                InitError = (),
            > + 'static,
        B: MessageBody + 'static,
    {
        let stopping = self.stopping.clone();
        let app = app.map_err(|error| Response::from(error.error_response()));
        HttpService::build()
            .keep_alive(self.keep_alive)
            .client_request_timeout(self.client_timeout)
            .client_disconnect_timeout(LINGER)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|link: &Link, data| {
                data.insert(link.progress().clone());
            })
            .finish(map_config(app, |()| AppConfig::default()))
    }

    /// Serves one connection, if there is room for it.
    async fn admit<One, Two, B>(&self, mut socket: TcpStream, http1: &One, http2: &Two)
    where
        One: Service<(Link, Protocol, Option<SocketAddr>)>,
        Two: Service<Request, Response = ServiceResponse<B>, Error = actix_web::Error>,
        B: MessageBody,
    {
        // Gone already.
        let Ok(peer) = socket.peer_addr() else { return };
        let permit = match self.connections.enter(peer.ip()) {
            Ok(permit) => permit,
            Err(crowded) if self.tls.is_none() => return turn_away(&mut socket, crowded).await,
            Err(_) => return,
        };
        let Some(link) = self.link(socket, permit).await else { return };
        if link.is_http2() {
            return self.http2().serve(link, peer, http2).await;
        }
        // An error is the client's affair, and has been logged beneath.
        let _ended = http1.call((link, Protocol::Http1, Some(peer))).await;
    }

    async fn link(&self, socket: TcpStream, permit: Permit) -> Option<Link> {
        let patience = Patience {
            idle: self.keep_alive + LINGER,
            head: self.client_timeout,
            answer: self.request_timeout,
        };
        let Some(tls) = &self.tls else {
            return Some(Link::new(Socket::Plain(socket), patience, permit));
        };
        match timeout(self.client_timeout, tls.accept(socket)).await {
            Ok(Ok(socket)) => Some(Link::new(Socket::Tls(Box::new(socket)), patience, permit)),
            Ok(Err(error)) => {
                log::debug!(error:% = error; "a TLS handshake failed");
                None
            }
            Err(_) => {
                log::debug!("a TLS handshake took too long");
                None
            }
        }
    }

    fn http2(&self) -> Http2 {
        Http2 {
            // The setting ends below 2^32.
            max_head: u32::try_from(self.max_head).unwrap_or(u32::MAX),
            patience: self.request_timeout,
            beginning: self.client_timeout,
            keep_alive: self.keep_alive,
            clock: self.clock.clone(),
            stopping: self.stopping.clone(),
        }
    }
}

/// Says why a connection is not served, and closes it.
async fn turn_away(socket: &mut TcpStream, crowded: Crowded) {
    let problem = match crowded {
        Crowded::Full => Problem::crowded(),
        Crowded::Address => Problem::crowded_address(),
    };
    let (status, body) = (problem.status(), problem.to_json());
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nconnection: close\r\nretry-after: {}\r\n\
         content-type: application/problem+json\r\ncontent-length: {}\r\n\r\n",
        problem.retry_after_s().unwrap_or(1),
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(&body);
    let farewell = async {
        socket.write_all(&answer).await?;
        socket.shutdown().await?;
        let mut unread = [0; 1024];
        while socket.read(&mut unread).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    // Whether it was heard makes no difference here.
    let _heard = timeout(LINGER, farewell).await;
}
