//! Names to addresses, without blocking and with a cache that keeps to the records' times.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ThreadId;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::read_system_conf;

/// Makes resolvers by the settings, or by the system's configuration, read once.
///
/// There is one for each arbiter: a resolver's sockets belong to the runtime that first used it, so
/// a shared one would make every arbiter wait for that one. A host has one arbiter, so that nothing
/// is looked up twice.
#[derive(Clone)]
pub struct Resolvers {
    system: Option<Arc<(ResolverConfig, ResolverOpts)>>,
    by_thread: Arc<Mutex<HashMap<ThreadId, Resolver>>>,
}

/// Looks up names for one arbiter. Cheap to clone.
#[derive(Clone)]
pub enum Resolver {
    /// Asks the name servers that the settings or the system name.
    Dns(Arc<TokioResolver>),
    /// Asks the system itself, on the blocking pool.
    System,
}

impl Resolvers {
    /// Reads the system's configuration. Without one (no `/etc/resolv.conf`), the system is asked.
    fn from_system() -> Self {
        let system = read_system_conf().ok().map(|(config, mut options)| {
            options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
            Arc::new((config, options))
        });
        Self { system, by_thread: Arc::default() }
    }

    /// Asks these name servers and no others; without any, those of the system.
    pub fn new(servers: &[SocketAddr]) -> Self {
        if servers.is_empty() {
            return Self::from_system();
        }
        let at = |server: &SocketAddr| {
            let mut ways = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            ways.iter_mut().for_each(|way| way.port = server.port());
            NameServerConfig::new(server.ip(), true, ways)
        };
        let servers = servers.iter().map(at).collect();
        let config = ResolverConfig::from_parts(None, Vec::new(), servers);
        let mut options = ResolverOpts::default();
        options.ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
        Self { system: Some(Arc::new((config, options))), by_thread: Arc::default() }
    }

    /// The resolver of the arbiter that calls.
    pub fn of_this_thread(&self) -> Resolver {
        let mut resolvers = self.by_thread.lock().unwrap_or_else(PoisonError::into_inner);
        resolvers.entry(std::thread::current().id()).or_insert_with(|| self.build()).clone()
    }

    fn build(&self) -> Resolver {
        let Some(system) = &self.system else { return Resolver::System };
        let (config, options) = &**system;
        TokioResolver::builder_with_config(config.clone(), TokioRuntimeProvider::default())
            .with_options(options.clone())
            .build()
            .map_or(Resolver::System, |dns| Resolver::Dns(Arc::new(dns)))
    }
}

impl Resolver {
    /// The addresses of a URL's host, at least one; else why not, in words.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        if let Some(ip) = literal(host) {
            return Ok(vec![ip]);
        }
        if is_localhost(host) {
            return Ok(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]);
        }
        let addresses = match self {
            Resolver::Dns(dns) => match dns.lookup_ip(host).await {
                Ok(found) => found.iter().collect(),
                Err(error) if error.is_nx_domain() => {
                    return Err("name lookup failed: there is no such host".into());
                }
                Err(error) if error.is_no_records_found() => Vec::new(),
                Err(_) => return Err("name lookup failed: no name server answered".into()),
            },
            Resolver::System => match tokio::net::lookup_host((host, 0)).await {
                Ok(found) => found.map(|address| address.ip()).collect(),
                Err(_) => return Err("name lookup failed".into()),
            },
        };
        if addresses.is_empty() {
            return Err("name lookup failed: the host has no address".into());
        }
        Ok(addresses)
    }
}

/// The address that a URL's host is in itself; IPv6 stands in brackets there.
pub fn literal(host: &str) -> Option<IpAddr> {
    match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']')?.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        None => host.parse().ok(),
    }
}

/// Whether a host means what it means without anybody being asked.
pub fn needs_no_lookup(host: &str) -> bool {
    literal(host).is_some() || is_localhost(host)
}

/// RFC 6761: these names never leave the machine.
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let last = host.rsplit('.').next().unwrap_or(host);
    last.eq_ignore_ascii_case("localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_are_addresses() {
        assert_eq!(literal("127.0.0.1"), Some(Ipv4Addr::LOCALHOST.into()));
        assert_eq!(literal("[::1]"), Some(Ipv6Addr::LOCALHOST.into()));
        for name in ["127.1", "a.example", "[::1", "[127.0.0.1]", ""] {
            assert_eq!(literal(name), None, "{name}");
        }
    }

    #[test]
    fn localhost_and_what_is_below_it_stays_here() {
        for name in ["localhost", "LOCALHOST.", "a.localhost"] {
            assert!(is_localhost(name), "{name}");
        }
        assert!(!is_localhost("localhost.example") && !is_localhost("notlocalhost"));
    }
}
