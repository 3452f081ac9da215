use proptest::prelude::*;

use super::*;
use crate::model::{HostNumber, Priority};

fn entry(lane: u32, due: i64, seq: u64) -> Pending {
    Pending {
        id: DeliveryId::new(Timestamp::from_millis(1), HostNumber(7), seq),
        seq,
        lane,
        due: Timestamp::from_millis(due),
        expires: Timestamp::from_millis(1_000_000),
        priority: Priority::Normal,
        attempts: 0,
        retries: 0,
        ordered: false,
        size: 10,
        campaign: None,
        webhook: None,
    }
}

fn ready(capacity: usize, waiting: &[(u32, u32, u64)]) -> Lanes {
    let mut lanes = Lanes::new(capacity);
    let mut seq = 0;
    for (lane, weight, count) in waiting {
        lanes.weigh(*lane, *weight);
        for _ in 0..*count {
            seq += 1;
            lanes.offer(entry(*lane, 1, seq));
        }
    }
    lanes.advance(Timestamp::from_millis(10));
    lanes
}

fn send(lanes: &mut Lanes, limit: u32) -> Option<Pending> {
    let lane = lanes.turn(limit, |_| true)?;
    lanes.pop(lane)
}

/// Sends that come back at once.
fn sends(lanes: &mut Lanes, count: usize) -> Vec<u32> {
    let sends = (0..count).map_while(|_| {
        let lane = send(lanes, 64)?.lane;
        lanes.landed(lane);
        Some(lane)
    });
    sends.collect()
}

#[test]
fn a_single_delivery_waits_for_one_of_the_others_and_not_for_all() {
    let mut lanes = ready(1_000, &[(1, 1, 900)]);
    assert_eq!(sends(&mut lanes, 3), [1, 1, 1]);
    lanes.offer(entry(2, 1, 9_999));
    lanes.advance(Timestamp::from_millis(10));
    assert!(sends(&mut lanes, 2).contains(&2));
}

#[test]
fn weights_below_two_to_one_are_kept_over_rounds() {
    let mut lanes = ready(10_000, &[(1, 3, 900), (2, 2, 900)]);
    let of_one = sends(&mut lanes, 500).into_iter().filter(|lane| *lane == 1).count();
    assert!((299..=301).contains(&of_one), "{of_one}");
}

#[test]
fn an_idle_lane_saves_up_nothing() {
    let mut lanes = ready(10_000, &[(1, 1, 500), (2, 5, 0)]);
    sends(&mut lanes, 300);
    for seq in 0..100 {
        lanes.offer(entry(2, 1, 10_000 + seq));
    }
    lanes.advance(Timestamp::from_millis(10));
    let next = sends(&mut lanes, 12);
    let of_two = next.iter().filter(|lane| **lane == 2).count();
    assert!((9..=11).contains(&of_two), "five to one and no arrears: {next:?}");
}

#[test]
fn a_lane_that_may_not_send_is_passed_over() {
    let mut lanes = ready(100, &[(1, 1, 10), (2, 1, 10)]);
    for _ in 0..5 {
        assert_eq!(lanes.turn(64, |lane| lane == 2), Some(2));
        lanes.pop(2);
    }
    assert_eq!(lanes.turn(64, |_| false), None);
}

#[test]
fn while_another_waits_a_lane_has_its_part_of_the_places_in_flight() {
    let mut lanes = ready(1_000, &[(1, 3, 100), (2, 1, 100)]);
    let out: Vec<u32> = (0..8).filter_map(|_| send(&mut lanes, 8)).map(|one| one.lane).collect();
    assert_eq!(out.iter().filter(|lane| **lane == 2).count(), 2, "{out:?}");
    let mut alone = ready(1_000, &[(1, 3, 100), (2, 1, 0)]);
    let out = (0..8).filter_map(|_| send(&mut alone, 8)).count();
    assert_eq!(out, 8, "alone it has all of them");
    alone.offer(entry(2, 1, 5_000));
    alone.advance(Timestamp::from_millis(10));
    alone.landed(1);
    assert_eq!(alone.turn(8, |_| true), Some(2), "the first place that is free");
}

#[test]
fn a_full_window_makes_room_for_a_lane_below_its_share() {
    let mut lanes = ready(10, &[(1, 1, 10)]);
    assert_eq!(lanes.offer(entry(2, 1, 99)), Offer::Held);
    assert_eq!((lanes.len(), lanes.lane(1).map(Queue::len)), (10, Some(9)));
    let shed = lanes.take_shed();
    assert_eq!(shed.iter().map(|(_, place)| place.0).collect::<Vec<_>>(), [1]);
    assert_eq!(lanes.lane(1).and_then(Queue::frontier), Some((Timestamp::from_millis(1), 10)));
    for seq in 0..9 {
        lanes.offer(entry(2, 1, 100 + seq));
    }
    assert_eq!((lanes.lane(1).map(Queue::len), lanes.lane(2).map(Queue::len)), (Some(5), Some(5)));
    assert_eq!(lanes.len(), 10);
}

#[test]
fn each_lane_is_sure_of_one_however_small_the_window() {
    let mut lanes = Lanes::new(2);
    for lane in 0..5 {
        assert_eq!(lanes.offer(entry(lane, 1, u64::from(lane) + 1)), Offer::Held, "{lane}");
        lanes.offer(entry(lane, 1, u64::from(lane) + 100));
    }
    for lane in 0..5 {
        assert!(lanes.lane(lane).is_some_and(|queue| !queue.is_empty()), "{lane}");
    }
}

proptest! {
    #[test]
    fn shares_are_by_weight_nobody_starves_and_nothing_is_left(
        weights in proptest::collection::vec(1_u32..50, 1..6), each in 1_u64..200
    ) {
        let waiting: Vec<_> =
            weights.iter().zip(1..).map(|(weight, lane)| (lane, *weight, each)).collect();
        let mut lanes = ready(100_000, &waiting);
        let least = *weights.iter().min().expect("one or more");
        let all: u32 = weights.iter().sum();
        let round = f64::from(all) / f64::from(least);
        // As long as all wait, which is until the heaviest has sent all of its own.
        let heaviest = f64::from(*weights.iter().max().expect("one or more"));
        let rounds = ((each as f64 * f64::from(least) / heaviest) - 1.0).floor().max(0.0);
        let while_all_wait = (round * rounds) as usize;
        let order = sends(&mut lanes, while_all_wait);
        prop_assert_eq!(order.len(), while_all_wait);
        for (lane, weight, _) in &waiting {
            let sent = order.iter().filter(|one| *one == lane).count() as f64;
            let due = while_all_wait as f64 * f64::from(*weight) / f64::from(all);
            let slack = f64::from(*weight) / f64::from(least) + 1.0;
            prop_assert!((sent - due).abs() <= slack, "{lane}: {sent} of {due}");
        }
        let rest = sends(&mut lanes, usize::MAX);
        prop_assert_eq!((order.len() + rest.len()) as u64, each * weights.len() as u64);
        prop_assert!(lanes.is_empty());
    }

    #[test]
    fn each_lane_holds_its_smallest_keys_and_goes_in_order(
        offers in proptest::collection::vec((0_u32..4, 0_i64..50), 1..300), capacity in 1_usize..40
    ) {
        let mut lanes = Lanes::new(capacity);
        let mut all: BTreeMap<u32, Vec<Key>> = BTreeMap::new();
        for (seq, (lane, due)) in offers.into_iter().enumerate() {
            let offered = entry(lane, due, seq as u64);
            all.entry(lane).or_default().push(offered.key());
            lanes.offer(offered);
            prop_assert!(lanes.len() <= capacity.max(4) + 4);
            let held: usize = lanes.numbers().filter_map(|lane| lanes.lane(lane)).map(Queue::len).sum();
            prop_assert_eq!(held, lanes.len());
        }
        let frontiers: BTreeMap<u32, Option<Key>> =
            lanes.numbers().map(|lane| (lane, lanes.lane(lane).and_then(Queue::frontier))).collect();
        lanes.advance(Timestamp::from_millis(100));
        let mut sent: BTreeMap<u32, Vec<Key>> = BTreeMap::new();
        while let Some(one) = send(&mut lanes, 1_000) {
            sent.entry(one.lane).or_default().push(one.key());
        }
        for (lane, mut keys) in all {
            keys.sort();
            let sent = sent.remove(&lane).unwrap_or_default();
            prop_assert!(!sent.is_empty(), "each is sure of one");
            prop_assert_eq!(&sent[..], &keys[..sent.len()]);
            match frontiers[&lane] {
                Some(frontier) => prop_assert!(keys[sent.len()..].iter().all(|key| *key >= frontier)),
                None => prop_assert_eq!(sent.len(), keys.len()),
            }
        }
    }
}
