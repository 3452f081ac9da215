//! Dates and time zones.

use super::{all_give, failure};

#[test]
fn patterns_follow_ruby() {
    all_give(&[
        (
            "{{ '2026-11-24T07:00:00Z' | date: '%Y-%m-%d %e %-d %j %U %b %B %p %I %s' }}",
            "2026-11-24 24 24 328 47 Nov November AM 07 1795503600",
        ),
        (
            "{{ '2026-01-05 03:04:05.678' | date: '%-m/%_d %^a %A %k|%l|%P %L %3N %N %y %C %u%w' }}",
            "1/ 5 MON Monday  3| 3|am 678 678 678000000 26 20 11",
        ),
        (
            "{{ '2026-01-05' | date: '%G-%V %W %D %T %R %r %c' }}",
            "2026-02 01 01/05/26 00:00:00 00:00 12:00:00 AM Mon Jan  5 00:00:00 2026",
        ),
        (
            "{{ '2026-11-24T07:00:00+05:30' | date: '%z %:z %Z %FT%X' }}",
            "+0530 +05:30 +0530 2026-11-24T07:00:00",
        ),
        (
            "{{ 1795503600 | date: '%F %T' }} {{ '1795503600' | date: '%F' }}",
            "2026-11-24 07:00:00 2026-11-24",
        ),
        (
            "{{ 'now' | date: '%s%L' }} {{ now | date: '%F' }} {{ 'today' | date: '%H' }}",
            "1795503600123 2026-11-24 07",
        ),
        ("{{ 'x' | date: '%Y' }}{{ nil | date: '%Y' }}{{ '2026' | date: '' }}", "x2026"),
        ("{{ 0 | date: '%Q %% %5Y %10A| %-H%' }}", "%Q % 01970   Thursday| 0%"),
        ("{{ 0 | date: '%99999999d' }}", "%99999999d"),
    ]);
}

#[test]
fn times_are_read_as_people_write_them() {
    for written in [
        "2026-11-24T17:05:06Z",
        "2026-11-24 17:05:06",
        "2026-11-24 17:05:06 UTC",
        "2026-11-24T12:05:06-05:00",
        "2026-11-24 12:05:06 -0500",
        "2026-11-24 12:05:06 EST",
        "2026/11/24 17:05:06",
        "Tue, 24 Nov 2026 17:05:06 GMT",
        "Tue Nov 24 17:05:06 2026",
        "Tue Nov 24 17:05:06 UTC 2026",
        "November 24, 2026 5:05:06 pm",
        "Nov 24th, 2026 at 5:05:06pm",
        "24 November 2026 17:05:06.000",
        "24-Nov-2026 17:05:06",
        "20261124 17:05:06",
    ] {
        let source = format!("{{{{ '{written}' | date: '%s' }}}}");
        assert_eq!(super::text(&source), "1795539906", "{written}");
    }
    for no_time in [
        "yesterday",
        "24",
        "2026-13-01",
        "2026-11-24 25:00",
        "11/24/2026",
        "",
        "Nov",
        "99999999999999999999",
    ] {
        let source = format!("{{{{ '{no_time}' | date: '%s' }}}}");
        assert_eq!(super::text(&source), no_time, "{no_time}");
    }
}

#[test]
fn a_zone_shifts_the_clock_and_not_the_time() {
    all_give(&[
        (
            "{{ '2026-11-24T07:00:00Z' | time_zone: 'America/New_York' | date: '%H:%M %Z %z' }}",
            "02:00 EST -0500",
        ),
        (
            "{{ '2026-07-01T07:00:00Z' | time_zone: 'Europe/Berlin' | date: '%H:%M %Z %s' }}",
            "09:00 CEST 1782889200",
        ),
        ("{{ '2026-11-24T07:00:00Z' | time_zone: 'Asia/Tokyo' }}", "2026-11-24 16:00:00 +0900"),
        (
            "{{ 'now' | time_zone: '+02:00' | date: '%H' }}{{ 'now' | time_zone: 'UTC' | date: '%Z' }}",
            "09UTC",
        ),
        ("{{ 'x' | time_zone: 'UTC' }}", "x"),
    ]);
    assert!(
        failure("{{ 'now' | time_zone: 'Mars/Base' }}").contains("`Mars/Base` is no time zone")
    );
}
