//! The dashboard's page: its files, which are part of the binary, and what they are. They are
//! static; everything that they show comes from the API, under the key of whoever looks.
//!
//! A debug build reads them from disk at each request, so that whoever works on the page need not
//! build anything.

use std::borrow::Cow;

use rust_embed::RustEmbed;

/// The page itself.
pub const INDEX: &str = "index.html";

#[derive(RustEmbed)]
#[folder = "src/dashboard/ui"]
struct Files;

/// A file of the page.
pub struct File {
    /// What is in it.
    pub bytes: Cow<'static, [u8]>,
    /// Its media type.
    pub media_type: &'static str,
    /// A strong entity tag: a digest of what is in it, in quotes.
    pub tag: String,
}

/// The file at a path below `ui/`; `None` where there is none.
pub fn file(path: &str) -> Option<File> {
    let found = Files::get(path)?;
    let digest = found.metadata.sha256_hash();
    let tag: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    Some(File { bytes: found.data, media_type: media_type(path), tag: format!("\"{tag}\"") })
}

/// The names of all files.
pub fn names() -> impl Iterator<Item = Cow<'static, str>> {
    Files::iter()
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("json") => "application/json",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of all files together: what the first look at the page may cost.
    const PAGE_MAX: usize = 250_000;

    #[test]
    fn the_page_is_there_and_small() {
        assert!(file(INDEX).is_some_and(|index| index.media_type.starts_with("text/html")));
        let sizes = names().map(|name| file(&name).expect("it was named").bytes.len());
        let all: usize = sizes.sum();
        assert!(all < PAGE_MAX, "{all} bytes");
    }

    #[test]
    fn nothing_outside_the_page_is_a_file_of_it() {
        for path in ["", "/", "../mod.rs", "lib/../../mod.rs", "%2e%2e/mod.rs", "no-such.js"] {
            assert!(file(path).is_none(), "{path}");
        }
    }
}
