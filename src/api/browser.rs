//! What a browser may be made to do. A web page can send requests to this machine from the machine of
//! whoever looks at it; without a key nothing would tell them from his own. So where no key is given,
//! changes are refused that a browser says another site asked for, and names that only a rebinding
//! of DNS would explain. With a key neither is needed: no page has it.

use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, Uri};

use super::problem::Problem;
use crate::config::Settings;
use crate::model::HostName;

/// What browsers say of a request that another site asked for.
const FOREIGN: [&str; 2] = ["cross-site", "same-site"];

/// Checks a request that brought no key.
pub(super) fn vet(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    settings: &Settings,
) -> Result<(), Problem> {
    let host = authority(uri, headers);
    vet_host(host, settings)?;
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    // The operator knows the pages of these origins.
    let trusted = &settings.server.cors_origins;
    let given = headers.get(header::ORIGIN).map(|origin| origin.as_bytes());
    if given.is_some_and(|given| trusted.iter().any(|origin| origin.as_bytes() == given)) {
        return Ok(());
    }
    let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
    if site.is_some_and(|site| FOREIGN.iter().any(|foreign| foreign.as_bytes() == site)) {
        return Err(Problem::cross_site("sec-fetch-site"));
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return Ok(()) };
    // `null` and what cannot be read are not ours either.
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let same = origin.zip(host).is_some_and(|((_, origin), host)| {
        let (origin, host) = (HostName::parse(origin), HostName::parse(host));
        origin.is_some() && origin == host
    });
    if same { Ok(()) } else { Err(Problem::cross_site("origin")) }
}

/// Whom the request asks: HTTP/2 says it in the URI, HTTP/1 in a header.
fn authority<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let header = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    header.or_else(|| uri.authority().map(|authority| authority.as_str()))
}

fn vet_host(host: Option<&str>, settings: &Settings) -> Result<(), Problem> {
    let allowed = &settings.auth.hosts;
    if settings.auth.open && allowed.is_empty() {
        return Ok(());
    }
    // What is ourselves to webhooks is so to their requests.
    let mut own = allowed.iter().chain(&settings.compose.own_hosts);
    // No browser leaves it out.
    let Some(host) = host else { return Ok(()) };
    let known = HostName::parse(host).is_some_and(|host| {
        let name = host.without_port();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        // A page has to have a name for its name to be rebound.
        address.parse::<std::net::IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || own.any(|own| HostName::from_normalised(own).without_port() == name)
    });
    if known { Ok(()) } else { Err(Problem::foreign_host()) }
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn status(method: Method, headers: &[(&str, &str)], settings: &Settings) -> u16 {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name: HeaderName = name.parse().expect("a name");
            map.insert(name, HeaderValue::from_str(value).expect("a value"));
        }
        let uri = Uri::from_static("/v1/triggers");
        vet(&method, &uri, &map, settings)
            .map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_change_that_another_site_asked_for_is_refused() {
        let settings = Settings::default();
        let host = ("host", "127.0.0.1:8080");
        for header in [
            ("origin", "https://evil.example"),
            ("origin", "http://127.0.0.1:9000"),
            ("origin", "http://localhost:8080"),
            ("origin", "null"),
            ("origin", ""),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "same-site"),
        ] {
            assert_eq!(status(Method::POST, &[host, header], &settings), 403, "{header:?}");
            assert_eq!(status(Method::DELETE, &[host, header], &settings), 403, "{header:?}");
            // A page cannot read the answer, and nothing is changed by it.
            assert_eq!(status(Method::GET, &[host, header], &settings), 200, "{header:?}");
        }
        for header in [
            ("origin", "http://127.0.0.1:8080"),
            ("sec-fetch-site", "same-origin"),
            ("sec-fetch-site", "none"),
            ("user-agent", "curl/8"),
        ] {
            assert_eq!(status(Method::POST, &[host, header], &settings), 200, "{header:?}");
        }
    }

    #[test]
    fn a_name_that_was_rebound_is_refused() {
        let mut settings = Settings::default();
        let get =
            |host: &str, settings: &Settings| status(Method::GET, &[("host", host)], settings);
        for host in ["127.0.0.1:8080", "[::1]:8080", "localhost", "LocalHost:1", "a.localhost"] {
            assert_eq!(get(host, &settings), 200, "{host}");
        }
        for host in ["evil.example", "evil.example:8080", "localhost.evil.example", "", "a b"] {
            assert_eq!(get(host, &settings), 421, "{host}");
        }
        settings.auth.hosts = vec!["hostline.internal".into()];
        assert_eq!(get("hostline.internal:8080", &settings), 200);
        settings.compose.own_hosts = vec!["hooks.internal:8080".into()];
        assert_eq!(get("hooks.internal:8080", &settings), 200);
        assert_eq!(get("other.internal", &settings), 421);
        settings.auth.open = true;
        assert_eq!(get("other.internal", &settings), 421);
        settings.auth.hosts.clear();
        assert_eq!(get("other.internal", &settings), 200);
    }
}
