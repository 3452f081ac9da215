//! Which destinations are open to whom: ports and host names. Asked at the door, and again before
//! each attempt and each connection, since what is stored outlives the settings that it came in by.
//!
//! Addresses are judged where they are connected to (`delivery::guard`); a name says nothing of them.

use std::fmt;

use crate::config::{HostList, Sender};
use crate::model::{Target, WorkspacePolicy, pattern};

/// Why nothing is sent there. Its words go on after what names the destination's URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Forbidden {
    /// Nobody listens on port 0.
    PortZero,
    /// The port is none of `sender.ports`.
    Port {
        /// It.
        port: u16,
        /// Those that are.
        allowed: Vec<u16>,
    },
    /// The host is on `sender.deny`.
    Denied {
        /// It.
        host: String,
    },
    /// The workspace's own list denies the host.
    DeniedInWorkspace {
        /// It.
        host: String,
        /// The entry of the list.
        entry: String,
    },
    /// The workspace's own list of allowed hosts does not have it.
    NotAllowedInWorkspace {
        /// It.
        host: String,
    },
}

impl fmt::Display for Forbidden {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Forbidden::PortZero => {
                formatter.write_str("port 0 is not allowed: it cannot be connected to")
            }
            Forbidden::Port { port, allowed } => {
                let allowed: Vec<String> = allowed.iter().map(u16::to_string).collect();
                let allowed = allowed.join(", ");
                write!(
                    formatter,
                    "port {port} is not allowed; the setting sender.ports has {allowed}"
                )
            }
            Forbidden::Denied { host } => {
                write!(formatter, "host {host} is not allowed; the setting sender.deny has it")
            }
            Forbidden::DeniedInWorkspace { host, entry } => write!(
                formatter,
                "host {host} is not allowed; the workspace's deny_hosts has \"{entry}\""
            ),
            Forbidden::NotAllowedInWorkspace { host } => write!(
                formatter,
                "host {host} is not allowed; it is none of the workspace's allow_hosts"
            ),
        }
    }
}

impl std::error::Error for Forbidden {}

/// Whether a webhook of a workspace may go to `target`.
pub fn vet(target: &Target, sender: &Sender, workspace: &WorkspacePolicy) -> Result<(), Forbidden> {
    let host = target.host().without_port();
    vet_for_all(host, target.port(), sender)?;
    if let Some(entry) = entry_of(&workspace.deny_hosts, host) {
        let (host, entry) = (host.to_owned(), entry.to_owned());
        return Err(Forbidden::DeniedInWorkspace { host, entry });
    }
    if !workspace.allow_hosts.is_empty() && entry_of(&workspace.allow_hosts, host).is_none() {
        return Err(Forbidden::NotAllowedInWorkspace { host: host.to_owned() });
    }
    Ok(())
}

/// What holds for every workspace, and for what is connected to beside webhooks. `host` is without
/// its port.
pub fn vet_for_all(host: &str, port: u16, sender: &Sender) -> Result<(), Forbidden> {
    if port == 0 {
        return Err(Forbidden::PortZero);
    }
    if !sender.ports.is_empty() && !sender.ports.contains(&port) {
        return Err(Forbidden::Port { port, allowed: sender.ports.clone() });
    }
    if names(&sender.deny, host) {
        return Err(Forbidden::Denied { host: host.to_owned() });
    }
    Ok(())
}

/// Whether a list names `host` by its name. What it says of addresses is not asked here.
pub fn names(list: &HostList, host: &str) -> bool {
    entry_of(&list.hosts, host).is_some()
}

fn entry_of<'a>(patterns: &'a [String], host: &str) -> Option<&'a str> {
    patterns.iter().map(String::as_str).find(|entry| pattern::matches(entry, host))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn words(url: &str, sender: &Sender, workspace: &WorkspacePolicy) -> Option<String> {
        let target = Target::from_vetted(url).expect("vetted");
        vet(&target, sender, workspace).err().map(|why| why.to_string())
    }

    fn lists(allow: &[&str], deny: &[&str]) -> WorkspacePolicy {
        let owned = |list: &[&str]| list.iter().map(|entry| (*entry).to_owned()).collect();
        WorkspacePolicy {
            allow_hosts: owned(allow),
            deny_hosts: owned(deny),
            ..WorkspacePolicy::default()
        }
    }

    #[test]
    fn ports_and_denied_names_hold_for_all() {
        let mut sender = Settings::default().sender;
        sender.deny.hosts = vec!["*.evil.example".into(), "bad.example".into()];
        let all = WorkspacePolicy::default();
        assert_eq!(words("https://shop.example/", &sender, &all), None);
        assert_eq!(words("https://evil.example/", &sender, &all), None);
        let port = words("https://shop.example:8443/", &sender, &all).expect("refused");
        assert_eq!(port, "port 8443 is not allowed; the setting sender.ports has 80, 443");
        for url in ["https://bad.example/", "http://a.evil.example/", "http://bad.example./"] {
            let said = words(url, &sender, &all).expect(url);
            assert!(said.contains("sender.deny"), "{said}");
        }
        sender.ports.clear();
        assert_eq!(words("https://shop.example:8443/", &sender, &all), None);
        let zero = words("https://shop.example:0/", &sender, &all).expect("refused");
        assert!(zero.contains("port 0"), "{zero}");
    }

    #[test]
    fn the_list_of_denied_hosts_wins_over_that_of_allowed_ones() {
        let sender = Settings::default().sender;
        let both = lists(&["*.shop.example"], &["old.shop.example"]);
        assert_eq!(words("https://new.shop.example/", &sender, &both), None);
        let denied = words("https://old.shop.example/", &sender, &both).expect("denied");
        assert_eq!(
            denied,
            "host old.shop.example is not allowed; \
             the workspace's deny_hosts has \"old.shop.example\""
        );
        let other = words("https://other.example/", &sender, &both).expect("not allowed");
        assert_eq!(
            other,
            "host other.example is not allowed; it is none of the workspace's allow_hosts"
        );
        // An address is no way around a list of names.
        assert!(words("https://93.184.215.14/", &sender, &both).is_some());
    }
}
