//! How a connection leaves: whether its destination is open at all, which of its addresses may be
//! connected to, and whether a proxy stands between.
//!
//! Every connection to a receiver, and to whom credentials are fetched from, is made here, so that
//! no rule has a way around it. A proxy's own address is no destination and not judged.

use std::net::{IpAddr, SocketAddr};

use tokio::net::TcpStream;

use super::dial::{self, ADDRESSES_MAX};
use super::guard::AddressGuard;
use super::resolve::{Resolver, needs_no_lookup};
use super::trace::{Fault, Stage, Trace};
use super::tunnel::{self, Stop, TunnelError};
use crate::config::{Proxy, Sender};
use crate::policy::destination;

/// The rules for all connections of the process.
pub struct Egress {
    guard: AddressGuard,
    sender: Sender,
}

/// How a host is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// At these addresses, at least one.
    Direct(Vec<SocketAddr>),
    /// The proxy is asked for these, one after the other.
    Proxied(Vec<Stop>),
}

impl Egress {
    /// The rules that the settings make.
    pub fn new(sender: &Sender) -> Self {
        let guard = AddressGuard::new(sender.allow_nets.clone(), sender.allow_hosts.clone());
        let egress = Self { guard: guard.denying(sender.deny.clone()), sender: sender.clone() };
        egress.look_at_sources();
        egress
    }

    /// An address may come up later, or belong to another machine: said, and no reason to stop.
    fn look_at_sources(&self) {
        let Some(source) = self.sender.source else { return };
        let all = [source.v4.map(IpAddr::V4), source.v6.map(IpAddr::V6)];
        for ip in all.into_iter().flatten() {
            if let Err(error) = dial::is_ours(ip) {
                log::warn!("nothing can be sent from {ip} in `sender.source`: {}", error.kind());
            }
        }
    }

    /// Finds the way to a host, whose name is looked up once: what is vetted here is what is
    /// connected to.
    pub(super) async fn way(
        &self,
        (host, port): (&str, u16),
        resolver: &Resolver,
    ) -> Result<Way, Fault> {
        destination::vet_for_all(host, port, &self.sender)
            .map_err(|why| Fault::Blocked(why.to_string()))?;
        let exempt = destination::names(&self.sender.no_proxy, host);
        let proxy = self.sender.proxy.as_ref().filter(|_| !exempt);
        let resolves = proxy.is_some_and(|proxy| proxy.resolves(self.sender.proxy_dns));
        if resolves && !needs_no_lookup(host) {
            return Ok(Way::Proxied(vec![Stop::Name(host.to_owned(), port)]));
        }
        let found = resolver.addresses(host).await.map_err(Fault::Unreachable)?;
        let vetted = self.vet(host, found)?;
        let near = |ip: &IpAddr| {
            // 'localhost' means this machine, and not that of the proxy.
            ip.to_canonical().is_loopback() || self.sender.no_proxy.has_address(*ip)
        };
        if proxy.is_some() && !vetted.iter().all(near) {
            let stops = dial::by_turns(&vetted, port).into_iter().map(Stop::Address);
            return Ok(Way::Proxied(stops.collect()));
        }
        self.fitting(&vetted, port).map(Way::Direct)
    }

    /// Those addresses that may be connected to, at least one. The others are left out and never
    /// touched.
    fn vet(&self, host: &str, found: Vec<IpAddr>) -> Result<Vec<IpAddr>, Fault> {
        let mut refused = None;
        let mut vetted = Vec::with_capacity(found.len());
        for ip in found {
            match self.guard.permits(host, ip) {
                Ok(()) => vetted.push(ip),
                Err(blocked) => refused = refused.or(Some(blocked)),
            }
        }
        match refused {
            Some(blocked) if vetted.is_empty() => Err(Fault::Blocked(blocked.to_string())),
            _ => Ok(vetted),
        }
    }

    /// Those addresses that `sender.source` has an address of our own for.
    fn fitting(&self, addresses: &[IpAddr], port: u16) -> Result<Vec<SocketAddr>, Fault> {
        let reaches = |ip: &&IpAddr| dial::reaches(self.sender.source, **ip);
        let fitting: Vec<IpAddr> = addresses.iter().filter(reaches).copied().collect();
        match fitting.is_empty() {
            false => Ok(dial::by_turns(&fitting, port)),
            true => Err(Fault::Unreachable(
                "cannot connect: `sender.source` has no address of the host's family".into(),
            )),
        }
    }

    /// Connects along a way.
    pub(super) async fn connect(
        &self,
        way: &Way,
        resolver: &Resolver,
        trace: &Trace,
    ) -> Result<TcpStream, Fault> {
        match (way, &self.sender.proxy) {
            (Way::Proxied(stops), Some(proxy)) => {
                self.through(proxy, stops, (resolver, trace)).await
            }
            (Way::Direct(addresses), _) => self.dial(addresses).await.map_err(Fault::Unreachable),
            (Way::Proxied(_), None) => Err(Fault::Unreachable("there is no proxy".into())),
        }
    }

    async fn dial(&self, addresses: &[SocketAddr]) -> Result<TcpStream, String> {
        let source = self.sender.source;
        let dialled = dial::dial(addresses, source).await;
        let tcp = dialled.map_err(|error| dial::words(&error, source))?;
        // A request is written in one go; waiting for more would only delay it.
        let _ = tcp.set_nodelay(true);
        Ok(tcp)
    }

    async fn through(
        &self,
        proxy: &Proxy,
        stops: &[Stop],
        (resolver, trace): (&Resolver, &Trace),
    ) -> Result<TcpStream, Fault> {
        let unreachable = |why| Fault::Unreachable(format!("the proxy cannot be reached: {why}"));
        let found = resolver.addresses(&proxy.host).await.map_err(unreachable)?;
        let reaches = |ip: &&IpAddr| dial::reaches(self.sender.source, **ip);
        let found: Vec<IpAddr> = found.iter().filter(reaches).copied().collect();
        if found.is_empty() {
            return Err(unreachable("`sender.source` has no address of its family".to_owned()));
        }
        let addresses = dial::by_turns(&found, proxy.port);
        let mut failure = String::new();
        for stop in stops.iter().take(ADDRESSES_MAX) {
            let tcp = self.dial(&addresses).await.map_err(unreachable)?;
            trace.stage.set(Stage::Tunnel);
            match tunnel::through(tcp, proxy, stop).await {
                Ok(tcp) => return Ok(tcp),
                Err(TunnelError::Refused(why)) => return Err(Fault::Unreachable(why)),
                Err(TunnelError::NotReached(why)) => failure = why,
            }
        }
        Err(Fault::Unreachable(failure))
    }
}
