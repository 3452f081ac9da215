//! `hostline completions` and `hostline man`: made of the command line itself, so that they name
//! every command and flag there is.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::output::{refuse, say};
use super::{Cli, REFUSED};

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  hostline completions bash > /usr/share/bash-completion/completions/hostline
  hostline completions zsh > ~/.zfunc/_hostline
  hostline completions fish > ~/.config/fish/completions/hostline.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  hostline man | man -l -
  hostline man --out /usr/local/share/man/man1
      hostline.1, and a page for each command, such as hostline-hosts-pause.1

Exit codes: 0 done, 2 the directory cannot be written to.";

/// Flags of `completions`.
#[derive(Args, Clone, Debug)]
#[command(after_help = COMPLETIONS_EXAMPLES)]
pub struct CompletionsArgs {
    /// For which shell
    shell: ShellArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShellArg {
    Bash,
    Elvish,
    Fish,
    Powershell,
    Zsh,
}

/// Flags of `man`.
#[derive(Args, Clone, Debug)]
#[command(after_help = MAN_EXAMPLES)]
pub struct ManArgs {
    /// Write the pages of all commands into this directory, which is made if need be
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints a script of completions.
pub fn run_completions(args: &CompletionsArgs) -> ExitCode {
    let shell = match args.shell {
        ShellArg::Bash => Shell::Bash,
        ShellArg::Elvish => Shell::Elvish,
        ShellArg::Fish => Shell::Fish,
        ShellArg::Powershell => Shell::PowerShell,
        ShellArg::Zsh => Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hostline", &mut script);
    say(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

/// Prints the page of the whole, or writes all pages.
pub fn run_man(args: &ManArgs) -> ExitCode {
    match &args.out {
        Some(directory) => match write_pages(directory) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => refuse(&format!("--out {}: {error}", directory.display())),
        },
        None => {
            let mut page = Vec::new();
            match clap_mangen::Man::new(Cli::command()).render(&mut page) {
                Ok(()) => say(&String::from_utf8_lossy(&page)),
                Err(_) => return ExitCode::from(REFUSED),
            }
            ExitCode::SUCCESS
        }
    }
}

fn write_pages(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    let mut command: Command = Cli::command().disable_help_subcommand(true);
    command.build();
    write_page(directory, &command, "hostline")
}

/// The page of a command, and those of the commands below it.
fn write_page(directory: &Path, command: &Command, name: &str) -> std::io::Result<()> {
    let file = directory.join(format!("{name}.1"));
    let titled = command.clone().display_name(name.to_owned());
    let mut page = Vec::new();
    clap_mangen::Man::new(titled).render(&mut page)?;
    std::fs::write(file, page)?;
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write_page(directory, inner, &format!("{name}-{}", inner.get_name()))?;
    }
    Ok(())
}
