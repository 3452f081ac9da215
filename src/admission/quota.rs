//! What a workspace may bring in: triggers a second. The limit on what it may have waiting is asked
//! of the store.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::model::Moment;
use crate::policy::rate::Gcra;

/// The rates of all workspaces that have one.
#[derive(Default)]
pub(super) struct Quotas(Mutex<HashMap<u32, (u32, Gcra)>>);

impl Quotas {
    /// Takes a trigger in at `per_second`, or says after how long it may come again. A second's
    /// worth may come at once.
    pub(super) fn take(
        &self,
        workspace: u32,
        per_second: u32,
        now: Moment,
    ) -> Result<(), Duration> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || (per_second, Gcra::new(f64::from(per_second), per_second));
        let (set, rate) = all.entry(workspace).or_insert_with(fresh);
        if *set != per_second {
            (*set, *rate) = fresh();
        }
        rate.take(1, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_workspace_has_a_rate_of_its_own_that_may_change() {
        let quotas = Quotas::default();
        let now = Moment::ORIGIN + Duration::from_secs(60);
        let take = |workspace, rate, now| quotas.take(workspace, rate, now);
        assert!((0..2).all(|_| take(1, 2, now).is_ok()));
        assert_eq!(take(1, 2, now), Err(Duration::from_millis(500)));
        assert_eq!(take(2, 2, now), Ok(()), "another one is not held up");
        assert_eq!(take(1, 2, now + Duration::from_millis(500)), Ok(()));
        assert_eq!(take(1, 1, now + Duration::from_millis(500)), Ok(()), "a new rate begins anew");
    }
}
