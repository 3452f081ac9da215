//! What is to be sent: method, target, headers, body.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::host::HostName;

/// The methods that a webhook may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// The default.
    #[default]
    Post,
    /// Carries a body as POST does.
    Put,
    /// Never carries a body.
    Get,
    /// Carries a body only where the trigger says so.
    Delete,
}

impl Method {
    /// The method's token on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Get => "GET",
            Method::Delete => "DELETE",
        }
    }
}

/// The scheme of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain text.
    Http,
    /// TLS.
    Https,
}

/// A vetted destination URL: http or https, with a host, without userinfo and fragment.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    url: String,
    scheme: Scheme,
    host: HostName,
    port: u16,
    path_at: usize,
}

impl Target {
    /// Takes apart a URL that admission (or the store) holds for vetted: as the `url` crate writes
    /// it, without userinfo and fragment. `None` when it is not of that form.
    pub fn from_vetted(url: &str) -> Option<Self> {
        let parsed = url::Url::parse(url).ok()?;
        let scheme = match parsed.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        let authority_at = parsed.scheme().len() + "://".len();
        let path_at = authority_at + parsed.as_str()[authority_at..].find('/')?;
        let anonymous = parsed.username().is_empty() && parsed.password().is_none();
        (anonymous && parsed.fragment().is_none()).then_some(())?;
        Some(Self {
            scheme,
            host: HostName::from_parts(parsed.host_str()?, parsed.port()),
            port: parsed.port_or_known_default()?,
            path_at,
            url: parsed.into(),
        })
    }

    /// The whole URL.
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// http or https.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The destination host that owns the delivery.
    pub fn host(&self) -> &HostName {
        &self.host
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `host` or `host:port` as the `Host` header wants it.
    pub fn authority(&self) -> &str {
        let authority_at = match self.scheme {
            Scheme::Http => "http://".len(),
            Scheme::Https => "https://".len(),
        };
        &self.url[authority_at..self.path_at]
    }

    /// Path and query, as they go on the request line.
    pub fn path_and_query(&self) -> &str {
        &self.url[self.path_at..]
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.url)
    }
}

/// One header: the name in lower case, the value as bytes (RFC 9110 allows obs-text).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// Lower-case field name.
    pub name: String,
    /// Field value, vetted: no CR, LF or NUL.
    pub value: String,
}

impl fmt::Debug for Header {
    /// Values may be credentials, so only the name is shown.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: ***", self.name)
    }
}

/// A vetted webhook, ready to be sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// HTTP method.
    pub method: Method,
    /// Where it goes.
    pub target: Target,
    /// Headers as given, with `content-type` inferred and Basic credentials of the URL added.
    pub headers: Vec<Header>,
    /// The body, byte for byte as accepted.
    pub body: Bytes,
    /// Names of the secrets that the trigger chose: of `[secrets]` in the config, or stored ones.
    pub secret_refs: Vec<String>,
}

impl Webhook {
    /// Bytes that holding this webhook in memory costs, about.
    pub fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|header| header.name.len() + header.value.len() + 48).sum();
        self.body.len() + self.target.url.len() + headers + 160
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_str();
        write!(formatter, "{method} {} ({} bytes)", self.target.as_str(), self.body.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_taken_apart() {
        let target = Target::from_vetted("https://Shop.Example:8443/a?b=c").expect("vetted");
        assert_eq!(target.host().as_str(), "shop.example:8443");
        assert_eq!(target.authority(), "shop.example:8443");
        assert_eq!(target.path_and_query(), "/a?b=c");
        assert_eq!((target.scheme(), target.port()), (Scheme::Https, 8443));
        let plain = Target::from_vetted("http://[::1]:80/").expect("vetted");
        assert_eq!((plain.host().as_str(), plain.port()), ("[::1]", 80));
    }

    #[test]
    fn an_unvetted_url_is_no_target() {
        for url in ["ftp://a/", "http://u:p@a/", "http://a/#f", "mailto:a@b", "/a"] {
            assert!(Target::from_vetted(url).is_none(), "{url}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let header = Header { name: "authorization".into(), value: "Bearer s3cret".into() };
        assert_eq!(format!("{header:?}"), "authorization: ***");
    }
}
