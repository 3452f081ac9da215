//! The names of fields, and the parts of a bucket that lie scattered over them.
//!
//! A name is taken apart into a family (`x-ratelimit-`), a part (`remaining`) and a key (`minute`),
//! which comes before the part or after it. What shares family and key is one bucket.

use std::time::Duration;

use super::Bucket;
use super::structured::{self, Policy};
use super::time::{self, Reset, reset_in};
use crate::model::Timestamp;

/// More buckets, or more items in a list, than any server means; what goes beyond is passed over,
/// so that a hostile answer costs little.
pub const ITEMS_MAX: usize = 16;

/// What the name of a field stands for.
pub enum Field<'a> {
    /// A wait.
    RetryAfter,
    /// A wait in milliseconds.
    RetryAfterMs,
    /// A field of the IETF draft.
    Structured(Structured),
    /// One part of a bucket.
    Part(PartName<'a>),
}

/// The fields of the IETF draft.
#[derive(Clone, Copy)]
pub enum Structured {
    /// `RateLimit`.
    Limit,
    /// `RateLimit-Policy`.
    Policy,
}

/// Which part of which bucket.
#[derive(Clone, Copy)]
pub struct PartName<'a> {
    family: &'static str,
    key: &'a str,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Limit,
    Remaining,
    Used,
    /// `32/40`: used of limit, also behind a name (`api-usage=18/5000`).
    UsedOfLimit,
    Reset,
    ResetAfter,
    ResetMs,
    WindowSeconds,
    WindowMs,
    FillRate,
}

/// Longest first, so that `x-ratelimit-` does not hide in another.
const FAMILIES: [&str; 7] = [
    "x-hubspot-ratelimit-",
    "anthropic-ratelimit-",
    "x-ms-ratelimit-",
    "x-rate-limit-",
    "x-ratelimit-",
    "rate-limit-",
    "ratelimit-",
];

/// A part whose name begins with another's comes first.
const PARTS: [(&str, Part); 17] = [
    ("limit", Part::Limit),
    ("max", Part::Limit),
    ("remaining", Part::Remaining),
    ("used", Part::Used),
    ("observed", Part::Used),
    ("reset-after", Part::ResetAfter),
    ("reset-in", Part::ResetAfter),
    ("reset-milliseconds", Part::ResetMs),
    ("reset-ms", Part::ResetMs),
    ("reset-at", Part::Reset),
    ("reset", Part::Reset),
    ("next", Part::Reset),
    ("interval-milliseconds", Part::WindowMs),
    ("interval-seconds", Part::WindowSeconds),
    ("interval", Part::WindowSeconds),
    ("window", Part::WindowSeconds),
    ("fillrate", Part::FillRate),
];

/// Keys of buckets that count something other than requests.
const OTHER_UNITS: [&str; 4] = ["tokens", "bytes", "concurrent", "concurrent-requests"];

/// The first bytes of every name that `Field::of` knows, and the shortest of them (`ratelimit`).
const FIRST_BYTES: &[u8] = b"rxas";
const NAME_LEN_MIN: usize = 9;

impl<'a> Field<'a> {
    /// What `name` stands for; `None` for a name that says nothing about a budget.
    pub fn of(name: &'a str) -> Option<Self> {
        let first = name.as_bytes().first()?;
        if name.len() < NAME_LEN_MIN || !FIRST_BYTES.contains(first) {
            return None;
        }
        match name {
            "retry-after" | "x-retry-after" | "x-ratelimit-retry-after" => {
                return Some(Field::RetryAfter);
            }
            "retry-after-ms" | "x-ms-retry-after-ms" => return Some(Field::RetryAfterMs),
            "ratelimit" => return Some(Field::Structured(Structured::Limit)),
            "ratelimit-policy" => return Some(Field::Structured(Structured::Policy)),
            "x-shopify-shop-api-call-limit" | "sforce-limit-info" => {
                return Some(Field::Part(PartName {
                    family: if name.starts_with('x') { "x-shopify" } else { "sforce" },
                    key: "",
                    part: Part::UsedOfLimit,
                }));
            }
            _ => {}
        }
        let family = FAMILIES.into_iter().find(|family| name.starts_with(family))?;
        let (part, key) = split(&name[family.len()..])?;
        let counts_requests = !OTHER_UNITS.iter().any(|unit| key.ends_with(unit));
        counts_requests.then_some(Field::Part(PartName { family, key, part }))
    }
}

/// Takes `remaining-minute`, `minute-remaining` or `daily` apart.
fn split(rest: &str) -> Option<(Part, &str)> {
    for (name, part) in PARTS {
        if let Some(key) = rest.strip_prefix(name) {
            if key.is_empty() {
                return Some((part, key));
            }
            if let Some(key) = key.strip_prefix('-') {
                return Some((part, key));
            }
        }
        if let Some(key) = rest.strip_suffix(name).and_then(|key| key.strip_suffix('-')) {
            return Some((part, key));
        }
    }
    // HubSpot calls the limit of a day just `daily`.
    window_of_key(rest).is_some().then_some((Part::Limit, rest))
}

/// The window that a key such as `minute` names.
fn window_of_key(key: &str) -> Option<Duration> {
    let last = key.rsplit('-').next().unwrap_or(key);
    Some(Duration::from_secs(match last {
        "second" | "secondly" => 1,
        "minute" | "minutely" => 60,
        "hour" | "hourly" => 3600,
        "day" | "daily" => 86_400,
        "month" | "monthly" => 30 * 86_400,
        _ => return None,
    }))
}

/// What has been read so far.
#[derive(Default)]
pub struct Notes<'a> {
    loose: Vec<Loose<'a>>,
    items: String,
    policies: String,
}

/// The parts of one bucket.
#[derive(Default)]
struct Loose<'a> {
    family: &'static str,
    key: &'a str,
    limits: Vec<Quota>,
    policies: Vec<Quota>,
    remaining: Vec<u64>,
    /// Below zero, which is either a budget overrun or `-1` for no limit.
    remaining_negative: bool,
    used: Option<u64>,
    resets: Vec<Reset>,
    reset_after: Option<Reset>,
    window: Option<Duration>,
    fill_rate: Option<u64>,
}

#[derive(Clone, Copy, PartialEq)]
struct Quota {
    limit: u64,
    window: Option<Duration>,
}

impl<'a> Notes<'a> {
    /// Notes a field of the IETF draft. Read at the end: policies and items may come in any order,
    /// and repeated fields are one list.
    pub fn structured(&mut self, field: Structured, value: &str) {
        let list = match field {
            Structured::Limit => &mut self.items,
            Structured::Policy => &mut self.policies,
        };
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(value);
    }

    /// Notes one part of a bucket.
    pub fn part(&mut self, name: PartName<'a>, value: &str, now: Timestamp) {
        let value = value.trim();
        let Some(loose) = self.loose_of(name.family, name.key) else { return };
        match name.part {
            Part::Limit => loose.note_limit(value),
            Part::Remaining => loose.note_remaining(value),
            Part::Used => loose.used = count(value).or(loose.used),
            Part::UsedOfLimit => loose.note_used_of_limit(value),
            Part::Reset => loose.note_resets(value, now),
            Part::ResetAfter => loose.reset_after = reset_in(value, now).or(loose.reset_after),
            Part::ResetMs => {
                let wait = time::millis(value);
                let reset = wait.map(|wait| Reset { wait, coarse: false });
                loose.reset_after = reset.or(loose.reset_after);
            }
            Part::WindowSeconds => {
                let window = time::number(value).and_then(time::seconds);
                loose.window = window.or_else(|| time::go_duration(value)).or(loose.window);
            }
            Part::WindowMs => loose.window = time::millis(value).or(loose.window),
            Part::FillRate => loose.fill_rate = count(value).or(loose.fill_rate),
        }
    }

    fn loose_of(&mut self, family: &'static str, key: &'a str) -> Option<&mut Loose<'a>> {
        let known = self.loose.iter().position(|loose| loose.family == family && loose.key == key);
        let at = known.unwrap_or(self.loose.len());
        if at == ITEMS_MAX {
            return None;
        }
        if at == self.loose.len() {
            self.loose.push(Loose { family, key, ..Loose::default() });
        }
        self.loose.get_mut(at)
    }

    /// Puts the parts together.
    pub fn into_buckets(mut self, now: Timestamp) -> Vec<Bucket> {
        let mut buckets = Vec::new();
        let policies = structured::policies(&self.policies);
        if !self.items.is_empty() || !policies.is_empty() {
            self.take_structured(&policies, now, &mut buckets);
        }
        for loose in self.loose {
            loose.into_buckets(&mut buckets);
        }
        buckets.truncate(ITEMS_MAX);
        buckets
    }

    /// The draft's fields: named buckets are whole by themselves; what has no name (drafts up to 7)
    /// belongs to the unprefixed triple.
    fn take_structured(&mut self, policies: &[Policy], now: Timestamp, buckets: &mut Vec<Bucket>) {
        let items = structured::items(&self.items, now);
        buckets.extend(structured::named(&items, policies));
        let unnamed = policies.iter().filter(|policy| policy.name.is_none());
        let quotas: Vec<Quota> = unnamed
            .filter_map(|policy| Some(Quota { limit: policy.quota?, window: policy.window }))
            .collect();
        let dictionary = structured::dictionary(&self.items, now);
        if quotas.is_empty() && dictionary.is_none() {
            return;
        }
        let Some(loose) = self.loose_of("ratelimit-", "") else { return };
        loose.policies.extend(quotas);
        let Some(bucket) = dictionary else { return };
        if let Some(limit) = bucket.limit {
            loose.limits.push(Quota { limit, window: bucket.window });
        }
        loose.remaining.extend(bucket.remaining);
        let coarse = bucket.coarse;
        loose.resets.extend(bucket.reset.map(|wait| Reset { wait, coarse }));
    }
}

impl Loose<'_> {
    fn note_limit(&mut self, text: &str) {
        for item in list(text) {
            let mut parameters = item.split(';').map(str::trim);
            let Some(first) = parameters.next() else { continue };
            if let Some((used, limit)) = used_of_limit(first) {
                self.used = Some(used);
                self.limits.push(Quota { limit, window: None });
                continue;
            }
            let Some(limit) = count(first) else {
                // AspNetCoreRateLimit puts the period (`15m`) where others put the limit.
                self.window = time::go_duration(first).or(self.window);
                continue;
            };
            let window = parameters.find_map(|parameter| {
                let (name, value) = parameter.split_once('=')?;
                let is_window = matches!(name.trim(), "w" | "window");
                is_window.then(|| time::number(value.trim()).and_then(time::seconds))?
            });
            self.limits.push(Quota { limit, window });
        }
    }

    fn note_remaining(&mut self, text: &str) {
        for item in list(text) {
            match count(item) {
                Some(remaining) => self.remaining.push(remaining),
                None if item.strip_prefix('-').and_then(count).is_some() => {
                    self.remaining_negative = true;
                }
                None => {}
            }
        }
    }

    fn note_used_of_limit(&mut self, text: &str) {
        let first = text.split([',', ';']).next().unwrap_or(text);
        let ratio = first.rsplit('=').next().unwrap_or(first);
        if let Some((used, limit)) = used_of_limit(ratio) {
            self.used = Some(used);
            self.limits.push(Quota { limit, window: None });
        }
    }

    /// A date has a comma of its own, so the whole is tried before the parts.
    fn note_resets(&mut self, text: &str, now: Timestamp) {
        match reset_in(text, now) {
            Some(reset) => self.resets.push(reset),
            None => self.resets.extend(list(text).filter_map(|item| reset_in(item, now))),
        }
    }

    fn into_buckets(self, buckets: &mut Vec<Bucket>) {
        let rows = self.limits.len();
        if rows > 1 && self.remaining.len() == rows {
            self.into_rows(buckets);
            return;
        }
        let main = self.limits.first().copied();
        let limit = main.map(|quota| quota.limit);
        let remaining = self.main_remaining(limit);
        // Of several resets for one bucket the latest is the safe one.
        let reset = self.reset_after.or(self.resets.iter().copied().max_by_key(|reset| reset.wait));
        let window = self.main_window(main);
        if limit.is_some() || remaining.is_some() || reset.is_some() {
            let (coarse, reset) =
                (reset.is_some_and(|reset| reset.coarse), reset.map(|reset| reset.wait));
            buckets.push(Bucket { limit, remaining, reset, window, coarse });
        }
        // `10, 10;w=1, 100;w=60`: what follows the first are further windows, and one of them is
        // the first again, with its length.
        for quota in self.limits.iter().skip(1).chain(&self.policies) {
            let twin = Some(quota.limit) == limit && quota.window == window;
            let extra =
                Bucket { limit: Some(quota.limit), window: quota.window, ..Bucket::default() };
            if !twin && quota.window.is_some() && !buckets.contains(&extra) {
                buckets.push(extra);
            }
        }
    }

    /// Fields that were repeated, or listed in step: the nth items are the nth bucket.
    fn into_rows(self, buckets: &mut Vec<Bucket>) {
        for (row, (quota, remaining)) in self.limits.iter().zip(&self.remaining).enumerate() {
            let aligned = self.resets.len() == self.limits.len();
            let reset = self.resets.get(if aligned { row } else { 0 });
            buckets.push(Bucket {
                limit: Some(quota.limit),
                remaining: Some(*remaining),
                reset: reset.map(|reset| reset.wait),
                window: quota.window.or_else(|| window_of_key(self.key)),
                coarse: reset.is_some_and(|reset| reset.coarse),
            });
        }
    }

    fn main_remaining(&self, limit: Option<u64>) -> Option<u64> {
        if let Some(remaining) = self.remaining.iter().min() {
            return Some(*remaining);
        }
        if self.remaining_negative && limit.is_some() {
            return Some(0);
        }
        Some(limit?.saturating_sub(self.used?))
    }

    fn main_window(&self, main: Option<Quota>) -> Option<Duration> {
        let twin_window = || {
            let limit = main?.limit;
            let mut quotas = self.limits.iter().chain(&self.policies);
            quotas.find(|quota| quota.limit == limit && quota.window.is_some())?.window
        };
        let window = main.and_then(|quota| quota.window).or_else(twin_window);
        let window = window.or(self.window).or_else(|| window_of_key(self.key))?;
        // Atlassian: `fillrate` requests come back every interval, so a full bucket takes longer.
        match (main, self.fill_rate) {
            (Some(quota), Some(rate)) if rate > 0 => {
                time::seconds(window.as_secs_f64() * quota.limit as f64 / rate as f64)
            }
            _ => Some(window),
        }
    }
}

/// The items of a comma-separated list; a comma inside quotes is part of its item.
fn list(text: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let items = text.split(move |letter| {
        quoted ^= letter == '"';
        letter == ',' && !quoted
    });
    items.map(str::trim).filter(|item| !item.is_empty()).take(ITEMS_MAX)
}

/// A count of requests. Some count in fractions; a part of a request is none.
fn count(text: &str) -> Option<u64> {
    let text = text.trim();
    text.parse().ok().or_else(|| time::number(text).map(|number| number as u64))
}

fn used_of_limit(text: &str) -> Option<(u64, u64)> {
    let (used, limit) = text.split_once('/')?;
    Some((count(used)?, count(limit)?))
}
