//! Slows guesses at keys: an address may fail so many times a minute, then it has to wait.
//!
//! It cannot make a guess succeed or fail: 256 random bits do that. It keeps whoever tries from
//! filling logs and using up the front end. The addresses are bounded, so that it is no way of filling
//! memory either; where there are too many, those that failed least are forgotten first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::model::Moment;
use crate::policy::rate::Gcra;

/// Addresses that are remembered: some hundred kilobytes.
const ADDRESSES_MAX: usize = 10_000;
/// What is kept when there are too many: a tenth goes at once, so that the search for them is rare.
const ADDRESSES_KEPT: usize = ADDRESSES_MAX / 10 * 9;
/// What `auth.max_failures` counts over.
const MINUTE_S: f64 = 60.0;

/// Where somebody comes from, as far as it is told apart: an IPv4 address, or the /64 of an IPv6
/// address, which one subscriber has whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin(pub(super) u64);

impl Origin {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            // No IPv6 address that is routed begins with these 32 bits.
            IpAddr::V4(address) => Self(0xffff << 32 | u64::from(u32::from(address))),
            IpAddr::V6(address) => Self((u128::from(address) >> 64) as u64),
        }
    }
}

/// Failures by address.
pub(super) struct Guesses {
    a_minute: u32,
    addresses: HashMap<Origin, Gcra>,
}

impl Guesses {
    /// Lets each address fail so many times a minute.
    pub(super) fn new(a_minute: u32) -> Self {
        Self { a_minute, addresses: HashMap::new() }
    }

    /// How long an address has to wait before it is listened to; zero when it has not.
    pub(super) fn wait(&self, origin: Origin, now: Moment) -> Duration {
        self.addresses.get(&origin).map_or(Duration::ZERO, |failures| failures.wait(1, now))
    }

    /// Counts a failure. `Err` says that it is one too many, and how long the address has to wait.
    pub(super) fn failed(&mut self, origin: Origin, now: Moment) -> Result<(), Duration> {
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&origin) {
            self.forget(now);
        }
        let per_second = f64::from(self.a_minute) / MINUTE_S;
        let fresh = || Gcra::new(per_second, self.a_minute);
        self.addresses.entry(origin).or_insert_with(fresh).take(1, now)
    }

    /// Forgets who is not slowed any more, and if that is not enough those who failed least.
    fn forget(&mut self, now: Moment) {
        self.addresses.retain(|_, failures| !failures.full_in(now).is_zero());
        let excess = self.addresses.len().saturating_sub(ADDRESSES_KEPT);
        if excess == 0 {
            return;
        }
        let mut waits: Vec<(Duration, Origin)> =
            self.addresses.iter().map(|(origin, kept)| (kept.full_in(now), *origin)).collect();
        waits.select_nth_unstable_by_key(excess - 1, |(wait, _)| *wait);
        for (_, origin) in &waits[..excess] {
            self.addresses.remove(origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::ORIGIN + Duration::from_secs(1_000_000 + seconds)
    }

    fn origin(text: &str) -> Origin {
        Origin::of(text.parse().expect("an address"))
    }

    #[test]
    fn an_address_is_slowed_after_its_failures_and_listened_to_again() {
        let mut guesses = Guesses::new(10);
        let guesser = origin("192.0.2.1");
        for _ in 0..10 {
            assert_eq!(guesses.wait(guesser, at(0)), Duration::ZERO);
            assert_eq!(guesses.failed(guesser, at(0)), Ok(()));
        }
        assert_eq!(guesses.failed(guesser, at(0)), Err(Duration::from_secs(6)));
        assert_eq!(guesses.wait(guesser, at(0)), Duration::from_secs(6));
        assert_eq!(guesses.wait(origin("192.0.2.2"), at(0)), Duration::ZERO);
        assert_eq!(guesses.wait(guesser, at(6)), Duration::ZERO);
        assert_eq!(guesses.failed(guesser, at(6)), Ok(()));
        assert!(guesses.failed(guesser, at(6)).is_err());
    }

    #[test]
    fn a_subscriber_is_one_however_many_addresses_he_has() {
        assert_eq!(origin("2001:db8:1:2:3::4"), origin("2001:db8:1:2:ffff::1"));
        assert_ne!(origin("2001:db8:1:2::4"), origin("2001:db8:1:3::4"));
        assert_eq!(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
        assert_ne!(origin("192.0.2.1"), origin("192.0.2.2"));
        assert_ne!(origin("::1"), origin("127.0.0.1"));
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let mut guesses = Guesses::new(10);
        let worst = origin("192.0.2.1");
        for _ in 0..11 {
            let _slowed = guesses.failed(worst, at(0));
        }
        for number in 0..30_000 {
            assert_eq!(guesses.failed(Origin(number << 40), at(0)), Ok(()));
            assert!(guesses.addresses.len() <= ADDRESSES_MAX);
        }
        assert!(guesses.wait(worst, at(0)) > Duration::ZERO);
        guesses.forget(at(120));
        assert!(guesses.addresses.is_empty());
    }
}
