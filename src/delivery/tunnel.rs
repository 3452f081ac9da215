//! A proxy is asked to connect further: HTTP `CONNECT`, SOCKS5. What it answers is read to the last
//! byte of its own and not one further, since what follows is the destination's.

use std::net::{IpAddr, SocketAddr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_socks::tcp::Socks5Stream;
use tokio_socks::{Error as SocksError, TargetAddr};

use crate::config::{Proxy, ProxyScheme};

/// Bytes of a proxy's answer to `CONNECT`: what other clients allow a head as well.
const HEAD_MAX: usize = 8 << 10;
const HEAD_END: &[u8] = b"\r\n\r\n";

/// What a proxy is asked to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// An address that was vetted.
    Address(SocketAddr),
    /// A name that the proxy looks up.
    Name(String, u16),
}

/// Why there is no way through the proxy, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TunnelError {
    /// The proxy did not get there; another address of the host may do.
    NotReached(String),
    /// The proxy does not serve us, whatever is asked.
    Refused(String),
}

/// Asks the proxy at the other end of `tcp` to connect to `stop`.
pub(super) async fn through(
    tcp: TcpStream,
    proxy: &Proxy,
    stop: &Stop,
) -> Result<TcpStream, TunnelError> {
    match proxy.scheme {
        ProxyScheme::Http => connect(tcp, proxy, stop).await,
        ProxyScheme::Socks5 | ProxyScheme::Socks5h => socks(tcp, proxy, stop).await,
    }
}

async fn connect(mut tcp: TcpStream, proxy: &Proxy, stop: &Stop) -> Result<TcpStream, TunnelError> {
    let request = connect_request(proxy, stop);
    tcp.write_all(request.as_bytes()).await.map_err(|_| broke_off())?;
    let status = read_status(&mut tcp).await?;
    let known = proxy.credentials.is_some();
    match status {
        200..=299 => Ok(tcp),
        401 | 407 => Err(TunnelError::Refused(credentials_words(known))),
        403 => Err(TunnelError::Refused(not_let_through())),
        _ => Err(TunnelError::NotReached(format!(
            "the proxy could not connect to the receiver: it answered {status}"
        ))),
    }
}

fn connect_request(proxy: &Proxy, stop: &Stop) -> String {
    let authority = match stop {
        Stop::Address(address) => match address.ip() {
            IpAddr::V4(v4) => format!("{v4}:{}", address.port()),
            IpAddr::V6(v6) => format!("[{v6}]:{}", address.port()),
        },
        Stop::Name(name, port) => format!("{name}:{port}"),
    };
    let mut request = format!("CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n");
    if let Some((user, password)) = &proxy.credentials {
        let pair = [user.as_bytes(), b":", password.reveal().as_bytes()].concat();
        request.push_str(&format!("proxy-authorization: Basic {}\r\n", STANDARD.encode(pair)));
    }
    request.push_str("\r\n");
    request
}

/// The status of the final answer; interim ones are passed over.
async fn read_status(tcp: &mut TcpStream) -> Result<u16, TunnelError> {
    let mut left = HEAD_MAX;
    loop {
        let head = read_head(tcp, left).await?;
        left -= head.len();
        match status_of(&head) {
            Some(100..=199) => {}
            Some(status) => return Ok(status),
            None => return Err(no_such_proxy("HTTP")),
        }
    }
}

fn status_of(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let (minor, rest) = rest.split_first()?;
    let digits = rest.strip_prefix(b" ")?.get(..3)?;
    let ended = matches!(rest.get(4), Some(b' ' | b'\r'));
    let numeric = minor.is_ascii_digit() && digits.iter().all(u8::is_ascii_digit);
    (ended && numeric).then_some(())?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Reads up to the empty line and leaves what follows where it is: it is looked at first, and then
/// only as much taken as belongs to the head.
async fn read_head(tcp: &mut TcpStream, most: usize) -> Result<Vec<u8>, TunnelError> {
    let mut head = Vec::new();
    let mut ahead = [0; 1024];
    loop {
        let seen = tcp.peek(&mut ahead).await.map_err(|_| broke_off())?;
        if seen == 0 {
            return Err(broke_off());
        }
        let before = head.len();
        head.extend_from_slice(&ahead[..seen]);
        let from = before.saturating_sub(HEAD_END.len() - 1);
        let end = head[from..].windows(HEAD_END.len()).position(|window| window == HEAD_END);
        let end = end.map(|at| from + at + HEAD_END.len());
        head.truncate(end.unwrap_or(head.len()));
        let taken = head.len() - before;
        tcp.read_exact(&mut ahead[..taken]).await.map_err(|_| broke_off())?;
        if head.len() > most {
            return Err(TunnelError::Refused("the proxy's answer is too long".into()));
        }
        if end.is_some() {
            return Ok(head);
        }
        // Said early: somebody who speaks otherwise may never send an empty line.
        if !head.starts_with(&b"HTTP/1."[..head.len().min(7)]) {
            return Err(no_such_proxy("HTTP"));
        }
    }
}

async fn socks(tcp: TcpStream, proxy: &Proxy, stop: &Stop) -> Result<TcpStream, TunnelError> {
    let to = match stop {
        Stop::Address(address) => TargetAddr::Ip(*address),
        Stop::Name(name, port) => TargetAddr::Domain(name.as_str().into(), *port),
    };
    let opened = match &proxy.credentials {
        None => Socks5Stream::connect_with_socket(tcp, to).await,
        Some((user, password)) => {
            Socks5Stream::connect_with_password_and_socket(tcp, to, user, password.reveal()).await
        }
    };
    opened.map(Socks5Stream::into_inner).map_err(|error| socks_fault(&error, proxy))
}

fn socks_fault(error: &SocksError, proxy: &Proxy) -> TunnelError {
    let not_reached = |why: &str| {
        TunnelError::NotReached(format!("the proxy could not connect to the receiver: {why}"))
    };
    match error {
        SocksError::Io(_) => broke_off(),
        SocksError::NoAcceptableAuthMethods
        | SocksError::UnknownAuthMethod
        | SocksError::PasswordAuthFailure(_)
        | SocksError::AuthorizationRequired
        | SocksError::InvalidAuthValues(_) => {
            TunnelError::Refused(credentials_words(proxy.credentials.is_some()))
        }
        SocksError::ConnectionNotAllowedByRuleset => TunnelError::Refused(not_let_through()),
        SocksError::NetworkUnreachable => not_reached("its network is unreachable"),
        SocksError::HostUnreachable => not_reached("it is unreachable"),
        SocksError::ConnectionRefused => not_reached("connection refused"),
        SocksError::TtlExpired => not_reached("no answer"),
        SocksError::GeneralSocksServerFailure | SocksError::UnknownError => {
            not_reached("it failed")
        }
        SocksError::AddressTypeNotSupported => not_reached("it does not take this kind of address"),
        _ => no_such_proxy("SOCKS5"),
    }
}

fn broke_off() -> TunnelError {
    TunnelError::Refused("the proxy broke off".into())
}

fn no_such_proxy(what: &str) -> TunnelError {
    TunnelError::Refused(format!("what answers at `sender.proxy` does not speak {what}"))
}

fn not_let_through() -> String {
    "the proxy does not let us through to the receiver: its own rules forbid it".into()
}

fn credentials_words(known: bool) -> String {
    match known {
        true => "the proxy does not accept the credentials in `sender.proxy`".into(),
        false => "the proxy wants credentials, and `sender.proxy` has none".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_is_read_and_nothing_else_is_taken_for_one() {
        assert_eq!(status_of(b"HTTP/1.1 200 Connection established\r\n\r\n"), Some(200));
        assert_eq!(status_of(b"HTTP/1.0 407\r\n\r\n"), Some(407));
        for head in ["HTTP/1.1 2000 a\r\n", "HTTP/2 200\r\n", "SSH-2.0", "HTTP/1.1 +20 a\r\n", ""] {
            assert_eq!(status_of(head.as_bytes()), None, "{head}");
        }
    }
    /// What is read of a proxy that says `pieces`, one after the other, and what is left.
    async fn opened(pieces: &[&[u8]]) -> (Result<u16, TunnelError>, Vec<u8>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let saying = async {
            let (mut tcp, _) = listener.accept().await.expect("accepted");
            tcp.set_nodelay(true).expect("a socket");
            for piece in pieces {
                // Whoever has heard enough closes.
                let _gone = tcp.write_all(piece).await;
                tokio::task::yield_now().await;
            }
        };
        let reading = async {
            let mut tcp = TcpStream::connect(address).await.expect("connected");
            let status = read_status(&mut tcp).await;
            let mut left = Vec::new();
            if status.is_ok() {
                tcp.read_to_end(&mut left).await.expect("the rest");
            }
            (status, left)
        };
        futures::join!(saying, reading).1
    }

    #[actix_rt::test]
    async fn what_follows_the_proxys_head_is_left_to_the_tunnel() {
        let cases: [&[&[u8]]; 4] = [
            &[b"HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500 tail\r\n\r\n"],
            &[b"HTTP/1.1 200 OK\r\n\r", b"\nHTTP/1.1 500 tail\r\n\r\n"],
            &[b"HTTP/1.1 100 a\r\n\r\nHTTP/1.1 200 OK\r\n\r\nHTTP/1.1 500 tail\r\n\r\n"],
            &[b"H", b"TTP/1.1 200", b" \r\na: b\r\n", b"\r\nHTTP/1.1 500 tail\r\n\r\n"],
        ];
        for pieces in cases {
            let (status, left) = opened(pieces).await;
            assert_eq!(status, Ok(200));
            assert_eq!(left, b"HTTP/1.1 500 tail\r\n\r\n", "{pieces:?}");
        }
    }

    #[actix_rt::test]
    async fn interim_heads_without_end_are_given_up() {
        let interim: &[u8] = b"HTTP/1.1 102 still at it, have a little patience please\r\n\r\n";
        let (status, _) = opened(&[interim; 400]).await;
        assert_eq!(status, Err(TunnelError::Refused("the proxy's answer is too long".into())));
    }
}
