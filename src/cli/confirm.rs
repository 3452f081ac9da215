//! Asking before something is changed that cannot be taken back.

use std::io::{IsTerminal, Write};

/// Whether a person says yes. Where nobody can be asked, only `--yes` does; the error says so.
pub(super) fn confirm(question: &str, yes: bool) -> Result<bool, String> {
    if yes {
        return Ok(true);
    }
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Err(format!("{question} Nobody can be asked here: say --yes if that is meant"));
    }
    let mut watcher = std::io::stderr().lock();
    let asked = write!(watcher, "{question} [y/N] ").and_then(|()| watcher.flush());
    asked.map_err(|error| format!("nobody can be asked: {error}"))?;
    let mut answer = String::new();
    input.read_line(&mut answer).map_err(|error| format!("nobody can be asked: {error}"))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}
