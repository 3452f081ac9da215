//! The retry schedule of a delivery: exponential, capped, then jittered. Jitter comes last, so that
//! a schedule at its cap is still spread.

use std::time::Duration;

use crate::config::Retry;

/// The wait before the `retry`-th retry (1 for the first), jittered by `roll` (0 to 1): uniform in
/// ± `rules.jitter` of the schedule's wait.
pub fn delay(retry: u32, rules: &Retry, roll: f64) -> Duration {
    let spread = 1.0 - rules.jitter + 2.0 * rules.jitter * roll.clamp(0.0, 1.0);
    scheduled(retry, rules).mul_f64(spread.max(0.0))
}

/// The wait of the schedule, without jitter: base × factor^(retry − 1), at most `rules.max`.
pub fn scheduled(retry: u32, rules: &Retry) -> Duration {
    let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
    let seconds = rules.base.as_secs_f64() * rules.factor.powi(exponent);
    Duration::try_from_secs_f64(seconds).unwrap_or(rules.max).min(rules.max)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::HostRules;

    #[test]
    fn the_default_schedule_is_one_two_four_eight_sixteen_minutes() {
        let rules = HostRules::default().retry;
        let minutes: Vec<u64> =
            (1..=5).map(|retry| scheduled(retry, &rules).as_secs() / 60).collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16]);
    }

    proptest! {
        #[test]
        fn the_schedule_only_grows_and_is_bounded(
            base in 1_u64..10_000, factor in 1.0_f64..10.0, max in 1_u64..100_000, retry in 1_u32..5_000
        ) {
            let rules = Retry {
                base: Duration::from_millis(base),
                factor,
                max: Duration::from_secs(max),
                ..HostRules::default().retry
            };
            let (this, next) = (scheduled(retry, &rules), scheduled(retry + 1, &rules));
            prop_assert!(this <= next);
            prop_assert!(next <= rules.max);
        }

        #[test]
        fn jitter_stays_within_its_share(roll in 0.0_f64..=1.0, retry in 1_u32..20) {
            let rules = HostRules::default().retry;
            let (plain, jittered) = (scheduled(retry, &rules), delay(retry, &rules, roll));
            prop_assert!(jittered >= plain.mul_f64(0.499) && jittered <= plain.mul_f64(1.501));
        }
    }
}
