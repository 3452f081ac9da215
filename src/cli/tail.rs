//! `hostline tail`: deliveries as they end, and attempts that will be repeated, from the server's
//! live events. A stream that breaks is opened again, and what may have been missed is said.

use std::process::ExitCode;
use std::time::Duration;

use awc::http::StatusCode;
use clap::Args;
use serde::Deserialize;
use serde_json::json;

use super::output::{
    Closed, milliseconds, paint, printable, refuse, remark, style_of, style_of_status, tell,
};
use super::server::{Event, EventStream, Server, ServerArgs, Unanswered, with_query};

/// The pause before a broken stream is opened again; it doubles up to the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(15);

const EXAMPLES: &str = "\
Examples:
  hostline tail
  hostline tail --host shop.example --state failed,exhausted,expired
  hostline tail --state retried
      Attempts that failed and will be repeated
  hostline tail --campaign welcome --json | jq -r 'select(.status == 410) | .recipient'
  hostline tail --host shop.example --count 1
      Wait for the next one

When the server goes away it is asked again and again, and what ended meanwhile is not shown.

Exit codes: 0 --count is reached, or nobody reads any more, 2 refused by the server, or the server
cannot be reached at the beginning.";

/// Flags of `tail`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TailArgs {
    /// Only those to this host
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Only those that ended so: delivered, failed, exhausted, expired, cancelled; or retried
    #[arg(long, value_name = "STATE", value_delimiter = ',')]
    state: Vec<String>,
    /// Only those of this campaign
    #[arg(long, value_name = "CAMPAIGN")]
    campaign: Option<String>,
    /// Only those for this recipient
    #[arg(long, value_name = "EXTERNAL_ID")]
    recipient: Option<String>,
    /// End after so many
    #[arg(short = 'n', long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Print each as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// A delivery that ended, or an attempt that is to be repeated.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct EndView {
    id: String,
    host: String,
    state: String,
    status: Option<u64>,
    reason: Option<String>,
    attempts: u64,
    url: String,
    method: String,
    at: String,
    latency_ms: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DroppedView {
    count: u64,
}

/// Runs the command.
pub fn run(args: &TailArgs) -> ExitCode {
    let done = args.server.open().and_then(|server| {
        actix_rt::System::new().block_on(Tail { args, server, shown: 0 }.follow())
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(wrong) => refuse(&wrong),
    }
}

struct Tail<'a> {
    args: &'a TailArgs,
    server: Server,
    shown: u64,
}

/// Why no more is shown.
enum Over {
    /// As many as were wanted, or nobody reads.
    Enough,
    /// The stream ended or broke; in words.
    Broken(String),
}

impl Tail<'_> {
    async fn follow(mut self) -> Result<(), String> {
        let states = self.args.state.join(",");
        let path = with_query(
            "/v1/live",
            &[
                ("deliveries", Some("true")),
                ("host", self.args.host.as_deref()),
                ("state", (!states.is_empty()).then_some(&states)),
                ("campaign", self.args.campaign.as_deref()),
                ("recipient", self.args.recipient.as_deref()),
            ],
        );
        let mut stream = self.server.events(&path).await.map_err(|wrong| match wrong {
            Unanswered::Refused(StatusCode::NOT_FOUND, _) => {
                format!("the server at {} has no live events: it is older", self.server.url())
            }
            wrong => wrong.to_string(),
        })?;
        loop {
            match self.show(&mut stream).await {
                Over::Enough => return Ok(()),
                Over::Broken(why) => {
                    remark(&format!("{}: {why}; trying again", self.server.url()));
                    stream = self.open_again(&path, stream.retry()).await?;
                    remark("connected again; what ended meanwhile is not shown");
                }
            }
        }
    }

    /// Asks again and again, until the server is back or refuses.
    async fn open_again(
        &self,
        path: &str,
        wanted: Option<Duration>,
    ) -> Result<EventStream, Unanswered> {
        let mut pause = wanted.unwrap_or(PAUSE_FIRST).min(PAUSE_MAX);
        loop {
            // Many that lost the same server must not come back in one moment.
            actix_rt::time::sleep(pause.mul_f64(0.5 + fastrand::f64())).await;
            match self.server.events(path).await {
                Ok(stream) => return Ok(stream),
                Err(Unanswered::Refused(status, wrong)) if !passes(status) => {
                    return Err(Unanswered::Refused(status, wrong));
                }
                Err(Unanswered::NeedsKey) => return Err(Unanswered::NeedsKey),
                Err(_) => pause = (pause.max(PAUSE_FIRST) * 2).min(PAUSE_MAX),
            }
        }
    }

    async fn show(&mut self, stream: &mut EventStream) -> Over {
        loop {
            match stream.next().await {
                Ok(Some(event)) => {
                    if self.show_one(&event).is_err() || self.args.count == Some(self.shown) {
                        return Over::Enough;
                    }
                }
                Ok(None) => return Over::Broken("the server ended the stream".into()),
                Err(why) => return Over::Broken(why),
            }
        }
    }

    fn show_one(&mut self, event: &Event) -> Result<(), Closed> {
        match event.name.as_str() {
            "delivery" => {
                self.shown += 1;
                match self.args.json {
                    true => tell(&format!("{}\n", event.data)),
                    false => tell(&line(&serde_json::from_str(&event.data).unwrap_or_default())),
                }
            }
            "dropped" => {
                let dropped: DroppedView = serde_json::from_str(&event.data).unwrap_or_default();
                match self.args.json {
                    true => tell(&format!("{}\n", json!({ "dropped": dropped.count }))),
                    false => {
                        remark(&format!("{} are not shown: we read too slowly", dropped.count));
                        Ok(())
                    }
                }
            }
            _ => Ok(()),
        }
    }
}

/// Whether a refusal is for now only.
fn passes(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS
}

fn line(end: &EndView) -> String {
    let status = end.status.map_or("-".into(), |status| status.to_string());
    let took = end.latency_ms.map(milliseconds).unwrap_or_default();
    let target = if end.url.is_empty() { &end.host } else { &end.url };
    let mut text = format!(
        "{} {} {} {took:>7} {} {} {}",
        printable(&end.at),
        paint(style_of(&end.state), &format!("{:<9}", printable(&end.state))),
        paint(style_of_status(end.status), &format!("{status:>3}")),
        printable(&end.id),
        printable(&end.method),
        printable(target),
    );
    if end.attempts > 1 {
        text += &format!(" attempt {}", end.attempts);
    }
    match end.reason.as_deref().filter(|reason| !reason.is_empty()) {
        Some(reason) if end.state != "delivered" => text += &format!(" ({})", printable(reason)),
        _ => {}
    }
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> String {
        let end = serde_json::from_str(text).expect("an end");
        anstream::adapter::strip_str(&line(&end)).to_string()
    }

    #[test]
    fn an_end_is_one_line_with_its_id_whole() {
        assert_eq!(
            plain(
                r#"{"id":"d1","host":"a","state":"delivered","status":200,"attempts":1,
                    "url":"http://a/x","method":"POST","at":"2026-01-01T00:00:00.000Z",
                    "latency_ms":12.3,"reason":"answered 200"}"#
            ),
            "2026-01-01T00:00:00.000Z delivered 200   12 ms d1 POST http://a/x\n"
        );
        assert_eq!(
            plain(
                r#"{"id":"d1","state":"retried","status":null,"attempts":2,"url":"http://a/\u001b",
                    "method":"PUT","at":"t","reason":"connection refused"}"#
            ),
            "t retried     -         d1 PUT http://a/· attempt 2 (connection refused)\n"
        );
    }
}
