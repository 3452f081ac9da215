//! The connector that awc gets: name to vetted address, TCP, TLS.
//!
//! awc's own connector skips a custom resolver for address literals, tries addresses one after the
//! other, and leaves Nagle's algorithm on. This one vets every address just before it connects to
//! that very address, so that no second lookup can put another in its place, and does TLS itself:
//! awc only ever sees plain `http://` URIs. What went wrong goes to the attempt's `Trace`.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::http::Uri;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::guard::AddressGuard;
use super::resolve::Resolver;
use super::stream::WatchedStream;
use super::tls;
use super::trace::{Fault, Stage, Trace};
use super::transport::Transport;

/// How long an address may keep the next one waiting: the connection attempt delay of RFC 8305.
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses that are tried. A name may have hundreds; the first few say whether its host is up.
const ADDRESSES_MAX: usize = 8;

/// Makes connections for one host actor and one scheme. Cheap to clone.
#[derive(Clone)]
pub struct Connect(Rc<Parts>);

struct Parts {
    guard: Arc<AddressGuard>,
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
    /// A connector that obeys `guard`, and has a permit of `sockets` for each connection.
    pub fn new(
        guard: Arc<AddressGuard>,
        resolver: Resolver,
        security: Security,
        sockets: Arc<Semaphore>,
    ) -> Self {
        Self(Rc::new(Parts { guard, resolver, security, sockets }))
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
        let found = self.resolver.addresses(host).await.map_err(Fault::Unreachable)?;
        trace.resolved(since);
        let vetted = self.vet(host, port, found)?;

        // Waits for one that is given back where there are too many; the attempt's timeout bounds it.
        trace.stage.set(Stage::Connect);
        let socket = Arc::clone(&self.sockets).acquire_owned().await;
        let socket = socket.expect("the semaphore is never closed");
        let since = trace.now();
        let tcp = dial(&vetted).await.map_err(|error| Fault::Unreachable(dial_words(&error)))?;
        // A request is written in one go; waiting for more would only delay it.
        let _ = tcp.set_nodelay(true);
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

    /// The addresses that may be connected to, IPv6 and IPv4 by turns; at least one.
    fn vet(&self, host: &str, port: u16, found: Vec<IpAddr>) -> Result<Vec<SocketAddr>, Fault> {
        let mut refused = None;
        let mut sixes = Vec::new();
        let mut fours = Vec::new();
        for ip in found {
            match self.guard.permits(host, ip) {
                Ok(()) if ip.is_ipv6() => sixes.push(SocketAddr::new(ip, port)),
                Ok(()) => fours.push(SocketAddr::new(ip, port)),
                Err(blocked) => refused = refused.or(Some(blocked)),
            }
        }
        let vetted = by_turns(sixes, fours);
        match refused {
            Some(blocked) if vetted.is_empty() => Err(Fault::Blocked(blocked.to_string())),
            _ => Ok(vetted),
        }
    }
}

fn by_turns(first: Vec<SocketAddr>, second: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let mut turns = Vec::with_capacity(first.len() + second.len());
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    loop {
        let before = turns.len();
        turns.extend(first.next());
        turns.extend(second.next());
        if turns.len() == before || turns.len() >= ADDRESSES_MAX {
            return turns;
        }
    }
}

/// Connects to whichever address answers first; the next is tried when one fails or is slow.
async fn dial(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return TcpStream::connect(only).await;
    }
    let mut waiting = addresses.iter();
    let mut under_way = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        under_way.extend(waiting.next().map(TcpStream::connect));
        let ended = if waiting.len() > 0 {
            tokio::time::timeout(STAGGER, under_way.next()).await.ok()
        } else {
            Some(under_way.next().await)
        };
        match ended {
            Some(Some(Ok(tcp))) => return Ok(tcp),
            Some(Some(Err(error))) => failure = error,
            Some(None) => return Err(failure),
            None => {}
        }
    }
}

fn dial_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::TimedOut => "no answer to the connection request".into(),
        kind => format!("cannot connect: {kind}"),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns_and_stay_few() {
        let many = |base: &str| {
            (1..20).map(|port| SocketAddr::new(base.parse().expect("an address"), port)).collect()
        };
        let turns = by_turns(many("::1"), many("127.0.0.1"));
        assert_eq!(turns.len(), ADDRESSES_MAX);
        assert!(turns.iter().step_by(2).all(SocketAddr::is_ipv6));
        assert_eq!(by_turns(Vec::new(), many("127.0.0.1")).len(), ADDRESSES_MAX);
        assert_eq!(by_turns(Vec::new(), Vec::new()), []);
    }

    #[actix_rt::test]
    async fn a_refusing_address_does_not_hold_up_the_next() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let live = listener.local_addr().expect("an address");
        let dead: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        let tcp = dial(&[dead, live]).await.expect("the second address answers");
        assert_eq!(tcp.peer_addr().expect("connected"), live);
        let error = dial(&[dead, dead]).await.expect_err("nobody answers");
        assert_eq!(dial_words(&error), "connection refused");
    }
}
