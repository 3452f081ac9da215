//! The front end's certificate, its key, and whom it takes certificates from. The files are looked
//! at again and again, so that a renewed certificate needs no restart; connections that stand keep
//! what they began with.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{ClientAuth, Server, ServerTls};

/// How often the files are looked at: a renewal leaves days for it, a person who tries less.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// ALPN name of HTTP/2.
pub(super) const H2: &[u8] = b"h2";

/// What tells that a file is another one than before.
type Stamp = Option<(SystemTime, u64)>;

/// The TLS of new connections.
pub(super) struct Tls {
    files: ServerTls,
    http2: bool,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads the files that the settings name; `None` if they name none.
    pub(super) fn load(server: &Server) -> io::Result<Option<Arc<Self>>> {
        if server.tls.certificate.is_none() {
            return Ok(None);
        }
        let (files, http2) = (server.tls.clone(), server.http2);
        let config = read(&files, http2).map_err(io::Error::other)?;
        Ok(Some(Arc::new(Self { files, http2, current: ArcSwap::from(config) })))
    }

    /// The server's part of a handshake.
    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.current.load_full()).accept(socket).await
    }

    /// Follows the files, for ever.
    pub(super) async fn follow(self: Arc<Self>) {
        use tokio::signal::unix::{SignalKind, signal};
        let mut hangup = match signal(SignalKind::hangup()) {
            Ok(hangup) => hangup,
            Err(error) => {
                log::warn!(error:% = error; "certificates are not read again: no signals");
                return;
            }
        };
        let mut seen = self.stamps();
        loop {
            let asked = tokio::time::timeout(LOOK_EVERY, hangup.recv()).await.is_ok();
            let stamps = self.stamps();
            if stamps != seen || asked {
                self.reload();
            }
            seen = stamps;
        }
    }

    /// Takes over what the files say now; if that makes no sense, what was there stays.
    fn reload(&self) {
        match read(&self.files, self.http2) {
            Ok(config) => {
                self.current.store(config);
                log::info!("TLS certificates were read again");
            }
            Err(why) => {
                log::warn!(why:% = why; "TLS certificates cannot be used; the old ones stay");
            }
        }
    }

    fn stamps(&self) -> [Stamp; 3] {
        let ServerTls { certificate, key, client_ca, .. } = &self.files;
        [certificate, key, client_ca].map(|path| {
            let about = std::fs::metadata(path.as_ref()?).ok()?;
            Some((about.modified().ok()?, about.len()))
        })
    }
}

/// The configuration that the files stand for. The error names the setting and the file.
fn read(files: &ServerTls, http2: bool) -> Result<Arc<ServerConfig>, String> {
    let (Some(certificate), Some(key)) = (&files.certificate, &files.key) else {
        return Err("server.tls.certificate and server.tls.key go together".into());
    };
    let chain = certificates("server.tls.certificate", certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| at_fault("server.tls.key", key, &error.to_string()))?;
    // The provider is named, since a process-wide default may be missing or another's choice.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let builder = match verifier(files, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    // Also refuses a key that is not the certificate's.
    let mut config = builder
        .with_single_cert(chain, secret)
        .map_err(|error| at_fault("server.tls.certificate", certificate, &error.to_string()))?;
    if http2 {
        config.alpn_protocols.push(H2.to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Arc::new(config))
}

fn verifier(
    files: &ServerTls,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, String> {
    let Some(path) = files.client_ca.as_ref().filter(|_| files.client_auth != ClientAuth::None)
    else {
        return Ok(None);
    };
    let fault = |what: String| at_fault("server.tls.client_ca", path, &what);
    let mut roots = RootCertStore::empty();
    for certificate in certificates("server.tls.client_ca", path)? {
        roots.add(certificate).map_err(|error| fault(error.to_string()))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = match files.client_auth {
        ClientAuth::Optional => builder.allow_unauthenticated(),
        _ => builder,
    };
    builder.build().map(Some).map_err(|error| fault(error.to_string()))
}

fn certificates(key: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |what: &str| at_fault(key, path, what);
    let read = CertificateDer::pem_file_iter(path).map_err(|error| fault(&error.to_string()))?;
    let chain: Result<Vec<_>, _> = read.collect();
    let chain = chain.map_err(|error| fault(&error.to_string()))?;
    if chain.is_empty() {
        return Err(fault("there is no certificate in it"));
    }
    Ok(chain)
}

fn at_fault(key: &str, path: &Path, what: &str) -> String {
    format!("{key} {}: {what}", path.display())
}
