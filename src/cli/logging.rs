//! Log lines on standard error: text for people, or one JSON object a line.

use std::io::{self, Write};

use env_logger::{Builder, Target};
use log::Record;
use log::kv::{self, VisitSource, VisitValue};
use serde_json::{Map, Value, json};

use crate::config::{Log, LogFormat};

/// Starts logging. `RUST_LOG` wins over the settings, `RUST_LOG_STYLE` over the colours, which are
/// off unless standard error is a terminal.
pub fn init(settings: &Log) {
    let filter = std::env::var("RUST_LOG").ok();
    // A second start (in tests) keeps the first logger.
    let _ = builder(settings, filter.as_deref()).try_init();
}

fn builder(settings: &Log, rust_log: Option<&str>) -> Builder {
    let mut builder = Builder::new();
    builder.target(Target::Stderr);
    builder.parse_filters(rust_log.unwrap_or(&settings.level));
    if let Ok(style) = std::env::var("RUST_LOG_STYLE") {
        builder.parse_write_style(&style);
    }
    match settings.format {
        LogFormat::Text => builder.format_timestamp_millis(),
        LogFormat::Json => builder.format(|output, record| {
            let at = output.timestamp_millis().to_string();
            write_json(output, &at, record)
        }),
    };
    builder
}

/// The facts of a record stand under `fields`, so that none can pass for its level or message.
fn write_json(output: &mut impl Write, at: &str, record: &Record<'_>) -> io::Result<()> {
    let mut fields = Fields(Map::new());
    record.key_values().visit(&mut fields).map_err(io::Error::other)?;
    let mut line = json!({
        "at": at,
        "level": record.level().as_str().to_ascii_lowercase(),
        "target": record.target(),
        "message": record.args().to_string(),
    });
    if !fields.0.is_empty() {
        line["fields"] = Value::Object(fields.0);
    }
    // One write, so that lines of several threads never mix.
    writeln!(output, "{line}")
}

struct Fields(Map<String, Value>);

impl<'kvs> VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let mut field = Field(Value::Null);
        value.visit(&mut field)?;
        self.0.insert(key.as_str().into(), field.0);
        Ok(())
    }
}

/// Keeps numbers and booleans as such; all else is shown as text.
struct Field(Value);

impl<'v> VisitValue<'v> for Field {
    fn visit_any(&mut self, value: kv::Value<'_>) -> Result<(), kv::Error> {
        self.0 = value.to_string().into();
        Ok(())
    }

    fn visit_null(&mut self) -> Result<(), kv::Error> {
        Ok(())
    }

    fn visit_u64(&mut self, value: u64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_i64(&mut self, value: i64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_f64(&mut self, value: f64) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }

    fn visit_bool(&mut self, value: bool) -> Result<(), kv::Error> {
        self.0 = value.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_one_line_of_json() {
        let facts: [(&str, kv::Value<'_>); 3] =
            [("host", "a.example".into()), ("attempts", 3_u32.into()), ("level", "x".into())];
        let args = format_args!("first\nsecond");
        let record = Record::builder()
            .level(log::Level::Warn)
            .target("hostline::test")
            .args(args)
            .key_values(&facts)
            .build();
        let mut output = Vec::new();
        write_json(&mut output, "2026-01-01T00:00:00.000Z", &record).expect("memory takes it");
        let text = String::from_utf8(output).expect("JSON is UTF-8");
        assert_eq!(text.matches('\n').count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(line["level"], "warn");
        assert_eq!(line["message"], "first\nsecond");
        assert_eq!(line["fields"], json!({"host": "a.example", "attempts": 3, "level": "x"}));
    }

    #[test]
    fn rust_log_wins_over_the_settings() {
        let settings = Log { format: LogFormat::Text, level: "error".into() };
        assert_eq!(builder(&settings, None).build().filter(), log::LevelFilter::Error);
        assert_eq!(builder(&settings, Some("debug")).build().filter(), log::LevelFilter::Debug);
    }
}
