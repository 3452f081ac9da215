//! Short texts with a grammar of their own: a text's kind stands in front of it.

use hostline::admission::is_traceparent;
use hostline::cli::receiver::http::Request;
use hostline::compose::document::{Span, Time};
use hostline::compose::filter::Path;
use hostline::compose::quiet::WallTime;
use hostline::compose::schedule::{CronPattern, Schedule, ZoneName};
use hostline::config::parse_secret;
use hostline::config::units::{parse_duration, parse_size, show_duration, show_size};
use hostline::model::{DeliveryId, Timestamp, TriggerId};

use crate::targets::rules::T0;
use crate::targets::{halves, note};

/// A kind, a space, a text.
pub fn word(data: &[u8]) {
    let (kind, text) = halves(data, b' ');
    let Ok(text) = std::str::from_utf8(text) else { return };
    match kind {
        b"cron" => cron(text),
        b"zone" => same(text, ZoneName::parse),
        b"wall" => {
            let Some(time) = WallTime::parse(text) else { return };
            assert_eq!(time.to_string(), text);
        }
        b"span" => {
            let Ok(span) = told(Span::parse(text)) else { return };
            assert_eq!((span.as_str(), span.get().is_zero()), (text, false));
        }
        b"time" => time(text),
        b"path" => {
            let Ok(path) = told(Path::parse(text)) else { return };
            assert_eq!(path.to_string(), text);
        }
        b"duration" => {
            let Ok(duration) = told(parse_duration(text)) else { return };
            assert_eq!(parse_duration(&show_duration(duration)), Ok(duration));
        }
        b"size" => {
            let Ok(size) = told(parse_size(text)) else { return };
            assert_eq!(parse_size(&show_size(size)), Ok(size));
        }
        b"secret" => secret(text),
        b"delivery" => id::<DeliveryId>(text),
        b"trigger" => id::<TriggerId>(text),
        b"traceparent" => {
            let taken = is_traceparent(text);
            assert!(!taken || text.len() == 55 && text.is_ascii(), "{text:?}");
            note(if taken { "traceparent" } else { "no traceparent" });
        }
        _ => {}
    }
}

/// Notes why a text was refused.
fn told<T, E: std::fmt::Display>(read: Result<T, E>) -> Result<T, E> {
    match &read {
        Ok(_) => note("taken"),
        Err(error) => {
            let error = error.to_string();
            assert!(!error.is_empty());
            note(&error);
        }
    }
    read
}

/// What was taken is written as it came, and is taken again.
fn same<T: serde::Serialize>(text: &str, parse: fn(&str) -> Result<T, String>) {
    let Ok(read) = told(parse(text)) else { return };
    let written = serde_json::to_value(&read).expect("plain data");
    assert_eq!(written, text);
}

/// A pattern fires after the time that is asked for, and at no time that it leaves out.
fn cron(text: &str) {
    same(text, CronPattern::parse);
    let Ok(cron) = CronPattern::parse(text) else { return };
    for zone in [None, Some("Europe/Berlin"), Some("Pacific/Apia")] {
        let time_zone = zone.map(|name| ZoneName::parse(name).expect("a zone"));
        let schedule = Schedule::Cron { cron: cron.clone(), time_zone };
        let mut at = T0;
        for _ in 0..3 {
            let Some(next) = schedule.next_after(at) else { break };
            assert!(next > at, "{next:?} after {at:?}");
            let just_before = Timestamp::from_millis(next.as_millis() - 1);
            assert_eq!(schedule.next_after(just_before), Some(next), "{text} in {zone:?}");
            at = next;
        }
    }
}

fn time(text: &str) {
    let read = Timestamp::parse(text);
    assert_eq!(read, told(Time::parse(text)).ok().map(|time| time.get()));
    let Some(time) = read else { return };
    assert_eq!(Timestamp::parse(&time.to_string()), Some(time), "{text}");
}

fn secret(text: &str) {
    let Ok(secret) = told(parse_secret(text)) else { return };
    assert!((24..=64).contains(&match secret.means() {
        hostline::config::SigningMeans::Hmac(key) => key.len(),
        _ => 0,
    }));
    assert_eq!(format!("{secret:?}"), "***");
}

/// An id has one spelling, whatever it was read from.
fn id<T: std::str::FromStr<Err = ()> + ToString + PartialEq + std::fmt::Debug>(text: &str) {
    let Ok(id) = text.parse::<T>() else { return };
    note("an id");
    assert_eq!(id.to_string().parse::<T>(), Ok(id));
}

/// The head of a request to `hostline listen` and the receivers of `demo`.
pub fn request_head(data: &[u8]) {
    match Request::parse_head(data) {
        Err(error) => note(&error.to_string()),
        Ok((request, _)) => {
            note("taken");
            for header in &request.headers {
                assert_eq!(header.name, header.name.to_ascii_lowercase());
                assert_eq!(header.value, header.value.trim());
                assert!(!header.name.contains(':') && !header.value.contains("\r\n"));
                assert!(request.header(&header.name).is_some());
            }
            assert!(request.body.is_empty());
        }
    }
}
