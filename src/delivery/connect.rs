//! The connector that awc gets: name to vetted address, TCP, TLS.
//!
//! awc's own connector skips a custom resolver for address literals, tries addresses one after the
//! other, and leaves Nagle's algorithm on. This one leaves the house by `Egress` alone, which vets
//! every address just before it connects to that very address, and does TLS itself: awc only ever
//! sees plain `http://` URIs. What went wrong goes to the attempt's `Trace`.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::Uri;
use futures::future::LocalBoxFuture;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::egress::Egress;
use super::resolve::Resolver;
use super::stream::WatchedStream;
use super::tls;
use super::trace::{Fault, Stage, Trace};
use super::transport::Transport;

/// Makes connections for one host actor and one scheme. Cheap to clone.
#[derive(Clone)]
pub struct Connect(Rc<Parts>);

struct Parts {
    egress: Arc<Egress>,
    resolver: Resolver,
    security: Security,
    sockets: Arc<Semaphore>,
}

/// Whether connections are encrypted.
#[derive(Clone)]
pub enum Security {
    /// For `http`.
    Plain,
    /// For `https`; without a configuration, why there is none.
    Tls(Result<Arc<ClientConfig>, Arc<str>>),
}

impl Connect {
    /// A connector that leaves by `egress`, and has a permit of `sockets` for each connection.
    pub fn new(
        egress: Arc<Egress>,
        resolver: Resolver,
        security: Security,
        sockets: Arc<Semaphore>,
    ) -> Self {
        Self(Rc::new(Parts { egress, resolver, security, sockets }))
    }
}

impl Service<ConnectInfo<Uri>> for Connect {
    type Response = Connection<Uri, WatchedStream>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let parts = Rc::clone(&self.0);
        Box::pin(async move {
            let trace = Trace::current().expect("awc connects inside the request's own future");
            match parts.open(info.hostname(), info.port(), &trace).await {
                Ok((transport, socket)) => {
                    let stream = WatchedStream::new(transport, trace, socket);
                    Ok(Connection::new(info.request().clone(), stream))
                }
                Err(fault) => {
                    trace.fail(fault);
                    // The sender reads the trace; awc only has to know that there is none.
                    Err(ConnectError::Unresolved)
                }
            }
        })
    }
}

impl fmt::Debug for Connect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Connect").finish_non_exhaustive()
    }
}

impl Parts {
    async fn open(
        &self,
        host: &str,
        port: u16,
        trace: &Trace,
    ) -> Result<(Transport, OwnedSemaphorePermit), Fault> {
        trace.stage.set(Stage::Resolve);
        let since = trace.now();
        let way = self.egress.way((host, port), &self.resolver).await?;
        trace.resolved(since);

        // Waits for one that is given back where there are too many; the attempt's timeout bounds it.
        trace.stage.set(Stage::Connect);
        let socket = Arc::clone(&self.sockets).acquire_owned().await;
        let socket = socket.expect("the semaphore is never closed");
        let since = trace.now();
        let tcp = self.egress.connect(&way, &self.resolver, trace).await?;
        trace.connected(since);

        let tls = match &self.security {
            Security::Plain => return Ok((Transport::Plain(tcp), socket)),
            Security::Tls(Ok(config)) => Arc::clone(config),
            Security::Tls(Err(why)) => return Err(Fault::Unreachable(why.to_string())),
        };
        trace.stage.set(Stage::Handshake);
        let since = trace.now();
        let secured = handshake(tls, host, tcp).await?;
        trace.secured(since);
        Ok((Transport::Tls(Box::new(secured)), socket))
    }
}

async fn handshake(
    config: Arc<ClientConfig>,
    host: &str,
    tcp: TcpStream,
) -> Result<TlsStream<TcpStream>, Fault> {
    let bare = host.trim_start_matches('[').trim_end_matches([']', '.']);
    let name = ServerName::try_from(bare.to_owned())
        .map_err(|_| Fault::Unreachable("TLS failed: the host name is not valid".into()))?;
    TlsConnector::from(config)
        .connect(name, tcp)
        .await
        .map_err(|error| Fault::Unreachable(tls::failure(&error)))
}
