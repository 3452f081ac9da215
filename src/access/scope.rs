//! What a key may be allowed to do. The list is closed; which route needs what stands in one table,
//! in the front end.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One thing that a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Send: triggers, batches, test sends, scheduled sends.
    TriggersWrite,
    /// Report events of recipients, which start campaigns and canvases.
    EventsWrite,
    /// See deliveries.
    DeliveriesRead,
    /// Redrive, cancel and skip deliveries.
    DeliveriesWrite,
    /// See hosts and their actors.
    HostsRead,
    /// Pause, drain, purge hosts and set their policy.
    HostsWrite,
    /// See templates, campaigns, canvases and schedules.
    ComposeRead,
    /// Make, change, launch and stop them.
    ComposeWrite,
    /// See recipients.
    RecipientsRead,
    /// Make, change and forget recipients.
    RecipientsWrite,
    /// See reports and the activity log.
    ReportsRead,
    /// See the stats of the process, and its metrics.
    StatsRead,
    /// See the names of stored secrets.
    SecretsRead,
    /// Store, rotate and revoke secrets.
    SecretsWrite,
    /// Make, rotate and revoke keys of one's own workspace, and see its audit log.
    KeysWrite,
    /// Everything, in every workspace.
    Admin,
}

impl Scope {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Scope; 16] = [
        Scope::TriggersWrite,
        Scope::EventsWrite,
        Scope::DeliveriesRead,
        Scope::DeliveriesWrite,
        Scope::HostsRead,
        Scope::HostsWrite,
        Scope::ComposeRead,
        Scope::ComposeWrite,
        Scope::RecipientsRead,
        Scope::RecipientsWrite,
        Scope::ReportsRead,
        Scope::StatsRead,
        Scope::SecretsRead,
        Scope::SecretsWrite,
        Scope::KeysWrite,
        Scope::Admin,
    ];

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Scope::TriggersWrite => "triggers:write",
            Scope::EventsWrite => "events:write",
            Scope::DeliveriesRead => "deliveries:read",
            Scope::DeliveriesWrite => "deliveries:write",
            Scope::HostsRead => "hosts:read",
            Scope::HostsWrite => "hosts:write",
            Scope::ComposeRead => "compose:read",
            Scope::ComposeWrite => "compose:write",
            Scope::RecipientsRead => "recipients:read",
            Scope::RecipientsWrite => "recipients:write",
            Scope::ReportsRead => "reports:read",
            Scope::StatsRead => "stats:read",
            Scope::SecretsRead => "secrets:read",
            Scope::SecretsWrite => "secrets:write",
            Scope::KeysWrite => "keys:write",
            Scope::Admin => "admin",
        }
    }

    /// All names, for a message.
    pub fn names() -> String {
        Self::ALL.map(Scope::as_str).join(", ")
    }

    fn bit(self) -> u32 {
        1 << self as u32
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Scope {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text).ok_or(())
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Scopes(u32);

impl Scopes {
    /// The scope that has all others.
    pub fn admin() -> Self {
        Scope::Admin.into()
    }

    /// Whether nothing is allowed.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `scope` is allowed, by name or by `admin`.
    pub fn allow(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// Whether everything that `other` allows is allowed.
    pub fn cover(self, other: Scopes) -> bool {
        self.allow(Scope::Admin) || other.0 & !self.0 == 0
    }

    /// Those that are in it by name.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl From<Scope> for Scopes {
    fn from(scope: Scope) -> Self {
        Self(scope.bit())
    }
}

impl FromIterator<Scope> for Scopes {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(Scope::as_str).collect();
        formatter.write_str(&names.join(", "))
    }
}

impl fmt::Debug for Scopes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter()).finish()
    }
}

impl Serialize for Scopes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(Scope::as_str))
    }
}

impl<'de> Deserialize<'de> for Scopes {
    /// Reads what was stored. A name that this version does not know allows nothing.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        Ok(names.iter().filter_map(|name| name.parse().ok()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_admin_has_all() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert!(Scopes::admin().allow(scope));
            assert!(Scopes::from(scope).allow(scope));
            assert_eq!(Scopes::from(scope).allow(Scope::Admin), scope == Scope::Admin);
        }
        assert_eq!("triggers".parse::<Scope>(), Err(()));
    }

    #[test]
    fn a_set_covers_its_parts_only() {
        let two: Scopes = [Scope::HostsRead, Scope::HostsWrite].into_iter().collect();
        assert!(
            two.cover(Scope::HostsRead.into()) && two.cover(two) && two.cover(Scopes::default())
        );
        assert!(!two.cover(Scope::StatsRead.into()) && !two.cover(Scopes::admin()));
        assert!(Scopes::admin().cover(two));
        assert_eq!(two.to_string(), "hosts:read, hosts:write");
    }

    #[test]
    fn a_stored_name_that_is_unknown_allows_nothing() {
        let scopes: Scopes =
            serde_json::from_str(r#"["hosts:read","moon:write"]"#).expect("a list");
        assert_eq!(scopes, Scope::HostsRead.into());
        assert_eq!(serde_json::to_string(&scopes).expect("text"), r#"["hosts:read"]"#);
    }
}
