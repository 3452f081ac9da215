//! A composed webhook: the document of a trigger's webhook with Liquid in its URL, header values and
//! body. Compiled once when it is stored, rendered for each recipient.
//!
//! What comes out is not vetted: the URL, the header names and the sizes are admission's affair. But
//! no value can leave its JSON string or its header line.

mod body;
mod input;
#[cfg(test)]
mod tests;
mod written;

use std::fmt;

use super::liquid::{Budget, Context, Missing, ParseError, RenderError, Scope, Template};
use crate::admission::{SecretRefs, push_token};
use crate::model::Method;
use body::Body;
use input::Input;

pub use crate::admission::Rendered;

/// Why a webhook was refused when it was compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// JSON pointer (RFC 6901) from the top of the webhook.
    pub pointer: String,
    /// What is wrong and what would be right; for Liquid with line and column inside the field.
    pub detail: String,
}

impl Fault {
    pub(super) fn new(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { pointer: pointer.into(), detail: detail.into() }
    }

    fn liquid(pointer: impl Into<String>, error: &ParseError) -> Self {
        Self::new(pointer, error.to_string())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.pointer, self.detail)
    }
}

impl std::error::Error for Fault {}

/// Why a webhook was not rendered for these values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RenderFault {
    /// The template said so with `{% abort_message("…") %}`: nothing is to be sent.
    Aborted(String),
    /// It cannot be rendered with these values.
    Failed(Fault),
}

impl RenderFault {
    pub(super) fn new(pointer: &str, error: RenderError) -> Self {
        match error {
            RenderError::Aborted(reason) => RenderFault::Aborted(reason),
            failed => RenderFault::Failed(Fault::new(pointer, failed.to_string())),
        }
    }
}

impl fmt::Display for RenderFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RenderFault::Aborted(reason) => write!(formatter, "aborted: {reason}"),
            RenderFault::Failed(fault) => fault.fmt(formatter),
        }
    }
}

impl std::error::Error for RenderFault {}

/// A webhook with its templates parsed.
#[derive(Clone, Debug)]
pub struct WebhookTemplate {
    method: Method,
    url: Template,
    /// Name, pointer and value of each header, in their order.
    headers: Vec<(String, String, Template)>,
    body: Option<Body>,
    secret_refs: Vec<String>,
    /// What the document says of missing variables.
    missing: Option<Missing>,
}

impl WebhookTemplate {
    /// Compiles the JSON text of a webhook.
    pub fn compile(json: &str) -> Result<WebhookTemplate, Fault> {
        let input = input::parse(json)?;
        let method = input.method.unwrap_or_default();
        if input.delete_with_body && method != Method::Delete {
            let detail = "has a meaning only with \"method\": \"DELETE\"";
            return Err(Fault::new("/delete_with_body", detail));
        }
        let url = Template::parse(&input.url).map_err(|why| Fault::liquid("/url", &why))?;
        let headers = headers(&input)?;
        let body = Body::compile(&input, method)?;
        let SecretRefs(secret_refs) = input.secret_ref.unwrap_or_default();
        let missing = input.missing.map(Missing::from);
        Ok(WebhookTemplate { method, url, headers, body, secret_refs, missing })
    }

    /// Renders it. All parts share one default budget.
    pub fn render(&self, scope: &Scope<'_>) -> Result<Rendered, RenderFault> {
        self.render_within(scope, &mut Budget::default())
    }

    /// Renders it within `budget`. What the document says of missing variables wins over the scope.
    pub fn render_within(
        &self,
        scope: &Scope<'_>,
        budget: &mut Budget,
    ) -> Result<Rendered, RenderFault> {
        let scope = Scope { missing: self.missing.unwrap_or(scope.missing), ..*scope };
        let url = self.url.render(&scope, Context::Url, budget);
        let mut url = url.map_err(|why| RenderFault::new("/url", why))?;
        if url.trim().len() != url.len() {
            url = url.trim().to_owned();
        }
        let mut headers = Vec::with_capacity(self.headers.len());
        for (name, pointer, template) in &self.headers {
            let value = template.render(&scope, Context::Header, budget);
            headers.push((name.clone(), value.map_err(|why| RenderFault::new(pointer, why))?));
        }
        let says_json = headers
            .iter()
            .any(|(name, value)| name.eq_ignore_ascii_case("content-type") && is_json(value));
        let (body, content_type) = match &self.body {
            Some(body) => {
                let bytes = body.render(&scope, says_json, budget)?;
                (Some(bytes), Some(body.content_type()))
            }
            None => (None, None),
        };
        let secret_refs = self.secret_refs.clone();
        Ok(Rendered { method: self.method, url, headers, body, content_type, secret_refs })
    }
}

fn headers(input: &Input<'_>) -> Result<Vec<(String, String, Template)>, Fault> {
    let mut headers: Vec<(String, String, Template)> = Vec::with_capacity(input.headers.len());
    for (name, value) in &input.headers {
        let mut pointer = String::from("/headers");
        push_token(&mut pointer, name);
        if name.contains("{{") || name.contains("{%") {
            return Err(Fault::new(pointer, "is Liquid; only a header's value may be"));
        }
        if headers.iter().any(|(seen, ..)| seen.eq_ignore_ascii_case(name)) {
            return Err(Fault::new(pointer, "is given twice (case does not matter)"));
        }
        let template = Template::parse(value).map_err(|why| Fault::liquid(&*pointer, &why))?;
        headers.push((name.clone(), pointer, template));
    }
    Ok(headers)
}

/// Whether a content type is JSON (RFC 8259, or the `+json` suffix of RFC 6839).
fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(essence.as_str(), "application/json" | "text/json") || essence.ends_with("+json")
}
