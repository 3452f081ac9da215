//! One stream of server-sent events. It is asked for more only when the client took what came
//! before, so nothing piles up for a slow reader: of totals it gets the newest, and of deliveries it
//! is told how many it missed.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::sampler::Stats;
use super::tail::Tail;
use crate::api::caller::Asking;
use crate::api::hosts::{self, Entry};
use crate::api::listener::UnderWay;
use crate::delivery::HostSnapshot;
use crate::model::HostName;

/// How often a comment goes out: below the idle time of any proxy that is in use.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// What a browser is told to wait before it connects again, in milliseconds.
const RETRY_MS: u64 = 3_000;
/// How often deliveries are looked for: often enough to look live, and many at a time.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Appends an event.
pub(super) fn write(to: &mut String, event: &str, data: &impl Serialize) {
    match serde_json::to_string(data) {
        // JSON has no line breaks outside of strings, and escapes those inside.
        Ok(data) => {
            let _never_fails = write!(to, "event: {event}\ndata: {data}\n\n");
        }
        Err(error) => log::error!("an event could not be written: {error}"),
    }
}

/// Stands for one open stream.
pub(super) struct Permit(Arc<AtomicUsize>);

impl Permit {
    /// One of at most `max`; `None` when there are as many.
    pub(super) fn take(open: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        let taken = Self(open.clone());
        // From here on a drop gives it back.
        (open.fetch_add(1, Ordering::Relaxed) < max).then_some(taken)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What one stream shows.
pub(super) struct Watching {
    pub(super) api: Asking,
    /// Totals of the newest second; also the beat by which a host is shown.
    pub(super) latest: watch::Receiver<Option<Arc<Stats>>>,
    /// Whether totals are shown, and how many hosts are ranked with them.
    pub(super) stats: Option<usize>,
    pub(super) host: Option<HostName>,
    pub(super) tail: Option<Tail>,
    /// Held as long as the stream lasts: its place among the streams, and the connection's notion
    /// that a request is under way.
    pub(super) _held: (Permit, Option<UnderWay>),
}

/// Totals with the hosts that one looks at first.
#[derive(Serialize)]
struct Ranked<'a> {
    #[serde(flatten)]
    stats: &'a Stats,
    #[serde(skip_serializing_if = "Option::is_none")]
    slowest: Option<Vec<Entry>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backlogged: Option<Vec<Entry>>,
}

impl Watching {
    /// The events, until the process stops or the caller's key ends.
    pub(super) fn events(
        self,
        ended: watch::Receiver<bool>,
    ) -> impl Stream<Item = Result<Bytes, Infallible>> {
        let begun = Instant::now();
        let flow = Flow {
            watching: self,
            ended,
            opened: false,
            comment_at: begun + COMMENT_EVERY,
            look_at: begun + LOOK_EVERY,
        };
        futures::stream::unfold(flow, |mut flow| async move {
            let chunk = flow.next().await?;
            Some((Ok(chunk), flow))
        })
    }

    async fn show(&mut self, to: &mut String) {
        let latest = self.latest.borrow_and_update().clone();
        if let (Some(top), Some(stats)) = (self.stats, latest) {
            let ranks = (top > 0).then(|| self.api.live.sampler().ranks(&stats));
            let rows = |hosts: &[Arc<HostSnapshot>]| {
                hosts.iter().take(top).cloned().map(Entry::live).collect::<Vec<_>>()
            };
            let ranked = Ranked {
                stats: &stats,
                slowest: ranks.as_ref().map(|ranks| rows(&ranks.slowest)),
                backlogged: ranks.as_ref().map(|ranks| rows(&ranks.backlogged)),
            };
            write(to, "stats", &ranked);
        }
        if let Some(host) = &self.host
            && let Ok(entry) = hosts::entry(&self.api, host).await
        {
            write(to, "host", &entry);
        }
    }

    fn has_beat(&self) -> bool {
        self.stats.is_some() || self.host.is_some()
    }
}

/// A stream and its clocks.
struct Flow {
    watching: Watching,
    ended: watch::Receiver<bool>,
    opened: bool,
    comment_at: Instant,
    look_at: Instant,
}

impl Flow {
    /// The next events; `None` at the end.
    async fn next(&mut self) -> Option<Bytes> {
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            // An error means that the front end is gone.
            _ = ended.wait_for(|ended| *ended) => None,
            text = self.gather() => text.map(Bytes::from),
        }
    }

    async fn gather(&mut self) -> Option<String> {
        let mut text = String::new();
        if !std::mem::replace(&mut self.opened, true) {
            let _never_fails = write!(text, "retry: {RETRY_MS}\n\n");
            self.watching.show(&mut text).await;
            return Some(text);
        }
        while text.is_empty() {
            let watching = &mut self.watching;
            let (beats, looks) = (watching.has_beat(), watching.tail.is_some());
            tokio::select! {
                beat = watching.latest.changed(), if beats => {
                    beat.ok()?;
                    if !watching.api.is_still_let_in() {
                        return None;
                    }
                    watching.show(&mut text).await;
                }
                () = sleep_until(self.look_at), if looks => {
                    if let Some(tail) = &mut watching.tail {
                        tail.look(&watching.api.api, &mut text).await;
                    }
                    self.look_at = Instant::now() + LOOK_EVERY;
                }
                () = sleep_until(self.comment_at) => {
                    if !watching.api.is_still_let_in() {
                        return None;
                    }
                    self.comment_at = Instant::now() + COMMENT_EVERY;
                    text.push_str(": still here\n\n");
                }
            }
        }
        Some(text)
    }
}
