//! HTML.

use super::super::value::Value;
use super::super::write::{self, Builder, Push as _};
use super::{Arguments, Kit, Made};

pub(super) fn escape<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    if input.is_nil() {
        return Ok(input);
    }
    let text = write::text(&input, kit.budget)?;
    let mut out = kit.budget.builder();
    for letter in text.chars() {
        entity(letter, &mut out)?;
    }
    out.value(kit.budget)
}

fn entity(letter: char, out: &mut Builder) -> Result<(), String> {
    match letter {
        '&' => out.push("&amp;"),
        '<' => out.push("&lt;"),
        '>' => out.push("&gt;"),
        '"' => out.push("&quot;"),
        '\'' => out.push("&#39;"),
        other => out.push_char(other),
    }
}

/// As `escape`, but what is an entity already stays.
pub(super) fn escape_once<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    let text = write::text(&input, kit.budget)?;
    let mut out = kit.budget.builder();
    for (at, letter) in text.char_indices() {
        match letter == '&' && is_entity(&text[at + 1..]) {
            true => out.push("&")?,
            false => entity(letter, &mut out)?,
        }
    }
    out.value(kit.budget)
}

/// Letters, or `#` and digits, up to a semicolon. The longest named entity has 31 letters; looking
/// no further keeps a text full of `&` from being read again for each.
fn is_entity(text: &str) -> bool {
    let bytes = &text.as_bytes()[..text.len().min(33)];
    let Some(end) = bytes.iter().position(|byte| *byte == b';') else { return false };
    match bytes[..end].split_first() {
        Some((b'#', digits)) => !digits.is_empty() && digits.iter().all(u8::is_ascii_digit),
        Some(_) => bytes[..end].iter().all(u8::is_ascii_alphabetic),
        None => false,
    }
}

pub(super) fn newline_to_br<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    let text = write::text(&input, kit.budget)?;
    let mut out = kit.budget.builder();
    let mut lines = text.split('\n').peekable();
    while let Some(line) = lines.next() {
        match lines.peek() {
            Some(_) => {
                out.push(line.strip_suffix('\r').unwrap_or(line))?;
                out.push("<br />\n")?;
            }
            None => out.push(line)?,
        }
    }
    out.value(kit.budget)
}

/// Takes out scripts, styles, comments and tags.
pub(super) fn strip_html<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    const BLOCKS: &[(&str, &str)] =
        &[("<script", "</script>"), ("<!--", "-->"), ("<style", "</style>"), ("<", ">")];
    let text = write::text(&input, kit.budget)?;
    let mut out = kit.budget.builder();
    let mut rest = &*text;
    // An end that was not found once is nowhere further on either.
    let mut unended = [false; BLOCKS.len()];
    while let Some(at) = rest.find('<') {
        out.push(&rest[..at])?;
        rest = &rest[at..];
        let mut skipped = None;
        for (block, unended) in BLOCKS.iter().zip(&mut unended) {
            if *unended || !rest.starts_with(block.0) {
                continue;
            }
            skipped = rest.find(block.1).map(|end| end + block.1.len());
            *unended = skipped.is_none();
            if skipped.is_some() {
                break;
            }
        }
        if skipped.is_none() {
            out.push("<")?;
        }
        rest = &rest[skipped.unwrap_or(1)..];
    }
    out.push(rest)?;
    out.value(kit.budget)
}
