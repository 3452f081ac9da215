//! Whether a recipient may get a campaign again, and whether the campaign still sends at all.
//!
//! What is kept of a recipient's history is no more than the rules ask for: the last sends, as many
//! as the frequency cap counts and no older than it looks back. A cap that is widened later does
//! not know what was let go before.

use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::document::{Span, Time, Vetting};
use crate::model::Timestamp;

/// Messages that a cap can count; each is a time kept per recipient.
const CAP_MAX: u32 = 100;
/// How far back a cap can look.
const CAP_PER_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Whether a recipient can get a campaign, or enter a canvas, more than once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reeligible {
    /// Any time.
    #[default]
    Always,
    /// Once and never again.
    Never,
    /// When this long has passed since the last time.
    After(Span),
}

impl Serialize for Reeligible {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Reeligible::Always => "always",
            Reeligible::Never => "never",
            Reeligible::After(span) => span.as_str(),
        })
    }
}

impl<'de> Deserialize<'de> for Reeligible {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "always" => Ok(Reeligible::Always),
            "never" => Ok(Reeligible::Never),
            text => Span::parse(text).map(Reeligible::After).map_err(|detail| {
                D::Error::custom(format_args!("{detail}; or write \"always\" or \"never\""))
            }),
        }
    }
}

/// At most so many messages to a recipient in any stretch of time of this length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a cap: {\"messages\": 3, \"per\": \"7d\"}")]
pub struct FrequencyCap {
    /// How many, 1 to 100.
    pub messages: u32,
    /// In how long; at most 366 days.
    pub per: Span,
}

impl FrequencyCap {
    /// Vets what serde cannot tell.
    pub fn vet(&self, vetting: &mut Vetting) {
        if !(1..=CAP_MAX).contains(&self.messages) {
            let detail = format!("is {}; 1 to {CAP_MAX} are taken", self.messages);
            vetting.fault_at("messages", detail);
        }
        if self.per.get() > CAP_PER_MAX {
            vetting.fault_at("per", "is more than 366 days");
        }
    }
}

/// What a recipient has had of one campaign: stored per campaign and recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// How many sends in all.
    sends: u64,
    /// The last of them.
    last: Option<Timestamp>,
    /// Those that the cap counts, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    recent: Vec<Timestamp>,
}

/// Whether a recipient may get it now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Eligibility {
    /// Yes.
    Eligible,
    /// Had it already.
    NotEligible {
        /// When.
        last: Timestamp,
        /// From when on again; `None` for never.
        again_at: Option<Timestamp>,
    },
    /// Had as many as the cap allows.
    Capped {
        /// How many are allowed.
        messages: u32,
        /// In how long.
        per: Duration,
        /// From when on again.
        again_at: Timestamp,
    },
}

impl Contact {
    /// How many sends there were in all.
    pub fn sends(&self) -> u64 {
        self.sends
    }

    /// Whether the recipient may get it at `now`. Re-eligibility is asked first.
    pub fn judge(
        &self,
        reeligible: &Reeligible,
        cap: Option<&FrequencyCap>,
        now: Timestamp,
    ) -> Eligibility {
        if let Some(last) = self.last {
            let again_at = match reeligible {
                Reeligible::Always => Some(now),
                Reeligible::Never => None,
                Reeligible::After(span) => Some(last.plus(span.get())),
            };
            if again_at.is_none_or(|again_at| again_at > now) {
                return Eligibility::NotEligible { last, again_at };
            }
        }
        match cap.and_then(|cap| Some((cap, self.capped_until(cap, now)?))) {
            Some((cap, again_at)) => {
                Eligibility::Capped { messages: cap.messages, per: cap.per.get(), again_at }
            }
            None => Eligibility::Eligible,
        }
    }

    /// The recipient gets one that goes at `now`.
    pub fn record(&mut self, cap: Option<&FrequencyCap>, now: Timestamp) {
        // A clock that is a little behind must not make the last send older than it is.
        let at = self.last.map_or(now, |last| last.max(now));
        self.sends = self.sends.saturating_add(1);
        self.last = Some(at);
        let Some(cap) = cap else {
            self.recent.clear();
            return;
        };
        self.recent.push(at);
        let counted = cap.messages.clamp(1, CAP_MAX) as usize;
        let over = self.recent.len().saturating_sub(counted);
        let old = self.recent.partition_point(|sent| sent.plus(cap.per.get()) <= at);
        self.recent.drain(..over.max(old));
    }

    /// When the cap lets the next one go; `None` when it does now.
    fn capped_until(&self, cap: &FrequencyCap, now: Timestamp) -> Option<Timestamp> {
        let nth_last = self.recent.len().checked_sub(cap.messages.max(1) as usize)?;
        let again_at = self.recent[nth_last].plus(cap.per.get());
        (again_at > now).then_some(again_at)
    }
}

/// Whether a campaign still sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It does: so many more, or without end.
    Goes {
        /// How many may still go; `None` for any number.
        left: Option<u64>,
    },
    /// It has sent as many as it should.
    SentEnough {
        /// How many.
        limit: u64,
    },
    /// Its time is over.
    Over {
        /// Since when.
        since: Timestamp,
    },
}

/// Whether a campaign that has sent `sends` still sends at `now`.
pub fn stopped(
    stop_after: Option<u64>,
    stop_at: Option<&Time>,
    sends: u64,
    now: Timestamp,
) -> Stop {
    match (stop_at, stop_after) {
        (Some(at), _) if at.get() <= now => Stop::Over { since: at.get() },
        (_, Some(limit)) if sends >= limit => Stop::SentEnough { limit },
        (_, limit) => Stop::Goes { left: limit.map(|limit| limit - sends) },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const T0: Timestamp = Timestamp::from_millis(1_795_503_600_000);

    fn after(seconds: u64) -> Timestamp {
        T0.plus(Duration::from_secs(seconds))
    }

    fn cap(messages: u32, per: &str) -> FrequencyCap {
        FrequencyCap { messages, per: Span::parse(per).expect("a span") }
    }

    #[test]
    fn whoever_had_it_waits_as_the_campaign_says() {
        let mut contact = Contact::default();
        let day = Reeligible::After(Span::parse("24h").expect("a span"));
        for rule in [&Reeligible::Always, &Reeligible::Never, &day] {
            assert_eq!(contact.judge(rule, None, T0), Eligibility::Eligible);
        }
        contact.record(None, T0);
        let judge = |rule: &Reeligible, seconds| contact.judge(rule, None, after(seconds));
        assert_eq!(judge(&Reeligible::Always, 0), Eligibility::Eligible);
        let never = Eligibility::NotEligible { last: T0, again_at: None };
        assert_eq!(judge(&Reeligible::Never, 1_000_000), never);
        let waits = Eligibility::NotEligible { last: T0, again_at: Some(after(86_400)) };
        assert_eq!(judge(&day, 86_399), waits);
        assert_eq!(judge(&day, 86_400), Eligibility::Eligible);
    }

    #[test]
    fn a_cap_counts_a_sliding_window_and_says_when_it_ends() {
        let cap = cap(2, "1h");
        let mut contact = Contact::default();
        contact.record(Some(&cap), T0);
        contact.record(Some(&cap), after(600));
        let judge = |seconds| contact.judge(&Reeligible::Always, Some(&cap), after(seconds));
        let per = Duration::from_secs(3600);
        let capped = Eligibility::Capped { messages: 2, per, again_at: after(3600) };
        assert_eq!(judge(700), capped);
        assert_eq!(judge(3600), Eligibility::Eligible);
    }

    #[test]
    fn a_campaign_stops_after_its_sends_or_its_time() {
        let at = Time::parse("2026-12-01T00:00:00Z").expect("a time");
        assert_eq!(stopped(None, None, 9, T0), Stop::Goes { left: None });
        assert_eq!(stopped(Some(10), Some(&at), 9, T0), Stop::Goes { left: Some(1) });
        assert_eq!(stopped(Some(10), None, 10, T0), Stop::SentEnough { limit: 10 });
        assert_eq!(stopped(None, Some(&at), 0, at.get()), Stop::Over { since: at.get() });
    }

    #[test]
    fn words_of_reeligibility_are_kept_as_written() {
        for text in ["\"always\"", "\"never\"", "\"90m\""] {
            let rule: Reeligible = serde_json::from_str(text).expect("valid");
            assert_eq!(serde_json::to_string(&rule).expect("serialises"), text);
        }
        let error = serde_json::from_str::<Reeligible>("\"sometimes\"").expect_err("refused");
        assert!(error.to_string().contains("\"always\""), "{error}");
    }

    proptest! {
        #[test]
        fn no_window_holds_more_than_the_cap_and_history_is_bounded(
            messages in 1_u32..6, per in 1_u64..500,
            gaps in proptest::collection::vec(0_u64..200, 1..200)
        ) {
            let cap = cap(messages, &format!("{per}s"));
            let (mut contact, mut seconds, mut sent) = (Contact::default(), 0, Vec::new());
            for gap in gaps {
                seconds += gap;
                let judged = contact.judge(&Reeligible::Always, Some(&cap), after(seconds));
                let in_window = sent.iter().filter(|at| **at + per > seconds).count();
                prop_assert_eq!(judged == Eligibility::Eligible, in_window < messages as usize);
                if let Eligibility::Capped { again_at, .. } = judged {
                    let then = contact.judge(&Reeligible::Always, Some(&cap), again_at);
                    prop_assert_eq!(then, Eligibility::Eligible);
                } else {
                    contact.record(Some(&cap), after(seconds));
                    sent.push(seconds);
                }
                prop_assert!(contact.recent.len() <= messages as usize);
                let json = serde_json::to_string(&contact).expect("serialises");
                prop_assert_eq!(&serde_json::from_str::<Contact>(&json).expect("reads"), &contact);
            }
            prop_assert_eq!(contact.sends(), sent.len() as u64);
        }
    }
}
