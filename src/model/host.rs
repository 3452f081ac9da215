//! A destination host: the unit that has an actor, a budget and a queue.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use xxhash_rust::xxh3::xxh3_64;

use super::id::SHARDS;
use super::time::Timestamp;

/// A host's name: lower-case ASCII host of the URL (IDNA as punycode, no trailing dot), plus
/// `:port` when the port is not the scheme's default. IPv6 literals keep their brackets.
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

impl HostName {
    /// Takes a name that is normalised already (from a parsed URL or from the store).
    pub fn from_normalised(name: &str) -> Self {
        Self(name.into())
    }

    /// Reads a name that a person wrote (`Shop.Example:8443`); `None` when it is no host name.
    pub fn parse(text: &str) -> Option<Self> {
        // The URL parser takes tabs and line breaks away, wherever they are.
        (!text.contains(char::is_whitespace)).then_some(())?;
        let url = url::Url::parse(&format!("http://{text}/")).ok()?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        (bare && anonymous && !text.contains('/')).then_some(())?;
        // ":80" and ":443" are a scheme's default and never part of a name.
        let port = url.port().filter(|port| *port != 443);
        Some(Self::from_parts(url.host_str()?, port)).filter(Self::is_well_formed)
    }

    /// Whether no label of the name is empty: `a..` and `.` pass for hosts in URLs, but no resolver
    /// knows them, and a dot less would be another host.
    pub fn is_well_formed(&self) -> bool {
        self.without_port().split('.').all(|label| !label.is_empty())
    }

    /// Joins a host as the `url` crate writes it and a port that is not the scheme's default.
    pub fn from_parts(host: &str, port: Option<u16>) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        match port {
            Some(port) => Self(format!("{host}:{port}").into()),
            None => Self(host.into()),
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its port.
    pub fn without_port(&self) -> &str {
        match self.0.rfind(':') {
            Some(colon) if !self.0[colon..].contains(']') => &self.0[..colon],
            _ => &self.0,
        }
    }

    /// The shard that owns the host: XXH3-64 of the name's bytes with seed 0, modulo 1,024.
    /// Fixed for ever, since it is part of every stored id.
    pub fn shard(&self) -> u32 {
        (xxh3_64(self.0.as_bytes()) % u64::from(SHARDS)) as u32
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for HostName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl Serialize for HostName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for HostName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        HostName::parse(&text).ok_or_else(|| serde::de::Error::custom("not the name of a host"))
    }
}

/// What an operator asked of a host; kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HostControls {
    /// No send starts while paused.
    #[serde(default)]
    pub paused: bool,
    /// Why it was paused, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused_at: Option<Timestamp>,
    /// What is queued goes out, new triggers are refused.
    #[serde(default)]
    pub draining: bool,
    /// Settings of this host that an operator changed over the API; they win over the config.
    #[serde(default)]
    pub policy: PolicyOverrides,
}

/// The settings that `PATCH /v1/hosts/{host}` may change; an absent field leaves the config's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PolicyOverrides {
    /// Static limits.
    #[serde(default)]
    pub limits: LimitOverrides,
}

/// Static limits that an operator set by hand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitOverrides {
    /// Requests a second; more than 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// Requests that may go at once after a pause; 1 or more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Requests in flight; 1 to 10,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_flight: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_pinned() {
        // Vectors of XXH3-64 with seed 0: changing one would send stored work to other shards.
        let pinned =
            [("", 194), ("example.com", 883), ("shop.example:8443", 847), ("[::1]:8080", 65)];
        for (name, shard) in pinned {
            assert_eq!(HostName::from_normalised(name).shard(), shard, "{name}");
        }
    }

    #[test]
    fn names_are_normalised() {
        let parse = |text| HostName::parse(text).map(|name| name.to_string());
        assert_eq!(parse("Shop.Example."), Some("shop.example".into()));
        assert_eq!(parse("shop.example:8443"), Some("shop.example:8443".into()));
        assert_eq!(parse("shop.example:443"), Some("shop.example".into()));
        assert_eq!(parse("bücher.example"), Some("xn--bcher-kva.example".into()));
        assert_eq!(parse("[::1]:8080"), Some("[::1]:8080".into()));
        assert_eq!(parse("a/b"), None);
        assert_eq!(parse("shop.example.."), None);
        assert_eq!(parse("."), None);
        assert_eq!(parse("user@a"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_port_is_split_off_and_brackets_stay() {
        assert_eq!(HostName::from_normalised("a:80").without_port(), "a");
        assert_eq!(HostName::from_normalised("[::1]").without_port(), "[::1]");
        assert_eq!(HostName::from_normalised("[::1]:81").without_port(), "[::1]");
    }
}
