//! Which addresses a webhook may go to.
//!
//! Whoever may send a trigger chooses its URL, so without a guard anybody could make us call our
//! own network: loopback, private ranges, a cloud's metadata service. Only public addresses are
//! permitted, and what `sender.allow` names; nothing that `sender.deny` has, public or not. The
//! judgement is on the address that is connected to, never on the text of a URL.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use crate::config::HostList;

const METADATA: &str = "a cloud's metadata service";
const PRIVATE: &str = "a private network";
const LINK_LOCAL: &str = "link-local";
const DOCUMENTATION: &str = "for documentation only";
const RESERVED: &str = "reserved";
const DENIED: &str = "on the list `sender.deny`";

/// IPv4 that is not public, the narrower ranges first: the IANA special-purpose registry, and the
/// metadata services inside and outside of it.
const V4: &[([u8; 4], u32, &str)] = &[
    ([169, 254, 169, 254], 32, METADATA), // most clouds
    ([168, 63, 129, 16], 32, METADATA),   // Azure's wire server, a public address
    ([100, 100, 100, 200], 32, METADATA), // Alibaba Cloud
    ([192, 0, 0, 192], 32, METADATA),     // Oracle Cloud
    ([0, 0, 0, 0], 8, "this host"),
    ([10, 0, 0, 0], 8, PRIVATE),
    ([100, 64, 0, 0], 10, "a carrier's shared network"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([169, 254, 0, 0], 16, LINK_LOCAL),
    ([172, 16, 0, 0], 12, PRIVATE),
    ([192, 0, 0, 0], 24, "for protocol assignments"),
    ([192, 0, 2, 0], 24, DOCUMENTATION),
    ([192, 88, 99, 0], 24, "a 6to4 relay"),
    ([192, 168, 0, 0], 16, PRIVATE),
    ([198, 18, 0, 0], 15, "for benchmarks only"),
    ([198, 51, 100, 0], 24, DOCUMENTATION),
    ([203, 0, 113, 0], 24, DOCUMENTATION),
    ([224, 0, 0, 0], 4, "multicast"),
    ([255, 255, 255, 255], 32, "broadcast"),
    ([240, 0, 0, 0], 4, RESERVED),
];

/// IPv6 that is not public. What is outside 2000::/3 and not named here is refused as reserved.
const V6: &[([u16; 8], u32, &str)] = &[
    ([0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254], 128, METADATA), // AWS
    ([0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254], 128, METADATA),  // Google Cloud
    ([0, 0, 0, 0, 0, 0, 0, 0], 128, "unspecified"),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, "loopback"),
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local NAT64"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard-only"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 32, "Teredo"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "for protocol assignments"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, DOCUMENTATION),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, DOCUMENTATION),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "for segment routing"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, PRIVATE),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, LINK_LOCAL),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site-local"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
];

/// Says which addresses may be connected to.
#[derive(Clone, Debug, Default)]
pub struct AddressGuard {
    nets: Vec<IpNet>,
    hosts: Vec<String>,
    deny: HostList,
}

/// An address that may not be connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockedAddress {
    /// Which.
    pub ip: IpAddr,
    /// The IPv4 address inside it that is to blame.
    pub embedded: Option<Ipv4Addr>,
    /// What kind of address it is.
    pub why: &'static str,
}

impl AddressGuard {
    /// A guard that permits public addresses, these networks, and any address of these host names
    /// (lower case, without port).
    pub fn new(allow_nets: Vec<IpNet>, allow_hosts: Vec<String>) -> Self {
        Self { nets: allow_nets, hosts: allow_hosts, deny: HostList::default() }
    }

    /// The same guard, which refuses these networks whatever else permits them. What the list says
    /// of names is for `policy::destination`.
    pub fn denying(self, deny: HostList) -> Self {
        Self { deny, ..self }
    }

    /// Whether `ip`, to which `host_without_port` was resolved, may be connected to.
    pub fn permits(&self, host_without_port: &str, ip: IpAddr) -> Result<(), BlockedAddress> {
        self.vet_denied(ip)?;
        let name = host_without_port.strip_suffix('.').unwrap_or(host_without_port);
        if self.hosts.iter().any(|host| host.eq_ignore_ascii_case(name)) || self.allows(ip) {
            return Ok(());
        }
        match ip {
            IpAddr::V4(v4) => match v4_reason(v4) {
                Some(why) => Err(BlockedAddress { ip, embedded: None, why }),
                None => Ok(()),
            },
            IpAddr::V6(v6) => self.judge_v6(v6),
        }
    }

    /// An address is denied in every form that leads to it.
    fn vet_denied(&self, ip: IpAddr) -> Result<(), BlockedAddress> {
        let blocked = |embedded| Err(BlockedAddress { ip, embedded, why: DENIED });
        if self.deny.has_address(ip) {
            return blocked(None);
        }
        let IpAddr::V6(v6) = ip else { return Ok(()) };
        match embedded_v4(v6) {
            Some((v4, _)) if self.deny.has_address(v4.into()) => blocked(Some(v4)),
            _ => Ok(()),
        }
    }

    fn judge_v6(&self, v6: Ipv6Addr) -> Result<(), BlockedAddress> {
        let ip = IpAddr::V6(v6);
        let embedded = embedded_v4(v6);
        if let Some((v4, form)) = embedded {
            if self.allows(IpAddr::V4(v4)) {
                return Ok(());
            }
            if let Some(why) = v4_reason(v4) {
                return Err(BlockedAddress { ip, embedded: Some(v4), why });
            }
            if form == Form::Transparent {
                return Ok(());
            }
        }
        match v6_reason(v6) {
            Some(why) => Err(BlockedAddress { ip, embedded: None, why }),
            None => Ok(()),
        }
    }

    fn allows(&self, ip: IpAddr) -> bool {
        self.nets.iter().any(|net| net.contains(&ip))
    }
}

impl fmt::Display for BlockedAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, embedded, why } = self;
        write!(formatter, "address {ip} is blocked")?;
        match embedded {
            Some(v4) => write!(formatter, " ({v4} inside it is {why})")?,
            None => write!(formatter, " ({why})")?,
        }
        match *why {
            DENIED => Ok(()),
            _ => formatter.write_str("; add it to `sender.allow` to permit it"),
        }
    }
}

impl std::error::Error for BlockedAddress {}

/// How an IPv6 address carries an IPv4 one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// It is the IPv4 destination in another spelling, or a gateway sends it there.
    Transparent,
    /// The IPv6 address has a meaning of its own as well, and both must be permitted.
    Tunnel,
}

fn embedded_v4(v6: Ipv6Addr) -> Option<(Ipv4Addr, Form)> {
    let joined = |high: u16, low: u16| Ipv4Addr::from(u32::from(high) << 16 | u32::from(low));
    match v6.segments() {
        // mapped; translated (SIIT); NAT64
        [0, 0, 0, 0, 0, 0xffff, high, low]
        | [0, 0, 0, 0, 0xffff, 0, high, low]
        | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => Some((joined(high, low), Form::Transparent)),
        // 6to4
        [0x2002, high, low, ..] => Some((joined(high, low), Form::Transparent)),
        // Teredo hides the client's address by inverting it
        [0x2001, 0, _, _, _, _, high, low] => Some((joined(!high, !low), Form::Tunnel)),
        // :: and ::1 are no IPv4 addresses
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        // the old IPv4-compatible form; ISATAP
        [0, 0, 0, 0, 0, 0, high, low] | [_, _, _, _, 0 | 0x200, 0x5efe, high, low] => {
            Some((joined(high, low), Form::Tunnel))
        }
        _ => None,
    }
}

fn v4_reason(v4: Ipv4Addr) -> Option<&'static str> {
    let bits = u32::from(v4);
    let hit = V4.iter().find(|(net, prefix, _)| {
        let mask = u32::MAX << (32 - prefix);
        bits & mask == u32::from_be_bytes(*net)
    });
    hit.map(|(_, _, why)| *why)
}

fn v6_reason(v6: Ipv6Addr) -> Option<&'static str> {
    let bits = u128::from(v6);
    let hit = V6.iter().find(|(net, prefix, _)| {
        let mask = u128::MAX << (128 - prefix);
        bits & mask == u128::from(Ipv6Addr::from(*net))
    });
    let global_unicast = bits >> 125 == 0b001;
    hit.map(|(_, _, why)| *why).or((!global_unicast).then_some(RESERVED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(ip: &str) -> Option<&'static str> {
        let guard = AddressGuard::default();
        guard.permits("a.example", ip.parse().expect("an address")).err().map(|no| no.why)
    }

    #[test]
    fn ranges_of_ipv4_end_where_they_should() {
        // first and last of the range, then the neighbours that are public
        let ranges: &[(&str, &str, &[&str])] = &[
            ("0.0.0.0", "0.255.255.255", &["1.0.0.0"]),
            ("10.0.0.0", "10.255.255.255", &["9.255.255.255", "11.0.0.0"]),
            ("100.64.0.0", "100.127.255.255", &["100.63.255.255", "100.128.0.0"]),
            ("127.0.0.0", "127.255.255.255", &["126.255.255.255", "128.0.0.0"]),
            ("169.254.0.0", "169.254.255.255", &["169.253.255.255", "169.255.0.0"]),
            ("172.16.0.0", "172.31.255.255", &["172.15.255.255", "172.32.0.0"]),
            ("192.0.0.0", "192.0.0.255", &["191.255.255.255", "192.0.1.0"]),
            ("192.0.2.0", "192.0.2.255", &["192.0.1.255", "192.0.3.0"]),
            ("192.88.99.0", "192.88.99.255", &["192.88.98.255", "192.88.100.0"]),
            ("192.168.0.0", "192.168.255.255", &["192.167.255.255", "192.169.0.0"]),
            ("198.18.0.0", "198.19.255.255", &["198.17.255.255", "198.20.0.0"]),
            ("198.51.100.0", "198.51.100.255", &["198.51.99.255", "198.51.101.0"]),
            ("203.0.113.0", "203.0.113.255", &["203.0.112.255", "203.0.114.0"]),
            ("224.0.0.0", "239.255.255.255", &["223.255.255.255"]),
            ("240.0.0.0", "255.255.255.255", &[]),
            ("168.63.129.16", "168.63.129.16", &["168.63.129.15", "168.63.129.17"]),
        ];
        for (first, last, public) in ranges {
            assert!(verdict(first).is_some() && verdict(last).is_some(), "{first} to {last}");
            for ip in *public {
                assert_eq!(verdict(ip), None, "{ip}");
            }
        }
        assert_eq!(verdict("255.255.255.255"), Some("broadcast"));
        assert_eq!(verdict("169.254.169.254"), Some(METADATA));
        assert_eq!(verdict("100.100.100.200"), Some(METADATA));
        assert_eq!(verdict("192.0.0.192"), Some(METADATA));
    }

    #[test]
    fn ranges_of_ipv6_end_where_they_should() {
        let blocked = [
            "::",
            "::1",
            "64:ff9b:1::",
            "64:ff9b:1:ffff:ffff:ffff:ffff:ffff",
            "100::",
            "100::ffff:ffff:ffff:ffff",
            "2001::",
            "2001:0:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff",
            "2001:db8::",
            "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
            "3fff::",
            "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff",
            "4000::",
            "5f00::",
            "1fff:ffff::",
            "fc00::",
            "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
            "fe80::1",
            "febf::",
            "fec0::",
            "feff::",
            "ff00::",
            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        ];
        for ip in blocked {
            assert!(verdict(ip).is_some(), "{ip}");
        }
        let public = [
            "2000::",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2606:4700::1111",
            "3ffe:ffff::",
            "3fff:1000::",
        ];
        for ip in public {
            assert_eq!(verdict(ip), None, "{ip}");
        }
        assert_eq!(verdict("fd00:ec2::254"), Some(METADATA));
        assert_eq!(verdict("fd20:ce::254"), Some(METADATA));
    }

    #[test]
    fn an_embedded_ipv4_address_is_judged() {
        for form in ["::ffff:", "::ffff:0:", "64:ff9b::"] {
            assert_eq!(verdict(&format!("{form}127.0.0.1")), Some("loopback"), "{form}");
            assert_eq!(verdict(&format!("{form}169.254.169.254")), Some(METADATA), "{form}");
            assert_eq!(verdict(&format!("{form}8.8.8.8")), None, "{form}");
        }
        assert_eq!(verdict("2002:7f00:1::"), Some("loopback"));
        assert_eq!(verdict("2002:808:808::"), None);
        assert_eq!(verdict("::127.0.0.1"), Some("loopback"));
        assert_eq!(verdict("::8.8.8.8"), Some(RESERVED));
        // Teredo of 10.0.0.1 and of 8.8.8.8
        assert_eq!(verdict("2001:0:1:2:3:4:f5ff:fffe"), Some(PRIVATE));
        assert_eq!(verdict("2001:0:1:2:3:4:f7f7:f7f7"), Some("Teredo"));
        assert_eq!(verdict("2606:4700::5efe:10.0.0.1"), Some(PRIVATE));
        assert_eq!(verdict("2606:4700::200:5efe:8.8.8.8"), None);
    }

    #[test]
    fn what_is_allowed_is_permitted_in_every_spelling() {
        let loopback: IpNet = "127.0.0.0/8".parse().expect("a network");
        let guard = AddressGuard::new(vec![loopback], vec!["inside.example".into()]);
        let permits = |host, ip: &str| guard.permits(host, ip.parse().expect("an address")).is_ok();
        for ip in ["127.0.0.1", "127.255.255.255", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"] {
            assert!(permits("a.example", ip), "{ip}");
        }
        assert!(!permits("a.example", "::1") && !permits("a.example", "10.0.0.1"));
        assert!(permits("inside.example", "10.0.0.1") && permits("inside.example.", "::1"));
        assert!(!permits("not.inside.example", "10.0.0.1"));
    }

    #[test]
    fn what_is_denied_is_refused_in_every_spelling_and_whatever_allows_it() {
        let nets = |all: &[&str]| all.iter().map(|net| net.parse().expect("a network")).collect();
        let deny = HostList { nets: nets(&["8.8.8.0/24", "2606:4700::/32"]), hosts: Vec::new() };
        let allow = nets(&["8.0.0.0/8", "10.0.0.0/8"]);
        let guard = AddressGuard::new(allow, vec!["inside.example".into()]).denying(deny);
        let verdict = |host: &str, ip: &str| {
            guard.permits(host, ip.parse().expect("an address")).map_err(|no| no.to_string())
        };
        for ip in [
            "8.8.8.8",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
            "2002:808:808::1",
            "2001:0:1:2:3:4:f7f7:f7f7",
            "2a00::5efe:8.8.8.8",
            "2606:4700::1111",
        ] {
            for host in ["a.example", "inside.example"] {
                let said = verdict(host, ip).expect_err(ip);
                assert!(said.contains("`sender.deny`") && !said.contains("allow"), "{said}");
            }
        }
        assert_eq!(verdict("a.example", "8.8.9.8"), Ok(()));
        assert_eq!(verdict("a.example", "10.0.0.1"), Ok(()));
        let mapped = HostList { nets: nets(&["::ffff:9.9.9.0/120"]), hosts: Vec::new() };
        let guard = AddressGuard::default().denying(mapped);
        assert!(guard.permits("a.example", "9.9.9.9".parse().expect("an address")).is_err());
    }

    #[test]
    fn a_blocked_address_names_the_setting() {
        let guard = AddressGuard::default();
        let text = |ip: &str| {
            guard.permits("a", ip.parse().expect("an address")).expect_err("blocked").to_string()
        };
        assert_eq!(
            text("127.0.0.1"),
            "address 127.0.0.1 is blocked (loopback); add it to `sender.allow` to permit it"
        );
        assert_eq!(
            text("::ffff:10.0.0.1"),
            "address ::ffff:10.0.0.1 is blocked (10.0.0.1 inside it is a private network); \
             add it to `sender.allow` to permit it"
        );
    }
}
