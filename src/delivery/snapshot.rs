//! What a host actor shows of itself: one small value that the stats endpoint, the metrics, the
//! command line and the tests all read.

use serde::Serialize;
use utoipa::ToSchema;

use crate::model::{HostControls, HostName, Timestamp};
pub use crate::policy::condition::HostCondition;
use crate::report::meters::Readings;
use crate::report::usage::Used;

/// A host actor at one point in time.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct HostSnapshot {
    /// The host.
    pub host: HostName,
    /// Its shard: 0 to 1,023.
    pub shard: u32,
    /// The arbiter that runs it.
    pub arbiter: usize,
    /// Its state.
    pub state: HostCondition,
    /// Until when; absent where it does not end by itself.
    pub until: Option<Timestamp>,
    /// Why, in words; empty when healthy.
    pub reason: String,
    /// What it may send.
    pub budget: BudgetSnapshot,
    /// Requests under way.
    pub in_flight: u32,
    /// How many may be (ramps up to the setting).
    pub in_flight_limit: u32,
    /// Deliveries held in memory.
    pub queued: u64,
    /// When the first of its queue became or becomes due; for the metrics alone.
    #[serde(skip)]
    pub first_due: Option<Timestamp>,
    /// When this was so; likewise.
    #[serde(skip)]
    pub taken: Timestamp,
    /// Pending deliveries in the store, those in memory included.
    pub waiting: u64,
    /// Outcomes not yet committed.
    pub uncommitted: u64,
    /// Messages that wait for the actor.
    pub mailbox: u64,
    /// Seconds since the actor started.
    pub age_s: u64,
    /// The part (0 to 1) of the last minute's attempts that were answered 2xx; absent where there
    /// was none.
    pub success_ratio: Option<f64>,
    /// How near it is to a cooldown.
    pub health: HealthSnapshot,
    /// Attempts and outcomes of the last minute.
    pub last_minute: Tally,
    /// Of the last hour.
    pub last_hour: Tally,
    /// Since the actor started.
    pub since_start: Tally,
    /// What operators asked.
    pub controls: HostControls,
    /// Its workspaces, in order of number; only where one host is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes: Option<Vec<LaneSnapshot>>,
    /// Who else used its budget: campaigns and canvases. Likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger: Option<LedgerSnapshot>,
}

/// One workspace's lane of a host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LaneSnapshot {
    /// The workspace's number.
    pub workspace: u32,
    /// Its weight: 1 to 1,000.
    pub weight: u32,
    /// The part (0 to 1) of the host's sends that it gets while all that have work wait.
    pub share: f64,
    /// Deliveries held in memory.
    pub queued: u64,
    /// Whether the store has more of it.
    pub has_more: bool,
    /// Requests under way.
    pub in_flight: u32,
    /// `cooling_down`, `probing` or `backing_off` where it alone is, else `healthy`.
    pub state: HostCondition,
    /// Until when; absent where it does not end by itself.
    pub until: Option<Timestamp>,
    /// Why, in words; empty when healthy.
    pub reason: String,
    /// What it used.
    #[serde(flatten)]
    pub used: UsageSnapshot,
}

/// What was used of a host over three stretches of time.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct UsageSnapshot {
    /// Of the last minute.
    pub last_minute: Used,
    /// Of the last hour.
    pub last_hour: Used,
    /// Since the actor started.
    pub since_start: Used,
}

/// What campaigns and canvases used of a host.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct LedgerSnapshot {
    /// Those that used most in the last hour first; at most 100.
    pub campaigns: Vec<CampaignSnapshot>,
    /// All others together; `None` for who sees one workspace alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub other: Option<UsageSnapshot>,
}

/// What one campaign or canvas used.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CampaignSnapshot {
    /// Its workspace's number.
    pub workspace: u32,
    /// Its id.
    pub campaign: String,
    /// What it used.
    #[serde(flatten)]
    pub used: UsageSnapshot,
}

/// The budget of a host.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct BudgetSnapshot {
    /// Limit that the host's headers named, requests a window.
    pub limit: Option<u64>,
    /// Requests left in the window.
    pub remaining: Option<u64>,
    /// When the window ends.
    pub resets_at: Option<Timestamp>,
    /// Learned rate, requests a second; absent while none was needed.
    pub learned_rate: Option<f64>,
    /// Static limit of the settings, requests a second.
    pub static_rate: Option<f64>,
}

/// The health window of a host, and where it trips: at `min_failures` failures or more, if they are
/// more than `failure_ratio` of the attempts.
#[derive(Clone, Copy, Debug, Default, Serialize, ToSchema)]
pub struct HealthSnapshot {
    /// Seconds that are looked back over.
    pub window_s: u64,
    /// Attempts in the window that failed.
    pub failures: u32,
    /// All attempts in the window that say something of its health.
    pub attempts: u32,
    /// Fewer failures never trip.
    pub min_failures: u32,
    /// Share of failures (0 to 1) above which it trips.
    pub failure_ratio: f64,
}

/// Counts over a stretch of time.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct Tally {
    /// Attempts that came to an end.
    pub attempts: u64,
    /// Answered 2xx.
    pub delivered: u64,
    /// Answered 429, or 503 with `Retry-After`.
    pub refused: u64,
    /// Failed with a retry to come.
    pub retried: u64,
    /// Ended without success.
    pub dead: u64,
    /// Median latency of the attempts, milliseconds.
    pub p50_ms: Option<f64>,
    /// 99th percentile.
    pub p99_ms: Option<f64>,
}

impl Tally {
    /// The part (0 to 1) of the attempts that were answered 2xx; `None` where there was none.
    pub fn success_ratio(&self) -> Option<f64> {
        (self.attempts > 0).then(|| self.delivered as f64 / self.attempts as f64)
    }
}

/// One shard's actors.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct ArbiterStats {
    /// The arbiter.
    pub arbiter: usize,
    /// Host actors alive.
    pub hosts_alive: u64,
    /// Host actors started since the process began.
    pub hosts_started: u64,
    /// Host actors that stopped because they were idle.
    pub hosts_stopped: u64,
    /// Host actors that died of a panic and were started again.
    pub hosts_restarted: u64,
    /// Messages that wait for the router.
    pub router_mailbox: u64,
    /// Hosts that sleep until their next due time.
    pub hosts_asleep: u64,
    /// Requests under way.
    pub in_flight: u64,
    /// Outcomes not yet committed.
    pub uncommitted: u64,
    /// Attempts that came to an end since start.
    pub attempts: u64,
    /// Answered 2xx since start.
    pub delivered: u64,
    /// Answered 429, or 503 with `Retry-After`, since start.
    pub refused: u64,
    /// Attempts without an answer since start.
    pub unanswered: u64,
    /// Bytes of webhooks that windows hold.
    pub window_bytes: u64,
    /// What was measured since start; for the metrics and the totals alone.
    #[serde(skip)]
    pub readings: Readings,
    /// Attempts that failed with a retry to come, since start.
    pub retried: u64,
    /// Deliveries that wait for a host that may not be called now.
    pub deferred: u64,
    /// Live host actors by state, in the order of [`HostCondition::ALL`].
    #[serde(skip)]
    pub conditions: [u64; HostCondition::ALL.len()],
}
