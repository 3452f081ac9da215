//! What an answer's headers say about the host's budget, in all the dialects that are spoken:
//! `Retry-After` (RFC 9110), the triples `X-RateLimit-*`, `X-Rate-Limit-*` and `RateLimit-*` with
//! whatever suffix, and the fields `RateLimit` and `RateLimit-Policy` of
//! draft-ietf-httpapi-ratelimit-headers (lists from draft 8 on, dictionaries in draft 7).
//!
//! Reads only; what follows from it is the budget's to decide. What makes no sense is ignored.

use std::time::Duration;

use sfv::{BareItem, Dictionary, List, ListEntry, Parameters, Parser};

use crate::model::{Header, Timestamp};

pub mod time;

use time::{date, reset_in, seconds};

/// What an answer's headers say about the host's budget.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signals {
    /// `Retry-After`, from now; a date that has passed is zero.
    pub retry_after: Option<Duration>,
    /// Every bucket that was named; the tightest governs.
    pub buckets: Vec<Bucket>,
}

/// One rate-limit bucket as a host describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bucket {
    /// Requests a window.
    pub limit: Option<u64>,
    /// Requests left in this window.
    pub remaining: Option<u64>,
    /// Time from now until the window resets.
    pub reset: Option<Duration>,
    /// Length of the window.
    pub window: Option<Duration>,
    /// The reset was given in whole seconds, so it may be up to a second off.
    pub coarse: bool,
}

/// Reads an answer's headers; names are in lower case. `received` is the wall clock when it came.
pub fn read(headers: &[Header], received: Timestamp) -> Signals {
    let mut relevant = headers.iter().filter(|header| is_relevant(&header.name)).peekable();
    if relevant.peek().is_none() {
        return Signals::default();
    }
    let dated = headers.iter().find(|header| header.name == "date");
    // Dates are measured against the answer's own date, so that skewed clocks cancel out.
    let now = dated.and_then(|header| date(&header.value)).unwrap_or(received);
    let mut reader = Reader { now, retry_after: None, scopes: Vec::new(), listed: Vec::new() };
    for header in relevant {
        reader.take(&header.name, header.value.trim());
    }
    reader.finish()
}

fn is_relevant(name: &str) -> bool {
    let starts = matches!(name.as_bytes().first(), Some(b'r' | b'x' | b'a'));
    starts
        && (name.contains("ratelimit")
            || name.contains("rate-limit")
            || name.contains("retry-after")
            || name == "x-shopify-shop-api-call-limit")
}

struct Reader {
    now: Timestamp,
    retry_after: Option<Duration>,
    /// Triples by what they count: '' for the plain ones, else the suffix (`minute`, `requests`).
    scopes: Vec<(String, Triple)>,
    /// Buckets of the structured fields, by name.
    listed: Vec<(String, Bucket)>,
}

/// The values of a triple, each of which may be a list.
#[derive(Default)]
struct Triple {
    limits: Vec<u64>,
    remaining: Vec<u64>,
    resets: Vec<(Duration, bool)>,
    policies: Vec<(u64, Duration)>,
}

/// What a header of a triple says.
enum Part {
    Limit,
    Remaining,
    Reset { millis: bool },
    Window { millis: bool },
}

impl Reader {
    fn take(&mut self, name: &str, value: &str) {
        match name {
            "retry-after" => return self.wait(seconds(value).or_else(|| self.until(value))),
            "retry-after-ms" | "x-ms-retry-after-ms" => {
                return self.wait(seconds(value).map(|millis| millis / 1000));
            }
            "x-shopify-shop-api-call-limit" => return self.ratio(value),
            "ratelimit" => return self.structured(value),
            "ratelimit-policy" => return self.policy(value),
            _ => {}
        }
        let Some((prefix, suffix)) = split_name(name) else { return };
        if suffix.is_empty() && prefix.starts_with("x-") {
            return self.ratio(value);
        }
        if suffix == "retry-after" {
            return self.wait(seconds(value).or_else(|| self.until(value)));
        }
        let Some((part, scope)) = part_of(suffix) else { return };
        // Tokens and bytes are not requests.
        if scope.contains("token") || scope.contains("byte") {
            return;
        }
        let now = self.now;
        let triple = self.triple(&scope);
        for (index, item) in value.split(',').map(str::trim).enumerate() {
            match part {
                Part::Limit => triple.limit(item, index),
                Part::Remaining => triple.remaining.extend(whole(item)),
                Part::Reset { millis: true } => {
                    let reset = seconds(item).map(|millis| (millis / 1000, false));
                    triple.resets.extend(reset);
                }
                // A date may hold a comma, so it is read as a whole.
                Part::Reset { .. } => {
                    let reset = reset_in(item, now).or_else(|| reset_in(value, now));
                    triple.resets.extend(reset);
                }
                Part::Window { millis } => {
                    let divisor = if millis { 1000 } else { 1 };
                    let window = seconds(item).map(|window| window / divisor);
                    triple.policies.extend(window.map(|window| (0, window)));
                }
            }
        }
    }

    fn until(&self, value: &str) -> Option<Duration> {
        date(value).map(|then| self.now.until(then))
    }

    fn wait(&mut self, wait: Option<Duration>) {
        self.retry_after = self.retry_after.max(wait);
    }

    fn triple(&mut self, scope: &str) -> &mut Triple {
        let place = self.scopes.iter().position(|(known, _)| known == scope);
        let place = place.unwrap_or_else(|| {
            self.scopes.push((scope.to_owned(), Triple::default()));
            self.scopes.len() - 1
        });
        &mut self.scopes[place].1
    }

    /// `used/limit`, as leaky buckets without a reset say it.
    fn ratio(&mut self, value: &str) {
        let Some((used, limit)) = value.split_once('/') else { return };
        if let (Some(used), Some(limit)) = (whole(used.trim()), whole(limit.trim())) {
            let remaining = Some(limit.saturating_sub(used));
            let bucket = Bucket { limit: Some(limit), remaining, ..Bucket::default() };
            self.listed.push((String::new(), bucket));
        }
    }

    fn listed(&mut self, name: &str) -> &mut Bucket {
        let place = self.listed.iter().position(|(known, _)| known == name);
        let place = place.unwrap_or_else(|| {
            self.listed.push((name.to_owned(), Bucket { coarse: true, ..Bucket::default() }));
            self.listed.len() - 1
        });
        &mut self.listed[place].1
    }

    /// `"burst";r=45;t=30` or `limit=100, remaining=50, reset=30`.
    fn structured(&mut self, value: &str) {
        if let Ok(list) = Parser::new(value).parse::<List>() {
            for (name, parameters) in list.iter().filter_map(named) {
                let bucket = self.listed(&name);
                bucket.remaining = parameter(parameters, "r").or(bucket.remaining);
                let reset = parameter(parameters, "t").map(Duration::from_secs);
                bucket.reset = reset.or(bucket.reset);
            }
        } else if let Ok(fields) = Parser::new(value).parse::<Dictionary>() {
            let field = |name: &str| match fields.get(name) {
                Some(ListEntry::Item(item)) => number(&item.bare_item),
                _ => None,
            };
            let bucket = self.listed("");
            bucket.limit = field("limit");
            bucket.remaining = field("remaining");
            bucket.reset = field("reset").map(Duration::from_secs);
        }
    }

    /// `"burst";q=100;w=60`, or `100;w=60` of the older drafts.
    fn policy(&mut self, value: &str) {
        let Ok(list) = Parser::new(value).parse::<List>() else { return };
        for entry in &list {
            let ListEntry::Item(item) = entry else { continue };
            let window = parameter(&item.params, "w").map(Duration::from_secs);
            if let Some(limit) = number(&item.bare_item) {
                let policy = window.map(|window| (limit, window));
                self.triple("").policies.extend(policy);
            } else if let Some((name, parameters)) = named(entry) {
                let is_requests = match parameters.get("qu") {
                    Some(BareItem::String(unit)) => unit.as_str() == "requests",
                    _ => true,
                };
                if is_requests {
                    let bucket = self.listed(&name);
                    bucket.limit = parameter(parameters, "q").or(bucket.limit);
                    bucket.window = window.or(bucket.window);
                }
            }
        }
    }

    fn finish(self) -> Signals {
        let plain_reset = self
            .scopes
            .iter()
            .find(|(scope, _)| scope.is_empty())
            .and_then(|(_, triple)| triple.resets.first().copied());
        let mut buckets = Vec::new();
        for (scope, triple) in self.scopes {
            triple.into_buckets(&scope, plain_reset, &mut buckets);
        }
        buckets.extend(self.listed.into_iter().map(|(_, bucket)| bucket));
        buckets.retain(|bucket| bucket.limit.is_some() || bucket.remaining.is_some());
        Signals { retry_after: self.retry_after, buckets }
    }
}

impl Triple {
    /// `100`, or one policy of `10, 10;w=1, 100;w=60`.
    fn limit(&mut self, item: &str, index: usize) {
        match item.split_once(';') {
            None => self.limits.extend(whole(item)),
            Some((limit, rest)) => {
                let window = rest.split(';').find_map(|part| part.trim().strip_prefix("w="));
                let window = window.and_then(|window| seconds(window.trim()));
                let Some(limit) = whole(limit.trim()) else { return };
                if index == 0 {
                    self.limits.push(limit);
                }
                self.policies.extend(window.map(|window| (limit, window)));
            }
        }
    }

    fn into_buckets(
        self,
        scope: &str,
        plain_reset: Option<(Duration, bool)>,
        buckets: &mut Vec<Bucket>,
    ) {
        let unit = unit_of(scope);
        let count = self.limits.len().max(self.remaining.len()).max(1);
        for index in 0..count {
            let limit = self.limits.get(index).or(self.limits.last()).copied();
            let remaining = self.remaining.get(index).or(self.remaining.last()).copied();
            let own = self.resets.get(index).or(self.resets.last()).copied();
            let matching = |policy: &&(u64, Duration)| policy.0 == 0 || Some(policy.0) == limit;
            let window = self.policies.iter().find(matching).map(|policy| policy.1).or(unit);
            // A bucket of a unit without its own reset: the plain one, else at most the unit.
            let fallback =
                if unit.is_some() { plain_reset.or(unit.map(|unit| (unit, true))) } else { None };
            let reset = own.or(fallback);
            buckets.push(Bucket {
                limit,
                remaining,
                reset: reset.map(|reset| reset.0),
                window,
                coarse: reset.is_some_and(|reset| reset.1),
            });
        }
    }
}

/// What stands before and after `ratelimit` or `rate-limit`, without the dash.
fn split_name(name: &str) -> Option<(&str, &str)> {
    let (at, length) = match (name.find("ratelimit"), name.find("rate-limit")) {
        (Some(at), _) => (at, "ratelimit".len()),
        (None, Some(at)) => (at, "rate-limit".len()),
        (None, None) => return None,
    };
    Some((&name[..at], name[at + length..].trim_start_matches('-')))
}

/// The part of a triple that a suffix names, and what it counts: `remaining-minute`,
/// `requests-limit`, `reset-after`, `interval-milliseconds`.
fn part_of(suffix: &str) -> Option<(Part, String)> {
    let words: Vec<&str> = suffix.split('-').collect();
    let has = |word: &str| words.contains(&word);
    let millis = has("ms") || has("milliseconds");
    let part = if has("limit") || has("max") || words == ["requests"] {
        Part::Limit
    } else if has("remaining") {
        Part::Remaining
    } else if has("reset") || has("next") {
        Part::Reset { millis }
    } else if has("interval") || has("window") {
        Part::Window { millis }
    } else {
        return None;
    };
    let known = [
        "limit",
        "max",
        "remaining",
        "reset",
        "next",
        "after",
        "ms",
        "milliseconds",
        "seconds",
        "at",
        "interval",
        "window",
        "time",
        "in",
    ];
    let scope: Vec<&str> = words.into_iter().filter(|word| !known.contains(word)).collect();
    Some((part, scope.join("-")))
}

fn unit_of(scope: &str) -> Option<Duration> {
    let seconds = match scope {
        "second" => 1,
        "minute" => 60,
        "hour" | "hourly" => 3600,
        "day" | "daily" => 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(seconds))
}

/// A count: whole, or with a fraction that is cut off.
fn whole(text: &str) -> Option<u64> {
    let value: f64 = text.parse().ok()?;
    (value >= 0.0 && value < 1e15).then_some(value as u64)
}

fn named(entry: &ListEntry) -> Option<(String, &Parameters)> {
    let ListEntry::Item(item) = entry else { return None };
    let name = match &item.bare_item {
        BareItem::String(name) => name.as_str().to_owned(),
        BareItem::Token(name) => name.as_str().to_owned(),
        _ => return None,
    };
    // A bare token is the dictionary form of draft 7, unless it carries parameters.
    (!matches!(item.bare_item, BareItem::Token(_)) || !item.params.is_empty())
        .then_some((name, &item.params))
}

fn parameter(parameters: &Parameters, name: &str) -> Option<u64> {
    number(parameters.get(name)?)
}

fn number(item: &BareItem) -> Option<u64> {
    match item {
        BareItem::Integer(value) => u64::try_from(i64::from(*value)).ok(),
        BareItem::Decimal(value) => whole(&value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
