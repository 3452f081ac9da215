//! Patterns that name hosts: `shop.example` is that host alone, `*.shop.example` are all below it
//! and not itself. Ports play no part.

use std::net::IpAddr;

use super::host::HostName;

/// Reads a pattern that a person wrote, into the form that is kept: lower case, IDNA as punycode,
/// no brackets around an IPv6 address. The error goes on after what names the pattern.
pub fn parse(text: &str) -> Result<String, &'static str> {
    let (star, bare) = match text.strip_prefix("*.") {
        Some(suffix) => ("*.", suffix),
        None => ("", text),
    };
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return match star.is_empty() {
            true => Ok(ip.to_canonical().to_string()),
            false => Err("has an address after `*.`, below which there is nothing"),
        };
    }
    let name = HostName::parse(bare).filter(|_| !bare.contains(['*', ' ', '\\', '@']));
    let name = name.ok_or("is no host name and no `*.suffix`")?;
    // A scheme's default is no part of a name, but somebody wrote it.
    if bare.rsplit(']').next().unwrap_or(bare).contains(':') {
        return Err("has a port, and ports are ruled by `sender.ports`");
    }
    let name = match (star.is_empty(), address(name.as_str())) {
        (true, Some(ip)) => ip.to_string(),
        (false, Some(_)) => return Err("has an address after `*.`, below which there is nothing"),
        (_, None) => name.to_string(),
    };
    Ok(format!("{star}{name}"))
}

/// Whether a pattern names `host`, a URL's host without its port. A pattern need not have gone
/// through `parse`: letter case, a last dot and IDNA make no difference.
pub fn matches(pattern: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    if !pattern.is_ascii() {
        return parse(pattern).is_ok_and(|kept| matches(&kept, host));
    }
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    let host_ip = address(host);
    match pattern.strip_prefix('*') {
        // The dot stays, so that `*.b.example` is not `ab.example`.
        Some(suffix) if suffix.starts_with('.') && suffix.len() > 1 => {
            let cut = host.len().checked_sub(suffix.len()).filter(|cut| *cut > 0);
            host_ip.is_none()
                && cut
                    .and_then(|cut| host.get(cut..))
                    .is_some_and(|end| end.eq_ignore_ascii_case(suffix))
        }
        Some(_) => false,
        None => match host_ip {
            Some(ip) => address(pattern) == Some(ip),
            None => pattern.eq_ignore_ascii_case(host),
        },
    }
}

/// The address that a host is in itself, whatever its spelling.
fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().ok().map(|ip| ip.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_itself_and_a_suffix_all_below_it() {
        for (pattern, host) in [
            ("shop.example", "shop.example"),
            ("Shop.Example.", "shop.example"),
            ("shop.example", "shop.example."),
            ("*.shop.example", "a.shop.example"),
            ("*.Shop.Example", "a.b.shop.example"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("*.bücher.example", "a.xn--bcher-kva.example"),
            ("10.0.0.1", "10.0.0.1"),
            ("10.0.0.1", "[::ffff:10.0.0.1]"),
            ("::1", "[::1]"),
            ("[0:0::1]", "[::1]"),
        ] {
            assert!(matches(pattern, host), "{pattern} names {host}");
            let kept = parse(pattern).expect(pattern);
            assert!(matches(&kept, host), "{kept} names {host}");
        }
        for (pattern, host) in [
            ("shop.example", "a.shop.example"),
            ("shop.example", "shop.example.evil"),
            ("*.shop.example", "shop.example"),
            ("*.shop.example", "ashop.example"),
            ("*.shop.example", ".shop.example"),
            ("*.0.0.1", "10.0.0.1"),
            ("*", "shop.example"),
            ("*.", "shop.example"),
            ("", "shop.example"),
            ("*.é", "é"),
            ("10.0.0.1", "10.0.0.10"),
        ] {
            assert!(!matches(pattern, host), "{pattern} does not name {host}");
        }
    }

    #[test]
    fn patterns_are_kept_in_one_spelling() {
        for (text, kept) in [
            ("Shop.Example.", "shop.example"),
            ("*.Bücher.example", "*.xn--bcher-kva.example"),
            ("[::1]", "::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("127.1", "127.0.0.1"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(kept), "{text}");
        }
        for text in [
            "",
            "*",
            "*.",
            "a.*.example",
            "a:81",
            "a:80",
            "[::1]:443",
            "u@a",
            "a b",
            "*.10.0.0.1",
            "*.[::1]",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
