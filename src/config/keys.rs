//! Every key that can be set: its place in the settings, its range, a line on what it means. This
//! one table reads the keys, knows the unknown ones and shows the effective values.

use std::time::Duration;

use super::slot::Slot;
use super::{HostRules, Settings};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// One key of a table of settings.
pub(super) struct Key<S> {
    /// Dotted, as people write it.
    pub(super) path: &'static str,
    /// What it means, in a line.
    pub(super) about: &'static str,
    /// Its place and range.
    pub(super) slot: fn(&mut S) -> Slot<'_>,
}

const fn key<S>(path: &'static str, about: &'static str, slot: fn(&mut S) -> Slot<'_>) -> Key<S> {
    Key { path, about, slot }
}

/// The keys that hold for the whole process.
pub(super) const SETTINGS: &[Key<Settings>] = &[
    key("server.listen", "front end address", |all| Slot::Listen(&mut all.server.listen)),
    key("server.workers", "front-end threads", |all| Slot::Whole(&mut all.server.workers, 1, 1024)),
    key("server.max_body", "a webhook's body", |all| {
        Slot::Size(&mut all.server.max_body, KIB, GIB)
    }),
    key("server.max_request", "a whole request", |all| {
        Slot::Size(&mut all.server.max_request, KIB, 4 * GIB)
    }),
    key("server.max_line", "one line of NDJSON", |all| {
        Slot::Size(&mut all.server.max_line, KIB, 2 * GIB)
    }),
    key("server.max_batch", "items of one batch", |all| {
        Slot::Whole(&mut all.server.max_batch, 1, 10_000_000)
    }),
    key("server.max_waiting", "triggers that wait for the store at once", |all| {
        Slot::Whole(&mut all.server.max_waiting, 1, 100_000)
    }),
    key("server.target_wait", "mean wait for the store that is aimed at", |all| {
        Slot::Duration(&mut all.server.target_wait, MS, MINUTE)
    }),
    key("server.max_memory", "memory of the process, past which triggers get 503", |all| {
        Slot::Size(&mut all.server.max_memory, 64 * MIB, 1024 * GIB)
    }),
    key("server.client_timeout", "time for the head of a request to arrive", |all| {
        Slot::Duration(&mut all.server.client_timeout, 100 * MS, 10 * MINUTE)
    }),
    key("server.request_timeout", "time for a whole request to arrive", |all| {
        Slot::Duration(&mut all.server.request_timeout, 100 * MS, HOUR)
    }),
    key("server.keep_alive", "how long a connection without a request is kept", |all| {
        Slot::Duration(&mut all.server.keep_alive, SECOND, HOUR)
    }),
    key("server.max_headers", "lines of a request's head", |all| {
        // The parser beneath has room for 96.
        Slot::Whole(&mut all.server.max_headers, 8, 96)
    }),
    key("server.max_head", "a request's head", |all| {
        // The buffer beneath takes 128 KiB.
        Slot::Size(&mut all.server.max_head, KIB, 120 * KIB)
    }),
    key("server.max_json_depth", "objects and arrays in one another", |all| {
        // The parser beneath stops at 128 by itself, without a word on where.
        Slot::Whole(&mut all.server.max_json_depth, 8, 120)
    }),
    key("server.max_connections", "connections of all clients", |all| {
        Slot::Whole(&mut all.server.max_connections, 1, 1_000_000)
    }),
    key("server.max_connections_per_address", "connections of one address", |all| {
        Slot::Whole(&mut all.server.max_connections_per_address, 1, 1_000_000)
    }),
    key("server.max_live", "streams of events open at once", |all| {
        Slot::Whole(&mut all.server.max_live, 1, 10_000)
    }),
    key("server.proxies", "networks that our own proxies connect from", |all| {
        Slot::Nets(&mut all.server.proxies)
    }),
    key("server.http2", "whether HTTP/2 is offered over TLS", |all| {
        Slot::Switch(&mut all.server.http2)
    }),
    key("server.cors_origins", "origins whose pages may read our answers", |all| {
        Slot::Origins(&mut all.server.cors_origins)
    }),
    key("server.admin_listen", "address for metrics and health alone", |all| {
        Slot::MaybeListen(&mut all.server.admin_listen)
    }),
    key("server.tls.certificate", "PEM file of the front end's certificate", |all| {
        Slot::MaybePath(&mut all.server.tls.certificate)
    }),
    key("server.tls.key", "PEM file of its key", |all| Slot::MaybePath(&mut all.server.tls.key)),
    key("server.tls.client_ca", "PEM file of the authorities of clients", |all| {
        Slot::MaybePath(&mut all.server.tls.client_ca)
    }),
    key("server.tls.client_auth", "whether clients are asked for a certificate", |all| {
        Slot::ClientAuth(&mut all.server.tls.client_auth)
    }),
    key("server.shutdown_timeout", "how long a stop waits for what is in flight", |all| {
        Slot::Duration(&mut all.server.shutdown_timeout, Duration::ZERO, HOUR)
    }),
    key("auth.keys_required", "whether requests need an API key", |all| {
        Slot::Switch(&mut all.auth.keys_required)
    }),
    key("auth.open", "lets other machines in without keys", |all| Slot::Switch(&mut all.auth.open)),
    key("auth.hosts", "names by which the server is called without a key", |all| {
        Slot::Hosts(&mut all.auth.hosts)
    }),
    key("auth.max_failures", "failures a minute, past which an address is slowed", |all| {
        Slot::Whole(&mut all.auth.max_failures, 1, 1_000_000)
    }),
    key("auth.requests_per_second", "requests a second of a key without its own rate", |all| {
        Slot::Rate(&mut all.auth.requests_per_second, 1_000_000.0)
    }),
    key("auth.audit_retention", "how long the audit log is kept", |all| {
        Slot::Duration(&mut all.auth.audit_retention, HOUR, 3650 * DAY)
    }),
    key("store.kind", "which engine keeps the data", |all| Slot::Kind(&mut all.store.kind)),
    key("store.path", "directory of the embedded store", |all| Slot::Path(&mut all.store.path)),
    key("store.url", "PostgreSQL URL", |_| {
        Slot::Unavailable(
            "belongs to the PostgreSQL store, which is not available in this version",
            "leave it out and use store.kind = \"embedded\"",
        )
    }),
    key("store.retention", "how long finished deliveries are kept", |all| {
        Slot::Duration(&mut all.store.retention, SECOND, 3650 * DAY)
    }),
    key("store.max_pending", "pending deliveries, past which triggers get 503", |all| {
        Slot::Whole(&mut all.store.max_pending, 1, 1_000_000_000_000)
    }),
    key("store.max_pending_per_host", "pending of one host, past which it gets 429", |all| {
        Slot::Whole(&mut all.store.max_pending_per_host, 1, 1_000_000_000_000)
    }),
    key("store.cache", "page cache of the embedded store", |all| {
        Slot::Size(&mut all.store.cache, MIB, 64 * GIB)
    }),
    key("store.allow_loss", "says that losing everything at a stop is wanted", |all| {
        Slot::Switch(&mut all.store.allow_loss)
    }),
    key("actors.shards", "arbiters, each with a router and its host actors", |all| {
        Slot::Whole(&mut all.actors.shards, 1, 1024)
    }),
    key("actors.window", "deliveries a host actor holds in memory", |all| {
        Slot::Whole(&mut all.actors.window, 1, 1_000_000)
    }),
    key("actors.memory", "webhooks that all windows hold together", |all| {
        Slot::Size(&mut all.actors.memory, MIB, 1024 * GIB)
    }),
    key("actors.idle_timeout", "a host actor without work stops after this", |all| {
        Slot::Duration(&mut all.actors.idle_timeout, 10 * MS, 7 * DAY)
    }),
    key("actors.max_live", "live host actors, past which idle ones stop", |all| {
        Slot::Whole(&mut all.actors.max_live, 1, 10_000_000)
    }),
    key("sender.timeout", "one attempt, connect to last byte", |all| {
        Slot::Duration(&mut all.sender.timeout, 10 * MS, HOUR)
    }),
    key("sender.allow", "networks and hosts exempt from the address guard", |all| {
        Slot::Allow(&mut all.sender.allow_nets, &mut all.sender.allow_hosts)
    }),
    key("sender.deny", "networks and hosts that are never sent to", |all| {
        Slot::HostList(&mut all.sender.deny)
    }),
    key("sender.ports", "ports that URLs may name; [] means any", |all| {
        Slot::Ports(&mut all.sender.ports)
    }),
    key("sender.proxy", "proxy that requests go through", |all| Slot::Proxy(&mut all.sender.proxy)),
    key("sender.proxy_dns", "who looks up names behind the proxy", |all| {
        Slot::ProxyDns(&mut all.sender.proxy_dns)
    }),
    key("sender.no_proxy", "networks and hosts reached without the proxy", |all| {
        Slot::HostList(&mut all.sender.no_proxy)
    }),
    key("sender.source", "addresses that connections come from", |all| {
        Slot::Source(&mut all.sender.source)
    }),
    key("sender.name_servers", "name servers that are asked", |all| {
        Slot::NameServers(&mut all.sender.name_servers)
    }),
    key("sender.keep_alive", "how long an idle connection is kept", |all| {
        Slot::Duration(&mut all.sender.keep_alive, Duration::ZERO, HOUR)
    }),
    key("sender.max_answer", "bytes of an answer's body that are read", |all| {
        Slot::Size(&mut all.sender.max_answer, KIB, 64 * MIB)
    }),
    key("sender.roots", "roots that receivers' certificates are checked against", |all| {
        Slot::Roots(&mut all.sender.roots)
    }),
    key("sender.extra_roots", "PEM file of certificates that are trusted as well", |all| {
        Slot::File(&mut all.sender.extra_roots)
    }),
    key("sender.user_agent", "User-Agent of every request", |all| {
        Slot::UserAgent(&mut all.sender.user_agent)
    }),
    key("delivery.ttl", "expiry of a delivery", |all| {
        Slot::Duration(&mut all.delivery.ttl, SECOND, 365 * DAY)
    }),
    key("compose.own_hosts", "hosts that are this server itself", |all| {
        Slot::Hosts(&mut all.compose.own_hosts)
    }),
    key("compose.max_hops", "webhooks to ourselves that may lead to one another", |all| {
        Slot::Whole(&mut all.compose.max_hops, 1, 64)
    }),
    key("alerts.url", "where alerts are sent", |all| Slot::AlertUrl(&mut all.alerts.url)),
    key("alerts.kinds", "kinds of alerts that are raised", |all| {
        Slot::AlertKinds(&mut all.alerts.kinds)
    }),
    key("alerts.errors_threshold", "errors of a host in 24 h, past which they are told", |all| {
        Slot::Whole(&mut all.alerts.errors_threshold, 1, 1_000_000_000)
    }),
    key("alerts.once_a_day", "kinds that are raised at most once a day a host", |all| {
        Slot::AlertKinds(&mut all.alerts.once_a_day)
    }),
    key("alerts.per_minute", "alerts of a kind within a minute; more are counted", |all| {
        Slot::Whole(&mut all.alerts.per_minute, 1, 10_000)
    }),
    key("reports.minutes", "how long points of a minute are kept", |all| {
        Slot::Duration(&mut all.reports.minutes, HOUR, 30 * DAY)
    }),
    key("reports.hours", "how long points of an hour are kept", |all| {
        Slot::Duration(&mut all.reports.hours, DAY, 400 * DAY)
    }),
    key("reports.days", "how long points of a day are kept", |all| {
        Slot::Duration(&mut all.reports.days, DAY, 3650 * DAY)
    }),
    key("activity.retention", "how long the activity log is kept", |all| {
        Slot::Duration(&mut all.activity.retention, HOUR, 3650 * DAY)
    }),
    key("vault.key", "seals stored secrets", |all| Slot::VaultKey(&mut all.vault.key)),
    key("vault.key_file", "file that holds vault.key", |all| Slot::File(&mut all.vault.key_file)),
    key("vault.old_keys", "keys that sealed what is stored before", |all| {
        Slot::VaultKeys(&mut all.vault.old_keys)
    }),
    key("log.format", "text or json", |all| Slot::Format(&mut all.log.format)),
    key("log.level", "what is logged; RUST_LOG wins", |all| Slot::Level(&mut all.log.level)),
    key("metrics.hosts", "busiest hosts with series of their own", |all| {
        Slot::Whole(&mut all.metrics.hosts, 0, 200)
    }),
    key("otel.endpoint", "collector that spans are sent to", |all| {
        Slot::Endpoint(&mut all.otel.endpoint)
    }),
    key("otel.service_name", "whose spans they are", |all| {
        Slot::UserAgent(&mut all.otel.service_name)
    }),
    key("otel.sample_ratio", "part of the traces beginning here that is recorded", |all| {
        Slot::Number(&mut all.otel.sample_ratio, 0.0, 1.0)
    }),
];

/// The keys that may differ per host.
pub(super) const RULES: &[Key<HostRules>] = &[
    key("retry.retries", "retries after the first attempt", |rules| {
        Slot::Whole(&mut rules.retry.retries, 0, 1000)
    }),
    key("retry.base", "wait before the first retry", |rules| {
        Slot::Duration(&mut rules.retry.base, MS, 7 * DAY)
    }),
    key("retry.factor", "each wait is the one before times this", |rules| {
        Slot::Number(&mut rules.retry.factor, 1.0, 100.0)
    }),
    key("retry.max", "no wait is longer, before jitter", |rules| {
        Slot::Duration(&mut rules.retry.max, MS, 30 * DAY)
    }),
    key("retry.jitter", "share by which a wait varies", |rules| {
        Slot::Number(&mut rules.retry.jitter, 0.0, 1.0)
    }),
    key("health.window", "time that attempts are counted over", |rules| {
        Slot::Duration(&mut rules.health.window, SECOND, HOUR)
    }),
    key("health.min_failures", "fewer failures never trip", |rules| {
        Slot::Whole(&mut rules.health.min_failures, 1, 1_000_000)
    }),
    key("health.failure_ratio", "share of failures above which a host is unhealthy", |rules| {
        Slot::Number(&mut rules.health.failure_ratio, 0.0, 1.0)
    }),
    key("health.cooldown", "how long an unhealthy host is left alone", |rules| {
        Slot::Duration(&mut rules.health.cooldown, 10 * MS, DAY)
    }),
    key("health.probes", "deliveries that go out after the cooldown", |rules| {
        Slot::Whole(&mut rules.health.probes, 1, 1000)
    }),
    key("limits.requests_per_second", "static limit of a host", |rules| {
        Slot::Rate(&mut rules.limits.requests_per_second, 1_000_000.0)
    }),
    key("limits.burst", "requests that may go at once after a pause", |rules| {
        Slot::MaybeWhole(&mut rules.limits.burst, 1, 1_000_000)
    }),
    key("limits.in_flight", "requests in flight to a host", |rules| {
        Slot::Whole(&mut rules.limits.in_flight, 1, 10_000)
    }),
    key("signing.secret", "name of the secret that signs", |rules| {
        Slot::SecretName(&mut rules.signing_secret)
    }),
];

/// The sections whose entries people name themselves.
pub(super) const NAMED_SECTIONS: [&str; 2] = ["hosts", "secrets"];

/// Every fixed key.
pub(super) fn paths() -> impl Iterator<Item = &'static str> {
    let settings = SETTINGS.iter().map(|key| key.path);
    settings.chain(RULES.iter().map(|key| key.path))
}

/// The known key that someone most likely meant; `None` when nothing is close.
pub(super) fn nearest(path: &str) -> Option<&'static str> {
    let leaf = path.rsplit('.').next().unwrap_or(path);
    let score = |known: &str| {
        let known_leaf = known.rsplit('.').next().unwrap_or(known);
        // The right key in the wrong section is as likely as one slip of the pen.
        if known_leaf == leaf { 1.min(distance(path, known)) } else { distance(path, known) }
    };
    let (best, known) = paths().map(|known| (score(known), known)).min()?;
    (best <= (leaf.len() / 3).max(2)).then_some(known)
}

/// Levenshtein's distance, in bytes.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, left) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in to.bytes().enumerate() {
            let replaced = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_finds_its_key() {
        assert_eq!(nearest("server.lisen"), Some("server.listen"));
        assert_eq!(nearest("servr.listen"), Some("server.listen"));
        assert_eq!(nearest("listen"), Some("server.listen"));
        assert_eq!(nearest("server.max_pending"), Some("store.max_pending"));
        assert_eq!(nearest("zzzzzzz"), None);
    }
}
