//! TLS to receivers: whom we trust, and a handshake's failure in words.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::config::Roots;

/// The one TLS configuration of the process; its session cache is shared as well.
pub fn client_config(roots: &Roots) -> Result<Arc<ClientConfig>, String> {
    // The provider is named, since a process-wide default may be missing or another's choice.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let mut config = match roots {
        Roots::Platform => builder
            .with_platform_verifier()
            .map_err(|error| {
                format!("the system's trusted roots cannot be read (set `sender.roots`): {error}")
            })?
            .with_no_client_auth(),
        Roots::File(path) => {
            let store = Arc::new(read_roots(path)?);
            let verifier = WebPkiServerVerifier::builder_with_provider(store, provider)
                .build()
                .map_err(|error| format!("`sender.roots` {}: {error}", path.display()))?;
            builder.with_webpki_verifier(verifier).with_no_client_auth()
        }
    };
    // HTTP/2 is not spoken: one request at a time on a connection keeps pacing and timing plain.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn read_roots(path: &Path) -> Result<RootCertStore, String> {
    let at_fault = |what: String| format!("`sender.roots` {}: {what}", path.display());
    let mut store = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| at_fault(error.to_string()))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| at_fault(error.to_string()))?;
        store.add(certificate).map_err(|error| at_fault(error.to_string()))?;
    }
    if store.is_empty() {
        return Err(at_fault("there is no certificate in it".into()));
    }
    Ok(store)
}

/// Why a handshake failed, or what came after it, for a person.
pub fn failure(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let words = match cause {
        Some(rustls::Error::InvalidCertificate(cause)) => certificate_words(cause).to_owned(),
        Some(rustls::Error::AlertReceived(alert)) => format!("the receiver sent alert {alert:?}"),
        Some(rustls::Error::InvalidMessage(_)) => "the receiver does not speak TLS".into(),
        Some(rustls::Error::PeerIncompatible(_)) => {
            "no TLS version or cipher is common to both sides".into()
        }
        Some(rustls::Error::DecryptError) => "what came cannot be decrypted".into(),
        Some(_) => "the receiver breaks the protocol".into(),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "the receiver closed the connection".into()
        }
        None => format!("{}", error.kind()),
    };
    format!("TLS failed: {words}")
}

fn certificate_words(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate is not valid yet"
        }
        CertificateError::UnknownIssuer => "the certificate's issuer is not trusted",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate is for another name"
        }
        CertificateError::Revoked => "the certificate was revoked",
        CertificateError::BadSignature => "the certificate's signature is wrong",
        _ => "the certificate is not valid",
    }
}
