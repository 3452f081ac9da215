//! When an owed delivery is expected to go, from what is known: what holds it, its place, and how
//! fast its host is let go on. Where too little is known it says so, and why.
//!
//! It reckons with things as they stand: a host that fails, an operator or a new limit changes them.

use std::time::Duration;

use crate::model::Timestamp;

/// No place is so far back: a sum with it must not overflow.
const QUEUEING_MAX: Duration = Duration::from_secs(366 * 86_400);
/// The smallest part of a host's sends that is reckoned with.
const SHARE_MIN: f64 = 0.000_1;

/// A hold that no clock ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenEnd {
    /// An operator has to resume the host.
    Person,
    /// Probes are out, and their answers decide.
    Probes,
}

/// What a host's own headers let go.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Allowance {
    /// Requests until it resets.
    pub free: u64,
    /// When it resets.
    pub resets: Timestamp,
    /// Requests a second after that, where the host named a limit.
    pub next_rate: Option<f64>,
}

/// How fast a host is let go on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Speed {
    /// Static limit, requests a second.
    pub fixed: Option<f64>,
    /// Learned rate, requests a second.
    pub learned: Option<f64>,
    /// Its own headers.
    pub allowance: Option<Allowance>,
    /// Attempts a second of the last minute, those that it asked to wait with not counted.
    pub measured: f64,
    /// Requests that may start now, as far as those in flight are concerned.
    pub slots: u32,
}

/// What the time is reckoned from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prospect {
    /// Now.
    pub now: Timestamp,
    /// Not before.
    pub due: Timestamp,
    /// Not after.
    pub expires: Timestamp,
    /// The end of what holds the host or its lane, the latest of them.
    pub held_until: Option<Timestamp>,
    /// What holds it that no clock ends.
    pub open_end: Option<OpenEnd>,
    /// Deliveries of its lane before it; `None` where that is not known.
    pub ahead: Option<u64>,
    /// The part (0 to 1) of the host's sends that its lane gets.
    pub share: f64,
    /// How fast the host is let go on.
    pub speed: Speed,
}

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expectation {
    /// When it goes; `None` where that cannot be said.
    pub at: Option<Timestamp>,
    /// What that rests on, or why it cannot be said, in words.
    pub words: String,
}

/// What sets the pace of those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Basis {
    Nothing,
    Static,
    Learned,
    Headers,
    Measured,
}

impl Basis {
    fn words(self, ahead: u64) -> String {
        let goes = match ahead {
            1 => "the 1 before it goes".to_owned(),
            _ => format!("the {ahead} before it go"),
        };
        match self {
            Basis::Nothing => "it goes as soon as nothing holds it".to_owned(),
            Basis::Static => format!("{goes} at the static limit"),
            Basis::Learned => format!("{goes} at the learned rate"),
            Basis::Headers => format!("{goes} as the host's rate-limit headers allow"),
            Basis::Measured => format!("{goes} as fast as others did in the last minute"),
        }
    }
}

/// When it is expected to go.
pub fn expect(prospect: &Prospect) -> Expectation {
    let mut expectation = reckon(prospect);
    let last = prospect.expires;
    if expectation.at.is_some_and(|at| at > last) {
        expectation.words.push_str(&format!("; it will expire at {last}, before its turn"));
    } else if expectation.at.is_none() {
        expectation.words.push_str(&format!("; it expires at {last}"));
    }
    expectation
}

fn reckon(prospect: &Prospect) -> Expectation {
    let unknown = |words: &str| Expectation { at: None, words: words.to_owned() };
    match prospect.open_end {
        Some(OpenEnd::Person) => {
            return unknown("nobody knows when: an operator has to resume the host");
        }
        Some(OpenEnd::Probes) => {
            return unknown("not known yet: the answers to the probes that are out decide");
        }
        None => {}
    }
    let Some(ahead) = prospect.ahead else {
        return unknown("not known: its place in the queue could not be read");
    };
    let start = prospect.held_until.unwrap_or(prospect.now).max(prospect.now);
    let Some((queueing, basis)) = queueing(prospect, ahead, start) else {
        return unknown(
            "not known: nothing limits the host, and nothing went out in the last minute that \
             its speed could be measured by",
        );
    };
    let at = start.plus(queueing).max(prospect.due);
    let words = match (basis, prospect.share < 1.0 && ahead > 0) {
        (Basis::Nothing, _) if prospect.due > start => "it goes when it is due".to_owned(),
        (Basis::Nothing, _) => basis.words(ahead),
        (_, true) => {
            let part = (prospect.share * 100.0).round();
            format!("{}; its workspace gets {part} % of the host's sends", basis.words(ahead))
        }
        (_, false) => basis.words(ahead),
    };
    Expectation { at: Some(at), words }
}

/// How long those before it take, from `start` on, and what sets their pace: the slowest of the
/// limits. `None` where nothing says it.
fn queueing(prospect: &Prospect, ahead: u64, start: Timestamp) -> Option<(Duration, Basis)> {
    if ahead == 0 {
        return Some((Duration::ZERO, Basis::Nothing));
    }
    let Speed { fixed, learned, allowance, measured, slots } = prospect.speed;
    let sends = ahead as f64 / prospect.share.clamp(SHARE_MIN, 1.0);
    let at = |rate: f64| seconds(sends / rate.max(f64::MIN_POSITIVE));
    let limits = [
        fixed.map(|rate| (at(rate), Basis::Static)),
        learned.map(|rate| (at(rate), Basis::Learned)),
        allowance.and_then(|allowance| Some((spread(allowance, sends, start)?, Basis::Headers))),
    ];
    if let Some(slowest) = limits.into_iter().flatten().max_by_key(|(time, _)| *time) {
        return Some(slowest);
    }
    if measured > 0.0 {
        return Some((at(measured), Basis::Measured));
    }
    (sends < f64::from(slots)).then_some((Duration::ZERO, Basis::Nothing))
}

/// How long `sends` take under what the host's headers let go.
fn spread(allowance: Allowance, sends: f64, start: Timestamp) -> Option<Duration> {
    let left = start.until(allowance.resets).as_secs_f64();
    let free = if left > 0.0 { allowance.free as f64 } else { 0.0 };
    if sends < free {
        return Some(seconds(left * sends / free));
    }
    let rate = allowance.next_rate?;
    Some(seconds(left + (sends - free) / rate.max(f64::MIN_POSITIVE)))
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(QUEUEING_MAX).min(QUEUEING_MAX)
}

#[cfg(test)]
mod tests;
