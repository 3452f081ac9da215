//! How long an answer is waited for: time in which we ran. A process that is stopped, or a machine
//! that sleeps, reads nothing meanwhile; that the receiver was silent then proves nothing, and a
//! timeout for it would find a healthy host unhealthy.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use crate::clock::Clock;

/// How often we look whether we still run. An attempt that is shorter sets no second timer.
const TICK: Duration = Duration::from_secs(1);
/// A tick that comes so much too late was a pause of ours, not a busy moment.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Pauses that one attempt is forgiven, so that it ends on a machine that does nothing but pause.
const PAUSES_MAX: u32 = 3;

/// What comes of `exchange` within `timeout`; `None` when it runs out.
pub(super) async fn within<F: Future>(
    timeout: Duration,
    clock: &Clock,
    exchange: F,
) -> Option<F::Output> {
    let mut exchange = pin!(exchange);
    let (mut left, mut pauses) = (timeout, 0);
    while !left.is_zero() {
        let tick = left.min(TICK);
        let begun = clock.moment();
        if let Ok(done) = tokio::time::timeout(tick, exchange.as_mut()).await {
            return Some(done);
        }
        let late = clock.moment().since(begun).saturating_sub(tick);
        if late >= PAUSE_MIN && pauses < PAUSES_MAX {
            pauses += 1;
        } else {
            left = left.saturating_sub(tick + late);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::model::Timestamp;

    /// Time passes while nothing is polled.
    async fn stop(length: Duration) {
        tokio::time::advance(length).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_receiver_is_waited_for_just_so_long() {
        let clock = Clock::of_runtime(Timestamp::from_millis(0));
        let begun = clock.moment();
        let answer = within(Duration::from_millis(2_500), &clock, pending::<()>()).await;
        assert_eq!(answer, None);
        let waited = clock.moment().since(begun);
        assert!(waited < Duration::from_millis(2_510), "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_of_ours_does_not_count() {
        let clock = Clock::of_runtime(Timestamp::from_millis(0));
        let answer_comes = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            stop(Duration::from_secs(120)).await;
            tokio::time::sleep(Duration::from_millis(900)).await;
            7
        };
        let answer = within(Duration::from_secs(2), &clock, answer_comes).await;
        assert_eq!(answer, Some(7));
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_only_pauses_ends_its_attempts_all_the_same() {
        let clock = Clock::of_runtime(Timestamp::from_millis(0));
        let stopped_again_and_again = async {
            loop {
                stop(Duration::from_secs(10)).await;
                tokio::task::yield_now().await;
            }
        };
        let answer: Option<()> =
            within(Duration::from_secs(2), &clock, stopped_again_and_again).await;
        assert_eq!(answer, None);
    }
}
