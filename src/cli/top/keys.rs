//! What was pressed, from the bytes that a terminal in raw mode gives.

/// A key that `top` knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Letter(char),
    Enter,
    Escape,
    Backspace,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    Home,
    End,
    /// Ctrl-C, which raw mode gives as a byte.
    Interrupt,
}

/// The keys of what came in one read. What is unknown is left out; an escape sequence comes whole in
/// one read, so that an escape with nothing behind it is the key.
pub(super) fn decode(bytes: &[u8]) -> Vec<Key> {
    let text = String::from_utf8_lossy(bytes);
    let mut signs = text.chars().peekable();
    let mut keys = Vec::new();
    while let Some(sign) = signs.next() {
        let key = match sign {
            '\u{1b}' => match signs.next_if(|next| matches!(next, '[' | 'O')) {
                Some(_) => sequence(&mut signs),
                None => Some(Key::Escape),
            },
            '\r' | '\n' => Some(Key::Enter),
            '\u{7f}' | '\u{8}' => Some(Key::Backspace),
            '\u{3}' => Some(Key::Interrupt),
            sign if sign.is_control() || sign == char::REPLACEMENT_CHARACTER => None,
            sign => Some(Key::Letter(sign)),
        };
        keys.extend(key);
    }
    keys
}

/// What stands behind `ESC [` or `ESC O`: numbers and a last sign.
fn sequence(signs: &mut impl Iterator<Item = char>) -> Option<Key> {
    let mut numbers = String::new();
    for sign in signs {
        if sign.is_ascii_digit() || sign == ';' {
            numbers.push(sign);
            continue;
        }
        return match (sign, numbers.as_str()) {
            ('A', _) => Some(Key::Up),
            ('B', _) => Some(Key::Down),
            ('C', _) => Some(Key::Right),
            ('D', _) => Some(Key::Left),
            ('H', _) | ('~', "1" | "7") => Some(Key::Home),
            ('F', _) | ('~', "4" | "8") => Some(Key::End),
            ('~', "5") => Some(Key::PageUp),
            ('~', "6") => Some(Key::PageDown),
            _ => None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_from_their_bytes() {
        for (bytes, keys) in [
            (&b"q"[..], &[Key::Letter('q')][..]),
            (b"\x1b", &[Key::Escape]),
            (b"\x1b[A\x1b[B\x1bOA", &[Key::Up, Key::Down, Key::Up]),
            (b"\x1b[5~\x1b[6~", &[Key::PageUp, Key::PageDown]),
            (b"\x1b[1;5H\x1b[4~", &[Key::Home, Key::End]),
            (b"/a\x7f\r", &[Key::Letter('/'), Key::Letter('a'), Key::Backspace, Key::Enter]),
            (b"\x03", &[Key::Interrupt]),
            ("ü".as_bytes(), &[Key::Letter('ü')]),
            (b"\x1b[15~\x00\xff\x1b[", &[]),
        ] {
            assert_eq!(decode(bytes), keys, "{bytes:?}");
        }
    }
}
