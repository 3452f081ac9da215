//! Claims about workspaces as lanes of a host's queue.

use std::sync::Arc;

use super::world::{T0, World, at, get};
use crate::model::{Delivery, DeliveryId, End, OnFailure, Provenance, Verdict};
use crate::store::{LanePage, PAGE_ROWS, Store, rows_of_each};

type Make<'a> = &'a dyn Fn() -> Arc<dyn Store>;

/// Runs the claims.
pub(super) fn exercise(make: Make<'_>) {
    a_page_has_the_first_of_each_lane(make);
    a_place_is_counted_within_its_lane(make);
    a_host_wakes_when_the_first_of_its_lanes_is_due(make);
    what_a_workspace_is_owed_is_counted_over_all_hosts(make);
    a_page_names_the_campaign(make);
    many_lanes_share_a_page();
}

fn in_lane(world: &World, lane: u32, secs: u64) -> DeliveryId {
    let delivery = world.delivery("a.example");
    world.accept(Delivery { workspace: lane, due: at(secs), ..delivery })
}

fn shape(pages: &[LanePage]) -> Vec<(u32, Vec<DeliveryId>, bool)> {
    let ids = |page: &LanePage| page.rows.iter().map(|row| row.id).collect();
    pages.iter().map(|page| (page.lane, ids(page), page.full)).collect()
}

fn a_page_has_the_first_of_each_lane(make: Make<'_>) {
    let world = World::new(make);
    let many: Vec<DeliveryId> = (0..20).map(|secs| in_lane(&world, 4, secs)).collect();
    let second = in_lane(&world, 9, 90);
    let first = in_lane(&world, 9, 80);
    let plain = in_lane(&world, 0, 99);
    let host = plain.host();
    let all = get(world.store.page(host, None, 3));
    let expected =
        [(0, vec![plain], false), (4, many[..3].to_vec(), true), (9, vec![first, second], false)];
    assert_eq!(shape(&all), expected);
    assert!(all.iter().all(|page| page.rows.iter().all(|row| row.lane == page.lane)));
    let one = get(world.store.page(host, Some(4), 20));
    assert_eq!(shape(&one), [(4, many.clone(), true)]);
    assert!(get(world.store.page(host, Some(5), 20)).is_empty());
    world.attempt(many[0], 1, Verdict::Again { due: at(500), retries: 1 });
    world.end(plain, End::Cancelled);
    let later = get(world.store.page(host, None, 2));
    let expected = [(4, many[1..3].to_vec(), true), (9, vec![first, second], true)];
    assert_eq!(shape(&later), expected);
}

fn a_place_is_counted_within_its_lane(make: Make<'_>) {
    let world = World::new(make);
    let many: Vec<DeliveryId> = (0..5).map(|_| in_lane(&world, 4, 0)).collect();
    let other = in_lane(&world, 9, 50);
    let ahead = |id| get(world.store.place(id, 100)).map(|place| place.ahead);
    assert_eq!(ahead(other), Some(0));
    assert_eq!(ahead(many[4]), Some(4));
}

fn a_host_wakes_when_the_first_of_its_lanes_is_due(make: Make<'_>) {
    let world = World::new(make);
    for (lane, secs) in [(3, 70), (7, 20), (5, 90)] {
        in_lane(&world, lane, secs);
    }
    let wakeups = get(world.store.wakeups(crate::model::ShardSet::ALL, None, 10));
    assert_eq!(wakeups.iter().map(|one| one.due).collect::<Vec<_>>(), [at(20)]);
}

fn what_a_workspace_is_owed_is_counted_over_all_hosts(make: Make<'_>) {
    let world = World::new(make);
    let of = |host: &str, workspace| {
        let delivery = world.keyed(host, "k", OnFailure::Continue);
        world.accept(Delivery { workspace, ..delivery })
    };
    let head = of("a.example", 4);
    of("a.example", 4);
    of("b.example", 4);
    of("a.example", 0);
    let owed = |workspace| world.store.pending_of_lane(workspace);
    assert_eq!((owed(4), owed(0), owed(1)), (3, 1, 0), "parked ones count");
    world.end(head, End::Failed);
    assert_eq!(owed(4), 2);
    get(world.store.redrive(vec![head], T0));
    assert_eq!(owed(4), 3);
}

fn a_page_names_the_campaign(make: Make<'_>) {
    let world = World::new(make);
    let of = |campaign: Option<&str>, canvas: Option<&str>| {
        let (campaign, canvas) = (campaign.map(str::to_owned), canvas.map(str::to_owned));
        let provenance = Provenance { campaign, canvas, ..Provenance::default() };
        let delivery = world.delivery("a.example");
        world.accept(Delivery { provenance: Some(Arc::new(provenance)), ..delivery })
    };
    let host = of(Some("spring"), None).host();
    of(Some("spring"), None);
    of(None, Some("welcome"));
    world.accept_plain("a.example", 1);
    let rows = world.pending(host, 10);
    let names: Vec<_> = rows.iter().map(|row| row.campaign.as_deref()).collect();
    assert_eq!(names, [Some("spring"), Some("spring"), Some("welcome"), None]);
}

fn many_lanes_share_a_page() {
    assert_eq!(rows_of_each(0, 100), 100);
    assert_eq!(rows_of_each(3, 1_000), 1_000);
    assert_eq!(rows_of_each(100, 1_000), PAGE_ROWS / 100);
    assert_eq!(rows_of_each(1_000_000, 1_000), 1, "each is sure of one");
}
