//! What came of deliveries, told to whoever listens once it is durable. While nobody does, it costs
//! those who decide a look at one number. What is told is kept in a ring: who does not keep up
//! misses the oldest, and hears how many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::TryRecvError;

use crate::model::{DeliveryId, End, HostName, Outcome, Settlement, Timestamp, Verdict};

/// Notices that are kept for who listens: more than a second's worth at the rates that one machine
/// reaches, at some hundred bytes each.
const RING: usize = 8_192;
/// What a notice calls an attempt that is to be followed by another.
pub const RETRIED: &str = "retried";

/// What came of an attempt, or how a delivery ended without one.
#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    /// Which delivery.
    pub id: DeliveryId,
    /// Where it goes.
    pub host: HostName,
    /// Whose it is; `None` where the host actor did not hold it.
    pub workspace: Option<u32>,
    /// Id of the campaign or canvas that it is counted under, where the actor held it.
    pub campaign: Option<Arc<str>>,
    /// How it ended, or `retried`.
    pub state: &'static str,
    /// Status of the attempt; `None` without one, or where nothing was sent.
    pub status: Option<u16>,
    /// Why there was no answer, in words; `None` where there was one, or no attempt.
    pub reason: Option<String>,
    /// Number of the attempt; `None` without one.
    pub attempt: Option<u32>,
    /// When it was decided.
    pub at: Timestamp,
    /// How long the attempt took, in microseconds.
    pub latency_us: Option<u64>,
}

/// Whose a delivery is, as far as its actor knows.
#[derive(Clone, Debug, Default)]
pub struct Origin {
    /// Number of the workspace.
    pub workspace: Option<u32>,
    /// Id of the campaign or canvas.
    pub campaign: Option<Arc<str>>,
}

impl Notice {
    /// What a settlement has to tell.
    pub fn of(settlement: &Settlement, host: &HostName, origin: Origin) -> Self {
        let attempt = settlement.attempt.as_ref();
        let reason = attempt.and_then(|attempt| match &attempt.outcome {
            Outcome::Answered(_) => None,
            Outcome::NoAnswer { reason, .. }
            | Outcome::Unprepared { reason }
            | Outcome::Blocked { reason } => Some(reason.clone()),
        });
        Self {
            id: settlement.id,
            host: host.clone(),
            workspace: origin.workspace,
            campaign: origin.campaign,
            state: match settlement.verdict {
                Verdict::Again { .. } => RETRIED,
                Verdict::End(end) => End::as_str(end),
            },
            status: attempt.and_then(|attempt| attempt.status()),
            reason,
            attempt: attempt.map(|attempt| attempt.number),
            at: settlement.at,
            latency_us: attempt.map(|attempt| attempt.timings.total_us),
        }
    }
}

/// Where notices go.
pub struct Feed {
    listening: AtomicUsize,
    ring: broadcast::Sender<Arc<Notice>>,
}

impl Default for Feed {
    fn default() -> Self {
        Self { listening: AtomicUsize::new(0), ring: broadcast::Sender::new(RING) }
    }
}

impl Feed {
    /// Whether anybody listens: else nothing need be put into words.
    pub fn is_heard(&self) -> bool {
        self.listening.load(Ordering::Relaxed) > 0
    }

    /// Tells what is durable.
    pub fn tell(&self, notices: Vec<Notice>) {
        for notice in notices {
            // Fails when the last listener has just left.
            let _unheard = self.ring.send(Arc::new(notice));
        }
    }

    /// Listens to what is told from now on.
    pub fn listen(self: &Arc<Self>) -> Listener {
        let notices = self.ring.subscribe();
        self.listening.fetch_add(1, Ordering::Relaxed);
        Listener { feed: self.clone(), notices }
    }
}

/// Somebody who listens, until it is dropped.
pub struct Listener {
    feed: Arc<Feed>,
    notices: broadcast::Receiver<Arc<Notice>>,
}

impl Listener {
    /// Takes what has been told since the last time, as far as `wants` it and at most `max` of
    /// that; answers also how many were missed.
    pub fn take(&mut self, max: usize, wants: impl Fn(&Notice) -> bool) -> (Vec<Arc<Notice>>, u64) {
        let (mut taken, mut missed) = (Vec::new(), 0);
        while taken.len() < max {
            match self.notices.try_recv() {
                Ok(notice) if wants(&notice) => taken.push(notice),
                Ok(_) => {}
                Err(TryRecvError::Lagged(count)) => missed += count,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        (taken, missed)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.feed.listening.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::HostNumber;

    fn notice(number: u64) -> Notice {
        let at = Timestamp::from_millis(1);
        let id = DeliveryId::new(at, HostNumber(7), number);
        let settlement =
            Settlement { id, verdict: Verdict::End(End::Cancelled), at, attempt: None };
        let origin = Origin { workspace: Some(number as u32 % 2), campaign: None };
        Notice::of(&settlement, &HostName::from_normalised("a.example"), origin)
    }

    #[test]
    fn it_is_heard_while_somebody_listens() {
        let feed = Arc::<Feed>::default();
        feed.tell(vec![notice(1)]);
        assert!(!feed.is_heard());
        let mut listener = feed.listen();
        assert!(feed.is_heard());
        assert_eq!(listener.take(9, |_| true), (vec![], 0), "what was told before is not heard");
        feed.tell(vec![notice(2), notice(3)]);
        let (taken, missed) = listener.take(9, |notice| notice.workspace == Some(1));
        assert_eq!((taken.as_slice(), missed), (&[Arc::new(notice(3))][..], 0));
        drop(listener);
        assert!(!feed.is_heard());
    }

    #[test]
    fn who_does_not_keep_up_hears_how_many_were_missed() {
        let feed = Arc::<Feed>::default();
        let mut listener = feed.listen();
        feed.tell((0..RING as u64 + 5).map(notice).collect());
        let (taken, missed) = listener.take(3, |_| true);
        assert_eq!((taken.len(), missed), (3, 5));
        assert_eq!(*taken[0], notice(5), "the oldest are missed");
        assert_eq!(listener.take(RING, |_| true).0.len(), RING - 3, "the others are still there");
    }
}
