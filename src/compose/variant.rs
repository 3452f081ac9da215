//! Which variant of a campaign a recipient gets, or whether it belongs to the control group that
//! gets nothing.
//!
//! A recipient is placed by a hash of the campaign's id and its own, so that it gets the same
//! variant each time while the weights stand, and so that its place in one campaign tells nothing
//! of its place in another. The hash is xxh3 (64 bits) and is pinned by test vectors: another one
//! would move everybody.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The highest weight of a variant.
pub const WEIGHT_MAX: u32 = 1_000_000;
/// What plain webhooks and their control group weigh together: a control group beside `webhooks`
/// instead of `variants` is a percentage.
pub const PLAIN_TOTAL: u32 = 100;

/// What a recipient gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The variant of this index.
    Variant(usize),
    /// Nothing, to be compared with.
    Control,
}

/// Picks by weight: `weights` of the variants in order, then the control group's. `dice` is uniform
/// over all of `u64`, see [`place`]. `None` when all weights are zero.
pub fn choose(weights: &[u32], control: u32, dice: u64) -> Option<Choice> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let total = total + u64::from(control);
    // The high half of the product is `dice` scaled to 0..total, without a modulo's bias.
    let mut point = u64::try_from((u128::from(dice) * u128::from(total)) >> 64).ok()?;
    for (index, weight) in weights.iter().enumerate() {
        match point.checked_sub(u64::from(*weight)) {
            Some(rest) => point = rest,
            None => return Some(Choice::Variant(index)),
        }
    }
    (total > 0).then_some(Choice::Control)
}

/// The dice of a recipient in a campaign: always the same.
pub fn place(campaign: &str, recipient: &str) -> u64 {
    xxh3_64_with_seed(recipient.as_bytes(), xxh3_64(campaign.as_bytes()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CAMPAIGN: &str = "0198c9f2-6f3e-7d52-9d3b-3a1f2b6c7d8e";

    #[test]
    fn places_are_pinned() {
        // As xxHash's reference implementation has them (PyPI's xxhash).
        assert_eq!(place(CAMPAIGN, "user-1"), 3_272_714_840_284_616_339);
        assert_eq!(place(CAMPAIGN, "user-2"), 5_863_386_525_893_276_487);
        assert_eq!(place("", ""), 4_696_993_233_866_070_003);
    }

    #[test]
    fn weights_are_kept_among_many_recipients() {
        let (weights, control) = ([50, 0, 30], 20);
        let mut counts = [0_u32; 4];
        for number in 0..100_000 {
            match choose(&weights, control, place(CAMPAIGN, &format!("user-{number}"))) {
                Some(Choice::Variant(index)) => counts[index] += 1,
                Some(Choice::Control) => counts[3] += 1,
                None => panic!("weights are given"),
            }
        }
        // Three standard deviations of 100,000 draws are below 500.
        for (count, wanted) in counts.into_iter().zip([50_000, 0, 30_000, 20_000]) {
            assert!(u32::abs_diff(count, wanted) < 500, "{counts:?}");
        }
        assert_eq!(counts[1], 0);
    }

    #[test]
    fn campaigns_mix_recipients_anew() {
        let half = |campaign: &str, number: u32| {
            choose(&[1, 1], 0, place(campaign, &format!("user-{number}")))
        };
        let same = (0..10_000).filter(|number| half("a", *number) == half("b", *number)).count();
        assert!(same.abs_diff(5_000) < 200, "{same}");
    }

    #[test]
    fn the_ends_of_the_dice_are_taken() {
        assert_eq!(choose(&[1, 1], 1, 0), Some(Choice::Variant(0)));
        assert_eq!(choose(&[1, 1], 1, u64::MAX), Some(Choice::Control));
        assert_eq!(choose(&[1, 1], 0, u64::MAX), Some(Choice::Variant(1)));
        assert_eq!(choose(&[0, 0], 0, 7), None);
        assert_eq!(choose(&[], 5, 7), Some(Choice::Control));
    }

    proptest! {
        #[test]
        fn what_weighs_nothing_is_never_chosen(
            weights in proptest::collection::vec(0_u32..=WEIGHT_MAX, 0..20),
            control in 0_u32..=WEIGHT_MAX, dice in any::<u64>()
        ) {
            let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
            match choose(&weights, control, dice) {
                Some(Choice::Variant(index)) => prop_assert!(weights[index] > 0),
                Some(Choice::Control) => prop_assert!(control > 0),
                None => prop_assert_eq!(total + u64::from(control), 0),
            }
        }
    }
}
