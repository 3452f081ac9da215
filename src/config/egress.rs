//! How requests leave the house: lists of networks and hosts, proxies, source addresses, name
//! servers. What is written in a proxy's URL is a secret in part, so no error repeats it.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;
use toml::Value;

use super::Hidden;
use super::slot::{NONE, is_none, unfit};
use crate::model::pattern;

/// Port of a name server that none is given for.
const DNS_PORT: u16 = 53;
/// What `sender.name_servers` says where the system's are asked.
const SYSTEM: &str = "system";
/// Bytes of a user name and of a password: more do not fit into SOCKS5 (RFC 1929).
const CREDENTIAL_MAX: usize = 255;

/// Networks, and patterns of host names (`model::pattern`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostList {
    /// Networks.
    pub nets: Vec<IpNet>,
    /// Names or `*.suffix`, without ports.
    pub hosts: Vec<String>,
}

/// What a proxy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyScheme {
    /// HTTP `CONNECT` (RFC 9110).
    Http,
    /// SOCKS5 (RFC 1928), which is told addresses.
    Socks5,
    /// SOCKS5, which is told names.
    Socks5h,
}

/// A proxy that all requests go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    /// What it speaks.
    pub scheme: ProxyScheme,
    /// Its host as a URL has it, lower case, IPv6 in brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What it is told of who we are.
    pub credentials: Option<(String, Hidden)>,
}

/// Who looks up the names of hosts that are reached through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyDns {
    /// We do, so that the address guard judges what the proxy is asked for.
    Local,
    /// The proxy does, and has to guard its network itself.
    Remote,
}

/// Addresses of this machine that connections come from; a family without one is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// For IPv4.
    pub v4: Option<Ipv4Addr>,
    /// For IPv6.
    pub v6: Option<Ipv6Addr>,
}

impl HostList {
    /// Whether it lists nothing.
    pub fn is_empty(&self) -> bool {
        self.nets.is_empty() && self.hosts.is_empty()
    }

    /// Whether an address is in one of the networks, as itself or as the IPv6 form of it.
    pub fn has_address(&self, ip: IpAddr) -> bool {
        let mapped = match ip {
            IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
            IpAddr::V6(_) => ip.to_canonical(),
        };
        self.nets.iter().any(|net| net.contains(&ip) || net.contains(&mapped))
    }
}

impl Proxy {
    /// Whether the proxy looks names up, by its own scheme or by `sender.proxy_dns`.
    pub fn resolves(&self, setting: ProxyDns) -> bool {
        self.scheme == ProxyScheme::Socks5h || setting == ProxyDns::Remote
    }
}

impl fmt::Display for Proxy {
    /// The URL, its password masked.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            ProxyScheme::Http => "http",
            ProxyScheme::Socks5 => "socks5",
            ProxyScheme::Socks5h => "socks5h",
        };
        write!(formatter, "{scheme}://")?;
        if let Some((user, _)) = &self.credentials {
            write!(formatter, "{user}:***@")?;
        }
        write!(formatter, "{}:{}", self.host, self.port)
    }
}

pub(super) fn host_list(value: &Value) -> Result<HostList, String> {
    let mut list = HostList::default();
    for item in value.as_array().ok_or_else(|| unfit(value, "a list"))? {
        let text = item.as_str().ok_or_else(|| format!("has {item}, which is not a string"))?;
        if let Ok(net) = text.parse::<IpNet>() {
            list.nets.push(net.trunc());
            continue;
        }
        let kept = pattern::parse(text).map_err(|why| format!("has {item}, which {why}"))?;
        match kept.parse::<IpAddr>() {
            Ok(address) => list.nets.push(address.into()),
            Err(_) => list.hosts.push(kept),
        }
    }
    Ok(list)
}

pub(super) fn show_host_list(list: &HostList) -> Value {
    let nets = list.nets.iter().map(ToString::to_string);
    Value::Array(nets.chain(list.hosts.iter().cloned()).map(Value::String).collect())
}

/// Never repeats the value: it may hold a password.
pub(super) fn proxy(value: &Value) -> Result<Option<Proxy>, String> {
    let text = value.as_str().ok_or("is not a string")?;
    if text == NONE {
        return Ok(None);
    }
    let (scheme, rest) = text.split_once("://").ok_or("is not a URL")?;
    let (scheme, usual) = match scheme {
        "http" => (ProxyScheme::Http, 3128),
        "socks5" => (ProxyScheme::Socks5, 1080),
        "socks5h" => (ProxyScheme::Socks5h, 1080),
        "https" => return Err("is a proxy over TLS, which is not available".into()),
        _ => return Err("has an unknown scheme".into()),
    };
    // The url crate only knows hosts and userinfo as we want them under a scheme of the web.
    let url = url::Url::parse(&format!("http://{rest}")).map_err(|_| "is not a URL")?;
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    if !bare {
        return Err("has more after its host and port".into());
    }
    let host = url.host_str().ok_or("has no host")?.to_owned();
    // Port 80 is the default of the scheme above and would get lost.
    let named_80 = rest.trim_end_matches('/').ends_with(":80");
    let port = url.port().unwrap_or(if named_80 { 80 } else { usual });
    if port == 0 {
        return Err("has port 0".into());
    }
    let credentials = match (url.username(), url.password()) {
        ("", None) => None,
        (user, password) => Some(credentials(user, password.unwrap_or_default())?),
    };
    Ok(Some(Proxy { scheme, host, port, credentials }))
}

fn credentials(user: &str, password: &str) -> Result<(String, Hidden), String> {
    let user = String::from_utf8(percent_decode(user)).map_err(|_| "has a user of no UTF-8")?;
    let password = percent_decode(password);
    if user.contains(':') || user.chars().any(char::is_control) {
        return Err("has a user with a colon or a control character".into());
    }
    let fits = |length: usize| (1..=CREDENTIAL_MAX).contains(&length);
    if !fits(user.len()) || !fits(password.len()) {
        return Err("has a user or a password of other than 1 to 255 bytes".into());
    }
    let password = String::from_utf8(password).map_err(|_| "has a password of no UTF-8")?;
    Ok((user, Hidden::new(password)))
}

/// The bytes that a percent-encoded text stands for; what is no escape stays as it is.
pub(crate) fn percent_decode(text: &str) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let pair = tail.get(..2).filter(|pair| *first == b'%' && is_hex(pair));
        let pair = pair.and_then(|pair| std::str::from_utf8(pair).ok());
        match pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &tail[2..];
            }
            None => {
                decoded.push(*first);
                rest = tail;
            }
        }
    }
    decoded
}

fn is_hex(digits: &[u8]) -> bool {
    digits.iter().all(u8::is_ascii_hexdigit)
}

pub(super) fn proxy_dns(value: &Value) -> Result<ProxyDns, String> {
    match value.as_str() {
        Some("local") => Ok(ProxyDns::Local),
        Some("remote") => Ok(ProxyDns::Remote),
        _ => Err(format!("= {value} is neither")),
    }
}

pub(super) fn source(value: &Value) -> Result<Option<Source>, String> {
    if is_none(value) {
        return Ok(None);
    }
    let mut source = Source { v4: None, v6: None };
    for item in one_or_more(value)? {
        let ip = item.as_str().and_then(|text| text.parse::<IpAddr>().ok());
        let before = match ip.map(|ip| ip.to_canonical()) {
            Some(ip) if ip.is_unspecified() || ip.is_multicast() => {
                return Err(format!("has {item}, which no connection can come from"));
            }
            Some(IpAddr::V4(v4)) => source.v4.replace(v4).is_some(),
            Some(IpAddr::V6(v6)) => source.v6.replace(v6).is_some(),
            None => return Err(format!("has {item}, which is no address")),
        };
        if before {
            return Err(format!("has {item}, the second address of its family"));
        }
    }
    Ok(Some(source))
}

pub(super) fn show_source(source: Option<Source>) -> Value {
    let Some(source) = source else { return NONE.into() };
    let (v4, v6) = (source.v4.map(IpAddr::V4), source.v6.map(IpAddr::V6));
    let all = [v4, v6].into_iter().flatten();
    Value::Array(all.map(|ip| Value::String(ip.to_string())).collect())
}

/// Empty means those of the system.
pub(super) fn name_servers(value: &Value) -> Result<Vec<SocketAddr>, String> {
    if value.as_str() == Some(SYSTEM) {
        return Ok(Vec::new());
    }
    let read = |item: &Value| {
        let text = item.as_str().unwrap_or_default();
        let alone = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, DNS_PORT));
        let server = alone.or_else(|_| text.parse::<SocketAddr>());
        server.map_err(|_| format!("has {item}, which is no address"))
    };
    one_or_more(value)?.iter().map(read).collect()
}

pub(super) fn show_name_servers(servers: &[SocketAddr]) -> Value {
    match servers {
        [] => SYSTEM.into(),
        all => Value::Array(all.iter().map(|one| Value::String(one.to_string())).collect()),
    }
}

fn one_or_more(value: &Value) -> Result<&[Value], String> {
    match value {
        Value::Array(items) if items.is_empty() => Err("is an empty list".into()),
        Value::Array(items) => Ok(items),
        Value::String(_) => Ok(std::slice::from_ref(value)),
        _ => Err(unfit(value, "a list")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Proxy>, String> {
        proxy(&Value::String(text.into()))
    }

    #[test]
    fn a_proxy_is_read_and_shown_without_its_password() {
        for (text, shown) in [
            ("http://Proxy.Internal", "http://proxy.internal:3128"),
            ("http://proxy.internal:80", "http://proxy.internal:80"),
            ("http://u%40x:p%3Aw@10.0.0.9:8888/", "http://u@x:***@10.0.0.9:8888"),
            ("socks5://[::1]", "socks5://[::1]:1080"),
            ("socks5h://u:p@a:9", "socks5h://u:***@a:9"),
        ] {
            let read = read(text).expect(text).expect("a proxy");
            assert_eq!(read.to_string(), shown);
        }
        let with = read("http://u:p%3Aw@a:1").expect("valid").expect("a proxy");
        let (user, password) = with.credentials.clone().expect("credentials");
        assert_eq!((user.as_str(), password.reveal()), ("u", "p:w"));
        assert!(!format!("{with:?}").contains("p:w"));
        assert_eq!(read("none"), Ok(None));
    }

    #[test]
    fn a_wrong_proxy_is_refused_without_being_repeated() {
        for text in [
            "proxy.internal:3128",
            "https://u:s3cret@proxy",
            "ftp://u:s3cret@proxy",
            "http://u:s3cret@proxy/path",
            "http://u:s3cret@proxy?x",
            "http://u:s3cret@proxy:0",
            "http://u:s3cret@",
            "http://:s3cret@proxy",
            "http://u%3Ax:s3cret@proxy",
            "http://u@proxy",
        ] {
            let wrong = read(text).expect_err(text);
            assert!(!wrong.contains("s3cret"), "{wrong}");
        }
    }

    #[test]
    fn sources_have_one_address_a_family() {
        let of = |items: &[&str]| {
            source(&Value::Array(items.iter().map(|item| Value::from(*item)).collect()))
        };
        let both = of(&["192.0.2.1", "2001:db8::1"]).expect("valid").expect("a source");
        assert_eq!(show_source(Some(both)).to_string(), r#"["192.0.2.1", "2001:db8::1"]"#);
        assert_eq!(source(&"none".into()), Ok(None));
        for wrong in [&["192.0.2.1", "192.0.2.2"][..], &["a"], &["0.0.0.0"], &["224.0.0.1"], &[]] {
            assert!(of(wrong).is_err(), "{wrong:?}");
        }
    }
}
