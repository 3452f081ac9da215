//! The dashboard's page: its files, which are part of the binary, and what they are. They are
//! static; everything that they show comes from the API, under the key of whoever looks.
//!
//! A debug build reads them from disk at each request, so that whoever works on the page need not
//! build anything. Browsers get them packed, which is a third of their size.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{self, Write as _};
use std::sync::{LazyLock, Mutex, PoisonError};

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
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

/// Packed files by their tags: each is packed once, by the first who asks for it.
static PACKED: LazyLock<Mutex<HashMap<String, Bytes>>> = LazyLock::new(Mutex::default);

impl File {
    /// What is in it, packed as gzip (RFC 1952).
    pub fn packed(&self) -> io::Result<Bytes> {
        let mut packed = PACKED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packed) = packed.get(&self.tag) {
            return Ok(packed.clone());
        }
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&self.bytes)?;
        let bytes = Bytes::from(encoder.finish()?);
        packed.insert(self.tag.clone(), bytes.clone());
        Ok(bytes)
    }
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
    use std::collections::HashSet;

    use super::*;

    /// Bytes that a view may cost whoever comes to it first: the page, the frame, the view, all that
    /// these import, and the plots.
    const VIEW_MAX: usize = 250_000;
    /// Bytes of all files together, of which nobody fetches all.
    const ALL_MAX: usize = 350_000;
    /// Bytes of all files as browsers get them.
    const PACKED_MAX: usize = 150_000;
    /// Fetched when the first plot is drawn.
    const PLOTS: [&str; 2] = ["vendor/uPlot.iife.min.js", "vendor/uPlot.min.css"];

    /// What a file names in quotes: modules that it imports, files that the page begins with.
    fn named(name: &str, text: &str) -> Vec<String> {
        let folder = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        let files: HashSet<String> = names().map(Cow::into_owned).collect();
        let resolve = |path: &str| match (path.strip_prefix("/ui/"), path.strip_prefix("../")) {
            (Some(path), _) | (_, Some(path)) => path.to_owned(),
            _ if folder.is_empty() => path.trim_start_matches("./").to_owned(),
            _ => format!("{folder}/{}", path.trim_start_matches("./")),
        };
        text.split('"')
            .skip(1)
            .step_by(2)
            .map(resolve)
            .filter(|path| files.contains(path))
            .collect()
    }

    /// Bytes of these files and of all that they lead to.
    fn cost(mut wanted: Vec<String>) -> usize {
        let mut seen = HashSet::new();
        let mut bytes = 0;
        while let Some(name) = wanted.pop() {
            if !seen.insert(name.clone()) {
                continue;
            }
            let file = file(&name).expect("it was named");
            bytes += file.bytes.len();
            wanted.extend(named(&name, &String::from_utf8_lossy(&file.bytes)));
        }
        bytes
    }

    #[test]
    fn every_view_is_there_and_small() {
        assert!(file(INDEX).is_some_and(|index| index.media_type.starts_with("text/html")));
        let views: Vec<_> = names().filter(|name| name.starts_with("views/")).collect();
        assert!(views.len() >= 11, "{views:?}");
        for view in views {
            let mut files = vec![INDEX.to_owned(), view.clone().into_owned()];
            files.extend(PLOTS.map(str::to_owned));
            let bytes = cost(files);
            assert!((60_000..VIEW_MAX).contains(&bytes), "{view}: {bytes} bytes");
        }
        let files = || names().map(|name| file(&name).expect("it was named"));
        let all: usize = files().map(|file| file.bytes.len()).sum();
        assert!(all < ALL_MAX, "{all} bytes");
        let packed = files().map(|file| file.packed().expect("memory suffices").len());
        let packed: usize = packed.sum();
        assert!(packed < PACKED_MAX, "{packed} bytes");
    }

    #[test]
    fn nothing_outside_the_page_is_a_file_of_it() {
        for path in ["", "/", "../mod.rs", "lib/../../mod.rs", "%2e%2e/mod.rs", "no-such.js"] {
            assert!(file(path).is_none(), "{path}");
        }
    }
}
