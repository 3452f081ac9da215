use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

fn cron(pattern: &str, zone: &str) -> Schedule {
    Schedule::Cron {
        cron: CronPattern::parse(pattern).expect("a pattern"),
        time_zone: Some(ZoneName::parse(zone).expect("a zone")),
    }
}

fn firings(schedule: &Schedule, after: &str, count: usize) -> Vec<String> {
    let mut moment = at(after);
    let mut found = Vec::new();
    for _ in 0..count {
        moment = schedule.next_after(moment).expect("fires again");
        found.push(moment.to_string());
    }
    found
}

#[test]
fn a_time_fires_once() {
    let schedule = Schedule::At { at: Time::parse("2026-12-01T09:00:00Z").expect("a time") };
    let due = at("2026-12-01T09:00:00Z");
    assert_eq!(schedule.next_after(at("2026-11-24T07:00:00Z")), Some(due));
    assert_eq!(schedule.next_after(due), None);
}

#[test]
fn mondays_at_nine_follow_the_clock_of_berlin() {
    let found = firings(&cron("0 9 * * 1", "Europe/Berlin"), "2026-10-18T00:00:00Z", 3);
    // Summer time ends on 25 October 2026.
    let wanted =
        ["2026-10-19T07:00:00.000Z", "2026-10-26T08:00:00.000Z", "2026-11-02T08:00:00.000Z"];
    assert_eq!(found, wanted);
}

#[test]
fn a_time_in_the_spring_gap_fires_right_after_it() {
    // On 29 March 2026 Berlin goes from 01:59:59 to 03:00:00 (01:00 UTC).
    let found = firings(&cron("30 2 * * *", "Europe/Berlin"), "2026-03-27T12:00:00Z", 3);
    let wanted =
        ["2026-03-28T01:30:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-30T00:30:00.000Z"];
    assert_eq!(found, wanted);
    let quarters = firings(&cron("*/30 * * * *", "Europe/Berlin"), "2026-03-29T00:29:00Z", 3);
    let wanted =
        ["2026-03-29T00:30:00.000Z", "2026-03-29T01:00:00.000Z", "2026-03-29T01:30:00.000Z"];
    assert_eq!(quarters, wanted);
}

#[test]
fn a_time_that_happens_twice_in_autumn_fires_once() {
    // On 25 October 2026 Berlin has 02:30 at 00:30 and at 01:30 UTC.
    let found = firings(&cron("30 2 * * *", "Europe/Berlin"), "2026-10-24T12:00:00Z", 2);
    assert_eq!(found, ["2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"]);
    let hourly = firings(&cron("30 * * * *", "Europe/Berlin"), "2026-10-24T23:45:00Z", 3);
    let wanted =
        ["2026-10-25T00:30:00.000Z", "2026-10-25T01:30:00.000Z", "2026-10-25T02:30:00.000Z"];
    assert_eq!(hourly, wanted);
}

#[test]
fn leap_days_come_round() {
    let found = firings(&cron("0 0 29 2 *", "UTC"), "2026-11-24T00:00:00Z", 2);
    assert_eq!(found, ["2028-02-29T00:00:00.000Z", "2032-02-29T00:00:00.000Z"]);
    let over_2100 = firings(&cron("0 0 29 2 *", "UTC"), "2096-03-01T00:00:00Z", 1);
    assert_eq!(over_2100, ["2104-02-29T00:00:00.000Z"]);
}

#[test]
fn what_never_fires_or_is_no_pattern_is_refused() {
    for (pattern, words) in [
        ("0 0 30 2 *", "never fires"),
        ("0 0 31 4,6,9,11 *", "never fires"),
        (", * * * *", "a comma with nothing"),
        ("0 9 1,,15 * *", "a comma with nothing"),
        ("0 9 * * 1,", "a comma with nothing"),
        ("", "such as"),
        ("* * * *", "such as"),
        ("60 * * * *", "such as"),
        ("* * * * * *", "such as"),
        ("0 9 * * monday-ish", "such as"),
        ("0 9 * * 1 *", "such as"),
        ("@often", "such as"),
    ] {
        let error = CronPattern::parse(pattern).expect_err(pattern);
        assert!(error.contains(words), "{pattern}: {error}");
    }
    assert!(CronPattern::parse(&"1,".repeat(500)).is_err());
    for zone in ["", "Europe/Atlantis", "../etc/passwd", "CET+1", &"A".repeat(100)] {
        assert!(ZoneName::parse(zone).expect_err(zone).contains("Europe/Berlin"), "{zone}");
    }
}

#[test]
fn missed_firings_are_made_up_for_by_one() {
    let hourly = cron("0 * * * *", "UTC");
    let due = at("2026-11-24T07:00:00Z");
    assert_eq!(hourly.catch_up(Some(due), at("2026-11-24T06:59:59Z")), Firing::Later(due));
    let next = Some(at("2026-11-24T16:00:00Z"));
    let firing = hourly.catch_up(Some(due), at("2026-11-24T15:20:00Z"));
    assert_eq!(firing, Firing::Now { due, next });
    let on_time = Firing::Now { due, next: Some(at("2026-11-24T08:00:00Z")) };
    assert_eq!(hourly.catch_up(Some(due), due), on_time);
    assert_eq!(hourly.catch_up(None, due), Firing::Over);
}

proptest! {
    #[test]
    fn firings_go_forward_and_leave_none_out(
        minutes in 0_i64..10 * 366 * 1440, ahead in 1_i64..100_000,
        pattern in prop_oneof![
            Just("*/7 * * * *"), Just("30 2 * * *"), Just("0 9 * * 1"), Just("15 */5 1-7 * *"),
            Just("0 0 L * *"), Just("5 1,2,3 * 3,10 0")
        ],
        zone in prop_oneof![
            Just("Europe/Berlin"), Just("America/New_York"), Just("Australia/Lord_Howe"),
            Just("UTC"), Just("Asia/Kathmandu")
        ]
    ) {
        let schedule = cron(pattern, zone);
        let start = Timestamp::from_millis(1_767_225_600_000 + minutes * 60_000);
        let next = schedule.next_after(start).expect("fires again");
        prop_assert!(next > start);
        prop_assert_eq!(next.as_millis() % 60_000, 0);
        // From any moment before `next` it is still the next.
        let between = next.as_millis() - ahead.min(next.as_millis() - start.as_millis());
        prop_assert_eq!(schedule.next_after(Timestamp::from_millis(between)), Some(next));
    }
}
