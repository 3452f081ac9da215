//! How long reports and the activity log are kept.

use std::time::Duration;

/// `[reports]`
#[derive(Clone, Debug, PartialEq)]
pub struct Reports {
    /// Points of a minute.
    pub minutes: Duration,
    /// Points of an hour, and which recipients were reached.
    pub hours: Duration,
    /// Points of a day.
    pub days: Duration,
}

impl Default for Reports {
    fn default() -> Self {
        let day = Duration::from_secs(86_400);
        Self { minutes: day, hours: 35 * day, days: 400 * day }
    }
}

/// `[activity]`
#[derive(Clone, Debug, PartialEq)]
pub struct ActivityLog {
    /// How long its entries are kept.
    pub retention: Duration,
}

impl Default for ActivityLog {
    fn default() -> Self {
        // As long as the deliveries that it tells of.
        Self { retention: Duration::from_secs(7 * 86_400) }
    }
}
