//! A running server, as every command asks it: with which key, over which connection, and what a
//! refusal is in words. What is asked is the commands' matter.

mod dial;
mod events;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use awc::http::header::{ACCEPT, CONTENT_TYPE};
use awc::http::{Method, StatusCode};
use awc::{Client, ClientRequest, Connector};
use clap::Args;
use serde::Deserialize;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use self::dial::Dial;
pub(super) use self::events::{Event, EventStream};

/// Where a server listens unless it is told otherwise.
pub(super) const DEFAULT: &str = "http://127.0.0.1:8080";
/// Time for one answer of the server; it is on this machine or near.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// An answer holds at most a delivery with its attempts, each with 4 KiB of a body.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// Rows of a page: as many as a server gives.
const PAGE: usize = 1000;
/// A key has some fifty letters; what is longer is another file.
const KEY_FILE_MAX: u64 = 4 << 10;

/// Which server is asked, and how.
#[derive(Args, Clone, Debug)]
pub struct ServerArgs {
    /// The server to ask
    #[arg(long, value_name = "URL", env = "HOSTLINE_SERVER", default_value = DEFAULT)]
    #[arg(help_heading = "Server")]
    pub(super) server: String,
    #[command(flatten)]
    pub(super) credentials: Credentials,
}

impl ServerArgs {
    /// A client of that server; the error names the flag at fault.
    pub(super) fn open(&self) -> Result<Server, String> {
        Server::new(&self.server, &self.credentials)
    }
}

/// With what a server is asked, and what makes it believed.
#[derive(Args, Clone, Default)]
pub struct Credentials {
    /// The API key to ask with; safer in the environment, as others see the arguments of a process
    #[arg(id = "api_key", long = "key", value_name = "KEY", env = "HOSTLINE_KEY")]
    #[arg(hide_env_values = true, help_heading = "Server")]
    pub(super) key: Option<String>,
    /// Read the API key from FILE, whatever --key and HOSTLINE_KEY say
    #[arg(long, value_name = "FILE", env = "HOSTLINE_KEY_FILE", help_heading = "Server")]
    pub(super) key_file: Option<PathBuf>,
    /// Trust the certificates of FILE (PEM) too, when the server is asked over https
    #[arg(long, value_name = "FILE", env = "HOSTLINE_CA", help_heading = "Server")]
    pub(super) ca: Option<PathBuf>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = if self.key.is_some() { "***" } else { "none" };
        let mut shown = formatter.debug_struct("Credentials");
        shown.field("key", &key).field("key_file", &self.key_file).field("ca", &self.ca).finish()
    }
}

impl Credentials {
    /// Whether a key is given at all.
    pub(super) fn has_key(&self) -> bool {
        self.key.is_some() || self.key_file.is_some()
    }

    fn read_key(&self) -> Result<Option<Zeroizing<String>>, String> {
        let Some(path) = &self.key_file else {
            return Ok(self.key.as_ref().map(|key| Zeroizing::new(key.trim().to_owned())));
        };
        let text = read_key_file(path)
            .map_err(|error| format!("--key-file {}: {error}", path.display()))?;
        match text.trim() {
            "" => Err(format!("--key-file {}: there is no key in it", path.display())),
            key => Ok(Some(Zeroizing::new(key.to_owned()))),
        }
    }
}

fn read_key_file(path: &Path) -> std::io::Result<Zeroizing<String>> {
    use std::io::Read;
    let mut text = Zeroizing::new(String::new());
    std::fs::File::open(path)?.take(KEY_FILE_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// RFC 9457, as far as it is shown.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProblemView {
    title: String,
    detail: String,
    errors: Vec<ProblemItem>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProblemItem {
    pointer: String,
    parameter: String,
    header: String,
    detail: String,
}

/// Why a server did not answer what was asked.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// It wants a key, or another one.
    NeedsKey,
    /// It refused with this status; in words.
    Refused(StatusCode, String),
    /// It cannot be reached, broke off, or is something else; in words.
    Absent(String),
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unanswered::NeedsKey => formatter.write_str(
                "the server wants a valid API key: give one that is live with --key-file, \
                 HOSTLINE_KEY or --key",
            ),
            Unanswered::Refused(_, wrong) | Unanswered::Absent(wrong) => formatter.write_str(wrong),
        }
    }
}

impl From<Unanswered> for String {
    fn from(wrong: Unanswered) -> Self {
        wrong.to_string()
    }
}

/// A client of one server.
pub(super) struct Server {
    /// As it was given, for people.
    shown: String,
    /// As awc gets it: always `http`, since TLS is the dialler's.
    base: String,
    client: Client,
    /// For answers that go on for ever.
    patient: Client,
}

impl Server {
    /// Takes the server's URL and what to ask with; the error says what is wrong with either.
    pub(super) fn new(url: &str, credentials: &Credentials) -> Result<Self, String> {
        let mut parsed =
            url::Url::parse(url).map_err(|error| format!("--server {url}: {error}"))?;
        let tls = match parsed.scheme() {
            "http" => None,
            "https" => {
                let port = parsed.port_or_known_default();
                // awc would ask for TLS of its own; the dialler does it, to the same port.
                parsed = url::Url::parse(&parsed.as_str().replacen("https", "http", 1))
                    .map_err(|error| format!("--server {url}: {error}"))?;
                let _ = parsed.set_port(port);
                Some(dial::tls(credentials.ca.as_deref())?)
            }
            _ => return Err(format!("--server {url} is not an http or https URL")),
        };
        let key = credentials.read_key()?;
        let dial = Dial::new(tls);
        let client = |timeout: Option<Duration>| {
            let connector = Connector::new().connector(dial.clone()).timeout(ANSWER_TIMEOUT);
            let mut client = Client::builder().connector(connector).disable_redirects();
            client = match timeout {
                Some(timeout) => client.timeout(timeout),
                None => client.disable_timeout(),
            };
            match &key {
                Some(key) => client.bearer_auth(key.as_str()).finish(),
                None => client.finish(),
            }
        };
        Ok(Self {
            shown: url.trim_end_matches('/').into(),
            base: parsed.as_str().trim_end_matches('/').into(),
            client: client(Some(ANSWER_TIMEOUT)),
            patient: client(None),
        })
    }

    /// The server's URL as it was given.
    pub(super) fn url(&self) -> &str {
        &self.shown
    }

    /// Asks for anything that answers with JSON.
    pub(super) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Unanswered> {
        let raw = self.ask(method, path, body.map(|body| body.to_string())).await?;
        self.read(&raw)
    }

    /// Asks for anything; gives the answer as it came.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> Result<String, Unanswered> {
        let method = Method::from_bytes(method.as_bytes()).expect("a method in this source");
        let request = self.client.request(method, format!("{}{path}", self.base));
        let mut answer = self.send(request, body).await?;
        let bytes = answer.body().limit(ANSWER_BYTES_MAX).await;
        let bytes = bytes.map_err(|error| {
            Unanswered::Absent(format!("the server's answer broke off: {error}"))
        })?;
        let raw = String::from_utf8_lossy(&bytes).into_owned();
        match answer.status() {
            status if status.is_success() => Ok(raw),
            StatusCode::UNAUTHORIZED => Err(Unanswered::NeedsKey),
            status => Err(Unanswered::Refused(status, describe_refusal(status, &raw))),
        }
    }

    /// All pages of a list as one.
    pub(super) async fn all(&self, path: &str) -> Result<Value, Unanswered> {
        let (mut rows, mut after) = (Vec::new(), String::new());
        loop {
            let mut page = self.call("GET", &format!("{path}?limit={PAGE}{after}"), None).await?;
            if let Value::Array(more) = page["data"].take() {
                rows.extend(more);
            }
            let Some(next) = page["next"].as_str() else {
                return Ok(json!({ "data": rows, "next": null }));
            };
            after = format!("&after={}", part(next));
        }
    }

    /// Opens a stream of events.
    pub(super) async fn events(&self, path: &str) -> Result<EventStream, Unanswered> {
        let request = self.patient.get(format!("{}{path}", self.base));
        let request = request.insert_header((ACCEPT, "text/event-stream"));
        let sent = actix_rt::time::timeout(ANSWER_TIMEOUT, self.send(request, None)).await;
        let mut answer = sent.unwrap_or_else(|_| {
            Err(Unanswered::Absent(format!("the server at {} does not answer", self.shown)))
        })?;
        match answer.status() {
            status if status.is_success() => Ok(EventStream::new(answer)),
            StatusCode::UNAUTHORIZED => Err(Unanswered::NeedsKey),
            status => {
                let body = answer.body().limit(ANSWER_BYTES_MAX).await.unwrap_or_default();
                let raw = String::from_utf8_lossy(&body);
                Err(Unanswered::Refused(status, describe_refusal(status, &raw)))
            }
        }
    }

    /// An answer that is a document of this kind.
    pub(super) fn read<T: serde::de::DeserializeOwned>(&self, raw: &str) -> Result<T, Unanswered> {
        serde_json::from_str(raw).map_err(|error| {
            Unanswered::Absent(format!("{} does not answer like Hostline: {error}", self.shown))
        })
    }

    async fn send(
        &self,
        request: ClientRequest,
        body: Option<String>,
    ) -> Result<dial::Answer, Unanswered> {
        let sent = match body {
            Some(body) => {
                request.insert_header((CONTENT_TYPE, "application/json")).send_body(body).await
            }
            None => request.send().await,
        };
        sent.map_err(|error| {
            let why = dial::failure(&error);
            let shown = &self.shown;
            Unanswered::Absent(format!("the server at {shown} cannot be reached: {why}"))
        })
    }
}

/// A segment of a path, or a value of a query, as it is written in a URL.
pub(super) fn part(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}

/// The path with those parameters that are given.
pub(super) fn with_query(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let given = parameters.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let query: Vec<String> = given.map(|(name, value)| format!("{name}={}", part(value))).collect();
    match query.is_empty() {
        true => path.to_owned(),
        false => format!("{path}?{}", query.join("&")),
    }
}

/// A problem document in words, else the status alone.
fn describe_refusal(status: StatusCode, raw: &str) -> String {
    let problem: ProblemView = serde_json::from_str(raw).unwrap_or_default();
    let mut text = format!("the server answered {status}");
    for part in [&problem.title, &problem.detail] {
        if !part.is_empty() {
            let _ = write!(text, ": {part}");
        }
    }
    for item in &problem.errors {
        // One of them says where.
        let at = [item.pointer.as_str(), &item.parameter, &item.header].concat();
        let _ = write!(text, "\n  {at}: {}", item.detail);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_document_is_told_in_words() {
        let raw = r#"{"title":"Not valid","detail":"1 error","status":422,
                      "errors":[{"pointer":"/webhook/url","detail":"is no URL"}]}"#;
        assert_eq!(
            describe_refusal(StatusCode::UNPROCESSABLE_ENTITY, raw),
            "the server answered 422 Unprocessable Entity: Not valid: 1 error\n  \
             /webhook/url: is no URL"
        );
        let bare = describe_refusal(StatusCode::BAD_GATEWAY, "<html>");
        assert_eq!(bare, "the server answered 502 Bad Gateway");
    }

    #[test]
    fn only_given_parameters_are_asked_for() {
        assert_eq!(with_query("/v1/hosts", &[("q", None)]), "/v1/hosts");
        let query = [("sort", Some("-queued")), ("q", None), ("state", Some("a b&c"))];
        assert_eq!(with_query("/v1/hosts", &query), "/v1/hosts?sort=-queued&state=a%20b%26c");
    }

    #[test]
    fn a_key_is_never_shown() {
        let credentials = Credentials { key: Some("hl_s3cret".into()), ..Credentials::default() };
        assert!(!format!("{credentials:?}").contains("s3cret"));
    }

    #[test]
    fn a_key_file_wins_and_must_hold_a_key() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("key");
        std::fs::write(&path, "hl_file\n").expect("written");
        let mut credentials =
            Credentials { key: Some("hl_flag".into()), key_file: Some(path.clone()), ca: None };
        let key = credentials.read_key().expect("readable");
        assert_eq!(key.as_ref().map(|key| key.as_str()), Some("hl_file"));
        std::fs::write(&path, "\n").expect("written");
        assert!(credentials.read_key().is_err_and(|wrong| wrong.contains("no key in it")));
        credentials.key_file = Some("/nowhere/key".into());
        assert!(credentials.read_key().is_err_and(|wrong| wrong.starts_with("--key-file")));
    }
}
