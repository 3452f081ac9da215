//! When a delivery is tried again: an exponential schedule, then jitter. Says nothing about whether
//! it is tried again, nor about `Retry-After`, which may only delay what is said here.

use std::time::Duration;

use crate::config::Retry;

/// The wait before retry number `retry` (1 for the first): the schedule's, moved by up to
/// ± `rules.jitter` of itself. `roll` is the dice: 0 is the shortest wait, 1 the longest.
pub fn delay(retry: u32, rules: &Retry, roll: f64) -> Duration {
    let spread = share(rules.jitter) * (2.0 * share(roll) - 1.0);
    seconds(schedule_without_jitter(retry, rules).as_secs_f64() * (1.0 + spread))
}

/// The wait before retry number `retry` as the settings write it: base × factor^(retry − 1), never
/// more than the maximum. It never falls as `retry` grows.
pub fn schedule_without_jitter(retry: u32, rules: &Retry) -> Duration {
    // A factor below 1 is refused by the settings; held at 1 here so that the promise above does
    // not rest on another room.
    let factor = if rules.factor > 1.0 { rules.factor } else { 1.0 };
    let exponent = i32::try_from(retry.saturating_sub(1)).unwrap_or(i32::MAX);
    // The power may be infinite, and zero times infinity is not a number: both end at the maximum
    // or, for a base of zero, at zero.
    seconds(rules.base.as_secs_f64() * factor.powi(exponent)).min(rules.max)
}

/// `value` held between 0 and 1; 0 for what is not a number.
fn share(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(0.0, 1.0) }
}

fn seconds(value: f64) -> Duration {
    if value > 0.0 {
        Duration::try_from_secs_f64(value).unwrap_or(Duration::MAX)
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn default_rules() -> Retry {
        crate::config::Settings::default().rules.retry
    }

    #[test]
    fn the_default_schedule_is_1_2_4_8_16_minutes() {
        let minutes: Vec<u64> = (1..=5)
            .map(|retry| schedule_without_jitter(retry, &default_rules()).as_secs() / 60)
            .collect();
        assert_eq!(minutes, [1, 2, 4, 8, 16]);
    }

    #[test]
    fn jitter_is_half_either_way_by_default() {
        let rules = default_rules();
        assert_eq!(delay(1, &rules, 0.0), Duration::from_secs(30));
        assert_eq!(delay(1, &rules, 0.5), Duration::from_secs(60));
        assert_eq!(delay(1, &rules, 1.0), Duration::from_secs(90));
    }

    #[test]
    fn the_zeroth_retry_is_the_first() {
        let rules = default_rules();
        assert_eq!(schedule_without_jitter(0, &rules), schedule_without_jitter(1, &rules));
    }

    #[test]
    fn an_endless_row_of_retries_stays_at_the_maximum() {
        let rules = default_rules();
        assert_eq!(schedule_without_jitter(u32::MAX, &rules), rules.max);
        assert_eq!(delay(u32::MAX, &rules, 1.0), rules.max.mul_f64(1.5));
        let boundless = Retry { max: Duration::MAX, ..rules };
        assert_eq!(delay(u32::MAX, &boundless, 1.0), Duration::MAX);
    }

    #[test]
    fn a_base_of_zero_is_no_wait() {
        let rules = Retry { base: Duration::ZERO, ..default_rules() };
        assert_eq!(delay(1, &rules, 1.0), Duration::ZERO);
        assert_eq!(delay(u32::MAX, &rules, 1.0), Duration::ZERO);
    }

    #[test]
    fn dice_and_rules_off_the_scale_are_held_to_it() {
        let rules = Retry { jitter: 7.0, factor: f64::NAN, ..default_rules() };
        assert_eq!(delay(3, &rules, -4.0), Duration::ZERO);
        assert_eq!(delay(3, &rules, 4.0), Duration::from_secs(120));
        assert_eq!(delay(3, &rules, f64::NAN), Duration::ZERO);
    }

    fn any_rules() -> impl Strategy<Value = Retry> {
        (0u64..10_000_000, 1.0f64..100.0, 0u64..100_000_000, 0.0f64..=1.0).prop_map(
            |(base_ms, factor, max_ms, jitter)| Retry {
                retries: 5,
                base: Duration::from_millis(base_ms),
                factor,
                max: Duration::from_millis(max_ms),
                jitter,
            },
        )
    }

    proptest! {
        #[test]
        fn the_schedule_never_falls_and_never_passes_the_maximum(
            rules in any_rules(),
            retry in 1u32..2_000,
        ) {
            let (one, next) =
                (schedule_without_jitter(retry, &rules), schedule_without_jitter(retry + 1, &rules));
            prop_assert!(one <= next);
            prop_assert!(next <= rules.max);
        }

        #[test]
        fn jitter_stays_within_its_share(
            rules in any_rules(),
            retry in any::<u32>(),
            roll in 0.0f64..=1.0,
        ) {
            let middle = schedule_without_jitter(retry, &rules).as_secs_f64();
            let drawn = delay(retry, &rules, roll).as_secs_f64();
            let slack = 1e-6;
            prop_assert!(drawn >= middle * (1.0 - rules.jitter) - slack);
            prop_assert!(drawn <= middle * (1.0 + rules.jitter) + slack);
        }

        #[test]
        fn no_numbers_panic(
            base in any::<u64>(),
            factor in any::<f64>(),
            max in any::<u64>(),
            jitter in any::<f64>(),
            retry in any::<u32>(),
            roll in any::<f64>(),
        ) {
            let rules = Retry {
                retries: 0,
                base: Duration::from_secs(base),
                factor,
                max: Duration::from_secs(max),
                jitter,
            };
            delay(retry, &rules, roll);
        }
    }
}
