//! Where a stored secret applies by itself: hosts and URL prefixes, the longest wins. Pure.

use std::fmt;

use url::Url;

use crate::model::{HostName, Scheme, Target};

/// Characters of one place.
const PLACE_MAX: usize = 2048;

/// One place: a host, all hosts below a suffix, or the URLs that begin so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// `*.shop.example`: every name below the suffix, at any port. With the leading dot.
    Below(String),
    /// `shop.example`, `shop.example:8443`.
    Host(HostName),
    /// `https://shop.example/hooks/`: ends at a border between segments.
    Prefix(Target),
}

/// How narrow a match is: compared in order, so that any prefix wins over a host, and that over a
/// suffix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Narrow(u8, usize);

impl Place {
    /// Reads a place as it is written; the error says what is wrong and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || {
            let detail = "write a host such as shop.example or shop.example:8443, *.shop.example \
                          for all below it, or the beginning of URLs such as \
                          https://shop.example/hooks/";
            Err(format!("is not a place; {detail}"))
        };
        if text.len() > PLACE_MAX || text.contains([' ', '\\']) {
            return wrong();
        }
        if text.contains("://") {
            return match Url::parse(text).ok().filter(|url| url.query().is_none()) {
                Some(url) => {
                    Target::from_vetted(url.as_str()).map(Place::Prefix).map_or_else(wrong, Ok)
                }
                None => wrong(),
            };
        }
        if let Some(suffix) = text.strip_prefix("*.") {
            return match HostName::parse(suffix).filter(|_| !suffix.contains(['*', '@', '/', ':']))
            {
                Some(host) if host.without_port() == host.as_str() => {
                    Ok(Place::Below(format!(".{host}")))
                }
                _ => wrong(),
            };
        }
        match HostName::parse(text).filter(|_| !text.contains(['*', '@', '/'])) {
            Some(host) => Ok(Place::Host(host)),
            None => wrong(),
        }
    }

    /// How narrowly it fits a target; `None` where it does not.
    pub fn fits(&self, target: &Target) -> Option<Narrow> {
        match self {
            Place::Below(suffix) => {
                let host = target.host().without_port();
                host.ends_with(suffix.as_str()).then_some(Narrow(0, suffix.len()))
            }
            Place::Host(host) => (host == target.host()).then_some(Narrow(1, 0)),
            Place::Prefix(prefix) => {
                let same = prefix.scheme() == target.scheme() && prefix.host() == target.host();
                let path = prefix.path_and_query();
                let rest = target.path_and_query().strip_prefix(path)?;
                let border = path.ends_with('/') || rest.is_empty() || rest.starts_with(['/', '?']);
                (same && border).then_some(Narrow(2, path.len()))
            }
        }
    }

    /// Whether it speaks of a scheme, and of which.
    pub fn scheme(&self) -> Option<Scheme> {
        match self {
            Place::Prefix(prefix) => Some(prefix.scheme()),
            Place::Below(_) | Place::Host(_) => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Below(suffix) => write!(formatter, "*{suffix}"),
            Place::Host(host) => write!(formatter, "{host}"),
            Place::Prefix(prefix) => formatter.write_str(prefix.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(place: &str, url: &str) -> Option<Narrow> {
        let place = Place::parse(place).expect("a place");
        place.fits(&Target::from_vetted(url).expect("a vetted URL"))
    }

    #[test]
    fn a_place_fits_what_it_names_and_nothing_beside_it() {
        let table = [
            ("shop.example", "https://shop.example/a", true),
            ("shop.example", "http://shop.example/a", true),
            ("Shop.Example.", "https://shop.example/a", true),
            ("shop.example", "https://shop.example:8443/a", false),
            ("shop.example", "https://notshop.example/a", false),
            ("shop.example", "https://a.shop.example/a", false),
            ("shop.example:8443", "https://shop.example:8443/a", true),
            ("*.shop.example", "https://a.shop.example:99/", true),
            ("*.shop.example", "https://a.b.shop.example/", true),
            ("*.shop.example", "https://shop.example/", false),
            ("*.shop.example", "https://ashop.example/", false),
            ("https://shop.example/hooks", "https://shop.example/hooks", true),
            ("https://shop.example/hooks", "https://shop.example/hooks?a=1", true),
            ("https://shop.example/hooks", "https://shop.example/hooks/a", true),
            ("https://shop.example/hooks", "https://shop.example/hooksy", false),
            ("https://shop.example/hooks/", "https://shop.example/hooks", false),
            ("https://shop.example/hooks/", "https://shop.example/hooks/../a", false),
            ("https://shop.example/hooks/", "http://shop.example/hooks/a", false),
            ("https://shop.example/hooks/", "https://shop.example:8443/hooks/a", false),
            ("https://shop.example", "https://shop.example/any", true),
            ("https://shop.example", "https://shop.example.evil.example/", false),
        ];
        for (place, url, expected) in table {
            assert_eq!(fits(place, url).is_some(), expected, "{place} {url}");
        }
    }

    #[test]
    fn the_narrower_place_wins() {
        let url = "https://a.shop.example/hooks/eu/1";
        let order = [
            "*.example",
            "*.shop.example",
            "a.shop.example",
            "https://a.shop.example/",
            "https://a.shop.example/hooks",
            "https://a.shop.example/hooks/eu/",
        ];
        assert!(order.iter().map(|place| fits(place, url)).is_sorted());
        assert!(order.iter().all(|place| fits(place, url).is_some()));
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for text in [
            "",
            "*",
            "*.",
            "*.a:80",
            "a b",
            "a/b",
            "user@a",
            "ftp://a/",
            "https://u:p@a/",
            "https://a/?q=1",
            "https://a/#f",
            "https://",
            "a.*.b",
        ] {
            assert!(Place::parse(text).is_err(), "{text}");
        }
        let shown = Place::parse("HTTPS://Shop.Example:443/a").expect("a place").to_string();
        assert_eq!(shown, "https://shop.example/a");
    }
}
