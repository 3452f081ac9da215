//! Makes a request ready: the secrets that apply to it are looked up each time it is sent, so that
//! rotated ones are used by retries too, and become signatures, headers and a TLS identity.

use std::sync::Arc;

use awc::http::header::{HeaderName, HeaderValue};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::sender::{AttemptRequest, Shared};
use super::token::Token;
use super::trace::{Fault, Stage, Trace};
use crate::config::Secret;
use crate::model::Scheme;
use crate::vault::{Chosen, Content, Entry};

/// What one request is sent with.
pub(super) struct Ready {
    /// Sign it.
    pub(super) signing: Vec<Secret>,
    /// Set beside its own headers.
    pub(super) credentials: Vec<(HeaderName, HeaderValue)>,
    /// What the connection is made with.
    pub(super) identity: Identity,
    /// A token that was there already: the receiver may know better whether it still holds.
    pub(super) kept_token: Option<(Arc<Entry>, Token)>,
}

/// A client certificate and authorities: connections made with others are not reused.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity {
    pub(super) certificate: Option<Arc<Entry>>,
    pub(super) authorities: Vec<Arc<Entry>>,
}

/// Tells identities apart: the revisions of what they are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct IdentityKey(Vec<u64>);

impl Identity {
    /// That of a request to `scheme`; plain text shows none.
    pub(super) fn of(chosen: &Chosen, scheme: Scheme) -> Self {
        match scheme {
            Scheme::Http => Self::default(),
            Scheme::Https => Self {
                certificate: chosen.certificate.clone(),
                authorities: chosen.authorities.clone(),
            },
        }
    }

    pub(super) fn key(&self) -> IdentityKey {
        IdentityKey(self.entries().map(|entry| entry.revision).collect())
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.certificate.iter().chain(&self.authorities)
    }
}

impl Shared {
    /// Looks up what a request is sent with, and fetches a token where it needs one. `signing` is
    /// the name of the secret that the settings sign with.
    pub(super) async fn prepare(
        &self,
        request: &AttemptRequest,
        signing: Option<&String>,
        trace: &Trace,
    ) -> Result<Ready, Fault> {
        let webhook = &*request.webhook;
        let target = &webhook.target;
        let (refs, now) = (&webhook.secret_refs, self.clock.raw_wall());
        let chosen = self.vault.choose(request.workspace, refs, target, now);
        let mut chosen = chosen.map_err(|name| missing(&name))?;
        if chosen.signing.is_empty()
            && let Some(name) = signing
        {
            // Unsigned is not what was asked for.
            let secrets = self.settings.secrets.get(name).ok_or_else(|| missing(name))?;
            chosen.signing.clone_from(secrets);
        }
        let identity = Identity::of(&chosen, target.scheme());
        let mut ready =
            Ready { signing: chosen.signing, credentials: Vec::new(), identity, kept_token: None };
        for entry in chosen.credentials {
            let Some(name) = entry.content.header() else { continue };
            // One that was stored after the webhook was accepted; its own header stays.
            if webhook.headers.iter().any(|header| header.name == name) {
                continue;
            }
            let value = match &entry.content {
                Content::Oauth2(oauth2) => {
                    trace.stage.set(Stage::Token);
                    let token = self.tokens.get(&entry, || self.fetch_token(&entry, oauth2)).await;
                    trace.stage.set(Stage::Connect);
                    let (token, kept) = token.map_err(Fault::Unprepared)?;
                    let value = Zeroizing::new(format!("Bearer {}", token.reveal()));
                    ready.kept_token = kept.then(|| (entry.clone(), token));
                    value
                }
                content => value_of(content),
            };
            ready.credentials.push(header(name, &value)?);
        }
        Ok(ready)
    }
}

fn missing(name: &str) -> Fault {
    Fault::Unprepared(format!("there is no secret `{name}` any more"))
}

fn value_of(content: &Content) -> Zeroizing<String> {
    Zeroizing::new(match content {
        Content::Bearer { token } => format!("Bearer {}", token.reveal()),
        Content::Basic { username, password } => basic(username.reveal(), password.reveal()),
        Content::Header { value, .. } => value.reveal().to_owned(),
        _ => String::new(),
    })
}

/// The value of `Authorization` for a name and a password (RFC 7617).
pub(super) fn basic(username: &str, password: &str) -> String {
    let pair = Zeroizing::new(format!("{username}:{password}"));
    format!("Basic {}", STANDARD.encode(pair.as_bytes()))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), Fault> {
    let invalid = || Fault::Unprepared(format!("a stored secret cannot stand in `{name}`"));
    let name_read = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
    let mut value = HeaderValue::from_bytes(value.as_bytes()).map_err(|_| invalid())?;
    // Keeps it out of what libraries log.
    value.set_sensitive(true);
    Ok((name_read, value))
}
