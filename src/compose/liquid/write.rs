//! Writing values: as Liquid prints them, and as JSON. Both write into anything that takes text and
//! may say that it is full.

use serde_json::Value as Json;

use super::budget::{Budget, too_long};
use super::value::{Mark, Text, Value};

/// Takes text, up to a limit.
pub(super) trait Push {
    /// Appends `part`, or says that it is too much.
    fn push(&mut self, part: &str) -> Result<(), String>;

    /// An item of an array is looked at, which may have nothing to print.
    fn item(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// A text that is being built, up to a limit.
pub(super) struct Builder {
    text: String,
    limit: usize,
    items: usize,
}

impl Builder {
    /// An empty text of at most `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { text: String::new(), limit, items: 0 }
    }

    /// Pays for the text and hands it over.
    pub fn finish(self, budget: &mut Budget) -> Result<String, String> {
        budget.burn(self.items as u64)?;
        budget.build(self.text.len())?;
        Ok(self.text)
    }

    /// The text as a value, paid for.
    pub fn value<'a>(self, budget: &mut Budget) -> Result<Value<'a>, String> {
        self.finish(budget).map(Value::built)
    }

    /// Appends one character.
    pub fn push_char(&mut self, letter: char) -> Result<(), String> {
        self.push(letter.encode_utf8(&mut [0; 4]))
    }
}

impl Push for Builder {
    fn push(&mut self, part: &str) -> Result<(), String> {
        if part.len() > self.limit - self.text.len() {
            return Err(too_long(self.limit));
        }
        self.text.push_str(part);
        Ok(())
    }

    fn item(&mut self) -> Result<(), String> {
        self.items += 1;
        match self.items > self.limit {
            true => Err(too_long(self.limit)),
            false => Ok(()),
        }
    }
}

impl Push for String {
    fn push(&mut self, part: &str) -> Result<(), String> {
        self.push_str(part);
        Ok(())
    }
}

/// A writer for serde_json over a `Push`.
struct Bytes<'p, P> {
    push: &'p mut P,
    full: Option<String>,
}

impl<P: Push> std::io::Write for Bytes<'_, P> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        // serde_json writes whole characters.
        let text = std::str::from_utf8(bytes).map_err(std::io::Error::other)?;
        match self.push.push(text) {
            Ok(()) => Ok(bytes.len()),
            Err(why) => {
                self.full = Some(why);
                Err(std::io::ErrorKind::FileTooLarge.into())
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Writes a value as `{{ }}` prints it.
pub(super) fn plain(value: &Value<'_>, out: &mut impl Push) -> Result<(), String> {
    match value {
        Value::Nil | Value::Empty | Value::Blank | Value::Loop(_) => Ok(()),
        Value::Text(text, _) => out.push(text),
        Value::Range(first, last) => out.push(&format!("{first}..{last}")),
        Value::Json(Json::Array(items)) => {
            items.iter().try_for_each(|item| plain_item(&Value::of_json(item), out))
        }
        Value::List(items) => items.iter().try_for_each(|item| plain_item(item, out)),
        Value::Time(time) => out.push(&shown(time)),
        Value::Bool(_) | Value::Int(_) | Value::Large(_) | Value::Float(_) => scalar(value, out),
        Value::Json(_) | Value::Map(_) => json(value, out),
    }
}

fn plain_item(item: &Value<'_>, out: &mut impl Push) -> Result<(), String> {
    out.item()?;
    plain(item, out)
}

/// Writes a value as JSON.
pub(super) fn json(value: &Value<'_>, out: &mut impl Push) -> Result<(), String> {
    match value {
        Value::Nil | Value::Empty | Value::Blank | Value::Loop(_) => out.push("null"),
        Value::Bool(_) | Value::Int(_) | Value::Large(_) | Value::Float(_) => scalar(value, out),
        Value::Text(text, _) => quoted(text, out),
        Value::Time(time) => quoted(&shown(time), out),
        Value::Json(json) => of_scope(json, out),
        Value::List(items) => listed(items.iter().cloned(), out),
        Value::Range(..) => {
            listed((0..value.length().unwrap_or(0)).map(|index| value.item(index)), out)
        }
        Value::Map(fields) => {
            out.push("{")?;
            for (index, (key, field)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(",")?;
                }
                quoted(key, out)?;
                out.push(":")?;
                json(field, out)?;
            }
            out.push("}")
        }
    }
}

fn listed<'a>(items: impl Iterator<Item = Value<'a>>, out: &mut impl Push) -> Result<(), String> {
    out.push("[")?;
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push(",")?;
        }
        json(&item, out)?;
    }
    out.push("]")
}

fn of_scope(json: &Json, out: &mut impl Push) -> Result<(), String> {
    let mut bytes = Bytes { push: out, full: None };
    match serde_json::to_writer(&mut bytes, json) {
        Ok(()) => Ok(()),
        Err(error) => Err(bytes.full.unwrap_or_else(|| error.to_string())),
    }
}

fn scalar(value: &Value<'_>, out: &mut impl Push) -> Result<(), String> {
    match value {
        Value::Bool(truth) => out.push(if *truth { "true" } else { "false" }),
        Value::Int(number) => integer(*number < 0, number.unsigned_abs(), out),
        Value::Large(number) => integer(false, *number, out),
        Value::Float(number) => out.push(&float(*number)),
        _ => Ok(()),
    }
}

/// Digits without the machinery of `format!`, which bodies are full of.
fn integer(negative: bool, mut number: u64, out: &mut impl Push) -> Result<(), String> {
    let mut digits = [0_u8; 20];
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + u8::try_from(number % 10).unwrap_or(0);
        number /= 10;
        if number == 0 {
            break;
        }
    }
    if negative {
        out.push("-")?;
    }
    out.push(std::str::from_utf8(&digits[from..]).unwrap_or_default())
}

/// A float as Ruby prints it, which Liquid does: `1.0`, `0.0001`, `1.0e-05`, `1.0e+16`. Valid JSON.
pub(super) fn float(number: f64) -> String {
    if number == 0.0 {
        return if number.is_sign_negative() { "-0.0".into() } else { "0.0".into() };
    }
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let point = |digits: &str| if digits.contains('.') { "" } else { ".0" };
    if (-4..16).contains(&exponent) {
        let digits = number.to_string();
        return format!("{digits}{}", point(&digits));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}{}e{sign}{:02}", point(mantissa), exponent.unsigned_abs())
}

/// A time as Ruby prints it.
fn shown(time: &jiff::ZonedDateTime) -> String {
    super::strftime::format("%Y-%m-%d %H:%M:%S %z", time, 64).unwrap_or_default()
}

/// The characters of a value, borrowed where it is a text.
pub(super) fn text<'a>(value: &Value<'a>, budget: &mut Budget) -> Result<Text<'a>, String> {
    match value {
        Value::Text(text, _) => Ok(text.clone()),
        other => {
            let mut builder = budget.builder();
            plain(other, &mut builder)?;
            Ok(Text::Shared(builder.finish(budget)?.into()))
        }
    }
}

/// A text as a JSON string.
pub(super) fn quoted(text: &str, out: &mut impl Push) -> Result<(), String> {
    out.push("\"")?;
    escaped(text, out)?;
    out.push("\"")
}

/// A text as the inside of a JSON string.
pub(super) fn escaped(text: &str, out: &mut impl Push) -> Result<(), String> {
    let bytes = text.as_bytes();
    let mut written = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if *byte >= b' ' && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.push(&text[written..at])?;
        written = at + 1;
        match byte {
            b'"' => out.push("\\\"")?,
            b'\\' => out.push("\\\\")?,
            b'\n' => out.push("\\n")?,
            b'\r' => out.push("\\r")?,
            b'\t' => out.push("\\t")?,
            control => out.push(&format!("\\u{control:04x}"))?,
        }
    }
    out.push(&text[written..])
}

/// A text that a filter built from JSON or for JSON, with its mark.
pub(super) fn marked<'a>(
    builder: Builder,
    mark: Mark,
    budget: &mut Budget,
) -> Result<Value<'a>, String> {
    Ok(Value::Text(Text::Shared(builder.finish(budget)?.into()), mark))
}
