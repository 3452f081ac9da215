//! Percent-encoding, as Braze's documentation shows it.

use super::super::value::Value;
use super::super::write::{self, Push as _};
use super::{Arguments, Kit, Made};

/// For a form or a query: a space becomes `+`.
pub(super) fn url_encode<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    encode(input, kit, true, |byte| b"-_.~".contains(&byte))
}

/// For a whole URL: what has a meaning in a URL stays.
pub(super) fn url_escape<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    encode(input, kit, false, |byte| b"-_.!~*'();/?:@&=+$,[]".contains(&byte))
}

/// For one part of a URL: only what has no meaning stays.
pub(super) fn url_param_escape<'a>(
    input: Value<'a>,
    _: &Arguments<'a>,
    kit: &mut Kit<'_>,
) -> Made<'a> {
    encode(input, kit, false, |byte| b"-_.~".contains(&byte))
}

fn encode<'a>(input: Value<'a>, kit: &mut Kit<'_>, plus: bool, stays: fn(u8) -> bool) -> Made<'a> {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    if input.is_nil() {
        return Ok(input);
    }
    let text = write::text(&input, kit.budget)?;
    let mut out = kit.budget.builder();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || stays(byte) {
            out.push_char(char::from(byte))?;
        } else if byte == b' ' && plus {
            out.push("+")?;
        } else {
            out.push("%")?;
            out.push_char(char::from(HEX[usize::from(byte >> 4)]))?;
            out.push_char(char::from(HEX[usize::from(byte & 15)]))?;
        }
    }
    out.value(kit.budget)
}

/// `+` is a space; `%` without two hexadecimal digits stays.
pub(super) fn url_decode<'a>(input: Value<'a>, _: &Arguments<'a>, kit: &mut Kit<'_>) -> Made<'a> {
    if input.is_nil() {
        return Ok(input);
    }
    let text = write::text(&input, kit.budget)?;
    kit.budget.build(text.len())?;
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digits = bytes.get(at + 1).zip(bytes.get(at + 2));
        let code = digits.and_then(|(high, low)| Some(hex(*high)? << 4 | hex(*low)?));
        match (byte, code) {
            (b'%', Some(code)) => {
                decoded.push(code);
                at += 2;
            }
            (b'+', _) => decoded.push(b' '),
            (other, _) => decoded.push(*other),
        }
        at += 1;
    }
    match String::from_utf8(decoded) {
        Ok(text) => Ok(Value::built(text)),
        Err(_) => Err("what is decoded is not UTF-8".into()),
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
