//! The kinds of values that keys take: what each accepts, how it is set and how it is shown.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use toml::Value;

use super::egress::{self, HostList, Proxy, ProxyDns, Source};
use super::front::{client_auth, nets, origins};
use super::seeing::endpoint;
use super::units::{parse_duration, parse_size, show_duration, show_size};
use super::{ClientAuth, LogFormat, Roots, StoreKind, VaultKey, alerts};
use crate::model::{AlertKind, HostName};

/// Says of an optional value that there is none, also where the general rules set one.
pub(super) const NONE: &str = "none";

/// A whole number of some width.
pub(super) trait Whole {
    fn get(&self) -> u64;
    /// The caller has checked the range, which fits the width.
    fn put(&mut self, value: u64);
}

impl Whole for u8 {
    fn get(&self) -> u64 {
        u64::from(*self)
    }
    fn put(&mut self, value: u64) {
        *self = u8::try_from(value).expect("ranges of u8 keys end below 2^8");
    }
}

impl Whole for u32 {
    fn get(&self) -> u64 {
        u64::from(*self)
    }
    fn put(&mut self, value: u64) {
        *self = u32::try_from(value).expect("ranges of u32 keys end below 2^32");
    }
}

impl Whole for u64 {
    fn get(&self) -> u64 {
        *self
    }
    fn put(&mut self, value: u64) {
        *self = value;
    }
}

impl Whole for usize {
    fn get(&self) -> u64 {
        *self as u64
    }
    fn put(&mut self, value: u64) {
        *self = usize::try_from(value).expect("this runs on 64-bit machines");
    }
}

/// The place of one value in the settings, with the range of what it takes.
pub(super) enum Slot<'a> {
    Duration(&'a mut Duration, Duration, Duration),
    Size(&'a mut usize, u64, u64),
    Whole(&'a mut dyn Whole, u64, u64),
    Number(&'a mut f64, f64, f64),
    /// More than 0, up to this.
    Rate(&'a mut Option<f64>, f64),
    MaybeWhole(&'a mut Option<u32>, u32, u32),
    Switch(&'a mut bool),
    Listen(&'a mut SocketAddr),
    MaybeListen(&'a mut Option<SocketAddr>),
    MaybePath(&'a mut Option<PathBuf>),
    ClientAuth(&'a mut ClientAuth),
    Nets(&'a mut Vec<IpNet>),
    /// Scheme, host and port of web pages.
    Origins(&'a mut Vec<String>),
    Path(&'a mut PathBuf),
    Kind(&'a mut StoreKind),
    Roots(&'a mut Roots),
    UserAgent(&'a mut String),
    Level(&'a mut String),
    Format(&'a mut LogFormat),
    Ports(&'a mut Vec<u16>),
    Allow(&'a mut Vec<IpNet>, &'a mut Vec<String>),
    Hosts(&'a mut Vec<String>),
    HostList(&'a mut HostList),
    Proxy(&'a mut Option<Proxy>),
    ProxyDns(&'a mut ProxyDns),
    Source(&'a mut Option<Source>),
    NameServers(&'a mut Vec<SocketAddr>),
    SecretName(&'a mut Option<String>),
    /// The path of a file, or none.
    File(&'a mut Option<PathBuf>),
    VaultKey(&'a mut Option<VaultKey>),
    VaultKeys(&'a mut Vec<VaultKey>),
    /// Where alerts are sent, or none.
    AlertUrl(&'a mut Option<String>),
    AlertKinds(&'a mut Vec<AlertKind>),
    /// The base URL of a collector of traces, or none.
    Endpoint(&'a mut Option<String>),
    /// Known, but of no use in this version: what is wrong and what to do instead.
    Unavailable(&'static str, &'static str),
}

impl Slot<'_> {
    /// What would be right, as an imperative.
    pub(super) fn wants(&self) -> String {
        match self {
            Slot::Duration(_, min, max) => {
                let (min, max) = (show_duration(*min), show_duration(*max));
                format!(
                    "write a duration from \"{min}\" to \"{max}\", such as \"90s\" or \"1h30m\""
                )
            }
            Slot::Size(_, min, max) => {
                let (min, max) = (show_size(*min), show_size(*max));
                format!("write a size from \"{min}\" to \"{max}\", such as \"64MiB\"")
            }
            Slot::Whole(_, min, max) => format!("write a whole number from {min} to {max}"),
            Slot::Number(_, min, max) => format!("write a number from {min} to {max}"),
            Slot::Rate(_, max) => {
                format!("write a number above 0 and up to {max}, or \"{NONE}\"")
            }
            Slot::MaybeWhole(_, min, max) => {
                format!("write a whole number from {min} to {max}, or \"{NONE}\"")
            }
            Slot::Switch(_) => "write true or false".into(),
            Slot::Listen(_) => {
                "write an IP address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\""
                    .into()
            }
            Slot::MaybeListen(_) => {
                format!("write an IP address and a port, such as \"127.0.0.1:9090\", or \"{NONE}\"")
            }
            Slot::MaybePath(_) => format!("write the path of a PEM file, or \"{NONE}\""),
            Slot::ClientAuth(_) => "write \"none\", \"optional\" or \"required\"".into(),
            Slot::Nets(_) => "write a list of networks, such as [\"10.0.0.0/8\"]".into(),
            Slot::Origins(_) => {
                "write a list of origins, such as [\"https://tools.shop.example\"]".into()
            }
            Slot::Path(_) => "write the path of a directory, such as \"data\"".into(),
            Slot::Kind(_) => "write \"embedded\" or \"memory\"".into(),
            Slot::Roots(_) => "write \"platform\" or the path of a PEM file".into(),
            Slot::UserAgent(_) => "write 1 to 256 printable ASCII characters".into(),
            Slot::Level(_) => {
                "write off, error, warn, info, debug or trace, alone or as a list with targets, \
                 such as \"info,hostline::delivery=debug\""
                    .into()
            }
            Slot::Format(_) => "write \"text\" or \"json\"".into(),
            Slot::Ports(_) => "write a list of ports from 1 to 65535, such as [80, 443]".into(),
            Slot::Allow(..) => "write a list of networks and host names, such as \
                                [\"127.0.0.0/8\", \"hooks.internal\"]"
                .into(),
            Slot::Hosts(_) => "write a list of hosts, with their port where it is not the \
                               scheme's default, such as [\"hooks.internal:8080\"]"
                .into(),
            Slot::HostList(_) => "write a list of networks, host names and suffixes, such as \
                                  [\"192.0.2.0/24\", \"*.example\"]"
                .into(),
            Slot::Proxy(_) => format!(
                "write \"http://USER:PASSWORD@HOST:PORT\", the same with socks5 or socks5h, or \
                 \"{NONE}\""
            ),
            Slot::ProxyDns(_) => "write \"local\" or \"remote\"".into(),
            Slot::Source(_) => format!(
                "write one address of this machine for each family, such as [\"192.0.2.1\", \
                 \"2001:db8::1\"], or \"{NONE}\""
            ),
            Slot::NameServers(_) => {
                "write addresses, such as [\"192.0.2.53\", \"127.0.0.1:5353\"], or \"system\""
                    .into()
            }
            Slot::SecretName(_) => {
                format!("write the name of an entry of [secrets], or \"{NONE}\"")
            }
            Slot::AlertUrl(_) => format!("write a URL of http or https, or \"{NONE}\""),
            Slot::AlertKinds(_) => alerts::wants_kinds(),
            Slot::File(_) => format!("write the path of a file, or \"{NONE}\""),
            Slot::VaultKey(_) => {
                format!("write what `hostline secrets new-key` prints, or \"{NONE}\"")
            }
            Slot::VaultKeys(_) => "write a list of keys that `vault.key` was before".into(),
            Slot::Endpoint(_) => {
                format!("write a URL such as \"http://127.0.0.1:4318\", or \"{NONE}\"")
            }
            Slot::Unavailable(_, right) => (*right).into(),
        }
    }

    /// Takes a value over; the error says what is wrong with it.
    pub(super) fn set(self, value: &Value) -> Result<(), String> {
        match self {
            Slot::Duration(place, min, max) => {
                let text = unit_text(value)?;
                let duration = parse_duration(text).map_err(|why| format!("= {value} {why}"))?;
                *place = within(duration, min, max, value)?;
            }
            Slot::Size(place, min, max) => {
                let text = unit_text(value)?;
                let bytes = parse_size(text).map_err(|why| format!("= {value} {why}"))?;
                place.put(within(bytes, min, max, value)?);
            }
            Slot::Whole(place, min, max) => place.put(whole(value, min, max)?),
            Slot::Number(place, min, max) => *place = within(number(value)?, min, max, value)?,
            Slot::Rate(place, _) if is_none(value) => *place = None,
            Slot::Rate(place, max) => {
                *place = Some(within(number(value)?, f64::MIN_POSITIVE, max, value)?);
            }
            Slot::MaybeWhole(place, ..) if is_none(value) => *place = None,
            Slot::MaybeWhole(place, min, max) => {
                let mut number = 0;
                number.put(whole(value, u64::from(min), u64::from(max))?);
                *place = Some(number);
            }
            Slot::Switch(place) => {
                *place = value.as_bool().ok_or_else(|| unfit(value, "a switch"))?;
            }
            Slot::Listen(place) => {
                let refuse = |_| format!("= {value} is not an address with a port");
                *place = text(value)?.parse().map_err(refuse)?;
            }
            Slot::MaybeListen(place) if is_none(value) => *place = None,
            Slot::MaybeListen(place) => {
                let refuse = |_| format!("= {value} is not an address with a port");
                *place = Some(text(value)?.parse().map_err(refuse)?);
            }
            Slot::MaybePath(place) if is_none(value) => *place = None,
            Slot::MaybePath(place) => *place = Some(path(value)?),
            Slot::ClientAuth(place) => *place = client_auth(value)?,
            Slot::Nets(place) => *place = nets(value)?,
            Slot::Origins(place) => *place = origins(value)?,
            Slot::Path(place) => *place = path(value)?,
            Slot::Kind(place) => *place = store_kind(value)?,
            Slot::Roots(place) => {
                let path = path(value)?;
                let is_platform = path.as_os_str() == "platform";
                *place = if is_platform { Roots::Platform } else { Roots::File(path) };
            }
            Slot::UserAgent(place) => *place = user_agent(value)?,
            Slot::Level(place) => *place = level(value)?,
            Slot::Format(place) => {
                *place = match text(value)? {
                    "text" => LogFormat::Text,
                    "json" => LogFormat::Json,
                    _ => return Err(format!("= {value} is not a format")),
                };
            }
            Slot::Ports(place) => *place = ports(value)?,
            Slot::Allow(nets, hosts) => (*nets, *hosts) = allow(value)?,
            Slot::Hosts(place) => *place = hosts(value)?,
            Slot::HostList(place) => *place = egress::host_list(value)?,
            Slot::Proxy(place) => *place = egress::proxy(value)?,
            Slot::ProxyDns(place) => *place = egress::proxy_dns(value)?,
            Slot::Source(place) => *place = egress::source(value)?,
            Slot::NameServers(place) => *place = egress::name_servers(value)?,
            Slot::SecretName(place) => *place = secret_name(value)?,
            Slot::AlertUrl(place) => *place = alerts::url(value)?,
            Slot::AlertKinds(place) => *place = alerts::kinds(value)?,
            Slot::File(place) if is_none(value) => *place = None,
            Slot::File(place) => *place = Some(path(value)?),
            Slot::VaultKey(place) if is_none(value) => *place = None,
            Slot::VaultKey(place) => *place = Some(vault_key(value)?),
            Slot::VaultKeys(place) => {
                let items = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
                *place = items.iter().map(vault_key).collect::<Result<_, _>>()?;
            }
            Slot::Endpoint(place) if is_none(value) => *place = None,
            Slot::Endpoint(place) => *place = Some(endpoint(value)?),
            Slot::Unavailable(wrong, _) => return Err(wrong.into()),
        }
        Ok(())
    }

    /// The value as it would be written; `None` for what is not available.
    pub(super) fn show(&self) -> Option<Value> {
        Some(match self {
            Slot::Duration(place, ..) => Value::String(show_duration(**place)),
            Slot::Size(place, ..) => Value::String(show_size(place.get())),
            Slot::Whole(place, ..) => integer(place.get()),
            Slot::Number(place, ..) => Value::Float(**place),
            Slot::Rate(place, _) => place.map_or(NONE.into(), Value::Float),
            Slot::MaybeWhole(place, ..) => place.map_or(NONE.into(), Value::from),
            Slot::Switch(place) => Value::Boolean(**place),
            Slot::Listen(place) => place.to_string().into(),
            Slot::MaybeListen(place) => place.map_or(NONE.into(), |at| at.to_string().into()),
            Slot::MaybePath(place) => {
                place.as_ref().map_or(NONE.into(), |path| path.display().to_string().into())
            }
            Slot::ClientAuth(ClientAuth::None) => NONE.into(),
            Slot::ClientAuth(ClientAuth::Optional) => "optional".into(),
            Slot::ClientAuth(ClientAuth::Required) => "required".into(),
            Slot::Nets(nets) => {
                Value::Array(nets.iter().map(|net| Value::from(net.to_string())).collect())
            }
            Slot::Path(place) => place.display().to_string().into(),
            Slot::Kind(StoreKind::Embedded) => "embedded".into(),
            Slot::Kind(StoreKind::Memory) => "memory".into(),
            Slot::Roots(Roots::Platform) => "platform".into(),
            Slot::Roots(Roots::File(path)) => path.display().to_string().into(),
            Slot::UserAgent(place) | Slot::Level(place) => place.as_str().into(),
            Slot::Format(LogFormat::Text) => "text".into(),
            Slot::Format(LogFormat::Json) => "json".into(),
            Slot::Ports(place) => {
                Value::Array(place.iter().map(|port| Value::from(u32::from(*port))).collect())
            }
            Slot::Hosts(hosts) | Slot::Origins(hosts) => {
                Value::Array(hosts.iter().map(|host| Value::from(host.as_str())).collect())
            }
            Slot::Allow(nets, hosts) => {
                let nets = nets.iter().map(ToString::to_string);
                Value::Array(nets.chain(hosts.iter().cloned()).map(Value::String).collect())
            }
            Slot::HostList(place) => egress::show_host_list(place),
            Slot::Proxy(place) => {
                place.as_ref().map_or(NONE.into(), |proxy| proxy.to_string().into())
            }
            Slot::ProxyDns(ProxyDns::Local) => "local".into(),
            Slot::ProxyDns(ProxyDns::Remote) => "remote".into(),
            Slot::Source(place) => egress::show_source(**place),
            Slot::NameServers(place) => egress::show_name_servers(place),
            Slot::SecretName(place) | Slot::Endpoint(place) | Slot::AlertUrl(place) => {
                place.as_deref().unwrap_or(NONE).into()
            }
            Slot::AlertKinds(place) => alerts::show_kinds(place),
            Slot::File(place) => {
                place.as_ref().map_or(NONE.into(), |path| path.display().to_string().into())
            }
            Slot::VaultKey(place) => if place.is_some() { "***" } else { NONE }.into(),
            Slot::VaultKeys(place) => Value::Array(vec!["***".into(); place.len()]),
            Slot::Unavailable(..) => return None,
        })
    }
}

fn integer(number: u64) -> Value {
    // No range reaches beyond i64.
    Value::Integer(i64::try_from(number).unwrap_or(i64::MAX))
}

pub(super) fn is_none(value: &Value) -> bool {
    value.as_str() == Some(NONE)
}

/// What to say of a value of the wrong type.
pub(super) fn unfit(value: &Value, wanted: &str) -> String {
    format!("= {value} is of type {}, not {wanted}", value.type_str())
}

pub(super) fn text(value: &Value) -> Result<&str, String> {
    value.as_str().ok_or_else(|| unfit(value, "a string"))
}

/// The text of a value that needs a unit; a number gets told why it is refused.
fn unit_text(value: &Value) -> Result<&str, String> {
    match value {
        Value::Integer(_) | Value::Float(_) => Err(format!("= {value} has no unit")),
        _ => text(value),
    }
}

fn within<T: PartialOrd>(found: T, min: T, max: T, value: &Value) -> Result<T, String> {
    // Written so that NaN is refused.
    if found >= min && found <= max { Ok(found) } else { Err(format!("= {value} is out of range")) }
}

fn whole(value: &Value, min: u64, max: u64) -> Result<u64, String> {
    let number = value.as_integer().ok_or_else(|| unfit(value, "a whole number"))?;
    let number = u64::try_from(number).map_err(|_| format!("= {value} is out of range"))?;
    within(number, min, max, value)
}

/// A person may leave the `.0` off.
fn number(value: &Value) -> Result<f64, String> {
    match value {
        Value::Integer(number) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        _ => Err(unfit(value, "a number")),
    }
}

fn path(value: &Value) -> Result<PathBuf, String> {
    let path = text(value)?;
    if path.is_empty() || path.contains('\0') {
        return Err(format!("= {value} is no path"));
    }
    Ok(path.into())
}

fn store_kind(value: &Value) -> Result<StoreKind, String> {
    match text(value)? {
        "embedded" => Ok(StoreKind::Embedded),
        "memory" => Ok(StoreKind::Memory),
        "postgres" => Err("= \"postgres\" is not available in this version".into()),
        _ => Err(format!("= {value} is not a kind of store")),
    }
}

fn user_agent(value: &Value) -> Result<String, String> {
    let agent = text(value)?;
    let printable = agent.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
    if agent.trim().is_empty() || agent.len() > 256 || !printable {
        return Err(format!("= {value} cannot be a header"));
    }
    Ok(agent.into())
}

/// Stricter than the logger itself, which takes a misspelt level for the name of a module and then
/// logs nothing else.
fn level(value: &Value) -> Result<String, String> {
    let filter = text(value)?;
    let known = |level: &str| level.parse::<log::LevelFilter>().is_ok();
    for directive in filter.split(',') {
        let level = directive.rsplit('=').next().unwrap_or(directive).trim();
        if !known(level) {
            return Err(format!("= {value} has the unknown level `{level}`"));
        }
    }
    Ok(filter.into())
}

fn ports(value: &Value) -> Result<Vec<u16>, String> {
    let items = value.as_array().ok_or_else(|| unfit(value, "a list"))?;
    let mut ports = Vec::with_capacity(items.len());
    for item in items {
        let port = item.as_integer().and_then(|port| u16::try_from(port).ok());
        match port {
            Some(port) if port > 0 => ports.push(port),
            _ => return Err(format!("has {item}, which is no port")),
        }
    }
    Ok(ports)
}

fn allow(value: &Value) -> Result<(Vec<IpNet>, Vec<String>), String> {
    let items = value.as_array().ok_or_else(|| unfit(value, "a list"))?;
    let (mut nets, mut hosts) = (Vec::new(), Vec::new());
    for item in items {
        let text = item.as_str().ok_or_else(|| format!("has {item}, which is not a string"))?;
        if let Ok(net) = text.parse::<IpNet>() {
            nets.push(net.trunc());
            continue;
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            nets.push(address.into());
            continue;
        }
        let name = HostName::parse(text).filter(|_| !text.contains(['*', ' ', '\\']));
        let name = name.ok_or_else(|| format!("has {item}, neither network nor host name"))?;
        if name.without_port() != name.as_str() {
            return Err(format!("has {item} with a port, but ports are ruled by sender.ports"));
        }
        // Also `[::1]` and the odd ways of writing IPv4 that a URL allows (`127.1`).
        match name.as_str().trim_matches(['[', ']']).parse::<IpAddr>() {
            Ok(address) => nets.push(address.into()),
            Err(_) => hosts.push(name.as_str().into()),
        }
    }
    Ok((nets, hosts))
}

fn hosts(value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().ok_or_else(|| unfit(value, "a list"))?;
    let host = |item: &Value| {
        let text = item.as_str().ok_or_else(|| format!("has {item}, which is not a string"))?;
        let name = HostName::parse(text).filter(|_| !text.contains(['*', ' ', '\\']));
        let name = name.ok_or_else(|| format!("has {item}, which is not a host"))?;
        Ok(name.as_str().to_owned())
    };
    items.iter().map(host).collect()
}

/// Whoever confuses name and secret writes the secret here, so the value is never repeated.
fn secret_name(value: &Value) -> Result<Option<String>, String> {
    let name = value.as_str().ok_or("is not a string")?;
    if name == NONE {
        return Ok(None);
    }
    if is_secret_text(name) {
        return Err("holds a secret itself, which belongs in [secrets]".into());
    }
    if !is_name(name) {
        return Err("is not a name (letters, digits, `-` and `_`, at most 64)".into());
    }
    Ok(Some(name.into()))
}

/// Never repeats any part of the value.
fn vault_key(value: &Value) -> Result<VaultKey, String> {
    VaultKey::parse(value.as_str().ok_or("is not a string")?).map_err(str::to_owned)
}

/// Whether a secret may be called that.
pub fn is_name(name: &str) -> bool {
    let sign = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=64).contains(&name.len()) && name.bytes().all(sign) && !is_secret_text(name)
}

/// Whether it looks like a secret itself.
fn is_secret_text(text: &str) -> bool {
    ["whsec_", "whsk_"].iter().any(|prefix| text.starts_with(prefix))
}
