//! `hostline why`: where a delivery is, why, what is in its way, when it goes, and what to do next.
//! All facts are the server's; what to do next is ours, from its words of closed lists.

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::Args;
use serde::Deserialize;

use super::output::{
    self, HEADING, count, document, moment, paint, printable, refuse, say, style_of,
    style_of_status,
};
use super::server::{ServerArgs, part};
use super::table::{Cell, Column, Table, terminal_width};
use crate::clock::Clock;
use crate::model::Timestamp;

const EXAMPLES: &str = "\
Examples:
  hostline why 01987d2f-5b6a-7c00-8000-0123456789ab
  hostline why $ID --json | jq -r '.blocked_by[].text'
  hostline why $ID || hostline redrive $ID

Exit codes: 0 delivered or still owed, 1 ended without success,
2 refused: no such delivery, or the server cannot be reached.";

const ATTEMPTS: &[Column] = &[
    Column::numbers("#"),
    Column::words("started"),
    Column::numbers("status"),
    Column::numbers("took"),
    Column::yielding("what it means"),
];

/// Flags of `why`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct WhyArgs {
    /// The delivery's id, as `send`, `tail` and the webhook's webhook-id header show it
    id: String,
    /// Print all that the server knows of it as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// A delivery with what is known of it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DeliveryView {
    id: String,
    trigger: String,
    host: String,
    state: String,
    method: String,
    url: String,
    accepted_at: String,
    expires_at: Option<String>,
    ended_at: Option<String>,
    reason: Option<String>,
    waits_for: Option<String>,
    next_attempt_at: Option<String>,
    /// What that time rests on, or why it is not known.
    expectation: Option<String>,
    retries_left: Option<u64>,
    ahead: Option<u64>,
    behind: Option<String>,
    blocked_by: Vec<Obstacle>,
    blocks_key: bool,
    ordering_key: Option<String>,
    attempts: Vec<AttemptView>,
}

/// One thing in its way.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Obstacle {
    what: String,
    text: String,
    until: Option<String>,
    host: Option<String>,
    delivery: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AttemptView {
    number: u64,
    started_at: String,
    status: Option<u64>,
    reason: String,
    meaning: String,
    timings: TimingsView,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TimingsView {
    total_us: u64,
}

/// Runs the command.
pub fn run(args: &WhyArgs) -> ExitCode {
    let asked = args.server.open().and_then(|server| {
        actix_rt::System::new().block_on(async {
            let path = format!("/v1/deliveries/{}", part(&args.id));
            let raw = server.ask("GET", &path, None).await?;
            let view: DeliveryView = server.read(&raw)?;
            let shown = match args.json {
                true => document(&server.read(&raw)?),
                false => view.words(Clock::system().wall(), terminal_width()),
            };
            Ok((shown, view.ended_badly()))
        })
    });
    match asked {
        Ok((shown, ended_badly)) => {
            say(&shown);
            if ended_badly { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(wrong) => refuse(&wrong),
    }
}

impl DeliveryView {
    fn ended_badly(&self) -> bool {
        matches!(self.state.as_str(), "failed" | "exhausted" | "expired" | "cancelled")
    }

    fn words(&self, now: Timestamp, width: Option<usize>) -> String {
        let state = self.state.replace('_', " ");
        let mut text = format!(
            "{} to {}: {}\n",
            paint(HEADING, &printable(&self.id)),
            printable(&self.host),
            paint(style_of(&self.state), &printable(&state))
        );
        for (name, words) in self.facts(now) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<10} {}", printable(&words));
        }
        if !self.attempts.is_empty() {
            let _ = write!(text, "\n{}", self.attempt_table().text(width));
        }
        let _ = writeln!(text, "\n{} {}", paint(HEADING, "next:"), printable(&self.advice()));
        text
    }

    fn facts(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut facts = vec![
            ("webhook", format!("{} {}", self.method, self.url)),
            ("accepted", format!("{}, trigger {}", moment(&self.accepted_at, now), self.trigger)),
        ];
        if let Some(at) = &self.ended_at {
            facts.push(("ended", moment(at, now)));
        }
        for (index, obstacle) in self.blocked_by.iter().enumerate() {
            let until = obstacle.until.as_deref().map(|at| format!(" (until {at})"));
            let words = format!("{}{}", obstacle.text, until.unwrap_or_default());
            facts.push((if index == 0 { "in its way" } else { "" }, words));
        }
        // The server's list of what is in its way says these already.
        let bare = self.blocked_by.is_empty();
        facts.extend(self.reason.clone().filter(|_| bare).map(|reason| ("why", reason)));
        if let Some(ahead) = self.ahead.filter(|ahead| bare && *ahead > 0) {
            facts.push(("place", format!("behind {} others of its host", count(ahead))));
        }
        if let Some(behind) = self.behind.as_deref().filter(|_| bare) {
            let key = self.ordering_key.as_deref().unwrap_or_default();
            facts.push(("order", format!("behind {behind}, which has the ordering key {key:?}")));
        }
        let at = self.next_attempt_at.as_deref().map(|at| moment(at, now));
        let goes: Vec<String> = at.into_iter().chain(self.expectation.clone()).collect();
        if !goes.is_empty() {
            facts.push(("goes", goes.join("; ")));
        }
        if let Some(left) = self.retries_left {
            facts.push(("retries", format!("{left} left")));
        }
        if let (None, Some(at)) = (&self.ended_at, &self.expires_at) {
            facts.push(("expires", moment(at, now)));
        }
        facts
    }

    fn attempt_table(&self) -> Table {
        let mut table = Table::new(ATTEMPTS);
        for attempt in &self.attempts {
            let status = attempt.status.map_or("-".into(), |status| status.to_string());
            // What an answer says is in its status; what kept one from coming is in the reason.
            let words = match attempt.reason.starts_with("answered ") {
                true => attempt.meaning.clone(),
                false => format!("{}: {}", attempt.reason, attempt.meaning),
            };
            table.push(vec![
                attempt.number.to_string().into(),
                attempt.started_at.as_str().into(),
                Cell::styled(status, style_of_status(attempt.status)),
                output::milliseconds(attempt.timings.total_us as f64 / 1000.0).into(),
                words.into(),
            ]);
        }
        table
    }

    /// What a person may do.
    fn advice(&self) -> String {
        let (id, host) = (&self.id, &self.host);
        let text = match self.state.as_str() {
            "delivered" => "nothing; the receiver took it".into(),
            "in_flight" => "nothing; the receiver's answer is awaited".into(),
            "scheduled" => format!(
                "nothing; it goes when its time has come (to stop it: hostline cancel {id})"
            ),
            "failed" => format!(
                "mend what the last attempt names, then send it again: hostline redrive {id}"
            ),
            "exhausted" => format!(
                "see whether {host} is well again (hostline hosts {host}), then: \
                 hostline redrive {id}"
            ),
            "expired" => format!(
                "if it still matters: hostline redrive {id}; give a longer ttl where it may wait"
            ),
            "cancelled" => {
                format!("nothing, if that was meant; else send it again: hostline redrive {id}")
            }
            _ => self.advice_while_waiting(),
        };
        match self.blocks_key {
            true => format!(
                "{text}. Those behind it in its ordering key wait until it is redriven, cancelled \
                 or skipped"
            ),
            false => text,
        }
    }

    fn advice_while_waiting(&self) -> String {
        let what = |obstacle: &Obstacle| obstacle.what.clone();
        let first = self.blocked_by.first();
        let what = first.map(what).or(self.waits_for.clone()).unwrap_or_default();
        let host = first.and_then(|obstacle| obstacle.host.as_ref()).unwrap_or(&self.host);
        match what.as_str() {
            "pause" => {
                format!("an operator paused {host}; let it go on: hostline hosts resume {host}")
            }
            "order" => {
                let head = first.and_then(|obstacle| obstacle.delivery.as_ref());
                match head.or(self.behind.as_ref()) {
                    Some(head) => format!("look at the one before it: hostline why {head}"),
                    None => {
                        "nothing; it goes when those before it in its ordering key ended".into()
                    }
                }
            }
            "cooldown" | "backoff" => format!(
                "nothing; it goes by itself once {host} is well (hostline hosts {host} shows how \
                 it fares)"
            ),
            _ => format!("nothing; it goes by itself (hostline hosts {host} shows its host)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> String {
        let view: DeliveryView = serde_json::from_str(text).expect("a delivery");
        let now = Timestamp::parse("2026-01-01T00:00:00Z").expect("a time");
        anstream::adapter::strip_str(&view.words(now, None)).to_string()
    }

    #[test]
    fn what_is_in_its_way_comes_with_what_to_do() {
        let text = words(
            r#"{"id":"d1","trigger":"t1","host":"a.example","state":"waiting","method":"POST",
                "url":"https://a.example/x","accepted_at":"2025-12-31T23:59:00Z",
                "reason":"all in one","waits_for":"pause","ahead":411,"retries_left":4,
                "expectation":"when it is resumed",
                "blocked_by":[
                  {"what":"pause","text":"paused by an operator: maintenance","host":"a.example"},
                  {"what":"queue","text":"behind 411 others","ahead":411,
                   "until":"2026-01-01T00:00:12Z"}],
                "attempts":[{"number":1,"started_at":"2025-12-31T23:59:01Z","status":503,
                   "reason":"answered 503","meaning":"the receiver is down",
                   "timings":{"total_us":12500}}]}"#,
        );
        for part in [
            "d1 to a.example: waiting\n",
            "accepted   2025-12-31T23:59:00Z (1 min ago), trigger t1\n",
            "in its way paused by an operator: maintenance\n",
            "           behind 411 others (until 2026-01-01T00:00:12Z)\n",
            "goes       when it is resumed\n",
            "retries    4 left\n",
            "1  2025-12-31T23:59:01Z     503  12 ms  the receiver is down\n",
            "next: an operator paused a.example; let it go on: hostline hosts resume a.example\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing:\n{text}");
        }
        assert!(!text.contains("place") && !text.contains("all in one"), "{text}");
    }

    #[test]
    fn an_older_server_tells_by_the_reason_and_the_place() {
        let text = words(
            r#"{"id":"d1","host":"a","state":"waiting","waits_for":"order","reason":"held",
                "behind":"d0","ordering_key":"k","ahead":2}"#,
        );
        assert!(text.contains("why        held\n"), "{text}");
        assert!(text.contains("place      behind 2 others of its host\n"), "{text}");
        assert!(text.contains("next: look at the one before it: hostline why d0\n"), "{text}");
    }

    #[test]
    fn every_state_has_advice_and_an_end_for_good_or_bad() {
        for (state, bad, part) in [
            ("delivered", false, "the receiver took it"),
            ("in_flight", false, "is awaited"),
            ("scheduled", false, "hostline cancel d1"),
            ("waiting", false, "goes by itself"),
            ("failed", true, "hostline redrive d1"),
            ("exhausted", true, "hostline redrive d1"),
            ("expired", true, "hostline redrive d1"),
            ("cancelled", true, "hostline redrive d1"),
        ] {
            let text = format!(r#"{{"id":"d1","host":"a","state":"{state}"}}"#);
            let view: DeliveryView = serde_json::from_str(&text).expect("a delivery");
            assert_eq!(view.ended_badly(), bad, "{state}");
            assert!(view.advice().contains(part), "{state}: {}", view.advice());
        }
    }
}
