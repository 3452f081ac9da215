//! How requests leave: through proxies that do what they should, and what they should not, and from
//! chosen addresses.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hostline::config::{Hidden, HostList, Proxy, ProxyDns, ProxyScheme, Settings, Source};
use hostline::model::Method;

use crate::names::{NameServer, Say};
use crate::receiver::*;
use crate::tls::Authority;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
const OPENED: &[u8] = b"HTTP/1.1 200 Connection established\r\nproxy-agent: test\r\n\r\n";
/// A public address, which no test may connect to itself.
const PUBLIC: &str = "93.184.215.14";

/// A proxy that notes what it is asked, and lets a script answer.
struct FakeProxy {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeProxy {
    /// Runs `script` for each connection: with its number from 0 on, and what notes what it was
    /// asked for, before it answers.
    fn start(
        script: impl Fn(&mut TcpStream, usize, &dyn Fn(String)) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (noting, script) = (asked.clone(), Arc::new(script));
        std::thread::spawn(move || {
            for (number, stream) in listener.incoming().enumerate() {
                let (noting, script) = (noting.clone(), script.clone());
                let mut stream = stream.expect("accepted");
                std::thread::spawn(move || {
                    let note = |asked| noting.lock().expect("not poisoned").push(asked);
                    script(&mut stream, number, &note);
                });
            }
        });
        Self { address, asked }
    }

    /// Speaks HTTP and gives this answer; opens a tunnel to `to` where there is one.
    fn http(answer: &'static [u8], to: Option<SocketAddr>) -> Self {
        Self::start(move |stream, _, note| {
            note(read_head(stream));
            let _gone = stream.write_all(answer);
            if let Some(to) = to {
                join(stream, to);
            }
        })
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }

    fn setting(&self, scheme: ProxyScheme) -> Option<Proxy> {
        let (host, port) = (self.address.ip().to_string(), self.address.port());
        Some(Proxy { scheme, host, port, credentials: None })
    }
}

fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read_exact(&mut byte).is_ok() {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Carries bytes both ways, beside the caller.
fn join(stream: &TcpStream, to: SocketAddr) {
    let further = TcpStream::connect(to).expect("the receiver listens");
    for (from, into) in [(stream, &further), (&further, stream)] {
        let (mut from, mut into) =
            (from.try_clone().expect("a socket"), into.try_clone().expect("a socket"));
        std::thread::spawn(move || {
            let _ended = std::io::copy(&mut from, &mut into);
            let _closed = into.shutdown(std::net::Shutdown::Write);
        });
    }
}

fn public_names() -> NameServer {
    NameServer::start(|name, _| match name {
        "shop.test" => Say::addresses(&[PUBLIC]),
        "two.test" => Say::addresses(&[PUBLIC, "2606:2800:21f:cb07::1"]),
        "inside.test" => Say::addresses(&["10.0.0.1", "127.0.0.1"]),
        "near.test" => Say::addresses(&["127.0.0.1"]),
        _ => Say::Unknown,
    })
}

/// The address guard lets nothing through but public addresses.
fn settings_by(proxy: Option<Proxy>, names: &NameServer) -> Settings {
    let mut settings = settings();
    settings.sender.allow_nets.clear();
    settings.sender.proxy = proxy;
    settings.sender.name_servers = vec![names.address];
    settings
}

fn with_password(proxy: Option<Proxy>) -> Option<Proxy> {
    let credentials = Some(("me".to_owned(), Hidden::new("s3cret".into())));
    proxy.map(|proxy| Proxy { credentials, ..proxy })
}

#[actix_rt::test]
async fn a_connect_proxy_is_asked_for_the_address_that_was_checked() {
    let receiver = Receiver::answering(OK);
    let names = public_names();
    let proxy = FakeProxy::http(OPENED, Some(receiver.address));
    let settings = settings_by(with_password(proxy.setting(ProxyScheme::Http)), &names);
    let url = "http://shop.test/hook";
    let sender = sender(&settings, url);
    for turn in 0..2 {
        let report = send(&sender, webhook(Method::Post, url, "{}")).await;
        assert_eq!(answered(&report).body, "ok");
        assert_eq!(report.timings.connect_us.is_some(), turn == 0, "the tunnel is kept");
    }
    let expected = format!(
        "CONNECT {PUBLIC}:80 HTTP/1.1\r\nhost: {PUBLIC}:80\r\n\
         proxy-authorization: Basic bWU6czNjcmV0\r\n\r\n"
    );
    assert_eq!(proxy.asked(), [expected]);
    let request = &receiver.requests()[0];
    assert_eq!(request.header("host"), Some("shop.test"));
    assert_eq!(request.header("proxy-authorization"), None, "that is for the proxy alone");
}

#[actix_rt::test]
async fn tls_runs_inside_the_tunnel_under_the_hosts_own_name() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new("ours");
    let receiver = authority.receiver("shop.test");
    let names = public_names();
    for scheme in [ProxyScheme::Http, ProxyScheme::Socks5] {
        let proxy = match scheme {
            ProxyScheme::Http => FakeProxy::http(OPENED, Some(receiver)),
            _ => socks(0, None, Some(receiver)),
        };
        let mut settings = authority.settings(directory.path());
        let roots = settings.sender.roots.clone();
        settings = settings_by(proxy.setting(scheme), &names);
        settings.sender.roots = roots;
        let report = post(&settings, "https://shop.test/").await;
        assert_eq!(answered(&report).status, 200, "{scheme:?}");
        assert!(report.timings.tls_us.is_some());
        assert!(proxy.asked()[0].contains(&format!("{PUBLIC}:443")), "{:?}", proxy.asked());
    }
}

#[actix_rt::test]
async fn names_are_left_to_the_proxy_where_the_setting_says_so() {
    let receiver = Receiver::answering(OK);
    let names = public_names();
    let proxy = FakeProxy::http(OPENED, Some(receiver.address));
    let mut settings = settings_by(proxy.setting(ProxyScheme::Http), &names);
    settings.sender.proxy_dns = ProxyDns::Remote;
    assert_eq!(answered(&post(&settings, "http://nobody.knows/").await).status, 200);
    assert!(proxy.asked()[0].starts_with("CONNECT nobody.knows:80 HTTP/1.1\r\n"));
    assert_eq!(names.asked("nobody.knows"), 0);
    // What needs no look-up is judged all the same.
    for url in ["http://10.0.0.1/", "http://[::1]/", "http://localhost/", "http://2130706433/"] {
        let report = post(&settings, url).await;
        assert!(blocked(&report).contains("sender.allow"), "{url}: {report:?}");
    }
    assert_eq!(proxy.asked().len(), 1);
}

#[actix_rt::test]
async fn the_guard_holds_before_the_proxy_is_asked() {
    let names = public_names();
    let proxy = FakeProxy::http(OPENED, None);
    let mut settings = settings_by(proxy.setting(ProxyScheme::Http), &names);
    settings.sender.ports = vec![80];
    for url in ["http://inside.test/", "http://10.0.0.1/", "http://localhost/"] {
        assert!(blocked(&post(&settings, url).await).contains("sender.allow"), "{url}");
    }
    assert!(blocked(&post(&settings, "http://shop.test:22/").await).contains("sender.ports"));
    assert_eq!(proxy.asked(), [""; 0]);
}

#[actix_rt::test]
async fn exceptions_and_loopback_go_without_the_proxy() {
    let receiver = Receiver::answering(OK);
    let names = public_names();
    let proxy = FakeProxy::http(b"HTTP/1.1 502 no\r\n\r\n", None);
    let mut settings = settings_by(proxy.setting(ProxyScheme::Http), &names);
    settings.sender.allow_nets = vec!["127.0.0.0/8".parse().expect("a network")];
    let port = receiver.address.port();
    let near = format!("http://near.test:{port}/");
    // Loopback would be the proxy's own machine.
    assert_eq!(answered(&post(&settings, &near).await).status, 200);
    let report = post(&settings, "http://shop.test/").await;
    assert!(unanswered(&report).0.contains("it answered 502"), "{report:?}");
    assert_eq!(proxy.asked().len(), 1);
    settings.sender.no_proxy = HostList {
        nets: vec!["93.184.0.0/16".parse().expect("a network")],
        hosts: vec!["*.direct.test".into()],
    };
    // Nobody connects: no address of ours fits its family, which is found out before.
    settings.sender.source = Some(Source { v4: None, v6: Some("::1".parse().expect("one")) });
    let report = post(&settings, "http://shop.test/").await;
    assert!(unanswered(&report).0.contains("sender.source"), "{report:?}");
    let report = post(&settings, "http://a.direct.test/").await;
    assert_eq!(unanswered(&report).0, "name lookup failed: there is no such host");
    assert_eq!(proxy.asked().len(), 1);
}

#[actix_rt::test]
async fn a_proxys_refusal_is_told_without_its_password() {
    const LONG: &[u8] = &[b'a'; 9000];
    let long: &'static [u8] =
        Box::leak([b"HTTP/1.1 200 OK\r\nx: ", LONG, b"\r\n\r\n"].concat().into_boxed_slice());
    let names = public_names();
    for (answer, words) in [
        (&b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n"[..], "does not accept the cred"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "its own rules forbid it"),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 1\r\n\r\nx", "it answered 502"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://10.0.0.1/\r\n\r\n", "it answered 302"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 abc\r\n\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 2", "the proxy broke off"),
        (b"", "the proxy broke off"),
        (long, "too long"),
    ] {
        let proxy = FakeProxy::http(answer, None);
        let settings = settings_by(with_password(proxy.setting(ProxyScheme::Http)), &names);
        let report = post(&settings, "http://shop.test/").await;
        let (reason, timed_out) = unanswered(&report);
        assert!(reason.contains(words) && !timed_out, "{words}: {reason}");
        assert!(!reason.contains("s3cret") && !reason.contains("czNjcmV0"), "{reason}");
    }
    let proxy = FakeProxy::http(b"HTTP/1.1 407 a\r\n\r\n", None);
    let report =
        post(&settings_by(proxy.setting(ProxyScheme::Http), &names), "http://shop.test/").await;
    assert!(unanswered(&report).0.contains("`sender.proxy` has none"), "{report:?}");
}

#[actix_rt::test]
async fn a_proxy_that_is_not_there_or_says_nothing_is_told() {
    let names = public_names();
    let silent = FakeProxy::start(|stream, _, _| {
        let _closed = stream.read(&mut [0; 1000]).and_then(|_| stream.read(&mut [0; 1]));
    });
    let mut settings = settings_by(silent.setting(ProxyScheme::Http), &names);
    settings.sender.timeout = Duration::from_millis(200);
    let report = post(&settings, "http://shop.test/").await;
    assert_eq!(
        unanswered(&report),
        ("timed out after 200ms waiting for the proxy to connect", true)
    );
    let gone = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let proxy = Proxy { port: gone.port(), ..silent.setting(ProxyScheme::Http).expect("one") };
    let report = post(&settings_by(Some(proxy), &names), "http://shop.test/").await;
    assert_eq!(unanswered(&report), ("the proxy cannot be reached: connection refused", false));
}

#[actix_rt::test]
async fn interim_answers_are_passed_over_and_another_address_is_tried() {
    let receiver = Receiver::answering(OK);
    let to = receiver.address;
    let proxy = FakeProxy::start(move |stream, number, note| {
        note(read_head(stream).lines().next().unwrap_or_default().to_owned());
        let answer: &[u8] = match number {
            0 => b"HTTP/1.1 503 no route\r\n\r\n",
            _ => b"HTTP/1.1 103 wait\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        };
        let _gone = stream.write_all(answer);
        if number > 0 {
            join(stream, to);
        }
    });
    let settings = settings_by(proxy.setting(ProxyScheme::Http), &public_names());
    assert_eq!(answered(&post(&settings, "http://two.test/").await).body, "ok");
    let asked =
        ["CONNECT [2606:2800:21f:cb07::1]:80 HTTP/1.1", "CONNECT 93.184.215.14:80 HTTP/1.1"];
    assert_eq!(proxy.asked(), asked);
}

/// A SOCKS5 proxy that answers each request with a code (RFC 1928); wants a password where there is
/// one. Notes `host:port`.
fn socks(code: u8, password: Option<&'static str>, to: Option<SocketAddr>) -> FakeProxy {
    FakeProxy::start(move |stream, _, note| {
        // Whoever is refused goes away.
        let _gone = socks_exchange(stream, (code, password), to, note);
    })
}

fn socks_exchange(
    stream: &mut TcpStream,
    (code, password): (u8, Option<&str>),
    to: Option<SocketAddr>,
    note: &dyn Fn(String),
) -> std::io::Result<()> {
    let mut two = [0; 2];
    stream.read_exact(&mut two)?;
    let mut methods = vec![0; usize::from(two[1])];
    stream.read_exact(&mut methods)?;
    let wanted = if password.is_some() { 2 } else { 0 };
    if !methods.contains(&wanted) {
        return stream.write_all(&[5, 0xff]);
    }
    stream.write_all(&[5, wanted])?;
    if let Some(password) = password {
        let field = |stream: &mut TcpStream| {
            let mut length = [0];
            stream.read_exact(&mut length)?;
            let mut text = vec![0; usize::from(length[0])];
            stream.read_exact(&mut text).map(|()| String::from_utf8_lossy(&text).into_owned())
        };
        stream.read_exact(&mut [0])?;
        let (_user, given) = (field(stream)?, field(stream)?);
        stream.write_all(&[1, u8::from(given != password)])?;
        if given != password {
            return Ok(());
        }
    }
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    let host = match head[3] {
        1 => {
            let mut ip = [0; 4];
            stream.read_exact(&mut ip)?;
            IpAddr::from(ip).to_string()
        }
        4 => {
            let mut ip = [0; 16];
            stream.read_exact(&mut ip)?;
            IpAddr::from(ip).to_string()
        }
        _ => {
            let mut length = [0];
            stream.read_exact(&mut length)?;
            let mut name = vec![0; usize::from(length[0])];
            stream.read_exact(&mut name)?;
            String::from_utf8_lossy(&name).into_owned()
        }
    };
    stream.read_exact(&mut two)?;
    note(format!("{host}:{}", u16::from_be_bytes(two)));
    stream.write_all(&[5, code, 0, 1, 127, 0, 0, 1, 0, 1])?;
    if let (0, Some(to)) = (code, to) {
        join(stream, to);
    }
    Ok(())
}

#[actix_rt::test]
async fn a_socks_proxy_is_told_addresses_or_names() {
    let receiver = Receiver::answering(OK);
    let names = public_names();
    let proxy = socks(0, None, Some(receiver.address));
    for (scheme, dns) in [
        (ProxyScheme::Socks5, ProxyDns::Local),
        (ProxyScheme::Socks5, ProxyDns::Remote),
        (ProxyScheme::Socks5h, ProxyDns::Local),
    ] {
        let mut settings = settings_by(proxy.setting(scheme), &names);
        settings.sender.proxy_dns = dns;
        assert_eq!(answered(&post(&settings, "http://shop.test/").await).body, "ok");
    }
    let address = format!("{PUBLIC}:80");
    assert_eq!(proxy.asked(), [address.as_str(), "shop.test:80", "shop.test:80"]);
    let proxy = socks(0, Some("s3cret"), Some(receiver.address));
    let settings = settings_by(with_password(proxy.setting(ProxyScheme::Socks5)), &names);
    assert_eq!(answered(&post(&settings, "http://shop.test/").await).body, "ok");
    assert_eq!(proxy.asked(), [address]);
}

#[actix_rt::test]
async fn a_socks_proxys_refusal_is_told() {
    let names = public_names();
    for (code, words) in [
        (1, "it failed"),
        (2, "its own rules forbid it"),
        (3, "its network is unreachable"),
        (4, "it is unreachable"),
        (5, "connection refused"),
        (6, "no answer"),
        (8, "kind of address"),
    ] {
        let proxy = socks(code, None, None);
        let settings = settings_by(proxy.setting(ProxyScheme::Socks5), &names);
        let report = post(&settings, "http://two.test/").await;
        assert!(unanswered(&report).0.contains(words), "{code}: {report:?}");
        let tries = if code == 2 { 1 } else { 2 };
        assert_eq!(proxy.asked().len(), tries, "{code}: each address has its turn");
    }
    let proxy = socks(0, Some("other"), None);
    let settings = settings_by(with_password(proxy.setting(ProxyScheme::Socks5)), &names);
    let report = post(&settings, "http://shop.test/").await;
    assert!(unanswered(&report).0.contains("does not accept the credentials"), "{report:?}");
    let settings = settings_by(proxy.setting(ProxyScheme::Socks5), &names);
    let report = post(&settings, "http://shop.test/").await;
    assert!(unanswered(&report).0.contains("has none"), "{report:?}");
    let other = FakeProxy::http(b"HTTP/1.1 400 what\r\n\r\n", None);
    let mut settings = settings_by(other.setting(ProxyScheme::Socks5), &names);
    settings.sender.timeout = Duration::from_millis(300);
    // It waits for the end of a head that never comes; the attempt's time bounds that as well.
    assert!(unanswered(&post(&settings, "http://shop.test/").await).1);
}

#[actix_rt::test]
async fn connections_come_from_the_chosen_address() {
    let (seen, peers) = std::sync::mpsc::channel();
    let receiver = Receiver::start(move |_, peer| {
        seen.send(peer.stream.peer_addr().expect("connected").ip()).expect("the test waits");
        peer.answer(OK);
    });
    let mut settings = settings();
    let v4 = |ip: &str| Some(Source { v4: Some(ip.parse().expect("an address")), v6: None });
    for source in ["127.0.0.2", "127.0.0.3"] {
        settings.sender.source = v4(source);
        assert_eq!(answered(&post(&settings, &receiver.url()).await).status, 200);
        assert_eq!(peers.recv_timeout(Duration::from_secs(5)), Ok(source.parse().expect("one")));
    }
    settings.sender.source = None;
    assert_eq!(answered(&post(&settings, &receiver.url()).await).status, 200);
    assert_eq!(peers.recv_timeout(Duration::from_secs(5)), Ok([127, 0, 0, 1].into()));
    // An address that is none of ours, and a family without one.
    settings.sender.source = v4("192.0.2.7");
    let report = post(&settings, &receiver.url()).await;
    assert!(unanswered(&report).0.contains("not one of this machine"), "{report:?}");
    settings.sender.source = Some(Source { v4: None, v6: Some("::1".parse().expect("one")) });
    let report = post(&settings, &receiver.url()).await;
    assert!(unanswered(&report).0.contains("no address of the host's family"), "{report:?}");
    assert_eq!(receiver.connections(), 3);
}

#[actix_rt::test]
async fn a_proxy_is_reached_from_the_chosen_address_too() {
    let receiver = Receiver::answering(OK);
    let to = receiver.address;
    let proxy = FakeProxy::start(move |stream, _, note| {
        read_head(stream);
        note(stream.peer_addr().expect("connected").ip().to_string());
        let _gone = stream.write_all(OPENED);
        join(stream, to);
    });
    let mut settings = settings_by(proxy.setting(ProxyScheme::Http), &public_names());
    settings.sender.source = Some(Source { v4: Some([127, 0, 0, 2].into()), v6: None });
    assert_eq!(answered(&post(&settings, "http://shop.test/").await).status, 200);
    assert_eq!(proxy.asked(), ["127.0.0.2"]);
}
