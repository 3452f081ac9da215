//! Who may hold how many connections: all clients together, and each address. Counted here, since
//! the server beneath would leave what is too many waiting in the backlog without a word.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use ipnet::IpNet;

use crate::config::Server;

/// Why a connection is one too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// All clients together have as many as may be.
    Full,
    /// Its address has.
    Address,
}

/// The connections that are open.
pub(super) struct Connections {
    max: usize,
    max_per_address: usize,
    exempt: Vec<IpNet>,
    open: AtomicUsize,
    by_address: DashMap<IpAddr, usize>,
}

/// Stands for one open connection; given back when it is dropped.
pub(super) struct Permit {
    connections: Arc<Connections>,
    counted: Option<IpAddr>,
}

impl Connections {
    pub(super) fn new(server: &Server) -> Arc<Self> {
        Arc::new(Self {
            max: server.max_connections,
            max_per_address: server.max_connections_per_address,
            exempt: server.proxies.clone(),
            open: AtomicUsize::new(0),
            by_address: DashMap::new(),
        })
    }

    /// Counts a connection from `address`, if there is room for it.
    pub(super) fn enter(self: &Arc<Self>, address: IpAddr) -> Result<Permit, Crowded> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Crowded::Full);
        }
        // From here on a drop gives back what was taken.
        let mut permit = Permit { connections: self.clone(), counted: None };
        if let Some(client) = self.client(address) {
            let mut count = self.by_address.entry(client).or_insert(0);
            if *count >= self.max_per_address {
                drop(count);
                return Err(Crowded::Address);
            }
            *count += 1;
            permit.counted = Some(client);
        }
        Ok(permit)
    }

    /// What an address is counted as; `None` if it stands for many clients.
    fn client(&self, address: IpAddr) -> Option<IpAddr> {
        let address = address.to_canonical();
        if address.is_loopback() || self.exempt.iter().any(|net| net.contains(&address)) {
            return None;
        }
        Some(match address {
            IpAddr::V4(_) => address,
            // A /64 is what one subscriber gets (RFC 6177), so one client has all its addresses.
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64)).into(),
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.connections.open.fetch_sub(1, Ordering::Relaxed);
        let Some(client) = self.counted else { return };
        if let Entry::Occupied(mut count) = self.connections.by_address.entry(client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn connections(max: usize, per_address: usize, proxies: &[&str]) -> Arc<Connections> {
        let mut server = Settings::default().server;
        server.max_connections = max;
        server.max_connections_per_address = per_address;
        server.proxies = proxies.iter().map(|net| net.parse().expect("a network")).collect();
        Connections::new(&server)
    }

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn one_address_cannot_take_the_room_of_others() {
        let connections = connections(10, 2, &[]);
        let mut held: Vec<_> =
            (0..2).map(|_| connections.enter(address("192.0.2.1")).ok()).collect();
        assert!(held.iter().all(Option::is_some));
        assert_eq!(connections.enter(address("192.0.2.1")).err(), Some(Crowded::Address));
        assert_eq!(connections.enter(address("::ffff:192.0.2.1")).err(), Some(Crowded::Address));
        assert!(connections.enter(address("192.0.2.2")).is_ok());
        held.pop();
        assert!(connections.enter(address("192.0.2.1")).is_ok());
    }

    #[test]
    fn a_v6_network_counts_as_one_client() {
        let connections = connections(10, 1, &[]);
        let _held = connections.enter(address("2001:db8::1")).ok();
        assert_eq!(connections.enter(address("2001:db8::ffff")).err(), Some(Crowded::Address));
        assert!(connections.enter(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn proxies_and_loopback_are_limited_by_the_whole_alone() {
        let connections = connections(4, 1, &["10.0.0.0/8"]);
        let of = ["10.1.2.3", "10.1.2.3", "127.0.0.1", "::1"];
        let mut held: Vec<_> = of.map(|from| connections.enter(address(from)).ok()).into();
        assert!(held.iter().all(Option::is_some));
        assert_eq!(connections.enter(address("127.0.0.1")).err(), Some(Crowded::Full));
        held.clear();
        assert_eq!(connections.open.load(Ordering::Relaxed), 0);
        assert!(connections.by_address.is_empty());
    }
}
