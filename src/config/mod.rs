//! Settings: what can be set, and the defaults. `config.toml` at the top of the repository is the
//! manual of every key; `load` reads it, the environment and the command line.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

mod alerts;
mod combine;
mod egress;
mod front;
mod hidden;
mod kept;
mod keys;
mod layers;
mod load;
mod machine;
mod problem;
mod secret;
mod seeing;
mod slot;
pub mod units;
mod vault_key;

pub use alerts::Alerts;
pub(crate) use egress::percent_decode;
pub use egress::{HostList, Proxy, ProxyDns, ProxyScheme, Source};
pub use hidden::Hidden;
pub use kept::{ActivityLog, Reports};
pub use load::{Effective, Flag, Loaded, Sources, known_keys, load};
pub use problem::{ConfigErrors, Origin, Problem};
pub use secret::{Secret, SecretError, SigningMeans, VerifyKey, parse_secret, parse_verify_key};
pub use seeing::{Metrics, Otel};
pub use slot::is_name as is_secret_name;
pub use vault_key::VaultKey;

/// Everything that can be set, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `[server]`
    pub server: Server,
    /// `[store]`
    pub store: Store,
    /// `[actors]`
    pub actors: Actors,
    /// `[sender]`
    pub sender: Sender,
    /// `[delivery]`
    pub delivery: Delivery,
    /// `[compose]`
    pub compose: Compose,
    /// `[alerts]`
    pub alerts: Alerts,
    /// `[reports]`
    pub reports: Reports,
    /// `[activity]`
    pub activity: ActivityLog,
    /// `[retry]`, `[health]`, `[limits]`, `[signing]`: what one host may have otherwise.
    pub rules: HostRules,
    /// `[hosts."NAME"]`: each with what is set there laid over the general rules. Keys are host
    /// names, or `*.suffix`.
    pub hosts: BTreeMap<String, HostRules>,
    /// `[secrets]`: signing secrets by name; several under one name while it is being rotated.
    pub secrets: BTreeMap<String, Vec<Secret>>,
    /// `[vault]`
    pub vault: Vault,
    /// `[log]`
    pub log: Log,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[otel]`
    pub otel: Otel,
    /// `[auth]`
    pub auth: Auth,
}

/// `[server]`: the front end.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Front-end threads.
    pub workers: usize,
    /// A webhook's body, in bytes.
    pub max_body: usize,
    /// A whole request, in bytes (a batch as a JSON array; NDJSON has `max_line`).
    pub max_request: usize,
    /// One line of NDJSON, in bytes.
    pub max_line: usize,
    /// Items of one batch.
    pub max_batch: usize,
    /// Triggers that wait for the store at once.
    pub max_waiting: usize,
    /// Mean wait for the store that is aimed at.
    pub target_wait: Duration,
    /// Memory of the process past which triggers are answered 503, in bytes.
    pub max_memory: usize,
    /// Time for a client to send the head of its request.
    pub client_timeout: Duration,
    /// Time for a client to send a whole request, or to take a stalled answer.
    pub request_timeout: Duration,
    /// How long a connection without a request is kept.
    pub keep_alive: Duration,
    /// Lines of a request's head.
    pub max_headers: usize,
    /// A request's head, in bytes.
    pub max_head: usize,
    /// Objects and arrays in one another.
    pub max_json_depth: usize,
    /// Connections of all clients.
    pub max_connections: usize,
    /// Connections of one address.
    pub max_connections_per_address: usize,
    /// Streams of events that may be open at once.
    pub max_live: usize,
    /// Networks that our own proxies and load balancers connect from.
    pub proxies: Vec<IpNet>,
    /// Whether HTTP/2 is offered over TLS.
    pub http2: bool,
    /// Pages of other origins that may read our answers.
    pub cors_origins: Vec<String>,
    /// Address for metrics and health alone.
    pub admin_listen: Option<SocketAddr>,
    /// `[server.tls]`
    pub tls: ServerTls,
    /// How long a stop waits for what is in flight.
    pub shutdown_timeout: Duration,
}

/// `[server.tls]`: TLS of the front end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerTls {
    /// PEM file of the certificate and what leads to its root; with it the front end speaks TLS.
    pub certificate: Option<PathBuf>,
    /// PEM file of its key.
    pub key: Option<PathBuf>,
    /// PEM file of the authorities that clients' certificates are checked against.
    pub client_ca: Option<PathBuf>,
    /// Whether clients are asked for a certificate.
    pub client_auth: ClientAuth,
}

/// Whether clients are asked for a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not.
    #[default]
    None,
    /// They are, and may have none; one that they show has to be right.
    Optional,
    /// They have to show one.
    Required,
}

/// Which engine keeps the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreKind {
    /// SQLite in `store.path`.
    Embedded,
    /// Nothing is kept: for trials only, and only with `store.allow_loss`.
    Memory,
}

/// `[store]`
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// Which engine.
    pub kind: StoreKind,
    /// Directory of the embedded store.
    pub path: PathBuf,
    /// How long finished deliveries are kept.
    pub retention: Duration,
    /// Pending deliveries, past which triggers are answered 503.
    pub max_pending: u64,
    /// Pending deliveries of one host, past which its triggers are answered 429.
    pub max_pending_per_host: u64,
    /// Says that losing everything at a stop is wanted (`kind = "memory"`).
    pub allow_loss: bool,
    /// Page cache of the embedded store, in bytes.
    pub cache: usize,
}

/// `[compose]`: templates, campaigns, canvases.
#[derive(Clone, Debug, PartialEq)]
pub struct Compose {
    /// Hosts (with port where it is not the scheme's default) that are this server itself: a
    /// webhook to one of them counts as a hop.
    pub own_hosts: Vec<String>,
    /// Webhooks to ourselves that may lead to one another before the chain is cut off.
    pub max_hops: u8,
}

/// `[actors]`
#[derive(Clone, Debug, PartialEq)]
pub struct Actors {
    /// Arbiters, each with a router and its host actors.
    pub shards: usize,
    /// Deliveries that one host actor holds.
    pub window: usize,
    /// Bytes of webhooks that all windows hold together.
    pub memory: usize,
    /// A host actor without work stops after this.
    pub idle_timeout: Duration,
    /// Live host actors, past which the least recently used idle ones stop first.
    pub max_live: usize,
}

/// Where the roots come from that receivers' certificates are checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Roots {
    /// Those of the operating system.
    Platform,
    /// Those in this PEM file alone.
    File(PathBuf),
}

/// `[sender]`
#[derive(Clone, Debug, PartialEq)]
pub struct Sender {
    /// One attempt, connect to last byte.
    pub timeout: Duration,
    /// Networks exempt from the address guard.
    pub allow_nets: Vec<IpNet>,
    /// Host names exempt from the address guard, lower case, without port.
    pub allow_hosts: Vec<String>,
    /// Networks and hosts that are never sent to; wins over what is allowed.
    pub deny: HostList,
    /// Ports that URLs may name; empty means any.
    pub ports: Vec<u16>,
    /// The proxy that requests go through.
    pub proxy: Option<Proxy>,
    /// Who looks up the names of what is reached through it.
    pub proxy_dns: ProxyDns,
    /// What is reached without it.
    pub no_proxy: HostList,
    /// Addresses that connections come from; `None` leaves it to the system.
    pub source: Option<Source>,
    /// Name servers that are asked; empty means those of the system.
    pub name_servers: Vec<SocketAddr>,
    /// How long an idle connection to a host is kept.
    pub keep_alive: Duration,
    /// Bytes of an answer's body that are read at most; the connection is dropped past them.
    pub max_answer: usize,
    /// Roots for TLS.
    pub roots: Roots,
    /// A PEM file with certificates that are trusted beside them.
    pub extra_roots: Option<PathBuf>,
    /// `User-Agent` of every request.
    pub user_agent: String,
}

/// `[delivery]`
#[derive(Clone, Debug, PartialEq)]
pub struct Delivery {
    /// Expiry of a delivery, from the later of acceptance and due time.
    pub ttl: Duration,
}

/// What may be set per host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostRules {
    /// `[retry]`
    pub retry: Retry,
    /// `[health]`
    pub health: Health,
    /// `[limits]`
    pub limits: Limits,
    /// `[signing]`: name of the secret that signs what goes to the host; `None` means unsigned.
    pub signing_secret: Option<String>,
}

/// `[retry]`
#[derive(Clone, Debug, PartialEq)]
pub struct Retry {
    /// Retries after the first attempt.
    pub retries: u32,
    /// Wait before the first retry.
    pub base: Duration,
    /// Each wait is the one before times this; 1 or more.
    pub factor: f64,
    /// No wait is longer, before jitter.
    pub max: Duration,
    /// Each wait is drawn uniformly from ± this share of itself; 0 to 1.
    pub jitter: f64,
}

/// `[health]`
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    /// Time that attempts are counted over.
    pub window: Duration,
    /// Fewer failures in the window never trip.
    pub min_failures: u32,
    /// Share of failures above which the host is unhealthy; 0 to 1.
    pub failure_ratio: f64,
    /// How long an unhealthy host is left alone.
    pub cooldown: Duration,
    /// Deliveries that go out after it, to see whether the host is back.
    pub probes: u32,
}

/// `[limits]`
#[derive(Clone, Debug, PartialEq)]
pub struct Limits {
    /// Requests a second; `None` means no static limit.
    pub requests_per_second: Option<f64>,
    /// Requests that may go at once after a pause; `None` means one second's worth, at least 1.
    pub burst: Option<u32>,
    /// Requests in flight.
    pub in_flight: u32,
}

/// `[vault]`: what stored secrets are sealed with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vault {
    /// Seals what is stored; `None` leaves it to a key file beside the embedded store.
    pub key: Option<VaultKey>,
    /// A file that holds the key instead.
    pub key_file: Option<PathBuf>,
    /// Keys of before, which what they sealed can still be read with.
    pub old_keys: Vec<VaultKey>,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// How lines look.
    pub format: LogFormat,
    /// Filter in the syntax of `RUST_LOG`, which wins over it.
    pub level: String,
}

/// `[auth]`
#[derive(Clone, Debug, PartialEq)]
pub struct Auth {
    /// Whether requests need an API key. What is loaded says `true` where other machines may reach
    /// the server, unless it was set.
    pub keys_required: bool,
    /// Says that other machines may reach the server without keys.
    pub open: bool,
    /// Names, other than localhost and addresses, by which the server is called without a key.
    pub hosts: Vec<String>,
    /// Failures a minute, past which an address is not listened to.
    pub max_failures: u32,
    /// Requests a second of a key that was given no rate of its own; `None` means no limit.
    pub requests_per_second: Option<f64>,
    /// How long the audit log is kept.
    pub audit_retention: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            server: Server {
                listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
                workers: cores,
                max_body: 1 << 20,
                max_request: 32 << 20,
                max_line: 2 << 20,
                max_batch: 100_000,
                max_waiting: 1000,
                target_wait: Duration::from_millis(20),
                max_memory: machine::memory() / 4 * 3,
                client_timeout: Duration::from_secs(10),
                request_timeout: Duration::from_secs(60),
                keep_alive: Duration::from_secs(75),
                max_headers: 64,
                max_head: 32 << 10,
                max_json_depth: 64,
                max_connections: 20_000,
                max_connections_per_address: 1000,
                max_live: 100,
                proxies: Vec::new(),
                http2: true,
                cors_origins: Vec::new(),
                admin_listen: None,
                tls: ServerTls::default(),
                shutdown_timeout: Duration::from_secs(30),
            },
            store: Store {
                kind: StoreKind::Embedded,
                path: PathBuf::from("data"),
                retention: Duration::from_secs(7 * 86_400),
                max_pending: 10_000_000,
                max_pending_per_host: 5_000_000,
                allow_loss: false,
                cache: 16 << 20,
            },
            actors: Actors {
                shards: cores,
                window: 1000,
                memory: 256 << 20,
                idle_timeout: Duration::from_secs(60),
                max_live: 200_000,
            },
            sender: Sender {
                timeout: Duration::from_secs(90),
                allow_nets: Vec::new(),
                allow_hosts: Vec::new(),
                deny: HostList::default(),
                ports: vec![80, 443],
                proxy: None,
                proxy_dns: ProxyDns::Local,
                no_proxy: HostList::default(),
                source: None,
                name_servers: Vec::new(),
                keep_alive: Duration::from_secs(15),
                max_answer: 64 << 10,
                roots: Roots::Platform,
                extra_roots: None,
                user_agent: concat!("Hostline/", env!("CARGO_PKG_VERSION")).into(),
            },
            delivery: Delivery { ttl: Duration::from_secs(72 * 3600) },
            compose: Compose { own_hosts: Vec::new(), max_hops: 8 },
            alerts: Alerts::default(),
            rules: HostRules::default(),
            hosts: BTreeMap::new(),
            secrets: BTreeMap::new(),
            vault: Vault::default(),
            log: Log { format: LogFormat::Text, level: "info".into() },
            metrics: Metrics::default(),
            otel: Otel::default(),
            auth: Auth {
                keys_required: false,
                open: false,
                hosts: Vec::new(),
                max_failures: 10,
                requests_per_second: None,
                audit_retention: Duration::from_secs(400 * 86_400),
            },
            reports: Reports::default(),
            activity: ActivityLog::default(),
        }
    }
}

impl Default for HostRules {
    fn default() -> Self {
        Self {
            retry: Retry {
                retries: 5,
                base: Duration::from_secs(60),
                factor: 2.0,
                max: Duration::from_secs(3600),
                jitter: 0.5,
            },
            health: Health {
                window: Duration::from_secs(60),
                min_failures: 20,
                failure_ratio: 0.5,
                cooldown: Duration::from_secs(60),
                probes: 3,
            },
            limits: Limits { requests_per_second: None, burst: None, in_flight: 64 },
            signing_secret: None,
        }
    }
}

impl Settings {
    /// The rules of a host: its own entry, else that of the longest `*.suffix` that it ends with,
    /// else the general ones.
    pub fn rules_of(&self, host: &crate::model::HostName) -> &HostRules {
        if let Some(rules) = self.hosts.get(host.as_str()) {
            return rules;
        }
        let bare = host.without_port();
        let suffixes = bare.match_indices('.').map(|(dot, _)| format!("*{}", &bare[dot..]));
        suffixes.into_iter().find_map(|suffix| self.hosts.get(&suffix)).unwrap_or(&self.rules)
    }
}
