//! The words between `{{` and `}}` or `{%` and `%}`.

use super::fault::Fault;

/// What Liquid trims and splits at: the white space of ASCII, as in the original. A no-break space is
/// there to stay.
pub(super) const SPACE: [char; 6] = [' ', '\t', '\n', '\u{b}', '\u{c}', '\r'];

/// A word of an expression or tag.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind<'s> {
    /// A name, such as `event_properties`.
    Name(&'s str),
    /// The name in Braze's `${name}`; it may hold spaces.
    Profile(&'s str),
    /// A text in quotes. Liquid knows no escapes.
    Text(&'s str),
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Float(f64),
    /// Anything else.
    Symbol(&'static str),
}

/// A word and where it begins, in bytes from the start of the source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'s> {
    pub kind: Kind<'s>,
    pub at: usize,
}

/// What the words end with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closer {
    /// `}}`
    Output,
    /// `%}`
    Tag,
    /// The end of the source, which is a line of `{% liquid %}`.
    Line,
}

/// The words of one output or tag.
#[derive(Debug)]
pub(super) struct Words<'s> {
    pub tokens: Vec<Token<'s>>,
    /// Where the closer begins.
    pub end: usize,
    /// What follows the closer.
    pub after: usize,
    /// Whether the closer has a dash: white space after it goes.
    pub trims: bool,
}

/// Longest first, so that `<=` is not read as `<` and `=`.
const SYMBOLS: &[&str] = &[
    "..", "==", "!=", "<>", "<=", ">=", "{{", ".", "|", ":", ",", "(", ")", "[", "]", "=", "<", ">",
];

/// Reads words from byte `from` up to the closer.
pub(super) fn read(
    source: &str,
    from: usize,
    opener: usize,
    closer: Closer,
) -> Result<Words<'_>, Fault> {
    let mut tokens = Vec::new();
    // `{{ }}` inside a tag or output, as Braze's templates have it.
    let mut nested: Vec<usize> = Vec::new();
    let mut at = from;
    loop {
        let rest = source[at..].trim_start();
        at = source.len() - rest.len();
        if rest.is_empty() {
            return match (closer, nested.pop()) {
                (Closer::Line, None) => Ok(Words { tokens, end: at, after: at, trims: false }),
                (Closer::Line, Some(open)) => Err(unclosed(open, "{{", "}}")),
                (Closer::Output, _) => Err(unclosed(opener, "{{", "}}")),
                (Closer::Tag, _) => Err(unclosed(opener, "{%", "%}")),
            };
        }
        let trims = rest.starts_with('-');
        let close = &rest[usize::from(trims)..];
        let is_end = close.starts_with("}}") && closer == Closer::Output && nested.is_empty()
            || close.starts_with("%}") && closer == Closer::Tag;
        if is_end {
            return match nested.pop() {
                Some(open) => Err(unclosed(open, "{{", "}}")),
                None => {
                    let after = at + usize::from(trims) + 2;
                    Ok(Words { tokens, end: at, after, trims })
                }
            };
        }
        if close.starts_with("}}") && nested.pop().is_some() {
            tokens.push(Token { kind: Kind::Symbol("}}"), at });
            at += usize::from(trims) + 2;
            continue;
        }
        let (kind, length) = word(rest, at)?;
        if kind == Kind::Symbol("{{") {
            nested.push(at);
        }
        tokens.push(Token { kind, at });
        at += length;
    }
}

fn unclosed(at: usize, open: &str, close: &str) -> Fault {
    Fault::new(at, format!("`{open}` is never closed; write `{close}` after it"))
}

fn word(rest: &str, at: usize) -> Result<(Kind<'_>, usize), Fault> {
    let Some(first) = rest.chars().next() else {
        return Err(Fault::new(at, "the template ends in the middle"));
    };
    let second = rest.as_bytes().get(1).copied().unwrap_or(b' ');
    match first {
        '"' | '\'' => text(rest, first, at),
        '$' if second == b'{' => profile(rest, at),
        '{' if rest.starts_with("{{-") && !second_is_number(rest) => Ok((Kind::Symbol("{{"), 3)),
        '0'..='9' => number(rest, at),
        '-' if second.is_ascii_digit() => number(rest, at),
        letter if letter.is_alphabetic() || letter == '_' => Ok(name(rest)),
        other => match SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            Some(symbol) => Ok((Kind::Symbol(symbol), symbol.len())),
            None => Err(Fault::new(at, strange(other, rest))),
        },
    }
}

/// `{{-5}}`: the dash belongs to the number.
fn second_is_number(rest: &str) -> bool {
    rest.as_bytes().get(3).is_some_and(u8::is_ascii_digit)
}

fn strange(letter: char, rest: &str) -> String {
    match letter {
        '&' if rest.starts_with("&&") => "`&&` is not Liquid; write `and`".into(),
        '!' => "`!` is not Liquid; write `!=`, `unless` or `== false`".into(),
        '“' | '”' | '„' | '‘' | '’' => {
            format!("`{letter}` is a printer's quote; write a straight one: ' or \"")
        }
        '+' => "`+` is not Liquid; write `| plus: 1`".into(),
        '-' => "`-` is not Liquid; write `| minus: 1`".into(),
        '*' => "`*` is not Liquid; write `| times: 2`".into(),
        '/' => "`/` is not Liquid; write `| divided_by: 2`".into(),
        '$' => "`$` needs a name in braces: ${name}".into(),
        '}' | '%' => format!("`{letter}` alone closes nothing; write `}}}}` or `%}}`"),
        other => format!("`{}` has no meaning here", other.escape_debug()),
    }
}

fn text(rest: &str, quote: char, at: usize) -> Result<(Kind<'_>, usize), Fault> {
    match rest[1..].find(quote) {
        Some(end) => Ok((Kind::Text(&rest[1..=end]), end + 2)),
        None => Err(Fault::new(at, format!("the text is never closed; write {quote} at its end"))),
    }
}

fn profile(rest: &str, at: usize) -> Result<(Kind<'_>, usize), Fault> {
    let Some(end) = rest.find('}') else {
        return Err(Fault::new(at, "`${` is never closed; write `}` after the name"));
    };
    let name = rest[2..end].trim();
    if name.is_empty() || name.contains(['{', '\n']) {
        return Err(Fault::new(at, "`${…}` needs a name, such as ${first_name}"));
    }
    Ok((Kind::Profile(name), end + 1))
}

fn number(rest: &str, at: usize) -> Result<(Kind<'_>, usize), Fault> {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let sign = usize::from(rest.starts_with('-'));
    let whole = sign + digits(&rest[sign..]);
    let fraction = match rest[whole..].strip_prefix('.') {
        Some(after) => digits(after),
        None => 0,
    };
    let length = if fraction > 0 { whole + 1 + fraction } else { whole };
    if let Some(next) = rest[length..].chars().next()
        && (next.is_alphanumeric() || next == '_')
    {
        return Err(Fault::new(at, "is no number; a name begins with a letter, a text has quotes"));
    }
    let text = &rest[..length];
    let too_large = || Fault::new(at, "the number is too large");
    let kind = match fraction {
        0 => Kind::Int(text.parse().map_err(|_| too_large())?),
        _ => {
            let number: f64 = text.parse().map_err(|_| too_large())?;
            match number.is_finite() {
                true => Kind::Float(number),
                false => return Err(too_large()),
            }
        }
    };
    Ok((kind, length))
}

/// Letters, digits and `_`; a dash inside; a question mark at the end.
fn name(rest: &str) -> (Kind<'_>, usize) {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut length = 0;
    let mut letters = rest.chars().peekable();
    while let Some(letter) = letters.next() {
        let inside = letter == '-' && letters.peek().copied().is_some_and(is_letter);
        if !is_letter(letter) && !inside {
            break;
        }
        length += letter.len_utf8();
    }
    length += usize::from(rest[length..].starts_with('?'));
    (Kind::Name(&rest[..length]), length)
}
