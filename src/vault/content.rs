//! What a stored secret holds once it is opened. Wiped from memory when it goes, shown nowhere.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::ToSchema;
use zeroize::{Zeroize, Zeroizing};

pub use crate::config::Hidden;
use crate::config::{Secret, parse_secret};
use crate::model::{Target, Timestamp};

/// The kinds of stored secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Signs webhooks.
    Signing,
    /// `Authorization: Bearer …`.
    Bearer,
    /// `Authorization: Basic …`.
    Basic,
    /// A header of any other name, such as `x-api-key`.
    Header,
    /// OAuth 2.0 client credentials, for which a token is fetched.
    Oauth2,
    /// Shown to receivers that ask for a client's certificate.
    ClientCertificate,
    /// Authorities that are trusted as well.
    Ca,
}

/// What is chosen among: of one class the narrowest applies, but authorities add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Signing secrets.
    Signing,
    /// Whatever becomes a header.
    Credential,
    /// Client certificates.
    Certificate,
    /// Authorities.
    Authority,
}

impl Kind {
    /// The kind's word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Signing => "signing",
            Kind::Bearer => "bearer",
            Kind::Basic => "basic",
            Kind::Header => "header",
            Kind::Oauth2 => "oauth2",
            Kind::ClientCertificate => "client_certificate",
            Kind::Ca => "ca",
        }
    }

    /// Its class.
    pub fn class(self) -> Class {
        match self {
            Kind::Signing => Class::Signing,
            Kind::Bearer | Kind::Basic | Kind::Header | Kind::Oauth2 => Class::Credential,
            Kind::ClientCertificate => Class::Certificate,
            Kind::Ca => Class::Authority,
        }
    }
}

/// How webhooks are signed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Algorithm {
    /// HMAC-SHA256: both sides have the secret.
    #[default]
    V1,
    /// ed25519: receivers have the public key only.
    V1a,
}

/// How a client shows its credentials to a token endpoint (RFC 6749 §2.3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TokenAuth {
    /// In an `Authorization: Basic` header.
    #[default]
    Basic,
    /// As fields of the form.
    Body,
}

/// What a stored secret holds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// See [`Kind::Signing`].
    Signing(Signing),
    /// See [`Kind::Bearer`].
    Bearer {
        /// The token.
        token: Hidden,
    },
    /// See [`Kind::Basic`].
    Basic {
        /// The user's name, without a colon.
        username: Hidden,
        /// The password.
        password: Hidden,
    },
    /// See [`Kind::Header`].
    Header {
        /// In lower case.
        name: String,
        /// Vetted: no control characters.
        value: Hidden,
    },
    /// See [`Kind::Oauth2`].
    Oauth2(Oauth2),
    /// See [`Kind::ClientCertificate`].
    ClientCertificate {
        /// The chain in PEM, the client's own certificate first.
        certificate: String,
        /// Its private key in PEM.
        key: Hidden,
    },
    /// See [`Kind::Ca`].
    Ca {
        /// In PEM.
        certificates: String,
    },
}

/// A signing secret and, while it is being rotated, the one before.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Signing {
    /// How it signs.
    pub algorithm: Algorithm,
    /// Signs now.
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    pub secret: Secret,
    /// Signs beside it for a while.
    pub old: Option<OldSecret>,
}

/// The secret before the last rotation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OldSecret {
    /// Signs too.
    #[serde(serialize_with = "write_secret", deserialize_with = "read_secret")]
    pub secret: Secret,
    /// Until then.
    pub until: Timestamp,
}

/// OAuth 2.0 client credentials (RFC 6749 §4.4).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Oauth2 {
    /// Where tokens come from; a vetted URL.
    pub token_url: String,
    /// Who asks.
    pub client_id: Hidden,
    /// What proves it.
    pub client_secret: Hidden,
    /// What is asked for.
    pub scope: Option<String>,
    /// For whom, where the endpoint wants to know (not in the RFC, but common).
    pub audience: Option<String>,
    /// How the credentials are shown.
    pub auth: TokenAuth,
}

impl Oauth2 {
    /// The token endpoint; `None` only where the stored URL is damaged.
    pub fn target(&self) -> Option<Target> {
        Target::from_vetted(&self.token_url)
    }
}

impl Content {
    /// Its kind.
    pub fn kind(&self) -> Kind {
        match self {
            Content::Signing(_) => Kind::Signing,
            Content::Bearer { .. } => Kind::Bearer,
            Content::Basic { .. } => Kind::Basic,
            Content::Header { .. } => Kind::Header,
            Content::Oauth2(_) => Kind::Oauth2,
            Content::ClientCertificate { .. } => Kind::ClientCertificate,
            Content::Ca { .. } => Kind::Ca,
        }
    }

    /// The header that it becomes, in lower case; `None` for what becomes none.
    pub fn header(&self) -> Option<&str> {
        match self {
            Content::Bearer { .. } | Content::Basic { .. } | Content::Oauth2(_) => {
                Some("authorization")
            }
            Content::Header { name, .. } => Some(name),
            _ => None,
        }
    }
}

/// JSON text that is wiped when it goes.
pub(super) fn to_wiped_json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    /// Grows without leaving pieces of what it held behind.
    struct Wiped(Zeroizing<Vec<u8>>);

    impl std::io::Write for Wiped {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0.capacity() - self.0.len() < bytes.len() {
                let mut larger = Vec::with_capacity(2 * (self.0.len() + bytes.len()));
                larger.extend_from_slice(&self.0);
                self.0.zeroize();
                self.0 = Zeroizing::new(larger);
            }
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let mut wiped = Wiped(Zeroizing::new(Vec::with_capacity(1024)));
    serde_json::to_writer(&mut wiped, value).expect("a stored secret is plain data");
    wiped.0
}

fn write_secret<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&secret.reveal())
}

fn read_secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
    let text = Hidden::deserialize(deserializer)?;
    parse_secret(text.reveal()).map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_and_all_comes_back() {
        let hidden = || Hidden::new("planted".into());
        let contents = [
            Content::Bearer { token: hidden() },
            Content::Basic { username: hidden(), password: hidden() },
            Content::Header { name: "x-key".into(), value: hidden() },
            Content::ClientCertificate { certificate: "pem".into(), key: hidden() },
            Content::Oauth2(Oauth2 {
                token_url: "https://a.example/".into(),
                client_id: hidden(),
                client_secret: hidden(),
                scope: None,
                audience: None,
                auth: TokenAuth::Body,
            }),
            Content::Signing(Signing {
                algorithm: Algorithm::V1a,
                secret: Secret::from_seed(&[7; 32]),
                old: Some(OldSecret {
                    secret: Secret::new(vec![7; 32]),
                    until: Timestamp::from_millis(1),
                }),
            }),
        ];
        for content in contents {
            let shown = format!("{content:?}");
            assert!(!shown.contains("planted") && !shown.contains("wh"), "{shown}");
            let text = to_wiped_json(&content);
            let read: Content = serde_json::from_slice(&text).expect("readable");
            assert_eq!(to_wiped_json(&read), text);
            assert_eq!(read.kind(), content.kind());
        }
    }
}
