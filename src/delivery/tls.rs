//! TLS to receivers: whom we trust, whom we say we are, and a handshake's failure in words.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use super::prepare::Identity;
use crate::config::{Roots, Sender};
use crate::vault::{Content, Entry};

/// The TLS configuration of connections that are made with `identity`; its session cache goes with
/// it. The error names the setting at fault.
pub(super) fn client_config(
    settings: &Sender,
    identity: &Identity,
) -> Result<Arc<ClientConfig>, String> {
    // The provider is named, since a process-wide default may be missing or another's choice.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("TLS cannot be set up: {error}"))?;
    let mut extra = match &settings.extra_roots {
        Some(path) => read_pem("sender.extra_roots", path)?,
        None => Vec::new(),
    };
    for entry in &identity.authorities {
        if let Content::Ca { certificates } = &entry.content {
            extra.extend(chain(certificates, &entry.name)?);
        }
    }
    let verifier: Arc<dyn ServerCertVerifier> = match &settings.roots {
        Roots::Platform => {
            let verifier = Verifier::new_with_extra_roots(extra, provider).map_err(|error| {
                format!("the system's trusted roots cannot be read (set `sender.roots`): {error}")
            })?;
            Arc::new(verifier)
        }
        Roots::File(path) => {
            let at_fault = |what: String| format!("`sender.roots` {}: {what}", path.display());
            let mut store = RootCertStore::empty();
            for certificate in read_pem("sender.roots", path)?.into_iter().chain(extra) {
                store.add(certificate).map_err(|error| at_fault(error.to_string()))?;
            }
            WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
                .build()
                .map_err(|error| at_fault(error.to_string()))?
        }
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let mut config = match &identity.certificate {
        None => builder.with_no_client_auth(),
        Some(entry) => {
            let (chain, key) = client_certificate(entry)?;
            let config = builder.with_client_auth_cert(chain, key);
            config.map_err(|_| format!("the client certificate `{}` is not valid", entry.name))?
        }
    };
    // HTTP/2 is not spoken: one request at a time on a connection keeps pacing and timing plain.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

type Chain = Vec<CertificateDer<'static>>;

fn client_certificate(entry: &Entry) -> Result<(Chain, PrivateKeyDer<'static>), String> {
    let broken = || format!("the client certificate `{}` is not valid", entry.name);
    match &entry.content {
        Content::ClientCertificate { certificate, key } => {
            let key = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes());
            Ok((chain(certificate, &entry.name)?, key.map_err(|_| broken())?))
        }
        _ => Err(broken()),
    }
}

fn chain(pem: &str, name: &str) -> Result<Chain, String> {
    let chain: Result<Chain, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    chain.map_err(|_| format!("the certificates of `{name}` are not valid"))
}

fn read_pem(setting: &str, path: &Path) -> Result<Chain, String> {
    let at_fault = |what: String| format!("`{setting}` {}: {what}", path.display());
    let certificates =
        CertificateDer::pem_file_iter(path).map_err(|error| at_fault(error.to_string()))?;
    let chain: Result<Chain, _> = certificates.collect();
    let chain = chain.map_err(|error| at_fault(error.to_string()))?;
    match chain.is_empty() {
        true => Err(at_fault("there is no certificate in it".into())),
        false => Ok(chain),
    }
}

/// Why a handshake failed, or what came after it, for a person.
pub fn failure(error: &io::Error) -> String {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let words = match cause {
        Some(rustls::Error::InvalidCertificate(cause)) => certificate_words(cause).to_owned(),
        Some(rustls::Error::AlertReceived(alert)) => alert_words(*alert),
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

/// A receiver has nothing to say of certificates but of ours.
fn alert_words(alert: AlertDescription) -> String {
    let refuses = "the receiver does not take our client certificate";
    match alert {
        AlertDescription::CertificateRequired => {
            "the receiver wants a client certificate, and none is stored for it".into()
        }
        AlertDescription::UnknownCA => format!("{refuses}: it does not trust its issuer"),
        AlertDescription::CertificateExpired => format!("{refuses}: it has expired"),
        AlertDescription::CertificateRevoked => format!("{refuses}: it was revoked"),
        AlertDescription::BadCertificate
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::AccessDenied => format!("{refuses} (alert {alert:?})"),
        _ => format!("the receiver sent alert {alert:?}"),
    }
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
