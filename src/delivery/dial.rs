//! TCP connections: to whichever of a few addresses answers first, from the address that the
//! settings name.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::net::{TcpSocket, TcpStream};

use crate::config::Source;

/// How long an address may keep the next one waiting: the connection attempt delay of RFC 8305.
const STAGGER: Duration = Duration::from_millis(250);
/// Addresses that are tried. A name may have hundreds; the first few say whether its host is up.
pub(super) const ADDRESSES_MAX: usize = 8;

/// Takes from IPv6 and IPv4 by turns, and no more than are tried.
pub(super) fn by_turns(addresses: &[IpAddr], port: u16) -> Vec<SocketAddr> {
    let (sixes, fours): (Vec<IpAddr>, Vec<IpAddr>) =
        addresses.iter().copied().partition(IpAddr::is_ipv6);
    let mut turns = Vec::with_capacity(addresses.len());
    let (mut sixes, mut fours) = (sixes.into_iter(), fours.into_iter());
    loop {
        let before = turns.len();
        turns.extend(sixes.next());
        turns.extend(fours.next());
        if turns.len() == before || turns.len() >= ADDRESSES_MAX {
            return turns.into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
        }
    }
}

/// Whether `source` has an address for the family of `ip`; without one, any may be connected to.
pub(super) fn reaches(source: Option<Source>, ip: IpAddr) -> bool {
    source.is_none_or(|source| own_address(source, ip).is_some())
}

/// IPv4 in IPv6's clothes is IPv4 on the wire.
fn own_address(source: Source, to: IpAddr) -> Option<IpAddr> {
    match to.to_canonical() {
        IpAddr::V4(_) => source.v4.map(IpAddr::V4),
        IpAddr::V6(_) => source.v6.map(IpAddr::V6),
    }
}

/// Connects to whichever address answers first; the next is tried when one fails or is slow.
pub(super) async fn dial(
    addresses: &[SocketAddr],
    source: Option<Source>,
) -> io::Result<TcpStream> {
    if let [only] = addresses {
        return connect(*only, source).await;
    }
    let mut waiting = addresses.iter();
    let mut under_way = FuturesUnordered::new();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        under_way.extend(waiting.next().map(|address| connect(*address, source)));
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

async fn connect(to: SocketAddr, source: Option<Source>) -> io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(to).await };
    let from = own_address(source, to.ip()).ok_or(io::ErrorKind::AddrNotAvailable)?;
    let socket = match from {
        IpAddr::V4(_) => TcpSocket::new_v4()?,
        IpAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.bind(SocketAddr::new(from, 0))?;
    socket.connect(SocketAddr::new(to.ip().to_canonical(), to.port())).await
}

/// Whether connections can come from there, asked of the system without connecting to anything.
pub(super) fn is_ours(ip: IpAddr) -> io::Result<()> {
    std::net::UdpSocket::bind(SocketAddr::new(ip, 0)).map(drop)
}

/// Why it failed, for a person.
pub(super) fn words(error: &io::Error, source: Option<Source>) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".into(),
        io::ErrorKind::TimedOut => "no answer to the connection request".into(),
        io::ErrorKind::AddrNotAvailable if source.is_some() => {
            "cannot connect: an address in `sender.source` is not one of this machine".into()
        }
        kind => format!("cannot connect: {kind}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(base: &str, count: usize) -> Vec<IpAddr> {
        vec![base.parse().expect("an address"); count]
    }

    #[test]
    fn addresses_take_turns_and_stay_few() {
        let turns = by_turns(&[ips("127.0.0.1", 19), ips("::1", 19)].concat(), 80);
        assert_eq!(turns.len(), ADDRESSES_MAX);
        assert!(turns.iter().step_by(2).all(SocketAddr::is_ipv6));
        assert_eq!(by_turns(&ips("127.0.0.1", 19), 80).len(), ADDRESSES_MAX);
        assert_eq!(by_turns(&[], 80), []);
    }

    #[actix_rt::test]
    async fn a_refusing_address_does_not_hold_up_the_next() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let live = listener.local_addr().expect("an address");
        let dead: SocketAddr = "127.0.0.1:1".parse().expect("an address");
        let tcp = dial(&[dead, live], None).await.expect("the second address answers");
        assert_eq!(tcp.peer_addr().expect("connected"), live);
        let error = dial(&[dead, dead], None).await.expect_err("nobody answers");
        assert_eq!(words(&error, None), "connection refused");
    }

    #[test]
    fn a_family_without_a_source_is_not_used() {
        let v4 = Source { v4: Some([127, 0, 0, 2].into()), v6: None };
        let reaches = |source, ip: &str| reaches(source, ip.parse().expect("an address"));
        assert!(reaches(Some(v4), "8.8.8.8") && reaches(Some(v4), "::ffff:8.8.8.8"));
        assert!(!reaches(Some(v4), "2606:4700::1111") && reaches(None, "2606:4700::1111"));
    }
}
