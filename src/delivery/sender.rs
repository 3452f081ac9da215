//! Makes attempts: one HTTP/1.1 request each, and what came of it in words.
//!
//! The only importer of awc besides the connector. It neither retries, nor follows redirects, nor
//! judges a status; the one thing that it repeats by itself is a request that went into an idle
//! connection which the receiver had closed, or said that it would close, already.

use std::cell::{OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use awc::error::SendRequestError;
use awc::http::header::{HOST, HeaderName, HeaderValue};
use awc::http::{Uri, uri};
use awc::{ClientBuilder, ClientRequest, Connector};
use bytes::Bytes;
use futures::StreamExt;
use futures::future::LocalBoxFuture;
use rustls::ClientConfig;
use tokio::sync::Semaphore;

use super::connect::{Connect, Security};
use super::guard::AddressGuard;
use super::head;
use super::patience;
use super::request::{self, Stamp};
use super::resolve::Resolvers;
use super::tls;
use super::trace::{Fault, Trace};
use crate::clock::Clock;
use crate::config::{Roots, Secret, Settings};
use crate::model::{
    Answer, DeliveryId, Header, HostName, Method, Outcome, Scheme, Target, Timings, Webhook,
};

/// Bytes of an answer's body that are kept: enough for an error message.
const EXCERPT: usize = 4 << 10;
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
    /// What to send.
    pub webhook: Arc<Webhook>,
    /// 1 for the first attempt of the delivery.
    pub number: u32,
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

struct Shared {
    clock: Clock,
    settings: Settings,
    guard: Arc<AddressGuard>,
    tls: Result<Arc<ClientConfig>, Arc<str>>,
    resolvers: Resolvers,
    /// A permit for each socket.
    sockets: Arc<Semaphore>,
}

impl SenderShared {
    /// Reads what sending needs; the reason names the setting at fault.
    pub fn new(settings: &Settings, clock: Clock) -> Result<Self, String> {
        let sender = &settings.sender;
        HeaderValue::from_str(&sender.user_agent)
            .map_err(|_| "`sender.user_agent` is no header value".to_owned())?;
        let tls = match (tls::client_config(&sender.roots), &sender.roots) {
            // A machine without roots can still send to `http`, so only `https` fails there.
            (Err(why), Roots::Platform) => {
                log::warn!("https cannot be sent: {why}");
                Err(Arc::from(format!("TLS failed: {why}")))
            }
            (Err(why), Roots::File(_)) => return Err(why),
            (Ok(config), _) => Ok(config),
        };
        let guard = AddressGuard::new(sender.allow_nets.clone(), sender.allow_hosts.clone());
        Ok(Self(Arc::new(Shared {
            clock,
            settings: settings.clone(),
            guard: Arc::new(guard),
            tls,
            resolvers: Resolvers::from_system(),
            sockets: Arc::new(Semaphore::new(sockets_max())),
        })))
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
    plain: OnceCell<Lane>,
    secure: OnceCell<Lane>,
}

/// awc's client for one scheme. awc keys connections by authority alone, so that each scheme needs
/// a client of its own.
struct Lane {
    client: awc::Client,
    authority: uri::Authority,
    host_header: HeaderValue,
}

impl HttpSender {
    /// A sender for `host`. Nothing is connected before the first attempt.
    pub fn new(shared: SenderShared, host: HostName) -> Self {
        let signing = shared.0.settings.rules_of(&host).signing_secret.clone();
        let (plain, secure) = (OnceCell::new(), OnceCell::new());
        Self(Rc::new(Parts { shared, host, signing, plain, secure }))
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
            Some(Err(fault)) => Outcome::NoAnswer { reason: fault.to_string(), timed_out: false },
            None => {
                let stage = trace.stage.get().words();
                let reason = format!("timed out after {} {stage}", in_words(timeout));
                Outcome::NoAnswer { reason, timed_out: true }
            }
        };
        let timings = trace.timings();
        let status = outcome.status().unwrap_or_default();
        log::trace!(delivery:% = request.id, number = request.number, status; "attempt ended");
        Report { outcome, timings }
    }

    /// One request; a second one where the first met a connection that was dead already.
    async fn exchange(
        &self,
        request: &AttemptRequest,
        trace: &RefCell<Rc<Trace>>,
    ) -> Result<Answer, Fault> {
        let first = Rc::clone(&trace.borrow());
        let answered = first.scope(self.perform(request, &first)).await;
        match answered {
            Err(Fault::Closed(_) | Fault::Broken(..) | Fault::Insecure(_))
                if first.met_stale_connection() => {}
            Ok(answer) if first.reused.get() && is_goodbye(&answer) => {}
            other => return other,
        }
        let second = first.afresh();
        trace.replace(Rc::clone(&second));
        second.scope(self.perform(request, &second)).await
    }

    async fn perform(&self, request: &AttemptRequest, trace: &Trace) -> Result<Answer, Fault> {
        let (built, body) = self.build(request)?;
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

    fn build(&self, request: &AttemptRequest) -> Result<(ClientRequest, Bytes), Fault> {
        let webhook = &*request.webhook;
        let body = request::body_of(webhook).clone();
        let secrets = self.secrets_for(webhook)?;
        let stamp = Stamp::new(request.id, self.shared.0.clock.raw_wall(), secrets, &body);
        let lane = self.lane(&webhook.target)?;
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
        Ok((built, body))
    }

    /// The secrets that sign a webhook: those it names, else those of its host, else none.
    fn secrets_for(&self, webhook: &Webhook) -> Result<&[Secret], Fault> {
        let Some(name) = webhook.secret_ref.as_ref().or(self.signing.as_ref()) else {
            return Ok(&[]);
        };
        // Unsigned is not what was asked for: the attempt fails, and may succeed once it is set.
        let missing = || Fault::Unreachable(format!("there is no signing secret `{name}`"));
        self.shared.0.settings.secrets.get(name).map(Vec::as_slice).ok_or_else(missing)
    }

    fn lane(&self, target: &Target) -> Result<&Lane, Fault> {
        assert_eq!(target.host(), &self.host, "a host actor sends to its own host only");
        let cell = match target.scheme() {
            Scheme::Http => &self.plain,
            Scheme::Https => &self.secure,
        };
        if let Some(lane) = cell.get() {
            return Ok(lane);
        }
        let lane = self.open_lane(target)?;
        Ok(cell.get_or_init(|| lane))
    }

    fn open_lane(&self, target: &Target) -> Result<Lane, Fault> {
        let shared = &*self.shared.0;
        let security = match target.scheme() {
            Scheme::Http => Security::Plain,
            Scheme::Https => Security::Tls(shared.tls.clone()),
        };
        let resolver = shared.resolvers.of_this_thread();
        let connector = Connector::new()
            .connector(Connect::new(
                Arc::clone(&shared.guard),
                resolver,
                security,
                Arc::clone(&shared.sockets),
            ))
            // The attempt's timeout covers connecting, and the host actor limits what is in flight.
            .timeout(Duration::MAX)
            .limit(0)
            .conn_keep_alive(shared.settings.sender.keep_alive)
            .conn_lifetime(CONNECTION_AGE_MAX);
        let client = ClientBuilder::new()
            .connector(connector)
            .disable_timeout()
            .disable_redirects()
            .no_default_headers()
            .finish();
        let authority = format!("{}:{}", self.host.without_port(), target.port());
        let authority = authority.parse().map_err(|_| unsendable("URL"))?;
        let host_header = host_header(target.authority())?;
        Ok(Lane { client, authority, host_header })
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

/// Whether an answer is how some receivers say that an idle connection has become too old for them.
/// It speaks of the request that did not come, and not of the one that was on its way.
fn is_goodbye(answer: &Answer) -> bool {
    let closes =
        |header: &Header| header.name == "connection" && header.value.eq_ignore_ascii_case("close");
    answer.status == 408 && answer.headers.iter().any(closes)
}

/// Reads an answer's body up to `most` bytes, of which the first are kept. What goes on after them
/// is not waited for: dropping the response closes the connection.
async fn read_body(
    mut response: awc::ClientResponse,
    most: usize,
    trace: &Trace,
) -> Result<(Bytes, bool), Fault> {
    let mut kept = Vec::new();
    let mut length = 0;
    while let Some(chunk) = response.next().await {
        let chunk = chunk.map_err(|_| {
            trace.fault().unwrap_or(Fault::Malformed("its body is not well formed"))
        })?;
        trace.body_came();
        length += chunk.len();
        let room = EXCERPT - kept.len();
        kept.extend_from_slice(&chunk[..chunk.len().min(room)]);
        if length > most {
            return Ok((kept.into(), true));
        }
    }
    trace.complete.set(true);
    let truncated = length > kept.len();
    Ok((kept.into(), truncated))
}

fn send_fault(error: &SendRequestError, trace: &Trace) -> Fault {
    trace.fault().unwrap_or_else(|| match error {
        SendRequestError::Response(_) => Fault::Malformed("its headers are not well formed"),
        SendRequestError::Url(_) => unsendable("URL"),
        SendRequestError::Http(_) => unsendable("header"),
        _ => Fault::Unreachable("the request failed".into()),
    })
}

fn unsendable(what: &str) -> Fault {
    Fault::Unreachable(format!("the request cannot be written: a {what} in it is not valid"))
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
        let shared = SenderShared::new(&Settings::default(), Clock::system()).expect("valid");
        let sender = HttpSender::new(shared, HostName::from_normalised("a.example"));
        let webhook = Webhook {
            method: Method::Get,
            target: Target::from_vetted("http://b.example/").expect("vetted"),
            headers: Vec::new(),
            body: Bytes::new(),
            secret_ref: None,
        };
        let now = crate::model::Timestamp::from_millis(0);
        let id = DeliveryId::new(now, crate::model::HostNumber(0), 0);
        sender.attempt(AttemptRequest { id, webhook: Arc::new(webhook), number: 1 }).await;
    }
}
