//! Wiring: the only file that knows every actor. Starts the process in the order in which things
//! depend on each other, and stops it in the reverse one.

use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, Arbiter};

use crate::access::{Access, USES_EVERY};
use crate::alerts::Alerts;
use crate::api;
use crate::clock::Clock;
use crate::config::{Settings, StoreKind};
use crate::delivery::feeder::Feeder;
use crate::delivery::holding::Holding;
use crate::delivery::live::LiveEngine;
use crate::delivery::otlp::Export;
use crate::delivery::router::Router;
use crate::delivery::sender::{HttpSender, Sender, SenderShared, sockets_max};
use crate::delivery::shard::{ArbiterCounters, SenderFactory, Surroundings};
use crate::delivery::spans::{Ended, TracedSender, Tracer};
use crate::model::HostName;
use crate::store::embedded::EmbeddedStore;
use crate::store::memory::MemoryStore;
use crate::store::{Store, StoreError, StoreLimits};
use crate::vault::Vault;

/// Descriptors that the process asks for: a socket per host in flight and per client.
const DESCRIPTORS: u64 = 1 << 20;

/// Exit code of a process whose store is beyond use: EX_SOFTWARE of sysexits.h.
const GAVE_UP: i32 = 70;
/// How often the store is asked whether it was given up: nothing is acknowledged meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Why the process did not start.
#[derive(Debug)]
pub enum StartError {
    /// The store could not be opened; the text says what to do.
    Store(String),
    /// The stored secrets could not be opened; the text says which key is needed.
    Vault(String),
    /// The sender could not be set up (roots, resolver).
    Sender(String),
    /// The address could not be listened on.
    Listen(String),
    /// Nobody could come in; the text says what to do.
    Access(&'static str),
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Store(why) => write!(formatter, "store: {why}"),
            StartError::Vault(why) => write!(formatter, "vault: {why}"),
            StartError::Sender(why) => write!(formatter, "sender: {why}"),
            StartError::Listen(why) => write!(formatter, "server: {why}"),
            StartError::Access(why) => write!(formatter, "auth: {why}"),
        }
    }
}

impl std::error::Error for StartError {}

impl From<StoreError> for StartError {
    fn from(error: StoreError) -> Self {
        StartError::Store(error.to_string())
    }
}

/// The running engine with what it stands on, without a front end.
pub struct Running {
    /// Asks and commands.
    pub engine: LiveEngine,
    /// Durable truth.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Clock,
    /// Settings.
    pub settings: Arc<Settings>,
    arbiters: Vec<Arbiter>,
    tracer: Tracer,
    export: Option<Export>,
}

/// Opens the store that the settings name.
pub fn open_store(settings: &Settings, clock: &Clock) -> Result<Arc<dyn Store>, StartError> {
    let limits = StoreLimits { max_pending: settings.store.max_pending };
    match settings.store.kind {
        StoreKind::Memory => Ok(MemoryStore::new(limits)),
        StoreKind::Embedded => {
            let store = &settings.store;
            let opened = EmbeddedStore::open(&store.path, limits, store.cache, clock.clone());
            opened
                .map(|store| store as Arc<dyn Store>)
                .map_err(|error| StartError::Store(error.to_string()))
        }
    }
}

/// What sends, and the secrets that it sends with.
pub struct Outward {
    /// Makes senders.
    pub senders: SenderFactory,
    /// The stored secrets; closed until the start.
    pub vault: Arc<Vault>,
    /// Begins spans, where they are exported.
    pub tracer: Tracer,
    /// What the tracer was told.
    pub ended: Option<Ended>,
}

/// Makes the senders that speak HTTP.
pub fn http_senders(
    settings: &Settings,
    clock: &Clock,
    store: &Arc<dyn Store>,
) -> Result<Outward, StartError> {
    let vault = Vault::new(store.clone(), settings, clock.clone());
    let shared = SenderShared::new(settings, clock.clone(), vault.clone());
    let shared = shared.map_err(StartError::Sender)?;
    let (tracer, ended) = Tracer::open(&settings.otel);
    let (tracing, clock) = (tracer.clone(), clock.clone());
    let senders: SenderFactory = Arc::new(move |host: &HostName| {
        let sender = HttpSender::new(shared.clone(), host.clone());
        if !tracing.is_on() {
            return Rc::new(sender) as Rc<dyn Sender>;
        }
        Rc::new(TracedSender::new(sender, tracing.clone(), clock.clone(), host.clone()))
    });
    Ok(Outward { senders, vault, tracer, ended })
}

impl Running {
    /// Starts arbiters, routers and feeder over an open store, and wakes the hosts that have work.
    pub async fn start(
        settings: Settings,
        clock: Clock,
        store: Arc<dyn Store>,
        outward: Outward,
    ) -> Result<Self, StartError> {
        let settings = Arc::new(settings);
        let Outward { senders, vault, tracer, ended } = outward;
        // Before anything is sent: without its secrets it would go out otherwise than was asked.
        vault.open().await.map_err(|error| StartError::Vault(error.to_string()))?;
        let controls = store.controlled().await?;
        let around = Surroundings {
            store: store.clone(),
            clock: clock.clone(),
            settings: settings.clone(),
            senders,
            registry: Arc::default(),
            feed: Arc::default(),
            controls: Arc::new(controls.into_iter().collect()),
            holding: Arc::new(Holding::sole()),
            workspaces: Arc::default(),
            vault: vault.clone(),
            seed: fastrand::u64(..),
        };
        let mut arbiters = Vec::new();
        let mut routers = Vec::new();
        for number in 0..settings.actors.shards.max(1) {
            let arbiter = Arbiter::new();
            let counters = Arc::new(ArbiterCounters::default());
            let (around, counting) = (around.clone(), counters.clone());
            let router = Router::start_in_arbiter(&arbiter.handle(), move |_| {
                Router::new(around, number, counting)
            });
            routers.push((router, counters));
            arbiters.push(arbiter);
        }
        let feeder = Feeder::new(routers);
        store.subscribe(feeder.clone());
        let engine = LiveEngine::new(around.clone(), feeder.clone());
        let hosts = feeder.wake_all(&around).await?;
        let counts = store.counts();
        log::info!(hosts, pending = counts.pending, shards = arbiters.len(); "engine started");
        actix_rt::spawn(async move {
            if let Err(error) = vault.reseal().await {
                log::warn!("secrets could not be sealed anew: {error}; the next start tries again");
            }
        });
        let (fed, stopping) = (feeder.clone(), engine.clone());
        actix_rt::spawn(async move {
            let watched = around.store.clone();
            futures::future::select(Box::pin(fed.run(around)), Box::pin(given_up(watched))).await;
            if !crate::delivery::Engine::is_stopping(&stopping) {
                log::error!(
                    "stopping with exit code {GAVE_UP}, so that a start looks at the store"
                );
                std::process::exit(GAVE_UP);
            }
        });
        let export = ended.and_then(|ended| Export::start(&settings.otel, ended));
        Ok(Self { engine, store, clock, settings, arbiters, tracer, export })
    }

    /// Stops: no new send starts, what is in flight finishes within `patience`, everything is
    /// committed. Answers how many requests were cut off (they are sent again after a start).
    pub async fn stop(self, patience: Duration) -> u64 {
        self.engine.refuse();
        let cut = self.engine.quiesce(patience).await;
        if let Err(error) = self.store.close().await {
            log::error!(error:% = error; "store did not close cleanly; it recovers at the next start");
        }
        for arbiter in &self.arbiters {
            arbiter.stop();
        }
        if let Some(export) = self.export {
            export.finish().await;
        }
        cut
    }
}

/// Ends when the store was given up.
async fn given_up(store: Arc<dyn Store>) {
    while store.health().lost.is_none() {
        actix_rt::time::sleep(LOOK_EVERY).await;
    }
}

/// Runs the server until a signal ends it.
pub fn serve(settings: Settings) -> Result<(), StartError> {
    raise_descriptor_limit();
    let mut settings = settings;
    fit_to_descriptors(&mut settings);
    let clock = Clock::system();
    let store = open_store(&settings, &clock)?;
    let outward = http_senders(&settings, &clock, &store)?;
    actix_rt::System::new().block_on(async move {
        let patience = settings.server.shutdown_timeout;
        vet_access(&settings, &store, &clock).await?;
        let running = Running::start(settings, clock, store, outward).await?;
        let front = Front::start(&running).await?;
        let listen = front.address();
        log::info!(address:% = listen; "listening");
        if let Some(admin) = front.admin_address() {
            log::info!(address:% = admin; "listening for administration, in plain HTTP");
        }
        if in_clear_text(&running.settings) {
            log::warn!(
                address:% = listen;
                "no TLS: keys and bodies pass in clear text; set server.tls.certificate, or name \
                 the proxy that has TLS in server.proxies"
            );
        }
        front.tell_who_may_come_in(&running.settings);
        let signal = Signals::listen()?;
        signal.first().await;
        log::info!("stopping: new triggers are refused, what is in flight finishes");
        running.engine.refuse();
        front.live.end();
        actix_rt::spawn(async move {
            signal.first().await;
            log::warn!("second signal: stopping at once");
            std::process::exit(1);
        });
        front.access.keep_uses().await;
        let cut = running.stop(patience).await;
        front.stop().await;
        if cut > 0 {
            log::warn!(requests = cut; "requests were cut off; their deliveries are sent again after a start");
        }
        log::info!("stopped");
        Ok(())
    })
}

/// Refuses a start that would leave everybody outside: keys are needed, and none was ever made.
/// Where there were some it starts, even if all have ended: what is owed has to go out.
async fn vet_access(
    settings: &Settings,
    store: &Arc<dyn Store>,
    clock: &Clock,
) -> Result<(), StartError> {
    if !settings.auth.keys_required {
        return Ok(());
    }
    let access = Access::new(store.clone(), None, clock.clone(), settings.auth.clone());
    access.open().await?;
    if access.has_keys() {
        return Ok(());
    }
    Err(StartError::Access(
        "API keys are required (auth.keys_required), and there are none: make the first one with \
         `hostline keys create --name admin --scope admin` and start again; or listen on 127.0.0.1",
    ))
}

/// Whether what is sent to the front end can be read on the way.
fn in_clear_text(settings: &Settings) -> bool {
    let server = &settings.server;
    let leaves_the_machine = !server.listen.ip().to_canonical().is_loopback();
    leaves_the_machine && server.tls.certificate.is_none() && server.proxies.is_empty()
}

fn listen_error(error: std::io::Error) -> StartError {
    let advice = match error.kind() {
        std::io::ErrorKind::AddrInUse | std::io::ErrorKind::AddrNotAvailable => {
            "; is another server running there? choose another address with --listen or \
             server.listen"
        }
        _ => "",
    };
    StartError::Listen(format!("{error}{advice}"))
}

/// The front end of a running engine.
pub struct Front {
    handle: api::ServerHandle,
    access: Arc<Access>,
    live: Arc<api::Live>,
    address: SocketAddr,
    admin: Option<SocketAddr>,
}

impl Front {
    /// Opens what is composed and listens where the settings say (port 0 takes a free one).
    pub async fn start(running: &Running) -> Result<Self, StartError> {
        let state = api::Api::traced(
            (running.store.clone(), Arc::new(running.engine.clone())),
            running.settings.clone(),
            running.clock.clone(),
            running.tracer.clone(),
        );
        let composers = state.composers().clone();
        let (access, live) = (state.access().clone(), state.live().clone());
        access.open().await?;
        for workspace in access.list_workspaces(None, usize::MAX).0 {
            composers.open(workspace.number).await?;
        }
        let (server, addresses) = api::server(&running.settings, state).map_err(listen_error)?;
        let address = addresses.first().copied().unwrap_or(running.settings.server.listen);
        let admin = addresses.get(1).copied();
        let handle = server.handle();
        actix_rt::spawn(server);
        let alerts = Alerts::new(
            composers.clone(),
            running.store.clone(),
            running.settings.clone(),
            running.clock.clone(),
        );
        actix_rt::spawn(alerts.run(running.engine.facts().clone()));
        actix_rt::spawn(composers.conduct());
        let sampling = live.clone();
        actix_rt::spawn(async move { sampling.run().await });
        let keeping = access.clone();
        actix_rt::spawn(async move {
            loop {
                actix_rt::time::sleep(USES_EVERY).await;
                keeping.keep_uses().await;
            }
        });
        Ok(Self { handle, access, live, address, admin })
    }

    /// Says plainly in the log who may come in.
    fn tell_who_may_come_in(&self, settings: &Settings) {
        let address = self.address;
        if settings.auth.keys_required {
            if !self.access.has_live_admin() {
                log::warn!(
                    "no live API key has the scope admin: nobody can make keys through the API; stop the server and use `hostline keys create`"
                );
            }
            log::info!(address:%; "API keys are required");
        } else if !address.ip().to_canonical().is_loopback() {
            log::warn!(address:%; "open to whoever reaches this address, since auth.open = true: API keys are optional");
        } else if self.access.has_keys() {
            log::info!(address:%; "API keys are optional, since only this machine reaches this address; auth.keys_required = true requires them");
        } else {
            log::info!(address:%; "no API keys are configured: only this machine reaches this address, and may do everything");
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it shows metrics and health alone, if it does.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// Who may come in.
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Ends its connections once their answers are out, and streams of events at once.
    pub async fn stop(self) {
        self.live.end();
        self.handle.stop(true).await;
    }
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: tokio::sync::Mutex<tokio::signal::unix::Signal>,
    interrupt: tokio::sync::Mutex<tokio::signal::unix::Signal>,
}

impl Signals {
    fn listen() -> Result<Self, StartError> {
        use tokio::signal::unix::{SignalKind, signal};
        let listen = |kind| {
            signal(kind)
                .map(tokio::sync::Mutex::new)
                .map_err(|error| StartError::Listen(format!("signals: {error}")))
        };
        let terminate = listen(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn first(&self) {
        let (mut terminate, mut interrupt) =
            (self.terminate.lock().await, self.interrupt.lock().await);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
}

/// Asks for as many descriptors as the system allows: each host in flight takes a socket.
pub fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= DESCRIPTORS) {
        return;
    }
    // Only a privileged process may raise the maximum; any other raises its limit up to that.
    let all = Rlimit { current: Some(DESCRIPTORS), maximum: Some(DESCRIPTORS) };
    if limit.maximum.is_some_and(|maximum| maximum < DESCRIPTORS)
        && setrlimit(Resource::Nofile, all).is_ok()
    {
        return;
    }
    limit.current = Some(limit.maximum.map_or(DESCRIPTORS, |most| most.min(DESCRIPTORS)));
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        log::warn!(error:% = error; "the limit of open files could not be raised");
    }
}

/// No more host actors live than there are descriptors for: a second socket for each is room for
/// those that have several.
fn fit_to_descriptors(settings: &mut Settings) {
    let most = (sockets_max() / 2).max(1);
    if settings.actors.max_live > most {
        log::info!(
            "actors.max_live is {most} instead of {}: the limit of open files allows no more",
            settings.actors.max_live
        );
        settings.actors.max_live = most;
    }
}
