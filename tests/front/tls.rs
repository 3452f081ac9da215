//! TLS of the front end: what is spoken, who is asked for a certificate, and new certificates.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hostline::config::{ClientAuth, ServerTls, Settings};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::open::{Open, PATIENCE, Wire, connect};

pub type Secure = StreamOwned<ClientConnection, TcpStream>;

const GET: &[u8] = b"GET /v1/deliveries HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// An authority, and a folder with what it made.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    pub folder: tempfile::TempDir,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).expect("written");
        Self { issuer, folder }
    }

    /// A new certificate and its key, in PEM.
    pub fn issue(&self) -> (String, String, CertificateDer<'static>) {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        (certificate.pem(), key.serialize_pem(), certificate.der().clone())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a certificate and a key where the settings look.
    pub fn install(&self, certificate: &str, key: &str) {
        std::fs::write(self.path("server.pem"), certificate).expect("written");
        std::fs::write(self.path("server.key"), key).expect("written");
    }

    pub fn files(&self) -> ServerTls {
        let (certificate, key, _) = self.issue();
        self.install(&certificate, &key);
        ServerTls {
            certificate: Some(self.path("server.pem")),
            key: Some(self.path("server.key")),
            client_ca: None,
            client_auth: ClientAuth::None,
        }
    }

    /// A front end with a certificate of ours.
    pub fn open(&self, change: impl FnOnce(&mut Settings) + Send + 'static) -> Open {
        let files = self.files();
        Open::new(|settings| {
            settings.server.tls = files;
            change(settings);
        })
    }

    pub fn client(&self, shows: Option<&Authority>, protocols: &[&[u8]]) -> ClientConfig {
        self.client_of(&[&TLS12, &TLS13], shows, protocols)
    }

    fn client_of(
        &self,
        versions: &[&'static rustls::SupportedProtocolVersion],
        shows: Option<&Authority>,
        protocols: &[&[u8]],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .with_root_certificates(roots);
        let mut config = match shows {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let key = KeyPair::generate().expect("a key");
                let params = CertificateParams::new(vec!["client".to_owned()]).expect("a name");
                let own = params.signed_by(&key, &authority.issuer).expect("a certificate");
                let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
                builder.with_client_auth_cert(vec![own.der().clone()], key).expect("fits")
            }
        };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }
}

pub fn secure(address: SocketAddr, config: ClientConfig) -> Secure {
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
    let mut stream = StreamOwned::new(connection, connect(address));
    // A refusal shows when something is read.
    let _refused = stream.conn.complete_io(&mut stream.sock);
    stream
}

/// The status of a request, and the certificate that the server showed; `None` if it did not let
/// us in.
fn ask(address: SocketAddr, config: ClientConfig) -> Option<(u16, CertificateDer<'static>)> {
    let mut wire = Wire::new(secure(address, config));
    wire.send(GET);
    let status = wire.reply()?.status;
    let shown = wire.stream.conn.peer_certificates().expect("a certificate");
    Some((status, shown[0].clone().into_owned()))
}

#[test]
fn both_versions_are_spoken_and_answers_bind_browsers_to_tls() {
    let authority = Authority::new();
    let open = authority.open(|_| {});
    for version in [&TLS12, &TLS13] {
        let config = authority.client_of(&[version], None, &[]);
        let mut wire = Wire::new(secure(open.address, config));
        for _ in 0..2 {
            wire.send(GET);
            let reply = wire.reply().expect("an answer");
            assert_eq!(reply.status, 200);
            let hsts = reply.header("strict-transport-security");
            assert_eq!(hsts, Some("max-age=31536000"));
        }
        assert_eq!(wire.stream.conn.protocol_version(), Some(version.version));
    }
}

#[test]
fn the_protocol_is_agreed_on() {
    let authority = Authority::new();
    let agreed = |open: &Open, offered: &[&[u8]]| {
        let stream = secure(open.address, authority.client(None, offered));
        stream.conn.alpn_protocol().map(<[u8]>::to_vec)
    };
    let open = authority.open(|_| {});
    assert_eq!(agreed(&open, &[b"h2", b"http/1.1"]).as_deref(), Some(&b"h2"[..]));
    assert_eq!(agreed(&open, &[b"http/1.1"]).as_deref(), Some(&b"http/1.1"[..]));
    assert_eq!(agreed(&open, &[]), None);
    let old = authority.open(|settings| settings.server.http2 = false);
    assert_eq!(agreed(&old, &[b"h2", b"http/1.1"]).as_deref(), Some(&b"http/1.1"[..]));
}

#[test]
fn plain_http_is_not_spoken_beside_tls() {
    let authority = Authority::new();
    let open = authority.open(|_| {});
    let mut wire = open.connect();
    wire.send(GET);
    let mut answer = Vec::new();
    use std::io::Read;
    let _reset = wire.stream.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[test]
fn clients_show_a_certificate_where_they_have_to() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let with = |auth: ClientAuth| {
        let ca = authority.path("ca.pem");
        authority.open(move |settings| {
            settings.server.tls.client_ca = Some(ca);
            settings.server.tls.client_auth = auth;
        })
    };
    let status = |open: &Open, shows: Option<&Authority>| {
        ask(open.address, authority.client(shows, &[])).map(|(status, _)| status)
    };
    let required = with(ClientAuth::Required);
    assert_eq!(status(&required, Some(&authority)), Some(200));
    assert_eq!(status(&required, None), None);
    assert_eq!(status(&required, Some(&strangers)), None);
    let optional = with(ClientAuth::Optional);
    assert_eq!(status(&optional, Some(&authority)), Some(200));
    assert_eq!(status(&optional, None), Some(200));
    assert_eq!(status(&optional, Some(&strangers)), None);
}

#[test]
fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let authority = Authority::new();
    let open = authority.open(|_| {});
    let shown = || ask(open.address, authority.client(None, &[])).expect("let in").1;
    let mut standing = Wire::new(secure(open.address, authority.client(None, &[])));
    let before = shown();
    let (certificate, key, after) = authority.issue();
    let half = &certificate[..certificate.len() / 2];
    let (_, foreign_key, _) = authority.issue();
    for (certificate, key) in [(half, &key[..]), (&certificate, &foreign_key), (&certificate, "")] {
        authority.install(certificate, key);
        hang_up();
        for _ in 0..20 {
            assert_eq!(shown(), before);
        }
    }
    authority.install(&certificate, &key);
    // Without a signal: within the seconds after which the files are looked at.
    let began = std::time::Instant::now();
    while shown() != after {
        assert!(began.elapsed() < PATIENCE, "the new certificate is not shown");
    }
    standing.send(GET);
    assert_eq!(standing.reply().expect("it still stands").status, 200);
}

/// SIGHUP to ourselves, which every front end of the process hears.
fn hang_up() {
    let us = rustix::process::getpid();
    rustix::process::kill_process(us, rustix::process::Signal::HUP).expect("we run");
}

#[test]
fn files_that_cannot_be_used_are_told_at_the_start() {
    let authority = Authority::new();
    let refusal = |change: &dyn Fn(&mut ServerTls, &Path)| {
        let mut files = authority.files();
        change(&mut files, authority.folder.path());
        let open = Open::try_new(|settings| settings.server.tls = files);
        open.err().expect("refused")
    };
    let missing = refusal(&|files, folder| files.key = Some(folder.join("none")));
    assert!(missing.starts_with("server.tls.key "), "{missing}");
    let no_certificate = refusal(&|files, folder| {
        std::fs::write(folder.join("empty"), "").unwrap();
        files.certificate = Some(folder.join("empty"));
    });
    assert!(no_certificate.ends_with("there is no certificate in it"), "{no_certificate}");
    let (_, foreign_key, _) = authority.issue();
    let mismatch = refusal(&|_, folder| {
        std::fs::write(folder.join("server.key"), &foreign_key).unwrap();
    });
    assert!(mismatch.starts_with("server.tls.certificate "), "{mismatch}");
    assert!(!mismatch.contains("PRIVATE"), "{mismatch}");
    let no_authority = refusal(&|files, folder| {
        files.client_ca = Some(folder.join("none"));
        files.client_auth = ClientAuth::Required;
    });
    assert!(no_authority.starts_with("server.tls.client_ca "), "{no_authority}");
}
