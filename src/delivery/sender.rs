//! Makes attempts: one HTTP/1.1 request each, and what came of it in words.
//!
//! The only importer of awc besides the connector. It neither retries, nor follows redirects, nor
//! judges a status; the one thing that it repeats by itself is a request that went into an idle
//! connection which the receiver had closed, or said that it would close, already.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use awc::http::header::{HOST, HeaderName, HeaderValue};
use awc::http::{Uri, uri};
use awc::{ClientBuilder, ClientRequest, Connector};
use bytes::Bytes;
use futures::future::LocalBoxFuture;
use rustls::ClientConfig;
use tokio::sync::Semaphore;

use super::answer::{is_goodbye, read_body, send_fault, unsendable};
use super::connect::{Connect, Security};
use super::egress::Egress;
use super::head;
use super::patience;
use super::prepare::{Identity, IdentityKey, Ready};
use super::request::{self, Stamp};
use super::resolve::Resolvers;
use super::tls;
use super::token::Tokens;
use super::trace::{Fault, Stage, Trace};
use crate::clock::Clock;
use crate::config::{Roots, Settings};
use crate::model::{
    Answer, DeliveryId, HostName, Method, Outcome, Scheme, Target, Timings, Webhook,
    WorkspacePolicy,
};
use crate::policy::destination;
use crate::vault::Vault;

/// A connection is given up after this even when it is in use all the time, so that a host that
/// moves to other addresses is followed.
const CONNECTION_AGE_MAX: Duration = Duration::from_secs(300);

/// Sockets to receivers that the process may have at once: three quarters of the descriptors that it
/// may open. The rest is for its clients and its store.
pub fn sockets_max() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.map_or(Semaphore::MAX_PERMITS, |limit| limit as usize);
    (limit / 4 * 3).clamp(1, Semaphore::MAX_PERMITS)
}

/// One attempt to make.
#[derive(Clone, Debug)]
pub struct AttemptRequest {
    /// The delivery, sent as `webhook-id`.
    pub id: DeliveryId,
    /// Whose it is: it is sent with the secrets of this workspace.
    pub workspace: u32,
    /// What to send.
    pub webhook: Arc<Webhook>,
    /// 1 for the first attempt of the delivery.
    pub number: u32,
    /// What holds for its workspace now.
    pub policy: Arc<WorkspacePolicy>,
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The fact.
    pub outcome: Outcome,
    /// How long its parts took.
    pub timings: Timings,
}

/// Makes attempts for one host actor.
pub trait Sender {
    /// Makes one attempt. It ends within `sender.timeout`; dropping it closes its connection.
    fn attempt(&self, request: AttemptRequest) -> LocalBoxFuture<'static, Report>;
}

/// What all senders of the process share.
#[derive(Clone)]
pub struct SenderShared(Arc<Shared>);

pub(super) struct Shared {
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) vault: Arc<Vault>,
    pub(super) tokens: Tokens,
    egress: Arc<Egress>,
    tls: Result<Arc<ClientConfig>, Arc<str>>,
    /// The configurations of hosts that have a certificate or authorities of their own, while
    /// connections use them.
    identities: Mutex<HashMap<IdentityKey, Weak<ClientConfig>>>,
    resolvers: Resolvers,
    /// A permit for each socket.
    sockets: Arc<Semaphore>,
}

impl SenderShared {
    /// Reads what sending needs; the reason names the setting at fault.
    pub fn new(settings: &Settings, clock: Clock, vault: Arc<Vault>) -> Result<Self, String> {
        let sender = &settings.sender;
        HeaderValue::from_str(&sender.user_agent)
            .map_err(|_| "`sender.user_agent` is no header value".to_owned())?;
        let tls = match (tls::client_config(sender, &Identity::default()), &sender.roots) {
            // A machine without roots can still send to `http`, so only `https` fails there.
            (Err(why), Roots::Platform) if sender.extra_roots.is_none() => {
                log::warn!("https cannot be sent: {why}");
                Err(Arc::from(format!("TLS failed: {why}")))
            }
            (Err(why), _) => return Err(why),
            (Ok(config), _) => Ok(config),
        };
        Ok(Self(Arc::new(Shared {
            tokens: Tokens::new(clock.clone()),
            clock,
            settings: settings.clone(),
            vault,
            identities: Mutex::default(),
            egress: Arc::new(Egress::new(sender)),
            tls,
            resolvers: Resolvers::new(&sender.name_servers),
            sockets: Arc::new(Semaphore::new(sockets_max())),
        })))
    }
}

impl Shared {
    /// How connections of this scheme are secured.
    pub(super) fn security(&self, scheme: Scheme, identity: &Identity) -> Security {
        match scheme {
            Scheme::Http => Security::Plain,
            Scheme::Https if identity.entries().next().is_none() => Security::Tls(self.tls.clone()),
            Scheme::Https => Security::Tls(self.identity_config(identity)),
        }
    }

    /// The configuration of an identity: one for all threads, so that sessions are resumed.
    fn identity_config(&self, identity: &Identity) -> Result<Arc<ClientConfig>, Arc<str>> {
        let mut known = self.identities.lock().unwrap_or_else(PoisonError::into_inner);
        let key = identity.key();
        if let Some(config) = known.get(&key).and_then(Weak::upgrade) {
            return Ok(config);
        }
        let config = tls::client_config(&self.settings.sender, identity)
            .map_err(|why| Arc::from(format!("TLS failed: {why}")))?;
        known.retain(|_, config| config.strong_count() > 0);
        known.insert(key, Arc::downgrade(&config));
        Ok(config)
    }

    /// A client whose connections are made with `security`.
    pub(super) fn client(&self, security: Security) -> awc::Client {
        let connector = Connector::new()
            .connector(Connect::new(
                Arc::clone(&self.egress),
                self.resolvers.of_this_thread(),
                security,
                Arc::clone(&self.sockets),
            ))
            // The attempt's timeout covers connecting, and the host actor limits what is in flight.
            .timeout(Duration::MAX)
            .limit(0)
            .conn_keep_alive(self.settings.sender.keep_alive)
            .conn_lifetime(CONNECTION_AGE_MAX);
        ClientBuilder::new()
            .connector(connector)
            .disable_timeout()
            .disable_redirects()
            .no_default_headers()
            .finish()
    }
}

/// Sends to one host over connections of its own, which close with it. Lives and dies with the
/// host actor, on its arbiter.
pub struct HttpSender(Rc<Parts>);

struct Parts {
    shared: SenderShared,
    host: HostName,
    /// Name of the secret that signs what names none itself.
    signing: Option<String>,
    lanes: RefCell<Vec<Rc<Lane>>>,
}

/// awc's client for one scheme and one TLS identity. awc keys connections by authority alone, so
/// that each of them needs a client of its own.
struct Lane {
    scheme: Scheme,
    key: IdentityKey,
    identity: Identity,
    client: awc::Client,
    authority: uri::Authority,
    host_header: HeaderValue,
}

impl HttpSender {
    /// A sender for `host`. Nothing is connected before the first attempt.
    pub fn new(shared: SenderShared, host: HostName) -> Self {
        let signing = shared.0.settings.rules_of(&host).signing_secret.clone();
        Self(Rc::new(Parts { shared, host, signing, lanes: RefCell::default() }))
    }
}

impl Sender for HttpSender {
    fn attempt(&self, request: AttemptRequest) -> LocalBoxFuture<'static, Report> {
        let parts = Rc::clone(&self.0);
        Box::pin(async move { parts.attempt(&request).await })
    }
}

impl Parts {
    async fn attempt(&self, request: &AttemptRequest) -> Report {
        let shared = &*self.shared.0;
        let started = shared.clock.moment();
        let trace = RefCell::new(Trace::new(shared.clock.clone(), started, false));
        let timeout = shared.settings.sender.timeout;
        let exchange = self.exchange(request, &trace);
        let ended = patience::within(timeout, &shared.clock, exchange).await;
        let trace = trace.into_inner();
        let outcome = match ended {
            Some(Ok(answer)) => Outcome::Answered(answer),
            Some(Err(Fault::Blocked(reason))) => Outcome::Blocked { reason },
            Some(Err(Fault::Unprepared(reason))) => Outcome::Unprepared { reason },
            Some(Err(fault)) => Outcome::NoAnswer { reason: fault.to_string(), timed_out: false },
            None => {
                let stage = trace.stage.get().words();
                let reason = format!("timed out after {} {stage}", in_words(timeout));
                match trace.stage.get() {
                    // The receiver was not even asked.
                    Stage::Token => Outcome::Unprepared { reason },
                    _ => Outcome::NoAnswer { reason, timed_out: true },
                }
            }
        };
        let timings = trace.timings();
        let status = outcome.status().unwrap_or_default();
        log::trace!(delivery:% = request.id, number = request.number, status; "attempt ended");
        Report { outcome, timings }
    }

    /// One request; another one with a fresh token where the receiver no longer takes the one that
    /// was kept.
    async fn exchange(
        &self,
        request: &AttemptRequest,
        trace: &RefCell<Rc<Trace>>,
    ) -> Result<Answer, Fault> {
        let shared = &*self.shared.0;
        let first = Rc::clone(&trace.borrow());
        let ready = shared.prepare(request, self.signing.as_ref(), &first).await?;
        let answered = self.exchange_with(request, &ready, trace).await;
        let Some((entry, token)) = &ready.kept_token else { return answered };
        if !answered.as_ref().is_ok_and(|answer| answer.status == 401) {
            return answered;
        }
        shared.tokens.refused(entry, token);
        let again = first.repeated();
        trace.replace(Rc::clone(&again));
        let ready = shared.prepare(request, self.signing.as_ref(), &again).await?;
        self.exchange_with(request, &ready, trace).await
    }

    /// One request; a second one where the first met a connection that was dead already.
    async fn exchange_with(
        &self,
        request: &AttemptRequest,
        ready: &Ready,
        trace: &RefCell<Rc<Trace>>,
    ) -> Result<Answer, Fault> {
        let first = Rc::clone(&trace.borrow());
        let answered = first.scope(self.perform(request, ready, &first)).await;
        match answered {
            Err(Fault::Closed(_) | Fault::Broken(..) | Fault::Insecure(_))
                if first.met_stale_connection() => {}
            Ok(answer) if first.reused.get() && is_goodbye(&answer) => {}
            other => return other,
        }
        let second = first.afresh();
        trace.replace(Rc::clone(&second));
        second.scope(self.perform(request, ready, &second)).await
    }

    async fn perform(
        &self,
        request: &AttemptRequest,
        ready: &Ready,
        trace: &Trace,
    ) -> Result<Answer, Fault> {
        self.vet_destination(request)?;
        let (built, body) = self.build(request, ready)?;
        let sent = match (request.webhook.method, body.is_empty()) {
            // Their requests have no body, which is not the same as one of no length.
            (Method::Get, _) | (Method::Delete, true) => {
                built.send_body(awc::body::None::new()).await
            }
            _ => built.send_body(body).await,
        };
        let response = sent.map_err(|error| send_fault(&error, trace))?;
        let status = response.status().as_u16();
        let (body, body_truncated) = match status {
            // Never with a body, whatever their headers say.
            204 | 304 => (Bytes::new(), false),
            _ => read_body(response, self.shared.0.settings.sender.max_answer, trace).await?,
        };
        let headers = head::fields(&trace.head.borrow());
        Ok(Answer { status, headers, body, body_truncated })
    }

    /// A connection may be open already, and what was stored may have come in by other rules.
    fn vet_destination(&self, request: &AttemptRequest) -> Result<(), Fault> {
        let sender = &self.shared.0.settings.sender;
        destination::vet(&request.webhook.target, sender, &request.policy)
            .map_err(|why| Fault::Blocked(why.to_string()))
    }

    fn build(
        &self,
        request: &AttemptRequest,
        ready: &Ready,
    ) -> Result<(ClientRequest, Bytes), Fault> {
        let webhook = &*request.webhook;
        let body = request::body_of(webhook).clone();
        let now = self.shared.0.clock.raw_wall();
        let stamp = Stamp::new(request.id, now, &ready.signing, &body);
        let lane = self.lane(&webhook.target, &ready.identity)?;
        let uri = Uri::builder()
            .scheme("http")
            .authority(lane.authority.clone())
            .path_and_query(webhook.target.path_and_query())
            .build()
            .map_err(|_| unsendable("URL"))?;

        let mut built = lane.client.request(awc_method(webhook.method), uri).no_decompress();
        let headers = built.headers_mut();
        headers.insert(HOST, lane.host_header(webhook.target.authority())?);
        for (name, value) in
            request::headers(webhook, &stamp, &self.shared.0.settings.sender.user_agent)
        {
            let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unsendable("header"))?;
            let value = HeaderValue::from_str(value)
                .or_else(|_| HeaderValue::from_bytes(value.as_bytes()))
                .map_err(|_| unsendable("header"))?;
            headers.append(name, value);
        }
        for (name, value) in &ready.credentials {
            headers.insert(name.clone(), value.clone());
        }
        Ok((built, body))
    }

    fn lane(&self, target: &Target, identity: &Identity) -> Result<Rc<Lane>, Fault> {
        assert_eq!(target.host(), &self.host, "a host actor sends to its own host only");
        let (scheme, key) = (target.scheme(), identity.key());
        let mut lanes = self.lanes.borrow_mut();
        if lanes.len() > 1 {
            // What is out of use closes its connections once its last request is over.
            let vault = &self.shared.0.vault;
            lanes.retain(|lane| lane.identity.entries().all(|entry| vault.is_current(entry)));
        }
        if let Some(lane) = lanes.iter().find(|lane| lane.scheme == scheme && lane.key == key) {
            return Ok(Rc::clone(lane));
        }
        let shared = &*self.shared.0;
        let client = shared.client(shared.security(scheme, identity));
        let authority = format!("{}:{}", self.host.without_port(), target.port());
        let authority = authority.parse().map_err(|_| unsendable("URL"))?;
        let host_header = host_header(target.authority())?;
        let identity = identity.clone();
        let lane = Rc::new(Lane { scheme, key, identity, client, authority, host_header });
        lanes.push(Rc::clone(&lane));
        Ok(lane)
    }
}

impl Lane {
    /// URLs of one host may differ by a trailing dot, which the receiver gets to see.
    fn host_header(&self, authority: &str) -> Result<HeaderValue, Fault> {
        if self.host_header == authority {
            return Ok(self.host_header.clone());
        }
        host_header(authority)
    }
}

fn host_header(authority: &str) -> Result<HeaderValue, Fault> {
    HeaderValue::from_str(authority).map_err(|_| unsendable("URL"))
}

fn awc_method(method: Method) -> awc::http::Method {
    match method {
        Method::Post => awc::http::Method::POST,
        Method::Put => awc::http::Method::PUT,
        Method::Get => awc::http::Method::GET,
        Method::Delete => awc::http::Method::DELETE,
    }
}

fn in_words(duration: Duration) -> String {
    match duration.subsec_millis() {
        0 => format!("{}s", duration.as_secs()),
        _ => format!("{}ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_may_go_to_any_arbiter() {
        fn check<T: Clone + Send + Sync + 'static>() {}
        check::<SenderShared>();
    }

    #[test]
    fn durations_are_shown_in_the_unit_that_fits() {
        assert_eq!(in_words(Duration::from_secs(90)), "90s");
        assert_eq!(in_words(Duration::from_millis(1500)), "1500ms");
    }

    #[actix_rt::test]
    #[should_panic(expected = "its own host only")]
    async fn another_hosts_webhook_is_never_sent() {
        let (settings, clock) = (Settings::default(), Clock::system());
        let store =
            crate::store::memory::MemoryStore::new(crate::store::StoreLimits { max_pending: 1 });
        let vault = Vault::new(store, &settings, clock.clone());
        let shared = SenderShared::new(&settings, clock, vault).expect("valid");
        let sender = HttpSender::new(shared, HostName::from_normalised("a.example"));
        let webhook = Webhook {
            method: Method::Get,
            target: Target::from_vetted("http://b.example/").expect("vetted"),
            headers: Vec::new(),
            body: Bytes::new(),
            secret_refs: Vec::new(),
        };
        let now = crate::model::Timestamp::from_millis(0);
        let id = DeliveryId::new(now, crate::model::HostNumber(0), 0);
        let webhook = Arc::new(webhook);
        let policy = Arc::default();
        sender.attempt(AttemptRequest { id, workspace: 0, webhook, number: 1, policy }).await;
    }
}
