//! The terminal as `top` needs it: the alternate screen, no cursor, keys as they are pressed. However
//! `top` ends (a key, a signal, a panic), the terminal is given back as it was.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// Alternate screen, cursor hidden, long lines cut rather than wrapped.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[?7l";
/// All of that back.
const LEAVE: &str = "\x1b[?7h\x1b[?25h\x1b[?1049l";
/// What a terminal has that does not say.
const SIZE_DEFAULT: (usize, usize) = (80, 24);

/// A terminal that is taken over, until it is dropped.
pub(super) struct Screen {
    before: Option<Termios>,
    colored: bool,
}

impl Screen {
    /// Takes the terminal over. The error says what it does not let us do.
    pub(super) fn enter() -> io::Result<Self> {
        let input = io::stdin();
        let before = input.is_terminal().then(|| tcgetattr(&input)).transpose()?;
        let choice = anstream::AutoStream::choice(&io::stdout());
        let screen =
            Self { before: before.clone(), colored: choice != anstream::ColorChoice::Never };
        // A panic is told on the screen that was there before, where it can be read.
        let told = std::panic::take_hook();
        let kept = before.clone();
        std::panic::set_hook(Box::new(move |panic| {
            restore(kept.as_ref());
            told(panic);
        }));
        if let Some(mut raw) = before {
            raw.make_raw();
            tcsetattr(&input, OptionalActions::Now, &raw)?;
        }
        write(ENTER)?;
        Ok(screen)
    }

    /// Whether keys can be pressed.
    pub(super) fn has_keys(&self) -> bool {
        self.before.is_some()
    }

    /// Shows these lines and nothing else, in one write, so that nothing flickers.
    pub(super) fn draw(&self, lines: &[String]) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (index, line) in lines.iter().enumerate() {
            if index > 0 {
                text.push_str("\r\n");
            }
            match self.colored {
                true => text.push_str(line),
                false => text.push_str(&anstream::adapter::strip_str(line).to_string()),
            }
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        write(&text)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore(self.before.as_ref());
    }
}

/// Columns and lines of the terminal.
pub(super) fn size() -> (usize, usize) {
    match tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => {
            (usize::from(size.ws_col), usize::from(size.ws_row))
        }
        _ => SIZE_DEFAULT,
    }
}

fn restore(before: Option<&Termios>) {
    // Whatever fails here, there is nobody left to tell.
    if let Some(before) = before {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, before);
    }
    let _ = write(LEAVE);
}

fn write(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()
}
