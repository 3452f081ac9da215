//! The manuals about security name settings, commands and flags that there are.

use std::path::Path;

use clap::{Command, CommandFactory};
use hostline::cli::Cli;
use hostline::config::known_keys;

const MANUALS: [&str; 2] = ["SECURITY.md", "docs/security.md"];

/// What stands as code in a manual: lines of blocks, with the block's language, and spans of lines.
fn code(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    for (index, block) in text.split("```").enumerate() {
        if index % 2 == 1 {
            let (language, lines) = block.split_once('\n').unwrap_or_default();
            found.extend(lines.lines().map(|line| (language, line)));
        } else {
            found.extend(block.split('`').skip(1).step_by(2).map(|span| ("", span)));
        }
    }
    found
}

fn manual(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// A span such as `server.listen`, or `server.listen = "…"`; not `config.toml`.
fn setting(span: &str) -> Option<&str> {
    let path = span.split([' ', '=']).next()?;
    let (section, _) = path.split_once('.')?;
    let is_letter = |byte: u8| byte == b'_' || byte.is_ascii_lowercase();
    let is_word = |part: &str| !part.is_empty() && part.bytes().all(is_letter);
    let is_section = known_keys().any(|key| key.split('.').next() == Some(section));
    (is_section && path.split('.').all(is_word)).then_some(path)
}

#[test]
fn every_setting_that_a_manual_names_is_known() {
    let mut named = 0;
    for name in MANUALS {
        let text = manual(name);
        for path in code(&text).into_iter().filter_map(|(_, span)| setting(span)) {
            assert!(known_keys().any(|key| key == path), "{name} names {path}, which nobody knows");
            named += 1;
        }
    }
    assert!(named > 30, "{named} settings are named");
}

#[test]
fn every_setting_of_an_example_is_known() {
    for name in MANUALS {
        let text = manual(name);
        let lines = code(&text).into_iter().filter(|(language, _)| *language == "toml");
        let example: Vec<&str> = lines.map(|(_, line)| line).collect();
        let table: toml::Table = example.join("\n").parse().expect("an example is TOML");
        let mut left: Vec<(String, &toml::Value)> =
            table.iter().map(|(key, value)| (key.clone(), value)).collect();
        while let Some((path, value)) = left.pop() {
            match value {
                toml::Value::Table(inner) => {
                    left.extend(inner.iter().map(|(key, value)| (format!("{path}.{key}"), value)));
                }
                _ => assert!(known_keys().any(|key| key == path), "{name} sets {path}"),
            }
        }
    }
}

/// Follows the words of a command line; answers the command that they lead to.
fn follow<'a>(words: &mut std::iter::Peekable<impl Iterator<Item = &'a str>>) -> Command {
    let mut command = Cli::command();
    command.build();
    while command.has_subcommands() {
        let Some(word) = words.peek().filter(|word| word.starts_with(char::is_lowercase)) else {
            break;
        };
        let next = command.find_subcommand(word);
        // A command may take a word of its own instead, such as the name of a host.
        if next.is_none() && command.get_positionals().next().is_some() {
            break;
        }
        let next = next.unwrap_or_else(|| panic!("{} has no {word}", command.get_name()));
        command = next.clone();
        words.next();
    }
    command
}

#[test]
fn every_command_and_flag_that_a_manual_names_is_there() {
    let mut named = 0;
    for name in MANUALS.into_iter().chain(["docs/operations.md"]) {
        let text = manual(name);
        for (_, span) in code(&text) {
            let Some(line) = span.strip_prefix("hostline ") else { continue };
            let ends = |word: &&str| !["#", ">", "|"].contains(word);
            let mut words = line.split_whitespace().take_while(ends).peekable();
            let command = follow(&mut words);
            for flag in words.filter_map(|word| word.strip_prefix("--")) {
                let known = command.get_arguments().any(|arg| arg.get_long() == Some(flag));
                assert!(known, "{name}: {} has no --{flag}", command.get_name());
            }
            named += 1;
        }
    }
    assert!(named > 20, "{named} commands are named");
}
