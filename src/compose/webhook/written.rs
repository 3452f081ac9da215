//! The parts of a webhook that no recipient changes, so that what cannot go out is refused when it
//! is stored.

use super::{Rendered, WebhookTemplate};
use crate::compose::liquid::Template;

/// Stands for a URL that is known only when it is rendered.
const ANY_URL: &str = "https://host.example/";

impl WebhookTemplate {
    /// Whether its URL is the same for every recipient.
    pub(in crate::compose) fn knows_its_url(&self) -> bool {
        self.url.is_plain()
    }

    /// The webhook with something harmless in place of whatever Liquid renders.
    pub(in crate::compose) fn as_written(&self) -> Rendered {
        let plain = |template: &Template, otherwise: &str| match template.is_plain() {
            true => template.source().trim().to_owned(),
            false => otherwise.to_owned(),
        };
        let headers = self.headers.iter();
        Rendered {
            method: self.method,
            url: plain(&self.url, ANY_URL),
            headers: headers.map(|(name, _, value)| (name.clone(), plain(value, "x"))).collect(),
            body: None,
            content_type: None,
            secret_refs: self.secret_refs.clone(),
        }
    }
}
