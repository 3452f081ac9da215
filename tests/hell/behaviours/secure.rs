//! TLS that fails before, in and after the handshake.

use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use super::Ends::{NoAnswer, Status, TimedOut};
use super::{Behaviour, Ends, OK, does};
use crate::receiver::{Peer, pause};

const NOT_TLS: &str = "TLS failed: the receiver does not speak TLS";
const CLOSED: &str = "TLS failed: the receiver closed the connection";
const SHAKING: &str = "in the TLS handshake";

/// Whom the sender trusts.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "trusted in hell");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    /// Writes what `sender.roots` may name.
    pub fn write(&self, path: &Path) {
        std::fs::write(path, self.0.pem()).expect("written");
    }

    /// The configuration of a receiver with nothing wrong.
    pub fn proper(&self) -> Arc<ServerConfig> {
        self.serves(|_| {})
    }

    fn serves(&self, change: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        change(&mut params);
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        serving(certificate.der().clone(), &key)
    }

    /// As a receiver that wants to see a certificate of the sender, which has none.
    fn serves_the_known_only(&self) -> Arc<ServerConfig> {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let known = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_client_cert_verifier(known.build().expect("roots"))
            .with_single_cert(vec![certificate.der().clone()], key);
        Arc::new(config.expect("a certificate"))
    }
}

fn serving(certificate: CertificateDer<'static>, key: &KeyPair) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
    let config =
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
    Arc::new(config.expect("a certificate"))
}

pub fn all(authority: &Authority) -> Vec<Behaviour> {
    let all = [raw(), certificates(authority), after(authority)].concat();
    all.into_iter().map(|one| Behaviour { secure: true, ..one }).collect()
}

/// No handshake comes about.
fn raw() -> Vec<Behaviour> {
    let first = |name: &str, bytes: &'static [u8], ends| {
        does(name, ends, move |peer| {
            peer.write(bytes);
            peer.linger();
        })
    };
    vec![
        first("plain HTTP on a TLS port", b"HTTP/1.1 400 Bad Request\r\n\r\n", NoAnswer(NOT_TLS)),
        first("an SSH banner on a TLS port", b"SSH-2.0-OpenSSH_9.6\r\n", NoAnswer(NOT_TLS)),
        first("a record of an unknown type", &[0xff; 64], NoAnswer(NOT_TLS)),
        first("a record of 64 KiB", &[0x16, 3, 3, 0xff, 0xff], NoAnswer(NOT_TLS)),
        first("an empty record", &[0x16, 3, 3, 0, 0], NoAnswer(NOT_TLS)),
        first(
            "an alert: handshake failure",
            &[0x15, 3, 3, 0, 2, 2, 40],
            NoAnswer("TLS failed: the receiver sent alert HandshakeFailure"),
        ),
        first(
            "an alert: unrecognised name",
            &[0x15, 3, 3, 0, 2, 2, 112],
            NoAnswer("TLS failed: the receiver sent alert UnrecognisedName"),
        ),
        first(
            "an application record in the handshake",
            &[0x17, 3, 3, 0, 1, 0],
            NoAnswer("TLS failed: "),
        ),
        does("a silent handshake", TimedOut(SHAKING), |peer| peer.linger()),
        first("half a record", &[0x16, 3, 3, 0x40, 0, 2], TimedOut(SHAKING)),
        does("a drip of a handshake", TimedOut(SHAKING), |peer| {
            peer.write([0x16, 3, 3, 0x40, 0, 2, 0, 0x3f, 0xfc]);
            while peer.drip([0], Duration::from_millis(20)) {}
        }),
        does("closes in the handshake", NoAnswer(CLOSED), |peer| {
            let _hello = peer.stream.read(&mut [0; 16 << 10]);
            peer.write([0x16, 3, 3, 0, 100, 2]);
        }),
        does("resets in the handshake", NoAnswer("TLS failed: connection reset"), |peer| {
            let _hello = peer.stream.read(&mut [0; 16 << 10]);
            peer.reset();
        }),
    ]
}

fn certificates(authority: &Authority) -> Vec<Behaviour> {
    let shown = |name: &str, config, ends| talks(name, config, ends, |_, stream| greet(stream));
    let key = KeyPair::generate().expect("a key");
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("a name");
    let own = own.self_signed(&key).expect("a certificate");
    let expired = authority.serves(|params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let future = authority.serves(|params| params.not_before = date_time_ymd(2200, 1, 1));
    let other = authority.serves(|params| {
        *params = CertificateParams::new(vec!["other.example".to_owned()]).expect("a name");
    });
    vec![
        shown(
            "an expired certificate",
            expired,
            NoAnswer("TLS failed: the certificate has expired"),
        ),
        shown(
            "a future certificate",
            future,
            NoAnswer("TLS failed: the certificate is not valid yet"),
        ),
        shown(
            "another's certificate",
            other,
            NoAnswer("TLS failed: the certificate is for another name"),
        ),
        shown(
            "a certificate of its own making",
            serving(own.der().clone(), &key),
            NoAnswer("TLS failed: the certificate's issuer is not trusted"),
        ),
        shown(
            "wants a certificate of ours",
            authority.serves_the_known_only(),
            NoAnswer(
                "TLS failed: the receiver wants a client certificate, and none is stored for it",
            ),
        ),
    ]
}

/// The handshake is done.
fn after(authority: &Authority) -> Vec<Behaviour> {
    let config = authority.proper();
    let talk = |name: &str, ends, script: fn(&mut Peer, &mut Stream)| {
        talks(name, config.clone(), ends, script)
    };
    vec![
        talk("413 at once over TLS, and reads no further", Status(413), |peer, stream| {
            let _part = stream.read(&mut [0; 100]);
            say(stream, "HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig");
            peer.ignore();
        })
        .sent(16 << 20),
        talk("closes without the TLS goodbye", Status(200), |_, stream| greet(stream)),
        talk(
            "a record that cannot be decrypted",
            NoAnswer("TLS failed: what came cannot be decrypted"),
            |peer, stream| {
                request(stream);
                peer.write([&[0x17, 3, 3, 0, 40][..], &[0; 40]].concat());
                peer.linger();
            },
        ),
        talk("resets after the handshake", NoAnswer("connection reset while "), |peer, _| {
            peer.reset();
        }),
        talk("plain text after the handshake", NoAnswer(NOT_TLS), |peer, stream| {
            request(stream);
            peer.write("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
            peer.linger();
        }),
        talk(
            "a body cut by the TLS goodbye",
            NoAnswer("connection closed while reading the answer's body"),
            |_, stream| {
                request(stream);
                say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
                stream.conn.send_close_notify();
                let _gone = stream.flush();
            },
        ),
        talk(
            "a body cut without it",
            NoAnswer("connection closed while reading the answer's body"),
            |_, stream| {
                request(stream);
                say(stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc");
            },
        ),
        talk("an answer byte by byte, a record each", Status(200), |_, stream| {
            request(stream);
            for byte in OK.bytes() {
                pause(Duration::from_millis(2));
                say(stream, [byte]);
            }
        }),
        talk(
            "hangs after the handshake",
            TimedOut("waiting for the answer's first byte"),
            |_, stream| {
                while request(stream) {}
            },
        ),
    ]
}

type Stream<'a> = StreamOwned<ServerConnection, &'a std::net::TcpStream>;

/// A behaviour behind the handshake.
fn talks(
    name: &str,
    config: Arc<ServerConfig>,
    ends: Ends,
    script: impl Fn(&mut Peer, &mut Stream) + Send + Sync + 'static,
) -> Behaviour {
    does(name, ends, move |peer| {
        let Ok(tcp) = peer.stream.try_clone() else { return };
        let connection = ServerConnection::new(config.clone()).expect("a configuration");
        let mut stream = StreamOwned::new(connection, &tcp);
        while stream.conn.is_handshaking() {
            if stream.conn.complete_io(&mut stream.sock).is_err() {
                // The alert that says why is on its way to the sender.
                return;
            }
        }
        script(peer, &mut stream);
    })
}

fn greet(stream: &mut Stream) {
    while request(stream) && say(stream, OK) {}
}

/// Reads a request, which is a small one.
fn request(stream: &mut Stream) -> bool {
    let mut piece = [0; 16 << 10];
    let mut bytes = Vec::new();
    loop {
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return false,
            Ok(length) => bytes.extend_from_slice(&piece[..length]),
        }
        if bytes.windows(6).any(|window| window == b"\r\n\r\n{}") {
            return true;
        }
    }
}

fn say(stream: &mut Stream, bytes: impl AsRef<[u8]>) -> bool {
    stream.write_all(bytes.as_ref()).and_then(|()| stream.flush()).is_ok()
}
