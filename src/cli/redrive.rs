//! `hostline redrive` and `hostline cancel`: dead letters again, or what is owed not at all; some by
//! their ids, or all that a filter finds, which is counted and asked about before anything happens.

use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use awc::http::StatusCode;
use clap::Args;
use serde_json::{Map, Value, json};

use super::confirm::confirm;
use super::output::{count, document, printable, refuse, remark, say};
use super::server::{Server, ServerArgs, Unanswered, part};
use crate::clock::Clock;
use crate::config::units::parse_duration;
use crate::model::Timestamp;

/// How often a running redrive is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

const REDRIVE_EXAMPLES: &str = "\
Examples:
  hostline redrive 01987d2f-5b6a-7c00-8000-0123456789ab
  hostline redrive --host shop.example --from 2h --dry-run
      Count its dead letters that were accepted in the last two hours
  hostline redrive --campaign welcome --state failed,exhausted --yes
  hostline redrive --all --until 2026-01-01T00:00:00Z
      Every dead letter that was accepted before

Without --state: failed, exhausted and expired. Cancelled ones are redriven where it names them.

Exit codes: 0 done, 1 not confirmed, or not all of it could be done, 2 refused.";

const CANCEL_EXAMPLES: &str = "\
Examples:
  hostline cancel 01987d2f-5b6a-7c00-8000-0123456789ab
  hostline cancel --campaign welcome --dry-run
  hostline cancel --host shop.example --metadata order=7 --yes

What is being sent right now finishes. Exit codes: 0 done, 1 not confirmed, or not all of it could
be done (such as what had ended already), 2 refused.";

/// Flags of `redrive`.
#[derive(Args, Clone, Debug)]
#[command(after_help = REDRIVE_EXAMPLES)]
pub struct RedriveArgs {
    /// Only those in one of these states: failed, exhausted, expired, cancelled
    #[arg(long, value_name = "STATE", value_delimiter = ',', help_heading = "Filter")]
    state: Vec<String>,
    #[command(flatten)]
    which: WhichArgs,
}

/// Flags of `cancel`.
#[derive(Args, Clone, Debug)]
#[command(after_help = CANCEL_EXAMPLES)]
pub struct CancelArgs {
    #[command(flatten)]
    which: WhichArgs,
}

/// Which deliveries.
#[derive(Args, Clone, Debug)]
struct WhichArgs {
    /// Ids of deliveries
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only those to this host
    #[arg(long, value_name = "HOST", help_heading = "Filter")]
    host: Option<String>,
    /// Only those of this campaign, by id or name
    #[arg(long, value_name = "CAMPAIGN", help_heading = "Filter")]
    campaign: Option<String>,
    /// Only those of this canvas, by id or name
    #[arg(long, value_name = "CANVAS", help_heading = "Filter")]
    canvas: Option<String>,
    /// Only those of this template, by id or name
    #[arg(long, value_name = "TEMPLATE", help_heading = "Filter")]
    template: Option<String>,
    /// Only those for this recipient
    #[arg(long, value_name = "EXTERNAL_ID", help_heading = "Filter")]
    recipient: Option<String>,
    /// Only those with this metadata (repeatable: all must be there)
    #[arg(long, value_name = "KEY=VALUE", help_heading = "Filter", value_parser = parse_pair)]
    metadata: Vec<(String, String)>,
    /// Only those accepted at this time or later: RFC 3339, or a duration before now such as 2h
    #[arg(long, value_name = "WHEN", help_heading = "Filter", value_parser = parse_when)]
    from: Option<Timestamp>,
    /// Only those accepted before this time
    #[arg(long, value_name = "WHEN", help_heading = "Filter", value_parser = parse_when)]
    until: Option<Timestamp>,
    /// All of them, when no filter says which
    #[arg(long, help_heading = "Filter")]
    all: bool,
    /// Count them, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("without `=`; write key=value")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

fn parse_when(text: &str) -> Result<Timestamp, String> {
    if let Some(time) = Timestamp::parse(text) {
        return Ok(time);
    }
    parse_duration(text).map(|ago| Clock::system().wall().minus(ago)).map_err(|_| {
        "write RFC 3339 with an offset, such as 2026-11-24T07:00:00Z, or a duration before now, \
         such as 2h"
            .into()
    })
}

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Action {
    Redrive,
    Cancel,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Action::Redrive => "redrive",
            Action::Cancel => "cancel",
        }
    }

    fn past(self) -> &'static str {
        match self {
            Action::Redrive => "redriven",
            Action::Cancel => "cancelled",
        }
    }
}

/// Runs `redrive`.
pub fn run(args: &RedriveArgs) -> ExitCode {
    carry_out(Action::Redrive, &args.which, &args.state)
}

/// Runs `cancel`.
pub fn run_cancel(args: &CancelArgs) -> ExitCode {
    carry_out(Action::Cancel, &args.which, &[])
}

fn carry_out(action: Action, which: &WhichArgs, states: &[String]) -> ExitCode {
    let ready = which.filter(states).and_then(|filter| Ok((filter, which.server.open()?)));
    let done = ready.and_then(|(filter, server)| {
        actix_rt::System::new().block_on(async {
            match filter {
                None => by_id(action, which, &server).await,
                Some(filter) => by_filter(action, which, &server, filter).await,
            }
        })
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(wrong) => refuse(&wrong),
    }
}

impl WhichArgs {
    /// The filter of the API; `None` where ids are given instead.
    fn filter(&self, states: &[String]) -> Result<Option<Value>, String> {
        let mut filter = Map::new();
        for (name, value) in [
            ("host", &self.host),
            ("campaign", &self.campaign),
            ("canvas", &self.canvas),
            ("template", &self.template),
            ("recipient", &self.recipient),
        ] {
            filter.extend(value.clone().map(|value| (name.to_owned(), value.into())));
        }
        for (name, time) in [("from", self.from), ("until", self.until)] {
            filter.extend(time.map(|time| (name.to_owned(), json!(time))));
        }
        if !self.metadata.is_empty() {
            let pairs = self.metadata.iter().cloned().map(|(key, value)| (key, value.into()));
            filter.insert("metadata".into(), Value::Object(pairs.collect()));
        }
        if !states.is_empty() {
            filter.insert("states".into(), json!(states));
        }
        match (self.ids.is_empty(), filter.is_empty() && !self.all) {
            (false, true) => Ok(None),
            (false, false) => Err("give ids or a filter, not both".into()),
            (true, true) => Err("which ones? Give ids, a filter such as --host, or --all".into()),
            (true, false) => Ok(Some(Value::Object(filter))),
        }
    }
}

/// One after the other, as each has an answer of its own. Whether all were done.
async fn by_id(action: Action, which: &WhichArgs, server: &Server) -> Result<bool, String> {
    if which.dry_run {
        return Err("--dry-run counts what a filter finds; of ids there is nothing to count".into());
    }
    let question = match which.ids.as_slice() {
        [id] => format!("{} delivery {id}?", capital(action.word())),
        ids => format!("{} {} deliveries?", capital(action.word()), ids.len()),
    };
    // Whoever names each one knows what is meant; on a terminal a slip of the mouse is asked about.
    let unasked = which.yes || which.ids.len() == 1 || !std::io::stdin().is_terminal();
    if !confirm(&question, unasked)? {
        remark("nothing was changed");
        return Ok(false);
    }
    let mut all_done = true;
    for id in &which.ids {
        let path = format!("/v1/deliveries/{}", part(id));
        let asked = match action {
            Action::Redrive => server.call("POST", &format!("{path}/redrive"), None).await,
            Action::Cancel => server.call("DELETE", &path, None).await,
        };
        match asked {
            Ok(answer) if which.json => say(&format!("{answer}\n")),
            Ok(_) => say(&format!("{} {}\n", printable(id), action.past())),
            Err(Unanswered::Refused(status, wrong)) if concerns_one(status) => {
                all_done = false;
                match which.json {
                    true => say(&format!("{}\n", json!({ "id": id, "error": wrong }))),
                    false => remark(&format!("{}: {wrong}", printable(id))),
                }
            }
            Err(wrong) => return Err(wrong.to_string()),
        }
    }
    Ok(all_done)
}

/// Whether a refusal is about one delivery, so that others may fare better.
fn concerns_one(status: StatusCode) -> bool {
    matches!(status, StatusCode::NOT_FOUND | StatusCode::CONFLICT | StatusCode::BAD_REQUEST)
}

/// Counts, asks, and follows it to its end. Whether it got there.
async fn by_filter(
    action: Action,
    which: &WhichArgs,
    server: &Server,
    filter: Value,
) -> Result<bool, String> {
    let body = |dry_run: bool| {
        let filter = filter.clone();
        Some(json!({ "action": action.word(), "filter": filter, "dry_run": dry_run }))
    };
    if which.dry_run || !which.yes {
        let counted = server.call("POST", "/v1/redrives", body(true)).await?;
        let matched = counted["matched"].as_u64().unwrap_or_default();
        let more = if counted["counted_to_the_end"] == false { " or more" } else { "" };
        if which.dry_run {
            say(&match which.json {
                true => document(&counted),
                false => format!("{}{more} would be {}\n", count(matched), action.past()),
            });
            return Ok(true);
        }
        let verb = capital(action.word());
        if !confirm(&format!("{verb} {}{more} deliveries?", count(matched)), false)? {
            remark("nothing was changed");
            return Ok(false);
        }
    }
    let begun = server.call("POST", "/v1/redrives", body(false)).await?;
    let ended = follow(action, server, begun).await?;
    let state = ended["state"].as_str().unwrap_or("lost").to_owned();
    let number = |name: &str| count(ended[name].as_u64().unwrap_or_default());
    say(&match which.json {
        true => document(&ended),
        false => format!(
            "{state}: {} looked at, {} {}, {} had changed meanwhile\n",
            number("matched"),
            number("done"),
            action.past(),
            number("skipped"),
        ),
    });
    Ok(state == "done")
}

/// Looks at it until it has ended, and shows how far it is where somebody watches.
async fn follow(action: Action, server: &Server, mut progress: Value) -> Result<Value, String> {
    let watched = std::io::stderr().is_terminal();
    let path = format!("/v1/redrives/{}", part(progress["id"].as_str().unwrap_or_default()));
    while progress["ended_at"].is_null() {
        actix_rt::time::sleep(LOOK_EVERY).await;
        progress = server.call("GET", &path, None).await?;
        if watched {
            let done = progress["done"].as_u64().unwrap_or_default();
            eprint!("\r{} {} so far", count(done), action.past());
        }
    }
    if watched {
        eprint!("\r\x1b[K");
    }
    Ok(progress)
}

fn capital(word: &str) -> String {
    word[..1].to_ascii_uppercase() + &word[1..]
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: RedriveArgs,
    }

    fn filter_of(line: &[&str]) -> Result<Option<Value>, String> {
        let line = ["redrive"].iter().chain(line);
        let args = Line::try_parse_from(line).map_err(|error| error.to_string())?.args;
        args.which.filter(&args.state)
    }

    #[test]
    fn flags_become_the_filter() {
        let line = ["--host", "a", "--state", "failed,expired", "--metadata", "order=7=8"];
        let wanted =
            json!({"host": "a", "states": ["failed", "expired"], "metadata": {"order": "7=8"}});
        assert_eq!(filter_of(&line), Ok(Some(wanted)));
        let line = ["--from", "2026-01-01T02:00:00+02:00"];
        assert_eq!(filter_of(&line), Ok(Some(json!({"from": "2026-01-01T00:00:00.000Z"}))));
        assert!(filter_of(&["--until", "2h"]).is_ok_and(|filter| filter.is_some()));
        assert_eq!(filter_of(&["d1", "d2"]), Ok(None));
        assert_eq!(filter_of(&["--all"]), Ok(Some(json!({}))));
    }

    #[test]
    fn nothing_is_meant_by_silence() {
        assert!(filter_of(&[]).is_err_and(|wrong| wrong.contains("which ones")));
        assert!(filter_of(&["d1", "--host", "a"]).is_err_and(|wrong| wrong.contains("not both")));
        assert!(filter_of(&["--from", "yesterday"]).is_err_and(|wrong| wrong.contains("RFC 3339")));
        assert!(
            filter_of(&["--metadata", "order"]).is_err_and(|wrong| wrong.contains("key=value"))
        );
    }
}
