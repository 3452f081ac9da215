//! Bodies. A JSON body stays its author's bytes (order, spelling of numbers), and only the strings
//! in it that hold Liquid are compiled; a text body is one template.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::input::{BodyType, Input};
use super::{Fault, RenderFault};
use crate::admission::push_token;
use crate::compose::liquid::{Budget, Context, Scope, Template};
use crate::model::Method;

/// Objects and arrays inside one another, as for a trigger's body.
const NESTING_MAX: usize = 128;

/// A compiled body.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// Nothing to render.
    Fixed(Bytes, &'static str),
    /// A JSON value.
    Json(Vec<Part>),
    /// Text. It is JSON text where the first says so, or the content type does.
    Text(bool, Template),
}

/// A part of a JSON body.
#[derive(Clone, Debug)]
pub(super) enum Part {
    /// The author's bytes.
    Verbatim(Box<str>),
    /// A string with Liquid in it, by its pointer. The quotes are not in it.
    Text(Box<str>, Template),
    /// A string that is one output of JSON: it becomes that value.
    Value(Box<str>, Template),
}

const JSON: &str = "application/json";

impl Body {
    /// Compiles the body of a document, under the rules that a trigger's body has.
    pub fn compile(input: &Input<'_>, method: Method) -> Result<Option<Body>, Fault> {
        let (pointer, body) = match (input.body, &input.body_base64) {
            (Some(_), Some(_)) => {
                let detail = "give either `body` or `body_base64`, not both";
                return Err(Fault::new("/body_base64", detail));
            }
            (None, None) if input.body_type.is_some() => {
                return Err(Fault::new("/body_type", "is given, but there is no `body`"));
            }
            (None, None) => return Ok(None),
            (Some(raw), None) if method == Method::Get && raw.get() == "null" => return Ok(None),
            (_, Some(text)) => ("/body_base64", binary(text, input.body_type)?),
            (Some(raw), None) => ("/body", written(raw.get(), input.body_type)?),
        };
        let detail = match method {
            Method::Get => "a GET carries no body; leave it out or send a POST",
            Method::Delete if !input.delete_with_body => {
                "a DELETE carries no body, unless \"delete_with_body\": true says that the \
                 receiver wants one"
            }
            Method::Delete | Method::Post | Method::Put => return Ok(Some(body)),
        };
        Err(Fault::new(pointer, detail))
    }

    /// The content type that it suggests.
    pub fn content_type(&self) -> &'static str {
        match self {
            Body::Fixed(_, content_type) => content_type,
            Body::Json(_) | Body::Text(true, _) => JSON,
            Body::Text(false, _) => "text/plain; charset=utf-8",
        }
    }

    /// Renders it; `says_json` is whether the content type is JSON.
    pub fn render(
        &self,
        scope: &Scope<'_>,
        says_json: bool,
        budget: &mut Budget,
    ) -> Result<Bytes, RenderFault> {
        match self {
            Body::Fixed(bytes, _) => Ok(bytes.clone()),
            Body::Json(parts) => render_parts(parts, scope, budget),
            Body::Text(is_json, template) => {
                let context = if *is_json || says_json { Context::Json } else { Context::Text };
                let text = template.render(scope, context, budget);
                text.map(Bytes::from).map_err(|why| RenderFault::new("/body", why))
            }
        }
    }
}

fn render_parts(
    parts: &[Part],
    scope: &Scope<'_>,
    budget: &mut Budget,
) -> Result<Bytes, RenderFault> {
    let size = |part: &Part| match part {
        Part::Verbatim(text) => text.len(),
        Part::Text(_, template) | Part::Value(_, template) => template.source().len() + 16,
    };
    let mut out = String::with_capacity(parts.iter().map(size).sum());
    for part in parts {
        let (pointer, result) = match part {
            Part::Verbatim(text) => {
                let left = budget.output.checked_sub(text.len()).ok_or_else(|| {
                    let detail = "what is rendered is too large; shorten the body";
                    RenderFault::Failed(Fault::new("/body", detail))
                })?;
                budget.output = left;
                out.push_str(text);
                continue;
            }
            Part::Text(pointer, template) => {
                out.push('"');
                let result = template.render_json_string(scope, budget, &mut out);
                out.push('"');
                (pointer, result)
            }
            Part::Value(pointer, template) => {
                (pointer, template.render_into(scope, Context::Json, budget, &mut out))
            }
        };
        result.map_err(|why| RenderFault::new(pointer, why))?;
    }
    Ok(Bytes::from(out))
}

fn binary(text: &str, body_type: Option<BodyType>) -> Result<Body, Fault> {
    if body_type.is_some() {
        return Err(Fault::new("/body_type", "has no meaning beside `body_base64`"));
    }
    match STANDARD.decode(text) {
        Ok(bytes) => Ok(Body::Fixed(bytes.into(), "application/octet-stream")),
        Err(why) => {
            let detail = format!("is not base64 (RFC 4648, padded): {why}");
            Err(Fault::new("/body_base64", detail))
        }
    }
}

fn written(json: &str, body_type: Option<BodyType>) -> Result<Body, Fault> {
    if !json.starts_with('"') {
        if body_type == Some(BodyType::Text) {
            return Err(Fault::new("/body", "must be a string, since body_type is \"text\""));
        }
        return value(json);
    }
    let is_json = body_type == Some(BodyType::Json);
    let text = decoded(json, "/body")?;
    let template = Template::parse(&text).map_err(|why| Fault::liquid("/body", &why))?;
    if is_json && template.is_plain() {
        serde_json::from_str::<serde::de::IgnoredAny>(&text).map_err(|why| {
            let detail = format!("is not JSON, though body_type is \"json\": {why} of the text");
            Fault::new("/body", detail)
        })?;
    }
    Ok(Body::Text(is_json, template))
}

fn decoded<'j>(literal: &'j str, pointer: &str) -> Result<Cow<'j, str>, Fault> {
    #[derive(serde::Deserialize)]
    struct Borrowed<'a>(#[serde(borrow)] Cow<'a, str>);

    match serde_json::from_str::<Borrowed<'j>>(literal) {
        Ok(text) => Ok(text.0),
        Err(why) => Err(Fault::new(pointer, format!("is not valid text: {why}"))),
    }
}

/// Compiles a JSON value, which is known to be well-formed.
fn value(json: &str) -> Result<Body, Fault> {
    let mut scan = Scan { json, verbatim_from: 0, frames: Vec::new(), parts: Vec::new() };
    let mut at = 0;
    while let Some(byte) = json.as_bytes().get(at) {
        at += 1;
        match byte {
            b'"' => at = scan.string(at - 1)?,
            b'{' => scan.open(Frame::Object { key: String::new(), in_key: true })?,
            b'[' => scan.open(Frame::Array { index: 0 })?,
            b'}' | b']' => drop(scan.frames.pop()),
            b',' | b':' => scan.turn(*byte),
            _ => {}
        }
    }
    if scan.parts.is_empty() {
        return Ok(Body::Fixed(Bytes::copy_from_slice(json.as_bytes()), JSON));
    }
    scan.verbatim(json.len());
    Ok(Body::Json(scan.parts))
}

/// An object or array that is open.
enum Frame {
    Object { key: String, in_key: bool },
    Array { index: usize },
}

/// A walk through JSON text, which is not recursive.
struct Scan<'j> {
    json: &'j str,
    /// What is not in a part yet begins here.
    verbatim_from: usize,
    frames: Vec<Frame>,
    parts: Vec<Part>,
}

impl Scan<'_> {
    fn open(&mut self, frame: Frame) -> Result<(), Fault> {
        if self.frames.len() == NESTING_MAX {
            let detail =
                format!("has more than {NESTING_MAX} objects and arrays inside one another");
            return Err(Fault::new("/body", detail));
        }
        self.frames.push(frame);
        Ok(())
    }

    fn turn(&mut self, byte: u8) {
        match self.frames.last_mut() {
            Some(Frame::Object { in_key, .. }) => *in_key = byte == b',',
            Some(Frame::Array { index }) => *index += 1,
            None => {}
        }
    }

    /// Takes the string whose quote is at `start`; gives what is behind it.
    fn string(&mut self, start: usize) -> Result<usize, Fault> {
        let mut end = start + 1;
        let bytes = self.json.as_bytes();
        while let Some(byte) = bytes.get(end)
            && *byte != b'"'
        {
            end += if *byte == b'\\' { 2 } else { 1 };
        }
        end = (end + 1).min(bytes.len());
        let literal = &self.json[start..end];
        let is_key = matches!(self.frames.last(), Some(Frame::Object { in_key: true, .. }));
        let text = decoded(literal, "/body")?;
        if is_key && let Some(Frame::Object { key, .. }) = self.frames.last_mut() {
            key.clear();
            key.push_str(&text);
        }
        if !text.contains("{{") && !text.contains("{%") {
            return Ok(end);
        }
        let pointer = self.pointer();
        let template = Template::parse(&text).map_err(|why| Fault::liquid(&*pointer, &why))?;
        self.verbatim(start);
        self.verbatim_from = end;
        let pointer = pointer.into();
        self.parts.push(match !is_key && template.is_json_value() {
            true => Part::Value(pointer, template),
            false => Part::Text(pointer, template),
        });
        Ok(end)
    }

    fn verbatim(&mut self, to: usize) {
        if to > self.verbatim_from {
            self.parts.push(Part::Verbatim(self.json[self.verbatim_from..to].into()));
        }
    }

    fn pointer(&self) -> String {
        let mut pointer = String::from("/body");
        for frame in &self.frames {
            match frame {
                Frame::Object { key, .. } => push_token(&mut pointer, key),
                Frame::Array { index } => push_token(&mut pointer, &index.to_string()),
            }
        }
        pointer
    }
}
