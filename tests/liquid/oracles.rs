//! Other Liquid engines, that `tests/liquid/install` fetches: each reads all templates of a run as
//! JSON lines from its standard input, and answers each with a line.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::corpus::Answer;

/// Where `tests/liquid/install` has put what is not of the system.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("oracles")
}

fn command(oracle: &str) -> Option<Command> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/liquid");
    let mut command = match oracle {
        "liquidjs" | "brazejs" => {
            let modules = installed().join("node/node_modules");
            modules.join(oracle).exists().then_some(())?;
            let mut command = Command::new("node");
            command.arg(sources.join("oracle.js")).arg(oracle).env("NODE_PATH", modules);
            command
        }
        "python-liquid" => {
            let python = installed().join("python/bin/python");
            python.exists().then_some(())?;
            let mut command = Command::new(python);
            command.arg(sources.join("oracle.py"));
            command
        }
        "shopify-liquid" => {
            let has_it = Command::new("ruby").args(["-e", "require 'liquid'"]).output();
            has_it.is_ok_and(|output| output.status.success()).then_some(())?;
            let mut command = Command::new("ruby");
            command.arg(sources.join("oracle.rb"));
            command
        }
        _ => panic!("no oracle {oracle}"),
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(command)
}

/// What an oracle makes of each template with its data; nothing where it is not installed, which is
/// said, and in CI (`CI=true`) is a failure.
pub fn ask(oracle: &str, cases: &[(&str, &Value)]) -> Option<Vec<Answer>> {
    let Some(mut command) = command(oracle) else {
        println!("{oracle} is not installed: skipped; tests/liquid/install installs it");
        let in_ci = std::env::var("CI").is_ok_and(|value| value == "true");
        assert!(!in_ci, "{oracle} is not installed, and in CI nothing may be skipped");
        return None;
    };
    let line = |(template, data): &(&str, &Value)| {
        json!({ "template": template, "data": data }).to_string()
    };
    let lines: Vec<String> = cases.iter().map(line).collect();
    let mut child = command.spawn().expect("it starts");
    let mut input = child.stdin.take().expect("a pipe");
    // It answers while it reads, so that neither side may wait for the other.
    let writer = std::thread::spawn(move || {
        use std::io::Write as _;
        let _closed_early = writeln!(input, "{}", lines.join("\n"));
    });
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("it was fed");
    assert!(output.status.success(), "{oracle} ended with {}", output.status);
    let said = String::from_utf8(output.stdout).expect("text");
    let answers: Vec<Answer> = said.lines().map(answer).collect();
    assert_eq!(answers.len(), cases.len(), "{oracle} answers each");
    Some(answers)
}

fn answer(line: &str) -> Answer {
    let said: Value = serde_json::from_str(line).expect("JSON");
    match (said["output"].as_str(), said["aborted"].as_str()) {
        (Some(output), _) => Answer::Output(output.to_owned()),
        (None, Some(reason)) => Answer::Aborted(Some(reason.to_owned())),
        (None, None) => Answer::Refused,
    }
}
