//! The only callers of the system clock.
//!
//! Waiting runs on a monotonic clock that counts suspended time (`CLOCK_BOOTTIME`). Due times run
//! on a wall clock that is anchored at start and slewed, so that a jump of the system clock neither
//! sends early nor sleeps for ever. Signatures carry the raw wall clock, since receivers compare it
//! with their own.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::{Moment, Now, Timestamp};

/// How fast the anchored wall clock is moved towards the system's: 500 parts in a million, the
/// rate of adjtime(3). Slow enough that no wait is noticeably off, fast enough to follow drift.
const SLEW_PER_MILLION: i64 = 500;
/// How often the slew is worked out; the rate above needs no finer step.
const SLEW_EVERY: Duration = Duration::from_secs(1);

/// A clock that shows less was never set: 2026 began before this program was released.
const UNSET_BEFORE: Timestamp = Timestamp::from_millis(1_767_225_600_000);

/// Reads time. Cheap to clone; clones share the anchor.
#[derive(Clone)]
pub struct Clock(Arc<Source>);

enum Source {
    System(Anchor),
    /// Follows the runtime's timer, which simulated tests pause and move.
    Runtime {
        origin: tokio::time::Instant,
        wall: Timestamp,
    },
}

struct Anchor {
    /// Raw boot-time nanoseconds at start.
    boot_nanos: u64,
    wall_millis: i64,
    slewed_millis: AtomicI64,
    slewed_at_nanos: AtomicU64,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Self(Arc::new(Source::System(Anchor {
            boot_nanos: boot_nanos(),
            wall_millis: system_millis(),
            slewed_millis: AtomicI64::new(0),
            slewed_at_nanos: AtomicU64::new(0),
        })))
    }

    /// A clock that follows the timer of the runtime it is made on, starting at `wall`. Where that
    /// timer is paused, time moves only as the test moves it.
    pub fn of_runtime(wall: Timestamp) -> Self {
        Self(Arc::new(Source::Runtime { origin: tokio::time::Instant::now(), wall }))
    }

    /// The moment, for waiting.
    pub fn moment(&self) -> Moment {
        match &*self.0 {
            Source::System(anchor) => anchor.moment(),
            Source::Runtime { origin, .. } => Moment::ORIGIN + origin.elapsed(),
        }
    }

    /// Both clocks in one reading.
    pub fn now(&self) -> Now {
        let moment = self.moment();
        let elapsed = moment.since(Moment::ORIGIN);
        let wall = match &*self.0 {
            Source::System(anchor) => {
                anchor.slew(moment);
                let slewed = anchor.slewed_millis.load(Ordering::Relaxed);
                Timestamp::from_millis(anchor.wall_millis + slewed).plus(elapsed)
            }
            Source::Runtime { wall, .. } => wall.plus(elapsed),
        };
        Now { moment, wall }
    }

    /// The anchored wall clock.
    pub fn wall(&self) -> Timestamp {
        self.now().wall
    }

    /// Takes what is known to be past (from an earlier run) for now, where the system's clock is
    /// plainly not set: a machine that starts in 1970 would else wait for decades before anything
    /// is due. A clock that may be right is believed. Answers how far it is behind.
    pub fn not_before(&self, known: Timestamp) -> Duration {
        let now = self.wall();
        let behind = now.until(known);
        if let Source::System(anchor) = &*self.0
            && now < UNSET_BEFORE
        {
            let behind_millis = i64::try_from(behind.as_millis()).unwrap_or(0);
            anchor.slewed_millis.fetch_add(behind_millis, Ordering::Relaxed);
        }
        behind
    }

    /// The system's wall clock as it is, jumps included: for signatures and dates on the wire.
    pub fn raw_wall(&self) -> Timestamp {
        match &*self.0 {
            Source::System(_) => Timestamp::from_millis(system_millis()),
            Source::Runtime { .. } => self.wall(),
        }
    }
}

impl Anchor {
    fn moment(&self) -> Moment {
        Moment::from_nanos(boot_nanos().saturating_sub(self.boot_nanos))
    }

    fn slew(&self, moment: Moment) {
        let last = self.slewed_at_nanos.load(Ordering::Relaxed);
        let passed = moment.since(Moment::from_nanos(last));
        if passed < SLEW_EVERY {
            return;
        }
        let claimed = self.slewed_at_nanos.compare_exchange(
            last,
            moment.as_nanos(),
            Ordering::Relaxed,
            Ordering::Relaxed,
        );
        if claimed.is_err() {
            return;
        }
        let slewed = self.slewed_millis.load(Ordering::Relaxed);
        let elapsed = moment.since(Moment::ORIGIN).as_millis() as i64;
        let behind = system_millis() - (self.wall_millis + slewed + elapsed);
        let step_max = (passed.as_millis() as i64 * SLEW_PER_MILLION / 1_000_000).max(1);
        self.slewed_millis.store(slewed + behind.clamp(-step_max, step_max), Ordering::Relaxed);
    }
}

/// Nanoseconds since the machine started, suspended time included: processes of one machine may
/// compare them.
pub fn boot_nanos() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    (time.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec as u64)
}

fn system_millis() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_millis() as i64,
        Err(before) => -(before.duration().as_millis() as i64),
    }
}
