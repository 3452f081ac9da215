//! Completions and manual pages: for every command, with every flag.

use clap::{Command, CommandFactory};
use hostline::cli::Cli;

use super::{command, out};

/// Every command that is shown, under its name with dashes.
fn commands() -> Vec<(String, Command)> {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    let mut found = Vec::new();
    let mut left = vec![("hostline".to_owned(), root)];
    while let Some((name, command)) = left.pop() {
        for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
            left.push((format!("{name}-{}", inner.get_name()), inner.clone()));
        }
        found.push((name, command));
    }
    found
}

fn flags(command: &Command) -> impl Iterator<Item = &str> {
    command.get_arguments().filter(|arg| !arg.is_hide_set()).filter_map(|arg| arg.get_long())
}

#[test]
fn there_is_a_page_for_every_command_and_it_names_every_flag() {
    let directory = tempfile::tempdir().expect("a directory");
    let pages = directory.path().join("man1");
    let output = command(&["man", "--out", pages.to_str().expect("a path")]).output();
    assert!(output.expect("the program starts").status.success());
    let commands = commands();
    assert!(commands.len() > 25, "{} commands", commands.len());
    for (name, command) in &commands {
        let page = std::fs::read_to_string(pages.join(format!("{name}.1")))
            .unwrap_or_else(|error| panic!("{name}.1: {error}"));
        let page = page.replace("\\-", "-");
        for flag in flags(command) {
            assert!(page.contains(&format!("--{flag}")), "{name}.1 is silent on --{flag}");
        }
    }
    let written = std::fs::read_dir(&pages).expect("a directory").count();
    assert_eq!(written, commands.len(), "one page each and none besides");
    let page = out(&command(&["man"]).output().expect("the program starts"));
    assert!(page.contains(".TH hostline 1"), "{page}");
    assert!(!page.contains("bench\\-driver"), "{page}");
}

#[test]
fn completions_name_every_command_and_flag() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let output = command(&["completions", shell]).output().expect("the program starts");
        assert_eq!(output.status.code(), Some(0), "{shell}");
        let script = out(&output);
        for (name, command) in commands() {
            let last = name.rsplit('-').next().expect("a name");
            assert!(script.contains(last), "{shell} is silent on {name}");
            for flag in flags(&command) {
                assert!(script.contains(flag), "{shell} is silent on {name} --{flag}");
            }
        }
    }
    assert_eq!(
        command(&["completions", "tcsh"]).output().expect("it starts").status.code(),
        Some(2)
    );
}

#[test]
fn every_command_says_its_exit_codes_or_is_under_one_that_does() {
    let commands = commands();
    let says = |command: &Command| {
        let help = command.get_after_help();
        help.is_some_and(|help| help.to_string().contains("Exit codes"))
    };
    for (name, command) in &commands {
        let mut above = commands.iter().filter(|(above, _)| {
            name.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with('-'))
        });
        assert!(says(command) || above.any(|(_, above)| says(above)), "{name}");
    }
}
