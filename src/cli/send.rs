//! `hostline send`: hands one webhook to a running server and watches until it has ended.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;

use super::follow::{follow, hand_over};
use super::output::{refuse, say};
use super::server::ServerArgs;
use crate::config::units::parse_duration;

const EXAMPLES: &str = "\
Examples:
  hostline send https://shop.example/hook --json '{\"order\": 7}'
  hostline send https://shop.example/hook -H 'authorization: Bearer abc' -d 'plain text'
  hostline send https://shop.example/hook --data-file photo.jpg -H 'content-type: image/jpeg'
  hostline send https://shop.example/hook --json '{}' --delay 5m --ttl 1h --no-wait
  echo '{\"order\": 7}' | hostline send https://shop.example/hook --data-file -

Exit codes: 0 delivered (with --no-wait: accepted), 1 ended otherwise,
2 refused by the server, or the server cannot be reached.";

/// Flags of `send`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct SendArgs {
    /// Where the webhook goes
    pub url: String,
    /// POST, PUT, GET or DELETE [default: POST]
    #[arg(short = 'X', long)]
    pub method: Option<String>,
    /// A header of the webhook, 'name: value' (repeatable)
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    pub headers: Vec<String>,
    /// Body: this text, as it stands
    #[arg(short, long, value_name = "DATA", group = "content")]
    pub data: Option<String>,
    /// Body: this JSON, as it stands
    #[arg(long, value_name = "JSON", group = "content")]
    pub json: Option<String>,
    /// Body: the bytes of this file; - reads standard input
    #[arg(long, value_name = "FILE", group = "content")]
    pub data_file: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgs,
    /// Deliver one after the other among those with this key
    #[arg(long, value_name = "KEY")]
    pub ordering_key: Option<String>,
    /// Not before this has passed, such as 5m
    #[arg(long, value_name = "DURATION", value_parser = vet_duration)]
    pub delay: Option<String>,
    /// Give up after this, such as 1h
    #[arg(long, value_name = "DURATION", value_parser = vet_duration)]
    pub ttl: Option<String>,
    /// Return as soon as the server has accepted it
    #[arg(long)]
    pub no_wait: bool,
    /// Print the server's answers as one JSON document, and nothing else
    #[arg(long)]
    pub json_output: bool,
}

/// Checked here so that a slip is told before anything is sent.
fn vet_duration(text: &str) -> Result<String, String> {
    parse_duration(text).map(|_| text.into()).map_err(|why| format!("the duration {why}"))
}

/// The body of `POST /v1/triggers`.
#[derive(Serialize)]
struct Trigger<'a> {
    webhook: Webhook<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delay: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ordering_key: Option<&'a str>,
}

#[derive(Serialize)]
struct Webhook<'a> {
    url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    /// The caller's own bytes: a number keeps every digit.
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body_base64: Option<String>,
}

/// Sends and, unless told otherwise, waits.
pub fn run(args: &SendArgs) -> ExitCode {
    let ready = trigger(args).and_then(|trigger| Ok((trigger, args.server.open()?)));
    let (trigger, server) = match ready {
        Ok(ready) => ready,
        Err(wrong) => return refuse(&wrong),
    };
    let result = actix_rt::System::new().block_on(async {
        let accepted = hand_over(&server, trigger).await?;
        if !args.no_wait {
            return follow(&server, &accepted, args.json_output).await;
        }
        if args.json_output {
            say(&format!("{}\n", accepted.raw.trim_end()));
        } else {
            say(&accepted.describe());
        }
        Ok(true)
    });
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(wrong) => refuse(&wrong),
    }
}

fn trigger(args: &SendArgs) -> Result<String, String> {
    let mut headers = read_headers(&args.headers)?;
    let mut body = None;
    let mut body_base64 = None;
    if let Some(text) = &args.data {
        body = Some(as_json_string(text));
    } else if let Some(text) = &args.json {
        body = Some(read_json(text, &mut headers)?);
    } else if let Some(path) = &args.data_file {
        body_base64 = Some(STANDARD.encode(read_bytes(path)?));
    }
    let method = args.method.as_ref().map(|method| method.to_ascii_uppercase());
    let trigger = Trigger {
        webhook: Webhook { url: &args.url, method, headers, body, body_base64 },
        delay: args.delay.as_deref(),
        ttl: args.ttl.as_deref(),
        ordering_key: args.ordering_key.as_deref(),
    };
    Ok(serde_json::to_string(&trigger).expect("strings and raw JSON serialise"))
}

/// Errors never repeat a value, which may be a credential.
fn read_headers(lines: &[String]) -> Result<BTreeMap<String, String>, String> {
    let mut headers = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once(':').ok_or("-H without `:`; write -H 'name: value'")?;
        let name = name.trim().to_ascii_lowercase();
        if name.is_empty() {
            return Err("-H without a name; write -H 'name: value'".into());
        }
        if headers.insert(name.clone(), value.trim().to_string()).is_some() {
            return Err(format!("the header `{name}` is given twice; a webhook has it once"));
        }
    }
    Ok(headers)
}

/// To the server a JSON string means raw text, so a body that is a JSON string goes as the text of
/// its JSON.
fn read_json(text: &str, headers: &mut BTreeMap<String, String>) -> Result<Box<RawValue>, String> {
    let raw: Box<RawValue> =
        serde_json::from_str(text).map_err(|error| format!("--json is not JSON: {error}"))?;
    if !raw.get().starts_with('"') {
        return Ok(raw);
    }
    headers.entry("content-type".into()).or_insert_with(|| "application/json".into());
    Ok(as_json_string(raw.get()))
}

fn as_json_string(text: &str) -> Box<RawValue> {
    serde_json::value::to_raw_value(text).expect("a string serialises")
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let result = if path.as_os_str() == "-" {
        std::io::stdin().lock().read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut bytes))
    };
    result.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: SendArgs,
    }

    fn trigger_of(line: &[&str]) -> Result<String, String> {
        let line = ["send", "http://a/"].iter().chain(line);
        trigger(&Line::try_parse_from(line).map_err(|error| error.to_string())?.args)
    }

    #[test]
    fn a_trigger_carries_what_was_asked() {
        let line = ["-X", "put", "-H", "A: b:c", "--json", "{\"n\": 1.10}", "--delay", "5m"];
        let expected = r#"{"webhook":{"url":"http://a/","method":"PUT","headers":{"a":"b:c"},"body":{"n": 1.10}},"delay":"5m"}"#;
        assert_eq!(trigger_of(&line).as_deref(), Ok(expected));
        let text = trigger_of(&["-d", "say \"hi\""]).expect("a trigger");
        assert!(text.contains(r#""body":"say \"hi\"""#), "{text}");
    }

    #[test]
    fn a_json_string_arrives_as_json() {
        let trigger = trigger_of(&["--json", "\"hi\""]).expect("a trigger");
        assert!(trigger.contains(r#""body":"\"hi\"""#), "{trigger}");
        assert!(trigger.contains(r#""content-type":"application/json""#), "{trigger}");
    }

    #[test]
    fn slips_are_told_before_anything_is_sent() {
        for (line, part) in [
            (&["-H", "token s3cret"][..], "without `:`"),
            (&["-H", "a: 1", "-H", "A: 2"], "given twice"),
            (&["--json", "{"], "is not JSON"),
            (&["--ttl", "90"], "has no unit"),
            (&["-d", "x", "--json", "1"], "cannot be used with"),
            (&["--data-file", "/nowhere/x"], "/nowhere/x cannot be read"),
        ] {
            let wrong = trigger_of(line).expect_err("wrong");
            assert!(wrong.contains(part), "{wrong}");
            assert!(!wrong.contains("s3cret"), "{wrong}");
        }
    }
}
