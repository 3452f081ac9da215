//! Values of the front end's own: whom it asks for certificates, which networks and pages it knows.

use std::net::IpAddr;

use ipnet::IpNet;
use toml::Value;

use super::ClientAuth;
use super::slot::{NONE, text, unfit};

pub(super) fn client_auth(value: &Value) -> Result<ClientAuth, String> {
    match text(value)? {
        NONE => Ok(ClientAuth::None),
        "optional" => Ok(ClientAuth::Optional),
        "required" => Ok(ClientAuth::Required),
        _ => Err(format!("= {value} is none of them")),
    }
}

pub(super) fn nets(value: &Value) -> Result<Vec<IpNet>, String> {
    let items = value.as_array().ok_or_else(|| unfit(value, "a list"))?;
    let net = |item: &Value| {
        let text = item.as_str().ok_or_else(|| format!("has {item}, which is not a string"))?;
        let net = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
        net.map(|net| net.trunc()).map_err(|_| format!("has {item}, which is no network"))
    };
    items.iter().map(net).collect()
}

/// Written as browsers send it (RFC 6454), since it is compared as it stands. There is no `*`: who
/// may use the API from any page is who has a key, and then a page is the wrong place for it.
pub(super) fn origins(value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().ok_or_else(|| unfit(value, "a list"))?;
    let origin = |item: &Value| {
        let text = item.as_str().ok_or_else(|| format!("has {item}, which is not a string"))?;
        let parsed = url::Url::parse(text).ok().filter(|url| url.has_host());
        let written = parsed.map(|url| url.origin().ascii_serialization());
        match written {
            Some(written) if written == text => Ok(written),
            Some(written) if written != "null" => {
                Err(format!("has {item}, which browsers write {written:?}"))
            }
            _ => Err(format!("has {item}, which is no origin")),
        }
    };
    items.iter().map(origin).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(text: &str) -> Result<Vec<String>, String> {
        origins(&Value::Array(vec![text.into()]))
    }

    #[test]
    fn origins_are_taken_as_browsers_write_them() {
        for text in ["https://tools.shop.example", "http://localhost:3000", "https://[::1]:8443"] {
            assert_eq!(origin(text).as_deref(), Ok(&[text.to_owned()][..]));
        }
        for text in ["*", "null", "tools.shop.example", "file:///x", "https://"] {
            assert!(origin(text).expect_err(text).contains("no origin"), "{text}");
        }
        for text in ["https://Shop.example", "https://shop.example/", "https://shop.example:443"] {
            assert!(origin(text).expect_err(text).contains("\"https://shop.example\""), "{text}");
        }
    }
}
