//! A secret as it is written by who stores it: which fields each kind has, and what they may hold.

use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::applies::Place;
use super::content::{Algorithm, Content, Hidden, Kind, Oauth2, Signing, TokenAuth};
use super::{Fault, VaultError};
use crate::config::{Secret, SigningMeans, is_secret_name, parse_secret};
use crate::model::{Target, optional_word, word};

/// Places of one secret.
const PLACES_MAX: usize = 64;
/// Bytes of a token, a password, a header's value: what receivers commonly take as one header.
const VALUE_MAX: usize = 8 << 10;
/// Bytes of a chain or of a bundle of authorities in PEM.
const PEM_MAX: usize = 48 << 10;
/// Bytes of a symmetric signing secret that is made here.
const SECRET_BYTES: usize = 32;

/// The fields of a secret. Which of them belong to which kind is vetted afterwards, so that a field
/// too many is named.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a secret: an object with `kind` and its fields")]
pub struct SecretInput {
    /// What it is called; in a replacement it follows from the path.
    pub name: Option<String>,
    /// Which kind.
    #[serde(deserialize_with = "word")]
    pub kind: Kind,
    /// Where it applies by itself.
    #[serde(default)]
    pub applies_to: Vec<String>,
    #[serde(default, deserialize_with = "optional_word")]
    algorithm: Option<Algorithm>,
    value: Option<Hidden>,
    token: Option<Hidden>,
    username: Option<Hidden>,
    password: Option<Hidden>,
    header: Option<String>,
    token_url: Option<String>,
    client_id: Option<Hidden>,
    client_secret: Option<Hidden>,
    scope: Option<String>,
    audience: Option<String>,
    #[serde(default, deserialize_with = "optional_word")]
    auth: Option<TokenAuth>,
    certificate: Option<String>,
    key: Option<Hidden>,
    certificates: Option<String>,
}

/// A vetted secret.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) places: Vec<Place>,
    pub(super) content: Content,
    /// Whether a secret was made here that nobody has seen yet.
    pub(super) made: bool,
}

/// Refuses what cannot be the name of a secret.
pub(super) fn vet_name(name: &str) -> Result<(), Fault> {
    if is_secret_name(name) && name != "none" {
        return Ok(());
    }
    let detail = "is no name for a secret: 1 to 64 letters, digits, `-` and `_`, not \"none\"";
    Err(Fault::new("/name", detail))
}

/// A fresh signing secret.
pub(super) fn make_secret(algorithm: Algorithm) -> Result<Secret, VaultError> {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    getrandom::fill(&mut bytes[..]).map_err(|_| VaultError::NoRandomness)?;
    Ok(match algorithm {
        Algorithm::V1 => Secret::new(bytes.to_vec()),
        Algorithm::V1a => Secret::from_seed(&bytes),
    })
}

/// Reads a signing secret that somebody brings; it has to be of the algorithm.
pub(super) fn given_secret(value: &Hidden, algorithm: Algorithm) -> Result<Secret, Fault> {
    let secret =
        parse_secret(value.reveal()).map_err(|wrong| Fault::new("/value", wrong.to_string()))?;
    match (secret.means(), algorithm) {
        (SigningMeans::Hmac(_), Algorithm::V1) | (SigningMeans::Ed25519(_), Algorithm::V1a) => {
            Ok(secret)
        }
        (SigningMeans::Hmac(_), Algorithm::V1a) => {
            Err(Fault::new("/value", "is symmetric; `v1a` takes \"whsk_\" and an ed25519 key"))
        }
        (SigningMeans::Ed25519(_), Algorithm::V1) => {
            Err(Fault::new("/value", "is an ed25519 key; say \"algorithm\": \"v1a\" as well"))
        }
    }
}

impl SecretInput {
    /// Vets all of it.
    pub(super) fn vet(mut self) -> Result<Document, VaultError> {
        let places = places(&self.applies_to)?;
        let mut made = false;
        let kind = self.kind;
        let content = match kind {
            Kind::Signing => {
                let algorithm = self.algorithm.take().unwrap_or_default();
                let secret = match self.value.take() {
                    Some(value) => given_secret(&value, algorithm)?,
                    None => {
                        made = true;
                        make_secret(algorithm)?
                    }
                };
                Content::Signing(Signing { algorithm, secret, old: None })
            }
            Kind::Bearer => {
                let token = want(self.token.take(), "token", kind)?;
                vet_value("/token", token.reveal())?;
                if !token.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
                    return Err(Fault::new("/token", "has characters that no token has").into());
                }
                Content::Bearer { token }
            }
            Kind::Basic => self.basic()?,
            Kind::Header => {
                let name = vet_header(&want(self.header.take(), "header", kind)?)?;
                let value = want(self.value.take(), "value", kind)?;
                vet_value("/value", value.reveal())?;
                Content::Header { name, value }
            }
            Kind::Oauth2 => self.oauth2()?,
            Kind::ClientCertificate => {
                let certificate = want(self.certificate.take(), "certificate", kind)?;
                let key = want(self.key.take(), "key", kind)?;
                vet_certificate(&certificate, &key)?;
                Content::ClientCertificate { certificate, key }
            }
            Kind::Ca => {
                let certificates = want(self.certificates.take(), "certificates", kind)?;
                let mut roots = rustls::RootCertStore::empty();
                for der in vet_chain("/certificates", &certificates)? {
                    roots.add(der).map_err(|_| {
                        Fault::new("/certificates", "holds what is no certificate of an authority")
                    })?;
                }
                Content::Ca { certificates }
            }
        };
        self.nothing_left()?;
        Ok(Document { places, content, made })
    }

    fn basic(&mut self) -> Result<Content, Fault> {
        let username = want(self.username.take(), "username", Kind::Basic)?;
        let password = want(self.password.take(), "password", Kind::Basic)?;
        vet_value("/username", username.reveal())?;
        vet_value("/password", password.reveal())?;
        if username.reveal().contains(':') {
            return Err(Fault::new("/username", "has a colon, which ends a name in Basic"));
        }
        Ok(Content::Basic { username, password })
    }

    fn oauth2(&mut self) -> Result<Content, Fault> {
        let kind = Kind::Oauth2;
        let token_url = want(self.token_url.take(), "token_url", kind)?;
        let target = url::Url::parse(&token_url).ok();
        let target = target.and_then(|url| Target::from_vetted(url.as_str()));
        let target = target.filter(|target| target.host().is_well_formed()).ok_or_else(|| {
            Fault::new("/token_url", "is no http or https URL without user name and fragment")
        })?;
        let credentials = Oauth2 {
            token_url: target.as_str().to_owned(),
            client_id: want(self.client_id.take(), "client_id", kind)?,
            client_secret: want(self.client_secret.take(), "client_secret", kind)?,
            scope: self.scope.take(),
            audience: self.audience.take(),
            auth: self.auth.take().unwrap_or_default(),
        };
        vet_value("/client_id", credentials.client_id.reveal())?;
        vet_value("/client_secret", credentials.client_secret.reveal())?;
        for (pointer, text) in
            [("/scope", &credentials.scope), ("/audience", &credentials.audience)]
        {
            text.as_ref().map_or(Ok(()), |text| vet_value(pointer, text))?;
        }
        Ok(Content::Oauth2(credentials))
    }

    /// Refuses the fields that nobody took.
    fn nothing_left(&self) -> Result<(), Fault> {
        let given = [
            ("algorithm", self.algorithm.is_some()),
            ("value", self.value.is_some()),
            ("token", self.token.is_some()),
            ("username", self.username.is_some()),
            ("password", self.password.is_some()),
            ("header", self.header.is_some()),
            ("token_url", self.token_url.is_some()),
            ("client_id", self.client_id.is_some()),
            ("client_secret", self.client_secret.is_some()),
            ("scope", self.scope.is_some()),
            ("audience", self.audience.is_some()),
            ("auth", self.auth.is_some()),
            ("certificate", self.certificate.is_some()),
            ("key", self.key.is_some()),
            ("certificates", self.certificates.is_some()),
        ];
        match given.into_iter().find(|(_, given)| *given) {
            Some((field, _)) => {
                let detail = format!("belongs to no secret of the kind `{}`", self.kind.as_str());
                Err(Fault::new(format!("/{field}"), detail))
            }
            None => Ok(()),
        }
    }
}

fn want<T>(field: Option<T>, name: &str, kind: Kind) -> Result<T, Fault> {
    field.ok_or_else(|| {
        let detail = format!("missing; a secret of the kind `{}` has one", kind.as_str());
        Fault::new(format!("/{name}"), detail)
    })
}

fn places(texts: &[String]) -> Result<Vec<Place>, Fault> {
    if texts.len() > PLACES_MAX {
        let detail = format!("has {} places; at most {PLACES_MAX} are taken", texts.len());
        return Err(Fault::new("/applies_to", detail));
    }
    let mut places = Vec::with_capacity(texts.len());
    for (index, text) in texts.iter().enumerate() {
        let at = |detail: String| Fault::new(format!("/applies_to/{index}"), detail);
        let place = Place::parse(text).map_err(at)?;
        if places.contains(&place) {
            return Err(at("is given twice".into()));
        }
        places.push(place);
    }
    Ok(places)
}

fn vet_value(pointer: &str, value: &str) -> Result<(), Fault> {
    if !(1..=VALUE_MAX).contains(&value.len()) {
        let detail = format!("has {} bytes; 1 to {VALUE_MAX} are taken", value.len());
        return Err(Fault::new(pointer, detail));
    }
    if value.chars().any(char::is_control) {
        return Err(Fault::new(pointer, "has a control character; none is allowed"));
    }
    match value.trim() == value {
        true => Ok(()),
        false => Err(Fault::new(pointer, "begins or ends with a space")),
    }
}

/// The name of a header that a credential may be, in lower case.
fn vet_header(name: &str) -> Result<String, Fault> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !(1..=256).contains(&name.len()) || !name.bytes().all(token) {
        return Err(Fault::new("/header", "is no header name"));
    }
    let name = name.to_ascii_lowercase();
    let ruled = [
        "host",
        "content-length",
        "content-type",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "http2-settings",
        "user-agent",
        "traceparent",
    ];
    let ours = name.starts_with("proxy-") || name.starts_with("webhook-");
    match ours || ruled.contains(&name.as_str()) {
        true => Err(Fault::new("/header", "is a header that no credential may stand in")),
        false => Ok(name),
    }
}

fn vet_chain(pointer: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, Fault> {
    if pem.len() > PEM_MAX {
        let detail = format!("has {} bytes; at most {PEM_MAX} are taken", pem.len());
        return Err(Fault::new(pointer, detail));
    }
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        _ => Err(Fault::new(pointer, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")),
    }
}

fn vet_certificate(certificate: &str, key: &Hidden) -> Result<(), Fault> {
    let chain = vet_chain("/certificate", certificate)?;
    let at_key = |detail: &str| Fault::new("/key", detail);
    if key.reveal().len() > PEM_MAX {
        return Err(at_key("is too long for a key"));
    }
    let der = PrivateKeyDer::from_pem_slice(key.reveal().as_bytes())
        .map_err(|_| at_key("holds no private key in PEM (-----BEGIN PRIVATE KEY-----)"))?;
    let signing = any_supported_type(&der)
        .map_err(|_| at_key("is of a kind that is not known; RSA, ECDSA and ed25519 are taken"))?;
    match CertifiedKey::new(chain, signing).keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err(at_key("does not belong to the first certificate of the chain"))
        }
        Err(_) => Err(Fault::new("/certificate", "is no certificate that can be read")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vet(json: &str) -> Result<Document, Fault> {
        let input: SecretInput = serde_json::from_str(json).expect("known fields");
        input.vet().map_err(|error| match error {
            VaultError::Invalid(fault) => fault,
            other => panic!("{other}"),
        })
    }

    #[test]
    fn each_kind_takes_its_own_fields() {
        for json in [
            r#"{"kind":"signing"}"#,
            r#"{"kind":"signing","algorithm":"v1a","applies_to":["*.shop.example"]}"#,
            r#"{"kind":"signing","value":"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}"#,
            r#"{"kind":"bearer","token":"abc.def"}"#,
            r#"{"kind":"basic","username":"me","password":"s3 cret"}"#,
            r#"{"kind":"header","header":"X-Api-Key","value":"abc"}"#,
            r#"{"kind":"oauth2","token_url":"https://a.example/token","client_id":"i",
                "client_secret":"s","scope":"a b","auth":"body"}"#,
        ] {
            let made = vet(json).unwrap_or_else(|fault| panic!("{json}: {fault:?}")).made;
            assert_eq!(made, json.contains("signing") && !json.contains("value"), "{json}");
        }
    }

    #[test]
    fn the_field_at_fault_is_named_and_no_value_repeated() {
        let cases = [
            (r#"{"kind":"bearer"}"#, "/token"),
            (r#"{"kind":"bearer","token":"planted","value":"x"}"#, "/value"),
            (r#"{"kind":"bearer","token":"plan ted"}"#, "/token"),
            (r#"{"kind":"bearer","token":"planted\r\nx: y"}"#, "/token"),
            (r#"{"kind":"bearer","token":""}"#, "/token"),
            (r#"{"kind":"basic","username":"plan:ted","password":"x"}"#, "/username"),
            (r#"{"kind":"header","header":"Host","value":"x"}"#, "/header"),
            (r#"{"kind":"header","header":"webhook-id","value":"x"}"#, "/header"),
            (r#"{"kind":"header","header":"a b","value":"x"}"#, "/header"),
            (r#"{"kind":"header","header":"a","value":" planted"}"#, "/value"),
            (r#"{"kind":"signing","value":"whsec_planted"}"#, "/value"),
            (
                r#"{"kind":"signing","algorithm":"v1a","value":"whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"}"#,
                "/value",
            ),
            (r#"{"kind":"signing","applies_to":["a","a"]}"#, "/applies_to/1"),
            (r#"{"kind":"signing","applies_to":["a b"]}"#, "/applies_to/0"),
            (r#"{"kind":"ca","certificates":"planted"}"#, "/certificates"),
            (r#"{"kind":"client_certificate","certificate":"x","key":"planted"}"#, "/certificate"),
            (
                r#"{"kind":"oauth2","token_url":"ftp://a/","client_id":"i","client_secret":"s"}"#,
                "/token_url",
            ),
            (
                r#"{"kind":"oauth2","token_url":"https://planted@a/","client_id":"i","client_secret":"s"}"#,
                "/token_url",
            ),
        ];
        for (json, pointer) in cases {
            let fault = vet(json).map(|_| ()).expect_err(json);
            assert_eq!(fault.pointer, pointer, "{json}");
            assert!(!fault.detail.contains("plan"), "{}", fault.detail);
        }
        for name in ["", "none", "a b", "whsec_x", "whsk_x", "a/b", &"x".repeat(65)] {
            assert!(vet_name(name).is_err(), "{name}");
        }
        assert_eq!(vet_name("shop-1_A"), Ok(()));
    }
}
