//! How what happens can be seen from outside: metrics and traces.

use toml::Value;

use super::slot::text;

/// Characters of the URL of a collector.
const ENDPOINT_MAX: usize = 2048;

/// `[metrics]`
#[derive(Clone, Debug, PartialEq)]
pub struct Metrics {
    /// The busiest hosts that have series of their own; 0 means none.
    pub hosts: usize,
}

impl Default for Metrics {
    fn default() -> Self {
        Self { hosts: 20 }
    }
}

/// `[otel]`: traces.
#[derive(Clone, Debug, PartialEq)]
pub struct Otel {
    /// Where spans go, without the path of a signal; `None` makes no spans.
    pub endpoint: Option<String>,
    /// Whose spans they are.
    pub service_name: String,
    /// The part of those traces that is recorded that begin here; 0 to 1.
    pub sample_ratio: f64,
}

impl Default for Otel {
    fn default() -> Self {
        Self { endpoint: None, service_name: "hostline".into(), sample_ratio: 1.0 }
    }
}

/// The base URL of a collector: `/v1/traces` is added to it. Plain HTTP alone: a collector stands on
/// the same machine or beside it, and passes on what has to go further.
pub(super) fn endpoint(value: &Value) -> Result<String, String> {
    let text = text(value)?;
    // Not repeated: people put tokens into such URLs.
    let url = url::Url::parse(text).map_err(|_| "is not a URL".to_owned())?;
    match () {
        () if text.len() > ENDPOINT_MAX => Err("is too long".into()),
        () if url.scheme() != "http" => Err("is not of the scheme http".into()),
        () if !url.has_host() => Err("names no host".into()),
        () if !url.username().is_empty() || url.password().is_some() => {
            Err("has a user name, which nobody would ask for".into())
        }
        () if url.query().is_some() || url.fragment().is_some() => {
            Err("has more than a path".into())
        }
        () => Ok(url.as_str().trim_end_matches('/').to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_named_by_its_base() {
        let read = |text: &str| endpoint(&Value::String(text.into()));
        assert_eq!(read("http://127.0.0.1:4318/"), Ok("http://127.0.0.1:4318".into()));
        assert_eq!(read("http://otel/base/"), Ok("http://otel/base".into()));
        for bad in
            ["", "otel:4318", "https://otel", "http://a:b@otel", "http://otel?x", "http://otel#x"]
        {
            let error = read(bad).expect_err(bad);
            assert!(!error.contains("otel"), "{error} repeats what was given");
        }
    }
}
