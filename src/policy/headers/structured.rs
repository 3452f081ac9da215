//! `RateLimit` and `RateLimit-Policy` of draft-ietf-httpapi-ratelimit-headers, from the dictionary
//! of draft 7 to the lists of named policies since draft 8.

use std::time::Duration;

use sfv::{BareItem, Dictionary, Item, List, ListEntry, Parser};

use super::Bucket;
use super::fields::ITEMS_MAX;
use super::time::{self, Reset, reset_of_number};
use crate::model::Timestamp;

/// One policy: so many requests in such a window.
pub struct Policy {
    /// Without one it is of a draft before names.
    pub name: Option<String>,
    /// Requests that a window allows.
    pub quota: Option<u64>,
    /// Whether it counts requests, and not bytes or requests at once.
    pub counts_requests: bool,
    /// The length of a window.
    pub window: Option<Duration>,
}

/// What remains under a named policy.
pub struct Standing {
    name: String,
    remaining: Option<u64>,
    reset: Option<Reset>,
}

/// Reads `RateLimit-Policy`: `"burst";q=100;w=60` or `100;w=60`.
pub fn policies(text: &str) -> Vec<Policy> {
    let mut policies = Vec::new();
    for item in parse_items(text) {
        let name = name_of(&item.bare_item);
        let own_quota = number_of(&item.bare_item).map(|number| number as u64);
        let quota = parameter(&item, "q").map(|number| number as u64).or(own_quota);
        let unit = item.params.get("qu").and_then(name_of);
        let counts_requests = unit.is_none_or(|unit| unit == "requests");
        policies.push(Policy {
            name,
            quota: quota.filter(|_| counts_requests),
            counts_requests,
            window: parameter(&item, "w").and_then(time::seconds),
        });
    }
    policies
}

/// Reads `RateLimit` as a list: `"burst";r=45;t=30`.
pub fn items(text: &str, now: Timestamp) -> Vec<Standing> {
    let mut standings = Vec::new();
    for item in parse_items(text) {
        let remaining = parameter(&item, "r").map(|number| number as u64);
        let reset = parameter(&item, "t").and_then(|number| reset(number, now));
        let Some(name) = name_of(&item.bare_item) else { continue };
        if remaining.is_some() || reset.is_some() {
            standings.push(Standing { name, remaining, reset });
        }
    }
    standings
}

/// Joins named policies with what remains under them. A policy that says nothing of what remains
/// is a bucket too; one that counts something other than requests is none.
pub fn named(standings: &[Standing], policies: &[Policy]) -> Vec<Bucket> {
    let mut buckets = Vec::new();
    for standing in standings {
        let policy = policies.iter().find(|policy| policy.name.as_ref() == Some(&standing.name));
        if policy.is_some_and(|policy| !policy.counts_requests) {
            continue;
        }
        buckets.push(Bucket {
            limit: policy.and_then(|policy| policy.quota),
            remaining: standing.remaining,
            reset: standing.reset.map(|reset| reset.wait),
            window: policy.and_then(|policy| policy.window),
            coarse: standing.reset.is_some_and(|reset| reset.coarse),
        });
    }
    for policy in policies {
        let Some(name) = &policy.name else { continue };
        let silent = !standings.iter().any(|standing| standing.name == *name);
        if silent && policy.quota.is_some() {
            buckets.push(Bucket {
                limit: policy.quota,
                window: policy.window,
                ..Bucket::default()
            });
        }
    }
    buckets
}

/// Reads `RateLimit` as draft 7 wrote it: `limit=100, remaining=50, reset=30`.
pub fn dictionary(text: &str, now: Timestamp) -> Option<Bucket> {
    if text.is_empty() {
        return None;
    }
    let members: Dictionary = Parser::new(text).parse().ok()?;
    let number = |key: &str| match members.get(key)? {
        ListEntry::Item(item) => number_of(&item.bare_item),
        ListEntry::InnerList(_) => None,
    };
    let reset = number("reset").and_then(|number| reset(number, now));
    let bucket = Bucket {
        limit: number("limit").map(|number| number as u64),
        remaining: number("remaining").map(|number| number as u64),
        reset: reset.map(|reset| reset.wait),
        window: None,
        coarse: reset.is_some_and(|reset| reset.coarse),
    };
    let empty = bucket.limit.is_none() && bucket.remaining.is_none() && bucket.reset.is_none();
    (!empty).then_some(bucket)
}

fn parse_items(text: &str) -> Vec<Item> {
    if text.is_empty() {
        return Vec::new();
    }
    let list: List = Parser::new(text).parse().unwrap_or_default();
    let items = list.into_iter().filter_map(|entry| match entry {
        ListEntry::Item(item) => Some(item),
        ListEntry::InnerList(_) => None,
    });
    items.take(ITEMS_MAX).collect()
}

fn reset(number: f64, now: Timestamp) -> Option<Reset> {
    reset_of_number(number, number.fract() == 0.0, now)
}

fn name_of(item: &BareItem) -> Option<String> {
    let string = item.as_string().map(|string| string.as_str());
    string.or_else(|| item.as_token().map(|token| token.as_str())).map(str::to_owned)
}

fn parameter(item: &Item, key: &str) -> Option<f64> {
    number_of(item.params.get(key)?)
}

/// A number that is not negative.
fn number_of(item: &BareItem) -> Option<f64> {
    let whole = item.as_integer().map(|integer| i64::from(integer) as f64);
    let number = whole.or_else(|| {
        let decimal = item.as_decimal()?;
        Some(i64::from(decimal.as_integer_scaled_1000()) as f64 / 1000.0)
    })?;
    (number >= 0.0).then_some(number)
}
