//! Tokens of OAuth 2.0 client credentials (RFC 6749 §4.4): fetched once for all threads, kept until
//! shortly before they expire, fetched anew when a receiver no longer takes them.
//!
//! While a token is being fetched whoever needs it waits for that one; where the one before still
//! holds, only the first to come fetches and nobody waits. A token endpoint that fails is left
//! alone for a moment, so that it is not asked once for each webhook that waits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use awc::http::{Uri, header};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::answer::{read_whole, send_fault};
use super::patience;
use super::prepare::{Identity, basic};
use super::sender::Shared;
use super::trace::{Fault, Trace};
use crate::clock::Clock;
use crate::model::Moment;
use crate::vault::{Entry, Hidden, Oauth2, TokenAuth};

/// Time for a token to be fetched; part of the attempt's own time.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a token endpoint's answer. Tokens with many claims have a few KiB.
const ANSWER_MAX: usize = 64 << 10;
/// Bytes of a token: what receivers commonly take as one header.
const TOKEN_MAX: usize = 16 << 10;
/// Life of a token that does not say (RFC 6749 recommends that it does). One that ends earlier
/// costs one 401, which fetches another.
const LIFE_DEFAULT: Duration = Duration::from_secs(300);
/// No token is believed to live longer, so that what was revoked is noticed.
const LIFE_MAX: Duration = Duration::from_secs(24 * 3600);
/// A token is renewed so long before its end: clocks differ, and requests take their time.
const SKEW_MAX: Duration = Duration::from_secs(60);
/// A failed fetch is not repeated before this.
const PAUSE: Duration = Duration::from_secs(5);

/// A token, as it is put behind `Bearer`.
#[derive(Clone, Debug)]
pub(super) struct Token {
    value: Arc<Hidden>,
    renew_at: Moment,
    ends: Moment,
}

impl Token {
    pub(super) fn reveal(&self) -> &str {
        self.value.reveal()
    }
}

/// What a token endpoint gave.
pub(super) struct Granted {
    value: Hidden,
    life: Duration,
}

/// Workspace and name of a secret.
type SlotKey = (u32, Arc<str>);

/// All tokens of the process.
pub(super) struct Tokens {
    clock: Clock,
    slots: Mutex<HashMap<SlotKey, Arc<Slot>>>,
}

/// The token of one secret.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    /// Held by who fetches.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Revision of the secret that the rest is of.
    revision: u64,
    token: Option<Token>,
    failed: Option<(Moment, String)>,
}

impl Slot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tokens {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, slots: Mutex::default() }
    }

    /// The token of a secret, and whether it was there already. `fetch` gets one; the error is its
    /// reason.
    pub(super) async fn get<F: Future<Output = Result<Granted, String>>>(
        &self,
        entry: &Entry,
        fetch: impl FnOnce() -> F,
    ) -> Result<(Token, bool), String> {
        let slot = self.slot(entry);
        if let Some(token) = self.kept(&slot, entry) {
            if self.clock.moment() < token.renew_at {
                return Ok((token, true));
            }
            // It still holds: whoever comes first renews it, and a failure costs nothing yet.
            let Ok(_fetching) = slot.fetching.try_lock() else { return Ok((token, true)) };
            return match self.fetch(&slot, fetch()).await {
                Ok(fresh) => Ok((fresh, false)),
                Err(_) => Ok((token, true)),
            };
        }
        let _fetching = slot.fetching.lock().await;
        if let Some(token) = self.kept(&slot, entry) {
            return Ok((token, false));
        }
        if let Some((at, why)) = &slot.state().failed
            && self.clock.moment().since(*at) < PAUSE
        {
            return Err(why.clone());
        }
        Ok((self.fetch(&slot, fetch()).await?, false))
    }

    /// A receiver no longer takes this token.
    pub(super) fn refused(&self, entry: &Entry, token: &Token) {
        let slot = self.slot(entry);
        let mut state = slot.state();
        if state.token.as_ref().is_some_and(|kept| Arc::ptr_eq(&kept.value, &token.value)) {
            state.token = None;
        }
    }

    fn slot(&self, entry: &Entry) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry((entry.workspace, entry.name.clone())).or_default().clone()
    }

    /// The token that is kept, unless it is of another state of the secret, or at its end.
    fn kept(&self, slot: &Slot, entry: &Entry) -> Option<Token> {
        let mut state = slot.state();
        if state.revision < entry.revision {
            *state = State { revision: entry.revision, ..State::default() };
        }
        state.token.clone().filter(|token| self.clock.moment() < token.ends)
    }

    async fn fetch(
        &self,
        slot: &Slot,
        fetch: impl Future<Output = Result<Granted, String>>,
    ) -> Result<Token, String> {
        let asked = self.clock.moment();
        let revision = slot.state().revision;
        let granted = fetch.await;
        let mut state = slot.state();
        match granted {
            Ok(Granted { value, life }) => {
                let token = token(value, asked, life, fastrand::f64());
                // The secret may have been replaced meanwhile: then this one serves once.
                if state.revision == revision {
                    (state.token, state.failed) = (Some(token.clone()), None);
                }
                Ok(token)
            }
            Err(why) => {
                state.failed = Some((self.clock.moment(), why.clone()));
                Err(why)
            }
        }
    }
}

/// A token that was asked for at `asked`. `roll` (0 to 1) spreads the renewals of many.
fn token(value: Hidden, asked: Moment, life: Duration, roll: f64) -> Token {
    let life = life.min(LIFE_MAX);
    let skew = (life / 5).min(SKEW_MAX);
    let ends = asked + life.saturating_sub(skew / 4);
    let renew_at = asked + life.saturating_sub(skew.mul_f64(1.0 + roll));
    Token { value: Arc::new(value), renew_at, ends }
}

/// What a token endpoint answers (RFC 6749 §5).
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<Hidden>,
    token_type: Option<String>,
    expires_in: Option<serde_json::Value>,
    error: Option<String>,
}

impl Shared {
    /// Asks the token endpoint. It is reached as any receiver is: the same address guard, roots and
    /// limits hold. The error is fit for a person and repeats nothing of what was sent.
    pub(super) async fn fetch_token(
        &self,
        entry: &Entry,
        oauth2: &Oauth2,
    ) -> Result<Granted, String> {
        let timeout = FETCH_TIMEOUT.min(self.settings.sender.timeout);
        let trace = Trace::new(self.clock.clone(), self.clock.moment(), false);
        let asking = trace.scope(self.ask_for_token(entry, oauth2, &trace));
        let host = oauth2.target().map(|target| target.host().to_string()).unwrap_or_default();
        let failed = match patience::within(timeout, &self.clock, asking).await {
            Some(Ok(granted)) => return Ok(granted),
            Some(Err(why)) => why,
            None => {
                format!("timed out after {}s {}", timeout.as_secs(), trace.stage.get().words())
            }
        };
        log::warn!(secret:% = entry.name, host, why = failed; "no token is to be had");
        Err(format!("no token for `{}` from {host}: {failed}", entry.name))
    }

    async fn ask_for_token(
        &self,
        entry: &Entry,
        oauth2: &Oauth2,
        trace: &Trace,
    ) -> Result<Granted, String> {
        let target = oauth2.target().ok_or("its URL is not valid")?;
        // Authorities and a client certificate may be stored for the endpoint, too.
        let now = self.clock.raw_wall();
        let chosen = self.vault.choose(entry.workspace, &[], &target, now).unwrap_or_default();
        let security = self.security(target.scheme(), &Identity::of(&chosen, target.scheme()));
        let client = self.client(security);
        let uri = Uri::builder()
            .scheme("http")
            .authority(format!("{}:{}", target.host().without_port(), target.port()))
            .path_and_query(target.path_and_query())
            .build()
            .map_err(|_| "its URL is not valid")?;
        let mut request = client
            .post(uri)
            .no_decompress()
            .insert_header((header::HOST, target.authority()))
            .insert_header((header::ACCEPT, "application/json"))
            .insert_header((header::USER_AGENT, self.settings.sender.user_agent.as_str()))
            .insert_header((header::CONTENT_TYPE, "application/x-www-form-urlencoded"));
        if oauth2.auth == TokenAuth::Basic {
            let (id, secret) = (encoded(&oauth2.client_id), encoded(&oauth2.client_secret));
            let value = Zeroizing::new(basic(&id, &secret));
            let mut value = header::HeaderValue::from_bytes(value.as_bytes())
                .map_err(|_| "its credentials are not valid")?;
            value.set_sensitive(true);
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let sent = request.send_body(form(oauth2)).await;
        let response = sent.map_err(|error| send_fault(&error, trace).to_string())?;
        let status = response.status().as_u16();
        let body = read_whole(response, ANSWER_MAX, trace).await;
        let body = body.map_err(|fault: Fault| fault.to_string())?;
        granted(status, body.ok_or("its answer is too large")?.as_ref())
    }
}

/// The form that asks for a token.
fn form(oauth2: &Oauth2) -> String {
    let mut form = url::form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    for (name, value) in [("scope", &oauth2.scope), ("audience", &oauth2.audience)] {
        if let Some(value) = value {
            form.append_pair(name, value);
        }
    }
    if oauth2.auth == TokenAuth::Body {
        form.append_pair("client_id", oauth2.client_id.reveal());
        form.append_pair("client_secret", oauth2.client_secret.reveal());
    }
    form.finish()
}

/// RFC 6749 §2.3.1 wants name and password encoded before they become Basic.
fn encoded(text: &Hidden) -> Zeroizing<String> {
    Zeroizing::new(url::form_urlencoded::byte_serialize(text.reveal().as_bytes()).collect())
}

/// Reads the answer of a token endpoint.
fn granted(status: u16, body: &[u8]) -> Result<Granted, String> {
    let answer = serde_json::from_slice::<TokenAnswer>(body).ok();
    if status != 200 {
        // A word of the RFC, and nothing else of what may stand there.
        let is_word = |word: &String| {
            word.len() <= 64 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let word = answer.and_then(|answer| answer.error).filter(is_word).unwrap_or_default();
        return Err(format!("answered {status} {word}").trim_end().to_owned());
    }
    let answer = answer.ok_or("its answer is not JSON with an access_token")?;
    let bearer = answer.token_type.as_deref().unwrap_or("bearer");
    if !bearer.eq_ignore_ascii_case("bearer") {
        return Err("it gives tokens of another type than Bearer".into());
    }
    let value = answer.access_token.ok_or("its answer has no access_token")?;
    let fits = (1..=TOKEN_MAX).contains(&value.reveal().len());
    if !fits || !value.reveal().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its token cannot stand in a header".into());
    }
    // Some write the number as text.
    let seconds = answer.expires_in.as_ref().and_then(|life| match life {
        serde_json::Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    });
    let life = seconds.filter(|seconds| *seconds >= 0.0);
    let life = life
        .map_or(LIFE_DEFAULT, |seconds| Duration::try_from_secs_f64(seconds).unwrap_or(LIFE_MAX));
    Ok(Granted { value, life })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;

    #[test]
    fn answers_of_token_endpoints_are_read_as_they_come() {
        let life = |text: &str| granted(200, text.as_bytes()).map(|granted| granted.life.as_secs());
        let table = [
            (r#"{"access_token":"a","token_type":"Bearer","expires_in":3600}"#, 3600),
            (r#"{"access_token":"a","token_type":"bearer","expires_in":"60","x":[]}"#, 60),
            (r#"{"access_token":"a"}"#, 300),
            (r#"{"access_token":"a","expires_in":-1}"#, 300),
            (r#"{"access_token":"a","expires_in":1e300}"#, 86_400),
        ];
        for (text, expected) in table {
            assert_eq!(life(text), Ok(expected), "{text}");
        }
        for text in [
            "",
            "{}",
            r#"{"access_token":""}"#,
            r#"{"access_token":"a b"}"#,
            r#"{"access_token":"a\r\nx: y"}"#,
            r#"{"access_token":"a","token_type":"mac"}"#,
        ] {
            assert!(life(text).is_err(), "{text}");
        }
        let refused = |text: &str| granted(401, text.as_bytes()).map(|_| ()).expect_err("refused");
        assert_eq!(refused(r#"{"error":"invalid_client"}"#), "answered 401 invalid_client");
        assert_eq!(refused(r#"{"error":"Planted Secret"}"#), "answered 401");
        assert_eq!(refused("<html>"), "answered 401");
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_renewed_before_it_ends() {
        let clock = Clock::of_runtime(Timestamp::from_millis(0));
        let now = clock.moment();
        for (life_s, roll) in [(1, 0.0), (10, 0.5), (300, 1.0), (3600, 0.3), (1 << 30, 0.9)] {
            let life = Duration::from_secs(life_s);
            let token = token(Hidden::new("t".into()), now, life, roll);
            assert!(now <= token.renew_at && token.renew_at < token.ends, "{life_s}");
            assert!(token.ends <= now + life, "{life_s}");
        }
        let dead = token(Hidden::new("t".into()), now, Duration::ZERO, 0.5);
        assert_eq!(dead.ends, now);
    }
}
