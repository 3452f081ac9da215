//! Stands in for `otlp` in a build without the feature `otel`: there is no export, and nothing to
//! export, since the settings refuse to name a collector.

use super::spans::Ended;
use crate::config::Otel;

/// An export that there is none of.
pub enum Export {}

impl Export {
    /// Begins none.
    pub fn start(_: &Otel, _: Ended) -> Option<Self> {
        None
    }

    /// Has nothing left to send.
    pub async fn finish(self) {
        match self {}
    }
}
