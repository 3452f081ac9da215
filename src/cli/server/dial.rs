//! Connections to a server: TCP, or TLS over it. awc has no TLS here, so it sees plain URLs alone.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_rt::net::{ActixStream, Ready};
use actix_service::Service;
use actix_tls::connect::{ConnectError, ConnectInfo, Connection};
use awc::ClientResponse;
use awc::error::SendRequestError;
use awc::http::Uri;
use futures::future::LocalBoxFuture;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls_platform_verifier::Verifier;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::delivery::tls;
use crate::delivery::transport::Transport;

/// What awc answers.
pub(super) type Answer = ClientResponse;

/// Whom we trust to be a server: whom the system trusts, and the certificates of a file.
pub(super) fn tls(ca: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let extra = ca.map(read_authorities).transpose()?.unwrap_or_default();
    // The provider is named, since a process-wide default may be missing.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = Verifier::new_with_extra_roots(extra, Arc::clone(&provider))
        .map_err(|error| format!("the system's trusted roots cannot be read: {error}"))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read_authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let wrong = |what: String| format!("--ca {}: {what}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(|error| wrong(error.to_string()))?;
    let read: Result<Vec<_>, _> = read.collect();
    let read = read.map_err(|error| wrong(error.to_string()))?;
    match read.is_empty() {
        true => Err(wrong("there is no certificate in it".into())),
        false => Ok(read),
    }
}

/// Why nothing came, and what may be done about it.
pub(super) fn failure(error: &SendRequestError) -> String {
    let text = error.to_string();
    let hint = match text.contains("TLS failed") {
        true if text.contains("issuer") => " (its root may be named with --ca)",
        true => "",
        false => " (is it running?)",
    };
    text + hint
}

/// Makes connections.
#[derive(Clone)]
pub(super) struct Dial(Option<Arc<ClientConfig>>);

impl Dial {
    /// With TLS, or without.
    pub(super) fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self(tls)
    }
}

impl Service<ConnectInfo<Uri>> for Dial {
    type Response = Connection<Uri, Stream>;
    type Error = ConnectError;
    type Future = LocalBoxFuture<'static, Result<Self::Response, ConnectError>>;

    fn poll_ready(&self, _: &mut Context<'_>) -> Poll<Result<(), ConnectError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&self, info: ConnectInfo<Uri>) -> Self::Future {
        let config = self.0.clone();
        Box::pin(async move {
            let host = info.hostname().trim_start_matches('[').trim_end_matches(']').to_owned();
            let stream = open(&host, info.port(), config).await.map_err(ConnectError::Io)?;
            Ok(Connection::new(info.request().clone(), Stream(stream)))
        })
    }
}

async fn open(host: &str, port: u16, config: Option<Arc<ClientConfig>>) -> io::Result<Transport> {
    let tcp = TcpStream::connect((host, port)).await?;
    tcp.set_nodelay(true)?;
    let Some(config) = config else { return Ok(Transport::Plain(tcp)) };
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let secured = TlsConnector::from(config).connect(name, tcp).await;
    let secured = secured.map_err(|error| io::Error::other(tls::failure(&error)))?;
    Ok(Transport::Tls(Box::new(secured)))
}

/// A connection, as awc takes it.
pub(super) struct Stream(Transport);

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.get_mut().0.poll_read(context, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().0.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().0.poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().0.poll_shutdown(context)
    }
}

impl ActixStream for Stream {
    fn poll_read_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_read_ready(self.0.tcp(), context)
    }

    fn poll_write_ready(&self, context: &mut Context<'_>) -> Poll<io::Result<Ready>> {
        ActixStream::poll_write_ready(self.0.tcp(), context)
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stream").finish_non_exhaustive()
    }
}
