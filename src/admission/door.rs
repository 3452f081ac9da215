//! How many triggers may wait for the store at once. Past that they are refused before they are
//! read: a queue in memory would make everyone's wait longer and take nothing more in. How many that
//! is follows the waits (`policy::intake`); memory past its limit shuts the door as well.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::refusal::{Refusal, Want};
use crate::config::Server;
use crate::model::Moment;
use crate::policy::intake::{Intake, LOOK_EVERY, Seen, retry_after_s};

/// How often memory is looked at, and how fast deliveries end is measured.
const SELDOM: Duration = Duration::from_secs(1);
/// Weight of the newest second in the rate of ends: it follows the last ten seconds.
const RATE_WEIGHT: f64 = 0.1;

/// Counts who is inside.
pub(super) struct Door {
    inside: AtomicUsize,
    limit: AtomicUsize,
    is_slow: AtomicBool,
    is_over_memory: AtomicBool,
    /// Milliseconds over which the refused are spread.
    spread_ms: AtomicU32,
    /// Nanoseconds of the next look.
    look_at: AtomicU64,
    entered: AtomicU64,
    refused: AtomicU64,
    left: AtomicU64,
    waited_us: AtomicU64,
    /// Deliveries a second that end, in thousandths.
    ends_milli: AtomicU64,
    max_memory: u64,
    look: Mutex<Look>,
}

/// What whoever looks needs.
struct Look {
    intake: Intake,
    at: Moment,
    seldom_at: Moment,
    ended: Option<u64>,
}

/// Someone who is inside; gone when dropped.
pub struct Place<'a>(&'a AtomicUsize);

impl Door {
    /// Lets in as many as the settings allow.
    pub(super) fn new(server: &Server) -> Self {
        let intake = Intake::new(server.max_waiting, server.target_wait);
        let (at, seldom_at) = (Moment::ORIGIN, Moment::ORIGIN);
        Self {
            inside: AtomicUsize::new(0),
            limit: AtomicUsize::new(server.max_waiting),
            is_slow: AtomicBool::new(false),
            is_over_memory: AtomicBool::new(false),
            spread_ms: AtomicU32::new(1_000),
            look_at: AtomicU64::new(0),
            entered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            left: AtomicU64::new(0),
            waited_us: AtomicU64::new(0),
            ends_milli: AtomicU64::new(0),
            max_memory: server.max_memory as u64,
            look: Mutex::new(Look { intake, at, seldom_at, ended: None }),
        }
    }

    /// Goes in, unless there is no room. `ended` tells how many deliveries ever ended.
    pub(super) fn enter(
        &self,
        now: Moment,
        ended: impl FnOnce() -> u64,
    ) -> Result<Place<'_>, Refusal> {
        if now.as_nanos() >= self.look_at.load(Ordering::Relaxed) {
            self.look(now, ended);
        }
        if self.is_over_memory.load(Ordering::Relaxed) {
            return Err(self.refuse(Want::Memory));
        }
        let before = self.inside.fetch_add(1, Ordering::Relaxed);
        let place = Place(&self.inside);
        if before >= self.limit.load(Ordering::Relaxed) {
            let is_slow = self.is_slow.load(Ordering::Relaxed);
            return Err(self.refuse(if is_slow { Want::Time } else { Want::Room }));
        }
        self.entered.fetch_add(1, Ordering::Relaxed);
        Ok(place)
    }

    fn refuse(&self, want: Want) -> Refusal {
        self.refused.fetch_add(1, Ordering::Relaxed);
        let spread_s = f64::from(self.spread_ms.load(Ordering::Relaxed)) / 1e3;
        Refusal::Busy { want, after_s: retry_after_s(spread_s, fastrand::f64()) }
    }

    /// A trigger was made durable, after this wait.
    pub(super) fn waited(&self, wait: Duration) {
        let micros = wait.as_micros() as u64;
        self.left.fetch_add(1, Ordering::Relaxed);
        self.waited_us.fetch_add(micros, Ordering::Relaxed);
    }

    /// Deliveries a second that come to an end.
    pub(super) fn ends_per_s(&self) -> f64 {
        self.ends_milli.load(Ordering::Relaxed) as f64 / 1e3
    }

    /// Judges what was seen; whoever comes meanwhile goes by what was judged before.
    fn look(&self, now: Moment, ended: impl FnOnce() -> u64) {
        let mut look = match self.look.try_lock() {
            Ok(look) => look,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => PoisonError::into_inner(poisoned),
            Err(std::sync::TryLockError::WouldBlock) => return,
        };
        self.look_at.store((now + LOOK_EVERY).as_nanos(), Ordering::Relaxed);
        let seen = Seen {
            left: self.left.swap(0, Ordering::Relaxed),
            waited: Duration::from_micros(self.waited_us.swap(0, Ordering::Relaxed)),
            entered: self.entered.swap(0, Ordering::Relaxed),
            refused: self.refused.swap(0, Ordering::Relaxed),
            inside: self.inside.load(Ordering::Relaxed),
        };
        let elapsed = now.since(look.at);
        look.at = now;
        let ruling = look.intake.look(&seen, elapsed);
        self.limit.store(ruling.limit, Ordering::Relaxed);
        self.is_slow.store(ruling.is_slow, Ordering::Relaxed);
        self.spread_ms.store((ruling.spread_s * 1e3) as u32, Ordering::Relaxed);
        let since = now.since(look.seldom_at);
        if since < SELDOM && look.ended.is_some() {
            return;
        }
        look.seldom_at = now;
        let ended = ended();
        if let Some(before) = look.ended.replace(ended) {
            let per_s = ended.saturating_sub(before) as f64 / since.as_secs_f64();
            let smooth = self.ends_per_s() * (1.0 - RATE_WEIGHT) + per_s * RATE_WEIGHT;
            self.ends_milli.store((smooth * 1e3) as u64, Ordering::Relaxed);
        }
        self.is_over_memory.store(resident() > self.max_memory, Ordering::Relaxed);
    }
}

/// Bytes of this process that are in memory; 0 where that cannot be told.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    let kib = line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    fn at(millis: u64) -> Moment {
        Moment::ORIGIN + Duration::from_millis(millis)
    }

    fn door(change: impl FnOnce(&mut Server)) -> Door {
        let mut settings = Settings::default();
        change(&mut settings.server);
        Door::new(&settings.server)
    }

    #[test]
    fn as_many_as_may_are_inside_and_places_come_free() {
        let door = door(|server| server.max_waiting = 2);
        let enter = || door.enter(at(0), || 0);
        let (first, second) = (enter(), enter());
        assert!(first.is_ok() && second.is_ok());
        let refused = |want| Some(Refusal::Busy { want, after_s: 1 });
        assert_eq!(enter().err(), refused(Want::Room));
        assert_eq!(enter().err(), refused(Want::Room), "who was refused takes no place");
        drop(first);
        assert!(enter().is_ok());
    }

    #[test]
    fn long_waits_shut_the_door_sooner_and_say_so() {
        let door = door(|server| server.max_waiting = 100);
        let places: Vec<_> = (0..40).map(|_| door.enter(at(100), || 0)).collect();
        assert!(places.iter().all(Result::is_ok));
        (0..40).for_each(|_| door.waited(Duration::from_millis(80)));
        let refused = door.enter(at(200), || 0).err();
        assert_eq!(refused, Some(Refusal::Busy { want: Want::Time, after_s: 1 }));
        drop(places);
        assert!(door.enter(at(200), || 0).is_ok());
    }

    #[test]
    fn memory_past_its_limit_shuts_the_door() {
        let door = door(|server| server.max_memory = 1);
        let refused = door.enter(at(2_000), || 0).err();
        assert_eq!(refused, Some(Refusal::Busy { want: Want::Memory, after_s: 1 }));
    }

    #[test]
    fn the_rate_of_ends_is_that_of_the_last_seconds() {
        let door = door(|_| {});
        for second in 0..60 {
            drop(door.enter(at(second * 1_000), || second * 500));
        }
        assert!((door.ends_per_s() - 500.0).abs() < 5.0, "{}", door.ends_per_s());
    }
}
