//! TLS: whom it trusts, and how it fails.

use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;

use hostline::clock::Clock;
use hostline::config::{Roots, Settings};
use hostline::delivery::SenderShared;
use hostline::model::Method;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::receiver::*;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

pub struct Authority(pub CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    pub fn settings(&self, directory: &Path) -> Settings {
        let path = directory.join("roots.pem");
        std::fs::write(&path, self.0.pem()).expect("written");
        let mut settings = settings();
        settings.sender.roots = Roots::File(path);
        settings
    }

    /// A receiver with a certificate for `name`. It answers every request, and notes the name
    /// that it was asked for.
    pub fn receiver(&self, name: &str) -> SocketAddr {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("a key");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .expect("a certificate");
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        std::thread::spawn(move || {
            for tcp in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).expect("a config");
                let mut stream = StreamOwned::new(connection, tcp.expect("accepted"));
                while read_request(&mut stream).is_some() && stream.write_all(OK).is_ok() {}
            }
        });
        address
    }
}

#[actix_rt::test]
async fn a_trusted_receiver_is_reached_and_its_connection_reused() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new("ours");
    let port = authority.receiver("localhost").port();
    let url = format!("https://localhost:{port}/hook");
    let sender = sender(&authority.settings(directory.path()), &url);
    for turn in 0..2 {
        let report = send(&sender, webhook(Method::Post, &url, vec![b'x'; 100_000])).await;
        assert_eq!(answered(&report).body, "ok");
        assert_eq!(report.timings.tls_us.is_some(), turn == 0);
    }
}

#[actix_rt::test]
async fn a_receiver_may_be_an_address() {
    let directory = tempfile::tempdir().expect("a directory");
    let authority = Authority::new("ours");
    let address = authority.receiver("127.0.0.1");
    let settings = authority.settings(directory.path());
    let report = post(&settings, &format!("https://{address}/")).await;
    assert_eq!(answered(&report).status, 200);
}

#[actix_rt::test]
async fn failures_say_what_is_wrong() {
    let directory = tempfile::tempdir().expect("a directory");
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let trusting = ours.settings(directory.path());

    let stranger = theirs.receiver("localhost").port();
    let report = post(&trusting, &format!("https://localhost:{stranger}/")).await;
    let reason = "TLS failed: the certificate's issuer is not trusted";
    assert_eq!(unanswered(&report), (reason, false));

    let other_name = ours.receiver("other.example").port();
    let report = post(&trusting, &format!("https://localhost:{other_name}/")).await;
    let reason = "TLS failed: the certificate is for another name";
    assert_eq!(unanswered(&report), (reason, false));

    let plain = Receiver::start(|_, peer| {
        peer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let report = post(&trusting, &format!("https://{}/", plain.address)).await;
    let reason = "TLS failed: the receiver does not speak TLS";
    assert_eq!(unanswered(&report), (reason, false));

    let closing = Receiver::start(|_, _| {});
    let report = post(&trusting, &format!("https://{}/", closing.address)).await;
    assert!(unanswered(&report).0.starts_with("TLS failed: "), "{:?}", report.outcome);
}

#[actix_rt::test]
async fn a_silent_handshake_times_out() {
    let directory = tempfile::tempdir().expect("a directory");
    let silent = Receiver::start(|_, peer| {
        peer.read();
    });
    let mut settings = Authority::new("ours").settings(directory.path());
    settings.sender.timeout = impatient().sender.timeout;
    let report = post(&settings, &format!("https://{}/", silent.address)).await;
    assert_eq!(unanswered(&report), ("timed out after 200ms in the TLS handshake", true));
}

#[test]
fn roots_that_cannot_be_read_name_the_setting() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut settings = settings();
    let mut refusal = |path: &Path| {
        settings.sender.roots = Roots::File(path.to_owned());
        SenderShared::new(&settings, Clock::system(), vault(&settings)).err().expect("refused")
    };
    assert!(refusal(&directory.path().join("none.pem")).starts_with("`sender.roots` "));
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "").expect("written");
    assert!(refusal(&empty).ends_with("there is no certificate in it"));
}
