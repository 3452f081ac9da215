//! Values that are each in range and make no sense together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::problem::{Origin, Problem};
use super::units::{show_duration, show_size};
use super::{ClientAuth, HostRules, ProxyDns, ProxyScheme, Settings, StoreKind};
use crate::config::layers::show_path;

/// Whether nobody but this machine reaches an address.
pub(super) fn is_loopback(address: SocketAddr) -> bool {
    address.ip().to_canonical().is_loopback()
}

/// Finds what does not fit together. A key with a problem of its own is not blamed twice.
pub(super) fn check(
    settings: &Settings,
    origins: &BTreeMap<String, Origin>,
    failed: &BTreeSet<String>,
) -> Vec<Problem> {
    let mut checks = Checks { origins, failed, problems: Vec::new() };
    checks.store(settings);
    checks.access(settings);
    checks.tls(settings);
    checks.sizes(settings);
    checks.vault(settings);
    checks.proxy(settings);
    checks.otel(settings);
    checks.rules(settings, &settings.rules, "");
    for (name, rules) in &settings.hosts {
        let prefix = show_path(&["hosts".into(), name.clone()]) + ".";
        checks.rules(settings, rules, &prefix);
    }
    checks.problems
}

struct Checks<'a> {
    origins: &'a BTreeMap<String, Origin>,
    failed: &'a BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Checks<'_> {
    fn store(&mut self, settings: &Settings) {
        if settings.store.kind == StoreKind::Memory && !settings.store.allow_loss {
            self.refuse(
                &["store.kind", "store.allow_loss"],
                "= \"memory\" loses every delivery at a stop".into(),
                "say that this is wanted with store.allow_loss = true, or use \"embedded\"".into(),
            );
        }
    }

    fn access(&mut self, settings: &Settings) {
        let address = settings.server.listen;
        let says_no = !settings.auth.keys_required;
        if says_no && !is_loopback(address) && !settings.auth.open {
            self.refuse(
                &["server.listen", "auth.keys_required", "auth.open"],
                format!(
                    "= \"{address}\" can be reached from other machines while \
                     auth.keys_required = false, so that anyone could send webhooks from here"
                ),
                "leave auth.keys_required out, listen on 127.0.0.1, or say that the network is \
                 closed by other means with auth.open = true"
                    .into(),
            );
        }
    }

    fn tls(&mut self, settings: &Settings) {
        let tls = &settings.server.tls;
        let pair = ["server.tls.certificate", "server.tls.key"];
        match (&tls.certificate, &tls.key) {
            (Some(_), None) => self.refuse(
                &[pair[0], pair[1]],
                "has no key beside it".into(),
                "name the PEM file of its key in server.tls.key".into(),
            ),
            (None, Some(_)) => self.refuse(
                &[pair[1], pair[0]],
                "has no certificate beside it".into(),
                "name the PEM file of the certificate in server.tls.certificate".into(),
            ),
            _ => {}
        }
        if tls.client_auth == ClientAuth::None {
            return;
        }
        if tls.client_ca.is_none() || tls.certificate.is_none() {
            self.refuse(
                &["server.tls.client_auth", "server.tls.client_ca", pair[0]],
                "asks for certificates that cannot be checked".into(),
                "name server.tls.client_ca, and server.tls.certificate and server.tls.key".into(),
            );
        }
    }

    fn sizes(&mut self, settings: &Settings) {
        let server = &settings.server;
        let body = show_size(server.max_body as u64);
        for (key, limit) in
            [("server.max_line", server.max_line), ("server.max_request", server.max_request)]
        {
            if server.max_body > limit {
                let limit = show_size(limit as u64);
                self.refuse(
                    &["server.max_body", key],
                    format!("= \"{body}\" does not fit into {key} = \"{limit}\""),
                    format!("lower server.max_body, or raise {key} above it"),
                );
            }
        }
    }

    fn vault(&mut self, settings: &Settings) {
        if settings.vault.key.is_some() && settings.vault.key_file.is_some() {
            self.refuse(
                &["vault.key_file", "vault.key"],
                "names a file while vault.key gives the key itself".into(),
                "keep one of the two".into(),
            );
        }
    }

    fn proxy(&mut self, settings: &Settings) {
        let sender = &settings.sender;
        let set = |key: &str| self.origins.contains_key(key);
        let names_away =
            sender.proxy.as_ref().is_some_and(|proxy| proxy.scheme == ProxyScheme::Socks5h);
        if names_away && sender.proxy_dns == ProxyDns::Local && set("sender.proxy_dns") {
            self.refuse(
                &["sender.proxy_dns", "sender.proxy"],
                "= \"local\" is not what socks5h in sender.proxy says".into(),
                "write socks5 there to look names up here, or leave sender.proxy_dns out".into(),
            );
        }
        if sender.proxy.is_none() && set("sender.no_proxy") && !sender.no_proxy.is_empty() {
            self.refuse(
                &["sender.no_proxy", "sender.proxy"],
                "has no proxy to be an exception from".into(),
                "set sender.proxy as well, or leave it out".into(),
            );
        }
    }

    /// Who set one of these expects traces.
    fn otel(&mut self, settings: &Settings) {
        let (set, default) = (&settings.otel, super::Otel::default());
        if cfg!(feature = "otel") || *set == default {
            return;
        }
        let key = match () {
            () if set.endpoint != default.endpoint => "otel.endpoint",
            () if set.service_name != default.service_name => "otel.service_name",
            () => "otel.sample_ratio",
        };
        self.refuse(
            &[key],
            "is of no use: this build has no `otel`".into(),
            "build with `--features otel`, or leave it out".into(),
        );
    }

    fn rules(&mut self, settings: &Settings, rules: &HostRules, prefix: &str) {
        let key = |name: &str| format!("{prefix}{name}");
        let (rate, burst) = (key("limits.requests_per_second"), key("limits.burst"));
        let is_set = |checks: &Self, names: &[&str]| {
            prefix.is_empty() || names.iter().any(|name| checks.origins.contains_key(*name))
        };
        let limits = &rules.limits;
        // What a host inherits is reported once, at the general rules.
        let lacks_rate = limits.requests_per_second.is_none() && is_set(self, &[&rate, &burst]);
        if let Some(number) = limits.burst.filter(|_| lacks_rate) {
            self.refuse(
                &[&burst, &rate, "limits.burst", "limits.requests_per_second"],
                format!("= {number} has no rate to be a burst of"),
                format!("set {rate} as well, or {burst} = \"none\""),
            );
        }
        let (base, max) = (key("retry.base"), key("retry.max"));
        if rules.retry.base > rules.retry.max && is_set(self, &[&base, &max]) {
            let (first, cap) = (show_duration(rules.retry.base), show_duration(rules.retry.max));
            self.refuse(
                &[&base, &max, "retry.base", "retry.max"],
                format!("= \"{first}\" is longer than {max} = \"{cap}\""),
                format!("lower {base}, or raise {max}"),
            );
        }
        let signing = key("signing.secret");
        let name = rules.signing_secret.as_ref().filter(|_| is_set(self, &[&signing]));
        if name.is_some_and(|name| !settings.secrets.contains_key(name)) {
            let is_failed = |key: &String| key.starts_with("secrets.");
            // Perhaps the very one that could not be read.
            if self.failed.iter().any(is_failed) {
                return;
            }
            // The value is not repeated: it may be a secret in the wrong place.
            let known: Vec<&str> = settings.secrets.keys().map(String::as_str).collect();
            let right = match known.as_slice() {
                [] => "add the secret to [secrets] under that name".into(),
                names => format!("name one of those that are there: {}", names.join(", ")),
            };
            self.refuse(&[&signing], "names no entry of [secrets]".into(), right);
        }
    }

    /// Reports at the first of the keys, with the place of the first that is set.
    fn refuse(&mut self, keys: &[&str], wrong: String, right: String) {
        if keys.iter().any(|key| self.failed.contains(*key)) {
            return;
        }
        let origin = keys.iter().find_map(|key| self.origins.get(*key)).cloned();
        let origin = origin.unwrap_or(Origin::Default);
        self.problems.push(Problem { origin, key: keys[0].into(), wrong, right });
    }
}
