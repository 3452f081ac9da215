//! Which route needs which scope: the one table. A route that is not in it needs `admin`; each
//! resource is looked up in it when it is made, so that none is forgotten.

use std::collections::HashMap;
use std::sync::LazyLock;

use actix_web::http::Method;

use crate::access::Scope;

/// What a route needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing: not even a key.
    Nothing,
    /// A key, whatever it may do; none where none is needed.
    AnyKey,
    /// All of these scopes.
    Scopes(&'static [Scope]),
}

/// A last segment that stands for all that follow.
const REST: &str = "{path:.*}";

/// A method, the pattern of a route, and what it needs.
pub type Row = (&'static str, &'static str, Needs);

const fn all(scopes: &'static [Scope]) -> Needs {
    Needs::Scopes(scopes)
}

const ADMIN: Needs = all(&[Scope::Admin]);
const SEND: Needs = all(&[Scope::TriggersWrite]);
const DELIVERIES_READ: Needs = all(&[Scope::DeliveriesRead]);
const DELIVERIES_WRITE: Needs = all(&[Scope::DeliveriesWrite]);
const HOSTS_READ: Needs = all(&[Scope::HostsRead]);
const HOSTS_WRITE: Needs = all(&[Scope::HostsWrite]);
const COMPOSE_READ: Needs = all(&[Scope::ComposeRead]);
const COMPOSE_WRITE: Needs = all(&[Scope::ComposeWrite]);
const RECIPIENTS_READ: Needs = all(&[Scope::RecipientsRead]);
const RECIPIENTS_WRITE: Needs = all(&[Scope::RecipientsWrite]);
const REPORTS_READ: Needs = all(&[Scope::ReportsRead]);
const STATS_READ: Needs = all(&[Scope::StatsRead]);
const KEYS_WRITE: Needs = all(&[Scope::KeysWrite]);
const SECRETS_READ: Needs = all(&[Scope::SecretsRead]);
const SECRETS_WRITE: Needs = all(&[Scope::SecretsWrite]);
const EVENTS_WRITE: Needs = all(&[Scope::EventsWrite]);
/// Attributes of people and their events in one request.
const TRACK: Needs = all(&[Scope::RecipientsWrite, Scope::EventsWrite]);

/// Every route.
pub const ROUTES: &[Row] = &[
    ("GET", "/healthz", Needs::Nothing),
    ("GET", "/readyz", Needs::Nothing),
    ("GET", "/", Needs::Nothing),
    ("GET", "/ui/{path:.*}", Needs::Nothing),
    ("GET", "/openapi.json", Needs::Nothing),
    ("GET", "/docs", Needs::Nothing),
    // Whoever may do anything may know what; a key is what one signs in with.
    ("GET", "/v1/session", Needs::AnyKey),
    ("POST", "/v1/session", Needs::Nothing),
    ("DELETE", "/v1/session", Needs::Nothing),
    ("GET", "/metrics", STATS_READ),
    ("GET", "/v1/stats", STATS_READ),
    ("GET", "/v1/series", STATS_READ),
    // It looks by itself which of its parts the caller may see.
    ("GET", "/v1/live", Needs::AnyKey),
    ("POST", "/v1/triggers", SEND),
    ("POST", "/v1/triggers/batch", SEND),
    // It sends, whatever it renders.
    ("POST", "/v1/webhooks/test", SEND),
    ("POST", "/v1/events", EVENTS_WRITE),
    ("GET", "/v1/deliveries", DELIVERIES_READ),
    ("GET", "/v1/deliveries/{id}", DELIVERIES_READ),
    ("DELETE", "/v1/deliveries/{id}", DELIVERIES_WRITE),
    ("POST", "/v1/deliveries/{id}/redrive", DELIVERIES_WRITE),
    ("POST", "/v1/deliveries/{id}/skip", DELIVERIES_WRITE),
    ("POST", "/v1/redrives", DELIVERIES_WRITE),
    ("GET", "/v1/redrives/{id}", DELIVERIES_READ),
    ("GET", "/v1/hosts", HOSTS_READ),
    ("GET", "/v1/hosts/{host}", HOSTS_READ),
    ("GET", "/v1/hosts/{host}/series", HOSTS_READ),
    ("PATCH", "/v1/hosts/{host}", HOSTS_WRITE),
    ("POST", "/v1/hosts/{host}/pause", HOSTS_WRITE),
    ("POST", "/v1/hosts/{host}/resume", HOSTS_WRITE),
    ("POST", "/v1/hosts/{host}/drain", HOSTS_WRITE),
    ("POST", "/v1/hosts/{host}/purge", HOSTS_WRITE),
    ("GET", "/v1/templates", COMPOSE_READ),
    ("POST", "/v1/templates", COMPOSE_WRITE),
    ("GET", "/v1/templates/{id}", COMPOSE_READ),
    ("PUT", "/v1/templates/{id}", COMPOSE_WRITE),
    ("POST", "/v1/templates/{id}/duplicate", COMPOSE_WRITE),
    ("GET", "/v1/templates/{id}/versions/{version}", COMPOSE_READ),
    ("POST", "/v1/templates/{id}/archive", COMPOSE_WRITE),
    ("POST", "/v1/templates/{id}/preview", COMPOSE_READ),
    ("GET", "/v1/campaigns", COMPOSE_READ),
    ("POST", "/v1/campaigns", COMPOSE_WRITE),
    ("GET", "/v1/campaigns/{id}", COMPOSE_READ),
    ("PUT", "/v1/campaigns/{id}", COMPOSE_WRITE),
    ("POST", "/v1/campaigns/{id}/duplicate", COMPOSE_WRITE),
    ("POST", "/v1/campaigns/{id}/archive", COMPOSE_WRITE),
    ("POST", "/v1/campaigns/{id}/launch", COMPOSE_WRITE),
    ("POST", "/v1/campaigns/{id}/pause", COMPOSE_WRITE),
    ("POST", "/v1/campaigns/{id}/resume", COMPOSE_WRITE),
    ("POST", "/v1/campaigns/{id}/preview", COMPOSE_READ),
    ("POST", "/v1/campaigns/{id}/dry_run", COMPOSE_READ),
    ("GET", "/v1/campaigns/{id}/report", REPORTS_READ),
    ("GET", "/v1/canvases", COMPOSE_READ),
    ("POST", "/v1/canvases", COMPOSE_WRITE),
    ("GET", "/v1/canvases/{id}", COMPOSE_READ),
    ("PUT", "/v1/canvases/{id}", COMPOSE_WRITE),
    ("POST", "/v1/canvases/{id}/duplicate", COMPOSE_WRITE),
    ("GET", "/v1/canvases/{id}/versions/{version}", COMPOSE_READ),
    ("POST", "/v1/canvases/{id}/archive", COMPOSE_WRITE),
    ("POST", "/v1/canvases/{id}/launch", COMPOSE_WRITE),
    ("POST", "/v1/canvases/{id}/pause", COMPOSE_WRITE),
    ("POST", "/v1/canvases/{id}/resume", COMPOSE_WRITE),
    ("GET", "/v1/canvases/{id}/report", REPORTS_READ),
    ("GET", "/v1/schedules", COMPOSE_READ),
    ("GET", "/v1/schedules/{id}", COMPOSE_READ),
    ("DELETE", "/v1/schedules/{id}", COMPOSE_WRITE),
    ("GET", "/v1/recipients", RECIPIENTS_READ),
    ("GET", "/v1/recipients/{external_id}", RECIPIENTS_READ),
    ("PUT", "/v1/recipients/{external_id}", RECIPIENTS_WRITE),
    ("PATCH", "/v1/recipients/{external_id}", RECIPIENTS_WRITE),
    ("DELETE", "/v1/recipients/{external_id}", RECIPIENTS_WRITE),
    ("GET", "/v1/recipients/{external_id}/export", RECIPIENTS_READ),
    ("GET", "/v1/activity", REPORTS_READ),
    ("GET", "/v1/activity/groups", REPORTS_READ),
    ("GET", "/v1/reports", REPORTS_READ),
    ("GET", "/v1/secrets", SECRETS_READ),
    ("POST", "/v1/secrets", SECRETS_WRITE),
    ("GET", "/v1/secrets/{name}", SECRETS_READ),
    ("PUT", "/v1/secrets/{name}", SECRETS_WRITE),
    ("DELETE", "/v1/secrets/{name}", SECRETS_WRITE),
    ("POST", "/v1/secrets/{name}/rotate", SECRETS_WRITE),
    ("POST", "/v1/secrets/{name}/revoke-old", SECRETS_WRITE),
    ("GET", "/v1/keys", KEYS_WRITE),
    ("POST", "/v1/keys", KEYS_WRITE),
    ("GET", "/v1/keys/{id}", KEYS_WRITE),
    ("DELETE", "/v1/keys/{id}", KEYS_WRITE),
    ("POST", "/v1/keys/{id}/rotate", KEYS_WRITE),
    ("GET", "/v1/audit", KEYS_WRITE),
    ("GET", "/v1/workspaces", ADMIN),
    ("POST", "/v1/workspaces", ADMIN),
    ("GET", "/v1/workspaces/{workspace}", ADMIN),
    ("PATCH", "/v1/workspaces/{workspace}", ADMIN),
    // Braze's REST API.
    ("POST", "/messages/send", SEND),
    ("POST", "/messages/schedule/create", SEND),
    ("POST", "/messages/schedule/update", SEND),
    ("POST", "/messages/schedule/delete", SEND),
    ("GET", "/messages/scheduled_broadcasts", COMPOSE_READ),
    ("POST", "/campaigns/trigger/send", SEND),
    ("POST", "/campaigns/trigger/schedule/create", SEND),
    ("POST", "/campaigns/trigger/schedule/update", SEND),
    ("POST", "/campaigns/trigger/schedule/delete", SEND),
    ("GET", "/campaigns/list", COMPOSE_READ),
    ("GET", "/campaigns/details", COMPOSE_READ),
    ("GET", "/campaigns/data_series", REPORTS_READ),
    ("POST", "/canvas/trigger/send", SEND),
    ("POST", "/canvas/trigger/schedule/create", SEND),
    ("POST", "/canvas/trigger/schedule/update", SEND),
    ("POST", "/canvas/trigger/schedule/delete", SEND),
    ("GET", "/canvas/list", COMPOSE_READ),
    ("GET", "/canvas/details", COMPOSE_READ),
    ("POST", "/sends/id/create", SEND),
    ("POST", "/users/track", TRACK),
];

/// The changes of hosts that the audit log tells of, and what it calls them.
const AUDITED: [(&str, &str, &str); 5] = [
    ("PATCH", "/v1/hosts/{host}", "host.policy"),
    ("POST", "/v1/hosts/{host}/pause", "host.paused"),
    ("POST", "/v1/hosts/{host}/resume", "host.resumed"),
    ("POST", "/v1/hosts/{host}/drain", "host.drained"),
    ("POST", "/v1/hosts/{host}/purge", "host.purged"),
];

/// The table, made ready to look paths up in.
struct Table {
    /// Patterns without a variable segment, which is most of what is asked.
    fixed: HashMap<&'static str, Vec<Row>>,
    /// The others, as segments.
    variable: Vec<(Vec<&'static str>, Row)>,
}

static TABLE: LazyLock<Table> = LazyLock::new(|| {
    let mut table = Table { fixed: HashMap::new(), variable: Vec::new() };
    for row in ROUTES {
        if row.1.contains('{') {
            table.variable.push((row.1.split('/').collect(), *row));
        } else {
            table.fixed.entry(row.1).or_default().push(*row);
        }
    }
    table
});

/// The row of a request, by its method and its decoded path; `None` when there is none.
pub(super) fn find(method: &Method, path: &str) -> Option<Row> {
    let table = &*TABLE;
    if let Some(rows) = table.fixed.get(path) {
        return rows.iter().find(|row| row.0 == method.as_str()).copied();
    }
    let fits = |pattern: &[&str]| {
        let mut segments = path.split('/');
        let same = pattern.iter().all(|wanted| {
            segments.next().is_some_and(|given| match wanted.starts_with('{') {
                true => !given.is_empty() || *wanted == REST,
                false => given == *wanted,
            })
        });
        same && (pattern.last() == Some(&REST) || segments.next().is_none())
    };
    let rows = table.variable.iter();
    rows.filter(|(_, row)| row.0 == method.as_str())
        .find(|(pattern, _)| fits(pattern))
        .map(|(_, row)| *row)
}

/// Whether every method that a resource takes (`GET, POST`) is in the table.
pub(super) fn covers(pattern: &str, allow: &str) -> bool {
    allow.split(", ").all(|method| ROUTES.iter().any(|row| row.0 == method && row.1 == pattern))
}

/// What the audit log calls a request that was served, where it tells of it.
pub(super) fn audited(row: Row) -> Option<&'static str> {
    let found = AUDITED.iter().find(|audited| (audited.0, audited.1) == (row.0, row.1));
    found.map(|audited| audited.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_row_and_no_other() {
        let pattern = |method: Method, path: &str| find(&method, path).map(|row| row.1);
        assert_eq!(pattern(Method::POST, "/v1/triggers"), Some("/v1/triggers"));
        assert_eq!(pattern(Method::GET, "/v1/deliveries/x"), Some("/v1/deliveries/{id}"));
        assert_eq!(
            pattern(Method::GET, "/v1/templates/a/versions/2"),
            Some("/v1/templates/{id}/versions/{version}")
        );
        assert_eq!(pattern(Method::GET, "/ui/lib/api.js"), Some("/ui/{path:.*}"));
        assert_eq!(pattern(Method::GET, "/"), Some("/"));
        assert_eq!(pattern(Method::GET, "/v1/triggers"), None);
        for path in
            ["", "/ui", "/v1/deliveries/", "/v1/deliveries/x/", "/v1/deliveries/x/y", "//v1"]
        {
            assert_eq!(pattern(Method::GET, path), None, "{path}");
        }
    }

    #[test]
    fn the_table_says_everything_once() {
        for (place, row) in ROUTES.iter().enumerate() {
            let again = ROUTES[..place].iter().any(|other| (other.0, other.1) == (row.0, row.1));
            assert!(!again, "{} {} is there twice", row.0, row.1);
            assert_ne!(row.2, Needs::Scopes(&[]), "{} {} needs nothing", row.0, row.1);
        }
        for (method, pattern, _) in AUDITED {
            assert!(covers(pattern, method), "{method} {pattern}");
        }
        assert!(!covers("/v1/hosts/{host}", "GET, PUT"));
    }
}
